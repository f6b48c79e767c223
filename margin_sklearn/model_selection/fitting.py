"""Fitting and scoring of candidates, on all samples or on a fold, in parallel.

A :class:`~margin_sklearn.model_selection.tasks.Task` is one fit. Tasks are shared out to
workers in groups: :func:`fit_group` fits a group, and :func:`score_group` scores those of its
estimators that are scored on the same samples.
"""

import numbers
import traceback
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from time import perf_counter
from typing import Any, Protocol

from joblib import effective_n_jobs
from sklearn.utils.parallel import Parallel, delayed

from ..scoring.together import scores_together
from .candidates import with_settings
from .stacking import Prepared, TransformedRows, fit_stacked, groups_of
from .tasks import Fitted, Outcome, Scored, SearchData, Task, without_estimator

# How often in a row, with no fit finished, the samples may be lost with the machine that
# holds them.
MOST_LOSSES = 3

__all__ = ["Memory", "fit_group", "run_tasks", "score_group"]


def fit_group(
    estimator: Any,
    members: Sequence[Prepared],
    rows: Sequence[TransformedRows],
    data: SearchData,
    error_score: Any,
) -> list[Fitted]:
    """Fit a clone of an estimator for each task of a group.

    Parameters
    ----------
    estimator : estimator
        Not changed.
    members : list of Prepared
        Those of a :class:`~margin_sklearn.model_selection.stacking.Group`, or some of them.
    rows : list of TransformedRows
        Those of the group.
    data : SearchData
    error_score : float or "raise"
        Whether the error of a failed fit is raised.

    Returns
    -------
    fitted : list of Fitted
        In the order of the tasks.
    """
    if len(members) > 1:
        return fit_stacked(members, rows, data, error_score)
    return [_fit(estimator, each.task, data, error_score) for each in members]


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
    data: SearchData,
    split: int | None,
    scorer: Any,
    error_score: Any,
) -> list[Scored]:
    """Score fitted estimators on the same samples.

    Parameters
    ----------
    estimators : list of estimators
    data : SearchData
    split : int or None
        As of :class:`~margin_sklearn.model_selection.tasks.Task`.
    scorer : callable
    error_score : float or "raise"
        The score of an estimator for which the scorer raises an error.

    Returns
    -------
    scored : list of Scored
        In the order of the estimators.
    """
    X, y, params = data.to_score(split)
    if len(estimators) > 1 and {*params} <= {"sample_weight"}:
        start = perf_counter()
        weight = params.get("sample_weight")
        together = scores_together(scorer, estimators, X, y, weight)
        if together is not None:
            seconds = (perf_counter() - start) / len(estimators)
            return [Scored(score, seconds) for score in together]
    return [
        # Samples of its own for each, in case it writes into them.
        _score(model, *data.to_score(split), scorer, error_score)
        for model in estimators
    ]


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

    def recall(self, task: Task, data: SearchData) -> tuple[Fitted, Scored | None] | None:
        """A fit that was kept earlier with its score, where there are such."""

    def keep(self, task: Task, data: SearchData, fitted: Fitted) -> None:
        """Keep a fit."""

    def keep_score(self, task: Task, data: SearchData, scored: Scored) -> None:
        """Keep a score."""


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
    left = {(task.candidate, task.split): task for task in tasks}
    losses = 0
    while True:
        groups = groups_of(
            estimator, [*left.values()], data, stack=stack, n_jobs=effective_n_jobs(n_jobs)
        )
        work = (
            delayed(_run_group)(
                estimator, group.members, data, scorer, error_score, memory, *group.rows
            )
            for group in groups
        )
        try:
            for outcomes in _parallel(n_jobs)(work):
                for outcome in outcomes:
                    del left[outcome.task.candidate, outcome.task.split]
                    losses = 0
                    yield outcome
            return
        except CancelledError:
            # The machine that held the samples is gone: they are sent again.
            losses += 1
            if losses > MOST_LOSSES:
                raise


def _parallel(n_jobs: int | None) -> Parallel:
    try:
        return Parallel(n_jobs=n_jobs, return_as="generator_unordered")
    except ValueError:  # a backend that gives all results at once
        return Parallel(n_jobs=n_jobs)


def _run_group(
    estimator: Any,
    members: Sequence[Prepared],
    data: SearchData,
    scorer: Any,
    error_score: Any,
    memory: Memory | None,
    *rows: TransformedRows,
) -> list[Outcome]:
    tasks = [each.task for each in members]
    known = [memory.recall(task, data) if memory else None for task in tasks]
    new = [each for each, found in zip(members, known, strict=True) if found is None]
    fresh = iter(fit_group(estimator, new, rows, data, error_score) if new else [])
    fits: list[Fitted] = []
    scores: list[Any] = []
    for task, found in zip(tasks, known, strict=True):
        fit, score = found or (next(fresh), None)
        if memory and not found:
            memory.keep(task, data, fit)
        fits.append(fit)
        scores.append(Scored(error_score, 0.0) if fit.error else score)
    alike = defaultdict(list)
    for place, (task, score) in enumerate(zip(tasks, scores, strict=True)):
        if score is None:
            alike[task.split].append(place)
    for split, places in alike.items():
        models = [fits[place].estimator for place in places]
        fresh_scores = score_group(models, data, split, scorer, error_score)
        for place, score in zip(places, fresh_scores, strict=True):
            scores[place] = score
            if memory:
                memory.keep_score(tasks[place], data, score)
    outcomes = [Outcome(*parts) for parts in zip(tasks, fits, scores, strict=True)]
    # The networks of folds are of no further use, and sending them back takes time.
    return [
        outcome if outcome.task.split is None else without_estimator(outcome)
        for outcome in outcomes
    ]
