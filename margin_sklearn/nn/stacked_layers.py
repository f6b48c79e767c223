"""Sequences of known layers, computed for many networks at once.

Between the layers, the units of all networks are rows: tensors of shape (n_networks, n_units,
n_samples). So every linear layer is one batched product, and the batch norms of all networks
are one, over n_networks * n_units channels: their statistics run along contiguous memory.
"""

import torch
from torch import nn

from .embeddings import PeriodicEmbedding
from .layer_kinds import POINTWISE_ACTIVATIONS
from .modules import MLP

__all__ = ["layers_form", "layers_key"]

EPS = torch.finfo(torch.float32).eps


def layers_key(module):
    """What sequences of layers must have in common to be computed together.

    Parameters
    ----------
    module : torch.nn.Module

    Returns
    -------
    key : tuple of str or None
        None if the module is not a sequence of known layers. Shares of dropout may differ.
    """
    if type(module) not in (MLP, nn.Sequential):
        return None
    layers = list(module)
    named = [*module.named_parameters(remove_duplicate=False)]
    # A layer that occurs twice has weights that are shared, and so have tied layers.
    if len({*map(id, layers)}) < len(layers) or len({id(p) for _, p in named}) < len(named):
        return None
    if not all(_known(layer, place) for place, layer in enumerate(layers)):
        return None
    return tuple("Dropout" if type(layer) is nn.Dropout else repr(layer) for layer in layers)


def _known(layer, place):
    kind = type(layer)
    if kind is nn.Flatten:
        return place == 0 and (layer.start_dim, layer.end_dim) == (1, -1)
    if kind is nn.BatchNorm1d:
        return layer.affine and layer.track_running_stats and layer.momentum is not None
    if kind is nn.Dropout:
        return not layer.inplace
    return kind in (nn.Linear, nn.Identity, PeriodicEmbedding, *POINTWISE_ACTIVATIONS)


def layers_form(modules):
    """A function that computes the logits of all modules from their stacked weights.

    Parameters
    ----------
    modules : list of torch.nn.Module
        With the same :func:`layers_key`.

    Returns
    -------
    logits : callable or None
        ``(weights, buffers, x, training) -> logits``, see
        :class:`~margin_sklearn.nn.stacked_modules.StackedModules`. None if the modules are not
        sequences of known layers.
    """
    if layers_key(modules[0]) is None:
        return None
    steps = [
        _step(name, [module.get_submodule(name) for module in modules])
        for name, _ in modules[0].named_children()
    ]

    def logits(weights, buffers, x, training):
        units = x.flatten(2).mT
        for step in steps:
            units = step(weights, buffers, units, training)
        return units.mT

    return logits


def _step(name, layers):
    kind = type(layers[0])
    if kind is nn.Linear:
        return _linear(name, layers[0].bias is not None)
    if kind is nn.BatchNorm1d:
        return _batch_norm(name, layers[0])
    if kind is nn.Dropout:
        return _dropout([layer.p for layer in layers])
    if kind is PeriodicEmbedding:
        return _embedding(name)
    if kind is nn.Flatten:
        return lambda weights, buffers, units, training: units
    return lambda weights, buffers, units, training: layers[0](units)


def _linear(name, biased):
    weight, bias = f"{name}.weight", f"{name}.bias"

    def step(weights, buffers, units, training):
        if not biased:
            return torch.bmm(weights[weight], units)
        return torch.baddbmm(weights[bias].unsqueeze(2), weights[weight], units)

    return step


def _batch_norm(name, layer):
    weight, bias = f"{name}.weight", f"{name}.bias"
    mean, variance = f"{name}.running_mean", f"{name}.running_var"
    batches, momentum, eps = f"{name}.num_batches_tracked", layer.momentum, layer.eps

    def step(weights, buffers, units, training):
        if training:
            buffers[batches].add_(1)
        normed = nn.functional.batch_norm(
            units.reshape(1, -1, units.shape[2]),
            buffers[mean].view(-1),
            buffers[variance].view(-1),
            weights[weight].reshape(-1),
            weights[bias].reshape(-1),
            training,
            momentum,
            eps,
        )
        return normed.view(units.shape)

    return step


def _dropout(shares):
    kept = None

    def step(weights, buffers, units, training):
        nonlocal kept
        if not training or not any(shares):
            return units
        if len(set(shares)) == 1:
            return nn.functional.dropout(units, shares[0])
        if kept is None:
            kept = 1 - units.new_tensor(shares).view(-1, 1, 1)
        # Where nothing is kept, not 0 / 0.
        return units * ((torch.rand_like(units) < kept) / kept.clamp(min=EPS))

    return step


def _embedding(name):
    weight, bias = f"{name}.weight", f"{name}.bias"
    frequency, phase = f"{name}.frequency", f"{name}.phase"

    def step(weights, buffers, units, training):
        columns = units.contiguous()
        waves = torch.cos(
            torch.addcmul(buffers[phase], columns.unsqueeze(2), buffers[frequency])
        )
        functions = torch.baddbmm(
            weights[bias].flatten(0, 1), weights[weight].flatten(0, 1), waves.flatten(0, 1)
        )
        return torch.cat([columns, functions.view(len(units), -1, units.shape[2])], dim=1)

    return step
