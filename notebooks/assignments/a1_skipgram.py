"""Data of assignment 1: topics of WordNet, their typical words and the pairs these words form."""

import itertools

import numpy as np

from mmfuse_utils.data.sources import package_path
from mmfuse_utils.data.wordnet import parse_line
from mmfuse_utils.data.words import tokens

# WordNet sorts its nouns into files; these numbers stand in each line of `data.noun`.
TOPICS = {"05": "animals", "08": "body", "13": "food", "14": "groups", "15": "places",
          "20": "plants", "26": "health", "27": "substances"}
N_TOPICS, N_DEFINITIONS, WORDS_EACH = 4, 1500, 30   # definitions and words of each topic
REACH, N_PAIRS, N_NOISE, DIM = 4, 20_000, 5, 16


def make_data(seed):
    """Arrays of the assignment by key; the seed decides all that is drawn.

    v, u : (4,) a center and a context vector; noise : (3, 4) three noise words, for Task 2.
    hand_base : () whole number b; hand_v : (2,) a center; hand_u : (2,) and hand_noise : (2, 2)
        whole numbers, to be multiplied by log b: a context and two noise words.
    topics : (4,) names. vocabulary : (120,) words, most frequent first. topic_of : (120,) the
        place in `topics` of each. counts : (120,) how often each occurs in the definitions.
    pairs : (20000, 2) rows in `vocabulary` of centers and contexts, in random order.
    uniform : (20000, 5) numbers from 0 to 1, a row for each pair.
    start : (120, 16) center vectors before training; those of contexts start at zero.
    """
    rng = np.random.default_rng(seed)
    names, sentences = draw_definitions(rng)
    vocabulary, topic_of, counts = typical_words(sentences)
    return {**paper_numbers(rng), "topics": names, "vocabulary": vocabulary,
            "topic_of": topic_of, "counts": counts,
            "pairs": draw_pairs(rng, sentences, vocabulary),
            "uniform": rng.random((N_PAIRS, N_NOISE), dtype=np.float32),
            "start": ((rng.random((len(vocabulary), DIM)) - 0.5) / DIM).astype(np.float32)}


def paper_numbers(rng):
    """Small vectors; the scores of those for Task 3 are whole multiples of log b, none zero."""
    positive = against = 0
    while 0 in (positive, against, positive - against):     # then a wrong sign would not show
        v, u, noise = (rng.choice([-1.5, -1, -0.5, 0.5, 1, 1.5], n) for n in (4, 4, (3, 4)))
        positive, against = u @ v, (noise @ v).sum()
    hand_v = rng.permutation([1, 2]) * rng.choice([-1, 1], 2)
    # Solutions (x, y) of x * hand_v[0] + y * hand_v[1] = score, for three different scores.
    plane = np.array(list(itertools.product(range(-2, 3), repeat=2)))
    scores = rng.permutation([-2, -1, 1, 2])[:3]
    words = [rng.choice(plane[plane @ hand_v == score]) for score in scores]
    return {"v": v, "u": u, "noise": noise, "hand_base": np.array(rng.choice([2, 3, 4, 5])),
            "hand_v": hand_v, "hand_u": words[0], "hand_noise": np.array(words[1:])}


def draw_definitions(rng):
    """Names of the topics drawn, and for each of them the tokens of its definitions."""
    file = package_path("wordnet") / "package" / "dict" / "data.noun"
    lines = [line for line in file.read_text("utf8").splitlines() if line[:1].isdigit()]
    drawn, sentences = sorted(rng.choice(list(TOPICS), N_TOPICS, replace=False)), []
    for number in drawn:
        of_topic = [line for line in lines if line[9:11] == number]
        for i in rng.permutation(len(of_topic))[:N_DEFINITIONS]:
            synset = parse_line(of_topic[i], "n")
            sentences.append((len(sentences) // N_DEFINITIONS,
                              tokens(" ".join([*synset.lemmas, synset.gloss]))))
    return np.array([TOPICS[number] for number in drawn]), sentences


def typical_words(sentences):
    """For each topic its most frequent words, of which it has three in five uses or more."""
    counts = {}
    for topic, words in sentences:
        for word in words:
            counts.setdefault(word, np.zeros(N_TOPICS, int))[topic] += 1
    typical = sorted((-n.sum(), word) for word, n in counts.items() if n.max() >= 0.6 * n.sum())
    found = {word: counts[word].argmax() for _, word in typical}
    chosen = {word for topic in range(N_TOPICS)
              for word in [w for w in found if found[w] == topic][:WORDS_EACH]}
    words = [word for word in found if word in chosen]
    return (np.array(words), np.array([found[word] for word in words], np.int8),
            np.array([counts[word].sum() for word in words], np.int32))


def draw_pairs(rng, sentences, vocabulary):
    """(N_PAIRS, 2) rows of words that stand at most REACH apart once other words are dropped."""
    row = {word: i for i, word in enumerate(vocabulary.tolist())}
    pairs = []
    for _, words in sentences:
        rows = [row[word] for word in words if word in row]
        pairs += [(center, context) for i, center in enumerate(rows)
                  for j, context in enumerate(rows) if 0 < abs(i - j) <= REACH]
    return rng.permutation(np.array(pairs, np.int16))[:N_PAIRS]
