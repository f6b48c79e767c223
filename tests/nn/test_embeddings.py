"""Numerical embeddings: what they compute, and the bounds that norms take them for."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from margin_sklearn import MLP, MarginClassifier, margins
from margin_sklearn.nn import PeriodicEmbedding
from margin_sklearn.scales.chain import linear_layers
from margin_sklearn.scales.path_norm import log_path_norm


def embedding(n_columns=3, **settings):
    torch.manual_seed(0)
    return PeriodicEmbedding(n_columns, **settings)


def test_it_is_the_formula():
    layer = embedding(n_frequencies=2, n_outputs=4)
    x = torch.randn(5, 3)
    omega, phase = layer.frequency, layer.phase
    weight, bias = layer.weight.detach(), layer.bias.detach()
    expected = torch.empty(5, 3, 4)
    for i, j, o in itertools.product(range(5), range(3), range(4)):
        waves = torch.cos(omega[j, :, 0] * x[i, j] + phase[j, :, 0])
        expected[i, j, o] = bias[j, o, 0] + waves @ weight[j, o]
    found = layer(x)
    assert torch.equal(found[:, :3], x)
    torch.testing.assert_close(found[:, 3:], expected.flatten(1))
    assert layer.n_features == found.shape[1] == 15


def test_columns_do_not_mix():
    layer = embedding()
    jacobian = torch.func.jacrev(lambda x: layer(x[None])[0])(torch.randn(3))
    functions = jacobian[3:].reshape(3, 4, 3)
    for j, other in itertools.permutations(range(3), 2):
        assert (functions[j, :, other] == 0).all()


def test_slopes_bound_the_jacobian():
    layer = embedding(spread=1.0)
    x = 3 * torch.randn(2000, 3)
    jacobian = torch.vmap(torch.func.jacrev(lambda x: layer(x[None])[0]))(x).double()
    bound = layer.slopes()
    assert bound.shape == jacobian.shape[1:]
    assert (jacobian.abs() <= bound * (1 + 1e-5)).all()
    # They are reached where all sines are 1.
    single = embedding(n_frequencies=1, spread=1.0)
    x = torch.linspace(-50, 50, 20_000)[:, None].expand(-1, 3)
    jacobian = torch.vmap(torch.func.jacrev(lambda x: single(x[None])[0]))(x).double()
    reached = jacobian.abs().amax(0)
    torch.testing.assert_close(reached, single.slopes(), rtol=0.01, atol=1e-6)


def test_it_counts_as_a_layer_of_slopes():
    layer = embedding()
    module = nn.Sequential(layer, nn.Linear(15, 2)).eval()
    first, last = linear_layers(module, torch.zeros(1, 3))
    assert torch.equal(first.weight, layer.slopes())
    assert torch.equal(last.weight, module[1].weight.detach().double())
    assert first.spectral_norm() == pytest.approx(torch.linalg.matrix_norm(first.weight, 2))


def test_the_path_norm_counts_each_frequency():
    layer = embedding(2, n_frequencies=3, n_outputs=2)
    module = nn.Sequential(layer, nn.Linear(6, 2)).eval()
    omega, weight = layer.frequency.double(), layer.weight.double()
    after = module[1].weight.double()
    total = (after[:, :2] ** 2).sum()
    for j, k, o in itertools.product(range(2), range(3), range(2)):
        path = omega[j, k, 0] * weight[j, o, k] * after[:, 2 + 2 * j + o]
        total += (path**2).sum()
    assert 2 * log_path_norm(module, torch.zeros(1, 2)) == pytest.approx(total.log().item())


@pytest.mark.parametrize("scale", ["frobenius", "spectral", "path", "distance"])
def test_scales_take_networks_with_embeddings(iris, scale):
    X, y = iris
    model = MarginClassifier(max_epochs=3, random_state=0, device="cpu").fit(X, y)
    assert isinstance(model.net_.module_[0], PeriodicEmbedding)
    found = margins(model, X, y, scale=scale)
    plain = margins(model, X, y)
    np.testing.assert_array_equal(found > 0, plain > 0)
    if scale != "distance":
        np.testing.assert_allclose(found / plain, (found / plain)[0])


def test_spectral_margins_are_lower_bounds_on_the_distance(iris):
    """Up to the factor of a difference of two logits, along random directions."""
    X, y = iris
    X = (X - X.mean(0)) / X.std(0)
    model = MarginClassifier(max_epochs=5, random_state=0, device="cpu").fit(X, y)
    bound = margins(model, X, y, scale="spectral") / np.sqrt(2)
    correct = bound > 0
    rng = np.random.default_rng(0)
    step = rng.normal(size=(200, *X[correct].shape))
    step *= bound[correct][:, None] / np.linalg.norm(step, axis=-1, keepdims=True)
    moved = (X[correct] + step).reshape(-1, X.shape[1])
    same = model.predict(moved).reshape(200, -1) == y[correct]
    assert same.all()


def test_it_trains_and_separates_what_a_linear_layer_alone_cannot():
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, size=(300, 1))
    y = (np.cos(4 * X[:, 0]) > 0).astype(int)
    settings = {"module__hidden_layer_sizes": (8,), "module__dropout": 0.0, "random_state": 0}
    accuracy = {
        kind: MarginClassifier(**settings, module__embeddings=kind, max_epochs=40)
        .fit(X, y)
        .score(X, y)
        for kind in (None, "periodic")
    }
    assert accuracy["periodic"] > accuracy[None]


def test_modules_with_embeddings_can_be_exported():
    module = MLP((4,), 3, hidden_layer_sizes=(5,)).eval()
    again = MLP((4,), 3, hidden_layer_sizes=(5,)).eval()
    again.load_state_dict(module.state_dict())
    x = torch.randn(6, 4)
    assert torch.equal(module(x), again(x))
