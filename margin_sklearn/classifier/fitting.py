"""What comes before a training of a MarginClassifier: settings, samples, checkpoint."""

from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from ..data.batches import Samples
from ..data.validation import check_classes_again, validate_fit, validate_labels
from ..data.weights import training_weights
from ..exceptions import warn_caller
from ..runtime import resolve_device
from ..storage.hashing import Unhashable, content_hash
from ..storage.sources import sources_of
from ..training.build import TrainingSettings
from ..training.checkpoint import Checkpoint, training_hash
from ..training.length import n_epochs, samples_per_step
from ..training.run import TrainingRun
from ..training.schedules import learning_rate
from ..versions import versions_of_libraries
from .parameters import nested_params
from .state import is_warm, keep_run, training_run

__all__ = ["TrainingPart", "begin_fit", "begin_training"]


class TrainingPart(NamedTuple):
    """A training that is about to start or continue.

    Parameters
    ----------
    run : TrainingRun
    samples : Samples
        The samples to train on.
    rows : ndarray of int of shape (len(samples),)
        Row indices of the samples in the user's X, without samples of weight 0.
    epochs : int
        Number of epochs, from the classifier's ``max_epochs``.
    checkpoint : Checkpoint or None
        The training resumes from it.
    """

    run: TrainingRun
    samples: Samples
    rows: np.ndarray
    epochs: int
    checkpoint: Checkpoint | None = None

    def train(self, watch=None):
        """Train, or resume the training, with a further callback."""
        return self.run.fit(self.samples, self.epochs, watch=watch, checkpoint=self.checkpoint)

    def resumable(self):
        """Context of the work of which the checkpoint is removed when it has finished."""
        if self.checkpoint is None:
            return nullcontext()
        return self.checkpoint.until_finished(self.run)


def begin_fit(
    classifier: Any,
    X: Any,
    y: Any,
    sample_weight: ArrayLike | None = None,
    *,
    purpose: str | None = None,
) -> TrainingPart:
    """The part of :meth:`MarginClassifier.fit` between its parameter checks and the training.

    Parameters
    ----------
    classifier : MarginClassifier
        Modified: its previous training is discarded, unless its ``warm_start`` keeps it.
    X, y, sample_weight
        As for its ``fit``.
    purpose : str, default=None
        What the training is for, if it has the classifier's ``checkpoint``: one for another
        purpose has other callbacks, and its state is kept apart. The work must then be done
        within ``part.resumable()``.

    Returns
    -------
    part : TrainingPart
        ``part.train()`` trains the classifier.
    """
    warm = is_warm(classifier)
    X, y = validate_fit(classifier, X, y, reset=not warm)
    if warm:
        check_classes_again(y, classifier.classes_)
    else:
        classifier.classes_ = np.unique(y)
    return begin_training(classifier, X, y, sample_weight, fresh=not warm, purpose=purpose)


def begin_training(
    classifier: Any,
    X: Any,
    y: Any,
    sample_weight: ArrayLike | None,
    *,
    fresh: bool,
    chunk: bool = False,
    purpose: str | None = None,
) -> TrainingPart:
    """The next training of a classifier: a whole fit, or a chunk of samples for one epoch.

    Parameters
    ----------
    classifier : MarginClassifier
        Modified.
    X, y : ndarray or sparse matrix, ndarray
        Validated.
    sample_weight : array-like of shape (n_samples,) or None
    fresh : bool
        Whether a new network is built.
    chunk : bool, default=False
    purpose : str, default=None
        As for :func:`begin_fit`; without one there is no checkpoint.

    Returns
    -------
    part : TrainingPart
    """
    class_index = validate_labels(y, classifier.classes_)
    weight = training_weights(
        sample_weight,
        classifier.class_weight,
        class_index,
        classifier.classes_,
        relative=not chunk,
    )
    rows = np.arange(len(class_index))
    if weight is not None and not weight.all():
        # Weight 0 excludes a sample, from batch norm and the separation check too.
        rows = np.flatnonzero(weight)
        X, class_index, weight = X[rows], class_index[rows], weight[rows]
    names = getattr(classifier, "feature_names_in_", None)
    # One cycle must know where training ends.
    open_ended = classifier.stop_at_separation and classifier.lr_schedule == "one_cycle"
    settings = _settings(
        classifier,
        "constant" if chunk or open_ended else classifier.lr_schedule,
        samples_per_step(classifier.batch_size, len(rows)),
    )
    checkpoint = None
    if purpose is not None and classifier.checkpoint is not None:
        data = X, class_index, weight, classifier.classes_
        checkpoint = _checkpoint(classifier, purpose, data, fresh)
    try:
        if fresh:
            run = TrainingRun(
                settings,
                X,
                n_classes=len(classifier.classes_),
                device=resolve_device(classifier.device),
                seed=_seed(classifier.random_state, checkpoint),
                names=names,
            )
            keep_run(classifier, run)
        else:
            run = training_run(classifier)
            run.update(settings)
        samples = run.samples(X, class_index, weight, names)
    except BaseException:
        if checkpoint is not None:
            checkpoint.close()
        raise
    epochs = n_epochs(classifier.max_epochs, bool(classifier.stop_at_separation))
    return TrainingPart(run, samples, rows, epochs, checkpoint)


def _settings(classifier, lr_schedule, batch_size):
    stop = classifier.stop_at_separation
    return TrainingSettings(
        module=classifier.module,
        criterion=classifier.criterion,
        optimizer=classifier.optimizer,
        lr=learning_rate(classifier.lr, lr_schedule),
        lr_schedule=lr_schedule,
        # NumPy's numbers of single precision would round otherwise than those of a file.
        weight_decay=float(classifier.weight_decay),
        batch_size=batch_size,
        restore_best=classifier.restore_best,
        callbacks=classifier.callbacks,
        verbose=classifier.verbose,
        stop=bool(stop),
        share=1.0 if isinstance(stop, bool | np.bool_) else stop,
        nested=nested_params(classifier),
    )


def _checkpoint(classifier, purpose, data, fresh):
    """The checkpoint of a fit; None, with a warning, if there cannot be one."""
    folder = classifier.checkpoint
    if classifier.callbacks:
        reason = "it has callbacks, whose state is not known"
    else:
        try:
            return Checkpoint(
                folder,
                content_hash(
                    classifier,
                    purpose,
                    sources_of(classifier),
                    data,
                    str(resolve_device(classifier.device)),
                    str(torch.get_default_dtype()),
                    versions_of_libraries(),
                    None if fresh else training_hash(training_run(classifier)),
                ),
                classifier.checkpoint_every,
            )
        except Unhashable as error:
            reason = str(error)
    warn_caller(f"checkpoint={str(folder)!r} keeps nothing of this fit: {reason}.")
    return None


def _seed(random_state, checkpoint):
    """The seed of a new network: of the training that is resumed, or a new one."""
    resumed = None if checkpoint is None else checkpoint.seed
    if random_state is not None:
        # A RandomState is drawn from in any case.
        return int(check_random_state(random_state).randint(2**31 - 1))
    if resumed is not None:
        return resumed
    # From the operating system: NumPy's global generator must not change.
    return int(np.random.SeedSequence().generate_state(1)[0])
