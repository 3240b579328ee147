"""Similarities, hubs and search against scikit-learn, SciPy, FAISS, sorting and plain loops."""

import json
import tracemalloc
from functools import partial
from math import exp, log

import faiss
import numpy as np
import pytest
import retrieval as benchmark
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import log_softmax
from sklearn.metrics import pairwise
from threadpoolctl import threadpool_info

import mmfuse_utils.search as search_module
from mmfuse_utils.retrieval import (cosine_similarity, csls, inverted_softmax, k_occurrence,
                                    query_bank, top_k, unit_rows)
from mmfuse_utils.search import inflate, search

SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 5))


@pytest.fixture(scope="module")
def similarity():
    return np.random.default_rng(0).normal(size=(30, 40))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cosine_agrees_with_scikit_learn(dtype):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(20, 7)).astype(dtype), rng.normal(size=(30, 7)).astype(dtype)
    found = cosine_similarity(a, b)
    assert found.shape == (20, 30) and found.dtype == dtype
    np.testing.assert_allclose(found, pairwise.cosine_similarity(a, b), atol=1e-6)
    np.testing.assert_allclose(cosine_similarity(3 * a, 0.01 * b), found, atol=1e-6)


def test_a_row_of_zeros_is_equally_far_from_everything():
    rows = np.array([[0.0, 0.0], [3.0, 4.0]])
    np.testing.assert_allclose(cosine_similarity(rows, rows), [[0, 0], [0, 1]])


@settings(deadline=None)
@given(hnp.arrays(float, SHAPES, elements=st.floats(-1e6, 1e6, allow_subnormal=False)
                  .map(lambda x: round(x, 3))))
def test_unit_rows_have_length_one_and_their_direction(rows):
    before = rows.copy()
    unit = unit_rows(rows)
    lengths = np.linalg.norm(rows, axis=1)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), lengths > 0, atol=1e-12)
    np.testing.assert_allclose(unit * lengths[:, None], rows, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(rows, before)


@pytest.mark.parametrize("k", [1, 5, 39, 40])
def test_top_k_is_the_head_of_the_full_order(similarity, k):
    np.testing.assert_array_equal(top_k(similarity, k), np.argsort(-similarity, axis=1)[:, :k])


@settings(deadline=None)
@given(hnp.arrays(float, SHAPES, elements=st.sampled_from([0.0, 0.5, 1.0])), st.data())
def test_top_k_with_ties_has_the_best_scores_in_order(scores, data):
    k = data.draw(st.integers(1, scores.shape[1]))
    top = top_k(scores, k)
    assert all(len(set(row)) == k for row in top.tolist())
    np.testing.assert_array_equal(np.take_along_axis(scores, top, axis=1),
                                  -np.sort(-scores, axis=1)[:, :k])


@pytest.mark.parametrize("k", [0, -1, 41, 2.5, np.nan])
def test_a_k_that_does_not_fit_is_refused(similarity, k):
    with pytest.raises(ValueError, match=f"k must be a whole number, from 1 to 40; got {k}"):
        top_k(similarity, k)


TYPES = [np.bool_, np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64,
         np.uint64, np.float16, np.float32, np.float64]


@settings(deadline=None)
@given(st.data(), st.sampled_from(TYPES))
def test_the_best_are_the_best_whatever_the_type(data, dtype):
    table = data.draw(hnp.arrays(dtype, hnp.array_shapes(min_dims=2, max_dims=2, max_side=8),
                             elements={"allow_nan": False} if np.dtype(dtype).kind == "f" else None))
    k = data.draw(st.integers(1, table.shape[1]))
    for row, found in zip(table.tolist(), top_k(table, k).tolist(), strict=True):
        assert [row[i] for i in found] == sorted(row, reverse=True)[:k]
        assert len(set(found)) == k


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.float16])
def test_small_numbers_are_scored_like_large_ones(dtype):
    table = np.array([[100, 120, 3], [90, 5, 60]])
    for correct in (csls, inverted_softmax, partial(query_bank, bank=table.astype(dtype)),
                    partial(cosine_similarity, b=table.astype(dtype))):
        np.testing.assert_allclose(correct(table.astype(dtype)), correct(table), rtol=1e-3)


