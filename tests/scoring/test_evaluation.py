from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from margin_sklearn import margin_auc_score, margins
from margin_sklearn.adapters.network import Network
from margin_sklearn.adapters.registry import as_network
from margin_sklearn.neighborhoods.perturbed import pseudo_points
from margin_sklearn.neighborhoods.transformed_rows import TransformedRows
from margin_sklearn.scales.registry import SCALES, get_scale
from margin_sklearn.scoring.evaluation import check_samples, margins_at, margins_of
from margin_sklearn.scoring.points import PerturbedPoints

DISTANCE = get_scale("distance")


def margins_around(network, X, scale, points):
    """Margins at perturbed samples."""
    return margins_of(PerturbedPoints(TransformedRows(network, X), points), scale)


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


@pytest.mark.parametrize("scale", [None, "distance", "total_variation"])
def test_margins_do_not_depend_on_the_size_of_chunks(scale, fitted_conv, images, monkeypatch):
    X, y = images[0][:100], images[1][:100]
    network, scaled = as_network(fitted_conv), get_scale(scale)
    points = pseudo_points(network, X, y, 50)
    at = margins_at(network, X, y, scaled)
    around = margins_around(network, X, scaled, points)
    for length in (1, 17):
        monkeypatch.setattr(
            "margin_sklearn.adapters.network.chunk_length", lambda *_, n=length, **__: n
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


@pytest.mark.parametrize("unknown", ["error", "ignore"])
@pytest.mark.parametrize("kind", [list, tuple])
def test_numbers_beside_words_in_lists_stay_numbers(kind, unknown, rng):
    """As ``predict`` takes them: turned into strings, the codes would be unknown."""
    codes = rng.integers(0, 3, 40)
    rows = kind(kind([int(code), "ab"[code % 2]]) for code in codes)
    y = (codes > 0).astype(int)
    model = make_pipeline(OneHotEncoder(handle_unknown=unknown), LogisticRegression())
    model.fit(list(map(list, rows)), y)
    expected = margins(model, np.array(rows, dtype=object), y)
    np.testing.assert_array_equal(margins(model, rows, y), expected)
    np.testing.assert_array_equal(expected > 0, model.predict(rows) == y)


@pytest.mark.parametrize("kind", [torch.tensor, lambda y: torch.tensor(y * 1.0).bfloat16()])
def test_labels_may_be_tensors(kind, iris):
    X, y = iris
    model = LogisticRegression(max_iter=1000).fit(X, y)
    labels = kind(y)
    labels = labels.requires_grad_() if labels.is_floating_point() else labels
    np.testing.assert_array_equal(margins(model, X, labels), margins(model, X, y))
