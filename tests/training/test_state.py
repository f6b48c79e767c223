"""NetState: what training changes, copied, put back and taken apart into tensors."""

import json

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from torch import nn

from margin_sklearn import MarginClassifier
from margin_sklearn.runtime import generator_state
from margin_sklearn.training.state import NetState

CPU = torch.device("cpu")
SETTINGS = [
    {},
    {"optimizer": "sgd", "optimizer__momentum": 0.9, "optimizer__nesterov": True},
    {"optimizer": torch.optim.LBFGS, "weight_decay": 0, "lr": 0.1, "batch_size": -1},
    {"callbacks": [Callback()]},
]
settings = pytest.mark.parametrize("settings", SETTINGS, ids=["adamw", "sgd", "lbfgs", "rows"])


def trained(iris, settings, **others):
    given = {"module__hidden_layer_sizes": (8,), "max_epochs": 2, "random_state": 0}
    return MarginClassifier(**given, device="cpu", **settings, **others).fit(*iris)


def weights(net):
    return [value.clone() for value in net.module_.state_dict().values()]


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@settings
def test_training_continues_from_a_restored_state_as_if_nothing_had_happened(iris, settings):
    model = trained(iris, settings, warm_start=True)
    net, run = model.net_, model._run
    state = NetState.copy(net, history=True, generators=[run.order_state, *run.generators])
    expected = weights(model.fit(*iris).net_)
    assert not state.holds(net)
    state.restore(net)
    assert state.holds(net)
    assert len(net.history) == 2
    run.order_state, *run.generators = state.generators
    assert same(weights(model.fit(*iris).net_), expected)
    assert len(net.history) == 4


@settings
def test_a_state_survives_tensors_and_json(iris, settings):
    model = trained(iris, settings)
    state = NetState.copy(model.net_, history=True, generators=generator_state(CPU))
    tensors, others = state.to_tensors()
    assert all(isinstance(tensor, torch.Tensor) for tensor in tensors.values())
    again = NetState.from_tensors(tensors, json.loads(json.dumps(others)))
    assert again.holds(model.net_)
    assert again.history == state.history
    assert same(again.generators, state.generators)
    assert repr(again.optimizer) == repr(state.optimizer)
    other = trained(iris, settings, lr=2e-3) if "lr" not in settings else model
    again.restore(other.net_)
    assert same(weights(other.net_), weights(model.net_))
    groups = other.net_.optimizer_.param_groups
    assert groups[0]["lr"] == model.net_.optimizer_.param_groups[0]["lr"]


def test_what_cannot_be_stored_is_named(iris):
    model = trained(iris, {})
    model.history_.record("note", {"made by": object()})
    state = NetState.copy(model.net_, history=True)
    with pytest.raises(TypeError, match=r"history\.1\.note\.made by .* is a object"):
        state.to_tensors()


def test_a_copy_shares_no_memory(iris):
    model = trained(iris, {})
    state = NetState.copy(model.net_)
    with torch.no_grad():
        for tensor in model.net_.module_.state_dict().values():
            tensor.zero_()
        for values in model.net_.optimizer_.state.values():
            values["exp_avg"].zero_()
    assert any(tensor.any() for tensor in state.weights.values())
    assert all(v["exp_avg"].any() for v in state.optimizer["state"].values())
    state.restore(model.net_)
    # Nor does what was restored: the state can be restored once more.
    model.partial_fit(*iris)
    state.restore(model.net_)
    assert state.holds(model.net_)


def test_parts_that_were_not_copied_are_left_alone(iris):
    model = trained(iris, {})
    state = NetState.copy(model.net_, optimizer=False)
    model.partial_fit(*iris)
    optimizer = repr(model.net_.optimizer_.state_dict())
    state.restore(model.net_)
    assert state.holds(model.net_)
    assert repr(model.net_.optimizer_.state_dict()) == optimizer
    assert len(model.history_) == 3


def test_buffers_and_parameters_of_the_criterion_are_part_of_it(iris):
    class Tempered(nn.CrossEntropyLoss):
        def __init__(self):
            super().__init__()
            self.temperature = nn.Parameter(torch.ones(()))
            self.register_buffer("n_calls", torch.zeros((), dtype=torch.int64))

        def forward(self, logits, target):
            self.n_calls += 1
            return super().forward(logits / self.temperature, target)

    model = trained(iris, {"criterion": Tempered})
    state = NetState.copy(model.net_)
    calls = model.net_.criterion_.n_calls.item()
    model.partial_fit(*iris)
    assert model.net_.criterion_.n_calls > calls
    state.restore(model.net_)
    assert model.net_.criterion_.n_calls == calls
    assert np.isfinite(model.predict_proba(iris[0])).all()
