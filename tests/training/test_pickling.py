"""A pickle of a net can be loaded on a machine without its device."""

import pickle

import numpy as np
import pytest
from skorch.exceptions import DeviceWarning

from margin_sklearn import (
    MarginClassifier,
)
from tests.training.modules import SMALL


def test_a_pickle_from_a_gpu_loads_on_a_cpu(digits, monkeypatch):
    X, y = digits
    estimator = MarginClassifier(**SMALL).fit(X, y)
    expected = estimator.predict_proba(X)
    # What a net fitted on a card looks like from here.
    estimator.net_.device = "cuda"
    pickled = pickle.dumps(estimator)
    with pytest.warns(DeviceWarning):
        again = pickle.loads(pickled)
    assert str(again.net_.device) == "cpu"
    np.testing.assert_array_equal(again.predict_proba(X), expected)
    again.set_params(warm_start=True, device="auto").fit(X, y)
