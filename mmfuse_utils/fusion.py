"""Estimators that join two modalities: fit on pairs, then compare texts with pictures."""

from collections.abc import Sequence
from itertools import product
from typing import Self

import numpy as np
from scipy import linalg
from sklearn.base import BaseEstimator
from sklearn.metrics.pairwise import euclidean_distances, rbf_kernel
from sklearn.utils.validation import check_is_fitted

from mmfuse_utils.estimators import (JointSpace, check_positive, check_table, check_variety,
                                     solve_penalized)
from mmfuse_utils.metrics import check_count, check_finite, mean_reciprocal_rank, ranks
from mmfuse_utils.retrieval import unit_rows


class RidgeMap(JointSpace):
    """A linear map from one modality to the other, by least squares with a penalty.

    alpha : penalty on the map's squared entries, as a multiple of the mean squared length of the
        mapped modality's centered columns, so that it does not depend on their scale.
    direction : "text_to_image" maps texts among the pictures, "image_to_text" the reverse.

    Source: Hoerl and Kennard (1970); Socher et al. (2013) for pictures to words by squared error.

    >>> rng = np.random.default_rng(0)
    >>> text = rng.normal(size=(50, 3)); image = text @ rng.normal(size=(3, 5))
    >>> RidgeMap(alpha=1e-6).fit(text, image).similarity(text, image).argmax(1)[:4].tolist()
    [0, 1, 2, 3]
    """

    def __init__(self, alpha: float = 1.0, direction: str = "text_to_image") -> None:
        self.alpha, self.direction = alpha, direction

    def fit(self, text: np.ndarray, image: np.ndarray) -> Self:
        """Learn the map from pairs: text (n, dim_text), image (n, dim_image).

        Raises ValueError when the rows do not pair, a setting makes no sense, or all rows of the
        modality that is mapped are the same.
        """
        text, image = self._check_pairs(text, image)
        if self.direction not in ("text_to_image", "image_to_text"):
            raise ValueError('direction must be "text_to_image" or "image_to_text"; got '
                             f"{self.direction!r}.")
        check_positive("alpha", self.alpha)
        check_variety(*((text, "text") if self.direction == "text_to_image" else (image, "image")))
        self.text_mean_, self.image_mean_ = text.mean(axis=0), image.mean(axis=0)
        source, target = text - self.text_mean_, image - self.image_mean_
        if self.direction == "image_to_text":
            source, target = target, source
        self.coef_ = _ridge(source, target, self.alpha * np.sum(source**2) / source.shape[1])
        self._is_fitted = True
        return self

    def embed_text(self, text: np.ndarray) -> np.ndarray:
        """Unit rows in the space that the map leads to: (n, dim)."""
        rows = self._check_text(text) - self.text_mean_
        return unit_rows(rows @ self.coef_ if self.direction == "text_to_image" else rows)

    def embed_image(self, image: np.ndarray) -> np.ndarray:
        """Unit rows in the space that the map leads to: (n, dim)."""
        rows = self._check_image(image) - self.image_mean_
        return unit_rows(rows @ self.coef_ if self.direction == "image_to_text" else rows)


def _ridge(source: np.ndarray, target: np.ndarray, penalty: float) -> np.ndarray:
    few = len(source) < source.shape[1]     # then a smaller system leads to the same map
    gram = source @ source.T if few else source.T @ source
    gram[np.diag_indices_from(gram)] += penalty
    return (source.T @ solve_penalized(gram, target) if few
            else solve_penalized(gram, source.T @ target))


