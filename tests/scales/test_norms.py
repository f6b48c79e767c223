import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from margin_sklearn import margins
from margin_sklearn.adapters.network import Network

from .networks import relu_network, scaled


def test_norm_products_of_a_linear_model(binary):
    X, y = binary
    model = LogisticRegression().fit(X, y)
    raw = margins(model, X, y)
    norm = np.linalg.norm(model.coef_)
    for scale in ("frobenius", "spectral", "path"):
        np.testing.assert_allclose(margins(model, X, y, scale=scale), raw / norm, rtol=1e-12)


def test_norm_products_multiply_the_norms_of_the_layers(points):
    network = relu_network()
    weights = [layer.weight.detach().numpy() for layer in network.module[::2]]
    raw = scaled(network, None, *points)
    for scale, order in (("frobenius", "fro"), ("spectral", 2)):
        product = np.prod([np.linalg.norm(weight, order) for weight in weights])
        np.testing.assert_allclose(scaled(network, scale, *points), raw / product, rtol=1e-9)


def test_the_path_norm_of_a_network_is_below_the_product_of_frobenius_norms(points):
    network = relu_network()
    weights = [layer.weight.detach().square().numpy() for layer in network.module[::2]]
    norm = np.sqrt((weights[2] @ weights[1] @ weights[0]).sum())
    values = scaled(network, "path", *points)
    np.testing.assert_allclose(values, scaled(network, None, *points) / norm, rtol=1e-12)
    assert (np.abs(values) >= np.abs(scaled(network, "frobenius", *points))).all()


def test_spectral_margins_bound_the_distance_from_below(points):
    # |f_y - f_j| changes by at most sqrt(2) times the product of the norms.
    network = relu_network()
    lower = np.abs(scaled(network, "spectral", *points)) / np.sqrt(2)
    assert (lower <= np.abs(scaled(network, "distance", *points)) + 1e-12).all()


def test_products_too_large_for_floats_do_not_overflow():
    module = nn.Sequential(*(nn.Linear(3, 3, bias=False) for _ in range(40))).double()
    with torch.no_grad():
        for layer in module:
            layer.weight.copy_(torch.eye(3) * 1e12)
    network = Network(module, np.asarray, np.asarray, dtype=torch.float64)
    x, y = np.full((1, 3), 1e-240) * [[3.0, 1.0, 2.0]], np.array([0])
    values = scaled(network, "spectral", x, y)
    np.testing.assert_allclose(values, [1e-240], rtol=1e-6)
    values = scaled(network, "path", x, y)
    np.testing.assert_allclose(values, [1e-240 / np.sqrt(3)], rtol=1e-6)


def test_layers_of_zeros_raise(points):
    network = relu_network()
    with torch.no_grad():
        network.module[2].weight.zero_()
    for name in ("frobenius", "path", "spectral"):
        with pytest.raises(ValueError, match="all zero"):
            scaled(network, name, *points)
