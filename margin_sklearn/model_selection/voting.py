"""A soft vote of estimators that are already fitted."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import VotingClassifier
from sklearn.frozen import FrozenEstimator

from .candidates import check_votes

__all__ = ["soft_vote"]


def soft_vote(estimators: Sequence[Any], classes: NDArray[Any]) -> VotingClassifier:
    """Average the probabilities of fitted estimators, without fitting any of them again.

    Parameters
    ----------
    estimators : list of estimators
        Fitted on the same classes.
    classes : ndarray of shape (n_classes,)
        Their labels, sorted.

    Returns
    -------
    vote : VotingClassifier
        Fitted.

    Raises
    ------
    ValueError
        If an estimator has no ``predict_proba``.
    """
    for estimator in estimators:
        check_votes(estimator)
    vote = VotingClassifier(
        [(f"rank_{i}", FrozenEstimator(model)) for i, model in enumerate(estimators, 1)],
        voting="soft",
    )
    # The frozen estimators ignore X. Every label twice, because scikit-learn takes labels that
    # are mostly different for numbers, and warns.
    labels = np.repeat(classes, 2)
    return vote.fit(np.zeros((len(labels), 1)), labels)
