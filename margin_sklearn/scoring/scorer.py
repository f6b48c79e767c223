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
from ..versions import Versioned
from .distribution import DEFAULT, DistributionSettings, margin_distribution
from .evaluation import encode_samples

__all__ = ["MarginAUCScorer", "make_margin_auc_scorer", "margin_auc_score"]


class MarginAUCScorer(Versioned, BaseEstimator):
    """Area under the distribution of scaled margins: ``scorer(estimator, X, y)``.

    ``margin_auc_score`` is an instance, with the settings that ranked networks best in our
    benchmarks (``benchmarks/rank.py``); :func:`make_margin_auc_scorer` makes others. Higher is
    better. It is meant for the samples the network was fitted on: ``scoring=margin_auc_score,
    cv=ResubstitutionSplit()``, and works wherever scikit-learn takes a scorer. Only scores on
    the same data can be compared.

    With floor and ceiling, the score is the share of the band between them that lies under the
    margin curve (:func:`margin_auc`). ``margin_auc_score`` uses signed distances to the
    decision boundary, evaluated not at the training samples but at perturbed samples in their
    neighborhoods. The band is narrow (0.07 of the distance between nearest neighbors, on
    either side of the boundary), so the score is close to the accuracy at the perturbed
    samples: of two networks with equal accuracy there, the one with larger margins where it is
    correct, and smaller violations where it is wrong, scores higher.

    Parameters
    ----------
    scale : {None, "distance", "frobenius", "path", "spectral", "total_variation"}, \
            default="distance"
        Scale to divide each margin by.
    at : {"samples", "neighborhood"}, default="samples"
        Where margins are evaluated.
    floor, ceiling : float, default=None
        The band; for ``scale="distance"`` in multiples of the median distance of a sample to
        its nearest neighbor.
    max_samples : int, default=2000
        Score a random subset of at most ``max_samples`` samples; duplicates count as one.
    noise_weight : bool, default=False
        Whether samples whose neighbors have other labels get less weight.
    random_state : int or RandomState instance, default=0
        Chooses the subset. Nothing else is random.

    See Also
    --------
    make_margin_auc_scorer : Describes each parameter in more detail.
    margins : The margin of each sample.

    Notes
    -----
    Our operationalisation of Banburski et al., "Distribution of Classification Margins: Are
    All Data Equal?" (arXiv 2107.10199); only its abstract was available to us.

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

    # BaseEstimator infers routable metadata from the signature of ``score``; its first
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
                "set: pass scoring=make_margin_auc_scorer(...), or set it on a clone, "
                "sklearn.base.clone(margin_auc_score)."
            )
        super().__setattr__(name, value)

    def _freeze(self):
        """Make this scorer immutable; its clones can be changed."""
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
            Usually the training samples: the score needs no others.
        y : array-like of shape (n_samples,)
            Their labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the samples; None weights all equally.

        Returns
        -------
        score : float
            Higher is better.
        """
        return self.evaluate(estimator, X, y, sample_weight).auc()

    def evaluate(self, estimator, X, y, sample_weight=None):
        """The distribution of margins from which the score is computed.

        Parameters
        ----------
        estimator, X, y, sample_weight
            As for :meth:`score`.

        Returns
        -------
        distribution : MarginDistribution
            Its ``auc()`` is the score.
        """
        found = self._distribution(estimator, X, y, sample_weight, self.settings())
        infinite = found.n_infinite()
        if infinite:
            warn_caller(
                f"The margin has no gradient at {infinite} of {found.values.size} points: "
                f"{type(estimator).__name__} is constant there, like a saturated or dead "
                "network, and infinitely far from its decision boundary. Its score is -inf, "
                "so it ranks last; with floor and ceiling the score is finite."
            )
        return found

    def distribution(self, estimator, X, y, sample_weight=None):
        """The margins from which the score is computed, with weights and bounds.

        Parameters
        ----------
        estimator, X, y, sample_weight
            As for :meth:`score`.

        Returns
        -------
        margins : ndarray of float64 of shape (n_margins,)
            One per sample or, with ``at="neighborhood"``, several next to each other;
            duplicates with the same label then count as one sample.
        weight : ndarray of shape (n_margins,) or None
        floor, ceiling : float or None
            In the units of the margins.
        """
        found = self._distribution(estimator, X, y, sample_weight, self.settings())
        return found.margins(), found.weights(), found.floor, found.ceiling

    def standard_error(self, estimator, X, y, sample_weight=None, *, other=None):
        r"""Standard error of the score, or of its difference from another estimator's score.

        It measures how much the score of the same networks would vary with other samples
        (retraining adds more variation). Each sample contributes :math:`v_i` to the score, the
        mean over its points; with weights :math:`w_i` the standard error is

        .. math:: \frac{1}{\sum_i w_i}
                  \sqrt{\frac{n}{n - 1} \sum_i w_i^2 (v_i - \bar v)^2},

        the linearised standard error of a weighted mean. Two estimators are scored at the same
        points, so their difference is more precise than either score: pass ``other``. A
        difference of less than two standard errors is not significant. Duplicates with
        different labels count as separate samples.

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
        # A fixed seed: a RandomState would choose different samples for each estimator.
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        settings = replace(self.settings(), random_state=seed)
        one, *others = (
            self._distribution(model, X, y, sample_weight, settings)
            for model in ((estimator,) if other is None else (estimator, other))
        )
        part, weight = one.parts(), one.weight
        for two in others:
            seen = (len(two.values), two.floor, two.ceiling)
            if seen != (len(one.values), one.floor, one.ceiling):
                raise ValueError(
                    "The two estimators see different inputs (because of different "
                    "transformers), so their margins are not at the same points: compare the "
                    "two scores using their separate standard errors."
                )
            part = part - two.parts()
        weight = np.ones(len(part)) if weight is None else weight
        part, weight = part[weight > 0], weight[weight > 0] / weight.max()
        n = len(part)
        if n < 2 or not np.isfinite(part).all():
            return float("nan")
        away = weight * (part - np.average(part, weights=weight))
        return float(np.sqrt(n / (n - 1) * (away @ away)) / weight.sum())

    def settings(self):
        """The parameters of this scorer, checked.

        Returns
        -------
        settings : DistributionSettings
        """
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
    """Make a margin-AUC scorer with settings other than those of :func:`margin_auc_score`.

    Parameters
    ----------
    scale : {None, "distance", "frobenius", "path", "spectral", "total_variation"}, \
            default="distance"
        Scale to divide each margin by; see :mod:`margin_sklearn.scales`.
    at : {"samples", "neighborhood"}, default="samples"
        Where margins are evaluated: at the samples themselves, or at perturbed samples near
        them, with the same labels. A perturbed sample exchanges the residual of a sample, the
        part that its neighbors do not reconstruct, for that of one of its neighbors
        (:func:`~margin_sklearn.neighborhoods.local_neighborhood`). The step length is chosen
        so that kernel classifiers have their leave-one-out accuracy at the perturbed samples
        (:func:`~margin_sklearn.neighborhoods.calibrated_length`). There are three to eight
        per sample, or two with 2,000 samples. Exact and near duplicates count as one sample
        with their total weight (:mod:`margin_sklearn.neighborhoods.copies`).
    floor, ceiling : float, default=None
        The band of the area, ``floor < ceiling``; with both, the score is the share of the
        band under the curve, in [0, 1]; with neither, it is the mean scaled margin
        (:func:`margin_auc`). For ``scale="distance"`` they are multiples of δ, the median
        distance of a sample to its nearest neighbor, as the network sees the data; otherwise
        they are in the units of the scaled margins.
    max_samples : int, default=2000
        Score a random subset of at most ``max_samples`` samples; their neighbors are searched
        for among all samples. None scores all.
    noise_weight : bool, default=False
        Whether to weight each sample by the probability, estimated from the labels of its
        neighbors, that its label is not random
        (:func:`~margin_sklearn.neighborhoods.label_trust`); only with ``at="neighborhood"``.
    random_state : int or RandomState instance, default=0
        Chooses the subset if there are more than ``max_samples``; nothing else is random, and
        the order of the samples does not matter. All candidates of a search should be scored
        on the same samples: pass an int.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y, sample_weight=None) -> float``; works wherever scikit-learn
        takes ``scoring=``, can be pickled, and supports metadata routing
        (``set_score_request``). With ``at="neighborhood"`` it gives a
        :class:`LocalityWarning` if the data have no near and far, if at least 5 % of the
        samples are duplicates, or if fewer than 20 samples are different. Without floor and
        ceiling, a network with infinite margins scores -inf, with a warning.

    Examples
    --------
    The paper's score, as we read its abstract: the mean margin divided by the product of the
    layers' Frobenius norms.

    >>> from margin_sklearn import make_margin_auc_scorer
    >>> make_margin_auc_scorer(scale="frobenius")
    MarginAUCScorer(scale='frobenius')
    """
    scorer = MarginAUCScorer(
        scale, at, floor, ceiling, max_samples, noise_weight, random_state
    )
    scorer.settings()
    return scorer


margin_auc_score = make_margin_auc_scorer(**asdict(DEFAULT))._freeze()
