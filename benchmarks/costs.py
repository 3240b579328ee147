"""What training, extraction, fitting and search cost, as the amount grows.

    python benchmarks/costs.py                  # some five minutes on two cores; writes costs.json
    python benchmarks/costs.py --quick          # the smallest amounts, once; writes nothing

Seconds: three rounds, in which the lines (a program and what grows) take turns; a line's amounts
are timed one after the other in one process with one thread, after a first run that does not
count. Memory: the peak of a process of its own for each amount, once, since it hardly varies; two
at a time, since nothing is timed then. The page "What it costs" is drawn from what this script
writes: exponents (slopes of the logarithms), where they bend, and what ten and a thousand times
the largest amount would take. Let nothing else run beside it.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from scipy.optimize import nnls
from word2vec import peak_mib, spread

OUTPUT = Path(__file__).with_suffix(".json")
ROUNDS = 3
N_TOKENS, N_QUERIES, K, DIM = 300_000, 200, 10, 64
N_TEXT, N_IMAGE, N_PAIRS = 100, 1280, 4096      # numbers of a text, of a picture; pairs
ENOUGH, MOST_RUNS = 0.3, 5      # a short run is repeated for so many seconds, or so often
LEAST_CHANGE = 0.2              # of the slope, to be called a bend
MACHINE_MIB = 16 * 1024         # memory of the machine of which the page tells what fits


# What is measured: from a folder with the data and an amount to what is timed

def train_tokens(folder: Path, n: int) -> Callable:
    """One pass of word2vec over n tokens of the corpus."""
    from mmfuse_utils.word2vec import SkipGram

    sentences = read_sentences(folder / f"tokens-{n}.txt")
    return lambda: SkipGram(epochs=1, progress=False).fit(sentences)


def train_vocabulary(folder: Path, n: int) -> Callable:
    """One pass over as many tokens each time, of n different words; all words count."""
    from mmfuse_utils.word2vec import SkipGram

    sentences = read_sentences(folder / f"vocabulary-{n}.txt")
    return lambda: SkipGram(epochs=1, min_count=1, subsample=0, progress=False).fit(sentences)


def read_sentences(path: Path) -> list[list[str]]:
    """As a reader's own corpus comes: a text for each token, although words recur."""
    with path.open(encoding="utf8") as file:
        return [line.split() for line in file]


def extract_pictures(folder: Path, n: int) -> Callable:
    """Features of n pictures that are all in memory."""
    from mmfuse_utils.data.pictures import load_images
    from mmfuse_utils.vision import extract_features

    images = load_images(json.loads((folder / "paths.json").read_text("utf8"))[:n])
    return lambda: extract_features(images)


def extract_files(folder: Path, n: int) -> Callable:
    """Features of n picture files, of which a few at a time are in memory."""
    from mmfuse_utils.data.pictures import load_images
    from mmfuse_utils.vision import BATCH_SIZE, extract_features

    paths = json.loads((folder / "paths.json").read_text("utf8"))[:n]
    batches = [paths[i:i + BATCH_SIZE] for i in range(0, n, BATCH_SIZE)]
    return lambda: np.concatenate([extract_features(load_images(batch)) for batch in batches])


def drawn_pairs(n: int, n_text: int, n_image: int) -> tuple[np.ndarray, np.ndarray]:
    """Normal numbers: what a fit takes depends on the shapes alone."""
    rng = np.random.default_rng(0)
    return (rng.standard_normal((n, n_text), np.float32),
            rng.standard_normal((n, n_image), np.float32))


def fit_ridge(text: np.ndarray, image: np.ndarray) -> Callable:
    from mmfuse_utils.fusion import RidgeMap

    return lambda: RidgeMap(1.0, "image_to_text").fit(text, image)


def fit_cca(text: np.ndarray, image: np.ndarray) -> Callable:
    from mmfuse_utils.fusion import RegularizedCCA

    return lambda: RegularizedCCA(32, 1.0).fit(text, image)


def fit_towers(text: np.ndarray, image: np.ndarray) -> Callable:
    from mmfuse_utils.towers import TwoTower

    return lambda: TwoTower(epochs=1).fit(text, image)


def on_pairs(fit: Callable) -> Callable:
    """Fit n pairs of a text and a picture, as wide as the book's."""
    return lambda folder, n: fit(*drawn_pairs(n, N_TEXT, N_IMAGE))


def on_numbers(fit: Callable) -> Callable:
    """Fit the same number of pairs, with n numbers on both sides."""
    return lambda folder, n: fit(*drawn_pairs(N_PAIRS, n, n))


def search_gallery(folder: Path, n: int) -> Callable:
    """The exact ten nearest of n made-up rows for 200 queries at once."""
    from mmfuse_utils.search import search

    items = np.fromfile(folder / "gallery.f32", np.float32, n * DIM).reshape(n, DIM)
    queries = np.load(folder / "queries.npy")
    return lambda: search(queries, items, K)


