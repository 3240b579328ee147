"""Two senses and the glosses: no answer leaks, damage does what it says, the records are whole."""

import base64
import json

import glosses
import numpy as np
import pytest
import torch
import two_senses as senses
from sklearn.feature_extraction.text import TfidfVectorizer

GLOSSES = json.loads(glosses.OUTPUT.read_text("utf8"))
SENSES = json.loads(senses.OUTPUT.read_text("utf8"))
KINDS = ["noun.animal", "noun.act"]


def unpack(packed, n):
    return np.unpackbits(np.frombuffer(base64.b64decode(packed), np.uint8), count=n)


def gloss(lemmas, definition, file=KINDS[0]):
    words = tuple(definition.split())
    return glosses.Gloss(tuple(lemmas.split()), words, words, file)


@pytest.fixture
def bags():
    """Forty definitions whose first word tells the class, and the rows of their words."""
    texts = [gloss(f"l{i}", f"k{i % 2} the w{i} the", KINDS[i % 2]) for i in range(40)]
    row = {word: i for i, word in enumerate(
        dict.fromkeys(word for text in texts for word in text.definition))}
    return glosses.make_bags(texts, KINDS, row), row, texts


def test_no_lemma_and_no_definition_lies_on_two_sides():
    rng = np.random.default_rng(0)
    made = [gloss(" ".join(f"l{i}" for i in rng.integers(0, 300, 2)), f"d{rng.integers(400)}")
            for _ in range(500)]
    sides = glosses.draw_sides(made)
    assert all(sides.values()) and sum(map(len, sides.values())) < 500
    parts = [{part for each in side for part in (*each.lemmas, each.definition)}
             for side in sides.values()]
    assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])


def test_word_vectors_read_the_training_side_alone(monkeypatch):
    read = []
    sides = {"train": [gloss(f"l{i}", "a thing of a kind", KINDS[i % 2]) for i in range(40)],
             "validation": [gloss("v", "secret words")], "test": [gloss("t", "hidden words")]}
    vectors = glosses.KeyedVectors(glosses.DIM)
    vectors.add_vectors(["a", "thing"], np.random.default_rng(0).normal(size=(2, glosses.DIM)))
    monkeypatch.setattr(glosses, "word_vectors",
                        lambda texts, key: read.extend(texts) or vectors)
    study = glosses.Study(sides, KINDS, quick=False)
    assert read == sides["train"]
    study.own_vectors(10, 0)
    assert len(read) == 50 and set(read) <= set(sides["train"])


def test_what_training_does_not_show_stays_unknown(bags):
    whole, row, _ = bags
    parts = [whole.part(torch.arange(10)), whole, whole]
    train, test = (glosses.known_to_training(parts, "learned")[i] for i in (0, 2))
    assert train.n_words == 3 + 10 == len(np.unique(train.words)) - 1
    assert (test.words[20] < test.n_words).sum() == 3       # k, the, the; not the word of its own
    np.testing.assert_allclose(test.weights.sum(1), 1, rtol=1e-6)


def test_tfidf_rows_are_those_of_scikit_learn(bags):
    whole, row, texts = bags
    made = glosses.known_to_training([whole] * 3, "TF-IDF")[0]
    oracle = TfidfVectorizer(analyzer=list).fit_transform([list(t.definition) for t in texts])
    rows = np.zeros((40, made.n_words + 1))
    for line, words, weights in zip(rows, made.words, made.weights, strict=True):
        np.add.at(line, words, weights)
    np.testing.assert_allclose(np.sort(rows[:, :-1]), np.sort(oracle.toarray()), atol=1e-6)


@pytest.mark.parametrize("name", glosses.INPUTS)
def test_every_input_learns_and_frozen_vectors_stay(name, bags):
    whole, row, _ = bags
    source, tuned = glosses.INPUTS[name]
    table = np.random.default_rng(0).normal(size=(len(row), glosses.DIM)).astype(np.float32)
    parts = [whole] * 3
    if source is None:
        parts, table = glosses.known_to_training(parts, name), None
    before = None if table is None else table.copy()
    setting = (100,) if name == "TF-IDF" else (0.05, 0.0)
    loss, right = glosses.fit(name, parts, table, 2, setting, 0)
    assert loss < 0.2 and right.mean() > 0.95
    if table is not None:
        np.testing.assert_array_equal(table, before)


def test_each_input_tries_as_many_settings():
    for size in glosses.SIZES[:5]:
        assert {len(glosses.settings(name, size, {})) for name in glosses.INPUTS} == {8}
    for name, points in GLOSSES["runs"].items():
        last = {"30000": 3, "all": 3} if name == "TF-IDF" else {"30000": 2, "all": 1}
        assert {size: len(point["tried"]) for size, point in points.items()} == {
            size: last.get(size, 8) for size in points}


def test_penalties_lie_around_the_best_before():
    earlier = {"TF-IDF": {"10000": {"tried": [[4], [8]], "best": 1}}}
    assert glosses.settings("TF-IDF", 30_000, earlier) == [(4,), (8,), (16,)]
    points = GLOSSES["runs"]["TF-IDF"]
    for size, before in (("30000", "10000"), ("all", "30000")):
        best, = points[before]["tried"][points[before]["best"]]
        assert points[size]["tried"] == [[best / 2], [best], [best * 2]]


