"""All claims of the book on one page, made from the chapters' verdicts.

Directive   {claims-table}: a count of the outcomes, a choice among them, and each claim with its
            numbers, in the order of the chapters
Roles       {claims}`fails`: how many claims have that outcome; `all` for how many there are
            {verdict}`notebook.place`: the outcome of one claim, as a link to it
"""

import json
import re
from collections import Counter
from dataclasses import fields
from pathlib import Path

import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

from mmfuse_utils.ledger import OUTCOMES, Part

logger = logging.getLogger(__name__)
SHOWN = {"holds": "hold", "fails": "fail", "half true": "are half true",
         "not shown": "are not shown"}


def read_verdicts(env):
    """The collected verdicts; the page that reads them is rebuilt when they change."""
    path = Path(env.srcdir, "verdicts.json")
    env.note_dependency(str(path))
    return json.loads(path.read_text(encoding="utf8"))


def count_outcomes(verdicts):
    """How many claims have each outcome, in the order in which the book names them."""
    counted = Counter(verdict["outcome"] for verdict in verdicts)
    return {outcome: counted[outcome] for outcome in OUTCOMES}


class Claims(SphinxRole):
    """{claims}`outcome`: how many claims of the book have it."""

    def run(self):
        verdicts = read_verdicts(self.env)
        counts = count_outcomes(verdicts) | {"all": len(verdicts)}
        return [nodes.inline(text=str(counts[self.text]), classes=["mmfuse-number"])], []


class Verdict(SphinxRole):
    """{verdict}`07_fusion.claim-recipe-verdict-1`: the outcome of a claim, with a link to it."""

    def run(self):
        outcomes = {claim_place(verdict): verdict["outcome"]
                    for verdict in read_verdicts(self.env)}
        if self.text not in outcomes:
            logger.warning("claims: there is no verdict at %r", self.text,
                           location=self.get_location())
            return [nodes.inline(text="?")], []
        page = self.env.app.builder.get_relative_uri(self.env.docname, "claims")
        return [nodes.reference("", outcomes[self.text], internal=True,
                                refuri=f"{page}#{self.text}")], []


class ClaimsTable(SphinxDirective):
    """{claims-table}: a section for each part of the book, and in it one for each chapter."""

    def run(self):
        verdicts = read_verdicts(self.env)
        toc = Path(self.env.srcdir, "_toc.yml")
        self.env.note_dependency(str(toc))
        choice = nodes.raw("", show_choice(count_outcomes(verdicts)), format="html")
        parts = yaml.safe_load(toc.read_text(encoding="utf8"))["parts"]
        return [choice, *filter(None, (self.show_part(part, verdicts) for part in parts))]

    def show_part(self, part, verdicts):
        """The section of a part, or None for one whose pages have no verdicts."""
        section = new_section(f"claims-{part['caption']}", part["caption"])
        for chapter in part["chapters"]:
            own = [verdict for verdict in verdicts
                   if f"notebooks/{verdict['notebook']}" == chapter["file"]]
            if own:
                inner = new_section(f"claims-{own[0]['notebook']}", own[0]["title"])
                lines = [line for verdict in own for line in claim_lines(verdict)]
                self.state.nested_parse(StringList(lines, source=self.env.docname), 0, inner)
                section += inner
        return section if section.next_node(nodes.section) else None


def new_section(name, title):
    return nodes.section("", nodes.title("", title), ids=[nodes.make_id(name)])


def show_choice(counts):
    """A bar of the outcomes, and buttons that choose which claims are shown: style sheets alone do
    that, so that it works without scripts."""
    bar = "".join(f'<span class="{css_class(outcome)}" style="flex-grow: {count}"></span>'
                  for outcome, count in counts.items())
    total = sum(counts.values())
    buttons = [choice_button("all", f"all {total}", " checked")]
    buttons += [choice_button(css_class(outcome), f"{count} {SHOWN[outcome]}")
                for outcome, count in counts.items()]
    return (f'<div class="mmfuse-tally" aria-hidden="true">{bar}</div>'
            f'<fieldset class="mmfuse-choice"><legend>Show the claims that …</legend>'
            f'{"".join(buttons)}</fieldset>')


def choice_button(value, label, checked=""):
    return (f'<label class="{value}"><input type="radio" name="outcome" value="{value}"{checked}>'
            f"{label}</label>")


def css_class(outcome):
    return f"mmfuse-{outcome.replace(' ', '-')}"


def claim_place(verdict):
    """Where a claim stands on the page of all claims."""
    return f"{verdict['notebook']}.{verdict['place']}"


def claim_lines(verdict):
    """A claim in Markdown: outcome, claim, numbers, evidence folded, and where it is measured."""
    notebook, outcome = verdict["notebook"], verdict["outcome"]
    numbers = [f"- {move_links(part_line(part), notebook)}" for part in verdict["parts"]]
    return [f'<div class="mmfuse-claim {css_class(outcome)}" id="{claim_place(verdict)}">', "",
            f'<span class="mmfuse-outcome">{outcome}</span> '
            f"{one_line(verdict['claim'], notebook)}", "",
            *numbers, "",
            '<details class="mmfuse-evidence"><summary>Evidence</summary>', "",
            one_line(verdict["evidence"], notebook), "", "</details>", "",
            f'<p class="mmfuse-where"><a href="notebooks/{notebook}.html#{verdict["place"]}">'
            f"Where it is measured</a></p>", "", "</div>", ""]


def part_line(part):
    """A number of a claim as the chapter shows it. Its state is the chapter's, too, which may be
    stricter than the number's own."""
    names = {field.name for field in fields(Part)}
    line = str(Part(**{name: value for name, value in part.items() if name in names}))
    return f"{line[:line.rindex(' *')]} *{part['state'].capitalize()}.*"


def one_line(text, notebook):
    return move_links(" ".join(text.split()), notebook)


def move_links(text, notebook):
    """A chapter's text with its links as seen from a page of the book."""
    text = re.sub(r"\]\((?=\d\d_\w+\.ipynb)", "](notebooks/", text)
    return re.sub(r"\]\((?=#)", f"](notebooks/{notebook}.ipynb", text.replace("](../book/", "]("))
