"""Train on fewer and fewer samples, select them again repeatedly, and guard all samples."""

import math
import time
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback

from ..training.averaged_weights import AveragedWeights
from ..training.state import NetState
from ..training.stopping import StopTraining, refuse_not_finite, sample_margins

__all__ = ["AfterOthers", "Pruning", "TrainingWatch"]

# Rollbacks allowed before training stops.
MAX_ROLLBACKS = 5


class TrainingWatch(Callback):
    """Record the cost and the mean margins of a training run for the selector.

    Parameters
    ----------
    early_margins : EarlyMargins or None, default=None
        Sees the margins too.

    Attributes
    ----------
    rows_ : list of dict
        One per epoch.
    """

    def __init__(self, early_margins=None):
        self.early_margins = early_margins

    def on_train_begin(self, net, **kwargs):
        self.rows_ = []
        if self.early_margins is not None:
            self.early_margins.on_train_begin(net)

    def on_epoch_begin(self, net, **kwargs):
        self.start_ = time.perf_counter()
        if self.early_margins is not None:
            self.early_margins.on_epoch_begin(net)

    def on_epoch_end(self, net, dataset_train=None, **kwargs):
        if self.early_margins is not None:
            self.early_margins.on_epoch_end(net, dataset_train=dataset_train)
        row = net.history[-1]
        self.rows_.append(
            {
                "phase": "separation",
                "lr": net.optimizer_.param_groups[0]["lr"],
                "n_samples": len(dataset_train),
                "n_scored": 0,
                "loss": row["train_loss"],
                "accuracy": row["train_accuracy"],
                "rolled_back": False,
                "seconds": time.perf_counter() - self.start_,
                "scoring_seconds": 0.0,
            }
        )


class AfterOthers(Callback):
    """Call functions after each training step and each epoch; the last in a list of callbacks.

    Parameters
    ----------
    step : callable
        Called without arguments.
    epoch : callable
        Called with the net.
    """

    def __init__(self, step, epoch):
        self.step = step
        self.epoch = epoch

    def on_batch_end(self, net, training=False, **kwargs):
        if training:
            self.step()

    def on_epoch_end(self, net, **kwargs):
        self.epoch(net)


