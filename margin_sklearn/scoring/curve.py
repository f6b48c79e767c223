r"""Classification margins and their distribution, from logits alone.

The margin of sample :math:`i` with label :math:`y_i` and logits :math:`f(x_i)` is

.. math:: m_i = f_{y_i}(x_i) - \max_{j \ne y_i} f_j(x_i),

positive exactly when :math:`y_i` has a larger logit than every other class. Sorted and plotted
against the share of samples, the margins form the *margin curve*, their quantile function; the
area under it is the *margin-AUC* (our operationalisation of arXiv 2107.10199).
"""

import numpy as np
import torch

from ..adapters.network import logit_margins
from ..checks import as_numbers, check_real, refuse
from ..data.rows import to_numpy
from ..data.weights import check_sample_weight

__all__ = ["margin_auc", "margin_curve", "margins_from_logits"]


def margins_from_logits(logits, y):
    r"""Margin of each sample: the logit of its class minus the largest other logit.

    Parameters
    ----------
    logits : array-like of shape (n_samples, n_classes) or (n_samples,)
        One column per class. A vector (or a single column) is the logit of class 1
        relative to class 0, as returned by the ``decision_function`` of a binary
        scikit-learn classifier; the margin is then ``logits`` for class 1 and
        ``-logits`` for class 0.
    y : array-like of int of shape (n_samples,)
        Class index of each sample, from 0 to ``n_classes - 1``.

    Returns
    -------
    margins : ndarray of float64 of shape (n_samples,)

    Raises
    ------
    ValueError
        If shapes do not match, a class index is out of range or a logit is NaN.

    Examples
    --------
    >>> from margin_sklearn.scoring import margins_from_logits
    >>> margins_from_logits([[2.0, 0.5, -1.0], [0.0, 1.0, 3.0]], [0, 1])
    array([ 1.5, -2. ])
    >>> margins_from_logits([2.0, -0.5], [1, 1])
    array([ 2. , -0.5])
    """
    logits = as_numbers("logits", logits)
    y = np.asarray(y)
    if logits.ndim == 2 and logits.shape[1] == 1:
        logits = logits[:, 0]
    if logits.ndim not in (1, 2):
        raise ValueError(
            "logits must have shape (n_samples, n_classes) or (n_samples,), got an array "
            f"of shape {logits.shape}."
        )
    if y.shape != logits.shape[:1]:
        raise ValueError(
            f"y must have shape {logits.shape[:1]} to match logits of shape "
            f"{logits.shape}, got {y.shape}."
        )
    if len(y) and not np.issubdtype(y.dtype, np.integer):
        raise ValueError(f"y must hold class indices (integers), got dtype {y.dtype}.")
    n_classes = 2 if logits.ndim == 1 else logits.shape[1]
    out_of_range = (y < 0) | (y >= n_classes)
    if out_of_range.any():
        raise ValueError(
            f"y holds class index {y[out_of_range][0]}, but logits have {n_classes} "
            f"classes (0 to {n_classes - 1})."
        )
    if np.isnan(logits).any():
        raise ValueError("logits contain NaN: check the network's weights and its input.")
    if logits.ndim == 1:
        logits = np.stack([np.zeros_like(logits), logits], axis=1)
    return logit_margins(
        torch.from_numpy(logits), torch.from_numpy(y.astype(np.int64))
    ).numpy()


def margin_curve(margins, sample_weight=None):
    r"""Quantile function of the margins: their sorted values against the share of samples.

    The curve is the step function :math:`Q(p) = \inf\{t : F(t) \ge p\}` with :math:`F` the
    (weighted) distribution function of the margins. Equal margins form one step, and samples
    of weight 0 are ignored: the result depends only on the distribution, and a weight of 2 is
    equivalent to the same sample twice.

    Parameters
    ----------
    margins : array-like of shape (n_samples,)
        Scaled or raw margins. Infinite values are allowed, NaN is not.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights, not all zero.

    Returns
    -------
    fraction : ndarray of float64 of shape (n_steps,)
        Share of samples with a margin of at most ``value``; increasing, ends at 1.
    value : ndarray of float64 of shape (n_steps,)
        The distinct margins, increasing.

    Raises
    ------
    ValueError
        If there is no sample, a margin is NaN, or the weights are unusable.

    Examples
    --------
    >>> from margin_sklearn import margin_curve
    >>> fraction, value = margin_curve([0.5, -1.0, 0.5, 2.0])
    >>> fraction
    array([0.25, 0.75, 1.  ])
    >>> value
    array([-1. ,  0.5,  2. ])
    """
    margins, weight = _check_margins(margins, sample_weight)
    value, step = np.unique(margins[weight > 0], return_inverse=True)
    mass = np.bincount(step, weights=weight[weight > 0], minlength=len(value))
    fraction = np.cumsum(mass) / mass.sum()
    fraction[-1] = 1.0
    return fraction, value


