"""Similarities, top lists and hubs against scikit-learn, sorting and plain loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import pairwise

from mmfuse_utils.retrieval import cosine_similarity, csls, k_occurrence, top_k, unit_rows

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


@pytest.mark.parametrize("k", [0, -1, 41])
def test_a_k_that_does_not_fit_is_refused(similarity, k):
    with pytest.raises(ValueError, match=f"between 1 and the number of items, 40; got {k}"):
        top_k(similarity, k)


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
    np.testing.assert_allclose(csls(scores, k=10), csls(scores, k=3))


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
