"""Training that ends with the weights of its best epoch, without a validation set."""

import torch
from skorch.callbacks import Callback

from .margins import margin_auc
from .network import Network
from .network_margins import DEFAULT, MAX_SAMPLES, margins_around
from .pseudopoints import N_DRAWS, pseudo_points
from .scales import check_scale

__all__ = ["BestEpoch"]


class BestEpoch(Callback):
    """Scores each epoch by its margin-AUC on the training samples; restores the best one.

    The score is ``margin_auc_score``, at two pseudo-points around each of at most 2,000
    training samples, written to the history as ``margin_auc``. Cost: a forward and a backward
    pass over the pseudo-points an epoch, and a copy of the weights.

    Attributes
    ----------
    epoch_ : int or None
        The epoch, from 1, whose weights the network has.
    """

    def initialize(self):
        self.epoch_ = None
        return self

    def on_train_begin(self, net, X=None, **kwargs):
        inputs = X.X.cpu().numpy() if isinstance(X.X, torch.Tensor) else X.X
        index = X.y.cpu().numpy()
        # Seen as the network is trained on it: nothing to prepare, labels encoded.
        network = Network(net.module_, _same, _same, device=X.device)
        points = pseudo_points(network, inputs, index, MAX_SAMPLES).thinned(N_DRAWS)
        weight = None if X.weight is None else X.weight.cpu().numpy()
        scale = check_scale(DEFAULT["scale"])
        self.scored_: tuple = (network, inputs, scale, points)
        self.weight_ = points.weights(weight)
        self.best_, self.score_ = None, -float("inf")

    def on_epoch_end(self, net, **kwargs):
        margins = margins_around(*self.scored_)
        unit = self.scored_[-1].neighborhood.distance
        score = margin_auc(
            margins.ravel(),
            self.weight_.repeat(margins.shape[1]),
            floor=DEFAULT["floor"] * unit,
            ceiling=DEFAULT["ceiling"] * unit,
        )
        net.history.record("margin_auc", score)
        if score > self.score_:
            self.score_, self.epoch_ = score, len(net.history)
            self.best_ = {
                name: value.clone() for name, value in net.module_.state_dict().items()
            }

    def on_train_end(self, net, **kwargs):
        if self.best_ is not None:
            net.module_.load_state_dict(self.best_)
        # The samples are not to be pickled with the network.
        self.best_ = self.weight_ = None
        self.scored_ = ()


def _same(rows):
    return rows
