"""The mean of the weights over steps, taken on by the module and given back."""

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from margin_sklearn.training.averaged_weights import AveragedWeights


def steps(module, n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(n):
        with torch.no_grad():
            for p in module.parameters():
                p.add_(torch.randn(p.shape, generator=generator))
        yield


def test_it_is_torchs_average():
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2).double())
    ours, torchs = AveragedWeights(module), AveragedModel(module)
    for _ in steps(module, 5):
        ours.add()
        torchs.update_parameters(module)
    before = [p.detach().clone() for p in module.parameters()]
    with ours.applied():
        for p, mean in zip(module.parameters(), torchs.module.parameters(), strict=True):
            torch.testing.assert_close(p, mean)
    assert all(torch.equal(p, q) for p, q in zip(module.parameters(), before, strict=True))
    ours.apply()
    assert not any(torch.equal(p, q) for p, q in zip(module.parameters(), before, strict=True))


def test_without_a_step_nothing_changes():
    module = nn.Linear(2, 2)
    averaged = AveragedWeights(module)
    with torch.no_grad():
        module.weight.fill_(5.0)
    averaged.apply()
    with averaged.applied():
        assert (module.weight == 5).all()


def test_an_error_gives_the_weights_back():
    module = nn.Linear(2, 2)
    averaged = AveragedWeights(module)
    averaged.add()
    with torch.no_grad():
        module.weight.fill_(5.0)
    with pytest.raises(KeyboardInterrupt), averaged.applied():
        raise KeyboardInterrupt
    assert (module.weight == 5).all()


def test_earlier_states_come_back():
    module = nn.Linear(2, 2)
    averaged = AveragedWeights(module)
    for _ in steps(module, 2):
        averaged.add()
    state = averaged.state()
    with averaged.applied():
        then = module.weight.detach().clone()
    for _ in steps(module, 3, seed=1):
        averaged.add()
    averaged.restore(state)
    assert averaged.n == 2
    with averaged.applied():
        assert torch.equal(module.weight, then)
