"""Choosing among networks: searches, and splitters that score on the training samples."""

from .search import MarginSearchCV
from .splits import ResubstitutionSplit

__all__ = ["MarginSearchCV", "ResubstitutionSplit"]
