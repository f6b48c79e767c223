"""Agreement of selections of samples, compared with chance."""

import itertools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from ..adapters.unwrap import inside
from ..checks import check_int
from ..data.rows import to_numpy
from ..data.validation import validate_y

__all__ = ["SubsetOverlap", "subset_overlap"]

# Intersection sizes far from the mean are left out if their total probability is below
# 2 exp(-40), about 1e-17.
EXPONENT = 40


class SubsetOverlap(NamedTuple):
    """Agreement of selections, as returned by :func:`subset_overlap`.

    Parameters
    ----------
    jaccard : float
        Mean Jaccard index over all pairs.
    expected : float
        Its expected value for random selections of the same sizes.
    pairwise : ndarray of float of shape (n_selections, n_selections)
        Jaccard index of each pair; symmetric, with ones on the diagonal.
    """

    jaccard: float
    expected: float
    pairwise: NDArray[np.float64]


def subset_overlap(
    *selections: Any, n_samples: int | None = None, y: ArrayLike | None = None
) -> SubsetOverlap:
    r"""Measure how far selections of samples agree, compared with chance.

    The Jaccard index measures whether two networks, two seeds or two strategies keep the same
    samples:

    .. math:: J(A, B) = \frac{|A \cap B|}{|A \cup B|},

    1 for the same samples, 0 for none in common. Two random selections of :math:`a` and
    :math:`b` out of :math:`N` samples have :math:`I` samples in common. :math:`I` is
    hypergeometric, hence

    .. math:: \operatorname{E} J = \sum_k P(I = k) \, \frac{k}{a + b - k},

    about :math:`k / (2N - k)` for two selections of size :math:`k`. If ``y`` is given, the
    random selections have the same number of samples per class as the given ones, which
    stratified selections share by design. :math:`I` is then a sum of one hypergeometric
    variable per class.

    Parameters
    ----------
    *selections : estimator or array-like
        Two or more fitted selectors or samplers, boolean masks of shape (n_samples,) or
        arrays of distinct row indices, all for the same samples.
    n_samples : int, default=None
        Number of samples. Required if all selections are row indices and ``y`` is None.
    y : array-like of shape (n_samples,), default=None
        Labels of the samples.

    Returns
    -------
    overlap : SubsetOverlap
        A named tuple: ``jaccard``, the mean over all pairs; ``expected``, the mean of their
        expected values by chance; ``pairwise``, an array of shape (n_selections,
        n_selections) with the Jaccard index of each pair.

    Raises
    ------
    ValueError
        If there are fewer than two selections; if a selection is empty, or neither a mask nor
        distinct row indices below ``n_samples``; if numbers of samples differ or are unknown.
        If a selector is not fitted, it is a NotFittedError.
    TypeError
        If a selection is a Pipeline or a search.

    Notes
    -----
    The sum is exact up to rounding and up to values of :math:`I` with a total probability of
    less than :math:`10^{-16}` per class. A pair takes milliseconds for a million samples.

    Examples
    --------
    >>> from margin_sklearn import subset_overlap
    >>> overlap = subset_overlap([0, 1, 2], [1, 2, 3], n_samples=100)
    >>> overlap.jaccard
    0.5
    >>> round(overlap.expected, 4)
    0.0182
    >>> overlap.pairwise
    array([[1. , 0.5],
           [0.5, 1. ]])

    All three samples come from a class of four, so even random selections overlap strongly.

    >>> y = [1] * 4 + [0] * 96
    >>> round(subset_overlap([0, 1, 2], [1, 2, 3], y=y).expected, 4)
    0.625
    """
    if len(selections) < 2:
        raise ValueError(
            f"subset_overlap compares two or more selections, got {len(selections)}."
        )
    named = {
        f"selections[{number}]": _as_array(selection, f"selections[{number}]")
        for number, selection in enumerate(selections)
    }
    if y is None:
        classes = None
    else:
        y = to_numpy(y)
        if np.ndim(y) != 1:
            raise ValueError(f"y must have shape (n_samples,), got {np.shape(y)}.")
        y = validate_y(None, y)
        classes = np.unique(y, return_inverse=True)[1]
    n_samples = _check_n_samples(named, n_samples, y)
    if classes is None:
        classes = np.zeros(n_samples, dtype=int)
    masks = [_as_mask(array, name, n_samples) for name, array in named.items()]
    counts = np.bincount(classes)
    sizes = [np.bincount(classes[mask], minlength=len(counts)) for mask in masks]

    pairwise = np.eye(len(masks))
    expected: dict[tuple, float] = {}  # cached, because most pairs have the same sizes
    chance = []
    for i, j in itertools.combinations(range(len(masks)), 2):
        common = np.count_nonzero(masks[i] & masks[j])
        union = sizes[i].sum() + sizes[j].sum() - common
        pairwise[i, j] = pairwise[j, i] = common / union
        pair = tuple(sorted((tuple(sizes[i].tolist()), tuple(sizes[j].tolist()))))
        if pair not in expected:
            expected[pair] = _expected_jaccard(np.array(pair[0]), np.array(pair[1]), counts)
        chance.append(expected[pair])
    upper = pairwise[np.triu_indices(len(masks), k=1)]
    return SubsetOverlap(float(upper.mean()), float(np.mean(chance)), pairwise)


