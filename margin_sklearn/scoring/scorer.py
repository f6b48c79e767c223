"""margin_auc_score: the area under the margin distribution, as a scikit-learn scorer."""

from dataclasses import asdict, fields, replace
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.metadata_routing import UNUSED

from ..adapters.registry import as_network
from ..data.weights import check_sample_weight
from ..exceptions import warn_caller
from .distribution import DEFAULT, DistributionSettings, margin_distribution
from .evaluation import encode_samples

__all__ = ["MarginAUCScorer", "make_margin_auc_scorer", "margin_auc_score"]


class MarginAUCScorer(BaseEstimator):
    """Area under the distribution of scaled margins: ``scorer(estimator, X, y)``.

    ``margin_auc_score`` is one, with the settings that rank networks best in what we measured
    (``benchmarks/rank.py``); :func:`make_margin_auc_scorer` makes others. Higher is better.
    Meant for the samples the network was fitted on: ``scoring=margin_auc_score,
    cv=ResubstitutionSplit()``; it works wherever scikit-learn takes a scorer. Scores compare
    networks on the same data only.

    With floor and ceiling it is the share of the band between them that lies under the margin
    curve (:func:`margin_auc`). For ``margin_auc_score`` the curve is that of signed distances
    to the decision boundary, evaluated not at the samples, which the network has learned, but
    at perturbed samples in their neighborhoods. The band is narrow (0.07 of the distance
    between nearest neighbors, to either side of the boundary), so the score is close to the
    accuracy at these points: of two networks with equal accuracy there, the one that
    classifies correctly by more and misclassifies by less is ahead.

    Parameters
    ----------
    scale : {None, "distance", "frobenius", "path", "spectral", "total_variation"}, \
            default="distance"
        What each margin is divided by.
    at : {"samples", "neighborhood"}, default="samples"
        Where margins are evaluated.
    floor, ceiling : float, default=None
        The band; for ``scale="distance"`` in multiples of the median distance of a sample to
        its nearest neighbor.
    max_samples : int, default=2000
        Score a random part of at most so many samples; duplicates of one row count as one.
    noise_weight : bool, default=False
        Whether samples weigh less whose neighbors have other labels.
    random_state : int or RandomState instance, default=0
        Chooses that part. Nothing else is left to chance.

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
        max_samples=DEFAULT.max_samples,
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

    def __setattr__(self, name, value):
        if vars(self).get("_frozen"):
            raise AttributeError(
                f"margin_auc_score is shared by the whole process, so its {name} cannot be "
                "set: pass scoring=make_margin_auc_scorer(...), or set it on a copy, "
                "sklearn.base.clone(margin_auc_score)."
            )
        super().__setattr__(name, value)

    def _freeze(self):
        """Refuse changes from now on; clones can be changed."""
        self._frozen = True
        return self

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
        return self.evaluate(estimator, X, y, sample_weight).auc()

    def evaluate(self, estimator, X, y, sample_weight=None):
        """The distribution of margins whose area is the score, to be looked into.

        Parameters
        ----------
        estimator, X, y, sample_weight
            As for :meth:`score`.

        Returns
        -------
        distribution : MarginDistribution
            Its ``auc()`` is the score.
        """
        found = self._distribution(estimator, X, y, sample_weight, self._settings())
        infinite = found.n_infinite()
        if infinite:
            warn_caller(
                f"The margin has no gradient at {infinite} of {found.values.size} points: "
                f"{type(estimator).__name__} is constant there, as a saturated or dead "
                "network is, and infinitely far from its boundary. Its score is -inf, so that "
                "it comes last; with floor and ceiling it is finite."
            )
        return found

    def distribution(self, estimator, X, y, sample_weight=None):
        """The margins that the score is the area of, with weights and bounds.

        Parameters
        ----------
        estimator, X, y, sample_weight
            As for :meth:`score`.

        Returns
        -------
        margins : ndarray of float64 of shape (n_margins,)
            One for each sample or, with ``at="neighborhood"``, several, next to each other.
            Duplicates of one row with one label are one sample there.
        weight : ndarray of shape (n_margins,) or None
        floor, ceiling : float or None
            In the units of the margins.
        """
        found = self._distribution(estimator, X, y, sample_weight, self._settings())
        return found.margins(), found.weights(), found.floor, found.ceiling

    def standard_error(self, estimator, X, y, sample_weight=None, *, other=None):
        r"""Standard error of the score, or of its difference from another estimator's.

        How far the score of these networks would move if it were taken around other samples
        (training anew comes on top). Each sample has a part :math:`v_i` in the score, the mean
        over its points; with weights :math:`w_i` it is

        .. math:: \frac{1}{\sum_i w_i}
                  \sqrt{\frac{n}{n - 1} \sum_i w_i^2 (v_i - \bar v)^2},

        the linearised standard error of a weighted mean. Two estimators are scored at the same
        points, so a difference is known better than each of the scores: give ``other``. A
        difference of less than two standard errors means nothing. Duplicates of a row with
        different labels count as samples of their own.

        Parameters
        ----------
        estimator, X, y, sample_weight
            As for :meth:`score`.
        other : estimator, default=None
            A second fitted estimator that sees the same inputs.

        Returns
        -------
        error : float
            In the units of the score; NaN for a single sample.

        Raises
        ------
        ValueError
            If the two estimators do not see the same inputs.

        Examples
        --------
        >>> from sklearn.datasets import load_wine
        >>> from sklearn.linear_model import LogisticRegression
        >>> from sklearn.preprocessing import StandardScaler
        >>> from margin_sklearn import margin_auc_score
        >>> X, y = load_wine(return_X_y=True)
        >>> X = StandardScaler().fit_transform(X)
        >>> one, two = (LogisticRegression(C=C).fit(X, y) for C in (0.01, 1.0))
        >>> 0 < margin_auc_score.standard_error(one, X, y, other=two) < 0.02
        True
        """
        # One seed: a RandomState would choose other samples for the other estimator.
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        settings = replace(self._settings(), random_state=seed)
        one, *others = (
            self._distribution(model, X, y, sample_weight, settings)
            for model in ((estimator,) if other is None else (estimator, other))
        )
        part, weight = one.parts(), one.weight
        for two in others:
            seen = (len(two.values), two.floor, two.ceiling)
            if seen != (len(one.values), one.floor, one.ceiling):
                raise ValueError(
                    "The two estimators see different inputs (other transformers before the "
                    "network), so their margins are not those of the same points: compare "
                    "the two scores by their own standard errors."
                )
            part = part - two.parts()
        weight = np.ones(len(part)) if weight is None else weight
        part, weight = part[weight > 0], weight[weight > 0] / weight.max()
        n = len(part)
        if n < 2 or not np.isfinite(part).all():
            return float("nan")
        away = weight * (part - np.average(part, weights=weight))
        return float(np.sqrt(n / (n - 1) * (away @ away)) / weight.sum())

    def _settings(self):
        settings = DistributionSettings(
            **{field.name: getattr(self, field.name) for field in fields(DistributionSettings)}
        )
        settings.check()
        return settings

    def _distribution(self, estimator, X, y, sample_weight, settings):
        network = as_network(estimator)
        X, class_index = encode_samples(network, X, y)
        if sample_weight is not None:
            sample_weight = check_sample_weight(sample_weight, len(class_index))
        return margin_distribution(network, X, class_index, sample_weight, settings)


def make_margin_auc_scorer(
    scale="distance",
    at="samples",
    floor=None,
    ceiling=None,
    max_samples=DEFAULT.max_samples,
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
        Where margins are evaluated: at the samples themselves, or at perturbed samples near
        them, with their labels. Of each sample and each of its neighbors, the residuals that
        their own neighbors leave unexplained are exchanged
        (:func:`~margin_sklearn.neighborhoods.local_neighborhood`), as far as kernel
        classifiers need to show their leave-one-out accuracy at the points
        (:func:`~margin_sklearn.neighborhoods.calibrated_length`). Each sample has three to
        eight such points, two where there are 2,000 samples. Duplicates, exact and near, are
        one sample that weighs as many (:mod:`margin_sklearn.neighborhoods.copies`).
    floor, ceiling : float, default=None
        The band within which the area is taken, ``floor < ceiling``; with both, the score is
        the share of the band under the curve, in [0, 1], with neither it is the mean scaled
        margin (:func:`margin_auc`). For ``scale="distance"`` they are multiples of δ, the
        median distance of a sample to its nearest neighbor, where the network sees the data;
        otherwise in the units of the scaled margins.
    max_samples : int, default=2000
        Score a random part of at most so many samples; their neighbors are searched for
        among all. None scores all.
    noise_weight : bool, default=False
        Whether a sample weighs by the probability, judged by the labels of its neighbors, that
        its label is not random (:func:`~margin_sklearn.neighborhoods.label_trust`); with
        ``at="neighborhood"`` only.
    random_state : int or RandomState instance, default=0
        Chooses that part, where there are more samples; otherwise nothing is left to chance,
        and the order of the samples makes no difference. Candidates of one search should be
        scored at the same samples: keep it an int.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y, sample_weight=None) -> float``; goes where
        scikit-learn takes ``scoring=``, can be pickled, and takes part in metadata routing
        (``set_score_request``). With ``at="neighborhood"`` it warns with a
        :class:`LocalityWarning` where the data have no near and far, where 5 % of the samples
        or more are duplicates, or where fewer than 20 samples differ. Without floor and
        ceiling a network with infinite margins scores -inf, with a warning.

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
    scorer._settings()
    return scorer


margin_auc_score = make_margin_auc_scorer(**asdict(DEFAULT))._freeze()
