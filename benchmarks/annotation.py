"""Helping an annotator: suggestions, effort, what to label next, and planted mistakes; ten splits.

Writes benchmarks/annotation.json, which the chapter on annotation shows as recorded. Confident
learning is cleanlab's, from the extra `benchmark`.
"""

import argparse
import importlib.metadata
import json
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import sklearn
from scipy import stats
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from mmfuse_utils import text, vision
from mmfuse_utils.cache import cache_dir, content_key, write_then_rename
from mmfuse_utils.data import Collection, load_emoji
from mmfuse_utils.data.collection import Split
from mmfuse_utils.fusion import ConSE, RidgeMap
from mmfuse_utils.metrics import bootstrap_interval
from mmfuse_utils.retrieval import cosine_similarity, top_k, unit_rows

OUTPUT = Path(__file__).with_suffix(".json")
SALTS = 10


# Suggesting keywords

SHOWN = 10
NEIGHBORS, TEMPERATURES = (10, 20, 50, 100, 200, 400, 800), (1.0, 4.0)
PENALTIES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
WEIGHTS = (0.0, 0.5, 1.0, 2.0)


@dataclass(frozen=True)
class Data:
    """What all parts share: keywords that people gave, pictures' features, words' vectors.

    given : set of keywords of each concept. texts, random_texts : (n_concepts, 100).
    """

    emoji: Collection
    given: list[frozenset[str]]
    features: np.ndarray
    texts: np.ndarray
    random_texts: np.ndarray
    vectors: dict[str, object]


def load_data() -> Data:
    """The emoji with the book's word vectors and random ones."""
    emoji = load_emoji()
    vectors = text.load_word_vectors()
    chance = text.random_vectors(vectors)
    tokens = text.concept_tokens(emoji)
    return Data(emoji, keywords(emoji), vision.picture_features(emoji),
                text.sentence_vectors(tokens, vectors), text.sentence_vectors(tokens, chance),
                {"word2vec": vectors, "random": chance})


def keywords(emoji: Collection) -> list[frozenset[str]]:
    """Keywords of each concept in lower case."""
    return [frozenset(word.lower() for word in words) for words in emoji.keywords["en"]]


def candidates(given: Sequence[frozenset[str]], train: Iterable[int], labels: Sequence[str],
               known: object) -> tuple[str, ...]:
    """Words that may be suggested: training keywords, the most frequent first, and class names'.

    A word without a vector is left out.
    """
    counts = Counter(word for concept in train for word in sorted(given[concept]))
    words = [word for word, _ in counts.most_common()]
    words += [word for label in labels for word in text.tokenize(label)]
    return tuple(word for word in dict.fromkeys(words)
                 if any(token in known for token in text.tokenize(word)))


def incidence(given: Sequence[frozenset[str]], words: Sequence[str]) -> np.ndarray:
    """Which concept was given which word: (n_concepts, n_words), 0 or 1."""
    place = {word: column for column, word in enumerate(words)}
    table = np.zeros((len(given), len(words)), np.float32)
    for row, one in enumerate(given):
        table[row, [place[word] for word in one if word in place]] = 1
    return table


def standardize(scores: np.ndarray) -> np.ndarray:
    """Each row less its mean, by its standard deviation."""
    scores = scores - scores.mean(axis=1, keepdims=True)
    return scores / np.maximum(scores.std(axis=1, keepdims=True), 1e-9)


def neighbor_votes(asked: np.ndarray, labeled: np.ndarray, table: np.ndarray, n: int
                   ) -> np.ndarray:
    """Share of votes for each word among the n nearest labeled pictures: (n_asked, n_words).

    table : keywords of the labeled pictures, (n_labeled, n_words). A vote weighs the square of
    the cosine, after the mean picture is taken off.
    """
    mean = labeled.mean(axis=0)
    near = cosine_similarity(asked - mean, labeled - mean)
    nearest = top_k(near, min(n, len(labeled)))
    weights = np.maximum(np.take_along_axis(near, nearest, axis=1), 1e-6)**2
    votes = np.stack([w @ table[rows] for w, rows in zip(weights, nearest, strict=True)])
    return votes / weights.sum(axis=1, keepdims=True)


def values(scores: np.ndarray, words: Sequence[str], given: Sequence[frozenset[str]]
           ) -> np.ndarray:
    """nDCG@10, precision@5, coverage@10 and precision@1, a row a picture: (n, 4).

    Keywords that no method can suggest count as missed.
    """
    discount = 1 / np.log2(2 + np.arange(SHOWN))
    found = np.array([[words[column] in one for column in row]
                      for row, one in zip(top_k(scores, SHOWN), given, strict=True)], float)
    sizes = np.array([len(one) for one in given])
    ideal = np.cumsum(discount)[np.minimum(sizes, SHOWN) - 1]
    return np.column_stack([found @ discount / ideal, found[:, :5].mean(axis=1),
                            found.sum(axis=1) / sizes, found[:, 0]])


