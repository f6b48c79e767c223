"""Plots of margins, following scikit-learn's Display API."""

from .curve import MarginCurveDisplay
from .subset import SubsetDisplay

__all__ = ["MarginCurveDisplay", "SubsetDisplay"]
