"""Tensors of any dtype as arrays, and back."""

import pytest
import torch

from margin_sklearn.storage.tensors import array_of, tensor_of


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 1, 4)], ids=str)
@pytest.mark.parametrize(
    "dtype",
    [
        torch.float32,
        torch.float64,
        torch.float16,
        torch.bfloat16,
        torch.float8_e4m3fn,
        torch.complex64,
        torch.int64,
        torch.uint8,
        torch.bool,
    ],
    ids=str,
)
def test_round_trip(dtype, shape):
    torch.manual_seed(0)
    tensor = (4 * torch.randn(shape)).to(dtype)
    found = tensor_of(array_of(tensor), dtype, shape)
    assert found.dtype is dtype
    assert found.shape == tensor.shape
    assert array_of(found).tobytes() == array_of(tensor).tobytes()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_other_layouts_in_memory(dtype):
    tensor = torch.arange(6.0).to(dtype).reshape(2, 3).T
    assert torch.equal(tensor_of(array_of(tensor), dtype, (3, 2)), tensor)


def test_conjugates_and_parameters():
    tensor = torch.tensor([1 + 2j]).conj()
    assert array_of(tensor)[0] == 1 - 2j
    assert array_of(torch.nn.Parameter(torch.ones(1)))[0] == 1


def test_sparse_tensors_are_refused():
    with pytest.raises(TypeError, match="Sparse"):
        array_of(torch.eye(2).to_sparse())


def test_other_numbers_are_refused():
    with pytest.raises(RuntimeError, match="shape"):
        tensor_of(array_of(torch.ones(3)), torch.float32, (2, 2))
