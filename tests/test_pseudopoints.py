from collections import OrderedDict

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from sklearn.datasets import load_wine, make_blobs
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from margin_sklearn import LocalityWarning, ResubstitutionSplit, margin_auc_score, pseudopoints
from margin_sklearn.neighborhood import neighbor_distance
from margin_sklearn.network import Network
from margin_sklearn.networks import as_network
from margin_sklearn.pseudopoints import (
    N_DRAWS,
    distance_unit,
    label_trust,
    prepared_rows,
    pseudo_points,
)

# Inputs as they are.
PLAIN = Network(torch.nn.Identity(), np.asarray, np.asarray)
SPARSE = Network(torch.nn.Identity(), lambda rows: rows, np.asarray)


@pytest.fixture(autouse=True)
def cache(monkeypatch):
    """An empty cache for each test."""
    empty = OrderedDict()
    monkeypatch.setattr(pseudopoints, "_cache", empty)
    return empty


@pytest.fixture
def calls(monkeypatch):
    """How often neighborhoods are looked for, so far: once for each entry."""
    made = []
    compute = pseudopoints.local_neighborhood

    def counted(*args, **kwargs):
        made.append(1)
        return compute(*args, **kwargs)

    monkeypatch.setattr(pseudopoints, "local_neighborhood", counted)
    return made


@pytest.fixture
def blobs():
    return make_blobs(60, 3, centers=3, random_state=0)


def assert_same(one, two):
    np.testing.assert_array_equal(one.neighborhood.anchors, two.neighborhood.anchors)
    np.testing.assert_array_equal(one.neighborhood.steps, two.neighborhood.steps)
    np.testing.assert_array_equal(one.neighborhood.neighbors, two.neighborhood.neighbors)
    assert one.neighborhood.distance == two.neighborhood.distance
    assert one.length == two.length


def flipped(y, share):
    random = np.random.default_rng(0)
    wrong = random.random(len(y)) < share
    n_classes = y.max() + 1
    return np.where(wrong, (y + random.integers(1, n_classes, len(y))) % n_classes, y), wrong


# --- what they are ------------------------------------------------------------------------


def test_there_are_as_many_points_as_asked_for_around_chosen_samples(blobs):
    X, y = blobs
    points = pseudo_points(PLAIN, X, y, max_samples=20, n_draws=3)
    hood = points.neighborhood
    assert hood.steps.shape == (20, 3, 3)
    assert (np.diff(hood.anchors) > 0).all()
    assert 0 <= hood.anchors.min() <= hood.anchors.max() < 60
    assert 0 < points.length <= 1
    # Neighbors are looked for among all samples, not among the chosen ones.
    assert not np.isin(hood.neighbors, hood.anchors).all()
    for every in (None, 60, 1000):
        hood = pseudo_points(PLAIN, X, y, max_samples=every).neighborhood
        np.testing.assert_array_equal(hood.anchors, np.arange(60))
        assert hood.steps.shape[1] >= N_DRAWS


def test_few_samples_get_more_points_each(monkeypatch, rng):
    draws = []
    for n in (20, 2400):
        X = rng.normal(size=(n, 2))
        hood = pseudo_points(PLAIN, X, np.arange(n) % 2, max_samples=None).neighborhood
        draws.append(hood.steps.shape[1])
    assert draws[0] > draws[1] == N_DRAWS


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_samples_may_lie_far_from_the_origin(blobs, dtype):
    """As years, pressures or coordinates do: squares of their norms would drown distances."""
    X, y = blobs
    # Numbers that float32 has there, too.
    X = (X * 4).round() / 4
    near, far = (
        pseudo_points(PLAIN, (X + at).astype(dtype), y, None) for at in (0, 1_000_000)
    )
    assert far.neighborhood.distance == pytest.approx(near.neighborhood.distance, rel=1e-3)
    assert far.neighborhood.spread == pytest.approx(near.neighborhood.spread, rel=1e-3)
    # As many different samples on either side, and their neighbors.
    known = (near.neighborhood.neighbors >= 0).sum(axis=1)
    np.testing.assert_array_equal((far.neighborhood.neighbors >= 0).sum(axis=1), known)
    assert far.length == pytest.approx(near.length, abs=0.05)
    unit = distance_unit(PLAIN, (X + 1_000_000).astype(dtype))
    assert unit == pytest.approx(near.neighborhood.distance, rel=1e-3)


