"""The comparison of stores: what it calls right and wrong, and that its record fits the chapter."""

import json

import numpy as np
import pytest
import storage as study

from mmfuse_utils.retrieval import unit_rows
from mmfuse_utils.service.store import ExactStore

DIM = 12
INDEXES = {"flat": study.FaissFlat, "hnsw": study.Faiss}


def drawn(n, seed=0):
    return unit_rows(np.random.default_rng(seed).standard_normal((n, DIM)).astype(np.float32))


@pytest.fixture(scope="module")
def rows():
    return drawn(120), np.array(["x", "y", "z"])[np.arange(120) % 3]


class Spoiled:
    """An exact store whose answers are spoiled in one way."""

    def __init__(self, rows, labels, how):
        self.store, self.how = ExactStore(DIM), how
        study.fill(self.store, rows, labels)

    def search(self, vectors, k, group=None):
        ids, scores = (part[0].tolist() for part in self.store.search(vectors, k, group))
        if self.how == "misses one":
            ids, scores = ids[:-1], scores[:-1]
        if self.how == "twice":
            ids[1], scores[1] = ids[0], scores[0]
        if self.how == "score":
            scores[3] += 0.01
        if self.how == "group":
            others, theirs = (part[0].tolist() for part in self.store.search(vectors, 120))
            odd = next(i for i, name in enumerate(others) if int(name[3:]) % 3 != 0)
            ids[0], scores[0] = others[odd], theirs[odd]
        return [ids], [scores]


@pytest.mark.parametrize(("how", "share", "wrong"), [
    ("not at all", 1.0, 0), ("misses one", 0.9, 0), ("twice", 1.0, 5), ("score", 1.0, 5),
    ("group", None, 5)])
def test_recall_counts_what_is_missing_and_what_is_wrong(rows, how, share, wrong):
    found, errors = study.recall(Spoiled(*rows, how), *rows, drawn(5, 1), "x")
    assert errors == wrong
    assert share is None or found.mean() == pytest.approx(share)


@pytest.mark.parametrize("kind", INDEXES)
def test_an_index_library_is_given_what_it_lacks(rows, kind, tmp_path):
    """Replacing, deleting, filters and files around FAISS agree with the exact store."""
    store, exact = INDEXES[kind](tmp_path / "index", DIM), ExactStore(DIM)
    for each in (store, exact):
        study.fill(each, *rows)
        each.delete([f"row{i}" for i in range(0, 60, 7)])
        each.add(["row1", "new"], drawn(2, 5), ["z", "z"])
    for again in (store, INDEXES[kind](tmp_path / "index", DIM)):
        assert again.count() == exact.count()
        for group in (None, "x", "z"):
            for query in drawn(6, 2):
                ids = again.search(query[None], 5, group)[0][0]
                assert list(ids) == exact.search(query[None], 5, group)[0][0].tolist()


@pytest.mark.parametrize("careful", [True, False])
def test_only_files_written_beside_survive_a_write_that_dies(tmp_path, careful):
    files = study.Files(tmp_path / "place", careful)
    files.save(lambda folder: (folder / "a").write_text("whole"))

    def die(folder):
        (folder / "a").write_text("wh")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.save(die)
    kept = (study.Files(tmp_path / "place", careful).now() / "a").read_text()
    assert kept == ("whole" if careful else "wh")


def test_what_is_found_after_a_kill_is_judged():
    said = {("added", 1), ("added", 2), ("added", 3), ("deleting", 1), ("deleted", 1),
            ("deleting", 2)}
    whole = {"1": 0, "2": 10, "3": 10, "4": 0}
    assert study.judge(whole, said, set()) == "whole"
    assert study.judge(whole | {"2": 0, "4": 10}, said, set()) == "whole"    # in flight
    assert study.judge(whole | {"4": 3}, said, set()) == "half"
    assert study.judge(whole | {"2": 3}, said, set()) == "half"
    assert study.judge(whole | {"3": 0}, said, set()) == "lost"
    assert study.judge(whole | {"1": 10}, said, set()) == "lost"
    old = set()
    assert study.judge(whole | {"4": 3}, said, old) == "half"
    assert study.judge(whole | {"4": 3}, said, old) == "whole"     # was said before


def test_nothing_is_installed_for_what_the_notebooks_have():
    found = study.sizes()
    assert found["exact"]["mb"] == found["faiss_flat"]["mb"] == 0
    assert found["pgvector"]["mb"] > 10 and "psycopg" in found["pgvector"]["packages"]


# The record

@pytest.fixture(scope="module")
def record():
    return json.loads(study.OUTPUT.read_text("utf8"))


def test_all_stores_were_asked_everything(record):
    assert record["date"] and record["rule"] == study.RULE and record["dim"] == study.DIM
    own = record["sizes"]["own"]
    assert own["n"] == study.SIZES["own"]
    assert list(own["stores"]) == list(record["busy"]) == list(study.STORES)
    assert set(record["crash"]) == {*study.STORES, *study.IN_PLACE, "pgvector_server"}
    assert [int(n) for n in record["curve"]] == list(study.CURVE)
    for name, store in own["stores"].items():
        assert set(store["recall"]) == {"all", "tenth", "hundredth"}
        assert all(len(shares) == len(own["clusters"]) for shares in store["recall"].values())
        assert str(store["setting"]) == list(store["tried"])[-1]
        assert store["tried"][str(store["setting"])] >= study.ENOUGH or (
            store["setting"] == study.STORES[name].SETTINGS[-1])
        assert len(store["ms"]) >= 10


def test_the_chosen_store_passes_the_rule_that_was_written_first(record):
    own = record["sizes"]["own"]["stores"]["exact"]
    assert all(np.mean(shares) >= study.ENOUGH for shares in own["recall"].values())
    assert not sum(own["wrong"].values())
    busy = record["busy"]["exact"]
    assert not busy["n_errors"] and not busy["wrong"] and not busy["missed"] + busy["unseen"]
    assert busy["rows_over"] >= 0 and busy["writes"] > 20
    assert set(record["crash"]["exact"]["found"]) == {"whole"}
    assert record["crash"]["exact"]["kills"] >= 40
    assert record["install"]["exact"]["mb"] == 0


def test_failed_starts_are_told_apart(record):
    """The index is read first; what fails after it failed at the list of ids."""
    for name in study.IN_PLACE:
        found = record["crash"][name]
        assert sum(found["failed_by"].values()) == found["found"].count("unopened") > 0
        assert found["failed_by"]["RuntimeError"] > 0


def test_filters_were_also_asked_as_far_as_an_index_looks(record):
    own = record["sizes"]["own"]
    for name, store in own["stores"].items():
        assert ("recall_most" in store) == (len(study.STORES[name].SETTINGS) > 1)
    for name in ("faiss_hnsw", "milvus_lite"):
        most = own["stores"][name]["recall_most"]["hundredth"]
        chance = study.K / round(own["n"] * own["shares"][study.HUNDREDTH])
        assert chance < np.mean(most) < study.ENOUGH
