"""Where margins are evaluated: at the samples, or at perturbed samples around them.

Both kinds of points have the same few attributes, which
:func:`~margin_sklearn.scoring.evaluation.margins_of` and
:func:`~margin_sklearn.scoring.distribution.margin_distribution` use:

``network``
    The network whose inputs the points are.
``label`` : ndarray of int of shape (n_cases,)
    Class index of each case.
``n_points`` : int
    Points per case, all with the case's class index.
``weight`` : ndarray of shape (n_cases,) or None
``unit`` : float
    Unit of floor and ceiling, for distances.
``inputs(chunk)``
    The points of the cases in a slice, as a tensor of shape (n_cases * n_points, ...).
``examples(size)``
    At most ``size`` evenly spaced samples, as a tensor: a scale is computed from them.
``sample(case)``
    Row index of a case's sample, for messages.
"""

import math

import numpy as np
import scipy.sparse
import torch

from ..data.rows import random_rows, take_rows
from ..neighborhoods.perturbed import distance_unit, perturbed_samples

__all__ = ["PerturbedPoints", "SamplePoints"]

# Numbers in the rows that are converted to inputs at a time: more than in a chunk of inputs,
# because validation costs time per call rather than per row.
CONVERTED = 2**21


class SamplePoints:
    """The samples themselves: each is a case with one point.

    Parameters
    ----------
    network : Network
        The network that the inputs are for.
    X : array, DataFrame or sparse matrix of shape (n_samples, ...)
        After the transformers.
    label : ndarray of int of shape (n_samples,)
        Class indices.
    weight : ndarray of shape (n_samples,), default=None
        Weight of each sample; None weights all equally.
    unit : float, default=1.0
        What the floor and the ceiling of the score are multiples of.
    rows : ndarray of int of shape (n_samples,), default=None
        Row indices of the samples, if they are a subset.
    """

    n_points = 1

    def __init__(self, network, X, label, weight=None, *, unit=1.0, rows=None):
        self.network, self._X, self._rows = network, X, rows
        self.label, self.weight, self.unit = label, weight, unit
        # Inputs around the last chunk, and the position of the first of them.
        self._inputs, self._start = None, 0

    @classmethod
    def chosen(cls, samples, label, weight, settings):
        """All samples, or ``max_samples`` random ones.

        Parameters
        ----------
        samples : TransformedRows
            All samples.
        label : ndarray of int of shape (n_samples,)
            Class indices.
        weight : ndarray of shape (n_samples,) or None
            Weight of each sample; None weights all equally.
        settings : DistributionSettings
            They decide how many samples are drawn, and what the unit is.

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
        """Network inputs at the points of some cases.

        Parameters
        ----------
        chunk : slice
            Slice of the cases.

        Returns
        -------
        x : torch.Tensor of shape (n_cases * n_points, ...)
        """
        here = slice(chunk.start - self._start, chunk.stop - self._start)
        if self._inputs is None or here.start < 0 or here.stop > len(self._inputs):
            width = math.prod(self._X.shape[1:])
            stop = max(chunk.stop, chunk.start + CONVERTED // max(1, width))
            self._inputs = self.network.inputs(take_rows(self._X, slice(chunk.start, stop)))
            self._start, here = chunk.start, slice(0, chunk.stop - chunk.start)
        return self._inputs[here]

    def examples(self, size):
        """Network inputs at evenly spaced samples.

        Parameters
        ----------
        size : int
            Largest number of samples.

        Returns
        -------
        x : torch.Tensor of shape (n_samples, ...)
        """
        if size == 1:
            return self.inputs(slice(0, 1))
        return self.network.inputs(_evenly(self._X, size))

    def sample(self, case):
        """Row index of a case's sample, for messages.

        Parameters
        ----------
        case : int
            Position of the case.

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
        The samples around which the points lie.
    points : PseudoPoints
        From :func:`~margin_sklearn.neighborhoods.pseudo_points`, for these samples.
    weight : ndarray of shape (n_cases,), default=None
        Weight of each case; None weights all equally.
    """

    def __init__(self, samples, points, weight=None):
        self.network, self._samples, self._points = samples.network, samples, points
        hood = points.neighborhood
        self.label, self.weight, self.unit = points.label, weight, hood.distance
        self.n_points = hood.steps.shape[1]
        self._length = points.length * hood.distance

    @classmethod
    def chosen(cls, samples, label, weight, settings):
        """Points around all samples, or around ``max_samples`` random ones.

        Parameters
        ----------
        samples, label, weight, settings
            As for :meth:`SamplePoints.chosen`.

        Returns
        -------
        points : PerturbedPoints
            Each case is weighted by its samples' total weight, or by their number.
        """
        points = perturbed_samples(samples, label, settings.max_samples, settings.random_state)
        weight = points.weights(weight)
        return cls(samples, points, weight * points.trust if settings.noise_weight else weight)

    def inputs(self, chunk):
        """Network inputs at the points of some cases; see :meth:`SamplePoints.inputs`.

        Parameters
        ----------
        chunk : slice
            Slice of the cases.
        """
        points = self._points
        anchors = points.anchor[chunk]
        rows = points.rows[anchors]
        rows = np.asarray(rows.toarray() if scipy.sparse.issparse(rows) else rows)
        # Others in float64, so that values too large for the network's dtype are detected.
        if rows.dtype != np.float32 or self.network.dtype != torch.float32:
            rows = rows.astype(np.float64)
        x = self.network.tensor(rows.reshape(-1, *self._samples.first.shape[1:]))
        steps = torch.from_numpy(points.neighborhood.steps[anchors]).to(x)
        steps = steps.reshape(len(x), self.n_points, *x.shape[1:])
        return (x[:, None] + self._length * steps).flatten(0, 1)

    def examples(self, size):
        """Network inputs at evenly spaced samples; see :meth:`SamplePoints.examples`.

        Parameters
        ----------
        size : int
            Largest number of samples.
        """
        if size == 1:
            return self.network.tensor(self._samples.first)
        return self.network.inputs(_evenly(self._samples.rows, size))

    def sample(self, case):
        """The sample of a case, for messages; see :meth:`SamplePoints.sample`.

        Parameters
        ----------
        case : int
            Position of the case.
        """
        return self._points.neighborhood.anchors[self._points.anchor[case]]


def _evenly(X, size):
    """At most ``size`` evenly spaced rows: nothing is random."""
    n = X.shape[0]
    size = min(size, n)
    return take_rows(X, np.arange(size) * n // size)
