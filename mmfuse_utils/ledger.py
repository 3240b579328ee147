"""Record a number once: results that the book collects, and verdicts on claims.

A notebook calls `record`; after the notebooks have run, `tools/collect.py` reads the recorded
outputs, and the pages of the book quote them by key, so that no number is typed twice. A verdict
takes the numbers that its claim is about, and its outcome follows from them.
"""

import html
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from numbers import Real

from IPython.display import display

MIME = "application/vnd.mmfuse.result+json"
VERDICT_MIME = "application/vnd.mmfuse.verdict+json"
OUTCOMES = ("holds", "fails", "half true", "not shown")
_KEY = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+")


def record(key: str, value: Real, interval: tuple[Real, Real] | None = None, *,
           chance: Real | str | None = None, control: str | None = None,
           recorded: str | None = None, exact: str | None = None) -> None:
    """Put a number into the ledger under a key; shares are given as fractions.

    key : dotted lower-case words, the chapter first, such as "fusion.strict.t2i.hit10".
    interval : (low, high), when the number comes from a sample.
    chance : what guessing reaches, or a sentence that says why there is no such level.
    control : key of the control's entry, as a rule the score's own key and ".random", or a
        sentence that says why there is none.
    recorded : date, as in "2026-11-29", of the benchmark that the number was read from.
    exact : why there is no interval, such as "counted on the whole corpus".

    Raises ValueError for a malformed key, a number that is not finite, an interval that is in
    the wrong order or far away from the value, a malformed date, and an empty sentence.

    >>> record("doctest.hit10", 0.4625, interval=(0.41, 0.52), chance=0.05)
    doctest.hit10 = 0.4625 (0.41 to 0.52), chance 0.05
    """
    display(_Entry(result(key, value, interval, chance=chance, control=control,
                          recorded=recorded, exact=exact)))


def result(key: str, value: Real, interval: tuple[Real, Real] | None = None, *,
           chance: Real | str | None = None, control: str | None = None,
           recorded: str | None = None, exact: str | None = None) -> dict:
    """The checked entry that `record` displays: an object with its arguments by name.

    >>> result("words.pairs", 353, exact="counted")["value"]
    353
    """
    if not _KEY.fullmatch(key):
        raise ValueError(f"Ledger keys are dotted lower-case words such as "
                         f"'fusion.strict.t2i.hit10'; got {key!r}.")
    if interval is not None and exact is not None:
        raise ValueError(f"{key!r} has an interval and a reason for having none; give one.")
    value = _number(key, value)
    return {"key": key, "value": value, "interval": _interval(key, value, interval),
            "chance": _text(key, chance) if isinstance(chance, str) or chance is None
            else _number(key, chance),
            "control": _text(key, control), "recorded": _date(key, recorded),
            "exact": _text(key, exact)}


def quoted(value: str, source: str) -> str:
    """A published number for a sentence in Markdown: not measured here, and whose it is.

    >>> quoted("80 %", "Kottur et al., 2016")
    '<span class="mmfuse-quoted">80 % (Kottur et al., 2016)</span>'
    """
    if not str(value).strip() or not source.strip():
        raise ValueError("A quoted number needs its value and its source; one of them is empty.")
    return f'<span class="mmfuse-quoted">{html.escape(f"{value} ({source})", quote=False)}</span>'


