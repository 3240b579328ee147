"""Grade one submission in a process of its own; `make grade` starts one for each.

nbgrader restores the tests and saves the points. What it runs is our own merge of the handed-out
notebook with the student's answers, so that nothing else of the submission counts, and its kernel
runs in the sandbox. Prints nothing; writes a JSON file, once before the student's code runs and
again when all is done: without the first, the trouble was the grader's own.
"""

import argparse
import json
import os
import re
import shutil
import tempfile
from collections import defaultdict
from pathlib import Path

import nbformat
from assignments import grading, is_picture, is_solution, is_test, nbgrader_settings
from canaries import tricks
from execution import ENDED, SandboxedExecute, write_result
from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderAPI
from sandbox import claim_user, die_with_parent, kernel_command
from sandbox_kernel import set_limits

LARGEST = 20 * 2**20        # bytes of a notebook file
WRITTEN = "written"         # the cell of the answer that is graded by hand
SOURCE = 20_000             # characters of an answer that the instructor's page may need
STUDENT = "student"
MEMORY = 4 * 2**30          # bytes of address space for this process
UNCLEAR = {"name": "Unclear", "message": "The result of this test is not clear. Your instructor "
                                         "will look at it."}


class SubmissionError(Exception):
    """A submission that cannot be graded; the message is for the student."""


def read_submission(path):
    """The notebook of a submission; SubmissionError says what is wrong with the file."""
    size = path.stat().st_size
    if size == 0:
        raise SubmissionError("The file is empty. Save the notebook, look at it, and hand it in "
                              "again.")
    if size > LARGEST:
        raise SubmissionError(f"The file has {size / 2**20:.0f} MB; at most {LARGEST // 2**20} "
                              "are read. Clear all outputs, save, and hand it in again.")
    try:
        notebook = nbformat.reads(path.read_text(encoding="utf-8-sig"), as_version=4)
        nbformat.writes(notebook).encode()
        return notebook
    except Exception as error:      # whatever a hostile file makes the parser say
        raise SubmissionError("The file is not a Jupyter notebook. Hand in the .ipynb file "
                              "itself, not a PDF, a script or a web page.") from error


def merge(released, submitted):
    """The handed-out notebook with the student's answers, and their own cells beside these."""
    answers, own = sort_out({cell_id(cell): cell for cell in released.cells if cell_id(cell)},
                            submitted)
    cells = []
    for cell in released.cells:
        if cell.cell_type == "code" and not is_picture(cell):
            if is_solution(cell):
                cell.source = answers.get(cell_id(cell), "")
            cells += [cell, *own[cell_id(cell)]]
    released.cells = cells
    return released


def sort_out(known, submitted):
    """Answers by the name of their cell, and a student's own cells by that of the one before.

    Of the cells that were handed out, only the answers are taken from the submission, also from a
    cell that became text by a slip of a key. An answer whose cell is gone may stand in a cell of
    the student's own.
    """
    answers, own, place = {}, defaultdict(list), "setup"
    for cell in submitted.cells:
        key = cell_id(cell)
        of = known.get(key)
        answer = of is not None and is_solution(of) and of.cell_type == "code"
        if not (answer or cell.cell_type == "code") or (of is not None and is_picture(of)):
            continue
        if of is not None and (not answer or key not in answers):
            place, answers[key] = key, cell.source
        else:                       # a cell of their own, or a second copy of an answer
            own[place].append(nbformat.v4.new_code_cell(cell.source))
    return answers, own


def cell_id(cell):
    """nbgrader's name of a cell, or None; a submission may hold anything there."""
    told = grading(cell)
    key = told.get("grade_id") if isinstance(told, dict) else None
    return key if isinstance(key, str) else None


def lay_out(course, name, submitted, folder):
    """A course folder for nbgrader with this one submission in it."""
    shutil.copytree(course / "source" / name, folder / "source" / name)
    shutil.copyfile(course / "gradebook.db", folder / "gradebook.db")
    released = nbformat.read(course / "release" / name / f"{name}.ipynb", as_version=4)
    target = folder / "submitted" / STUDENT / name / f"{name}.ipynb"
    target.parent.mkdir(parents=True)
    try:
        nbformat.write(merge(released, submitted), target)
    except Exception as error:      # whatever stands where the source of a cell should be
        raise SubmissionError("The notebook's cells are damaged. Open it in Jupyter, save it, "
                              "and hand it in again.") from error


def add_kernel(folder, name, isolation, user):
    """Tell Jupyter of the sandboxed kernel; returns the path of its connection file."""
    files = [path for path in (folder / "source" / name).iterdir()
             if path.is_file() and path.suffix != ".ipynb"]
    sockets, work, spec = (folder / part for part in ("s", "work", "kernels/sandbox"))
    for path in (sockets, work, spec):
        path.mkdir(parents=True)
    sockets.chmod(0o777)            # the folder around it is private
    for path in files:
        shutil.copy(path, work)
    command = kernel_command(isolation, sockets, work, user)
    (spec / "kernel.json").write_text(json.dumps({
        "argv": command, "display_name": "sandbox", "language": "python",
        "interrupt_mode": "message"}), encoding="utf8")
    os.environ["JUPYTER_PATH"] = str(folder)
    return sockets / "kernel.json"


