import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, prune

from margin_sklearn import MLP, ConvNet
from margin_sklearn.scales.chain import linear_layers
from margin_sklearn.scales.path_norm import log_path_norm


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


# --- path norms -----------------------------------------------------------------------------


def by_matrices(steps, shape):
    """Path norm of a chain of linear maps, from their matrices."""
    x = torch.zeros(1, *shape, dtype=torch.float64)
    sums = torch.ones(x.numel(), dtype=torch.float64)
    for step in steps:
        sums = jacobian(step, x.shape[1:]).square() @ sums
        x = step(x)
    return sums.sum().sqrt().item()


def path_norm(module, shape):
    return math.exp(log_path_norm(module, torch.zeros(1, *shape, dtype=torch.float64)))


def test_the_path_norm_is_that_of_all_paths():
    module = nn.Sequential(
        nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2)
    ).double()
    first, second, third = (layer.weight.detach().numpy() for layer in module[::2])
    paths = [
        first[b, a] * second[c, b] * third[d, c]
        for a, b, c, d in itertools.product(range(3), range(4), range(5), range(2))
    ]
    assert len(paths) == 120
    assert path_norm(module, (3,)) == pytest.approx(np.linalg.norm(paths))


@pytest.mark.parametrize(("convolution", "shape"), CONVOLUTIONS)
def test_paths_through_a_convolution_are_those_through_its_matrix(convolution, shape):
    convolution = convolution.double()
    if convolution.padding_mode == "reflect":
        # An input and its reflection: two paths, where the matrix has their sum.
        matrix = jacobian(
            lambda x: F.conv2d(x, convolution.weight, groups=convolution.groups),
            (shape[0], *(side + 2 for side in shape[1:])),
        )
    else:
        matrix = jacobian(convolution, shape)
    assert path_norm(convolution, shape) == pytest.approx(matrix.norm().item())


AVERAGES = [
    (nn.AvgPool2d(2), (3, 6, 4)),
    (nn.AvgPool2d(3, stride=2, padding=1), (2, 7, 6)),
    (nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False), (2, 7, 6)),
    (nn.AvgPool2d((3, 2), stride=(1, 2), ceil_mode=True), (2, 7, 5)),
    (nn.AvgPool2d(3, padding=1, ceil_mode=True, divisor_override=5), (2, 7, 6)),
    (nn.AvgPool1d(3, stride=2, padding=1, ceil_mode=True), (2, 10)),
    (nn.AvgPool1d(4, stride=1, padding=2, count_include_pad=False), (2, 9)),
    (nn.AvgPool3d(2, stride=1, padding=1), (2, 3, 4, 3)),
    (nn.AdaptiveAvgPool1d(3), (2, 7)),
    (nn.AdaptiveAvgPool2d((3, None)), (2, 7, 4)),
    (nn.AdaptiveAvgPool3d(2), (1, 3, 5, 4)),
]
FUNCTIONS = [
    (lambda x: x.mean(dim=2), (3, 5)),
    (lambda x: torch.mean(x, (1, 3), keepdim=True), (3, 5, 4)),
    (lambda x: F.avg_pool2d(x, 3, 2, 1, False, False), (2, 7, 6)),
    (lambda x: F.avg_pool1d(x, 3, padding=1), (2, 7)),
    (lambda x: F.adaptive_avg_pool2d(input=x, output_size=(2, 3)), (2, 5, 7)),
]


class Called(nn.Module):
    def __init__(self, function, layer):
        super().__init__()
        self.function, self.layer = function, layer

    def forward(self, x):
        return torch.flatten(self.function(self.layer(x)), 1)


@pytest.mark.parametrize(("average", "shape"), AVERAGES + FUNCTIONS)
def test_averages_count_with_the_squares_of_their_weights(average, shape):
    width = shape[-1]
    layer = randomised(
        nn.BatchNorm2d(shape[0]) if len(shape) == 3 else nn.Linear(width, width)
    )
    expected = by_matrices([layer, average], shape)
    assert path_norm(Called(average, layer), shape) == pytest.approx(expected)


def test_paths_through_a_network_of_all_kinds_of_layers():
    first = nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2)
    parts = [first, nn.BatchNorm2d(4), nn.ReLU6(), nn.AvgPool2d(2), nn.BatchNorm2d(4)]
    parts += [nn.Conv2d(4, 3, 2, padding=1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(48, 5)]
    parts += [nn.Unflatten(1, (5, 1)), nn.Flatten(), nn.BatchNorm1d(5), nn.Sigmoid()]
    module = randomised(nn.Sequential(*parts, nn.Linear(5, 3)))
    linear = [part for part in module if not isinstance(part, (nn.ReLU6, nn.Sigmoid))]
    expected = by_matrices(linear, (2, 12, 12))
    assert path_norm(module, (2, 12, 12)) == pytest.approx(expected)


def test_a_max_pooling_lets_through_what_makes_the_path_norm_largest():
    # Padding, so that positions differ in the paths that end there.
    module = nn.Sequential(
        nn.Conv1d(1, 2, 2, stride=2, padding=1), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(4, 2)
    ).double()
    first, last = jacobian(module[0], (1, 6)).square(), module[3].weight.detach().square()
    norms = []
    for choices in itertools.product((0, 1), repeat=4):
        chosen = [2 * window + choice for window, choice in enumerate(choices)]
        norms.append((last @ first[chosen]).sum().sqrt().item())
    assert min(norms) < max(norms)
    assert path_norm(module, (1, 6)) == pytest.approx(max(norms))


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 3)), (5,)),
        (nn.Sequential(nn.BatchNorm1d(5), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)), (5,)),
        (nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.BatchNorm1d(4)), (5,)),
        (WrongOrder(), (5,)),
    ],
)
def test_batch_norm_counts_as_folded(module, shape):
    module = randomised(module)
    folded = []
    for layer in linear_layers(module, torch.zeros(1, *shape, dtype=torch.float64)):
        folded.append(nn.Linear(*layer.weight.T.shape, bias=False, dtype=torch.float64))
        folded[-1].weight = nn.Parameter(layer.weight)
    assert path_norm(module, shape) == pytest.approx(path_norm(nn.Sequential(*folded), shape))


def test_path_norms_beyond_floats_and_of_nothing():
    module = nn.Sequential(*(nn.Linear(3, 3, bias=False) for _ in range(40))).double()
    with torch.no_grad():
        for layer in module:
            layer.weight.copy_(torch.eye(3, dtype=torch.float64) * 1e200)
    example = torch.zeros(1, 3, dtype=torch.float64)
    assert log_path_norm(module, example) == pytest.approx(
        40 * math.log(1e200) + math.log(3) / 2
    )
    with torch.no_grad():
        # Each layer has weights, and no path has one at each layer.
        module[0].weight.copy_(torch.diag(torch.tensor([1.0, 0.0, 0.0])))
        module[1].weight.copy_(torch.diag(torch.tensor([0.0, 1.0, 1.0])))
    assert log_path_norm(module, example) == -math.inf
