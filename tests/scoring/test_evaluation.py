from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from sklearn.linear_model import LogisticRegression

from margin_sklearn import margin_auc, margin_auc_score
from margin_sklearn.adapters.network import Network
from margin_sklearn.adapters.registry import as_network
from margin_sklearn.neighborhoods.perturbed import pseudo_points
from margin_sklearn.scales.registry import SCALES, get_scale
from margin_sklearn.scoring.evaluation import (
    DEFAULT,
    MAX_SAMPLES,
    check_samples,
    margin_distribution,
    margins_around,
    margins_at,
)

DISTANCE = get_scale("distance")
copies_are_told_of = pytest.mark.filterwarnings("ignore:.*are copies of others")


def signed_distances(model, x, y):
    """Closed form for a linear model: to the boundary with the best of the other classes."""
    weights, biases = model.coef_, model.intercept_
    if len(weights) == 1:
        weights, biases = np.concatenate([0 * weights, weights]), np.array([0, biases[0]])
    logits = x @ weights.T + biases
    others = logits.copy()
    others[np.arange(len(y)), y] = -np.inf
    rival = others.argmax(axis=1)
    difference = logits[np.arange(len(y)), y] - others.max(axis=1)
    return difference / np.linalg.norm(weights[y] - weights[rival], axis=1)


def places(X, points):
    """The pseudo-points, by definition: (n_cases, n_steps, n_features)."""
    hood = points.neighborhood
    length = points.length * hood.distance
    return (X[hood.anchors][:, None] + length * hood.steps)[points.anchor]


@pytest.mark.parametrize("classes", [2, 3])
def test_margins_of_a_linear_model_are_its_distances_in_closed_form(classes, iris):
    X, y = iris[0][iris[1] < classes], iris[1][iris[1] < classes]
    model = LogisticRegression().fit(X, y)
    network = as_network(model)
    np.testing.assert_allclose(
        margins_at(network, X, y, DISTANCE), signed_distances(model, X, y), rtol=1e-8
    )
    for max_samples in (None, 40):
        points = pseudo_points(network, X, y, max_samples)
        found = margins_around(network, X, DISTANCE, points)
        where = places(X, points)
        assert found.shape == where.shape[:2]
        for draw in range(found.shape[1]):
            expected = signed_distances(model, where[:, draw], points.label)
            np.testing.assert_allclose(found[:, draw], expected, rtol=1e-5, atol=1e-6)


