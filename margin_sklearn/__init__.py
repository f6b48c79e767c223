"""Choose and prune by classification margins, with PyTorch networks as scikit-learn estimators."""

from .classifier import MarginClassifier
from .exceptions import NotSeparatedWarning
from .margins import margin_auc, margin_curve
from .modules import MLP, ConvNet

__version__ = "0.1.0"

__all__ = [
    "MLP",
    "ConvNet",
    "MarginClassifier",
    "NotSeparatedWarning",
    "margin_auc",
    "margin_curve",
]
