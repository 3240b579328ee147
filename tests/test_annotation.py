"""The chapter on annotation: its study, its record, and its tool, in a real JupyterLab, too."""

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import annotation as study
import numpy as np
import pytest
from conftest import ROOT
from playwright.sync_api import TimeoutError as PlaywrightTimeout
from playwright.sync_api import expect, sync_playwright
from scipy import stats
from sklearn.metrics import ndcg_score

NOTEBOOK = ROOT / "notebooks" / "16_annotation.ipynb"
RECORDED = json.loads(study.OUTPUT.read_text("utf8"))
JUDGED = json.loads(study.OUTPUT.with_name("annotation_judged.json").read_text("utf8"))
CELLS = {cell["id"]: "".join(cell["source"])
         for cell in json.loads(NOTEBOOK.read_text("utf8"))["cells"]
         if cell["cell_type"] == "code"}
TOOL = "\n".join(["import json", "from pathlib import Path", "import ipywidgets",
                  "import numpy as np", "from mmfuse_utils import viz",
                  "from mmfuse_utils.cache import write_then_rename",
                  *(CELLS[name] for name in ("words", "tool-labels", "tool-labeler"))])
WORDS = ["face", "animal", "smile", "insect"]


@pytest.fixture(scope="module")
def chapter():
    """The functions of the notebook that this file tests."""
    names = {"counts": dict.fromkeys(WORDS, 1), "words": WORDS}
    for cell in ("plumbing", "completions", "effort"):
        source = CELLS[cell] if cell != "plumbing" else TOOL
        exec(source, names)
    return names


# Effort

@pytest.mark.parametrize(("word", "keys"), [
    ("face", 1 + 1 + 1), ("fact", 4 + 1), ("cat", 1 + 1 + 1), ("it", 2 + 1)])
def test_a_completion_costs_a_look_and_enter(word, keys):
    letters = study.completions(["face", "fact", "cat"])
    assert study.typing(word, letters, study.Costs(1.0)) == keys
    assert study.typing(word, letters, study.Costs(1.0, 5.0, False)) == 5 + len(word) + 1


def test_effort_counts_looks_accepted_corrected_and_typed_words():
    costs = study.Costs(1.0)
    given = frozenset(["insect", "smiling", "xyz"])
    assert study.effort(given, [], {}, costs) == 7 + 8 + 4
    # two looks, one accepted, "smile" taken, an e rubbed out, "ing" and Enter, "xyz" typed
    assert study.effort(given, ["insect", "smile"], {}, costs) == 2 + 1 + (1 + 1 + 3 + 1) + 4
    assert study.effort(given, ["cow"], {}, study.Costs(0.5)) == 0.5 + 7 + 8 + 4


def test_the_page_counts_as_the_study_does(chapter):
    rng = np.random.default_rng(0)
    pool = [*WORDS, "smiling", "animals", "in", "faces", "zebra"]
    letters = study.completions(WORDS)
    for _ in range(50):
        given = frozenset(rng.choice(pool, 3, replace=False).tolist())
        shown = rng.choice(pool, rng.integers(5), replace=False).tolist()
        for look in (0.0, 0.25, 1.0):
            assert chapter["effort"](given, shown, look) == pytest.approx(
                study.effort(given, shown, letters, study.Costs(look)))


def test_only_what_should_pay_is_shown():
    scores = np.array([[3.0, 2.0, 1.0] + [0.0] * 9])
    words = ["insects", "animals", "faces"] + [f"w{i}" for i in range(9)]
    costs = study.Costs(1.0)

    def sure(rows):
        return np.array([[0.9, 0.1] + [0.0] * 8])

    assert study.choose_shown(scores, words, sure, {}, costs) == [["insects"]]
    assert study.choose_shown(scores, words, 2, {}, costs) == [["insects", "animals"]]


def test_the_share_saved_is_pooled_and_its_interval_holds_it():
    rng = np.random.default_rng(0)
    without = rng.uniform(10, 40, 200)
    value, low, high = study.saved(0.9 * without, without, rng.integers(20, size=200))
    assert (value, low, high) == pytest.approx((0.1, 0.1, 0.1))


