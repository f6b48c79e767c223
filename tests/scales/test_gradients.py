import copy
import dataclasses

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC, LinearSVC
from torch import nn

from margin_sklearn import margins
from margin_sklearn.adapters.network import Network

from .networks import (
    by_hand,
    relu_network,
    scaled,
)


def test_distance_of_a_binary_linear_model_is_the_geometric_margin(binary):
    X, y = binary
    for model in (LogisticRegression(), LinearSVC()):
        model.fit(X, y)
        expected = np.where(y == 1, 1, -1) * model.decision_function(X)
        expected /= np.linalg.norm(model.coef_)
        np.testing.assert_allclose(margins(model, X, y, scale="distance"), expected, rtol=1e-6)


def test_distance_of_a_linear_model_of_many_classes_is_that_to_the_runner_up(iris):
    X, y = iris
    model = LogisticRegression().fit(X, y)
    f = model.decision_function(X)
    rival = np.where(np.arange(3) == y[:, None], -np.inf, f).argmax(axis=1)
    rows = np.arange(len(y))
    gap = np.linalg.norm(model.coef_[y] - model.coef_[rival], axis=1)
    np.testing.assert_allclose(
        margins(model, X, y, scale="distance"), (f[rows, y] - f[rows, rival]) / gap, rtol=1e-6
    )


def test_smallest_distance_of_a_hard_margin_svm_is_one_over_the_norm_of_its_weights():
    X, y = make_blobs(80, centers=[[-3, -3], [3, 3]], random_state=0)
    svm = SVC(kernel="linear", C=1e6, tol=1e-8).fit(X, y)
    model = LogisticRegression().fit(X, y)
    model.coef_, model.intercept_ = svm.coef_, svm.intercept_
    smallest = margins(model, X, y, scale="distance").min()
    assert smallest == pytest.approx(1 / np.linalg.norm(svm.coef_), rel=1e-3)
    # No other line does better: that is what the SVM maximises.
    other = LogisticRegression().fit(X, y)
    assert margins(other, X, y, scale="distance").min() <= smallest * (1 + 1e-6)


def test_a_step_of_the_distance_along_the_gradient_reaches_the_boundary_of_a_linear_piece():
    network = relu_network()
    x = torch.zeros(1, 6, dtype=torch.float64) + 0.3
    logits = network.module(x)
    y = logits.argmax(dim=1)
    d = scaled(network, "distance", x.numpy(), y.numpy())[0]
    rival = logits.topk(2).indices[0, 1]
    x.requires_grad_()
    out = network.module(x)[0]
    (g,) = torch.autograd.grad(out[y[0]] - out[rival], x)
    step = 1e-6
    moved = network.module(x - step * g / g.norm())[0]
    slope = ((out[y[0]] - out[rival]) - (moved[y[0]] - moved[rival])) / step
    assert d == pytest.approx(((out[y[0]] - out[rival]) / slope).item(), rel=1e-5)


def test_a_vanishing_gradient_is_infinitely_far():
    module = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)).double()
    with torch.no_grad():
        module[0].bias.fill_(-100.0)
        module[2].bias.copy_(torch.tensor([0.0, 1.0]))
    network = Network(module, np.asarray, np.asarray, dtype=torch.float64)
    values = scaled(network, "distance", np.zeros((2, 2)), np.array([1, 0]))
    assert values.tolist() == [np.inf, -np.inf]
    with torch.no_grad():
        module[2].bias.zero_()
    assert scaled(network, "distance", np.zeros((1, 2)), np.array([1])).tolist() == [0.0]


def test_modules_that_work_in_place(points):
    plain = relu_network()
    module = nn.Sequential(nn.ReLU(inplace=True), copy.deepcopy(plain.module))
    X = np.abs(points[0])
    network = dataclasses.replace(plain, module=module)
    np.testing.assert_allclose(
        scaled(network, "distance", X, points[1]), scaled(plain, "distance", X, points[1])
    )
    module = copy.deepcopy(plain.module)
    module[1] = nn.Sequential(nn.ReLU(inplace=True), nn.Dropout(inplace=True))
    module[3] = nn.ReLU(inplace=True)
    network = dataclasses.replace(plain, module=module)
    np.testing.assert_array_equal(
        scaled(network, "total_variation", *points), scaled(plain, "total_variation", *points)
    )
    again = [copy.deepcopy(plain.module) for _ in range(2)]
    for module, inplace in zip(again, (False, True), strict=True):
        module[1] = nn.Sequential(nn.ReLU(), nn.Hardtanh(-0.1, 0.1, inplace=inplace))
    networks = [dataclasses.replace(plain, module=module) for module in again]
    np.testing.assert_array_equal(
        *(scaled(network, "total_variation", *points) for network in networks)
    )


