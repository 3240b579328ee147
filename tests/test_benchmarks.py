"""The benchmark scripts: what they compute from measurements, and what they take from chapter 2."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent


def load(name):
    """A script of `benchmarks/` as a module."""
    spec = importlib.util.spec_from_file_location(f"bench_{name}", ROOT / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def race():
    return load("word2vec")


@pytest.fixture(scope="module")
def study():
    return load("gensim_study")


def test_ratios_are_taken_within_a_round(race):
    speeds = {("numpy", 1): 6, ("gensim", 1): 2, ("numpy", 2): 2, ("gensim", 2): 1}
    rows = [{"program": program, "seed": seed, "threads": 1, "learning_rate": 0.05, "speed": speed}
            for (program, seed), speed in speeds.items()]
    rows.append({**rows[0], "learning_rate": 0.1, "speed": 99})
    assert race.ratios(rows, "speed", 1) == {"median": 2.5, "low": 2, "high": 3}


def test_scores_see_the_order_of_the_ratings(race, monkeypatch):
    rated = [(f"a{i}", f"b{i}", float(i)) for i in range(10)] + [("a0", "unknown", 5.0)]
    monkeypatch.setattr(race, "human_ratings", lambda name: rated)
    words = [word for i in range(10) for word in (f"a{i}", f"b{i}")]
    turned = [[np.cos(i), np.sin(i)] for i in np.linspace(3, 0, 10)]    # nearer as they rate higher
    vectors = np.stack([np.tile([2, 0], (10, 1)), turned], axis=1).reshape(20, 2)
    found = race.scores(words, vectors)
    assert found["wordsim353"] == found["simlex999.odd"] == pytest.approx(1)
    assert race.scores(words[::-1], vectors)["wordsim353.even"] == pytest.approx(-1)


def test_a_quick_training_of_each_program(race):
    sentences = [["sea", "wave"], ["sky", "cloud"], ["sea", "ship"]] * 20
    settings = {**race.SETTINGS, "dim": 8, "subsample": 0}
    for train in race.PROGRAMS.values():
        words, vectors = train(sentences, 1, 1, settings)
        assert sorted(words) == ["cloud", "sea", "ship", "sky", "wave"] and vectors.shape == (5, 8)


def test_chapter_2s_loop_and_minibatch_make_the_same_move(race):
    chapter = race.chapter_names(part=50)
    loop, batch = (chapter["run"](chapter[name], 300, batch_size=1, dim=8, dtype=np.float64)
                   for name in ("loop_step", "minibatch_step"))
    np.testing.assert_allclose(loop[0], batch[0], atol=1e-12)
    np.testing.assert_allclose(loop[1], batch[1], atol=1e-12)
    assert np.abs(loop[1]).max() > 0


def test_the_study_chooses_a_setting_by_its_even_rows_and_not_by_a_lucky_seed(study):
    def run(name, even, odd):
        return {"name": name, "scores": {f"{test}.{half}": {"score": x} for test in study.LISTS
                                         for half, x in (("even", even), ("odd", odd))}}
    rows = [run("reference", 0.5, 0.9), run("reference, seed 2", 0.7, 0.9), run("CBOW", 0.65, 0.1)]
    assert study.choose(rows) == "CBOW"
    assert study.VARIANTS["reference"] == {}
