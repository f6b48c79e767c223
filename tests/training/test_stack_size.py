"""How many networks are trained as one."""

import pytest
import torch
from torch import nn

from margin_sklearn.training.stack_size import (
    COPIES_OF_ACTIVATIONS,
    COPIES_OF_SAMPLES,
    COPIES_OF_WEIGHTS,
    MOST_ON_CPU,
    MOST_ON_GPU,
    bytes_of_one,
    stack_sizes,
)


def test_the_memory_of_a_network_is_that_of_weights_outputs_and_logits():
    module = nn.Sequential(nn.Linear(4, 8, bias=False), nn.ReLU(), nn.Linear(8, 3, bias=False))
    found = bytes_of_one(module.eval(), torch.zeros(2, 4), 1000, 50, 3)
    weights, outputs = 4 * 8 + 8 * 3, 4 + 8 + 8 + 3
    outputs += 3  # the whole is a module too
    expected = COPIES_OF_WEIGHTS * weights + COPIES_OF_ACTIVATIONS * 50 * outputs
    assert found == 4 * (expected + 1000 * (COPIES_OF_SAMPLES + 2 * 3))
    assert not any(part._forward_hooks for part in module.modules())


@pytest.mark.parametrize("layered", [True, False])
def test_small_networks_are_stacked_on_a_cpu(layered):
    cpu = torch.device("cpu")
    fewest, most = stack_sizes(layered, 10_000, cpu, 1e12)
    assert 2 <= fewest <= most == MOST_ON_CPU
    assert stack_sizes(layered, 1e9, cpu, 1.0)[1] == 1


def test_the_free_memory_of_a_gpu_limits_a_stack(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1_000_000, 2_000_000))
    gpu = torch.device("cuda")
    assert stack_sizes(True, 1e9, gpu, 1e3) == (2, 500)
    assert stack_sizes(True, 1e9, gpu, 1.0)[1] == MOST_ON_GPU
    assert stack_sizes(True, 1e9, gpu, 300_000.0)[1] == 1
    assert stack_sizes(False, 1e9, gpu, 100_000.0)[1] == 1  # fewer than pay off
