"""From settings and data to an initialised skorch net."""

import copy
import inspect
import warnings
from typing import NamedTuple

import numpy as np
import torch
from skorch.callbacks import EpochTimer, PrintLog
from torch.utils.flop_counter import FlopCounterMode

from ..adapters.network import full_precision
from ..data.batches import Batches, Samples
from ..data.precision import (
    float_dtype,
    refuse_large,
    rounded_whole_number,
    takes_whole_numbers,
)
from ..data.rows import to_tensor
from ..nn.layer_kinds import is_batch_norm
from ..nn.losses import CRITERIA
from .best_epoch import BestEpoch
from .callbacks import MarginHistory, ProgressBar, Separation
from .net import MarginNet

__all__ = [
    "copied_callback",
    "BuiltNet",
    "build_net",
    "refuse_batch_norm",
    "separation_settings",
]

OPTIMIZERS = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}
# A training step of fewer floating-point operations than this runs in one thread, so that the
# order of sums, and so every bit, does not depend on the threads there are (n_jobs changes
# them). It is faster for small networks; near the limit several threads would be faster.
ONE_THREAD_FLOPS = 2e9


class BuiltNet(NamedTuple):
    """A net, how to run it, and those of its callbacks that others ask."""

    net: MarginNet
    n_threads: int | None  # on a CPU; None for torch's setting
    input_dtype: torch.dtype
    margin_history: MarginHistory
    best_epoch: BestEpoch | None
    separation: Separation


def build_net(estimator, nested, X, largest, device):
    """An initialised net around a module that was tried on a few samples.

    Parameters
    ----------
    estimator : MarginClassifier
        Its settings, ``classes_`` and ``input_shape_``.
    nested : dict
        Its ``module__…``, ``optimizer__…``, ``criterion__…`` and ``callbacks__…``.
    X : ndarray or sparse matrix of shape (n_samples, ...)
    largest : float
        The largest absolute value in it.
    device : torch.device

    Returns
    -------
    built : BuiltNet
    """
    of_module = {key for key in nested if key.startswith("module__")}
    module = build_module(
        estimator.module,
        {key.removeprefix("module__"): nested[key] for key in of_module},
        input_shape=estimator.input_shape_,
        n_classes=len(estimator.classes_),
    ).to(device)
    names = getattr(estimator, "feature_names_in_", None)
    dtype, flops = try_module(module, X, largest, len(estimator.classes_), device, names)
    batch_size = estimator.batch_size if estimator.batch_size > 0 else X.shape[0]
    # A step is a forward pass and a backward pass of twice its operations.
    n_threads = 1 if 3 * flops * batch_size < ONE_THREAD_FLOPS else None
    optimizer = OPTIMIZERS.get(estimator.optimizer, estimator.optimizer)
    history = MarginHistory()
    best = BestEpoch() if estimator.restore_best is not None else None
    separation = Separation(history, **separation_settings(estimator))
    # Copies: a fit must not change what the constructor was given.
    users = [copied_callback(entry) for entry in estimator.callbacks or []]
    verbose = estimator.verbose
    ordered = {
        "epoch_timer": EpochTimer() if verbose >= 2 else None,
        "margin_history": history,
        "best_epoch": best,
        "users": users,
        "progress_bar": ProgressBar() if verbose == 1 else None,
        "print_log": PrintLog() if verbose >= 2 else None,
        # Last: the others may change the network, and it may end training.
        "separation": separation,
    }
    taken = {entry[0] for entry in users if isinstance(entry, tuple)}
    callbacks: list = []
    for name, callback in ordered.items():
        if callback is users:
            callbacks += users
        elif callback is not None:
            callbacks.append((_free_name(name, taken), callback))
    net = MarginNet(
        module,
        criterion=CRITERIA.get(estimator.criterion, estimator.criterion),
        optimizer=optimizer,
        lr=estimator.lr,
        max_epochs=estimator.max_epochs,
        batch_size=estimator.batch_size,
        iterator_train=Batches,
        iterator_train__shuffle=True,
        iterator_valid=Batches,
        dataset=Samples,
        train_split=None,
        callbacks=callbacks,
        device=str(device),
        verbose=estimator.verbose,
        **{
            **optimizer_settings(optimizer, estimator.weight_decay, module, device, nested),
            **{key: value for key, value in nested.items() if key not in of_module},
        },
    )
    net.records_batches = bool(users)
    net.initialize()
    # skorch puts tables last, which would miss the row of the epoch that ends training.
    net.callbacks_.sort(key=lambda entry: entry[1] is separation)
    net.classes_ = np.arange(len(estimator.classes_))
    net.may_unfuse = bool(net.optimizer_.defaults.get("fused"))
    try_criterion(net.criterion_, len(estimator.classes_), device)
    return BuiltNet(net, n_threads, dtype, history, best, separation)


def _free_name(name, taken):
    """A name for a callback of ours that is not one of the user's."""
    while name in taken:
        name += "_"
    return name


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


def separation_settings(estimator):
    """``stop`` and ``share`` of the Separation callback."""
    wanted = estimator.stop_at_separation
    return {
        "stop": bool(wanted),
        "share": 1.0 if isinstance(wanted, bool | np.bool_) else wanted,
    }


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


