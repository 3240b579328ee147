"""How near does exact search come to the bare matrix product, and what do indexes trade for speed?

    python benchmarks/retrieval.py                  # about ten minutes; writes retrieval.json
    python benchmarks/retrieval.py --part product   # only the one part, the other stays as it is
    python benchmarks/retrieval.py --quick          # small and once; writes nothing

`product`: all pairs of picture features, and a gallery of made-up ones. All programs take turns
within a round, each after a pause; what counts is the ratio to the fastest bare matrix product of
the same round, by NumPy or PyTorch, into memory that is already there. `index`: FAISS on a million
made-up vectors with 64 numbers, recall being the share of the exact ten nearest that are found; the
fastest of three rounds counts.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from mmfuse_utils.cache import write_then_rename
from mmfuse_utils.data import load_emoji
from mmfuse_utils.fusion import RegularizedCCA
from mmfuse_utils.retrieval import unit_rows
from mmfuse_utils.search import inflate, search
from mmfuse_utils.text import concept_tokens, load_word_vectors, sentence_vectors
from mmfuse_utils.vision import picture_features

OUTPUT = Path(__file__).with_suffix(".json")
K = 10
PAUSE = 0.3             # seconds; OpenMP's threads may wait for work for a fifth of a second
BARE = "bare product, NumPy", "bare product, PyTorch"


def timed(program: Callable) -> tuple[float, object]:
    """Seconds and the result."""
    start = time.perf_counter()
    result = program()
    return time.perf_counter() - start, result


def rested(program: Callable) -> float:
    """Seconds, after a pause: until then threads of the last program may spin on both cores."""
    time.sleep(PAUSE)
    return timed(program)[0]


def fastest(program: Callable, rounds: int = 3) -> tuple[float, object]:
    """Seconds of the fastest round, after a round that does not count, and the result."""
    result = program()
    return min(timed(program)[0] for _ in range(rounds)), result


def ratios(rounds: list[dict]) -> dict:
    """Speed of each program relative to the fastest bare product of its round: a summary.

    rounds : seconds by program, one dict a round.
    """
    found = {}
    for name in rounds[0]:
        values = sorted(min(row[bare] for bare in BARE) / row[name] for row in rounds)
        found[name] = {"median": statistics.median(values), "low": values[0], "high": values[-1]}
    return found


def recall(found: np.ndarray, exact: np.ndarray) -> float:
    """Share of the exact neighbors that are found; both (n_queries, k), each index once a row."""
    return float((found[:, :, None] == exact[:, None, :]).sum() / exact.size)


def programs(queries: np.ndarray, items: np.ndarray, threads: int, rivals: bool) -> dict:
    """Programs without arguments: bare products, our search and, if wanted, others' searches."""
    out = np.empty((len(queries), len(items)), np.float32)
    tensors = [torch.from_numpy(rows) for rows in (queries, items.T, out)]
    flat = faiss.IndexFlatIP(items.shape[1])
    if rivals:
        flat.add(items)

    def topk_by_torch() -> np.ndarray:
        return np.concatenate([torch.topk(part @ tensors[1], K).indices.numpy()
                               for part in tensors[0].split(2048)])

    every = {BARE[0]: lambda: np.matmul(queries, items.T, out=out),
             BARE[1]: lambda: torch.matmul(*tensors[:2], out=tensors[2]),
             "search": lambda: search(queries, items, K, threads=threads)[0],
             "PyTorch, topk": topk_by_torch, "FAISS, flat": lambda: flat.search(queries, K)[1]}
    return every if rivals else {name: every[name] for name in (*BARE, "search")}


def race(queries: np.ndarray, items: np.ndarray, threads: int, rivals: bool, rounds: int) -> dict:
    """Seconds of each program in each round, and how their answers agree with our search."""
    torch.set_num_threads(threads)
    faiss.omp_set_num_threads(threads)
    with threadpool_limits(threads):
        field = programs(queries, items, threads, rivals)
        answers = {name: program() for name, program in field.items()}      # also warms up
        seconds = [{name: rested(program) for name, program in field.items()}
                   for _ in range(rounds)]
    agree = {name: recall(np.asarray(answer), answers["search"])
             for name, answer in answers.items() if name not in BARE}
    size = 2 * len(queries) * items.size / 1e9
    row = {"queries": len(queries), "items": len(items), "dim": items.shape[1], "threads": threads,
           "gigaflops": size / min(second[bare] for second in seconds for bare in BARE),
           "seconds": seconds, "ratio": ratios(seconds), "same_neighbors": agree}
    print(*(row[name] for name in ("queries", "items", "dim", "threads")),
          f"{row['gigaflops']:.0f} GFLOP/s;", *(
              f"{name}: {x['median']:.2f} ({x['low']:.2f} to {x['high']:.2f})"
              for name, x in row["ratio"].items()), flush=True)
    return row