@dataclass(frozen=True)
class Part:
    """A number of which a claim says that it lies beyond a limit; made by `above` and `below`."""

    what: str
    value: float
    interval: tuple[float, float] | None
    limit: float
    side: str
    unit: str
    p: float | None
    recorded: str | None
    exact: str | None

    @property
    def state(self) -> str:
        """ "shown" or "refuted" when the whole interval, and the test if there is one, say so;
        "open" when these data cannot tell."""
        sign = 1 if self.side == "above" else -1
        if self.interval is None:
            return "shown" if sign * (self.value - self.limit) > 0 else "refuted"
        worst, best = sorted(sign * (end - self.limit) for end in self.interval)
        if self.p is not None and self.p > 0.05:
            return "open"
        return "shown" if worst > 0 else "refuted" if best < 0 else "open"

    def __str__(self) -> str:
        spread = ""
        if self.interval is not None:
            spread = f" ({' to '.join(self._show(end) for end in self.interval)})"
        notes = [f"p = {self.p:.2g}" if self.p is not None else "",
                 f"recorded on {self.recorded}" if self.recorded else "", self.exact or ""]
        beside = "".join(f"; {note}" for note in notes if note)
        unit = {"share": "", "points": " points"}.get(self.unit, f" {self.unit}".rstrip())
        return (f"{self.what}: **{self._show(self.value)}**{spread}{unit}{beside}. "
                f"Claimed: {self.side} {self._show(self.limit)}. *{self.state.capitalize()}.*")

    def _show(self, value: float) -> str:
        if self.unit == "share":
            return f"{value:.1%}"
        if self.unit == "points":
            return f"{round(1000 * value) / 10 + 0.0:+.1f}".replace("+0.0", "0.0")
        return format_number(value)


def above(what: str, value: Real, interval: tuple[Real, Real] | None = None, limit: Real = 0.0, *,
          unit: str = "", p: float | None = None, recorded: str | None = None,
          exact: str | None = None) -> Part:
    """Part of a claim: that a number lies above a limit.

    what : what the number is, in words; unit : "points" for a difference of shares, "share" for
        a share, or a word to print behind the number.
    interval : (low, high); without one, `exact` says why the number has none.
    p : p-value of a test of the same difference, if one was made; it has to be 0.05 or less as
        well, so where interval and test disagree the more careful one decides.

    Raises ValueError for numbers that `record` refuses, and for a part with neither interval nor
    reason, or with both.

    >>> print(above("kernel less ridge", 0.021, (0.004, 0.038), unit="points"))
    kernel less ridge: **+2.1** (+0.4 to +3.8) points. Claimed: above 0.0. *Shown.*
    """
    return _part(what, value, interval, limit, "above", unit, p, recorded, exact)


def below(what: str, value: Real, interval: tuple[Real, Real] | None = None, limit: Real = 0.0, *,
          unit: str = "", p: float | None = None, recorded: str | None = None,
          exact: str | None = None) -> Part:
    """Part of a claim: that a number lies below a limit. Arguments and errors as in `above`.

    >>> below("cost of a new artist", 0.014, (-0.01, 0.038), limit=0.05, unit="points").state
    'shown'
    """
    return _part(what, value, interval, limit, "below", unit, p, recorded, exact)


def conclude(parts: Sequence[Part]) -> str:
    """The outcome that follows from the parts of a claim.

    holds : every part is shown. fails : one part or more is refuted, and none shown.
    half true : some are shown and some refuted. not shown : none is refuted, and one or more is
    open, so these data cannot tell.

    >>> conclude([above("a gain", 0.02, (-0.01, 0.05))])
    'not shown'
    """
    if not parts:
        raise ValueError("A verdict needs at least one number that its claim is about.")
    states = {part.state for part in parts}
    if "refuted" in states:
        return "half true" if "shown" in states else "fails"
    return "not shown" if "open" in states else "holds"


def verdict(claim: str, parts: Sequence[Part], evidence: str, outcome: str | None = None) -> None:
    """Say whether a claim that people make holds on our data, and on what evidence.

    claim : one sentence. parts : the numbers that it is about, each beyond its limit if the claim
    is true (see `above` and `below`); the outcome follows from them (see `conclude`), and they
    are listed. evidence : a sentence or two. Both texts may use Markdown.
    outcome : the one that the words of the evidence presume, if they do.

    Raises ValueError for an empty text, no part, or an outcome other than the numbers'.
    """
    if not claim.strip() or not evidence.strip():
        raise ValueError("A verdict needs a claim and the evidence; one of them is empty.")
    found = conclude(parts)
    if outcome is not None and outcome != found:
        listed = "\n".join(f"- {part}" for part in parts)
        raise ValueError(f"The verdict {outcome!r} does not follow from its numbers, which say "
                         f"{found!r}; outcomes are {', '.join(OUTCOMES)}. Mend the words or the "
                         f"parts:\n{listed}")
    display(_Verdict({"claim": claim.strip(), "outcome": found, "evidence": evidence.strip(),
                      "parts": [{**asdict(part), "state": part.state} for part in parts]},
                     [str(part) for part in parts]))


