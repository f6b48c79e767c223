r"""Copies among the samples, exact and near: several rows that are one observation.

Rows repeat where samples were drawn with replacement, oversampled, measured repeatedly or
augmented. Whatever compares a sample with its neighbors is then misled, because its nearest
neighbor is itself: its own label comes back. So copies are one here, told from the geometry
alone: rows that are equal, then rows whose distance lies *below a gap*. Distances to nearest
neighbors are spread over all lengths; where rows were copied with some jitter, there are those
within the groups, those between them, and nothing in between.
"""

import numpy as np
import scipy.sparse
from scipy.sparse.csgraph import connected_components

from .neighbors import nearest_neighbors, row_distances

__all__ = ["copy_distance", "group_equal", "group_near", "least_growth"]

# Neighbors among which the gap is looked for: groups of up to .6 times as many are seen.
N_NEIGHBORS = (16, 64, 256)
# From one distance to FACTOR times that, the number of neighbors grows by a half along a curve
# (dimension 1), more in more dimensions. benchmarks/copies.py prints by how much it grows in
# data with and without copies.
FACTOR, GROWTH = 1.5, 0.1
# It is looked at between these quantiles of the distances, above so many of them: a few
# samples that happen to be close make gaps, too.
QUANTILES = (0.005, 0.6)
N_BELOW = 30
# Copies are nearer than this share of the distance between any two samples.
NEAR = 0.25
# Distances of less than this share of that between neighbors are rounding.
ROUNDING = 1e-6
# Fewer groups, or fewer that have copies, are clusters.
FEWEST, FEWEST_COPIED = 20, 10
# Neighbors by which copies are linked; share of them that may lie too far from their first.
N_LINKS, ODD = 8, 0.1


def group_equal(keys):
    """Groups of rows with equal keys.

    Parameters
    ----------
    keys : ndarray of shape (n_rows,)

    Returns
    -------
    first : ndarray of int of shape (n_groups,)
        The first row of each group.
    group : ndarray of int of shape (n_rows,)
        The group of each row.
    """
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    return first, group


def copy_distance(distances, spread):
    r"""The distance below which rows are near copies of one another, or 0.

    The distances of some samples to their 16, 64 or 256 nearest neighbors are pooled. Copies
    are what lies below the distance :math:`d` where their number grows least from :math:`d` to
    :math:`1.5 d`, if it grows by less than a tenth; looked for between the quantiles .005 and
    .6 and below a quarter of ``spread``. So is what is so close that only rounding can have
    made it different.

    Parameters
    ----------
    distances : ndarray of shape (n_samples, n_neighbors)
        To the nearest neighbors, increasing; ``inf`` where there are fewer.
    spread : float
        Median distance of two samples.

    Returns
    -------
    distance : float

    Examples
    --------
    >>> import numpy as np
    >>> from margin_sklearn.copies import copy_distance
    >>> apart = np.linspace(1, 4, 40 * 15).reshape(40, 15)
    >>> copy_distance(apart, spread=5.0)
    0.0
    >>> jitter = np.full((40, 1), 0.01)
    >>> 0.01 < copy_distance(np.hstack([jitter, apart]), spread=5.0) < 1
    True
    """
    nearest = distances[:, 0][np.isfinite(distances[:, 0])]
    rounding = ROUNDING * np.median(nearest) if len(nearest) else 0.0
    found, least = rounding if (nearest < rounding).any() else 0.0, GROWTH
    for n_neighbors in N_NEIGHBORS:
        growth, distance = least_growth(distances[:, :n_neighbors], spread, rounding)
        if growth < least:
            found, least = distance, growth
    return float(found)


def least_growth(distances, spread, above=0.0):
    """How little the number of neighbors grows from a distance to 1.5 times that, at least.

    Parameters
    ----------
    distances : ndarray of shape (n_samples, n_neighbors)
    spread : float
        As for :func:`copy_distance`.
    above : float, default=0.0
        Only distances above this count.

    Returns
    -------
    growth : float
        A share of the number within the distance; ``inf`` if there are too few distances.
    distance : float
        Between the last neighbor before and the first after.
    """
    pooled = np.sort(distances, axis=None)
    pooled = pooled[(pooled > above) & np.isfinite(pooled)]
    low = max(N_BELOW, int(np.ceil(QUANTILES[0] * len(pooled))))
    high = min(int(QUANTILES[1] * len(pooled)), np.searchsorted(pooled, NEAR * spread))
    if high < low:
        return np.inf, 0.0
    below = pooled[low - 1 : high]
    beyond = np.searchsorted(pooled, FACTOR * below, side="right")
    growth = beyond / np.arange(low, high + 1) - 1
    # The last one of equals: the upper end of the gap is the nearest beyond it.
    at = len(growth) - 1 - growth[::-1].argmin()
    return growth[at], np.sqrt(below[at] * pooled[min(beyond[at], len(pooled) - 1)])


def group_near(rows, n_rows, distance, certain=False):
    """Groups of rows within ``distance`` of one another, or None if they are no copies.

    Rows are linked to those of their 8 nearest neighbors that are so near, and a group is
    what is linked. Of copies, all are near the first of them. Where more than a tenth are
    not, they form chains (a grid, a path), and where less than 20 groups are left, or less
    than 10 that have copies, they form clusters: these are samples of their own, unless
    ``certain``.

    Parameters
    ----------
    rows : callable
        Positions to rows.
    n_rows : int
    distance : float
    certain : bool, default=False
        Whether rows so near are copies, whatever they look like.

    Returns
    -------
    first : ndarray of int of shape (n_groups,), increasing
    group : ndarray of int of shape (n_rows,)
    """
    everything = np.arange(n_rows)
    near, index = nearest_neighbors(rows, n_rows, everything, N_LINKS)
    row, column = np.nonzero(near < distance)
    links = scipy.sparse.coo_array(
        (np.ones(len(row)), (row, index[row, column])), shape=(n_rows, n_rows)
    )
    n_groups, group = connected_components(links, directed=False)
    if n_groups == n_rows:
        return None
    _, first, sizes = np.unique(group, return_index=True, return_counts=True)
    copies = np.flatnonzero(first[group] != everything)
    if not certain:
        if n_groups < FEWEST or np.count_nonzero(sizes > 1) < FEWEST_COPIED:
            return None
        apart = row_distances(rows(first[group[copies]]), rows(copies))
        if np.mean(apart > distance) > ODD:
            return None
    order = np.argsort(first)
    rank = np.empty(n_groups, dtype=int)
    rank[order] = np.arange(n_groups)
    return first[order], rank[group]
