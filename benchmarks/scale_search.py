"""What does search among ten million vectors cost, and did small measurements tell it?

    python benchmarks/scale_search.py           # half an hour on one core; writes JSON
    python benchmarks/scale_search.py --quick   # small and once; writes nothing

`sizes`: FAISS's cells (an inverted file) with codes of 64, 32 and 16 bytes among 30,000 to ten
million made-up vectors of 64 numbers: seconds to build, bytes, recall of the exact ten nearest,
and the time of each query, asked alone. Times are processor time of one thread, since other work
may share the machine. `queries`: the texts of all concepts ask, the sizes by turns. `shards`:
a million vectors in one index and in four, by the clock as well. `client`: the same few lines on
the embedded edition of Qdrant that would ask its cluster; needs `pip install -e .[benchmark]`.
`machine`: what a worker loads before it begins, and its rate. What was finished is kept in the
cache, and an interrupted run goes on there.
"""

import argparse
import importlib.util
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import faiss
import numpy as np
import torch
from threadpoolctl import threadpool_limits

from mmfuse_utils.cache import cache_dir, content_key, load_kept, write_then_rename
from mmfuse_utils.data import load_emoji
from mmfuse_utils.fusion import RegularizedCCA
from mmfuse_utils.protocol import load_protocol
from mmfuse_utils.search import inflate, search
from mmfuse_utils.text import concept_tokens, load_word_vectors, sentence_vectors
from mmfuse_utils.vision import extract_features, load_backbone

OUTPUT = Path(__file__).with_suffix(".json")
K, LOOK_AGAIN, DIM = 10, 100, 64
CHUNK = 100_000
SIZES = {30_000: 5, 100_000: 5, 300_000: 5, 1_000_000: 3, 10_000_000: 1}    # rounds of building
PROBES = 1, 2, 4, 8, 16, 32, 64, 128
ROUNDS = 5                                  # of each query, asked alone; the median counts
CODES = {"int8": 64, "pq32": 32, "pq16": 16}
DIGITS = "0123456789a"                      # neighbors found of ten, a digit a query
VERSIONS = {"sizes": 1, "queries": 1, "shards": 2, "client": 1, "machine": 3}
PRODUCT = faiss.METRIC_INNER_PRODUCT


# The made-up gallery

