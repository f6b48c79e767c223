import warnings
from dataclasses import replace

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.datasets import load_iris, load_wine, make_blobs
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from margin_sklearn import (
    LocalityWarning,
    ResubstitutionSplit,
    margin_auc_score,
)
from margin_sklearn.adapters.network import Network
from margin_sklearn.adapters.registry import as_network
from margin_sklearn.neighborhoods import embedded_rows, prepared_rows
from margin_sklearn.neighborhoods import perturbed as pseudopoints
from margin_sklearn.neighborhoods.cache import ByteBoundedCache
from margin_sklearn.neighborhoods.combined_steps import CombinedSteps
from margin_sklearn.neighborhoods.distinct import evenly
from margin_sklearn.neighborhoods.perturbed import (
    MOST_DRAWS,
    N_DRAWS,
    distance_unit,
    pseudo_points,
)

# Inputs as they are.
PLAIN = Network(torch.nn.Identity(), np.asarray, np.asarray, torch.float64)
SPARSE = Network(torch.nn.Identity(), lambda rows: rows, np.asarray, torch.float64)
copies_are_told_of = pytest.mark.filterwarnings("ignore:.*are copies of others")


@pytest.fixture(autouse=True)
def cache(monkeypatch):
    """An empty cache for each test."""
    empty = ByteBoundedCache(2**28)
    monkeypatch.setattr(pseudopoints, "PERTURBED_SAMPLES", empty)
    return empty


