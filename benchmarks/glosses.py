"""Are word vectors a good input of a network? WordNet's glosses and their lexicographer files.

    python benchmarks/glosses.py            # some ten minutes on one core; writes glosses.json
    python benchmarks/glosses.py --quick    # small and once; writes nothing

A gloss is to be put into its lexicographer file, noun.animal or verb.motion, by its definition
alone, without the examples. All senses of a lemma lie on one side: a hash of the first lemma
draws test and validation, and what shares a lemma or the very words of a definition with them
leaves the training side. Word vectors are trained on the entries of the training side alone.

Six inputs, and the same number of settings tried for each at every size: they are chosen by
validation with the first seed; at the two largest sizes TF-IDF, which has no epochs to choose,
has one or two more. TF-IDF goes with scikit-learn's logistic regression, the others with one
trainer. Three seeds draw the training sample and the first weights. The
JSON holds for each run which test glosses were put right, packed into bits. What was finished is
kept in the cache, and an interrupted run goes on there. "word2vec of the sample" is a control:
word vectors that have read the labelled entries alone.
"""

import argparse
import base64
import copy
import json
import platform
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import gensim
import numpy as np
import sklearn
import torch
from gensim.models import KeyedVectors
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn import functional
from tqdm import tqdm

from mmfuse_utils.cache import cache_dir, content_key, write_then_rename
from mmfuse_utils.data.sources import package_path
from mmfuse_utils.data.splits import hash_text
from mmfuse_utils.data.wordnet import PARTS, corpus_key, parse_line
from mmfuse_utils.data.words import tokens
from mmfuse_utils.text import SETTINGS, cached_vectors, train_word_vectors

OUTPUT = Path(__file__).with_suffix(".json")
FILES = ("adj.all adj.pert adv.all noun.Tops noun.act noun.animal noun.artifact noun.attribute "
         "noun.body noun.cognition noun.communication noun.event noun.feeling noun.food "
         "noun.group noun.location noun.motive noun.object noun.person noun.phenomenon "
         "noun.plant noun.possession noun.process noun.quantity noun.relation noun.shape "
         "noun.state noun.substance noun.time verb.body verb.change verb.cognition "
         "verb.communication verb.competition verb.consumption verb.contact verb.creation "
         "verb.emotion verb.motion verb.perception verb.possession verb.social verb.stative "
         "verb.weather adj.ppl").split()        # in the order of their numbers, lexnames(5WN)
LEAST = 500                             # glosses of a class
TEST_SHARE, VALIDATION_SHARE = 0.1, 0.05
N_TEST, N_VALIDATION, LONGEST = 5000, 2000, 40
SIZES, SEEDS = (100, 300, 1000, 3000, 10_000, 30_000), 3        # and all
RATES, DROPOUTS, PATIENCE, MOST_EPOCHS = (0.001, 0.004), (0.0, 0.2, 0.5, 0.8), 3, 60
PENALTIES = (1, 2, 4, 8, 16, 32, 64, 128)       # inverse ones, C
DIM, HIDDEN = SETTINGS["vector_size"], 128
# Name: where the table of word vectors comes from, and whether training changes it.
INPUTS = {"one-hot": (None, True), "TF-IDF": (None, True), "learned": ("random", True),
          "word2vec": ("word2vec", False), "word2vec, tuned": ("word2vec", True),
          "random": ("random", False)}


@dataclass(frozen=True)
class Gloss:
    """A sense: its lemmas, the words of its definition, all words of its entry, its file."""

    lemmas: tuple[str, ...]
    definition: tuple[str, ...]
    entry: tuple[str, ...]
    file: str


def read_gloss(line: str, part: str) -> Gloss:
    """A line of a `data.*` file; the definition ends where the first example begins.

    >>> read_gloss('00002684 03 n 01 box 0 000 | a container; "he sat on a box"', "n").definition
    ('a', 'container')
    """
    sense = parse_line(line, part)
    lemmas = tuple(lemma.lower() for lemma in sense.lemmas)
    return Gloss(lemmas, tuple(tokens(sense.gloss.split('"')[0])),
                 tuple(tokens(" ".join([*lemmas, sense.gloss]))), FILES[int(line.split()[1])])


def load_glosses() -> list[Gloss]:
    """All senses of WordNet, in the order of its files."""
    folder = package_path("wordnet") / "package" / "dict"
    return [read_gloss(line, part) for name, part in PARTS.items()
            for line in (folder / f"data.{name}").read_text("utf8").splitlines()
            if line[:1].isdigit()]


