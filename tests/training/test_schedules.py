"""Schedules of learning rates continue where they were."""

import pickle

import pytest
import torch
from skorch.callbacks import LRScheduler

from margin_sklearn import MarginClassifier

SMALL = {
    "module__hidden_layer_sizes": (4,),
    "optimizer": "sgd",
    "lr": 1.0,
    "lr_schedule": "constant",
    "random_state": 0,
    "device": "cpu",
}
BY_EPOCH = [
    ("StepLR", {"step_size": 2, "gamma": 0.5}),
    ("MultiStepLR", {"milestones": [1, 2, 5], "gamma": 0.5}),
    ("ExponentialLR", {"gamma": 0.5}),
    ("CosineAnnealingLR", {"T_max": 5}),
    ("LambdaLR", {"lr_lambda": lambda epoch: 1 / (1 + epoch)}),
    ("WarmRestartLR", {"base_period": 3}),
    (torch.optim.lr_scheduler.LinearLR, {"total_iters": 4}),
]
BY_BATCH = [
    (torch.optim.lr_scheduler.OneCycleLR, {"max_lr": 1.0, "total_steps": 18}),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 4}),
]


def rates(estimator):
    return estimator.history_[:, "event_lr"]


def schedule(policy, arguments):
    return LRScheduler(policy=policy, **arguments)


def test_a_step_is_made_once(iris):
    X, y = iris
    settings = {**SMALL, "callbacks": [schedule("StepLR", {"step_size": 2, "gamma": 0.5})]}
    whole = MarginClassifier(**settings, max_epochs=4).fit(X, y)
    warm = MarginClassifier(**settings, max_epochs=2, warm_start=True).fit(X, y).fit(X, y)
    partial = MarginClassifier(**settings)
    for _ in range(4):
        partial.partial_fit(X, y, classes=[0, 1, 2])
    for estimator in (whole, warm, partial):
        assert rates(estimator) == [1, 1, 0.5, 0.5]
        assert estimator.net_.optimizer_.param_groups[0]["lr"] == 0.25


@pytest.mark.parametrize(("policy", "arguments"), BY_EPOCH)
def test_every_schedule_continues(iris, policy, arguments):
    X, y = iris
    settings = {**SMALL, "callbacks": [schedule(policy, arguments)], "warm_start": True}
    whole = MarginClassifier(**settings, max_epochs=6).fit(X, y)
    parts = MarginClassifier(**settings, max_epochs=2).fit(X, y)
    if policy != "LambdaLR":
        parts = pickle.loads(pickle.dumps(parts))
    parts.fit(X, y).partial_fit(X, y).partial_fit(X, y)
    assert rates(parts) == pytest.approx(rates(whole), rel=1e-12)


@pytest.mark.parametrize(("policy", "arguments"), BY_BATCH)
def test_schedules_by_batches_continue(iris, policy, arguments):
    X, y = iris
    callback = LRScheduler(policy=policy, step_every="batch", **arguments)
    settings = {**SMALL, "callbacks": [callback], "warm_start": True}
    whole = MarginClassifier(**settings, max_epochs=6).fit(X, y)
    parts = MarginClassifier(**settings, max_epochs=2).fit(X, y).fit(X, y).fit(X, y)
    for row, expected in zip(parts.history_, whole.history_, strict=True):
        found = [batch["event_lr"] for batch in row["batches"]]
        assert found == pytest.approx([batch["event_lr"] for batch in expected["batches"]])
    group = parts.net_.optimizer_.param_groups[0]
    assert group["momentum"] == whole.net_.optimizer_.param_groups[0]["momentum"]


def test_plateaus_are_remembered(iris):
    X, y = iris
    callback = LRScheduler(policy="ReduceLROnPlateau", threshold=1e9, patience=1)
    settings = {**SMALL, "lr": 1e-3, "callbacks": [callback], "warm_start": True}
    whole = MarginClassifier(**settings, max_epochs=6).fit(X, y)
    parts = MarginClassifier(**settings, max_epochs=1)
    for _ in range(6):
        parts.fit(X, y)
    assert rates(parts) == rates(whole)
    assert rates(whole)[-1] < 1e-3


def test_a_new_learning_rate_is_what_the_schedule_goes_on_with(iris):
    X, y = iris
    for policy, arguments in BY_EPOCH[:1] + BY_EPOCH[4:5]:
        settings = {**SMALL, "callbacks": [schedule(policy, arguments)], "max_epochs": 1}
        estimator = MarginClassifier(**settings, warm_start=True).fit(X, y)
        estimator.set_params(lr=0.1, max_epochs=3).fit(X, y)
        assert rates(estimator)[1] == 0.1
        assert rates(estimator)[3] < 0.1
