"""Grade a folder of submissions: `python tools/make.py grade SUBMISSIONS=dir COURSE=name`.

A folder in SUBMISSIONS is a student, with notebooks named as they were handed out anywhere in
it; a notebook that lies in SUBMISSIONS itself, as Canvas packs them, belongs to whoever its name
begins with (`somebody_123_a1_skipgram.ipynb`). SUBMISSIONS may be a zip file of such a folder. It
stays as it is; beside it come `SUBMISSIONS-graded/`, with `grades.csv`, `overview.html` and a page
of feedback for each, written as they come, and `SUBMISSIONS-overrides.csv`, for points by hand.

Settings, as NAME=value: AGAIN (regrade somebody, or all), ROSTER (class list of Canvas or Moodle),
COLUMN (its column for the points), LATE (what late days cost), JOBS (how many at a time),
ISOLATION.
"""

import argparse
import asyncio
import difflib
import os
import sys
import time
from pathlib import Path

from assignments import COURSES, course_name, is_current, list_assignments
from courses import assignment_told, choose_course, made_courses
from feedback import amount
from marks import parse_late
from names import same
from overrides import TEMPLATE, find_student, read_overrides
from results import Results, claim
from roster import choose_columns, match, read_roster
from run import Run, grade_all
from sandbox import bubblewrap_works, gaps
from submissions import Submission, find_submissions, open_submissions
from workers import jobs

from mmfuse_utils.cache import lock

ABSENT = "Nothing was handed in."


def check_course(course):
    """Leave unless the course was made: what students have is graded with what made it."""
    if not (COURSES / course / "course.json").exists():
        sys.exit(f"There is no course {course}. Give the name under which the students' notebooks "
                 "were made, as COURSE=name (made so far: "
                 f"{', '.join(made_courses()) or 'none'}), or make it first: "
                 f"make assignments COURSE={course}")
    if not is_current(course):
        print(f"The sources have changed since the course {course} was made; it is graded as it "
              "was made. `make assignments` would make it anew, perhaps with other numbers.")


def choose_isolation():
    """"bubblewrap", or "none" where the instructor says so; leaves with advice otherwise."""
    wanted = os.environ.get("ISOLATION", "bubblewrap")
    if wanted == "none":
        print("Isolation: NONE. Students' code runs with your rights: it can read and delete "
              "your files. Do this only inside a container or for code that you trust.")
    elif wanted != "bubblewrap":
        sys.exit(f"ISOLATION must be bubblewrap or none; got {wanted!r}.")
    elif bubblewrap_works():
        print("Isolation: bubblewrap. No network, no files but the assignment's, no rights.")
        for gap in gaps():
            print(f"  {gap}")
    else:
        sys.exit("Students' code is graded inside bubblewrap, which is not installed here or may "
                 "not make namespaces. On Debian and Ubuntu: apt install bubblewrap; from Ubuntu "
                 "24.04 on also sysctl kernel.apparmor_restrict_unprivileged_userns=0. On macOS "
                 "and Windows grade in a container, as the book's page for instructors shows. "
                 "ISOLATION=none grades without protection.")
    return wanted


def chosen_again(again, submissions):
    """The submissions that AGAIN names: all, or those of some students; leaves if there are none.

    A name may be followed by /assignment, names are separated by semicolons.
    """
    if again.strip().lower() == "all":
        return submissions
    chosen = []
    for name in filter(None, map(str.strip, again.split(";"))):
        student, _, assignment = name.partition("/")
        found = [work for work in find_student(student, submissions)
                 if same(assignment) in ("", work.assignment)]
        if not found:
            known = sorted({work.student for work in submissions})
            close = difflib.get_close_matches(student, known, cutoff=0.4) or known[:10]
            sys.exit(f"AGAIN: nobody called {name} handed in a notebook. Nothing was graded, and "
                     f"nothing changed. There are {', '.join(close)}. Several names are "
                     "separated by semicolons; “all” grades everybody again.")
        chosen += found
    return chosen


def find_all(folder, left, path):
    """(what can be graded, what cannot) of a folder; leaves where there is nothing to grade."""
    names, courses = list_assignments(), made_courses()
    everything = find_submissions(folder, names, left, lambda one: assignment_told(one, courses))
    works = [work for work in everything if not work.result]
    if not works:
        told = "".join(f"\n  {work.result['problem']}" for work in everything[:20])
        sys.exit(f"There is no notebook of this course in {path}. Its name must hold that of "
                 f"the assignment, such as {names[0]}.ipynb, in a folder for each student.{told}")
    return works, [work for work in everything if work.result]


def complete(works, others, course):
    """Give the others the assignment and course of the works, where these have but one."""
    only = {work.assignment for work in works}
    for other in others:
        other.assignment = other.assignment or (min(only) if len(only) == 1 else "")
        other.course = course
    return works + others


