"""Checks of parameters: an invalid value raises one message with type and range."""

import math
import numbers
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

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
    "refuse_masked",
]


class InvalidParameterError(ValueError, TypeError):
    """A parameter has the wrong type or is out of range.

    A subclass of both errors, as scikit-learn's own class is, because the message states both
    the type and the range.
    """


def refuse(name: str, wanted: str, value: object) -> NoReturn:
    """Raise the error for an invalid parameter: what it must be and what it is.

    Parameters
    ----------
    name : str
        Name of the parameter.
    wanted : str
        Type and range, such as "an integer of at least 1".
    value : object
        The value that was passed; a long representation is shortened.

    Raises
    ------
    InvalidParameterError
        Always.
    """
    shown = repr(value)
    if len(shown) > 200:
        shown = f"{shown[:200]}… ({type(value).__name__})"
    raise InvalidParameterError(f"{name} must be {wanted}, got {shown}.")


def check_bool(name: str, value: object) -> None:
    """Raise an error unless ``value`` is True or False, of Python or NumPy.

    Parameters
    ----------
    name : str
        Name of the parameter.
    value : object

    Raises
    ------
    InvalidParameterError
        For anything else; 0, 1 and strings such as "no" are not accepted.
    """
    if not isinstance(value, bool | np.bool_):
        refuse(name, "True or False", value)


def check_int(
    name: str, value: Any, low: int, high: float = math.inf, also: Sequence[object] = ()
) -> None:
    """Raise an error unless ``value`` is an integer within bounds, or one of ``also``.

    Parameters
    ----------
    name : str
        Name of the parameter.
    value : object
    low, high : int
        Smallest and largest allowed integer.
    also : tuple, default=()
        Other allowed values, None or strings.

    Raises
    ------
    InvalidParameterError
        For anything else, including True and False.
    """
    if _among(value, also):
        return
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or not low <= value <= high:
        span = f"of at least {low}" if high == math.inf else f"between {low} and {high}"
        refuse(name, f"{_listed(also)}an integer {span}", value)


def check_real(
    name: str,
    value: Any,
    low: float,
    high: float = math.inf,
    closed: str = "both",
    also: Sequence[object] = (),
) -> None:
    """Raise an error unless ``value`` is a float or int in an interval, or one of ``also``.

    Parameters
    ----------
    name : str
        Name of the parameter.
    value : object
    low, high : float
        Bounds of the interval.
    closed : {"both", "left", "right", "neither"}, default="both"
        Which of the two bounds are allowed values.
    also : tuple, default=()
        Other allowed values, None or strings.

    Raises
    ------
    InvalidParameterError
        For anything else, including NaN, infinite values, True and False.
    """
    if _among(value, also):
        return
    left = closed in ("both", "left") and low != -math.inf
    right = closed in ("both", "right") and high != math.inf
    # Not numbers.Real: torch does not accept fractions.Fraction.
    number = isinstance(value, numbers.Integral | float | np.floating)
    if (
        not number
        or isinstance(value, bool)
        or not _is_finite(value)
        or not (low <= value if left else low < value)
        or not (value <= high if right else value < high)
    ):
        if low == 0 and high == math.inf:
            wanted = f"a finite, {'non-negative' if left else 'positive'} float or int"
        else:
            span = f"{'[' if left else '('}{low}, {high}{']' if right else ')'}"
            wanted = "a finite float or int" if low == -math.inf else f"a float in {span}"
        refuse(name, f"{_listed(also)}{wanted}", value)


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an int beyond float64
        return False


def check_choice(name: str, value: object, choices: Sequence[str | None]) -> None:
    """Raise an error unless ``value`` is one of a few strings or None.

    Parameters
    ----------
    name : str
        Name of the parameter.
    value : object
    choices : tuple of str or None
        Allowed values.

    Raises
    ------
    InvalidParameterError
        For anything else.
    """
    if not _among(value, choices):
        refuse(name, f"one of {', '.join(map(repr, choices))}", value)


def check_random_state_parameter(name: str, value: Any) -> None:
    """Raise an error unless scikit-learn's ``check_random_state`` accepts ``value``.

    Parameters
    ----------
    name : str
        Name of the parameter.
    value : object

    Raises
    ------
    InvalidParameterError
        Unless it is None, an integer from 0 to 2**32 - 1, ``np.random`` or a RandomState.
    """
    if value is None or value is np.random or isinstance(value, np.random.RandomState):
        return
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or not 0 <= value < 2**32:
        refuse(name, "None, an integer from 0 to 2**32 - 1 or a RandomState instance", value)


def check_verbose(value: object) -> None:
    """Raise an error unless ``value`` is a verbosity level: 0, 1, 2, …, True or False.

    Parameters
    ----------
    value : object
        Value of the parameter ``verbose``.

    Raises
    ------
    InvalidParameterError
        For anything else.
    """
    if not isinstance(value, bool | np.bool_):
        check_int("verbose", value, 0)


def refuse_masked(name: str, value: object) -> None:
    """Raise an error if ``value`` is a masked array with masked entries.

    Conversions to ordinary arrays ignore masks: what is masked would be used.

    Parameters
    ----------
    name : str
        Name of the parameter.
    value : object

    Raises
    ------
    ValueError
        If at least one entry is masked.
    """
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ValueError(
            f"{name} has {int(np.ma.count_masked(value))} masked entries, but masks would be "
            "ignored. Fill them (with numpy.ma.filled) or leave out their samples."
        )


def check_rows(name: str, value: object) -> None:
    """Raise an error unless ``value`` has rows. Their content is not checked, but for masks.

    Parameters
    ----------
    name : str
        Name of the parameter.
    value : object

    Raises
    ------
    InvalidParameterError
        If it is a mapping, a set, a string, a class or has no length.
    ValueError
        If it is a masked array with masked entries.
    """
    # scipy's dok_array is a dict as well.
    mapping = isinstance(value, dict) and not hasattr(value, "tocsr")
    if (
        mapping
        or isinstance(value, set | str | bytes | type)
        or not (
            hasattr(value, "__array__") or hasattr(value, "shape") or hasattr(value, "__len__")
        )
    ):
        refuse(name, "one array, DataFrame or sparse matrix of shape (n_samples, ...)", value)
    refuse_masked(name, value)


def as_numbers(name: str, values: Any) -> NDArray[np.float64]:
    """Convert real numbers to an array of float64.

    Parameters
    ----------
    name : str
        Name of the parameter.
    values : array-like

    Returns
    -------
    array : ndarray of float64

    Raises
    ------
    InvalidParameterError
        If a value is not a real number (complex numbers, dates and strings are not), or if
        nested lists have different lengths.
    ValueError
        If it is a masked array with masked entries.
    """
    refuse_masked(name, values)
    try:
        array = np.asarray(values)
        # Objects may be numbers, such as Decimal or values of pandas' nullable dtypes.
        if array.dtype.kind in "biufO":
            return array.astype(np.float64)
    except (ValueError, TypeError) as error:
        raise InvalidParameterError(
            f"{name} must hold numbers and be convertible to an array: {error}"
        ) from error
    raise InvalidParameterError(f"{name} must hold real numbers, got dtype {array.dtype}.")


def _among(value: object, choices: Sequence[object]) -> bool:
    # Compare strings and None only: == with an array gives an array, not a bool.
    return any(
        value is choice
        or (isinstance(value, str) and isinstance(choice, str) and value == choice)
        for choice in choices
    )


def _listed(also: Sequence[object]) -> str:
    return "".join(f"{choice!r} or " for choice in also)
