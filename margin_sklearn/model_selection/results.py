"""The record of a search, from which ``cv_results_`` is made."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .candidates import Settings, parameter_columns
from .decision import final_order, order_by_margin_auc
from .tasks import Outcome

__all__ = ["SearchRecord"]


class SearchRecord:
    """Scores and times of all candidates; NaN where there are none (yet).

    Parameters
    ----------
    candidates : list of dict
    n_splits : int
        Number of folds, 0 without cross-validation.
    """

    def __init__(self, candidates: Sequence[Settings], n_splits: int) -> None:
        n = len(candidates)
        self.candidates = candidates
        # What is decided by: NaN where a fit or a score failed, whatever error_score is.
        self.margin_auc = np.full(n, np.nan)
        self.shown_margin_auc = np.full(n, np.nan)
        self.split_scores = np.full((n, n_splits), np.nan)
        self.shortlisted = np.zeros(n, dtype=bool)
        self.n_fits = 0
        self._missing = np.ones((n, n_splits), dtype=bool)
        self._together = np.zeros(n, dtype=int)
        self._fit_times: list[list[float]] = [[] for _ in range(n)]
        self._score_times: list[list[float]] = [[] for _ in range(n)]

    def add(self, outcome: Outcome) -> None:
        """Record one fit.

        Parameters
        ----------
        outcome : Outcome
        """
        (candidate, _, split), fitted, scored = outcome
        self.n_fits += 1
        self._fit_times[candidate].append(fitted.seconds)
        self._score_times[candidate].append(scored.seconds)
        if split is None:
            self._together[candidate] = fitted.n_together
        if split is not None:
            self.split_scores[candidate, split] = scored.score
            self._missing[candidate, split] = False
            return
        self.shown_margin_auc[candidate] = scored.score
        if fitted.error is None and scored.error is None:
            self.margin_auc[candidate] = scored.score

    def cv_means(self) -> NDArray[np.float64]:
        """Mean cross-validated score of each candidate.

        Returns
        -------
        means : ndarray of shape (n_candidates,)
            NaN for candidates that were not cross-validated in every fold.
        """
        if not self.split_scores.shape[1]:
            return np.full(len(self.candidates), np.nan)
        with np.errstate(invalid="ignore"):  # infinite scores of either sign
            return np.average(self.split_scores, axis=1)

    def _cv_deviations(self, means: NDArray[np.float64]) -> NDArray[np.float64]:
        if not self.split_scores.shape[1]:
            return means.copy()
        with np.errstate(invalid="ignore"):  # infinite scores
            return np.sqrt(np.average((self.split_scores - means[:, None]) ** 2, axis=1))

    def cross_validated(self) -> NDArray[np.bool_]:
        """Which candidates were fitted in every fold, successfully or not.

        Returns
        -------
        done : ndarray of bool of shape (n_candidates,)
        """
        return self.shortlisted & ~self._missing.any(axis=1)

    def order(self) -> NDArray[np.intp]:
        """Candidates in the final order.

        Returns
        -------
        order : ndarray of int of shape (n_candidates,)
        """
        means, done = self.cv_means(), self.cross_validated()
        if not np.isfinite(means[done]).any():
            # Interrupted before a candidate was cross-validated.
            done[:] = False
        return final_order(self.margin_auc, means, done)

    def cv_results(self) -> dict[str, Any]:
        """The attribute ``cv_results_``.

        Returns
        -------
        cv_results : dict
        """
        results: dict[str, Any] = {}
        for name, times in (("fit_time", self._fit_times), ("score_time", self._score_times)):
            results[f"mean_{name}"] = np.array([np.mean(t) if t else np.nan for t in times])
            results[f"std_{name}"] = np.array([np.std(t) if t else np.nan for t in times])
        results.update(parameter_columns(self.candidates))
        results["params"] = list(self.candidates)
        results["margin_auc"] = self.shown_margin_auc
        results["rank_margin_auc"] = _ranks(order_by_margin_auc(self.margin_auc))
        results["shortlisted"] = self.shortlisted
        results["n_together"] = self._together
        for split, scores in enumerate(self.split_scores.T):
            results[f"split{split}_test_score"] = scores
        means = self.cv_means()
        results["mean_test_score"] = means
        results["std_test_score"] = self._cv_deviations(means)
        results["rank_test_score"] = _ranks(self.order())
        return results


def _ranks(order: NDArray[np.intp]) -> NDArray[np.int32]:
    ranks = np.empty(len(order), dtype=np.int32)
    ranks[order] = np.arange(1, len(order) + 1)
    return ranks
