"""A class hands in: good work, honest mistakes and attacks, graded as `make grade` does."""

import csv
import json
import os
import socket
import subprocess
import sys
import zipfile

import nbformat
import psutil
import pytest
from assignments import COURSES, DEFAULT_COURSE, SOURCES, grading, is_picture, list_assignments
from bs4 import BeautifulSoup
from conftest import ROOT
from grade import GRADE_ONE, check_course, choose_isolation, find_submissions
from grade_one import CELL_SECONDS, SECONDS
from sandbox import KERNEL, bubblewrap_works

pytestmark = pytest.mark.book

COURSE = COURSES / DEFAULT_COURSE
FIRST = list_assignments()[0]
every_assignment = pytest.mark.parametrize("name", list_assignments())


def released(name=FIRST):
    return nbformat.read(COURSE / "nbgrader" / "release" / name / f"{name}.ipynb", as_version=4)


def solved(name=FIRST, **changed):
    """The released notebook with the solutions in it, some of them changed: task1="…"."""
    solutions = nbformat.read(SOURCES / f"{name}.ipynb", as_version=4).cells
    right = {grading(cell).get("grade_id"): cell.source for cell in solutions
             if grading(cell).get("solution")}
    notebook = released(name)
    for cell in notebook.cells:
        key = grading(cell).get("grade_id")
        if key in right:
            cell.source = changed.get(key, right[key])
    return notebook


def points(name=FIRST, without=()):
    """Points of an assignment for all tests but those whose names begin with one of `without`."""
    return sum(grading(cell)["points"] for cell in released(name).cells
               if grading(cell).get("grade")
               and not grading(cell)["grade_id"].startswith(tuple(without) or "-"))


def begin_with(code, notebook=None):
    """A notebook, solved unless given, with a cell of the student's own before task 1."""
    notebook = notebook or solved()
    place = next(i for i, cell in enumerate(notebook.cells)
                 if grading(cell).get("grade_id") == "task1")
    notebook.cells.insert(place, nbformat.v4.new_code_cell(code))
    return notebook


def disarmed():
    """Every answer is nonsense, errors are hidden, and checks always agree."""
    notebook = released()
    for cell in notebook.cells:
        if grading(cell).get("solution"):
            cell.source = cell.source.replace("raise NotImplementedError", "return str")
    return begin_with("get_ipython().set_custom_exc((Exception,), lambda *a, **k: None)\n"
                      "import classroom\n"
                      "classroom.close = classroom.same = classroom.holds = lambda *a, **k: None",
                      notebook)


def switched_off():
    """The same, and a cell at the end that ends Python before anybody looks."""
    notebook = disarmed()
    notebook.cells.append(nbformat.v4.new_code_cell("import os\nos._exit(0)"))
    return notebook


def edited(name=FIRST):
    """Nothing solved; tests emptied or deleted, and worth a thousand points."""
    notebook = released(name)
    tests = [cell for cell in notebook.cells if grading(cell).get("grade")]
    for cell in tests:
        cell.source, grading(cell)["points"] = "pass", 1000
    notebook.cells = [cell for cell in notebook.cells if cell not in tests[::2]]
    return notebook


def strange():
    """Solved, with metadata that no program writes, and the cells in another order."""
    notebook = begin_with("1 + 1")
    notebook.cells[0].metadata["nbgrader"] = {"grade_id": ["setup"], "points": "many"}
    notebook.cells.reverse()
    return notebook


def stripped():
    """Solved, with all metadata of the cells lost, as some programs save notebooks."""
    notebook = solved()
    for cell in notebook.cells:
        cell.metadata = {}
    return notebook


def improved():
    """A first answer that is wrong, and below it a copy of the cell that is right."""
    notebook = solved(task1="def nothing():\n    pass")
    right = next(cell for cell in solved().cells if grading(cell).get("grade_id") == "task1")
    place = next(i for i, cell in enumerate(notebook.cells)
                 if grading(cell).get("grade_id") == "task1")
    notebook.cells.insert(place + 1, nbformat.v4.new_code_cell(right.source,
                                                               metadata=right.metadata))
    return notebook


