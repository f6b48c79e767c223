"""Checks of parameters, before any work: type and range in one message. NumPy only."""

import math
import numbers

import numpy as np

__all__ = [
    "InvalidParameterError",
    "as_numbers",
    "check_bool",
    "check_choice",
    "check_int",
    "check_random_state_parameter",
    "check_real",
    "check_rows",
    "check_verbose",
    "refuse",
]


class InvalidParameterError(ValueError, TypeError):
    """A parameter that is of the wrong type or out of range.

    It is both errors, as scikit-learn's own is: the message says type and range at once.
    """


def refuse(name, wanted, value):
    """Raise the error of a parameter: what it must be, and what it is."""
    shown = repr(value)
    if len(shown) > 200:
        shown = f"{shown[:200]}… ({type(value).__name__})"
    raise InvalidParameterError(f"{name} must be {wanted}, got {shown}.")


def check_bool(name, value):
    """Raise unless ``value`` is True or False; the string "no" is neither."""
    if not isinstance(value, bool | np.bool_):
        refuse(name, "True or False", value)


def check_int(name, value, low, high=math.inf, also=()):
    """Raise unless ``value`` is an integer between two bounds, or one of ``also``."""
    if _among(value, also):
        return
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or not low <= value <= high:
        span = f"of at least {low}" if high == math.inf else f"between {low} and {high}"
        refuse(name, f"{_listed(also)}an integer {span}", value)


def check_real(name, value, low, high=math.inf, closed="both", also=()):
    """Raise unless ``value`` is a float or int in an interval, or one of ``also``.

    Neither NaN nor infinite values are, nor are True and False.

    Parameters
    ----------
    name : str
    value : object
    low, high : float
    closed : {"both", "left", "right", "neither"}
        Which of the two bounds is allowed.
    also : tuple
        Other values that are, such as None.
    """
    if _among(value, also):
        return
    left = closed in ("both", "left") and low != -math.inf
    right = closed in ("both", "right") and high != math.inf
    if (
        # Not numbers.Real: torch takes no fractions.
        not isinstance(value, numbers.Integral | float | np.floating)
        or isinstance(value, bool)
        or not math.isfinite(value)
        or not (low <= value if left else low < value)
        or not (value <= high if right else value < high)
    ):
        if low == 0 and high == math.inf:
            wanted = f"a finite, {'non-negative' if left else 'positive'} float or int"
        else:
            span = f"{'[' if left else '('}{low}, {high}{']' if right else ')'}"
            wanted = "a finite float or int" if low == -math.inf else f"a float in {span}"
        refuse(name, f"{_listed(also)}{wanted}", value)


def check_choice(name, value, choices):
    """Raise unless ``value`` is one of a few strings (or None)."""
    if not _among(value, choices):
        refuse(name, f"one of {', '.join(map(repr, choices))}", value)


def check_random_state_parameter(name, value):
    """Raise unless ``value`` can seed a generator, as scikit-learn means it."""
    if value is None or value is np.random or isinstance(value, np.random.RandomState):
        return
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or not 0 <= value < 2**32:
        refuse(name, "None, an integer from 0 to 2**32 - 1 or a RandomState instance", value)


def check_verbose(value):
    """Raise unless ``value`` is 0, 1, 2, …; as elsewhere in scikit-learn, True is 1."""
    if not isinstance(value, bool | np.bool_):
        check_int("verbose", value, 0)


def check_rows(name, value):
    """Raise unless ``value`` is something that has rows: what is in them is not looked at."""
    # scipy's dok_array is a dict, too.
    mapping = isinstance(value, dict) and not hasattr(value, "tocsr")
    if (
        mapping
        or isinstance(value, set | str | bytes | type)
        or not (
            hasattr(value, "__array__") or hasattr(value, "shape") or hasattr(value, "__len__")
        )
    ):
        refuse(name, "one array, DataFrame or sparse matrix of shape (n_samples, ...)", value)


def as_numbers(name, values):
    """``values`` as an array of float64.

    Raises
    ------
    ValueError
        If they are not real numbers (complex ones, dates and strings are not), or are nested
        lists of different lengths.
    """
    try:
        array = np.asarray(values)
        # Objects may be numbers, of the standard library or of pandas.
        if array.dtype.kind in "biufO":
            return array.astype(np.float64)
    except (ValueError, TypeError) as error:
        raise InvalidParameterError(
            f"{name} must hold numbers, in an array without gaps: {error}"
        ) from error
    raise InvalidParameterError(f"{name} must hold real numbers, got dtype {array.dtype}.")


def _among(value, choices):
    # Strings and None only: == of an array is none.
    return any(
        value is choice
        or (isinstance(value, str) and isinstance(choice, str) and value == choice)
        for choice in choices
    )


def _listed(also):
    return "".join(f"{choice!r} or " for choice in also)
