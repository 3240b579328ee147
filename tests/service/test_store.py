"""Every store keeps one contract, with plain NumPy as the judge, whatever happens meanwhile."""

import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from databases import server
from hypothesis import given, settings
from hypothesis import strategies as st

from mmfuse_utils.retrieval import unit_rows
from mmfuse_utils.service.postgres import PgStore
from mmfuse_utils.service.store import ExactStore, StoreError
from mmfuse_utils.service.vectors import nearest

DIM = 8
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def conninfo():
    with server() as running:
        yield running


@pytest.fixture(params=["memory", "file", "postgres"])
def store(request, tmp_path):
    if request.param == "postgres":
        table = f"item{next(NUMBERS)}"
        made = PgStore(request.getfixturevalue("conninfo"), DIM, table)
    else:
        made = ExactStore(DIM, tmp_path / "rows.sqlite" if request.param == "file" else None)
    with made:
        yield made


def drawn(n, seed=0):
    return unit_rows(np.random.default_rng(seed).standard_normal((n, DIM)).astype(np.float32))


def names(n, first="a"):
    return [f"{first}{i}" for i in range(n)]


def best(ids, rows, query, k):
    """Ids of the k rows nearest to a query, by NumPy's stable sort."""
    return [ids[i] for i in np.argsort(-(rows @ query), kind="stable")[:k]]


def test_finds_what_numpy_finds(store):
    rows, queries = drawn(300), drawn(7, 1)
    store.add(names(300), rows)
    ids, scores = store.search(queries, 10)
    assert ids.tolist() == [best(names(300), rows, query, 10) for query in queries]
    assert np.allclose(scores, -np.sort(-(queries @ rows.T))[:, :10], atol=1e-5)
    assert ids.shape == scores.shape == (7, 10) and store.count() == 300


def test_one_of_several_questions_is_answered_as_alone(store):
    store.add(names(50), drawn(50), ["x", "y"] * 25)
    queries = drawn(5, 1)
    together, alone = store.search(queries, 6, "y")[0], [
        store.search(query[None], 6, "y")[0][0] for query in queries]
    assert together.tolist() == [list(row) for row in alone]


def test_a_filter_keeps_its_group_and_misses_none_of_it(store):
    rows, groups = drawn(400), [f"g{i % 40}" for i in range(400)]
    store.add(names(400), rows, groups)
    for group in ("g0", "g39"):
        mine = [i for i in range(400) if groups[i] == group]
        ids, _ = store.search(drawn(3, 2), 20, group)
        assert ids.shape == (3, 10)             # there are ten, and all of them come
        for query, row in zip(drawn(3, 2), ids, strict=True):
            assert list(row) == best([f"a{i}" for i in mine], rows[mine], query, 10)
    assert store.search(drawn(2), 5, "nowhere")[0].shape == (2, 0)
    assert store.search(drawn(2), 5, "g0' OR 'a' = 'a")[0].shape == (2, 0)


def test_a_known_id_is_replaced_with_its_group(store):
    rows = np.eye(DIM, dtype=np.float32)
    store.add(names(4), rows[:4], ["x"] * 4)
    store.add(["a1", "b"], rows[4:6], ["y", "y"])
    assert store.count() == 5
    assert store.search(rows[4:5], 1)[0].tolist() == [["a1"]]
    assert "a1" not in store.search(rows[1:2], 4, "x")[0]
    assert sorted(store.search(rows[1:2], 4, "y")[0][0]) == ["a1", "b"]


def test_delete_forgets_and_says_how_many(store):
    rows = drawn(30)
    store.add(names(30), rows)
    assert store.delete(["a3", "a3", "unknown", "a7"]) == 2
    assert store.delete(["a3"]) == 0 and store.delete([]) == 0
    assert store.count() == 28
    left = [i for i in range(30) if i not in (3, 7)]
    assert store.search(rows[3:4], 28)[0].tolist() == [
        best([f"a{i}" for i in left], rows[left], rows[3], 28)]
    store.delete(names(30))
    assert store.count() == 0 and store.search(rows[:2], 5)[0].shape == (2, 0)
    store.add(["a3"], rows[3:4])
    assert store.search(rows[3:4], 5)[0].tolist() == [["a3"]]


