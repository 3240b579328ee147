"""Grade one submission in a process of its own; `make grade` starts one for each.

nbgrader restores the tests and saves the points. What it runs is our own merge of the handed-out
notebook with the student's answers, so that nothing else of the submission counts, and its kernel
runs in the sandbox. Prints nothing; writes a JSON file, once before the student's code runs and
again when all is done: without the first, the trouble was the grader's own.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections import defaultdict
from pathlib import Path

import nbformat
from assignments import grading, is_picture, is_solution, nbgrader_settings
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderAPI
from nbgrader.preprocessors import Execute
from sandbox import claim_user, kernel_command
from sandbox_kernel import set_limits
from traitlets import Any

LARGEST = 20 * 2**20        # bytes of a notebook file
KEPT = 2**22                # characters of a kernel's messages
CELL_SECONDS, SECONDS = 30, 120
WRITTEN = "written"         # the cell of the answer that is graded by hand
SOURCE = 20_000             # characters of an answer that the instructor's page may need
STUDENT, NOT_RUN = "student", "NotRun"
MEMORY = 4 * 2**30          # bytes of address space for this process
# Run after each test: where these false statements do not fail, someone has disarmed the tests.
CANARIES = ("# Task 1, hidden test\nassert 1 == 2",
            "# Task 1, hidden test\nfrom classroom import close\nclose([1.0], [2.0], '1 is 2', 0.5)")


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
    """The handed-out notebook with the student's answers, and their own cells beside these.

    Of the cells that were handed out, only the answers are taken from the submission. An answer
    whose cell is gone may stand in a cell of the student's own.
    """
    known = {cell_id(cell): cell for cell in released.cells if cell_id(cell)}
    answers, own, place = {}, defaultdict(list), "setup"
    for cell in submitted.cells:
        key = cell_id(cell)
        if cell.cell_type != "code" or (key in known and is_picture(known[key])):
            continue
        if key in known and (not is_solution(known[key]) or key not in answers):
            place, answers[key] = key, cell.source
        else:                       # a cell of their own, or a second copy of an answer
            own[place].append(nbformat.v4.new_code_cell(cell.source))
    cells = []
    for cell in released.cells:
        if cell.cell_type == "code" and not is_picture(cell):
            if is_solution(cell):
                cell.source = answers.get(cell_id(cell), "")
            guards = CANARIES if grading(cell)["grade"] else ()
            cells += [cell, *map(nbformat.v4.new_code_cell, guards), *own[cell_id(cell)]]
    released.cells = cells
    return released


def cell_id(cell):
    """nbgrader's name of a cell, or None; a submission may hold anything there."""
    told = grading(cell)
    key = told.get("grade_id") if isinstance(told, dict) else None
    return key if isinstance(key, str) else None


class SandboxedExecute(Execute):
    """Runs the cells in the sandbox, within limits, and never takes silence for success."""

    raise_on_iopub_timeout = False      # who prints without end loses the prints, no more
    result = Any(help="file that tells that the student's code has begun").tag(config=True)

    def preprocess(self, nb, resources, km=None):
        self.budget, self.stopped, self.ran = KEPT, "", set()
        timer = threading.Timer(SECONDS, self.stop_kernel)
        timer.start()
        try:
            nb, resources = super().preprocess(nb, resources, km)
        except (DeadKernelError, CellTimeoutError):
            if not self.ran:        # the kernel did not start, which is no fault of the student's
                raise
            self.stopped = self.stopped or "Python ended while it ran your code"
        finally:
            timer.cancel()
        for i, cell in enumerate(nb.cells):
            self.keep_errors(cell, i in self.ran)
        nb.metadata["stopped"] = self.stopped
        return nb, resources

    def start_new_kernel(self, **options):
        """Start the kernel with no file of ours open, not even one to complain to."""
        super().start_new_kernel(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)

    def on_cell_executed(self, **told):
        """Note which cells the kernel has answered for."""
        super().on_cell_executed(**told)
        self.ran.add(told["cell_index"])

    def on_notebook_start(self, **told):
        """Kernel and grader are connected: take the folder away, so that nothing is left in it."""
        shutil.rmtree(Path(self.km.connection_file).parent)
        write_result(self.result, {"unfinished": True, "problem": (
            "Grading stopped while your code ran, and gave no points. Your instructor will look "
            "at it.")})

    def stop_kernel(self):
        """End the kernel and all that it started."""
        self.stopped = f"The notebook ran for more than {SECONDS} seconds"
        process = self.km.provisioner.process
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()

    def process_message(self, msg, cell, cell_index):
        """Keep the first of what a notebook says; that a cell failed, its reply tells as well."""
        if msg["msg_type"] != "status":
            self.budget -= len(repr(msg["content"]))
            if self.budget < 0:
                return None
        return super().process_message(msg, cell, cell_index)

    def keep_errors(self, cell, ran):
        """Leave only errors as outputs, and add one to a cell that never ran.

        nbgrader would take a warning for a failure and a cell without outputs for a success.
        """
        cell.outputs = [output for output in cell.outputs if output.output_type == "error"]
        if not ran and not cell.outputs:
            cell.outputs = [nbformat.v4.new_output(
                "error", ename=NOT_RUN, evalue="this cell did not run.", traceback=[])]


def write_result(path, result):
    path.write_text(json.dumps(result), encoding="utf8")


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
        config.SandboxedExecute.update(kernel_name="sandbox", timeout=CELL_SECONDS, result=path)
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


def error_of(cell):
    """Name and message of the error that a cell ended with, or None."""
    for output in cell.outputs:
        return {"name": plain(output.ename, 60), "message": plain(output.evalue, 600)}
    return None


def plain(text, longest):
    """Text without control characters, cut to a length."""
    text = "".join(letter for letter in str(text) if letter.isprintable() or letter == "\n")
    return text if len(text) <= longest else text[:longest - 1] + "…"


def report(notebook, points):
    """What the feedback is made from: points and errors by cell, and whether the tests were armed.

    A test counts if the canaries after it failed as they must. RuntimeError when the setup failed,
    which comes before everything of the student's.
    """
    cells, tests, armed = notebook.cells, [], True
    if error_of(cells[0]):
        raise RuntimeError(f"the setup cell failed: {error_of(cells[0])}")
    for i, cell in enumerate(cells):
        if cell_id(cell) and grading(cell)["grade"]:
            alarms = [(error_of(canary) or {"name": "silence"})["name"]
                      for canary in cells[i + 1:i + 1 + len(CANARIES)]]
            armed &= bool(error_of(cell)) or set(alarms) <= {"AssertionError", NOT_RUN}
            fair = set(alarms) == {"AssertionError"}
            tests.append({"test": cell_id(cell), "points": points[cell_id(cell)] if fair else 0,
                          "error": error_of(cell)})
    answers = {cell_id(cell): error_of(cell) for cell in cells if is_solution(cell)}
    sources = {cell_id(cell): plain(cell.source.expandtabs(4), SOURCE) for cell in cells
               if is_solution(cell)}
    return {"armed": armed, "stopped": notebook.metadata["stopped"], "tests": tests,
            "answers": answers, "sources": sources}


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
    options = parser.parse_args()
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
