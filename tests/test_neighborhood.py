import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from margin_sklearn.neighborhood import (
    N_COPIES,
    N_NEIGHBORS,
    N_PILOT,
    RIDGE,
    local_neighborhood,
    nearest_neighbors,
    neighbor_distance,
    reconstruction_weights,
)


def pieces(X, step):
    return ((start, X[start : start + step]) for start in range(0, X.shape[0], step))


def neighborhood(X, anchors=None, n_draws=2, random_state=0):
    anchors = np.arange(X.shape[0]) if anchors is None else anchors
    return local_neighborhood(X.__getitem__, X.shape[0], anchors, n_draws, random_state)


def lengths(hood):
    return np.linalg.norm(hood.steps, axis=2)


def distances_to_others(X):
    """All distances; infinite to the sample itself and to its copies."""
    gaps = cdist(X, X)
    gaps[gaps <= 1e-6 * np.linalg.norm(X, axis=1)[:, None]] = np.inf
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


# --- the distance between neighbors -------------------------------------------------------


@given(st.integers(3, 40), st.integers(1, 50), st.integers(0, 99), st.booleans())
def test_it_is_the_median_distance_to_the_nearest_other_sample(n, step, seed, sparse):
    X = np.random.default_rng(seed).normal(size=(n, 3))
    anchors = np.arange(0, n, 2)
    distance, _ = NearestNeighbors(n_neighbors=2).fit(X).kneighbors(X[anchors])
    data = scipy.sparse.csr_array(X) if sparse else X
    found = neighbor_distance(data[anchors], anchors, pieces(data, step))
    assert found == pytest.approx(np.median(distance[:, 1]))


@pytest.mark.parametrize("make", [np.asarray, scipy.sparse.csr_array])
def test_any_number_of_copies(make, rng):
    X = rng.normal(size=(5, 3))
    expected = neighbor_distance(X, np.arange(5), pieces(X, 5))
    many = make(np.tile(X, (30, 1)))
    index = np.arange(150)
    assert neighbor_distance(many, index, pieces(many, 150)) == pytest.approx(expected)


def test_duplicates_are_left_out(rng):
    X = rng.normal(size=(20, 4)) + 100
    doubled = np.concatenate([X, X])
    with_copies = neighbor_distance(doubled, np.arange(40), pieces(doubled, 7))
    assert with_copies == pytest.approx(neighbor_distance(X, np.arange(20), pieces(X, 7)))


@pytest.mark.parametrize("X", [np.ones((5, 2)), np.ones((1, 2)), np.zeros((4, 2))])
def test_samples_that_are_all_equal_have_no_distance(X):
    with pytest.raises(ValueError, match="floor=None"):
        neighbor_distance(X, np.arange(len(X)), pieces(X, 2))


def test_it_grows_with_the_unit_of_the_data(rng):
    X = rng.normal(size=(30, 2))
    one = neighbor_distance(X, np.arange(30), pieces(X, 30))
    assert neighbor_distance(7 * X, np.arange(30), pieces(7 * X, 30)) == pytest.approx(7 * one)


# --- nearest neighbors --------------------------------------------------------------------


