"""Train on a few samples, select them again repeatedly, and guard all samples."""

import math
import time

import numpy as np
import torch
from skorch.callbacks import Callback

from ..training.state import NetState
from ..training.stopping import StopTraining, refuse_not_finite, sample_margins

__all__ = ["Pruning", "TrainingWatch"]

# Rollbacks allowed before training stops.
MAX_ROLLBACKS = 5


class TrainingWatch(Callback):
    """Record the cost and the mean margins of a training run for the selector.

    Parameters
    ----------
    margin_history : MarginHistory
        Called before this callback.
    aum : bool, default=False
        Whether to compute ``aum_``.

    Attributes
    ----------
    rows_ : list of dict
        One per epoch.
    aum_ : ndarray of shape (n_samples,)
        Area under the margin (Pleiss et al. 2020): the margin of each sample in the training
        passes, averaged over the first quarter of the epochs, at least five. Later the network
        memorises wrong labels and such samples count as correctly classified. Only with
        ``aum=True``.
    """

    def __init__(self, margin_history, aum=False):
        self.margin_history = margin_history
        self.aum = aum

    def on_train_begin(self, net, X=None, **kwargs):
        self.rows_ = []
        # Sums of margins up to each epoch, from the first quarter on.
        self.sums_ = {0: torch.zeros(len(X))}

    def on_epoch_begin(self, net, **kwargs):
        self.start_ = time.perf_counter()

    def on_epoch_end(self, net, dataset_train=None, **kwargs):
        if self.aum:
            margins = self.margin_history.margins_.cpu()
            epoch = len(self.rows_) + 1
            total = self.sums_[epoch - 1].clone()
            # Each sample occurs once per epoch, so no row index is repeated.
            total[dataset_train.order.cpu()] += margins
            self.sums_[epoch] = total
            for early in [early for early in self.sums_ if early < self._quarter(epoch)]:
                del self.sums_[early]
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

    def on_train_end(self, net, **kwargs):
        if self.aum:
            epochs = self._quarter(len(self.rows_))
            self.aum_ = self.sums_[epochs].numpy() / max(1, epochs)
        self.sums_ = {}

    @staticmethod
    def _quarter(epochs):
        return min(epochs, max(5, math.ceil(epochs / 4)))


class Pruning(Callback):
    """Select the samples to train on, score some samples at intervals, undo bad epochs.

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
        ``choose(margins) -> indices``, the row indices of the samples to train on.
    candidates : ndarray of bool of shape (n_samples,)
        Samples whose classification is guarded.
    margins : ndarray of shape (n_samples,) or None
        Margins at the start, if known.
    lr : float
        Learning rate while this callback is active.
    reselect_every : int
    score_share : float
    rng : numpy.random.Generator
        Determines the order of scoring in turn.

    Attributes
    ----------
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
        lr,
        reselect_every,
        score_share,
        rng,
    ):
        self.choose = choose
        self.candidates = candidates
        self.margins = margins
        self.lr = lr
        self.reselect_every = reselect_every
        self.score_share = score_share
        self.rng = rng

    def on_train_begin(self, net, X=None, **kwargs):
        self.start_ = time.perf_counter()
        self.data_, self.rows_ = X, []
        self.n_scored_, self.n_rollbacks_, self.scoring_seconds_ = 0, 0, 0.0
        self.finished_ = False
        self.turn_, self.turns_ = 0, self.rng.permutation(len(X))
        self.lrs_ = [group["lr"] for group in net.optimizer_.param_groups]
        self._set_lr(net, self.lr)
        self.margins_ = np.empty(len(X))
        if self.margins is None:
            self._score(net, np.arange(len(X)))
        else:
            self.margins_[:] = self.margins
        self.n_correct_ = self._n_correct()
        self.good_ = self.verified_ = self._state(net)
        self._select()

    def on_epoch_begin(self, net, **kwargs):
        if self.rows_:
            self.start_ = time.perf_counter()

    def on_epoch_end(self, net, **kwargs):
        done = len(self.rows_) + 1
        last = done == net.max_epochs
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
                self._select()
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
        self.n_scored_, self.scoring_seconds_ = 0, 0.0
        if self.n_rollbacks_ > MAX_ROLLBACKS:
            raise StopTraining

    def on_train_end(self, net, **kwargs):
        if not self.finished_:
            # Stopped by Ctrl-C or a callback.
            self._finish(net)
        for group, lr in zip(net.optimizer_.param_groups, self.lrs_, strict=True):
            group["lr"] = lr
        self.data_.restrict(None)
        # Weights must not be pickled with the network.
        del self.good_, self.verified_

    def conclude(self, net, samples, weights_changed):
        """Margins of the final network; see :meth:`TrainingRun.fit_guarded`."""
        if weights_changed:
            self._score(net, np.arange(len(self.margins_)))
        refuse_not_finite(net, np.isfinite(self.margins_).all())
        # Samples must not be pickled either.
        del self.data_
        return self.margins_

    # --- selection and scoring ------------------------------------------------------

    def _select(self):
        self.data_.restrict(torch.from_numpy(self.choose(self.margins_)))

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
        start = time.perf_counter()
        chunks = sample_margins(net.evaluation_network(), self.data_, torch.from_numpy(rows))
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
        found = self.margins_[misclassified]
        self._restore(net, self.good_)
        # Keep the negative margins, so that these samples are selected and scored again.
        self.margins_[misclassified] = found
        self._set_lr(net, net.optimizer_.param_groups[0]["lr"] / 2)
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
        return NetState.copy(net), self.margins_.copy()

    def _restore(self, net, state):
        of_net, margins = state
        of_net.restore(net)
        self.margins_ = margins.copy()

    def _set_lr(self, net, lr):
        for group, old in zip(net.optimizer_.param_groups, self.lrs_, strict=True):
            # Groups keep their proportions; a schedule may have reached 0.
            group["lr"] = lr * old / self.lrs_[0] if self.lrs_[0] else lr
