"""Class lists of Canvas and Moodle: who is who, who is missing, and the grades to send back."""

import csv
import io

import pytest
from marks import Mark
from roster import choose_columns, match, maximum, read_roster, upload
from submissions import Submission

A1, A2 = "a1_skipgram", "a2_vectorize"
CANVAS = """\
Student,ID,SIS User ID,SIS Login ID,Section,Essay (12),a1_skipgram (4711),Final Score,Current Grade
,,,,,Manual Posting,,,
    Points Possible,,,,,10,36.00,(read only),(read only)
"Lovelace, Ada",41,s1,ada01,S1,7,,19.4,A
"Șerban, Ana",42,s2,ana@x.org,S1,,,,
"शर्मा, प्रिया",43,s3,priya,S1,,,,
"शर्मा, प्रीया",44,s4,priiya,S1,,,,
"=1+1, Eve",45,s5,eve,S1,,,,
"García, María",46,s6,maria1,S1,,,,
"García, María",47,s7,maria2,S1,,,,
"Missing, Mia",48,s8,mia,S1,,,,
"Student, Test",99,,test,S1,,,,
"""
WORKSHEET = """\
Identifier,"Full name","Email address",Status,Grade,"Maximum grade","Grade can be changed",\
"Last modified (submission)","Last modified (grade)","Feedback comments"
"Participant 7","Ada Lovelace",ada@x.org,"Submitted for grading",,100.00,Yes,"Sunday, 1 May",-,
"Participant 8","José García",jose@x.org,"Submitted for grading",,100.00,Yes,"Sunday, 1 May",-,
"Participant 9","Mia Missing",mia@x.org,"No submission",,100.00,Yes,-,-,
"""
GRADES = """\
"First name";"Last name";"ID number";Institution;Department;"Email address";\
"Assignment: Week one (Real)";"Assignment: Week one (Feedback)";"Course total (Real)";\
"Last downloaded from this course"
Ada;Lovelace;1001;;;ada@x.org;-;;-;1790000000
José;García;1002;;;jose@x.org;-;;-;1790000000
"""
PARTICIPANTS = """\
"First name","Last name","Email address",Groups
Ada,Lovelace,ada@x.org,"Group A"
"""


def roster(folder, text, encoding="utf-8"):
    path = folder / "list.csv"
    path.write_bytes(text.encode(encoding))
    return read_roster(path)


def hand_in(*students, assignment=A1):
    return [Submission(student, assignment, None) for student in students]


def matched(class_list, *students):
    works = hand_in(*students)
    found, said = match(works, class_list)
    return {work.student: work.name for work in works}, said


@pytest.mark.parametrize(("text", "kind", "people", "columns"), [
    (CANVAS, "canvas", 8, ["Essay (12)", "a1_skipgram (4711)"]),
    (WORKSHEET, "moodle", 3, ["Grade"]),
    (GRADES, "moodle", 2, ["Assignment: Week one (Real)"]), (PARTICIPANTS, "moodle", 1, [])])
def test_lists_are_recognized_by_their_columns(tmp_path, text, kind, people, columns):
    class_list = roster(tmp_path, text)
    assert (class_list.kind, len(class_list.people)) == (kind, people)
    assert [class_list.header[i] for i in class_list.columns] == columns


def test_what_is_no_class_list_is_refused_with_what_is_expected(tmp_path):
    for text in ("", "name,grade\nada,3\n", "Vorname,Nachname\nAda,Lovelace\n"):
        with pytest.raises(SystemExit, match="ROSTER=.* has the columns .*Canvas or Moodle"):
            roster(tmp_path, text)
    with pytest.raises(SystemExit, match="is not there"):
        read_roster(tmp_path / "gone.csv")


def test_students_of_canvas_are_known_by_number_login_and_name(tmp_path):
    names, said = matched(
        roster(tmp_path, CANVAS), "lovelaceada_LATE_41_1815", "S2", "priya", "शर्माप्रीया_9_9",
        "Mia Missing", "s4_homework", "garciamaria_47_3", "Ana Serban", "priiya (2)")
    assert names == {
        "lovelaceada_LATE_41_1815": "Ada Lovelace", "S2": "Ana Șerban", "priya": "प्रिया शर्मा",
        "शर्माप्रीया_9_9": "प्रीया शर्मा", "Mia Missing": "Mia Missing",
        "s4_homework": "प्रीया शर्मा", "garciamaria_47_3": "María García",
        "Ana Serban": "Ana Șerban", "priiya (2)": "प्रीया शर्मा"}
    assert said == []


