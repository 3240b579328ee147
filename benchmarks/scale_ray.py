"""Features by Ray Data: the same numbers as the plain loop's, and what the engine costs and brings.

    python benchmarks/scale_ray.py            # some ten minutes on two cores; writes its JSON
    python benchmarks/scale_ray.py --quick    # few pictures, one round; writes nothing

Four ways take turns on the same pictures: plain loops that load pictures ahead, with one worker and
with two, and Ray Data with one actor and with two; all with one thread a worker. (One worker with
two threads within each operation was the slower way to use two cores; it is timed, too.) Every way
reads its list of pictures from Parquet files and writes features to files. Seconds are whole runs.
Ray's hold the start of each actor's Python and its imports; the loop's own start is not counted,
nor is that of Ray's session, which is told apart. The loop reads ahead while it computes, an actor
reads and computes in turn. Besides, a worker is killed once, and the result has to be whole and
the same.
"""

import argparse
import json
import logging
import os
import platform
import signal
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import ray
import torch
from ray.data import ActorPoolStrategy
from word2vec import spread

import mmfuse_utils
from mmfuse_utils.cache import write_then_rename
from mmfuse_utils.data import load_emoji
from mmfuse_utils.data.pictures import load_images
from mmfuse_utils.vision import BATCH_SIZE, extract_features, load_backbone

OUTPUT = Path(__file__).with_suffix(".json")
SIZES, ROUNDS, TOLERANCE = (64, 256, 1024), 3, 1e-5
TRIES = 4
PARTS, BATCH = 8, 32                # files of the list of pictures; pictures an actor takes at once
WAYS = ("loop.1", "ray.1", "loop.2", "ray.2")       # .1, .2: workers, each with one thread
INNER = "inner.2"       # one worker, two threads within each operation: on the shortest list alone
SESSION = {"num_cpus": 2, "include_dashboard": False, "object_store_memory": 200 * 2**20,
           "_node_ip_address": "127.0.0.1",         # no other machine can reach it
           "log_to_driver": False, "logging_level": "error"}


# The reader's pieces

class Extractor:
    """An actor: it loads the network once, then takes batch after batch."""

    def __init__(self):
        torch.set_num_threads(1)
        self.backbone = load_backbone()

    def __call__(self, batch):
        images = load_images(batch["path"].tolist())
        features = extract_features(images, self.backbone)
        return {"row": batch["row"], "features": features}


def ray_features(source, target, actors, extractor=Extractor, **settings):
    """Parquet files of rows and paths to Parquet files of features."""
    (ray.data.read_parquet(source, override_num_blocks=PARTS)
     .map_batches(extractor, batch_size=BATCH, num_cpus=0.5,  # rest: in, out
                  compute=ActorPoolStrategy(size=actors), **settings)
     .write_parquet(target))


def read_features(folder):
    """Features in the order of the rows: Ray's parts arrive in any order."""
    table = pq.read_table(folder).sort_by("row")
    return np.stack(table["features"].to_numpy())


# The plain loop, a killed worker

def load_ahead(batches):
    """Pictures of each batch; the next one is loaded while this one is worked on."""
    with ThreadPoolExecutor(1) as pool:
        coming = None
        for batch in batches:
            coming, ready = pool.submit(load_images, batch), coming
            if ready is not None:
                yield ready.result()
        if coming is not None:
            yield coming.result()


def loop_features(source, target, workers, threads=1):
    """The same by plain loops: workers share the batches, and load one while they compute one."""
    torch.set_num_threads(threads)
    table = pq.read_table(source).sort_by("row")
    paths, backbone = table["path"].to_pylist(), load_backbone()

    def compute(paths):
        batches = [paths[i:i + BATCH_SIZE] for i in range(0, len(paths), BATCH_SIZE)]
        return [extract_features(images, backbone) for images in load_ahead(batches)]

    with ThreadPoolExecutor(workers) as pool:
        parts = pool.map(compute, (list(part) for part in np.array_split(paths, workers)))
        features = np.concatenate([batch for part in parts for batch in part])
    Path(target).mkdir()
    pq.write_table(pa.table({"row": table["row"], "features": pa.array(list(features))}),
                   Path(target) / "features.parquet")


class Fragile(Extractor):
    """An actor that kills its own process on its second batch, if no process did so before."""

    def __init__(self, mark):
        super().__init__()
        self.mark, self.batches = Path(mark), 0

    def __call__(self, batch):
        self.batches += 1
        if self.batches > 1 and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(batch)


def list_pictures(paths, folder):
    """Rows and paths as `PARTS` Parquet files, which is also the number of Ray's blocks."""
    Path(folder).mkdir()
    for part, rows in enumerate(np.array_split(np.arange(len(paths)), PARTS)):
        table = pa.table({"row": rows, "path": [str(paths[row]) for row in rows]})
        pq.write_table(table, Path(folder) / f"{part}.parquet")


