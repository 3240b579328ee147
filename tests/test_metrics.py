"""Metrics against sorting, scikit-learn, torchmetrics, SciPy and simulation; ties against the
model, which is the lowest number that any order of equal scores can give."""

import json
import math
from itertools import permutations

import metric_names
import numpy as np
import pytest
import torch
import torchmetrics.functional.retrieval as by_torch
import torchmetrics.retrieval as oracle
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from sklearn.metrics import average_precision_score, ndcg_score

from mmfuse_utils.metrics import (
    bootstrap_interval,
    chance_hit_at_k,
    hit_at_k,
    mean_average_precision,
    mean_reciprocal_rank,
    median_rank,
    ndcg_at_k,
    precision_at_k,
    ranked_relevance,
    ranks,
    recall_at_k,
)
from mmfuse_utils.retrieval import cosine_similarity


@st.composite
def rankings(draw):
    """Scores from a handful of values, so that many are tied, and one relevant item or more."""
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 7)))
    similarity = draw(hnp.arrays(float, shape, elements=st.sampled_from([-1, 0, 0.25, 0.5, 1])))
    relevant = draw(hnp.arrays(bool, shape))
    relevant[np.arange(shape[0]), draw(st.integers(0, shape[1] - 1))] = True
    return similarity, relevant


@settings(deadline=None)
@given(rankings())
def test_ranks_agree_with_sorting(case):
    """Sort by score, best first, and among equals the irrelevant first; then look."""
    similarity, relevant = case
    expected = []
    for scores, wanted in zip(similarity.tolist(), relevant.tolist(), strict=True):
        order = sorted(zip(scores, wanted, strict=True), key=lambda item: (-item[0], item[1]))
        expected.append(1 + [is_wanted for _, is_wanted in order].index(True))
    assert ranks(similarity, relevant).tolist() == expected


@settings(deadline=None)
@given(rankings(), st.randoms(use_true_random=False))
def test_ranks_do_not_depend_on_the_order_of_items_or_the_scale(case, random):
    similarity, relevant = case
    order = random.sample(range(similarity.shape[1]), similarity.shape[1])
    expected = ranks(similarity, relevant)
    np.testing.assert_array_equal(ranks(similarity[:, order], relevant[:, order]), expected)
    np.testing.assert_array_equal(ranks(8 * similarity - 2, relevant), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [2, 37, 200])
def test_a_collapsed_model_is_last_not_first(n, dtype):
    one = np.random.default_rng(0).normal(size=48).astype(dtype)
    similarity = cosine_similarity(np.tile(one, (n, 1)), np.tile(one, (n, 1)))
    found = ranks(similarity, np.arange(n))
    assert found.tolist() == [n] * n
    assert hit_at_k(found, k=1) == 0
    zeros = cosine_similarity(np.zeros((n, 4)), np.zeros((n, 4)))
    assert ranks(zeros, np.arange(n)).tolist() == [n] * n


def test_of_tied_relevant_items_only_the_irrelevant_stand_before():
    assert ranks(np.zeros((1, 5)), np.array([[True, True, False, False, False]])).tolist() == [4]


def test_one_relevant_index_is_one_relevant_column():
    similarity = np.random.default_rng(0).normal(size=(6, 9))
    wanted = np.array([0, 8, 3, 3, 1, 5])
    np.testing.assert_array_equal(ranks(similarity, wanted),
                                  ranks(similarity, np.eye(9, dtype=bool)[wanted]))


@pytest.mark.parametrize(("similarity", "relevant", "message"), [
    ([[np.nan, 1]], [0], "not a number"), ([[np.inf, 1]], [0], "infinite"),
    ([[1, 2]], [2], "relevant"), ([[1, 2]], [-1], "relevant"), ([[1, 2]], [0, 1], "relevant"),
    ([[1, 2]], [[False, False]], "relevant"), ([[1, 2]], [[True, False, False]], "relevant")])
def test_what_has_no_rank_is_refused(similarity, relevant, message):
    with pytest.raises(ValueError, match=message):
        ranks(np.array(similarity, dtype=float), np.array(relevant))


@pytest.fixture(scope="module")
def random_ranking():
    rng = np.random.default_rng(0)
    relevant = rng.random((40, 30)) < 0.15
    relevant[np.arange(40), rng.integers(0, 30, 40)] = True
    return rng.random((40, 30)) + 0.01, relevant  # torchmetrics leaves out scores of 0 or less


