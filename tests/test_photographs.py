"""What serves emoji serves photographs: every method of the book, run on a reader's collection."""

import dataclasses
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from gensim.models import KeyedVectors
from PIL import Image

from mmfuse_utils import ladder, search, text, vision
from mmfuse_utils.cache import cache_dir
from mmfuse_utils.data import Collection, PictureTable, Split, load_folder
from mmfuse_utils.fusion import ConSE, KernelMap, RegularizedCCA, RidgeMap
from mmfuse_utils.ladder import Task
from mmfuse_utils.metrics import (bootstrap_interval, chance_hit_at_k, hit_at_k,
                                  mean_average_precision, median_rank, ranks)
from mmfuse_utils.retrieval import csls, top_k
from mmfuse_utils.significance import paired_permutation_test
from mmfuse_utils.towers import TwoTower

THINGS, SCENES = ("dog", "boat", "tiger", "piano", "bicycle"), ("snow", "beach", "street", "grass")
DIM, N = 24, 300
NAMES = tuple(f"q{a}{b}x" for a in "abcdefghijklmnopqrst" for b in "abcdefghijklmno")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MMFUSE_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def vectors():
    """Made-up word vectors of the words in the captions and in the class names."""
    words = sorted({word for label in vision.imagenet_labels() for word in text.tokenize(label)}
                   | {*THINGS, *SCENES, *NAMES})
    table = KeyedVectors(DIM)
    table.add_vectors(words, np.random.default_rng(0).normal(size=(len(words), DIM)))
    return table


@pytest.fixture(scope="module")
def photos():
    """Photographs with one to five captions each; they are named, and no files lie there."""
    rng = np.random.default_rng(1)
    captions = [tuple(f"A {rng.choice(THINGS)}, in the {rng.choice(SCENES)}: {NAMES[i]}."
                      for _ in range(1 + i % 5)) for i in range(N)]
    ids = tuple(f"holiday/{i:03}.jpg" for i in range(N))
    return Collection(ids, captions={"en": tuple(captions)}, pictures=PictureTable(
        np.arange(N), ["photograph"] * N, tuple(f"/{name}" for name in ids)))


@pytest.fixture(scope="module")
def task(photos):
    return Task(photos, photos.split(5, strict=False, test=0.25, validation=0.2), 5)


@pytest.fixture(scope="module")
def images(photos, vectors):
    """Made-up features that tell what the captions tell, and noise."""
    rng = np.random.default_rng(2)
    told = text.sentence_vectors(text.concept_tokens(photos), vectors)
    return told @ rng.normal(size=(DIM, 40)) + 0.05 * rng.normal(size=(len(told), 40))


@pytest.fixture(scope="module")
def classes():
    return np.random.default_rng(3).dirichlet(np.full(1000, 0.05), size=N)


RUNGS = {"ridge": lambda *a: ladder.ridge(*a[:3], "image_to_text"),
         "back": lambda *a: ladder.ridge(*a[:3], "text_to_image"),
         "cca": lambda *a: ladder.cca(*a[:3], dim=16), "kernel": lambda *a: ladder.kernel(*a[:3]),
         "both": ladder.kernel_and_labels, "words": ladder.with_words}


@pytest.mark.parametrize("name", RUNGS)
def test_rungs_of_the_ladder_learn_from_photographs(task, vectors, images, classes, name):
    texts = ladder.mean_texts(task.emoji, vectors)
    similarity = RUNGS[name](task, texts, images, classes)(*task.test)
    found = ranks(similarity, np.arange(len(task.split.test)))
    chance = chance_hit_at_k(len(found), 10)
    low, high = bootstrap_interval(found <= 10, task.emoji.clusters[task.split.test])
    assert chance < 0.15 < 0.5 < low <= high


def test_rungs_without_pairs_run_on_photographs(task, vectors, classes):
    texts = ladder.mean_texts(task.emoji, vectors)
    for rung in (ladder.conse(texts, classes), ladder.soft_conse(task, texts, classes)):
        assert rung(*task.test).shape == (75, 75)


@pytest.mark.parametrize("method", [
    RidgeMap(0.1), RidgeMap(0.1, "text_to_image"), RegularizedCCA(16, 0.1), KernelMap(0.1),
    TwoTower(dim=16, hidden=0, dropout=0.0, epochs=40)], ids=lambda method: str(method)[:24])
def test_each_caption_asks_and_each_picture_has_several_right_answers(
        task, photos, vectors, images, method):
    lists, concept = text.caption_tokens(photos)
    rows = text.sentence_vectors(lists, vectors)
    train = np.isin(concept, task.split.train)
    arguments = (concept[train],) if isinstance(method, TwoTower) else ()
    method.fit(rows[train], images[concept[train]], *arguments)
    gallery = photos.gallery(task.split.test)
    table = photos.caption_table(task.split.test)
    asked = np.concatenate([np.flatnonzero(concept == row) for row in task.split.test])
    assert table.text == tuple(photos.caption_table().text[row] for row in asked)
    similarity = method.similarity(rows[asked], images[gallery])
    right = photos.right_answers(table, gallery)
    assert right.shape == similarity.shape == (len(table), 75)
    by_text, by_image = ranks(similarity, right), ranks(similarity.T, right.T)
    values = by_text <= 10
    low, _ = bootstrap_interval(values, photos.clusters[table.concept_row])
    assert low > chance_hit_at_k(75, 10) + 0.1 and hit_at_k(by_image, 10) > 0.4
    assert median_rank(by_text) < 20 and 0 < mean_average_precision(similarity.T, right.T) < 1
    assert ranks(csls(similarity), right).shape == by_text.shape
    assert paired_permutation_test(values - 0.0, photos.clusters[table.concept_row]) < 0.05


