"""Captions as people keep them: CSV, TSV, JSON lines and `captions.txt`, in any encoding."""

import codecs
import csv
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"),
         (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"),
         (codecs.BOM_UTF16_BE, "utf-16"))     # in this order: one mark begins like another
DELIMITERS = ("\t", ",", ";", "|")
PICTURE = re.compile(r"(?:image|picture|photo|img)(?:[ _-]?(?:file|path|name|filename|id))?s?"
                     r"|file(?:[ _-]?(?:name|path))?|path|name")
CAPTION = re.compile(r"(?:captions?|texts?|descriptions?|sentences?|comments?|title)"
                     r"(?:[ _-]?\d+)?(?:[ _-](?!id$)(?P<lang>[a-z]{2,3}(?:-[a-z0-9]+)*))?")
LANGUAGE = ("language", "lang")
PICTURE_LINE = re.compile(r"[^\t,;|]+\.(?:jpe?g|png|gif|webp|bmp|tiff?|avif)[\t,;|]", re.I)


@dataclass(frozen=True)
class Caption:
    """A caption as it was found: where it stands, the picture that it names, its text."""

    where: str
    picture: str
    text: str
    language: str | None = None


Record = tuple[str, dict[str, object]]  # where it stands, and what stands there by column
Columns = tuple[str, str] | None


def read_captions(path: Path, encoding: str | None = None, columns: Columns = None
                  ) -> tuple[list[Caption], list[str]]:
    """The captions of a file, and a sentence for each of its lines that cannot be used.

    encoding : where the file has no mark at its beginning; UTF-8 if not given.
    columns : names of the columns with the picture and with its caption; by their usual names,
        such as "image" and "caption", if not given. Without a line of names, the first column
        is the picture and all that follows is the caption.

    Raises ValueError for a file that is empty, mixes encodings or has no such columns.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "captions.txt")
    ...     _ = path.write_text('image,caption\\na.jpg,a dog, a cat and a "pug"')
    ...     read_captions(path)[0][0].text
    'a dog, a cat and a "pug"'
    """
    text = decode(path.read_bytes(), encoding)
    columns = columns and (columns[0].strip().lower(), columns[1].strip().lower())
    if not text.strip():
        raise ValueError("the file is empty")
    ending = path.suffix.lower()
    if ending in (".jsonl", ".ndjson"):
        return take_captions(_json_lines(text), columns)
    if ending == ".json":
        return take_captions(_json_records(text), columns)
    header, records = _table(text, columns)
    captions, problems = take_captions(records, columns)
    if not captions and not problems:
        raise ValueError(f"the file is empty but for its line of names, {', '.join(header)}")
    return captions, problems


