"""Where things are kept: keys, locks, and files that are written whole or not at all."""

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import platformdirs
from filelock import FileLock, Timeout

FORMAT = 1  # part of every path: a new layout never meets old files


class CacheError(RuntimeError):
    """The cache could not be written; the message says what to do."""


def cache_dir() -> Path:
    """Folder of everything that is downloaded or computed once.

    The environment variable MMFUSE_CACHE names another place than the user's cache.

    >>> cache_dir().name == f"v{FORMAT}"
    True
    """
    root = os.environ.get("MMFUSE_CACHE") or platformdirs.user_cache_dir("mmfuse", False)
    return Path(root).expanduser() / f"v{FORMAT}"


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


@contextlib.contextmanager
def cache_errors(path: Path) -> Iterator[None]:
    """Turn the system's refusal to write into a `CacheError` that says what to do."""
    try:
        yield
    except OSError as error:
        # NumPy tells of a full disk in words alone, without the system's error number.
        if error.errno in (errno.ENOSPC, errno.EDQUOT, None):
            reason = "the disk is full; free some space"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            reason = "this user may not write there"
        elif error.errno in (errno.ENOTDIR, errno.EEXIST):
            reason = "a file stands where a folder should be"
        else:
            raise
        raise CacheError(
            f"Could not write {path.name} into the cache folder {path.parent}: {reason}, or set "
            "the environment variable MMFUSE_CACHE to another folder, then run the same command "
            "again. What was there before is unharmed."
        ) from error


@contextlib.contextmanager
def write_then_rename(path: Path) -> Iterator[Path]:
    """Give a temporary path; after the block, rename it to `path` in one step.

    A process killed inside the block leaves `path` as it was. The temporary path may become
    a file or a folder. Raises `CacheError` when the disk is full or not writable.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with write_then_rename(Path(folder, "a.txt")) as temporary:
    ...         _ = temporary.write_text("whole")
    ...     Path(folder, "a.txt").read_text()
    'whole'
    """
    # The suffix stays last, so that writers which look at it (np.save) do not add their own.
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    with cache_errors(path):
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
    with cache_errors(path):
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


def cached_array(folder: str, key: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
    """Array kept at `folder/key.npy` in the cache; computed once, under a lock.

    compute : called without arguments when the file is not there yet.
    """
    path = cache_dir() / folder / f"{key}.npy"
    if not path.exists():
        with lock(f"{folder}-{key}"):
            if not path.exists():
                array = compute()
                with write_then_rename(path) as temporary:
                    np.save(temporary, array)
    return np.load(path)
