import numpy as np
import pytest
import scipy.sparse

from margin_sklearn.neighborhoods import combined_steps
from margin_sklearn.neighborhoods.combined_steps import CombinedSteps


@pytest.fixture
def parts(rng):
    return rng.normal(size=(12, 7)), np.arange(5), rng.integers(0, 12, (5, 3))


@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_array])
@pytest.mark.parametrize("index", [np.array([4, 0, 4]), slice(1, 3), np.array([], dtype=int)])
def test_steps_are_differences_of_residuals(form, index, parts):
    residuals, own, donors = parts
    steps = CombinedSteps(form(residuals), own, donors)
    expected = residuals[donors] - residuals[own][:, None]
    assert steps.shape == expected.shape
    found = steps[index]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected[index], rtol=1e-6, atol=1e-6)
    ranks = np.array([0, 2])
    thin = steps.thinned(ranks)
    assert thin.shape == (5, 2, 7)
    np.testing.assert_allclose(thin[index], expected[index][:, ranks], rtol=1e-6, atol=1e-6)
    doubled = steps.scaled(2.0)
    np.testing.assert_allclose(doubled[index], 2 * expected[index], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_array])
@pytest.mark.parametrize("limit", [1, 2**21])
def test_steps_between_weights_are_steps_between_rows(form, limit, parts, rng, monkeypatch):
    monkeypatch.setattr(combined_steps, "MAX_NUMBERS", limit)
    weights, own, donors = parts
    rows = rng.normal(size=(7, 20)) * (rng.random((7, 20)) < 0.5)
    steps = CombinedSteps(scipy.sparse.csr_array(weights), own, donors).of(form(rows))
    expected = weights[donors] - weights[own][:, None]
    np.testing.assert_allclose(steps[:], expected @ rows, rtol=1e-5, atol=1e-5)


def test_their_size_is_that_of_the_residuals(parts):
    residuals, own, donors = parts
    assert CombinedSteps(residuals, own, donors).nbytes == residuals.nbytes
    sparse = scipy.sparse.csr_array(np.eye(12))
    assert CombinedSteps(sparse, own, donors).nbytes < 12 * 12 * 8
