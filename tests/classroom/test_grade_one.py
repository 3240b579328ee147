"""What one grading makes of a notebook: which cells count, and what it says of their errors."""

import json

import nbformat
import pytest
from cells import is_solution, is_test
from execution import ENDED, NOT_RUN, SENTENCES, TIME_LIMIT, place_of, write_result
from grade_one import UNCLEAR, error_of, merge, report

CODE, TEXT = nbformat.v4.new_code_cell, nbformat.v4.new_markdown_cell


def cell(key, source="x", make=CODE, **told):
    return make(source, metadata={"nbgrader": {"grade_id": key, "solution": key[5:] == "",
                                               "grade": "-" in key, "points": 2}}, **told)


def notebook(*cells):
    return nbformat.v4.new_notebook(cells=list(cells))


def handed_out():
    return notebook(CODE("setup"), cell("task1", "raise"), cell("task1-public", "test"),
                    cell("task2", "raise"), cell("task2-public", "test"))


def merged(*submitted):
    return [(each.source, each.cell_type) for each in merge(handed_out(), notebook(*submitted)).cells]


@pytest.mark.parametrize("make", [TEXT, nbformat.v4.new_raw_cell, CODE])
def test_an_answer_counts_whatever_kind_of_cell_it_has_become(make):
    assert merged(cell("task1", "mine", make), cell("task1-public", "edited", make)) == [
        (source, "code") for source in ("setup", "mine", "test", "", "test")]


def test_text_beside_the_answers_is_never_run():
    assert ("prose", "code") not in merged(cell("task1", "mine"), TEXT("prose"))
    assert ("own", "code") in merged(cell("task1", "mine"), CODE("own"))


def failed(name, message, traceback=()):
    return [nbformat.v4.new_output("error", ename=name, evalue=message, traceback=list(traceback))]


def test_an_error_tells_the_line_of_the_answer_it_came_from():
    mine = cell("task1", "def f(x):\n    return x.y", execution_count=3)
    traced = ["\x1b[0;31mNameError\x1b[0m", "File <Task 1, public test>:3, in test()",
              "Cell \x1b[0;32mIn[3], line 2\x1b[0m, in f(x)", "Cell In[9], line 7, in other"]
    test = cell("task1-public", outputs=failed("AttributeError", "no y", traced))
    assert error_of(test, [mine]) == {"name": "AttributeError", "message": "no y", "line": 2,
                                      "code": "    return x.y"}
    forged = cell("task1-public", outputs=failed("E", "no", ["Cell In[3], line 99"]))
    assert error_of(forged, [mine]) == {"name": "E", "message": "no"}
    assert error_of(mine, [mine]) is None


def graded(error="", canary="AssertionError"):
    """The report on a test that ended with an error, and its canary with another."""
    test = cell("task1-public", outputs=failed(error, "wrong") if error else [])
    if canary is not None:
        test.metadata["canary_error"] = canary
    done = notebook(CODE("setup"), cell("task1", "sys.modules"), test)
    done.metadata["stopped"] = ""
    return report(done, {"task1-public": 0 if error else 2})


@pytest.mark.parametrize(("error", "canary", "points", "look"), [
    ("", "AssertionError", 2, False), ("", "TimeLimit", 2, False), ("", None, 2, False),
    ("", "", 0, True), ("", ENDED, 0, False), ("AssertionError", "AssertionError", 0, False),
    ("NameError", "", 0, True)])
def test_a_test_counts_where_its_canary_failed(error, canary, points, look):
    told = graded(error, canary)
    assert told["tests"][0]["points"] == points
    assert ("task1-public also passed when its numbers were false" in told["look"]) is look
    if not error and not points:
        assert told["tests"][0]["error"] == UNCLEAR


def test_what_to_look_at_holds_no_text_of_a_student():
    assert graded()["look"] == ["task1: sys.modules"]


def test_our_own_errors_are_sentences():
    assert set(SENTENCES) == {NOT_RUN, ENDED, TIME_LIMIT}
    for text in [*SENTENCES.values(), UNCLEAR["message"]]:
        assert text[0].isupper() and text.endswith(".") and "dishonest" not in text


def test_the_place_of_a_cell_is_told_in_words():
    setup, mine, test, own = CODE("setup"), cell("task2"), cell("task2-public"), CODE("own")
    canary = CODE("test", metadata={"canary": True})
    assert (is_solution(mine), is_test(test)) == (True, True)
    assert place_of(mine, [setup]) == "your cell for task 2"
    assert place_of(test, [setup, mine]) == place_of(canary, [setup, mine]) == "the tests of task 2"
    assert place_of(own, [setup, mine, test]) == "a cell of your own after task 2"
    assert place_of(own, [setup]) == "a cell of your own at the beginning"


def test_half_a_result_is_never_read(tmp_path, monkeypatch):
    write_result(tmp_path / "result.json", {"points": 1})
    with pytest.raises(TypeError):
        write_result(tmp_path / "result.json", {"points": object()})
    assert json.loads((tmp_path / "result.json").read_text()) == {"points": 1}
