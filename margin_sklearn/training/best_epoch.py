"""Training that ends with the weights of its best epoch, without a validation set."""

import torch
from skorch.callbacks import Callback

from ..neighborhoods.perturbed import N_DRAWS, pseudo_points
from ..neighborhoods.transformed_rows import TransformedRows
from ..scoring.distribution import DEFAULT, distribution_at
from ..scoring.points import PerturbedPoints
from .state import NetState

__all__ = ["BestEpoch"]

SETTINGS = DEFAULT


class BestEpoch(Callback):
    """Scores each epoch by its margin-AUC on the training samples; restores the best one.

    The score is ``margin_auc_score``, at two perturbed samples around each of at most 2,000
    training samples, written to the history as ``margin_auc``. Cost: a forward and a backward
    pass over the perturbed samples per epoch, and a copy of the weights. Where training
    continues, the weights that it begins with take part, so that the score kept cannot fall.

    Attributes
    ----------
    epoch_ : int or None
        The epoch, from 1, whose weights the network has; None if another callback gave it
        others.
    """

    def initialize(self):
        self.epoch_ = None
        return self

    def on_train_begin(self, net, X=None, **kwargs):
        inputs = X.X.cpu().numpy() if isinstance(X.X, torch.Tensor) else X.X
        class_index = X.y.cpu().numpy()
        network = net.evaluation_network()
        points = pseudo_points(network, inputs, class_index, SETTINGS.max_samples).thinned(
            N_DRAWS
        )
        weight = points.weights(None if X.weight is None else X.weight.cpu().numpy())
        self.points_: PerturbedPoints | None = PerturbedPoints(
            TransformedRows(network, inputs), points, weight
        )
        self.best_, self.score_ = None, -float("inf")
        if net.history:
            self.best_, self.score_ = NetState.copy(net, optimizer=False), self._score()

    def on_epoch_end(self, net, **kwargs):
        score = self._score()
        net.history.record("margin_auc", score)
        if score > self.score_:
            self.score_, self.epoch_ = score, len(net.history)
            self.best_ = NetState.copy(net, optimizer=False)

    def on_train_end(self, net, **kwargs):
        if self.best_ is not None:
            self.best_.restore(net)
        # The samples are not to be pickled with the network.
        self.points_ = None

    def kept(self):
        """What is known of the best epoch during training, as containers of tensors.

        Returns
        -------
        state : dict
        """
        best = self.best_
        return {
            "score": self.score_,
            "epoch": self.epoch_,
            "best": None if best is None else {"weights": best.weights, "extra": best.extra},
        }

    def take_up(self, state):
        """Continue from what was known, from :meth:`kept`."""
        self.score_, self.epoch_ = state["score"], state["epoch"]
        self.best_ = None if state["best"] is None else NetState(**state["best"])

    def conclude(self, net):
        """Forget the epoch if the network has other weights after all."""
        if self.best_ is not None and not self.best_.holds(net):
            self.epoch_ = None
        self.best_ = None

    def _score(self):
        return distribution_at(self.points_, SETTINGS).auc()
