"""From settings to module, optimizer and callbacks."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from skorch.callbacks import LRScheduler
from torch import nn

from margin_sklearn import (
    MLP,
    MarginClassifier,
)
from tests.training.modules import SMALL, FixedSizes, sized_by_factory


def test_parts_get_their_parameters(digits):
    estimator = MarginClassifier(
        **SMALL,
        optimizer="sgd",
        optimizer__momentum=0.7,
        criterion__label_smoothing=0.1,
        callbacks=[("schedule", LRScheduler)],
        callbacks__schedule__policy=torch.optim.lr_scheduler.ExponentialLR,
        callbacks__schedule__gamma=0.5,
        lr=0.1,
        lr_schedule="constant",
        weight_decay=0.02,
    ).fit(*digits)
    (group,) = estimator.net_.optimizer_.param_groups
    assert group["momentum"] == 0.7
    assert group["weight_decay"] == 0.02
    assert group["lr"] == pytest.approx(0.1 * 0.5**5)
    assert estimator.net_.criterion_.label_smoothing == 0.1
    assert estimator.net_.module_[0].out_features == 16


@pytest.mark.parametrize("module", [FixedSizes, sized_by_factory, MLP])
def test_modules_of_every_kind(digits, module):
    X, y = digits
    estimator = MarginClassifier(module, max_epochs=10, lr=1e-2, random_state=0).fit(X, y)
    assert estimator.score(X, y) > 0.95


def test_an_instance_is_copied_and_fine_tuned(digits):
    module = FixedSizes()
    before = module.first.weight.clone()
    a = MarginClassifier(module, max_epochs=1, random_state=0).fit(*digits)
    assert torch.equal(module.first.weight, before)
    moved = (a.net_.module_.first.weight - before).abs().max()
    assert 0 < moved < 0.1


def test_a_factory_must_make_a_module(digits):
    with pytest.raises(TypeError, match="made a int"):
        MarginClassifier(lambda: 3).fit(*digits)


def test_lazy_modules_are_sized_by_the_data(digits):
    estimator = MarginClassifier(nn.LazyLinear, module__out_features=10, max_epochs=2)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Lazy modules are a new feature")
        estimator.fit(*digits)
    assert estimator.net_.module_.in_features == 64
    assert estimator.net_.optimizer_.param_groups[0]["params"][0].shape == (10, 64)


@pytest.mark.parametrize("criterion", ["cross_entropy", "exponential", "logistic"])
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", torch.optim.RMSprop])
def test_losses_and_optimizers(iris, criterion, optimizer):
    estimator = MarginClassifier(
        criterion=criterion, optimizer=optimizer, lr=1e-2, max_epochs=40, random_state=0
    ).fit(*iris)
    assert estimator.score(*iris) > 0.9


def test_full_batch_lbfgs_finds_the_optimum_of_scikit_learn(binary):

    X, y = binary
    ours = MarginClassifier(
        module__hidden_layer_sizes=(),
        optimizer=torch.optim.LBFGS,
        optimizer__line_search_fn="strong_wolfe",
        criterion="cross_entropy",
        lr_schedule="constant",
        weight_decay=0,
        lr=1.0,
        max_epochs=60,
        batch_size=-1,
        random_state=0,
    ).fit(X, y)
    theirs = LogisticRegression(C=1e6, tol=1e-8).fit(X, y)
    np.testing.assert_allclose(
        ours.decision_function(X), theirs.decision_function(X), rtol=0.02, atol=0.02
    )
