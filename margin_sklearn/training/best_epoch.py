"""Training that ends with the weights of its best epoch, without a validation set."""

import torch

from ..adapters.network import Network
from ..neighborhoods.perturbed import N_DRAWS, pseudo_points
from ..neighborhoods.transformed_rows import TransformedRows
from ..scoring.distribution import DEFAULT, distribution_at
from ..scoring.points import PerturbedPoints
from .callbacks import OwnCallback

__all__ = ["BestEpoch"]

SETTINGS = DEFAULT


class BestEpoch(OwnCallback):
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

    changes_weights = True

    def initialize(self):
        self.epoch_ = None
        return self

    def on_train_begin(self, net, X=None, **kwargs):
        inputs = X.X.cpu().numpy() if isinstance(X.X, torch.Tensor) else X.X
        index = X.y.cpu().numpy()
        # As the network is trained on them: nothing to prepare, labels encoded.
        network = Network(net.module_, _same, _same, dtype=X.dtype, device=X.device)
        points = pseudo_points(network, inputs, index, SETTINGS.max_samples).thinned(N_DRAWS)
        weight = points.weights(None if X.weight is None else X.weight.cpu().numpy())
        self.points_: PerturbedPoints | None = PerturbedPoints(
            TransformedRows(network, inputs), points, weight
        )
        self.best_, self.score_ = None, -float("inf")
        if net.history:
            self.best_, self.score_ = self._weights(net), self._score()

    def on_epoch_end(self, net, **kwargs):
        score = self._score()
        net.history.record("margin_auc", score)
        if score > self.score_:
            self.score_, self.epoch_ = score, len(net.history)
            self.best_ = self._weights(net)

    def on_train_end(self, net, **kwargs):
        if self.best_ is not None:
            net.module_.load_state_dict(self.best_)
        # The samples are not to be pickled with the network.
        self.points_ = None

    def conclude(self, net, dataset):
        """Forget the epoch if the network has other weights after all."""
        if self.best_ is not None:
            now = net.module_.state_dict()
            if not all(torch.equal(now[name], value) for name, value in self.best_.items()):
                self.epoch_ = None
        self.best_ = None

    def _score(self):
        return distribution_at(self.points_, SETTINGS).auc()

    @staticmethod
    def _weights(net):
        return {name: value.clone() for name, value in net.module_.state_dict().items()}


def _same(rows):
    return rows
