r"""Exact and near duplicates: several rows that represent one observation.

Rows repeat where samples were drawn with replacement, oversampled, measured repeatedly or
augmented. This misleads any comparison of a sample with its neighbors: its nearest neighbor is
a duplicate of itself, usually with the same label. Duplicates are therefore merged, and found
by geometry alone: first equal rows, then rows whose distance lies *below a gap*. The number of
neighbors grows steadily with the distance; where rows were copied with some jitter, there are
neighbors within the groups, neighbors in other groups, and almost none in between.
"""

import numpy as np
import scipy.sparse
from scipy.sparse.csgraph import connected_components

from .neighbors import nearest_neighbors, row_distances

__all__ = ["copy_distance", "group_equal", "group_near", "least_growth", "rounding_of"]

# Numbers of neighbors to search for the gap: finds groups of up to 0.6 times that size.
N_NEIGHBORS = (16, 64, 256)
# From one distance to FACTOR times that, the number of neighbors grows by half along a curve
# (dimension 1), and by more in more dimensions. benchmarks/copies.py prints the growth in data
# with and without duplicates.
FACTOR, GROWTH = 1.5, 0.15
# Growth is computed between these quantiles of the distances and above the N_BELOW smallest:
# a few samples that happen to be close make gaps, too.
QUANTILES = (0.005, 0.6)
N_BELOW = 30
# With fewer than N_SURE distances the growth is less certain: it must be smaller by UNSURE.
N_SURE, UNSURE = 100, 0.05
# Duplicates are nearer than this share of the median distance between two samples.
NEAR = 0.25
# Distances below this share of the distance to the 16th neighbor (with fewer than 32 others,
# to the middle one) are rounding errors.
ROUNDING = 1e-7
# With fewer groups, or fewer groups with duplicates, the groups are clusters.
FEWEST, FEWEST_COPIED = 20, 5
# Duplicates differ by less than this share of the difference between other samples, in the
# same columns.
ALIKE = 0.35
# Neighbors by which duplicates are linked; share of duplicates that may lie too far from the
# first row of their group.
N_LINKS, ODD = 8, 0.1
# Pairs of rows used to compare columns.
N_PAIRS = 200


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
    # np.unique takes several times as long for this.
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    new = np.append(True, ordered[1:] != ordered[:-1])
    group = np.empty(len(keys), dtype=int)
    group[order] = np.cumsum(new) - 1
    return order[new], group


def copy_distance(distances, spread):
    r"""The distance below which rows are near duplicates of one another, or 0.

    The distances of some samples to their 16, 64 or 256 nearest neighbors are pooled. Pairs
    below a distance :math:`d` are duplicates if the number of distances grows by less than
    0.15 from :math:`d` to :math:`1.5 d`; :math:`d` is where it grows least, searched for
    between the quantiles 0.005 and 0.6 and below a quarter of ``spread``. Pairs so close that
    only rounding can separate them are duplicates, too.

    Parameters
    ----------
    distances : ndarray of shape (n_samples, n_neighbors)
        To the nearest neighbors, increasing; ``inf`` where there are fewer.
    spread : float
        Median distance between two samples.

    Returns
    -------
    distance : float

    Examples
    --------
    >>> import numpy as np
    >>> from margin_sklearn.neighborhoods import copy_distance
    >>> apart = np.linspace(1, 4, 40 * 15).reshape(40, 15)
    >>> copy_distance(apart, spread=5.0)
    0.0
    >>> jitter = np.full((40, 1), 0.01)
    >>> 0.01 < copy_distance(np.hstack([jitter, apart]), spread=5.0) < 1
    True
    """
    rounding = rounding_of(distances)
    found, least = rounding if (distances < rounding).any() else 0.0, GROWTH
    for n_neighbors in N_NEIGHBORS:
        growth, distance = least_growth(distances[:, :n_neighbors], spread, rounding)
        if growth < least:
            found, least = distance, growth
    return float(found)


