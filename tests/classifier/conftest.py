"""The same tests for networks that are trained by themselves and as one with others."""

import pytest
from sklearn.base import clone

from margin_sklearn import MarginClassifier
from margin_sklearn.classifier.together import Fit, fit_together, groups_to_fit


@pytest.fixture(params=["alone", "stacked"])
def both_ways(request, monkeypatch, fitted, fitted_conv):
    """``fit`` as it is, and as part of a stack of two wherever that is possible.

    The fixtures of the session are built first: theirs are ordinary fits.
    """
    if request.param == "alone":
        return
    ordinary = MarginClassifier.fit

    def fit(self, X, y, sample_weight=None):
        if hasattr(self, "net_"):  # a warm start
            return ordinary(self, X, y, sample_weight)
        own = Fit(self, X, y, sample_weight)
        other = Fit(clone(self), X, y, sample_weight)
        if groups_to_fit([own, other], always=True) != [[0, 1]]:
            return ordinary(self, X, y, sample_weight)
        result = fit_together([own, other])[0]
        if result.error is not None:
            raise result.error
        assert result.n_together == 2
        return self

    monkeypatch.setattr(MarginClassifier, "fit", fit)
