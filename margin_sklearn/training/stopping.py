"""Why training stops before its last epoch: separation, found out exactly and at low cost."""

import math

import numpy as np
import torch
from skorch.callbacks import Callback

__all__ = [
    "Separation",
    "StopTraining",
    "refuse_not_finite",
    "sample_margins",
]

# Samples evaluated first in a separation check: more cost time, fewer are often inconclusive.
N_SUSPECTS = 32


def refuse_not_finite(net, finite):
    """Raise a ValueError if the network gives NaN or infinite logits after the last steps."""
    if not finite:
        raise ValueError(
            f"After epoch {len(net.history)} the network gives logits that are not finite: "
            "training diverged in its last steps. Lower lr or weight_decay, or scale the "
            "input (StandardScaler)."
        )


class Separation(Callback):
    """Detect exactly when the network, in evaluation mode, classifies every sample correctly.

    With ``share`` below 1, some errors are allowed. After each epoch, the samples with the
    smallest training-mode margins are evaluated first: 32 more than the number of allowed
    errors. If they contain too many errors, the samples are not separated. Otherwise all
    samples are evaluated in the order of their margins, until there is one error too many.
    After separation, nothing is evaluated until training ends and the answer is updated.
    Cost: a forward pass of 32 samples per epoch, plus a few passes over all samples near
    separation. This callback runs after all others, because they may change the network.

    Parameters
    ----------
    margin_history : MarginHistory
        Called before this callback; provides the margins of the epoch.
    stop : bool, default=False
        Whether to stop training at separation.
    share : float, default=1.0
        Share of the samples that must be correctly classified.

    Attributes
    ----------
    separated_ : bool
        Whether the network currently separates the samples it was trained on.
    epoch_ : int or None
        The first epoch (from 1) after which it did.
    finite_ : bool
        Whether the margins last evaluated were finite.
    margins_ : ndarray of shape (n_samples,) or None
        Margins in evaluation mode, if all samples were evaluated. Available only during
        training.
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
        self.known_at_ = None
        self.margins_ = None
        return self

    def on_train_begin(self, net, **kwargs):
        self.separated_ = False
        self.known_at_ = None
        self.stopped_ = False
        self.margins_ = None

    def on_epoch_end(self, net, dataset_train=None, **kwargs):
        if self.separated_:
            return
        self.note(self._separates(net, dataset_train), len(net.history))
        if self.separated_ and self.stop:
            self.stopped_ = True
            raise StopTraining

    def n_suspects(self, n_samples):
        """Number of samples that are evaluated first, and how many errors they may have."""
        allowed = self._allowed(n_samples)
        return min(N_SUSPECTS + allowed, n_samples), allowed

    def note(self, separated, epoch):
        """Record the answer after an epoch.

        Parameters
        ----------
        separated : bool
        epoch : int
            From 1.
        """
        self.separated_, self.known_at_ = separated, epoch
        if separated and self.epoch_ is None:
            self.epoch_ = epoch

    def note_suspects(self, net, dataset, order, finite):
        """Record the answer after an epoch whose suspects were evaluated elsewhere.

        Parameters
        ----------
        net : MarginNet
        dataset : Samples
        order : torch.Tensor of int64 of shape (n_samples,) or None
            Row indices of all samples, in evaluation order; None if there were too many errors
            among the suspects.
        finite : bool
            Whether the margins of the suspects were finite.
        """
        self.margins_, self.finite_ = None, finite
        separated = order is not None and self._all_correct(net, dataset, order)
        self.note(separated, len(net.history))

    def note_margins(self, net, margins):
        """Record the answer after an epoch from margins that were computed elsewhere.

        Parameters
        ----------
        net : MarginNet
        margins : ndarray of shape (n_samples,)
            Of all samples, in evaluation mode.
        """
        self.finite_ = bool(np.isfinite(margins).all())
        # Not a number of NumPy's, which JSON cannot store.
        n_wrong = int(np.count_nonzero(~(margins > 0)))
        separated = n_wrong <= self._allowed(len(margins))
        self.margins_ = margins.astype(np.float64) if separated else None
        self.note(separated, len(net.history))

    def adopt(self, stop, share):
        """Continue training with another separation criterion."""
        self.stop, self.share = stop, share

    def answers(self):
        """What is known at the end of training, in a form that JSON can store.

        Returns
        -------
        answers : dict
        """
        names = ("separated_", "finite_", "epoch_", "stopped_", "known_at_")
        return {name: getattr(self, name) for name in names}

    def restore(self, answers):
        """Restore what was known, from :meth:`answers`."""
        for name, value in answers.items():
            setattr(self, name, value)

    def judge(self, margins):
        """Update the answer from the final margins of all samples."""
        self.separated_ = bool(np.mean(margins > 0) >= self.share - 1e-9)

    def conclude(self, net, dataset, weights_changed):
        """Update the answer after training has ended.

        Parameters
        ----------
        net : MarginNet
        dataset : Samples
        weights_changed : bool
            Whether callbacks may have changed the weights after the last epoch.

        Returns
        -------
        margins : ndarray of shape (n_samples,) or None
            In evaluation mode, if all samples had to be evaluated.
        """
        # Already known if the last epoch was completed, evaluated, and its weights kept.
        if self.known_at_ != len(net.history) or weights_changed:
            self.separated_ = self._separates(net, dataset)
            ended = bool(net.history) and "train_loss" in net.history[-1]
            if self.separated_ and self.epoch_ is None and not weights_changed and ended:
                self.epoch_ = len(net.history)
        refuse_not_finite(net, self.finite_)
        margins, self.margins_ = self.margins_, None
        return margins

    def _separates(self, net, dataset):
        n, network = len(dataset), net.evaluation_network()
        self.margins_, self.finite_ = None, True
        n_suspects, allowed = self.n_suspects(n)
        order = torch.arange(n)
        margins = self.margin_history.margins_
        if margins is not None and len(margins) == n:
            few = margins.topk(n_suspects, largest=False).indices
            suspects = dataset.order[few.to(dataset.order.device)]
            parts = [margins for _, margins in sample_margins(network, dataset, suspects)]
            margins_of_few = torch.cat(parts)
            if (~(margins_of_few > 0)).sum() > allowed:
                self.finite_ = bool(margins_of_few.isfinite().all())
                return False
            # Smallest margins first, so that errors are found early.
            order = dataset.order[margins.argsort().to(dataset.order.device)]
        return self._all_correct(net, dataset, order)

    def _allowed(self, n):
        """Number of errors among n samples that the share allows."""
        # Not floor((1 - share) * n), because 1 - 0.9 is slightly less than 0.1.
        return n - math.ceil(self.share * n - 1e-9 * n)

    def _all_correct(self, net, dataset, order):
        """Evaluate all samples in this order, until there is one error too many."""
        allowed, found = self._allowed(len(dataset)), np.empty(len(dataset))
        for rows, margins in sample_margins(net.evaluation_network(), dataset, order):
            self.finite_ = self.finite_ and bool(margins.isfinite().all())
            found[rows.cpu().numpy()] = margins.cpu().numpy()
            allowed -= int((~(margins > 0)).sum())
            if allowed < 0:
                return False
        self.margins_ = found
        return True


def sample_margins(network, samples, rows):
    """Compute evaluation-mode margins of some of the samples that a network is trained on.

    Parameters
    ----------
    network : Network
    samples : Samples
    rows : torch.Tensor of int64 of shape (n,)
        Row indices of these samples, in evaluation order.

    Yields
    ------
    rows : torch.Tensor of int64
        A chunk of the row indices.
    margins : torch.Tensor
        Their margins, in logits.
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
    """Raised by this package's callbacks to end skorch's loop, as a KeyboardInterrupt does."""
