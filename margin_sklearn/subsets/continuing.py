"""Training to separation and on: what MarginSubsetSelector does to its estimator."""

import warnings
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import clone

from ..adapters.registry import as_network
from ..adapters.unwrap import innermost
from ..classifier.estimator import MarginClassifier
from ..classifier.pipelines import final_classifier, fit_transformers, pass_on_random_state
from ..classifier.settings import check_settings
from ..data.rows import take_rows
from ..data.weights import check_sample_weight
from ..exceptions import NotSeparatedWarning
from ..scales.registry import get_scale
from ..scoring.evaluation import check_samples, margins_at
from .pruning import Pruning, train_pruned, train_watched

__all__ = ["Trained", "score_fitted", "train", "weighted"]

# The continuing learning rate as a share of the training one, chosen by measurement.
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


class Trained(NamedTuple):
    """A fitted estimator, and what is known of its training.

    Parameters
    ----------
    estimator : estimator
    margins : ndarray of float of shape (n_rows,)
        In logits, of the samples that take part.
    rows : ndarray of int of shape (n_rows,)
        Their positions.
    candidates : ndarray of bool of shape (n_rows,)
        Which of them may be selected.
    history : DataFrame of shape (n_epochs, 9)
    separation_epoch : int or None
    """

    estimator: Any
    margins: np.ndarray
    rows: np.ndarray
    candidates: np.ndarray
    history: pd.DataFrame
    separation_epoch: int | None


def train(selector, X, y, sample_weight, choose, rng):
    """Train a clone of the estimator to separation, and go on with what ``choose`` chooses.

    Parameters
    ----------
    selector : MarginSubsetSelector
        Its settings; it is not changed.
    X, y, sample_weight
        As for its ``fit``.
    choose : callable
        ``choose(margins, rows, candidates)`` gives positions in ``rows``.
    rng : numpy.random.Generator

    Returns
    -------
    trained : Trained
    """
    estimator = (
        MarginClassifier(max_epochs=200) if selector.estimator is None else selector.estimator
    )
    final_classifier(estimator)  # what is none is not to be cloned
    estimator = clone(estimator)
    classifier = final_classifier(estimator)
    pass_on_random_state(estimator, selector.random_state)
    if selector.verbose:
        classifier.set_params(verbose=selector.verbose)
    if classifier.restore_best is not None:
        raise ValueError(
            f"restore_best={classifier.restore_best!r} of the estimator would end with "
            "another epoch than the one that separates the samples: set it to None."
        )
    classifier.set_params(stop_at_separation=selector.separation, warm_start=False)
    check_settings(classifier)  # before transformers are fitted
    inputs = fit_transformers(estimator, X, y)
    if not hasattr(inputs, "shape"):
        inputs = np.asarray(inputs)
    rows, watch = train_watched(classifier, inputs, y, sample_weight, aum=selector.noise_guard)
    margins = watch.margins_
    if margins is None:
        margins = _margins(classifier, take_rows(inputs, rows), np.asarray(y)[rows])
    interrupted = classifier.net_.interrupted_
    if not classifier.separated_ and not interrupted:
        _not_separated(selector, np.mean(margins > 0), f"{classifier.n_iter_} epochs")
    candidates = watch.aum_ >= 0 if selector.noise_guard else np.ones(len(rows), dtype=bool)
    if not candidates.any():
        raise ValueError(
            "noise_guard suspects every sample: the network got none of them right early "
            "in training. Raise max_epochs, or set noise_guard=False."
        )
    history = watch.rows_
    if selector.continue_epochs and not interrupted:
        lr = selector.continue_lr
        if lr == "auto":
            lr = LR_SHARE * classifier.net_.optimizer_.param_groups[0]["lr"]
        pruning = Pruning(
            lambda margins: choose(margins, rows, candidates),
            candidates,
            margins,
            lr=lr,
            reselect_every=selector.reselect_every,
            score_share=selector.score_share,
            freeze_batch_norm=selector.freeze_batch_norm,
            rng=rng,
        )
        train_pruned(classifier, inputs, y, sample_weight, pruning, selector.continue_epochs)
        margins, history = pruning.margins_, [*history, *pruning.rows_]
    return Trained(
        estimator, margins, rows, candidates, _table(history), classifier.separation_epoch_
    )


def score_fitted(selector, X, y, sample_weight, choose, rng):
    """As :func:`train`, of an estimator that is fitted already."""
    if selector.noise_guard:
        raise ValueError(
            "noise_guard=True needs the margins of every epoch, which prefit=True does "
            "not know: choose one of them."
        )
    rows = weighted(np.arange(len(y)), sample_weight)
    margins = _margins(selector.estimator, take_rows(X, rows), y[rows])
    share = np.mean(margins > 0)
    if share < selector.separation:
        _not_separated(selector, share, "the fit it had")
    epoch = getattr(innermost(selector.estimator), "separation_epoch_", None)
    everything = np.ones(len(rows), dtype=bool)
    return Trained(selector.estimator, margins, rows, everything, _table([]), epoch)


def _not_separated(selector, accuracy, after):
    message = (
        f"The network does not separate its training data after {after}: it classifies "
        f"{accuracy:.4%} of them right, separation={selector.separation} was asked for. What "
        "is known of pruning is known of separated data. Raise the estimator's "
        "max_epochs, widen the network, lower its dropout, weight_decay or lr, or lower "
        "separation; contradictory labels cannot be separated."
    )
    if selector.on_unseparated == "raise":
        raise RuntimeError(message)
    warnings.warn(message, NotSeparatedWarning, stacklevel=4)


def _table(history):
    table = pd.DataFrame(history, columns=HISTORY)
    table.index = pd.RangeIndex(1, len(history) + 1, name="epoch")
    return table


def weighted(values, sample_weight):
    """Those of the values whose sample has a weight other than 0."""
    if sample_weight is None:
        return values
    return values[check_sample_weight(sample_weight, len(values)) != 0]


def _margins(estimator, X, y):
    """Margins in logits of a fitted estimator."""
    network = as_network(estimator)
    X, index = check_samples(network, X, y)
    return margins_at(network, X, index, get_scale(None))
