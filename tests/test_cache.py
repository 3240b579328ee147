"""Files are whole or absent, whoever is killed and whatever is full; work is done once."""

import errno
import itertools
import os
import subprocess
import sys
import urllib.error
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from mmfuse_utils import cache, check
from mmfuse_utils.cache import (CacheError, WriteError, break_seal, cache_dir, cached_array,
                                content_key, find_damage, is_intact, keep, list_kept, lock,
                                write_then_rename)

WRITE = """
import sys
from pathlib import Path
from mmfuse_utils.cache import write_then_rename
with write_then_rename(Path(sys.argv[1])) as temporary:
    if sys.argv[2] == "folder":
        temporary.mkdir()
        temporary = temporary / "part"
    temporary.write_text("half of the n")
    print("inside", flush=True)
    sys.stdin.read()
"""
COMPUTE = """
import sys
from pathlib import Path
import numpy as np
from mmfuse_utils.cache import cached_array

def compute():
    with Path(sys.argv[1]).open("a") as log:
        log.write("computed\\n")
    print("computing", flush=True)
    sys.stdin.read()
    return np.arange(5.0)

print(cached_array("sums", "key", compute).sum(), flush=True)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Every test here has a cache of its own."""
    monkeypatch.setenv("MMFUSE_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def start():
    """Start a Python program that talks through pipes; it is gone when the test ends."""
    programs = []

    def run(code: str, *args: object) -> subprocess.Popen:
        programs.append(subprocess.Popen([sys.executable, "-c", code, *map(str, args)], text=True,
                                         encoding="utf8", env={**os.environ, "PYTHONUTF8": "1"},
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        return programs[-1]

    yield run
    for program in programs:
        program.kill()
        program.communicate()


def fill(path: Path, text: str, kind: str) -> None:
    with write_then_rename(path) as temporary:
        if kind == "folder":
            temporary.mkdir()
            temporary = temporary / "part"
        temporary.write_text(text)


def content(path: Path, kind: str) -> str:
    return (path / "part" if kind == "folder" else path).read_text()


def names(path: Path) -> list[str]:
    return sorted(child.name for child in path.iterdir())


def test_the_environment_variable_names_the_place(folder, monkeypatch):
    assert cache.cache_dir() == folder / "cache" / f"v{cache.FORMAT}"
    monkeypatch.setenv("MMFUSE_CACHE", "~/elsewhere")
    assert cache.cache_dir() == Path.home() / "elsewhere" / f"v{cache.FORMAT}"
    monkeypatch.setenv("MMFUSE_CACHE", "")
    assert "mmfuse" in cache.cache_dir().parts


def test_a_relative_place_stays_where_it_was_meant(folder, monkeypatch):
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MMFUSE_CACHE", "mine")
    assert cache_dir().parent == folder / "mine"
    monkeypatch.chdir(folder / "elsewhere")
    assert cache_dir().parent == folder / "mine"
    code = "from mmfuse_utils.cache import cache_dir; print(cache_dir().parent)"
    child = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True)
    assert child.stdout.strip() == str(folder / "mine")


PARTS = st.lists(st.one_of(st.text(max_size=4), st.integers(), st.none(), st.booleans()),
                 max_size=4)


@settings(deadline=None)
@given(PARTS, PARTS)
def test_keys_are_equal_exactly_for_equal_parts(a, b):
    # True == 1 in Python, but they are different settings.
    same = [(type(x), x) for x in a] == [(type(x), x) for x in b]
    assert (content_key(*a) == content_key(*b)) == same
    assert len(content_key(*a)) == 16 and set(content_key(*a)) <= set("0123456789abcdef")


ARRAYS = arrays(st.sampled_from([np.uint8, np.int64, np.float32, np.float64]),
                array_shapes(max_dims=3, max_side=4))


@settings(deadline=None)
@given(ARRAYS, ARRAYS)
def test_arrays_have_the_same_key_exactly_when_they_hold_the_same(a, b):
    same = a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    assert (content_key(a) == content_key(b)) == same
    assert content_key(a) == content_key(np.asfortranarray(a)) != content_key(a.tolist())


@pytest.mark.parametrize("n", [10, 2000])
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: [1, x], lambda x: {"a": (x, None)}],
                         ids=["bare", "in a list", "in a dict"])
