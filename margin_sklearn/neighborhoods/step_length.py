"""The length of the steps into the neighborhoods, chosen with classifiers of known error.

After steps of length 0, a network that has memorised wrong labels classifies all samples
correctly; after steps that are too long, no network does. In between is a length at which the
accuracy *at the perturbed samples* is that *on new samples*. For kernel ridge regression
the latter needs no new samples: its leave-one-out residuals have a closed form. So the steps
are shortened until kernel classifiers, from smooth to memorising ones, are as accurate at the
perturbed samples as under leave-one-out, on the same samples and labels.
"""

from functools import cache

import numpy as np
from scipy.linalg import eigh
from scipy.optimize import brentq
from sklearn.metrics.pairwise import euclidean_distances

__all__ = ["calibrated_length", "leave_one_out"]

# Kernel widths g, relative to the median distance between samples: exp(-g d² / median²).
# Each is the one before, times a power of two.
CONCENTRATIONS = (0.5, 2.0, 8.0)
# From memorising (training accuracy of 1 on any labels) to smooth.
RIDGES = (1e-4, 1e-2, 1.0)
# Above 1, more than the whole residual would be exchanged.
SHORTEST, LONGEST = 0.3, 1.0
# Smaller differences between outputs are ties: far from all samples they are only rounding.
TIE = 1e-9
# The length is found to within this tolerance.
RESOLUTION = 0.0055
# Distances held at a time (0.5 MB).
MAX_DISTANCES = 2**16


def calibrated_length(X, shares, steps):
    r"""Factor on the steps at which kernel classifiers reach their leave-one-out accuracy.

    This is the factor :math:`\kappa` in [0.3, 1] at which the mean accuracy of nine kernel
    ridge classifiers (three kernel widths, three ridges) at :math:`x_i + \kappa u_{ir}`, with
    the labels :math:`y_i`, equals their mean leave-one-out accuracy. No row may be a duplicate
    of another one: a duplicate of the sample left out would still be in the training set.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Samples, all different.
    shares : ndarray of shape (n_samples, n_classes)
        Share of each class among the labels of a sample; the accuracy of a prediction is the
        share of the predicted class.
    steps : ndarray of shape (n_samples, n_draws, n_features)
        The steps :math:`u_{ir}` from each sample.

    Returns
    -------
    length : float
        1 if the accuracy after the full steps is not below leave-one-out, 0.3 if it is below
        even after steps of that length.
    """
    X = X.astype(np.float64)
    n, n_draws, _ = steps.shape
    shares = shares[:, shares.any(axis=0)]
    n_classes = shares.shape[1]
    if n < 3 or n_classes < 2:
        return LONGEST
    between = euclidean_distances(X, squared=True)
    median = np.median(between[np.triu_indices(n, 1)])
    if median == 0:
        median = between.mean()
    targets = shares - shares.mean(axis=0)
    known, fitted = [], []
    for kernel in _kernels(between, median):
        outputs, coefficients = leave_one_out(kernel, targets, RIDGES)
        known += [_share_met(output, shares).mean() for output in outputs]
        fitted.append(np.concatenate(coefficients, axis=1))
    flat = steps.reshape(n * n_draws, -1).astype(np.float64)
    # |x_i + κu - x_j|² = |x_i - x_j|² + 2κ u(x_i - x_j) + κ²|u|²
    slope = -2 * flat @ X.T
    slope += 2 * np.einsum("ij,ij->i", flat, np.repeat(X, n_draws, axis=0))[:, None]
    curvature = np.einsum("ij,ij->i", flat, flat)[:, None]
    labels = np.repeat(shares, n_draws, axis=0)

    @cache
    def excess(length):
        """Mean accuracy after steps of this length above that under leave-one-out."""
        n_correct = 0.0
        block = max(1, MAX_DISTANCES // (n_draws * n))
        for first in range(0, n, block):
            ends = slice(first * n_draws, (first + block) * n_draws)
            distances = length * slope[ends]
            distances += length**2 * curvature[ends]
            distances += np.repeat(between[first : first + block], n_draws, axis=0)
            for kernel, coefficients in zip(_kernels(distances, median), fitted, strict=True):
                outputs = (kernel @ coefficients).reshape(len(kernel), len(RIDGES), n_classes)
                n_correct += _share_met(outputs, labels[ends][:, None]).sum()
        reached = n_correct / (len(labels) * len(known)) - np.mean(known)
        # Equal accuracies reach it, up to the rounding of their means.
        return reached if abs(reached) > TIE else TIE

    if excess(LONGEST) > 0:
        return LONGEST
    if excess(SHORTEST) < 0:
        return SHORTEST
    return brentq(excess, SHORTEST, LONGEST, xtol=RESOLUTION)


def _kernels(distances, median):
    """A Gaussian kernel for each of the widths, from the widest; one after the other."""
    power = CONCENTRATIONS[0]
    kernel = np.exp(distances * (-power / median))
    yield kernel
    for concentration in CONCENTRATIONS[1:]:
        # Squares are cheaper than another exponential.
        while power < concentration:
            kernel *= kernel
            power *= 2
        yield kernel


def _share_met(outputs, shares):
    """The share of the class with the largest output; the mean over tied classes."""
    largest = outputs > outputs.max(axis=-1, keepdims=True) - TIE
    return (shares * largest).sum(axis=-1) / largest.sum(axis=-1)


def leave_one_out(kernel, targets, ridges):
    r"""Outputs of kernel ridge regression for each sample, fitted without that sample.

    With :math:`A = (K + \lambda I)^{-1}` and :math:`\alpha = A Y` they are
    :math:`y_i - \alpha_i / A_{ii}` (Rifkin and Lippert 2007, MIT-CSAIL-TR-2007-025, eq. 4).
    One eigendecomposition of :math:`K` serves all ridges :math:`\lambda`.

    Parameters
    ----------
    kernel : ndarray of shape (n_samples, n_samples)
        The matrix :math:`K`.
    targets : ndarray of shape (n_samples, n_outputs)
        The matrix :math:`Y`.
    ridges : sequence of float
        The values of :math:`\lambda`.

    Returns
    -------
    outputs : ndarray of shape (n_ridges, n_samples, n_outputs)
    coefficients : ndarray of shape (n_ridges, n_samples, n_outputs)
        From the fit on all samples.

    Examples
    --------
    >>> import numpy as np
    >>> from margin_sklearn.neighborhoods import leave_one_out
    >>> outputs, _ = leave_one_out(np.eye(2), np.array([[1.0], [-1.0]]), ridges=[0.1])
    >>> bool(np.allclose(outputs, 0.0))
    True
    """
    values, vectors = eigh(kernel, driver="evd", check_finite=False)
    projected, squares = vectors.T @ targets, vectors**2
    coefficients, outputs = [], []
    for ridge in ridges:
        inverse = 1 / (values + ridge)
        coefficients.append(vectors @ (inverse[:, None] * projected))
        # The diagonal of the inverse of kernel plus ridge.
        outputs.append(targets - coefficients[-1] / (squares @ inverse)[:, None])
    return np.stack(outputs), np.stack(coefficients)
