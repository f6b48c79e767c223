"""The samples without duplicates, in an order that depends only on their values."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse
from sklearn.metrics import pairwise_distances

from ..data.rows import chunk_length
from .copies import N_NEIGHBORS, copy_distance, group_near, rounding_of
from .embedded_rows import embedded
from .neighbors import nearest_neighbors

__all__ = ["DistinctRows", "distinct_rows", "evenly"]

# Samples from which gaps and typical distances are computed: enough for a median.
N_PILOT = 400
# Rounds of merging: duplicates of duplicates have jitter of several sizes.
N_ROUNDS = 3
# Near duplicates are searched for among at most this many rows.
MOST_ROWS = 10_000


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
        Numbers of exact and near duplicates of other samples; the latter an estimate if rows
        are left out.
    n_total : int
        How many there would be of all samples, if none were left out.
    """

    rows: Callable
    first: np.ndarray
    group: np.ndarray
    n_exact: int
    n_near: int
    n_total: int

    def __len__(self):
        return len(self.first)


def distinct_rows(prepared, most=None):
    """Merge exact and near duplicates and sort the remaining rows.

    The result depends neither on the order of the samples nor on how often a row is repeated.

    Parameters
    ----------
    prepared : PreparedRows
        The rows of all samples.
    most : int, default=None
        If there are more different rows, as many of them are used, chosen by a hash of their
        content; the others are left out.

    Returns
    -------
    distinct : DistinctRows
    """
    first, group = prepared.equal
    n_different = len(first)
    n_exact = prepared.n - n_different
    if most is not None and n_different > most:
        # Groups are sorted by their keys, which are as good as random.
        first, group = first[:most], np.where(group < most, group, -1)
    source = embedded(prepared, first)
    # Ties are resolved by the order of the keys, that is by content.
    order = np.argsort(distances_from_mean(source, first), kind="stable")
    first, group = first[order], _into(_inverse(order), group)
    used = len(first)
    n_near = 0
    rows = source.at(first)
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
        # All rows, unless there are too many to compare.
        some = evenly(n, MOST_ROWS)
        # Rows that differ by rounding alone are duplicates, however few groups there are.
        certain = distance <= rounding_of(near)
        found = group_near(source.at(first[some]), len(some), distance, certain)
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
        group = _into(into, group)
        first = first[some][kept]
        rows = source.at(first)
    share = used / n_different
    return DistinctRows(
        rows, first, group, n_exact, round(n_near / share), round(len(first) / share)
    )


def distances_from_mean(source, positions):
    """Distance of each of some rows from their mean.

    Parameters
    ----------
    source : PreparedRows or EmbeddedRows
    positions : ndarray of int of shape (n_positions,)

    Returns
    -------
    distances : ndarray of shape (n_positions,)
    """
    rows, n = source.at(positions), len(positions)
    step = chunk_length(source.width)
    pieces = [slice(at, at + step) for at in range(0, n, step)]
    mean = np.zeros(source.width)
    for piece in pieces:
        mean += np.asarray(rows(piece).sum(axis=0)).ravel() / n
    square = mean @ mean
    found = []
    for piece in pieces:
        part = rows(piece)
        if scipy.sparse.issparse(part):
            squares = np.asarray(part.multiply(part).sum(axis=1)).ravel()
            found.append(np.maximum(squares - 2 * (part @ mean) + square, 0))
        else:
            part = part - mean
            found.append(np.einsum("ij,ij->i", part, part))
    return np.sqrt(np.concatenate(found))


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


def _into(new, group):
    """Groups renumbered; those that are left out stay -1."""
    return np.where(group < 0, -1, new[group])


def _inverse(order):
    inverse = np.empty_like(order)
    inverse[order] = np.arange(len(order))
    return inverse
