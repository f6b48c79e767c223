"""Hashes of what fits and scores of a search depend on, to find them again in a folder."""

from typing import Any

import torch
from sklearn.pipeline import Pipeline

from ..runtime import resolve_device
from ..scoring.scorer import MarginAUCScorer
from ..storage.hashing import content_hash
from ..storage.sources import sources_of
from ..versions import versions_of_libraries
from .routing import routing_enabled
from .tasks import SearchData, Task

__all__ = ["data_key", "fit_key", "score_key", "weight_name"]


def data_key(data: SearchData) -> str:
    """Hash of the samples, the versions of the libraries and torch's default dtype.

    Parameters
    ----------
    data : SearchData

    Returns
    -------
    key : str

    Raises
    ------
    ValueError
        If the data cannot be pickled.
    """
    parts = (data.X, data.y, data.fit_params, data.pairwise)
    try:
        return content_hash(parts, versions_of_libraries(), str(torch.get_default_dtype()))
    except ValueError as error:
        raise ValueError(f"needs other data: {error}") from error


def score_key(scoring: Any, data: SearchData, split: int | None) -> str:
    """Hash of a scorer and of what it is given, in addition to what the fit depends on.

    Parameters
    ----------
    scoring : callable, str or None
        As given to the search; None is the estimator's own score.
    data : SearchData
    split : int or None
        As of :class:`~margin_sklearn.model_selection.tasks.Task`.

    Returns
    -------
    key : str

    Raises
    ------
    ValueError
        If the scorer has no source, so that it may have changed, or cannot be pickled.
    """
    try:
        sources = sources_of(scoring)
    except ValueError as error:
        raise ValueError(
            f"cannot tell whether scoring={scoring!r} has changed, because {error}."
        ) from error
    rows, params = None, data.margin_params
    if split is not None:
        rows, params = data.splits[split][1], data.score_params
    # margin_auc_score and its clones are the same scorer.
    known = scoring.get_params() if isinstance(scoring, MarginAUCScorer) else scoring
    try:
        return content_hash(known, sources, rows, params)
    except ValueError as error:
        raise ValueError(
            f"needs scorers that can be pickled, not {scoring!r}: {error}"
        ) from error


def fit_key(model: Any, network: Any, task: Task, data: SearchData, common: Any) -> str:
    """Hash of what a fit depends on.

    Parameters
    ----------
    model : estimator
        Not fitted, with the settings of the task.
    network : MarginClassifier
        The model or its last step.
    task : Task
    data : SearchData
    common : object
        What all fits of the search depend on, with the :func:`data_key`.

    Returns
    -------
    key : str

    Raises
    ------
    ValueError
        If another fit could have the same hash, or there is none.
    """
    if routing_enabled() or {*data.fit_params} - {weight_name(model)}:
        raise ValueError("metadata routing and fit parameters of a Pipeline are not hashed")
    rows = None if task.split is None else data.splits[task.split][0]
    device = str(resolve_device(network.device))
    sources = sources_of(model)
    try:
        return content_hash(common, model, sources, rows, device)
    except ValueError as error:
        raise ValueError(f"of a parameter: {error}") from error


def weight_name(model: Any) -> str:
    """Name of the sample weights among the keyword arguments of fit.

    Parameters
    ----------
    model : Pipeline or MarginClassifier

    Returns
    -------
    name : str
    """
    piped = type(model) is Pipeline
    return f"{model.steps[-1][0]}__sample_weight" if piped else "sample_weight"