def test_tfidf_converges_to_the_same_whatever_the_order(bags):
    whole, _, _ = bags
    made = glosses.known_to_training([whole] * 3, "TF-IDF")
    turned = [made[0].part(torch.arange(39, -1, -1)), *made[1:]]
    losses = [glosses.linear(parts, 2, 16)[0] for parts in (made, turned)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
    accuracy = GLOSSES["runs"]["TF-IDF"]["all"]["accuracy"]
    assert max(accuracy) - min(accuracy) <= 0.001


def test_the_record_of_the_glosses_is_whole():
    n, sizes = GLOSSES["test"], [str(size) for size in glosses.SIZES] + ["all"]
    assert len(GLOSSES["labels"]) == len(GLOSSES["families"]) == n
    for name in glosses.INPUTS:
        assert list(map(str, GLOSSES["runs"][name])) == sizes
        for point in GLOSSES["runs"][name].values():
            assert len(point["right"]) == glosses.SEEDS
            np.testing.assert_allclose([unpack(run, n).mean() for run in point["right"]],
                                       point["accuracy"], atol=1e-4)
        means = [np.mean(GLOSSES["runs"][name][size]["accuracy"]) for size in sizes]
        assert means[0] < means[2] < means[4] < means[6]


def test_damage_is_as_large_as_it_says():
    picture = np.random.default_rng(0).integers(0, 120, (128, 128, 3), dtype=np.uint8)
    for share in (0.25, 0.75):
        covered = senses.damage_picture(picture, "cover", share, "x")
        assert (covered == 128).all(axis=2).mean() == pytest.approx(share, abs=0.01)
    blurred = [senses.damage_picture(picture, "blur", radius, "x").std() for radius in (2, 8)]
    assert picture.std() > blurred[0] > blurred[1]
    noise = senses.damage_picture(picture, "noise", 10, "x").astype(float) - picture
    assert noise.std() == pytest.approx(10, rel=0.2)
    words = [f"word{i}" for i in range(8)]
    assert len(senses.damage_words(words, "drop", 0.75, "x")) == 2
    wrong = senses.damage_words(words, "misspell", 0.5, "x")
    assert sum(a != b for a, b in zip(words, wrong, strict=True)) == 4


def test_more_damage_contains_less():
    words = [f"word{i}" for i in range(9)]
    kept = [set(senses.damage_words(words, "drop", share, "x")) for share in (0.25, 0.5, 0.75)]
    assert kept[0] > kept[1] > kept[2]


def test_a_wrong_partner_is_another_and_of_the_group_asked_for():
    labels = np.array(list("aaabbbc"))
    for salt in range(5):
        other, own = (senses.wrong_partner(labels, salt, others) for others in (True, False))
        assert (labels[other] != labels).all() and (own != np.arange(7)).all()
        assert (labels[own] == labels)[:6].all()


@pytest.fixture
def parts():
    """Three classes that text and picture tell apart, with noise."""
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(3, 5)), rng.normal(size=(3, 8))
    def draw(n):
        labels = rng.integers(0, 3, n)
        return (*((center[labels] + rng.normal(size=(n, center.shape[1])) / 2).astype(np.float32)
                  for center in centers), labels)
    return {"train": draw(300), "validation": draw(60), "test": draw(100)}


def test_a_sense_that_is_missing_is_left_out_of_late_fusion(parts):
    text_model, image_model = (senses.logistic(parts, [case]) for case in
                               (senses.TEXT, senses.IMAGE))
    joined = senses.late(parts, text_model, image_model)
    x, y, labels = parts["test"]
    np.testing.assert_allclose(joined(x, y, senses.TEXT), text_model(x, y, senses.TEXT), rtol=1e-6)
    np.testing.assert_allclose(joined(x, y, senses.IMAGE), image_model(x, y, senses.IMAGE),
                               rtol=1e-6)
    assert (joined(x, y, senses.BOTH).argmax(1) == labels).mean() > 0.8


@pytest.mark.parametrize("design", ["gate", "attention"])
def test_networks_learn_and_do_without_a_sense(design, parts):
    model = senses.network(parts, design, senses.TAUGHT, 0)
    x, y, labels = parts["test"]
    assert (model(x, y, senses.BOTH).argmax(1) == labels).mean() > 0.8
    np.testing.assert_allclose(model(x, y, senses.TEXT), model(x, y + 9, senses.TEXT), atol=1e-6)


def test_temperature_and_threshold():
    rng = np.random.default_rng(0)
    honest = rng.dirichlet(np.ones(3), 4000)
    labels = np.array([rng.choice(3, p=p) for p in honest])
    loud = senses.tempered(honest, 0.5)
    assert senses.fit_temperature(loud, labels) == pytest.approx(2, rel=0.1)
    assert (loud.argmax(1) == honest.argmax(1)).all()
    sure, right = loud.max(1), loud.argmax(1) == labels
    limit = senses.threshold(sure, right, 0.2)
    assert 1 - right[sure >= limit].mean() <= 0.2 < 1 - right.mean()


def test_the_record_of_the_senses_is_whole():
    assert [salt["salt"] for salt in SENSES["salts"]] == list(senses.SALTS)
    for salt in SENSES["salts"]:
        assert len(salt["about"]["concepts"]) == 200
        groups = salt["groups"]
        asked = [f"{kind} {amount}" for kind, amounts in senses.DAMAGES.items()
                 for amount in amounts]
        right = {case: unpack(groups[case]["concatenation"], 200).mean()
                 for case in ("clean", "no text", "wrong picture", *asked)}
        blind = unpack(groups["controls"]["concatenation, random"], 200).mean()
        assert right["clean"] > max(right["no text"], right["wrong picture"], blind)
        assert unpack(groups["majority"], 200).mean() < blind + 0.2
