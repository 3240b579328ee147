"""Skip-gram with negative sampling (Mikolov et al., 2013) in NumPy, as the book builds it."""

import difflib
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from numbers import Integral, Real

import numpy as np
from gensim.models import KeyedVectors
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from mmfuse_utils.cache import content_key
from mmfuse_utils.data import load_sentences
from mmfuse_utils.data.wordnet import corpus_key
from mmfuse_utils.text import cached_vectors, index_corpus
from mmfuse_utils.word2vec_blocks import Compact, contexts, slack, step, window_mask

STRETCH, BLOCK = 65_536, 2048       # tokens a thread takes at a time; tokens that move together
GROUP, SHARED, CHUNK = 64, 16, 16  # tokens that share noise words; how many; that share a window
WHOLE = {**dict.fromkeys(("negatives", "epochs", "min_count", "threads"), (1, 10**6)),
         "dim": (2, 10**4), "window": (1, 1000), "seed": (0, 2**63)}
LIMITS = {**WHOLE, "learning_rate": (1e-8, 1.0), "subsample": (0.0, 1.0),
          "noise_power": (-2.0, 2.0)}
# For the ladder: longer vectors, and a wider window, than the book's other vectors.
WIDE = {"dim": 300, "window": 15, "epochs": 10, "min_count": 2, "subsample": 1e-4,
        "learning_rate": 0.05, "seed": 1, "threads": 1}


