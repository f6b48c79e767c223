"""Losses on logits, as torch criteria: ``criterion(logits, class indices)``."""

import torch
from torch import nn

from ..checks import check_choice, check_real

__all__ = ["CRITERIA", "ExponentialLoss", "LogisticLoss", "SmoothCrossEntropyLoss"]


class _PairwiseLoss(nn.Module):
    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        check_choice("reduction", reduction, ("none", "mean", "sum"))
        self.reduction = reduction

    @staticmethod
    def _penalty(difference: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        own = logits.gather(1, target[:, None])
        # The term of the sample's own class is masked out; it would be the constant ell(0).
        others = torch.ones_like(logits, dtype=torch.bool).scatter(1, target[:, None], False)
        loss = (self._penalty(logits - own) * others).sum(dim=1)
        if self.reduction == "mean":
            return loss.mean()
        return loss.sum() if self.reduction == "sum" else loss


class ExponentialLoss(_PairwiseLoss):
    r"""Exponential loss :math:`\sum_{j \ne y} \exp(f_j - f_y)`.

    Cross-entropy is :math:`\log(1 + L)`, where :math:`L` is this loss. For two classes it is
    the loss :math:`\exp(-y f)` of margin theory (Soudry et al. 2018, arXiv 1710.10345, on its
    implicit bias). It is unbounded on misclassified samples, so it requires smaller learning
    rates than cross-entropy.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}, default="mean"
        Mean or sum over the batch, or one loss per sample.

    Examples
    --------
    >>> import torch
    >>> from margin_sklearn.nn import ExponentialLoss
    >>> ExponentialLoss()(torch.tensor([[0.0, 0.0, 0.0]]), torch.tensor([1]))
    tensor(2.)
    """

    @staticmethod
    def _penalty(difference: torch.Tensor) -> torch.Tensor:
        return difference.exp()


class LogisticLoss(_PairwiseLoss):
    r"""Pairwise logistic loss :math:`\sum_{j \ne y} \log(1 + \exp(f_j - f_y))`.

    For two classes it is equal to cross-entropy.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}, default="mean"
        Mean or sum over the batch, or one loss per sample.

    Examples
    --------
    >>> import torch
    >>> from margin_sklearn.nn import LogisticLoss
    >>> LogisticLoss()(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
    tensor(0.6931)
    """

    @staticmethod
    def _penalty(difference: torch.Tensor) -> torch.Tensor:
        return nn.functional.softplus(difference)


class SmoothCrossEntropyLoss(nn.CrossEntropyLoss):
    """Cross-entropy with label smoothing (Szegedy et al. 2016, arXiv 1512.00567).

    It keeps the network from becoming certain: its margins, and the probabilities of its own
    classes, stay bounded.

    Parameters
    ----------
    label_smoothing : float, default=0.1
        Share of the target's probability that is divided among all classes, in [0, 1].
    weight, ignore_index, reduction
        As for :class:`torch.nn.CrossEntropyLoss`.

    Examples
    --------
    >>> import torch
    >>> from margin_sklearn.nn import SmoothCrossEntropyLoss
    >>> SmoothCrossEntropyLoss()(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
    tensor(0.6931)
    """

    def __init__(
        self,
        label_smoothing: float = 0.1,
        weight: torch.Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        check_real("label_smoothing", label_smoothing, 0, 1)
        super().__init__(
            weight,
            ignore_index=ignore_index,
            reduction=reduction,
            label_smoothing=float(label_smoothing),
        )


# Names that the parameter ``criterion`` of MarginClassifier accepts.
CRITERIA = {
    "cross_entropy": nn.CrossEntropyLoss,
    "exponential": ExponentialLoss,
    "logistic": LogisticLoss,
    "smooth_cross_entropy": SmoothCrossEntropyLoss,
}
