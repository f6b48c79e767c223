"""Fitting and scoring the candidates of a search, many as one where they can be stacked."""

import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import joblib
import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from ..adapters.unwrap import innermost
from ..classifier.estimator import MarginClassifier
from ..classifier.together import Fit, fit_together, groups_to_fit
from ..data.rows import take_rows
from ..scoring.together import scores_together

__all__ = ["Outcome", "Task", "Work", "fit_and_score", "units_of"]


@dataclass(frozen=True)
class Work:
    """What all fits of a search have in common.

    Parameters
    ----------
    X, y
        All samples.
    splits : list of (train, test)
        Row indices of the folds.
    margin_scoring, scoring : callable
        ``scorer(estimator, X, y, **params)`` for fits on all samples, and for folds.
    fit_params : dict
        For the estimator's ``fit``; arrays of one value per sample are cut as X is.
    margin_weight : array-like of shape (n_samples,) or None
        ``sample_weight`` of ``margin_scoring``.
    score_params : dict
        Of ``scoring``.
    """

    X: Any
    y: Any
    splits: list
    margin_scoring: Any
    scoring: Any
    fit_params: dict = field(default_factory=dict)
    margin_weight: Any = None
    score_params: dict = field(default_factory=dict)

    def rows(self, split):
        """X, y and the parameters of ``fit`` of the training samples of a fold, or of all."""
        if split is None:
            return self.X, self.y, self.fit_params
        train = self.splits[split][0]
        return (
            take_rows(self.X, train),
            take_rows(self.y, train),
            self.params_of_rows(self.fit_params, train),
        )

    def params_of_rows(self, params, rows):
        """Parameters of a method for some rows: those with one value per sample are cut."""
        n = len(self.y)
        return {
            name: take_rows(value, rows) if _length(value) == n else value
            for name, value in params.items()
        }


def _length(value):
    if isinstance(value, str | bytes | dict):
        return None
    shape = getattr(value, "shape", None)
    if shape is not None:
        return shape[0] if len(shape) else None
    return len(value) if isinstance(value, list | tuple) else None


class Task(NamedTuple):
    """A fit of a candidate: on all samples, or without a fold.

    Parameters
    ----------
    candidate : int
    split : int or None
        None for all samples.
    estimator : estimator
        A clone with the parameters of the candidate; changed by the fit.
    """

    candidate: int
    split: int | None
    estimator: Any


class Prepared(NamedTuple):
    """A task with the samples as its network will see them, if it can be stacked.

    Parameters
    ----------
    task : Task
    fit : Fit or None
        The fit of the MarginClassifier that the estimator is, or is the last step of.
    transformers : list of (name, fitted transformer)
        The steps before it.
    seconds : float
        Time of fitting the transformers.
    """

    task: Task
    fit: Fit | None = None
    transformers: Any = ()
    seconds: float = 0.0


class Outcome(NamedTuple):
    """The result of a task.

    Parameters
    ----------
    candidate, split
        Of the task.
    estimator : estimator or None
        Fitted; None for folds, and if the fit failed.
    score : float
        NaN if fit or scoring failed.
    error : Exception or None
    fit_seconds, score_seconds : float
    n_together : int
        Number of networks that were trained as one.
    """

    candidate: int
    split: int | None
    estimator: Any
    score: float
    error: Exception | None
    fit_seconds: float
    score_seconds: float
    n_together: int


def units_of(work, tasks, *, stack, n_jobs):
    """Divide tasks into units of work for :func:`fit_and_score`.

    Transformers are fitted here, once for all tasks of equal settings on the same samples.

    Parameters
    ----------
    work : Work
    tasks : list of Task
    stack : {"auto", True, False}
        Whether networks are trained as one: where it pays, wherever possible, or never.
    n_jobs : int

    Yields
    ------
    unit : list of Prepared
    """
    if not isinstance(stack, str) and not stack:
        for task in tasks:
            yield [Prepared(task)]
        return
    alike = defaultdict(list)
    for place, task in enumerate(tasks):
        alike[_transformer_key(task, work) or ("alone", place)].append(task)
    for key, members in alike.items():
        if key[0] == "alone":
            yield [Prepared(*members)]
            continue
        samples: dict[int | None, Any] = {}
        prepared = [_prepared(work, task, samples) for task in members]
        for each in prepared:
            if each.fit is None:
                yield [each]
        ready = [each for each in prepared if each.fit is not None]
        for group in groups_to_fit(
            [each.fit for each in ready], n_jobs, always=not isinstance(stack, str)
        ):
            yield [ready[place] for place in group]


def _transformer_key(task, work):
    """What tasks share whose networks see the same inputs; None if they cannot be stacked."""
    estimator = task.estimator
    if type(estimator) is MarginClassifier:
        return ("network",) if not {*work.fit_params} - {"sample_weight"} else None
    if type(estimator) is not Pipeline or type(estimator.steps[-1][1]) is not MarginClassifier:
        return None
    name = estimator.steps[-1][0]
    if {*work.fit_params} - {f"{name}__sample_weight"} or estimator.memory is not None:
        return None
    if getattr(estimator, "transform_input", None) is not None:
        return None
    try:
        return "pipeline", joblib.hash([estimator.steps[:-1], name])
    except Exception:  # objects that cannot be pickled raise anything
        return None


