"""Data of assignment 2: definitions of WordNet as rows of words, and numbers drawn beforehand."""

from collections import Counter

import numpy as np
from a1_skipgram import draw_definitions

N_SENTENCES, MIN_COUNT, N_WORDS = 2500, 5, 500
REACH, N_PAIRS, N_NOISE, DIM = 4, 16_384, 5, 16
# Roots of t/f: with those of ROOTS the chance to stay is below 1, with those of RARE above.
ROOTS = ((1, 2), (1, 3), (1, 4), (1, 5), (2, 5), (3, 5), (1, 6), (2, 7), (3, 7), (3, 8), (2, 9),
         (4, 9))
RARE = ((2, 3), (3, 4), (4, 5))


def make_data(seed):
    """Arrays of the assignment by key; the seed decides all that is drawn.

    vocabulary : (n_words,) words, most frequent first, at most 500. counts : (n_words,) tokens
        of each in the corpus. words : (n_tokens,) row of each token's word, in order.
    sentence : (n_tokens,) number of the definition that the token stands in.
    uniform : (n_tokens,) numbers from 0 to 1, for subsampling. reach : (n_tokens,) from 1 to 4.
    v, u : (7, 4) centers and contexts; others : (7, 3, 4) noise words, for Tasks 3 and 4.
    shuffle : (n_tokens,) numbers from 0 to 1, to draw pairs of tokens by.
    noise : (16384, 5) rows of noise words, drawn with chances count ** 0.75.
    start : (n_words, 16) center vectors before training; those of contexts start at zero.
    hand_reach : (7,) reach of each token of a sentence, for Task 0. hand_counts : (2,) tokens of
        a frequent word and a rarer one. hand_total : () all tokens. hand_threshold : () t.
    """
    rng = np.random.default_rng(seed)
    _, sentences = draw_definitions(rng)
    drawn = [sentences[i][1] for i in rng.permutation(len(sentences))[:N_SENTENCES]]
    vocabulary, counts, words, sentence = rows_of_words(drawn)
    chances = counts**0.75 / (counts**0.75).sum()
    v, u, others = (np.round(rng.normal(size=n), 1) for n in ((7, 4), (7, 4), (7, 3, 4)))
    return {"vocabulary": vocabulary, "counts": counts, "words": words, "sentence": sentence,
            "uniform": rng.random(len(words), dtype=np.float32),
            "reach": rng.integers(1, REACH + 1, len(words), dtype=np.int32),
            "v": v, "u": u, "others": others,
            "shuffle": rng.random(8 * len(words), dtype=np.float32),
            "noise": rng.choice(len(counts), (N_PAIRS, N_NOISE), p=chances).astype(np.int16),
            "start": ((rng.random((len(counts), DIM)) - 0.5) / DIM).astype(np.float32),
            **paper_numbers(rng)}


def rows_of_words(sentences):
    """Vocabulary and counts; row of each token's word and number of its sentence, in order."""
    counts = Counter(word for words in sentences for word in words)
    kept = sorted((-n, word) for word, n in counts.items() if n >= MIN_COUNT)[:N_WORDS]
    row = {word: i for i, (_, word) in enumerate(kept)}
    tokens = [(row[word], i) for i, words in enumerate(sentences) for word in words if word in row]
    words, sentence = np.array(tokens, np.int32).T
    return np.array(list(row)), np.array([-n for n, _ in kept], np.int32), words, sentence


def paper_numbers(rng):
    """Small numbers for Task 0: the usual slips give other results than the right way."""
    while not tells_slips_apart(reach := rng.integers(1, REACH + 1, 7)):
        pass
    (above, below), (rare_above, rare_below) = rng.choice(ROOTS), rng.choice(RARE)
    parts, unit = rng.choice([100, 200, 400, 500, 1000]), rng.integers(2, 10)
    # The share of a word with the count n is n / total, so t/f is a square for both words.
    counts = [unit * (rare_above * below) ** 2, unit * (above * rare_below) ** 2]
    return {"hand_reach": reach, "hand_counts": np.array(counts),
            "hand_total": np.array(unit * (above * rare_above) ** 2 * parts),
            "hand_threshold": np.array(1 / parts)}


def tells_slips_apart(reach):
    """Whether wrong ways to count the pairs of a sentence give other numbers than the right."""
    distance = np.abs(np.arange(len(reach))[:, None] - np.arange(len(reach)))
    windows = [distance <= reach[:, None], distance < reach[:, None], distance <= reach.max()]
    pairs, fewer, widest = (window & (distance > 0) for window in windows)
    either = pairs | pairs.T
    totals = [fewer.sum(), widest.sum(), either.sum(), either.sum() // 2]
    slips = [pairs[2], pairs[:, 1], fewer[:, 2], widest[:, 2], either[:, 2]]
    return (pairs.sum() not in totals
            and pairs[:, 2].sum() not in [slip.sum() for slip in slips])
