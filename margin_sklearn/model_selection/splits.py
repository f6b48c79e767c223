"""Choosing a network with every sample in the training set."""

import numpy as np
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils.validation import check_consistent_length

from ..checks import check_rows

__all__ = ["ResubstitutionSplit"]


class ResubstitutionSplit(BaseCrossValidator):
    """Splitter with one split: train on all samples, score on the same samples.

    For scores that are meant for the training set, such as :func:`margin_auc_score`: a search
    fits each candidate once and holds nothing out. With accuracy as the score it would choose
    whatever memorises best.

    Notes
    -----
    ``HalvingGridSearchCV`` and ``HalvingRandomSearchCV`` draw the samples of an iteration
    twice, once to train on and once to score on. The two are the same only with an int as
    their ``random_state``: with their default, None, a network is scored on samples that it
    was not trained on. This splitter cannot see it, so set ``random_state=0`` there.

    Examples
    --------
    >>> from margin_sklearn import ResubstitutionSplit
    >>> [(train, test)] = ResubstitutionSplit().split([[0.0], [1.0], [2.0]])
    >>> train
    array([0, 1, 2])
    >>> test
    array([0, 1, 2])
    """

    def split(self, X, y=None, groups=None):
        """Yield all indices, once, as training and as test set.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
        y : array-like of shape (n_samples,), default=None
            Only its length is looked at.
        groups : object, default=None
            Ignored.

        Yields
        ------
        train, test : ndarray of int of shape (n_samples,)
        """
        check_rows("X", X)
        check_consistent_length(X, y)
        n_samples = X.shape[0] if hasattr(X, "shape") else len(X)
        yield np.arange(n_samples), np.arange(n_samples)

    def get_n_splits(self, X=None, y=None, groups=None):
        """Return 1.

        Parameters
        ----------
        X, y, groups : object, default=None
            Ignored.

        Returns
        -------
        n_splits : int
        """
        return 1
