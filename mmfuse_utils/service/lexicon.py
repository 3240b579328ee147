"""From a phrase to its vector: a weighted sum over words, so that every word's part is known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmfuse_utils.data.words import tokens


@dataclass(frozen=True)
class Phrase:
    """A phrase as it was read: its known and unknown words, and a row for each known one."""

    known: tuple[str, ...]
    unknown: tuple[str, ...]
    rows: np.ndarray


class Lexicon:
    """Words with their vectors, and what all texts have in common.

    words, rows : (n_words, dim), each row as long as its word's weight.
    mean : (dim,) mean of texts of length 1, which is taken off every phrase.

    >>> lexicon = Lexicon(["red", "car"], np.eye(2, 3, dtype=np.float32), np.zeros(3, np.float32))
    >>> lexicon.read("A red, red car").unknown, lexicon.embed(["red car"]).round(2).tolist()
    (('a',), [[0.71, 0.71, 0.0]])
    """

    def __init__(self, words: Sequence[str], rows: np.ndarray, mean: np.ndarray) -> None:
        self.words, self.rows, self.mean = words, rows, mean
        self.place = {word: row for row, word in enumerate(words)}

    def read(self, text: str) -> Phrase:
        """Take a phrase apart; words count as often as they stand, and are named once."""
        said, place = tokens(text), self.place
        rows = [place[word] for word in said if word in place]
        unknown = tuple(dict.fromkeys(word for word in said if word not in place))
        return Phrase(tuple(dict.fromkeys(word for word in said if word in place)), unknown,
                      np.array(rows, np.intp))

    def sums(self, phrases: Sequence[Phrase]) -> np.ndarray:
        """The sum of each phrase's word rows at length 1, zeros where none is known: (n, dim)."""
        total = np.zeros((len(phrases), len(self.mean)), np.float32)
        for row, phrase in zip(total, phrases, strict=True):
            if len(phrase.rows):
                self.rows[phrase.rows].sum(axis=0, dtype=np.float32, out=row)
        return _at_length_one(total)

    def embed_phrases(self, phrases: Sequence[Phrase]) -> np.ndarray:
        """A vector of length 1 a phrase, zeros where no word is known: (n, dim)."""
        told = self.sums(phrases)
        return _at_length_one(np.where(told.any(axis=1, keepdims=True), told - self.mean, 0))

    def embed_plain(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of texts with the mean left on: (n, dim)."""
        return self.sums([self.read(text) for text in texts])

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """The same from texts."""
        return self.embed_phrases([self.read(text) for text in texts])

    def parts(self, phrase: Phrase, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The part of each known word in the cosine with each item, and the part of the mean.

        items : (n, dim) of length 1. The parts of a word that stands twice are taken together. As
        the cosine is a sum over the words, all parts of an item, (n, n_known) and (n,), add up
        to it.
        """
        table = self.rows[phrase.rows].astype(np.float32)
        total = table.sum(axis=0)
        length = np.sqrt(total @ total)
        rest = total / length - self.mean
        rest = np.sqrt(rest @ rest)
        parts = items @ table.T / (length * rest)
        if len(phrase.known) < len(phrase.rows):
            where = {self.place[word]: i for i, word in enumerate(phrase.known)}
            which = [where[row] for row in phrase.rows.tolist()]
            together = np.zeros((len(items), len(phrase.known)), np.float32)
            np.add.at(together.T, which, parts.T)
            parts = together
        return parts, items @ self.mean / -rest


def _at_length_one(rows: np.ndarray) -> np.ndarray:
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
    return rows / np.where(lengths > 0, lengths, 1)
