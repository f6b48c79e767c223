import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from sklearn.datasets import load_digits, load_iris

from margin_sklearn.adapters.network import Network
from margin_sklearn.neighborhoods import distinct as module
from margin_sklearn.neighborhoods.distinct import distinct_rows, evenly, median_distance
from margin_sklearn.neighborhoods.prepared_rows import PreparedRows

NETWORK = Network(torch.nn.Identity(), lambda rows: rows, np.asarray, torch.float64)


def distinct(X):
    return distinct_rows(PreparedRows(NETWORK, X))


def content(rows):
    found = rows.rows(slice(0, len(rows)))
    return found.toarray() if scipy.sparse.issparse(found) else found


def assert_same_groups(found, expected):
    """Whatever the numbers of the groups are."""
    _, found = np.unique(found, return_inverse=True)
    _, first = np.unique(expected, return_index=True)
    _, expected = np.unique(expected, return_inverse=True)
    assert len(set(found[first])) == len(first)
    np.testing.assert_array_equal(found, found[first][expected])


def jittered(X, k, size, rng):
    group = np.repeat(np.arange(len(X)), k)
    return X[group] + size * rng.normal(size=(len(group), X.shape[1])), group


# --- order and repetition -----------------------------------------------------------------


@given(
    n=st.integers(1, 120),
    width=st.integers(1, 5),
    whole_numbers=st.booleans(),
    copied=st.booleans(),
    sparse=st.booleans(),
    seed=st.integers(0, 999),
)
@settings(max_examples=60)
def test_neither_order_nor_repetition_changes_a_bit(
    n, width, whole_numbers, copied, sparse, seed
):
    """Also where distances from the mean are equal, as on a grid."""
    random = np.random.default_rng(seed)
    X = 3 * random.normal(size=(n, width)) + 1
    if whole_numbers:
        X = X.round()
    if copied:
        X = np.concatenate([X, X + 1e-4 * random.normal(size=X.shape)])
    many = random.permutation(np.repeat(X, random.integers(1, 5, len(X)), axis=0))
    form = scipy.sparse.csr_array if sparse else np.asarray
    one, other = distinct(form(X)), distinct(form(many))
    np.testing.assert_array_equal(content(other), content(one))
    # What stands for a group is in it.
    np.testing.assert_array_equal(other.group[other.first], np.arange(len(other)))


def test_sparse_is_dense(rng):
    X = rng.normal(size=(100, 6)) * (rng.random((100, 6)) < 0.4)
    X = np.c_[np.repeat(X, 2, axis=0), np.full(200, 1e6)]
    dense = distinct(X)
    for form in (scipy.sparse.csr_array, scipy.sparse.csc_matrix):
        sparse = distinct(form(X))
        np.testing.assert_array_equal(sparse.first, dense.first)
        np.testing.assert_array_equal(sparse.group, dense.group)
        np.testing.assert_allclose(content(sparse), content(dense), atol=1e-12)
        assert (sparse.n_exact, sparse.n_near) == (dense.n_exact, dense.n_near)


