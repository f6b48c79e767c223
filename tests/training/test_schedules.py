"""Schedules of learning rates: by name, of torch, and the user's own, which continue."""

import math
import pickle

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, LRScheduler
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, OneCycleLR, StepLR

from margin_sklearn import MarginClassifier
from margin_sklearn.training.schedules import one_cycle

SMALL = {
    "module__hidden_layer_sizes": (4,),
    "optimizer": "sgd",
    "lr": 1.0,
    "lr_schedule": "constant",
    "batch_size": 64,
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


# --- lr_schedule --------------------------------------------------------------------------


class Rates(Callback):
    """The learning rate of every step, per group of parameters."""

    def on_train_begin(self, net, **kwargs):
        self.rates = []

    def on_grad_computed(self, net, **kwargs):
        self.rates.append([group["lr"] for group in net.optimizer_.param_groups])


def fitted(X, y, **settings):
    settings = {
        "random_state": 0,
        "device": "cpu",
        "batch_size": 50,
        "max_epochs": 4,
    } | settings
    settings.setdefault("module__hidden_layer_sizes", (4,))
    return MarginClassifier(**settings, callbacks=[("rates", Rates)]).fit(X, y)


def rates_of(estimator):
    return np.array(dict(estimator.net_.callbacks_)["rates"].rates)[:, 0]


def torch_rates(policy, n_steps, lr, **arguments):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = policy(optimizer, **arguments)
    found = []
    for step in range(n_steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < n_steps - 1:
            scheduler.step()
    return found


@pytest.mark.parametrize("n_steps", [2, 3, 4, 5, 10, 11, 100, 317])
def test_one_cycle_is_torchs(n_steps):
    expected = torch_rates(
        OneCycleLR, n_steps, 1.0, max_lr=1.0, total_steps=n_steps, cycle_momentum=False
    )
    np.testing.assert_allclose(one_cycle(n_steps), expected, rtol=1e-12)


def test_a_single_step_is_at_the_peak(iris):
    assert one_cycle(1) == [1.0]
    assert rates_of(fitted(*iris, batch_size=-1, max_epochs=1)) == [1e-2]


def test_one_cycle_spans_each_fit(iris):
    X, y = iris
    estimator = fitted(X, y, warm_start=True)
    np.testing.assert_allclose(rates_of(estimator), 1e-2 * one_cycle(12), rtol=1e-12)
    estimator.set_params(max_epochs=2, batch_size=-1, lr=0.5).fit(X, y)
    np.testing.assert_allclose(rates_of(estimator), 0.5 * one_cycle(2), rtol=1e-12)
    # 121 samples in batches of 40: the last batch holds 41.
    estimator.set_params(batch_size=40).fit(X[29:], y[29:])
    np.testing.assert_allclose(rates_of(estimator), 0.5 * one_cycle(6), rtol=1e-12)
    estimator.set_params(lr_schedule="constant").fit(X, y)
    assert set(rates_of(estimator)) == {0.5}


def test_partial_fit_is_at_the_constant_rate(iris):
    X, y = iris
    estimator = fitted(X, y, warm_start=True)
    estimator.partial_fit(X, y)
    assert set(rates_of(estimator)) == {1e-3}
    estimator.fit(X, y)
    np.testing.assert_allclose(rates_of(estimator), 1e-2 * one_cycle(12), rtol=1e-12)
    estimator.set_params(lr=0.3, lr_schedule=CosineAnnealingLR).partial_fit(X, y)
    assert set(rates_of(estimator)) == {0.3}


def test_the_constant_rate(iris):
    assert set(rates_of(fitted(*iris, lr_schedule="constant"))) == {1e-3}
    assert set(rates_of(fitted(*iris, lr_schedule="constant", lr=0.25))) == {0.25}


def test_groups_of_parameters_keep_their_own_rate(iris):
    X, y = iris
    groups = [("0.*", {"lr": 0.3})]
    estimator = fitted(X, y, optimizer__param_groups=groups, warm_start=True)

    def each():
        return np.array(dict(estimator.net_.callbacks_)["rates"].rates)

    np.testing.assert_allclose(each(), one_cycle(12)[:, None] * [0.3, 1e-2], rtol=1e-12)
    estimator.partial_fit(X, y)
    assert (each() == [0.3, 1e-3]).all()
    estimator.fit(X, y)
    np.testing.assert_allclose(each(), one_cycle(12)[:, None] * [0.3, 1e-2], rtol=1e-12)


@pytest.mark.parametrize(
    ("policy", "given", "filled"),
    [
        (OneCycleLR, {"cycle_momentum": False}, {"max_lr": 0.1, "total_steps": 12}),
        (OneCycleLR, {"max_lr": 0.3, "total_steps": 20, "cycle_momentum": False}, {}),
        (
            OneCycleLR,
            {"epochs": 4, "steps_per_epoch": 3, "cycle_momentum": False},
            {"max_lr": 0.1},
        ),
        (CosineAnnealingLR, {}, {"T_max": 12}),
        (torch.optim.lr_scheduler.PolynomialLR, {"power": 2.0}, {"total_iters": 12}),
        (torch.optim.lr_scheduler.LinearLR, {"total_iters": 3}, {}),
        # Five steps at a third of the rate, as torch has it.
        (torch.optim.lr_scheduler.ConstantLR, {}, {}),
        (torch.optim.lr_scheduler.StepLR, {"step_size": 5}, {}),
        (torch.optim.lr_scheduler.LambdaLR, {"lr_lambda": lambda step: 1 / (1 + step)}, {}),
    ],
)
def test_classes_of_torch_are_stepped_per_batch(iris, policy, given, filled):
    nested = {f"lr_schedule__{name}": value for name, value in given.items()}
    estimator = fitted(*iris, lr=0.1, lr_schedule=policy, warm_start=True, **nested)
    expected = torch_rates(policy, 12, 0.1, **given, **filled)
    np.testing.assert_allclose(rates_of(estimator), expected, rtol=1e-12)
    estimator.fit(*iris)
    np.testing.assert_allclose(rates_of(estimator), expected, rtol=1e-12)


def test_nothing_of_a_schedule_stays_in_the_optimizer(iris):
    X, y = iris
    fresh = fitted(X, y, lr_schedule="constant").net_.optimizer_.param_groups[0]
    for schedule in ("one_cycle", OneCycleLR):
        estimator = fitted(X, y, lr_schedule=schedule)
        (group,) = pickle.loads(pickle.dumps(estimator)).net_.optimizer_.param_groups
        assert {name: value for name, value in group.items() if name != "params"} == {
            **{name: value for name, value in fresh.items() if name != "params"},
            "lr": 1e-2,
        }


class Reloading(Callback):
    """Loads a state of the optimizer, which replaces its groups of parameters."""

    def reload(self, net):
        net.optimizer_.load_state_dict(net.optimizer_.state_dict())

    def on_epoch_end(self, net, **kwargs):
        self.reload(net)

    def on_train_end(self, net, **kwargs):
        self.reload(net)


@pytest.mark.parametrize("schedule", ["one_cycle", OneCycleLR])
def test_callbacks_may_load_states_of_the_optimizer(iris, schedule):
    settings = {"lr_schedule": schedule, "lr": 0.1, "warm_start": True, "max_epochs": 4}
    settings |= {"batch_size": 50, "device": "cpu", "random_state": 0}
    if schedule is OneCycleLR:
        settings["lr_schedule__cycle_momentum"] = False
    callbacks = [("rates", Rates), ("reloading", Reloading)]
    estimator = MarginClassifier(**settings, callbacks=callbacks)
    for _ in range(2):
        estimator.fit(*iris)
        np.testing.assert_allclose(rates_of(estimator), 0.1 * one_cycle(12), rtol=1e-12)
        assert estimator._run.lr == 0.1


def test_what_callbacks_set_in_the_optimizer_stays(iris):
    class Setting(Callback):
        def on_epoch_end(self, net, **kwargs):
            for group in net.optimizer_.param_groups:
                group["weight_decay"] = 0.7

    for schedule in ("one_cycle", "constant"):
        estimator = MarginClassifier(
            lr_schedule=schedule, callbacks=[Setting()], max_epochs=2, device="cpu"
        ).fit(*iris)
        assert estimator.net_.optimizer_.param_groups[0]["weight_decay"] == 0.7


def test_parameters_that_a_callback_adds_follow_the_cycle(iris):
    """Gradual fine-tuning: the first layer is trained from the third epoch on."""

    class Thawing(Callback):
        def on_train_begin(self, net, **kwargs):
            for group in net.optimizer_.param_groups[:1]:
                self.first, *group["params"] = group["params"]

        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 3:
                net.optimizer_.add_param_group({"params": [self.first], "lr": 0.05})

    estimator = MarginClassifier(
        callbacks=[("thawing", Thawing), ("rates", Rates)],
        batch_size=50,
        max_epochs=4,
        device="cpu",
    ).fit(*iris)
    rates = dict(estimator.net_.callbacks_)["rates"].rates
    assert [len(of_groups) for of_groups in rates] == [1] * 6 + [2] * 6
    of_added = np.array([of_groups[1] for of_groups in rates[7:]])
    np.testing.assert_allclose(of_added, 0.05 * one_cycle(12)[7:], rtol=1e-12)
    assert [group["lr"] for group in estimator.net_.optimizer_.param_groups] == [1e-2, 0.05]


def test_a_rate_of_their_own_may_be_that_of_all(iris):
    X, y = iris
    groups = [("0.*", {"lr": 1e-2, "weight_decay": 0.0})]
    estimator = fitted(X, y, optimizer__param_groups=groups, warm_start=True)
    estimator.set_params(lr=0.3, weight_decay=0.1).fit(X, y)
    settings = [
        (group["lr"], group["weight_decay"])
        for group in estimator.net_.optimizer_.param_groups
    ]
    assert settings == [(1e-2, 0.0), (0.3, 0.1)]


def test_an_interrupted_cycle_leaves_the_peak(iris):
    class Interrupting(Callback):
        def on_batch_end(self, net, training=False, **kwargs):
            raise KeyboardInterrupt

    estimator = MarginClassifier(callbacks=[Interrupting()], device="cpu")
    with pytest.warns(UserWarning, match="interrupted"):
        estimator.fit(*iris)
    assert estimator.net_.optimizer_.param_groups[0]["lr"] == 1e-2


def test_until_separation_the_rate_is_constant(binary):
    """One cycle would need to know when that will be; a schedule of torch is followed."""
    X, y = binary
    settings = {"module__hidden_layer_sizes": (64,), "module__dropout": 0.0, "max_epochs": 400}
    settings |= {"stop_at_separation": 0.8}
    assert set(rates_of(fitted(X, y, **settings))) == {1e-3}
    assert set(rates_of(fitted(X, y, lr=0.005, **settings))) == {0.005}
    # So a schedule of the user's own is no second one.
    MarginClassifier(callbacks=[schedule("StepLR", {"step_size": 9})], **settings).fit(X, y)
    exponential = {"lr_schedule": torch.optim.lr_scheduler.ExponentialLR}
    estimator = fitted(X, y, **settings, **exponential, lr_schedule__gamma=0.999)
    rates = rates_of(estimator)
    np.testing.assert_allclose(rates, 1e-3 * 0.999 ** np.arange(len(rates)))
    assert estimator._run.lr == 1e-3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr_schedule": "cosine"}, "lr_schedule must be one of 'one_cycle', 'constant' or"),
        ({"lr_schedule": None}, "lr_schedule must be one of"),
        ({"lr_schedule": torch.optim.SGD}, "class of torch.optim.lr_scheduler"),
        ({"lr_schedule": OneCycleLR(torch.optim.SGD([torch.zeros(1)]), 1, 2)}, "one of"),
        (
            {"lr_schedule": torch.optim.lr_scheduler.ReduceLROnPlateau},
            "lr_schedule='constant' and pass skorch's",
        ),
        (
            {"lr_schedule__pct_start": 0.1},
            "'one_cycle' has no parameters, got lr_schedule__pct",
        ),
        ({"lr_schedule": "constant", "lr_schedule__gamma": 1}, "'constant' has no parameters"),
        (
            {"lr_schedule": torch.optim.lr_scheduler.CyclicLR},
            r"CyclicLR cannot be built: .*base_lr.*lr_schedule__NAME",
        ),
        (
            {"lr_schedule": OneCycleLR, "lr_schedule__pct": 1},
            "with {'pct': 1} cannot be built",
        ),
        ({"lr_schedule": torch.optim.lr_scheduler.LRScheduler}, "cannot be built: NotImpl"),
        ({"lr_schedule": torch.optim.lr_scheduler.SequentialLR}, "pass a subclass whose"),
        ({"lr_schedule": torch.optim.lr_scheduler.ChainedScheduler}, "pass a subclass whose"),
        (
            {"lr_schedule": StepLR, "lr_schedule__step_size": 0},
            "StepLR with {'step_size': 0} .*zero",
        ),
        (
            {"lr_schedule": StepLR, "lr_schedule__step_size": "a"},
            "StepLR with {'step_size': 'a'}",
        ),
        (
            {"lr_schedule": OneCycleLR, "lr_schedule__total_steps": 4},
            "OneCycleLR with {'total_steps': 4} fails: Tried to step 5 times.*makes 6 steps",
        ),
        (
            {"lr_schedule": LambdaLR, "lr_schedule__lr_lambda": lambda step: 1 - step},
            r"gives the learning rate -0.001 in step 3",
        ),
        (
            {
                "lr_schedule": StepLR,
                "lr_schedule__step_size": 1,
                "lr_schedule__gamma": math.nan,
            },
            "gives the learning rate nan in step 2",
        ),
        ({"callbacks": [LRScheduler()]}, "LRScheduler, and lr_schedule='one_cycle' sets"),
        ({"callbacks": [("mine", LRScheduler)]}, "set lr_schedule='constant'"),
        ({"lr": "high"}, "lr must be 'auto' or a"),
        ({"max_epochs": "many"}, "max_epochs must be 'auto' or an integer"),
    ],
)
def test_what_cannot_be_a_schedule_is_refused(iris, settings, message):
    estimator = MarginClassifier(**{"max_epochs": 2, "batch_size": 50, **settings})
    with pytest.raises(ValueError, match=message):
        estimator.fit(*iris)
    assert not hasattr(estimator, "net_")
