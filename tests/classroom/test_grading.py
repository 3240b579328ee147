"""A class hands in: good work, honest mistakes and attacks, graded as `make grade` does."""

import os
import shutil
import socket
import zipfile

import nbformat
import psutil
import pytest
from assignments import SOURCES, grading, is_picture, list_assignments
from bs4 import BeautifulSoup
from clock import CELL_SECONDS, SECONDS
from conftest import ROOT
from feedback import BY_HAND
from handed_in import (BREAK, COURSE, DELETE, ENVIRONMENT, FIRST, FORK, MEMORY, OPEN_FILES, PRINT,
                       SEEK, SPY, STUBBORN, begin_with, disarmed, edited, improved, points,
                       released, right_answer, run_grading, save, solved, strange, stripped,
                       switched_off)
from sandbox import KERNEL

pytestmark = pytest.mark.book

SECRET = "planted-secret-1234"
SLOW = ("forks", "loops", "memory", "stubborn", "warns")    # half a minute each, or nothing new
every_assignment = pytest.mark.parametrize("name", list_assignments())


def hand_in(folder, port, without=()):
    """Write a class's work; returns {student: (points, part of the note or "")}."""
    here = {"folder": str(folder), "source": str(SOURCES / f"{FIRST}.ipynb"), "port": port}
    full, second = points(), points(without=["task2"])
    elsewhere = solved()
    elsewhere.metadata["mmfuse_course"] = "-".join(["0123456789abcdef"] * 2)
    work = {
        "asks": (begin_with(ENVIRONMENT, solved(task2=ENVIRONMENT)), second, ""),
        "breaks": (begin_with(BREAK.format(harm=SEEK)), 0, "stopped while your code ran"),
        "edited": (edited(), 0, "No task is answered yet"),
        "elsewhere": (elsewhere, None, "belongs to a course that was not made here"),
        "exits": (begin_with("import os\nos._exit(0)"), 0, "Python ended"),
        "deletes": (begin_with(DELETE.format(**here)), full, ""),
        "disarms": (disarmed(), 0, ""),
        "forks": (begin_with(FORK), full, ""),
        "imports": (solved(task2="import sklearn\n" + right_answer("task2")), second, ""),
        "improved": (improved(), full, ""),
        "loops": (solved(task2="while True:\n    pass"), second, ""),
        "memory": (begin_with(MEMORY), full, ""),
        "opens": (solved(task2=OPEN_FILES + right_answer("task2")), full, ""),
        "prints": (begin_with(PRINT), full, ""),
        "spies": (solved(task2=SPY.format(**here) + right_answer("task2")), full, ""),
        "strange": (strange(), full, ""),
        "stars": (begin_with("from numpy import *", solved(task2=right_answer("task2").replace(
            "of_noise.sum()", "sum(of_noise, axis=0)"))), full, ""),
        "stripped": (stripped(), full, ""),
        "stubborn": (begin_with(STUBBORN), 0, "did not stop when it was told to"),
        "untouched": (released(), 0, "No task is answered yet"),
        "switches": (switched_off(), 0, "Python ended"),
        "warns": (begin_with("from math import tau\nimport sys\n"
                             "print('careful', file=sys.stderr)"), full, ""),
    }
    broken = {"empty": (b"", "is empty"), "paper": (b"%PDF-1.7", "not a Jupyter notebook"),
              "nested": (b"[" * 10**5, "not a Jupyter notebook")}
    work = {student: of for student, of in work.items() if student not in without}
    for student, (notebook, *_) in work.items():
        save(notebook, folder, student)
    for student, (content, _) in broken.items():
        (folder / f"{student}_{FIRST}-1.ipynb").write_bytes(content)
    return ({student: (wanted, part) for student, (_, wanted, part) in work.items()}
            | {student: (0, part) for student, (_, part) in broken.items()})


