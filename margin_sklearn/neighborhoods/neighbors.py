"""Nearest neighbors by matrix products, and by differences where rounding could matter."""

import numpy as np
import scipy.sparse
from scipy.spatial.distance import cdist
from sklearn.utils.extmath import row_norms

from ..data.rows import chunk_length

__all__ = ["nearest_neighbors", "row_distances"]

# Extra candidates beyond the neighbors wanted: the search uses rounded distances.
N_SPARE = 8
# Numbers in the rows compared at a time with all queries, eight times as many at most.
MAX_NUMBERS = 2**24
# Distances held at a time (2 MB).
MAX_DISTANCES = 2**18
# Largest error of |a|² - 2ab + |b|², in units of (|a| + |b|)².
ROUNDING = 8 * np.finfo(np.float64).eps
# Tolerated rounding error as a share of the nearest squared distance: in the choice of
# candidates, and in the distances that are returned.
DOUBTFUL, EXACT = 1e-4, 1e-12
# The smallest distances are found among the minima of blocks, at least so many for each
# neighbor: a block rarely has two of them.
N_BLOCKS = 4
# With more candidates than this multiple of those wanted, many distances are equal.
MANY = 4


def nearest_neighbors(rows, n_rows, positions, n_neighbors):
    """The nearest other samples of some samples.

    Distances are computed by the fast formula ``|a|² - 2ab + |b|²``. Where its rounding could
    exceed 1e-12 of the distance, those of the candidates are computed from differences; where
    it could hide the nearest neighbors (far from the others, or next to very large numbers),
    all of them are.

    Parameters
    ----------
    rows : callable
        ``rows(index)``, with a slice or an array of positions, returns these samples: an
        array of shape (n, n_features) or a sparse matrix.
    n_rows : int
        Number of samples.
    positions : ndarray of int of shape (n_queries,)
        The samples whose neighbors are wanted; none is its own neighbor.
    n_neighbors : int
        Number of neighbors to find for each sample.

    Returns
    -------
    distance : ndarray of float64 of shape (n_queries, n_neighbors)
        Increasing; ``inf`` where there are fewer.
    index : ndarray of int of shape (n_queries, n_neighbors)
        Positions; -1 where there are fewer. Equal distances (to seven digits) are in a fixed
        order that is unrelated to where the samples lie: on a grid, neighbors in the order of
        their positions would all lie to one side.
    """
    queries = rows(positions)
    n_found = n_neighbors + N_SPARE
    squares, index = _search(rows, n_rows, queries, positions, n_found, _by_products)
    norms = row_norms(queries, squared=True)
    squares = np.maximum(squares + norms[:, None], 0)
    distance = np.sqrt(squares)
    error = ROUNDING * (2 * np.sqrt(norms) + distance[:, 0]) ** 2
    inexact = np.flatnonzero(~(error <= EXACT * squares[:, 0]))
    if len(inexact):
        distance[inexact] = _exact(rows, queries[inexact], index[inexact])
        nearest = distance.min(axis=1) ** 2
        doubtful = np.flatnonzero(np.isfinite(nearest) & (error > DOUBTFUL * nearest))
        if len(doubtful):
            part = queries[doubtful]
            _, index[doubtful] = _search(
                rows, n_rows, part, positions[doubtful], n_found, _by_differences
            )
            distance[doubtful] = _exact(rows, part, index[doubtful])
    distance, index = _sorted(distance, index)
    return distance[:, :n_neighbors], index[:, :n_neighbors]


