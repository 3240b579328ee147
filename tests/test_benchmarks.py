"""The benchmark scripts: what they compute, and the functions of the notebook on NumPy."""

import base64
import json
from pathlib import Path

import fusion as climb
import gensim_study
import numpy as np
import pytest
import ratings
import torch
import word2vec as race
import word2vec_settings as study
from gensim.models import KeyedVectors
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import logsigmoid


@pytest.fixture(scope="module")
def chapter():
    """The functions that the reader of that notebook sees."""
    return race.chapter_names(part=50)


def test_ratios_are_taken_within_a_round():
    speeds = {("numpy", 1): 6, ("gensim", 1): 2, ("numpy", 2): 2, ("gensim", 2): 1}
    rows = [{"program": program, "seed": seed, "threads": 1, "learning_rate": 0.05, "speed": speed}
            for (program, seed), speed in speeds.items()]
    rows.append({**rows[0], "learning_rate": 0.1, "speed": 99})
    found = race.ratio(rows, "speed", 1)
    assert (found["low"], found["high"]) == pytest.approx((2, 3))
    assert found["mean"] == pytest.approx(6**0.5)       # the geometric mean of 3 and 2
    assert found["interval"][0] < 2 and found["interval"][1] > 3    # t, with two rounds


def test_scores_see_the_order_of_the_ratings(monkeypatch):
    rated = [(f"a{i}", f"b{i}", float(i)) for i in range(10)] + [("a0", "unknown", 5.0)]
    monkeypatch.setattr(ratings, "human_ratings", lambda name: rated)
    words = [word for i in range(10) for word in (f"a{i}", f"b{i}")]
    turned = [[np.cos(i), np.sin(i)] for i in np.linspace(3, 0, 10)]    # nearer as they rate higher
    pairs = np.stack([np.tile([2, 0], (10, 1)), turned], axis=1).reshape(20, 2)
    vectors, turned_round = KeyedVectors(2), KeyedVectors(2)
    vectors.add_vectors(words, pairs)
    turned_round.add_vectors(words[::-1], pairs)
    found = race.scores(vectors)
    assert found["wordsim353"] == found["simlex999.odd"] == pytest.approx(1)
    assert race.scores(turned_round)["wordsim353.even"] == pytest.approx(-1)
    halves = ratings.halves(vectors, "wordsim353", vectors.key_to_index.__contains__)
    assert {part: len(rows) for part, rows in halves.items()} == {"all": 10, "even": 5, "odd": 5}


def test_a_quick_training_of_each_program():
    sentences = [["sea", "wave"], ["sky", "cloud"], ["sea", "ship"]] * 20
    changed = {**race.SETTINGS, "dim": 8, "subsample": 0}
    for train in race.PROGRAMS.values():
        vectors = train(sentences, 1, 1, changed)
        assert sorted(vectors.index_to_key) == ["cloud", "sea", "ship", "sky", "wave"]
        assert vectors.vectors.shape == (5, 8)


def test_the_study_chooses_a_setting_by_its_even_rows_and_not_by_a_lucky_seed():
    def run(name, even, odd):
        return {"name": name, "scores": {f"{test}.{half}": {"score": x} for test in ratings.LISTS
                                         for half, x in (("even", even), ("odd", odd))}}
    rows = [run("reference", 0.5, 0.9), run("reference", 0.7, 0.9), run("CBOW", 0.65, 0.1)]
    assert gensim_study.choose(rows) == "CBOW"
    assert gensim_study.VARIANTS["reference"] == {}


