"""PyTorch networks as scikit-learn estimators, chosen by their classification margins."""

from .classifier import MarginClassifier
from .exceptions import LocalityWarning, NotSeparatedWarning
from .margins import margin_auc, margin_curve
from .model_selection import ResubstitutionSplit
from .modules import MLP, ConvNet
from .plotting import MarginCurveDisplay
from .scoring import make_margin_auc_scorer, margin_auc_score, margins

__version__ = "0.1.0"

__all__ = [
    "MLP",
    "ConvNet",
    "LocalityWarning",
    "MarginClassifier",
    "MarginCurveDisplay",
    "NotSeparatedWarning",
    "ResubstitutionSplit",
    "make_margin_auc_scorer",
    "margin_auc",
    "margin_auc_score",
    "margin_curve",
    "margins",
]
