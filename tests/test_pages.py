"""Every chapter reads as a page: short lines, little code, words in one place, plumbing folded."""

import ast
import copy
import json
import re

import pytest
from bs4 import BeautifulSoup
from conftest import ROOT
from execute import EXECUTED
from pages import fold_deeper, is_folded, join_streams, make_page, numbered_files, reading_minutes

from mmfuse_utils.ledger import MIME, VERDICT_MIME

pytestmark = pytest.mark.book

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
WIDTH, MOST_LINES = 79, 300
# What only records, draws or speaks, and never teaches.
PLUMBING = {"record", "verdict", "show", "say", "Markdown", "savefig"}


def code_cells(path):
    """The code cells of a notebook, sources as one text."""
    cells = json.loads(path.read_text(encoding="utf8"))["cells"]
    return [{**cell, "source": "".join(cell["source"])} for cell in cells
            if cell["cell_type"] == "code"]


def is_solution(cell):
    return "hide-cell" in cell["metadata"].get("tags", [])


def parse_code(source):
    """Syntax tree of a cell; magic commands are left out."""
    return ast.parse(re.sub(r"(?m)^\s*[%!].*$", "", source))


def long_lines(path):
    return [line for cell in code_cells(path) for line in cell["source"].splitlines()
            if len(line) > WIDTH]


def visible_lines(cells):
    """Lines of code that a page shows without a click, empty ones and empty tasks apart."""
    return [line for cell in cells if not is_folded(cell)
            for line in cell["source"].splitlines()
            if line.strip() and not cell["source"].startswith("# Your turn")]


def called(source):
    """Names of the functions that a cell calls, without what stands before the point."""
    return {node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
            for node in ast.walk(parse_code(source)) if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute | ast.Name)}


def visible_plumbing(path):
    """Visible cells that record, draw, speak, or define something that does."""
    return [f"{cell['id']}: {', '.join(sorted(called(cell['source']) & PLUMBING))}"
            for cell in code_cells(path)
            if not is_folded(cell) and called(cell["source"]) & PLUMBING]


def visible_results(cells):
    """Visible cells whose outputs are entries, verdicts, sentences or figures, by whatever name
    they were made."""
    found = []
    for cell in cells:
        for output in cell["outputs"] if not is_folded(cell) else []:
            data = output.get("data", {})
            page = "".join(data.get("text/html", ""))
            if {MIME, VERDICT_MIME, "text/markdown", "image/png"} & set(data) or "<figure" in page:
                found.append(f"{cell['id']}: {', '.join(data)}")
            spoken = [line for line in "".join(output.get("text", "")).splitlines()
                      if re.fullmatch(r"[A-Z].*[a-z]\.", line) and len(line.split()) >= 8]
            found += [f"{cell['id']}: {line}" for line in spoken]
    return found


def printed_too_wide(cells):
    """Printed lines that do not fit, solutions' too."""
    texts = ["".join(output.get("text", output.get("data", {}).get("text/plain", "")))
             for cell in cells for output in cell["outputs"]
             if not {"text/html", "text/markdown"} & set(output.get("data", {}))]
    return [line for text in texts for line in text.splitlines() if len(line) > WIDTH]


def scattered_words(path):
    """Long texts outside the cell of words; docstrings, solutions and their own words apart."""
    found = []
    for cell in code_cells(path):
        if is_solution(cell) or {"words", "remove-cell"} & set(cell["metadata"].get("tags", [])):
            continue
        tree = parse_code(cell["source"])
        documented = (ast.Module, ast.FunctionDef, ast.ClassDef)
        docstrings = {node.body[0].value for node in ast.walk(tree)
                      if isinstance(node, documented) and ast.get_docstring(node) is not None}
        found += [f"{cell['id']}: {node.value[:60]}" for node in ast.walk(tree)
                  if isinstance(node, ast.Constant) and node not in docstrings
                  and isinstance(node.value, str) and len(node.value.split()) >= 9]
    return found


def odd_ids(path):
    """Ids of cells that are no names: a translation and a link need them to last."""
    ids = [cell["id"] for cell in json.loads(path.read_text(encoding="utf8"))["cells"]]
    return [name for name in ids
            if not re.fullmatch(r"[a-z]+[0-9]*(-[a-z0-9]+)*", name)
            or re.fullmatch(r"[0-9a-f]{8}", name) or len(name) > 40 or ids.count(name) > 1]


def typed_numbers(text):
    """Chapters called by a number, which changes when a chapter is added."""
    return re.findall(r"\b[Cc]hapters? \d+", text)


def executed(path):
    return code_cells(ROOT / EXECUTED / path.name)


@every_notebook
def test_no_line_of_code_is_too_long(path):
    assert long_lines(path) == []


@every_notebook
def test_no_printed_line_is_too_long(path):
    assert printed_too_wide(executed(path)) == []


