"""A folder of your own photographs: what works without captions, and when does learning pay?

    MMFUSE_FLICKR8K=… python benchmarks/own_pictures.py     # ten minutes; writes JSON
    python benchmarks/own_pictures.py --quick               # small and once; writes nothing

Flickr8k stands for a reader's photographs; its official *train* photographs alone are used. They
are ordered by hash: the first 1,000 served to look around and lend captions to center on, all
numbers come from the others.

`folders`: disjoint folders of 40 photographs, searched by methods that learn from no pair.
`draws`: disjoint galleries of 200 photographs, each with another order of the remaining ones,
whose first n are learned from. These n are all that learning is given: parts of a fifth choose
the settings, and then all n are learned from. A photograph's five captions ask singly ("one",
averaged over the five) or together as one text ("five"). Each method that sees word vectors has a
control with a random vector for each word, ".random", which makes its choices by itself. What was
finished is kept in the cache, and an interrupted run goes on there.
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
from scipy import linalg
from sklearn.feature_extraction.text import TfidfVectorizer
from tqdm import tqdm

from mmfuse_utils import text, vision
from mmfuse_utils.cache import cache_dir, content_key, write_then_rename
from mmfuse_utils.data import (Collection, PictureTable, describe_photographs, load_emoji,
                               load_flickr8k)
from mmfuse_utils.data.pictures import file_digests
from mmfuse_utils.data.splits import hash_text
from mmfuse_utils.estimators import JointSpace
from mmfuse_utils.fusion import ConSE, RidgeMap
from mmfuse_utils.metrics import bootstrap_interval, mean_reciprocal_rank, ranks
from mmfuse_utils.protocol import load_protocol
from mmfuse_utils.retrieval import cosine_similarity, unit_rows
from mmfuse_utils.word2vec import load_wide_vectors

OUTPUT = Path(__file__).with_suffix(".json")
SIZE, SMALL, LOOKED_AT, FOLDER, GALLERY, PHRASES = 224, 128, 1000, 40, 200, 20
SIZES = (25, 50, 100, 200, 400, 800, 1200, 2400, 4800)
TEMPERATURE, RARENESS = 4.0, 1e-3
PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
WEIGHTS = (0.0, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
N_DRAWS, SHORTLIST, CONTROLLED = 12, (5, 10), ("", ".random")


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
    """Text vectors by name: ours, with a plain mean, with 100 numbers; and each at random."""
    wide, short = load_wide_vectors(), text.load_word_vectors()
    made = {"ours": (wide, rare_first(wide)), "plain": (wide, None),
            "short": (short, rare_first(short))}
    return {name + suffix: embed(photos, text.random_vectors(vectors) if suffix else vectors,
                                 weights)
            for name, (vectors, weights) in made.items() for suffix in CONTROLLED}


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
    classes, image, found = photos.classes[rows], photos.features[rows], {}

    def typical(asked: Texts) -> np.ndarray:
        return asked.one[phrases, 0]

    variants = {"soft": ("ours", typical), "soft.plain_mean": ("plain", typical),
                "soft.short": ("short", typical),
                "soft.own_captions": ("ours", lambda t: t.one[rows].reshape(5 * len(rows), -1)),
                "soft.class_names": ("ours", lambda t: t.labels),
                "soft.not_centered": ("ours", lambda t: np.zeros_like(t.labels[:1]))}
    for suffix in CONTROLLED:
        for name, (kind, center) in variants.items():
            asked = texts[kind + suffix]
            found[name + suffix] = soften(asked, center(asked), classes), asked
        for name, kind in (("conse", "ours"), ("conse.plain_mean", "plain")):
            asked = texts[kind + suffix]
            found[name + suffix] = partial(_similar, ConSE().fit(asked.labels), classes), asked
        asked, model = texts[f"ours{suffix}"], learned[f"ours{suffix}"]
        found[f"emoji_ridge{suffix}"] = partial(
            _anew, typical(asked).mean(axis=0), (image - image.mean(axis=0)) @ model.coef_), asked
        found[f"emoji_ridge.as_learned{suffix}"] = partial(_similar, model, image), asked
    return found


def _similar(model: JointSpace, image: np.ndarray, queries: np.ndarray) -> np.ndarray:
    return model.similarity(queries, image)


def _anew(middle: np.ndarray, mapped: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Cosine of queries, less what is typical of them, with mapped pictures."""
    return cosine_similarity(queries - middle, mapped)


