"""Bounds on the numbers that the book stands on. They are wide: a value outside them means that
something broke, not that a seed fell badly."""

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.book

RESULTS = Path(__file__).resolve().parent.parent / "_build" / "results.json"

BOUNDS = {
    "math.worst_gradient_error": (0, 1e-6),
    "math.pmi_correlation": (0.8, 1),
    "word2vec.speed_ratio.one_thread": (2, 10),
    "word2vec.speed_ratio.two_threads": (1.5, 10),
    "word2vec.memory_ratio": (0.5, 1.6),
    "word2vec.wordsim353": (0.55, 0.7),
    "word2vec.simlex999": (0.37, 0.5),
    "numpy.worst_step_error": (0, 1e-6),
    "numpy.two_brakes_gain": (0.03, 0.3),
    "gensim.wordsim353": (0.58, 0.75),
    "gensim.simlex999": (0.40, 0.56),
    "gensim.wordsim353.random": (-0.2, 0.2),
    "vision.style.hit1": (0.3, 1),
    "vision.throughput_ratio": (0.85, 1.5),
    "video.chance": (1 / 12 - 1e-6, 1 / 12 + 1e-6),
    "video.motion.network.accuracy": (0.85, 1),
    "video.captions.t2v.hit10": (0.2, 1),
    "video.captions.plain.t2v.hit10": (0.28, 1),
    "fusion.chance.t2i.hit10": (0.05 - 1e-9, 0.05 + 1e-9),
    "fusion.concat.t2i.hit10": (0, 0),
    "fusion.strict.ridge.t2i.hit10.random": (0.08, 0.30),
    "fusion.strict.t2i.hit10": (0.45, 0.7),
    "fusion.climb_gain.t2i.hit10": (0.10, 0.3),
    "fusion.maker_loss.t2i.hit10": (-0.02, 0.08),
    "joint.two_tower.t2i.hit10": (0.25, 0.5),
    "retrieval.interval_ratio": (1, 3),
    "retrieval.gemm_ratio": (0.9, 1.1),
}
# The trained methods on the strict split: at least five times chance.
TRAINED = ("fusion.strict.t2i.hit10", "fusion.strict.ridge.t2i.hit10",
           "fusion.strict.cca.t2i.hit10", "fusion.strict.ridge_forward.t2i.hit10",
           "fusion.strict.i2t.hit10")


@pytest.fixture(scope="module")
def results():
    """The ledger of the built book, by key."""
    if not RESULTS.exists():
        pytest.fail("There is no ledger; run `make book` (or `make test`) first.")
    return json.loads(RESULTS.read_text(encoding="utf8"))


@pytest.mark.parametrize("key", BOUNDS)
def test_within_bounds(results, key):
    low, high = BOUNDS[key]
    assert low <= results[key]["value"] <= high


@pytest.mark.parametrize("key", TRAINED)
def test_trained_methods_beat_chance_fivefold(results, key):
    assert results[key]["value"] >= 5 * results["fusion.chance.t2i.hit10"]["value"]
    assert results[key]["interval"][0] > results["fusion.chance.t2i.hit10"]["value"]


def test_meaning_helps_and_near_duplicates_flatter(results):
    best, plain = results["fusion.strict.t2i.hit10"], results["fusion.plain.t2i.hit10"]
    assert best["interval"][0] > results["fusion.strict.ridge.t2i.hit10.random"]["value"]
    assert plain["value"] > best["value"]


def test_the_first_frame_does_not_give_the_motion_away(results):
    low, high = results["video.motion.accuracy.blind"]["interval"]
    assert low <= results["video.chance"]["value"] + 0.03
    assert high < 0.2


def test_shares_are_fractions_and_so_are_their_differences(results):
    for key, entry in results.items():
        if "hit" in key or "accuracy" in key:
            lowest = -1 if "_gain" in key or "_change" in key else 0
            assert lowest <= entry["value"] <= 1, key
