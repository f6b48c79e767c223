"""The distribution of a network's margins, and its area as a scikit-learn scorer."""

from .curve import margin_auc, margin_curve, margins_from_logits
from .scorer import MarginAUCScorer, make_margin_auc_scorer, margin_auc_score, margins

__all__ = [
    "MarginAUCScorer",
    "make_margin_auc_scorer",
    "margin_auc",
    "margin_auc_score",
    "margin_curve",
    "margins",
    "margins_from_logits",
]
