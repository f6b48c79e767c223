"""Check the parameters of MarginClassifier before any work is done."""

import inspect
import numbers
import os
import re

import numpy as np
import pandas as pd
import torch
from skorch.callbacks import Callback, LRScheduler

from ..checks import (
    InvalidParameterError,
    check_bool,
    check_choice,
    check_int,
    check_random_state_parameter,
    check_real,
    check_verbose,
    refuse,
)
from ..nn.losses import CRITERIA
from ..training.build import OPTIMIZERS
from ..training.schedules import SCHEDULES

__all__ = ["check_classes", "check_settings"]


def check_settings(estimator):
    """Raise an InvalidParameterError if a parameter of a MarginClassifier is invalid.

    Nested parameters such as ``module__…`` are checked by the parts themselves.
    """
    _check_module(estimator.module)
    _check_part("criterion", estimator.criterion, CRITERIA, torch.nn.Module)
    _check_part("optimizer", estimator.optimizer, OPTIMIZERS, torch.optim.Optimizer)
    check_real("lr", estimator.lr, 0, closed="neither", also=("auto",))
    check_real("weight_decay", estimator.weight_decay, 0)
    check_int("max_epochs", estimator.max_epochs, 1, also=("auto",))
    check_int("batch_size", estimator.batch_size, -1, also=("auto",))
    if estimator.batch_size == 0:
        refuse("batch_size", "positive, or -1 for all samples", 0)
    stop = estimator.stop_at_separation
    if not isinstance(stop, bool | np.bool_) and not (
        isinstance(stop, numbers.Real) and 0 < float(stop) <= 1
    ):
        refuse(
            "stop_at_separation",
            "True, False or the share of correctly classified samples, a float in (0, 1]",
            stop,
        )
    check_choice("restore_best", estimator.restore_best, (None, "margin_auc"))
    if estimator.restore_best is not None and stop:
        raise ValueError(
            f"stop_at_separation={stop} keeps the epoch that separates the samples, "
            f"restore_best={estimator.restore_best!r} may restore another: choose one of them."
        )
    _check_class_weight(estimator.class_weight)
    check_bool("warm_start", estimator.warm_start)
    _check_callbacks(estimator.callbacks)
    _check_callback_parameters(estimator)
    _check_schedule(estimator)
    check_int("checkpoint_every", estimator.checkpoint_every, 1)
    folder = estimator.checkpoint
    if folder is not None and (not isinstance(folder, str | os.PathLike) or folder == ""):
        refuse("checkpoint", "None or the path of a folder", folder)
    device = estimator.device
    if not isinstance(device, str | torch.device):
        refuse("device", "'auto' or the name of a torch device such as 'cpu'", device)
    check_random_state_parameter("random_state", estimator.random_state)
    check_verbose(estimator.verbose)


def _check_schedule(estimator):
    """Check ``lr_schedule`` and its parameters, and that no callback sets rates as well."""
    schedule, kind = estimator.lr_schedule, torch.optim.lr_scheduler.LRScheduler
    arguments = [name for name in vars(estimator) if name.startswith("lr_schedule__")]
    if isinstance(schedule, type):
        if not issubclass(schedule, kind):
            refuse("lr_schedule", "a class of torch.optim.lr_scheduler", schedule)
        if issubclass(schedule, torch.optim.lr_scheduler.ReduceLROnPlateau):
            raise ValueError(
                "lr_schedule=ReduceLROnPlateau needs a score after every epoch, but schedules "
                "are stepped after every batch: set lr_schedule='constant' and pass skorch's "
                "LRScheduler('ReduceLROnPlateau', monitor='train_loss') in callbacks."
            )
        needed = [
            name
            for name, parameter in inspect.signature(schedule).parameters.items()
            if name == "schedulers" and parameter.default is parameter.empty
        ]
        if needed:
            raise ValueError(
                f"lr_schedule={schedule.__name__} needs schedulers that are built on the "
                "optimizer, which exists only during the fit: pass a subclass whose "
                "__init__(self, optimizer, total_steps) builds them."
            )
    elif not isinstance(schedule, str) or schedule not in SCHEDULES:
        named = ", ".join(map(repr, SCHEDULES))
        refuse(
            "lr_schedule", f"one of {named} or a class of torch.optim.lr_scheduler", schedule
        )
    elif arguments:
        raise InvalidParameterError(
            f"lr_schedule={schedule!r} has no parameters, got {arguments[0]}: pass a class "
            "such as torch.optim.lr_scheduler.OneCycleLR as lr_schedule, or make the "
            f"estimator without {arguments[0]} (in a search, put it into the grid of that "
            "class: a grid may be a list of dicts)."
        )
    # Until separation, and in place of one cycle, the rate is constant.
    constant = schedule == "constant" or (
        schedule == "one_cycle" and bool(estimator.stop_at_separation)
    )
    if not constant:
        for entry in estimator.callbacks or ():
            callback = _callback(entry)
            if isinstance(callback, LRScheduler) or (
                isinstance(callback, type) and issubclass(callback, LRScheduler)
            ):
                raise ValueError(
                    f"callbacks has an LRScheduler, and lr_schedule={schedule!r} sets the "
                    "learning rate as well: set lr_schedule='constant'."
                )