@pytest.mark.parametrize("number", [np.nan, np.inf])
@pytest.mark.parametrize("correct", [
    csls, inverted_softmax, lambda x: inverted_softmax(np.ones((2, 3)), bank=x),
    lambda x: query_bank(x, np.ones((2, 3))), lambda x: query_bank(np.ones((2, 3)), x),
    lambda x: csls(np.ones((2, 3)), bank=x)],
    ids=["csls", "softmax", "bank of softmax", "query bank", "bank of query bank",
         "bank of csls"])
def test_a_similarity_that_is_none_is_refused(correct, number):
    with pytest.raises(ValueError, match="infinite or not a number"):
        correct(np.array([[0.1, 0.2, 0.3], [0.1, number, 0.3]]))


@pytest.mark.parametrize("k", [0, -3, 1.5])
@pytest.mark.parametrize("count", [csls, k_occurrence])
def test_a_neighborhood_has_one_item_or_more(count, k, similarity):
    with pytest.raises(ValueError, match="k must be a whole number, 1 or more"):
        count(similarity, k)


def test_what_has_no_order_is_refused():
    with pytest.raises(ValueError, match="not a number"):
        top_k(np.array([[0.1, np.nan]]), 1)
    assert top_k(np.array([[0.1, -np.inf, np.inf]]), 3).tolist() == [[2, 0, 1]]


@pytest.mark.parametrize(("shape", "k"), [((6, 9), 3), ((9, 6), 1), ((4, 9), 4)])
def test_csls_is_its_formula(shape, k):
    scores = np.random.default_rng(1).uniform(-1, 1, shape)
    expected = np.empty(shape)
    for i in range(shape[0]):
        for j in range(shape[1]):
            of_query = sum(sorted(scores[i], reverse=True)[:k]) / k
            of_item = sum(sorted(scores[:, j], reverse=True)[:k]) / k
            expected[i, j] = 2 * scores[i, j] - of_query - of_item
    np.testing.assert_allclose(csls(scores, k), expected)


def test_csls_uses_what_neighbors_there_are():
    scores = np.random.default_rng(1).uniform(-1, 1, (3, 5))
    expected = 2 * scores - scores.mean(axis=1, keepdims=True) - scores.mean(axis=0)
    np.testing.assert_allclose(csls(scores, k=10), expected)


@pytest.mark.parametrize("k", [1, 3, 30])
def test_csls_with_a_bank_takes_the_items_neighbors_from_it(k):
    rng = np.random.default_rng(2)
    scores, bank = rng.uniform(-1, 1, (4, 9)), rng.uniform(-1, 1, (20, 9))
    found = csls(scores, k, bank)
    by_query = np.sort(scores, axis=1)[:, -k:].mean(axis=1, keepdims=True)
    np.testing.assert_allclose(found, 2 * scores - by_query - np.sort(bank, axis=0)[-k:].mean(axis=0))
    np.testing.assert_allclose([csls(row[None], k, bank)[0] for row in scores], found)
    np.testing.assert_array_equal(csls(scores, k, scores), csls(scores, k))


def test_csls_makes_a_hub_pay():
    """One item is the first answer to every query until its popularity is subtracted."""
    scores = 0.8 * np.eye(10) + 0.1
    scores[:, 0] = 0.95
    assert (scores.argmax(axis=1) == 0).all()
    assert (csls(scores, k=3).argmax(axis=1) == np.arange(10)).mean() >= 0.9
    assert k_occurrence(scores, k=1).max() == 10
    assert k_occurrence(csls(scores, k=3), k=1).max() <= 2


@pytest.mark.parametrize("k", [1, 10, 40])
def test_k_occurrences_add_up(similarity, k):
    counts = k_occurrence(similarity, k)
    assert counts.shape == (40,) and counts.sum() == 30 * k and counts.max() <= 30
    lists = np.argsort(-similarity, axis=1)[:, :k].tolist()
    assert counts.tolist() == [sum(item in row for row in lists) for item in range(40)]


@pytest.fixture(scope="module")
def bank():
    return np.random.default_rng(2).normal(size=(25, 40))


def test_inverted_softmax_is_a_softmax_over_the_queries(similarity):
    np.testing.assert_allclose(inverted_softmax(similarity, beta=3),
                               log_softmax(3 * similarity, axis=0))
    large = inverted_softmax(1e6 * similarity, beta=3)      # exp of such numbers would overflow
    assert np.isfinite(large).all() and large.max() <= 0


