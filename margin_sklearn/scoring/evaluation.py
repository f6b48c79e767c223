"""Margins of a network: at the samples, at points near them, and their distribution."""

import numpy as np
import torch
from sklearn.utils import check_consistent_length, check_random_state, column_or_1d

from ..checks import check_rows
from ..data.rows import chunk_length, take_rows
from ..neighborhoods.perturbed import distance_unit, pseudo_points
from ..scales.registry import SAMPLE_SIZES, get_scale

__all__ = [
    "DEFAULT",
    "check_samples",
    "margin_distribution",
    "margins_around",
    "margins_at",
]

# The settings of margin_auc_score: what benchmarks/rank.py found best on the tasks that it
# tunes on.
DEFAULT = {"scale": "distance", "at": "neighborhood", "floor": -0.07, "ceiling": 0.07}
# 200 rank networks worse there; more than these were not tried.
MAX_SAMPLES = 2000
# Numbers at most in the samples that a scale is settled on (256 MB of float32).
MAX_SAMPLE_NUMBERS = 2**26


def margin_distribution(
    network,
    X,
    index,
    weight=None,
    *,
    scale,
    at,
    floor=None,
    ceiling=None,
    max_samples=MAX_SAMPLES,
    noise_weight=False,
    random_state=0,
):
    """The margins that a score is the area of, their weights, and the bounds of the area.

    Parameters
    ----------
    network : Network
    X : array, DataFrame or sparse matrix of shape (n_samples, ...)
    index : ndarray of int of shape (n_samples,)
        Class indices.
    weight : ndarray of shape (n_samples,), default=None
    scale, at, floor, ceiling, max_samples, noise_weight, random_state
        As for :func:`make_margin_auc_scorer`.

    Returns
    -------
    margins : ndarray of float64 of shape (n_cases, n_points)
        One point a sample or, with ``at="neighborhood"``, several for each sample, where
        copies of one row with one label are one.
    weight : ndarray of shape (n_cases,) or None
    floor, ceiling : float or None
        In the units of the margins.
    """
    scaled = get_scale(scale)
    if at == "neighborhood":
        with network.evaluating():
            _known_labels(network, X, index)
        points = pseudo_points(network, X, index, max_samples, random_state)
        unit = points.neighborhood.distance
        values = margins_around(network, X, scaled, points)
        weight = points.weights(weight)
        if noise_weight:
            weight = weight * points.trust
    else:
        unit = 1.0
        if scale == "distance" and (floor is not None or ceiling is not None):
            unit = distance_unit(network, X)
        if max_samples is not None and len(index) > max_samples:
            random = check_random_state(random_state)
            chosen = np.sort(random.choice(len(index), int(max_samples), replace=False))
            X, index = take_rows(X, chosen), index[chosen]
            weight = None if weight is None else weight[chosen]
        values = margins_at(network, X, index, scaled)[:, None]
    # A distance means something only beside those between the samples.
    unit = unit if scale == "distance" else 1.0
    return (
        values,
        weight,
        None if floor is None else floor * unit,
        None if ceiling is None else ceiling * unit,
    )


def margins_at(network, X, index, scale):
    """Scaled margins at the samples.

    Parameters
    ----------
    network : Network
    X : array, DataFrame or sparse matrix of shape (n_samples, ...)
    index : ndarray of int of shape (n_samples,)
        Class indices.
    scale : callable
        One of ``scales.SCALES``.

    Returns
    -------
    margins : ndarray of float64 of shape (n_samples,)
    """
    result = np.empty(len(index))
    with network.evaluating():
        scaled, step = _start(network, X, index, scale)
        for start in range(0, len(index), step):
            rows = slice(start, start + step)
            x = network.inputs(take_rows(X, rows))
            result[rows] = scaled(x, x.new_tensor(index[rows], dtype=int)).cpu().numpy()
    _refuse_nan(network, X, np.isnan(result), np.arange(len(index)))
    return result


