"""Data of assignment 5: texts and pictures of emoji in the book's strict split, by the seed."""

import numpy as np
from PIL import Image

from mmfuse_utils import text, vision
from mmfuse_utils.data import load_emoji

STYLES = ("noto", "fluent-emoji-flat")  # Apache-2.0 and MIT, so the thumbnails can go along
DIM, PARTS = 64, ("train", "validation", "test")


def make_data(seed):
    """Arrays of the assignment by key; the seed decides all that is drawn.

    Every row of the arrays of one part (train, validation, test) is a pair: a text, which is an
    emoji's name with its keywords, and one picture. Training has each emoji in both styles,
    validation and test have it in one. No emoji resembles one of another part.

    text_train, text_validation, text_test : (n_pairs, 100) float16, mean of the word vectors.
    random_train, random_validation, random_test : (n_pairs, 100) float16, the same words with
        random vectors. image_train, image_validation, image_test : (n_pairs, 64) float16,
        features of the picture along the main directions of the training pictures.
    names_train, names_validation, names_test : (n_pairs,) name of the emoji.
    pictures_test : (n_test, 48, 48, 3) uint8, the test pictures.
    penalties : (6,) float64, candidates for the penalty of ridge regression.
    hand_x, hand_y : (5,) float64, small numbers with mean 0, to work with by hand.
    hand_values : (2,) float64, two different variances.
    hand_pairs : (2, 4) whole numbers, a row of x and a row of y; hand_penalty : () a whole number.
    """
    rng = np.random.default_rng(seed)
    emoji = load_emoji()
    rows = _rows(emoji, seed)
    data = _texts(emoji, rows, seed) | _images(emoji, rows)
    hand_x, hand_y = rng.permutation([-3.0, -1.5, 0.5, 1.0, 3.0]), rng.permutation(5) - 2.0
    return data | {
        "penalties": rng.uniform(0.7, 1.4) * 10.0 ** np.arange(-2, 4), "hand_x": hand_x,
        "hand_y": hand_y, "hand_values": rng.choice([0.25, 1.0, 4.0, 16.0], 2, replace=False),
        **paper_numbers(rng)}


def paper_numbers(rng):
    """Four pairs and a penalty: the slope is positive as they come, and negative once centered."""
    apart = False
    while not apart:
        x, y = (rng.choice(np.arange(1, 10), 4, replace=False) for _ in range(2))
        penalty, a, b = rng.integers(4, 13), x - x.mean(), y - y.mean()
        (xx, xy, yy), (aa, ab, bb) = ((u @ u, u @ v, v @ v) for u, v in ((x, y), (a, b)))
        r, w, centered = ab / np.sqrt(aa * bb), xy / (xx + penalty), ab / (aa + penalty)
        # The result first, then what usual slips lead to.
        results = [(w, xy / xx, xy / (yy + penalty), xy / (xx + 4 * penalty), xy / (xx - penalty),
                    xy / (xx + penalty**2), (xy + penalty) / (xx + penalty), y.mean() / x.mean()),
                   (centered, ab / aa, ab / (bb + penalty), ab / (aa + 4 * penalty),
                    ab / (xx + penalty), -centered, ab / (aa + penalty**2)),
                   (ab / 4, ab / 3, ab, xy / 4, -ab / 4),
                   (r, r**2, -r, r * 4 / 3, r / 4, ab / (aa * bb), xy / np.sqrt(xx * yy),
                    ab / np.sqrt((aa + penalty) * (bb + penalty)))]
        right = np.array([result[0] for result in results])
        apart = (all(np.abs(np.subtract(wrong, v)).min() > 0.01 for v, *wrong in results)
                 and x.sum() % 4 == y.sum() % 4 == 0 and -0.9 < r < -0.3
                 and np.diff(np.sort(right)).min() > 0.01
                 and (np.abs(right - right.round(4)) > 1e-6)[[0, 1, 3]].all())
    return {"hand_pairs": np.array([x, y]), "hand_penalty": np.array(penalty)}


def _rows(emoji, seed):
    """Picture rows of each part's pairs, without the few texts that have no known word."""
    vectors = text.sentence_vectors(text.concept_tokens(emoji), text.load_word_vectors())
    known, split = vectors.any(axis=1), emoji.split(salt=seed, strict=True)
    train = np.isin(emoji.pictures.concept_row, split.train[known[split.train]])
    rows = {"train": np.flatnonzero(train & np.isin(emoji.pictures.style, STYLES))}
    for part, concepts in (("validation", split.validation), ("test", split.test)):
        rows[part] = emoji.gallery(concepts[known[concepts]], seed, STYLES)
    return rows


def _texts(emoji, rows, seed):
    """Names, text vectors and random text vectors of each part's pairs."""
    vectors, tokens = text.load_word_vectors(), text.concept_tokens(emoji)
    sides = {"text": text.sentence_vectors(tokens, vectors),
             "random": text.sentence_vectors(tokens, text.random_vectors(vectors, seed))}
    names, data = np.array([name[0] for name in emoji.names["en"]]), {}
    for part in PARTS:
        concepts = emoji.pictures.concept_row[rows[part]]
        data[f"names_{part}"] = names[concepts]
        for key, side in sides.items():
            data[f"{key}_{part}"] = side[concepts].astype(np.float16)
    return data


def _images(emoji, rows):
    """Features of each part's pictures, and thumbnails of the test pictures."""
    features = vision.picture_features(emoji)
    centered = features[rows["train"]] - features[rows["train"]].mean(axis=0)
    directions = np.linalg.eigh(centered.T @ centered)[1][:, :-DIM - 1:-1]
    data = {f"image_{part}": (features[rows[part]] @ directions).astype(np.float16)
            for part in PARTS}
    pixels = emoji.load_pictures(rows["test"])
    return data | {"pictures_test": _shrink(pixels)}


def _shrink(pixels):
    """Pictures at 48 pixels, from (n, height, width, 3)."""
    return np.stack([np.asarray(Image.fromarray(image).resize((48, 48))) for image in pixels])
