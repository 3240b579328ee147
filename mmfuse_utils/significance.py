"""Is a difference more than luck: tests between methods, many tests at once, and sample size."""

import math
from collections.abc import Iterator
from itertools import product

import numpy as np
from scipy import stats

from mmfuse_utils.metrics import check_count, check_labels


def paired_permutation_test(differences: np.ndarray, clusters: np.ndarray | None = None,
                            n_resamples: int = 10_000, seed: int = 0) -> float:
    """Two-sided p-value of a mean difference between two methods on the same queries.

    differences : (n_queries,) score of one method less that of the other, query by query.
    clusters : (n_queries,) label of each query's cluster; a whole cluster changes its sign
        together, since its queries resemble each other.

    It tests whether the methods are exchangeable: whether their names can be swapped in any
    cluster without changing what is likely. That is more than equal means, but with many clusters
    of similar size the test is close to one of equal means. The p-value is the share of such swaps
    that give a mean at least as far from 0: of all swaps where there are at most n_resamples of
    them, else of n_resamples random ones and the one observed.

    Source: Fisher (1935); Smucker, Allan and Carterette (2007) for retrieval. Raises ValueError
    when there is nothing to test or the clusters do not fit.

    >>> paired_permutation_test(np.array([1, 1, 1, 1, 1]))
    0.0625
    """
    differences = np.asarray(differences, dtype=float)
    labels = np.arange(len(differences)) if clusters is None else np.asarray(clusters)
    _check(differences, labels)
    check_count("n_resamples", n_resamples)
    sums = np.bincount(np.unique(labels, return_inverse=True)[1], differences)
    exact = 2**len(sums) <= n_resamples
    rounding = 1e-9 * np.abs(sums).sum()
    reached = 0
    for signs in _all_signs(len(sums)) if exact else _draw_signs(len(sums), n_resamples, seed):
        reached += int((np.abs(signs @ sums) >= abs(sums.sum()) - rounding).sum())
    return reached / 2**len(sums) if exact else (1 + reached) / (1 + n_resamples)


def _all_signs(n: int) -> Iterator[np.ndarray]:
    yield np.array(list(product((-1.0, 1.0), repeat=n)))


def _draw_signs(n: int, n_resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Tables of random signs, n wide and n_resamples long in all, of a few megabytes each."""
    rng, step = np.random.default_rng(seed), max(1, 2**20 // n)
    for start in range(0, n_resamples, step):
        yield rng.choice(np.array([-1.0, 1.0]), (min(step, n_resamples - start), n))


def holm(p_values: np.ndarray) -> np.ndarray:
    """p-values corrected for how many there are: (n_tests,), in the order given.

    The smallest is multiplied by the number of tests, the next by one less, and so on; none may
    be smaller than one before it. Calling a difference real when its corrected value is at most
    0.05 raises a false alarm anywhere among the tests in at most 5 % of all studies, if each
    p-value alone is right.

    Source: Holm (1979). Raises ValueError for values outside 0 to 1.

    >>> holm(np.array([0.01, 0.04, 0.03])).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    p_values = np.asarray(p_values, dtype=float)
    if p_values.ndim != 1 or not ((p_values >= 0) & (p_values <= 1)).all():
        raise ValueError(f"p-values lie between 0 and 1, in one row; got {p_values}.")
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p_values[order]), 1)
    return adjusted


def intraclass_correlation(values: np.ndarray, clusters: np.ndarray) -> float:
    """Correlation between two values of one cluster: 0 when clusters say nothing, at most 1.

    values : (n,). clusters : (n,) labels. The estimate compares the variance between clusters
    with that within (analysis of variance, for unequal sizes), and may fall a little below 0.

    Source: Donner (1986). Raises ValueError unless there are two clusters, one of them with two
    values, and the values differ.

    >>> intraclass_correlation(np.array([1, 1, 5, 5]), np.array(["a", "a", "b", "b"]))
    1.0
    """
    values, labels = np.asarray(values, dtype=float), np.asarray(clusters)
    _check(values, labels)
    _, codes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    n, n_clusters = len(values), len(sizes)
    if n_clusters < 2 or n_clusters == n or np.ptp(values) == 0:
        raise ValueError("The correlation within clusters needs values that differ, in two "
                         f"clusters or more, not all of them single; got {n} values in "
                         f"{n_clusters} clusters.")
    means = np.bincount(codes, values) / sizes
    between = (sizes * (means - values.mean())**2).sum() / (n_clusters - 1)
    within = ((values - means[codes])**2).sum() / (n - n_clusters)
    size = (n - (sizes**2).sum() / n) / (n_clusters - 1)
    return float((between - within) / (between + (size - 1) * within))


