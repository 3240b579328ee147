"""Grading processes: one for each submission, and what is made of whatever becomes of it."""

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from pathlib import Path

from assignments import COURSES
from clock import LONGEST
from grade_one import plain
from results import TROUBLE

GRADE_ONE = Path(__file__).resolve().parent / "grade_one.py"
SLACK = 60              # seconds that a grading process has beside those of the student's code
LARGEST_RESULT = 2**22  # bytes
MOST_AT_ONCE = 64
KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "SYSTEMROOT", "PYTHONUTF8")


def jobs(wanted=""):
    """How many submissions are graded at a time: JOBS, or one for each core of this machine.

    >>> jobs("3")
    3
    """
    if wanted:
        if not wanted.isdecimal() or not 1 <= int(wanted) <= MOST_AT_ONCE:
            sys.exit(f"JOBS must be a number from 1 to {MOST_AT_ONCE}; got {wanted!r}.")
        return int(wanted)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(cores or 1, MOST_AT_ONCE)


def environment(temporary):
    """What a grading process is told: where programs are, and a folder for all that it writes."""
    return {**{name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ},
            **dict.fromkeys(("HOME", "APPDATA", "TMPDIR", "TEMP", "TMP"), temporary)}


async def run_grade_one(submission, isolation):
    """Result and last words of one grading process; the result is {} where it left none."""
    with tempfile.TemporaryDirectory(prefix="mmfuse-", ignore_cleanup_errors=True) as temporary:
        result, log = Path(temporary, "result.json"), Path(temporary, "log.txt")
        with log.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                sys.executable, str(GRADE_ONE), str(COURSES / submission.course / "nbgrader"),
                submission.assignment, str(submission.path), str(result), "--isolation", isolation,
                "--parent", str(os.getpid()), env=environment(temporary),
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=file)
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


async def grade(submission, isolation):
    """Grade one submission, and note the result in it; whatever goes wrong becomes its problem.

    A grading process that leaves no result before the student's code has begun, or dies while it
    runs, is started once more: the trouble may be the grader's own.
    """
    for _ in range(2):
        try:
            result, said = await run_grade_one(submission, isolation)
        except Exception as error:  # what a hostile submission may do to its grading process
            result, said = {}, f"{type(error).__name__}: {error}"
        if result and not result.pop("unfinished", False):
            break
        print(f"No result for {submission.student}, {submission.assignment}; the grading process "
              f"said at last:\n{said}", flush=True)
    submission.result = result or {"ungraded": True, "problem": TROUBLE}