def test_of_equal_rows_the_first_comes_first(store):
    same = np.tile(np.eye(1, DIM, dtype=np.float32), (6, 1))
    store.add(["late", "x"], np.eye(2, DIM, 1, dtype=np.float32))
    store.add(names(6), same)
    store.add(["a0"], same[:1])                 # replaced, so now the last one
    assert store.search(same[:1], 3)[0].tolist() == [["a1", "a2", "a3"]]
    assert store.search(same[:1], 7)[0].tolist() == [["a1", "a2", "a3", "a4", "a5", "a0", "late"]]


def test_nothing_in_it_and_nothing_asked(store):
    assert store.count() == 0
    assert store.search(drawn(3), 5)[0].shape == (3, 0)
    store.add([], np.empty((0, DIM)))
    store.add(["a"], drawn(1))
    ids, scores = store.search(np.empty((0, DIM), np.float32), 5)
    assert len(ids) == len(scores) == 0
    assert store.search(drawn(1), 100)[0].tolist() == [["a"]]


@pytest.mark.parametrize("vectors", [
    np.ones((2, DIM)), np.zeros((2, DIM)), np.full((2, DIM), np.nan), np.full((2, DIM), 1e30),
    np.eye(2, DIM + 1), np.eye(2, DIM - 1), np.ones(DIM) / DIM**0.5, np.eye(2, DIM) * 1.01])
def test_rows_that_do_not_fit_are_refused_and_none_is_kept(store, vectors):
    good = np.eye(1, DIM)
    store.add(["good"], good)
    with pytest.raises(ValueError, match="length|numbers"):
        store.add(["a", "b"], vectors)
    with pytest.raises(ValueError, match="length|numbers"):
        store.search(vectors, 1)
    if vectors.shape == (2, DIM):               # a good row beside a bad one is not kept, either
        with pytest.raises(ValueError, match="length"):
            store.add(["c", "d"], np.concatenate([good, vectors[:1]]))
    assert store.count() == 1


@pytest.mark.parametrize(("ids", "groups"), [
    (["a"], None), (["a", "a"], None), (["a", ""], None), (["a", "b"], ["x"]), ("ab", None),
    (["a", "b"], "xy"), (["a", "b\0"], None), (["a", "\ud800"], None), (["a", 1], None),
    (["a", "b"], ["x", None])])
def test_ids_and_groups_that_do_not_fit_are_refused(store, ids, groups):
    with pytest.raises(ValueError, match=r"id|group|text"):
        store.add(ids, drawn(2), groups)
    with pytest.raises(ValueError, match="list"):
        store.delete("ab")
    assert store.count() == 0


@pytest.mark.parametrize("k", [0, -1, 2.5, True])
def test_a_k_that_makes_no_sense_is_refused(store, k):
    with pytest.raises(ValueError, match="k"):
        store.search(drawn(1), k)


def test_odd_names_come_back_as_they_went(store):
    odd = ["'; DROP TABLE item; --", "%s", "ñ 🍎 \n\t", "\\x41", '{"a": 1}', " ", "NULL"]
    store.add(odd, drawn(7), odd)
    assert sorted(store.search(drawn(1), 7)[0][0]) == sorted(odd)
    for i, name in enumerate(odd):
        assert store.search(drawn(7)[i:i + 1], 3, name)[0].tolist() == [[name]]
    assert store.delete(odd) == 7


