r"""Duplicates (copies), exact and near: several rows that are one observation.

Rows repeat where samples were drawn with replacement, oversampled, measured repeatedly or
augmented. Whatever compares a sample with its neighbors is then misled, because its nearest
neighbor is itself: its own label comes back. So duplicates are one here, found by geometry
alone: rows that are equal, then rows whose distance lies *below a gap*. The number of
neighbors grows steadily with the distance; where rows were copied with some jitter, there are
those within the groups, those beyond, and next to none in between.
"""

import numpy as np
import scipy.sparse
from scipy.sparse.csgraph import connected_components

from .neighbors import nearest_neighbors, row_distances

__all__ = ["copy_distance", "group_equal", "group_near", "least_growth", "rounding_of"]

# Neighbors among which the gap is searched for: groups of up to .6 times as many are seen.
N_NEIGHBORS = (16, 64, 256)
# From one distance to FACTOR times that, the number of neighbors grows by a half along a curve
# (dimension 1), more in more dimensions. benchmarks/copies.py prints by how much it grows in
# data with and without copies.
FACTOR, GROWTH = 1.5, 0.15
# It is computed between these quantiles of the distances, above so many of them: a few
# samples that happen to be close make gaps, too.
QUANTILES = (0.005, 0.6)
N_BELOW = 30
# Of fewer than so many distances the growth is less sure, so it has to be so much less.
N_SURE, UNSURE = 100, 0.05
# Copies are nearer than this share of the distance between any two samples.
NEAR = 0.25
# Distances of less than this share of that to the 16th neighbor, or to half of the others if
# there are fewer than 32, are rounding.
ROUNDING = 1e-7
# Fewer groups, or fewer that have copies, are clusters.
FEWEST, FEWEST_COPIED = 20, 5
# Copies differ by less than this share of what other samples differ by, in the same columns.
ALIKE = 0.35
# Neighbors by which copies are linked; share of them that may lie too far from their first.
N_LINKS, ODD = 8, 0.1
# Pairs of rows by which columns are compared.
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
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    return first, group


def copy_distance(distances, spread):
    r"""The distance below which rows are near copies of one another, or 0.

    The distances of some samples to their 16, 64 or 256 nearest neighbors are pooled. Copies
    are what lies below the distance :math:`d` where their number grows least from :math:`d` to
    :math:`1.5 d`, if it grows by less than .15; searched for between the quantiles .005 and .6
    and below a quarter of ``spread``. So is what is so close that only rounding can have
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
    """What distances are below that only rounding can have made; arguments as there."""
    # Of few, one in the middle: the last may be far off.
    rank = min(N_NEIGHBORS[0], distances.shape[1] // 2 + 1) - 1
    return ROUNDING * np.median(distances[:, rank])


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
        A share of the number within the distance, and .05 more for fewer than 100; ``inf`` if
        there are too few distances.
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
    number = np.arange(low, high + 1)
    growth = beyond / number - 1 + UNSURE * (number < N_SURE)
    ends = pooled[np.minimum(beyond, len(pooled) - 1)]
    # Among equals the widest gap.
    at = np.lexsort((below / ends, growth))[0]
    return growth[at], np.sqrt(below[at] * ends[at])


def group_near(rows, n_rows, distance, certain=False):
    """Groups of rows within ``distance`` of one another, or None if they are no copies.

    Rows are linked to those of their 8 nearest neighbors that are so near, and a group is
    what is linked. Of copies, all are near the first of them. Where more than a tenth are
    not, they form chains (a grid, a path), and where less than 20 groups are left, or less
    than 5 that have copies, they form clusters. Where the columns that differ within the
    groups differ as much as between them, the groups are those of the other columns: cells of
    a table of categories, patterns of missing values. These are samples of their own, unless
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
        if not _alike(rows, first[group[copies]], copies, n_rows):
            return None
    order = np.argsort(first)
    rank = np.empty(n_groups, dtype=int)
    rank[order] = np.arange(n_groups)
    return first[order], rank[group]


def _alike(rows, first, copies, n_rows):
    """Whether copies differ by little in the columns in which they differ at all."""
    # Enough for a median; others are pairs of rows in no order.
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
    """Median of each column's differences that are not 0; 0 where all are."""
    marked = np.where(differences > 0, differences, np.nan)
    known = ~np.isnan(marked).all(axis=0)
    result = np.zeros(differences.shape[1])
    result[known] = np.nanmedian(marked[:, known], axis=0)
    return result
