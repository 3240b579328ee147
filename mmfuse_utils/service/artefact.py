"""What the service serves, in one versioned folder: written whole or not at all, and checked.

A folder holds `manifest.json`, which names every other file with its size and SHA-256 and carries
a checksum of its own, and those files: arrays in NumPy's format, texts in JSON, and the small
pictures. Nothing in it is a pickle, so that loading runs no code of the folder's. `CARD.md` is for
people; no program reads it.
"""

import hashlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from mmfuse_utils.cache import content_key, lock, write_then_rename
from mmfuse_utils.service.cards import write_card

KIND, FORMAT = "mmfuse search", 1
BUILD = "build it again: python -m mmfuse_utils.service --build-only"
TEXTS = {"words": "words.json", "items": "items.json"}
# Every array: its type, and its shape in the sizes that the parts of an artefact share.
ARRAYS = {
    "word_rows": ("float16", ("words", "dim")), "vectors": ("float32", ("items", "dim")),
    "text_mean": ("float32", ("dim",)), "coef": ("float32", ("features", "dim")),
    "feature_mean": ("float32", ("features",)), "class_names": ("float32", ("classes", "dim")),
    "names_mean": ("float32", ("dim",)), "ends": ("int64", ("items",)),
    "pictures": ("uint8", ("bytes",))}
FILES = TEXTS | {name: f"{name}.npy" for name in ARRAYS}
FACTS = {"source": str, "built": str, "method": str, "settings": dict, "counts": dict,
         "data": dict, "made_with": dict, "groups": list, "examples": list}
SETTINGS = {"networks", "size", "temperature", "names_weight"}      # what a search needs of them
ITEM = {"id": str, "title": str, "keywords": list, "credit": str, "group": str}


class ArtefactError(RuntimeError):
    """A folder holds no artefact that can be served; the message names every bad file."""


@dataclass(frozen=True)
class Artefact:
    """All that a search needs: word vectors, the map, the index, titles and small pictures.

    facts : what it is: source, method, settings, counts, data and so on, see `FACTS`.
    words : the known words; word_rows : a vector of each, as long as the word's weight.
    items : id, title, keywords, credit and group of each picture, see `ITEM`.
    vectors : the index, a row of length 1 an item. text_mean : what all texts have in common.
    coef, feature_mean : the map from a picture's features among the words.
    class_names, names_mean : the network's classes among the words, and their mean picture.
    pictures, ends : the small pictures, one after the other, and where each of them ends.
    """

    facts: Mapping
    words: Sequence[str]
    items: Sequence[Mapping]
    word_rows: np.ndarray
    vectors: np.ndarray
    text_mean: np.ndarray
    coef: np.ndarray
    feature_mean: np.ndarray
    class_names: np.ndarray
    names_mean: np.ndarray
    ends: np.ndarray
    pictures: np.ndarray

    @cached_property
    def rows(self) -> dict[str, int]:
        """The row of each item, by its id."""
        return {item["id"]: row for row, item in enumerate(self.items)}

    def picture(self, item: str) -> bytes:
        """The small picture of an item, as PNG, WebP or JPEG; KeyError for an unknown id."""
        row = self.rows[item]
        return self.pictures[self.ends[row - 1] if row else 0:self.ends[row]].tobytes()


def save_artefact(artefact: Artefact, folder: Path) -> Path:
    """Write an artefact to a new folder, whole or not at all.

    What is written lies in a temporary folder beside it until every byte is on the disk. Raises
    `ArtefactError` where the folder is there already, or the parts do not fit together, and
    `WriteError` where the disk is full or may not be written.
    """
    folder = Path(folder).absolute()
    problems = _misfits(artefact)
    if problems:
        raise ArtefactError("This artefact cannot be saved:\n" + "\n".join(problems))
    with lock(f"artefact-{content_key(str(folder))}"):
        if folder.exists():
            raise ArtefactError(f"{folder.name} is there already; remove it, or name another "
                                "folder.")
        with write_then_rename(folder) as temporary:
            write_artefact(artefact, temporary)
    _sync(folder.parent)
    return folder


def write_artefact(artefact: Artefact, folder: Path) -> None:
    """Write an artefact's files into a folder that is made for them, down to the disk."""
    folder.mkdir()
    listing = {}
    for name, file in FILES.items():
        part = getattr(artefact, name)
        if name in TEXTS:
            data = json.dumps(part, ensure_ascii=False).encode()
        else:
            buffer = io.BytesIO()
            np.save(buffer, part, allow_pickle=False)
            data = buffer.getvalue()
        _write(folder / file, data)
        listing[file] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    facts = {name: artefact.facts[name] for name in FACTS}
    manifest = {"kind": KIND, "format": FORMAT, **facts, "files": listing}
    manifest["seal"] = _seal(manifest)
    _write(folder / "CARD.md", write_card(facts, artefact.items).encode())
    _write(folder / "manifest.json", json.dumps(manifest, indent=1, ensure_ascii=False).encode())
    _sync(folder)


