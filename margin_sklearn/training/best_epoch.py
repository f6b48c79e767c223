"""Training that ends with the weights of its best epoch, without a validation set."""

import torch
from skorch.callbacks import Callback

from ..adapters.network import Network
from ..neighborhoods.perturbed import N_DRAWS, pseudo_points
from ..scales.registry import get_scale
from ..scoring.curve import margin_auc
from ..scoring.evaluation import DEFAULT, MAX_SAMPLES, margins_around
from .state import NetState

__all__ = ["BestEpoch"]


class BestEpoch(Callback):
    """Scores each epoch by its margin-AUC on the training samples; restores the best one.

    The score is ``margin_auc_score``, at two pseudo-points around each of at most 2,000
    training samples, written to the history as ``margin_auc``. Cost: a forward and a backward
    pass over the pseudo-points an epoch, and a copy of the weights. Where training continues,
    the weights that it begins with take part, so that the score kept cannot fall.

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
        index = X.y.cpu().numpy()
        # Seen as the network is trained on it: nothing to prepare, labels encoded.
        network = Network(net.module_, _same, _same, dtype=X.dtype, device=X.device)
        points = pseudo_points(network, inputs, index, MAX_SAMPLES).thinned(N_DRAWS)
        weight = None if X.weight is None else X.weight.cpu().numpy()
        scale = get_scale(DEFAULT["scale"])
        self.scored_: tuple = (network, inputs, scale, points)
        self.weight_ = points.weights(weight)
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
        self.weight_, self.scored_ = None, ()

    def conclude(self, net):
        """Forget the epoch if the network has other weights after all."""
        if self.best_ is not None and not self.best_.holds(net):
            self.epoch_ = None
        self.best_ = None

    def _score(self):
        margins = margins_around(*self.scored_)
        unit = self.scored_[-1].neighborhood.distance
        return margin_auc(
            margins.ravel(),
            self.weight_.repeat(margins.shape[1]),
            floor=DEFAULT["floor"] * unit,
            ceiling=DEFAULT["ceiling"] * unit,
        )


def _same(rows):
    return rows