@dataclass(frozen=True)
class Task:
    """One split: who is labeled, who is asked, and the words that may be suggested."""

    split: Split
    pictures: np.ndarray        # rows of the labeled pictures
    concept: np.ndarray         # their concepts
    held: np.ndarray            # one picture a validation concept
    gallery: np.ndarray         # one picture a test concept
    words: tuple[str, ...]
    table: np.ndarray           # keywords of all concepts, (n_concepts, n_words)
    counts: np.ndarray          # how often training concepts were given each word


def make_task(data: Data, salt: int, strict: bool) -> Task:
    """The task of a salt; see `Collection.split` for strict."""
    emoji = data.emoji
    split = emoji.split(salt, strict=strict)
    pictures = np.flatnonzero(np.isin(emoji.pictures.concept_row, split.train))
    words = candidates(data.given, split.train, vision.imagenet_labels(),
                       data.vectors["word2vec"])
    table = incidence(data.given, words)
    return Task(split, pictures, emoji.pictures.concept_row[pictures],
                emoji.gallery(split.validation, salt), emoji.gallery(split.test, salt), words,
                table, table[split.train].sum(axis=0))


Scores = tuple[np.ndarray, np.ndarray]      # of validation, of test


def best(tried: Iterable[Scores], task: Task, data: Data) -> Scores:
    """The scores with the best nDCG@10 on validation."""
    given = [data.given[concept] for concept in task.split.validation]
    return max(tried, key=lambda scores: values(scores[0], task.words, given)[:, 0].mean())


def learned(data: Data, task: Task) -> dict[str, Scores]:
    """Scores by linear maps from pictures to word vectors, to random ones, and to the table of
    keywords itself, which knows no kinship among words."""
    width = data.texts.shape[1]
    targets = np.hstack([data.texts[task.concept], data.random_texts[task.concept],
                         task.table[task.concept]])
    models = [RidgeMap(alpha, "image_to_text").fit(targets, data.features[task.pictures])
              for alpha in PENALTIES]
    asked = task.held, task.gallery
    tokens = [text.tokenize(word) for word in task.words]

    def tried(kind: str, columns: slice) -> Iterable[Scores]:
        for model in models:
            guesses = [(data.features[rows] - model.image_mean_) @ model.coef_[:, columns]
                       for rows in asked]
            if kind in data.vectors:
                vectors = text.sentence_vectors(tokens, data.vectors[kind])
                centered = vectors - model.text_mean_[columns]
                yield tuple(cosine_similarity(rows, centered) for rows in guesses)
            else:
                yield tuple(rows + model.text_mean_[columns] for rows in guesses)

    places = {"word2vec": slice(width), "random": slice(width, 2 * width),
              "table": slice(2 * width, None)}
    names = {"word2vec": "joint", "random": "joint.random", "table": "keyword_by_keyword"}
    return {names[kind]: best(tried(kind, columns), task, data)
            for kind, columns in places.items()}


def class_names(data: Data, task: Task, kind: str) -> Scores:
    """Cosine of words with the mean of class names' vectors, weighted by their probabilities."""
    known = data.vectors[kind]
    vectors = text.sentence_vectors([text.tokenize(word) for word in task.words], known)
    labels = text.sentence_vectors([text.tokenize(name) for name in vision.imagenet_labels()],
                                   known)
    seen = vision.class_probabilities(data.features[task.pictures])
    asked = [vision.class_probabilities(data.features[rows])
             for rows in (task.held, task.gallery)]

    def tried() -> Iterable[Scores]:
        for temperature in TEMPERATURES:
            model = ConSE(1000, temperature, center=True).fit(labels, vectors, seen)
            yield tuple(model.similarity(vectors, rows).T for rows in asked)

    return best(tried(), task, data)


def neighbors(data: Data, task: Task, features: np.ndarray) -> Scores:
    """Votes of the nearest labeled pictures; ties go to the more frequent word."""
    labeled = features[task.pictures]
    votes = {n: [neighbor_votes(features[rows], labeled, task.table[task.concept], n)
                 for rows in (task.held, task.gallery)] for n in NEIGHBORS}
    tie = 1e-6 * task.counts / task.counts.max()
    return best([tuple(one + tie for one in both) for both in votes.values()], task, data)


def added(parts: Sequence[Scores], task: Task, data: Data) -> Scores:
    """The first part and a weighted sum of the others, weights chosen on validation."""
    scaled = [tuple(map(standardize, part)) for part in parts]

    def tried() -> Iterable[Scores]:
        for weights in product(WEIGHTS, repeat=len(parts) - 1):
            yield tuple(sum((w * part[i] for w, part in zip(weights, scaled[1:], strict=True)),
                            start=scaled[0][i]) for i in (0, 1))

    return best(tried(), task, data)


