"""Which candidates are cross-validated, and which of them wins."""

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["final_order", "n_voters", "order_by_margin_auc", "shortlist_size"]


def shortlist_size(n_candidates: int) -> int:
    """Number of candidates to cross-validate for ``shortlist="auto"``.

    Parameters
    ----------
    n_candidates : int

    Returns
    -------
    size : int
        At least 5, so it may be more than there are candidates.
    """
    return max(5, math.ceil(math.sqrt(n_candidates)))


def n_voters(n_candidates: int) -> int:
    """Number of candidates in a vote of unspecified size: the square root, rounded up.

    Parameters
    ----------
    n_candidates : int

    Returns
    -------
    n : int
    """
    return math.ceil(math.sqrt(n_candidates))


def order_by_margin_auc(margin_auc: NDArray[np.floating]) -> NDArray[np.intp]:
    """Order candidates by margin-AUC.

    Parameters
    ----------
    margin_auc : ndarray of float of shape (n_candidates,)
        NaN for a candidate without a score.

    Returns
    -------
    order : ndarray of int of shape (n_candidates,)
        Indices of candidates, the highest score first. Infinite scores come after all finite
        ones, NaN last; ties keep the order of the candidates.
    """
    return np.lexsort(_falling(margin_auc))


def final_order(
    margin_auc: NDArray[np.floating],
    cv_means: NDArray[np.floating],
    shortlisted: NDArray[np.bool_],
) -> NDArray[np.intp]:
    """Order candidates by all that is known: the first wins.

    Parameters
    ----------
    margin_auc : ndarray of float of shape (n_candidates,)
        NaN for a candidate that could not be fitted or scored.
    cv_means : ndarray of float of shape (n_candidates,)
        Mean cross-validated scores; ignored for candidates off the shortlist.
    shortlisted : ndarray of bool of shape (n_candidates,)
        The candidates that were cross-validated.

    Returns
    -------
    order : ndarray of int of shape (n_candidates,)
        Indices of candidates, best first: the shortlist by ``cv_means``, ties by
        ``margin_auc``; then those off the shortlist by ``margin_auc``; then those whose scores
        are not finite. Remaining ties keep the order of the candidates.
    """
    score = np.where(shortlisted, cv_means, margin_auc)
    level = np.where(np.isfinite(score), np.where(shortlisted, 0, 1), 2)
    by_cv = np.where(level == 0, cv_means, 0.0)
    # lexsort sorts by its last key first.
    return np.lexsort((*_falling(margin_auc), -by_cv, level))


def _falling(score: NDArray[np.floating]) -> tuple[NDArray[np.floating], NDArray[np.int_]]:
    """Keys for lexsort, the last of which is the most important."""
    finite = np.isfinite(score)
    kind = np.where(finite, 0, np.where(np.isnan(score), 2, 1))
    return np.where(finite, -score, 0.0), kind
