"""Many torch modules of one architecture, computed as one."""

import copy

import joblib
import torch
from torch import nn

from .stacked_layers import layers_form, layers_key

__all__ = ["StackedModules", "architecture"]


def architecture(module, origin=()):
    """What modules must have in common to be stacked, or None.

    Parameters
    ----------
    module : torch.nn.Module
    origin : tuple
        How the module was made: its class or function and the arguments. Modules that are not
        sequences of known layers are alike only if they were made alike.

    Returns
    -------
    key : tuple or None
        None if the module cannot be stacked: some weights are not float32, or do not train, or
        a hook does something besides.
    """
    weights, buffers = list(module.named_parameters()), list(module.named_buffers())
    device = weights[0][1].device if weights else None
    if not weights or not all(
        weight.dtype == torch.float32
        and weight.requires_grad
        and weight.device == device
        and not nn.parameter.is_lazy(weight)
        for _, weight in weights
    ):
        return None
    if any(_hooked(part) for part in (*module.modules(), *module.parameters())):
        return None
    if not all(buffer.layout is torch.strided for _, buffer in buffers):
        return None
    parts = [part for _, part in module.named_modules(remove_duplicate=False)]
    tensors = [part for part in parts if [*part.parameters(), *part.buffers()]]
    if len({*map(id, tensors)}) < len(tensors):
        # torch.func does not restore a module that occurs twice.
        return None
    shapes = tuple(
        (name, tuple(tensor.shape), tensor.dtype) for name, tensor in (*weights, *buffers)
    )
    known = layers_key(module)
    return (known, shapes) if known is not None else (type(module), origin, shapes)


# Where torch keeps the hooks of modules and of tensors.
_HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_post_accumulate_grad_hooks",
)


def _hooked(part):
    """Whether a module or weight does more than its class says."""
    # A method of one object only stands among its attributes.
    return any(getattr(part, name, None) for name in _HOOKS) or "forward" in vars(part)


