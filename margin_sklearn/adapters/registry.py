"""The function as_network and the registration of the estimators that it supports."""

from collections.abc import Iterable
from dataclasses import replace
from functools import singledispatch
from typing import Any

from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.pipeline import Pipeline

from .network import Network
from .unwrap import inside, unfitted_search

__all__ = ["as_network", "supported"]


@singledispatch
def as_network(estimator: Any) -> Network:
    """Convert a fitted estimator to a :class:`Network`.

    Supported are MarginClassifier, MarginSubsetSelector, skorch nets, and the linear
    classifiers and MLPClassifier of scikit-learn: alone, as the last step of a Pipeline, in a
    FrozenEstimator, or as the best estimator of a fitted search. The function is a
    :func:`functools.singledispatch` function. :func:`margin_sklearn.margins`, the scorers and
    the displays call it, so they all accept an estimator of your own once you have registered
    a function for its class.

    Parameters
    ----------
    estimator : estimator
        Fitted.

    Returns
    -------
    network : Network

    Raises
    ------
    TypeError
        If the class of the estimator is not supported, or if its outputs do not determine
        logits.
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.

    Examples
    --------
    Register an estimator of your own, with a ``module_`` that returns logits:

    >>> import numpy as np
    >>> import torch
    >>> from margin_sklearn import margins
    >>> from margin_sklearn.adapters import Network, as_network
    >>> class Threshold:
    ...     module_ = torch.nn.Linear(1, 1)
    >>> @as_network.register(Threshold)
    ... def _(estimator):
    ...     return Network(estimator.module_, prepare=np.asarray, encode=np.asarray)
    >>> margins(Threshold(), [[0.0], [1.0]], [0, 1]).shape
    (2,)
    """
    inner = inside(estimator)
    if inner is not None:
        return as_network(inner)
    raise TypeError(
        f"Margins cannot be taken from {type(estimator).__name__}"
        f"{unfitted_search(estimator)}. {supported()}"
    )


def supported() -> str:
    """Sentence for error messages that lists the estimators registered at present.

    Returns
    -------
    sentence : str
    """
    wrappers = (object, type, Pipeline, FrozenEstimator, *_THRESHOLDS)
    names = sorted({kind.__name__ for kind in as_network.registry} - _names(wrappers))
    return (
        f"Supported are {', '.join(names)}: alone, as the last step of a Pipeline, in a "
        "FrozenEstimator or in a fitted search such as GridSearchCV. Register other "
        "estimators with margin_sklearn.adapters.as_network."
    )


def _names(kinds: Iterable[type]) -> set[str]:
    return {kind.__name__ for kind in kinds}


@as_network.register(type)
def _(estimator):
    raise TypeError(f"Pass a fitted estimator, not the class {estimator.__name__}.")


@as_network.register(Pipeline)
def _(pipeline):
    last = inside(pipeline)
    if last is None or (isinstance(last, str) and last == "passthrough"):
        raise TypeError(
            "Margins cannot be taken from a Pipeline whose last step is 'passthrough'. "
            f"{supported()}"
        )
    network = as_network(last)
    transformers = [
        step
        for _, step in pipeline.steps[:-1]
        # The samplers of imbalanced-learn are not applied in prediction.
        if step is not None and step != "passthrough" and hasattr(step, "transform")
    ]
    return replace(network, transformers=(*transformers, *network.transformers))


_THRESHOLDS = (FixedThresholdClassifier, TunedThresholdClassifierCV)


@as_network.register(FixedThresholdClassifier)
@as_network.register(TunedThresholdClassifierCV)
def _(estimator):
    raise TypeError(
        f"{type(estimator).__name__} predicts with a threshold of its own, which the margins "
        "of its inner estimator do not take into account: pass its estimator_."
    )
