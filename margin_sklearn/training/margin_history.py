"""Training accuracy and mean margin of every epoch, from the training passes."""

import torch
from skorch.callbacks import Callback

from ..adapters.network import logit_margins

__all__ = ["EpochMargins", "MarginHistory"]

# Logits are kept up to this many numbers, then reduced to margins (16 MB in float32).
REDUCE_AT = 2**22


class MarginHistory(Callback):
    """Record training accuracy and mean margin per epoch, from the training passes.

    They come from the logits that the loss was computed from, in training mode at each step,
    so no forward pass is added. They are written to skorch's history as ``train_accuracy``
    and ``train_margin``.

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
        net.history.record("train_accuracy", (self.margins_ > 0).float().mean().item())
        net.history.record("train_margin", self.margins_.mean().item())

    def on_train_end(self, net, **kwargs):
        self.logits_, self.targets_, self.parts_, self.margins_ = [], [], [], None


class EpochMargins(Callback):
    """Keeps the margins of every sample in every epoch, from the training passes.

    Parameters
    ----------
    margin_history : MarginHistory
        Called before this callback.

    Attributes
    ----------
    rows : list of torch.Tensor of float32 of shape (n_samples,)
        One per epoch, in the order of the samples.
    """

    def __init__(self, margin_history):
        self.margin_history = margin_history
        self.rows = []

    def on_epoch_end(self, net, dataset_train=None, **kwargs):
        margins = self.margin_history.margins_
        row = torch.empty_like(margins)
        row[dataset_train.order.to(margins.device)] = margins
        self.rows.append(row.float().cpu())
