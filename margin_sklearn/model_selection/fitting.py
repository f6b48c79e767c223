"""Fitting and scoring of candidates, on all samples or on a fold, in parallel.

A :class:`Task` is one fit. Tasks are shared out to workers in groups: :func:`fit_group` fits a
group, and :func:`score_group` scores its estimators that are scored on the same samples.
"""

import numbers
import traceback
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.parallel import Parallel, delayed

from ..data.rows import take_rows
from .candidates import Settings, with_settings

__all__ = [
    "Fitted",
    "Memory",
    "Outcome",
    "Scored",
    "SearchData",
    "Task",
    "fit_group",
    "groups_of",
    "run_tasks",
    "score_group",
    "without_estimator",
]

Split = tuple[NDArray[np.intp], NDArray[np.intp]]


class Task(NamedTuple):
    """One fit of one candidate.

    Parameters
    ----------
    candidate : int
        Index of the candidate.
    settings : dict
        Its parameters.
    split : int or None
        Index of the split to train and score on; None is all samples.
    """

    candidate: int
    settings: Settings
    split: int | None = None


class Fitted(NamedTuple):
    """Result of one fit.

    Parameters
    ----------
    estimator : estimator or None
        None if the fit failed.
    seconds : float
        A group that is fitted together shares its time out.
    error : str or None
        The traceback of a failed fit.
    """

    estimator: Any
    seconds: float
    error: str | None = None


class Scored(NamedTuple):
    """Result of scoring one fitted estimator.

    Parameters
    ----------
    score : float
        ``error_score`` if the scorer raised.
    seconds : float
    error : str or None
        The traceback of the scorer's error.
    """

    score: float
    seconds: float
    error: str | None = None


class Outcome(NamedTuple):
    """All about one task.

    Parameters
    ----------
    task : Task
    fitted : Fitted
    scored : Scored
        With ``error_score`` and no time if the fit failed.
    """

    task: Task
    fitted: Fitted
    scored: Scored


@dataclass(frozen=True)
class SearchData:
    """The samples of a search with what ``fit`` and the scorers are given with them.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...)
    y : ndarray of shape (n_samples,)
    fit_params, score_params, margin_params : dict
        Keyword arguments of the estimator's ``fit``, of ``scoring`` and of
        ``margin_scoring``. Those of length n_samples are indexed like X.
    splits : list of (train, test)
        Row indices of the folds.
    pairwise : bool, default=False
        Whether X has a column for each sample, so that training samples select columns too.
    """

    X: Any
    y: NDArray[Any]
    fit_params: Mapping[str, Any] = field(default_factory=dict)
    score_params: Mapping[str, Any] = field(default_factory=dict)
    margin_params: Mapping[str, Any] = field(default_factory=dict)
    splits: Sequence[Split] = ()
    pairwise: bool = False

    def to_train(self, split: int | None) -> tuple[Any, NDArray[Any], Mapping[str, Any]]:
        """X, y and keyword arguments to fit on all samples (None) or in a fold.

        Parameters
        ----------
        split : int or None

        Returns
        -------
        X, y, fit_params
        """
        if split is None:
            return self.X, self.y, self.fit_params
        train, _ = self.splits[split]
        return self._rows(train, train), self.y[train], self._sliced(self.fit_params, train)

    def to_score(self, split: int | None) -> tuple[Any, NDArray[Any], Mapping[str, Any]]:
        """X, y and keyword arguments to score on all samples (None) or in a fold.

        Parameters
        ----------
        split : int or None

        Returns
        -------
        X, y, score_params
        """
        if split is None:
            return self.X, self.y, self.margin_params
        train, test = self.splits[split]
        return self._rows(test, train), self.y[test], self._sliced(self.score_params, test)

    def _rows(self, rows: NDArray[np.intp], train: NDArray[np.intp]) -> Any:
        return self.X[np.ix_(rows, train)] if self.pairwise else take_rows(self.X, rows)

    def _sliced(self, params: Mapping[str, Any], rows: NDArray[np.intp]) -> dict[str, Any]:
        return {
            name: take_rows(_indexable(value), rows) if self._per_sample(value) else value
            for name, value in params.items()
        }

    def _per_sample(self, value: Any) -> bool:
        if isinstance(value, str | bytes | dict):
            return False
        shape = getattr(value, "shape", None)
        if shape is not None:
            return len(shape) > 0 and shape[0] == len(self.y)
        return hasattr(value, "__len__") and len(value) == len(self.y)


def _indexable(value: Any) -> Any:
    listed = isinstance(value, list | tuple) or hasattr(value, "shape")
    return value if listed else np.asarray(value)


def groups_of(estimator: Any, tasks: Sequence[Task]) -> list[list[Task]]:
    """Share tasks out into groups, the units of work of a parallel search.

    Parameters
    ----------
    estimator : estimator
        Not fitted.
    tasks : list of Task

    Returns
    -------
    groups : list of list of Task
        One task each.
    """
    return [[task] for task in tasks]


def fit_group(
    estimator: Any, tasks: Sequence[Task], data: SearchData, error_score: Any
) -> list[Fitted]:
    """Fit a clone of an estimator for each task of a group.

    Parameters
    ----------
    estimator : estimator
        Not changed.
    tasks : list of Task
    data : SearchData
    error_score : float or "raise"
        Whether the error of a failed fit is raised.

    Returns
    -------
    fitted : list of Fitted
        In the order of the tasks.
    """
    return [_fit(estimator, task, data, error_score) for task in tasks]


