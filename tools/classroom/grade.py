"""Grade a folder of submissions: `python tools/make.py grade SUBMISSIONS=dir COURSE=name`.

A folder in SUBMISSIONS is a student, with notebooks named as they were handed out anywhere in it;
a notebook that lies in SUBMISSIONS itself, as Canvas packs them, belongs to whoever its name begins
with (`somebody_123_a1_skipgram.ipynb`). SUBMISSIONS may be a zip file of such a folder. It stays as
it is; beside it comes `SUBMISSIONS-graded/`, with `grades.csv` and a page of feedback for each,
written as they come.
"""

import asyncio
import contextlib
import itertools
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from assignments import COURSES, course_name, is_current, list_assignments
from clock import LONGEST
from feedback import points_of, write_feedback, write_table
from grade_one import plain
from sandbox import bubblewrap_works
from submissions import choose_course, find_submissions, made_courses, open_submissions

from mmfuse_utils.cache import lock

GRADE_ONE = Path(__file__).resolve().parent / "grade_one.py"
AT_ONCE = 2
SLACK = 60              # seconds that a grading process has beside those of the student's code
LARGEST_RESULT = 2**22  # bytes
TROUBLE = "Not graded, for a trouble of the grader's own. Your instructor will grade it again."
KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "SYSTEMROOT", "PYTHONUTF8")


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
    else:
        sys.exit("Students' code is graded inside bubblewrap, which is not installed here or may "
                 "not make namespaces. On Debian and Ubuntu: apt install bubblewrap; from Ubuntu "
                 "24.04 on also sysctl kernel.apparmor_restrict_unprivileged_userns=0. On macOS "
                 "and Windows grade in a container, as the book's page for instructors shows. "
                 "ISOLATION=none grades without protection.")
    return wanted


def start_results(submissions):
    """Make the folder for results beside that of the submissions; earlier results are kept.

    Leaves with a message where it cannot be made, before anything is graded.
    """
    name = submissions.stem if submissions.is_file() else submissions.name
    folder = submissions.with_name(f"{name}-graded")
    try:
        if folder.is_dir():
            earlier = (folder.with_name(f"{folder.name}-{i}") for i in itertools.count(1))
            kept = folder.rename(next(path for path in earlier if not path.exists()))
            print(f"Earlier results are kept in {kept}")
        folder.mkdir()
        write_table([], "", folder / "grades.csv")
    except OSError as error:
        sys.exit(f"Nothing was graded, because the results could not be written to {folder}: "
                 f"{error.strerror}. Copy the submissions to a place where you may write.")
    return folder


def environment(temporary):
    """What a grading process is told: where programs are, and a folder for all that it writes."""
    return {**{name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ},
            **dict.fromkeys(("HOME", "APPDATA", "TMPDIR", "TEMP", "TMP"), temporary)}


async def run_grade_one(submission, course, isolation):
    """Result and last words of one grading process; the result is {} where it left none."""
    with tempfile.TemporaryDirectory(prefix="mmfuse-", ignore_cleanup_errors=True) as temporary:
        result, log = Path(temporary, "result.json"), Path(temporary, "log.txt")
        with log.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                sys.executable, str(GRADE_ONE), str(COURSES / course / "nbgrader"),
                submission.assignment, str(submission.path), str(result), "--isolation", isolation,
                env=environment(temporary), stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL, stderr=file)
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), LONGEST + SLACK)
        finally:                    # also when the instructor stops the grading
            if process.returncode is None:
                process.kill()
                await process.wait()
        return read_result(result), tail(log)


def read_result(path):
    """What a grading process wrote, or {}."""
    if not path.exists():
        return {}
    with path.open("rb") as file:
        content = file.read(LARGEST_RESULT + 1)
    if len(content) > LARGEST_RESULT:
        raise ValueError(f"the result has more than {LARGEST_RESULT} bytes")
    result = json.loads(content)
    if not isinstance(result, dict):
        raise ValueError(f"the result is a {type(result).__name__}")
    return result


