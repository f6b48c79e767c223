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
from margin_sklearn.networks import Network, as_network
from margin_sklearn.scales import SCALES, check_scale

NAMES = list(SCALES)


def scaled(network, scale, X, y):
    with network.evaluating():
        x = network.inputs(X)
        values = SCALES[scale](network, x[:1])(x, torch.as_tensor(y, device=x.device))
    return values.numpy()


def relu_network(seed=0, dtype=torch.float64):
    torch.manual_seed(seed)
    module = nn.Sequential(
        nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 4)
    ).to(dtype)
    return Network(module, np.asarray, np.asarray, dtype=dtype)


@pytest.fixture
def points(rng):
    return rng.normal(size=(50, 6)), rng.integers(0, 4, 50)


@pytest.mark.parametrize("scale", NAMES)
@pytest.mark.parametrize("c", [0.01, 3.0, 1e4])
def test_scaling_one_layer_up_and_the_next_down_changes_nothing(points, scale, c):
    network = relu_network()
    before = scaled(network, scale, *points)
    with torch.no_grad():
        network.module[0].weight *= c
        network.module[0].bias *= c
        network.module[2].weight /= c
    np.testing.assert_allclose(scaled(network, scale, *points), before, rtol=1e-9)


@pytest.mark.parametrize("scale", [name for name in NAMES if name is not None])
def test_scaling_all_logits_changes_no_scaled_margin(points, scale):
    network = relu_network()
    before = scaled(network, scale, *points)
    with torch.no_grad():
        network.module[-1].weight *= 7.0
        network.module[-1].bias *= 7.0
    np.testing.assert_allclose(scaled(network, scale, *points), before, rtol=1e-9)


@pytest.mark.parametrize("scale", NAMES)
def test_scaled_margins_have_the_sign_of_the_margins(points, scale):
    network = relu_network()
    raw = scaled(network, None, *points)
    np.testing.assert_array_equal(np.sign(scaled(network, scale, *points)), np.sign(raw))


@pytest.mark.parametrize("scale", NAMES)
def test_constant_logits_permutations_and_class_names_change_nothing(points, scale, rng):
    X, y = points
    network = relu_network()
    before = scaled(network, scale, X, y)
    order = rng.permutation(len(y))
    np.testing.assert_allclose(scaled(network, scale, X[order], y[order]), before[order])
    names = rng.permutation(4)
    with torch.no_grad():
        last = network.module[-1]
        last.bias += 5.0
        last.weight.copy_(last.weight[names].clone())
        last.bias.copy_(last.bias[names].clone())
    np.testing.assert_allclose(scaled(network, scale, X, np.argsort(names)[y]), before)


@pytest.mark.parametrize("scale", NAMES)
def test_float32_and_float64_agree(points, scale):
    wide = relu_network()
    narrow = dataclasses.replace(
        wide, module=copy.deepcopy(wide.module).float(), dtype=torch.float32
    )
    np.testing.assert_allclose(
        scaled(narrow, scale, *points), scaled(wide, scale, *points), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("scale", NAMES)
def test_fitted_networks_agree_in_float64(fitted, digits, scale):
    X, y = digits
    network = as_network(fitted)
    wide = dataclasses.replace(
        network, module=copy.deepcopy(network.module).double(), dtype=torch.float64
    )
    np.testing.assert_allclose(
        scaled(wide, scale, X, y), margins(fitted, X, y, scale=scale), rtol=1e-4, atol=1e-4
    )


# --- closed forms -------------------------------------------------------------------------


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


def test_norm_products_of_a_linear_model(binary):
    X, y = binary
    model = LogisticRegression().fit(X, y)
    raw = margins(model, X, y)
    norm = np.linalg.norm(model.coef_)
    for scale in ("frobenius", "spectral"):
        np.testing.assert_allclose(margins(model, X, y, scale=scale), raw / norm, rtol=1e-12)


def test_norm_products_multiply_the_norms_of_the_layers(points):
    network = relu_network()
    weights = [layer.weight.detach().numpy() for layer in network.module[::2]]
    raw = scaled(network, None, *points)
    for scale, order in (("frobenius", "fro"), ("spectral", 2)):
        product = np.prod([np.linalg.norm(weight, order) for weight in weights])
        np.testing.assert_allclose(scaled(network, scale, *points), raw / product, rtol=1e-9)


def test_spectral_margins_bound_the_distance_from_below(points):
    # |f_y - f_j| changes by at most sqrt(2) times the product of the norms.
    network = relu_network()
    lower = np.abs(scaled(network, "spectral", *points)) / np.sqrt(2)
    assert (lower <= np.abs(scaled(network, "distance", *points)) + 1e-12).all()


# --- corners ------------------------------------------------------------------------------


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


def test_products_too_large_for_floats_do_not_overflow():
    module = nn.Sequential(*(nn.Linear(3, 3, bias=False) for _ in range(40))).double()
    with torch.no_grad():
        for layer in module:
            layer.weight.copy_(torch.eye(3) * 1e12)
    network = Network(module, np.asarray, np.asarray, dtype=torch.float64)
    x, y = np.full((1, 3), 1e-240) * [[3.0, 1.0, 2.0]], np.array([0])
    values = scaled(network, "spectral", x, y)
    np.testing.assert_allclose(values, [1e-240], rtol=1e-6)


def test_dead_layers_and_unknown_scales_raise(points):
    network = relu_network()
    with torch.no_grad():
        network.module[2].weight.zero_()
    with pytest.raises(ValueError, match="all zero"):
        scaled(network, "frobenius", *points)
    for name in ("norm", 3, ["distance"]):
        with pytest.raises(ValueError, match="scale must be one of"):
            check_scale(name)


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
    assert np.isfinite(scaled(network, "distance", X, y)).all()
    with pytest.raises(TypeError, match="distance"):
        scaled(network, "spectral", X, y)
