"""logit_margins and Network: margins of logits, and evaluation in chunks."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from margin_sklearn.adapters.network import CHUNK, Network, full_precision, logit_margins
from margin_sklearn.data.rows import chunk_length


def by_definition(logits, y):
    rows = np.arange(len(y))
    others = np.where(np.arange(logits.shape[1]) == y[:, None], -np.inf, logits)
    return logits[rows, y] - others.max(axis=1)


# --- logit_margins -------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.booleans())
def test_margins_are_those_of_the_definition(seed, n_classes, ties):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(30, n_classes))
    if ties:
        logits = np.round(logits)
    y = rng.integers(n_classes, size=30)
    found = logit_margins(torch.from_numpy(logits), torch.from_numpy(y))
    np.testing.assert_array_equal(found, by_definition(logits, y))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_margins_have_the_dtype_of_the_logits(dtype):
    margin = logit_margins(torch.tensor([[1.0, 3.0]], dtype=dtype), torch.tensor([1]))
    assert margin.dtype == dtype
    assert margin.tolist() == [2.0]


def test_logits_of_minus_infinity():
    inf = np.inf
    logits = np.array([[1.0, -inf, -inf], [-inf, 2.0, -inf], [-inf, 0.0, 5.0]])
    for y in (np.array([0, 1, 2]), np.array([1, 0, 0])):
        found = logit_margins(torch.from_numpy(logits), torch.from_numpy(y)).numpy()
        np.testing.assert_array_equal(found, by_definition(logits, y))
    assert logit_margins(torch.tensor([[0.0, -inf]]), torch.tensor([0])).item() == inf


def test_the_gradient_under_ties_is_that_of_one_difference():
    logits = torch.zeros(3, 4, dtype=torch.float64, requires_grad=True)
    y = torch.tensor([0, 2, 3])
    (gradient,) = torch.autograd.grad(logit_margins(logits, y).sum(), logits)
    assert (gradient[torch.arange(3), y] == 1).all()
    assert sorted(gradient[0].tolist()) == [-1.0, 0.0, 0.0, 1.0]
    assert ((gradient == -1).sum(dim=1) == 1).all()
    assert ((gradient == 0).sum(dim=1) == 2).all()


def test_half_precision_becomes_float32():
    logits = torch.tensor([[1.0, 2.0]], dtype=torch.bfloat16)
    assert full_precision(logits).dtype == torch.float32
    double = logits.double()
    assert full_precision(double) is double
    assert full_precision("logits") == "logits"


# --- logits --------------------------------------------------------------------------------


def network_of(module, **settings):
    return Network(module, np.asarray, np.asarray, **settings)


class Returns(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize("function", [lambda x: x[:, 0], lambda x: x, lambda x: (x, None)])
def test_a_binary_logit_becomes_two_columns(function):
    x = torch.tensor([[2.0], [-3.0]])
    logits = network_of(Returns(function)).logits(x)
    assert logits.tolist() == [[0.0, 2.0], [0.0, -3.0]]
    assert network_of(Returns(function)).margins(x, torch.tensor([1, 1])).tolist() == [2, -3]


def test_outputs_that_are_no_matrix_raise():
    with pytest.raises(TypeError, match=r"shape \(2, 1, 1\); margins need logits of shape"):
        network_of(Returns(lambda x: x[:, :, None])).logits(torch.zeros(2, 1))


def test_inputs_are_copies():
    rows = np.ones((3, 2), dtype=np.float32)
    network = network_of(Returns(lambda x: x.zero_()))
    network.inputs(rows).zero_()
    x = torch.ones(3, 2)
    assert network.logits(x).tolist() == [[0.0, 0.0]] * 3
    assert (x == 1).all()
    assert (rows == 1).all()


# --- in_chunks -----------------------------------------------------------------------------


@pytest.fixture
def network():
    module = nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.5), nn.BatchNorm1d(3))
    module.train()
    module[2].eval()
    return network_of(module, n_threads=1)


def state_of(network):
    modes = [part.training for part in network.module.modules()]
    return modes, torch.get_num_threads(), torch.is_grad_enabled()


def seen(network):
    """What a function sees while it runs in chunks."""
    return lambda x, chunk: (len(x), chunk, *state_of(network))


@pytest.fixture(autouse=True)
def _two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("per_row", [1, 5])
@pytest.mark.parametrize("n", [0, 1, 100, 10_000])
def test_chunks_cover_the_rows_in_order(network, n, per_row):
    x = torch.randn(n, 2)
    step = max(1, chunk_length(2, limit=CHUNK) // per_row)
    chunks, parts = [], []
    for chunk, result in network.in_chunks(
        lambda x, chunk: network.logits(x), x.__getitem__, n, width=2, per_row=per_row
    ):
        chunks.append((chunk.start, chunk.stop))
        parts.append(result.detach())
    assert chunks == [(start, min(start + step, n)) for start in range(0, n, step)]
    network.module.eval()
    expected = network.logits(x).detach()
    if n:
        torch.testing.assert_close(torch.cat(parts), expected)
    else:
        assert parts == []


def test_rows_fewer_than_a_chunk_are_one_chunk(network):
    (found,) = network.in_chunks(seen(network), torch.zeros(3, 2).__getitem__, 3, width=2)
    assert found[1][:2] == (3, slice(0, 3))


def test_modes_threads_and_gradients_during_the_loop_and_after(network):
    before = state_of(network)
    assert before == ([True, True, True, False], 2, True)
    with torch.no_grad():
        outside = state_of(network)
        for _, (_, _, *state) in network.in_chunks(
            seen(network), torch.zeros(9000, 2).__getitem__, 9000, width=2
        ):
            assert state == [[False] * 4, 1, True]
        assert state_of(network) == outside
    assert state_of(network) == before


@pytest.mark.parametrize("n", [0, 9000])
def test_modes_and_threads_are_restored_without_a_loop(network, n):
    before = state_of(network)
    list(network.in_chunks(seen(network), torch.zeros(n, 2).__getitem__, n, width=2))
    assert state_of(network) == before


def test_modes_and_threads_are_restored_by_break(network):
    before = state_of(network)
    for _ in network.in_chunks(seen(network), torch.zeros(9000, 2).__getitem__, 9000, 2):
        assert state_of(network) != before
        break
    assert state_of(network) == before


@pytest.mark.parametrize("where", ["function", "inputs", "loop"])
def test_modes_and_threads_are_restored_after_an_error(network, where):
    before = state_of(network)

    def fail(*_):
        raise RuntimeError("on purpose")

    def run():
        function = fail if where == "function" else seen(network)
        inputs = fail if where == "inputs" else torch.zeros(9000, 2).__getitem__
        for _ in network.in_chunks(function, inputs, 9000, width=2):
            if where == "loop":
                fail()

    with pytest.raises(RuntimeError, match="on purpose"):
        run()
    assert state_of(network) == before


def test_threads_stay_where_none_are_asked_for(network):
    free = network_of(network.module)
    ((_, found),) = free.in_chunks(seen(free), torch.zeros(3, 2).__getitem__, 3, width=2)
    assert found[3] == 2