def test_rows_that_come_and_go_while_others_search(store):
    """No search fails, and each sees a state that was there while it ran."""
    rows, coming = drawn(200), drawn(60, 1)
    store.add(names(200), rows)
    before, after, problems, stop = {}, {}, [], threading.Event()

    def search(seed):
        rng = np.random.default_rng(seed)
        while not stop.is_set():
            i, start = int(rng.integers(200)), time.perf_counter()
            try:
                ids, scores = store.search(rows[i:i + 1], 5)
            except Exception as error:
                problems.append(error)
                return
            if ids[0, 0] != f"a{i}" or (np.diff(scores[0]) > 1e-6).any():
                problems.append((i, ids))
            problems.extend(name for name in ids[0] if after.get(name, np.inf) < start)
            problems.extend(name for name in ids[0] if name[0] == "b" and name not in before)

    threads = [threading.Thread(target=search, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    for i in range(0, 60, 3):
        batch = [f"b{j}" for j in range(i, i + 3)]
        before |= dict.fromkeys(batch)
        store.add(batch, coming[i:i + 3])
        assert store.search(coming[i:i + 1], 1)[0][0, 0] == batch[0]     # own writes are seen
        if i >= 9:
            old = [f"b{j}" for j in range(i - 9, i - 6)]
            store.delete(old)
            after |= dict.fromkeys(old, time.perf_counter())
    stop.set()
    for thread in threads:
        thread.join(10)
    assert not problems, problems[:3]
    assert store.count() == 200 + 9


def test_several_writers_at_once_lose_nothing(store):
    def write(part):
        for i in range(5):
            store.add([f"{part}.{i}.{j}" for j in range(4)], drawn(4, 10 * part + i))
            store.delete([f"{part}.{i}.0"])

    threads = [threading.Thread(target=write, args=(part,)) for part in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert store.count() == 3 * 5 * 3


def test_a_closed_store_says_so(store):
    store.add(["a"], drawn(1))
    store.close()
    store.close()
    for call in (lambda: store.search(drawn(1), 1), store.count, lambda: store.delete(["a"]),
                 lambda: store.add(["b"], drawn(1))):
        with pytest.raises(StoreError, match="closed"):
            call()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("adr"), st.lists(st.integers(0, 15), max_size=6)),
                max_size=12), st.integers(1, 20), st.sampled_from([None, "0", "1"]))
def test_any_order_of_changes_leaves_what_a_dictionary_holds(changes, k, group):
    table, store, rows = {}, ExactStore(DIM), drawn(16)
    for kind, numbers in changes:
        numbers = list(dict.fromkeys(numbers))
        if kind == "d":
            assert store.delete([str(i) for i in numbers]) == sum(i in table for i in numbers)
            for i in numbers:
                table.pop(i, None)
        else:
            store.add([str(i) for i in numbers], rows[numbers], [str(i % 2) for i in numbers])
            for i in numbers:
                table.pop(i, None)
                table[i] = rows[i]
    kept = [i for i in table if group in (None, str(i % 2))]
    ids, _ = store.search(drawn(1, 3), k, group)
    assert ids[0].tolist() == best([str(i) for i in kept], rows[kept], drawn(1, 3)[0], k)
    assert store.count() == len(table)


def test_nearest_takes_many_questions_in_parts(monkeypatch):
    monkeypatch.setattr("mmfuse_utils.service.vectors.SCORES", 50)
    rows, queries = drawn(20), drawn(9, 1)
    places, scores = nearest(queries, rows, 3)
    assert places.tolist() == np.argsort(-(queries @ rows.T), axis=1)[:, :3].tolist()
    assert np.allclose(scores, -np.sort(-(queries @ rows.T))[:, :3])


# What is particular to the file

def test_a_file_keeps_rows_order_and_groups(tmp_path):
    path, rows = tmp_path / "rows.sqlite", drawn(20)
    with ExactStore(DIM, path) as store:
        store.add(names(20), rows, ["x", "y"] * 10)
        store.add(["a0"], rows[:1], ["z"])
        store.delete(["a5"])
        told = [store.search(rows, 20, group) for group in (None, "x", "y", "z")]
    with ExactStore(DIM, path) as again:
        for group, (ids, scores) in zip((None, "x", "y", "z"), told, strict=True):
            found = again.search(rows, 20, group)
            assert found[0].tolist() == ids.tolist() and np.allclose(found[1], scores)


