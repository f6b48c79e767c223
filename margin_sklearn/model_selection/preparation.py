"""The samples of a search and their folds."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.model_selection import check_cv
from sklearn.utils import get_tags

from ..checks import InvalidParameterError
from ..classifier.estimator import MarginClassifier
from ..data.rows import take_rows
from .routing import Routed
from .tasks import SearchData, Split

__all__ = ["prepare_data"]


def prepare_data(
    estimator: Any, X: Any, y: NDArray[Any], cv: Any, routed: Routed
) -> SearchData:
    """Put together what the fits and scores of a search need.

    Parameters
    ----------
    estimator : estimator
    X : array-like of shape (n_samples, ...)
    y : ndarray of shape (n_samples,)
    cv : int, splitter, iterable or None
        None makes no folds.
    routed : Routed

    Returns
    -------
    data : SearchData

    Raises
    ------
    ValueError
        If ``cv`` cannot split the samples.
    """
    pairwise = get_tags(estimator).input_tags.pairwise
    splits = [] if cv is None else _splits(estimator, X, y, cv, routed.split)
    if not pairwise:
        # Rows are taken as a splitter takes them, so that the memory layout, and with it the
        # last bit of a sum, is that of GridSearchCV with ResubstitutionSplit.
        X = take_rows(X, np.arange(len(y)))
    return SearchData(
        X,
        y,
        dict(routed.fit),
        dict(routed.score),
        dict(routed.margin_score),
        splits,
        pairwise,
        # Networks alone do not; whoever knows of other estimators.
        may_write=type(estimator) is not MarginClassifier,
    )


def _splits(
    estimator: Any, X: Any, y: NDArray[Any], cv: Any, params: Mapping[str, Any]
) -> list[Split]:
    advice = "Pass another cv, or shortlist=None to choose without cross-validation."
    try:
        splitter = check_cv(cv, y, classifier=is_classifier(estimator))
    except (ValueError, TypeError) as error:
        raise InvalidParameterError(
            f"cv must be an integer of at least 2, a splitter or an iterable of splits, got "
            f"{cv!r}: {error}"
        ) from error
    try:
        splits = [
            (np.asarray(train), np.asarray(test))
            for train, test in splitter.split(X, y, **params)
        ]
    except (ValueError, TypeError) as error:
        raise ValueError(f"cv={cv!r} cannot split these samples: {error} {advice}") from error
    if not splits:
        raise ValueError(f"cv={cv!r} gives no splits. {advice}")
    for number, split in enumerate(splits):
        for name, rows in zip(("training", "test"), split, strict=True):
            _check_rows_of_split(rows, len(y), f"The {name} rows of split {number} of cv")
    return splits


def _check_rows_of_split(rows: NDArray[Any], n: int, what: str) -> None:
    """Refuse what is not a mask of the samples or some of their indices."""
    if rows.ndim != 1 or rows.dtype.kind not in "biu" or not len(rows):
        raise ValueError(
            f"{what} must be at least one row index, or a mask, got {rows.tolist()!r} "
            f"({rows.dtype}, shape {rows.shape})."
        )
    if rows.dtype == bool:
        if len(rows) != n or not rows.any():
            raise ValueError(
                f"{what} are a mask of length {len(rows)} with {rows.sum()} times True, but "
                f"there are {n} samples, of which it must select some."
            )
        return
    outside = rows[(rows < -n) | (rows >= n)]
    if len(outside):
        raise ValueError(
            f"{what} include {outside[0]}, but there are only {n} samples: indices must be "
            f"below {n}."
        )
