"""Data of assignment 6: texts and pictures of 200 unseen concepts, the split drawn by the seed."""

import numpy as np

from mmfuse_utils import fusion, text, vision
from mmfuse_utils.data import load_emoji

STYLES = ("noto", "fluent-emoji-flat")  # Apache-2.0 and MIT: students may get the pictures
N_RESAMPLES = 1000


def make_data(seed):
    """Arrays of the assignment by key; the seed is the salt of the split.

    similarity : (200, 200) float32, cosine of each test text with each test picture by the ridge
        map from texts to pictures; text i belongs to picture i.
    name : (200,) name of each concept. thumbnail : (200, 64, 64, 3) uint8, its picture on white.
    cluster : (200,) number of each concept's subgroup. subgroup : (n_clusters,) their names.
    draws : (1000, n_clusters) clusters drawn with replacement.
    draws_alone : (1000, 200) queries drawn with replacement.
    toy_similarity : (5, 8) tenths with many ties. toy_values : (10,) different, positive.
    hand_similarity : (10,) tenths with ties, of one query; hand_relevant : (10,) booleans.
    """
    rng = np.random.default_rng(seed)
    emoji = load_emoji()
    split = emoji.split(seed)
    pictures = emoji.gallery(split.test, seed, STYLES)
    subgroup, cluster = np.unique(np.array(emoji.subgroups)[split.test], return_inverse=True)
    n, n_clusters = len(pictures), len(subgroup)
    return {"similarity": _similarity(emoji, split, pictures),
            "name": np.array([emoji.names["en"][concept][0] for concept in split.test]),
            "thumbnail": _halved(emoji.load_pictures(pictures)),
            "cluster": cluster.astype(np.int16), "subgroup": subgroup,
            "draws": rng.integers(n_clusters, size=(N_RESAMPLES, n_clusters), dtype=np.int16),
            "draws_alone": rng.integers(n, size=(N_RESAMPLES, n), dtype=np.int16),
            "toy_similarity": rng.integers(-3, 4, (5, 8)) / 10,
            "toy_values": (1 + rng.permutation(10)) / 2,
            **paper_numbers(rng)}


def paper_numbers(rng):
    """Similarities of one query to ten items, three or five of them relevant."""
    while True:
        levels = rng.choice(np.arange(-2, 10), 6, replace=False)
        tenths, relevant = rng.choice(levels, 10), rng.permutation(10) < rng.choice([3, 5])
        if _tells_slips_apart(tenths, relevant):
            return {"hand_similarity": tenths / 10, "hand_relevant": relevant}


def _tells_slips_apart(tenths, relevant):
    """Whether a wrong order or a wrong formula gives other results than the right one."""
    listed = np.arange(10)
    right, for_model, as_listed = (_results(relevant, np.lexsort((last, -tenths)))
                                   for last in (relevant, ~relevant, listed))
    if (right[0] not in (2, 3, 4) or right[0] in (for_model[0], as_listed[0])
            or right[1] in (1, right[2], for_model[1])):
        return False
    others = [for_model, as_listed, *(_results(relevant, order) for order in (
        np.lexsort((-listed, -tenths)), np.lexsort((relevant, tenths)), listed))]
    return (len(set(tenths)) >= 4 and tenths[relevant.argmax()] < tenths[relevant].max()
            and all((right[:2] != other[:2]).any() for other in others)
            and not np.isclose(right[3], [other[3] for other in others]).any()
            and not np.isclose(right[3], [right[2], *right[4:]]).any())


def _results(relevant, order):
    """Rank, recall at 4, reciprocal rank and average precision, and four slips for the last.

    The slips: cut at 4, that over what stands there, over all places, 1 for each precision.
    """
    found = relevant[order]
    places, precision = 1 + np.flatnonzero(found), found.cumsum() / np.arange(1, 11)
    cut = precision[:4][found[:4]].sum()
    return np.array([places[0], np.mean(places <= 4), 1 / places[0], precision[found].mean(),
                     cut / len(places), cut / max(found[:4].sum(), 1), precision.mean(),
                     np.mean(1 / places)])


def _similarity(emoji, split, pictures):
    """Cosine of test texts with test pictures: (n_test, n_test) float32."""
    features = vision.picture_features(emoji)
    texts = text.sentence_vectors(text.concept_tokens(emoji), text.load_word_vectors())
    concept_of = emoji.pictures.concept_row
    train = np.flatnonzero(np.isin(concept_of, split.train))
    model = fusion.RidgeMap(1.0, "text_to_image").fit(texts[concept_of[train]], features[train])
    return model.similarity(texts[split.test], features[pictures]).astype(np.float32)


def _halved(pictures):
    """Pictures with half as many pixels a side: the mean of two by two."""
    n, height, width, channels = pictures.shape
    blocks = pictures.reshape(n, height // 2, 2, width // 2, 2, channels)
    return blocks.mean(axis=(2, 4)).round().astype(np.uint8)
