"""The assignments: solutions score all points, stubs none, and wrong answers what they should."""

import ast
import contextlib
import functools
import importlib
import io
import random
import re
import sys

import numpy as np
import pytest
from assignments import (SOURCES, NamedStubs, grading, is_picture, is_solution, is_test,
                         list_assignments, make_data, read_source)
from pasted import pasted_answers

sys.path.insert(0, str(SOURCES))
import classroom  # noqa: E402  (it lies beside the notebooks, where students have it)

pytestmark = pytest.mark.book      # the data of assignments need the prepared cache

COURSES = ("words-meet-pixels", "a-course-2026", "b-course-2027")
every_assignment = pytest.mark.parametrize("name", list_assignments())


def wrong_answers(name):
    """Rows (task, what is wrong, text, text in its place, tests that must fail)."""
    return importlib.import_module(f"wrong_answers.{name}").WRONG


def all_wrong_answers():
    return [pytest.param(name, *row, id=f"{name}-task{row[0]}-{row[1]}")
            for name in list_assignments() for row in wrong_answers(name)]


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory):
    """Folder with the data of an assignment for a course."""
    @functools.cache
    def make(name, course=COURSES[0]):
        folder = tmp_path_factory.mktemp(f"{name}-{course}")
        np.savez(folder / f"{name}.npz", **make_data(name, course))
        return folder
    return make


@functools.cache
def code_cells(name):
    """(cell id for nbgrader, source) of the cells that count, in order."""
    return [(grading(cell).get("grade_id"), cell.source) for cell in read_source(name).cells
            if cell.cell_type == "code" and not is_picture(cell)]


@functools.cache
def stubbed(name):
    """What students get in place of each solution: source by cell id."""
    clear = NamedStubs()
    cells = [cell for cell in read_source(name).cells
             if is_solution(cell) and cell.cell_type == "code"]
    return {grading(cell)["grade_id"]:
            clear.preprocess_cell(cell, {"language": "python"}, i)[0].source
            for i, cell in enumerate(cells)}


def graded(name):
    return [key for key, _ in code_cells(name) if re.fullmatch(r"task\d+-(public|hidden)", key)]


def failures(name, folder, answers=(), tests=None):
    """Exceptions by test: `answers` stand in place of the solutions with their cell ids."""
    answers, namespace, failed = dict(answers), {"__name__": "__main__"}, {}
    classroom.HERE = folder
    with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
        for key, source in code_cells(name):
            if key in graded(name):
                continue
            exec(compile(answers.get(key, source), f"{name}:{key}", "exec"), namespace)
        # What a test defines does not stay, so no test sees another.
        for key, source in code_cells(name):
            if key in (graded(name) if tests is None else tests):
                try:
                    classroom.run_test(source, namespace)
                except Exception as error:
                    failed[key] = error
    return failed


@every_assignment
@pytest.mark.parametrize("course", COURSES)
def test_solution_scores_full_marks_in_every_course(name, course, folder_of):
    assert failures(name, folder_of(name, course)) == {}


@every_assignment
def test_course_decides_the_data(name):
    first, again, other = (make_data(name, course) for course in (*COURSES[:1] * 2, COURSES[1]))
    same = [key for key in first if np.array_equal(first[key], other[key])]
    assert all(np.array_equal(first[key], again[key]) for key in first)
    assert len(same) <= len(first) / 2, f"these do not depend on the course: {same}"


@every_assignment
def test_tests_hold_in_any_order_and_whatever_numpys_global_generator_does(name, folder_of):
    tests = graded(name)
    random.Random(0).shuffle(tests)
    for seed, test in enumerate(tests):
        np.random.seed(seed)
        assert failures(name, folder_of(name), tests=[test]) == {}


@every_assignment
def test_untouched_student_version_scores_zero_and_says_what_to_do(name, folder_of):
    failed = failures(name, folder_of(name), stubbed(name))
    assert sorted(failed) == sorted(graded(name))
    for key, error in failed.items():
        assert isinstance(error, NotImplementedError), (key, error)
        assert re.match(r"Task \d+: write \w+", str(error))


