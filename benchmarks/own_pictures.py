"""A folder of your own photographs: what works without captions, and when does learning pay?

    MMFUSE_FLICKR8K=… python benchmarks/own_pictures.py     # a quarter of an hour; writes JSON
    python benchmarks/own_pictures.py --quick               # small and once; writes nothing

Flickr8k stands for a reader's photographs; its official *train* photographs alone are used. They
are ordered by hash: the first 1,000 served to look around and lend captions to center on, all
numbers come from the others.

`folders`: disjoint folders of 40 photographs, searched by methods that learn from no pair.
`draws`: disjoint galleries of 200 photographs, each with another order of the remaining ones,
whose first n are learned from. These n are all that learning is given: parts of a fifth choose
the settings, and then all n are learned from. A photograph's five captions ask singly ("one",
averaged over the five) or together as one text ("five"). What was finished is kept in the cache,
and an interrupted run goes on there.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import gensim
import numpy as np
import torch
from gensim.models import KeyedVectors
from sklearn.feature_extraction.text import TfidfVectorizer
from tqdm import tqdm

from mmfuse_utils import text, vision
from mmfuse_utils.cache import cache_dir, content_key, write_then_rename
from mmfuse_utils.data import (Collection, PictureTable, describe_photographs, load_emoji,
                               load_flickr8k)
from mmfuse_utils.data.pictures import file_digests
from mmfuse_utils.data.splits import hash_text
from mmfuse_utils.fusion import ConSE, RegularizedCCA, RidgeMap
from mmfuse_utils.metrics import bootstrap_interval, mean_reciprocal_rank, ranks
from mmfuse_utils.protocol import load_protocol
from mmfuse_utils.retrieval import cosine_similarity, unit_rows
from mmfuse_utils.word2vec import load_wide_vectors

OUTPUT = Path(__file__).with_suffix(".json")
SIZE, SMALL, LOOKED_AT, FOLDER, GALLERY, PHRASES = 224, 128, 1000, 40, 200, 20
SIZES = (25, 50, 100, 200, 400, 800, 1200, 2400, 4800)
TEMPERATURE, RARENESS = 4.0, 1e-3
PENALTIES, WEIGHTS = (0.3, 1.0, 3.0, 10.0, 30.0), (0.125, 0.25, 0.5, 1.0, 2.0)
N_DRAWS, SHORTLIST = 12, (5, 10)


@dataclass(frozen=True)
class Photographs:
    """Photographs and vectors of their captions.

    tokens : words of five captions each. features : of pictures of 224 and, small, of 128 pixels,
        (n, 1280). classes : (n, 1000). order : rows in the order of a hash, each picture once.
    data : what the copy consists of.
    """

    tokens: list[list[list[str]]]
    features: np.ndarray
    small: np.ndarray
    classes: np.ndarray
    order: np.ndarray
    data: dict


@dataclass(frozen=True)
class Texts:
    """Vectors: of each caption (n, 5, dim), of each five together (n, dim), of class names."""

    one: np.ndarray
    five: np.ndarray
    labels: np.ndarray


def train_photographs() -> Collection:
    """The official train photographs of the reader's own copy of Flickr8k, and no others."""
    whole = load_flickr8k(split="hodosh")
    rows = whole.official.train
    table = PictureTable(np.arange(len(rows)), whole.pictures.style[rows],
                         tuple(whole.pictures.path[row] for row in rows))
    return Collection(tuple(whole.ids[row] for row in rows), pictures=table,
                      captions={"en": tuple(whole.captions["en"][row] for row in rows)})


def load_photographs() -> Photographs:
    """All that the study needs to know of the train photographs."""
    found = train_photographs()
    features, small = (vision.picture_features(found, size=size) for size in (SIZE, SMALL))
    _, first = np.unique(file_digests(found.pictures.path), return_index=True)
    order = sorted(first, key=lambda row: hash_text(f"0:{found.ids[row]}"))
    tokens = [[text.tokenize(caption) for caption in entry] for entry in found.captions["en"]]
    return Photographs(tokens, features, small, vision.class_probabilities(features),
                       np.array(order), describe_photographs(found))


