"""Every emoji placed among the words by maps that have seen neither it nor anything near it.

The concepts are dealt into five parts, in the order by which the book's first split is drawn; the
first part is that split's test set. For each part, a method learns from the other concepts, less
the hundred after the part and all near-duplicates, as in a strict split, and then places the
part's pictures. As all maps lead to the same word vectors, the places of all parts can be searched
together. Settings are the fixed ones of the chapter on the ladder; none is chosen here.
"""

from pathlib import Path

import numpy as np

from mmfuse_utils import ladder, text, video, vision
from mmfuse_utils.cache import cache_dir, content_key, load_kept
from mmfuse_utils.data.clips import load_clips
from mmfuse_utils.data.collection import N_TEST, N_VALIDATION, Split, near_duplicates
from mmfuse_utils.data.splits import drop_near, hash_text
from mmfuse_utils.fusion import ConSE, KernelMap, RidgeMap
from mmfuse_utils.retrieval import unit_rows

ROOT = Path(__file__).resolve().parent.parent
PENALTY, TEMPERATURE, NAMES_WEIGHT = 1.0, 4.0, 0.5
# Words that say how a phrase is built, not what it is about.
FUNCTION_WORDS = ("a an and at by for from in is it its of on or some that the this to where "
                  "which who with").split()
MADE_BY = ("fusion", "ladder", "text", "video", "vision", "word2vec", "estimators", "data/clips",
           "data/emoji", "data/near", "data/splits", "data/collection", "data/words")


def folds(emoji):
    """Strict splits whose test parts are all concepts; the first is that of salt 0."""
    order = np.array(sorted(range(len(emoji)), key=lambda i: hash_text(f"0:{emoji.ids[i]}")))
    near, found = near_duplicates(emoji), []
    for start in range(0, len(order), N_TEST):
        size, rest = min(N_TEST, len(order) - start), np.roll(order, -start)
        test, validation, train = np.split(rest, [size, size + N_VALIDATION])
        found.append(drop_near(Split(train, validation, test),
                               near[:, np.concatenate([validation, test])]))
    return found


def content_words(phrase):
    """Tokens of a phrase without `FUNCTION_WORDS`."""
    return [word for word in text.tokenize(phrase) if word not in FUNCTION_WORDS]


def picture_places(emoji, splits, gallery):
    """Where the pictures of a gallery lie: by name (n_concepts, 100), and means (n_folds, 100).

    "seen" is the odd one out, for comparison: a ridge map that has learned from all concepts.
    """
    texts = ladder.mean_texts(emoji, text.load_word_vectors())
    features = vision.picture_features(emoji)
    images, opinion = ladder.three_networks(emoji)
    n, dim = texts.concepts.shape
    found = {name: np.zeros((n, dim)) for name in ("ridge", "kernel", "names")}
    for name in ("ridge", "kernel", "names"):
        found[f"{name}_mean"] = np.zeros((len(splits), dim))
    found["conse"] = ConSE().fit(texts.labels).embed_image(
        vision.class_probabilities(features)[gallery])
    every = RidgeMap(PENALTY, "image_to_text").fit(
        texts.concepts[emoji.pictures.concept_row], features)
    found["seen"], found["seen_mean"] = (every.embed_image(features[gallery]),
                                         every.text_mean_[None])
    for fold, split in enumerate(splits):
        task, shown = ladder.Task(emoji, split, 0), gallery[split.test]
        pairs = texts.concepts[task.pairs]
        ridge = RidgeMap(PENALTY, "image_to_text").fit(pairs, features[task.train])
        kernel = KernelMap(PENALTY).fit(pairs, images[task.train])
        names = ConSE(len(texts.labels), TEMPERATURE, center=True).fit(
            texts.labels, texts.concepts[split.train], opinion[task.train])
        for name, model, seen in (("ridge", ridge, features), ("kernel", kernel, images),
                                  ("names", names, opinion)):
            found[name][split.test] = model.embed_image(seen[shown])
            found[f"{name}_mean"][fold] = model.text_mean_
    return found


def clip_places(emoji, split):
    """Clips of the split's test subjects: their rows, places among the words, and the mean."""
    clips = load_clips(emoji)
    vectors, said = video.clip_features(clips), text.sentence_vectors(
        [content_words(caption) for caption in clips.caption], text.load_word_vectors())
    train, shown = (np.flatnonzero(np.isin(clips.subject_row, part))
                    for part in (split.train, split.test))
    model = RidgeMap(PENALTY, "image_to_text").fit(said[train], vectors[train])
    return {"clip_rows": shown, "clips": model.embed_image(vectors[shown]),
            "clips_mean": model.text_mean_[None]}


def looks(emoji, gallery, k=12):
    """The k pictures whose features are nearest to those of each: (n_concepts, k)."""
    rows = unit_rows(vision.picture_features(emoji)[gallery])
    cosines = rows @ rows.T
    np.fill_diagonal(cosines, -np.inf)
    return np.argsort(-cosines, axis=1, kind="stable")[:, :k]


def placed(emoji):
    """All of the above for one picture a concept, by name; kept in the cache."""
    sources = [Path(__file__), *(ROOT / "mmfuse_utils" / f"{name}.py" for name in MADE_BY)]
    key = content_key([path.read_bytes() for path in (ROOT / "requirements.txt", *sources)])

    def make(path):
        splits, gallery = folds(emoji), emoji.gallery(range(len(emoji)))
        fold = np.zeros(len(emoji), int)
        for number, split in enumerate(splits):
            fold[split.test] = number
        with path.open("wb") as file:
            np.savez(file, gallery=gallery, fold=fold, looks=looks(emoji, gallery),
                     **picture_places(emoji, splits, gallery), **clip_places(emoji, splits[0]))

    return load_kept(cache_dir() / "live" / f"{key}.npz", make,
                     lambda path: dict(np.load(path, allow_pickle=False)))
