"""Fitted estimators of several libraries as one type, :class:`Network`, that gives logits.

:func:`as_network` converts every supported estimator. Register a function with it to support
estimators of your own.
"""

from . import sklearn_models, skorch_nets
from .network import Network, logit_margins
from .registry import as_network

__all__ = ["Network", "as_network", "logit_margins", "sklearn_models", "skorch_nets"]