def rare_first(vectors: KeyedVectors) -> dict[str, float]:
    """Weights of words: the more frequent in WordNet's entries, the smaller.

    Source: Arora, Liang and Ma (2017), RARENESS as they recommend it.
    """
    counts = np.array([vectors.get_vecattr(word, "count") for word in vectors.index_to_key])
    values = RARENESS / (RARENESS + counts / counts.sum())
    return dict(zip(vectors.index_to_key, values.tolist(), strict=True))


def embed(photos: Photographs, vectors: KeyedVectors, weights: dict | None) -> Texts:
    """Weighted mean word vectors of captions and class names."""
    together = [sum(entry, []) for entry in photos.tokens]
    labels = [text.tokenize(label) for label in vision.imagenet_labels()]
    single = [caption for entry in photos.tokens for caption in entry]
    one, five, names = (text.sentence_vectors(lists, vectors, weights)
                        for lists in (single, together, labels))
    return Texts(one.reshape(len(together), 5, -1), five, names)


def all_texts(photos: Photographs) -> dict[str, Texts]:
    """Text vectors by name: ours, with a plain mean, with 100 numbers, and random ones."""
    wide, short = load_wide_vectors(), text.load_word_vectors()
    weights = rare_first(wide)
    return {"ours": embed(photos, wide, weights), "plain": embed(photos, wide, None),
            "short": embed(photos, short, rare_first(short)),
            "random": embed(photos, text.random_vectors(wide), weights)}


def soften(texts: Texts, center: np.ndarray, classes: np.ndarray) -> Callable:
    """Softened class names, centered on texts and on the pictures that are searched.

    Returns a function from text vectors to their similarity with these pictures.
    """
    model = ConSE(1000, TEMPERATURE, center=True).fit(texts.labels, center, classes)
    return lambda queries: model.similarity(queries, classes)


