"""From an emoji's name to the right sense in WordNet: by definitions, by the picture, by both.

`python benchmarks/senses.py` writes senses.json beside it in about two minutes of one core. What
is right stands in senses_judged.json, with its rule and what was known when it was judged.
`--draw 20` prints the first 20 emoji to judge, each with its candidate senses shuffled.
"""

import argparse
import inspect
import json
import platform
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

import gensim
import numpy as np
import sklearn
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
from tqdm import tqdm

from mmfuse_utils import text, vision
from mmfuse_utils.cache import cached_array, content_key, write_then_rename
from mmfuse_utils.data import Collection, load_emoji
from mmfuse_utils.data.near import near_duplicates
from mmfuse_utils.data.sources import SOURCES, package_path
from mmfuse_utils.data.splits import hash_text
from mmfuse_utils.data.wordnet import Synset, synsets
from mmfuse_utils.data.words import normalize
from mmfuse_utils.fusion import RidgeMap
from mmfuse_utils.metrics import bootstrap_interval, mean_reciprocal_rank, ranks
from mmfuse_utils.retrieval import unit_rows
from mmfuse_utils.significance import holm, paired_permutation_test

OUTPUT = Path(__file__).with_suffix(".json")
JUDGED = OUTPUT.with_name("senses_judged.json")
SALTS, FOLDS = 5, 5
PENALTIES = (0.1, 0.3, 1.0, 3.0)
READ, IDF, CENTER = ("gloss", "entry"), (False, True), (False, True)
SETTINGS = tuple(product(READ, IDF, CENTER))
PICTURE_WEIGHTS = (0.25, 0.5, 1.0, 2.0, 4.0)
ORDER_WEIGHTS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


# Which senses there are, and which emoji are judged