def test_inverted_softmax_with_a_bank_is_its_formula(similarity, bank):
    found = inverted_softmax(similarity, bank, beta=2)
    for i, j in ((0, 0), (7, 39), (29, 12)):
        expected = exp(2 * similarity[i, j]) / sum(exp(2 * row[j]) for row in bank)
        assert found[i, j] == pytest.approx(log(expected))


def test_one_query_alone_ties_all_items_in_the_inverted_softmax(similarity):
    np.testing.assert_array_equal(inverted_softmax(similarity[:1], beta=7), np.zeros((1, 40)))


@pytest.mark.parametrize("k", [1, 2])
def test_a_query_bank_corrects_only_queries_that_meet_an_active_item(similarity, bank, k):
    active = {item for row in bank for item in np.argsort(-row)[:k]}
    meets = [int(np.argmax(row)) in active for row in similarity]
    assert 0 < sum(meets) < len(meets)
    found, corrected = query_bank(similarity, bank, 2, k), inverted_softmax(similarity, bank, 2)
    for i, hit in enumerate(meets):
        np.testing.assert_array_equal(found[i], corrected[i] if hit else similarity[i])


def test_a_query_bank_answers_each_query_as_if_it_were_alone(similarity, bank):
    alone = [query_bank(row[None], bank, 5)[0] for row in similarity]
    np.testing.assert_allclose(query_bank(similarity, bank, 5), alone)


def test_a_query_bank_makes_a_hub_pay():
    scores = 0.8 * np.eye(10) + 0.1
    scores[:, 0] = 0.95
    assert (scores.argmax(axis=1) == 0).all()
    found = query_bank(scores, scores[::2], beta=10)
    assert (found.argmax(axis=1) == np.arange(10)).mean() >= 0.9


@pytest.mark.parametrize(("shape", "message"), [
    ((25, 39), "same 40 items; got shape \\(25, 39\\)"), ((0, 40), "at least one query"),
    ((40,), "of shape")])
def test_a_bank_that_does_not_fit_is_refused_by_csls(similarity, shape, message):
    with pytest.raises(ValueError, match=message):
        csls(similarity, 5, np.ones(shape))


@pytest.mark.parametrize("correct", [inverted_softmax, query_bank])
@pytest.mark.parametrize(("shape", "beta", "message"), [
    ((25, 39), 1, "same 40 items; got shape \\(25, 39\\)"), ((0, 40), 1, "at least one query"),
    ((40,), 1, "of shape"), ((25, 40), 0, "beta must be positive and 1e9 at most; got 0")])
def test_a_bank_that_does_not_fit_is_refused(similarity, correct, shape, beta, message):
    with pytest.raises(ValueError, match=message):
        correct(similarity, np.ones(shape), beta)


# Small whole numbers: every sum is exact, there are many ties, and all of them must be right.
ROWS = st.tuples(st.integers(0, 7), st.integers(1, 40), st.integers(1, 3), st.integers(0, 10**6))


@settings(deadline=None, max_examples=300)
@given(ROWS, st.integers(1, 9), st.integers(1, 45), st.integers(1, 3), st.data())
def test_search_is_the_head_of_the_full_order_with_ties_and_blocks(shape, rows, block, threads,
                                                                   data):
    n_queries, n_items, dim, seed = shape
    rng = np.random.default_rng(seed)
    queries, items = (rng.integers(-2, 3, (n, dim)).astype(np.float32)
                      for n in (n_queries, n_items))
    k = data.draw(st.integers(1, n_items))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search_module, "ROWS", rows)
        patch.setattr(search_module, "PIECE", data.draw(st.tuples(*[st.integers(1, 9)] * 2)))
        patch.setattr(search_module, "SHORT", data.draw(st.integers(0, 3)))
        indices, scores = search(queries, items, k, block, threads)
    full = queries @ items.T
    expected = np.argsort(-full, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_array_equal(scores, np.take_along_axis(full, expected, axis=1))
    if n_queries:
        np.testing.assert_array_equal(scores, np.take_along_axis(full, top_k(full, k), axis=1))


@pytest.mark.parametrize("block", [None, 1000, 257])
def test_search_agrees_with_faiss(block):
    rng = np.random.default_rng(0)
    queries, items = (rng.standard_normal((n, 24), dtype=np.float32) for n in (300, 3000))
    flat = faiss.IndexFlatIP(24)
    flat.add(items)
    expected_scores, expected = flat.search(queries, 10)
    indices, scores = search(queries, items, 10, block)
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-5)
    assert (indices == expected).mean() > 0.999     # two scores may be equal but for rounding