def suggestions(data: Data, task: Task) -> dict[str, Scores]:
    """Scores of all words for the asked pictures, by method; controls end in ".random"."""
    noise = np.random.default_rng(0).normal(size=data.features.shape).astype(np.float32)
    often = np.log(task.counts + 0.1)
    often = tuple(np.tile(often, (len(rows), 1)) for rows in (task.held, task.gallery))
    found = {"frequent": often, **learned(data, task),
             "neighbors": neighbors(data, task, data.features),
             "neighbors.random": neighbors(data, task, noise)}
    votes = tuple(np.log(part + 0.01) for part in found["neighbors"])
    for suffix, kind in (("", "word2vec"), (".random", "random")):
        found["class_names" + suffix] = class_names(data, task, kind)
        found["joint_frequent" + suffix] = added([found["joint" + suffix], often], task, data)
        found["sum" + suffix] = added(
            [votes, found["joint" + suffix], found["class_names" + suffix], often], task, data)
        found["table_words" + suffix] = added(
            [votes, found["keyword_by_keyword"], found["joint" + suffix], often], task, data)
    found["table_sum"] = added([votes, found["keyword_by_keyword"], often], task, data)
    return found


# A simulated annotator

RULES = (0, 1, 2, 3, 5, 10)
LOOKS, THINKING = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0), (5.0,)


@dataclass(frozen=True)
class Costs:
    """In keystrokes: a look at a suggestion, and coming up with a word that is not on show."""

    look: float = 1.0
    think: float = 0.0
    completion: bool = True


def completions(words: Sequence[str]) -> dict[str, int]:
    """Letters to type until a field that completes to the first word of a list shows the word.

    >>> completions(["face", "fact", "cat"])
    {'face': 1, 'fact': 4, 'cat': 1}
    """
    first = {}
    for word in words:
        for end in range(1, len(word) + 1):
            first.setdefault(word[:end], word)
    return {word: next((end for end in range(1, len(word)) if first[word[:end]] == word),
                       len(word)) for word in words}


def typing(word: str, letters: dict[str, int], costs: Costs) -> float:
    """Keystrokes for a word, Enter included; a completion costs a look when it is taken."""
    whole = len(word) + 1
    short = letters.get(word, len(word)) + 1 + costs.look
    return costs.think + (min(whole, short) if costs.completion else whole)


def correcting(shown: str, word: str, costs: Costs) -> float:
    """Keystrokes to take a suggestion, rub out its end, type the word's, and press Enter."""
    same = next((i for i, (a, b) in enumerate(zip(shown, word, strict=False)) if a != b),
                min(len(shown), len(word)))
    return costs.think + 1 + (len(shown) - same) + (len(word) - same) + 1


def effort(given: frozenset[str], shown: Sequence[str], letters: dict[str, int], costs: Costs
           ) -> float:
    """What an annotator spends on a picture: looks at all that is shown; accepts what is right,
    corrects what is nearly right, types the rest."""
    spent = costs.look * len(shown) + sum(word in given for word in shown)
    wrong = [word for word in shown if word not in given]      # worth correcting if alike
    for word in given.difference(shown):
        spent += min([typing(word, letters, costs),
                      *(correcting(other, word, costs) for other in wrong
                        if other[:2] == word[:2])])
    return spent


def choose_shown(scores: np.ndarray, words: Sequence[str], rule: int | Callable,
                 letters: dict[str, int], costs: Costs) -> list[list[str]]:
    """Suggestions for each picture: so many, or those that a rule expects to pay.

    rule : a number, or a function from scores (n, SHOWN) and places to probabilities.
    """
    columns = top_k(scores, SHOWN)
    if not callable(rule):
        return [[words[column] for column in row[:rule]] for row in columns]
    chances = rule(np.take_along_axis(standardize(scores), columns, axis=1))
    return [[words[c] for c, p in zip(row, chance, strict=True)
             if p * (typing(words[c], letters, costs) - 1) > costs.look]
            for row, chance in zip(columns, chances, strict=True)]


def learn_chance(scores: np.ndarray, words: Sequence[str], given: Sequence[frozenset[str]]
                 ) -> Callable[[np.ndarray], np.ndarray]:
    """The chance that a suggestion is right, from its score and its place, by logistic
    regression on validation pictures."""
    columns = top_k(scores, SHOWN)
    right = np.array([words[c] in one for row, one in zip(columns, given, strict=True)
                      for c in row])
    if right.all() or not right.any():
        share = float(right.mean())
        return lambda rows: np.full(rows.shape, share)

    def inputs(rows: np.ndarray) -> np.ndarray:
        place = np.broadcast_to(np.log(1 + np.arange(rows.shape[1])), rows.shape)
        return np.column_stack([rows.ravel(), place.ravel()])

    model = LogisticRegression().fit(
        inputs(np.take_along_axis(standardize(scores), columns, axis=1)), right)
    return lambda rows: model.predict_proba(inputs(rows))[:, 1].reshape(rows.shape)


