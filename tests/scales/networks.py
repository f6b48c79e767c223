"""Networks that several tests of scales use, and their scaled margins and Jacobians."""

import dataclasses

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from margin_sklearn.adapters.network import Network
from margin_sklearn.scales.registry import SAMPLE_SIZES, SCALES


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


CONVOLUTIONS = [
    (nn.Conv1d(3, 5, 4, padding=2, stride=3), (3, 11)),
    (nn.Conv2d(3, 4, 3, padding=1), (3, 6, 7)),
    (nn.Conv2d(2, 4, 3, padding="same", dilation=2, padding_mode="circular"), (2, 7, 6)),
    (nn.Conv2d(4, 4, 3, padding=1, groups=2, padding_mode="reflect"), (4, 5, 5)),
    (nn.Conv3d(1, 3, 2, stride=2), (1, 6, 4, 4)),
    (nn.Conv2d(1, 1, 1), (1, 3, 3)),
    (nn.Conv2d(1, 16, 3), (1, 12, 12)),
]


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
