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
from grade import check_course, choose_isolation, grade_folder
from grade_one import add_kernel
from handed_in import (BREAK, CLOSE, COURSE, ENVIRONMENT, FIRST, STUBBORN, begin_with,
                       listen_to_ctrl_c, page_of, points, read_table, run_grading, save, solved,
                       start_grading)
from hypothesis import given, settings
from hypothesis import strategies as st
from overrides import COLUMNS
from results import Results, claim
from run import Run, grade_all
from sandbox import claim_user
from submissions import Submission
from workers import GRADE_ONE, KEPT_VARIABLES, LARGEST_RESULT, environment, grade, jobs

pytestmark = pytest.mark.book

FINE = {"look": [], "stopped": "", "answers": {},
        "tests": [{"test": "task1-public", "points": 2, "error": None}]}


def a_run(folder, *students):
    """A run of the grading over files that are not there, with results in week1-graded."""
    (folder / "week1-graded" / "state").mkdir(parents=True)
    return Run([Submission(name, FIRST, folder / name, course=COURSE.name) for name in students],
               Results(folder / "week1-graded"), COURSE.name)


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
        with claim(tmp_path / "week1-graded"):
            pytest.fail("there is no folder")
    assert (tmp_path / "week1-graded").read_text() == "mine"


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
    while not table.exists() or not read_table(folder)["ada", FIRST]["points"]:
        assert run.poll() is None and time.monotonic() < give_up
        time.sleep(0.2)
    started = psutil.Process(run.pid).children(recursive=True)
    run.send_signal(signal.SIGINT)
    said = run.communicate()[0]
    assert run.returncode != 0 and "Stopped. 1 of 2 submissions are graded" in said
    rows = read_table(folder)
    assert rows["ada", FIRST]["points"] == "30" and rows["bob", FIRST]["points"] == ""
    assert "Not graded yet" in rows["bob", FIRST]["note"]
    assert "30 of 36 points" in text_of(page_of(folder, "ada"))
    assert len(started) > 1 and psutil.wait_procs(started, timeout=20)[1] == []


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
    monkeypatch.setattr("workers.GRADE_ONE", script)
    run = a_run(tmp_path, "good1", "bad", "good2")
    assert asyncio.run(grade_all(run, "none", 2)) == []
    rows = read_table(tmp_path / "week1")
    assert {student: row["points"] for (student, _), row in rows.items()} == {
        "good1": "2", "bad": wanted, "good2": "2"}
    assert bool(rows["bad", FIRST]["note"]) == (wanted != "2")
    assert page_of(tmp_path / "week1", "bad")
    assert len(capfd.readouterr().out) < 5000


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["problem", "ungraded", "look", "stopped", "tests", "answers", "test",
                         "points", "error", "name", "message", "task1", "task1-public"]), inner),
    max_leaves=8)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["problem", "ungraded", "look", "stopped", "tests",
                                        "answers", "sources", "written"]), json_values, min_size=1)
       | st.builds(lambda key, value: FINE | {key: value},
                   st.sampled_from([*FINE, "sources", "written"]), json_values))
def test_any_result_gives_a_page_and_a_row(tmp_path_factory, result):
    run = a_run(tmp_path_factory.mktemp("any"), "ada")
    run.submissions[0].result = result
    run.write_page(run.submissions[0])
    run.write_table()
    run.write_rest()
    run.write_rest()
    week1 = run.results.folder.with_name("week1")
    assert read_table(week1)["ada", FIRST]["of"] == "36"
    assert "Feedback for ada" in page_of(week1, "ada")


def test_results_that_cannot_be_written_end_nothing_and_are_named(tmp_path, monkeypatch, capsys):
    async def graded(submission, *_):
        submission.result = FINE
    monkeypatch.setattr("run.grade", graded)
    run = a_run(tmp_path, "ada", "bob", "ida")
    (run.results.folder / "feedback").mkdir()
    (run.results.folder / "feedback" / "bob").write_text("a file where a folder should be")
    lost = asyncio.run(grade_all(run, "none", 2))
    assert [submission.student for submission in lost] == ["bob"]
    assert {student: row["points"] for (student, _), row in read_table(tmp_path / "week1").items()
            } == {"ada": "2", "bob": "2", "ida": "2"}
    assert "could not write" in capsys.readouterr().out


def test_a_submission_that_is_gone_is_the_graders_trouble(tmp_path, capsys):
    submission = Submission("ada", FIRST, tmp_path / "gone.ipynb", course=COURSE.name)
    asyncio.run(grade(submission, "none"))
    assert "trouble of the grader's own" in submission.result["problem"]
    assert "gone.ipynb" in capsys.readouterr().out


def test_only_a_course_that_was_made_is_graded(tmp_path, monkeypatch, capsys):
    for module in ("grade", "courses"):
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


