"""Stacked steps are those of torch's optimizers, one by one."""

import inspect

import numpy as np
import pytest
import torch

from margin_sklearn.training import stacked_optimizers
from margin_sklearn.training.stacked_optimizers import optimizer_key, stacked_optimizer

KINDS = {
    "adamw": lambda p, **own: torch.optim.AdamW(p, betas=(0.8, 0.99), fused=True, **own),
    "adam": lambda p, **own: torch.optim.Adam(p, eps=1e-6, fused=True, **own),
    "sgd": lambda p, **own: torch.optim.SGD(p, fused=True, **own),
    "momentum": lambda p, **own: torch.optim.SGD(p, momentum=0.9, dampening=0.1, **own),
    "nesterov": lambda p, **own: torch.optim.SGD(p, momentum=0.9, nesterov=True, **own),
}
if "decoupled_weight_decay" in inspect.signature(torch.optim.Adam).parameters:  # not torch 2.5
    KINDS["decoupled adam"] = lambda p, **own: torch.optim.Adam(
        p, decoupled_weight_decay=True, **own
    )
OWN = [
    {"lr": 1e-3, "weight_decay": 0.0},
    {"lr": 1e-2, "weight_decay": 0.1},
    {"lr": 1e-2, "weight_decay": 0.1},
]
SHAPES = [(2, 3), (4,)]


@pytest.mark.parametrize("fused_from", [0, 10**9])
@pytest.mark.parametrize("kind", list(KINDS))
def test_steps_and_states_are_torchs(kind, fused_from, monkeypatch):
    monkeypatch.setattr(stacked_optimizers, "FUSED_FROM", fused_from)
    generator = torch.Generator().manual_seed(0)
    alone = [
        [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]
        for _ in OWN
    ]
    optimizers = [
        KINDS[kind](parameters, **own) for parameters, own in zip(alone, OWN, strict=True)
    ]
    assert len({optimizer_key(optimizer) for optimizer in optimizers}) == 1
    flat = torch.stack(
        [torch.cat([p.detach().flatten() for p in parameters]) for parameters in alone]
    )
    stacked = stacked_optimizer(optimizers, flat)
    rates_of_steps = np.outer(np.arange(1, 6), [own["lr"] for own in OWN])
    for step, rates in enumerate(rates_of_steps):
        if step in (0, 3):  # epochs of three and two steps
            stacked.begin_epoch(rates_of_steps[step : step + 3])
        gradients = torch.randn(flat.shape, generator=generator)
        for parameters, optimizer, row, rate in zip(
            alone, optimizers, gradients, rates, strict=True
        ):
            optimizer.param_groups[0]["lr"] = rate
            for p, gradient in zip(parameters, row.split([6, 4]), strict=True):
                p.grad = gradient.view(p.shape).clone()
            optimizer.step()
        stacked.advance()
        stacked.step(gradients)
    for k, parameters in enumerate(alone):
        now = torch.cat([p.detach().flatten() for p in parameters])
        torch.testing.assert_close(flat[k], now, rtol=1e-5, atol=1e-6)
        states = stacked.state(k, lambda row: [row[:6].view(2, 3), row[6:]])
        for p, state in zip(parameters, states, strict=True):
            expected = optimizers[k].state[p]
            if not expected:  # SGD without momentum
                assert state == {"momentum_buffer": None}
                continue
            assert {*state} == {*expected}
            for name, value in state.items():
                torch.testing.assert_close(value, expected[name], rtol=1e-5, atol=1e-6)


def parameters():
    return [torch.nn.Parameter(torch.ones(2))]


@pytest.mark.parametrize(
    "optimizer",
    [
        torch.optim.AdamW(parameters(), amsgrad=True),
        torch.optim.AdamW(parameters(), maximize=True),
        torch.optim.AdamW(parameters(), lr=torch.tensor(0.1)),
        torch.optim.AdamW([{"params": parameters()}, {"params": parameters(), "lr": 1.0}]),
        torch.optim.RMSprop(parameters()),
        type("Own", (torch.optim.AdamW,), {})(parameters()),
    ],
)
def test_others_have_no_stacked_steps(optimizer):
    assert optimizer_key(optimizer) is None


def test_options_other_than_rate_and_decay_must_agree():
    one, other = (
        torch.optim.AdamW(parameters(), betas=betas) for betas in ((0.9, 0.9), (0.8, 0.9))
    )
    assert optimizer_key(one) != optimizer_key(other)
