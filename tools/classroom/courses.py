"""For which course a notebook was handed out, which its fingerprint tells (see assignments.py)."""

import json
import re
import sys
from collections import Counter

from assignments import COURSES
from grade_one import LARGEST

ELSEWHERE = "a course that was not made here"
TOLD = re.compile(rb'"mmfuse_course"\s*:\s*"([0-9a-f]{16}-[0-9a-f]{16})"')


def made_courses():
    """What each course that was made has handed out: {course: {assignment: what it tells}}."""
    return {path.parent.name: json.loads(path.read_text(encoding="utf8")).get("notebooks", {})
            for path in sorted(COURSES.glob("[!.]*/course.json"))}


def fingerprint(path):
    """What a notebook tells of its course, "" where a program dropped it."""
    try:
        with path.open("rb") as file:
            told = TOLD.search(file.read(LARGEST))
    except OSError:
        return ""
    return told[1].decode() if told else ""


def assignment_told(path, courses):
    """The assignment that a notebook itself tells, or "" where it does not or no course knows."""
    told = fingerprint(path)
    return next((name for known in courses.values() for name, of in known.items()
                 if told and of == told), "")


def course_of(submission, courses):
    """(course that a notebook was handed out for, whether with the data that it has now).

    The course is "" where the notebook does not tell, as some programs drop what they do not
    know, and ELSEWHERE where it is none of `courses`.
    """
    told = fingerprint(submission.path)
    if not told:
        return "", True
    for course, notebooks in courses.items():
        known = notebooks.get(submission.assignment, "")
        if known.partition("-")[0] == told.partition("-")[0]:
            return course, known == told
    return ELSEWHERE, True


def choose_course(wanted, submissions):
    """Give each submission its course, and return that of most of them.

    wanted : the course that the instructor names, or "". A notebook of another course that was
    made here is graded with that one; of a course that is not here, it gets a result that says so.
    Leaves with a message where nothing tells which course it is, or all belong to other ones.
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
        why = "to which the notebooks belong" if likely else "the only one that was made"
        print(f"COURSE is not given. Grading the course {course}, {why}.")
    for submission, (belongs, current) in zip(submissions, told, strict=True):
        assign_course(submission, course, belongs, current)
    return course


def assign_course(submission, course, belongs, current):
    """Note in a submission which course grades it, and what there is to say about that."""
    submission.course = belongs if belongs not in ("", ELSEWHERE) else course
    if belongs == ELSEWHERE:
        submission.result = {"ungraded": True, "problem": (
            f"Not graded: this notebook belongs to {ELSEWHERE}, not to {course}.")}
    elif submission.course != course:
        submission.said.append(f"This notebook belongs to the course {belongs}, not to {course}, "
                               "and was graded with its own.")
    if not current:
        submission.said.append(f"It has other data than {submission.course} has now: the course "
                               "was made anew after the notebook was handed out.")
