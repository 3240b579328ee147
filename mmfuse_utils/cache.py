"""Where things are kept: keys, locks, seals, and files that are written whole or not at all."""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
import platformdirs
from filelock import FileLock, Timeout

FORMAT = 2  # part of every path: a new layout never meets old files
T = TypeVar("T")


class WriteError(RuntimeError):
    """A file or folder could not be written; the message says where, why and what to do."""


class CacheError(WriteError):
    """The cache could not be written; the message says what to do."""


def cache_dir() -> Path:
    """Folder of everything that is downloaded or computed once.

    The environment variable MMFUSE_CACHE names another place than the user's cache. A relative
    one is made absolute when it is first read, for this process and those that it starts, so
    that a later change of folder does not lead to another cache.

    >>> cache_dir().name == f"v{FORMAT}"
    True
    """
    root = os.environ.get("MMFUSE_CACHE")
    if not root:
        return Path(platformdirs.user_cache_dir("mmfuse", False), f"v{FORMAT}")
    place = Path(root).expanduser().absolute()
    os.environ["MMFUSE_CACHE"] = str(place)
    return place / f"v{FORMAT}"


def content_key(*parts: object) -> str:
    """Short name for what a result was computed from: equal parts, equal key.

    parts : texts, bytes, numbers, None, arrays, and tuples, lists or dicts of such; arrays count
        by type, shape and every value.

    Raises TypeError for anything else, whose contents cannot be told.

    >>> content_key("efficientnet-lite0", 128) == content_key("efficientnet-lite0", 128)
    True
    >>> content_key("ab", "c") == content_key("a", "bc")
    False
    """
    digest = hashlib.sha256()
    _feed(digest.update, parts)
    return digest.hexdigest()[:16]


def _feed(update: Callable[[bytes], None], part: object) -> None:
    """Give a part to a hash so that no two different parts give it the same bytes."""
    if isinstance(part, np.ma.MaskedArray):
        part = ("masked", part.data, np.ma.getmaskarray(part))
    if isinstance(part, np.ndarray) and part.dtype.hasobject:
        part = ("objects", part.shape, part.ravel().tolist())
    if isinstance(part, np.ndarray):
        update(f"array {part.dtype.descr} {part.shape} ".encode())
        update(np.ascontiguousarray(part).tobytes())
    elif isinstance(part, bytes):
        update(b"bytes %d " % len(part) + part)
    elif isinstance(part, (tuple, list, dict)):
        update(f"{type(part).__name__} {len(part)} ".encode())
        for item in sorted(part.items(), key=repr) if isinstance(part, dict) else part:
            _feed(update, item)
    elif part is None or isinstance(part, (str, int, float, np.generic)):
        value = part.item() if isinstance(part, np.generic) else part
        update(f"{value!r} ".encode())
    else:
        raise TypeError(f"A key is made from texts, numbers, arrays and lists of them; a "
                        f"{type(part).__name__} does not show what it holds.")


REASONS = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "the disk is full; free some space"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "this user may not write there"),
    **dict.fromkeys((errno.ENOTDIR, errno.EEXIST), "a file stands where a folder should be"),
    **dict.fromkeys((errno.EISDIR, errno.ENOTEMPTY), "a folder stands where it should be"),
    errno.ENAMETOOLONG: "the name is too long",
}
# NumPy tells of a full disk in words alone, without the system's error number.
NUMPYS_FULL_DISK = re.compile(r"\d+ requested and \d+ written|Not enough free space to write")


@contextlib.contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Turn the system's refusal to write `path` into an error that says what to do.

    Raises `CacheError` for a path in the cache, `WriteError` for one of the reader's own. Errors
    about other places pass unchanged.
    """
    try:
        yield
    except OSError as error:
        number = errno.ENOSPC if NUMPYS_FULL_DISK.match(str(error)) else error.errno
        if number not in REASONS or not _concerns(error, number, path):
            raise
        reason, where = REASONS[number], f"Could not write {path.name} into the"
        if path.is_relative_to(cache_dir()):
            raise CacheError(
                f"{where} cache folder {path.parent}: {reason}, or set the environment variable "
                "MMFUSE_CACHE to another folder, then run the same command again. What was there "
                "before is unharmed.") from error
        raise WriteError(f"{where} folder {path.parent}: {reason}, or choose another place. What "
                         "was there before is unharmed.") from error


def _concerns(error: OSError, number: int, path: Path) -> bool:
    """Whether an error is about a path, something in it or the folders that it lies in."""
    if not isinstance(error.filename, (str, bytes, os.PathLike)):
        return number in (errno.ENOSPC, errno.EDQUOT)   # in writing, the system names no file
    named, folder = Path(os.fsdecode(error.filename)).absolute(), path.parent.absolute()
    return named.is_relative_to(folder) or folder.is_relative_to(named)


@contextlib.contextmanager
def write_then_rename(path: Path) -> Iterator[Path]:
    """Give a temporary path; after the block, rename it to `path` in one step.

    A process killed inside the block leaves `path` as it was. The temporary path may become
    a file or a folder. Raises `WriteError` when the disk is full or not writable, which is a
    `CacheError` for a path in the cache.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with write_then_rename(Path(folder, "a.txt")) as temporary:
    ...         _ = temporary.write_text("whole")
    ...     Path(folder, "a.txt").read_text()
    'whole'
    """
    # The suffix stays last, so that writers which look at it (np.save) do not add their own.
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove(temporary)  # left by a killed process that had our number
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            remove(temporary)


def remove(path: Path) -> None:
    """Delete a file or a folder; nothing there is fine."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def lock(name: str) -> Iterator[None]:
    """Let one process at a time do the work called `name`; the others wait, and say so.

    >>> with lock("doctest"):
    ...     print("alone")
    alone
    """
    path = cache_dir() / "locks" / f"{name}.lock"
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        guard = FileLock(path)
        try:
            guard.acquire(timeout=0)
        except Timeout:
            print(f"Another process is preparing {name}; waiting for it …", flush=True)
            guard.acquire()
    try:
        yield
    finally:
        guard.release()


