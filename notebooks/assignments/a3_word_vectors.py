"""Data of assignment 3: word vectors of the book, rated pairs and analogies, drawn by the seed."""

from collections import Counter
from pathlib import Path

import numpy as np
from gensim.test.utils import datapath

from mmfuse_utils.text import load_word_vectors

N_PAIRS, N_FREQUENT, N_DROPPED, N_RESAMPLES = 240, 600, 10, 1000
SECTIONS = {"family": "family", "gram3-comparative": "comparative",
            "gram6-nationality-adjective": "nationality", "gram8-plural": "plural"}
N_QUESTIONS = 25  # of each section
SKIPPED = ("fuck", "arafat")  # a swearword, and a politician rated beside terror
SHOWN = ["car automobile", "journey voyage", "coast shore", "magician wizard", "midday noon",
         "furnace stove", "planet galaxy", "football soccer", "tennis racket", "dollar yen",
         "computer keyboard", "street avenue", "gem jewel", "physics proton", "weather forecast",
         "tiger jaguar", "film movie", "bread butter"]


def make_data(seed):
    """Arrays of the assignment by key; the seed decides all that is drawn.

    words : (n_words,) the vocabulary, most frequent word of the book's corpus first.
    vectors : (n_words, 100) float32, the book's vector of each word.
    control : (n_words, 100) float32, random vectors for the same words.
    pairs, ratings : (240, 2) and (240,) word pairs of WordSim-353 and the mean rating by people,
        0 to 10. Some words are not in the vocabulary: two that the book's vectors lack, and ten
        that the seed took out. Never drawn: a word with itself, a pair's second row, SKIPPED.
    shown : (8,) words of the vocabulary for the pictures, four related pairs one after another.
    questions : (100, 4) rows of the vocabulary: a is to b as c is to d; section : (100,) the
        number of each question's kind, kinds : (4,) the names.
    resamples : (1000, n_known) rows drawn with replacement among the known pairs.
    hand : (3, 2) whole numbers, no row or column of zeros, to work with by hand.
    """
    rng, vectors = np.random.default_rng(seed), load_word_vectors()
    pairs, ratings = _draw_pairs(rng, vectors)
    questions = _draw_questions(rng, vectors)
    shown = " ".join(rng.choice(SHOWN, 4, replace=False)).split()
    needed = {*questions.ravel().tolist(), *shown}
    dropped = _words_to_drop(rng, pairs, vectors, needed)
    words = _vocabulary(vectors, needed | set(pairs.ravel().tolist()) - dropped, shown, dropped)
    row = {word: i for i, word in enumerate(words)}
    rows = np.array([[row[word] for word in question] for question in questions], np.int16)
    n_known = np.isin(pairs, words).all(axis=1).sum()
    return {"words": np.array(words), "vectors": vectors[words], "pairs": pairs,
            "control": rng.standard_normal((len(words), 100)).astype(np.float32),
            "ratings": ratings, "shown": np.array(shown), "questions": rows,
            "section": np.repeat(np.arange(4, dtype=np.uint8), N_QUESTIONS),
            "kinds": np.array(list(SECTIONS.values())), "hand": _draw_hand(rng),
            "resamples": rng.integers(n_known, size=(N_RESAMPLES, n_known), dtype=np.int16)}


def _lines(name):
    return Path(datapath(name)).read_text("utf8").lower().splitlines()


def _draw_pairs(rng, vectors):
    """Pairs and ratings; every pair with a word that the book's vectors lack is among them."""
    rows = {}
    for line in _lines("wordsim353.tsv"):
        if not line.startswith("#"):
            first, second, rating = line.split("\t")
            if first not in (second, *SKIPPED) and (second, first) not in rows:
                rows.setdefault((first, second), float(rating))
    unknown = [pair for pair in rows if not all(word in vectors for word in pair)]
    known = [pair for pair in rows if pair not in unknown]
    drawn = rng.choice(known, N_PAIRS - len(unknown), replace=False)
    pairs = rng.permutation(np.array([*map(tuple, drawn.tolist()), *unknown]))
    return pairs, np.array([rows[tuple(pair)] for pair in pairs.tolist()])


def _draw_questions(rng, vectors):
    """Questions of each section whose four words the book's vectors know."""
    sections, section = {}, None
    for line in _lines("questions-words.txt"):
        if line.startswith(":"):
            section = sections.setdefault(line[2:], [])
        elif all(word in vectors for word in line.split()):
            section.append(line.split())
    return np.concatenate([rng.choice(sections[name], N_QUESTIONS, replace=False)
                           for name in SECTIONS])


def _words_to_drop(rng, pairs, vectors, needed):
    """Words that stand in one or two pairs and are not needed elsewhere."""
    counts = Counter(pairs.ravel().tolist())
    rare = sorted(word for word, n in counts.items()
                  if n <= 2 and word in vectors and word not in needed)
    return set(rng.choice(rare, N_DROPPED, replace=False).tolist())


def _vocabulary(vectors, needed, shown, dropped):
    """Needed and frequent words and neighbors of the shown ones, most frequent first."""
    frequent = set(vectors.index_to_key[:N_FREQUENT])
    near = {word for name in shown
            for word, _ in vectors.most_similar(name, topn=25, restrict_vocab=20_000)}
    words = {word for word in needed | frequent | near if word in vectors} - dropped
    return sorted(words, key=vectors.key_to_index.get)


def _draw_hand(rng):
    """A small table of whole numbers with no row or column of zeros."""
    while True:
        hand = rng.integers(-4, 5, (3, 2)).astype(np.float64)
        if hand.any(axis=0).all() and hand.any(axis=1).all():
            return hand
