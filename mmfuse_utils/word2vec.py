"""Skip-gram with negative sampling (Mikolov et al., 2013) in NumPy, as built in chapter 2."""

import difflib
from collections import Counter
from collections.abc import Iterable, Sequence
from numbers import Integral, Real

import numpy as np
from gensim.models import KeyedVectors
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from tqdm import tqdm

TOKENS_PER_BLOCK = 8192  # pairs are made, shuffled and dropped block by block
WHOLE = ("dim", "window", "negatives", "epochs", "min_count", "batch_size")
LIMITS = {**dict.fromkeys(WHOLE, (1, 10**6)), "learning_rate": (1e-8, 1.0),
          "subsample": (0.0, 1.0), "noise_power": (-2.0, 2.0)}


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), by way of tanh, which cannot overflow.

    >>> sigmoid(np.array([-1e4, 0.0, 1e4])).tolist()
    [0.0, 0.5, 1.0]
    """
    return 0.5 * (1 + np.tanh(0.5 * x))


def log_sigmoid(x: np.ndarray) -> np.ndarray:
    """Logarithm of `sigmoid`, right even where the sigmoid itself rounds to zero.

    >>> log_sigmoid(np.array([-1e4, 0.0])).round(3).tolist()
    [-10000.0, -0.693]
    """
    return -np.logaddexp(0, -x)


def window_pairs(words: np.ndarray, sentences: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """All (center, context) pairs: places j != i of one sentence with |i - j| <= reach[i].

    words, sentences, reach : (n_tokens,) word row, sentence number, half-width of the window.
    Returns (n_pairs, 2) word rows.

    >>> window_pairs(np.array([7, 8, 9]), np.zeros(3), np.array([1, 2, 0])).tolist()
    [[7, 8], [8, 9], [8, 7]]
    """
    pairs = [np.empty((0, 2), words.dtype)]
    for d in range(1, int(reach.max(initial=0)) + 1):
        left, right, together = words[:-d], words[d:], sentences[:-d] == sentences[d:]
        pairs.append(np.column_stack([left, right])[together & (reach[:-d] >= d)])
        pairs.append(np.column_stack([right, left])[together & (reach[d:] >= d)])
    return np.concatenate(pairs)


def sgd_step(vectors: np.ndarray, context_vectors: np.ndarray, centers: np.ndarray,
             contexts: np.ndarray, negatives: np.ndarray, learning_rate: float) -> float:
    """One minibatch of stochastic gradient descent, in place; the mean loss of a pair before it.

    vectors, context_vectors : (n_words, dim) float; centers, contexts : (n_pairs,) word rows;
    negatives : (n_pairs, k) word rows; one that equals the pair's context is not counted.

    The gradients of a word that occurs several times in the batch are summed. Its step is
    `learning_rate` while that is below 1 / L, else 1 / L: L = (sum of |other|^2) / 4, over the
    n vectors that the word meets in the batch, bounds the curvature of its loss, and a longer
    step could overshoot. As |gradient| <= sqrt(4 n L), no step moves a vector by more than
    sqrt(4 n learning_rate), so nothing here can overflow or become NaN.

    >>> v, u = np.array([[1.0, 0.0], [0.0, 1.0]]), np.zeros((2, 2))
    >>> round(sgd_step(v, u, np.array([0]), np.array([1]), np.array([[0]]), 0.1), 3)
    1.386
    >>> u.tolist()                                  # the context comes closer, the noise goes
    [[-0.05, 0.0], [0.05, 0.0]]
    """
    order = np.argsort(centers, kind="stable")
    targets = np.column_stack([contexts, negatives])[order]     # (n_pairs, 1 + k)
    center_rows, pair_center, meetings = _compact(centers[order], len(vectors))
    rows, place, _ = _compact(targets, len(context_vectors))
    v, u = vectors.take(center_rows, axis=0), context_vectors.take(rows, axis=0)
    label = (np.arange(targets.shape[1]) == 0).astype(v.dtype)  # one context, then k noise words
    counted = label + (targets != targets[:, :1])
    scores = np.vecdot(u.take(place, axis=0), v.take(pair_center, axis=0)[:, None])
    errors = (sigmoid(scores) - label) * counted                # d loss / d score
    ends = np.cumsum(meetings) * targets.shape[1]               # where each center's targets end
    errors = csr_matrix((errors.ravel(), place.ravel(), np.append(0, ends)), (len(v), len(u)))
    met_v = np.bincount(pair_center, (np.vecdot(u, u)[place] * counted).sum(1))
    met_u = np.bincount(place.ravel(), (np.vecdot(v, v)[pair_center, None] * counted).ravel())
    brake_v = np.maximum(1 / learning_rate, met_v / 4).astype(v.dtype)      # 1 / step size
    brake_u = np.maximum(1 / learning_rate, met_u / 4).astype(v.dtype)
    vectors[center_rows] = v - (errors @ u) / brake_v[:, None]
    context_vectors[rows] = u - (errors.T @ v) / brake_u[:, None]
    return -float((log_sigmoid((2 * label - 1) * scores) * counted).sum(1).mean())


def _compact(words, n_words):
    """Distinct words, the place of each entry among them, how often each occurs."""
    counts = np.bincount(words.ravel(), minlength=n_words)
    place = np.cumsum(counts > 0) - 1
    return np.flatnonzero(counts), place[words], counts[counts > 0]


class SkipGram(BaseEstimator):
    """Word vectors by skip-gram with negative sampling.

    dim, window : length of a vector; widest reach of the window, in tokens (each token draws
        its own, from 1 to window). negatives, noise_power : noise words a pair, drawn with
        chances count ** noise_power. epochs, learning_rate, batch_size : passes over the
        corpus, first step size (falls linearly to nothing), pairs a minibatch. min_count,
        subsample : rarer words are dropped; a token of a word with share f of the corpus stays
        with chance sqrt(subsample / f) + subsample / f, as in the original program (the paper
        has the first term alone); 0 keeps all. seed, progress : the only source of chance; a bar.

    Learned: vocabulary_ (words, most frequent first), counts_ (n_words,), vectors_ and
    context_vectors_ (n_words, dim) float32, losses_ (n_batches,) mean loss of a pair.

    >>> model = SkipGram(dim=8, min_count=1, subsample=0, epochs=2, progress=False)
    >>> model.fit([["red", "apple"], ["green", "apple"]] * 5).vectors_.shape
    (3, 8)
    """

    def __init__(self, dim=100, window=5, negatives=5, epochs=5, learning_rate=0.025, min_count=5,
                 subsample=1e-3, noise_power=0.75, batch_size=1024, seed=0, progress=True):
        self.dim, self.window, self.negatives, self.epochs = dim, window, negatives, epochs
        self.learning_rate, self.min_count, self.subsample = learning_rate, min_count, subsample
        self.noise_power, self.batch_size, self.seed = noise_power, batch_size, seed
        self.progress = progress

    def fit(self, sentences: Iterable[Sequence[str]], y=None) -> "SkipGram":
        """Learn from lists of tokens. Raises ValueError or TypeError with what was expected."""
        for name, (low, high) in LIMITS.items():
            value, kind = getattr(self, name), (Integral if name in WHOLE else Real)
            if not isinstance(value, kind) or not low <= value <= high:
                raise ValueError(f"{name} must be {'a whole' if name in WHOLE else 'a'} number "
                                 f"from {low} to {high}, got {value!r}")
        words, sentence = self._read(sentences)
        rng = np.random.default_rng(self.seed)
        shape, share = (len(self.vocabulary_), self.dim), self.counts_ / self.counts_.sum()
        self.vectors_ = ((rng.random(shape) - 0.5) / self.dim).astype(np.float32)
        self.context_vectors_, self.losses_ = np.zeros(shape, np.float32), []
        ratio = self.subsample / share if self.subsample else np.ones(len(share))
        keep, noise = np.sqrt(ratio) + ratio, share**self.noise_power
        cuts = range(TOKENS_PER_BLOCK, len(words), TOKENS_PER_BLOCK)
        blocks = np.split(np.arange(len(words)), cuts) * self.epochs
        for step, block in enumerate(tqdm(blocks, "skip-gram", disable=not self.progress)):
            block = block[rng.random(len(block)) < keep[words[block]]]
            rate = self.learning_rate * (1 - step / len(blocks))
            self._learn(words[block], sentence[block], noise / noise.sum(), rate, rng)
        if not self.losses_:
            raise ValueError(f"subsample={self.subsample} left no pair; raise it (0 keeps all)")
        self.losses_ = np.array(self.losses_)
        return self

    def most_similar(self, word: str, n: int = 10) -> list[tuple[str, float]]:
        """The n other words of largest cosine with `word`; KeyError for an unknown word."""
        check_is_fitted(self)
        if word not in self.vocabulary_:
            near = ", ".join(difflib.get_close_matches(word, self.vocabulary_)) or "nothing"
            raise KeyError(f"{word!r} is not in the vocabulary; near in spelling: {near}")
        row = self.vocabulary_.index(word)
        unit = self.vectors_ / np.linalg.norm(self.vectors_, axis=1, keepdims=True)
        cosine = unit @ unit[row]
        best = np.argsort(-cosine, kind="stable")
        return [(self.vocabulary_[i], float(cosine[i])) for i in best[best != row][:n]]

    def to_keyed_vectors(self) -> KeyedVectors:
        """The word vectors, with the counts, as a gensim KeyedVectors."""
        check_is_fitted(self)
        keyed = KeyedVectors(self.dim)
        keyed.add_vectors(list(self.vocabulary_), self.vectors_)
        keyed.expandos["count"] = self.counts_.copy()       # what keyed.get_vecattr reads
        return keyed

    def _learn(self, words, sentence, noise, rate, rng):
        """One block of tokens: make the pairs, shuffle them, step through them in minibatches."""
        reach = rng.integers(1, self.window + 1, len(words))
        pairs = rng.permutation(window_pairs(words, sentence, reach))
        drawn = rng.multinomial(len(pairs) * self.negatives, noise)     # how often each word,
        negatives = rng.permutation(np.repeat(np.arange(len(noise)), drawn))    # then the order
        negatives = negatives.reshape(-1, self.negatives)
        for start in range(0, len(pairs), self.batch_size):
            batch = slice(start, start + self.batch_size)
            self.losses_.append(sgd_step(self.vectors_, self.context_vectors_, *pairs[batch].T,
                                         negatives[batch], rate))

    def _read(self, sentences) -> tuple[np.ndarray, np.ndarray]:
        """Count the words; turn the corpus into word rows and sentence numbers."""
        sentences = list(sentences)
        if any(isinstance(tokens, str) for tokens in sentences):
            raise TypeError("expected lists of tokens such as [['a', 'cat'], ...], got plain text")
        counts = Counter(word for tokens in sentences for word in tokens)
        common = [word for word, n in counts.most_common() if n >= self.min_count]
        row = {word: i for i, word in enumerate(common)}
        rows = [[row[w] for w in tokens if w in row] for tokens in sentences]
        if max(map(len, rows), default=0) < 2 or len(row) < 2:
            raise ValueError(f"no two words that occur min_count={self.min_count} times share a "
                             f"sentence, in {len(sentences)} of them: give more text, or lower it")
        self.vocabulary_, self.counts_ = tuple(row), np.array([counts[word] for word in row])
        sentence = np.repeat(np.arange(len(rows)), [len(tokens) for tokens in rows])
        return np.concatenate(rows).astype(np.intp), sentence
