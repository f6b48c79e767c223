"""Warnings about data without locality, shown where the user can see them."""

import warnings
from types import SimpleNamespace

import pytest

from margin_sklearn import LocalityWarning
from margin_sklearn.neighborhoods.locality import (
    FEW,
    MANY_NUMBERS,
    NO_LOCALITY,
    tell_copies,
    tell_few,
    tell_no_locality,
    tell_wide,
)


def quiet(function, *args):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        function(*args)


def test_no_locality_is_told_beyond_the_share_only():
    quiet(tell_no_locality, SimpleNamespace(distance=NO_LOCALITY, spread=1.0))
    # A spread of 0 says nothing: there is one sample.
    quiet(tell_no_locality, SimpleNamespace(distance=1.0, spread=0.0))
    with pytest.warns(LocalityWarning, match=r"0\.71 away.* 1 \(medians\)") as caught:
        tell_no_locality(SimpleNamespace(distance=0.71, spread=1.0))
    assert caught[0].filename == __file__


@pytest.mark.parametrize(("n", "asked"), [(FEW, None), (3, 3), (FEW - 1, FEW - 1)])
def test_few_samples_are_fine_where_they_are_plenty_or_asked_for(n, asked):
    quiet(tell_few, n, asked)


@pytest.mark.parametrize("asked", [None, FEW, 2000])
def test_few_samples_are_told(asked):
    with pytest.warns(LocalityWarning, match=f"{FEW - 1} different samples"):
        tell_few(FEW - 1, asked)


def test_copies_are_told_from_five_percent_on():
    quiet(tell_copies, SimpleNamespace(n_exact=2, n_near=2), 100)
    with pytest.warns(LocalityWarning, match=r"5% of the 100 samples .*2 exact, 3 near"):
        tell_copies(SimpleNamespace(n_exact=2, n_near=3), 100)


def test_many_columns_are_told_with_what_to_do():
    quiet(tell_wide, MANY_NUMBERS // 2000, 1000, 2)
    with pytest.warns(
        UserWarning, match=r"600 dense rows of 1048576 .*TruncatedSVD"
    ) as caught:
        tell_wide(300, 2**20, 2)
    assert caught[0].filename == __file__
