"""The search itself, without any web: a phrase or a picture in, the best pictures out."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from mmfuse_utils.data.words import tokens
from mmfuse_utils.service.artefact import Artefact
from mmfuse_utils.service.eye import Eye
from mmfuse_utils.service.lexicon import Lexicon, Measured, Phrase
from mmfuse_utils.service.store import ExactStore, Store


class Hit(NamedTuple):
    """One found picture. word : what it owes most to, and how much; None where there is none."""

    rank: int
    id: str
    score: float
    title: str
    credit: str
    group: str
    word: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Answer:
    """How a query was read, how it was answered, and the hits, the best one first."""

    query: dict[str, Any]
    method: str
    hits: tuple[Hit, ...]


class Searcher:
    """Search an artefact, by phrase or by picture; several queries at once share their products.

    store : where the index lies, see `mmfuse_utils.service.store`; if not given, in memory. It
        must hold the artefact's rows under their items' ids.
    """

    def __init__(self, artefact: Artefact, store: Store | None = None) -> None:
        self.artefact, self.eye = artefact, Eye(artefact.facts["settings"])
        self.lexicon = Lexicon(artefact.words, artefact.word_rows, artefact.text_mean)
        self.method, self.groups = artefact.facts["method"], tuple(artefact.facts["groups"])
        if store is None:
            store = ExactStore(artefact.vectors.shape[1])
            fill(store, artefact)
        self.store = store
        self.own_words = lru_cache(100_000)(self._own_words)

    def by_phrase(self, phrase: str, k: int = 10, group: str | None = None) -> Answer:
        """The k pictures nearest to a phrase, all of them or those of one group."""
        return self.by_phrases([(phrase, k, group)])[0]

    def by_picture(self, picture: np.ndarray, k: int = 10, group: str | None = None) -> Answer:
        """The k pictures nearest to a picture (height, width, 3), uint8."""
        return self.by_pictures([(picture, k, group)])[0]

    def by_phrases(self, asked: Sequence[tuple[str, int, str | None]]) -> list[Answer]:
        """An answer to each (phrase, k, group)."""
        phrases = [self.lexicon.read(text) for text, _, _ in asked]
        measured = self.lexicon.measure(phrases)
        found = self._find(measured.vectors, [(k, group) for _, k, group in asked])
        owed = self._owed(phrases, measured, [ids for ids, _ in found])
        return [Answer({"kind": "phrase", "known": phrase.known, "unknown": phrase.unknown},
                       self.method, self._hits(ids, scores, words))
                for phrase, (ids, scores), words in zip(phrases, found, owed, strict=True)]

    def by_pictures(self, asked: Sequence[tuple[np.ndarray, int, str | None]]) -> list[Answer]:
        """An answer to each (picture, k, group)."""
        queries = self.embed_pictures([picture for picture, _, _ in asked])
        found = self._find(queries, [(k, group) for _, k, group in asked])
        answers = []
        for (picture, _, _), query, (ids, scores) in zip(asked, queries, found, strict=True):
            height, width, _ = picture.shape
            words = [self._nearest(query, name) for name in ids]
            answers.append(Answer({"kind": "picture", "width": width, "height": height},
                                  self.method, self._hits(ids, scores, words)))
        return answers

    def embed_pictures(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """A vector of length 1 a picture, in the space of the words: (n, dim)."""
        features, classes = self.eye.look(pictures)
        return place_pictures(self.artefact, features, classes)

    def _find(self, queries: np.ndarray, wanted: Sequence[tuple[int, str | None]]
              ) -> list[tuple[Sequence[str], Sequence[float]]]:
        """Ids and scores for each query; those of one group share a search."""
        found: list = [((), ())] * len(queries)
        told = queries.any(axis=1)
        for group in dict.fromkeys(group for _, group in wanted):
            rows = [row for row, (_, own) in enumerate(wanted) if own == group and told[row]]
            if rows:
                most = max(wanted[row][0] for row in rows)
                ids, scores = self.store.search(queries[rows], most, group)
                for row, own, cosines in zip(rows, ids.tolist(), rounded(scores, 4), strict=True):
                    k = wanted[row][0]
                    found[row] = own[:k], cosines[:k]
        return found

    def _hits(self, ids: Sequence[str], scores: Sequence[float], words: Sequence[dict | None]
              ) -> tuple[Hit, ...]:
        items, rows = self.artefact.items, self.artefact.rows
        found = []
        for rank, (name, score, word) in enumerate(zip(ids, scores, words, strict=True), 1):
            item = items[rows[name]]
            found.append(Hit(rank, name, score, item["title"], item["credit"], item["group"],
                             word))
        return tuple(found)

    def _owed(self, phrases: Sequence[Phrase], measured: Measured, found: Sequence[Sequence[str]]
              ) -> list[list[dict | None]]:
        """The word of a phrase to which each of its hits owes most, and its share of what adds."""
        most, rows = max(map(len, found), default=0), self.artefact.rows
        if most == 0:
            return [[] for _ in found]
        places = np.zeros((len(found), most), np.intp)
        for i, ids in enumerate(found):
            places[i, :len(ids)] = [rows[name] for name in ids]
        gain = np.maximum(measured.parts(self.artefact.vectors[places])[0], 0)
        best = gain.argmax(axis=2)
        largest = np.take_along_axis(gain, best[..., None], 2)[..., 0]
        shares = rounded(largest / np.maximum(gain.sum(axis=2), 1e-12), 3)
        return [[{"text": phrase.known[word], "share": share} if share > 0 else None
                 for word, share, _ in zip(words, parts, ids, strict=False)]
                for phrase, words, parts, ids in zip(phrases, best.tolist(), shares, found,
                                                     strict=True)]

    def _nearest(self, query: np.ndarray, name: str) -> dict | None:
        """The word of an item's title and keywords that is nearest to a picture."""
        words, rows = self.own_words(name)
        if not words:
            return None
        cosines = rows @ query
        best = int(cosines.argmax())
        return {"text": words[best], "cosine": round(float(cosines[best]), 4)}

    def _own_words(self, name: str) -> tuple[tuple[str, ...], np.ndarray]:
        """The known words of an item's title and keywords, and a vector of each."""
        item = self.artefact.items[self.artefact.rows[name]]
        said = tokens(" ".join((item["title"], *item["keywords"])))
        words = tuple(word for word in dict.fromkeys(said) if word in self.lexicon.place)
        return words, self.lexicon.embed(words)


