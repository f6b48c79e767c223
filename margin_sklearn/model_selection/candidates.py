"""The candidates of a search: lists of settings, and their columns in ``cv_results_``."""

import numpy as np
from numpy.ma import MaskedArray
from sklearn.model_selection import ParameterGrid, ParameterSampler

__all__ = ["candidates_of", "columns_of"]


def candidates_of(param_grid, n_iter, random_state):
    """List the settings of the candidates.

    Parameters
    ----------
    param_grid : dict or list of dict
        Lists of values or, with ``n_iter``, distributions.
    n_iter : int or None
        Number of candidates to draw; None lists the whole grid.
    random_state : int, RandomState instance or None

    Returns
    -------
    candidates : list of dict

    Raises
    ------
    ValueError
        If there are none, or if there are distributions but no ``n_iter``.
    """
    if n_iter is not None:
        sampler = ParameterSampler(param_grid, n_iter, random_state=random_state)
        return list(sampler)
    for grid in [param_grid] if isinstance(param_grid, dict) else param_grid:
        for name, values in grid.items() if isinstance(grid, dict) else ():
            if hasattr(values, "rvs"):
                raise ValueError(
                    f"param_grid[{name!r}] is a distribution: set n_iter, the number of "
                    "candidates to draw."
                )
    candidates = list(ParameterGrid(param_grid))
    if not candidates:
        raise ValueError(f"param_grid={param_grid!r} has no candidates.")
    return candidates


def columns_of(candidates):
    """The ``param_…`` columns of ``cv_results_``, as scikit-learn makes them.

    Parameters
    ----------
    candidates : list of dict

    Returns
    -------
    columns : dict of str to MaskedArray
        Masked where a candidate does not have the parameter.
    """
    places: dict[str, dict] = {}
    for place, candidate in enumerate(candidates):
        for name, value in candidate.items():
            places.setdefault(f"param_{name}", {})[place] = value
    columns = {}
    for name, values in places.items():
        try:
            array = np.array(list(values.values()))
            dtype = array.dtype if array.dtype.kind != "U" and array.ndim == 1 else object
        except ValueError:  # sequences of different lengths
            dtype = np.dtype(object)
        column = MaskedArray(np.empty(len(candidates), dtype=dtype), mask=True)
        for place, value in values.items():
            column[place] = value
        columns[name] = column
    return columns
