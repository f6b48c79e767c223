"""The dtype of a module's input, and checks that X can be represented in it."""

import copy
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from torch import nn

__all__ = [
    "float_dtype",
    "largest_value",
    "refuse_large",
    "rounded_whole_number",
    "takes_whole_numbers",
    "warn_of_rounding",
]

FLOATS = (torch.float32, torch.float64)


def float_dtype(module: nn.Module) -> torch.dtype:
    """Floating-point dtype of a module's weights.

    Parameters
    ----------
    module : torch.nn.Module

    Returns
    -------
    dtype : torch.dtype
        ``torch.float32`` for a module without floating-point weights.

    Raises
    ------
    ValueError
        If a weight has a floating-point dtype other than float32 or float64.
    """
    for parameter in module.parameters():
        if parameter.is_floating_point() and parameter.dtype not in FLOATS:
            raise ValueError(
                f"{type(module).__name__} has weights of {parameter.dtype}: keep them in "
                "torch.float32. To compute in half precision, use torch.autocast in the "
                "forward method of the module."
            )
    dtypes = (parameter.dtype for parameter in module.parameters())
    return next((dtype for dtype in dtypes if dtype.is_floating_point), torch.float32)


def takes_whole_numbers(module: nn.Module, x: torch.Tensor) -> bool:
    """Whether a module accepts an integer batch, in training and in evaluation mode.

    Parameters
    ----------
    module : torch.nn.Module
        In evaluation mode afterwards.
    x : torch.Tensor of int64 of shape (n_samples, ...)

    Returns
    -------
    accepted : bool
    """
    try:
        with torch.no_grad():
            copy.deepcopy(module).train()(x.clone())
            module.eval()(x.clone())
    except (RuntimeError, IndexError, TypeError, ValueError):
        return False
    return True


def refuse_large(
    X: Any, largest: float, dtype: torch.dtype, names: Sequence[str] | None = None
) -> None:
    """Raise an error for values whose squares overflow.

    The variance in batch norm and the second moments of the optimizer are sums of squares. If
    they become infinite, the output of the network is constant.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_samples, ...)
    largest : float
        :func:`largest_value` of ``X``.
    dtype : torch.dtype
        Dtype of the module's input.
    names : sequence of str, default=None
        Names of the columns.

    Raises
    ------
    ValueError
        If ``largest`` is above 1e16 for float32 or 1e140 for float64.
    """
    if not dtype.is_floating_point:
        return
    limit = {torch.float32: 1e16, torch.float64: 1e140}[dtype]
    if largest > limit:
        found = _first(X, lambda values: np.abs(values) > limit)
        assert found is not None
        position, value = found
        raise ValueError(
            f"{_position_name(position, names)} of X holds {value:g}, too large for a network "
            f"in {str(dtype).removeprefix('torch.')}: the squares of such values overflow. "
            "Scale the column, for instance with StandardScaler."
        )


def warn_of_rounding(
    X: Any, largest: float, dtype: torch.dtype, names: Sequence[str] | None = None
) -> None:
    """Warn if an integer in ``X`` is not represented exactly in ``dtype``.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_samples, ...)
    largest : float
        :func:`largest_value` of ``X``.
    dtype : torch.dtype
        Dtype of the module's input.
    names : sequence of str, default=None
        Names of the columns.

    Warns
    -----
    UserWarning
        With the column, the integer and what the network receives instead.
    """
    found = rounded_whole_number(X, largest, dtype)
    if found is not None:
        position, value = found
        name = str(dtype).removeprefix("torch.")
        seen = float(torch.tensor(float(value), dtype=torch.float64).to(dtype))
        warnings.warn(
            f"{_position_name(position, names)} of X holds the whole number {int(value)}, "
            f"which the network gets as {int(seen)}, because {name} represents integers "
            f"exactly only up to {2 ** _digits(dtype)}. Encode codes with OrdinalEncoder, or "
            "use a module that takes integers; scale quantities with StandardScaler.",
            stacklevel=2,
        )


def rounded_whole_number(
    X: Any, largest: float, dtype: torch.dtype
) -> tuple[int | tuple[int, ...], Any] | None:
    """First integer in ``X`` that ``dtype`` does not represent exactly.

    Only columns that hold nothing but integers are searched: rounding the last digit of a
    measurement is harmless, rounding a code is not.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_samples, ...)
    largest : float
        :func:`largest_value` of ``X``.
    dtype : torch.dtype
        Dtype of the module's input.

    Returns
    -------
    found : tuple (position, value) or None
        ``position`` is the column, or the index within a sample of more dimensions.
    """
    if not dtype.is_floating_point:
        return None
    if largest <= 2 ** _digits(dtype):
        return None
    narrow = {torch.float32: np.float32, torch.float64: np.float64}[dtype]

    def changed(values: NDArray[Any]) -> NDArray[np.bool_]:
        exact = values if values.dtype.kind in "iu" else values.astype(np.float64)
        with np.errstate(over="ignore"):
            rounded = exact.astype(narrow)
        if exact.dtype.kind in "iu":
            # Compared as Python integers, because float64 may not be exact either.
            return rounded.astype(object) != exact.astype(object)
        return rounded.astype(np.float64) != exact

    def whole_and_changed(values: NDArray[Any]) -> NDArray[np.bool_]:
        large = np.abs(values.astype(np.float64)) > 2 ** _digits(dtype)
        result = np.zeros(values.shape, dtype=bool)
        if large.any() and (values == np.floor(values)).all():
            result[large] = changed(values[large])
        return result

    return _first(X, whole_and_changed)


def _digits(dtype: torch.dtype) -> int:
    return {torch.float32: 24, torch.float64: 53}[dtype]


def largest_value(X: Any) -> float:
    """Largest absolute value of an array or sparse matrix.

    Parameters
    ----------
    X : ndarray or sparse matrix

    Returns
    -------
    largest : float
        0 for an empty or boolean array.
    """
    values = X.data if scipy.sparse.issparse(X) else X
    if values.size == 0 or values.dtype.kind == "b":
        return 0
    # Two passes without a copy; np.abs would make one.
    return max(float(values.max()), -float(values.min()))


def _first(
    X: Any, select: Callable[[NDArray[Any]], NDArray[np.bool_]]
) -> tuple[int | tuple[int, ...], Any] | None:
    """(position, value) of the first value, column by column, that ``select`` marks."""
    columns: Iterable[tuple[int | tuple[int, ...], np.ndarray]]
    if scipy.sparse.issparse(X):
        X = X.tocsc()
        columns = ((j, X.data[X.indptr[j] : X.indptr[j + 1]]) for j in range(X.shape[1]))
    elif X.ndim == 2:
        columns = ((j, X[:, j]) for j in range(X.shape[1]))
    else:
        columns = ((place, X[(slice(None), *place)]) for place in np.ndindex(X.shape[1:]))
    for position, values in columns:
        marked = select(values)
        if marked.any():
            return position, values[marked][0]
    return None


def _position_name(position: int | tuple[int, ...], names: Sequence[str] | None = None) -> str:
    """Name, in a message, of a column or of a position within each sample."""
    if isinstance(position, tuple):
        return f"Position {position}"
    return f"Column {position}" if names is None else f"Column {str(names[position])!r}"
