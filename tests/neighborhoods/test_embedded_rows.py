import numpy as np
import pytest
import scipy.sparse
import torch
from scipy.spatial.distance import pdist

from margin_sklearn.adapters.network import Network
from margin_sklearn.neighborhoods import embedded_rows as module
from margin_sklearn.neighborhoods.embedded_rows import EmbeddedRows, embedded
from margin_sklearn.neighborhoods.prepared_rows import PreparedRows

NETWORK = Network(torch.nn.Identity(), lambda rows: rows, np.asarray, torch.float64)


def prepared(X):
    return PreparedRows(NETWORK, X)


@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_array])
@pytest.mark.parametrize("limit", [1, 2**21])
@pytest.mark.parametrize("rank", [3, 40])
def test_distances_are_those_of_the_rows(form, limit, rank, rng, monkeypatch):
    monkeypatch.setattr(module, "MAX_NUMBERS", limit)
    X = rng.normal(size=(40, rank)) @ rng.normal(size=(rank, 200))
    X[5] = 0
    rows = prepared(form(X))
    positions = rng.permutation(40)[:30]
    found = EmbeddedRows(rows, positions)
    assert found.width <= 30
    if rank == 3:
        # One dimension more for the origin.
        assert found.width <= 4 + 30 // 4
    coordinates = found.at(positions)(slice(0, 30))
    distances = pdist(coordinates) * rows.unit
    np.testing.assert_allclose(distances, pdist(X[positions]), rtol=1e-7)
    # Indexed by the positions among all samples.
    np.testing.assert_array_equal(found.at(positions[[7, 2]])(np.array([0])), coordinates[[7]])


@pytest.mark.parametrize("far", [1e3, 1e9, 1e14])
def test_a_row_far_off_takes_nothing_from_the_others(far, rng):
    X = rng.normal(size=(30, 100))
    X[11, 4] = far
    rows = prepared(X)
    coordinates = EmbeddedRows(rows, np.arange(30)).at(np.arange(30))(slice(0, 30))
    others = np.arange(30) != 11
    np.testing.assert_allclose(
        pdist(coordinates[others]) * rows.unit, pdist(X[others]), rtol=1e-6
    )
    away = np.linalg.norm(coordinates[11] - coordinates[0]) * rows.unit
    assert away == pytest.approx(np.linalg.norm(X[11] - X[0]))


def test_only_rows_of_many_columns_are_embedded(rng):
    for shape, wide in (((50, 3000), True), ((50, 500), False), ((1000, 2500), False)):
        rows = prepared(np.zeros(shape))
        found = embedded(rows, np.arange(shape[0]))
        assert (found is not rows) is wide
