"""Checks of the columns of X: errors name the column that is not numeric or not unique."""

import datetime
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse

__all__ = [
    "not_numbers_error",
    "refuse_dates",
    "refuse_duplicate_names",
    "refuse_several_inputs",
]


def refuse_several_inputs(X: Any, n_samples: int | None = None) -> None:
    """Raise an error if ``X`` is a dict or list of several inputs.

    Parameters
    ----------
    X : object
        X as passed by the user.
    n_samples : int, default=None
        Number of labels, if there are labels.

    Raises
    ------
    ValueError
        If ``X`` is a mapping, or a list or tuple of several arrays of samples.
    """
    # scipy's dok_array is a mapping as well.
    several = isinstance(X, Mapping) and not scipy.sparse.issparse(X)
    if isinstance(X, list | tuple) and len(X) != n_samples:
        shapes = [tuple(getattr(part, "shape", ())) for part in X]
        # A list of images is one input. Arrays of different shapes, and arrays that each have
        # one row per label, are several inputs.
        several = bool(shapes) and all(len(shape) > 1 for shape in shapes)
        several = several and (
            len(set(shapes)) > 1 or any(shape[0] == n_samples for shape in shapes)
        )
    if several:
        raise ValueError(
            f"X is a {type(X).__name__} of {len(X)} inputs. Modules of several inputs are not "
            "supported: concatenate the columns into one array and let the module split them."
        )


def refuse_duplicate_names(X: Any) -> None:
    """Raise an error if two columns of a table have the same name.

    Parameters
    ----------
    X : object
        Only tables with column names are checked.

    Raises
    ------
    ValueError
        If a name occurs more than once.
    """
    names = _names(X)
    twice = [name for name, count in Counter(names or ()).items() if count > 1]
    if twice:
        raise ValueError(
            f"X has more than one column named {twice[0]!r}, but column names must be unique. "
            "Rename the columns."
        )


def refuse_dates(X: Any) -> None:
    """Raise an error if a table has a column of dates or times.

    polars converts such columns to numbers, in a unit that depends on the other columns.

    Parameters
    ----------
    X : object
        Only tables with column names are checked.

    Raises
    ------
    ValueError
        If a column has a date or time dtype.
    """
    names = _names(X)
    if names is None:
        return
    # pyarrow tables have a schema instead of dtypes.
    types = getattr(getattr(X, "schema", None), "types", None) or getattr(X, "dtypes", None)
    types = [] if types is None else list(types)
    for name, kind in zip(names, types, strict=False):
        if str(kind).lower().startswith(("date", "time", "duration", "period")):
            raise _date_error(name, next(iter(np.asarray(X[name])), None))


def _date_error(name: object, value: object) -> ValueError:
    return ValueError(
        f"Column {name!r} of X holds dates or times ({value}), not numbers. Convert them to "
        "numbers, such as the number of days since a reference date."
    )


def not_numbers_error(X: Any, error: Exception) -> ValueError | TypeError | None:
    """Error that names the first column of ``X`` that does not hold numbers.

    Called after a conversion to numbers has failed; it may be slow.

    Parameters
    ----------
    X : object
        Table, array or sparse matrix.
    error : Exception
        Error raised by the conversion.

    Returns
    -------
    better_error : ValueError, TypeError or None
        None if every column holds numbers.
    """
    names = _names(X)
    if scipy.sparse.issparse(X):
        return None
    table = names is not None
    if not table:
        X = np.asarray(X)
        if X.ndim != 2:
            return None
    for name in range(X.shape[1]) if names is None else names:
        values = np.asarray(X[name]) if table else X[:, name]
        value = _first_other(values)
        if value is None:
            continue
        dates = datetime.date | datetime.time | datetime.timedelta
        if values.dtype.kind in "mM" or isinstance(value, dates):
            return _date_error(name, value)
        message = (
            f"Column {name!r} of X holds {value!r}, which is not a number. Encode such "
            "columns, for instance with OneHotEncoder or OrdinalEncoder in a "
            "ColumnTransformer."
        )
        if isinstance(value, str | bytes):
            return ValueError(message)
        return TypeError(f"{message} ({error})")
    return None


def _names(X: Any) -> list[Any] | None:
    names = getattr(X, "column_names", None)  # pyarrow; polars and pandas: columns
    if names is None and hasattr(X, "shape"):
        names = getattr(X, "columns", None)
    return None if names is None else list(names)


def _first_other(values: Any) -> Any:
    """First value of a column that is not a number, or None."""
    if values.dtype.kind in "biufc":
        return None
    if values.dtype.kind in "mM":
        return values[0]
    for value in values.tolist():
        try:
            float(value)
        except (TypeError, ValueError):
            # scikit-learn has its own message for missing values.
            if value is not None and type(value).__name__ not in ("NAType", "NaTType"):
                return value
    return None
