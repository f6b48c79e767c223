import dataclasses
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from margin_sklearn.adapters.network import Network

from .networks import by_hand, relu_network, scaled


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