def start_session():
    """Ray on this machine alone; how many seconds its start took."""
    paths = [str(Path(__file__).parent), str(Path(mmfuse_utils.__file__).parents[1])]
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0",
                   "RAY_worker_niceness": "0",      # by default workers yield to all others
                   "PYTHONPATH": os.pathsep.join(paths)}       # where they find this module
    for left in reversed(range(TRIES)):     # a busy machine may start too slowly for Ray
        began = time.perf_counter()
        try:
            ray.init(**SESSION)
            break
        except Exception:
            ray.shutdown()
            if not left:
                raise
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.use_datasource_v2 = False    # the older reader starts
    return time.perf_counter() - began                                  # fewer processes


def run(way, source, target):
    """Seconds of one whole run of a way."""
    kind, number = way.split(".")
    began = time.perf_counter()
    if way == INNER:
        loop_features(source, target, 1, threads=2)
    else:
        (ray_features if kind == "ray" else loop_features)(source, target, int(number))
    return time.perf_counter() - began


# The study

def compare(paths, folder):
    """Ray's features less the loop's, without and with a killed worker."""
    source, found = folder / "compared", {}
    list_pictures(paths, source)
    loop_features(source, folder / "plain", 1)
    plain = read_features(folder / "plain")
    mark = folder / "killed"
    ray_features(source, folder / "ray", 2)
    ray_features(source, folder / "fragile", 2, Fragile, fn_constructor_args=(str(mark),))
    for name in ("ray", "fragile"):
        features = read_features(folder / name)
        assert features.shape == plain.shape
        difference = float(np.abs(features - plain).max())
        assert difference <= TOLERANCE, difference
        found[name] = {"pictures": len(features), "max_difference": difference}
    return found["ray"], {"kills": int(mark.exists()), **found["fragile"]}


def measure(paths, sizes, rounds, folder):
    """All ways by turns on the same pictures, round by round; the turns rotate."""
    load_backbone()
    rows, session = [], start_session()
    equal = compare(paths[:sizes[0]], folder)       # also warms up both
    for size in sizes:
        list_pictures(paths[:size], folder / f"list-{size}")
    for number in range(rounds):
        for size in sizes:
            ways = [*WAYS, INNER] if size == min(sizes) else WAYS
            for way in map(str, np.roll(ways, number)):
                seconds = run(way, folder / f"list-{size}", folder / f"{way}-{size}-{number}")
                rows.append({"way": way, "pictures": size, "round": number, "seconds": seconds,
                             "load": os.getloadavg()[0]})       # a busy machine: well above 2
                print(rows[-1], flush=True)
    ray.shutdown()
    return rows, session, equal


def seconds_of(rows, way, size):
    """Seconds by round, in the order of the rounds."""
    return np.array([row["seconds"] for row in rows
                     if row["way"] == way and row["pictures"] == size])


def fits(rows, way, sizes):
    """Each round's line through its seconds: fixed seconds, and seconds a further picture.

    The line passes through the smallest and the largest number of pictures.
    """
    low, high = (seconds_of(rows, way, size) for size in (min(sizes), max(sizes)))
    slope = (high - low) / (max(sizes) - min(sizes))
    return low - slope * min(sizes), slope


def summarize(rows):
    """Rates, ratios round by round, and fixed costs; 95 % intervals by Student's t."""
    sizes = sorted({row["pictures"] for row in rows})
    cores = {"one": ("ray.1", "loop.1"), "two": ("ray.2", "loop.2")}
    slopes = {way: fits(rows, way, sizes)[1] for way in WAYS}
    return {
        "rate": {way: {str(n): spread((n / seconds_of(rows, way, n)).tolist()) for n in sizes}
                 for way in WAYS},
        "ratio": {name: {str(n): spread((seconds_of(rows, loop, n)
                                         / seconds_of(rows, engine, n)).tolist()) for n in sizes}
                  for name, (engine, loop) in cores.items()},
        "long_run": {name: spread((slopes[loop] / slopes[engine]).tolist())
                     for name, (engine, loop) in cores.items()},
        "speed_up": {kind: spread((slopes[f"{kind}.1"] / slopes[f"{kind}.2"]).tolist())
                     for kind in ("loop", "ray")},
        "inner": spread((seconds_of(rows, "loop.2", sizes[0])
                         / seconds_of(rows, INNER, sizes[0])).tolist()),
        "fixed_seconds": {way: spread(fits(rows, way, sizes)[0].tolist(), log=False)
                          for way in WAYS}}


def versions():
    """What the numbers were taken with."""
    return {"python": platform.python_version(), "ray": ray.__version__,
            "torch": torch.__version__, "numpy": np.__version__, "pyarrow": pa.__version__}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few pictures, one round")
    options = parser.parse_args()
    sizes, rounds = ((16, 48), 2) if options.quick else (SIZES, ROUNDS)
    paths = load_emoji().pictures.path[:max(sizes)]
    with tempfile.TemporaryDirectory() as folder:
        rows, session, (equal, killed) = measure(paths, sizes, rounds, Path(folder))
    content = {"date": time.strftime("%Y-%m-%d"), "versions": versions(), "cores": os.cpu_count(),
               "settings": {"sizes": sizes, "rounds": rounds, "parts": PARTS, "batch": BATCH},
               "equal": equal, "killed": killed, "session_seconds": session,
               "summary": summarize(rows), "runs": rows}
    print(json.dumps(content["summary"], indent=1))
    if not options.quick:
        with write_then_rename(OUTPUT) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
