"""From a phrase to its vector: a weighted sum over words, so that every word's part is known."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmfuse_utils.data.words import tokens


@dataclass(frozen=True, slots=True)
class Phrase:
    """A phrase as it was read: each known word once, its row and how often it stands; the rest."""

    known: tuple[str, ...]
    unknown: tuple[str, ...]
    rows: tuple[int, ...]
    counts: tuple[int, ...]


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
        """Take a phrase apart; words are named once, in the order in which they come."""
        counts, place = Counter(tokens(text)), self.place
        known = tuple(word for word in counts if word in place)
        return Phrase(known, tuple(word for word in counts if word not in place),
                      tuple(place[word] for word in known),
                      tuple(counts[word] for word in known))

    def measure(self, phrases: Sequence[Phrase]) -> "Measured":
        """The vectors of phrases, with what it takes to tell the words' parts."""
        width = max((len(phrase.rows) for phrase in phrases), default=0)
        places = np.zeros((len(phrases), width), np.intp)
        counts = np.zeros((len(phrases), width), np.float32)
        for i, phrase in enumerate(phrases):
            places[i, :len(phrase.rows)] = phrase.rows
            counts[i, :len(phrase.rows)] = phrase.counts
        table = self.rows[places].astype(np.float32) * counts[..., None]
        return Measured(table, self.mean)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """A vector of length 1 a text, zeros where no word is known: (n, dim)."""
        return self.measure([self.read(text) for text in texts]).vectors

    def embed_plain(self, texts: Sequence[str]) -> np.ndarray:
        """The same with the mean left on: (n, dim)."""
        parts = [self.measure([self.read(text)]).told for text in texts]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.mean)), np.float32)


class Measured:
    """Phrases as sums over their words.

    table : (n, n_words, dim) words' rows as often as they stand, zeros where a phrase has fewer.
    mean : (dim,) what is taken off. told : (n, dim) the sums at length 1. vectors : (n, dim) these
    less the mean, at length 1 again; zeros where no word is known.
    """

    def __init__(self, table: np.ndarray, mean: np.ndarray) -> None:
        self.table, self.mean = table, mean
        total = table.sum(axis=1)
        self.lengths = _lengths(total)
        self.told = total / self.lengths
        rest = self.told - mean
        rest[~total.any(axis=1)] = 0
        self.rests = _lengths(rest)
        self.vectors = rest / self.rests

    def parts(self, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The part of each word in the cosine with each item, and the part of the mean.

        items : (n, k, dim), for each phrase its own k of length 1. As a cosine is a sum over the
        words, all its parts, (n, k, n_words) and (n, k), add up to it.
        """
        words = items @ self.table.transpose(0, 2, 1) / (self.lengths * self.rests)[:, :, None]
        return words, items @ self.mean / -self.rests


def _lengths(rows: np.ndarray) -> np.ndarray:
    """Lengths of rows as a column, 1 for a row of zeros."""
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
    return np.where(lengths > 0, lengths, 1)