DELETE = """
import os, shutil
for folder in ("/", os.path.expanduser("~"), os.getcwd(), {folder!r}):
    shutil.rmtree(folder, ignore_errors=True)
for path in ({folder!r} + "/precious.txt", {folder!r} + "/new.txt", "big.bin"):
    try:
        open(path, "w").write("x" * 10**6)
    except OSError:
        pass
"""
SPY = """
import glob, socket
found = []
for path in glob.glob({folder!r} + "/**", recursive=True) + [{source!r}]:
    try:
        found.append(open(path).read())
    except OSError:
        pass
try:
    socket.create_connection(("127.0.0.1", {port}), timeout=2).close()
    found.append("network")
except OSError:
    pass
assert not found, str(found)[:500]
"""
PRINT = "print('x' * 10**9)\nwhile True:\n    print('y' * 10**5)"
FORK = "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass"
MEMORY = "wall = []\nwhile True:\n    wall.append(bytearray(10**8))"
STUBBORN = """
while True:
    try:
        while True:
            pass
    except BaseException:
        pass
"""


def hand_in(folder, port):
    """Write the class's work; returns {student: (points, part of the note or "")}."""
    here = {"folder": str(folder), "source": str(SOURCES / f"{FIRST}.ipynb"), "port": port}
    full, second = points(), points(without=["task2"])
    work = {
        "edited": (edited(), 0, "No task is answered yet"),
        "exits": (begin_with("import os\nos._exit(0)"), 0, "Python ended"),
        "deletes": (begin_with(DELETE.format(**here)), full, ""),
        "disarms": (disarmed(), 0, "disarms the tests"),
        "forks": (begin_with(FORK), 0, "120 seconds"),
        "imports": (solved(task2="import sklearn\n" + released_source("task2")), second, ""),
        "improved": (improved(), full, ""),
        "loops": (solved(task2="while True:\n    pass"), second, ""),
        "memory": (begin_with(MEMORY), full, ""),
        "prints": (begin_with(PRINT), full, ""),
        "spies": (solved(task2=SPY.format(**here) + released_source("task2")), full, ""),
        "strange": (strange(), full, ""),
        "stripped": (stripped(), full, ""),
        "stubborn": (begin_with(STUBBORN), 0, "120 seconds"),
        "untouched": (released(), 0, "No task is answered yet"),
        "switches": (switched_off(), 0, "disarms the tests"),
        "warns": (begin_with("from math import tau\nimport sys\n"
                             "print('careful', file=sys.stderr)"), full, ""),
    }
    broken = {"empty": (b"", "is empty"), "paper": (b"%PDF-1.7", "not a Jupyter notebook"),
              "nested": (b"[" * 10**5, "not a Jupyter notebook")}
    for student, (notebook, *_) in work.items():
        (folder / student).mkdir()
        nbformat.write(notebook, folder / student / f"{FIRST}.ipynb")
    for student, (content, _) in broken.items():
        (folder / f"{student}_{FIRST}-1.ipynb").write_bytes(content)
    return ({student: (wanted, part) for student, (_, wanted, part) in work.items()}
            | {student: (0, part) for student, (_, part) in broken.items()})


def released_source(key):
    """The right answer to a task of the first assignment."""
    return next(cell.source for cell in solved().cells if grading(cell).get("grade_id") == key)


