"""Weights of samples mean the same for every criterion and every reduction."""

import numpy as np
import pytest
import torch
from torch import nn

from margin_sklearn import MarginClassifier
from margin_sklearn.nn.losses import ExponentialLoss, LogisticLoss
from margin_sklearn.nn.weighted_loss import combination

SETTINGS = {
    "module__hidden_layer_sizes": (8,),
    "module__batch_norm": False,
    "module__dropout": 0.0,
    "optimizer": "sgd",
    "weight_decay": 0.0,
    "max_epochs": 15,
    "random_state": 0,
    "device": "cpu",
}
CLASS_WEIGHT = torch.tensor([0.2, 1.0, 5.0])


class Summed(nn.Module):
    """A user's own sum loss."""

    def __init__(self, reduction="sum"):
        super().__init__()
        self.reduction = reduction

    def forward(self, logits, target):
        losses = nn.functional.multi_margin_loss(logits, target, reduction="none")
        return losses.sum() if self.reduction == "sum" else losses


CRITERIA = {
    "mean": {"lr": 0.1},
    "sum": {"criterion__reduction": "sum", "lr": 1e-3},
    "class weights": {"criterion__weight": CLASS_WEIGHT, "lr": 0.1},
    "class weights, sum": {
        "criterion__weight": CLASS_WEIGHT,
        "criterion__reduction": "sum",
        "lr": 1e-3,
    },
    "smoothed": {"criterion__label_smoothing": 0.2, "lr": 0.1},
    "smoothed, class weights": {
        "criterion__label_smoothing": 0.2,
        "criterion__weight": CLASS_WEIGHT,
        "lr": 0.1,
    },
    "a class ignored": {"criterion__ignore_index": 1, "lr": 0.1},
    "exponential": {"criterion": "exponential", "lr": 0.01},
    "exponential, sum": {
        "criterion": "exponential",
        "criterion__reduction": "sum",
        "lr": 1e-4,
    },
    "logistic": {"criterion": "logistic", "lr": 0.1},
    "logistic, sum": {"criterion": "logistic", "criterion__reduction": "sum", "lr": 1e-3},
    "multi-margin": {"criterion": nn.MultiMarginLoss, "lr": 0.1},
    "the user's own": {"criterion": Summed, "lr": 1e-3},
}
every_criterion = pytest.mark.parametrize("name", list(CRITERIA))


def logits_of(data, name, weight=None, **settings):
    X, y = data
    estimator = MarginClassifier(**{**SETTINGS, **CRITERIA[name], **settings})
    return estimator.fit(X, y, sample_weight=weight).decision_function(data[0])


@every_criterion
@pytest.mark.parametrize("batch_size", [-1, 32])
def test_weights_of_almost_1_are_weights_of_1(iris, name, batch_size):
    plain = logits_of(iris, name, batch_size=batch_size)
    almost = np.ones(len(iris[1]))
    almost[::2] += 1e-7
    # They are rounded to float32, and so are the sums.
    weighted = logits_of(iris, name, almost, batch_size=batch_size)
    np.testing.assert_allclose(weighted, plain, rtol=1e-4, atol=1e-4)
    ones = logits_of(iris, name, np.ones(len(iris[1])), batch_size=batch_size)
    np.testing.assert_array_equal(ones, plain)


@every_criterion
def test_a_weight_of_2_is_the_sample_twice(iris, name):
    X, y = iris
    counts = np.random.default_rng(0).integers(1, 4, len(y))
    settings = {"batch_size": -1}
    if "sum" in name or "own" in name:
        # Weights count by their ratios: as many samples, each so much more.
        settings["lr"] = CRITERIA[name]["lr"] / counts.mean()
    estimator = MarginClassifier(**{**SETTINGS, **CRITERIA[name], **settings})
    repeated = estimator.fit(np.repeat(X, counts, axis=0), np.repeat(y, counts))
    expected = repeated.decision_function(X)
    found = logits_of(iris, name, counts, batch_size=-1)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("criterion", [nn.CrossEntropyLoss, ExponentialLoss, LogisticLoss])
def test_the_loss_of_a_batch_is_torchs(criterion, reduction):
    given = {"weight": CLASS_WEIGHT} if criterion is nn.CrossEntropyLoss else {}
    loss = criterion(reduction=reduction, **given)
    combine = combination(loss, 3, torch.device("cpu"))
    assert loss.reduction == reduction
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(12, 3, generator=generator)
    target = torch.randint(3, (12,), generator=generator)
    losses = criterion(reduction="none", **given)(logits, target)
    whole = loss(logits, target)
    torch.testing.assert_close(combine(losses, target, torch.ones(12)), whole)
    torch.testing.assert_close(combine(losses, target, torch.full((12,), 5.0)), 5 * whole)
    # .94 instead of 2.82: a mean by class weights is divided by their sum.
    counts = torch.tensor([1, 2, 3] * 4)
    twice = loss(logits.repeat_interleave(counts, 0), target.repeat_interleave(counts))
    relative = counts / counts.float().mean()
    factor = counts.float().mean() if reduction == "sum" else 1.0
    torch.testing.assert_close(combine(losses, target, relative) * factor, twice)


class NoMean(Summed):
    """Says mean, gives something else."""

    def forward(self, logits, target):
        losses = nn.functional.cross_entropy(logits, target, reduction="none")
        return losses if self.reduction == "none" else losses.mean() ** 2


class Deaf(Summed):
    """Has a reduction and pays no attention to it."""

    def forward(self, logits, target):
        return nn.functional.cross_entropy(logits, target)


class Named(Summed):
    """Has a reduction that torch's losses have not."""

    def forward(self, logits, target):
        losses = nn.functional.cross_entropy(logits, target, reduction="none")
        return losses if self.reduction == "none" else losses.mean()


@pytest.mark.parametrize(
    ("criterion", "reduction", "match"),
    [
        (NoMean, "mean", "NoMean: its loss of a batch.*is not the mean"),
        (Deaf, "mean", r"Deaf gives \(\) for"),
        (Named, "batchmean", "Named is 'batchmean'"),
    ],
)
def test_criteria_that_cannot_be_weighted_are_refused(iris, criterion, reduction, match):
    X, y = iris
    settings = {**SETTINGS, "max_epochs": 1, "criterion": criterion}
    estimator = MarginClassifier(**settings, criterion__reduction=reduction)
    estimator.fit(X, y)
    with pytest.raises(ValueError, match=match):
        estimator.fit(X, y, sample_weight=y + 1.0)
