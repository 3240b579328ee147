"""What was handed in: which files are notebooks, and whose they are.

A file is looked at here only as bytes; it is read as a notebook in a process of its own. Nobody
who handed in something is left out: what cannot be graded is a submission whose result says why.
"""

import contextlib
import itertools
import os
import re
import sys
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from grade_one import LARGEST
from names import CANVAS, MOODLE, folder_name, platform_parts, readable, same

LEFTOVER = re.compile(r"/(\.ipynb_checkpoints|__MACOSX|\._|\.DS_Store|desktop\.ini|Thumbs\.db)")
# Browsers add (1), .txt or .json to what they save.
NOTEBOOK = re.compile(r"(?i)\.ipynb(\s*\(\d+\))?(\.(txt|json))?$")
COPY = re.compile(r"(?i)[\s_.-]*(\(\d+\)|copy|kopie|copie|\d+)?[\s_.-]*")
ARCHIVES = (".zip", ".7z", ".rar", ".gz", ".tar", ".tgz")
GUIDE = "Ask for the .ipynb file itself."


@dataclass
class Submission:
    """One student's notebook for one assignment, and what came of it (see grade_one.py).

    student : as in the table, of nobody else. path : None where nothing was handed in. course :
    the one whose tests grade it. name : in the roster. said : for the table, about the file.
    """

    student: str
    assignment: str
    path: Path | None
    result: dict = field(default_factory=dict)
    file: str = ""
    course: str = ""
    name: str = ""
    said: list = field(default_factory=list)
    numbers: tuple = ()         # and logins in the roster
    work: str = ""              # hash of what its result depends on

    def known_as(self):
        """All names of the student, as `same` writes them."""
        name, number, _ = platform_parts(self.student)
        return {same(one) for one in (self.student, name, number, self.name, *self.numbers)} - {""}


@contextlib.contextmanager
def open_submissions(path):
    """Gives the folder of submissions, unpacked for as long as it is needed where it is a zip
    file, and why some of its files were left out. Leaves with a message for anything else."""
    if path.is_dir():
        yield path, {}
    elif zipfile.is_zipfile(path):
        with tempfile.TemporaryDirectory(prefix="mmfuse-") as temporary:
            try:
                left = unpack(path, Path(temporary))
            except zipfile.BadZipFile as error:
                sys.exit(f"The zip file {path} is damaged: {error}. Download it again.")
            inside = list(Path(temporary).iterdir())
            # A folder that was packed as a whole, such as week1/ in week1.zip.
            whole = len(inside) == 1 and path.stem.startswith(inside[0].name)
            if whole and inside[0].is_dir():
                left = {name.partition("/")[2] or name: why for name, why in left.items()}
                yield inside[0], left
            else:
                yield Path(temporary), left
    else:
        what = "is a file, and no zip file" if path.exists() else "is not there"
        sys.exit(f"SUBMISSIONS must be the folder with the submissions, or a zip file of it; "
                 f"{path} {what}.")


def open_zip(path):
    """A zip file, its names read as UTF-8 also where it does not say so, as a Mac packs them."""
    try:
        return zipfile.ZipFile(path, metadata_encoding="utf-8")
    except UnicodeDecodeError:
        return zipfile.ZipFile(path)


def unpack(path, folder):
    """Unpack the notebooks of a zip file; returns why each other file is left out, by name."""
    left = {}
    with open_zip(path) as file:
        for entry in file.infolist():
            if entry.is_dir() or LEFTOVER.search(f"/{entry.filename}"):
                continue
            try:
                if not NOTEBOOK.search(entry.filename):
                    left[entry.filename] = kind_of(Path(entry.filename))
                elif entry.file_size > LARGEST:
                    left[entry.filename] = f"has more than {LARGEST // 2**20} MB"
                else:
                    file.extract(entry, folder)     # never outside of the folder
            except Exception:       # whatever a damaged or encrypted entry makes the reader say
                left[entry.filename] = "could not be unpacked"
    return left


def list_files(folder):
    """Files below a folder in order, with folders that are empty or cannot be read; follows no
    links."""
    files, waiting = [], [folder]
    while waiting:                  # no recursion: folders may be nested as deep as they like
        here, count = waiting.pop(), len(files) + len(waiting)
        try:
            with os.scandir(here) as entries:
                for entry in entries:
                    path = Path(entry.path)
                    (waiting if entry.is_dir(follow_symlinks=False) else files).append(path)
            if len(files) + len(waiting) == count and here != folder:
                files.append(here)
        except OSError:
            files.append(here)
    return sorted(files)