def rounding_of(distances):
    """Upper bound of distances due to rounding alone; as for :func:`copy_distance`."""
    # With few neighbors take a middle one: the last may be far off.
    rank = min(N_NEIGHBORS[0], distances.shape[1] // 2 + 1) - 1
    return ROUNDING * np.median(distances[:, rank])


def least_growth(distances, spread, above=0.0):
    """The smallest growth of the number of neighbors from a distance to 1.5 times that.

    Parameters
    ----------
    distances : ndarray of shape (n_samples, n_neighbors)
        From each sample to its nearest neighbors, increasing.
    spread : float
        As for :func:`copy_distance`.
    above : float, default=0.0
        Smaller distances are ignored.

    Returns
    -------
    growth : float
        As a share of the number within the distance, plus 0.05 if that number is below 100;
        ``inf`` if there are too few distances.
    distance : float
        Between the last neighbor before the gap and the first one after it.
    """
    pooled = np.sort(distances, axis=None)
    pooled = pooled[(pooled > above) & np.isfinite(pooled)]
    low = max(N_BELOW, int(np.ceil(QUANTILES[0] * len(pooled))))
    high = min(int(QUANTILES[1] * len(pooled)), np.searchsorted(pooled, NEAR * spread))
    if high < low:
        return np.inf, 0.0
    below = pooled[low - 1 : high]
    beyond = np.searchsorted(pooled, FACTOR * below, side="right")
    number = np.arange(low, high + 1)
    growth = beyond / number - 1 + UNSURE * (number < N_SURE)
    ends = pooled[np.minimum(beyond, len(pooled) - 1)]
    # Ties: the widest gap.
    at = np.lexsort((below / ends, growth))[0]
    return growth[at], np.sqrt(below[at] * ends[at])


def group_near(rows, n_rows, distance, certain=False):
    """Groups of rows within ``distance`` of one another, or None if they are not duplicates.

    Each row is linked to those of its 8 nearest neighbors that are within ``distance``; linked
    rows form a group. Duplicates are all near the first row of their group. If more than a
    tenth are not, the rows form chains (a grid, a path); if fewer than 20 groups are left, or
    fewer than 5 with duplicates, they form clusters. If the columns that differ within groups
    differ as much within as between groups, the groups come from the other columns: cells of
    a table of categories, patterns of missing values. In all these cases the rows are separate
    samples, unless ``certain``.

    Parameters
    ----------
    rows : callable
        Maps positions to rows.
    n_rows : int
        Number of rows.
    distance : float
        Rows at most this far apart are linked.
    certain : bool, default=False
        Whether rows within ``distance`` are duplicates in any case.

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
        if not _alike(rows, first[group[copies]], copies, n_rows):
            return None
    order = np.argsort(first)
    rank = np.empty(n_groups, dtype=int)
    rank[order] = np.arange(n_groups)
    return first[order], rank[group]


def _alike(rows, first, copies, n_rows):
    """Whether duplicates differ by little in the columns in which they differ at all."""
    # Enough for a median; they are compared with random pairs of rows.
    chosen = np.arange(len(copies))[:: max(1, len(copies) // N_PAIRS)]
    within = _differences(rows, first[chosen], copies[chosen])
    random = np.random.RandomState(0)
    between = _differences(rows, *random.randint(n_rows, size=(2, N_PAIRS)))
    differ = (within > 0).mean(axis=0) > ODD
    inside, outside = _typical(within[:, differ]), _typical(between[:, differ])
    return np.linalg.norm(inside) < ALIKE * np.linalg.norm(outside)


def _differences(rows, one, other):
    differences = rows(one) - rows(other)
    if scipy.sparse.issparse(differences):
        differences = differences.toarray()
    return np.abs(differences)


def _typical(differences):
    """Median of each column's nonzero differences; 0 for a column without any."""
    marked = np.where(differences > 0, differences, np.nan)
    known = ~np.isnan(marked).all(axis=0)
    result = np.zeros(differences.shape[1])
    result[known] = np.nanmedian(marked[:, known], axis=0)
    return result
