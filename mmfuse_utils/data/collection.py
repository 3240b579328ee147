"""`Collection`: concepts with texts and pictures, split without leaks."""

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmfuse_utils.data.pictures import PIXELS, load_images
from mmfuse_utils.data.words import MARKS, normalize

# Words that two names may share without the concepts being near-duplicates: function words,
# and words that say how something is drawn rather than what it is.
STOP_WORDS = frozenset("a an and at in of on or the to with for from no not face symbol sign "
                       "medium light dark large small left right up down".split())
N_TEST, N_VALIDATION, JACCARD = 200, 100, 0.4
CONTENT = re.compile(rf"[\w{MARKS}]+")

Texts = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Split:
    """Three disjoint index arrays of concepts."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class PictureTable:
    """One row a picture: the concept it shows, its art style, and its file."""

    concept_row: np.ndarray
    style: np.ndarray
    path: tuple[str, ...]

    def __post_init__(self) -> None:
        for field in ("concept_row", "style"):
            object.__setattr__(self, field, np.asarray(getattr(self, field)))
        sizes = len(self.concept_row), len(self.style), len(self.path)
        if isinstance(self.path, str) or len(set(sizes)) != 1:
            raise ValueError("A picture table needs a concept, a style and a path for each "
                             f"picture; got {sizes[0]}, {sizes[1]} and {self.path!r:.60}.")

    def __len__(self) -> int:
        return len(self.path)


@dataclass(frozen=True)
class Collection:
    """Concepts with names, keywords and pictures; every loader of pictures returns one.

    ids : identity of each concept, for emoji its code points such as "1F419".
    names, keywords : by language, one tuple of strings a concept.
    groups, subgroups : one string a concept.
    pictures : table of all pictures, several a concept.

    Raises ValueError unless there is one entry a concept, TypeError for texts that are not tuples
    or lists of strings: the letters of a bare string would be taken for texts.
    """

    ids: tuple[str, ...]
    names: dict[str, Texts]
    keywords: dict[str, Texts]
    groups: tuple[str, ...]
    subgroups: tuple[str, ...]
    pictures: PictureTable

    def __post_init__(self) -> None:
        for field in ("names", "keywords"):
            for language, texts in getattr(self, field).items():
                check_texts(texts, len(self.ids), f"{field}[{language!r}]")
        for field in ("groups", "subgroups"):
            if len(getattr(self, field)) != len(self.ids):
                raise ValueError(f"{field} needs one entry for each of the {len(self.ids)} "
                                 f"concepts; got {len(getattr(self, field))}.")
        rows = self.pictures.concept_row
        if len(rows) and not (0 <= rows.min() and rows.max() < len(self.ids)):
            raise ValueError(f"A picture's concept is a number from 0 to {len(self.ids) - 1}; got "
                             f"{rows.min()} to {rows.max()}.")

    def __len__(self) -> int:
        return len(self.ids)

    def load_pictures(self, rows: Sequence[int], size: int = PIXELS) -> np.ndarray:
        """Pixels of picture rows as `load_images` gives them: (n, size, size, 3), uint8.

        Raises ValueError naming all pictures that cannot be used.
        """
        return load_images([self.pictures.path[row] for row in rows], size)

    def split(self, salt: int = 0, strict: bool = True) -> Split:
        """Train, validation and test concepts; see the module's `split_concepts`."""
        return split_concepts(self.ids, near_duplicates(self), salt, strict)

    def gallery(self, concepts: Sequence[int], salt: int = 0,
                styles: Sequence[str] | None = None) -> np.ndarray:
        """One picture row a concept, its style drawn by hash: (n_concepts,).

        The same concept and salt give the same picture whatever else is in the collection.
        styles : draw among these alone; all if not given.

        Raises ValueError for a concept that has no picture in these styles.
        """
        allowed = np.ones(len(self.pictures), bool)
        if styles is not None:
            allowed = np.isin(self.pictures.style, list(styles))
        chosen = []
        for concept in concepts:
            if not 0 <= concept < len(self.ids):
                raise ValueError(f"There is no concept {concept}, only 0 to {len(self.ids) - 1}.")
            rows = np.flatnonzero((self.pictures.concept_row == concept) & allowed)
            if len(rows) == 0:
                raise ValueError(f"Concept {self.ids[concept]} has no picture in the styles "
                                 f"{list(styles or [])}; leave it out, or allow more styles.")
            key = f"{salt}:{self.ids[concept]}:"
            # Pictures of one style are told apart by their files' names, not by their order.
            chosen.append(min(rows, key=lambda row, key=key: (
                _hash(key + self.pictures.style[row]),
                _hash(key + os.path.basename(self.pictures.path[row])))))
        return np.array(chosen, dtype=int)


