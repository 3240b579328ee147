"""Which concepts are so near each other that one in training gives away the other in a test."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from mmfuse_utils.data.pictures import file_digests, read_each
from mmfuse_utils.data.words import MARKS, normalize

if TYPE_CHECKING:       # which itself needs this module
    from mmfuse_utils.data.collection import Collection, PictureTable, Texts

# Words that two names may share without the concepts being near-duplicates: function words,
# and words that say how something is drawn rather than what it is.
STOP_WORDS = frozenset("a an and at in of on or the to with for from no not face symbol sign "
                       "medium light dark large small left right up down".split())
JACCARD = 0.4
# Captions of one theme share most of their words; only those that nearly repeat each other count.
CAPTION_JACCARD = 0.9
CONTENT = re.compile(rf"[\w{MARKS}]+")


def content_words(text: str) -> frozenset[str]:
    """Words of a text in one spelling, see `normalize`, without `STOP_WORDS`.

    >>> sorted(content_words("tiger face"))
    ['tiger']
    """
    return frozenset(CONTENT.findall(normalize(text))) - STOP_WORDS


def near_duplicates(collection: Collection, others: Sequence[int] | None = None) -> np.ndarray:
    """Which concepts are near which others: (n, n_others) bool, true for a concept itself.

    others : (n_others,) concept rows; all if not given.

    Two concepts are near if their English names share a content word, or the word sets of
    their names and keywords have a Jaccard index of `JACCARD` or more. Without names, they are
    near if all words of their captions have one of `CAPTION_JACCARD` or more, or if two of their
    picture files hold the same bytes. Where nothing is English, the first language counts.
    """
    others = np.arange(len(collection)) if others is None else np.asarray(others, dtype=int)
    fields = collection.names, collection.keywords
    names, words = (_content(collection, texts) for texts in fields)
    if any(names) or any(words):
        words = [name | more for name, more in zip(names, words, strict=True)]
        by_name = _incidence(names)
        near = (by_name @ by_name[others].T).toarray() > 0
        near |= _are_alike(words, others, JACCARD)
    else:
        near = _are_alike(_content(collection, collection.captions), others, CAPTION_JACCARD)
        for same in identical_pictures(collection.pictures):
            near[np.ix_(same, np.isin(others, same))] = True
    near[others, np.arange(len(others))] = True
    return near


def _content(collection: Collection, texts: dict[str, Texts]) -> list[frozenset[str]]:
    """Content words of each concept's texts in English, or in the first language there is."""
    chosen = texts.get("en") or next(iter(texts.values()), ((),) * len(collection))
    return [content_words(" ".join(entry)) for entry in chosen]


def _are_alike(word_sets: list[frozenset[str]], others: np.ndarray, limit: float) -> np.ndarray:
    """Whether the Jaccard index of two word sets is `limit` or more: (n, n_others) bool."""
    table = _incidence(word_sets)
    shared = (table @ table[others].T).toarray()
    sizes = np.array([len(words) for words in word_sets], dtype=np.float32)
    union = sizes[:, None] + sizes[others] - shared
    return shared >= limit * np.maximum(union, 1)


def identical_pictures(pictures: PictureTable) -> list[list[int]]:
    """Groups of concepts whose picture files hold the same bytes.

    Only files of one size are read. Raises ValueError naming all files that cannot be opened.
    """
    sizes = list(read_each(os.path.getsize, pictures.path, "pictures"))
    often = Counter(sizes)
    rows = [row for row, size in enumerate(sizes) if often[size] > 1]
    same = defaultdict(set)
    for row, digest in zip(rows, file_digests([pictures.path[row] for row in rows]), strict=True):
        same[digest].add(int(pictures.concept_row[row]))
    return [sorted(concepts) for concepts in same.values() if len(concepts) > 1]


def _incidence(word_sets: list[frozenset[str]]) -> sparse.csr_array:
    vocabulary = {word: i for i, word in enumerate(sorted(frozenset().union(*word_sets)))}
    columns = [vocabulary[word] for words in word_sets for word in sorted(words)]
    starts = np.cumsum([0, *map(len, word_sets)])
    return sparse.csr_array((np.ones(len(columns), dtype=np.float32), columns, starts),
                            shape=(len(word_sets), max(1, len(vocabulary))))