@copies_are_told_of
def test_each_label_of_a_sample_has_its_margins_at_the_same_points(iris, rng):
    X, y = np.repeat(iris[0], 3, axis=0), np.repeat(iris[1], 3)
    y[::3] = rng.integers(0, 3, len(iris[1]))
    model = LogisticRegression().fit(X, y)
    network = as_network(model)
    points = pseudo_points(network, X, y, None)
    found = margins_around(network, X, DISTANCE, points)
    assert len(found) == len(points.label) > len(points.neighborhood.anchors)
    where = places(X, points)
    for draw in range(found.shape[1]):
        expected = signed_distances(model, where[:, draw], points.label)
        np.testing.assert_allclose(found[:, draw], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scale", list(SCALES))
def test_margins_around_samples_are_margins_at_points_there(scale, fitted, digits):
    X, y = digits
    network, scaled = as_network(fitted), get_scale(scale)
    points = pseudo_points(network, X, y, 60)
    found = margins_around(network, X, scaled, points)
    # The scale is that of the samples, whatever the points are that margins are taken at.
    with network.evaluating():
        size = 1000 if scale == "total_variation" else 1
        at_points = scaled(network, network.inputs(X[:size]))
        for draw in range(found.shape[1]):
            x = network.inputs(places(X, points)[:, draw])
            labels = torch.from_numpy(points.label)
            np.testing.assert_allclose(
                found[:, draw], at_points(x, labels), rtol=1e-3, atol=1e-4
            )


@copies_are_told_of
@pytest.mark.parametrize("scale", list(SCALES))
def test_repetition_changes_no_margin_around_samples(scale, fitted, digits):
    X, y = digits[0][:100], np.sort(digits[1][:100])
    network = as_network(fitted)
    settings = {"scale": scale, "at": "neighborhood"}
    once, weight, *_ = margin_distribution(network, X, y, **settings)
    again, weights, *_ = margin_distribution(
        network, np.repeat(X, 3, axis=0), np.repeat(y, 3), **settings
    )
    np.testing.assert_allclose(again, once, rtol=1e-5)
    np.testing.assert_array_equal(weights, 3 * weight)


@pytest.mark.parametrize("scale", [None, "distance", "total_variation"])
def test_margins_do_not_depend_on_the_size_of_chunks(scale, fitted_conv, images, monkeypatch):
    X, y = images[0][:100], images[1][:100]
    network, scaled = as_network(fitted_conv), get_scale(scale)
    points = pseudo_points(network, X, y, 50)
    at = margins_at(network, X, y, scaled)
    around = margins_around(network, X, scaled, points)
    for length in (1, 17):
        monkeypatch.setattr(
            "margin_sklearn.scoring.evaluation.chunk_length", lambda *_, n=length, **__: n
        )
        close = {"rtol": 1e-3, "atol": 1e-5}
        np.testing.assert_allclose(margins_at(network, X, y, scaled), at, **close)
        found = margins_around(network, X, scaled, points)
        np.testing.assert_allclose(found, around, **close)


def test_images_are_moved_number_by_number(fitted_conv, images):
    """As their flat rows are: a network that flattens them itself sees the same points."""
    X, y = images
    flat = X.reshape(len(X), -1)
    model = LogisticRegression(max_iter=1000).fit(flat, y)
    network = as_network(model)
    of_images = Network(
        network.module, lambda rows: rows.reshape(len(rows), -1), network.encode, network.dtype
    )
    with_axes = Network(
        torch.nn.Sequential(torch.nn.Flatten(), network.module),
        np.asarray,
        network.encode,
        network.dtype,
    )
    points = pseudo_points(network, flat, y, 50)
    expected = margins_around(network, flat, DISTANCE, points)
    for other in (of_images, with_axes):
        found = margins_around(other, X, DISTANCE, pseudo_points(other, X, y, 50))
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_input_of_any_kind_has_the_same_margins(fitted, digits):
    X, y = digits
    network = as_network(fitted)
    settings = {"scale": "distance", "at": "neighborhood", "max_samples": 100}
    expected = margin_distribution(network, X, y, **settings)[0]
    for other in (
        X.tolist(),
        pd.DataFrame(X),
        torch.from_numpy(X),
        scipy.sparse.coo_array(X),
        scipy.sparse.csc_matrix(X),
    ):
        prepared, index = check_samples(network, other, pd.Series(y))
        found = margin_distribution(network, prepared, index, **settings)[0]
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


# --- the distribution that a score is the area of -----------------------------------------


def test_in_neighborhoods_bounds_are_in_units_of_the_distance_of_neighbors(iris):
    X, y = iris
    network = as_network(LogisticRegression().fit(X, y))
    points = pseudo_points(network, X, y, MAX_SAMPLES)
    bounds = {"at": "neighborhood", "floor": -0.5, "ceiling": 2.0}
    values, weight, floor, ceiling = margin_distribution(
        network, X, y, scale="distance", **bounds
    )
    expected = margins_around(network, X, DISTANCE, points)
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(weight, points.weights())
    assert (floor, ceiling) == (
        -0.5 * points.neighborhood.distance,
        2 * points.neighborhood.distance,
    )
    # Other scales have other units.
    _, _, floor, ceiling = margin_distribution(network, X, y, scale=None, **bounds)
    assert (floor, ceiling) == (-0.5, 2.0)
    _, _, floor, ceiling = margin_distribution(
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
        values, found, _, _ = margin_distribution(
            network, X, y, given, noise_weight=noise_weight, **settings
        )
        assert values.shape == (70, points.neighborhood.steps.shape[1])
        np.testing.assert_allclose(found, expected)


def test_at_samples_a_part_is_chosen_with_its_weights(iris, rng):
    X, y = iris
    network = as_network(LogisticRegression().fit(X, y))
    weight = rng.random(len(y))
    values, found, floor, ceiling = margin_distribution(
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
    values, weight, floor, ceiling = margin_distribution(as_network(fitted), X, y, **DEFAULT)
    weight = np.repeat(weight, values.shape[1])
    expected = margin_auc(values.ravel(), weight, floor=floor, ceiling=ceiling)
    assert margin_auc_score(fitted, X, y) == expected
    assert DEFAULT["at"] == "neighborhood"


# --- what cannot be used ------------------------------------------------------------------


def test_a_network_that_gives_nan_names_the_sample(digits):
    X, y = digits
    network = as_network(LogisticRegression().fit(X, y))
    points = pseudo_points(network, X, y, 50)
    first = points.neighborhood.anchors[points.anchor[0]]
    with torch.no_grad():
        network.module.weight.fill_(float("nan"))
    with pytest.raises(ValueError, match="NaN for sample 0"):
        margins_at(network, X, y, DISTANCE)
    with pytest.raises(ValueError, match=f"NaN for sample {first}: its weights"):
        margins_around(network, X, DISTANCE, points)


@pytest.mark.parametrize("label", [-1, 3, 10**12])
def test_labels_that_no_output_is_for_raise(label, iris):
    X, y = iris
    network = as_network(LogisticRegression().fit(X, y))
    points = pseudo_points(network, X, y, 50)
    wrong = y.copy()
    wrong[5] = label
    elsewhere = points.label.copy()
    elsewhere[5] = label
    with pytest.raises(ValueError, match=f"label {label}.*3 outputs"):
        margins_at(network, X, wrong, DISTANCE)
    with pytest.raises(ValueError, match=f"label {label}.*3 outputs"):
        margins_around(network, X, DISTANCE, replace(points, label=elsewhere))


def test_samples_that_do_not_fit_together_raise(iris):
    X, y = iris
    network = as_network(LogisticRegression().fit(X, y))
    with pytest.raises(ValueError, match="inconsistent"):
        check_samples(network, X, y[:-1])
    with pytest.raises(ValueError, match="0 sample"):
        check_samples(network, X[:0], y[:0])
    with pytest.raises(ValueError, match="99"):
        check_samples(network, X, np.full(len(y), 99))


def test_the_network_is_left_in_the_mode_it_was_in(fitted, digits):
    network = as_network(fitted)
    network.module.train()
    try:
        margin_auc_score(fitted, *digits)
        assert all(part.training for part in network.module.modules())
    finally:
        network.module.eval()
