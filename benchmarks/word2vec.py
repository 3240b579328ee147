"""Race the book's SkipGram against gensim's: speed, memory and quality, with the same settings.

    python benchmarks/word2vec.py               # about ten minutes; writes word2vec.json
    python benchmarks/word2vec.py --quick       # a part of the corpus, once; writes nothing

Every measurement is a process of its own, so that its peak memory is its own, and the programs
take turns, so that a busy moment of the machine falls on all of them. What is read off the JSON
are ratios within one round, and their geometric mean. The loop and the minibatch are chapter
2's, taken from its notebook.
"""

import argparse
import ast
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
CHAPTER = HERE.parent / "notebooks" / "02_word2vec_numpy.ipynb"
SETTINGS = {"dim": 100, "window": 5, "negatives": 5, "epochs": 5, "min_count": 5,
            "subsample": 1e-3, "learning_rate": 0.05}
RATES = (0.025, 0.05, 0.1)


def train_numpy(sentences, threads, seed, settings):
    """KeyedVectors by the book's SkipGram."""
    from mmfuse_utils.word2vec import SkipGram

    model = SkipGram(**settings, threads=threads, seed=seed, progress=False).fit(sentences)
    return model.to_keyed_vectors()


def train_gensim(sentences, threads, seed, settings):
    """KeyedVectors by gensim's compiled program, settings by its own names."""
    from gensim.models import Word2Vec

    names = {"dim": "vector_size", "negatives": "negative", "subsample": "sample",
             "learning_rate": "alpha"}
    named = {names.get(name, name): value for name, value in settings.items()}
    return Word2Vec(sentences, sg=1, workers=threads, seed=seed, **named).wv


def scores(vectors):
    """Spearman correlation with people's ratings: on all pairs, even rows and odd rows."""
    from ratings import LISTS, halves
    from scipy.stats import spearmanr

    found = {}
    for name in LISTS:
        for part, rows in halves(vectors, name, vectors.key_to_index.__contains__).items():
            key = name if part == "all" else f"{name}.{part}"
            found[key] = float(spearmanr(*rows.T).statistic)
    return found


def peak_mib():
    """Most memory this process has held so far, in MiB."""
    unit = 1 if sys.platform == "darwin" else 1024          # bytes there, KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def measure(program, threads, seed, part, settings):
    """One training: seconds by the clock and of all cores, memory before and at most, scores."""
    from mmfuse_utils.data import load_sentences

    sentences = load_sentences()[::part]
    before, start, busy = peak_mib(), time.perf_counter(), time.process_time()
    vectors = PROGRAMS[program](sentences, threads, seed, settings)
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    tokens = sum(map(len, sentences)) * settings["epochs"]
    return {"program": program, "threads": threads, "seed": seed, "seconds": seconds,
            "core_seconds": busy, "words_per_second": tokens / seconds, "corpus_mib": before,
            "peak_mib": peak_mib(), "learning_rate": settings["learning_rate"],
            **scores(vectors)}


def chapter_names(part):
    """The functions of the notebook on NumPy, and the corpus that they expect."""
    import nbformat

    from mmfuse_utils.data import load_sentences
    from mmfuse_utils.text import index_corpus

    cells = nbformat.read(CHAPTER, as_version=4).cells
    source = "\n".join(cell.source for cell in cells        # not the cell that installs the book
                       if cell.cell_type == "code" and cell.id != "install")
    kept = (ast.Import, ast.ImportFrom, ast.FunctionDef)
    tree = ast.Module([node for node in ast.parse(source).body if isinstance(node, kept)], [])
    vocabulary, frequency, tokens, sentence_of = index_corpus(load_sentences()[::part], 5)
    noise = frequency**0.75 / (frequency**0.75).sum()
    chapter = {"vocabulary": vocabulary, "noise": noise, "tokens": tokens,
               "sentence_of": sentence_of}
    exec(compile(tree, CHAPTER.name, "exec"), chapter)
    return chapter


def measure_rungs(seed, part):
    """Words a second of that notebook's loop and minibatch, on as many words as take seconds."""
    chapter, row = chapter_names(part), {"program": "rungs", "threads": 1, "seed": seed}
    for name, n_tokens in (("loop_step", 1_000), ("minibatch_step", 20_000)):
        row[name] = n_tokens / chapter["run"](chapter[name], n_tokens, seed=seed)[2]
    return row


PROGRAMS = {"numpy": train_numpy, "gensim": train_gensim}