def test_whoever_is_unknown_or_may_be_two_is_named_and_gets_no_name(tmp_path):
    names, said = matched(roster(tmp_path, CANVAS), "Maria García", "somebody", "Ada")
    assert set(names.values()) == {""}
    assert said == ["Maria García: may be any of María García (line 9), María García (line 10)",
                    "somebody: not in the roster", "Ada: not in the roster"]


def test_students_of_moodle_are_known_by_number_address_and_name(tmp_path):
    folder = "{}_{}_assignsubmission_file_"
    names, said = matched(roster(tmp_path, WORKSHEET), folder.format("Participant", 7),
                          folder.format("Jose\u0301 García", 3), "mia@x.org")
    assert list(names.values()) == ["Ada Lovelace", "José García", "Mia Missing"] and not said
    # The number in a folder's name is Moodle's own, and no ID number.
    names, said = matched(roster(tmp_path, GRADES), folder.format("Participant", 1001), "1002")
    assert list(names.values()) == ["", "José García"] and len(said) == 1


def test_the_column_is_the_only_one_or_named_after_the_assignment_or_said(tmp_path):
    canvas = roster(tmp_path, CANVAS)
    assert choose_columns(canvas, [A1]) == {A1: 6}
    assert choose_columns(canvas, [A2], "essay (12)") == {A2: 5}
    for assignments, wanted in (([A2], ""), ([A2], "Esay"), ([A1, A2], "Essay (12)")):
        with pytest.raises(SystemExit, match="Essay \\(12\\)"):
            choose_columns(canvas, assignments, wanted)
    assert choose_columns(roster(tmp_path, GRADES), [A1]) == {A1: 6}


def test_a_list_without_a_column_for_points_gets_one(tmp_path, capsys):
    class_list = roster(tmp_path, PARTICIPANTS)
    columns = choose_columns(class_list, [A1, A2])
    assert columns == {A1: 4, A2: 5} and "becomes a new one" in capsys.readouterr().out
    works = hand_in("ada@x.org", assignment=A2)
    content, _ = upload(class_list, columns, match(works, class_list)[0],
                        {("ada@x.org", A2): Mark(3, 36, {})})
    assert content.decode().splitlines() == [
        f"First name,Last name,Email address,Groups,{A1},{A2}", "Ada,Lovelace,ada@x.org,Group A,,3"]


def cells(content, **options):
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), **options))


@pytest.mark.parametrize(("text", "student", "row", "column"), [
    (CANVAS, "lovelaceada_41_1815", 3, 6), (CANVAS, "eve", 7, 6), (WORKSHEET, "Ada Lovelace", 1, 4),
    (GRADES, "1002", 2, 6)])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_only_the_points_of_who_has_some_are_filled_in(tmp_path, text, student, row, column, mark):
    delimiter = ";" if text is GRADES else ","
    before = mark + text.replace("\n", "\r\n")
    class_list = roster(tmp_path, before)
    works = hand_in(student, "somebody")
    found, _ = match(works, class_list)
    content, said = upload(class_list, choose_columns(class_list, [A1]), found,
                           {(student, A1): Mark(26.25, 36, {}), ("somebody", A1): Mark(9, 36, {})})
    assert content.decode().startswith("\ufeff") == bool(mark) and said == []
    wanted = cells(before.encode(), delimiter=delimiter)
    wanted[row][column] = "26.25"
    assert cells(content, delimiter=delimiter) == wanted    # also names like =1+1
    assert content.count(b"\r\n") == content.count(b"\n") == before.count("\n")


def test_of_two_submissions_of_one_student_neither_is_chosen(tmp_path):
    class_list = roster(tmp_path, CANVAS.replace("S1,7,,19.4", "S1,7,3,19.4"))
    works = hand_in("ada01", "ada01 (2)")
    content, said = upload(class_list, {A1: 6}, match(works, class_list)[0],
                           {("ada01", A1): Mark(20, 36, {}), ("ada01 (2)", A1): Mark(36, 36, {})})
    assert cells(content)[3][6] == "3"
    assert said == [f"2 submissions of Lovelace, Ada for {A1}: which counts is yours to say; the "
                    "cell is as it was"]


def test_the_platforms_maximum_is_known(tmp_path):
    assert maximum(roster(tmp_path, CANVAS), 6, A1) == 36
    assert maximum(roster(tmp_path, WORKSHEET), 4, A1) == 100
    assert maximum(roster(tmp_path, GRADES), 6, A1) is None
