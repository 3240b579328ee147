"""What vectors give away, and to whom they are unfair: experiments of the chapter on trust.

`python benchmarks/trust.py` writes trust.json beside it in about twenty minutes of one core; it
goes on where an interrupted run stopped. With `--quick` it runs little of each and writes
nothing. Needs `pip install -e .[benchmark]` for Opacus; GloVe vectors (118 MB) come from an npm
package.
"""

import argparse
import json
import platform
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import chain, combinations
from math import comb
from pathlib import Path

import numpy as np
import resvg_py
import scipy
import sklearn
import torch
from compression import by_variance, int8, planes
from gensim.models import KeyedVectors
from gensim.test.utils import datapath
from scipy.optimize import nnls
from scipy.special import logsumexp
from scipy.stats import norm, rankdata
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import nn
from torch.nn import functional
from tqdm import tqdm

from mmfuse_utils import text, vision
from mmfuse_utils.cache import cache_dir, cached_array, content_key, keep, write_then_rename
from mmfuse_utils.data import emoji as drawings
from mmfuse_utils.data import load_emoji, load_sentences
from mmfuse_utils.data.pictures import PIXELS, load_images
from mmfuse_utils.data.sources import SOURCES, fetched, package_path
from mmfuse_utils.fusion import ConSE, KernelMap, RidgeMap
from mmfuse_utils.metrics import bootstrap_interval
from mmfuse_utils.protocol import Protocol, hits, load_protocol
from mmfuse_utils.retrieval import csls, unit_rows
from mmfuse_utils.towers import TwoTower
from mmfuse_utils.word2vec import load_wide_vectors

OUTPUT = Path(__file__).with_suffix(".json")
LENGTHS = (1, 2, 3, 5, 8, 12, 16, 20, 25, 30)       # words of a text that is to be read back
EPOCHS = (5, 10, 20, 40, 80, 160)
EPSILONS, DELTA = (1, 2, 4, 8, 16), 1e-4
MOST_ROWS = 500             # no training set here has more concepts: a public number
PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
PENALTIES_CLIPPED = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10_000.0)
SEEDS, SHADOWS = range(10), (100, 101)              # of memberships; shadows choose the attack
SALTS, PRACTICE = range(10), (10, 11, 12)           # splits that report; splits that choose
TOWER_SALTS, TOWER_SEEDS = range(5), (0, 1, 2)
DIM, PUBLIC_DIM, CANDIDATES = 32, 64, 64
TOWER_GRID = tuple((epochs, lr) for epochs in (10, 30) for lr in (0.003, 0.01, 0.03))
PUBLIC_STYLES = ("noto", "twemoji", "fluent-emoji-flat")
ROLE_STYLES = ("noto", "twemoji", "openmoji", "fluent-emoji", "fluent-emoji-flat")
TONE_STYLES = ("noto", "twemoji", "openmoji")
GENDERS = ("", "man ", "woman ")
TONES = ("", "light", "medium-light", "medium", "medium-dark", "dark")
# Raise a part's version when its code changes, so that its kept result is made anew.
VERSIONS = {"inversion": 2, "membership": 3, "private ridge": 2, "private towers": 1, "words": 1,
            "people": 1}


# Inversion: which words are in a text, from its vector

def pursue(targets: np.ndarray, dictionary: np.ndarray, most: np.ndarray,
           tolerance: float = 1e-3) -> list[list[int]]:
    """Words whose nonnegative sum comes near each target: lists of dictionary rows.

    Orthogonal matching pursuit (Pati et al., 1993) with weights of 0 or more: take the word that
    points most along what is left, fit all weights anew, go on until no more than `tolerance` is
    left or `most` words are taken. Words that end with next to no weight are dropped.

    >>> [sorted(words) for words in pursue(np.array([[0.6, 0.8, 0]]), np.eye(3), np.array([9]))]
    [[0, 1]]
    """
    chosen, weights = [[] for _ in targets], [np.zeros(0) for _ in targets]
    left, active = targets.astype(float), np.arange(len(targets))
    while len(active):
        scores = left[active].astype(dictionary.dtype) @ dictionary.T
        going = []
        for i, row in zip(active, scores, strict=True):
            row[chosen[i]] = -np.inf
            best = int(row.argmax())
            if row[best] <= 1e-7:
                continue
            chosen[i].append(best)
            basis = dictionary[chosen[i]].T.astype(float)
            weights[i] = nnls(basis, targets[i].astype(float))[0]
            left[i] = targets[i] - basis @ weights[i]
            if np.linalg.norm(left[i]) > tolerance and len(chosen[i]) < most[i]:
                going.append(i)
        active = np.array(going, int)
    return [[word for word, weight in zip(words, found, strict=True)
             if weight > 0.01 * max(found.max(), 1e-12)]
            for words, found in zip(chosen, weights, strict=True)]


def news_texts(vectors: KeyedVectors) -> tuple[list[list[str]], np.ndarray, np.ndarray]:
    """Beginnings of news articles in known words: texts, the article of each, its length."""
    lines = Path(datapath("lee_background.cor")).read_text("utf8").splitlines()
    articles = [[word for word in text.tokenize(line) if word in vectors] for line in lines]
    texts, article, lengths = [], [], []
    for i, words in enumerate(articles):
        for shift in (0, 5):
            n = LENGTHS[(i + shift) % len(LENGTHS)]
            if len(words) >= n:
                texts.append(words[:n])
                article.append(i)
                lengths.append(n)
    return texts, np.array(article), np.array(lengths)


def emoji_texts(vectors: KeyedVectors) -> tuple[list[list[str]], np.ndarray, np.ndarray]:
    """Names and keywords of all concepts in known words: texts, the subgroup of each, length."""
    emoji = load_emoji()
    tokens = [[word for word in words if word in vectors] for words in text.concept_tokens(emoji)]
    kept = [i for i, words in enumerate(tokens) if words]
    groups = np.unique(emoji.clusters, return_inverse=True)[1]
    return ([tokens[i] for i in kept], groups[kept],
            np.array([len(set(tokens[i])) for i in kept]))


def read_back(texts: Sequence[Sequence[str]], rows: np.ndarray, vectors: KeyedVectors,
              tolerance: float = 1e-3, told: bool = False) -> np.ndarray:
    """Precision, recall and whether all is right, for each text: (3, n_texts).

    told : whether the attacker knows how many different words there are.
    """
    true = numbers_of(texts, vectors)
    most = np.array([len(words) if told else 40 for words in true])
    return scores_of(words_read(rows, vectors, tolerance, most), true)


def numbers_of(texts: Sequence[Sequence[str]], vectors: KeyedVectors) -> list[set[int]]:
    """The rows of each text's words."""
    return [{vectors.key_to_index[word] for word in words} for words in texts]


def words_read(rows: np.ndarray, vectors: KeyedVectors, tolerance: float, most: np.ndarray
               ) -> list[set[int]]:
    """What pursuit finds in each row."""
    dictionary, found = unit_rows(vectors.vectors).astype(np.float32), []
    for start in range(0, len(rows), 100):
        part = slice(start, start + 100)
        found += pursue(rows[part], dictionary, most[part], tolerance)
    return [set(words) for words in found]