# Suggestions

def test_values_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(6, 30))
    words = [f"w{i}" for i in range(30)]
    given = [frozenset(rng.choice(words, 4, replace=False).tolist()) for _ in range(6)]
    found = study.values(scores, words, given)
    assert found[:, 0].mean() == pytest.approx(ndcg_score(study.incidence(given, words), scores,
                                                          k=10))
    top = np.argsort(-scores, axis=1)
    right = np.array([[words[c] in one for c in row] for row, one in zip(top, given,
                                                                         strict=True)])
    np.testing.assert_allclose(found[:, 1:], np.column_stack(
        [right[:, :5].mean(1), right[:, :10].sum(1) / 4, right[:, 0]]))
    lost = [one | {"unheard"} for one in given]
    assert (study.values(scores, words, lost)[:, 2] <= found[:, 2] * 4 / 5 + 1e-9).all()


def test_neighbors_vote_for_what_pictures_like_them_have():
    rng = np.random.default_rng(0)
    kinds = rng.integers(3, size=60)
    pictures = 5 * np.eye(3)[kinds] + rng.normal(size=(60, 3)) * 0.1
    votes = study.neighbor_votes(pictures[:10], pictures[10:], np.eye(3)[kinds[10:]], 5)
    np.testing.assert_array_equal(votes.argmax(axis=1), kinds[:10])
    np.testing.assert_allclose(votes.sum(axis=1), 1)


def test_words_of_test_concepts_alone_cannot_be_suggested():
    given = [frozenset(["cat", "pet"]), frozenset(["dog", "pet"]), frozenset(["owl"])]
    known = {"cat", "dog", "pet", "owl", "tench"}
    assert study.candidates(given, [0, 1], ["tench"], known) == ("pet", "cat", "dog", "tench")


# What to label next

def test_k_center_takes_the_farthest_and_none_twice():
    places = np.array([[0.0], [1.0], [10.0], [11.0], [-20.0]])
    kernel = places @ places.T
    free = np.arange(1, 5)
    assert study.k_center(kernel, [0], free, 2) == [4, 3]
    assert sorted(study.k_center(kernel, [0], free, 9)) == [1, 2, 3, 4]


def test_uncertainty_takes_the_lowest_first_scores():
    free, rng = np.array([3, 5, 7]), np.random.default_rng(0)
    assert study.pick("uncertainty", np.eye(9), [0], free, np.array([0.9, 0.1, 0.5]), 2,
                      rng) == [5, 7]


def test_the_area_is_the_mean_height():
    curve = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
    np.testing.assert_allclose(study.area(curve, [50, 75, 100]), [1, 1])


def test_of_two_intervals_the_wider_is_taken():
    rng = np.random.default_rng(0)
    alike = [rng.normal(1, 1, 200) for _ in range(5)]
    clusters = np.tile(np.repeat(np.arange(20), 10), 5)
    value, low, high = study.wider(alike, clusters)
    assert value == pytest.approx(np.mean(alike)) and low < value < high
    apart = [rows + shift for rows, shift in zip(alike, (-2, -1, 0, 1, 2), strict=True)]
    means = [rows.mean() for rows in apart]
    ends = stats.t.interval(0.95, 4, np.mean(means), stats.sem(means))
    assert study.wider(apart, clusters)[1:] == pytest.approx(ends)


def test_gains_of_words_are_those_of_the_first_measure():
    parts = [{"clusters": [0, 1], "values": {
        "sum": [[0.4, 9.0], [0.2, 9.0]], "sum.random": [[0.1, 1.0], [0.1, 1.0]],
        **dict.fromkeys(("table_sum", "table_words", "table_words.random"), [[0.3, 0.0]] * 2)}}
        for _ in range(3)]
    found = study.words_gains(parts)
    assert found["sum-sum.random"][0] == pytest.approx(0.2)
    assert found["table_words-table_sum"] == [0, 0, 0]