@dataclass(frozen=True)
class Line:
    """A program, what grows, and the amounts of it.

    power : highest power of the amount that the memory has. per : what the seconds are shared by.
    """

    group: str
    unit: str
    program: Callable
    amounts: tuple[int, ...]
    power: int = 1
    per: int = 1


TEXTS, PICTURES = (10_000, 40_000, 160_000, 640_000, 2_560_000), (2, 8, 32, 128, 512)
WORDS, PAIRS = (1_000, 4_000, 16_000, 64_000, 256_000), (80, 320, 1280, 5120, 20_480)
NUMBERS, ROWS = (40, 80, 160, 320, 640, 1280), tuple(1_000 * 4**i for i in range(6))
LINES = {
    "tokens": Line("training", "tokens", train_tokens, TEXTS),
    "vocabulary": Line("training", "words", train_vocabulary, WORDS),
    "held": Line("extraction", "pictures", extract_pictures, PICTURES),
    "files": Line("extraction", "pictures", extract_files, PICTURES),
    "ridge_pairs": Line("fitting", "pairs", on_pairs(fit_ridge), PAIRS),
    "cca_pairs": Line("fitting", "pairs", on_pairs(fit_cca), PAIRS),
    "towers_pairs": Line("fitting", "pairs", on_pairs(fit_towers), PAIRS),
    "ridge_numbers": Line("fitting", "numbers", on_numbers(fit_ridge), NUMBERS, 2),
    "cca_numbers": Line("fitting", "numbers", on_numbers(fit_cca), NUMBERS, 2),
    "gallery": Line("search", "rows", search_gallery, ROWS, per=N_QUERIES)}


# The data, made once

def write_texts(folder: Path, amounts: tuple[int, ...]) -> None:
    """Whole sentences of the corpus in an order drawn once, again from the start where it ends."""
    from mmfuse_utils.data import load_sentences

    sentences = load_sentences()
    order = np.random.default_rng(0).permutation(len(sentences))
    for n in amounts:
        with (folder / f"tokens-{n}.txt").open("w", encoding="utf8") as file:
            i = 0
            while n > 0:
                sentence = sentences[order[i % len(order)]]
                file.write(" ".join(sentence) + "\n")
                n, i = n - len(sentence), i + 1


def write_made_up(folder: Path, amounts: tuple[int, ...]) -> None:
    """Made-up words, each once and beyond that by Zipf's law, in sentences of twenty."""
    rng = np.random.default_rng(0)
    for n in amounts:
        share = 1 / np.arange(1, n + 1)
        drawn = rng.choice(n, N_TOKENS - n, p=share / share.sum())
        words = rng.permutation(np.concatenate([np.arange(n), drawn])).reshape(-1, 20)
        text = "\n".join(" ".join(map("w{}".format, row)) for row in words.tolist())
        (folder / f"vocabulary-{n}.txt").write_text(text, "utf8")


def write_paths(folder: Path, amounts: tuple[int, ...]) -> None:
    """The book's pictures in an order drawn once."""
    from mmfuse_utils.data import load_emoji

    paths = list(map(str, load_emoji().pictures.path))
    chosen = np.random.default_rng(0).permutation(len(paths))[:max(amounts)]
    (folder / "paths.json").write_text(json.dumps([paths[i] for i in chosen]), "utf8")


def write_gallery(folder: Path, amounts: tuple[int, ...]) -> None:
    """Mixtures of the book's own pictures, and the texts of the test concepts, 64 numbers each."""
    from mmfuse_utils.fusion import RegularizedCCA
    from mmfuse_utils.protocol import load_protocol
    from mmfuse_utils.search import inflate

    p = load_protocol()
    cca = RegularizedCCA(DIM, 1.0).fit(*p.pairs())
    items = inflate(cca.embed_image(p.features), max(amounts))
    items.astype(np.float32).tofile(folder / "gallery.f32")
    queries = cca.embed_text(p.texts[p.split.test][:N_QUERIES])
    np.save(folder / "queries.npy", queries.astype(np.float32))


DATA = {"tokens": write_texts, "vocabulary": write_made_up, "held": write_paths,
        "files": write_paths, "gallery": write_gallery}


# Measuring

def timed(run: Callable) -> float:
    """Seconds of a run; the least of several where it is short, since other work only adds."""
    seconds = []
    while not seconds or (sum(seconds) < ENOUGH and len(seconds) < MOST_RUNS):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def time_line(folder: Path, name: str, amounts: list[int]) -> list[dict]:
    """Seconds of each amount of a line; what the first run of all loads is not counted."""
    line = LINES[name]
    line.program(folder, amounts[0])()
    return [{"line": name, "amount": n, "seconds": timed(line.program(folder, n)) / line.per}
            for n in amounts]


