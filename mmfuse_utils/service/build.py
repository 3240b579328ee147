"""How an artefact is made: from the emoji, or from a folder of the reader's own pictures."""

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version

import numpy as np
from PIL import Image

from mmfuse_utils import text, vision
from mmfuse_utils.data import load_emoji
from mmfuse_utils.data.emoji import STYLES
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
EMOJI_DATA = (*STYLES, "cldr", "emojibase", "wordnet")
SIDE = 192          # of the small pictures, at most
EXAMPLES = ["red apple", "a place to pray", "wild animal with big teeth",
            "something to write with", "happy face", "a boat on the water"]
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
    concept, weight = emoji.pictures.concept_row, EMOJI["names_weight"]
    ridge = RidgeMap(EMOJI["penalty"], "image_to_text").fit(texts[concept], features)
    names = soften(label_vectors(lexicon), texts[concept], classes)
    drawn = guess(ridge, names, weight, features, classes)
    vectors = np.zeros((len(emoji), drawn.shape[1]))
    np.add.at(vectors, concept, drawn)
    first = np.searchsorted(concept, np.arange(len(emoji)))
    items = [{"id": code, "title": name[0], "keywords": list(keywords),
              "credit": credit(emoji.pictures.style[row]), "group": group}
             for code, name, keywords, group, row in zip(
                 emoji.ids, emoji.names["en"], emoji.keywords["en"], emoji.groups, first,
                 strict=True)]
    facts = {"source": "emoji", "method": LEARNED, "settings": EMOJI | settings(),
             "counts": {"items": len(emoji), "pictures": len(concept),
                        "words": len(lexicon.words)},
             "groups": list(dict.fromkeys(emoji.groups)), "examples": EXAMPLES,
             "data": data(*EMOJI_DATA)}
    return assemble(facts, lexicon, items, vectors, ridge, names,
                    [emoji.pictures.path[row] for row in first])


def label_vectors(lexicon: Lexicon) -> np.ndarray:
    """The names of the network's classes among the words: (1000, dim)."""
    return lexicon.embed_plain(vision.imagenet_labels())


def soften(labels: np.ndarray, typical: np.ndarray, classes: np.ndarray) -> ConSE:
    """All classes' names have a say, and both sides are centered."""
    return ConSE(len(labels), TEMPERATURE, center=True).fit(labels, typical, classes)


def guess(ridge: RidgeMap | None, names: ConSE, weight: float, features: np.ndarray,
          classes: np.ndarray) -> np.ndarray:
    """Where pictures lie among the words, `weight` of it by the class names: (n, dim)."""
    named = weight * names.embed_image(classes)
    return unit_rows(named if ridge is None else
                     named + (1 - weight) * ridge.embed_image(features))


def credit(style: str) -> str:
    """Who drew the pictures of an art style, and the license.

    >>> credit("noto")
    'Noto Emoji pictures by Google, Apache-2.0'
    """
    source = SOURCES[style]
    return f"{source.what} by {source.attribution}, {source.licence}"


def settings() -> dict:
    """Settings that every artefact shares."""
    return {"dim": WIDE["dim"], "temperature": TEMPERATURE, "rare": RARE, "word_vectors": WIDE}


def data(*names: str) -> dict:
    """Version and checksum of each data package that took part."""
    return {SOURCES[name].name: {"version": SOURCES[name].version,
                                 "integrity": SOURCES[name].integrity} for name in names}


def assemble(facts: dict, lexicon: Lexicon, items: list[dict], vectors: np.ndarray,
             ridge: RidgeMap | None, names: ConSE, paths: Sequence[str]) -> Artefact:
    """The parts of an artefact in their types; without a map, one that leads nowhere."""
    small = [small_picture(path) for path in paths]
    dim = vectors.shape[1]
    coef, feature_mean = ((np.zeros((1, dim)), np.zeros(1)) if ridge is None
                          else (ridge.coef_, ridge.image_mean_))
    text_mean = names.text_mean_ if ridge is None else ridge.text_mean_
    made_with = {name: version(name) for name in ("numpy", "torch", "scikit-learn", "gensim")}
    facts |= {"built": datetime.now(UTC).isoformat(timespec="seconds"), "made_with": made_with}
    return Artefact(
        facts, lexicon.words, items, lexicon.rows, unit_rows(vectors).astype(np.float32),
        np.float32(text_mean), np.float32(coef), np.float32(feature_mean),
        np.float32(names.label_vectors_), np.float32(names.image_mean_),
        np.cumsum([len(data) for data in small]), np.frombuffer(b"".join(small), np.uint8))


def small_picture(path: str) -> bytes:
    """A picture file as a small WebP picture, upright, with its transparency."""
    [picture] = read_pictures([path])
    picture.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=85, method=4)
    return buffer.getvalue()
