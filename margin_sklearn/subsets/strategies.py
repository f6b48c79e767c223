"""Select samples: from margins and labels to row indices. NumPy only."""

import numbers
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import refuse

__all__ = [
    "STRATEGIES",
    "check_strategy",
    "class_quotas",
    "n_to_select",
    "raised_to_minima",
    "select",
]

# Number of strata of "coverage".
N_STRATA = 50


def smallest(margins, n, rng):
    """The samples nearest to the boundary; misclassified samples come first."""
    return np.argsort(margins, kind="stable")[:n]


def largest(margins, n, rng):
    """The correctly classified samples furthest from the boundary."""
    return np.argsort(-margins, kind="stable")[:n]


def window(margins, n, rng):
    """The samples around the median margin ("moderate")."""
    return np.argsort(np.abs(margins - np.median(margins)), kind="stable")[:n]


def coverage(margins, n, rng):
    """Equal numbers from each of 50 strata between the smallest and the largest margin.

    If a stratum has too few samples, the larger strata provide the difference.
    """
    edges = np.linspace(margins.min(), margins.max(), N_STRATA + 1)[1:-1]
    stratum = np.searchsorted(edges, margins, side="right")
    members = [np.flatnonzero(stratum == number) for number in np.unique(stratum)]
    members.sort(key=len)
    chosen: list[np.ndarray] = []
    for position, samples in enumerate(members):
        share = (n - sum(map(len, chosen))) // (len(members) - position)
        chosen.append(rng.permutation(samples)[:share])
    return np.concatenate(chosen)


def random(margins, n, rng):
    """Random samples."""
    return rng.permutation(len(margins))[:n]


STRATEGIES = {
    "smallest": smallest,
    "largest": largest,
    "window": window,
    "coverage": coverage,
    "random": random,
    "random_each_epoch": random,
}


def check_strategy(strategy):
    """Raise a ValueError unless ``strategy`` is a name in ``STRATEGIES`` or callable."""
    if not callable(strategy) and not (isinstance(strategy, str) and strategy in STRATEGIES):
        refuse(
            "strategy",
            f"one of {tuple(STRATEGIES)} or a function (margins, y, n, rng) -> indices",
            strategy,
        )


def n_to_select(n_samples_to_select: float, n_samples: int) -> int:
    """The number of samples given by a share (float) or a count (int); at least 1.

    Parameters
    ----------
    n_samples_to_select : float in (0, 1] or int
        Share or number of the samples.
    n_samples : int
        Number of samples to select from.

    Returns
    -------
    n : int

    Raises
    ------
    TypeError, ValueError
        If the type is wrong, a share is outside (0, 1], or a number exceeds ``n_samples``.
    """
    wanted = n_samples_to_select
    if isinstance(wanted, bool | np.bool_) or not isinstance(wanted, numbers.Real):
        refuse(
            "n_samples_to_select",
            "a share (float in (0, 1]) or a number of samples (int)",
            wanted,
        )
    if isinstance(wanted, numbers.Integral):
        wanted = int(wanted)
        if not 1 <= wanted <= n_samples:
            raise ValueError(
                f"n_samples_to_select={wanted} must be between 1 and the number of samples "
                f"to select from, {n_samples}."
            )
        return wanted
    if not 0 < float(wanted) <= 1:
        raise ValueError(
            f"n_samples_to_select={wanted!r} is a float, so a share: it must be in (0, 1]. "
            "Pass an int for a number of samples."
        )
    return max(1, round(float(wanted) * n_samples))


def raised_to_minima(n, n_samples_to_select, counts, min_per_class):
    """``n``, raised to the sum of the class minima if it comes from a share.

    Parameters
    ----------
    n : int
        Number of samples given by ``n_samples_to_select``.
    n_samples_to_select : float or int
        A share is raised; a number of samples is not.
    counts : ndarray of int of shape (n_classes,)
        Number of samples per class.
    min_per_class : int
        Minimum per class; a smaller class contributes all its samples.

    Returns
    -------
    n : int

    Raises
    ------
    ValueError
        If a number of samples is below the sum of the minima.

    Examples
    --------
    >>> import numpy as np
    >>> from margin_sklearn.subsets.strategies import raised_to_minima
    >>> raised_to_minima(20, 0.02, np.array([900, 90, 10]), min_per_class=1)
    20
    """
    least = _minima(counts, min_per_class).sum()
    if n >= least:
        return n
    n_classes = np.count_nonzero(counts)
    if isinstance(n_samples_to_select, numbers.Integral):
        raise ValueError(
            f"{n} samples to select are too few for {min_per_class} of each of {n_classes} "
            "classes: raise n_samples_to_select, lower min_per_class, or set stratify=False."
        )
    warnings.warn(
        f"n_samples_to_select={n_samples_to_select} of {np.sum(counts):,} samples would keep "
        f"{n}: {least} are kept instead, min_per_class={min_per_class} of each of {n_classes} "
        "classes. Raise n_samples_to_select to avoid this warning.",
        stacklevel=3,
    )
    return int(least)


