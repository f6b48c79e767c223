"""Nearest neighbors by exact distances, computed in chunks."""

import numpy as np
import scipy.sparse
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors
from sklearn.utils.extmath import row_norms

from ..data.rows import chunk_length

__all__ = ["nearest_neighbors", "row_distances"]

# Extra candidates beyond the neighbors wanted: the search uses rounded distances.
N_SPARE = 8
# Distances held at a time (16 MB).
MAX_DISTANCES = 2**21
# Largest error of |a|² - 2ab + |b|², in units of (|a| + |b|)².
ROUNDING = 8 * np.finfo(np.float64).eps
# Tolerated rounding error, as a share of the nearest squared distance.
DOUBTFUL = 1e-4


def nearest_neighbors(rows, n_rows, positions, n_neighbors):
    """The nearest other samples of some samples.

    Candidates are found by the fast formula ``|a|² - 2ab + |b|²``, or by differences for
    samples whose nearest neighbors its rounding may hide (far from the others, or next to very
    large numbers). The distances returned are computed from differences.

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
    found = _search(rows, n_rows, queries, positions, n_neighbors + N_SPARE, exact=False)
    distance, index = _exactly(rows, queries, *found)
    nearest = distance[:, 0]
    largest = ROUNDING * (2 * row_norms(queries) + nearest) ** 2
    doubtful = np.isfinite(nearest) & (largest > DOUBTFUL * nearest**2)
    if doubtful.any():
        again = np.flatnonzero(doubtful)
        part = _search(
            rows, n_rows, queries[again], positions[again], n_neighbors + N_SPARE, exact=True
        )
        distance[again], index[again] = _exactly(rows, queries[again], *part)
    return distance[:, :n_neighbors], index[:, :n_neighbors]


def _search(rows, n_rows, queries, positions, n_neighbors, exact):
    """Candidates: their rounded distances (or exact squared ones) and their positions."""
    n, width = queries.shape
    distance = np.full((n, n_neighbors), np.inf)
    index = np.full((n, n_neighbors), -1)
    limit = MAX_DISTANCES // (4 if scipy.sparse.issparse(queries) else 1)
    step = max(64, min(chunk_length(width), limit // max(1, n)))
    nearest = _by_differences if exact else _by_squares
    for start in range(0, n_rows, step):
        chunk = rows(slice(start, min(start + step, n_rows)))
        # One more, because a sample is its own nearest neighbor.
        near, where = nearest(queries, chunk, min(n_neighbors + 1, chunk.shape[0]))
        where = where + start
        near[where == positions[:, None]] = np.inf
        better = near.min(axis=1) < distance[:, -1]
        both = np.concatenate([distance[better], near[better]], axis=1)
        found = np.concatenate([index[better], where[better]], axis=1)
        order = np.argsort(both, axis=1, kind="stable")[:, :n_neighbors]
        distance[better] = np.take_along_axis(both, order, axis=1)
        index[better] = np.take_along_axis(found, order, axis=1)
    index[np.isinf(distance)] = -1
    return distance, index


def _by_squares(queries, chunk, n_neighbors):
    """The fast formula: |a|² - 2ab + |b|²."""
    search = NearestNeighbors(n_neighbors=n_neighbors, algorithm="brute").fit(chunk)
    return search.kneighbors(queries)


def _by_differences(queries, chunk, n_neighbors):
    if scipy.sparse.issparse(chunk):
        chunk, queries = chunk.toarray(), queries.toarray()
    squares = cdist(queries, chunk, "sqeuclidean")
    part = np.argpartition(squares, n_neighbors - 1, axis=1)[:, :n_neighbors]
    return np.take_along_axis(squares, part, axis=1), part


def _exactly(rows, queries, distance, index):
    """The same candidates, sorted by exact distances."""
    known = index >= 0
    exact = np.full(distance.shape, np.inf)
    step = chunk_length(queries.shape[1] * index.shape[1], limit=2**19)
    for start in range(0, len(index), step):
        part = slice(start, start + step)
        query, column = np.nonzero(known[part])
        if len(query):
            needed, inverse = np.unique(index[part][query, column], return_inverse=True)
            exact[part][query, column] = row_distances(
                queries[part][query], rows(needed)[inverse]
            )
    # Break ties by a hash of the position.
    scattered = index.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    known = exact[np.isfinite(exact)]
    typical = (np.median(known) if len(known) else 1.0) or 1.0
    with np.errstate(over="ignore"):
        order = np.lexsort((scattered, (exact / typical).astype(np.float32)))
    return np.take_along_axis(exact, order, axis=1), np.take_along_axis(index, order, axis=1)


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
