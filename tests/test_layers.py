import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from margin_sklearn import MLP, ConvNet
from margin_sklearn.layers import linear_layers


def randomised(module):
    """Batch norms with statistics and factors that are not those of the start."""
    generator = torch.Generator().manual_seed(0)
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.running_var.uniform_(0.2, 3.0, generator=generator)
            layer.running_mean.uniform_(-1.0, 1.0, generator=generator)
            if layer.weight is not None:
                with torch.no_grad():
                    layer.weight.uniform_(-2.0, 2.0, generator=generator)
    return module.double().eval()


def jacobian(function, shape):
    x = torch.randn(1, *shape, dtype=torch.float64)
    return torch.autograd.functional.jacobian(function, x).reshape(-1, x.numel())


def test_batch_norm_behind_a_layer_is_folded_exactly():
    module = randomised(nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4)))
    (layer,) = linear_layers(module, torch.zeros(1, 5, dtype=torch.float64))
    torch.testing.assert_close(layer.weight, jacobian(module, (5,)))


def test_batch_norm_before_a_layer_is_folded_into_the_layer_that_follows():
    module = randomised(nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3 * 4, 6)))
    (layer,) = linear_layers(module, torch.zeros(1, 3, 2, 2, dtype=torch.float64))
    torch.testing.assert_close(layer.weight, jacobian(module, (3, 2, 2)))


@pytest.mark.parametrize("groups", [1, 2])
def test_batch_norm_before_a_convolution_of_groups(groups):
    module = randomised(nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, groups=groups)))
    (layer,) = linear_layers(module, torch.zeros(1, 4, 5, 5, dtype=torch.float64))
    matrix = jacobian(module, (4, 5, 5))
    assert layer.spectral_norm() == pytest.approx(torch.linalg.matrix_norm(matrix, 2).item())


def test_a_last_batch_norm_is_a_diagonal_layer():
    module = randomised(nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.BatchNorm1d(4)))
    _, last = linear_layers(module, torch.zeros(1, 5, dtype=torch.float64))
    torch.testing.assert_close(last.weight, jacobian(module[2], (4,)))


class WrongOrder(nn.Module):
    """Layers defined in another order than they run in."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(6, 3)
        self.norm = nn.BatchNorm1d(6)
        self.first = nn.Linear(5, 6)

    def forward(self, x):
        batch = x.size(0)
        return self.last(F.relu(self.norm(self.first(x.view(batch, -1)))))


def test_layers_come_in_the_order_of_execution():
    module = randomised(WrongOrder())
    first, last = linear_layers(module, torch.zeros(1, 5, dtype=torch.float64))
    torch.testing.assert_close(
        first.weight, jacobian(lambda x: module.norm(module.first(x)), (5,))
    )
    torch.testing.assert_close(last.weight, module.last.weight.detach())


CONVOLUTIONS = [
    (nn.Conv1d(3, 5, 4, padding=2, stride=3), (3, 11)),
    (nn.Conv2d(3, 4, 3, padding=1), (3, 6, 7)),
    (nn.Conv2d(2, 4, 3, padding="same", dilation=2, padding_mode="circular"), (2, 7, 6)),
    (nn.Conv2d(4, 4, 3, padding=1, groups=2, padding_mode="reflect"), (4, 5, 5)),
    (nn.Conv3d(1, 3, 2, stride=2), (1, 6, 4, 4)),
    (nn.Conv2d(1, 1, 1), (1, 3, 3)),
    (nn.Conv2d(1, 16, 3), (1, 12, 12)),
]


@pytest.mark.parametrize(("convolution", "shape"), CONVOLUTIONS)
def test_a_convolutions_norm_is_that_of_its_matrix(convolution, shape):
    convolution = convolution.double()
    (layer,) = linear_layers(convolution, torch.zeros(1, *shape, dtype=torch.float64))
    expected = np.linalg.norm(jacobian(convolution, shape).numpy(), 2)
    assert layer.spectral_norm() == pytest.approx(expected, rel=1e-9)
    assert layer.frobenius_norm() == pytest.approx(convolution.weight.norm().item())


@pytest.mark.parametrize(
    ("module", "shape", "n_layers"),
    [
        (MLP((7,), 3, dropout=0.1), (7,), 3),
        (MLP((2, 4, 4), 3, batch_norm=False), (2, 4, 4), 3),
        (ConvNet((8, 8), 3, channels=(4, 6)), (8, 8), 3),
        (ConvNet((3, 8, 8), 3, channels=4, pooling="mean"), (3, 8, 8), 2),
    ],
)
def test_the_packages_own_modules_are_chains(module, shape, n_layers):
    layers = linear_layers(module.eval(), torch.zeros(1, *shape))
    assert len(layers) == n_layers
    assert all(layer.weight.dtype == torch.float64 for layer in layers)
    assert all(np.isfinite(layer.spectral_norm()) for layer in layers)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 5)

    def forward(self, x):
        return x + self.layer(x)


class FromTheStart(Residual):
    def forward(self, x):
        return self.layer(x.relu()) * x.sum()


class Branching(Residual):
    def forward(self, x):
        return self.layer(x) if x.sum() > 0 else x


class FunctionalWeight(Residual):
    def forward(self, x):
        return F.linear(x, self.layer.weight)


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (Residual(), (5,)),
        (FromTheStart(), (5,)),
        (Branching(), (5,)),
        (FunctionalWeight(), (5,)),
        (nn.LSTM(5, 3), (4, 5)),
        (nn.TransformerEncoderLayer(4, 2), (3, 4)),
        (nn.Sequential(nn.Linear(5, 5), nn.LayerNorm(5)), (5,)),
        (nn.Sequential(nn.Linear(5, 5), nn.BatchNorm1d(5, track_running_stats=False)), (5,)),
        (nn.Sequential(nn.Flatten()), (5,)),
    ],
)
def test_what_is_no_chain_raises_and_names_a_scale_that_works(module, shape):
    with pytest.raises(TypeError, match="scale='distance' works"):
        linear_layers(module.eval(), torch.zeros(1, *shape))


def test_looking_at_a_network_does_not_change_it():
    module = randomised(ConvNet((8, 8), 3, channels=(4,)))
    state = {name: value.clone() for name, value in module.state_dict().items()}
    keys = {name: set(vars(part)) for name, part in module.named_modules()}
    for layer in linear_layers(module, torch.zeros(1, 8, 8, dtype=torch.float64)):
        layer.spectral_norm()
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
    assert keys == {name: set(vars(part)) for name, part in module.named_modules()}
    assert all(parameter.requires_grad for parameter in module.parameters())
