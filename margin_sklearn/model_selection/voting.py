"""Several fitted networks as one classifier that averages their probabilities."""

from sklearn.ensemble import VotingClassifier
from sklearn.frozen import FrozenEstimator

__all__ = ["soft_vote"]


def soft_vote(estimators, classes):
    """A fitted VotingClassifier that averages the probabilities of fitted classifiers.

    Parameters
    ----------
    estimators : list of estimator
        Fitted on the same classes.
    classes : ndarray of shape (n_classes,)

    Returns
    -------
    vote : VotingClassifier
        Its estimators are frozen: fitting it again, on the same classes, changes none of them.
    """
    named = [
        (f"network_{place}", FrozenEstimator(each)) for place, each in enumerate(estimators)
    ]
    # Nothing is fitted but the labels, so anything of the right length serves as X.
    return VotingClassifier(named, voting="soft").fit(classes.reshape(-1, 1), classes)
