"""What MarginClassifier accepts: X, y, weights; or scikit-learn's kind of error."""

import numpy as np
import pandas as pd
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_consistent_length, validate_data

from ..checks import check_rows
from .columns import (
    not_numbers_error,
    refuse_dates,
    refuse_duplicate_names,
    refuse_several_inputs,
)
from .rows import to_numpy

__all__ = [
    "check_classes_again",
    "check_lengths",
    "validate_fit",
    "validate_labels",
    "validate_predict",
    "validate_y",
]


def validate_fit(estimator, X, y, reset):
    """X as ndarray or CSR and y as 1-D array, checked; sets ``input_shape_`` on reset."""
    check_lengths(estimator, X, y)
    X = _validate_numbers(estimator, X, reset)
    y = validate_y(estimator, y)
    if reset:
        estimator.input_shape_ = tuple(int(side) for side in X.shape[1:])
    _check_shape(estimator, X)
    return X, y


def check_lengths(estimator, X, y):
    """Raise a ValueError if there is no y, or not one label a sample."""
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but the "
            "target y is None."
        )
    refuse_several_inputs(X, _length(y))
    check_rows("X", X)
    try:
        check_consistent_length(to_numpy(X), to_numpy(y))
    except ValueError as error:
        raise ValueError(
            f"{error}. X and y must hold the same samples. A step of scikit-learn's Pipeline "
            "that drops rows of X cannot drop them from y: put MarginSubsetSelector last, "
            "around the classifier, or use MarginSubsetSampler in imbalanced-learn's Pipeline."
        ) from error


def _length(y):
    try:
        return len(y)
    except TypeError:  # of whatever becomes an array only later
        return None


def validate_y(estimator, y):
    """Labels as a 1-D array, checked."""
    y = column_or_1d(to_numpy(y), warn=True)
    _refuse_missing(y, "y")
    if y.dtype == object and len({isinstance(label, str) for label in y}) > 1:
        raise ValueError(
            "y mixes strings with labels of other types, which have no common order: make "
            "them all of one type."
        )
    check_array(y, ensure_2d=False, dtype=None, input_name="y", estimator=estimator)
    check_classification_targets(y)
    return y


def validate_predict(estimator, X):
    """X as ndarray or CSR, checked against what the estimator was fitted on."""
    refuse_several_inputs(X)
    check_rows("X", X)
    X = _validate_numbers(estimator, X, reset=False)
    _check_shape(estimator, X)
    return X


def _validate_numbers(estimator, X, reset):
    """X as ndarray or CSR of numbers; a column that holds none is named."""
    refuse_duplicate_names(X)
    refuse_dates(X)
    X = to_numpy(X)
    try:
        checked = validate_data(
            estimator,
            X,
            reset=reset,
            accept_sparse="csr",
            dtype="numeric",
            allow_nd=True,
        )
        if checked.dtype.kind == "O":
            # pandas' categories and dates pass the check as they are.
            checked = checked.astype(np.float64)
        if checked.dtype.kind not in "biuf":
            raise ValueError(f"X holds values of dtype {checked.dtype}, not numbers.")
    except (TypeError, ValueError) as error:
        better = None if "Complex" in str(error) else not_numbers_error(X, error)
        if better is not None:
            raise better from error
        numbers_of_text = _from_text(X)
        if numbers_of_text is X:
            raise
        return _validate_numbers(estimator, numbers_of_text, reset)
    if checked.dtype == np.uint64 and checked.size and checked.max() > np.iinfo(np.int64).max:
        raise ValueError(
            f"X holds {checked.max()}, more than int64 can hold: encode or scale it."
        )
    return checked


def _from_text(X):
    """An array or list of text as floats, where all of it is numbers; else ``X`` itself."""
    try:
        array = np.asarray(X)
        return array.astype(np.float64) if array.dtype.kind in "US" else X
    except (TypeError, ValueError):
        return X


def _refuse_missing(labels, name):
    """Raise a ValueError for NaN, None, NaT or pandas' NA among labels."""
    missing = False
    if labels.dtype.kind in "mM":
        missing = np.isnat(labels).any()
    elif labels.dtype == object:
        missing = pd.isna(labels).any()
    if missing:
        raise ValueError(
            f"Input {name} contains NaN (or None, NaT): leave out the samples without a label."
        )


def check_classes_again(y, classes):
    """Raise a ValueError unless y of a warm start has the classes of the first fit."""
    validate_labels(y, classes)
    missing = np.setdiff1d(classes, y)
    if len(missing):
        raise ValueError(
            "warm_start can only be used where y has the same classes as in the last call to "
            f"fit: {classes}; y lacks {missing.tolist()}. partial_fit takes part of them."
        )


def validate_labels(y, classes):
    """Index of each label in the sorted array ``classes``."""
    if len(classes) < 2:
        raise ValueError(
            "MarginClassifier needs samples of at least 2 classes in the data, but the data "
            f"contains only one class: {classes.tolist()[0]!r}."
        )
    try:
        index = np.searchsorted(classes, y)
    except TypeError as error:
        raise ValueError(f"y holds labels unlike the classes {classes}: {error}") from error
    index = np.minimum(index, len(classes) - 1)
    unknown = classes[index] != y
    if np.any(unknown):
        raise ValueError(
            f"y contains the label {np.asarray(y)[unknown].tolist()[0]!r}, which is not among "
            f"the classes the classifier knows: {classes}."
        )
    return index


def _check_shape(estimator, X):
    shape = tuple(X.shape[1:])
    if shape != estimator.input_shape_:
        raise ValueError(
            f"X has samples of shape {shape}, but {type(estimator).__name__} was fitted on "
            f"samples of shape {estimator.input_shape_}."
        )
