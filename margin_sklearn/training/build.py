"""Build the parts of a training run from settings: module, optimizer, callbacks, net."""

import copy
import inspect
from dataclasses import dataclass
from typing import Any

import torch
from skorch.callbacks import EpochTimer, PrintLog

from ..data.batches import Batches, Samples
from ..nn.losses import CRITERIA
from .net import MarginNet

__all__ = [
    "OPTIMIZERS",
    "TrainingSettings",
    "build_module",
    "build_net",
    "callbacks_in_order",
    "copied_callback",
    "module_of",
]

# The optimizers that can be named by a string.
OPTIMIZERS = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}


@dataclass(frozen=True)
class TrainingSettings:
    """The estimator parameters that a training run needs.

    Parameters
    ----------
    module, criterion, optimizer
        As for :class:`MarginClassifier`.
    lr : float
    lr_schedule, weight_decay, batch_size
        As for :class:`MarginClassifier`.
    restore_best, callbacks, verbose
        As for :class:`MarginClassifier`.
    stop : bool
        Whether to stop training at separation.
    share : float
        Share of the samples that must be correctly classified for separation.
    nested : dict
        The parameters ``module__…``, ``optimizer__…``, ``criterion__…``, ``callbacks__…`` and
        ``lr_schedule__…``.
    """

    module: Any
    criterion: Any
    optimizer: Any
    lr: float
    lr_schedule: str | type
    weight_decay: float
    batch_size: int
    restore_best: str | None
    callbacks: Any
    verbose: int
    stop: bool
    share: float
    nested: dict

    def of_part(self, part):
        """Nested parameters of one part, with the prefix removed."""
        prefix = f"{part}__"
        return {
            name.removeprefix(prefix): value
            for name, value in self.nested.items()
            if name.startswith(prefix)
        }

    def of_net(self):
        """Nested parameters of the parts that a net keeps."""
        return {
            name: value
            for name, value in self.nested.items()
            # Every training has a schedule of its own.
            if not name.startswith("lr_schedule__")
        }

    def changed_from(self, earlier):
        """Names of the settings that differ from ``earlier`` but must not change."""
        fixed = ("module", "criterion", "optimizer", "callbacks", "restore_best")
        now, then = (
            {**settings.of_net(), **{name: getattr(settings, name) for name in fixed}}
            for settings in (self, earlier)
        )
        return [
            name
            for name in sorted({*now, *then})
            if name not in now or name not in then or not _same(now[name], then[name])
        ]


def _same(a, b):
    """Whether two settings are equal; settings that cannot be compared are not."""
    try:
        return a is b or bool(a == b)
    except (TypeError, ValueError):
        return False


def build_net(settings, module, callbacks, *, n_classes, device, **running):
    """Build and initialise a skorch net around a module.

    Parameters
    ----------
    settings : TrainingSettings
    module : torch.nn.Module
        Already on the device.
    callbacks : list of (name, callback)
        In calling order.
    n_classes : int
    device : torch.device
    **running
        ``input_dtype``, ``n_threads`` and ``records_batches``, passed to :class:`MarginNet`.

    Returns
    -------
    net : MarginNet
    """
    optimizer = OPTIMIZERS.get(settings.optimizer, settings.optimizer)
    nested = {
        name: value
        for name, value in settings.of_net().items()
        if not name.startswith("module__")
    }
    net = MarginNet(
        module,
        criterion=CRITERIA.get(settings.criterion, settings.criterion),
        optimizer=optimizer,
        lr=settings.lr,
        batch_size=settings.batch_size,
        iterator_train=Batches,
        iterator_train__shuffle=True,
        iterator_valid=Batches,
        dataset=Samples,
        train_split=None,
        callbacks=callbacks,
        device=str(device),
        verbose=settings.verbose,
        n_classes=n_classes,
        **running,
        **{**_optimizer_settings(optimizer, settings, module, device), **nested},
    )
    return net.initialize()


