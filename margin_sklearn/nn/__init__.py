"""Modules and losses: what is built of torch alone."""

from .losses import ExponentialLoss, LogisticLoss
from .modules import MLP, ConvNet

__all__ = ["MLP", "ConvNet", "ExponentialLoss", "LogisticLoss"]