class Gallery:
    """Made-up vectors in chunks, each from its own seed, and the queries that are asked of them.

    basis : (n_pictures, 64) unit rows that the vectors mix. queries : the texts of the validation
    concepts, then of the test concepts, (n_validation + n_test, 64), or of all concepts.
    """

    def __init__(self, chunk: int = CHUNK, everyone: bool = False):
        p = load_protocol()
        cca = RegularizedCCA(DIM, 1.0).fit(*p.pairs())
        self.chunk, self.basis = chunk, cca.embed_image(p.features)
        self.n_validation = len(p.split.validation)
        asked = np.concatenate([p.split.validation, p.split.test])
        texts = p.texts if everyone else p.texts[asked]
        self.queries = np.ascontiguousarray(cca.embed_text(texts), np.float32)

    def chunks(self, n: int, start: int = 0) -> Iterator[tuple[int, np.ndarray]]:
        """The first n vectors (from one that begins a chunk), chunk by chunk, with their place."""
        for first in range(start, n, self.chunk):
            rows = inflate(self.basis, self.chunk, seed=first // self.chunk)
            yield first, rows[:n - first]

    def rows(self, wanted: np.ndarray, n: int) -> dict[int, np.ndarray]:
        """Some of the first n vectors by their number."""
        found = {}
        for first, rows in self.chunks(n):
            found |= {int(i): rows[i - first]
                      for i in wanted[(wanted >= first) & (wanted < first + len(rows))]}
        return found


def merge(ids: np.ndarray, scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k best of several answers side by side, (n_queries, several k); ties to smaller ids."""
    order = np.lexsort((ids, -scores), axis=1)[:, :k]
    return np.take_along_axis(ids, order, 1), np.take_along_axis(scores, order, 1)


def truths(gallery: Gallery, sizes: list[int]) -> dict[int, np.ndarray]:
    """The exact ten nearest of each query among the first n vectors, by n."""
    found, best = {}, None
    sizes = sorted(sizes)
    for first, rows in gallery.chunks(sizes[-1]):
        for n in sizes:
            if first < n < first + len(rows):
                ids, scores = search(gallery.queries, rows[:n - first], K)
                found[n] = merge(*joined(best, ids + first, scores), K)[0]
        ids, scores = search(gallery.queries, rows, K)
        best = merge(*joined(best, ids + first, scores), K)
        if first + len(rows) in sizes:
            found[first + len(rows)] = best[0]
    return found


def joined(best: tuple | None, ids: np.ndarray, scores: np.ndarray
           ) -> tuple[np.ndarray, np.ndarray]:
    """What was best so far beside new answers."""
    if best is None:
        return ids, scores
    return np.hstack([best[0], ids]), np.hstack([best[1], scores])


# Cells and codes

def seconds(program: Callable) -> tuple[float, object]:
    """Processor seconds of this thread, and the result."""
    start = time.thread_time()
    result = program()
    return time.thread_time() - start, result


def n_cells(n: int) -> int:
    """Cells for n vectors: twice the square root."""
    return round(2 * n ** 0.5)


def make_index(code: str, cells: int) -> faiss.IndexIVF:
    """An empty index with cells and one of three codes of what is left after a cell's center."""
    flat = faiss.IndexFlatIP(DIM)
    if code == "int8":
        index = faiss.IndexIVFScalarQuantizer(flat, DIM, cells, faiss.ScalarQuantizer.QT_8bit,
                                              PRODUCT)
    else:
        index = faiss.IndexIVFPQ(flat, DIM, cells, CODES[code], 8, PRODUCT)
    return index


def learn(code: str, n: int, sample: np.ndarray, centers: np.ndarray | None, seed: int = 0
          ) -> tuple[faiss.IndexIVF, float, float]:
    """A trained index for n vectors, and seconds for its cells and for its code."""
    index = make_index(code, n_cells(n))
    index.cp.seed = seed + 1234
    spent = 0.0
    if centers is None:
        spent = seconds(lambda: index.train_q1(
            len(sample), faiss.swig_ptr(sample), False, PRODUCT))[0]
    else:
        index.quantizer.add(centers)
    return index, spent, seconds(lambda: index.train(sample))[0]


def fill(index: faiss.IndexIVF, gallery: Gallery, n: int, cells: np.ndarray | None = None
         ) -> tuple[np.ndarray, list[float], list[float]]:
    """Add the first n vectors: their cells, and seconds for finding cells and for coding."""
    new = cells is None
    cells = np.empty(n, np.int32) if new else cells
    finding, coding = [], []
    for first, rows in gallery.chunks(n):
        part = slice(first, first + len(rows))
        if new:
            spent, found = seconds(lambda rows=rows: index.quantizer.search(rows, 1)[1][:, 0])
            cells[part] = found
            finding.append(spent)
        ids, where = np.arange(first, first + len(rows)), cells[part].astype(np.int64)
        coding.append(seconds(lambda rows=rows, ids=ids, where=where: index.add_core(
            len(rows), *(faiss.swig_ptr(x) for x in (rows, ids, where))))[0])
    return cells, finding, coding


def built(gallery: Gallery, n: int, seed: int) -> dict:
    """Seconds of each step of building the index with int8 codes once more."""
    sample = next(learning_rows(gallery, n))
    index, centers, code = learn("int8", n, sample, None, seed)
    _, finding, coding = fill(index, gallery, n)
    return {"centers": centers, "code": code, "finding": finding, "coding": coding}


def learning_rows(gallery: Gallery, n: int) -> Iterator[np.ndarray]:
    """The vectors from which cells and codes are learned: forty for each cell."""
    wanted = min(n, 40 * n_cells(n))
    yield np.concatenate([rows for _, rows in gallery.chunks(wanted)])


def digits(found: np.ndarray, exact: np.ndarray) -> str:
    """How many of the exact ten each query found, one digit a query."""
    counts = (found[:, :, None] == exact[:, None, :]).any(axis=1).sum(axis=1)
    return "".join(DIGITS[count] for count in counts)


def alone(index: faiss.IndexIVF, queries: np.ndarray, k: int, rounds: int = ROUNDS
          ) -> list[float]:
    """Microseconds of processor time of each query, asked alone: the median of the rounds."""
    spent = np.empty((rounds, len(queries)))
    for row in spent:
        for i in range(len(queries)):
            start = time.thread_time_ns()
            index.search(queries[i:i + 1], k)
            row[i] = time.thread_time_ns() - start
    return (np.median(spent, axis=0) / 1000).round(1).tolist()


def visited(index: faiss.IndexIVF, queries: np.ndarray, cells: np.ndarray, exact: np.ndarray,
            probe: int) -> tuple[list[int], list[int]]:
    """Vectors in the cells that each query visits, and how many of its exact ten lie there."""
    near = index.quantizer.search(queries, probe)[1]
    sizes = np.bincount(cells, minlength=index.nlist)
    return (sizes[near].sum(axis=1).tolist(),
            (cells[exact][:, :, None] == near[:, None, :]).any(axis=2).sum(axis=1).tolist())


def resident() -> int:
    """Bytes of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def ask(index: faiss.IndexIVF, gallery: Gallery, code: str, exact: np.ndarray
        ) -> tuple[dict, dict]:
    """Recall digits and microseconds by cells visited, and the first hundred of the codes."""
    rows, firsts = {}, {}
    for probe in PROBES:
        index.nprobe = probe
        k = K if code == "int8" else LOOK_AGAIN
        found = index.search(gallery.queries, k)[1]
        firsts[probe] = found
        rows[str(probe)] = {"found": digits(found[:, :K], exact), "microseconds": alone(
            index, gallery.queries[gallery.n_validation:], k)}
    return rows, firsts


def second_look(gallery: Gallery, n: int, firsts: dict, exact: np.ndarray) -> dict:
    """Recall digits when the hundred first of a code are put in order by the full vectors."""
    wanted = np.unique(np.concatenate([x.ravel() for rows in firsts.values()
                                       for x in rows.values()]))
    vectors = gallery.rows(wanted[wanted >= 0], n)
    nothing, looked = np.zeros(DIM, np.float32), {}
    for code, by_probe in firsts.items():
        looked[code] = {}
        for probe, ids in by_probe.items():
            scores = np.array([[vectors.get(int(i), nothing) @ query for i in row]
                               for row, query in zip(ids, gallery.queries, strict=True)])
            best = merge(ids, np.where(ids < 0, -np.inf, scores), K)[0]
            looked[code][str(probe)] = digits(best, exact)
    return looked


def one_size(gallery: Gallery, n: int, rounds: int, exact: np.ndarray) -> dict:
    """Everything about n vectors."""
    sample = next(learning_rows(gallery, n))
    row = {"cells": n_cells(n), "codes": {}, "builds": []}
    firsts, cells, centers = {}, None, None
    for code in CODES:
        before = resident()
        index, spent_q, spent_c = learn(code, n, sample, centers)
        if centers is None:
            centers = index.quantizer.reconstruct_n(0, index.nlist)
        cells, finding, coding = fill(index, gallery, n, cells)
        held = resident() - before
        if code == "int8":
            row["builds"].append({"centers": spent_q, "code": spent_c, "finding": finding,
                                  "coding": coding})
            row["visited"] = {str(probe): dict(zip(("vectors", "of_ten"), visited(
                index, gallery.queries, cells, exact, probe), strict=True)) for probe in PROBES}
        found, first = ask(index, gallery, code, exact)
        row["codes"][code] = {"by_probe": found, "resident": held, "training": spent_c,
                              "coding": coding,
                              "bytes": (index.code_size + 8) * n + 4 * DIM * index.nlist}
        if n <= 300_000:
            row["codes"][code]["serialized"] = faiss.serialize_index(index).nbytes
        if code != "int8":
            firsts[code] = first
        print(n, code, f"{sum(coding):.1f} s", {
            probe: sum(map(DIGITS.index, one["found"])) / K / len(one["found"])
            for probe, one in found.items()}, flush=True)
        del index
    for code, looked in second_look(gallery, n, firsts, exact).items():
        row["codes"][code]["looked_again"] = looked
    row["builds"] += [built(gallery, n, seed) for seed in range(1, rounds)]
    return row


def kept(part: str, name: str, compute: Callable[[], dict]) -> dict:
    """A finished piece from the cache, or computed now."""
    key = content_key(part, name, VERSIONS[part], faiss.__version__)
    return load_kept(cache_dir() / "scale_search" / f"{key}.json",
                     lambda path: path.write_text(json.dumps(compute()), encoding="utf8"),
                     lambda path: json.loads(path.read_text(encoding="utf8")))


def sizes_part(quick: bool) -> dict:
    """All sizes, the smallest first."""
    gallery = Gallery(10_000) if quick else Gallery()
    wanted = {5_000: 2, 20_000: 1} if quick else SIZES
    if quick:
        exact = truths(gallery, list(wanted))
        return {str(n): one_size(gallery, n, rounds, exact[n]) for n, rounds in wanted.items()}
    exact = kept("sizes", "truths", lambda: {
        str(n): ids.tolist() for n, ids in truths(gallery, list(wanted)).items()})
    return {"validation": gallery.n_validation, "queries": len(gallery.queries), "by_size": {
        str(n): kept("sizes", str(n), lambda n=n, rounds=rounds: one_size(
            gallery, n, rounds, np.array(exact[str(n)]))) for n, rounds in wanted.items()}}


def queries_part(quick: bool, rounds: int = 7) -> dict:
    """The texts of all concepts ask the int8 index of every size, one query after another.

    Nothing is chosen here, so that training texts may ask, too. The sizes take turns.
    """
    gallery = Gallery(10_000, everyone=True) if quick else Gallery(everyone=True)
    wanted, indexes = (5_000, 20_000) if quick else tuple(SIZES), {}
    exact = truths(gallery, list(wanted))
    for n in wanted:
        indexes[n] = learn("int8", n, next(learning_rows(gallery, n)), None)[0]
        fill(indexes[n], gallery, n)
    spent = {n: {probe: [] for probe in PROBES} for n in wanted}
    found = {n: {} for n in wanted}
    for _ in range(1 if quick else rounds):
        for probe in PROBES:
            for n, index in indexes.items():
                index.nprobe = probe
                spent[n][probe].append(alone(index, gallery.queries, K, rounds=1))
    for n, index in indexes.items():
        for probe in PROBES:
            index.nprobe = probe
            found[n][str(probe)] = digits(index.search(gallery.queries, K)[1], exact[n])
    return {"rounds": rounds, "queries": len(gallery.queries), "found": found,
            "microseconds": {n: {str(probe): np.median(rows, axis=0).round(1).tolist()
                                 for probe, rows in row.items()} for n, row in spent.items()}}


# Shards

def shards_part(quick: bool, n_shards: int = 4, probe: int = 16) -> dict:
    """One index and four, exact and with cells: the same lists? And how long the slowest takes."""
    n = 20_000 if quick else 1_000_000
    gallery = Gallery(n // 20)
    queries = gallery.queries[gallery.n_validation:]
    whole = np.concatenate([rows for _, rows in gallery.chunks(n)])
    parts = np.array_split(np.random.default_rng(0).permutation(n), n_shards)

    def index_of(rows: np.ndarray, ids: np.ndarray) -> faiss.IndexIVF:
        index = learn("int8", len(rows), rows[:40 * n_cells(len(rows))], None)[0]
        index.add_with_ids(rows, ids)
        index.nprobe = probe
        return index

    exact, _ = search(queries, whole, K)
    answers = [search(queries, whole[part], K) for part in parts]
    by_shards = merge(
        np.hstack([part[ids] for part, (ids, _) in zip(parts, answers, strict=True)]),
        np.hstack([scores for _, scores in answers]), K)[0]
    one = index_of(whole, np.arange(n))
    found_one = one.search(queries, K)[1]
    many = [index_of(whole[part], part) for part in parts]
    answers = [index.search(queries, K) for index in many]
    found = merge(np.hstack([ids for _, ids in answers]),
                  np.hstack([scores for scores, _ in answers]), K)[0]
    rounds = 2 if quick else 25
    wall, cpu = (np.empty((rounds, len(queries), n_shards)) for _ in range(2))
    for r in range(rounds):
        for q in range(len(queries)):
            for s, index in enumerate(many):
                start, begin = time.perf_counter_ns(), time.thread_time_ns()
                index.search(queries[q:q + 1], K)
                cpu[r, q, s] = time.thread_time_ns() - begin
                wall[r, q, s] = time.perf_counter_ns() - start
    return {"items": n, "shards": n_shards, "probe": probe, "rounds": rounds,
            "exact_same": "".join(map(str, (exact == by_shards).all(axis=1).astype(int))),
            "cells_same": "".join(map(str, [int(set(a) == set(b)) for a, b in zip(
                found_one, found, strict=True)])),
            "one": digits(found_one, exact), "many": digits(found, exact),
            "one_microseconds": alone(one, queries, K),
            "load": os.getloadavg()[1],
            "wall_microseconds": np.round(wall / 1000).astype(int).tolist(),
            "processor_microseconds": np.round(np.median(cpu, axis=0) / 1000).astype(int).tolist()}


# The client of a cluster

def connect(place):
    """A folder for the embedded edition, or a cluster's address."""
    from qdrant_client import QdrantClient
    remote = place.startswith("http")
    return QdrantClient(url=place) if remote else QdrantClient(path=place)


def store(client, name, vectors, groups, shards=1, replicas=1):
    """Make a collection and put the vectors into it."""
    from qdrant_client import models
    client.create_collection(
        name, shard_number=shards, replication_factor=replicas,
        vectors_config=models.VectorParams(
            size=vectors.shape[1], distance=models.Distance.DOT))
    client.upload_collection(name, vectors, [{"group": g} for g in groups],
                             ids=range(len(vectors)), wait=True)


def nearest(client, name, query, k, group=None):
    """Numbers and scores of the k best, of one group if wanted."""
    from qdrant_client import models
    only = group and models.Filter(must=[models.FieldCondition(
        key="group", match=models.MatchValue(value=group))])
    hits = client.query_points(name, query=query, limit=k,
                               query_filter=only).points
    return [hit.id for hit in hits], [hit.score for hit in hits]


def client_part(quick: bool) -> dict:
    """The client on the embedded edition: does it find what exact search finds?"""
    if importlib.util.find_spec("qdrant_client") is None:
        raise SystemExit("The part `client` needs qdrant-client: pip install -e .[benchmark]")
    gallery, n = Gallery(), 1_000 if quick else 5_000
    queries = gallery.queries[gallery.n_validation:]
    rows = next(gallery.chunks(n))[1]
    groups = np.array(["even", "odd"])[np.arange(n) % 2]
    with tempfile.TemporaryDirectory() as folder:
        client = connect(folder)
        store(client, "pictures", rows, groups.tolist(), shards=4, replicas=2)
        client.close()
        client = connect(folder)                        # what was stored is there again
        found = [nearest(client, "pictures", query, K) for query in queries]
        odd = [nearest(client, "pictures", query, K, "odd")[0] for query in queries]
        count = client.count("pictures").count
        client.close()
    exact, scores = search(queries, rows, K)
    exact_odd = search(queries, rows[1::2], K)[0] * 2 + 1
    by_client = [np.array(part) for part in zip(*found, strict=True)]
    return {"version": version("qdrant-client"), "items": count,
            "found": digits(by_client[0], exact), "found_odd": digits(np.array(odd), exact_odd),
            "largest_difference": float(np.abs(by_client[1] - scores).max())}


# The machine

def machine_part(quick: bool) -> dict:
    """Processor seconds of what a worker loads, of features, and of the text of a query."""
    loading, backbone = seconds(load_backbone)
    pictures = load_emoji().load_pictures(np.arange(64 if quick else 320))
    extract_features(pictures[:8], backbone)
    features = [seconds(lambda: extract_features(pictures, backbone))[0] for _ in range(3)]
    reading, vectors = seconds(load_word_vectors)
    lists = concept_tokens(load_emoji())
    encoding = statistics.median(seconds(lambda: sentence_vectors(lists, vectors))[0]
                                 for _ in range(3))
    return {"loading_network": loading, "pictures": len(pictures),
            "features": features, "loading_words": reading, "words": len(vectors),
            "encoding": encoding / len(lists)}


PARTS = {"sizes": sizes_part, "queries": queries_part, "shards": shards_part,
         "client": client_part, "machine": machine_part}


def main() -> None:
    """Run the parts and, unless --quick, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small and once; writes nothing")
    parser.add_argument("--part", choices=PARTS, help="only this part")
    arguments = parser.parse_args()
    faiss.omp_set_num_threads(1)
    torch.set_num_threads(1)
    content = json.loads(OUTPUT.read_text("utf8")) if OUTPUT.exists() else {}
    with threadpool_limits(1):
        for part in [arguments.part] if arguments.part else PARTS:
            result = PARTS[part](True) if arguments.quick else kept(
                part, "whole", lambda part=part: {
                    "date": time.strftime("%Y-%m-%d"), "python": platform.python_version(),
                    "numpy": np.__version__, "faiss": faiss.__version__,
                    "torch": torch.__version__, "result": PARTS[part](False)})
            content[part] = result
    if not arguments.quick:
        with write_then_rename(OUTPUT) as temporary:
            temporary.write_text(json.dumps(content) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