def autograde(course, name, submitted, isolation, path):
    """Run nbgrader on one submission; returns (executed notebook, points by test).

    path : the file for the result, where it is noted that the student's code has begun.
    """
    # The path of a socket may have a hundred characters, so no long name here.
    user, claim = claim_user()
    with claim, tempfile.TemporaryDirectory(prefix="mmfuse-") as temporary:
        folder = Path(temporary).resolve()
        lay_out(course, name, submitted, folder)
        config = nbgrader_settings(folder)
        config.Autograde.autograde_preprocessors = [
            SandboxedExecute, "nbgrader.preprocessors.SaveAutoGrades"]
        config.SandboxedExecute.update(kernel_name="sandbox", timeout=None, result=path)
        if isolation == "bubblewrap":       # sockets in a folder, as it has no network
            config.KernelManager.transport = "ipc"
        config.KernelManager.connection_file = str(add_kernel(folder, name, isolation, user))
        result = NbGraderAPI(config=config).autograde(name, STUDENT)
        if not result["success"]:
            raise RuntimeError(f"nbgrader failed:\n{result['log']}")
        with Gradebook(config.CourseDirectory.db_url) as gradebook:
            grades = gradebook.find_submission_notebook(name, name, STUDENT).grades
            points = {grade.name: grade.auto_score or 0 for grade in grades}
        done = folder / "autograded" / STUDENT / name / f"{name}.ipynb"
        return nbformat.read(done, as_version=4), points


def error_of(cell, answers=()):
    """Name and message of the error that a cell ended with, or None.

    answers : cells of answers; where the error came from one of them, its line is told as well.
    """
    for output in cell.outputs:
        error = {"name": plain(output.ename, 60), "message": plain(output.evalue, 600)}
        told = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(map(str, output.traceback)))
        by_count = {str(cell.execution_count): cell.source.splitlines() for cell in answers}
        for count, line in reversed(re.findall(r"Cell In\[(\d+)\], line (\d{1,6})", told)):
            if 0 < int(line) <= len(by_count.get(count, ())):
                return error | {"line": int(line), "code": plain(by_count[count][int(line) - 1],
                                                                 200)}
        return error
    return None


def plain(text, longest):
    """Text without control characters, cut to a length."""
    text = "".join(letter for letter in str(text) if letter.isprintable() or letter == "\n")
    return text if len(text) <= longest else text[:longest - 1] + "…"


def report(notebook, points):
    """What the feedback is made from: points and errors by cell, and what there is to look at.

    A test counts if its canary failed as it must. RuntimeError when the setup failed, which comes
    before everything of the student's.
    """
    cells, tests, look = notebook.cells, [], []
    if error_of(cells[0]):
        raise RuntimeError(f"the setup cell failed: {error_of(cells[0])}")
    answers = [cell for cell in cells if is_solution(cell)]
    for cell in filter(is_test, cells):
        alarm = cell.metadata.get("canary_error", "none there")
        error = error_of(cell, answers) or (None if alarm not in ("", ENDED) else UNCLEAR)
        tests.append({"test": cell_id(cell), "points": 0 if error else points[cell_id(cell)],
                      "error": error})
        if not alarm:
            look.append(f"{cell_id(cell)} also passed when its numbers were false")
    look += [f"{place}: {', '.join(found)}" for place, found in uses(cells)]
    return {"look": look, "stopped": notebook.metadata["stopped"], "tests": tests,
            "answers": {cell_id(cell): error_of(cell, [cell]) for cell in answers},
            "sources": {cell_id(cell): plain(cell.source.expandtabs(4), SOURCE)
                        for cell in answers}}


def uses(cells):
    """(place, names) for each answer or cell of a student's own that uses what few need."""
    place = "a cell at the beginning"
    for cell in cells[1:]:
        if is_test(cell):
            place = f"a cell after {cell_id(cell)}"
        elif found := tricks(cell.source):
            yield (cell_id(cell) or place), found


def written_answer(submitted):
    """The answer that is graded by hand, "" where there is none."""
    for cell in submitted.cells:
        if cell_id(cell) == WRITTEN and isinstance(cell.source, str):
            return plain(cell.source.expandtabs(4), SOURCE)
    return ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("course", type=Path, help="nbgrader's folder of the course")
    parser.add_argument("name", help="the assignment")
    parser.add_argument("submission", type=Path)
    parser.add_argument("result", type=Path, help="JSON file to write")
    parser.add_argument("--isolation", choices=("bubblewrap", "none"), default="bubblewrap")
    parser.add_argument("--parent", type=int, default=0,
                        help="number of the process with which this one ends")
    options = parser.parse_args()
    die_with_parent(options.parent)
    set_limits(MEMORY)
    try:
        submitted = read_submission(options.submission)
        notebook, points = autograde(options.course, options.name, submitted, options.isolation,
                                     options.result)
        result = report(notebook, points) | {"written": written_answer(submitted)}
    except SubmissionError as error:
        result = {"problem": str(error)}
    write_result(options.result, result)


if __name__ == "__main__":
    main()
