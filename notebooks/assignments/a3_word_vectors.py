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
# Lengths of these are whole numbers: 3, 7, 9, 9, 11, 11, 13 and 15.
TRIPLES = [[1, 2, 2], [2, 3, 6], [1, 4, 8], [4, 4, 7], [2, 6, 9], [6, 6, 7], [3, 4, 12],
           [2, 5, 14]]
ON_CIRCLE = np.array([(x, y) for x in range(-5, 6) for y in range(-5, 6) if x * x + y * y == 25])


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
    hand_pair : (2, 3) whole numbers, rows whose lengths are whole numbers, for Task 0.
    hand_fifths : (6, 2) rows a, b, c and three other words; divided by 5 they have the length 1.
    hand_lists : (2, 5) ratings, and cosines in tenths, each with one tie of two.
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
            "resamples": rng.integers(n_known, size=(N_RESAMPLES, n_known), dtype=np.int16),
            **paper_numbers(rng)}


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


def paper_numbers(rng):
    """Numbers for Task 0 for which the usual slips give other results than the right way."""
    while not _needs_lengths(pair := np.array([
            rng.permutation(TRIPLES[i]) * rng.choice([-1, 1], 3)
            for i in rng.choice(len(TRIPLES), 2, replace=False)])):
        pass
    while not _needs_all_rules(fifths := rng.choice(ON_CIRCLE, 6, replace=False)):
        pass
    while not _needs_average_ranks(lists := rng.integers(1, 10, (2, 5))):
        pass
    return {"hand_pair": pair, "hand_fifths": fifths, "hand_lists": lists}


def _needs_lengths(pair):
    """Whether the vectors are neither at right angles nor of one length."""
    x, y = pair
    return x @ y != 0 and x @ x != y @ y


def _needs_all_rules(words):
    """Whether one word answers, wins only by the rules, and b - a + c has not the length 1."""
    a, b, c = words[:3]
    targets = (b - a + c, a - b + c, a + b - c, c)
    right, *slips = (words @ target for target in targets)
    best = np.sort(right[3:])
    return (0 < best[1] < best[2] < right[:3].max() and targets[0] @ targets[0] != 25
            and all(slip[3:].argmax() != right[3:].argmax() and slip[3:].max() != best[2]
                    for slip in slips))


def _needs_average_ranks(lists):
    """Whether each list has one tie, elsewhere, and only average ranks give the correlation."""
    if any(len(set(values)) != 4 for values in lists.tolist()):
        return False
    lower = (lists[:, None] < lists[:, :, None]).sum(axis=2)
    equal = (lists[:, None] == lists[:, :, None]).sum(axis=2)
    dense = [np.unique(values, return_inverse=True)[1] for values in lists]
    in_order = lists.argsort(axis=1, kind="stable").argsort(axis=1)
    ranks = lower + equal / 2
    rho, *slips = (np.corrcoef(*values)[0, 1]
                   for values in (ranks, lower, lower + equal, dense, in_order, lists))
    slips += [0, 1 - ((ranks[0] - ranks[1]) ** 2).sum() / 20]
    return (equal > 1).all(axis=0).sum() < 2 and min(abs(rho - slip) for slip in slips) > 0.01
