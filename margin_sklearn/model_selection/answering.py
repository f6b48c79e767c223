"""How a fitted search predicts: by its winner, or by a vote."""

from typing import Any

from sklearn.exceptions import NotFittedError
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

__all__ = ["AnsweringMixin"]


def _has(name):
    """Whether the estimator that answers has a method."""

    def check(search):
        answering = vars(search).get("_answering", search.estimator)
        getattr(answering, name)  # raises the AttributeError that names it
        return True

    return check


class AnsweringMixin:
    """The methods of a search that its winner, or the vote, answers.

    A method exists if the estimator that answers has it.
    """

    estimator: Any
    best_estimator_: Any
    scorer_: Any
    _answering: Any

    def _answers(self):
        check_is_fitted(self, "best_estimator_")
        return self._answering

    @available_if(_has("predict"))
    def predict(self, X: Any) -> Any:
        """Labels, by the winner or the vote.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)

        Returns
        -------
        y : ndarray of shape (n_samples,)
        """
        return self._answers().predict(X)

    @available_if(_has("predict_proba"))
    def predict_proba(self, X: Any) -> Any:
        """Probabilities of the classes, by the winner or the mean of the vote.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
            Columns in the order of ``classes_``.
        """
        return self._answers().predict_proba(X)

    @available_if(_has("predict_log_proba"))
    def predict_log_proba(self, X: Any) -> Any:
        """Logarithms of the probabilities, by the winner.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)

        Returns
        -------
        log_proba : ndarray of shape (n_samples, n_classes)
        """
        return self._answers().predict_log_proba(X)

    @available_if(_has("decision_function"))
    def decision_function(self, X: Any) -> Any:
        """Logits of the winner.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)

        Returns
        -------
        scores : ndarray of shape (n_samples,) or (n_samples, n_classes)
        """
        return self._answers().decision_function(X)

    def score(self, X: Any, y: Any = None, **params: Any) -> float:
        """``scoring`` of the winner or the vote: accuracy by default, never margin-AUC.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
        y : array-like of shape (n_samples,)
        **params
            For the scorer.

        Returns
        -------
        score : float
        """
        check_is_fitted(self, "best_estimator_")
        return self.scorer_(self._answering, X, y, **params)

    @property
    def n_features_in_(self) -> int:
        """Number of columns that the winner was fitted with."""
        try:
            check_is_fitted(self, "best_estimator_")
        except NotFittedError as error:
            raise AttributeError(
                f"{type(self).__name__} has no n_features_in_ before it is fitted."
            ) from error
        return self.best_estimator_.n_features_in_

    @property
    def feature_names_in_(self) -> Any:
        """Column names that the winner was fitted with."""
        return self.best_estimator_.feature_names_in_
