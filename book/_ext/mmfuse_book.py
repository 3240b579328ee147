"""Sphinx extension of this book: numbers from the ledger, tables made from data, local scripts.

Roles       {result}`key:.1%` and {interval}`key:.1%`, with any Python format after the key, or
            "points" for a difference of shares;
            {recorded}`key`, the date of the benchmark that the number was read from
            {claims}`fails` and {verdict}`place`, what became of claims (see mmfuse_claims.py)
Directives  {ledger-table}, {sources-table} and {claims-table};
            {live} name, an interactive part from _live/name.js, over what stands there without it
Links       the first use of each term of the glossary in a chapter
Redirects   from old addresses to new ones, as in moved.yml
"""

import json
import re
from pathlib import Path

import yaml
from docutils import nodes
from docutils.statemachine import StringList
from mmfuse_claims import Claims, ClaimsTable, Verdict
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

from mmfuse_utils.data import sources
from mmfuse_utils.ledger import format_number

logger = logging.getLogger(__name__)


def read_results(env):
    """The collected ledger; the page that reads it is rebuilt when it changes."""
    path = Path(env.srcdir, "results.json")
    env.note_dependency(str(path))
    return json.loads(path.read_text(encoding="utf8"))


class Result(SphinxRole):
    """{result}`key:.1%`: a number from the ledger."""

    def run(self):
        key, _, spec = self.text.partition(":")
        entry = read_results(self.env).get(key.strip())
        try:
            return [nodes.inline(text=self.show(entry, spec), classes=["mmfuse-number"])], []
        except (TypeError, ValueError) as error:
            logger.warning("ledger: cannot show %r (%s)", self.text,
                           "there is no such key" if entry is None else error,
                           location=self.get_location())
            return [nodes.inline(text="?")], []

    def show(self, entry, spec):
        if spec == "points":        # a difference of shares
            return f"{round(1000 * entry['value']) / 10 + 0.0:+.1f}".replace("+0.0", "0.0")
        return format(entry["value"], spec) if spec else format_number(entry["value"])


class Interval(Result):
    """{interval}`key:.1%`: the interval of a number from the ledger."""

    def show(self, entry, spec):
        return " to ".join(super(Interval, self).show({"value": end}, spec)
                           for end in entry["interval"])


class Recorded(Result):
    """{recorded}`key`: the day on which a number from the ledger was recorded."""

    def show(self, entry, spec):
        if entry["recorded"] is None:
            raise ValueError("it was measured when the book was built, not recorded before")
        return entry["recorded"]


class MarkdownDirective(SphinxDirective):
    """A directive whose content is Markdown that it makes itself."""

    def run(self):
        container = nodes.container(classes=[self.css_class])
        lines = self.make_lines()
        self.state.nested_parse(StringList(lines, source=self.env.docname), 0, container)
        return [container]


class LedgerTable(MarkdownDirective):
    """{ledger-table}: all numbers of the ledger, a table for each chapter."""

    css_class = "mmfuse-ledger"

    def make_lines(self):
        path = Path(self.env.srcdir, "ledger.yml")
        self.env.note_dependency(str(path))
        meanings = yaml.safe_load(path.read_text(encoding="utf8"))
        by_source = {}
        for key, entry in sorted(read_results(self.env).items()):
            source = f"{entry['page']}.md" if "page" in entry else (
                f"notebooks/{entry['notebook']}.ipynb")
            by_source.setdefault(source, []).append((key, entry))
        lines = []
        for source, entries in sorted(by_source.items(),
                                      key=lambda item: (item[0].endswith("md"), item[0])):
            lines += [f"**[]({source})**", "",
                      "| What it says, and its key | Value (interval) | Beside it |", "|---|---|---|"]
            lines += [self.row(key, entry, meanings) for key, entry in entries]
            lines.append("")
        return lines

    def row(self, key, entry, meanings):
        """A line of the table; the key leads to the place where the number is made."""
        meaning = "Seconds that the notebook's cells took." if key.startswith("time.") else (
            meanings.get(key, "?"))
        place = f"{entry['page']}.html" if "page" in entry else (
            f"notebooks/{entry['notebook']}.html" + ("" if key.startswith("time.") else f"#{key}"))
        ends = " to ".join(map(format_number, entry["interval"] or []))
        value = format_number(entry["value"]) + (f" ({ends})" if ends else "")
        return (f'| {meaning}<br><a id="row.{key}" href="{place}">'
                f"<code>{key}</code></a> | {value} | {self.beside(entry)} |".replace("\n", " "))

    def beside(self, entry):
        """Chance, control, date, and why there is no interval, as far as they are given."""
        chance, control = entry["chance"], entry["control"]
        notes = [] if chance is None else [
            f"chance: {chance if isinstance(chance, str) else format_number(chance)}"]
        if control is not None:
            notes.append(f"control: {control}" if " " in control else
                         f'control: <a href="#row.{control}"><code>{control}</code></a>')
        notes += [f"recorded on {entry['recorded']}"] if entry["recorded"] else []
        return "; ".join(notes + ([entry["exact"]] if entry["exact"] else []))


