"""Selecting rows of arrays, tables and sparse matrices, and converting them to tensors."""

import sys
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse
import skorch.utils
import torch
from numpy.typing import NDArray
from sklearn.utils import check_random_state

__all__ = ["chunk_length", "n_bytes", "random_rows", "take_rows", "to_numpy", "to_tensor"]


def take_rows(X: Any, rows: slice | Sequence[int] | NDArray[np.integer]) -> Any:
    """Select rows of ``X`` by position and keep its type.

    Parameters
    ----------
    X : ndarray, DataFrame, list, torch.Tensor or sparse matrix of shape (n_samples, ...)
        Or anything else that can be indexed by rows or converted to an array.
    rows : slice or array-like of int of shape (n_rows,)
        Row indices.

    Returns
    -------
    X_rows : same type as X, of shape (n_rows, ...)
        A sparse matrix in a format that does not support row indexing is returned as CSR,
        what cannot be indexed as an ndarray.
    """
    if hasattr(X, "iloc"):
        return X.iloc[rows]
    if scipy.sparse.issparse(X) and X.format not in ("csr", "lil"):
        X = X.tocsr()
    if isinstance(X, Sequence):
        return X[rows] if isinstance(rows, slice) else [X[row] for row in rows]
    if not hasattr(X, "__getitem__"):
        X = np.asarray(X)  # of an array-like that has only __array__
    return X[rows]


def n_bytes(values: Any) -> int:
    """Memory of an array or table.

    Parameters
    ----------
    values : object
        Rows of any kind that ``take_rows`` takes, or anything else.

    Returns
    -------
    n_bytes : int
    """
    if scipy.sparse.issparse(values):
        # At most two 8-byte indices beside each value.
        return int(values.nnz) * (values.dtype.itemsize + 16)
    if hasattr(values, "iloc") and hasattr(values, "memory_usage"):
        return int(np.sum(values.memory_usage()))
    if isinstance(values, list | tuple):
        return sys.getsizeof(values) + sum(n_bytes(value) for value in values)
    return int(getattr(values, "nbytes", None) or sys.getsizeof(values))


def to_tensor(
    X: Any,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    copy: bool = False,
) -> torch.Tensor:
    """Convert numeric rows, dense or sparse, to a dense tensor on a device.

    Parameters
    ----------
    X : ndarray, sparse matrix or torch.Tensor of shape (n_samples, ...)
    device : torch.device or str, default="cpu"
    dtype : torch.dtype, default=torch.float32
    copy : bool, default=False
        Whether the tensor must have its own memory. Required for tensors that are passed to a
        module, because modules may modify their input in place.

    Returns
    -------
    tensor : torch.Tensor of shape (n_samples, ...)
        With ``copy=False`` it shares memory with ``X`` if dtype and device allow it.

    Raises
    ------
    ValueError
        If a finite value of ``X`` overflows a floating-point ``dtype``, or if ``dtype`` is an
        integer dtype and a value is not an integer.
    """
    if scipy.sparse.issparse(X):
        X = X.toarray()
    if not isinstance(X, torch.Tensor):
        X = _as_tensor(np.ascontiguousarray(X))
    if X.is_floating_point() and not dtype.is_floating_point:
        _refuse_fractions(X)
    wide = X.dtype == torch.float64 and dtype != torch.float64
    tensor: torch.Tensor = X.to(device=device, dtype=dtype, copy=copy)
    # The sum is finite only if all values are, and needs no memory.
    if wide and not (tensor.sum().isfinite() or torch.isfinite(tensor).all()):
        value = X.abs().max().item()
        raise ValueError(
            f"X contains a value too large for {str(dtype).removeprefix('torch.')}: "
            f"{value:g}. Scale X, for instance with StandardScaler."
        )
    return tensor


def _as_tensor(X: np.ndarray) -> torch.Tensor:
    """An array as a tensor, of the same memory if torch can have it."""
    if not X.dtype.isnative or X.dtype.itemsize > 8:
        X = X.astype(np.float64)
    if any(stride < 0 for stride in X.strides):
        # A single row of a reversed array counts as contiguous.
        X = X.copy()
    if X.flags.writeable:
        return torch.from_numpy(X)
    with warnings.catch_warnings():
        # Memory maps and arrays of pandas: they are only read here, never written.
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(X)


def _refuse_fractions(X: torch.Tensor) -> None:
    broken = (X.round() != X) | (X.abs() >= 2.0**63)
    if broken.any():
        raise ValueError(
            f"X contains {X[broken][0].item()!r}, but the module takes integers (codes) of at "
            "most 63 bits. Encode X as it was encoded for fit."
        )


def chunk_length(n_values: int, limit: int = 2**20) -> int:
    """Number of rows to process at a time, between 16 and 4096.

    The result is an eighth of what ``limit`` allows if that is at least 128 rows: convolutions
    run faster when their intermediate results fit in the cache.

    Parameters
    ----------
    n_values : int
        Number of values per row.
    limit : int, default=2**20
        Largest number of values per chunk, except that a chunk has at least 16 rows.

    Returns
    -------
    n_rows : int
    """
    n_values = max(1, n_values)
    return int(max(16, min(4096, limit // n_values, max(128, limit // 8 // n_values))))


def random_rows(n_rows: int, size: int, random_state: Any) -> np.ndarray:
    """Choose some of the rows at random, without replacement.

    Parameters
    ----------
    n_rows : int
    size : int
        How many; at most ``n_rows``.
    random_state : int, RandomState instance or None

    Returns
    -------
    row_index : ndarray of int of shape (size,)
        Increasing.
    """
    random = check_random_state(random_state)
    return np.sort(random.choice(n_rows, int(size), replace=False))


def to_numpy(values: Any) -> Any:
    """Convert a torch tensor to a NumPy array; return anything else unchanged.

    Parameters
    ----------
    values : torch.Tensor or object

    Returns
    -------
    values : ndarray or object
        bfloat16, which NumPy does not have, becomes float32.
    """
    if isinstance(values, torch.Tensor):
        half = values.dtype == torch.bfloat16
        # A tensor may be a view that is negated or conjugated when it is read.
        values = (values.float() if half else values).resolve_conj().resolve_neg()
        return skorch.utils.to_numpy(values)
    return values
