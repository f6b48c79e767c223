"""Outputs of the hidden layers of a network, and gradients with respect to them."""

from collections.abc import Callable, Sized
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

from ..adapters.network import Network, logit_margins
from ..nn.layer_kinds import ACTIVATION_LAYERS

__all__ = [
    "check_number",
    "margin_gradients",
    "of_input",
    "of_layers",
    "row_norms",
    "total_variations",
]

# A variation of fewer rounding errors than this is considered to be rounding alone.
_N_ROUNDINGS = 10


def of_input(network: Network, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Compute logits; the input is the only layer.

    Parameters
    ----------
    network : Network
    x : torch.Tensor of shape (n_samples, ...)

    Returns
    -------
    logits : torch.Tensor of shape (n_samples, n_classes)
    layers : list of torch.Tensor
        ``x`` alone.
    """
    return network.logits(x), [x]


def of_layers(network: Network, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Compute logits and the layers before them: the input, then the hidden layers.

    Hidden layers are the outputs of the activation modules (``nn.ReLU``, ..., but not
    softmaxes), once per call. In a network without activation modules (one that calls
    ``F.relu``, or a linear one) they are the outputs of the modules with a matrix named
    ``weight`` (linear layers, convolutions, embeddings), except for the last one to run, which
    computes the logits.

    Parameters
    ----------
    network : Network
    x : torch.Tensor of shape (n_samples, ...)
        Not changed, even if the network works in place.

    Returns
    -------
    logits : torch.Tensor of shape (n_samples, n_classes)
    layers : list of torch.Tensor
        In the order of execution.
    """
    parts: list[nn.Module] = [
        part
        for part in network.module.modules()
        if not isinstance(part, torch.jit.ScriptModule)  # does not support hooks
    ]
    modules = [part for part in parts if isinstance(part, ACTIVATION_LAYERS)]
    by_activations = bool(modules)
    if not by_activations:
        modules = [part for part in parts if _has_matrix(part)]
    layers: list[torch.Tensor | None] = []

    def watch(module: nn.Module, args: Any, output: Any) -> torch.Tensor | None:
        if not isinstance(output, torch.Tensor) or not output.is_floating_point():
            layers.append(None)
            return None
        # Two copies, because the next module may modify its input in place, and so may other
        # code that holds the output of this one.
        layer = output.clone()
        if torch.is_grad_enabled() and not layer.requires_grad:
            layer.requires_grad_()
        layers.append(layer)
        return layer.clone()

    handles = [module.register_forward_hook(watch) for module in modules]
    try:
        logits = network.logits(x)
    finally:
        for handle in handles:
            handle.remove()
    if not by_activations:
        del layers[-1:]
    return logits, [x, *(layer for layer in layers if layer is not None)]


def _rows(layer: torch.Tensor) -> torch.Tensor:
    # layer.shape[0] would fail for a scalar.
    return layer.double().reshape(layer.shape[:1].numel(), -1)


def row_norms(values: torch.Tensor) -> torch.Tensor:
    """Euclidean norm of each row, without overflow.

    Parameters
    ----------
    values : torch.Tensor of shape (n, ...)

    Returns
    -------
    norms : torch.Tensor of float64 of shape (n,)
    """
    rows = _rows(values)
    norms = torch.linalg.vector_norm(rows, dim=1)
    if ((norms == 0) | torch.isinf(norms)).any():
        # The squares overflow for very large inputs and underflow for very small ones.
        largest = rows.abs().amax(dim=1, keepdim=True)
        largest = torch.where(largest > 0, largest, 1.0)
        norms = largest[:, 0] * torch.linalg.vector_norm(rows / largest, dim=1)
    return norms


def _has_matrix(module: nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    return isinstance(weight, torch.Tensor) and weight.ndim > 1


def margin_gradients(
    network: Network,
    x: torch.Tensor,
    y: torch.Tensor,
    run: Callable[[Network, torch.Tensor], tuple[torch.Tensor, list[torch.Tensor]]],
) -> tuple[torch.Tensor, list[torch.Tensor | None]]:
    """Margins of a batch, and the norms of their gradients with respect to each layer.

    Parameters
    ----------
    network : Network
    x : torch.Tensor of shape (n_samples, ...)
    y : torch.Tensor of int64 of shape (n_samples,)
        Class indices.
    run : callable
        ``of_input`` or ``of_layers``.

    Returns
    -------
    margins : torch.Tensor of float64 of shape (n_samples,)
    norms : list of torch.Tensor of float64 of shape (n_samples,)
        None for a layer without a gradient.
    """
    x = x.detach().requires_grad_()
    with torch.enable_grad(), _without_cudnn(network) if x.is_cuda else nullcontext():
        logits, layers = run(network, x)
        margin = logit_margins(logits, y)
        gradients: Any = [None] * len(layers)
        if margin.requires_grad:
            gradients = torch.autograd.grad(margin.sum(), layers, allow_unused=True)
    norms = [None if gradient is None else row_norms(gradient) for gradient in gradients]
    return margin.detach().double(), norms


def _without_cudnn(network: Network) -> AbstractContextManager[None]:
    # cuDNN does not support the backward pass of recurrent networks in evaluation mode.
    recurrent = any(isinstance(part, nn.RNNBase) for part in network.module.modules())
    return torch.backends.cudnn.flags(enabled=False) if recurrent else nullcontext()


def total_variations(network: Network, sample: torch.Tensor) -> list[float]:
    """Total variation of each layer of :func:`of_layers`: the sum of its units' variances.

    Parameters
    ----------
    network : Network
    sample : torch.Tensor of shape (n_samples, ...)

    Returns
    -------
    variations : list of float
        Computed with divisor n, not n - 1. 0 for a layer that is the same for all samples, and
        for a layer whose first axis is not that of the samples.

    Raises
    ------
    TypeError
        If the number of layers differs between samples.
    """

    def evaluated(x: torch.Tensor, chunk: slice | None = None) -> list[torch.Tensor]:
        with torch.no_grad():
            return of_layers(network, x)[1]

    with torch.no_grad():
        alone, pair = (evaluated(sample[:n]) for n in (1, 2))
        check_number(network, pair, alone)
        # The first axis may have the length of the batch by chance, but not for one sample
        # and for two samples.
        fits = [
            one.shape[:1] == (1,) and two.shape[:1] == (len(sample[:2]),)
            for one, two in zip(alone, pair, strict=True)
        ]
        moments = [
            _Moments(layer) if fit else None for layer, fit in zip(alone, fits, strict=True)
        ]
        width = sample[0].numel()
        for _, layers in network.in_chunks(evaluated, sample.__getitem__, len(sample), width):
            check_number(network, layers, moments)
            for layer, moment in zip(layers, moments, strict=True):
                if moment is not None:
                    moment.add(layer)
    return [0.0 if moment is None else moment.total_variation() for moment in moments]


def check_number(network: Network, layers: Sized, known: Sized) -> None:
    """Raise an error if the number of layers of two batches differs.

    Parameters
    ----------
    network : Network
        Named in the message.
    layers : list
        One element per layer of a batch.
    known : list
        One element per layer of an earlier batch.

    Raises
    ------
    TypeError
        If the lengths differ.
    """
    if len(layers) != len(known):
        raise TypeError(
            f"{type(network.module).__name__} ran another number of layers for some samples "
            f"({len(layers)}) than for others ({len(known)}), so its hidden layers cannot be "
            "compared. scale='distance' works for it."
        )


class _Moments:
    """Mean and variance of the units of a layer, updated batch by batch."""

    def __init__(self, layer: torch.Tensor) -> None:
        # Subtracted from all samples, so that a constant unit has a variance of exactly zero.
        self.first = _rows(layer)[:1]
        self.eps = torch.finfo(layer.dtype).eps
        self.n = 0
        self.mean = self.deviations = self.squares = torch.zeros_like(self.first[0])

    def add(self, layer: torch.Tensor) -> None:
        values = _rows(layer)
        self.squares = self.squares + values.square().sum(dim=0)
        values = values - self.first
        mean, n = values.mean(dim=0), len(values)
        step = mean - self.mean
        self.deviations = self.deviations + (values - mean).square().sum(dim=0)
        self.deviations += step.square() * (self.n * n / (self.n + n))
        self.mean = self.mean + step * (n / (self.n + n))
        self.n += n

    def total_variation(self) -> float:
        rounding = (_N_ROUNDINGS * self.eps) ** 2 * self.squares
        return (self.deviations * ~(self.deviations <= rounding)).sum().item() / self.n
