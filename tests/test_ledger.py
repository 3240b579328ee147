"""The ledger: what `record` and `verdict` display, and what they refuse."""

import numpy as np
import pytest

from mmfuse_utils import ledger


@pytest.fixture
def shown(monkeypatch):
    """What the ledger displays, collected."""
    outputs = []
    monkeypatch.setattr(ledger, "display", outputs.append)
    return outputs


def test_record_displays_the_number_once_with_fallbacks(shown):
    ledger.record("fusion.strict.t2i.hit10", np.float32(0.5), interval=(np.float64(0.25), 0.75))
    bundle = shown[0]._repr_mimebundle_()
    assert len(shown) == 1
    assert bundle[ledger.MIME] == {"key": "fusion.strict.t2i.hit10", "value": 0.5,
                                   "interval": [0.25, 0.75]}
    assert "0.5" in bundle["text/html"] and "0.25 to 0.75" in bundle["text/html"]
    assert bundle["text/plain"] == "fusion.strict.t2i.hit10 = 0.5 (0.25 to 0.75)"


def test_numbers_become_plain_python_numbers():
    assert type(ledger.result("a.b", np.int64(7))["value"]) is int
    assert type(ledger.result("a.b", np.float32(0.5))["value"]) is float


@pytest.mark.parametrize("key", ["", "word", "Two.words", "a..b", "a.b ", "a-b.c", ".a.b", 7])
def test_malformed_keys_are_refused(key):
    with pytest.raises((ValueError, TypeError)):
        ledger.result(key, 1.0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "0.5", None, True, 1j])
def test_only_finite_numbers_are_taken(value):
    with pytest.raises(ValueError, match="finite"):
        ledger.result("a.b", value)


@pytest.mark.parametrize("interval", [(0.6, 0.4), (0.8, 0.9), (0.1, float("nan"))])
def test_intervals_that_make_no_sense_are_refused(interval):
    with pytest.raises(ValueError, match="a.b"):
        ledger.result("a.b", 0.5, interval)


def test_an_interval_may_miss_the_value_by_a_little():
    assert ledger.result("a.b", 0.5, (0.501, 0.6))["interval"] == [0.501, 0.6]


def test_verdict_shows_claim_outcome_and_evidence(shown):
    ledger.verdict("More data helps.", "half true", "It gave **3** points.")
    (markdown,) = shown
    assert "mmfuse-half-true" in markdown.data
    for part in ("More data helps.", "half true", "It gave **3** points."):
        assert part in markdown.data


@pytest.mark.parametrize("arguments", [("claim", "maybe", "evidence"), ("", "holds", "evidence"),
                                       ("claim", "fails", " ")])
def test_verdicts_are_complete_and_of_three_kinds(arguments):
    with pytest.raises(ValueError, match="verdict"):
        ledger.verdict(*arguments)
