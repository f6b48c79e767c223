"""Steps that are recorded once and repeated are those that are made one by one."""

import numpy as np
import pytest
import torch
from torch import nn

from margin_sklearn import MarginClassifier
from margin_sklearn.classifier.together import Fit, fit_together
from margin_sklearn.training import stacked, stacked_steps
from margin_sklearn.training.stacked_steps import CUDAGraphs, RecordedSteps, StackedSteps

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
on_every_device = pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, needs_cuda])]
)
N = 150  # nine steps of 16 samples and one of six per epoch


class Scaled(nn.Module):
    """Stacked by torch.func, with dropout; a number goes to the device in every step."""

    def __init__(self, input_shape, n_classes, copied=False):
        super().__init__()
        self.copied = copied
        self.first, self.last = nn.Linear(*input_shape, 16), nn.Linear(16, n_classes)

    def forward(self, x):
        h = torch.tanh(self.first(x))
        if self.copied:
            # Waits for the device, which cannot be recorded.
            h = h * torch.tensor([0.5]).to(x.device)
        return self.last(nn.functional.dropout(h, 0.1, self.training))


CASES = {
    "defaults": {},
    "weights": {"class_weight": "balanced"},
    "shares of dropout": {"module__dropout": 0.2},
    "momentum": {"optimizer": "sgd", "optimizer__momentum": 0.9, "lr": 0.02},
    "adam, constant": {"optimizer": "adam", "lr_schedule": "constant"},
    "torch.func": {"module": Scaled},
    "torch.func, not recorded": {"module": Scaled, "module__copied": True},
}


class Repeats:
    """Records on the CPU, where the function has to be called again."""

    def __init__(self):
        self.n_records = self.n_replays = 0

    def record(self, function):
        self.n_records += 1
        results: list = []

        def replay():
            self.n_replays += 1
            found = function()
            if not results:
                results.extend(found)
            for old, new in zip(results, found, strict=True):
                old.copy_(new)

        return replay, results


def fitted(device, settings):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 12)).astype(np.float32)
    y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)
    if "module" not in settings:
        settings = {"module__hidden_layer_sizes": (16,), **settings}
    models = [
        MarginClassifier(
            **{"lr": 0.01 * (1 + k), "max_epochs": 12, **settings},
            weight_decay=0.01 * k,
            batch_size=16,
            random_state=k,
            device=device,
        )
        for k in range(4)
    ]
    results = fit_together([Fit(model, X, y) for model in models])
    assert [each.error for each in results] == [None] * 4
    assert [each.n_together for each in results] == [4] * 4
    return models, X


def steps_with(kind, *options):
    def steps_for(stack, optimizer, criterion, data, starts, epochs):
        return kind(stack, optimizer, criterion, data, starts, *options)

    return steps_for


@on_every_device
@pytest.mark.parametrize("case", list(CASES))
def test_recorded_steps_are_those_made_one_by_one(case, device, monkeypatch):
    settings, copied = CASES[case], "not recorded" in case
    monkeypatch.setattr(stacked, "steps_for", steps_with(StackedSteps))
    expected, X = fitted(device, settings)
    records = []
    if device == "cpu":
        repeats = Repeats()

        def record(function):
            if copied:
                raise RuntimeError("cannot be recorded")
            records.append(None)
            return repeats.record(function)
    else:

        def record(function):
            found = CUDAGraphs(torch.device(device)).record(function)
            records.append(None)
            return found

    monkeypatch.setattr(stacked, "steps_for", steps_with(RecordedSteps, 12, record))
    found, _ = fitted(device, settings)
    # The small batch at the end of an epoch is too rare.
    assert len(records) == (0 if copied else 1)
    if device == "cpu" and not copied:
        assert repeats.n_replays == 12 * 9 - stacked_steps.STEPS_BEFORE_RECORDING
    tolerance = 0 if device == "cpu" else 2e-2
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(
            other.decision_function(X), one.decision_function(X), tolerance, tolerance
        )
        np.testing.assert_allclose(
            other.history_[:, "train_loss"], one.history_[:, "train_loss"], tolerance
        )
        for ours, theirs in zip(
            other.net_.optimizer_.state.values(),
            one.net_.optimizer_.state.values(),
            strict=True,
        ):
            for name, value in theirs.items():
                if isinstance(value, torch.Tensor):
                    torch.testing.assert_close(
                        ours[name], value, rtol=10 * tolerance, atol=tolerance
                    )


@on_every_device
def test_few_steps_are_not_recorded(device, monkeypatch):
    def record(function):
        raise AssertionError("recorded")

    monkeypatch.setattr(stacked, "steps_for", steps_with(RecordedSteps, 3, record))
    fitted(device, {"max_epochs": 3})


@pytest.mark.parametrize(("layered", "kind"), [(True, RecordedSteps), (False, StackedSteps)])
def test_only_known_layers_are_recorded_on_a_gpu(layered, kind):
    class Stack:
        flat = torch.zeros(2, 3)

    class OnGPU:
        device = torch.device("cuda")

    Stack.layered = layered
    steps = stacked_steps.steps_for(Stack, None, None, (OnGPU, OnGPU, None), [0], 1)
    assert type(steps) is kind


def test_a_failed_recording_ends_the_earlier_ones(monkeypatch):
    """Two sizes of batches, both frequent: the second cannot be recorded."""
    monkeypatch.setattr(stacked_steps, "FEWEST_RECORDED", 1)
    monkeypatch.setattr(stacked, "steps_for", steps_with(StackedSteps))
    expected, X = fitted("cpu", {})
    repeats = Repeats()

    def record(function):
        if repeats.n_records:
            raise RuntimeError("cannot be recorded")
        return repeats.record(function)

    monkeypatch.setattr(stacked, "steps_for", steps_with(RecordedSteps, 12, record))
    found, _ = fitted("cpu", {})
    # Until the small batch of the third epoch: seven of the first, and nine of two epochs.
    assert repeats.n_replays == 3 * 9 - stacked_steps.STEPS_BEFORE_RECORDING
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(other.decision_function(X), one.decision_function(X))


@pytest.mark.gpu
@needs_cuda
def test_the_generator_of_the_gpu_goes_on_after_a_failed_recording():
    device = torch.device("cuda")
    before = torch.cuda.get_rng_state()

    def fails():
        torch.rand(3, device=device).sum().item()

    with pytest.raises(RuntimeError):
        CUDAGraphs(device).record(fails)
    assert torch.equal(torch.cuda.get_rng_state(), before)
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    torch.cuda.empty_cache()
    drawn = torch.rand(3, device=device)
    torch.cuda.set_rng_state(before)
    assert torch.equal(torch.rand(3, device=device), drawn)


@pytest.mark.gpu
@needs_cuda
def test_fits_on_a_gpu_are_recorded_and_repeat(monkeypatch):
    record, calls = CUDAGraphs.record, []

    def counted(self, function):
        calls.append(None)
        return record(self, function)

    monkeypatch.setattr(CUDAGraphs, "record", counted)
    models, X = fitted("cuda", {})
    again, _ = fitted("cuda", {})
    assert len(calls) == 2
    for one, other in zip(models, again, strict=True):
        np.testing.assert_allclose(
            other.decision_function(X), one.decision_function(X), 1e-3, 1e-3
        )
