r"""Steps from samples to other plausible inputs nearby, from the inputs alone.

The :math:`k` nearest neighbors of a sample :math:`x_i` reconstruct a point :math:`c_i` near
it, up to a residual :math:`\rho_i = x_i - c_i`. A *step* :math:`u = \rho_j - \rho_i` replaces
this residual with that of one of the neighbors (a local bootstrap of residuals): the point
:math:`x_i + u` is as far from the reconstruction as another sample of the neighborhood is
from its own, but is no longer the sample that the network was trained on.
"""

from dataclasses import dataclass

import numpy as np

from ..data.rows import chunk_length
from .distinct import evenly, median_distance
from .neighbors import nearest_neighbors

__all__ = ["Neighborhood", "local_neighborhood"]

# Numbers of neighbors to reconstruct from; the data determine which is used.
N_NEIGHBORS = (3, 4, 5, 6, 8, 10, 12, 16)
# Share of the neighbors' mean squared distance that regularises the reconstruction.
RIDGE = 0.1
# Anchors from which the number of neighbors is chosen: enough for a median.
N_PILOT = 200
# With a factor on the steps further from 1, they would consist of rounding errors.
FARTHEST = 5


@dataclass(frozen=True)
class Neighborhood:
    """Steps from samples into their neighborhoods.

    Attributes
    ----------
    anchors : ndarray of int of shape (n_anchors,)
        Positions, among all samples, of those that the steps start from.
    steps : ndarray of float32 of shape (n_anchors, n_steps, n_features)
        In multiples of ``distance``: their median length is 1.
    distance : float
        Median distance of an anchor to its nearest neighbor.
    spread : float
        Median distance between two different anchors, in the same units; 0 if there is only
        one.
    neighbors : ndarray of int of shape (n_anchors, n_neighbors)
        Positions of each anchor's nearest neighbors, nearest first; -1 where there are fewer.
    """

    anchors: np.ndarray
    steps: np.ndarray
    distance: float
    spread: float
    neighbors: np.ndarray


def local_neighborhood(rows, n_samples, anchors, n_steps=8):
    r"""Steps from the anchors into their neighborhoods among all samples.

    The weights of :math:`c_i = \sum_j w_{ij} x_j` over the :math:`k` nearest neighbors are
    those of locally linear embedding (Roweis and Saul 2000,
    doi:10.1126/science.290.5500.2323):

    .. math:: \Bigl(G_i + 0.1\, \frac{\operatorname{tr} G_i}{k} I\Bigr) w_i \propto 1,
              \qquad \sum_j w_{ij} = 1,

    with :math:`G_i` the Gram matrix of the neighbors relative to :math:`x_i`. There is one
    step per neighbor or, with fewer than :math:`k` steps, one for each of several neighbors
    evenly spaced in rank: nothing is random. All steps are multiplied by one factor so that
    their median length is the median distance of an anchor to its nearest neighbor; of the
    candidates from 3 to 16, :math:`k` is the one for which this factor is nearest to 1. If it
    is above 5 or below 1/5 for all of them, as on a regular grid, :math:`c_i` is 0 and the
    steps lead to the four nearest neighbors.

    Parameters
    ----------
    rows : callable
        ``rows(index)``, with a slice or an array of positions, returns these samples: an
        array of shape (n, n_features) or a sparse matrix. No two samples are equal.
    n_samples : int
        At least 2.
    anchors : ndarray of int of shape (n_anchors,)
        Increasing positions.
    n_steps : int, default=8
        Largest number of steps per anchor.

    Returns
    -------
    neighborhood : Neighborhood
    """
    table = _Table(rows, n_samples)
    unit = float(np.median(table.learn(anchors)[:, 0]))
    pilot = anchors[evenly(len(anchors), N_PILOT)]
    largest = min(N_NEIGHBORS[-1], n_samples - 1)
    choices = [k for k in N_NEIGHBORS if k <= largest] or [largest]
    if len(choices) > 1:
        table.learn(np.unique(table.neighbors_of(pilot)[:, :largest]))
    lengths = [_median_length(table.steps(pilot, _ranks(k, n_steps), k)) for k in choices]
    away = [abs(np.log(unit / length)) if length > 0 else np.inf for length in lengths]
    k = choices[int(np.argmin(away))]
    explained = min(away) > np.log(FARTHEST)
    if explained:
        # On a regular grid the neighbors reconstruct a sample exactly, and the residual is
        # rounding or due to the grid's edge: then the steps lead to the neighbors themselves.
        k = min(N_NEIGHBORS[1], largest)
    ranks = _ranks(k, n_steps)
    table.learn(np.unique(table.neighbors_of(anchors)[:, ranks]))
    steps = table.steps(anchors, ranks, 0 if explained else k)
    length = _median_length(steps)
    if length > 0:
        steps /= np.float32(length)
    return Neighborhood(
        anchors, steps, unit, median_distance(rows(pilot)), table.neighbors_of(anchors)
    )


