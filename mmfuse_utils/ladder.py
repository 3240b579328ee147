"""The rungs of the ladder: each method fitted on one split, its settings chosen there.

A fitted rung is a function from concepts and pictures (row numbers of the collection) to their
similarity, so that every rung is validated, tested and added to another in the same way. All
texts of a concept count as one, a photograph's captions too, and its pictures alone are right.
Where each caption asks by itself, see `text.caption_tokens` and `Collection.right_answers`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from gensim.models import KeyedVectors
from sklearn.feature_extraction.text import TfidfVectorizer

from mmfuse_utils import text, vision
from mmfuse_utils.data import Collection
from mmfuse_utils.data.collection import Split
from mmfuse_utils.fusion import ConSE, KernelMap, LateFusion, RegularizedCCA, RidgeMap
from mmfuse_utils.metrics import mean_reciprocal_rank, ranks
from mmfuse_utils.retrieval import unit_rows

NETWORKS = ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2")
# Wide enough that on most splits the best value lies inside.
PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
WEIGHTS, TEMPERATURES = (0.125, 0.25, 0.5, 1.0, 2.0), (1.0, 2.0, 4.0, 8.0, 16.0)
WORD_WEIGHTS = (0.25, 0.5, 1.0, 2.0)

Rung = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Texts:
    """Vectors of the concepts' texts and of the ImageNet class names: (n, dim), (1000, dim)."""

    concepts: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Task:
    """A collection and one split of it: what to train on, what to choose on, what to report.

    styles : art styles of the pictures to train and to choose on; all if not given.

    Raises ValueError where a part of the split is needed that is empty.
    """

    emoji: Collection
    split: Split
    salt: int
    styles: Sequence[str] | None = None

    @cached_property
    def train(self) -> np.ndarray:
        """Picture rows of the training concepts, of all styles or of `styles`: (n_pairs,)."""
        _need(self.split.train, "train on")
        table = self.emoji.pictures
        taken = np.isin(table.concept_row, self.split.train)
        if self.styles is not None:
            taken &= np.isin(table.style, self.styles)
        return np.flatnonzero(taken)

    @cached_property
    def pairs(self) -> np.ndarray:
        """The concept of each training picture: (n_pairs,)."""
        return self.emoji.pictures.concept_row[self.train]

    @cached_property
    def held(self) -> tuple[np.ndarray, np.ndarray]:
        """Validation concepts and their gallery, one picture each."""
        _need(self.split.validation, "choose settings on")
        rows = self.emoji.gallery(self.split.validation, self.salt, self.styles)
        return self.split.validation, rows

    @cached_property
    def test(self) -> tuple[np.ndarray, np.ndarray]:
        """Test concepts and their gallery, one picture each."""
        _need(self.split.test, "test on")
        return self.split.test, self.emoji.gallery(self.split.test, self.salt)

    def score(self, rung: Rung) -> float:
        """Mean reciprocal rank on the validation concepts, by which settings are chosen."""
        return mean_reciprocal_rank(ranks(rung(*self.held), np.arange(len(self.held[0]))))

    def choose(self, rungs: Iterable[Rung]) -> Rung:
        """The rung that does best on the validation concepts."""
        return max(rungs, key=self.score)


def _need(concepts: np.ndarray, use: str) -> None:
    if len(concepts) == 0:
        raise ValueError(f"The split has no concepts to {use}; draw one that has: "
                         "split(test=0.2, validation=0.1).")


def mean_texts(emoji: Collection, vectors: KeyedVectors) -> Texts:
    """The mean word vector of each concept's name and keywords, and of each class name.

    Of photographs, the mean over the words of all their captions. Raises ValueError where a
    concept has no words in English.
    """
    labels = [text.tokenize(label) for label in vision.imagenet_labels()]
    return Texts(text.sentence_vectors(_words(emoji), vectors),
                 text.sentence_vectors(labels, vectors))


def _words(emoji: Collection) -> list[list[str]]:
    """English tokens of each concept, as the class names are English."""
    tokens = text.concept_tokens(emoji)
    silent = [name for name, words in zip(emoji.ids, tokens, strict=True) if not words]
    if silent:
        raise ValueError(f"{len(silent)} of {len(emoji)} concepts have no words in English, such "
                         f"as {', '.join(silent[:3])}: leave them out, or give them some.")
    return tokens


def words_themselves(task: Task) -> Texts:
    """Which words occur, without their meaning: TF-IDF rows, (n, n_words), float32.

    The words, and how rare they are, come from training texts and class names alone.
    """
    tokens = _words(task.emoji)
    labels = [text.tokenize(label) for label in vision.imagenet_labels()]
    model = TfidfVectorizer(analyzer=list, dtype=np.float32)
    model.fit([*(tokens[row] for row in task.split.train), *labels])
    return Texts(model.transform(tokens).toarray(), model.transform(labels).toarray())