def scores_of(found: Sequence[set], true: Sequence[set]) -> np.ndarray:
    """Precision, recall and exactness: (3, n).

    >>> scores_of([{1, 2}], [{2, 3, 4, 5}]).ravel().tolist()
    [0.5, 0.25, 0.0]
    """
    shared = [len(a & b) for a, b in zip(found, true, strict=True)]
    return np.array([[n / max(1, len(a)), n / len(b), a == b]
                     for n, a, b in zip(shared, found, true, strict=True)], float).T


def guesses(texts: Sequence[Sequence[str]], clusters: np.ndarray, rows: np.ndarray,
            vectors: KeyedVectors) -> dict[str, np.ndarray]:
    """Two baselines that are told the number of words: frequent ones, and the nearest ones."""
    true = numbers_of(texts, vectors)
    common = frequent_words(true, clusters, [len(words) for words in true])
    dictionary, nearest = unit_rows(vectors.vectors), []
    for row, words in zip(rows, true, strict=True):
        nearest.append(set(np.argpartition(-(dictionary @ row), len(words))[:len(words)].tolist()))
    return {"frequent": scores_of(common, true), "nearest": scores_of(nearest, true)}


def frequent_words(true: Sequence[set], clusters: np.ndarray, counts: Sequence[int]) -> list[set]:
    """So many of the most frequent words for each text, counted in the other half of the clusters.

    >>> frequent_words([{1, 2}, {3}, {1}], np.array([0, 1, 2]), [1, 2, 2])
    [{3}, {1, 2}, {3}]
    """
    half = np.asarray(clusters) % 2
    frequent = [[word for word, _ in Counter(word for words, own in zip(true, half, strict=True)
                                             if own != side for word in words).most_common(60)]
                for side in (0, 1)]
    return [set(frequent[side][:n]) for side, n in zip(half, counts, strict=True)]


