"""Your own pictures: a folder of files and their captions, as a `Collection`."""

import json
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from mmfuse_utils.cache import cache_dir, content_key, write_then_rename
from mmfuse_utils.data.captions import Caption, Columns, read_captions, records_of, take_captions
from mmfuse_utils.data.collection import Collection, PictureTable
from mmfuse_utils.data.pictures import find_unusable
from mmfuse_utils.data.splits import N_TEST, N_VALIDATION

# Where captions are looked for if nothing is said: one of these names with one of these endings.
STEMS, ENDINGS = ("captions", "metadata"), (".txt", ".csv", ".tsv", ".jsonl", ".ndjson", ".json")
# Pillow opens these, too, but they are no pictures, or only with another program's help.
NO_PICTURES = {"BUFR", "EPS", "FITS", "FTEX", "GBR", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"}
# Pictures of cameras and telephones that Pillow alone does not open: told, never passed over.
FOREIGN = frozenset(".heic .heif .jxl .svg .raw .dng .cr2 .cr3 .nef .arw .orf .rw2".split())
HEADINGS = {"file": "Captions that cannot be read", "missing": "Captions without their picture",
            "several": "Names that several folders hold: write the folder, too",
            "bare": "Pictures without a caption", "unusable": "Pictures that cannot be used"}
MOST_LINES, AT_A_TIME = 100, 500
FEW = 100   # so many pictures are looked at anew each time, with nothing kept in the cache

Problems = dict[str, list[str]]


def load_folder(folder: str | os.PathLike,
                captions: str | os.PathLike | Mapping | None = None, language: str = "en", *,
                encoding: str | None = None, columns: Columns = None,
                leave_out: bool = False, keep_bare: bool = False) -> Collection:
    """A folder of pictures, with subfolders, as a `Collection`: each picture is a concept.

    captions : a CSV, TSV, JSON-lines or text file with a picture and a caption a line, one or
        several lines a picture, or captions by picture as a dict. If not given, the file
        `captions` or `metadata` in the folder with such an ending; without one, the pictures
        have no captions. A picture is named by its path, by its place in the folder, or by its
        file's name alone where no other subfolder has the same.
    language : of captions whose line does not tell one in a column "language".
    encoding, columns : see `read_captions`.
    leave_out : load what is sound, and print what is not instead of raising it.
    keep_bare : keep pictures without a caption, to be searched with the others; their captions
        are an empty tuple. Else they are a fault, as a slip in a name leaves one behind.

    Identities are the files' places in the folder. Hidden files are passed over; nothing is
    changed. Subgroups are not known: intervals draw single pictures, unless you give some by
    `dataclasses.replace`.

    Raises ValueError that names all that is wrong at once, before anything is computed.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("RGB", (60, 40), "red").save(Path(folder, "a.png"))
    ...     pictures = load_folder(folder, {"a.png": ["a red card", "a sign"]})
    1 picture, 2 captions: enough to search. A split of the usual sizes
    needs more than 300 pictures; other sizes: split(test=0.2, validation=0.1).
    >>> pictures.ids, pictures.captions
    (('a.png',), {'en': (('a red card', 'a sign'),)})
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise ValueError(f"There is no folder {root}.")
    source = _find_captions(root) if captions is None else captions
    problems: Problems = defaultdict(list)
    files = list(_files(root, problems))
    told = None if source is None else _read(root, source, encoding, columns, problems)
    texts = _match(told or [], _finder(files), root, source, problems)
    pictures = sorted({*filter(_is_picture, files), *texts})
    bad = check_pictures(root, pictures)
    problems["unusable"] += [f"{_shown(name)}: {reason}" for name, reason in bad.items()]
    if told is not None and not keep_bare:
        ambiguous = set(problems["ambiguous"])
        problems["bare"] += [_shown(name) for name in pictures if name not in texts
                             and name not in ambiguous]
    sound = [name for name in pictures
             if name not in bad and (told is None or keep_bare or name in texts)]
    if not pictures:
        problems["unusable"].append("the folder holds no pictures")
    _tell(root, problems, leave_out and bool(sound) and not problems["file"])
    _say_what_it_serves([len(texts.get(name, [])) for name in sound])
    if told is None:
        _say_what_may_hold_captions(files)
    return collect(root, sound, texts, language)


def _shown(name: str) -> str:
    """A file's name as it can be printed, even if it is in no encoding."""
    return name.encode("utf8", "backslashreplace").decode("utf8")


def _find_captions(root: Path) -> Path | None:
    found = [path for path in sorted(root.iterdir())
             if path.stem.lower() in STEMS and path.suffix.lower() in ENDINGS and path.is_file()]
    if len(found) > 1:
        raise ValueError(f"Several files in {root} may hold the captions: "
                         f"{', '.join(path.name for path in found)}. Say which: captions='…'.")
    return found[0] if found else None


def _files(root: Path, problems: Problems) -> Iterator[str]:
    """Places of all files below the folder, with "/" between, hidden ones left out."""
    def refuse(error: OSError) -> None:
        problems["unusable"].append(f"{error.filename}: {error.strerror}")

    for place, folders, names in os.walk(root, onerror=refuse):
        folders[:] = sorted(name for name in folders
                            if not name.startswith(".") and name != "__MACOSX")
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(place, name).relative_to(root).as_posix()


@cache
def _endings() -> frozenset[str]:
    kinds = Image.registered_extensions()
    return FOREIGN | {ending for ending, kind in kinds.items()
                      if kind in Image.OPEN and kind not in NO_PICTURES}


def _is_picture(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in _endings()


def _read(root: Path, source: str | os.PathLike | Mapping, encoding: str | None,
          columns: Columns, problems: Problems) -> list[Caption] | None:
    """Captions as they are told; None where their file cannot be read at all."""
    if isinstance(source, Mapping):
        told, wrong = take_captions(records_of(source))
    else:
        path = _place(root, source)
        try:
            told, wrong = read_captions(path, encoding, columns)
        except (ValueError, OSError) as error:
            problems["file"].append(f"{path.name}: {getattr(error, 'strerror', None) or error}")
            return None
    problems["lines"] += wrong
    return told


def _place(root: Path, source: str | os.PathLike) -> Path:
    """Where the captions file is: as it is named, or in the folder."""
    path = Path(source).expanduser()
    return path if path.exists() or not (root / path).exists() else root / path


def _finder(files: list[str]) -> Callable[[str], list[str]]:
    """A function from a picture's name in the captions to the files that it may mean."""
    tables = [defaultdict(list) for _ in range(5)]
    for name in files:
        plain, ending = os.path.splitext(os.path.basename(name))
        for table, key in zip(tables, (name, name.casefold(), plain + ending,
                                       (plain + ending).casefold(), plain), strict=True):
            # A letter with an accent is one character in one system's names, two in another's.
            table[unicodedata.normalize("NFC", key)].append(name)

    def find(name: str) -> list[str]:
        name = unicodedata.normalize("NFC", name)
        keys = (name, name.casefold(), name, name.casefold(), name)
        found = (table.get(key) for table, key in zip(tables, keys, strict=True))
        return next(filter(None, found), [])

    return find


def _match(told: list[Caption], find: Callable[[str], list[str]], root: Path,
           source: str | os.PathLike | Mapping | None, problems: Problems
           ) -> dict[str, list[Caption]]:
    """Captions by the picture's place in the folder."""
    base = root if source is None or isinstance(source, Mapping) else _place(root, source).parent
    above = os.path.abspath(root).replace("\\", "/").rstrip("/") + "/"
    texts = defaultdict(list)
    for caption in told:
        name = caption.picture.replace("\\", "/").removeprefix("./")
        there, here = (os.path.abspath(path).replace("\\", "/").removeprefix(above)
                       for path in (base / name, name))
        ways = (name, there, name.removeprefix(f"{root.resolve().name}/"), here,
                re.sub(r"#\d+$", "", name))
        found = next(filter(None, map(find, dict.fromkeys(ways))), [])
        if len(found) == 1:
            texts[found[0]].append(caption)
        elif found:
            problems["several"].append(f"{caption.picture} ({caption.where}): {', '.join(found)}")
            problems["ambiguous"] += found
        else:
            problems["missing"].append(f"{caption.picture} ({caption.where})" + (
                "; if it names the columns, tell them: columns=('…', '…')"
                if caption.where == "line 1" else ""))
    return texts


def check_pictures(root: Path, names: list[str]) -> dict[str, str]:
    """Reasons why pictures of a folder cannot be used, by name.

    What was sound before, and has the same size and time, is not read again.

    >>> check_pictures(Path("nowhere"), ["a.jpg"])
    {'a.jpg': 'no such file'}
    """
    memory = cache_dir() / "folders" / f"{content_key(os.path.abspath(root))}.json"
    try:
        sound = dict(json.loads(memory.read_text(encoding="utf8")))
    except (OSError, ValueError, TypeError):
        sound = {}
    stamps, bad = {}, {}
    for name in names:
        path = root / name
        if _shown(name) != name:
            bad[name] = "its name is in no known encoding; give it another"
        elif path.is_file():
            stamps[name] = [path.stat().st_size, path.stat().st_mtime_ns]
    unknown = [name for name in names if name not in bad and (
        name not in stamps or sound.get(name) != stamps[name])]
    for start in range(0, len(unknown), AT_A_TIME):
        some = {str(root / name): name for name in unknown[start:start + AT_A_TIME]}
        wrong = find_unusable(some)
        bad |= {some[path]: reason for path, reason in wrong.items()}
        sound |= {name: stamps[name] for path, name in some.items() if path not in wrong}
        if len(names) < FEW:
            continue
        with write_then_rename(memory) as temporary:
            temporary.write_text(json.dumps(sound), encoding="utf8")
    return bad


def _tell(root: Path, problems: Problems, leave_out: bool) -> None:
    """Raise, or print, everything that is wrong."""
    parts = []
    for kind, heading in HEADINGS.items():
        lines = problems["file"] + problems["lines"] if kind == "file" else problems[kind]
        if lines:
            more = [f"… and {len(lines) - MOST_LINES:,} more"] if len(lines) > MOST_LINES else []
            parts += [f"{heading} ({len(lines):,}):", *(f"  {line}" for line in (
                lines[:MOST_LINES] + more))]
    if not parts:
        return
    if leave_out:
        print("\n".join(("Left out:", *parts)))
        return
    raise ValueError("\n".join((f"The folder {root} cannot be loaded as it is; nothing was "
                                "computed, and no file was changed.", *parts,
                                "Mend this, or load all that is sound with leave_out=True" + (
                                    "; keep_bare=True keeps pictures without a caption."
                                    if problems["bare"] else "."))))


def _say_what_it_serves(n_captions: Sequence[int]) -> None:
    """Print how many captions there are, one number a picture, if some or many are missing."""
    bare, few = n_captions.count(0), len(n_captions) <= N_TEST + N_VALIDATION
    some = 0 < bare < len(n_captions)
    if not few and not some:
        return
    numbers = f"{_count(len(n_captions), 'picture')}, {_count(sum(n_captions), 'caption')}"
    if some:
        print(f"{numbers}; {bare:,} of the pictures ha{'s' if bare == 1 else 've'} no caption.")
    if few:
        print(f"{'It is' if some else f'{numbers}:'} enough to search. A split of the usual "
              f"sizes\nneeds more than {N_TEST + N_VALIDATION} pictures; other sizes: "
              "split(test=0.2, validation=0.1).")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _say_what_may_hold_captions(files: list[str]) -> None:
    tables = [_shown(name) for name in files
              if name.lower().endswith(ENDINGS) and "readme" not in name.lower()]
    if tables:
        print(f"No captions were read, as no file is called {' or '.join(STEMS)}. If one of "
              "these\nholds them, name it with captions=…: "
              f"{', '.join(tables[:3])}{', …' * (len(tables) > 3)}")


def collect(root: Path, names: Sequence[str], texts: Mapping[str, Sequence[Caption]],
            language: str) -> Collection:
    """A collection of the pictures of a folder, each a concept of its own.

    names : of the files, which become the identities. texts : their captions. language : of
        captions that tell none.

    >>> collect(Path("photos"), ["a.jpg"], {"a.jpg": [Caption("line 1", "a", "a dog")]}, "en").ids
    ('a.jpg',)
    """
    by_language = defaultdict(lambda: [[] for _ in names])
    for row, name in enumerate(names):
        for caption in texts.get(name, []):
            by_language[caption.language or language][row].append(caption.text)
    table = PictureTable(np.arange(len(names)), np.array(["photograph"] * len(names)),
                         tuple(str(root / name) for name in names))
    return Collection(tuple(names), pictures=table, captions={
        code: tuple(map(tuple, rows)) for code, rows in sorted(by_language.items())})
