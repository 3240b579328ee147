"""From results to what people read: a table for the instructor, a page for each submission."""

import csv
import functools
import os
import re
from pathlib import Path

import jinja2
import nbformat
from assignments import COURSES
from grade_one import cell_id

TEMPLATE = Path(__file__).resolve().parent / "feedback.html"


@functools.cache
def released(name, course):
    """The notebook that students got."""
    path = COURSES / course / "nbgrader" / "release" / name / f"{name}.ipynb"
    return nbformat.read(path, as_version=4)


@functools.cache
def tasks_of(name, course):
    """Title and tests of each task of an assignment: {task: (title, {test: points})}."""
    tasks = {}
    for cell in released(name, course).cells:
        heading = re.match(r"## (Task (\d+): .+?) \(\d+ points?\)\n", cell.source)
        if cell.cell_type == "markdown" and heading:
            tasks[f"task{heading[2]}"] = (heading[1], {})
        elif cell.metadata.get("nbgrader", {}).get("grade"):
            task = cell_id(cell).partition("-")[0]
            tasks[task][1][cell_id(cell)] = cell.metadata.nbgrader.points
    return tasks


def points_of(submission, task=""):
    """Points of a submission, or of one of its tasks."""
    return sum(test["points"] for test in submission.result.get("tests", [])
               if test["test"].startswith(task))


def note(submission):
    """What there is to say about a whole submission, "" when the points say it all.

    No text of the student's gets in: the table may be opened by a program that runs formulas.
    """
    result = submission.result
    if "problem" in result:
        return result["problem"]
    if not result["armed"]:
        return ("A statement that is false did not fail: the submission disarms the tests. It gets "
                "no points until your instructor has looked at it.")
    if result["stopped"]:
        return f"{result['stopped']}; what came after did not run."
    if all(test["error"] and test["error"]["name"] == "NotImplementedError"
           for test in result["tests"]):
        return ("No task is answered yet: this is the notebook as it was handed out. Begin with "
                "task 1, it is the easiest; every task that works brings its points.")
    return ""


def write_table(submissions, course, path):
    """grades.csv: a row for each submission, with the points of each task; replaced in one step.

    There are no points in the row of a submission that could not be graded.
    """
    every = sorted({task for submission in submissions
                    for task in tasks_of(submission.assignment, course)})
    new = path.with_name(f".{path.name}")
    with new.open("w", newline="", encoding="utf-8-sig") as file:
        table = csv.writer(file)
        table.writerow(["student", "assignment", "course", "points", "of", *every, "note"])
        for submission in submissions:
            tasks = tasks_of(submission.assignment, course)
            most = sum(sum(tests.values()) for _, tests in tasks.values())
            ungraded = "ungraded" in submission.result
            parts = ["" if ungraded or task not in tasks else
                     f"{points_of(submission, task + '-'):g}" for task in every]
            table.writerow([submission.student, submission.assignment, course,
                            "" if ungraded else f"{points_of(submission):g}", f"{most:g}",
                            *parts, note(submission)])
    os.replace(new, path)


def write_feedback(submission, course, folder):
    """A page for the student: points and messages by task."""
    tests = {test["test"]: test for test in submission.result.get("tests", [])}
    answers, tasks = submission.result.get("answers", {}), []
    for task, (title, most) in tasks_of(submission.assignment, course).items():
        tasks.append({
            "title": title, "points": points_of(submission, task + "-"), "of": sum(most.values()),
            "stopped": answers.get(task),
            "tests": [{"kind": key.partition("-")[2], "of": points,
                       **tests.get(key, {"points": 0, "error": None})}
                      for key, points in most.items()]})
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined,
                                  trim_blocks=True, lstrip_blocks=True).from_string(
                                      TEMPLATE.read_text(encoding="utf8"))
    first = released(submission.assignment, course).cells[0].source
    page = template.render(student=submission.student, course=course, tasks=tasks,
                           ungraded="ungraded" in submission.result,
                           title=first.partition("\n")[0].removeprefix("# "), note=note(submission),
                           points=points_of(submission), of=sum(task["of"] for task in tasks))
    path = folder / "feedback" / submission.student / f"{submission.assignment}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf8")
