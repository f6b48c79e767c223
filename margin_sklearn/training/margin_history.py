"""Training accuracy and margins of every epoch, from the training passes."""

import math

import numpy as np
import torch
from skorch.callbacks import Callback

from ..adapters.network import logit_margins

__all__ = ["QUANTILES", "MarginHistory", "note_margins"]

# Levels of the quantiles of the margins that the history has.
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

# Logits are kept up to this many numbers, then reduced to margins (16 MB in float32).
REDUCE_AT = 2**22


class MarginHistory(Callback):
    """Record training accuracy and margins per epoch, from the training passes.

    They come from the logits that the loss was computed from, in training mode at each step,
    so no forward pass is added. They are written to skorch's history as ``train_accuracy``,
    ``train_margin`` (the mean) and ``train_margin_quantiles``.

    Attributes
    ----------
    margins_ : torch.Tensor of shape (n_samples,) or None
        Margins of the last epoch, in batch order. Available only during training.
    """

    def initialize(self):
        self.on_train_end(None)
        return self

    def on_epoch_begin(self, net, **kwargs):
        self.logits_ = []
        self.targets_ = []
        self.parts_ = []
        self.margins_ = None

    def on_batch_end(self, net, batch=None, training=False, y_pred=None, **kwargs):
        if training:
            # Keep references: one operation per epoch instead of several per step.
            self.logits_.append(y_pred.detach())
            self.targets_.append(batch[1])
            if len(self.logits_) * y_pred.numel() >= REDUCE_AT:
                self._reduce()

    def _reduce(self):
        if self.logits_:
            self.parts_.append(
                logit_margins(torch.cat(self.logits_), torch.cat(self.targets_))
            )
            self.logits_, self.targets_ = [], []

    def on_epoch_end(self, net, **kwargs):
        self._reduce()
        self.margins_ = torch.cat(self.parts_)
        self.parts_ = []
        note_margins([net], self.margins_[None])

    def on_train_end(self, net, **kwargs):
        self.logits_, self.targets_, self.parts_, self.margins_ = [], [], [], None


def note_margins(nets, margins):
    """Write accuracy, mean and quantiles of the margins of an epoch to histories.

    Parameters
    ----------
    nets : list of MarginNet or None
        None: nothing is written.
    margins : torch.Tensor of shape (n_nets, n_samples)
    """
    # The smallest margins that at least these shares of the samples do not exceed.
    ranks = [max(0, math.ceil(level * margins.shape[1]) - 1) for level in QUANTILES]
    figures = torch.cat(
        [
            (margins > 0).float().mean(dim=1, keepdim=True).to(margins),
            margins.mean(dim=1, keepdim=True),
            _at_ranks(margins, ranks),
        ],
        dim=1,
    )
    for net, (accuracy, mean, *quantiles) in zip(nets, figures.tolist(), strict=True):
        if net is not None:
            net.history.record("train_accuracy", accuracy)
            net.history.record("train_margin", mean)
            net.history.record("train_margin_quantiles", quantiles)


def _at_ranks(margins, ranks):
    if margins.device.type == "cpu":  # where sorting takes ten times as long
        return torch.from_numpy(np.partition(margins.numpy(), ranks, axis=1)[:, ranks])
    return margins.sort(dim=1).values[:, ranks]
