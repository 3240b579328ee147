"""Where a drawing or a photograph lies among the book's words and emoji, by its small network.

A ridge map leads from the network's features to word vectors. It learns from all drawings of all
emoji, and from the outlines of one drawing of each, which are what a reader's pen makes. For
photographs the names of the network's classes have a say, as in the chapter on the service.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import grey_dilation
from skimage.filters import sobel

from mmfuse_utils import text, vision
from mmfuse_utils.cache import cache_dir, content_key, keep
from mmfuse_utils.data import load_emoji
from mmfuse_utils.data.near import STOP_WORDS
from mmfuse_utils.data.pictures import file_digests, load_images
from mmfuse_utils.fusion import ConSE, RidgeMap
from mmfuse_utils.retrieval import unit_rows
from mmfuse_utils.service.build import EMOJI, guess, soften

PENALTY = 0.3
REPEATED = 3            # outlines count as often, as there is one for six drawings
EDGE, PEN = 0.08, 3     # how steep an edge is, of 1, and how wide the pen, in pixels
# How much the names of the classes count, by what a picture is.
NAMES_WEIGHT = {"drawing": 0.0, "photograph": EMOJI["names_weight"]}
SALT = 1                # draws the pictures whose outlines are learned


def outline(picture):
    """A picture as a pen would draw it: (size, size, 3) to the same, uint8, black on white.

    >>> outline(np.zeros((8, 8, 3), np.uint8)).min()
    255
    """
    steep = np.max([sobel(picture[..., color] / 255) for color in range(3)], axis=0)
    drawn = np.where(grey_dilation(steep, PEN) > EDGE, 0, 255).astype(np.uint8)
    return np.repeat(drawn[..., None], 3, axis=-1)


def outline_features(paths):
    """The network's features of the outlines of picture files, kept in the cache: (n, 1280)."""
    network = vision.load_backbone()
    key = content_key("outlines", EDGE, PEN, network.name, network.weights, file_digests(paths))
    path = cache_dir() / "features" / f"outlines-{key}.npy"

    def make(target):
        batches = [paths[i:i + 64] for i in range(0, len(paths), 64)]
        rows = [vision.extract_features(np.stack([outline(picture) for picture in load_images(
            batch)])) for batch in batches]
        with target.open("wb") as file:
            np.save(file, np.concatenate(rows))

    return np.load(keep(path, make))


@dataclass(frozen=True)
class Pairs:
    """Pictures and outlines by their rows, with the concept of each, and what is said of it."""

    emoji: object
    texts: np.ndarray           # (n_concepts, 100)
    features: np.ndarray        # (n_pictures, 1280)
    outlined: np.ndarray        # (n_outlines,) picture rows
    outlines: np.ndarray        # (n_outlines, 1280)

    @property
    def concept(self):
        """The concept of each picture: (n_pictures,)."""
        return self.emoji.pictures.concept_row


def load_pairs():
    """All emoji with the outlines of one drawing each."""
    emoji = load_emoji()
    texts = text.sentence_vectors(text.concept_tokens(emoji), text.load_word_vectors())
    outlined = emoji.gallery(range(len(emoji)), SALT)
    return Pairs(emoji, texts, vision.picture_features(emoji), outlined,
                 outline_features([emoji.pictures.path[row] for row in outlined]))


@dataclass(frozen=True)
class Space:
    """What was learned: the map, the class names, the words and the places of the emoji."""

    ridge: RidgeMap
    names: ConSE
    words: tuple
    word_rows: np.ndarray       # (n_words, 100), rows of length 1
    emoji_rows: np.ndarray      # (n_concepts, 100), rows of length 1

    def place(self, features, kind):
        """Where pictures of a kind of `NAMES_WEIGHT` lie, by their features: (n, 100)."""
        classes = vision.class_probabilities(features)
        return guess(self.ridge, self.names, NAMES_WEIGHT[kind], features, classes)


def learn(pairs, rows=None, outlines=None, texts=None):
    """Learn from pictures and outlines.

    rows : the pictures to learn from; outlines : which of the outlines; both all if not given.
    texts : other vectors of the concepts, as a control.
    """
    texts = pairs.texts if texts is None else texts
    rows = np.arange(len(pairs.features)) if rows is None else rows
    outlines = np.arange(len(pairs.outlined)) if outlines is None else outlines
    seen = np.concatenate([pairs.features[rows], *REPEATED * [pairs.outlines[outlines]]])
    said = np.concatenate([pairs.concept[rows],
                           *REPEATED * [pairs.concept[pairs.outlined[outlines]]]])
    ridge = RidgeMap(PENALTY, "image_to_text").fit(texts[said], seen)
    vectors, labels = text.load_word_vectors(), vision.imagenet_labels()
    named = text.sentence_vectors([text.tokenize(label) for label in labels], vectors)
    names = soften(named, texts, vision.class_probabilities(pairs.features[rows]))
    drawn = np.zeros_like(texts, dtype=float)
    np.add.at(drawn, pairs.concept[rows], ridge.embed_image(pairs.features[rows]))
    words = picturable_words(pairs.emoji, vectors)
    table = unit_rows(np.array([vectors[word] for word in words]))
    return Space(ridge, names, words, table, unit_rows(drawn))


def picturable_words(emoji, vectors):
    """Words of the emoji's names and keywords and of the classes' names, in order."""
    told = [*text.concept_tokens(emoji), *map(text.tokenize, vision.imagenet_labels())]
    return tuple(sorted({word for words in told for word in words if word in vectors}
                        - STOP_WORDS))