class StackedModules:
    """K modules of one architecture as one function of their stacked weights.

    Modules that are sequences of linear layers, batch norms, activations, dropout and
    numerical embeddings (such as :class:`MLP`) are computed layer by layer, all modules in one
    operation. Others are computed by :func:`torch.func.vmap`.

    While the modules are *bound*, their own weights are views of the stacked ones, so each of
    them computes with the present weights.

    Parameters
    ----------
    modules : list of torch.nn.Module
        With the same :func:`architecture`.

    Attributes
    ----------
    layered : bool
        Whether the modules are computed layer by layer.
    flat : torch.Tensor of float32 of shape (n_modules, n_weights)
        The weights, a row per module.
    weights : dict of str to torch.Tensor
        Views of ``flat`` by parameter, of shape (n_modules, ...), that record gradients.
    buffers : dict of str to torch.Tensor
        Of shape (n_modules, ...).
    """

    def __init__(self, modules):
        self.modules = modules
        named = list(modules[0].named_parameters())
        self._sizes = [weight.numel() for _, weight in named]
        self.flat = torch.empty(
            len(modules), sum(self._sizes), device=named[0][1].device, dtype=named[0][1].dtype
        )
        self.weights = {
            name: view.view(len(modules), *weight.shape)
            for (name, weight), view in zip(
                named, self.flat.split(self._sizes, 1), strict=True
            )
        }
        with torch.no_grad():
            for k, module in enumerate(modules):
                for name, weight in module.named_parameters():
                    self.weights[name][k].copy_(weight)
        for weight in self.weights.values():
            weight.requires_grad_()
        buffers = [dict(module.named_buffers()) for module in modules]
        self.buffers = {
            name: torch.stack([own[name] for own in buffers]) for name in buffers[0]
        }
        form = layers_form(modules)
        self.layered = form is not None
        self._form = _vmapped(modules[0]) if form is None else form

    def __len__(self):
        return len(self.modules)

    def logits(self, x, training=False):
        """Logits of every module.

        Parameters
        ----------
        x : torch.Tensor of shape (n_modules, n_samples, ...)
            The inputs of each module.
        training : bool, default=False
            Whether batch norm and dropout work as in training.

        Returns
        -------
        logits : torch.Tensor of shape (n_modules, n_samples, n_classes)
        """
        return self._form(self.weights, self.buffers, x, training)

    def agrees(self, x):
        """Whether the modules give the same logits one by one, for some inputs.

        A module may do what cannot be stacked: keep state elsewhere than in parameters and
        buffers, or depend on values of its input.

        Parameters
        ----------
        x : torch.Tensor of shape (n_samples, ...)

        Returns
        -------
        same : bool
        """
        states = {_other_state(module) for module in self.modules}
        if len(states) > 1 or None in states:
            return False
        before = {name: buffer.clone() for name, buffer in self.buffers.items()}
        inputs = x.expand(len(self), *x.shape)
        try:
            # Copies, which may change as they are called.
            if _replaces_tensors(copy.deepcopy(self.modules[0]), x.clone()):
                return False
            base = copy.deepcopy(self.modules[0])
            form = self._form if self.layered else _vmapped(base)
            with torch.no_grad():
                together = form(self.weights, self.buffers, inputs.clone(), False)
                for module, logits in zip(self.modules, together, strict=True):
                    if not torch.allclose(logits, module.eval()(x.clone()), 1e-3, 1e-3):
                        return False
            logits = form(self.weights, self.buffers, inputs.clone(), True)
            # An error if a weight has no gradient: torch's optimizers pass over such ones.
            torch.autograd.grad(logits.sum(), list(self.weights.values()))
            return _other_state(base) in states
        except Exception:
            # What torch and modules raise for operations that vmap does not know differs.
            return False
        finally:
            self.buffers = before

    def bind(self):
        """Make the weights of the modules views of the stacked weights."""
        self._own = [
            {name: tensor.data for name, tensor in _tensors(module)} for module in self.modules
        ]
        for k, module in enumerate(self.modules):
            for name, tensor in _tensors(module):
                stacked = self.weights[name] if name in self.weights else self.buffers[name]
                tensor.data = stacked.detach()[k]

    def release(self):
        """Give the modules weights of their own again, with the present values."""
        for module, own in zip(self.modules, self._own, strict=True):
            for name, tensor in _tensors(module):
                # In the memory layout that they had, such as channels-last.
                tensor.data = own[name].copy_(tensor.data)

    def gradients(self, loss, out):
        """Write the gradients of a loss into a tensor shaped like ``flat``.

        Parameters
        ----------
        loss : torch.Tensor
            The sum of the losses of all modules.
        out : torch.Tensor of shape (n_modules, n_weights)
        """
        found = torch.autograd.grad(loss, list(self.weights.values()))
        for gradient, part in zip(found, out.split(self._sizes, dim=1), strict=True):
            part.view(gradient.shape).copy_(gradient)

    def parts(self, row):
        """Split a row like those of ``flat`` into tensors of the shapes of the parameters.

        Parameters
        ----------
        row : torch.Tensor of shape (n_weights,)

        Returns
        -------
        parts : list of torch.Tensor
            Views, in the order of ``parameters()`` of a module.
        """
        return [
            part.view(weight.shape[1:])
            for part, weight in zip(row.split(self._sizes), self.weights.values(), strict=True)
        ]


def _tensors(module):
    return [*module.named_parameters(), *module.named_buffers()]


def _replaces_tensors(module, x):
    """Whether a call in training mode puts new tensors in place of buffers or weights.

    torch.func does not keep them; it keeps changes in place.
    """
    before = [*_tensors(module.train())]
    with torch.no_grad():
        module(x)
    after = _tensors(module)
    return len(before) != len(after) or any(
        old[0] != new[0] or old[1] is not new[1]
        for old, new in zip(before, after, strict=True)
    )


def _other_state(module):
    """Hash of what a module keeps in plain attributes; None if it cannot be hashed."""
    own = [
        {name: value for name, value in vars(part).items() if name not in _OF_TORCH}
        for part in module.modules()
    ]
    try:
        return joblib.hash(own)
    except Exception:  # objects that cannot be pickled raise anything
        return None


# Attributes of every module: weights and submodules, hooks, and the mode.
_OF_TORCH = {*vars(nn.Module())}


def _vmapped(module):
    """Any module as a function of stacked weights, by torch.func."""

    def call(weights, buffers, x):
        return torch.func.functional_call(module, (weights, buffers), (x,))

    each = torch.func.vmap(call, randomness="different")

    def logits(weights, buffers, x, training):
        if module.training != training:
            module.train(training)
        return each(weights, buffers, x)

    return logits
