import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from margin_sklearn.neighborhoods import residual_steps as module
from margin_sklearn.neighborhoods.distinct import N_PILOT, evenly
from margin_sklearn.neighborhoods.residual_steps import (
    N_NEIGHBORS,
    RIDGE,
    local_neighborhood,
    reconstruction_weights,
)


def neighborhood(X, anchors=None, n_steps=2):
    anchors = np.arange(X.shape[0]) if anchors is None else anchors
    return local_neighborhood(X.__getitem__, X.shape[0], anchors, n_steps)


def lengths(hood):
    return np.linalg.norm(hood.steps, axis=2)


def distances_to_others(X):
    """All distances; infinite to the sample itself."""
    gaps = cdist(X, X)
    np.fill_diagonal(gaps, np.inf)
    return gaps


def residuals_by_definition(X, k):
    """Each sample minus its reconstruction, and its k nearest neighbors, one by one."""
    gaps = distances_to_others(X)
    result, neighbors = np.empty_like(X), gaps.argsort(axis=1)[:, :k]
    for i, x in enumerate(X):
        around = X[neighbors[i]] - x
        gram = around @ around.T
        weights = np.linalg.solve(gram + RIDGE * np.trace(gram) / k * np.eye(k), np.ones(k))
        result[i] = x - weights @ X[neighbors[i]] / weights.sum()
    return result, neighbors


# --- reconstruction -----------------------------------------------------------------------


def test_a_point_in_the_middle_of_two_neighbors_takes_half_of_each():
    around = np.array([[[1.0, 2.0], [-1.0, -2.0]], [[0.0, 3.0], [0.0, -3.0]]])
    np.testing.assert_allclose(reconstruction_weights(around), 0.5)


def test_neighbors_that_lie_on_the_point_share_alike():
    np.testing.assert_allclose(reconstruction_weights(np.zeros((2, 4, 3))), 0.25)


def test_the_nearer_neighbor_weighs_more():
    (weights,) = reconstruction_weights(np.array([[[1.0, 0.0], [0.0, 3.0]]]))
    assert weights[0] > 0.8


@given(st.integers(1, 16), st.integers(1, 20), st.integers(0, 99))
def test_weights_sum_to_one_and_solve_their_equation(k, n_features, seed):
    around = np.random.default_rng(seed).normal(size=(3, k, n_features))
    weights = reconstruction_weights(around)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    for neighbors, found in zip(around, weights, strict=True):
        gram = neighbors @ neighbors.T
        left = gram + RIDGE * np.trace(gram) / k * np.eye(k)
        solved = np.linalg.inv(left).sum(axis=1)
        np.testing.assert_allclose(found, solved / solved.sum(), rtol=1e-8, atol=1e-10)
    # A unit, or a rotation, of the inputs makes no difference.
    np.testing.assert_allclose(reconstruction_weights(7 * around), weights, rtol=1e-8)


# --- steps into the neighborhood ----------------------------------------------------------


@pytest.mark.parametrize("anchors", [np.arange(40), np.arange(1, 40, 3)], ids=["all", "some"])
@pytest.mark.parametrize(
    ("n_features", "n_steps"), [(4, 1), (4, 3), (4, 8), (16, 2), (60, 2), (60, 20)]
)
def test_steps_are_differences_of_residuals_in_a_unit_of_their_own(
    anchors, n_features, n_steps, rng
):
    X = rng.normal(size=(40, n_features))
    hood = neighborhood(X, anchors, n_steps)
    unit = np.median(distances_to_others(X)[anchors].min(axis=1))
    assert hood.distance == pytest.approx(unit)
    candidates = {}
    for k in N_NEIGHBORS:
        residuals, neighbors = residuals_by_definition(X, k)
        np.testing.assert_array_equal(neighbors[anchors], hood.neighbors[:, :k])
        # One for each neighbor; or for some, evenly spaced from the nearest to the farthest.
        chosen = neighbors[anchors][:, evenly(k, n_steps)]
        steps = residuals[chosen] - residuals[anchors][:, None]
        length = np.median(np.linalg.norm(steps, axis=2))
        candidates[abs(np.log(unit / length))] = steps / length
    # The number of neighbors is the one whose residuals have to be stretched the least.
    expected = candidates[min(candidates)]
    assert hood.steps.shape == expected.shape
    assert hood.steps.dtype == np.float32
    np.testing.assert_allclose(hood.steps, expected, rtol=1e-4, atol=1e-5)


def test_their_median_length_is_one_beside_the_distance_of_nearest_neighbors(digits):
    X = np.unique(digits[0], axis=0)
    for anchors in (np.arange(len(X)), np.arange(0, len(X), 2)):
        hood = neighborhood(X, anchors)
        nearest = distances_to_others(X)[anchors].min(axis=1)
        assert hood.distance == pytest.approx(np.median(nearest))
        assert np.median(lengths(hood)) == pytest.approx(1, rel=1e-5)
        np.testing.assert_array_equal(hood.anchors, anchors)


