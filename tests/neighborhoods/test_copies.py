import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.datasets import (
    load_breast_cancer,
    load_digits,
    load_iris,
    load_wine,
    make_blobs,
    make_classification,
    make_moons,
    make_swiss_roll,
)
from sklearn.preprocessing import StandardScaler

from margin_sklearn.adapters.network import Network
from margin_sklearn.neighborhoods.copies import (
    copy_distance,
    group_equal,
    group_near,
    least_growth,
)
from margin_sklearn.neighborhoods.distinct import distinct_rows
from margin_sklearn.neighborhoods.neighbors import nearest_neighbors
from margin_sklearn.neighborhoods.prepared_rows import PreparedRows

PLAIN = Network(torch.nn.Identity(), np.asarray, np.asarray, torch.float64)


def neighbor_distances(X, n_neighbors=256):
    n = len(X)
    return nearest_neighbors(X.__getitem__, n, np.arange(n), min(n - 1, n_neighbors))[0]


def spread(X):
    return np.median(cdist(X, X)[np.triu_indices(len(X), 1)])


def distance_of(X):
    return copy_distance(neighbor_distances(X), spread(X))


def jittered(X, k, size, rng):
    """Each row k times, with noise of so many standard deviations; the group of each."""
    group = np.repeat(np.arange(len(X)), k)
    noise = size * X.std(axis=0) * rng.normal(size=(len(group), X.shape[1]))
    return X[group] + noise, group


# --- equal rows ---------------------------------------------------------------------------


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_groups_of_equal_keys(keys):
    keys = np.array(keys, dtype=np.uint64)
    first, group = group_equal(keys)
    np.testing.assert_array_equal(keys[first][group], keys)
    assert len(set(keys[first])) == len(first)
    for number, position in enumerate(first):
        assert position == np.flatnonzero(group == number).min()


# --- the distance below which rows are copies ---------------------------------------------


@pytest.mark.parametrize(
    ("k", "size"), [(2, 1e-3), (2, 0.05), (5, 1e-3), (5, 0.05), (20, 1e-3), (20, 0.03)]
)
def test_it_lies_between_the_jitter_and_other_rows(k, size, rng):
    X, group = jittered(rng.normal(size=(60, 8)), k, size, rng)
    between = cdist(X, X)
    same = group[:, None] == group
    assert np.quantile(between[same], 0.99) < distance_of(X)
    assert distance_of(X) < between[~same].min()


def test_of_several_gaps_it_is_the_widest(rng):
    """A pair of rows that is a little nearer than all others is no pair of copies."""
    pooled = np.r_[np.linspace(0.001, 0.01, 40), 0.6 * np.ones(6), np.linspace(1.1, 4, 200)]
    distance = copy_distance(rng.permutation(pooled).reshape(2, 123), spread=8.0)
    assert 0.01 < distance < 0.6


def test_it_is_found_where_only_some_rows_were_copied(rng):
    X = rng.normal(size=(300, 6))
    copies = X[:60] + 1e-3 * rng.normal(size=(60, 6))
    assert 1e-2 < distance_of(np.concatenate([X, copies])) < 0.5


@given(st.integers(0, 99), st.sampled_from([2.0**-300, 2.0**-5, 2.0**7, 2.0**300]))
@settings(max_examples=20)
def test_it_grows_with_the_unit(seed, unit):
    random = np.random.default_rng(seed)
    X, _ = jittered(random.normal(size=(50, 4)), 3, 1e-2, random)
    distances = neighbor_distances(X)
    found = copy_distance(distances, spread(X))
    assert found > 0
    assert copy_distance(unit * distances, unit * spread(X)) == pytest.approx(unit * found)


def test_distances_that_are_missing_do_not_count(rng):
    X, _ = jittered(rng.normal(size=(50, 4)), 2, 1e-3, rng)
    distances = neighbor_distances(X, 16)
    more = np.pad(distances, ((0, 0), (0, 20)), constant_values=np.inf)
    assert copy_distance(more, spread(X)) == copy_distance(distances, spread(X)) > 0
    assert copy_distance(np.full((1, 3), np.inf), 0.0) == 0


