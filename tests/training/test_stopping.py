import contextlib
import threading
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.base import clone
from sklearn.metrics import f1_score, log_loss, roc_auc_score
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    LRScheduler,
)

from margin_sklearn import (
    MarginClassifier,
    MarginSubsetSelector,
    NotSeparatedWarning,
    margins,
)
from margin_sklearn.adapters import logit_margins
from margin_sklearn.scoring.curve import margins_from_logits
from margin_sklearn.training import margin_history, stopping
from margin_sklearn.training.stopping import sample_margins


@given(
    hnp.arrays(float, (6, 3), elements=st.floats(-100, 100)),
    hnp.arrays(int, 6, elements=st.integers(0, 2)),
)
def test_margins_in_torch_are_those_in_numpy(logits, y):
    ours = logit_margins(torch.from_numpy(logits), torch.from_numpy(y))
    np.testing.assert_array_equal(ours.numpy(), margins_from_logits(logits, y))


def test_history_holds_what_the_training_passes_saw(digits):
    # Without dropout, batch norm and with a learning rate too small to move anything, what
    # the passes saw is what the network says now.
    estimator = MarginClassifier(
        module__batch_norm=False,
        module__dropout=0.0,
        lr=1e-12,
        max_epochs=2,
        random_state=0,
    ).fit(*digits)
    X, y = digits
    m = margins_from_logits(estimator.decision_function(X), y)
    row = estimator.history_[-1]
    assert row["train_margin"] == pytest.approx(m.mean(), rel=1e-3)
    assert row["train_accuracy"] == pytest.approx((m > 0).mean())
    proba = estimator.predict_proba(X)
    assert row["train_loss"] == pytest.approx(
        -np.log(proba[range(len(y)), y]).mean(), rel=1e-3
    )


def test_many_batches_are_reduced_on_the_way(digits, monkeypatch):
    X, y = digits
    estimator = MarginClassifier(max_epochs=1, batch_size=2, random_state=0)
    plain = clone(estimator).fit(X, y).history_[-1]
    monkeypatch.setattr(margin_history, "REDUCE_AT", 7 * 2 * 10)
    assert clone(estimator).fit(X, y).history_[-1] == plain


def test_looking_for_separation_costs_few_samples(digits, monkeypatch):
    """32 samples an epoch while some of them are wrong; all only near separation."""
    X, y = digits
    seen = []

    def counting(network, samples, rows):
        for part, found in sample_margins(network, samples, rows):
            seen.append(len(part))
            yield part, found

    monkeypatch.setattr(stopping, "sample_margins", counting)
    noisy = np.where(np.arange(len(y)) % 10 == 0, (y + 1) % 10, y)
    MarginClassifier(max_epochs=5, random_state=0).fit(X, noisy)
    assert seen == [32] * 5
    seen.clear()
    estimator = MarginClassifier(max_epochs=20, random_state=0).fit(X, y)
    assert estimator.separated_
    # Nothing is looked at between separation and the end.
    assert len(seen) <= 2 * estimator.separation_epoch_ + 2


def test_nothing_of_the_data_stays_in_the_callbacks(fitted):
    history = dict(fitted.net_.callbacks_)["margin_history"]
    assert history.margins_ is None
    assert history.logits_ == history.targets_ == history.parts_ == []


@pytest.mark.parametrize("share", [0.7, 0.9, 0.995, 1.0])
def test_a_share_of_the_samples_is_separated(digits, share):
    """Training stops after the first epoch that gets so many right, and not before."""

    class Accuracy(Callback):
        def on_epoch_end(self, net, dataset_train=None, **kwargs):
            net._set_training(False)
            with torch.no_grad():
                right = net.module_(dataset_train.X).argmax(1) == dataset_train.y
            net.history.record("accuracy", right.double().mean().item())

    X, y = digits
    settings = {"max_epochs": 30, "random_state": 0, "device": "cpu"}
    settings["lr_schedule"] = "constant"
    whole = MarginClassifier(callbacks=[Accuracy()], **settings).fit(X, y)
    first = next(
        epoch
        for epoch, accuracy in enumerate(whole.history_[:, "accuracy"], 1)
        if accuracy >= share
    )
    stopped = MarginClassifier(stop_at_separation=share, **settings).fit(X, y)
    assert stopped.n_iter_ == stopped.separation_epoch_ == first
    assert stopped.separated_


