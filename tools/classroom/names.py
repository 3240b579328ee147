"""Names of people and of the files that they hand in: kept in any script, compared with care.

A name is never reduced to the letters of one alphabet. Only what no file system or no screen can
take is replaced; whether two names are one is asked of `same`, which knows that a Mac writes é as
two letters and that some disks do not tell Ada from ada.
"""

import re
import unicodedata

LONGEST = 150       # bytes of a student's name: file systems take 255, a number may follow
FORBIDDEN = '<>:"/\\|?*'
# Marks that turn the direction of what follows, and others that nobody sees. The two joiners
# stay: names in Hindi and Persian are spelled with them.
UNSEEN = re.compile("[\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")
# lovelaceada_41_1815_…, lovelaceada_LATE_41_1815_…: Canvas, with the numbers of user and file.
CANVAS = re.compile(r"(?P<name>.+?)(?P<late>_LATE)?_(?P<id>\d+)_\d+(_|$)")
# Ada Lovelace_41_assignsubmission_file_…: Moodle, with the number of the participant.
MOODLE = re.compile(r"(?P<name>.*?)_(?P<id>\d+)_assignsubmission_(file|onlinetext)(_|$)")


def readable(name):
    """A name that screens and file systems take; "" for what is no name at all.

    >>> readable("O'Brien"), readable("a/b"), readable("...")
    ("O'Brien", 'a_b', '')
    """
    name = UNSEEN.sub("_", unicodedata.normalize("NFC", name))
    name = "".join("_" if letter in FORBIDDEN or unicodedata.category(letter) in ("Cc", "Cs")
                   else letter for letter in name)
    name = re.sub("_{2,}", "_", name).strip()
    named = any(letter == "_" or unicodedata.category(letter)[0] in "LMN"
                or unicodedata.category(letter) == "So" for letter in name)
    return name.encode()[:LONGEST].decode(errors="ignore").rstrip() if named else ""


def folder_name(name):
    """A student's folder: the name, without what Windows drops or every system hides."""
    name = re.sub(r"^[\s.]+", "_", re.sub(r"[\s.]+$", "", name)) or "_"
    return f"_{name}" if RESERVED.fullmatch(name) else name


def same(name):
    """What two spellings of one name have in common: case, normal form, unseen letters.

    >>> same("ADA\\u0301") == same("ad\\u00e1")
    True
    """
    folded = unicodedata.normalize("NFKC", name).casefold()
    kept = (letter for letter in folded if unicodedata.category(letter) != "Cf")
    return unicodedata.normalize("NFC", "".join(kept)).strip().removeprefix("'")


def platform_parts(label):
    """(name, number of the user, whether late) as Canvas or Moodle packs submissions.

    >>> platform_parts("lovelaceada_LATE_41_1815")
    ('lovelaceada', '41', True)
    >>> platform_parts("ada")
    ('ada', '', False)
    """
    for pattern in (MOODLE, CANVAS):
        found = pattern.match(label)
        if found:
            return found["name"], found["id"], bool(found.groupdict().get("late"))
    return label, "", False


def cell(text):
    """A text for a table of ours, which a spreadsheet must not take for a formula.

    >>> cell("=1+1"), cell("Ada")
    ("'=1+1", 'Ada')
    """
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
