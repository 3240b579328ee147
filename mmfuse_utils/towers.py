"""Two towers: one small network for each modality, trained so that pairs meet in one space."""

from collections.abc import Callable, Iterable, Sequence
from numbers import Integral, Real
from typing import Self

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from mmfuse_utils.estimators import JointSpace, check_positive
from mmfuse_utils.metrics import check_labels
from mmfuse_utils.retrieval import unit_rows

# The part of an array that standardizing needs: its mean row and one scale for all columns.
Scaling = tuple[np.ndarray, float]


def contrastive_loss(text: torch.Tensor, image: torch.Tensor,
                     temperature: float = 0.1) -> torch.Tensor:
    """How badly each text picks its own picture out of the batch, and each picture its text.

    text, image : (n, dim) unit rows; row i of one belongs with row i of the other, and every
        other row counts as wrong. temperature : divides the cosines; small values make the
        choice sharp.

    Returns the mean cross-entropy of both choices, log(n) where all cosines are equal.
    Source: van den Oord et al. (2018, InfoNCE); Radford et al. (2021, CLIP) for both directions.

    >>> rows = torch.eye(3)
    >>> round(contrastive_loss(rows, rows, temperature=1.0).item(), 4)  # log(e + 2) - 1
    0.5514
    """
    check_positive("temperature", temperature)
    scores = text @ image.T / temperature
    own = torch.arange(len(scores), device=scores.device)
    return (functional.cross_entropy(scores, own) + functional.cross_entropy(scores.T, own)) / 2