def folders_part(photos: Photographs, texts: dict[str, Texts], quick: bool) -> dict:
    """hit@5 and hit@10 of each method in each folder, and how sure one folder is."""
    rest = photos.order[LOOKED_AT:]
    folders = rest[:len(rest) // FOLDER * FOLDER].reshape(-1, FOLDER)[:5 if quick else None]
    wide, scores, single = load_wide_vectors(), {}, {"one.hit10": [], "first.hit10": []}
    learned = {name: emoji_map(vectors, rare_first(wide)) for name, vectors in (
        ("ours", wide), ("ours.random", text.random_vectors(wide)))}
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
class Spectrum:
    """Rows less their mean, with the eigenvalues and eigenvectors of rows.T @ rows.

    project @ answers.T is rows.T; project / scale are the eigenvectors, and answers * scale the
    rows along them.
    """

    rows: np.ndarray        # (n, dim)
    mean: np.ndarray        # (dim,)
    values: np.ndarray      # (k,)
    project: np.ndarray     # (dim, k)
    answers: np.ndarray     # (n, k)
    scale: np.ndarray       # (k,)

    def penalty(self, multiple: float) -> float:
        """A multiple of the mean eigenvalue, as the package's models count penalties."""
        return multiple * float(self.values.sum()) / self.rows.shape[1]

    def kept(self) -> "Spectrum":
        """Without the directions in which the rows do not differ."""
        kept = self.values > (self.values[-1] * max(self.rows.shape)
                              * np.finfo(self.values.dtype).eps)
        return Spectrum(self.rows, self.mean, self.values[kept], self.project[:, kept],
                        self.answers[:, kept], self.scale[kept])


def spectrum(rows: np.ndarray) -> Spectrum:
    """Eigenvectors by the smaller of both square matrices; methods share those of pictures."""
    mean = rows.mean(axis=0)
    rows = rows - mean
    few = len(rows) < rows.shape[1]
    found, turn = linalg.eigh(rows @ rows.T if few else rows.T @ rows)
    found = np.maximum(found, 0)
    if few:
        return Spectrum(rows, mean, found, rows.T @ turn, turn, np.sqrt(found))
    return Spectrum(rows, mean, found, turn, rows @ turn, np.ones_like(found))


@dataclass(frozen=True)
class Side:
    """What a method sees of photographs: training texts, texts that ask, pictures.

    seen : the pictures of what each fold learns from, in turn, and last those of all.
    """

    learn: np.ndarray       # (n, dim)
    ask: np.ndarray         # (m, n_captions, dim), of the first m at least that folds hold back
    image: np.ndarray       # (n, 1280)
    seen: list[Spectrum]


def folds(n: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows to learn from and rows to choose on: fifths, of 200 at most, until 200 are asked.

    Those to choose on are the first ones.
    """
    size = min(n // 5, 200)
    parts = np.arange(n)[:5 * size].reshape(5, size)[:min(5, -(-200 // size))]
    return [(np.setdiff1d(np.arange(n), part), part) for part in parts]


def score(similarity: np.ndarray, n_captions: int) -> float:
    """Mean reciprocal rank of held-out captions, those of a photograph beside each other."""
    return mean_reciprocal_rank(ranks(similarity, np.repeat(np.arange(similarity.shape[1]),
                                                            n_captions)))


def cca_path(words: np.ndarray, image: Spectrum) -> Callable:
    """RegularizedCCA, 64 directions at most: (penalty, pictures, queries) to their similarity."""
    sides = spectrum(words).kept(), image.kept()
    along = [side.answers * side.scale for side in sides]
    cross = along[0].T @ along[1]
    dim = min(64, len(words) - 2)

    def similarity(penalty: float, pictures: np.ndarray, queries: np.ndarray) -> np.ndarray:
        shrink = [1 / np.sqrt(side.values + side.penalty(penalty)) for side in sides]
        joint = (shrink[0][:, None] * cross * shrink[1]).astype(np.float64)
        squares, left = linalg.eigh(joint @ joint.T)        # of the singular values
        left = left[:, :-dim - 1:-1]
        turns = left * np.sqrt(np.maximum(squares[:-dim - 1:-1], 0)), joint.T @ left
        return cosine_similarity(*(
            (rows - side.mean) @ (side.project / side.scale * each @ turn).astype(np.float32)
            for rows, side, each, turn in zip((queries, pictures), sides, shrink, turns,
                                              strict=True)))

    return similarity


def backward_path(words: np.ndarray, image: Spectrum) -> Callable:
    """RidgeMap from pictures to texts: (penalty, pictures, queries) to their similarity."""
    middle = words.mean(axis=0)
    onward = image.answers.T @ (words - middle)

    def similarity(penalty: float, pictures: np.ndarray, queries: np.ndarray) -> np.ndarray:
        shrunk = (pictures - image.mean) @ image.project / (image.values + image.penalty(penalty))
        return cosine_similarity(queries - middle, shrunk @ onward)

    return similarity


def forward_path(words: np.ndarray, image: Spectrum) -> Callable:
    """RidgeMap from texts to pictures: (penalty, pictures, queries) to their similarity."""
    side = spectrum(words)
    onward = side.answers.T @ image.rows

    def similarity(penalty: float, pictures: np.ndarray, queries: np.ndarray) -> np.ndarray:
        shrunk = (queries - side.mean) @ side.project / (side.values + side.penalty(penalty))
        return cosine_similarity(shrunk @ onward, pictures - image.mean)

    return similarity


def choose(path: Callable, side: Side, second: Callable | None = None) -> dict[str, float]:
    """The penalty that does best on the held-out parts, and the weight of a second score.

    second : held-out rows to a similarity that is added to the learned one.
    """
    parts = folds(len(side.learn))
    n_captions = side.ask.shape[1]
    tables = {penalty: [] for penalty in PENALTIES}
    for (fit, held), seen in zip(parts, side.seen[:-1], strict=True):
        queries = side.ask[held].reshape(len(held) * n_captions, -1)
        similarity = path(side.learn[fit], seen)
        for penalty in PENALTIES:
            tables[penalty].append(similarity(penalty, side.image[held], queries))
    best = max(tables, key=lambda penalty: np.mean([score(table, n_captions)
                                                    for table in tables[penalty]]))
    if second is None:
        return {"penalty": best}
    others = [second(held) for _, held in parts]
    return {"penalty": best, "weight": max(WEIGHTS, key=lambda weight: np.mean(
        [score(table + weight * other, n_captions)
         for table, other in zip(tables[best], others, strict=True)]))}


def with_words(photos: Photographs, train: np.ndarray, asking: np.ndarray, asked: Texts,
               alone: bool) -> tuple[np.ndarray, Texts]:
    """TF-IDF rows of captions, beside their vectors or alone: of `train`, five together, and of
    `asking`, one by one and five together. Class names are not needed."""
    model = TfidfVectorizer(analyzer=list, dtype=np.float32, min_df=2)
    model.fit([sum(photos.tokens[row], []) for row in train])

    def rows(lists: list[list[str]], vectors: np.ndarray) -> np.ndarray:
        known = model.transform(lists).toarray()
        return known if alone else unit_rows(np.hstack([vectors, known]))

    def together(which: np.ndarray) -> np.ndarray:
        return rows([sum(photos.tokens[row], []) for row in which], asked.five[which])

    one = rows([caption for row in asking for caption in photos.tokens[row]],
               asked.one[asking].reshape(5 * len(asking), -1))
    return together(train), Texts(one.reshape(len(asking), 5, -1), together(asking),
                                  asked.labels[:0])


def learned_methods(photos: Photographs, texts: dict[str, Texts], train: np.ndarray,
                    gallery: np.ndarray, phrases: np.ndarray) -> Iterable[tuple]:
    """(name, similarity, texts that ask, rows in them, settings) of what learns from `train`.

    "one_each" : with one caption a photograph to learn and to choose from. "sum" : CCA and class
    names. "words" : ridge on TF-IDF rows; "words_vectors" : beside vectors; "all" : and class
    names.
    """
    image, parts = photos.features, folds(len(train))
    seen = [spectrum(image[train[fit]]) for fit, _ in parts] + [spectrum(image[train])]
    holding = train[:sum(len(held) for _, held in parts)]

    def fitted(path: Callable, learn: np.ndarray, ask: np.ndarray,
               second: Callable | None = None) -> tuple:
        settings = choose(path, Side(learn, ask, image[train], seen), second)
        return partial(path(learn, seen[-1]), settings["penalty"], image[gallery]), settings

    def names(asked: Texts, rows: np.ndarray) -> Callable:
        return soften(asked, asked.one[phrases, 0], photos.classes[rows])

    def held_names(asked: Texts, n_captions: int, held: np.ndarray) -> np.ndarray:
        rows = train[held]
        return names(asked, rows)(asked.one[rows, :n_captions].reshape(len(rows) * n_captions, -1))

    for suffix in CONTROLLED:
        asked = texts[f"ours{suffix}"]
        other = names(asked, gallery)
        for each, n in (("", 5), (".one_each", 1)):
            known = (asked.five[train] if n == 5 else asked.one[train, 0], asked.one[holding, :n])
            learned, settings = fitted(cca_path, *known, partial(held_names, asked, n))
            yield f"cca{each}{suffix}", learned, asked, gallery, settings
            yield (f"sum{each}{suffix}", partial(_add, learned, other, settings["weight"], None),
                   asked, gallery, settings)
            learned, settings = fitted(backward_path, *known)
            yield f"ridge{each}{suffix}", learned, asked, gallery, settings
            if n == 5:
                learned, settings = fitted(forward_path, *known)
                yield f"ridge_forward{suffix}", learned, asked, gallery, settings
        for name, alone in (("words", True), ("words_vectors", False)):
            if len(train) < 100 or alone and suffix:    # words alone see no vector
                continue
            learn, rows = with_words(photos, train, np.concatenate([holding, gallery]), asked,
                                     alone)
            local = np.arange(len(holding), len(holding) + len(gallery))
            learned, settings = fitted(backward_path, learn, rows.one[:len(holding)], None if alone
                                       else partial(held_names, asked, 5))
            yield f"{name}{suffix}", learned, rows, local, settings
            if not alone:
                yield (f"all{suffix}", partial(_add, learned, other, settings["weight"],
                                               asked.one.shape[2]), rows, local, settings)


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
    for suffix in CONTROLLED:
        asked = texts[f"ours{suffix}"]
        similarity = soften(asked, asked.one[phrases, 0], photos.classes[gallery])
        found[f"soft{suffix}"] = {"n0": means(values(similarity, asked, gallery))}
    for n in sizes:
        methods = learned_methods(photos, texts, others[:n], gallery, phrases)
        for name, similarity, asked, rows, settings in methods:
            found.setdefault(name, {})[f"n{n}"] = {
                **means(values(similarity, asked, rows)), **settings}
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
    kinds = [(pixels, name + suffix, learn) for pixels in (SIZE, SMALL)
             for name in ("short", "ours") for suffix in CONTROLLED for learn in ("five", "one")]
    for number in range(n_draws):
        gallery = rest[number * GALLERY:(number + 1) * GALLERY]
        others = np.random.default_rng(number).permutation(np.setdiff1d(photos.order, gallery))
        images = {SIZE: photos.features, SMALL: photos.small}
        seen = {pixels: spectrum(image[others[:1200]]) for pixels, image in images.items()}
        for pixels, name, learn in kinds:
            rows = texts[name].five if learn == "five" else texts[name].one[:, 0]
            learned = partial(cca_path(rows[others[:1200]], seen[pixels]), 1.0,
                              images[pixels][gallery])
            found = values(learned, texts[name], gallery)
            for ask in ("one", "five"):
                key = f"{pixels} pixels, {name}, learn {learn}, ask {ask}"
                scores.setdefault(key, []).append(found[f"{ask}.hit10"].mean())
    return rounded(scores)


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
