import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.base import clone
from skorch.callbacks import Callback

from margin_sklearn import MarginClassifier
from margin_sklearn.callbacks import Separation, logit_margins
from margin_sklearn.margins import margins_from_logits


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
    from margin_sklearn import callbacks

    monkeypatch.setattr(callbacks, "REDUCE_AT", 7 * 2 * 10)
    assert clone(estimator).fit(X, y).history_[-1] == plain


def test_looking_for_separation_costs_few_samples(digits, monkeypatch):
    """32 samples an epoch while some of them are wrong; all only near separation."""
    X, y = digits
    seen = []
    margins = Separation._margins

    def counting(net, dataset, index):
        seen.append(len(index))
        return margins(net, dataset, index)

    monkeypatch.setattr(Separation, "_margins", staticmethod(counting))
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
    settings = {"max_epochs": 30, "random_state": 0, "module__dropout": 0.0, "device": "cpu"}
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
    fitted = MarginClassifier(stop_at_separation=0.94, **settings).fit(X, y)
    wrong = np.count_nonzero(fitted.predict(X) != y)
    assert wrong <= 9
    fitted.set_params(stop_at_separation=(150 - wrong) / 150, warm_start=True, max_epochs=1)
    assert fitted.fit(X, y).separated_ == (np.count_nonzero(fitted.predict(X) != y) <= wrong)


@pytest.mark.parametrize("share", [0.0, 1.5, -1, "all", None, float("nan")])
def test_shares_that_are_none(digits, share):
    with pytest.raises(ValueError, match="stop_at_separation must be True, False or"):
        MarginClassifier(stop_at_separation=share).fit(*digits)
