"""Training to separation, and beyond: interrupted, not separated, with schedules."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from skorch.callbacks import Callback, LRScheduler

from margin_sklearn import (
    MarginSubsetSelector,
    NotSeparatedWarning,
    margins,
)
from tests.subsets.networks import network, selector


def test_interrupted_while_going_on(digits):
    class Interrupt(Callback):
        def __init__(self, when):
            self.when = when

        def on_batch_end(self, net, training=False, **kwargs):
            if len(net.history) == self.when:
                raise KeyboardInterrupt

    X, y = digits
    when = selector(continue_epochs=0).fit(X, y).separation_epoch_ + 3
    with pytest.warns(UserWarning, match="interrupted"):
        fitted = selector(network(callbacks=[Interrupt(when)])).fit(X, y)
    assert fitted.history_["phase"].value_counts()["continuing"] == 2
    assert fitted.score(X, y) == 1
    np.testing.assert_allclose(fitted.margins_, margins(fitted.estimator_, X, y), atol=1e-5)


def test_interrupted_before_separation(digits):
    class Interrupt(Callback):
        def on_batch_end(self, net, training=False, **kwargs):
            if len(net.history) == 2:
                raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="interrupted"):
        fitted = selector(network(callbacks=[Interrupt()])).fit(*digits)
    assert fitted.history_["phase"].tolist() == ["separation"]
    assert fitted.support_.sum() == 30


def test_learning_rate_schedulers_end_at_separation(digits):
    scheduler = LRScheduler("StepLR", step_size=1, gamma=0.9)
    fitted = selector(
        network(callbacks=[("scheduler", scheduler)], lr_schedule="constant")
    ).fit(*digits)
    history = fitted.history_
    first = history.loc[history["phase"] == "separation", "lr"].to_numpy()
    np.testing.assert_allclose(first[1:] / first[:-1], 0.9)
    then = history.loc[history["phase"] == "continuing", "lr"].to_numpy()
    # A fifth of what it had come to after the last of these epochs.
    np.testing.assert_allclose(first[0], 1e-2)
    np.testing.assert_allclose(then, 0.9 * first[-1] / 5)


def test_a_learning_rate_that_came_to_0(digits):
    X, y = digits
    scheduler = LRScheduler("LambdaLR", lr_lambda=lambda epoch: float(epoch < 20))
    estimator = network(callbacks=[scheduler], max_epochs=22, lr=1e-3, lr_schedule="constant")
    with pytest.warns(NotSeparatedWarning):
        fitted = selector(estimator, separation=1.0).fit(X, np.where(X[:, 0] < 99, y, 0)[::-1])
    assert (fitted.history_["lr"].iloc[-4:] == 0).all()
    assert not fitted.history_["rolled_back"].any()


def test_not_separated_warns_and_goes_on(digits):
    X, y = digits
    with pytest.warns(
        NotSeparatedWarning, match=r"after 1 epochs: it classifies \d\d\.\d+%"
    ) as caught:
        fitted = selector(network(max_epochs=1)).fit(X, y)
    assert caught[0].filename == __file__
    assert fitted.separation_epoch_ is None
    assert len(fitted.history_) == 5
    # Guarded all the same.
    stopped = network(max_epochs=1).fit(X, y)
    assert fitted.score(X, y) >= stopped.score(X, y)


def test_not_separated_raises_if_asked_for(digits):
    with pytest.raises(RuntimeError, match=r"max_epochs.*contradictory"):
        selector(network(max_epochs=1), on_unseparated="raise").fit(*digits)


def test_a_share_of_the_samples_will_do(digits):
    X, y = digits
    fitted = selector(separation=0.9, continue_epochs=0).fit(X, y)
    assert 0.9 <= fitted.score(X, y) < 1
    assert fitted.separation_epoch_ < selector(continue_epochs=0).fit(X, y).separation_epoch_
    assert fitted.estimator_.separated_


def test_prefit_that_does_not_separate_warns(iris):
    X, y = iris
    model = LogisticRegression().fit(X, y)
    with pytest.warns(NotSeparatedWarning, match=r"9\d\.\d+% of them right") as caught:
        MarginSubsetSelector(model, prefit=True, n_samples_to_select=0.1).fit(X, y)
    assert caught[0].filename == __file__
