from dataclasses import FrozenInstanceError, asdict, replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from sklearn.linear_model import LogisticRegression

from margin_sklearn import make_margin_auc_scorer, margin_auc, margin_auc_score
from margin_sklearn.adapters.registry import as_network
from margin_sklearn.neighborhoods.perturbed import pseudo_points
from margin_sklearn.neighborhoods.transformed_rows import TransformedRows
from margin_sklearn.scales.registry import SCALES, get_scale
from margin_sklearn.scoring.distribution import (
    DEFAULT,
    DistributionSettings,
    MarginDistribution,
    margin_distribution,
)
from margin_sklearn.scoring.evaluation import check_samples, margins_at, margins_of
from margin_sklearn.scoring.points import PerturbedPoints

DISTANCE = get_scale("distance")
copies_are_told_of = pytest.mark.filterwarnings("ignore:.*are copies of others")


def distribution(network, X, y, weight=None, **settings):
    """Values, weight, floor and ceiling."""
    found = margin_distribution(network, X, y, weight, DistributionSettings(**settings))
    return found.values, found.weight, found.floor, found.ceiling  # noqa: PD011


@copies_are_told_of
@pytest.mark.parametrize("scale", list(SCALES))
def test_repetition_changes_no_margin_around_samples(scale, fitted, digits):
    X, y = digits[0][:100], np.sort(digits[1][:100])
    network = as_network(fitted)
    settings = {"scale": scale, "at": "neighborhood"}
    once, weight, *_ = distribution(network, X, y, **settings)
    again, weights, *_ = distribution(
        network, np.repeat(X, 3, axis=0), np.repeat(y, 3), **settings
    )
    np.testing.assert_allclose(again, once, rtol=1e-5)
    np.testing.assert_array_equal(weights, 3 * weight)


def test_input_of_any_kind_has_the_same_margins(fitted, digits):
    X, y = digits
    network = as_network(fitted)
    settings = {"scale": "distance", "at": "neighborhood", "max_samples": 100}
    expected = distribution(network, X, y, **settings)[0]
    for other in (
        X.tolist(),
        pd.DataFrame(X),
        torch.from_numpy(X),
        scipy.sparse.coo_array(X),
        scipy.sparse.csc_matrix(X),
    ):
        prepared, index = check_samples(network, other, pd.Series(y))
        found = distribution(network, prepared, index, **settings)[0]
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


# --- the distribution that a score is the area of -----------------------------------------


def test_in_neighborhoods_bounds_are_in_units_of_the_distance_of_neighbors(iris):
    X, y = iris
    network = as_network(LogisticRegression().fit(X, y))
    points = pseudo_points(network, X, y, DEFAULT.max_samples)
    bounds = {"at": "neighborhood", "floor": -0.5, "ceiling": 2.0}
    values, weight, floor, ceiling = distribution(network, X, y, scale="distance", **bounds)
    expected = margins_of(PerturbedPoints(TransformedRows(network, X), points), DISTANCE)
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(weight, points.weights())
    assert (floor, ceiling) == (
        -0.5 * points.neighborhood.distance,
        2 * points.neighborhood.distance,
    )
    # Other scales have other units.
    _, _, floor, ceiling = distribution(network, X, y, scale=None, **bounds)
    assert (floor, ceiling) == (-0.5, 2.0)
    _, _, floor, ceiling = distribution(
        network, X, y, scale="distance", at="neighborhood", ceiling=3.0
    )
    assert floor is None
    assert ceiling == 3 * points.neighborhood.distance


def test_cases_have_the_weight_of_their_samples_times_the_trust_in_their_label(iris, rng):
    X, y = iris
    network = as_network(LogisticRegression().fit(X, y))
    weight = rng.random(len(y))
    settings = {"scale": "distance", "at": "neighborhood", "max_samples": 70}
    points = pseudo_points(network, X, y, 70)
    anchors = points.neighborhood.anchors
    assert points.trust.min() < points.trust.max()
    # Two rows of iris are equal, and of one class.
    equal = (X[:, None] == X).all(axis=2)
    samples, weights = equal[anchors].sum(axis=1), (equal * weight)[anchors].sum(axis=1)
    for given, noise_weight, expected in (
        (None, False, samples),
        (weight, False, weights),
        (None, True, samples * points.trust),
        (weight, True, weights * points.trust),
    ):
        values, found, _, _ = distribution(
            network, X, y, given, noise_weight=noise_weight, **settings
        )
        assert values.shape == (70, points.neighborhood.steps.shape[1])
        np.testing.assert_allclose(found, expected)


