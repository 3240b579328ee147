"""The study of a reader's own photographs: no answer leaks, and what was recorded is whole."""

import json

import numpy as np
import own_pictures as study
import pytest
from gensim.models import KeyedVectors

from mmfuse_utils.fusion import RegularizedCCA, RidgeMap
from mmfuse_utils.metrics import chance_hit_at_k

RECORDED = json.loads(study.OUTPUT.read_text("utf8"))


@pytest.fixture
def small(monkeypatch):
    """Sixty made-up photographs whose captions tell what they show, and vectors of the words."""
    for name, value in {"LOOKED_AT": 10, "GALLERY": 12, "FOLDER": 12, "PHRASES": 4}.items():
        monkeypatch.setattr(study, name, value)
    rng = np.random.default_rng(0)
    things = rng.normal(size=(60, 40)).astype(np.float32)
    classes = rng.dirichlet(np.ones(1000), 60).astype(np.float32)
    tokens = [[[f"w{row}", "of", f"g{row % 5}"]] * 5 for row in range(60)]
    photos = study.Photographs(tokens, things, things, classes, np.arange(60), {})
    one = np.repeat(things[:, None], 5, axis=1)
    meaning = study.Texts(one, things, rng.normal(size=(1000, 40)).astype(np.float32))
    noise = study.Texts(rng.normal(size=one.shape).astype(np.float32),
                        rng.normal(size=things.shape).astype(np.float32), meaning.labels)
    return photos, {"ours": meaning, "ours.random": noise}


@pytest.mark.parametrize("n", study.SIZES)
def test_settings_are_chosen_on_other_photographs_than_a_fold_learns_from(n):
    folds = study.folds(n)
    held = np.concatenate([part for _, part in folds])
    assert len(np.unique(held)) == len(held) and 200 <= len(held) or len(held) == n // 5 * 5
    assert sorted(held) == list(range(len(held)))
    for fit, part in folds:
        assert sorted([*fit, *part]) == list(range(n)) and len(part) <= max(200, n // 5)


def test_learning_finds_what_texts_tell_and_the_control_does_not(small):
    found = study.draw_part(*small, 0, (40,))
    assert found["cca"]["n40"]["one.hit10"] > 0.95
    assert found["cca.random"]["n40"]["one.hit10"] < 0.95
    assert set(found["sum.one_each"]) == {"n40"} and set(found["soft"]) == {"n0"}
    assert set(found["sum.random"]["n40"]) == set(found["sum"]["n40"]) > {"penalty", "weight"}
    names = {name.removesuffix(".random") for name in found}
    assert {f"{name}.random" for name in names} < set(found)


@pytest.mark.parametrize("n", [20, 60])
@pytest.mark.parametrize("penalty", [0.3, 1000.0])
@pytest.mark.parametrize("path, model", [
    (study.cca_path, lambda n, penalty: RegularizedCCA(min(20, n - 2), penalty)),
    (study.backward_path, lambda _, penalty: RidgeMap(penalty, "image_to_text")),
    (study.forward_path, lambda _, penalty: RidgeMap(penalty))])
def test_a_path_is_the_package_s_model_at_each_penalty(n, penalty, path, model):
    rng = np.random.default_rng(n)
    words = rng.normal(size=(n, 20)).astype(np.float32)
    image = (words @ rng.normal(size=(20, 40)) + rng.normal(size=(n, 40))).astype(np.float32)
    ask, gallery = rng.normal(size=(30, 20)).astype(np.float32), image[:7] + 1
    found = path(words, study.spectrum(image))(penalty, gallery, ask)
    expected = model(n, penalty).fit(words, image).similarity(ask, gallery)
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_learning_never_sees_the_gallery(small, monkeypatch):
    seen = []
    made = study.spectrum
    monkeypatch.setattr(study, "spectrum", lambda rows: (seen.append(rows), made(rows))[1])
    study.draw_part(*small, 2, (40,))
    photos, texts = small
    gallery = photos.order[10 + 24:10 + 36]
    for table in (photos.features, *(each.five for each in texts.values())):
        for rows in seen:
            assert not (rows[:, None] == table[gallery]).all(axis=2).any()
    assert {len(rows) for rows in seen} == {32, 40}


def test_words_of_the_gallery_alone_are_not_known(small):
    photos, texts = small
    learn, asked = study.with_words(photos, np.arange(50), np.arange(60), texts["ours"], True)
    assert learn.shape == (50, 6) and asked.five.shape == (60, 6)   # "of" and the five groups
    _, both = study.with_words(photos, np.arange(50), np.arange(60), texts["ours"], False)
    np.testing.assert_allclose(np.linalg.norm(both.five, axis=1), 1, atol=1e-5)


def test_hits_of_a_photograph_are_those_of_its_five_captions(small):
    photos, texts = small
    rows = photos.order[:12]
    found = study.values(lambda queries: queries @ photos.features[rows].T, texts["ours"], rows)
    np.testing.assert_array_equal(found["one.hit10"], found["five.hit10"])
    assert found["first.hit5"].shape == (12,)


def test_frequent_words_weigh_little():
    vectors = KeyedVectors(2)
    vectors.add_vectors(["the", "owl"], np.eye(2))
    vectors.set_vecattr("the", "count", 999)
    vectors.set_vecattr("owl", "count", 1)
    weights = study.rare_first(vectors)
    assert weights["the"] == pytest.approx(0.001 / (0.001 + 0.999))
    assert weights["owl"] == pytest.approx(0.5)


def test_the_record_is_whole_and_made_of_train_photographs_alone():
    assert RECORDED["data"]["pictures"] == 6000 >= RECORDED["photographs"]
    sizes = [f"n{n}" for n in RECORDED["settings"]["sizes"]]
    assert len(RECORDED["draws"]) == study.N_DRAWS
    for draw in RECORDED["draws"]:
        assert [size for size in sizes if size in draw["cca"]] == sizes
        assert draw["cca"]["n1200"]["one.hit10"] > draw["cca.random"]["n1200"]["one.hit10"]
        assert draw["soft"]["n0"]["one.hit10"] > 3 * chance_hit_at_k(200, 10)
    for scores in (RECORDED["folders"]["scores"], *RECORDED["draws"]):     # controls
        names = {name for name in scores if not name.endswith(".random")} - {"words"}
        assert {name: set(scores[f"{name}.random"]) for name in names} == {
            name: set(scores[name]) for name in names}
    assert {len(values) for scores in RECORDED["folders"]["scores"].values()
            for values in scores.values()} == {RECORDED["folders"]["n"]}
    means = {name: np.mean(scores["one.hit10"])
             for name, scores in RECORDED["folders"]["scores"].items()}
    assert means["soft"] > means["conse"] > means["emoji_ridge"] > 0.25
