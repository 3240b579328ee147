"""Points by hand and late days: what is clear counts, and nothing is graded with what is not."""

import pytest
from assignments import DEFAULT_COURSE, list_assignments
from bs4 import BeautifulSoup
from feedback import feedback_page, grades_table
from grade_one import WRITTEN, cell_id
from hypothesis import given
from hypothesis import strategies as st
from marks import Late, Mark, Task, mark, parse_late, released
from overrides import COLUMNS, TEMPLATE, read_overrides
from submissions import Submission

pytestmark = pytest.mark.book

A1, A2 = list_assignments()[:2]
TASKS = {"task1": Task("Task 1: One", 10, {"task1-public": 6, "task1-hidden": 4}),
         "task2": Task("Task 2: Two", 20, {"task2-public": 20}),
         "written": Task("Written answer", 6, {})}
HEADER = ",".join(COLUMNS) + "\n"


@pytest.fixture(autouse=True)
def tasks(monkeypatch):
    """An assignment of two tasks and a written answer, 36 points."""
    for module in ("marks", "overrides", "feedback"):
        monkeypatch.setattr(f"{module}.tasks_of", lambda name, course: TASKS)


def result(public, hidden, two, **more):
    more = {"written": "Because."} | more
    points = {"task1-public": public, "task1-hidden": hidden, "task2-public": two}
    return {"stopped": "", "answers": {}, "look": [], "tests": [
        {"test": test, "points": given, "error": None} for test, given in points.items()]} | more


def work(student="ada", assignment=A1, **options):
    options = {"result": result(6, 0, 20), "course": DEFAULT_COURSE, **options}
    return Submission(student, assignment, None, **options)


def read(folder, lines, submissions=None, header=HEADER, encoding="utf8"):
    path = folder / "week1-overrides.csv"
    path.write_bytes((header + lines).encode(encoding))
    return read_overrides(path, submissions or [work(), work("bob")], [A1, A2])


def only(changes):
    (given,), = changes.values()
    return given


def test_the_template_is_read_and_changes_nothing(tmp_path):
    assert read(tmp_path, "", header=TEMPLATE) == {}


def test_points_of_a_task_of_all_and_comments_are_given(tmp_path):
    changes = read(tmp_path, f"ada,{A1},task1,8.5,Nearly.,\nada,{A1},written,5,,1\n"
                             f"bob,{A1},,12,\"Oral, in place of it.\",\n")
    ada = mark(work(), changes["ada", A1])
    assert ada.by_task == {"task1": 8.5, "task2": 20, "written": 5} and ada.points == 33.5
    assert ada.changed == [("task1", 6, 8.5), ("written", None, 5)] and not ada.waiting
    assert (ada.days, ada.lost, ada.comments) == (1, 0, [("task1", "Nearly.")])
    bob = mark(work("bob"), changes["bob", A1], Late(50))
    assert bob.points == 12 and bob.comments == [("", "Oral, in place of it.")]


def test_without_changes_the_written_answer_waits():
    given = mark(work())
    assert (given.points, given.of, given.waiting) == (26, 36, True)
    assert given.by_task["written"] is None


def test_where_nothing_is_written_there_is_nothing_to_grade_by_hand():
    handed_out = next(cell.source for cell in released(A1, DEFAULT_COURSE).cells
                      if cell_id(cell) == WRITTEN)
    for text in ("", handed_out, f"{handed_out} \n"):
        given = mark(work(result=result(6, 0, 20, written=text)))
        assert (given.points, given.by_task["written"], given.waiting) == (26, 0, False)


def test_who_could_not_be_graded_has_no_points_until_some_are_given(tmp_path):
    absent = work(result={"ungraded": True, "problem": "Nothing was handed in."})
    assert mark(absent).points is None and not mark(absent).waiting
    changes = read(tmp_path, f"ada,{A1},task2,7,,\n", [absent])
    assert mark(absent, changes["ada", A1]).points == 7


def test_late_work_loses_what_the_policy_says_and_never_a_total_that_was_given(tmp_path):
    late = parse_late("10% a day, at most 50%, 2 free days")
    days = read(tmp_path, f"ada,{A1},,,,4\n")["ada", A1]
    assert (mark(work(), days, late).points, mark(work(), days, late).lost) == (20.8, 5.2)
    assert mark(work(), days).points == 26
    total = read(tmp_path, f"ada,{A1},,30,,4\n")["ada", A1]
    assert mark(work(), total, late).points == 30


