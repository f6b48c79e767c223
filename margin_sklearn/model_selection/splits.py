"""A splitter with all samples in the training set and in the test set."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils.validation import check_consistent_length, indexable

from ..checks import check_rows

__all__ = ["ResubstitutionSplit"]


class ResubstitutionSplit(BaseCrossValidator):
    """Splitter with one split: train on all samples, score on the same samples.

    Use it with scores that are made for the training set, such as :func:`margin_auc_score`. A
    search then fits each candidate once and holds no samples out. Do not use it with accuracy
    as the score: the search would select the candidate that memorises best.

    Notes
    -----
    In each iteration, ``HalvingGridSearchCV`` and ``HalvingRandomSearchCV`` draw samples
    twice: once for training and once for scoring. The two draws are the same only if their
    ``random_state`` is an int. With the default, None, a network is scored on samples that it
    was not trained on. This splitter cannot detect that, so set ``random_state=0`` there.

    Examples
    --------
    >>> from margin_sklearn import ResubstitutionSplit
    >>> [(train, test)] = ResubstitutionSplit().split([[0.0], [1.0], [2.0]])
    >>> train
    array([0, 1, 2])
    >>> test
    array([0, 1, 2])
    """

    def split(
        self, X: Any, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[NDArray[np.int_], NDArray[np.int_]]]:
        """Yield all row indices, once, as the training set and as the test set.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Samples; only their number is used.
        y : array-like of shape (n_samples,), default=None
            Only its length is used.
        groups : object, default=None
            Ignored.

        Yields
        ------
        train, test : ndarray of int of shape (n_samples,)

        Raises
        ------
        ValueError
            If ``X`` has no rows, or ``X`` and ``y`` have different lengths.
        """
        check_rows("X", X)
        check_consistent_length(X, y)
        n_samples = X.shape[0] if hasattr(X, "shape") else len(indexable(X)[0])
        yield np.arange(n_samples), np.arange(n_samples)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return 1, the number of splits.

        Parameters
        ----------
        X, y, groups : object, default=None
            Ignored.

        Returns
        -------
        n_splits : int
        """
        return 1
