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
from mmfuse_utils.data.segment import segment
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
# The list is English. In other languages, a word in more names than any English content word is
# in, which is 15 of the 952 emoji, is not content either.
COMMON, COMMON_SHARE = 15, 1 / 60
IDEOGRAPH = re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
CONTENT = re.compile(rf"[\w{MARKS}]+")


def content_words(text: str) -> frozenset[str]:
    """Words of a text in one spelling, see `normalize`, without `STOP_WORDS`.

    >>> sorted(content_words("tiger face"))
    ['tiger']
    """
    return frozenset(CONTENT.findall(normalize(text))) - STOP_WORDS


def near_duplicates(collection: Collection, others: Sequence[int] | None = None,
                    languages: Sequence[str] = ("en",)) -> np.ndarray:
    """Which concepts are near which others: (n, n_others) bool, true for a concept itself.

    others : (n_others,) concept rows; all if not given. languages : near in any of these is near;
        where nothing is English, the first language counts for it.

    Two concepts are near if their names share a content word, or the word sets of their names
    and keywords have a Jaccard index of `JACCARD` or more. Without names, they are near if all
    words of their captions have one of `CAPTION_JACCARD` or more, or if two of their picture
    files hold the same bytes. Raises ValueError for another language without texts.
    """
    others = np.arange(len(collection)) if others is None else np.asarray(others, dtype=int)
    near = np.zeros((len(collection), len(others)), dtype=bool)
    for lang in languages:
        near |= _near_in(collection, others, lang)
    near[others, np.arange(len(others))] = True
    return near


def _near_in(collection: Collection, others: np.ndarray, lang: str) -> np.ndarray:
    """Which concepts are near by their texts in one language: (n, n_others) bool."""
    if lang != "en" and not any(lang in texts for texts in (
            collection.names, collection.keywords, collection.captions)):
        raise ValueError(f"There are no texts in {lang!r} to find near-duplicates by.")
    names, words = (_content(texts, lang, len(collection))
                    for texts in (collection.names, collection.keywords))
    if not (any(names) or any(words)):
        captions = _content(collection.captions, lang, len(collection))
        near = _are_alike(captions, others, CAPTION_JACCARD)
        for same in identical_pictures(collection.pictures):
            near[np.ix_(same, np.isin(others, same))] = True
        return near
    common = frozenset() if lang == "en" else _common(names)
    names, words = ([entry - common for entry in field] for field in (names, words))
    by_name = _incidence(names)
    near = (by_name @ by_name[others].T).toarray() > 0
    words = [name | more for name, more in zip(names, words, strict=True)]
    return near | _are_alike(words, others, JACCARD)


def _content(texts: dict[str, Texts], lang: str, n_concepts: int) -> list[frozenset[str]]:
    """Content words of each concept's texts; for English, in the first language if there is none.

    In other languages words are cut by `segment`, and single letters of alphabets, such as the
    French l', do not count.
    """
    joined = [" ".join(entry) for entry in texts.get(lang, ())]
    if lang != "en":
        words = map(content_words, map(" ".join, segment(joined, lang)))
        return [frozenset(word for word in entry if len(word) > 1 or IDEOGRAPH.match(word))
                for entry in words] or [frozenset()] * n_concepts
    chosen = texts.get(lang) or next(iter(texts.values()), ((),) * n_concepts)
    return [content_words(" ".join(entry)) for entry in chosen]


def _common(names: list[frozenset[str]]) -> frozenset[str]:
    """Words of too many names to say what is drawn, such as Gesicht (face) and mit (with)."""
    counts = Counter(word for entry in names for word in entry)
    limit = max(COMMON, len(names) * COMMON_SHARE)
    return frozenset(word for word, count in counts.items() if count > limit)


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