def _ranks(k, n_steps):
    """Ranks of those of the k nearest neighbors that get a step."""
    return evenly(k, n_steps)


class _Table:
    """Nearest neighbors of the samples queried so far."""

    def __init__(self, rows, n_samples):
        self.rows = rows
        self.n_samples = n_samples
        self.n_neighbors = min(N_NEIGHBORS[-1], n_samples - 1)
        self.positions = np.empty(0, dtype=int)
        self.neighbors = np.empty((0, self.n_neighbors), dtype=int)

    def learn(self, positions):
        """Find the neighbors of the samples at ``positions``; their distances, if new."""
        new = np.setdiff1d(positions, self.positions)
        if len(new) == 0:
            return None
        distance, index = nearest_neighbors(self.rows, self.n_samples, new, self.n_neighbors)
        at = np.searchsorted(self.positions, new)
        self.positions = np.insert(self.positions, at, new)
        self.neighbors = np.insert(self.neighbors, at, index, axis=0)
        return distance

    def neighbors_of(self, positions):
        return self.neighbors[np.searchsorted(self.positions, positions)]

    def steps(self, anchors, ranks, k):
        """Differences of residuals, of shape (n_anchors, n_ranks, n_features), unscaled.

        With ``k=0`` nothing is reconstructed: they are differences between samples.
        """
        chosen = self.neighbors_of(anchors)[:, ranks]
        needed = np.union1d(anchors, chosen)
        if k == 0:
            residuals = np.asarray(_dense(self.rows(needed)), dtype=np.float32)
        else:
            residuals = self._residuals(needed, k)
        own = residuals[np.searchsorted(needed, anchors)]
        return residuals[np.searchsorted(needed, chosen)] - own[:, None]

    def _residuals(self, positions, k):
        width = self.rows(slice(0, 1)).shape[1]
        result = np.empty((len(positions), width), dtype=np.float32)
        # Only one block's neighbors are in memory at a time, twice.
        step = chunk_length(width * k, limit=2**19)
        for start in range(0, len(positions), step):
            block = positions[start : start + step]
            x = _dense(self.rows(block))
            neighbors = self.neighbors_of(block)[:, :k]
            unique, inverse = np.unique(neighbors, return_inverse=True)
            around = _dense(self.rows(unique))[inverse.reshape(neighbors.shape)]
            around -= x[:, None]
            weights = reconstruction_weights(around)
            # The weights sum to one, so this is x - Σ w (neighbor).
            result[start : start + len(block)] = -np.einsum("ij,ijk->ik", weights, around)
        return result


def reconstruction_weights(around):
    """Weights, with sum 1, with which the neighbors reconstruct the origin.

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
    # If all neighbors coincide with the sample, they get equal weights.
    ridge = np.where(trace > 0, RIDGE * trace / k, 1.0)
    gram[:, np.arange(k), np.arange(k)] += ridge[:, None]
    weights = np.linalg.solve(gram, np.ones((len(gram), k, 1)))[..., 0]
    return weights / weights.sum(axis=1, keepdims=True)


def _median_length(steps):
    return np.median(np.linalg.norm(steps, axis=2))


def _dense(rows):
    return np.asarray(rows.toarray() if hasattr(rows, "toarray") else rows)
