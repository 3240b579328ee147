"""An artefact of the reader's own folder of pictures, with captions or without."""

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np

from mmfuse_utils import vision
from mmfuse_utils.data import Collection
from mmfuse_utils.data.collection import CaptionTable
from mmfuse_utils.fusion import ConSE, RidgeMap
from mmfuse_utils.metrics import mean_reciprocal_rank, ranks
from mmfuse_utils.retrieval import unit_rows
from mmfuse_utils.service.artefact import Artefact
from mmfuse_utils.service.build import (LEARNED, assemble, data, guess, label_vectors, settings,
                                        soften, word_table)
from mmfuse_utils.service.eye import Eye
from mmfuse_utils.service.lexicon import Lexicon

OWN = {"networks": ["efficientnet-lite0"], "size": 224}
FEW = 25            # with fewer captioned pictures nothing is learned
FOLDS = 5
PENALTIES, WEIGHTS = (1.0, 10.0, 100.0, 1000.0), (1.0, 0.75, 0.5, 0.25, 0.0)
MOST_GROUPS, MOST_LETTERS = 50, 300
# What people type, to center on where there are no captions; see the chapter on own pictures.
TYPICAL = ("two dogs on a beach", "a child playing in the snow", "people at a table", "a red car",
           "a boat on the water", "flowers in a garden", "a man riding a bicycle", "mountains",
           "a cat on a sofa", "a birthday cake", "children playing football", "a bird in a tree",
           "a woman with a hat", "city at night", "sunset over the sea", "a plate of food",
           "a horse in a field", "friends at a party", "an old house", "a train at the station",
           "a dog jumping over a fence", "rain on a window", "a market with fruit", "a portrait")
NAMED = ("A word2vec vector of the phrase, rare words first, is compared by cosine with each "
         "picture's place among the words: the mean of the names of the network's classes, "
         "weighted by their softened probabilities. Nothing was learned from captions.")


def build_own(collection: Collection, digests: Sequence[str]) -> Artefact:
    """An artefact of pictures of one's own; digests : what each of their files holds, hashed.

    Class names alone place the pictures where fewer than `FEW` have a caption in English. Else a
    ridge map is learned from the captions, too; its penalty and the weight of the class names are
    those that find the most in parts that were held back, the names alone among the choices.
    """
    lexicon, eye = word_table(), Eye(OWN)
    features, classes = eye.join([vision.picture_features(collection, backbone, OWN["size"])
                                  for backbone in eye.backbones])
    said = _captions(collection, lexicon)
    labels, typical = label_vectors(lexicon), lexicon.embed_plain(TYPICAL)
    ridge, weight, penalty = None, 1.0, None
    if len(np.unique(said.concept_row)) >= FEW:
        typical = lexicon.embed_plain(said.text)
        weight, penalty = choose(collection, said, typical, features, classes, labels)
    if weight < 1:
        ridge = RidgeMap(penalty, "image_to_text").fit(typical, features[said.concept_row])
    names = _center(soften(labels, typical, classes), digests)
    facts = {"source": "folder", "method": NAMED if ridge is None else LEARNED,
             "settings": OWN | settings() | {"names_weight": weight, "penalty": penalty},
             "counts": {"items": len(collection), "pictures": len(collection),
                        "captions": len(said), "words": len(lexicon.words)},
             "groups": _groups(collection.ids), "examples": _examples(said),
             "data": data("wordnet")}
    return assemble(facts, lexicon, _items(collection, digests, facts["groups"]),
                    guess(ridge, names, weight, features, classes), ridge, names,
                    collection.pictures.path)


def _captions(collection: Collection, lexicon: Lexicon) -> CaptionTable:
    """The English captions of which a word is known."""
    if "en" not in collection.captions:
        return CaptionTable(np.arange(0), ())
    table = collection.caption_table(lang="en")
    kept = [row for row, text in enumerate(table.text) if len(lexicon.read(text).rows)]
    return CaptionTable(table.concept_row[kept], tuple(table.text[row] for row in kept))


def choose(collection: Collection, said: CaptionTable, texts: np.ndarray, features: np.ndarray,
           classes: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Weight of the class names and penalty of the map that find most of what is held back.

    A fifth of the captioned pictures is held back in turn, and found by its captions among its
    own; what counts is the mean of one over the place of the right picture.
    """
    pictured, scores = np.unique(said.concept_row), Counter()
    for fold in range(FOLDS):
        held = pictured[fold::FOLDS]
        asks = np.isin(said.concept_row, held)
        learn, mean = said.concept_row[~asks], texts[~asks].mean(axis=0)
        asked = CaptionTable(said.concept_row[asks], tuple(np.array(said.text, object)[asks]))
        right = collection.right_answers(asked, held)
        names = soften(labels, texts[~asks], classes)
        for penalty in PENALTIES:
            ridge = RidgeMap(penalty, "image_to_text").fit(texts[~asks], features[learn])
            for weight in WEIGHTS:
                rows = guess(ridge, names, weight, features[held], classes[held])
                scores[weight, penalty] += mean_reciprocal_rank(
                    ranks(unit_rows(texts[asks] - mean) @ rows.T, right))
    return max(scores, key=scores.get)      # of equal ones the first: the names alone


def _center(names: ConSE, digests: Sequence[str]) -> ConSE:
    """A single picture is its own mean, which would leave nothing: then the classes' mean."""
    if len(set(digests)) < 2:
        names.image_mean_ = names.label_vectors_.mean(axis=0)
    return names


def _groups(ids: Sequence[str]) -> list[str]:
    """The folder's first subfolders, as groups of pictures, unless they are too many."""
    found = sorted({_group(name) for name in ids} - {""})
    return found if len(found) <= MOST_GROUPS else []


def _group(name: str) -> str:
    return name.split("/")[0] if "/" in name else ""


def _examples(said: CaptionTable) -> list[str]:
    """A few phrases to try: short captions, else phrases that people type."""
    short = [text for text in dict.fromkeys(said.text) if len(text) <= 60]
    step = max(1, len(short) // 6)
    return short[::step][:6] or list(TYPICAL[:6])


def _items(collection: Collection, digests: Sequence[str], groups: Sequence[str]) -> list[dict]:
    """Titles are first captions, or the files' names; an id tells what a file holds, not where."""
    seen, items = Counter(), []
    captions = zip(*collection.captions.values(), strict=True) if collection.captions else (
        [()] * len(collection))
    for name, digest, told in zip(collection.ids, digests, captions, strict=True):
        texts = [text[:MOST_LETTERS] for entry in told for text in entry]
        title, *others = texts or [PurePosixPath(name).stem]
        again = f"-{seen[digest]}" if seen[digest] else ""
        seen[digest] += 1
        group = _group(name)
        items.append({"id": digest[:16] + again, "title": title, "keywords": others,
                      "credit": "your own picture", "group": group if group in groups else ""})
    return items
