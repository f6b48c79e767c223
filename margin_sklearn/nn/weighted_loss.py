"""Combining the losses of weighted samples into the loss of a batch."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

__all__ = ["combination"]


def combination(
    criterion: nn.Module, n_classes: int, device: torch.device
) -> Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]:
    """Function that combines weighted losses as ``criterion`` combines unweighted ones.

    With ``reduction="sum"`` the result is the sum of weight times loss. With ``"mean"`` it is
    the weighted mean times the mean weight of the batch, which is about 1 in
    :meth:`MarginClassifier.fit`. That is the mean of weight times loss, unless the criterion
    has class weights (``weight``) or ignores a class (``ignore_index``); its own mean is
    divided by the total class weight, and so is this one. As a result, weights of 1 are
    equivalent to no weights, and in a full batch a weight of 2 is equivalent to a duplicate of
    the sample.

    Parameters
    ----------
    criterion : torch.nn.Module
        ``criterion(logits, class_index)``, with an attribute ``reduction`` like that of
        torch's losses.
    n_classes : int
    device : torch.device

    Returns
    -------
    combine : callable
        ``(losses, target, weight) -> loss``, tensors of shape (n,), (n,), (n,) and ().

    Raises
    ------
    ValueError
        If the criterion has no usable ``reduction``, or does not compute what it states.
    """
    name, reduction = type(criterion).__name__, getattr(criterion, "reduction", None)
    if reduction is None:
        raise ValueError(
            "sample_weight and class_weight need a criterion with a 'reduction' parameter, as "
            f"torch's losses have, but {name} has none. Add one, or fit without weights."
        )
    if reduction not in ("mean", "sum"):
        raise ValueError(
            "sample_weight and class_weight need a criterion whose reduction is 'mean' or "
            f"'sum', but that of {name} is {reduction!r}."
        )
    if reduction == "sum":
        _check(criterion, n_classes, device)
        return lambda losses, target, weight: (losses * weight).sum()
    share = _class_shares(criterion, n_classes, device)
    _check(criterion, n_classes, device, share)
    if torch.allclose(share, torch.ones_like(share)):
        return lambda losses, target, weight: (losses * weight).mean()

    def weighted_mean(
        losses: torch.Tensor, target: torch.Tensor, weight: torch.Tensor
    ) -> torch.Tensor:
        return (losses * weight).sum() / (weight * share[target]).sum() * weight.mean()

    return weighted_mean


def _class_shares(criterion: nn.Module, n_classes: int, device: torch.device) -> torch.Tensor:
    """Weight of a sample of each class in the criterion's own mean.

    The mean over one sample is its loss without the class weight.
    """
    shares = []
    for label in range(n_classes):
        logits, target = _example(n_classes, [label], device)
        mean, loss = criterion(logits, target), _unreduced(criterion, logits, target)
        ignored = not torch.isfinite(mean)
        equal = mean == loss.reshape(-1)[0]
        shares.append(0.0 if ignored else 1.0 if equal else (loss.sum() / mean).item())
    return torch.tensor(shares, device=device)


def _check(
    criterion: nn.Module,
    n_classes: int,
    device: torch.device,
    share: torch.Tensor | None = None,
) -> None:
    """Raise a ValueError unless the losses of samples combine to the loss of their batch."""
    labels = [*range(min(n_classes, 16)), 0]
    logits, target = _example(n_classes, labels, device)
    # With unequal losses, only the mean is equal to the mean.
    logits = logits * torch.linspace(0.5, 1.5, len(labels), device=device)[:, None]
    whole, losses = criterion(logits, target), _unreduced(criterion, logits, target)
    name = type(criterion).__name__
    if losses.shape != (len(labels),):
        raise ValueError(
            "sample_weight and class_weight need a criterion that returns one loss per sample "
            f"when its reduction is 'none', but {name} gives {tuple(losses.shape)} for "
            f"{len(labels)} samples."
        )
    total = losses.sum() if share is None else losses.sum() / share[target].sum()
    if not torch.allclose(total, whole, rtol=1e-3):
        raise ValueError(
            f"sample_weight and class_weight cannot be used with {name}: its loss of a batch, "
            f"{whole.item():g}, is not the {criterion.reduction} of the losses of its "
            f"samples, {total.item():g}."
        )


def _example(
    n_classes: int, labels: list[int], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    # Deterministic, with different logits.
    row = torch.arange(n_classes, device=device).sin()
    target = torch.tensor(labels, device=device)
    return torch.stack([row.roll(label) for label in labels]), target


def _unreduced(criterion: Any, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The loss of each sample."""
    reduction, criterion.reduction = criterion.reduction, "none"
    try:
        return criterion(logits, target)
    finally:
        criterion.reduction = reduction
