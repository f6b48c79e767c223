r"""Steps from samples to other plausible inputs nearby, from the inputs alone.

The :math:`k` nearest neighbors of a sample :math:`x_i` reconstruct a point :math:`c_i` near
it, up to a residual :math:`\rho_i = x_i - c_i`. A *step* :math:`u = \rho_j - \rho_i` replaces
this residual with that of one of the neighbors (a local bootstrap of residuals): the point
:math:`x_i + u` is as far from the reconstruction as another sample of the neighborhood is
from its own, but is no longer the sample that the network was trained on.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse
from scipy.special import gammaincinv

from ..data.rows import chunk_length
from .combined_steps import CombinedSteps
from .distinct import evenly, median_distance
from .neighbors import nearest_neighbors

__all__ = ["Neighborhood", "local_neighborhood"]

# Numbers of neighbors to reconstruct from; the data determine which is used.
N_NEIGHBORS = (3, 4, 5, 6, 8, 10, 12, 16)
# Share of the neighbors' mean squared distance that regularises the reconstruction.
RIDGE = 0.1
# Anchors from which the number of neighbors is chosen: enough for a median.
N_PILOT = 100
# With a factor on the steps further from 1, they would consist of rounding errors.
FARTHEST = 5
# With at least so many anchors, steps exchange the residuals of anchors where they can: the
# neighbors of other samples need not be found.
N_DONORS = 1000


@dataclass(frozen=True)
class Neighborhood:
    """Steps from samples into their neighborhoods.

    Attributes
    ----------
    anchors : ndarray of int of shape (n_anchors,)
        Positions, among all samples, of those that the steps start from.
    steps : ndarray of float32, or CombinedSteps, of shape (n_anchors, n_steps, n_features)
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
    steps: np.ndarray | CombinedSteps
    distance: float
    spread: float
    neighbors: np.ndarray


def local_neighborhood(rows, n_samples, anchors, n_steps=8, *, n_total=None, combine=False):
    r"""Steps from the anchors into their neighborhoods among all samples.

    The weights of :math:`c_i = \sum_j w_{ij} x_j` over the :math:`k` nearest neighbors are
    those of locally linear embedding (Roweis and Saul 2000,
    doi:10.1126/science.290.5500.2323):

    .. math:: \Bigl(G_i + 0.1\, \frac{\operatorname{tr} G_i}{k} I\Bigr) w_i \propto 1,
              \qquad \sum_j w_{ij} = 1,

    with :math:`G_i` the Gram matrix of the neighbors relative to :math:`x_i`. There is one
    step per neighbor or, with fewer than :math:`k` steps, one for each of several neighbors
    evenly spaced in rank: nothing is random. (From 1,000 anchors on, the anchor nearest in
    rank takes the place of a neighbor that is none.) All steps are multiplied by one factor so
    that their median length is the median distance of an anchor to its nearest
    neighbor; of the candidates from 3 to 16, :math:`k` is the one for which this factor is
    nearest to 1. If it is above 5 or below 1/5 for all of them, as on a regular grid,
    :math:`c_i` is 0 and the steps lead to the four nearest neighbors.

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
    n_total : int, default=None
        Number of samples that these are some of; ``distance`` is that among all of them, by
        :func:`denser`.
    combine : bool, default=False
        Whether steps are returned as :class:`CombinedSteps` of the samples' weights, whose
        ``of`` gives the steps.

    Returns
    -------
    neighborhood : Neighborhood
    """
    table = _Table(rows, n_samples)
    near = table.learn(anchors)
    unit = float(np.median(near[:, 0]))
    donors = _donors(table, anchors)
    pilot = evenly(len(anchors), N_PILOT)
    largest = min(N_NEIGHBORS[-1], n_samples - 1)
    choices = [k for k in N_NEIGHBORS if k <= largest] or [largest]
    lengths = _pilot_lengths(table, donors, anchors, pilot, choices, n_steps)
    away = [abs(np.log(unit / length)) if length > 0 else np.inf for length in lengths]
    k = choices[int(np.argmin(away))]
    explained = min(away) > np.log(FARTHEST)
    if explained:
        # On a regular grid the neighbors reconstruct a sample exactly, and the residual is
        # rounding or due to the grid's edge: then the steps lead to the neighbors themselves.
        k = min(N_NEIGHBORS[1], largest)
    chosen = donors[:, _ranks(k, n_steps)]
    table.learn(np.unique(chosen))
    make = table.combinations if combine else table.steps
    steps = make(anchors, chosen, 0 if explained else k)
    length = table.median_length(steps)
    if combine:
        steps = steps.scaled(1 / (length or 1.0))
    elif length > 0:
        steps /= np.float32(length)
    if n_total is not None:
        unit *= denser(near, n_samples, n_total)
    return Neighborhood(
        anchors,
        steps,
        unit,
        median_distance(rows(anchors[pilot])),
        table.neighbors_of(anchors),
    )