def test_gains_compare_what_two_ways_find_with_the_same_looks():
    parts = [{"clusters": [0, 1, 2, 3], "places": {
        "similarity": [0.1, 0.1, 0.1, 0.9], "similarity.random": [0.1, 0.9, 0.9, 0.9],
        "neighbors": [0.1, 0.1, 0.1, 0.9], "sum": [0.1] * 4}} for _ in range(3)]
    found = study.mistakes_gains(parts, 0.2)
    assert {pair: each[0] for pair, each in found.items()} == {
        "similarity-similarity.random": 0.5, "similarity-neighbors": 0.0,
        "sum-similarity": 0.25}


# Mistakes

@pytest.mark.parametrize("rate", study.RATES)
def test_planted_texts_are_passed_on_in_a_ring(rate):
    owner = study.plant(200, rate, np.random.default_rng(0))
    assert (owner != np.arange(200)).sum() == round(rate * 200)
    assert sorted(owner) == list(range(200))


def test_no_pair_is_judged_by_a_map_that_learned_it(monkeypatch):
    rng = np.random.default_rng(0)
    texts = rng.normal(size=(50, 4)).astype(np.float32)
    features = np.hstack([texts @ rng.normal(size=(4, 6)), np.arange(50)[:, None]])
    learned, judged = [], []
    fit, similarity = study.RidgeMap.fit, study.RidgeMap.similarity
    monkeypatch.setattr(study.RidgeMap, "fit", lambda self, text, image: (
        learned.append(image[:, -1]), fit(self, text, image))[1])
    monkeypatch.setattr(study.RidgeMap, "similarity", lambda self, text, image: (
        judged.append(image[:, -1]), similarity(self, text, image))[1])
    study.by_similarity(texts, features, 1.0, rng)
    assert sorted(np.concatenate(judged)) == list(range(50))
    for trained, asked in zip(learned, judged, strict=True):
        assert not np.isin(asked, trained).any()


def test_swapped_texts_fit_worse_by_either_way():
    rng = np.random.default_rng(0)
    kinds = rng.integers(5, size=300)
    texts = np.eye(5)[kinds] + 0.1 * rng.normal(size=(300, 5))
    features = texts @ rng.normal(size=(5, 12)) + 0.1 * rng.normal(size=(300, 12))
    owner = study.plant(300, 0.1, rng)
    wrong = kinds[owner] != kinds
    for fit in (study.by_similarity(texts[owner], features, 1.0, rng),
                study.by_neighbors(texts[owner], features, 10)):
        assert fit[wrong].mean() < fit[~wrong].mean() - 3 * fit[~wrong].std()


def test_confident_learning_is_that_of_the_library():
    pytest.importorskip("cleanlab", reason="optional: cleanlab is of the extra benchmark")
    rng = np.random.default_rng(0)
    chances = rng.dirichlet(np.ones(4), 100)
    codes = rng.integers(4, size=100)
    own = chances[np.arange(100), codes]
    usual = np.bincount(codes, own) / np.bincount(codes)
    study.check_with_cleanlab(codes, chances, own - usual[codes])
    with pytest.raises(AssertionError):
        study.check_with_cleanlab(codes, chances, -own)


# The record

