import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from margin_sklearn import MLP, ConvNet
from margin_sklearn.scales.chain import linear_layers
from margin_sklearn.scales.path_norm import log_path_norm

from .networks import (
    CONVOLUTIONS,
    Branching,
    FromTheStart,
    FunctionalWeight,
    Residual,
    WrongOrder,
    jacobian,
    randomised,
)


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


def test_layers_come_in_the_order_of_execution():
    module = randomised(WrongOrder())
    first, last = linear_layers(module, torch.zeros(1, 5, dtype=torch.float64))
    torch.testing.assert_close(
        first.weight, jacobian(lambda x: module.norm(module.first(x)), (5,))
    )
    torch.testing.assert_close(last.weight, module.last.weight.detach())


@pytest.mark.parametrize(("convolution", "shape"), CONVOLUTIONS)
def test_a_convolutions_norm_is_that_of_its_matrix(convolution, shape):
    convolution = convolution.double()
    (layer,) = linear_layers(convolution, torch.zeros(1, *shape, dtype=torch.float64))
    expected = np.linalg.norm(jacobian(convolution, shape).numpy(), 2)
    assert layer.spectral_norm() == pytest.approx(expected, rel=1e-9)
    assert layer.frobenius_norm() == pytest.approx(convolution.weight.norm().item())


@pytest.mark.parametrize(
    "change",
    [
        lambda layer: prune.l1_unstructured(layer, "weight", 0.5),
        parametrizations.spectral_norm,
        parametrizations.weight_norm,
    ],
)
def test_weights_that_are_computed_count_as_they_are_in_the_forward_pass(change):
    convolution = nn.Conv2d(2, 4, 3, padding=1).double()
    change(convolution)
    convolution.eval()
    matrix = jacobian(convolution, (2, 5, 5))
    example = torch.zeros(1, 2, 5, 5, dtype=torch.float64)
    (layer,) = linear_layers(convolution, example)
    assert layer.spectral_norm() == pytest.approx(torch.linalg.matrix_norm(matrix, 2).item())
    assert log_path_norm(convolution, example) == pytest.approx(matrix.norm().log().item())


@pytest.mark.parametrize(
    ("module", "shape", "n_layers"),
    [
        (MLP((7,), 3, dropout=0.1), (7,), 4),
        (MLP((7,), 3, embeddings=None), (7,), 3),
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
@pytest.mark.parametrize("function", [linear_layers, log_path_norm])
def test_what_is_no_chain_raises_and_names_a_scale_that_works(module, shape, function):
    with pytest.raises(TypeError, match="scale='distance' works"):
        function(module.eval(), torch.zeros(1, *shape))


def test_looking_at_a_network_does_not_change_it():
    module = randomised(ConvNet((8, 8), 3, channels=(4,)))
    state = {name: value.clone() for name, value in module.state_dict().items()}
    keys = {name: set(vars(part)) for name, part in module.named_modules()}
    drawn = torch.get_rng_state()
    log_path_norm(module, torch.zeros(1, 8, 8, dtype=torch.float64))
    for layer in linear_layers(module, torch.zeros(1, 8, 8, dtype=torch.float64)):
        layer.spectral_norm()
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
    assert keys == {name: set(vars(part)) for name, part in module.named_modules()}
    assert all(parameter.requires_grad for parameter in module.parameters())
    assert torch.equal(torch.get_rng_state(), drawn)
