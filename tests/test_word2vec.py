"""word2vec: against PyTorch's autograd, plain loops, gensim, and planted structure."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from mmfuse_utils import word2vec
from mmfuse_utils.word2vec import SkipGram, log_sigmoid, sgd_step, sigmoid, window_pairs

TOPICS = [[f"sea{i}" for i in range(8)], [f"sky{i}" for i in range(8)]]
QUIET = dict(dim=16, min_count=1, subsample=0, progress=False)


def planted(n_sentences=600, seed=0):
    """Sentences of six words, each from one of two topics."""
    rng = np.random.default_rng(seed)
    return [list(rng.choice(TOPICS[rng.integers(2)], 6)) for _ in range(n_sentences)]


def random_batch(seed, n_words=12, dim=5, n_pairs=20, k=3, scale=0.3, dtype=np.float64):
    rng = np.random.default_rng(seed)
    v, u = rng.normal(scale=scale, size=(2, n_words, dim)).astype(dtype)
    centers, contexts = rng.integers(n_words, size=(2, n_pairs))
    return v, u, centers, contexts, rng.integers(n_words, size=(n_pairs, k))


def torch_step(v, u, centers, contexts, negatives, learning_rate):
    """The same step by automatic differentiation; the cap on the step written as a plain loop."""
    tv, tu = (torch.tensor(a, requires_grad=True) for a in (v, u))
    positive = (tv[centers] * tu[contexts]).sum(1)
    noise = torch.einsum("pd,pkd->pk", tv[centers], tu[negatives])
    counted = torch.tensor(negatives != contexts[:, None])
    loss = -(torch.nn.functional.logsigmoid(positive)
             + (torch.nn.functional.logsigmoid(-noise) * counted).sum(1))
    loss.sum().backward()
    bound_v, bound_u = np.zeros(len(v)), np.zeros(len(u))
    for c, o, ns in zip(centers, contexts, negatives):
        for target in [o, *ns[ns != o]]:
            bound_v[c] += (u[target] ** 2).sum() / 4
            bound_u[target] += (v[c] ** 2).sum() / 4
    steps = [np.minimum(learning_rate, 1 / np.maximum(b, 1e-300)) for b in (bound_v, bound_u)]
    new = [a - s[:, None] * t.grad.numpy() for a, s, t in zip((v, u), steps, (tv, tu))]
    capped = any((s < learning_rate).any() for s in steps)
    return *new, loss.mean().item(), capped


@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-12), (np.float32, 2e-6)])
def test_step_is_autograds_sgd_step(dtype, tolerance):
    v, u, *batch = random_batch(0, dtype=dtype)
    tv, tu, loss, capped = torch_step(v, u, *batch, 0.1)
    assert not capped                               # plain gradient descent, nothing held back
    assert sgd_step(v, u, *batch, 0.1) == pytest.approx(loss, rel=1e-5)
    assert v.dtype == u.dtype == dtype
    np.testing.assert_allclose(v, tv, atol=tolerance)
    np.testing.assert_allclose(u, tu, atol=tolerance)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), n_words=st.integers(1, 30), dim=st.integers(1, 9),
       n_pairs=st.integers(1, 40), k=st.integers(1, 6), scale=st.sampled_from([0.01, 1.0, 5.0]),
       learning_rate=st.sampled_from([0.001, 0.1, 1.0]))
def test_step_equals_autograd_for_any_shape(seed, n_words, dim, n_pairs, k, scale, learning_rate):
    v, u, *batch = random_batch(seed, n_words, dim, n_pairs, k, scale)
    tv, tu, loss, _ = torch_step(v, u, *batch, learning_rate)
    assert sgd_step(v, u, *batch, learning_rate) == pytest.approx(loss)
    np.testing.assert_allclose(v, tv, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(u, tu, rtol=1e-9, atol=1e-12)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), n_words=st.integers(1, 4), n_pairs=st.integers(1, 300),
       scale=st.sampled_from([1e-3, 1.0, 30.0]), learning_rate=st.sampled_from([0.025, 1.0]))
def test_no_step_is_longer_than_the_proved_bound(seed, n_words, n_pairs, scale, learning_rate):
    v, u, centers, contexts, negatives = random_batch(seed, n_words, n_pairs=n_pairs, scale=scale)
    before_v, before_u = v.copy(), u.copy()
    sgd_step(v, u, centers, contexts, negatives, learning_rate)
    met_v = np.bincount(centers, minlength=n_words) * (1 + negatives.shape[1])
    met_u = np.bincount(np.append(contexts, negatives), minlength=n_words)
    for new, old, n in ((v, before_v, met_v), (u, before_u, met_u)):
        moved = np.linalg.norm(new - old, axis=1)
        assert (moved <= np.sqrt(4 * n * learning_rate) + 1e-9).all()


def test_repeated_batches_of_one_frequent_pair_stay_finite_and_lower_the_loss():
    v, u = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    centers, contexts, negatives = np.zeros(5000, int), np.ones(5000, int), np.full((5000, 5), 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        losses = [sgd_step(v, u, centers, contexts, negatives, 1.0) for _ in range(300)]
    assert np.isfinite(v).all() and np.isfinite(u).all()
    assert losses[-1] < 0.1 < losses[0]


def test_a_negative_equal_to_the_context_changes_nothing():
    v, u, centers, contexts, negatives = random_batch(1)
    v2, u2 = v.copy(), u.copy()
    sgd_step(v, u, centers, contexts, negatives[:, :0], 0.1)
    sgd_step(v2, u2, centers, contexts, contexts[:, None], 0.1)
    np.testing.assert_allclose(v, v2)
    np.testing.assert_allclose(u, u2)


def test_sigmoids_agree_with_torch_and_do_not_overflow():
    x = np.array([-1e5, -800.0, -30.0, -1.0, 0.0, 2.0, 800.0, 1e5])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours = sigmoid(x), log_sigmoid(x)
    t = torch.tensor(x)
    np.testing.assert_allclose(ours[0], torch.sigmoid(t), atol=1e-15)
    np.testing.assert_allclose(ours[1], torch.nn.functional.logsigmoid(t), rtol=1e-9, atol=1e-300)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3), st.integers(0, 5)), max_size=25))
def test_window_pairs_equal_a_plain_loop(tokens):
    words, sentences, reach = np.array(tokens, int).reshape(-1, 3).T
    sentences = np.sort(sentences)
    expected = [(words[i], words[j]) for i in range(len(words)) for j in range(len(words))
                if i != j and sentences[i] == sentences[j] and abs(i - j) <= reach[i]]
    assert sorted(map(tuple, window_pairs(words, sentences, reach).tolist())) == sorted(expected)


def test_noise_words_are_drawn_independently_with_the_given_chances(monkeypatch):
    drawn = []
    model = SkipGram(**QUIET, negatives=4, seed=3)
    model.vectors_ = model.context_vectors_ = np.zeros((3, 2), np.float32)
    model.losses_, chances = [], np.array([0.5, 0.3, 0.2])
    monkeypatch.setattr(word2vec, "sgd_step", lambda *a: drawn.append(a[4]) or 0.0)
    model._learn(np.zeros(20000, int), np.zeros(20000, int), chances, 0.1,
                 np.random.default_rng(0))
    drawn = np.concatenate(drawn)
    shares = np.stack([np.bincount(column, minlength=3) for column in drawn.T]) / len(drawn)
    np.testing.assert_allclose(shares, np.tile(chances, (4, 1)), atol=0.01)
    together = np.mean((drawn[:, 0] == 0) & (drawn[:, 1] == 0))
    assert together == pytest.approx(0.25, abs=0.01)


def test_learns_planted_topics():
    model = SkipGram(**QUIET, epochs=8, learning_rate=0.05).fit(planted())
    for word in model.vocabulary_:
        near = [other for other, _ in model.most_similar(word, 7)]
        assert all(other[:3] == word[:3] for other in near), (word, near)
    assert model.losses_[-10:].mean() < model.losses_[:10].mean()


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


def test_sentences_may_be_a_generator_and_subsampling_drops_frequent_words():
    text = [["the", w] for w in "abcdefgh"] * 60
    kept = [len(SkipGram(**{**QUIET, "subsample": t}, epochs=1, batch_size=1)
                .fit(iter(text)).losses_) for t in (0, 0.01)]
    share, chance = 1 / 2, lambda f: min(1, np.sqrt(0.01 / f) + 0.01 / f)
    assert kept[0] == 2 * len(text)
    assert kept[1] / kept[0] == pytest.approx(chance(share) * chance(1 / 16), rel=0.3)


@settings(deadline=None, max_examples=15)
@given(learning_rate=st.sampled_from([1e-8, 0.5, 1.0]), batch_size=st.sampled_from([1, 64, 10**6]),
       noise_power=st.sampled_from([-2.0, 0.0, 0.75, 2.0]), dim=st.integers(1, 20))
def test_any_setting_within_the_limits_stays_finite(learning_rate, batch_size, noise_power, dim):
    options = {**QUIET, "dim": dim, "learning_rate": learning_rate, "batch_size": batch_size,
               "noise_power": noise_power, "epochs": 2}
    text = [["the"] * 9 + list("of the cat".split())] * 4
    model = SkipGram(**options).fit(text)
    assert np.isfinite(model.vectors_).all() and np.isfinite(model.losses_).all()


@pytest.mark.parametrize("name, value", [
    ("dim", 0), ("dim", 2.5), ("window", 0), ("negatives", -1), ("epochs", "3"), ("min_count", 0),
    ("batch_size", 0), ("learning_rate", 0), ("learning_rate", float("nan")),
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
