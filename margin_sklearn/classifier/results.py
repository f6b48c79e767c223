"""Results of the training of a MarginClassifier."""

from typing import Any

from skorch.history import History

from ..exceptions import NotSeparatedWarning, warn_caller
from .state import training_run

__all__ = ["TrainingResults", "warn_unless_separated"]


class TrainingResults:
    """The attributes of a fitted MarginClassifier that are read from its training."""

    @property
    def history_(self) -> History:
        """skorch's history of the training: one row per epoch."""
        return training_run(self).net.history

    @property
    def loss_curve_(self) -> list[float]:
        """Mean training loss of each completed epoch."""
        return [row["train_loss"] for row in self.history_ if "train_loss" in row]

    @property
    def n_iter_(self) -> int:
        """Number of completed epochs."""
        return len(self.loss_curve_)

    @property
    def best_epoch_(self) -> int | None:
        """The epoch, from 1, whose weights ``restore_best`` kept; None without it."""
        callback = training_run(self).best_epoch
        return None if callback is None else callback.epoch_

    @property
    def separated_(self) -> bool:
        """Whether every sample of the last training is correctly classified."""
        return training_run(self).separation.separated_

    @property
    def separation_epoch_(self) -> int | None:
        """The first epoch (from 1) after which it was, or None."""
        return training_run(self).separation.epoch_


def warn_unless_separated(classifier: Any, n_epochs: int) -> None:
    """Warn if training was to stop at separation, but did not reach it.

    Parameters
    ----------
    classifier : MarginClassifier
        Fitted.
    n_epochs : int
        Number of epochs of its last training.

    Warns
    -----
    NotSeparatedWarning
        Unless it was interrupted.
    """
    run = training_run(classifier)
    if classifier.stop_at_separation and not classifier.separated_ and not run.interrupted:
        warn_caller(
            f"The network does not separate its training data after {n_epochs} epochs: its "
            "training accuracy in the last epoch was "
            f"{classifier.history_[-1]['train_accuracy']:.4f}. Raise max_epochs, widen the "
            "network, or lower dropout or weight_decay; contradictory labels cannot be "
            "separated.",
            NotSeparatedWarning,
        )