def assert_nearest(X, anchors, distance, index):
    """Sorted distances of other samples, and the positions that have them."""
    gaps = distances_to_others(X)[anchors]
    expected = np.full(distance.shape, np.inf)
    width = min(gaps.shape[1], distance.shape[1])
    expected[:, :width] = np.sort(gaps, axis=1)[:, :width]
    np.testing.assert_allclose(distance, expected, rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(index == -1, np.isinf(expected))
    # Ties may come in any order, but a position has the distance that stands beside it,
    found = np.where(
        index >= 0, np.take_along_axis(gaps, np.maximum(index, 0), axis=1), np.inf
    )
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
    # and stands there once.
    assert all(len(set(row[row >= 0])) == (row >= 0).sum() for row in index)


@given(
    n=st.integers(2, 40),
    step=st.integers(1, 50),
    wanted=st.integers(1, 6),
    seed=st.integers(0, 99),
    sparse=st.booleans(),
)
def test_neighbors_are_those_of_brute_force_however_the_samples_are_cut(
    n, step, wanted, seed, sparse
):
    X = np.random.default_rng(seed).normal(size=(n, 3))
    data = scipy.sparse.csr_array(X) if sparse else X
    anchors = np.arange(0, n, 2)
    found = nearest_neighbors(data[anchors], anchors, pieces(data, step), wanted)
    assert_nearest(X, anchors, *found)


@given(
    n=st.integers(2, 70),
    different=st.integers(1, 5),
    step=st.integers(1, 80),
    wanted=st.integers(1, 4),
    seed=st.integers(0, 99),
    sparse=st.booleans(),
)
def test_copies_are_no_neighbors_however_many_and_wherever(
    n, different, step, wanted, seed, sparse
):
    random = np.random.default_rng(seed)
    X = random.normal(size=(different, 2))[random.integers(0, different, n)]
    data = scipy.sparse.csr_array(X) if sparse else X
    anchors = np.arange(n)
    found = nearest_neighbors(data, anchors, pieces(data, step), wanted)
    assert_nearest(X, anchors, *found)


@pytest.mark.parametrize("step", [7, 10 * N_COPIES, 1000])
@pytest.mark.parametrize("make", [np.asarray, scipy.sparse.csr_array])
def test_a_sample_with_far_more_copies_than_are_allowed_for_has_its_neighbors(make, step, rng):
    others = rng.normal(size=(5, 3)) + 3
    X = np.concatenate([others[:2], np.zeros((10 * N_COPIES, 3)), others[2:]])
    data = make(X)
    anchors = np.arange(len(X))
    distance, index = nearest_neighbors(data, anchors, pieces(data, step), 4)
    assert_nearest(X, anchors, distance, index)
    assert set(index[2:-3].ravel()) <= {0, 1, *range(len(X) - 3, len(X))}


def test_where_there_are_fewer_neighbors_they_are_minus_one_at_infinity(rng):
    X = rng.normal(size=(3, 2))
    distance, index = nearest_neighbors(X, np.arange(3), pieces(X, 2), 5)
    assert np.isfinite(distance[:, :2]).all()
    assert np.isinf(distance[:, 2:]).all()
    assert (index[:, 2:] == -1).all()
    assert not (index == np.arange(3)[:, None]).any()


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
@pytest.mark.parametrize(("n_features", "n_draws"), [(4, 1), (4, 3), (16, 2), (60, 2)])
def test_steps_are_differences_of_residuals_in_a_unit_of_their_own(
    anchors, n_features, n_draws, rng
):
    X = rng.normal(size=(40, n_features))
    hood = neighborhood(X, anchors, n_draws, random_state=5)
    assert hood.steps.shape == (len(anchors), n_draws, n_features)
    unit = np.median(distances_to_others(X)[anchors].min(axis=1))
    assert hood.distance == pytest.approx(unit)
    draws = np.random.RandomState(5).random_sample((len(anchors), n_draws))
    candidates = {}
    for k in N_NEIGHBORS:
        residuals, neighbors = residuals_by_definition(X, k)
        np.testing.assert_array_equal(neighbors[anchors], hood.neighbors[:, :k])
        drawn = np.take_along_axis(neighbors[anchors], (draws * k).astype(int), axis=1)
        steps = residuals[drawn] - residuals[anchors][:, None]
        factor = unit / np.median(np.linalg.norm(steps, axis=2))
        candidates[abs(np.log(factor))] = factor * steps
    # The number of neighbors is the one whose residuals have to be stretched the least.
    np.testing.assert_allclose(hood.steps, candidates[min(candidates)], rtol=1e-4, atol=1e-5)


def test_the_median_step_is_as_long_as_the_median_distance_of_nearest_neighbors(digits):
    X, _ = digits
    for anchors in (np.arange(len(X)), np.arange(0, len(X), 2)):
        hood = neighborhood(X, anchors)
        nearest = distances_to_others(X)[anchors].min(axis=1)
        assert hood.distance == pytest.approx(np.median(nearest))
        assert np.median(lengths(hood)) == pytest.approx(hood.distance, rel=1e-5)
        np.testing.assert_array_equal(hood.anchors, anchors)


def test_every_step_comes_from_one_of_the_nearest_neighbors(rng):
    """Also where the number of neighbors is settled on a part of the anchors."""
    X = rng.normal(size=(N_PILOT + 50, 3))
    hood = neighborhood(X, np.arange(0, len(X)))
    worst = {}
    for k in N_NEIGHBORS:
        residuals, neighbors = residuals_by_definition(X, k)
        possible = residuals[neighbors] - residuals[:, None]
        # One factor for all: compared are directions and relative lengths.
        unit = hood.steps / np.median(lengths(hood))
        for scale in np.linalg.norm(possible[0], axis=1) / np.linalg.norm(unit[0, 0]):
            gaps = np.linalg.norm(possible[:, None] / scale - unit[:, :, None], axis=3)
            worst[k, scale] = gaps.min(axis=2).max()
    assert min(worst.values()) < 1e-4


def test_the_same_random_state_gives_the_same_steps(rng):
    X = rng.normal(size=(30, 3))
    one, two = neighborhood(X, random_state=1), neighborhood(X, random_state=1)
    np.testing.assert_array_equal(one.steps, two.steps)
    other = neighborhood(X, random_state=2)
    assert (one.steps != other.steps).any()
    assert one.distance == other.distance
    state = np.random.RandomState(1)
    np.testing.assert_array_equal(neighborhood(X, random_state=state).steps, one.steps)


@given(st.integers(5, 40), st.integers(2, 5), st.integers(0, 99))
@settings(max_examples=30)
def test_steps_move_with_unit_and_axes_of_the_data_and_not_with_the_origin(n, d, seed):
    random = np.random.default_rng(seed)
    X = random.normal(size=(n, d))
    hood = neighborhood(X)
    close = {"rtol": 1e-3, "atol": 1e-3 * hood.distance}
    scaled = neighborhood(20 * X)
    np.testing.assert_allclose(scaled.steps / 20, hood.steps, **close)
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
def test_few_samples_have_neighborhoods_too(n, d, seed, n_draws):
    X = np.random.default_rng(seed).normal(size=(n, d))
    hood = neighborhood(X, n_draws=n_draws)
    assert hood.steps.shape == (n, n_draws, d)
    assert np.isfinite(hood.steps).all()
    assert ((hood.neighbors >= 0).sum(axis=1) == n - 1).all()
    assert np.median(lengths(hood)) == pytest.approx(hood.distance, rel=1e-4)


def test_two_samples_change_places():
    X = np.array([[0.0, 0.0], [3.0, 4.0]])
    hood = neighborhood(X, n_draws=1)
    assert hood.distance == hood.spread == 5
    np.testing.assert_allclose(np.sort(hood.steps[:, 0], axis=0), [[-3, -4], [3, 4]])


def test_features_that_are_constant_stay_so(rng):
    X = rng.normal(size=(40, 4))
    X[:, 1], X[:, 3] = 0.0, 7.0
    steps = neighborhood(X).steps
    np.testing.assert_allclose(steps[..., [1, 3]], 0, atol=1e-6)
    alone = neighborhood(X[:, [0, 2]]).steps
    np.testing.assert_allclose(steps[..., [0, 2]], alone, rtol=1e-4, atol=1e-5)


def test_copies_change_neither_the_distance_nor_the_length_of_steps(rng):
    X = rng.normal(size=(30, 3))
    once, many = neighborhood(X), neighborhood(np.tile(X, (20, 1)))
    assert many.distance == pytest.approx(once.distance)
    assert np.median(lengths(many)) == pytest.approx(once.distance, rel=1e-5)
    assert np.isfinite(many.steps).all()
    copies = many.neighbors % 30 == many.anchors[:, None] % 30
    assert not copies[many.neighbors >= 0].any()


def test_data_of_one_dimension(rng):
    for X in (rng.normal(size=(50, 1)), rng.integers(0, 2, size=(50, 1)).astype(float)):
        hood = neighborhood(X)
        assert np.isfinite(hood.steps).all()
        assert np.median(lengths(hood)) == pytest.approx(hood.distance, rel=1e-5)


@pytest.mark.parametrize("unit", [1.0, 0.1])
def test_on_a_regular_grid_steps_have_their_length(unit):
    """Some numbers of neighbors reconstruct nearly every sample there, and leave nothing."""
    side = unit * np.arange(12)
    X = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    hood = neighborhood(X)
    assert hood.distance == pytest.approx(unit)
    assert np.median(lengths(hood)) == pytest.approx(unit, rel=1e-4)
    assert lengths(hood).max() < 10 * unit


@pytest.mark.parametrize("make", [scipy.sparse.csr_array, scipy.sparse.csr_matrix])
def test_sparse_data_have_the_same_steps(make, rng):
    X = rng.normal(size=(60, 8)) * (rng.random((60, 8)) < 0.5)
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
        part = data[index]
        asked.append(part.shape[0])
        return part

    monkeypatch.setattr("margin_sklearn.neighborhood.MAX_DISTANCES", 1)
    monkeypatch.setattr("margin_sklearn.neighborhood.chunk_length", lambda *_, **__: 70)
    streamed = local_neighborhood(rows, 500, anchors)
    assert max(asked) < 500
    np.testing.assert_array_equal(streamed.neighbors, whole.neighbors)
    np.testing.assert_allclose(streamed.steps, whole.steps, rtol=1e-4, atol=1e-5)
    assert streamed.distance == pytest.approx(whole.distance)
    assert streamed.spread == pytest.approx(whole.spread)


@pytest.mark.parametrize("X", [np.ones((5, 2)), np.ones((1, 2)), np.zeros((300, 3))])
def test_samples_that_are_all_equal_have_no_neighborhood(X):
    with pytest.raises(ValueError, match="at='samples'"):
        neighborhood(X)


@pytest.mark.parametrize("n_dimensions", [1, 2])
def test_steps_stay_in_the_subspace_of_the_data(n_dimensions, rng):
    basis, _ = np.linalg.qr(rng.normal(size=(10, n_dimensions)))
    inside = rng.normal(size=(80, n_dimensions))
    hood = neighborhood(inside @ basis.T + rng.normal(size=10))
    outside = hood.steps - hood.steps @ basis @ basis.T
    assert np.abs(outside).max() < 1e-5 * hood.distance
    coordinates = neighborhood(inside).steps
    np.testing.assert_allclose(hood.steps @ basis, coordinates, rtol=1e-3, atol=1e-4)
