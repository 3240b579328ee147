"""Does a second sense help a recommender, and do word vectors help a decoder say what it sees?

    python benchmarks/say_and_suggest.py            # ten minutes on one core; writes the JSON
    python benchmarks/say_and_suggest.py --quick    # small and once; writes nothing

`suggest`: simulated readers like up to ten things of the strict training concepts; one more thing
that they would like is hidden among the 200 test concepts, and ten of these are recommended.
Three worlds say what a taste is: a mixture of subgroups, of colors, or of both.
`say`: captions of clips and names of pictures, of unseen things, from a small recurrent decoder
whose word vectors differ; the nearest training caption; and a template of predicted parts. CIDEr
needs `pycocoevalcap` (the extra `benchmark`). What was finished is kept in the cache.
"""

import argparse
import json
import platform
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import gensim
import numpy as np
import torch
from matplotlib.colors import rgb_to_hsv
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn import functional
from torchmetrics.text import BLEUScore
from tqdm import tqdm

from mmfuse_utils import text
from mmfuse_utils.cache import cache_dir, content_key, write_then_rename
from mmfuse_utils.data import load_clips
from mmfuse_utils.data.near import STOP_WORDS
from mmfuse_utils.data.clips import PHRASES, with_article
from mmfuse_utils.fusion import RidgeMap
from mmfuse_utils.metrics import bootstrap_interval, mean_reciprocal_rank, ranks
from mmfuse_utils.protocol import Protocol, load_protocol
from mmfuse_utils.retrieval import unit_rows
from mmfuse_utils.significance import paired_permutation_test
from mmfuse_utils.towers import descend
from mmfuse_utils.video import clip_motion_features, clip_subject_features

OUTPUT = Path(__file__).with_suffix(".json")
SALTS, READERS, OTHERS, SKEW = range(10), 500, 2000, 0.5
LIKED, SHORTLIST = (1, 2, 3, 5, 10), 10
WORLDS, COLORS = ("subgroup", "color", "mixed"), (
    "red", "orange", "yellow", "green", "blue", "purple", "gray")
EDGES = (15, 45, 70, 165, 255, 345)     # degrees of hue between one color and the next
WEIGHTS = tuple(np.linspace(0, 1, 11).round(1).tolist())
PENALTIES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


# Readers and their tastes

def main_color(picture: np.ndarray) -> int:
    """Row in COLORS of the color that most of a drawing has; white paper does not count."""
    pixels = picture.reshape(-1, 3)
    hue, saturation, value = rgb_to_hsv(pixels[pixels.min(axis=1) < 245] / 255).T
    named = np.digitize(360 * hue, EDGES) % 6
    named[(saturation < 0.25) | (value < 0.2)] = 6
    return int(np.bincount(named, minlength=7).argmax())


@dataclass(frozen=True)
class Readers:
    """What each reader liked, in order, and the thing to be found.

    liked : rows among the things of the past, (n, 10), -1 behind the last. target : row among
        the candidates, (n,). wanted : chance that a reader takes a candidate, (n, n_candidates).
    """

    liked: np.ndarray
    target: np.ndarray
    wanted: np.ndarray


def popularity(n_kinds: int, rng: np.random.Generator) -> np.ndarray:
    """How often each kind is in a taste: one over the root of its place, drawn at random."""
    share = (1.0 + rng.permutation(n_kinds)) ** -SKEW
    return share / share.sum()


def draw_taste(kinds: np.ndarray, popular: np.ndarray, most: int,
               rng: np.random.Generator) -> np.ndarray:
    """Weights of all kinds for one reader: one to `most` of the `kinds`, the rest 0."""
    chance = popular[kinds] / popular[kinds].sum()
    most = min(most, len(kinds))
    chosen = rng.choice(kinds, rng.integers(1, most + 1), replace=False, p=chance)
    weights = np.zeros(len(popular))
    weights[chosen] = rng.dirichlet(np.ones(len(chosen)))
    return weights


def spread(weights: np.ndarray, kind: np.ndarray) -> np.ndarray:
    """The weight of each kind shared out among the things that have it: (n_things,)."""
    sizes = np.bincount(kind, minlength=len(weights))
    return weights[kind] / sizes[kind]


def draw_readers(past: list[np.ndarray], new: list[np.ndarray], popular: list[np.ndarray],
                 n: int, rng: np.random.Generator) -> Readers:
    """Readers of one world.

    past, new : for each way to tell things apart (subgroup, color), the kind of each thing of the
        past and of each candidate; with both ways, half of a taste comes from each. popular : see
        `popularity`.
    """
    liked = np.full((n, max(LIKED)), -1)
    wanted = np.zeros((n, len(new[0])))
    for reader in range(n):
        had = 0
        for before, after, share in zip(past, new, popular, strict=True):
            taste = draw_taste(np.intersect1d(before, after), share, 3, rng)
            had = had + spread(taste, before) / len(past)
            wanted[reader] += spread(taste, after) / len(past)
        count = min(max(LIKED), np.count_nonzero(had))
        liked[reader, :count] = rng.choice(len(had), count, replace=False, p=had / had.sum())
    target = np.array([rng.choice(len(row), p=row / row.sum()) for row in wanted])
    return Readers(liked, target, wanted)


