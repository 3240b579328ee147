"""A class list from Canvas or Moodle: who is who, who is missing, and the grades to send back.

Files are recognized by their columns, as both platforms name them in English:

    Canvas, Grades > Export: Student (or LastName, FirstName), ID, SIS User ID, SIS Login ID,
    Section, then a column for each assignment
    Moodle, grading worksheet of an assignment: Identifier, Full name, Email address, …, Grade
    Moodle, Grades > Export, or Participants > Download: First name, Last name (or Surname),
    ID number, Email address, …
"""

import csv
import io
import re
import sys
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from feedback import points_text
from names import platform_parts, same
from overrides import delimiter_of, read_text
from results import table
from submissions import which_assignment

CANVAS_PEOPLE = {"student", "lastname", "firstname", "id", "sis user id", "sis login id",
                 "integration id", "root account", "section"}
MOODLE_PEOPLE = {"first name", "last name", "surname", "username", "id number", "institution",
                 "department", "email address", "suspended", "groups", "roles", "last access",
                 "status", "city/town", "country", "phone", "mobile phone", "address"}
NUMBERS = {"sis user id", "sis login id", "id number", "email address", "username"}
NO_POINTS = re.compile(r"(?i)(current|final|override|unposted).*(score|points|grade|status)"
                       r"|read only|\((feedback|percentage|letter)\)|total|last downloaded"
                       r"|^notes?$")
UNCLEAR = ("ROSTER must be a class list as Canvas or Moodle gives it, in English: the gradebook's "
           "export of Canvas (Student, ID, …, Section), or Moodle's grading worksheet "
           "(Identifier, …, Grade), grades export or list of participants (First name, Last name, "
           "…).")


@dataclass
class Person:
    """A student of the roster.

    row : place in the file. names : with first name first and last. numbers : with logins and
    addresses. identifier : the number that the platform writes into the names of files.
    """

    row: int
    names: tuple
    numbers: tuple
    identifier: str

    @property
    def name(self):
        return self.names[0] if self.names else self.identifier


@dataclass
class Roster:
    """A class list. rows : all lines, the header first. columns : those that may hold points."""

    path: Path
    kind: str
    rows: list
    people: list
    columns: list
    dialect: dict

    @property
    def header(self):
        return self.rows[0]


def read_roster(path):
    """The class list in a file; leaves with a message where it is none."""
    path = Path(path).expanduser()
    if not path.is_file():
        sys.exit(f"ROSTER={path} is not there. {UNCLEAR}")
    text = read_text(path)
    delimiter = delimiter_of(text, "")
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
                if any(value.strip() for value in row)] or [[]]
    except csv.Error as error:
        sys.exit(f"ROSTER={path} cannot be read: {error}. {UNCLEAR}")
    kind, columns = recognize(rows)
    if not kind:
        sys.exit(f"ROSTER={path} has the columns {', '.join(rows[0]) or 'of an empty file'}. "
                 f"{UNCLEAR}")
    marked = path.read_bytes().startswith(b"\xef\xbb\xbf")
    return Roster(path, kind, rows, find_people(kind, rows), columns,
                  {"delimiter": delimiter, "encoding": "utf-8-sig" if marked else "utf-8",
                   "lineterminator": "\r\n" if "\r\n" in text else "\n"})


def recognize(rows):
    """(platform, columns that may hold points) of a class list; ("", []) for none."""
    header = [value.strip().lower() for value in rows[0]]
    known = set(header)
    if known & {"student", "lastname"} and {"id", "section"} <= known:
        return "canvas", canvas_columns(rows)
    if {"identifier", "grade"} <= known:
        return "moodle", [header.index("grade")]
    if "first name" in known and known & {"last name", "surname"}:
        return "moodle", [i for i, name in enumerate(header)
                          if name not in MOODLE_PEOPLE and not NO_POINTS.search(name)]
    return "", []


def canvas_columns(rows):
    """Columns of assignments: after those of people, without Canvas' own sums."""
    possible = next((row for row in rows if "Points Possible" in row[0]), [])
    return [i for i, name in enumerate(rows[0])
            if name.strip().lower() not in CANVAS_PEOPLE and not NO_POINTS.search(name)
            and not (i < len(possible) and "read only" in possible[i])]


def find_people(kind, rows):
    """The students among the lines."""
    header, people = [value.strip().lower() for value in rows[0]], []
    for place, row in enumerate(rows[1:], start=1):
        told = dict(zip(header, (value.strip() for value in row), strict=False))
        names = names_of(told)
        numbers = tuple(told[key] for key in NUMBERS & set(told) if told[key])
        if kind == "canvas" and (not told["id"] or "Points Possible" in row[0]
                                 or told.get("student") == "Student, Test"):
            continue
        identifier = told.get("id") or re.sub(r"\D", "", told.get("identifier", ""))
        if names or numbers or identifier:
            people.append(Person(place, names, numbers, identifier))
    return people


def names_of(told):
    """A person's name, first name first, and other ways to write it."""
    if told.get("student"):
        last, comma, first = told["student"].partition(",")
        name = f"{first.strip()} {last.strip()}" if comma else last
        return name, told["student"]
    first = told.get("first name") or told.get("firstname") or ""
    last = told.get("last name") or told.get("surname") or told.get("lastname") or ""
    full = told.get("full name") or f"{first} {last}".strip()
    return (full, f"{last} {first}".strip() or full) if full else ()


