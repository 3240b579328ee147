"""Ranking by similarity, and a remedy for hubs."""

import numpy as np


def cosine_similarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine of the angle between each row of a and each row of b: (n_a, n_b).

    A row of zeros has no direction; its similarity is 0 to everything.

    >>> cosine_similarity(np.array([[1.0, 0.0]]), np.array([[2.0, 0.0], [0.0, 0.0]])).tolist()
    [[1.0, 0.0]]
    """
    return unit_rows(a) @ unit_rows(b).T


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1; a row of zeros stays as it is.

    >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1)


def top_k(similarity: np.ndarray, k: int) -> np.ndarray:
    """Indices of the k most similar items for each query, best first: (n_queries, k).

    Raises ValueError when there are fewer than k items.

    >>> top_k(np.array([[0.1, 0.9, 0.5]]), k=2).tolist()
    [[1, 2]]
    """
    n_items = similarity.shape[1]
    if not 1 <= k <= n_items:
        raise ValueError(f"k must be between 1 and the number of items, {n_items}; got {k}.")
    top = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(similarity, top, axis=1), axis=1, kind="stable")
    return np.take_along_axis(top, order, axis=1)


def csls(similarity: np.ndarray, k: int = 10) -> np.ndarray:
    """Cross-domain similarity local scaling: hubs pay for being near everything.

    similarity : (n_queries, n_items) cosines. Each cosine is doubled, less the mean over the k
        nearest items of its query, less the mean over the k nearest queries of its item.

    It looks at all queries at once (it is transductive), so its scores are not comparable
    with those of methods that see one query at a time. Source: Conneau et al. (2018), section 2.3.
    """
    k = min(k, *similarity.shape)
    by_query = np.partition(similarity, -k, axis=1)[:, -k:].mean(axis=1, keepdims=True)
    by_item = np.partition(similarity, -k, axis=0)[-k:].mean(axis=0, keepdims=True)
    return 2 * similarity - by_query - by_item


def k_occurrence(similarity: np.ndarray, k: int = 10) -> np.ndarray:
    """How many queries have each item among their k nearest: (n_items,).

    Its skewness measures hubness. Source: Radovanović et al. (2010).
    """
    top = top_k(similarity, min(k, similarity.shape[1]))
    return np.bincount(top.ravel(), minlength=similarity.shape[1])
