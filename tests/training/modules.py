"""Small settings and modules of a user, for the tests of training."""

import torch
from torch import nn

SMALL = {
    "module__hidden_layer_sizes": (16,),
    "max_epochs": 5,
    "random_state": 0,
    "device": "cpu",
}


class FixedSizes(nn.Module):
    """A user's module that knows nothing of this package."""

    def __init__(self, width=12):
        super().__init__()
        self.first = nn.Linear(64, width)
        self.second = nn.Linear(width, 10)

    def forward(self, x):
        return self.second(torch.relu(self.first(x)))


def sized_by_factory(input_shape, n_classes):
    return nn.Sequential(nn.Linear(input_shape[0], n_classes))
