import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from sklearn.linear_model import LogisticRegression

from margin_sklearn import margin_auc, margin_auc_score
from margin_sklearn.network import Network
from margin_sklearn.network_margins import (
    DEFAULT,
    MAX_SAMPLES,
    check_samples,
    margin_distribution,
    margins_around,
    margins_at,
)
from margin_sklearn.networks import as_network
from margin_sklearn.pseudopoints import label_trust, pseudo_points
from margin_sklearn.scales import SCALES, check_scale

DISTANCE = check_scale("distance")


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
    """The pseudo-points, by definition: (n_anchors, n_draws, n_features)."""
    return X[points.neighborhood.anchors][:, None] + points.length * points.neighborhood.steps


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
        found = margins_around(network, X, y, DISTANCE, points)
        where = places(X, points)
        n_draws = where.shape[1]
        assert found.shape == (len(points.neighborhood.anchors), n_draws)
        for draw in range(n_draws):
            expected = signed_distances(model, where[:, draw], y[points.neighborhood.anchors])
            np.testing.assert_allclose(found[:, draw], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scale", list(SCALES))
def test_margins_around_samples_are_margins_at_points_there(scale, fitted, digits):
    X, y = digits
    network, scaled = as_network(fitted), check_scale(scale)
    points = pseudo_points(network, X, y, 60)
    found = margins_around(network, X, y, scaled, points)
    # The scale is that of the samples, whatever the points are that margins are taken at.
    with network.evaluating():
        size = 1000 if scale == "total_variation" else 1
        at_points = scaled(network, network.inputs(X[:size]))
        for draw in range(found.shape[1]):
            x = network.inputs(places(X, points)[:, draw])
            labels = torch.from_numpy(y[points.neighborhood.anchors])
            np.testing.assert_allclose(
                found[:, draw], at_points(x, labels), rtol=1e-3, atol=1e-4
            )


@pytest.mark.parametrize("scale", [None, "distance", "total_variation"])
def test_margins_do_not_depend_on_the_size_of_chunks(scale, fitted_conv, images, monkeypatch):
    X, y = images[0][:100], images[1][:100]
    network, scaled = as_network(fitted_conv), check_scale(scale)
    points = pseudo_points(network, X, y, 50)
    at = margins_at(network, X, y, scaled)
    around = margins_around(network, X, y, scaled, points)
    for length in (1, 17):
        monkeypatch.setattr(
            "margin_sklearn.network_margins.chunk_length", lambda *_, n=length, **__: n
        )
        close = {"rtol": 1e-3, "atol": 1e-5}
        np.testing.assert_allclose(margins_at(network, X, y, scaled), at, **close)
        found = margins_around(network, X, y, scaled, points)
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
    expected = margins_around(network, flat, y, DISTANCE, points)
    for other in (of_images, with_axes):
        found = margins_around(other, X, y, DISTANCE, pseudo_points(other, X, y, 50))
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
    expected = margins_around(network, X, y, DISTANCE, points)
    np.testing.assert_array_equal(values, expected.ravel())
    np.testing.assert_array_equal(weight, np.ones(expected.size))
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


def test_points_have_the_weight_of_their_sample_times_the_trust_in_its_label(iris, rng):
    X, y = iris
    network = as_network(LogisticRegression().fit(X, y))
    weight = rng.random(len(y))
    settings = {"scale": "distance", "at": "neighborhood", "max_samples": 70}
    points = pseudo_points(network, X, y, 70)
    anchors, n_draws = points.neighborhood.anchors, points.neighborhood.steps.shape[1]
    trust = label_trust(points, y)
    assert trust.min() < trust.max()
    for given, noise_weight, expected in (
        (None, False, np.ones(70)),
        (weight, False, weight[anchors]),
        (None, True, trust),
        (weight, True, weight[anchors] * trust),
    ):
        values, found, _, _ = margin_distribution(
            network, X, y, given, noise_weight=noise_weight, **settings
        )
        assert values.shape == found.shape == (70 * n_draws,)
        np.testing.assert_allclose(found, np.repeat(expected, n_draws))


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
    np.testing.assert_allclose(values, everything[positions])
    assert len(set(positions)) == 40


def test_the_default_score_is_the_area_of_the_default_distribution(fitted, digits):
    X, y = digits
    values, weight, floor, ceiling = margin_distribution(as_network(fitted), X, y, **DEFAULT)
    expected = margin_auc(values, weight, floor=floor, ceiling=ceiling)
    assert margin_auc_score(fitted, X, y) == expected
    assert DEFAULT["at"] == "neighborhood"


# --- what cannot be used ------------------------------------------------------------------


def test_a_network_that_gives_nan_names_the_sample(digits):
    X, y = digits
    network = as_network(LogisticRegression().fit(X, y))
    points = pseudo_points(network, X, y, 50)
    first = points.neighborhood.anchors[0]
    with torch.no_grad():
        network.module.weight.fill_(float("nan"))
    with pytest.raises(ValueError, match="NaN for sample 0"):
        margins_at(network, X, y, DISTANCE)
    with pytest.raises(ValueError, match=f"NaN for sample {first}:"):
        margins_around(network, X, y, DISTANCE, points)


@pytest.mark.parametrize("label", [-1, 3])
def test_labels_that_no_output_is_for_raise(label, iris):
    X, y = iris
    network = as_network(LogisticRegression().fit(X, y))
    points = pseudo_points(network, X, y, 50)
    wrong = y.copy()
    wrong[5] = label
    with pytest.raises(ValueError, match=f"label {label}.*3 outputs"):
        margins_at(network, X, wrong, DISTANCE)
    with pytest.raises(ValueError, match=f"label {label}.*3 outputs"):
        margins_around(network, X, wrong, DISTANCE, points)


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
