"""Fit many MarginClassifiers, those of one architecture as one."""

import time
from collections import defaultdict
from contextlib import ExitStack, suppress
from itertools import pairwise
from typing import Any, NamedTuple

import joblib
import torch
from sklearn.base import clone

from ..nn.modules import MLP
from ..nn.stacked_layers import layers_key
from ..runtime import seeded
from ..training.schedules import SCHEDULES
from ..training.stack_size import MOST_ON_CPU, bytes_of_one, stack_sizes
from ..training.stacked import StackedTraining, stack_key
from .fitting import begin_fit
from .settings import check_settings

__all__ = ["Fit", "Fitted", "fit_together", "groups_to_fit"]

# Settings in which stacked networks may differ.
_OWN = ("lr", "weight_decay", "random_state")


class Fit(NamedTuple):
    """A fit to make: ``classifier.fit(X, y, sample_weight)``.

    Parameters
    ----------
    classifier : MarginClassifier
        Not fitted; changed by the fit.
    X, y, sample_weight
        As for its ``fit``. Fits of the same samples should share these objects.
    """

    classifier: Any
    X: Any
    y: Any
    sample_weight: Any = None


class Fitted(NamedTuple):
    """The result of a :class:`Fit`.

    Parameters
    ----------
    error : Exception or None
        What its ``fit`` raised; the classifier is not usable then.
    seconds : float
        Wall time; of stacked fits, an equal share of the time of all of them.
    n_together : int
        Number of networks that were trained as one; 1 for an ordinary fit.
    watch : EpochWatch or None
        What saw the margins of the samples of positive weight in each epoch, if that was asked
        for.
    """

    error: Exception | None
    seconds: float
    n_together: int
    watch: Any = None


