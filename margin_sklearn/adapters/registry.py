"""as_network: any supported estimator as a network. Estimators register themselves with it."""

from dataclasses import replace
from functools import singledispatch

from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.pipeline import Pipeline

from .network import Network
from .unwrap import inside, unfitted_search

__all__ = ["as_network", "supported"]


@singledispatch
def as_network(estimator) -> Network:
    """The network inside a fitted estimator.

    A :func:`functools.singledispatch`: it knows MarginClassifier, MarginSubsetSelector, skorch
    nets, scikit-learn's linear classifiers and its MLPClassifier, alone, as the last step of a
    Pipeline, in a FrozenEstimator or found by a fitted search. Everything that takes margins
    (:func:`margin_sklearn.margins`, the scorers, the displays) goes through it, so they all
    take your estimator once you have registered a function for its class.

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
        If the estimator holds no network that margins can be taken from.
    sklearn.exceptions.NotFittedError
        If it is not fitted.

    Examples
    --------
    An estimator of your own, whose ``module_`` gives logits:

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


def supported():
    """Sentence that names the estimators that are registered now."""
    wrappers = (object, type, Pipeline, FrozenEstimator, *_THRESHOLDS)
    names = sorted({kind.__name__ for kind in as_network.registry} - _names(wrappers))
    return (
        f"Supported are {', '.join(names)}, alone, as the last step of a Pipeline, in a "
        "FrozenEstimator or inside a fitted search such as GridSearchCV; others can be "
        "registered with margin_sklearn.adapters.as_network."
    )


def _names(kinds):
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
        # imbalanced-learn's samplers have no part in prediction.
        if step is not None and step != "passthrough" and hasattr(step, "transform")
    ]
    return replace(network, transformers=(*transformers, *network.transformers))


_THRESHOLDS = (FixedThresholdClassifier, TunedThresholdClassifierCV)


@as_network.register(FixedThresholdClassifier)
@as_network.register(TunedThresholdClassifierCV)
def _(estimator):
    raise TypeError(
        f"{type(estimator).__name__} predicts by a threshold of its own, which the margins of "
        "the network inside do not know: pass its estimator_."
    )