@given(st.floats(0, 100), st.floats(0, 100), st.integers(0, 50), st.integers(0, 400))
def test_late_never_takes_more_than_its_most_nor_within_free_days(percent, most, free, days):
    share = Late(percent, most, free).share(days)
    assert 0 <= share <= most / 100 and (days > free or share == 0)


@pytest.mark.parametrize(("text", "policy"), [
    ("10% a day", Late(10)), ("2 free days, 12.5% a day", Late(12.5, 100, 2)),
    ("100% A DAY, 1 free day", Late(100, 100, 1)), ("none", None), ("", None)])
def test_the_late_policy_is_read(text, policy):
    assert parse_late(text) == policy


@pytest.mark.parametrize("text", [
    "10%", "10 a day", "-10% a day", "110% a day", "10% a day, 20% a day", "at most 50%", "lots",
    "10% a day; at most 50%", "10% a day, 1.5 free days", "10% a day,"])
def test_a_late_policy_that_is_not_clear_is_refused(text):
    with pytest.raises(SystemExit, match="LATE.*LATE=\"10% a day, at most 50%, 2 free days\""):
        parse_late(text)


WRONG = {"nobody,{a},task1,3,,": "'nobody' is nobody's name among",
         ",{a},task1,3,,": "names no student",
         "ada,a9_none,task1,3,,": "there is no assignment 'a9_none'",
         "ada,{a},task9,3,,": "there is no task 'task9'",
         "ada,{a},task1,11,,": "between 0 and 10; got 11",
         "ada,{a},,37,,": "between 0 and 36",
         "ada,{a},task1,-1,,": "number of 0 or more; got '-1'",
         "ada,{a},task1,nan,,": "got 'nan'", "ada,{a},task1,1e1,,": "got '1e1'",
         "ada,{a},task1,three,,": "got 'three'",
         "ada,{a},task1,,,1.5": "days_late must be a whole number",
         "ada,{a},task1,,,": "gives no points, no comment and no days",
         "ada,{a},task1,3,Good, but late,": "A comment with a comma needs quotes"}


def test_all_that_is_wrong_is_named_at_once_with_its_line(tmp_path):
    lines = "\n".join(WRONG).replace("{a}", A1)
    with pytest.raises(SystemExit) as error:
        read(tmp_path, f"bob,{A1},task1,3,,\n{lines}\nbob,{A1},task1,4,,\nbob,{A1},,,,1\n"
                       f"bob,{A1},task1,,,2\n")
    said = str(error.value)
    assert said.startswith("Nothing was graded") and "week1-overrides.csv" in said
    for line, what in enumerate(WRONG.values(), start=3):
        assert any(f"line {line}: " in one and what in one for one in said.splitlines()), what
    places = [int(one.split()[1][:-1]) for one in said.splitlines()[1:]]
    assert places == sorted(places)
    assert f"line {len(WRONG) + 3}: gives the points of bob again, after line 2" in said
    assert f"line {len(WRONG) + 5}: gives the days_late of bob again" in said


def test_what_is_no_table_is_named(tmp_path):
    for content, what in (("", "there is no line student,assignment"),
                          ("student,points\nada,3\n", "missing: assignment, task, comment"),
                          (HEADER + f'ada,{A1},task1,3,"open', "cannot be read")):
        with pytest.raises(SystemExit, match=what):
            read(tmp_path, "", header=content)
    with pytest.raises(SystemExit, match="not in UTF-8"):
        read(tmp_path, f"José,{A1},task1,3,,\n", encoding="latin-1")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_tables_as_spreadsheets_save_them_are_read(tmp_path, encoding):
    for mark_, number in ((",", "3.5"), (";", "3,5"), ("\t", "3,5")):
        changes = read(tmp_path, mark_.join(["ada", A1, "1", number, "é", ""]) + "\r\n\r\n",
                       header=HEADER.replace(",", mark_), encoding=encoding)
        assert (only(changes).task, only(changes).points, only(changes).comment) == (
            "task1", 3.5, "é")