def _check_class_weight(class_weight):
    if not isinstance(class_weight, dict):
        if class_weight is not None and not (
            isinstance(class_weight, str) and class_weight == "balanced"
        ):
            refuse("class_weight", "a dict, 'balanced' or None", class_weight)
        return
    for label, weight in class_weight.items():
        check_real(f"class_weight[{label!r}]", weight, 0)


def _check_module(module):
    if not isinstance(module, torch.nn.Module):
        try:
            inspect.signature(module)
        except (TypeError, ValueError):
            # Not callable, or a built-in such as int.
            refuse("module", "a torch.nn.Module class or a function that makes one", module)


def _check_part(name, value, known, kind):
    if isinstance(value, type):
        if not issubclass(value, kind):
            refuse(name, f"a class of {kind.__module__}.{kind.__qualname__}", value)
    elif not callable(value) and not (isinstance(value, str) and value in known):
        refuse(name, f"one of {', '.join(map(repr, known))} or a torch class", value)


def _check_callbacks(callbacks):
    if callbacks is not None and (
        not isinstance(callbacks, list | tuple)
        or not all(_is_callback(entry) for entry in callbacks)
    ):
        refuse(
            "callbacks",
            "None or a list of skorch callbacks or of (name, callback) tuples",
            callbacks,
        )


def _is_callback(entry):
    callback = _callback(entry)
    return isinstance(callback, Callback) or (
        isinstance(callback, type) and issubclass(callback, Callback)
    )


def _callback(entry):
    named = isinstance(entry, tuple) and len(entry) == 2 and isinstance(entry[0], str)
    return entry[1] if named else entry


def _check_callback_parameters(estimator):
    """Raise for ``callbacks__NAME__…`` without such a callback, which skorch would ignore."""
    names = []
    for entry in estimator.callbacks or ():
        callback = _callback(entry)
        kind = callback if isinstance(callback, type) else type(callback)
        names.append(entry[0] if callback is not entry else kind.__name__)
    for parameter in vars(estimator):
        prefix, _, rest = parameter.partition("__")
        name = rest.partition("__")[0]
        # skorch numbers callbacks that share a name: EpochScoring_1, EpochScoring_2.
        if (
            prefix == "callbacks"
            and rest
            and not {name, re.sub(r"_\d+$", "", name)} & {*names}
        ):
            raise InvalidParameterError(
                f"{parameter} is for a callback named {name!r}, but callbacks has "
                f"{names or 'none'}: pass (name, callback) tuples to name them."
            )


def check_classes(classes):
    """Raise an InvalidParameterError unless ``classes`` is valid for ``partial_fit``.

    Parameters
    ----------
    classes : array-like of shape (n_classes,)
        All labels that any call will contain.
    """
    try:
        labels = list(np.asarray(classes, dtype=object))
        known = len(set(labels)) > 1 and not pd.isna(labels).any()
    except (TypeError, ValueError):
        # A scalar or nested lists.
        known = False
    if not known:
        refuse("classes", "a list of all labels, two or more, no NaN", classes)
    if len({isinstance(label, str) for label in labels}) > 1:
        raise InvalidParameterError(
            f"classes mix strings with labels of other types, got {classes!r}: use labels of "
            "one type."
        )
