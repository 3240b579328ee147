"""What an assignment needs beside NumPy: the data of your course, and checks that explain."""

import builtins
import functools
import linecache
import re
from pathlib import Path
from types import FunctionType, SimpleNamespace

import numpy as np
from IPython import get_ipython

HERE = Path(__file__).resolve().parent
TEST = re.compile(r"# (Task \d+, \w+ test)\b")
PYTHONS_OWN = vars(builtins).copy()
OF_SETUP = {}       # by name, what the first cell defined
SEEN = {}           # by title, the text of test cells
STOPPED = {}        # by name of a function, the error that ended the cell with its definition


class Data(SimpleNamespace):
    """Arrays that stay what they are, so that a test finds what it was written for."""

    def __setattr__(self, name, value):
        raise AttributeError(f"data.{name} is read-only. Give what you compute a name of its own.")


def load(name):
    """The arrays of an assignment, as attributes; they are read-only, copy what you change."""
    path = HERE / f"{name}.npz"
    if not path.exists():
        raise FileNotFoundError(f"{path.name} is missing. It comes with the zip file: put it (in "
                                f"Colab: upload it) beside classroom.py, into {path.parent}.")
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    for array in arrays.values():
        array.flags.writeable = False
    return Data(**arrays)


def close(actual, expected, why, atol=1e-9, tell=True):
    """Fail with an explanation unless two arrays have one shape and differ by at most atol.

    why : what was computed and what it should be, in a sentence. tell : whether the message holds
    the right number, which it does not for what is to be found on paper.

    >>> close([0.1 + 0.2], [0.3], "a tenth and two tenths are three tenths")
    >>> close(1.0, 2.0, "one is two")
    Traceback (most recent call last):
        ...
    AssertionError: one is two. Expected 2, got 1.
    """
    got, wanted = _numbers(actual, why), np.asarray(expected, dtype=float)
    if got.shape != wanted.shape:
        raise AssertionError(f"{_sentence(why)} Expected the shape {wanted.shape}, "
                             f"got {got.shape}.")
    wrong = ~(np.abs(got - wanted) <= atol)             # also where a number is nan
    wrong &= ~(np.isinf(wanted) & (got == wanted))
    if wrong.any():
        where = tuple(np.argwhere(wrong)[0].tolist())
        raise AssertionError(f"{_sentence(why)} {_differ(got, wanted, where, atol, tell)}")


def same(actual, expected, why):
    """Fail with an explanation unless two values or lists of whole numbers or texts are equal.

    >>> same(np.array([1, 2]), [1, 2], "the ranks are 1 and 2")
    """
    got, wanted = np.asarray(actual), np.asarray(expected)
    if got.shape != wanted.shape or not (got == wanted).all():
        raise AssertionError(f"{_sentence(why)} Expected {_short(wanted)}, got {_short(got)}.")


def holds(statement, why):
    """Fail with an explanation unless a statement is true."""
    if not statement:
        raise AssertionError(_sentence(why))


def refuses(error, why, function, *arguments):
    """Fail with an explanation unless calling the function raises the error.

    >>> refuses(ValueError, "the root of a word is refused", float, "word")
    """
    try:
        got = _short(function(*arguments))
    except error:
        return
    except Exception as other:
        got = f"a {type(other).__name__}: {other}"
    raise AssertionError(f"{_sentence(why)} Expected a {error.__name__}, got {got}.")


def run_test(source, names=None):
    """Run the test in a cell beside the notebook's global names, not among them.

    A scratch cell may give away a name such as `sum` or `data`. The test sees Python's own `sum`
    and the first cell's `data` all the same, while an answer keeps the names it was written with.
    These may be the former ones, too: where the test fails, it is tried once more with them.

    >>> names = {"np": np, "sum": np.sum}
    >>> exec("def total(rows): return sum(rows, axis=0)", names)
    >>> run_test("assert total(np.eye(2)).tolist() == [1.0, 1.0] and sum([1, 2]) == 3", names)
    """
    __tracebackhide__ = True
    names = get_ipython().user_ns if names is None else names
    former = {name: value for name, value in PYTHONS_OWN.items() if name[0] != "_"} | OF_SETUP
    given_away = {name: value for name, value in names.items()
                  if value is not former.get(name, value)}
    title = f"<{TEST.match(source)[1] if TEST.match(source) else 'test'}>"
    linecache.cache[title] = len(source), None, source.splitlines(True), title  # for tracebacks
    code, changed = compile(source, title, "exec"), []
    try:
        _run_beside(code, names, given_away, changed)
    except Exception as error:
        if not given_away or not _passes_with_former_names(code, names, given_away):
            _explain(error, names, changed, title)
            raise