def product_part(quick: bool) -> list[dict]:
    """The races: all pairs of picture features, and queries against a larger gallery."""
    features = picture_features(load_emoji())
    features = features - features.mean(axis=0)
    directions = np.linalg.svd(features[::4], full_matrices=False)[2]
    rounds, rows = (1, []) if quick else (9, [])
    for dim in (1280, 512, 300, 100, 64):
        pictures = unit_rows(features @ directions[:dim].T)[::8 if quick else 1]
        # A copy: NumPy sees that X X' is symmetric and computes half of it, which is no match.
        queries = pictures.copy()
        gallery = inflate(pictures, 2_000 if quick else 20_000)
        for threads in sorted({1, os.cpu_count()}):
            rows.append(race(queries, pictures, threads, True, rounds))
            if dim in (1280, 512, 64):
                rows.append(race(queries[:1024], gallery, threads, False, rounds))
    return rows


def indexes(items: np.ndarray) -> dict:
    """FAISS indexes by name: the index, seconds to build it, its setting's name and values."""
    n, dim = items.shape
    cells, product = (1024 if n > 500_000 else 64), faiss.METRIC_INNER_PRODUCT
    inverted = faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, cells, product)
    compressed = faiss.IndexIVFPQ(faiss.IndexFlatIP(dim), dim, cells, 16, 8, product)
    graph = faiss.IndexHNSWFlat(dim, 16, product)
    wanted = {"IVF": (inverted, "nprobe", (1, 2, 4, 8, 16, 32, 64)),
              "IVF and PQ": (compressed, "nprobe", (1, 2, 4, 8, 16, 32, 64)),
              "HNSW": (graph, "efSearch", (10, 20, 40, 80, 160, 320))}
    found = {}
    for name, (index, setting, values) in wanted.items():
        def build(index: faiss.Index = index) -> None:
            index.train(items[:max(40 * cells, 10_000)])
            index.add(items)
        found[name] = index, timed(build)[0], setting, values
    return found


def index_part(quick: bool) -> dict:
    """Recall and queries a second of every index, beside exact search."""
    threads = os.cpu_count()
    faiss.omp_set_num_threads(threads)
    emoji = load_emoji()
    features, concept = picture_features(emoji), emoji.pictures.concept_row
    texts = sentence_vectors(concept_tokens(emoji), load_word_vectors())
    train = np.flatnonzero(np.isin(concept, emoji.split().train))
    cca = RegularizedCCA(64, 1.0).fit(texts[concept[train]], features[train])
    queries = np.ascontiguousarray(cca.embed_text(texts), np.float32)
    items = inflate(cca.embed_image(features), 20_000 if quick else 1_000_000)
    seconds, (exact, _) = fastest(lambda: search(queries, items, K, threads=threads))
    alone = fastest(lambda: [search(query[None], items, K) for query in queries[:20]], 1)[0]
    rows = [{"index": "exact", "setting": "", "value": 0, "recall": 1.0,
             "per_second": len(queries) / seconds, "bytes": 4 * items.shape[1], "build": 0.0}]
    for name, (index, build, setting, values) in indexes(items).items():
        size = faiss.serialize_index(index).nbytes / len(items)
        for value in values:
            setattr(index.hnsw if name == "HNSW" else index, setting, value)
            seconds, (_, found) = fastest(lambda index=index: index.search(queries, K))
            rows.append({"index": name, "setting": setting, "value": value,
                         "recall": recall(found, exact), "per_second": len(queries) / seconds,
                         "bytes": size, "build": build})
            print(name, value, f"{rows[-1]['recall']:.3f}", f"{rows[-1]['per_second']:.0f}")
    return {"items": len(items), "queries": len(queries), "dim": items.shape[1],
            "threads": threads, "exact_one_at_a_time": 20 / alone, "rows": rows}


PARTS = {"product": product_part, "index": index_part}


def main() -> None:
    """Run the parts and, unless --quick, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small and once; writes nothing")
    parser.add_argument("--part", choices=PARTS, help="only this part")
    arguments = parser.parse_args()
    content = json.loads(OUTPUT.read_text("utf8")) if OUTPUT.exists() else {}
    for part in [arguments.part] if arguments.part else PARTS:
        kernels = [{key: row.get(key) for key in ("internal_api", "version", "architecture")}
                   for row in threadpool_info() if row["user_api"] == "blas"]
        print(*kernels, sep="\n")
        content[part] = {"date": time.strftime("%Y-%m-%d"), "python": platform.python_version(),
                         "numpy": np.__version__, "torch": torch.__version__,
                         "faiss": faiss.__version__, "cores": os.cpu_count(), "kernels": kernels,
                         "result": PARTS[part](arguments.quick)}
    if not arguments.quick:
        with write_then_rename(OUTPUT) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
