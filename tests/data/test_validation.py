"""X and y as MarginClassifier takes them."""

from enum import Enum, IntEnum, StrEnum

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from sklearn.base import BaseEstimator

from margin_sklearn.data.validation import (
    check_classes_again,
    check_lengths,
    label_array,
    validate_fit,
    validate_labels,
    validate_predict,
    validate_y,
)


class Fitted(BaseEstimator):
    """An estimator to set attributes of."""


X = np.arange(12.0).reshape(4, 3)
Y = np.array(["b", "a", "b", "c"])
CLASSES = np.array(["a", "b", "c"])


@pytest.mark.parametrize(
    "kind",
    [np.asarray, np.ndarray.tolist, pd.DataFrame, torch.from_numpy, scipy.sparse.csc_array],
)
def test_x_becomes_an_array_or_csr(kind):
    estimator = Fitted()
    checked, y = validate_fit(estimator, kind(X), Y.tolist(), reset=True)
    assert estimator.n_features_in_ == 3
    assert estimator.input_shape_ == (3,)
    assert y.tolist() == Y.tolist()
    if scipy.sparse.issparse(checked):
        assert checked.format == "csr"
        checked = checked.toarray()
    np.testing.assert_array_equal(checked, X)
    again = validate_predict(estimator, kind(X[:2]))
    assert again.shape == (2, 3)


def test_samples_of_another_shape_are_refused():
    estimator = Fitted()
    validate_fit(estimator, X.reshape(4, 3, 1), Y, reset=True)
    message = r"X has samples of shape \(3, 2\), but Fitted was fitted on.*\(3, 1\)"
    with pytest.raises(ValueError, match=message):
        validate_predict(estimator, np.zeros((4, 3, 2)))
    with pytest.raises(ValueError, match=message):
        validate_fit(estimator, np.zeros((4, 3, 2)), Y, reset=False)


def test_lengths():
    check_lengths(Fitted(), X, Y)
    with pytest.raises(ValueError, match="This Fitted estimator requires y to be passed"):
        check_lengths(Fitted(), X, None)
    with pytest.raises(ValueError, match="inconsistent numbers.* X and y of Fitted must hold"):
        check_lengths(Fitted(), X, Y[:3])
    with pytest.raises(ValueError, match="X must be one array"):
        check_lengths(Fitted(), 3.0, Y)
    with pytest.raises(ValueError, match="tuple of 2 inputs"):
        check_lengths(Fitted(), (X, X), Y)


def test_integers_beyond_int64_are_refused():
    large = np.array([[1], [2**64 - 1]], dtype=np.uint64)
    with pytest.raises(ValueError, match="X holds 18446744073709551615, .*int64"):
        validate_fit(Fitted(), large, [0, 1], reset=True)
    small, _ = validate_fit(Fitted(), large // 2, [0, 1], reset=True)
    assert small.dtype == np.uint64


def test_text_is_converted_if_all_of_it_is_numbers():
    checked, _ = validate_fit(Fitted(), X.astype(str), Y, reset=True)
    np.testing.assert_array_equal(checked, X)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.array(["a", 1], dtype=object), "mixes strings.*Convert all labels to one type"),
        (np.array(["a", None], dtype=object), "Input y contains NaN"),
        (np.array(["2020-01-01", "NaT"], "M8[D]"), "Input y contains NaN"),
        ([0.5, 1.5], "continuous"),
        (np.eye(2), "1d array"),
    ],
)
def test_labels_that_cannot_be_used(y, message):
    with pytest.raises(ValueError, match=message):
        validate_y(Fitted(), y)


def test_labels_are_an_array():
    assert validate_y(Fitted(), torch.tensor([1, 0])).tolist() == [1, 0]
    with pytest.warns(UserWarning, match="column-vector"):
        assert validate_y(Fitted(), [["a"], ["b"]]).tolist() == ["a", "b"]


class Color(str, Enum):  # noqa: UP042
    RED = "r"
    BLUE = "b"