def test_the_record_is_whole():
    assert RECORDED["salts"] == study.SALTS
    for kind in ("strict", "plain"):
        part = RECORDED["suggest"][kind]
        assert set(part["effort"]) == set(study.COST_GRID)
        for value, low, high in (each for values in part["values"].values()
                                 for each in values.values()):
            assert 0 <= low <= value <= high <= 1
        assert part["values"]["sum"]["ndcg"][0] > 10 * part["chance"]["ndcg"]
        assert part["effort"]["look_0"]["sum"]["five"][0] > part["effort"]["look_2"]["sum"][
            "five"][0]
    assert (RECORDED["suggest"]["plain"]["ceiling"][0]
            > RECORDED["suggest"]["strict"]["ceiling"][0])
    for part in RECORDED["active"].values():
        assert len({len(curve) for curve in part["curves"].values()}) == 1
        starts = [curve[0] for curve in part["curves"].values()]
        assert starts == pytest.approx([starts[0]] * 4)
    for kind, pairs in RECORDED["words_gains"].items():
        for pair, each in pairs.items():
            a, b = (RECORDED["suggest"][kind]["values"][name]["ndcg"][0]
                    for name in pair.split("-"))
            assert each[0] == pytest.approx(a - b, abs=3e-4), pair
    for pair, each in RECORDED["mistakes_gains"].items():
        value, low, high = RECORDED["mistakes"]["rate_10"]["differences"][pair]["looks_0.2"]
        assert each[0] == pytest.approx(value, abs=1e-3) and each[2] - each[1] >= high - low
    for rate, part in RECORDED["mistakes"].items():
        found = part["found"]
        assert found["neighbors.random"]["looks_0.2"][0] == pytest.approx(0.2, abs=0.05), rate
        assert found["similarity"]["looks_0.5"][0] > found["similarity"]["looks_0.1"][0]


def test_judgments_say_who_when_and_by_which_rule():
    assert JUDGED["who"] and JUDGED["rule"] and JUDGED["date"] <= time.strftime("%Y-%m-%d")
    assert 60 <= sum(not entry["given"] for entry in JUDGED["keywords"])
    assert all(entry["right"] for entry in JUDGED["keywords"] if entry["given"])
    assert len(JUDGED["pairs"]) == 10


# The tool

def test_labels_survive_a_restart(chapter, tmp_path):
    labels = chapter["Labels"](tmp_path / "log.json", ["a", "b"])
    for word in ("Cat", "cat", " ", "pet"):
        labels.add(word)
    labels.finish()
    again = chapter["Labels"](tmp_path / "log.json", ["a", "b"])
    assert again.rows == [["a", ["cat", "pet"]], ["b", []]] and again.open == "b"
    again.finish()
    again.finish()
    assert again.open is None
    again.add("late")
    for _ in range(9):
        again.undo()
    assert chapter["Labels"](tmp_path / "log.json", ["a", "b"]).rows == [["a", []]]
    with pytest.raises(ValueError, match="other pictures"):
        chapter["Labels"](tmp_path / "log.json", ["b", "a"])


def test_a_crash_while_saving_leaves_the_old_file(chapter, tmp_path, monkeypatch):
    labels = chapter["Labels"](tmp_path / "log.json", ["a"])
    labels.add("cat")
    before = (tmp_path / "log.json").read_bytes()

    def stop(path, text, *_):
        path.write_bytes(text.encode()[:5])
        raise OSError("killed")

    monkeypatch.setattr(Path, "write_text", stop)
    with pytest.raises(OSError, match="killed"):
        labels.add("pet")
    assert (tmp_path / "log.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["log.json"]


def make_tool(chapter, path):
    pixels = np.zeros((8, 8, 3), np.uint8)
    return chapter["Labeler"](chapter["Labels"](path, ["a", "b"]), lambda name: pixels,
                              lambda name: ["insect", "animal"])


def test_the_tool_takes_clicks_numbers_words_and_signs(chapter, tmp_path):
    tool = make_tool(chapter, tmp_path / "log.json")
    tool.choices.children[1].click()
    for typed in ("1", "beetle", "-", "bug", "7"):
        tool.field.value = typed
    assert tool.labels.keywords == ["animal", "insect", "bug", "7"]
    assert [choice.button_style for choice in tool.choices.children] == ["success"] * 2
    tool.field.value = "."
    assert tool.labels.open == "b" and "picture 2 of 2" in tool.told.value
    tool.field.value = "."
    assert "labeled" in tool.picture.value and tool.choices.children == ()
    tool.field.value = "-"
    assert tool.labels.open == "b" and len(tool.choices.children) == 2
    assert make_tool(chapter, tmp_path / "log.json").labels.open == "b"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def jupyterlab(folder):
    """Address of a JupyterLab that serves a folder."""
    port, token = free_port(), secrets.token_hex(8)
    own = {f"JUPYTER_{name}_DIR": str(folder / f".{name.lower()}")
           for name in ("CONFIG", "DATA", "RUNTIME")}
    with open(folder / "lab.log", "w", encoding="utf8") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root",
             f"--port={port}", f"--IdentityProvider.token={token}", "--ServerApp.port_retries=0",
             f"--ServerApp.root_dir={folder}", "--LabApp.news_url=None",
             "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"],
            stdout=log, stderr=log, cwd=folder,
            env={**os.environ, **own, "PYTHONPATH": str(ROOT), "JUPYTER_PREFER_ENV_PATH": "1"})
        try:
            yield f"http://127.0.0.1:{port}/lab/tree/label.ipynb?reset&token={token}"
        finally:
            process.terminate()
            process.wait(30)


