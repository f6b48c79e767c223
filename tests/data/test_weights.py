"""Sample weights and class weights: their values, and messages for invalid ones."""

import numpy as np
import pandas as pd
import pytest
import torch

from margin_sklearn.data.weights import check_sample_weight, training_weights

Y = np.array([0, 0, 0, 1])
CLASSES = np.array(["a", "b"])


@pytest.mark.parametrize(
    "weight",
    [
        [1, 2, 0],
        (1.0, 2.0, 0.0),
        np.array([1, 2, 0], dtype=np.float32),
        pd.Series([1, 2, 0], index=[7, 8, 9]),
        torch.tensor([1.0, 2.0, 0.0]),
    ],
)
def test_weights_become_float64(weight):
    found = check_sample_weight(weight, 3)
    assert found.dtype == np.float64
    assert found.tolist() == [1.0, 2.0, 0.0]


@pytest.mark.parametrize("number", [2, 2.5, np.float32(0.5), np.int64(3)])
def test_a_single_number_is_the_weight_of_every_sample(number):
    assert check_sample_weight(number, 3).tolist() == [float(number)] * 3


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([1.0, 2.0], r"sample_weight must have shape \(3,\), .*got \(2,\)\."),
        (np.ones((3, 1)), r"sample_weight must have shape \(3,\), .*got \(3, 1\)\."),
        (np.ones((1, 3)), r"sample_weight must have shape \(3,\), .*got \(1, 3\)\."),
        ([1.0, -0.5, -2.0], r"finite and non-negative, got -0\.5 for sample 1\."),
        ([1.0, 2.0, np.nan], r"finite and non-negative, got NaN for sample 2\."),
        ([1.0, 2.0, None], r"finite and non-negative, got NaN for sample 2\."),
        ([np.inf, 2.0, 1.0], r"finite and non-negative, got inf for sample 0\."),
        ([1.0, -np.inf, 1.0], r"finite and non-negative, got -inf for sample 1\."),
        ([0.0, 0.0, 0.0], r"sample_weight is zero for every sample: at least one"),
        (0.0, r"sample_weight is zero for every sample"),
        (-1, r"finite and non-negative, got -1\.0 for sample 0\."),
        (np.nan, r"finite and non-negative, got NaN for sample 0\."),
        (np.inf, r"finite and non-negative, got inf for sample 0\."),
        ("balanced", r"sample_weight must hold"),
        (["a", "b", "c"], r"sample_weight must hold real numbers, got dtype <U1\."),
        (np.array([1, 2, "a"], dtype=object), r"sample_weight must hold numbers.*'a'"),
        ([1j, 1.0, 1.0], r"sample_weight must hold real numbers, got dtype complex128\."),
        ([[1.0], [1.0, 2.0], [1.0]], r"sample_weight must hold numbers"),
    ],
)
def test_invalid_sample_weights(weight, message):
    with pytest.raises(ValueError, match=message):
        check_sample_weight(weight, 3)


def test_weights_without_effect_are_none():
    assert training_weights(None, None, Y, CLASSES) is None
    assert training_weights([3.0] * 4, None, Y, CLASSES) is None
    assert training_weights([1.0] * 4, None, Y, CLASSES, relative=False) is None
    assert training_weights(None, {"a": 2.0, "b": 2.0}, Y, CLASSES) is None
    found = training_weights([3.0] * 4, None, Y, CLASSES, relative=False)
    assert found.tolist() == [3.0] * 4


def test_sample_and_class_weights_are_multiplied():
    found = training_weights([1, 2, 3, 4], {"b": 10}, Y, CLASSES, relative=False)
    assert found.tolist() == [1.0, 2.0, 3.0, 40.0]
    found = training_weights([1, 2, 0, 4], {"b": 10}, Y, CLASSES)
    np.testing.assert_allclose(found, np.array([1, 2, 0, 40]) / (43 / 3))


def test_balanced_class_weights():
    found = training_weights(None, "balanced", Y, CLASSES, relative=False)
    np.testing.assert_allclose(found, [2 / 3, 2 / 3, 2 / 3, 2])
    # A class without samples has no influence.
    three = training_weights(None, "balanced", Y, np.array(["a", "b", "c"]), relative=False)
    np.testing.assert_array_equal(three, found)


@pytest.mark.parametrize(
    ("sample_weight", "class_weight", "message"),
    [
        (None, "equal", "class_weight must be a dict, 'balanced' or None, got 'equal'"),
        (None, [1, 2], r"class_weight must be a dict, .* got \[1, 2\]"),
        (None, {"a": -1}, r"class_weight\['a'\] must be .*not negative, got -1\."),
        (None, {"a": np.nan}, r"class_weight\['a'\] must be .*got nan\."),
        (None, {"a": np.inf}, r"class_weight\['a'\] must be a finite number"),
        (None, {"a": "1"}, r"class_weight\['a'\] must be .*got '1'\."),
        (None, {"a": 1, "c": 1}, r"labels \['c'\], which are not in y.*none for \['b'\]"),
        (None, {"a": 0, "b": 0}, "product of sample_weight and class_weight is zero"),
        ([1, 1, 1, 0], None, "All samples with a positive weight are of one class, 'a'"),
        (None, {"a": 0}, "are of one class, 'b'"),
        ([1, 2], None, r"sample_weight must have shape \(4,\)"),
    ],
)
def test_invalid_weights(sample_weight, class_weight, message):
    with pytest.raises(ValueError, match=message):
        training_weights(sample_weight, class_weight, Y, CLASSES)


@pytest.mark.parametrize("unit", ["D", "s", "ns"])
def test_class_weights_of_dates(unit):
    days = np.array(["2000-01-01", "2000-01-02"], f"M8[{unit}]")
    found = training_weights(None, {days[1]: 10}, Y, days, relative=False)
    np.testing.assert_array_equal(found, np.where(Y == 1, 10.0, 1.0))


def test_weights_of_any_magnitude():
    weight = np.array([1, 2, 0, 4.0])
    expected = training_weights(weight, None, Y, CLASSES)
    for factor in (1e-308, 1e-300, 1e300, 4e307):
        found = training_weights(weight * factor, None, Y, CLASSES)
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    with pytest.raises(ValueError, match="class weights reach 1e\\+200"):
        training_weights(weight * 1e200, {"a": 1e200}, Y, CLASSES)


def test_a_class_weight_of_a_label_that_is_not_in_y_is_allowed():
    found = training_weights(None, {"a": 1, "b": 2, "c": 5}, Y, CLASSES, relative=False)
    assert found.tolist() == [1.0, 1.0, 1.0, 2.0]