@pytest.mark.parametrize("dim", [64, 150])
@pytest.mark.parametrize("n_items", [1100, 1121, 2300])     # whole pieces, and a shorter last one
@pytest.mark.parametrize("k", [10, 300])                    # fewer than a block's groups, and more
def test_search_has_the_very_scores_of_the_product(monkeypatch, dim, n_items, k):
    monkeypatch.setattr(search_module, "SCORES", 150_000)   # some blocks
    rng = np.random.default_rng(0)                          # whole numbers: no rounding, many ties
    queries, items = (rng.integers(-9, 10, (n, dim)).astype(np.float32) for n in (130, n_items))
    full = queries @ items.T
    expected = np.argsort(-full, axis=1, kind="stable")[:, :k]
    indices, scores = search(queries, items, k)
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_array_equal(scores, np.take_along_axis(full, expected, axis=1))


def test_when_all_scores_are_equal_the_first_items_win():
    indices, scores = search(np.ones((70, 5)), np.ones((3000, 5)), 12, block=1000, threads=2)
    np.testing.assert_array_equal(indices, np.tile(np.arange(12), (70, 1)))
    assert (scores == 5).all()


@pytest.mark.parametrize("order", [1, -1])
def test_search_needs_no_luck_with_the_order_of_the_items(order):
    """Every block better than all before it, and the other way round."""
    items = np.sort(np.random.default_rng(0).standard_normal((500, 1)), axis=0)[::order]
    indices, _ = search(np.ones((3, 1)), items, 7, block=20)
    best = np.arange(493, 500)[::-1] if order == 1 else np.arange(7)
    np.testing.assert_array_equal(indices, np.tile(best, (3, 1)))


@settings(deadline=None)
@given(hnp.arrays(np.float32, st.integers(1, 20), elements=st.one_of(
    st.sampled_from([-0.0, 0.0, 1.0, -1.0]), st.floats(width=32, allow_nan=False))))
def test_keys_sort_by_score_and_then_by_column(scores):
    keys = search_module._to_keys(scores, np.arange(len(scores)))
    assert search_module.LAST not in keys
    columns, back = search_module._from_keys(np.sort(keys))
    expected = np.argsort(-scores, kind="stable")       # here, too, -0.0 and 0.0 are a tie
    np.testing.assert_array_equal(columns, expected)
    np.testing.assert_array_equal(back, scores[expected])


def test_search_does_not_hold_all_scores(monkeypatch):
    monkeypatch.setattr(search_module, "SCORES", 1 << 17)
    rng = np.random.default_rng(0)
    queries, items = (rng.standard_normal((n, 4), dtype=np.float32) for n in (200, 50_000))
    tracemalloc.start()
    search(queries, items, 5)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.1 * 4 * len(queries) * len(items)


def test_search_leaves_the_number_of_threads_as_it_was():
    def threads():
        return [row["num_threads"] for row in threadpool_info() if row["user_api"] == "blas"]
    before = threads()
    search(np.eye(4), np.eye(4), 2, threads=2)
    assert threads() == before


@pytest.mark.parametrize(("queries", "items", "arguments", "message"), [
    (np.eye(3), np.eye(4), {}, r"shapes \(3, 3\) and \(4, 4\)"),
    (np.ones(3), np.eye(3), {}, "must be matrices"),
    (np.eye(3), np.eye(3), {"k": 4}, "k must be a whole number, from 1 to 3; got 4"),
    (np.eye(3), np.eye(3), {"k": 0}, "got 0"),
    (np.full((1, 3), np.nan), np.eye(3), {}, "queries hold a number"),
    (np.eye(3), np.diag([1, 1, -np.inf]), {}, "items hold a number"),
    (np.full((1, 1), 1e30), np.full((2, 1), 1e30), {}, "too large for float32"),
    (np.full((1, 1), 1e30), np.full((2, 1), -1e30), {}, "too large for float32"),
    (np.eye(3), np.eye(3), {"block": 0}, "block must be a whole number, 1 or more; got 0"),
    (np.eye(3), np.eye(3), {"threads": 0}, "threads must be a whole number, 1 or more; got 0")])
@pytest.mark.filterwarnings("ignore:overflow")
def test_search_refuses_what_it_cannot_rank(queries, items, arguments, message):
    with pytest.raises(ValueError, match=message):
        search(queries, items, **{"k": 2, **arguments})


