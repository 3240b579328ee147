"""Text, picture, clip and both: what names a thing, and what happens when a sense fails?

    python benchmarks/two_senses.py            # some ten minutes on one core; writes JSON
    python benchmarks/two_senses.py --quick    # one split, fewer damages; writes nothing

For each salt, the models learn from the training concepts of the strict split, validation chooses
every setting, and the test concepts are asked once, with one picture each: whole, and damaged in
the ways and amounts of `DAMAGES`. The JSON holds which test concepts each model put right, packed
into bits, one text a salt, in the order of `concepts`. What was finished is kept in the cache,
and an interrupted run goes on there.
"""

import argparse
import base64
import copy
import json
import platform
import time
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import sklearn
import torch
from PIL import Image, ImageFilter
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn import functional
from tqdm import tqdm

from mmfuse_utils import text, video, vision
from mmfuse_utils.cache import cache_dir, cached_array, content_key, write_then_rename
from mmfuse_utils.data import Collection, load_clips
from mmfuse_utils.data.splits import hash_text
from mmfuse_utils.fusion import RidgeMap
from mmfuse_utils.protocol import Protocol, load_protocol
from mmfuse_utils.retrieval import unit_rows

OUTPUT = Path(__file__).with_suffix(".json")
SALTS = range(5)
PENALTIES = (1e-4, 3e-4, 0.001, 0.003, 0.01)         # inverse ones, C
RATES, DIM, DROPOUT, PATIENCE = (0.001, 0.004, 0.016), 64, 0.3, 5
WEIGHTS = (0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 1.0)             # of the text in late fusion
MAP_PENALTIES = (0.1, 0.3, 1.0, 3.0, 10.0)
FEWEST = 3                              # training concepts of a subgroup that is asked for
BOTH, TEXT, IMAGE, NEITHER = (1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)
DAMAGES = {"blur": (2, 4, 8), "cover": (0.25, 0.5, 0.75), "noise": (32, 64, 128),
           "drop": (0.25, 0.5, 0.75), "misspell": (0.25, 0.5, 0.75)}
FRAMES = (1, 2, 4)                      # of a clip that is cut short
ALLOWED = 0.05                          # errors among the answers that are given


# Damage

def rng_of(*parts: object) -> np.random.Generator:
    """Random numbers that depend on these parts alone."""
    return np.random.default_rng(int(hash_text(":".join(map(str, parts)))[:12], 16))


def damage_picture(picture: np.ndarray, kind: str, amount: float, name: str) -> np.ndarray:
    """A picture, (height, width, 3) uint8, blurred, covered by a gray square, or noisy.

    amount : radius of the blur in pixels, share of the area that is covered, or standard
        deviation of the noise in gray levels. name : draws place and noise.
    """
    if kind == "blur":
        return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(amount)))
    rng = rng_of(kind, name)
    if kind == "noise":
        noisy = picture + rng.standard_normal(picture.shape) * amount
        return noisy.clip(0, 255).astype(np.uint8)
    side = round(len(picture) * amount**0.5)
    top, left = (rng.random(2) * (len(picture) - side + 1)).astype(int)
    covered = picture.copy()
    covered[top:top + side, left:left + side] = 128
    return covered


def damage_words(words: Sequence[str], kind: str, amount: float, name: str) -> list[str]:
    """Words of which some are left out, or have two neighboring letters swapped.

    amount : share of the words, rounded; the larger damage contains the smaller.

    >>> damage_words(["cat"], "misspell", 1.0, "") in (["act"], ["cta"])
    True
    """
    rng = rng_of(kind, name)
    chosen = set(rng.permutation(len(words))[:round(amount * len(words))].tolist())
    if kind == "drop":
        return [word for i, word in enumerate(words) if i not in chosen]
    places = rng.random(len(words))
    return [swap(word, places[i]) if i in chosen else word for i, word in enumerate(words)]


