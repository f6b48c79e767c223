"""Where margins are evaluated: at the samples, or at perturbed samples around them.

Both kinds of points have the same few attributes, which
:func:`~margin_sklearn.scoring.evaluation.margins_of` and
:func:`~margin_sklearn.scoring.distribution.margin_distribution` use:

``network``
    The network that the points are inputs of.
``label`` : ndarray of int of shape (n_cases,)
    Class index of each case.
``n_points`` : int
    Points per case, all with its class index.
``weight`` : ndarray of shape (n_cases,) or None
``unit`` : float
    What floor and ceiling are multiples of, for distances.
``inputs(chunk)``
    The points of the cases in a slice, as a tensor of shape (n_cases * n_points, ...).
``examples(size)``
    At most so many samples, evenly spaced, as a tensor: a scale is computed from them.
``sample(case)``
    The sample that a case is, as a row index for messages.
"""

import numpy as np
import scipy.sparse
import torch

from ..data.rows import random_rows, take_rows
from ..neighborhoods.perturbed import distance_unit, perturbed_samples

__all__ = ["PerturbedPoints", "SamplePoints"]


class SamplePoints:
    """The samples themselves: each is a case, and its one point.

    Parameters
    ----------
    network : Network
    X : array, DataFrame or sparse matrix of shape (n_samples, ...)
        Behind the transformers.
    label : ndarray of int of shape (n_samples,)
    weight : ndarray of shape (n_samples,), default=None
    unit : float, default=1.0
    rows : ndarray of int of shape (n_samples,), default=None
        The row indices of the samples, where they are some of more.
    """

    n_points = 1

    def __init__(self, network, X, label, weight=None, *, unit=1.0, rows=None):
        self.network, self._X, self._rows = network, X, rows
        self.label, self.weight, self.unit = label, weight, unit

    @classmethod
    def chosen(cls, samples, label, weight, settings):
        """All samples, or ``max_samples`` of them that are chosen at random.

        Parameters
        ----------
        samples : TransformedRows
        label : ndarray of int of shape (n_samples,)
        weight : ndarray of shape (n_samples,) or None
        settings : DistributionSettings

        Returns
        -------
        points : SamplePoints
        """
        network, X, unit, rows = samples.network, samples.rows, 1.0, None
        bounded = settings.floor is not None or settings.ceiling is not None
        if bounded and settings.scale == "distance":
            unit = distance_unit(network, X)
        if settings.max_samples is not None and len(label) > settings.max_samples:
            rows = random_rows(len(label), settings.max_samples, settings.random_state)
            X, label = take_rows(X, rows), label[rows]
            weight = None if weight is None else weight[rows]
        return cls(network, X, label, weight, unit=unit, rows=rows)

    def inputs(self, chunk):
        """Inputs of the network at the points of some cases.

        Parameters
        ----------
        chunk : slice
            Of the cases.

        Returns
        -------
        x : torch.Tensor of shape (n_cases * n_points, ...)
        """
        return self.network.inputs(take_rows(self._X, chunk))

    def examples(self, size):
        """Inputs of the network at samples that are evenly spaced.

        Parameters
        ----------
        size : int
            How many, at most.

        Returns
        -------
        x : torch.Tensor of shape (n_samples, ...)
        """
        return self.network.inputs(_evenly(self._X, size))

    def sample(self, case):
        """The sample that a case is, for messages.

        Parameters
        ----------
        case : int

        Returns
        -------
        row_index : int
        """
        return case if self._rows is None else self._rows[case]


class PerturbedPoints:
    """Perturbed samples: each sample moved along several steps into its neighborhood.

    Parameters
    ----------
    samples : TransformedRows
        The samples that the points are around.
    points : PseudoPoints
        What :func:`~margin_sklearn.neighborhoods.pseudo_points` gives for them.
    weight : ndarray of shape (n_cases,), default=None
    """

    def __init__(self, samples, points, weight=None):
        self.network, self._samples, self._points = samples.network, samples, points
        hood = points.neighborhood
        self.label, self.weight, self.unit = points.label, weight, hood.distance
        self.n_points = hood.steps.shape[1]
        self._length = points.length * hood.distance

    @classmethod
    def chosen(cls, samples, label, weight, settings):
        """Points around all samples, or around ``max_samples`` that are chosen at random.

        Parameters
        ----------
        samples, label, weight, settings
            As for :meth:`SamplePoints.chosen`.

        Returns
        -------
        points : PerturbedPoints
            Weighted by the samples' weights, or by their numbers.
        """
        points = perturbed_samples(samples, label, settings.max_samples, settings.random_state)
        weight = points.weights(weight)
        return cls(samples, points, weight * points.trust if settings.noise_weight else weight)

    def inputs(self, chunk):
        """Inputs of the network at the points of some cases.

        Parameters
        ----------
        chunk : slice
            Of the cases.

        Returns
        -------
        x : torch.Tensor of shape (n_cases * n_points, ...)
        """
        points = self._points
        anchors = points.anchor[chunk]
        rows = points.rows[anchors]
        rows = np.asarray(rows.toarray() if scipy.sparse.issparse(rows) else rows)
        # In float64, for the check of values that are too large for the network's numbers.
        rows = rows.astype(np.float64).reshape(-1, *self._samples.first.shape[1:])
        x = self.network.tensor(rows)
        steps = torch.from_numpy(points.neighborhood.steps[anchors]).to(x)
        steps = steps.reshape(len(x), self.n_points, *x.shape[1:])
        return (x[:, None] + self._length * steps).flatten(0, 1)

    def examples(self, size):
        """Inputs of the network at samples that are evenly spaced.

        Parameters
        ----------
        size : int
            How many, at most.

        Returns
        -------
        x : torch.Tensor of shape (n_samples, ...)
        """
        if size == 1:
            return self.network.tensor(self._samples.first)
        return self.network.inputs(_evenly(self._samples.rows, size))

    def sample(self, case):
        """The sample that a case is, for messages.

        Parameters
        ----------
        case : int

        Returns
        -------
        row_index : int
        """
        return self._points.neighborhood.anchors[self._points.anchor[case]]


def _evenly(X, size):
    """Rows that are evenly spaced, so that no chance is in it; all, if these are fewer."""
    if size == 1:
        return take_rows(X, slice(0, 1))
    n = X.shape[0]
    size = min(size, n)
    return take_rows(X, np.arange(size) * n // size)
