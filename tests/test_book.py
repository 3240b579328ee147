"""The book as a whole: notebooks follow the conventions, and every link of the site resolves."""

import json
import re
import symtable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup
from collect import RESULTS
from conftest import ROOT, SITE, site_pages
from execute import find_stale

pytestmark = pytest.mark.book

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
every_page = pytest.mark.parametrize("page", site_pages())


def read_cells(path):
    cells = json.loads(path.read_text(encoding="utf8"))["cells"]
    return [{**cell, "source": "".join(cell["source"])} for cell in cells]


def is_solution(cell):
    return "hide-cell" in cell["metadata"].get("tags", [])


def code_of(cell):
    """Source of a code cell without magics, which Python does not parse."""
    return re.sub(r"(?m)^\s*[%!].*$", "", cell["source"])


def tables(table):
    """A symbol table and all those below it."""
    return [table, *(deep for child in table.get_children() for deep in tables(child))]


def names_defined(code):
    """Names that a cell leaves behind in the notebook."""
    return {symbol.get_name() for symbol in symtable.symtable(code, "cell", "exec").get_symbols()
            if symbol.is_assigned() or symbol.is_imported()}


def names_needed(code):
    """Names that a cell takes from the cells before it."""
    top = symtable.symtable(code, "cell", "exec")
    below = {symbol.get_name() for table in tables(top)[1:] for symbol in table.get_symbols()
             if symbol.is_global() and symbol.is_referenced()}
    used = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_referenced()}
    return (below | used) - names_defined(code)


def test_every_notebook_has_a_green_run():
    assert NOTEBOOKS
    assert find_stale(ROOT) == [], "run `make book`; these notebooks have no green run"


@every_notebook
def test_notebook_is_committed_without_outputs(path):
    for cell in read_cells(path):
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None, cell["source"]


@every_notebook
def test_notebook_has_verdict_exercises_and_sources(path):
    cells = read_cells(path)
    prose = "\n".join(cell["source"] for cell in cells if cell["cell_type"] == "markdown")
    code = "\n".join(cell["source"] for cell in cells if cell["cell_type"] == "code")
    assert prose.startswith("# ")
    assert re.search(r"\bverdict\(", code)
    assert len(re.findall(r"(?m)^### Exercise \d+", prose)) >= 4
    for heading in ("Check yourself", "Verdict", "Exercises", "Summary", "Sources"):
        assert re.search(rf"(?m)^## {heading}\b", prose), heading


@every_notebook
def test_each_exercise_is_an_empty_cell_and_a_hidden_solution(path):
    cells = read_cells(path)
    starts = [i for i, cell in enumerate(cells)
              if cell["source"].strip().startswith("# Your turn")]
    solutions = [i for i, cell in enumerate(cells) if is_solution(cell)]
    assert len(starts) >= 4
    assert [start + 1 for start in starts] == solutions
    for i in solutions:
        assert cells[i]["metadata"]["jupyter"]["source_hidden"] is True
        assert cells[i - 2]["cell_type"] == "markdown"


@every_notebook
def test_questions_have_an_answer_folded_away(path):
    questions = [cell["source"] for cell in read_cells(path) if "<details>" in cell["source"]]
    assert len(questions) >= 3
    for question in questions:
        assert re.search(r"(?m)^\*\*\d+\. ", question)
        asked, answer = question.split("<details>\n<summary>Answer</summary>\n\n")
        options = re.findall(r"(?m)^\((\w)\) ", asked)
        assert options == list("abcde"[:len(options)]) and len(options) >= 3
        assert re.match(r"\*\*\((\w)\)\*\*", answer)[1] in options
        assert answer.endswith("\n\n</details>")


@every_notebook
def test_no_solution_defines_a_name_that_is_used_later(path):
    cells = [cell for cell in read_cells(path) if cell["cell_type"] == "code"]
    for i, cell in enumerate(cells):
        if is_solution(cell):
            defined = names_defined(code_of(cell))
            for later in cells[i + 1:]:
                assert not defined & names_needed(code_of(later)), later["source"]