def test_at_samples_a_part_is_chosen_with_its_weights(iris, rng):
    X, y = iris
    network = as_network(LogisticRegression().fit(X, y))
    weight = rng.random(len(y))
    values, found, floor, ceiling = distribution(
        network, X, y, weight, scale="distance", at="samples", max_samples=40
    )
    assert floor is ceiling is None
    everything = margins_at(network, X, y, DISTANCE)
    positions = [np.flatnonzero(weight == w).item() for w in found]
    assert values.shape == (40, 1)
    np.testing.assert_allclose(values[:, 0], everything[positions])
    assert len(set(positions)) == 40


def test_the_default_score_is_the_area_of_the_default_distribution(fitted, digits):
    X, y = digits
    values, weight, floor, ceiling = distribution(as_network(fitted), X, y, **asdict(DEFAULT))
    weight = np.repeat(weight, values.shape[1])
    expected = margin_auc(values.ravel(), weight, floor=floor, ceiling=ceiling)
    assert margin_auc_score(fitted, X, y) == expected
    assert DEFAULT.at == "neighborhood"


# --- its parts ------------------------------------------------------------------------------


def test_the_parts_of_cases_average_to_the_area(rng):
    values, weight = rng.normal(size=(20, 3)), rng.random(20)
    for floor, ceiling in ((None, None), (-0.5, None), (None, 0.5), (-0.5, 0.8)):
        found = MarginDistribution(values, weight, floor, ceiling)
        expected = margin_auc(values.ravel(), weight.repeat(3), floor=floor, ceiling=ceiling)
        assert found.auc() == expected
        assert np.average(found.parts(), weights=weight) == pytest.approx(expected)
        np.testing.assert_array_equal(found.margins().reshape(20, 3), values)
        np.testing.assert_array_equal(found.weights().reshape(20, 3), np.c_[[weight] * 3].T)


def test_an_infinite_margin_of_positive_weight_puts_the_network_last():
    values = np.array([[1.0, 2.0], [np.inf, 3.0], [-np.inf, np.inf]])
    found = MarginDistribution(values, None, None, None)
    assert found.n_infinite() == 3
    assert found.auc() == -np.inf
    assert replace(found, weight=np.array([1.0, 1.0, 0.0])).n_infinite() == 1
    assert replace(found, weight=np.array([1.0, 0.0, 0.0])).auc() == 1.5
    assert replace(found, floor=-1.0, ceiling=1.0).n_infinite() == 0
    assert replace(found, floor=-1.0).n_infinite() == 2


# --- settings -------------------------------------------------------------------------------


def test_settings_are_the_parameters_of_the_scorer():
    assert asdict(DistributionSettings()) == make_margin_auc_scorer().get_params()
    assert asdict(DEFAULT) == margin_auc_score.get_params()
    with pytest.raises(FrozenInstanceError):
        DEFAULT.floor = 0.0


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"scale": "norm"}, "scale"),
        ({"at": "pixels"}, "'pixels'"),
        ({"floor": 1, "ceiling": 0}, "floor"),
        ({"max_samples": 0}, "max_samples"),
        ({"noise_weight": True}, "neighborhood"),
        ({"noise_weight": 1, "at": "neighborhood"}, "noise_weight"),
        ({"random_state": "a"}, "random_state"),
    ],
)
def test_unusable_settings_raise(settings, match):
    with pytest.raises(ValueError, match=match):
        DistributionSettings(**settings).check()


def test_both_kinds_of_points_go_through_the_same_loop(fitted, digits, monkeypatch):
    X, y = digits
    network = as_network(fitted)
    calls = []
    loop = type(network).in_chunks

    def counted(*args, **kwargs):
        calls.append(args)
        return loop(*args, **kwargs)

    monkeypatch.setattr(type(network), "in_chunks", counted)
    forward = []
    network.module.register_forward_pre_hook(lambda *_: forward.append(1))
    for at in ("samples", "neighborhood"):
        calls.clear()
        distribution(network, X, y, at=at, max_samples=100)
        assert len(calls) == 1
    assert forward
    network.module._forward_pre_hooks.clear()


def test_gradients_may_be_switched_off_around_it(fitted, digits):
    expected = margin_auc_score(fitted, *digits)
    with torch.no_grad():
        assert margin_auc_score(fitted, *digits) == expected
