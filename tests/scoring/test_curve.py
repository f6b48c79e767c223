import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.integrate import trapezoid

from margin_sklearn import margin_auc, margin_curve
from margin_sklearn.scoring.curve import margins_from_logits

finite = st.floats(-1e6, 1e6, allow_nan=False)


@st.composite
def logits_and_labels(draw):
    n, c = draw(st.integers(1, 20)), draw(st.integers(2, 5))
    logits = draw(hnp.arrays(float, (n, c), elements=finite))
    return logits, draw(hnp.arrays(int, n, elements=st.integers(0, c - 1)))


@st.composite
def weighted_margins(draw):
    n = draw(st.integers(1, 20))
    values = draw(hnp.arrays(float, n, elements=st.integers(-3, 3).map(float)))
    weights = draw(hnp.arrays(int, n, elements=st.integers(0, 3)).filter(np.any))
    return values, weights


@given(logits_and_labels())
def test_margins_equal_the_definition_sample_by_sample(case):
    logits, y = case
    expected = [row[c] - max(np.delete(row, c)) for row, c in zip(logits, y, strict=True)]
    np.testing.assert_array_equal(margins_from_logits(logits, y), expected)


@given(logits_and_labels())
def test_margin_is_positive_exactly_where_argmax_is_right_unless_tied(case):
    logits, y = case
    m = margins_from_logits(logits, y)
    tied = np.sort(logits, axis=1)[:, -1] == np.sort(logits, axis=1)[:, -2]
    np.testing.assert_array_equal((m > 0)[~tied], (logits.argmax(axis=1) == y)[~tied])
    assert not (m > 0)[tied].any()


@given(logits_and_labels(), st.integers(-1000, 1000), st.randoms())
def test_margins_ignore_a_constant_on_all_logits_and_the_names_of_classes(case, shift, random):
    logits, y = np.round(case[0]), case[1]
    m = margins_from_logits(logits, y)
    np.testing.assert_array_equal(margins_from_logits(logits + shift, y), m)
    names = list(range(logits.shape[1]))
    random.shuffle(names)
    np.testing.assert_array_equal(
        margins_from_logits(logits[:, names], np.argsort(names)[y]), m
    )


@given(hnp.arrays(float, 7, elements=finite), hnp.arrays(int, 7, elements=st.integers(0, 1)))
def test_a_binary_logit_equals_two_columns(logit, y):
    both = np.stack([np.zeros(7), logit], axis=1)
    np.testing.assert_array_equal(margins_from_logits(logit, y), margins_from_logits(both, y))
    np.testing.assert_array_equal(
        margins_from_logits(logit[:, None], y), margins_from_logits(both, y)
    )


@pytest.mark.parametrize(
    ("logits", "y", "match"),
    [
        ([[0.0, 1.0]], [2], "class index 2"),
        ([[0.0, 1.0]], [-1], "class index -1"),
        ([[0.0, 1.0]], [0, 1], "shape"),
        ([[0.0, np.nan]], [0], "NaN"),
        ([[0.0, 1.0]], [0.5], "integers"),
        ([[[0.0]]], [0], "shape"),
    ],
)
def test_unusable_logits_or_labels_raise(logits, y, match):
    with pytest.raises(ValueError, match=match):
        margins_from_logits(logits, y)


@given(weighted_margins())
def test_curve_is_the_quantile_function_of_the_repeated_samples(case):
    values, weights = case
    repeated = np.repeat(values, weights)
    fraction, value = margin_curve(values, weights)
    np.testing.assert_array_equal(value, np.unique(repeated))
    for f, v in zip(fraction, value, strict=True):
        assert f == pytest.approx((repeated <= v).mean())
    # Between the steps: the inverse distribution function, as NumPy defines it.
    p = (np.concatenate([[0.0], fraction[:-1]]) + fraction) / 2
    np.testing.assert_array_equal(
        np.quantile(repeated, p, method="inverted_cdf"), value[np.searchsorted(fraction, p)]
    )


@given(weighted_margins(), st.randoms())
def test_area_ignores_the_order_and_counts_weights_as_repetitions(case, random):
    values, weights = case
    order = list(range(len(values)))
    random.shuffle(order)
    bounds = {"floor": -1.5, "ceiling": 2.0}
    for kwargs in ({}, bounds, {"floor": 0.0}, {"ceiling": 0.0}):
        auc = margin_auc(values, weights, **kwargs)
        assert auc == pytest.approx(margin_auc(np.repeat(values, weights), **kwargs))
        assert auc == pytest.approx(margin_auc(values[order], weights[order], **kwargs))