# WordNet's own endings of plural nouns, as in its manual page morphy(7WN).
PLURALS = (("s", ""), ("ses", "s"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"),
           ("men", "man"), ("ies", "y"))
REST = re.compile(r"[:,(“”]| (?:with|of|in|and|on|at|to|for|from|without|or) ")


@cache
def noun_senses() -> dict[str, tuple[str, ...]]:
    """Noun senses of each lemma in WordNet's order: those met most often in its tagged texts
    first, then those that were never met."""
    path = package_path("wordnet") / "package" / "dict" / "index.noun"
    return dict(map(parse_entry, (line for line in path.read_text("utf8").splitlines()
                                  if not line.startswith(" "))))


def parse_entry(line: str) -> tuple[str, tuple[str, ...]]:
    """One line of `index.noun`, see wndb(5WN): a lemma and its senses in order.

    >>> parse_entry("dodo n 2 2 @ #m 2 0 10042633 01813884  ")
    ('dodo', ('n10042633', 'n01813884'))
    """
    fields = line.split()
    senses = fields[-int(fields[2]):]
    return fields[0].replace("_", " "), tuple("n" + sense for sense in senses)


@cache
def times_met() -> dict[str, int]:
    """How often each noun's first sense occurs in the texts that WordNet's makers tagged."""
    path = package_path("wordnet") / "package" / "dict" / "index.sense"
    rows = (line.split() for line in path.read_text("utf8").splitlines())
    return {key.split("%")[0].replace("_", " "): int(count) for key, _, place, count in rows
            if "%1:" in key and place == "1"}


def head(name: str, is_face: bool, senses: dict[str, tuple[str, ...]]) -> str | None:
    """What a name calls the thing: the longest end of its first phrase that is a noun lemma.

    is_face : whether a "face" at the end is what is meant; of a "tiger face" the tiger is.

    >>> head("ear of corn", False, {"ear": ("n1",)}), head("hot dogs", False, {"hot dog": ()})
    ('ear', 'hot dog')
    """
    words = REST.split(normalize(name))[0].split()
    if words[-1:] == ["face"] and len(words) > 1 and not is_face:
        words = words[:-1]
    for start in range(len(words)):
        phrase = " ".join(words[start:])
        forms = [phrase, *(phrase[:-len(end)] + new for end, new in PLURALS
                           if phrase.endswith(end))]
        for form in forms:
            if form in senses:
                return form
    return None


def order_to_judge(emoji: Collection) -> list[tuple[int, str]]:
    """Concepts whose noun has two senses or more, by hash, each noun once: (row, lemma)."""
    senses, found = noun_senses(), {}
    for row in sorted(range(len(emoji)), key=lambda row: hash_text(f"senses:{emoji.ids[row]}")):
        lemma = head(emoji.names["en"][row][0], emoji.groups[row] == "smileys-emotion", senses)
        if lemma is not None and len(senses[lemma]) > 1:
            found.setdefault(lemma, row)
    return [(row, lemma) for lemma, row in found.items()]


def print_to_judge(emoji: Collection, n: int) -> None:
    """Print what a judge reads: names and definitions, senses in an order drawn by hash."""
    for place, (row, lemma) in enumerate(order_to_judge(emoji)[:n]):
        print(f"{place} {emoji.ids[row]} {emoji.names['en'][row][0]!r}: {lemma}")
        for sense in sorted(noun_senses()[lemma],
                            key=lambda sense: hash_text(f"shuffle:{emoji.ids[row]}:{sense}")):
            synset = synsets()[sense]
            print(f"    {sense} [{', '.join(synset.lemmas)}] {synset.gloss}")


# What is known of the judged emoji

@dataclass(frozen=True)
class Items:
    """The judged emoji of both lists; their candidate senses stand in one row after another.

    rows : concept of each item, (n_items,). later : whether it is of the second list.
    lemmas : its noun. counted : whether the first sense of that noun is first by counts.
    item : of each sense, (n_senses,), and its synset. right, best : whether a sense is right, and
    whether it is the one that fits best. order : minus the logarithm of its place in WordNet.
    """

    rows: np.ndarray
    later: np.ndarray
    lemmas: tuple[str, ...]
    counted: np.ndarray
    item: np.ndarray
    senses: tuple[str, ...]
    right: np.ndarray
    best: np.ndarray
    order: np.ndarray
    subgroups: np.ndarray


def load_items(emoji: Collection) -> Items:
    """The judged lists as arrays."""
    file = json.loads(JUDGED.read_text("utf8"))
    judged = file["items"] + file["later"]["items"]
    place = {name: row for row, name in enumerate(emoji.ids)}
    rows = np.array([place[one["concept"]] for one in judged])
    known = [(i, sense, sense in one["right"], sense == one["right"][0], -np.log(rank))
             for i, one in enumerate(judged) for rank, sense in enumerate(one["senses"], 1)]
    item, senses, right, best, order = zip(*known, strict=True)
    lemmas = tuple(one["lemma"] for one in judged)
    return Items(rows, np.arange(len(rows)) >= len(file["items"]), lemmas,
                 np.array([times_met().get(lemma, 0) > 0 for lemma in lemmas]), np.array(item),
                 senses, np.array(right), np.array(best), np.array(order), emoji.clusters[rows])


def credits(scores: np.ndarray, item: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Whether each item's best sense is right, (n_items,); ties count by their share of right.

    >>> credits(np.array([2, 1, 0, 0]), np.array([0, 0, 1, 1]), np.array([1, 0, 1, 0]))
    array([1. , 0.5])
    """
    highest = np.full(item.max() + 1, -np.inf)
    np.maximum.at(highest, item, scores)
    first = scores >= highest[item] - 1e-9
    return np.bincount(item, first & right.astype(bool)) / np.bincount(item, first)


# Scores of senses

def read(synset: Synset, how: str) -> list[str]:
    """Tokens of a sense: its definition with examples, or also its synonyms and what is above."""
    if how == "gloss":
        return text.tokenize(synset.gloss)
    above = [lemma for relation, target in synset.relations if "hypernym" in relation
             for lemma in synsets()[target].lemmas]
    return text.tokenize(" ".join([*synset.lemmas, synset.gloss, *above]))


def keyword_tokens(emoji: Collection) -> list[list[str]]:
    """Tokens of each concept's keywords, without its name."""
    return [text.tokenize(" ".join(words)) for words in emoji.keywords["en"]]


def overlaps(emoji: Collection, items: Items, how: str) -> np.ndarray:
    """How many words a sense shares with the keywords (Lesk 1986), stop words and the noun's own
    left out: (n_senses,)."""
    tokens = keyword_tokens(emoji)
    given = [set(tokens[row]) - ENGLISH_STOP_WORDS - set(text.tokenize(lemma))
             for row, lemma in zip(items.rows, items.lemmas, strict=True)]
    return np.array([len(given[i] & set(read(synsets()[sense], how)))
                     for i, sense in zip(items.item, items.senses, strict=True)], float)


@dataclass(frozen=True)
class Vectors:
    """Unit vectors for one kind of words: of keywords, by `IDF`; of senses, by `READ` and `IDF`.

    sense_mean : mean over all noun senses of WordNet. concepts : (n_concepts, dim).
    """

    concepts: dict[bool, np.ndarray]
    senses: dict[tuple[str, bool], np.ndarray]
    sense_mean: dict[tuple[str, bool], np.ndarray]


def load_vectors(emoji: Collection, items: Items, known: object) -> Vectors:
    """Mean word vectors, plain and weighted by inverse document frequency among definitions."""
    nouns = [synset for name, synset in synsets().items() if name[0] == "n"]
    place = {synset.id: row for row, synset in enumerate(nouns)}
    weights = text.idf_weights([read(synset, "gloss") for synset in nouns])
    rows = [place[sense] for sense in items.senses]
    senses, means, concepts = {}, {}, {}
    for how, idf in product(READ, IDF):
        table = text.sentence_vectors([read(synset, how) for synset in nouns], known,
                                      weights if idf else None)
        senses[how, idf], means[how, idf] = table[rows], table.mean(axis=0)
    for idf in IDF:
        concepts[idf] = text.sentence_vectors(keyword_tokens(emoji), known,
                                              weights if idf else None)
    return Vectors(concepts, senses, means)


def cosines(asked: np.ndarray, senses: np.ndarray, item: np.ndarray) -> np.ndarray:
    """Cosine of each sense with its item's vector: (n_senses,)."""
    return np.einsum("ij,ij->i", unit_rows(asked)[item], unit_rows(senses))


def by_keywords(vectors: Vectors, items: Items) -> dict[tuple, np.ndarray]:
    """Scores of senses by the keywords' mean vector, for each setting."""
    found = {}
    for how, idf, center in SETTINGS:
        asked, senses = vectors.concepts[idf][items.rows], vectors.senses[how, idf]
        if center:
            asked = asked - vectors.concepts[idf].mean(axis=0)
            senses = senses - vectors.sense_mean[how, idf]
        found[how, idf, center] = cosines(asked, senses, items.item)
    return found


def by_guess(guesses: dict[bool, tuple[np.ndarray, np.ndarray]], vectors: Vectors, items: Items
             ) -> dict[tuple, np.ndarray]:
    """Scores of senses by what a map reads from the picture, for each setting.

    guesses : by `IDF`, of each item less the training texts' mean, and that mean: (n_items, dim).
    """
    found = {}
    for how, idf, center in SETTINGS:
        guess, mean = guesses[idf]
        senses = vectors.senses[how, idf]
        if center:
            senses = senses - vectors.sense_mean[how, idf]
        found[how, idf, center] = cosines(guess if center else guess + mean, senses, items.item)
    return found


# Maps from pictures to texts, each for concepts that it has not seen

def folds_of(emoji: Collection, salt: int) -> np.ndarray:
    """Fold of each concept, drawn by hash: (n_concepts,)."""
    order = sorted(range(len(emoji)), key=lambda row: hash_text(f"{salt}:{emoji.ids[row]}"))
    folds = np.empty(len(emoji), int)
    folds[order] = np.arange(len(emoji)) % FOLDS
    return folds


def guess_texts(emoji: Collection, features: np.ndarray, texts: Sequence[np.ndarray], salt: int,
                near: np.ndarray) -> np.ndarray:
    """What ridge maps read from one picture of each concept, cross-fitted by folds.

    texts : tables (n_concepts, dim), each with a penalty of its own, chosen on the next fold by
        how well that fold's own texts are found. near : see `near_duplicates`; what is near a
        held-out concept is not trained on. Returns guesses less the mean of the training texts,
        and that mean, for each table: (n_tables, 2, n_concepts, dim).
    """
    folds, concept = folds_of(emoji, salt), emoji.pictures.concept_row
    gallery = emoji.gallery(range(len(emoji)), salt)
    target = np.hstack(texts)
    width = target.shape[1] // len(texts)
    found = np.zeros((len(texts), 2, len(emoji), width), np.float32)

    def fit(held: np.ndarray, alpha: float) -> RidgeMap:
        train = ~held & ~near[:, held].any(axis=1)
        pairs = np.flatnonzero(train[concept])
        return RidgeMap(alpha, "image_to_text").fit(target[concept[pairs]], features[pairs])

    for fold in range(FOLDS):
        asked, later = folds == fold, folds == (fold + 1) % FOLDS
        score = np.zeros((len(PENALTIES), len(texts)))
        for i, alpha in enumerate(PENALTIES):
            model = fit(asked | later, alpha)
            read_off = (features[gallery[later]] - model.image_mean_) @ model.coef_
            for t in range(len(texts)):
                columns = slice(t * width, (t + 1) * width)
                own = unit_rows(target[later, columns] - model.text_mean_[columns])
                score[i, t] = mean_reciprocal_rank(ranks(
                    own @ unit_rows(read_off[:, columns]).T, np.arange(later.sum())))
        chosen = score.argmax(axis=0)
        for i in np.unique(chosen):
            model = fit(asked, PENALTIES[i])
            read_off = (features[gallery[asked]] - model.image_mean_) @ model.coef_
            for t in np.flatnonzero(chosen == i):
                columns = slice(t * width, (t + 1) * width)
                found[t, 0, asked] = read_off[:, columns]
                found[t, 1, asked] = model.text_mean_[columns]
    return found


# Choosing on other folds, and what comes of it

Tried = dict[object, np.ndarray]        # setting -> scores of all senses


def choose(tried: Tried, items: Items, others: np.ndarray) -> object:
    """The setting with the most right among the items of other folds; the first one in a tie."""
    return max(tried, key=lambda setting: credits(tried[setting], items.item,
                                                  items.right)[others].mean())


def combine(first: np.ndarray, second: np.ndarray | None, order: np.ndarray | None) -> Tried:
    """Sums of scores for each weight: of the picture's, if given, and of the order of senses."""
    pictures = PICTURE_WEIGHTS if second is not None else (0.0,)
    orders = ORDER_WEIGHTS if order is not None else (0.0,)
    return {(w, v): first + (w * second if w else 0) + (v * order if v else 0)
            for w, v in product(pictures, orders)}


def cross_fitted(items: Items, fold_of: np.ndarray, keywords: Tried, picture: Tried,
                 shuffled: Tried, shared: Tried, suffix: str
                 ) -> tuple[dict[str, np.ndarray], dict[str, list]]:
    """Scores of all senses by each method, every setting chosen on the items of other folds.

    fold_of : of each concept. Items of the second list get what the whole first list chose.
    suffix : "" or ".random"; only the first has the methods without vectors. Returns the scores,
    and the settings that each fold and then the whole first list took.
    """
    found, taken = {}, {}

    def put(name: str, tried: Tried, others: np.ndarray, here: np.ndarray) -> np.ndarray:
        setting = choose(tried, items, others)
        found.setdefault(name + suffix, np.zeros(len(items.item)))[here] = tried[setting][here]
        taken.setdefault(name + suffix, []).append(setting)
        return tried[setting]

    folds = np.where(items.later, FOLDS, fold_of[items.rows])
    for fold in range(FOLDS + 1):
        inside = folds == fold
        where = ~inside & ~items.later, inside[items.item]
        gloss, seen = put("gloss", keywords, *where), put("picture", picture, *where)
        wrong = put("picture_shuffled", shuffled, *where)
        put("both", combine(gloss, seen, None), *where)
        put("both_shuffled", combine(gloss, wrong, None), *where)
        put("gloss_order", combine(gloss, None, items.order), *where)
        put("picture_order", combine(seen, None, items.order), *where)
        put("both_order", combine(gloss, seen, items.order), *where)
        if not suffix:
            lesk = put("lesk", shared, *where)
            put("lesk_order", {"ties": lesk + 1e-3 * items.order}, *where)
            put("counted_chance", {"rule": items.order * items.counted[items.item]}, *where)
        put("counted_order", {"rule": np.where(items.counted[items.item], items.order, gloss)},
            *where)
    return found, taken


def other_pictures(items: Items, salt: int) -> np.ndarray:
    """For each item another one, of another subgroup, whose picture it is shown: (n_items,)."""
    rng = np.random.default_rng(salt)
    return np.array([rng.choice(np.flatnonzero(items.subgroups != own))
                     for own in items.subgroups])


def run_salt(emoji: Collection, items: Items, vectors: dict[str, Vectors], features: np.ndarray,
             near: np.ndarray, shared: Tried, salt: int
             ) -> tuple[dict[str, np.ndarray], dict[str, list]]:
    """Scores of all senses by all methods, and the settings taken, with the folds and pictures
    of one salt."""
    texts = [kind.concepts[idf] for kind in vectors.values() for idf in IDF]
    code = [inspect.getsource(part) for part in (guess_texts, folds_of)]
    key = content_key("guesses", code, PENALTIES, FOLDS, salt, features[::50], *texts)
    guesses = cached_array("senses", key,
                           lambda: guess_texts(emoji, features, texts, salt, near))
    folds, other = folds_of(emoji, salt), other_pictures(items, salt)
    found, taken = {}, {}
    for k, (suffix, kind) in enumerate(vectors.items()):
        own = {idf: guesses[2 * k + i][:, items.rows] for i, idf in enumerate(IDF)}
        wrong = {idf: (rows[0][other], rows[1]) for idf, rows in own.items()}
        scores, settings = cross_fitted(
            items, folds, by_keywords(kind, items), by_guess(own, kind, items),
            by_guess(wrong, kind, items), shared, suffix)
        found.update(scores)
        taken.update(settings)
        plain = ("gloss", False, False)
        found["gloss_plain" + suffix] = by_keywords(kind, items)[plain]
        found["picture_plain" + suffix] = by_guess(own, kind, items)[plain]
    found["first"] = items.order
    return found, taken


GAINS = (("gloss", "first"), ("picture", "first"), ("both", "first"), ("both", "gloss"),
         ("both", "picture"), ("gloss_order", "first"), ("picture_order", "first"),
         ("both_order", "first"), ("both_order", "gloss_order"), ("lesk_order", "first"),
         ("counted_order", "first"), ("counted_order", "counted_chance"),
         ("counted_chance", "first"), ("gloss", "counted_chance"),
         ("lesk_order", "counted_chance"), ("gloss_order", "lesk_order"),
         ("counted_order", "lesk_order"), ("gloss_plain", "first"), ("gloss", "lesk"),
         ("picture", "picture_shuffled"), ("both", "both_shuffled"), ("gloss", "gloss.random"),
         ("picture", "picture.random"), ("both", "both.random"),
         ("both_order", "both_order.random"), ("counted_order", "counted_order.random"))
CLAIMS = (("gloss", "first"), ("picture", "first"), ("both", "gloss"), ("both_order", "first"))
LATER_CLAIMS = (("counted_order", "first"),)


def estimate(values: np.ndarray, subgroups: np.ndarray) -> dict[str, float]:
    """Mean and its 95 % interval; subgroups are drawn whole."""
    low, high = bootstrap_interval(values, subgroups)
    return {"value": float(values.mean()), "low": low, "high": high}


def summarize(items: Items, scores: Sequence[dict[str, np.ndarray]], right: np.ndarray,
              part: np.ndarray, claims: Sequence[tuple[str, str]]) -> dict:
    """Accuracies, gains and chance of some items, from the scores of each salt."""
    subgroups = items.subgroups[part]
    hits = {name: np.mean([credits(one[name], items.item, right) for one in scores], axis=0)[part]
            for name in scores[0]}
    tests = np.array([paired_permutation_test(hits[a] - hits[b], subgroups) for a, b in claims])
    chance = np.bincount(items.item, right) / np.bincount(items.item)
    return {"n": int(part.sum()), "n_subgroups": len(set(subgroups)),
            "chance": float(chance[part].mean()),
            "methods": {name: estimate(values, subgroups) for name, values in hits.items()},
            "gains": {f"{a}-{b}": estimate(hits[a] - hits[b], subgroups) for a, b in GAINS},
            "p": {f"{a}-{b}": {"plain": float(p), "holm": float(h)} for (a, b), p, h
                  in zip(claims, tests, holm(tests), strict=True)},
            "hits": {name: values.round(4).tolist() for name, values in hits.items()}}


def both_kinds(items: Items, scores: Sequence[dict[str, np.ndarray]], part: np.ndarray,
               claims: Sequence[tuple[str, str]]) -> dict:
    """The summary of a list: whole, with one right sense an item alone, and apart where the
    order of senses rests on counts and where it does not."""
    short = ("n", "n_subgroups", "chance", "methods", "gains")
    apart = {"best_only": (items.best, part), "counted": (items.right, part & items.counted),
             "uncounted": (items.right, part & ~items.counted)}
    found = {name: summarize(items, scores, right, rows, claims[:1])
             for name, (right, rows) in apart.items()}
    return {**summarize(items, scores, items.right, part, claims),
            **{name: {key: one[key] for key in short} for name, one in found.items()}}


def picks(items: Items, scores: dict[str, np.ndarray]) -> dict[str, list[str]]:
    """The sense that each method takes for each item; of equals the first in WordNet."""
    starts = np.searchsorted(items.item, np.arange(len(items.rows) + 1))
    return {name: [items.senses[a + int(np.argmax(values[a:b]))]
                   for a, b in zip(starts[:-1], starts[1:], strict=True)]
            for name, values in scores.items()}


def backwards() -> dict[str, float]:
    """Share of the nouns with several senses that list them in the order of WordNet's file of
    definitions from its end: of those whose first sense was never met, and of the others."""
    several = {lemma: senses for lemma, senses in noun_senses().items() if len(senses) > 1}
    is_so = {True: [], False: []}
    for lemma, senses in several.items():
        is_so[times_met().get(lemma, 0) > 0].append(list(senses) == sorted(senses)[::-1])
    return {"n_uncounted": len(is_so[False]), "n_counted": len(is_so[True]),
            "uncounted": float(np.mean(is_so[False])), "counted": float(np.mean(is_so[True]))}


def study() -> dict:
    """The whole record."""
    emoji = load_emoji()
    items, features = load_items(emoji), vision.picture_features(emoji)
    known = text.load_word_vectors()
    vectors = {"": load_vectors(emoji, items, known),
               ".random": load_vectors(emoji, items, text.random_vectors(known))}
    near = near_duplicates(emoji)
    shared = {how: overlaps(emoji, items, how) for how in READ}
    runs = [run_salt(emoji, items, vectors, features, near, shared, salt)
            for salt in tqdm(range(SALTS), desc="Salts")]
    scores, taken = [run[0] for run in runs], [run[1] for run in runs]
    judged = json.loads(JUDGED.read_text("utf8"))
    chosen = {name: Counter(str(setting) for one in taken for setting in one[name]).most_common(3)
              for name in taken[0]}
    first = ~items.later
    return {"date": time.strftime("%Y-%m-%d"), "python": platform.python_version(),
            "numpy": np.__version__, "scikit-learn": sklearn.__version__,
            "gensim": gensim.__version__, "wordnet": SOURCES["wordnet"].version,
            "settings": {"salts": SALTS, "folds": FOLDS, "penalties": PENALTIES,
                         "settings": SETTINGS, "picture_weights": PICTURE_WEIGHTS,
                         "order_weights": ORDER_WEIGHTS},
            "judged": judged["date"], "n_eligible": len(order_to_judge(emoji)),
            "n_aside": len(judged["aside"]), "backwards": backwards(),
            "senses_each": float(np.bincount(items.item)[first].mean()),
            "several_right": int((np.bincount(items.item, items.right) > 1)[first].sum()),
            **both_kinds(items, scores, first, CLAIMS),
            "later": both_kinds(items, scores, items.later, LATER_CLAIMS), "chosen": chosen,
            "subgroups": items.subgroups.tolist(), "counted_items": items.counted.tolist(),
            "picks": picks(items, scores[0])}


def main() -> None:
    """Print what is to be judged, or run the methods and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draw", type=int, help="print so many emoji to judge; runs nothing")
    args = parser.parse_args()
    if args.draw:
        print_to_judge(load_emoji(), args.draw)
        return
    with write_then_rename(OUTPUT) as temporary:
        temporary.write_text(json.dumps(study()) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