def annotate(data: Data, task: Task, scores: Scores, costs: Costs) -> dict[str, np.ndarray]:
    """Effort for each test picture: with five suggestions, with the number that is best on
    validation, with those that are expected to pay, and with none."""
    letters = completions([word for word, n in zip(task.words, task.counts, strict=True) if n])
    asked = [[data.given[concept] for concept in rows]
             for rows in (task.split.validation, task.split.test)]

    def spent(part: int, rule: int | Callable) -> np.ndarray:
        shown = choose_shown(scores[part], task.words, rule, letters, costs)
        return np.array([effort(one, row, letters, costs)
                         for one, row in zip(asked[part], shown, strict=True)])

    chosen = min(RULES, key=lambda rule: spent(0, rule).sum())
    chance = learn_chance(scores[0], task.words, asked[0])
    return {"five": spent(1, 5), "chosen": spent(1, chosen), "pays": spent(1, chance),
            "typing": spent(1, 0), "n": np.full(len(asked[1]), chosen)}


# Estimates: subgroups are drawn whole

def estimate(rows: np.ndarray, clusters: np.ndarray) -> list[float]:
    """Mean, and the ends of its 95 % interval."""
    return [float(np.mean(rows)), *bootstrap_interval(rows, clusters)]


def saved(spent: np.ndarray, without: np.ndarray, clusters: np.ndarray) -> list[float]:
    """Share of the effort that is saved, pooled over pictures, with its 95 % interval."""
    codes = np.unique(clusters, return_inverse=True)[1]
    sums = np.stack([np.bincount(codes, spent), np.bincount(codes, without)])
    n = sums.shape[1]
    draws = np.random.default_rng(0).integers(n, size=(2000, n))
    ratios = 1 - sums[0][draws].sum(axis=1) / sums[1][draws].sum(axis=1)
    return [float(1 - spent.sum() / without.sum()), *np.percentile(ratios, [2.5, 97.5])]


COST_GRID = {
    **{f"look_{look:g}": Costs(look) for look in LOOKS},
    **{f"think_{think:g}": Costs(1.0, think) for think in THINKING},
    "no_completion": Costs(1.0, 0.0, False)}


def suggest_part(data: Data, strict: bool, salt: int) -> dict:
    """One split: values of each method, effort by method and costs, the ceiling and chance."""
    task = make_task(data, salt, strict)
    found = suggestions(data, task)
    given = [data.given[concept] for concept in task.split.test]
    reach = task.table[task.split.test].sum(axis=1)
    sizes = np.array([len(one) for one in given])
    discount = 1 / np.log2(2 + np.arange(SHOWN))
    ideal = np.cumsum(discount)[np.minimum(sizes, SHOWN) - 1]
    share = reach / len(task.words)
    return {"clusters": data.emoji.clusters[task.split.test].tolist(),
            "sizes": [len(task.split.train), len(task.split.validation), len(task.words)],
            "ceiling": (reach / sizes).tolist(),
            "chance": np.column_stack([share * discount.sum() / ideal, share,
                                       share * SHOWN / sizes]).tolist(),
            "values": {name: values(scores[1], task.words, given).tolist()
                       for name, scores in found.items()},
            "effort": {name: {cost: {rule: spent.tolist() for rule, spent in
                                     annotate(data, task, found[name], costs).items()}
                              for cost, costs in COST_GRID.items()}
                       for name in ("sum", "sum.random", "frequent")}}


METRICS = ("ndcg", "precision", "coverage", "first")
PAIRS = (("sum", "frequent"), ("sum", "neighbors"), ("sum", "sum.random"),
         ("neighbors", "frequent"), ("joint", "frequent"), ("joint", "joint.random"),
         ("joint_frequent", "frequent"), ("joint_frequent", "joint_frequent.random"),
         ("joint_frequent", "neighbors"), ("class_names", "frequent"),
         ("class_names", "class_names.random"), ("keyword_by_keyword", "sum"),
         ("table_words", "table_sum"), ("table_words.random", "table_sum"),
         ("table_sum", "sum"))


def gather(parts: Sequence[dict]) -> dict:
    """Estimates over the splits together; the same subgroup is one cluster in all of them."""
    clusters = np.concatenate([part["clusters"] for part in parts])
    names = parts[0]["values"]
    table = {name: np.concatenate([part["values"][name] for part in parts]) for name in names}
    chance = np.concatenate([part["chance"] for part in parts]).mean(axis=0)
    return {"sizes": np.mean([part["sizes"] for part in parts], axis=0).tolist(),
            "ceiling": estimate(np.concatenate([part["ceiling"] for part in parts]), clusters),
            "chance": dict(zip(METRICS, chance.tolist(), strict=False)),
            "values": {name: {metric: estimate(rows[:, i], clusters)
                              for i, metric in enumerate(METRICS)}
                       for name, rows in table.items()},
            "differences": {f"{a}-{b}": {metric: estimate(table[a][:, i] - table[b][:, i],
                                                          clusters)
                                         for i, metric in enumerate(METRICS)}
                            for a, b in PAIRS},
            "effort": gather_effort(parts, clusters)}


