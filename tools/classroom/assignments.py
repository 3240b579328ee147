"""Make a course's assignments from their sources: `python tools/make.py assignments COURSE=name`.

Each assignment is one notebook in `notebooks/assignments/` that holds stub, solution, public and
hidden tests in nbgrader's format, and one Python file that draws its data from the seed of the
course. Here they become, in `_build/courses/COURSE/`:

    students/    a zip for each assignment, with a README, without solutions and hidden tests
    solutions/   the executed notebooks, for the instructor
    nbgrader/    a course folder for nbgrader, which `make grade` uses
"""

import hashlib
import importlib
import json
import os
import random
import re
import shutil
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path

import nbformat
import numpy as np
from canaries import take_out, with_canaries
from cells import grading, is_picture, is_solution, is_test  # noqa: F401  (found here by others)
from filelock import FileLock
from handout import (EXAMPLE, add_expected_pictures, credits, draw_examples, readme,
                     take_pictures)
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbgrader.apps import NbGraderAPI
from nbgrader.preprocessors import ClearSolutions
from traitlets.config import Config

from mmfuse_utils.cache import content_key

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SOURCES = ROOT / "notebooks" / "assignments"
COURSES = ROOT / "_build" / "courses"
DEFAULT_COURSE = "words-meet-pixels"
CELL_TIMEOUT = 120  # seconds
QUIET = ["--IPKernelApp.log_level=ERROR"]
# nbgrader calls alembic by its name alone.
os.environ["PATH"] = sysconfig.get_path("scripts") + os.pathsep + os.environ.get("PATH", "")


def list_assignments():
    """Names of the assignments, such as "a1_skipgram", in the order of the course."""
    return [path.stem for path in sorted(SOURCES.glob("a*.ipynb"))]


def course_name():
    """The course's identifier, from the variable COURSE; leaves with a message if it is odd."""
    course = os.environ.get("COURSE") or DEFAULT_COURSE
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,40}", course):
        sys.exit("COURSE must be lower-case letters, digits and hyphens, such as "
                 f"vision101-2027; got {course!r}.")
    return course


def seed_of(course, name):
    """Seed of one assignment in one course: (course, assignment) decides, nothing else.

    >>> seed_of("a-course", "a1_skipgram") == seed_of("another-course", "a1_skipgram")
    False
    """
    return int(hashlib.sha256(f"{course}:{name}".encode()).hexdigest()[:8], 16)


def data_of(name):
    """The module that draws an assignment's data."""
    if str(SOURCES) not in sys.path:
        sys.path.insert(0, str(SOURCES))
    return importlib.import_module(name)


def make_data(name, course):
    """The arrays of an assignment for a course, by key."""
    return data_of(name).make_data(seed_of(course, name))


def read_source(name):
    """The instructor's notebook of an assignment."""
    return nbformat.read(SOURCES / f"{name}.ipynb", as_version=4)


class NamedStubs(ClearSolutions):
    """Puts in place of each solution an error that names the task and the function."""

    def preprocess_cell(self, cell, resources, cell_index):
        task = grading(cell).get("grade_id", "").removeprefix("task")
        function = re.search(r"(?m)^def (\w+)", cell.source)
        what = f"Task {task}: write {function[1]}" if function else f"Task {task}"
        self.code_stub = {"python": f'raise NotImplementedError("{what}")'}
        self.text_stub = "*Double-click here, and write your answer in place of this line.*"
        return super().preprocess_cell(cell, resources, cell_index)


def course_key(course):
    """Hash of everything that a course is made from."""
    digest = hashlib.sha256(course.encode())
    inputs = [path for folder in (SOURCES, ROOT / "mmfuse_utils") for path in folder.rglob("*")
              if path.is_file() and "__pycache__" not in path.parts]
    makers = [HERE / file for file in ("assignments.py", "cells.py", "handout.py", "readme.txt")]
    for path in [*sorted(inputs), ROOT / "requirements-dev.txt", *makers]:
        digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def execute(notebook, folder, name):
    """Run a notebook in a folder; leaves with a message when a cell of the solution fails.

    Each test runs beside its canary, as when it grades (see canaries.py), which must fail.
    """
    notebook.cells, twins = with_canaries(notebook.cells, is_test, random.Random(0))
    for cell in notebook.cells:
        if "canary" in cell.metadata:
            cell.metadata["tags"] = ["raises-exception"]
    try:
        NotebookClient(notebook, timeout=CELL_TIMEOUT, kernel_name="python3",
                       extra_arguments=QUIET,
                       resources={"metadata": {"path": str(folder)}}).execute()
    except CellExecutionError as error:
        sys.exit(f"The solution of {name} fails in this course, so no course was made. If you "
                 "have changed the assignment, look at your change; if you have not, it is a "
                 f"mistake of ours: please report it.\n{error}")
    notebook.cells = take_out(notebook.cells, twins)
    blind = [cell.metadata.nbgrader["grade_id"] for cell in notebook.cells
             if cell.metadata.pop("canary_error", "none there") == ""]
    if blind:
        sys.exit(f"The tests {', '.join(blind)} of {name} pass whatever numbers they expect, so "
                 "no course was made. A right answer must reach a `close` or a `same` of each "
                 "test, or, where there is none, a `holds`.")


