"""Linear layers as matrices or convolutions, and what stands for them in norms."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..nn.embeddings import PeriodicEmbedding
from ..nn.layer_kinds import CONVOLUTIONS
from .singular_values import convolution_norm, matrix_norm

__all__ = ["Layer", "convolution_like", "linear_weight", "norm_factor"]


@dataclass
class Layer:
    """One linear layer: a matrix, or a convolution and the shape of its input.

    Parameters
    ----------
    weight : torch.Tensor of float64 of shape (n_outputs, n_inputs, ...)
        Weight with batch norm folded in.
    convolution : torch.nn.Module or None
        The convolution that has the weight; None for a matrix.
    input_shape : tuple of int
        Shape of the layer's input for one sample.
    """

    weight: torch.Tensor
    convolution: nn.Module | None
    input_shape: tuple[int, ...]

    def frobenius_norm(self) -> float:
        """Euclidean norm of the weights; each filter is counted once.

        Returns
        -------
        norm : float
        """
        return self.weight.norm().item()

    def spectral_norm(self) -> float:
        """Largest singular value of the linear map, including padding and stride.

        Returns
        -------
        norm : float
        """
        if self.convolution is None:
            return matrix_norm(self.weight)
        return convolution_norm(
            convolution_like(self.convolution, self.weight), self.input_shape
        )


def linear_weight(layer: Any, power: int = 1) -> torch.Tensor:
    """The weight of a linear layer, or the bounds that stand for a numerical embedding.

    Parameters
    ----------
    layer : torch.nn.Module
        A linear layer, a convolution or a :class:`~margin_sklearn.nn.PeriodicEmbedding`.
    power : int, default=1
        As for :meth:`~margin_sklearn.nn.PeriodicEmbedding.slopes`.

    Returns
    -------
    weight : torch.Tensor of float64
        On the CPU.
    """
    if isinstance(layer, PeriodicEmbedding):
        return layer.slopes(power)
    return layer.weight.detach().to("cpu", torch.float64)


def norm_factor(norm: Any) -> torch.Tensor:
    """Factor by which a batch norm multiplies each channel in evaluation mode.

    Parameters
    ----------
    norm : torch.nn.Module
        Batch norm with running statistics.

    Returns
    -------
    factor : torch.Tensor of float64 of shape (n_channels,)
        On the CPU.
    """
    variance = norm.running_var.detach().to("cpu", torch.float64)
    factor = (variance + norm.eps).rsqrt()
    return (
        factor
        if norm.weight is None
        else factor * norm.weight.detach().to("cpu", torch.float64)
    )


def convolution_like(convolution: Any, weight: torch.Tensor) -> nn.Module:
    """Copy a convolution, with another weight and without bias, hooks and parametrizations.

    Parameters
    ----------
    convolution : torch.nn.Module
        Conv1d, Conv2d or Conv3d.
    weight : torch.Tensor
        Of the shape of the convolution's weight.

    Returns
    -------
    bare : torch.nn.Module
    """
    kind: Any = next(kind for kind in CONVOLUTIONS if isinstance(convolution, kind))
    bare = kind(
        convolution.in_channels,
        convolution.out_channels,
        convolution.kernel_size,
        convolution.stride,
        convolution.padding,
        convolution.dilation,
        convolution.groups,
        bias=False,
        padding_mode=convolution.padding_mode,
        device="meta",  # draws no random weights
    )
    bare.weight = nn.Parameter(weight, requires_grad=False)
    return bare