def test_a_network_without_a_gradient_at_its_input_has_no_distance():
    class Embedded(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.out = nn.Embedding(10, 8), nn.Linear(8, 3)

        def forward(self, x):
            return self.out(self.embedding(x[:, 0].long()))

    network = Network(Embedded(), np.asarray, np.asarray)
    X, y = np.arange(5.0)[:, None], np.array([0, 1, 2, 0, 1])
    with pytest.raises(TypeError, match="no gradient at its input"):
        scaled(network, "distance", X, y)
    assert np.isfinite(scaled(network, None, X, y)).all()
    # What the embedding gives is a hidden layer: the distance there.
    for parameter in network.module.parameters():
        parameter.requires_grad_(False)
    embedded = network.module.embedding(torch.arange(5)).numpy()
    linear = dataclasses.replace(network, module=network.module.out)
    np.testing.assert_allclose(
        scaled(network, "total_variation", X, y),
        scaled(linear, "distance", embedded, y) / np.sqrt(embedded.var(axis=0).sum()),
        rtol=1e-5,
    )
    network.module.embedding.weight.zero_()
    with pytest.raises(TypeError, match="at no hidden layer"):
        scaled(network, "total_variation", X, y)


def test_recurrent_networks_have_distances():
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.GRU(3, 5, batch_first=True)
            self.out = nn.Linear(5, 2)

        def forward(self, x):
            return self.out(self.rnn(x)[0][:, -1])

    network = Network(Recurrent(), np.asarray, np.asarray)
    X, y = np.random.default_rng(0).normal(size=(4, 6, 3)), np.array([0, 1, 0, 1])
    values = scaled(network, "distance", X, y)
    assert np.isfinite(values).all()
    np.testing.assert_allclose(
        scaled(network, "total_variation", X, y),
        values / np.sqrt(X.var(axis=0).sum()),
        rtol=1e-5,
    )
    for scale in ("spectral", "path"):
        with pytest.raises(TypeError, match="distance"):
            scaled(network, scale, X, y)


def test_total_variation_of_a_linear_model_is_the_distance_in_units_of_the_inputs(
    binary, iris
):
    for X, y in (binary, iris):
        model = LogisticRegression().fit(X, y)
        expected = margins(model, X, y, scale="distance")
        expected /= np.sqrt(np.trace(np.cov(X.T, bias=True)))
        np.testing.assert_allclose(
            margins(model, X, y, scale="total_variation"), expected, rtol=1e-12
        )


def test_total_variation_is_the_mean_of_the_distances_at_the_layers(points):
    network = relu_network()
    parts = [network.module[:2], network.module[2:4], network.module[4:]]
    np.testing.assert_allclose(
        scaled(network, "total_variation", *points), by_hand(network, *points, parts)
    )


def test_total_variation_of_a_convolutional_network(rng):
    torch.manual_seed(0)
    parts = [
        nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.GELU()),
        nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(3, 4, 2), nn.PReLU()),
        nn.Sequential(nn.Flatten(), nn.Linear(16, 3)),
    ]
    module = nn.Sequential(*parts).double()
    network = Network(module.eval(), np.asarray, np.asarray, dtype=torch.float64)
    X, y = rng.normal(size=(20, 1, 8, 8)), rng.integers(0, 3, 20)
    np.testing.assert_allclose(
        scaled(network, "total_variation", X, y), by_hand(network, X, y, parts)
    )


def test_samples_that_are_all_the_same_have_no_total_variation(points):
    X, y = points
    network = relu_network()
    for same in (X[:1], np.repeat(X[:1], 5, axis=0)):
        with pytest.raises(ValueError, match="the same for all . samples"):
            scaled(network, "total_variation", X, y, sample=same)


def test_total_variation_where_a_gradient_vanishes():
    module = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)).double()
    with torch.no_grad():
        module[0].weight.copy_(torch.eye(2))
        module[0].bias.zero_()
        module[2].bias.copy_(torch.tensor([0.0, 1.0]))
    network = Network(module, np.asarray, np.asarray, dtype=torch.float64)
    sample = np.array([[1.0, 2.0], [3.0, -1.0]])
    X, y = np.full((2, 2), -1.0), np.array([1, 0])
    values = scaled(network, "total_variation", X, y, sample=sample)
    assert values.tolist() == [np.inf, -np.inf]
    with torch.no_grad():
        module[2].bias.zero_()
    assert scaled(network, "total_variation", X[:1], y[:1], sample=sample).tolist() == [0.0]


def test_total_variation_is_taken_over_evenly_spaced_samples(rng):
    X, y = rng.normal(size=(2500, 3)), rng.integers(0, 2, 2500)
    X[::5] *= 10
    model = LogisticRegression().fit(X, y)
    chosen = X[np.arange(1000) * 5 // 2]
    expected = margins(model, X, y, scale="distance") / np.sqrt(chosen.var(axis=0).sum())
    values = margins(model, X, y, scale="total_variation")
    np.testing.assert_allclose(values, expected, rtol=1e-12)
