"""From results to what people read: a table for the instructor, a page for each submission."""

import functools
from pathlib import Path

import jinja2
from marks import mark, most, released, tasks_of
from names import CANVAS, MOODLE, cell, folder_name, platform_parts
from results import table

FOLDER = Path(__file__).resolve().parent
NOT_YET = "Not graded yet: the grading was stopped before. Run the same command again."
BY_HAND = "The written answer is to be graded by hand."
# What a page says of an error whose message is ours and says everything.
SPEAKING = ("AssertionError", "TimeLimit", "Ended", "Unclear")


def note(submission):
    """What there is to say about a whole submission, "" when the points say it all.

    No text of the student's gets in: the table may be opened by a program that runs formulas.
    """
    result = submission.result
    if not result:
        return NOT_YET
    if "problem" in result:
        return result["problem"]
    if result["stopped"]:
        return f"{result['stopped']}; what came after did not run."
    if all(test["error"] and test["error"]["name"] == "NotImplementedError"
           for test in result["tests"]):
        return ("No task is answered yet: this is the notebook as it was handed out. Begin with "
                "task 1, it is the easiest; every task that works brings its points.")
    return ""


def look(submission):
    """Why the instructor should look at a submission, in words for nobody else."""
    return [str(reason) for reason in submission.result.get("look", [])]


def points_text(points):
    """Points as a table has them; "" where there are none."""
    return "" if points is None else f"{round(points, 2):g}"


def amount(number, what="point"):
    """A number with the word for what it counts.

    >>> amount(1), amount(2.50), amount(0, "submission")
    ('1 point', '2.5 points', '0 submissions')
    """
    return f"{points_text(number)} {what}{'' if number == 1 else 's'}"


def changes_text(given):
    """What the instructor changed, for the table."""
    return "; ".join(
        f"{task or 'all'} given {points_text(now)}" if before is None else
        f"{task or 'all'} from {points_text(before)} to {points_text(now)}"
        for task, before, now in given.changed)


def late_there(submission, given):
    """What to say of a submission that the platform counts as late and the instructor does not."""
    if platform_parts(submission.student)[2] and not (given and given.days):
        return ["Canvas counts it as late, and no days_late are given."]
    return []


def grades_table(submissions, marks):
    """grades.csv: a row for everybody, with the points of each task and whatever there is to say.

    marks : {(student, assignment): Mark}.
    """
    every = sorted({task for given in marks.values() for task in given.by_task})
    rows = [["student", "name", "assignment", "course", "points", "of", *every, "days_late",
             "taken_off", "changed", "look", "note", "file"]]
    for submission in submissions:
        given = marks.get((submission.student, submission.assignment))
        words = [*submission.said, *late_there(submission, given), note(submission)]
        if given:
            words += [BY_HAND] * given.waiting
            words += [text for _, text in given.comments]
        rows.append([cell(submission.student), cell(submission.name), submission.assignment,
                     submission.course, *numbers_of(given, every),
                     "; ".join(look(submission)), cell(" ".join(filter(None, words))),
                     cell(submission.file)])
    return table(rows)


def numbers_of(given, every):
    """The cells from "points" to "changed" of a row."""
    if not given:
        return ["", "", *("" for _ in every), "", "", ""]
    return [points_text(given.points), f"{given.of:g}",
            *(points_text(given.by_task.get(task)) for task in every),
            given.days or "", points_text(given.lost or None), changes_text(given)]


@functools.cache
def template(name):
    """A page to fill; what is filled in is text, never markup."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined,
                                     trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"points": points_text, "amount": amount}
    return environment.from_string((FOLDER / name).read_text(encoding="utf8"))


def page_name(submission):
    """Where a submission's page is, in the folder of results.

    Moodle takes feedback back in the folders that it has packed, Canvas under the numbers at the
    beginning of a file's name.
    """
    folder = folder_name(submission.student)
    canvas = CANVAS.match(submission.student) and not MOODLE.match(submission.student)
    return f"feedback/{folder}/{f'{folder}_' if canvas else ''}{submission.assignment}.html"


def task_rows(submission, given):
    """The tasks as a student's page shows them."""
    tests = {test["test"]: test for test in submission.result.get("tests", [])}
    answers, rows = submission.result.get("answers", {}), []
    for key, task in tasks_of(submission.assignment, submission.course).items():
        rows.append({
            "title": task.title, "points": given.by_task[key], "of": task.of,
            "stopped": answers.get(key), "by_hand": not task.tests,
            "changed": [change for change in given.changed if change[0] == key],
            "comments": [text for where, text in given.comments if where == key],
            "tests": [{"kind": test.partition("-")[2], "of": points,
                       **{"points": 0, "error": None, **tests.get(test, {})}}
                      for test, points in task.tests.items()]})
    return rows


def feedback_page(submission, changes=(), late=None):
    """A page for the student: points and messages by task, and what the instructor changed."""
    given = mark(submission, changes, late)
    first = released(submission.assignment, submission.course).cells[0].source
    page = template("feedback.html").render(
        student=submission.name or submission.student, course=submission.course, mark=given,
        tasks=task_rows(submission, given), speaking=SPEAKING,
        ungraded="ungraded" in submission.result, late=late,
        changed=[change for change in given.changed if not change[0]],
        comments=[text for where, text in given.comments if not where],
        title=first.partition("\n")[0].removeprefix("# "),
        notes=[*submission.said, *filter(None, [note(submission)])],
        of=most(submission.assignment, submission.course))
    return page.encode()
