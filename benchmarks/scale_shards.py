"""word2vec in shards: what averaging the tables of several workers costs, and what mends it.

    python benchmarks/scale_shards.py            # half an hour on one core; writes its JSON
    python benchmarks/scale_shards.py --quick    # a twentieth of the corpus; writes nothing
    python benchmarks/scale_shards.py --speed    # the speed alone, anew, into the JSON

Sentences are shuffled and dealt to workers. Each worker trains the book's SkipGram on its shard,
and every so many words the tables are averaged, as Spark does once a pass. Ray's actors and one
process that plays all workers give equal results bit by bit, so quality is measured in one process
and speed under Ray. Pairs of WordSim-353 and SimLex-999 in even rows choose, those in odd rows
report; retrieval chooses its penalty on validation concepts. What was finished is kept in the
cache, and an interrupted run goes on there.
"""

import argparse
import json
import os
import platform
import time
from functools import cache
from pathlib import Path

import numpy as np
import ray
from gensim.models import KeyedVectors
from ratings import LISTS, human_ratings
from scale_ray import start_session
from scipy.stats import rankdata
from word2vec import spread

from mmfuse_utils import text, word2vec
from mmfuse_utils.cache import cached_array, content_key, write_then_rename
from mmfuse_utils.data import load_sentences
from mmfuse_utils.data.wordnet import corpus_key
from mmfuse_utils.metrics import mean_reciprocal_rank, ranks
from mmfuse_utils.protocol import hits, load_protocol
from mmfuse_utils.retrieval import unit_rows
from mmfuse_utils.word2vec import SkipGram
from mmfuse_utils.word2vec_blocks import Compact

OUTPUT = Path(__file__).with_suffix(".json")
SETTINGS = {"dim": 50, "window": 5, "negatives": 5, "epochs": 3, "min_count": 5,
            "subsample": 1e-3, "progress": False}
SEEDS, SALTS, PIECE = (1, 2, 3), (0, 1, 2), 10_240      # PIECE: tokens that are read at once
SHARDS, EVERY = (2, 4, 8, 16), ("pass", "end", "100k", "10k")
RATES = (0.05, 0.1, 0.2)                # of the single training
TRIED = 8                               # shards where `EVERY` and the remedies are tried
# A remedy: how tables become one, how often, and by what the rate is multiplied.
REMEDIES = (("moved", "pass", 1), ("counts", "pass", 1), ("sum", "pass", 1), ("mean", "pass", 4),
            ("mean", "pass", 8), ("moved", "10k", 1), ("moved", "10k", 2), ("sum", "10k", 1),
            ("sum", "10k", 0.5), ("mean", "10k", 8))
LONGER = 4                              # shards that get as many times the passes
PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
ROUNDS = 3
VERSION = 1                             # another one computes all parts again


# The reader's pieces

