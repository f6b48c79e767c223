"""torch modules that compute logits, with a size that is inferred from the data."""

import math
import os
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..checks import (
    InvalidParameterError,
    check_bool,
    check_choice,
    check_int,
    check_real,
    refuse,
)
from .embeddings import PeriodicEmbedding
from .layer_kinds import ACTIVATIONS

__all__ = ["MLP", "ConvNet"]

_ACTIVATIONS = ("relu", "gelu", "silu", "tanh", "identity")
# embeddings="auto": tables of at most this many columns. With more, embeddings take most of
# the time, and columns are often indicators or pixels, which gain nothing.
MOST_COLUMNS = 60
_Widths = int | Sequence[int] | NDArray[np.integer]


def _activation(name: str) -> nn.Module:
    return nn.Identity() if name == "identity" else ACTIVATIONS[name]()


def _widths(name: str, widths: Any) -> tuple[int, ...]:
    """Widths as a tuple of ints; a single integer, of Python or NumPy, is one layer."""
    many = list(widths) if np.ndim(widths) == 1 and not isinstance(widths, str) else [widths]
    try:
        for width in many:
            check_int(name, width, 1)
    except InvalidParameterError:
        refuse(name, "a positive integer or a tuple of positive integers", widths)
    return tuple(int(width) for width in many)


def _check_common(
    input_shape: Any, n_classes: Any, batch_norm: Any, dropout: Any, activation: Any
) -> tuple[int, ...]:
    if not isinstance(input_shape, tuple | list):
        refuse("input_shape", "a tuple of positive integers", input_shape)
    check_int("n_classes", n_classes, 1)
    check_bool("batch_norm", batch_norm)
    check_real("dropout", dropout, 0, 1, closed="left")
    check_choice("activation", activation, _ACTIVATIONS)
    return _widths("input_shape", input_shape)


def _check_memory(settings: str, n_weights: int) -> None:
    """Raise an error, before any allocation, if weights and gradients exceed the memory."""
    needed = 2 * torch.get_default_dtype().itemsize * n_weights
    if needed > _memory():
        raise InvalidParameterError(
            f"{settings} make a network of {n_weights:,} weights. The weights and their "
            f"gradients need {needed / 2**30:,.0f} GiB, but this machine has "
            f"{_memory() / 2**30:,.0f} GiB of memory. Use a smaller network."
        )


def _memory() -> int:
    """Bytes of physical memory; more than any machine has if the system does not tell."""
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
        Shape of one sample, without the batch axis; set by :class:`MarginClassifier`.
    n_classes : int
        Number of logits; set by :class:`MarginClassifier`.
    hidden_layer_sizes : tuple of int or int, default=(256, 128)
        Width of each hidden layer; ``()`` gives a linear model.
    batch_norm : bool, default=True
        Whether to apply batch norm between each hidden linear layer and its activation.
    dropout : float, default=0.0
        Share of the hidden units that are dropped during training, in [0, 1).
    activation : {"relu", "gelu", "silu", "tanh", "identity"}, default="relu"
        Function that is applied after each hidden layer.
    embeddings : {"auto", "periodic", None}, default="auto"
        "periodic" passes each column on with four learned periodic functions of it
        (:class:`~margin_sklearn.nn.PeriodicEmbedding`). They are meant for standardised
        columns. "auto" is "periodic" for tables of at most 60 columns if there is a hidden
        layer, None otherwise.

    Raises
    ------
    InvalidParameterError
        If a parameter has the wrong type or range, or the network does not fit in memory. It
        is a ValueError and a TypeError.

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
        input_shape: tuple[int, ...],
        n_classes: int,
        hidden_layer_sizes: _Widths = (256, 128),
        batch_norm: bool = True,
        dropout: float = 0.0,
        activation: str = "relu",
        embeddings: str | None = "auto",
    ) -> None:
        input_shape = _check_common(input_shape, n_classes, batch_norm, dropout, activation)
        check_choice("embeddings", embeddings, ("auto", "periodic", None))
        hidden = _widths("hidden_layer_sizes", hidden_layer_sizes)
        n_columns = math.prod(input_shape)
        if embeddings == "auto":
            table = len(input_shape) == 1 and n_columns <= MOST_COLUMNS
            # Without hidden layers, the user wants a linear model.
            embeddings = "periodic" if table and hidden else None
        embedding = None if embeddings is None else PeriodicEmbedding(n_columns)
        n_features = n_columns if embedding is None else embedding.n_features
        widths = (n_features, *hidden, int(n_classes))
        n_weights = sum((before + 1) * after for before, after in pairwise(widths))
        _check_memory(f"{hidden_layer_sizes=}, {n_classes=}", n_weights)
        layers: list[nn.Module] = [nn.Flatten()] if len(input_shape) > 1 else []
        if embedding is not None:
            layers.append(embedding)
        for before, after in pairwise(widths[:-1]):
            layers.append(nn.Linear(before, after))
            if batch_norm:
                layers.append(nn.BatchNorm1d(after))
            layers.append(_activation(activation))
            if dropout:
                layers.append(nn.Dropout(dropout))
        layers.append(nn.Linear(widths[-2], widths[-1]))
        super().__init__(*layers)


class ConvNet(nn.Module):
    """Small convolutional network for images, with a size that is inferred from the data.

    Blocks of convolution, batch norm, activation and 2x2 max-pooling, followed by a linear
    layer. Pooling is omitted where a side is shorter than 2.

    Parameters
    ----------
    input_shape : tuple of int
        Shape of one sample: (height, width) for grey images, (channels, height, width), or
        (channels, depth, height, width) for volumes; set by :class:`MarginClassifier`.
    n_classes : int
        Number of logits; set by :class:`MarginClassifier`.
    channels : tuple of int or int, default=(32, 64)
        Number of output channels of each block.
    kernel_size : int, default=3
        Odd side length of the filters. Zero padding preserves the size of the image.
    batch_norm : bool, default=True
        Whether to apply batch norm between each convolution and its activation.
    dropout : float, default=0.0
        Share of the last features that are dropped during training, in [0, 1).
    activation : {"relu", "gelu", "silu", "tanh", "identity"}, default="relu"
        Function that is applied after each convolution.
    pooling : {"flatten", "mean"}, default="flatten"
        Input of the last linear layer: the features at every position, or their mean over
        the positions, which needs far fewer weights for large images.

    Raises
    ------
    ValueError
        If a parameter has the wrong type or range, the network does not fit in memory, or
        ``input_shape`` is not that of an image or volume.

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
        input_shape: tuple[int, ...],
        n_classes: int,
        channels: _Widths = (32, 64),
        kernel_size: int = 3,
        batch_norm: bool = True,
        dropout: float = 0.0,
        activation: str = "relu",
        pooling: str = "flatten",
    ) -> None:
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
            # Changes the memory layout only, which is faster on a CPU. The argument is missing
            # from torch's type hints.
            self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute logits.

        Parameters
        ----------
        x : torch.Tensor of shape (n_samples, ...)

        Returns
        -------
        logits : torch.Tensor of shape (n_samples, n_classes)
        """
        x = torch.flatten(self.features(x), start_dim=2)
        x = x.mean(dim=2) if self.pooling == "mean" else torch.flatten(x, start_dim=1)
        return self.output(self.dropout(x))
