"""How good a ranking is, and how sure we are: pure functions of arrays."""

from collections.abc import Callable
from numbers import Integral

import numpy as np


def ranks(similarity: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Rank of the first relevant item for each query, 1 is best: (n_queries,).

    similarity : (n_queries, n_items), larger is nearer.
    relevant : (n_queries, n_items) bool, or (n_queries,) index of the one relevant item.

    Ties count against the model: every irrelevant item that scores as high as the best relevant
    one stands before it, so a model that gives all items one score is last, not first.

    Raises ValueError for no table of numbers, when a score is infinite or not a number, and when
    a query has no relevant item or a gain makes no sense.

    >>> ranks(np.array([[0.9, 0.1, 0.5], [0.3, 0.3, 0.3]]), np.array([2, 0])).tolist()
    [2, 3]
    """
    relevant = _gains(similarity, relevant) > 0
    best = np.where(relevant, similarity, -np.inf).max(axis=1, keepdims=True)
    return 1 + ((similarity >= best) & ~relevant).sum(axis=1)


def ranked_relevance(similarity: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Each query's relevance in the order of its ranking, best score first: (n_queries, n_items).

    similarity : (n_queries, n_items), larger is nearer.
    relevant : (n_queries, n_items) bool or gains of 0 and more, or (n_queries,) index of the one
        relevant item.

    Ties count against the model: among equal scores the less relevant item stands first. So the
    first relevant item stands at `ranks`, and the metrics below agree with those of ranks.

    Raises ValueError as `ranks` does.

    >>> ranked_relevance(np.array([[0.5, 0.9, 0.5]]), np.array([[3, 1, 0]])).tolist()
    [[1, 0, 3]]
    """
    gains = _gains(similarity, relevant)
    order = np.lexsort((gains, -np.asarray(similarity, dtype=float)), axis=1)
    return np.take_along_axis(gains, order, axis=1)


def _gains(similarity: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """`relevant` as a table of the similarity's shape, both checked."""
    similarity = check_finite(similarity)
    if similarity.size == 0:
        raise ValueError("A ranking needs a table with at least one query and one item; got shape "
                         f"{similarity.shape}.")
    relevant = np.asarray(relevant)
    if relevant.ndim == 1 and relevant.dtype.kind == "b":
        raise ValueError("One row of relevance needs the index of each query's relevant item; for "
                         "true and false give a table of the similarity's shape.")
    if relevant.ndim == 1:
        relevant = np.arange(similarity.shape[1]) == relevant[:, None]
    if relevant.shape != similarity.shape or not (relevant > 0).any(axis=1).all():
        raise ValueError("Every query needs a relevant item: an index below "
                         f"{similarity.shape[1]} for each, or a table of shape {similarity.shape} "
                         f"with a true value in each row; got shape {relevant.shape}.")
    if not ((relevant >= 0) & (relevant < 1e100)).all():
        raise ValueError("A gain below 0 has no meaning, nor one of 1e100 or more: an item is "
                         "irrelevant (0) or relevant (more than 0); the lowest given is "
                         f"{relevant.min()}, the highest {relevant.max()}.")
    return relevant


def check_numbers(table: np.ndarray) -> np.ndarray:
    """The table as an array; ValueError unless it holds numbers in rows and columns.

    >>> check_numbers([[1, 2]]).shape
    (1, 2)
    """
    table = np.asarray(table)
    if table.ndim != 2 or table.dtype.kind not in "biuf":
        raise ValueError("Expected a table of numbers, a row for each query and a column for each "
                         f"item; got {table.dtype} of shape {table.shape}.")
    return table


def check_finite(similarity: np.ndarray) -> np.ndarray:
    """Similarities as floating-point numbers; ValueError when one is infinite or none.

    Whole numbers of few bits would wrap around in the arithmetic that follows.

    >>> check_finite(np.array([[1, 2]], np.uint8)).dtype
    dtype('float32')
    """
    similarity = check_numbers(similarity)
    if not np.isfinite(similarity).all():
        raise ValueError("A similarity is infinite or not a number, so it has no rank. Look for a "
                         "division by a zero length before this point.")
    return similarity.astype(np.result_type(similarity, np.float32), copy=False)


def check_count(name: str, value: int, most: int | None = None) -> None:
    """Raise ValueError unless a value is a whole number of 1 or more, and at most `most`.

    >>> check_count("k", 10)
    """
    is_whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_whole or value < 1 or (most is not None and value > most):
        limit = "1 or more" if most is None else f"from 1 to {most}"
        raise ValueError(f"{name} must be a whole number, {limit}; got {value!r}.")


def check_labels(labels: np.ndarray) -> np.ndarray:
    """Labels of clusters as an array; ValueError when one is missing (NaN or None).

    >>> check_labels(["a", "b"]).tolist()
    ['a', 'b']
    """
    labels = np.asarray(labels)
    missing = labels != labels
    if labels.dtype.hasobject:
        missing = missing | np.equal(labels, None)
    if np.any(missing):
        raise ValueError(f"A label is missing: {labels[missing][0]!r} would count as a cluster.")
    return labels


def _check_ranks(ranks: np.ndarray) -> np.ndarray:
    ranks = np.asarray(ranks)
    if ranks.ndim != 1 or len(ranks) == 0 or not (ranks >= 1).all():
        raise ValueError("ranks must be one row of at least one rank, each 1 or more, as `ranks` "
                         f"gives them; got {np.array2string(ranks, threshold=6)}.")
    return ranks


def hit_at_k(ranks: np.ndarray, k: int) -> float:
    """Share of queries with a relevant item among the first k.

    Papers on cross-modal retrieval call this Recall@K. For the fraction of relevant items that
    are found see `recall_at_k`.

    ranks : (n_queries,) rank of the first relevant item, 1 is best, from `ranks`.

    Raises ValueError for a k below 1, for no rank and for one below 1.

    >>> hit_at_k(np.array([1, 3, 12]), k=10)   # doctest: +NUMBER
    0.67
    """
    check_count("k", k)
    return float(np.mean(_check_ranks(ranks) <= k))


def recall_at_k(similarity: np.ndarray, relevant: np.ndarray, k: int) -> float:
    """Fraction of each query's relevant items among the first k, averaged over queries.

    similarity, relevant : see `ranked_relevance`, which also says how ties count.

    Raises ValueError for a k below 1, and as `ranks` does.

    >>> recall_at_k(np.array([[0.9, 0.5, 0.1]]), np.array([[True, False, True]]), k=2)
    0.5
    """
    check_count("k", k)
    found = ranked_relevance(similarity, relevant) > 0
    return float(np.mean(found[:, :k].sum(axis=1) / found.sum(axis=1)))


def precision_at_k(similarity: np.ndarray, relevant: np.ndarray, k: int) -> float:
    """Share of relevant items among the first k, averaged over queries.

    similarity, relevant : see `ranked_relevance`, which also says how ties count. With fewer
        than k relevant items even a perfect ranking stays below 1.

    Raises ValueError for a k below 1, and as `ranks` does.

    >>> precision_at_k(np.array([[0.9, 0.5, 0.1]]), np.array([[True, False, True]]), k=2)
    0.5
    """
    check_count("k", k)
    found = ranked_relevance(similarity, relevant)[:, :k] > 0
    return float(np.mean(found.sum(axis=1) / k))


def mean_average_precision(similarity: np.ndarray, relevant: np.ndarray) -> float:
    """Precision at the place of each relevant item, averaged over items, then over queries (mAP).

    similarity, relevant : see `ranked_relevance`, which also says how ties count. The ranking is
        not cut, and every relevant item counts. With one relevant item a query this is
        `mean_reciprocal_rank`.

    Source: Manning, Raghavan and Schütze (2008), section 8.4.

    >>> found = mean_average_precision(np.array([[0.9, 0.5, 0.1]]), np.array([[1, 0, 1]]))
    >>> found   # doctest: +NUMBER
    0.83
    """
    found = ranked_relevance(similarity, relevant) > 0
    precision = np.cumsum(found, axis=1) / np.arange(1, found.shape[1] + 1)
    return float(np.mean((precision * found).sum(axis=1) / found.sum(axis=1)))


def ndcg_at_k(similarity: np.ndarray, gains: np.ndarray, k: int) -> float:
    """Normalized discounted cumulative gain of the first k, averaged over queries.

    gains : relevance as `ranked_relevance` takes it; graded, or true for 1 and false for 0. An
        item at place p counts its gain / log2(1 + p); the sum is divided by that of the best
        possible order. For the exponential form pass 2 ** gains - 1. Ties count against the
        model.

    Source: Järvelin and Kekäläinen (2002), with the discount that is common now. Raises
    ValueError for a k below 1, and as `ranks` does.

    >>> ndcg_at_k(np.array([[0.9, 0.5, 0.1]]), np.array([[1, 0, 3]]), k=3)   # doctest: +NUMBER
    0.69
    """
    check_count("k", k)
    ranked = ranked_relevance(similarity, gains)
    ideal = -np.sort(-ranked.astype(float), axis=1)
    discount = 1 / np.log2(2 + np.arange(min(k, ranked.shape[1])))
    return float(np.mean((ranked[:, :k] @ discount) / (ideal[:, :k] @ discount)))


def median_rank(ranks: np.ndarray) -> float:
    """Median of the first relevant item's rank, 1 is best; ValueError as `hit_at_k` has it.

    >>> median_rank(np.array([1, 3, 12]))
    3.0
    """
    return float(np.median(_check_ranks(ranks)))


def mean_reciprocal_rank(ranks: np.ndarray) -> float:
    """Mean of 1 / rank of the first relevant item; ValueError as `hit_at_k` has it.

    >>> mean_reciprocal_rank(np.array([1, 2, 4]))   # doctest: +NUMBER
    0.583
    """
    return float(np.mean(1 / _check_ranks(ranks)))


def chance_hit_at_k(n_items: int, k: int, n_relevant: int = 1) -> float:
    """`hit_at_k` of a random order: 1 - C(n_items - n_relevant, k) / C(n_items, k).

    Raises ValueError unless all three are whole numbers of 1 or more, n_relevant at most n_items.

    >>> chance_hit_at_k(200, 10)   # doctest: +NUMBER
    0.05
    """
    check_count("n_items", n_items)
    check_count("k", k)
    check_count("n_relevant", n_relevant, n_items)
    left = np.arange(min(k, n_items))
    miss = np.clip(n_items - n_relevant - left, 0, None) / (n_items - left)
    return float(1 - np.prod(miss))


def bootstrap_interval(values: np.ndarray, clusters: np.ndarray | None = None,
                       statistic: Callable[[np.ndarray], float] = np.mean,
                       n_resamples: int = 2000, seed: int = 0) -> tuple[float, float]:
    """95 % percentile interval of a statistic, drawing values, or whole clusters, again.

    values : (n,) one number a query. clusters : (n,) label of each value's cluster; values of
        one cluster resemble each other, so they are drawn together.

    Source: Efron (1979). Raises ValueError when there is nothing to draw from, a value is
    infinite or not a number, or the clusters do not fit the values.

    >>> lo, hi = bootstrap_interval(np.array([0, 1] * 50))
    >>> lo < 0.5 < hi
    True
    """
    values = np.asarray(values)
    check_count("n_resamples", n_resamples)
    if len(values) == 0:
        raise ValueError("An interval needs at least one value; got none.")
    if values.dtype.kind not in "biuf" or (statistic is np.mean and values.ndim != 1):
        raise ValueError("Expected one row of numbers; got "
                         f"{values.dtype} of shape {values.shape}.")
    if not np.isfinite(values).all():
        raise ValueError("A value is infinite or not a number, and so would be the interval.")
    labels = np.arange(len(values)) if clusters is None else check_labels(clusters)
    if labels.shape != values.shape[:1]:
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
    if not np.isfinite(statistics).all():
        raise ValueError("The statistic of some resamples is infinite or not a number, and so "
                         "would be the interval.")
    lo, hi = np.percentile(statistics, [2.5, 97.5])
    return float(lo), float(hi)
