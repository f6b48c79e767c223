"""Pickle, joblib and cloudpickle of fitted estimators: what they hold, and that they work."""

import pickle

import cloudpickle
import joblib
import numpy as np
import pytest
import torch

from margin_sklearn import MarginClassifier, MarginSubsetSelector


def through_joblib(mmap_mode=None, compress=0):
    def again(model, path):
        joblib.dump(model, path, compress=compress)
        return joblib.load(path, mmap_mode=mmap_mode)

    return again


WAYS = {
    "pickle": lambda model, path: pickle.loads(pickle.dumps(model)),
    "cloudpickle": lambda model, path: cloudpickle.loads(cloudpickle.dumps(model)),
    "joblib": through_joblib(),
    "joblib, compressed": through_joblib(compress=3),
    "joblib, memory map": through_joblib(mmap_mode="r"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("selector", [False, True])
def test_training_continues(way, selector, iris, tmp_path):
    X, y = iris
    model = MarginClassifier(max_epochs=5, random_state=0)
    if selector:
        model = MarginSubsetSelector(
            model, n_samples_to_select=0.2, separation=0.5, continue_epochs=1, random_state=0
        )
    model.fit(X, y)
    loaded = WAYS[way](model, tmp_path / "model")
    np.testing.assert_array_equal(model.predict_proba(X), loaded.predict_proba(X))
    if selector:
        np.testing.assert_array_equal(model.get_support(), loaded.get_support())
        model, loaded = model.estimator_, loaded.estimator_
    for _ in range(2):
        model.partial_fit(X, y)
        loaded.partial_fit(X, y)
    for a, b in zip(
        model.net_.module_.parameters(), loaded.net_.module_.parameters(), strict=True
    ):
        assert torch.equal(a, b)


@pytest.mark.parametrize("restore_best", [None, "margin_auc"])
@pytest.mark.parametrize("partial", [False, True])
def test_no_training_data_and_the_module_once(restore_best, partial):
    # Far more numbers in X than in the network.
    random, y = np.random.RandomState(0), np.arange(3000) % 3
    X = random.randn(3, 100)[y] + random.randn(3000, 5) @ random.randn(5, 100)
    model = MarginClassifier(
        max_epochs=1, restore_best=restore_best, module__hidden_layer_sizes=(64,),
        random_state=0,
    )  # fmt: skip
    model.fit(X, y, sample_weight=np.ones(3000))
    if partial:
        model.partial_fit(X, y)
    weights = sum(p.numel() * 4 for p in model.net_.module_.parameters())
    size = len(pickle.dumps(model))
    # Weights, two moments of the optimizer, and the states of two generators of 5 kB.
    assert 3 * weights < size < 3 * weights + 35_000
    assert size < X.nbytes / 10
