"""Record a number once: results that the book collects, and verdicts on claims.

A notebook calls `record`; after the notebooks have run, `tools/collect.py` reads the recorded
outputs, and the pages of the book quote them by key, so that no number is typed twice.
"""

import html
import math
import re
from numbers import Real

from IPython.display import Markdown, display

MIME = "application/vnd.mmfuse.result+json"
OUTCOMES = ("holds", "fails", "half true")
_KEY = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+")


def record(key: str, value: Real, interval: tuple[Real, Real] | None = None) -> None:
    """Put a number into the ledger under a key; shares are given as fractions.

    key : dotted lower-case words, the chapter first, such as "fusion.strict.t2i.hit10".
    interval : (low, high), when the number comes from a sample.

    Raises ValueError for a malformed key, a number that is not finite, or an interval that is
    in the wrong order or far away from the value.

    >>> record("doctest.hit10", 0.4625, interval=(0.41, 0.52))
    doctest.hit10 = 0.463 (0.41 to 0.52)
    """
    display(_Entry(result(key, value, interval)))


def result(key: str, value: Real, interval: tuple[Real, Real] | None = None) -> dict:
    """The checked entry that `record` displays: an object with key, value and interval.

    >>> result("words.pairs", 353)
    {'key': 'words.pairs', 'value': 353, 'interval': None}
    """
    if not _KEY.fullmatch(key):
        raise ValueError(f"Ledger keys are dotted lower-case words such as "
                         f"'fusion.strict.t2i.hit10'; got {key!r}.")
    entry = {"key": key, "value": _number(key, value), "interval": None}
    if interval is not None:
        low, high = (_number(key, end) for end in interval)
        entry["interval"] = [low, high]
        # A bootstrap interval may miss the value by a little, but never by its own width.
        slack = (high - low) + 1e-9
        if low > high or not low - slack <= entry["value"] <= high + slack:
            raise ValueError(f"The interval of {key!r} is ({low}, {high}) and its value "
                             f"{entry['value']}; expected low <= value <= high.")
    return entry


def verdict(claim: str, outcome: str, evidence: str) -> None:
    """Say whether a claim that people make holds on our data, and on what evidence.

    claim : the claim, one sentence. outcome : "holds", "fails" or "half true".
    evidence : a sentence or two with computed numbers. Both texts may use Markdown.

    Raises ValueError for another outcome or an empty text.
    """
    if outcome not in OUTCOMES:
        raise ValueError(f"A verdict is one of {', '.join(OUTCOMES)}; got {outcome!r}.")
    if not claim.strip() or not evidence.strip():
        raise ValueError("A verdict needs a claim and the evidence; one of them is empty.")
    kind = outcome.replace(" ", "-")
    display(Markdown(f'<div class="mmfuse-verdict mmfuse-{kind}">\n\n**Claim.** {claim.strip()}'
                     f"\n\n**Verdict: {outcome}.** {evidence.strip()}\n\n</div>"))


def format_number(value: Real) -> str:
    """Three digits for a measurement, all of them for a count.

    >>> format_number(0.4625), format_number(353), format_number(12345.6)
    ('0.463', '353', '12,346')
    """
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _number(key: str, value: Real) -> int | float:
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError(f"The ledger takes finite numbers; {key!r} got {value!r}.")
    return int(value) if hasattr(value, "__index__") else float(value)


class _Entry:
    """What `record` displays: the payload for the collector, a chip and a line for people."""

    def __init__(self, payload: dict):
        self.payload = payload
        ends = payload["interval"] or []
        self.span = " to ".join(format_number(end) for end in ends)

    def __repr__(self) -> str:
        span = f" ({self.span})" if self.span else ""
        return f"{self.payload['key']} = {format_number(self.payload['value'])}{span}"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict:
        return {MIME: self.payload, "text/html": self._chip(), "text/plain": repr(self)}

    def _chip(self) -> str:
        span = f' <span class="mmfuse-interval">({self.span})</span>' if self.span else ""
        return (f'<span class="mmfuse-result"><code>{html.escape(self.payload["key"])}</code> '
                f"<b>{format_number(self.payload['value'])}</b>{span}</span>")