@pytest.mark.parametrize("dtype", [np.uint8, bool])
def test_whole_numbers_are_taken_as_numbers(dtype, rng):
    X = rng.integers(0, 2 if dtype is bool else 256, size=(60, 5)).astype(dtype)
    y = np.arange(60) % 2
    hood = pseudo_points(PLAIN, X, y, None).neighborhood
    expected = pseudo_points(PLAIN, X.astype(float), y, None).neighborhood
    np.testing.assert_array_equal(hood.steps, expected.steps)
    assert hood.steps.min() < 0 < hood.steps.max()


def test_of_wide_samples_fewer_are_held_at_a_time():
    X = np.ones((100, 2**16), dtype=np.float32)
    asked = []

    def prepare(rows):
        asked.append(len(rows))
        return rows

    rows, width = prepared_rows(Network(torch.nn.Identity(), prepare, np.asarray), X)
    assert width == 2**16
    assert max(asked) <= 16
    assert rows(slice(0, 2)).shape == (2, width)


def test_copies_of_samples_do_not_hide_near_and_far(rng):
    X = np.concatenate([np.zeros((300, 3)), rng.normal(size=(50, 3))]) + 10
    hood = pseudo_points(PLAIN, X, np.arange(350) % 2, None).neighborhood
    assert 0 < hood.distance < hood.spread


def test_the_random_state_chooses_samples_and_steps(blobs):
    X, y = blobs
    one, two, other = (
        pseudo_points(PLAIN, X, y, 20, random_state)
        for random_state in (3, np.random.RandomState(3), 4)
    )
    assert_same(one, two)
    assert (one.neighborhood.anchors != other.neighborhood.anchors).any()


def test_numpys_and_torchs_generators_are_left_as_they_were(blobs):
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    pseudo_points(PLAIN, *blobs, None)
    np.testing.assert_array_equal(np.random.get_state()[1], before[0])
    assert torch.equal(torch.get_rng_state(), before[1])


def test_they_lie_where_the_network_sees_the_samples(blobs):
    X, y = blobs
    units = np.array([1.0, 100.0, 0.01])
    model = make_pipeline(StandardScaler(), PCA(2), LogisticRegression()).fit(X * units, y)
    behind = pseudo_points(as_network(model), X * units, y, None)
    alone = pseudo_points(PLAIN, model[:-1].transform(X * units), y, None)
    assert_same(behind, alone)
    frame = pd.DataFrame(X * units)
    model.fit(frame, y)
    behind = pseudo_points(PLAIN, model[:-1].transform(frame), y, None)
    assert_same(pseudo_points(as_network(model), frame, y, None), behind)


def test_images_are_flattened(images):
    X, y = images
    flat = pseudo_points(PLAIN, X.reshape(len(X), -1), y, 50)
    assert_same(pseudo_points(PLAIN, X, y, 50), flat)


def test_sparse_inputs_have_the_points_of_dense_ones(rng):
    X = rng.normal(size=(80, 6)) * (rng.random((80, 6)) < 0.6)
    y = (X[:, 0] > 0).astype(int)
    dense = pseudo_points(PLAIN, X, y, 40)
    for make in (scipy.sparse.csr_array, scipy.sparse.csr_matrix):
        sparse = pseudo_points(SPARSE, make(X), y, 40)
        np.testing.assert_allclose(
            sparse.neighborhood.steps, dense.neighborhood.steps, rtol=1e-4, atol=1e-5
        )
        assert sparse.length == pytest.approx(dense.length)


@pytest.mark.parametrize("make", [np.asarray, scipy.sparse.csr_array])
def test_data_too_large_to_be_held_whole_are_streamed_to_the_same_points(
    make, cache, monkeypatch, rng
):
    X, y = make(rng.normal(size=(300, 4))), rng.integers(0, 2, 300)
    largest = []

    def prepare(rows):
        largest.append(rows.shape[0])
        return rows

    network = Network(torch.nn.Identity(), prepare, np.asarray)
    whole = pseudo_points(network, X, y, 100)
    assert max(largest) == 300
    cache.clear()
    largest.clear()
    monkeypatch.setattr(pseudopoints, "WHOLE", 0)
    monkeypatch.setattr("margin_sklearn.neighborhood.chunk_length", lambda *_, **__: 50)
    streamed = pseudo_points(network, X, y, 100)
    assert_same(streamed, whole)
    rows, width = prepared_rows(network, X)
    assert width == 4
    assert rows(slice(10, 20)).shape == (10, 4)


def test_very_wide_inputs_have_fewer_points(cache, monkeypatch, rng):
    X, y = rng.normal(size=(50, 5)) @ rng.normal(size=(5, 40)), rng.integers(0, 2, 50)
    monkeypatch.setattr(pseudopoints, "MAX_STEPS", 20 * 40)
    for n_draws in (None, 2):
        points = pseudo_points(PLAIN, X, y, None, n_draws=n_draws)
        assert 1 < len(points.neighborhood.anchors) < 50
        assert points.neighborhood.steps.size <= 20 * 40
        cache.clear()
    monkeypatch.setattr(pseudopoints, "MAX_STEPS", 1)
    points = pseudo_points(PLAIN, X, y, None)
    assert points.neighborhood.steps.shape == (1, N_DRAWS, 40)
    assert points.length == 1