# Recommending

def profile(liked: np.ndarray, things: np.ndarray) -> np.ndarray:
    """Mean of the vectors of the things that each reader liked: (n_readers, dim)."""
    known = (liked >= 0)[:, :, None]
    return (things[liked] * known).sum(axis=1) / known.sum(axis=1)


def standard(scores: np.ndarray) -> np.ndarray:
    """Each reader's scores less their mean, over their standard deviation."""
    centered = scores - scores.mean(axis=1, keepdims=True)
    return centered / np.maximum(centered.std(axis=1, keepdims=True), 1e-12)


def match(liked: np.ndarray, past: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Standardized cosine of each reader's profile with each candidate."""
    return standard(unit_rows(profile(liked, past)) @ new.T)


def found(scores: np.ndarray, target: np.ndarray) -> np.ndarray:
    """1 for each reader whose hidden thing is among the first ten, else 0."""
    return (ranks(scores, target) <= SHORTLIST).astype(float)


def best_weight(first: list[np.ndarray], second: list[np.ndarray], target: np.ndarray) -> float:
    """Share of the second score that does best on validation readers, over numbers of likes."""
    return max(WEIGHTS, key=lambda weight: np.mean([
        mean_reciprocal_rank(ranks((1 - weight) * a + weight * b, target))
        for a, b in zip(first, second, strict=True)]))


def centered(rows: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Unit rows of vectors less a mean row."""
    return unit_rows(rows - middle)


@dataclass(frozen=True)
class Shop:
    """Things of the past and candidates, by sense: two tables of unit rows each.

    kinds : of both, subgroup and color.
    """

    senses: dict[str, tuple[np.ndarray, np.ndarray]]
    kinds: dict[str, tuple[np.ndarray, np.ndarray]]


def fit_ridge(protocol: Protocol, direction: str, texts: np.ndarray) -> RidgeMap:
    """The map between the senses, its penalty chosen on validation."""
    return protocol.choose((RidgeMap(alpha, direction).fit(*protocol.pairs(texts))
                            for alpha in PENALTIES), texts)


@cache
def all_colors(salt: int) -> np.ndarray:
    """Main color of the picture that stands for each concept."""
    emoji = load_protocol(salt).emoji
    pictures = emoji.load_pictures(emoji.gallery(range(len(emoji)), salt))
    return np.array([main_color(picture) for picture in pictures[:, ::4, ::4]])


def open_shop(protocol: Protocol, salt: int, candidates: np.ndarray) -> Shop:
    """The strict training concepts, and test or validation concepts as candidates.

    "image2" is a second drawing of the same thing. "text>image" is what ridge regression expects
    of the picture from the text, "image>text" the reverse.
    """
    emoji, train = protocol.emoji, protocol.split.train
    _, subgroup = np.unique(emoji.clusters, return_inverse=True)
    rows = [emoji.gallery(which, salt) for which in (train, candidates)]
    other = [second_drawing(emoji, which, first)
             for which, first in zip((train, candidates), rows, strict=True)]
    features, senses = protocol.features, {}
    noise = np.random.default_rng(salt).standard_normal((len(emoji), 100))
    for name, texts in (("text", protocol.texts), ("text.random", protocol.random_texts),
                        ("image.random", noise)):
        senses[name] = tuple(centered(texts[which], texts[train].mean(axis=0))
                             for which in (train, candidates))
    middle = features[protocol.train].mean(axis=0)
    for name, pictures in (("image", rows), ("image2", other)):
        senses[name] = tuple(centered(features[each], middle) for each in pictures)
    for name, texts in (("", protocol.texts), (".random", protocol.random_texts)):
        back = fit_ridge(protocol, "image_to_text", texts)
        senses[f"image>text{name}"] = tuple(back.embed_image(features[each]) for each in rows)
        senses[f"text>text{name}"] = tuple(back.embed_text(texts[which])
                                           for which in (train, candidates))
    colors = all_colors(salt)
    kinds = {name: (kind[train], kind[candidates])
             for name, kind in (("subgroup", subgroup), ("color", colors))}
    return Shop(senses, kinds)


def second_drawing(emoji, concepts: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Another picture of each concept, in the style that follows the first one's."""
    rows = []
    for concept, row in zip(concepts, first, strict=True):
        own = np.flatnonzero(emoji.pictures.concept_row == concept)
        rows.append(own[(np.flatnonzero(own == row)[0] + 1) % len(own)])
    return np.array(rows)


# Two scores and what they make together, the share of the second chosen on validation readers.
PAIRS = {"both": ("text", "image"), "both.random": ("text.random", "image.random"),
         "text and noise": ("text", "image.random"), "two pictures": ("image", "image2"),
         "picture only, sum": ("image", "text to image"),
         "picture only, sum.random": ("image", "text to image.random"),
         "text only, sum": ("text", "image to text")}
# Liked things by one sense, candidates by the other, compared in the space of texts.
CROSSED = {"text to image": ("text>text", "image>text"),
           "image to text": ("image>text", "text>text"),
           "text to image.random": ("text>text.random", "image>text.random"),
           "image to text.random": ("image>text.random", "text>text.random")}
SINGLE = ("text", "text.random", "image", "image.random", "image2")


def score_singly(shop: Shop, liked: np.ndarray) -> dict[str, np.ndarray]:
    """Standardized scores of all candidates by each sense alone: (n_readers, n_candidates)."""
    scores = {name: match(liked, *shop.senses[name]) for name in SINGLE}
    for name, (past, new) in CROSSED.items():
        scores[name] = match(liked, shop.senses[past][0], shop.senses[new][1])
    return scores


def world_readers(shop: Shop, world: str, n: int, popular: dict[str, np.ndarray],
                  rng: np.random.Generator) -> Readers:
    """Readers of one of the WORLDS."""
    ways = ("subgroup", "color") if world == "mixed" else (world,)
    past, new = zip(*(shop.kinds[way] for way in ways), strict=True)
    return draw_readers(past, new, [popular[way] for way in ways], n, rng)


def likes_of_others(readers: Readers, rng: np.random.Generator) -> np.ndarray:
    """How often each candidate was liked by readers who took one thing each: (n_candidates,)."""
    chosen = [rng.choice(len(row), p=row / row.sum()) for row in readers.wanted]
    return np.bincount(chosen, minlength=readers.wanted.shape[1])


def all_scores(shop: Shop, readers: Readers, weights: dict[str, float], counts: np.ndarray,
               n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Scores by each method from the first n things liked; "taste" knows what the reader wants."""
    scores = score_singly(shop, readers.liked[:, :n])
    mixed = {name: (1 - weights[name]) * scores[first] + weights[name] * scores[second]
             for name, (first, second) in PAIRS.items()}
    steps = {f"share {weight}": (1 - weight) * scores["text"] + weight * scores["image"]
             for weight in WEIGHTS}
    noise = rng.random(readers.wanted.shape)
    return {**scores, **mixed, **steps, "popularity": counts + noise, "random": noise,
            "taste": readers.wanted + 1e-9 * noise}


def seen_in(scores: np.ndarray, readers: Readers, counts: np.ndarray) -> dict[str, np.ndarray]:
    """What the ten recommended things are: hits, share to the taste, rareness in bits, rows."""
    top = np.argsort(-scores, axis=1, kind="stable")[:, :SHORTLIST]
    share = (counts + 1) / (counts.sum() + len(counts))
    return {"hit": found(scores, readers.target), "top": top,
            "fits": (np.take_along_axis(readers.wanted, top, axis=1) > 0).mean(axis=1),
            "bits": -np.log2(share[top]).mean(axis=1)}


def tuned(shop: Shop, readers: Readers) -> tuple[dict[str, float], dict[str, float]]:
    """On validation readers: the weight of each pair, the mean reciprocal rank of each sense."""
    tried = [score_singly(shop, readers.liked[:, :n]) for n in LIKED]
    weights = {name: best_weight(*([scores[sense] for scores in tried] for sense in pair),
                                 readers.target) for name, pair in PAIRS.items()}
    return weights, {name: float(np.mean([mean_reciprocal_rank(ranks(
        scores[name], readers.target)) for scores in tried])) for name in SINGLE}


def salt_part(salt: int, n_readers: int) -> dict[str, dict]:
    """One split, each world: weights, and what every method recommends to every reader."""
    protocol, parts = load_protocol(salt), {}
    held_shop, shop = (open_shop(protocol, salt, rows) for rows in (
        protocol.split.validation, protocol.split.test))
    groups = np.array(protocol.emoji.groups)[protocol.split.test]
    for number, world in enumerate(WORLDS):
        rng = np.random.default_rng([salt, number])
        popular = {"subgroup": popularity(len(set(protocol.emoji.clusters)), rng),
                   "color": popularity(len(COLORS), rng)}
        weights, mrr = tuned(held_shop, world_readers(held_shop, world, n_readers, popular, rng))
        readers = world_readers(shop, world, n_readers, popular, rng)
        counts = likes_of_others(world_readers(shop, world, OTHERS, popular, rng), rng)
        seen = {n: {name: seen_in(scores, readers, counts) for name, scores in all_scores(
            shop, readers, weights, counts, n, rng).items()} for n in LIKED}
        parts[world] = {"weights": weights, "mrr": mrr, "seen": seen, "group":
                        groups[readers.target], "cluster": protocol.subgroups[readers.target]}
    return parts


# Differences of hit@10, first less second, on the same readers.
GAINS = (("both", "text"), ("both", "image"), ("share 0.5", "text"), ("share 0.5", "image"),
         ("text", "text.random"), ("image", "image.random"), ("text", "image"),
         ("text and noise", "text"), ("two pictures", "image"), ("both", "two pictures"),
         ("both", "popularity"), ("text to image", "image"),
         ("text to image", "text to image.random"), ("picture only, sum", "image"),
         ("picture only, sum", "picture only, sum.random"),
         ("picture only, sum.random", "image"),
         ("image to text", "image to text.random"), ("image to text", "text"),
         ("text only, sum", "text"))


def estimate(values: np.ndarray, clusters: np.ndarray) -> list[float]:
    """Mean and 95 % interval over whole clusters, five digits."""
    return [round(float(x), 5) for x in (np.mean(values), *bootstrap_interval(values, clusters))]


def sum_up(parts: list[dict]) -> dict:
    """Scores of one world over all splits; what the same subgroup asks is drawn together."""
    clusters = np.concatenate([part["cluster"] for part in parts])
    groups = np.concatenate([part["group"] for part in parts])

    def gather(name: str, what: str) -> np.ndarray:
        return np.array([np.concatenate([part["seen"][n][name][what] for part in parts])
                         for n in LIKED])

    def score(hits: np.ndarray) -> dict:
        return {"all": estimate(hits.mean(axis=0), clusters), "by_liked": {
            f"n{n}": estimate(row, clusters) for n, row in zip(LIKED, hits, strict=True)}}

    names = list(parts[0]["seen"][LIKED[0]])
    hits = {name: gather(name, "hit") for name in names}
    methods = {name: score(hits[name]) | {
        "fits": estimate(gather(name, "fits").mean(axis=0), clusters),
        "bits": estimate(gather(name, "bits").mean(axis=0), clusters),
        "coverage": [round(float(np.mean([len(np.unique(part["seen"][n][name]["top"]))
                                          for n in LIKED]) / 200), 5) for part in parts]}
        for name in names}
    gains = {f"{first} - {second}": score(hits[first] - hits[second]) for first, second in GAINS}
    change = (hits["both"] - hits["text"]).mean(axis=0)
    by_group = {group: estimate(change[groups == group], clusters[groups == group])
                for group in np.unique(groups).tolist()}
    return {"methods": methods, "gains": gains, "gain_by_group": by_group,
            "weights": {name: [part["weights"][name] for part in parts] for name in PAIRS},
            "mrr": {name: [round(part["mrr"][name], 4) for part in parts] for name in SINGLE}}


def suggest(quick: bool) -> dict:
    """All worlds over all splits."""
    salts, n_readers = (SALTS[:2], 60) if quick else (SALTS, READERS)
    parts = [salt_part(salt, n_readers) for salt in tqdm(salts, desc="Recommending")]
    return {world: sum_up([part[world] for part in parts]) for world in WORLDS}


# Saying what is seen

START, END = 0, 1                       # rows of the lexicon that are no words
KINDS = ("scratch", "random", "word2vec", "tuned")
SHARPNESS, HIDDEN, RATE, BATCH, SEEDS = 10.0, 128, 5e-3, 64, range(3)
EPOCHS = {"clips": 15, "pictures": 5}


@dataclass(frozen=True)
class Task:
    """Things to be described: clips with captions, or pictures with names.

    image : what is seen, standardized, (n, dim). texts : tokens of the one caption to learn from.
    references : all captions that are right. names : tokens of the thing's name. motion : or "".
    concept, rows : concept of each, and the rows by part of the split.
    """

    image: np.ndarray
    texts: list[list[str]]
    references: list[list[list[str]]]
    motion: list[str]
    concept: np.ndarray
    rows: dict[str, np.ndarray]
    names: list[list[str]]


def reduced(image: np.ndarray, train: np.ndarray, dim: int) -> np.ndarray:
    """The first principal components of the training rows, all with the scale of the first."""
    model = PCA(dim, svd_solver="randomized", random_state=0).fit(image[train])
    rows = model.transform(image)
    return (rows / np.sqrt((rows[train]**2).sum(axis=1).mean() / dim)).astype(np.float32)


def captions_of(subject: list[str], motion: str) -> list[list[str]]:
    """Both captions that the grammar has for a subject with its article, and a motion."""
    return [subject + text.tokenize(phrase) for phrase in PHRASES[motion]]


def clip_task(protocol: Protocol) -> Task:
    """Clips of the concepts of the strict split."""
    emoji, split, clips = protocol.emoji, protocol.split, load_clips(protocol.emoji)
    rows = {name: np.flatnonzero(np.isin(clips.subject_row, getattr(split, name)))
            for name in ("train", "validation", "test")}
    image = np.hstack([reduced(part(clips), rows["train"], dim) for part, dim in (
        (clip_subject_features, 128), (clip_motion_features, 64))])
    names = [text.tokenize(names[0]) for names in emoji.names["en"]]
    subjects = [text.tokenize(with_article(emoji.names["en"][row][0])) for row in
                clips.subject_row]
    return Task(image, [text.tokenize(caption) for caption in clips.caption],
                [captions_of(*each) for each in zip(subjects, clips.motion, strict=True)],
                list(clips.motion), clips.subject_row, rows, names)


def picture_task(protocol: Protocol) -> Task:
    """Pictures of all styles to learn from, one for each other concept, and their names."""
    emoji = protocol.emoji
    names = [text.tokenize(names[0]) for names in emoji.names["en"]]
    rows = {"train": protocol.train, "validation": protocol.held, "test": protocol.gallery}
    concept = emoji.pictures.concept_row
    texts = [names[row] for row in concept]
    return Task(reduced(protocol.features, protocol.train, 128), texts,
                [[words] for words in texts], [""] * len(concept), concept, rows, names)


@dataclass(frozen=True)
class Lexicon:
    """All words that may be said: first those of training captions, then the new ones.

    vectors : by name, a unit row a word; words without a vector of word2vec have a random one.
    n_seen : how many words training captions have. common : whether a word is one of the
        grammar's, which new things need, too, (n_seen,).
    """

    words: tuple[str, ...]
    vectors: dict[str, np.ndarray]
    n_seen: int
    common: np.ndarray

    @property
    def row(self) -> dict[str, int]:
        """Row of each word."""
        return {word: row for row, word in enumerate(self.words)}


def make_lexicon(task: Task) -> Lexicon:
    """Words of every caption and of the names; centered word2vec, and random vectors."""
    said = {word for row in task.rows["train"] for word in task.texts[row]}
    every = {word for words in task.texts for word in words}
    words = ("<start>", "<end>", *sorted(said), *sorted(every - said))
    known, n_seen = text.load_word_vectors(), 2 + len(said)
    noise = unit_rows(np.random.default_rng(0).standard_normal((len(words), 100)))
    meaning = noise.copy()
    kept = [row for row, word in enumerate(words) if word in known]
    found = unit_rows(np.stack([known[words[row]] for row in kept]))
    meaning[kept] = unit_rows(found - found.mean(axis=0))
    grammar = {"<end>", "a", "an", *STOP_WORDS}.union(*ENDINGS)
    return Lexicon(words, {"word2vec": meaning.astype(np.float32),
                           "random": noise.astype(np.float32)}, n_seen,
                   np.array([word in grammar for word in words[:n_seen]]))


class Decoder(nn.Module):
    """A gated recurrent unit that sees the picture and the word before, and says the next one.

    kind : vectors of the words that it reads: "scratch" (random, trained), "random" (frozen),
        "word2vec" (frozen) or "tuned" (word2vec, trained). tied : whether it scores a word by the
        cosine with the same vector, so that it can say words which no training caption has; else
        by a layer of its own, which has a row for each word of the training captions alone.
    """

    def __init__(self, lexicon: Lexicon, dim_image: int, kind: str, tied: bool) -> None:
        super().__init__()
        start = lexicon.vectors["word2vec" if kind in ("word2vec", "tuned") else "random"]
        self.words = nn.Embedding.from_pretrained(torch.tensor(start),
                                                  freeze=kind in ("word2vec", "random"))
        self.look = nn.Sequential(nn.Dropout(0.2), nn.Linear(dim_image, HIDDEN), nn.Tanh())
        self.unit = nn.GRU(start.shape[1] + HIDDEN, HIDDEN, batch_first=True)
        self.drop = nn.Dropout(0.2)
        self.query = nn.Linear(HIDDEN, start.shape[1] if tied else lexicon.n_seen)
        self.glance = nn.Linear(dim_image, self.query.out_features, bias=False)
        self.tied = tied

    def forward(self, image: torch.Tensor, words: torch.Tensor,
                state: torch.Tensor | None = None, n_words: int | None = None
                ) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores of the first n_words as the next word, (n, length, n_words), and the state."""
        look = self.look(image)[:, None].expand(-1, words.shape[1], -1)
        told, state = self.unit(torch.cat([self.words(words), look], dim=2), state)
        query = self.query(self.drop(told)) + self.glance(self.drop(image))[:, None]
        if not self.tied:
            return query, state
        vectors = functional.normalize(self.words.weight[:n_words], dim=1)
        return SHARPNESS * functional.normalize(query, dim=2) @ vectors.T, state


def padded(texts: list[list[str]], lexicon: Lexicon) -> torch.Tensor:
    """Rows of start, words, end and ends: (n, longest + 2)."""
    row, longest = lexicon.row, max(map(len, texts)) + 2
    return torch.tensor([[START, *(row[word] for word in words),
                          *[END] * (longest - 1 - len(words))] for words in texts])


def train_decoder(task: Task, lexicon: Lexicon, kind: str, tied: bool, seed: int,
                  epochs: int) -> Decoder:
    """Learn the captions of the training rows; words that none of them has take no part."""
    torch.manual_seed(seed)
    rng, train = np.random.default_rng(seed), task.rows["train"]
    model = Decoder(lexicon, task.image.shape[1], kind, tied).train()
    image = torch.tensor(task.image[train])
    texts = padded([task.texts[row] for row in train], lexicon)
    counts = (texts[:, 1:] == END).cumsum(dim=1) <= 1       # the first end counts, no other
    n_batches = -(-len(train) // BATCH)
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), RATE,
                                  weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, epochs * n_batches)

    def loss_of(rows: np.ndarray) -> torch.Tensor:
        scores, _ = model(image[rows], texts[rows, :-1], n_words=lexicon.n_seen)
        return functional.cross_entropy(scores[counts[rows]], texts[rows, 1:][counts[rows]])

    descend((np.array_split(rng.permutation(len(train)), n_batches) for _ in range(epochs)),
            loss_of, optimizer, schedule)
    return model.eval()


@torch.inference_mode()
def say(model: Decoder, image: np.ndarray, lexicon: Lexicon, told_new: bool = False,
        longest: int = 10) -> list[list[str]]:
    """The best next word, again and again.

    told_new : whether the decoder knows that the thing is new: words of training captions are
        barred then, but for the grammar's.
    """
    image, state, said = torch.tensor(image), None, []
    last = torch.full((len(image), 1), START)
    barred = torch.tensor(np.flatnonzero(~lexicon.common) if told_new else [START])
    for _ in range(longest):
        scores, state = model(image, last, state)
        last = scores[:, -1].index_fill(1, barred, -np.inf).argmax(dim=1, keepdim=True)
        said.append(last)
    rows = torch.cat(said, dim=1).tolist()
    return [[lexicon.words[word] for word in row[:row.index(END) if END in row else None]]
            for row in rows]


@torch.inference_mode()
def new_word(model: Decoder, task: Task, lexicon: Lexicon, rows: np.ndarray,
             shown: np.ndarray | None = None) -> np.ndarray:
    """1 where the first word of a new name is among the ten best new words, else 0: (n,).

    shown : rows of the pictures that are shown in place of the right ones, as a control.
    A clip's decoder has said the article. A decoder that is not tied has no new word to offer;
    nor counts a name whose first word training captions have (as no name of the strict split
    has, but for words of the grammar): not a number.
    """
    words = [task.names[task.concept[row]][0] for row in rows]
    place = np.array([lexicon.row[word] - lexicon.n_seen for word in words])
    found = np.where(place < 0, np.nan, 0.0)
    if model.tied:
        first = [[START, lexicon.row[task.texts[row][0]]] if task.motion[row] else [START]
                 for row in rows]
        image = torch.tensor(task.image[rows if shown is None else shown])
        scores = model(image, torch.tensor(first))[0][:, -1]
        new = scores[:, lexicon.n_seen:].numpy()[place >= 0]
        found[place >= 0] = ranks(new, place[place >= 0]) <= SHORTLIST
    return found


# How right a caption is

ENDINGS = {tuple(text.tokenize(phrase)): motion
           for motion, phrases in PHRASES.items() for phrase in phrases}


def parts_of(words: list[str]) -> tuple[list[str], str]:
    """Subject without article, and motion ("" for none), of a caption.

    >>> parts_of("a big cat slides left".split())
    (['big', 'cat'], 'left')
    """
    words = words[1:] if words[:1] in (["a"], ["an"]) else words
    for ending, motion in ENDINGS.items():
        if tuple(words[-len(ending):]) == ending:
            return words[:-len(ending)], motion
    return words, ""


def nearest_name(subject: list[str], names: list[set[str]]) -> int | None:
    """Place of the name that shares most words with what was said; None where none does.

    >>> nearest_name(["polar", "cat"], [{"dog"}, {"polar", "bear"}, {"cat"}])
    2
    """
    said = set(subject)
    share = [len(said & name) / len(said | name) for name in names]
    return int(np.argmax(share)) if max(share) > 0 else None


def judge(said: list[list[str]], task: Task, rows: np.ndarray, kinds: np.ndarray
          ) -> dict[str, np.ndarray]:
    """By part, 1 or 0 for each caption: subject, its subgroup, motion; the share of its words."""
    every, kin = np.unique(task.concept), {}
    names = [set(task.names[concept]) for concept in every]
    found = {part: np.zeros(len(rows)) for part in ("subject", "word", "kin", "motion")}
    for i, (words, row) in enumerate(zip(said, rows, strict=True)):
        subject, motion = parts_of(words)
        name = task.names[task.concept[row]]
        found["subject"][i] = subject == name
        found["word"][i] = len(set(subject) & set(name)) / len(set(name))
        if tuple(subject) not in kin:
            place = nearest_name(subject, names)
            kin[tuple(subject)] = "" if place is None else kinds[every[place]]
        found["kin"][i] = kin[tuple(subject)] == kinds[task.concept[row]]
        found["motion"][i] = motion == task.motion[row]
    return found


def cider(said: list[list[str]], task: Task, rows: np.ndarray) -> np.ndarray:
    """CIDEr of each caption, by the implementation of the COCO challenge: (n,)."""
    from pycocoevalcap.cider.cider import Cider
    right = {i: [" ".join(words) for words in task.references[row]] for i, row in enumerate(rows)}
    _, scores = Cider().compute_score(right, {i: [" ".join(words)] for i, words in
                                              enumerate(said)})
    return np.asarray(scores)


def bleu(said: list[list[str]], task: Task, rows: np.ndarray) -> float:
    """BLEU of all captions together, up to four words in a row."""
    right = [[" ".join(words) for words in task.references[row]] for row in rows]
    return float(BLEUScore()([" ".join(words) for words in said], right))


# Without a decoder

def nearest(task: Task) -> list[list[str]]:
    """The caption of the training clip or picture that is most like each test one."""
    test, train = (unit_rows(task.image[task.rows[part]]) for part in ("test", "train"))
    return [task.texts[task.rows["train"][row]] for row in (test @ train.T).argmax(axis=1)]


def name_vectors(task: Task, lexicon: Lexicon, vectors: str) -> np.ndarray:
    """Mean vector of each name's words, by concept; zeros for one that is not in the task."""
    row, rows = lexicon.row, np.zeros((len(task.names), 100), np.float32)
    for concept in np.unique(task.concept):
        rows[concept] = np.mean([lexicon.vectors[vectors][row[word]]
                                 for word in task.names[concept] if word in row], axis=0)
    return unit_rows(rows)


def likely_names(task: Task, lexicon: Lexicon, vectors: str) -> np.ndarray:
    """Cosine of each test picture, by ridge regression, with each name: (n, n_concepts)."""
    names, every = name_vectors(task, lexicon, vectors), np.unique(task.concept)
    image, train, held = task.image[:, :128], task.rows["train"], task.rows["validation"]

    def fit(penalty: float) -> RidgeMap:
        return RidgeMap(penalty, "image_to_text").fit(names[task.concept[train]], image[train])

    def score(model: RidgeMap) -> float:
        places = np.searchsorted(every, task.concept[held])
        return mean_reciprocal_rank(ranks(model.similarity(names[every], image[held]).T, places))

    best = max((fit(penalty) for penalty in (0.03, *PENALTIES)), key=score)
    return best.similarity(names[every], image[task.rows["test"]]).T


def likely_motions(task: Task) -> list[str]:
    """Motion of each test clip, by logistic regression on its motion features."""
    motion, rows = np.array(task.motion), task.rows
    if not any(motion):
        return [""] * len(rows["test"])
    models = [LogisticRegression(C=C, max_iter=300).fit(task.image[rows["train"], 128:],
                                                        motion[rows["train"]])
              for C in (0.01, 0.1, 1.0)]
    best = max(models, key=lambda model: model.score(task.image[rows["validation"], 128:],
                                                     motion[rows["validation"]]))
    return best.predict(task.image[rows["test"], 128:]).tolist()


def fill(scores: np.ndarray, motions: list[str], task: Task, told_new: bool) -> list[list[str]]:
    """Captions with the best name, of all or of new things alone, and a motion's first phrase."""
    every = np.unique(task.concept)
    if told_new:
        scores = np.where(np.isin(every, task.concept[task.rows["train"]]), -np.inf, scores)
    said = []
    for best, motion in zip(every[scores.argmax(axis=1)], motions, strict=True):
        words = task.texts[np.flatnonzero(task.concept == best)[0]]
        said.append(words[:1] + task.names[best] + text.tokenize(PHRASES[motion][0])
                    if motion else words)
    return said


# All ways to say it, side by side

def new_name(scores: np.ndarray, task: Task) -> np.ndarray:
    """1 where the right name is among the ten best of new things, else 0: (n,)."""
    every = np.unique(task.concept)
    new = np.flatnonzero(~np.isin(every, task.concept[task.rows["train"]]))
    return (ranks(scores[:, new], np.searchsorted(every[new], task.concept[task.rows["test"]]))
            <= SHORTLIST).astype(float)


def all_said(task: Task, what: str, seeds: range) -> dict[str, list[tuple]]:
    """By method: for each seed, captions of the test rows and hits of new words (or None).

    Hits have two rows if a decoder is tied: of the right pictures, and of others in their place.
    """
    lexicon, rows = make_lexicon(task), task.rows["test"]
    said, motions = {"nearest": [(nearest(task), None)]}, likely_motions(task)
    for vectors in ("word2vec", "random"):
        scores = likely_names(task, lexicon, vectors)
        for told_new in (False, True):
            said[f"template {vectors}{' new' * told_new}"] = [
                (fill(scores, motions, task, told_new), new_name(scores, task)[None])]
    pairs = [(kind, tied) for tied in (True, False) for kind in KINDS if tied or what == "clips"]
    for kind, tied in tqdm(pairs, desc=what):
        for seed in seeds:
            model = train_decoder(task, lexicon, kind, tied, seed, EPOCHS[what])
            other = np.random.default_rng(seed).permutation(rows)
            hits = np.stack([new_word(model, task, lexicon, rows, shown)
                             for shown in (None, other)][:1 + tied])
            for told_new in (False, True) if tied else (False,):
                name = f"{'tied' if tied else 'own'} {kind}{' new' * told_new}"
                said.setdefault(name, []).append(
                    (say(model, task.image[rows], lexicon, told_new), hits))
    return said


SAID_GAINS = (
    ("own word2vec", "own scratch"), ("own tuned", "own scratch"), ("own random", "own scratch"),
    ("tied word2vec", "tied scratch"), ("tied tuned", "tied scratch"),
    ("tied word2vec", "tied random"), ("tied random", "tied scratch"), ("tied tuned", "tied word2vec"),
    ("tied word2vec", "own word2vec"), ("tied word2vec new", "tied scratch new"),
    ("tied word2vec new", "tied random new"), ("tied word2vec", "template word2vec"),
    ("template word2vec", "nearest"), ("template word2vec new", "template random new"),
    ("template word2vec", "template random"), ("own scratch", "nearest"),
    ("tied word2vec new", "template word2vec new"))


def chance_of(first: np.ndarray, second: np.ndarray, clusters: np.ndarray) -> float:
    """p-value of a difference, whole subgroups changing sides; where both are numbers."""
    change = first - second
    kept = ~np.isnan(change)
    return round(paired_permutation_test(change[kept], clusters[kept]), 5)


def describe(what: str, seeds: range) -> dict:
    """Scores of every way to describe clips or pictures, with intervals over subgroups.

    things : how many things have their exact name at least once, in any seed. p : see
        `chance_of`.
    """
    protocol = load_protocol(0)
    task = {"clips": clip_task, "pictures": picture_task}[what](protocol)
    kinds, rows = np.array(protocol.emoji.clusters), task.rows["test"]
    clusters, lexicon = kinds[task.concept[rows]], make_lexicon(task)
    found, scores, said = {}, {}, all_said(task, what, seeds)
    for name, runs in said.items():
        parts = [judge(captions, task, rows, kinds) | {"cider": cider(captions, task, rows)} | (
            {} if hits is None else dict(zip(("new word", "new word, wrong picture"), hits,
                                             strict=False))) for captions, hits in runs]
        found[name] = {part: np.mean([run[part] for run in parts], axis=0) for part in parts[0]}
        scores[name] = {part: estimate(values[kept], clusters[kept]) for part, values in
                        found[name].items() if (kept := ~np.isnan(values)).any()} | {
            "seeds": {part: [round(float(np.nanmean(run[part])), 5) for run in parts]
                      for part in parts[0]},
            "things": len(np.unique(task.concept[rows][found[name]["subject"] > 0])),
            "bleu": [round(bleu(captions, task, rows), 5) for captions, _ in runs]}
    gains = {f"{first} - {second}": {part: estimate(change[kept], clusters[kept]) for part in
                                     found[first] if part in found[second] and (
                 kept := ~np.isnan(change := found[first][part] - found[second][part])).any()}
             for first, second in SAID_GAINS if first in found and second in found}
    tests = {pair: {part: chance_of(*(found[name][part] for name in pair.split(" - ")), clusters)
                    for part in ("new word", "subject")} for pair in gains
             if pair.startswith("tied word2vec") and "tied scratch" in pair}
    shown = range(0, len(rows), max(1, len(rows) // 24))
    new = np.unique([word for name in task.texts for word in name
                     if lexicon.row[word] >= lexicon.n_seen])
    return {"scores": scores, "gains": gains, "p": tests, "n": len(rows), "n_train": len(task.rows["train"]),
            "n_things": len(np.unique(task.concept[rows])), "n_new_words": len(new),
            "n_new_names": int((~np.isin(np.unique(task.concept), task.concept[
                task.rows["train"]])).sum()), "n_names": len(np.unique(task.concept)),
            "largest": round(float(np.unique(clusters, return_counts=True)[1].max()
                                   / len(rows)), 5),
            "examples": [{"row": int(rows[i]), "right": " ".join(task.texts[rows[i]]), "said": {
                name: " ".join(runs[0][0][i]) for name, runs in said.items()}} for i in shown]}


def main() -> None:
    """Run both parts and, unless --quick, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small and once; writes nothing")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    key = content_key(Path(__file__).read_text("utf8"), quick)
    memory = cache_dir() / "say_and_suggest" / f"{key}.json"
    content = json.loads(memory.read_text("utf8")) if memory.exists() else {}
    work = {"suggest": lambda: suggest(quick),
            "clips": lambda: describe("clips", SEEDS[:1] if quick else SEEDS),
            "pictures": lambda: describe("pictures", SEEDS[:1] if quick else SEEDS)}
    for name in [name for name in work if name not in content]:
        content[name] = work[name]()
        save(memory, content)
    settings = {"salts": len(SALTS), "readers": READERS, "others": OTHERS, "skew": SKEW,
                "liked": LIKED, "weights": WEIGHTS, "penalties": PENALTIES, "hidden": HIDDEN,
                "rate": RATE, "batch": BATCH, "seeds": len(SEEDS), "epochs": EPOCHS,
                "sharpness": SHARPNESS}
    if not quick:
        save(OUTPUT, {"date": time.strftime("%Y-%m-%d"), "python": platform.python_version(),
                      "numpy": np.__version__, "torch": torch.__version__,
                      "gensim": gensim.__version__, "settings": settings, **content})


def save(path: Path, content: dict) -> None:
    """Write a JSON file whole or not at all."""
    with write_then_rename(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
