"""Skip-gram in blocks: against PyTorch's autograd, plain loops and planted structure."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import logsigmoid

from mmfuse_utils.word2vec_blocks import (BlockSkipGram, block_gradients, contexts, curvature,
                                          move)

QUIET = dict(dim=16, min_count=1, subsample=0, progress=False)
SHAPES = dict(seed=st.integers(0, 10**6), n_chunks=st.integers(1, 4), chunk=st.integers(1, 5),
              window=st.integers(1, 7), dim=st.integers(1, 6), n_shared=st.integers(1, 4))


def random_block(seed, n_chunks, chunk, window, dim, n_shared):
    rng = np.random.default_rng(seed)
    n = n_chunks * chunk
    v, u = rng.normal(size=(n, dim)), rng.normal(size=(n + 2 * window, dim))
    noise = rng.normal(size=(n_chunks, n_shared, dim))
    used = (rng.random((n_chunks, chunk, chunk + 2 * window)) < 0.5).astype(float)
    return v, u, noise, used, rng.random(n)


@settings(deadline=None, max_examples=60)
@given(**SHAPES)
def test_directions_are_autograds_and_curvatures_bound_a_plain_sum(**shapes):
    block = random_block(**shapes)
    v, u, noise, used, weight = block
    tv, tu, tn = (torch.tensor(x, requires_grad=True) for x in (v, u, noise))
    chunk, group = used.shape[1], len(v) // len(noise)
    bounds, loss = [np.zeros(len(x)) for x in (v, u, noise.reshape(-1, v.shape[1]))], 0
    for i in range(len(v)):
        for j in range(used.shape[2]):
            place = i // chunk * chunk + j
            loss = loss - used[i // chunk, i % chunk, j] * logsigmoid(tv[i] @ tu[place])
            bounds[0][i] += used[i // chunk, i % chunk, j] * (u[place] @ u[place]) / 4
            bounds[1][place] += used[i // chunk, i % chunk, j] * (v[i] @ v[i]) / 4
        for k, word in enumerate(tn[i // group]):
            loss = loss - weight[i] * logsigmoid(-(tv[i] @ word))
            bounds[0][i] += weight[i] * (word @ word).item() / 4
            bounds[2][i // group * len(noise[0]) + k] += weight[i] * (v[i] @ v[i]) / 4
    loss.backward()
    for ours, tensor in zip(block_gradients(*block), (tv, tu, tn)):
        np.testing.assert_allclose(ours, -tensor.grad.numpy(), rtol=1e-9, atol=1e-12)
    for ours, plain in zip(curvature(*block), bounds):
        np.testing.assert_allclose(ours, plain, rtol=1e-9, atol=1e-12)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), min_size=1, max_size=25))
def test_contexts_equal_a_plain_search(tokens):
    sentence, reach = np.array(tokens).T
    sentence = np.sort(sentence)
    first, last = contexts(sentence, reach)
    for i in range(len(sentence)):
        near = [j for j in range(len(sentence))
                if sentence[j] == sentence[i] and abs(i - j) <= reach[i]]
        assert (first[i], last[i]) == (near[0], near[-1])


def test_move_adds_equal_words_and_brakes_by_the_bound():
    vectors = np.zeros((5, 2))
    rows, place = np.array([1, 3]), np.array([0, 1, 0])
    move(vectors, rows, place, np.array([[1.0, 0], [0, 1], [2, 0]]), np.array([90.0, 1, 70]), 0.5)
    assert vectors.tolist() == [[0, 0], [3 / 160, 0], [0, 0], [0, 0.5], [0, 0]]


def test_learns_planted_topics_and_repeats_itself():
    rng = np.random.default_rng(0)
    topics = [[f"sea{i}" for i in range(8)], [f"sky{i}" for i in range(8)]]
    text = [list(rng.choice(topics[rng.integers(2)], 6)) for _ in range(600)]
    one, two, other = (BlockSkipGram(**QUIET, epochs=40, learning_rate=0.05, seed=s).fit(text)
                       for s in (1, 1, 2))
    unit = one.vectors_ / np.linalg.norm(one.vectors_, axis=1, keepdims=True)
    topic = np.array([word[:3] for word in one.vocabulary_])
    together = topic[:, None] == topic
    cosine = unit @ unit.T
    assert cosine[together & ~np.eye(16, dtype=bool)].mean() > cosine[~together].mean() + 0.3
    assert np.array_equal(one.vectors_, two.vectors_)
    assert not np.array_equal(one.vectors_, other.vectors_)
    assert one.losses_[-9:].mean() < one.losses_[0] == pytest.approx(6 * np.log(2), abs=1e-2)


@settings(deadline=None, max_examples=15)
@given(learning_rate=st.sampled_from([1e-8, 0.5, 1.0]), window=st.integers(1, 40),
       noise_power=st.sampled_from([-2.0, 0.0, 0.75, 2.0]), dim=st.integers(1, 20))
def test_any_setting_within_the_limits_stays_finite(learning_rate, window, noise_power, dim):
    text = [["the"] * 50 + list("of the cat".split())] * 100
    model = BlockSkipGram(**{**QUIET, "dim": dim}, learning_rate=learning_rate, window=window,
                          noise_power=noise_power, epochs=2).fit(text)
    assert np.isfinite(model.vectors_).all() and np.isfinite(model.losses_).all()
