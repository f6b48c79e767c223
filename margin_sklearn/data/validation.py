"""Validation of the X and y that MarginClassifier takes, with scikit-learn's error types."""

from enum import Enum
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_array, check_consistent_length, validate_data

from ..checks import check_rows, refuse_masked
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
    "label_array",
    "validate_fit",
    "validate_labels",
    "validate_predict",
    "validate_y",
]


def validate_fit(estimator: Any, X: Any, y: Any, reset: bool) -> tuple[Any, NDArray[Any]]:
    """Validate training data.

    Parameters
    ----------
    estimator : estimator
        With ``reset`` its ``n_features_in_``, ``feature_names_in_`` and ``input_shape_`` are
        set.
    X : array-like or sparse matrix of shape (n_samples, ...)
    y : array-like of shape (n_samples,)
    reset : bool
        Whether this is the first call; otherwise ``X`` must match the earlier data.

    Returns
    -------
    X : ndarray or CSR matrix of shape (n_samples, ...)
        Finite numbers.
    y : ndarray of shape (n_samples,)
        Labels.

    Raises
    ------
    ValueError, TypeError
        If ``X`` or ``y`` cannot be used.
    """
    check_lengths(estimator, X, y)
    X = _validate_numbers(estimator, X, reset)
    y = validate_y(estimator, y)
    if reset:
        estimator.input_shape_ = tuple(int(side) for side in X.shape[1:])
    _check_shape(estimator, X)
    return X, y


def check_lengths(estimator: Any, X: Any, y: Any) -> None:
    """Raise an error unless there is one label per sample.

    Parameters
    ----------
    estimator : estimator
        Named in the message.
    X : array-like or sparse matrix of shape (n_samples, ...)
    y : array-like of shape (n_samples,)

    Raises
    ------
    ValueError
        If ``y`` is None or has another length than ``X``, or if ``X`` is not one array.
    """
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
            f"{error}. The X and y of {type(estimator).__name__} must hold the same samples. "
            "A step of scikit-learn's Pipeline that drops rows of X, such as "
            "MarginSubsetSelector, cannot drop them from y: put it last, around the "
            "classifier, or use MarginSubsetSampler in imbalanced-learn's Pipeline."
        ) from error


def _length(y: Any) -> int | None:
    try:
        return len(y)
    except TypeError:  # an object without a length that NumPy can convert to an array
        return None


def validate_y(estimator: Any, y: Any) -> NDArray[Any]:
    """Validate labels and return them as a 1-D array.

    Parameters
    ----------
    estimator : estimator
        Named in the message.
    y : array-like of shape (n_samples,)

    Returns
    -------
    y : ndarray of shape (n_samples,)

    Raises
    ------
    ValueError
        If ``y`` is not one-dimensional, is continuous, has missing values or mixes strings
        with other types.
    """
    y = label_array(y, warn=True)
    if y.dtype == object and len({isinstance(label, str) for label in y}) > 1:
        raise ValueError(
            "y mixes strings with labels of other types, which cannot be sorted. Convert all "
            "labels to one type."
        )
    check_array(y, ensure_2d=False, dtype=None, input_name="y", estimator=estimator)
    if y.dtype.kind == "V" or type_of_target(y, input_name="y") == "unknown":
        raise ValueError(
            f"Unknown label type: y has dtype {y.dtype} and holds {y[0]!r} "
            f"({type(y[0]).__name__}). Convert them to integers or strings, for instance with "
            "y.astype(int) or y.astype(str)."
        )
    check_classification_targets(y)
    return y


def label_array(y: Any, warn: bool = False) -> NDArray[Any]:
    """Labels as a 1-D array of a dtype that scikit-learn and pandas take.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
    warn : bool, default=False
        Whether to warn of a column vector.

    Returns
    -------
    y : ndarray of shape (n_samples,)
        Of native byte order; half precision becomes float32, NumPy's StringDType object.

    Raises
    ------
    ValueError
        If ``y`` is not one-dimensional, has missing values that are not numbers, or holds
        labels that NumPy would cut off.
    """
    y = to_numpy(y)
    refuse_masked("y", y)
    if isinstance(y, list | tuple):
        for label in y:
            # NumPy takes the length of the value, and the letters of str(label).
            if isinstance(label, str) and isinstance(label, Enum) and str(label) != label:
                raise ValueError(
                    f"y holds {label!r}, which NumPy turns into the string "
                    f"{np.asarray([label])[0]!r}. Pass the values of the Enum, "
                    "[label.value for label in y]."
                )
    if isinstance(y, np.ndarray) and y.dtype.kind == "T":
        y = y.astype(object)
    y = column_or_1d(y, warn=warn)
    _refuse_missing(y, "y")
    dtype = np.float32 if y.dtype == np.float16 else y.dtype.newbyteorder("=")
    return y.astype(dtype, copy=False)


