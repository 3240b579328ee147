"""Which settings of gensim's word2vec give the best vectors of this book's corpus, WordNet?

    python benchmarks/gensim_study.py           # about fifty minutes; writes its JSON
    python benchmarks/gensim_study.py --quick   # a twentieth of the corpus; writes nothing
    python benchmarks/gensim_study.py --paired  # only the last step, anew: six trainings

One setting is changed at a time around the reference, the setting of the prepared vectors,
with three seeds each. The pairs of WordSim-353 and SimLex-999 in even rows choose, those in odd
rows report. In the last step the chosen setting and the reference are trained again, and compared
pair by pair.
"""

import argparse
import json
import os
import platform
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import gensim
import numpy as np
from gensim.models import FastText, KeyedVectors, Word2Vec
from gensim.models.phrases import ENGLISH_CONNECTOR_WORDS, Phrases
from ratings import LISTS, halves
from scipy.stats import spearmanr

from mmfuse_utils.cache import write_then_rename
from mmfuse_utils.data import load_sentences
from mmfuse_utils.metrics import bootstrap_interval
from mmfuse_utils.text import SETTINGS

HERE = Path(__file__).resolve().parent
VARIANTS = {
    "reference": {}, "CBOW": {"sg": 0}, "window 5": {"window": 5}, "window 15": {"window": 15},
    "50 numbers": {"vector_size": 50}, "200 numbers": {"vector_size": 200},
    "10 noise words": {"negative": 10}, "learning rate 0.025": {"alpha": 0.025},
    "learning rate 0.1": {"alpha": 0.1}, "sample 1e-5": {"sample": 1e-5},
    "noise power 0.5": {"ns_exponent": 0.5}, "noise power 0": {"ns_exponent": 0.0},
    "phrases": {"phrases": True}, "FastText": {"fasttext": True},
}
SEEDS = 1, 2, 3


def spearman(rows: np.ndarray) -> float:
    """Rank correlation of the two columns."""
    return float(spearmanr(*rows.T).statistic)


def scores(vectors, known) -> dict:
    """Correlation, interval and number of pairs, by list and part; `known` tells if a word is."""
    found = {}
    for name in LISTS:
        for part, rows in halves(vectors, name, known).items():
            low, high = bootstrap_interval(rows, None, spearman)
            found[f"{name}.{part}"] = {"score": spearman(rows), "low": low, "high": high,
                                       "pairs": len(rows)}
    return found


def word_vectors(name: str, seed: int, part: int) -> tuple[KeyedVectors, float]:
    """The vectors of one variant and seed, and how many seconds their training took."""
    changed, sentences = dict(VARIANTS[name]), load_sentences()[::part]
    phrases, fasttext = changed.pop("phrases", False), changed.pop("fasttext", False)
    start = time.perf_counter()
    if phrases:
        joined = Phrases(sentences, connector_words=ENGLISH_CONNECTOR_WORDS)
        sentences = [joined[sentence] for sentence in sentences]
    model = (FastText if fasttext else Word2Vec)(sentences, **{**SETTINGS, **changed, "seed": seed})
    return model.wv, time.perf_counter() - start


def train(name: str, seed: int, part: int) -> dict:
    """One variant and seed: its settings and scores; FastText also on words it never saw."""
    vectors, seconds = word_vectors(name, seed, part)
    row = {"name": name, "seed": seed, "changed": VARIANTS[name], "seconds": seconds,
           "words": len(vectors), "scores": scores(vectors, vectors.key_to_index.__contains__)}
    if "fasttext" in VARIANTS[name]:
        row["with_unseen_words"] = scores(vectors, lambda word: True)
    print(name, seed, f"{seconds:.0f} s", {k: round(v["score"], 3) for k, v in row["scores"].items()},
          flush=True)
    return row


def paired_lead(ours: list[KeyedVectors], theirs: list[KeyedVectors]) -> dict:
    """How far one setting's mean score over its seeds leads another's, by list and part.

    The interval draws the pairs of words anew, the same for both settings and all seeds.
    """
    def lead(rows):
        found = [spearman(rows[:, [0, column]]) for column in range(1, rows.shape[1])]
        return float(np.mean(found[:len(ours)]) - np.mean(found[len(ours):]))

    models, found = [*ours, *theirs], {}
    for name in LISTS:
        rows = [halves(model, name, lambda word: all(word in other.key_to_index
                                                     for other in models)) for model in models]
        for part in rows[0]:
            table = np.column_stack([rows[0][part][:, 1], *(row[part][:, 0] for row in rows)])
            low, high = bootstrap_interval(table, None, lead)
            found[f"{name}.{part}"] = {"lead": lead(table), "low": low, "high": high,
                                       "pairs": len(table)}
    return found


def compare(chosen: str, part: int) -> dict:
    """The chosen setting against the reference, trained again and compared pair by pair."""
    models = {}
    for name in (chosen, "reference"):
        models[name] = [word_vectors(name, seed, part)[0] for seed in SEEDS]
        print("trained again:", name, flush=True)
    return {"date": time.strftime("%Y-%m-%d"), "chosen": chosen,
            "lead": paired_lead(models[chosen], models["reference"])}


def random_scores(part: int) -> dict:
    """Control: random vectors for the reference's vocabulary."""
    model = Word2Vec(vector_size=SETTINGS["vector_size"], min_count=SETTINGS["min_count"])
    model.build_vocab(load_sentences()[::part])
    model.wv.vectors = np.random.default_rng(0).standard_normal(model.wv.vectors.shape)
    return scores(model.wv, model.wv.key_to_index.__contains__)


def mean_even(row: dict) -> float:
    """What chooses: the mean of both lists' scores on even rows."""
    return float(np.mean([row["scores"][f"{name}.even"]["score"] for name in LISTS]))


def choose(rows: list[dict]) -> str:
    """Name of the best setting on even rows; a setting's seeds count by their mean."""
    by_setting = {}
    for row in rows:
        by_setting.setdefault(row["name"], []).append(mean_even(row))
    return max(by_setting, key=lambda name: np.mean(by_setting[name]))


def study(part: int) -> dict:
    """All variants, two trainings at a time, the one chosen on even rows, and the control."""
    with ProcessPoolExecutor(2) as pool:
        runs = [(name, seed, part) for name in VARIANTS for seed in SEEDS]
        rows = list(pool.map(train, *zip(*runs, strict=True)))
    return {"date": time.strftime("%Y-%m-%d"), "settings": SETTINGS,
            "python": platform.python_version(),
            "gensim": gensim.__version__, "cores": os.cpu_count(), "chosen": choose(rows),
            "random": random_scores(part), "runs": rows}


def main() -> None:
    """The study and its last step, or the last step alone, and the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a twentieth of the corpus")
    parser.add_argument("--paired", action="store_true", help="only the last step, anew")
    options = parser.parse_args()
    part, target = 20 if options.quick else 1, HERE / "gensim_study.json"
    content = json.loads(target.read_text("utf8")) if options.paired else study(part)
    print("chosen on even rows:", content["chosen"])
    content["paired"] = compare(content["chosen"], part)
    print(content["paired"])
    if part == 1:
        with write_then_rename(target) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
