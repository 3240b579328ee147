"""The arithmetic of skip-gram, a block of tokens at a time: what `SkipGram` is made of.

Windows and noise are matrix products, after Ji et al. (2016); the chapter on NumPy derives each
function.
"""

import numpy as np
from numpy.lib.stride_tricks import as_strided
from scipy.sparse import csc_array


def contexts(sentence: np.ndarray, reach: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last place of each token's window, both (n_tokens,), cut at its sentence's ends.

    sentence : (n_tokens,) sentence numbers, rising; reach : (n_tokens,) half-widths.

    >>> contexts(np.array([0, 0, 0, 1]), np.array([1, 1, 2, 5]))
    (array([0, 0, 0, 3]), array([1, 2, 2, 3]))
    """
    edges = np.flatnonzero(np.diff(sentence, prepend=-1, append=-1))
    lengths, place = np.diff(edges), np.arange(len(sentence))
    first, last = (np.repeat(end, lengths) for end in (edges[:-1], edges[1:] - 1))
    return np.maximum(place - reach, first), np.minimum(place + reach, last)


def window_mask(first: np.ndarray, last: np.ndarray, chunk: int, window: int) -> np.ndarray:
    """Which places of its chunk's window are contexts: (n_chunks, chunk, chunk + 2 window) bool.

    first, last : (n_tokens,) from `contexts`, counted from the block's first token. A chunk's
    window begins `window` places before the chunk.

    >>> window_mask(np.array([0, 0]), np.array([1, 1]), 2, 1).astype(int).tolist()
    [[[0, 0, 1, 0], [0, 1, 0, 0]]]
    """
    own = np.arange(chunk)
    offset = window - np.arange(len(first)) // chunk * chunk
    low, high = ((x + offset).astype(np.int16)[:, None] for x in (first, last))
    at = np.arange(chunk + 2 * window, dtype=np.int16)
    used = ((at >= low) & (at <= high)).reshape(-1, chunk, len(at))
    used[:, own, own + window] = False
    return used


def windows(x: np.ndarray, n_chunks: int, chunk: int, width: int) -> np.ndarray:
    """Overlapping views of `width` rows, one every `chunk` rows: (n_chunks, width, ...).

    >>> windows(np.arange(6), 2, 2, 4).tolist()
    [[0, 1, 2, 3], [2, 3, 4, 5]]
    """
    return as_strided(x, (n_chunks, width, *x.shape[1:]), (x.strides[0] * chunk, *x.strides))


def overlap_products(left: np.ndarray, right: np.ndarray, chunk: int, out: np.ndarray) -> None:
    """Write left @ right, (n_chunks, width, ...), to the rows of out that `windows` would view.

    Rows that several pieces share get the sum, rows of none get 0. Every part of a piece is
    written or added where it belongs: the pieces as a whole would be one array more.
    """
    end = len(left) * chunk
    np.matmul(left[:, :chunk], right, out=out[:end].reshape(len(left), chunk, -1))
    out[end:] = 0
    for start in range(chunk, left.shape[1], chunk):    # what is added at once does not overlap
        part = left[:, start:start + chunk] @ right
        windows(out[start:], len(left), chunk, part.shape[1])[...] += part


def errors(v: np.ndarray, u: np.ndarray, share: np.ndarray, sign: int) -> np.ndarray:
    """Twice share * sigmoid(sign * score) for all pairs of v (..., m, dim) and u (..., n, dim)."""
    error = v @ u.swapaxes(-1, -2)
    error *= sign / 2               # in place: a temporary array costs as much as the arithmetic
    np.tanh(error, out=error)       # 2 sigmoid(x) = 1 + tanh(x / 2), which cannot overflow
    error += 1
    error *= share
    return error


def directions(near: np.ndarray, size: np.ndarray, used: np.ndarray, weight: np.ndarray
               ) -> tuple[np.ndarray, np.ndarray]:
    """Descent directions of a block's summed loss and bounds on its curvature, both doubled.

    near : (n_tokens + 2 window + n_noise, 2, dim) vector and context vector of the tokens, with
        `window` neighbors before and after them, then of the noise words, group by group; size :
        their squared lengths; used : (n_chunks, chunk, chunk + 2 window) whether a place of its
        chunk's window is a context of a token; weight : (n_groups, group) how much each noise
        word of its group counts for a token.

    Returns minus the gradient, shaped as near, and for each of its rows the sum of
    error * |other|^2. As error >= error (1 - error), that is at least the Hessian's trace.
    """
    n_chunks, chunk, width = used.shape
    n, edge, dim = n_chunks * chunk, (width - chunk) // 2, near.shape[2]
    center, noise = slice(edge, edge + n), slice(2 * edge + n, None)
    size = size[..., None]
    way, bound = np.empty_like(near), np.empty_like(size)
    v, v_size = (x[center, 0].reshape(n_chunks, chunk, -1) for x in (near, size))
    u, u_size = (windows(x[:, 1], n_chunks, chunk, width) for x in (near, size))
    error = errors(v, u, used, -1)
    for out, mine, other in ((way, v, u), (bound, v_size, u_size)):
        out[:edge, 0] = out[edge + n:, 0] = 0
        np.matmul(error, other, out=out[center, 0].reshape(n_chunks, chunk, -1))
        overlap_products(error.swapaxes(1, 2), mine, chunk, out[:, 1])
    v, v_size = (x.reshape(*weight.shape, -1) for x in (v, v_size))
    u, u_size = (x[noise, 1].reshape(len(weight), -1, x.shape[2]) for x in (near, size))
    error = errors(v, u, -weight[..., None], 1)     # noise pushes away, yet adds to the curvature
    for out, mine, other in ((way, v, u), (bound, -v_size, -u_size)):
        out[center, 0] += (error @ other).reshape(n, -1)
        np.matmul(error.swapaxes(1, 2), mine, out=out[noise, 1].reshape(*u.shape[:2], -1))
    return way, bound[..., 0]


def slack(near: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The direction that context and word vectors share most, and how stiff the loss is in it.

    near : (n, 2, dim). What a word vector meets are context vectors, and the reverse, so row 0
    is of near[:, 1]. Returns unit axes (2, dim) and, along and across each, trace / largest
    eigenvalue of the second moments (2, 2): from 1 to dim.
    """
    x = near[:, ::-1].swapaxes(0, 1)
    values, axes = np.linalg.eigh(x.swapaxes(1, 2) @ x)
    mean = values.mean(1, keepdims=True) + np.finfo(values.dtype).tiny
    ratio = values.sum(1, keepdims=True) / np.maximum(values[:, [-1, -2]], mean)
    return axes[..., -1], np.maximum(ratio, 1)


def brake(way: np.ndarray, bound: np.ndarray, rate: float, axis: np.ndarray,
          room: np.ndarray) -> None:
    """Turn directions (n, 2, dim) with their bounds (n, 2), both doubled, into steps, in place.

    axis, room : from `slack`. Gradient descent is stable while its step stays below 2 / largest
    curvature; as both tables move at once, we allow half of that. bound / room estimates the
    curvature, so the step is the smaller of rate and room / bound, once along the axis and once
    across it. As |gradient|^2 <= bound * (sum of errors), no row moves further than
    sqrt(dim rate (sum of errors)): nothing can overflow.
    """
    along, across = (1 / np.maximum(2 / rate, bound / room[:, i]) for i in (0, 1))
    extra = (np.vecdot(way, axis) * (along - across)).astype(way.dtype)
    way *= across[..., None]
    way += extra[..., None] * axis


class Compact:
    """Finds the distinct words of a block, and adds up their rows, without sorting."""

    def __init__(self, n_words: int, n: int) -> None:
        self.owner = np.empty(n_words, np.intp)
        ones, place = np.ones(n, np.float32), np.zeros(n, np.int32)
        self.together = csc_array((ones, place, np.arange(n + 1, dtype=np.int32)), (n, n))

    def find(self, words: np.ndarray) -> np.ndarray:
        """Distinct words (n_rows,) of the n given ones; `add` sums by them until the next call."""
        here = np.arange(len(words))
        self.owner[words] = here                # of equal words one is kept
        owner = self.owner[words]
        self.together.indices[:] = (np.cumsum(owner == here) - 1)[owner]
        return words[owner == here]

    def add(self, values: np.ndarray, n_rows: int) -> np.ndarray:
        """Sum of the values (n, ...) of equal words: (n_rows, ...)."""
        total = self.together @ values.reshape(len(values), -1)
        return total[:n_rows].reshape(n_rows, *values.shape[1:])


def first_loss(near: np.ndarray, used: np.ndarray, weight: np.ndarray) -> float:
    """Mean loss of a pair with its share of the noise, in the first chunk that has pairs.

    Arguments as for `directions`.
    """
    n_chunks, chunk, width = used.shape
    i = int(used.argmax()) // (chunk * width)
    edge, group = (width - chunk) // 2, i * chunk // weight.shape[1]
    noise = near[n_chunks * chunk + 2 * edge:, 1].reshape(len(weight), -1, near.shape[2])[group]
    v, u = near[i * chunk + edge:][:chunk, 0], near[i * chunk:][:width, 1]
    losses = (np.logaddexp(0, -v @ u.T) * used[i]).sum(1)
    counts = weight.ravel()[i * chunk:][:chunk]
    losses += np.logaddexp(0, v @ noise.T).sum(1) * counts
    return float(losses.sum() / used[i].sum())


def step(table: np.ndarray, compact: Compact, near: np.ndarray, used: np.ndarray,
         weight: np.ndarray, rate: float, axis: np.ndarray, room: np.ndarray) -> float:
    """Move the vectors of one block's words, in place; the loss of `first_loss` before it.

    table : (n_words, 2, dim) vector and context vector of each word; near : (n,) word rows, in
    the order of `directions`, which explains used and weight; axis, room : from `slack`.
    """
    rows = compact.find(near)
    near = table.take(near, axis=0)
    size = np.vecdot(near, near)
    way, bound = (compact.add(x, len(rows)) for x in directions(near, size, used, weight))
    brake(way, bound, rate, axis, room)
    table[rows] += way
    return first_loss(near, used, weight)
