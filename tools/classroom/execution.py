"""Run the cells of a notebook in the sandbox: within limits, beside canaries, and with plain words
for whatever keeps a cell from its end."""

import json
import random
import shutil
import subprocess
from pathlib import Path

import nbformat
from assignments import is_solution, is_test
from canaries import take_out, with_canaries
from clock import CELL_SECONDS, Clock, Processes
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbgrader.preprocessors import Execute
from sandbox import die_first
from traitlets import Any

KEPT = 2**22                # characters of a kernel's messages
# Names of errors that are ours; what goes with them is a sentence.
NOT_RUN, ENDED, TIME_LIMIT = "NotRun", "Ended", "TimeLimit"
SENTENCES = {NOT_RUN: "There is no answer in this cell.",
             ENDED: "Python had ended before this cell could run.",
             TIME_LIMIT: f"Your code ran longer than {CELL_SECONDS} seconds."}


class SandboxedExecute(Execute):
    """Runs the cells in the sandbox, within limits, and never takes silence for success."""

    raise_on_iopub_timeout = False      # who prints without end loses the prints, no more
    result = Any(help="file that tells that the student's code has begun").tag(config=True)

    def preprocess(self, nb, resources, km=None):
        self.budget, self.ran, self.clock, stopped = KEPT, set(), None, ""
        nb.cells, self.twins = with_canaries(nb.cells, is_test, random.SystemRandom())
        self.every = nb.cells
        try:
            nb, resources = super().preprocess(nb, resources, km)
        except (DeadKernelError, CellTimeoutError):
            if not self.ran:        # the kernel did not start, which is no fault of the student's
                raise
            stopped = self.clock.stopped or f"Python ended while it ran {self.clock.what}"
        finally:
            if self.clock:
                self.clock.over.set()
                self.clock.processes.end()
        for i, cell in enumerate(self.every):
            self.keep_errors(cell, i)
        nb.cells, nb.metadata["stopped"] = take_out(self.every, self.twins), stopped
        return nb, resources

    def start_new_kernel(self, **options):
        """Start the kernel with no file of ours open, not even one to complain to."""
        with die_first():
            super().start_new_kernel(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                     **options)

    def on_notebook_start(self, **told):
        """Kernel and grader are connected: take the folder away, so that nothing is left in it."""
        shutil.rmtree(Path(self.km.connection_file).parent)
        self.clock = Clock(Processes(self.km.provisioner.process.pid))
        write_result(self.result, {"unfinished": True, "problem": (
            "Grading stopped while your code ran, and gave no points. Your instructor will look "
            "at it.")})

    def on_cell_start(self, cell, cell_index):
        """Spare a test where its canary ran too long, and a canary where its test has failed."""
        twin = self.twins.get(cell_index, cell_index)
        if twin < cell_index and cell.cell_type == "code":
            late = twin in self.clock.late
            if late:
                self.clock.late.add(cell_index)
            if late or ("canary" in cell.metadata and self.has_failed(twin)):
                cell.source = ""

    def has_failed(self, place):
        return any(output.output_type == "error" for output in self.every[place].outputs)

    def on_cell_execute(self, cell, cell_index):
        """A cell is sent to the kernel."""
        self.clock.begin(cell_index, place_of(cell, self.every[:cell_index]),
                         counts="canary" not in cell.metadata)

    def on_cell_executed(self, **told):
        """Note which cells the kernel has answered for."""
        super().on_cell_executed(**told)
        self.clock.done()
        self.ran.add(told["cell_index"])

    def process_message(self, msg, cell, cell_index):
        """Keep the first of what a notebook says; that a cell failed, its reply tells as well."""
        if msg["msg_type"] != "status":
            self.budget -= len(repr(msg["content"]))
            if self.budget < 0:
                return None
        return super().process_message(msg, cell, cell_index)

    def keep_errors(self, cell, place):
        """Leave only errors as outputs, and add one to a cell that never ran or ran too long.

        nbgrader would take a warning for a failure and a cell without outputs for a success.
        """
        if cell.cell_type != "code":
            return
        cell.outputs = [output for output in cell.outputs if output.output_type == "error"]
        name = None
        if place in self.clock.late:
            name = TIME_LIMIT
        elif place not in self.ran and not cell.outputs:
            name = ENDED if cell.source.strip() else NOT_RUN
        if name:
            cell.outputs = [nbformat.v4.new_output("error", ename=name, evalue=SENTENCES[name],
                                                   traceback=[])]


def place_of(cell, before):
    """Where a cell stands, in words for a student."""
    for i, here in enumerate([cell, *reversed(before)]):
        if is_test(here) or is_solution(here):
            task = here.metadata.nbgrader["grade_id"].partition("-")[0].replace("task", "task ")
            return (f"your cell for {task}" if is_solution(here) and i == 0 else
                    f"the tests of {task}" if i == 0 or "canary" in cell.metadata else
                    f"a cell of your own after {task}")
    return "a cell of your own at the beginning"


def write_result(path, result):
    """Write the result in one step, so that half of one is never read."""
    whole = path.with_suffix(".new")
    whole.write_text(json.dumps(result), encoding="utf8")
    whole.replace(path)
