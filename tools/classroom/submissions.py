"""What was handed in: which files are notebooks, whose they are, and for which course.

A file is looked at here only as bytes; it is read as a notebook in a process of its own.
"""

import contextlib
import itertools
import json
import os
import re
import sys
import tempfile
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from assignments import COURSES
from grade_one import LARGEST

LEFTOVER = re.compile(r"/(\.ipynb_checkpoints|__MACOSX|\._|\.DS_Store)")
LONGEST = 150       # bytes of a student's name: file systems take 255, a number may follow
ELSEWHERE = "a course that was not made here"
COURSE_TOLD = re.compile(rb'"mmfuse_course"\s*:\s*"([0-9a-f]{16}-[0-9a-f]{16})"')


@dataclass
class Submission:
    """One student's notebook for one assignment, and what came of it (see grade_one.py)."""

    student: str
    assignment: str
    path: Path
    result: dict = field(default_factory=dict)


@contextlib.contextmanager
def open_submissions(path):
    """Gives the folder of submissions, unpacked for as long as it is needed where it is a zip
    file, and the names of what was not unpacked. Leaves with a message for anything else."""
    if path.is_dir():
        yield path, []
    elif zipfile.is_zipfile(path):
        with tempfile.TemporaryDirectory(prefix="mmfuse-") as temporary:
            try:
                left = unpack(path, Path(temporary))
            except zipfile.BadZipFile as error:
                sys.exit(f"The zip file {path} is damaged: {error}. Download it again.")
            inside = list(Path(temporary).iterdir())
            # A folder that was packed as a whole, such as week1/ in week1.zip.
            whole = len(inside) == 1 and path.stem.startswith(inside[0].name)
            yield (inside[0] if whole and inside[0].is_dir() else Path(temporary)), left
    else:
        what = "is a file, and no zip file" if path.exists() else "is not there"
        sys.exit(f"SUBMISSIONS must be the folder with the submissions, or a zip file of it; "
                 f"{path} {what}.")


def unpack(path, folder):
    """Unpack the notebooks of a zip file; returns the names of the files that are left out."""
    left = []
    with zipfile.ZipFile(path) as file:
        for entry in file.infolist():
            if entry.is_dir() or LEFTOVER.search(f"/{entry.filename}"):
                continue
            try:
                if not entry.filename.lower().endswith(".ipynb") or entry.file_size > LARGEST:
                    left.append(entry.filename)
                else:
                    file.extract(entry, folder)     # never outside of the folder
            except Exception:       # whatever a damaged or encrypted entry makes the reader say
                left.append(entry.filename)
    return left


def list_files(folder):
    """Files below a folder in order, with folders that cannot be read; follows no links."""
    files, waiting = [], [folder]
    while waiting:                  # no recursion: folders may be nested as deep as they like
        here = waiting.pop()
        try:
            with os.scandir(here) as entries:
                for entry in entries:
                    path = Path(entry.path)
                    (waiting if entry.is_dir(follow_symlinks=False) else files).append(path)
        except OSError:
            files.append(here)
    return sorted(files)


def find_submissions(folder, names):
    """All submissions of a folder, and the files that are none.

    Two files may claim one name: both are graded, and those after the first come last, so that
    nobody waits for somebody's thirty copies.
    """
    first, again, strange = {}, [], []
    for path in list_files(folder):
        inside = path.relative_to(folder)
        if LEFTOVER.search(f"/{inside.as_posix()}"):
            continue
        name = next((name for name in names if name in path.name.lower()), "")
        before = path.name[:path.name.lower().find(name)].rstrip("_- ")
        student = shorten(readable(inside.parts[0] if len(inside.parts) > 1 else before))
        if (not name or path.suffix.lower() != ".ipynb" or not student or path.is_symlink()
                or not path.is_file()):
            strange.append(readable(inside.as_posix()))
        elif (student, name) in first:
            again.append(Submission(student, name, path))
        else:
            first[student, name] = Submission(student, name, path)
    for submission in again:
        labels = (f"{submission.student} ({i})" for i in itertools.count(2))
        submission.student = next(label for label in labels
                                  if (label, submission.assignment) not in first)
        first[submission.student, submission.assignment] = submission
    return list(first.values()), strange


def readable(name):
    """A name that screens, tables and file systems take; "" for what is no name at all."""
    name = re.sub(r"[^\w.,()+@ /-]+", "_", name)         # \w: letters and digits of any script
    return "" if not re.search(r"\w", name) else re.sub(r"^[+@-]", "_", name)


def shorten(name):
    """A name of at most LONGEST bytes."""
    return name.encode()[:LONGEST].decode(errors="ignore")


def made_courses():
    """What each course that was made has handed out: {course: {assignment: what it tells}}."""
    return {path.parent.name: json.loads(path.read_text(encoding="utf8")).get("notebooks", {})
            for path in sorted(COURSES.glob("[!.]*/course.json"))}


def course_of(submission, courses):
    """(course that a notebook was handed out for, whether with the data that it has now).

    The course is "" where the notebook does not tell, as some programs drop what they do not
    know, and ELSEWHERE where it is none of `courses`.
    """
    with submission.path.open("rb") as file:
        told = COURSE_TOLD.search(file.read(LARGEST))
    if not told:
        return "", True
    told = told[1].decode()
    for course, notebooks in courses.items():
        known = notebooks.get(submission.assignment, "")
        if known.partition("-")[0] == told.partition("-")[0]:
            return course, known == told
    return ELSEWHERE, True


def choose_course(wanted, submissions):
    """The course to grade with; submissions of other courses get a result that says so.

    wanted : the course that the instructor names, or "". Leaves with a message where nothing
    tells which course it should be, or where all notebooks belong to other ones.
    """
    courses = made_courses()
    told = [course_of(submission, courses) for submission in submissions]
    votes = Counter(course for course, _ in told)
    likely = [course for course, _ in votes.most_common() if course not in ("", ELSEWHERE)]
    if wanted and not votes[wanted] and not votes[""]:
        sys.exit(f"None of these notebooks was made for the course {wanted}: they belong to "
                 f"{' and '.join(likely or [ELSEWHERE])}. Give its name as COURSE=name.")
    only = list(courses) if votes[""] and len(courses) == 1 else []
    course = wanted or (likely or only or [""])[0]
    if not course:
        sys.exit("Say for which course these notebooks were made, as COURSE=name; they do not "
                 f"tell, or none of those is here (made so far: {', '.join(courses) or 'none'}).")
    if not wanted:
        print(f"COURSE is not given. Grading the course {course}, "
              + ("to which the notebooks belong." if likely else "the only one that was made."))
    for submission, (belongs, current) in zip(submissions, told, strict=True):
        if belongs not in ("", course):
            submission.result = {"ungraded": True, "problem": (
                f"Not graded: this notebook belongs to {belongs}, not to {course}.")}
        elif not current:
            print(f"  {submission.student} has other data for {submission.assignment} than "
                  f"{course} has now: it was made anew after the notebooks were handed out.")
    return course
