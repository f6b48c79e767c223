"""Groups of fits whose networks can be trained as one."""

import copy
import traceback
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NamedTuple

import joblib
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from ..classifier.estimator import MarginClassifier
from ..classifier.together import Fit, fit_together, groups_to_fit
from ..data.rows import n_bytes
from .candidates import with_settings
from .tasks import Fitted, SearchData, Task

__all__ = [
    "Group",
    "Prepared",
    "TransformedRows",
    "fit_stacked",
    "groups_of",
    "with_own_transformers",
]


@dataclass(frozen=True)
class TransformedRows:
    """What the transformers of a Pipeline made of the training samples of some tasks.

    Parameters
    ----------
    X, y, weight
        As for the ``fit`` of the network.
    transformers : list of (name, fitted transformer)
    """

    X: Any
    y: Any
    weight: Any
    transformers: Any

    def __sizeof__(self) -> int:
        # As that of SearchData.
        return object.__sizeof__(self) + n_bytes(self.X) + n_bytes(self.y)


class Prepared(NamedTuple):
    """A task of a group.

    Parameters
    ----------
    task : Task
    model : estimator or None
        A clone with the settings of the task; None if it is fitted by itself.
    place : int or None
        Which of the group's rows the network is trained on; None for the samples of the
        search themselves.
    seconds : float
        Time of making the rows, for the first of the tasks that share them.
    """

    task: Task
    model: Any = None
    place: int | None = None
    seconds: float = 0.0


class Group(NamedTuple):
    """A unit of work.

    Parameters
    ----------
    members : list of Prepared
        One task, or several that are trained as one.
    rows : list of TransformedRows
        Apart from the members, because engines send a large argument of a call once, however
        many calls have it, but not what is inside an argument.
    """

    members: list[Prepared]
    rows: list[TransformedRows]


class _Ready(NamedTuple):
    """A task with its training samples, before groups are made; None if it has none."""

    task: Task
    model: Any = None
    rows: TransformedRows | None = None
    seconds: float = 0.0


def groups_of(
    estimator: Any,
    tasks: Sequence[Task],
    data: SearchData,
    *,
    stack: bool | str,
    n_jobs: int,
) -> Iterator[Group]:
    """Share tasks out into groups, the units of work of a parallel search.

    Transformers are fitted here, once for all tasks with the same settings of them on the same
    samples.

    Parameters
    ----------
    estimator : estimator
        Not fitted, not changed.
    tasks : list of Task
    data : SearchData
    stack : {"auto", True, False}
        Whether networks are trained as one: where it pays, wherever possible, or never.
    n_jobs : int
        Number of workers.

    Yields
    ------
    group : Group
    """
    never = not isinstance(stack, str) and not stack
    alike: dict[Any, list] = defaultdict(list)
    for place, task in enumerate(tasks):
        model = None if never or data.pairwise else with_settings(estimator, task.settings)
        alike[_transformer_key(model, data) or ("alone", place)].append((task, model))
    while alike:
        key = next(iter(alike))
        # Nothing here may hold a network when it is no longer needed.
        members = alike.pop(key)
        if key[0] == "alone":
            yield Group([Prepared(members[0][0])], [])
            continue
        samples: dict[int | None, Any] = {}
        ready: list[Any] = [_ready(task, model, data, samples) for task, model in members]
        del members, samples
        yield from (Group([Prepared(each.task)], []) for each in ready if each.rows is None)
        ready = [each for each in ready if each.rows is not None]
        always = not isinstance(stack, str)
        fits = [_fit_of(each.model, each.rows) for each in ready]
        cuts = groups_to_fit(fits, n_jobs, always=always)
        del fits
        for places in cuts:
            group = _group([ready[place] for place in places])
            for place in places:
                ready[place] = None
            yield group
            del group


