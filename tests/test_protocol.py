"""The protocol of Part III: pairs, validation and test keep apart, and a table is read rightly."""

import numpy as np
import pytest

from mmfuse_utils.protocol import hits, load_protocol


@pytest.fixture(scope="module")
def protocol():
    return load_protocol()


def test_pairs_have_the_concept_of_their_picture(protocol):
    texts, pictures = protocol.pairs()
    concept = protocol.emoji.pictures.concept_row[protocol.train]
    assert len(texts) == len(pictures) == len(protocol.train)
    assert set(concept) <= set(protocol.split.train)
    assert np.array_equal(texts, protocol.texts[concept])
    assert np.array_equal(protocol.pairs(protocol.random_texts)[0], protocol.random_texts[concept])


def test_row_by_row_the_picture_shows_the_concept(protocol):
    for rows, concepts in ((protocol.held, protocol.split.validation),
                           (protocol.gallery, protocol.split.test)):
        assert np.array_equal(protocol.emoji.pictures.concept_row[rows], concepts)
    assert protocol.test()[0].shape[0] == len(protocol.subgroups) == len(protocol.gallery)
    assert protocol.validation()[1].shape[0] == len(protocol.split.validation)


def test_random_texts_keep_the_shape_and_lose_the_meaning(protocol):
    assert protocol.random_texts.shape == protocol.texts.shape
    assert abs(np.corrcoef(protocol.random_texts.ravel(), protocol.texts.ravel())[0, 1]) < 0.05


def test_chance_is_ten_of_the_gallery(protocol):
    assert protocol.chance == pytest.approx(10 / len(protocol.gallery))


def test_the_best_on_validation_is_chosen(protocol):
    class Guess:
        def __init__(self, quality):
            self.quality = quality

        def similarity(self, text, image):
            return self.quality * np.eye(len(text)) + np.random.default_rng(0).random((len(text),) * 2)

    guesses = [Guess(quality) for quality in (0.0, 0.9, 0.3)]
    assert protocol.choose(guesses).quality == 0.9


def test_estimates_are_a_mean_inside_its_interval(protocol):
    values = np.arange(len(protocol.gallery)) % 2.0
    mean, (low, high) = protocol.estimate(values)
    assert low < mean < high and mean == pytest.approx(values.mean())


def test_salts_give_other_tests(protocol):
    other = load_protocol(1)
    assert set(other.split.test) != set(protocol.split.test)


def test_hits_counts_the_own_item_among_the_first():
    table = np.array([[0.9, 0.1, 0.2], [0.8, 0.7, 0.1], [0.3, 0.2, 0.1]])
    assert hits(table, 1).tolist() == [1, 0, 0] and hits(table, 2).tolist() == [1, 1, 0]
