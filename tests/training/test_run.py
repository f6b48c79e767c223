"""An error in fit or partial_fit leaves the estimator as it was; Ctrl-C what it learned."""

import copy
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from skorch.callbacks import Callback, LRScheduler
from torch import nn

from margin_sklearn import (
    MarginClassifier,
    MarginSubsetSelector,
    margin_auc_score,
    margins,
)
from margin_sklearn.adapters import Network

SMALL = {
    "module__hidden_layer_sizes": (12,),
    "max_epochs": 3,
    "random_state": 0,
    "device": "cpu",
}
# The only step: its loss is that of the weights before it.
LAST_STEP = {"weight_decay": 1e30, "max_epochs": 1, "batch_size": -1}


class Failing(Callback):
    """A user's callback that fails, or presses Ctrl-C, when it is told to."""

    when: tuple = ()
    kind: type[BaseException] = RuntimeError

    def _fail(self, net, event):
        if (event, len(net.history)) == Failing.when:
            raise Failing.kind("on purpose")

    def on_train_begin(self, net, **kwargs):
        self._fail(net, "train_begin")

    def on_batch_end(self, net, training=False, **kwargs):
        self._fail(net, "batch_end")

    def on_epoch_end(self, net, **kwargs):
        self._fail(net, "epoch_end")

    def on_train_end(self, net, **kwargs):
        self._fail(net, "train_end")


@pytest.fixture(autouse=True)
def _no_failure():
    Failing.when, Failing.kind = (), RuntimeError


def everything(estimator):
    """All that a fit has left, as comparable things."""
    net = estimator.net_
    state = {
        name: value
        for name, value in vars(estimator).items()
        if name.endswith("_") and name != "net_"
    }
    return {
        **{name: np.array(value).tolist() for name, value in state.items()},
        "weights": [v.tolist() for v in net.module_.state_dict().values()],
        "optimizer": repr(net.optimizer_.state_dict()),
        "history": copy.deepcopy(list(net.history)),
        "separated": (estimator.separated_, estimator.separation_epoch_),
        "random": [state.tolist() for state in estimator._run.generators],
        "callbacks": [name for name, _ in net.callbacks_],
        "settings": (net.lr, net.batch_size, net.max_epochs, net.criterion_.reduction),
    }


def broken_calls(X, y):
    """What fails, and how: settings, X, y, keyword arguments."""
    other = np.asarray(list("abcdefghij"))[y]
    nan = np.where(np.arange(X.size).reshape(X.shape) == 7, np.nan, X)
    return {
        "lr": ({"lr": -1}, X, other, {}),
        "weights": ({}, X, y, {"sample_weight": -np.ones(len(y))}),
        "NaN": ({}, nan, y, {}),
        "two columns of labels": ({}, X[:, :3], np.column_stack([y, y]), {}),
        "labels": ({}, X, y + 0.5, {}),
        "lengths": ({}, X, y[:-1], {}),
        "diverged": ({"lr": 1e30, "optimizer": "sgd"}, X, y, {}),
        "in the last step": (LAST_STEP, X, y, {}),
        "module": ({"module__hidden_layer_sizes": "x"}, X, y, {}),
        "criterion": ({"criterion": nn.BCEWithLogitsLoss}, X, y, {}),
        "large": ({}, X * 1e20, y, {}),
    }


NAMES = list(broken_calls(np.zeros((2, 4)), np.array([0, 1])))


@pytest.mark.parametrize("name", NAMES)
def test_a_failed_fit_leaves_the_fitted_network(digits, name):
    X, y = digits
    estimator = MarginClassifier(**SMALL).fit(X, y)
    before, answers = everything(estimator), estimator.predict_proba(X)
    settings, *data, arguments = broken_calls(X, y)[name]
    old = {key: estimator.get_params().get(key) for key in settings}
    with pytest.raises((ValueError, TypeError)):
        estimator.set_params(**settings).fit(*data, **arguments)
    estimator.set_params(**old)
    assert everything(estimator) == before
    np.testing.assert_array_equal(estimator.predict_proba(X), answers)