def design_effect(clusters: np.ndarray, icc: float) -> float:
    """How many times the variance of a mean grows because values come in clusters.

    clusters : (n,) labels. icc : correlation within a cluster, see `intraclass_correlation`.
    With clusters of one size m this is 1 + (m - 1) * icc. With sizes that differ, m is the sum of
    their squares over their sum, the size of a value's cluster and not the mean size.

    Source: Kish (1965). Raises ValueError when there are no values, or icc is no correlation.

    >>> design_effect(np.array([0, 0, 0, 1, 1, 1]), icc=0.5)
    2.0
    """
    labels = np.asarray(clusters)
    _check(labels, labels)
    if not -1 <= icc <= 1:
        raise ValueError(f"icc is a correlation, from -1 to 1; got {icc}.")
    sizes = np.unique(labels, return_counts=True)[1]
    effect = float(1 + ((sizes**2).sum() / sizes.sum() - 1) * icc)
    if not effect > 0:
        raise ValueError(f"Clusters of this size cannot have a correlation as low as {icc}: the "
                         "variance would be negative.")
    return effect


def power(difference: float, sd: float, n_queries: int, design: float = 1.0,
          alpha: float = 0.05) -> float:
    """Chance that a two-sided test sees a true mean difference between two methods.

    difference : true mean of the paired differences. sd : their standard deviation.
    design : see `design_effect`. alpha : the p-value below which we say that we see it.

    Normal approximation. Raises ValueError when sd, n_queries or design is not positive, alpha
    is not between 0 and 1, or a number is infinite or none.

    >>> power(difference=0.02, sd=0.4, n_queries=200)   # doctest: +NUMBER
    0.11
    """
    positive = min(sd, n_queries, design) > 0 and 0 < alpha < 1
    if not (positive and np.isfinite([difference, sd, n_queries, design]).all()):
        raise ValueError("A power needs a difference, a positive sd, n_queries and design, and "
                         f"alpha between 0 and 1; got {difference}, {sd}, {n_queries}, {design} "
                         f"and {alpha}.")
    shift = abs(difference) / (sd * math.sqrt(design / n_queries))
    limit = stats.norm.ppf(1 - alpha / 2)
    return float(stats.norm.sf(limit - shift) + stats.norm.cdf(-limit - shift))


def queries_needed(difference: float, sd: float, chance: float = 0.8, design: float = 1.0,
                   alpha: float = 0.05) -> int:
    """Number of test queries with which `power` reaches `chance`.

    (z + z')² · design · sd² / difference², rounded up, where z and z' are the normal quantiles
    of 1 - alpha / 2 and of `chance`.

    Source: Cohen (1988). Raises ValueError when the difference is 0, sd or design is not
    positive, or chance is not between alpha and 1.

    >>> queries_needed(difference=0.02, sd=0.4)
    3140
    """
    positive = difference != 0 and min(sd, design) > 0 and 0 < alpha < chance < 1
    if not (positive and np.isfinite([difference, sd, design]).all()):
        raise ValueError("A sample size needs a difference other than 0, a positive sd and "
                         f"design, and 0 < alpha < chance < 1; got {difference}, {sd}, {design}, "
                         f"{alpha} and {chance}.")
    quantiles = stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(chance)
    needed = design * (quantiles * sd / difference)**2
    if not needed < 1e15:
        raise ValueError(f"No study sees a difference of {difference} where sd is {sd}.")
    return math.ceil(needed)


def _check(values: np.ndarray, labels: np.ndarray) -> None:
    if values.ndim != 1 or len(values) == 0 or values.shape != labels.shape:
        raise ValueError("Expected one row of values, at least one, and a cluster for each; got "
                         f"shapes {values.shape} and {labels.shape}.")
    check_labels(labels)
    if values.dtype.kind == "f" and not (np.abs(values) < 1e100).all():
        raise ValueError("A value is 1e100 or more, infinite or not a number.")
