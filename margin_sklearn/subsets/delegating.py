"""Predictions by the fitted estimator inside another."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from ..classifier.estimator import MarginClassifier

__all__ = ["PredictsByEstimator"]

Method = TypeVar("Method", bound=Callable[..., Any])


def _if_estimator_has(name: str) -> Callable[[Method], Method]:
    """Decorate a method that exists only if the estimator has one of this name."""

    def check(self):
        estimator = getattr(self, "estimator_", self.estimator)
        # None means a MarginClassifier, which has all of them.
        return estimator is None or hasattr(estimator, name)

    return available_if(check)


class PredictsByEstimator:
    """Prediction and tags of a classifier with an ``estimator`` and, fitted, ``estimator_``.

    Both are set by the class that inherits from it.
    """

    estimator: Any
    estimator_: Any

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        given = isinstance(self.estimator, BaseEstimator)
        inner = get_tags(self.estimator if given else MarginClassifier())
        tags.input_tags, tags.classifier_tags = inner.input_tags, inner.classifier_tags
        return tags

    @_if_estimator_has("predict")
    def predict(self, X: Any) -> NDArray[Any]:
        """Most likely label of each sample, from ``estimator_``.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)
            Samples with the columns seen in :meth:`fit`.

        Returns
        -------
        y : ndarray of shape (n_samples,)
        """
        return self._fitted().predict(X)

    @_if_estimator_has("predict_proba")
    def predict_proba(self, X: Any) -> NDArray[np.floating]:
        """Class probabilities, from ``estimator_``.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)
            Samples with the columns seen in :meth:`fit`.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
        """
        return self._fitted().predict_proba(X)

    @_if_estimator_has("predict_log_proba")
    def predict_log_proba(self, X: Any) -> NDArray[np.floating]:
        """Logarithms of the class probabilities, from ``estimator_``.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)
            Samples with the columns seen in :meth:`fit`.

        Returns
        -------
        log_proba : ndarray of shape (n_samples, n_classes)
        """
        return self._fitted().predict_log_proba(X)

    @_if_estimator_has("decision_function")
    def decision_function(self, X: Any) -> NDArray[np.floating]:
        """Logits from ``estimator_``; for two classes, their difference.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)
            Samples with the columns seen in :meth:`fit`.

        Returns
        -------
        scores : ndarray of shape (n_samples, n_classes) or (n_samples,)
        """
        return self._fitted().decision_function(X)

    def _fitted(self):
        check_is_fitted(self, "estimator_")
        return self.estimator_