def kind_of(path):
    """Why a file cannot be graded, as far as its name and kind tell; "" where it may be."""
    if path.is_symlink():
        return "is a link to another place, and links are not followed"
    if path.is_dir():
        readable_here = os.access(path, os.R_OK | os.X_OK)
        return "is an empty folder" if readable_here else "is a folder that cannot be read"
    if path.suffix.lower() in ARCHIVES:
        return f"is an archive, which is not unpacked. {GUIDE}"
    if not NOTEBOOK.search(path.name):
        return f"is not a notebook. {GUIDE}"
    return "" if path.is_file() else "is not a plain file"


def which_assignment(name, names):
    """(assignment, what stands before it, what stands after it) in the name of a file.

    The assignment is "" where the name holds none, or several.

    >>> which_assignment("ada_A1-Skipgram (1).ipynb", ["a1_skipgram", "a2_vectorize"])
    ('a1_skipgram', 'ada', ' (1)')
    """
    stem = NOTEBOOK.sub("", name)
    found = {key: match for key in names
             if (match := re.search(re.escape(key).replace("_", "[ _-]?"), stem, re.IGNORECASE))}
    if len(found) != 1:
        return "", stem, ""
    (key, match), = found.items()
    return key, stem[:match.start()].rstrip("_- "), stem[match.end():]


def owner_of(inside, before, after):
    """Whose a file is: its folder's, or what its own name says before or after the assignment."""
    if len(inside.parts) > 1:
        return readable(inside.parts[0])
    packed = MOODLE.match(before) or CANVAS.match(f"{before}_")
    if packed:
        return readable(packed[0].rstrip("_"))
    return readable(before or COPY.sub("", after, count=1))


def is_aside(path, inside, names):
    """Whether a file beside the students' is none of theirs, such as a list of the class."""
    stem = NOTEBOOK.sub("", path.name)
    return (len(inside.parts) == 1 and stem == path.name and not path.is_symlink()
            and not path.is_dir() and not which_assignment(path.name, names)[0]
            and not MOODLE.match(stem) and not CANVAS.match(stem))


def find_submissions(folder, names, left=(), told=lambda path: ""):
    """Everything that was handed in, the notebooks first.

    left : why files of a zip file were not unpacked. told : gives the assignment that a notebook
    itself tells, or "".

    Two files may claim one name: both are graded, and those after the first come last, so that
    nobody waits for somebody's thirty copies.
    """
    works, others = [], []
    for path in list_files(folder):
        inside = path.relative_to(folder)
        if LEFTOVER.search(f"/{inside.as_posix()}") or is_aside(path, inside, names):
            continue
        submission, why = look_at(path, inside, names, told)
        (others if why else works).append((submission, why))
    for name, why in dict(left).items():
        if is_aside(Path(name), Path(name), names):
            continue
        before, after = which_assignment(Path(name).name, names)[1:]
        owner = owner_of(Path(name), before, after)
        file = "/".join(map(readable, Path(name).parts))
        others.append((Submission(owner, "", None, file=file), why))
    return number_labels([work for work, _ in works]) + name_others(others, works)


def look_at(path, inside, names, told):
    """A submission, and why it cannot be graded or ""."""
    assignment, before, after = which_assignment(path.name, names)
    why, said = kind_of(path), []
    belongs = "" if why else told(path)
    if belongs and belongs != assignment:
        said = [f"The file is named otherwise, but it is the notebook of {belongs}."]
        assignment = belongs
    owner = owner_of(inside, before, after)
    if not why and not assignment:
        why = ("does not say which assignment it is: its name must hold that of the assignment, "
               f"such as {names[0]}.ipynb")
    if not why and not owner:
        why = "does not say whose it is. Put it into a folder with the student's name"
    file = "/".join(map(readable, inside.parts))
    return Submission(owner, assignment, path, file=file, said=said), why


def number_labels(works):
    """Give each submission a label of its own, also where a disk would mix two of them up."""
    taken, first, again = set(), [], []
    for work in works:
        key = (same(folder_name(work.student)), work.assignment)
        (again if key in taken else first).append(work)
        taken.add(key)
    for work in again:
        labels = (f"{work.student} ({i})" for i in itertools.count(2))
        work.student = next(label for label in labels
                            if (same(folder_name(label)), work.assignment) not in taken)
        taken.add((same(folder_name(work.student)), work.assignment))
    return first + again


def name_others(others, works):
    """What cannot be graded: each notebook, and of other files one for whoever has no notebook."""
    graded = {same(work.student) for work, _ in works}
    rows = {}
    for other, why in others:
        is_notebook = NOTEBOOK.search(other.file)
        owner = other.student or other.file
        if not is_notebook and same(owner) in graded:
            continue
        key = other.file if is_notebook else same(owner)
        row = rows.setdefault(key, Submission(owner, "", None, file=other.file))
        told = f"Not graded: {other.file} {why.rstrip('.')}."
        row.result = {"ungraded": True, "problem": row.result.get("problem") or told}
    return list(rows.values())