def load_artefact(folder: Path) -> Artefact:
    """Read an artefact, every byte of it checked.

    Raises `ArtefactError` that says what is missing, damaged or of another version, all files at
    once, and what to do.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    data, problems = {}, []
    for name, file in FILES.items():
        try:
            data[name] = _checked(folder / file, manifest["files"][file])
        except ValueError as error:
            problems.append(str(error))
    _refuse(folder, problems)
    parts = {}
    for name, file in FILES.items():
        try:
            parts[name] = (json.loads(data.pop(name)) if name in TEXTS else
                           np.load(io.BytesIO(data.pop(name)), allow_pickle=False))
        except Exception as error:      # what is sealed but crafted raises any type
            problems.append(f"{file} cannot be read: {error}")
    problems += [f"{file} is no list" for name, file in TEXTS.items()
                 if name in parts and not isinstance(parts[name], list)]
    problems += [f"{FILES[name]} is no array" for name in ARRAYS
                 if name in parts and not isinstance(parts[name], np.ndarray)]
    _refuse(folder, problems)
    checksums = {file: entry["sha256"] for file, entry in manifest["files"].items()}
    facts = {name: manifest[name] for name in FACTS} | {"checksums": checksums}
    artefact = Artefact(facts, **parts)
    _refuse(folder, _misfits(artefact))
    return artefact


def read_manifest(folder: Path) -> dict:
    """What a folder says of itself, its checksum and its version checked.

    Raises `ArtefactError` as `load_artefact` does.
    """
    path = Path(folder) / "manifest.json"
    if not path.is_file():
        raise ArtefactError(f"There is no artefact in {folder}: manifest.json is missing; {BUILD}")
    try:
        manifest = json.loads(path.read_bytes())
        kind, version = manifest.get("kind"), manifest.get("format")
    except (ValueError, AttributeError, RecursionError) as error:
        raise ArtefactError(f"The artefact in {folder} cannot be served: manifest.json is "
                            f"damaged ({error}); {BUILD}") from error
    if kind != KIND:
        raise ArtefactError(f"{folder} holds no artefact of this service: its kind is {kind!r}, "
                            f"expected {KIND!r}; {BUILD}")
    if version != FORMAT or isinstance(version, bool):
        newer = isinstance(version, int) and version > FORMAT
        raise ArtefactError(f"The artefact in {folder} is of format {version!r}, this program "
                            f"reads format {FORMAT}; "
                            + ("update the program, or " if newer else "") + BUILD)
    _refuse(Path(folder), _faults(manifest))
    return manifest


def _faults(manifest: dict) -> list[str]:
    """What is wrong with a manifest of the right version."""
    expected = {"kind", "format", *FACTS, "files", "seal"}
    if manifest.get("seal") != _seal(manifest):
        return ["manifest.json is damaged: its checksum is wrong"]
    problems = [f"manifest.json lacks {name!r}" for name in sorted(expected - manifest.keys())]
    problems += [f"manifest.json has the unknown entry {name!r}"
                 for name in sorted(manifest.keys() - expected)]
    problems += [f"manifest.json: {name!r} should be a {kind.__name__}"
                 for name, kind in FACTS.items()
                 if name in manifest and not isinstance(manifest[name], kind)]
    files = manifest.get("files")
    listed = {name for name, entry in files.items() if isinstance(entry, dict)
              and entry.keys() == {"bytes", "sha256"}} if isinstance(files, dict) else set()
    if listed != set(FILES.values()):
        problems.append("manifest.json lists other files: "
                        + (", ".join(sorted(listed ^ set(FILES.values()))) or "none"))
    return problems


def _checked(path: Path, told: Mapping) -> bytes:
    """The bytes of a file that are what the manifest says of them."""
    if not path.is_file():
        raise ValueError(f"{path.name} is missing")
    size = path.stat().st_size
    if size != told["bytes"]:
        raise ValueError(f"{path.name} has {size:,} bytes, expected {told['bytes']:,}")
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != told["sha256"]:
        raise ValueError(f"{path.name} is damaged: its SHA-256 is {digest[:12]}…, expected "
                         f"{str(told['sha256'])[:12]}…")
    return data


def _misfits(artefact: Artefact) -> list[str]:
    """Parts that do not fit each other, though each may be sound by itself."""
    return [*_odd_arrays(artefact), *_odd_texts(artefact)]


def _odd_arrays(artefact: Artefact) -> list[str]:
    problems, sizes = [], {"words": len(artefact.words), "items": len(artefact.items)}
    for name, (kind, shape) in ARRAYS.items():
        array = getattr(artefact, name)
        expected = tuple(sizes.setdefault(size, length) for size, length in
                         zip(shape, array.shape, strict=False))
        if array.dtype != kind or array.shape != expected or len(shape) != array.ndim:
            problems.append(f"{name} is {array.dtype} of shape {array.shape}, expected {kind} of "
                            f"({', '.join(str(sizes.get(size, size)) for size in shape)})")
        elif array.dtype.kind == "f" and not np.isfinite(array).all():
            problems.append(f"{name} holds numbers that are infinite or none")
    ends = artefact.ends
    if not problems and ((np.diff(ends, prepend=0) <= 0).any()
                         or ends[-1:].sum() != len(artefact.pictures)):
        problems.append("ends do not rise to the end of the pictures")
    return problems


def _odd_texts(artefact: Artefact) -> list[str]:
    problems = []
    if not all(isinstance(word, str) for word in artefact.words) or (
            len(set(artefact.words)) < len(artefact.words)):
        problems.append("words are not texts, each of them once")
    odd = [row for row, item in enumerate(artefact.items) if not isinstance(item, dict)
           or {key: type(value) for key, value in item.items()} != ITEM]
    if odd:
        problems.append(f"items: entry {odd[0]} is not one of {', '.join(ITEM)}")
    elif len({item["id"] for item in artefact.items}) < len(artefact.items):
        problems.append("items: an id stands twice")
    lacking = SETTINGS - artefact.facts["settings"].keys()
    return problems + [f"settings lack {name!r}" for name in sorted(lacking)]


def _refuse(folder: Path, problems: list[str]) -> None:
    if problems:
        raise ArtefactError("\n".join((f"The artefact in {folder} cannot be served:",
                                       *(f"  {problem}" for problem in problems), BUILD)))


def _seal(manifest: Mapping) -> str:
    told = {name: value for name, value in manifest.items() if name != "seal"}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Make names in a folder last through a power cut, where the system has a way to."""
    if hasattr(os, "O_DIRECTORY"):
        number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
