"""Recommending and captioning: readers keep to their taste, and no decoder says what it cannot."""

import json

import numpy as np
import pytest
import say_and_suggest as study
import torch

from mmfuse_utils.metrics import chance_hit_at_k

RECORDED = json.loads(study.OUTPUT.read_text("utf8"))


# Recommending

@pytest.mark.parametrize("color, name", [((200, 20, 20), "red"), ((30, 160, 40), "green"),
                                         ((20, 60, 220), "blue"), ((120, 120, 122), "gray")])
def test_the_color_of_a_drawing_is_that_of_most_of_it_and_not_of_the_paper(color, name):
    picture = np.full((20, 20, 3), 255, np.uint8)
    picture[5:12, 5:12] = color
    picture[14:16, 14:16] = (250, 220, 40)
    assert study.COLORS[study.main_color(picture)] == name


def test_readers_like_and_want_things_of_their_taste_alone():
    past, new = np.repeat(np.arange(6), 4), np.repeat(np.arange(2, 8), 3)
    popular = study.popularity(8, np.random.default_rng(0))
    assert popular.sum() == pytest.approx(1) and popular.max() < 0.5
    readers = study.draw_readers([past], [new], [popular], 50, np.random.default_rng(1))
    for liked, target, wanted in zip(readers.liked, readers.target, readers.wanted, strict=True):
        taste = set(new[wanted > 0])
        assert 1 <= len(taste) <= 3 and taste <= {2, 3, 4, 5} and new[target] in taste
        liked = liked[liked >= 0]
        assert len(set(liked)) == len(liked) and set(past[liked]) <= taste
        assert wanted.sum() == pytest.approx(1)


def test_a_taste_of_two_ways_gives_half_to_each():
    kinds = [np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])]
    rng = np.random.default_rng(0)
    readers = study.draw_readers(kinds, kinds, [np.full(2, 0.5)] * 2, 20, rng)
    np.testing.assert_allclose(readers.wanted.sum(axis=1), 1)
    assert (readers.wanted > 0).sum(axis=1).min() >= 3      # a subgroup and a color meet in one


def test_a_profile_is_the_mean_of_what_was_liked():
    things = np.array([[1.0, 0.0], [0.0, 1.0], [5.0, 5.0]])
    found = study.profile(np.array([[0, 1, -1], [2, -1, -1]]), things)
    np.testing.assert_allclose(found, [[0.5, 0.5], [5, 5]])


def test_the_weight_goes_to_the_sense_that_knows_something():
    rng = np.random.default_rng(0)
    target = rng.integers(0, 50, 200)
    good = study.standard(np.eye(50)[target] + 0.3 * rng.normal(size=(200, 50)))
    noise = study.standard(rng.normal(size=(200, 50)))
    assert study.best_weight([good], [noise], target) <= 0.3
    assert study.best_weight([noise], [good], target) >= 0.7
    assert study.found(good, target).mean() > study.found(noise, target).mean() + 0.5


# Saying

@pytest.fixture
def small():
    """Pictures of four things; a fifth, new one lies between two of them, as does its word."""
    points = np.array([[3, 0], [0, 3], [-3, 0], [0, -3], [2, 2]], np.float32)
    names = [["cat"], ["dog"], ["car"], ["bus"], ["fox"]]
    concept = np.repeat(np.arange(5), 8)
    noise = np.random.default_rng(0).normal(size=(40, 2)) * 0.1
    image = np.hstack([points[concept] + noise, np.zeros((40, 2))]).astype(np.float32)
    rows = {"train": np.flatnonzero(concept < 4), "validation": np.flatnonzero(concept == 4)[:2],
            "test": np.flatnonzero(concept == 4)}
    texts = [["a", *names[i], "jumps"] for i in concept]
    task = study.Task(image, texts, [[words] for words in texts], ["jump"] * 40, concept, rows,
                      names)
    words = ("<start>", "<end>", "a", "bus", "car", "cat", "dog", "jumps", "fox", "hut")
    meaning = np.zeros((10, 100), np.float32)
    for row, place in zip((5, 6, 4, 3, 8), points, strict=True):
        meaning[row, :2] = place
    meaning[[0, 1, 2, 7, 9], [2, 3, 4, 5, 6]] = 1
    rng = np.random.default_rng(1).normal(size=(10, 100)).astype(np.float32)
    lexicon = study.Lexicon(words, {"word2vec": study.unit_rows(meaning),
                                    "random": study.unit_rows(rng)}, 8,
                            np.array([w in ("<end>", "a", "jumps") for w in words[:8]]))
    return task, lexicon


@pytest.fixture
def trained(small, monkeypatch):
    """A tied decoder that has learned the four things."""
    monkeypatch.setattr(study, "BATCH", 8)
    return study.train_decoder(*small, "word2vec", True, seed=0, epochs=40)


