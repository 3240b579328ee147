"""Skip-gram with negative sampling in NumPy: the program built in chapter 2.

Source: Mikolov et al., "Distributed Representations of Words and Phrases and their
Compositionality", 2013. Where we leave the original program is said in each docstring.
"""

import difflib
from collections import Counter
from collections.abc import Iterable, Sequence
from numbers import Integral, Real

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from tqdm.auto import tqdm

TOKENS_PER_BLOCK = 8192  # pairs are made, shuffled and dropped block by block


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), by way of tanh, which cannot overflow.

    >>> sigmoid(np.array([-1e4, 0.0, 1e4])).tolist()
    [0.0, 0.5, 1.0]
    """
    return 0.5 * (1 + np.tanh(0.5 * x))


def log_sigmoid(x: np.ndarray) -> np.ndarray:
    """Logarithm of `sigmoid`, exact where the sigmoid itself rounds to zero.

    >>> log_sigmoid(np.array([-1e4, 0.0])).round(3).tolist()
    [-10000.0, -0.693]
    """
    return -np.logaddexp(0, -x)


def window_pairs(words: np.ndarray, sentences: np.ndarray, reach: np.ndarray):
    """All (center, context) pairs: positions j != i of one sentence with |i - j| <= reach[i].

    words, sentences, reach : (n_tokens,) word row, sentence number, half-width of the window.
    Returns two (n_pairs,) arrays of word rows.

    >>> centers, contexts = window_pairs(np.array([7, 8, 9]), np.zeros(3), np.array([1, 2, 1]))
    >>> sorted(zip(centers.tolist(), contexts.tolist()))
    [(7, 8), (8, 7), (8, 9), (9, 8)]
    """
    centers, contexts = [words[:0]], [words[:0]]
    for d in range(1, int(reach.max(initial=0)) + 1):
        left, right, together = words[:-d], words[d:], sentences[:-d] == sentences[d:]
        for near, far, width in ((left, right, reach[:-d]), (right, left, reach[d:])):
            keep = together & (width >= d)
            centers.append(near[keep])
            contexts.append(far[keep])
    return np.concatenate(centers), np.concatenate(contexts)


def sgd_step(vectors, context_vectors, centers, contexts, negatives, learning_rate) -> np.ndarray:
    """One minibatch of stochastic gradient descent, in place; returns each pair's loss before it.

    vectors, context_vectors : (n_words, dim) float; centers, contexts : (n_pairs,) word rows;
    negatives : (n_pairs, k) word rows; one equal to the pair's context is not counted.

    The gradients of a word that occurs several times in the batch are summed, and its step is
    `learning_rate` as long as that is below 1 / L, else 1 / L. Here L = (sum of |other|^2) / 4,
    over the vectors that the word meets in the batch, bounds the curvature of the loss, so a
    longer step could overshoot. Since |gradient| <= sqrt(4 n L) for n meetings, no step moves
    a vector by more than sqrt(4 n learning_rate): nothing here can overflow or become NaN.

    >>> v, u = np.array([[1.0, 0.0], [0.0, 1.0]]), np.zeros((2, 2))
    >>> sgd_step(v, u, np.array([0]), np.array([1]), np.array([[0]]), 0.1).round(3).tolist()
    [1.386]
    >>> u.round(3).tolist()                         # the context comes closer, the noise goes
    [[-0.05, 0.0], [0.05, 0.0]]
    """
    targets = np.column_stack([contexts, negatives])            # (n_pairs, 1 + k)
    rows, met = _compact(targets, len(context_vectors))         # only the rows in this batch
    center_rows, center_met = _compact(centers, len(vectors))
    v, u = vectors[center_rows], context_vectors[rows]
    scores = np.einsum("pd,pkd->pk", v[center_met], u[met])
    counted = np.ones(targets.shape, scores.dtype)
    counted[:, 1:] = negatives != contexts[:, None]
    sign = np.full(targets.shape[1], -1, scores.dtype)
    sign[0] = 1                                                 # one context, then k noise words
    error = -sign * sigmoid(-sign * scores) * counted           # d loss / d score
    meetings = (np.repeat(center_met, targets.shape[1]), met.ravel())
    shape = (len(center_rows), len(rows))
    errors = csr_matrix((error.ravel(), meetings), shape)       # sums what meets twice
    times = csr_matrix((counted.ravel(), meetings), shape)
    rate_v = _safe_rate(times @ np.square(u).sum(1), learning_rate)
    rate_u = _safe_rate(times.T @ np.square(v).sum(1), learning_rate)
    vectors[center_rows] -= rate_v * (errors @ u)
    context_vectors[rows] -= rate_u * (errors.T @ v)
    return -(log_sigmoid(sign * scores) * counted).sum(1)


def _compact(words: np.ndarray, n_words: int) -> tuple[np.ndarray, np.ndarray]:
    """The distinct words and, for each entry, where it stands among them (no sorting)."""
    present = np.zeros(n_words, bool)
    present[words] = True
    rows = np.flatnonzero(present)
    place = np.empty(n_words, np.int32)
    place[rows] = np.arange(len(rows), dtype=np.int32)
    return rows, place[words]


def _safe_rate(squares: np.ndarray, learning_rate: float) -> np.ndarray:
    """min(learning_rate, 4 / sum of squares) as a column."""
    return (learning_rate / np.maximum(1, learning_rate * squares / 4))[:, None]


class SkipGram(BaseEstimator):
    """Word vectors by skip-gram with negative sampling.

    dim, window : length of a vector; widest reach of the context window, in tokens. Each
        token draws its own reach from 1 to window.
    negatives, noise_power : noise words a pair, drawn with chances count ** noise_power.
    epochs, learning_rate, batch_size : passes over the corpus, step size at the start (falls
        linearly to nothing), pairs in one minibatch.
    min_count, subsample : rarer words are dropped; a token of a word with share f of the
        corpus is kept with chance sqrt(subsample / f) + subsample / f, as in the original
        program (the paper has the first term alone). 0 keeps all.
    seed, progress : all randomness comes from the seed; progress shows a bar.

    Learned: vocabulary_ (words, most frequent first), counts_ (n_words,), vectors_ and
    context_vectors_ (n_words, dim) float32, losses_ (n_batches,) mean loss of a pair.

    >>> model = SkipGram(dim=8, min_count=1, subsample=0, epochs=2, progress=False)
    >>> model.fit([["red", "apple"], ["green", "apple"]] * 5).vectors_.shape
    (3, 8)
    >>> model.most_similar("aple", 1)
    Traceback (most recent call last):
    KeyError: "'aple' is not in the vocabulary of 3 words; near in spelling: apple"
    """

    def __init__(self, dim=100, window=5, negatives=5, epochs=5, learning_rate=0.025, min_count=5,
                 subsample=1e-3, noise_power=0.75, batch_size=1024, seed=0, progress=True):
        self.dim, self.window, self.negatives, self.epochs = dim, window, negatives, epochs
        self.learning_rate, self.min_count, self.subsample = learning_rate, min_count, subsample
        self.noise_power, self.batch_size, self.seed = noise_power, batch_size, seed
        self.progress = progress

    def fit(self, sentences: Iterable[Sequence[str]], y=None) -> "SkipGram":
        """Learn from lists of tokens. Raises ValueError or TypeError with what was expected."""
        self._check_settings()
        words, sentence = self._read(sentences)
        rng = np.random.default_rng(self.seed)
        shape = (len(self.vocabulary_), self.dim)
        self.vectors_ = ((rng.random(shape) - 0.5) / self.dim).astype(np.float32)
        self.context_vectors_, self.losses_ = np.zeros(shape, np.float32), []
        share = self.counts_ / self.counts_.sum()
        ratio = self.subsample / share if self.subsample else np.ones(len(share))
        keep, noise = np.sqrt(ratio) + ratio, np.cumsum(share**self.noise_power)
        starts = list(range(0, len(words), TOKENS_PER_BLOCK)) * self.epochs
        for step, start in enumerate(tqdm(starts, "skip-gram", disable=not self.progress)):
            block = slice(start, start + TOKENS_PER_BLOCK)
            kept = rng.random(len(words[block])) < keep[words[block]]
            rate = self.learning_rate * (1 - step / len(starts))
            self._learn(words[block][kept], sentence[block][kept], noise, rate, rng)
        self.losses_ = np.array(self.losses_)
        return self

    def most_similar(self, word: str, n: int = 10) -> list[tuple[str, float]]:
        """The n other words of largest cosine with `word`; KeyError for an unknown word."""
        check_is_fitted(self)
        if word not in self._row:
            near = difflib.get_close_matches(word, self.vocabulary_, n=3) or ["nothing"]
            raise KeyError(f"{word!r} is not in the vocabulary of {len(self._row)} words; "
                           f"near in spelling: {', '.join(near)}")
        unit = self.vectors_ / np.linalg.norm(self.vectors_, axis=1, keepdims=True)
        cosine = unit @ unit[self._row[word]]
        best = [i for i in np.argsort(-cosine, kind="stable")[: n + 1] if i != self._row[word]]
        return [(self.vocabulary_[i], float(cosine[i])) for i in best[:n]]

    def to_keyed_vectors(self):
        """The word vectors and counts as a gensim KeyedVectors."""
        from gensim.models import KeyedVectors

        check_is_fitted(self)
        keyed = KeyedVectors(self.dim)
        keyed.add_vectors(list(self.vocabulary_), self.vectors_)
        for word, count in zip(self.vocabulary_, self.counts_.tolist()):
            keyed.set_vecattr(word, "count", count)
        return keyed

    def _learn(self, words, sentence, noise, rate, rng):
        """One block of tokens: make the pairs, shuffle them, step through them in minibatches."""
        reach = rng.integers(1, self.window + 1, len(words))
        pairs = rng.permutation(np.column_stack(window_pairs(words, sentence, reach)))
        for start in range(0, len(pairs), self.batch_size):
            centers, contexts = pairs[start : start + self.batch_size].T
            drawn = rng.random((len(centers), self.negatives)) * noise[-1]
            negatives = np.searchsorted(noise, drawn, side="right")
            loss = sgd_step(self.vectors_, self.context_vectors_, centers, contexts, negatives,
                            rate)
            self.losses_.append(loss.mean())

    def _read(self, sentences) -> tuple[np.ndarray, np.ndarray]:
        """Count the words and turn the corpus into word rows and sentence numbers."""
        sentences = [sentences] if isinstance(sentences, str) else list(sentences)
        if any(isinstance(tokens, str) for tokens in sentences):
            raise TypeError("fit expects lists of tokens such as [['a', 'cat'], ...], got plain "
                            "strings; split each sentence first")
        counts = Counter(word for tokens in sentences for word in tokens)
        kept = [(w, c) for w, c in counts.most_common() if c >= self.min_count]
        if len(kept) < 2:
            raise ValueError(f"{len(kept)} of {len(counts)} words occur at least "
                             f"min_count={self.min_count} times; two are needed: give more text "
                             "or lower min_count")
        self.vocabulary_, self.counts_ = tuple(w for w, _ in kept), np.array([c for _, c in kept])
        self._row = {word: row for row, word in enumerate(self.vocabulary_)}
        rows = [[self._row[w] for w in tokens if w in self._row] for tokens in sentences]
        lengths = [len(tokens) for tokens in rows]
        if max(lengths) < 2:
            raise ValueError("no sentence has two known words, so there is no pair to learn "
                             "from: give longer sentences or lower min_count")
        return np.concatenate(rows).astype(np.int32), np.repeat(np.arange(len(rows)), lengths)

    def _check_settings(self):
        """Raise ValueError for the first setting that makes no sense."""
        for name in ("dim", "window", "negatives", "epochs", "min_count", "batch_size"):
            value = getattr(self, name)
            if not isinstance(value, Integral) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
        limits = {"learning_rate": (1e-8, 1), "subsample": (0, 1), "noise_power": (-2, 2)}
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not isinstance(value, Real) or not low <= value <= high:
                raise ValueError(f"{name} must lie between {low} and {high}, got {value!r}")
