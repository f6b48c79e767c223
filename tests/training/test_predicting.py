import tracemalloc
import weakref

import numpy as np
import pytest
import torch
from torch import nn

from margin_sklearn import MarginClassifier, margins
from margin_sklearn.adapters import Network

MANY = 2_000


class Counting(nn.Linear):
    """Counts how many of its outputs exist at a time."""

    def forward(self, x):
        outputs = super().forward(x)
        self.seen = [seen for seen in getattr(self, "seen", []) if seen() is not None]
        self.seen.append(weakref.ref(outputs))
        self.most = max(getattr(self, "most", 0), len(self.seen))
        return outputs


def build(input_shape, n_classes):
    return Counting(input_shape[0], n_classes)


@pytest.fixture(scope="module")
def fitted():
    y = np.arange(3 * MANY) % MANY
    X = np.random.default_rng(0).standard_normal((len(y), 4)).astype(np.float32)
    network = MarginClassifier(
        build, max_epochs=1, batch_size=1000, random_state=0, device="cpu"
    ).fit(X, y)
    return network, X, y


@pytest.mark.parametrize(
    "evaluate",
    [
        lambda network, X, y: network.predict(X),
        lambda network, X, y: network.score(X, y),
        lambda network, X, y: margins(network, X, y),
    ],
)
def test_what_returns_no_logits_keeps_those_of_a_chunk(fitted, evaluate):
    network, X, y = fitted
    module = network.net_.module_
    module.most, module.seen = 0, []
    tracemalloc.start()
    try:
        evaluate(network, X, y)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert module.most <= 2
    assert peak < len(y) * MANY * 4 / 10


def test_predict_is_the_largest_logit(fitted):
    network, X, _ = fitted
    expected = network.classes_[network.decision_function(X).argmax(axis=1)]
    np.testing.assert_array_equal(network.predict(X), expected)


def test_chunks_are_short_where_there_are_very_many_classes():
    network = Network(nn.Linear(2, 3), np.asarray, np.asarray)

    def lengths(n_outputs):
        chunks = network.in_chunks(
            lambda x, _: None, lambda _: torch.zeros(1), 4096, 2, n_outputs=n_outputs
        )
        return {chunk.stop - chunk.start for chunk, _ in chunks}

    assert lengths(1) == lengths(1000)
    assert max(lengths(20_000)) * 20_000 * 4 < 2e7