def by_torchmetrics(metric, similarity, relevant):
    queries = np.repeat(np.arange(len(similarity)), similarity.shape[1])
    return float(metric(*(torch.from_numpy(a) for a in (similarity.ravel(), relevant.ravel())),
                        indexes=torch.from_numpy(queries)))


@pytest.mark.parametrize("k", [1, 3, 10, 30])
def test_hit_and_recall_agree_with_torchmetrics(random_ranking, k):
    similarity, relevant = random_ranking
    found = ranks(similarity, relevant)
    assert hit_at_k(found, k) == pytest.approx(
        by_torchmetrics(oracle.RetrievalHitRate(top_k=k), *random_ranking))
    assert recall_at_k(similarity, relevant, k) == pytest.approx(
        by_torchmetrics(oracle.RetrievalRecall(top_k=k), *random_ranking))


def test_reciprocal_rank_agrees_with_torchmetrics(random_ranking):
    assert mean_reciprocal_rank(ranks(*random_ranking)) == pytest.approx(
        by_torchmetrics(oracle.RetrievalMRR(), *random_ranking))


def test_with_one_relevant_item_hit_and_recall_are_one_number(random_ranking):
    similarity = random_ranking[0]
    wanted = np.arange(40) % 30
    for k in (1, 5, 10):
        assert hit_at_k(ranks(similarity, wanted), k) == pytest.approx(
            recall_at_k(similarity, np.eye(30, dtype=bool)[wanted], k))


def slow(metric, order, k):
    """A metric of one query from its relevance values in order, by the definition."""
    found = [gain > 0 for gain in order]
    places = [i + 1 for i, is_found in enumerate(found) if is_found]
    if metric is ndcg_at_k:
        best = sorted(order, reverse=True)
        ours, ideal = (sum(gain / math.log2(i + 2) for i, gain in enumerate(gains[:k]))
                       for gains in (order, best))
        return ours / ideal
    return {recall_at_k: sum(found[:k]) / sum(found), precision_at_k: sum(found[:k]) / k,
            hit_at_k: float(any(found[:k])), mean_reciprocal_rank: 1 / places[0],
            mean_average_precision: sum((i + 1) / place for i, place in enumerate(places))
            / len(places)}[metric]


def by_package(metric, similarity, gains, k):
    if metric in (hit_at_k, mean_reciprocal_rank):
        found = ranks(similarity, gains)
        return metric(found, k) if metric is hit_at_k else metric(found)
    if metric is mean_average_precision:
        return metric(similarity, gains)
    return metric(similarity, gains, k)


METRICS = (hit_at_k, recall_at_k, precision_at_k, mean_reciprocal_rank, mean_average_precision,
           ndcg_at_k)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.sampled_from([-1, 0, 0.5]), st.integers(0, 3)), min_size=1,
                max_size=5), st.integers(1, 6))
def test_ties_give_the_lowest_value_of_any_order(items, k):
    """Try all orders of the items, sort each by score alone, and take the worst for a metric."""
    items[0] = items[0][0], max(1, items[0][1])
    orders = {tuple(gain for _, gain in sorted(order, key=lambda item: -item[0]))
              for order in permutations(items)}
    scores, gains = (np.array([column]) for column in zip(*items, strict=True))
    for metric in METRICS:
        worst = min(slow(metric, order, k) for order in orders)
        assert by_package(metric, scores, gains, k) == pytest.approx(worst), metric.__name__


@settings(deadline=None)
@given(rankings(), st.integers(1, 8))
def test_the_mean_over_queries_is_the_mean_of_single_queries(case, k):
    similarity, relevant = case
    for metric in METRICS:
        single = [by_package(metric, scores[None], row[None], k)
                  for scores, row in zip(similarity, relevant, strict=True)]
        assert by_package(metric, similarity, relevant, k) == pytest.approx(np.mean(single))


@settings(deadline=None)
@given(rankings())
def test_the_first_relevant_item_stands_at_the_rank(case):
    expected = ranked_relevance(*case).argmax(axis=1) + 1
    np.testing.assert_array_equal(ranks(*case), expected)