@pytest.mark.parametrize("name", NAMES)
def test_a_failed_first_fit_leaves_none(digits, name):
    settings, *data, arguments = broken_calls(*digits)[name]
    estimator = MarginClassifier(**{**SMALL, **settings})
    before = vars(estimator).copy()
    with pytest.raises((ValueError, TypeError)):
        estimator.fit(*data, **arguments)
    assert vars(estimator) == before
    with pytest.raises(NotFittedError):
        estimator.predict(digits[0])
    with pytest.raises((ValueError, TypeError)):
        estimator.partial_fit(*data, classes=np.arange(10), **arguments)
    assert vars(estimator) == before


@pytest.mark.parametrize("partial", [True, False])
@pytest.mark.parametrize("event", ["train_begin", "batch_end", "epoch_end", "train_end"])
@pytest.mark.parametrize("optimizer", ["adamw", torch.optim.LBFGS])
def test_a_failure_in_training_that_continues_is_undone(digits, partial, event, optimizer):
    X, y = digits[0][:80], digits[1][:80]
    settings = {**SMALL, "warm_start": True, "module__dropout": 0.2, "batch_size": 40}
    settings["lr_schedule"] = "constant"
    if optimizer != "adamw":
        settings |= {"weight_decay": 0, "module__batch_norm": False}
    callbacks = [Failing(), LRScheduler(policy="StepLR", step_size=2)]

    def more(estimator):
        return estimator.partial_fit(X, y) if partial else estimator.fit(X, y)

    def first():
        return MarginClassifier(**settings, optimizer=optimizer, callbacks=callbacks).fit(X, y)

    estimator = first()
    before = everything(estimator)
    done = len(estimator.history_) + (1 if event != "train_begin" else 0)
    Failing.when = (event, done if partial or event != "train_end" else done + 2)
    with pytest.raises(RuntimeError, match="on purpose"):
        more(estimator)
    assert everything(estimator) == before
    # It can go on, as if nothing had been.
    Failing.when = ()
    assert everything(more(estimator)) == everything(more(first()))


def test_predictions_are_never_not_finite(digits):
    X, y = digits
    estimator = MarginClassifier(**SMALL).fit(X, y)
    with torch.no_grad():
        estimator.net_.module_[-1].bias[3] = float("inf")
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        with pytest.raises(ValueError, match="not finite for 600 of 600 samples"):
            getattr(estimator, method)(X)


def test_a_fit_that_diverges_in_its_last_step_raises(digits):
    estimator = MarginClassifier(**{**SMALL, **LAST_STEP})
    with pytest.raises(ValueError, match=r"After epoch 1 .*not finite.*diverged"):
        estimator.fit(*digits)


def test_ctrl_c_keeps_the_network_as_far_as_it_came(digits):
    X, y = digits
    estimator = MarginClassifier(**SMALL, callbacks=[Failing()], warm_start=True).fit(X, y)
    Failing.when, Failing.kind = ("batch_end", 5), KeyboardInterrupt
    with pytest.warns(UserWarning, match="interrupted after 4 epochs"):
        estimator.fit(X, y)
    assert estimator.n_iter_ == 4
    assert np.isfinite(estimator.predict_proba(X)).all()
    assert estimator.separated_ == (estimator.score(X, y) == 1)


def test_a_warm_start_wants_the_same_classes(digits):
    X, y = digits
    estimator = MarginClassifier(**SMALL, warm_start=True).fit(X, y)
    before = everything(estimator)
    with pytest.raises(ValueError, match=r"same classes.*lacks \[3, 7\]"):
        estimator.fit(X[(y != 3) & (y != 7)], y[(y != 3) & (y != 7)])
    assert everything(estimator) == before
    # Chunks may lack some.
    assert estimator.partial_fit(X[y != 3], y[y != 3]).n_iter_ == 4