def _expected_jaccard(a, b, counts):
    """Expected Jaccard index of random selections, of ``a`` and ``b`` samples per class."""
    draws, share = np.minimum(a, b), np.maximum(a, b) / counts
    mean, variance = draws * share, draws * share * (1 - share)
    low, high = _window(mean, variance)
    low, high = np.maximum(low, np.maximum(0, a + b - counts)), np.minimum(high, draws)
    # The tails of the sum over classes are cut like those of each class.
    sum_low, sum_high = _window(np.cumsum(mean), np.cumsum(variance))
    start, probability = 0, np.ones(1)
    for c in range(len(counts)):
        probability = np.convolve(
            probability, _hypergeometric(low[c], high[c], a[c], b[c], counts[c])
        )
        start += low[c]
        cut = max(0, sum_low[c] - start)
        probability = probability[cut : sum_high[c] - start + 1]
        start += cut
    common = start + np.arange(len(probability))
    jaccard = common / (a.sum() + b.sum() - common)
    return min(1.0, float(probability @ jaccard / probability.sum()))


def _hypergeometric(low, high, a, b, n):
    """Probabilities that random ``a`` and ``b`` out of n have ``low`` to ``high`` in common.

    Computed from the ratios of neighbouring probabilities: scipy.stats.hypergeom takes a
    thousand times longer for n around 100,000, and logarithms of factorials leave only nine
    correct digits.
    """
    k = np.arange(low, high)
    ratio = (a - k) * (b - k) / ((k + 1) * (n - a - b + k + 1))
    log = np.concatenate([[0.0], np.cumsum(np.log(ratio))])
    probability = np.exp(log - log.max())
    return probability / probability.sum()


def _window(mean, variance):
    """The range of sums of hypergeometric variables, by Bernstein's inequality.

    The inequality holds for binomial variables of the given ``variance``; hypergeometric
    variables vary less (Hoeffding 1963).
    """
    reach = EXPONENT / 3 + np.sqrt((EXPONENT / 3) ** 2 + 2 * EXPONENT * variance)
    return np.floor(mean - reach).astype(int), np.ceil(mean + reach).astype(int)


def _as_array(selection, name):
    selection = getattr(selection, "selector_", selection)
    if hasattr(selection, "fit"):
        if inside(selection) is not None:
            raise TypeError(
                f"{name} is a {type(selection).__name__}: pass the selector inside it, such "
                "as pipeline[-1]."
            )
        check_is_fitted(selection, "support_")
    try:
        array = np.asarray(getattr(selection, "support_", selection))
    except ValueError:
        array = np.empty(())  # lists of different lengths
    if array.ndim != 1:
        raise ValueError(
            f"{name} must be a fitted selector, a boolean mask or an array of indices, got "
            f"{selection!r}."
        )
    if len(array) == 0 or (array.dtype == bool and not array.any()):
        raise ValueError(f"{name} is empty: it selects none of the samples.")
    if array.dtype != bool and not np.issubdtype(array.dtype, np.integer):
        raise ValueError(
            f"{name} must hold booleans (a mask) or integers (indices), got dtype "
            f"{array.dtype}."
        )
    return array


def _check_n_samples(named, n_samples, y):
    """The number of samples; all arguments that define it must agree."""
    known = {name: len(array) for name, array in named.items() if array.dtype == bool}
    if y is not None:
        known = {"y": len(y), **known}
    if n_samples is not None:
        check_int("n_samples", n_samples, 1, 10**9)
        known = {"n_samples": int(n_samples), **known}
    if not known:
        raise ValueError("Indices do not define the number of samples: pass n_samples.")
    first = next(iter(known))
    for name, number in known.items():
        if number != known[first]:
            raise ValueError(
                f"All arguments must describe the same samples, but {first} says "
                f"{known[first]} and {name} {number}."
            )
    return known[first]


def _as_mask(array, name, n_samples):
    if array.dtype == bool:
        return array
    outside = array[(array < 0) | (array >= n_samples)]
    if len(outside):
        raise ValueError(
            f"{name} holds index {outside[0]}, but there are {n_samples} samples "
            f"(0 to {n_samples - 1})."
        )
    times = np.bincount(array.astype(np.intp), minlength=n_samples)
    if times.max() > 1:
        raise ValueError(
            f"{name} holds index {times.argmax()} {times.max()} times. Row indices must "
            "be distinct, and a mask must have dtype bool."
        )
    return times > 0