def check_texts(texts: Texts, n_concepts: int, name: str) -> None:
    """Raise unless `texts` holds a tuple or list of strings for each concept; see `Collection`."""
    if isinstance(texts, (str, bytes)) or len(texts) != n_concepts:
        raise ValueError(f"{name} needs one tuple of texts for each of the {n_concepts} concepts; "
                         f"got {texts!r:.60}.")
    for row, entry in enumerate(texts):
        if not isinstance(entry, (tuple, list)) or not all(isinstance(t, str) for t in entry):
            raise TypeError(f"{name}[{row}] should be a tuple of texts such as ('cat face',); "
                            f"got {entry!r}.")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def content_words(text: str) -> frozenset[str]:
    """Words of a text in one spelling, see `normalize`, without `STOP_WORDS`.

    >>> sorted(content_words("tiger face"))
    ['tiger']
    """
    return frozenset(CONTENT.findall(normalize(text))) - STOP_WORDS


def near_duplicates(collection: Collection) -> np.ndarray:
    """Which concepts are near each other: (n, n) bool, symmetric, true on the diagonal.

    Two concepts are near if their English names share a content word, or the word sets of
    their names and keywords have a Jaccard index of `JACCARD` or more.
    """
    names = [content_words(" ".join(texts)) for texts in collection.names["en"]]
    words = [name | content_words(" ".join(texts))
             for name, texts in zip(names, collection.keywords["en"], strict=True)]
    by_name, by_word = _incidence(names), _incidence(words)
    shared = by_word @ by_word.T
    sizes = by_word.sum(axis=1)
    union = sizes[:, None] + sizes[None, :] - shared
    near = (by_name @ by_name.T > 0) | (shared >= JACCARD * np.maximum(union, 1))
    return near | np.eye(len(collection), dtype=bool)


def _incidence(word_sets: list[frozenset[str]]) -> np.ndarray:
    vocabulary = {word: i for i, word in enumerate(sorted(frozenset().union(*word_sets)))}
    table = np.zeros((len(word_sets), len(vocabulary)), dtype=np.float32)
    for row, words in enumerate(word_sets):
        table[row, [vocabulary[word] for word in words]] = 1
    return table


def split_concepts(ids: Sequence[str], near: np.ndarray, salt: int, strict: bool) -> Split:
    """Order concepts by the hash of salt and identity; 200 test, 100 validation, rest train.

    ids : (n,) identities. near : (n, n) bool, see `near_duplicates`.
    strict : drop from train every near-duplicate of a test or validation concept, and from
        validation every near-duplicate of a test concept.

    Plain and strict share the same test concepts. Raises ValueError when no concept is left for
    training or for validation.
    """
    if len(ids) <= N_TEST + N_VALIDATION:
        raise ValueError(f"A split needs more than {N_TEST + N_VALIDATION} concepts "
                         f"({N_TEST} test, {N_VALIDATION} validation); there are {len(ids)}.")
    order = np.array(sorted(range(len(ids)), key=lambda i: _hash(f"{salt}:{ids[i]}")))
    test, validation, train = np.split(order, [N_TEST, N_TEST + N_VALIDATION])
    if strict:
        train = train[~near[np.ix_(train, np.concatenate([test, validation]))].any(axis=1)]
        validation = validation[~near[np.ix_(validation, test)].any(axis=1)]
        if not len(train) or not len(validation):
            raise ValueError(f"The strict split leaves {len(train)} concepts for training and "
                             f"{len(validation)} for validation: the others resemble test "
                             "concepts. Use strict=False, or give more concepts that differ.")
    return Split(train, validation, test)