def _group(members: Sequence[_Ready]) -> Group:
    if len(members) == 1:
        return Group([Prepared(members[0].task)], [])
    rows = {
        id(each.rows): each.rows
        for each in members
        if each.rows is not None and each.rows.transformers
    }
    places = {key: place for place, key in enumerate(rows)}
    return Group(
        [
            Prepared(each.task, each.model, places.get(id(each.rows)), each.seconds)
            for each in members
        ],
        list(rows.values()),
    )


def _fit_of(model: Any, rows: TransformedRows) -> Fit:
    classifier = model.steps[-1][1] if isinstance(model, Pipeline) else model
    return Fit(classifier, rows.X, rows.y, rows.weight)


def _transformer_key(model: Any, data: SearchData) -> Any:
    """What tasks share whose networks see the same inputs; None if they cannot be stacked."""
    given = {*data.fit_params}
    if type(model) is MarginClassifier:
        return ("network",) if given <= {"sample_weight"} else None
    if type(model) is not Pipeline or type(model.steps[-1][1]) is not MarginClassifier:
        return None
    name = model.steps[-1][0]
    if not given <= {f"{name}__sample_weight"} or model.memory is not None:
        return None
    if getattr(model, "transform_input", None) is not None:
        return None
    try:
        return "pipeline", joblib.hash([model.steps[:-1], name])
    except Exception:  # objects that cannot be pickled raise anything
        return None


def _ready(task: Task, model: Any, data: SearchData, samples: dict[int | None, Any]) -> _Ready:
    """Fit the transformers of a task on its samples, unless that was done before."""
    seconds = 0.0
    if task.split not in samples:
        start = perf_counter()
        try:
            samples[task.split] = _transformed(model, task, data)
        except Exception:
            # Raised again by its ordinary fit.
            samples[task.split] = None
        seconds = perf_counter() - start
    if samples[task.split] is None:
        return _Ready(task)
    return _Ready(task, model, samples[task.split], seconds)


def _transformed(model: Any, task: Task, data: SearchData) -> TransformedRows:
    X, y, params = data.to_train(task.split)
    weight = next(iter(params.values()), None)
    if not isinstance(model, Pipeline) or len(model.steps) == 1:
        return TransformedRows(X, y, weight, ())
    head = clone(model[:-1])
    return TransformedRows(head.fit_transform(X, y), y, weight, head.steps)


def fit_stacked(
    members: Sequence[Prepared],
    rows: Sequence[TransformedRows],
    data: SearchData,
    error_score: Any,
) -> list[Fitted]:
    """Fit several tasks of a group.

    Parameters
    ----------
    members : list of Prepared
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
    of_split: dict[int | None, TransformedRows] = {}
    trained_on = []
    for each in members:
        if each.place is not None:
            trained_on.append(rows[each.place])
            continue
        if each.task.split not in of_split:
            of_split[each.task.split] = _transformed(each.model, each.task, data)
        trained_on.append(of_split[each.task.split])
    fitted = []
    results = fit_together(
        [_fit_of(each.model, own) for each, own in zip(members, trained_on, strict=True)]
    )
    for each, own, result in zip(members, trained_on, results, strict=True):
        seconds = result.seconds + each.seconds
        if result.error is not None:
            if isinstance(error_score, str):
                raise result.error
            text = "".join(traceback.format_exception(result.error))
            fitted.append(Fitted(None, seconds, text, result.n_together))
            continue
        if isinstance(each.model, Pipeline):
            each.model.steps = [*own.transformers, each.model.steps[-1]]
        fitted.append(Fitted(each.model, seconds, None, result.n_together))
    return fitted


def with_own_transformers(model: Any) -> Any:
    """A fitted model that shares no transformer with those that were fitted in its group.

    Parameters
    ----------
    model : estimator
        Changed if it is a Pipeline.

    Returns
    -------
    model : estimator
    """
    if type(model) is Pipeline:
        model.steps = [*copy.deepcopy(model.steps[:-1]), model.steps[-1]]
        for _, step in model.steps[:-1]:
            # Those that may write into their X do not get along with one another in a vote.
            if hasattr(step, "get_params") and "copy" in step.get_params(deep=False):
                step.set_params(copy=True)
    return model