def swap(word: str, place: float) -> str:
    """Two different neighboring letters change places; `place`, from 0 to 1, says which."""
    pairs = [i for i in range(len(word) - 1) if word[i] != word[i + 1]]
    if not pairs:
        return word + word
    i = pairs[int(place * len(pairs))]
    return word[:i] + word[i + 1] + word[i] + word[i + 2:]


def wrong_partner(labels: Sequence[str], salt: int, others: bool) -> np.ndarray:
    """For each concept the number of another: of another group, or of the same group.

    Where a group has one member alone, its partner is of another group in either case.
    """
    labels, rng = np.asarray(labels), rng_of("wrong", salt, others)
    partner = np.empty(len(labels), int)
    for i, label in enumerate(labels):
        fits = (labels != label) if others else (labels == label)
        fits[i] = False
        partner[i] = rng.choice(np.flatnonzero(fits if fits.any() else labels != label))
    return partner


# Data of one salt

class Task:
    """Texts, pictures and labels of the parts of a split, and a test that is damaged.

    senses : "word2vec" or "random" texts, "pictures" or "untrained" ones, a row a concept or a
    picture of the collection, at length 1.
    """

    def __init__(self, protocol: Protocol, untrained: np.ndarray, tokens: list) -> None:
        self.protocol, self.emoji, self.tokens = protocol, protocol.emoji, tokens
        self.texts = {"word2vec": protocol.texts, "random": protocol.random_texts}
        self.pictures = {"pictures": unit_rows(protocol.features),
                         "untrained": unit_rows(untrained)}
        split = protocol.split
        shown = self.emoji.pictures.concept_row
        self.rows = {"train": (shown[protocol.train], protocol.train),
                     "validation": (split.validation, protocol.held),
                     "test": (split.test, protocol.gallery)}

    def parts(self, names: Sequence[str], texts: str = "word2vec", pictures: str = "pictures"
              ) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Standardized texts and pictures, and class numbers, by part; names : a class a concept.

        Both halves are centered on the training pairs and divided by one number.
        """
        labels = np.unique(names, return_inverse=True)[1]
        x, y, (c, p) = self.texts[texts], self.pictures[pictures], self.rows["train"]
        self.scale = scaling(x[c], y[p])
        x_mean, y_mean, spread = self.scale
        return {part: (standardize(x[c], x_mean, spread), standardize(y[p], y_mean, spread),
                       labels[c]) for part, (c, p) in self.rows.items()}


def scaling(x: np.ndarray, y: np.ndarray) -> tuple:
    """Mean rows of texts and pictures, and one spread for both."""
    means = x.mean(axis=0), y.mean(axis=0)
    spread = np.sqrt(np.concatenate([(x - means[0]).var(axis=0), (y - means[1]).var(axis=0)]
                                    ).mean())
    return (*means, spread)


def standardize(rows: np.ndarray, mean: np.ndarray, spread: float) -> np.ndarray:
    """Rows less their mean, divided by a number, as float32."""
    return ((rows - mean) / spread).astype(np.float32)


# Models: each gives class probabilities for texts, pictures and what is present

Model = Callable[[np.ndarray, np.ndarray, tuple[float, float]], np.ndarray]


def logistic(parts: dict, cases: Sequence[tuple[float, float]]) -> Model:
    """Logistic regression on texts and pictures side by side; a missing half is zeros.

    cases : what is present in training, (text, picture); every row is shown in each. Validation
    chooses the penalty, by its mean loss over the cases.
    """
    x, y, labels = parts["train"]
    rows = np.vstack([np.hstack([x * a, y * b]) for a, b in cases])
    used = rows.any(axis=0)
    fitted = [LogisticRegression(C=C, max_iter=500, tol=1e-3).fit(
        rows[:, used], np.tile(labels, len(cases))) for C in PENALTIES]

    def probabilities(model: LogisticRegression, x: np.ndarray, y: np.ndarray,
                      present: tuple[float, float]) -> np.ndarray:
        found = model.predict_proba(np.hstack([x * present[0], y * present[1]])[:, used])
        whole = np.full((len(x), labels.max() + 1), 1e-9)
        whole[:, model.classes_] = found
        return whole

    x, y, held = parts["validation"]
    best = min(fitted, key=lambda model: sum(log_loss_of(probabilities(model, x, y, case), held)
                                             for case in cases))
    return lambda x, y, present: probabilities(best, x, y, present)


def log_loss_of(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative log probability of the right class."""
    return float(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12)).mean())


