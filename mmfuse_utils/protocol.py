"""How Part III asks: one split, one gallery, the same pairs and the same rules for every method.

The chapter on fusion builds it step by step; the chapters after it load it in one line.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from mmfuse_utils import text, vision
from mmfuse_utils.data import Collection, load_emoji
from mmfuse_utils.data.collection import Split
from mmfuse_utils.metrics import (bootstrap_interval, chance_hit_at_k, mean_reciprocal_rank,
                                  ranks)

Method = TypeVar("Method")      # anything with `similarity(text, image)`


@dataclass(frozen=True)
class Protocol:
    """Training pairs, validation and test of one split, and the subgroups of the test concepts.

    texts, random_texts : mean word vector of each concept, and the same words with random
        vectors, (n_concepts, 100). features : of each picture, (n_pictures, 1280).
    train : picture rows of the training concepts, (n_pairs,). held, gallery : one picture row a
        validation and a test concept.
    """

    emoji: Collection
    split: Split
    texts: np.ndarray
    random_texts: np.ndarray
    features: np.ndarray
    train: np.ndarray
    held: np.ndarray
    gallery: np.ndarray

    def pairs(self, texts: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Training pairs, a row for each picture: (n_pairs, n_text), (n_pairs, 1280)."""
        texts = self.texts if texts is None else texts
        return texts[self.emoji.pictures.concept_row[self.train]], self.features[self.train]

    def validation(self, texts: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Validation texts and the picture of each: row i belongs to row i."""
        texts = self.texts if texts is None else texts
        return texts[self.split.validation], self.features[self.held]

    def test(self, texts: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Test texts and the picture of each: row i belongs to row i."""
        texts = self.texts if texts is None else texts
        return texts[self.split.test], self.features[self.gallery]

    @property
    def subgroups(self) -> np.ndarray:
        """Subgroup of each test concept, the unit that intervals draw: (n_test,)."""
        return self.emoji.clusters[self.split.test]

    @property
    def chance(self) -> float:
        """hit@10 of an order drawn at random."""
        return chance_hit_at_k(len(self.gallery), 10)

    def choose(self, fitted: Iterable[Method], texts: np.ndarray | None = None) -> Method:
        """The fitted method with the best mean reciprocal rank on the validation concepts."""
        held = self.validation(texts)
        return max(fitted, key=lambda method: mean_reciprocal_rank(
            ranks(method.similarity(*held), np.arange(len(self.held)))))

    def estimate(self, values: np.ndarray) -> tuple[float, tuple[float, float]]:
        """Mean of a value a test concept, and its 95 % interval; subgroups are drawn whole."""
        low, high = bootstrap_interval(values, self.subgroups)
        return float(np.mean(values)), (low, high)


def load_protocol(salt: int = 0) -> Protocol:
    """The strict split of one salt, with word2vec texts and the default network's features.

    >>> round(load_protocol().chance, 3)
    0.05
    """
    emoji = load_emoji()
    split, vectors = emoji.split(salt, strict=True), text.load_word_vectors()
    tokens = text.concept_tokens(emoji)
    return Protocol(emoji, split, text.sentence_vectors(tokens, vectors),
                    text.sentence_vectors(tokens, text.random_vectors(vectors)),
                    vision.picture_features(emoji),
                    np.flatnonzero(np.isin(emoji.pictures.concept_row, split.train)),
                    emoji.gallery(split.validation, salt), emoji.gallery(split.test, salt))


def hits(similarity: np.ndarray, k: int = 10) -> np.ndarray:
    """1 where a query's own item, in the same place, is among its first k, else 0: (n,).

    similarity : (n, n), queries by items.

    >>> hits(np.array([[0.9, 0.1], [0.8, 0.7]]), k=1)
    array([1., 0.])
    """
    return (ranks(similarity, np.arange(len(similarity))) <= k).astype(float)