class Size(StrEnum):
    SMALL = "s"
    LARGE = "l"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


@pytest.mark.parametrize(
    ("y", "dtype"),
    [
        (np.array([1, 0], ">i4"), np.dtype("i4")),
        (np.array([1, 0], ">f8"), np.dtype("f8")),
        (np.array([1, 0], "f2"), np.dtype("f4")),
        (np.array(["a", "b"], ">U1"), np.dtype("U1")),
        (list(Size), np.dtype("U1")),
        (list(Level), np.dtype(int)),
    ],
)
def test_labels_have_a_dtype_that_everyone_takes(y, dtype):
    checked = validate_y(Fitted(), y)
    assert checked.dtype == dtype
    assert checked.tolist() == list(y)
    assert np.shares_memory(label_array(checked), checked)


def test_labels_of_numpys_string_dtype_become_objects():
    dtype = getattr(np.dtypes, "StringDType", None)
    if dtype is None:
        pytest.skip("NumPy 1 has no StringDType")
    checked = validate_y(Fitted(), np.array(["a", "b"], dtype()))
    assert checked.dtype == object
    assert checked.tolist() == ["a", "b"]


@pytest.mark.parametrize("labels", [[1, 2], [1.0, 2.0], list(Level)])
def test_objects_are_named_as_labels(labels):
    y = np.array(labels, dtype=object)
    message = rf"Unknown label type: y .*object.*\({type(labels[0]).__name__}\).*astype\(int\)"
    with pytest.raises(ValueError, match=message):
        validate_y(Fitted(), y)


def test_labels_that_numpy_would_cut_off_are_refused():
    """``np.asarray([Color.RED, Color.BLUE])`` is ``["C", "C"]``."""
    with pytest.raises(ValueError, match=r"Color.RED.* into .*'C'.*label.value for label"):
        validate_y(Fitted(), list(Color))


def test_class_indices():
    class_index = validate_labels(Y, CLASSES)
    assert class_index.tolist() == [1, 0, 1, 2]
    np.testing.assert_array_equal(CLASSES[class_index], Y)


@pytest.mark.parametrize("label", ["0", "bb", "z"])
def test_an_unknown_label_is_named(label):
    message = f"label '{label}', which is not among the classes .*fitted on"
    with pytest.raises(ValueError, match=message):
        validate_labels(np.array(["a", label]), CLASSES)


@pytest.mark.parametrize("fitted", [np.int64, np.uint64])
@pytest.mark.parametrize("given", [np.int64, np.uint64])
def test_large_labels_of_different_dtypes(fitted, given):
    classes = np.arange(2**60, 2**60 + 3).astype(fitted)
    class_index = validate_labels(classes[[2, 0, 1]].astype(given), classes)
    assert class_index.tolist() == [2, 0, 1]
    with pytest.raises(ValueError, match=f"label {2**60 + 3}, which is not among"):
        validate_labels(classes.astype(given) + given(1), classes)


def test_labels_that_float64_cannot_tell_apart():
    with pytest.raises(ValueError, match=r"label 1152921504606846976|label 1\.15"):
        validate_labels(np.array([2.0**60]), np.arange(2**60 + 1, 2**60 + 4))


def test_labels_of_another_type_or_of_one_class():
    with pytest.raises(ValueError, match="labels unlike|label 1"):
        validate_labels(np.array([1, None], dtype=object), np.array([1, 2]))
    with pytest.raises(ValueError, match="at least 2 classes.*only one class: 'a'"):
        validate_labels(Y[1:2], CLASSES[:1])


def test_a_warm_start_needs_every_class():
    check_classes_again(Y, CLASSES)
    with pytest.raises(ValueError, match=r"same classes.*lacks \['a', 'c'\].*partial_fit"):
        check_classes_again(Y[[0, 2]], CLASSES)
    with pytest.raises(ValueError, match="label 'd'"):
        check_classes_again(np.array(["a", "b", "c", "d"]), CLASSES)