def denser(distances, n_samples, n_total):
    r"""Factor on the distance to the nearest neighbor if there were more samples like these.

    Around a sample of a distribution of dimension :math:`d`, the :math:`k`-th power of the
    distance to the :math:`k`-th neighbor is, for all :math:`k`, in proportion to a variable of
    the gamma distribution of shape :math:`k`. So the medians for the first and the last
    neighbor give :math:`d`, and the factor is :math:`(n / n_\text{total})^{1/d}`.

    Parameters
    ----------
    distances : ndarray of shape (n_queries, n_neighbors)
        Among ``n_samples`` samples, increasing.
    n_samples, n_total : int

    Returns
    -------
    factor : float
        At most 1.

    Examples
    --------
    Samples on a line, four times as many:

    >>> import numpy as np
    >>> from margin_sklearn.neighborhoods import nearest_neighbors
    >>> from margin_sklearn.neighborhoods.residual_steps import denser
    >>> line = np.random.default_rng(0).uniform(size=(2000, 1))
    >>> near, _ = nearest_neighbors(line.__getitem__, 2000, np.arange(2000), 16)
    >>> round(denser(near, 2000, 8000), 2)
    0.25
    """
    if n_total <= n_samples:
        return 1.0
    first, last = np.median(distances[:, 0]), np.median(distances[:, -1])
    if not 0 < first < last < np.inf:
        return 1.0
    shapes = gammaincinv([1, distances.shape[1]], 0.5)
    dimension = np.log(shapes[1] / shapes[0]) / np.log(last / first)
    return float((n_samples / n_total) ** (1 / dimension))


def _ranks(k, n_steps):
    """Ranks of those of the k nearest neighbors that get a step."""
    return evenly(k, n_steps)


def _donors(table, anchors):
    """The neighbors of each anchor; one that is no anchor gives way to the next that is one.

    That is the anchor nearest in rank, if there is one among the neighbors.
    """
    neighbors = table.neighbors_of(anchors)
    n, n_neighbors = neighbors.shape
    if not N_DONORS <= n < table.n_samples:
        return neighbors
    is_anchor = np.zeros(table.n_samples, dtype=bool)
    is_anchor[anchors] = True
    unwanted = np.where(is_anchor[neighbors], 0, n_neighbors)
    ranks = np.arange(n_neighbors)
    nearest = np.empty_like(neighbors)
    for rank in ranks:
        # Without any anchor, the neighbor itself.
        nearest[:, rank] = (unwanted + np.abs(ranks - rank)).argmin(axis=1)
    return np.take_along_axis(neighbors, nearest, axis=1)


