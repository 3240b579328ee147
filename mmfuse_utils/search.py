"""Search at size: the best items for many queries, exactly, by matrix products."""

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import numpy as np
from threadpoolctl import ThreadpoolController

from mmfuse_utils.metrics import check_count
from mmfuse_utils.retrieval import unit_rows

ROWS = 1280         # queries whose new finds are sorted at once; fewer than 2**16
SCORES = 7_750_000  # scores that a thread holds at once: 31 MB. Linux clears larger memory anew
GROUP = 8           # scores of a query of which only the best is looked at first
SHORT = 128         # rows of so few numbers are multiplied in pieces of PIECE queries and items:
PIECE = 64, 112     # below 10**6 multiplications, OpenBLAS does not copy the factors first
LAST = np.iinfo(np.uint64).max    # a key that no score and column have


def search(queries: np.ndarray, items: np.ndarray, k: int, block: int | None = None,
           threads: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The k items with the largest inner product for each query: indices, scores (n_queries, k).

    queries : (n_queries, dim). items : (n_items, dim). Computed in float32; for cosines, give
        unit rows. The best item stands first; of items that score the same, the earlier one.
    block : items that are scored at once; by default as many as `SCORES` allows.
    threads : groups of queries that are worked on at once, each with one thread for its matrix
        products. With 1, the products use the threads that NumPy is set to.

    `top_k` needs all scores; this holds a block of them at a time. Of each group of scores only
    the best is compared with the k-th best so far of its query, and few groups are opened, so that
    most of the time goes to the matrix product.

    Raises ValueError when the shapes do not fit, k is not between 1 and the number of items, a
    number or a score is not finite, or block or threads is not positive.

    >>> search(np.array([[1.0, 0.0]]), np.array([[0.5, 1.0], [2.0, 0.0], [1.0, 0.0]]), k=2)
    (array([[1, 2]]), array([[2., 1.]], dtype=float32))
    """
    queries, items = (np.ascontiguousarray(rows, np.float32) for rows in (queries, items))
    _check(queries, items, k)
    check_count("threads", threads)
    check_count("block", 1 if block is None else block)
    if threads == 1:
        indices, scores = _search_group(queries, items, k, block)
    else:
        groups = np.array_split(queries, threads)
        with (_libraries().limit(limits=1, user_api="blas"),
              ThreadPoolExecutor(threads) as pool):
            found = pool.map(lambda group: _search_group(group, items, k, block), groups)
            indices, scores = (np.concatenate(part) for part in zip(*found, strict=True))
    if not np.isfinite(scores).all():
        raise ValueError("Some scores are too large for float32; scale the rows to length 1.")
    return indices, scores


def inflate(rows: np.ndarray, n: int, noise: float = 0.3, seed: int = 0) -> np.ndarray:
    """Make n unit rows that resemble given ones, to measure speed and memory: (n, dim), float32.

    rows : (n_rows, dim) of length 1. Each new row mixes two of them, at least half of the first,
        with normal noise of about the length `noise`. They add size and no knowledge: no new
        concept is among them, so how good a retrieval is cannot be measured with them.

    Raises ValueError when there is nothing to mix, or n or noise is out of range.

    >>> inflate(np.eye(3), 5).shape
    (5, 3)
    """
    check_count("n", n)
    rng, rows = np.random.default_rng(seed), np.asarray(rows, np.float32)
    if rows.ndim != 2 or len(rows) == 0 or not 0 <= noise < np.inf:
        raise ValueError("New rows need a table with one row or more, and noise of 0 or more; got "
                         f"shape {rows.shape} and noise {noise}.")
    first, second = rng.integers(len(rows), size=(2, n))
    share = rng.uniform(0.5, 1, (n, 1)).astype(np.float32)
    mixed = rng.standard_normal((n, rows.shape[1]), np.float32)
    mixed *= noise / rows.shape[1] ** 0.5
    mixed += share * rows[first]
    mixed += (1 - share) * rows[second]
    return unit_rows(mixed)


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()    # looking for them takes as long as a small search


def _check(queries: np.ndarray, items: np.ndarray, k: int) -> None:
    if queries.ndim != 2 or items.ndim != 2 or queries.shape[1] != items.shape[1]:
        raise ValueError("Queries and items must be matrices with equally many columns; got "
                         f"shapes {queries.shape} and {items.shape}.")
    check_count("k", k, most=len(items))
    for name, rows in (("queries", queries), ("items", items)):
        if rows.size and not np.isfinite([rows.min(), rows.max()]).all():
            raise ValueError(f"The {name} hold a number that is infinite or not a number.")


def _search_group(queries: np.ndarray, items: np.ndarray, k: int, block: int | None
                  ) -> tuple[np.ndarray, np.ndarray]:
    """Search with the queries in parts of at most `ROWS`, which share the memory for scores."""
    borders, keys = _borders(len(queries), ROWS), np.full((len(queries), k), LAST)
    n_rows = max(1, np.diff(borders).max())
    starts = _borders(len(items), block or SCORES // n_rows)
    width = np.diff(starts).max()
    size = min(GROUP, -(-width // k))
    n_groups = -(-width // size)
    piece = PIECE[0] if items.shape[1] <= SHORT else n_rows
    memory = np.empty(n_groups * size * min(piece, n_rows), np.float32)
    for row, end in pairwise(borders):
        best, pieces = keys[row:end], pairwise(row + _borders(end - row, piece))
        pieces = [(first, np.ascontiguousarray(queries[first:last].T)) for first, last in pieces]
        for start, stop in pairwise(starts):
            floor, finds = _from_keys(best[:, -1])[1], []
            if start < k:
                floor[:] = -np.inf
            for first, columns in pieces:
                n, at = columns.shape[1], first - row
                scores = memory[:n_groups * size * n].reshape(n_groups * size, n)
                _multiply(items[start:stop], columns, scores)
                scores[stop - start:] = -np.inf
                rows, places, found = _better(scores.reshape(size, n_groups, n),
                                              floor[at:at + n], k)
                finds.append((at + rows, _to_keys(found, start + places)))
            _merge(best, *(np.concatenate(part) for part in zip(*finds, strict=True)))
    return _from_keys(keys)


def _multiply(items: np.ndarray, columns: np.ndarray, out: np.ndarray) -> None:
    """Inner products of items (n, dim) and queries (dim, n_rows) into the first n rows of out.

    Short rows in pieces of one shape, so that all are computed alike; the last may overlap.
    """
    n, dim = items.shape
    step = min(n, PIECE[1] if dim <= SHORT else n)
    count, whole = n // step, n // step * step
    np.matmul(items[:whole].reshape(count, step, dim), columns,
              out=out[:whole].reshape(count, step, columns.shape[1]))
    if whole < n:
        np.matmul(items[n - step:], columns, out=out[n - step:n])


def _borders(n: int, size: int) -> np.ndarray:
    """Borders of parts of n things, about equally large, none larger than size."""
    return np.linspace(0, n, max(1, -(-n // size)) + 1).round().astype(int)


def _better(scores: np.ndarray, floor: np.ndarray, k: int
            ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns and scores of what is above its row's floor and may be among its k best.

    scores : (size, n_groups, n_rows), the columns dealt into groups. Most groups have a best
    score below the floor, and nothing else in them needs to be looked at.
    """
    size, n_groups, n_rows = scores.shape
    tops = scores.max(axis=0)
    if n_groups >= k and np.isneginf(floor).any():
        # k heaps of groups reach the k-th largest of the heaps' maxima, so the k-th best of all
        # scores is at least as high. With four heaps for each, few others reach it.
        heaps = min(n_groups, 4 * k)
        highest = tops[:n_groups // heaps * heaps].reshape(-1, heaps, n_rows).max(axis=0)
        kth = np.partition(highest, heaps - k, axis=0)[heaps - k]
        floor = np.nextafter(kth, np.float32(-np.inf))
    passing = np.flatnonzero(tops > floor)
    inside = scores.reshape(size, -1).take(passing, axis=1)
    groups, rows = np.divmod(passing, n_rows)
    places, hits = np.divmod(np.flatnonzero(inside > floor[rows]), max(1, len(rows)))
    order = np.argsort(rows[hits].astype(np.uint16), kind="stable")   # few bits sort faster
    hits, places = hits[order], places[order]
    return rows[hits], places * n_groups + groups[hits], inside[places, hits]


def _merge(best: np.ndarray, rows: np.ndarray, keys: np.ndarray) -> None:
    """Put new keys, in the order of their rows, into each row's k best, (n, k), in place."""
    k, counts = best.shape[1], np.bincount(rows, minlength=len(best))
    firsts = np.cumsum(counts) - counts
    padded = np.full((len(best), k + counts.max(initial=0)), LAST)
    padded[:, :k] = best
    padded[rows, k + np.arange(len(rows)) - firsts[rows]] = keys
    padded.sort(axis=1)
    best[:] = padded[:, :k]


def _to_keys(scores: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """One whole number for a score and its column: the smallest is the best score, first column.

    NumPy sorts whole numbers far faster than pairs. Read as a whole number, the bits of a positive
    float grow with it and those of a negative one fall; here the positive ones are turned round.
    """
    bits = (scores + np.float32(0)).view(np.uint32)    # adding 0 makes -0.0 the same as 0.0
    bits = np.where(bits >> 31, bits, bits ^ 0x7FFFFFFF).astype(np.uint64)
    return bits << 32 | columns.astype(np.uint64)


def _from_keys(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns and scores."""
    bits = (keys >> 32).astype(np.uint32)
    scores = np.where(bits >> 31, bits, bits ^ 0x7FFFFFFF).view(np.float32)
    return (keys & 0xFFFFFFFF).astype(np.int64), scores
