"""One run of the grading: its submissions, and everything that is written about them.

Each result is written when it is there, so that whatever happens later takes none away.
"""

import asyncio
import time
from dataclasses import dataclass, field

from feedback import amount, feedback_page, grades_table, page_name
from marks import mark
from overview import overview_page
from results import TROUBLE, Results
from roster import maximum, upload
from workers import grade


@dataclass
class Run:
    """One run of the grading: what was handed in, and what it is turned into."""

    submissions: list
    results: Results
    course: str = ""
    changes: dict = field(default_factory=dict)
    late: object = None
    roster: object = None
    columns: dict = field(default_factory=dict)
    found: dict = field(default_factory=dict)
    said: list = field(default_factory=list)

    def marks(self):
        """{(student, assignment): Mark} of everybody whose assignment is known."""
        return {(work.student, work.assignment): self.mark(work) for work in self.submissions
                if work.assignment}

    def mark(self, work):
        return mark(work, self.changes.get((work.student, work.assignment), ()), self.late)

    def write_page(self, work):
        """Write the page of feedback. A result of which no page or table can be made goes."""
        changes = self.changes.get((work.student, work.assignment), ())
        try:
            page = feedback_page(work, changes, self.late)
            marks = {(work.student, work.assignment): self.mark(work)}
            grades_table([work], marks)
            overview_page([work], marks, [], self.course)
        except Exception as error:
            print(f"  the result of {work.student} cannot be read: {error!r}", flush=True)
            work.result = {"ungraded": True, "problem": TROUBLE}
            page = feedback_page(work, changes, self.late)
        self.results.write(page_name(work), page)

    def write_table(self):
        self.results.write("grades.csv", grades_table(self.submissions, self.marks()))

    def keep(self, work):
        """Keep a result with its page and the table so far; returns whether that went well."""
        fine = True
        for write in (lambda: self.write_page(work), self.write_table,
                      lambda: self.results.remember(work)):
            try:
                write()
            except Exception as error:      # the others' results come first; this one is named
                print(f"  could not write to {self.results.folder}: {error}", flush=True)
                fine = False
        return fine

    def write_rest(self):
        """Write what is made of all results: the overview, and the list to upload."""
        marks, said = self.marks(), list(self.said)
        if self.roster:
            content, more = upload(self.roster, self.columns, self.found, marks)
            name = f"upload-{self.roster.kind}.csv"
            self.results.write(name, content)
            said += more + limits(self.roster, self.columns, marks)
            print(f"Ready for upload: {self.results.folder / name}")
            waiting = sum(given.waiting for given in marks.values())
            if waiting:
                more += [f"The points of {amount(waiting, 'written answer')} to be graded by "
                         "hand are not in it yet."]
            for text in more:
                print(f"  {text}")
        self.results.write("overview.html",
                           overview_page(self.submissions, marks, said, self.course))


def limits(roster, columns, marks):
    """What to say where the platform counts an assignment in other points."""
    said = []
    for assignment, column in columns.items():
        there = maximum(roster, column, assignment)
        of = max((given.of for (_, name), given in marks.items() if name == assignment),
                 default=None)
        if None not in (there, of) and there != of:
            said.append(f"{assignment} has {of:g} points here and {there:g} in the platform: "
                        "change it there before you upload.")
            print(f"  {said[-1]}")
    return said


async def grade_all(run, isolation, at_once):
    """Grade some submissions at a time; returns those whose results could not be written."""
    free, unwritten = asyncio.Semaphore(at_once), []

    async def handle(work):
        async with free:
            start = time.monotonic()
            await grade(work, isolation)
        if not run.keep(work):
            unwritten.append(work)
        told = (work.result["problem"] if "ungraded" in work.result
                else f"{amount(run.mark(work).points)}, "
                     f"{time.monotonic() - start:.0f} s")
        print(f"  {work.student}, {work.assignment}: {told}", flush=True)

    async with asyncio.TaskGroup() as group:
        for work in run.submissions:
            if not work.result:
                group.create_task(handle(work))
    return [work for work in unwritten if not run.keep(work)]