def _pilot_lengths(table, donors, anchors, pilot, choices, n_steps):
    """Median length of the steps of some anchors for each number of neighbors."""
    chosen = [donors[pilot][:, _ranks(k, n_steps)] for k in choices]
    some = anchors[pilot]
    needed = np.unique(np.concatenate([some, *(part.ravel() for part in chosen)]))
    table.learn(needed)
    lengths = []
    for part, residuals in zip(chosen, table.residuals(needed, choices), strict=True):
        own = residuals[np.searchsorted(needed, some)]
        steps = residuals[np.searchsorted(needed, part)] - own[:, None]
        lengths.append(table.median_length(steps))
    return lengths


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

    def steps(self, anchors, chosen, k):
        """Differences of residuals, of shape (n_anchors, n_ranks, n_features), unscaled.

        With ``k=0`` nothing is reconstructed: they are differences between samples.
        """
        needed = np.union1d(anchors, chosen)
        if k == 0:
            residuals = np.asarray(_dense(self.rows(needed)), dtype=np.float32)
        else:
            (residuals,) = self.residuals(needed, [k])
        own = residuals[np.searchsorted(needed, anchors)]
        return residuals[np.searchsorted(needed, chosen)] - own[:, None]

    def combinations(self, anchors, chosen, k):
        """The same as :meth:`steps`, as combinations of the samples."""
        needed = np.union1d(anchors, chosen)
        n = len(needed)
        weights = np.concatenate([found for _, _, (found,) in self._blocks(needed, [k])])
        at = np.repeat(np.arange(n), 1 + k)
        of = np.concatenate([needed[:, None], self.neighbors_of(needed)[:, :k]], axis=1)
        values = np.concatenate([np.ones((n, 1)), -weights], axis=1)
        residuals = scipy.sparse.csr_array(
            (values.ravel(), (at, of.ravel())), shape=(n, self.n_samples)
        )
        return CombinedSteps(
            residuals, np.searchsorted(needed, anchors), np.searchsorted(needed, chosen)
        )

    def residuals(self, positions, choices):
        """Residuals of some samples for several numbers of neighbors: float32 arrays."""
        width = self.rows(slice(0, 1)).shape[1]
        result = [np.empty((len(positions), width), dtype=np.float32) for _ in choices]
        for part, around, weights in self._blocks(positions, choices):
            for found, weight in zip(result, weights, strict=True):
                # The weights sum to one, so this is x - Σ w (neighbor).
                nearest = around[:, : weight.shape[1]]
                found[part] = -np.matmul(weight[:, None], nearest)[:, 0]
        return result

    def _blocks(self, positions, choices):
        """Neighbors, relative to the sample, and their weights, block by block."""
        width, largest = self.rows(slice(0, 1)).shape[1], max(choices)
        # Only one block's neighbors are in memory at a time, twice.
        step = chunk_length(width * max(1, largest), limit=2**19)
        for start in range(0, len(positions), step):
            part = slice(start, start + step)
            block = positions[part]
            neighbors = self.neighbors_of(block)[:, :largest]
            unique, inverse = np.unique(neighbors, return_inverse=True)
            around = _dense(self.rows(unique))[inverse.reshape(neighbors.shape)]
            around -= _dense(self.rows(block))[:, None]
            gram = around @ around.transpose(0, 2, 1)
            yield part, around, [gram_weights(gram[:, :k, :k]) for k in choices]

    def median_length(self, steps):
        """Median length of steps, or of what these combinations of the samples are."""
        if not isinstance(steps, CombinedSteps):
            return np.median(np.linalg.norm(steps, axis=2))
        steps = steps.of(self.rows(slice(0, self.n_samples)))
        size = chunk_length(steps.shape[1] * steps.shape[2])
        parts = (slice(at, at + size) for at in range(0, steps.shape[0], size))
        return np.median(np.concatenate([np.linalg.norm(steps[p], axis=2) for p in parts]))


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
    return gram_weights(around @ around.transpose(0, 2, 1))


def gram_weights(gram):
    """The same weights from the neighbors' inner products.

    Parameters
    ----------
    gram : ndarray of shape (n_samples, k, k)
        Not changed.

    Returns
    -------
    weights : ndarray of shape (n_samples, k)
    """
    n, k, _ = gram.shape
    if k == 0:
        return np.empty((n, 0))
    trace = np.trace(gram, axis1=1, axis2=2)
    # If all neighbors coincide with the sample, they get equal weights.
    ridge = np.where(trace > 0, RIDGE * trace / k, 1.0)
    gram = gram + ridge[:, None, None] * np.eye(k)
    weights = np.linalg.solve(gram, np.ones((n, k, 1)))[..., 0]
    return weights / weights.sum(axis=1, keepdims=True)


def _dense(rows):
    return np.asarray(rows.toarray() if hasattr(rows, "toarray") else rows)