def in_a_process(program, threads, seed, part, **changed):
    """Measure in a fresh interpreter, whose math libraries use one thread unless told."""
    job = {"program": program, "threads": threads, "seed": seed, "part": part,
           "settings": {**SETTINGS, **changed}}
    quiet = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
             "TQDM_DISABLE": "1"}
    done = subprocess.run([sys.executable, __file__, "--job", json.dumps(job)], check=True,
                          capture_output=True, text=True, env=quiet)
    row = json.loads(done.stdout.splitlines()[-1])
    print({key: round(x, 3) if isinstance(x, float) else x for key, x in row.items()}, flush=True)
    return row


def spread(values, log=True):
    """Mean of a few rounds with its 95 % interval by Student's t, least and largest.

    log : of the logarithms, so that the mean of ratios is the ratio of the means.
    """
    from scipy.stats import t

    x = np.log(values) if log else np.asarray(values)
    half = t.ppf(0.975, len(x) - 1) * x.std(ddof=1) / len(x) ** 0.5 if len(x) > 1 else np.inf
    mean, *ends = (float(np.exp(y) if log else y)
                   for y in (x.mean(), x.mean() - half, x.mean() + half))
    return {"mean": mean, "interval": ends, "low": min(values), "high": max(values)}


def rounds(rows, program, threads, key):
    """A number of a program's runs at the shared settings, in the order of the rounds."""
    return np.array([r[key] for r in rows if r["program"] == program and r["threads"] == threads
                     and r["learning_rate"] == SETTINGS["learning_rate"]])


def ratio(rows, key, threads):
    """The book's over gensim's, round by round."""
    book, gensim = (rounds(rows, program, threads, key) for program in PROGRAMS)
    return spread((book / gensim).tolist())


def summary(rows):
    """Over the rounds: ratios, speeds, memory, scores, and the book's scores less gensim's.

    gain : speed with two threads over that with one; busy : the share of two cores that two
    threads use; more_work : their processor time over that of one. gain = 2 * busy / more_work.
    """
    from ratings import LISTS

    loops = np.array([r["loop_step"] for r in rows if r["program"] == "rungs"])
    speed = rounds(rows, "gensim", 1, "words_per_second")
    found = {"loop_ratio": spread((speed / loops).tolist()),
             "speed_ratio.one_thread": ratio(rows, "words_per_second", 1),
             "speed_ratio.two_threads": ratio(rows, "words_per_second", 2),
             "memory_ratio": ratio(rows, "peak_mib", 1)}
    for name in LISTS:
        book, gensim = (rounds(rows, program, 1, name) for program in PROGRAMS)
        found[f"lead.{name}"] = spread((book - gensim).tolist(), log=False)
    for program in PROGRAMS:
        cores, clock = (rounds(rows, program, 2, key) for key in ("core_seconds", "seconds"))
        alone = rounds(rows, program, 1, "core_seconds")
        found[f"{program}.gain"] = spread(
            (rounds(rows, program, 1, "seconds") / clock).tolist())
        found[f"{program}.busy"] = spread((cores / (2 * clock)).tolist())
        found[f"{program}.more_work"] = spread((cores / alone).tolist())
        for threads in (1, 2):
            for key in ("words_per_second", "peak_mib", *LISTS):
                values = rounds(rows, program, threads, key).tolist()
                found[f"{program}.{threads}.{key}"] = spread(values, key not in LISTS)
    return found


def versions():
    """What the numbers were taken with."""
    import gensim
    import numpy
    import scipy

    return {"date": time.strftime("%Y-%m-%d"), "python": platform.python_version(),
            "numpy": numpy.__version__, "scipy": scipy.__version__,
            "gensim": gensim.__version__,
            "machine": platform.machine(), "cores": os.cpu_count()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3, help="rounds, each with its own seed")
    parser.add_argument("--quick", action="store_true", help="a twentieth of the corpus, once")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        job = json.loads(options.job)
        rungs = job["program"] == "rungs"
        print(json.dumps(measure_rungs(job["seed"], job["part"]) if rungs else measure(**job)))
        return
    part, repeats = (20, 1) if options.quick else (1, options.repeats)
    rows = []
    for seed in range(1, repeats + 1):
        for program, threads in (("gensim", 1), ("numpy", 1), ("gensim", 2), ("numpy", 2),
                                 ("rungs", 1)):
            rows.append(in_a_process(program, threads, seed, part))
    for rate in (() if options.quick else set(RATES) - {SETTINGS["learning_rate"]}):
        rows += [in_a_process(program, 1, 1, part, learning_rate=rate) for program in PROGRAMS]
    content = {"settings": SETTINGS, "versions": versions(), "summary": summary(rows),
               "runs": rows}
    print(json.dumps(content["summary"], indent=1))
    if not options.quick:
        from mmfuse_utils.cache import write_then_rename

        with write_then_rename(HERE / "word2vec.json") as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