def wait_for(condition, seconds=120):
    """Ask until the answer is true; the machine may be busy."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError, ValueError):
            if condition():
                return
        time.sleep(0.2)
    raise AssertionError("waited in vain")


def answers(address):
    host, port = address.split("/")[2].split(":")
    with socket.create_connection((host, int(port)), 1):
        return True


START = """
from IPython.display import display
tool = Labeler(Labels("labels.json", ["a", "b"]),
               lambda name: np.zeros((60, 60, 3), np.uint8),
               lambda name: ["insect", "animal"])
display(tool.box)
"""


def test_a_person_can_label_in_jupyterlab(tmp_path):
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser",
                                                    "google-chrome"))), None)
    if chromium is None:
        pytest.skip("no Chromium on this machine, so the tool was not used in a browser")
    cell = {"cell_type": "code", "id": "tool", "metadata": {}, "execution_count": None,
            "outputs": [], "source": TOOL + START}
    (tmp_path / "label.ipynb").write_text(json.dumps({
        "cells": [cell], "nbformat": 4, "nbformat_minor": 5, "metadata": {
            "kernelspec": {"name": "python3", "display_name": "Python", "language": "python"}}}),
        "utf8")

    def kept():
        return json.loads((tmp_path / "labels.json").read_text("utf8"))

    with jupyterlab(tmp_path) as address, sync_playwright() as playwright:
        wait_for(lambda: answers(address))
        browser = playwright.chromium.launch(executable_path=chromium, args=[
            "--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(120_000)
        page.goto(address)
        page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]",
                               state="attached")

        def run():
            # While the page settles it may take the keyboard away: so ask more than once.
            buttons = page.locator(".jp-OutputArea .jupyter-button:has-text('2 animal')")
            for _ in range(4):
                page.locator(".jp-Notebook .jp-InputArea-editor").first.click()
                page.keyboard.press("Control+Enter")
                with contextlib.suppress(PlaywrightTimeout):
                    return buttons.wait_for(timeout=30_000)
            raise AssertionError("the cell was run four times, and no buttons came")

        run()
        page.click(".jupyter-button:has-text('1 insect')")
        wait_for(lambda: kept() == [["a", ["insect"]]])
        field = page.locator(".jp-OutputArea input[type=text]")
        for typed, expected in (("2", ["insect", "animal"]),
                                ("beetle", ["insect", "animal", "beetle"]),
                                ("-", ["insect", "animal"])):
            field.fill(typed)
            field.press("Enter")
            wait_for(lambda expected=expected: kept() == [["a", expected]])
            # The kernel empties the field: what is typed before that would go with it.
            expect(field).to_have_value("", timeout=60_000)
        page.focus(".jupyter-button:has-text('undo')")
        page.keyboard.press("Enter")
        wait_for(lambda: kept() == [["a", ["insect"]]])
        page.click(".jupyter-button:has-text('next')")
        wait_for(lambda: kept() == [["a", ["insect"]], ["b", []]])
        run()                                       # the tool starts anew, and reads its file
        page.wait_for_selector(".jp-OutputArea :text('picture 2 of 2')")
        assert kept() == [["a", ["insect"]], ["b", []]]
        browser.close()
