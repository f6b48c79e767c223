"""Train to separation and continue: how MarginSubsetSelector trains its estimator."""

import math
from contextlib import ExitStack
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import clone

from ..adapters.registry import as_network
from ..adapters.unwrap import innermost
from ..classifier.estimator import MarginClassifier
from ..classifier.fitting import begin_fit
from ..classifier.pipelines import final_classifier, fit_transformers, pass_on_random_state
from ..classifier.settings import check_settings
from ..data.batches import Samples
from ..data.rows import take_rows
from ..data.weights import check_sample_weight
from ..exceptions import NotSeparatedWarning, warn_caller
from ..scales.registry import get_scale
from ..scoring.evaluation import check_samples, margins_at
from ..training.early_margins import EarlyMargins
from ..training.run import TrainingRun
from .label_noise import find_suspects, relative_areas
from .pruning import Pruning, TrainingWatch

__all__ = ["Separated", "Trained", "score_fitted", "separate", "train", "weighted"]

# The continuing learning rate as a share of the one before; chosen by measurement.
LR_SHARE = 0.2
HISTORY = [
    "phase",
    "lr",
    "n_samples",
    "n_scored",
    "loss",
    "accuracy",
    "rolled_back",
    "seconds",
    "scoring_seconds",
]


class Separated(NamedTuple):
    """A training run that has reached separation or used all its epochs.

    Parameters
    ----------
    estimator : MarginClassifier or Pipeline
    run : TrainingRun
        The run of the final classifier.
    samples : Samples
        The samples that it was trained on.
    rows : ndarray of int of shape (n_rows,)
        Row indices of the samples.
    margins : ndarray of float of shape (n_rows,)
        Margins of the samples, in logits.
    candidates : ndarray of bool of shape (n_rows,)
        Which samples may be selected.
    history : list of dict
        One per epoch.
    """

    estimator: Any
    run: TrainingRun
    samples: Samples
    rows: np.ndarray
    margins: np.ndarray
    candidates: np.ndarray
    history: list


class Trained(NamedTuple):
    """A fitted estimator and the results of its training.

    Parameters
    ----------
    estimator : estimator
    margins : ndarray of float of shape (n_rows,)
        Margins of the samples with non-zero weight, in logits.
    rows : ndarray of int of shape (n_rows,)
        Row indices of these samples.
    candidates : ndarray of bool of shape (n_rows,)
        Which of these samples may be selected.
    history : DataFrame of shape (n_epochs, 9)
    separation_epoch : int or None
    """

    estimator: Any
    margins: np.ndarray
    rows: np.ndarray
    candidates: np.ndarray
    history: pd.DataFrame
    separation_epoch: int | None


def train(selector, X, y, sample_weight, choose, n, rng):
    """Train a clone of the estimator to separation, and continue on selected samples.

    Parameters
    ----------
    selector : MarginSubsetSelector
        Provides the settings; not modified.
    X, y, sample_weight
        As for its ``fit``.
    choose : callable
        ``choose(margins, rows, candidates, n)`` returns the selection as indices into
        ``rows``.
    n : int
        Number of samples to select in the end.
    rng : numpy.random.Generator

    Returns
    -------
    trained : Trained
    """
    with ExitStack() as resumable:
        return _train(selector, X, y, sample_weight, choose, n, rng, resumable)


def _train(selector, X, y, sample_weight, choose, n, rng, resumable):
    separated = separate(selector, X, y, sample_weight, resumable)
    run, margins, history = separated.run, separated.margins, separated.history
    if selector.continue_epochs and not run.interrupted:
        pruning = Pruning(
            lambda margins, n: choose(margins, separated.rows, separated.candidates, n),
            separated.candidates,
            margins,
            n_first=max(n, math.ceil(selector.initial_share * len(separated.rows))),
            n_last=n,
            average=selector.average_weights,
            # After lr_schedule, run.lr is as before it, wherever separation fell.
            lr=LR_SHARE * run.lr if selector.continue_lr == "auto" else selector.continue_lr,
            reselect_every=selector.reselect_every,
            score_share=selector.score_share,
            rng=rng,
        )
        _show_as("continuing", run)
        margins = run.fit_guarded(
            separated.samples,
            selector.continue_epochs,
            pruning,
            freeze_batch_norm=selector.freeze_batch_norm,
        )
        history = [*history, *pruning.rows_]
    return Trained(
        separated.estimator,
        margins,
        separated.rows,
        separated.candidates,
        _table(history),
        run.separation.epoch_,
    )


