"""The columns of X by name: which of them is no number, or not the only one of its name."""

import datetime
from collections import Counter
from collections.abc import Mapping

import numpy as np
import scipy.sparse

__all__ = [
    "not_numbers_error",
    "refuse_dates",
    "refuse_duplicate_names",
    "refuse_several_inputs",
]


def refuse_several_inputs(X, n_samples=None):
    """Raise a ValueError for a dict of inputs, or a list of several.

    Parameters
    ----------
    X : object
        As the user gave it.
    n_samples : int, default=None
        The number of labels, where there are some.
    """
    # scipy's dok_array is a mapping, too.
    several = isinstance(X, Mapping) and not scipy.sparse.issparse(X)
    if isinstance(X, list | tuple) and len(X) != n_samples:
        shapes = [tuple(getattr(part, "shape", ())) for part in X]
        # A list of images is one input; arrays of unequal widths, or one row each a label,
        # are several.
        several = bool(shapes) and all(len(shape) > 1 for shape in shapes)
        several = several and (
            len(set(shapes)) > 1 or any(shape[0] == n_samples for shape in shapes)
        )
    if several:
        raise ValueError(
            f"X is a {type(X).__name__} of {len(X)} inputs. Modules of several inputs are not "
            "supported: put the columns side by side in one array, and let the module take "
            "them apart."
        )


def refuse_duplicate_names(X):
    """Raise a ValueError if two columns of a table have one name."""
    names = _names(X)
    twice = [name for name, count in Counter(names or ()).items() if count > 1]
    if twice:
        raise ValueError(
            f"X has more than one column named {twice[0]!r}: names have to tell the columns "
            "apart. Rename them."
        )


def refuse_dates(X):
    """Raise a ValueError if a table has a column of dates or times.

    polars makes numbers of them, in a unit that depends on the other columns.
    """
    names = _names(X)
    if names is None:
        return
    # pyarrow has no dtypes.
    types = getattr(getattr(X, "schema", None), "types", None) or getattr(X, "dtypes", None)
    types = [] if types is None else list(types)
    for name, kind in zip(names, types, strict=False):
        if str(kind).lower().startswith(("date", "time", "duration", "period")):
            raise _date_error(name, next(iter(np.asarray(X[name])), None))


def _date_error(name, value):
    return ValueError(
        f"Column {name!r} of X holds dates or times ({value}), not numbers: turn them into "
        "numbers, such as days since some day."
    )


def not_numbers_error(X, error):
    """The error for the first column of X that does not hold numbers; None if all do.

    Called when a conversion has failed with ``error``: it may take its time.
    """
    names = _names(X)
    if scipy.sparse.issparse(X):
        return None
    if names is None:
        X = np.asarray(X)
        if X.ndim != 2:
            return None
        names, column = range(X.shape[1]), lambda place: X[:, place]
    else:
        column = lambda name: np.asarray(X[name])  # noqa: E731
    for name in names:
        values = column(name)
        value = _first_other(values)
        if value is None:
            continue
        dates = datetime.date | datetime.time | datetime.timedelta
        if values.dtype.kind in "mM" or isinstance(value, dates):
            return _date_error(name, value)
        message = (
            f"Column {name!r} of X holds {value!r}, which is not a number. Encode such "
            "columns, for instance by OneHotEncoder or OrdinalEncoder in a ColumnTransformer."
        )
        if isinstance(value, str | bytes):
            return ValueError(message)
        return TypeError(f"{message} ({error})")
    return None


def _names(X):
    names = getattr(X, "column_names", None)  # pyarrow; polars and pandas: columns
    if names is None and hasattr(X, "shape"):
        names = getattr(X, "columns", None)
    return None if names is None else list(names)


def _first_other(values):
    """The first value of a column that is no number; None if there is none."""
    if values.dtype.kind in "biufc":
        return None
    if values.dtype.kind in "mM":
        return values[0]
    for value in values.tolist():
        try:
            float(value)
        except (TypeError, ValueError):
            # A missing value is another matter, of which scikit-learn speaks.
            if value is not None and type(value).__name__ not in ("NAType", "NaTType"):
                return value
    return None
