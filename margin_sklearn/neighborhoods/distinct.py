"""The samples without duplicates, in an order that depends only on their values."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import pairwise_distances

from .copies import N_NEIGHBORS, copy_distance, group_equal, group_near, rounding_of
from .neighbors import nearest_neighbors

__all__ = ["DistinctRows", "distinct_rows", "evenly"]

# Samples from which gaps and typical distances are computed: enough for a median.
N_PILOT = 400
# Rounds of merging: duplicates of duplicates have jitter of several sizes.
N_ROUNDS = 3
# Near duplicates are searched for among at most this many rows, and with at most this many
# multiplications.
MOST_ROWS, MOST_PRODUCTS = 10_000, 2**36


@dataclass(frozen=True)
class DistinctRows:
    """One row per group of duplicates, sorted by distance from the mean of all rows.

    Attributes
    ----------
    rows : callable
        Maps an index (slice or positions among the distinct rows) to rows, in the form of
        :class:`~margin_sklearn.neighborhoods.PreparedRows`.
    first : ndarray of int of shape (n_distinct,)
        Positions of the distinct rows among all samples.
    group : ndarray of int of shape (n_samples,)
        The distinct row that each sample belongs to; -1 for samples that are left out.
    n_exact, n_near : int
        Numbers of exact and near duplicates of other samples.
    """

    rows: Callable
    first: np.ndarray
    group: np.ndarray
    n_exact: int
    n_near: int

    def __len__(self):
        return len(self.first)


def distinct_rows(prepared):
    """Merge exact and near duplicates and sort the remaining rows.

    The result depends neither on the order of the samples nor on how often a row is repeated.

    Parameters
    ----------
    prepared : PreparedRows

    Returns
    -------
    distinct : DistinctRows
    """
    first, group = group_equal(prepared.keys)
    n_exact = prepared.n - len(first)
    # Groups are sorted by their keys, so ties are resolved by content.
    order = np.argsort(prepared.distances_from_mean(first), kind="stable")
    first, group = first[order], _inverse(order)[group]
    n_near = 0
    rows = prepared.at(first)
    for _ in range(N_ROUNDS):
        n = len(first)
        if n < 2:
            break
        pilot = evenly(n, N_PILOT)
        near, _ = nearest_neighbors(rows, n, pilot, min(n - 1, N_NEIGHBORS[-1]))
        spread = median_distance(rows(pilot))
        distance = copy_distance(near, spread)
        if distance == 0:
            break
        most = int(min(MOST_ROWS, max(1000, (MOST_PRODUCTS / prepared.width) ** 0.5)))
        # All rows, unless there are too many to compare.
        some = evenly(n, most)
        # Rows that differ by rounding alone are duplicates, however few groups there are.
        certain = distance <= rounding_of(near)
        found = group_near(prepared.at(first[some]), len(some), distance, certain)
        if found is None:
            break
        kept, merged = found
        n_near += n - len(kept)
        if len(some) < n:
            # Duplicates of rows left out are no longer seen: estimate from pilot neighbors.
            sizes = 1 + (near < distance).sum(axis=1)
            n_near += round(n * np.mean(1 - 1 / sizes)) - (n - len(kept))
        into = np.full(n, -1)
        into[some] = merged
        group = np.where(group < 0, -1, into[group])
        first = first[some][kept]
        rows = prepared.at(first)
    return DistinctRows(rows, first, group, n_exact, n_near)


def evenly(n, size):
    """At most ``size`` evenly spaced positions out of ``n``.

    Parameters
    ----------
    n, size : int

    Returns
    -------
    positions : ndarray of int
        Increasing.
    """
    if size >= n:
        return np.arange(n)
    return ((np.arange(size) + 0.5) * n / size).astype(int)


def median_distance(rows):
    """Median distance between two rows; 0 if there is only one row."""
    between = pairwise_distances(rows)[np.triu_indices(rows.shape[0], 1)]
    return float(np.median(between)) if len(between) else 0.0


def _inverse(order):
    inverse = np.empty_like(order)
    inverse[order] = np.arange(len(order))
    return inverse
