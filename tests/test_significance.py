"""Tests between methods against SciPy, slow enumeration, closed forms and simulation."""

import math
import tracemalloc
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mmfuse_utils.significance import (
    design_effect,
    holm,
    intraclass_correlation,
    paired_permutation_test,
    power,
    queries_needed,
)

DIFFERENCES = st.lists(st.sampled_from([-1.0, -0.3, 0.0, 0.2, 1.0]), min_size=1, max_size=8)


def by_enumeration(differences, clusters):
    """Swap the two methods' scores in every subset of clusters and count."""
    names = sorted(set(clusters))
    observed, reached = abs(sum(differences)), 0
    for signs in product((1, -1), repeat=len(names)):
        sign = dict(zip(names, signs, strict=True))
        mean = sum(sign[name] * value for name, value in zip(clusters, differences, strict=True))
        reached += abs(mean) >= observed - 1e-9
    return reached / 2**len(names)


@settings(deadline=None)
@given(DIFFERENCES, st.data())
def test_the_permutation_test_agrees_with_enumeration(differences, data):
    clusters = data.draw(st.lists(st.sampled_from("abcd"), min_size=len(differences),
                                  max_size=len(differences)))
    assert paired_permutation_test(np.array(differences), np.array(clusters)) == pytest.approx(
        by_enumeration(differences, clusters))
    alone = paired_permutation_test(np.array(differences))
    assert alone == pytest.approx(by_enumeration(differences, range(len(differences))))


def test_the_permutation_test_agrees_with_scipy():
    a, b = np.random.default_rng(0).normal(size=(2, 60))
    b = b + 0.3
    expected = stats.permutation_test((a, b), lambda x, y: np.mean(x - y), n_resamples=20_000,
                                      permutation_type="samples", rng=0).pvalue
    assert paired_permutation_test(a - b) == pytest.approx(expected, abs=0.015)
    assert expected < 0.3


def test_random_swaps_agree_with_all_swaps():
    differences = np.random.default_rng(1).normal(0.15, 1, 13)
    exact = paired_permutation_test(differences, n_resamples=2**13)
    drawn = paired_permutation_test(differences, n_resamples=5000)
    assert exact == by_enumeration(differences, range(13))
    assert drawn == pytest.approx(exact, abs=0.02)
    assert drawn != exact
    assert drawn == paired_permutation_test(differences, n_resamples=5000)
    assert drawn != paired_permutation_test(differences, n_resamples=5000, seed=1)


def test_a_p_value_is_never_zero():
    assert paired_permutation_test(np.ones(100), n_resamples=999) == pytest.approx(1 / 1000)
    assert paired_permutation_test(np.zeros(100), n_resamples=999) == 1
    assert paired_permutation_test(np.ones(3000), n_resamples=99) == pytest.approx(1 / 100)


def test_false_alarms_are_as_rare_as_promised_only_with_clusters():
    """No difference in truth, but what is drawn within a cluster is drawn together."""
    rng, clusters = np.random.default_rng(0), np.repeat(np.arange(20), 10)
    alarms = {"clusters": [], "queries": []}
    for _ in range(300):
        values = np.repeat(rng.normal(size=20), 10) + 0.5 * rng.normal(size=200)
        alarms["clusters"].append(paired_permutation_test(values, clusters, 199) <= 0.05)
        alarms["queries"].append(paired_permutation_test(values, None, 199) <= 0.05)
    assert 0.02 <= np.mean(alarms["clusters"]) <= 0.09
    assert np.mean(alarms["queries"]) > 0.3


@pytest.mark.parametrize(("differences", "clusters"), [
    ([], None), ([1.0, 2.0], ["a"]), ([[1.0]], None), ([np.nan], None), ([np.inf], ["a"])])
def test_what_cannot_be_tested_is_refused(differences, clusters):
    with pytest.raises(ValueError):
        paired_permutation_test(np.array(differences), clusters)


