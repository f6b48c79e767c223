"""From settings and data to an initialised skorch net."""

import copy
import inspect
import warnings

import numpy as np
import torch
from skorch.callbacks import EpochTimer, PrintLog
from torch.utils.flop_counter import FlopCounterMode

from .batches import Batches, Samples, to_tensor
from .best_epoch import BestEpoch
from .callbacks import MarginHistory, ProgressBar, Separation
from .losses import ExponentialLoss, LogisticLoss
from .net import MarginNet

__all__ = ["build_net", "refuse_batch_norm", "separation_settings"]

CRITERIA = {
    "cross_entropy": torch.nn.CrossEntropyLoss,
    "exponential": ExponentialLoss,
    "logistic": LogisticLoss,
}
OPTIMIZERS = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}
# A training step of fewer floating-point operations than this runs in one thread, so that the
# order of sums, and so every bit, does not depend on the threads there are (n_jobs changes
# them). It is faster for small networks; near the limit several threads would be faster.
ONE_THREAD_FLOPS = 2e9


def build_net(estimator, nested, X, device):
    """An initialised net around a module that was tried on a few samples.

    Parameters
    ----------
    estimator : MarginClassifier
        Its settings, ``classes_`` and ``input_shape_``.
    nested : dict
        Its ``module__…``, ``optimizer__…``, ``criterion__…`` and ``callbacks__…``.
    X : ndarray or sparse matrix of shape (n_samples, ...)
    device : torch.device

    Returns
    -------
    net : MarginNet
    n_threads : int or None
        CPU threads to train with; None for torch's setting.
    """
    of_module = {key for key in nested if key.startswith("module__")}
    module = build_module(
        estimator.module,
        {key.removeprefix("module__"): nested[key] for key in of_module},
        input_shape=estimator.input_shape_,
        n_classes=len(estimator.classes_),
    ).to(device)
    flops = try_module(module, to_tensor(X[:2], device), len(estimator.classes_))
    batch_size = estimator.batch_size if estimator.batch_size > 0 else X.shape[0]
    # A step is a forward pass and a backward pass of twice its operations.
    n_threads = 1 if 3 * flops * batch_size < ONE_THREAD_FLOPS else None
    optimizer = OPTIMIZERS.get(estimator.optimizer, estimator.optimizer)
    history = MarginHistory()
    callbacks = [("margin_history", history)]
    if estimator.restore_best is not None:
        # Before separation is looked at, which is that of the network as it ends.
        callbacks.append(("best_epoch", BestEpoch()))
    callbacks += [
        ("separation", Separation(history, **separation_settings(estimator))),
        # Copies: a fit must not change what the constructor was given.
        *copy.deepcopy(list(estimator.callbacks or [])),
    ]
    if estimator.verbose == 1:
        callbacks.append(("progress_bar", ProgressBar()))
    elif estimator.verbose >= 2:
        callbacks = [("epoch_timer", EpochTimer()), *callbacks, ("print_log", PrintLog())]
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
            **optimizer_settings(optimizer, estimator.weight_decay, device),
            **{key: value for key, value in nested.items() if key not in of_module},
        },
    )
    net.records_batches = bool(estimator.callbacks)
    net.initialize()
    try_criterion(net.criterion_, len(estimator.classes_), device)
    return net, n_threads


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
        return copy.deepcopy(module)
    accepted = inspect.signature(module).parameters
    wanted = {name: value for name, value in fixed_by_data.items() if name in accepted}
    built = module(**{**wanted, **parameters})
    if not isinstance(built, torch.nn.Module):
        raise TypeError(
            f"module must make a torch.nn.Module, but {module!r} made a "
            f"{type(built).__name__}."
        )
    return built


def try_module(module, x, n_classes):
    """Check that ``module`` gives logits for a batch; count its operations.

    Parameters
    ----------
    module : torch.nn.Module
    x : torch.Tensor of shape (n, ...)
        A few samples.
    n_classes : int

    Returns
    -------
    flops : float
        Floating-point operations of a forward pass, per sample.

    Raises
    ------
    ValueError
        If the output is not one logit a class, or is a probability.
    """
    module.eval()
    counter = FlopCounterMode(display=False)
    try:
        with torch.no_grad(), counter:
            logits = module(x)
    except (RuntimeError, IndexError) as error:
        raise ValueError(
            f"{type(module).__name__} cannot take samples of shape "
            f"{tuple(x.shape[1:])}: {error}"
        ) from error
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
    return counter.get_total_flops() / len(x)


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
    norms = (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d, torch.nn.BatchNorm3d)
    if any(isinstance(part, norms) for part in module.modules()):
        raise ValueError(
            "Batch norm cannot train on one sample at a time (n_samples = 1 or batch_size=1): "
            "give more samples, raise batch_size, or set module__batch_norm=False."
        )


def optimizer_settings(optimizer, weight_decay, device):
    """Arguments for skorch's net that the optimizer's signature knows."""
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
    if "fused" in accepted and device.type in ("cpu", "cuda"):
        # One operation a step instead of several for each parameter; equal results.
        settings["optimizer__fused"] = True
    return settings
