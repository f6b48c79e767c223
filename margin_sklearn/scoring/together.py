"""Margin distributions of many networks of one architecture, computed as one."""

import numpy as np
import torch

from ..adapters.network import CHUNK
from ..adapters.registry import as_network
from ..data.rows import chunk_length
from ..data.weights import check_sample_weight
from ..neighborhoods.transformed_rows import TransformedRows
from ..nn.stacked_layers import layers_key
from ..nn.stacked_modules import StackedModules, architecture
from ..runtime import torch_threads
from ..scales.gradients import distance_together
from .distribution import POINTS, MarginDistribution
from .evaluation import encode_samples
from .scorer import MarginAUCScorer

__all__ = ["distributions_together", "scores_together"]


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
    distributions : list of MarginDistribution or None
        One per network; None if it has margins that are not numbers.
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
    step = max(1, _rows_at_once(stack, example) // points.n_points)
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
    return [
        None if np.isnan(own).any() else MarginDistribution(own, points.weight, floor, ceiling)
        for own in values
    ]


def _rows_at_once(stack, example):
    width = example.numel()
    if example.device.type == "cpu":
        return chunk_length(len(stack) * width, limit=CHUNK)
    # Few large chunks: most of the time of a small one goes into launching its operations.
    shapes = [weight.shape[1:] for weight in stack.weights.values() if weight.ndim == 3]
    width = max([width, *(side for shape in shapes for side in shape)])
    return chunk_length(len(stack) * width, limit=16 * CHUNK)


def scores_together(scorer, estimators, X, y, sample_weight=None):
    """Scores of fitted networks, computed as one.

    Parameters
    ----------
    scorer : callable
        ``scorer(estimator, X, y)``, such as ``margin_auc_score``.
    estimators : list of estimator
        Fitted; they see the same inputs for the same X.
    X, y, sample_weight
        As for the scorer.

    Returns
    -------
    scores : list of float or None
        None if they have to be computed one by one: by another scorer than a
        MarginAUCScorer with ``scale="distance"``, of networks that are not sequences of the
        same known layers, or because one of them raises an error or a warning of its own.
    """
    if not isinstance(scorer, MarginAUCScorer):
        return None
    settings = scorer.settings()
    if settings.scale != "distance":
        return None
    try:
        networks = [as_network(estimator) for estimator in estimators]
        keys = {architecture(network.module) for network in networks}
        # Modules of equal shapes that are not known layers may compute different things.
        if len(keys) != 1 or None in keys or layers_key(networks[0].module) is None:
            return None
        rows, class_index = encode_samples(networks[0], X, y)
        if sample_weight is not None:
            sample_weight = check_sample_weight(sample_weight, len(class_index))
        found = distributions_together(networks, rows, class_index, sample_weight, settings)
    except (TypeError, ValueError):
        return None
    if any(each is None or each.n_infinite() for each in found):
        return None
    return [each.auc() for each in found]
