"""The data's local geometry, from the inputs alone."""

import numpy as np
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import NearestNeighbors

__all__ = ["neighbor_distance"]

# Neighbors asked for first: enough unless a sample has this many copies in a chunk.
N_COPIES = 8


def neighbor_distance(anchors, anchor_index, chunks):
    """Median distance of the anchors to their nearest neighbor among all samples.

    Parameters
    ----------
    anchors : array or sparse matrix of shape (n_anchors, n_features)
        Some of the samples.
    anchor_index : ndarray of int of shape (n_anchors,)
        Their positions among all samples, so that none is its own neighbor.
    chunks : iterable of (start, array or sparse matrix of shape (n_chunk, n_features))
        All samples, piece by piece, with the position of each piece.

    Returns
    -------
    distance : float
        Copies of a sample (distance 0) are not its neighbors.

    Raises
    ------
    ValueError
        If no anchor has a neighbor at a distance above 0.
    """
    # Brute force computes |a|² - 2ab + |b|²: what it leaves of a duplicate is rounding.
    squares = anchors.multiply(anchors) if hasattr(anchors, "multiply") else anchors**2
    duplicate = 1e-6 * np.sqrt(np.asarray(squares.sum(axis=1)).ravel())[:, None]
    nearest = np.full(anchors.shape[0], np.inf)
    for start, rows in chunks:
        search = NearestNeighbors(n_neighbors=min(N_COPIES, rows.shape[0]), algorithm="brute")
        distance, index = search.fit(rows).kneighbors(anchors)
        distance[(index + start == anchor_index[:, None]) | (distance <= duplicate)] = np.inf
        found = distance.min(axis=1)
        # Nothing but copies of itself: look at all of the chunk.
        crowded = np.isinf(found) & (distance.shape[1] < rows.shape[0])
        if crowded.any():
            every = pairwise_distances(anchors[crowded], rows)
            every[every <= duplicate[crowded]] = np.inf
            found[crowded] = every.min(axis=1)
        nearest = np.minimum(nearest, found)
    distinct = nearest[np.isfinite(nearest)]
    if len(distinct) == 0:
        raise ValueError(
            f"No two different samples among {anchors.shape[0]}: there is no distance between "
            "neighbors to measure floor and ceiling by. Score more samples, or set "
            "floor=None and ceiling=None."
        )
    return float(np.median(distinct))
