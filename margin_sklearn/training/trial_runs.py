"""Trial runs before training: check that the module returns logits and the loss a number."""

import numbers
import warnings
from contextlib import nullcontext
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ..adapters.network import full_precision
from ..checks import refuse
from ..data.precision import (
    float_dtype,
    refuse_large,
    rounded_whole_number,
    takes_whole_numbers,
)
from ..data.rows import to_tensor
from ..nn.embeddings import PeriodicEmbedding
from ..nn.layer_kinds import is_batch_norm
from ..nn.stacked_layers import layers_key

__all__ = ["refuse_batch_norm", "try_criterion", "try_module"]

# Rows of logits on which a criterion is tried, at most.
MOST_TRIAL_ROWS = 1000


def try_module(module, X, largest, n_classes, device, names=None):
    """Find the input dtype of ``module``, check that it returns logits, count its operations.

    The dtype is floating point. It is int64 if the module accepts integers and either does
    not accept floats, or ``X`` holds whole numbers that floats cannot represent.

    Parameters
    ----------
    module : torch.nn.Module
    X : ndarray or sparse matrix of shape (n_samples, ...)
    largest : float
        The largest absolute value in ``X``.
    n_classes : int
    device : torch.device
    names : sequence of str, default=None
        Column names, for error messages.

    Returns
    -------
    dtype : torch.dtype
        Dtype of the inputs.
    flops : float
        Floating-point operations of a forward pass per sample.

    Raises
    ------
    ValueError
        If the output is not one logit per class, if it is a probability, or if values in
        ``X`` are too large.
    """
    dtype = float_dtype(module)
    codes = _whole_numbers(X[:2], device)
    if codes is not None and rounded_whole_number(X, largest, dtype) is not None:
        dtype = torch.int64 if takes_whole_numbers(module, codes) else dtype
    refuse_large(X, largest, dtype, names)
    module.eval()
    known = _flops_of_layers(module)
    # Counting takes three times as long as the run.
    counter: Any = FlopCounterMode(display=False) if known is None else nullcontext()
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
            "expects logits: remove its final softmax."
        )
    return dtype, known if known is not None else counter.get_total_flops() / len(x)


def _flops_of_layers(module):
    """Floating-point operations per sample of a sequence of known layers; None for others."""
    if layers_key(module) is None:
        return None
    weights = [part.weight for part in module if type(part) in (nn.Linear, PeriodicEmbedding)]
    return float(sum(2 * weight.numel() for weight in weights))


def _whole_numbers(X, device):
    """The rows as int64, or None if they hold fractions."""
    try:
        return to_tensor(X, device, torch.int64, copy=True)
    except ValueError:
        return None


def try_criterion(criterion, n_classes, device):
    """Raise a ValueError unless ``criterion(logits, class indices)`` returns a number."""
    if isinstance(criterion, torch.nn.NLLLoss):
        raise ValueError(
            "criterion=NLLLoss expects log-probabilities, but modules return logits here: "
            "use criterion='cross_entropy'."
        )
    smoothing = getattr(criterion, "label_smoothing", 0.0)
    if not (isinstance(smoothing, numbers.Real) and 0 <= float(smoothing) <= 1):
        # torch takes negative ones for 0.
        refuse("criterion__label_smoothing", "a number from 0 to 1", smoothing)
    # Not as many rows as columns, so that a transposed shape is detected; few of very many
    # classes, whose square would be gigabytes.
    n_rows = n_classes + 1 if n_classes <= MOST_TRIAL_ROWS else MOST_TRIAL_ROWS
    logits = torch.zeros(n_rows, n_classes, device=device)
    try:
        with warnings.catch_warnings():
            # torch warns about shapes before it fails on them; the error is enough.
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
            f"{type(criterion).__name__} must return one number for a batch: use its default "
            "reduction."
        )


def refuse_batch_norm(module):
    """Raise a ValueError if the module has batch norm, which single samples cannot train."""
    if any(is_batch_norm(part) for part in module.modules()):
        raise ValueError(
            "Batch norm cannot train on one sample at a time (n_samples = 1 or batch_size=1): "
            "pass more samples, raise batch_size, or set module__batch_norm=False."
        )
