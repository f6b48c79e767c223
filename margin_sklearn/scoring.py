"""margin_auc_score: the area under the margin distribution, as a scikit-learn scorer."""

import numbers
from typing import ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import (
    check_consistent_length,
    check_random_state,
    check_scalar,
    column_or_1d,
)
from sklearn.utils.metadata_routing import UNUSED

from .batches import chunk_length, take_rows
from .margins import check_bounds, margin_auc
from .neighborhood import neighbor_distance
from .networks import as_network
from .scales import check_scale

__all__ = ["MarginAUCScorer", "make_margin_auc_scorer", "margin_auc_score", "margins"]

# Enough for a median; up to this many samples it is exact.
N_ANCHORS = 1000


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
    scale : {None, "distance", "frobenius", "spectral"}, default=None
        What the margins are divided by; None gives differences of logits. See
        :mod:`margin_sklearn.scales`.

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
    return _margins(as_network(estimator), X, y, check_scale(scale))


def _margins(network, X, y, scale):
    X, index = check_samples(network, X, y)
    result = np.empty(len(index))
    with network.evaluating():
        example = network.inputs(take_rows(X, slice(0, 1)))
        with torch.no_grad():
            n_outputs = network.logits(example).shape[1]
        if index.min() < 0 or index.max() >= n_outputs:
            bad = index.min() if index.min() < 0 else index.max()
            raise ValueError(f"y holds label {bad}, but the network has {n_outputs} outputs.")
        scaled = scale(network, example)
        # A network may be far wider than its input: an eighth of what the input alone allows.
        step = chunk_length(example.numel(), limit=2**18)
        for start in range(0, len(index), step):
            rows = slice(start, start + step)
            x = network.inputs(take_rows(X, rows))
            target = x.new_tensor(index[rows], dtype=int)
            result[rows] = scaled(x, target).cpu().numpy()
    if np.isnan(result).any():
        raise ValueError(
            f"The network gives NaN for sample {np.isnan(result).argmax()}: its weights are "
            "not finite (a fit that diverged?), or its logits are infinite there."
        )
    return result


def check_samples(network, X, y):
    """X with rows to slice and the class indices of y; checked, but for X's values."""
    if not hasattr(X, "shape"):
        X = np.asarray(X)
    check_consistent_length(X, y)
    if X.shape[0] == 0:
        raise ValueError(
            f"Found array with 0 sample(s) (shape={tuple(X.shape)}) while a minimum of 1 is "
            "required."
        )
    if hasattr(X, "tocsr"):
        X = X.tocsr()
    y = column_or_1d(y)
    index = network.encode(y)
    return X, index


def band(network, X, scale, floor, ceiling, random_state=0):
    """Floor and ceiling in the units of the scaled margins.

    For ``scale="distance"`` they are given as multiples of δ, the median distance of a sample
    to its nearest neighbor where the network sees the data: a distance means something only
    beside those between the samples.
    """
    if scale != "distance" or (floor is None and ceiling is None):
        return floor, ceiling
    n = X.shape[0]
    index = np.arange(n)
    if n > N_ANCHORS:
        index = np.sort(check_random_state(random_state).choice(n, N_ANCHORS, replace=False))

    def prepared(rows):
        rows = network.prepare(take_rows(X, rows))
        return rows if hasattr(rows, "tocsr") else np.asarray(rows).reshape(len(rows), -1)

    anchors = prepared(index)
    # Anchors times chunk: the distances held at a time.
    step = min(1024, chunk_length(anchors.shape[1]))
    chunks = ((start, prepared(slice(start, start + step))) for start in range(0, n, step))
    unit = neighbor_distance(anchors, index, chunks)
    return (
        None if floor is None else floor * unit,
        None if ceiling is None else ceiling * unit,
    )


