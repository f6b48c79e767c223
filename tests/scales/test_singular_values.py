import numpy as np
import pytest
import torch
from torch import nn

from margin_sklearn.scales import singular_values
from margin_sklearn.scales.singular_values import convolution_norm, matrix_norm


@pytest.mark.parametrize("shape", [(1, 1), (3, 90), (90, 3), (70, 100), (200, 80)])
@pytest.mark.parametrize("factor", [1.0, 1e-200, 1e200])
def test_the_norm_of_a_matrix(shape, factor):
    matrix = np.random.default_rng(0).standard_normal(shape)
    expected = np.linalg.norm(matrix, 2) * factor
    assert matrix_norm(torch.from_numpy(matrix * factor)) == pytest.approx(expected, rel=1e-13)


def test_the_norm_of_a_matrix_whose_largest_values_are_close():
    basis, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((100, 100)))
    values = np.linspace(1.0, 1.0 - 1e-6, 100)
    matrix = torch.from_numpy((basis * values) @ basis.T)
    assert matrix_norm(matrix) == pytest.approx(1.0, rel=1e-9)


@pytest.mark.parametrize("n", [3, 100])
def test_weights_of_zero_and_weights_that_are_not_finite(n):
    assert matrix_norm(torch.zeros(n, n, dtype=torch.float64)) == 0
    assert np.isnan(matrix_norm(torch.full((n, n), torch.nan, dtype=torch.float64)))
    convolution = nn.Conv1d(1, 1, 3, padding=1, bias=False, dtype=torch.float64)
    for value in (0.0, torch.nan, torch.inf):
        with torch.no_grad():
            convolution.weight.fill_(value)
        found = convolution_norm(convolution, (1, n))
        assert found == 0 if value == 0 else np.isnan(found)


def test_it_is_exact_where_the_iteration_does_not_converge(monkeypatch):
    def give_up(*args, **kwargs):
        raise singular_values.ArpackNoConvergence("on purpose", [], [])

    matrix = torch.from_numpy(np.random.default_rng(0).standard_normal((80, 90)))
    convolution = nn.Conv1d(2, 3, 3, padding=1, bias=False, dtype=torch.float64)
    before = matrix_norm(matrix), convolution_norm(convolution, (2, 40))
    monkeypatch.setattr(singular_values, "eigsh", give_up)
    after = matrix_norm(matrix), convolution_norm(convolution, (2, 40))
    assert after == pytest.approx(before, rel=1e-12)