def callbacks_in_order(users, log, *, first, after, last):
    """All callbacks of a training, in calling order, with names that differ from the user's.

    Parameters
    ----------
    users : list
        Callbacks of the user's, or (name, callback) tuples.
    log : bool
        Whether skorch's table of the epochs is printed.
    first, after, last : dict of str to callback or None
        This package's: before the user's, after them, and after the table.

    Returns
    -------
    callbacks : list
    """
    taken = {entry[0] for entry in users if isinstance(entry, tuple)}

    def named(callbacks):
        return [
            (_free_name(name, taken), callback)
            for name, callback in callbacks.items()
            if callback is not None
        ]

    timer = {"epoch_timer": EpochTimer()} if log else {}
    # Five numbers would take most of the table's width.
    table = {"print_log": PrintLog(keys_ignored="train_margin_quantiles")} if log else {}
    return [*named(timer | first), *users, *named(after | table), *named(last)]


def _free_name(name, taken):
    """A name for a callback of this package that no user callback has."""
    while name in taken:
        name += "_"
    return name


def copied_callback(entry):
    """Copy a callback or a (name, callback) tuple; share attributes that cannot be copied.

    Callbacks may hold locks, open files or connections.
    """
    if isinstance(entry, tuple):
        name, callback = entry
        return name, copied_callback(callback)
    try:
        return copy.deepcopy(entry)
    except Exception:  # user classes may raise anything
        copied, seen = copy.copy(entry), {id(entry): entry}
    for name, value in vars(entry).items():
        try:
            vars(copied)[name] = copy.deepcopy(value, seen)
        except Exception:
            vars(copied)[name] = value
    return copied


def module_of(settings, input_shape, n_classes):
    """Build the module of a training.

    Parameters
    ----------
    settings : TrainingSettings
    input_shape : tuple of int
        Shape of a sample.
    n_classes : int

    Returns
    -------
    module : torch.nn.Module
        On the CPU.
    """
    return build_module(
        settings.module,
        settings.of_part("module"),
        input_shape=input_shape,
        n_classes=n_classes,
    )


def build_module(module, parameters, **fixed_by_data):
    """Build a new module, passing the ``fixed_by_data`` arguments that its signature names.

    Parameters
    ----------
    module : type, callable or torch.nn.Module
        A module instance is copied, and training continues from its weights.
    parameters : dict
        The user's ``module__…`` parameters; they override ``fixed_by_data``.
    **fixed_by_data
        ``input_shape`` and ``n_classes``.
    """
    if isinstance(module, torch.nn.Module):
        if parameters:
            raise ValueError(
                f"module is an instance of {type(module).__name__}, so {sorted(parameters)} "
                "cannot be set with module__…: pass the class instead."
            )
        _refuse_script(module)
        return copy.deepcopy(module)
    accepted = inspect.signature(module).parameters
    wanted = {name: value for name, value in fixed_by_data.items() if name in accepted}
    built = module(**{**wanted, **parameters})
    if not isinstance(built, torch.nn.Module):
        raise TypeError(
            f"module must make a torch.nn.Module, but {module!r} made a "
            f"{type(built).__name__}."
        )
    _refuse_script(built)
    return built


def _refuse_script(module):
    if any(isinstance(part, torch.jit.ScriptModule) for part in module.modules()):
        raise ValueError(
            "module is a TorchScript module, which cannot be copied or pickled with its "
            "weights: pass the module that was given to torch.jit.script."
        )


def _optimizer_settings(optimizer, settings, module, device):
    """The skorch net's ``optimizer__`` arguments that the optimizer accepts.

    Steps are not fused if the user asks for another implementation.
    """
    weight_decay, asked_for = settings.weight_decay, settings.of_part("optimizer")
    accepted = inspect.signature(optimizer).parameters
    if "weight_decay" in accepted:
        arguments = {"optimizer__weight_decay": weight_decay}
    elif weight_decay:
        raise ValueError(
            f"{optimizer.__name__} has no weight_decay: set weight_decay=0, "
            f"got {weight_decay}."
        )
    else:
        arguments = {}
    if asked_for.get("differentiable"):
        raise ValueError(
            "optimizer__differentiable=True is for steps that are themselves differentiated. "
            "torch supports that only for copies of parameters, and no fit needs it: remove "
            "the setting."
        )
    floating = all(parameter.is_floating_point() for parameter in module.parameters())
    can_fuse = "fused" in accepted and device.type in ("cpu", "cuda") and floating
    if can_fuse and not asked_for.get("foreach"):
        # One operation per step instead of several per parameter; the results are equal.
        arguments["optimizer__fused"] = True
    return arguments
