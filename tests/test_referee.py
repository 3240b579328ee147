"""The referee that stays: what the book says of numbers follows from the ledger.

The executed notebooks and the pages are walked; each test names the places that break its rule.
"""

import ast
import json
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
import yaml
from collect import PAGES as OTHER_PAGES
from collect import RESULTS
from conftest import ROOT
from execute import EXECUTED

from mmfuse_utils.ledger import MIME, VERDICT_MIME

pytestmark = pytest.mark.book

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAGES = [*sorted((ROOT / "book").glob("*.md")), ROOT / "README.md"]
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
every_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)

SCORE = re.compile(r"\b(hit\d+|accuracy|wordsim353|simlex999)\b")
DIFFERENCE = re.compile(r"(gain|change|loss|gap|lead|worth|leak|less_data|climb|over_words)")
CONTROL = (".random", ".blind")
# What may stand in prose as a typed percentage: levels, settings, and examples that say so.
EXEMPT = re.compile(
    r"\b95 (%|percent)|\b100 ?%|\b0 %|"                             # the level of intervals; all
    r"(at the|in|at most|least|of|than) 5 %( level)?|"              # the level of tests
    r"\b80 %( for training and 20 %)?|"                             # power, and shares of a split
    r"(recall of|more than|finds|nearest|best) \d+ %")              # settings that the text gives


@pytest.fixture(scope="module")
def results():
    """The ledger of the built book, by key."""
    if not (ROOT / RESULTS).exists():
        pytest.fail("There is no ledger; run `make book` (or `make test`) first.")
    return json.loads((ROOT / RESULTS).read_text(encoding="utf8"))


def executed(path):
    """Cells of a notebook's executed copy."""
    return json.loads((ROOT / EXECUTED / path.name).read_text(encoding="utf8"))["cells"]


def payloads(path, mime):
    """What the cells of an executed notebook displayed under a type."""
    return [output["data"][mime] for cell in executed(path)
            for output in cell.get("outputs", []) if mime in output.get("data", {})]