def letters(name, plain=False):
    """The letters of a name in small, for comparison. plain : without accents.

    >>> letters("Lovelace, Ada"), letters("José", plain=True)
    ('lovelaceada', 'jose')
    """
    name = same(name)
    if plain:
        name = "".join(letter for letter in unicodedata.normalize("NFD", name)
                       if unicodedata.category(letter) != "Mn")
    return "".join(letter for letter in name if unicodedata.category(letter)[0] in "LMN")


def candidates(label, people):
    """Who may have handed in under a label, by the surest sign that fits anybody."""
    label = re.sub(r" \(\d+\)$", "", label)
    name, number, _ = platform_parts(label)
    parts = {same(part) for part in [name, *re.split(r"[\s_,()]+", name)] if len(part) > 1}
    signs = (
        lambda one: number and number == one.identifier,
        lambda one: same(name) in map(same, one.numbers),
        lambda one: same(name) in (same(value).partition("@")[0] for value in one.numbers),
        lambda one: any(same(value) in parts for value in one.numbers),
        lambda one: letters(name) in map(letters, one.names),
        lambda one: letters(name, True) in (letters(other, True) for other in one.names))
    for sign in signs:
        fitting = [one for one in people if sign(one)]
        if fitting:
            return fitting
    return []


def match(submissions, roster):
    """Give submissions their names in the roster: ({(student, assignment): person}, what to say).

    What to say names everybody whom the roster does not know, or knows twice.
    """
    found, said = {}, []
    for label in dict.fromkeys(submission.student for submission in submissions):
        fitting = candidates(label, roster.people)
        if len(fitting) == 1:
            found[label] = fitting[0]
        else:
            who = ", ".join(f"{one.name} (line {one.row + 1})" for one in fitting)
            said.append(f"{label}: " + (f"may be any of {who}" if fitting
                                        else "not in the roster"))
    for submission in submissions:
        person = found.get(submission.student)
        if person:
            submission.name = person.name
            submission.numbers = (person.identifier, *person.numbers)
    return found, said


def choose_columns(roster, assignments, wanted=""):
    """{assignment: column for its points}; a new column where the list has none for points.

    wanted : the heading that the instructor names. Leaves where it is not clear which.
    """
    headings = {i: roster.header[i] for i in roster.columns}
    if wanted:
        return {assignments[0]: named_column(headings, assignments, wanted)}
    chosen = {}
    for assignment in assignments:
        fitting = [i for i, heading in headings.items()
                   if which_assignment(heading, [assignment])[0]]
        if not fitting and len(headings) == len(assignments) == 1:
            fitting = list(headings)
        if len(fitting) == 1:
            chosen[assignment] = fitting[0]
        elif headings:
            sys.exit(f"Say which column of {roster.path} is for {assignment}, as COLUMN=\"…\". "
                     f"There are: {'; '.join(headings.values())}. A column whose heading holds "
                     f"the name {assignment} is found by itself.")
    for assignment in assignments:
        if assignment not in chosen:
            chosen[assignment] = len(roster.header) + len(chosen)
            print(f"The roster has no column for points: {assignment} becomes a new one.")
    return chosen


def named_column(headings, assignments, wanted):
    """The place of the column with the wanted heading; leaves where that is not one alone."""
    fitting = [i for i, heading in headings.items() if same(heading) == same(wanted)]
    if len(fitting) != 1 or len(assignments) != 1:
        sys.exit(f"COLUMN={wanted!r} must be the heading of one column for points, and one "
                 f"assignment be graded. There are: {', '.join(headings.values()) or 'none'}.")
    return fitting[0]


def upload(roster, columns, found, marks):
    """(bytes of the list with its points filled in, what to say): everything else as it was.

    Names stay as the platform has them, also those that a spreadsheet would take for a formula.
    """
    rows, said, filled = [list(row) for row in roster.rows], [], Counter()
    rows[0] += [name for name, i in columns.items() if i >= len(roster.header)]
    for (student, assignment), given in marks.items():
        person = found.get(student)
        if person and given.points is not None:
            filled[person.row, assignment] += 1
            put(rows[person.row], columns[assignment], points_text(given.points))
    for (row, assignment), count in filled.items():
        if count > 1:
            old = roster.rows[row]
            put(rows[row], columns[assignment],
                old[columns[assignment]] if columns[assignment] < len(old) else "")
            said.append(f"{count} submissions of {roster.rows[row][0]} for {assignment}: which "
                        "counts is yours to say; the cell is as it was")
    return table(rows, **roster.dialect), said


def put(row, column, value):
    """Set a cell of a line, which may be short."""
    row += [""] * (column + 1 - len(row))
    row[column] = value


def maximum(roster, column, assignment):
    """The most points that the platform takes for a column, or None where it does not tell."""
    header = [value.strip().lower() for value in roster.header]
    places = {"canvas": column, "moodle": header.index("maximum grade")
              if "maximum grade" in header else None}
    line = next((row for row in roster.rows[1:] if "Points Possible" in row[0]), None)
    line = line if roster.kind == "canvas" else (roster.rows[1:] or [None])[0]
    place = places[roster.kind]
    if line is None or place is None or place >= len(line):
        return None
    number = line[place].strip().replace(",", ".")
    return float(number) if re.fullmatch(r"\d+(\.\d+)?", number) else None