class SkipGram(BaseEstimator):
    """Word vectors by skip-gram with negative sampling, in blocks of matrix products.

    dim, window : length of a vector; widest reach of the window, in tokens (each token draws
        its own, from 1 to window). negatives, noise_power : noise words a pair, with chances
        count ** noise_power; 16 are drawn for 64 tokens, and each counts pairs * negatives / 16
        times for a token, also where it equals a context. epochs, learning_rate : passes over
        the corpus; first step size (falls linearly to nothing). min_count, subsample : rarer
        words are dropped; a token of a word with share f of the corpus stays with chance
        sqrt(subsample / f) + subsample / f, as in the original program (the paper has the first
        term alone); 0 keeps all. seed, progress : the only source of chance with one thread; a
        bar. threads : more than one share the vectors without locks, and results vary a little;
        a vocabulary smaller than a block trains with one, as all would move the same words.

    Learned: vocabulary_ (words, most frequent first), counts_ (n_words,), vectors_ and
    context_vectors_ (n_words, dim) float32, losses_ (n_blocks,) mean loss of a pair in one chunk.

    >>> model = SkipGram(dim=8, min_count=1, subsample=0, epochs=2, progress=False)
    >>> model.fit([["red", "apple"], ["green", "apple"]] * 5).vectors_.shape
    (3, 8)
    """

    def __init__(self, dim=100, window=5, negatives=5, epochs=5, learning_rate=0.05, min_count=5,
                 subsample=1e-3, noise_power=0.75, seed=0, threads=1, progress=True):
        self.dim, self.window, self.negatives, self.epochs = dim, window, negatives, epochs
        self.learning_rate, self.min_count, self.subsample = learning_rate, min_count, subsample
        self.noise_power, self.seed, self.threads = noise_power, seed, threads
        self.progress = progress

    def fit(self, sentences: Iterable[Sequence[str]], y=None) -> "SkipGram":
        """Learn from lists of tokens. Raises ValueError or TypeError with what was expected."""
        for name, (low, high) in LIMITS.items():
            value, kind = getattr(self, name), (Integral if name in WHOLE else Real)
            if not isinstance(value, kind) or not low <= value <= high:
                raise ValueError(f"{name} must be {'a whole' if name in WHOLE else 'a'} number "
                                 f"from {low} to {high}, got {value!r}")
        vars(self).pop("vectors_", None)    # if this fit fails, the model is none
        self.vocabulary_, self.counts_, words, sentence = index_corpus(sentences, self.min_count)
        table = np.zeros((len(self.counts_), 2, self.dim), np.float32)
        start = np.random.default_rng(self.seed).random((len(table), self.dim), np.float32)
        table[:, 0] = (start - 0.5) / self.dim
        self.losses_ = []
        self._share_out(table, words, sentence)
        if not self.losses_:
            raise ValueError(f"subsample={self.subsample} left no pair; raise it (0 keeps all)")
        self.vectors_, self.context_vectors_ = (x.copy() for x in table.swapaxes(0, 1))
        self.losses_ = np.array(self.losses_)
        return self

    def most_similar(self, word: str, n: int = 10) -> list[tuple[str, float]]:
        """The n other words of largest cosine with `word`; KeyError for an unknown word."""
        check_is_fitted(self, "vectors_")
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
        check_is_fitted(self, "vectors_")
        keyed = KeyedVectors(self.dim)
        keyed.add_vectors(list(self.vocabulary_), self.vectors_)
        keyed.expandos["count"] = self.counts_.copy()       # what keyed.get_vecattr reads
        return keyed

    def _share_out(self, table, words, sentence):
        """Cut the corpus into stretches; the threads take them by turns."""
        cuts = range(STRETCH, len(words), STRETCH)
        stretches = list(zip(np.split(words, cuts), np.split(sentence, cuts), strict=True))
        stretches *= self.epochs
        bar = tqdm(total=len(stretches), desc="skip-gram", disable=not self.progress)
        stop, threads = threading.Event(), self.threads if len(table) > BLOCK else 1

        def work(thread):
            size = BLOCK + 2 * self.window + BLOCK // GROUP * SHARED
            compact = Compact(len(table), size)
            for i in range(thread, len(stretches), threads):
                if stop.is_set():
                    return
                rate = float(self.learning_rate) * (1 - i / len(stretches))
                rng = np.random.default_rng((self.seed, i))
                self._learn(table, compact, *stretches[i], rate, rng)
                bar.update()

        with bar, threadpool_limits(1, "blas"), ThreadPoolExecutor(threads) as pool:
            try:
                for job in [pool.submit(work, thread) for thread in range(threads)]:
                    job.result()
            finally:
                stop.set()              # an interrupt or an error ends the other threads, too

    def _learn(self, table, compact, words, sentence, rate, rng):
        """One stretch: drop frequent words, draw windows and noise, move block by block."""
        share = self.counts_ / self.counts_.sum()
        ratio = self.subsample / share if self.subsample else np.ones(len(share))
        kept = rng.random(len(words)) < (np.sqrt(ratio) + ratio)[words]
        words, sentence = words[kept], sentence[kept]
        first, last = contexts(sentence, rng.integers(1, self.window + 1, len(words)))
        if not (last > first).any():
            return
        common = slack(table[words[:BLOCK]])
        place = np.arange(len(words) + -len(words) % BLOCK)
        first, last = (np.append(x, place[len(words):]) for x in (first, last))     # no contexts
        words = np.pad(words, (self.window, self.window + len(place) - len(words)))
        noise = share**self.noise_power
        noise = rng.choice(len(noise), (len(place) // GROUP, SHARED), p=noise / noise.sum())
        weight = ((last - first) * (self.negatives / SHARED)).astype(np.float32)
        for start in range(0, len(place), BLOCK):
            block = slice(start, start + BLOCK)
            near = words[start:start + BLOCK + 2 * self.window]
            near = np.append(near, noise[start // GROUP:(start + BLOCK) // GROUP])
            used = window_mask(first[block] - start, last[block] - start, CHUNK, self.window)
            if used.any():
                self.losses_.append(step(table, compact, near, used,
                                         weight[block].reshape(-1, GROUP), rate, *common))


@cache
def load_wide_vectors() -> KeyedVectors:
    """Word vectors of 300 numbers, trained by `SkipGram` on WordNet's entries; kept in the cache.

    The first call trains them with one thread, so that they are the same each time.
    """
    key = content_key("skipgram", corpus_key(), WIDE)
    return cached_vectors(
        key, lambda: SkipGram(**WIDE).fit(load_sentences()).to_keyed_vectors())
