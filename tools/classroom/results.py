"""The folder of results: what is graded already, and files that nobody's changes are lost from.

`state/` in it holds each result as it came, so that a run that was stopped, in whatever way, goes
on where it was, and settings that later runs need as well.
"""

import contextlib
import csv
import hashlib
import io
import itertools
import json
import os
import sys

from assignments import COURSES
from filelock import FileLock, Timeout
from grade_one import LARGEST

TROUBLE = "Not graded, for a trouble of the grader's own. Your instructor will grade it again."


@contextlib.contextmanager
def claim(folder):
    """Make the folder for results and keep other runs out of it. Leaves where that cannot be."""
    try:
        (folder / "state").mkdir(parents=True, exist_ok=True)
        probe = folder / "state" / "probe"
        probe.write_text("")
        probe.unlink()
        guard = FileLock(folder / "state" / "lock")
        try:
            guard.acquire(timeout=0)
        except Timeout:
            print(f"Another run is grading into {folder}; waiting for it …", flush=True)
            guard.acquire()
    except OSError as error:
        sys.exit(f"Nothing was graded, because the results could not be written to {folder}: "
                 f"{error.strerror}. Copy the submissions to a place where you may write.")
    try:
        yield
    finally:
        guard.release()


def work_key(submission):
    """Hash of what a result depends on: the file, and the course as it was made."""
    digest = hashlib.sha256(submission.course.encode())
    made = COURSES / submission.course / "course.json"
    digest.update(json.loads(made.read_text(encoding="utf8")).get("key", "").encode())
    size = submission.path.stat().st_size
    digest.update(str(size).encode())
    if size <= LARGEST:         # larger ones are not read when they are graded either
        digest.update(submission.path.read_bytes())
    return digest.hexdigest()


class Results:
    """Results in a folder, and the files made from them."""

    def __init__(self, folder):
        self.folder, self.state = folder, folder / "state"
        self.kept = {}
        with contextlib.suppress(FileNotFoundError):
            for line in (self.state / "results.jsonl").read_bytes().splitlines():
                with contextlib.suppress(ValueError, KeyError, TypeError):  # cut off by a crash
                    told = json.loads(line)
                    self.kept[told["student"], told["assignment"], told["work"]] = told["result"]
        self.written = self.load("written.json")
        self.settings = self.load("settings.json")

    def load(self, name):
        """A dictionary from a JSON file; {} where there is none. Leaves where it is damaged.

        To go on without the settings would forget a late policy, and grade otherwise, in silence.
        """
        path = self.state / name
        try:
            told = json.loads(path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            sys.exit(f"{path} cannot be read ({error}). It holds what earlier runs have noted. "
                     "Bring it back from a copy, or move it elsewhere and give LATE, ROSTER and "
                     "COLUMN anew. Nothing was changed.")
        return told

    def save(self, name, told):
        """Write a dictionary to a JSON file in one step."""
        new = self.state / f".{name}"
        new.write_text(json.dumps(told), encoding="utf8")
        os.replace(new, self.state / name)

    def setting(self, name, wanted):
        """The value of a setting: the one that is given, or else that of earlier runs.

        Later runs know of it once settings are saved, which waits until all are found to be right.
        """
        value = wanted or self.settings.get(name, "")
        if value not in ("", "none") and not wanted:
            print(f"{name} is as it was in the last run: {value}")
        self.settings[name] = value
        return "" if value == "none" else value

    def save_settings(self):
        self.save("settings.json", self.settings)

    def recall(self, submission):
        """Take over the result of an earlier run, if the same file was graded then."""
        with contextlib.suppress(OSError):
            submission.work = work_key(submission)
            key = (submission.student, submission.assignment, submission.work)
            submission.result = self.kept.get(key) or submission.result

    def remember(self, submission):
        """Keep a result; what the grader could not do is tried again by the next run."""
        if not submission.work or submission.result.get("problem") == TROUBLE:
            return
        told = {"student": submission.student, "assignment": submission.assignment,
                "work": submission.work, "result": submission.result}
        with (self.state / "results.jsonl").open("ab") as file:
            file.write(b"\n" + json.dumps(told).encode() + b"\n")

    def write(self, name, content):
        """Write a file, in one step. If somebody has changed what is there, it is kept beside."""
        path = self.folder / name
        new_hash = hashlib.sha256(content).hexdigest()
        if path.exists():
            there = hashlib.sha256(path.read_bytes()).hexdigest()
            if there == new_hash:
                return
            if there != self.written.get(name):
                kept = (path.with_name(f"{path.stem} (kept {i}){path.suffix}")
                        for i in itertools.count(1))
                kept = path.rename(next(one for one in kept if not one.exists()))
                print(f"  {name} was changed by hand; that is now {kept.name}", flush=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.written[name] = new_hash
        self.save("written.json", self.written)
        new = path.with_name(f".{path.name}")
        new.write_bytes(content)
        os.replace(new, path)


def table(rows, encoding="utf-8-sig", **dialect):
    """The bytes of a CSV file."""
    text = io.StringIO(newline="")
    csv.writer(text, **dialect).writerows(rows)
    return text.getvalue().encode(encoding)
