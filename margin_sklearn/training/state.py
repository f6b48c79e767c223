"""What a MarginClassifier has learned, kept as it was when training fails."""

import itertools
from contextlib import contextmanager

import torch

__all__ = ["kept_on_error"]


@contextmanager
def kept_on_error(estimator, in_place):
    """Leave the estimator as it was before the block if an exception comes out of it.

    Parameters
    ----------
    estimator : MarginClassifier
    in_place : bool
        Whether the block trains ``net_`` on. A new fit makes a new one: then there is nothing
        to copy.
    """
    before = dict(vars(estimator))
    put_back = _net_state(estimator.net_) if in_place else None
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        if put_back is not None:
            put_back()
        raise


def _net_state(net):
    """A function that puts a net back as it is now; weights and optimizer are copied."""
    attributes = dict(vars(net))
    tensors = {name: tensor.detach().clone() for name, tensor in _tensors(net).items()}
    optimizer = _copy(net.optimizer_.state_dict())
    n_epochs = len(net.history)
    callbacks = [(callback, dict(vars(callback))) for _, callback in net.callbacks_]

    def put_back():
        vars(net).clear()
        vars(net).update(attributes)
        with torch.no_grad():
            for name, tensor in _tensors(net).items():
                tensor.copy_(tensors[name])
        net.optimizer_.load_state_dict(optimizer)
        del net.history[n_epochs:]
        for callback, state in callbacks:
            vars(callback).clear()
            vars(callback).update(state)

    return put_back


def _tensors(net):
    parts = {"module": net.module_, "criterion": net.criterion_}
    return {
        f"{part}.{name}": tensor
        for part, module in parts.items()
        if isinstance(module, torch.nn.Module)
        for name, tensor in itertools.chain(module.named_parameters(), module.named_buffers())
    }


def _copy(state):
    """A copy of nested dicts and lists of tensors; copy.deepcopy takes ten times as long."""
    if isinstance(state, torch.Tensor):
        return state.detach().clone()
    if isinstance(state, dict):
        return {key: _copy(value) for key, value in state.items()}
    if isinstance(state, list):
        return [_copy(value) for value in state]
    return state
