"""The data's local geometry, from the inputs alone."""

import numpy as np
from sklearn.neighbors import NearestNeighbors

__all__ = ["neighbor_distance"]


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
        Duplicates (distance 0) are left out of the median.

    Raises
    ------
    ValueError
        If no anchor has a neighbor at a distance above 0.
    """
    nearest = np.full(anchors.shape[0], np.inf)
    for start, rows in chunks:
        n_rows = rows.shape[0]
        search = NearestNeighbors(n_neighbors=min(2, n_rows), algorithm="brute").fit(rows)
        distance, index = search.kneighbors(anchors)
        distance[index + start == anchor_index[:, None]] = np.inf
        nearest = np.minimum(nearest, distance.min(axis=1))
    # Brute force computes |a|² - 2ab + |b|²: what it leaves of a duplicate is rounding.
    norms = anchors.multiply(anchors).sum(axis=1) if hasattr(anchors, "multiply") else None
    norms = np.sqrt(np.asarray((anchors**2).sum(axis=1) if norms is None else norms).ravel())
    distinct = nearest[np.isfinite(nearest) & (nearest > 1e-6 * norms)]
    if len(distinct) == 0:
        raise ValueError(
            f"No two different samples among {anchors.shape[0]}: there is no distance between "
            "neighbors to measure floor and ceiling by. Score more samples, or set "
            "floor=None and ceiling=None."
        )
    return float(np.median(distinct))