def test_average_precision_and_gain_agree_with_scikit_learn(random_ranking):
    similarity, relevant = random_ranking
    expected = [average_precision_score(*row) for row in zip(relevant, similarity, strict=True)]
    assert mean_average_precision(similarity, relevant) == pytest.approx(np.mean(expected))
    graded = relevant * np.random.default_rng(1).integers(1, 5, relevant.shape)
    for k in (1, 3, 10, 30, 50):
        for gains in (relevant, graded, 2.0**graded - 1):
            assert ndcg_at_k(similarity, gains, k) == pytest.approx(
                ndcg_score(gains, similarity, k=k))


@pytest.mark.parametrize("k", [1, 3, 10, 30])
def test_each_metric_agrees_with_torchmetrics_query_by_query(random_ranking, k):
    pairs = {precision_at_k: by_torch.retrieval_precision, recall_at_k: by_torch.retrieval_recall,
             ndcg_at_k: by_torch.retrieval_normalized_dcg}
    rows = list(zip(*random_ranking, strict=True))
    tensors = [[torch.from_numpy(array) for array in row] for row in rows]
    for ours, theirs in pairs.items():
        expected = np.mean([theirs(*row, top_k=k).item() for row in tensors])
        assert ours(*random_ranking, k) == pytest.approx(expected, abs=1e-6)
    expected = np.mean([by_torch.retrieval_average_precision(*row).item() for row in tensors])
    assert mean_average_precision(*random_ranking) == pytest.approx(expected, abs=1e-6)


def test_with_one_relevant_item_average_precision_is_the_reciprocal_rank(random_ranking):
    similarity, wanted = random_ranking[0], np.arange(40) % 30
    assert mean_average_precision(similarity, wanted) == pytest.approx(
        mean_reciprocal_rank(ranks(similarity, wanted)))


def test_small_whole_numbers_are_ranked_like_any_scores():
    """Similarities kept in 8 bits: minus 1 must not become 255."""
    similarity, relevant = np.array([[0, 1, 2, 255]], dtype=np.uint8), np.array([[1, 2, 0, 3]])
    assert ranked_relevance(similarity, relevant).tolist() == [[3, 0, 2, 1]]


@pytest.mark.parametrize("metric", [ranks, ranked_relevance, mean_average_precision])
def test_a_gain_below_zero_is_refused(metric):
    with pytest.raises(ValueError, match="below 0"):
        metric(np.zeros((1, 3)), np.array([[1, -1, 0]]))


@pytest.fixture(scope="module")
def recorded():
    return json.loads(metric_names.OUTPUT.read_text("utf8"))


@pytest.mark.parametrize("k", metric_names.CUTS)
def test_the_recorded_names_are_those_of_the_installed_versions(recorded, k):
    """What can be run here is run again; what cannot is compared with the package."""
    ranking = recorded["scores"], recorded["relevant"], k
    found = {library: by_cut[str(k)] for library, by_cut in recorded["values"].items()}
    ours = metric_names.with_package(*map(tuple, ranking[:2]), k)
    assert found["mmfuse_utils"] == pytest.approx(ours)
    assert found["torchmetrics"] == pytest.approx(
        metric_names.with_torchmetrics(*map(tuple, ranking[:2]), k))
    for library in ("ranx", "sentence-transformers"):
        for name in ("recall", "precision", "ndcg"):
            assert found[library][f"{name}@k"] == pytest.approx(ours[f"{name}_at_k"])
        assert found[library]["mrr@k"] == pytest.approx(ours["mean_reciprocal_rank"])
    assert found["ranx"]["hit_rate@k"] == found["sentence-transformers"]["accuracy@k"] == \
        ours["hit_at_k"]


def test_places_of_tied_items_are_found_by_both_metrics():
    last = {str(n): {"first": n, "last": n} for n in metric_names.GALLERIES}
    assert metric_names.places(metric_names.with_package, "hit_at_k", "mean_reciprocal_rank") == {
        "hit_at_k": last, "mean_reciprocal_rank": last}

    def in_order(scores, relevant, k):
        place = 1 + relevant.index(1)
        return {"hit": float(place <= k), "reciprocal": 1 / place}

    listed = {str(n): {"first": 1, "last": n} for n in metric_names.GALLERIES}
    assert metric_names.places(in_order, "hit", "reciprocal") == {
        "hit": listed, "reciprocal": listed}