def margin_auc(margins, sample_weight=None, *, floor=None, ceiling=None):
    r"""Area under the margin curve, optionally between a floor and a ceiling.

    With neither, the area under the quantile function over [0, 1] is the mean margin. A
    floor :math:`a` and a ceiling :math:`b` keep single samples from dominating the area; with
    both, it is a share of the band between them,

    .. math:: \frac{1}{b-a}\int_a^b \hat P(m \ge t)\,dt
              = \frac{\operatorname{mean}(\operatorname{clip}(m, a, b)) - a}{b - a}
              \in [0, 1],

    the area under the survival curve: 1 if every margin reaches the ceiling, 0 if none
    exceeds the floor. With only one of them, it is the mean of the clipped margins.

    Parameters
    ----------
    margins : array-like of shape (n_samples,)
        Scaled or raw margins. Infinite values are allowed, NaN is not.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights, not all zero.
    floor, ceiling : float, default=None
        Bounds in the units of ``margins``; ``floor < ceiling``.

    Returns
    -------
    auc : float
        Higher is better.

    Raises
    ------
    ValueError
        If there is no sample, a margin is NaN, the weights are unusable,
        ``floor >= ceiling``, or both ``inf`` and ``-inf`` remain after clipping.

    Examples
    --------
    >>> from margin_sklearn import margin_auc
    >>> margin_auc([-1.0, 0.5, 0.5, 2.0])
    0.5
    >>> margin_auc([-1.0, 0.5, 0.5, 2.0], floor=0.0, ceiling=1.0)
    0.5
    >>> margin_auc([-1.0, 0.5, 0.5, 2.0], floor=-2.0, ceiling=2.0)
    0.625
    """
    check_bounds(floor, ceiling)
    margins, weight = _check_margins(margins, sample_weight)
    # Infinite margins of weight 0 would turn the mean into NaN.
    margins, weight = margins[weight > 0], weight[weight > 0]
    clipped = np.clip(
        margins,
        -np.inf if floor is None else floor,
        np.inf if ceiling is None else ceiling,
    )
    if np.isneginf(clipped).any() and np.isposinf(clipped).any():
        raise ValueError(
            "margins contain both inf and -inf, so they have no mean: set a floor and a "
            "ceiling."
        )
    # Avoid overflow in the sum: weights relative to the largest, and margins divided by a
    # power of two (exact) that exceeds their number.
    weight = weight / weight.max()
    down = 0.5 ** len(weight).bit_length()
    auc = float(np.dot(clipped * down, weight) / weight.sum()) / down
    if floor is not None and ceiling is not None:
        # Halved, because the difference of two floats may overflow.
        auc = (auc / 2 - floor / 2) / (ceiling / 2 - floor / 2)
        auc = min(1.0, max(0.0, auc))
    return auc


def check_bounds(floor, ceiling):
    """Raise unless floor and ceiling are None or finite numbers with floor < ceiling."""
    check_real("floor", floor, -np.inf, also=(None,))
    check_real("ceiling", ceiling, -np.inf, also=(None,))
    if floor is not None and ceiling is not None and not floor < ceiling:
        refuse("floor", f"smaller than ceiling={ceiling}", floor)


def _check_margins(margins, sample_weight):
    margins = as_numbers("margins", to_numpy(margins))
    if margins.ndim != 1:
        raise ValueError(f"margins must have shape (n_samples,), got {margins.shape}.")
    if len(margins) == 0:
        raise ValueError("margins hold 0 samples; at least one is needed.")
    if np.isnan(margins).any():
        raise ValueError(f"margins contain NaN (sample {np.isnan(margins).argmax()}).")
    if sample_weight is None:
        return margins, np.ones(len(margins))
    weight = check_sample_weight(sample_weight, len(margins))
    # Only ratios of weights matter; dividing by a power of two keeps their sum finite.
    return margins, np.ldexp(weight, -int(np.frexp(weight.max())[1]))
