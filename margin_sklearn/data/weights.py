"""Weights of samples and of classes."""

import numbers

import numpy as np
from sklearn.utils.class_weight import compute_class_weight

from ..checks import as_numbers
from .rows import to_numpy

__all__ = ["check_sample_weight", "training_weights"]


def check_sample_weight(sample_weight, n_samples):
    """Weights of samples as float64, checked.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,) or float
        A number stands for equal weights.
    n_samples : int

    Returns
    -------
    weight : ndarray of float64 of shape (n_samples,)

    Raises
    ------
    ValueError
        If the weights are not one number for each sample, or one of them is negative, infinite
        or NaN, or all of them are zero.
    """
    if isinstance(sample_weight, numbers.Number):
        sample_weight = np.full(n_samples, sample_weight)
    weight = as_numbers("sample_weight", to_numpy(sample_weight))
    if weight.shape != (n_samples,):
        raise ValueError(f"sample_weight must have shape ({n_samples},), got {weight.shape}.")
    unusable = ~np.isfinite(weight) | (weight < 0)
    if unusable.any():
        bad = weight[unusable][0]
        raise ValueError(
            "sample_weight must be finite and non-negative, got "
            f"{'NaN' if np.isnan(bad) else bad} for sample {unusable.argmax()}."
        )
    if not weight.any():
        raise ValueError("sample_weight is zero for every sample: no sample is left.")
    return weight


def training_weights(sample_weight, class_weight, index, classes, relative=True):
    """Weights of the samples in the loss, or None if they make no difference.

    The product of ``sample_weight`` and ``class_weight``, as scikit-learn means them.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,), float or None
    class_weight : dict, "balanced" or None
    index : ndarray of int of shape (n_samples,)
        Class indices.
    classes : ndarray of shape (n_classes,)
        Labels, sorted.
    relative : bool, default=True
        Whether only the ratios of the weights count: their mean over the samples of positive
        weight becomes 1.

    Returns
    -------
    weight : ndarray of float64 of shape (n_samples,) or None

    Raises
    ------
    ValueError
        If the weights cannot be used, or leave samples of fewer than two classes.
    """
    if sample_weight is None and class_weight is None:
        return None
    weight = np.ones(len(index))
    if sample_weight is not None:
        weight = check_sample_weight(sample_weight, len(index))
    if class_weight is not None:
        weight = weight * _class_weights(class_weight, index, classes)[index]
    positive = weight > 0
    if not positive.any():
        raise ValueError("The weights of all samples are zero: there is nothing to fit.")
    if len(np.unique(index[positive])) < 2 and len(np.unique(index)) >= 2:
        raise ValueError(
            "The samples of non-zero weight are all of one class: "
            f"{classes[index[positive]].tolist()[0]!r}. At least 2 classes are needed."
        )
    if relative:
        equal = positive.all() and np.ptp(weight) == 0
        return None if equal else weight / weight[positive].mean()
    return None if (weight == 1).all() else weight


def _class_weights(class_weight, index, classes):
    """One weight a class; compute_class_weight wants every class among the samples."""
    present = np.unique(index)
    weights = np.ones(len(classes))
    if isinstance(class_weight, str) and class_weight == "balanced":
        weights[present] = compute_class_weight("balanced", classes=present, y=index)
    elif isinstance(class_weight, dict):
        known = classes.tolist()
        missing = [label for label in class_weight if label not in known]
        others = [label for label in known if label not in class_weight]
        if missing and others:
            # As in LogisticRegression: a fold may lack a class, but here it is a slip.
            raise ValueError(
                f"class_weight names the labels {missing}, which are not in y, and not "
                f"{others}, which are."
            )
        for label, value in class_weight.items():
            if not isinstance(value, numbers.Real) or not 0 <= float(value) < np.inf:
                raise ValueError(
                    f"class_weight of {label!r} must be a number, finite and not negative, "
                    f"got {value!r}."
                )
            if label in known:
                weights[known.index(label)] = value
    else:
        raise ValueError(
            f"class_weight must be a dict, 'balanced' or None, got {class_weight!r}."
        )
    return weights
