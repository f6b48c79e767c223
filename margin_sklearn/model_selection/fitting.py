"""Fitting and scoring of candidates, on all samples or on a fold, in parallel.

A :class:`~margin_sklearn.model_selection.tasks.Task` is one fit. Tasks are shared out to
workers in groups: :func:`fit_group` fits a group, and :func:`score_group` scores those of its
estimators that are scored on the same samples.
"""

import numbers
import traceback
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from time import perf_counter
from typing import Any, Protocol

from joblib import effective_n_jobs
from numpy.typing import NDArray
from sklearn.utils.parallel import Parallel, delayed

from ..scoring.together import scores_together
from .candidates import with_settings
from .stacking import Prepared, fit_stacked, groups_of
from .tasks import Fitted, Outcome, Scored, SearchData, Task, without_estimator

__all__ = ["Memory", "fit_group", "run_tasks", "score_group"]


def fit_group(
    estimator: Any, group: Sequence[Prepared], data: SearchData, error_score: Any
) -> list[Fitted]:
    """Fit a clone of an estimator for each task of a group.

    Parameters
    ----------
    estimator : estimator
        Not changed.
    group : list of Prepared
        One of :func:`~margin_sklearn.model_selection.stacking.groups_of`.
    data : SearchData
    error_score : float or "raise"
        Whether the error of a failed fit is raised.

    Returns
    -------
    fitted : list of Fitted
        In the order of the tasks.
    """
    if len(group) > 1:
        return fit_stacked(group, error_score)
    return [_fit(estimator, prepared.task, data, error_score) for prepared in group]


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
    if len(estimators) > 1 and {*params} <= {"sample_weight"}:
        start = perf_counter()
        weight = params.get("sample_weight")
        together = scores_together(scorer, estimators, X, y, weight)
        if together is not None:
            seconds = (perf_counter() - start) / len(estimators)
            return [Scored(score, seconds) for score in together]
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
    stack: bool | str,
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
    stack : {"auto", True, False}
    memory : SearchMemory or None, default=None
        Where finished fits are kept.

    Yields
    ------
    outcome : Outcome
        As soon as its group is finished, in any order. Estimators of folds are not returned.
    """
    groups = groups_of(estimator, tasks, data, stack=stack, n_jobs=effective_n_jobs(n_jobs))
    work = (
        delayed(_run_group)(estimator, group, data, scorer, error_score, memory)
        for group in groups
    )
    try:
        parallel = Parallel(n_jobs=n_jobs, return_as="generator_unordered")
    except ValueError:  # a backend that gives all results at once
        parallel = Parallel(n_jobs=n_jobs)
    for outcomes in parallel(work):
        yield from outcomes


def _run_group(
    estimator: Any,
    group: Sequence[Prepared],
    data: SearchData,
    scorer: Any,
    error_score: Any,
    memory: Memory | None,
) -> list[Outcome]:
    known = [memory.recall(estimator, each.task, data) if memory else None for each in group]
    new = [each for each, outcome in zip(group, known, strict=True) if outcome is None]
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
    estimator: Any, group: Sequence[Prepared], data: SearchData, scorer: Any, error_score: Any
) -> list[Outcome]:
    fitted = fit_group(estimator, group, data, error_score)
    tasks = [each.task for each in group]
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
