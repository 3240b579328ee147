"""Towers that read captions word by word."""

import numpy as np
import pytest
import torch
from gensim.models import KeyedVectors
from sklearn.exceptions import NotFittedError

from mmfuse_utils.caption_towers import READERS, CaptionTowers

COLORS, THINGS = ["red", "green", "blue", "gray"], ["car", "dog", "hat", "cup", "sea"]
QUICK = {"dim": 16, "hidden": 32, "dropout": 0.0, "epochs": 60, "lr": 0.02}


@pytest.fixture(scope="module")
def vectors():
    rng = np.random.default_rng(0)
    found = KeyedVectors(12)
    words = [*COLORS, *THINGS, "a", "automobile"]
    rows = rng.normal(size=(len(words), 12))
    rows[-1] = rows[4] + 0.05       # automobile is nearly car
    found.add_vectors(words, rows)
    return found


@pytest.fixture(scope="module")
def pairs():
    """Pictures of colored things, two captions each."""
    kinds = [(c, t) for c in range(len(COLORS)) for t in range(len(THINGS))]
    images = np.array([np.r_[np.eye(4)[c], np.eye(5)[t]] for c, t in kinds])
    captions = [words for c, t in kinds
                for words in (["a", COLORS[c], THINGS[t]], [COLORS[c], THINGS[t]])]
    return captions, images, np.repeat(np.arange(len(kinds)), 2)


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_finds_what_it_was_shown(reader, pairs, vectors):
    captions, images, picture_of = pairs
    model = CaptionTowers(reader, **QUICK).fit(captions, images, picture_of, vectors)
    found = model.similarity(captions, images).argmax(axis=1)
    assert np.mean(found == picture_of) > 0.9
    assert model.losses_[-1] < model.losses_[0] and len(model.losses_) == 60
    assert np.allclose(np.linalg.norm(model.embed_image(images), axis=1), 1, atol=1e-5)


def test_words_of_no_caption_speak_by_their_vectors(pairs, vectors):
    captions, images, picture_of = pairs
    queries = [["red", "automobile"], ["unheard"], []]
    network = CaptionTowers("network", **QUICK).fit(captions, images, picture_of, vectors)
    assert network.similarity(queries, images)[0].argmax() == 0     # the red car
    assert not network.embed_text(queries)[1:].any()
    words = CaptionTowers("words", **QUICK).fit(captions, images, picture_of, vectors)
    assert np.allclose(words.embed_text(queries)[0], words.embed_text([["red"]])[0], atol=1e-6)


def test_only_the_recurrent_reader_sees_the_order(pairs, vectors):
    captions, images, picture_of = pairs
    turned = [words[::-1] for words in captions]
    for reader in READERS:
        model = CaptionTowers(reader, **{**QUICK, "epochs": 3})
        model.fit(captions, images, picture_of, vectors)
        same = np.allclose(model.embed_text(captions), model.embed_text(turned), atol=1e-5)
        assert same == (reader != "gru"), reader


def test_only_tuning_moves_the_vectors_and_only_those_of_training_words(pairs, vectors):
    captions, images, picture_of = pairs
    for tune in (False, True):
        model = CaptionTowers("network", tune, **{**QUICK, "epochs": 3})
        model.fit(captions, images, picture_of, vectors)
        lexicon = model.lexicon_
        for word in ("red", "automobile"):
            now = lexicon.numbers(torch.tensor([lexicon.index[word]])).detach().numpy()[0]
            unit = vectors[word] / np.linalg.norm(vectors[word])
            assert np.allclose(now, unit, atol=1e-6) == (not tune or word == "automobile")


def test_the_same_seed_gives_the_same_model_and_leaves_torch_alone(pairs, vectors):
    captions, images, picture_of = pairs
    quick = {**QUICK, "epochs": 3, "dropout": 0.5}
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    first, second, other = (
        CaptionTowers(seed=seed, **quick).fit(captions, images, picture_of, vectors)
        .similarity(captions, images) for seed in (0, 0, 1))
    assert np.array_equal(first, second) and not np.allclose(first, other)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("changed, message", [
    ({"reader": "transformer"}, "reader must be one of mean, network, gru, words"),
    ({"lr": 1e30}, "loss of epoch 1 is infinite|take a smaller lr")])
def test_settings_that_make_no_sense(changed, message, pairs, vectors):
    captions, images, picture_of = pairs
    model = CaptionTowers(**{**QUICK, **changed})
    with pytest.raises(ValueError, match=message):
        model.fit(captions, images, picture_of, vectors)
    with pytest.raises(NotFittedError):
        model.embed_text(captions)


def test_rows_that_do_not_fit(pairs, vectors):
    captions, images, picture_of = pairs
    model = CaptionTowers(**QUICK)
    with pytest.raises(ValueError, match="row of its picture, 0 to 19"):
        model.fit(captions, images, picture_of + 1, vectors)
    with pytest.raises(ValueError, match="for each of the 40 captions"):
        model.fit(captions, images, picture_of[:5], vectors)
    with pytest.raises(ValueError, match="No word of the captions has a vector"):
        model.fit([["unheard"]] * 40, images, picture_of, vectors)
    with pytest.raises(TypeError, match="Expected lists of tokens"):
        model.fit("a red car", images, picture_of, vectors)