class Worker:
    """One shard, cut in pieces, and the book's SkipGram, which reads them."""

    def __init__(self, settings, counts, pieces, seed, number):
        self.model = SkipGram(**settings)
        self.model.counts_, self.model.losses_ = counts, []
        self.compact = Compact(len(counts), word2vec.BLOCK + 2 * self.model.window
                               + word2vec.BLOCK // word2vec.GROUP * word2vec.SHARED)
        self.pieces, self.seed, self.number = pieces, seed, number

    def learn(self, table, first, last, steps, rate):
        """The table after the steps from first to last, of `steps` in all, a piece each."""
        table = table.copy()        # what comes by Ray is read-only
        for step in range(first, last):
            words, sentence = self.pieces[step % len(self.pieces)]
            chance = np.random.default_rng((self.seed, step, self.number))
            self.model._learn(table, self.compact, words, sentence,
                              rate * (1 - step / steps), chance)
        return table


def ask(workers, table, *job):
    """Each worker's table, all played by this process."""
    return [worker.learn(table, *job) for worker in workers]


def ask_ray(actors, table, *job):
    """The same by Ray: the table is stored once, and the actors work side by side."""
    shared = ray.put(table)
    return ray.get([actor.learn.remote(shared, *job) for actor in actors])


def train(workers, table, steps, every, rate, merge, ask=ask):
    """The table after all steps; every `every` steps the workers' tables become one."""
    for first in range(0, steps, every):
        last = min(first + every, steps)
        table = merge(table, ask(workers, table, first, last, steps, rate))
    return table


# How tables become one. start, and each of tables: (n_words, 2, dim)

def mean(start, tables):
    """The plain average."""
    return np.mean(tables, axis=0)


def moved(start, tables):
    """The average over the workers that moved a vector, as Spark has it since version 3."""
    total, number = np.zeros_like(start), np.zeros((*start.shape[:2], 1), start.dtype)
    for table in tables:
        here = (table != start).any(axis=2, keepdims=True)
        total += table * here
        number += here
    return np.where(number > 0, total / np.maximum(number, 1), start)


def added(start, tables):
    """The sum of all workers' changes."""
    return start + sum(table - start for table in tables)


def by_counts(shares):
    """An average weighted by how much of a word's text a worker has: shares (n, n_words)."""
    def weighted(start, tables):
        return sum(table * share[:, None, None]
                   for table, share in zip(tables, shares, strict=True))
    return weighted


# The corpus in shards

@cache
def corpus(part=1):
    """Words, counts, and for each token its word's row and its sentence's number."""
    return text.index_corpus(load_sentences()[::part], SETTINGS["min_count"])


def shuffled(seed, part=1):
    """The tokens, sentences in a random order: (n_tokens,) words, (n_tokens,) sentences."""
    _, _, words, sentence = corpus(part)
    starts = np.flatnonzero(np.diff(sentence, prepend=-1))
    pieces = np.split(words, starts[1:])
    order = np.random.default_rng((seed, 99)).permutation(len(pieces))
    lengths = np.array([len(piece) for piece in pieces])[order]
    return (np.concatenate([pieces[i] for i in order]),
            np.repeat(np.arange(len(order), dtype=np.int32), lengths))


def deal(words, sentence, n_shards, piece=PIECE):
    """Shards of equal length, each a list of as many pieces of (words, sentence)."""
    shards = []
    longest = -(-len(words) // n_shards)
    for mine, number in zip(np.array_split(words, n_shards), np.array_split(sentence, n_shards),
                            strict=True):
        cuts = range(piece, longest, piece)
        shards.append(list(zip(np.split(mine, cuts), np.split(number, cuts), strict=True)))
    return shards


def first_table(n_words, dim, seed):
    """As `SkipGram` begins: small random word vectors, context vectors of zeros."""
    table = np.zeros((n_words, 2, dim), np.float32)
    table[:, 0] = (np.random.default_rng(seed).random((n_words, dim), np.float32) - 0.5) / dim
    return table


def make_workers(n_shards, seed, part=1, settings=SETTINGS, kind=Worker, piece=PIECE):
    """The workers of one training, and its first table."""
    counts = corpus(part)[1]
    shards = deal(*shuffled(seed, part), n_shards, piece)
    workers = [kind(settings, counts, shard, seed, i) for i, shard in enumerate(shards)]
    return workers, shards, first_table(len(counts), settings["dim"], seed)


def turn(every, n_pieces, epochs):
    """How many pieces a worker reads between two averages."""
    return {"10k": 1, "100k": 10, "pass": n_pieces, "end": n_pieces * epochs}[every]


def shares_of(shards, n_words):
    """How much of each word's text a shard has: (n_shards, n_words), columns sum to 1."""
    counts = np.array([np.bincount(np.concatenate([words for words, _ in shard]),
                                   minlength=n_words) for shard in shards], np.float32)
    total = counts.sum(axis=0)
    return np.where(total > 0, counts / np.maximum(total, 1), 1 / len(shards)).astype(np.float32)


def train_cell(shards, every, merge, rate, seed, part=1, longer=1):
    """The table of one training; shards = 1 is the single one.

    merge : how tables become one; "alone" is the first worker's, the others' shards unread.
    longer : how many times the passes.
    """
    workers, pieces, table = make_workers(shards, seed, part)
    if merge == "alone":
        workers, merge = workers[:1], "mean"
    epochs, n_pieces = SETTINGS["epochs"] * longer, len(pieces[0])
    merges = {"mean": mean, "moved": moved, "sum": added}
    chosen = merges.get(merge) or by_counts(shares_of(pieces, len(table)))
    return train(workers, table, n_pieces * epochs, turn(every, n_pieces, epochs), rate, chosen)


# Scores: cosines of rated pairs, and which test concepts find their picture

class Retrieval:
    """Ridge maps from pictures to texts on strict splits, the pictures' part computed once."""

    def __init__(self, protocols):
        self.protocols = protocols
        self.parts = [self._prepare(protocol) for protocol in protocols]

    @staticmethod
    def _prepare(protocol):
        images = protocol.features[protocol.train]
        center = images.mean(axis=0)
        images = np.float64(images - center)
        values, axes = np.linalg.eigh(images.T @ images)
        turned = [np.float32((protocol.features[rows] - center) @ axes)
                  for rows in (protocol.train, protocol.held, protocol.gallery)]
        return values, (images**2).sum() / images.shape[1], *turned

    def hits(self, texts):
        """1 for each test concept, split after split, that finds its picture among ten."""
        found = []
        for protocol, part in zip(self.protocols, self.parts, strict=True):
            found.append(self._split_hits(protocol, np.float32(texts), *part))
        return np.concatenate(found)

    @staticmethod
    def _split_hits(protocol, texts, values, scale, train, held, gallery):
        pairs = texts[protocol.emoji.pictures.concept_row[protocol.train]]
        center = pairs.mean(axis=0)
        inner = train.T @ (pairs - center)
        maps = [inner / (values + penalty * scale)[:, None] for penalty in PENALTIES]

        def similarity(rows, pictures, coef):
            return unit_rows(texts[rows] - center) @ unit_rows(pictures @ coef).T
        best = max(maps, key=lambda coef: mean_reciprocal_rank(
            ranks(similarity(protocol.split.validation, held, coef), np.arange(len(held)))))
        return hits(similarity(protocol.split.test, gallery, best))


@cache
def retrieval():
    """All salts' splits."""
    return Retrieval([load_protocol(salt) for salt in SALTS])


def keyed(table, part=1):
    """The word vectors of a table by their words."""
    vectors = KeyedVectors(table.shape[2])
    vectors.add_vectors(list(corpus(part)[0]), np.ascontiguousarray(table[:, 0]))
    return vectors


@cache
def rated(part=1):
    """By list: rows of both words (n, 2), ratings (n,), and whether a row is even (n,)."""
    row, found = {word: i for i, word in enumerate(corpus(part)[0])}, {}
    for name in LISTS:
        kept = [(row[a], row[b], rating, i % 2 == 0) for i, (a, b, rating)
                in enumerate(human_ratings(name)) if a in row and b in row]
        a, b, rating, even = (np.array(column) for column in zip(*kept, strict=True))
        found[name] = np.column_stack([a, b]), rating, even
    return found


def evaluate(table, part=1):
    """Cosines of all rated pairs, list after list, then the hits: one row of numbers."""
    unit = unit_rows(table[:, 0])
    cosines = [np.sum(unit[pairs[:, 0]] * unit[pairs[:, 1]], axis=1)
               for pairs, _, _ in rated(part).values()]
    tokens = text.concept_tokens(retrieval().protocols[0].emoji)
    texts = text.sentence_vectors(tokens, keyed(table, part))
    return np.concatenate([*cosines, retrieval().hits(texts)]).astype(np.float32)


def cell(part=1, **asked):
    """The scores of one cell by seed: (n_seeds, n_numbers), kept in the cache."""
    rows = []
    for seed in SEEDS:
        key = content_key("shards", VERSION, corpus_key(), SETTINGS, PIECE, SALTS, part, asked,
                          seed)
        began = time.process_time()
        rows.append(cached_array("scale", key, lambda seed=seed: evaluate(
            train_cell(**asked, seed=seed, part=part), part)))
        if time.process_time() - began > 1:
            print(asked, seed, f"{time.process_time() - began:.1f} s", flush=True)
    return np.array(rows)


# From numbers to scores with intervals

def split_columns(part=1):
    """Which columns of `evaluate` belong to what, and the ratings: {name: (columns, ratings)}."""
    found, start = {}, 0
    for name, (_, rating, even) in rated(part).items():
        place = start + np.arange(len(rating))
        found[f"{name}.even"] = place[even], rating[even]
        found[f"{name}.odd"] = place[~even], rating[~even]
        start += len(rating)
    return found, start


def spearman(cosines, rating):
    """Rank correlation of each row of cosines (n_rows, n_pairs) with the ratings (n_pairs,)."""
    a, b = rankdata(cosines, axis=1), rankdata(rating)
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean()
    return (a @ b) / np.sqrt((a**2).sum(axis=1) * (b**2).sum())


def scores(rows, part=1):
    """Each seed's scores."""
    columns, start = split_columns(part)
    found = {name: spearman(rows[:, place], rating).tolist()
             for name, (place, rating) in columns.items()}
    return {**found, "hit10": rows[:, start:].mean(axis=1).tolist()}


def clusters():
    """The subgroup of each test concept, split after split."""
    return np.concatenate([protocol.subgroups for protocol in retrieval().protocols])


def lead(rows, others, part=1, n_resamples=2000):
    """By score: how far rows lead others, with a 95 % interval.

    Seeds, the same on both sides, are drawn anew, and so are the pairs of words, or the subgroups
    of the test concepts.
    """
    columns, start = split_columns(part)
    found = {name: paired(rows[:, place], others[:, place], rating, n_resamples)
             for name, (place, rating) in columns.items() if name.endswith("odd")}
    difference = rows[:, start:] - others[:, start:]
    found["hit10"] = interval(difference.mean(), cluster_draws(difference, clusters(), n_resamples))
    return found


def paired(rows, others, rating, n_resamples=2000):
    """How far the correlation of rows leads that of others: (n_seeds, n_pairs) each."""
    n, rng, draws = len(rows), np.random.default_rng(0), []
    both = np.concatenate([rows, others])
    for _ in range(n_resamples):
        pairs, seeds = rng.integers(len(rating), size=len(rating)), rng.integers(n, size=n)
        rho = spearman(both[:, pairs], rating[pairs])
        draws.append(rho[:n][seeds].mean() - rho[n:][seeds].mean())
    rho = spearman(both, rating)
    return interval(rho[:n].mean() - rho[n:].mean(), draws)


def own(rows, part=1):
    """By score: the score itself, with its interval: half its lead over its own negative."""
    return {name: {"mean": found["mean"] / 2, "interval": [end / 2 for end in found["interval"]]}
            for name, found in lead(rows, -rows, part).items()}


def cluster_draws(values, labels, n_resamples):
    """Means of values (n_seeds, n) over seeds and whole clusters drawn anew."""
    rng, (_, codes) = np.random.default_rng(0), np.unique(labels, return_inverse=True)
    sums, sizes = np.array([np.bincount(codes, row) for row in values]), np.bincount(codes)
    draws = []
    for _ in range(n_resamples):
        chosen = rng.integers(len(sizes), size=len(sizes))
        seeds = rng.integers(len(values), size=len(values))
        draws.append(sums[seeds][:, chosen].sum() / sizes[chosen].sum() / len(values))
    return draws


def interval(value, draws):
    """A value and the middle 95 % of its draws."""
    return {"mean": float(value), "interval": np.percentile(draws, [2.5, 97.5]).tolist()}


def even(rows, part=1):
    """What chooses: the mean of both lists' scores on even rows, over the seeds."""
    found = scores(rows, part)
    return float(np.mean([found[f"{name}.even"] for name in LISTS]))


# Why quality is lost

def bands(part=1):
    """Rows of rare, middling and frequent words: at most 20 occurrences, 21 to 500, and more."""
    counts = corpus(part)[1]
    return {"rare": counts <= 20, "middle": (counts > 20) & (counts <= 500),
            "frequent": counts > 500}


def shrinkage(start, tables, part=1):
    """Length of the averaged change over the mean length of a mover's change, by band of words.

    1 where all workers move a word alike, 1 / n where one of n moves it alone; word vectors.
    """
    changes = np.array(tables)[:, :, 0] - start[:, 0]
    lengths = np.linalg.norm(changes, axis=2)
    movers = (lengths > 0).sum(axis=0)
    own = lengths.sum(axis=0) / np.maximum(movers, 1)
    ratio = np.linalg.norm(changes.mean(axis=0), axis=1) / np.where(own > 0, own, 1)
    return {name: float(ratio[rows & (movers > 0)].mean()) for name, rows in bands(part).items()}


def drift(tables, part=1):
    """Mean cosine of a word's vectors in two workers' tables, as they are and best rotated.

    Over the words that are not rare, the mean of all pairs of the first four workers. The
    rotation is the orthogonal map of least squared distance (Procrustes), fitted on these words.
    """
    units = [unit_rows(table[~bands(part)["rare"], 0]) for table in tables[:4]]
    plain, turned = [], []
    for i in range(len(units)):
        for j in range(i):
            left, _, right = np.linalg.svd(units[i].T @ units[j])
            plain.append((units[i] * units[j]).sum(axis=1).mean())
            turned.append((units[i] @ (left @ right) * units[j]).sum(axis=1).mean())
    return {"plain": float(np.mean(plain)), "rotated": float(np.mean(turned))}


def watch(shards, every, rate, seed, part=1):
    """What the first average does to steps, and how far apart the tables are before the last."""
    workers, pieces, table = make_workers(shards, seed, part)
    epochs, n_pieces = SETTINGS["epochs"], len(pieces[0])
    seen = {}

    def look(start, tables):
        seen.setdefault("shrinkage", shrinkage(start, tables, part))
        seen["last"] = tables
        return mean(start, tables)

    train(workers, table, n_pieces * epochs, turn(every, n_pieces, epochs), rate, look)
    return {"shards": shards, "every": every, "shrinkage": seen["shrinkage"],
            "drift": drift(seen["last"], part)}


def by_count(rows, others, part=1):
    """How far WordSim falls for pairs with a rarer word and for the others (odd rows)."""
    pairs, rating, even = rated(part)["wordsim353"]
    rarest = corpus(part)[1][pairs].min(axis=1)
    place = np.arange(len(rating))
    found = {}
    middle = np.median(rarest[~even])
    for name, chosen in (("rare", rarest <= middle), ("frequent", rarest > middle)):
        kept = place[~even & chosen]
        found[name] = {"pairs": len(kept), "most_of_rarer_word": int(rarest[kept].max()),
                       **paired(rows[:, kept], others[:, kept], rating[kept])}
    return found


# The whole study

class Cells:
    """Trainings by their settings, each done once; `best` is the single training."""

    def __init__(self, part):
        self.part, self.rows = part, {}
        single = [self.single(rate) for rate in RATES]
        self.best = max(single, key=self.even)
        self.rate = self.best["rate"]

    @staticmethod
    def single(rate, **more):
        """Settings of the single training."""
        return {"shards": 1, "every": "end", "merge": "mean", "rate": rate, **more}

    def sharded(self, shards, every="pass", merge="mean", factor=1, **more):
        """Settings of a sharded one; factor : of the single training's rate."""
        return {"shards": shards, "every": every, "merge": merge, "rate": self.rate * factor,
                **more}

    def of(self, asked):
        """The numbers of one cell."""
        key = json.dumps(asked)
        if key not in self.rows:
            self.rows[key] = cell(self.part, **asked)
        return self.rows[key]

    def even(self, asked):
        """What chooses, see `even`."""
        return even(self.of(asked), self.part)

    def lead(self, asked, other):
        """How far one cell leads another, see `lead`."""
        return lead(self.of(asked), self.of(other), self.part)

    def table(self):
        """Every cell's settings, its scores by seed, and its lead over the single training."""
        return [{**json.loads(key), "scores": scores(rows, self.part),
                 "less": lead(rows, self.of(self.best), self.part)}
                for key, rows in self.rows.items()]


def study(part=1):
    """All cells, what was chosen, and why."""
    cells = Cells(part)
    stated, best = cells.sharded(TRIED), cells.best
    tried = [cells.sharded(TRIED, every, merge, factor) for merge, every, factor in REMEDIES]
    remedy = max([stated, *tried], key=cells.even)
    rates = [one for one in tried if (one["merge"], one["every"]) == ("mean", "pass")]
    scaled = max([stated, *rates], key=cells.even)
    alone = cells.sharded(TRIED, "end", "alone")
    mended = [for_shards(remedy, cells.rate, n) for n in SHARDS]
    longer = cells.sharded(LONGER, longer=LONGER)
    longer_single = cells.single(cells.rate, longer=LONGER)     # reads the text as often
    for asked in [*(cells.sharded(n) for n in SHARDS), *mended, longer, longer_single,
                  *(cells.sharded(TRIED, every) for every in EVERY),
                  *(cells.sharded(n, "end", "alone") for n in SHARDS)]:
        cells.of(asked)
    steps = [best, *(cells.sharded(n) for n in SHARDS)]
    return {"rate": cells.rate, "stated": stated, "tried": tried, "remedy": remedy,
            "scaled": scaled, "mended_by_shards": mended, "longer": longer,
            "longer_single": longer_single, "longer_lead": cells.lead(longer, longer_single),
            "own": {"single": own(cells.of(best), part), "random": own(random_rows(part), part)},
            "cells": cells.table(), "loss": flip(cells.lead(stated, best)["wordsim353.odd"]),
            "by_shards": {str(more["shards"]): cells.lead(more, fewer)
                          for fewer, more in zip(steps, steps[1:], strict=False)},
            "mended": cells.lead(remedy, stated), "scaled_lead": cells.lead(scaled, stated),
            "over_alone": cells.lead(stated, alone), **reasons(cells, stated)}


def reasons(cells, stated):
    """Where quality is lost, and what averaging does to steps and tables."""
    part = cells.part
    return {"by_count": by_count(cells.of(stated), cells.of(cells.best), part),
            "why": [watch(TRIED, every, cells.rate, SEEDS[0], part)
                    for every in ("10k", "pass", "end")]}


def for_shards(remedy, rate, n_shards):
    """A remedy for another number of shards: a larger rate grows in proportion to them."""
    factor = remedy["rate"] / rate
    if factor > 1:
        factor = max(1, factor * n_shards / TRIED)
    return {**remedy, "shards": n_shards, "rate": rate * factor}


def flip(found):
    """A lead seen from the other side."""
    low, high = found["interval"]
    return {"mean": -found["mean"], "interval": [-high, -low]}


def control_chance(part=1):
    """hit@10 of a random order, the mean over the splits."""
    return float(np.mean([protocol.chance for protocol in retrieval().protocols]))


@cache
def random_rows(part=1):
    """Control: what `evaluate` gives for random vectors of the same words, a row a seed."""
    shape = len(corpus(part)[1]), 2, SETTINGS["dim"]
    return np.array([evaluate(np.random.default_rng(seed).standard_normal(
        shape, dtype=np.float32), part) for seed in SEEDS])


# Speed

def with_ray(n_actors, every, part=1):
    """A training of one pass under Ray: its table, and words a second."""
    kind = ray.remote(num_cpus=1)(Worker)
    actors, shards, table = make_workers(n_actors, SEEDS[0], part, kind=kind.remote)
    n_pieces = len(shards[0])
    ray.get([actor.learn.remote(table, 0, 0, 1, 0.0) for actor in actors])      # all are awake
    found, rate = timed(lambda: train(actors, table, n_pieces, turn(every, n_pieces, 1),
                                     RATES[0], mean, ask_ray), part)
    for actor in actors:
        ray.kill(actor)
    return found, rate


def alone(part=1):
    """The same pass by one worker in this process."""
    workers, shards, table = make_workers(1, SEEDS[0], part)
    n_pieces = len(shards[0])
    return timed(lambda: train(workers, table, n_pieces, n_pieces, RATES[0], mean), part)


def threads(n_threads, part=1):
    """The same pass by the package's threads, which share one table."""
    model = SkipGram(**{**SETTINGS, "epochs": 1}, seed=SEEDS[0], threads=n_threads)
    model.counts_, model.losses_ = corpus(part)[1], []
    table = first_table(len(model.counts_), SETTINGS["dim"], SEEDS[0])
    words, sentence = shuffled(SEEDS[0], part)
    return timed(lambda: model._share_out(table, words, sentence), part)


def timed(job, part):
    """What a job gives, and words a second of a pass."""
    n, began = len(corpus(part)[2]), time.perf_counter()
    found = job()
    return found, n / (time.perf_counter() - began)


def speed(part=1, rounds=ROUNDS):
    """Words a second of one process, of threads and of actors, by turns; and Ray's agreement."""
    corpus(part), start_session()
    ways = {"single": (lambda: alone(part), None), "threads.1": (lambda: threads(1, part), None),
            "threads.2": (lambda: threads(2, part), None)}
    for every in ("10k", "100k", "pass"):
        for n in (1, 2):
            ways[f"ray.{n}.{every}"] = (lambda n=n, every=every: with_ray(n, every, part), every)
    rows = []
    for number in range(rounds):
        for way in np.roll(list(ways), 3 * number):
            job, every = ways[way]
            rows.append({"way": str(way), "every": every, "round": number,
                         "words_per_second": job()[1], "load": os.getloadavg()[0]})
            print(rows[-1], flush=True)
    there = with_ray(2, "100k", part)[0]
    workers, shards, table = make_workers(2, SEEDS[0], part)
    here = train(workers, table, len(shards[0]), 10, RATES[0], mean)
    ray.shutdown()
    return {"runs": rows, "equal": bool(np.array_equal(here, there)), "summary": summarize(rows)}


def summarize(rows):
    """Words a second by way, and each way's ratio to one process, round by round."""
    rates = {way: np.array([row["words_per_second"] for row in rows if row["way"] == way])
             for way in dict.fromkeys(row["way"] for row in rows)}
    return {way: {"words_per_second": spread(found.tolist()),
                  "ratio": spread((found / rates["single"]).tolist())}
            for way, found in rates.items()}


def versions():
    """What the numbers were taken with."""
    return {"python": platform.python_version(), "ray": ray.__version__, "numpy": np.__version__}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a twentieth of the corpus")
    parser.add_argument("--speed", action="store_true", help="the speed alone, anew")
    options = parser.parse_args()
    part = 20 if options.quick else 1
    old = json.loads(OUTPUT.read_text("utf8")) if OUTPUT.exists() and not options.quick else {}
    vocabulary, _, words, _ = corpus(part)
    content = {"date": time.strftime("%Y-%m-%d"), "versions": versions(), "cores": os.cpu_count(),
               "settings": {**SETTINGS, "seeds": SEEDS, "salts": SALTS, "piece": PIECE},
               "corpus": {"words": len(words), "vocabulary": len(vocabulary)}}
    if options.speed:
        content = {**old, "speed": None}
    else:
        content |= {**study(part), "random": scores(random_rows(part), part),
                    "chance": control_chance(part)}
        content["speed"] = old.get("speed")
        write(content, options.quick)
    if not content["speed"] or options.speed:
        content["speed"] = {"date": time.strftime("%Y-%m-%d"), **speed(part)}
        write(content, options.quick)


def write(content, quick):
    """The JSON; nothing where it was but quick."""
    if not quick:
        with write_then_rename(OUTPUT) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