def gather_effort(parts: Sequence[dict], clusters: np.ndarray) -> dict:
    """Effort saved against typing alone and against the frequent list, by costs and rule."""
    def spent(name: str, cost: str, rule: str) -> np.ndarray:
        return np.concatenate([part["effort"][name][cost][rule] for part in parts])

    found = {}
    for cost in COST_GRID:
        alone = spent("sum", cost, "typing")
        found[cost] = {"typing": float(alone.mean())}
        for name in parts[0]["effort"]:
            found[cost][name] = {rule: saved(spent(name, cost, rule), alone, clusters)
                                 for rule in ("five", "chosen", "pays")}
            found[cost][name]["n"] = [int(part["effort"][name][cost]["n"][0]) for part in parts]
        for name in ("sum", "sum.random"):
            found[cost][f"{name}-frequent"] = {
                rule: saved(spent(name, cost, rule), spent("frequent", cost, rule), clusters)
                for rule in ("five", "chosen", "pays")}
    return found


# What to label next

START, STEP, MOST = 50, 25, 400
RIDGE = (3.0, 10.0, 30.0, 100.0)


def fit_predict(kernel: np.ndarray, labeled: Sequence[int], asked: Sequence[int],
                table: np.ndarray, alpha: float) -> np.ndarray:
    """Scores of words by ridge regression on labeled pictures: (n_asked, n_words).

    kernel : inner products of all pictures, (n, n). table : (n_labeled, n_words).
    """
    own = kernel[np.ix_(labeled, labeled)].copy()
    own[np.diag_indices_from(own)] += alpha * np.trace(own) / 1280
    mean = table.mean(axis=0)
    return kernel[np.ix_(asked, labeled)] @ np.linalg.solve(own, table - mean) + mean


def k_center(kernel: np.ndarray, labeled: Sequence[int], free: Sequence[int], n: int
             ) -> list[int]:
    """n free pictures, each the farthest from all that are labeled or taken before it."""
    lengths = np.diag(kernel)

    def distance(row: int) -> np.ndarray:
        return lengths[free] - 2 * kernel[free, row] + lengths[row]

    nearest = np.min([distance(row) for row in labeled], axis=0)
    taken = []
    for _ in range(min(n, len(free))):
        far = int(np.argmax(nearest))
        taken.append(int(free[far]))
        nearest = np.minimum(nearest, distance(taken[-1]))
    return taken