class Pruning(Callback):
    """Select the samples to train on, score some samples at intervals, undo bad epochs.

    The first selection has ``n_first`` samples, the last one (or a single one) ``n_last``, and
    those between shrink by the same factor each time. The network is evaluated, and left at
    the end, with the average of its weights over all steps (Izmailov et al. 2018); training
    continues with the weights themselves.

    After every ``reselect_every`` epochs, a share ``score_share`` of the samples is scored:
    one half are the samples nearest to the boundary when last scored, the other half come in
    turn. The margins are used twice. The samples to train on are selected by them. If fewer
    samples than at the start have positive margins, the epochs since the last evaluation are
    undone and the learning rate is halved. The last evaluation is on all samples. If it fails,
    these epochs are undone too, if necessary back to weights that were evaluated on all
    samples.

    Parameters
    ----------
    choose : callable
        ``choose(margins, n) -> indices``, the row indices of n samples to train on.
    candidates : ndarray of bool of shape (n_samples,)
        Samples whose classification is guarded.
    margins : ndarray of shape (n_samples,) or None
        Margins at the start, if known.
    n_first, n_last : int
        Number of samples in the first and in the last selection.
    average : bool
        Whether to average the weights.
    lr : float
        Learning rate while this callback is active.
    reselect_every : int
    score_share : float
    rng : numpy.random.Generator
        Determines the order of scoring in turn.

    Attributes
    ----------
    last : AfterOthers
        Averages and guards the weights as other callbacks leave them, such as one that clips
        them. It must be called after them; this callback itself before them, so that they see
        the final network when training ends.
    margins_ : ndarray of shape (n_samples,)
        Margins of the final network.
    rows_ : list of dict
        One per epoch.
    """

    def __init__(
        self,
        choose,
        candidates,
        margins,
        *,
        n_first,
        n_last,
        average,
        lr,
        reselect_every,
        score_share,
        rng,
    ):
        self.choose = choose
        self.candidates = candidates
        self.margins = margins
        self.n_first = n_first
        self.n_last = n_last
        self.average = average
        self.lr = lr
        self.reselect_every = reselect_every
        self.score_share = score_share
        self.rng = rng
        self.last = AfterOthers(self._end_step, self._end_epoch)

    def on_train_begin(self, net, X=None, **kwargs):
        self.start_ = time.perf_counter()
        self.data_, self.rows_ = X, []
        self.n_scored_, self.n_rollbacks_, self.scoring_seconds_ = 0, 0, 0.0
        self.finished_, self.in_epoch_ = False, False
        self.turn_, self.turns_ = 0, self.rng.permutation(len(X))
        self.lrs_ = [group["lr"] for group in net.optimizer_.param_groups]
        self._set_lr(net, self.lr)
        self.n_epochs_ = net.max_epochs
        self.averaged_: Any = None
        if self.average:
            self.averaged_ = AveragedWeights(net.module_)
        self.margins_ = np.empty(len(X))
        if self.margins is None:
            self._score(net, np.arange(len(X)))
        else:
            self.margins_[:] = self.margins
        self.n_correct_ = self._n_correct()
        self.good_ = self.verified_ = self._state(net)
        self._select(0)

    def _end_step(self):
        if self.averaged_ is not None:
            self.averaged_.add()

    def on_epoch_begin(self, net, **kwargs):
        self.in_epoch_ = True
        if self.rows_:
            self.start_ = time.perf_counter()

    def _end_epoch(self, net, stopped=False):
        done = len(self.rows_) + 1
        last = stopped or done == net.max_epochs
        row = {
            "phase": "continuing",
            "lr": net.optimizer_.param_groups[0]["lr"],
            "n_samples": len(self.data_.active),
            "loss": net.history[-1]["train_loss"],
        }
        rolled_back = False
        if last:
            rolled_back = self._finish(net)
        elif done % self.reselect_every == 0:
            self._score(net, self._due())
            rolled_back = self._roll_back(net)
            if self.n_rollbacks_ > MAX_ROLLBACKS:
                self._finish(net)
            else:
                self._select(done)
        self.rows_.append(
            {
                **row,
                "n_scored": self.n_scored_,
                "accuracy": self._n_correct() / max(1, np.count_nonzero(self.candidates)),
                "rolled_back": rolled_back,
                "seconds": time.perf_counter() - self.start_,
                "scoring_seconds": self.scoring_seconds_,
            }
        )
        self.n_scored_, self.scoring_seconds_, self.in_epoch_ = 0, 0.0, False
        if self.n_rollbacks_ > MAX_ROLLBACKS and not stopped:
            raise StopTraining

    def on_train_end(self, net, **kwargs):
        if not self.finished_:
            # Stopped by Ctrl-C or a callback, perhaps at the end of an epoch.
            if self.in_epoch_ and "train_loss" in net.history[-1]:
                self._end_epoch(net, stopped=True)
            else:
                self._finish(net)
        if self.averaged_ is not None:
            self.averaged_.apply()
        for group, lr in zip(net.optimizer_.param_groups, self.lrs_, strict=True):
            group["lr"] = lr
        self.data_.restrict(None)
        # Weights must not be pickled with the network.
        del self.good_, self.verified_, self.averaged_

    def conclude(self, net, samples, weights_changed):
        """Margins of the final network; see :meth:`TrainingRun.fit_guarded`."""
        if weights_changed:
            # The module has its final weights.
            self.averaged_ = None
            self._score(net, np.arange(len(self.margins_)))
        refuse_not_finite(net, np.isfinite(self.margins_).all())
        # Samples must not be pickled either.
        del self.data_
        return self.margins_

    # --- selection and scoring ------------------------------------------------------

    def _select(self, epoch):
        """Select the samples of the epochs from this one (from 0) until the next selection."""
        n_later = math.ceil(self.n_epochs_ / self.reselect_every) - 1
        left = 1 - epoch // self.reselect_every / n_later if n_later else 0
        n = round(self.n_last * (self.n_first / self.n_last) ** left)
        self.data_.restrict(torch.from_numpy(self.choose(self.margins_, n)))

    def _due(self):
        """Row indices of the samples to score now: half near the boundary, half in turn."""
        n = len(self.margins_)
        half = min(n, math.ceil(self.score_share * n / 2))
        if self.score_share >= 1 or 2 * half >= n:
            return np.arange(n)
        near = np.argpartition(self.margins_, half - 1)[:half]
        turn = self.turns_[np.arange(self.turn_, self.turn_ + half) % n]
        self.turn_ += half
        return np.union1d(near, turn)

    def _score(self, net, rows):
        """Margins of some samples, of the network with averaged weights."""
        start = time.perf_counter()
        averaged = nullcontext() if self.averaged_ is None else self.averaged_.applied()
        with averaged:
            chunks = sample_margins(
                net.evaluation_network(), self.data_, torch.from_numpy(rows)
            )
            for part, margins in chunks:
                self.margins_[part.numpy()] = margins.cpu().numpy()
        self.n_scored_ += len(rows)
        self.scoring_seconds_ += time.perf_counter() - start

    # --- guard ----------------------------------------------------------------------

    def _n_correct(self):
        return np.count_nonzero(self.margins_[self.candidates] > 0)

    def _broken(self):
        # Weights that are not finite give NaN margins, which count as broken too.
        return self._n_correct() < self.n_correct_ or np.isnan(self.margins_).any()

    def _roll_back(self, net):
        """Undo the epochs since the last evaluation if they broke separation."""
        if not self._broken():
            self.good_ = self._state(net)
            return False
        self.n_rollbacks_ += 1
        misclassified = self.candidates & (self.margins_ < 0)
        found, lr = self.margins_[misclassified], net.optimizer_.param_groups[0]["lr"]
        self._restore(net, self.good_)
        # Keep the negative margins, so that these samples are selected and scored again.
        self.margins_[misclassified] = found
        # Half of the rate that broke it, not of the one before, which is restored.
        self._set_lr(net, lr / 2)
        return True

    def _finish(self, net):
        """Evaluate all samples, roll back as far as needed; return whether it was needed."""
        self.finished_ = True
        everything = np.arange(len(self.margins_))
        self._score(net, everything)
        if not self._broken():
            return False
        self._restore(net, self.good_)
        self._score(net, everything)
        if self._broken():
            self._restore(net, self.verified_)
        self.n_rollbacks_ += 1
        return True

    def _state(self, net):
        averaged = None if self.averaged_ is None else self.averaged_.state()
        return NetState.copy(net), self.margins_.copy(), averaged

    def _restore(self, net, state):
        of_net, margins, averaged = state
        of_net.restore(net)
        if averaged is not None:
            self.averaged_.restore(averaged)
        self.margins_ = margins.copy()

    def _set_lr(self, net, lr):
        for group, old in zip(net.optimizer_.param_groups, self.lrs_, strict=True):
            # Groups keep their proportions; a schedule may have reached 0.
            group["lr"] = lr * old / self.lrs_[0] if self.lrs_[0] else lr
