"""The grammar, its judge and its readers; MiniLM in ten lines; what was recorded is whole."""

import base64
import json
from collections import Counter

import numpy as np
import pytest
import rivals_text as study
import torch
from conftest import ROOT

PHENOMENA = list(study.FRAMES)


@pytest.fixture(scope="module")
def recorded():
    """What the benchmark wrote."""
    return json.loads((ROOT / "benchmarks" / "rivals_text.json").read_text(encoding="utf8"))


def unpack(line):
    return np.frombuffer(base64.b64decode(line), np.uint8).astype(int)


@pytest.fixture(scope="module")
def rows():
    """A few pairs of each phenomenon, with words that need no data."""
    words = {"a": "blue", "b": "black", "acts": "pulls", "done": "pulled", "c": "pot"}
    nouns = (("dog", "cat"), ("ant", "fox"), ("owl", "cow"))
    return [{"x": x, "y": y, **words} for x, y in nouns]


# The grammar

@pytest.mark.parametrize("phenomenon", PHENOMENA)
def test_both_meanings_of_a_frame_have_the_same_words(rows, phenomenon):
    for meaning, twin in study.sentences(rows, phenomenon):
        for one, other in zip(meaning, twin, strict=True):
            assert Counter(one.split()) == Counter(other.split()) and one != other


@pytest.mark.parametrize("phenomenon", PHENOMENA)
def test_odd_frames_turn_the_nouns(rows, phenomenon):
    for row, (meaning, _) in zip(rows, study.sentences(rows, phenomenon), strict=True):
        for number, sentence in enumerate(meaning):
            words = sentence.split()
            assert (words.index(row["x"]) > words.index(row["y"])) == bool(number % 2)


def test_no_word_of_a_test_is_seen_in_training():
    for words in (study.VERBS, study.COLORS, study.HOLDERS):
        sides = [set(" ".join(words[part]).split()) for part in study.SIZES]
        assert sum(map(len, sides)) == len(set.union(*sides))


def test_combinations_are_as_many_as_the_page_divides_by():
    for kind, sizes in (("known", (4, 8)), ("new", (8, 8))):
        found = study.combinations(kind)
        assert (len(found["kept"]), len(found["turned"])) == sizes
        assert all(i != j for both in found.values() for i, j in both)


# The judge

def spell(rows, phenomenon, head):
    """Vectors of all sentences by a head over one-hot words."""
    table = study.sentences(rows, phenomenon)
    words = sorted({word for one in table.ravel() for word in one.split()})
    tokens = np.zeros((table.size, 16, len(words)), np.float32)
    for vectors, sentence in zip(tokens, table.ravel(), strict=True):
        for place, word in enumerate(sentence.split()):
            vectors[place, words.index(word)] = 1
    tokens = torch.tensor(tokens)
    found = head(tokens, (tokens.sum(2) > 0).long()).numpy()
    return found.reshape(*table.shape, -1)


@pytest.mark.parametrize("phenomenon", PHENOMENA)
def test_a_bag_of_words_has_exactly_half_of_the_points(rows, phenomenon):
    judged = study.judge(spell(rows, phenomenon, study.pooled))
    for kind in ("known", "new"):
        assert study.balanced(judged, kind) == 0.5
    assert set(judged["known kept"]) == {8} and set(judged["known turned"]) == {16}


def test_who_knows_the_meaning_has_all_points_and_who_inverts_it_none():
    meaning = np.zeros((3, 2, 6, 2))
    meaning[:, 0, :, 0] = meaning[:, 1, :, 1] = 1
    assert study.balanced(study.judge(meaning)) == 1
    # One vector for a meaning's even frames and the other meaning's odd ones: order alone.
    order = np.zeros((3, 2, 6, 2))
    for which in (0, 1):
        for frame in range(6):
            order[:, which, frame, (which + frame) % 2] = 1
    judged = study.judge(order)
    assert set(judged["known kept"]) == {16} and set(judged["known turned"]) == {0}
    assert study.balanced(judged) == 0.5


def test_all_ordered_pairs_of_words_go_by_the_order(rows):
    judged = study.judge(spell(rows, "sides", study.window(15)))
    assert judged["known kept"].mean() > 12 and judged["known turned"].mean() < 8


# Readers

def test_the_baskets_hold_only_what_was_dealt_out():
    torch.manual_seed(0)
    head, tokens = study.Baskets(5).eval(), torch.randn(2, 4, 5)
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    with torch.no_grad():
        found = head(tokens, mask)
        tokens[1, 2:] = 99.0                        # behind the end of the text
        assert torch.allclose(found, head(tokens, mask))
        assert torch.allclose(found[1], head(tokens[1:, :2], mask[1:, :2])[0], atol=1e-6)
        nothing = torch.full((3,), -1e4).scatter(0, torch.tensor(2), 1e4)
        head.share.weight.zero_(), head.share.bias.copy_(nothing)
        assert head(tokens[:1], mask[:1]).abs().max() < 1e-6
    assert torch.allclose(found.norm(dim=1), torch.ones(2))


def test_a_sum_of_neighbors_tells_one_order_from_the_other():
    tokens, mask = torch.randn(1, 6, 32), torch.ones(1, 6).long()
    forth, back = (study.window(1)(some, mask) for some in (tokens, tokens.flip(1)))
    assert (forth * back).sum() < 0.9
    assert torch.allclose(study.pooled(tokens, mask), study.pooled(tokens.flip(1), mask), atol=1e-6)


def test_packing_keeps_bytes_and_refuses_more():
    assert unpack(study.pack(np.array([0, 255]))).tolist() == [0, 255]
    with pytest.raises(ValueError, match="256"):
        study.pack(np.array([256]))


# MiniLM, and the record

def test_minilm_says_what_sentence_transformers_said(recorded):
    same = recorded["same"]
    assert np.allclose(study.encode(same["texts"]), same["vectors"], atol=2e-6)
    assert same["largest_difference"] < 1e-5


def test_minilm_of_a_batch_is_that_of_each_text():
    texts = ["red apple", "a dog chases a cat through the park"]
    assert np.allclose(study.encode(texts), [study.encode([one])[0] for one in texts], atol=1e-6)


def test_the_record_of_order_is_what_minilm_says_now(recorded):
    phenomenon, n = "sides", 4
    table = np.array(recorded["pairs"]["sentences"][phenomenon])[:n]
    judged = study.judge(study.encode(table.ravel()).reshape(*table.shape, -1))
    for kind, values in judged.items():
        there = unpack(recorded["order"]["MiniLM"]["mean"][0][phenomenon][kind])[:n]
        assert np.abs(there - values).max() <= 2, kind     # a near tie may fall the other way


def test_the_record_has_what_the_page_needs(recorded):
    assert len(recorded["salts"]) == 10
    for row in recorded["salts"]:
        for reader in ("word2vec", "unread", "MiniLM", "random"):
            for kind in recorded["asked"]:
                n = len(row["defined"]) if kind == "definition" else 200
                found = unpack(row[f"{reader} {kind}"]["ranks"])
                assert len(found) == n and 1 <= found.min() and found.max() <= 200
    for phenomenon in PHENOMENA:
        first = unpack(recorded["pairs"]["first"][phenomenon])
        assert len(first) >= 500
        for run in recorded["order"]["word2vec"]["mean"]:
            assert set(unpack(run[phenomenon]["known kept"])) == {8}     # the proof, counted


def test_no_answer_stands_in_a_definition(recorded):
    for name, asked in zip(recorded["asked"]["name"], recorded["asked"]["definition"],
                           strict=True):
        assert not set(name.lower().split()) & set(asked.lower().split()) or not asked
