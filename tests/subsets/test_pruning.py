"""Training on few samples: chosen again and again, guarded, undone."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback

from margin_sklearn import MarginClassifier, margins
from margin_sklearn.classifier.fitting import begin_fit
from margin_sklearn.subsets.pruning import TrainingWatch
from margin_sklearn.training.early_margins import EarlyMargins
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
    # From a fifth of the samples to 5 %, by the same factor.
    assert [len(part) for part in active] == [120, 76, 48, 30]
    assert any(not np.array_equal(active[0], part) for part in active[1:])


@pytest.mark.parametrize(
    ("settings", "sizes"),
    [
        ({"initial_share": 0.05}, [30, 30, 30, 30]),
        ({"initial_share": 0.01}, [30, 30, 30, 30]),
        ({"initial_share": 1.0}, [600, 221, 81, 30]),
        ({"n_samples_to_select": 1.0}, [600, 600, 600, 600]),
        ({"continue_epochs": 1}, [30]),
        # Both ends are reached by whatever number of selections, but by a single one.
        ({"reselect_every": 2}, [120, 120, 30, 30]),
        ({"reselect_every": 2, "continue_epochs": 5}, [120, 120, 60, 60, 30]),
        ({"reselect_every": 3}, [120, 120, 120, 30]),
        ({"reselect_every": 4}, [30, 30, 30, 30]),
        ({"reselect_every": 9}, [30, 30, 30, 30]),
    ],
)
def test_the_share_shrinks(digits, settings, sizes):
    fitted = selector(network(callbacks=[("recorder", Recorder())]), **settings).fit(*digits)
    assert [len(part) for part in recorded(fitted)] == sizes
    then = fitted.history_[fitted.history_["phase"] == "continuing"]
    assert then["n_samples"].tolist() == sizes
    assert fitted.support_.sum() == sizes[-1]


class Weights(Callback):
    """The weights after every step of the present training."""

    def on_train_begin(self, net, **kwargs):
        self.seen = []

    def on_batch_end(self, net, training=False, **kwargs):
        self.seen.append([p.detach().clone() for p in net.module_.parameters()])


def test_the_result_has_the_mean_of_the_weights(digits):
    X, y = digits
    fitted = selector(network(callbacks=[("weights", Weights())])).fit(X, y)
    then = fitted.history_[fitted.history_["phase"] == "continuing"]
    assert not then["rolled_back"].any()
    (seen,) = (
        callback.seen
        for name, callback in fitted.estimator_.net_.callbacks_
        if name == "weights"
    )
    for weights, of_steps in zip(
        fitted.estimator_.net_.module_.parameters(), zip(*seen, strict=True), strict=True
    ):
        mean = torch.stack(of_steps).mean(dim=0)
        torch.testing.assert_close(weights.detach(), mean, rtol=1e-4, atol=1e-6)
    # What is guarded and reported is this network.
    np.testing.assert_allclose(fitted.margins_, margins(fitted.estimator_, X, y), atol=1e-4)
    last = selector(average_weights=False).fit(X, y)
    assert not np.array_equal(last.decision_function(X), fitted.decision_function(X))


def limit(net):
    """Weights of at most .15."""
    with torch.no_grad():
        for parameter in net.module_.parameters():
            parameter.clamp_(-0.15, 0.15)


class LimitSteps(Callback):
    def on_batch_end(self, net, training=False, **kwargs):
        limit(net)


class LimitEpochs(Callback):
    def on_epoch_end(self, net, **kwargs):
        limit(net)


@pytest.mark.parametrize(
    ("callback", "average"), [(LimitSteps, True), (LimitSteps, False), (LimitEpochs, False)]
)
@pytest.mark.parametrize("lr", ["auto", 3.0])  # the second undoes separation
def test_constraints_of_the_weights_are_kept(digits, callback, average, lr):
    """Averaged and guarded are the weights that callbacks leave."""
    X, y = digits
    fitted = selector(
        network(callbacks=[callback()]),
        separation=0.9,
        average_weights=average,
        continue_lr=lr,
    ).fit(X, y)
    then = fitted.history_[fitted.history_["phase"] == "continuing"]
    assert lr != 3.0 or then["rolled_back"].any()
    # Single precision.
    largest = [
        parameter.abs().max() for parameter in fitted.estimator_.net_.module_.parameters()
    ]
    assert 0.14 < max(largest) <= 0.15 * (1 + 1e-6)
    # What was guarded is this network.
    np.testing.assert_allclose(fitted.margins_, margins(fitted.estimator_, X, y), atol=1e-4)
    assert fitted.score(X, y) == pytest.approx(then["accuracy"].iloc[-1])
    stopped = clone(fitted).set_params(continue_epochs=0).fit(X, y)
    assert fitted.score(X, y) >= stopped.score(X, y)


def test_a_callback_that_ends_the_continuing(digits):
    """At the end of an epoch, which counts."""

    class Stop(Callback):
        def on_epoch_end(self, net, dataset_train=None, **kwargs):
            if dataset_train.active is not None and len(dataset_train.active) < 80:
                raise KeyboardInterrupt

    X, y = digits
    fitted = selector(network(callbacks=[Stop()])).fit(X, y)
    then = fitted.history_[fitted.history_["phase"] == "continuing"]
    assert then["n_samples"].tolist() == [120, 76]
    assert then["n_scored"].iloc[-1] == 600
    assert len(fitted.history_) == fitted.estimator_.n_iter_
    assert fitted.score(X, y) == 1
    np.testing.assert_allclose(fitted.margins_, margins(fitted.estimator_, X, y), atol=1e-4)


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
    fitted = selector(estimator, strategy=strategy, initial_share=0.05).fit(*digits)
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
    undone = then["rolled_back"].to_numpy()[:-1]
    np.testing.assert_allclose(
        then["lr"].to_numpy()[1:], lr * 0.5 ** np.cumsum(undone), rtol=1e-6
    )
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
    early = EarlyMargins(run.margin_history)
    run.fit(samples, epochs, watch=TrainingWatch(early))
    means = estimator.history_[: {3: 3, 30: 10}[epochs], "train_margin"]
    np.testing.assert_allclose(early.mean_margins().mean(), np.mean(means), rtol=1e-5)


class Uncopied(torch.nn.Module):
    """A module that cannot be copied, with a buffer of the size of the batch."""

    def __init__(self, input_shape, n_classes):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(*input_shape, 32), torch.nn.ReLU(), torch.nn.Linear(32, n_classes)
        )
        self.turns = iter(range(3))
        self.register_buffer("last", torch.zeros(1, 32))

    def forward(self, x):
        h = self.layers[1](self.layers[0](x))
        self.last = h.detach()
        return self.layers[2](h)


class Uncopyable(Uncopied):
    def __init__(self, input_shape, n_classes):
        super().__init__(input_shape, n_classes)
        self.turns = (turn for turn in range(3))


def test_averaging_needs_no_copy_of_the_module(digits):
    X, y = digits
    for module in (Uncopied, Uncopyable):
        model = MarginClassifier(module, lr=3e-3, random_state=0, device="cpu")
        fitted = selector(model, separation=0.98).fit(X, y)
        assert (fitted.history_["phase"] == "continuing").sum() == 4
        np.testing.assert_allclose(
            fitted.margins_, margins(fitted.estimator_, X, y), atol=1e-4
        )
