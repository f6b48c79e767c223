"""Which candidates of a search are cross-validated, and which of them wins."""

import math

import numpy as np
from scipy.stats import rankdata

__all__ = ["final_ranks", "n_kept", "ranks", "shortlist_size"]

# Measured with benchmarks/decision.py. The standardised scores of the shortlist are added with
# these weights: cross-validation and margin-AUC err independently.
WEIGHT_OF_MARGIN_AUC = 0.3
FEWEST = 5


def shortlist_size(shortlist, n_candidates):
    """Number of candidates that are cross-validated.

    Parameters
    ----------
    shortlist : "auto", int or None
        As for :class:`~margin_sklearn.MarginSearchCV`.
    n_candidates : int

    Returns
    -------
    size : int
        "auto": the root of their number, at least 5.

    Examples
    --------
    >>> from margin_sklearn.model_selection.decision import shortlist_size
    >>> [shortlist_size("auto", n) for n in (3, 24, 128)]
    [3, 5, 12]
    """
    if shortlist is None:
        return 0
    if isinstance(shortlist, str):
        shortlist = max(FEWEST, math.ceil(math.sqrt(n_candidates)))
    return min(int(shortlist), n_candidates)


def n_kept(vote, n_candidates):
    """Number of networks in the default vote: the root of the number of candidates.

    Parameters
    ----------
    vote : "auto" or int
    n_candidates : int

    Returns
    -------
    size : int
    """
    return math.ceil(math.sqrt(n_candidates)) if isinstance(vote, str) else int(vote)


def ranks(scores):
    """Ranks from 1, the highest score first; equal scores have the same rank.

    Parameters
    ----------
    scores : ndarray of float of shape (n,)
        NaN comes last.

    Returns
    -------
    ranks : ndarray of int32 of shape (n,)
    """
    scores = np.asarray(scores, dtype=float)
    known = ~np.isnan(scores)
    found = np.full(len(scores), known.sum() + 1, dtype=np.int32)
    found[known] = rankdata(-scores[known], method="min")
    return found


def final_ranks(margin_auc, cv_score, shortlisted):
    """Ranks in the final order, from 1, without ties.

    The shortlist comes first, by the sum of its standardised scores, .7 of cross-validation
    and .3 of margin-AUC, then the others by margin-AUC.

    Parameters
    ----------
    margin_auc : ndarray of float of shape (n,)
        NaN where the candidate could not be fitted or scored.
    cv_score : ndarray of float of shape (n,)
        Mean over the folds; NaN off the shortlist, or where a fold failed.
    shortlisted : ndarray of bool of shape (n,)

    Returns
    -------
    ranks : ndarray of int32 of shape (n,)

    Examples
    --------
    >>> import numpy as np
    >>> from margin_sklearn.model_selection.decision import final_ranks
    >>> margin_auc = np.array([0.7, 0.8, 0.6, 0.9])
    >>> cv_score = np.array([np.nan, 0.95, np.nan, 0.9])
    >>> final_ranks(margin_auc, cv_score, ~np.isnan(cv_score))
    array([3, 1, 4, 2], dtype=int32)
    """
    total = np.full(len(margin_auc), -np.inf)
    valid = shortlisted & np.isfinite(cv_score)
    if valid.any():
        weight = WEIGHT_OF_MARGIN_AUC
        total[valid] = (1 - weight) * _standardised(cv_score[valid])
        total[valid] += weight * _standardised(margin_auc[valid])
    # Sorted by the last key first. Ties are broken by margin-AUC, then by position.
    order = np.lexsort((np.arange(len(total)), ranks(margin_auc), -total, ~valid))
    found = np.empty(len(total), dtype=np.int32)
    found[order] = np.arange(1, len(total) + 1)
    return found


def _standardised(values):
    finite = values[np.isfinite(values)]
    # Equal values may have a mean beside them, and a deviation of 1e-17.
    if finite.size == 0 or np.ptp(finite) == 0 or finite.std() == 0:
        return np.where(np.isfinite(values), 0.0, np.sign(np.nan_to_num(values)))
    # Infinite scores, as of saturated networks, would make all others equal.
    values = np.clip(values, finite.min(), finite.max())
    return (values - finite.mean()) / finite.std()
