"""Data and networks that several test modules use; torch in one thread, matplotlib unseen."""

import os

import hypothesis
import matplotlib
import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_iris, make_classification
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from margin_sklearn import ConvNet, MarginClassifier

if "PYTEST_XDIST_WORKER" in os.environ:
    # Threads that wait take the cores from the other workers. Processes that tests start read
    # the variable.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    threadpool_limits(1)
matplotlib.use("Agg")
# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile("no_deadline", deadline=None)
hypothesis.settings.load_profile("no_deadline")


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _global_seeds():
    """So that what a test leaves without a seed is the same in any order of the tests."""
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.fixture(scope="session")
def digits():
    X, y = load_digits(return_X_y=True)
    return StandardScaler().fit_transform(X[:600]), y[:600]


@pytest.fixture(scope="session")
def images():
    X, y = load_digits(return_X_y=True)
    return (X[:400] / 16).reshape(-1, 8, 8), y[:400]


@pytest.fixture(scope="session")
def iris():
    X, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(X), y


@pytest.fixture(scope="session")
def binary():
    X, y = make_classification(200, 6, n_informative=4, random_state=0)
    return X, y


@pytest.fixture(scope="session")
def fitted(digits):
    """A small fitted network on the digits; not to be changed."""
    X, y = digits
    return MarginClassifier(
        module__hidden_layer_sizes=(32, 16), max_epochs=8, random_state=0, device="cpu"
    ).fit(X, y)


@pytest.fixture(scope="session")
def fitted_conv(images):
    X, y = images
    return MarginClassifier(
        ConvNet, module__channels=(4, 8), max_epochs=3, random_state=0, device="cpu"
    ).fit(X, y)


@pytest.fixture
def rng():
    return np.random.default_rng(0)