# --- the parts of a run ---------------------------------------------------------------


def test_a_run_holds_its_callbacks_as_attributes(iris):
    model = MarginClassifier(**SMALL, restore_best="margin_auc", verbose=0).fit(*iris)
    run = model._run
    called = [callback for _, callback in model.net_.callbacks_]
    for part in (run.margin_history, run.best_epoch, run.separation):
        assert any(part is callback for callback in called)
    assert run.net is model.net_
    assert run.n_epochs == model.n_iter_ == 3
    assert run.lr == 1e-2


@pytest.mark.parametrize("name", ["separation", "margin_history", "watch", "guard"])
def test_a_callback_of_the_user_may_have_any_name(digits, name):
    """Ours are never looked up by name."""
    X, y = digits
    mine, other = (LRScheduler("StepLR", step_size=1, gamma=0.99) for _ in range(2))
    fits = [
        MarginSubsetSelector(
            MarginClassifier(
                **{**SMALL, "max_epochs": 60},
                callbacks=callbacks,
                lr=1e-2,
                lr_schedule="constant",
            ),
            n_samples_to_select=30,
            separation=0.9,
            random_state=0,
        ).fit(X, y)
        for callbacks in ([(name, mine)], [other])
    ]
    one, two = (fit.history_.drop(columns=["seconds", "scoring_seconds"]) for fit in fits)
    assert one.equals(two)


@pytest.mark.parametrize("verbose", [1, 2])
def test_progress_costs_no_evaluation(digits, verbose, monkeypatch, capsys):
    """With progress shown, no more samples are evaluated than without it."""
    X, y = digits
    evaluated = []
    logits = Network.logits

    def counting(self, x):
        evaluated.append(len(x))
        return logits(self, x)

    monkeypatch.setattr(Network, "logits", counting)
    counts = []
    for shown in (0, verbose):
        evaluated.clear()
        model = MarginClassifier(**{**SMALL, "max_epochs": 60}, lr=1e-2, verbose=shown)
        selector = MarginSubsetSelector(model, n_samples_to_select=30, random_state=0)
        selector.fit(X, y)
        assert selector.separation_epoch_ is not None
        counts.append(sum(evaluated))
    assert counts[0] == counts[1]
    capsys.readouterr()


def test_the_net_trains_as_before_after_a_guarded_part(digits):
    """Nothing of pruning stays: batch norm, samples, the error of a loss that diverges."""
    X, y = digits
    selector = MarginSubsetSelector(
        MarginClassifier(**{**SMALL, "max_epochs": 60}, lr=1e-2),
        n_samples_to_select=30,
        random_state=0,
    ).fit(X, y)
    model = selector.estimator_
    norm = next(m for m in model.net_.module_.modules() if isinstance(m, nn.BatchNorm1d))
    before = norm.running_mean.clone()
    n_epochs = model.n_iter_
    model.partial_fit(X, y)
    assert not torch.equal(norm.running_mean, before)
    assert model.n_iter_ == n_epochs + 1
    with pytest.raises(ValueError, match="diverged"):
        model.set_params(lr=1e30).partial_fit(X, y).partial_fit(X, y)


# --- evaluation and training mode -------------------------------------------------------


class LowRank(nn.Linear):
    """Adds its low-rank update to the weight in evaluation mode, as LoRA layers do."""

    def __init__(self):
        super().__init__(64, 10)
        self.a = nn.Parameter(0.1 * torch.randn(4, 64))
        self.b = nn.Parameter(torch.zeros(10, 4))
        self.weight.requires_grad_(False)
        self.merged = False

    def train(self, mode=True):
        super().train(mode)
        if mode == self.merged:
            self.weight.data += (-1 if mode else 1) * (self.b @ self.a).data
            self.merged = not mode
        return self

    def forward(self, x):
        y = super().forward(x)
        return y if self.merged else y + x @ self.a.T @ self.b.T