def test_the_share_counts_whole_samples(iris):
    """Of 150 samples at a share of 0.98, three may be wrong, not two."""
    X, y = iris
    y = y.copy()
    y[[0, 60, 120]] = (y[[0, 60, 120]] + 1) % 3
    settings = {"module__hidden_layer_sizes": (), "lr": 0.05, "max_epochs": 100}
    settings |= {"random_state": 0, "weight_decay": 0.0, "device": "cpu"}
    settings |= {"lr_schedule": "constant", "batch_size": 64, "criterion": "cross_entropy"}
    fitted = MarginClassifier(stop_at_separation=0.94, **settings).fit(X, y)
    wrong = np.count_nonzero(fitted.predict(X) != y)
    assert wrong <= 9
    fitted.set_params(stop_at_separation=(150 - wrong) / 150, warm_start=True, max_epochs=1)
    assert fitted.fit(X, y).separated_ == (np.count_nonzero(fitted.predict(X) != y) <= wrong)


@pytest.mark.parametrize("share", [0.0, 1.5, -1, "all", None, float("nan")])
def test_shares_that_are_none(digits, share):
    with pytest.raises(ValueError, match="stop_at_separation must be True, False or"):
        MarginClassifier(stop_at_separation=share).fit(*digits)


# --- separation, after all callbacks have ended ---------------------------------------------


class Averaged(Callback):
    """Weight averaging: the network ends with the mean of the last epochs' weights."""

    def on_train_begin(self, net, **kwargs):
        self.states = []

    def on_epoch_end(self, net, **kwargs):
        self.states.append({k: v.clone() for k, v in net.module_.state_dict().items()})

    def on_train_end(self, net, **kwargs):
        last = self.states[-5:]
        mean = {k: sum(state[k] / len(last) for state in last) for k in last[0]}
        net.module_.load_state_dict(mean)


class Wreck(Callback):
    """Ruins the network at the end of training or of each epoch."""

    def __init__(self, event="train"):
        self.event = event

    def on_epoch_end(self, net, **kwargs):
        if self.event == "epoch":
            self.ruin(net)

    def on_train_end(self, net, **kwargs):
        if self.event == "train":
            self.ruin(net)

    def ruin(self, net):
        for parameter in net.module_.parameters():
            # Past autograd's version counter.
            parameter.data.mul_(0)


