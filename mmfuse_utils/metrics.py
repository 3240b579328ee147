"""How good a ranking is, and how sure we are: pure functions of arrays."""

from collections.abc import Callable

import numpy as np


def ranks(similarity: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Rank of the first relevant item for each query, 1 is best: (n_queries,).

    similarity : (n_queries, n_items), larger is nearer.
    relevant : (n_queries, n_items) bool, or (n_queries,) index of the one relevant item.

    Ties count against the model: every irrelevant item that scores as high as the best relevant
    one stands before it, so a model that gives all items one score is last, not first.

    Raises ValueError when a score is not a number or a query has no relevant item.

    >>> ranks(np.array([[0.9, 0.1, 0.5], [0.3, 0.3, 0.3]]), np.array([2, 0])).tolist()
    [2, 3]
    """
    if not np.isfinite(similarity).all():
        raise ValueError("A similarity is infinite or not a number, so it has no rank. Look for "
                         "a division by a zero length before this point.")
    relevant = np.asarray(relevant)
    if relevant.ndim == 1:
        relevant = np.arange(similarity.shape[1]) == relevant[:, None]
    if relevant.shape != similarity.shape or not relevant.any(axis=1).all():
        raise ValueError(f"Every query needs a relevant item: expected shape {similarity.shape} "
                         f"with a true value in each row, got shape {relevant.shape}.")
    best = np.where(relevant, similarity, -np.inf).max(axis=1, keepdims=True)
    return 1 + ((similarity >= best) & ~relevant).sum(axis=1)


def hit_at_k(ranks: np.ndarray, k: int) -> float:
    """Share of queries with a relevant item among the first k.

    Papers on cross-modal retrieval call this Recall@K. For the fraction of relevant items that
    are found see `recall_at_k`.

    ranks : (n_queries,) rank of the first relevant item, 1 is best.

    >>> hit_at_k(np.array([1, 3, 12]), k=10)   # doctest: +NUMBER
    0.67
    """
    return float(np.mean(np.asarray(ranks) <= k))


def recall_at_k(similarity: np.ndarray, relevant: np.ndarray, k: int) -> float:
    """Fraction of each query's relevant items among the first k, averaged over queries.

    similarity : (n_queries, n_items). relevant : (n_queries, n_items) bool.
    Ties are broken by the order of the items.

    >>> recall_at_k(np.array([[0.9, 0.5, 0.1]]), np.array([[True, False, True]]), k=2)
    0.5
    """
    top = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    found = np.take_along_axis(relevant, top, axis=1).sum(axis=1)
    return float(np.mean(found / relevant.sum(axis=1)))


def median_rank(ranks: np.ndarray) -> float:
    """Median of the first relevant item's rank; 1 is best.

    >>> median_rank(np.array([1, 3, 12]))
    3.0
    """
    return float(np.median(ranks))


def mean_reciprocal_rank(ranks: np.ndarray) -> float:
    """Mean of 1 / rank of the first relevant item.

    >>> mean_reciprocal_rank(np.array([1, 2, 4]))   # doctest: +NUMBER
    0.583
    """
    return float(np.mean(1 / np.asarray(ranks)))


def chance_hit_at_k(n_items: int, k: int, n_relevant: int = 1) -> float:
    """`hit_at_k` of a random order: 1 - C(n_items - n_relevant, k) / C(n_items, k).

    >>> chance_hit_at_k(200, 10)   # doctest: +NUMBER
    0.05
    """
    left = np.arange(min(k, n_items))
    miss = np.clip(n_items - n_relevant - left, 0, None) / (n_items - left)
    return float(1 - np.prod(miss))


def bootstrap_interval(values: np.ndarray, clusters: np.ndarray | None = None,
                       statistic: Callable[[np.ndarray], float] = np.mean,
                       n_resamples: int = 2000, seed: int = 0) -> tuple[float, float]:
    """95 % percentile interval of a statistic, drawing values, or whole clusters, again.

    values : (n,) one number a query. clusters : (n,) label of each value's cluster; values of
        one cluster resemble each other, so they are drawn together.

    Source: Efron (1979). Raises ValueError when there is nothing to draw from or
    the clusters do not fit the values.

    >>> lo, hi = bootstrap_interval(np.array([0, 1] * 50))
    >>> lo < 0.5 < hi
    True
    """
    values = np.asarray(values)
    if len(values) == 0:
        raise ValueError("An interval needs at least one value; got none.")
    labels = np.arange(len(values)) if clusters is None else np.asarray(clusters)
    if len(labels) != len(values):
        raise ValueError(f"Every value needs a cluster: got {len(values)} values and "
                         f"{len(labels)} clusters.")
    _, codes = np.unique(labels, return_inverse=True)
    n_clusters = codes.max() + 1
    rng = np.random.default_rng(seed)
    draws = (rng.integers(n_clusters, size=n_clusters) for _ in range(n_resamples))
    if statistic is np.mean:  # a mean needs only each cluster's sum and size
        sums, sizes = np.bincount(codes, values), np.bincount(codes)
        statistics = [sums[chosen].sum() / sizes[chosen].sum() for chosen in draws]
    else:
        members = [np.flatnonzero(codes == code) for code in range(n_clusters)]
        statistics = [statistic(values[np.concatenate([members[i] for i in chosen])])
                      for chosen in draws]
    lo, hi = np.percentile(statistics, [2.5, 97.5])
    return float(lo), float(hi)
