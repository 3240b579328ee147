"""What an assignment needs beside NumPy: the data of your course, and checks that explain."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np

HERE = Path(__file__).resolve().parent


def load(name):
    """The arrays of an assignment, as attributes; they are read-only, copy what you change."""
    path = HERE / f"{name}.npz"
    if not path.exists():
        raise FileNotFoundError(f"{path.name} is missing. Keep the notebook, classroom.py and "
                                f"{path.name} from the zip file together in one folder.")
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    for array in arrays.values():
        array.flags.writeable = False
    return SimpleNamespace(**arrays)


def close(actual, expected, why, atol=1e-9):
    """Fail with an explanation unless two arrays have one shape and differ by at most atol.

    why : what was computed and what it should be, in a sentence.

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
        place = f" at {list(where)}" if where else ""
        right, yours = f"{wanted[where]:.6g}{place}", f"{got[where]:.6g}"
        if yours == f"{wanted[where]:.6g}":
            yours = (f"a number that is off by {got[where] - wanted[where]:.1g}, where {atol:g} "
                     "is allowed")
        raise AssertionError(f"{_sentence(why)} Expected {right}, got {yours}.")


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