def keep(path: Path, make: Callable[[Path], None]) -> Path:
    """A file or folder of the cache, made under a lock where it is missing or damaged.

    path : below `cache_dir()`. make : called with a temporary path, at which it makes the file
        or the folder.

    Beside what is kept lies a seal with the size and hash of each file. Every use compares names
    and sizes; `find_damage` compares the hashes, too. What is damaged is made again, and files in
    a kept folder that the seal does not know stay as they are.
    """
    if not is_intact(path):
        with lock(path.relative_to(cache_dir()).as_posix().replace("/", "-")):
            if not is_intact(path):
                _make(path, make)
    return path


def _make(path: Path, make: Callable[[Path], None]) -> None:
    again = path.is_dir()
    fresh = path.with_name(f"{path.name}-again") if again else path
    with write_errors(path):
        break_seal(path)
        name = re.escape(path.name)
        for left in path.parent.glob(f"*{path.name}*"):     # by processes that were killed
            if re.fullmatch(rf"\.\d+-{name}(-again|\.seal)?|{name}-again", left.name):
                remove(left)
        with write_then_rename(fresh) as temporary:
            make(temporary)
        listing = {name: [(fresh / name).stat().st_size, _hash_file(fresh / name)]
                   for name in _files(fresh)}
        if again:
            for name in listing:
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(fresh / name, path / name)
            remove(fresh)
        with write_then_rename(_seal(path)) as temporary:
            temporary.write_text(json.dumps(listing), encoding="utf8")


def _seal(path: Path) -> Path:
    return path.with_name(f"{path.name}.seal")


def _files(path: Path) -> list[str]:
    """All files below a folder, as relative paths; for a file the path "." to itself."""
    if path.is_file():
        return ["."]
    return sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file())


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _listing(path: Path) -> dict[str, tuple[int, str]]:
    """What the seal says: size and hash by file; ValueError or OSError without a sound seal."""
    listing = json.loads(_seal(path).read_text(encoding="utf8"))
    return {name: (int(size), str(digest)) for name, (size, digest) in listing.items()}


def is_intact(path: Path) -> bool:
    """Whether a kept file or folder is there with all its files, each of its size."""
    try:
        # os.stat, since there may be thousands of files at every start of a notebook.
        return path.exists() and all(
            os.stat(path if name == "." else os.path.join(path, name)).st_size == size
            for name, (size, _) in _listing(path).items())
    except (OSError, ValueError, TypeError, AttributeError):    # no seal, or no sound one
        return False


def find_damage(path: Path) -> str | None:
    """What is wrong with a kept file or folder, every byte compared; None when nothing is."""
    if not is_intact(path):
        return "is incomplete"
    changed = [name for name, (_, digest) in _listing(path).items()
               if _hash_file(path / name) != digest]
    return f"has changed ({changed[0]})" if changed else None


def break_seal(path: Path) -> None:
    """Mark a kept file or folder as damaged, so that the next use makes it again."""
    if _seal(path).exists():        # the mark stays until then, so that `check` sees it each time
        _seal(path).write_text("damaged", encoding="utf8")


def list_kept() -> list[Path]:
    """Everything in the cache that was kept, damaged or not, in order."""
    return sorted(seal.with_suffix("") for seal in cache_dir().rglob("*.seal"))


def load_kept(path: Path, make: Callable[[Path], None], load: Callable[[Path], T]) -> T:
    """What `load` reads from a kept path; made once more when it cannot be read.

    make : see `keep`.
    """
    keep(path, make)
    try:
        return load(path)
    except Exception:       # whatever a damaged file of the right size makes its reader say
        break_seal(path)
        return load(keep(path, make))


def cached_array(folder: str, key: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
    """Array kept at `folder/key.npy` in the cache; computed once, under a lock.

    compute : called where the file is not there yet, or damaged as far as `keep` notices.
    """
    return load_kept(cache_dir() / folder / f"{key}.npy",
                     lambda path: np.save(path, compute(), allow_pickle=False), np.load)
