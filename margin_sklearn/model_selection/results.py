"""The results of a search, filled in as fits are finished."""

import copy
import warnings

import numpy as np
from sklearn.exceptions import FitFailedWarning
from sklearn.pipeline import Pipeline

from .candidates import columns_of
from .decision import final_ranks, ranks

__all__ = ["Results"]


class Results:
    """Scores, times, errors and the best networks of a search.

    Parameters
    ----------
    candidates : list of dict
    n_splits : int
        Number of folds; 0 without cross-validation.
    error_score : "raise" or float
        Score of a failed fit.

    Attributes
    ----------
    margin_auc : ndarray of shape (n_candidates,)
        NaN where unknown.
    shortlisted : ndarray of bool of shape (n_candidates,)
    split_scores : ndarray of shape (n_candidates, n_splits)
    networks : dict of int to estimator
        The fitted candidates with the highest margin-AUC.
    n_fits : int
        Number of finished fits.
    """

    def __init__(self, candidates, n_splits, error_score):
        n = len(candidates)
        self.candidates, self.error_score = candidates, error_score
        self.margin_auc = np.full(n, np.nan)
        self.shortlisted = np.zeros(n, dtype=bool)
        self.split_scores = np.full((n, n_splits), np.nan)
        self.fit_times: list = [[] for _ in range(n)]
        self.score_times: list = [[] for _ in range(n)]
        self.together = np.ones(n, dtype=int)
        self.failed = np.zeros(n, dtype=bool)
        self.errors: list[Exception] = []
        self.networks: dict = {}
        self.n_fits = 0

    def add(self, outcome, most):
        """Record a finished fit.

        Parameters
        ----------
        outcome : Outcome
        most : int
            Number of networks to keep, those with the highest margin-AUC.

        Raises
        ------
        Exception
            The error of a failed fit, with ``error_score="raise"``.
        """
        place, score = outcome.candidate, outcome.score
        self.n_fits += 1
        self.fit_times[place].append(outcome.fit_seconds)
        self.score_times[place].append(outcome.score_seconds)
        if outcome.error is not None:
            if isinstance(self.error_score, str):
                raise outcome.error
            score = self.error_score
            self.errors.append(outcome.error)
            self.failed[place] |= outcome.split is None
        if outcome.split is not None:
            self.split_scores[place, outcome.split] = score
            return
        self.margin_auc[place] = score
        self.together[place] = outcome.n_together
        if outcome.estimator is not None:
            self.networks[place] = outcome.estimator
            if len(self.networks) > most:
                # Earlier candidates are preferred where scores are equal, whatever the order
                # in which they are finished.
                del self.networks[max(self.networks, key=lambda k: (-self._value(k), k))]

    def _value(self, place):
        score = self.margin_auc[place]
        return -np.inf if np.isnan(score) else score

    def choose(self, size):
        """Put the candidates with the highest margin-AUC on the shortlist.

        Parameters
        ----------
        size : int
        """
        order = sorted(self.networks, key=lambda place: (-self._value(place), place))
        self.shortlisted[order[:size]] = True

    def cv_score(self):
        """Mean score over the folds; NaN where folds are missing."""
        if not self.split_scores.shape[1]:
            return np.full(len(self.margin_auc), np.nan)
        return self.split_scores.mean(axis=1)

    def refuse_failures(self):
        """Warn of failed fits.

        Raises
        ------
        ValueError
            If all candidates failed.
        """
        if not self.errors:
            return
        counts: dict[str, int] = {}
        for error in self.errors:
            text = f"{type(error).__name__}: {error}"
            counts[text] = counts.get(text, 0) + 1
        listed = "\n".join(f"{count} times: {text}" for text, count in counts.items())
        if not self.networks:
            raise ValueError(
                f"All {len(self.errors)} fits failed. Set error_score='raise' to see where.\n"
                f"{listed}"
            ) from self.errors[0]
        warnings.warn(
            f"{len(self.errors)} of {self.n_fits} fits failed; their scores are "
            f"{self.error_score}, and candidates that were not fitted come last.\n{listed}",
            FitFailedWarning,
            stacklevel=3,
        )

    def _final_ranks(self):
        known = np.where(self.failed, np.nan, self.margin_auc)
        if not self.shortlisted.any():
            return ranks(known)
        return final_ranks(known, self.cv_score(), self.shortlisted)

    def order(self):
        """Indices of the candidates, the winner first.

        Returns
        -------
        order : ndarray of int of shape (n_candidates,)
        """
        return np.argsort(self._final_ranks(), kind="stable")

    def network(self, place):
        """A fitted candidate that shares nothing with the others.

        Parameters
        ----------
        place : int

        Returns
        -------
        estimator : estimator
        """
        estimator = self.networks[place]
        if isinstance(estimator, Pipeline):
            # Its transformers were fitted once for several candidates.
            estimator.steps = [*copy.deepcopy(estimator.steps[:-1]), estimator.steps[-1]]
        return estimator

    def table(self):
        """``cv_results_`` of the search.

        Returns
        -------
        table : dict of str to ndarray of shape (n_candidates,)
        """
        table = {}
        for name, times in (("fit", self.fit_times), ("score", self.score_times)):
            table[f"mean_{name}_time"] = np.array([_mean(each) for each in times])
            table[f"std_{name}_time"] = np.array([_deviation(each) for each in times])
        table |= columns_of(self.candidates)
        table["params"] = self.candidates
        table["margin_auc"] = self.margin_auc
        table["rank_margin_auc"] = ranks(np.where(self.failed, np.nan, self.margin_auc))
        table["n_together"] = self.together
        table["shortlisted"] = self.shortlisted
        for split, scores in enumerate(self.split_scores.T):
            table[f"split{split}_test_score"] = scores
        table["mean_test_score"] = self.cv_score()
        table["std_test_score"] = np.array(
            [_deviation(scores) for scores in self.split_scores], dtype=float
        )
        table["rank_test_score"] = self._final_ranks()
        return table


def _mean(values):
    return np.mean(values) if len(values) else np.nan


def _deviation(values):
    return np.std(values) if len(values) else np.nan
