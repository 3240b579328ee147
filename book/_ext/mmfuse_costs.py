"""What training, extraction, fitting and search cost: drawn from the record of a benchmark.

Directive   {costs} training (or extraction, fitting, search): a figure of seconds and memory
            against the amount, what it says line by line, and a table of what ten and a thousand
            times as much will take. Everything comes from costs.json, which the build takes from
            benchmarks/costs.py.
"""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from docutils import nodes
from docutils.statemachine import StringList
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from sphinx.util.docutils import SphinxDirective

from mmfuse_utils import viz

OCHRE, VIOLET, TEAL = "#B8860B", "#8A74C9", "#2A8C9A"
LOOKS = {       # by line: its name, color and mark
    "tokens": ("word2vec", viz.COLORS["text"], "o"),
    "vocabulary": ("word2vec", viz.COLORS["text"], "s"),
    "held": ("held in memory", viz.COLORS["image"], "o"),
    "files": ("read from files", viz.COLORS["image"], "s"),
    "ridge_pairs": ("ridge", OCHRE, "o"), "ridge_numbers": ("ridge", OCHRE, "o"),
    "cca_pairs": ("CCA", VIOLET, "s"), "cca_numbers": ("CCA", VIOLET, "s"),
    "towers_pairs": ("two towers, a pass", TEAL, "^"), "gallery": ("exact search", OCHRE, "o")}
AXES = {"tokens": "Tokens of text", "words": "Words of the vocabulary", "pictures": "Pictures",
        "pairs": "Pairs of text and picture", "numbers": "Numbers of text and picture",
        "rows": "Rows of the gallery"}
SECONDS = {"search": "Seconds a query"}.get
WORDS = {
    "alt": "{n} panels with logarithmic axes. {panels}",
    "panel": "{what} against {axis}: {lines}.",
    "caption": "Points: measured; bars: from the fastest to the slowest of {rounds} rounds. "
               "Lines: fitted. Dotted: where seconds bend, and where half of the memory is "
               "fixed. Behind a name: the exponents of the smaller and of the larger half.",
    "fold": "Line by line: exponents, bends, the smallest amounts, and whether the largest could "
            "be foretold"}


def find_range(points):
    """Least, middle and most of each point, from its rounds or from one number."""
    return [(point["low"], point["mean"], point["high"]) if isinstance(point, dict) else
            (point, point, point) for point in points]


