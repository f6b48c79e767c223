"""margin_auc_score: the area under the margin distribution, as a scikit-learn scorer."""

from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.metadata_routing import UNUSED

from .checks import check_bool, check_choice, check_int, check_random_state_parameter
from .margins import check_bounds, margin_auc
from .network_margins import (
    DEFAULT,
    MAX_SAMPLES,
    check_samples,
    margin_distribution,
    margins_at,
)
from .networks import as_network
from .scales import check_scale

__all__ = ["MarginAUCScorer", "make_margin_auc_scorer", "margin_auc_score", "margins"]


def margins(estimator, X, y, *, scale=None):
    r"""Margin of each sample: how far the network prefers its label to every other one.

    Parameters
    ----------
    estimator : estimator
        A fitted :class:`MarginClassifier`, skorch net, ``MLPClassifier`` or linear
        classifier, alone, as the last step of a Pipeline, or inside a fitted search.
    X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)
        As for ``estimator.predict``.
    y : array-like of shape (n_samples,)
        Labels.
    scale : str or None, default=None
        What the margins are divided by: "distance", "frobenius", "path", "spectral" or
        "total_variation" (:mod:`margin_sklearn.scales`); None gives differences of logits.

    Returns
    -------
    margins : ndarray of float64 of shape (n_samples,)
        Positive exactly where ``estimator.predict`` gives ``y`` (0 where two classes tie).

    Raises
    ------
    TypeError
        If the estimator holds no network, or the scale cannot handle it.
    ValueError
        If ``y`` holds a label the estimator was not fitted on, or the network gives NaN.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from margin_sklearn import margins
    >>> X, y = load_iris(return_X_y=True)
    >>> model = LogisticRegression(max_iter=1000).fit(X, y)
    >>> ((margins(model, X, y) > 0) == (model.predict(X) == y)).all()
    np.True_
    """
    network = as_network(estimator)
    X, index = check_samples(network, X, y)
    return margins_at(network, X, index, check_scale(scale))


class MarginAUCScorer(BaseEstimator):
    """Area under the distribution of scaled margins: ``scorer(estimator, X, y)``.

    ``margin_auc_score`` is one, with the settings that rank networks best in what we measured
    (``benchmarks/rank.py``); :func:`make_margin_auc_scorer` makes others. Higher is better.
    Meant for the samples the network was fitted on: ``scoring=margin_auc_score,
    cv=ResubstitutionSplit()``; it works wherever scikit-learn takes a scorer. Scores compare
    networks on the same data only.

    With floor and ceiling it is the share of the band between them that lies under the margin
    curve (:func:`margin_auc`). For ``margin_auc_score`` the curve is that of signed distances
    to the decision boundary, taken not at the samples, which the network has learned, but at
    pseudo-points in their neighborhoods. The band is narrow (0.07 of the distance between
    nearest neighbors, to either side of the boundary), so the score is close to the accuracy
    at these points: of two networks with equal accuracy there, the one that is right by more
    and wrong by less is ahead.

    Parameters
    ----------
    scale : {None, "distance", "frobenius", "path", "spectral", "total_variation"}, \
            default="distance"
        What each margin is divided by.
    at : {"samples", "neighborhood"}, default="samples"
        Where margins are taken.
    floor, ceiling : float, default=None
        The band; for ``scale="distance"`` in multiples of the median distance of a sample to
        its nearest neighbor.
    max_samples : int, default=2000
        Score a random part of at most so many samples.
    noise_weight : bool, default=False
        Whether samples weigh less whose neighbors have other labels.
    random_state : int or RandomState instance, default=0
        Chooses that part, and the pseudo-points.

    See Also
    --------
    make_margin_auc_scorer : Says more of each parameter.
    margins : The margins one by one.

    Notes
    -----
    Our operationalisation of Banburski et al., "Distribution of Classification Margins: Are
    All Data Equal?" (arXiv 2107.10199), of which the abstract was available to us.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from margin_sklearn import ResubstitutionSplit, margin_auc_score
    >>> X, y = load_wine(return_X_y=True)
    >>> search = GridSearchCV(
    ...     make_pipeline(StandardScaler(), LogisticRegression()),
    ...     {"logisticregression__C": [0.01, 1.0, 100.0]},
    ...     scoring=margin_auc_score,
    ...     cv=ResubstitutionSplit(),
    ... ).fit(X, y)
    >>> bool(search.best_score_ == margin_auc_score(search.best_estimator_, X, y))
    True
    """

    # BaseEstimator reads what may be routed off the signature of ``score``; its first
    # argument is the estimator, not metadata.
    __metadata_request__score: ClassVar = {"estimator": UNUSED}

    def __init__(
        self,
        scale="distance",
        at="samples",
        floor=None,
        ceiling=None,
        max_samples=MAX_SAMPLES,
        noise_weight=False,
        random_state=0,
    ):
        self.scale = scale
        self.at = at
        self.floor = floor
        self.ceiling = ceiling
        self.max_samples = max_samples
        self.noise_weight = noise_weight
        self.random_state = random_state

    def __call__(self, estimator, X, y, sample_weight=None):
        """Margin-AUC of a fitted estimator on ``X`` and ``y``; see :meth:`score`."""
        return self.score(estimator, X, y, sample_weight=sample_weight)

    def score(self, estimator, X, y, sample_weight=None):
        """Margin-AUC of a fitted estimator on ``X`` and ``y``.

        Parameters
        ----------
        estimator : estimator
            As for :func:`margins`.
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)
            The training samples, for the score that needs no others.
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        score : float
            Higher is better.
        """
        values, weight, floor, ceiling = self.distribution(estimator, X, y, sample_weight)
        return margin_auc(values, weight, floor=floor, ceiling=ceiling)

    def distribution(self, estimator, X, y, sample_weight=None):
        """The margins that the score is the area of, with weights and bounds.

        Parameters
        ----------
        estimator, X, y, sample_weight
            As for :meth:`score`.

        Returns
        -------
        margins : ndarray of float64 of shape (n_margins,)
            One a sample or, with ``at="neighborhood"``, several a sample, next to each other.
        weight : ndarray of shape (n_margins,) or None
        floor, ceiling : float or None
            In the units of the margins.
        """
        self._check_settings()
        network = as_network(estimator)
        X, index = check_samples(network, X, y)
        weight = None if sample_weight is None else np.asarray(sample_weight, dtype=float)
        if weight is not None and weight.shape != (len(index),):
            raise ValueError(
                f"sample_weight must have shape ({len(index)},), got {weight.shape}."
            )
        return margin_distribution(network, X, index, weight, **self.get_params())

    def _check_settings(self):
        check_bounds(self.floor, self.ceiling)
        check_choice("at", self.at, ("samples", "neighborhood"))
        check_int("max_samples", self.max_samples, 1, also=(None,))
        check_bool("noise_weight", self.noise_weight)
        check_random_state_parameter("random_state", self.random_state)
        if self.noise_weight and self.at != "neighborhood":
            raise ValueError(
                "noise_weight=True needs at='neighborhood': it weighs samples by the labels "
                "of their neighbors."
            )
        check_scale(self.scale)


