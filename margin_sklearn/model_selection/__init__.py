"""Searches by margin-AUC, and splitters for those of scikit-learn."""

from .search import MarginSearchCV
from .splits import ResubstitutionSplit

__all__ = ["MarginSearchCV", "ResubstitutionSplit"]
