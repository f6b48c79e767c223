"""Exponential-type losses on logits, as torch criteria: ``criterion(logits, target)``."""

import torch
from torch import nn

from ..checks import check_choice

__all__ = ["CRITERIA", "ExponentialLoss", "LogisticLoss"]


class _PairwiseLoss(nn.Module):
    def __init__(self, reduction="mean"):
        super().__init__()
        check_choice("reduction", reduction, ("none", "mean", "sum"))
        self.reduction = reduction

    @staticmethod
    def _penalty(difference: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def forward(self, logits, target):
        own = logits.gather(1, target[:, None])
        # The own class is left out exactly: its term would be the constant ell(0).
        others = torch.ones_like(logits, dtype=torch.bool).scatter(1, target[:, None], False)
        loss = (self._penalty(logits - own) * others).sum(dim=1)
        if self.reduction == "mean":
            return loss.mean()
        return loss.sum() if self.reduction == "sum" else loss


class ExponentialLoss(_PairwiseLoss):
    r"""Exponential loss :math:`\sum_{j \ne y} \exp(f_j - f_y)`.

    Cross-entropy is :math:`\log(1 + \cdot)` of it; for two classes it is the
    :math:`\exp(-y f)` of the margin theory (Soudry et al. 2018, arXiv 1710.10345, for its
    implicit bias). It grows without bound on misclassified samples, so it asks for smaller
    learning rates than cross-entropy.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}, default="mean"

    Examples
    --------
    >>> import torch
    >>> from margin_sklearn.nn import ExponentialLoss
    >>> ExponentialLoss()(torch.tensor([[0.0, 0.0, 0.0]]), torch.tensor([1]))
    tensor(2.)
    """

    @staticmethod
    def _penalty(difference):
        return difference.exp()


class LogisticLoss(_PairwiseLoss):
    r"""Pairwise logistic loss :math:`\sum_{j \ne y} \log(1 + \exp(f_j - f_y))`.

    For two classes it equals cross-entropy.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}, default="mean"

    Examples
    --------
    >>> import torch
    >>> from margin_sklearn.nn import LogisticLoss
    >>> LogisticLoss()(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
    tensor(0.6931)
    """

    @staticmethod
    def _penalty(difference):
        return nn.functional.softplus(difference)


# What the parameter ``criterion`` may be called.
CRITERIA = {
    "cross_entropy": nn.CrossEntropyLoss,
    "exponential": ExponentialLoss,
    "logistic": LogisticLoss,
}
