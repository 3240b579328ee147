"""A real server: recall, filters, transactions, kill -9, and a server that is away."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import psutil
import psycopg
import pytest
from databases import open_folder, server

from mmfuse_utils.retrieval import unit_rows
from mmfuse_utils.service import local_server as one
from mmfuse_utils.service.local_server import local_server
from mmfuse_utils.service.postgres import PgStore
from mmfuse_utils.service.store import ExactStore, StoreError

DIM = 32


def drawn(n, seed=0):
    """Rows in clumps, as pictures lie: harder for an index than rows at random."""
    rng = np.random.default_rng(seed)
    middles = np.random.default_rng(99).standard_normal((40, DIM))
    return unit_rows((middles[rng.integers(40, size=n)] + 0.5 * rng.standard_normal(
        (n, DIM))).astype(np.float32))


@pytest.fixture(scope="module")
def conninfo():
    with server() as running:
        yield running


@pytest.fixture(scope="module")
def pair(conninfo):
    """The same 6,000 rows on the server and in memory; 1 in 10 and 1 in 100 in small groups."""
    rows = drawn(6000)
    groups = ["rare" if i % 100 == 0 else "some" if i % 10 == 1 else "most" for i in range(6000)]
    with PgStore(conninfo, DIM, "pair") as store, ExactStore(DIM) as exact:
        for each in (store, exact):
            each.add([f"a{i}" for i in range(6000)], rows, groups)
        yield store, exact


@pytest.mark.parametrize(("group", "k"), [(None, 10), (None, 100), ("most", 10), ("some", 10),
                                          ("rare", 10), ("rare", 50)])
def test_the_index_finds_nearly_all_and_a_filter_costs_none_of_it(pair, group, k):
    store, exact = pair
    queries = drawn(40, 1)
    found, right = (each.search(queries, k, group)[0] for each in pair)
    assert found.shape == right.shape
    shares = [np.isin(mine, theirs).mean() for mine, theirs in zip(found, right, strict=True)]
    assert np.mean(shares) >= 0.97


def test_a_search_uses_the_index(pair):
    store, _ = pair
    with store._connected() as db:
        plan = "".join(row[0] for row in db.execute(
            "EXPLAIN SELECT id FROM pair ORDER BY vector <#> %s, place LIMIT 10", (drawn(1)[0],)))
        assert "pair_hnsw" in plan
        assert db.execute("SHOW hnsw.iterative_scan").fetchone() == ("strict_order",)


def test_two_stores_share_a_table_and_another_dimension_is_refused(conninfo):
    with PgStore(conninfo, DIM, "shared") as one, PgStore(conninfo, DIM, "shared") as two:
        one.add(["a", "b"], drawn(2))
        assert two.count() == 2 and two.delete(["a"]) == 1 and one.count() == 1
    with pytest.raises(StoreError, match="keeps rows of 32"):
        PgStore(conninfo, DIM + 1, "shared")
    with pytest.raises(ValueError, match="dim"):
        PgStore(conninfo, 2001, "wide")


def test_a_name_of_a_table_is_no_statement(conninfo):
    with PgStore(conninfo, DIM, 'x"; DROP TABLE shared; --') as store:
        store.add(["a"], drawn(1))
        assert store.count() == 1


def test_a_batch_that_fails_in_the_middle_leaves_nothing(conninfo):
    with PgStore(conninfo, DIM, "whole") as store:
        store.add(["first"], drawn(1))
        with psycopg.connect(conninfo, autocommit=True) as db:
            db.execute("ALTER TABLE whole ADD CHECK (id <> 'b1')")
        with pytest.raises(StoreError, match="violates check"):
            store.add(["b0", "b1", "b2"], drawn(3))
        assert store.count() == 1
        store.add(["c"], drawn(1, 3))
        assert store.count() == 2


def test_a_reader_never_sees_half_of_a_batch(conninfo):
    with PgStore(conninfo, DIM, "halves") as store:
        store.add(["first"], drawn(1))
        stop, seen = threading.Event(), set()

        def count():
            while not stop.is_set():
                seen.add((store.count() - 1) % 20)

        thread = threading.Thread(target=count)
        thread.start()
        for i in range(10):
            store.add([f"{i}.{j}" for j in range(20)], drawn(20, i))
        stop.set()
        thread.join(10)
        assert seen == {0}


def test_a_server_that_is_away_says_so_and_is_found_again():
    with open_folder() as folder:
        with local_server(folder / "data") as conninfo:
            store = PgStore(conninfo, DIM)
            store.add(["a"], drawn(1))
        with pytest.raises(StoreError, match="away"):
            store.search(drawn(1), 1)
        with pytest.raises(StoreError, match="away"):
            PgStore(conninfo, DIM)
        with local_server(folder / "data") as other:
            store._conninfo = other             # a server of one's own has a new socket each time
            assert store.search(drawn(1), 1)[0].tolist() == [["a"]]
            with psycopg.connect(other, autocommit=True) as db:
                db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                           "WHERE application_name = 'mmfuse'")
            with pytest.raises(StoreError, match="away"):
                store.count()
            assert store.count() == 1           # a new connection
            store.close()


WRITER = """
import sys, numpy as np
from mmfuse_utils.service.postgres import PgStore
from mmfuse_utils.service.store import StoreError
store, first = PgStore(sys.argv[1], 32), int(sys.argv[2])
try:
    for i in range(first, first + 100_000):
        rows = np.random.default_rng(i).standard_normal((20, 32))
        store.add([f"{i}.{j}" for j in range(20)], rows / np.linalg.norm(rows, axis=1)[:, None])
        print(i, flush=True)
