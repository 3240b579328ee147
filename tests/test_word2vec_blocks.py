"""The arithmetic of a block: against PyTorch's autograd, plain loops and the proved bound."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import logsigmoid

from mmfuse_utils.word2vec_blocks import (Compact, brake, contexts, directions, first_loss, slack,
                                          step, window_mask)

SHAPES = dict(seed=st.integers(0, 10**6), n_chunks=st.integers(1, 4), chunk=st.integers(1, 5),
              window=st.integers(1, 7), dim=st.integers(2, 6), n_shared=st.integers(1, 4),
              n_words=st.integers(1, 30), scale=st.sampled_from([0.01, 1.0, 5.0]))


def random_block(seed, n_chunks, chunk, window, dim, n_shared, n_words, scale=1.0):
    """A table, the word rows of a block with a noise group a chunk, mask and weights."""
    rng = np.random.default_rng(seed)
    table = rng.normal(scale=scale, size=(n_words, 2, dim))
    near = rng.integers(n_words, size=n_chunks * chunk + 2 * window + n_chunks * n_shared)
    used = rng.random((n_chunks, chunk, chunk + 2 * window)) < 0.5
    used[0, 0, 0] = True
    return table, near, used, rng.random((n_chunks, chunk))


def plain_pairs(near, used, weight):
    """All (center, other, label, weight) of a block, by plain loops."""
    n_chunks, chunk, width = used.shape
    n_tokens, edge = n_chunks * chunk + width - chunk, (width - chunk) // 2
    noise = near[n_tokens:].reshape(len(weight), -1)
    for i in range(n_chunks * chunk):
        c, r = divmod(i, chunk)
        for j in np.flatnonzero(used[c, r]):
            yield near[i + edge], near[c * chunk + j], 1, 1.0
        for word in noise[i // weight.shape[1]]:
            yield near[i + edge], word, 0, weight.flat[i]


def plain_gradients(table, near, used, weight):
    """Gradient of the summed loss by autograd, and sum of error |other|^2, word by word."""
    tensor = torch.tensor(table, requires_grad=True)
    loss, bound = 0, np.zeros(table.shape[:2])
    for center, other, label, share in plain_pairs(near, used, weight):
        score = tensor[center, 0] @ tensor[other, 1]
        loss = loss - share * logsigmoid(score if label else -score)
        error = share * abs(torch.sigmoid(score).item() - label)
        bound[center, 0] += error * (table[other, 1] ** 2).sum()
        bound[other, 1] += error * (table[center, 0] ** 2).sum()
    loss.backward()
    return tensor.grad.numpy(), bound


@settings(deadline=None, max_examples=60)
@given(**SHAPES)
def test_directions_are_autograds_and_bounds_a_plain_sum(**shapes):
    table, near, used, weight = random_block(**shapes)
    size = np.vecdot(table, table)
    way, bound = directions(table[near], size[near], used, weight)
    total, total_bound = np.zeros_like(table), np.zeros(table.shape[:2])
    np.add.at(total, near, way)
    np.add.at(total_bound, near, bound)
    gradient, plain_bound = plain_gradients(table, near, used, weight)
    np.testing.assert_allclose(total / 2, -gradient, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(total_bound / 2, plain_bound, rtol=1e-9, atol=1e-9)


@settings(deadline=None, max_examples=30)
@given(**SHAPES)
def test_a_short_step_is_one_of_gradient_descent(**shapes):
    table, near, used, weight = random_block(**shapes)
    new = table.copy()
    gradient, _ = plain_gradients(table, near, used, weight)
    step(new, Compact(len(table), len(near)), near, used, weight, 1e-6, *slack(table))
    np.testing.assert_allclose(new - table, -1e-6 * gradient, rtol=1e-4, atol=1e-11)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), scale=st.sampled_from([1e-3, 1.0, 30.0]),
       rate=st.sampled_from([0.025, 1.0]), n_words=st.integers(1, 4))
def test_no_step_is_longer_than_the_proved_bound(seed, scale, rate, n_words):
    table, near, used, weight = random_block(seed, 4, 16, 3, 5, 8, n_words, scale)
    new, met = table.copy(), np.zeros(table.shape[:2])
    for center, other, _, share in plain_pairs(near, used, weight):
        met[center, 0] += share
        met[other, 1] += share                      # no error is larger than 1
    step(new, Compact(n_words, len(near)), near, used, weight, rate, *slack(table))
    moved = np.linalg.norm(new - table, axis=2)
    assert (moved <= np.sqrt(table.shape[2] * rate * met) + 1e-9).all()


def test_brake_holds_back_along_the_axis_alone():
    way = np.array([[[2.0, 2], [2, 2]]])
    axis, room = np.array([[1.0, 0], [0, 1]]), np.array([[2.0, 40], [2, 40]])
    brake(way, np.array([[20.0, 4]]), 0.5, axis, room)
    # first row: bound / room is 10 along and 0.5 across, and 2 / rate = 4; second: at most 2
    np.testing.assert_allclose(way, [[[2 / 10, 2 / 4], [2 / 4, 2 / 4]]])


def test_slack_knows_how_stiff_the_shared_direction_is():
    rng = np.random.default_rng(0)
    near = rng.normal(size=(20_000, 2, 4))
    near[:, 0, 2] *= 3                              # variances 1, 1, 9, 1: the trace is 12
    axis, room = slack(near)
    assert abs(axis[1, 2]) == pytest.approx(1, abs=0.01)
    np.testing.assert_allclose(room, [[4, 4], [12 / 9, 12 / 3]], rtol=0.05)
    assert (slack(np.zeros((3, 2, 4), np.float32))[1] == 1).all()


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), min_size=4, max_size=24))
def test_contexts_and_mask_equal_a_plain_search(tokens):
    sentence, reach = np.array(tokens[:len(tokens) // 4 * 4]).T
    sentence = np.sort(sentence)
    first, last = contexts(sentence, reach)
    used = window_mask(first, last, 4, 5)
    for i in range(len(sentence)):
        near = [j for j in range(len(sentence))
                if sentence[j] == sentence[i] and abs(i - j) <= reach[i]]
        assert (first[i], last[i]) == (near[0], near[-1])
        seen = np.flatnonzero(used[i // 4, i % 4]) + i // 4 * 4 - 5
        assert seen.tolist() == [j for j in near if j != i]


@settings(deadline=None, max_examples=30)
@given(words=st.lists(st.integers(0, 9), min_size=1, max_size=30))
def test_compact_adds_up_equal_words(words):
    words = np.array(words)
    compact, values = Compact(10, len(words)), np.random.default_rng(0).random((len(words), 2, 3))
    for _ in range(2):                              # nothing is left over from the first time
        rows = compact.find(words)
        assert sorted(rows) == np.unique(words).tolist()
        for row, total in zip(rows, compact.add(values, len(rows)), strict=True):
            np.testing.assert_allclose(total, values[words == row].sum(0))


def test_first_loss_is_that_of_the_first_chunk_with_a_pair():
    table, near, used, weight = random_block(3, 3, 4, 2, 5, 3, 9)
    used[0] = False
    used[1, 0, 0] = True
    weight[[0, 2]], alone = 0, used.copy()
    alone[2] = False
    loss = sum(share * np.logaddexp(0, (1 - 2 * label) * (table[c, 0] @ table[o, 1]))
               for c, o, label, share in plain_pairs(near, alone, weight))
    assert first_loss(table[near], used, weight) == pytest.approx(loss / alone.sum())
