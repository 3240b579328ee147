"""What all stores share: rows that are checked, the nearest of them, and what goes wrong."""

from collections.abc import Sequence

import numpy as np

SCORES = 4_000_000          # scores that a search holds at once: 16 MB
TOLERANCE = 1e-3            # how far from 1 the length of a row may be


class StoreError(RuntimeError):
    """The place where the rows are kept cannot be used; the message says why and what to do."""


def check_vectors(vectors: np.ndarray, dim: int) -> np.ndarray:
    """The vectors as float32, of shape (n, dim) and length 1; ValueError otherwise.

    >>> check_vectors([[0.6, 0.8]], 2).shape
    (1, 2)
    """
    rows = np.ascontiguousarray(vectors, np.float32)
    if rows.ndim != 2 or rows.shape[1] != dim:
        raise ValueError(f"This store keeps rows of {dim} numbers; got shape {rows.shape}.")
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
        wrong = ~(np.abs(lengths - 1) <= TOLERANCE)
    if wrong.any():
        raise ValueError(f"Rows must have length 1 (see unit_rows); row {wrong.argmax()} has "
                         f"length {lengths[wrong.argmax()]:.4g}.")
    return rows


def check_rows(ids: Sequence[str], vectors: np.ndarray, groups: Sequence[str] | None, dim: int
               ) -> tuple[list[str], np.ndarray, list[str]]:
    """What `add` is given, checked: as many ids and groups as rows, no id empty or twice.

    >>> check_rows(["a"], [[1.0, 0.0]], None, 2)[2]
    ['']
    """
    if isinstance(ids, str) or isinstance(groups, str):
        raise ValueError("Ids and groups are lists of texts, not one text.")
    ids, rows = list(ids), check_vectors(vectors, dim)
    groups = [""] * len(ids) if groups is None else list(groups)
    if not len(ids) == len(rows) == len(groups):
        raise ValueError(f"Every row needs an id and a group; got {len(rows)} rows, {len(ids)} "
                         f"ids and {len(groups)} groups.")
    if not all(isinstance(text, str) and _is_text(text) for text in (*ids, *groups)):
        raise ValueError("Ids and groups are texts that can be written as UTF-8, without a zero.")
    if "" in ids or len(set(ids)) < len(ids):
        raise ValueError("An id is empty or is given twice; each row needs one of its own.")
    return ids, rows, groups


def _is_text(text: str) -> bool:
    """A database takes no zero byte and no half of a surrogate pair."""
    return "\0" not in text and text.encode("utf8", "ignore").decode() == text


def nearest(queries: np.ndarray, rows: np.ndarray, k: int, without: np.ndarray | None = None
            ) -> tuple[np.ndarray, np.ndarray]:
    """Places and scores (n, k) of the rows with the largest inner products, the earlier first.

    without : true for rows that do not count; k of them are left or more.

    `mmfuse_utils.search.search` is for thousands of queries and checks every number of every row
    each time; this is for one or a few, over rows that were checked when they came.

    >>> nearest(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]]), 2)[0]
    array([[1, 2]])
    """
    places, best = np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
    size = max(1, SCORES // max(1, len(rows)))
    for start in range(0, len(queries) if k else 0, size):
        block = queries[start:start + size] @ rows.T
        if without is not None:
            block[:, without] = -np.inf
        for i, scores in enumerate(block, start):
            least = np.partition(scores, len(scores) - k)[len(scores) - k]
            found = np.flatnonzero(scores >= least)      # more than k where there are ties
            found = found[np.argsort(-scores[found], kind="stable")[:k]]
            places[i], best[i] = found, scores[found]
    return places, best