def test_a_file_of_another_kind_or_in_use_is_refused(tmp_path):
    path = tmp_path / "rows.sqlite"
    with ExactStore(DIM, path) as store:
        store.add(["a"], drawn(1))
        with pytest.raises(StoreError, match="another process uses it"):
            ExactStore(DIM, path)
    with pytest.raises(StoreError, match="format"):
        ExactStore(DIM + 1, path)
    (tmp_path / "other").write_bytes(b"not a database at all" * 99)
    with pytest.raises(StoreError, match="no file of a store"):
        ExactStore(DIM, tmp_path / "other")
    with pytest.raises(StoreError, match="folder may be written"):
        ExactStore(DIM, tmp_path / "nowhere" / "rows.sqlite")
    damaged = sqlite3.connect(path)
    damaged.execute("UPDATE item SET vector = zeroblob(?)", (4 * DIM,))
    damaged.commit()
    damaged.close()
    with pytest.raises(StoreError, match="damaged"):
        ExactStore(DIM, path)


def test_a_write_that_fails_leaves_everything_as_it_was(tmp_path):
    with ExactStore(DIM, tmp_path / "rows.sqlite") as store:
        store.add(names(3), drawn(3))
        store._file.execute("CREATE TRIGGER full BEFORE INSERT ON item WHEN NEW.id = 'b1' "
                            "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END")
        with pytest.raises(StoreError, match="full"):
            store.add(["b0", "b1"], drawn(2, 1))
        assert store.count() == 3 and "b0" not in store.search(drawn(1), 9)[0]
        store.add(["c"], drawn(1, 2))
    with ExactStore(DIM, tmp_path / "rows.sqlite") as again:
        assert again.count() == 4 and "b0" not in again.search(drawn(1), 9)[0]


WRITER = """
import sys, numpy as np
from mmfuse_utils.service.store import ExactStore
store, first = ExactStore(8, sys.argv[1]), int(sys.argv[2])
for i in range(first, first + 100_000):
    rows = np.random.default_rng(i).standard_normal((5, 8))
    store.add([f"{i}.{j}" for j in range(5)], rows / np.linalg.norm(rows, axis=1)[:, None])
    print("added", i, flush=True)
    if i % 3 == 0:
        store.delete([f"{i}.{j}" for j in range(5)])
        print("deleted", i, flush=True)
"""


def test_kill_9_in_the_middle_of_writing_loses_nothing_that_was_acknowledged(tmp_path):
    path, rng = tmp_path / "rows.sqlite", np.random.default_rng(0)
    first, added, deleted = 0, [], []
    for _ in range(6):
        child = subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(first)],
                                 stdout=subprocess.PIPE, text=True,
                                 env=os.environ | {"OMP_NUM_THREADS": "1"})
        lines = [child.stdout.readline() for _ in range(rng.integers(2, 30))]
        time.sleep(rng.uniform(0, 0.01))
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.read().splitlines()
        child.communicate()
        said = [line.split() for line in lines if len(line.split()) == 2]
        added += [int(i) for word, i in said if word == "added"]
        deleted += [int(i) for word, i in said if word == "deleted"]
        with ExactStore(8, path) as store:
            there = {}
            for name in store.search(drawn(1), max(1, store.count()))[0][0]:
                there[int(name.split(".")[0])] = there.get(int(name.split(".")[0]), 0) + 1
            assert set(there.values()) <= {5}, "half of a batch"
            missing = set(added) - set(there) - set(deleted)
            assert missing <= {i for i in added if i % 3 == 0 and i == max(added)}
            assert not set(deleted) & set(there)
            for i in list(there)[-3:]:
                rows = np.random.default_rng(i).standard_normal((5, 8))
                rows /= np.linalg.norm(rows, axis=1)[:, None]
                assert store.search(rows, 1)[0][:, 0].tolist() == [f"{i}.{j}" for j in range(5)]
        first = max(there) + 1
    assert len(added) > 20, json.dumps(added)
