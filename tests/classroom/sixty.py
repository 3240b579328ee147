"""A class of sixty, twenty honest and forty odd or hostile, each with the points it must get.

`python tests/classroom/sixty.py` grades it as whoever starts it, and where that is root as an
ordinary user as well (`me` or `somebody`: one of the two). It looks at every grade and at what is
left on the machine, and says how long it took. Too long for the tests, which grade a smaller one.
"""

import contextlib
import os
import socket
import sys
import tempfile
import time
from pathlib import Path

if __name__ == "__main__":
    here = Path(__file__).resolve()
    sys.path[:0] = [str(here.parents[i] / part) for i, part in (
        (2, "tools"), (2, "tools/classroom"), (1, ""), (0, ""))]

import attacks
import nbformat
import psutil
from assignments import SOURCES
from handed_in import (BREAK, DELETE, ENVIRONMENT, FIRST, FORK, MEMORY, PRINT, SEEK, SPY,
                       STUBBORN, begin_with, disarmed, edited, improved, points, released,
                       right_answer, run_grading, save, solved, strange, stripped, switched_off)

SLOW = ("import time\nuntil = time.process_time() + 12\n"
        "while time.process_time() < until:\n    pass\n")
SAFE = """
def sigmoid(x):
    x = np.asarray(x, float)
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e / (1 + e), 1 / (1 + e))[()]
"""
OWN_HOOK = "import sys\nsys.excepthook = lambda *told: print('oops')\nsys.tracebacklimit = 0"
THREADS = """
import threading
done = []
crew = [threading.Thread(target=done.append, args=(i,)) for i in range(4)]
[one.start() for one in crew], [one.join() for one in crew]
"""
PLOTS = ("import matplotlib.pyplot as plt\nfor i in range(12):\n    plt.figure()\n"
         "    plt.plot([0, i])")
SCRATCH = "sum, max, list = 0, 3, [1]\nfrom numpy import *"
SECRET = "planted-secret-1234"


def only(*tasks):
    """The notebook with these tasks solved and nothing else."""
    notebook, right = released(), solved()
    for cell, answer in zip(notebook.cells, right.cells):
        if cell.metadata.get("nbgrader", {}).get("grade_id") in tasks:
            cell.source = answer.source
    return notebook


def nothing(code, task="task1"):
    """Nothing solved but a trick, in a cell of its own before a task."""
    notebook = released()
    place = next(i for i, cell in enumerate(notebook.cells)
                 if cell.metadata.get("nbgrader", {}).get("grade_id") == task)
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("solution") and cell.cell_type == "code":
            cell.source = cell.source.replace("raise NotImplementedError", "return str")
    notebook.cells.insert(place, nbformat.v4.new_code_cell(code))
    return notebook


def from_four():
    """Tasks 1 to 3 are right; then the checks are made to agree with everything."""
    notebook = only("task1", "task2", "task3")
    place = next(i for i, cell in enumerate(notebook.cells)
                 if cell.metadata.get("nbgrader", {}).get("grade_id") == "task4")
    tricky = nothing(attacks.PATCH_CHECKS).cells
    known = {cell.metadata.get("nbgrader", {}).get("grade_id"): cell.source for cell in tricky}
    for cell in notebook.cells[place:]:
        if cell.metadata.get("nbgrader", {}).get("solution"):
            cell.source = known[cell.metadata.nbgrader.grade_id]
    notebook.cells.insert(place, nbformat.v4.new_code_cell(attacks.PATCH_CHECKS))
    return notebook


def as_text(kind):
    """Solved, but the cell of task 2 has become text."""
    notebook = solved()
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade_id") == "task2":
            cell.cell_type = kind
            cell.pop("outputs", None), cell.pop("execution_count", None)
    return notebook


def answer(task, before="", after=""):
    """Solved, with code before or after the right answer to a task."""
    return solved(**{task: before + right_answer(task) + after})


def honest():
    """{student: (notebook, points)} of who means well."""
    full, second = points(), points(without=["task2"])
    right = right_answer
    return {
        "ada": (solved(), full), "bert": (solved(task1=SAFE), full),
        "carla": (only("task1", "task2", "task3"), points(without=["task4", "task5", "task6"])),
        "dan": (only(), 0), "emil": (as_text("markdown"), full), "fay": (as_text("raw"), full),
        "gus": (solved(task2="def pair_loss(v, u noise):\n    pass"), second),
        "hal": (stripped(), full), "ida": (improved(), full), "jon": (strange(), full),
        "kim": (begin_with(SCRATCH), full), "lea": (begin_with(OWN_HOOK), full),
        "max": (begin_with(THREADS), full), "nia": (begin_with(PLOTS), full),
        "ole": (answer("task5", SLOW), full),
        "pia": (solved(task2="import sklearn\n" + right("task2")), second),
        "quinn": (begin_with("import warnings\nwarnings.simplefilter('error')"), full),
        "rosa": (solved(task2=right("task2").replace("return of_context",
                                                     "return 1 + of_context")), second),
        "sam": (solved(task2="while True:\n    pass"), second),
        "tom": (begin_with("print('x' * 100)\n%matplotlib inline\n1 / 0"), full),
    }