def margins_around(network, X, scale, points):
    """Scaled margins at the pseudo-points around the samples, with the samples' labels.

    Parameters
    ----------
    network, X, scale
        As for :func:`margins_at`.
    points : PseudoPoints

    Returns
    -------
    margins : ndarray of float64 of shape (n_cases, n_steps)
    """
    hood = points.neighborhood
    n_steps = hood.steps.shape[1]
    length = points.length * hood.distance
    result = np.empty((len(points.label), n_steps))
    with network.evaluating():
        scaled, step = _start(network, X, points.label, scale)
        step = max(1, step // n_steps)
        for start in range(0, len(result), step):
            cases = slice(start, start + step)
            anchors = points.anchor[cases]
            x = network.inputs(take_rows(X, hood.anchors[anchors]))
            moves = torch.from_numpy(hood.steps[anchors]).to(x)
            moves = moves.reshape(len(x), n_steps, *x.shape[1:])
            around = (x[:, None] + length * moves).flatten(0, 1)
            y = x.new_tensor(points.label[cases], dtype=int).repeat_interleave(n_steps)
            result[cases] = scaled(around, y).cpu().numpy().reshape(-1, n_steps)
    _refuse_nan(network, X, np.isnan(result).any(axis=1), hood.anchors[points.anchor])
    return result


def _start(network, X, index, scale):
    """The scale for this network, and how many samples to take at a time."""
    example = _known_labels(network, X, index)
    sample = example
    n = X.shape[0]
    most = max(2, MAX_SAMPLE_NUMBERS // max(1, example.numel()))
    size = min(SAMPLE_SIZES.get(scale, 1), n, most)
    if size > 1:
        # Evenly spaced, so that no chance is in it; all of them, if that is not too many.
        sample = network.inputs(take_rows(X, np.arange(size) * n // size))
    # A network may be far wider than its input: an eighth of what the input alone allows.
    return scale(network, sample), chunk_length(example.numel(), limit=2**18)


def _known_labels(network, X, index):
    """The first input, if the network has an output for each of the class indices."""
    example = network.inputs(take_rows(X, slice(0, 1)))
    with torch.no_grad():
        n_outputs = network.logits(example).shape[1]
    if index.min() < 0 or index.max() >= n_outputs:
        bad = index.min() if index.min() < 0 else index.max()
        raise ValueError(f"y holds label {bad}, but the network has {n_outputs} outputs.")
    return example


def _refuse_nan(network, X, bad, positions):
    """Say what is not a number: the weights, the inputs' size, or the network's doing."""
    if not bad.any():
        return
    position = positions[bad.argmax()]
    x = network.inputs(take_rows(X, [position]))
    if not all(torch.isfinite(value).all() for value in network.module.state_dict().values()):
        reason = "its weights are not finite, as after a fit that diverged"
    elif x.abs().max() > 1e6:
        reason = (
            f"its input there is as large as {x.abs().max().item():.3g}, which may leave the "
            "range of its numbers: scale the columns, for instance with StandardScaler"
        )
    else:
        reason = "its logits or their gradient are infinite or NaN there"
    raise ValueError(f"The network gives NaN for sample {position}: {reason}.")


def check_samples(network, X, y):
    """The user's X and y as the other functions of this module take them.

    Parameters
    ----------
    network : Network
    X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)
    y : array-like of shape (n_samples,)

    Returns
    -------
    X : array, DataFrame, sparse CSR matrix or tensor
        With rows to slice, as the transformers of a Pipeline make them of all rows at once;
        otherwise its values are not looked at.
    index : ndarray of int of shape (n_samples,)
        Class indices.

    Raises
    ------
    ValueError
        If lengths differ, there is no sample, or a label is unknown to the network.
    """
    check_rows("X", X)
    if not hasattr(X, "shape"):
        X = np.asarray(X)
    check_consistent_length(X, y)
    if X.shape[0] == 0:
        raise ValueError(
            f"Found array with 0 sample(s) (shape={tuple(X.shape)}) while a minimum of 1 is "
            "required."
        )
    if hasattr(X, "tocsr"):
        X = X.tocsr()
    y = column_or_1d(y)
    index = network.encode(y)
    X = network.transform(X)
    if hasattr(X, "tocsr"):
        X = X.tocsr()
    return X, index