def test_a_lead_is_the_difference_of_mean_scores_pair_by_pair(monkeypatch):
    rng = np.random.default_rng(0)
    rated = [(f"a{i}", f"b{i}", float(i)) for i in range(40)]
    monkeypatch.setattr(ratings, "human_ratings", lambda name: rated)
    words = [word for a, b, _ in rated for word in (a, b)]

    def model(noise):
        """Cosines that follow the ratings, but for the noise."""
        angles = np.linspace(1.5, 0.5, 40) + noise * rng.uniform(-1, 1, 40)
        vectors = KeyedVectors(2)
        ends = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        vectors.add_vectors(words, np.stack([np.tile([1.0, 0.0], (40, 1)), ends],
                                            axis=1).reshape(80, 2))
        return vectors

    good, bad = [model(0), model(0)], [model(0.4), model(0.5)]
    found = gensim_study.paired_lead(good, bad)["wordsim353.odd"]
    separate = [ratings.halves(each, "wordsim353", each.key_to_index.__contains__)["odd"]
                for each in bad]
    assert found["lead"] == pytest.approx(1 - np.mean([gensim_study.spearman(rows)
                                                       for rows in separate]))
    assert 0 < found["low"] < found["lead"] < found["high"] and found["pairs"] == 20
    same = gensim_study.paired_lead(bad, bad)["simlex999.all"]
    assert (same["lead"], same["low"], same["high"]) == (0, 0, 0)


def test_the_chapters_loop_and_minibatch_make_the_same_move(chapter):
    loop, batch = (chapter["run"](chapter[name], 300, batch_size=1, dim=8, dtype=np.float64)
                   for name in ("loop_step", "minibatch_step"))
    np.testing.assert_allclose(loop[0], batch[0], atol=1e-12)
    np.testing.assert_allclose(loop[1], batch[1], atol=1e-12)
    assert np.abs(loop[1]).max() > 0


SHAPES = dict(seed=st.integers(0, 10**6), n_words=st.integers(1, 30), dim=st.integers(1, 9),
              n_pairs=st.integers(1, 40), k=st.integers(1, 6), scale=st.sampled_from([0.01, 1, 5]),
              rate=st.sampled_from([0.001, 0.1, 1.0]))


def torch_step(v, u, centers, contexts, negatives, rate):
    """The minibatch's step by automatic differentiation, its cap by a plain loop."""
    tv, tu = (torch.tensor(table, requires_grad=True) for table in (v, u))
    counted = torch.tensor(negatives != contexts[:, None])
    noise = torch.einsum("pd,pkd->pk", tv[centers], tu[negatives])
    loss = -logsigmoid((tv[centers] * tu[contexts]).sum(1)) - (logsigmoid(-noise) * counted).sum(1)
    loss.sum().backward()
    bound_v, bound_u = np.zeros(len(v)), np.zeros(len(u))
    for c, o, drawn in zip(centers, contexts, negatives):
        for target in [o, *drawn[drawn != o]]:
            bound_v[c] += (u[target] ** 2).sum() / 4
            bound_u[target] += (v[c] ** 2).sum() / 4
    sizes = [np.minimum(rate, 1 / np.maximum(bound, 1e-300)) for bound in (bound_v, bound_u)]
    moved = [old - size[:, None] * t.grad.numpy() for old, size, t in zip((v, u), sizes, (tv, tu))]
    return *moved, loss.mean().item()


@settings(deadline=None, max_examples=60)
@given(**SHAPES)
def test_the_capped_minibatch_equals_autograd_and_keeps_to_its_bound(
        chapter, seed, n_words, dim, n_pairs, k, scale, rate):
    rng = np.random.default_rng(seed)
    v, u = rng.normal(scale=scale, size=(2, n_words, dim))
    centers, contexts = rng.integers(n_words, size=(2, n_pairs))
    batch = centers, contexts, rng.integers(n_words, size=(n_pairs, k)), rate
    new_v, new_u = v.copy(), u.copy()
    loss = chapter["minibatch_step"](new_v, new_u, *batch, step_size=chapter["capped"])
    torch_v, torch_u, torch_loss = torch_step(v, u, *batch)
    assert loss == pytest.approx(torch_loss)
    np.testing.assert_allclose(new_v, torch_v, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(new_u, torch_u, rtol=1e-9, atol=1e-12)
    met_v = np.bincount(centers, minlength=n_words) * (1 + k)
    met_u = np.bincount(np.append(contexts, batch[2]), minlength=n_words)
    for new, old, n in ((new_v, v, met_v), (new_u, u, met_u)):
        assert (np.linalg.norm(new - old, axis=1) <= np.sqrt(4 * n * rate) + 1e-9).all()


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3), st.integers(1, 5)), min_size=2,
                max_size=25))
