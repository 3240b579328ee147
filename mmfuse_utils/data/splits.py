"""Splits: which concepts train, which choose settings, which test; drawn by hash."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np

N_TEST, N_VALIDATION = 200, 100


@dataclass(frozen=True)
class Split:
    """Three disjoint index arrays of concepts."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def hash_text(text: str) -> str:
    """A number drawn from a text, the same everywhere, as hexadecimal digits.

    >>> hash_text("0:1F419")[:8]
    '2ebaee87'
    """
    return hashlib.sha256(text.encode()).hexdigest()


def split_concepts(ids: Sequence[str], near: np.ndarray, salt: int, strict: bool,
                   test: float = N_TEST, validation: float = N_VALIDATION) -> Split:
    """Order concepts by the hash of salt and identity; 200 test, 100 validation, rest train.

    ids : (n,) identities. near : (n, n) bool, see `near_duplicates`.
    strict : drop from train every near-duplicate of a test or validation concept, and from
        validation every near-duplicate of a test concept.
    test, validation : other numbers of concepts, or shares of them between 0 and 1.

    Plain and strict share the same test concepts. Raises ValueError when no concept is left for
    training or for validation.
    """
    plain = draw_split(ids, salt, test, validation)
    held_out = np.concatenate([plain.validation, plain.test])
    return drop_near(plain, near[:, held_out]) if strict else plain


def draw_split(ids: Sequence[str], salt: int, test: float, validation: float) -> Split:
    """The plain split of `split_concepts`, near-duplicates and all.

    >>> split = draw_split("abcdefghij", 0, test=0.3, validation=2)
    >>> len(split.train), len(split.validation), len(split.test)
    (5, 2, 3)
    """
    n_test, n_validation = (_count(name, size, len(ids)) for name, size in
                            (("test", test), ("validation", validation)))
    if len(ids) <= n_test + n_validation:
        raise ValueError(f"A split needs more than {n_test + n_validation} concepts "
                         f"({n_test} test, {n_validation} validation); there are {len(ids)}. "
                         "Other sizes are given as numbers or shares: "
                         "split(test=0.2, validation=0.1).")
    order = sorted(range(len(ids)), key=lambda i: hash_text(f"{salt}:{ids[i]}"))
    test, validation, train = np.split(np.array(order, dtype=int), [n_test, n_test + n_validation])
    return Split(train, validation, test)


def _count(name: str, size: float, n_concepts: int) -> int:
    if isinstance(size, Integral) and not isinstance(size, bool) and size >= 0:
        return int(size)
    if isinstance(size, Real) and 0 < size < 1:
        return max(1, round(size * n_concepts))
    raise ValueError(f"{name} must be a whole number of concepts or a share of them between 0 "
                     f"and 1; got {size!r}.")


def drop_near(plain: Split, near: np.ndarray) -> Split:
    """The strict split of a plain one.

    near : (n, n_validation + n_test) bool, to the held-out concepts in the split's order.

    Raises ValueError when no concept is left for training or for validation.
    """
    n_validation = len(plain.validation)
    train = plain.train[~near[plain.train].any(axis=1)]
    validation = plain.validation[~near[plain.validation, n_validation:].any(axis=1)]
    if len(plain.train) > 0 == len(train) or n_validation > 0 == len(validation):
        raise ValueError(f"The strict split leaves {len(train)} concepts for training and "
                         f"{len(validation)} for validation: the others resemble test "
                         "concepts. Use strict=False, or give more concepts that differ.")
    return Split(train, validation, plain.test)


def check_split(split: Split, n_concepts: int) -> None:
    """Raise ValueError unless no concept stands twice in a split and each of them exists."""
    rows = np.concatenate([split.train, split.validation, split.test])
    if len(np.unique(rows)) < len(rows) or (len(rows) and not (
            0 <= rows.min() and rows.max() < n_concepts)):
        raise ValueError("An official split names each concept once at most, by a number from 0 "
                         f"to {n_concepts - 1}.")
