"""The instructor's page: its numbers, its hints, and that it accuses nobody by chance."""

import random

import pytest
from assignments import DEFAULT_COURSE, grading
from bs4 import BeautifulSoup
from handed_in import FIRST, released, solved
from marks import mark, tasks_of
from overrides import Change
from overview import FEW, commonest_failure, distribution, item_rest, overview_page
from scipy.stats import pearsonr
from similar import near_pairs, tokens_of
from submissions import Submission

pytestmark = pytest.mark.book


def answers(notebook):
    return {grading(cell)["grade_id"]: cell.source for cell in notebook.cells
            if cell.cell_type == "code" and grading(cell).get("solution")}


STUBS, RIGHT = answers(released()), answers(solved())


def answer(task, body):
    """An answer with the line that was handed out, and a body of one's own."""
    return STUBS[task][:STUBS[task].index("    raise")] + body


# Two people who solved three tasks without seeing each other's work.
ALONE = [{
    "task4": answer("task4", """
    s = sigmoid(np.dot(u, v)) - 1
    rest = sigmoid(noise.dot(v))
    grad_noise = rest[:, None] * v[None, :]
    grad_v = s * u
    for r, n in zip(rest, noise):
        grad_v = grad_v + r * n
    return grad_v, s * v, grad_noise
"""),
    "task5": answer("task5", """
    p = np.array(counts, dtype=float) ** power
    p[positive] = 0
    p /= p.sum()
    c = p.cumsum()
    c[-1] = 1
    out = np.searchsorted(c, uniform, side="right")
    return out
"""),
    "task6": answer("task6", """
    newV = np.array(V)
    newU = np.array(U)
    for i in range(len(pairs)):
        c, o = pairs[i]
        ns = noise[i]
        gv, gu, gn = gradients(newV[c], newU[o], newU[ns])
        newV[c] = newV[c] - rate * gv
        newU[o] = newU[o] - rate * gu
        for j, w in enumerate(ns):
            newU[w] -= rate * gn[j]
    return newV, newU
""")}, {
    "task4": answer("task4", """
    def sig(z):
        return np.where(z >= 0, 1 / (1 + np.exp(-z)), np.exp(z) / (1 + np.exp(z)))
    a = sig(v @ u) - 1
    b = sig(noise @ v)
    return a * u + b @ noise, a * v, b.reshape(-1, 1) * v
"""),
    "task5": answer("task5", """
    w = counts ** power
    w = np.delete(w, positive)
    bounds = np.cumsum(w) / np.sum(w)
    rows = np.array([np.argmax(bounds > x) for x in uniform])
    return rows + (rows >= positive)
"""),
    "task6": answer("task6", """
    V = V.copy(); U = U.copy()
    for pair, ws in zip(pairs, noise):
        one, two = pair[0], pair[1]
        dv, du, dn = gradients(V[one], U[two], U[ws])
        V[one] -= rate * dv
        U[two] -= rate * du
        np.add.at(U, ws, -rate * dn)
    return V, U
""")}]
RENAMED = {task: code.replace("error", "e").replace("words", "ns").replace("edges", "b")
           .replace("    return", "    # my own idea\n    return") for task, code in RIGHT.items()}


def test_who_worked_alone_is_not_shown_as_a_pair():
    assert near_pairs({"ada": ALONE[0], "bob": ALONE[1], "ida": RIGHT}, STUBS) == []


def test_a_copy_is_a_pair_whatever_its_names_and_comments():
    assert RENAMED["task4"] != RIGHT["task4"]
    (first, second, tasks), = near_pairs({"ada": RIGHT, "bob": RENAMED, "ida": ALONE[0],
                                          "eve": ALONE[1]}, STUBS)
    assert {first, second} == {"ada", "bob"} and {"task4", "task5", "task6"} <= set(tasks)


def test_equal_short_answers_and_answers_of_many_are_no_pair():
    short = {"task1": RIGHT["task1"], "task2": RIGHT["task2"]}
    assert near_pairs({"ada": short, "bob": short}, STUBS) == []
    assert near_pairs({f"student {i}": RIGHT for i in range(12)}, STUBS) == []
    assert near_pairs({"ada": STUBS, "bob": STUBS}, STUBS) == []


def test_what_is_no_code_is_no_answer():
    for text in ("x = (", "'''", "\tx\n  y", "é = ¿", "\0", ""):
        assert isinstance(tokens_of(text), list)
    assert near_pairs({"ada": {"task1": "(" * 99}, "bob": {"task1": "(" * 99}}, {}) == []


def test_the_distribution_counts_everybody_once():
    draw = random.Random(0)
    points = [draw.choice([0, 36, 18, draw.uniform(0, 36)]) for _ in range(200)]
    bins = distribution(points, 36)
    assert sum(count for *_, count in bins) == 200 and len(bins) == 9
    assert [sum(low <= p < high or p == high == 36 for p in points) for low, high, _ in bins] == [
        count for *_, count in bins]