def weigh_line(folder: Path, name: str, amounts: list[int]) -> list[dict]:
    """The most memory that this process held for one amount, in MiB."""
    (n,) = amounts
    LINES[name].program(folder, n)()
    return [{"line": name, "amount": n, "mib": peak_mib()}]


def prepare_line(folder: Path, name: str, amounts: list[int]) -> list[dict]:
    """Make the data of a line."""
    if name in DATA:
        DATA[name](folder, amounts)
    return []


QUIET = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
                       "TQDM_DISABLE"), "1")
KINDS = {"prepare": prepare_line, "seconds": time_line, "memory": weigh_line}


def in_a_process(kind: str, folder: Path, name: str, amounts: tuple[int, ...]) -> list[dict]:
    """Rows of a fresh interpreter.

    Linux hands the peak of the process that starts another one on to it, so this process has to
    stay small: it loads little, and makes no data.
    """
    job = json.dumps([kind, str(folder), name, list(amounts)])
    done = subprocess.run([sys.executable, __file__, "--job", job], check=True, text=True,
                          stdout=subprocess.PIPE, env={**os.environ, **QUIET})
    rows = json.loads(done.stdout.splitlines()[-1])
    for row in rows:
        print({key: round(x, 5) if isinstance(x, float) else x for key, x in row.items()},
              flush=True)
    return rows


