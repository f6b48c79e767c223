"""The training state of a net: copied, restored after an error or a bad epoch, as tensors."""

import copy
import itertools
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

__all__ = ["NetState", "with_tensors", "without_tensors"]


@dataclass(frozen=True)
class NetState:
    """A copy of what training changes in a net; parts that are None are not restored.

    Parameters
    ----------
    weights : dict of str to torch.Tensor
        Parameters and buffers of the module and the criterion.
    optimizer : dict or None
        The optimizer's ``state_dict``.
    extra : dict of str to object
        What ``get_extra_state`` of modules returned.
    history : list of dict or None
        The rows of skorch's history.
    generators : list of torch.Tensor or None
        States of torch's random generators, from
        :func:`~margin_sklearn.runtime.generator_state`.
    frozen : list of str or None
        Parameters that are not trained (``requires_grad`` is False).

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from margin_sklearn import MarginClassifier
    >>> from margin_sklearn.training.state import NetState
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MarginClassifier(max_epochs=1, random_state=0).fit(X, y)
    >>> state = NetState.copy(model.net_)
    >>> state.holds(model.partial_fit(X, y).net_)
    False
    >>> state.restore(model.net_)
    >>> state.holds(model.net_)
    True
    """

    weights: dict
    optimizer: dict | None = None
    extra: dict = field(default_factory=dict)
    history: list | None = None
    generators: list | None = None
    frozen: list | None = None

    @classmethod
    def copy(cls, net, *, optimizer=True, history=False, generators=None):
        """Copy the current state of a net.

        Parameters
        ----------
        net : MarginNet
        optimizer : bool, default=True
            Whether to include the optimizer's state.
        history : bool, default=False
            Whether to include the history.
        generators : list of torch.Tensor, default=None

        Returns
        -------
        state : NetState
            It shares no memory with the net, except the history rows, which do not change
            once their epoch is complete.
        """
        return cls(
            {name: tensor.detach().clone() for name, tensor in _tensors(net).items()},
            _copied(net.optimizer_.state_dict()) if optimizer else None,
            {
                name: copy.deepcopy(module.get_extra_state())
                for name, module in _with_extra_state(net).items()
            },
            list(net.history) if history else None,
            None if generators is None else _copied(generators),
            [name for name, part in _parameters(net).items() if not part.requires_grad],
        )

    def restore(self, net):
        """Restore the state of a net; the caller must restore the generators.

        Parameters
        ----------
        net : MarginNet
            A net with the same module and optimizer.
        """
        with torch.no_grad():
            for name, tensor in _tensors(net).items():
                kept = self.weights.get(name, tensor)
                if kept.shape == tensor.shape:
                    tensor.copy_(kept)
                else:
                    # A buffer that follows the size of the batch.
                    tensor.data = kept.to(tensor.device, copy=True)
        if self.frozen is not None:
            for name, parameter in _parameters(net).items():
                if parameter.requires_grad is (name in self.frozen):
                    parameter.requires_grad_(name not in self.frozen)
        for name, module in _with_extra_state(net).items():
            if name in self.extra:
                module.set_extra_state(copy.deepcopy(self.extra[name]))
        if self.optimizer is not None:
            # A copy, because the optimizer modifies what it is given.
            net.optimizer_.load_state_dict(_copied(self.optimizer))
        if self.history is not None:
            net.history[:] = self.history

    def holds(self, net):
        """Whether a net currently has these weights.

        Parameters
        ----------
        net : MarginNet

        Returns
        -------
        same : bool
            False if any weight is NaN.
        """
        now = _tensors(net)
        return all(
            name in now and _equal(now[name], kept.to(now[name].device))
            for name, kept in self.weights.items()
        )

    def to_tensors(self):
        """Split the state into tensors and the rest, in a form that JSON can store.

        Returns
        -------
        tensors : dict of str to torch.Tensor
        others : dict
        """
        tensors: dict[str, torch.Tensor] = {}
        others = {
            part: without_tensors(getattr(self, part), part, tensors)
            for part in ("weights", "optimizer", "extra", "history", "generators", "frozen")
        }
        return tensors, others

    @classmethod
    def from_tensors(cls, tensors, others):
        """Rebuild the state from the output of :meth:`to_tensors`.

        Parameters
        ----------
        tensors : dict of str to torch.Tensor
        others : dict

        Returns
        -------
        state : NetState
        """
        return cls(**{part: with_tensors(value, tensors) for part, value in others.items()})


def _with_extra_state(net):
    """Modules that keep more than tensors (``torch.nn.Module.get_extra_state``)."""
    return {
        f"{part}.{name}": module
        for part, whole in _parts(net).items()
        for name, module in whole.named_modules()
        if type(module).get_extra_state is not torch.nn.Module.get_extra_state
    }


def _parts(net):
    parts = {"module": net.module_, "criterion": net.criterion_}
    return {
        part: module for part, module in parts.items() if isinstance(module, torch.nn.Module)
    }


def _parameters(net):
    return {
        f"{part}.{name}": parameter
        for part, module in _parts(net).items()
        for name, parameter in module.named_parameters()
    }


def _tensors(net):
    return {
        f"{part}.{name}": tensor
        for part, module in _parts(net).items()
        for name, tensor in itertools.chain(module.named_parameters(), module.named_buffers())
    }


def _equal(one, other):
    if one.is_floating_point() and one.element_size() == 1:
        # torch 2.5 does not compare numbers of eight bits.
        one, other = one.view(torch.uint8), other.view(torch.uint8)
    return torch.equal(one, other)


def _copied(value: Any) -> Any:
    """Copy nested containers of tensors; copy.deepcopy takes ten times as long."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_copied(item) for item in value)
    return value


def without_tensors(value, name, tensors):
    """Replace the tensors in nested containers by their names, for JSON.

    Parameters
    ----------
    value : object
        Numbers, strings, None, tensors, and dicts, lists and tuples of them.
    name : str
        What it is; tensors are named after it.
    tensors : dict of str to torch.Tensor
        The tensors are added to it.

    Returns
    -------
    value : object
        What JSON can store.

    Raises
    ------
    TypeError
        If there is anything else in it.
    """
    if isinstance(value, torch.Tensor):
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict):
        # A list of pairs, because keys may be numbers.
        for key in value:
            if not (key is None or isinstance(key, bool | int | float | str)):
                raise TypeError(
                    f"{name} in the training state has the key {key!r}, which cannot be "
                    "stored without pickle: numbers and strings can."
                )
        return {
            "dict": [
                [key, without_tensors(item, f"{name}.{key}", tensors)]
                for key, item in value.items()
            ]
        }
    if isinstance(value, list | tuple):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {
            kind: [
                without_tensors(item, f"{name}.{place}", tensors)
                for place, item in enumerate(value)
            ]
        }
    raise TypeError(
        f"{name} in the training state is a {type(value).__name__}, which cannot be stored "
        "without pickle: numbers, strings, tensors, dicts, lists and tuples can."
    )


def with_tensors(value, tensors):
    """The inverse of :func:`without_tensors`.

    Parameters
    ----------
    value : object
    tensors : dict of str to torch.Tensor

    Returns
    -------
    value : object
    """
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: with_tensors(item, tensors) for key, item in content}
    items = [with_tensors(item, tensors) for item in content]
    return tuple(items) if kind == "tuple" else items
