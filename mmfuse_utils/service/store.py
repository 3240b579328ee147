"""Where a service keeps its vectors: one small interface, and the store that is embedded in it.

Every store answers the same questions: the k rows nearest to a vector, all of them or those of
one group, while rows come and go. `ExactStore` looks at every row; `mmfuse_utils.service.postgres`
asks a server. Which one pays from which size on is measured in the chapter on the service.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

import numpy as np

from mmfuse_utils.metrics import check_count
from mmfuse_utils.service.vectors import StoreError, check_rows, check_vectors, nearest

FORMAT = 1


class Store(Protocol):
    """What the service asks of a place for vectors; all of it may be called by several threads."""

    dim: int

    def add(self, ids: Sequence[str], vectors: np.ndarray,
            groups: Sequence[str] | None = None) -> None:
        """Keep rows of length 1, (n, dim), each in one group; a known id is replaced.

        All of them or none: a reader never sees a part of it, nor does the next start after a
        crash. Raises ValueError for rows that do not fit, and then keeps none.
        """

    def delete(self, ids: Sequence[str]) -> int:
        """Forget rows, all of them or none, and say how many there were; unknown ids are none."""

    def search(self, vectors: np.ndarray, k: int, group: str | None = None
               ) -> tuple[np.ndarray, np.ndarray]:
        """Ids and cosines (n, m) of the rows nearest to each vector, the best first.

        vectors : (n, dim), rows of length 1. m is k, or the number of rows (of the group, if one
        is named) where that is smaller. Of equal cosines the row that was added first is first.
        """

    def count(self) -> int:
        """How many rows there are."""

    def close(self) -> None:
        """Give back what is held; a second call does nothing."""


@dataclass(frozen=True)
class _Snapshot:
    """What a search reads. Nothing in its first n rows changes after it was made."""

    ids: np.ndarray         # (room,) objects
    rows: np.ndarray        # (room, dim)
    codes: np.ndarray       # (n,) number of a row's group, -1 for a row that is deleted
    groups: dict[str, int]
    places: dict[str, int]  # of the rows that live; only writers read it


class ExactStore:
    """Rows in memory, every one of them compared: nothing to tune, and nothing to miss.

    dim : numbers in a row. path : a file of SQLite that keeps the rows, so that they are there
    after a restart or a crash; without one they live as long as the object. One process at a
    time uses a file.

    A writer prepares a new snapshot beside the old one and puts it in place in one step, so a
    search waits for nobody and never sees half of a change.

    >>> store = ExactStore(2)
    >>> store.add(["right", "up"], np.eye(2), ["x", "y"])
    >>> store.search(np.array([[0.8, 0.6]]), 1)[0].tolist()
    [['right']]
    """

    def __init__(self, dim: int, path: Path | str | None = None):
        check_count("dim", dim)
        self.dim, self._lock = dim, threading.Lock()
        self._snapshot = _Snapshot(np.empty(0, object), np.empty((0, dim), np.float32),
                                   np.empty(0, np.int32), {}, {})
        self._file = None if path is None else _open(Path(path), dim)
        try:
            self._snapshot = self._read()
        except BaseException as error:
            self.close()
            if isinstance(error, ValueError):
                raise StoreError(f"{Path(path).name} is damaged ({error}); build it "
                                 "anew.") from error
            raise

    def add(self, ids: Sequence[str], vectors: np.ndarray,
            groups: Sequence[str] | None = None) -> None:
        """Keep rows; see `Store.add`. When it returns, they are on disk if there is a file."""
        ids, rows, groups = check_rows(ids, vectors, groups, self.dim)
        with self._writing() as file:
            following = self._with(ids, rows, groups)
            if file is not None:
                file.executemany("REPLACE INTO item (id, vector, grp) VALUES (?, ?, ?)", zip(
                    ids, (row.astype("<f4").tobytes() for row in rows), groups, strict=True))
                file.commit()
            self._snapshot = following

    def delete(self, ids: Sequence[str]) -> int:
        """Forget rows; see `Store.delete`."""
        if isinstance(ids, str):
            raise ValueError("Ids are a list of texts, not one text.")
        with self._writing() as file:
            known = [name for name in dict.fromkeys(ids) if name in self._now.places]
            following = self._without(known)
            if file is not None:
                file.executemany("DELETE FROM item WHERE id = ?", ((name,) for name in known))
                file.commit()
            self._snapshot = following
        return len(known)

    def search(self, vectors: np.ndarray, k: int, group: str | None = None
               ) -> tuple[np.ndarray, np.ndarray]:
        """The nearest rows, exactly; see `Store.search`."""
        now = self._now
        check_count("k", k)
        queries = check_vectors(vectors, self.dim)
        rows = now.rows[:len(now.codes)]
        wanted = (now.codes >= 0 if group is None else
                  now.codes == now.groups.get(group, -2))
        n = np.count_nonzero(wanted)
        if 4 * n > len(rows):       # cheaper to compare all than to bring the others together
            places, scores = nearest(queries, rows, min(k, n), None if n == len(rows) else ~wanted)
            return now.ids[places], scores
        wanted = np.flatnonzero(wanted)
        places, scores = nearest(queries, rows[wanted], min(k, n))
        return now.ids[wanted[places]], scores

    def count(self) -> int:
        """How many rows there are."""
        return len(self._now.places)

    def close(self) -> None:
        """Close the file, if there is one; see `Store.close`."""
        with self._lock:
            if self._file is not None:
                self._file.close()
            self._file = self._snapshot = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self) -> _Snapshot:
        """What the file holds, if there is one."""
        if self._file is None:
            return self._now
        with _named("the store"):
            kept = self._file.execute("SELECT id, vector, grp FROM item ORDER BY place").fetchall()
        ids, vectors, groups = zip(*kept, strict=True) if kept else ((), (), ())
        rows = np.frombuffer(b"".join(vectors), "<f4").reshape(-1, self.dim)
        return self._with(*check_rows(ids, rows, groups, self.dim))

    @property
    def _now(self) -> _Snapshot:
        if self._snapshot is None:
            raise StoreError("The store is closed; open it again.")
        return self._snapshot

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection | None]:
        """One writer at a time; what fails leaves file and snapshot as they were."""
        with self._lock:
            try:
                with _named("the store"):
                    yield self._file
            except BaseException:
                if self._file is not None:
                    self._file.rollback()
                raise

    def _with(self, ids: list[str], rows: np.ndarray, groups: list[str]) -> _Snapshot:
        now = self._without([name for name in ids if name in self._now.places])
        start, end = len(now.codes), len(now.codes) + len(ids)
        kept_ids, kept_rows = now.ids, now.rows
        if end > len(kept_ids):     # more room than is needed, so that the next ones need no copy
            kept_ids = np.empty(end + end // 2, object)
            kept_rows = np.empty((len(kept_ids), self.dim), np.float32)
            kept_ids[:start], kept_rows[:start] = now.ids[:start], now.rows[:start]
        kept_ids[start:end], kept_rows[start:end] = ids, rows
        numbers = dict(now.groups)
        codes = [numbers.setdefault(group, len(numbers)) for group in groups]
        return _Snapshot(kept_ids, kept_rows, np.append(now.codes, np.array(codes, np.int32)),
                         numbers, now.places | dict(zip(ids, range(start, end), strict=True)))

    def _without(self, ids: list[str]) -> _Snapshot:
        now = self._now
        if not ids:
            return now
        codes, places = now.codes.copy(), now.places.copy()
        codes[[places.pop(name) for name in ids]] = -1
        if 2 * len(places) >= len(codes):
            return _Snapshot(now.ids, now.rows, codes, now.groups, places)
        alive = np.flatnonzero(codes >= 0)      # more than half is gone: move together
        return _Snapshot(now.ids[alive], now.rows[alive], codes[alive], now.groups,
                         {name: place for place, name in enumerate(now.ids[alive])})


def _open(path: Path, dim: int) -> sqlite3.Connection:
    """A file for rows, new or checked; what is acknowledged is on the disk."""
    with _named(path):
        file = sqlite3.connect(path, check_same_thread=False, timeout=2)
        try:
            file.execute("PRAGMA locking_mode = EXCLUSIVE")
            file.execute("PRAGMA journal_mode = WAL")
            file.execute("PRAGMA synchronous = FULL")
            file.execute("CREATE TABLE IF NOT EXISTS about (format INTEGER, dim INTEGER)")
            file.execute("CREATE TABLE IF NOT EXISTS item (place INTEGER PRIMARY KEY, "
                         "id TEXT NOT NULL UNIQUE, vector BLOB NOT NULL, grp TEXT NOT NULL)")
            about = file.execute("SELECT format, dim FROM about").fetchall()
            if not about:
                about = [(FORMAT, dim)]
                file.execute("INSERT INTO about VALUES (?, ?)", about[0])
                file.commit()
            wrong = file.execute("SELECT COUNT(*) FROM item WHERE length(vector) <> ?",
                                 (4 * dim,)).fetchone()[0]
            if about != [(FORMAT, dim)] or wrong:
                raise StoreError(f"{path.name} is of format and dimension {about} with {wrong} "
                                 f"odd rows; expected format {FORMAT} and {dim} numbers a row. "
                                 "Name another file, or build it anew.")
        except BaseException:
            file.close()
            raise
    return file


@contextlib.contextmanager
def _named(path: Path | str) -> Iterator[None]:
    """Turn what SQLite says into words that say what to do."""
    name = Path(path).name
    try:
        yield
    except sqlite3.OperationalError as error:
        reason = ("another process uses it; stop that one, or name another file"
                  if "locked" in str(error) else
                  f"{error}; see whether the disk is full and the folder may be written")
        raise StoreError(f"Could not use {name}: {reason}.") from error
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{name} is damaged or no file of a store ({error}); build it "
                         "anew.") from error