def validate_predict(estimator: Any, X: Any) -> Any:
    """Validate X for prediction by a fitted estimator.

    Parameters
    ----------
    estimator : estimator
        Fitted.
    X : array-like or sparse matrix of shape (n_samples, ...)

    Returns
    -------
    X : ndarray or CSR matrix of shape (n_samples, ...)
        Finite numbers.

    Raises
    ------
    ValueError, TypeError
        If ``X`` cannot be used or does not match the training data.
    """
    refuse_several_inputs(X)
    check_rows("X", X)
    X = _validate_numbers(estimator, X, reset=False)
    _check_shape(estimator, X)
    return X


def _validate_numbers(estimator: Any, X: Any, reset: bool) -> Any:
    """X as ndarray or CSR matrix of numbers; errors name a column that is not numeric."""
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
            # Categorical and datetime columns of pandas pass validate_data unconverted.
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
            f"X holds {checked.max()}, which is too large for int64. Encode or scale it."
        )
    return checked


def _from_text(X: Any) -> Any:
    """An array or list of strings as floats if all of them are numbers; else ``X`` itself."""
    try:
        array = np.asarray(X)
        return array.astype(np.float64) if array.dtype.kind in "US" else X
    except (TypeError, ValueError):
        return X


def _refuse_missing(labels: NDArray[Any], name: str) -> None:
    """Raise a ValueError if labels contain NaN, None, NaT or pandas' NA."""
    missing = False
    if labels.dtype.kind in "mM":
        missing = bool(np.isnat(labels).any())
    elif labels.dtype == object:
        missing = bool(pd.isna(labels).any())
    if missing:
        raise ValueError(
            f"Input {name} contains NaN (or None, NaT). Drop the samples without a label."
        )


def check_classes_again(y: NDArray[Any], classes: NDArray[Any]) -> None:
    """Raise an error unless ``y`` of a warm start has the classes of the first fit.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        Labels.
    classes : ndarray of shape (n_classes,)
        Labels of the first fit, sorted.

    Raises
    ------
    ValueError
        If a class is missing from ``y``, or ``y`` has another label.
    """
    validate_labels(y, classes)
    missing = np.setdiff1d(classes, y)
    if len(missing):
        raise ValueError(
            "warm_start can only be used where y has the same classes as in the last call to "
            f"fit: {classes}; y lacks {missing.tolist()}. partial_fit accepts samples of only "
            "some of the classes."
        )


def validate_labels(y: ArrayLike, classes: NDArray[Any]) -> NDArray[np.intp]:
    """Convert labels to class indices.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels.
    classes : ndarray of shape (n_classes,)
        Labels of fit, sorted.

    Returns
    -------
    class_index : ndarray of int of shape (n_samples,)
        Position of each label in ``classes``.

    Raises
    ------
    ValueError
        If there are fewer than two classes, or a label is not one of them.
    """
    if len(classes) < 2:
        raise ValueError(
            "MarginClassifier needs samples of at least 2 classes in the data, but the data "
            f"contains only one class: {classes.tolist()[0]!r}."
        )
    y, known = _compared_exactly(np.asarray(y), classes)
    try:
        class_index = np.searchsorted(known, y)
    except TypeError as error:
        raise ValueError(
            f"y has labels unlike the classes of fit, {classes} ({error}). Pass labels of the "
            "type that was used for fit."
        ) from error
    class_index = np.minimum(class_index, len(classes) - 1)
    unknown = known[class_index] != y
    if np.any(unknown):
        raise ValueError(
            f"y contains the label {y[unknown].tolist()[0]!r}, which is not among "
            f"the classes the classifier was fitted on: {classes}."
        )
    return class_index


def _compared_exactly(
    y: NDArray[Any], classes: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Large numbers of different kinds as objects, because NumPy compares them as float64."""
    kinds = {y.dtype.kind, classes.dtype.kind}
    if len(kinds) == 1 or not kinds <= {*"iuf"}:
        return y, classes
    if np.abs(classes.astype(np.float64)).max() < 2.0**53:
        return y, classes
    return y.astype(object), classes.astype(object)


def _check_shape(estimator: Any, X: Any) -> None:
    shape = tuple(X.shape[1:])
    if shape != estimator.input_shape_:
        raise ValueError(
            f"X has samples of shape {shape}, but {type(estimator).__name__} was fitted on "
            f"samples of shape {estimator.input_shape_}."
        )
