"""Finished fits in a folder, so that a search that was killed need not repeat them.

One file per fit, under a hash of everything that it depends on. A file holds arrays and JSON,
nothing pickled: the weights and the rest of the training state of a candidate, the score and
the times of a candidate or fold.
"""

import importlib.metadata
import inspect
import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import sklearn
import torch
from sklearn.pipeline import Pipeline

from ..classifier.estimator import MarginClassifier, begin_fit, training_run
from ..runtime import resolve_device
from ..scoring.scorer import MarginAUCScorer
from ..training.run import TrainingRun
from ..training.state import NetState
from .candidates import with_settings
from .routing import routing_enabled
from .tasks import Fitted, Outcome, Scored, SearchData, Task

__all__ = ["SearchMemory"]

# What changes together with the versions in the hash.
VERSIONED = {"builtins", "margin_sklearn", "numpy", "scipy", "sklearn", "skorch", "torch"}
DAMAGED = (
    EOFError,
    KeyError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
)


class SearchMemory:
    """A folder of finished fits.

    Parameters
    ----------
    folder : str or Path
        Created if it does not exist.
    data : SearchData
    scorers : tuple of callable
        All scorers of the search.
    one_by_one : bool, default=False
        Whether networks are never trained as one; such fits are kept apart.

    Raises
    ------
    ValueError
        If data or scorers cannot be hashed.
    """

    def __init__(
        self,
        folder: str | Path,
        data: SearchData,
        scorers: tuple[Any, ...],
        one_by_one: bool = False,
    ) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        sources = [_source(thing) for thing in scorers]
        if None in sources:
            raise ValueError(
                f"memory={str(folder)!r} cannot tell whether scorers have changed, because "
                "there is no source of scoring or margin_scoring: define it in a file."
            )
        try:
            known = [_settings(scorer) for scorer in scorers]
            self._common = joblib.hash((vars(data), known, sources, one_by_one, _versions()))
        except Exception as error:
            raise ValueError(
                f"memory={str(folder)!r} needs data and scorers that can be pickled: {error}"
            ) from error

    def recall(self, estimator: Any, task: Task, data: SearchData) -> Outcome | None:
        """The outcome of a fit that was kept earlier.

        Parameters
        ----------
        estimator : estimator
        task : Task
        data : SearchData

        Returns
        -------
        outcome : Outcome or None
            None if there is none.
        """
        model = with_settings(estimator, task.settings)
        path = self._path(model, task, data)
        if path is None or not path.exists():
            return None
        try:
            arrays, found = _read(path)
            if task.split is None and not _restore(model, data, arrays, found):
                return None
            scored = Scored(found["score"], found["score_seconds"])
            fitted = Fitted(
                model if task.split is None else None,
                found["fit_seconds"],
                n_together=found["n_together"],
            )
        except DAMAGED:
            return None  # fitted again
        return Outcome(task, fitted, scored)

    def keep(self, estimator: Any, outcome: Outcome, data: SearchData) -> None:
        """Write the outcome of a fit, unless it failed, was interrupted, or cannot be kept.

        Parameters
        ----------
        estimator : estimator
            Not fitted, as of the search.
        outcome : Outcome
            With its fitted estimator, also of a fold.
        data : SearchData
        """
        task, fitted, scored = outcome
        if fitted.error or scored.error:
            return
        path = self._path(with_settings(estimator, task.settings), task, data)
        if path is None or not _is_finished(training_run(_network(fitted.estimator))):
            return
        found: dict[str, Any] = {
            "score": scored.score,
            "fit_seconds": fitted.seconds,
            "n_together": fitted.n_together,
            "score_seconds": scored.seconds,
        }
        arrays: dict[str, np.ndarray] = {}
        if task.split is None:
            try:
                arrays, state = _taken_apart(fitted.estimator, data)
            except TypeError:  # a state that cannot be stored without pickle
                return
            found.update(state)
        _write(path, arrays, found)

    def _path(self, model: Any, task: Task, data: SearchData) -> Path | None:
        """File of a fit, or None if it cannot be known again."""
        network = _network(model)
        if network is None or network.callbacks or _weight_name(model, data) is None:
            return None
        sources = _sources(model)
        if sources is None:
            return None
        device = str(resolve_device(network.device))
        try:
            key = joblib.hash((self._common, model, sources, task.split, device))
        except Exception:  # a parameter that cannot be pickled
            return None
        return self.folder / f"{key}.npz"


