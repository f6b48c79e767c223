"""Candidates of a search: from grids and distributions to parameter settings."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.ma import MaskedArray
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid, ParameterSampler

from ..adapters.registry import as_network, supported
from ..adapters.unwrap import innermost
from ..checks import InvalidParameterError, refuse

__all__ = [
    "candidate_settings",
    "check_has_margins",
    "check_votes",
    "parameter_columns",
    "with_settings",
]

Settings = dict[str, Any]


def candidate_settings(
    param_grid: Any, n_iter: int | None, random_state: Any
) -> list[Settings]:
    """Settings of all candidates, in the order of GridSearchCV or RandomizedSearchCV.

    Parameters
    ----------
    param_grid : dict or list of dict
        Lists of values; with ``n_iter`` also distributions.
    n_iter : int or None
        Number of candidates to draw; None takes all combinations.
    random_state : int, RandomState instance or None
        Used with ``n_iter``.

    Returns
    -------
    candidates : list of dict

    Raises
    ------
    InvalidParameterError
        If there are no candidates, or the grid has another form.
    """
    grids = [param_grid] if isinstance(param_grid, Mapping) else param_grid
    if not isinstance(grids, Sequence) or not all(isinstance(grid, Mapping) for grid in grids):
        refuse(
            "param_grid", "a dict from parameter names to lists of values, or a list of such "
            "dicts", param_grid,
        )  # fmt: skip
    if not grids:
        refuse("param_grid", "a dict or a list of at least one dict", param_grid)
    for grid in grids:
        for name, values in grid.items():
            _check_values(name, values, drawn=n_iter is not None)
    if n_iter is None:
        return list(ParameterGrid(param_grid))
    # RandomizedSearchCV warns in the same way about a grid of fewer than n_iter candidates.
    return list(ParameterSampler(param_grid, n_iter, random_state=random_state))


def _check_values(name: Any, values: Any, drawn: bool) -> None:
    if not isinstance(name, str):
        refuse("param_grid", "a dict with parameter names (strings) as keys", name)
    shown = f"param_grid[{name!r}]"
    if hasattr(values, "rvs"):
        if not drawn:
            raise InvalidParameterError(
                f"{shown} is a distribution, which has no last value: pass n_iter, the number "
                f"of candidates to draw, or a list of values, got {values!r}."
            )
        return
    listed = isinstance(values, Sequence | np.ndarray) and not isinstance(values, str | bytes)
    if not listed or np.ndim(values if isinstance(values, np.ndarray) else 0) > 1:
        wanted = "a list of values" + (" or a distribution (with a method rvs)" * drawn)
        refuse(shown, f"{wanted}; put a single value in a list", values)
    if len(values) == 0:
        refuse(shown, "a list of at least one value", values)


def with_settings(estimator: Any, settings: Settings) -> Any:
    """A clone of an estimator with some parameters set.

    Parameters
    ----------
    estimator : estimator
    settings : dict
        Values that are estimators or modules are cloned too.

    Returns
    -------
    clone : estimator
        Not fitted.
    """
    return clone(estimator).set_params(**clone(settings, safe=False))


def parameter_columns(candidates: Sequence[Settings]) -> dict[str, MaskedArray]:
    """The columns ``param_*`` of ``cv_results_``.

    Parameters
    ----------
    candidates : list of dict

    Returns
    -------
    columns : dict of MaskedArray of shape (n_candidates,)
        Masked where a candidate does not set the parameter.
    """
    columns = {}
    for name in dict.fromkeys(name for settings in candidates for name in settings):
        given = {
            i: settings[name] for i, settings in enumerate(candidates) if name in settings
        }
        column = MaskedArray(
            np.empty(len(candidates), _dtype(list(given.values()))), mask=True
        )
        for i, value in given.items():
            column[i] = value
        columns[f"param_{name}"] = column
    return columns


def _dtype(values: list[Any]) -> np.dtype:
    """The dtype that GridSearchCV gives a column: numbers as such, all else as objects."""
    try:
        array = np.array(values)
    except ValueError:  # sequences of different lengths
        return np.dtype(object)
    return array.dtype if array.dtype.kind != "U" and array.ndim == 1 else np.dtype(object)


def check_has_margins(model: Any) -> None:
    """Raise an error if no estimator of this kind can have margins, before it is fitted.

    Parameters
    ----------
    model : estimator
        Not fitted.

    Raises
    ------
    TypeError
    """
    inner = innermost(model)
    known = as_network.dispatch(type(inner)) is not as_network.dispatch(object)
    # A search has its margins once it is fitted.
    if not known and not hasattr(inner, "refit"):
        raise TypeError(
            f"Margins cannot be taken from {type(inner).__name__}, so margin_scoring cannot "
            f"compare candidates of this kind: use GridSearchCV. {supported()}"
        )


def check_votes(model: Any) -> None:
    """Raise an error if an estimator gives no probabilities, which a soft vote averages.

    Parameters
    ----------
    model : estimator

    Raises
    ------
    ValueError
    """
    if not hasattr(model, "predict_proba"):
        raise ValueError(
            "A vote averages probabilities, but the estimator has no predict_proba: "
            f"{type(innermost(model)).__name__}. Set vote=1."
        )
