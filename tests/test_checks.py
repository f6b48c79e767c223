import math
import pickle
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import torch

from margin_sklearn.checks import (
    InvalidParameterError,
    as_numbers,
    check_bool,
    check_choice,
    check_int,
    check_random_state_parameter,
    check_real,
    check_rows,
    check_verbose,
)


@pytest.mark.parametrize("value", [1, 3, np.int64(2), np.uint8(3), 10**30])
def test_integers(value):
    check_int("n", value, 1)
    check_int("n", 10**30, 10**30, 10**30)


@pytest.mark.parametrize("value", [0, 1, 0.5, np.float32(0.5), np.int64(1), np.float64(0.0)])
def test_numbers(value):
    check_real("x", value, 0, 1)
    check_real("x", value, -math.inf)


def test_bounds_are_open_or_closed():
    for closed, allowed in (
        ("both", {0, 1}),
        ("left", {0}),
        ("right", {1}),
        ("neither", set()),
    ):
        for value in (0, 1):
            if value in allowed:
                check_real("x", value, 0, 1, closed=closed)
            else:
                with pytest.raises(InvalidParameterError, match=f"got {value}"):
                    check_real("x", value, 0, 1, closed=closed)


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: check_int("n", 0, 1), "n must be an integer of at least 1, got 0."),
        (lambda: check_int("n", 9, 1, 5), "n must be an integer between 1 and 5, got 9."),
        (
            lambda: check_int("n", "a", 1, also=(None,)),
            "n must be None or an integer of at least 1, got 'a'.",
        ),
        (
            lambda: check_real("x", Fraction(1, 2), 0),
            "x must be a finite, non-negative float or int, got Fraction(1, 2).",
        ),
        (
            lambda: check_real("x", 2.0, 0, 1, closed="right"),
            "x must be a float in (0, 1], got 2.0.",
        ),
        (
            lambda: check_real("x", np.inf, -np.inf),
            "x must be a finite float or int, got inf.",
        ),
        (lambda: check_bool("b", 1), "b must be True or False, got 1."),
        (lambda: check_choice("c", 1, (None, "a")), "c must be one of None, 'a', got 1."),
        (lambda: check_verbose(-1), "verbose must be an integer of at least 0, got -1."),
        (
            lambda: check_random_state_parameter("r", "a"),
            "r must be None, an integer from 0 to 2**32 - 1 or a RandomState instance, "
            "got 'a'.",
        ),
    ],
)
def test_type_and_range_in_one_message(check, message):
    for error in (ValueError, TypeError):
        with pytest.raises(error) as caught:
            check()
        assert str(caught.value) == message
    assert str(pickle.loads(pickle.dumps(caught.value))) == message


def test_what_is_large_is_shown_in_part():
    with pytest.raises(InvalidParameterError, match=r"^n must be.{,300} \(list\)\.$"):
        check_int("n", list(range(10**5)), 1)


def test_an_array_is_no_choice():
    with pytest.raises(InvalidParameterError, match="one of"):
        check_choice("c", np.array(["a", "b"]), ("a", "b"))
    check_choice("c", np.str_("a"), ("a", "b"))


@pytest.mark.parametrize("value", [True, False, np.True_, 0, 1, np.int64(2)])
def test_verbose(value):
    check_verbose(value)


@pytest.mark.parametrize("value", [None, 0, 2**32 - 1, np.int64(3), np.random.RandomState(0)])
def test_random_states(value):
    check_random_state_parameter("random_state", value)


@pytest.mark.parametrize(
    "value",
    [[1], (1, 2), np.ones(2), np.ones((2, 2)), pd.DataFrame({"a": [1]}), torch.ones(2), []],
)
def test_rows(value):
    check_rows("X", value)


@pytest.mark.parametrize(
    "values",
    [[1, 2], np.float32([1, 2]), pd.Series([1, 2]), torch.tensor([1.0, 2.0]), [1, 2.0]],
)
def test_numbers_of_any_kind(values):
    numbers = as_numbers("values", values)
    assert numbers.dtype == np.float64
    assert numbers.tolist() == [1.0, 2.0]
