"""Pictures of margins, after scikit-learn's Display contract."""

from .curve import MarginCurveDisplay
from .subset import SubsetDisplay

__all__ = ["MarginCurveDisplay", "SubsetDisplay"]
