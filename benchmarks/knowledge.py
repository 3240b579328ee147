"""What a dictionary's relations add to word vectors, for the chapter on knowledge graphs.

`python benchmarks/knowledge.py` writes knowledge.json beside it in about nine minutes of one
core; it goes on where an interrupted run stopped. With `--quick` it runs one split and writes
nothing.

Settings of vectors are chosen on the even pairs of WordSim and SimLex, those of retrieval on
validation concepts; odd pairs and test concepts are read once.
"""

import argparse
import hashlib
import json
import platform
import time
from collections.abc import Callable, Sequence
from functools import cache
from itertools import product
from pathlib import Path

import gensim
import networkx as nx
import numpy as np
import scipy
from gensim.models import KeyedVectors, Word2Vec
from ratings import human_ratings
from scipy import linalg, sparse
from scipy.sparse.linalg import splu
from scipy.stats import spearmanr
from sklearn.metrics.pairwise import euclidean_distances

from mmfuse_utils import ladder, text, vision
from mmfuse_utils.cache import cache_dir, cached_array, content_key, write_then_rename
from mmfuse_utils.data import Collection, load_emoji
from mmfuse_utils.data.sources import package_path
from mmfuse_utils.data.wordnet import PARTS, corpus_key, synsets
from mmfuse_utils.metrics import mean_average_precision, mean_reciprocal_rank, ranks
from mmfuse_utils.retrieval import unit_rows

OUTPUT = Path(__file__).with_suffix(".json")
SALTS, VERSION = 10, 1       # another version, and everything is computed again
PENALTIES = (0.1, 0.3, 1.0, 3.0, 10.0)
RELATIONS = {"synonyms": (), "similar": ("similar_to",),
             "hypernyms": ("hypernym", "instance_hypernym"),
             "parts": ("part_of", "member_of", "substance_of"),
             "other": ("entails", "causes", "attribute")}
SETS = {"synonyms": ("synonyms",), "synonyms, similar": ("synonyms", "similar"),
        "synonyms, hypernyms": ("synonyms", "hypernyms"),
        "synonyms, similar, hypernyms": ("synonyms", "similar", "hypernyms"),
        "all": tuple(RELATIONS)}
STRENGTHS, KEEPS, ROUNDS = (0.25, 0.5, 1.0, 2.0, 4.0), (1.0, 2.0, 4.0, 8.0, 16.0), 30
HARD = KEEPS[0]             # the hardest push, whatever people's ratings choose
WALKS = {"per_word": 8, "length": 16}
WALK_SETTINGS = {"vector_size": 100, "window": 5, "sg": 1, "negative": 5, "min_count": 1,
                 "epochs": 1, "alpha": 0.05, "sample": 1e-3, "workers": 1, "seed": 1}
TESTS = {"wordsim": "wordsim353", "simlex": "simlex999"}


# The dictionary as a graph of words

def word_of(lemma: str, row: dict[str, int]) -> int | None:
    """Row of a lemma's vector; None for several words, and for words without a vector."""
    lemma = lemma.lower()
    return row.get(lemma) if text.tokenize(lemma) == [lemma] else None


def sense_words(row: dict[str, int]) -> dict[str, list[int]]:
    """Rows of the words of each sense."""
    return {name: [found for lemma in synset.lemmas
                   if (found := word_of(lemma, row)) is not None]
            for name, synset in synsets().items()}


def edges(kinds: Sequence[str], row: dict[str, int], without: np.ndarray) -> np.ndarray:
    """Pairs of words that a relation joins, each once, smaller row first: (n, 2).

    without : pairs to leave out, such as opposites, (n, 2).
    """
    words, found = sense_words(row), set()
    wanted = {relation for kind in kinds for relation in RELATIONS[kind]}
    for name, synset in synsets().items():
        here = words[name]
        others = here if "synonyms" in kinds else []
        others = [*others, *(word for relation, target in synset.relations if relation in wanted
                             for word in words[target])]
        found.update((min(a, b), max(a, b)) for a in here for b in others if a != b)
    return np.array(sorted(found - set(map(tuple, without))))


def lexical_pointers(symbol: str) -> list[tuple[str, str]]:
    """Pairs of lemmas that a pointer such as "!" joins: it stands between words, not senses."""
    folder, lemmas, found = package_path("wordnet") / "package" / "dict", {}, []
    for name, part in PARTS.items():
        for line in (folder / f"data.{name}").read_text("utf8").splitlines():
            if line[:1].isdigit():
                fields = line.partition("|")[0].split()
                end = 4 + 2 * int(fields[3], 16)
                lemmas[part + fields[0]] = [lemma.partition("(")[0].lower()
                                            for lemma in fields[4:end:2]]
                for i in range(end + 1, end + 1 + 4 * int(fields[end]), 4):
                    if fields[i] == symbol:
                        target = fields[i + 2].replace("s", "a") + fields[i + 1]
                        found.append((part + fields[0], target, fields[i + 3]))
    return [(lemmas[a][int(which[:2], 16) - 1], lemmas[b][int(which[2:], 16) - 1])
            for a, b, which in found]


def opposites(row: dict[str, int]) -> np.ndarray:
    """Antonym pairs of words with a vector, each once, smaller row first: (n, 2)."""
    pairs = [(word_of(a, row), word_of(b, row)) for a, b in lexical_pointers("!")]
    return np.array(sorted({(min(pair), max(pair)) for pair in pairs
                            if None not in pair and pair[0] != pair[1]}))


