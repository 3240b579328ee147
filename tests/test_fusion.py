"""Estimators against scikit-learn, closed forms, hand computation, and planted truths."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from sklearn.cross_decomposition import CCA
from sklearn.exceptions import NotFittedError
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge

from mmfuse_utils.fusion import (
    ConSE,
    KernelMap,
    LateFusion,
    RegularizedCCA,
    RidgeMap,
    standardize,
)
from mmfuse_utils.metrics import hit_at_k, mean_reciprocal_rank, ranks
from mmfuse_utils.retrieval import cosine_similarity, unit_rows

DIRECTIONS = ("text_to_image", "image_to_text")


def planted(n: int = 400, noise: float = 0.5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Texts (n, 12) and pictures (n, 15) that share four hidden causes; means are not zero."""
    rng = np.random.default_rng(seed)
    cause = rng.normal(size=(n, 4))
    mixing = np.random.default_rng(99)
    text = cause @ mixing.normal(size=(4, 12)) + noise * rng.normal(size=(n, 12)) + 3
    image = cause @ mixing.normal(size=(4, 15)) + noise * rng.normal(size=(n, 15)) - 1
    return text, image


METHODS = [RidgeMap(), RidgeMap(direction="image_to_text"), RegularizedCCA(dim=4)]


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("alpha", [1e-3, 1.0, 30.0])
def test_ridge_agrees_with_scikit_learn(alpha, direction):
    text, image = planted()
    source, target = (text, image) if direction == "text_to_image" else (image, text)
    penalty = alpha * len(source) * source.var(axis=0).mean()
    expected = Ridge(alpha=penalty).fit(source, target)
    model = RidgeMap(alpha, direction).fit(text, image)
    np.testing.assert_allclose(model.coef_, expected.coef_.T, rtol=1e-6, atol=1e-9)
    mapped = expected.predict(source) - target.mean(axis=0)
    other = target - target.mean(axis=0)
    pair = (mapped, other) if direction == "text_to_image" else (other, mapped)
    np.testing.assert_allclose(model.similarity(text, image), cosine_similarity(*pair), atol=1e-6)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_penalty_does_not_depend_on_the_scale(direction):
    text, image = planted()
    expected = RidgeMap(2.0, direction).fit(text, image).similarity(text, image)
    text, image = 1000 * text, image / 7
    scaled = RidgeMap(2.0, direction).fit(text, image).similarity(text, image)
    np.testing.assert_allclose(scaled, expected, atol=1e-9)