def concept_batches(concepts: np.ndarray, batch_size: int,
                    rng: np.random.Generator) -> list[np.ndarray]:
    """One epoch's batches of rows: each concept once, by one of its rows drawn at random.

    concepts : (n,) concept of each row. Two pictures of one concept must not stand against each
        other as a wrong answer, so no concept occurs twice. batch_size : the fewest concepts in
        a batch; with fewer concepts than that, there is one batch of all of them.

    >>> batches = concept_batches(np.array([7, 7, 8, 9, 9]), 2, np.random.default_rng(0))
    >>> [len(rows) for rows in batches]
    [3]
    """
    shuffled = rng.permutation(len(concepts))
    _, first = np.unique(np.asarray(concepts)[shuffled], return_index=True)
    chosen = rng.permutation(shuffled[first])
    return np.array_split(chosen, max(1, len(chosen) // batch_size))


def descend(epochs: Iterable[Sequence[np.ndarray]],
            loss_of: Callable[[np.ndarray], torch.Tensor], optimizer: torch.optim.Optimizer,
            schedule: torch.optim.lr_scheduler.LRScheduler | None = None) -> list[float]:
    """One step of the optimizer for each batch; the mean loss of each epoch.

    epochs : the batches of rows of each. loss_of : a batch's loss. schedule : of the step length.

    Raises ValueError when the loss of an epoch is no finite number.

    >>> x = nn.Parameter(torch.tensor(1.0))
    >>> descend([[0]] * 2, lambda batch: x**2, torch.optim.SGD([x], lr=0.25))
    [1.0, 0.25]
    """
    losses = []
    for batches in epochs:
        total = 0.0
        for rows in batches:
            loss = loss_of(rows)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if schedule is not None:
                schedule.step()
            total += loss.item()
        losses.append(total / len(batches))
        if not np.isfinite(losses[-1]):
            raise ValueError(f"The loss of epoch {len(losses)} is infinite or not a number; "
                             "take a smaller lr or weight_decay.")
    return losses


class _UnitLength(nn.Module):
    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return functional.normalize(rows, dim=1)


def make_tower(dim_in: int, dim: int, hidden: int = 0, dropout: float = 0.0) -> nn.Sequential:
    """A network from (n, dim_in) to unit rows (n, dim).

    hidden : units of a hidden layer with ReLU; 0 for a linear map. dropout : share of the inputs,
        and of the hidden units, set to 0 in training.

    >>> make_tower(5, 2, hidden=8)(torch.ones(3, 5)).norm(dim=1).round(decimals=3).tolist()
    [1.0, 1.0, 1.0]
    """
    layers = [nn.Dropout(dropout)]
    if hidden:
        layers += [nn.Linear(dim_in, hidden), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(hidden or dim_in, dim), _UnitLength())


class TwoTower(JointSpace):
    """Texts and pictures in a shared space, learned by a contrastive loss.

    dim : dimension of the shared space.
    hidden : units of each tower's hidden layer; 0 makes both towers linear.
    dropout : share of a tower's inputs and hidden units set to 0 in training.
    temperature : see `contrastive_loss`.
    epochs : how often each concept is seen, each time with one of its pictures.
    lr, weight_decay : step length and shrinkage of the AdamW optimizer.
    batch_size : the fewest concepts in a batch; the others in it are the wrong answers.
    seed : of the first weights, the dropout and the batches.

    After `fit`, `losses_` holds each epoch's mean training loss, `text_tower_` and
    `image_tower_` the networks. Inputs are standardized inside: each feature less its mean, all
    divided by one number, so that a feature that varies much keeps its weight. The same seed,
    data and number of threads give the same model, and torch's own random state stays as it is.

    Source: Radford et al. (2021, CLIP), here on features that stay fixed; Loshchilov and Hutter
    (2019) for AdamW.

    >>> rng = np.random.default_rng(0)
    >>> text = rng.normal(size=(80, 6)); image = text @ rng.normal(size=(6, 9))
    >>> model = TwoTower(dim=8, hidden=0, dropout=0, epochs=100, lr=0.01)
    >>> found = model.fit(text, image, np.arange(80)).similarity(text, image).argmax(1)
    >>> bool(np.mean(found == np.arange(80)) > 0.9)
    True
    """

    def __init__(self, dim: int = 128, hidden: int = 256, dropout: float = 0.3,
                 temperature: float = 0.1, epochs: int = 40, lr: float = 1e-3,
                 weight_decay: float = 0.1, batch_size: int = 128, seed: int = 0) -> None:
        self.dim = dim
        self.hidden = hidden
        self.dropout = dropout
        self.temperature = temperature
        self.epochs = epochs
        self.lr = lr
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.seed = seed

    def fit(self, text: np.ndarray, image: np.ndarray,
            concepts: np.ndarray | None = None) -> Self:
        """Train both towers on pairs: text (n, dim_text), image (n, dim_image), concepts (n,).

        concepts : which concept each pair shows, see `concept_batches`; by default each pair
            shows one of its own.

        Raises ValueError when the rows do not pair, a number is not finite, there are fewer than
        two concepts, or a setting makes no sense.
        """
        self._check_settings()
        text, image = self._check_pairs(text, image)
        concepts = _check_concepts(concepts, len(text))
        self.text_scaling_, self.image_scaling_ = _scaling(text), _scaling(image)
        x, y = _scaled(text, self.text_scaling_), _scaled(image, self.image_scaling_)
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            shape = self.dim, self.hidden, self.dropout
            self.text_tower_ = make_tower(text.shape[1], *shape)
            self.image_tower_ = make_tower(image.shape[1], *shape)
            self.losses_ = self._train(x, y, concepts)
        self._is_fitted = True
        return self

    def _train(self, x: torch.Tensor, y: torch.Tensor, concepts: np.ndarray) -> list[float]:
        rng = np.random.default_rng(self.seed)
        towers = nn.ModuleList([self.text_tower_, self.image_tower_]).train()
        optimizer = torch.optim.AdamW(towers.parameters(), self.lr,
                                      weight_decay=self.weight_decay)
        epochs = (concept_batches(concepts, self.batch_size, rng) for _ in range(self.epochs))
        losses = descend(epochs, lambda rows: contrastive_loss(
            self.text_tower_(x[rows]), self.image_tower_(y[rows]), self.temperature), optimizer)
        towers.eval()
        return losses

    def embed_text(self, text: np.ndarray) -> np.ndarray:
        """Unit rows in the shared space: (n, dim), float32."""
        text = self._check_text(text)
        return _embed(self.text_tower_, text, self.text_scaling_)

    def embed_image(self, image: np.ndarray) -> np.ndarray:
        """Unit rows in the shared space: (n, dim), float32."""
        image = self._check_image(image)
        return _embed(self.image_tower_, image, self.image_scaling_)

    def _check_settings(self) -> None:
        for name, lowest in (("dim", 1), ("hidden", 0), ("epochs", 1), ("batch_size", 2),
                             ("seed", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Integral) or value < lowest:
                raise ValueError(f"{name} must be a whole number, {lowest} or more; got "
                                 f"{value!r}.")
        for name in ("temperature", "lr"):
            check_positive(name, getattr(self, name))
        for name, limit, words in (("dropout", 1.0, "at least 0 and below 1"),
                                   ("weight_decay", np.inf, "0 or more, and finite")):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value < limit:
                raise ValueError(f"{name} must be {words}; got {value!r}.")


def _check_concepts(concepts: np.ndarray | None, n_pairs: int) -> np.ndarray:
    concepts = np.arange(n_pairs) if concepts is None else check_labels(concepts)
    if concepts.shape != (n_pairs,):
        raise ValueError(f"fit needs one concept for each of the {n_pairs} pairs; got shape "
                         f"{concepts.shape}.")
    if len(np.unique(concepts)) < 2:
        raise ValueError("A contrast needs at least two concepts; got "
                         f"{len(np.unique(concepts))}.")
    return concepts


def _scaling(rows: np.ndarray) -> Scaling:
    scale = float(np.sqrt(rows.var(axis=0).mean()))
    return rows.mean(axis=0), scale or 1.0  # rows that are all equal become zeros


def _scaled(rows: np.ndarray, scaling: Scaling) -> torch.Tensor:
    mean, scale = scaling
    return torch.from_numpy(((rows - mean) / scale).astype(np.float32))


@torch.inference_mode()
def _embed(tower: nn.Module, rows: np.ndarray, scaling: Scaling) -> np.ndarray:
    # Normalized once more: torch's unit rows are off by single-precision rounding.
    return unit_rows(tower(_scaled(rows, scaling)).numpy())
