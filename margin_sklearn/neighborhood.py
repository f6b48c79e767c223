r"""The data's local geometry, from the inputs alone: where else could a sample have been?

Every sample :math:`x_i` is near a point :math:`c_i` that its :math:`k` nearest neighbors
reconstruct, and leaves a residual :math:`\rho_i = x_i - c_i` that they do not. A *step*
:math:`u = \rho_j - \rho_i` exchanges its residual for that of one of its neighbors: a local
bootstrap of residuals, so that :math:`x_i + u` is as far off the reconstruction as another
sample of the neighborhood, and no longer at the sample that was learned.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import check_random_state

from .batches import chunk_length

__all__ = ["Neighborhood", "local_neighborhood", "nearest_neighbors", "neighbor_distance"]

# Neighbors asked for beyond those wanted, in case of copies.
N_COPIES = 8
# Numbers of neighbors to reconstruct from; which of them is settled by the data.
N_NEIGHBORS = (3, 4, 5, 6, 8, 10, 12, 16)
# Anchors by which it is settled: enough for a median.
N_PILOT = 200
# Share of the neighbors' mean squared distance that regularises the reconstruction.
RIDGE = 0.1
MAX_DISTANCES = 2**21


@dataclass(frozen=True)
class Neighborhood:
    """Steps from samples into their neighborhoods.

    Attributes
    ----------
    anchors : ndarray of int of shape (n_anchors,)
        Positions of the samples, among all, that the steps start from.
    steps : ndarray of float32 of shape (n_anchors, n_draws, n_features)
        Scaled by one factor so that their median length is ``distance``.
    distance : float
        Median distance of an anchor to its nearest neighbor, in units of the inputs.
    spread : float
        Median distance between two different anchors, in the same units; 0 if there are none.
    neighbors : ndarray of int of shape (n_anchors, n_neighbors)
        Positions of the nearest neighbors of each anchor, the nearest first.
    """

    anchors: np.ndarray
    steps: np.ndarray
    distance: float
    spread: float
    neighbors: np.ndarray


def local_neighborhood(rows, n_samples, anchors, n_draws=2, random_state=0):
    r"""Steps from the anchors into their neighborhoods among all samples.

    The weights of :math:`c_i = \sum_j w_{ij} x_j` over the :math:`k` nearest neighbors are
    those of locally linear embedding (Roweis and Saul 2000,
    doi:10.1126/science.290.5500.2323):

    .. math:: \Bigl(G_i + 0.1\, \frac{\operatorname{tr} G_i}{k} I\Bigr) w_i \propto 1,
              \qquad \sum_j w_{ij} = 1,

    with :math:`G_i` the Gram matrix of the neighbors around :math:`x_i`. For each anchor,
    ``n_draws`` of its neighbors :math:`j` are drawn at random. All steps are multiplied by one
    factor that brings their median length to the median distance of an anchor to its nearest
    neighbor; :math:`k` is the one of 3 to 16 for which this factor is nearest to 1. Copies of
    a sample are not its neighbors.

    Parameters
    ----------
    rows : callable
        ``rows(index)``, index a slice or an array of positions, gives the samples there: array
        of shape (n, n_features) or sparse matrix.
    n_samples : int
    anchors : ndarray of int of shape (n_anchors,)
        Increasing positions.
    n_draws : int, default=2
    random_state : int or RandomState instance, default=0

    Returns
    -------
    neighborhood : Neighborhood

    Raises
    ------
    ValueError
        If no two samples differ.
    """
    random = check_random_state(random_state)
    table = _Table(rows, n_samples)
    distance = table.learn(anchors)[:, 0]
    if not np.isfinite(distance).any():
        raise ValueError(_ALL_EQUAL.format(n=len(anchors)))
    unit = float(np.median(distance[np.isfinite(distance)]))
    pilot = anchors
    if len(anchors) > N_PILOT:
        pilot = np.sort(random.choice(anchors, N_PILOT, replace=False))
    draws = random.random_sample((len(anchors), n_draws))
    of_pilot = draws[np.searchsorted(anchors, pilot)]
    largest = min(N_NEIGHBORS[-1], table.n_known_neighbors(pilot))
    choices = [k for k in N_NEIGHBORS if k <= largest] or [largest]
    if len(choices) > 1:
        table.learn(np.unique(table.neighbors_of(pilot)[:, :largest]))
    lengths = [_median_length(table.steps(pilot, of_pilot, k)) for k in choices]
    # Where steps vanish (a regular grid), no factor brings them to any length.
    away = [abs(np.log(unit / length)) if length > 0 else np.inf for length in lengths]
    k = choices[int(np.argmin(away))]
    table.learn(np.unique(_drawn(table.neighbors_of(anchors), draws, k)))
    steps = table.steps(anchors, draws, k)
    length = _median_length(steps)
    if length > 0:
        steps *= np.float32(unit / length)
    some = rows(pilot)
    between = pairwise_distances(some)[np.triu_indices(len(pilot), 1)]
    # Of copies, rounding leaves a distance that is no distance.
    between = between[between > 1e-3 * unit]
    return Neighborhood(
        anchors,
        steps,
        unit,
        float(np.median(between)) if len(between) else 0.0,
        table.neighbors_of(anchors),
    )


def nearest_neighbors(queries, positions, chunks, n_neighbors):
    """The nearest other samples of each query, copies of it left out.

    Parameters
    ----------
    queries : array or sparse matrix of shape (n_queries, n_features)
        Some of the samples.
    positions : ndarray of int of shape (n_queries,)
        Their positions among all samples, so that none is its own neighbor.
    chunks : iterable of (start, array or sparse matrix of shape (n_chunk, n_features))
        All samples, piece by piece, with the position of each piece.
    n_neighbors : int

    Returns
    -------
    distance : ndarray of float64 of shape (n_queries, n_neighbors)
        Increasing; ``inf`` where there are fewer.
    index : ndarray of int of shape (n_queries, n_neighbors)
        Their positions; -1 where there are fewer.
    """
    # Brute force computes |a|² - 2ab + |b|²: what it leaves of a duplicate is rounding.
    squares = queries.multiply(queries) if hasattr(queries, "multiply") else queries**2
    duplicate = 1e-6 * np.sqrt(np.asarray(squares.sum(axis=1)).ravel())[:, None]
    n = queries.shape[0]
    distance = np.full((n, n_neighbors), np.inf)
    index = np.full((n, n_neighbors), -1)
    for start, rows in chunks:
        wanted = min(n_neighbors + N_COPIES, rows.shape[0])
        search = NearestNeighbors(n_neighbors=wanted, algorithm="brute").fit(rows)
        near, where = search.kneighbors(queries)
        near[(where + start == positions[:, None]) | (near <= duplicate)] = np.inf
        # Next to nothing but copies of itself: look at all of the chunk.
        crowded = np.isfinite(near).sum(axis=1) < min(n_neighbors, rows.shape[0])
        if crowded.any() and wanted < rows.shape[0]:
            every = pairwise_distances(queries[crowded], rows)
            every[every <= duplicate[crowded]] = np.inf
            order = every.argsort(axis=1, kind="stable")[:, :wanted]
            where[crowded] = order
            near[crowded] = np.take_along_axis(every, order, axis=1)
            near[crowded] = np.where(
                where[crowded] + start == positions[crowded][:, None], np.inf, near[crowded]
            )
        better = near.min(axis=1) < distance[:, -1]
        both = np.concatenate([distance[better], near[better]], axis=1)
        found = np.concatenate([index[better], where[better] + start], axis=1)
        order = both.argsort(axis=1, kind="stable")[:, :n_neighbors]
        distance[better] = np.take_along_axis(both, order, axis=1)
        index[better] = np.take_along_axis(found, order, axis=1)
    index[np.isinf(distance)] = -1
    return distance, index


def neighbor_distance(anchors, anchor_index, chunks):
    """Median distance of the anchors to their nearest neighbor among all samples.

    Parameters
    ----------
    anchors, anchor_index, chunks
        As ``queries``, ``positions`` and ``chunks`` of :func:`nearest_neighbors`.

    Returns
    -------
    distance : float
        Copies of a sample (distance 0) are not its neighbors.

    Raises
    ------
    ValueError
        If no anchor has a neighbor at a distance above 0.
    """
    distance, _ = nearest_neighbors(anchors, anchor_index, chunks, 1)
    distinct = distance[np.isfinite(distance)]
    if len(distinct) == 0:
        raise ValueError(_ALL_EQUAL.format(n=anchors.shape[0]))
    return float(np.median(distinct))


_ALL_EQUAL = (
    "No two different samples among {n}: they have no neighborhood, no distance to measure "
    "by. Give more samples; or score with at='samples', floor=None and ceiling=None, or fit "
    "with restore_best=None."
)


class _Table:
    """Nearest neighbors of the samples they were asked for, so far."""

    def __init__(self, rows, n_samples):
        self.rows = rows
        self.n_samples = n_samples
        self.positions = np.empty(0, dtype=int)
        self.neighbors = np.empty((0, N_NEIGHBORS[-1]), dtype=int)

    def learn(self, positions):
        """Find the neighbors of the samples at ``positions``; their distances, if new."""
        new = np.setdiff1d(positions, self.positions)
        if len(new) == 0:
            return None
        queries = self.rows(new)
        # Queries times chunk: the distances held at a time (16 MB; twice for sparse ones).
        limit = MAX_DISTANCES // (2 if hasattr(queries, "tocsr") else 1)
        step = max(64, min(chunk_length(queries.shape[1]), limit // len(new)))
        chunks = (
            (start, self.rows(slice(start, min(start + step, self.n_samples))))
            for start in range(0, self.n_samples, step)
        )
        distance, index = nearest_neighbors(queries, new, chunks, N_NEIGHBORS[-1])
        at = np.searchsorted(self.positions, new)
        self.positions = np.insert(self.positions, at, new)
        self.neighbors = np.insert(self.neighbors, at, index, axis=0)
        return distance

    def neighbors_of(self, positions):
        return self.neighbors[np.searchsorted(self.positions, positions)]

    def n_known_neighbors(self, positions):
        """As many as the sample with most of them has."""
        return int((self.neighbors_of(positions) >= 0).sum(axis=1).max())

    def steps(self, anchors, draws, k):
        """Differences of residuals, of shape (n_anchors, n_draws, n_features), unscaled."""
        drawn = _drawn(self.neighbors_of(anchors), draws, k)
        needed = np.union1d(anchors, drawn)
        residuals = self._residuals(needed, k)
        own = residuals[np.searchsorted(needed, anchors)]
        return residuals[np.searchsorted(needed, drawn)] - own[:, None]

    def _residuals(self, positions, k):
        width = self.rows(slice(0, 1)).shape[1]
        result = np.empty((len(positions), width), dtype=np.float32)
        # One block's neighbors at a time, held twice.
        step = chunk_length(width * k, limit=2**19)
        for start in range(0, len(positions), step):
            block = positions[start : start + step]
            x = _dense(self.rows(block))
            neighbors = _filled(self.neighbors_of(block)[:, :k], block)
            unique, inverse = np.unique(neighbors, return_inverse=True)
            around = _dense(self.rows(unique))[inverse.reshape(neighbors.shape)]
            around -= x[:, None]
            weights = reconstruction_weights(around)
            # The weights sum to one, so this is x - Σ w (neighbor).
            result[start : start + len(block)] = -np.einsum("ij,ijk->ik", weights, around)
        return result


def reconstruction_weights(around):
    """Weights, of sum 1, by which neighbors reconstruct the origin.

    Parameters
    ----------
    around : ndarray of shape (n_samples, k, n_features)
        Neighbors, relative to the sample.

    Returns
    -------
    weights : ndarray of shape (n_samples, k)
    """
    gram = around @ around.transpose(0, 2, 1)
    k = gram.shape[1]
    trace = np.trace(gram, axis1=1, axis2=2)
    # Where all neighbors lie on the sample itself, they share alike.
    ridge = np.where(trace > 0, RIDGE * trace / k, 1.0)
    gram[:, np.arange(k), np.arange(k)] += ridge[:, None]
    weights = np.linalg.solve(gram, np.ones((len(gram), k, 1)))[..., 0]
    return weights / weights.sum(axis=1, keepdims=True)


def _drawn(neighbors, draws, k):
    """Positions of those drawn among the first ``k`` neighbors, or as many as there are."""
    known = np.maximum(1, np.minimum(k, (neighbors >= 0).sum(axis=1)))
    rank = (draws * known[:, None]).astype(int)
    return np.take_along_axis(neighbors, rank, axis=1)


def _filled(neighbors, positions):
    """Missing neighbors replaced by those there are, over and over."""
    known = (neighbors >= 0).sum(axis=1)
    rank = np.arange(neighbors.shape[1]) % np.maximum(1, known)[:, None]
    filled = np.take_along_axis(neighbors, rank, axis=1)
    return np.where(filled < 0, positions[:, None], filled)


def _median_length(steps):
    return np.median(np.linalg.norm(steps, axis=2))


def _dense(rows):
    return np.asarray(rows.toarray() if hasattr(rows, "toarray") else rows, dtype=np.float64)
