"""Every kind of layer in the lists is treated as such by the rest of the package."""

import numpy as np
import pytest
import torch
from torch import nn

from margin_sklearn import MarginClassifier, MarginSubsetSelector
from margin_sklearn.adapters.network import Network
from margin_sklearn.nn.layer_kinds import (
    ACTIVATION_LAYERS,
    ACTIVATIONS,
    BATCH_NORMS,
    CONVOLUTIONS,
    POINTWISE_ACTIVATIONS,
    is_batch_norm,
)
from margin_sklearn.scales.registry import SCALES

CHAIN_SCALES = ("frobenius", "spectral", "path")


class Called(nn.Module):
    """Two linear layers with a function between them."""

    def __init__(self, function):
        super().__init__()
        self.first, self.last = nn.Linear(3, 5), nn.Linear(5, 2)
        self.function = function

    def forward(self, x):
        return self.last(self.function(self.first(x)))


def scaled(module, scale):
    network = Network(module.double().eval(), np.asarray, np.asarray, dtype=torch.float64)
    x = torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(4, 3)
    y = torch.tensor([0, 1, 0, 1])
    return SCALES[scale](network, x[:1])(x, y), network.margins(x, y).double()


def by_weights(module, scale):
    """The norm of the two layers of ``Called``."""
    first, last = (layer.weight.detach() for layer in (module.first, module.last))
    if scale == "path":
        return (last**2 @ first**2).sum().sqrt()
    order = "fro" if scale == "frobenius" else 2
    return torch.linalg.matrix_norm(first, order) * torch.linalg.matrix_norm(last, order)


@pytest.mark.parametrize("scale", CHAIN_SCALES)
@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_activation_modules_are_parts_of_a_chain(name, scale):
    module = Called(ACTIVATIONS[name]())
    values, raw = scaled(module, scale)
    torch.testing.assert_close(values, raw / by_weights(module, scale))


@pytest.mark.parametrize("scale", CHAIN_SCALES)
@pytest.mark.parametrize(
    "name", [name for name in ACTIVATIONS if hasattr(nn.functional, name)]
)
def test_activation_functions_are_parts_of_a_chain(name, scale):
    module = Called(getattr(nn.functional, name))
    values, raw = scaled(module, scale)
    torch.testing.assert_close(values, raw / by_weights(module, scale))


def test_every_activation_has_a_function():
    assert all(hasattr(nn.functional, name) for name in ACTIVATIONS)
    assert set(POINTWISE_ACTIVATIONS) < set(ACTIVATION_LAYERS)


@pytest.mark.parametrize("kind", [nn.PReLU, nn.RReLU])
def test_other_activations_are_not_parts_of_a_chain(kind):
    with pytest.raises(TypeError, match=f"it contains {kind.__name__}.*scale='distance'"):
        scaled(Called(kind()), "frobenius")


# --- batch norms ---------------------------------------------------------------------------


def test_what_a_batch_norm_is():
    assert all(is_batch_norm(kind(2)) for kind in BATCH_NORMS)
    others = (nn.LayerNorm(2), nn.GroupNorm(1, 2), nn.InstanceNorm1d(2), nn.Linear(1, 1))
    assert not any(map(is_batch_norm, others))
    lazy = nn.LazyBatchNorm1d()
    lazy(torch.zeros(2, 3))
    assert is_batch_norm(lazy)
    assert not set(BATCH_NORMS) & set(CONVOLUTIONS)


def with_norm(input_shape, n_classes, kind):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(*input_shape, 16), kind(16), nn.ReLU(), nn.Linear(16, n_classes)
    )


@pytest.mark.parametrize("scale", CHAIN_SCALES)
def test_a_synchronised_batch_norm_is_folded_as_any_other(scale):
    found = []
    for kind in (nn.BatchNorm1d, nn.SyncBatchNorm):
        module = with_norm((3,), 2, kind)
        with torch.no_grad():
            module[1].running_var.copy_(torch.linspace(0.3, 3.0, 16))
            module[1].weight.copy_(torch.linspace(-2.0, 1.0, 16))
        found.append(scaled(module, scale)[0])
    assert torch.equal(*found)
    factor = module[1].weight / (module[1].running_var + module[1].eps).sqrt()
    module.first, module.last = nn.Linear(3, 16), module[3]
    module.first.weight = nn.Parameter(module[0].weight * factor[:, None])
    raw = scaled(module[:4], None)[0]
    torch.testing.assert_close(found[0], raw / by_weights(module, scale))


@pytest.mark.parametrize("kind", [nn.BatchNorm1d, nn.SyncBatchNorm])
@pytest.mark.parametrize("settings", [{"batch_size": 1}, {}])
def test_batch_norms_cannot_train_on_single_samples(iris, kind, settings):
    X, y = iris
    rows = slice(None) if settings else slice(0, 1)
    classifier = MarginClassifier(
        with_norm, module__kind=kind, max_epochs=1, device="cpu", **settings
    )
    with pytest.raises(ValueError, match="Batch norm cannot train on one sample"):
        classifier.partial_fit(X[rows], y[rows], classes=[0, 1, 2])


@pytest.mark.parametrize("kind", [nn.BatchNorm1d, nn.SyncBatchNorm])
def test_batch_norms_are_frozen_by_the_selector(iris, kind):
    X, y = iris[0][:100], iris[1][:100]
    network = MarginClassifier(
        with_norm, module__kind=kind, lr=1e-2, max_epochs=50, random_state=0, device="cpu"
    )

    def running_mean(**settings):
        selector = MarginSubsetSelector(network, n_samples_to_select=20, **settings)
        return selector.fit(X, y).estimator_.net_.module_[1].running_mean

    at_separation = running_mean(continue_epochs=0)
    assert torch.equal(running_mean(continue_epochs=3), at_separation)
    moving = running_mean(continue_epochs=3, freeze_batch_norm=False)
    assert not torch.equal(moving, at_separation)
