"""Tokens, weights and sentence vectors, recomputed directly; training that repeats itself."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from gensim.models import KeyedVectors
from hypothesis import given, settings
from hypothesis import strategies as st

from mmfuse_utils.data import Collection, PictureTable
from mmfuse_utils.text import (
    SETTINGS,
    concept_tokens,
    idf_weights,
    index_corpus,
    random_vectors,
    sentence_vectors,
    tokenize,
    train_word_vectors,
)
from mmfuse_utils.word2vec import SkipGram

CORPUS = [["red", "apple", "tree"], ["green", "apple"], ["red", "car", "road"]] * 30
TRAIN = f"""
import hashlib
from mmfuse_utils.cache import cache_dir
from mmfuse_utils.text import cached_vectors, train_word_vectors
vectors = cached_vectors("key", lambda: train_word_vectors({CORPUS[:3]} * 30, epochs=2))
for path in sorted((cache_dir() / "words" / "key").iterdir()):
    print(path.name, hashlib.sha256(path.read_bytes()).hexdigest())
print(*vectors.index_to_key)
"""


@pytest.fixture(scope="module")
def vectors():
    """Five words in three dimensions; their lengths differ, and must not matter."""
    keyed = KeyedVectors(3)
    keyed.add_vectors(["red", "apple", "car", "tree", "nothing"],
                      np.array([[1, 0, 0], [0, 5, 0], [0.1, 0.1, 0.1], [2, -2, 1], [-3, 0, 0]],
                               dtype=np.float32))
    return keyed


def direct(texts, vectors, weights=None):
    """The definition, word by word, in double precision."""
    rows = []
    for text in texts:
        total = np.zeros(3)
        for word in text:
            if word in vectors.key_to_index:
                vector = vectors[word].astype(float)
                total += (weights or {}).get(word, 1) * vector / np.sqrt((vector ** 2).sum())
        length = np.sqrt((total ** 2).sum())
        rows.append(total / length if length else total)
    return np.array(rows).reshape(-1, 3)


NO_TOKENS = {"a text": "red apple", "texts": ["red apple", "car"], "bytes": [b"red"],
             "numbers": [[1, 2]], "a missing list": [["red"], None],
             "a missing number": [["red"], float("nan")], "a missing token": [["red", None]],
             "a token of bytes": [("red", b"apple")], "nothing": None}


@pytest.mark.parametrize("tokens", NO_TOKENS.values(), ids=NO_TOKENS)
@pytest.mark.parametrize("use", [
    idf_weights, train_word_vectors, lambda x: SkipGram(min_count=1).fit(x),
    lambda x: index_corpus(x, 1), lambda x: sentence_vectors(x, KeyedVectors(2))],
    ids=["idf_weights", "train_word_vectors", "SkipGram", "index_corpus", "sentence_vectors"])
def test_what_is_not_tokens_is_said(use, tokens):
    with pytest.raises(TypeError, match=r"Expected lists of tokens such as .* got"):
        use(tokens)


def test_lists_of_tokens_may_be_of_many_kinds(vectors):
    wanted = sentence_vectors([["red", "car"], ["apple"]], vectors)
    for lists in ([("red", "car"), ("apple",)], (iter(x) for x in (["red", "car"], ["apple"])),
                  np.array([["red", "car"], ["apple", "zzz"]])):
        np.testing.assert_array_equal(sentence_vectors(lists, vectors), wanted)


def test_a_word_without_a_direction_is_left_out():
    keyed = KeyedVectors(2)
    keyed.add_vectors(["cat", "<pad>"], np.array([[3, 4], [0, 0]], np.float32))
    rows = sentence_vectors([["cat", "<pad>"], ["<pad>"], ["cat"]], keyed, {"<pad>": 5.0})
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0, 0], [0.6, 0.8]], rtol=1e-6)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_none_is_named(vectors, number):
    keyed = KeyedVectors(2)
    keyed.add_vectors(["cat", "dog"], np.array([[3, 4], [number, 0]], np.float32))
    assert np.isfinite(sentence_vectors([["cat"]], keyed)).all()
    for weights in (None, {"dog": 0.0}):
        with pytest.raises(ValueError, match="vector of 'dog' is infinite or not a number"):
            sentence_vectors([["cat"], ["dog"]], keyed, weights)


@pytest.mark.parametrize("weight", [np.nan, np.inf, 1e39, 1e-30, None, "1"])
def test_a_weight_that_is_none_is_named(vectors, weight):
    with pytest.raises(ValueError, match="weight of 'tree' must be 0 or a number of a size"):
        sentence_vectors([["red", "tree"]], vectors, {"tree": weight})
    series = pd.Series({"tree": 2.0})
    np.testing.assert_array_equal(sentence_vectors([["red", "tree"]], vectors, series),
                                  sentence_vectors([["red", "tree"]], vectors, dict(series)))


@pytest.mark.parametrize("settings", [{"epochs": 0}, {"min_count": 50}])
def test_training_on_nothing_is_said(settings):
    with pytest.raises(ValueError, match="Training needs a word that occurs min_count"):
        train_word_vectors([["red", "apple"], ["green", "pear"]], **settings)


def test_a_long_text_is_learned_to_its_end():
    rng = np.random.default_rng(0)
    text = [f"a{i}" for i in rng.integers(5, size=10_000)]
    text += [f"b{i}" for i in rng.integers(5, size=30_000)]
    long, cut = (train_word_vectors(lists, epochs=1, sample=0, vector_size=8) for lists in
                 ([text], [text[i:i + 10_000] for i in range(0, 40_000, 10_000)]))
    np.testing.assert_array_equal(long.vectors, cut.vectors)
    assert long.similarity("b0", "b1") > 0.9 > long.similarity("a0", "b1")


@pytest.mark.parametrize(("text", "expected"), [
    ("Tiger Face", ["tiger", "face"]), ("a dog's life", ["a", "dog's", "life"]),
    ("12 o'clock", ["o'clock"]), ("", []), ("Tür, 木!", ["tür", "木"])])
def test_tokenize(text, expected):
    assert tokenize(text) == expected


def test_concept_tokens_are_the_names_then_the_keywords():
    collection = Collection(
        ("1", "2"), {"en": (("Tiger Face",), ()), "de": (("Tigergesicht",), ("Hund",))},
        {"en": (("big cat", "face"), ("dog",)), "de": ((), ("Tier",))}, ("g",) * 2, ("s",) * 2,
        PictureTable(np.arange(0), np.arange(0), ()))
    assert concept_tokens(collection) == [["tiger", "face", "big", "cat", "face"], ["dog"]]
    assert concept_tokens(collection, keywords=False) == [["tiger", "face"], []]
    assert concept_tokens(collection, "de") == [["tigergesicht"], ["hund", "tier"]]


def test_idf_by_hand():
    weights = idf_weights([["a", "b"], ["a", "a", "c"], ["a", "b"], ["d"]])
    assert weights == pytest.approx({"a": np.log(4 / 3), "b": np.log(2), "c": np.log(4),
                                     "d": np.log(4)})
    assert idf_weights([]) == {}


TEXTS = st.lists(st.lists(st.sampled_from(["red", "apple", "car", "tree", "zzz"]), max_size=6),
                 min_size=1, max_size=5)


@settings(deadline=None)
@given(TEXTS, st.booleans())
def test_sentence_vectors_are_what_their_definition_says(vectors, texts, weighted):
    weights = {"red": 0.5, "tree": 3.0, "car": 0.0} if weighted else None
    rows = sentence_vectors(texts, vectors, weights)
    assert rows.dtype == np.float32 and rows.shape == (len(texts), 3)
    np.testing.assert_allclose(rows, direct(texts, vectors, weights), atol=1e-6)


def test_a_text_without_known_words_is_a_row_of_zeros(vectors):
    rows = sentence_vectors([[], ["zzz"], ["red"], ["car"]], vectors, {"car": 0.0})
    assert not rows[[0, 1, 3]].any()
    assert np.linalg.norm(rows[2]) == pytest.approx(1)
    assert np.isfinite(sentence_vectors([["red", "nothing"]], vectors)).all()  # they cancel out


def test_sentence_vectors_ignore_order_and_leave_the_vectors_alone(vectors):
    before = vectors.vectors.copy()
    a, b = sentence_vectors([["red", "tree", "car"], ["car", "red", "tree"]], vectors)
    np.testing.assert_allclose(a, b, atol=1e-6)
    np.testing.assert_array_equal(vectors.vectors, before)


def test_the_control_has_the_same_words_and_no_meaning():
    trained = KeyedVectors(50)
    trained.add_vectors([f"w{i}" for i in range(500)], np.ones((500, 50), np.float32))
    control = random_vectors(trained)
    assert control.index_to_key == trained.index_to_key
    assert control.vectors.shape == (500, 50) and control.vectors.dtype == np.float32
    assert abs(control.vectors.mean()) < 0.02 and abs(control.vectors.std() - 1) < 0.02
    np.testing.assert_array_equal(control.vectors, random_vectors(trained).vectors)
    assert (control.vectors != random_vectors(trained, seed=1).vectors).all()


def test_training_twice_gives_the_same_vectors():
    a, b = (train_word_vectors(CORPUS, epochs=2) for _ in range(2))
    np.testing.assert_array_equal(a.vectors, b.vectors)
    assert a.index_to_key == b.index_to_key and a.vector_size == SETTINGS["vector_size"]


def test_what_is_trained_and_kept_does_not_depend_on_the_process(tmp_path):
    found = {subprocess.run([sys.executable, "-c", TRAIN], text=True, stdout=subprocess.PIPE,
                            check=True, env={**os.environ, "PYTHONHASHSEED": seed,
                                             "MMFUSE_CACHE": str(tmp_path / (seed * 3))}).stdout
             for seed in ("1", "22")}
    assert len(found) == 1 and found.pop().split()[-1]


def test_settings_can_be_overridden_and_rare_words_are_dropped():
    vectors = train_word_vectors([*CORPUS, ["rare"]], vector_size=7, epochs=1)
    assert vectors.vector_size == 7 and "rare" not in vectors and "apple" in vectors
    assert SETTINGS["workers"] == 1  # gensim with more is not reproducible


def test_words_of_one_topic_come_together():
    rng = np.random.default_rng(0)
    topics = [[f"{t}{i}" for i in range(6)] for t in "ab"]
    corpus = [list(rng.choice(topics[i % 2], 6)) for i in range(600)]
    vectors = train_word_vectors(corpus, vector_size=16, epochs=20, sample=0)
    inside = np.mean([vectors.similarity("a0", word) for word in topics[0][1:]])
    across = np.mean([vectors.similarity("a0", word) for word in topics[1]])
    assert inside > across + 0.5
