"""Which files are submissions, whose they are, and for which course."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from courses import ELSEWHERE, assignment_told, choose_course, made_courses
from feedback import page_name
from names import LONGEST, folder_name, platform_parts, readable, same
from submissions import Submission, find_submissions, open_submissions

A1, A2 = NAMES = ["a1_skipgram", "a2_vectorize"]
TOLD = {"spring": "1" * 16 + "-" + "a" * 16, "autumn": "2" * 16 + "-" + "b" * 16,
        "elsewhere": "3" * 16 + "-" + "c" * 16, "spring, older": "1" * 16 + "-" + "d" * 16}


def touch(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()


def hand_in_all(folder, names=NAMES, **options):
    """({student: assignment} of what can be graded, {student: why} of what cannot)."""
    everything = find_submissions(folder, names, **options)
    return ({work.student: work.assignment for work in everything if not work.result},
            {work.student: work.result["problem"] for work in everything if work.result})


def test_submissions_are_found_in_folders_and_as_learning_platforms_name_them(tmp_path):
    touch(tmp_path, "ada/deep/a1_skipgram.ipynb", "lovelaceada_41_1815_a1_skipgram-2.ipynb",
          "bob/A1_skipgram.IPYNB", "bob/again/a1_skipgram.ipynb", "bob/notes.md",
          "ada/.ipynb_checkpoints/a1_skipgram.ipynb", "__MACOSX/ada/a1_skipgram.ipynb",
          "-ada_a1_skipgram.ipynb", "=1+1/a1_skipgram.ipynb",
          "Ada Lovelace_7_assignsubmission_file_/my a1 skipgram.ipynb",
          "Eve_8_assignsubmission_file_a1_skipgram.ipynb", "a1_skipgram_ida.ipynb",
          "cleo_a1_skipgram (1).ipynb", "dan/a1-skipgram - Copy.ipynb.txt")
    found, others = hand_in_all(tmp_path)
    assert set(found) == {
        "ada", "lovelaceada_41_1815", "bob", "bob (2)", "-ada", "=1+1", "ida", "cleo", "dan",
        "Ada Lovelace_7_assignsubmission_file_", "Eve_8_assignsubmission_file"}
    assert set(found.values()) == {A1} and others == {}


def test_whoever_cannot_be_graded_is_named_with_the_reason(tmp_path):
    touch(tmp_path, "zipped/a1_skipgram.zip", "renamed/homework.ipynb", "paper/a1_skipgram.pdf",
          "both/a1_skipgram_a2_vectorize.ipynb", "a1_skipgram (1).ipynb", f"ada/{A1}.ipynb",
          "ada/draft.ipynb", "ada/sketch.png", "class list.csv", "evan_4_5_essay.docx")
    (tmp_path / "nothing").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "ada")
    (tmp_path / f"ida_{A1}.ipynb").symlink_to(tmp_path / "ada" / f"{A1}.ipynb")
    found, others = hand_in_all(tmp_path)
    assert found == {"ada": A1}
    for student, why in {
            "zipped": "a1_skipgram.zip is an archive", "paper": "is not a notebook",
            "renamed": "homework.ipynb does not say which assignment it is",
            "evan_4_5": "evan_4_5_essay.docx is not a notebook",
            "both": "does not say which assignment it is", "nothing": "is an empty folder",
            "linked": "is a link to another place", "ida": "is a link to another place",
            "a1_skipgram (1).ipynb": "does not say whose it is", "ada": "ada/draft.ipynb"}.items():
        assert why in others.pop(student), student
    assert others == {}         # ada's sketch and the class list are no submissions


NAMES_OF_PEOPLE = ["प्रिया", "प्रीया", "José", "İpek", "O'Brien", "Ælfgifu", "김민준", "李明",
                   "محمد علی", "Nguyễn Thị", "😀", "🦊", "Zoë-Ann d'Arc", "x" * 40]


def test_every_name_stays_itself_and_two_students_stay_two(tmp_path):
    for name in NAMES_OF_PEOPLE:
        touch(tmp_path, f"{name}/{A1}.ipynb", f"{name}_x_{A1}.ipynb")
    found, others = hand_in_all(tmp_path)
    assert set(found) == {*NAMES_OF_PEOPLE, *(f"{name}_x" for name in NAMES_OF_PEOPLE)}
    assert others == {}


@pytest.mark.skipif(sys.platform != "linux", reason="optional: other disks take these for one")
def test_names_that_a_disk_may_take_for_one_get_folders_of_their_own(tmp_path):
    touch(tmp_path, *(f"{name}/{A1}.ipynb" for name in (
        "Jose\u0301", "Jos\u00e9", "ADA", "ada", "ada.", "bob\u202e", "bob_")))
    found, _ = hand_in_all(tmp_path)
    folders = {same(folder_name(student)) for student in found}
    assert len(found) == len(folders) == 7 and "José" in found and "José (2)" in found


@pytest.mark.skipif(sys.platform != "linux", reason="optional: other systems refuse such names")
def test_a_name_that_is_no_text_does_not_stop_the_grading(tmp_path):
    folder = os.fsencode(tmp_path) + b"/Ren\xe9\x1b"
    os.mkdir(folder)
    with open(folder + b"/a1_skipgram.ipynb", "wb"):
        found, _ = hand_in_all(tmp_path)
    assert list(found) == ["Ren_"]


def test_many_copies_are_numbered_and_come_after_everybody_elses_first(tmp_path):
    touch(tmp_path, *(f"ada/{i}/{A1}.ipynb" for i in range(40)), f"bob/{A1}.ipynb",
          f"{'x' * 250}/{A1}.ipynb", f"{'x' * 250}/again/{A1}.ipynb", f"ada (2)/{A1}.ipynb")
    found = find_submissions(tmp_path, [A1])
    labels = [submission.student for submission in found]
    assert len(set(labels)) == len(labels) == 44
    assert labels[:4] == ["ada", "ada (2)", "bob", "x" * LONGEST]
    for label in labels:
        touch(tmp_path / "feedback", f"{label}/{A1}.html")


@given(st.text(min_size=1))
def test_any_name_becomes_one_that_file_systems_take(name):
    label = folder_name(f"{readable(name)} (12345)")
    assert len(os.fsencode(label)) < 255 and not set(label) & set('\0/\\<>:"|?*\n')
    assert label == label.strip() and not label.startswith(".")


@pytest.mark.parametrize(("label", "name", "number", "late"), [
    ("lovelaceada_41_1815", "lovelaceada", "41", False),
    ("lovelaceada_LATE_41_1815", "lovelaceada", "41", True),
    ("प्रियाशर्मा_5_6", "प्रियाशर्मा", "5", False),
    ("Ada Lovelace_7_assignsubmission_file_", "Ada Lovelace", "7", False),
    ("Ada_B_7_assignsubmission_file", "Ada_B", "7", False), ("ada_41", "ada_41", "", False)])
def test_what_a_platform_writes_into_a_name_is_understood(label, name, number, late):
    assert platform_parts(label) == (name, number, late)


@pytest.mark.skipif(sys.platform == "win32", reason="optional: such files cannot be made here")
def test_what_is_no_plain_file_is_not_opened(tmp_path):
    touch(tmp_path, f"ada/{A1}.ipynb")
    os.mkfifo(tmp_path / f"ida_{A1}.ipynb")
    found, others = hand_in_all(tmp_path, told=lambda path: pytest.fail(path) if "ida" in str(
        path) else "")
    assert list(found) == ["ada"] and "is not a plain file" in others["ida"]


@pytest.mark.skipif(sys.platform == "win32", reason="optional: paths are shorter here")
def test_folders_nested_deeper_than_python_calls_itself_end_nothing(tmp_path):
    touch(tmp_path, f"ada/{A1}.ipynb")
    try:
        path = os.path.join(tmp_path, "bob")
        for _ in range(1200):
            os.mkdir(path)
            path += "/d"
        os.mkdir(path)
        Path(f"{path}/{A1}.ipynb").touch()
        assert hand_in_all(tmp_path) == ({"ada": A1, "bob": A1}, {})
    finally:
        subprocess.run(["rm", "-rf", tmp_path / "bob"], check=True)


@pytest.mark.parametrize("inside", ["", "week1/"])
def test_a_zip_file_is_unpacked_and_nothing_of_it_gets_outside(tmp_path, inside):
    path = tmp_path / "week1.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(f"{inside}ada/{A1}.ipynb", "ada's")
        file.writestr(f"{inside}bob_{A1}.ipynb", "bob's")
        file.writestr(f"{inside}__MACOSX/ada/._{A1}.ipynb", "")
        file.writestr(f"{inside}ida/paper.pdf", "%PDF")
        file.writestr(f"{inside}eve/large_{A1}.ipynb", b"0" * (21 * 2**20))
        file.writestr(f"{inside}{'n' * 300}/{A1}.ipynb", "no file system takes this")
        if not inside:
            file.writestr(f"../outside_{A1}.ipynb", "outside")
    with open_submissions(path) as (folder, left):
        found = find_submissions(folder, NAMES, left)
        texts = {submission.student: submission.path.read_text() for submission in found
                 if not submission.result}
    assert texts == {"ada": "ada's", "bob": "bob's"} | ({} if inside else {"outside": "outside"})
    assert [submission.result["problem"].partition(" ")[0] for submission in found
            if submission.result] == ["Not"] * 3
    assert [(name.rpartition("/")[2], why) for name, why in left.items()] == [
        ("paper.pdf", "is not a notebook. Ask for the .ipynb file itself."),
        (f"large_{A1}.ipynb", "has more than 20 MB"), (f"{A1}.ipynb", "could not be unpacked")]
    assert not folder.exists() and [path.name for path in tmp_path.iterdir()] == ["week1.zip"]


def test_what_is_neither_a_folder_nor_a_zip_file_is_named(tmp_path):
    (tmp_path / "week1").write_text("a file")
    (tmp_path / "broken.zip").write_bytes(b"PK\x05\x06" + b"\xff" * 18)
    for name, what in (("week1", "is a file, and no zip file"), ("week2", "is not there"),
                       ("broken.zip", "is damaged")):
        with pytest.raises(SystemExit) as error, open_submissions(tmp_path / name):
            pytest.fail("nothing can be graded there")
        assert str(tmp_path / name) in str(error.value) and what in str(error.value)


@pytest.fixture
def hand_in(tmp_path, monkeypatch):
    """Make two courses and notebooks that tell where they belong; returns the submissions."""
    monkeypatch.setattr("courses.COURSES", tmp_path / "courses")

    def make(*belong, made=("spring", "autumn")):
        for course in made:
            touch(tmp_path, f"courses/{course}/course.json")
            (tmp_path / "courses" / course / "course.json").write_text(
                json.dumps({"notebooks": {A1: TOLD[course]}}))
        for i, course in enumerate(belong):
            touch(tmp_path, f"week1/student{i}/{A1}.ipynb")
            told = f'"mmfuse_course": "{TOLD[course]}"' if course else ""
            (tmp_path / "week1" / f"student{i}" / f"{A1}.ipynb").write_text(
                '{"cells": [{"source": "\\"mmfuse_course\\": \\"' + TOLD["autumn"]
                + '\\""}], "metadata": {' + told + "}}")
        return find_submissions(tmp_path / "week1", [A1])
    return make


def problems(submissions):
    return [submission.result.get("problem", "") for submission in submissions]


def test_without_COURSE_the_notebooks_tell_it(hand_in, capsys):
    submissions = hand_in("autumn", "", "autumn", "spring", "elsewhere")
    assert choose_course("", submissions) == "autumn"
    assert "Grading the course autumn, to which the notebooks belong" in capsys.readouterr().out
    assert problems(submissions)[:4] == [""] * 4
    assert f"belongs to {ELSEWHERE}" in problems(submissions)[4]
    assert [submission.course for submission in submissions] == [
        "autumn", "autumn", "autumn", "spring", "autumn"]
    assert "course spring, not to autumn, and was graded with its own" in submissions[3].said[0]


def test_a_wrong_COURSE_is_refused_where_no_notebook_belongs_to_it(hand_in):
    submissions = hand_in("autumn", "autumn")
    with pytest.raises(SystemExit, match="None .* course spring: they belong to autumn"):
        choose_course("spring", submissions)
    assert choose_course("autumn", submissions) == "autumn"
    assert problems(submissions) == ["", ""]


def test_one_notebook_of_another_course_ends_nothing(hand_in):
    submissions = hand_in("spring", "autumn", "elsewhere")
    assert choose_course("spring", submissions) == "spring"
    assert [bool(problem) for problem in problems(submissions)] == [False, False, True]


def test_where_nothing_tells_the_course_it_is_asked_for(hand_in):
    submissions = hand_in("", "")
    with pytest.raises(SystemExit, match="Say for which course .*made so far: autumn, spring"):
        choose_course("", submissions)
    assert choose_course("spring", submissions) == "spring"
    with pytest.raises(SystemExit, match="Say for which course"):
        choose_course("", hand_in("elsewhere", "elsewhere"))


def test_the_only_course_is_taken_where_notebooks_do_not_tell(hand_in, capsys):
    assert choose_course("", hand_in("", made=["spring"])) == "spring"
    assert "the only one that was made" in capsys.readouterr().out


def test_a_course_that_was_made_anew_with_other_data_is_noticed(hand_in):
    submissions = hand_in("spring, older")
    assert choose_course("spring", submissions) == "spring"
    assert "has other data than spring has now" in submissions[0].said[0]
    assert problems(submissions) == [""]


def test_a_renamed_notebook_is_known_by_what_it_tells(tmp_path, monkeypatch):
    monkeypatch.setattr("courses.COURSES", tmp_path / "courses")
    touch(tmp_path, "courses/spring/course.json", "week1/ada/homework.ipynb",
          f"week1/bob/{A1}.ipynb", "week1/homework (3).ipynb")
    (tmp_path / "courses" / "spring" / "course.json").write_text(
        json.dumps({"notebooks": {A1: TOLD["autumn"], A2: TOLD["spring"]}}))
    for path in (tmp_path / "week1").rglob("*.ipynb"):
        path.write_text('{"metadata": {"mmfuse_course": "%s"}}' % TOLD["spring"])
    courses = made_courses()
    found = find_submissions(tmp_path / "week1", NAMES,
                             told=lambda path: assignment_told(path, courses))
    assert {work.student: work.assignment for work in found} == {
        "ada": A2, "bob": A2, "homework (3)": A2}
    assert all(f"is the notebook of {A2}" in work.said[0] for work in found)


@pytest.mark.parametrize(("label", "page"), [
    ("ada", f"feedback/ada/{A1}.html"),
    ("ada_LATE_41_1815", f"feedback/ada_LATE_41_1815/ada_LATE_41_1815_{A1}.html"),
    ("Ada_7_assignsubmission_file_", f"feedback/Ada_7_assignsubmission_file_/{A1}.html"),
    ("..", f"feedback/_/{A1}.html"), ("con", f"feedback/_con/{A1}.html")])
def test_a_platform_knows_whose_page_it_is_by_its_name(label, page):
    assert page_name(Submission(label, A1, None)) == page