def test_what_only_rounding_tells_apart_are_copies_however_few(rng):
    X = rng.normal(size=(50, 4))
    X[7] = X[3] + 1e-12
    assert 1e-10 < distance_of(X) < 1e-4


def test_the_growth_is_that_of_the_number_within_half_as_much_again():
    """100 distances up to 1, none up to 3, then 100 more."""
    pooled = np.r_[np.linspace(0.01, 1, 100), np.linspace(3, 4, 100)]
    growth, distance = least_growth(pooled[None], spread=100.0)
    assert growth == 0
    assert distance == pytest.approx(3**0.5)
    # With 5 in the gap, a few per cent more.
    some = np.sort(np.r_[pooled, np.linspace(1.2, 2.8, 5)])
    growth, distance = least_growth(some[None], spread=100.0)
    assert 0 < growth <= 0.05
    # What is not below a quarter of the spread, or hardly there, makes no gap.
    assert least_growth(pooled[None], spread=1.0)[0] > 0.1
    assert least_growth(pooled[None, :40], spread=100.0) == (np.inf, 0.0)


# --- data without copies ------------------------------------------------------------------


def standardised(load):
    return StandardScaler().fit_transform(load(return_X_y=True)[0])


def grid(rng):
    side = np.arange(12.0)
    return np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)


def random_walk(rng):
    return rng.normal(size=(400, 6)).cumsum(axis=0)


def tight_cluster(rng):
    """One of many rows that differ little, among rows that differ more."""
    return np.concatenate([rng.normal(size=(200, 5)), 1e-3 * rng.normal(size=(60, 5)) + 1])


def categories(rng):
    return np.eye(5)[rng.integers(0, 5, (300, 8))].reshape(300, -1)


NO_COPIES = {
    "digits": lambda rng: standardised(load_digits),
    "wine": lambda rng: standardised(load_wine),
    "breast cancer": lambda rng: standardised(load_breast_cancer),
    "iris": lambda rng: standardised(load_iris),
    "digits as they are": lambda rng: load_digits(return_X_y=True)[0],
    "wine as it is": lambda rng: load_wine(return_X_y=True)[0],
    "breast cancer as it is": lambda rng: load_breast_cancer(return_X_y=True)[0],
    "iris as it is": lambda rng: load_iris(return_X_y=True)[0],
    "normal": lambda rng: rng.normal(size=(500, 10)),
    "one dimension": lambda rng: rng.normal(size=(300, 1)),
    "lognormal": lambda rng: np.exp(2 * rng.normal(size=(400, 4))),
    "cauchy": lambda rng: rng.standard_cauchy(size=(400, 3)),
    "classification": lambda rng: make_classification(400, 20, random_state=0)[0],
    "moons": lambda rng: make_moons(400, noise=0.1, random_state=0)[0],
    "swiss roll": lambda rng: make_swiss_roll(500, random_state=0)[0],
    "blobs": lambda rng: make_blobs(300, 5, centers=4, random_state=0)[0],
    "blobs far apart": lambda rng: make_blobs(
        300, 5, centers=10, cluster_std=0.01, random_state=0
    )[0],
    "tight cluster": tight_cluster,
    "grid": grid,
    "whole numbers": lambda rng: rng.integers(0, 10, (400, 4)).astype(float),
    "binary": lambda rng: rng.integers(0, 2, (400, 12)).astype(float),
    "rare bits": lambda rng: (rng.random((400, 60)) < 0.1).astype(float),
    "categories": categories,
    "walk": random_walk,
}


@pytest.mark.parametrize("make", NO_COPIES.values(), ids=NO_COPIES)
def test_ordinary_data_have_no_near_copies(make, rng):
    X = np.unique(make(rng), axis=0)
    distance = distance_of(X)
    assert distance == 0 or group_near(X.__getitem__, len(X), distance) is None


# --- groups of near copies ----------------------------------------------------------------


def groups_of(X, distance, **settings):
    return group_near(X.__getitem__, X.shape[0], distance, **settings)


