"""SkipGram: planted structure, gensim, repeatability, settings and corpora without sense."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from mmfuse_utils import word2vec
from mmfuse_utils.word2vec import BLOCK, GROUP, SHARED, SkipGram
from mmfuse_utils.word2vec_blocks import contexts

TOPICS = [[f"sea{i}" for i in range(8)], [f"sky{i}" for i in range(8)]]
QUIET = dict(dim=16, min_count=1, subsample=0, progress=False)


def planted(n_sentences=600, seed=0):
    """Sentences of six words, each from one of two topics."""
    rng = np.random.default_rng(seed)
    return [list(rng.choice(TOPICS[rng.integers(2)], 6)) for _ in range(n_sentences)]


def test_learns_planted_topics():
    model = SkipGram(**QUIET, epochs=20).fit(planted())
    for word in model.vocabulary_:
        near = [other for other, _ in model.most_similar(word, 7)]
        assert all(other[:3] == word[:3] for other in near), (word, near)
    assert model.losses_[-10:].mean() < model.losses_[0] == pytest.approx(6 * np.log(2), abs=0.01)


def test_two_threads_learn_planted_topics_nearly_as_well_as_one():
    rng = np.random.default_rng(0)
    text = [[f"{'ab'[topic]}{i}" for i in rng.integers(1200, size=8)]
            for topic in rng.integers(2, size=20_000)]
    tails = []
    for threads in (1, 2):
        model = SkipGram(**QUIET, epochs=6, threads=threads).fit(text)
        tails.append(model.losses_[-30:].mean())
        topic = np.array([word[0] for word in model.vocabulary_])
        unit = model.vectors_ / np.linalg.norm(model.vectors_, axis=1, keepdims=True)
        together = topic[:, None] == topic
        cosine = unit @ unit.T
        assert cosine[together].mean() > cosine[~together].mean() + 0.5
    assert tails[0] < 3 and abs(tails[1] - tails[0]) < 0.2


def test_a_vocabulary_smaller_than_a_block_trains_with_one_thread(monkeypatch):
    monkeypatch.setattr(word2vec, "STRETCH", 1000)          # so that there is work for two
    one, two = (SkipGram(**QUIET, epochs=3, threads=n).fit(planted()) for n in (1, 2))
    assert np.array_equal(one.vectors_, two.vectors_)


def test_the_loss_comes_near_its_minimum():
    """The best score of a pair is log(p(c, o) / (p(c) p(o) k)); its loss is the least possible."""
    text, k = planted(), 5
    model = SkipGram(**QUIET, epochs=60, window=100, negatives=k).fit(text)
    score = model.vectors_ @ model.context_vectors_.T
    row = {word: i for i, word in enumerate(model.vocabulary_)}
    joint = np.zeros(score.shape)
    for tokens in text:
        rows = [row[word] for word in tokens]
        for i, center in enumerate(rows):
            np.add.at(joint[center], rows[:i] + rows[i + 1:], 1)
    joint /= joint.sum()
    noise = model.counts_**0.75 / (model.counts_**0.75).sum()
    pushed = k * joint.sum(1)[:, None] * noise

    def loss(x):
        return (joint * np.logaddexp(0, -x) + pushed * np.logaddexp(0, x)).sum()

    best = loss(np.log(np.maximum(joint, 1e-12)) - np.log(pushed))
    assert best <= loss(score) < best + 0.05


def test_same_seed_same_vectors_and_another_seed_others():
    fits = [SkipGram(**QUIET, epochs=1, seed=s).fit(planted(50)) for s in (4, 4, 5)]
    assert np.array_equal(fits[0].vectors_, fits[1].vectors_)
    assert not np.array_equal(fits[0].vectors_, fits[2].vectors_)


def test_fit_keeps_settings_and_counts_words():
    model = SkipGram(**QUIET, epochs=2)
    before = model.get_params()
    model.fit([["b", "a"], ["a", "b", "a"], ["c"]])
    assert model.get_params() == before == clone(model).get_params()
    assert model.vocabulary_ == ("a", "b", "c") and model.counts_.tolist() == [3, 2, 1]
    assert model.vectors_.shape == model.context_vectors_.shape == (3, 16)
    assert model.vectors_.dtype == np.float32


def test_sentences_may_be_a_generator_and_subsampling_drops_frequent_words(monkeypatch):
    text, drawn = [["the", w] for w in "abcdefgh"] * 60, []
    monkeypatch.setattr(word2vec, "contexts", lambda *a: drawn.append(len(a[0])) or contexts(*a))
    for share in (0, 0.01):
        SkipGram(**{**QUIET, "subsample": share}, epochs=9).fit(iter(text))
    kept = sum(drawn[9:]) / sum(drawn[:9])
    assert drawn[0] == 2 * len(text)
    chance = [min(1, np.sqrt(0.01 / f) + 0.01 / f) for f in (1 / 2, 1 / 16)]
    assert kept == pytest.approx(np.mean(chance), rel=0.05)


def test_noise_words_are_drawn_with_the_given_chances(monkeypatch):
    drawn, text = [], [["a"] * 8 + ["b"] * 4 + ["c"] * 2] * 2000
    monkeypatch.setattr(word2vec, "step", lambda table, compact, near, *_: drawn.append(near) or 0)
    SkipGram(**QUIET, window=2, noise_power=0.5, epochs=1).fit(text)
    noise = np.concatenate([near[BLOCK + 2 * 2:] for near in drawn])
    assert len(noise) == len(drawn) * BLOCK // GROUP * SHARED
    expected = np.sqrt([8, 4, 2]) / np.sqrt([8, 4, 2]).sum()
    np.testing.assert_allclose(np.bincount(noise) / len(noise), expected, atol=0.02)


def test_an_error_in_a_thread_reaches_the_caller(monkeypatch):
    monkeypatch.setattr(word2vec, "step", lambda *_: 1 / 0)
    text = [[f"w{i}", f"w{i + 1}"] for i in range(3000)]
    with pytest.raises(ZeroDivisionError):
        SkipGram(**QUIET, threads=2).fit(text)


@settings(deadline=None, max_examples=25)
@given(learning_rate=st.sampled_from([1e-8, 0.5, 1.0]), window=st.integers(1, 40),
       noise_power=st.sampled_from([-2.0, 0.0, 0.75, 2.0]), dim=st.integers(2, 20),
       negatives=st.sampled_from([1, 5, 1000]))
def test_any_setting_within_the_limits_stays_finite(learning_rate, window, noise_power, dim,
                                                    negatives):
    options = {**QUIET, "dim": dim, "learning_rate": learning_rate, "window": window,
               "noise_power": noise_power, "negatives": negatives, "epochs": 9}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = SkipGram(**options).fit([["the"] * 50 + list("of the cat".split())] * 100)
    assert np.isfinite(model.vectors_).all() and np.isfinite(model.losses_).all()


@pytest.mark.parametrize("name, value", [
    ("dim", 0), ("dim", 2.5), ("window", 0), ("negatives", -1), ("epochs", "3"), ("min_count", 0),
    ("threads", 0), ("seed", None), ("dim", 1), ("learning_rate", 0), ("learning_rate", float("nan")),
    ("learning_rate", 10), ("subsample", -1), ("noise_power", float("inf"))])
def test_settings_without_sense_are_named(name, value):
    with pytest.raises(ValueError, match=rf"{name} must be .* from .* to .*, got"):
        SkipGram(**{**QUIET, name: value}).fit(planted(5))


@pytest.mark.parametrize("corpus", [[], [[]], [["one"]], [["a"], ["b"]], [["a", "a"]]])
def test_a_corpus_without_pairs_is_refused(corpus):
    with pytest.raises(ValueError, match="share a sentence"):
        SkipGram(**QUIET).fit(corpus)


def test_plain_text_and_total_subsampling_are_refused():
    with pytest.raises(TypeError, match="lists of tokens"):
        SkipGram(**QUIET).fit(["a plain text"])
    with pytest.raises(ValueError, match="subsample"):
        SkipGram(**{**QUIET, "subsample": 1e-12}).fit([["a", "b"]] * 3)


def test_unknown_words_and_an_unfitted_model():
    model = SkipGram(**QUIET, epochs=1).fit([["ocean", "river"], ["river", "lake"]])
    with pytest.raises(KeyError, match="near in spelling: ocean"):
        model.most_similar("ocaen")
    with pytest.raises(KeyError, match="near in spelling: nothing"):
        model.most_similar("zzzz")
    with pytest.raises(NotFittedError):
        SkipGram().most_similar("ocean")


def test_keyed_vectors_agree_and_survive_a_round_trip(tmp_path):
    model = SkipGram(**QUIET, epochs=3).fit(planted(100))
    keyed = model.to_keyed_vectors()
    keyed.save(str(tmp_path / "words.kv"))
    for vectors in (keyed, type(keyed).load(str(tmp_path / "words.kv"))):
        for word, count in zip(model.vocabulary_, model.counts_):
            assert vectors.get_vecattr(word, "count") == count
            ours, theirs = model.most_similar(word, 5), vectors.most_similar(word, topn=5)
            assert [w for w, _ in ours] == [w for w, _ in theirs]
            np.testing.assert_allclose([s for _, s in ours], [s for _, s in theirs], atol=1e-5)
