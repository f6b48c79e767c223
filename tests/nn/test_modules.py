import re

import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV
from torch import nn

from margin_sklearn import MLP, ConvNet, MarginClassifier
from margin_sklearn.checks import InvalidParameterError
from margin_sklearn.nn import PeriodicEmbedding, modules


def test_mlp_has_the_layers_asked_for():
    settings = {"hidden_layer_sizes": (7, 4), "dropout": 0.5, "activation": "tanh"}
    block = [nn.Linear, nn.BatchNorm1d, nn.Tanh, nn.Dropout]
    for embeddings, first in ((None, []), ("periodic", [PeriodicEmbedding])):
        module = MLP((5,), 3, **settings, embeddings=embeddings)
        assert [type(layer) for layer in module] == [*first, *block, *block, nn.Linear]
        assert module(torch.zeros(2, 5)).shape == (2, 3)


@pytest.mark.parametrize(
    ("shape", "hidden", "embedded"),
    [
        ((60,), (4,), True),
        ((61,), (4,), False),
        ((5,), (), False),
        ((8, 8), (4,), False),
        ((1, 5), (4,), False),
    ],
)
def test_tables_are_embedded_unless_wide_or_for_a_linear_model(shape, hidden, embedded):
    module = MLP(shape, 3, hidden_layer_sizes=hidden)
    assert any(isinstance(layer, PeriodicEmbedding) for layer in module) is embedded
    assert module(torch.zeros(2, *shape)).shape == (2, 3)


def test_images_can_be_embedded():
    module = MLP((2, 3), 3, hidden_layer_sizes=(4,), embeddings="periodic")
    assert module[1].n_features == 30
    assert module(torch.zeros(2, 2, 3)).shape == (2, 3)


def test_unknown_embeddings_are_refused():
    with pytest.raises(InvalidParameterError, match="embeddings must be .*got 'linear'"):
        MLP((5,), 3, embeddings="linear")


def test_mlp_without_hidden_layers_is_linear():
    module = MLP((5,), 3, hidden_layer_sizes=())
    assert [type(layer) for layer in module] == [nn.Linear]


def test_mlp_takes_an_int_and_images():
    module = MLP((2, 4, 4), 3, hidden_layer_sizes=6, batch_norm=False)
    assert module(torch.zeros(5, 2, 4, 4)).shape == (5, 3)
    assert not any(isinstance(layer, nn.BatchNorm1d) for layer in module)


@pytest.mark.parametrize("shape", [(8, 8), (3, 8, 9), (1, 1), (2, 4, 5, 6)])
@pytest.mark.parametrize("pooling", ["flatten", "mean"])
def test_convnet_takes_images_and_volumes(shape, pooling):
    module = ConvNet(shape, 4, channels=(3, 5), pooling=pooling, dropout=0.1)
    assert module(torch.zeros(2, *shape)).shape == (2, 4)


def test_convnet_of_mean_pooling_does_not_grow_with_the_image():
    def size(side):
        module = ConvNet((side, side), 4, pooling="mean")
        return sum(parameter.numel() for parameter in module.parameters())

    assert size(8) == size(32)


@pytest.mark.parametrize(
    ("module", "arguments", "match"),
    [
        (MLP, {"hidden_layer_sizes": (0,)}, "positive"),
        (MLP, {"dropout": 1.0}, "dropout"),
        (MLP, {"activation": "sigmoidal"}, "sigmoidal"),
        (ConvNet, {"kernel_size": 2}, "odd"),
        (ConvNet, {"pooling": "max"}, "pooling"),
        (ConvNet, {"channels": (4, -1)}, "positive"),
    ],
)
def test_unusable_settings_raise(module, arguments, match):
    with pytest.raises(ValueError, match=match):
        module((8, 8), 3, **arguments)


def test_convnet_says_what_it_needs_when_given_a_table():
    with pytest.raises(ValueError, match="needs images.*samples of shape \\(5,\\)"):
        ConvNet((5,), 3)


@pytest.mark.parametrize("width", [np.int64(6), np.uint8(6), 6, [6], np.array([6])])
def test_widths_of_numpy_are_widths(width):
    for module, name, shape in (
        (MLP, "hidden_layer_sizes", (3,)),
        (ConvNet, "channels", (4, 4)),
    ):
        torch.manual_seed(0)
        wanted = module(shape, 2, **{name: (6,)}).state_dict()
        torch.manual_seed(0)
        found = module(shape, 2, **{name: width}).state_dict()
        assert all(torch.equal(found[key], wanted[key]) for key in wanted)
        assert len(found) == len(wanted)


def test_numbers_of_numpy_are_numbers():
    module = ConvNet(
        (np.int64(4), np.int64(4)),
        np.int64(3),
        channels=np.arange(2, 4),
        kernel_size=np.int64(3),
        batch_norm=np.True_,
        dropout=np.float32(0.5),
    )
    assert module(torch.zeros(2, 4, 4)).shape == (2, 3)


def test_a_grid_of_numpy_widths(iris):
    X, y = iris
    model = MarginClassifier(max_epochs=1, device="cpu", random_state=0)
    grid = {"module__hidden_layer_sizes": np.arange(2, 5), "max_epochs": np.arange(1, 3)}
    search = GridSearchCV(model, grid, cv=2, error_score="raise").fit(X, y)
    width = search.best_params_["module__hidden_layer_sizes"]
    assert search.best_estimator_.net_.module_[1].out_features == width


@pytest.mark.parametrize(
    ("module", "settings", "weights", "gib"),
    [
        (MLP, {"hidden_layer_sizes": (10**9,)}, "69,000,000,004", "514"),
        (MLP, {"hidden_layer_sizes": (10**5, 10**5)}, "10,007,000,004", "75"),
        (ConvNet, {"channels": (4, 10**9)}, "52,000,000,036", "387"),
        # Small filters; the linear layer sees 16 positions of each.
        (ConvNet, {"channels": 10**8}, "7,300,000,000", "54"),
        (ConvNet, {"kernel_size": 10**5 + 1}, "20,800,416,003,104", "154,975"),
    ],
)
def test_a_network_that_memory_cannot_hold(module, settings, weights, gib, monkeypatch):
    """Refused before anything is allocated, with what it would need."""
    monkeypatch.setattr(modules, "_memory", lambda: 8 * 2**30)
    for layer in ("Linear", "Conv2d"):
        monkeypatch.setattr(nn, layer, None)
    ((name, value),) = settings.items()
    wanted = (
        f"{name}={value}",
        f"of {weights} weights",
        f"need {gib} GiB, but this machine has 8",
    )
    with pytest.raises(ValueError, match=".*".join(map(re.escape, wanted))):
        module((8, 8), 4, **settings)


def test_memory_is_told_or_more_than_any(monkeypatch):
    assert 2**28 < modules._memory() < 2**50

    def unknown(name):
        raise ValueError(name)

    monkeypatch.setattr(modules.os, "sysconf", unknown)
    assert modules._memory() == 2**44