class MarginAUCScorer(BaseEstimator):
    r"""Area under the distribution of scaled margins: ``scorer(estimator, X, y)``.

    ``margin_auc_score`` is one, with the settings that did best in what we measured so far;
    :func:`make_margin_auc_scorer` makes others. Higher is better. Meant for the samples the
    network was fitted on: ``scoring=margin_auc_score, cv=ResubstitutionSplit()``; it works
    wherever scikit-learn takes a scorer. Scores compare networks on the same data only.

    With floor and ceiling it is the share of the band between them that lies under the margin
    curve (:func:`margin_auc`): for ``margin_auc_score`` 0.5 is the curve of a network whose
    margins are all zero, 1 that of a network that is right on every sample with a distance to
    its decision boundary of at least the ceiling.

    Parameters
    ----------
    scale : {None, "distance", "frobenius", "spectral"}, default="distance"
        What each margin is divided by.
    at : {"samples"}, default="samples"
        Where margins are taken.
    floor, ceiling : float, default=None
        The band; for ``scale="distance"`` in multiples of the median distance of a sample to
        its nearest neighbor.
    max_samples : int, default=None
        Score a random part of at most so many samples.
    random_state : int or RandomState instance, default=0
        Chooses that part.

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
        max_samples=None,
        random_state=0,
    ):
        self.scale = scale
        self.at = at
        self.floor = floor
        self.ceiling = ceiling
        self.max_samples = max_samples
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
        scale = self._check_settings()
        network = as_network(estimator)
        X, index = check_samples(network, X, y)
        weight = None if sample_weight is None else np.asarray(sample_weight, dtype=float)
        if weight is not None and weight.shape != (len(index),):
            raise ValueError(
                f"sample_weight must have shape ({len(index)},), got {weight.shape}."
            )
        y = column_or_1d(y)
        if self.max_samples is not None and len(index) > self.max_samples:
            random = check_random_state(self.random_state)
            chosen = np.sort(random.choice(len(index), int(self.max_samples), replace=False))
            X, y = take_rows(X, chosen), y[chosen]
            weight = None if weight is None else weight[chosen]
        values = _margins(network, X, y, scale)
        floor, ceiling = band(
            network, X, self.scale, self.floor, self.ceiling, self.random_state
        )
        return margin_auc(values, weight, floor=floor, ceiling=ceiling)

    def _check_settings(self):
        check_bounds(self.floor, self.ceiling)
        if self.at != "samples":
            raise ValueError(f"at must be 'samples', got {self.at!r}.")
        if self.max_samples is not None:
            check_scalar(self.max_samples, "max_samples", numbers.Integral, min_val=1)
        return check_scale(self.scale)


def make_margin_auc_scorer(
    scale="distance",
    at="samples",
    floor=None,
    ceiling=None,
    max_samples=None,
    random_state=0,
):
    r"""A margin-AUC scorer with other settings than :func:`margin_auc_score`.

    Parameters
    ----------
    scale : {None, "distance", "frobenius", "spectral"}, default="distance"
        What each margin is divided by; see :mod:`margin_sklearn.scales`.
    at : {"samples"}, default="samples"
        Where margins are taken.
    floor, ceiling : float, default=None
        The band within which the area is taken, ``floor < ceiling``; with both, the score is
        the share of the band under the curve, in [0, 1], with neither it is the mean scaled
        margin (:func:`margin_auc`). For ``scale="distance"`` they are multiples of δ, the
        median distance of a sample to its nearest neighbor, where the network sees the data;
        otherwise in the units of the scaled margins.
    max_samples : int, default=None
        Score a random part of at most so many samples. None scores all.
    random_state : int or RandomState instance, default=0
        Chooses that part, and the (at most 1,000) samples that δ is taken over. Candidates of
        one search should be scored on the same: keep it an int.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y, sample_weight=None) -> float``; goes where
        scikit-learn takes ``scoring=``, can be pickled, and takes part in metadata routing
        (``set_score_request``).

    Examples
    --------
    The paper's score, as we read its abstract: the mean margin over the product of the layers'
    Frobenius norms.

    >>> from margin_sklearn import make_margin_auc_scorer
    >>> make_margin_auc_scorer(scale="frobenius")
    MarginAUCScorer(scale='frobenius')
    """
    scorer = MarginAUCScorer(scale, at, floor, ceiling, max_samples, random_state)
    scorer._check_settings()
    return scorer


# The default; benchmarks/ceiling.py has what led to the bounds. Half the distance to the
# nearest sample is also where a boundary half way between two samples lies.
margin_auc_score = make_margin_auc_scorer("distance", floor=-0.5, ceiling=0.5)
