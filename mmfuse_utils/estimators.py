"""What all methods share that are fitted on pairs of a text and a picture, after scikit-learn."""

from numbers import Real

import numpy as np
from scipy import linalg
from sklearn.base import BaseEstimator
from sklearn.utils import Tags
from sklearn.utils.validation import check_array, check_is_fitted


class JointSpace(BaseEstimator):
    """What methods with a space of their own share: checked tables, and cosines of embedded rows.

    Tables may be arrays, lists or data frames of numbers; sparse ones are refused, since the
    methods need dense ones. Single precision stays single; everything else becomes double.
    """

    def __sklearn_tags__(self) -> Tags:
        """Where scikit-learn has samples and targets, here are texts and pictures."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = tags.target_tags.multi_output = True
        tags.target_tags.single_output = False
        return tags

    def similarity(self, text: np.ndarray, image: np.ndarray) -> np.ndarray:
        """Cosine of each text with each picture: (n_texts, n_images)."""
        return self.embed_text(text) @ self.embed_image(image).T

    def _check_pairs(self, text: np.ndarray, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tables to fit, (n, dim_text) and (n, dim_image); widths and columns' names are noted."""
        self._is_fitted = False
        if text is None or image is None:
            missing = "texts" if text is None else "pictures"
            raise ValueError(f"fit requires y to be passed, but the target y is None: it learns "
                             f"from pairs of a text and a picture, and got no {missing}.")
        names = _column_names(text), _column_names(image)
        text, image = (check_table(name, rows, n_least=2)
                       for name, rows in (("text", text), ("image", image)))
        if len(text) != len(image):
            raise ValueError("fit needs one text row for each picture row; got shapes "
                             f"{text.shape} and {image.shape}.")
        self.n_features_in_, self.n_image_features_in_ = text.shape[1], image.shape[1]
        self._columns = dict(zip(("text", "image"), names, strict=True))
        return text, image

    def __sklearn_is_fitted__(self) -> bool:
        """Whether the last `fit` came to its end; one that failed leaves nothing to use."""
        return getattr(self, "_is_fitted", False)

    def _check_text(self, text: np.ndarray) -> np.ndarray:
        return self._check_rows("text", text, "n_features_in_")

    def _check_image(self, image: np.ndarray) -> np.ndarray:
        return self._check_rows("image", image, "n_image_features_in_")

    def _check_rows(self, name: str, rows: np.ndarray, width: str) -> np.ndarray:
        """A table to embed; it must be as wide as the one that `fit` saw."""
        check_is_fitted(self)
        columns, known = _column_names(rows), getattr(self, "_columns", {}).get(name)
        if columns is not None and known is not None and columns != known:
            raise ValueError(f"The columns of {name} are not those of fit, in their order: "
                             f"expected {known!r:.99}, got {columns!r:.99}.")
        rows = check_table(name, rows)
        if rows.shape[1] != getattr(self, width):
            raise ValueError(f"{name} has {rows.shape[1]} features, but this "
                             f"{type(self).__name__} was fitted with {getattr(self, width)}.")
        return rows


def _column_names(rows: np.ndarray) -> list | None:
    return list(rows.columns) if hasattr(rows, "columns") else None


def check_table(name: str, rows: np.ndarray, n_least: int = 1) -> np.ndarray:
    """A table of finite numbers as an array, (n, dim); scikit-learn's errors, with this name.

    n_least : the fewest rows that it may have.

    >>> check_table("text", [[1, 2]]).tolist()
    [[1.0, 2.0]]
    """
    return check_array(rows, dtype=[np.float64, np.float32], input_name=name,
                       ensure_min_samples=n_least)


def check_positive(name: str, value: float) -> None:
    """Raise ValueError unless a setting is a positive, finite number.

    >>> check_positive("alpha", 0.3)
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < value < np.inf:
        raise ValueError(f"{name} must be positive and finite; got {value!r}.")


def check_variety(rows: np.ndarray, name: str) -> None:
    """Raise ValueError when all rows of a table are the same.

    >>> check_variety(np.array([[1, 2], [1, 3]]), "text")
    """
    if not np.ptp(rows, axis=0).any():
        raise ValueError(f"All {len(rows)} {name} rows are the same, so there is nothing to learn "
                         "from how they differ.")


def solve_penalized(gram: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Solution of gram @ x = target, for a symmetric gram whose diagonal holds a penalty.

    Overwrites gram. Raises ValueError where the penalty drowns in rounding.

    >>> solve_penalized(np.array([[2.0, 0.0], [0.0, 4.0]]), np.array([2.0, 2.0])).tolist()
    [1.0, 0.5]
    """
    try:
        return linalg.solve(gram, target, assume_a="pos", overwrite_a=True)
    except linalg.LinAlgError as error:
        raise ValueError("alpha is too small for rows that repeat each other: no weights fit them "
                         "better than all others. Raise it.") from error