except StoreError:
    print("away", flush=True)
"""


def kill_all(folder):
    """Kill -9 of the server and of all that belongs to it."""
    main = psutil.Process(int((folder / "postmaster.pid").read_text().split()[0]))
    for process in (main, *main.children(recursive=True)):
        process.kill()


@pytest.mark.parametrize("who", ["writer", "server"])
def test_kill_9_loses_nothing_that_was_acknowledged(who):
    rng, done = np.random.default_rng(1), []
    with open_folder() as folder:
        for _ in range(2):
            with local_server(folder / "data") as conninfo:
                child = subprocess.Popen(
                    [sys.executable, "-c", WRITER, conninfo, str(max(done, default=-1) + 2)],
                    stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
                lines = [child.stdout.readline() for _ in range(rng.integers(2, 15))]
                time.sleep(rng.uniform(0, 0.01))
                if who == "writer":
                    child.send_signal(signal.SIGKILL)
                else:
                    kill_all(folder / "data")
                lines += child.stdout.read().splitlines()
                child.communicate(timeout=20)
                done += [int(line) for line in lines if line.strip().isdigit()]
                if who == "server":
                    assert "away" in lines[-1]
            with local_server(folder / "data") as conninfo, PgStore(conninfo, DIM) as store:
                with psycopg.connect(conninfo) as db:
                    kept = dict(db.execute("SELECT split_part(id, '.', 1)::int, count(*) "
                                           "FROM item GROUP BY 1").fetchall())
                assert set(kept.values()) == {20}, "half of a batch"
                assert set(done) <= set(kept)
                rows = np.random.default_rng(done[-1]).standard_normal((20, DIM))
                rows /= np.linalg.norm(rows, axis=1)[:, None]
                assert store.search(rows, 1)[0][:, 0].tolist() == [
                    f"{done[-1]}.{j}" for j in range(20)]
    assert len(done) > 4


def test_a_server_of_ones_own_listens_on_no_network_and_leaves_nothing():
    with open_folder() as folder, local_server(folder / "data") as conninfo:
        main = psutil.Process(int((folder / "data/postmaster.pid").read_text().split()[0]))
        family = [main, *main.children(recursive=True)]
        assert not main.net_connections("inet")
        with psycopg.connect(conninfo) as db:
            assert db.execute("SHOW listen_addresses").fetchone() == ("",)
        room = conninfo.split("host=")[1].split()[0]
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE
                   for process in family)
    assert not os.path.exists(room)


def test_a_folder_that_holds_something_else_is_refused():
    with open_folder() as folder:
        (folder / "data").mkdir()
        (folder / "data/letter.txt").write_text("dear")
        with pytest.raises(StoreError, match="initdb failed"):
            local_server(folder / "data").__enter__()
        (folder / "data/letter.txt").unlink()
        (folder / "data/PG_VERSION").write_text("9")
        with pytest.raises(StoreError, match="did not start"):
            local_server(folder / "data").__enter__()


def test_without_the_package_the_message_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setattr(one.importlib.util, "find_spec", lambda name: None)
    with open_folder() as folder, pytest.raises(StoreError, match="extra 'service'"):
        local_server(folder / "data").__enter__()