def test_a_decoder_learns_its_captions(small, trained):
    task, lexicon = small
    said = study.say(trained, task.image[task.rows["train"]], lexicon)
    assert np.mean([words == task.texts[row] for words, row in
                    zip(said, task.rows["train"], strict=True)]) > 0.9


def test_a_tied_decoder_says_a_word_that_no_training_caption_has(small, trained):
    task, lexicon = small
    test = task.rows["test"]
    assert study.new_word(trained, task, lexicon, test).mean() == 1
    said = study.say(trained, task.image[test], lexicon, told_new=True)
    assert np.mean([words == ["a", "fox", "jumps"] for words in said]) > 0.7


def test_the_new_word_comes_from_the_picture(small, trained, monkeypatch):
    monkeypatch.setattr(study, "SHORTLIST", 1)              # of two new words
    task, lexicon = small
    test, cars = task.rows["test"], task.rows["train"][16:24]
    assert study.new_word(trained, task, lexicon, test).mean() == 1
    assert study.new_word(trained, task, lexicon, test, shown=cars).mean() < 0.5


def test_whole_subgroups_change_sides():
    right, wrong = np.ones(12), np.zeros(12)
    kinds = np.repeat(np.arange(3), 4)
    assert study.chance_of(right, wrong, kinds) == 0.25
    assert study.chance_of(np.append(right, np.nan), np.append(wrong, 1), np.append(kinds, 9)
                           ) == 0.25


def test_a_decoder_with_a_layer_of_its_own_cannot(small):
    task, lexicon = small
    model = study.train_decoder(task, lexicon, "word2vec", False, seed=0, epochs=2)
    assert model.query.out_features == lexicon.n_seen
    assert study.new_word(model, task, lexicon, task.rows["test"]).max() == 0
    said = {word for words in study.say(model, task.image, lexicon) for word in words}
    assert said <= set(lexicon.words[:lexicon.n_seen])


def test_frozen_vectors_stay_and_tuned_ones_move_where_they_were_read(small):
    before = small[1].vectors["word2vec"]
    for kind, moves in (("word2vec", False), ("tuned", True)):
        model = study.train_decoder(*small, kind, True, seed=0, epochs=2)
        after = torch.nn.functional.normalize(model.words.weight, dim=1).detach().numpy()
        assert (np.abs(after - before)[2:8].max() > 1e-3) == moves
        np.testing.assert_allclose(after[8], before[8], atol=1e-5)      # "fox" is never read


def test_captions_are_judged_by_their_parts(small):
    task, _ = small
    rows, kinds = np.array([0, 8]), np.array(["pet", "pet", "wheels", "wheels", "wild"])
    found = study.judge([["a", "dog", "hops", "up", "and", "down"], ["a", "dog", "fades"]], task,
                        rows, kinds)
    assert found["subject"].tolist() == [0, 1] and found["kin"].tolist() == [1, 1]
    assert found["motion"].tolist() == [1, 0]
    assert study.parts_of(["an", "owl"]) == (["owl"], "")


def test_a_template_that_knows_of_the_new_names_new_things(small):
    task, _ = small
    scores = np.tile([0.9, 0.1, 0.1, 0.1, 0.5], (8, 1))
    free, new = (study.fill(scores, ["left"] * 8, task, told) for told in (False, True))
    assert free[0] == ["a", "cat", "moves", "to", "the", "left"] and new[0][1] == "fox"


# The record

def test_gains_are_differences_and_nothing_beats_who_knows_the_taste():
    for world in RECORDED["suggest"].values():
        scores = {name: entry["all"][0] for name, entry in world["methods"].items()}
        assert scores["random"] == pytest.approx(chance_hit_at_k(200, 10), abs=0.01)
        assert max(scores, key=scores.get) == "taste"
        for pair, entry in world["gains"].items():
            first, second = pair.split(" - ")
            assert entry["all"][0] == pytest.approx(scores[first] - scores[second], abs=2e-5)


@pytest.mark.parametrize("what", ["clips", "pictures"])
def test_the_record_of_captions_is_whole(what):
    found = RECORDED[what]
    for pair, entry in found["gains"].items():
        first, second = (found["scores"][name] for name in pair.split(" - "))
        assert entry["kin"][0] == pytest.approx(first["kin"][0] - second["kin"][0], abs=2e-5)
    tied = [name for name in found["scores"] if name.startswith("tied")]
    for name in tied:
        shown, things = found["scores"][name], found["scores"][name]["things"]
        assert shown["new word, wrong picture"][0] < 3 * 10 / found["n_new_words"]
        assert (things > 0) == (shown["subject"][0] > 0) and things <= found["n_things"]
    assert found["p"]["tied word2vec - tied scratch"]["new word"] < 0.01
    assert len(tied) == 8
    assert all(len(found["scores"][name]["seeds"]["kin"]) == 3 for name in tied)
    assert found["scores"]["nearest"]["subject"][0] == 0
    assert found["scores"]["tied random"]["new word"][0] < 0.1
