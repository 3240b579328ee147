"""Ranking by similarity, hubs, and the remedies for them."""

import numpy as np
from scipy.special import logsumexp

from mmfuse_utils.metrics import check_count, check_finite, check_numbers


def cosine_similarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine of the angle between each row of a and each row of b: (n_a, n_b).

    A row of zeros has no direction; its similarity is 0 to everything.

    >>> cosine_similarity(np.array([[1.0, 0.0]]), np.array([[2.0, 0.0], [0.0, 0.0]])).tolist()
    [[1.0, 0.0]]
    """
    return unit_rows(a) @ unit_rows(b).T


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1; a row of zeros stays as it is.

    Raises ValueError when a number is infinite or none.

    >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    rows = check_numbers(rows)
    rows = rows.astype(np.result_type(rows, np.float32), copy=False)  # few bits would overflow
    largest = np.abs(rows).max(axis=1, keepdims=True, initial=0)
    if not np.isfinite(largest).all():
        raise ValueError("A row holds a number that is infinite or not a number, so it has no "
                         "direction.")
    odd = (largest > 1e15) | ((largest > 0) & (largest < 1e-15))    # their squares do not fit
    rows = rows / np.where(odd, largest, 1) if odd.any() else rows
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1)


def top_k(similarity: np.ndarray, k: int) -> np.ndarray:
    """Indices of the k most similar items for each query, best first: (n_queries, k).

    similarity : (n_queries, n_items), numbers of any type.

    Of equal items at the border any may be among them; `search` takes the earlier ones. Raises
    ValueError when there are fewer than k items or a similarity is not a number.

    >>> top_k(np.array([[0.1, 0.9, 0.5]]), k=2).tolist()
    [[1, 2]]
    """
    similarity = check_numbers(similarity)
    check_count("k", k, most=similarity.shape[1])
    if np.isnan(similarity).any():
        raise ValueError("A similarity is not a number, so it has no place in an order.")
    # Inverting all bits turns the order of whole numbers round, where a minus sign would wrap.
    reverse = np.negative if similarity.dtype.kind == "f" else np.invert
    top = np.argpartition(reverse(similarity), k - 1, axis=1)[:, :k]
    order = np.argsort(reverse(np.take_along_axis(similarity, top, axis=1)), axis=1,
                       kind="stable")
    return np.take_along_axis(top, order, axis=1)


def csls(similarity: np.ndarray, k: int = 10, bank: np.ndarray | None = None) -> np.ndarray:
    """Cross-domain similarity local scaling: hubs pay for being near everything.

    similarity : (n_queries, n_items) cosines. Each cosine is doubled, less the mean over the k
        nearest items of its query, less the mean over the k nearest bank queries of its item.
    bank : (n_bank, n_items), cosines of other queries with the same items, such as training texts.
        In the source the bank is the vocabulary of the language that is translated.

    With a bank each query is answered by itself. Without one the queries are their own bank, and a
    query's ranking depends on the others (it is transductive), so that such scores are not
    comparable with those of methods that see one query at a time.

    Source: Conneau et al. (2018), section 2.3. Raises ValueError for a k below 1, a similarity
    that is infinite or not a number, and a bank that is empty or has other items.

    >>> bank = np.array([[0.9, 0.1, 0.1], [0.9, 0.3, 0.2]])     # item 0 is a hub
    >>> csls(np.array([[0.8, 0.7, 0.1]]), 1, bank).argmax(axis=1).tolist()
    [1]
    """
    check_count("k", k)
    similarity = check_finite(similarity)
    bank = similarity if bank is None else _check_bank(similarity, bank)
    by_query = _mean_of_largest(similarity, k, axis=1)
    return 2 * similarity - by_query - _mean_of_largest(bank, k, axis=0)


def _mean_of_largest(table: np.ndarray, k: int, axis: int) -> np.ndarray:
    k = min(k, table.shape[axis])
    largest = np.take(np.partition(table, -k, axis=axis), range(-k, 0), axis=axis)
    return largest.mean(axis=axis, keepdims=True)


def inverted_softmax(similarity: np.ndarray, bank: np.ndarray | None = None,
                     beta: float = 10.0) -> np.ndarray:
    """Logarithm of the share that a query has in all that an item gives: (n_queries, n_items).

    similarity : (n_queries, n_items). bank : (n_bank, n_items), similarities of other queries with
        the same items. beta : inverse temperature, how much the nearest queries count.

    log(exp(beta s) / sum over bank queries of exp(beta s)): an item that is near to many queries
    gives each of them little. With a bank each query is answered by itself; in the source the bank
    is the vocabulary of the language that is translated, or a sample of it. Without a bank the
    queries are their own bank, which makes the method transductive: a query's ranking depends on
    the other queries.

    Source: Smith et al. (2017). Raises ValueError when the bank is empty or has other
    items, or beta is not positive.

    >>> inverted_softmax(np.array([[1.0, 0.8], [1.0, 0.0]])).argmax(axis=1).tolist()
    [1, 0]
    """
    similarity = check_finite(similarity)
    bank = _check_bank(similarity, similarity if bank is None else bank, beta)
    return beta * similarity - logsumexp(beta * bank, axis=0, keepdims=True)


def query_bank(similarity: np.ndarray, bank: np.ndarray, beta: float = 10.0, k: int = 1
               ) -> np.ndarray:
    """Inverted softmax by a bank of queries, for those queries that run into a hub.

    similarity : (n_queries, n_items). bank : (n_bank, n_items), similarities of queries that were
        collected before, such as training texts, with the same items. beta : inverse temperature.
    k : an item is active if it is among the k nearest of a bank query.

    Queries whose nearest item is active get the inverted softmax, the others keep their
    similarities, so scores may be compared within a row only. Each query is treated by itself.

    Source: Bogolin et al. (2022), the dynamic inverted softmax. Raises ValueError like
    `inverted_softmax`, and for a k below 1.

    >>> bank = np.array([[0.9, 0.1, 0.1], [0.9, 0.3, 0.2]])     # item 0 is a hub
    >>> query_bank(np.array([[0.8, 0.7, 0.1], [0.2, 0.3, 0.4]]), bank).argmax(axis=1).tolist()
    [1, 2]
    """
    similarity = check_finite(similarity)
    bank = _check_bank(similarity, bank, beta)
    active = k_occurrence(bank, k) > 0
    meets_hub = active[similarity.argmax(axis=1)]
    return np.where(meets_hub[:, None], inverted_softmax(similarity, bank, beta), similarity)


def _check_bank(similarity: np.ndarray, bank: np.ndarray, beta: float = 1) -> np.ndarray:
    bank = check_finite(bank)
    if bank.ndim != 2 or len(bank) == 0 or bank.shape[1] != similarity.shape[1]:
        raise ValueError("The bank needs similarities of at least one query with the same "
                         f"{similarity.shape[1]} items; got shape {bank.shape}.")
    if not 0 < beta <= 1e9:
        raise ValueError(f"beta must be positive and 1e9 at most; got {beta}.")
    return bank


def k_occurrence(similarity: np.ndarray, k: int = 10) -> np.ndarray:
    """How many queries have each item among their k nearest: (n_items,).

    Its skewness measures hubness. Source: Radovanović et al. (2010). Raises ValueError for a k
    below 1, and as `top_k` does.
    """
    check_count("k", k)
    top = top_k(similarity, min(k, similarity.shape[1]))
    return np.bincount(top.ravel(), minlength=similarity.shape[1])
