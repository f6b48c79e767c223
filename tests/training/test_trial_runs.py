"""What a module takes and returns is tried before training."""

import pytest
from torch import nn

from margin_sklearn import (
    MarginClassifier,
)
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
