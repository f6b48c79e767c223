"""The distribution of a network's margins, and its area as a scikit-learn scorer."""

from .curve import margin_auc, margin_curve, margins_from_logits
from .distribution import DistributionSettings, MarginDistribution, margin_distribution
from .evaluation import margins, margins_of
from .points import PerturbedPoints, SamplePoints
from .scorer import MarginAUCScorer, make_margin_auc_scorer, margin_auc_score

__all__ = [
    "DistributionSettings",
    "MarginAUCScorer",
    "MarginDistribution",
    "PerturbedPoints",
    "SamplePoints",
    "make_margin_auc_scorer",
    "margin_auc",
    "margin_auc_score",
    "margin_curve",
    "margin_distribution",
    "margins",
    "margins_from_logits",
    "margins_of",
]