def _fit(estimator: Any, task: Task, data: SearchData, error_score: Any) -> Fitted:
    model = with_settings(estimator, task.settings)
    start = perf_counter()
    X, y, params = data.to_train(task.split)
    try:
        model.fit(X, y, **params)
    except Exception:
        if isinstance(error_score, str):
            raise
        return Fitted(None, perf_counter() - start, traceback.format_exc())
    return Fitted(model, perf_counter() - start)


def score_group(
    estimators: Sequence[Any],
    X: Any,
    y: NDArray[Any],
    params: Mapping[str, Any],
    scorer: Any,
    error_score: Any,
) -> list[Scored]:
    """Score fitted estimators on the same samples.

    Parameters
    ----------
    estimators : list of estimators
    X : array-like of shape (n_samples, ...)
    y : ndarray of shape (n_samples,)
    params : dict
        Keyword arguments of the scorer.
    scorer : callable
    error_score : float or "raise"
        The score of an estimator for which the scorer raises an error.

    Returns
    -------
    scored : list of Scored
        In the order of the estimators.
    """
    return [_score(model, X, y, params, scorer, error_score) for model in estimators]


def _score(
    model: Any, X: Any, y: Any, params: Mapping[str, Any], scorer: Any, error_score: Any
) -> Scored:
    start = perf_counter()
    try:
        score = scorer(model, X, y, **params)
    except Exception:
        if isinstance(error_score, str):
            raise
        return Scored(error_score, perf_counter() - start, traceback.format_exc())
    if hasattr(score, "item"):
        with suppress(ValueError):  # an array of several numbers, refused below
            score = score.item()
    if not isinstance(score, numbers.Real):
        raise ValueError(
            f"A scorer must return one number, got {score!r} ({type(score).__name__}) from "
            f"{scorer}. Several metrics at once are not supported."
        )
    return Scored(float(score), perf_counter() - start)


class Memory(Protocol):
    """Where finished fits are kept; :class:`~.memory.SearchMemory` is one."""

    def recall(self, estimator: Any, task: Task, data: SearchData) -> Outcome | None:
        """The outcome of a fit that was kept earlier, or None."""

    def keep(self, estimator: Any, outcome: Outcome, data: SearchData) -> None:
        """Keep the outcome of a fit."""


def run_tasks(
    estimator: Any,
    tasks: Sequence[Task],
    data: SearchData,
    scorer: Any,
    *,
    error_score: Any,
    n_jobs: int | None,
    memory: Memory | None = None,
) -> Iterator[Outcome]:
    """Fit and score every task, in parallel.

    Parameters
    ----------
    estimator : estimator
        Cloned for each task.
    tasks : list of Task
    data : SearchData
    scorer : callable
    error_score : float or "raise"
    n_jobs : int or None
        As for joblib.
    memory : SearchMemory or None, default=None
        Where finished fits are kept.

    Yields
    ------
    outcome : Outcome
        As soon as its group is finished, in any order. Estimators of folds are not returned.
    """
    work = [
        delayed(_run_group)(estimator, group, data, scorer, error_score, memory)
        for group in groups_of(estimator, tasks)
    ]
    try:
        parallel = Parallel(n_jobs=n_jobs, return_as="generator_unordered")
    except ValueError:  # a backend that gives all results at once
        parallel = Parallel(n_jobs=n_jobs)
    for outcomes in parallel(work):
        yield from outcomes


def _run_group(
    estimator: Any,
    tasks: Sequence[Task],
    data: SearchData,
    scorer: Any,
    error_score: Any,
    memory: Memory | None,
) -> list[Outcome]:
    known = [memory.recall(estimator, task, data) if memory else None for task in tasks]
    new = [task for task, outcome in zip(tasks, known, strict=True) if outcome is None]
    found = _fit_and_score(estimator, new, data, scorer, error_score)
    if memory:
        for outcome in found:
            memory.keep(estimator, outcome, data)
    # The networks of folds are of no further use, and sending them back takes time.
    fresh = iter(
        outcome if outcome.task.split is None else without_estimator(outcome)
        for outcome in found
    )
    return [next(fresh) if outcome is None else outcome for outcome in known]


def _fit_and_score(
    estimator: Any, tasks: Sequence[Task], data: SearchData, scorer: Any, error_score: Any
) -> list[Outcome]:
    fitted = fit_group(estimator, tasks, data, error_score)
    scored = [Scored(error_score, 0.0) for _ in tasks]
    alike = defaultdict(list)
    for i, (task, fit) in enumerate(zip(tasks, fitted, strict=True)):
        if fit.error is None:
            alike[task.split].append(i)
    for split, members in alike.items():
        X, y, params = data.to_score(split)
        models = [fitted[i].estimator for i in members]
        scores = score_group(models, X, y, params, scorer, error_score)
        for i, score in zip(members, scores, strict=True):
            scored[i] = score
    return [Outcome(*parts) for parts in zip(tasks, fitted, scored, strict=True)]


def without_estimator(outcome: Outcome) -> Outcome:
    """The same outcome without its fitted estimator.

    Parameters
    ----------
    outcome : Outcome

    Returns
    -------
    outcome : Outcome
    """
    return outcome._replace(fitted=outcome.fitted._replace(estimator=None))
