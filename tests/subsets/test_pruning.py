"""Training on few samples: chosen again and again, guarded, undone."""

import numpy as np
import pytest
import torch

from margin_sklearn import (
    margins,
)
from margin_sklearn.classifier.estimator import begin_fit
from margin_sklearn.subsets.pruning import TrainingWatch
from tests.subsets.networks import Recorder, network, recorded, selector


def running(estimator):
    return [
        value.clone()
        for name, value in estimator.net_.module_.state_dict().items()
        if "running" in name
    ]


def test_batch_norm_is_frozen_while_going_on(digits):
    X, y = digits
    at_separation = running(selector(continue_epochs=0).fit(X, y).estimator_)
    frozen = running(selector().fit(X, y).estimator_)
    moving = running(selector(freeze_batch_norm=False).fit(X, y).estimator_)
    assert all(torch.equal(a, b) for a, b in zip(at_separation, frozen, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(at_separation, moving, strict=True))


def test_training_is_as_before_afterwards(digits):
    """The next training of the estimator updates batch norm, at its own learning rate."""
    X, y = digits
    estimator = selector().fit(X, y).estimator_
    assert [group["lr"] for group in estimator.net_.optimizer_.param_groups] == [1e-2]
    before = running(estimator)
    estimator.partial_fit(X, y)
    assert not any(torch.equal(a, b) for a, b in zip(before, running(estimator), strict=True))


def test_the_samples_are_chosen_again(digits):
    fitted = selector(network(callbacks=[("recorder", Recorder())])).fit(*digits)
    active = recorded(fitted)
    assert [len(part) for part in active] == [30] * 4
    assert any(not np.array_equal(active[0], part) for part in active[1:])


@pytest.mark.parametrize("every", [1, 2, 3])
def test_reselect_every(digits, every):
    calls = []

    def strategy(margins, y, n, rng):
        calls.append(n)
        return np.argsort(margins)[:n]

    selector(
        strategy=strategy,
        stratify=False,
        n_samples_to_select=0.2,
        reselect_every=every,
        continue_epochs=6,
    ).fit(*digits)
    # At separation, after every so many epochs but the last, and at the end.
    assert len(calls) == 1 + 5 // every + 1


@pytest.mark.parametrize(
    ("strategy", "same"), [("random", True), ("random_each_epoch", False)]
)
def test_random_is_drawn_once_or_each_time(digits, strategy, same):
    estimator = network(callbacks=[("recorder", Recorder())])
    fitted = selector(estimator, strategy=strategy).fit(*digits)
    active = recorded(fitted)
    equal = [np.array_equal(active[0], part) for part in active[1:]]
    assert equal == [same] * 3
    if same:
        np.testing.assert_array_equal(active[0], fitted.sample_indices_)


def test_scoring_takes_turns(digits):
    """In 2 / score_share looks every sample is scored; those near the boundary each time."""
    from margin_sklearn.subsets import pruning

    scored = []
    score = pruning.Pruning._score

    def noting(self, net, rows):
        scored.append(rows)
        score(self, net, rows)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pruning.Pruning, "_score", noting)
        fitted = selector(continue_epochs=11, score_share=0.2).fit(*digits)
    assert len(scored) == 11
    assert len(np.unique(np.concatenate(scored[:10]))) == len(fitted.support_)
    assert all(len(rows) <= 120 for rows in scored[:10])
    assert len(scored[10]) == 600


def test_all_are_scored_if_asked_for(digits):
    fitted = selector(score_share=1.0).fit(*digits)
    then = fitted.history_[fitted.history_["phase"] == "continuing"]
    assert (then["n_scored"] == 600).all()


@pytest.mark.parametrize("lr", [3.0, 1e30])
def test_epochs_that_undo_separation_are_undone(digits, lr):
    X, y = digits
    fitted = selector(continue_lr=lr, continue_epochs=20).fit(X, y)
    then = fitted.history_[fitted.history_["phase"] == "continuing"]
    assert then["rolled_back"].iloc[0]
    assert then["lr"].iloc[1] == pytest.approx(lr / 2)
    assert fitted.score(X, y) == 1
    assert (fitted.margins_ > 0).all()
    np.testing.assert_allclose(fitted.margins_, margins(fitted.estimator_, X, y), atol=1e-4)
    assert fitted.estimator_.separated_
    # More than five times, and it gives up.
    assert then["rolled_back"].sum() <= 7
    if lr == 1e30:
        assert len(then) == 6
        stopped = selector(continue_epochs=0).fit(X, y)
        np.testing.assert_array_equal(
            fitted.decision_function(X), stopped.decision_function(X)
        )


def test_what_only_the_last_look_finds_is_undone_too(digits):
    """Not looked at before the end: the whole continuing is."""
    X, y = digits
    fitted = selector(continue_lr=3.0, reselect_every=100).fit(X, y)
    assert fitted.history_["rolled_back"].tolist()[-4:] == [False, False, False, True]
    stopped = selector(continue_epochs=0).fit(X, y)
    np.testing.assert_array_equal(fitted.decision_function(X), stopped.decision_function(X))


@pytest.mark.parametrize("epochs", [3, 30])
def test_the_noise_guard_looks_at_the_mean_margin_of_early_epochs(digits, epochs):
    estimator = network(max_epochs=epochs)
    run, samples, *_ = begin_fit(estimator, *digits)
    watch = TrainingWatch(run.margin_history, aum=True)
    run.fit(samples, epochs, watch=watch)
    early = estimator.history_[: {3: 3, 30: 8}[epochs], "train_margin"]
    np.testing.assert_allclose(watch.aum_.mean(), np.mean(early), rtol=1e-5)
    assert watch.sums_ == {}
