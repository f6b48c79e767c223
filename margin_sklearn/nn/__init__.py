"""torch modules and losses that do not depend on the rest of the package's estimators."""

from .embeddings import PeriodicEmbedding
from .losses import ExponentialLoss, LogisticLoss, SmoothCrossEntropyLoss
from .modules import MLP, ConvNet

__all__ = [
    "MLP",
    "ConvNet",
    "ExponentialLoss",
    "LogisticLoss",
    "PeriodicEmbedding",
    "SmoothCrossEntropyLoss",
]