def test_the_two_name_finders_know_scopes():
    code = "import a.b\nx = [i for i in y]\ndef f(p):\n    q = p\n    return z + q\nw += 1"
    assert names_defined(code) == {"a", "x", "f", "w"}
    assert {"y", "z"} <= names_needed(code)
    assert not {"i", "p", "q"} & names_needed(code)


def parse(path):
    return BeautifulSoup(path.read_text(encoding="utf8"), "html.parser")


@pytest.fixture(scope="module")
def soups(site):
    return {page: parse(site / page) for page in site_pages()}


@pytest.fixture(scope="module")
def anchors(soups):
    """The places of each page that a link may point to."""
    return {page: {tag.get("id") for tag in soup.find_all(id=True)}
            | {tag["name"] for tag in soup.find_all("a", attrs={"name": True})}
            for page, soup in soups.items()}


def test_the_site_has_all_pages(site):
    pages = set(site_pages())
    wanted = {f"notebooks/{path.stem}.html" for path in NOTEBOOKS}
    wanted |= {f"{path.stem}.html" for path in (ROOT / "book").glob("*.md")}
    assert wanted | {"genindex.html", "search.html"} <= pages


@every_page
def test_internal_links_resolve(page, soups, anchors):
    for tag in soups[page].find_all("a", href=True):
        url = urlsplit(tag["href"])
        if url.scheme or url.netloc or (not url.path and url.fragment in ("", "top")):
            continue
        target = (SITE / page).parent / unquote(url.path) if url.path else SITE / page
        assert target.resolve().is_file(), tag["href"]
        name = target.resolve().relative_to(SITE).as_posix()
        if url.fragment and name in anchors:
            assert unquote(url.fragment) in anchors[name], tag["href"]


@every_page
def test_every_picture_exists_and_says_what_it_shows(page, soups):
    for tag in soups[page].find_all("img"):
        group = tag.find_parent(role="img")         # pictures that are described together
        if group is not None and group["aria-label"].strip():
            continue
        link = tag.find_parent("a")                     # a picture beside the text of its link
        if link is not None and link.get_text().strip() and tag.get("alt") == "":
            continue
        assert tag.get("alt", "").strip(), f"no alt text: {str(tag)[:120]}"
        assert not re.fullmatch(r"[\w./-]+\.(png|svg|jpe?g)|image|figure", tag["alt"]), tag["alt"]
        if not tag["src"].startswith("data:"):
            assert (Path(SITE / page).parent / unquote(tag["src"])).is_file(), tag["src"]
    for figure in soups[page].find_all("figure"):
        assert figure.find(["img", "svg", "table", "video"]), str(figure)[:120]
    for drawing in soups[page].find_all(role="img"):
        assert drawing.get("aria-label", "").strip() or drawing.find("title"), str(drawing)[:120]


@every_page
def test_nothing_is_loaded_from_other_sites(page, soups):
    for tag in soups[page].find_all(["script", "img", "link", "iframe", "source", "video"]):
        address = tag.get("src") or tag.get("href") or ""
        if tag.name == "link" and tag.get("rel") == ["canonical"]:
            continue
        assert not urlsplit(address).netloc, str(tag)[:160]


@pytest.mark.parametrize("path", sorted((ROOT / "book").glob("*.md")), ids=lambda path: path.stem)
def test_pages_quote_only_numbers_of_the_ledger(path):
    results = json.loads((ROOT / RESULTS).read_text(encoding="utf8"))
    for key in re.findall(r"\{(?:result|interval)\}`([^`:]+)", path.read_text(encoding="utf8")):
        assert key in results


def test_the_ledger_page_lists_every_number(soups):
    results = json.loads((ROOT / RESULTS).read_text(encoding="utf8"))
    listed = {tag.get_text() for tag in soups["ledger.html"].select(".mmfuse-ledger td code")}
    assert listed == set(results)
