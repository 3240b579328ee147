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
from submissions import (ELSEWHERE, LONGEST, choose_course, find_submissions, open_submissions,
                         readable, shorten)

A1, A2 = NAMES = ["a1_skipgram", "a2_vectorize"]
TOLD = {"spring": "1" * 16 + "-" + "a" * 16, "autumn": "2" * 16 + "-" + "b" * 16,
        "elsewhere": "3" * 16 + "-" + "c" * 16, "spring, older": "1" * 16 + "-" + "d" * 16}


def touch(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()


def test_submissions_are_found_in_folders_and_as_learning_platforms_name_them(tmp_path):
    touch(tmp_path, "ada/deep/a1_skipgram.ipynb", "lovelaceada_41_1815_a1_skipgram-2.ipynb",
          "bob/A1_skipgram.IPYNB", "bob/again/a1_skipgram.ipynb", "bob/notes.md",
          "a1_skipgram.ipynb", "ada/.ipynb_checkpoints/a1_skipgram.ipynb",
          "__MACOSX/ada/a1_skipgram.ipynb", "_.._a1_skipgram.ipynb",
          "-ada_a1_skipgram.ipynb", "=1+1/a1_skipgram.ipynb")
    (tmp_path / "ida_a1_skipgram.ipynb").symlink_to(tmp_path / "bob" / "A1_skipgram.IPYNB")
    (tmp_path / "eve").symlink_to(tmp_path / "bob")
    found, strange = find_submissions(tmp_path, [A1])
    assert sorted(submission.student for submission in found) == [
        "_..", "_1+1", "_ada", "ada", "bob", "bob (2)", "lovelaceada_41_1815"]
    assert sorted(strange) == ["a1_skipgram.ipynb", "bob/notes.md", "eve", "ida_a1_skipgram.ipynb"]


@pytest.mark.skipif(sys.platform != "linux", reason="optional: other systems refuse such names")
def test_a_name_that_is_no_text_does_not_stop_the_grading(tmp_path):
    folder = os.fsencode(tmp_path) + b"/Ren\xe9\x1b"
    os.mkdir(folder)
    with open(folder + b"/a1_skipgram.ipynb", "wb"):
        found, _ = find_submissions(tmp_path, [A1])
    assert [submission.student for submission in found] == ["Ren_"]


def test_many_copies_are_numbered_and_come_after_everybody_elses_first(tmp_path):
    touch(tmp_path, *(f"ada/{i}/{A1}.ipynb" for i in range(40)), f"bob/{A1}.ipynb",
          f"{'x' * 250}/{A1}.ipynb", f"{'x' * 250}/again/{A1}.ipynb", f"ada (2)/{A1}.ipynb")
    found, strange = find_submissions(tmp_path, [A1])
    labels = [submission.student for submission in found]
    assert strange == [] and len(set(labels)) == len(labels) == 44
    assert labels[:4] == ["ada", "ada (2)", "bob", "x" * LONGEST]
    for label in labels:
        touch(tmp_path / "feedback", f"{label}/{A1}.html")


@given(st.text(min_size=1))
def test_any_name_becomes_one_that_file_systems_take(name):
    label = f"{shorten(readable(name))} (12345)"
    assert len(os.fsencode(label)) < 255 and "\0" not in label


@pytest.mark.skipif(sys.platform == "win32", reason="optional: such files cannot be made here")
def test_what_is_no_plain_file_is_not_opened(tmp_path):
    touch(tmp_path, f"ada/{A1}.ipynb")
    os.mkfifo(tmp_path / f"ida_{A1}.ipynb")
    found, strange = find_submissions(tmp_path, [A1])
    assert [submission.student for submission in found] == ["ada"]
    assert strange == [f"ida_{A1}.ipynb"]


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
        found, strange = find_submissions(tmp_path, [A1])
        assert [submission.student for submission in found] == ["ada", "bob"] and strange == []
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
        found, strange = find_submissions(folder, NAMES)
        texts = {submission.student: submission.path.read_text() for submission in found}
    assert texts == {"ada": "ada's", "bob": "bob's"} | ({} if inside else {"outside": "outside"})
    assert strange == [] and [name.rpartition("/")[2] for name in left] == [
        "paper.pdf", f"large_{A1}.ipynb", f"{A1}.ipynb"]
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
    monkeypatch.setattr("submissions.COURSES", tmp_path / "courses")

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
        return find_submissions(tmp_path / "week1", [A1])[0]
    return make


def problems(submissions):
    return [submission.result.get("problem", "") for submission in submissions]


def test_without_COURSE_the_notebooks_tell_it(hand_in, capsys):
    submissions = hand_in("autumn", "", "autumn", "spring", "elsewhere")
    assert choose_course("", submissions) == "autumn"
    assert "Grading the course autumn, to which the notebooks belong" in capsys.readouterr().out
    assert problems(submissions)[:3] == [""] * 3
    assert "belongs to spring, not to autumn" in problems(submissions)[3]
    assert f"belongs to {ELSEWHERE}" in problems(submissions)[4]


def test_a_wrong_COURSE_is_refused_where_no_notebook_belongs_to_it(hand_in):
    submissions = hand_in("autumn", "autumn")
    with pytest.raises(SystemExit, match="None .* course spring: they belong to autumn"):
        choose_course("spring", submissions)
    assert choose_course("autumn", submissions) == "autumn"
    assert problems(submissions) == ["", ""]


def test_one_notebook_of_another_course_ends_nothing(hand_in):
    submissions = hand_in("spring", "autumn", "elsewhere")
    assert choose_course("spring", submissions) == "spring"
    assert [bool(problem) for problem in problems(submissions)] == [False, True, True]


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


def test_a_course_that_was_made_anew_with_other_data_is_noticed(hand_in, capsys):
    submissions = hand_in("spring, older")
    assert choose_course("spring", submissions) == "spring"
    assert "student0 has other data for a1_skipgram than spring" in capsys.readouterr().out
    assert problems(submissions) == [""]
