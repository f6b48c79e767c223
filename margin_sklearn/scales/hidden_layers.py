"""The hidden layers of a network, as they are computed, and gradients by them."""

from typing import Any

import torch
from torch import nn

from ..adapters.network import logit_margins
from ..nn.layer_kinds import ACTIVATION_LAYERS

__all__ = ["check_number", "margin_gradients", "of_input", "of_layers", "total_variations"]

# What varies by less than so many roundings varies by rounding alone.
_N_ROUNDINGS = 10


def of_input(network, x):
    """Logits, and the input alone; else as :func:`of_layers`."""
    return network.logits(x), [x]


def of_layers(network, x):
    """Logits, and the layers that they are computed from: the input, then the hidden ones.

    Hidden layers are the outputs of the activation modules (``nn.ReLU``, ..., softmaxes left
    out), once for each time that they run. In a network without one (it calls ``F.relu``, or
    is linear) they are the outputs of the modules with a matrix named ``weight`` (linear
    layers, convolutions, embeddings), but for the last to run, which gives the logits.

    Parameters
    ----------
    network : Network
    x : torch.Tensor of shape (n, ...)
        Not changed, even if the network works in place.

    Returns
    -------
    logits : torch.Tensor of shape (n, n_classes)
    layers : list of torch.Tensor
        In the order of execution.
    """
    parts: list[nn.Module] = [
        part
        for part in network.module.modules()
        if not isinstance(part, torch.jit.ScriptModule)  # cannot be watched
    ]
    modules = [part for part in parts if isinstance(part, ACTIVATION_LAYERS)]
    by_activations = bool(modules)
    if not by_activations:
        modules = [part for part in parts if _has_matrix(part)]
    layers: list[torch.Tensor | None] = []

    def watch(module, args, output):
        if not isinstance(output, torch.Tensor) or not output.is_floating_point():
            layers.append(None)
            return None
        # Two copies: what comes next may work in place, and so may whoever holds the output.
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


def _rows(layer):
    # The first axis of a scalar is none.
    return layer.double().reshape(layer.shape[:1].numel(), -1)


def _norms(rows):
    norms = torch.linalg.vector_norm(rows, dim=1)
    if ((norms == 0) | torch.isinf(norms)).any():
        # Squares leave the range of floats where inputs are very large, or very small.
        largest = rows.abs().amax(dim=1, keepdim=True)
        largest = torch.where(largest > 0, largest, 1.0)
        norms = largest[:, 0] * torch.linalg.vector_norm(rows / largest, dim=1)
    return norms


def _has_matrix(module):
    weight = getattr(module, "weight", None)
    return isinstance(weight, torch.Tensor) and weight.ndim > 1


def margin_gradients(network, x, y, run):
    """Margins of a batch, and the norms of their gradients, layer by layer.

    Parameters
    ----------
    network : Network
    x : torch.Tensor of shape (n, ...)
    y : torch.Tensor of int of shape (n,)
    run : callable
        ``of_input`` or ``of_layers``.

    Returns
    -------
    margins : torch.Tensor of float64 of shape (n,)
    norms : list of torch.Tensor of float64 of shape (n,)
        None for a layer that the logits do not depend on in a differentiable way.
    """
    x = x.detach().requires_grad_()
    # cuDNN has no backward pass for recurrent networks in evaluation mode.
    recurrent = any(isinstance(part, nn.RNNBase) for part in network.module.modules())
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=not recurrent):
        logits, layers = run(network, x)
        margin = logit_margins(logits, y)
        gradients: Any = [None] * len(layers)
        if margin.requires_grad:
            gradients = torch.autograd.grad(margin.sum(), layers, allow_unused=True)
    norms = [None if gradient is None else _norms(_rows(gradient)) for gradient in gradients]
    return margin.detach().double(), norms


def total_variations(network, sample):
    """Total variation of each layer of :func:`of_layers`: the sum of its units' variances.

    Parameters
    ----------
    network : Network
    sample : torch.Tensor of shape (n, ...)

    Returns
    -------
    variations : list of float
        Divided by n, not n - 1. 0 for a layer that is the same for all samples, and for one
        whose first axis is not that of the samples.
    """

    def evaluated(x, chunk=None):
        with torch.no_grad():
            return of_layers(network, x)[1]

    with torch.no_grad():
        alone, pair = (evaluated(sample[:n]) for n in (1, 2))
        check_number(network, pair, alone)
        # One axis as long as the batch may be so by chance, not with one sample and with two.
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


def check_number(network, layers, known):
    """Refuse a network that has more or fewer layers for some samples than for others."""
    if len(layers) != len(known):
        raise TypeError(
            f"{type(network.module).__name__} runs another number of layers for some samples "
            "than for others, so its hidden layers cannot be compared. scale='distance' works "
            "for it."
        )


class _Moments:
    """Mean and variance of the units of a layer, batch by batch."""

    def __init__(self, layer):
        # Less the first sample: what is the same for all samples is exactly zero then.
        self.first = _rows(layer)[:1]
        self.eps = torch.finfo(layer.dtype).eps
        self.n = 0
        self.mean = self.deviations = self.squares = torch.zeros_like(self.first[0])

    def add(self, layer):
        values = _rows(layer)
        self.squares = self.squares + values.square().sum(dim=0)
        values = values - self.first
        mean, n = values.mean(dim=0), len(values)
        step = mean - self.mean
        self.deviations = self.deviations + (values - mean).square().sum(dim=0)
        self.deviations += step.square() * (self.n * n / (self.n + n))
        self.mean = self.mean + step * (n / (self.n + n))
        self.n += n

    def total_variation(self):
        rounding = (_N_ROUNDINGS * self.eps) ** 2 * self.squares
        return (self.deviations * ~(self.deviations <= rounding)).sum().item() / self.n
