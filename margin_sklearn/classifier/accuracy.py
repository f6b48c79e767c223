"""The score of classifiers: accuracy, of labels and weights of every kind that fit takes."""

from typing import Any

from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin

from ..data.validation import label_array
from ..data.weights import check_sample_weight

__all__ = ["ScoresAccuracy"]


class ScoresAccuracy(ClassifierMixin):
    """A classifier with accuracy as its score."""

    def score(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
        """Accuracy on the given samples.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)
            Samples with the columns seen in :meth:`fit`.
        y : array-like of shape (n_samples,)
            Labels of the samples.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the samples; None weights all equally.

        Returns
        -------
        score : float
        """
        y = label_array(y)
        if sample_weight is not None:
            sample_weight = check_sample_weight(sample_weight, len(y))
        return float(super().score(X, y, sample_weight=sample_weight))
