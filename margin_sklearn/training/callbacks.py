"""skorch callbacks: margins of every epoch, separation."""

import math

import numpy as np
import torch
from skorch.callbacks import Callback

from ..adapters.network import logit_margins

__all__ = [
    "MarginHistory",
    "Separation",
    "StopTraining",
    "refuse_not_finite",
    "sample_margins",
]

# Looked at first when separation is checked; more would cost, fewer would often not tell.
N_SUSPECTS = 32
# Logits are kept up to this many numbers before their margins are taken (16 MB in float32).
REDUCE_AT = 2**22


def refuse_not_finite(net, finite):
    """Raise a ValueError if the last steps left a network that gives no numbers."""
    if not finite:
        raise ValueError(
            f"After epoch {len(net.history)} the network gives logits that are not finite: "
            "training diverged in its last steps. Lower lr or weight_decay, or scale the "
            "input (StandardScaler)."
        )


class MarginHistory(Callback):
    """Records each epoch's training accuracy and mean margin, from the training passes.

    The logits are those the loss was computed from, so no pass is added: they are of the
    network as it was at each step, in training mode. Written to skorch's history:
    ``train_accuracy`` and ``train_margin``.

    Attributes
    ----------
    margins_ : torch.Tensor of shape (n_samples,) or None
        Margins of the last epoch, in the order of its batches; only while training.
    """

    def on_epoch_begin(self, net, **kwargs):
        self.logits_ = []
        self.targets_ = []
        self.parts_ = []
        self.margins_ = None

    def on_batch_end(self, net, batch=None, training=False, y_pred=None, **kwargs):
        if training:
            # References only: one operation an epoch instead of several a step.
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


class Separation(Callback):
    """Notices exactly when the network, in evaluation mode, classifies every sample right.

    Or a share of them: then some errors are allowed. After an epoch the samples with the
    smallest training-mode margins are looked at first, 32 more than the errors allowed: one
    error too many there and the answer is no. Only else all samples follow in the order of
    their margins, up to the first error too many. After separation nothing more is
    looked at until training has ended, when the answer is brought up to date. Cost: a forward
    pass of 32 samples an epoch, plus a few over the whole set near separation. It comes after
    all other callbacks, which may change the network.

    Parameters
    ----------
    margin_history : MarginHistory
        Called before this callback; it knows the margins of the epoch.
    stop : bool, default=False
        Whether training ends at separation.
    share : float, default=1.0
        Share of the samples to be classified right.

    Attributes
    ----------
    separated_ : bool
        Whether the network, as it is now, separates the samples it was trained on.
    epoch_ : int or None
        The first epoch (from 1) after which it did.
    finite_ : bool
        Whether the margins last looked at were finite.
    margins_ : ndarray of shape (n_samples,) or None
        Margins in evaluation mode, where all samples had to be looked at; while training.
    """

    def __init__(self, margin_history=None, stop=False, share=1.0):
        self.margin_history = margin_history
        self.stop = stop
        self.share = share

    def initialize(self):
        self.separated_ = False
        self.finite_ = True
        self.epoch_ = None
        self.stopped_ = False
        return self

    def on_train_begin(self, net, **kwargs):
        self.separated_ = False
        self.known_at_ = None
        self.stopped_ = False
        self.margins_ = None

    def on_epoch_end(self, net, dataset_train=None, **kwargs):
        if self.separated_:
            return
        self.separated_ = self._separates(net, dataset_train)
        self.known_at_ = len(net.history)
        if self.separated_:
            if self.epoch_ is None:
                self.epoch_ = len(net.history)
            if self.stop:
                self.stopped_ = True
                raise StopTraining

    def adopt(self, stop, share):
        """Continue training with another criterion."""
        self.stop, self.share = stop, share

    def judge(self, margins):
        """Take over the margins that all samples have in the end."""
        self.separated_ = bool(np.mean(margins > 0) >= self.share - 1e-9)

    def conclude(self, net, dataset, weights_changed):
        """Bring the answer up to date when training has ended.

        Parameters
        ----------
        net : MarginNet
        dataset : Samples
        weights_changed : bool
            Whether callbacks may have changed the weights after the last epoch.

        Returns
        -------
        margins : ndarray of shape (n_samples,) or None
            In evaluation mode, where all samples had to be evaluated.
        """
        # Known already if the last epoch was complete, evaluated, and kept.
        if self.known_at_ != len(net.history) or weights_changed:
            self.separated_ = self._separates(net, dataset)
            ended = bool(net.history) and "train_loss" in net.history[-1]
            if self.separated_ and self.epoch_ is None and not weights_changed and ended:
                self.epoch_ = len(net.history)
        refuse_not_finite(net, self.finite_)
        margins, self.margins_ = self.margins_, None
        return margins

    def _separates(self, net, dataset):
        n = len(dataset)
        self.margins_, self.finite_ = None, True
        # Not floor((1 - share) * n): 1 - 0.9 is a little less than 0.1.
        allowed = n - math.ceil(self.share * n - 1e-9 * n)
        order = torch.arange(n)
        margins = self.margin_history.margins_
        if margins is not None and len(margins) == n:
            few = margins.topk(min(N_SUSPECTS + allowed, n), largest=False).indices
            suspects = dataset.order[few.to(dataset.order.device)]
            margins_of_few = torch.cat(
                [margins for _, margins in sample_margins(net.network, dataset, suspects)]
            )
            if (~(margins_of_few > 0)).sum() > allowed:
                self.finite_ = bool(margins_of_few.isfinite().all())
                return False
            # Smallest margins first: where there is an error, it comes early.
            order = dataset.order[margins.argsort().to(dataset.order.device)]
        found = np.empty(n)
        for rows, margins in sample_margins(net.network, dataset, order):
            self.finite_ = self.finite_ and bool(margins.isfinite().all())
            found[rows.cpu().numpy()] = margins.cpu().numpy()
            allowed -= int((~(margins > 0)).sum())
            if allowed < 0:
                return False
        self.margins_ = found
        return True


def sample_margins(network, samples, rows):
    """Margins in evaluation mode of some of the samples that a network is trained on.

    Parameters
    ----------
    network : Network
    samples : Samples
    rows : torch.Tensor of int64 of shape (n,)
        Their row indices, in the order in which they are evaluated.

    Yields
    ------
    rows : torch.Tensor of int64
        A chunk of them.
    margins : torch.Tensor
        In logits.
    """

    def margins_of(x, chunk):
        return network.margins(x, samples.y[rows[chunk].to(samples.device)])

    width = math.prod(samples.shape[1:])
    chunks = network.in_chunks(
        margins_of, lambda chunk: samples.rows(rows[chunk]), len(rows), width
    )
    for chunk, margins in chunks:
        yield rows[chunk], margins


class StopTraining(KeyboardInterrupt):
    """Ends skorch's loop (it stops at KeyboardInterrupt) for a reason of ours."""