def test_inflated_rows_are_mixtures_of_two():
    made = inflate(np.eye(5), 200, noise=0)
    assert made.dtype == np.float32 and (made >= 0).all()
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, rtol=1e-6)
    assert set((made > 0).sum(axis=1)) == {1, 2}
    np.testing.assert_array_equal(inflate(np.eye(5), 9, seed=3), inflate(np.eye(5), 9, seed=3))
    assert not np.array_equal(inflate(np.eye(5), 9, seed=3), inflate(np.eye(5), 9, seed=4))


def test_inflated_rows_have_the_noise_they_were_asked_for():
    parent = np.eye(400)[:1]                        # mixed with itself: only the noise is new
    made = inflate(parent, 300, noise=0.5)
    tangent = np.linalg.norm(made[:, 1:] / made[:, :1], axis=1)
    assert tangent.mean() == pytest.approx(0.5, rel=0.05)


def test_the_benchmarks_ratio_is_to_the_fastest_product_of_the_same_round():
    numpy, torch = benchmark.BARE
    rounds = [{numpy: 1.0, torch: 2.0, "search": 2.0}, {numpy: 9.0, torch: 3.0, "search": 4.0},
              {numpy: 1.0, torch: 1.0, "search": 4.0}]
    found = benchmark.ratios(rounds)
    assert found["search"] == {"median": 0.5, "low": 0.25, "high": 0.75}
    assert found[numpy]["median"] == 1


def test_the_benchmarks_recall_is_the_share_of_the_exact_neighbors():
    rng = np.random.default_rng(0)
    found, exact = (np.argsort(rng.random((6, 9)), axis=1)[:, :4] for _ in range(2))
    expected = np.mean([len(set(a) & set(b)) / 4 for a, b in zip(found, exact, strict=True)])
    assert benchmark.recall(found, exact) == pytest.approx(expected)
    assert benchmark.recall(exact[:, ::-1], exact) == 1


def test_the_benchmarks_programs_find_the_same(capsys):
    items = inflate(np.eye(16), 300)
    row = benchmark.race(items[:40], items, threads=1, rivals=True, rounds=2)
    assert len(row["seconds"]) == 2 and set(row["same_neighbors"].values()) == {1.0}


def test_the_recorded_benchmark_is_whole_and_its_programs_agreed():
    recorded = json.loads(benchmark.OUTPUT.read_text("utf8"))
    assert set(recorded) == set(benchmark.PARTS)
    races = recorded["product"]["result"]
    assert {race["dim"] for race in races} == {64, 100, 300, 512, 1280}
    for race in races:
        assert min(race["same_neighbors"].values()) > 0.999
        assert race["ratio"] == benchmark.ratios(race["seconds"])
    sizes = {row["index"]: row["bytes"] for row in recorded["index"]["result"]["rows"]}
    assert sizes["IVF and PQ"] < sizes["exact"] < sizes["IVF"] < sizes["HNSW"]


@pytest.mark.parametrize(("rows", "n", "noise"), [
    (np.eye(3), 0, 0.3), (np.eye(3), 2.5, 0.3), (np.eye(3), 2, -1), (np.eye(3), 2, np.nan),
    (np.ones((0, 3)), 2, 0.3), (np.ones(3), 2, 0.3)])
def test_rows_cannot_be_made_from_nothing(rows, n, noise):
    with pytest.raises(ValueError, match="got"):
        inflate(rows, n, noise)


@pytest.mark.parametrize("scale", [1e-30, 1e-18, 1.0, 1e18, 1e30])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_of_any_size_have_a_direction(scale, dtype):
    rows = np.array([[3, 4], [0, 0], [-1, 0]], dtype) * dtype(scale)
    np.testing.assert_allclose(unit_rows(rows), [[0.6, 0.8], [0, 0], [-1, 0]], rtol=1e-6)
    for number in (np.nan, np.inf):
        with pytest.raises(ValueError, match="no direction"):
            unit_rows(np.array([[1, number]], dtype))


@pytest.mark.parametrize("use", [partial(top_k, k=1), csls, inverted_softmax, unit_rows])
def test_what_is_no_table_of_numbers_is_said(use):
    for odd in (np.ones(3), np.array([["a"]]), np.array([[None]]), np.ones((1, 2, 3))):
        with pytest.raises(ValueError, match="Expected a table of numbers"):
            use(odd)