@pytest.mark.parametrize(("name", "task", "what", "old", "new", "lost"), all_wrong_answers())
def test_wrong_answer_loses_its_points(name, task, what, old, new, lost, folder_of):
    right = dict(code_cells(name))[f"task{task}"]
    assert right.count(old) == 1, f"the solution of task {task} must hold {old!r} once"
    failed = failures(name, folder_of(name), {f"task{task}": right.replace(old, new)})
    assert set(failed) == set(lost.split()), {key: str(error) for key, error in failed.items()}
    for key, error in failed.items():
        assert isinstance(error, AssertionError) and len(str(error)) > 20, (key, repr(error))
    if re.search("in place$|in the input|input changed|changes the", what):
        said = " ".join(map(str, failed.values()))
        assert re.search("changed its argument|writes into an array that it was given", said), said


def points_of(name):
    """Points by test."""
    return {grading(cell)["grade_id"]: grading(cell)["points"]
            for cell in read_source(name).cells if is_test(cell)}


@every_assignment
def test_points_add_up_to_thirty_and_half_of_them_is_hidden(name):
    points = points_of(name)
    assert sum(points.values()) == 30
    assert sum(value for key, value in points.items() if key.endswith("-hidden")) == 15
    prose = "\n".join(cell.source for cell in read_source(name).cells
                      if cell.cell_type == "markdown")
    for task in stubbed(name):
        number = task.removeprefix("task")
        total = points[f"{task}-public"] + points[f"{task}-hidden"]
        assert re.search(rf"(?m)^## Task {number}\b.*\({total} points?\)$", prose), task
        for kind in ("public", "hidden"):
            told = dict(code_cells(name))[f"{task}-{kind}"].splitlines()[0]
            assert re.search(r"(\d+) point", told)[1] == str(points[f"{task}-{kind}"])


@every_assignment
def test_each_hidden_test_stops_a_wrong_answer_that_the_public_one_lets_pass(name):
    for task in stubbed(name):
        lost = [row[4].split() for row in wrong_answers(name) if f"task{row[0]}" == task]
        assert len(lost) >= 3 and [f"{task}-hidden"] in lost, task


@every_assignment
def test_plausible_wrong_answers_to_all_tasks_get_at_most_half(name):
    points, best = points_of(name), dict.fromkeys(stubbed(name), 0)
    for number, *_, lost in wrong_answers(name):
        task = f"task{number}"
        kept = sum(points[f"{task}-{kind}"] for kind in ("public", "hidden")
                   if f"{task}-{kind}" not in lost.split())
        best[task] = max(best[task], kept)
    assert sum(best.values()) <= 15, best


@every_assignment
def test_pasting_the_public_tests_own_code_gets_at_most_half(name, folder_of):
    points, right, best = points_of(name), dict(code_cells(name)), {}
    for task in stubbed(name):
        tests = [f"{task}-public", f"{task}-hidden"]
        for answer in pasted_answers(right[tests[0]], right[task]):
            failed = failures(name, folder_of(name), stubbed(name) | {task: answer}, tests)
            got = sum(points[test] for test in tests if test not in failed)
            best[task] = max(best.get(task, 0), got)
    assert sum(best.values()) <= 15, best


def signature(source):
    """Signatures and docstrings of all functions and classes of a cell."""
    return [(node.name, ast.unparse(node.args) if hasattr(node, "args") else "",
             ast.get_docstring(node)) for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.FunctionDef | ast.ClassDef)]


@every_assignment
def test_stub_has_signature_and_docstring_of_the_solution(name):
    solutions = dict(code_cells(name))
    for key, stub in stubbed(name).items():
        outer = signature(stub)
        assert outer and all(docstring for *_, docstring in outer)
        assert outer == signature(solutions[key])[:len(outer)]
        assert stub.count("raise NotImplementedError") == 1


@every_assignment
def test_every_test_hides_all_but_a_comment_or_nothing(name):
    for key, source in code_cells(name):
        if key.endswith("-hidden"):
            first, second, *_, last = source.splitlines()
            assert first.startswith("# Task ") and second == "### BEGIN HIDDEN TESTS"
            assert last == "### END HIDDEN TESTS"
        else:
            assert "HIDDEN TESTS" not in source


@every_assignment
def test_every_test_is_known_as_one_by_its_first_line(name):
    for key, source in code_cells(name):
        known = classroom.TEST.match(source)
        assert bool(known) == (key in graded(name))
        if known:
            task, kind = re.fullmatch(r"task(\d+)-(\w+)", key).groups()
            assert known[1] == f"Task {task}, {kind} test"


def test_data_cannot_be_swapped(folder_of, monkeypatch):
    monkeypatch.setattr(classroom, "HERE", folder_of("a1_skipgram"))
    data = classroom.load("a1_skipgram")
    with pytest.raises(AttributeError, match="data.v is read-only"):
        data.v = 0