@settings(deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.004, 0.01, 0.02, 0.025, 0.04, 0.3, 1.0]), max_size=7),
       st.sampled_from([0.01, 0.05, 0.2]))
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values, alpha):
    """Go from the smallest up; stop at the first above alpha / (tests that are left)."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    rejected = set()
    for step, i in enumerate(order):
        if p_values[i] * (len(p_values) - step) > alpha:
            break
        rejected.add(i)
    adjusted = holm(np.array(p_values))
    assert set(np.flatnonzero(adjusted <= alpha)) == rejected
    assert (adjusted >= p_values).all() and (adjusted <= 1).all()


def test_holm_lies_between_no_correction_and_bonferroni():
    p_values = np.random.default_rng(0).random(20) / 20
    assert (holm(p_values) <= np.minimum(20 * p_values, 1)).all()
    assert holm(p_values)[p_values.argmin()] == pytest.approx(20 * p_values.min())


@pytest.mark.parametrize("p_values", [[-0.1], [1.1], [np.nan], [[0.1]]])
def test_what_is_no_p_value_is_refused(p_values):
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm(np.array(p_values))


@pytest.mark.parametrize("icc", [0.0, 0.1, 0.5, 0.9])
def test_a_planted_correlation_is_found(icc):
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 12, 3000)
    clusters = np.repeat(np.arange(3000), sizes)
    values = (math.sqrt(icc) * rng.normal(size=3000)[clusters]
              + math.sqrt(1 - icc) * rng.normal(size=len(clusters)))
    assert intraclass_correlation(values, clusters) == pytest.approx(icc, abs=0.02)


def test_with_equal_sizes_the_correlation_is_that_of_one_way_analysis_of_variance():
    values = np.random.default_rng(0).normal(size=(6, 4)) + np.arange(6)[:, None]
    f = stats.f_oneway(*values).statistic
    expected = (f - 1) / (f - 1 + 4)
    labels = np.repeat(list("fedcba"), 4)
    assert intraclass_correlation(values.ravel(), labels) == pytest.approx(expected)


@pytest.mark.parametrize(("values", "clusters"), [
    ([1, 2], [0, 0]), ([1, 2], [0, 1]), ([3, 3, 3], [0, 0, 1]), ([], []), ([1, 2], [0])])
def test_a_correlation_that_is_not_defined_is_refused(values, clusters):
    with pytest.raises(ValueError):
        intraclass_correlation(values, clusters)


def test_the_design_effect_is_how_much_the_variance_grows():
    rng, icc = np.random.default_rng(0), 0.3
    clusters = np.repeat(np.arange(4), [1, 2, 5, 12])
    effects, noise = rng.normal(size=(50_000, 4)), rng.normal(size=(50_000, 20))
    means = (math.sqrt(icc) * effects[:, clusters] + math.sqrt(1 - icc) * noise).mean(axis=1)
    assert means.var() * 20 == pytest.approx(design_effect(clusters, icc), rel=0.03)
    assert design_effect(np.repeat(np.arange(7), 5), icc) == pytest.approx(1 + 4 * icc)
    assert design_effect(np.arange(9), icc) == 1


@pytest.mark.parametrize(("difference", "n", "design"), [(0.2, 100, 1), (0.5, 60, 2),
                                                         (0, 50, 1), (-0.4, 40, 1)])
def test_power_agrees_with_simulation(difference, n, design):
    rng = np.random.default_rng(0)
    means = rng.normal(difference, 2 * math.sqrt(design / n), 40_000)
    seen = np.abs(means) > stats.norm.ppf(0.975) * 2 * math.sqrt(design / n)
    assert power(difference, 2, n, design) == pytest.approx(seen.mean(), abs=0.01)


@settings(deadline=None)
@given(st.floats(0.01, 3), st.floats(0.1, 5), st.floats(0.5, 0.99), st.floats(1, 6),
       st.sampled_from([0.01, 0.05]))
def test_the_number_of_queries_is_where_the_power_is_reached(difference, sd, chance, design, alpha):
    n = queries_needed(difference, sd, chance, design, alpha)
    assert power(difference, sd, n, design, alpha) >= chance - 1e-9
    if n > 1:
        assert power(difference, sd, n - 1, design, alpha) < chance + 1e-4
    assert queries_needed(-difference, sd, chance, design, alpha) == n


def test_the_textbook_number():
    """Two-sided 5 %, power 80 %: 7.85 (sd / difference)², which many tables round to 8."""
    assert queries_needed(1, 10) == math.ceil(7.8489 * 100)


@pytest.mark.parametrize("arguments", [dict(difference=0), dict(sd=0), dict(design=0),
                                       dict(chance=1), dict(chance=0.01)])
def test_a_size_that_does_not_exist_is_refused(arguments):
    with pytest.raises(ValueError, match="sample size"):
        queries_needed(**{"difference": 0.1, "sd": 1, **arguments})
    with pytest.raises(ValueError, match="positive"):
        power(0.1, sd=0, n_queries=10)


def test_many_queries_take_little_memory_and_give_the_same():
    rng = np.random.default_rng(0)
    differences = rng.normal(0.01, 1, 25_000)
    tracemalloc.start()
    found = paired_permutation_test(differences, n_resamples=500)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6          # at once, the signs would take 100 MB in this many resamples
    signs = np.random.default_rng(0).choice(np.array([-1, 1]), (500, 25_000))
    reached = (np.abs(signs @ differences) >= abs(differences.sum())).sum()
    assert found == (1 + reached) / 501


@pytest.mark.parametrize("odd", [
    lambda: design_effect(np.array([1, 1, 2]), np.nan), lambda: design_effect(np.array([1, 1]), 2),
    lambda: power(np.nan, 1, 10), lambda: power(0.1, np.inf, 10), lambda: power(0.1, 1, np.nan),
    lambda: power(0.1, 1, 10, alpha=0), lambda: power(0.1, 1, 10, alpha=1.5),
    lambda: queries_needed(np.nan, 1), lambda: queries_needed(0.1, np.inf),
    lambda: queries_needed(0.1, 1, alpha=-0.1), lambda: queries_needed(0.1, 1, design=np.nan),
    lambda: paired_permutation_test(np.array([1.0, np.nan])),
    lambda: paired_permutation_test(np.arange(30), n_resamples=0),
    lambda: intraclass_correlation(np.array([1, np.inf, 2]), np.array([1, 1, 2])),
    lambda: holm(np.array([0.1, np.nan]))])
def test_numbers_that_mean_nothing_are_refused(odd):
    with pytest.raises(ValueError, match="got|infinite or not a number"):
        odd()


def test_what_would_overflow_is_refused():
    for odd in (lambda: paired_permutation_test(np.full(3, 1e308)),
                lambda: intraclass_correlation(np.array([1e200, 2e200, 1]), np.array([1, 1, 2])),
                lambda: design_effect(np.zeros(10), -1), lambda: queries_needed(1e-200, 0.4),
                lambda: paired_permutation_test(np.arange(3), np.array([1, np.nan, np.nan]))):
        with pytest.raises(ValueError, match="1e100|negative|No study|missing"):
            odd()