def test_calibration_may_meet_nothing_but_copies(monkeypatch, rng):
    X = np.zeros((300, 2))
    X[-3:] = rng.normal(size=(3, 2))
    monkeypatch.setattr(pseudopoints, "N_CALIBRATION", 2)
    points = pseudo_points(PLAIN, X, np.arange(300) % 2, None)
    assert points.length == 1
    assert np.isfinite(points.neighborhood.steps).all()


def test_one_sample_is_enough_to_start_from(blobs):
    points = pseudo_points(PLAIN, *blobs, max_samples=1)
    assert points.neighborhood.steps.shape[0] == 1


def test_samples_that_are_all_equal_have_no_points():
    with pytest.raises(ValueError, match="at='samples'"):
        pseudo_points(PLAIN, np.ones((10, 2)), np.arange(10) % 2, None)


def test_the_unit_of_distances_is_that_of_neighbors(rng, monkeypatch):
    X = rng.normal(size=(200, 3))
    index = np.arange(200)
    expected = neighbor_distance(X, index, [(0, X)])
    assert distance_unit(PLAIN, X) == pytest.approx(expected)
    assert distance_unit(SPARSE, scipy.sparse.csr_array(X)) == pytest.approx(expected)
    points = pseudo_points(PLAIN, X, index % 2, None)
    assert points.neighborhood.distance == pytest.approx(expected)
    monkeypatch.setattr(pseudopoints, "N_ANCHORS", 50)
    assert distance_unit(PLAIN, X) == distance_unit(PLAIN, X) != expected
    assert distance_unit(PLAIN, X) == pytest.approx(expected, rel=0.3)


# --- the cache ----------------------------------------------------------------------------


def test_points_are_computed_once_for_the_same_inputs_and_labels(blobs, calls):
    X, y = blobs
    first = pseudo_points(PLAIN, X, y, None)
    once = len(calls)
    assert once > 0
    # Another network and another array, with the same contents.
    other = Network(torch.nn.ReLU(), lambda rows: rows + 0, np.asarray)
    assert pseudo_points(other, X.copy(), y.copy(), None) is first
    assert len(calls) == once


@pytest.mark.parametrize(
    "change",
    [
        lambda X, y: (1.1 * X, y, None, 0),
        lambda X, y: (X[::-1], y[::-1], None, 0),
        lambda X, y: (X, (y + 1) % 3, None, 0),
        lambda X, y: (X, y, 30, 0),
        lambda X, y: (X, y, None, 1),
        lambda X, y: (X, y, None, 0, 5),
    ],
    ids=["inputs", "order", "labels", "number", "seed", "draws"],
)
def test_points_are_computed_again_where_anything_else_changes(blobs, calls, cache, change):
    X, y = blobs
    pseudo_points(PLAIN, X, y, None)
    once = len(calls)
    found = pseudo_points(PLAIN, *change(X, y))
    assert len(calls) == 2 * once
    cache.clear()
    assert_same(found, pseudo_points(PLAIN, *change(X, y)))


def test_inputs_changed_in_place_are_noticed(blobs, calls):
    X, y = blobs
    X = X.copy()
    pseudo_points(PLAIN, X, y, None)
    once = len(calls)
    X[7, 1] += 1
    pseudo_points(PLAIN, X, y, None)
    assert len(calls) == 2 * once


def test_all_candidates_of_a_search_share_their_points(iris, calls):
    X, y = iris
    pipeline = make_pipeline(StandardScaler(), PCA(3), LogisticRegression(max_iter=1000))

    def search(grid):
        calls.clear()
        GridSearchCV(
            pipeline,
            grid,
            scoring=margin_auc_score,
            cv=ResubstitutionSplit(),
            refit=False,
            return_train_score=True,
            error_score="raise",
        ).fit(X, y)
        return len(calls)

    once = search({"logisticregression__C": [1.0]})
    assert search({"logisticregression__C": [0.01, 1.0, 100.0]}) == 0
    # What comes before the network decides where it sees them.
    assert search({"pca__n_components": [2, 3], "logisticregression__C": [0.01, 1.0]}) == once


