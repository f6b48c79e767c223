"""Sample weights and class weights."""

import numbers
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.class_weight import compute_class_weight

from ..checks import as_numbers
from .rows import to_numpy

__all__ = ["check_sample_weight", "training_weights"]

# The largest sum that weights may have.
MAX = np.finfo(np.float64).max


def check_sample_weight(
    sample_weight: ArrayLike | float, n_samples: int
) -> NDArray[np.float64]:
    """Validate sample weights and return them as float64.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,) or float
        A single number gives every sample that weight.
    n_samples : int

    Returns
    -------
    weight : ndarray of float64 of shape (n_samples,)

    Raises
    ------
    ValueError
        If there is not exactly one number per sample, if a weight is negative, infinite or
        NaN, or if all weights are zero.
    """
    if isinstance(sample_weight, numbers.Number):
        sample_weight = np.full(n_samples, sample_weight)
    weight = as_numbers("sample_weight", to_numpy(sample_weight))
    if weight.shape != (n_samples,):
        raise ValueError(
            f"sample_weight must have shape ({n_samples},), one weight per sample, got "
            f"{weight.shape}."
        )
    unusable = ~np.isfinite(weight) | (weight < 0)
    if unusable.any():
        bad = weight[unusable][0]
        raise ValueError(
            "sample_weight must be finite and non-negative, got "
            f"{'NaN' if np.isnan(bad) else bad} for sample {unusable.argmax()}."
        )
    if not weight.any():
        raise ValueError(
            "sample_weight is zero for every sample: at least one weight must be positive."
        )
    return weight


def training_weights(
    sample_weight: ArrayLike | float | None,
    class_weight: dict[Any, float] | str | None,
    class_index: NDArray[np.integer],
    classes: NDArray[Any],
    relative: bool = True,
) -> NDArray[np.float64] | None:
    """Weight of each sample in the loss, or None if the weights have no effect.

    The product of ``sample_weight`` and ``class_weight``, which have the same meaning as in
    scikit-learn.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,), float or None
    class_weight : dict, "balanced" or None
    class_index : ndarray of int of shape (n_samples,)
        Position of the label of each sample in ``classes``.
    classes : ndarray of shape (n_classes,)
        Labels, sorted.
    relative : bool, default=True
        Whether only the ratios of the weights matter. If so, the weights are scaled so that
        the mean of the positive ones is 1.

    Returns
    -------
    weight : ndarray of float64 of shape (n_samples,) or None

    Raises
    ------
    ValueError
        If the weights are invalid, or if the samples with positive weight belong to fewer than
        two classes.
    """
    if sample_weight is None and class_weight is None:
        return None
    weight = np.ones(len(class_index))
    if sample_weight is not None:
        weight = check_sample_weight(sample_weight, len(class_index))
    if class_weight is not None:
        by_class = _class_weights(class_weight, class_index, classes)[class_index]
        with np.errstate(over="ignore"):
            weight = weight * by_class
        if not np.isfinite(weight).all():
            raise ValueError(
                "The product of sample_weight and class_weight is too large for float64: the "
                f"class weights reach {by_class.max():g}. Make one of them smaller."
            )
    positive = weight > 0
    if not positive.any():
        raise ValueError(
            "The product of sample_weight and class_weight is zero for every sample: at least "
            "one sample must have a positive weight."
        )
    if len(np.unique(class_index[positive])) < 2 and len(np.unique(class_index)) >= 2:
        raise ValueError(
            "All samples with a positive weight are of one class, "
            f"{classes[class_index[positive]].tolist()[0]!r}, but at least 2 classes are "
            "needed. Give samples of another class a positive sample_weight."
        )
    if relative:
        if weight.max() > MAX / len(weight):
            weight = weight / weight.max()
        equal = positive.all() and np.ptp(weight) == 0
        return None if equal else weight / weight[positive].mean()
    return None if (weight == 1).all() else weight


def _class_weights(
    class_weight: dict[Any, float] | str,
    class_index: NDArray[np.integer],
    classes: NDArray[Any],
) -> NDArray[np.float64]:
    """One weight per class; 1 for a class without samples if ``"balanced"``."""
    present = np.unique(class_index)
    weights = np.ones(len(classes))
    if isinstance(class_weight, str) and class_weight == "balanced":
        # compute_class_weight requires a sample of every class that it is given.
        weights[present] = compute_class_weight("balanced", classes=present, y=class_index)
    elif isinstance(class_weight, dict):
        # Dates in nanoseconds would become integers.
        known = list(classes) if classes.dtype.kind in "mM" else classes.tolist()
        missing = [label for label in class_weight if label not in known]
        others = [label for label in known if label not in class_weight]
        if missing and others:
            # As in LogisticRegression. A label that is not in y is allowed as long as every
            # label of y has a weight: a cross-validation fold may lack a class.
            raise ValueError(
                f"class_weight has weights for the labels {missing}, which are not in y, but "
                f"none for {others}, which are. Correct the keys of class_weight."
            )
        for label, value in class_weight.items():
            if not isinstance(value, numbers.Real) or not 0 <= float(value) < np.inf:
                raise ValueError(
                    f"class_weight[{label!r}] must be a finite number that is not negative, "
                    f"got {value!r}."
                )
            if label in known:
                weights[known.index(label)] = value
    else:
        raise ValueError(
            f"class_weight must be a dict, 'balanced' or None, got {class_weight!r}."
        )
    return weights