def test_every_number_of_an_array_counts(n, wrap):
    array = np.zeros((n, 3))
    keys = {content_key(wrap(array))}
    for row in range(0, n, max(1, n // 20)):
        other = array.copy()
        other[row, 1] = 1e-12
        keys.add(content_key(wrap(other)))
    assert len(keys) == len(range(0, n, max(1, n // 20))) + 1


def test_keys_of_other_things():
    assert content_key({"a": 1, "b": 2}) == content_key({"b": 2, "a": 1})
    assert content_key((1, 2)) != content_key([1, 2]) != content_key(b"[1, 2]")
    assert content_key(np.array(["ab", "c"], object)) != content_key(np.array(["a", "bc"], object))
    assert content_key(np.float64(0.5)) == content_key(0.5)
    for opaque in (object(), lambda: 0, {1, 2}, iter([1]), Path("a")):
        with pytest.raises(TypeError, match="does not show what it holds"):
            content_key("a", [opaque])


def test_a_key_does_not_depend_on_the_process():
    code = "from mmfuse_utils.cache import content_key; print(content_key('a', 1, ('b',)))"
    keys = {subprocess.run([sys.executable, "-c", code], text=True, capture_output=True,
                           check=True, env={**os.environ, "PYTHONHASHSEED": seed}).stdout.strip()
            for seed in "12"}
    assert keys == {content_key("a", 1, ("b",))}


@pytest.mark.parametrize("kind", ["file", "folder"])
class TestWhole:
    """`write_then_rename`, for targets that are files and folders."""

    def test_writes(self, folder, kind):
        fill(folder / "deep" / "target", "new", kind)
        assert content(folder / "deep" / "target", kind) == "new"
        assert names(folder / "deep") == ["target"]

    def test_an_exception_leaves_nothing_behind(self, folder, kind):
        with pytest.raises(ZeroDivisionError), write_then_rename(folder / "target") as temporary:
            if kind == "folder":
                temporary.mkdir()
                (temporary / "part").write_text("half")
            else:
                temporary.write_text("half")
            1 / 0
        assert names(folder) == []

    def test_a_killed_writer_harms_nothing(self, folder, kind, start):
        program = start(WRITE, folder / "target", kind)
        assert program.stdout.readline() == "inside\n"
        program.kill()
        program.wait()
        assert not (folder / "target").exists()
        fill(folder / "target", "new", kind)
        assert content(folder / "target", kind) == "new"

    def test_leftovers_of_a_killed_process_with_our_number_do_not_matter(self, folder, kind):
        # Inside a container every run may have the same process number.
        leftover = folder / f".{os.getpid()}-target"
        leftover.mkdir() if kind == "folder" else leftover.write_text("half")
        fill(folder / "target", "new", kind)
        assert content(folder / "target", kind) == "new"


def test_the_old_file_survives_exceptions_and_kills(folder, start):
    target = folder / "target"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), write_then_rename(target) as temporary:
        temporary.write_text("half")
        1 / 0
    assert target.read_text() == "old"
    program = start(WRITE, target, "file")
    assert program.stdout.readline() == "inside\n"
    assert target.read_text() == "old"
    program.kill()
    program.wait()
    assert target.read_text() == "old"
    fill(target, "new", "file")
    assert target.read_text() == "new"


def test_the_last_step_is_one_rename_within_a_folder(folder, monkeypatch):
    """The only step that a reader of the file could see half done is one that cannot be."""
    target, steps = folder / "target", []
    target.write_text("old")
    rename = os.replace

    def watch(source, destination):
        steps.append((Path(source).parent, Path(destination), target.read_text()))
        rename(source, destination)

    monkeypatch.setattr(os, "replace", watch)
    fill(target, "new", "file")
    assert steps == [(folder, target, "old")] and target.read_text() == "new"


ERRORS = {
    "full disk": (OSError(errno.ENOSPC, "No space left on device"), "disk is full"),
    # What NumPy says on a full disk: an OSError without a number.
    "full disk, NumPy": (OSError("200000 requested and 131056 written"), "disk is full"),
    "full disk, NumPy, large": (OSError("Not enough free space to write 24000000 bytes after "
                                        "offset 128"), "disk is full"),
    "no permission": (PermissionError(errno.EACCES, "Permission denied"), "may not write"),
    "read-only disk": (OSError(errno.EROFS, "Read-only file system"), "write"),
}


@pytest.mark.parametrize("reason", ERRORS)
def test_what_cannot_be_written_is_said_in_one_paragraph(reason, folder, monkeypatch):
    error, words = ERRORS[reason]

    def save(path, array, allow_pickle):
        Path(path).write_bytes(b"half")
        if error.errno in (errno.EACCES, errno.EROFS):
            error.filename = str(path)
        raise error

    monkeypatch.setattr(np, "save", save)
    with pytest.raises(CacheError, match=words) as caught:
        cached_array("sums", "key", lambda: np.arange(5))
    message = str(caught.value)
    assert "\n" not in message and "MMFUSE_CACHE" in message and "again" in message
    assert str(cache.cache_dir() / "sums") in message
    assert names(cache.cache_dir() / "sums") == []
    assert list_kept() == []
    monkeypatch.undo()
    monkeypatch.setenv("MMFUSE_CACHE", str(folder / "cache"))
    assert cached_array("sums", "key", lambda: np.arange(5)).sum() == 10


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.ENOTDIR,
                                    errno.EISDIR, errno.ENAMETOOLONG])
def test_what_lies_outside_the_cache_is_not_called_the_cache(folder, number):
    with pytest.raises(WriteError) as caught, write_then_rename(folder / "grades.csv") as temporary:
        raise OSError(number, os.strerror(number), str(temporary))
    message = str(caught.value)
    assert not isinstance(caught.value, CacheError) and "MMFUSE_CACHE" not in message
    assert f"grades.csv into the folder {folder}: " in message and "choose another" in message


def test_trouble_with_another_file_is_not_called_trouble_with_this_one(folder):
    elsewhere = PermissionError(errno.EACCES, "Permission denied", str(folder / "b" / "source"))
    with pytest.raises(PermissionError, match="source"), write_then_rename(folder / "a" / "copy"):
        raise elsewhere


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="optional: this system has no /dev/full")
def test_a_device_that_is_really_full(folder):
    with pytest.raises(CacheError, match="disk is full"), \
            write_then_rename(cache_dir() / "target"), open("/dev/full", "wb", buffering=0) as full:
        full.write(b"x")


def test_a_cache_that_is_a_file_is_said(folder, monkeypatch):
    (folder / "file").write_text("")
    monkeypatch.setenv("MMFUSE_CACHE", str(folder / "file"))
    with pytest.raises(CacheError, match="MMFUSE_CACHE"):
        cached_array("sums", "key", lambda: np.arange(5))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0,
                    reason="optional: the administrator may write anywhere")