def test_every_step_comes_from_one_of_the_nearest_neighbors(rng):
    """Also where the number of neighbors is settled on a part of the anchors."""
    X = rng.normal(size=(N_PILOT + 50, 3))
    hood = neighborhood(X, n_steps=4)
    worst = []
    for k in N_NEIGHBORS:
        residuals, neighbors = residuals_by_definition(X, k)
        steps = residuals[neighbors[:, evenly(k, 4)]] - residuals[:, None]
        if steps.shape == hood.steps.shape:
            steps /= np.median(np.linalg.norm(steps, axis=2))
            worst.append(np.abs(steps - hood.steps).max())
    assert min(worst) < 1e-4


def test_there_are_no_more_steps_than_asked_for_and_than_neighbors(rng):
    X = rng.normal(size=(50, 3))
    for n_steps in (1, 2, 3, 16, 100):
        steps = neighborhood(X, n_steps=n_steps).steps
        assert 1 <= steps.shape[1] <= min(n_steps, N_NEIGHBORS[-1])
    assert steps.shape[1] in N_NEIGHBORS


def test_nothing_is_left_to_chance(rng):
    X = rng.normal(size=(60, 3))
    state = np.random.get_state()[1].copy()
    one, two = neighborhood(X), neighborhood(X)
    np.testing.assert_array_equal(one.steps, two.steps)
    np.testing.assert_array_equal(np.random.get_state()[1], state)
    order = rng.permutation(60)
    other = neighborhood(X[order])
    np.testing.assert_allclose(other.steps, one.steps[order], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(order[other.neighbors], one.neighbors[order])
    assert other.distance == pytest.approx(one.distance)
    assert other.spread == pytest.approx(one.spread)


@given(st.integers(5, 40), st.integers(2, 5), st.integers(0, 99))
@settings(max_examples=30)
def test_steps_turn_with_the_axes_of_the_data_and_know_neither_unit_nor_origin(n, d, seed):
    random = np.random.default_rng(seed)
    X = random.normal(size=(n, d))
    hood = neighborhood(X)
    close = {"rtol": 1e-3, "atol": 1e-3}
    scaled = neighborhood(20 * X)
    np.testing.assert_allclose(scaled.steps, hood.steps, **close)
    assert scaled.distance == pytest.approx(20 * hood.distance)
    assert scaled.spread == pytest.approx(20 * hood.spread)
    moved = neighborhood(X + random.normal(size=d))
    np.testing.assert_allclose(moved.steps, hood.steps, **close)
    assert moved.distance == pytest.approx(hood.distance)
    rotation, _ = np.linalg.qr(random.normal(size=(d, d)))
    turned = neighborhood(X @ rotation)
    np.testing.assert_allclose(turned.steps, hood.steps @ rotation, **close)
    assert turned.distance == pytest.approx(hood.distance)


@given(st.integers(2, 7), st.integers(1, 3), st.integers(0, 99), st.integers(1, 4))
def test_few_samples_have_neighborhoods_too(n, d, seed, n_steps):
    X = np.random.default_rng(seed).normal(size=(n, d))
    hood = neighborhood(X, n_steps=n_steps)
    assert hood.steps.shape[0] == n
    assert 1 <= hood.steps.shape[1] <= min(n_steps, n - 1)
    assert np.isfinite(hood.steps).all()
    assert ((hood.neighbors >= 0).sum(axis=1) == n - 1).all()
    assert np.median(lengths(hood)) == pytest.approx(1, rel=1e-4)


def test_two_samples_change_places():
    X = np.array([[0.0, 0.0], [3.0, 4.0]])
    hood = neighborhood(X, n_steps=1)
    assert hood.distance == hood.spread == 5
    np.testing.assert_allclose(5 * hood.steps[:, 0], [[3, 4], [-3, -4]], rtol=1e-6)


def test_features_that_are_constant_stay_so(rng):
    X = rng.normal(size=(40, 4))
    X[:, 1], X[:, 3] = 0.0, 7.0
    steps = neighborhood(X).steps
    np.testing.assert_allclose(steps[..., [1, 3]], 0, atol=1e-6)
    alone = neighborhood(X[:, [0, 2]]).steps
    np.testing.assert_allclose(steps[..., [0, 2]], alone, rtol=1e-4, atol=1e-5)


def test_data_of_one_dimension(rng):
    for X in (rng.normal(size=(50, 1)), np.arange(50.0)[:, None] ** 2):
        hood = neighborhood(X)
        assert np.isfinite(hood.steps).all()
        assert np.median(lengths(hood)) == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("unit", [1.0, 0.1])
def test_on_a_regular_grid_steps_have_their_length(unit):
    """Some numbers of neighbors reconstruct nearly every sample there, and leave nothing."""
    side = unit * np.arange(12)
    X = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    hood = neighborhood(X)
    assert hood.distance == pytest.approx(unit)
    assert np.median(lengths(hood)) == pytest.approx(1, rel=1e-4)
    assert lengths(hood).max() < 10


@pytest.mark.parametrize("make", [scipy.sparse.csr_array, scipy.sparse.csr_matrix])
def test_sparse_data_have_the_same_steps(make, rng):
    X = rng.normal(size=(60, 8)) * (rng.random((60, 8)) < 0.7)
    dense, sparse = neighborhood(X), neighborhood(make(X))
    np.testing.assert_array_equal(sparse.neighbors, dense.neighbors)
    np.testing.assert_allclose(sparse.steps, dense.steps, rtol=1e-4, atol=1e-5)
    assert sparse.distance == pytest.approx(dense.distance)
    assert sparse.spread == pytest.approx(dense.spread)


@pytest.mark.parametrize("make", [np.asarray, scipy.sparse.csr_array])
def test_steps_do_not_depend_on_how_samples_are_streamed(make, rng, monkeypatch):
    data = make(rng.normal(size=(500, 3)))
    anchors = np.arange(0, 500, 2)
    whole = neighborhood(data, anchors)
    asked = []

    def rows(index):
        if isinstance(index, slice):
            asked.append(index.stop - index.start)
        return data[index]

    monkeypatch.setattr("margin_sklearn.neighborhoods.neighbors.MAX_DISTANCES", 1)
    for where in ("neighbors", "residual_steps"):
        monkeypatch.setattr(
            f"margin_sklearn.neighborhoods.{where}.chunk_length", lambda *_, **__: 70
        )
    streamed = local_neighborhood(rows, 500, anchors, 2)
    assert 1 < max(asked) <= 70
    np.testing.assert_array_equal(streamed.neighbors, whole.neighbors)
    np.testing.assert_allclose(streamed.steps, whole.steps, rtol=1e-4, atol=1e-5)
    assert streamed.distance == pytest.approx(whole.distance)
    assert streamed.spread == pytest.approx(whole.spread)


def test_of_neighbors_that_are_known_none_is_looked_for_again(rng, monkeypatch):
    asked = []
    search = module.nearest_neighbors

    def counted(rows, n_rows, positions, n_neighbors):
        asked.extend(positions)
        return search(rows, n_rows, positions, n_neighbors)

    monkeypatch.setattr(module, "nearest_neighbors", counted)
    neighborhood(rng.normal(size=(400, 3)), np.arange(0, 400, 3))
    assert len(asked) == len(set(asked))


@pytest.mark.parametrize("n_anchors", [40, 60, 90])
def test_many_anchors_exchange_residuals_among_themselves(n_anchors, rng, monkeypatch):
    X, asked = rng.normal(size=(100, 3)), []
    search = module.nearest_neighbors

    def counted(rows, n_rows, positions, n_neighbors):
        asked.extend(positions)
        return search(rows, n_rows, positions, n_neighbors)

    monkeypatch.setattr(module, "nearest_neighbors", counted)
    anchors = np.sort(rng.permutation(100)[:n_anchors])
    few = neighborhood(X, anchors)
    n_few = len(asked)
    asked.clear()
    monkeypatch.setattr(module, "N_DONORS", 10)
    many = neighborhood(X, anchors)
    assert n_anchors <= len(asked) < n_few
    assert len(asked) < n_anchors + 3
    # Neighbors, from which all is reconstructed, are those among all samples.
    np.testing.assert_array_equal(many.neighbors, few.neighbors)
    assert many.distance == few.distance
    assert np.median(lengths(many)) == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize("d", [1, 2, 5, 10])
def test_the_distance_to_neighbors_among_more_samples_is_foreseen(d, rng):
    X = rng.normal(size=(4000, d))
    near, _ = module.nearest_neighbors(X[:1000].__getitem__, 1000, np.arange(1000), 16)
    among_all = np.median(distances_to_others(X).min(axis=1))
    found = np.median(near[:, 0]) * module.denser(near, 1000, 4000)
    assert found == pytest.approx(among_all, rel=0.15)
    assert module.denser(near, 1000, 1000) == 1
    # Nothing is known of the dimension of a grid, or of very few samples.
    assert module.denser(np.ones((5, 16)), 10, 20) == 1
    assert module.denser(np.ones((5, 1)), 10, 20) == 1


@pytest.mark.parametrize("n_dimensions", [1, 2])
def test_steps_stay_in_the_subspace_of_the_data(n_dimensions, rng):
    basis, _ = np.linalg.qr(rng.normal(size=(10, n_dimensions)))
    inside = rng.normal(size=(80, n_dimensions))
    hood = neighborhood(inside @ basis.T + rng.normal(size=10))
    outside = hood.steps - hood.steps @ basis @ basis.T
    assert np.abs(outside).max() < 1e-5
    coordinates = neighborhood(inside).steps
    np.testing.assert_allclose(hood.steps @ basis, coordinates, rtol=1e-3, atol=1e-4)