def join(first: Texts, second: Texts, weight: float) -> Texts:
    """Both vectors side by side, the second one `weight` times as long, at length 1."""
    def side_by_side(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return unit_rows(np.hstack([a, weight * b])).astype(np.float32)
    return Texts(side_by_side(first.concepts, second.concepts),
                 side_by_side(first.labels, second.labels))


def three_networks(emoji: Collection) -> tuple[np.ndarray, np.ndarray]:
    """What `NETWORKS` say of each picture: features (n_pictures, 3840), classes (.., 1000).

    Features are square roots, so that a few loud channels do not drown the others; class
    probabilities are the networks' geometric mean.
    """
    features, logs = [], []
    for name in NETWORKS:
        backbone = vision.load_backbone(name)
        rows = vision.picture_features(emoji, backbone)
        features.append(np.sqrt(np.maximum(rows, 0)))
        logs.append(np.log(vision.class_probabilities(rows, backbone) + 1e-30))
    opinion = np.exp(np.mean(logs, axis=0))
    return np.hstack(features), opinion / opinion.sum(axis=1, keepdims=True)


def ridge(task: Task, texts: Texts, images: np.ndarray, direction: str) -> Rung:
    """A ridge map in one direction."""
    return task.choose(_joint(RidgeMap(alpha, direction), task, texts, images)
                       for alpha in PENALTIES)


def cca(task: Task, texts: Texts, images: np.ndarray, dim: int = 64) -> Rung:
    """Regularized canonical correlation analysis; dim : directions, fewer than training texts."""
    return task.choose(_joint(RegularizedCCA(dim, reg), task, texts, images) for reg in PENALTIES)


def kernel(task: Task, texts: Texts, images: np.ndarray,
           penalties: Sequence[float] = PENALTIES) -> Rung:
    """Kernel ridge regression from pictures to texts."""
    return task.choose(_joint(KernelMap(alpha), task, texts, images) for alpha in penalties)


def _joint(model: RidgeMap | RegularizedCCA | KernelMap, task: Task, texts: Texts,
           images: np.ndarray) -> Rung:
    model.fit(texts.concepts[task.pairs], images[task.train])
    return lambda concepts, pictures: model.similarity(texts.concepts[concepts], images[pictures])


def conse(texts: Texts, probabilities: np.ndarray) -> Rung:
    """ConSE as published: the ten most probable classes, nothing to choose."""
    model = ConSE().fit(texts.labels)
    return lambda concepts, pictures: model.similarity(texts.concepts[concepts],
                                                       probabilities[pictures])


def soft_conse(task: Task, texts: Texts, probabilities: np.ndarray) -> Rung:
    """ConSE with all classes, evened out by a temperature, and centered on the training set."""
    def rung(temperature: float) -> Rung:
        model = ConSE(probabilities.shape[1], temperature, center=True)
        model.fit(texts.labels, texts.concepts[task.split.train], probabilities[task.train])
        return lambda concepts, pictures: model.similarity(texts.concepts[concepts],
                                                           probabilities[pictures])
    return task.choose(rung(temperature) for temperature in TEMPERATURES)


def add_scores(task: Task, first: Rung, second: Rung) -> Rung:
    """The first rung's similarity plus a share of the second's."""
    def rung(weight: float) -> Rung:
        return lambda concepts, pictures: (first(concepts, pictures)
                                           + weight * second(concepts, pictures))
    return task.choose(rung(weight) for weight in WEIGHTS)


def late_fusion(task: Task, rungs: Sequence[Rung]) -> Rung:
    """Standardized scores, added with weights from the validation concepts."""
    model = LateFusion().fit([rung(*task.held) for rung in rungs], np.arange(len(task.held[0])))
    return lambda concepts, pictures: model.similarity([rung(concepts, pictures)
                                                        for rung in rungs])


def kernel_and_labels(task: Task, texts: Texts, images: np.ndarray, probabilities: np.ndarray,
                      penalties: Sequence[float] = PENALTIES) -> Rung:
    """What was learned from pairs plus what the class names say."""
    return add_scores(task, kernel(task, texts, images, penalties),
                      soft_conse(task, texts, probabilities))


def with_words(task: Task, texts: Texts, images: np.ndarray, probabilities: np.ndarray) -> Rung:
    """The same with the words themselves beside the vectors, and their weight chosen.

    The penalty is fixed at 1, to save the time of choosing it for each weight.
    """
    words = words_themselves(task)
    return task.choose(kernel_and_labels(task, join(texts, words, weight), images, probabilities,
                                         (1.0,)) for weight in WORD_WEIGHTS)
