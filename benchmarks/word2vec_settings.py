"""Which settings of word2vec matter for finding pictures, and how much?

    python benchmarks/word2vec_settings.py           # an hour and a half on one core; writes JSON
    python benchmarks/word2vec_settings.py --quick   # a twentieth of the corpus; writes nothing

One setting of gensim's word2vec is changed at a time around the prepared vectors' own. Each set
of vectors gives the texts of the same ridge map from pictures to texts, its penalty chosen on the
validation concepts of each of ten strict splits; the rank of each test query is kept. Three seeds
of the unchanged setting show how far chance alone moves the score.
"""

import argparse
import base64
import json
import os
import platform
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import gensim
import numpy as np
from gensim.models import KeyedVectors

from mmfuse_utils import ladder, text, vision
from mmfuse_utils.cache import content_key, write_then_rename
from mmfuse_utils.data import load_emoji, load_sentences
from mmfuse_utils.data.wordnet import corpus_key
from mmfuse_utils.ladder import Task
from mmfuse_utils.metrics import ranks
from mmfuse_utils.text import SETTINGS

HERE = Path(__file__).resolve().parent
SALTS = range(10)
GRID = {"vector_size": (25, 50, 200, 300, 600), "window": (2, 5, 20), "sg": (0,),
        "negative": (1, 2, 10, 20), "epochs": (1, 2, 5, 20), "seed": (2, 3)}


def variants():
    """What is changed, a dictionary each; the first is the reference, with nothing changed."""
    return [{}] + [{name: value} for name, values in GRID.items() for value in values
                   if value != SETTINGS[name]]


def evaluate(vectors: KeyedVectors, salts) -> list[dict]:
    """The ridge map on each split: its validation score, and the rank of each test query."""
    emoji, features = load_emoji(), vision.picture_features(load_emoji())
    texts, rows = ladder.mean_texts(emoji, vectors), []
    for salt in salts:
        task = Task(emoji, emoji.split(salt), salt)
        rung = ladder.ridge(task, texts, features, "image_to_text")
        similarity = rung(*task.test)
        found = ranks(similarity, np.arange(len(similarity))).astype(np.uint8)
        rows.append({"tests": content_key([emoji.ids[row] for row in task.split.test]),
                     "validation": task.score(rung),
                     "t2i": base64.b64encode(found).decode()})
    return rows


def measure(changed: dict, part: int, salts) -> dict:
    """Train with one setting changed, and with the same vocabulary draw random vectors."""
    key = content_key("word2vec", corpus_key(), {**SETTINGS, **changed}, gensim.__version__)
    if part > 1:
        vectors = text.train_word_vectors(load_sentences()[::part], **changed)
    else:       # kept, so that an interrupted study goes on where it was
        vectors = text.cached_vectors(
            key, lambda: text.train_word_vectors(load_sentences(), **changed))
    row = {"changed": changed, "words": len(vectors),
           "splits": evaluate(vectors, salts)}
    if not changed or "vector_size" in changed:     # random vectors differ by their length alone
        row["random"] = evaluate(text.random_vectors(vectors), salts)
    print(changed, f"{np.mean([hit(split) for split in row['splits']]):.3f}", flush=True)
    return row


def hit(split: dict) -> float:
    """hit@10 of one split, from its ranks."""
    return float(np.mean(np.frombuffer(base64.b64decode(split["t2i"]), np.uint8) <= 10))


def main() -> None:
    """Train and test all variants, one a process, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small; writes nothing")
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    part, salts = (20, SALTS[:2]) if options.quick else (1, SALTS)
    jobs = variants()
    with ProcessPoolExecutor(options.processes) as pool:
        rows = list(pool.map(measure, jobs, [part] * len(jobs), [salts] * len(jobs)))
    content = {"date": time.strftime("%Y-%m-%d"), "settings": SETTINGS, "cores": os.cpu_count(),
               "python": platform.python_version(), "gensim": gensim.__version__, "runs": rows}
    if not options.quick:
        with write_then_rename(HERE / "word2vec_settings.json") as temporary:
            temporary.write_text(json.dumps(content, indent=0) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
