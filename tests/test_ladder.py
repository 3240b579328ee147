"""The ladder's parts on planted truths: splits stay apart, settings come from validation."""

from functools import partial

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from mmfuse_utils import ladder
from mmfuse_utils.data import load_emoji
from mmfuse_utils.ladder import Task, Texts
from mmfuse_utils.metrics import hit_at_k, ranks
from mmfuse_utils.text import concept_tokens
from mmfuse_utils.vision import imagenet_labels


@pytest.fixture(scope="module")
def emoji():
    return load_emoji()


@pytest.fixture(scope="module")
def task(emoji):
    return Task(emoji, emoji.split(3), 3)


@pytest.fixture(scope="module")
def planted(emoji):
    """Texts of 70 numbers and pictures of 80 that share eight causes, and their noise."""
    rng = np.random.default_rng(0)
    causes = rng.normal(size=(len(emoji), 8))
    texts = causes @ rng.normal(size=(8, 70)) + 0.3 * rng.normal(size=(len(emoji), 70))
    images = np.tanh(causes[emoji.pictures.concept_row] @ rng.normal(size=(8, 80)) / 3)
    images += 0.2 * rng.normal(size=images.shape)
    return Texts(texts, rng.normal(size=(1000, 70))), images


def test_a_task_keeps_concepts_and_styles_apart(emoji):
    task = Task(emoji, emoji.split(3), 3, ("noto", "twemoji"))
    table = emoji.pictures
    assert set(table.style[task.train]) == {"noto", "twemoji"} == set(table.style[task.held[1]])
    assert not set(task.pairs) & {*task.split.validation, *task.split.test}
    for concepts, rows in (task.held, task.test):
        np.testing.assert_array_equal(table.concept_row[rows], concepts)
    everything = Task(emoji, emoji.split(3), 3)
    np.testing.assert_array_equal(everything.test[1], task.test[1])
    assert len(everything.train) == np.isin(table.concept_row, task.split.train).sum()


@pytest.mark.parametrize("fit", [
    partial(ladder.ridge, direction="text_to_image"),
    partial(ladder.ridge, direction="image_to_text"), ladder.cca, ladder.kernel])
def test_rungs_find_what_was_planted(task, planted, fit):
    found = ranks(fit(task, *planted)(*task.test), np.arange(200))
    assert hit_at_k(found, 10) > 0.9


def test_a_rung_never_sees_test_or_validation_pictures_in_training(task, planted):
    texts, images = planted
    fixed = ladder.kernel(task, texts, images, [1.0])(*task.test)
    spoiled = images.copy()
    others = np.setdiff1d(np.arange(len(images)), np.union1d(task.train, task.test[1]))
    spoiled[others] = 7
    np.testing.assert_array_equal(ladder.kernel(task, texts, spoiled, [1.0])(*task.test), fixed)


def test_settings_are_those_with_the_best_validation_score(task, planted):
    texts, images = planted
    noisy = images + np.random.default_rng(1).normal(size=images.shape)
    scores = {alpha: task.score(ladder.kernel(task, texts, noisy, [alpha]))
              for alpha in (1e-4, 1.0, 1e4)}
    chosen = ladder.kernel(task, texts, noisy, list(scores))
    assert task.score(chosen) == max(scores.values()) > min(scores.values())


def test_soft_conse_reads_class_names(emoji, task):
    rng = np.random.default_rng(1)
    labels = rng.normal(size=(1000, 40))
    classes = rng.integers(1000, size=len(emoji))               # what each concept really is
    texts = Texts(labels[classes] + 0.2 * rng.normal(size=(len(emoji), 40)), labels)
    probabilities = rng.dirichlet(np.full(1000, 0.1), size=len(emoji.pictures))
    rows = np.arange(len(probabilities))
    probabilities[rows, classes[emoji.pictures.concept_row]] += 0.5
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    for rung in (ladder.conse(texts, probabilities), ladder.soft_conse(task, texts, probabilities)):
        assert hit_at_k(ranks(rung(*task.test), np.arange(200)), 10) > 0.9


def test_added_scores_are_a_sum_with_a_weight_from_the_list(task, planted):
    texts, images = planted
    first = ladder.kernel(task, texts, images, [1.0])
    second = ladder.ridge(task, texts, images, "image_to_text")
    added = ladder.add_scores(task, first, second)(*task.test)
    sums = [first(*task.test) + weight * second(*task.test) for weight in ladder.WEIGHTS]
    assert any(np.allclose(added, total) for total in sums)


def test_late_fusion_does_not_lose_on_validation(task, planted):
    texts, images = planted
    rungs = [ladder.kernel(task, texts, images), ladder.cca(task, texts, images)]
    assert task.score(ladder.late_fusion(task, rungs)) >= max(map(task.score, rungs)) - 1e-12


def test_words_themselves_know_no_test_words_but_those_of_class_names(emoji, task):
    tokens, words = concept_tokens(emoji), ladder.words_themselves(task)
    corpus = [*(" ".join(tokens[row]) for row in task.split.train),
              *(" ".join(ladder.text.tokenize(label)) for label in imagenet_labels())]
    model = TfidfVectorizer(tokenizer=str.split, token_pattern=None, lowercase=False).fit(corpus)
    expected = model.transform([" ".join(text) for text in tokens]).toarray()
    np.testing.assert_allclose(words.concepts, expected, atol=1e-6)
    assert words.labels.shape == (1000, len(model.vocabulary_))


def test_joined_texts_weigh_the_parts():
    first, second = (Texts(np.eye(2)[[i]], np.eye(2)[[i]]) for i in (0, 1))
    joined = ladder.join(first, second, 2.0)
    np.testing.assert_allclose(joined.concepts, [np.array([1, 0, 0, 2]) / 5**0.5], rtol=1e-6)


def test_three_networks_keep_each_ones_view(emoji, monkeypatch):
    features = {name: np.full((2, 4), float(i)) for i, name in enumerate(ladder.NETWORKS)}
    opinions = {0.0: [[0.9, 0.1]] * 2, 1.0: [[0.5, 0.5]] * 2, 2.0: [[0.5, 0.5]] * 2}
    monkeypatch.setattr(ladder.vision, "load_backbone", lambda name: name)
    monkeypatch.setattr(ladder.vision, "picture_features", lambda _, name: features[name])
    monkeypatch.setattr(ladder.vision, "class_probabilities",
                        lambda rows, _: np.array(opinions[rows[0, 0]]))
    images, opinion = ladder.three_networks(emoji)
    np.testing.assert_allclose(images, np.sqrt([[0.0] * 4 + [1.0] * 4 + [2.0] * 4] * 2))
    np.testing.assert_allclose(opinion[0], np.cbrt([9, 1]) / np.cbrt([9, 1]).sum(), rtol=1e-6)
