"""Rows of whatever X is: picked, as arrays, as tensors, in chunks."""

import warnings

import numpy as np
import scipy.sparse
import skorch.utils
import torch

__all__ = ["chunk_length", "take_rows", "to_numpy", "to_tensor"]


def take_rows(X, rows):
    """Rows of an array, DataFrame, list, tensor or sparse matrix, by slice or indices."""
    if hasattr(X, "iloc"):
        return X.iloc[rows]
    if scipy.sparse.issparse(X) and X.format not in ("csr", "lil"):
        X = X.tocsr()
    if isinstance(X, (list, tuple)):
        return X[rows] if isinstance(rows, slice) else [X[row] for row in rows]
    return X[rows]


def to_tensor(X, device="cpu", dtype=torch.float32, copy=False):
    """Numeric rows (dense or sparse) as a tensor on the device.

    Parameters
    ----------
    X : ndarray, sparse matrix or torch.Tensor of shape (n, ...)
    device : torch.device or str
    dtype : torch.dtype
    copy : bool, default=False
        Whether the tensor has memory of its own. Modules may write to their input, so that
        what they are given must not be the user's.

    Returns
    -------
    tensor : torch.Tensor of shape (n, ...)
        Without ``copy`` it shares memory with ``X`` where dtype and device allow.

    Raises
    ------
    ValueError
        If a finite value of ``X`` is too large for a floating ``dtype``, or no whole number
        for an integer one.
    """
    if scipy.sparse.issparse(X):
        X = X.toarray()
    if not isinstance(X, torch.Tensor):
        X = np.ascontiguousarray(X)
        if not X.dtype.isnative or X.dtype.itemsize > 8:
            X = X.astype(np.float64)
        with warnings.catch_warnings():
            # Read-only arrays (memory maps, pandas) are only read here, never written.
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")
            X = torch.from_numpy(X)
    if X.is_floating_point() and not dtype.is_floating_point:
        _refuse_fractions(X)
    wide = X.dtype == torch.float64 and dtype != torch.float64
    tensor = X.to(device=device, dtype=dtype, copy=copy)
    if wide and not torch.isfinite(tensor).all():
        value = X.abs().max().item()
        raise ValueError(
            f"X contains a value too large for {str(dtype).removeprefix('torch.')}: "
            f"{value:g}. Scale it, for instance with StandardScaler."
        )
    return tensor


def _refuse_fractions(X):
    broken = (X.round() != X) | (X.abs() >= 2.0**63)
    if broken.any():
        raise ValueError(
            f"X contains {X[broken][0].item():g}, but the module takes whole numbers (codes) "
            "of at most 63 bits."
        )


def chunk_length(n_values, limit=2**20):
    """Rows to take at a time when a row has ``n_values`` numbers: 16 to 4096.

    An eighth of what ``limit`` allows, if that is 128 or more: convolutions are faster where
    what they pass on stays in the cache.
    """
    n_values = max(1, n_values)
    return int(max(16, min(4096, limit // n_values, max(128, limit // 8 // n_values))))


def to_numpy(values):
    """Torch tensors as arrays (of bfloat16, which NumPy lacks, in float32); others as is."""
    if isinstance(values, torch.Tensor):
        half = values.dtype == torch.bfloat16
        return skorch.utils.to_numpy(values.float() if half else values)
    return values
