"""From settings to the parts of a training: module, optimizer, callbacks, skorch net."""

import copy
import inspect
from dataclasses import dataclass
from typing import Any

import torch

from ..data.batches import Batches, Samples
from ..nn.losses import CRITERIA
from .net import MarginNet

__all__ = [
    "OPTIMIZERS",
    "TrainingSettings",
    "build_module",
    "build_net",
    "copied_callback",
]

# What the parameter ``optimizer`` may be called.
OPTIMIZERS = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}


@dataclass(frozen=True)
class TrainingSettings:
    """What a training needs of an estimator's parameters.

    Parameters
    ----------
    module, criterion, optimizer, lr, weight_decay, batch_size
        As for :class:`MarginClassifier`.
    restore_best, callbacks, verbose
        As for :class:`MarginClassifier`.
    stop : bool
        Whether training ends at separation.
    share : float
        Share of the samples to be classified correctly.
    nested : dict
        The parameters ``module__…``, ``optimizer__…``, ``criterion__…`` and ``callbacks__…``.
    """

    module: Any
    criterion: Any
    optimizer: Any
    lr: float
    weight_decay: float
    batch_size: int
    restore_best: str | None
    callbacks: Any
    verbose: int
    stop: bool
    share: float
    nested: dict

    def of_part(self, part):
        """The nested parameters of one part, without its prefix."""
        prefix = f"{part}__"
        return {
            name.removeprefix(prefix): value
            for name, value in self.nested.items()
            if name.startswith(prefix)
        }

    def changed_from(self, earlier):
        """Names of the settings that differ from earlier ones and cannot change any more."""
        fixed = ("module", "criterion", "optimizer", "callbacks", "restore_best")
        now, then = (
            {**settings.nested, **{name: getattr(settings, name) for name in fixed}}
            for settings in (self, earlier)
        )
        return [
            name
            for name in sorted({*now, *then})
            if name not in now or name not in then or not _same(now[name], then[name])
        ]


def _same(a, b):
    """Whether two settings are one; what cannot be compared is not."""
    try:
        return a is b or bool(a == b)
    except (TypeError, ValueError):
        return False


def build_net(settings, module, callbacks, *, n_classes, device, **running):
    """An initialised net around a module.

    Parameters
    ----------
    settings : TrainingSettings
    module : torch.nn.Module
        On the device.
    callbacks : list of (name, callback)
        In the order in which they are called.
    n_classes : int
    device : torch.device
    **running
        ``input_dtype``, ``n_threads`` and ``records_batches`` of :class:`MarginNet`.

    Returns
    -------
    net : MarginNet
    """
    optimizer = OPTIMIZERS.get(settings.optimizer, settings.optimizer)
    nested = {
        name: value
        for name, value in settings.nested.items()
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


def copied_callback(entry):
    """A copy of a callback, or of (name, callback), but for what cannot be copied.

    Callbacks may hold locks, open files, connections.
    """
    if isinstance(entry, tuple):
        name, callback = entry
        return name, copied_callback(callback)
    try:
        return copy.deepcopy(entry)
    except Exception:  # whatever a class of the user's raises
        copied, seen = copy.copy(entry), {id(entry): entry}
    for name, value in vars(entry).items():
        try:
            vars(copied)[name] = copy.deepcopy(value, seen)
        except Exception:
            vars(copied)[name] = value
    return copied


def build_module(module, parameters, **fixed_by_data):
    """A new module, given those of ``fixed_by_data`` that its signature names.

    Parameters
    ----------
    module : type, callable or torch.nn.Module
        A finished module is copied: fitting goes on from its weights.
    parameters : dict
        The user's ``module__…``; they come before what the data fix.
    **fixed_by_data
        ``input_shape``, ``n_classes``.
    """
    if isinstance(module, torch.nn.Module):
        if parameters:
            raise ValueError(
                f"module is an instance of {type(module).__name__}, so {sorted(parameters)} "
                "cannot be set by module__…: pass the class instead."
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
            "module is a TorchScript module, which can neither be copied nor pickled with its "
            "weights: pass the module that was given to torch.jit.script."
        )


def _optimizer_settings(optimizer, settings, module, device):
    """Arguments for skorch's net that the optimizer's signature knows.

    Where the user asks for another implementation, steps are not fused.
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
            "optimizer__differentiable=True is for steps that are themselves differentiated, "
            "which torch can only do on copies of parameters, and no fit asks for: leave it "
            "out."
        )
    floating = all(parameter.is_floating_point() for parameter in module.parameters())
    can_fuse = "fused" in accepted and device.type in ("cpu", "cuda") and floating
    if can_fuse and not asked_for.get("foreach"):
        # One operation a step instead of several for each parameter; equal results.
        arguments["optimizer__fused"] = True
    return arguments
