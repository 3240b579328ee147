"""How an artefact is made: from the emoji, or from a folder of the reader's own pictures."""

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version

import numpy as np
from PIL import Image

from mmfuse_utils import text, vision
from mmfuse_utils.data import Collection, load_emoji
from mmfuse_utils.data.pictures import read_pictures
from mmfuse_utils.data.sources import SOURCES
from mmfuse_utils.fusion import ConSE, RidgeMap
from mmfuse_utils.retrieval import unit_rows
from mmfuse_utils.service.artefact import Artefact
from mmfuse_utils.service.eye import Eye
from mmfuse_utils.service.lexicon import Lexicon
from mmfuse_utils.word2vec import WIDE, load_wide_vectors

RARE = 0.001        # a word's weight is RARE / (RARE + its share of the corpus)
TEMPERATURE = 4.0   # of the class names, as in the chapters on the ladder and on own pictures
EMOJI = {"networks": ["efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"],
         "size": 128, "penalty": 1.0, "names_weight": 0.4}
SIDE = 192          # of the small pictures, at most
EXAMPLES = ["red apple", "a place to pray", "wild animal with big teeth", "something to write with",
            "happy face", "a boat on the water"]
LEARNED = ("A word2vec vector of the phrase, rare words first, is compared by cosine with each "
           "picture's place among the words: a ridge map from image features, learned from "
           "captions, and the softened names of the network's classes, added.")


def word_table() -> Lexicon:
    """The book's word vectors of 300 numbers, each as long as its word's weight.

    Rare words say more: see the chapter on your own pictures. The mean is still zero.
    """
    vectors = load_wide_vectors()
    counts = np.array([vectors.get_vecattr(word, "count") for word in vectors.index_to_key])
    rows = unit_rows(vectors.vectors) * (RARE / (RARE + counts / counts.sum()))[:, None]
    words = [word for word in vectors.index_to_key if text.tokenize(word) == [word]]
    rows = rows[[vectors.key_to_index[word] for word in words]]
    return Lexicon(words, rows.astype(np.float16), np.zeros(rows.shape[1], np.float32))


def build_emoji() -> Artefact:
    """The emoji as an artefact, a row a concept: the mean of its drawings.

    It is a product, not an experiment: its map has learned from all concepts, those too that the
    book's chapters hold back for testing.
    """
    emoji, lexicon, eye = load_emoji(), word_table(), Eye(EMOJI)
    texts = lexicon.embed_plain([" ".join(words) for words in text.concept_tokens(emoji)])
    features, classes = eye.join([vision.picture_features(emoji, backbone, EMOJI["size"])
                                  for backbone in eye.backbones])
    concept = emoji.pictures.concept_row
    ridge = RidgeMap(EMOJI["penalty"], "image_to_text").fit(texts[concept], features)
    labels = lexicon.embed_plain(vision.imagenet_labels())
    names = ConSE(len(labels), TEMPERATURE, center=True).fit(labels, texts[concept], classes)
    weight = EMOJI["names_weight"]
    rows = unit_rows((1 - weight) * ridge.embed_image(features)
                     + weight * names.embed_image(classes))
    vectors = np.zeros((len(emoji), rows.shape[1]))
    np.add.at(vectors, concept, rows)
    first = np.searchsorted(concept, np.arange(len(emoji)))
    items = [{"id": code, "title": name[0], "keywords": list(keywords),
              "credit": credit(emoji.pictures.style[row]), "group": group}
             for code, name, keywords, group, row in zip(
                 emoji.ids, emoji.names["en"], emoji.keywords["en"], emoji.groups, first,
                 strict=True)]
    facts = {"source": "emoji", "method": LEARNED, "settings": EMOJI | _settings(),
             "counts": {"items": len(emoji), "pictures": len(concept), "words": len(lexicon.words)},
             "groups": list(dict.fromkeys(emoji.groups)), "examples": EXAMPLES,
             "data": _data(name for name in SOURCES if name not in ("cedict", "mathjax"))}
    return _assemble(facts, lexicon, items, vectors, ridge, names,
                     [emoji.pictures.path[row] for row in first])


def credit(style: str) -> str:
    """Who drew the pictures of an art style, and the license.

    >>> credit("noto")
    'Noto Emoji pictures by Google, Apache-2.0'
    """
    source = SOURCES[style]
    return f"{source.what} by {source.attribution}, {source.licence}"


def _settings() -> dict:
    return {"dim": WIDE["dim"], "temperature": TEMPERATURE, "rare": RARE, "word_vectors": WIDE}


def _data(names: Sequence[str]) -> dict:
    """Version and checksum of each data package that took part."""
    return {SOURCES[name].name: {"version": SOURCES[name].version,
                                 "integrity": SOURCES[name].integrity} for name in names}


def _assemble(facts: dict, lexicon: Lexicon, items: list[dict], vectors: np.ndarray,
              ridge: RidgeMap | None, names: ConSE, paths: Sequence[str]) -> Artefact:
    """The parts of an artefact in their types."""
    small = [small_picture(path) for path in paths]
    text_mean = np.float32(names.text_mean_ if ridge is None else ridge.text_mean_)
    made_with = {name: version(name) for name in ("numpy", "torch", "scikit-learn", "gensim")}
    facts |= {"built": datetime.now(UTC).isoformat(timespec="seconds"), "made_with": made_with}
    return Artefact(
        facts, lexicon.words, items, lexicon.rows, unit_rows(vectors).astype(np.float32),
        text_mean, np.float32(ridge.coef_), np.float32(ridge.image_mean_),
        np.float32(names.label_vectors_), np.float32(names.image_mean_),
        np.cumsum([len(data) for data in small]), np.frombuffer(b"".join(small), np.uint8))


def small_picture(path: str) -> bytes:
    """A picture file as a small WebP picture, upright, with its transparency."""
    [picture] = read_pictures([path])
    picture.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=85, method=4)
    return buffer.getvalue()
