import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from margin_sklearn.neighborhoods import neighbors
from margin_sklearn.neighborhoods.neighbors import N_SPARE, nearest_neighbors, row_distances

FORMS = [np.asarray, scipy.sparse.csr_array]


def as_rows(X):
    return X.__getitem__


def by_definition(X, positions, n_neighbors):
    """From all distances of differences; equal ones in the order of the positions."""
    between = cdist(X[positions], X)
    between[np.arange(len(positions)), positions] = np.inf
    index = np.argsort(between, axis=1, kind="stable")[:, :n_neighbors]
    distance = np.take_along_axis(between, index, axis=1)
    missing = max(0, n_neighbors - index.shape[1])
    distance = np.pad(distance, ((0, 0), (0, missing)), constant_values=np.inf)
    index = np.pad(index, ((0, 0), (0, missing)), constant_values=-1)
    index[np.isinf(distance)] = -1
    return distance, index


def assert_nearest(found, X, positions, n_neighbors):
    distance, index = by_definition(X, positions, n_neighbors)
    np.testing.assert_allclose(found[0], distance, rtol=1e-12)
    np.testing.assert_array_equal(found[1], index)


@given(
    n=st.integers(1, 150),
    wanted=st.integers(1, 20),
    width=st.integers(1, 5),
    offset=st.sampled_from([0.0, 1.0, 1e4]),
    sparse=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(max_examples=60)
def test_neighbors_are_those_of_brute_force(n, wanted, width, offset, sparse, seed):
    random = np.random.default_rng(seed)
    X = random.normal(size=(n, width)) + offset
    positions = np.flatnonzero(random.random(n) < 0.6)
    if len(positions) == 0:
        positions = np.arange(n)
    data = scipy.sparse.csr_array(X) if sparse else X
    found = nearest_neighbors(as_rows(data), n, positions, wanted)
    assert_nearest(found, X, positions, wanted)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("limit", [1, 10_000])
def test_however_the_samples_are_cut(form, limit, rng, monkeypatch):
    X = rng.normal(size=(500, 3))
    data, asked = form(X), []

    def rows(index):
        if isinstance(index, slice):
            asked.append(index.stop - index.start)
        return data[index]

    monkeypatch.setattr(neighbors, "MAX_DISTANCES", limit)
    monkeypatch.setattr(neighbors, "chunk_length", lambda *_, **__: 70)
    positions = np.arange(1, 500, 7)
    assert_nearest(nearest_neighbors(rows, 500, positions, 9), X, positions, 9)
    assert len(asked) > 5
    assert max(asked) <= 70


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("at", [1e4, 1e9, 1e15])
def test_sentinel_values_hide_nothing(form, at, rng):
    """Half of the rows far off: the squares of their norms have no room for distances."""
    # Steps of 1/8, which every row has room for.
    X = (rng.normal(size=(200, 4)) * 8).round() / 8 + rng.integers(0, 100, (200, 1))
    X[::2, 0] = at
    positions = np.arange(200)
    assert_nearest(nearest_neighbors(as_rows(form(X)), 200, positions, 5), X, positions, 5)


def test_a_cell_far_off_changes_the_neighbors_of_no_other_row(rng):
    X = rng.normal(size=(100, 3))
    X[50] = 1e3
    before = nearest_neighbors(as_rows(X), 100, np.arange(50), 4)
    X[50, 1] = 1e12
    after = nearest_neighbors(as_rows(X), 100, np.arange(50), 4)
    np.testing.assert_array_equal(after[0], before[0])
    np.testing.assert_array_equal(after[1], before[1])


@pytest.mark.parametrize("factor", [1e-150, 1e-20, 1e20, 1e150])
def test_distances_grow_with_the_unit(factor, rng):
    X = rng.normal(size=(60, 3))
    one = nearest_neighbors(as_rows(X), 60, np.arange(60), 3)
    other = nearest_neighbors(as_rows(factor * X), 60, np.arange(60), 3)
    np.testing.assert_allclose(other[0] / factor, one[0], rtol=1e-9)
    np.testing.assert_array_equal(other[1], one[1])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("n_bits", [5, 10, 12])
def test_of_equal_distances_any_will_do_but_always_the_same(form, n_bits, rng):
    """Of all binary words, those that differ in one bit are all equally near."""
    words = (np.arange(2**n_bits)[:, None] >> np.arange(n_bits)) & 1
    X = rng.permutation(words.astype(float))
    positions = np.arange(0, len(X), max(1, len(X) // 100))
    distance, index = nearest_neighbors(as_rows(form(X)), len(X), positions, 3)
    np.testing.assert_array_equal(distance, 1)
    np.testing.assert_array_equal(np.abs(X[index] - X[positions][:, None]).sum(axis=2), 1)
    again = nearest_neighbors(as_rows(form(X)), len(X), positions, 3)
    np.testing.assert_array_equal(again[1], index)
    # Not all of them to one side, as the first ones are.
    assert abs(np.mean(index > positions[:, None]) - 0.5) < 0.2


@given(n=st.integers(2, 60), different=st.integers(1, 5), seed=st.integers(0, 99))
@settings(max_examples=30)
def test_copies_are_neighbors_at_distance_zero(n, different, seed):
    """Whoever wants none has to merge them first."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(different, 2))[random.integers(0, different, n)] + 3
    distance, index = nearest_neighbors(as_rows(X), n, np.arange(n), 1)
    alike = np.array([np.count_nonzero((x == X).all(axis=1)) > 1 for x in X])
    np.testing.assert_array_equal(distance[:, 0] == 0, alike)
    assert (index[:, 0] != np.arange(n)).all()


def test_where_there_are_fewer_neighbors_they_are_minus_one_at_infinity(rng):
    X = rng.normal(size=(3, 2))
    distance, index = nearest_neighbors(as_rows(X), 3, np.arange(3), 5)
    assert np.isfinite(distance[:, :2]).all()
    assert np.isinf(distance[:, 2:]).all()
    assert (index[:, 2:] == -1).all()
    assert not (index == np.arange(3)[:, None]).any()


def test_arguments_are_left_as_they_were(rng):
    X, positions = rng.normal(size=(40, 3)), np.arange(0, 40, 2)
    before = X.copy(), positions.copy()
    nearest_neighbors(as_rows(X), 40, positions, 39 - N_SPARE)
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(positions, before[1])


@pytest.mark.parametrize("form", FORMS)
def test_the_distance_of_two_rows_is_that_of_their_difference(form):
    a = np.array([[1e9, 0.0], [1e-9, 1.0], [3.0, 4.0]])
    b = np.array([[1e9 + 2, 0.0], [0.0, 1.0], [0.0, 0.0]])
    np.testing.assert_allclose(row_distances(form(a), form(b)), [2, 1e-9, 5], rtol=1e-12)
