"""Fisher vectors against numerical gradients of scikit-learn's mixture."""

import numpy as np
import pytest
from gensim.models import KeyedVectors

from mmfuse_utils.fisher import FisherVectors

WORDS = [f"w{i}" for i in range(60)]


@pytest.fixture(scope="module")
def vectors():
    rng = np.random.default_rng(0)
    found = KeyedVectors(5)
    found.add_vectors(WORDS, rng.normal(size=(60, 5)) + np.repeat(np.eye(5)[:3] * 4, 20, axis=0))
    return found


@pytest.fixture(scope="module")
def fisher(vectors):
    return FisherVectors(n_components=3, dim=4).fit([WORDS, WORDS[::2]], vectors)


def likelihood(mixture, words, means, spreads):
    """Mean log-likelihood of the mixture with other means and standard deviations."""
    kept = mixture.means_, mixture.precisions_cholesky_
    mixture.means_, mixture.precisions_cholesky_ = means, 1 / spreads
    found = mixture.score(words)
    mixture.means_, mixture.precisions_cholesky_ = kept
    return found


def test_they_are_scaled_gradients_of_the_likelihood(fisher):
    mixture, words = fisher.mixture_, fisher.numbers_[[3, 30, 41]].astype(float)
    at = [mixture.means_, np.sqrt(mixture.covariances_)]
    scales = [at[1] / np.sqrt(mixture.weights_)[:, None],
              at[1] / np.sqrt(2 * mixture.weights_)[:, None]]
    found = fisher.gradients(words).mean(axis=0).reshape(2, 3, 4)
    for which, place in ((which, place) for which in (0, 1) for place in np.ndindex(3, 4)):
        values = []
        for step in (1e-5, -1e-5):
            moved = [part.copy() for part in at]
            moved[which][place] += step
            values.append(likelihood(mixture, words, *moved))
        slope = (values[0] - values[1]) / 2e-5 * scales[which][place]
        assert found[which][place] == pytest.approx(slope, abs=1e-4)


def test_a_caption_is_the_rooted_mean_of_its_words(fisher):
    mean = fisher.gradients(fisher.numbers_[[1, 2, 2]]).mean(axis=0)
    rooted = np.sign(mean) * np.sqrt(np.abs(mean))
    found = fisher.transform([["w1", "w2", "unheard", "w2"], ["unheard"], []])
    assert np.allclose(found[0], rooted / np.linalg.norm(rooted), atol=1e-5)
    assert not found[1:].any() and found.dtype == np.float32


def test_what_the_mixture_expects_is_nothing_new(fisher):
    """The gradient over all training tokens is zero: there the likelihood has its maximum."""
    tokens = [fisher.words_[word] for word in [*WORDS, *WORDS[::2]]]
    found = fisher.gradients(fisher.numbers_[tokens]).mean(axis=0)
    alone = np.abs(fisher.gradients(fisher.numbers_[tokens])).mean(axis=0)
    assert np.abs(found).max() < 0.02 * alone.max()


def test_captions_of_equal_mean_can_differ():
    axes = KeyedVectors(2)
    axes.add_vectors(["east", "west", "north", "south"], [[1, 0], [-1, 0], [0, 1], [0, -1]])
    model = FisherVectors(n_components=2, dim=2).fit([["east", "west", "north", "south"]] * 3,
                                                     axes)
    a, b = model.transform([["east", "west"], ["north", "south"]])
    assert not np.allclose(a, b, atol=0.1)


def test_too_few_words_and_plain_text_are_told(vectors):
    with pytest.raises(ValueError, match="30 Gaussians need as many words"):
        FisherVectors(dim=4).fit([["w1", "unheard"]], vectors)
    with pytest.raises(TypeError, match="Expected lists of tokens"):
        FisherVectors(dim=4).fit("w1 w2", vectors)
