import copy
import dataclasses
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC, LinearSVC
from torch import nn

from margin_sklearn import margins
from margin_sklearn.adapters.network import Network
from margin_sklearn.adapters.registry import as_network
from margin_sklearn.scales.registry import SAMPLE_SIZES, SCALES, get_scale

NAMES = list(SCALES)


def scaled(network, scale, X, y, sample=None):
    with network.evaluating():
        x = network.inputs(X)
        sample = x if sample is None else network.inputs(sample)
        sample = sample[: SAMPLE_SIZES.get(SCALES[scale], 1)]
        values = SCALES[scale](network, sample)(x, torch.as_tensor(y, device=x.device))
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


def test_these_are_the_scales():
    assert set(SCALES) == {
        None, "distance", "frobenius", "path", "spectral", "total_variation"
    }  # fmt: skip


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


@pytest.mark.parametrize("scale", [None, "distance", "path"])
def test_scaling_one_unit_up_and_what_it_leads_to_down_changes_nothing(points, scale):
    network = relu_network()
    before = scaled(network, scale, *points)
    with torch.no_grad():
        network.module[0].weight[3] *= 100.0
        network.module[0].bias[3] *= 100.0
        network.module[2].weight[:, 3] /= 100.0
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
def test_a_margin_does_not_depend_on_the_batch(points, scale):
    X, y = points
    network = relu_network()
    together = scaled(network, scale, X, y)
    apart = [scaled(network, scale, X[[i]], y[[i]], sample=X) for i in range(len(y))]
    np.testing.assert_allclose(np.concatenate(apart), together, rtol=1e-12)


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


def test_dead_layers_and_unknown_scales_raise(points):
    network = relu_network()
    with torch.no_grad():
        network.module[2].weight.zero_()
    for name in ("frobenius", "path", "spectral"):
        with pytest.raises(ValueError, match="all zero"):
            scaled(network, name, *points)
    for name in ("norm", 3, ["distance"]):
        with pytest.raises(ValueError, match="scale must be one of"):
            get_scale(name)


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


# --- total variation ----------------------------------------------------------------------


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


def by_hand(network, X, y, parts):
    """The mean over the inputs of the parts, each the rest of the network from there on."""
    layers = [torch.as_tensor(X)]
    for part in parts[:-1]:
        layers.append(part(layers[-1]).detach())
    values = []
    for start, layer in enumerate(layers):
        rest = dataclasses.replace(network, module=nn.Sequential(*parts[start:]))
        layer = layer.numpy()
        variation = np.trace(np.cov(layer.reshape(len(y), -1).T, bias=True))
        values.append(scaled(rest, "distance", layer, y) / np.sqrt(variation))
    return np.mean(values, axis=0)


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


class Written(nn.Module):
    """The relu_network, with its activations in one module, or in none."""

    def __init__(self, layers, activation):
        super().__init__()
        self.last, self.second, self.first = layers[4], layers[2], layers[0]
        self.activation = activation

    def forward(self, x):
        x = self.activation(self.first(x))
        return self.last(self.activation(self.second(x)))


def test_one_activation_that_runs_twice_is_two_layers(points):
    network = relu_network()
    module = Written(network.module, nn.ReLU(inplace=True))
    np.testing.assert_array_equal(
        scaled(dataclasses.replace(network, module=module), "total_variation", *points),
        scaled(network, "total_variation", *points),
    )


def test_without_activation_modules_the_layers_are_those_with_weights(points):
    network = relu_network()
    layers = network.module
    written = dataclasses.replace(network, module=Written(layers, F.relu))
    parts = [layers[0], layers[1:3], layers[3:]]
    np.testing.assert_allclose(
        scaled(written, "total_variation", *points), by_hand(network, *points, parts)
    )