def tail(path, most=1000):
    """The end of a text file, however long it claims to be."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - most))
        return plain(file.read(most).decode("utf8", "replace"), most)


async def grade(submission, course, isolation):
    """Grade one submission, and note the result in it; whatever goes wrong becomes its problem.

    A grading process that leaves no result before the student's code has begun, or dies while it
    runs, is started once more: the trouble may be the grader's own.
    """
    for _ in range(2):
        try:
            result, said = await run_grade_one(submission, course, isolation)
        except Exception as error:  # what a hostile submission may do to its grading process
            result, said = {}, f"{type(error).__name__}: {error}"
        if result and not result.pop("unfinished", False):
            break
        print(f"No result for {submission.student}, {submission.assignment}; the grading process "
              f"said at last:\n{said}", flush=True)
    submission.result = result or {"ungraded": True, "problem": TROUBLE}


def keep(submission, submissions, course, folder):
    """Write a submission's page and the table so far; returns whether that went well."""
    graded = [submission for submission in submissions if submission.result]
    fine = True
    for write in (lambda: write_page(submission, course, folder),
                  lambda: write_table(graded, course, folder / "grades.csv")):
        try:
            write()
        except Exception as error:      # the others' results come first; this one is named
            print(f"  could not write to {folder}: {error}", flush=True)
            fine = False
    return fine


def write_page(submission, course, folder):
    """Write the page of feedback, also for a result that makes no sense."""
    try:
        write_feedback(submission, course, folder)
    except OSError:
        raise
    except Exception as error:
        print(f"  the result of {submission.student} cannot be read: {error!r}", flush=True)
        submission.result = {"ungraded": True, "problem": TROUBLE}
        write_feedback(submission, course, folder)


async def grade_all(submissions, course, isolation, folder):
    """Grade some submissions at a time; returns those whose results could not be written.

    Each result is written when it is there, so that whatever happens later takes none away.
    """
    free, unwritten = asyncio.Semaphore(AT_ONCE), []

    async def run(submission):
        async with free:
            start = time.monotonic()
            if not submission.result:
                await grade(submission, course, isolation)
        if not keep(submission, submissions, course, folder):
            unwritten.append(submission)
        told = (submission.result["problem"] if "ungraded" in submission.result
                else f"{points_of(submission):g} points, {time.monotonic() - start:.0f} s")
        print(f"  {submission.student}, {submission.assignment}: {told}", flush=True)

    async with asyncio.TaskGroup() as group:
        for submission in submissions:
            group.create_task(run(submission))
    return [submission for submission in unwritten
            if not keep(submission, submissions, course, folder)]


def grade_folder(path, wanted):
    """Grade what was handed in with one course.

    path : folder or zip file. wanted : the course that the instructor names, or "".
    """
    with open_submissions(path) as (folder, left):
        submissions, strange = find_submissions(folder, list_assignments())
        if not submissions:
            sys.exit(f"There is no notebook of this course in {path}. Its name must hold that of "
                     f"the assignment, such as {list_assignments()[0]}.ipynb, in a folder for "
                     "each student.")
        course = choose_course(wanted, submissions)
        if not wanted:
            check_course(course)
        isolation = choose_isolation()
        with lock("grades"):        # side by side, two runs would take each other's time
            results, start = start_results(path), time.monotonic()
            try:
                lost = asyncio.run(grade_all(submissions, course, isolation, results))
            except KeyboardInterrupt:
                done = sum(bool(submission.result) for submission in submissions)
                sys.exit(f"Stopped. {done} of {len(submissions)} submissions are graded: "
                         f"{results}")
    for name in [*strange, *left]:
        print(f"  not graded: {name} is not a notebook named after an assignment")
    if lost:
        sys.exit(f"{len(lost)} results could not be written to {results}, see above: "
                 f"{', '.join(submission.student for submission in lost)}")
    print(f"{len(submissions)} submissions in {time.monotonic() - start:.0f} s. "
          f"Grades and feedback: {results}")


def main():
    if not os.environ.get("SUBMISSIONS"):
        sys.exit("Say which folder holds the submissions: make grade SUBMISSIONS=dir")
    wanted = course_name() if os.environ.get("COURSE") else ""
    if wanted:
        check_course(wanted)
    grade_folder(Path(os.environ["SUBMISSIONS"]).expanduser().resolve(), wanted)


if __name__ == "__main__":
    main()
