"""Choosing among networks."""

from .splits import ResubstitutionSplit

__all__ = ["ResubstitutionSplit"]