def is_separated(estimator, X, y):
    return estimator.score(X, y) == 1.0


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "callback",
    [
        EarlyStopping(monitor="train_loss", patience=2, threshold=0.5, load_best=True),
        Averaged(),
        Wreck("train"),
        Wreck("epoch"),
    ],
    ids=["early stopping", "averaging", "ruined", "ruined each epoch"],
)
def test_separated_is_said_of_the_network_as_it_ends(digits, callback, seed):
    X, y = digits
    settings = {"lr": 3e-3, "max_epochs": 12, "random_state": seed, "device": "cpu"}
    estimator = MarginClassifier(**settings, callbacks=[callback]).fit(X, y)
    assert estimator.separated_ == is_separated(estimator, X, y)
    stopping = clone(estimator).set_params(stop_at_separation=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        stopping.fit(X, y)
    warned = any(issubclass(w.category, NotSeparatedWarning) for w in caught)
    assert stopping.separated_ == is_separated(stopping, X, y)
    assert warned == (not stopping.separated_)
    if isinstance(callback, Wreck):
        assert not stopping.separated_


def test_margins_of_a_selection_are_those_of_the_network_as_it_ends(digits):
    X, y = digits
    for callback in (Averaged(), Wreck("train")):
        network = MarginClassifier(
            callbacks=[callback], max_epochs=15, random_state=0, device="cpu"
        )
        selector = MarginSubsetSelector(
            network, n_samples_to_select=0.3, continue_epochs=2, separation=0.5, random_state=0
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotSeparatedWarning)
            selector.fit(X, y)
        found = margins(selector, X, y, scale=None)
        np.testing.assert_allclose(selector.margins_, found, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("load_best", [True, False])
def test_the_best_epoch_is_none_or_true(digits, load_best):
    X, y = digits
    settings = {"max_epochs": 6, "random_state": 0, "device": "cpu", "lr": 1e-2}
    stopping = EarlyStopping(
        monitor="train_accuracy", lower_is_better=True, patience=99, load_best=load_best
    )
    settings["restore_best"] = "margin_auc"
    estimator = MarginClassifier(**settings, callbacks=[stopping]).fit(X, y)
    plain = MarginClassifier(**settings).fit(X, y)
    assert estimator.history_[:, "margin_auc"] == plain.history_[:, "margin_auc"]
    assert plain.best_epoch_ > 1
    # The epoch of the lowest accuracy is the first; its weights are those kept.
    assert estimator.best_epoch_ == (None if load_best else plain.best_epoch_)
    assert estimator.separated_ == is_separated(estimator, X, y)


# --- skorch's callbacks, as documented ------------------------------------------------------

FEW = {"max_epochs": 4, "random_state": 0, "device": "cpu"}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "scoring", ["accuracy", "neg_log_loss", "f1_macro", "roc_auc_ovr", None]
)
def test_scores_of_the_training_passes(digits, scoring, weighted):
    X, y = digits
    callbacks = [
        ("cached", EpochScoring(scoring, on_train=True, name="cached")),
        ("anew", EpochScoring(scoring, on_train=True, name="anew", use_caching=False)),
    ]
    if scoring in ("accuracy", None):
        callbacks += [("batch", BatchScoring(scoring, on_train=True, name="batch"))]
    weight = np.where(y == 0, 2.0, 1.0) if weighted else None
    names = np.array(list("zyxwvutsrq"))[y]
    estimator = MarginClassifier(**FEW, module__dropout=0.0, callbacks=callbacks)
    estimator.fit(X, names, sample_weight=weight)
    row = estimator.history_[-1]
    metric = {
        "accuracy": lambda proba: (estimator.classes_[proba.argmax(1)] == names).mean(),
        None: lambda proba: (estimator.classes_[proba.argmax(1)] == names).mean(),
        "neg_log_loss": lambda proba: -log_loss(names, proba),
        "f1_macro": lambda proba: f1_score(
            names, estimator.classes_[proba.argmax(1)], average="macro"
        ),
        "roc_auc_ovr": lambda proba: roc_auc_score(names, proba, multi_class="ovr"),
    }[scoring]
    assert row["anew"] == pytest.approx(metric(estimator.predict_proba(X)), rel=1e-5)
    if scoring in ("accuracy", None):
        assert row["cached"] == pytest.approx(row["train_accuracy"], rel=1e-6)
        assert row["batch"] == pytest.approx(row["train_accuracy"], rel=1e-6)
    plain = MarginClassifier(**FEW, module__dropout=0.0).fit(X, names, sample_weight=weight)
    assert plain.loss_curve_ == estimator.loss_curve_


def test_checkpoints_of_the_lowest_training_loss(digits, tmp_path):
    X, y = digits
    checkpoint = Checkpoint(
        monitor="train_loss_best", dirname=tmp_path, load_best=True, f_history=None
    )
    estimator = MarginClassifier(**FEW, callbacks=[checkpoint]).fit(X, y)
    losses = estimator.loss_curve_
    best = [loss < min([*losses[:i], np.inf]) for i, loss in enumerate(losses)]
    assert estimator.history_[:, "train_loss_best"] == best
    assert estimator.history_[:, "event_cp"] == best
    assert (tmp_path / "params.pt").exists()


def test_learning_rates_by_the_loss_of_batches(digits):
    policy = LRScheduler(
        policy="ReduceLROnPlateau", step_every="batch", monitor="train_loss", patience=0
    )
    estimator = MarginClassifier(**FEW, lr_schedule="constant", callbacks=[policy])
    row = estimator.fit(*digits).history_[-1]
    assert row["batches"][-1]["event_lr"] < 1e-3
    losses = [batch["train_loss"] for batch in row["batches"]]
    assert all(type(loss) is float for loss in losses)
    sizes = [batch["train_batch_size"] for batch in row["batches"]]
    assert np.average(losses, weights=sizes) == pytest.approx(row["train_loss"])


@pytest.mark.parametrize(
    ("callback", "monitor"),
    [
        (EarlyStopping(), "valid_loss"),
        (Checkpoint(f_params=None, f_optimizer=None, f_criterion=None), "valid_loss_best"),
        (EarlyStopping(monitor="accuracy"), "accuracy"),
        (LRScheduler(policy="ReduceLROnPlateau", monitor="valid_loss"), "valid_loss"),
    ],
)
def test_what_is_not_recorded_cannot_be_monitored(digits, callback, monitor):
    match = f"monitors '{monitor}'.*'train_loss'.*restore_best='margin_auc'"
    with pytest.raises(ValueError, match=match):
        MarginClassifier(**FEW, lr_schedule="constant", callbacks=[("mine", callback)]).fit(
            *digits
        )


def test_a_callback_may_record_what_another_monitors(digits):
    class Valid(Callback):
        def on_epoch_end(self, net, **kwargs):
            net.history.record("valid_loss", 1.0)

    stopping = EarlyStopping(patience=2, sink=str)
    estimator = MarginClassifier(**FEW, callbacks=[Valid(), stopping]).fit(*digits)
    assert estimator.n_iter_ == 3


class Holding(Callback):
    """Holds what cannot be copied, and a list."""

    def __init__(self, lock=None, rows=()):
        self.lock = lock
        self.rows = rows

    def on_epoch_end(self, net, **kwargs):
        with self.lock:
            self.rows.append(net.history[-1]["train_loss"])


def test_callbacks_may_hold_what_cannot_be_copied(digits, tmp_path):
    with open(tmp_path / "log", "w") as file:
        for thing in (threading.Lock(), file):
            lock = thing if thing is not file else contextlib.nullcontext()
            callback = Holding(lock, [])
            callback.writer = file
            estimator = MarginClassifier(**FEW, callbacks=[("mine", callback)]).fit(*digits)
            copied = dict(estimator.net_.callbacks_)["mine"]
            assert copied.writer is file
            assert copied.rows == estimator.loss_curve_
            assert callback.rows == []
            # Searches and cross-validation clone, and a clone has copies of its own.
            cloned = clone(MarginClassifier(**FEW, callbacks=[callback])).callbacks[0]
            assert cloned.writer is file
            assert cloned.rows == []
            assert cloned.rows is not callback.rows


@pytest.mark.parametrize("restore_best", [None, "margin_auc"])
@pytest.mark.parametrize(
    "name", ["best_epoch", "separation", "margin_history", "progress_bar"]
)
def test_a_callback_may_have_any_name(digits, name, restore_best):
    X, y = digits
    settings = {**FEW, "restore_best": restore_best, "verbose": 1}
    estimator = MarginClassifier(**settings, callbacks=[(name, Callback())]).fit(X, y)
    plain = MarginClassifier(**settings).fit(X, y)
    assert estimator.best_epoch_ == plain.best_epoch_
    assert estimator.separated_ == plain.separated_
    assert estimator.separation_epoch_ == plain.separation_epoch_
    assert type(dict(estimator.net_.callbacks_)[name]) is Callback


def test_a_table_has_the_row_of_the_epoch_that_ends_training(digits, capsys):
    estimator = MarginClassifier(
        lr=1e-2, max_epochs=50, stop_at_separation=True, random_state=0, verbose=2
    ).fit(*digits)
    rows = capsys.readouterr().out.strip().splitlines()
    assert len(rows) == 2 + estimator.n_iter_
