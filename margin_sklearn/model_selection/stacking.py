"""Groups of fits whose networks can be trained as one."""

import copy
import traceback
from collections import defaultdict
from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import Any, NamedTuple

import joblib
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from ..classifier.estimator import MarginClassifier
from ..classifier.together import Fit, fit_together, groups_to_fit
from .candidates import with_settings
from .tasks import Fitted, SearchData, Task

__all__ = ["Prepared", "fit_stacked", "groups_of", "with_own_transformers"]


class Prepared(NamedTuple):
    """A task with the samples as its network will see them, if it can be stacked.

    Parameters
    ----------
    task : Task
    model : estimator or None
        A clone with the settings of the task; None if it cannot be stacked.
    fit : Fit or None
        The fit of the MarginClassifier that the model is, or is the last step of.
    transformers : list of (name, fitted transformer)
        The steps before it.
    seconds : float
        Time of fitting them, for the first of the tasks that share them.
    """

    task: Task
    model: Any = None
    fit: Fit | None = None
    transformers: Any = ()
    seconds: float = 0.0


def groups_of(
    estimator: Any,
    tasks: Sequence[Task],
    data: SearchData,
    *,
    stack: bool | str,
    n_jobs: int,
) -> Iterator[list[Prepared]]:
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
    group : list of Prepared
        One task, or several that are trained as one.
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
            yield [Prepared(members[0][0])]
            continue
        samples: dict[int | None, Any] = {}
        ready: list[Any] = [_prepared(task, model, data, samples) for task, model in members]
        del members, samples
        yield from ([each] for each in ready if each.fit is None)
        ready = [each for each in ready if each.fit is not None]
        always = not isinstance(stack, str)
        for places in groups_to_fit([each.fit for each in ready], n_jobs, always=always):
            group = [ready[place] for place in places]
            for place in places:
                ready[place] = None
            yield group
            del group


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


def _prepared(
    task: Task, model: Any, data: SearchData, samples: dict[int | None, Any]
) -> Prepared:
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
        return Prepared(task)
    X, y, weight, transformers = samples[task.split]
    classifier = model.steps[-1][1] if isinstance(model, Pipeline) else model
    return Prepared(task, model, Fit(classifier, X, y, weight), transformers, seconds)


def _transformed(model: Any, task: Task, data: SearchData) -> tuple[Any, Any, Any, Any]:
    X, y, params = data.to_train(task.split)
    weight = next(iter(params.values()), None)
    if not isinstance(model, Pipeline) or len(model.steps) == 1:
        return X, y, weight, ()
    head = clone(model[:-1])
    return head.fit_transform(X, y), y, weight, head.steps


def fit_stacked(group: Sequence[Prepared], error_score: Any) -> list[Fitted]:
    """Fit a group of several tasks.

    Parameters
    ----------
    group : list of Prepared
    error_score : float or "raise"
        Whether the error of a failed fit is raised.

    Returns
    -------
    fitted : list of Fitted
        In the order of the tasks.
    """
    fitted = []
    results = fit_together([each.fit for each in group])
    for each, result in zip(group, results, strict=True):
        seconds = result.seconds + each.seconds
        if result.error is not None:
            if isinstance(error_score, str):
                raise result.error
            text = "".join(traceback.format_exception(result.error))
            fitted.append(Fitted(None, seconds, text, result.n_together))
            continue
        if isinstance(each.model, Pipeline):
            each.model.steps = [*each.transformers, each.model.steps[-1]]
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
    return model
