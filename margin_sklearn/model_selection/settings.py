"""Checks of a search's parameters, and how many candidates they make it shortlist."""

import numbers
from pathlib import Path
from typing import Any

import numpy as np

from ..adapters.unwrap import innermost
from ..checks import (
    check_int,
    check_random_state_parameter,
    check_verbose,
    refuse,
)
from ..classifier.estimator import MarginClassifier
from ..exceptions import warn_caller
from ..runtime import resolve_device
from ..scoring.scorer import MarginAUCScorer
from .candidates import Settings, check_has_margins, check_votes, with_settings
from .decision import n_voters, shortlist_size

__all__ = ["check_candidates", "check_search", "n_shortlisted", "n_votes"]


def check_search(search: Any) -> None:
    """Check the parameters of a search that do not depend on data.

    Parameters
    ----------
    search : MarginSearchCV

    Raises
    ------
    InvalidParameterError
        With type and range.
    """
    if isinstance(search.estimator, type) or not hasattr(search.estimator, "fit"):
        refuse("estimator", "an estimator: an object with fit", search.estimator)
    check_int("n_iter", search.n_iter, 1, also=(None,))
    check_int("shortlist", search.shortlist, 1, also=(None, "auto"))
    check_int("vote", search.vote, 1, also=("auto",))
    if not callable(search.margin_scoring) or isinstance(search.margin_scoring, type):
        refuse(
            "margin_scoring",
            "a scorer (estimator, X, y) -> float, as of make_margin_auc_scorer",
            search.margin_scoring,
        )
    scoring = search.scoring
    if isinstance(scoring, MarginAUCScorer):
        refuse(
            "scoring",
            "a score on new samples such as 'accuracy' (margin-AUC belongs in margin_scoring)",
            scoring,
        )
    if not (scoring is None or isinstance(scoring, str) or callable(scoring)):
        refuse("scoring", "None, the name of a scorer or one callable scorer", scoring)
    if not (isinstance(search.stack, str) and search.stack == "auto"):
        if isinstance(search.stack, str):
            refuse("stack", "'auto', True or False", search.stack)
        if not isinstance(search.stack, bool | np.bool_):
            refuse("stack", "'auto', True or False", search.stack)
    if isinstance(search.cv, bool) or search.cv is None:
        refuse(
            "cv", "an integer of at least 2, a splitter or an iterable of splits", search.cv
        )
    memory = search.memory
    if memory is not None and (
        not isinstance(memory, str | Path) or not str(memory) or Path(memory).is_file()
    ):
        refuse("memory", "None or the path of a folder (str or Path)", memory)
    whole = isinstance(search.n_jobs, numbers.Integral) and not isinstance(search.n_jobs, bool)
    if search.n_jobs is not None and (not whole or search.n_jobs == 0):
        refuse(
            "n_jobs",
            "None or an integer other than 0, such as -1 for all cores",
            search.n_jobs,
        )
    error_score = search.error_score
    number = isinstance(error_score, numbers.Real) and not isinstance(error_score, bool)
    if not number and not (isinstance(error_score, str) and error_score == "raise"):
        refuse("error_score", "a number, NaN or 'raise'", error_score)
    check_verbose(search.verbose)
    check_random_state_parameter("random_state", search.random_state)


def n_shortlisted(shortlist: int | str | None, n_candidates: int) -> int:
    """Number of candidates to cross-validate.

    Parameters
    ----------
    shortlist : int, "auto" or None
        The parameter, checked.
    n_candidates : int

    Returns
    -------
    n : int
        0 for None.
    """
    if shortlist is None:
        return 0
    size = shortlist_size(n_candidates) if isinstance(shortlist, str) else int(shortlist)
    return min(size, n_candidates)


def n_votes(vote: int | str, n_candidates: int) -> int:
    """Number of candidates that answer together.

    Parameters
    ----------
    vote : int or "auto"
        The parameter, checked.
    n_candidates : int

    Returns
    -------
    n : int

    Raises
    ------
    InvalidParameterError
        If there are fewer candidates.
    """
    if isinstance(vote, str):
        return n_voters(n_candidates)
    if vote > n_candidates:
        refuse("vote", f"'auto' or at most the number of candidates, {n_candidates}", vote)
    return int(vote)


def check_candidates(
    search: Any, estimator: Any, candidates: list[Settings], vote: int
) -> int:
    """Raise an error for candidates that cannot work; warn of workers that share a GPU.

    Parameters
    ----------
    search : MarginSearchCV
    estimator : estimator
        Not fitted.
    candidates : list of dict
    vote : int
        From :func:`n_votes`.

    Returns
    -------
    vote : int
        1 for ``vote="auto"`` of candidates without probabilities.
    """
    by_margins = isinstance(search.margin_scoring, MarginAUCScorer)
    on_gpu = False
    for settings in candidates:
        model = with_settings(estimator, settings)
        if by_margins:
            check_has_margins(model)
        if vote > 1 and search.vote == "auto" and not hasattr(model, "predict_proba"):
            vote = 1
        if vote > 1:
            check_votes(model)
        inner = innermost(model)
        if isinstance(inner, MarginClassifier) and search.n_jobs not in (None, 1):
            on_gpu = on_gpu or resolve_device(inner.device).type != "cpu"
    if on_gpu:
        warn_caller(
            f"n_jobs={search.n_jobs} makes several processes share one GPU, which is slower "
            "than one process: set n_jobs=1, or device='cpu'."
        )
    return vote
