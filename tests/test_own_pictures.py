"""The study of a reader's own photographs: no answer leaks, and what was recorded is whole."""

import json

import numpy as np
import own_pictures as study
import pytest
from gensim.models import KeyedVectors

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
    return photos, {"ours": meaning, "random": noise}


@pytest.mark.parametrize("n", study.SIZES)
def test_settings_are_chosen_on_other_photographs_than_a_fold_learns_from(n):
    folds = study.folds(n)
    held = np.concatenate([part for _, part in folds])
    assert len(np.unique(held)) == len(held) and 200 <= len(held) or len(held) == n // 5 * 5
    for fit, part in folds:
        assert sorted([*fit, *part]) == list(range(n)) and len(part) <= max(200, n // 5)


def test_learning_finds_what_texts_tell_and_the_control_does_not(small):
    found = study.draw_part(*small, 0, (40,))
    assert found["cca"]["n40"]["one.hit10"] > 0.95
    assert found["cca.random"]["n40"]["one.hit10"] < 0.95
    assert set(found["sum.one_each"]) == {"n40"} and set(found["soft"]) == {"n0"}


def test_learning_never_sees_the_gallery(small, monkeypatch):
    seen = []
    fitted = study.RegularizedCCA.fit
    monkeypatch.setattr(study.RegularizedCCA, "fit", lambda self, text, image: (
        seen.append(image), fitted(self, text, image))[1])
    study.draw_part(*small, 2, (40,))
    gallery = small[0].features[small[0].order[10 + 24:10 + 36]]
    for image in seen:
        assert not (image[:, None] == gallery).all(axis=2).any()
    assert {len(image) for image in seen} == {32, 40}


def test_words_of_the_gallery_alone_are_not_known(small):
    photos, texts = small
    rows = study.with_words(photos, np.arange(50), np.arange(60), texts["ours"], alone=True)
    assert rows.five.shape[1] == 6                      # "of" and five groups, twice or more
    both = study.with_words(photos, np.arange(50), np.arange(60), texts["ours"], alone=False)
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
    assert {len(values) for scores in RECORDED["folders"]["scores"].values()
            for values in scores.values()} == {RECORDED["folders"]["n"]}
    means = {name: np.mean(scores["one.hit10"])
             for name, scores in RECORDED["folders"]["scores"].items()}
    assert means["soft"] > means["conse"] > means["emoji_ridge"] > 0.25