def try_module(module, X, largest, n_classes, device, names=None):
    """Find out what ``module`` takes, and that it gives logits; count its operations.

    It gets floating numbers. If it cannot take them, or they cannot hold the whole numbers
    that are in ``X``, it gets integers, if it takes those.

    Parameters
    ----------
    module : torch.nn.Module
    X : ndarray or sparse matrix of shape (n_samples, ...)
    largest : float
        The largest absolute value in it.
    n_classes : int
    device : torch.device
    names : sequence of str, default=None
        Of the columns.

    Returns
    -------
    dtype : torch.dtype
        Of the inputs.
    flops : float
        Floating-point operations of a forward pass, per sample.

    Raises
    ------
    ValueError
        If the output is not one logit a class, or is a probability, or if values are too
        large.
    """
    dtype = float_dtype(module)
    codes = _whole_numbers(X[:2], device)
    if codes is not None and rounded_whole_number(X, largest, dtype) is not None:
        dtype = torch.int64 if takes_whole_numbers(module, codes) else dtype
    refuse_large(X, largest, dtype, names)
    module.eval()
    counter = FlopCounterMode(display=False)
    x = to_tensor(X[:2], device, dtype, copy=True)
    try:
        with torch.no_grad(), counter:
            logits = full_precision(module(x))
    except (RuntimeError, IndexError) as error:
        if codes is None or not takes_whole_numbers(module, codes):
            raise ValueError(
                f"{type(module).__name__} cannot take samples of shape "
                f"{tuple(x.shape[1:])}: {error}"
            ) from error
        dtype, x = torch.int64, codes
        with torch.no_grad(), counter:
            logits = full_precision(module(x))
    shape = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits)
    if shape != (len(x), n_classes):
        raise ValueError(
            f"{type(module).__name__} must return one logit for each of the {n_classes} "
            f"classes in y, shape ({len(x)}, {n_classes}), but returned {shape}."
        )
    if (logits >= 0).all() and torch.allclose(
        logits.sum(dim=1), torch.ones(len(x), dtype=logits.dtype, device=logits.device)
    ):
        raise ValueError(
            f"{type(module).__name__} returns probabilities (they sum to 1), but the loss "
            "expects logits: leave out its last softmax."
        )
    return dtype, counter.get_total_flops() / len(x)


def _whole_numbers(X, device):
    """A few rows as int64, or None if they hold fractions."""
    try:
        return to_tensor(X, device, torch.int64, copy=True)
    except ValueError:
        return None


def try_criterion(criterion, n_classes, device):
    """Raise a ValueError unless ``criterion(logits, class indices)`` is a number."""
    if isinstance(criterion, torch.nn.NLLLoss):
        raise ValueError(
            "criterion=NLLLoss expects log-probabilities, but modules give logits here: "
            "use criterion='cross_entropy'."
        )
    # More rows than columns, so that one cannot pass for the other.
    logits = torch.zeros(n_classes + 1, n_classes, device=device)
    try:
        with warnings.catch_warnings():
            # torch warns of shapes that it then fails on; the error says it all.
            warnings.simplefilter("ignore")
            loss = criterion(
                logits, torch.zeros(len(logits), dtype=torch.int64, device=device)
            )
    except (RuntimeError, ValueError, TypeError) as error:
        raise ValueError(
            f"{type(criterion).__name__} cannot take logits of shape (n, {n_classes}) and "
            f"class indices of shape (n,): {error}"
        ) from error
    if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
        raise ValueError(
            f"{type(criterion).__name__} must give one number for a batch: leave its "
            "reduction as it is."
        )


def refuse_batch_norm(module):
    """Raise a ValueError if a module that is to train on single samples has batch norm."""
    if any(is_batch_norm(part) for part in module.modules()):
        raise ValueError(
            "Batch norm cannot train on one sample at a time (n_samples = 1 or batch_size=1): "
            "give more samples, raise batch_size, or set module__batch_norm=False."
        )


def optimizer_settings(optimizer, weight_decay, module, device, nested):
    """Arguments for skorch's net that the optimizer's signature knows.

    ``nested`` are the user's: where they ask for another implementation, steps are not fused.
    """
    accepted = inspect.signature(optimizer).parameters
    if "weight_decay" in accepted:
        settings = {"optimizer__weight_decay": weight_decay}
    elif weight_decay:
        raise ValueError(
            f"{optimizer.__name__} has no weight_decay: set weight_decay=0, "
            f"got {weight_decay}."
        )
    else:
        settings = {}
    if nested.get("optimizer__differentiable"):
        raise ValueError(
            "optimizer__differentiable=True is for steps that are themselves differentiated, "
            "which torch can only do on copies of parameters, and no fit asks for: leave it "
            "out."
        )
    asked = nested.get("optimizer__foreach")
    floating = all(parameter.is_floating_point() for parameter in module.parameters())
    if "fused" in accepted and device.type in ("cpu", "cuda") and floating and not asked:
        # One operation a step instead of several for each parameter; equal results.
        settings["optimizer__fused"] = True
    return settings