def draw_sides(glosses: Sequence[Gloss]) -> dict[str, list[Gloss]]:
    """Train, validation and test, no lemma and no definition in two of them.

    The first lemma's hash draws the side; then train loses what shares a lemma or a definition
    with validation or test, and validation what shares one with test.
    """
    sides = {"test": [], "validation": [], "train": []}
    for gloss in glosses:
        place = int(hash_text(f"gloss:{gloss.lemmas[0]}")[:8], 16) / 2**32
        sides["test" if place < TEST_SHARE else "validation"
              if place < TEST_SHARE + VALIDATION_SHARE else "train"].append(gloss)
    seen = set()
    for side in sides.values():
        side[:] = [gloss for gloss in side if seen.isdisjoint((*gloss.lemmas, gloss.definition))]
        seen |= {part for gloss in side for part in (*gloss.lemmas, gloss.definition)}
    return sides


def labelled(glosses: Sequence[Gloss], kinds: Sequence[str]) -> list[Gloss]:
    """The glosses of these classes that have a word, in an order drawn by hash."""
    kept = [gloss for gloss in glosses if gloss.file in kinds and gloss.definition]
    return sorted(kept, key=lambda gloss: hash_text("order:" + " ".join(
        (*gloss.lemmas, gloss.file, *gloss.definition))))


def families(glosses: Sequence[Gloss]) -> np.ndarray:
    """A number a gloss: those that share a lemma, or do so over others, have the same.

    >>> families([Gloss(("a", "b"), (), (), ""), Gloss(("c",), (), (), ""),
    ...           Gloss(("b",), (), (), "")]).tolist()
    [0, 1, 0]
    """
    words = {lemma: i for i, lemma in enumerate(
        dict.fromkeys(lemma for gloss in glosses for lemma in gloss.lemmas))}
    pairs = [(row, words[lemma]) for row, gloss in enumerate(glosses) for lemma in gloss.lemmas]
    rows, columns = np.array(pairs).T
    size = len(glosses) + len(words)
    graph = coo_matrix((np.ones(len(pairs)), (rows, columns + len(glosses))), (size, size))
    return connected_components(graph, directed=False)[1][:len(glosses)]


def word_vectors(glosses: Sequence[Gloss], key: str) -> KeyedVectors:
    """word2vec trained on whole entries, with the book's settings, one worker; in the cache."""
    entries = [list(gloss.entry) for gloss in glosses]
    name = content_key("glosses", corpus_key(), SETTINGS, gensim.__version__, key, entries[::100])
    return cached_vectors(name, lambda: train_word_vectors(entries))


def standardized(table: np.ndarray) -> np.ndarray:
    """Rows less their mean, with entries of mean square 1, as random vectors have them."""
    table = table - table.mean(axis=0)
    return (table / np.sqrt((table**2).mean())).astype(np.float32)


@dataclass(frozen=True)
class Bags:
    """Texts as rows of word numbers, padded with n_words: (n, LONGEST).

    weights : of each word in its text, (n, LONGEST), 0 for the padding. labels : (n,).
    """

    words: torch.Tensor
    weights: torch.Tensor
    labels: torch.Tensor
    n_words: int

    def part(self, rows: torch.Tensor) -> "Bags":
        """Some of the texts."""
        return Bags(self.words[rows], self.weights[rows], self.labels[rows], self.n_words)


def weigh(words: np.ndarray, labels: torch.Tensor, n_words: int, idf: np.ndarray | None = None,
          unit: bool = False) -> Bags:
    """Bags whose words weigh the same, so that they are averaged.

    unit : divide a text by the length of its row of counts instead, as for linear models; with
        `idf`, (n_words,), by that of its TF-IDF row.
    """
    known = words < n_words
    if not unit:
        weights = known / np.maximum(known.sum(1, keepdims=True), 1)
    else:
        value = np.append(np.ones(n_words) if idf is None else idf, 0)
        rows = count_table(words, n_words).multiply(value[:-1])
        length = np.sqrt(np.asarray(rows.multiply(rows).sum(1))).reshape(-1, 1)
        weights = value[words] / np.maximum(length, 1e-9)
    return Bags(torch.from_numpy(words), torch.from_numpy(weights.astype(np.float32)), labels,
                n_words)


def count_table(words: np.ndarray, n_words: int) -> csr_matrix:
    """How often each word occurs in each text: (n, n_words)."""
    known = words < n_words
    rows = np.repeat(np.arange(len(words)), words.shape[1])[known.ravel()]
    return csr_matrix((np.ones(known.sum()), (rows, words[known])), (len(words), n_words))