def _search(rows, n_rows, queries, positions, n_neighbors, squares):
    """The smallest squared distances, increasing, and the positions of their rows."""
    n, width = queries.shape
    nearest = np.full((n, n_neighbors), np.inf)
    index = np.full((n, n_neighbors), -1)
    sparse = scipy.sparse.issparse(queries)
    step = max(64, chunk_length(width, limit=MAX_NUMBERS // (8 if sparse else 1)))
    for start in range(0, n_rows, step):
        chunk = rows(slice(start, min(start + step, n_rows)))
        if sparse and squares is _by_differences:
            chunk = chunk.toarray()
        size = max(1, MAX_DISTANCES // (4 if sparse else 1) // chunk.shape[0])
        own_norms = row_norms(chunk, squared=True)
        for first in range(0, n, size):
            block = slice(first, first + size)
            found = squares(queries[block], chunk, own_norms)
            # A sample is not its own neighbor.
            own = positions[block] - start
            inside = np.flatnonzero((own >= 0) & (own < found.shape[1]))
            found[inside, own[inside]] = np.inf
            near, where = _smallest(found, n_neighbors, nearest[block, -1])
            del found  # before the next ones are computed
            if near.shape[1] == 0:
                continue
            both = np.concatenate([nearest[block], near], axis=1)
            which = np.concatenate([index[block], np.where(where < 0, -1, where + start)], 1)
            order = np.argsort(both, axis=1, kind="stable")[:, :n_neighbors]
            nearest[block] = np.take_along_axis(both, order, axis=1)
            index[block] = np.take_along_axis(which, order, axis=1)
    index[np.isinf(nearest)] = -1
    return nearest, index


def _by_products(queries, chunk, norms):
    """Squared distances, less the squared norm of the query."""
    products = (-2 * queries) @ chunk.T
    if scipy.sparse.issparse(products):
        products = products.toarray()
    products += norms
    return products


def _by_differences(queries, chunk, norms):
    if scipy.sparse.issparse(queries):
        queries = queries.toarray()
    return cdist(queries, chunk, "sqeuclidean")


def _smallest(squares, n_wanted, below):
    """At least the ``n_wanted`` smallest of each row that are less than ``below``.

    Returns
    -------
    values, columns : ndarrays of shape (n_rows, n_found)
        ``inf`` and -1 where a row has fewer.
    """
    n, n_columns = squares.shape
    size = n_columns // (N_BLOCKS * n_wanted)
    if size > 1:
        # The largest of the n_wanted smallest minima bounds as many distances.
        n_blocks = n_columns // size
        minima = squares[:, : n_blocks * size].reshape(n, size, n_blocks).min(axis=1)
        below = np.minimum(below, np.partition(minima, n_wanted - 1, axis=1)[:, n_wanted - 1])
    below = np.minimum(below, np.finfo(float).max)
    row, column = np.divmod(np.flatnonzero(squares <= below[:, None]), n_columns)
    if size <= 1 or len(row) > MANY * n_wanted * n:
        if n_columns <= n_wanted:
            return squares, np.where(squares < np.inf, np.arange(n_columns), -1)
        column = np.argpartition(squares, n_wanted - 1, axis=1)[:, :n_wanted]
        return np.take_along_axis(squares, column, axis=1), column
    count = np.bincount(row, minlength=n)
    rank = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    values = np.full((n, count.max(initial=0)), np.inf)
    columns = np.full(values.shape, -1)
    values[row, rank], columns[row, rank] = squares[row, column], column
    return values, columns


def _exact(rows, queries, index):
    """Distances of the candidates by differences."""
    known = index >= 0
    exact = np.full(index.shape, np.inf)
    step = chunk_length(queries.shape[1] * index.shape[1], limit=2**19)
    for start in range(0, len(index), step):
        part = slice(start, start + step)
        query, column = np.nonzero(known[part])
        if len(query):
            needed, inverse = np.unique(index[part][query, column], return_inverse=True)
            exact[part][query, column] = row_distances(
                queries[part][query], rows(needed)[inverse]
            )
    return exact


def _sorted(distance, index):
    """The same neighbors by distance; ties are broken by a hash of the position."""
    scattered = index.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    known = distance[np.isfinite(distance)]
    typical = (np.median(known) if len(known) else 1.0) or 1.0
    with np.errstate(over="ignore"):
        order = np.lexsort((scattered, (distance / typical).astype(np.float32)))
    return np.take_along_axis(distance, order, axis=1), np.take_along_axis(
        index, order, axis=1
    )


def row_distances(a, b):
    """Euclidean distance between each row of ``a`` and the same row of ``b``, by differences.

    Parameters
    ----------
    a, b : array or sparse matrix of shape (n_rows, n_features)

    Returns
    -------
    distances : ndarray of float64 of shape (n_rows,)
    """
    return row_norms(a - b)
