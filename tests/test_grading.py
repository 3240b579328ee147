"""A class hands in: good work, honest mistakes and attacks, graded as `make grade` does."""

import csv
import json
import os
import shutil
import socket
import subprocess
import sys
import zipfile

import nbformat
import psutil
import pytest
from assignments import COURSES, DEFAULT_COURSE, SOURCES, grading, list_assignments
from bs4 import BeautifulSoup
from conftest import ROOT
from sandbox import KERNEL, bubblewrap_works

pytestmark = pytest.mark.book

COURSE = COURSES / DEFAULT_COURSE
FIRST = list_assignments()[0]
STOP = "raise NotImplementedError"


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
    """Nothing solved, errors hidden, and checks that always agree."""
    return begin_with("get_ipython().set_custom_exc((Exception,), lambda *a, **k: None)\n"
                      "import classroom\n"
                      "classroom.close = classroom.same = classroom.holds = lambda *a, **k: None",
                      released())


def edited():
    """Nothing solved; tests emptied or deleted, and worth a thousand points."""
    notebook = released()
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


def improved():
    """A first answer that is wrong, and below it a copy of the cell that is right."""
    notebook = solved(task1="def nothing():\n    pass")
    right = next(cell for cell in solved().cells if grading(cell).get("grade_id") == "task1")
    place = next(i for i, cell in enumerate(notebook.cells)
                 if grading(cell).get("grade_id") == "task1")
    notebook.cells.insert(place + 1, right)
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
        "exits": (begin_with("import os\nos._exit(0)"), 0, "Python stopped"),
        "deletes": (begin_with(DELETE.format(**here)), full, ""),
        "disarms": (disarmed(), 0, "disarms the tests"),
        "forks": (begin_with(FORK), 0, "120 seconds"),
        "helped": (begin_with("from math import tau"), full, ""),
        "imports": (solved(task2="import sklearn\n" + released_source("task2")), second, ""),
        "improved": (improved(), full, ""),
        "loops": (solved(task2="while True:\n    pass"), second, ""),
        "memory": (begin_with(MEMORY), full, ""),
        "prints": (begin_with(PRINT), full, ""),
        "spies": (solved(task2=SPY.format(**here) + released_source("task2")), full, ""),
        "strange": (strange(), full, ""),
        "stubborn": (begin_with(STUBBORN), 0, "120 seconds"),
        "syntax": (solved(task2="def (:"), second, ""),
        "untouched": (released(), 0, "No task is answered yet"),
        "warns": (begin_with("import sys\nprint('careful', file=sys.stderr)"), full, ""),
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


@pytest.fixture(scope="module")
def graded(tmp_path_factory, listener):
    """Grade the class with the command; gives (folder, what was expected, rows of the table)."""
    if not bubblewrap_works():
        pytest.skip("bubblewrap is not installed here, so no attack was tried")
    folder = tmp_path_factory.mktemp("class") / "week1"
    folder.mkdir()
    expected = hand_in(folder, listener.getsockname()[1])
    (folder / "precious.txt").write_text("whole")
    run = subprocess.run([sys.executable, str(ROOT / "tools" / "grade.py")], cwd=ROOT,
                         env=dict(os.environ, SUBMISSIONS=str(folder)), encoding="utf8",
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print(run.stdout)
    assert run.returncode == 0, run.stdout
    with (folder.with_name("week1-graded") / "grades.csv").open(encoding="utf-8-sig") as file:
        return folder, expected, {row["student"]: row for row in csv.DictReader(file)}


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