def decode(content: bytes, encoding: str | None = None) -> str:
    """Text of a file with line ends of one kind; by its mark, else UTF-8, else as told.

    Raises ValueError, with the lines, where the bytes are not in that encoding.

    >>> decode("größer\\r\\n".encode("utf-16"))
    'größer\\n'
    """
    found = encoding or next((name for mark, name in MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(found)
    except LookupError:
        raise ValueError(f"there is no encoding {encoding!r}") from None
    except UnicodeDecodeError:
        raise ValueError(_why(content, found)) from None
    if "\0" in text:
        raise ValueError("it holds zero bytes: either it is no text, or its encoding has to be "
                         "told, such as encoding='utf-16-le'")
    return text.replace("\ufeff", "").replace("\r\n", "\n").replace("\r", "\n")


def _why(content: bytes, encoding: str) -> str:
    """Which lines are not in an encoding, and whether the others show that it is the right one."""
    if not encoding.lower().startswith(("utf-8", "utf8")):
        return f"it cannot be read as {encoding}"
    broken, sound = [], []
    for number, line in enumerate(content.removeprefix(codecs.BOM_UTF8).splitlines(), start=1):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            broken.append(number)
        else:
            sound += [] if line.isascii() else [number]
    lines = ", ".join(map(str, broken[:20])) + (" and more" if len(broken) > 20 else "")
    if sound:
        return (f"mixed encodings: line {lines} is not UTF-8, while line {sound[0]} is; save the "
                "whole file as UTF-8")
    return (f"line {lines} is not UTF-8: save the file as UTF-8, or tell its encoding, such as "
            "encoding='cp1252'")


def take_captions(records: Iterable[Record | str], columns: Columns = None
                  ) -> tuple[list[Caption], list[str]]:
    """Captions out of records; a record that could not be read is a sentence on it."""
    captions, problems = [], []
    for record in records:
        if isinstance(record, str):
            problems.append(record)
            continue
        where, cells = record
        picture, texts = _picture(cells, columns), list(_texts(cells, columns))
        odd = [text for _, text in texts if not isinstance(text, str) or not _is_clean(text)]
        filled = [(lang, text.strip()) for lang, text in texts if text not in odd and text.strip()]
        if not isinstance(picture, str) or not picture.strip():
            problems.append(f"{where}: it names no picture")
        elif odd:
            problems.append(f"{where}: the caption of {picture} is no text, {odd[0]!r:.60}")
        elif not filled:
            problems.append(f"{where}: the caption of {picture} is empty")
        else:
            captions += [Caption(where, picture.strip(), text, lang) for lang, text in filled]
    return captions, problems


def _is_clean(text: str) -> bool:
    # JSON may hold halves of characters, which no file can be written with.
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _picture(cells: dict[str, object], columns: Columns) -> object:
    name = columns[0] if columns else next(filter(PICTURE.fullmatch, cells), None)
    return cells.get(name)


def _texts(cells: dict[str, object], columns: Columns) -> Iterator[tuple[str | None, object]]:
    """(language, text) of each caption in a record; a list holds several."""
    told = next((str(cells[name]).strip() for name in LANGUAGE if cells.get(name)), None)
    for name, value in cells.items():
        found = CAPTION.fullmatch(name)
        if name == columns[1] if columns else found:
            language = told if columns or not found["lang"] else found["lang"]
            for text in value if isinstance(value, list) else [value]:
                yield language, text


def _json_lines(text: str) -> Iterator[Record | str]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            where = f"line {number}"
            try:
                cells = json.loads(line)
            except (ValueError, RecursionError) as error:
                yield f"{where}: no JSON, {error}"
                continue
            yield (where, _lower(cells)) if isinstance(cells, dict) else f"{where}: no object"


def _json_records(text: str) -> Iterator[Record | str]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is no JSON: {error}") from None
    if isinstance(content, dict):
        return records_of(content)
    if not isinstance(content, list) or not all(isinstance(cells, dict) for cells in content):
        raise ValueError("it should hold a list of objects, or captions by picture")
    return ((f"entry {number}", _lower(cells)) for number, cells in enumerate(content, start=1))


def records_of(captions: Mapping[object, object]) -> Iterator[Record]:
    """Records of captions by picture, each a text or a list of texts."""
    for picture, value in captions.items():
        texts = list(value) if isinstance(value, tuple) else value
        name = os.fspath(picture) if isinstance(picture, os.PathLike) else picture
        yield f"entry {name}", {"image": name, "caption": texts}


def _lower(cells: dict[str, object]) -> dict[str, object]:
    return {name.strip().lower(): value for name, value in cells.items()}


def _table(text: str, columns: Columns) -> tuple[list[str], Iterator[Record | str]]:
    """The names of the columns, and the records below them."""
    lines = text.split("\n")
    first = next(i for i, line in enumerate(lines) if line.strip())
    for delimiter in DELIMITERS:
        header = [cell.strip(' "').lower() for cell in lines[first].split(delimiter)]
        cells = dict.fromkeys(header, "")
        if _picture(cells, columns) is not None and any(_texts(cells, columns)):
            break
    else:
        if columns:
            raise ValueError(f"it has no columns {columns[0]!r} and {columns[1]!r}; its first "
                             f"line is {lines[first]!r:.100}")
        delimiter = next((d for d in DELIMITERS if d in lines[first]), None)
        if delimiter is None:
            raise ValueError("its first line has one column alone, where a picture and a caption "
                             f"should stand: {lines[first]!r:.100}")
        header, first = ["image", "caption"], first - 1
    rows = _rows(lines[first + 1:], delimiter, header, columns)
    return header, _records(rows, first + 1, header)


def _rows(lines: list[str], delimiter: str, header: list[str], columns: Columns
          ) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of each row; in sound CSV, a quoted caption may go over several lines."""
    is_last = any(_texts({header[-1]: ""}, columns))
    reader = csv.reader((f"{line}\n" for line in lines), delimiter=delimiter, strict=True,
                        skipinitialspace=True)
    rows, start = [], 0
    try:
        for row in reader:
            rows.append((start, reader.line_num, row))
            start = reader.line_num
    except csv.Error:
        rows = []
    # A quotation mark that is opened and never closed swallows the pictures after it.
    if not rows or any(PICTURE_LINE.match(line) for _, _, row in rows for cell in row
                       for line in cell.split("\n")[1:]):
        rows = [(number, number + 1, []) for number in range(len(lines))]
    for start, end, row in rows:
        one_line = end == start + 1
        yield start, _cells(lines[start], delimiter, len(header), is_last) if one_line else row


def _cells(line: str, delimiter: str, n_columns: int, is_last: bool) -> list[str]:
    """Cells of one row; is_last : surplus delimiters belong to the caption, which ends the row."""
    try:
        row = next(csv.reader([line], delimiter=delimiter, strict=True, skipinitialspace=True), [])
    except csv.Error:       # quotation marks that belong to the text
        row = line.split(delimiter)
    if len(row) > n_columns and not any(cell.strip() for cell in row[n_columns:]):
        return row[:n_columns]
    return line.split(delimiter, n_columns - 1) if is_last and len(row) > n_columns else row


def _records(rows: Iterable[tuple[int, list[str]]], skipped: int, header: list[str]
             ) -> Iterator[Record | str]:
    """Rows by the names of their columns; those with too many cells are told."""
    for number, row in rows:
        where, n_columns = f"line {number + skipped + 1}", len(header)
        if len(row) > n_columns:
            yield (f"{where}: {len(row)} columns where the first line has {n_columns}; put a "
                   "caption with commas into quotation marks")
        elif any(cell.strip() for cell in row):
            yield where, dict(zip(header, [*row, *[""] * n_columns], strict=False))
