"""The samples without their duplicates, in an order that is theirs alone."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import pairwise_distances

from .copies import N_NEIGHBORS, copy_distance, group_equal, group_near, rounding_of
from .neighbors import nearest_neighbors

__all__ = ["DistinctRows", "distinct_rows", "evenly"]

# Samples from which gaps and typical distances are computed: enough for a median.
N_PILOT = 400
# Copies of copies: jitter of several sizes.
N_ROUNDS = 3
# Near copies are sorted out among so many rows, and so many products of numbers, at most.
MOST_ROWS, MOST_PRODUCTS = 10_000, 2**36


@dataclass(frozen=True)
class DistinctRows:
    """One row for each group of copies, sorted by its distance from the mean of all.

    Attributes
    ----------
    rows : callable
        Index (slice or positions among the distinct rows) to rows, as
        :class:`~margin_sklearn.neighborhoods.PreparedRows` gives them.
    first : ndarray of int of shape (n_distinct,)
        Positions, among all samples, of those that stand for their groups.
    group : ndarray of int of shape (n_samples,)
        The distinct row that each sample is a copy of; -1 for samples that are left out.
    n_exact, n_near : int
        Samples that are exact, or near, copies of others.
    """

    rows: Callable
    first: np.ndarray
    group: np.ndarray
    n_exact: int
    n_near: int

    def __len__(self):
        return len(self.first)


def distinct_rows(prepared):
    """Merge copies, exact and near; put what is left in an order.

    Neither the order of the samples nor how often a row is repeated changes the result.

    Parameters
    ----------
    prepared : PreparedRows

    Returns
    -------
    distinct : DistinctRows
    """
    first, group = group_equal(prepared.keys)
    n_exact = prepared.n - len(first)
    # Ties by content: groups are sorted by their keys.
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
        # All rows, unless these are too many to be compared.
        some = evenly(n, most)
        # What only rounding tells apart are copies, however few groups there are.
        certain = distance <= rounding_of(near)
        found = group_near(prepared.at(first[some]), len(some), distance, certain)
        if found is None:
            break
        kept, merged = found
        n_near += n - len(kept)
        if len(some) < n:
            # Twins of rows that are left out are no longer seen: by the pilot's neighbors.
            sizes = 1 + (near < distance).sum(axis=1)
            n_near += round(n * np.mean(1 - 1 / sizes)) - (n - len(kept))
        into = np.full(n, -1)
        into[some] = merged
        group = np.where(group < 0, -1, into[group])
        first = first[some][kept]
        rows = prepared.at(first)
    return DistinctRows(rows, first, group, n_exact, n_near)


def evenly(n, size):
    """At most ``size`` of ``n`` positions, evenly spaced.

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
    """Median distance between two of the rows; 0 if there is one."""
    between = pairwise_distances(rows)[np.triu_indices(rows.shape[0], 1)]
    return float(np.median(between)) if len(between) else 0.0


def _inverse(order):
    inverse = np.empty_like(order)
    inverse[order] = np.arange(len(order))
    return inverse
