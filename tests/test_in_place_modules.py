"""The user's X is never written to, by modules that work in place on their input."""

import numpy as np
import pytest
import scipy.sparse
import torch
from sklearn.ensemble import VotingClassifier
from torch import nn

from margin_sklearn import MarginClassifier, MarginSubsetSelector, margin_auc_score, margins
from margin_sklearn.scales.registry import SCALES

SMALL = {"max_epochs": 3, "random_state": 0, "device": "cpu", "lr": 1e-2}


class InPlace(nn.Module):
    """Standardises its input, at its place if so asked."""

    def __init__(self, in_place=True, when="always"):
        super().__init__()
        self.in_place = in_place
        self.when = when
        self.layers = nn.Sequential(nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 10))

    def forward(self, x):
        if self.when == "training" and not self.training:
            return self.layers(x)
        if self.in_place:
            x -= 0.5
            x *= 2
        else:
            x = (x - 0.5) * 2
        return self.layers(x)


def relu_first(in_place=True, when="always"):
    return nn.Sequential(nn.ReLU(inplace=in_place), nn.Linear(64, 10))


@pytest.fixture
def data(digits):
    X, y = digits
    return np.ascontiguousarray(X, dtype=np.float32), y


def mapped(X, path):
    np.save(path, X)
    return np.load(path, mmap_mode="r")


@pytest.mark.parametrize("module", [InPlace, relu_first])
@pytest.mark.parametrize("kind", ["array", "tensor", "memory map", "read-only", "frame"])
def test_the_input_stays_and_so_do_the_answers(data, module, kind, tmp_path):
    X, y = data
    before = X.copy()
    other = MarginClassifier(module, module__in_place=False, **SMALL).fit(X, y)
    if kind == "tensor":
        given = torch.from_numpy(X)
    elif kind == "memory map":
        given = mapped(X, tmp_path / "X.npy")
    elif kind == "frame":
        import pandas as pd

        given = pd.DataFrame(X)
    else:
        given = X
        X.flags.writeable = kind != "read-only"
    estimator = MarginClassifier(module, **SMALL).fit(given, y)
    expected = other.decision_function(before)
    for _ in range(2):
        np.testing.assert_array_equal(estimator.decision_function(given), expected)
    np.testing.assert_array_equal(np.asarray(given), before)
    np.testing.assert_array_equal(
        margins(estimator, given, y, scale=None), margins(other, before, y, scale=None)
    )
    np.testing.assert_array_equal(np.asarray(given), before)


@pytest.mark.parametrize("scale", list(SCALES))
def test_no_scale_writes_to_the_input(data, scale):
    X, y = data
    before = X.copy()
    estimators = [
        MarginClassifier(relu_first, module__in_place=in_place, **SMALL).fit(X, y)
        for in_place in (True, False)
    ]
    found = []
    for estimator in estimators:
        try:
            found.append(margins(estimator, X, y, scale=scale))
        except TypeError as error:  # no chain of layers that begins with one
            found.append(str(error))
        np.testing.assert_array_equal(X, before)
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("when", ["always", "training"])
def test_training_sees_the_same_samples_in_every_epoch(data, when):
    """In batches of whole slices, too, which are no copies by themselves."""
    X, y = data
    before = X.copy()
    for settings in ({}, {"batch_size": -1}, {"restore_best": "margin_auc"}):
        a, b = (
            MarginClassifier(
                InPlace, module__in_place=in_place, module__when=when, **SMALL, **settings
            ).fit(X, y)
            for in_place in (True, False)
        )
        assert a.loss_curve_ == b.loss_curve_
        assert a.separated_ == b.separated_
        assert a.best_epoch_ == b.best_epoch_
        np.testing.assert_array_equal(X, before)
    assert margin_auc_score(a, X, y) == pytest.approx(margin_auc_score(b, X, y))


def test_batches_that_are_not_shuffled_are_copies(data):
    from margin_sklearn.data.batches import Batches, Samples

    X, y = data
    before = X.copy()
    for given in (X, scipy.sparse.csr_array(X)):
        for limit in (None, 0):
            samples = Samples(given, y, max_resident_bytes=limit)
            for x, _ in Batches(samples, 50):
                x.zero_()
            for x in (samples.rows(slice(0, 9)), samples.rows(torch.arange(9)), samples[3][0]):
                x.zero_()
    np.testing.assert_array_equal(X, before)


def test_the_selector_and_meta_estimators(data):
    X, y = data
    X.flags.writeable = False
    before = X.copy()
    settings = {**SMALL, "max_epochs": 8}
    network = MarginClassifier(InPlace, **settings)
    selector = MarginSubsetSelector(
        network, n_samples_to_select=0.2, continue_epochs=2, separation=0.1, random_state=0
    ).fit(X, y)
    np.testing.assert_allclose(selector.margins_, margins(selector, X, y, scale=None), 1e-5)
    plain = MarginSubsetSelector(
        network.set_params(module__in_place=False),
        n_samples_to_select=0.2,
        continue_epochs=2,
        separation=0.1,
        random_state=0,
    ).fit(X, y)
    np.testing.assert_array_equal(selector.margins_, plain.margins_)
    voting = VotingClassifier([("a", MarginClassifier(InPlace, **SMALL))], n_jobs=2)
    assert voting.fit(X, y).predict(X).shape == y.shape
    np.testing.assert_array_equal(X, before)


def test_skorch_nets_seen_as_networks(data):
    from skorch import NeuralNetClassifier

    X, y = data
    before = X.copy()
    found = []
    for in_place in (True, False):
        torch.manual_seed(0)
        net = NeuralNetClassifier(
            InPlace,
            module__in_place=in_place,
            criterion=nn.CrossEntropyLoss,
            max_epochs=1,
            train_split=None,
            verbose=0,
        )
        net.initialize()
        found.append(margins(net, X, y, scale=None))
    np.testing.assert_array_equal(X, before)
    np.testing.assert_array_equal(*found)