# In place of the grading process: notes whom it grades, and waits for whom it is told to.
PRETEND = """
import os, sys, time
from pathlib import Path
folder = Path({folder!r})
student = Path(sys.argv[3]).parent.name
with open(folder / "graded.txt", "a") as file:
    file.write(student + "\\n")
while student == "slow" and not (folder / "go").exists():
    time.sleep(0.05)
Path(sys.argv[4]).write_text({fine!r})
"""
DRIVER = """
import sys
from pathlib import Path
sys.path[:0] = {paths!r}
import grade, workers
workers.GRADE_ONE = Path({script!r})
grade.main()
"""


@pytest.fixture
def pretend(tmp_path, monkeypatch):
    """A class of three that is not really graded; gives the folder and whom was graded so far."""
    for student in ("ada", "slow", "zoe"):
        save(solved(), tmp_path / "week1", student)
    script = tmp_path / "pretend.py"
    script.write_text(PRETEND.format(folder=str(tmp_path), fine=json.dumps(FINE)))
    monkeypatch.setattr("workers.GRADE_ONE", script)
    for name, value in {"ISOLATION": "none", "MMFUSE_CACHE": str(tmp_path / "cache"),
                        "SUBMISSIONS": str(tmp_path / "week1"), "JOBS": "1"}.items():
        monkeypatch.setenv(name, value)
    return tmp_path / "week1", lambda: (tmp_path / "graded.txt").read_text().split()


def points_in(folder):
    return {student: row["points"] for (student, _), row in read_table(folder).items()}


@pytest.mark.skipif(os.name != "posix", reason="optional: other systems have no such signals")
def test_a_killed_run_goes_on_where_it_was(pretend, tmp_path):
    folder, graded = pretend
    driver = tmp_path / "driver.py"
    driver.write_text(DRIVER.format(paths=sys.path, script=str(tmp_path / "pretend.py")))
    run = subprocess.Popen([sys.executable, str(driver)], preexec_fn=listen_to_ctrl_c)
    give_up = time.monotonic() + 60
    while not (tmp_path / "graded.txt").exists() or "slow" not in graded():
        assert run.poll() is None and time.monotonic() < give_up
        time.sleep(0.05)
    run.kill()
    run.wait()
    assert points_in(folder) == {"ada": "2", "slow": "", "zoe": ""}
    (tmp_path / "go").touch()
    with (tmp_path / "week1-graded" / "state" / "results.jsonl").open("a") as file:
        file.write('{"student": "slow", "assign')       # a line that was cut off
    grade_folder(folder, "")
    assert graded() == ["ada", "slow", "slow", "zoe"]
    assert points_in(folder) == {"ada": "2", "slow": "2", "zoe": "2"}


def test_only_what_is_new_or_named_is_graded_again(pretend, tmp_path, capsys):
    folder, graded = pretend
    (tmp_path / "go").touch()
    grade_folder(folder, "")
    grade_folder(folder, "")
    assert sorted(graded()) == ["ada", "slow", "zoe"]
    assert "3 of 3 submissions are graded already" in capsys.readouterr().out
    grade_folder(folder, "", "ADA")
    save(begin_with("1 + 1"), folder, "zoe")
    grade_folder(folder, "")
    assert graded()[3:] == ["ada", "zoe"]
    grade_folder(folder, "", f"ada/{FIRST}; zoe")
    assert sorted(graded()[5:]) == ["ada", "zoe"]
    grade_folder(folder, "", "all")
    assert sorted(graded()[7:]) == ["ada", "slow", "zoe"]
    with pytest.raises(SystemExit, match="nobody called adda .* Nothing was graded.*There are ada"):
        grade_folder(folder, "", "adda")


def test_what_cannot_be_graded_is_not_said_to_be_graded_already(pretend, tmp_path, capsys):
    folder, graded = pretend
    (tmp_path / "go").touch()
    strange = solved()
    strange.metadata["mmfuse_course"] = f"{16 * '0'}-{16 * '0'}"
    save(strange, folder, "zoe")
    grade_folder(folder, "")
    assert "already" not in capsys.readouterr().out
    assert sorted(graded()) == ["ada", "slow"] and points_in(folder)["zoe"] == ""
    grade_folder(folder, "")
    assert "2 of 3 submissions are graded already" in capsys.readouterr().out


def test_what_somebody_changed_in_the_results_is_kept_beside_the_new(pretend, tmp_path, capsys):
    folder, _ = pretend
    (tmp_path / "go").touch()
    grade_folder(folder, "")
    results = folder.with_name("week1-graded")
    page, table = results / "feedback" / "ada" / f"{FIRST}.html", results / "grades.csv"
    for path in (page, table):
        path.write_text("my notes")
    grade_folder(folder, "")
    assert "Feedback for ada" in page.read_text() and "student" in table.read_text()
    assert page.with_name(f"{FIRST} (kept 1).html").read_text() == "my notes"
    assert table.with_name("grades (kept 1).csv").read_text() == "my notes"
    assert "changed by hand" in capsys.readouterr().out
    grade_folder(folder, "")
    assert len(list(results.rglob("*kept*"))) == 2