@pytest.fixture
def calls(monkeypatch):
    """How often neighborhoods are looked for, so far: the same for each entry."""
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
    assert one.neighborhood.spread == two.neighborhood.spread
    assert one.length == two.length
    for name in ("anchor", "label", "case", "trust"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def by_content(points, X, y):
    """Steps, label, weight and trust of each case, in an order of the samples' content."""
    hood, weight = points.neighborhood, points.weights()
    rows = X[hood.anchors[points.anchor]]
    order = np.lexsort((points.label, *rows.T))
    everything = (rows, hood.steps[points.anchor], points.label, weight, points.trust)
    return [part[order] for part in everything]


def nearest(X):
    between = cdist(X, X)
    np.fill_diagonal(between, np.inf)
    return np.median(between.min(axis=1))


def flipped(y, share):
    random = np.random.default_rng(0)
    wrong = random.random(len(y)) < share
    n_classes = y.max() + 1
    return np.where(wrong, (y + random.integers(1, n_classes, len(y))) % n_classes, y), wrong


# --- what they are ------------------------------------------------------------------------


def test_there_are_points_around_each_sample_or_around_some(blobs):
    X, y = blobs
    points = pseudo_points(PLAIN, X, y, max_samples=20)
    hood = points.neighborhood
    assert hood.steps.shape[::2] == (20, 3)
    assert len(set(hood.anchors)) == 20
    assert 0 <= hood.anchors.min() <= hood.anchors.max() < 60
    assert 0 < points.length <= 1
    # Neighbors are looked for among all samples, not among the chosen ones.
    assert not np.isin(hood.neighbors, hood.anchors).all()
    for every in (None, 60, 1000):
        hood = pseudo_points(PLAIN, X, y, max_samples=every).neighborhood
        np.testing.assert_array_equal(np.sort(hood.anchors), np.arange(60))
        assert N_DRAWS <= hood.steps.shape[1] <= MOST_DRAWS


def test_few_samples_get_more_points_each(rng):
    draws = []
    for n in (20, 2400):
        X = rng.normal(size=(n, 2))
        hood = pseudo_points(PLAIN, X, np.arange(n) % 2, max_samples=None).neighborhood
        draws.append(hood.steps.shape[1])
    assert draws[0] > draws[1] == N_DRAWS


def test_anchors_and_neighbors_are_positions_among_the_samples(rng):
    X = np.repeat(rng.normal(size=(50, 3)), 2, axis=0)[rng.permutation(100)]
    with pytest.warns(LocalityWarning, match="50% of the 100 samples are copies"):
        hood = pseudo_points(PLAIN, X, np.arange(100) % 2, None).neighborhood
    between = cdist(X, X)
    between[between == 0] = np.inf
    for anchor, neighbors in zip(hood.anchors, hood.neighbors, strict=True):
        known = np.unique(between[anchor])[: len(neighbors)]
        np.testing.assert_allclose(between[anchor, neighbors], known)
    assert hood.distance == pytest.approx(np.median(between.min(axis=1)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_samples_may_lie_far_from_the_origin(blobs, dtype):
    """As years, pressures or coordinates do: squares of their norms would drown distances."""
    X, y = blobs
    # Numbers that float32 has there, too.
    X = (X * 4).round() / 4
    near, far = (
        pseudo_points(PLAIN, (X + at).astype(dtype), y, None) for at in (0, 1_000_000)
    )
    assert far.neighborhood.distance == pytest.approx(near.neighborhood.distance)
    assert far.neighborhood.spread == pytest.approx(near.neighborhood.spread)
    # As many different samples on either side, with neighbors as far.
    assert far.neighborhood.neighbors.shape == near.neighborhood.neighbors.shape
    assert far.length == pytest.approx(near.length, abs=0.05)
    unit = distance_unit(PLAIN, (X + 1_000_000).astype(dtype))
    assert unit == pytest.approx(near.neighborhood.distance)


@pytest.mark.parametrize("dtype", [np.uint8, bool])
def test_whole_numbers_are_taken_as_numbers(dtype, rng):
    X = rng.integers(0, 2 if dtype is bool else 256, size=(60, 12)).astype(dtype)
    y = np.arange(60) % 2
    found = pseudo_points(PLAIN, X, y, None)
    assert_same(found, pseudo_points(PLAIN, X.astype(float), y, None))
    assert found.neighborhood.steps.min() < 0 < found.neighborhood.steps.max()


@copies_are_told_of
def test_copies_of_samples_do_not_hide_near_and_far(rng):
    X = np.concatenate([np.zeros((300, 3)), rng.normal(size=(50, 3))]) + 10
    hood = pseudo_points(PLAIN, X, np.arange(350) % 2, None).neighborhood
    assert 0 < hood.distance < hood.spread


def test_the_random_state_chooses_samples_and_nothing_else(blobs):
    X, y = blobs
    one, two, other = (
        pseudo_points(PLAIN, X, y, 20, random_state)
        for random_state in (3, np.random.RandomState(3), 4)
    )
    assert_same(one, two)
    assert set(one.neighborhood.anchors) != set(other.neighborhood.anchors)
    assert one.length == other.length
    everything = pseudo_points(PLAIN, X, y, None)
    assert_same(everything, pseudo_points(PLAIN, X, y, 60, 7))
    # Around a sample that both have the points are the same, but for their unit.
    for some in (one, other):
        _, at, among = np.intersect1d(
            some.neighborhood.anchors, everything.neighborhood.anchors, return_indices=True
        )
        directions = (
            hood.steps[which] / np.linalg.norm(hood.steps[which], axis=2, keepdims=True)
            for hood, which in ((some.neighborhood, at), (everything.neighborhood, among))
        )
        if some.neighborhood.steps.shape[1] == everything.neighborhood.steps.shape[1]:
            np.testing.assert_allclose(*directions, atol=1e-5)


def test_numpys_and_torchs_generators_are_left_as_they_were(blobs):
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    pseudo_points(PLAIN, *blobs, None)
    pseudo_points(PLAIN, *blobs, 10)
    np.testing.assert_array_equal(np.random.get_state()[1], before[0])
    assert torch.equal(torch.get_rng_state(), before[1])


@copies_are_told_of
@given(st.integers(0, 99), st.booleans(), st.booleans())
@settings(max_examples=8)
def test_the_order_of_the_samples_makes_no_difference(seed, whole_numbers, copied):
    random = np.random.default_rng(seed)
    X, y = random.normal(size=(80, 3)), random.integers(0, 3, 80)
    if whole_numbers:
        X = (2 * X).round()
    if copied:
        X = np.concatenate([X, X[::-1]])
        y = np.concatenate([y, random.integers(0, 3, 80)])
    order = random.permutation(len(y))
    one, other = (
        pseudo_points(PLAIN, *samples, 1000) for samples in ((X, y), (X[order], y[order]))
    )
    for found, expected in zip(
        by_content(other, X[order], y[order]), by_content(one, X, y), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    assert one.length == other.length
    assert one.neighborhood.distance == other.neighborhood.distance
    some, others = (
        pseudo_points(PLAIN, *samples, 20) for samples in ((X, y), (X[order], y[order]))
    )
    np.testing.assert_array_equal(
        np.sort(X[some.neighborhood.anchors], axis=0),
        np.sort(X[order][others.neighborhood.anchors], axis=0),
    )


def test_they_lie_where_the_network_sees_the_samples(blobs):
    X, y = blobs
    units = np.array([1.0, 100.0, 0.01])
    model = make_pipeline(StandardScaler(), PCA(2), LogisticRegression()).fit(X * units, y)
    network = as_network(model)
    behind = pseudo_points(network, network.transform(X * units), y, None)
    alone = pseudo_points(PLAIN, model[:-1].transform(X * units), y, None)
    assert_same(behind, alone)
    frame = pd.DataFrame(X * units)
    model.fit(frame, y)
    behind = pseudo_points(PLAIN, model[:-1].transform(frame), y, None)
    network = as_network(model)
    assert_same(pseudo_points(network, network.transform(frame), y, None), behind)


def test_images_are_flattened(images):
    X, y = images
    flat = pseudo_points(PLAIN, X.reshape(len(X), -1), y, 50)
    assert_same(pseudo_points(PLAIN, X, y, 50), flat)


def test_sparse_inputs_have_the_points_of_dense_ones(rng):
    X = rng.normal(size=(80, 6)) * (rng.random((80, 6)) < 0.8)
    y = (X[:, 0] > 0).astype(int)
    dense = pseudo_points(PLAIN, X, y, 40)
    for make in (scipy.sparse.csr_array, scipy.sparse.csr_matrix):
        sparse = pseudo_points(SPARSE, make(X), y, 40)
        np.testing.assert_array_equal(sparse.neighborhood.anchors, dense.neighborhood.anchors)
        np.testing.assert_allclose(
            sparse.neighborhood.steps, dense.neighborhood.steps, rtol=1e-4, atol=1e-5
        )
        assert sparse.length == pytest.approx(dense.length)
        assert sparse.neighborhood.distance == pytest.approx(dense.neighborhood.distance)


@pytest.mark.parametrize("make", [np.asarray, scipy.sparse.csr_array])
def test_data_too_large_to_be_held_whole_are_streamed_to_the_same_points(
    make, cache, monkeypatch, rng
):
    X, y = make(rng.normal(size=(300, 4))), rng.integers(0, 2, 300)
    largest = []

    def prepare(rows):
        largest.append(rows.shape[0])
        return rows

    network = Network(torch.nn.Identity(), prepare, np.asarray, torch.float64)
    whole = pseudo_points(network, X, y, 100)
    assert max(largest) == 300
    cache.clear()
    largest.clear()
    monkeypatch.setattr(prepared_rows, "WHOLE", 0)
    for where in ("neighbors", "residual_steps"):
        monkeypatch.setattr(
            f"margin_sklearn.neighborhoods.{where}.chunk_length", lambda *_, **__: 50
        )
    streamed = pseudo_points(network, X, y, 100)
    np.testing.assert_array_equal(streamed.neighborhood.anchors, whole.neighborhood.anchors)
    np.testing.assert_array_equal(
        streamed.neighborhood.neighbors, whole.neighborhood.neighbors
    )
    np.testing.assert_allclose(
        streamed.neighborhood.steps, whole.neighborhood.steps, rtol=1e-4, atol=1e-6
    )
    assert streamed.length == pytest.approx(whole.length)


# --- many columns, many rows ----------------------------------------------------------------


def assert_close(one, two):
    """The same points, apart from rounding."""
    np.testing.assert_array_equal(one.neighborhood.anchors, two.neighborhood.anchors)
    np.testing.assert_array_equal(one.neighborhood.neighbors, two.neighborhood.neighbors)
    np.testing.assert_array_equal(one.case, two.case)
    assert one.neighborhood.distance == pytest.approx(two.neighborhood.distance)
    assert one.neighborhood.spread == pytest.approx(two.neighborhood.spread)
    assert one.length == pytest.approx(two.length, abs=1e-3)
    steps = one.neighborhood.steps[np.arange(len(one.neighborhood.anchors))]
    np.testing.assert_allclose(steps, two.neighborhood.steps, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("limit", ["MAX_STEPS", "MAX_WIDE_STEPS"])
@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_array])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_steps_of_many_columns_are_combined_when_needed(
    limit, form, offset, cache, monkeypatch, rng
):
    """Fewer samples are never scored for the sake of memory."""
    X, y = rng.normal(size=(60, 5)) @ rng.normal(size=(5, 90)), rng.integers(0, 2, 60)
    X[:, 3] = offset
    X[7, 5] = 1e7
    monkeypatch.setattr(pseudopoints, "MOST_DRAWS", N_DRAWS)
    network = replace(SPARSE, prepare=lambda rows: rows)
    everything = pseudo_points(network, form(X), y, None)
    cache.clear()
    monkeypatch.setattr(pseudopoints, limit, 0)
    if limit == "MAX_WIDE_STEPS":
        monkeypatch.setattr(embedded_rows, "WIDE", 0)
        monkeypatch.setattr(embedded_rows, "TIMES", 1)
    points = pseudo_points(network, form(X), y, None)
    assert isinstance(points.neighborhood.steps, CombinedSteps)
    assert points.neighborhood.steps.shape == everything.neighborhood.steps.shape
    assert_close(points, everything)
    assert_close(points.thinned(1), everything.thinned(1))
    assert points.nbytes > 0


def test_wide_rows_are_not_asked_for_again(monkeypatch, rng):
    """After the inner products all is done without the columns."""
    asked = []

    def prepare(rows):
        asked.append(len(rows))
        return rows

    network = Network(torch.nn.Identity(), prepare, np.asarray, torch.float64)
    X, y = rng.normal(size=(100, 5)) @ rng.normal(size=(5, 3000)), rng.integers(0, 2, 100)
    monkeypatch.setattr(prepared_rows, "WHOLE", 0)
    pseudo_points(network, X, y, None)
    # To hash them, for origin and unit, for the inner products (in 7 blocks: each with
    # each), and for the points.
    assert sum(asked) <= 1 + 3 * len(X) + len(X)


def test_on_a_grid_combined_steps_lead_to_neighbors_too(monkeypatch):
    line = np.arange(12.0)
    X = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    monkeypatch.setattr(pseudopoints, "MAX_STEPS", 0)
    hood = pseudo_points(PLAIN, X, (X[:, 0] > X[:, 1]).astype(int), None).neighborhood
    steps = hood.steps[np.arange(144)]
    assert np.median(np.linalg.norm(steps, axis=2)) == pytest.approx(1, rel=1e-4)


def test_a_score_at_combined_steps_is_that_at_all_steps(monkeypatch, cache, rng):
    X, y = rng.normal(size=(60, 5)) @ rng.normal(size=(5, 90)), rng.integers(0, 2, 60)
    model = LogisticRegression().fit(X, y)
    monkeypatch.setattr(pseudopoints, "MOST_DRAWS", N_DRAWS)
    expected = margin_auc_score(model, X, y)
    cache.clear()
    monkeypatch.setattr(embedded_rows, "WIDE", 0)
    monkeypatch.setattr(embedded_rows, "TIMES", 1)
    monkeypatch.setattr(pseudopoints, "MAX_WIDE_STEPS", 0)
    assert margin_auc_score(model, X, y) == pytest.approx(expected, abs=1e-4)


def test_a_warning_comes_before_the_work_if_columns_are_very_many(monkeypatch, rng):
    def no_work(*args):
        raise RuntimeError("work")

    monkeypatch.setattr(pseudopoints, "distinct_rows", no_work)
    X = scipy.sparse.random_array((300, 2**20), density=1e-5, random_state=rng, format="csr")
    with (
        pytest.warns(UserWarning, match=r"TruncatedSVD"),
        pytest.raises(RuntimeError, match="work"),
    ):
        pseudo_points(SPARSE, X, np.arange(300) % 2, None)


@pytest.fixture
def few_rows(monkeypatch):
    """Neighbors among 200 rows only."""
    monkeypatch.setattr(pseudopoints, "MOST_ROWS", 200)
    monkeypatch.setattr(pseudopoints, "FEWEST_ROWS", 100)


def test_neighbors_are_looked_for_among_so_many_rows_and_all_wanted_are_scored(few_rows, rng):
    X, y = rng.normal(size=(1000, 2)), rng.integers(0, 2, 1000)
    points = pseudo_points(PLAIN, X, y, 50)
    assert len(points.neighborhood.anchors) == 50
    some = np.union1d(points.neighborhood.anchors, points.neighborhood.neighbors)
    assert len(some) <= 200
    # If more are to be scored, neighbors are among as many.
    assert len(pseudo_points(PLAIN, X, y, 300).neighborhood.anchors) == 300
    points = pseudo_points(PLAIN, X, y, None)
    assert len(points.neighborhood.anchors) == 1000
    assert (points.case >= 0).all()


def test_the_unit_is_that_of_all_samples(few_rows, rng):
    for d in (1, 2, 4):
        X, y = rng.uniform(size=(2000, d)), rng.integers(0, 2, 2000)
        expected = nearest(X)
        hood = pseudo_points(PLAIN, X, y, 200).neighborhood
        assert hood.distance == pytest.approx(expected, rel=0.25)
        assert distance_unit(PLAIN, X) == pytest.approx(expected, rel=0.25)
        # Among 200 alone it would be larger by far.
        assert nearest(X[:200]) > 1.5 * expected


@copies_are_told_of
def test_the_rows_searched_depend_neither_on_order_nor_on_copies(few_rows, rng):
    X, y = rng.normal(size=(600, 3)), rng.integers(0, 3, 600)
    one = pseudo_points(PLAIN, X, y, 50)
    order = rng.permutation(np.repeat(np.arange(600), rng.integers(1, 4, 600)))
    other = pseudo_points(PLAIN, X[order], y[order], 50)
    np.testing.assert_array_equal(
        X[one.neighborhood.anchors], X[order][other.neighborhood.anchors]
    )
    np.testing.assert_array_equal(one.neighborhood.steps, other.neighborhood.steps)
    assert one.neighborhood.distance == other.neighborhood.distance
    assert one.length == other.length


def test_beyond_so_many_rows_the_rest_is_only_hashed(few_rows, monkeypatch, rng):
    asked = []

    def prepare(rows):
        asked.append(len(rows))
        return rows

    monkeypatch.setattr(prepared_rows, "WHOLE", 2**11)
    network = Network(torch.nn.Identity(), prepare, np.asarray)
    beyond = []
    for n in (1000, 3000):
        asked.clear()
        pseudo_points(network, rng.normal(size=(n, 3)), rng.integers(0, 2, n), 50)
        beyond.append(sum(asked) - n)
    # Rows for origin and unit are up to 1,000.
    assert beyond[0] == beyond[1]


def test_inputs_are_those_of_the_networks_dtype(calls, rng):
    X, y = rng.normal(size=(80, 3)), rng.integers(0, 2, 80)
    network = replace(PLAIN, dtype=torch.float32)
    points = pseudo_points(network, X, y, None)
    once = len(calls)
    assert pseudo_points(network, X.astype(np.float32), y.astype(np.int32), None) is points
    assert len(calls) == once
    with pytest.raises(ValueError, match="too large for float32"):
        pseudo_points(network, 1e200 * X, y, None)


def test_too_few_samples_to_calibrate_with_get_whole_steps(monkeypatch, blobs):
    monkeypatch.setattr(pseudopoints, "N_STEP_LENGTH", 3)
    points = pseudo_points(PLAIN, *blobs, None)
    assert points.length == 1
    assert np.isfinite(points.neighborhood.steps).all()


def test_one_sample_is_enough_to_start_from(blobs):
    points = pseudo_points(PLAIN, *blobs, max_samples=1)
    assert points.neighborhood.steps.shape[0] == 1


@pytest.mark.parametrize("unit", [1.0, 3.0, 0.1])
@pytest.mark.parametrize("side", [6, 12, 30])
def test_on_a_regular_grid_steps_have_their_length(side, unit):
    """Where many neighbors are equally near, and reconstruct nearly every sample."""
    line = unit * np.arange(side)
    X = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    hood = pseudo_points(PLAIN, X, (X[:, 0] > X[:, 1]).astype(int), None).neighborhood
    lengths = np.linalg.norm(hood.steps, axis=2)
    assert hood.distance == pytest.approx(unit)
    assert np.median(lengths) == pytest.approx(1, rel=1e-4)
    assert lengths.max() < 10


# --- the unit of distances ----------------------------------------------------------------


def test_the_unit_of_distances_is_that_of_neighbors(rng, monkeypatch):
    X = rng.normal(size=(200, 3))
    index = np.arange(200)
    expected = nearest(X)
    assert distance_unit(PLAIN, X) == pytest.approx(expected)
    assert distance_unit(SPARSE, scipy.sparse.csr_array(X)) == pytest.approx(expected)
    assert distance_unit(PLAIN, 7 * X) == pytest.approx(7 * expected)
    points = pseudo_points(PLAIN, X, index % 2, None)
    assert points.neighborhood.distance == pytest.approx(expected)


def test_the_unit_of_distances_may_be_that_of_some(rng, monkeypatch):
    X = rng.normal(size=(200, 3))
    monkeypatch.setattr(pseudopoints, "N_ANCHORS", 50)
    found = distance_unit(PLAIN, X)
    assert found != pytest.approx(nearest(X))
    assert found == pytest.approx(nearest(X), rel=0.3)
    # The order of the samples does not choose them.
    assert distance_unit(PLAIN, X[::-1]) == found


@pytest.mark.parametrize("make", [np.asarray, scipy.sparse.csr_array])
def test_any_number_of_copies_leaves_the_unit_as_it_is(make, rng):
    for n in (5, 40):
        X = rng.normal(size=(n, 3)) + 100
        for k in (2, 30):
            many = make(np.tile(X, (k, 1)))
            assert distance_unit(SPARSE, many) == pytest.approx(nearest(X))


@pytest.mark.parametrize("X", [np.ones((5, 2)), np.ones((1, 2)), np.zeros((4, 2))])
def test_samples_that_are_all_equal_have_no_unit(X):
    with pytest.raises(ValueError, match=f"among {len(X)}.*floor=None"):
        distance_unit(PLAIN, X)


# --- copies -------------------------------------------------------------------------------


def test_copies_are_told_of_once_for_a_data_set(blobs):
    X, y = blobs
    X, y = np.repeat(X, 3, axis=0), np.repeat(y, 3)
    with pytest.warns(LocalityWarning, match="67% of the 180.*120 exact, 0 near") as record:
        pseudo_points(PLAIN, X, y, None)
    assert len(record) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pseudo_points(PLAIN, X, y, None)


def test_near_copies_are_told_of(rng):
    X = rng.normal(size=(100, 6))
    X = np.concatenate([X, X + 1e-3 * rng.normal(size=X.shape), X[:50]])
    with pytest.warns(LocalityWarning, match="60% of the 250.*50 exact, 100 near"):
        pseudo_points(PLAIN, X, np.arange(250) % 2, None)


def test_less_than_a_twentieth_is_not_worth_a_word(blobs):
    X, y = blobs
    pseudo_points(PLAIN, np.concatenate([X, X[:3]]), np.r_[y, y[:3]], None)
    with pytest.warns(LocalityWarning, match="6% of the 64"):
        pseudo_points(PLAIN, np.concatenate([X, X[:4]]), np.r_[y, y[:4]], None)
    # Two rows of iris are equal.
    pseudo_points(PLAIN, *load_iris(return_X_y=True), None)


@copies_are_told_of
@pytest.mark.parametrize("k", [2, 20, 50])
def test_repetition_changes_no_point(blobs, k):
    X, y = blobs
    one = pseudo_points(PLAIN, X, y, None)
    many = pseudo_points(PLAIN, np.repeat(X, k, axis=0), np.repeat(y, k), None)
    np.testing.assert_array_equal(many.neighborhood.anchors // k, one.neighborhood.anchors)
    np.testing.assert_array_equal(many.neighborhood.neighbors // k, one.neighborhood.neighbors)
    np.testing.assert_array_equal(many.neighborhood.steps, one.neighborhood.steps)
    assert many.neighborhood.distance == one.neighborhood.distance
    assert many.neighborhood.spread == one.neighborhood.spread
    assert many.length == one.length
    np.testing.assert_array_equal(many.label, one.label)
    np.testing.assert_array_equal(many.case, np.repeat(one.case, k))
    np.testing.assert_allclose(many.trust, one.trust)
    np.testing.assert_array_equal(many.weights(), k * one.weights())


# --- cases and their weights --------------------------------------------------------------


def test_samples_without_copies_are_a_case_each(blobs):
    X, y = blobs
    points = pseudo_points(PLAIN, X, y, None)
    np.testing.assert_array_equal(points.anchor, np.arange(60))
    np.testing.assert_array_equal(points.label, y[points.neighborhood.anchors])
    np.testing.assert_array_equal(points.neighborhood.anchors[points.case], np.arange(60))
    np.testing.assert_array_equal(points.weights(), 1)
    weight = np.arange(60.0)
    np.testing.assert_array_equal(points.weights(weight)[points.case], weight)


@copies_are_told_of
def test_labels_that_contradict_each_other_are_cases_of_their_own(rng):
    """Rows of 40 places, with labels 0 three times, 1 once and, at some, 2 twice."""
    places = rng.normal(size=(40, 3))
    place = np.r_[np.repeat(np.arange(40), 4), np.repeat(np.arange(10), 2)]
    label = np.r_[np.tile([0, 0, 1, 0], 40), np.full(20, 2)]
    order = rng.permutation(180)
    X, y = places[place[order]], label[order]
    points = pseudo_points(PLAIN, X, y, None)
    assert len(points.neighborhood.anchors) == 40
    assert len(points.label) == len(points.anchor) == len(points.trust) == 90
    weight = rng.random(180)
    for number in range(90):
        samples = np.flatnonzero(points.case == number)
        assert set(y[samples]) == {points.label[number]}
        anchor = points.neighborhood.anchors[points.anchor[number]]
        np.testing.assert_array_equal(X[samples], np.tile(X[anchor], (len(samples), 1)))
        assert points.weights()[number] == len(samples) == (3, 1, 2)[points.label[number]]
        assert points.weights(weight)[number] == pytest.approx(weight[samples].sum())
    assert points.weights().sum() == 180
    assert points.weights(weight).sum() == pytest.approx(weight.sum())


@copies_are_told_of
def test_samples_that_are_not_scored_are_no_case(blobs):
    X, y = np.repeat(blobs[0], 2, axis=0), np.repeat(blobs[1], 2)
    points = pseudo_points(PLAIN, X, y, 25)
    assert (points.case >= 0).sum() == 50
    np.testing.assert_array_equal(points.weights(), 2)
    weight = np.where(points.case >= 0, 1.0, np.nan)
    np.testing.assert_array_equal(points.weights(weight), 2)


@pytest.mark.parametrize("n_steps", [1, 2, 3, 100])
def test_thinned_points_are_some_of_the_steps_of_the_same_samples(blobs, n_steps):
    points = pseudo_points(PLAIN, *blobs, None)
    before = points.neighborhood.steps.copy()
    thin = points.thinned(n_steps)
    chosen = evenly(before.shape[1], n_steps)
    np.testing.assert_array_equal(thin.neighborhood.steps, before[:, chosen])
    np.testing.assert_array_equal(points.neighborhood.steps, before)
    assert thin.length == points.length
    assert thin.neighborhood.distance == points.neighborhood.distance
    np.testing.assert_array_equal(thin.case, points.case)
    np.testing.assert_array_equal(thin.weights(), points.weights())


# --- too few samples ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("X", "n"),
    [
        (np.ones((10, 2)), 1),
        (np.zeros((300, 3)), 1),
        (np.ones((1, 2)), 1),
        (np.array([[0.0], [1.0]]), 2),
        (np.repeat(np.eye(3), 20, axis=0), 3),
    ],
)
def test_fewer_than_four_different_samples_have_no_points(X, n):
    with pytest.raises(ValueError, match=f"^{n} different samples among {len(X)}:.*'samples'"):
        pseudo_points(PLAIN, X, np.arange(len(X)) % 2, None)


@pytest.mark.parametrize("n", [4, 7, 19])
def test_from_fewer_than_twenty_samples_a_score_means_little(n, rng):
    X, y = rng.normal(size=(n, 2)), np.arange(n) % 2
    # Each time, not only when points are computed.
    for _ in range(2):
        with pytest.warns(LocalityWarning, match=f"rests on {n} different samples"):
            points = pseudo_points(PLAIN, X, y, None)
    assert np.isfinite(points.neighborhood.steps).all()
    # Copies do not make more of them.
    with (
        pytest.warns(LocalityWarning, match="are copies"),
        pytest.warns(LocalityWarning, match=f"rests on {n} different samples"),
    ):
        pseudo_points(PLAIN, np.repeat(X, 9, axis=0), np.repeat(y, 9), None)


def test_twenty_samples_are_enough_and_so_is_what_was_asked_for(rng):
    X, y = rng.normal(size=(20, 2)), np.arange(20) % 2
    pseudo_points(PLAIN, X, y, None)
    pseudo_points(PLAIN, X, y, 10)


# --- the cache ----------------------------------------------------------------------------


def test_points_are_computed_once_for_the_same_inputs_and_labels(blobs, calls):
    X, y = blobs
    first = pseudo_points(PLAIN, X, y, None)
    once = len(calls)
    assert once > 0
    # Another network and another array, with the same contents.
    other = Network(torch.nn.ReLU(), lambda rows: rows + 0, np.asarray, torch.float64)
    assert pseudo_points(other, X.copy(), y.copy(), None) is first
    assert len(calls) == once


@pytest.mark.parametrize(
    "change",
    [
        lambda X, y: (1.1 * X, y, None, 0),
        lambda X, y: (X[::-1], y[::-1], None, 0),
        lambda X, y: (X, (y + 1) % 3, None, 0),
        lambda X, y: (X, y, 30, 0),
        lambda X, y: (np.c_[X, np.zeros(len(X))], y, None, 0),
    ],
    ids=["inputs", "order", "labels", "number", "columns"],
)
def test_points_are_computed_again_where_anything_else_changes(blobs, calls, cache, change):
    X, y = blobs
    pseudo_points(PLAIN, X, y, None)
    once = len(calls)
    found = pseudo_points(PLAIN, *change(X, y))
    assert len(calls) == 2 * once
    cache.clear()
    assert_same(found, pseudo_points(PLAIN, *change(X, y)))


def test_the_seed_matters_where_there_is_something_to_choose(blobs, calls):
    X, y = blobs
    first = pseudo_points(PLAIN, X, y, None, random_state=0)
    assert pseudo_points(PLAIN, X, y, None, random_state=1) is first
    # As many as there are, or more, is all of them.
    assert pseudo_points(PLAIN, X, y, 60, random_state=2) is first
    once = len(calls)
    one, two = (pseudo_points(PLAIN, X, y, 30, random_state=seed) for seed in (0, 1))
    assert len(calls) == 3 * once
    assert (one.neighborhood.anchors != two.neighborhood.anchors).any()


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


def test_the_memory_of_the_cache_is_bounded_and_the_latest_are_kept(blobs, calls, cache):
    X, y = blobs
    # Of a network that prepares samples by a function of NumPy: one entry each.
    pseudo_points(PLAIN, X, y, None)
    size = cache.nbytes
    once = len(calls)
    cache.max_bytes = 3 * size
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
    cache.max_bytes = 0
    pseudo_points(PLAIN, 5 * X, y, None)
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
