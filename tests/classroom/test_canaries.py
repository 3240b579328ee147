"""Canaries: tests with false numbers, which every answer must fail, and what is worth a look."""

import contextlib
import io
import random

import nbformat
import numpy as np
import pytest
from assignments import execute, list_assignments
from canaries import arm, find_checks, tricks, with_canaries
from test_assignments import classroom, code_cells, folder_of, graded  # noqa: F401

every_assignment = pytest.mark.parametrize("name", list_assignments())


@pytest.mark.book
@every_assignment
def test_right_answers_pass_each_armed_test_and_fail_its_canary(name, folder_of):  # noqa: F811
    names, rng = {"__name__": "__main__"}, random.Random(0)
    classroom.HERE = folder_of(name)
    with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
        for key, source in code_cells(name):
            if key not in graded(name):
                exec(compile(source, f"{name}:{key}", "exec"), names)
        for key, source in code_cells(name):
            if key in graded(name):
                real, canary = arm(source, rng)
                exec(compile(real, f"{name}:{key}", "exec"), dict(names))
                with pytest.raises(AssertionError):
                    exec(compile(canary, f"{name}:{key}, canary", "exec"), dict(names))


@every_assignment
def test_each_test_has_checks_and_reads_like_its_canary(name):
    for key, source in code_cells(name):
        if key in graded(name):
            pair = arm(source, random.Random(1))
            assert len(pair[0].splitlines()) == len(pair[1].splitlines()) == len(
                source.splitlines())
            assert pair[0].count(" % ") == pair[1].count(" % ") >= len(find_checks(source)) > 0


def test_numbers_are_drawn_anew_and_letters_of_any_kind_stay():
    source = "close(σ, [1, 2], 'naïve ✓')\nsame(ü, 'ß', why='ok')"
    texts = {arm(source, random.Random(seed)) for seed in range(20)}
    assert len(texts) == 20
    for real, canary in texts:
        told = []
        names = {"σ": 0, "ü": 0, "close": lambda *given: told.append(given[1]),
                 "same": lambda *given, **named: told.append(given[1])}
        exec(real, names)
        assert told == [[1, 2], "ß"]
        exec(canary, names)
        assert np.shape(told[2]) == np.shape(told[3]) == (1,) * 6


@pytest.mark.parametrize("source", ["x = 1", "close(*both)", "close(1)", "not Python", "assert x"])
def test_a_test_without_a_check_has_no_canary(source):
    assert arm(source, random.Random(0)) == (source, None)


def test_canaries_stand_at_random_places_and_carry_nothing_of_nbgrader():
    cells = [nbformat.v4.new_code_cell(f"holds({i}, '')", metadata={"nbgrader": {"grade": True}})
             for i in range(40)]
    every, twins = with_canaries(cells, lambda cell: True, random.Random(0))
    places = [i for i, cell in enumerate(every) if "canary" in cell.metadata]
    assert len(every) == 80 and all(twins[twins[i]] == i != twins[i] for i in range(80))
    assert 10 < sum(i % 2 for i in places) < 30
    assert all("nbgrader" not in every[i].metadata for i in places)


def test_a_course_whose_tests_pass_whatever_they_expect_is_not_made(tmp_path):
    setup = nbformat.v4.new_code_cell("def close(got, wanted, why):\n    assert got == wanted, why")
    sound, blind = (nbformat.v4.new_code_cell(source, metadata={"nbgrader": {
        "grade": True, "solution": False, "grade_id": f"task{i}-public"}})
        for i, source in enumerate(("close(1, 1, '')", "if False:\n    close(1, 1, '')"), 1))
    notebook = nbformat.v4.new_notebook(cells=[setup, sound])
    execute(notebook, tmp_path, "a0")
    assert [cell.source for cell in notebook.cells] == [setup.source, "close(1, 1, '')"]
    notebook.cells.append(blind)
    with pytest.raises(SystemExit, match="tests task2-public of a0 pass whatever .* no course"):
        execute(notebook, tmp_path, "a0")


@pytest.mark.parametrize(("source", "found"), [
    ("import ctypes\nget_ipython()", ["ctypes", "get_ipython"]),
    ("classroom.close = 1", ["classroom"]), ("from classroom import close\nclose(1, 1, '')", []),
    ("open('/proc/1/environ')", ["/proc/"]),
    ("sys.modules['numpy'] = None", ["sys.modules"]), ("total = np.sum(magic)", [])])
def test_what_few_answers_need_is_named(source, found):
    assert tricks(source) == found