@pytest.fixture(scope="module")
def listener():
    """A server on this machine that counts who calls."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


@pytest.fixture(scope="module", params=["by me", "by somebody"])
def graded(request, tmp_path_factory, listener):
    """A class, graded: (folder, what was expected, rows of the table by student).

    Where this is root, a smaller one is graded once more by a user who has no rights.
    """
    if request.param == "by somebody" and os.getuid() != 0:
        pytest.skip("optional: an ordinary user has graded the class already")
    folder = tmp_path_factory.mktemp("class") / "week1"
    folder.mkdir()
    somebody = folder.parent if request.param == "by somebody" else None
    expected = hand_in(folder, listener.getsockname()[1], SLOW if somebody else ())
    (folder / "precious.txt").write_text("whole")
    rows = run_grading(folder, ordinary=somebody, CANVAS_TOKEN=SECRET)
    return folder, expected, {student: row for (student, _), row in rows.items()}


def test_everyone_gets_the_points_they_should(graded):
    _, expected, rows = graded
    assert {student: row["points"] for student, row in rows.items()} == {
        student: "" if points is None else f"{points:g}"
        for student, (points, _) in expected.items()}


def test_the_table_says_what_was_wrong(graded):
    _, expected, rows = graded
    for student, (_, part) in expected.items():
        note = rows[student]["note"].removesuffix(BY_HAND).strip()
        assert (part in note) if part else note == "", student


def test_attacks_reach_nothing(graded, listener):
    folder, expected, rows = graded
    assert (folder / "precious.txt").read_text() == "whole"
    assert not (folder / "new.txt").exists()
    assert len(list(folder.iterdir())) == len(expected) + 1
    with pytest.raises(BlockingIOError):
        listener.accept()
    assert not [process for process in psutil.process_iter(["cmdline"])
                if str(KERNEL) in (process.info["cmdline"] or [])]
    pages = list((folder.with_name("week1-graded") / "feedback").rglob("*.html"))
    assert len(pages) == len(rows)
    for page in pages:          # no points on the page of who was not graded
        shown = "of 36 points" in page.read_text(encoding="utf8")
        assert shown == bool(rows[page.parent.name]["points"]), page
    told = "".join(page.read_text(encoding="utf8") for page in pages)
    assert "SOLUTION" not in told and SECRET not in told


def test_feedback_shows_the_message_of_each_test_that_failed(graded):
    folder, _, rows = graded
    page = folder.with_name("week1-graded") / "feedback" / "imports" / f"{FIRST}.html"
    text = BeautifulSoup(page.read_text(encoding="utf8"), "html.parser").get_text(" ", strip=True)
    assert "sklearn is not available when work is graded" in text
    assert f"{float(rows['imports']['points']):g} of 36 points" in text


SCRATCH = """
from numpy import *
data = load = close = same = holds = refuses = None
class tuple: pass
sum, max, list, isinstance, float, AssertionError = 0, 3, [1], None, "x", KeyError
"""


@pytest.fixture(scope="module")
def by_nbgrader(tmp_path_factory):
    """Each assignment solved, tampered with, and solved beside a scratch cell, graded from a zip
    file: rows of the table."""
    folder = tmp_path_factory.mktemp("whole") / "course"
    for name in list_assignments():
        for student, notebook in (("solved", solved(name)), ("tampered", edited(name)),
                                  ("scratch", begin_with(SCRATCH, solved(name)))):
            save(notebook, folder / student, "homework", name)
    shutil.make_archive(str(folder), "zip", folder.parent, folder.name)
    return run_grading(folder.with_suffix(".zip"))


@every_assignment
def test_nbgrader_gives_the_solution_all_points_and_the_others_none(name, by_nbgrader):
    rows = {student: row for (student, of), row in by_nbgrader.items() if of == name}
    assert {student: float(row["points"]) for student, row in rows.items()} == {
        "solved": 30, "tampered": 0, "scratch": 30}
    assert rows["solved"]["note"] == BY_HAND
    assert "No task is answered yet" in rows["tampered"]["note"]


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
        assert {entry.split("/")[1] for entry in file.namelist()} == {
            "README.txt", f"{name}.ipynb", f"{name}.npz", "classroom.py", "expected",
            "licenses.txt"}
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
    assert len(pictures) == len([cell for cell in cells if cell.cell_type == "code"
                                 and grading(cell).get("solution")])
    for i in pictures:
        attached = cells[i - 1].attachments["expected.png"]["image/png"]
        assert len(attached) > 1000 and len(cells[i].metadata.mmfuse.alt) > 30


def test_guide_names_every_assignment_and_the_limits():
    guide = (ROOT / "book" / "teaching.md").read_text(encoding="utf8")
    assert [name for name in list_assignments() if f"`{name}` |" not in guide] == []
    assert "A cell may run for half a minute and a whole\nsubmission for two;" in guide
    assert (CELL_SECONDS, SECONDS) == (30, 120)
