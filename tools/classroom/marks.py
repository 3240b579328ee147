"""From what the tests counted and what the instructor changed to the points that are given.

Table, pages and uploads all ask `mark`, so that they agree.
"""

import functools
import re
import sys
from dataclasses import dataclass, field

import nbformat
from assignments import COURSES, grading, is_solution, is_test
from grade_one import WRITTEN, cell_id

LATE_PARTS = {"percent": r"(\d+(?:\.\d+)?)% a day", "most": r"at most (\d+(?:\.\d+)?)%",
              "free": r"(\d+) free days?"}
LATE_EXAMPLE = "10% a day, at most 50%, 2 free days"


@dataclass(frozen=True)
class Task:
    """One task of an assignment. tests : points by test; empty where a person gives them."""

    title: str
    of: float
    tests: dict


@functools.cache
def released(name, course):
    """The notebook that students got."""
    path = COURSES / course / "nbgrader" / "release" / name / f"{name}.ipynb"
    return nbformat.read(path, as_version=4)


@functools.cache
def tasks_of(name, course):
    """The tasks of an assignment and the answer graded by hand, in order: {"task1": Task, …}."""
    titles, tests, by_hand = {}, {}, {}
    for cell in released(name, course).cells:
        heading = re.match(r"## (Task (\d+): .+?) \(\d+ points?\)\n", cell.source)
        if cell.cell_type == "markdown" and heading:
            titles[f"task{heading[2]}"] = heading[1]
        elif is_test(cell):
            task = cell_id(cell).partition("-")[0]
            tests.setdefault(task, {})[cell_id(cell)] = grading(cell)["points"]
        elif is_solution(cell) and grading(cell).get("grade"):
            by_hand[cell_id(cell)] = Task("Written answer", grading(cell)["points"], {})
    return {task: Task(titles[task], sum(of.values()), of) for task, of in tests.items()} | by_hand


def most(name, course):
    """All points of an assignment."""
    return sum(task.of for task in tasks_of(name, course).values())


@dataclass(frozen=True)
class Late:
    """What late work loses of its points, in percent; `free` days cost nothing."""

    percent: float
    most: float = 100.0
    free: int = 0

    def share(self, days):
        """Share of the points that is taken off.

        >>> Late(10, 50, 2).share(4), Late(10, 50, 2).share(30)
        (0.2, 0.5)
        """
        return min(self.most, self.percent * max(0, days - self.free)) / 100


def parse_late(text):
    """The late policy from the setting LATE; None where there is none. Leaves if it is unclear.

    >>> parse_late("10% a day, at most 50%, 2 free days")
    Late(percent=10.0, most=50.0, free=2)
    """
    if text.strip().lower() in ("", "none"):
        return None
    found = {}
    for part in text.split(","):
        hits = [(key, match[1]) for key, pattern in LATE_PARTS.items()
                if (match := re.fullmatch(pattern, part.strip(), re.IGNORECASE))]
        if not hits or hits[0][0] in found or float(hits[0][1]) > (
                100 if hits[0][0] != "free" else 1000):
            sys.exit(f"LATE is not clear at {part.strip()!r}. Write it like this: "
                     f"LATE=\"{LATE_EXAMPLE}\"; the first part is needed, the others are not. "
                     "LATE=none takes nothing off.")
        found.update(hits)
    if "percent" not in found:
        sys.exit(f"LATE must say what a day costs: LATE=\"{LATE_EXAMPLE}\"; got {text!r}.")
    return Late(float(found["percent"]), float(found.get("most", 100)), int(found.get("free", 0)))


@dataclass
class Mark:
    """The points of a submission. They are None where nobody has given any.

    by_task : points by task. changed : (task or "", points before, points now) for each change of
    the instructor's. comments : (task or "", text). lost : what being late took off.
    """

    points: float | None
    of: float
    by_task: dict
    changed: list = field(default_factory=list)
    comments: list = field(default_factory=list)
    days: int = 0
    lost: float = 0.0
    waiting: bool = False       # for the points of a written answer


def written(submission):
    """The answer that is graded by hand, "" for the line that was handed out in its place."""
    there = next((cell.source for cell in released(submission.assignment, submission.course).cells
                  if cell_id(cell) == WRITTEN), "")
    text = str(submission.result.get("written", "")).strip()
    return "" if text == there.strip() else text


def counted(submission, task):
    """Points of one task: those of its tests, 0 where nothing was written; None for no grade."""
    if not submission.result or "ungraded" in submission.result:
        return None
    if not task.tests:
        return None if written(submission) else 0
    return sum(test["points"] for test in submission.result.get("tests", [])
               if test["test"] in task.tests)


def mark(submission, changes=(), late=None):
    """The points of a submission after the instructor's changes (see overrides.py)."""
    tasks = tasks_of(submission.assignment, submission.course)
    by_task = {key: counted(submission, task) for key, task in tasks.items()}
    given = Mark(None, most(submission.assignment, submission.course), by_task)
    for change in changes:
        given.days = max(given.days, change.days)
        if change.comment:
            given.comments.append((change.task, change.comment))
        if change.points is not None and change.task:
            given.changed.append((change.task, by_task[change.task], change.points))
            by_task[change.task] = change.points
    there = [points for points in by_task.values() if points is not None]
    given.points = sum(there) if there else None
    given.waiting = len(there) > 0 and None in by_task.values()
    take_off(given, [change for change in changes
                     if change.points is not None and not change.task], late)
    return given


def take_off(given, whole, late):
    """Change the points as a whole: those that the instructor says, or else less for late work."""
    if whole:
        given.changed.append(("", given.points, whole[-1].points))
        given.points, given.waiting = whole[-1].points, False
    elif given.points is not None and late:
        given.lost = round(given.points * late.share(given.days), 2)
        given.points = round(given.points - given.lost, 2)
