"""How grading goes on, whatever a submission, its grading process or the disk does."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time

import nbformat
import psutil
import pytest
from bs4 import BeautifulSoup
from feedback import write_table
from grade import (GRADE_ONE, KEPT_VARIABLES, LARGEST_RESULT, check_course, choose_isolation,
                   environment, grade, grade_all, start_results, write_page)
from grade_one import add_kernel
from handed_in import (BREAK, CLOSE, COURSE, ENVIRONMENT, FIRST, STUBBORN, begin_with, page_of,
                       points, read_table, run_grading, save, solved, start_grading)
from hypothesis import given, settings
from hypothesis import strategies as st
from sandbox import KERNEL, claim_user
from submissions import Submission

pytestmark = pytest.mark.book

FINE = {"armed": True, "stopped": "", "answers": {},
        "tests": [{"test": "task1-public", "points": 2, "error": None}]}


def text_of(page):
    return BeautifulSoup(page, "html.parser").get_text(" ", strip=True)


@pytest.fixture(scope="module")
def by_somebody(tmp_path_factory):
    """Three submissions graded by a user who is not root, with a secret in the environment."""
    folder = tmp_path_factory.mktemp("class") / "week1"
    save(solved(), folder, "solved")
    save(solved(task1=ENVIRONMENT), folder, "asks")
    save(begin_with(BREAK.format(harm=CLOSE)), folder, "breaks")
    return folder, run_grading(folder, ordinary=folder.parent,
                               CANVAS_TOKEN="planted-secret-1234")


def test_a_user_without_rights_grades_as_root_does(by_somebody):
    folder, rows = by_somebody
    assert rows["solved", FIRST]["points"] == f"{points():g}" == "30"
    assert rows["breaks", FIRST]["points"] == "0"
    assert "stopped while your code ran" in rows["breaks", FIRST]["note"]
    if os.getuid() == 0:
        assert folder.with_name("week1-graded").stat().st_uid != 0


def test_a_submission_finds_no_variable_of_whoever_grades(by_somebody):
    folder, _ = by_somebody
    page = text_of(page_of(folder, "asks"))
    assert "told: " in page and "planted" not in page and "CANVAS_TOKEN" not in page
    told = page.partition("told: '")[2].partition("'")[0].split("\\x00")
    assert {entry.partition("=")[0] for entry in told} <= {"HOME", "PWD", ""}


def test_a_grading_process_is_told_next_to_nothing(monkeypatch):
    monkeypatch.setenv("CANVAS_TOKEN", "secret")
    told = environment("/somewhere")
    assert "CANVAS_TOKEN" not in told
    assert {name for name in told if told[name] != "/somewhere"} <= set(KEPT_VARIABLES)


def test_a_place_where_nothing_can_be_written_is_noticed_before_grading(tmp_path):
    folder = tmp_path / "closed" / "week1"
    save(solved(), folder, "solved")
    folder.parent.chmod(0o555)
    process = start_grading(folder, ordinary=tmp_path)
    said = process.communicate()[0]
    assert process.returncode != 0
    assert "Nothing was graded, because the results could not be written" in said
    assert f"{folder}-graded: Permission denied" in said
    assert "cache" not in said.lower()


def test_a_file_in_the_place_of_the_results_is_noticed_and_stays(tmp_path):
    (tmp_path / "week1-graded").write_text("mine")
    with pytest.raises(SystemExit, match="Nothing was graded, .*week1-graded"):
        start_results(tmp_path / "week1")
    assert (tmp_path / "week1-graded").read_text() == "mine"


def test_earlier_results_are_kept(tmp_path, capsys):
    for i in range(3):
        assert start_results(tmp_path / "week1") == tmp_path / "week1-graded"
        (tmp_path / "week1-graded" / "mine.txt").write_text(str(i))
    assert (tmp_path / "week1-graded-1" / "mine.txt").read_text() == "0"
    assert (tmp_path / "week1-graded-2" / "mine.txt").read_text() == "1"
    assert str(tmp_path / "week1-graded-2") in capsys.readouterr().out


def test_two_runs_take_turns_and_both_give_all_points(tmp_path):
    folders = [tmp_path / name for name in ("week1", "week2")]
    for folder in folders:
        save(solved(), folder, "ada")
    runs = [start_grading(folder) for folder in folders]
    said = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    assert [read_table(folder)["ada", FIRST]["points"] for folder in folders] == ["30", "30"]
    assert sum("waiting for it" in words for words in said) == 1, said


def test_kernels_of_runs_that_know_nothing_of_each_other_have_all_their_processes(tmp_path):
    nbformat.write(solved(), tmp_path / "solved.ipynb")
    runs = [subprocess.Popen([sys.executable, str(GRADE_ONE), str(COURSE / "nbgrader"), FIRST,
                              str(tmp_path / "solved.ipynb"), str(tmp_path / f"{i}.json")])
            for i in range(4)]
    assert [run.wait() for run in runs] == [0] * 4
    for i in range(4):
        tests = json.loads((tmp_path / f"{i}.json").read_text())["tests"]
        assert sum(test["points"] for test in tests) == 30


@pytest.mark.skipif(sys.platform != "linux" or os.getuid() != 0,
                    reason="optional: only root gives each kernel a user of its own")
def test_users_of_kernels_differ_until_they_are_given_back():
    first, claim = claim_user()
    with claim:
        second, other = claim_user()
        other.close()
        assert second != first
    again, claim = claim_user()
    claim.close()
    assert again <= first


def test_results_are_there_when_they_come_and_after_the_instructor_stops(tmp_path):
    folder = tmp_path / "week1"
    save(solved(), folder, "ada")
    save(begin_with(STUBBORN), folder, "bob")
    run = start_grading(folder)
    give_up = time.monotonic() + 100
    table = tmp_path / "week1-graded" / "grades.csv"
    while not table.exists() or ("ada", FIRST) not in read_table(folder):
        assert run.poll() is None and time.monotonic() < give_up
        time.sleep(0.2)
    run.send_signal(signal.SIGINT)
    said = run.communicate()[0]
    assert run.returncode != 0 and "Stopped. 1 of 2 submissions are graded" in said
    rows = read_table(folder)
    assert list(rows) == [("ada", FIRST)] and rows["ada", FIRST]["points"] == "30"
    assert "30 of 30 points" in text_of(page_of(folder, "ada"))
    assert not [process for process in psutil.process_iter(["cmdline"])
                if str(KERNEL) in (process.info["cmdline"] or [])
                and process.create_time() > give_up]


# What a grading process does; `result` and `log` are its files, `first` is true at its first try.
BEHAVIORS = {
    "writes a result at the second try": ("assert not first; result.write_text(FINE)", "2"),
    "never writes a result": ("sys.exit('out of luck')", ""),
    "dies while the student's code runs": (
        "result.write_text('{\"unfinished\": true, \"problem\": \"stopped\"}'); os._exit(9)", "0"),
    "writes what is no JSON": ("result.write_text('{')", ""),
    "writes bytes": ("result.write_bytes(b'\\xff\\xfe')", ""),
    "writes nested lists": ("result.write_text('[' * 10**5)", ""),
    "writes a list": ("result.write_text('[]')", ""),
    "writes too much": ("result.write_text(' ' * (LARGEST + 1))", ""),
    "leaves out what belongs there": ("result.write_text('{\"tests\": [{}]}')", ""),
    "makes a folder": ("result.mkdir()", ""),
    "claims a terabyte of log": ("os.ftruncate(2, 2**40); os._exit(9)", ""),
    "takes its log away": ("log.unlink(); os._exit(9)", ""),
    "fills its log": ("print('x' * 10**7, file=sys.stderr); os._exit(9)", ""),
}


@pytest.mark.parametrize("does", BEHAVIORS)
def test_whatever_a_grading_process_does_the_others_are_graded(does, tmp_path, monkeypatch, capfd):
    code, wanted = BEHAVIORS[does]
    script = tmp_path / "grade_one.py"
    script.write_text(
        "import os, sys\nfrom pathlib import Path\nresult = Path(sys.argv[4])\n"
        f"FINE, LARGEST, log = {json.dumps(FINE)!r}, {LARGEST_RESULT}, result.parent / 'log.txt'\n"
        "if 'good' in sys.argv[3]:\n    result.write_text(FINE)\n    sys.exit()\n"
        f"again = Path({str(tmp_path / 'again')!r})\nfirst = not again.exists()\nagain.touch()\n"
        + code)
    monkeypatch.setattr("grade.GRADE_ONE", script)
    submissions = [Submission(name, FIRST, tmp_path / name) for name in ("good1", "bad", "good2")]
    folder = start_results(tmp_path / "week1")
    assert asyncio.run(grade_all(submissions, COURSE.name, "none", folder)) == []
    rows = read_table(tmp_path / "week1")
    assert {student: row["points"] for (student, _), row in rows.items()} == {
        "good1": "2", "bad": wanted, "good2": "2"}
    assert bool(rows["bad", FIRST]["note"]) == (wanted != "2")
    assert page_of(tmp_path / "week1", "bad")
    assert len(capfd.readouterr().out) < 5000


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["problem", "ungraded", "armed", "stopped", "tests", "answers", "test",
                         "points", "error", "name", "message", "task1", "task1-public"]), inner),
    max_leaves=8)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["problem", "ungraded", "armed", "stopped", "tests",
                                        "answers"]), json_values, min_size=1))
def test_any_result_gives_a_page_and_a_row(tmp_path_factory, result):
    folder = tmp_path_factory.mktemp("any") / "week1-graded"
    folder.mkdir()
    submission = Submission("ada", FIRST, folder, result)
    write_page(submission, COURSE.name, folder)
    write_table([submission], COURSE.name, folder / "grades.csv")
    assert read_table(folder.with_name("week1"))["ada", FIRST]["of"] == "30"
    assert "Feedback for ada" in page_of(folder.with_name("week1"), "ada")


def test_results_that_cannot_be_written_end_nothing_and_are_named(tmp_path, monkeypatch, capsys):
    async def graded(submission, *_):
        submission.result = FINE
    monkeypatch.setattr("grade.grade", graded)
    submissions = [Submission(name, FIRST, tmp_path) for name in ("ada", "bob", "ida")]
    folder = start_results(tmp_path / "week1")
    (folder / "feedback").mkdir()
    (folder / "feedback" / "bob").write_text("a file where a folder should be")
    lost = asyncio.run(grade_all(submissions, COURSE.name, "none", folder))
    assert [submission.student for submission in lost] == ["bob"]
    assert {student: row["points"] for (student, _), row in read_table(tmp_path / "week1").items()
            } == {"ada": "2", "bob": "2", "ida": "2"}
    assert "could not write" in capsys.readouterr().out


def test_a_submission_that_is_gone_is_the_graders_trouble(tmp_path, capsys):
    submission = Submission("ada", FIRST, tmp_path / "gone.ipynb")
    asyncio.run(grade(submission, COURSE.name, "none"))
    assert "trouble of the grader's own" in submission.result["problem"]
    assert "gone.ipynb" in capsys.readouterr().out


def test_only_a_course_that_was_made_is_graded(tmp_path, monkeypatch, capsys):
    for module in ("grade", "submissions"):
        monkeypatch.setattr(f"{module}.COURSES", tmp_path)
    monkeypatch.setattr("grade.is_current", lambda course: False)
    with pytest.raises(SystemExit, match="no course vision101.*made so far: none"):
        check_course("vision101")
    (tmp_path / "vision102").mkdir()
    (tmp_path / "vision102" / "course.json").write_text("{}")
    with pytest.raises(SystemExit, match="made so far: vision102"):
        check_course("vision101")
    check_course("vision102")
    assert "graded as it was made" in capsys.readouterr().out


def test_a_solution_scores_all_points_without_the_sandbox_as_well(tmp_path):
    nbformat.write(solved(), tmp_path / "solved.ipynb")
    subprocess.run([sys.executable, str(GRADE_ONE), str(COURSE / "nbgrader"), FIRST,
                    str(tmp_path / "solved.ipynb"), str(tmp_path / "result.json"),
                    "--isolation", "none"], check=True)
    tests = json.loads((tmp_path / "result.json").read_text())["tests"]
    assert sum(test["points"] for test in tests) == points()


def test_without_bubblewrap_nothing_is_graded_unless_one_says_so(monkeypatch, capsys):
    monkeypatch.setattr("grade.bubblewrap_works", lambda: False)
    monkeypatch.delenv("ISOLATION", raising=False)
    with pytest.raises(SystemExit, match="apt install bubblewrap"):
        choose_isolation()
    monkeypatch.setenv("ISOLATION", "none")
    assert choose_isolation() == "none"
    assert "with your rights" in capsys.readouterr().out
    monkeypatch.setenv("ISOLATION", "some")
    with pytest.raises(SystemExit, match="bubblewrap or none"):
        choose_isolation()


def test_a_stray_folder_beside_an_assignment_does_not_stop_the_grading(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_PATH", "")      # which it sets, for its own process
    source = tmp_path / "source" / "a1"
    (source / "__pycache__").mkdir(parents=True)
    for name in ("classroom.py", "a1.npz", "a1.ipynb"):
        (source / name).write_text("")
    add_kernel(tmp_path, "a1", "bubblewrap", 60_001)
    assert sorted(os.listdir(tmp_path / "work")) == ["a1.npz", "classroom.py"]