def _minima(counts, min_per_class):
    # min_per_class may exceed the range of NumPy's integers, which ends at 2**63.
    return np.minimum(counts, min(min_per_class, int(np.max(counts, initial=0))))


def class_quotas(counts: ArrayLike, n: int, min_per_class: int) -> NDArray[np.int_]:
    """Number of samples to select per class: proportional, but at least a minimum.

    Parameters
    ----------
    counts : ndarray of int of shape (n_classes,)
        Number of samples per class.
    n : int
        Total number of samples to select.
    min_per_class : int
        Minimum per class; a smaller class contributes all its samples.

    Returns
    -------
    quotas : ndarray of int of shape (n_classes,)
        Their sum is ``n``.

    Raises
    ------
    ValueError
        If ``n`` is below the sum of the minima.

    Examples
    --------
    >>> import numpy as np
    >>> from margin_sklearn.subsets import class_quotas
    >>> class_quotas(np.array([900, 90, 10]), 20, min_per_class=1)
    array([17,  2,  1])
    """
    counts = np.asarray(counts)
    least = _minima(counts, min_per_class)
    if n < least.sum():
        raise ValueError(
            f"{n} samples to select are too few for {min_per_class} of each of "
            f"{np.count_nonzero(counts)} classes: raise n_samples_to_select, lower "
            "min_per_class, or set stratify=False."
        )
    # Classes at their minimum leave the rest to the others, in proportion.
    free = np.ones(len(counts), dtype=bool)
    while True:
        wanted = np.where(free, (n - least[~free].sum()) * counts / counts[free].sum(), least)
        if (wanted >= least).all():
            break
        free &= wanted >= least
    quotas = np.floor(wanted).astype(int)
    # The samples lost by rounding down go to the largest remainders.
    quotas[np.argsort(quotas - wanted, kind="stable")[: n - quotas.sum()]] += 1
    return quotas


def select(
    margins: NDArray[np.floating],
    y: NDArray[np.integer],
    n: int,
    *,
    strategy: str | Callable[..., Any],
    stratify: bool,
    min_per_class: int,
    rng: np.random.Generator,
    candidates: NDArray[np.bool_] | None = None,
) -> NDArray[np.intp]:
    """Row indices of the samples that a strategy selects, ascending.

    Parameters
    ----------
    margins : ndarray of float of shape (n_samples,)
        Margin of each sample.
    y : ndarray of int of shape (n_samples,)
        Class indices.
    n : int
        Number of samples to select.
    strategy : str or callable
        A key of ``STRATEGIES``, or a function (margins, y, n, rng) -> indices. It receives
        only the candidates; with ``stratify``, only those of one class per call.
    stratify : bool
        Whether to select from each class in proportion to its size.
    min_per_class : int
        With ``stratify``, the minimum number to select per class.
    rng : numpy.random.Generator
        Used by strategies that draw samples.
    candidates : ndarray of bool of shape (n_samples,), default=None
        Samples that may be selected; all by default.

    Returns
    -------
    indices : ndarray of int of shape (n,)

    Raises
    ------
    ValueError
        If a callable does not return ``n`` different indices, or ``n`` is too small for the
        class minima.

    Examples
    --------
    >>> import numpy as np
    >>> from margin_sklearn.subsets import select
    >>> margins, y = np.array([3.0, 0.5, 1.0, 4.0, 0.1, 2.0]), np.array([0, 0, 0, 1, 0, 1])
    >>> settings = {"min_per_class": 1, "rng": np.random.default_rng(0)}
    >>> select(margins, y, 3, strategy="smallest", stratify=False, **settings)
    array([1, 2, 4])
    >>> select(margins, y, 3, strategy="smallest", stratify=True, **settings)
    array([1, 4, 5])
    """
    rows = np.arange(len(margins)) if candidates is None else np.flatnonzero(candidates)
    if not stratify:
        return np.sort(rows[_apply(strategy, margins[rows], y[rows], n, rng)])
    counts = np.bincount(y[rows])
    chosen = []
    for label, quota in enumerate(class_quotas(counts, n, min_per_class)):
        if quota:
            members = rows[y[rows] == label]
            chosen.append(members[_apply(strategy, margins[members], y[members], quota, rng)])
    return np.sort(np.concatenate(chosen))


def _apply(strategy, margins, y, n, rng):
    if not callable(strategy):
        return STRATEGIES[strategy](margins, n, rng)
    indices = np.asarray(strategy(margins, y, n, rng))
    if indices.dtype == bool and indices.shape == margins.shape:
        indices = np.flatnonzero(indices)
    if (
        indices.ndim != 1
        or not np.issubdtype(indices.dtype, np.integer)
        or len(np.unique(indices)) != n
        or len(indices) != n
        or indices.min() < 0
        or indices.max() >= len(margins)
    ):
        raise ValueError(
            f"strategy must give {n} different indices between 0 and {len(margins) - 1}, "
            f"got {indices!r}."
        )
    return indices
