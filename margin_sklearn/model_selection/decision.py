"""Which candidates are cross-validated, and which of them wins."""

import math

import numpy as np
from numpy.typing import NDArray

# Measured with benchmarks/decision.py: cross-validation and margin-AUC err independently, so
# together they choose better than either. The shortlist's standardised scores are added with
# these weights.
WEIGHT_OF_CV, WEIGHT_OF_MARGIN_AUC = 0.7, 0.3

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
        Indices of candidates, best first: the shortlist by the sum of both scores,
        standardised over it, 0.7 of ``cv_means`` and 0.3 of ``margin_auc``, ties by
        ``margin_auc``; then those off the shortlist by ``margin_auc``; then those whose scores
        are not finite. Remaining ties keep the order of the candidates.

    Examples
    --------
    >>> import numpy as np
    >>> from margin_sklearn.model_selection.decision import final_order
    >>> margin_auc = np.array([0.7, 0.8, 0.6, 0.9])
    >>> cv_means = np.array([np.nan, 0.95, np.nan, 0.9])
    >>> final_order(margin_auc, cv_means, ~np.isnan(cv_means))
    array([1, 3, 0, 2])
    """
    score = np.where(shortlisted, cv_means, margin_auc)
    level = np.where(np.isfinite(score), np.where(shortlisted, 0, 1), 2)
    both = np.zeros(len(score))
    first = level == 0
    both[first] = WEIGHT_OF_CV * _standardised(cv_means[first])
    both[first] += WEIGHT_OF_MARGIN_AUC * _standardised(margin_auc[first])
    # lexsort sorts by its last key first.
    return np.lexsort((*_falling(margin_auc), -both, level))


def _standardised(score: NDArray[np.floating]) -> NDArray[np.floating]:
    finite = score[np.isfinite(score)]
    # Equal values may have a mean beside them, and a deviation of 1e-17.
    if finite.size < 2 or np.ptp(finite) == 0 or finite.std() == 0:
        return np.zeros(len(score))
    # An infinite score, as of a saturated network, counts as the lowest: all others differ.
    score = np.where(np.isfinite(score), score, finite.min())
    return (score - finite.mean()) / finite.std()


def _falling(score: NDArray[np.floating]) -> tuple[NDArray[np.floating], NDArray[np.int_]]:
    """Keys for lexsort, the last of which is the most important."""
    finite = np.isfinite(score)
    kind = np.where(finite, 0, np.where(np.isnan(score), 2, 1))
    return np.where(finite, -score, 0.0), kind
