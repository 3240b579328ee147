"""What students get: a notebook with places for a name and a written answer, README, pictures."""

import re
import sys
import zipfile

import assignments
import nbformat
import pytest
from assignments import SOURCES, NamedStubs, grading, is_picture, list_assignments, read_source
from conftest import ROOT
from handout import chapters, readme

sys.path.insert(0, str(SOURCES))
import classroom  # noqa: E402  (it lies beside the notebooks, where students have it)

every_assignment = pytest.mark.parametrize("name", list_assignments())


def cell_of(name, key):
    return next(cell for cell in read_source(name).cells if grading(cell).get("grade_id") == key)


@every_assignment
def test_chapters_are_named_by_their_titles(name):
    titles = {nbformat.read(path, 4).cells[0].source.partition("\n")[0].removeprefix("# ")
              for path in (ROOT / "notebooks").glob("[0-9]*.ipynb")}
    named = chapters(read_source(name))
    assert named and set(named) <= titles
    assert all(f"\n  {title}\n" in readme(name, read_source(name)) for title in named)


@every_assignment
def test_the_written_answer_comes_last_and_its_rubric_stays_with_the_instructor(name):
    cells = read_source(name).cells
    keys = [grading(cell).get("grade_id") for cell in cells]
    place = keys.index("written")
    assert keys[place - 2] == "task6-hidden" and cells[place + 1].source.startswith("## Hand in")
    question, answer = cells[place - 1], cells[place]
    assert question.source.startswith("## In your own words (6 points, graded by hand)")
    assert grading(answer) | {"points": 6, "grade": True, "solution": True} == grading(answer)
    criteria = [int(points) for points in re.findall(r"(?m)^- \*\*(\d),", answer.source)]
    assert 3 <= len(criteria) <= 5 and sum(criteria) == 6
    assert sorted(criteria) == sorted(map(int, re.findall(r"\((\d)\)", question.source)))
    given, _ = NamedStubs().preprocess_cell(answer.copy(), {"language": "python"}, place)
    assert given.source == "*Double-click here, and write your answer in place of this line.*"


@every_assignment
def test_there_is_a_place_for_a_name_below_the_title(name):
    title, place, *_ = read_source(name).cells
    assert title.source.startswith("# Assignment ") and len(title.source) < 700
    assert place.source.startswith("**Name:**") and not grading(place)


@every_assignment
@pytest.mark.parametrize("hidden", ["classroom", "numpy", "matplotlib.pyplot"])
def test_what_is_missing_is_said_with_what_to_do(name, hidden, monkeypatch):
    monkeypatch.setitem(sys.modules, hidden, None)
    with pytest.raises(ModuleNotFoundError) as told:
        exec(cell_of(name, "setup").source, {})
    assert str(told.value).startswith(f"{hidden} is missing.")
    for part in ("classroom.py", f"{name}.npz", "Colab", "pip install numpy matplotlib"):
        assert part in str(told.value)


def test_missing_data_are_said_with_where_they_belong(tmp_path, monkeypatch):
    monkeypatch.setattr(classroom, "HERE", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"a1_skipgram\.npz is missing.*zip.*upload"):
        classroom.load("a1_skipgram")


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course of one assignment, made where the path has brackets."""
    courses = tmp_path_factory.mktemp("course") / "a copy [1] what?" / "courses"
    courses.mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assignments, "COURSES", courses)
        patch.setattr(assignments, "list_assignments", lambda: ["a1_skipgram"])
        for former in ([], [".a-course-2027-before"]):      # what was made before is kept
            assignments.make_course("a-course-2027")
            assert assignments.is_current("a-course-2027")
            assert sorted(path.name for path in courses.iterdir()) == [*former, "a-course-2027"]
    return courses / "a-course-2027"


@pytest.mark.book
def test_a_zip_holds_all_that_its_readme_names_and_nothing_for_instructors(course):
    assert (course / "students").stat().st_mode & 0o055 == 0o055
    with zipfile.ZipFile(course / "students" / "a1_skipgram.zip") as file:
        names = {path.removeprefix("a1_skipgram/") for path in file.namelist()}
        told = file.read("a1_skipgram/README.txt").decode()
        everything = b"".join(map(file.read, file.namelist()))
    pictures = {f"expected/task{i}-expected.png" for i in range(1, 7)}
    assert names - {"expected/"} == pictures | {
        "README.txt", "a1_skipgram.ipynb", "a1_skipgram.npz", "classroom.py", "licenses.txt"}
    assert all(re.search(rf"(?m)^  {re.escape(part)}$", told) for part in (
        "a1_skipgram.ipynb", "a1_skipgram.npz", "classroom.py", "expected", "licenses.txt"))
    assert "$" not in told and "15 points by hidden tests" in told and "up to 6 points" in told
    for secret in (b"Rubric", b"BEGIN SOLUTION", b"HIDDEN TESTS", b"np.tanh(x / 2)"):
        assert secret not in everything
    for place in (ROOT, course, sys.prefix):        # no trace of the machine that made it
        assert str(place).encode() not in everything


@pytest.mark.book
def test_the_expected_picture_of_a_task_on_paper_shows_other_numbers(course):
    solution = nbformat.read(course / "solutions" / "a1_skipgram.ipynb", as_version=4)
    released = nbformat.read(course / "nbgrader" / "release" / "a1_skipgram" / "a1_skipgram.ipynb",
                             as_version=4)
    given = {cell.id: cell.attachments["expected.png"]["image/png"].strip()
             for cell in released.cells if "attachments" in cell}
    drawn = {cell.metadata.nbgrader.grade_id: (cell.id, output.data["image/png"].strip())
             for cell in solution.cells if is_picture(cell) for output in cell.outputs
             if "data" in output}
    differs = {key for key, (id, png) in drawn.items() if given[f"{id}-expected"] != png}
    assert differs == {"task3-picture"} and len(drawn) == 6
    assert "course_data" not in str(solution)