def add_roster(run, path, column):
    """Match the run with a class list, and add whoever in it handed in nothing."""
    run.roster = read_roster(path)
    assignments = sorted({work.assignment for work in run.submissions} - {""})
    run.columns = choose_columns(run.roster, assignments, column)
    run.found, strangers = match(run.submissions, run.roster)
    run.said += strangers
    for text in strangers:
        print(f"  {text}")
    for assignment in assignments:
        there = {run.found[work.student].row for work in run.submissions
                 if work.assignment in (assignment, "") and work.student in run.found}
        run.submissions += [
            Submission(one.name, assignment, None, {"ungraded": True, "problem": ABSENT},
                       course=run.course, name=one.name, numbers=(one.identifier, *one.numbers))
            for one in run.roster.people if one.row not in there]


def prepare(run, overrides):
    """Read roster, late policy and overrides: all that may be wrong is said before work begins."""
    setting = run.results.setting
    roster, column = (os.environ.get(name, "") for name in ("ROSTER", "COLUMN"))
    if roster:      # tools/make.py has made a path of "none" as well
        roster = Path(roster).expanduser().resolve()
        roster = "none" if roster.name == "none" else str(roster)
    roster, column = setting("ROSTER", roster), setting("COLUMN", column)
    if roster:
        add_roster(run, roster, column)
    run.late = parse_late(setting("LATE", os.environ.get("LATE", "")))
    run.results.save_settings()
    if not overrides.exists():
        overrides.write_text(TEMPLATE, encoding="utf8")
        print(f"For points and comments by hand: {overrides}")
    run.changes = read_overrides(overrides, run.submissions, list_assignments())


def recall(run, works, again):
    """Take over what is graded already, apart from what is to be graded again."""
    anew = chosen_again(again, works) if again else []
    possible = [work for work in works if not work.result]     # others have a course not made here
    for work in possible:
        run.results.recall(work)
        if work in anew:
            work.result = {}
    done = sum(bool(work.result) for work in possible)
    if done:
        print(f"{done} of {len(works)} submissions are graded already, and kept.")


def finish(run, lost):
    """Write everything once more, as the changes may concern what was graded before."""
    for work in run.submissions:
        absent = work.result.get("problem") == ABSENT
        changed = (work.student, work.assignment) in run.changes
        if work.assignment and work.result and (changed or not absent):
            run.write_page(work)
    run.write_table()
    run.write_rest()
    if lost:
        sys.exit(f"{len(lost)} results could not be written to {run.results.folder}, see above: "
                 f"{', '.join(work.student for work in lost)}")


def beside(path, what):
    """A path beside the submissions: week1-graded beside the folder week1, or week1.zip."""
    return path.with_name(f"{path.stem if path.is_file() else path.name}-{what}")


def grade_into(folder, path, works, others, course, again):
    """Grade into the folder of results, which nobody else uses now."""
    run = Run(complete(works, others, course), Results(folder), course)
    prepare(run, beside(path, "overrides.csv"))
    recall(run, works, again)
    waiting = sum(not work.result for work in works)
    at_once, start = jobs(os.environ.get("JOBS", "")), time.monotonic()
    try:
        lost = grade_waiting(run, waiting, at_once) if waiting else []
    except KeyboardInterrupt:
        done = sum(bool(work.result) for work in works)
        finish(run, [])
        sys.exit(f"Stopped. {done} of {len(works)} submissions are graded: {folder}. The same "
                 "command goes on with the others.")
    finish(run, lost)
    print(f"{amount(waiting, 'submission')} in {time.monotonic() - start:.0f} s. "
          f"Grades and feedback: {folder}")


def grade_waiting(run, waiting, at_once):
    """Grade those that have no result yet; returns those whose results could not be written."""
    isolation = choose_isolation()
    with lock("grades"):        # side by side, two runs would take each other's time
        print(f"Grading {amount(waiting, 'submission')}, {at_once} at a time.", flush=True)
        return asyncio.run(grade_all(run, isolation, at_once))


def grade_folder(path, wanted, again=""):
    """Grade what was handed in with one course.

    path : folder or zip file. wanted : the course that the instructor names, or "". again : whom
    to grade again though nothing has changed, or "".
    """
    with open_submissions(path) as (folder, left):
        works, others = find_all(folder, left, path)
        course = choose_course(wanted, works)
        if not wanted:
            check_course(course)
        results = beside(path, "graded")
        with claim(results):
            grade_into(results, path, works, others, course, again)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--again", metavar="NAME", default=os.environ.get("AGAIN", ""),
                        help="grade one student again, NAME/assignment, or all")
    options = parser.parse_args()
    if not os.environ.get("SUBMISSIONS"):
        sys.exit("Say which folder holds the submissions: make grade SUBMISSIONS=dir")
    wanted = course_name() if os.environ.get("COURSE") else ""
    if wanted:
        check_course(wanted)
    grade_folder(Path(os.environ["SUBMISSIONS"]).expanduser().resolve(), wanted, options.again)


if __name__ == "__main__":
    main()
