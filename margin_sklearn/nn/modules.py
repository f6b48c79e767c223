"""Torch modules that are sized from the data: inputs to logits."""

import math
import os
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

from ..checks import (
    InvalidParameterError,
    check_bool,
    check_choice,
    check_int,
    check_real,
    refuse,
)
from .layer_kinds import ACTIVATIONS

__all__ = ["MLP", "ConvNet"]

_ACTIVATIONS = ("relu", "gelu", "silu", "tanh", "identity")


def _activation(name):
    return nn.Identity() if name == "identity" else ACTIVATIONS[name]()


def _widths(name, widths):
    """Widths as a tuple of ints; a single one (of NumPy as well) is one layer."""
    many = list(widths) if np.ndim(widths) == 1 and not isinstance(widths, str) else [widths]
    try:
        for width in many:
            check_int(name, width, 1)
    except InvalidParameterError:
        refuse(name, "a positive integer or a tuple of positive integers", widths)
    return tuple(int(width) for width in many)


def _check_common(input_shape, n_classes, batch_norm, dropout, activation):
    if not isinstance(input_shape, tuple | list):
        refuse("input_shape", "a tuple of positive integers", input_shape)
    check_int("n_classes", n_classes, 1)
    check_bool("batch_norm", batch_norm)
    check_real("dropout", dropout, 0, 1, closed="left")
    check_choice("activation", activation, _ACTIVATIONS)
    return _widths("input_shape", input_shape)


def _check_memory(settings, n_weights):
    """Raise before a network is made that the machine cannot hold, with its gradients."""
    needed = 2 * torch.get_default_dtype().itemsize * n_weights
    if needed > _memory():
        raise InvalidParameterError(
            f"{settings} make a network of {n_weights:,} weights. They and their gradients "
            f"need {needed / 2**30:,.0f} GiB, but this machine has {_memory() / 2**30:,.0f}."
        )


def _memory():
    """Bytes of physical memory; where the system does not tell, what no machine has."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 2**44


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
        input_shape = _check_common(input_shape, n_classes, batch_norm, dropout, activation)
        hidden = _widths("hidden_layer_sizes", hidden_layer_sizes)
        widths = (math.prod(input_shape), *hidden, int(n_classes))
        n_weights = sum((before + 1) * after for before, after in pairwise(widths))
        _check_memory(f"{hidden_layer_sizes=}, {n_classes=}", n_weights)
        layers: list[nn.Module] = [nn.Flatten()] if len(input_shape) > 1 else []
        for before, after in pairwise(widths[:-1]):
            layers.append(nn.Linear(before, after))
            if batch_norm:
                layers.append(nn.BatchNorm1d(after))
            layers.append(_activation(activation))
            if dropout:
                layers.append(nn.Dropout(dropout))
        layers.append(nn.Linear(*widths[-2:]))
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
        input_shape = _check_common(input_shape, n_classes, batch_norm, dropout, activation)
        if len(input_shape) not in (2, 3, 4):
            raise ValueError(
                "ConvNet needs images: X of shape (n_samples, height, width), (n_samples, "
                "channels, height, width) or (n_samples, channels, depth, height, width), "
                f"got samples of shape {input_shape}. Reshape X, or use MLP."
            )
        check_int("kernel_size", kernel_size, 1)
        if kernel_size % 2 == 0:
            refuse("kernel_size", "an odd integer of at least 1", kernel_size)
        kernel_size, n_classes = int(kernel_size), int(n_classes)
        check_choice("pooling", pooling, ("flatten", "mean"))
        widths = _widths("channels", channels)
        grey = len(input_shape) == 2
        depth = 1 if grey else input_shape[0]
        sides = list(input_shape if grey else input_shape[1:])
        conv: Any = nn.Conv2d if len(sides) == 2 else nn.Conv3d
        norm: Any = nn.BatchNorm2d if len(sides) == 2 else nn.BatchNorm3d
        pool: Any = nn.MaxPool2d if len(sides) == 2 else nn.MaxPool3d
        filters = sum(a * b for a, b in pairwise((depth, *widths))) * kernel_size ** len(sides)
        pooled = []
        for _ in widths:
            pooled.append(min(sides) >= 2)
            sides = [side // 2 for side in sides] if pooled[-1] else sides
        n_features = (widths or (depth,))[-1]
        if pooling == "flatten":
            n_features *= math.prod(sides)
        _check_memory(
            f"{channels=}, {kernel_size=}, {n_classes=}", filters + n_features * n_classes
        )
        layers: list[nn.Module] = [nn.Unflatten(1, (1, input_shape[0]))] if grey else []
        for width, pools in zip(widths, pooled, strict=True):
            layers.append(conv(depth, width, kernel_size, padding=kernel_size // 2))
            if batch_norm:
                layers.append(norm(width))
            layers.append(_activation(activation))
            if pools:
                layers.append(pool(2))
            depth = width
        self.features = nn.Sequential(*layers)
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(n_features, n_classes)
        if conv is nn.Conv2d:
            # The same numbers in another order in memory: faster on a CPU. (torch's type hints
            # do not know the argument.)
            self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x):
        x = torch.flatten(self.features(x), start_dim=2)
        x = x.mean(dim=2) if self.pooling == "mean" else torch.flatten(x, start_dim=1)
        return self.output(self.dropout(x))
