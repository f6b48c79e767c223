import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from margin_sklearn.neighborhood import neighbor_distance


def pieces(X, step):
    return ((start, X[start : start + step]) for start in range(0, X.shape[0], step))


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
