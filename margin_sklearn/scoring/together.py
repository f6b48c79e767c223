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
    return [
        None if np.isnan(own).any() else MarginDistribution(own, points.weight, floor, ceiling)
        for own in values
    ]


def scores_together(scorer, estimators, X, y, sample_weight=None):
    """Scores of fitted networks, computed as one where that is possible.

    Parameters
    ----------
    scorer : callable
        ``scorer(estimator, X, y)``, such as ``margin_auc_score``.
    estimators : list of estimator
        Fitted; they see the same inputs for the same X.
    X, y, sample_weight
        As for the scorer; ``sample_weight`` is not passed on if it is None.

    Returns
    -------
    scores : list of float or Exception
        One per estimator; the error that its own scoring raised.
    """
    weighting = {} if sample_weight is None else {"sample_weight": sample_weight}

    def alone(estimator):
        try:
            return scorer(estimator, X, y, **weighting)
        except Exception as error:
            return error

    found = [None] * len(estimators)
    if len(estimators) > 1 and isinstance(scorer, MarginAUCScorer):
        settings = scorer.settings()
        if settings.scale == "distance":
            found = _distributions(estimators, X, y, sample_weight, settings)
    return [
        alone(estimator)
        # Infinite margins are explained by the scorer's own warning.
        if distribution is None or distribution.n_infinite()
        else distribution.auc()
        for estimator, distribution in zip(estimators, found, strict=True)
    ]


def _distributions(estimators, X, y, sample_weight, settings):
    """Distributions where they can be computed together, else None for each."""
    nothing = [None] * len(estimators)
    try:
        networks = [as_network(estimator) for estimator in estimators]
        keys = {architecture(network.module) for network in networks}
        # Modules of equal shapes that are not known layers may compute different things.
        if len(keys) != 1 or None in keys or layers_key(networks[0].module) is None:
            return nothing
        rows, class_index = encode_samples(networks[0], X, y)
        weight = sample_weight
        if weight is not None:
            weight = check_sample_weight(weight, len(class_index))
        return distributions_together(networks, rows, class_index, weight, settings)
    except (TypeError, ValueError):
        # Raised again, one by one.
        return nothing
