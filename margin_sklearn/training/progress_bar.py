"""A progress bar over the epochs of a training run."""

from typing import Any

from skorch.callbacks import Callback

__all__ = ["ProgressBar"]


class ProgressBar(Callback):
    """A tqdm bar over the epochs that shows loss, accuracy and margin.

    With ``restore_best`` it also shows the margin-AUC and the best epoch so far, in a training
    of several phases the phase and the number of samples trained on.

    Parameters
    ----------
    best_epoch : BestEpoch or None, default=None
        Called before this callback.
    """

    def __init__(self, best_epoch=None):
        self.best_epoch = best_epoch
        self.phase_ = None

    def enter(self, phase):
        """Show the next training as this phase.

        Parameters
        ----------
        phase : str
        """
        self.phase_ = phase

    def on_train_begin(self, net, **kwargs):
        from tqdm.auto import tqdm

        self.before_ = len(net.history)
        self.bar_ = tqdm(total=net.max_epochs, unit="epoch", desc=self.phase_ or "fit")

    def on_epoch_end(self, net, dataset_train=None, **kwargs):
        row = net.history[-1]
        shown: dict[str, Any] = {
            "loss": f"{row['train_loss']:.3g}",
            "accuracy": f"{row['train_accuracy']:.3f}",
            "margin": f"{row['train_margin']:.3g}",
        }
        if self.best_epoch is not None:
            shown["margin_auc"] = f"{row['margin_auc']:.3f}"
            shown["best_epoch"] = self.best_epoch.epoch_
        if self.phase_ is not None:
            active = dataset_train.active
            shown["samples"] = len(dataset_train if active is None else active)
        self.bar_.set_postfix(shown, refresh=False)
        # A training that was resumed has epochs that it did not make.
        self.bar_.update(len(net.history) - self.before_ - self.bar_.n)

    def on_train_end(self, net, **kwargs):
        self.close()

    def close(self):
        """Close the bar; may be called more than once."""
        self.phase_ = None
        if getattr(self, "bar_", None) is not None:
            self.bar_.close()
            self.bar_ = None