@pytest.fixture(scope="module")
def listener():
    """A server on this machine that counts who calls."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def run_grading(folder):
    """Grade a folder with the command; rows of the table by (student, assignment)."""
    if not bubblewrap_works():
        pytest.skip("bubblewrap does not work here, so no submission was graded")
    run = subprocess.run([sys.executable, str(ROOT / "tools" / "classroom" / "grade.py")], cwd=ROOT,
                         env=dict(os.environ, SUBMISSIONS=str(folder)), encoding="utf8",
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print(run.stdout)
    assert run.returncode == 0, run.stdout
    table = folder.with_name(f"{folder.name}-graded") / "grades.csv"
    with table.open(encoding="utf-8-sig", newline="") as file:
        return {(row["student"], row["assignment"]): row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def graded(tmp_path_factory, listener):
    """A class of twenty, graded: (folder, what was expected, rows of the table by student)."""
    folder = tmp_path_factory.mktemp("class") / "week1"
    folder.mkdir()
    expected = hand_in(folder, listener.getsockname()[1])
    (folder / "precious.txt").write_text("whole")
    return folder, expected, {student: row for (student, _), row in run_grading(folder).items()}


def test_everyone_gets_the_points_they_should(graded):
    _, expected, rows = graded
    assert len(rows) == 20
    assert {student: float(row["points"]) for student, row in rows.items()} == {
        student: points for student, (points, _) in expected.items()}


def test_the_table_says_what_was_wrong(graded):
    _, expected, rows = graded
    for student, (_, part) in expected.items():
        assert (part in rows[student]["note"]) if part else rows[student]["note"] == "", student


def test_attacks_reach_nothing(graded, listener):
    folder, expected, rows = graded
    assert (folder / "precious.txt").read_text() == "whole"
    assert not (folder / "new.txt").exists()
    assert len(list(folder.iterdir())) == len(expected) + 1
    with pytest.raises(BlockingIOError):
        listener.accept()
    assert not [process for process in psutil.process_iter(["cmdline"])
                if str(KERNEL) in (process.info["cmdline"] or [])]
    pages = list(folder.with_name("week1-graded").rglob("*.html"))
    assert len(pages) == len(rows)
    assert not any("SOLUTION" in page.read_text(encoding="utf8") for page in pages)


def test_feedback_shows_the_message_of_each_test_that_failed(graded):
    folder, _, rows = graded
    page = folder.with_name("week1-graded") / "feedback" / "imports" / f"{FIRST}.html"
    text = BeautifulSoup(page.read_text(encoding="utf8"), "html.parser").get_text(" ", strip=True)
    assert "sklearn is not available when work is graded" in text
    assert f"{float(rows['imports']['points']):g} of {points():g} points" in text


@pytest.fixture(scope="module")
def by_nbgrader(tmp_path_factory):
    """Each assignment solved, untouched and tampered with, graded: rows of the table."""
    folder = tmp_path_factory.mktemp("whole") / "course"
    for name in list_assignments():
        for student, notebook in (("solved", solved(name)), ("untouched", released(name)),
                                  ("tampered", edited(name))):
            path = folder / student / "homework" / f"{name}.ipynb"
            path.parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(notebook, path)
    return run_grading(folder)


@every_assignment
def test_nbgrader_gives_the_solution_all_points_and_the_others_none(name, by_nbgrader):
    rows = {student: by_nbgrader[student, name] for student in ("solved", "untouched", "tampered")}
    assert {student: float(row["points"]) for student, row in rows.items()} == {
        "solved": 30, "untouched": 0, "tampered": 0}
    assert rows["solved"]["note"] == ""
    assert "No task is answered yet" in rows["untouched"]["note"]


def regions(source, what):
    """Lines between the markers of solutions or hidden tests, without indentation."""
    inside, lines = False, set()
    for line in map(str.strip, source.splitlines()):
        if line in (f"### BEGIN {what}", f"### END {what}"):
            inside = line.startswith("### BEGIN")
        elif inside:
            lines.add(line)
    return lines


@every_assignment
def test_zip_for_students_holds_no_solution_and_no_hidden_test(name):
    secret, shown = set(), ""
    for cell in nbformat.read(SOURCES / f"{name}.ipynb", as_version=4).cells:
        secret |= regions(cell.source, "SOLUTION") | regions(cell.source, "HIDDEN TESTS")
    with zipfile.ZipFile(COURSE / "students" / f"{name}.zip") as file:
        assert {os.path.basename(entry) for entry in file.namelist()} == {
            f"{name}.ipynb", f"{name}.npz", "classroom.py", "licenses.txt"}
        notebook = nbformat.reads(file.read(f"{name}/{name}.ipynb").decode(), as_version=4)
        for cell in notebook.cells:
            assert not cell.get("outputs")
            shown += cell.source + "\n"
        shown += file.read(f"{name}/classroom.py").decode()
    visible = set(map(str.strip, shown.splitlines()))
    # A line may stand in a public test or a picture as well; what students see is not secret.
    public = {line for cell in nbformat.read(SOURCES / f"{name}.ipynb", as_version=4).cells
              for line in map(str.strip, cell.source.splitlines())
              if not (grading(cell).get("solution") or "HIDDEN TESTS" in cell.source)}
    leaked = {line for line in secret & visible if len(line) > 12} - public
    assert "BEGIN SOLUTION" not in shown and "HIDDEN TESTS" not in shown
    assert not leaked


@every_assignment
def test_students_see_the_expected_picture_before_their_own(name):
    cells = released(name).cells
    pictures = [i for i, cell in enumerate(cells) if is_picture(cell)]
    assert len(pictures) == len([cell for cell in cells if grading(cell).get("solution")])
    for i in pictures:
        attached = cells[i - 1].attachments["expected.png"]["image/png"]
        assert len(attached) > 1000 and len(cells[i].metadata.mmfuse.alt) > 30


def test_guide_names_every_assignment_and_the_limits():
    guide = (ROOT / "book" / "teaching.md").read_text(encoding="utf8")
    assert [name for name in list_assignments() if f"| `{name}` |" not in guide] == []
    assert "A cell may run for half a minute and a whole\nsubmission for two;" in guide
    assert (CELL_SECONDS, SECONDS) == (30, 120)


def test_only_a_course_that_was_made_is_graded(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("grade.COURSES", tmp_path)
    monkeypatch.setattr("grade.is_current", lambda course: False)
    with pytest.raises(SystemExit, match="no course vision101.*made so far: none"):
        check_course("vision101")
    (tmp_path / "vision102").mkdir()
    (tmp_path / "vision102" / "course.json").write_text("{}")
    with pytest.raises(SystemExit, match="made so far: vision102"):
        check_course("vision101")
    check_course("vision102")
    assert "graded as it was made" in capsys.readouterr().out


def test_submissions_are_found_in_folders_and_as_learning_platforms_name_them(tmp_path):
    for path in ("ada/deep/a1_skipgram.ipynb", "lovelaceada_41_1815_a1_skipgram-2.ipynb",
                 "bob/A1_skipgram.IPYNB", "bob/again/a1_skipgram.ipynb", "bob/notes.md",
                 "a1_skipgram.ipynb", "ada/.ipynb_checkpoints/a1_skipgram.ipynb",
                 "__MACOSX/ada/a1_skipgram.ipynb", "_.._a1_skipgram.ipynb",
                 "-ada_a1_skipgram.ipynb", "=1+1/a1_skipgram.ipynb"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    (tmp_path / "ida_a1_skipgram.ipynb").symlink_to(tmp_path / "bob" / "A1_skipgram.IPYNB")
    found, strange = find_submissions(tmp_path, ["a1_skipgram"])
    assert sorted(submission.student for submission in found) == [
        "_..", "_1+1", "_ada", "ada", "bob", "bob (again)", "lovelaceada_41_1815"]
    assert sorted(strange) == ["a1_skipgram.ipynb", "bob/notes.md", "ida_a1_skipgram.ipynb"]


@pytest.mark.skipif(sys.platform != "linux", reason="optional: other systems refuse such names")
def test_a_name_that_is_no_text_does_not_stop_the_grading(tmp_path):
    folder = os.fsencode(tmp_path) + b"/Ren\xe9\x1b"
    os.mkdir(folder)
    with open(folder + b"/a1_skipgram.ipynb", "wb"):
        found, _ = find_submissions(tmp_path, ["a1_skipgram"])
    assert [submission.student for submission in found] == ["Ren_"]


def test_a_solution_scores_all_points_without_the_sandbox_as_well(tmp_path):
    nbformat.write(solved(), tmp_path / "solved.ipynb")
    subprocess.run([sys.executable, str(GRADE_ONE), str(COURSE / "nbgrader"), FIRST,
                    str(tmp_path / "solved.ipynb"), str(tmp_path / "result.json"),
                    "--isolation", "none"], check=True)
    tests = json.loads((tmp_path / "result.json").read_text())["tests"]
    assert sum(test["points"] for test in tests) == points()


def test_without_bubblewrap_nothing_is_graded_unless_one_says_so(monkeypatch, capsys):
    monkeypatch.setattr("grade.bubblewrap_works", lambda: False)
    monkeypatch.delenv("ISOLATION", raising=False)
    with pytest.raises(SystemExit, match="apt install bubblewrap"):
        choose_isolation()
    monkeypatch.setenv("ISOLATION", "none")
    assert choose_isolation() == "none"
    assert "with your rights" in capsys.readouterr().out
    monkeypatch.setenv("ISOLATION", "some")
    with pytest.raises(SystemExit, match="bubblewrap or none"):
        choose_isolation()
