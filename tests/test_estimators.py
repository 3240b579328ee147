"""What scikit-learn expects of an estimator, for estimators that are fitted on two tables."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import estimator_checks_generator

from mmfuse_utils.fusion import ConSE, KernelMap, LateFusion, RegularizedCCA, RidgeMap
from mmfuse_utils.towers import TwoTower
from mmfuse_utils.word2vec import SkipGram

PAIRED = {"text to image": RidgeMap(), "image to text": RidgeMap(direction="image_to_text"),
          "kernel": KernelMap(), "CCA": RegularizedCCA(dim=1), "towers": TwoTower(epochs=2, hidden=4)}
SECOND_NAME = "its second table holds pictures and is called so, not y"
FEW_VALUES = ("it gives pictures as two or three different numbers, and where most pictures are the "
              "same KernelMap has no distance to go by, which it says")
NO_SENSE = {"check_fit_score_takes_y": (SECOND_NAME, set(PAIRED)),
            "check_fit2d_1feature": (FEW_VALUES, {"kernel"}),
            "check_fit_check_is_fitted": (FEW_VALUES, {"kernel"}),
            "check_array_api_input": ("it skips itself, unless SciPy is told otherwise", set(PAIRED))}
# Checks that look at an estimator and its settings, and fit nothing.
WITHOUT_FIT = {"check_estimator_cloneable", "check_estimator_tags_renamed", "check_valid_tag_types",
               "check_estimator_repr", "check_no_attributes_set_in_init", "check_mixin_order",
               "check_do_not_raise_errors_in_init_or_set_params", "check_get_params_invariance",
               "check_parameters_default_constructible", "check_set_params"}


def checks():
    for name, estimator in PAIRED.items():
        for model, check in estimator_checks_generator(estimator):
            title = check.func.__name__
            if name not in NO_SENSE.get(title, ("", set()))[1]:
                yield pytest.param(model, check, id=f"{name}-{title}")
    # Not fitted on pairs: class vectors; lists of similarities; lists of tokens.
    for estimator in (ConSE(), LateFusion(), SkipGram()):
        for model, check in estimator_checks_generator(estimator):
            if check.func.__name__ in WITHOUT_FIT:
                yield pytest.param(model, check, id=f"{type(estimator).__name__}-"
                                                    f"{check.func.__name__}")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("model", "check"), list(checks()))
def test_scikit_learns_own_checks(model, check):
    check(model)


def test_the_checks_that_are_left_out_exist_and_would_fail():
    found = {check.func.__name__: check for _, check in estimator_checks_generator(KernelMap())}
    assert set(NO_SENSE) < set(found) and set(found) >= WITHOUT_FIT
    for title, (_, names) in NO_SENSE.items():
        for name in names:
            with pytest.raises(BaseException):     # noqa: B017  a skip is no Exception
                found[title](clone(PAIRED[name]))


def tables(n=12):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 3)), rng.normal(size=(n, 5))


def fitted():
    text, image = tables()
    models = {name: clone(model).fit(text, image) for name, model in PAIRED.items()}
    return models | {"ConSE": ConSE(2).fit(np.random.default_rng(1).normal(size=(5, 3)))}


@pytest.mark.parametrize("name", fitted())
class TestInput:
    """Every method with a space of its own, whatever is put in."""

    def test_unfitted_is_said(self, name):
        model = clone(fitted()[name])
        for use in (lambda: model.embed_text(tables()[0]), lambda: model.similarity(*tables()),
                    lambda: model.embed_image(np.abs(tables()[1]))):
            with pytest.raises(NotFittedError, match=f"This {type(model).__name__} instance"):
                use()

    @pytest.mark.parametrize("width", [1, 4, 6])
    def test_another_width_is_said_with_both_numbers(self, name, width):
        model = fitted()[name]
        for side, wanted in (("text", 3), ("image", 5)):
            with pytest.raises(ValueError, match=f"{side} has {width} features, but this "
                                                 f"{type(model).__name__} was fitted with {wanted}"):
                getattr(model, f"embed_{side}")(np.ones((2, width)))

    def test_sparse_tables_are_refused_by_name(self, name):
        for side, n in (("text", 3), ("image", 5)):
            with pytest.raises(TypeError, match=f"Sparse data was passed for {side}.*toarray"):
                getattr(fitted()[name], f"embed_{side}")(sparse.csr_matrix(np.ones((2, n))))

    @pytest.mark.parametrize("number", [np.nan, np.inf])
    def test_numbers_that_are_none_are_refused_by_name(self, name, number):
        for side, n in (("text", 3), ("image", 5)):
            rows = np.ones((2, n))
            rows[1, 1] = number
            with pytest.raises(ValueError, match=f"Input {side} contains (NaN|infinity)"):
                getattr(fitted()[name], f"embed_{side}")(rows)

    def test_data_frames_and_lists_are_tables(self, name):
        model, (text, image) = fitted()[name], tables()
        image = np.abs(image)
        wanted = model.similarity(text, image)
        np.testing.assert_array_equal(
            model.similarity(pd.DataFrame(text), image.tolist()), wanted)


@pytest.mark.parametrize("name", PAIRED)
def test_what_cannot_be_fitted_is_said(name):
    text, image = tables()
    for bad, words in (((sparse.csr_matrix(text), image), "Sparse data was passed for text"),
                       ((text, sparse.csr_matrix(image)), "Sparse data was passed for image"),
                       ((text[:, 0], image), "Expected 2D array, got 1D"),
                       ((text, image[:-1]), r"one text row .* \(12, 3\) and \(11, 5\)"),
                       ((text[:1], image[:1]), "1 sample"), ((text, None), "got no pictures"),
                       ((text, image + 1j), "Complex data"), ((text * np.nan, image), "text contains")):
        with pytest.raises((ValueError, TypeError), match=words):
            clone(PAIRED[name]).fit(*bad)


@pytest.mark.parametrize("tokens", [sparse.csr_matrix(np.eye(3)), pd.DataFrame({"a": ["red apple"]})])
def test_word2vec_says_what_it_expects_in_place_of_a_table(tokens):
    with pytest.raises(TypeError, match="Expected lists of tokens"):
        SkipGram().fit(tokens)
    with pytest.raises(NotFittedError):
        SkipGram().to_keyed_vectors()


@pytest.mark.parametrize("name", PAIRED)
def test_columns_in_another_order_are_noticed(name):
    text, image = tables()
    frame = pd.DataFrame(text, columns=list("abc"))
    model = clone(PAIRED[name]).fit(frame, image)
    np.testing.assert_array_equal(model.embed_text(frame), model.embed_text(text))
    with pytest.raises(ValueError, match="columns of text are not those of fit"):
        model.embed_text(frame[["c", "a", "b"]])


@pytest.mark.parametrize("name", PAIRED)
def test_a_fit_that_failed_leaves_nothing_to_use(name):
    text, image = tables()
    model = clone(PAIRED[name]).fit(text, image)
    for bad in ((text, image[:-1]), (text * np.nan, image)):
        with pytest.raises(ValueError):     # noqa: PT011  which one is tested above
            model.fit(*bad)
        with pytest.raises(NotFittedError):
            model.embed_text(text)


def test_a_word2vec_fit_that_failed_leaves_nothing_to_use():
    model = SkipGram(dim=4, min_count=1, subsample=0, epochs=1, progress=False)
    model.fit([["red", "apple"]] * 5)
    with pytest.raises(ValueError, match="share a sentence"):
        model.fit([["red"], ["apple"]])
    with pytest.raises(NotFittedError):
        model.most_similar("red")


@pytest.mark.parametrize("model", [RidgeMap(1e-12), KernelMap(1e-12)], ids=["ridge", "kernel"])
def test_a_penalty_that_drowns_in_rounding_is_said(model):
    rows = np.repeat(np.random.default_rng(0).normal(size=(3, 40)), 8, axis=0).astype(np.float32)
    with pytest.raises(ValueError, match="alpha is too small for rows that repeat each other"):
        model.fit(rows, rows)


@pytest.mark.parametrize("alpha", ["a", None, True, np.ones(2), np.inf])
def test_a_penalty_is_a_number(alpha):
    with pytest.raises(ValueError, match="alpha must be positive and finite"):
        RidgeMap(alpha).fit(*tables())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_conse_takes_any_temperature(dtype):
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(1000), 5).astype(dtype)
    labels = rng.normal(size=(1000, 3)).astype(dtype)
    for temperature in (1e-3, 0.05, 1.0, 1e3):
        assert np.isfinite(ConSE(10, temperature).fit(labels).embed_image(shares)).all()
