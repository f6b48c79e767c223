"""Predictions of a fitted search: by its winner, or by a vote of its best."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.utils.metadata_routing import process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from .routing import refuse_params, routing_enabled

__all__ = ["AnswersMixin"]

Method = TypeVar("Method", bound=Callable[..., Any])


def _if_answers(name: str) -> Callable[[Method], Method]:
    """Decorate a method that exists only if the vote or the estimator has one of this name."""

    def check(self):
        # hasattr() passes the AttributeError's message on.
        getattr(self._answering(), name)
        return True

    return available_if(check)


class AnswersMixin:
    """Methods that pass samples on to the winner of a search or to a vote.

    The search sets ``best_estimator_`` and ``vote_`` (None without a vote) in fit.
    """

    estimator: Any
    vote: Any
    best_estimator_: Any
    vote_: VotingClassifier | None
    scorer_: Callable[..., Any]

    def score(self, X: Any, y: Any = None, **params: Any) -> float:
        """Score on the given samples by ``scoring``, never by margin-AUC.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)
            Samples with the columns seen in :meth:`fit`.
        y : array-like of shape (n_samples,)
            Labels of the samples.
        **params : dict
            Keyword arguments of the scorer; only with metadata routing enabled.

        Returns
        -------
        score : float
            Of the vote, or of ``best_estimator_``.
        """
        check_is_fitted(self, "best_estimator_")
        refuse_params(self, params)
        if routing_enabled():
            params = process_routing(self, "score", **params).scorer.score
        return self.scorer_(self._answering(), X, y, **params)

    @_if_answers("predict")
    def predict(self, X: Any) -> NDArray[Any]:
        """Most likely label of each sample.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)
            Samples with the columns seen in :meth:`fit`.

        Returns
        -------
        y : ndarray of shape (n_samples,)
        """
        check_is_fitted(self, "best_estimator_")
        return self._answering().predict(X)

    @_if_answers("predict_proba")
    def predict_proba(self, X: Any) -> NDArray[np.floating]:
        """Class probabilities.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)
            Samples with the columns seen in :meth:`fit`.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
        """
        check_is_fitted(self, "best_estimator_")
        return self._answering().predict_proba(X)

    @_if_answers("predict_log_proba")
    def predict_log_proba(self, X: Any) -> NDArray[np.floating]:
        """Logarithms of the class probabilities; a vote has none.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)
            Samples with the columns seen in :meth:`fit`.

        Returns
        -------
        log_proba : ndarray of shape (n_samples, n_classes)
        """
        check_is_fitted(self, "best_estimator_")
        return self._answering().predict_log_proba(X)

    @_if_answers("decision_function")
    def decision_function(self, X: Any) -> NDArray[np.floating]:
        """Logits; for two classes, their difference. A vote has none.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)
            Samples with the columns seen in :meth:`fit`.

        Returns
        -------
        scores : ndarray of shape (n_samples, n_classes) or (n_samples,)
        """
        check_is_fitted(self, "best_estimator_")
        return self._answering().decision_function(X)

    def _answering(self) -> Any:
        """The estimator that predictions come from; before fit, one with the same methods."""
        if "best_estimator_" in vars(self):
            return self.best_estimator_ if self.vote_ is None else self.vote_
        votes = self.vote != 1
        if self.vote == "auto":
            votes = hasattr(self.estimator, "predict_proba")
        return VotingClassifier([], voting="soft") if votes else self.estimator

    @property
    def classes_(self) -> NDArray[Any]:
        """Labels, sorted."""
        return self._of_best("classes_")

    @property
    def n_features_in_(self) -> int:
        """Number of features seen in fit."""
        return self._of_best("n_features_in_")

    def _of_best(self, name: str) -> Any:
        try:
            check_is_fitted(self, "best_estimator_")
        except NotFittedError as error:
            raise AttributeError(f"{type(self).__name__} has no {name} before fit.") from error
        return getattr(self.best_estimator_, name)
