import pytest
import torch
from torch import nn

from margin_sklearn import MLP, ConvNet


def test_mlp_has_the_layers_asked_for():
    module = MLP((5,), 3, hidden_layer_sizes=(7, 4), dropout=0.5, activation="tanh")
    kinds = [type(layer) for layer in module]
    block = [nn.Linear, nn.BatchNorm1d, nn.Tanh, nn.Dropout]
    assert kinds == [*block, *block, nn.Linear]
    assert module(torch.zeros(2, 5)).shape == (2, 3)


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