def test_a_closed_folder(folder):
    closed = folder / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(WriteError, match="may not write"):
        fill(closed / "target", "new", "file")


def test_other_errors_pass_unchanged(folder):
    with pytest.raises(FileNotFoundError), write_then_rename(folder / "target"):
        open(folder / "missing")


def test_an_array_is_computed_once():
    calls = itertools.count()
    arrays = [cached_array("sums", "key", lambda: np.full((2, 3), next(calls), np.float32))
              for _ in range(3)]
    assert next(calls) == 1
    for array in arrays:
        np.testing.assert_array_equal(array, np.zeros((2, 3)))
        assert array.dtype == np.float32


def test_a_failed_computation_is_not_kept():
    with pytest.raises(ZeroDivisionError):
        cached_array("sums", "key", lambda: 1 / 0)
    assert cached_array("sums", "key", lambda: np.arange(3)).tolist() == [0, 1, 2]


def test_the_second_process_says_that_it_waits_and_computes_nothing(folder, start):
    first = start(COMPUTE, folder / "log")
    assert first.stdout.readline() == "computing\n"
    second = start(COMPUTE, folder / "log")
    assert "waiting" in second.stdout.readline()  # while the first is still inside compute
    assert first.communicate()[0] == second.communicate()[0] == "10.0\n"
    assert first.returncode == second.returncode == 0
    assert (folder / "log").read_text() == "computed\n"


def test_when_the_first_process_is_killed_the_second_takes_over(folder, start):
    first = start(COMPUTE, folder / "log")
    assert first.stdout.readline() == "computing\n"
    second = start(COMPUTE, folder / "log")
    assert "waiting" in second.stdout.readline()
    first.kill()
    assert second.communicate()[0] == "computing\n10.0\n"
    assert (folder / "log").read_text() == "computed\n" * 2


def test_a_lock_is_free_again_after_an_exception(capsys):
    with pytest.raises(ZeroDivisionError), lock("work"):
        1 / 0
    with lock("work"):
        pass
    assert capsys.readouterr().out == ""


def flip(path: Path) -> None:
    """Change one bit; the size stays."""
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


HARM = {"removed": Path.unlink, "emptied": lambda path: path.write_bytes(b""),
        "cut": lambda path: path.write_bytes(path.read_bytes()[:-3]),
        "grown": lambda path: path.write_bytes(path.read_bytes() + b"!")}


@pytest.mark.parametrize("harm", HARM)
def test_an_array_that_was_harmed_is_computed_again(harm):
    calls = itertools.count()
    for _ in range(2):
        array = cached_array("sums", "key", lambda: next(calls) + np.arange(5.0))
        path = cache_dir() / "sums" / "key.npy"
        assert find_damage(path) is None
        HARM[harm](path)
        assert find_damage(path) == "is incomplete" and not is_intact(path)
    assert array.tolist() == [1, 2, 3, 4, 5]


def test_an_array_of_the_right_size_that_cannot_be_read_is_computed_again():
    cached_array("sums", "key", lambda: np.arange(5.0))
    path = cache_dir() / "sums" / "key.npy"
    path.write_bytes(bytes(path.stat().st_size))
    assert is_intact(path) and find_damage(path) == "has changed (.)"
    assert cached_array("sums", "key", lambda: np.arange(5.0)).sum() == 10
    assert find_damage(path) is None