def make_bags(glosses: Sequence[Gloss], kinds: Sequence[str], row: dict[str, int]) -> Bags:
    """Texts as the mean of their known words; LONGEST of them at most."""
    words = np.full((len(glosses), LONGEST), len(row))
    for line, gloss in zip(words, glosses, strict=True):
        numbers = [row[word] for word in gloss.definition if word in row][:LONGEST]
        line[:len(numbers)] = numbers
    labels = torch.tensor([kinds.index(gloss.file) for gloss in glosses])
    return weigh(words, labels, len(row))


def known_to_training(parts: Sequence[Bags], name: str) -> list[Bags]:
    """Train, validation and test with those words alone that occur in train, numbered anew."""
    n_words = parts[0].n_words
    seen = np.setdiff1d(parts[0].words.numpy(), [n_words])
    anew = np.full(n_words + 1, len(seen))
    anew[seen] = np.arange(len(seen))
    lists = [anew[part.words.numpy()] for part in parts]
    unit, idf = INPUTS[name][0] is None, None
    if name == "TF-IDF":
        idf = TfidfTransformer().fit(count_table(lists[0], len(seen))).idf_
    return [weigh(words, part.labels, len(seen), idf, unit)
            for words, part in zip(lists, parts, strict=True)]


class Classifier(nn.Module):
    """Mean word vector, hidden layer, classes; without a table, words straight to classes.

    table : (n_words, dim) first word vectors. tuned : whether training changes them.
    """

    def __init__(self, n_words: int, n_kinds: int, table: np.ndarray | None, tuned: bool,
                 dropout: float) -> None:
        super().__init__()
        dim = n_kinds if table is None else table.shape[1]
        first = np.zeros((n_words, dim), np.float32) if table is None else table
        self.bag = nn.EmbeddingBag.from_pretrained(
            torch.from_numpy(np.vstack([first, np.zeros_like(first[:1])])), freeze=not tuned,
            mode="sum", sparse=True, padding_idx=n_words)
        self.straight, self.drop = table is None, nn.Dropout(dropout)
        self.bias = nn.Parameter(torch.zeros(n_kinds))
        self.layers = nn.Sequential(nn.Dropout(dropout), nn.Linear(dim, HIDDEN), nn.ReLU(),
                                    nn.Dropout(dropout), nn.Linear(HIDDEN, n_kinds))

    def forward(self, words: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        if self.straight:               # words are left out whole
            return self.mean(words, self.drop(weights)) + self.bias
        # Of words that do not change, the mean was computed once: see `averaged`.
        return self.layers(weights if words.shape[1] == 0 else self.mean(words, weights))

    def mean(self, words: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Weighted sums of word vectors, without a look at the padding: (n, dim)."""
        known = words != self.bag.padding_idx
        ends = known.sum(1).cumsum(0)
        starts = torch.cat([torch.zeros(1, dtype=ends.dtype), ends[:-1]])
        return self.bag(words[known], starts, per_sample_weights=weights[known])


def train(model: nn.Module, data: Bags, held: Bags, rate: float, seed: int) -> float:
    """Train by Adam, keep the epoch with the lowest validation loss; return that loss."""
    batch = min(1024, max(32, len(data.labels) // 50))
    rest = [each for name, each in model.named_parameters() if name != "bag.weight"]
    optimizers = [torch.optim.Adam(rest, rate)]
    if model.bag.weight.requires_grad:      # of the words, only those of a batch are changed
        optimizers.append(torch.optim.SparseAdam([model.bag.weight], rate))
    lowest, waited, kept = np.inf, 0, None
    order = torch.Generator().manual_seed(seed)
    for _ in range(MOST_EPOCHS):
        model.train()
        for rows in torch.randperm(len(data.labels), generator=order).split(batch):
            part = data.part(rows)
            loss = functional.cross_entropy(model(part.words, part.weights), part.labels)
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
        score = functional.cross_entropy(scores(model, held), held.labels).item()
        waited += 1
        if score < lowest:
            lowest, waited, kept = score, 0, copy.deepcopy(model.state_dict())
        elif waited == PATIENCE:
            break
    model.load_state_dict(kept)
    return lowest


@torch.inference_mode()
def scores(model: nn.Module, bags: Bags) -> torch.Tensor:
    """Scores of the classes: (n, n_kinds)."""
    return model.eval()(bags.words, bags.weights)


@torch.inference_mode()
def averaged(model: Classifier, bags: Bags) -> Bags:
    """Bags whose words are gone and whose weights are the mean word vector: (n, dim)."""
    rows = model.mean(bags.words, bags.weights)
    return Bags(bags.words[:, :0], rows.clone(), bags.labels, bags.n_words)


def weighted_rows(bags: Bags) -> csr_matrix:
    """The weights of a text's words, in a row: (n, n_words)."""
    rows, places = np.nonzero(bags.weights.numpy())
    return csr_matrix((bags.weights[rows, places], (rows, bags.words[rows, places])),
                      (len(bags.words), bags.n_words))


def linear(parts: Sequence[Bags], n_kinds: int, C: float) -> tuple[float, np.ndarray]:
    """As `fit`, for scikit-learn's logistic regression on rows of weighted words."""
    train, held, test = (weighted_rows(bags) for bags in parts)
    model = LogisticRegression(C=C, max_iter=1000, tol=1e-5).fit(train, parts[0].labels.numpy())
    found = np.full((held.shape[0], n_kinds), 1e-6)     # of classes that training does not show
    found[:, model.classes_] += model.predict_proba(held)
    loss = -np.log(found[np.arange(len(found)), parts[1].labels]).mean()
    return float(loss), model.predict(test) == parts[2].labels.numpy()


def fit(name: str, parts: Sequence[Bags], table: np.ndarray | None, n_kinds: int,
        setting: Sequence[float], seed: int) -> tuple[float, np.ndarray]:
    """Lowest validation loss of a trained model, and which test texts it puts right."""
    if name == "TF-IDF":
        return linear(parts, n_kinds, setting[0])
    rate, dropout = setting
    tuned = INPUTS.get(name, (None, False))[1]
    torch.manual_seed(seed)
    model = Classifier(parts[0].n_words, n_kinds, table, tuned, dropout)
    if not tuned:
        parts = [averaged(model, part) for part in parts]
    loss = train(model, parts[0], parts[1], rate, seed)
    return loss, (scores(model, parts[2]).argmax(1) == parts[2].labels).numpy()


def settings(name: str, size: int | str, earlier: dict) -> list[tuple[float, ...]]:
    """Rates and dropouts to try, or for TF-IDF values of C: eight up to 10,000 texts.

    With 30,000, the two that did best before; with all, the one that did best then. TF-IDF,
    which has no epochs to choose, may try half and twice the best C, too.
    """
    if size in ("all", 30_000):
        last = earlier[name]["30000" if size == "all" else "10000"]
        if name == "TF-IDF":
            C = last["tried"][last["best"]][0]
            return [(C / 2,), (C,), (2 * C,)]
        best = np.argsort(last["losses"], kind="stable")[:1 if size == "all" else 2]
        return [tuple(last["tried"][i]) for i in best]
    if name == "TF-IDF":
        return [(C,) for C in PENALTIES]
    faster = 10 if name == "one-hot" else 1         # a linear model steps farther
    return [(faster * rate, dropout) for rate, dropout in product(RATES, DROPOUTS)]


def one_point(name: str, sample: Sequence[Sequence[Bags]], tables: Sequence[np.ndarray | None],
              n_kinds: int, tried: Sequence[tuple[float, float]]) -> dict:
    """An input at one size: the setting that validation prefers with the first seed, all seeds.

    sample, tables : train, validation and test, and first word vectors, a seed.
    """
    losses, right = zip(*(fit(name, sample[0], tables[0], n_kinds, setting, 0)
                          for setting in tried), strict=True)
    best = int(np.argmin(losses))
    runs = [right[best]] + [fit(name, sample[seed], tables[seed], n_kinds, tried[best], seed)[1]
                            for seed in range(1, len(sample))]
    return {"tried": [list(each) for each in tried], "best": best,
            "losses": [round(loss, 4) for loss in losses],
            "accuracy": [round(float(run.mean()), 4) for run in runs],
            "right": [pack(run) for run in runs]}


def pack(values: np.ndarray) -> str:
    """Truth values as text, eight to a byte.

    >>> pack(np.array([True, False, True]))
    'oA=='
    """
    return base64.b64encode(np.packbits(values)).decode()


class Study:
    """What all runs share: sides, classes, vocabulary, word vectors and random ones."""

    def __init__(self, sides: dict[str, list[Gloss]], kinds: list[str], quick: bool) -> None:
        self.kinds, self.text = kinds, sides["train"]
        self.pool = labelled(sides["train"], kinds)
        self.test = labelled(sides["test"], kinds)[:200 if quick else N_TEST]
        validation = labelled(sides["validation"], kinds)[:200 if quick else N_VALIDATION]
        self.vectors = word_vectors(self.text[::20] if quick else self.text, "train")
        self.row = self.vectors.key_to_index
        self.bags = [make_bags(side, kinds, self.row)
                     for side in (self.pool, validation, self.test)]
        self.table = {"word2vec": standardized(self.vectors.vectors)}
        for seed in range(SEEDS):
            draws = np.random.default_rng(seed).standard_normal((len(self.row), DIM))
            self.table[f"random {seed}"] = draws.astype(np.float32)

    def rows(self, size: int | str, seed: int) -> np.ndarray:
        """The training sample of a seed; a smaller one is part of a larger."""
        order = np.random.default_rng(seed).permutation(len(self.pool))
        return order if size == "all" else order[:size]

    def sample(self, name: str, size: int | str, seed: int) -> tuple[list[Bags], np.ndarray]:
        """Train, validation and test as an input sees them, and its first word vectors."""
        parts = [self.bags[0].part(torch.from_numpy(self.rows(size, seed))), *self.bags[1:]]
        if name == "word2vec of the sample":
            return parts, self.own_vectors(size, seed)
        source, tuned = INPUTS[name]
        table = self.table.get(f"random {seed}" if source == "random" else source)
        if tuned and source != "word2vec":      # words that training does not show stay unknown
            parts = known_to_training(parts, name)
            table = table if table is None else table[:parts[0].n_words]
        return parts, table

    def own_vectors(self, size: int, seed: int) -> np.ndarray:
        """word2vec of the sample's own entries; zeros for words that it does not know."""
        entries = [self.pool[row] for row in self.rows(size, seed)]
        vectors = word_vectors(entries, f"sample {size} {seed}")
        table = np.zeros((len(self.row), DIM), np.float32)
        known = [word for word in vectors.index_to_key if word in self.row]
        table[[self.row[word] for word in known]] = standardized(
            np.stack([vectors[word] for word in known]))
        return table

    def point(self, name: str, size: int | str, earlier: dict) -> dict:
        """One input at one size."""
        once = name == "TF-IDF" and size == "all"       # no seed changes such a fit
        parts, tables = zip(*(self.sample(name, size, seed)
                              for seed in range(1 if once else SEEDS)), strict=True)
        found = one_point(name, parts, tables, len(self.kinds), settings(name, size, earlier))
        if once:
            found |= {key: found[key] * SEEDS for key in ("accuracy", "right")}
        return found


def save(path: Path, content: dict) -> None:
    """Write a JSON file whole or not at all."""
    with write_then_rename(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf8")


def main() -> None:
    """Run what is missing and, unless --quick, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small and once; writes nothing")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    glosses = load_glosses()
    counts = Counter(gloss.file for gloss in glosses)
    sides = draw_sides(glosses)
    study = Study(sides, [kind for kind in FILES if counts[kind] >= LEAST], quick)
    sizes = SIZES[:2] if quick else (*SIZES, "all")
    work = [(name, size) for size in sizes for name in INPUTS]
    work += [("word2vec of the sample", size) for size in ((300,) if quick else (1000, 10_000))]
    memory = cache_dir() / "glosses" / (content_key(
        Path(__file__).read_text("utf8"), study.table["word2vec"], quick) + ".json")
    runs = json.loads(memory.read_text("utf8")) if memory.exists() else {}
    for name, size in tqdm(work, desc="Inputs and sizes"):
        points = runs.setdefault(name, {})
        if str(size) not in points:
            points[str(size)] = study.point(name, size, runs)
            save(memory, runs)
    if not quick:
        save(OUTPUT, describe(study, sides, len(glosses)) | {"runs": runs})


def describe(study: Study, sides: dict[str, list[Gloss]], n_glosses: int) -> dict:
    """Versions, sizes and settings, and families and classes of the test glosses."""
    labels = [bags.labels.numpy() for bags in study.bags]
    largest = int(np.bincount(labels[0]).argmax())
    return {"date": time.strftime("%Y-%m-%d"), "python": platform.python_version(),
            "numpy": np.__version__, "torch": torch.__version__, "gensim": gensim.__version__,
            "sklearn": sklearn.__version__, "glosses": n_glosses, "files": FILES,
            "kinds": study.kinds,
            "sides": {side: len(found) for side, found in sides.items()},
            "pool": len(study.pool), "validation": len(labels[1]), "test": len(labels[2]),
            "words": len(study.row), "largest": study.kinds[largest],
            "majority": pack(labels[2] == largest), "labels": labels[2].tolist(),
            "families": families(study.test).tolist(),
            "settings": {"word2vec": SETTINGS, "hidden": HIDDEN, "rates": RATES,
                         "penalties": PENALTIES,
                         "dropouts": DROPOUTS, "patience": PATIENCE, "epochs": MOST_EPOCHS,
                         "sizes": SIZES, "seeds": SEEDS}}


if __name__ == "__main__":
    main()
