"""Margin distributions of many networks of one architecture, computed as one."""

import numpy as np
import torch

from ..adapters.network import CHUNK
from ..data.rows import chunk_length
from ..neighborhoods.transformed_rows import TransformedRows
from ..nn.stacked_modules import StackedModules
from ..runtime import torch_threads
from ..scales.gradients import distance_together
from .distribution import POINTS, MarginDistribution, margin_distribution

__all__ = ["distributions_together"]


def distributions_together(networks, X, class_index, weight, settings):
    """The margin distributions of networks that see the same inputs.

    Parameters
    ----------
    networks : list of Network
        Whose modules have the same :func:`~margin_sklearn.nn.stacked_modules.architecture` and
        that prepare rows of X alike.
    X, class_index, weight, settings
        As for :func:`~margin_sklearn.scoring.distribution.margin_distribution`; the scale is
        "distance".

    Returns
    -------
    distributions : list of MarginDistribution or ValueError
        One per network; the error that its own evaluation would have raised.
    """
    first = networks[0]
    samples = TransformedRows(first, X)
    points = POINTS[settings.at].chosen(samples, class_index, weight, settings)
    example = points.examples(1)
    first.check_labels(example, points.label)
    modules = [network.module.eval() for network in networks]
    stack = StackedModules(modules)
    label = torch.from_numpy(points.label.repeat(points.n_points).astype(np.int64))
    label = label.to(example.device)
    values = np.empty((len(networks), len(points.label), points.n_points))
    step = max(1, chunk_length(example.numel() * len(stack), limit=CHUNK) // points.n_points)
    threads = first.n_threads if first.device.type == "cpu" else None
    with torch_threads(threads):
        for start in range(0, len(points.label), step):
            chunk = slice(start, min(start + step, len(points.label)))
            y = label[chunk.start * points.n_points : chunk.stop * points.n_points]
            found = distance_together(stack, points.inputs(chunk), y)
            values[:, chunk] = found.cpu().numpy().reshape(len(stack), -1, points.n_points)
    floor, ceiling = (
        None if bound is None else bound * points.unit
        for bound in (settings.floor, settings.ceiling)
    )
    distributions = []
    for network, own in zip(networks, values, strict=True):
        if np.isnan(own).any():
            # One by one, for its error message.
            distributions.append(_alone(network, X, class_index, weight, settings))
        else:
            distributions.append(MarginDistribution(own, points.weight, floor, ceiling))
    return distributions


def _alone(network, X, class_index, weight, settings):
    try:
        return margin_distribution(network, X, class_index, weight, settings)
    except ValueError as error:
        return error