def test_a_folder_is_searched_by_a_phrase(photos, vectors, images):
    told = text.sentence_vectors(text.concept_tokens(photos), vectors)
    model = RegularizedCCA(16, 0.1).fit(told, images)
    query = text.sentence_vectors([text.tokenize("a tiger in the snow")], vectors)
    scores = model.similarity(query, images)
    found, _ = search.search(model.embed_text(query), model.embed_image(images), 5)
    assert set(found[0]) == set(top_k(scores, 5)[0])
    assert "tiger" in " ".join(photos.captions["en"][found[0, 0]])


def test_class_names_serve_a_folder_without_captions(vectors, classes):
    labels = text.sentence_vectors([text.tokenize(x) for x in vision.imagenet_labels()], vectors)
    query = text.sentence_vectors([["tiger"]], vectors)
    model = ConSE(1000, 4.0, center=True).fit(labels, query, classes)
    assert model.similarity(query, classes).shape == (1, N)


# What cannot be done is said

def test_a_part_that_is_needed_and_empty_is_said(photos, vectors, images):
    texts, none, some = ladder.mean_texts(photos, vectors), np.array([], int), np.arange(200)
    rest = np.arange(200, 300)
    without_test = Task(photos, Split(some, rest, none), 0)
    rung = ladder.cca(without_test, texts, images, 16)
    assert rung(*without_test.held).shape == (100, 100)
    with pytest.raises(ValueError, match="no concepts to test on; draw one that has"):
        rung(*without_test.test)
    with pytest.raises(ValueError, match="no concepts to train on"):
        ladder.kernel(Task(photos, Split(none, some, rest), 0), texts, images)
    with pytest.raises(ValueError, match="no concepts to choose settings on"):
        ladder.kernel(Task(photos, Split(some, none, rest), 0), texts, images)


def test_texts_in_another_language_are_not_taken_for_none(photos, task, vectors):
    german = dataclasses.replace(photos, captions={"de": photos.captions["en"]})
    with pytest.raises(ValueError, match="no texts in 'en'; there are some in: de"):
        ladder.mean_texts(german, vectors)
    english = tuple(() if row < 7 else entry for row, entry in enumerate(photos.captions["en"]))
    mixed = dataclasses.replace(photos, captions={"en": english, "de": photos.captions["en"]})
    for make in (lambda: ladder.mean_texts(mixed, vectors),
                 lambda: ladder.words_themselves(dataclasses.replace(task, emoji=mixed))):
        with pytest.raises(ValueError, match="7 of 300 concepts have no words in English, such "
                                             "as holiday/000.jpg, holiday/001.jpg"):
            make()


# Files

def test_rotation_marks_of_a_folder_are_obeyed(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    upright = np.zeros((60, 40, 3), np.uint8)
    upright[:30] = 255, 0, 0
    Image.fromarray(upright).save(folder / "a.png")
    lying = Image.fromarray(np.rot90(upright))
    exif = lying.getexif()
    exif[274] = 6       # to be turned clockwise
    lying.save(folder / "b.png", exif=exif)
    pixels = load_folder(folder).load_pictures([0, 1], 32)
    np.testing.assert_array_equal(*pixels)
    assert pixels[1, 2, 16].tolist() == [255, 0, 0] and pixels[1, 29, 16].tolist() == [0, 0, 0]


SLOW = """
import sys, time
from mmfuse_utils import vision
from mmfuse_utils.data import load_folder
vision.BATCH_SIZE, vision.BATCHES_A_FILE = 2, 1
extract = vision.extract_features
def slow(images, backbone=None):
    time.sleep(float(sys.argv[2]))
    print("batch", flush=True)
    return extract(images, backbone)
vision.extract_features = slow
vision.picture_features(load_folder(sys.argv[1]))
"""


def test_a_run_that_was_killed_goes_on_where_it_stopped(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(12):
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), np.uint8)).save(folder / f"{i}.png")
    command = [sys.executable, "-c", SLOW, str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    first = subprocess.Popen([*command, "0.3"], env=environment, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 120
        while not list(cache_dir().rglob("*.npz.seal")) and time.monotonic() < end:
            assert first.poll() is None
            time.sleep(0.02)
    finally:
        first.kill()
        first.wait()
    done = len(list(cache_dir().rglob("*.npz.seal")))
    second = subprocess.run([*command, "0"], env=environment, capture_output=True, text=True,
                            check=True)
    assert 1 <= done < 6 and second.stdout.count("batch") == 6 - done
    assert f"/{12 - 2 * done} " in second.stderr       # the bar counts what is left to do
    features = vision.picture_features(load_folder(folder))
    fresh = vision.extract_features(load_folder(folder).load_pictures(range(12)))
    np.testing.assert_allclose(features, fresh, rtol=1e-3, atol=1e-4)
