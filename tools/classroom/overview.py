"""The instructor's page: how a class did, which task told what, and what to look at."""

import math
from collections import Counter
from dataclasses import dataclass
from statistics import StatisticsError, correlation, mean, median

from assignments import is_solution
from feedback import late_there, look, note, page_name, points_text, template
from grade_one import cell_id
from marks import released, tasks_of, written
from similar import near_pairs

FEW = 10        # below it a correlation tells nothing
MOST_BINS = 10
UNANSWERED = "NotImplementedError"      # what stands in a notebook in place of each answer


@dataclass
class TaskLine:
    """What a task told. rest : its correlation with the points of the other tasks, or None."""

    title: str
    of: float
    mean: float | None
    rest: float | None
    count: int
    failed: str = ""
    failures: int = 0
    message: str = ""
    unanswered: int = 0


def distribution(points, of):
    """[(from, to, how many)] in equal steps of whole points, up to the most that there are."""
    step = math.ceil(of / MOST_BINS)
    bins = math.ceil(of / step)
    counts = Counter(min(bins - 1, int(value / step)) for value in points)
    return [(step * i, min(of, step * (i + 1)), counts[i]) for i in range(bins)]


def item_rest(points, totals):
    """Correlation of a task's points with those of the other tasks; None where it is undefined.

    >>> item_rest([0, 1, 2], [1, 3, 5])
    1.0
    """
    try:
        return round(correlation(points, [t - p for p, t in zip(points, totals, strict=True)]), 2)
    except StatisticsError:
        return None


def commonest_failure(tests, results):
    """(test, how many failed it, the commonest message, how many have not answered the task).

    The test is the one that failed most of those who have answered, "" where none did.
    """
    errors = [(test["test"], test["error"]) for result in results for test in result["tests"]
              if test["test"] in tests and test["error"]]
    open_ones = Counter(test for test, error in errors if error["name"] == UNANSWERED)
    failed = Counter(test for test, error in errors if error["name"] != UNANSWERED)
    unanswered = max(open_ones.values(), default=0)
    if not failed:
        return "", 0, "", unanswered
    worst, count = failed.most_common(1)[0]
    said = Counter(message_of(error) for test, error in errors
                   if test == worst and error["name"] != UNANSWERED)
    return worst.partition("-")[2], count, said.most_common(1)[0][0], unanswered


def message_of(error):
    """What a failed test said, in a line."""
    told = error["message"] if error["name"] == "AssertionError" else (
        f"{error['name']}: {error['message']}")
    return told if len(told) <= 200 else told[:199] + "…"


def task_lines(submissions, marks):
    """A TaskLine for each task of an assignment. submissions : of one course, graded."""
    first, lines = submissions[0], []
    for key, task in tasks_of(first.assignment, first.course).items():
        having = [given for given in marks if given.by_task.get(key) is not None]
        points = [given.by_task[key] for given in having]
        totals = [sum(value or 0 for value in given.by_task.values()) for given in having]
        rest = item_rest(points, totals) if len(points) >= FEW else None
        worst = commonest_failure(task.tests, [work.result for work in submissions])
        lines.append(TaskLine(task.title, task.of, mean(points) / task.of if points else None,
                              rest, len(points), *worst))
    return lines


def reasons(submission):
    """Why to look at the code of a submission."""
    stopped = [note(submission)] if submission.result.get("stopped") else []
    return look(submission) + stopped


def stubs(assignment, course):
    """What was handed out in place of each answer: {task: code}."""
    return {cell_id(cell): cell.source for cell in released(assignment, course).cells
            if is_solution(cell)}


def section(assignment, submissions, marks):
    """What the page shows of one assignment."""
    mine = [work for work in submissions if work.assignment == assignment]
    graded = [work for work in mine if "tests" in work.result]
    given = {work.student: marks[work.student, assignment] for work in mine}
    points = [one.points for one in given.values() if one.points is not None]
    of = max(one.of for one in given.values())
    courses = sorted({work.course for work in graded})
    sources = {work.student: work.result.get("sources", {}) for work in graded}
    given_code = stubs(assignment, courses[0]) if courses else {}
    return {
        "name": assignment, "of": of, "count": len(points), "everybody": len(mine),
        "mean": mean(points) if points else None, "median": median(points) if points else None,
        "bins": distribution(points, of), "tables": [
            (course, task_lines(*of_course(graded, given, course))) for course in courses],
        "look": [(work, reasons(work)) for work in graded if reasons(work)],
        "files": [(work, told) for work in graded
                  if (told := work.said + late_there(work, given[work.student]))],
        "pairs": [(by_label(mine, a), by_label(mine, b), tasks)
                  for a, b, tasks in near_pairs(sources, given_code)],
        "waiting": sum(one.waiting for one in given.values()),
        "written": [work for work in graded if written(work)]}


def of_course(graded, given, course):
    """The submissions of one course with their marks."""
    works = [work for work in graded if work.course == course]
    return works, [given[work.student] for work in works]


def by_label(submissions, student):
    return next(work for work in submissions if work.student == student)


def overview_page(submissions, marks, said, course):
    """overview.html. marks : {(student, assignment): Mark}. said : about roster and upload."""
    names = sorted({assignment for _, assignment in marks})
    page = template("overview.html").render(
        course=course, said=said, few=FEW, page_name=page_name, marks=marks, written=written,
        sections=[section(name, submissions, marks) for name in names],
        missing=[(work, note(work)) for work in submissions
                 if not work.result or "ungraded" in work.result], points_text=points_text)
    return page.encode()