def in_half(pairs: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Which pairs are held out, and the family of each: words that pairs join stay together."""
    graph = nx.Graph(map(tuple, pairs.tolist()))
    family = {word: min(names[member] for member in group)
              for group in nx.connected_components(graph) for word in group}
    names = [family[a] for a, _ in pairs.tolist()]
    held = [int(hashlib.sha256(name.encode()).hexdigest(), 16) % 2 for name in names]
    return np.array(held, bool), np.unique(names, return_inverse=True)[1]


def matched(pairs: np.ndarray, seed: int = 0, size: int = 20) -> np.ndarray:
    """Pairs with partners of about the same frequency: second words swapped within a block."""
    rng, order = np.random.default_rng(seed), np.argsort(pairs[:, 1], kind="stable")
    swapped = pairs.copy()
    for start in range(0, len(pairs), size):
        block = order[start:start + size]
        swapped[block, 1] = np.roll(pairs[block, 1], rng.integers(1, max(2, len(block))))
    return swapped


def adjacency(pairs: np.ndarray, n: int) -> sparse.csr_array:
    """Symmetric table of ones: (n, n)."""
    both = np.vstack([pairs, pairs[:, ::-1]])
    table = sparse.csr_array((np.ones(len(both)), both.T), shape=(n, n))
    table.sort_indices()
    return table


def shuffled(table: sparse.csr_array, seed: int = 0) -> sparse.csr_array:
    """The same graph with its words exchanged: every word gets another one's relations."""
    linked = np.flatnonzero(np.diff(table.indptr))
    place = np.arange(table.shape[0])
    place[linked] = np.random.default_rng(seed).permutation(linked)
    return table[place][:, place]


# Vectors that know the graph

def retrofit(rows: np.ndarray, table: sparse.csr_array, strength: float, rounds: int = ROUNDS
             ) -> np.ndarray:
    """Rows drawn to their neighbors: the iteration of Faruqui et al. (2015).

    strength : how much the mean of the neighbors counts against a word's own row.
    """
    degree = table.sum(axis=1)
    step = sparse.diags_array(1 / np.maximum(degree, 1)) @ table
    weight = np.where(degree > 0, strength, 0.0)[:, None]
    moved = rows
    for _ in range(rounds):
        moved = (rows + weight * (step @ moved)) / (1 + weight)
    return moved


def counterfit(rows: np.ndarray, apart: np.ndarray, near: np.ndarray, keep: float,
               steps: int = 80, rate: float | None = None, alike: float = 0.6) -> np.ndarray:
    """Opposites pushed to cosine 0 or less, synonyms drawn to `alike` or more: unit rows.

    keep : weight of the squared distance from where a row was. rate : of the descent; small
        where `keep` is large, since it then is steep. A simple form of the counter-fitting of
        Mrkšić et al. (2016), with cosines.
    """
    rate = min(0.05, 0.4 / keep) if rate is None else rate
    start = unit_rows(rows)
    words = np.unique(np.vstack([apart, near]))
    place = np.zeros(len(rows), int)
    place[words] = np.arange(len(words))
    signs = np.repeat([1.0, -1.0], [len(apart), len(near)])
    pairs, limit = place[np.vstack([apart, near])], np.where(signs > 0, 0.0, -alike)
    origin = here = start[words]
    for _ in range(steps):
        cosines = np.einsum("ij,ij->i", here[pairs[:, 0]], here[pairs[:, 1]])
        on = signs * cosines > limit
        both = np.vstack([pairs[on], pairs[on][:, ::-1]])
        table = sparse.csr_array((np.tile(signs[on], 2), both.T), shape=(len(words),) * 2)
        along = np.bincount(both[:, 0], np.tile((signs * cosines)[on], 2), len(words))
        slope = table @ here - along[:, None] * here + 2 * keep * (here - origin)
        here = unit_rows(here - rate * slope)
    moved = start.copy()
    moved[words] = here
    return moved


def walks(table: sparse.csr_array, per_word: int, length: int, seed: int = 0) -> np.ndarray:
    """Random walks on the graph, `per_word` from each linked word: (n_walks, length) rows."""
    rng, degree = np.random.default_rng(seed), np.diff(table.indptr)
    at = np.tile(np.flatnonzero(degree), per_word)
    rng.shuffle(at)
    path = [at]
    for _ in range(length - 1):
        at = table.indices[table.indptr[at] + (rng.random(len(at)) * degree[at]).astype(int)]
        path.append(at)
    return np.array(path).T


def walk_vectors(table: sparse.csr_array, names: Sequence[str], **settings: object) -> np.ndarray:
    """DeepWalk: skip-gram on walks in place of sentences; zeros for words without a relation."""
    names = np.array(names, dtype=object)
    paths = names[walks(table, **WALKS)]
    model = Word2Vec([list(path) for path in paths], **{**WALK_SETTINGS, **settings}).wv
    return np.array([model[name] if name in model else np.zeros(model.vector_size)
                     for name in names], np.float32)


# Judged by people

def rated(rows: np.ndarray, row: dict[str, int], test: str, half: int
          ) -> tuple[np.ndarray, np.ndarray, list[tuple[str, str]]]:
    """Ratings, cosines and words of the pairs in even (0) or odd (1) rows of a list."""
    known = [(a, b, rating) for i, (a, b, rating) in enumerate(human_ratings(TESTS[test]))
             if i % 2 == half and a in row and b in row]
    left, right = (unit_rows(rows[[row[pair[side]] for pair in known]]) for side in (0, 1))
    return (np.array([pair[2] for pair in known]), np.einsum("ij,ij->i", left, right),
            [pair[:2] for pair in known])


def order_of(rows: np.ndarray, row: dict[str, int], half: int) -> dict[str, float]:
    """Spearman's rho on one half of both lists."""
    return {test: float(spearmanr(*rated(rows, row, test, half)[:2])[0]) for test in TESTS}


class Vectors:
    """All kinds of word vectors of the study, as rows in the order of the book's vocabulary."""

    def __init__(self) -> None:
        self.book = text.load_word_vectors()
        self.row, self.names = self.book.key_to_index, self.book.index_to_key
        self.plain = unit_rows(self.book.vectors.astype(float))
        self.apart = opposites(self.row)
        self.held, self.family = in_half(self.apart, self.names)
        self.synonyms = edges(["synonyms"], self.row, self.apart)

    @cache      # noqa: B019  one object lives as long as the program
    def graph(self, name: str) -> sparse.csr_array:
        """The graph of one of `SETS`, without pairs of opposites."""
        return adjacency(edges(SETS[name], self.row, self.apart), len(self.names))

    def grid(self) -> list[dict]:
        """Both correlations on the even pairs, for each set of relations and each strength."""
        return [{"relations": name, "strength": strength, **order_of(
            retrofit(self.plain, self.graph(name), strength), self.row, 0)}
            for name in SETS for strength in STRENGTHS]

    def chosen(self, grid: list[dict]) -> dict:
        """What the even pairs choose: relations and strength, and what keeps pushed words."""
        best = max(grid, key=merit)
        start = retrofit(self.plain, self.graph(best["relations"]), best["strength"])
        pushes = [{"keep": keep, **order_of(counterfit(
            start, self.apart, self.synonyms, keep), self.row, 0)} for keep in KEEPS]
        graphs = [{"relations": name, **order_of(self.walked(name), self.row, 0)}
                  for name in dict.fromkeys((best["relations"], "all"))]
        return {"plain": order_of(self.plain, self.row, 0), "grid": grid, "best": best,
                "pushes": pushes, "push": max(pushes, key=merit), "graphs": graphs,
                "graph": max(graphs, key=merit)}

    def walked(self, name: str) -> np.ndarray:
        """Vectors of random walks on one of `SETS`, kept in the cache."""
        key = content_key("walks", corpus_key(), name, WALKS, WALK_SETTINGS, gensim.__version__,
                          self.graph(name).indices)
        return cached_array("knowledge", key, lambda: walk_vectors(self.graph(name), self.names))

    def kinds(self, chosen: dict) -> dict[str, np.ndarray]:
        """Rows of each kind; every one has its control beside it."""
        best, keep = chosen["best"], chosen["push"]["keep"]
        graph = self.graph(best["relations"])
        near = retrofit(self.plain, graph, best["strength"])
        wrong = retrofit(self.plain, shuffled(graph), best["strength"])
        noise = text.random_vectors(self.book).vectors.astype(float)
        walked = unit_rows(self.walked(chosen["graph"]["relations"]).astype(float))
        return {"plain": self.plain, "retrofitted": near, "shuffled": wrong,
                "counter-fitted": counterfit(near, self.apart, self.synonyms, keep),
                "half told": counterfit(near, self.apart[~self.held], self.synonyms, keep),
                "half told, hard": counterfit(near, self.apart[~self.held], self.synonyms, HARD),
                "none told, hard": counterfit(near, self.apart[:0], self.synonyms, HARD),
                "graph": walked, "joined": np.hstack([self.plain, walked]),
                "joined noise": np.hstack([self.plain, unit_rows(noise)]), "random": noise}


def merit(scores: dict) -> float:
    """What settings are chosen by: the mean of both correlations."""
    return scores["wordsim"] + scores["simlex"]


def ratings_part(vectors: Vectors, kinds: dict[str, np.ndarray]) -> dict:
    """Odd pairs of both lists: words, ratings, cosines by kind, steps apart in the graph."""
    found = {}
    direct, opposite = set(map(tuple, edges(tuple(RELATIONS), vectors.row, vectors.apart))), set(
        map(tuple, vectors.apart))
    for test in TESTS:
        ratings, _, pairs = rated(vectors.plain, vectors.row, test, 1)
        keys = [tuple(sorted((vectors.row[a], vectors.row[b]))) for a, b in pairs]
        found[test] = {
            "pairs": pairs, "ratings": ratings.tolist(),
            "linked": [int(key in direct) for key in keys],
            "opposite": [int(key in opposite) for key in keys],
            "cosines": {name: rated(rows, vectors.row, test, 1)[1].round(4).tolist()
                        for name, rows in kinds.items()}}
    return found


def cosines(rows: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Cosine of each pair of words."""
    left, right = (unit_rows(rows[pairs[:, side]]) for side in (0, 1))
    return np.einsum("ij,ij->i", left, right)


def opposites_part(vectors: Vectors, kinds: dict[str, np.ndarray]) -> dict:
    """Cosines of opposites, synonyms and random pairs that match them in frequency."""
    held = vectors.apart[vectors.held]
    lone = np.isin(vectors.synonyms, held).any(axis=1)
    rng = np.random.default_rng(0)
    near = vectors.synonyms[np.sort(rng.choice(np.flatnonzero(lone), len(held), replace=False))]
    told = vectors.apart[~vectors.held]
    groups = {"held": held, "held random": matched(held), "told": told,
              "told random": matched(told), "synonyms": near, "synonyms random": matched(near)}
    return {"words": {group: [[vectors.names[word] for word in pair] for pair in pairs]
                      for group, pairs in groups.items()},
            "family": vectors.family[vectors.held].tolist(),
            "family_told": vectors.family[~vectors.held].tolist(),
            "cosines": {name: {group: cosines(kinds[name], pairs).round(4).tolist()
                               for group, pairs in groups.items()}
                        for name in ("plain", "retrofitted", "half told", "half told, hard",
                                     "none told, hard", "random")}}


# From a picture's name to a sense, and up the tree

# Lexicographer files that a group of emoji may be about; the first sense in one of them is taken.
FILES = {"animals-nature": "animal plant food object phenomenon body",
         "food-drink": "food plant artifact animal",
         "travel-places": "artifact object location phenomenon time group event",
         "activities": "artifact event act communication",
         "objects": "artifact communication possession body substance"}
CUTS = frozenset("with in on of at and showing behind for".split())
NOUN_FILES = ("Tops act animal artifact attribute body cognition communication event feeling food "
              "group location motive object person phenomenon plant possession process quantity "
              "relation shape state substance time").split()


@cache
def noun_senses() -> tuple[dict[str, list[str]], dict[str, str]]:
    """Senses of each noun, most frequent first, and the lexicographer file of each sense."""
    folder = package_path("wordnet") / "package" / "dict"
    rows = [line.split() for line in (folder / "index.noun").read_text("utf8").splitlines()
            if line[:1] != " "]
    data = [line.split(maxsplit=2) for line in (folder / "data.noun").read_text("utf8").splitlines()
            if line[:1].isdigit()]
    return ({row[0].replace("_", " "): ["n" + sense for sense in row[-int(row[2]):]]
             for row in rows},
            {"n" + fields[0]: NOUN_FILES[int(fields[1]) - 3] for fields in data})


def singulars(words: str) -> list[str]:
    """The words, then what they may be plurals of."""
    ends = (("ies", "y"), ("es", ""), ("s", ""))
    return [words, *(words.removesuffix(end) + new for end, new in ends if words.endswith(end))]


def link(name: str, group: str, fitting: bool = True) -> str | None:
    """The sense that an emoji's name ends in: its last words, the first sense that fits.

    fitting : whether a sense should fit the group; else the first sense of all is taken.
    """
    senses, file_of = noun_senses()
    words = name.lower().replace("-", " ").split()
    words = words[:next((i for i, word in enumerate(words) if i and word in CUTS), len(words))]
    if len(words) > 1 and words[-1] == "face":
        words = words[:-1]
    if group not in FILES:
        return None
    for start in range(len(words)):
        for form in singulars(" ".join(words[start:])):
            if form in senses:
                fits = [sense for sense in senses[form] if fitting
                        and file_of[sense] in FILES[group].split()]
                return (fits or senses[form])[0]
    return None


def above(sense: str) -> list[str]:
    """A sense and all senses above it, nearest first."""
    found, table = [sense], synsets()
    for name in found:
        found += [target for relation, target in table[name].relations
                  if "hypernym" in relation and target not in found]
    return found


@cache
def below() -> dict[str, list[str]]:
    """The senses just below each noun sense."""
    found = {}
    for name, synset in synsets().items():
        for relation, target in synset.relations:
            if "hypernym" in relation and name[0] == "n":
                found.setdefault(target, []).append(name)
    return found


def subtree(sense: str) -> list[str]:
    """A sense and all senses below it."""
    level, found = [sense], {sense: None}
    while level:
        level = [child for name in level for child in below().get(name, ())]
        level = list(dict.fromkeys(child for child in level if child not in found))
        found.update(dict.fromkeys(level))
    return list(found)


# Words to ask for by a kind of thing, and the subgroups of emoji that people put under it.
BY_PEOPLE = {
    "animal": "animal-", "mammal": "animal-mammal", "bird": "animal-bird",
    "insect": "animal-bug", "reptile": "animal-reptile", "plant": "plant-",
    "flower": "plant-flower", "food": "food-", "fruit": "food-fruit",
    "vegetable": "food-vegetable", "dessert": "food-sweet", "beverage": "drink",
    "transport": "transport-", "vehicle": "transport-ground", "aircraft": "transport-air",
    "boat": "transport-water", "building": "place-building", "weather": "sky-weather",
    "sport": "sport", "game": "game", "clothing": "clothing", "tool": "tool",
    "instrument": "musical-instrument", "furniture": "household", "stationery": "office",
    "currency": "money", "computer": "computer", "lock": "lock", "medicine": "medical",
    "tableware": "dishware"}


class Pictures:
    """The collection, what networks say of its pictures, and the sense of each name."""

    def __init__(self) -> None:
        self.emoji: Collection = load_emoji()
        self.tokens = text.concept_tokens(self.emoji)
        self.single = vision.picture_features(self.emoji).astype(float)
        wide, opinion = ladder.three_networks(self.emoji)
        self.wide = wide.astype(float)
        logs = np.log(opinion) - np.log(opinion).max(axis=1, keepdims=True)
        self.mixes = [_rows_to_one(np.exp(logs / temperature)) for temperature in
                      ladder.TEMPERATURES]
        self.senses = [link(name[0], group) for name, group in
                       zip(self.emoji.names["en"], self.emoji.groups, strict=True)]
        # What a query may know of its own sense: the name alone, not the group.
        self.asked = [link(name[0], group, fitting=False) for name, group in
                      zip(self.emoji.names["en"], self.emoji.groups, strict=True)]

    def task(self, salt: int) -> ladder.Task:
        """The strict split of one salt."""
        return ladder.Task(self.emoji, self.emoji.split(salt, strict=True), salt)


def _rows_to_one(rows: np.ndarray) -> np.ndarray:
    return rows / rows.sum(axis=1, keepdims=True)


def keyed(rows: np.ndarray, names: Sequence[str]) -> KeyedVectors:
    """Rows as gensim's vectors; words without a vector are left out."""
    kept = np.flatnonzero(np.any(rows != 0, axis=1))
    vectors = KeyedVectors(rows.shape[1])
    vectors.add_vectors([names[row] for row in kept], rows[kept].astype(np.float32))
    return vectors


class Search:
    """A rung fitted for one kind of vectors: from query vectors to similarities with pictures."""

    def __init__(self, parts: list[tuple[float, np.ndarray, Callable]]) -> None:
        self.parts = parts      # weight, mean of the training texts, picture rows -> guesses

    def __call__(self, queries: np.ndarray, pictures: np.ndarray) -> np.ndarray:
        return sum(weight * unit_rows(queries - mean) @ guess(pictures).T
                   for weight, mean, guess in self.parts)


def ridge_guesses(features: np.ndarray, train: np.ndarray, targets: np.ndarray) -> list[Callable]:
    """Text vectors guessed from pictures by ridge regression, one function a penalty."""
    mean = features[train].mean(axis=0)
    known = features[train] - mean
    values, vectors = linalg.eigh(known.T @ known)
    turned = vectors.T @ (known.T @ targets)
    scale = np.sum(known**2) / known.shape[1]
    maps = [vectors @ (turned / (values + alpha * scale)[:, None]) for alpha in PENALTIES]
    return [lambda rows, coef=coef: (features[rows] - mean) @ coef for coef in maps]


def kernel_guesses(features: np.ndarray, train: np.ndarray, targets: np.ndarray
                   ) -> list[Callable]:
    """The same by kernel ridge regression, as `fusion.KernelMap` has it."""
    known = features[train]
    distances = euclidean_distances(known, squared=True)
    gamma = 1 / np.median(distances[np.tri(len(known), k=-1, dtype=bool)])
    kernel = np.exp(-gamma * distances)
    duals = [linalg.solve(kernel + alpha * np.eye(len(kernel)), targets, assume_a="pos")
             for alpha in PENALTIES]
    seen = {}

    def near(rows: np.ndarray) -> np.ndarray:
        if rows.tobytes() not in seen:      # the same two galleries are asked many times
            seen[rows.tobytes()] = np.exp(-gamma * euclidean_distances(
                features[rows], known, squared=True))
        return seen[rows.tobytes()]

    return [lambda rows, dual=dual: near(rows) @ dual for dual in duals]


def searches(pictures: Pictures, task: ladder.Task, kinds: dict[str, ladder.Texts]
             ) -> dict[str, dict[str, Search]]:
    """Rungs by name and kind, each with settings from the validation concepts.

    "ridge" sees one network; "names" is the kernel with three networks, and class names added.
    """
    texts = {kind: part.concepts.astype(float) for kind, part in kinds.items()}
    means = {kind: rows[task.pairs].mean(axis=0) for kind, rows in texts.items()}
    targets = np.hstack([rows[task.pairs] - means[kind] for kind, rows in texts.items()])
    ends = np.cumsum([0, *(rows.shape[1] for rows in texts.values())])
    columns = {kind: slice(*ends[i:i + 2]) for i, kind in enumerate(texts)}
    found = {"ridge": {}, "names": {}}
    by_ridge = ridge_guesses(pictures.single, task.train, targets)
    by_kernel = kernel_guesses(pictures.wide, task.train, targets)
    held, gallery = task.held
    for kind, rows in texts.items():
        def score(search, rows=rows):
            return mean_reciprocal_rank(ranks(search(rows[held], gallery), np.arange(len(held))))

        def cut(guesses, kind=kind):
            return [Search([(1.0, means[kind], lambda at, guess=guess: unit_rows(
                guess(at)[:, columns[kind]]))]) for guess in guesses]

        labels = kinds[kind].labels.astype(float)
        centers = [mix[task.train].mean(axis=0) for mix in pictures.mixes]
        middle = rows[task.split.train].mean(axis=0)
        soft = [Search([(1.0, middle, lambda at, mix=mix, center=center, labels=labels: unit_rows(
            (mix[at] - center) @ labels))]) for mix, center in
            zip(pictures.mixes, centers, strict=True)]
        kernel, soft = max(cut(by_kernel), key=score), max(soft, key=score)
        both = [Search([*kernel.parts, (weight, *soft.parts[0][1:])]) for weight in ladder.WEIGHTS]
        found["ridge"][kind] = max(cut(by_ridge), key=score)
        found["names"][kind] = max(both, key=score)
    return found


# What is asked on one split

def flags(similarity: np.ndarray, own: np.ndarray | None = None) -> str:
    """One character a query: 1 where its own picture, by default row i, is among the first ten."""
    own = np.arange(len(similarity)) if own is None else own
    return "".join(map(str, (ranks(similarity, own) <= 10).astype(int)))


def new_words(pictures: Pictures, task: ladder.Task) -> list[list[str]]:
    """The words of each test concept that stand in no training text."""
    seen = {word for concept in task.split.train for word in pictures.tokens[concept]}
    return [[word for word in pictures.tokens[concept] if word not in seen]
            for concept in task.split.test]


def queries_of(pictures: Pictures, vectors: Vectors) -> dict[str, str]:
    """Words to ask for by a kind of thing, and the sense that each means most often.

    Senses with 8 linked concepts or more, and a quarter of all at most.
    """
    counts, senses = {}, noun_senses()[0]
    for sense in filter(None, pictures.senses):
        for name in above(sense):
            counts[name] = counts.get(name, 0) + 1
    found = {}
    for sense, count in sorted(counts.items()):
        if 8 <= count <= len(pictures.senses) / 4:
            for lemma in synsets()[sense].lemmas:
                if word_of(lemma, vectors.row) is not None and senses[lemma.lower()][0] == sense:
                    found.setdefault(lemma.lower(), sense)
                    break
    return found


def relevance(pictures: Pictures, concepts: np.ndarray, queries: dict[str, str]
              ) -> dict[str, dict[str, np.ndarray]]:
    """Which concepts belong to each query: by the tree of senses, and by people's subgroups."""
    trees = [set(above(sense)) if (sense := pictures.senses[concept]) else set()
             for concept in concepts]
    kinds = [pictures.emoji.subgroups[concept] for concept in concepts]
    found = {"tree": {word: np.array([sense in tree for tree in trees])
                      for word, sense in queries.items()},
             "people": {word: np.array([kind.startswith(start) for kind in kinds])
                        for word, start in BY_PEOPLE.items()}}
    return {judge: {word: row for word, row in rows.items() if row.sum() >= 3}
            for judge, rows in found.items()}


def narrower(word: str, row: dict[str, int]) -> list[str]:
    """All words below the most frequent sense of a noun."""
    senses = noun_senses()[0].get(word, [])
    return sorted({lemma.lower() for sense in senses[:1] for name in subtree(sense)
                   for lemma in synsets()[name].lemmas
                   if word_of(lemma, row) is not None} - {word})


def asked(search: Search, words: Sequence[str], vectors: KeyedVectors, gallery: np.ndarray,
          row: dict[str, int], way: str) -> np.ndarray:
    """Similarities of one-word queries, alone or spread over the words below them.

    way : "alone"; "mean" adds the mean vector of the words below, "most" takes for each
        picture the mean of its three best words.
    """
    alone = text.sentence_vectors([[word] for word in words], vectors)
    if way == "alone":
        return search(alone, gallery)
    lists = [narrower(word, row) for word in words]
    if way == "mean":
        return search(unit_rows(alone + text.sentence_vectors(lists, vectors)), gallery)
    rows = []
    for word, below_it in zip(words, lists, strict=True):
        terms = text.sentence_vectors([[term] for term in (word, *below_it)], vectors)
        terms = terms[terms.any(axis=1)]
        rows.append(np.sort(search(terms, gallery), axis=0)[-3:].mean(axis=0))
    return np.array(rows)


def precision(similarity: np.ndarray, relevant: np.ndarray) -> list[float]:
    """Average precision of each query."""
    return [round(mean_average_precision(similarity[[i]], relevant[[i]]), 4)
            for i in range(len(relevant))]


def propagated(pictures: Pictures, task: ladder.Task, senses: Sequence[str], strength: float,
               hidden: frozenset[str] = frozenset()) -> np.ndarray:
    """A picture prototype for each sense, from training concepts by way of the tree.

    The same system as in retrofitting, for senses in place of words: known are the mean pictures
    of training concepts' senses, and nothing of the others. hidden : senses of which nothing may
    be known, since they are tested.
    """
    mean, known = pictures.wide[task.train].mean(axis=0), {}
    for concept in task.split.train:
        sense = pictures.senses[concept]
        if sense and sense not in hidden:
            known.setdefault(sense, []).append(
                pictures.wide[task.train[task.pairs == concept]].mean(axis=0) - mean)
    nodes = list(dict.fromkeys(name for sense in (*known, *senses) for name in above(sense)))
    place, links = {name: i for i, name in enumerate(nodes)}, set()
    for name in nodes:
        links |= {(place[name], place[target]) for relation, target in synsets()[name].relations
                  if "hypernym" in relation and target in place}
    graph = adjacency(np.array(sorted(links)), len(nodes))
    start = np.zeros((len(nodes), pictures.wide.shape[1]))
    weight = np.full(len(nodes), 1e-3)
    for sense, rows in known.items():
        start[place[sense]], weight[place[sense]] = np.mean(rows, axis=0), strength
    system = sparse.diags_array(weight + graph.sum(axis=1)) - graph
    return splu(system.tocsc()).solve(weight[:, None] * start)[[place[name] for name in senses]]


def by_tree(pictures: Pictures, task: ladder.Task, senses: Sequence[str], gallery: np.ndarray,
            strength: float, hidden: frozenset[str] = frozenset()) -> np.ndarray:
    """Cosines of the prototypes with the pictures of a gallery; no word takes part."""
    seen = pictures.wide[gallery] - pictures.wide[task.train].mean(axis=0)
    return unit_rows(propagated(pictures, task, senses, strength, hidden)) @ unit_rows(seen).T


def exchanged(items: Sequence) -> list:
    """A control: the items in an order drawn at random."""
    return [items[i] for i in np.random.default_rng(0).permutation(len(items))]


def scaled(similarity: np.ndarray) -> np.ndarray:
    """Each row less its mean, divided by its spread."""
    return (similarity - similarity.mean(axis=1, keepdims=True)) / similarity.std(
        axis=1, keepdims=True)


def senses_of(concepts: np.ndarray, *tables: list[str | None]) -> frozenset[str]:
    """Senses of the concepts that have one, by one or more ways of linking."""
    return frozenset(filter(None, (table[concept] for concept in concepts for table in tables)))


def described(pictures: Pictures, concepts: np.ndarray, levels: int = 3) -> list[list[str]]:
    """Words of the senses above each concept's, without those of its own name and keywords."""
    found = []
    for concept in concepts:
        own = set(pictures.tokens[concept])
        words = [word for name in above(pictures.asked[concept])[1:1 + levels]
                 for lemma in synsets()[name].lemmas for word in text.tokenize(lemma)]
        found.append([word for word in words if word not in own])
    return found


WAYS = ("alone", "mean", "most")
SPREADS, BLENDS = (0.1, 1.0, 10.0), (0.125, 0.25, 0.5, 1.0, 2.0)


def chance_precision(relevant: np.ndarray, n_draws: int = 50) -> list[float]:
    """Average precision of orders drawn at random, for each query."""
    rng = np.random.default_rng(0)
    return [round(float(np.mean([mean_average_precision(rng.random((1, len(row))), row[None])
                                 for _ in range(n_draws)])), 4) for row in relevant]


def kinds_of_things(pictures: Pictures, task: ladder.Task, found: dict[str, dict[str, Search]],
                    kinds: dict[str, KeyedVectors], vectors: Vectors, queries: dict[str, str]
                    ) -> dict:
    """Average precision of one-word queries for a kind of thing, on validation and on test."""
    seen = {word for concept in task.split.train for word in pictures.tokens[concept]}
    answer = {}
    for part, (concepts, gallery) in (("held", task.held), ("test", task.test)):
        hidden, answer[part] = senses_of(concepts, pictures.senses), {}
        for judge, rows in relevance(pictures, concepts, queries).items():
            words, table = list(rows), np.array(list(rows.values()))
            senses = [noun_senses()[0][word][0] for word in words]
            scores = {f"{kind}, {way}": asked(found["names"][kind], words, kinds[kind], gallery,
                                              vectors.row, way)
                      for kind in kinds for way in (WAYS if kind in ("plain", "random")
                                                    else WAYS[:1])}
            trees = {f"tree {strength}": by_tree(pictures, task, senses, gallery, strength, hidden)
                     for strength in SPREADS}
            for way in ("alone", "mean"):
                scores[f"plain, {way}, tree"] = scaled(scores[f"plain, {way}"]) + scaled(
                    trees["tree 1.0"])
            scores["tree.random"] = by_tree(pictures, task, exchanged(senses), gallery, 1.0, hidden)
            answer[part][judge] = {
                "words": words, "relevant": table.sum(axis=1).tolist(),
                "seen": [int(word in seen) for word in words], "chance": chance_precision(table),
                "scores": {name: precision(rows, table)
                           for name, rows in {**scores, **trees}.items()}}
    return answer


def without_pictures(pictures: Pictures, task: ladder.Task, search: Search, noise: Search,
                     kinds: dict[str, KeyedVectors]) -> dict:
    """Concepts known by their place in the tree alone: hit@10 among all test pictures.

    Strength and blend are chosen on the validation concepts.
    """
    def tables(concepts: np.ndarray, gallery: np.ndarray) -> dict:
        linked = np.flatnonzero([pictures.asked[concept] is not None for concept in concepts])
        wanted = concepts[linked]
        hidden = senses_of(concepts, pictures.senses, pictures.asked)
        senses = [pictures.asked[concept] for concept in wanted]
        higher, own = described(pictures, wanted), [pictures.tokens[row] for row in wanted]
        names = [text.tokenize(pictures.emoji.names["en"][concept][0]) for concept in wanted]

        def by(lists: list[list[str]], kind: str = "plain") -> np.ndarray:
            return (search if kind == "plain" else noise)(
                text.sentence_vectors(lists, kinds[kind]), gallery)

        both = [name + up for name, up in zip(names, higher, strict=True)]
        return {"linked": linked, "rows": {
            "above": by(higher), "above.random": by(higher, "random"), "name": by(names),
            "name and above": by(both), "text": by(own), "text.random": by(own, "random")},
            "trees": {strength: by_tree(pictures, task, senses, gallery, strength, hidden)
                      for strength in SPREADS},
            "wrong": {strength: by_tree(pictures, task, exchanged(senses), gallery, strength,
                                        hidden) for strength in SPREADS}}

    def merit_of(table: np.ndarray) -> float:
        return mean_reciprocal_rank(ranks(table, held["linked"]))

    held, test = tables(*task.held), tables(*task.test)
    strength = max(SPREADS, key=lambda value: merit_of(held["trees"][value]))
    hidden = senses_of(task.test[0], pictures.senses, pictures.asked)
    answer = {"linked": test["linked"].tolist(), "strength": strength, "blends": {}, "hits": {},
              "same_sense": len(hidden & senses_of(task.split.train, pictures.senses))}
    rows = {**test["rows"], "tree": test["trees"][strength],
            "tree.random": test["wrong"][strength]}
    for name, (kind, end) in product(("above", "name", "text"),
                                     (("trees", "tree"), ("wrong", "tree.random"))):
        def blend(part: dict, weight: float, name: str = name, kind: str = kind) -> np.ndarray:
            return scaled(part["rows"][name]) + weight * scaled(part[kind][strength])
        weight = max(BLENDS, key=lambda value, blend=blend: merit_of(blend(held, value)))
        answer["blends"][f"{name} and {end}"] = weight
        rows[f"{name} and {end}"] = blend(test, weight)
    answer["hits"] = {name: flags(table, test["linked"]) for name, table in rows.items()}
    return answer


def one_split(pictures: Pictures, vectors: Vectors, kinds: dict[str, np.ndarray], salt: int
              ) -> dict:
    """Everything that is asked on one split."""
    task = pictures.task(salt)
    words = {kind: keyed(rows, vectors.names) for kind, rows in kinds.items()}
    texts = {kind: ladder.mean_texts(pictures.emoji, part) for kind, part in words.items()}
    found = searches(pictures, task, texts)
    concepts, gallery = task.test
    new = new_words(pictures, task)
    known = np.array([any(word in vectors.row for word in part) for part in new])
    few = [part for part, is_known in zip(new, known, strict=True) if is_known]
    queries = queries_of(pictures, vectors)
    row = {"tests": content_key([pictures.emoji.ids[concept] for concept in concepts]),
           "new": np.flatnonzero(known).tolist(), "hits": {}, "new_hits": {}}
    for rung, by_kind in found.items():
        for kind, search in by_kind.items():
            name = f"{rung}.{kind}"
            row["hits"][name] = flags(search(texts[kind].concepts[concepts], gallery))
            row["new_hits"][name] = flags(search(
                text.sentence_vectors(few, words[kind]), gallery), np.flatnonzero(known))
    row["things"] = kinds_of_things(pictures, task, found, words, vectors, queries)
    return row


def one_place(pictures: Pictures, vectors: Vectors, kinds: dict[str, np.ndarray], salt: int
              ) -> dict:
    """The concepts that are known by their place alone, on one split."""
    task = pictures.task(salt)
    words = {kind: keyed(kinds[kind], vectors.names) for kind in ("plain", "random")}
    found = searches(pictures, task, {kind: ladder.mean_texts(pictures.emoji, part)
                                      for kind, part in words.items()})["names"]
    return without_pictures(pictures, task, found["plain"], found["random"], words)


def kept(name: str, key: str, make: Callable[[], dict]) -> dict:
    """A part of the study, from the cache if it is there."""
    path = cache_dir() / "knowledge" / f"{name}-{key}.json"
    if not path.exists():
        start, found = time.process_time(), make()
        with write_then_rename(path) as temporary:
            temporary.write_text(json.dumps(found), encoding="utf8")
        print(f"{name}: {time.process_time() - start:.0f} s of CPU time", flush=True)
    return json.loads(path.read_text(encoding="utf8"))


def main() -> None:
    """Run what is not in the cache yet, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one split, nothing written")
    quick = parser.parse_args().quick
    key = content_key(VERSION, corpus_key(), gensim.__version__)
    vectors = Vectors()
    grid = kept("grid", key, vectors.grid)
    chosen = kept("chosen", key, lambda: vectors.chosen(grid))
    kinds = vectors.kinds(chosen)
    found = {kind: rows for kind, rows in kinds.items() if " told" not in kind}
    record = {"ratings": kept("ratings", key, lambda: ratings_part(vectors, found)),
              "opposites": kept("opposites-none", key, lambda: opposites_part(vectors, kinds))}
    pictures = Pictures()
    splits = range(1 if quick else SALTS)
    record["salts"] = [
        kept(f"split-{salt}", key, lambda salt=salt: one_split(pictures, vectors, found, salt))
        | {"tree": kept(f"name-{salt}", key, lambda salt=salt: one_place(
            pictures, vectors, found, salt))} for salt in splits]
    names = pictures.emoji.names["en"]
    record = {"date": time.strftime("%Y-%m-%d"), "versions": {
        "python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__,
        "gensim": gensim.__version__}, "settings": {
            "rounds": ROUNDS, "walks": WALKS, "walk_vectors": WALK_SETTINGS,
            "by_people": BY_PEOPLE},
        "sizes": {"words": len(vectors.names), "opposites": len(vectors.apart),
                  "edges": {name: vectors.graph(name).nnz // 2 for name in SETS},
                  "linked": {name: int((np.diff(vectors.graph(name).indptr) > 0).sum())
                             for name in SETS}},
        "chosen": chosen, "queries": queries_of(pictures, vectors),
        "senses": {name[0]: sense for name, sense in zip(names, pictures.senses, strict=True)
                   if sense},
        "asked": {name[0]: sense for name, sense in zip(names, pictures.asked, strict=True)
                  if sense}, **record}
    if not quick:
        with write_then_rename(OUTPUT) as temporary:
            temporary.write_text(json.dumps(record, ensure_ascii=False, indent=None,
                                            separators=(",", ":")) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