def pick(way: str, kernel: np.ndarray, labeled: Sequence[int], free: np.ndarray,
         best_score: np.ndarray, n: int, rng: np.random.Generator) -> list[int]:
    """The next n pictures to label.

    best_score : (n_free,) score of the word that the model suggests first.
    """
    if way == "random":
        return rng.permutation(free)[:n].tolist()
    unsure = free[np.argsort(best_score, kind="stable")]
    if way == "uncertainty":
        return unsure[:n].tolist()
    half = free if way == "diversity" else unsure[:max(n, len(unsure) // 2)]
    return k_center(kernel, labeled, half, n)


WAYS = ("random", "uncertainty", "diversity", "both")


def active_part(data: Data, salt: int, copies: bool) -> dict:
    """nDCG@10 of each test picture against the number of labels, by way of choosing.

    copies : whether the pool holds all drawings of a concept, not one.
    """
    emoji = data.emoji
    split = emoji.split(salt, strict=True)
    pool = (np.flatnonzero(np.isin(emoji.pictures.concept_row, split.train)) if copies
            else emoji.gallery(split.train, salt))
    held, gallery = emoji.gallery(split.validation, salt), emoji.gallery(split.test, salt)
    rows = np.concatenate([pool, held, gallery])
    features = data.features[rows] - data.features[pool].mean(axis=0)
    kernel = (features @ features.T).astype(float)
    concept = emoji.pictures.concept_row[rows]
    ends = np.cumsum([len(pool), len(held), len(gallery)])
    held, gallery = np.arange(*ends[:2]), np.arange(*ends[1:])
    start = np.random.default_rng(salt).permutation(len(pool))[:START].tolist()
    curves = {}
    for way in WAYS:
        labeled, rng, curve = list(start), np.random.default_rng(1000 + salt), []
        while True:
            words = sorted(set().union(*(data.given[concept[row]] for row in labeled)))
            table = incidence([data.given[concept[row]] for row in labeled], words)
            found = learn(data, kernel, labeled, (held, gallery), concept, table, words)
            curve.append(found[1])
            free = np.setdiff1d(np.arange(len(pool)), labeled)
            if len(labeled) >= min(MOST, len(pool)):
                break
            score = fit_predict(kernel, labeled, free, table, found[0]).max(axis=1)
            n = min(STEP, min(MOST, len(pool)) - len(labeled))
            labeled += pick(way, kernel, labeled, free, score, n, rng)
        curves[way] = np.array(curve).tolist()
    sizes = [*range(START, min(MOST, len(pool)), STEP), min(MOST, len(pool))]
    return {"sizes": sizes, "pool": len(pool), "curves": curves,
            "clusters": emoji.clusters[split.test].tolist()}


def learn(data: Data, kernel: np.ndarray, labeled: list[int],
          asked: tuple[np.ndarray, np.ndarray], concept: np.ndarray, table: np.ndarray,
          words: Sequence[str]) -> tuple[float, np.ndarray]:
    """The penalty that is best on validation, and nDCG@10 of each test picture with it."""
    held, gallery = asked

    def score(rows: np.ndarray, alpha: float) -> np.ndarray:
        return values(fit_predict(kernel, labeled, rows, table, alpha), words,
                      [data.given[concept[row]] for row in rows])[:, 0]

    alpha = max(RIDGE, key=lambda alpha: score(held, alpha).mean())
    return alpha, score(gallery, alpha)


def area(curve: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """Mean height of each picture's curve over the number of labels: (n_test,)."""
    return np.trapezoid(curve, sizes, axis=0) / (sizes[-1] - sizes[0])


def gather_active(parts: Sequence[dict]) -> dict:
    """Curves, areas, and differences to random choice; of two intervals the wider one."""
    clusters = np.concatenate([part["clusters"] for part in parts])
    areas = {way: [area(np.array(part["curves"][way]), part["sizes"]) for part in parts]
             for way in WAYS}
    n = min(len(part["sizes"]) for part in parts)
    return {"sizes": parts[0]["sizes"][:n - 1], "pool": [part["pool"] for part in parts],
            "curves": {way: np.mean([[np.mean(rows) for rows in part["curves"][way][:n - 1]]
                                     for part in parts], axis=0).tolist() for way in WAYS},
            "end": float(np.mean([np.mean(part["curves"]["random"][-1]) for part in parts])),
            "area": {way: estimate(np.concatenate(areas[way]), clusters) for way in WAYS},
            "gain": {way: wider([a - b for a, b in zip(areas[way], areas["random"],
                                                       strict=True)], clusters)
                     for way in WAYS if way != "random"}}


# Finding mislabeled items

RATES, EFFORTS = (0.05, 0.1, 0.2), (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
FOLDS = 5
GRID = {"similarity": (1.0, 3.0, 10.0, 30.0, 100.0), "neighbors": (5, 10, 20, 40),
        "confident": (0.01, 0.1, 1.0, 10.0)}
OTHER_SEEDS = range(100, 105)       # of the swaps on which the settings are chosen


def plant(n: int, rate: float, rng: np.random.Generator) -> np.ndarray:
    """Whose text each picture gets: its own, but for a share of them, which are passed on."""
    owner = np.arange(n)
    moved = rng.permutation(n)[:round(rate * n)]
    owner[moved] = np.roll(moved, 1)
    return owner


def by_similarity(texts: np.ndarray, features: np.ndarray, alpha: float,
                  rng: np.random.Generator) -> np.ndarray:
    """How well each text fits its picture, by a map learned from the other pairs: (n,)."""
    order, fit = rng.permutation(len(texts)), np.empty(len(texts))
    for part in np.array_split(order, FOLDS):
        rest = np.setdiff1d(order, part)
        model = RidgeMap(alpha, "image_to_text").fit(texts[rest], features[rest])
        table = model.similarity(texts, features[part]).T      # pictures by texts
        fit[part] = standardize(table)[np.arange(len(part)), part]
    return fit


def by_neighbors(texts: np.ndarray, features: np.ndarray, n: int) -> np.ndarray:
    """Mean cosine of a picture's text with the texts of its nearest pictures: (n,)."""
    features, texts = features - features.mean(axis=0), unit_rows(texts - texts.mean(axis=0))
    near = cosine_similarity(features, features)
    np.fill_diagonal(near, -np.inf)
    nearest = top_k(near, n)
    return np.einsum("nd,nkd->n", texts, texts[nearest]) / n


def by_confidence(labels: np.ndarray, features: np.ndarray, c: float, rng: np.random.Generator
                  ) -> np.ndarray:
    """Confident learning: how far a classifier that did not learn from a pair believes its
    label, less its mean belief in the label where it is given: (n,)."""
    codes = np.unique(labels, return_inverse=True)[1]
    chances = np.zeros((len(codes), codes.max() + 1))
    for part in np.array_split(rng.permutation(len(codes)), FOLDS):
        rest = np.setdiff1d(np.arange(len(codes)), part)
        model = make_pipeline(PCA(128, random_state=0), StandardScaler(),
                              LogisticRegression(C=c, max_iter=300))
        model.fit(features[rest], codes[rest])
        chances[np.ix_(part, model[-1].classes_)] = model.predict_proba(features[part])
    own = chances[np.arange(len(codes)), codes]
    usual = np.bincount(codes, own) / np.bincount(codes)
    check_with_cleanlab(codes, chances, own - usual[codes])
    return own - usual[codes]


def check_with_cleanlab(codes: np.ndarray, chances: np.ndarray, ours: np.ndarray) -> None:
    """Raise AssertionError unless cleanlab puts the pairs into the same order."""
    from cleanlab.rank import get_label_quality_scores     # of an extra; tests do without it

    theirs = get_label_quality_scores(codes, chances, method="self_confidence",
                                      adjust_pred_probs=True)
    assert stats.spearmanr(theirs, ours).statistic > 0.999


def class_labels(emoji: Collection) -> np.ndarray:
    """Subgroup of each concept; those with fewer than ten are one class of their group."""
    sizes = Counter(emoji.subgroups)
    return np.array([subgroup if sizes[subgroup] >= 10 else group for group, subgroup
                     in zip(emoji.groups, emoji.subgroups, strict=True)])


def suspicion(data: Data, seed: int, rate: float, settings: dict[str, float],
              methods: Sequence[str]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Planted swaps, and how well each pair fits by each method: (n_planted,), (n,) each."""
    emoji, rng = data.emoji, np.random.default_rng(seed)
    features = data.features[emoji.gallery(range(len(emoji)), seed)]
    owner = plant(len(emoji), rate, rng)
    noise = rng.normal(size=features.shape).astype(np.float32)
    ways = {
        "similarity": lambda value: by_similarity(data.texts[owner], features, value, rng),
        "similarity.random": lambda value: by_similarity(data.random_texts[owner], features,
                                                         value, rng),
        "neighbors": lambda value: by_neighbors(data.texts[owner], features, value),
        "neighbors.random": lambda value: by_neighbors(data.texts[owner], noise, value),
        "confident": lambda value: by_confidence(class_labels(emoji)[owner], features, value,
                                                 rng)}
    found = {name: ways[name](settings[name.removesuffix(".random")]) for name in methods}
    return np.flatnonzero(owner != np.arange(len(owner))), found


def places(planted: np.ndarray, fit: np.ndarray) -> np.ndarray:
    """Where the planted swaps stand in the order of suspicion, as a share of all pairs."""
    return (1 + np.argsort(np.argsort(fit, kind="stable"), kind="stable"))[planted] / len(fit)


def choose_settings(data: Data) -> dict[str, float]:
    """The setting of each method that finds most of other planted swaps with a fifth of looks."""
    def found(name: str, value: float) -> float:
        return np.mean([np.mean(places(planted, fits[name]) <= 0.2) for planted, fits in (
            suspicion(data, seed, 0.1, {name: value}, [name]) for seed in OTHER_SEEDS)])

    return {name: max(tried, key=partial(found, name)) for name, tried in GRID.items()}


def mistakes_part(data: Data, seed: int, rate: float, settings: dict[str, float]) -> dict:
    """The place of each planted swap in the order of suspicion, by method."""
    names = ("similarity", "similarity.random", "neighbors", "neighbors.random", "confident")
    planted, found = suspicion(data, seed, rate, settings, names)
    for name, other in (("sum", ""), ("sum.random", ".random")):
        found[name] = sum(standardize(found[part + other][None])[0]
                          for part in ("similarity", "neighbors"))
    return {"clusters": data.emoji.clusters[planted].tolist(),
            "places": {name: places(planted, fit).tolist() for name, fit in found.items()}}


def gather_mistakes(parts: Sequence[dict]) -> dict:
    """Share of the planted swaps that are found with a share of the looks."""
    clusters = np.concatenate([part["clusters"] for part in parts])
    found = {name: np.concatenate([part["places"][name] for part in parts])
             for name in parts[0]["places"]}
    pairs = [("similarity", "similarity.random"), ("sum", "neighbors"), ("sum", "similarity"),
             ("similarity", "neighbors"), ("sum", "confident"), ("neighbors", "confident")]
    return {"found": {name: {f"looks_{share:g}": estimate((each <= share).astype(float), clusters)
                             for share in EFFORTS} for name, each in found.items()},
            "differences": {f"{a}-{b}": {f"looks_{share:g}": estimate(
                (found[a] <= share).astype(float) - (found[b] <= share), clusters)
                for share in EFFORTS} for a, b in pairs}}


# Intervals over seeds

def wider(rows: Sequence[np.ndarray], clusters: np.ndarray) -> list[float]:
    """Mean of rows by seed, and of its 95 % intervals over subgroups and over seeds the wider."""
    first = estimate(np.concatenate(rows), clusters)
    means = np.array([row.mean() for row in rows])
    half = stats.t.ppf(0.975, len(means) - 1) * means.std(ddof=1) / np.sqrt(len(means))
    second = [float(means.mean()), float(means.mean() - half), float(means.mean() + half)]
    return max(first, second, key=lambda ends: ends[2] - ends[1])


def words_gains(parts: Sequence[dict]) -> dict[str, list[float]]:
    """What word vectors add to sums without them, or with random ones, in nDCG@10."""
    clusters = np.concatenate([part["clusters"] for part in parts])
    first = [{name: np.array(rows)[:, 0] for name, rows in part["values"].items()}
             for part in parts]
    return {f"{a}-{b}": wider([each[a] - each[b] for each in first], clusters)
            for a, b in (("sum", "sum.random"), ("table_words", "table_sum"),
                         ("table_words", "table_words.random"),
                         ("table_words.random", "table_sum"))}


def mistakes_gains(parts: Sequence[dict], share: float) -> dict[str, list[float]]:
    """Differences in planted swaps found with a share of the looks, with the wider interval."""
    def difference(part: dict, a: str, b: str) -> np.ndarray:
        return (np.array(part["places"][a]) <= share).astype(float) - (
            np.array(part["places"][b]) <= share)

    clusters = np.concatenate([part["clusters"] for part in parts])
    return {f"{a}-{b}": wider([difference(part, a, b) for part in parts], clusters)
            for a, b in (("similarity", "similarity.random"), ("similarity", "neighbors"),
                         ("sum", "similarity"))}


# Running it

def sections() -> dict[str, str]:
    """The script's text by section, which is what a section's results depend on."""
    head, *rest = Path(__file__).read_text("utf8").split("\n\n\n# ")
    return {"": head, **{part.split("\n")[0]: part for part in rest}}


def remembered(memory: Path, key: str, work: Callable[[], dict]) -> dict:
    """What was worked out before under a key, or the work's result, kept from now on."""
    path = memory / f"{key}.json"
    if path.exists():
        return json.loads(path.read_text("utf8"))
    result = work()
    save(path, result)
    return result


def save(path: Path, content: dict) -> None:
    """Write a JSON file whole or not at all."""
    with write_then_rename(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf8")


def rounded(content: object) -> object:
    """Four digits of every number."""
    if isinstance(content, dict):
        return {name: rounded(each) for name, each in content.items()}
    if isinstance(content, list):
        return [rounded(each) for each in content]
    return round(content, 4) + 0.0 if isinstance(content, float) else content   # no "-0.0"


def main() -> None:
    """Run all parts and, unless --quick, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two splits; writes nothing")
    salts = 2 if parser.parse_args().quick else SALTS
    data, texts = load_data(), sections()
    memory = cache_dir() / "annotation"
    head = content_key(data.features[::100], data.texts[::10])
    settings = remembered(memory, content_key(head, texts["Finding mislabeled items"], "choose"),
                          partial(choose_settings, data))
    work = {("suggest", strict, salt): (
        "Suggesting keywords A simulated annotator Estimates: subgroups are drawn whole",
        partial(suggest_part, data, strict, salt)) for strict in (True, False)
        for salt in range(salts)}
    for salt in range(salts):
        for copies in (False, True):
            work["active", copies, salt] = ("What to label next",
                                            partial(active_part, data, salt, copies))
        for rate in RATES:
            work["mistakes", rate, salt] = ("Finding mislabeled items",
                                            partial(mistakes_part, data, salt, rate, settings))
    done = {}
    for name in tqdm(sorted(work, key=lambda name: name[:2] == ("suggest", False)), desc="Parts"):
        titles, make = work[name]
        used = [part for title, part in texts.items() if title and title in titles]
        done[name] = remembered(memory, content_key(head, used, list(map(str, name))), make)

    def parts(*name: object) -> list[dict]:
        return [done[(*name, salt)] for salt in range(salts)]

    result = {"date": time.strftime("%Y-%m-%d"), "python": platform.python_version(),
              "numpy": np.__version__, "scikit-learn": sklearn.__version__,
              "cleanlab": importlib.metadata.version("cleanlab"), "salts": salts,
              "settings": {"shown": SHOWN, "neighbors": NEIGHBORS, "penalties": PENALTIES,
                           "weights": WEIGHTS, "rules": RULES, "start": START, "step": STEP,
                           "ridge": RIDGE, "rates": RATES, "efforts": EFFORTS,
                           "mistakes": settings},
              "suggest": {"strict": gather(parts("suggest", True)),
                          "plain": gather(parts("suggest", False))},
              "active": {"single": gather_active(parts("active", False)),
                         "copies": gather_active(parts("active", True))},
              "mistakes": {f"rate_{round(100 * rate)}": gather_mistakes(parts("mistakes", rate))
                           for rate in RATES},
              "words_gains": {"strict": words_gains(parts("suggest", True)),
                              "plain": words_gains(parts("suggest", False))},
              "mistakes_gains": mistakes_gains(parts("mistakes", 0.1), 0.2)}
    if salts == SALTS:
        save(OUTPUT, rounded(json.loads(json.dumps(result))))


if __name__ == "__main__":
    main()
