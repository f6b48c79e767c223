"""score: accuracy, of labels and weights in every form."""

import numpy as np
import pandas as pd
import pytest
import torch

from margin_sklearn import LabelErrorDetector, MarginClassifier, MarginSubsetSelector


@pytest.fixture(scope="module")
def models(iris):
    X, y = iris
    network = MarginClassifier(max_epochs=9, module__hidden_layer_sizes=(8,), random_state=0)
    selector = MarginSubsetSelector(
        network, n_samples_to_select=0.2, separation=0.3, continue_epochs=1, random_state=0
    )
    return [
        network.fit(X, y),
        LabelErrorDetector(network, random_state=0).fit(X, y),
        selector.fit(X, y),
    ]


def test_labels_and_weights_of_any_kind(models, iris, rng):
    X, y = iris
    weight = rng.integers(0, 4, len(y)) * 1.0
    rows = np.repeat(np.arange(len(y)), weight.astype(int))
    for model in models:
        expected = (model.predict(X[rows]) == y[rows]).mean()
        for labels in (
            y,
            torch.tensor(y),
            torch.tensor(y).bfloat16(),
            pd.Series(y, dtype="Int8"),
        ):
            for given in (
                weight.tolist(),
                torch.tensor(weight).bfloat16(),
                torch.tensor(weight, requires_grad=True),
                pd.Series(weight, dtype="Float64", index=-np.arange(len(y))),
            ):
                assert model.score(X, labels, given) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (lambda n: np.r_[-1.0, np.ones(n - 1)], r"non-negative, got -1\.0 for sample 0"),
        (lambda n: np.ones((n, 1)), "sample_weight must have shape"),
        (lambda n: np.ma.masked_equal(np.arange(n), 3), "sample_weight has 1 masked"),
        (lambda n: ["a"] * n, "sample_weight must hold"),
    ],
)
def test_unusable_weights_are_refused(models, iris, weight, message):
    X, y = iris
    for model in models:
        with pytest.raises(ValueError, match=message):
            model.score(X, y, weight(len(y)))


def test_masked_labels_are_refused(models, iris):
    X, y = iris
    for model in models:
        with pytest.raises(ValueError, match="y has 50 masked entries"):
            model.score(X, np.ma.masked_equal(y, 1))
