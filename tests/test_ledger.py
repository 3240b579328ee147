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
    assert bundle[ledger.MIME] == {
        "key": "fusion.strict.t2i.hit10", "value": 0.5, "interval": [0.25, 0.75], "chance": None,
        "control": None, "recorded": None, "exact": None}
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


def test_what_stands_beside_a_number_travels_and_is_shown(shown):
    ledger.record("a.hit10", 0.5, (0.4, 0.6), chance=np.float32(0.25), control="a.hit10.random",
                  recorded="2026-11-29")
    ledger.record("a.words", 66_144, exact="counted", chance="nothing is guessed")
    first, second = (entry._repr_mimebundle_() for entry in shown)
    assert first[ledger.MIME]["chance"] == 0.25 and first[ledger.MIME]["recorded"] == "2026-11-29"
    for part in ("chance 0.25", "recorded on 2026-11-29", 'id="a.hit10"'):
        assert part in first["text/html"]
    assert second[ledger.MIME]["exact"] == "counted" and "chance" not in second["text/plain"]


@pytest.mark.parametrize("beside", [
    {"recorded": "29 November"}, {"recorded": 2026}, {"exact": " "}, {"control": ""},
    {"control": 3}, {"chance": float("nan")}, {"chance": ""},
    {"interval": (0.4, 0.6), "exact": "counted"}])
def test_what_stands_beside_a_number_is_checked(beside):
    with pytest.raises(ValueError, match="a.b"):
        ledger.result("a.b", 0.5, **beside)


def test_a_quoted_number_has_its_source():
    assert ledger.quoted("3 < 4", "Frome et al., 2013") == (
        '<span class="mmfuse-quoted">3 &lt; 4 (Frome et al., 2013)</span>')
    with pytest.raises(ValueError, match="source"):
        ledger.quoted("37 %", " ")


def part(state, side="above"):
    """A part of a claim in the state asked for."""
    low, high = {"shown": (0.1, 0.3), "refuted": (-0.3, -0.1), "open": (-0.1, 0.2)}[state]
    if side == "below":
        low, high = -high, -low
    return getattr(ledger, side)("a gain", (low + high) / 2, (low, high))


@pytest.mark.parametrize("states, outcome", [
    (["shown"], "holds"), (["shown", "shown"], "holds"),
    (["refuted"], "fails"), (["refuted", "refuted"], "fails"), (["refuted", "open"], "fails"),
    (["shown", "refuted"], "half true"), (["shown", "open", "refuted"], "half true"),
    (["open"], "not shown"), (["shown", "open"], "not shown")])
@pytest.mark.parametrize("side", ["above", "below"])
def test_the_outcome_follows_from_the_parts(states, outcome, side):
    assert [part(state, side).state for state in states] == states
    assert ledger.conclude([part(state, side) for state in states]) == outcome
    assert ledger.conclude([part(state, side) for state in reversed(states)]) == outcome


def test_of_interval_and_test_the_more_careful_decides():
    assert ledger.above("a gain", 0.09, (0.01, 0.17), p=0.07).state == "open"
    assert ledger.above("a gain", 0.09, (0.01, 0.17), p=0.01).state == "shown"
    assert ledger.above("a gain", 0.05, (-0.01, 0.11), p=0.01).state == "open"
    assert ledger.below("a gain", 0.09, (0.01, 0.17), p=0.07).state == "open"


def test_an_interval_that_touches_the_limit_is_open():
    for ends in ((0.0, 0.2), (-0.2, 0.0)):
        assert ledger.above("a gain", np.mean(ends), ends).state == "open"
        assert ledger.below("a gain", np.mean(ends), ends).state == "open"


def test_an_exact_number_lies_beyond_the_limit_or_does_not():
    for value, state in ((0.06, "shown"), (0.05, "refuted"), (0.0, "refuted")):
        assert ledger.above("share", value, limit=0.05, exact="all counted").state == state
    assert ledger.below("share", 0.0, limit=0.05, exact="all counted").state == "shown"


@pytest.mark.parametrize("wrong", [
    {}, {"interval": (0.1, 0.3), "exact": "counted"}, {"interval": (0.3, 0.1)},
    {"interval": (0.1, 0.3), "p": 1.5}, {"interval": (0.1, 0.3), "recorded": "yesterday"},
    {"interval": (0.1, float("nan"))}, {"exact": ""}])
def test_parts_are_checked(wrong):
    with pytest.raises(ValueError, match="a gain"):
        ledger.above("a gain", 0.2, **wrong)


def test_points_are_shown_without_a_negative_zero():
    shown = str(ledger.above("a gain", -0.0002, (-0.0004, 0.1), unit="points"))
    assert "**0.0** (0.0 to +10.0) points" in shown and "-0.0" not in shown


def test_verdict_shows_claim_outcome_evidence_and_numbers(shown):
    parts = [part("shown"), ledger.above("another", 0.01, (-0.02, 0.04), p=0.4,
                                         recorded="2026-11-29")]
    ledger.verdict("More data helps.", parts, "It gave **3** points.")
    bundle = shown[0]._repr_mimebundle_()
    box, payload = bundle["text/markdown"], bundle[ledger.VERDICT_MIME]
    assert "mmfuse-not-shown" in box
    for text in ("More data helps.", "Verdict: not shown.", "It gave **3** points.", "*Shown.*",
                 "*Open.*", "p = 0.4", "recorded on 2026-11-29"):
        assert text in box
    assert payload["outcome"] == "not shown"
    assert [entry["state"] for entry in payload["parts"]] == ["shown", "open"]


def test_words_that_presume_another_outcome_are_refused(shown):
    ledger.verdict("A claim.", [part("open")], "These data cannot tell.", "not shown")
    assert len(shown) == 1
    for other in ("holds", "fails", "half true", "maybe"):
        with pytest.raises(ValueError, match="does not follow"):
            ledger.verdict("A claim.", [part("open")], "Evidence.", other)


@pytest.mark.parametrize("claim, parts, evidence", [
    ("", [part("shown")], "evidence"), ("claim", [part("shown")], " "), ("claim", [], "evidence")])
def test_verdicts_are_complete(claim, parts, evidence):
    with pytest.raises(ValueError, match="verdict"):
        ledger.verdict(claim, parts, evidence)
