"""Logits of an estimator by way of as_network."""

import torch

from margin_sklearn.adapters.registry import as_network


def logits_of(estimator, X):
    network = as_network(estimator)
    with network.evaluating(), torch.no_grad():
        return network.logits(network.inputs(X)).numpy()