def run_seen(title):
    """Run the test cell that was seen last under this title."""
    __tracebackhide__ = True
    run_test(SEEN[title])


def _run_beside(code, names, given_away, changed):
    __tracebackhide__ = True
    kept = {name: _watched(value, changed)
            if isinstance(value, FunctionType) and value.__globals__ is names else value
            for name, value in names.items() if name not in given_away}
    exec(code, {**kept, **OF_SETUP, "__builtins__": PYTHONS_OWN})


def _watched(function, changed):
    """The function, which notes in a list which of its arguments it has changed."""
    @functools.wraps(function)
    def call(*arguments, **named):
        __tracebackhide__ = True
        before = [x.copy() if isinstance(x, np.ndarray) else None for x in arguments]
        try:
            return function(*arguments, **named)
        finally:
            for x, copy, name in zip(arguments, before, function.__code__.co_varnames):
                if copy is not None and x.tobytes() != copy.tobytes():
                    changed.append(f"{function.__name__} changed its argument {name}")

    return call


def _explain(error, names, changed, title):
    """Raise an error that tells more than the one that a test ended with, if there is one."""
    if isinstance(error, NameError) and error.name not in names:
        missing, place = error.name, error.__traceback__
        while place.tb_next:
            place = place.tb_next
        if missing in STOPPED:
            raise NameError(f"{missing} is not there, because the cell that defines it stopped "
                            f"with {STOPPED[missing]}. Mend that cell and run it first.",
                            name=missing) from None
        if place.tb_frame.f_code.co_filename == title:      # the test itself asks for it
            raise NameError(f"{missing} is not there: the cell that should define it is empty, or "
                            "has not run.", name=missing) from None
    if isinstance(error, ValueError) and "read-only" in str(error):
        changed = ["A function writes into an array that it was given"]
    if changed:
        what = str(error) if isinstance(error, AssertionError) else repr(error)
        raise AssertionError(f"{_sentence(what)} {changed[0]}, which belongs to the caller: "
                             "let it work on a copy, as in x = x.copy().") from None


def _passes_with_former_names(code, names, given_away):
    for name in given_away:
        del names[name]
    names.update({name: OF_SETUP[name] for name in given_away if name in OF_SETUP})
    try:
        _run_beside(code, names, {}, [])
        return True
    except Exception:
        return False
    finally:
        names.update(given_away)


def _send_to_run_test(lines):
    """Let IPython run a test cell by `run_test`; other cells stay as they are."""
    source = "".join(lines)
    known = TEST.match(source)
    if not known:
        return lines
    SEEN[known[1]] = source     # in the cell's place, its text would fill a traceback
    return [f"__import__('classroom').run_seen({known[1]!r})\n"]


def _note_setup(result):
    """Remember what the first cell defined, once it has run without an error."""
    if result.success:
        get_ipython().events.unregister("post_run_cell", _note_setup)
        OF_SETUP.update({name: value for name, value in get_ipython().user_ns.items()
                         if not name.startswith("_")})


def _note_stopped(result):
    """Remember the functions that a cell was to define, if it has stopped with an error."""
    error = result.error_before_exec or result.error_in_exec
    for name in re.findall(r"(?m)^def (\w+)", result.info.raw_cell):
        STOPPED.pop(name, None)
        if error:
            STOPPED[name] = f"{type(error).__name__} ({str(error)[:100]})"


def _differ(got, wanted, where, atol, tell):
    """How two arrays differ at a place, in a sentence."""
    place = f" at {list(where)}" if where else ""
    right, yours = f"{wanted[where]:.6g}", f"{got[where]:.6g}"
    if not tell:
        return f"You have {yours}{place}."
    if yours == right:
        yours = f"a number off by {got[where] - wanted[where]:.1g}, where {atol:g} is allowed"
    return f"Expected {right}{place}, got {yours}."


def _sentence(why):
    return why if why.rstrip(")").endswith((".", "?", "!")) else f"{why}."


def _numbers(values, why):
    if values is None:
        raise AssertionError(f"{_sentence(why)} Got None: does the function return its result?")
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise AssertionError(f"{_sentence(why)} Expected numbers, "
                             f"got {_short(values)}.") from None


def _short(value):
    text = " ".join(repr(value.tolist() if isinstance(value, np.ndarray) else value).split())
    return text if len(text) <= 80 else text[:77] + "…"


if get_ipython():
    get_ipython().input_transformers_cleanup.append(_send_to_run_test)
    get_ipython().events.register("post_run_cell", _note_setup)
    get_ipython().events.register("post_run_cell", _note_stopped)
