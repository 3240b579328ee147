"""Grade a folder of submissions: `python tools/make.py grade SUBMISSIONS=dir COURSE=name`.

A folder in SUBMISSIONS is a student, with notebooks named as they were handed out anywhere in it;
a notebook that lies in SUBMISSIONS itself, as Canvas packs them (`somebody_123_a1_skipgram.ipynb`),
belongs to whoever its name begins with. The submissions stay as they are; beside their folder
comes `SUBMISSIONS-graded/`, with `grades.csv` and a page of feedback for each.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from assignments import COURSES, course_name, is_current, list_assignments
from feedback import Submission, points_of, write_feedback, write_table
from grade_one import SECONDS, plain
from sandbox import bubblewrap_works

from mmfuse_utils.cache import remove, write_then_rename

GRADE_ONE = Path(__file__).resolve().parent / "grade_one.py"
LEFTOVER = re.compile(r"/(\.ipynb_checkpoints|__MACOSX|\._|\.DS_Store)")
AT_ONCE = 2
SLACK = 60          # seconds that a grading process has beside those of the student's code


def find_submissions(folder, names):
    """All submissions of a folder, and the files that are none."""
    found, strange = {}, []
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_dir() or LEFTOVER.search(f"/{inside.as_posix()}"):
            continue
        name = next((name for name in names if name in path.name.lower()), "")
        before = path.name[:path.name.lower().find(name)].rstrip("_- ")
        student = readable(inside.parts[0] if len(inside.parts) > 1 else before)
        if not name or path.suffix.lower() != ".ipynb" or not student or path.is_symlink():
            strange.append(readable(inside.as_posix()))
            continue
        label = student
        while (label, name) in found:           # two files may claim one name: grade both
            label += " (again)"
        found[label, name] = Submission(label, name, path)
    return list(found.values()), strange


def readable(name):
    """A name that screens, tables and file systems take; "" for what is no name at all."""
    name = re.sub(r"[^\w.,()+@ /-]+", "_", name)         # \w: letters and digits of any script
    return "" if not re.search(r"\w", name) else re.sub(r"^[+@-]", "_", name)


def check_course(course):
    """Leave unless the course was made: what students have is graded with what made it."""
    if not (COURSES / course / "course.json").exists():
        made = ", ".join(sorted(path.parent.name for path in COURSES.glob("[!.]*/course.json")))
        sys.exit(f"There is no course {course}. Give the name under which the students' notebooks "
                 f"were made, as COURSE=name (made so far: {made or 'none'}), or make it first: "
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
    else:
        sys.exit("Students' code is graded inside bubblewrap, which is not installed here or may "
                 "not make namespaces. On Debian and Ubuntu: apt install bubblewrap; from Ubuntu "
                 "24.04 on also sysctl kernel.apparmor_restrict_unprivileged_userns=0. On macOS "
                 "and Windows grade in a container, as the book's page for instructors shows. "
                 "ISOLATION=none grades without protection.")
    return wanted


def grade(submission, course, isolation, number):
    """Grade one submission in a process of its own, and note the result in it."""
    with tempfile.TemporaryDirectory(prefix="mmfuse-") as temporary:
        result, log = Path(temporary, "result.json"), Path(temporary, "log.txt")
        command = [sys.executable, str(GRADE_ONE), str(COURSES / course / "nbgrader"),
                   submission.assignment, str(submission.path), str(result),
                   "--isolation", isolation, "--number", str(number)]
        try:
            with log.open("wb") as file:
                subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=file, timeout=SECONDS + SLACK)
            submission.result = json.loads(result.read_text(encoding="utf8"))
        except (subprocess.TimeoutExpired, FileNotFoundError):
            submission.result = {"problem": "Grading stopped without a result. Your instructor "
                                            "will look at it."}
            said = log.read_bytes()[-1000:].decode("utf8", "replace")
            print(f"No result for {submission.student}; the grading process said at last:\n"
                  f"{plain(said, 1000)}")


def grade_all(submissions, course, isolation):
    """Grade some submissions at a time, and say how far it got."""
    numbers = SimpleQueue()
    for number in range(AT_ONCE):
        numbers.put(number)

    def run(submission):
        number, start = numbers.get(), time.monotonic()
        try:
            grade(submission, course, isolation, number)
        finally:
            numbers.put(number)
        print(f"  {submission.student}, {submission.assignment}: {points_of(submission):g} points, "
              f"{time.monotonic() - start:.0f} s", flush=True)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(run, submissions))


def main():
    course, folder = course_name(), Path(os.environ.get("SUBMISSIONS", ""))
    if not os.environ.get("SUBMISSIONS") or not folder.is_dir():
        sys.exit("Say which folder holds the submissions: make grade SUBMISSIONS=dir")
    check_course(course)
    folder = folder.resolve()
    submissions, strange = find_submissions(folder, list_assignments())
    if not submissions:
        sys.exit(f"There is no notebook of this course in {folder}. Its name must hold that of the "
                 f"assignment, such as {list_assignments()[0]}.ipynb, in a folder for each student.")
    isolation, start = choose_isolation(), time.monotonic()
    grade_all(submissions, course, isolation)
    graded = folder.with_name(f"{folder.name}-graded")
    with write_then_rename(graded) as temporary:
        for submission in submissions:
            write_feedback(submission, course, temporary)
        write_table(submissions, course, temporary / "grades.csv")
        remove(graded)
    for path in strange:
        print(f"  not graded: {path} is not a notebook named after an assignment")
    print(f"{len(submissions)} submissions in {time.monotonic() - start:.0f} s. "
          f"Grades and feedback: {graded}")


if __name__ == "__main__":
    main()
