"""Modules and functions of a user's own package."""

import numpy as np
import torch
from skorch.callbacks import Callback

from margin_sklearn import MLP


class Net(torch.nn.Module):
    def __init__(self, input_shape, n_classes, width=8):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(input_shape[0], width), torch.nn.ReLU(), torch.nn.Dropout(0.1)
        )
        self.last = torch.nn.Linear(width, n_classes)

    def forward(self, x):
        return self.last(self.layers(x))


class Wider(Net):
    def __init__(self, input_shape, n_classes):
        super().__init__(input_shape, n_classes, width=16)


class Lazy(torch.nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.LazyLinear(8), torch.nn.ReLU(), torch.nn.LazyLinear(n_classes)
        )

    def forward(self, x):
        return self.layers(x)


class WithExtraState(Net):
    """Multiplies its logits by a number that is no tensor."""

    factor = 1.0

    def forward(self, x):
        if self.training:
            self.factor *= 1.01
        return super().forward(x) * self.factor

    def get_extra_state(self):
        return {"factor": self.factor}

    def set_extra_state(self, state):
        self.factor = state["factor"]


class WithHiddenState(Net):
    """The same, and nobody can know."""

    factor = 1.0

    def forward(self, x):
        if self.training:
            self.factor *= 1.01
        return super().forward(x) * self.factor


class WithRandomFeatures(Net):
    """Draws a projection that is not registered as a buffer."""

    def __init__(self, input_shape, n_classes):
        super().__init__(input_shape, n_classes)
        self.projection = torch.randn(input_shape[0], input_shape[0])

    def forward(self, x):
        return super().forward(x @ self.projection)


class Codes(torch.nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.embedding = torch.nn.Embedding(10, 4)
        self.last = torch.nn.Linear(4, n_classes)

    def forward(self, x):
        return self.last(self.embedding(x).mean(dim=1))


class Double(Net):
    def __init__(self, input_shape, n_classes):
        super().__init__(input_shape, n_classes)
        self.double()


class Tied(torch.nn.Module):
    def __init__(self, input_shape, n_classes):
        super().__init__()
        n = input_shape[0]
        self.first, self.second = torch.nn.Linear(n, n), torch.nn.Linear(n, n)
        self.second.weight = self.first.weight
        self.last = torch.nn.Linear(n, n_classes)

    def forward(self, x):
        return self.last(self.second(self.first(x).relu()).relu())


class Counting(Callback):
    def initialize(self):
        self.n_epochs_ = 0
        return self

    def on_epoch_end(self, net, **kwargs):
        self.n_epochs_ += 1


def small_mlp(input_shape, n_classes):
    return MLP(input_shape, n_classes, hidden_layer_sizes=(8,))


def halved(epoch):
    return 0.5**epoch


def doubled(X):
    return 2 * np.asarray(X)


class CountsSteps(Net):
    """Its dropout depends on a number that is neither a parameter nor a buffer."""

    steps = 0

    def forward(self, x):
        if self.training:
            self.steps += 1
            self.layers[2].p = min(0.5, 0.02 * self.steps)
        return super().forward(x)


class WithGenerator(Net):
    """Adds noise in training, from a generator of its own."""

    def __init__(self, input_shape, n_classes):
        super().__init__(input_shape, n_classes)
        self.random = torch.Generator().manual_seed(0)

    def forward(self, x):
        if self.training:
            x = x + 0.1 * torch.randn(x.shape, generator=self.random)
        return super().forward(x)


class CodesWithHiddenState(Codes):
    """Codes begin at 1, and the logits are multiplied by a hidden number."""

    factor = 1.0

    def forward(self, x):
        if self.training:
            self.factor *= 1.02
        return super().forward(x.long() - 1) * self.factor


class GrowingLoss(torch.nn.CrossEntropyLoss):
    factor = 1.0

    def forward(self, logits, targets):
        self.factor *= 1.05
        return super().forward(self.factor * logits, targets)


class FreezesItself(Net):
    def __init__(self, input_shape, n_classes):
        super().__init__(input_shape, n_classes)
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, x):
        if self.training:
            self.steps += 1
            if self.steps == 5:
                self.last.requires_grad_(False)
        return super().forward(x)


class Sparse(Net):
    def __init__(self, input_shape, n_classes):
        super().__init__(input_shape, n_classes)
        self.register_buffer("links", torch.eye(3).to_sparse())