def test_layers_that_say_nothing_are_left_out(points):
    class Sides(Written):
        def forward(self, x):
            self.activation(self.first(x))  # leads nowhere
            self.activation(x[:, :1] * 0.0 + 0.1)  # is the same for all samples
            table = self.activation(self.second.weight[:4])  # has no axis of samples
            return super().forward(x) + 0.0 * table.sum()

    network = relu_network()
    module = Sides(network.module, nn.ReLU())
    np.testing.assert_allclose(
        scaled(dataclasses.replace(network, module=module), "total_variation", *points),
        scaled(network, "total_variation", *points),
    )
    X, y = points[0][:4], points[1][:4]
    np.testing.assert_allclose(
        scaled(dataclasses.replace(network, module=module), "total_variation", X, y),
        scaled(network, "total_variation", X, y),
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_layer_that_varies_by_rounding_is_dead(points, dtype):
    network = relu_network(dtype=dtype)
    with torch.no_grad():
        network.module[2].weight.zero_()
        network.module[2].weight[0, 0] = 1e-20
        network.module[2].bias.fill_(1.0)
    X, y = points
    values = scaled(network, "total_variation", X, y)
    distances = scaled(network, "distance", X, y)
    hidden = network.module[:2](torch.as_tensor(X, dtype=dtype)).detach().double().numpy()
    at_hidden = dataclasses.replace(network, module=network.module[2:])
    expected = distances / np.sqrt(X.var(axis=0).sum())
    expected += scaled(at_hidden, "distance", hidden, y) / np.sqrt(hidden.var(axis=0).sum())
    np.testing.assert_allclose(values, expected / 2, rtol=1e-5)


def test_the_total_variation_does_not_depend_on_the_size_of_chunks(points, monkeypatch):
    network = relu_network()
    expected = scaled(network, "total_variation", *points)
    monkeypatch.setattr("margin_sklearn.adapters.network.chunk_length", lambda *_, **__: 7)
    np.testing.assert_allclose(
        scaled(network, "total_variation", *points), expected, rtol=1e-12
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


def test_residual_and_attention_networks_have_total_variations(rng):
    torch.manual_seed(0)
    block = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    module = nn.Sequential(block, nn.Flatten(), nn.Linear(24, 3)).eval()
    network = Network(module, np.asarray, np.asarray)
    X, y = rng.normal(size=(10, 3, 8)), rng.integers(0, 3, 10)
    values = scaled(network, "total_variation", X, y)
    raw = scaled(network, None, X, y)
    np.testing.assert_array_equal(np.sign(values), np.sign(raw))


def test_of_torchscript_only_the_input_can_be_seen(points):
    network = relu_network()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated in late versions of torch
        module = torch.jit.script(network.module)
    np.testing.assert_allclose(
        scaled(dataclasses.replace(network, module=module), "total_variation", *points),
        scaled(network, "distance", *points) / np.sqrt(points[0].var(axis=0).sum()),
    )


def test_total_variation_leaves_no_hooks_and_no_gradients(points):
    network = relu_network()
    scaled(network, "total_variation", *points)
    network.module[2] = nn.Linear(3, 3).double()
    with pytest.raises(RuntimeError):
        scaled(network, "total_variation", *points)
    assert all(not part._forward_hooks for part in network.module.modules())
    assert all(parameter.grad is None for parameter in network.module.parameters())


def test_a_number_of_layers_that_changes_raises(points):
    class Fickle(Written):
        def forward(self, x):
            x = self.activation(x) if x.sum() > 0 else x
            return super().forward(x)

    network = relu_network()
    network = dataclasses.replace(network, module=Fickle(network.module, nn.ReLU()))
    X, y = np.abs(points[0]), points[1]
    with pytest.raises(TypeError, match="another number of layers"):
        scaled(network, "total_variation", -X, y, sample=X)


def test_total_variation_is_taken_over_evenly_spaced_samples(rng):
    X, y = rng.normal(size=(2500, 3)), rng.integers(0, 2, 2500)
    X[::5] *= 10
    model = LogisticRegression().fit(X, y)
    chosen = X[np.arange(1000) * 5 // 2]
    expected = margins(model, X, y, scale="distance") / np.sqrt(chosen.var(axis=0).sum())
    values = margins(model, X, y, scale="total_variation")
    np.testing.assert_allclose(values, expected, rtol=1e-12)
