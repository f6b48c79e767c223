"""How the losses of weighted samples become the loss of a batch."""

import torch

__all__ = ["combination"]


def combination(criterion, n_classes, device):
    """What makes one number of weighted losses, as ``criterion`` does without weights.

    ``reduction="sum"`` gives the sum of weight times loss. ``"mean"`` gives the weighted mean,
    times the mean weight of the batch (in :meth:`MarginClassifier.fit` about 1): the mean of
    weight times loss, unless the criterion itself weights classes (``weight``) or ignores one
    (``ignore_index``), by which its mean is divided. So weights of 1 give what no weights
    give, and a weight of 2 in a full batch what a sample twice gives.

    Parameters
    ----------
    criterion : torch.nn.Module
        ``criterion(logits, class indices)``, with a ``reduction`` as torch's losses have.
    n_classes : int
    device : torch.device

    Returns
    -------
    combine : callable
        ``(losses, target, weight) -> loss``, tensors of shape (n,), (n,), (n,) and ().

    Raises
    ------
    ValueError
        If the criterion does not say how, or does not do what it says.
    """
    name, reduction = type(criterion).__name__, getattr(criterion, "reduction", None)
    if reduction is None:
        raise ValueError(
            "sample_weight and class_weight need a criterion with a 'reduction' parameter, as "
            f"torch's losses have; {name} has none."
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

    def weighted_mean(losses, target, weight):
        return (losses * weight).sum() / (weight * share[target]).sum() * weight.mean()

    return weighted_mean


def _class_shares(criterion, n_classes, device):
    """What a sample of each class counts in the criterion's own mean.

    The mean over one sample is its loss without the weight of its class.
    """
    shares = []
    for label in range(n_classes):
        logits, target = _example(n_classes, [label], device)
        mean, loss = criterion(logits, target), _unreduced(criterion, logits, target)
        ignored = not torch.isfinite(mean)
        equal = mean == loss.reshape(-1)[0]
        shares.append(0.0 if ignored else 1.0 if equal else (loss.sum() / mean).item())
    return torch.tensor(shares, device=device)


def _check(criterion, n_classes, device, share=None):
    """Raise a ValueError unless losses of samples add up to the criterion's of a batch."""
    labels = [*range(min(n_classes, 16)), 0]
    logits, target = _example(n_classes, labels, device)
    # Unequal losses, of which no function but the mean is the mean.
    logits = logits * torch.linspace(0.5, 1.5, len(labels), device=device)[:, None]
    whole, losses = criterion(logits, target), _unreduced(criterion, logits, target)
    name = type(criterion).__name__
    if losses.shape != (len(labels),):
        raise ValueError(
            "sample_weight and class_weight need a criterion that gives one loss for each "
            f"sample when its reduction is 'none'; {name} gives {tuple(losses.shape)} for "
            f"{len(labels)} samples."
        )
    total = losses.sum() if share is None else losses.sum() / share[target].sum()
    if not torch.allclose(total, whole, rtol=1e-3):
        raise ValueError(
            f"sample_weight and class_weight cannot be used with {name}: its loss of a batch, "
            f"{whole.item():g}, is not the {criterion.reduction} of its samples' losses, "
            f"{total.item():g}."
        )


def _example(n_classes, labels, device):
    # Nothing random, nothing equal.
    row = torch.arange(n_classes, device=device).sin()
    target = torch.tensor(labels, device=device)
    return torch.stack([row.roll(label) for label in labels]), target


def _unreduced(criterion, logits, target):
    """The loss of each sample."""
    reduction, criterion.reduction = criterion.reduction, "none"
    try:
        return criterion(logits, target)
    finally:
        criterion.reduction = reduction