@given(weighted_margins())
def test_area_equals_the_integral_of_the_curve(case):
    values, weights = case
    fraction, value = margin_curve(values, weights)
    widths = np.diff(fraction, prepend=0.0)
    assert margin_auc(values, weights) == pytest.approx(widths @ value)
    clipped = np.clip(value, -1.0, 2.0)
    expected = (widths @ clipped + 1.0) / 3.0
    assert margin_auc(values, weights, floor=-1.0, ceiling=2.0) == pytest.approx(expected)


def test_area_between_bounds_is_the_integral_of_the_survival_function():
    values = np.random.default_rng(0).normal(size=50)
    t = np.linspace(-0.7, 1.3, 200_001)
    survival = (values[:, None] >= t[None, ::1000]).mean(axis=0)
    expected = trapezoid(survival, t[::1000]) / 2.0
    assert margin_auc(values, floor=-0.7, ceiling=1.3) == pytest.approx(expected, abs=5e-3)


def test_area_rises_with_every_margin_and_is_a_share():
    values = np.array([-1.0, 0.0, 0.5])
    higher = values + [0.0, 0.2, 0.0]
    assert margin_auc(higher) > margin_auc(values)
    assert margin_auc(values + 10, floor=0.0, ceiling=1.0) == 1.0
    assert margin_auc(values - 10, floor=0.0, ceiling=1.0) == 0.0


def test_infinite_margins_count_as_the_bounds():
    values = [np.inf, -np.inf, 0.0]
    assert margin_auc(values, floor=-1.0, ceiling=1.0) == 0.5
    assert margin_auc([np.inf, 0.0]) == np.inf
    assert margin_auc([np.inf, 1.0], [0, 1]) == 1.0
    with pytest.raises(ValueError, match="floor and a ceiling"):
        margin_auc(values)


@pytest.mark.parametrize("function", [margin_curve, margin_auc])
@pytest.mark.parametrize(
    ("margins", "weight", "match"),
    [
        ([], None, "0 samples"),
        ([np.nan], None, "NaN"),
        ([[1.0]], None, "shape"),
        ([1.0], [0.0], "zero for every"),
        ([1.0], [-1.0], "non-negative"),
        ([1.0], [np.nan], "non-negative"),
        ([1.0], [1.0, 1.0], "shape"),
    ],
)
def test_unusable_margins_or_weights_raise(function, margins, weight, match):
    with pytest.raises(ValueError, match=match):
        function(margins, weight)


@pytest.mark.parametrize(
    ("floor", "ceiling"), [(1.0, 1.0), (2.0, 1.0), (np.nan, 1.0), (0.0, np.inf)]
)
def test_unusable_bounds_raise(floor, ceiling):
    with pytest.raises(ValueError, match="floor|ceiling"):
        margin_auc([1.0], floor=floor, ceiling=ceiling)


@pytest.mark.parametrize("far", [1e308, 1.7e308])
def test_bounds_whose_difference_is_no_float(far):
    # A third at each bound, and in the middle.
    assert margin_auc([-far, 0.0, far], floor=-far, ceiling=far) == 0.5
    assert margin_auc([-1.0, 0.5, 2.0], floor=-far, ceiling=far) == 0.5
    assert margin_auc([np.inf, np.inf, -far, -far], floor=-far, ceiling=far) == 0.5
    assert margin_auc([np.inf, 0.0], floor=0.0, ceiling=far) == 0.5


def test_large_margins_and_weights_do_not_overflow():
    assert margin_auc([1.5e308] * 3) == 1.5e308
    assert margin_auc([1.0, 3.0], [1e308, 1e308]) == 2.0
    fraction, value = margin_curve([1.0, 3.0], [1e308, 1e308])
    assert fraction.tolist() == [0.5, 1.0]
    assert value.tolist() == [1.0, 3.0]


@given(weighted_margins(), st.integers(-200, 200))
def test_neither_unit_of_margins_nor_of_weights_matters(case, exponent):
    values, weights = case
    unit = 2.0**exponent
    assert margin_auc(values * unit, weights) == margin_auc(values, weights) * unit
    assert margin_auc(values, weights * unit) == margin_auc(values, weights)
    assert margin_auc(values * unit, weights, floor=-unit, ceiling=unit) == margin_auc(
        values, weights, floor=-1, ceiling=1
    )
    np.testing.assert_array_equal(
        margin_curve(values, weights * unit), margin_curve(values, weights)
    )


def test_margins_may_be_tensors_of_any_kind():
    values = torch.tensor([0.5, -1.0, 2.0], requires_grad=True)
    for margins in (values, values.bfloat16()):
        assert margin_auc(margins) == 0.5
        np.testing.assert_array_equal(margin_curve(margins)[1], [-1.0, 0.5, 2.0])