def format_number(value: Real) -> str:
    """Four digits for a measurement, so that 46.25 % is the same here; all of them for a count.

    >>> format_number(0.4625), format_number(353), format_number(12345.6)
    ('0.4625', '353', '12,346')
    """
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def _part(what, value, interval, limit, side, unit, p, recorded, exact) -> Part:
    what = _text("a part of a verdict", what or "")
    if (interval is None) == (exact is None):
        raise ValueError(f"{what!r} needs an interval or, in `exact`, the reason why it has none.")
    if p is not None and not 0 <= p <= 1:
        raise ValueError(f"The p-value of {what!r} lies between 0 and 1; got {p!r}.")
    value = _number(what, value)
    ends = _interval(what, value, interval)
    return Part(what, value, tuple(ends) if ends else None, _number(what, limit), side, unit,
                None if p is None else float(p), _date(what, recorded), _text(what, exact))


def _interval(key: str, value: Real, interval: tuple[Real, Real] | None) -> list | None:
    if interval is None:
        return None
    low, high = (_number(key, end) for end in interval)
    # A bootstrap interval may miss the value by a little, but never by its own width.
    slack = (high - low) + 1e-9
    if low > high or not low - slack <= value <= high + slack:
        raise ValueError(f"The interval of {key!r} is ({low}, {high}) and its value {value}; "
                         "expected low <= value <= high.")
    return [low, high]


def _number(key: str, value: Real) -> int | float:
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError(f"The ledger takes finite numbers; {key!r} got {value!r}.")
    return int(value) if hasattr(value, "__index__") else float(value)


def _text(key: str, value: str | None) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{key!r} expects words where it got {value!r}.")
    return value.strip()


def _date(key: str, value: str | None) -> str | None:
    try:
        return None if value is None else date.fromisoformat(value).isoformat()
    except (TypeError, ValueError):
        raise ValueError(f"{key!r} was recorded on a day such as '2026-11-29'; got "
                         f"{value!r}.") from None


class _Entry:
    """What `record` displays: the payload for the collector, a chip and a line for people."""

    def __init__(self, payload: dict):
        self.payload = payload
        self.span = " to ".join(format_number(end) for end in payload["interval"] or [])
        chance, recorded = payload["chance"], payload["recorded"]
        self.beside = "" if chance is None or isinstance(chance, str) else (
            f", chance {format_number(chance)}")
        self.beside += f", recorded on {recorded}" if recorded else ""

    def __repr__(self) -> str:
        span = f" ({self.span})" if self.span else ""
        return (f"{self.payload['key']} = {format_number(self.payload['value'])}{span}"
                f"{self.beside}")

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict:
        return {MIME: self.payload, "text/html": self._chip(), "text/plain": repr(self)}

    def _chip(self) -> str:
        key = html.escape(self.payload["key"])
        small = (f"({self.span})" if self.span else "") + self.beside
        small = f' <span class="mmfuse-interval">{small}</span>' if small else ""
        return (f'<span class="mmfuse-result" id="{key}"><code>{key}</code> '
                f"<b>{format_number(self.payload['value'])}</b>{small}</span>")


class _Verdict:
    """What `verdict` displays: the payload for the collector, and the box for people."""

    def __init__(self, payload: dict, lines: list[str]):
        self.payload, self.lines = payload, lines

    def __repr__(self) -> str:
        return f"{self.payload['claim']} {self.payload['outcome']}: {self.payload['evidence']}"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict:
        outcome, listed = self.payload["outcome"], "\n".join(f"- {line}" for line in self.lines)
        box = (f'<div class="mmfuse-verdict mmfuse-{outcome.replace(" ", "-")}">\n\n'
               f"**Claim.** {self.payload['claim']}\n\n**Verdict: {outcome}.** "
               f"{self.payload['evidence']}\n\n{listed}\n\n</div>")
        return {VERDICT_MIME: self.payload, "text/markdown": box, "text/plain": repr(self)}
