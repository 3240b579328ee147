"""Two towers whose text side reads the words of a caption one by one, not their mean alone."""

from collections.abc import Sequence
from itertools import chain
from typing import Self

import numpy as np
import torch
from gensim.models import KeyedVectors
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from torch import nn
from torch.nn import functional

from mmfuse_utils.estimators import check_table
from mmfuse_utils.text import check_tokens, idf_weights
from mmfuse_utils.retrieval import unit_rows
from mmfuse_utils.towers import concept_batches, contrastive_loss, descend, make_tower

READERS = ("mean", "network", "gru", "words")
WORD_DROPOUT = 0.15     # share of a caption's words that a bag leaves out in training


class CaptionTowers(BaseEstimator):
    """Captions and pictures in a shared space, learned by a contrastive loss on captions' words.

    reader : how the text side makes one vector of a caption's word vectors.
        "mean": their mean; then a linear map, as everywhere in this list.
        "network": each passes a hidden layer first, the same for all words, and the mean is
        weighted by what a second small map says of each word's importance. Blind to order.
        "gru": a recurrent network reads them forwards and backwards; the mean of its states.
        "words": no word vectors; each training word has one of its own, learned from nothing,
        and counts as much as it is rare: what a caption says without what its words mean.
    tune : whether the word vectors are trained, too; those of words in no training caption stay.
    dim, hidden : numbers of the shared space, of the hidden layer or of a GRU's states.
    dropout : share of the picture's numbers set to 0 in training; half as much of hidden ones.
    temperature, epochs, lr, weight_decay, batch_size, seed : see `TwoTower`; an epoch shows each
        picture once, with one of its captions. The step rises at first and then falls to nothing.

    After `fit`, `losses_` holds each epoch's mean loss. Word vectors are brought to length 1.

    Source: Zaheer et al. (2017, deep sets) for "network"; Cho et al. (2014, GRU), and Kiros et
    al. (2014) for recurrent networks in this place; Radford et al. (2021) for the loss.

    >>> vectors = KeyedVectors(4); vectors.add_vectors(["red", "car", "dog"], np.eye(3, 4))
    >>> captions = [["red", "car"], ["dog"], ["red", "dog"], ["car"]]
    >>> towers = CaptionTowers(dim=4, hidden=8, epochs=60, lr=0.03, dropout=0.0)
    >>> towers = towers.fit(captions, np.eye(4), np.arange(4), vectors)
    >>> towers.similarity([["dog"], ["car"]], np.eye(4)).argmax(axis=1).tolist()
    [1, 3]
    """

    def __init__(self, reader: str = "network", tune: bool = False, dim: int = 512,
                 hidden: int = 2048, dropout: float = 0.5, temperature: float = 0.05,
                 epochs: int = 40, lr: float = 1.5e-3, weight_decay: float = 0.01,
                 batch_size: int = 512, seed: int = 0) -> None:
        self.reader, self.tune, self.dim, self.hidden = reader, tune, dim, hidden
        self.dropout, self.temperature, self.epochs, self.lr = dropout, temperature, epochs, lr
        self.weight_decay, self.batch_size, self.seed = weight_decay, batch_size, seed

    def fit(self, captions: Sequence[Sequence[str]], images: np.ndarray,
            picture_of: np.ndarray, vectors: KeyedVectors) -> Self:
        """Train on captions (n lists of tokens) and pictures (n_pictures, dim_image).

        picture_of : row of the picture that each caption tells of, (n,).

        Raises ValueError when the rows do not fit, or the reader is unknown; TypeError for
        captions that are plain text.
        """
        if self.reader not in READERS:
            raise ValueError(f"reader must be one of {', '.join(READERS)}; got {self.reader!r}.")
        captions, images = check_tokens(captions), check_table("images", images, n_least=2)
        picture_of = np.asarray(picture_of)
        if picture_of.shape != (len(captions),) or not (
                0 <= picture_of.min() and picture_of.max() < len(images)):
            raise ValueError(f"fit needs for each of the {len(captions)} captions the row of its "
                             f"picture, 0 to {len(images) - 1}; got shape {picture_of.shape}.")
        vars(self).pop("losses_", None)     # if this fit fails, the model is none
        self.mean_ = images.mean(axis=0)
        self.scale_ = float(np.sqrt(images.var(axis=0).mean())) or 1.0
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            self.lexicon_ = _Lexicon(captions, vectors, self.reader, self.dim, self.tune)
            self.text_tower_ = _TOWERS[self.reader](self)
            self.image_tower_ = make_tower(images.shape[1], self.dim, dropout=self.dropout)
            losses = self._train(self.lexicon_.rows(captions), self._scaled(images), picture_of)
        self.losses_ = losses
        return self

    def _train(self, rows: list[np.ndarray], images: torch.Tensor,
               picture_of: np.ndarray) -> list[float]:
        rng = np.random.default_rng(self.seed)
        towers = nn.ModuleList([self.lexicon_, self.text_tower_, self.image_tower_]).train()
        learned = [x for x in towers.parameters() if x.requires_grad]
        optimizer = torch.optim.AdamW(learned, self.lr, weight_decay=self.weight_decay)
        epochs = [concept_batches(picture_of, self.batch_size, rng) for _ in range(self.epochs)]
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, self.lr, total_steps=1 + sum(map(len, epochs)), pct_start=0.1)
        losses = descend(epochs, lambda batch: contrastive_loss(
            self._read([rows[i] for i in batch]), self.image_tower_(images[picture_of[batch]]),
            self.temperature), optimizer, schedule)
        towers.eval()
        return losses

    def _read(self, rows: list[np.ndarray]) -> torch.Tensor:
        return functional.normalize(self.text_tower_(self.lexicon_, rows), dim=1)

    def _scaled(self, images: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(((images - self.mean_) / self.scale_).astype(np.float32))

    @torch.inference_mode()
    def embed_text(self, captions: Sequence[Sequence[str]]) -> np.ndarray:
        """Unit rows in the shared space: (n, dim); zeros where no word is known."""
        check_is_fitted(self, "losses_")
        rows = self.lexicon_.rows(check_tokens(captions))
        parts = [self._read(rows[i:i + 1000]).numpy() for i in range(0, len(rows), 1000)]
        known = np.array([len(row) > 0 for row in rows])[:, None]
        return unit_rows(np.concatenate([*parts, np.empty((0, self.dim), np.float32)])) * known

    @torch.inference_mode()
    def embed_image(self, images: np.ndarray) -> np.ndarray:
        """Unit rows in the shared space: (n, dim)."""
        check_is_fitted(self, "losses_")
        return unit_rows(self.image_tower_(self._scaled(check_table("images", images))).numpy())

    def similarity(self, captions: Sequence[Sequence[str]], images: np.ndarray) -> np.ndarray:
        """Cosine of each caption with each picture: (n_captions, n_pictures)."""
        return self.embed_text(captions) @ self.embed_image(images).T


class _Lexicon(nn.Module):
    """The table of words: a row of numbers each, and how much each counts in a bag."""

    def __init__(self, captions: list[Sequence[str]], vectors: KeyedVectors, reader: str,
                 dim: int, tune: bool) -> None:
        super().__init__()
        seen = sorted(set(chain.from_iterable(captions)))
        own = reader == "words"
        if not own:
            seen = [word for word in seen if word in vectors]
        # Trained words first; those that no caption had come after, and stay as they are.
        others = [] if own else sorted(vectors.key_to_index.keys() - set(seen))
        self.index = {word: i for i, word in enumerate([*seen, *others])}
        if not seen:
            raise ValueError("No word of the captions has a vector: nothing can be learned.")
        rarity = idf_weights(captions) if own else {}
        self.weight = torch.tensor([1 + rarity.get(word, 0.0) for word in self.index])
        table = (0.05 * torch.randn(len(seen), dim) if own else torch.from_numpy(
            unit_rows(np.array([vectors[word] for word in self.index], np.float32))))
        self.trained = nn.Parameter(table[:len(seen)], requires_grad=own or tune)
        self.register_buffer("fixed", table[len(seen):])

    def rows(self, captions: list[Sequence[str]]) -> list[np.ndarray]:
        """Rows of each caption's known words."""
        return [np.array([self.index[word] for word in words if word in self.index], int)
                for words in captions]

    def numbers(self, used: torch.Tensor) -> torch.Tensor:
        """Vectors of words, (n, dim)."""
        is_fixed = used >= len(self.trained)
        if not is_fixed.any():
            return self.trained[used]
        found = self.trained[used.clamp(max=len(self.trained) - 1)]
        return torch.where(is_fixed[:, None],
                           self.fixed[(used - len(self.trained)).clamp(min=0)], found)

    def bag(self, rows: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
        """(words in these captions, how much each counts in each caption: (n, n_words))."""
        used, place = np.unique(np.concatenate(rows), return_inverse=True)
        caption = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
        if self.training:
            kept = torch.rand(len(place)) > WORD_DROPOUT
        else:
            kept = torch.ones(len(place), dtype=torch.bool)
        counts = torch.zeros(len(rows), len(used)).index_put_(
            (torch.from_numpy(caption), torch.from_numpy(place)), kept.float(), accumulate=True)
        used = torch.from_numpy(used)
        return used, counts * self.weight[used]


class _Bag(nn.Module):
    """The weighted mean of the words' numbers, each passed through `each` first; then linear."""

    def __init__(self, width: int, hidden: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.each = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(),
                                  nn.Dropout(dropout)) if hidden else nn.Identity()
        if hidden:
            # Unit vectors have small entries; without this the layer would hardly bend at first.
            self.each[0].weight.data *= 3
        self.importance = nn.Linear(hidden, 1) if hidden else None
        self.out = nn.Linear(hidden or width, dim)
        if hidden:
            nn.init.zeros_(self.importance.weight)

    def forward(self, lexicon: _Lexicon, rows: list[np.ndarray]) -> torch.Tensor:
        used, counts = lexicon.bag(rows)
        numbers = self.each(lexicon.numbers(used))
        if self.importance is not None:
            counts = counts * self.importance(numbers)[:, 0].exp()
        return self.out(counts / counts.sum(1, keepdim=True).clamp(min=1e-9) @ numbers)


class _Words(nn.Module):
    """The sum of the words' own numbers."""

    def forward(self, lexicon: _Lexicon, rows: list[np.ndarray]) -> torch.Tensor:
        used, counts = lexicon.bag(rows)
        return counts @ lexicon.numbers(used)


class _Recurrent(nn.Module):
    """A GRU in both directions over the words in their order; the mean of its states."""

    def __init__(self, width: int, hidden: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.gru = nn.GRU(width, hidden, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * hidden, dim)

    def forward(self, lexicon: _Lexicon, rows: list[np.ndarray]) -> torch.Tensor:
        words = [lexicon.numbers(torch.from_numpy(row if len(row) else np.zeros(1, int)))
                 for row in rows]
        # Unit vectors have small entries, a GRU's gates want some of about 1.
        packed = nn.utils.rnn.pack_sequence([3 * self.dropout(word) for word in words],
                                            enforce_sorted=False)
        states, lengths = nn.utils.rnn.pad_packed_sequence(self.gru(packed)[0], batch_first=True)
        return self.out(self.dropout(states.sum(1) / lengths[:, None]))


def _bag(towers: CaptionTowers) -> _Bag:
    hidden = towers.hidden if towers.reader == "network" else 0
    return _Bag(towers.lexicon_.trained.shape[1], hidden, towers.dim, towers.dropout / 2)


_TOWERS = {
    "mean": _bag, "network": _bag, "words": lambda towers: _Words(),
    "gru": lambda towers: _Recurrent(towers.lexicon_.trained.shape[1], towers.hidden,
                                     towers.dim, towers.dropout / 2)}
