"""Torch modules that are sized from the data: inputs to logits."""

import math
from typing import Any

import torch
from torch import nn

__all__ = ["MLP", "ConvNet"]

_ACTIVATIONS = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "identity": nn.Identity,
}


def _activation(name):
    if name not in _ACTIVATIONS:
        raise ValueError(f"activation must be one of {sorted(_ACTIVATIONS)}, got {name!r}.")
    return _ACTIVATIONS[name]()


def _check_widths(name, widths):
    widths = (widths,) if isinstance(widths, int) else tuple(widths)
    if any(int(width) != width or width < 1 for width in widths):
        raise ValueError(f"{name} must hold positive integers, got {widths}.")
    return tuple(int(width) for width in widths)


def _check_dropout(dropout):
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must be in [0, 1), got {dropout}.")


class MLP(nn.Sequential):
    """Multi-layer perceptron: (linear, batch norm, activation, dropout) blocks, then logits.

    Inputs of more than two dimensions are flattened.

    Parameters
    ----------
    input_shape : tuple of int
        Shape of one sample, without the batch axis; :class:`MarginClassifier` fills it in.
    n_classes : int
        Number of logits; :class:`MarginClassifier` fills it in.
    hidden_layer_sizes : tuple of int or int, default=(256, 128)
        Width of each hidden layer; ``()`` gives a linear model.
    batch_norm : bool, default=True
        Whether batch norm stands between each hidden linear layer and its activation.
    dropout : float, default=0.2
        Share of hidden units dropped while training, in [0, 1).
    activation : {"relu", "gelu", "silu", "tanh", "identity"}, default="relu"

    Examples
    --------
    >>> import torch
    >>> from margin_sklearn import MLP
    >>> module = MLP((4,), 3, hidden_layer_sizes=(8,))
    >>> module(torch.zeros(2, 4)).shape
    torch.Size([2, 3])
    """

    def __init__(
        self,
        input_shape,
        n_classes,
        hidden_layer_sizes=(256, 128),
        batch_norm=True,
        dropout=0.2,
        activation="relu",
    ):
        _check_dropout(dropout)
        width = math.prod(input_shape)
        layers: list[nn.Module] = [nn.Flatten()] if len(input_shape) > 1 else []
        for size in _check_widths("hidden_layer_sizes", hidden_layer_sizes):
            layers.append(nn.Linear(width, size))
            if batch_norm:
                layers.append(nn.BatchNorm1d(size))
            layers.append(_activation(activation))
            if dropout:
                layers.append(nn.Dropout(dropout))
            width = size
        layers.append(nn.Linear(width, n_classes))
        super().__init__(*layers)


class ConvNet(nn.Module):
    """Small convolutional network for images, sized from the data.

    Each block is convolution, batch norm, activation and 2x2 max-pooling (left out once
    a side is smaller than 2); then a linear layer.

    Parameters
    ----------
    input_shape : tuple of int
        Shape of one sample: (height, width) for grey images, (channels, height, width), or
        (channels, depth, height, width) for volumes; :class:`MarginClassifier` fills it in.
    n_classes : int
        Number of logits; :class:`MarginClassifier` fills it in.
    channels : tuple of int or int, default=(32, 64)
        Channels of each block.
    kernel_size : int, default=3
        Odd side length of the filters; zero padding keeps the size.
    batch_norm : bool, default=True
    dropout : float, default=0.0
        Share of the last features dropped while training, in [0, 1).
    activation : {"relu", "gelu", "silu", "tanh", "identity"}, default="relu"
    pooling : {"flatten", "mean"}, default="flatten"
        What the last linear layer sees: every position, or the mean over positions (far
        fewer weights, for larger images).

    Examples
    --------
    >>> import torch
    >>> from margin_sklearn import ConvNet
    >>> module = ConvNet((8, 8), 10, channels=(4, 8))
    >>> module(torch.zeros(2, 8, 8)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        input_shape,
        n_classes,
        channels=(32, 64),
        kernel_size=3,
        batch_norm=True,
        dropout=0.0,
        activation="relu",
        pooling="flatten",
    ):
        super().__init__()
        _check_dropout(dropout)
        if len(input_shape) not in (2, 3, 4):
            raise ValueError(
                "ConvNet needs images: X of shape (n_samples, height, width), (n_samples, "
                "channels, height, width) or (n_samples, channels, depth, height, width), "
                f"got samples of shape {tuple(input_shape)}. Reshape X, or use MLP."
            )
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd and positive, got {kernel_size}.")
        if pooling not in ("flatten", "mean"):
            raise ValueError(f"pooling must be 'flatten' or 'mean', got {pooling!r}.")
        grey = len(input_shape) == 2
        depth = 1 if grey else input_shape[0]
        sides = list(input_shape if grey else input_shape[1:])
        conv: Any = nn.Conv2d if len(sides) == 2 else nn.Conv3d
        norm: Any = nn.BatchNorm2d if len(sides) == 2 else nn.BatchNorm3d
        pool: Any = nn.MaxPool2d if len(sides) == 2 else nn.MaxPool3d
        layers: list[nn.Module] = [nn.Unflatten(1, (1, sides[0]))] if grey else []
        for width in _check_widths("channels", channels):
            layers.append(conv(depth, width, kernel_size, padding=kernel_size // 2))
            if batch_norm:
                layers.append(norm(width))
            layers.append(_activation(activation))
            if min(sides) >= 2:
                layers.append(pool(2))
                sides = [side // 2 for side in sides]
            depth = width
        self.features = nn.Sequential(*layers)
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)
        n_features = depth if pooling == "mean" else depth * math.prod(sides)
        self.output = nn.Linear(n_features, n_classes)
        if conv is nn.Conv2d:
            # The same numbers in another order in memory: faster on a CPU. (torch's type hints
            # do not know the argument.)
            self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x):
        x = torch.flatten(self.features(x), start_dim=2)
        x = x.mean(dim=2) if self.pooling == "mean" else torch.flatten(x, start_dim=1)
        return self.output(self.dropout(x))
