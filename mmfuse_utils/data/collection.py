"""`Collection`: concepts with texts and pictures, split without leaks."""

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mmfuse_utils.data.near import STOP_WORDS, content_words, near_duplicates
from mmfuse_utils.data.pictures import PIXELS, load_images
from mmfuse_utils.data.splits import (
    N_TEST,
    N_VALIDATION,
    Split,
    check_split,
    draw_split,
    drop_near,
    hash_text,
    split_concepts,
)
from mmfuse_utils.data.words import normalize

__all__ = ["N_TEST", "N_VALIDATION", "STOP_WORDS", "CaptionTable", "Collection", "PictureTable",
           "Split", "Texts", "check_texts", "content_words", "near_duplicates", "relevance",
           "split_concepts"]
Texts = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class CaptionTable:
    """One row a caption: the concept that it tells of, and its text."""

    concept_row: np.ndarray
    text: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.text)


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
    """Concepts with texts and pictures; every loader of pictures returns one.

    A concept is what has an identity: an emoji in several drawings, or a single photograph.

    ids : identity of each concept: code points such as "1F419", or a file's place in its folder.
    names, keywords, captions : by language, one tuple of strings a concept, which may be empty;
        emoji have names and keywords, photographs have captions.
    groups, subgroups : one string a concept, or None; see `clusters`.
    pictures : table of all pictures, one or several a concept.
    official : the split that the data came with, if they came with one.

    Raises ValueError unless there is one entry a concept, TypeError for texts that are not tuples
    or lists of strings: the letters of a bare string would be taken for texts.

    >>> dogs = Collection(("1.jpg", "2.jpg"), captions={"en": (("a dog", "a pug"), ("a cat",))})
    >>> dogs.caption_table().concept_row.tolist(), dogs.clusters.tolist()
    ([0, 0, 1], ['1.jpg', '2.jpg'])
    """

    ids: tuple[str, ...]
    names: dict[str, Texts] = field(default_factory=dict)
    keywords: dict[str, Texts] = field(default_factory=dict)
    groups: tuple[str, ...] | None = None
    subgroups: tuple[str, ...] | None = None
    pictures: PictureTable = field(
        default_factory=lambda: PictureTable(np.arange(0), np.arange(0), ()))
    captions: dict[str, Texts] = field(default_factory=dict)
    official: Split | None = None

    def __post_init__(self) -> None:
        for name in ("names", "keywords", "captions"):
            for language, texts in getattr(self, name).items():
                check_texts(texts, len(self.ids), f"{name}[{language!r}]")
        for name in ("groups", "subgroups"):
            labels = getattr(self, name)
            if labels is not None and len(labels) != len(self.ids):
                raise ValueError(f"{name} needs one entry for each of the {len(self.ids)} "
                                 f"concepts; got {len(labels)}.")
        rows = self.pictures.concept_row
        if len(rows) and not (0 <= rows.min() and rows.max() < len(self.ids)):
            raise ValueError(f"A picture's concept is a number from 0 to {len(self.ids) - 1}; got "
                             f"{rows.min()} to {rows.max()}.")
        if self.official is not None:
            check_split(self.official, len(self.ids))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def clusters(self) -> np.ndarray:
        """What intervals draw whole, as a label a concept: (n_concepts,).

        Subgroups where there are any; else each concept stands for itself, so that intervals
        draw single pictures.
        """
        return np.array(self.ids if self.subgroups is None else self.subgroups)

    def caption_table(self, concepts: Sequence[int] | None = None,
                      lang: str | None = None) -> CaptionTable:
        """The captions of concepts, one row a caption; see `right_answers`.

        concepts : (n_concepts,) rows; all if not given. lang : the first language if not given.

        A concept without a caption has no row. Raises ValueError without any captions, and for a
        language that has none.
        """
        if not self.captions:
            raise ValueError("These pictures have no captions.")
        lang = next(iter(self.captions), None) if lang is None else lang
        if lang not in self.captions:
            raise ValueError(f"There are no captions in {lang!r}; there are some in: "
                             f"{', '.join(self.captions)}.")
        rows = range(len(self)) if concepts is None else concepts
        pairs = [(row, text) for row in rows for text in self.captions[lang][row]]
        return CaptionTable(np.array([row for row, _ in pairs], dtype=int),
                            tuple(text for _, text in pairs))

    def right_answers(self, captions: CaptionTable, pictures: Sequence[int]) -> np.ndarray:
        """Which pictures are right for which captions: (n_captions, n_pictures) bool.

        pictures : picture rows, such as a gallery.

        A caption's own picture is right, and so is each that was given the very same caption,
        whatever its capitals: among photographs labeled by single words, there may be many.

        >>> pets = Collection(("1", "2"), captions={"en": (("A dog", "pug"), ("a dog",))},
        ...                   pictures=PictureTable([0, 1], ["photograph"] * 2, ("1", "2")))
        >>> pets.right_answers(pets.caption_table(), [0, 1]).astype(int).tolist()
        [[1, 1], [1, 0], [1, 1]]
        """
        shown, said = self.pictures.concept_row[list(pictures)], defaultdict(set)
        for texts in self.captions.values():
            for concept, entry in enumerate(texts):
                for text in entry:
                    said[normalize(text).strip()].add(concept)
        right = relevance(captions.concept_row, shown)
        for row, text in enumerate(captions.text):
            if len(others := said[normalize(text).strip()]) > 1:
                right[row] |= np.isin(shown, list(others))
        return right

    def load_pictures(self, rows: Sequence[int], size: int = PIXELS) -> np.ndarray:
        """Pixels of picture rows as `load_images` gives them: (n, size, size, 3), uint8.

        Raises ValueError naming all pictures that cannot be used.
        """
        return load_images([self.pictures.path[row] for row in rows], size)

    def split(self, salt: int = 0, strict: bool = True, test: float | None = None,
              validation: float | None = None, languages: Sequence[str] = ("en",)) -> Split:
        """Train, validation and test concepts; see `splits.split_concepts`.

        test, validation : numbers of concepts, or shares of them between 0 and 1. With neither,
            the official split is taken if the data came with one, whatever the salt; else 200
            and 100 concepts are. strict : drop near-duplicates, from an official split too.
        languages : those in which to look for near-duplicates, see `near_duplicates`; the test
            concepts are the same whatever they are.

        Raises ValueError when no concept is left for training or for validation.
        """
        plain = self.official
        if plain is None or test is not None or validation is not None:
            plain = draw_split(self.ids, salt, N_TEST if test is None else test,
                               N_VALIDATION if validation is None else validation)
        if not strict:
            return plain
        held_out = np.concatenate([plain.validation, plain.test])
        return drop_near(plain, near_duplicates(self, held_out, languages))

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
                hash_text(key + self.pictures.style[row]),
                hash_text(key + os.path.basename(self.pictures.path[row])))))
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


def relevance(queries: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Which items are right answers to which queries: (n_queries, n_items) bool, for `ranks`.

    queries, items : concept row of each query and of each item, such as
        `caption_table(concepts).concept_row` and `pictures.concept_row[gallery]`. Where each
        query asks with one caption of five, each picture has five right answers.

    >>> relevance(np.array([0, 0, 2]), np.array([2, 0])).astype(int).tolist()
    [[0, 1], [0, 1], [1, 0]]
    """
    return np.asarray(queries)[:, None] == np.asarray(items)
