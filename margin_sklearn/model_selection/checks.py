"""Check the parameters of MarginSearchCV before any work is done."""

import numbers
import os

import numpy as np

from ..checks import check_choice, check_int, check_random_state_parameter, refuse

__all__ = ["check_search"]


def check_search(search):
    """Raise an error if a parameter of a MarginSearchCV is invalid.

    Parameters
    ----------
    search : MarginSearchCV
    """
    if not hasattr(search.estimator, "fit") or isinstance(search.estimator, type):
        refuse("estimator", "an estimator, such as MarginClassifier()", search.estimator)
    grid = search.param_grid
    if not isinstance(grid, dict) and not (
        isinstance(grid, list | tuple) and all(isinstance(part, dict) for part in grid)
    ):
        refuse("param_grid", "a dict of parameters and their values, or a list of dicts", grid)
    check_int("n_iter", search.n_iter, 1, also=(None,))
    check_int("shortlist", search.shortlist, 1, also=(None, "auto"))
    check_int("vote", search.vote, 1, also=("auto",))
    votes = not isinstance(search.vote, str) and search.vote > 1
    if votes and not hasattr(search.estimator, "predict_proba"):
        raise ValueError(
            f"vote={search.vote} needs probabilities, but {type(search.estimator).__name__} has "
            "no predict_proba: set vote=1."
        )
    if not callable(search.margin_scoring):
        refuse("margin_scoring", "a scorer such as margin_auc_score", search.margin_scoring)
    if isinstance(search.scoring, list | tuple | set | dict):
        refuse("scoring", "one score: None, a name or a callable", search.scoring)
    if not isinstance(search.stack, bool | np.bool_):
        check_choice("stack", search.stack, ("auto",))
    check_int("n_jobs", search.n_jobs, -(2**15), also=(None,))
    if search.n_jobs == 0:
        refuse("n_jobs", "None, a number of workers, or -1 for all processors", 0)
    if search.memory is not None and not isinstance(search.memory, str | os.PathLike):
        refuse("memory", "None or the path of a folder", search.memory)
    error_score = search.error_score
    if error_score != "raise" and not (
        isinstance(error_score, numbers.Real) and not isinstance(error_score, bool)
    ):
        refuse("error_score", "'raise' or a number", error_score)
    check_int("verbose", search.verbose, 0)
    check_random_state_parameter("random_state", search.random_state)