def test_the_chapters_pairs_and_windows_equal_a_plain_loop(chapter, tokens):
    words, sentences, reach = np.array(tokens).T
    sentences = np.sort(sentences)
    expected = [(words[i], words[j]) for i in range(len(words)) for j in range(len(words))
                if i != j and sentences[i] == sentences[j] and abs(i - j) <= reach[i]]
    pairs = chapter["window_pairs"](words, sentences, reach)
    assert sorted(map(tuple, pairs.tolist())) == sorted(expected)
    around, mask = chapter["windows_of"](words, sentences, reach)
    listed = [(words[i], around[i, j]) for i, j in np.argwhere(mask)]
    assert sorted(listed) == sorted(expected)


# The ladder

def test_ranks_survive_their_way_through_the_json():
    rng = np.random.default_rng(0)
    similarity = rng.normal(size=(200, 200)) + 2 * np.eye(200)
    line = climb.both_ranks(similarity)
    for way, table in (("t2i", similarity), ("i2t", similarity.T)):
        decoded = np.frombuffer(base64.b64decode(line[way]), np.uint8)
        own = table.diagonal()[:, None]
        np.testing.assert_array_equal(decoded, 1 + (table > own).sum(axis=1))
        assert climb.hits(line[way]) == np.mean((table > own).sum(axis=1) < 10)


def test_the_matched_split_differs_from_the_plain_one_in_size_alone():
    emoji = climb.load_emoji()
    plain, strict, matched = emoji.split(4, False), emoji.split(4), climb.matched(4)
    assert len(matched.train) == len(strict.train) < len(plain.train)
    assert set(matched.train) <= set(plain.train)
    np.testing.assert_array_equal(matched.test, plain.test)


@pytest.mark.parametrize("remedy", ["inverted softmax", "CSLS"])
def test_a_bank_of_training_texts_judges_each_query_by_itself(remedy):
    emoji = climb.load_emoji()
    task = climb.Task(emoji, emoji.split(4), 4)
    table = np.random.default_rng(0).normal(size=(len(emoji), len(emoji.pictures)))
    rung = climb.with_bank(task, lambda concepts, pictures: table[np.ix_(concepts, pictures)])[
        remedy]
    concepts, pictures = task.test
    together = rung(concepts, pictures)
    for i in (0, 7):
        np.testing.assert_allclose(rung(concepts[[i]], pictures)[0], together[i])


def test_sentences_for_the_encoder_hold_name_and_keywords():
    emoji = climb.load_emoji()
    first = climb.sentences(emoji)[0]
    name, words = emoji.names["en"][0][0], emoji.keywords["en"][0]
    assert first.startswith(f"{name}: ") and all(word in first for word in words)


def test_the_recorded_ladder_holds_every_split_and_query():
    salts = json.loads((Path(climb.__file__).parent / "fusion.json").read_text("utf8"))["salts"]
    assert len(salts) == len(climb.SALTS)
    for row in salts:
        assert row["strict"].keys() >= row["plain"].keys() == row["matched"].keys()
        for kind in ("strict", "plain", "matched"):
            for entry in row[kind].values():
                for way in ("t2i", "i2t"):
                    assert len(base64.b64decode(entry[way])) == 200
                assert 0 < entry["validation"] <= 1
        assert row["styles"].keys() == set(climb.STYLES)


def test_a_held_out_maker_leaves_no_style_of_its_own_in_training():
    assert set(climb.MAKERS) == set(climb.STYLES) and len(set(climb.MAKERS.values())) == 5
    assert climb.MAKERS["noto"] == climb.MAKERS["noto-v1"] != climb.MAKERS["twemoji"]


def test_the_settings_study_changes_one_thing_at_a_time():
    variants = study.variants()
    assert variants[0] == {} and len(variants) > 15
    for changed in variants[1:]:
        (name, value), = changed.items()
        assert study.SETTINGS[name] != value


def test_the_recorded_settings_study_holds_every_variant_split_and_query():
    runs = json.loads((Path(study.__file__).parent / "word2vec_settings.json").read_text("utf8"))["runs"]
    assert [run["changed"] for run in runs] == study.variants()
    for run in runs:
        assert len(run["splits"]) == len(study.SALTS)
        assert {len(base64.b64decode(split["t2i"])) for split in run["splits"]} == {200}
