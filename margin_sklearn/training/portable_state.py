"""The state of a skorch net, such that any pickler can store it and any machine read it.

skorch pickles the parts that may lie on a GPU apart, as bytes in the pickle, and by the
standard library's pickler: it cannot store a module's class that a script or a notebook
defines, which joblib's (cloudpickle) can. Here they stay in the state, moved to the CPU.
"""

import copy

import torch
from skorch.utils import get_map_location

__all__ = ["state_for_pickling", "state_for_training"]

# The modules and what belongs to them; as one graph, for the optimizer holds parameters.
PARTS = ("module", "module_", "criterion", "criterion_", "optimizer", "optimizer_")


def state_for_pickling(state):
    """``vars`` of a net, with everything that lay on another device on the CPU."""
    if torch.device(state["device"]).type == "cpu":
        return dict(state)
    parts = copy.deepcopy({name: state[name] for name in PARTS if name in state})
    _move(parts, torch.device("cpu"))
    callbacks = [
        (name, _with_optimizer(callback, state["optimizer_"], parts["optimizer_"]))
        for name, callback in state.get("callbacks_", [])
    ]
    return {**state, **parts, "callbacks_": callbacks}


def state_for_training(state, check_device):
    """What :func:`state_for_pickling` gave, on the device the net was on, if it is there.

    Parameters
    ----------
    state : dict
    check_device : callable
        ``check_device(wanted, there) -> device``: warns if the two differ.
    """
    state = dict(state)
    state["device"] = check_device(state["device"], get_map_location(state["device"]))
    device = torch.device(state["device"])
    if device.type != "cpu":
        _move(state, device)
    return state


def _move(state, device):
    for name in PARTS:
        part = state.get(name)
        if isinstance(part, torch.nn.Module):
            # In place: the optimizer's parameters move with it.
            part.to(device)
        elif isinstance(part, torch.optim.Optimizer):
            for values in part.state.values():
                values.update(_moved(values, device))


def _moved(value, device):
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {key: _moved(item, device) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_moved(item, device) for item in value)
    return value


def _with_optimizer(callback, old, new):
    """A callback whose schedule of learning rates, if it has one, steps the copy."""
    schedule = getattr(callback, "lr_scheduler_", None)
    if schedule is None or getattr(schedule, "optimizer", None) is not old:
        return callback
    callback, schedule = copy.copy(callback), copy.copy(schedule)
    schedule.optimizer, callback.lr_scheduler_ = new, schedule
    return callback