def test_the_memory_of_the_cache_is_bounded_and_the_latest_are_kept(
    blobs, calls, cache, monkeypatch
):
    X, y = blobs
    size = pseudo_points(PLAIN, X, y, None).neighborhood.steps.nbytes
    once = len(calls)
    monkeypatch.setattr(pseudopoints, "CACHE_BYTES", 3 * size)
    for unit in (1, 2, 3, 1, 4):
        pseudo_points(PLAIN, unit * X, y, None)
    assert len(cache) == 3
    assert len(calls) == 4 * once
    # The one that was not used for longest is gone, and only that.
    for unit in (4, 1, 3):
        pseudo_points(PLAIN, unit * X, y, None)
    assert len(calls) == 4 * once
    pseudo_points(PLAIN, 2 * X, y, None)
    assert len(calls) == 5 * once
    # Even where there is no room, one is kept: candidates of a search share it.
    monkeypatch.setattr(pseudopoints, "CACHE_BYTES", 0)
    pseudo_points(PLAIN, X, y, None)
    assert len(cache) == 1


def test_threads_give_the_same_and_do_not_repeat_each_other(blobs, calls, cache):
    X, y = blobs
    units = [1, 2, 3] * 3
    serial = [pseudo_points(PLAIN, unit * X, y, 30) for unit in units]
    n_serial = len(calls)
    cache.clear()
    parallel = joblib.Parallel(n_jobs=4, backend="threading")(
        joblib.delayed(pseudo_points)(PLAIN, unit * X, y, 30) for unit in units
    )
    assert len(calls) == 2 * n_serial
    for one, two in zip(serial, parallel, strict=True):
        assert_same(one, two)


# --- where there is no locality -----------------------------------------------------------


def one_hot(rng):
    rows = rng.integers(0, 8, size=(200, 15)).astype(str)
    return OneHotEncoder(sparse_output=False).fit_transform(rows)


@pytest.mark.parametrize("make", [lambda rng: rng.normal(size=(200, 50)), one_hot])
def test_noise_in_many_dimensions_and_indicator_columns_have_no_near_and_far(make, rng):
    X, y = make(rng), rng.integers(0, 2, 200)
    # Each time, not only when points are computed.
    for _ in range(2):
        with pytest.warns(LocalityWarning, match="cross-validation"):
            pseudo_points(PLAIN, X, y, None)


def test_a_score_warns_once(rng):
    X, y = rng.normal(size=(100, 60)), rng.integers(0, 2, 100)
    model = LogisticRegression().fit(X, y)
    with pytest.warns(LocalityWarning) as record:
        margin_auc_score(model, X, y)
    assert len(record) == 1


def test_digits_iris_and_wine_have_it(digits, iris):
    wine = load_wine(return_X_y=True)
    for X, y in (digits, iris, (StandardScaler().fit_transform(wine[0]), wine[1])):
        # A warning would be an error here.
        pseudo_points(PLAIN, X, y, None)


# --- label trust --------------------------------------------------------------------------


def test_labels_unlike_those_of_the_neighbors_are_trusted_less(digits):
    X, y = digits
    noisy, wrong = flipped(y, 0.2)
    trust = label_trust(pseudo_points(PLAIN, X, noisy, None), noisy)
    assert trust.shape == y.shape
    assert trust.min() >= 0
    assert trust.max() <= 1
    assert trust[wrong].mean() < 0.4
    assert trust[~wrong].mean() > 0.8


def test_trust_is_bayes_rule_with_the_shares_among_the_neighbors(blobs):
    X, y = blobs
    y, _ = flipped(y, 0.3)
    points = pseudo_points(PLAIN, X, y, 40)
    hood = points.neighborhood
    share = np.array(
        [
            (np.sum(y[around] == y[anchor]) + 1 / 3) / (len(around) + 1)
            for anchor, around in zip(hood.anchors, hood.neighbors, strict=True)
        ]
    )
    noise = np.mean(1 - share)
    expected = (1 - noise) * share / ((1 - noise) * share + noise / 3)
    np.testing.assert_allclose(label_trust(points, y), expected)


def test_neighbors_that_are_missing_do_not_count():
    X = np.array([[0.0], [1.0], [1.5], [4.0]])
    points = pseudo_points(PLAIN, X, np.array([0, 0, 1, 1]), None)
    assert (points.neighborhood.neighbors == -1).any()
    trust = label_trust(points, np.array([0, 0, 0, 1]))
    assert trust[3] == trust.min()
    assert len(set(trust[:3].round(12))) == 1


def test_the_names_of_classes_do_not_matter_for_trust(blobs):
    X, y = blobs
    points = pseudo_points(PLAIN, X, y, None)
    np.testing.assert_allclose(label_trust(points, y), label_trust(points, 7 - 2 * y))
    one_class = label_trust(points, np.zeros_like(y))
    assert (one_class > 0.9).all()