def test_students_are_found_by_any_name_they_are_known_by(tmp_path):
    canvas = work("lovelaceada_41_1815", name="Ada Lovelace", numbers=("41", "s1", "ada@x.org"))
    for name in ("lovelaceada_41_1815", "LovelaceAda", "41", "ada lovelace", "S1", "ada@x.org"):
        changes = read(tmp_path, f"{name},{A1},task1,3,,\n", [canvas])
        assert list(changes) == [("lovelaceada_41_1815", A1)]
    two = [work("José", numbers=("1",)), work("José (2)", name="José")]
    assert list(read(tmp_path, f"JOSE\u0301,{A1},task1,3,,\n", two)) == [("José", A1)]
    with pytest.raises(SystemExit, match="is several of those with .*: bob, ida"):
        read(tmp_path, f"x,{A1},task1,3,,\n", [work("bob", name="x"), work("ida", name="x")])


def test_lines_about_other_assignments_are_left_for_their_run(tmp_path):
    assert read(tmp_path, f"whoever,{A2},task1,3,,\n") == {}
    assert only(read(tmp_path, "ada,,task1,3,,\n")).points == 3     # only one is graded
    with pytest.raises(SystemExit, match="names no assignment"):
        read(tmp_path, "ada,,task1,3,,\n", [work(), work("bob", A2)])


def test_page_and_table_show_the_changes_and_agree(tmp_path):
    changes = read(tmp_path, f"ada,{A1},task1,8,=Nearly <b>,\nada,{A1},,,Come and see me.,4\n")
    late = Late(10, 50, 2)
    page = BeautifulSoup(feedback_page(work(), changes["ada", A1], late), "html.parser")
    text = page.get_text(" ", strip=True)
    for part in ("22.4 of 36 points", "written answer is still to be graded by hand",
                 "4 days late, of which 2 cost nothing : 5.6 points are taken off",
                 "Changed by your instructor: 8 points, in place of 6.",
                 "Your instructor says: =Nearly <b>", "Your instructor says: Come and see me."):
        assert part.replace(" :", ":") in text.replace(" :", ":"), part
    given = mark(work(), changes["ada", A1], late)
    table = grades_table([work()], {("ada", A1): given}).decode("utf-8-sig")
    assert "22.4,36,8,20,,4,5.6,task1 from 6 to 8," in table
    assert "to be graded by hand. =Nearly <b> Come and see me." in table


def test_a_page_shows_the_line_of_an_error_but_not_the_line_that_was_handed_out():
    told = result(0, 0, 0)
    for test, name, code in zip(told["tests"], ("NotImplementedError", "KeyError", "ValueError"),
                                ("raise handed_out", "x[3]", ""), strict=True):
        test["error"] = {"name": name, "message": "Task 1: write one", "line": 6, "code": code}
    text = BeautifulSoup(feedback_page(work(result=told)), "html.parser").get_text()
    assert "Not answered yet. Task 1: write one." in text and "handed_out" not in text
    assert "in line 6 of your cell:\nx[3]" in text and text.count("in line 6 of your cell") == 2


@pytest.mark.parametrize(("days", "late", "told"), [
    (1, None, "in 1 day late; that takes nothing off."),
    (1, Late(10), "in 1 day late: 2.1 points are taken off."),
    (3, Late(100 / 42, free=1), "in 3 days late, of which 1 costs nothing: 1 point is taken off.")])
def test_one_day_and_one_point_are_not_many(tmp_path, days, late, told):
    changes = read(tmp_path, f"ada,{A1},task1,1,,\nada,{A1},,,,{days}\n")["ada", A1]
    page = BeautifulSoup(feedback_page(work(), changes, late), "html.parser").get_text()
    assert told in page and "by your instructor: 1 point, in place of 6." in page


def test_a_table_of_ours_holds_no_formula():
    rows = [work("=1+1", name="+1", file="-x/a1.ipynb")]
    table = grades_table(rows, {("=1+1", A1): Mark(1, 36, {})}).decode("utf-8-sig")
    assert "\r\n'=1+1,'+1," in table and ",'-x/a1.ipynb\r\n" in table
