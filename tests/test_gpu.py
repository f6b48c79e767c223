"""The same code on every device: the CPU always, a GPU where there is one (pytest -m gpu)."""

import pickle

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from margin_sklearn import (
    ConvNet,
    MarginClassifier,
    MarginSubsetSelector,
    margin_auc_score,
    margins,
)
from margin_sklearn.data.batches import Batches, Samples
from margin_sklearn.runtime import generator_state
from margin_sklearn.scales.registry import SCALES

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
DEVICES = ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, needs_cuda])]
on_every_device = pytest.mark.parametrize("device", DEVICES)


class Parity(torch.nn.Module):
    """A table looked up at the last bit of an id."""

    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(2, 2)

    def forward(self, x):
        return self.table(x.long().remainder(2))[:, 0]


class NoSynchronisation(Callback):
    """Raises where a training step makes the host wait for the device."""

    def on_batch_begin(self, net, **kwargs):
        if torch.cuda.is_available():
            torch.cuda.set_sync_debug_mode("error")

    def on_batch_end(self, net, **kwargs):
        if torch.cuda.is_available():
            torch.cuda.set_sync_debug_mode("default")


@on_every_device
def test_a_fit_learns_and_repeats(device, digits):
    X, y = digits
    settings = {"max_epochs": 15, "random_state": 0, "device": device}
    before = generator_state(torch.device(device))
    estimator = MarginClassifier(**settings).fit(X, y)
    after = generator_state(torch.device(device))
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert estimator.score(X, y) > 0.99
    assert next(estimator.net_.module_.parameters()).device.type == device
    again = MarginClassifier(**settings).fit(X, y)
    np.testing.assert_allclose(
        again.decision_function(X), estimator.decision_function(X), rtol=1e-3, atol=1e-3
    )


@on_every_device
def test_a_warm_start_goes_on(device, digits):
    settings = {"random_state": 0, "device": device, "lr_schedule": "constant"}
    whole = MarginClassifier(**settings, max_epochs=4).fit(*digits)
    parts = MarginClassifier(**settings, max_epochs=2, warm_start=True)
    parts.fit(*digits).fit(*digits)
    np.testing.assert_allclose(
        parts.decision_function(digits[0]),
        whole.decision_function(digits[0]),
        rtol=1e-2,
        atol=1e-2,
    )


@on_every_device
@pytest.mark.parametrize("scale", list(SCALES))
def test_scores_agree_with_the_cpus(device, fitted, fitted_conv, digits, images, scale):
    for estimator, (X, y) in ((fitted, digits), (fitted_conv, images)):
        expected = margins(estimator, X, y, scale=scale)
        moved = pickle.loads(pickle.dumps(estimator))
        moved.net_.module_.to(device)
        moved.net_.device = device
        found = margins(moved, X, y, scale=scale)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
        assert margin_auc_score(moved, X, y) == pytest.approx(
            margin_auc_score(estimator, X, y), abs=1e-3
        )


@on_every_device
def test_the_best_epoch_is_found_and_kept(device, digits, images):
    for module, (X, y) in ((None, digits), (ConvNet, images)):
        given = {} if module is None else {"module": module}
        X = np.float32(X)
        estimator = MarginClassifier(
            **given, max_epochs=4, restore_best="margin_auc", device=device, random_state=0
        ).fit(X, y)
        scores = estimator.history_[:, "margin_auc"]
        assert estimator.best_epoch_ == 1 + int(np.argmax(scores))
        # The scorer draws more points around so few samples.
        assert margin_auc_score(estimator, X, y) == pytest.approx(max(scores), abs=0.05)
        assert len(pickle.dumps(estimator)) < 2e6


@on_every_device
def test_no_step_on_resident_data_waits_for_the_device(device, digits, images):
    for module, (X, y) in ((None, digits), (ConvNet, images)):
        given = {} if module is None else {"module": module}
        estimator = MarginClassifier(
            **given, max_epochs=2, device=device, callbacks=[NoSynchronisation()]
        )
        assert estimator.fit(X, y).n_iter_ == 2


@on_every_device
@pytest.mark.parametrize("limit", [None, 0])
def test_batches_lie_on_the_device(device, digits, limit):
    X, y = digits
    samples = Samples(X, y, np.ones(len(y)), device, max_resident_bytes=limit)
    for x, (target, weight) in Batches(samples, 64, shuffle=True):
        assert x.device.type == target.device.type == weight.device.type == device


@on_every_device
def test_a_pickle_of_any_device_predicts_on_the_cpu(device, digits):
    X, y = digits
    estimator = MarginClassifier(max_epochs=2, device=device, random_state=0).fit(X, y)
    again = pickle.loads(pickle.dumps(estimator))
    again.net_.module_.to("cpu")
    again.net_.device = "cpu"
    np.testing.assert_allclose(
        again.decision_function(X), estimator.decision_function(X), rtol=1e-3, atol=1e-3
    )


@on_every_device
@pytest.mark.parametrize("resident", [True, False])
def test_training_goes_on_with_few_samples(device, resident, digits, monkeypatch):
    from margin_sklearn.data import batches

    X, y = digits
    if not resident:
        monkeypatch.setattr(batches, "MAX_RESIDENT_BYTES", 0)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (0, 0))
    network = MarginClassifier(
        module__dropout=0.0, callbacks=[NoSynchronisation()], random_state=0, device=device
    )
    selector = MarginSubsetSelector(
        network, n_samples_to_select=0.1, continue_epochs=3, noise_guard=True, random_state=0
    ).fit(X, y)
    assert selector.score(X, y) == 1
    assert next(selector.estimator_.net_.module_.parameters()).device.type == device
    np.testing.assert_allclose(selector.margins_, margins(selector, X, y), atol=1e-3)
    assert selector.history_["n_samples"].iloc[-3:].tolist() == [120, 85, 60]


@on_every_device
def test_a_pickle_goes_back_to_its_device_and_training_continues(device, digits):
    from skorch.callbacks import LRScheduler

    X, y = digits
    settings = {"random_state": 0, "device": device, "warm_start": True}
    settings["lr_schedule"] = "constant"
    settings["callbacks"] = [LRScheduler(policy="StepLR", step_size=2, gamma=0.5)]
    whole = MarginClassifier(**settings, max_epochs=6).fit(X, y)
    parts = MarginClassifier(**settings, max_epochs=3).fit(X, y)
    parts = pickle.loads(pickle.dumps(parts))
    for tensor in parts.net_.optimizer_.state_dict()["state"][0].values():
        assert tensor.ndim == 0 or tensor.device.type == device
    parts.fit(X, y)
    assert parts.history_[:, "event_lr"] == whole.history_[:, "event_lr"]
    np.testing.assert_allclose(
        parts.decision_function(X), whole.decision_function(X), rtol=1e-2, atol=1e-2
    )


@on_every_device
def test_a_failed_continuation_is_undone(device, digits):
    X, y = digits
    estimator = MarginClassifier(max_epochs=2, random_state=0, device=device).fit(X, y)
    expected = estimator.decision_function(X)
    with pytest.raises(ValueError, match="diverged"):
        estimator.set_params(lr=1e30).partial_fit(X, y).partial_fit(X, y)
    estimator.set_params(lr=1e-3)
    np.testing.assert_array_equal(estimator.decision_function(X), expected)


@on_every_device
def test_codes_arrive_exactly(device):
    X = (2**24 + 1 + np.arange(120) * 3)[:, None]
    y = X[:, 0] % 2
    estimator = MarginClassifier(
        Parity, lr=0.5, max_epochs=20, random_state=0, device=device
    ).fit(X, y)
    assert estimator.score(X, y) == 1