def test_rows_come_in_the_order_of_their_distance_from_the_mean(rng):
    X = rng.normal(size=(80, 4)) + 5
    found = distinct(np.repeat(X, 3, axis=0))
    away = np.linalg.norm(X - X.mean(axis=0), axis=1)
    np.testing.assert_array_equal(found.first // 3, np.argsort(away))


def test_the_rows_are_those_of_the_samples(rng):
    X = rng.normal(size=(50, 3))
    prepared = PreparedRows(NETWORK, X)
    found = distinct_rows(prepared)
    everything = prepared(slice(0, 50))
    np.testing.assert_array_equal(content(found), everything[found.first])
    index = np.array([4, 0, 30])
    np.testing.assert_array_equal(found.rows(index), everything[found.first[index]])


# --- exact copies -------------------------------------------------------------------------


@pytest.mark.parametrize("k", [2, 20, 50])
@pytest.mark.parametrize("load", [load_iris, load_digits])
def test_exact_copies_of_any_number(k, load):
    X = load(return_X_y=True)[0][:300]
    _, group = np.unique(X, axis=0, return_inverse=True)
    found = distinct(np.repeat(X, k, axis=0))
    assert_same_groups(found.group[::k], group)
    assert_same_groups(found.group, np.repeat(group, k))
    assert len(found) == group.max() + 1
    assert found.n_exact == k * len(X) - len(found)
    assert found.n_near == 0


def test_one_group_may_be_far_larger_than_all_others(rng):
    X = np.concatenate([np.zeros((500, 3)), rng.normal(size=(40, 3)) + 2])
    found = distinct(rng.permutation(X))
    assert len(found) == 41
    assert sorted(np.bincount(found.group)) == [1] * 40 + [500]


@pytest.mark.parametrize("X", [np.ones((1, 2)), np.ones((7, 2)), np.zeros((300, 3))])
def test_samples_that_are_all_equal_are_one(X):
    found = distinct(X)
    assert len(found) == 1
    np.testing.assert_array_equal(found.group, 0)
    assert found.n_exact == len(X) - 1


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_few_samples_are_themselves(n, rng):
    found = distinct(rng.normal(size=(n, 2)))
    np.testing.assert_array_equal(np.sort(found.group), np.arange(n))
    assert found.n_exact == found.n_near == 0


# --- near copies --------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1e-3, 0.05])
@pytest.mark.parametrize("k", [2, 5, 20])
def test_near_copies(k, size, rng):
    X, group = jittered(rng.normal(size=(100, 10)), k, size, rng)
    order = rng.permutation(len(X))
    found = distinct(X[order])
    assert_same_groups(found.group, group[order])
    assert len(found) == 100
    assert (found.n_exact, found.n_near) == (0, len(X) - 100)


def test_exact_copies_of_near_copies(rng):
    X, group = jittered(rng.normal(size=(100, 8)), 3, 1e-3, rng)
    found = distinct(np.repeat(X, 20, axis=0))
    assert_same_groups(found.group, np.repeat(group, 20))
    assert (found.n_exact, found.n_near) == (300 * 19, 200)


def test_jitter_of_two_sizes(rng):
    """Videos of repeated experiments: each group of copies has groups in it."""
    inner, group = jittered(rng.normal(size=(60, 8)), 3, 0.03, rng)
    X, frame = jittered(inner, 4, 1e-5, rng)
    assert_same_groups(distinct(X).group, group[frame])


def test_rounding_makes_no_other_rows(rng):
    X = rng.normal(size=(30, 4))
    both = np.concatenate([X, np.float32(X).astype(float)])
    found = distinct(both)
    assert_same_groups(found.group, np.tile(np.arange(30), 2))
    # However few there are.
    assert len(distinct(both[[0, 1, 2, 30]])) == 3


@pytest.mark.parametrize("far", [1e9, 1e200])
def test_a_row_far_off_hides_no_copies_and_makes_none(far, rng):
    X, group = jittered(rng.normal(size=(100, 5)), 2, 1e-3, rng)
    X[17, 3] = far
    group[17] = 100
    assert_same_groups(distinct(X).group, group)
    plain = rng.normal(size=(200, 5))
    plain[17, 3] = far
    assert len(distinct(plain)) == 200


def test_an_unbalanced_class_oversampled(rng):
    X = rng.normal(size=(300, 6))
    found = distinct(np.concatenate([X, np.repeat(X[:6], 49, axis=0)]))
    assert len(found) == 300
    assert found.n_exact == 6 * 49


def test_of_very_many_rows_with_near_copies_some_are_left_out(rng, monkeypatch):
    monkeypatch.setattr(module, "MOST_ROWS", 600)
    X, group = jittered(rng.normal(size=(400, 8)), 3, 1e-3, rng)
    found = distinct(X)
    known = found.group >= 0
    assert known.sum() == 600
    assert_same_groups(found.group[known], group[known])
    np.testing.assert_array_equal(found.group[found.first], np.arange(len(found)))
    # Two of three are copies, though many of them were left out with what they are copies of.
    assert found.n_near == pytest.approx(800, rel=0.1)


def test_where_there_are_no_copies_none_is_left_out(rng, monkeypatch):
    """Also where it has to be looked at closely: few tight clusters."""
    monkeypatch.setattr(module, "MOST_ROWS", 400)
    X, _ = jittered(rng.normal(size=(15, 6)), 40, 1e-3, rng)
    found = distinct(X)
    assert len(found) == 600
    assert found.n_near == 0


# --- helpers ------------------------------------------------------------------------------


@given(st.integers(1, 500), st.integers(1, 600))
def test_positions_are_evenly_spaced(n, size):
    found = evenly(n, size)
    assert len(found) == min(n, size)
    assert found.min() >= 0
    assert found.max() < n
    gaps = np.diff(found)
    assert len(gaps) == 0 or gaps.min() >= 1
    assert len(gaps) == 0 or gaps.max() - gaps.min() <= 1
    # From the middle, so that both ends are as far away.
    assert abs(found[0] - (n - 1 - found[-1])) <= 1


def test_the_median_distance_of_two_rows(rng):
    X = rng.normal(size=(31, 4))
    assert median_distance(X) == pytest.approx(np.median(pdist(X)))
    assert median_distance(scipy.sparse.csr_array(X)) == pytest.approx(np.median(pdist(X)))
    assert median_distance(X[:1]) == 0