class SourcesTable(MarkdownDirective):
    """{sources-table}: the pinned data packages with their licences."""

    css_class = "mmfuse-sources"

    def make_lines(self):
        self.env.note_dependency(sources.__file__)
        lines = ["| What | Package | Version | By | License | Size |",
                 "|---|---|---|---|---|---:|"]
        lines += [f"| {source.what} | `{source.name}` | {source.version} | {source.attribution} "
                  f"| {source.licence} | {source.size / 1e6:.1f} MB |"
                  for source in sources.SOURCES.values()]
        total = sum(source.size for source in sources.SOURCES.values())
        return [*lines, f"| Together | | | | | {total / 1e6:.0f} MB |"]


class Live(SphinxDirective):
    """{live} name: an interactive part. Its content is what is shown until its script has run, and
    where scripts do not run."""

    required_arguments = 1
    has_content = True

    def run(self):
        name = self.arguments[0]
        up = "../" * self.env.docname.count("/")
        container = nodes.container()
        self.state.nested_parse(self.content, self.content_offset, container)
        return [nodes.raw("", f'<div class="mmfuse-live" data-live="{name}">', format="html"),
                container,
                nodes.raw("", f'</div><script defer src="{up}_static/live/{name}.js"></script>',
                          format="html")]


def glossary_entries(env):
    """Each form of each term of the glossary, in small letters: (place, definition).

    "canonical correlation analysis (CCA)" is one term with two forms.
    """
    entries = {}
    for item in env.get_doctree("glossary").findall(nodes.definition_list_item):
        meaning = next(item.findall(nodes.definition)).astext().replace("\n", " ")
        for term in item.findall(nodes.term):
            for form in re.findall(r"[^()]+", term.astext().split("\n")[0]):
                if form.strip() and not form.strip().startswith("of "):
                    for written in with_plurals(form.strip().lower()):
                        entries.setdefault(written, (term["ids"][0], meaning))
    return entries


def with_plurals(form):
    """A term, and its plural by the usual rules; what is no word will not be found."""
    return [form, f"{form}s", f"{form}es", re.sub("y$", "ies", form)]


def is_plain(text):
    """Whether a piece of text stands in a paragraph: not in code, a link, a heading or the sources,
    and not bold, as terms are where they are explained."""
    fixed = (nodes.literal, nodes.reference, nodes.title, nodes.math, nodes.raw,
             nodes.literal_block, nodes.caption, nodes.inline, nodes.strong)
    parents, node = [], text.parent
    while node is not None:
        parents.append(node)
        node = node.parent
    sources = any(isinstance(parent, nodes.section) and parent[0].astext() == "Sources"
                  for parent in parents)
    return (any(isinstance(parent, nodes.paragraph) for parent in parents) and not sources
            and not any(isinstance(parent, fixed) for parent in parents))


def link_terms(app, doctree, docname):
    """Link the first use of each term of the glossary in a chapter, its meaning as a hint."""
    if not docname.startswith("notebooks/"):
        return
    entries = glossary_entries(app.env)
    forms = "|".join(map(re.escape, sorted(entries, key=len, reverse=True)))
    pattern = re.compile(rf"(?<![\w@-])({forms})(?![\w@-])", re.IGNORECASE)
    uri, seen = app.builder.get_relative_uri(docname, "glossary"), set()
    for text in [text for text in doctree.findall(nodes.Text) if is_plain(text)]:
        parts, position = [], 0
        for found in pattern.finditer(text.astext()):
            place, meaning = entries[found[1].lower()]
            if place in seen:
                continue
            seen.add(place)
            link = nodes.reference("", found[0], internal=True, refuri=f"{uri}#{place}",
                                   reftitle=meaning, classes=["mmfuse-term"])
            parts += [nodes.Text(text.astext()[position:found.start()]), link]
            position = found.end()
        if parts:
            text.parent.replace(text, [*parts, nodes.Text(text.astext()[position:])])


MOVED = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Moved</title>
<link rel="canonical" href="{new}">
<script>location.replace("{new}" + location.hash)</script>
<meta http-equiv="refresh" content="0; url={new}"></head>
<body><main><h1>Moved</h1><p>This page is now <a href="{new}">here</a>.</p></main></body></html>
"""


def write_redirects(app, exception):
    """Where a page moved, leave one at its old address that leads on, to the same place in it."""
    moved = yaml.safe_load(Path(app.srcdir, "moved.yml").read_text(encoding="utf8"))
    for old, new in moved.items() if exception is None else []:
        page = MOVED.format(new=f"{Path(new).name}.html")
        Path(app.outdir, f"{old}.html").write_text(page, encoding="utf8")


def add_local_scripts(app, config):
    """Serve the staged scripts from _static (set late: Jupyter Book puts every script that it
    finds in a static folder on every page)."""
    config.html_static_path.append("_vendor")


def setup(app):
    # Jupyter Book always sets this one, for an extension that this book does not load.
    app.add_config_value("comments_config", {}, "html")
    app.add_role("result", Result())
    app.add_role("interval", Interval())
    app.add_role("recorded", Recorded())
    app.add_role("claims", Claims())
    app.add_role("verdict", Verdict())
    app.add_directive("claims-table", ClaimsTable)
    app.add_directive("ledger-table", LedgerTable)
    app.add_directive("sources-table", SourcesTable)
    app.add_directive("live", Live)
    app.connect("config-inited", add_local_scripts)
    app.connect("doctree-resolved", link_terms)
    app.connect("build-finished", write_redirects)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