def make_margin_auc_scorer(
    scale="distance",
    at="samples",
    floor=None,
    ceiling=None,
    max_samples=MAX_SAMPLES,
    noise_weight=False,
    random_state=0,
):
    """A margin-AUC scorer with other settings than :func:`margin_auc_score`.

    Parameters
    ----------
    scale : {None, "distance", "frobenius", "path", "spectral", "total_variation"}, \
            default="distance"
        What each margin is divided by; see :mod:`margin_sklearn.scales`.
    at : {"samples", "neighborhood"}, default="samples"
        Where margins are taken: at the samples themselves, or at pseudo-points near them, with
        their labels. Of each sample and a neighbor drawn at random, the residuals that their
        own neighbors leave unexplained are exchanged
        (:func:`~margin_sklearn.neighborhood.local_neighborhood`), as far as kernel classifiers
        need to show their leave-one-out accuracy at the points
        (:func:`~margin_sklearn.calibration.calibrated_length`). Each sample has two such
        points, up to eight where there are fewer than 2,000.
    floor, ceiling : float, default=None
        The band within which the area is taken, ``floor < ceiling``; with both, the score is
        the share of the band under the curve, in [0, 1], with neither it is the mean scaled
        margin (:func:`margin_auc`). For ``scale="distance"`` they are multiples of δ, the
        median distance of a sample to its nearest neighbor, where the network sees the data;
        otherwise in the units of the scaled margins.
    max_samples : int, default=2000
        Score a random part of at most so many samples; their neighbors are looked for among
        all. None scores all.
    noise_weight : bool, default=False
        Whether a sample weighs by the probability, judged by the labels of its neighbors, that
        its label is not random (:func:`~margin_sklearn.pseudopoints.label_trust`); with
        ``at="neighborhood"`` only.
    random_state : int or RandomState instance, default=0
        Chooses that part, and the pseudo-points. Candidates of one search should be scored at
        the same: keep it an int.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y, sample_weight=None) -> float``; goes where
        scikit-learn takes ``scoring=``, can be pickled, and takes part in metadata routing
        (``set_score_request``). With ``at="neighborhood"`` it warns with a
        :class:`LocalityWarning` where the data have no near and far.

    Examples
    --------
    The paper's score, as we read its abstract: the mean margin over the product of the layers'
    Frobenius norms.

    >>> from margin_sklearn import make_margin_auc_scorer
    >>> make_margin_auc_scorer(scale="frobenius")
    MarginAUCScorer(scale='frobenius')
    """
    scorer = MarginAUCScorer(
        scale, at, floor, ceiling, max_samples, noise_weight, random_state
    )
    scorer._check_settings()
    return scorer


margin_auc_score = make_margin_auc_scorer(**DEFAULT)
