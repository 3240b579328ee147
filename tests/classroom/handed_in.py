"""Notebooks as students hand them in: solved, odd, hostile; and the command that grades them."""

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from assignments import COURSES, DEFAULT_COURSE, SOURCES, grading, is_test, list_assignments
from conftest import ROOT
from sandbox import bubblewrap_works

COURSE = COURSES / DEFAULT_COURSE
FIRST = list_assignments()[0]
USER = 54321        # of nobody, who has no rights


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
               if is_test(cell)
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


def right_answer(key):
    """The right answer to a task of the first assignment."""
    return next(cell.source for cell in solved().cells if grading(cell).get("grade_id") == key)


ENVIRONMENT = """
import glob
told = ""
for path in glob.glob("/proc/*/environ") + glob.glob("/proc/*/task/*/environ"):
    try:
        told += open(path).read()
    except OSError:
        pass
raise AssertionError(f"told: {told!r}")
"""
OPEN_FILES = """
import os
def target(fd):
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""
files = [target(fd) for fd in os.listdir("/proc/self/fd")]
files = [path for path in files if path[:1] == "/" and not path.startswith(("/dev/", "/proc/"))]
assert not files, files
"""
# Make the log of the grading process one that cannot be read, then end that process.
BREAK = """
import os
for fd in os.listdir("/proc/self/fd"):
    try:
        if os.readlink("/proc/self/fd/" + fd).endswith("/log.txt"):
            {harm}
    except OSError:
        pass
get_ipython().kernel.session.pack = lambda message: b"not json"
print("x")
"""
SEEK, CLOSE = "os.lseek(int(fd), 10**12, 0)", "os.fchmod(int(fd), 0)"


def save(notebook, folder, student, name=FIRST):
    """Hand a notebook in."""
    (folder / student).mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, folder / student / f"{name}.ipynb")


def as_ordinary_user(command, folder):
    """A command that runs another as somebody who is not root and may write to a folder.

    Where this is root, it becomes a user who reaches the project and Python also where these lie
    in closed folders, such as root's own.
    """
    if os.getuid() != 0:
        return command
    folder.chmod(0o777)
    needed = [ROOT, Path(sys.prefix), Path(sys.base_prefix), folder]
    closed = {parent for path in needed for parent in path.parents
              if not parent.stat().st_mode & 0o001}
    mounts = ["bwrap", "--die-with-parent", "--dev-bind", "/", "/"]
    for outer in sorted(path for path in closed if closed.isdisjoint(path.parents)):
        mounts += ["--perms", "0755", "--tmpfs", str(outer)]
        for path in needed:
            if path.is_relative_to(outer):
                for parent in reversed(path.parents):
                    if parent.is_relative_to(outer):
                        mounts += ["--perms", "0755", "--dir", str(parent)]
                mounts += ["--bind", str(path), str(path)]
    return [*mounts, "setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", *command]


def start_grading(path, ordinary=None, **variables):
    """Start the command on a folder or a zip file.

    ordinary : a folder; the command runs as a user who is not root and may write there.
    """
    if not bubblewrap_works():
        pytest.skip("bubblewrap does not work here, so no submission was graded")
    command = [sys.executable, str(ROOT / "tools" / "classroom" / "grade.py")]
    environment = dict(os.environ, SUBMISSIONS=str(path), **variables)
    if ordinary:
        command = as_ordinary_user(command, ordinary)
        environment["HOME"] = environment["MMFUSE_CACHE"] = str(ordinary)
    return subprocess.Popen(command, cwd=ROOT, env=environment, encoding="utf8",
                            preexec_fn=listen_to_ctrl_c if os.name == "posix" else None,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def listen_to_ctrl_c():
    """What a shell starts in the background ignores Ctrl-C, and so would all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def read_table(path):
    """Rows of the table of grades by (student, assignment)."""
    table = path.with_name(f"{path.stem}-graded") / "grades.csv"
    with table.open(encoding="utf-8-sig", newline="") as file:
        return {(row["student"], row["assignment"]): row for row in csv.DictReader(file)}


def run_grading(path, **options):
    """Grade a folder or a zip file; rows of the table by (student, assignment)."""
    process = start_grading(path, **options)
    said = process.communicate()[0]
    print(said)
    assert process.returncode == 0, said
    return read_table(path)


def page_of(path, student, name=FIRST):
    """The source of a student's page of feedback."""
    folder = path.with_name(f"{path.stem}-graded") / "feedback" / student
    return (folder / f"{name}.html").read_text(encoding="utf8")
