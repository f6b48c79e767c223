"""What a module takes and returns is tried before training."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from margin_sklearn import MLP, MarginClassifier
from margin_sklearn.training.trial_runs import try_module
from tests.training.modules import SMALL, FixedSizes, sized_by_factory


class Probabilities(FixedSizes):
    def forward(self, x):
        return super().forward(x).softmax(dim=1)


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


@pytest.mark.parametrize("criterion", ["smooth_cross_entropy", "cross_entropy"])
@pytest.mark.parametrize("smoothing", [-1.0, 2, float("nan"), "much", None])
def test_label_smoothing_is_a_share(iris, criterion, smoothing):
    """torch takes negative ones and NaN for 0."""
    estimator = MarginClassifier(criterion=criterion, criterion__label_smoothing=smoothing)
    with pytest.raises((ValueError, TypeError), match="label_smoothing"):
        estimator.fit(*iris)


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (MLP((20,), 3), (20,)),
        (MLP((4, 5), 3, hidden_layer_sizes=(7,)), (4, 5)),
        (MLP((6,), 3, embeddings="periodic", dropout=0.1), (6,)),
        (nn.Sequential(nn.Linear(4, 5, bias=False), nn.Tanh(), nn.Linear(5, 3)), (4,)),
    ],
)
def test_operations_of_known_layers_are_counted_as_torch_counts(module, shape):
    X = np.zeros((2, *shape), dtype=np.float32)
    _, flops = try_module(module, X, 0.0, 3, torch.device("cpu"))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module.eval()(torch.zeros(2, *shape))
    assert flops == counter.get_total_flops() / 2 > 0
