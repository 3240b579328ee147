"""Fisher vectors: a bag of word vectors as the pull it exerts on a mixture of Gaussians."""

from collections.abc import Sequence
from itertools import chain

import numpy as np
from gensim.models import KeyedVectors
from scipy import sparse
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture

from mmfuse_utils.retrieval import unit_rows
from mmfuse_utils.text import check_tokens


class FisherVectors:
    """Captions as Fisher vectors of their word vectors: (n, 2 * n_components * dim).

    n_components, dim : Gaussians of the mixture; numbers that a word vector keeps (by PCA).
    seed : of the mixture's start.

    A mixture of Gaussians with diagonal covariances is fitted to the word vectors of all training
    tokens. A caption is then described by the direction in which its words would move the means
    and the standard deviations of that mixture: the gradient of its words' mean log-likelihood,
    each entry divided by the square root of its (approximate) Fisher information. What the mixture
    already expects gives zeros; two captions with equal means can differ. Then each entry's root
    is taken, with its sign, and the length is made 1.

    Source: Perronnin and Dance (2007); Perronnin et al. (2010) for roots and length; Klein et al.
    (2015) for captions.

    >>> vectors = KeyedVectors(2); vectors.add_vectors(["a", "b", "c"], [[1, 0], [0, 1], [1, 1]])
    >>> fisher = FisherVectors(n_components=1, dim=2).fit([["a", "b"], ["c"]], vectors)
    >>> fisher.transform([["a"], []]).shape
    (2, 4)
    """

    def __init__(self, n_components: int = 30, dim: int = 100, seed: int = 0) -> None:
        self.n_components, self.dim, self.seed = n_components, dim, seed

    def fit(self, captions: Sequence[Sequence[str]], vectors: KeyedVectors) -> "FisherVectors":
        """Fit PCA and mixture to all tokens of captions (lists of tokens) that have a vector.

        Raises TypeError for plain text, ValueError for fewer known tokens than Gaussians.
        """
        tokens = [word for word in chain.from_iterable(check_tokens(captions)) if word in vectors]
        if len(tokens) < self.n_components:
            raise ValueError(f"{self.n_components} Gaussians need as many words with a vector; "
                             f"got {len(tokens)}.")
        self.words_ = {word: row for row, word in enumerate(vectors.index_to_key)}
        table = unit_rows(vectors.vectors.astype(float))    # single precision ends too early
        rows = np.array([self.words_[word] for word in tokens])
        self.pca_ = PCA(self.dim, svd_solver="full").fit(table[rows])
        self.numbers_ = self.pca_.transform(table)
        self.mixture_ = GaussianMixture(self.n_components, covariance_type="diag", reg_covar=1e-5,
                                        random_state=self.seed, max_iter=200)
        self.mixture_.fit(self.numbers_[rows])
        return self

    def transform(self, captions: Sequence[Sequence[str]]) -> np.ndarray:
        """Fisher vectors of captions, float32; a caption without a known word gets zeros."""
        rows = [[self.words_[word] for word in words if word in self.words_]
                for words in check_tokens(captions)]
        used, place = np.unique(np.array([*chain.from_iterable(rows)], int), return_inverse=True)
        lengths = np.array([len(row) for row in rows])
        starts = np.concatenate([[0], np.cumsum(lengths)])
        mean = sparse.csr_array((np.repeat(1 / np.maximum(lengths, 1), lengths), place, starts),
                                shape=(len(rows), len(used)))
        # The gradient of a mean is the mean of the gradients: each word's is worked out once.
        found = mean.astype(np.float32) @ self.gradients(self.numbers_[used])
        return unit_rows(np.sign(found) * np.sqrt(np.abs(found)))

    def gradients(self, words: np.ndarray) -> np.ndarray:
        """Of each word's log-likelihood by means, then by standard deviations, scaled.

        words : (n_words, dim), after PCA. Returns (n_words, 2 * n_components * dim), float32.
        """
        mix = self.mixture_
        share = mix.predict_proba(words) if len(words) else np.zeros((0, self.n_components))
        share = (share / np.sqrt(mix.weights_)).astype(np.float32)
        found = np.empty((len(words), 2, self.n_components, self.dim), np.float32)
        for k, (mean, variance) in enumerate(zip(mix.means_, mix.covariances_, strict=True)):
            away = (words - mean) / np.sqrt(variance)
            found[:, 0, k] = share[:, [k]] * away
            found[:, 1, k] = share[:, [k]] * (away**2 - 1) / np.sqrt(2)
        return found.reshape(len(words), -1)