def half_lines(line):
    """Ends of the fitted lines through the smaller and the larger half of a line's seconds."""
    x = np.log(line["amounts"])
    y = np.log([point["mean"] for point in line["seconds"]["points"]])
    n = len(x)
    for name, half in (("small", slice(0, (n + 1) // 2)), ("large", slice(n // 2, n))):
        ends = x[half][[0, -1]]
        rise = line["seconds"][name]["mean"] * (ends - x[half].mean())
        yield np.exp(ends), np.exp(y[half].mean() + rise)


def memory_line(line):
    """The fixed part and what grows, from the smallest to the largest amount."""
    x = np.geomspace(line["amounts"][0], line["amounts"][-1], 50)
    return x, np.polynomial.polynomial.polyval(x, line["memory"]["parts"])


def bend_of(line, measure):
    """The amount at which a line bends within what was measured, or None."""
    if measure == "seconds":
        return line["seconds"]["bend"]["amount"] if line["seconds"]["bend"]["shown"] else None
    bend, amounts = line["memory"]["bend"], line["amounts"]
    return bend if bend is not None and amounts[0] < bend < amounts[-1] else None


def slopes(line, measure):
    """The exponents of a line, as its name in a figure has them."""
    small, large = (line[measure][half] for half in ("small", "large"))
    if measure == "seconds":
        small, large = small["mean"], large["mean"]
    return f"{decimals(small)}, then {decimals(large)}"


def decimals(value):
    """Two of them, and no negative zero."""
    return f"{round(value, 2) + 0.0:.2f}"


@plt.rc_context(viz.STYLE)
def draw(lines, measure):
    """One panel: seconds or memory of lines that grow with the same thing."""
    fig, ax = plt.subplots(figsize=(2.7, 2.3))
    for name, line in lines.items():
        label, color, mark = LOOKS[name]
        low, middle, high = zip(*find_range(line[measure]["points"]), strict=True)
        ax.vlines(line["amounts"], low, high, color=color, linewidth=2)
        ax.plot(line["amounts"], middle, mark, color=color, markersize=5,
                label=f"{label}: {slopes(line, measure)}")
        for x, y in half_lines(line) if measure == "seconds" else [memory_line(line)]:
            ax.plot(x, y, color=color, linewidth=1.2)
        if bend_of(line, measure):
            ax.axvline(bend_of(line, measure), color=color, linestyle=":")
    first = next(iter(lines.values()))
    ax.set(xscale="log", yscale="log", xlabel=AXES[first["unit"]],
           ylabel=what_of(first["group"], measure))
    finish_axes(ax)
    return fig


def what_of(group, measure):
    return "Memory in MiB" if measure == "memory" else SECONDS(group, "Seconds")


def finish_axes(ax):
    """Ticks in plain digits, and the names of the lines above them."""
    low, high = ax.get_ylim()
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 30 * low else (1,)))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
        axis.set_minor_formatter(NullFormatter())
    ax.legend(loc="lower left", bbox_to_anchor=(-0.15, 1), borderaxespad=0, handletextpad=0,
              labelspacing=0.2)


def short(value):
    """A number on an axis: 4k, 2M."""
    for unit, letter in ((1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{letter}"
    return f"{value:g}"


def make_figure(group, lines, rounds):
    """The figure of a group as a piece of a page; panels by what grows, seconds before memory."""
    panels, told = [], []
    for unit in dict.fromkeys(line["unit"] for line in lines.values()):
        same = {name: line for name, line in lines.items() if line["unit"] == unit}
        for measure in ("seconds", "memory"):
            panels.append(draw(same, measure))
            told.append(WORDS["panel"].format(
                what=what_of(group, measure), axis=AXES[unit].lower(), lines="; ".join(
                    f"{LOOKS[name][0]}, exponent {slopes(line, measure)}"
                    for name, line in same.items())))
    page = viz.figure(panels, WORDS, n=len(panels), panels=" ".join(told), rounds=rounds)
    return page.replace("<figure ", f'<figure id="figure-costs-{group}" ', 1)


# The table

def show_seconds(seconds):
    """A time in the unit in which it is easy to imagine; three digits."""
    for limit, unit, name in ((1e-3, 1e-6, "µs"), (1, 1e-3, "ms"), (120, 1, "s"),
                              (7200, 60, "min"), (172_800, 3600, "h"), (6.3e7, 86_400, "days")):
        if seconds < limit:
            return f"{digits(seconds / unit)} {name}"
    return f"{digits(seconds / 3.156e7)} years"


def show_mib(mib):
    """Memory in the unit in which it is easy to imagine; three digits."""
    for unit, name in ((1024**2, "TiB"), (1024, "GiB"), (1, "MiB"), (1 / 1024, "KiB")):
        if mib >= unit:
            return f"{digits(mib / unit)} {name}"
    return f"{digits(mib * 1024**2)} bytes"


def digits(value):
    """Three digits that count, without an exponent."""
    return f"{float(f'{value:.3g}'):,.10g}"


def count(amount):
    """A whole number; beyond what can be read off exactly, two digits of it."""
    return f"{float(f'{amount:.2g}'):,.0f}"


def name_of(name, line):
    label = LOOKS[name][0]
    return f"{label}, {line['unit']}"


def table_lines(lines, machine_mib):
    """Markdown: of each line what was measured, and, in italics, what was not."""
    rows = ["| | Seconds | Memory |", "|---|---|---|"]
    for name, line in lines.items():
        last = line["seconds"]["points"][-1]["mean"], line["memory"]["points"][-1]
        rows.append(f"| **{name_of(name, line)}**: {line['amounts'][-1]:,}, measured "
                    f"| {show_seconds(last[0])} | {show_mib(last[1])} |")
        for times, found in line["ahead"].items():
            rows.append(ahead_row(f"{int(times):,} times as many", found))
        if line["fits"]:
            rows.append(ahead_row(f"{count(line['fits']['amount'])}, which fill "
                                  f"{show_mib(machine_mib)}", line["fits"]))
    return rows


def ahead_row(what, found):
    ends = " to ".join(map(show_seconds, found["interval"]))
    seconds, memory = show_seconds(found["seconds"]), show_mib(found["mib"])
    return f"| *{what}* | *{seconds} ({ends})* | *{memory}* |"


def sentence(name, line):
    """Markdown: exponents, bend, parts and smallest amount, and how well the largest was told."""
    seconds, memory, unit = line["seconds"], line["memory"], line["unit"]
    bend = (f"the line bends near {count(seconds['bend']['amount'])} {unit}"
            if seconds["bend"]["shown"] else "no bend is shown")
    return (f"**{name_of(name, line)}.** Seconds: exponent {between(seconds['small'])} in the "
            f"smaller half, {between(seconds['large'])} in the larger; {bend}. Memory: "
            f"{decimals(memory['small'])} and {decimals(memory['large'])}; {parts(memory, unit)}. "
            f"The smallest amount, {line['amounts'][0]:,}, takes "
            f"{show_seconds(seconds['points'][0]['mean'])} and {show_mib(memory['points'][0])}. "
            f"The smaller amounts alone tell of the largest {between(seconds['told'])} times its "
            f"seconds and {memory['told']:.2f} times its memory.")


def parts(memory, unit):
    """The sum that memory is, in words, and where half of it is fixed."""
    fixed, *growing = memory["parts"]
    names = "a {}", "the square of the number of {}"
    named = [f"{show_mib(part)} for {name.format(unit.removesuffix('s') if i == 0 else unit)}"
             for i, (name, part) in enumerate(zip(names, growing)) if part > 0]
    half = f"; half of it is fixed at {count(memory['bend'])} {unit}" if memory["bend"] else ""
    return " and ".join([f"{show_mib(fixed)} that are fixed", *named]) + half


def between(spread):
    """A mean and its interval."""
    low, high = spread["interval"]
    return f"{decimals(spread['mean'])} ({decimals(low)} to {decimals(high)})"


class Costs(SphinxDirective):
    """{costs} training: figure, table and sentences of a group of lines."""

    required_arguments = 1

    def run(self):
        path = Path(self.env.srcdir, "costs.json")
        self.env.note_dependency(str(path))
        record, group = json.loads(path.read_text(encoding="utf8")), self.arguments[0]
        lines = {name: line for name, line in record["lines"].items() if line["group"] == group}
        if not lines:
            raise self.error(f"costs: nothing was measured of {group!r}")
        drawing = nodes.raw("", make_figure(group, lines, record["rounds"]), format="html")
        container = nodes.container(classes=["mmfuse-costs"])
        text = [*table_lines(lines, record["machine_mib"]), "",
                f'<details class="mmfuse-evidence"><summary>{WORDS["fold"]}</summary>', "",
                *(f"- {sentence(name, line)}" for name, line in lines.items()), "", "</details>"]
        self.state.nested_parse(StringList(text, source=self.env.docname), 0, container)
        return [drawing, container]


def setup(app):
    app.add_directive("costs", Costs)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