def measure(lines: dict[str, Line], n_rounds: int) -> list[dict]:
    """All rows: the seconds of each round, then the memory."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, line in lines.items():
            in_a_process("prepare", folder, name, line.amounts)
        rows = [{**row, "round": i} for i in range(n_rounds) for name, line in lines.items()
                for row in in_a_process("seconds", folder, name, line.amounts)]
        jobs = [("memory", folder, name, (n,)) for name, line in lines.items()
                for n in line.amounts]
        with ThreadPoolExecutor(2) as pool:
            rows += sum(pool.map(lambda job: in_a_process(*job), jobs), [])
    return rows


# From seconds to exponents

def slope(amounts: np.ndarray, values: np.ndarray) -> float:
    """Exponent: slope of the logarithm of values on that of amounts."""
    return float(np.polyfit(np.log(amounts), np.log(values), 1)[0])


def halves(n: int) -> tuple[slice, slice]:
    """The smaller and the larger half of n amounts; the middle one is in both."""
    return slice(0, (n + 1) // 2), slice(n // 2, n)


def exponents(amounts: np.ndarray, rounds: np.ndarray) -> dict:
    """Slopes of both halves and between neighbors, with intervals over rounds (n_rounds, n)."""
    small, large = ([slope(amounts[half], values[half]) for values in rounds]
                    for half in halves(len(amounts)))
    between = np.diff(np.log(rounds)) / np.diff(np.log(amounts))
    return {"small": spread(small, log=False), "large": spread(large, log=False),
            "between": between.mean(axis=0).tolist()}


def find_bend(amounts: np.ndarray, rounds: np.ndarray) -> dict:
    """Where two straight lines that meet fit the logarithms best, and how the slope changes there.

    shown : whether it changes by `LEAST_CHANGE` or more, and in the whole interval over rounds.
    """
    x, y = np.log(amounts), np.log(rounds).T
    places = np.linspace(x[1], x[-2], 101)
    shapes = [np.stack([x**0, x, np.maximum(x - place, 0)], axis=1) for place in places]
    fits = [np.linalg.lstsq(shape, y, rcond=None)[0] for shape in shapes]
    errors = [np.square(y - shape @ fit).sum() for shape, fit in zip(shapes, fits, strict=True)]
    best = int(np.argmin(errors))
    change = spread(fits[best][2].tolist(), log=False)
    low, high = change["interval"]
    shown = abs(change["mean"]) >= LEAST_CHANGE and not low <= 0 <= high
    return {"amount": float(np.exp(places[best])), "change": change, "shown": bool(shown)}


def told(amounts: np.ndarray, seconds: np.ndarray) -> float:
    """What the smaller amounts alone say of the largest, divided by what was measured."""
    exponent = slope(*(x[:-1][halves(len(x) - 1)[1]] for x in (amounts, seconds)))
    return float(seconds[-2] * (amounts[-1] / amounts[-2]) ** exponent / seconds[-1])


def describe_seconds(amounts: np.ndarray, rounds: np.ndarray) -> dict:
    """Points, exponents, bend, and how well the largest amount could be foretold."""
    points = [{key: spread(values.tolist())[key] for key in ("mean", "low", "high")}
              for values in rounds.T]
    return {"points": points, **exponents(amounts, rounds), "bend": find_bend(amounts, rounds),
            "told": spread([told(amounts, values) for values in rounds])}


def memory_parts(amounts: np.ndarray, mib: np.ndarray, power: int) -> np.ndarray:
    """Memory as a sum, no part below 0: fixed, in proportion and so on, (power + 1,).

    By least squares of relative errors. A slope would not do: at these amounts much is fixed, and
    what is fixed does not grow beyond them.
    """
    columns = (amounts[:, None] / amounts[-1]) ** np.arange(power + 1)
    parts, _ = nnls(columns / mib[:, None], np.ones(len(mib)))
    return parts / amounts[-1] ** np.arange(power + 1)


def memory_at(amount: float, parts: np.ndarray) -> float:
    """MiB at an amount."""
    return float(np.polynomial.polynomial.polyval(amount, parts))


def amount_at(mib: float, parts: np.ndarray) -> float | None:
    """The amount whose memory that is; None where memory does not grow, or is more already."""
    roots = np.polynomial.polynomial.polyroots(np.append(parts[0] - mib, parts[1:]))
    real = [float(root.real) for root in roots if abs(root.imag) < 1e-9 and root.real > 0]
    return min(real, default=None)


def describe_memory(amounts: np.ndarray, mib: np.ndarray, power: int) -> dict:
    """Peaks, exponents of both halves, parts, and the amount at which half of it is fixed."""
    small, large = (slope(amounts[half], mib[half]) for half in halves(len(amounts)))
    parts = memory_parts(amounts, mib, power)
    foretold = memory_at(amounts[-1], memory_parts(amounts[:-1], mib[:-1], power))
    return {"points": mib.tolist(), "small": small, "large": large, "parts": parts.tolist(),
            "bend": amount_at(2 * parts[0], parts), "told": foretold / mib[-1]}


def ahead(amounts: np.ndarray, seconds: dict, memory: dict, amount: float) -> dict:
    """What an amount beyond the largest would take: seconds by the exponent of the larger half."""
    times, last = amount / amounts[-1], seconds["points"][-1]["mean"]
    return {"amount": amount, "seconds": last * times ** seconds["large"]["mean"],
            "interval": [last * times ** end for end in seconds["large"]["interval"]],
            "mib": memory_at(amount, np.array(memory["parts"]))}


def summary(rows: list[dict], lines: dict[str, Line]) -> dict:
    """By line, what the page shows."""
    found = {}
    for name, line in lines.items():
        own = [row for row in rows if row["line"] == name]
        amounts = np.array(line.amounts, float)
        timings = [row["seconds"] for row in own if "seconds" in row]
        seconds = describe_seconds(amounts, np.reshape(timings, (-1, len(amounts))))
        memory = describe_memory(amounts, np.array([row["mib"] for row in own if "mib" in row]),
                                 line.power)
        most = amount_at(MACHINE_MIB, np.array(memory["parts"]))
        found[name] = {
            "group": line.group, "unit": line.unit, "amounts": list(line.amounts),
            "seconds": seconds, "memory": memory,
            "ahead": {str(times): ahead(amounts, seconds, memory, times * line.amounts[-1])
                      for times in (10, 1000)},
            "fits": most and ahead(amounts, seconds, memory, most)}
    return found


def ledger(found: dict, date: str) -> list[dict]:
    """Entries of the ledger: the exponents of each line."""
    from mmfuse_utils.ledger import result

    entries = []
    for name, line in found.items():
        key = f"costs.{line['group']}.{name}"
        for half in ("small", "large"):
            exponent = line["seconds"][half]
            entries += [result(f"{key}.seconds.{half}", exponent["mean"], exponent["interval"],
                               recorded=date),
                        result(f"{key}.memory.{half}", line["memory"][half], recorded=date,
                               exact="the peak of one process for each amount")]
    return entries


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the smallest amounts, once")
    parser.add_argument("--lines", nargs="+", choices=LINES, help="these alone; writes nothing")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        kind, folder, name, amounts = json.loads(options.job)
        print(json.dumps(KINDS[kind](Path(folder), name, amounts)))
        return
    start, date = time.perf_counter(), time.strftime("%Y-%m-%d")
    lines = {name: replace(line, amounts=line.amounts[:4] if options.quick else line.amounts)
             for name, line in LINES.items() if name in (options.lines or LINES)}
    rows = measure(lines, 1 if options.quick else ROUNDS)
    found = summary(rows, lines)
    print(json.dumps(found, indent=1))
    print(f"{time.perf_counter() - start:.0f} seconds")
    if options.quick or options.lines:
        return
    from mmfuse_utils.cache import write_then_rename

    content = {"date": date, "python": platform.python_version(),
               **{name: version(name) for name in ("numpy", "scipy", "torch")},
               "machine": platform.machine(), "cores": os.cpu_count(), "rounds": ROUNDS,
               "machine_mib": MACHINE_MIB, "lines": found, "ledger": ledger(found, date),
               "runs": rows}
    with write_then_rename(OUTPUT) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