def execute_with_examples(notebook, folder, name, course):
    """Run a solution in its folder, and leave nothing there; returns what students should see.

    Numbers for paper are drawn once more, as an example: other ones than the course's.
    """
    rng = np.random.default_rng(seed_of(f"{EXAMPLE}:{course}", name))
    example = folder / f"{EXAMPLE}.npz"
    np.savez(example, **data_of(name).paper_numbers(rng))
    draw_examples(notebook)
    execute(notebook, folder, name)
    example.unlink()
    # Its kernel may have compiled classroom.py there.
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)
    return take_pictures(notebook)


def make_source(name, course, folder):
    """Write data, solution and nbgrader's source of one assignment below the course's folder.

    Returns what the notebook tells of its course: hashes of the course's name and of the data.
    """
    source = folder / "nbgrader" / "source" / name
    (source / "expected").mkdir(parents=True)
    shutil.copyfile(SOURCES / "classroom.py", source / "classroom.py")
    (source / "licenses.txt").write_text(credits(), encoding="utf8")
    data = make_data(name, course)
    np.savez_compressed(source / f"{name}.npz", **data)
    notebook, executed = read_source(name), read_source(name)
    (source / "README.txt").write_text(readme(name, notebook), encoding="utf8")
    expected = execute_with_examples(executed, source, name, course)
    nbformat.write(executed, folder / "solutions" / f"{name}.ipynb")
    add_expected_pictures(notebook, expected, source / "expected")
    notebook.metadata["mmfuse_course"] = f"{content_key(course)}-{content_key(data)}"
    nbformat.write(notebook, source / f"{name}.ipynb")
    return notebook.metadata["mmfuse_course"]


def nbgrader_settings(folder):
    """nbgrader's settings for a course folder."""
    config = Config()
    config.CourseDirectory.root = str(folder)
    config.CourseDirectory.db_url = f"sqlite:///{folder / 'gradebook.db'}"
    config.GenerateAssignment.preprocessors = [
        "nbgrader.preprocessors.LockCells", NamedStubs, "nbgrader.preprocessors.ClearOutput",
        "nbgrader.preprocessors.CheckCellMetadata", "nbgrader.preprocessors.ComputeChecksums",
        "nbgrader.preprocessors.SaveCells", "nbgrader.preprocessors.ClearHiddenTests",
        "nbgrader.preprocessors.ComputeChecksums", "nbgrader.preprocessors.CheckCellMetadata"]
    return config


def release(name, folder):
    """Let nbgrader make the students' version of one assignment, and zip it."""
    config = nbgrader_settings(folder / "nbgrader")
    result = NbGraderAPI(config=config).generate_assignment(name, force=True, create=True)
    if not result["success"]:
        sys.exit(f"nbgrader could not make the students' version of {name}:\n{result['log']}")
    released = folder / "nbgrader" / "release" / name
    with zipfile.ZipFile(folder / "students" / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(released.rglob("*")):
            file.write(path, Path(name, path.relative_to(released)))


def make_course(course):
    """Make all assignments of a course anew, and rename the whole into place.

    They are made in a temporary folder, since nbgrader takes brackets in a path for a pattern.
    """
    with tempfile.TemporaryDirectory(prefix="mmfuse-") as temporary:
        folder, whole = Path(temporary).resolve() / course, COURSES / f".{course}"
        for part in ("students", "solutions", "nbgrader"):
            (folder / part).mkdir(parents=True)
        told = {"course": course, "key": course_key(course), "notebooks": {}}
        for name in list_assignments():
            print(f"  {name} …", flush=True)
            told["notebooks"][name] = make_source(name, course, folder)
            release(name, folder)
        (folder / "course.json").write_text(json.dumps(told), encoding="utf8")
        shutil.rmtree(whole, ignore_errors=True)
        shutil.copytree(folder, whole)
    keep_former(course)
    os.replace(whole, COURSES / course)


def keep_former(course):
    """Move a course that was made before out of the way: students may have its notebooks."""
    former = COURSES / f".{course}-before"
    if (COURSES / course).exists():
        shutil.rmtree(former, ignore_errors=True)
        os.replace(COURSES / course, former)
        print(f"  The course was made before, from other sources. What students may have of it is "
              f"graded with what made it: that is kept in {former}, until this course is made "
              "once more. Move it back if they have it.")


def is_current(course):
    """Whether the course was made from the present sources."""
    path = COURSES / course / "course.json"
    return path.exists() and json.loads(path.read_text())["key"] == course_key(course)


def main():
    course = course_name()
    COURSES.mkdir(parents=True, exist_ok=True)
    with FileLock(COURSES / f"{course}.lock"):
        if is_current(course):
            print(f"Assignments of the course {course}: nothing changed since they were made.")
        else:
            print(f"Assignments of the course {course}:", flush=True)
            make_course(course)
    print(f"For students: {COURSES / course / 'students'}\n"
          f"For instructors only: {COURSES / course / 'solutions'}")


if __name__ == "__main__":
    main()
