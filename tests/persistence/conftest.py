"""Saving to a file and loading it again."""

import numpy as np
import pytest
from sklearn.datasets import load_iris

from margin_sklearn import load, save


@pytest.fixture(scope="module")
def iris():
    """60 scaled samples of three classes."""
    X, y = load_iris(return_X_y=True)
    rows = np.random.RandomState(0).permutation(len(X))[:60]
    return (X[rows] - X.mean(axis=0)) / X.std(axis=0), y[rows]


@pytest.fixture
def again(tmp_path):
    """Save an estimator and load it."""

    def saved_and_loaded(estimator, **options):
        path = tmp_path / "model.safetensors"
        save(estimator, path)
        return load(path, **options)

    return saved_and_loaded