def tricksters():
    """{student: (notebook, points)} of who wants points without an answer."""
    a, full, first = attacks, points(), points(without=["task1"])
    return {
        "adapts": (nothing(a.DROP_SECOND), 0),
        "disarms": (disarmed(), 0), "drops": (nothing(a.DROP_LINES), 0),
        "edits": (edited(), 0), "forges": (nothing(a.FORGE), 0),
        "from-four": (from_four(), points(without=["task4", "task5", "task6"])),
        "hides": (nothing(a.HIDE_ERRORS), 0), "imports": (solved(task1=a.FIND_SCIPY), first),
        "leaks": (solved(task1=a.LEAK), first),
        "marks": (solved(task1=a.MARKUP), first),
        "patches": (nothing(a.PATCH_CHECKS), 0), "reads": (solved(
            task1=a.READS_FRAME.format(name="sigmoid")), first),
        "swaps": (nothing(a.SWAP_CODE), 0), "switches": (switched_off(), 0),
        "trees": (nothing(a.DROP_TREE), 0), "zeros": (nothing(a.ZEROS), 0),
        "shows": (begin_with(a.SHOWS), full),
    }


def hostile(place):
    """{student: (notebook, points)} of who reaches for the machine. place : words for a format."""
    a, full, second = attacks, points(), points(without=["task2"])
    inside = {"busy": a.BUSY, "daemon": a.DAEMON, "deletes": DELETE.format(**place),
              "floods": a.FLOOD, "forks": FORK, "kills": a.KILL_ALL, "memory": MEMORY,
              "prints": PRINT, "shell": a.SHELL, "stops": a.STOP_SELF}
    ends = {"breaks": BREAK.format(harm=SEEK), "segfault": a.SEGFAULT,
            "stubborn": STUBBORN}
    # In the answer to task 2 they stop it where they get anywhere, so that its points tell.
    tell = {"keys": a.LEAVES_KEY, "keys-2": a.LEAVES_KEY, "last": a.GOES_LAST, "links": a.LINKS,
            "nests": a.NESTED, "shared": a.SHARED_MEMORY, "spies": SPY.format(**place),
            "traces": a.TRACE}
    return ({name: (begin_with(code), full) for name, code in inside.items()}
            | {name: (begin_with(code), 0) for name, code in ends.items()}
            | {name: (answer("task2", code), full) for name, code in tell.items()}
            | {"asks": (solved(task2=ENVIRONMENT), second)})


def hand_in(folder, port):
    """Write the work of the class; returns {student: points}."""
    place = {"folder": str(folder), "source": str(SOURCES / f"{FIRST}.ipynb"), "port": port}
    work = honest() | tricksters() | hostile(place)
    for student, (notebook, _) in work.items():
        save(notebook, folder, student)
    (folder / f"paper_{FIRST}.ipynb").write_bytes(b"%PDF-1.7")
    return {student: wanted for student, (_, wanted) in work.items()} | {"paper": 0}


def state(folder):
    """What a submission could change outside: files, the system's shared memory, keyrings."""
    files = {str(path): path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}
    places = [Path("/proc/sysvipc", name) for name in ("shm", "msg", "sem")]
    places += [Path("/proc/keys"), Path("/dev/shm")]
    return files, [os.listdir(path) if path.is_dir() else len(path.read_text().splitlines())
                   for path in places if path.exists()]


def grade_class(kind):
    """Grade the class as `me` or as `somebody`: (what went wrong, minutes, how many)."""
    with tempfile.TemporaryDirectory(prefix="c") as temporary, socket.create_server(
            ("127.0.0.1", 0)) as server:
        server.setblocking(False)
        folder = Path(temporary).resolve() / "week1"
        for path in (folder, folder.with_name("t")):
            path.mkdir()
            path.chmod(0o777)
        expected = hand_in(folder, server.getsockname()[1])
        (folder / "precious.txt").write_text("whole")
        before, began = state(folder), time.monotonic()
        rows = run_grading(folder, ordinary=folder.parent if kind == "somebody" else None,
                           CANVAS_TOKEN=SECRET, TMPDIR=str(folder.with_name("t")))
        minutes = (time.monotonic() - began) / 60
        wrong = wrong_grades(rows, expected) + traces(folder, before)
        with contextlib.suppress(BlockingIOError):
            server.accept()
            wrong.append("somebody called")
    return wrong, minutes, len(expected)


def wrong_grades(rows, expected):
    """Who did not get the points that the work is worth."""
    got = {student: float(row["points"] or -1) for (student, _), row in rows.items()}
    return [f"{student}: {got.get(student)} in place of {wanted:g}"
            for student, wanted in expected.items() if got.get(student) != wanted]


def traces(folder, before):
    """What a submission has left or told outside of the sandbox."""
    found = [] if state(folder) == before else [f"outside: {before} became {state(folder)}"]
    found += [f"still runs: {process.info['cmdline']}"
              for process in psutil.process_iter(["cmdline"])
              if str(folder.parent) in " ".join(process.info["cmdline"] or [])]
    pages = [path for path in folder.with_name("week1-graded").rglob("*") if path.is_file()]
    return found + [f"{path} tells the secret" for path in pages
                    if SECRET.encode() in path.read_bytes()]


def main():
    kinds = sys.argv[1:] or (["me", "somebody"] if os.getuid() == 0 else ["me"])
    failed = False
    for kind in kinds:
        wrong, minutes, n = grade_class(kind)
        failed |= bool(wrong)
        print(f"{n} submissions graded by {kind} in {minutes:.1f} minutes, "
              f"{len(wrong)} things wrong", *wrong, sep="\n  ", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