def test_who_handed_in_nothing_has_a_page_only_with_words_of_the_instructor(
        pretend, tmp_path, monkeypatch, capsys):
    folder, _ = pretend
    (tmp_path / "pretend.py").write_text(PRETEND.format(
        folder=str(tmp_path), fine=json.dumps(FINE | {"written": "Because."})))
    (tmp_path / "go").touch()
    monkeypatch.setenv("ROSTER", str(tmp_path / "list.csv"))
    (tmp_path / "list.csv").write_text(
        "Student,ID,Section\nada,1,\nslow,2,\nzoe,3,\nGrace,4,\nMia,5,\n")
    with (tmp_path / "week1-overrides.csv").open("w") as file:
        file.write(f"{','.join(COLUMNS)}\nGrace,{FIRST},,24,Oral exam.,\n")
    grade_folder(folder, "")
    pages = tmp_path / "week1-graded" / "feedback"
    assert not (pages / "Mia").exists()
    grace = (pages / "Grace" / f"{FIRST}.html").read_text()
    assert "24 of 36 points" in grace and "Your instructor says: Oral exam." in grace
    assert points_in(folder) == {"ada": "2", "slow": "2", "zoe": "2", "Grace": "24", "Mia": ""}
    told = capsys.readouterr().out
    assert "The points of 3 written answers to be graded by hand are not in it yet." in told


def test_only_settings_that_are_right_are_remembered(pretend, tmp_path, monkeypatch):
    folder, _ = pretend
    (tmp_path / "go").touch()
    (tmp_path / "list.csv").write_text("Student,ID,Section,Essay,Week one\nada,1,,,\n")

    def grade_with(**settings):
        for name in ("ROSTER", "COLUMN", "LATE"):
            monkeypatch.setenv(name, settings.get(name, ""))
        grade_folder(folder, "")
    upload = tmp_path / "week1-graded" / "upload-canvas.csv"
    right = {"ROSTER": str(tmp_path / "list.csv"), "COLUMN": "Week one"}
    for wrong in ({"ROSTER": __file__}, {"COLUMN": "Week two"}, {"LATE": "10%"}):
        with pytest.raises(SystemExit, match=next(iter(wrong))):
            grade_with(**right | wrong)
    grade_with()
    assert not upload.exists()
    grade_with(**right)
    upload.unlink()
    with pytest.raises(SystemExit, match="COLUMN='Week two' must be"):
        grade_with(COLUMN="Week two")
    grade_with()
    assert "ada,1,,,2\n" in upload.read_text()
    with pytest.raises(SystemExit, match="Say which column"):
        grade_with(COLUMN="none")
    upload.unlink()
    grade_with(ROSTER="none")
    assert not upload.exists()


def test_another_run_into_the_same_folder_waits(pretend, tmp_path):
    folder, graded = pretend
    (tmp_path / "go").touch()
    driver = tmp_path / "driver.py"
    driver.write_text(DRIVER.format(paths=sys.path, script=str(tmp_path / "pretend.py")))
    with claim(tmp_path / "week1-graded"):
        run = subprocess.Popen([sys.executable, "-u", str(driver)], encoding="utf8",
                               stdout=subprocess.PIPE,
                               env=os.environ | {"MMFUSE_CACHE": str(tmp_path / "another cache")})
        told = next(line for line in run.stdout if "waiting" in line)
        assert "Another run is grading into" in told and not (tmp_path / "graded.txt").exists()
    run.communicate()
    assert run.returncode == 0 and sorted(graded()) == ["ada", "slow", "zoe"]
    assert points_in(folder) == {"ada": "2", "slow": "2", "zoe": "2"}


def test_jobs_are_a_number_or_as_many_as_there_are_cores(monkeypatch):
    assert jobs("3") == 3 and 1 <= jobs() <= os.cpu_count()
    for wrong in ("0", "-1", "two", "1000", "1.5"):
        with pytest.raises(SystemExit, match=f"JOBS must be a number from 1 to 64; got '{wrong}'"):
            jobs(wrong)


@pytest.mark.parametrize("content", [b"", b'{"late": "10%', b"\xff\xfe"])
def test_damaged_settings_are_told_and_not_forgotten(tmp_path, content):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "settings.json").write_bytes(content)
    with pytest.raises(SystemExit, match="settings.json cannot be read"):
        Results(tmp_path)
    (tmp_path / "state" / "settings.json").unlink()
    assert Results(tmp_path).settings == {}
