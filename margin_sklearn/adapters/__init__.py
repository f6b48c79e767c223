"""Any supported estimator as one object, from rows to logits.

:func:`as_network` knows what has registered itself with it; register your own estimators.
"""

from . import sklearn_models, skorch_nets
from .network import Network, logit_margins
from .registry import as_network

__all__ = ["Network", "as_network", "logit_margins", "sklearn_models", "skorch_nets"]