def test_the_order_of_tied_items_is_arbitrary_in_every_library_but_the_package(recorded):
    """What the chapter says of them: no library keeps 200 equal scores in their order."""
    listed = {"first": 1, "last": 200}
    for library, by_metric in recorded["places_among_equal_scores"].items():
        found = [by_size["200"] for by_size in by_metric.values()]
        assert listed not in found
        assert (found == [{"first": 200, "last": 200}] * 2) == (library == "mmfuse_utils")


def test_summaries_by_hand():
    found = np.array([1, 2, 4, 10])
    assert [hit_at_k(found, k) for k in (1, 2, 3, 4, 10)] == [0.25, 0.5, 0.5, 0.75, 1]
    assert median_rank(found) == 3
    assert mean_reciprocal_rank(found) == pytest.approx((1 + 1 / 2 + 1 / 4 + 1 / 10) / 4)


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(1, 320), st.integers(1, 10))
def test_chance_agrees_with_the_hypergeometric_distribution(n_items, k, n_relevant):
    n_relevant, drawn = min(n_relevant, n_items), min(k, n_items)
    expected = 1 - stats.hypergeom.pmf(0, n_items, n_relevant, drawn)
    assert chance_hit_at_k(n_items, k, n_relevant) == pytest.approx(expected, abs=1e-9)
    miss = math.comb(n_items - n_relevant, drawn) / math.comb(n_items, drawn)
    assert chance_hit_at_k(n_items, k, n_relevant) == pytest.approx(1 - miss, abs=1e-9)


@pytest.mark.parametrize(("n_relevant", "k"), [(1, 10), (3, 5)])
def test_chance_agrees_with_simulation(n_relevant, k):
    similarity = np.random.default_rng(0).random((20_000, 50))
    relevant = np.broadcast_to(np.arange(50) < n_relevant, similarity.shape)
    found = hit_at_k(ranks(similarity, relevant), k)
    assert found == pytest.approx(chance_hit_at_k(50, k, n_relevant), abs=0.02)


VALUES = {"shares": (np.random.default_rng(1).random(200) < 0.3).astype(float),
          "ranks": np.random.default_rng(2).integers(1, 50, 150).astype(float)}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("statistic", [np.mean, np.median, np.std])
def test_the_interval_agrees_with_scipy(name, statistic):
    values = VALUES[name]
    found = bootstrap_interval(values, statistic=statistic, n_resamples=3000)
    expected = stats.bootstrap((values,), statistic, method="percentile", n_resamples=3000,
                               vectorized=False, rng=0).confidence_interval
    assert found == pytest.approx(tuple(expected), abs=0.12 * values.std())
    assert found == bootstrap_interval(values, statistic=statistic, n_resamples=3000)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = [lo <= 0 <= hi for lo, hi in (
        bootstrap_interval(rng.normal(size=60), n_resamples=300) for _ in range(300))]
    assert 0.89 <= np.mean(covered) <= 0.98


def test_clusters_are_drawn_whole():
    """Equal clusters of equal values: the same draws as from one value a cluster."""
    one_each = np.random.default_rng(0).normal(size=20)
    values, clusters = np.repeat(one_each, 10), np.repeat(np.arange(20), 10)
    interval = bootstrap_interval(values, clusters)
    assert interval == pytest.approx(bootstrap_interval(one_each))
    lo, hi = bootstrap_interval(values)
    assert interval[1] - interval[0] > 2.5 * (hi - lo)  # sqrt(10) wider
    labels = np.array([f"group {c}" for c in clusters])
    assert bootstrap_interval(values, labels)[0] < lo


def test_unequal_clusters_by_simulation():
    values, clusters = np.array([0.0, 1, 1, 1]), np.array([0, 1, 1, 1])
    draws = np.random.default_rng(5).integers(2, size=(4000, 2))
    sums, sizes = np.array([0, 3])[draws].sum(axis=1), np.array([1, 3])[draws].sum(axis=1)
    assert bootstrap_interval(values, clusters) == tuple(np.percentile(sums / sizes, [2.5, 97.5]))


def test_another_seed_is_another_draw():
    values = VALUES["ranks"]
    assert bootstrap_interval(values) != bootstrap_interval(values, seed=1)


