"""Skip-gram with shared negatives: windows and noise as matrix products, a block at a time."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.sparse import csc_array

from mmfuse_utils.word2vec import SkipGram, sigmoid

BLOCK, GROUP, CHUNK = 2048, 128, 16     # tokens that move together, share noise, share a window
SHARED = 32                             # noise words a group


def contexts(sentence: np.ndarray, reach: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last place of each token's window, both (n_tokens,), cut at its sentence's ends.

    >>> contexts(np.array([0, 0, 0, 1]), np.array([1, 1, 2, 5]))
    (array([0, 0, 0, 3]), array([1, 2, 2, 3]))
    """
    place = np.arange(len(sentence))
    first = np.searchsorted(sentence, sentence)
    last = np.searchsorted(sentence, sentence, side="right") - 1
    return np.maximum(place - reach, first), np.minimum(place + reach, last)


def block_gradients(v: np.ndarray, u: np.ndarray, noise: np.ndarray, used: np.ndarray,
                    weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Descent directions of the summed loss by v, u and noise, with their shapes.

    v : (n_tokens, dim) center vectors; u : (n_tokens + 2 window, dim) context vectors, the
    block's own and `window` more on either side; noise : (n_groups, n_shared, dim); used :
    (n_chunks, chunk, chunk + 2 window) 1 where a place of the chunk's window is a context, else
    0; weight : (n_tokens,) how much each noise word of the token's group counts for it.
    """
    n_chunks, chunk, width = used.shape
    dim = v.shape[1]
    near = sliding_window_view(u, width, axis=0)[::chunk].transpose(0, 2, 1)
    centers, groups = v.reshape(n_chunks, chunk, dim), v.reshape(len(noise), -1, dim)
    error = used * sigmoid(-(centers @ near.transpose(0, 2, 1)))
    noise_error = -sigmoid(groups @ noise.transpose(0, 2, 1)) * weight.reshape(len(noise), -1, 1)
    of_v = (error @ near).reshape(v.shape) + (noise_error @ noise).reshape(v.shape)
    of_near = error.transpose(0, 2, 1) @ centers
    of_u = np.zeros((len(u) + chunk, dim), u.dtype)
    for start in range(0, width, chunk):            # pieces no longer than a chunk do not overlap
        piece = of_near[:, start:start + chunk]
        rows = of_u[start:start + len(v)].reshape(centers.shape)
        rows[:, :piece.shape[1]] += piece
    return of_v, of_u[:len(u)], noise_error.transpose(0, 2, 1) @ groups


def curvature(v: np.ndarray, u: np.ndarray, noise: np.ndarray, used: np.ndarray,
              weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bounds on the curvature of the loss by each row of v, u and noise: sum of |other|^2 / 4.

    Arguments as for `block_gradients`; one number a row, the noise groups end to end.
    """
    n_chunks, chunk, width = used.shape
    square_v, square_u, square_noise = (np.vecdot(x, x) / 4 for x in (v, u, noise))
    near = sliding_window_view(square_u, width)[::chunk]
    by_group = weight.reshape(len(noise), -1)
    of_v = (used @ near[..., None]).ravel() + (by_group * square_noise.sum(1)[:, None]).ravel()
    met = square_v.reshape(n_chunks, 1, chunk) @ used
    rows = np.arange(n_chunks)[:, None] * chunk + np.arange(width)
    of_u = np.bincount(rows.ravel(), met.ravel(), len(u))
    of_noise = (by_group * square_v.reshape(by_group.shape)).sum(1)
    return of_v, of_u, np.repeat(of_noise, noise.shape[1])


def move(vectors: np.ndarray, rows: np.ndarray, place: np.ndarray, directions: np.ndarray,
         bound: np.ndarray, rate: float) -> None:
    """Add the directions of equal words and take a step of min(rate, 1 / bound), in place.

    rows : distinct words; place : (n_tokens,) where each token's word stands in `rows`;
    directions : (n_tokens, dim); bound : (n_tokens,) from `curvature`, added word by word.
    """
    n = len(place)
    together = csc_array((np.ones(n, directions.dtype), place, np.arange(n + 1)), (len(rows), n))
    brake = np.maximum(1 / rate, np.bincount(place, bound, len(rows)))
    vectors[rows] += (together @ directions) / brake.astype(vectors.dtype)[:, None]


def first_loss(v: np.ndarray, u: np.ndarray, noise: np.ndarray, used: np.ndarray,
               weight: np.ndarray) -> float:
    """Mean loss of a pair with its share of the noise, over the first chunk that has pairs."""
    chunk = int(used.any((1, 2)).argmax())
    size, width = used.shape[1:]
    part = slice(chunk * size, (chunk + 1) * size)
    score = v[part] @ u[part.start:part.start + width].T
    noise_score = v[part] @ noise[part.start * len(noise) // len(v)].T
    pairs = (np.logaddexp(0, -score) * used[chunk]).sum()
    noise_loss = np.logaddexp(0, noise_score).sum(1) @ weight[part]
    return float((pairs + noise_loss) / used[chunk].sum())


class BlockSkipGram(SkipGram):
    """`SkipGram` whose noise words are shared: 32 for every 128 tokens (after Ji et al., 2016).

    Each of the 32 counts as pairs * negatives / 32 noise words of a token; one that equals a
    context counts too, as in the paper's formula. `batch_size` is not used; `losses_` has the
    mean loss of a pair in one chunk of each block.

    >>> model = BlockSkipGram(dim=8, min_count=1, subsample=0, epochs=2, progress=False)
    >>> model.fit([["red", "apple"], ["green", "apple"]] * 5).vectors_.shape
    (3, 8)
    """

    def _learn(self, words, sentence, noise, rate, rng):
        """One stretch of tokens, padded to whole groups, block by block."""
        first, last = contexts(sentence, rng.integers(1, self.window + 1, len(words)))
        pad = np.arange(len(words), len(words) + -len(words) % GROUP)
        first, last = np.append(first, pad), np.append(last, pad)       # a pad has no contexts
        words = np.pad(words, (self.window, self.window + len(pad)))
        drawn = np.searchsorted(np.cumsum(noise), rng.random((len(first) // GROUP, SHARED)))
        drawn = np.minimum(drawn, len(noise) - 1)                       # if the sum rounds below 1
        for start in range(0, len(first), BLOCK):
            part = slice(start, start + BLOCK)
            shared = drawn[start // GROUP:(start + BLOCK) // GROUP]
            self._step(words[start:start + BLOCK + 2 * self.window], first[part] - start,
                       last[part] - start, shared, rate)

    def _step(self, words, first, last, shared, rate):
        """Gather each distinct word once, find all directions, move."""
        n, window = len(first), self.window
        if not (last > first).any():
            return
        rows, place = np.unique(np.append(words, shared), return_inverse=True)
        center = place[window:n + window]
        v, u = (table[rows] for table in (self.vectors_, self.context_vectors_))
        v, u, noise = v[center], u[place[:len(words)]], u[place[len(words):]]
        chunk_start = np.arange(n) // CHUNK * CHUNK
        at, own = np.arange(-window, CHUNK + window), (np.arange(n) - chunk_start)[:, None]
        used = (at >= (first - chunk_start)[:, None]) & (at <= (last - chunk_start)[:, None])
        used = (used & (at != own)).reshape(-1, CHUNK, len(at)).astype(v.dtype)
        weight = ((last - first) * (self.negatives / SHARED)).astype(v.dtype)
        batch = (v, u, noise.reshape(*shared.shape, -1), used, weight)
        (of_v, of_u, of_noise), bounds = block_gradients(*batch), curvature(*batch)
        of_u = np.concatenate([of_u, of_noise.reshape(noise.shape)])
        self.losses_.append(first_loss(*batch))
        move(self.vectors_, rows, center, of_v, bounds[0], rate)
        move(self.context_vectors_, rows, place, of_u, np.append(*bounds[1:]), rate)
