"""Margins along the first epochs, in which wrong labels have not yet been learned."""

import math

import torch
from skorch.callbacks import Callback

__all__ = ["FEWEST", "EarlyMargins", "EpochMargins", "EpochWatch", "n_early"]

# Epochs that count: half of them, but at least and at most so many; measured for one cycle of
# 20 and 60 epochs, and for training until separation at a constant rate.
FEWEST, MOST = 5, 10


def n_early(epochs):
    """Number of epochs whose margins count: the first half, from five to ten.

    Parameters
    ----------
    epochs : int

    Returns
    -------
    n : int
        At most ``epochs``.
    """
    return min(epochs, MOST, max(FEWEST, math.ceil(epochs / 2)))


class EpochWatch(Callback):
    """Sees the margins of every sample in every epoch, as computed in the training passes.

    A callback of one network; stacked training calls :meth:`begin` and :meth:`add` for each of
    its networks.

    Parameters
    ----------
    margin_history : MarginHistory
        Of the network; called before this callback.
    """

    def __init__(self, margin_history):
        self.margin_history = margin_history

    @property
    def wants_logits(self):
        """Whether :meth:`add` is to be given the logits of the next epoch."""
        return False

    def begin(self, epochs):
        """Called before the first epoch.

        Parameters
        ----------
        epochs : int
            Number of epochs, if the training is not stopped earlier.
        """

    def add(self, order, margins, logits=None):
        """Called after every epoch.

        Parameters
        ----------
        order : torch.Tensor of int64 of shape (n_samples,)
            Row indices of the samples, in the order of the epoch.
        margins : torch.Tensor of shape (n_samples,)
            In this order.
        logits : torch.Tensor of shape (n_samples, n_classes) or None
            In this order; if wanted.
        """
        raise NotImplementedError

    def on_train_begin(self, net, **kwargs):
        self.begin(net.max_epochs)

    def on_epoch_begin(self, net, **kwargs):
        self.logits_ = []

    def on_batch_end(self, net, training=False, y_pred=None, **kwargs):
        if training and self.wants_logits:
            self.logits_.append(y_pred.detach())

    def on_epoch_end(self, net, dataset_train=None, **kwargs):
        margins = self.margin_history.margins_
        logits = torch.cat(self.logits_) if self.logits_ else None
        self.logits_ = []
        self.add(dataset_train.order.to(margins.device), margins, logits)


class EpochMargins(EpochWatch):
    """Keeps the margins of every sample in every epoch.

    Attributes
    ----------
    rows : list of torch.Tensor of float32 of shape (n_samples,)
        One per epoch, in the order of the samples.
    """

    def begin(self, epochs):
        self.rows = []

    def add(self, order, margins, logits=None):
        self.rows.append(_in_place(order, margins.float()).cpu())


class EarlyMargins(EpochWatch):
    """Means of margins over the first epochs, see :func:`n_early`.

    Parameters
    ----------
    margin_history : MarginHistory
    probabilities : bool, default=False
        Whether to keep the means of class probabilities too.
    """

    def __init__(self, margin_history, probabilities=False):
        super().__init__(margin_history)
        self.probabilities = probabilities

    @property
    def wants_logits(self):
        return self.probabilities and self.n_epochs_ < self.n_planned_

    @property
    def n_counted(self):
        """Number of epochs that the means are taken over, of the training so far."""
        return n_early(self.n_epochs_)

    def begin(self, epochs):
        self.n_epochs_, self.n_planned_ = 0, n_early(epochs)
        # Sums up to each epoch, as training may stop before the last epoch.
        self.sums_ = {0: torch.zeros(())}
        self.sums_of_probabilities_ = {0: torch.zeros(())}

    def add(self, order, margins, logits=None):
        self.n_epochs_ += 1
        if self.n_epochs_ <= self.n_planned_:
            self._sum_up(self.sums_, _in_place(order, margins.float()).cpu().double())
            if logits is not None:
                # In single precision: several sums of this size are kept.
                found = _in_place(order, logits.float().softmax(dim=1)).cpu()
                self._sum_up(self.sums_of_probabilities_, found)
        for sums in (self.sums_, self.sums_of_probabilities_):
            for epoch in [epoch for epoch in sums if epoch < self.n_counted]:
                del sums[epoch]

    def _sum_up(self, sums, values):
        sums[self.n_epochs_] = sums[self.n_epochs_ - 1] + values

    def mean_margins(self):
        """Area under the margin of each sample (Pleiss et al. 2020), over the early epochs.

        Returns
        -------
        means : ndarray of float64 of shape (n_samples,)
            Of the training so far, in logits.

        Raises
        ------
        ValueError
            If not one epoch has ended.
        """
        return self._mean(self.sums_)

    def mean_probabilities(self):
        """Class probabilities of each sample, over the same epochs.

        Returns
        -------
        means : ndarray of float64 of shape (n_samples, n_classes)
        """
        return self._mean(self.sums_of_probabilities_)

    def _mean(self, sums):
        if not self.n_epochs_:
            raise ValueError(
                "Training was interrupted before the first epoch ended, so nothing is known "
                "about the labels: call fit again."
            )
        return sums[self.n_counted].double().numpy() / self.n_counted


def _in_place(order, values):
    """Values in the order of the samples."""
    found = torch.empty_like(values)
    found[order.to(values.device)] = values
    return found