def sources(path, kind):
    """Sources of a notebook's cells of one kind."""
    cells = json.loads(path.read_text(encoding="utf8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == kind]


# The ledger

def is_score(key):
    """Whether a key names how well something does, and not a difference of two such numbers."""
    return bool(SCORE.search(key.replace("_", " "))) and not DIFFERENCE.search(key)


def test_the_two_kinds_of_keys_are_told_apart():
    assert is_score("fusion.strict.t2i.hit10") and is_score("video.motion.accuracy.blind")
    assert not is_score("joint.attention_gain.accuracy") and not is_score("math.kl.raw")


def test_no_part_of_a_key_begins_with_a_digit(results):
    """The page's own scripts look places up by their key, and could not."""
    assert [key for key in results if not key.startswith("time.") and re.search(r"\.\d", key)] == []


def test_every_number_has_an_interval_or_says_why_not(results):
    assert [key for key, entry in results.items()
            if not (entry["interval"] or entry["exact"])] == []


def test_every_score_stands_beside_chance_and_a_control(results):
    bare = [key for key, entry in results.items() if is_score(key) and (
        entry["chance"] is None or not (entry["control"] or key.endswith(CONTROL)))]
    assert bare == []


def test_every_control_is_in_the_ledger_and_named_as_one(results):
    named = {entry["control"] for entry in results.values() if entry["control"]}
    keys = {control for control in named if " " not in control}
    assert {key for key in keys if key not in results or not key.endswith(CONTROL)} == set()
    assert len(keys) > 10


def test_every_number_has_a_meaning_and_every_meaning_a_number(results):
    meanings = yaml.safe_load((ROOT / "book" / "ledger.yml").read_text(encoding="utf8"))
    assert set(meanings) == {key for key in results if not key.startswith("time.")}
    assert [key for key, meaning in meanings.items()
            if not re.fullmatch(r"[A-Z0-9].{20,}\.", str(meaning), re.DOTALL)] == []


def test_recorded_numbers_come_from_a_benchmark_of_that_day(results):
    dates = {found for path in (ROOT / "benchmarks").glob("*.json")
             for found in re.findall(r'"date": "([\d-]+)"', path.read_text(encoding="utf8"))}
    recorded = {entry["recorded"] for entry in results.values() if entry["recorded"]}
    assert recorded and recorded <= dates


# Verdicts

def beyond(part):
    """The state of a part, worked out anew: 1 shown, -1 refuted, 0 open."""
    ends = part["interval"] or [part["value"]] * 2
    if part["p"] is not None and part["p"] > 0.05:
        return 0
    signs = {int(np.sign(end - part["limit"])) for end in ends}
    if part["interval"] is None and signs == {0}:
        signs = {1 if part["side"] == "below" else -1}       # an exact tie does not lie beyond
    sign = signs.pop() if len(signs) == 1 else 0
    return sign if part["side"] == "above" else -sign


def outcome(parts):
    """The rule of the page that explains verdicts, in other words than the package's."""
    states = [beyond(part) for part in parts]
    if all(state == 1 for state in states):
        return "holds"
    if -1 in states:
        return "half true" if 1 in states else "fails"
    return "not shown"


@every_notebook
def test_every_outcome_follows_from_its_numbers(path):
    verdicts = payloads(path, VERDICT_MIME)
    assert len(verdicts) >= 2
    for verdict in verdicts:
        assert verdict["parts"], verdict["claim"]
        assert outcome(verdict["parts"]) == verdict["outcome"], verdict["claim"]


def test_the_worked_out_outcome_contradicts_where_it_should():
    part = {"value": 0.02, "interval": [-0.01, 0.05], "limit": 0.0, "side": "above", "p": None}
    assert outcome([part]) == "not shown"
    assert outcome([part | {"interval": [0.01, 0.05]}]) == "holds"
    assert outcome([part | {"interval": [0.01, 0.05], "p": 0.06}]) == "not shown"
    assert outcome([part | {"interval": None, "value": 0.0, "side": "below"}]) == "fails"


# Recorded numbers say so

SCOPES = (ast.FunctionDef, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def names_in(node):
    """Names that a piece of code takes from outside: not its parameters, loops and locals."""
    names = {item.id for item in ast.walk(node) if isinstance(item, ast.Name)}
    inner = [item for item in ast.walk(node) if isinstance(item, SCOPES)]
    bound = {arg.arg for scope in inner for arg in ast.walk(scope) if isinstance(arg, ast.arg)}
    return names - bound - {item.id for scope in inner for item in ast.walk(scope)
                            if isinstance(item, ast.Name) and isinstance(item.ctx, ast.Store)}


def steps(tree):
    """The statements of a cell that set names for the cells after it."""
    for node in ast.iter_child_nodes(tree):
        yield node
        if not isinstance(node, SCOPES):
            yield from steps(node)


def assigned(node):
    """Names that a statement sets, and the code that decides what they are."""
    if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign | ast.NamedExpr):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return {name for target in targets for name in names_in(target)}, node.value or node
    if isinstance(node, ast.For):
        return names_in(node.target), node.iter
    if isinstance(node, ast.FunctionDef):
        return {node.name}, node
    return set(), node


def from_benchmarks(trees):
    """Names whose values come from a recorded JSON, directly or through others."""
    nodes = [node for tree in trees for node in steps(tree)]
    names = {name for node in nodes if isinstance(node, ast.Assign)
             and "json.loads" in ast.unparse(node) for name in assigned(node)[0]}
    while True:
        more = {name for node in nodes for name in assigned(node)[0]
                if names & names_in(assigned(node)[1])}
        if more <= names:
            return names
        names |= more


def unmarked(code_cells):
    """Calls of record, above and below that take a recorded number and do not say so."""
    trees = [ast.parse(re.sub(r"(?m)^\s*[%!].*$", "", code)) for code in code_cells]
    names = from_benchmarks(trees)
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)
             and isinstance(node.func, ast.Name) and node.func.id in ("record", "above", "below")]
    return [ast.unparse(call)[:100] for call in calls
            if "recorded" not in {keyword.arg for keyword in call.keywords}
            and any(names & names_in(value) for value in call.args[1:3])]


@every_notebook
def test_recorded_numbers_are_marked_in_ledger_and_verdicts(path):
    code = sources(path, "code")
    if any("json.loads" in cell and "benchmarks" in "".join(code) for cell in code):
        assert unmarked(code) == []


def test_the_finder_of_recorded_numbers_follows_names():
    code = ["x = json.loads(text)\ndef f(k):\n    return x[k]\ny = 2 * f('a')", "record('a.b', y)",
            "record('a.c', 3)", "record('a.d', f('b'), recorded=x['date'])",
            "def g(y):\n    z = y\n    return z\nz = [y for y in (1, 2)]\nrecord('a.e', g(z))"]
    assert unmarked(code) == ["record('a.b', y)"]


