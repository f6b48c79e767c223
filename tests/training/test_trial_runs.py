"""What a module takes and returns is tried before training."""

import pytest
import torch
from torch import nn

from margin_sklearn import (
    MarginClassifier,
)

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


class Probabilities(FixedSizes):
    def forward(self, x):
        return super().forward(x).softmax(dim=1)


def sized_by_factory(input_shape, n_classes):
    return nn.Sequential(nn.Linear(input_shape[0], n_classes))


@pytest.mark.parametrize(
    ("module", "match"),
    [
        (Probabilities, "returns probabilities"),
        (sized_by_factory, None),
        (lambda: nn.Linear(64, 3), "each of the 10 classes.*returned \\(2, 3\\)"),
        (lambda: nn.Linear(63, 10), "cannot take samples of shape \\(64,\\)"),
    ],
)
def test_modules_that_do_not_fit_the_data_raise(digits, module, match):
    estimator = MarginClassifier(module, max_epochs=1)
    if match is None:
        estimator.fit(*digits)
    else:
        with pytest.raises(ValueError, match=match):
            estimator.fit(*digits)


def test_single_samples_train_networks_without_batch_norm_only(iris):
    X, y = iris[0][::10], iris[1][::10]
    for settings in ({"batch_size": 1}, {}):
        estimator = MarginClassifier(**SMALL, **settings)
        rows = slice(None) if settings else slice(0, 1)
        with pytest.raises(ValueError, match="module__batch_norm=False"):
            estimator.partial_fit(X[rows], y[rows], classes=[0, 1, 2])
        estimator = MarginClassifier(**SMALL, **settings, module__batch_norm=False)
        estimator.partial_fit(X[rows], y[rows], classes=[0, 1, 2])
        assert estimator.predict(X).shape == y.shape
