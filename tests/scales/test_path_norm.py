import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from margin_sklearn.scales.chain import linear_layers
from margin_sklearn.scales.path_norm import log_path_norm

from .networks import CONVOLUTIONS, WrongOrder, jacobian, randomised


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
