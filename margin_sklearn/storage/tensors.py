"""Tensors of any dtype as NumPy arrays, and back."""

from typing import Any

import numpy as np
import torch

__all__ = ["array_of", "tensor_of"]


def array_of(tensor: torch.Tensor) -> np.ndarray:
    """The numbers of a tensor, exactly; as bytes if NumPy does not have the dtype.

    Parameters
    ----------
    tensor : torch.Tensor

    Returns
    -------
    array : ndarray

    Raises
    ------
    TypeError
        If it is sparse or quantized.

    Examples
    --------
    >>> import torch
    >>> from margin_sklearn.storage.tensors import array_of
    >>> array_of(torch.ones(2, dtype=torch.bfloat16))
    array([128,  63, 128,  63], dtype=uint8)
    """
    values = tensor.detach().cpu().resolve_conj().resolve_neg()
    try:
        return values.numpy()
    except TypeError:
        if values.layout is not torch.strided or values.is_quantized:
            raise
        return values.contiguous().reshape(-1).view(torch.uint8).numpy()


def tensor_of(array: np.ndarray, dtype: torch.dtype, shape: Any) -> torch.Tensor:
    """The inverse of :func:`array_of`.

    Parameters
    ----------
    array : ndarray
    dtype : torch.dtype
    shape : sequence of int

    Returns
    -------
    tensor : torch.Tensor
        On the CPU.

    Raises
    ------
    ValueError, RuntimeError
        If the array has other numbers.
    """
    if not array.size:
        return torch.empty([*shape], dtype=dtype)
    values = torch.from_numpy(array)
    if values.dtype is not dtype:
        values = values.view(dtype)
    return values.reshape([*shape])