def groups_to_fit(fits, n_jobs=1, always=False):
    """Divide fits into units of work for :func:`fit_together`.

    Parameters
    ----------
    fits : list of Fit
    n_jobs : int, default=1
        Number of workers that the units are for.
    always : bool, default=False
        Whether to stack wherever that is possible, even if it does not pay.

    Returns
    -------
    groups : list of list of int
        Indices of the fits. Those of a group of several differ only in settings that stacked
        networks may differ in, and there are as many as pay off on their device.
    """
    alike = defaultdict(list)
    for place, fit in enumerate(fits):
        alike[_settings_key(fit) or ("alone", place)].append(place)
    groups = []
    for places in alike.values():
        n = len(places)
        most = _most_together(fits[places[0]], n, always) if n > 1 else 1
        # Every worker gets some, of equal size.
        n_groups = max(-(-len(places) // most), min(n_jobs, len(places) // 4, len(places)))
        cuts = [len(places) * i // n_groups for i in range(n_groups + 1)]
        groups += [places[a:b] for a, b in pairwise(cuts)]
    return groups


def _settings_key(fit):
    """What the settings of fits in a group have in common; None for those that never stack."""
    classifier = fit.classifier
    stop = classifier.stop_at_separation
    if (
        classifier.callbacks
        or classifier.checkpoint is not None
        or classifier.restore_best is not None
        or stop
        or classifier.verbose
        or hasattr(classifier, "net_")
        or not _is_name(classifier.lr_schedule, SCHEDULES)
    ):
        return None
    key: list = [len(fit.y) if hasattr(fit.y, "__len__") else id(fit.y)]
    for name, value in sorted(classifier.get_params(deep=False).items()):
        if name in (*_OWN, "lr_schedule"):
            continue
        if name == "module__dropout" and classifier.module is MLP:
            # Without dropout there are no layers for it.
            value = bool(value)
        if name == "class_weight":
            value = value is not None or fit.sample_weight is not None
        try:
            key.append((name, id(value) if callable(value) else joblib.hash(value)))
        except Exception:  # objects that cannot be pickled raise anything
            return None
    return tuple(key)


def _is_name(value, names):
    return isinstance(value, str) and value in names


def _most_together(fit, n, always):
    """Number of fits like this one that should be trained as one; 1 if it does not pay."""
    try:
        check_settings(fit.classifier)
        # A clone, which does not draw from a RandomState of the classifier.
        part = begin_fit(clone(fit.classifier), fit.X, fit.y, fit.sample_weight)
        key = stack_key(part.run, part.samples, part.epochs)
        if key is None:
            return 1
        run, samples = part.run, part.samples
        module = run.net.module_.eval()
        with seeded(run.device, seed=0):
            n_bytes = bytes_of_one(
                module,
                samples.rows(torch.tensor([0, 1])),
                len(samples),
                run.settings.batch_size,
                run.net.n_classes,
            )
    except Exception:
        # Raised again by its own fit.
        return 1
    layered = layers_key(module) is not None
    fewest, most = stack_sizes(layered, run.flops, run.device, n_bytes)
    if always:
        # A GPU's memory is the limit in any case.
        return MOST_ON_CPU if run.device.type == "cpu" else most
    return most if n >= fewest else 1


def fit_together(fits, watch=None, purpose=None):
    """Fit the classifiers of a group, as one network if they can be stacked.

    Parameters
    ----------
    fits : list of Fit
        One of :func:`groups_to_fit`.
    watch : callable, default=None
        ``watch(margin_history)`` makes an
        :class:`~margin_sklearn.training.early_margins.EpochWatch` for each fit.
    purpose : str, default=None
        As of :func:`~margin_sklearn.classifier.fitting.begin_fit`: the watch is part of it.

    Returns
    -------
    results : list of Fitted
        The same classifiers are fitted as by their own ``fit``: from the same weights, with
        the samples in the same order.
    """
    start = time.perf_counter()
    if len(fits) == 1 and watch is None:
        return [_fit_alone(fits[0])]
    parts: list = []
    errors: list = []
    for fit in fits:
        part, error = _begun(fit, parts, purpose)
        parts.append(part)
        errors.append(error)
    alike = defaultdict(list)
    for k, part in enumerate(parts):
        key = None if part is None else stack_key(part.run, part.samples, part.epochs)
        alike[("alone", k) if key is None else key].append(k)
    # Of what begins, all have their share.
    begun = (time.perf_counter() - start) / len(fits)
    results: list = [None] * len(fits)
    for places in alike.values():
        group = _trained([parts[k] for k in places], [errors[k] for k in places], watch)
        for k, result in zip(places, group, strict=True):
            results[k] = result._replace(seconds=result.seconds + begun)
    return results


def _trained(parts, errors, watch):
    """Train begun fits with the same :func:`stack_key`; a part is None if it has an error."""
    start = time.perf_counter()
    training = None
    watches = [
        None if watch is None or part is None else watch(part.run.margin_history)
        for part in parts
    ]
    if len(parts) > 1:
        runs, samples = [part.run for part in parts], [part.samples for part in parts]
        each = None if watch is None else watches
        training = StackedTraining(runs, samples, parts[0].epochs, each)
    found = None
    if training is not None and training.agrees():
        with suppress(Exception), ExitStack() as kept:
            # A module may fail on batches of other sizes, by itself or only as one of several.
            for run in runs:
                kept.enter_context(run.kept_on_error())
            found = training.fit()
    if found is None:
        return [_finished(*each) for each in zip(parts, errors, watches, strict=True)]
    seconds = (time.perf_counter() - start) / len(parts)
    return [
        Fitted(error, seconds, len(parts), own)
        for error, own in zip(found, watches, strict=True)
    ]


def _begun(fit, earlier, purpose):
    """The begun fit, or the error that it raised."""
    try:
        check_settings(fit.classifier)
        part = begin_fit(fit.classifier, fit.X, fit.y, fit.sample_weight, purpose=purpose)
    except Exception as error:  # whatever its own fit raises
        return None, error
    for other in earlier:
        if other is not None and _same_samples(part.samples, other.samples):
            # One copy for all.
            return part._replace(samples=other.samples), None
    return part, None


def _same_samples(one, other):
    if one.shape != other.shape or one.dtype != other.dtype or one.device != other.device:
        return False
    if (
        not one.resident
        or not other.resident
        or (one.weight is None) != (other.weight is None)
    ):
        return False
    return (
        torch.equal(one.X, other.X)
        and torch.equal(one.y, other.y)
        and (one.weight is None or torch.equal(one.weight, other.weight))
    )


def _fit_alone(fit):
    start, error = time.perf_counter(), None
    try:
        fit.classifier.fit(fit.X, fit.y, sample_weight=fit.sample_weight)
    except Exception as caught:
        error = caught
    return Fitted(error, time.perf_counter() - start, 1)


def _finished(part, error, watch):
    """Train a begun fit by itself."""
    start = time.perf_counter()
    if part is not None:
        try:
            with part.resumable():
                part.train(watch)
        except Exception as caught:
            error = caught
    return Fitted(error, time.perf_counter() - start, 1, watch)
