"""Do explanations name the regions that a match is due to? For the chapter "Why this picture?".

    python benchmarks/why.py            # some ten minutes on one core; writes why.json
    python benchmarks/why.py --quick    # few pictures of one split; writes nothing

Three splits (salts). Ridge regression maps pictures to texts; each test picture meets its own text,
and each method says how much each of the 4 x 4 regions contributes to the cosine. Then regions are
painted white in that order (deletion), or shown alone on white in that order (insertion), and the
network looks again. Rivals are a random order, the center first, and the ink first. Validation says
which explanation is the best. What was finished is kept in the cache, and an interrupted run goes
on there.
"""

import argparse
import json
import platform
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from gensim.models import KeyedVectors
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score
from sklearn.metrics.pairwise import rbf_kernel
from torch import nn
from torch.nn import functional
from tqdm import tqdm

from mmfuse_utils import text, vision
from mmfuse_utils.cache import cache_dir, content_key, write_then_rename
from mmfuse_utils.data import Collection
from mmfuse_utils.fusion import KernelMap, RidgeMap
from mmfuse_utils.metrics import chance_hit_at_k, mean_reciprocal_rank, ranks
from mmfuse_utils.protocol import Protocol, load_protocol
from mmfuse_utils.retrieval import top_k, unit_rows

OUTPUT = Path(__file__).with_suffix(".json")
SALTS = range(3)
PENALTIES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
SIDE, CELLS, PIXELS = 4, 16, 32             # regions a side and in all; pixels a side of a region
LEVELS = (2, 4, 8)                          # how many regions are deleted or inserted
WHITE, GRAY = 255, 128                      # what a deleted region is painted with
STEPS = 8                                   # of integrated gradients
RATES, EPOCHS, BATCH, HEAT = (0.001, 0.003, 0.01), 30, 256, 0.1     # of the attention
SHUFFLES, PAIRS, REACHED, CHECKED = 100, 50, 60, 120
KERNEL_PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
VERSION = 1                                 # another one computes all parts again
METHODS = ("regions", "less white", "occlusion", "integrated", "gradient")


# Models: feature maps to unit vectors among the texts

class Head(nn.Module):
    """Regions (n, 1280, 4, 4) to unit vectors (n, dim): the mean region, centered and mapped."""

    def __init__(self, model: RidgeMap) -> None:
        super().__init__()
        self.mean, self.coef = (torch.from_numpy(np.float32(part))
                                for part in (model.image_mean_, model.coef_))

    def values(self, maps: torch.Tensor) -> torch.Tensor:
        """Each region mapped: (n, 16, dim)."""
        return (maps.flatten(2).transpose(1, 2) - self.mean) @ self.coef

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return functional.normalize((maps.mean((2, 3)) - self.mean) @ self.coef, dim=1)

    def parts(self, maps: torch.Tensor, texts: torch.Tensor) -> torch.Tensor:
        """What each region adds to the product with the picture's own text: (n, 16)."""
        return torch.einsum("nrd,nd->nr", self.values(maps), texts)


class AttentionHead(Head):
    """A weighted mean of regions in place of the plain one; the weights are a softmax."""

    def __init__(self, model: RidgeMap) -> None:
        super().__init__(model)
        self.look = nn.Linear(len(self.mean), 1)
        self.turn = nn.Linear(self.coef.shape[1], self.coef.shape[1], bias=False)
        nn.init.zeros_(self.look.weight)            # begins as the plain mean
        nn.init.eye_(self.turn.weight)

    def weights(self, maps: torch.Tensor) -> torch.Tensor:
        """Attention of each region: (n, 16), rows sum to 1."""
        return self.look(maps.flatten(2).transpose(1, 2) - self.mean)[..., 0].softmax(dim=1)

    def values(self, maps: torch.Tensor) -> torch.Tensor:
        return self.turn(super().values(maps)) * self.weights(maps)[..., None]

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return functional.normalize(self.values(maps).sum(dim=1), dim=1)


def fit_ridge(protocol: Protocol, texts: np.ndarray | None = None) -> RidgeMap:
    """Ridge regression from pictures to texts, its penalty by validation."""
    return protocol.choose([RidgeMap(penalty, "image_to_text").fit(*protocol.pairs(texts))
                            for penalty in PENALTIES], texts)


