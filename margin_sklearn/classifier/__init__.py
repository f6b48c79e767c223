"""MarginClassifier: a PyTorch network as a scikit-learn classifier."""

from .estimator import MarginClassifier

__all__ = ["MarginClassifier"]
