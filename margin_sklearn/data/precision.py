"""What a module takes: floating numbers of its own precision, or whole numbers."""

import copy
import warnings
from collections.abc import Iterable

import numpy as np
import scipy.sparse
import torch

__all__ = [
    "float_dtype",
    "largest_value",
    "refuse_large",
    "rounded_whole_number",
    "takes_whole_numbers",
    "warn_of_rounding",
]

FLOATS = (torch.float32, torch.float64)


def float_dtype(module):
    """The floating dtype of a module's weights.

    Raises
    ------
    ValueError
        If it is one that training here is not made for.
    """
    for parameter in module.parameters():
        if parameter.is_floating_point() and parameter.dtype not in FLOATS:
            raise ValueError(
                f"{type(module).__name__} has weights of {parameter.dtype}: keep them in "
                "torch.float32. For speed, use torch.autocast inside its forward method."
            )
    dtypes = (parameter.dtype for parameter in module.parameters())
    return next((dtype for dtype in dtypes if dtype.is_floating_point), torch.float32)


def takes_whole_numbers(module, x):
    """Whether a module runs on an int64 batch, in training mode and in evaluation mode."""
    try:
        with torch.no_grad():
            copy.deepcopy(module).train()(x.clone())
            module.eval()(x.clone())
    except (RuntimeError, IndexError, TypeError, ValueError):
        return False
    return True


def refuse_large(X, largest, dtype, names=None):
    """Raise a ValueError for values whose squares overflow.

    Batch norm's variance and the optimizer's second moments are sums of squares: of large
    values they are infinite, and the network becomes a constant.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_samples, ...)
    largest : float
        :func:`largest_value` of ``X``.
    dtype : torch.dtype
        In which the module gets it.
    names : sequence of str, default=None
        Of the columns.
    """
    if not dtype.is_floating_point:
        return
    limit = {torch.float32: 1e16, torch.float64: 1e140}[dtype]
    if largest > limit:
        place, value = _first(X, lambda values: np.abs(values) > limit)
        raise ValueError(
            f"{_place_name(place, names)} of X holds {value:g}, too large for a network in "
            f"{str(dtype).removeprefix('torch.')}: squares of such numbers overflow. Scale "
            "it, for instance with StandardScaler."
        )


def warn_of_rounding(X, largest, dtype, names=None):
    """Warn of a whole number that is rounded; parameters as for :func:`refuse_large`."""
    found = rounded_whole_number(X, largest, dtype)
    if found is not None:
        place, value = found
        name = str(dtype).removeprefix("torch.")
        seen = float(torch.tensor(float(value), dtype=torch.float64).to(dtype))
        warnings.warn(
            f"{_place_name(place, names)} of X holds the whole number {int(value)}, which the "
            f"network gets as {int(seen)}: {name} is exact up to {2 ** _digits(dtype)} only. "
            "Encode codes (OrdinalEncoder, or a module that takes integers), scale quantities "
            "(StandardScaler).",
            stacklevel=2,
        )


def rounded_whole_number(X, largest, dtype):
    """(place, value) of a whole number that ``dtype`` cannot hold, or None.

    Looked for in columns of whole numbers: of others nobody wants the last digit.
    """
    if not dtype.is_floating_point:
        return None
    if largest <= 2 ** _digits(dtype):
        return None
    narrow = {torch.float32: np.float32, torch.float64: np.float64}[dtype]

    def changed(values):
        exact = values if values.dtype.kind in "iu" else values.astype(np.float64)
        with np.errstate(over="ignore"):
            rounded = exact.astype(narrow)
        if exact.dtype.kind in "iu":
            # Compared as integers: float64 may be too narrow, too.
            return rounded.astype(object) != exact.astype(object)
        return rounded.astype(np.float64) != exact

    def whole_and_changed(values):
        large = np.abs(values.astype(np.float64)) > 2 ** _digits(dtype)
        result = np.zeros(values.shape, dtype=bool)
        if large.any() and (values == np.floor(values)).all():
            result[large] = changed(values[large])
        return result

    return _first(X, whole_and_changed)


def _digits(dtype):
    return {torch.float32: 24, torch.float64: 53}[dtype]


def largest_value(X):
    """The largest absolute value of an array or sparse matrix."""
    values = X.data if scipy.sparse.issparse(X) else X
    if values.size == 0 or values.dtype.kind == "b":
        return 0
    # Two passes that make no copy, as np.abs would.
    return max(float(values.max()), -float(values.min()))


def _first(X, wrong):
    """(place, value) of the first value, column by column, that ``wrong`` marks; or None."""
    columns: Iterable[tuple[int | tuple[int, ...], np.ndarray]]
    if scipy.sparse.issparse(X):
        X = X.tocsc()
        columns = ((j, X.data[X.indptr[j] : X.indptr[j + 1]]) for j in range(X.shape[1]))
    elif X.ndim == 2:
        columns = ((j, X[:, j]) for j in range(X.shape[1]))
    else:
        columns = ((index, X[(slice(None), *index)]) for index in np.ndindex(X.shape[1:]))
    for place, values in columns:
        marked = wrong(values)
        if marked.any():
            return place, values[marked][0]
    return None


def _place_name(place, names=None):
    """What a message calls a column, or the place of a number in each sample."""
    if isinstance(place, tuple):
        return f"Place {place}"
    return f"Column {place}" if names is None else f"Column {str(names[place])!r}"
