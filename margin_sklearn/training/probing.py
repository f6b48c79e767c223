"""What a network computes in training mode, to see whether two would train alike."""

import copy
from typing import Any

import torch

from ..runtime import seeded

__all__ = ["same_outputs", "training_outputs"]


def training_outputs(net: Any, x: torch.Tensor) -> torch.Tensor | None:
    """Logits, and their losses, that a net would compute in its next training step.

    A copy of its module computes them, so the net does not change.

    Parameters
    ----------
    net : MarginNet
    x : torch.Tensor of shape (n_samples, ...)
        On the device and in the dtype of the net.

    Returns
    -------
    outputs : torch.Tensor or None
        None if the module cannot be copied, cannot take ``x``, or gives something else in a
        second copy, as it does when it draws from NumPy's global generator.
    """
    try:
        first, second = (_outputs(net, x) for _ in range(2))
    except Exception:  # user classes may raise anything
        return None
    return first if same_outputs(first, second) else None


def same_outputs(one: torch.Tensor | None, other: torch.Tensor | None) -> bool:
    """Whether two results of :func:`training_outputs` agree, but for rounding.

    Parameters
    ----------
    one, other : torch.Tensor or None
    """
    if one is None or other is None:
        return one is other
    return one.shape == other.shape and torch.allclose(
        one, other, rtol=1e-4, atol=1e-5, equal_nan=True
    )


def _outputs(net: Any, x: torch.Tensor) -> torch.Tensor:
    module, criterion = copy.deepcopy((net.module_, net.criterion_))
    if hasattr(criterion, "reduction"):
        # It is another one while a training has weights.
        criterion.reduction = "mean"
    device = torch.device(net.device)
    targets = torch.arange(len(x), device=device) % net.n_classes
    with seeded(device, 0), torch.no_grad():
        module.train()
        logits = module(x)
        loss = criterion(logits.detach().clone(), targets)
    return torch.cat([logits.float().flatten(), loss.float().flatten()]).cpu()