def values(similarity: Callable, texts: Texts, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Share of hits of each photograph, by kind of query and length of the list: (n,) each.

    "one" : its five captions singly, averaged. "first" : the first alone. "five" : all together.
    """
    owner = np.repeat(np.arange(len(rows)), 5)
    singly = ranks(similarity(texts.one[rows].reshape(len(owner), -1)), owner).reshape(-1, 5)
    together = ranks(similarity(texts.five[rows]), np.arange(len(rows)))
    return {f"{kind}.hit{k}": (found <= k).reshape(len(rows), -1).mean(axis=1)
            for kind, found in (("one", singly), ("first", singly[:, 0]), ("five", together))
            for k in SHORTLIST}


# Folders of 40 photographs, no pairs

def emoji_map(vectors: KeyedVectors, weights: dict) -> RidgeMap:
    """Ridge from pictures to texts, learned on emoji; its penalty chosen on emoji, too."""
    protocol = load_protocol()
    texts = text.sentence_vectors(text.concept_tokens(load_emoji()), vectors, weights)
    return protocol.choose((RidgeMap(alpha, "image_to_text").fit(*protocol.pairs(texts))
                            for alpha in PENALTIES), texts)


Methods = dict[str, tuple[Callable, Texts]]


def without_pairs(photos: Photographs, texts: dict[str, Texts], rows: np.ndarray,
                  phrases: np.ndarray, learned: dict[str, RidgeMap]) -> Methods:
    """Methods by name: similarity of queries with the folder, and the texts they ask with."""
    classes, ours = photos.classes[rows], texts["ours"]

    def soft(name: str, center: Callable[[Texts], np.ndarray] = lambda t: t.one[phrases, 0]
             ) -> tuple[Callable, Texts]:
        return soften(texts[name], center(texts[name]), classes), texts[name]

    def conse(name: str) -> tuple[Callable, Texts]:
        model = ConSE().fit(texts[name].labels)
        return lambda queries: model.similarity(queries, classes), texts[name]

    def emoji(name: str) -> tuple[Callable, Texts]:
        image, middle = photos.features[rows], texts[name].one[phrases, 0].mean(axis=0)
        mapped = (image - image.mean(axis=0)) @ learned[name].coef_
        return lambda queries: cosine_similarity(queries - middle, mapped), texts[name]

    return {"soft": soft("ours"), "soft.plain_mean": soft("plain"), "soft.short": soft("short"),
            "soft.own_captions": soft("ours", lambda t: t.one[rows].reshape(5 * len(rows), -1)),
            "soft.class_names": soft("ours", lambda t: t.labels),
            "soft.not_centered": soft("ours", lambda t: np.zeros_like(t.labels[:1])),
            "soft.random": soft("random"), "conse": conse("ours"), "conse.plain_mean":
            conse("plain"), "conse.random": conse("random"),
            "emoji_ridge": emoji("ours"), "emoji_ridge.random": emoji("random"),
            "emoji_ridge.as_learned": (lambda queries: learned["ours"].similarity(
                queries, photos.features[rows]), ours)}


def folders_part(photos: Photographs, texts: dict[str, Texts], quick: bool) -> dict:
    """hit@5 and hit@10 of each method in each folder, and how sure one folder is."""
    rest = photos.order[LOOKED_AT:]
    folders = rest[:len(rest) // FOLDER * FOLDER].reshape(-1, FOLDER)[:5 if quick else None]
    wide, scores, single = load_wide_vectors(), {}, {"one.hit10": [], "first.hit10": []}
    learned = {name: emoji_map(vectors, rare_first(wide)) for name, vectors in (
        ("ours", wide), ("random", text.random_vectors(wide)))}
    for number, rows in enumerate(tqdm(folders, desc="Folders")):
        rng = np.random.default_rng(number)
        phrases = rng.choice(photos.order[:LOOKED_AT], PHRASES, replace=False)
        methods = without_pairs(photos, texts, rows, phrases, learned)
        for name, (similarity, asked) in methods.items():
            found = values(similarity, asked, rows)
            for score, each in found.items():
                scores.setdefault(name, {}).setdefault(score, []).append(each.mean())
            if name == "soft":
                for score, lists in single.items():
                    lists.append(found[score])
    return {"n": len(folders), "size": FOLDER, "scores": rounded(scores),
            "one_folder": {score: sureness(lists) for score, lists in single.items()}}


def sureness(folders: list[np.ndarray]) -> dict[str, float]:
    """Mean width of the intervals of single folders, and how many contain the mean of all."""
    overall, ends = np.mean(folders), [bootstrap_interval(each) for each in folders]
    return {"width": float(np.mean([high - low for low, high in ends])),
            "coverage": float(np.mean([low <= overall <= high for low, high in ends]))}


# Learning from n captioned photographs

@dataclass(frozen=True)
class Side:
    """What a method sees of photographs: training texts, texts that ask, pictures."""

    learn: np.ndarray       # (n, dim)
    ask: np.ndarray         # (n, n_captions, dim)
    image: np.ndarray       # (n, 1280)


def folds(n: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows to learn from and rows to choose on: fifths, of 200 at most, until 200 are asked."""
    size = min(n // 5, 200)
    parts = np.arange(n)[:5 * size].reshape(5, size)[:min(5, -(-200 // size))]
    return [(np.setdiff1d(np.arange(n), part), part) for part in parts]


def score(similarity: np.ndarray, n_captions: int) -> float:
    """Mean reciprocal rank of held-out captions, those of a photograph beside each other."""
    return mean_reciprocal_rank(ranks(similarity, np.repeat(np.arange(similarity.shape[1]),
                                                            n_captions)))


def choose(make: Callable, side: Side, second: Callable | None = None) -> tuple[float, float]:
    """The penalty that does best on the held-out parts, and the weight of a second score.

    second : held-out rows to a similarity that is added to the learned one.
    """
    parts = folds(len(side.learn))
    n_captions = side.ask.shape[1]
    tables = {penalty: [] for penalty in PENALTIES}
    for fit, held in parts:
        queries = side.ask[held].reshape(len(held) * n_captions, -1)
        for penalty in PENALTIES:
            model = make(penalty, len(fit)).fit(side.learn[fit], side.image[fit])
            tables[penalty].append(model.similarity(queries, side.image[held]))
    best = max(tables, key=lambda penalty: np.mean([score(table, n_captions)
                                                    for table in tables[penalty]]))
    if second is None:
        return best, 0.0
    others = [second(held) for _, held in parts]
    return best, max(WEIGHTS, key=lambda weight: np.mean(
        [score(table + weight * other, n_captions)
         for table, other in zip(tables[best], others, strict=True)]))


def cca(penalty: float, n: int) -> RegularizedCCA:
    """CCA with 64 directions, fewer where there are fewer photographs."""
    return RegularizedCCA(min(64, n - 2), penalty)


def backward(penalty: float, n: int) -> RidgeMap:
    """Ridge from pictures to texts."""
    return RidgeMap(penalty, "image_to_text")


def forward(penalty: float, n: int) -> RidgeMap:
    """Ridge from texts to pictures."""
    return RidgeMap(penalty)


def with_words(photos: Photographs, train: np.ndarray, rows: np.ndarray, ours: Texts,
               alone: bool) -> Texts:
    """TF-IDF rows of captions, beside their vectors or alone; class names are not needed."""
    together = [sum(photos.tokens[row], []) for row in rows]
    single = [caption for row in rows for caption in photos.tokens[row]]
    model = TfidfVectorizer(analyzer=list, dtype=np.float32, min_df=2)
    model.fit([sum(photos.tokens[row], []) for row in train])
    one, five = (model.transform(lists).toarray() for lists in (single, together))
    if not alone:
        one = unit_rows(np.hstack([ours.one[rows].reshape(len(one), -1), one]))
        five = unit_rows(np.hstack([ours.five[rows], five]))
    return Texts(one.reshape(len(rows), 5, -1).astype(np.float32), five.astype(np.float32),
                 ours.labels[:0])


def learned_methods(photos: Photographs, texts: dict[str, Texts], train: np.ndarray,
                    gallery: np.ndarray, phrases: np.ndarray) -> Iterable[tuple]:
    """(name, similarity, texts that ask, rows in them) of each method that learns from `train`.

    "one_each" : with one caption a photograph to learn and to choose from. "sum" : CCA and class
    names. "words" : ridge on TF-IDF rows; "words_vectors" : beside vectors; "all" : and class
    names.
    """
    image, ours = photos.features, texts["ours"]
    local = np.arange(len(train), len(train) + len(gallery))

    def fitted(make: Callable, side: Side, second: Callable | None = None) -> tuple:
        penalty, weight = choose(make, side, second)
        model = make(penalty, len(train)).fit(side.learn, side.image)
        return lambda queries: model.similarity(queries, image[gallery]), weight

    def side(name: str, one_each: bool = False) -> Side:
        vectors = texts[name]
        if one_each:
            return Side(vectors.one[train, 0], vectors.one[train, :1], image[train])
        return Side(vectors.five[train], vectors.one[train], image[train])

    def names(rows: np.ndarray) -> Callable:
        return soften(ours, ours.one[phrases, 0], photos.classes[rows])

    def held_names(held: np.ndarray, n_captions: int = 5) -> np.ndarray:
        rows = train[held]
        return names(rows)(ours.one[rows, :n_captions].reshape(len(rows) * n_captions, -1))

    other = names(gallery)
    for suffix, one_each in (("", False), (".one_each", True)):
        learned, weight = fitted(cca, side("ours", one_each), partial(
            held_names, n_captions=1 if one_each else 5))
        yield f"cca{suffix}", learned, ours, gallery
        yield f"sum{suffix}", partial(_add, learned, other, weight, None), ours, gallery
        yield (f"cca{suffix}.random", fitted(cca, side("random", one_each))[0], texts["random"],
               gallery)
        yield f"ridge{suffix}", fitted(backward, side("ours", one_each))[0], ours, gallery
    yield "ridge_forward", fitted(forward, side("ours"))[0], ours, gallery
    if len(train) >= 100:
        for name, alone in (("words", True), ("words_vectors", False)):
            rows = with_words(photos, train, np.concatenate([train, gallery]), ours, alone)
            made = Side(rows.five[:len(train)], rows.one[:len(train)], image[train])
            learned, weight = fitted(backward, made, None if alone else held_names)
            yield name, learned, rows, local
            if not alone:
                yield "all", partial(_add, learned, other, weight, ours.one.shape[2]), rows, local


def _add(learned: Callable, names: Callable, weight: float, dim: int | None,
         queries: np.ndarray) -> np.ndarray:
    """Both similarities; class names see the first `dim` numbers of a query, its word vectors."""
    return learned(queries) + weight * names(unit_rows(queries[:, :dim]))


def draw_part(photos: Photographs, texts: dict[str, Texts], number: int, sizes: tuple) -> dict:
    """Scores of one gallery by method and number of photographs learned from."""
    rest = photos.order[LOOKED_AT:]
    gallery = rest[number * GALLERY:(number + 1) * GALLERY]
    rng = np.random.default_rng(number)
    phrases = rng.choice(photos.order[:LOOKED_AT], PHRASES, replace=False)
    others = rng.permutation(np.setdiff1d(photos.order, gallery))
    found = {}
    for name in ("ours", "random"):
        key = "soft" if name == "ours" else "soft.random"
        similarity = soften(texts[name], texts[name].one[phrases, 0], photos.classes[gallery])
        found[key] = {"n0": means(values(similarity, texts[name], gallery))}
    for n in sizes:
        methods = learned_methods(photos, texts, others[:n], gallery, phrases)
        for name, similarity, asked, rows in methods:
            found.setdefault(name, {})[f"n{n}"] = means(values(similarity, asked, rows))
    return found


def means(found: dict[str, np.ndarray]) -> dict[str, float]:
    """The mean of each score over photographs."""
    return {key: round(float(each.mean()), 4) for key, each in found.items()}


def rounded(scores: dict) -> dict:
    """Four digits of every number in lists of a nested dict."""
    return {key: rounded(each) if isinstance(each, dict) else [round(float(x), 4) for x in each]
            for key, each in scores.items()}


# Which settings make a number that others have seen: CCA at 1,200 photographs

def settings_part(photos: Photographs, texts: dict[str, Texts], n_draws: int) -> dict:
    """hit@10 of CCA, penalty 1, by side in pixels, text vectors and kinds of text and query."""
    rest, scores = photos.order[LOOKED_AT:], {}
    kinds = [(pixels, name, learn) for pixels in (SIZE, SMALL) for name in ("short", "ours")
             for learn in ("five", "one")]
    for number in range(n_draws):
        gallery = rest[number * GALLERY:(number + 1) * GALLERY]
        others = np.random.default_rng(number).permutation(np.setdiff1d(photos.order, gallery))
        for pixels, name, learn in kinds:
            image = photos.features if pixels == SIZE else photos.small
            rows = texts[name].five if learn == "five" else texts[name].one[:, 0]
            model = RegularizedCCA(64, 1.0).fit(rows[others[:1200]], image[others[:1200]])
            found = values(partial(_similar, model, image[gallery]), texts[name], gallery)
            for ask in ("one", "five"):
                key = f"{pixels} pixels, {name}, learn {learn}, ask {ask}"
                scores.setdefault(key, []).append(found[f"{ask}.hit10"].mean())
    return rounded(scores)


def _similar(model: RegularizedCCA, image: np.ndarray, queries: np.ndarray) -> np.ndarray:
    return model.similarity(queries, image)


def main() -> None:
    """Run the parts and, unless --quick, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small and once; writes nothing")
    quick = parser.parse_args().quick
    if "MMFUSE_FLICKR8K" not in os.environ:
        parser.error("set MMFUSE_FLICKR8K to the folder of your copy of Flickr8k")
    photos = load_photographs()
    texts = all_texts(photos)
    sizes, n_draws = ((25, 100), 1) if quick else (SIZES, N_DRAWS)
    settings = {"pixels": SIZE, "looked_at": LOOKED_AT, "gallery": GALLERY, "phrases": PHRASES,
                "temperature": TEMPERATURE, "rareness": RARENESS, "penalties": PENALTIES,
                "weights": WEIGHTS, "sizes": sizes}
    key = content_key(Path(__file__).read_text("utf8"), photos.features[::100], quick)
    memory = cache_dir() / "own_pictures" / f"{key}.json"
    content = json.loads(memory.read_text("utf8")) if memory.exists() else {}
    work = {"folders": lambda: folders_part(photos, texts, quick),
            "settings_of_cca": lambda: settings_part(photos, texts, n_draws),
            **{f"draw {number}": lambda number=number: draw_part(photos, texts, number, sizes)
               for number in range(n_draws)}}
    for name in tqdm([name for name in work if name not in content], desc="Parts"):
        content[name] = work[name]()
        save(memory, content)
    result = {"date": time.strftime("%Y-%m-%d"), "python": platform.python_version(),
              "numpy": np.__version__, "torch": torch.__version__, "gensim": gensim.__version__,
              "data": photos.data, "photographs": len(photos.order), "settings": settings,
              "folders": content["folders"], "settings_of_cca": content["settings_of_cca"],
              "draws": [content[f"draw {number}"] for number in range(n_draws)]}
    if not quick:
        save(OUTPUT, result)


def save(path: Path, content: dict) -> None:
    """Write a JSON file whole or not at all."""
    with write_then_rename(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