# --- what a fit depends on --------------------------------------------------------------


def _network(model: Any) -> Any:
    """The MarginClassifier that a model is or ends in, or None."""
    last = model.steps[-1][1] if type(model) is Pipeline else model
    return last if type(last) is MarginClassifier else None


def _weight_name(model: Any, data: SearchData) -> str | None:
    """Name of the only keyword argument of fit that is understood, or None for others."""
    piped = type(model) is Pipeline
    name = f"{model.steps[-1][0]}__sample_weight" if piped else "sample_weight"
    return None if routing_enabled() or set(data.fit_params) - {name} else name


def _settings(scorer: Any) -> Any:
    # margin_auc_score and its clones are the same scorer.
    return scorer.get_params() if isinstance(scorer, MarginAUCScorer) else scorer


def _versions() -> tuple[str, ...]:
    try:
        ours = importlib.metadata.version("margin-sklearn")
    except importlib.metadata.PackageNotFoundError:
        ours = "source"
    return ours, torch.__version__, sklearn.__version__, np.__version__


def _sources(model: Any) -> list[str] | None:
    """Source of the user's classes and functions among the parameters, which a hash omits."""
    things = []
    for value in model.get_params(deep=True).values():
        things += list(value.modules()) if isinstance(value, torch.nn.Module) else [value]
    sources = [_source(thing) for thing in things]
    return None if None in sources else [text for text in sources if text]


def _source(thing: Any) -> str | None:
    """Source of a function, a class or the class of an object; "" for those of libraries."""
    if not inspect.isclass(thing) and not inspect.isroutine(thing):
        thing = type(thing)
    if (getattr(thing, "__module__", None) or "builtins").partition(".")[0] in VERSIONED:
        return ""
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError):
        return None


# --- the state of a fitted network ------------------------------------------------------


def _is_finished(run: TrainingRun) -> bool:
    """Whether no Ctrl-C ended the training early."""
    complete = run.n_epochs >= run.net.max_epochs or run.separation.stopped_
    return complete and not run.interrupted


def _taken_apart(model: Any, data: SearchData) -> tuple[dict[str, np.ndarray], dict]:
    run = training_run(_network(model))
    state = NetState.copy(run.net, history=True, generators=[run.order_state, *run.generators])
    tensors, others = state.to_tensors()
    arrays = {
        f"tensor_{i}": tensor.detach().cpu().numpy()
        for i, tensor in enumerate(tensors.values())
    }
    best = run.best_epoch
    return arrays, {
        "names": list(tensors),
        "state": others,
        "separation": run.separation.answers(),
        "best_epoch": None if best is None else best.epoch_,
        "inputs": _hash_of_inputs(model, data.X),
    }


def _restore(
    model: Any, data: SearchData, arrays: Mapping[str, np.ndarray], found: Mapping[str, Any]
) -> bool:
    """Fit a model without training; False if its network saw other inputs then."""
    X, y = data.X, data.y
    weight_name = _weight_name(model, data)
    weight = None if weight_name is None else data.fit_params.get(weight_name)
    if type(model) is Pipeline and len(model.steps) > 1:
        head = model[:-1]
        X = head.fit_transform(X, y)
        model.steps[:-1] = head.steps
    if _hash_of_inputs(model, data.X) != found["inputs"]:
        return False
    tensors = {
        name: torch.from_numpy(arrays[f"tensor_{i}"]) for i, name in enumerate(found["names"])
    }
    state = NetState.from_tensors(tensors, found["state"])
    part = begin_fit(_network(model), X, y, weight)
    run = part.run
    run.restored(state, found["separation"], part.epochs, found["best_epoch"])
    return state.holds(run.net)


def _hash_of_inputs(model: Any, X: Any) -> str | None:
    """Hash of what the transformers make of X: a random one would make something else."""
    if type(model) is not Pipeline or len(model.steps) == 1:
        return None
    return joblib.hash(model[:-1].transform(X))


# --- files ------------------------------------------------------------------------------


def _write(path: Path, arrays: Mapping[str, np.ndarray], found: Mapping[str, Any]) -> None:
    """Write a file that is either complete or not there."""
    text = np.frombuffer(json.dumps(found).encode(), dtype=np.uint8)
    handle, temporary = tempfile.mkstemp(suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **{"json": text, **arrays})  # type: ignore[arg-type]
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    # NumPy leaves a file open that is no archive.
    with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files if name != "json"}
        return arrays, json.loads(stored["json"].tobytes().decode())