@pytest.mark.parametrize("seal", ["", "[]", "{", '{".": 3}', '{"other": [1, "ab"]}', None])
def test_without_a_sound_seal_nothing_is_taken_for_whole(seal):
    cached_array("sums", "key", lambda: np.arange(5.0))
    path = cache_dir() / "sums" / "key.npy.seal"
    path.unlink() if seal is None else path.write_text(seal)
    assert cached_array("sums", "key", lambda: np.zeros(1)).tolist() == [0]


def make_folder(path: Path) -> None:
    (path / "deep").mkdir(parents=True)
    (path / "a").write_text("first")
    (path / "deep" / "b").write_text("second")


@pytest.mark.parametrize("harm", HARM)
@pytest.mark.parametrize("part", ["a", "deep/b"])
def test_a_folder_that_was_harmed_is_made_again_and_keeps_what_others_put_there(part, harm):
    target = cache_dir() / "things" / "one"
    for made in range(2):
        assert keep(target, make_folder) == target and find_damage(target) is None
        assert (target / part).read_text() == ("first" if part == "a" else "second")
        if not made:
            (target / "notes.txt").write_text("the reader's")
            HARM[harm](target / part)
            assert not is_intact(target)
    assert (target / "notes.txt").read_text() == "the reader's"
    assert names(target.parent) == ["one", "one.seal"] and list_kept() == [target]


@pytest.mark.parametrize("present", [False, True], ids=["missing", "damaged"])
def test_what_killed_processes_left_of_it_goes_and_nothing_else(present):
    target = cache_dir() / "things" / "one"
    if present:
        keep(target, make_folder)
        break_seal(target)
    others = [".7-two", ".7-and-one", "and-one", "one.txt", "7-one"]
    for name in [".7-one", ".81234-one-again", "one-again", *others]:
        make_folder(target.parent / name)
    (target.parent / ".7-one.seal").write_text("half")
    keep(target, make_folder)
    assert names(target.parent) == sorted([*others, "one", "one.seal"])


def test_a_whole_folder_is_not_made_twice_and_an_empty_one_is_missed():
    calls = itertools.count()
    target = cache_dir() / "empty"

    def make(path: Path) -> None:
        path.mkdir()
        next(calls)

    for _ in range(2):
        keep(target, make)
    assert next(calls) == 1
    target.rmdir()
    keep(target, make)
    assert target.is_dir()


def test_making_again_that_fails_leaves_the_damage_known():
    target = keep(cache_dir() / "things" / "one", make_folder)
    (target / "a").unlink()
    with pytest.raises(ZeroDivisionError):
        keep(target, lambda path: 1 / 0)
    assert not is_intact(target) and (target / "deep" / "b").exists()
    keep(target, make_folder)
    assert find_damage(target) is None


def test_check_compares_every_byte_and_has_it_mended():
    cached_array("sums", "key", lambda: np.arange(5.0))
    target = keep(cache_dir() / "things" / "one", make_folder)
    assert list(check.cache_checks()) == [(True, "2 things kept in the cache are whole, every byte "
                                                 "compared")]
    flip(target / "a")
    (cache_dir() / "sums" / "key.npy").unlink()
    found = list(check.cache_checks())
    assert [passed for passed, _ in found] == [False, False, True]
    assert "sums/key.npy in the cache is incomplete" in found[0][1]
    assert "things/one in the cache has changed (a)" in found[1][1]
    again = list(check.cache_checks())      # what was found is found until it is mended
    assert [passed for passed, _ in again] == [False, False, True]
    keep(target, make_folder)
    cached_array("sums", "key", lambda: np.arange(5.0))
    assert (target / "a").read_text() == "first"
    assert [passed for passed, _ in check.cache_checks()] == [True]


COMPUTING = [OSError("image file is truncated"), TimeoutError("timed out"),
             urllib.error.URLError("no route to host"), IsADirectoryError(21, "Is a directory"),
             ConnectionError("refused"), PermissionError(errno.EACCES, "Permission denied")]


@pytest.mark.parametrize("error", COMPUTING, ids=lambda error: type(error).__name__)
def test_what_fails_while_computing_is_not_called_a_full_disk(error):
    def fail():
        raise error

    with pytest.raises(type(error)):
        cached_array("sums", "key", fail)
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        cached_array("sums", "none", lambda: None)


def test_what_is_masked_counts():
    a, b = (np.ma.masked_array([1, 2], mask) for mask in ([0, 1], [1, 0]))
    assert content_key(a) != content_key(b) != content_key(np.array([1, 2]))