@every_page
def test_pages_say_which_numbers_were_recorded(path, results):
    text = path.read_text(encoding="utf8")
    for block in re.split(r"\n\s*\n(?!\{)|\n:::\n", text):
        keys = re.findall(r"\{(?:result|interval)\}`([^`:]+)", block)
        dates = {results[key]["recorded"] for key in re.findall(r"\{recorded\}`([^`]+)`", block)}
        for key in keys:
            day = results[key]["recorded"]
            assert day is None or day in dates, f"{key} was recorded; say so with {{recorded}}"


# Numbers in prose

def typed(text):
    """Percentages typed by hand in a text, apart from those exempt."""
    text = re.sub(r'<span class="mmfuse-quoted">.*?</span>', "", text, flags=re.DOTALL)
    text = re.sub(r"\{\w+\}`[^`]*`", "", text)
    if re.search(r"made[- ]up|<details>", text, re.IGNORECASE):
        return []
    return [text[max(0, found.start() - 40):found.end() + 10]
            for found in re.finditer(r"\d+([.,]\d+)*\s?(%|percent\b)", text)
            if not any(exempt.start() < found.end() and found.start() < exempt.end()
                       for exempt in EXEMPT.finditer(text))]


def strings(code):
    """Text that a cell writes out: its constants, without formats and comments."""
    tree = ast.parse(re.sub(r"(?m)^\s*[%!].*$", "", code))
    formats = {id(item) for node in ast.walk(tree) if isinstance(node, ast.FormattedValue)
               and node.format_spec for item in ast.walk(node.format_spec)}
    return [re.sub(r"\{[^}]*\}", "", node.value) for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
            and id(node) not in formats]


@every_notebook
def test_no_percentage_in_a_notebook_is_typed(path):
    prose = sources(path, "markdown")
    prose += [text for code in sources(path, "code") for text in strings(code)]
    assert [place for text in prose for place in typed(text)] == []


@every_page
def test_no_percentage_on_a_page_is_typed(path):
    paragraphs = re.split(r"\n\s*\n", path.read_text(encoding="utf8"))
    assert [place for text in paragraphs for place in typed(text)] == []


def test_the_finder_of_typed_percentages_finds_them():
    assert len(typed("It finds 37.5 % of them, and 12 percent of those.")) == 2
    assert typed("a 95 % interval; {result}`a.b:.1%`; a made-up 40 %") == []
    assert typed('<span class="mmfuse-quoted">37 % (Frome)</span>') == []
    code = "x = f'{y:.1%} or 40 %' + '{:.1%}'.format(y)    # 30 %"
    assert [len(typed(text)) for text in strings(code)] == [1, 0]


@pytest.mark.parametrize("path", [*NOTEBOOKS, *PAGES], ids=lambda path: path.stem)
def test_percentages_keep_a_decimal(path):
    """Rounded to whole percents, 36.5 and 37.5 would look two points apart."""
    assert re.findall(r".{0,40}:\+?\.0%", path.read_text(encoding="utf8")) == []


@every_notebook
def test_no_negative_zero_is_printed(path):
    shown = [text for cell in executed(path) for output in cell.get("outputs", [])
             for mime in ("text/markdown", "text/html", "text/plain")
             for text in ["".join(output.get("data", {}).get(mime, ""))]]
    assert [text[:200] for text in shown if re.search(r"(?<![\d.\w])-0\.0+(?![\d])", text)] == []


# The picture of the first page

def test_the_readme_shows_the_picture_that_the_build_makes():
    """`python tools/hero.py book/_static` draws it anew."""
    built = plt.imread(ROOT / "_build" / "source" / "_static" / "hero.png")
    kept = plt.imread(ROOT / "book" / "_static" / "hero.png")
    assert built.shape == kept.shape
    assert np.abs(built - kept).mean() < 0.01


def test_the_ledger_was_collected_from_the_executed_notebooks(results):
    keys = {entry["key"] for path in NOTEBOOKS for entry in payloads(path, MIME)}
    for path in OTHER_PAGES.values():
        keys |= {entry["key"] for entry in json.loads((ROOT / path).read_text("utf8"))["ledger"]}
    assert keys == {key for key in results if not key.startswith("time.")}