def test_how_well_a_task_tells_apart_is_pearsons_correlation_with_the_rest():
    draw = random.Random(1)
    points = [draw.randint(0, 5) for _ in range(40)]
    totals = [p + draw.randint(0, 9) + p // 2 for p in points]
    rest = [t - p for p, t in zip(points, totals, strict=True)]
    assert item_rest(points, totals) == pytest.approx(pearsonr(points, rest).statistic, abs=0.005)
    assert item_rest([2, 2, 2], [1, 5, 9]) is None


def test_the_commonest_failure_is_the_test_that_failed_most_with_its_usual_message():
    def failed(test, message, name="AssertionError"):
        return {"tests": [{"test": test, "points": 0,
                           "error": message and {"name": name, "message": message}}]}
    results = [failed("task1-hidden", "a"), failed("task1-hidden", "b"),
               failed("task1-hidden", "b"), failed("task1-public", "c"), failed("task1-public", "")]
    tests = {"task1-public": 1, "task1-hidden": 1}
    untouched = [failed(test, "Task 1: write it", "NotImplementedError")
                 for test in 4 * ["task1-public"]]
    assert commonest_failure(tests, results) == ("hidden", 3, "b", 0)
    assert commonest_failure(tests, results + untouched) == ("hidden", 3, "b", 4)
    assert commonest_failure(tests, untouched) == ("", 0, "", 4)
    assert commonest_failure(tests, [failed("task1-hidden", "")]) == ("", 0, "", 0)


def graded(student, share, **more):
    """A submission whose tests gave the points of the first tasks, up to a share of all."""
    tasks = tasks_of(FIRST, DEFAULT_COURSE)
    tests = [(test, of) for task in tasks.values() for test, of in task.tests.items()]
    passed = round(share * len(tests))
    failure = {"name": "AssertionError", "message": "Is the <sign> right?"}
    return Submission(student, FIRST, None, course=DEFAULT_COURSE, result={
        "stopped": "", "answers": {}, "look": [], "sources": {}, "tests": [
            {"test": test, "points": of if i < passed else 0,
             "error": None if i < passed else failure} for i, (test, of) in enumerate(tests)],
        **more})


def page_of(works, changes=None):
    marks = {(work.student, work.assignment): mark(work, (changes or {}).get(work.student, ()))
             for work in works if work.assignment}
    return overview_page(works, marks, ["Somebody is not in the roster."], DEFAULT_COURSE).decode()


def test_the_page_tells_how_the_class_did_and_what_to_look_at():
    works = [graded(f"student {i}", i / FEW) for i in range(FEW + 1)]
    works += [graded("ada", 1, look=["task 1 uses get_ipython"], sources=RIGHT),
              graded("<b>bob", 1, sources=RENAMED),
              Submission("mia", FIRST, None, course=DEFAULT_COURSE,
                         result={"ungraded": True, "problem": "Nothing was handed in."}),
              Submission("zip", "", None, result={"ungraded": True, "problem": "an archive"})]
    soup = BeautifulSoup(page_of(works), "html.parser")
    text = " ".join(soup.get_text().split())
    for part in ("13 of 14 have points", "Task 6: Training on real pairs",
                 "Most often: Is the <sign> right?", "ada, 30 points: task 1 uses get_ipython",
                 "ada and <b>bob: task", "equal short answers are expected", "proves nothing",
                 "mia, a1_skipgram: Nothing was handed in.", "zip: an archive",
                 "Somebody is not in the roster."):
        assert part.lower() in text.lower(), part
    assert not soup.find("b") and not soup.find("script")
    assert sum(int(row.find_all("td")[2].get_text()) for row in soup.select(".bars tr")) == 13
    rest = soup.select('td[data-label="tells apart"]')
    assert all("n = 13" in cell.get_text() for cell in rest[:6])    # nobody has written


def test_of_few_students_no_correlation_is_told():
    text = page_of([graded(f"student {i}", i / 5) for i in range(FEW - 1)])
    assert text.count("too few to tell") == len(tasks_of(FIRST, DEFAULT_COURSE))


def test_points_that_were_given_to_who_handed_in_nothing_are_said():
    mia = Submission("mia", FIRST, None, course=DEFAULT_COURSE, result={
        "ungraded": True, "problem": "Nothing was handed in."})
    page = page_of([mia], {"mia": [Change(2, "", 1.0, "", 0)]})
    assert "mia, a1_skipgram: Nothing was handed in. You have given 1 point.<" in page
    assert "You have given" not in page_of([mia])


def test_a_class_without_points_has_a_page():
    assert "Not graded" in page_of([Submission("mia", FIRST, None, course=DEFAULT_COURSE, result={
        "ungraded": True, "problem": "Nothing was handed in."})])