def late(parts: dict, text_model: Model, image_model: Model) -> Model:
    """Weighted geometric mean of two models' probabilities; a sense that is missing is left out.

    Validation chooses the weight.
    """
    def joined(x: np.ndarray, y: np.ndarray, present: tuple[float, float], weight: float
               ) -> np.ndarray:
        shares = np.array([weight, 1 - weight]) * present
        logs = [share * np.log(model(x, y, sense)) for share, model, sense in zip(
            shares / max(shares.sum(), 1e-9), (text_model, image_model), (TEXT, IMAGE),
            strict=True)]
        found = np.exp(logs[0] + logs[1])
        return found / found.sum(axis=1, keepdims=True)

    x, y, held = parts["validation"]
    best = min(WEIGHTS, key=lambda weight: log_loss_of(joined(x, y, BOTH, weight), held))
    return lambda x, y, present: joined(x, y, present, best)


class Network(nn.Module):
    """Gated or attention fusion as in the chapter on joint spaces; concatenation, too."""

    def __init__(self, design: str, n_text: int, n_image: int, n_classes: int) -> None:
        super().__init__()
        self.design = design
        self.text, self.image = nn.Linear(n_text, DIM), nn.Linear(n_image, DIM)
        self.gate = nn.Linear(n_text + n_image, DIM)
        self.key, self.question = nn.Linear(DIM, DIM), nn.Parameter(torch.randn(DIM))
        self.out, self.dropout = nn.Linear(DIM, n_classes), nn.Dropout(DROPOUT)

    def forward(self, x: torch.Tensor, y: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        x, y = self.dropout(x) * present[:, :1], self.dropout(y) * present[:, 1:]
        if self.design == "concatenation network":
            return self.out(torch.tanh(self.text(x) + self.image(y)))
        hx, hy = torch.tanh(self.text(x)), torch.tanh(self.image(y))
        if self.design == "gate":
            share = torch.sigmoid(self.gate(torch.cat([x, y], dim=1)))
        else:
            tokens = torch.stack([hx, hy], dim=1)
            scores = self.key(tokens) @ self.question / DIM**0.5
            share = scores.masked_fill(present == 0, -1e9).softmax(dim=1)[:, :1]
        return self.out(share * hx + (1 - share) * hy)


def network(parts: dict, design: str, cases: Sequence[tuple[float, float]], seed: int) -> Model:
    """A trained network; the rate and the epoch are those of the lowest validation loss."""
    tensors = {part: tuple(map(torch.from_numpy, found)) for part, found in parts.items()}
    fitted = [train(tensors, design, cases, rate, seed) for rate in RATES]
    best = min(fitted, key=lambda found: found[1])[0]

    def probabilities(x: np.ndarray, y: np.ndarray, present: tuple[float, float]) -> np.ndarray:
        return outputs(best, torch.from_numpy(x), torch.from_numpy(y), present
                       ).softmax(dim=1).double().numpy()

    return probabilities


@torch.inference_mode()
def outputs(model: Network, x: torch.Tensor, y: torch.Tensor, present: tuple[float, float]
            ) -> torch.Tensor:
    """Scores of the classes."""
    return model.eval()(x, y, torch.tensor(present).expand(len(x), 2))


def train(tensors: dict, design: str, cases: Sequence[tuple[float, float]], rate: float,
          seed: int) -> tuple[Network, float]:
    """The best epoch's network and its mean validation loss over the cases."""
    x, y, labels = tensors["train"]
    torch.manual_seed(seed)
    model = Network(design, x.shape[1], y.shape[1], int(labels.max()) + 1)
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=0.1)
    blanks, lowest, waited = torch.tensor(cases), np.inf, 0
    while waited < PATIENCE:
        model.train()
        for rows in torch.randperm(len(x)).split(512):
            present = blanks[torch.randint(len(cases), (len(rows),))]
            loss = functional.cross_entropy(model(x[rows], y[rows], present), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        held = tensors["validation"]
        score = np.mean([functional.cross_entropy(outputs(model, *held[:2], case), held[2]).item()
                         for case in cases])
        waited += 1
        if score < lowest:
            lowest, waited, kept = score, 0, copy.deepcopy(model.state_dict())
    model.load_state_dict(kept)
    return model, lowest


TAUGHT = (BOTH, TEXT, IMAGE)            # modality dropout


def all_models(parts: dict, seed: int) -> dict[str, Model]:
    """Models by name; "taught" ones have met a missing sense in training."""
    found = {"text": logistic(parts, [TEXT]), "image": logistic(parts, [IMAGE]),
             "concatenation": logistic(parts, [BOTH]),
             "concatenation, taught": logistic(parts, TAUGHT)}
    found["late"] = late(parts, found["text"], found["image"])
    for design in ("gate", "attention"):
        found[design] = network(parts, design, [BOTH], seed)
        found[f"{design}, taught"] = network(parts, design, TAUGHT, seed)
    return found


# The parts of the study, each for one salt

def pack(values: np.ndarray) -> str:
    """Truth values as text, eight to a byte."""
    return base64.b64encode(np.packbits(values)).decode()


def right(probabilities: np.ndarray, labels: np.ndarray) -> str:
    """Which are put right, packed."""
    return pack(probabilities.argmax(axis=1) == labels)


def group_part(task: Task, salt: int, damages: dict) -> dict:
    """Groups of the test concepts, whole and damaged, with controls; and confidences."""
    emoji, test = task.emoji, task.protocol.split.test
    parts = task.parts(emoji.groups)
    models, scale = all_models(parts, salt), task.scale
    x, y, labels = parts["test"]
    clean = {name: model(x, y, BOTH) for name, model in models.items()}
    found = {"clean": {name: right(p, labels) for name, p in clean.items()},
             "no picture": {name: right(model(x, y, TEXT), labels)
                            for name, model in models.items()},
             "no text": {name: right(model(x, y, IMAGE), labels)
                         for name, model in models.items()}}
    wrong = wrong_partner(np.array(emoji.groups)[test], salt, others=True)
    found["wrong picture"] = {name: right(model(x, y[wrong], BOTH), labels)
                              for name, model in models.items()}
    found["wrong picture, partner"] = {name: right(model(x, y[wrong], BOTH), labels[wrong])
                                       for name, model in models.items()}
    for kind, amount in ((kind, amount) for kind, amounts in damages.items()
                         for amount in amounts):
        rows = damaged(task, scale, kind, amount, x, y)
        found[f"{kind} {amount}"] = {name: right(model(*rows, BOTH), labels)
                                     for name, model in models.items()}
    found["controls"] = controls(task, salt)
    found["majority"] = pack(labels == np.bincount(parts["train"][2]).argmax())
    found["confidence"] = {name: confidence(models[name], parts, y[wrong]) for name in (
        "text", "image", "concatenation", "gate, taught", "attention, taught", "late")}
    return found


def damaged(task: Task, scale: tuple, kind: str, amount: float, x: np.ndarray, y: np.ndarray
            ) -> tuple[np.ndarray, np.ndarray]:
    """Test texts and pictures, the ones or the others damaged."""
    emoji, test, gallery = task.emoji, task.protocol.split.test, task.protocol.gallery
    names = [emoji.ids[concept] for concept in test]
    if kind in ("drop", "misspell"):
        words = [damage_words(task.tokens[concept], kind, amount, name)
                 for concept, name in zip(test, names, strict=True)]
        rows = text.sentence_vectors(words, text.load_word_vectors())
        return standardize(rows, scale[0], scale[2]), y
    changed = np.stack([damage_picture(picture, kind, amount, name) for picture, name in zip(
        emoji.load_pictures(gallery), names, strict=True)])
    rows = cached_array("two_senses", content_key("damaged", changed),
                        lambda: vision.extract_features(changed))
    return x, standardize(unit_rows(rows), scale[1], scale[2])


def controls(task: Task, salt: int) -> dict[str, str]:
    """The same with random word vectors, an untrained network for pictures, and both."""
    found = {}
    for suffix, texts, pictures in (("", "random", "untrained"), (" words", "random", "pictures"),
                                    (" pictures", "word2vec", "untrained")):
        parts = task.parts(task.emoji.groups, texts, pictures)
        x, y, labels = parts["test"]
        models = {"concatenation": logistic(parts, [BOTH])}
        if not suffix:
            models |= {"text": logistic(parts, [TEXT]), "image": logistic(parts, [IMAGE])}
            models["late"] = late(parts, models["text"], models["image"])
            models |= {design: network(parts, design, [BOTH], salt)
                       for design in ("gate", "attention")}
        found |= {f"{name}, random{suffix}": right(model(x, y, BOTH), labels)
                  for name, model in models.items()}
    return found


def tempered(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities whose scores are divided by a temperature."""
    found = np.maximum(probabilities, 1e-12) ** (1 / temperature)
    return found / found.sum(axis=1, keepdims=True)


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The temperature with the lowest loss.

    >>> sure = np.array([[0.99, 0.01]] * 4)
    >>> fit_temperature(sure, np.array([0, 0, 0, 1])) > 2
    True
    """
    return float(np.exp(minimize_scalar(
        lambda log: log_loss_of(tempered(probabilities, np.exp(log)), labels),
        bounds=(-3, 3), method="bounded").x))


def threshold(confidence: np.ndarray, correct: np.ndarray, allowed: float = ALLOWED) -> float:
    """The lowest confidence from which on at most this share is wrong; 1 if there is none.

    >>> threshold(np.array([0.9, 0.8, 0.7]), np.array([True, True, False]))
    0.8
    """
    order = np.argsort(-confidence, kind="stable")
    errors = np.cumsum(~correct[order]) / np.arange(1, len(order) + 1)
    fits = np.flatnonzero(errors <= allowed)
    return float(confidence[order][fits[-1]]) if len(fits) else 1.0


def confidence(model: Model, parts: dict, wrong: np.ndarray) -> dict:
    """How sure a model is of its test answers, before and after validation set a temperature.

    "wrong" : after, with another concept's picture. "threshold" : of the confidence after, so
    that at most 5 % of the validation concepts above are wrong.
    """
    x, y, held = parts["validation"]
    shown = model(x, y, BOTH)
    temperature = fit_temperature(shown, held)
    after = tempered(shown, temperature)
    found = {"temperature": round(temperature, 4), "threshold": round(threshold(
        after.max(axis=1), after.argmax(axis=1) == held), 6)}
    x, y, _ = parts["test"]
    test = model(x, y, BOTH)
    tables = {"before": test, "after": tempered(test, temperature),
              "wrong": tempered(model(x, wrong, BOTH), temperature)}
    return found | {name: pack_shares(table.max(axis=1)) for name, table in tables.items()}


def pack_shares(values: np.ndarray) -> str:
    """Shares of one as text, two bytes each."""
    return base64.b64encode(np.rint(np.asarray(values) * 65535).astype("<u2")).decode()


def subgroup_part(task: Task, salt: int) -> dict:
    """Subgroups of the test concepts: those that FEWEST training concepts have, or more."""
    names = np.array(task.emoji.subgroups)
    train = names[task.protocol.split.train]
    known = [name for name, n in zip(*np.unique(train, return_counts=True), strict=True)
             if n >= FEWEST]
    kept = np.isin(names, known)
    found = {"asked": pack(kept[task.protocol.split.test]), "classes": len(known)}
    for suffix, texts, pictures in (("", "word2vec", "pictures"),
                                    (", random", "random", "untrained")):
        parts = {part: tuple(table[kept[concepts]] for table in tables)
                 for (part, tables), (concepts, _) in zip(
                     task.parts(names, texts, pictures).items(), task.rows.values(), strict=True)}
        numbers = np.unique(parts["train"][2])
        parts = {part: (x, y, np.searchsorted(numbers, labels))
                 for part, (x, y, labels) in parts.items()}
        models = {"text": logistic(parts, [TEXT]), "image": logistic(parts, [IMAGE]),
                  "concatenation": logistic(parts, [BOTH])}
        models["late"] = late(parts, models["text"], models["image"])
        x, y, labels = parts["test"]
        found |= {name + suffix: right(model(x, y, BOTH), labels)
                  for name, model in models.items()}
    common = np.bincount(parts["train"][2]).argmax()
    return found | {"majority": pack(parts["test"][2] == common)}


def clip_part(task: Task, salt: int, clips: object, frames: np.ndarray) -> dict:
    """Groups of those test concepts that move: by text, picture, clip and what is joined.

    A clip is the mean of its frames' features. In training each clip stands beside a picture of
    its subject; in the test there is one clip a concept, cut short as well.
    """
    split, emoji = task.protocol.split, task.emoji
    rng, shown = rng_of("clips", salt), emoji.pictures.concept_row
    rows = {part: np.flatnonzero(np.isin(clips.subject_row, concepts)) for part, concepts in (
        ("train", split.train), ("validation", split.validation), ("test", split.test))}
    for part in ("validation", "test"):
        _, first = np.unique(clips.subject_row[rows[part]], return_index=True)
        rows[part] = rows[part][first]
    pictures = {"train": [rng.choice(np.flatnonzero(shown == concept))
                          for concept in clips.subject_row[rows["train"]]]}
    for part, concepts, gallery in (("validation", split.validation, task.protocol.held),
                                    ("test", split.test, task.protocol.gallery)):
        place = {concept: row for concept, row in zip(concepts, gallery, strict=True)}
        pictures[part] = [place[concept] for concept in clips.subject_row[rows[part]]]
    labels = np.unique(emoji.groups, return_inverse=True)[1]
    found = {"asked": pack(np.isin(split.test, clips.subject_row[rows["test"]]))}
    order = np.argsort(clips.subject_row[rows["test"]])
    place = {concept: i for i, concept in enumerate(clips.subject_row[rows["test"]])}
    order = [place[concept] for concept in split.test if concept in place]

    def views(name: str, part: str, n_frames: int = frames.shape[1]) -> np.ndarray:
        concepts = clips.subject_row[rows[part]]
        return {"text": lambda: task.texts["word2vec"][concepts],
                "image": lambda: task.pictures["pictures"][pictures[part]],
                "clip": lambda: unit_rows(frames[rows[part], :n_frames].mean(axis=1))}[name]()

    def table(names: Sequence[str], part: str, n_frames: int = frames.shape[1]) -> np.ndarray:
        means = [views(name, "train").mean(axis=0) for name in names]
        spread = np.concatenate([views(name, "train") for name in names], axis=1).std()
        return np.hstack([views(name, part, n_frames) - mean for name, mean in zip(
            names, means, strict=True)]).astype(np.float32) / spread

    numbers = {part: labels[clips.subject_row[rows[part]]] for part in rows}
    for names in (("text",), ("image",), ("clip",), ("text", "image"), ("text", "clip"),
                  ("image", "clip"), ("text", "image", "clip")):
        parts = {part: (table(names, part), np.zeros((len(rows[part]), 1), np.float32),
                        numbers[part]) for part in rows}
        model = logistic(parts, [TEXT])
        for n in ((*FRAMES, frames.shape[1]) if "clip" in names else frames.shape[1:2]):
            x = table(names, "test", n)
            answers = model(x, np.zeros((len(x), 1)), TEXT).argmax(axis=1) == numbers["test"]
            found[" + ".join(names) + f", {n} frames"] = pack(answers[order])
    common = np.bincount(numbers["train"]).argmax()
    return found | {"majority": pack((numbers["test"] == common)[order])}


def pair_part(task: Task, salt: int) -> dict:
    """Similarities of test texts with their own picture, another group's and their own group's."""
    emoji, protocol = task.emoji, task.protocol
    groups, found = np.array(emoji.groups), {}
    for name, texts in task.texts.items():
        x, y = protocol.validation(texts)
        partner = wrong_partner(groups[protocol.split.validation], salt, others=True)
        answers = np.repeat([1, 0], len(x))
        maps = [RidgeMap(alpha, direction).fit(*protocol.pairs(texts)) for alpha, direction in
                product(MAP_PENALTIES, ("text_to_image", "image_to_text"))]

        def detects(model: RidgeMap) -> float:
            similarity = model.similarity(x, y)
            return roc_auc_score(answers, np.concatenate([
                np.diag(similarity), similarity[np.arange(len(x)), partner]]))

        similarity = max(maps, key=detects).similarity(*protocol.test(texts))
        test, each = groups[protocol.split.test], np.arange(len(similarity))
        found[name] = {"own": np.diag(similarity), "other group": similarity[
            each, wrong_partner(test, salt, others=True)], "own group": similarity[
            each, wrong_partner(test, salt, others=False)]}
    return {name: {kind: pack_shares((values + 1) / 2) for kind, values in kinds.items()}
            for name, kinds in found.items()}


def about(task: Task) -> dict:
    """How many concepts there are, and which are tested."""
    split = task.protocol.split
    return {"train": len(split.train), "validation": len(split.validation),
            "concepts": [task.emoji.ids[concept] for concept in split.test]}


def main() -> None:
    """Run what is missing and, unless --quick, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one split; writes nothing")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    collection = load_protocol(0).emoji
    untrained = vision.picture_features(collection, vision.load_backbone("random"))
    tokens, clips = text.concept_tokens(collection), load_clips(collection)
    frames = video.clip_frame_features(clips)
    damages = {kind: amounts[-1:] if quick else amounts for kind, amounts in DAMAGES.items()}
    parts = {"about": lambda task, salt: about(task), "pairs": pair_part,
             "groups": lambda task, salt: group_part(task, salt, damages),
             "clips": lambda task, salt: clip_part(task, salt, clips, frames),
             "subgroups": subgroup_part}
    key = content_key(Path(__file__).read_text("utf8"), untrained[::100], quick)
    memory = cache_dir() / "two_senses" / f"{key}.json"
    done = json.loads(memory.read_text("utf8")) if memory.exists() else {}
    salts = SALTS[:1 if quick else None]
    for part, salt in tqdm([(part, salt) for part in parts for salt in salts
                            if f"{part} {salt}" not in done], desc="Parts and salts"):
        task = Task(load_protocol(salt), untrained, tokens)
        done[f"{part} {salt}"] = parts[part](task, salt)
        save(memory, done)
    if not quick:
        save(OUTPUT, describe([{"salt": salt} | {part: done[f"{part} {salt}"] for part in parts}
                               for salt in salts]))


def describe(salts: list[dict]) -> dict:
    """Date, versions and settings, and what was found in each salt."""
    return {"date": time.strftime("%Y-%m-%d"), "python": platform.python_version(),
            "numpy": np.__version__, "torch": torch.__version__, "sklearn": sklearn.__version__,
            "settings": {"penalties": PENALTIES, "rates": RATES, "weights": WEIGHTS,
                         "map_penalties": MAP_PENALTIES, "fewest": FEWEST, "damages": DAMAGES,
                         "frames": FRAMES, "allowed": ALLOWED}, "salts": salts}


def save(path: Path, content: dict) -> None:
    """Write a JSON file whole or not at all."""
    with write_then_rename(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