def train_attention(protocol: Protocol, model: RidgeMap, maps: Callable[[np.ndarray], torch.Tensor]
                    ) -> AttentionHead:
    """The head with the best mean reciprocal rank on validation, over rates and epochs."""
    texts = torch.from_numpy(np.float32(model.embed_text(protocol.texts)))
    concepts = protocol.emoji.pictures.concept_row[protocol.train]
    shown, held = maps(protocol.train), maps(protocol.held).float()
    best = (-1.0, None)
    for rate in RATES:
        torch.manual_seed(0)
        head = AttentionHead(model)
        optimizer = torch.optim.Adam(head.parameters(), lr=rate)
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(shown)).split(BATCH):
                loss = contrast(head(shown[rows].float()), texts[concepts[rows]], concepts[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            with torch.inference_mode():
                table = (texts[protocol.split.validation] @ head(held).T).numpy()
            score = mean_reciprocal_rank(ranks(table, np.arange(len(table))))
            if score > best[0]:
                best = score, {name: part.clone() for name, part in head.state_dict().items()}
    head.load_state_dict(best[1])
    return head.requires_grad_(False)


def contrast(image: torch.Tensor, text: torch.Tensor, concepts: np.ndarray) -> torch.Tensor:
    """InfoNCE both ways; other pictures of the same concept are no wrong answers."""
    scores, n = image @ text.T / HEAT, len(image)
    same = torch.from_numpy(concepts[:, None] == concepts) & ~torch.eye(n, dtype=torch.bool)
    scores = scores.masked_fill(same, -torch.inf)
    own = torch.arange(n)
    return (functional.cross_entropy(scores, own) + functional.cross_entropy(scores.T, own)) / 2


# Pictures with regions painted over

def paint(images: np.ndarray, deleted: np.ndarray, ground: int = WHITE) -> np.ndarray:
    """Pictures (n, 128, 128, 3) whose regions in `deleted`, (n, 16) bool, have one color.

    >>> paint(np.zeros((1, 128, 128, 3), np.uint8), np.arange(16)[None] == 0)[0, 31:33, 0, 0]
    array([255,   0], dtype=uint8)
    """
    mask = deleted.reshape(-1, SIDE, SIDE).repeat(PIXELS, axis=1).repeat(PIXELS, axis=2)
    return np.where(mask[..., None], np.uint8(ground), images)


def cells(pixels: np.ndarray) -> np.ndarray:
    """Sums over each region: (n, 128, 128) to (n, 16)."""
    return pixels.reshape(-1, SIDE, PIXELS, SIDE, PIXELS).sum(axis=(2, 4)).reshape(-1, CELLS)


def ink(images: np.ndarray) -> np.ndarray:
    """How far each region is from white, 0 to 1: (n, 16)."""
    return cells(1 - images.mean(axis=3) / WHITE) / PIXELS**2


def center() -> np.ndarray:
    """How near each region is to the middle: (16,)."""
    far = (np.arange(SIDE) - (SIDE - 1) / 2)**2
    return -(far[:, None] + far).ravel()


def ordered(importance: np.ndarray, seed: Sequence[int]) -> np.ndarray:
    """Rank of each region, 0 for the most important; ties are broken at random: (n, 16)."""
    shake = np.random.default_rng(seed).random(importance.shape)
    return np.lexsort((shake, -importance)).argsort(axis=1)


def deletions(order: np.ndarray) -> np.ndarray:
    """What is deleted at each level: (n, 2, levels, 16) bool, by deletion and by insertion."""
    levels = np.array(LEVELS)[:, None]
    return np.stack([order[:, None] < levels, order[:, None] >= levels], axis=1)


class _Maps(nn.Module):
    """A network's last maps, as a module of their own."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.network.extract_features(pixels)


class Network:
    """The backbone up to its last feature maps, with frozen weights."""

    def __init__(self, name: str = vision.DEFAULT) -> None:
        backbone = vision.load_backbone(name)
        backbone.maps.__self__.requires_grad_(False)
        self.backbone = backbone
        with torch.no_grad(), warnings.catch_warnings():    # frozen, it takes 3/4 of the time
            warnings.simplefilter("ignore", FutureWarning)
            self.fast = torch.jit.freeze(torch.jit.trace(
                _Maps(backbone.maps.__self__).eval(), torch.zeros(8, 3, 128, 128).contiguous(
                    memory_format=torch.channels_last)))

    def tensor(self, images: np.ndarray) -> torch.Tensor:
        """Normalized pictures for the network."""
        return self.backbone.preprocess(torch.from_numpy(images).permute(0, 3, 1, 2))

    @torch.inference_mode()
    def maps(self, images: np.ndarray) -> torch.Tensor:
        """Last feature maps: (n, 1280, 4, 4)."""
        return torch.cat([self.fast(self.tensor(images[i:i + 8]))
                          for i in range(0, len(images), 8)])


# Explanations: how much each region matters for the cosine with the picture's own text, (n, 16)

def explain_maps(head: Head, maps: torch.Tensor, white: torch.Tensor, texts: torch.Tensor
                 ) -> dict[str, np.ndarray]:
    """The exact parts of a linear map, and the same less the parts of a white picture."""
    parts = head.parts(maps, texts)
    return {"regions": parts.numpy(),
            "less white": (parts - head.parts(white.expand_as(maps), texts)).numpy()}


def occlusion(network: Network, heads: Sequence[Head], images: np.ndarray,
              texts: Sequence[torch.Tensor]) -> list[np.ndarray]:
    """Fall of the cosine when one region is painted white, by head."""
    found = [np.zeros((len(images), CELLS)) for _ in heads]
    for row, image in enumerate(images):
        one_by_one = np.concatenate([np.zeros((1, CELLS), bool), np.eye(CELLS, dtype=bool)])
        maps = network.maps(paint(np.repeat(image[None], CELLS + 1, axis=0), one_by_one))
        for table, head, text in zip(found, heads, texts, strict=True):
            cosine = (head(maps) @ text[row]).numpy()
            table[row] = cosine[0] - cosine[1:]
    return found


def pixel_gradients(network: Network, heads: Sequence[Head], images: np.ndarray,
                    texts: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Gradient of each head's cosine by the pixels: (n, 3, 128, 128) each."""
    pixels = (images if isinstance(images, torch.Tensor) else network.tensor(images))
    pixels = pixels.clone().requires_grad_(True)
    maps = network.backbone.maps(pixels)
    sums = [(head(maps) * text).sum() for head, text in zip(heads, texts, strict=True)]
    return [torch.autograd.grad(total, pixels, retain_graph=True)[0] for total in sums]


def by_gradients(network: Network, heads: Sequence[Head], images: np.ndarray,
                 texts: Sequence[torch.Tensor]) -> list[dict[str, np.ndarray]]:
    """Saliency, sizes of gradients summed over a region, and integrated gradients from white."""
    found = [{"integrated": [], "gradient": []} for _ in heads]
    for i in range(0, len(images), 8):
        now = [text[i:i + 8] for text in texts]
        pixels = network.tensor(images[i:i + 8])
        away = pixels - 1.0                             # white is 1 for this network
        sums = [0.0] * len(heads)
        for step in range(STEPS):
            path = 1.0 + away * ((step + 0.5) / STEPS)
            sums = [total + gradient for total, gradient in zip(
                sums, pixel_gradients(network, heads, path, now), strict=True)]
        for table, total, plain in zip(found, sums, pixel_gradients(network, heads, pixels, now),
                                       strict=True):
            table["integrated"].append(cells((total * away / STEPS).sum(1).numpy()))
            table["gradient"].append(cells(plain.abs().sum(1).numpy()))
    return [{name: np.concatenate(rows) for name, rows in table.items()} for table in found]


# One split

@dataclass
class Case:
    """Pictures of a split with their texts, by model: the words', random words', attention's."""

    salt: int
    images: np.ndarray
    heads: dict[str, Head]
    texts: dict[str, torch.Tensor]


def explain(network: Network, case: Case, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Explanations as "model: method", (n, 16) each: all of them for the first of the models in
    `names`; parts and occlusion for the others."""
    heads = [case.heads[name] for name in names]
    texts = [case.texts[name][:len(case.images)] for name in names]
    maps = network.maps(case.images)
    white = network.maps(np.full((1, *case.images.shape[1:]), WHITE, np.uint8))
    found = {}
    for name, head, own, hidden in zip(names, heads, texts,
                                       occlusion(network, heads, case.images, texts), strict=True):
        found |= {f"{name}: {method}": table for method, table in explain_maps(
            head, maps, white, own).items()}
        found[f"{name}: occlusion"] = hidden
    for method, table in by_gradients(network, heads[:1], case.images, texts[:1])[0].items():
        found[f"{names[0]}: {method}"] = table
    found.pop("random: less white", None)
    return found


def priors(case: Case) -> dict[str, np.ndarray]:
    """Orders that know nothing of model and text."""
    n = len(case.images)
    rng = np.random.default_rng([case.salt, n])
    return {"random": rng.random((n, CELLS)), "center": np.tile(center(), (n, 1)),
            "ink": ink(case.images)}


def follow(network: Network, case: Case, orders: np.ndarray, ground: int = WHITE,
           sides: int = 2) -> dict[str, np.ndarray]:
    """Cosines as regions go and come, by model, and ranks of the right text by the words' model.

    orders : (n_orders, n, 16). sides : 1 for deletion alone, 2 for insertion, too.
    Returns (n, n_orders, sides, levels + 2), from no region to all.
    """
    shape = len(case.images), len(orders), sides, len(LEVELS) + 2
    found = {name: np.zeros(shape, np.float32) for name in (*case.heads, "rank")}
    empty = cells((case.images == ground).all(axis=3)) == PIXELS**2
    for row, image in enumerate(tqdm(case.images, desc=f"Salt {case.salt}", mininterval=30)):
        both = np.zeros((*shape[1:], CELLS), bool)
        both[:, :, 1:-1] = deletions(orders[:, row])[:, :sides]
        both[:, 0, -1], both[:, 1:, 0] = True, True
        masks, where = np.unique(both.reshape(-1, CELLS) & ~empty[row], axis=0,
                                 return_inverse=True)
        maps = network.maps(paint(np.repeat(image[None], len(masks), axis=0), masks, ground))
        for name, head in case.heads.items():
            table = (head(maps) @ case.texts[name].T).numpy()
            found[name][row] = table[where, row].reshape(shape[1:])
            if name == "words":
                place = (table >= table[:, [row]]).sum(axis=1)      # ties count against
                found["rank"][row] = place[where].reshape(shape[1:])
    return found


def load_models(protocol: Protocol, network: Network) -> tuple[dict[str, RidgeMap],
                                                               dict[str, Head]]:
    """Ridge with word vectors and with random ones, their heads, and the attention's."""
    emoji, models = protocol.emoji, {"words": fit_ridge(protocol),
                                     "random": fit_ridge(protocol, protocol.random_texts)}
    heads = {name: Head(model) for name, model in models.items()}

    def maps(rows: np.ndarray) -> torch.Tensor:
        return torch.cat([network.maps(emoji.load_pictures(rows[i:i + 64])).half()
                          for i in range(0, len(rows), 64)])

    heads["attention"] = train_attention(protocol, models["words"], maps)
    return models, heads


def make_case(protocol: Protocol, salt: int, part: str, models: dict, heads: dict) -> Case:
    """The test or the validation pictures of a split."""
    rows, concepts = ((protocol.gallery, protocol.split.test) if part == "test" else
                      (protocol.held, protocol.split.validation))
    texts = {"words": models["words"].embed_text(protocol.texts[concepts]),
             "random": models["random"].embed_text(protocol.random_texts[concepts])}
    texts["attention"] = texts["words"]
    return Case(salt, protocol.emoji.load_pictures(rows), heads,
                {name: torch.from_numpy(np.float32(texts[name])) for name in heads})


def rank_correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Spearman's correlation of the regions' order, a picture at a time: (n,).

    >>> rank_correlation(np.arange(16.0)[None], -np.arange(16.0)[None]).round(6).tolist()
    [-1.0]
    """
    first, second = (rankdata(table, axis=1) - (CELLS + 1) / 2 for table in (first, second))
    lengths = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    return (first * second).sum(axis=1) / np.where(lengths > 0, lengths, 1)


def sanity(network: Network, case: Case, protocol: Protocol, model: RidgeMap,
           own: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """How much explanations resemble those of other texts, shuffled pairs, an untrained network.

    Asked for the first pictures alone.
    """
    image = protocol.pairs()[1]
    mixed = np.random.default_rng(case.salt).permutation(len(protocol.emoji))
    concepts = protocol.emoji.pictures.concept_row[protocol.train]
    known = np.unique(concepts)
    place = dict(zip(known, mixed[np.isin(mixed, known)], strict=True))
    shuffled = Head(RidgeMap(model.alpha, "image_to_text").fit(
        protocol.texts[[place[concept] for concept in concepts]], image))
    own = {name: table[:CHECKED] for name, table in own.items()}
    plain = Case(case.salt, case.images[:CHECKED], {"words": case.heads["words"]},
                 {"words": case.texts["words"]})
    others = {"other text": (network, replace(plain, texts={
                  "words": plain.texts["words"].roll(1, dims=0)})),
              "shuffled pairs": (network, replace(plain, heads={"words": shuffled})),
              "untrained network": (Network("random"), plain)}
    found = {}
    for name, (net, other) in others.items():
        tables = explain(net, other, ["words"])
        found |= {f"{name}: {method}": rank_correlation(
            own[f"words: {method}"], tables[f"words: {method}"]) for method in METHODS}
    dark = ink(plain.images)
    return found | {f"ink: {method}": rank_correlation(own[f"words: {method}"], dark)
                    for method in METHODS}


# Sums over pictures

def area(curves: np.ndarray) -> np.ndarray:
    """Mean of a curve over the share of regions, by trapezoids: (..., levels + 2) to (...)."""
    return np.trapezoid(curves, np.array([0, *LEVELS, CELLS]) / CELLS, axis=-1)


# Without pixels: words, concepts, nearest words, training pairs

def word_order(texts: Sequence[Sequence[str]], vectors: KeyedVectors, model: RidgeMap,
               images: np.ndarray) -> np.ndarray:
    """Mean cosine while words go, by order: (n, 5), not a number where fewer than four are known.

    Columns: the whole text; the largest part first; at random; the most frequent word of the
    text first; the largest fall first.
    """
    found = np.full((len(texts), 5), np.nan)
    for row, (tokens, image) in enumerate(zip(texts, model.embed_image(images), strict=True)):
        words = [word for word in dict.fromkeys(tokens) if word in vectors]
        if len(words) < 4:
            continue
        counts = np.array([tokens.count(word) for word in words])
        units = unit_rows(vectors[words]) * counts[:, None]

        def cosine(kept: Sequence[int], units=units, image=image) -> float:
            summed = units[kept].sum(axis=0)
            said = summed / np.linalg.norm(summed) - model.text_mean_
            return float(said @ image / np.linalg.norm(said))

        every, rng = np.arange(len(words)), np.random.default_rng(row)
        whole, shaken = cosine(every), rng.random(len(words)) / 2
        falls = [whole - cosine(np.delete(every, word)) for word in every]
        first = [np.argsort(-(units @ image)), *(rng.permutation(every) for _ in range(5)),
                 np.argsort(shaken - counts), np.argsort(-np.array(falls))]
        means = [np.mean([cosine(order[n:]) for n in every[1:]]) for order in first]
        found[row] = whole, means[0], np.mean(means[1:6]), means[6], means[7]
    return found


def concept_labels(collection: Collection) -> np.ndarray:
    """Which concepts are animals, food, or faces, by their subgroups and groups: (n, 3) bool."""
    groups, kinds = np.array(collection.groups), np.array(collection.subgroups)
    return np.stack([np.char.startswith(kinds, "animal"), groups == "food-drink",
                     np.char.startswith(kinds, "face")], axis=1)


def concept_pull(protocol: Protocol, model: RidgeMap, texts: np.ndarray) -> dict:
    """How concept directions among the features move the match with each test text.

    Also the probe's scores of the test pictures, and areas under the curve of directions from
    shuffled labels.
    """
    labels, owner = concept_labels(protocol.emoji), protocol.emoji.pictures.concept_row
    known, rng = np.unique(owner[protocol.train]), np.random.default_rng(0)
    mixed = np.repeat(labels[None], SHUFFLES, axis=0)
    for table in mixed:
        table[known] = table[rng.permutation(known)]
    wanted = np.concatenate([labels, *mixed], axis=1)[owner[protocol.train]].astype(float)
    probe = RidgeMap(1.0, "image_to_text").fit(wanted, protocol.features[protocol.train])
    pull = model.embed_text(texts) @ (probe.coef_.T @ model.coef_).T
    right = labels[protocol.split.test]
    areas = [[roc_auc_score(right[:, i], pull[:, 3 * n + i]) for i in range(3)]
             for n in range(1, SHUFFLES + 1)]
    seen = protocol.features[protocol.gallery] @ probe.coef_[:, :3]
    return {"pull": rounded(pull[:, :3] / pull[:, :3].std(axis=0)), "shuffled": rounded(areas),
            "seen": rounded(seen / seen.std(axis=0)), "labels": right.astype(int).tolist()}


def nearest_words(protocol: Protocol, model: RidgeMap, vectors: KeyedVectors) -> list[int]:
    """Whether one of the ten words nearest to each test picture is one of its own."""
    tokens = text.concept_tokens(protocol.emoji)
    words = [word for word in dict.fromkeys(chain(*tokens)) if word in vectors]
    rows = unit_rows(unit_rows(vectors[words]) - model.text_mean_)
    found = top_k(model.embed_image(protocol.features[protocol.gallery]) @ rows.T, 10)
    return [int(bool({words[i] for i in row} & set(tokens[concept])))
            for row, concept in zip(found, protocol.split.test, strict=True)]


def word_chance(protocol: Protocol, vectors: KeyedVectors) -> float:
    """The same for ten words drawn at random."""
    tokens = text.concept_tokens(protocol.emoji)
    n = len({word for word in chain(*tokens) if word in vectors})
    own = [len({word for word in tokens[concept] if word in vectors})
           for concept in protocol.split.test]
    return float(np.mean([chance_hit_at_k(n, 10, k) if k else 0.0 for k in own]))


def pairs_part(protocol: Protocol, texts: np.ndarray, n: int = PAIRS) -> dict:
    """Fall of the cosine by the kernel map when n training pairs are taken away, by which ones."""
    model = protocol.choose([KernelMap(penalty).fit(*protocol.pairs(texts))
                             for penalty in KERNEL_PENALTIES], texts)
    text_rows = model.embed_text(texts[protocol.split.test])
    near = rbf_kernel(protocol.features[protocol.gallery], model.image_, gamma=model.gamma_)
    parts = near * (text_rows @ model.dual_coef_.T)
    kernel = rbf_kernel(model.image_, gamma=model.gamma_).astype(float)
    inverse = np.linalg.inv(kernel + model.alpha * np.eye(len(kernel)))
    owner, rng = protocol.emoji.pictures.concept_row[protocol.train], np.random.default_rng(0)
    alike, falls, held = texts[owner] @ texts[protocol.split.test].T, [], []
    for row in range(len(near)):
        guess = near[row] @ model.dual_coef_
        whole = text_rows[row] @ guess / np.linalg.norm(guess)
        chosen = (np.argsort(-parts[row])[:n], np.argsort(-near[row])[:n],
                  rng.permutation(len(kernel))[:n], np.argsort(-alike[:, row])[:n])
        lesser = [without(guess, near[row], some, inverse, model.dual_coef_) for some in chosen]
        falls.append([whole - text_rows[row] @ less / np.linalg.norm(less) for less in lesser])
        sizes = np.sort(np.abs(parts[row]))[::-1]
        held.append([sizes[:10].sum() / sizes.sum(), sizes[:n].sum() / sizes.sum()])
    return {"alpha": model.alpha, "n": len(kernel), "falls": rounded(falls, 5),
            "held": rounded(np.mean(held, axis=0), 5),
            "whole": rounded((text_rows * model.embed_image(
                protocol.features[protocol.gallery])).sum(axis=1))}


def without(guess: np.ndarray, near: np.ndarray, some: np.ndarray, inverse: np.ndarray,
            weights: np.ndarray) -> np.ndarray:
    """A kernel map's guess, had it been fitted without some pairs (center and width as before).

    inverse : of the kernel with its penalty. weights : `dual_coef_`.
    """
    change = np.linalg.solve(inverse[np.ix_(some, some)], weights[some])
    return guess - near @ inverse[:, some] @ change


def reach(network: Network, images: np.ndarray) -> list[list[float]]:
    """Where the maps change when a region is painted white: shares by distance, a row a picture.

    Distance 0 is the region itself, 1 its neighbors (diagonal ones, too), and so on. Regions that
    are white already are left out.
    """
    row, column = np.divmod(np.arange(CELLS), SIDE)
    far = np.maximum(abs(row[:, None] - row), abs(column[:, None] - column))
    found = []
    for image in images:
        masks = np.concatenate([np.zeros((1, CELLS), bool), np.eye(CELLS, dtype=bool)])
        maps = network.maps(paint(np.repeat(image[None], CELLS + 1, axis=0), masks)).flatten(2)
        change = (maps[1:] - maps[0]).square().sum(dim=1).numpy()       # (hidden, changed)
        change = change[change.sum(axis=1) > 0]
        kept = far[(paint(np.repeat(image[None], CELLS, axis=0), masks[1:])
                    != image).any(axis=(1, 2, 3))]
        found.append([float(change[kept == step].sum() / change.sum()) for step in range(SIDE)])
    return rounded(found)


def without_pixels(salt: int) -> dict:
    """The parts that need no painted pictures (but for the reach of regions), for one split."""
    protocol, vectors = load_protocol(salt), text.load_word_vectors()
    tokens = text.concept_tokens(protocol.emoji)
    said = [tokens[concept] for concept in protocol.split.test]
    images, result = protocol.features[protocol.gallery], {}
    for name, table, words in (("words", protocol.texts, vectors),
                               ("random", protocol.random_texts, text.random_vectors(vectors))):
        model = fit_ridge(protocol, table)
        result[name] = {
            "word_order": [None if np.isnan(row[0]) else rounded(row)
                           for row in word_order(said, words, model, images)],
            "concepts": concept_pull(protocol, model, table[protocol.split.test]),
            "nearest": nearest_words(protocol, model, words), "pairs": pairs_part(protocol, table)}
    return result | {"chance": word_chance(protocol, vectors), "reach": reach(
        Network(), protocol.emoji.load_pictures(protocol.gallery[:REACHED]))}


def one_split(salt: int, most: int | None) -> dict:
    """Everything that is asked of one split; `most` pictures for a trial."""
    protocol, network = load_protocol(salt), Network()
    models, heads = load_models(protocol, network)
    result = {"alpha": {name: model.alpha for name, model in models.items()}}
    for part in ("validation", "test"):
        case = make_case(protocol, salt, part, models, heads)
        case.images = case.images[:most]
        orders, n = explain(network, case, ["words", "random"]), len(case.images)
        own = dict(orders)
        if part == "test":
            maps = network.maps(case.images)
            orders["attention: weights"] = heads["attention"].weights(maps).numpy()
            orders["words: other text"] = heads["words"].parts(
                maps, case.texts["words"].roll(1, dims=0)[:n]).numpy()
        orders |= priors(case)
        tables = {name: ordered(table, [salt, i]) for i, (name, table) in enumerate(orders.items())}
        result[part] = {"curves": follow(network, case, np.array(list(tables.values())),
                                         sides=2 if part == "test" else 1), "orders": list(tables)}
        if part == "test":
            some = ["random", "center", "ink", "words: regions", "words: less white",
                    "words: occlusion"]
            gray = follow(network, case, np.array([tables[name] for name in some]), GRAY, sides=1)
            result |= {"gray": {"curves": gray, "orders": some},
                "subgroups": protocol.subgroups[:most].tolist(),
                "hits": {name: hits_of(head, network, case, name) for name, head in heads.items()}}
            if salt == 0:
                result["sanity"] = sanity(network, case, protocol, models["words"], own)
    return packed(result)


def hits_of(head: Head, network: Network, case: Case, name: str) -> list[int]:
    """Whether each whole picture is among the first ten of its text."""
    table = (case.texts[name][:len(case.images)] @ head(network.maps(case.images)).T).numpy()
    return (ranks(table, np.arange(len(table))) <= 10).astype(int).tolist()


def model_of(order: str) -> str:
    """The model that an order explains; the words' for those that explain none."""
    return order.split(": ")[0] if ": " in order else "words"


def packed(result: dict) -> dict:
    """Curves as areas a picture, and their levels' means, ready for JSON."""
    for part in ("validation", "test", "gray"):
        curves, orders = result[part]["curves"], result[part]["orders"]
        if part == "gray":                              # its cosines alone
            curves.pop("attention"), curves.pop("random")
        areas = {}
        for i, order in enumerate(orders):
            for model in [model_of(order)] if ": " in order else [
                    name for name in curves if name != "rank"]:
                areas[f"{model}: {order.split(': ')[-1]}"] = rounded(
                    area(curves[model][:, i]).T)
        hits = curves["rank"] <= 10
        result[part] = {
            "areas": areas, "whole": {model: rounded(curves[model][:, 0, 0, 0])
                                      for model in curves if model != "rank"},
            "empty": {model: rounded(curves[model][:, 0, 0, -1])
                      for model in curves if model != "rank"},
            "hit_areas": {order: rounded(area(hits[:, i]).T) for i, order in enumerate(orders)
                          if model_of(order) == "words"},
            "levels": {order: rounded(curves[model_of(order)][:, i].mean(axis=0), 5)
                       for i, order in enumerate(orders)},
            "hit_levels": {order: rounded(hits[:, i].mean(axis=0), 5)
                           for i, order in enumerate(orders) if model_of(order) == "words"}}
    result["sanity"] = {name: rounded(values) for name, values in
                        result.get("sanity", {}).items()}
    return result


def rounded(values: np.ndarray, digits: int = 4) -> list:
    """A table as lists of short numbers."""
    return np.round(np.asarray(values, float), digits).tolist()


def main() -> None:
    """Run the parts and, unless --quick, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few pictures; writes nothing")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    torch.backends.mkldnn.deterministic = True
    key = content_key(VERSION, PENALTIES, LEVELS, STEPS, RATES, EPOCHS, BATCH, HEAT,
                      load_protocol().features[::100], quick)
    memory = cache_dir() / "why" / f"{key}.json"
    content = json.loads(memory.read_text("utf8")) if memory.exists() else {}
    for salt in SALTS if not quick else SALTS[:1]:
        if str(salt) not in content:
            content[str(salt)] = one_split(salt, 6 if quick else None)
            save(memory, content)
    for salt in SALTS if not quick else ():
        if f"plain {salt}" not in content:
            content[f"plain {salt}"] = without_pixels(salt)
            save(memory, content)
    result = {"date": time.strftime("%Y-%m-%d"), "python": platform.python_version(),
              "numpy": np.__version__, "torch": torch.__version__, "settings": {
                  "penalties": PENALTIES, "levels": LEVELS, "cells": CELLS, "steps": STEPS,
                  "rates": RATES, "epochs": EPOCHS, "batch": BATCH, "heat": HEAT,
                  "pairs": PAIRS, "shuffles": SHUFFLES, "kernel_penalties": KERNEL_PENALTIES},
              "salts": [content[str(salt)] for salt in (SALTS if not quick else SALTS[:1])],
              "plain": [content[f"plain {salt}"] for salt in SALTS if not quick]}
    if not quick:
        save(OUTPUT, result)
    else:
        print({name: np.mean(table, axis=1).round(3).tolist()
               for name, table in result["salts"][0]["test"]["areas"].items()})


def save(path: Path, content: dict) -> None:
    """Write a JSON file whole or not at all."""
    with write_then_rename(path) as temporary:
        temporary.write_text(json.dumps(content) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
