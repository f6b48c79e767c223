import numpy as np
import pandas as pd
import pytest
import torch
from skorch import NeuralNet, NeuralNetBinaryClassifier, NeuralNetClassifier
from torch import nn

from margin_sklearn import margins

from .logits import logits_of


class Head(nn.Module):
    def __init__(self, end, n_outputs=3):
        super().__init__()
        self.layer = nn.Linear(4, n_outputs)
        self.norm = nn.BatchNorm1d(n_outputs)
        self.end = end

    def forward(self, x):
        return self.end(self.norm(self.layer(x)))


def skorch_net(kind, end, criterion, **settings):
    torch.manual_seed(0)
    return kind(
        Head, module__end=end, criterion=criterion, train_split=None, verbose=0, **settings
    )


def drop_last(x):
    return x.squeeze(-1)


@pytest.mark.parametrize(
    ("end", "criterion"),
    [
        (nn.Identity(), nn.CrossEntropyLoss),
        (nn.Softmax(dim=1), nn.NLLLoss),
    ],
)
def test_skorch_classifiers(iris, end, criterion):
    X, y = iris[0].astype(np.float32), iris[1]
    net = skorch_net(NeuralNetClassifier, end, criterion).fit(X, y)
    np.testing.assert_array_equal(margins(net, X, y) > 0, net.predict(X) == y)
    proba = torch.from_numpy(logits_of(net, X)).softmax(dim=1)
    np.testing.assert_allclose(proba, net.predict_proba(X), atol=1e-5)
    # float64 and a DataFrame, which skorch itself would not take.
    np.testing.assert_allclose(margins(net, pd.DataFrame(iris[0]), y), margins(net, X, y))


def test_a_final_softmax_of_a_sequential_is_left_out(iris):
    X, y = iris[0].astype(np.float32), iris[1]
    module = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))
    net = NeuralNetClassifier(module, train_split=None, verbose=0, max_epochs=2).fit(X, y)
    with torch.no_grad():
        expected = net.module_[0](torch.from_numpy(X)).numpy()
    np.testing.assert_array_equal(logits_of(net, X), expected)
    assert np.isfinite(margins(net, X, y, scale="frobenius")).all()


def test_a_plain_skorch_net_of_log_probabilities(iris):
    X, y = iris[0].astype(np.float32), iris[1]
    net = skorch_net(NeuralNet, nn.LogSoftmax(dim=1), nn.NLLLoss).fit(X, y)
    np.testing.assert_array_equal(
        margins(net, X, y) > 0, net.forward(X).numpy().argmax(axis=1) == y
    )


@pytest.mark.parametrize("threshold", [0.5, 0.9])
def test_binary_skorch_nets(binary, threshold):
    X, y = binary[0][:, :4].astype(np.float32), binary[1]
    net = skorch_net(
        NeuralNetBinaryClassifier,
        drop_last,
        nn.BCEWithLogitsLoss,
        module__n_outputs=1,
        threshold=threshold,
    )
    net.fit(X, y.astype(np.float32))
    np.testing.assert_array_equal(margins(net, X, y) > 0, net.predict(X) == y)


def test_skorch_labels_are_positions(iris):
    X, y = iris[0].astype(np.float32), iris[1]
    net = skorch_net(NeuralNetClassifier, nn.Identity(), nn.CrossEntropyLoss)
    only_two = net.fit(X[y > 0], y[y > 0])
    # Labels {1, 2} with three outputs: column 1 is label 1, whatever classes_ says.
    np.testing.assert_array_equal(
        margins(only_two, X[y > 0], y[y > 0]) > 0, only_two.predict(X[y > 0]) == y[y > 0]
    )
    with pytest.raises(ValueError, match="LabelEncoder"):
        margins(net, X, y.astype(str))
    with pytest.raises(ValueError, match="label 3.*3 outputs"):
        margins(net, X, y + 1)


def test_a_skorch_net_is_left_in_the_mode_it_was_in(iris):
    X, y = iris[0].astype(np.float32), iris[1]
    net = skorch_net(NeuralNetClassifier, nn.Identity(), nn.CrossEntropyLoss).fit(X, y)
    net.module_.train()
    before = net.module_.norm.running_mean.clone()
    margins(net, X, y)
    assert net.module_.training
    assert net.module_.norm.training
    assert torch.equal(net.module_.norm.running_mean, before)


def test_a_skorch_net_with_a_loss_that_says_nothing_of_logits(iris):
    X, y = iris[0].astype(np.float32), np.eye(3, dtype=np.float32)[iris[1]]
    net = skorch_net(NeuralNet, nn.Identity(), nn.MSELoss).fit(X, y)
    with pytest.raises(TypeError, match="MSELoss"):
        margins(net, X, iris[1])


def test_a_net_that_is_not_initialized(iris):
    net = skorch_net(NeuralNetClassifier, nn.Identity(), nn.CrossEntropyLoss)
    with pytest.raises(Exception, match="not initialized"):
        margins(net, *iris)