def assert_same_groups(found, expected):
    """Whatever the numbers of the groups are."""
    _, found = np.unique(found, return_inverse=True)
    _, first = np.unique(expected, return_index=True)
    _, expected = np.unique(expected, return_inverse=True)
    assert len(set(found[first])) == len(first)
    np.testing.assert_array_equal(found, found[first][expected])


@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_array])
@pytest.mark.parametrize("k", [2, 5, 20])
@pytest.mark.parametrize("size", [1e-3, 0.05])
def test_the_groups_are_the_rows_that_were_copied(form, k, size, rng):
    X, group = jittered(rng.normal(size=(60, 10)), k, size, rng)
    order = rng.permutation(len(X))
    X, group = X[order], group[order]
    first, found = groups_of(form(X), distance_of(X))
    assert_same_groups(found, group)
    assert (np.diff(first) > 0).all()
    for number, position in enumerate(first):
        assert position == np.flatnonzero(found == number).min()


def test_rows_without_copies_are_groups_of_one(rng):
    X = np.concatenate([rng.normal(size=(100, 5)), np.zeros((12, 5))])
    X[100:] = X[:12] + 1e-4
    first, group = groups_of(X, 0.01)
    np.testing.assert_array_equal(first, np.arange(100))
    np.testing.assert_array_equal(group, np.r_[np.arange(100), np.arange(12)])


def test_chains_are_no_copies(rng):
    """Of a path, each point is near the next, but not near the first."""
    path = np.stack([np.arange(300.0), np.zeros(300)], axis=1)
    path += 0.1 * rng.random((300, 2))
    apart = np.concatenate([path[:150], path[150:] + 1000 * np.arange(150)[:, None]])
    assert groups_of(apart, 1.5) is None


def test_few_groups_are_clusters(rng):
    clusters, _ = jittered(rng.normal(size=(10, 3)), 30, 1e-4, rng)
    assert groups_of(clusters, 0.01) is None
    # Unless nothing but rounding tells them apart.
    first, _ = groups_of(clusters, 0.01, certain=True)
    assert len(first) == 10


def test_nothing_so_near_is_no_group(rng):
    assert groups_of(rng.normal(size=(50, 3)), 1e-9) is None


# --- groups that are no copies --------------------------------------------------------------


def found_in(X):
    distinct = distinct_rows(PreparedRows(PLAIN, X))
    return distinct.n_exact + distinct.n_near


@pytest.mark.parametrize("levels", [(20,), (8, 6), (10, 5, 4)])
@pytest.mark.parametrize("n_numbers", [1, 3])
def test_cells_of_categories_are_not_copies(levels, n_numbers, rng):
    """Numbers in [0, 1] beside indicator columns: rows of one cell are close together."""
    numbers = rng.lognormal(size=(600, n_numbers))
    numbers = (numbers - numbers.min(0)) / np.ptp(numbers, axis=0)
    indicators = [np.eye(n)[rng.integers(n, size=600)] for n in levels]
    assert found_in(np.concatenate([numbers, *indicators], axis=1)) == 0


@pytest.mark.parametrize("scaled", [False, True])
def test_patterns_of_sentinel_values_are_not_copies(scaled, rng):
    X = rng.normal(size=(600, 10))
    X[rng.random(X.shape) < 0.1] = -999
    assert found_in(StandardScaler().fit_transform(X) if scaled else X) == 0


def test_few_rows_of_a_rare_class_are_copied_often(rng):
    X = rng.normal(size=(309, 8))
    again = np.repeat(X[300:], 33, axis=0)
    again = again[:288] + 0.01 * rng.normal(size=(288, 8))
    assert found_in(np.concatenate([X, again])) == 288


def test_what_rounding_tells_apart_are_copies_however_few(rng):
    X = rng.normal(size=(16, 5))
    assert found_in(np.concatenate([X, X * (1 + 1e-15)])) == 16


@pytest.mark.parametrize("share", [0.05, 0.08])
def test_a_small_share_of_copies_is_seen(share, rng):
    X = rng.normal(size=(600, 10))
    some = X[: int(share * 600)]
    some = some + 0.01 * rng.normal(size=some.shape)
    assert found_in(np.concatenate([X, some])) == len(some)
