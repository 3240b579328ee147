"""Codes that make vectors smaller: what arrives is right, and what was recorded is whole."""

import json

import compression as study
import faiss
import numpy as np
import pytest
from gensim.models import KeyedVectors


@pytest.fixture(scope="module")
def rows():
    """Correlated normal rows to learn from, others to send, and queries."""
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(16, 16)) * np.geomspace(1, 0.05, 16)
    return [rng.normal(size=(n, 16)) @ mix.T + 1 for n in (900, 300, 200)]


def mean_error(sent, arrived):
    return np.square(sent - arrived).mean()


@pytest.mark.parametrize(("bits", "error"), [(0, 1), (1, 0.3634), (2, 0.1175), (3, 0.03454)])
def test_levels_have_the_errors_that_max_tabulated(bits, error):
    assert study.DISTORTION[bits] == pytest.approx(error, abs=1e-4)
    assert np.allclose(study.LEVELS[bits], -study.LEVELS[bits][::-1])


def test_bits_go_where_they_save_most_and_all_are_given():
    assert study.share_bits(np.array([4.0, 1.0]), 2).tolist() == [2, 0]
    assert study.share_bits(np.ones(4), 8).tolist() == [2, 2, 2, 2]
    assert study.share_bits(np.array([1e9, 1.0]), 12).tolist() == [8, 4]   # 8 at most


def test_more_bytes_leave_less_error_and_no_bits_leave_the_mean(rows):
    known, sent, _ = rows
    errors = [mean_error(sent, study.by_variance(known, sent, n)) for n in (0, 1, 2, 4, 8)]
    assert all(more > less for more, less in zip(errors, errors[1:], strict=False))
    assert np.allclose(study.by_variance(known, sent, 0), known.mean(axis=0))


def test_bits_by_variance_send_no_more_than_was_paid_for(rows):
    known, sent, _ = rows
    assert len(np.unique(study.by_variance(known, sent, 1).round(9), axis=0)) <= 2**8


def test_weighting_by_queries_lowers_the_error_that_they_see(rows):
    known, sent, _ = rows
    queries = np.random.default_rng(1).normal(size=(200, 16)) * np.geomspace(0.05, 1, 16)
    plain = study.by_variance(known, sent, 3) - sent
    asked = study.asked(study.by_variance, queries)(known, sent, 3) - sent
    assert np.square(queries @ asked.T).mean() < np.square(queries @ plain.T).mean()
    assert np.square(asked).mean() > np.square(plain).mean()


def test_turning_balances_the_pieces_and_helps_product_quantization(rows):
    known, sent, _ = rows
    turn = study.balanced(known, 4)
    assert np.allclose(turn.T @ turn, np.eye(16))
    products = np.log(np.var(known @ turn, axis=0)).reshape(4, 4).sum(axis=1)
    alone = np.log(np.linalg.eigvalsh(np.cov(known.T))).reshape(4, 4).sum(axis=1)
    assert np.ptp(products) < 0.5 * np.ptp(alone)
    assert (mean_error(sent, study.product(known, sent, 4, turn=True))
            < mean_error(sent, study.product(known, sent, 4)))


def test_int8_is_exact_within_half_a_step(rows):
    known, _, _ = rows
    step = np.abs(known).max(axis=0) / 127
    assert (np.abs(study.int8(known, known) - known) <= step / 2 + 1e-12).all()


def test_signs_count_like_faiss(rows):
    known, sent, queries = rows
    mean = known.mean(axis=0)
    ours = study.signs(queries, mean, 16) @ study.signs(sent, mean, 16).T
    index = faiss.IndexBinaryFlat(16)
    index.add(np.packbits(study.signs(sent, mean, 16) > 0, axis=1))
    found, order = index.search(np.packbits(study.signs(queries, mean, 16) > 0, axis=1), 300)
    assert (np.take_along_axis((16 - ours) / 2, order, axis=1) == found).all()


def test_an_exact_query_weighs_the_signs_of_items_by_its_own_turned_numbers(rows):
    known, sent, queries = rows
    turn, means = study.planes(16, 16), (known.mean(axis=0), queries.mean(axis=0))
    assert np.allclose(turn.T @ turn, np.eye(16))
    scores = study.exact_query(queries, sent, means, 16)
    right = (sent[3] - means[0]) @ turn > 0
    turned = (queries[5] - means[1]) @ turn
    assert scores[5, 3] == pytest.approx(turned[right].sum() - turned[~right].sum(), rel=1e-5)


def test_a_few_pixels_are_mean_colors():
    picture = np.zeros((128, 128, 3), np.uint8)
    picture[:32, :32] = 200, 100, 0
    few = study.few_pixels([picture])
    assert few.shape == (1, 48)
    assert few[0, :3].tolist() == [200, 100, 0] and few[0, 3:].max() == 0


def test_ranking_again_puts_the_exact_order_first_and_leaves_the_rest_behind():
    rng = np.random.default_rng(0)
    coarse, exact = rng.normal(size=(2, 5, 50))
    for before, scores, after in zip(coarse, study.again(coarse, exact), exact, strict=True):
        first = np.argsort(-scores)[:10]
        assert set(first) == set(np.argsort(-before)[:10])
        assert (np.diff(after[first]) < 0).all()


def test_every_refinement_leaves_less_error(rows):
    known, sent, _ = rows
    errors = [mean_error(sent, held) for held in study.refine(known, sent, (1, 1, 2, 4))]
    assert all(more > less for more, less in zip(errors, errors[1:], strict=False))


def test_a_file_within_the_bytes_is_the_largest_that_fits():
    picture = np.random.default_rng(0).integers(0, 255, (128, 128, 3)).astype(np.uint8)
    assert len(study.within(picture, 200)) <= 200
    assert study.within(picture, 1) == study.webp(picture, 1, 0)
    assert study.opened(study.webp(picture, 16, 0)).shape == (128, 128, 3)


def test_words_that_were_left_out_borrow_from_the_longest_beginning():
    assert study.beginnings(["teapots", "teal", "ox"], ["tea", "teapot", "team", "teapotty"]) == {
        "teapots": "teapot"}
    vectors = KeyedVectors(2)
    vectors.add_vectors(["house", "ox", "houses", "zebu"], np.eye(2)[[0, 1, 1, 1]])
    found = study.borrowed(vectors, vectors.vectors, ["houses", "zebu", "ox"], 2)
    assert found.tolist() == [[1, 0], [0, 0], [0, 1]]


def test_the_record_is_whole():
    recorded = json.loads(study.OUTPUT.read_text("utf8"))
    assert len(recorded["salts"]) == study.SALTS
    for row in recorded["salts"]:
        assert all(len(hits) == 200 and set(hits) <= {"0", "1"}
                   for both in row["hits"].values() for hits in both)
        assert {"float32.256", "int8.64", "bits_asked.16", "bits_asked.64"} <= row["kept"].keys()
        assert row["kept"]["float32.256"] == 1.0
        assert np.shape(row["stages"]) == (len(study.STAGES), 200)
    assert set(recorded["files"]) == {*study.FILES, "png 128", "as the words"}
    assert all("signs_exact.8" in row["hits"] for row in recorded["salts"])
    assert len(recorded["files"]["as the words"]["by_pixels"]) == 200
    assert set(recorded["opq"]) == {"ours", "without", "faiss 5", "faiss 50"}
    assert {"float32", "bits 50", "random"} <= recorded["words"]["variants"].keys()