def _show_as(phase, run):
    if run.progress is not None:
        run.progress.enter(phase)


def separate(selector, X, y, sample_weight, resumable=None):
    """Train a clone of the estimator until it separates the samples.

    Parameters
    ----------
    selector : MarginSubsetSelector
        Provides the settings; not modified.
    X, y, sample_weight
        As for its ``fit``.
    resumable : ExitStack, default=None
        A checkpoint of the training is removed when it is left. None makes no checkpoint.

    Returns
    -------
    separated : Separated

    Warns
    -----
    NotSeparatedWarning
        If the samples are not separated and ``on_unseparated="warn"``.
    """
    estimator = MarginClassifier() if selector.estimator is None else selector.estimator
    final_classifier(estimator, selector)  # raises before an unsuitable estimator is cloned
    estimator = clone(estimator)
    classifier = final_classifier(estimator)
    pass_on_random_state(estimator, selector.random_state)
    if selector.verbose:
        classifier.set_params(verbose=selector.verbose)
    if classifier.restore_best is not None:
        raise ValueError(
            f"restore_best={classifier.restore_best!r} of the estimator may restore another "
            "epoch than the one that separates the samples: set it to None."
        )
    classifier.set_params(stop_at_separation=selector.separation, warm_start=False)
    check_settings(classifier)  # before transformers are fitted
    inputs = fit_transformers(estimator, X, y)
    if not hasattr(inputs, "shape"):
        inputs = np.asarray(inputs)
    purpose = None
    if resumable is not None:
        purpose = "separation, labels judged" if selector.noise_guard else "separation"
    part = begin_fit(classifier, inputs, y, sample_weight, purpose=purpose)
    if resumable is not None:
        resumable.enter_context(part.resumable())
    run, samples, rows = part.run, part.samples, part.rows
    early = EarlyMargins(run.margin_history) if selector.noise_guard else None
    watch = TrainingWatch(early)
    _show_as("separation", run)
    margins = part.train(watch)
    if margins is None:
        margins = _margins(classifier, take_rows(inputs, rows), np.asarray(y)[rows])
    if not run.separation.separated_ and not run.interrupted:
        _not_separated(selector, np.mean(margins > 0), f"{run.n_epochs} epochs")
    candidates = np.ones(len(rows), dtype=bool)
    if early is not None:
        labels, class_index = np.unique(np.asarray(y)[rows], return_inverse=True)
        relative = relative_areas(early.mean_margins())
        candidates = ~find_suspects(relative, early.n_counted, class_index, labels)
    return Separated(estimator, run, samples, rows, margins, candidates, watch.rows_)


def score_fitted(selector, X, y, sample_weight, choose, n, rng):
    """Like :func:`train`, for an estimator that is already fitted."""
    if selector.noise_guard:
        raise ValueError(
            "noise_guard=True needs the margins of every epoch, which are unknown with "
            "prefit=True: use only one of them."
        )
    rows = weighted(np.arange(len(y)), sample_weight)
    margins = _margins(selector.estimator, take_rows(X, rows), y[rows])
    share = np.mean(margins > 0)
    if share < selector.separation:
        _not_separated(selector, share, "its fit")
    epoch = getattr(innermost(selector.estimator), "separation_epoch_", None)
    everything = np.ones(len(rows), dtype=bool)
    return Trained(selector.estimator, margins, rows, everything, _table([]), epoch)


def _not_separated(selector, accuracy, after):
    message = (
        f"The network does not separate its training data after {after}: it classifies "
        f"{accuracy:.4%} of them right, but separation={selector.separation} is required. "
        "Pruning was measured on separated data only. Raise the estimator's max_epochs, widen "
        "the network, lower its dropout, weight_decay or lr, or lower separation; "
        "contradictory labels cannot be separated."
    )
    if selector.on_unseparated == "raise":
        raise RuntimeError(message)
    warn_caller(message, NotSeparatedWarning)


def _table(history):
    table = pd.DataFrame(history, columns=HISTORY)
    table.index = pd.RangeIndex(1, len(history) + 1, name="epoch")
    return table


def weighted(values, sample_weight):
    """The values of the samples with non-zero weight."""
    if sample_weight is None:
        return values
    return values[check_sample_weight(sample_weight, len(values)) != 0]


def _margins(estimator, X, y):
    """Margins of a fitted estimator, in logits."""
    network = as_network(estimator)
    X, class_index = check_samples(network, X, y)
    return margins_at(network, X, class_index, get_scale(None))
