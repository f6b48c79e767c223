"""The state of a skorch net in a form that any pickler can store and any machine can load.

skorch pickles the parts that may be on a GPU separately, as bytes within the pickle, with the
standard library's pickler. That pickler cannot store a module class defined in a script or a
notebook; joblib's (cloudpickle) can. Here these parts stay in the state, moved to the CPU.
"""

import copy

import torch
from skorch.utils import get_map_location

__all__ = ["state_for_pickling", "state_for_training"]

# The modules and their optimizer: copied together, because the optimizer holds parameters.
PARTS = ("module", "module_", "criterion", "criterion_", "optimizer", "optimizer_")


def state_for_pickling(state):
    """``vars`` of a net, with everything on another device moved to the CPU."""
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
    """Move the state from :func:`state_for_pickling` to the net's device, if available.

    Parameters
    ----------
    state : dict
    check_device : callable
        ``check_device(wanted, available) -> device``; warns if the two differ.
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
    """A callback whose learning-rate schedule, if it has one, acts on the copied optimizer."""
    schedule = getattr(callback, "lr_scheduler_", None)
    if schedule is None or getattr(schedule, "optimizer", None) is not old:
        return callback
    callback, schedule = copy.copy(callback), copy.copy(schedule)
    schedule.optimizer, callback.lr_scheduler_ = new, schedule
    return callback
