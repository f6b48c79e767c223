"""Splitters for searches that score candidates on the training samples."""

from .splits import ResubstitutionSplit

__all__ = ["ResubstitutionSplit"]
