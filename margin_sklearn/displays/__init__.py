"""Plots of margins, following scikit-learn's Display API."""

from .curve import MarginCurveDisplay
from .history import MarginHistoryDisplay
from .search import SearchDisplay
from .subset import SubsetDisplay

__all__ = ["MarginCurveDisplay", "MarginHistoryDisplay", "SearchDisplay", "SubsetDisplay"]
