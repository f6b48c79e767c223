"""Predictions of a fitted MarginClassifier."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax
from sklearn.utils.validation import check_is_fitted

from ..data.validation import validate_predict
from ..runtime import reading
from ..training.net import MarginNet
from ..training.predicting import class_indices, logits_of
from .state import of_now

__all__ = ["PredictsByNetwork"]


class PredictsByNetwork:
    """Prediction by the network ``net_``, which the class that inherits from it fits."""

    net_: MarginNet
    classes_: NDArray[Any]

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
        check_is_fitted(self, "net_")
        fitted = of_now(self)
        return fitted.classes_[fitted._of_network(class_indices, X)]

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Softmax of the logits.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)
            Samples with the columns seen in :meth:`fit`.

        Returns
        -------
        proba : ndarray of float64 of shape (n_samples, n_classes)
            Columns in the order of ``classes_``.
        """
        return softmax(self._logits(X).astype(np.float64), axis=1)

    def predict_log_proba(self, X: Any) -> NDArray[np.float64]:
        """Logarithm of the softmax of the logits.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)
            Samples with the columns seen in :meth:`fit`.

        Returns
        -------
        log_proba : ndarray of float64 of shape (n_samples, n_classes)
            Columns in the order of ``classes_``.
        """
        return log_softmax(self._logits(X).astype(np.float64), axis=1)

    def decision_function(self, X: Any) -> NDArray[Any]:
        """Logits; for two classes, their difference.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)
            Samples with the columns seen in :meth:`fit`.

        Returns
        -------
        scores : ndarray of float32 of shape (n_samples, n_classes) or (n_samples,)
            For two classes, positive where ``classes_[1]`` is predicted.
        """
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def _logits(self, X):
        return of_now(self)._of_network(logits_of, X)

    def _of_network(self, function, X):
        check_is_fitted(self, "net_")
        X = validate_predict(self, X)
        with reading(self.net_.module_):
            return function(self.net_, X, getattr(self, "feature_names_in_", None))