@every_notebook
def test_few_lines_of_code_are_visible(path):
    assert len(visible_lines(code_cells(path))) <= MOST_LINES


@every_notebook
def test_what_draws_records_or_speaks_is_folded(path):
    assert visible_plumbing(path) == []
    assert visible_results(executed(path)) == []


@every_notebook
def test_the_words_stand_in_one_cell(path):
    tagged = [cell for cell in code_cells(path) if "words" in cell["metadata"].get("tags", [])]
    assert len(tagged) == 1 and re.match(r"WORDS\b", tagged[0]["source"])
    assert is_folded(tagged[0]) and tagged[0]["metadata"]["jupyter"]["source_hidden"] is True
    assert scattered_words(path) == []


@every_notebook
def test_no_line_of_text_is_taken_for_a_comment(path):
    """A line of Markdown that begins with % is dropped, with whatever stands in it."""
    cells = json.loads((ROOT / EXECUTED / path.name).read_text(encoding="utf8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    texts += ["".join(output.get("data", {}).get("text/markdown", ""))
              for cell in cells for output in cell.get("outputs", [])]
    assert [line for text in texts for line in text.splitlines() if line.startswith("%")] == []


@every_notebook
def test_cells_have_names(path):
    assert odd_ids(path) == []


@pytest.mark.parametrize("path", [*NOTEBOOKS, ROOT / "README.md",
                                  *sorted((ROOT / "book").glob("*.md")),
                                  *sorted((ROOT / "mmfuse_utils").rglob("*.py"))],
                         ids=lambda path: path.name)
def test_chapters_are_named_not_numbered(path):
    assert typed_numbers(path.read_text(encoding="utf8")) == []


def names_of(title):
    """What a link may call a chapter: its title, or what stands before a colon or comma in it."""
    return {title.lower(), re.split("[:,]", title)[0].lower()}


@pytest.mark.parametrize("path", [*NOTEBOOKS, ROOT / "README.md",
                                  *sorted((ROOT / "book").glob("*.md"))],
                         ids=lambda path: path.name)
def test_a_chapter_has_one_name(path):
    titles = {notebook.name: "".join(json.loads(notebook.read_text(encoding="utf8"))
                                     ["cells"][0]["source"]).split("\n")[0][2:]
              for notebook in NOTEBOOKS}
    text = re.sub(r'\\n",?\s*"', " ", path.read_text(encoding="utf8"))
    links = re.findall(r"\[([^\[\]]+)\]\((?:\.\./)?(?:notebooks/)?(\d\d_\w+\.ipynb)\)", text)
    named = [(" ".join(re.sub(r'[*\\"]', " ", name).split()), target) for name, target in links]
    # Words of a sentence, such as "the last chapter", are no name.
    named = [(name, target) for name, target in named
             if name[0].isupper() and not re.search("chapters?( on)?$", name)]
    assert [(name, target) for name, target in named
            if name.lower() not in names_of(titles[target])] == []


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def soup(request, site):
    page = site / "notebooks" / f"{request.param.stem}.html"
    return BeautifulSoup(page.read_text(encoding="utf8"), "html.parser")


def test_the_page_shows_few_lines_of_code(soup):
    blocks = [pre for pre in soup.select("div.cell_input pre") if not pre.find_parent("details")]
    lines = [line for pre in blocks for line in pre.get_text().splitlines()
             if line.strip() and not pre.get_text().startswith("# Your turn")]
    assert 0 < len(lines) <= MOST_LINES


def test_every_figure_has_a_number_and_a_caption(soup):
    figures = soup.select("figure.mmfuse-figure")
    numbers = [figure.figcaption.b.get_text() for figure in figures]
    chapter = soup.select_one("article h1").get_text().split(".")[0]
    assert numbers == [f"Figure {chapter}.{i}" for i in range(1, len(figures) + 1)]
    for figure in figures:
        assert len(figure.figcaption.get_text().split()) > 8, figure.figcaption
        assert len(figure.select_one("[role=img]")["aria-label"].split()) > 5


def test_titles_and_sections_are_numbered(soup):
    chapter = re.match(r"\d+", soup.select_one("article h1").get_text())[0]
    for number, title in enumerate(soup.select("section > section > h2"), start=1):
        assert title.get_text().startswith(f"{chapter}.{number}. ")


def test_the_page_says_how_long_it_takes(soup):
    line = soup.select_one(".mmfuse-times").get_text()
    assert re.search(r"about \d+ minutes.* took \d+ seconds", line)


def test_solutions_are_called_solutions(soup):
    folds = soup.select("div.tag_hide-cell summary")
    titles = {summary.get_text().split()[0] for summary in folds}
    assert titles == {"Solution"}


def test_entries_of_the_ledger_are_folded(soup):
    entries = soup.select(".mmfuse-result")
    assert entries
    assert all(entry.find_parent("details", class_="mmfuse-entries") for entry in entries)


def test_citations_are_not_doubled(soup):
    """No typed author and year before the link that says the same."""
    text = re.sub(r"\s+", " ", soup.select_one("article").get_text())
    assert re.findall(r"\d{4}[a-z]?\)? \[[A-Z][^\]]*\d{4}[a-z]?\]", text) == []


CELL = {"cell_type": "code", "id": "look", "metadata": {}, "outputs": []}


@pytest.mark.parametrize(("output", "wrong"), [
    ({"text": "shape (3, 4)\n"}, False),
    ({"text": "The best of them reaches 3 of 4 words.\n"}, True),
    ({"data": {"text/html": "<table></table>"}}, False), ({"data": {"text/markdown": "x"}}, True),
    ({"data": {"text/html": "<figure>"}}, True), ({"data": {MIME: {}}}, True)])
def test_the_finder_of_results_looks_at_outputs(output, wrong):
    cell = {**CELL, "source": "innocent()", "outputs": [output]}
    assert bool(visible_results([cell])) is wrong
    folded = {**cell, "metadata": {"tags": ["hide-input"]}}
    assert visible_results([folded]) == []


def test_a_page_is_arranged_for_reading():
    entry = {"output_type": "display_data", "metadata": {},
             "data": {MIME: {}, "text/html": "<span>entry</span>"}}
    figure = {"output_type": "display_data", "metadata": {}, "data": {
        "text/html": '<figure class="mmfuse-figure"><figcaption>See.</figcaption></figure>'}}
    code = {**CELL, "execution_count": 1}
    cells = [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": "# Title\n\nText."},
             {**code, "source": "x = 1", "outputs": [entry, copy.deepcopy(figure)]},
             {"cell_type": "markdown", "id": "b", "metadata": {}, "source": "## Next"},
             {**code, "id": "again-figure", "source": "y = 2", "metadata": {"tags": ["hide-cell"]},
              "outputs": [figure, copy.deepcopy(figure)]},
             {**code, "source": "z",
              "outputs": [{"data": {"text/markdown": "[a](../book/a.md)"}}]}]
    page = json.loads(make_page(json.dumps({"cells": cells}), 7, 12.4))["cells"]
    assert [cell["cell_type"] for cell in page] == ["markdown", "code", "markdown", "markdown",
                                                    "code", "code"]
    assert re.search(r"# Title\n\n<p .*about 5 minutes.* took 12 seconds", page[0]["source"])
    assert "One number" in page[2]["source"] and "<span>entry</span>" in page[2]["source"]
    shown = ["".join(output["data"].values()) for cell in page
             for output in cell.get("outputs", [])]
    assert 'id="figure-look"' in shown[0] and "Figure 7.1" in shown[0]
    assert 'id="figure-again-2"' in shown[2] and "Figure 7.3" in shown[2]
    assert shown[3:] == ["[a](../a.md)"]
    assert page[4]["metadata"]["mystnb"]["code_prompt_show"] == "Solution"


def test_a_line_that_was_printed_in_pieces_is_whole():
    printed = [{"name": "stdout", "text": ["300"]}, {"name": "stdout", "text": " + 1\n"}]
    shown = {"data": {"text/html": "table"}}
    assert join_streams([*printed, shown, {"name": "stderr", "text": "!"}, *printed]) == [
        {"name": "stdout", "text": "300 + 1\n"}, shown, {"name": "stderr", "text": "!"},
        {"name": "stdout", "text": "300 + 1\n"}]


def test_what_goes_deeper_is_folded_under_its_first_line():
    deeper = {"tags": ["deeper"]}
    cells = [{"cell_type": "markdown", "metadata": {}, "source": "Before."},
             {"cell_type": "markdown", "metadata": deeper,
              "source": "**Going deeper: a < b.**\n\nText."},
             {"cell_type": "code", "metadata": deeper, "source": "x", "outputs": []},
             {"cell_type": "markdown", "metadata": {}, "source": "After."}]
    sources = [cell["source"] for cell in fold_deeper(cells)]
    assert sources == ["Before.", '<details class="mmfuse-deeper"><summary>Going deeper: a &lt; b'
                       "</summary>", "\nText.", "x", "</details>", "After."]


def test_reading_time_counts_words_and_visible_lines():
    prose = {"cell_type": "markdown", "metadata": {},
             "source": "word " * 400 + "<details>\nnot this\n</details>"}
    code = {"cell_type": "code", "source": "x\n" * 30, "metadata": {}}
    folded = {**code, "metadata": {"tags": ["hide-input"]}}
    assert reading_minutes([prose, code, folded]) == pytest.approx(4.0)


def test_chapters_are_numbered_through_the_numbered_parts():
    toc = {"parts": [{"chapters": [{"file": "before"}]},
                     {"numbered": 2, "chapters": [{"file": "a"}, {"file": "b"}]},
                     {"numbered": 2, "chapters": [{"file": "c"}]}]}
    assert numbered_files(toc) == {"a": 1, "b": 2, "c": 3}