def canonical_correlations(text: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Closed form: cosines of the angles between the two column spaces (Björck and Golub)."""
    bases = [np.linalg.qr(rows - rows.mean(axis=0))[0] for rows in (text, image)]
    return np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)


def test_cca_without_penalty_finds_the_canonical_correlations():
    text, image = planted()
    model = RegularizedCCA(dim=12, reg=1e-10).fit(text, image)
    np.testing.assert_allclose(model.correlations_, canonical_correlations(text, image), rtol=1e-5)
    assert (model.correlations_[:4] > 0.8).all() and (model.correlations_[4:] < 0.35).all()


def test_cca_directions_agree_with_scikit_learn():
    text, image = planted()
    model = RegularizedCCA(dim=3, reg=1e-10).fit(text, image)
    ours = ((text - text.mean(axis=0)) @ model.text_coef_,
            (image - image.mean(axis=0)) @ model.image_coef_)
    theirs = CCA(n_components=3, max_iter=5000, tol=1e-12).fit(text, image).transform(text, image)
    for a, b in zip(ours, theirs, strict=True):
        for i in range(3):
            assert abs(np.corrcoef(a[:, i], b[:, i])[0, 1]) == pytest.approx(1, abs=1e-4)
    for i in range(3):  # each direction's variance is its correlation squared
        assert [side[:, i].std() for side in ours] == pytest.approx(
            [model.correlations_[i]] * 2, rel=1e-4)
        assert np.corrcoef(ours[0][:, i], ours[1][:, i])[0, 1] == pytest.approx(
            model.correlations_[i], rel=1e-4)


def test_a_penalty_shrinks_the_correlations():
    text, image = planted()
    weak, strong = (RegularizedCCA(4, reg).fit(text, image).correlations_ for reg in (0.01, 10))
    assert (strong < weak).all() and (strong >= 0).all()


def test_cca_with_fewer_pairs_than_features():
    text, image = planted(n=8)
    assert np.isfinite(RegularizedCCA(4).fit(text, image).similarity(text, image)).all()


@pytest.mark.parametrize("method", METHODS, ids=lambda m: f"{type(m).__name__}-"
                         f"{getattr(m, 'direction', '')}")
class TestJointSpace:
    """What every method with a space of its own promises."""

    def test_planted_pairs_are_found_on_new_data(self, method):
        model = method.fit(*planted())
        text, image = planted(n=100, seed=1)
        assert hit_at_k(ranks(model.similarity(text, image), np.arange(100)), 10) > 0.8

    def test_pairs_that_do_not_belong_together_teach_nothing(self, method):
        text, image = planted()
        model = method.fit(text, image[np.random.default_rng(3).permutation(len(image))])
        text, image = planted(n=100, seed=1)
        assert hit_at_k(ranks(model.similarity(text, image), np.arange(100)), 10) < 0.35

    def test_embeddings_are_unit_rows_and_their_product_is_the_similarity(self, method):
        text, image = planted()
        model = method.fit(text, image)
        a, b = model.embed_text(text[:5]), model.embed_image(image[:7])
        assert a.shape[1] == b.shape[1]
        np.testing.assert_allclose(np.linalg.norm(a, axis=1), 1)
        np.testing.assert_allclose(np.linalg.norm(b, axis=1), 1)
        np.testing.assert_allclose(model.similarity(text[:5], image[:7]), a @ b.T)

    def test_fit_returns_itself_repeats_itself_and_changes_no_input(self, method):
        text, image = planted()
        copies = text.copy(), image.copy()
        assert method.fit(text, image) is method
        once = method.similarity(text, image)
        np.testing.assert_array_equal(method.fit(text, image).similarity(text, image), once)
        np.testing.assert_array_equal(text, copies[0])
        np.testing.assert_array_equal(image, copies[1])

    def test_single_precision_is_good_enough(self, method):
        text, image = planted()
        expected = method.fit(text, image).similarity(text, image)
        single = text.astype(np.float32), image.astype(np.float32)
        np.testing.assert_allclose(method.fit(*single).similarity(*single), expected, atol=1e-3)


@pytest.mark.parametrize(("model", "message"), [
    (RidgeMap(alpha=0), "alpha must be positive and finite; got 0"), (RidgeMap(alpha=-1), "alpha"),
    (RidgeMap(alpha=float("nan")), "alpha"), (RidgeMap(direction="up"), "got 'up'"),
    (RegularizedCCA(dim=0), "dim must be a whole number, 1 or more; got 0"),
    (RegularizedCCA(dim=13), "dim must be at most 12 here: the 50 text rows.*got 13"),
    (LateFusion(steps=0), "steps must be a whole number")])
def test_settings_that_make_no_sense_are_refused(model, message):
    with pytest.raises(ValueError, match=message):
        model.fit(*planted(n=50))


def test_conse_by_hand():
    labels = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    probabilities = np.array([[0.6, 0.3, 0.1], [0.0, 0.2, 0.8]])
    model = ConSE(n_labels=2).fit(labels)
    expected = np.array([[0.6, 0.3] / np.hypot(0.6, 0.3), [-0.8, 0.2] / np.hypot(0.8, 0.2)])
    np.testing.assert_allclose(model.embed_image(probabilities), expected)
    np.testing.assert_allclose(ConSE(1).fit(labels).embed_image(probabilities),
                               [[1, 0], [-1, 0]])
    text = np.array([[0.0, 2.0], [5.0, 0.0]])
    np.testing.assert_allclose(model.similarity(text, probabilities),
                               cosine_similarity(text, expected))


def test_conse_by_the_papers_formula():
    rng = np.random.default_rng(0)
    probabilities, labels = rng.dirichlet(np.ones(50), size=6), rng.normal(size=(50, 8))
    found = ConSE(n_labels=10).fit(labels).embed_image(probabilities)
    for row, p in zip(found, probabilities, strict=True):
        top = sorted(range(50), key=lambda label: -p[label])[:10]
        mean = sum(p[label] * labels[label] for label in top) / sum(p[label] for label in top)
        np.testing.assert_allclose(row, mean / np.linalg.norm(mean))


def test_conse_with_a_high_temperature_listens_to_all_classes():
    rng = np.random.default_rng(0)
    probabilities, labels = rng.dirichlet(np.ones(50), size=6), rng.normal(size=(50, 8))
    even = ConSE(50, temperature=1e6).fit(labels).embed_image(probabilities)
    np.testing.assert_allclose(even, unit_rows(np.tile(labels.mean(axis=0), (6, 1))), atol=1e-4)
    squared = ConSE(50, temperature=0.5).fit(labels).embed_image(probabilities)
    np.testing.assert_allclose(squared, unit_rows(probabilities**2 @ labels))


def test_centered_conse_removes_the_means_of_what_it_was_fitted_on():
    rng = np.random.default_rng(0)
    probabilities, labels = rng.dirichlet(np.ones(50), size=6), rng.normal(size=(50, 8))
    text = rng.normal(size=(5, 8)) + 3
    model = ConSE(50, 2.0, center=True).fit(labels, text, probabilities)
    mixed = np.sqrt(probabilities) / np.sqrt(probabilities).sum(axis=1, keepdims=True) @ labels
    np.testing.assert_allclose(model.embed_image(probabilities),
                               unit_rows(mixed - mixed.mean(axis=0)))
    np.testing.assert_allclose(model.embed_text(text), unit_rows(text - text.mean(axis=0)))
    with pytest.raises(ValueError, match="needs texts and class probabilities"):
        ConSE(center=True).fit(labels)


@pytest.mark.parametrize("alpha", [1e-2, 1.0, 30.0])
def test_kernel_map_agrees_with_scikit_learn(alpha):
    text, image = planted()
    model = KernelMap(alpha).fit(text, image)
    distances = [np.sum((a - b) ** 2) for i, a in enumerate(image) for b in image[:i]]
    assert model.gamma_ == pytest.approx(1 / np.median(distances))
    expected = KernelRidge(alpha=alpha, kernel="rbf", gamma=model.gamma_)
    expected.fit(image, text - text.mean(axis=0))
    new = planted(seed=1)[1]
    np.testing.assert_allclose(model.embed_image(new), unit_rows(expected.predict(new)), atol=1e-8)


def test_kernel_map_bends_where_ridge_cannot():
    rng = np.random.default_rng(0)
    image = rng.normal(size=(400, 2))
    text = np.column_stack([image[:, 0] * image[:, 1], image[:, 0] ** 2])     # no linear part
    found = {model: hit_at_k(ranks(model.fit(text[:300], image[:300]).similarity(
        text[300:], image[300:]), np.arange(100)), 10)
        for model in (KernelMap(0.1), RidgeMap(direction="image_to_text"))}
    kernel, ridge = found.values()
    assert kernel > 0.6 and ridge < 0.3


def test_kernel_map_refuses_what_it_cannot_use():
    text, image = planted(n=20)
    with pytest.raises(ValueError, match="alpha must be positive"):
        KernelMap(0.0).fit(text, image)
    with pytest.raises(ValueError, match="one text row for each picture row"):
        KernelMap().fit(text, image[:-1])
    with pytest.raises(ValueError, match="All 20 image rows are the same"):
        KernelMap().fit(text, np.ones_like(image))
    image[:16] = 1.0
    with pytest.raises(ValueError, match="Most of the image rows are the same"):
        KernelMap().fit(text, image)


@pytest.mark.parametrize("model", [RidgeMap(), RidgeMap(direction="image_to_text"), KernelMap(),
                                   RegularizedCCA(3)])
@pytest.mark.parametrize("n", [40, 1200])
def test_the_order_of_the_pairs_does_not_matter(model, n):
    """Pictures listed by concept, as collections have them, or shuffled."""
    text, image = planted(n=n)
    image[:, :4] += np.repeat(np.arange(n // 10), 10)[:, None]
    order = np.random.default_rng(0).permutation(n)
    new = planted(n=20, seed=1)
    by_concept = model.fit(text, image).similarity(*new)
    shuffled = model.fit(text[order], image[order]).similarity(*new)
    np.testing.assert_allclose(shuffled, by_concept, atol=1e-8)


@pytest.mark.parametrize(("n", "width", "most"), [(5, 64, 4), (2, 64, 1), (40, 3, 3), (40, 64, 39)])
def test_cca_gives_as_many_directions_as_it_was_asked_for(n, width, most):
    rng = np.random.default_rng(0)
    text, image = rng.normal(size=(n, width)), rng.normal(size=(n, 70))
    assert RegularizedCCA(most).fit(text, image).embed_text(text).shape == (n, most)
    for pair in ((text, image), (image, text)):
        with pytest.raises(ValueError, match=f"dim must be at most {most} here: the {n} "):
            RegularizedCCA(most + 1).fit(*pair)


@pytest.mark.parametrize(("model", "sides"), [
    (RidgeMap(), "text"), (RidgeMap(direction="image_to_text"), "image"), (KernelMap(), "image"),
    (RegularizedCCA(1), "text image")], ids=lambda x: str(x).replace(" ", "-"))
def test_rows_that_are_all_the_same_are_said(model, sides):
    for side in sides.split():
        text, image = planted(n=9)
        (text if side == "text" else image)[:] = 0.1
        with pytest.raises(ValueError, match=f"All 9 {side} rows are the same"):
            model.fit(text, image)


@pytest.mark.parametrize(("settings", "message"), [
    ({"n_labels": 0}, "n_labels must be a whole number, from 1 to 5; got 0"),
    ({"n_labels": 6}, "from 1 to 5; got 6"), ({"n_labels": 2, "temperature": 0}, "temperature")])
def test_conse_refuses_settings_that_make_no_sense(settings, message):
    with pytest.raises(ValueError, match=message):
        ConSE(**settings).fit(np.eye(5))


@pytest.mark.parametrize("row", [[0, 0, 0], [0.5, -0.1, 0.6]])
def test_conse_wants_probabilities(row):
    with pytest.raises(ValueError, match="probabilities are 0 or more, and not all 0"):
        ConSE(2).fit(np.eye(3)).embed_image(np.array([[0.2, 0.3, 0.5], row]))


@pytest.fixture(scope="module")
def methods():
    """A good, a middling and a useless method on 60 queries and 60 items."""
    rng = np.random.default_rng(0)
    return [5 * (np.eye(60) * strength + rng.normal(size=(60, 60))) + 100
            for strength in (2.5, 1.5, 0.0)]


def test_late_fusion_is_never_worse_than_its_parts_where_it_was_fitted(methods):
    relevant = np.arange(60)
    model = LateFusion().fit(methods, relevant)
    fused = mean_reciprocal_rank(ranks(model.similarity(methods), relevant))
    alone = [mean_reciprocal_rank(ranks(method, relevant)) for method in methods]
    assert fused >= max(alone) - 1e-12
    assert fused > max(alone) + 0.02  # two noisy methods are better than the better one
    assert model.weights_.sum() == pytest.approx(1) and (model.weights_ >= 0).all()
    np.testing.assert_allclose(10 * model.weights_, np.round(10 * model.weights_))
    assert model.weights_[2] <= 0.2


def test_late_fusion_finds_the_best_weights_of_its_grid(methods):
    relevant, scores = np.arange(60), {}
    for i in range(5):
        for j in range(5 - i):
            weights = np.array([i, j, 4 - i - j]) / 4
            fused = sum(w * stats.zscore(m, axis=1)
                        for w, m in zip(weights, methods, strict=True))
            scores[tuple(weights)] = mean_reciprocal_rank(ranks(fused, relevant))
    found = LateFusion(steps=4).fit(methods, relevant)
    assert scores[tuple(found.weights_)] == pytest.approx(max(scores.values()))


def test_late_fusion_ignores_each_methods_scale(methods):
    relevant = np.arange(60)
    other = [methods[0] * 1000, methods[1] - 50, methods[2] / 9]
    np.testing.assert_array_equal(LateFusion().fit(methods, relevant).weights_,
                                  LateFusion().fit(other, relevant).weights_)


def test_late_fusion_wants_as_many_methods_as_it_was_fitted_on(methods):
    model = LateFusion(steps=2).fit(methods, np.arange(60))
    with pytest.raises(ValueError, match="fitted on 3 methods; got similarities of 2"):
        model.similarity(methods[:2])
    with pytest.raises(ValueError, match="all of one shape"):
        model.similarity([*methods[:2], methods[2][:, :-1]])
    with pytest.raises(ValueError, match="one method or more"):
        LateFusion().fit([], np.arange(60))
    with pytest.raises(NotFittedError):
        LateFusion().similarity(methods)


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_late_fusion_does_not_take_for_a_score_what_is_none(methods, number):
    harmed = [methods[0].copy(), *methods[1:]]
    harmed[0][3, 4] = number
    with pytest.raises(ValueError, match="infinite or not a number"):
        LateFusion(steps=2).fit(harmed, np.arange(60))
    with pytest.raises(ValueError, match="infinite or not a number"):
        LateFusion(steps=2).fit(methods, np.arange(60)).similarity(harmed)


@settings(deadline=None)
@given(hnp.arrays(float, st.tuples(st.integers(1, 4), st.integers(2, 6)),
                  elements=st.integers(-50, 50).map(float)))
def test_standardize_agrees_with_scipy(scores):
    found = standardize(scores)
    varied = np.ptp(scores, axis=1) > 0
    np.testing.assert_allclose(found[varied], stats.zscore(scores[varied], axis=1), atol=1e-9)
    assert (found[~varied] == 0).all()


@pytest.mark.parametrize("value", [0.0, 0.5, 0.1, 1 / 3, 0.7])
@pytest.mark.parametrize("n", [3, 7, 200])
def test_a_constant_row_becomes_zero(value, n):
    """Whatever rounding leaves of the differences, it must not be blown up to 1."""
    np.testing.assert_array_equal(standardize(np.full((2, n), value)), np.zeros((2, n)))


@pytest.mark.parametrize("reg", [0, -1, np.nan])
def test_cca_needs_a_positive_penalty(reg):
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="reg must be positive"):
        RegularizedCCA(2, reg).fit(rng.normal(size=(9, 3)), rng.normal(size=(9, 4)))