def _prepared(work, task, samples):
    """Fit the transformers of a task on its samples, unless that was done before."""
    if task.split not in samples:
        start = time.perf_counter()
        try:
            samples[task.split] = _transformed(work, task), time.perf_counter() - start
        except Exception:
            # The ordinary fit raises it again.
            samples[task.split] = None, 0.0
        seconds = samples[task.split][1]
    else:
        seconds = 0.0
    found = samples[task.split][0]
    if found is None:
        return Prepared(task)
    X, y, weight, transformers = found
    last = task.estimator
    if isinstance(last, Pipeline):
        last = last.steps[-1][1]
    return Prepared(task, Fit(last, X, y, weight), transformers, seconds)


def _transformed(work, task):
    X, y, params = work.rows(task.split)
    weight = next(iter(params.values()), None)
    if not isinstance(task.estimator, Pipeline) or len(task.estimator.steps) == 1:
        return X, y, weight, ()
    before = clone(task.estimator[:-1])
    return before.fit_transform(X, y), y, weight, before.steps


def fit_and_score(work, unit):
    """Fit and score the tasks of a unit.

    Parameters
    ----------
    work : Work
    unit : list of Prepared
        One of :func:`units_of`.

    Returns
    -------
    outcomes : list of Outcome

    Raises
    ------
    KeyboardInterrupt
        If a fit was interrupted.
    """
    if len(unit) == 1:
        return [_alone(work, unit[0])]
    results = fit_together([each.fit for each in unit])
    fitted = [each for each, result in zip(unit, results, strict=True) if result.error is None]
    scores = dict(zip(map(id, fitted), _scores(work, fitted), strict=True))
    outcomes = []
    for each, result in zip(unit, results, strict=True):
        failed: Any = (np.nan, result.error, 0.0)
        score, error, seconds = scores.get(id(each), failed)
        task = each.task
        keeps = task.split is None and error is None
        outcomes.append(
            Outcome(
                task.candidate,
                task.split,
                _assembled(each) if keeps else None,
                score,
                error,
                result.seconds + each.seconds,
                seconds,
                result.n_together,
            )
        )
    return outcomes


def _scores(work, fitted):
    """(score, error, seconds) of each; those on the same samples are scored together."""
    found: dict[int, Any] = {}
    whole = [each for each in fitted if each.task.split is None]
    if whole:
        start = time.perf_counter()
        estimators = [_assembled(each) for each in whole]
        values = scores_together(
            work.margin_scoring, estimators, work.X, work.y, work.margin_weight
        )
        seconds = (time.perf_counter() - start) / len(whole)
        for each, value in zip(whole, values, strict=True):
            found[id(each)] = (*_checked(value), seconds)
    for each in fitted:
        if each.task.split is not None:
            start = time.perf_counter()
            value = _fold_score(work, _assembled(each), each.task.split)
            found[id(each)] = (*_checked(value), time.perf_counter() - start)
    return [found[id(each)] for each in fitted]


def _checked(value):
    """A score and no error, or NaN and the error."""
    if isinstance(value, Exception):
        return np.nan, value
    if not isinstance(value, float | int | np.number):
        return np.nan, ValueError(
            f"scoring must return a number, got {value!r} ({type(value).__name__})."
        )
    return float(value), None


def _fold_score(work, estimator, split):
    test = work.splits[split][1]
    params = work.params_of_rows(work.score_params, test)
    try:
        return work.scoring(
            estimator, take_rows(work.X, test), take_rows(work.y, test), **params
        )
    except Exception as error:
        return error


def _assembled(prepared):
    """The fitted estimator of a task, from its fitted parts."""
    estimator = prepared.task.estimator
    if isinstance(estimator, Pipeline):
        estimator.steps = [*prepared.transformers, estimator.steps[-1]]
    return estimator


def _alone(work, prepared):
    """An ordinary fit, and its score."""
    task, start = prepared.task, time.perf_counter()
    X, y, params = work.rows(task.split)
    try:
        task.estimator.fit(X, y, **params)
    except Exception as error:
        seconds = time.perf_counter() - start
        return Outcome(task.candidate, task.split, None, np.nan, error, seconds, 0.0, 1)
    if _was_interrupted(task.estimator):
        raise KeyboardInterrupt
    fitted = time.perf_counter()
    if task.split is None:
        (value,) = scores_together(
            work.margin_scoring, [task.estimator], X, y, work.margin_weight
        )
    else:
        value = _fold_score(work, task.estimator, task.split)
    score, problem = _checked(value)
    return Outcome(
        task.candidate,
        task.split,
        task.estimator if task.split is None and problem is None else None,
        score,
        problem,
        fitted - start,
        time.perf_counter() - fitted,
        1,
    )


def _was_interrupted(estimator):
    """Whether Ctrl-C ended the training of a network, which then counts as fitted."""
    inner = innermost(estimator)
    return any(
        getattr(getattr(each, "net_", None), "interrupted_", False)
        for each in (inner, getattr(inner, "estimator_", None))
    )