@pytest.mark.parametrize("clusters", [None, np.arange(150) % 7, np.arange(150) // 40])
def test_the_short_cut_for_means_is_the_mean(clusters):
    values = VALUES["ranks"]
    assert bootstrap_interval(values, clusters) == pytest.approx(
        bootstrap_interval(values, clusters, statistic=lambda drawn: sum(drawn) / len(drawn)))


@pytest.mark.parametrize("statistic", [np.mean, np.median])
@pytest.mark.parametrize(("values", "clusters"), [
    ([], None), (np.arange(10.0), np.zeros(5)), (np.arange(5.0), np.arange(10))])
def test_no_values_or_clusters_that_do_not_fit_are_refused(values, clusters, statistic):
    with pytest.raises(ValueError):
        bootstrap_interval(np.array(values), clusters, statistic)


SCORES, RELEVANT = np.array([[0.9, 0.5, 0.1]]), np.array([[1, 0, 1]])


@pytest.mark.parametrize("k", [0, -1, 2.5, np.nan, "3", None])
@pytest.mark.parametrize("metric", [
    lambda k: hit_at_k([1, 2], k), lambda k: recall_at_k(SCORES, RELEVANT, k),
    lambda k: precision_at_k(SCORES, RELEVANT, k), lambda k: ndcg_at_k(SCORES, RELEVANT, k),
    lambda k: chance_hit_at_k(10, k), lambda k: bootstrap_interval([1, 2], n_resamples=k),
    lambda k: chance_hit_at_k(k, 10), lambda k: chance_hit_at_k(10, 1, n_relevant=k)],
    ids=["hit", "recall", "precision", "ndcg", "chance", "resamples", "items", "relevant"])
def test_a_count_that_counts_nothing_is_refused(metric, k):
    with pytest.raises(ValueError, match=r"must be a whole number, (1 or more|from 1 to 10); got"):
        metric(k)


def test_more_relevant_items_than_items_are_refused():
    with pytest.raises(ValueError, match="n_relevant must be a whole number, from 1 to 5; got 6"):
        chance_hit_at_k(5, 1, n_relevant=6)


@pytest.mark.parametrize("found", [[], [0, 1], [1, np.nan], [[1, 2]], 3, [-1]])
@pytest.mark.parametrize("metric", [median_rank, mean_reciprocal_rank, lambda x: hit_at_k(x, 1)])
def test_what_is_no_rank_is_refused(metric, found):
    with pytest.raises(ValueError, match="each 1 or more"):
        metric(found)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("statistic", [np.mean, np.median])
def test_an_interval_of_what_is_no_number_is_refused(number, statistic):
    with pytest.raises(ValueError, match="infinite or not a number"):
        bootstrap_interval(np.array([1.0, number, 2.0]), statistic=statistic)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (3,)])
@pytest.mark.parametrize("metric", [ranks, ranked_relevance, mean_average_precision])
def test_a_ranking_of_nothing_is_refused(metric, shape):
    with pytest.raises(ValueError, match="at least one query and one item; got shape"
                       if len(shape) == 2 else "Expected a table of numbers"):
        metric(np.ones(shape), np.ones(shape))


@pytest.mark.parametrize("gain", [-1, np.nan, np.inf])
def test_a_gain_that_means_nothing_is_refused(gain):
    with pytest.raises(ValueError, match="A gain below 0 has no meaning, nor"):
        ndcg_at_k(SCORES, np.array([[1, gain, 1]]), 2)


def test_an_interval_says_what_it_cannot_use():
    for values, settings, words in (
            (np.ones((3, 2)), {}, "one row of numbers"), (np.array(["a"]), {}, "one row of numbers"),
            ([1, 2], {"statistic": lambda v: np.nan}, "statistic of some resamples"),
            ([1, 2], {"clusters": [1.0, np.nan]}, "label is missing"),
            ([1, 2], {"clusters": ["a", None]}, "label is missing")):
        with pytest.raises(ValueError, match=words):
            bootstrap_interval(values, **settings)


def test_what_is_relevant_is_said_by_index_or_by_table():
    with pytest.raises(ValueError, match="needs the index of each query's relevant item"):
        ranks(np.ones((2, 2)), np.array([True, False]))
    with pytest.raises(ValueError, match="an index below 3 for each"):
        ranks(np.ones((2, 3)), np.array([0, 3]))
    for table in (np.array([["a"]]), np.array([[None]]), [1.0]):
        with pytest.raises(ValueError, match="Expected a table of numbers"):
            ranks(table, np.array([0]))
