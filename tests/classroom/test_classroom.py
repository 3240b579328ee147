"""What students have beside NumPy: tests that see what they should, and messages that help."""

import builtins
import doctest
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from assignments import SOURCES
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(SOURCES))
import classroom  # noqa: E402  (it lies beside the notebooks, where students have it)


def test_the_examples_of_classroom_hold():
    result = doctest.testmod(classroom)
    assert result.attempted > 5 and result.failed == 0


PLAIN_NAMES = sorted(name for name in vars(builtins) if name.isalpha())


@given(st.dictionaries(st.sampled_from([*PLAIN_NAMES, "np", "data", "close"]),
                       st.sampled_from([0, None, [1], np.sum, "text"]), min_size=1))
def test_a_scratch_cell_takes_nothing_from_a_right_answer(scratch):
    setup = {"np": np, "data": [3, 1, 2], "close": classroom.close}
    names, answer = {}, "def answer(): return sum(sorted(list(data))) + float(len(range(3)))"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classroom, "OF_SETUP", setup)
        exec(answer, names)
        names |= setup | scratch
        before = dict(names)
        classroom.run_test("# Task 1, public test\nclose(answer(), max(data) + 6, 'why')\n"
                           "assert isinstance(np.eye(2), np.ndarray) and sum(data) == 6", names)
        assert names == before


def test_an_answer_keeps_the_names_it_was_written_with_and_a_wrong_one_stays_wrong():
    names = {"rows": np.eye(3)}
    exec("from numpy import *\ndef right(x): return sum(x, axis=0).tolist()\n"
         "def wrong(x): return [sum(x, axis=None)]", names)
    classroom.run_test("assert right(rows) == [1, 1, 1] and max([1, 2], key=lambda x: -x) == 1",
                       names)
    with pytest.raises(AssertionError, match="axis"):
        classroom.run_test("assert wrong(rows) == [1, 1, 1], 'axis'", names)


def test_what_a_test_defines_does_not_stay_in_the_notebook():
    names = {"answer": 1}
    classroom.run_test("helper = answer = 2", names)
    assert names == {"answer": 1}


def test_a_message_says_which_argument_was_changed():
    names = {}
    exec("def mean(values, weights):\n    weights /= weights.sum()\n    return weights @ values",
         names)
    test = """
w = __import__("numpy").array([1.0, 3])
close(mean(w * 2, w), 5, "first"), close(w, [1, 3], "The weights are still 1 and 3")
"""
    with pytest.raises(AssertionError, match="still 1.*mean changed its argument weights.*copy"):
        classroom.run_test(f"from classroom import close\n{test}", names)
    with pytest.raises(AssertionError, match=r"writes into an array that it was given.*copy"):
        classroom.run_test("w.flags.writeable = False\nmean(w, w)", names | {"w": np.ones(2)})


def test_a_right_result_may_change_what_the_test_does_not_mind():
    names = {"w": np.ones(2)}
    exec("def answer(w):\n    w += 1\n    return w.sum()", names)
    classroom.run_test("assert answer(w) == 4", names)


def test_a_message_says_that_a_cell_has_stopped_and_which_function_is_missing():
    info = SimpleNamespace(raw_cell="import scipy\n\n\ndef score(x):\n    return x")
    error = ModuleNotFoundError("No module named 'scipy'")
    note = classroom._note_stopped
    note(SimpleNamespace(info=info, error_before_exec=None, error_in_exec=error))
    try:
        with pytest.raises(NameError, match="score is not there, .* ModuleNotFoundError \\(No"):
            classroom.run_test("assert score(1) == 1", {})
        with pytest.raises(NameError, match="scores is not there: the cell .* has not run"):
            classroom.run_test("assert scores(1) == 1", {})
        names = {}
        exec("def answer():\n    return slip", names)
        with pytest.raises(NameError, match="^name 'slip' is not defined"):
            classroom.run_test("assert answer() == 1", names)
    finally:
        note(SimpleNamespace(info=info, error_before_exec=None, error_in_exec=None))
    assert not classroom.STOPPED


def test_what_is_to_be_found_on_paper_is_not_told():
    with pytest.raises(AssertionError) as told:
        classroom.close([0.5, 0.25], [0.5, 0.125], "The chances", tell=False)
    assert str(told.value) == "The chances. You have 0.25 at [1]."