def test_modules_that_do_more_when_their_mode_changes_are_trained(digits):
    X, y = digits
    model = MarginClassifier(LowRank, max_epochs=40, lr=1e-2, random_state=0, device="cpu")
    model.fit(X, y)
    assert model.score(X, y) > 0.95
    assert model.net_.module_.merged
    # Nor do scores change it.
    before = model.predict_proba(X)
    margin_auc_score(model, X, y)
    np.testing.assert_array_equal(model.predict_proba(X), before)


def test_a_network_that_is_not_in_training_can_be_used_by_several_threads(digits):
    """Nobody switches dropout or batch norm on under the others."""
    X, y = digits
    model = MarginClassifier(**{**SMALL, "module__dropout": 0.5}).fit(X, y)
    assert not any(part.training for part in model.net_.module_.modules())
    proba = model.predict_proba(X)
    expected = margins(model, X, y)
    with ThreadPoolExecutor(4) as pool:
        probas = list(pool.map(lambda _: model.predict_proba(X), range(24)))
        found = list(pool.map(lambda _: margins(model, X, y), range(24)))
    assert all((one == proba).all() for one in probas)
    assert all((one == expected).all() for one in found)


# --- what is put back ---------------------------------------------------------------------


class Counting(nn.Linear):
    """Keeps more than tensors, and a buffer as long as the batch."""

    def __init__(self):
        super().__init__(64, 10)
        self.n_steps = 0
        self.register_buffer("mask", torch.ones(1, 1), persistent=False)

    def forward(self, x):
        self.n_steps += self.training
        self.mask = torch.ones(len(x), 1)
        return super().forward(x) * self.mask

    def get_extra_state(self):
        return {"n_steps": self.n_steps}

    def set_extra_state(self, state):
        self.n_steps = state["n_steps"]


def test_the_best_epoch_has_the_extra_state_of_its_modules(digits):
    X, y = digits
    model = MarginClassifier(
        Counting,
        max_epochs=6,
        lr=3.0,
        lr_schedule="constant",
        criterion="cross_entropy",
        batch_size=64,
        restore_best="margin_auc",
        random_state=0,
        device="cpu",
    ).fit(X, y)
    n_batches = model.history_[-1]["train_batch_count"]
    assert model.best_epoch_ < 6
    assert model.net_.module_.n_steps == model.best_epoch_ * n_batches


def test_a_failed_fit_puts_back_modules_whose_buffers_change_their_size(digits):
    X, y = digits
    model = MarginClassifier(
        Counting, max_epochs=2, warm_start=True, random_state=0, device="cpu"
    ).fit(X, y)
    before, n_steps = model.predict_proba(X), model.net_.module_.n_steps
    with pytest.raises(ValueError, match="diverged"):
        model.set_params(lr=1e38).fit(X, y)
    assert model.net_.module_.n_steps == n_steps
    np.testing.assert_array_equal(model.predict_proba(X), before)


def test_dropout_does_not_change_the_order_of_the_samples(digits):
    X, y = digits

    class Orders(Callback):
        def on_train_begin(self, net, **kwargs):
            self.orders = []

        def on_epoch_end(self, net, dataset_train=None, **kwargs):
            self.orders.append(dataset_train.order.tolist())

    def orders(dropout):
        model = MarginClassifier(
            callbacks=[("orders", Orders())],
            module__dropout=dropout,
            max_epochs=2,
            random_state=0,
            warm_start=True,
            device="cpu",
        ).fit(X, y)
        first = dict(model.net_.callbacks_)["orders"].orders
        return first + dict(model.fit(X, y).net_.callbacks_)["orders"].orders

    without = orders(0.0)
    assert orders(0.3) == without
    # Every epoch has another one.
    assert len({tuple(order) for order in without}) == 4