def fill(store: Store, artefact: Artefact) -> None:
    """Put an artefact's index into a store: its items' ids, rows and groups."""
    store.add([item["id"] for item in artefact.items], artefact.vectors,
              [item["group"] for item in artefact.items])


def rounded(values: np.ndarray, digits: int) -> list:
    """Numbers as lists, as few digits as are of use.

    >>> rounded(np.array([[0.123456]], np.float32), 3)
    [[0.123]]
    """
    return np.round(values.astype(float), digits).tolist()


def place_pictures(artefact: Artefact, features: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Where pictures lie among the words: (n, dim), rows of length 1.

    The place is the sum of two guesses, each of length 1 before its weight: what the map makes of
    the features, and the mean of the class names, softened by a temperature, as `ConSE` has it.
    """
    settings = artefact.facts["settings"]
    weight, root = settings["names_weight"], 1 / settings["temperature"]
    mapped = (0 if weight == 1 else     # then nothing was learned, and there is no map
              _unit((np.float32(features) - artefact.feature_mean) @ artefact.coef))
    soft = (classes / classes.max(axis=1, keepdims=True)) ** root
    named = soft / soft.sum(axis=1, keepdims=True) @ artefact.class_names - artefact.names_mean
    return _unit((1 - weight) * mapped + weight * _unit(named)).astype(np.float32)


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1)