def text_codes(known: np.ndarray) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Codes of text vectors by name, learned from the vectors of other texts."""
    mean, turn = known.mean(axis=0), planes(known.shape[1], 100)
    size = np.abs((known - mean) @ turn).mean(axis=0)
    return {"int8.100": lambda rows: int8(known, rows),
            "bits.64": lambda rows: by_variance(known, rows, 64),
            "bits.32": lambda rows: by_variance(known, rows, 32),
            "bits.16": lambda rows: by_variance(known, rows, 16),
            "signs.13": lambda rows: np.sign((rows - mean) @ turn) * size @ turn.T + mean}


def inversion(quick: bool) -> dict:
    """Words read back from vectors of news and of emoji texts, from codes, and by guessing."""
    vectors = text.load_word_vectors()
    blind, wide, result = text.random_vectors(vectors), load_wide_vectors(), {}
    sentences = load_sentences()
    drawn = np.random.default_rng(0).choice(len(sentences), 5000, replace=False)
    known = text.sentence_vectors([sentences[i] for i in drawn], vectors).astype(float)
    codes = text_codes(known[np.linalg.norm(known, axis=1) > 0])
    for name, load in (("news", news_texts), ("emoji", emoji_texts)):
        texts, clusters, lengths = load(vectors)
        if quick:
            texts, clusters, lengths = texts[:40], clusters[:40], lengths[:40]
        rows, random_rows = (text.sentence_vectors(texts, kind) for kind in (vectors, blind))
        found = {"exact": read_back(texts, rows, vectors),
                 "exact.told": read_back(texts, rows, vectors, told=True),
                 "exact.random": read_back(texts, random_rows, blind),
                 "exact.wide": read_back(texts, text.sentence_vectors(texts, wide), wide),
                 **guesses(texts, clusters, rows, vectors)}
        for code, arrive in codes.items():
            spread = np.sqrt(np.mean(np.square(unit_rows(arrive(known)) - known).sum(axis=1)))
            named = words_read(unit_rows(arrive(rows.astype(float))), vectors, spread,
                               np.full(len(texts), 40))
            true = numbers_of(texts, vectors)
            found[code] = scores_of(named, true)
            found[f"{code}.frequent"] = scores_of(frequent_words(
                true, clusters, [len(words) for words in named]), true)
        result[name] = {"clusters": clusters.tolist(), "lengths": lengths.tolist(),
                        "words": [len(set(words)) for words in texts],
                        "scores": {key: table.round(4).tolist() for key, table in found.items()}}
    return {**result, "vocabulary": len(vectors)}


# Membership: was a concept in the training set?

def auc(members: np.ndarray, others: np.ndarray) -> float:
    """Chance that a member scores above another, ties count half.

    >>> auc(np.array([2.0, 3.0]), np.array([1.0, 2.0]))
    0.875
    """
    ranked = rankdata(np.concatenate([members, others]))[:len(members)]
    return float((ranked.sum() - len(members) * (len(members) + 1) / 2)
                 / (len(members) * len(others)))


def rate_at(members: np.ndarray, others: np.ndarray, share: float = 0.01) -> float:
    """Share of members above a threshold that at most `share` of the others pass.

    >>> rate_at(np.array([5.0, 1.0]), np.arange(100) / 25)
    0.5
    """
    allowed = int(share * len(others))
    return float(np.mean(members > np.sort(others)[::-1][allowed]))


def attacks(similarity: np.ndarray) -> dict[str, np.ndarray]:
    """How strongly each text holds to its own picture, in four ways: (n,) each, larger is more."""
    own, n = np.diag(similarity), len(similarity)
    rest = (similarity.sum(axis=1) + similarity.sum(axis=0) - 2 * own) / (2 * (n - 1))
    sharp = similarity / 0.1
    loss = (logsumexp(sharp, axis=1) + logsumexp(sharp, axis=0)) / 2 - np.diag(sharp)
    place = (similarity >= own[:, None]).sum(axis=1)
    return {"cosine": own, "above the mean": own - rest, "rank": -place.astype(float),
            "loss": -loss}


def halves(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Which concepts are members, drawn at random, and a picture of each to ask with."""
    emoji = load_emoji()
    order = np.random.default_rng(seed).permutation(len(emoji))
    member = np.zeros(len(emoji), bool)
    member[order[:len(emoji) // 2]] = True
    return member, emoji.gallery(range(len(emoji)), seed)


def trained_on(member: np.ndarray, probe: np.ndarray, alpha: float) -> Iterator[tuple]:
    """Models by name, with the similarity of all texts and probe pictures."""
    base = load_protocol()
    shown = base.emoji.pictures.concept_row
    rows = np.flatnonzero(member[shown])
    spared = np.setdiff1d(rows, probe)          # the picture that asks was not trained on

    def similarity(model: object, rows: np.ndarray, texts: np.ndarray = base.texts) -> np.ndarray:
        pairs = texts[shown[rows]], base.features[rows]
        model.fit(*pairs, shown[rows]) if isinstance(model, TwoTower) else model.fit(*pairs)
        return model.similarity(texts, base.features[probe])

    for name, penalty in (("ridge", alpha), ("ridge, small penalty", 0.01)):
        yield name, similarity(RidgeMap(penalty, "image_to_text"), rows)
    yield "ridge, other picture", similarity(RidgeMap(alpha, "image_to_text"), spared)
    yield "ridge.random", similarity(RidgeMap(alpha, "image_to_text"), rows, base.random_texts)
    yield "kernel", similarity(KernelMap(1.0), rows)
    for epochs in EPOCHS:
        yield f"towers {epochs}", similarity(TwoTower(epochs=epochs), rows)
    yield "towers 40, other picture", similarity(TwoTower(epochs=40), spared)
    yield "towers 40.random", similarity(TwoTower(epochs=40), rows, base.random_texts)


def trained_privately(member: np.ndarray, probe: np.ndarray, seed: int) -> Iterator[tuple]:
    """Clipped ridge without noise and with it, for the same attack, with the chosen penalties."""
    base, (rows, texts, pictures) = load_protocol(), clipped_rows()
    noise = np.random.default_rng(1000 + seed)
    shown = base.emoji.pictures.concept_row
    mine = np.flatnonzero(member[shown])
    yield "few directions", (unit_rows(texts) @ unit_rows(pictures[probe] @ ridge(
        pictures[mine], texts[shown[mine]], CHOSEN["inf"])).T)
    for name, epsilon, penalty in (
            ("clipped ridge", np.inf, CHOSEN["inf"]),
            ("clipped ridge, large penalty", np.inf, CHOSEN["8"]),
            ("private ridge 8", 8.0, CHOSEN["8"]), ("private ridge 1", 1.0, CHOSEN["1"])):
        fitted = ridge(rows[member], texts[member], penalty)
        if np.isfinite(epsilon):
            fitted = fitted + noise.standard_normal(fitted.shape) * (
                sensitivity(penalty) * gaussian_scale(epsilon, DELTA))
        yield name, unit_rows(texts) @ unit_rows(pictures[probe] @ fitted).T


def one_membership(models: Iterator[tuple], expected: Sequence[str]) -> np.ndarray:
    """Attack scores of every concept, and hits at ten, by model: (n_models, 5, n)."""
    names, tables = [], []
    for name, similarity in models:
        names.append(name)
        tables.append([*attacks(similarity).values(), hits(similarity)])
    if names != list(expected):
        raise RuntimeError(f"Expected {expected}, got {names}.")
    return np.array(tables, np.float32)


def membership(quick: bool) -> dict:
    """Areas, rates and curves of the attack that shadow runs prefer, with intervals."""
    alpha = chosen_alpha(load_protocol()).alpha
    key = content_key("membership 4", alpha, EPOCHS, load_protocol().features[::100],
                      load_protocol().texts)
    runs, own = {}, content_key(key, "private 1", CHOSEN)
    for seed in [*SHADOWS, *(SEEDS[:2] if quick else SEEDS)]:
        where = halves(seed)
        runs[seed] = np.concatenate([
            cached_array("trust", f"{key}-{seed}", lambda where=where: one_membership(
                trained_on(*where, alpha), MODELS[:-5])),
            cached_array("trust", f"{own}-{seed}", lambda seed=seed, where=where: one_membership(
                trained_privately(*where, seed), MODELS[-5:]))])
        ties = rankdata(runs[seed][:, 3], axis=1) / (runs[seed].shape[-1] + 1)
        runs[seed][:, 2] += ties        # of equal ranks, the smaller loss is the firmer
    member = {seed: halves(seed)[0] for seed in runs}
    result = {}
    for i, name in enumerate(MODELS):
        areas = [np.mean([auc(*split_by(runs[seed][i, way], member[seed])) for seed in SHADOWS])
                 for way in range(4)]
        way = int(np.argmax(areas))
        seeds = [seed for seed in runs if seed not in SHADOWS]
        for label, sides in ((name, seeds), ("towers 40, other half", np.roll(seeds, 1).tolist())):
            if label == name or name == "towers 40":        # the members of another seed: none
                result[label] = {"attack": ATTACKS[way], "shadow": float(max(areas)), **summary(
                    [runs[seed][i, way] for seed in seeds],
                    [runs[seed][i, 4] for seed in seeds], [member[seed] for seed in sides])}
    return {"alpha": alpha, "concepts": len(load_emoji()), "models": result}


MODELS = ["ridge", "ridge, small penalty", "ridge, other picture", "ridge.random", "kernel",
          *(f"towers {epochs}" for epochs in EPOCHS), "towers 40, other picture",
          "towers 40.random", "few directions", "clipped ridge", "clipped ridge, large penalty",
          "private ridge 8", "private ridge 1"]
CHOSEN = {"inf": 3.0, "8": 3000.0, "1": 10_000.0}      # penalties that `private_ridge` chooses
ATTACKS = ("cosine", "above the mean", "rank", "loss")


def split_by(scores: np.ndarray, member: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores of members and of the others."""
    return scores[member], scores[~member]


def summary(scores: Sequence[np.ndarray], found: Sequence[np.ndarray],
            member: Sequence[np.ndarray], n_resamples: int = 400) -> dict:
    """Means over seeds of area, rate and gap in hit@10, with intervals over subgroups."""
    clusters = np.unique(load_emoji().clusters, return_inverse=True)[1]
    rows = [np.flatnonzero(clusters == c) for c in range(clusters.max() + 1)]
    rng = np.random.default_rng(0)

    def measure(drawn: np.ndarray) -> list[float]:
        each = [[*(f(*split_by(s[drawn], m[drawn])) for f in (auc, rate_at)),
                 h[drawn][m[drawn]].mean() - h[drawn][~m[drawn]].mean()]
                for s, h, m in zip(scores, found, member, strict=True)]
        return np.mean(each, axis=0)

    whole = np.arange(len(clusters))
    draws = np.array([measure(np.concatenate([rows[i] for i in rng.integers(
        len(rows), size=len(rows))])) for _ in range(n_resamples)])
    low, high = np.percentile(draws, [2.5, 97.5], axis=0)
    grid = np.concatenate([[0.001, 0.003], np.linspace(0.01, 1, 34)])
    curve = [np.mean([rate_at(*split_by(s, m), x - 1e-9) for s, m in zip(
        scores, member, strict=True)]) for x in grid]
    inside, outside = (np.mean([h[m == side].mean() for h, m in zip(found, member, strict=True)])
                       for side in (True, False))
    return {"auc": [auc(*split_by(s, m)) for s, m in zip(scores, member, strict=True)],
            **{key: [value, lo, hi] for key, value, lo, hi in zip(
                ("area", "rate", "gap"), measure(whole).tolist(), low.tolist(), high.tolist(),
                strict=True)},
            "inside": float(inside), "outside": float(outside),
            "curve": [grid.round(4).tolist(), np.round(curve, 4).tolist()]}


# Differential privacy

def gaussian_scale(epsilon: float, delta: float) -> float:
    """Smallest standard deviation of normal noise for sensitivity 1 (Balle and Wang, 2018).

    >>> round(gaussian_scale(1.0, 1e-4), 2)
    3.19
    """
    def excess(scale: float) -> float:
        half, shift = 1 / (2 * scale), epsilon * scale
        return float(norm.cdf(half - shift) - np.exp(epsilon + norm.logcdf(-half - shift)))

    low, high = 1e-3, 1e4
    for _ in range(200):
        middle = np.sqrt(low * high)
        low, high = (middle, high) if excess(middle) > delta else (low, middle)
    return float(high)


def clip_rows(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1 or less: longer ones are shortened.

    >>> clip_rows(np.array([[3.0, 4.0], [0.3, 0.4]])).tolist()
    [[0.6, 0.8], [0.3, 0.4]]
    """
    return rows / np.maximum(1, np.linalg.norm(rows, axis=1, keepdims=True))


def ridge(x: np.ndarray, y: np.ndarray, penalty: float) -> np.ndarray:
    """The map W with the least |X W - Y|² + penalty |W|²."""
    return np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y)


def sensitivity(penalty: float, most_rows: int = MOST_ROWS) -> float:
    """How far one row can move the map, for rows of x and y of length 1 or less.

    W - W' = A'^-1 x r' / (1 + h), with A' = X'X + penalty I without the row, h = x' A'^-1 x and
    r = y - W''x. The first factor is at most 1 / (penalty + 1) for a penalty of 1 or more, and
    |r| is at most 1 + |W'| <= 1 + sqrt(n) / (2 sqrt(penalty)).

    >>> round(sensitivity(100.0, 400), 4)
    0.0198
    """
    if penalty < 1:
        raise ValueError(f"The bound needs a penalty of 1 or more; got {penalty}.")
    return (1 + np.sqrt(most_rows) / (2 * np.sqrt(penalty))) / (penalty + 1)


def largest_move(x: np.ndarray, y: np.ndarray, penalty: float) -> float:
    """The largest distance of the map when one row is left out."""
    whole = ridge(x, y, penalty)
    return max(float(np.linalg.norm(whole - ridge(np.delete(x, i, 0), np.delete(y, i, 0), penalty)))
               for i in range(len(x)))


@cache
def public() -> dict[str, np.ndarray]:
    """What is public: emoji that the collection leaves out, their features and their texts."""
    entries, _ = emojibase()
    known = set(load_emoji().ids)
    left = [entry for entry in entries if entry["hexcode"] not in known and "label" in entry]
    jobs = [(style, drawings.slug(entry["label"]), i) for i, entry in enumerate(left)
            for style in PUBLIC_STYLES if drawings.svg(style, drawings.slug(entry["label"]))]
    features = drawn_features([job[:2] for job in jobs])
    owner = np.array([i for *_, i in jobs])
    tokens = [text.tokenize(" ".join([entry["label"], *entry.get("tags", [])])) for entry in left]
    texts = text.sentence_vectors(tokens, text.load_word_vectors())
    blind = text.sentence_vectors(tokens, text.random_vectors(text.load_word_vectors()))
    both = np.unique(owner)
    both = both[np.linalg.norm(texts[both], axis=1) > 0]
    return {"features": features, "owner": owner, "texts": texts, "blind": blind, "both": both}


@cache
def public_view(dim: int = PUBLIC_DIM) -> tuple:
    """From public pictures alone: mean, directions and a scale; mean and scale of texts."""
    seen = public()
    mean = seen["features"].mean(axis=0)
    _, _, right = np.linalg.svd(seen["features"] - mean, full_matrices=False)
    turned = (seen["features"] - mean) @ right[:dim].T
    scale = np.median([np.linalg.norm(turned[seen["owner"] == i].mean(axis=0))
                       for i in seen["both"]])
    texts = seen["texts"][seen["both"]]
    center = texts.mean(axis=0)
    return mean, right[:dim].T, scale, center, np.median(np.linalg.norm(texts - center, axis=1))


@cache
def clipped_rows(blind: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One row a concept, both of length 1 or less, and all pictures in the same coordinates."""
    base = load_protocol()
    mean, directions, scale, center, length = public_view()
    pictures = (base.features - mean) @ directions / scale
    shown = base.emoji.pictures.concept_row
    means = np.array([pictures[shown == i].mean(axis=0) for i in range(len(base.emoji))])
    texts = base.texts
    if blind:
        seen = public()
        texts, center = base.random_texts, seen["blind"][seen["both"]].mean(axis=0)
    return clip_rows(means), clip_rows((texts - center) / length), pictures


def private_ridge(quick: bool) -> dict:
    """Output perturbation: hits at ten by epsilon, the penalty chosen on other splits."""
    rows, texts, pictures = clipped_rows()
    practice = [split_of(salt) for salt in PRACTICE]
    salts = [split_of(salt) for salt in (SALTS[:2] if quick else SALTS)]
    result, penalties = {}, {}
    for epsilon in (*EPSILONS, np.inf):
        def score(penalty: float, epsilon: float = epsilon) -> float:
            return np.mean([noisy_hits(rows, texts, pictures, part, penalty, epsilon, seed)
                            for part in practice for seed in range(3)])
        penalty = max(PENALTIES_CLIPPED, key=score)
        penalties[str(epsilon)] = penalty
        for name, y in (("", texts), (".random", clipped_rows(True)[1])):
            result[f"{epsilon}{name}"] = [np.mean([noisy_hits(
                rows, y, pictures, part, penalty, epsilon, seed)
                for seed in range(5)], axis=0).round(4).tolist() for part in salts]
    train = practice[0].split.train
    moves = {str(penalty): [largest_move(rows[train], texts[train], penalty),
                            sensitivity(penalty)] for penalty in PENALTIES_CLIPPED}
    return {"penalties": penalties, "hits": result, "moves": moves,
            "rows": [len(part.split.train) for part in salts],
            "clipped": [float(np.mean(np.linalg.norm(table, axis=1) > 0.9999))
                        for table in (rows, texts)]}


def noisy_hits(rows: np.ndarray, texts: np.ndarray, pictures: np.ndarray, part: Protocol,
               penalty: float, epsilon: float, seed: int) -> np.ndarray:
    """Hits of each test text when the map is released with noise."""
    train, test = part.split.train, part.split.test
    fitted = ridge(rows[train], texts[train], penalty)
    if np.isfinite(epsilon):
        scale = sensitivity(penalty) * gaussian_scale(epsilon, DELTA)
        fitted = fitted + scale * np.random.default_rng(seed).standard_normal(fitted.shape)
    return hits(unit_rows(texts[test]) @ unit_rows(pictures[part.gallery] @ fitted).T)


@cache
def split_of(salt: int) -> Protocol:
    """The protocol of one salt, without loading anything twice."""
    first = load_protocol()
    split = first.emoji.split(salt, strict=True)
    return replace(first, split=split, train=np.flatnonzero(np.isin(
        first.emoji.pictures.concept_row, split.train)), held=first.emoji.gallery(
            split.validation, salt), gallery=first.emoji.gallery(split.test, salt))


class PublicTowers(nn.Module):
    """Two linear towers whose wrong answers are public: a loss with a term for each concept.

    Each concept's text chooses its own picture out of public ones, and its picture its own text
    out of public ones. So no concept stands in another one's term, and a gradient per concept
    exists, which contrastive loss within a batch does not have.
    """

    def __init__(self, dim_text: int, dim_image: int, dim: int = DIM) -> None:
        super().__init__()
        self.text = nn.Linear(dim_text, dim, bias=False)
        self.image = nn.Linear(dim_image, dim, bias=False)

    def forward(self, text: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """Scores: (n, 2, 1 + candidates), the own one first; inputs hold own and public rows."""
        texts = functional.normalize(self.text(text), dim=-1)
        images = functional.normalize(self.image(image), dim=-1)
        return torch.stack([torch.einsum("nd,nkd->nk", texts[:, 0], images),
                            torch.einsum("nd,nkd->nk", images[:, 0], texts)], dim=1) / 0.1


def with_public(rows: np.ndarray, candidates: np.ndarray) -> torch.Tensor:
    """Each row in front of all public candidates: (n, 1 + candidates, dim)."""
    rows, candidates = (torch.tensor(table, dtype=torch.float32) for table in (rows, candidates))
    return torch.cat([rows[:, None], candidates.expand(len(rows), -1, -1)], dim=1)


@cache
def noise_multiplier(epsilon: float, sample_rate: float, epochs: int) -> float:
    """Noise over clipping length for which all steps together spend epsilon, by Opacus."""
    from opacus.accountants.utils import get_noise_multiplier

    return get_noise_multiplier(target_epsilon=epsilon, target_delta=DELTA, epochs=epochs,
                                sample_rate=sample_rate, accountant="rdp")


def train_towers(x: np.ndarray, y: np.ndarray, candidates: tuple[np.ndarray, np.ndarray],
                 epsilon: float, epochs: int, lr: float, seed: int, clip: float = 1.0
                 ) -> tuple[PublicTowers, float]:
    """Towers trained by Opacus so that (epsilon, DELTA) holds for a concept; what was spent.

    epsilon : infinity trains with the same loss, without clipping and without noise.
    """
    torch.manual_seed(seed)
    towers = PublicTowers(x.shape[1], y.shape[1])
    optimizer = torch.optim.Adam(towers.parameters(), lr)
    data = torch.utils.data.TensorDataset(with_public(x, candidates[0]),
                                          with_public(y, candidates[1]))
    loader = torch.utils.data.DataLoader(data, batch_size=-(-len(x) // 2),
                                         shuffle=True)
    engine, spent = None, np.inf
    if np.isfinite(epsilon):
        import opacus

        engine = opacus.PrivacyEngine(accountant="rdp")
        towers, optimizer, loader = engine.make_private(
            module=towers, optimizer=optimizer, data_loader=loader, max_grad_norm=clip,
            noise_multiplier=noise_multiplier(epsilon, 1 / len(loader), epochs))
    for _ in range(epochs):
        for texts, images in loader:
            optimizer.zero_grad()
            if len(texts):
                scores = towers(texts, images)
                functional.cross_entropy(scores.flatten(0, 1), torch.zeros(
                    2 * len(texts), dtype=torch.long)).backward()
            optimizer.step()
    if engine is not None:
        spent = engine.get_epsilon(DELTA)
        towers = towers._module
    return towers.eval(), spent


@cache
def public_rows(blind: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Texts and pictures of the public candidates, as rows of length 1 or less."""
    seen = public()
    mean, directions, scale, center, length = public_view()
    both = np.random.default_rng(0).permutation(seen["both"])[:CANDIDATES]
    pictures = (seen["features"] - mean) @ directions / scale
    texts = seen["blind" if blind else "texts"]
    center = texts[seen["both"]].mean(axis=0) if blind else center
    return (clip_rows((texts[both] - center) / length),
            clip_rows(np.array([pictures[seen["owner"] == i].mean(axis=0) for i in both])))


def tower_hits(part: Protocol, epsilon: float, epochs: int, lr: float, seed: int,
               blind: bool = False) -> tuple[np.ndarray, float]:
    """Hits of each test text by towers trained with (epsilon, DELTA), and what was spent."""
    rows, _, pictures = clipped_rows()
    texts = clipped_rows(blind)[1]
    train = part.split.train
    towers, spent = train_towers(texts[train], rows[train], public_rows(blind), epsilon, epochs,
                                 lr, seed)
    with torch.no_grad():
        asks = towers.text(torch.tensor(texts[part.split.test], dtype=torch.float32)).numpy()
        seen = towers.image(torch.tensor(pictures[part.gallery], dtype=torch.float32)).numpy()
    return hits(unit_rows(asks) @ unit_rows(seen).T), spent


def private_towers(quick: bool) -> dict:
    """Hits at ten of towers by epsilon; epochs and step length chosen on other splits."""
    practice = [split_of(salt) for salt in PRACTICE[:2]]
    salts = [split_of(salt) for salt in (TOWER_SALTS[:1] if quick else TOWER_SALTS)]
    grid = TOWER_GRID[:1] if quick else TOWER_GRID
    result, chosen, most = {}, {}, {}
    for epsilon in (8, np.inf) if quick else (*EPSILONS, np.inf):
        def score(setting: tuple, epsilon: float = epsilon) -> float:
            return np.mean([tower_hits(part, epsilon, *setting, 0)[0] for part in practice])
        setting = max(grid, key=score)
        chosen[str(epsilon)] = setting
        for name, blind in (("", False), (".random", True)):
            if blind and epsilon not in (8, np.inf):
                continue
            runs = [[tower_hits(part, epsilon, *setting, seed, blind) for seed in TOWER_SEEDS]
                    for part in salts]
            result[f"{epsilon}{name}"] = [np.mean([found for found, _ in row], axis=0).round(
                4).tolist() for row in runs]
            most[f"{epsilon}{name}"] = max(spent for row in runs for _, spent in row)
    return {"hits": result, "chosen": chosen,
            "spent": {key: value for key, value in most.items() if np.isfinite(value)}}


# Emoji that the collection leaves out

@cache
def emojibase() -> tuple[list[dict], dict]:
    """All base emoji, and the names of groups and subgroups."""
    package = package_path("emojibase") / "package"
    return (json.loads((package / "en" / "data.json").read_text("utf8")),
            json.loads((package / "meta" / "groups.json").read_text("utf8")))


def drawn(jobs: Sequence[tuple[str, str]]) -> Path:
    """Folder with a picture for each (style, icon name), drawn once."""
    pins = [SOURCES[style].integrity for style in sorted({style for style, _ in jobs})]
    key = content_key("people", jobs, pins, PIXELS, resvg_py.__version__)

    def draw(folder: Path) -> None:
        folder.mkdir(parents=True)
        for i, (style, name) in enumerate(tqdm(jobs, desc="Drawing emoji")):
            png = resvg_py.svg_to_bytes(svg_string=drawings.svg(style, name), width=PIXELS,
                                        height=PIXELS)
            (folder / f"{i:05}.png").write_bytes(bytes(png))

    return keep(cache_dir() / "trust" / key, draw)


def drawn_features(jobs: Sequence[tuple[str, str]]) -> np.ndarray:
    """Features of pictures by (style, icon name): (n, 1280)."""
    jobs = [list(job) for job in jobs]
    backbone = vision.load_backbone()
    key = content_key("people features", jobs, backbone.weights, PIXELS, resvg_py.__version__)

    def compute() -> np.ndarray:
        folder, rows = drawn(jobs), []
        for start in tqdm(range(0, len(jobs), 64), desc="Features"):
            paths = [folder / f"{i:05}.png" for i in range(start, min(start + 64, len(jobs)))]
            rows.append(vision.extract_features(load_images(paths), backbone))
        return np.concatenate(rows)

    return cached_array("trust", key, compute)


# Fairness: association tests

MALE = "male man boy brother he him his son"
FEMALE = "female woman girl sister she her hers daughter"
NAMES = ("john paul mike kevin steve greg jeff bill", "amy joan lisa sarah diana kate ann donna")
TARGETS = {
    "career": ("executive management professional corporation salary office business career",
               "home parents children family cousins marriage wedding relatives"),
    "math": ("math algebra geometry calculus equations computation numbers addition",
             "poetry art dance literature novel symphony drama sculpture"),
    "science": ("science technology physics chemistry einstein nasa experiment astronomy",
                "poetry art shakespeare dance literature novel symphony drama")}
TESTS = {       # targets and attributes, as published but for the terms of the first test
    "career": ((MALE, FEMALE), TARGETS["career"]), "names": (NAMES, TARGETS["career"]),
    "math": (TARGETS["math"], (MALE, FEMALE)),
    "science": (TARGETS["science"], ("brother father uncle grandfather son he his him",
                                     "sister mother aunt grandmother daughter she hers her"))}


def associations(words: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Mean cosine with the first attributes less that with the second, a number a word."""
    words, first, second = (unit_rows(rows.astype(float)) for rows in (words, first, second))
    return (words @ first.T).mean(axis=1) - (words @ second.T).mean(axis=1)


def effect_size(x: np.ndarray, y: np.ndarray) -> float:
    """Difference of the means over the standard deviation of all: between -2 and 2.

    >>> effect_size(np.array([1.0, 1.0]), np.array([0.0, 0.0]))
    2.0
    """
    spread = np.concatenate([x, y]).std()
    return float((x.mean() - y.mean()) / spread) if spread > 0 else 0.0


def permutation_p(x: np.ndarray, y: np.ndarray) -> float:
    """Share of all ways to deal the words into two such sets with as large a difference or more.

    >>> round(permutation_p(np.array([3.0, 4.0]), np.array([1.0, 2.0])), 4)
    0.1667
    """
    both, n = np.concatenate([x, y]), len(x)
    picks = np.array(list(combinations(range(len(both)), n)))
    assert len(picks) == comb(len(both), n)
    sums = both[picks].sum(axis=1)
    return float(np.mean(sums >= x.sum() - 1e-12))


def weat(vectors: KeyedVectors, targets: tuple[str, str], attributes: tuple[str, str],
         n_resamples: int = 2000) -> dict:
    """Effect size with its interval over words, exact one-sided p, and the words that were there.

    The interval draws target words and attribute words again, each within its set.
    """
    sets = [[word for word in words.split() if word in vectors]
            for words in (*targets, *attributes)]
    x, y, a, b = ([vectors[word] for word in words] for words in sets)
    x, y, a, b = (np.array(rows) for rows in (x, y, a, b))
    scores = associations(np.vstack([x, y]), a, b)
    one, two = scores[:len(x)], scores[len(x):]
    cosines = unit_rows(np.vstack([x, y])) @ unit_rows(np.vstack([a, b])).T
    rng, sizes = np.random.default_rng(0), []
    for _ in range(n_resamples):
        rows = [rng.integers(n, size=n) for n in map(len, sets)]
        left, right = cosines[:, rows[2]], cosines[:, len(a) + rows[3]]
        again = left.mean(axis=1) - right.mean(axis=1)
        sizes.append(effect_size(again[rows[0]], again[len(x) + rows[1]]))
    low, high = np.percentile(sizes, [2.5, 97.5])
    return {"d": effect_size(one, two), "low": float(low), "high": float(high),
            "p": permutation_p(one, two), "words": sets,
            "difference": float(one.mean() - two.mean())}


@cache
def glove() -> KeyedVectors:
    """GloVe vectors, trained on Wikipedia and newspapers (Pennington et al., 2014)."""
    from fusion import GLOVE

    path = fetched(GLOVE) / "package" / f"{GLOVE.name}.json"
    table = json.loads(path.read_text(encoding="utf8"))["vectors"]
    vectors = KeyedVectors(100)
    vectors.add_vectors(list(table), np.array([row[:100] for row in table.values()], np.float32))
    return vectors


def fairness_of_words(quick: bool) -> dict:
    """Association tests and what projection leaves, by word vectors; counts of the corpus."""
    short = text.load_word_vectors()
    kinds = {"word2vec": short, "wide": load_wide_vectors(),
             "random": text.random_vectors(short)}
    if not quick:
        kinds["GloVe"] = glove()
    result = {}
    for name, vectors in kinds.items():
        tests = {key: weat(vectors, *sets) for key, sets in TESTS.items()}
        result[name] = {"weat": tests, "hidden": hidden_gender(vectors, 3 if quick else 20)}
    counts = {word: int(short.get_vecattr(word, "count")) for words in (MALE, FEMALE)
              for word in words.split()}
    return {"vectors": result, "counts": counts}


PAIRS = (("woman", "man"), ("girl", "boy"), ("she", "he"), ("mother", "father"),
         ("daughter", "son"), ("female", "male"), ("her", "his"), ("herself", "himself"),
         ("sister", "brother"), ("queen", "king"))


def gender_direction(vectors: KeyedVectors) -> np.ndarray:
    """The direction in which the pairs differ most, from male to female (Bolukbasi et al., 2016).

    The first principal component of both words of each pair, less the pair's middle.
    """
    pairs = np.array([[vectors[a], vectors[b]] for a, b in PAIRS if a in vectors and b in vectors])
    pairs = unit_rows(pairs.reshape(-1, pairs.shape[-1]).astype(float)).reshape(pairs.shape)
    apart = (pairs - pairs.mean(axis=1, keepdims=True)).reshape(-1, pairs.shape[-1])
    direction = np.linalg.svd(apart, full_matrices=False)[2][0]
    return direction * np.sign((pairs[:, 0] - pairs[:, 1]).mean(axis=0) @ direction)


def without(rows: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Rows without their part along a unit direction."""
    return rows - np.outer(rows @ direction, direction)


def readable(rows: np.ndarray, direction: np.ndarray, n: int = 500) -> tuple[float, np.ndarray]:
    """Whether the words that lean most to either side can be told apart after projection.

    Accuracy of a linear reader, and of one with a Gaussian kernel, on words that it did not see
    (five folds); which of the 2 n words were told right by the latter.
    """
    lean = rows @ direction
    order = np.argsort(lean)
    words = np.concatenate([order[:n], order[-n:]])
    side = np.repeat([0, 1], n)
    left = unit_rows(without(rows[words], direction))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    readers = {"linear": LogisticRegression(max_iter=1000), "kernel": SVC()}
    return {name: (cross_val_predict(make_pipeline(StandardScaler(), reader), left, side, cv=folds)
                   == side) for name, reader in readers.items()}


def hidden_gender(vectors: KeyedVectors, n_controls: int) -> dict:
    """Readability of the gender direction after projection, and of other words' differences.

    Controls: differences of ten random pairs of words of like count, the same recipe.
    """
    words = [word for word in vectors.index_to_key[:20_000]
             if word not in {word for pair in PAIRS for word in pair}]
    rows = unit_rows(np.array([vectors[word] for word in words]).astype(float))
    found = readable(rows, gender_direction(vectors))
    rng, others = np.random.default_rng(0), []
    for _ in range(n_controls):
        pairs = rows[rng.integers(2000, size=(len(PAIRS), 2))]
        apart = (pairs - pairs.mean(axis=1, keepdims=True)).reshape(-1, rows.shape[1])
        direction = np.linalg.svd(apart, full_matrices=False)[2][0]
        others.append({name: float(right.mean()) for name, right in
                       readable(rows, direction).items()})
    order = np.argsort(rows @ gender_direction(vectors))
    return {name: [float(right.mean()), *bootstrap_interval(right.astype(float))]
            for name, right in found.items()} | {
        "controls": {name: [row[name] for row in others] for name in found},
        "male": [words[i] for i in order[:12]], "female": [words[i] for i in order[-12:][::-1]]}


# Fairness: who is shown

def roles() -> list[dict]:
    """Roles that are drawn as a person, a man and a woman: label, words to ask with."""
    entries, meta = emojibase()
    labels, found = {entry.get("label") for entry in entries}, []
    for entry in entries:
        kind = meta["subgroups"].get(str(entry.get("subgroup")))
        if kind == "person-role" and all(word + entry["label"] in labels for word in GENDERS):
            words = drawings.annotations("en")[entry["emoji"].replace("\ufe0f", "")]["default"]
            asked = [entry["label"], *(word for word in words if word not in ("man", "person"))]
            found.append({"label": entry["label"], "asked": list(dict.fromkeys(asked))})
    return found


def role_pictures() -> list[tuple[int, str, int, int]]:
    """(role, style, gender, tone) of each picture where all three drawings differ."""
    jobs = []
    for i, role in enumerate(roles()):
        for style in ROLE_STYLES:
            names = [drawings.slug(word + role["label"]) for word in GENDERS]
            if len({drawings.svg(style, name) for name in names} | {None}) < 4:
                continue
            for gender, name in enumerate(names):
                jobs.append((i, style, gender, 0))
                jobs += [(i, style, gender, tone) for tone, color in enumerate(TONES) if tone
                         and style in TONE_STYLES
                         and drawings.svg(style, f"{name}-{color}-skin-tone")]
    return jobs


def icon_name(role: str, gender: int, tone: int) -> str:
    """Icon name of a role's drawing.

    >>> icon_name("health worker", 2, 5)
    'woman-health-worker-dark-skin-tone'
    """
    return drawings.slug(GENDERS[gender] + role) + (f"-{TONES[tone]}-skin-tone" if tone else "")


def same_drawings() -> dict[str, list[int]]:
    """By style: in how many roles the neutral drawing is the man's, the woman's, of how many."""
    result = {}
    for style in drawings.STYLES:
        table = [[drawings.svg(style, drawings.slug(word + role["label"])) for word in GENDERS]
                 for role in roles()]
        table = [row for row in table if all(row)]
        result[style] = [sum(row[0] == row[i] for row in table) for i in (1, 2)] + [len(table)]
    return result


def chosen_alpha(part: Protocol, texts: np.ndarray | None = None) -> RidgeMap:
    """Ridge from pictures to texts with the penalty that validation prefers."""
    return part.choose((RidgeMap(alpha, "image_to_text").fit(*part.pairs(texts))
                        for alpha in PENALTIES), texts)


def asked_vectors(vectors: KeyedVectors) -> tuple[list[str], np.ndarray, np.ndarray]:
    """What is asked, the role of each, and its vector; only words that have one."""
    asked = [(words, i) for i, role in enumerate(roles()) for words in role["asked"]]
    rows = text.sentence_vectors([text.tokenize(words) for words, _ in asked], vectors)
    kept = np.linalg.norm(rows, axis=1) > 0
    return ([words for (words, _), keep_it in zip(asked, kept, strict=True) if keep_it],
            np.array([i for _, i in asked])[kept], rows[kept])


def texts_by(vectors: KeyedVectors, direction: np.ndarray | None) -> Callable:
    """Makes text vectors from lists of tokens, words without their part along a direction."""
    if direction is None:
        return lambda tokens: text.sentence_vectors(tokens, vectors)
    flat = KeyedVectors(vectors.vector_size)
    flat.add_vectors(vectors.index_to_key, without(unit_rows(vectors.vectors).astype(float),
                                                   direction).astype(np.float32))
    return lambda tokens: text.sentence_vectors(tokens, flat)


def who_is_shown(quick: bool) -> dict:
    """Which drawing of a role ranks first, by kind of words and of score, ten splits."""
    short = text.load_word_vectors()
    blind = text.random_vectors(short)
    kinds = {"plain": texts_by(short, None), "projected": texts_by(short, gender_direction(short)),
             "random": texts_by(blind, None)}
    jobs = role_pictures()
    labels = [role["label"] for role in roles()]
    features = drawn_features([(style, icon_name(labels[i], gender, tone))
                               for i, style, gender, tone in jobs])
    asked, owner, _ = asked_vectors(short)
    scores, found = {}, {}
    for name, embed in kinds.items():
        one = [shown_by(split_of(salt), embed, features, asked, labels)
               for salt in (SALTS[:1] if quick else SALTS)]
        for key in one[0][0]:
            scores[f"{name}{key}"] = np.mean([row[0][key] for row in one], axis=0)
            scores[f"{name}{key} each"] = [row[0][key] for row in one]
        for key in one[0][1]:
            found[f"{name}{key}"] = [row[1][key].astype(int).tolist() for row in one]
    return {"roles": roles(), "asked": asked, "owner": owner.tolist(), "same": same_drawings(),
            "pictures": Counter(style for _, style, _, tone in jobs if tone == 0),
            **first_places(scores, np.array([job[0] for job in jobs]), jobs, owner),
            "explicit": explicit(scores, jobs), "lean": lean(scores, jobs, owner, asked),
            "hits": found}


def shown_by(part: Protocol, embed: Callable, features: np.ndarray, asked: Sequence[str],
             labels: Sequence[str]) -> tuple[dict, dict]:
    """Scores of what is asked, and of roles with a gender, with all role pictures; hits."""
    texts = embed(text.concept_tokens(part.emoji))
    model = chosen_alpha(part, texts)
    queries = np.vstack([embed([text.tokenize(words) for words in asked]),
                         *(embed([text.tokenize(word + label) for label in labels])
                           for word in GENDERS[1:])])
    pictures = model.embed_image(features)
    plain = model.embed_text(queries) @ pictures.T
    bank = model.embed_text(texts[part.split.train])
    scored = {"": plain, " csls": csls(plain, bank=bank @ pictures.T)}
    asks, gallery = part.test(texts)
    table = model.similarity(asks, gallery)
    return scored, {"": hits(table), " csls": hits(csls(
        table, bank=bank @ model.embed_image(gallery).T))}


def first_places(scores: dict, role: np.ndarray, jobs: Sequence[tuple], owner: np.ndarray) -> dict:
    """Share of the questions in which each gender, and each tone, ranks first: by style and role.

    A question is asked in each style and each split; its share is a mean over those.
    """
    n, result = len(owner), {}
    style = np.array([job[1] for job in jobs])
    gender, tone = (np.array([job[i] for job in jobs]) for i in (2, 3))
    for name in [key for key in scores if key.endswith(" each")]:
        genders, tones, pairs = [], [], []
        for table in scores[name]:
            for look in ROLE_STYLES:
                mine = (role == owner[:, None]) & (style == look)
                three = np.where(mine & (tone == 0), table[:n], -np.inf)
                there = np.isfinite(three).any(axis=1)
                share = np.eye(3)[gender[three.argmax(axis=1)]]
                genders.append(np.where(there[:, None], share, np.nan))
                if look in TONE_STYLES:
                    six, dark = tone_places(table[:n], mine, gender, tone)
                    tones.append(six)
                    pairs.append(dark)
        result[name.removesuffix(" each")] = {
            "genders": np.nanmean(genders, axis=0).round(4).tolist(),
            "by style": [[look, np.nanmean([g for i, g in enumerate(genders) if i % len(
                ROLE_STYLES) == k], axis=(0, 1)).round(4).tolist()]
                for k, look in enumerate(ROLE_STYLES)],
            "tones": np.nanmean(tones, axis=0).round(4).tolist(),
            "dark above light": np.nanmean(pairs, axis=0).round(4).tolist()}
    return {"shown": result}


def tone_places(table: np.ndarray, mine: np.ndarray, gender: np.ndarray, tone: np.ndarray
                ) -> tuple[np.ndarray, np.ndarray]:
    """For each question, shares of the six tones in first place, mean over genders, and how
    often the dark drawing ranks above the light one."""
    firsts, darker = [], []
    for who in range(3):
        part = mine & (gender == who)
        full = part.sum(axis=1) == len(TONES)
        scored = np.where(part, table, -np.inf)
        share = np.eye(len(TONES))[tone[scored.argmax(axis=1)]]
        firsts.append(np.where(full[:, None], share, np.nan))
        light, dark = (np.where(part & (tone == t), table, -np.inf).max(axis=1) for t in (1, 5))
        with np.errstate(invalid="ignore"):
            darker.append(np.where(full, (dark > light).astype(float), np.nan))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmean(firsts, axis=0), np.nanmean(darker, axis=0)


def explicit(scores: dict, jobs: Sequence[tuple]) -> dict:
    """Whether "woman ..." puts the woman above the man, and the reverse: a share a role."""
    n_roles = len(roles())
    index = {(i, style, gender): row for row, (i, style, gender, tone) in enumerate(jobs)
             if tone == 0}
    result = {}
    for name in [key for key in scores if key.endswith(" each")]:
        right = np.full((2, n_roles), np.nan)
        for asked in (1, 2):
            for i in range(n_roles):
                pairs = [(index[i, style, asked], index[i, style, 3 - asked])
                         for style in ROLE_STYLES if (i, style, asked) in index]
                row = (asked - 3) * n_roles + i if asked == 1 else i - n_roles
                right[asked - 1, i] = np.mean([table[row, own] > table[row, other]
                                               for table in scores[name] for own, other in pairs])
        result[name.removesuffix(" each")] = right.round(4).tolist()
    return result


def lean(scores: dict, jobs: Sequence[tuple], owner: np.ndarray, asked: Sequence[str]) -> dict:
    """Each question's lean in words, and how much nearer the woman's drawing is than the man's."""
    short = text.load_word_vectors()
    rows = unit_rows(text.sentence_vectors([text.tokenize(words) for words in asked], short))
    index = {(i, style, gender): row for row, (i, style, gender, tone) in enumerate(jobs)
             if tone == 0}
    nearer = [np.mean([scores["plain"][q, index[i, style, 2]] - scores["plain"][q, index[
        i, style, 1]] for style in ROLE_STYLES if (i, style, 1) in index])
        for q, i in enumerate(owner)]
    return {"words": (rows @ gender_direction(short)).round(5).tolist(),
            "pictures": np.round(nearer, 5).tolist()}


def main() -> None:
    """Run the parts and, unless --quick, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a little of each; writes nothing")
    parser.add_argument("--only", nargs="*", help="names of parts; writes nothing")
    arguments = parser.parse_args()
    quick = arguments.quick
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", module="opacus|torch")
    work = {"inversion": inversion, "membership": membership, "private ridge": private_ridge,
            "private towers": private_towers, "words": fairness_of_words, "people": who_is_shown}
    content = {}
    for name in tqdm(arguments.only or work, desc="Parts"):
        key = content_key(name, VERSIONS[name], load_protocol().features[::100],
                          load_protocol().texts, quick)
        memory = cache_dir() / "trust" / f"{key}.json"
        if not memory.exists():
            save(memory, work[name](quick))
        content[name] = json.loads(memory.read_text("utf8"))
    if not quick and not arguments.only:
        save(OUTPUT, {"date": time.strftime("%Y-%m-%d"), "python": platform.python_version(),
                      **versions(), "settings": {
                          "lengths": LENGTHS, "epochs": EPOCHS, "epsilons": EPSILONS,
                          "delta": DELTA, "most rows": MOST_ROWS, "seeds": len(SEEDS),
                          "salts": len(SALTS), "tower salts": len(TOWER_SALTS),
                          "tower seeds": len(TOWER_SEEDS), "dim": DIM, "public dim": PUBLIC_DIM,
                          "candidates": CANDIDATES}, **content})


def versions() -> dict[str, str]:
    """Versions of what the results depend on."""
    import opacus

    return {module.__name__: module.__version__
            for module in (np, scipy, sklearn, torch, opacus, resvg_py)}


def save(path: Path, content: dict) -> None:
    """Write a JSON file whole or not at all."""
    with write_then_rename(path) as temporary:
        temporary.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
