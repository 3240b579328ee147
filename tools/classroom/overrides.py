"""What the instructor gives or changes by hand: a table beside the submissions, read at each run.

Nothing is graded with a table that is not clear: all that is wrong is said at once, by line.
"""

import csv
import io
import re
import sys
from collections import defaultdict
from dataclasses import dataclass

from marks import most, tasks_of
from names import same

COLUMNS = ("student", "assignment", "task", "points", "comment", "days_late")
TEMPLATE = """\
# Points and comments that you give by hand. Read at each run of the grading; never changed by it.
# Lines that begin with # are notes. An example:
#   Ada Lovelace,a1_skipgram,task3,4,The idea is right: see the sketch on paper.,
#   Ada Lovelace,a1_skipgram,written,5,Well argued; the second half of the rubric is missing.,
#   Ada Lovelace,a1_skipgram,,,,2
#   Grace Hopper,a1_skipgram,,24,Oral exam in place of the notebook.,
# student: as in grades.csv, or as the roster has the name, login or number.
# assignment: may stay empty where only one is graded. task: empty for the assignment as a whole.
# points: a task's, or all of the assignment's, which count as they are, late or not.
# comment: for the student's page. days_late: see the setting LATE.
student,assignment,task,points,comment,days_late
"""


@dataclass(frozen=True)
class Change:
    """A line of the table. points is None where it gives none."""

    line: int
    task: str
    points: float | None
    comment: str
    days: int


def read_text(path):
    """The text of a table, as spreadsheets save it; leaves where it is in another encoding."""
    content = path.read_bytes()
    code = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return content.decode(code)
    except UnicodeDecodeError:
        sys.exit(f"{path} is not in UTF-8. Save it as “CSV UTF-8”; nothing was graded.")


def delimiter_of(text, word):
    """What separates the cells of a table: `, ; tab`, whichever cuts its header into most."""
    header = next((line for line in text.splitlines()
                   if word in line.lower() and not line.lstrip('"').startswith("#")), "")
    return max(",;\t", key=header.count)


def read_rows(path):
    """(line, row as a dictionary) for each line of the table, and what is wrong with others."""
    text = read_text(path)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter_of(text, "student"),
                        strict=True)
    header, rows, wrong = [], [], []
    try:
        for row in reader:
            row = [value.strip() for value in row]
            if not any(row) or row[0].startswith("#"):
                continue
            if not header:
                header = [value.lower().replace(" ", "_") for value in row]
                if missing := ", ".join(name for name in COLUMNS if name not in header):
                    return [], [f"line {reader.line_num}: the columns must be "
                                f"{','.join(COLUMNS)}; missing: {missing}"]
            elif len(row) > len(header):
                wrong.append(f"line {reader.line_num}: has {len(row)} cells, the header "
                             f"{len(header)}. A comment with a comma needs quotes around it")
            else:
                row += [""] * (len(header) - len(row))
                rows.append((reader.line_num, dict(zip(header, row, strict=False))))
    except csv.Error as error:
        wrong.append(f"line {reader.line_num}: cannot be read ({error})")
    return rows, wrong if header else [f"there is no line {','.join(COLUMNS)}"]


def read_overrides(path, submissions, assignments):
    """{(student, assignment): changes} from the table; leaves with all that is wrong in it.

    assignments : all names that there are. Lines about an assignment that is not graded in this
    run are left for the run that grades it.
    """
    rows, wrong = read_rows(path)
    changes, seen = defaultdict(list), {}
    here = sorted({submission.assignment for submission in submissions} - {""})
    for line, row in rows:
        try:
            for_whom = find(row, submissions, here, assignments)
            if for_whom:
                change = read_change(line, row, for_whom)
                changes[for_whom.student, for_whom.assignment].append(change)
                check_repeats(change, for_whom, seen)
        except ValueError as error:
            wrong.append(f"line {line}: {error}")
    if wrong:
        wrong.sort(key=lambda told: int((re.findall(r"^line (\d+)", told) or "0")[0]))
        sys.exit("\n  ".join([f"Nothing was graded: {path} is not clear.", *wrong]))
    return dict(changes)


def find(row, submissions, here, assignments):
    """The submission that a line is about; None where it is about another assignment."""
    if not row["student"]:
        raise ValueError("names no student")
    wanted = row["assignment"] or (here[0] if len(here) == 1 else "")
    if not wanted:
        raise ValueError(f"names no assignment; there are {', '.join(here)}")
    if wanted not in assignments:
        raise ValueError(f"there is no assignment {wanted!r}; there are {', '.join(assignments)}")
    if wanted not in here:
        return None
    matching = find_student(row["student"],
                            [work for work in submissions if work.assignment == wanted])
    if len(matching) != 1:
        raise ValueError(f"{row['student']!r} is " + (
            f"several of those with {wanted}: {', '.join(work.student for work in matching)}"
            if matching else f"nobody's name among those with {wanted}"))
    return matching[0]


def find_student(name, submissions):
    """Submissions of whoever has a name: as in the table, or else as known otherwise."""
    wanted = same(name)
    exact = [work for work in submissions if same(work.student) == wanted]
    return exact or [work for work in submissions if wanted in work.known_as()]


def number(text, what, whole=False):
    """A number that is not negative, with a point or a comma; None for no text."""
    if not text:
        return None
    if not re.fullmatch(r"\d+" if whole else r"\d+([.,]\d+)?", text):
        raise ValueError(f"{what} must be a {'whole ' if whole else ''}number of 0 or more; "
                         f"got {text!r}")
    return float(text.replace(",", "."))


def read_change(line, row, submission):
    """What a line changes; ValueError where it cannot be."""
    tasks = tasks_of(submission.assignment, submission.course)
    task = row["task"].lower().replace(" ", "")
    task = f"task{task}" if task.isdecimal() else task
    if task and task not in tasks:
        raise ValueError(f"there is no task {row['task']!r}; there are {', '.join(tasks)}")
    points = number(row["points"], "points")
    of = tasks[task].of if task else most(submission.assignment, submission.course)
    if points is not None and points > of:
        raise ValueError(f"points must be between 0 and {of:g}; got {row['points']}")
    days = number(row["days_late"], "days_late", whole=True)
    if points is None and days is None and not row["comment"]:
        raise ValueError("gives no points, no comment and no days")
    return Change(line, task, points, row["comment"], int(days or 0))


def check_repeats(change, submission, seen):
    """ValueError where a line gives again what another has given."""
    for what, there in (("points", change.points is not None), ("days_late", change.days)):
        key = (submission.student, submission.assignment, what,
               change.task if what == "points" else "")
        if there and key in seen:
            raise ValueError(f"gives the {what} of {submission.student} again, after line "
                             f"{seen[key]}")
        if there:
            seen[key] = change.line