class KernelMap(JointSpace):
    """Ridge regression from pictures to texts that bends: a kernel in place of the features.

    alpha : penalty added to the kernel's diagonal, whose entries are 1.

    A new picture becomes a weighted sum of the training texts, and the weights come from its
    Gaussian kernel with the training pictures, exp(-gamma * squared distance); gamma is one over
    the median squared distance between training pictures.

    Source: Saunders, Gammerman and Vovk (1998).

    >>> rng = np.random.default_rng(0)
    >>> text = rng.normal(size=(50, 3)); image = text @ rng.normal(size=(3, 5))
    >>> KernelMap(alpha=1e-3).fit(text, image).similarity(text, image).argmax(1)[:4].tolist()
    [0, 1, 2, 3]
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def fit(self, text: np.ndarray, image: np.ndarray) -> Self:
        """Learn the map from pairs: text (n, dim_text), image (n, dim_image).

        Raises ValueError when the rows do not pair, most pictures are the same or alpha is not
        positive.
        """
        text, image = self._check_pairs(text, image)
        check_positive("alpha", self.alpha)
        check_variety(image, "image")
        distances = euclidean_distances(image, squared=True)
        median = float(np.median(distances[np.tri(len(image), k=-1, dtype=bool)]))
        if not median > 0:
            raise ValueError("Most of the image rows are the same: no distance sets the width.")
        self.gamma_, self.image_, self.text_mean_ = 1 / median, image, text.mean(axis=0)
        kernel = np.exp(distances * -self.gamma_)
        kernel[np.diag_indices_from(kernel)] += self.alpha
        self.dual_coef_ = solve_penalized(kernel, text - self.text_mean_)
        self._is_fitted = True
        return self

    def embed_text(self, text: np.ndarray) -> np.ndarray:
        """Unit rows in the space of texts: (n, dim_text)."""
        return unit_rows(self._check_text(text) - self.text_mean_)

    def embed_image(self, image: np.ndarray) -> np.ndarray:
        """Unit rows in the space of texts: (n, dim_text)."""
        image = self._check_image(image)
        return unit_rows(rbf_kernel(image, self.image_, gamma=self.gamma_) @ self.dual_coef_)


class RegularizedCCA(JointSpace):
    """Canonical correlation analysis: directions of both modalities that agree the most.

    dim : number of directions kept.
    reg : added to each modality's covariance, as a multiple of its mean variance.

    Each direction is weighted by its singular value, its correlation but for the penalty.
    Source: Hotelling (1936); Hardoon et al. (2004) for the regularized form.
    """

    def __init__(self, dim: int = 64, reg: float = 0.1) -> None:
        self.dim, self.reg = dim, reg

    def fit(self, text: np.ndarray, image: np.ndarray) -> Self:
        """Learn the directions from pairs: text (n, dim_text), image (n, dim_image).

        Raises ValueError when the rows do not pair, reg is not positive, or the rows of one
        modality differ in fewer directions than `dim`.
        """
        text, image = self._check_pairs(text, image)
        check_count("dim", self.dim)
        check_positive("reg", self.reg)
        check_variety(text, "text")
        check_variety(image, "image")
        self.text_mean_, self.image_mean_ = text.mean(axis=0), image.mean(axis=0)
        text, image = text - self.text_mean_, image - self.image_mean_
        whiten_text, whiten_image = self._whitener(text, "text"), self._whitener(image, "image")
        cross = whiten_text.T @ (text.T @ image / len(text)) @ whiten_image
        left, correlations, right = linalg.svd(cross, full_matrices=False)
        self.correlations_ = correlations[:self.dim]
        self.text_coef_ = whiten_text @ left[:, :self.dim] * self.correlations_
        self.image_coef_ = whiten_image @ right[:self.dim].T * self.correlations_
        self._is_fitted = True
        return self

    def _whitener(self, rows: np.ndarray, name: str) -> np.ndarray:
        n, dim = rows.shape
        penalty = self.reg * np.sum(rows**2) / (n * dim)
        few = n < dim           # then the n by n matrix has the same eigenvalues
        values, vectors = linalg.eigh((rows @ rows.T if few else rows.T @ rows) / n)
        kept = values > values[-1] * max(rows.shape) * np.finfo(values.dtype).eps
        if self.dim > min(kept.sum(), n - 1):
            raise ValueError(f"dim must be at most {min(kept.sum(), n - 1)} here: the {n} {name} "
                             f"rows differ in no more directions; got {self.dim}.")
        if few:
            values = values[kept]
            vectors = rows.T @ vectors[:, kept] / np.sqrt(n * values)
        return vectors / np.sqrt(np.maximum(values, 0) + penalty)

    def embed_text(self, text: np.ndarray) -> np.ndarray:
        """Unit rows in the joint space: (n, dim)."""
        return unit_rows((self._check_text(text) - self.text_mean_) @ self.text_coef_)

    def embed_image(self, image: np.ndarray) -> np.ndarray:
        """Unit rows in the joint space: (n, dim)."""
        return unit_rows((self._check_image(image) - self.image_mean_) @ self.image_coef_)


class ConSE(JointSpace):
    """Convex combination of semantic embeddings: a picture is the mean of its labels' vectors.

    n_labels : how many of the most probable classes take part. Nothing is trained on pairs.
    temperature : above 1, probabilities become more even (they are raised to 1 / temperature),
        so that the less probable classes have a say.
    center : whether to remove from texts and pictures the means of those given to `fit`.

    Source: Norouzi et al. (2014); Guo et al. (2017) for the temperature.
    """

    def __init__(self, n_labels: int = 10, temperature: float = 1.0, center: bool = False) -> None:
        self.n_labels, self.temperature, self.center = n_labels, temperature, center

    def fit(self, label_vectors: np.ndarray, text: np.ndarray | None = None,
            probabilities: np.ndarray | None = None) -> Self:
        """Keep the classes' word vectors: (n_classes, dim). No pairs are needed.

        text (n, dim), probabilities (m, n_classes) : what to center on, where `center` is set;
            they need not belong together.

        Raises ValueError when they are missing although `center` is set, when n_labels is not
        between 1 and the number of classes, or temperature is not positive.
        """
        if self.center and (text is None or probabilities is None):
            raise ValueError("ConSE with center=True needs texts and class probabilities to "
                             "center on: call fit(label_vectors, text, probabilities).")
        self._is_fitted = False
        self.label_vectors_ = check_table("label_vectors", label_vectors)
        self.n_image_features_in_, self.n_features_in_ = self.label_vectors_.shape
        check_count("n_labels", self.n_labels, most=self.n_image_features_in_)
        check_positive("temperature", self.temperature)
        self.text_mean_ = self.image_mean_ = 0.0
        self._is_fitted = True
        if self.center:
            self.text_mean_ = self._check_text(text).mean(axis=0)
            self.image_mean_ = self._mix(probabilities).mean(axis=0)
        return self

    def _mix(self, probabilities: np.ndarray) -> np.ndarray:
        probabilities = self._check_image(probabilities)
        if (probabilities < 0).any() or not probabilities.any(axis=1).all():
            raise ValueError("Class probabilities are 0 or more, and not all 0 in any row.")
        floor = np.partition(probabilities, -self.n_labels, axis=1)[:, [-self.n_labels]]
        kept = np.where(probabilities >= floor, probabilities, 0)
        kept = (kept / kept.max(axis=1, keepdims=True)) ** (1 / self.temperature)
        return kept / kept.sum(axis=1, keepdims=True) @ self.label_vectors_

    def embed_text(self, text: np.ndarray) -> np.ndarray:
        """Unit rows in the space of word vectors: (n, dim)."""
        return unit_rows(self._check_text(text) - self.text_mean_)

    def embed_image(self, probabilities: np.ndarray) -> np.ndarray:
        """Unit rows from class probabilities (n, n_classes), not from features: (n, dim)."""
        return unit_rows(self._mix(probabilities) - self.image_mean_)


class LateFusion(BaseEstimator):
    """A weighted sum of several methods' similarities, each standardized for each query.

    steps : how finely the weights are tried: multiples of 1 / steps that add up to 1.
    """

    def __init__(self, steps: int = 10) -> None:
        self.steps = steps

    def fit(self, similarities: Sequence[np.ndarray], relevant: np.ndarray) -> Self:
        """Choose the weights with the best mean reciprocal rank, on validation queries.

        similarities : one (n_queries, n_items) a method. relevant : see `metrics.ranks`.

        Raises ValueError when there is none, their shapes differ, or a similarity is no number.
        """
        check_count("steps", self.steps)
        scaled = _standardize_all(similarities)
        grid = [weights for weights in product(range(self.steps + 1), repeat=len(scaled))
                if sum(weights) == self.steps]

        def score(weights: tuple[int, ...]) -> float:
            fused = sum(w * s for w, s in zip(weights, scaled, strict=True))
            return mean_reciprocal_rank(ranks(fused, relevant))

        self.weights_ = np.array(max(grid, key=score)) / self.steps
        return self

    def similarity(self, similarities: Sequence[np.ndarray]) -> np.ndarray:
        """The fused similarity, methods in the order of `fit`: (n_queries, n_items)."""
        check_is_fitted(self)
        scaled = _standardize_all(similarities)
        if len(scaled) != len(self.weights_):
            raise ValueError(f"This LateFusion was fitted on {len(self.weights_)} methods; got "
                             f"similarities of {len(scaled)}.")
        return sum(weight * table for weight, table in zip(self.weights_, scaled, strict=True))


def _standardize_all(similarities: Sequence[np.ndarray]) -> list[np.ndarray]:
    scaled = [standardize(similarity) for similarity in similarities]
    shapes = [table.shape for table in scaled]
    if len(set(shapes)) != 1:
        raise ValueError("Late fusion needs the similarities of one method or more, all of one "
                         f"shape (n_queries, n_items); got shapes {shapes}.")
    return scaled


def standardize(similarity: np.ndarray) -> np.ndarray:
    """Each row less its mean, divided by its standard deviation; a constant row becomes 0.

    Raises ValueError when a similarity is infinite or not a number.

    >>> standardize(np.array([[1.0, 3.0]])).tolist()
    [[-1.0, 1.0]]
    """
    similarity = check_finite(similarity)
    spread = similarity.std(axis=1, keepdims=True)
    rounding = 1e-6 * np.abs(similarity).max(axis=1, keepdims=True)  # equal, but for rounding
    centered = similarity - similarity.mean(axis=1, keepdims=True)
    return np.where(spread > rounding, centered / np.where(spread > 0, spread, 1), 0)
