"""Finished fits in a folder, so that a search that was killed need not repeat them.

A file per fit holds its training state and its time, under a hash of everything that it
depends on. A small file per score stands beside it, so that a search with other scorers or
folds finds the fits too. Files hold arrays and JSON, nothing pickled.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from ..classifier.estimator import MarginClassifier
from ..classifier.fitting import begin_fit
from ..classifier.state import training_run
from ..data.rows import take_rows
from ..exceptions import warn_caller
from ..storage.files import DAMAGED, read_arrays, write_arrays, write_atomically
from ..training.run import TrainingRun
from ..training.state import NetState
from .candidates import with_settings
from .fingerprints import data_key, fit_key, score_key, weight_name
from .tasks import Fitted, Scored, SearchData, Task

__all__ = ["SearchMemory"]

# Samples whose logits a restored network must give again.
N_COMPARED = 32


class SearchMemory:
    """A folder of finished fits.

    Parameters
    ----------
    folder : str or Path
        Created if it does not exist.
    estimator : estimator
        Not fitted, as of the search.
    data : SearchData
    scoring, margin_scoring : callable, str or None
        As given to the search.
    one_by_one : bool, default=False
        Whether networks are never trained as one; such fits are kept apart.

    Raises
    ------
    ValueError
        If the data or a scorer cannot be hashed, or there cannot be such a folder.

    Warns
    -----
    UserWarning
        If fits of this estimator cannot be kept, with the reason.
    """

    def __init__(
        self,
        folder: str | Path,
        estimator: Any,
        data: SearchData,
        scoring: Any,
        margin_scoring: Any,
        one_by_one: bool = False,
    ) -> None:
        # Absolute, because the working directory may change during the search.
        self.folder = Path(folder).expanduser().absolute()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:  # ValueError: a NUL character
            raise ValueError(
                f"memory={str(folder)!r} cannot be made a folder: {error}"
            ) from error
        self.estimator = estimator
        self.scoring, self.margin_scoring = scoring, margin_scoring
        try:
            self._common = data_key(data), one_by_one
            score_key(margin_scoring, data, None)
            if data.splits:
                score_key(scoring, data, 0)
        except ValueError as error:
            raise ValueError(f"memory={str(folder)!r} {error}") from error
        reason = self._why_not(clone(estimator), data)
        if reason is not None:
            warn_caller(f"memory={str(folder)!r} keeps no fits of this estimator: {reason}.")

    def _why_not(self, model: Any, data: SearchData) -> str | None:
        """Why fits of an estimator are not kept."""
        network = _network(model)
        if network is None:
            return "it is not a MarginClassifier, nor a Pipeline that ends in one"
        if network.callbacks:
            return "it has callbacks, whose state is not known"
        try:
            fit_key(model, network, Task(0, {}), data, self._common)
        except ValueError as error:
            return str(error)
        return None

    def recall(self, task: Task, data: SearchData) -> tuple[Fitted, Scored | None] | None:
        """A fit that was kept earlier, with its score.

        Parameters
        ----------
        task : Task
        data : SearchData

        Returns
        -------
        found : tuple of Fitted and Scored, or None
            None if the fit was not kept. The score is None if that was not; the estimator of a
            fold is left out if it was.
        """
        model = with_settings(self.estimator, task.settings)
        path = self._path(model, task, data)
        if path is None or not path.exists():
            return None
        scored = _read_score(self._beside(path, task, data))
        try:
            arrays, found = read_arrays(path)
            if task.split is not None and scored is not None:
                model = None
            elif not _restore(model, task, data, arrays, found):
                return None
            fitted = Fitted(model, found["fit_seconds"], n_together=found["n_together"])
        except DAMAGED:
            return None  # fitted again
        return fitted, scored

    def keep(self, task: Task, data: SearchData, fitted: Fitted) -> None:
        """Write a fit, unless it failed, was interrupted, or cannot be kept.

        Parameters
        ----------
        task : Task
        data : SearchData
        fitted : Fitted
        """
        path = self._path(with_settings(self.estimator, task.settings), task, data)
        if path is None or fitted.error:
            return
        run = training_run(_network(fitted.estimator))
        if not _is_finished(run):
            return
        try:
            arrays, found = _taken_apart(fitted.estimator, run, task, data)
        except TypeError:  # a state that cannot be stored without pickle
            return
        found |= {"fit_seconds": fitted.seconds, "n_together": fitted.n_together}
        with self._told():
            write_arrays(path, arrays, found)

    def keep_score(self, task: Task, data: SearchData, scored: Scored) -> None:
        """Write the score of a fit that is kept, unless the scorer failed.

        Parameters
        ----------
        task : Task
        data : SearchData
        scored : Scored
        """
        path = self._path(with_settings(self.estimator, task.settings), task, data)
        if path is None or scored.error or not path.exists():
            return
        text = json.dumps({"score": scored.score, "seconds": scored.seconds})
        beside = self._beside(path, task, data)
        with self._told():
            write_atomically(beside, lambda file: file.write(text.encode()))

    def _path(self, model: Any, task: Task, data: SearchData) -> Path | None:
        """File of a fit, or None if it cannot be known again."""
        network = _network(model)
        if network is None or network.callbacks:
            return None
        try:
            key = fit_key(model, network, task, data, self._common)
        except ValueError:
            return None
        return self.folder / f"{key}.npz"

    def _beside(self, path: Path, task: Task, data: SearchData) -> Path:
        """File of the score of the fit that a file holds."""
        scoring = self.margin_scoring if task.split is None else self.scoring
        return path.with_name(f"{path.stem}-{score_key(scoring, data, task.split)}.json")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Warn if a file cannot be written."""
        try:
            yield
        except OSError as error:
            warn_caller(
                f"memory={str(self.folder)!r} could not keep a fit, which will be repeated if "
                f"the search is: {error}"
            )


def _network(model: Any) -> Any:
    """The MarginClassifier that a model is or ends in, or None."""
    last = model.steps[-1][1] if type(model) is Pipeline else model
    return last if type(last) is MarginClassifier else None


# --- the state of a fitted network ------------------------------------------------------


def _is_finished(run: TrainingRun) -> bool:
    """Whether no Ctrl-C ended the training early."""
    complete = run.n_epochs >= run.net.max_epochs or run.separation.stopped_
    return complete and not run.interrupted


def _taken_apart(
    model: Any, run: TrainingRun, task: Task, data: SearchData
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
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
        "inputs": _hash_of_inputs(model, data.to_train(task.split)[0]),
        "scores": _some_scores(model, data.to_train(task.split)[0]).tolist(),
    }


def _restore(
    model: Any,
    task: Task,
    data: SearchData,
    arrays: Mapping[str, np.ndarray],
    found: Mapping[str, Any],
) -> bool:
    """Fit a model without training; False if its network saw other inputs then."""
    X, y, params = data.to_train(task.split)
    weight = params.get(weight_name(model))
    given = X
    if type(model) is Pipeline and len(model.steps) > 1:
        head = model[:-1]
        X = head.fit_transform(X, y)
        model.steps[:-1] = head.steps
    if _hash_of_inputs(model, given) != found["inputs"]:
        return False
    tensors = {
        name: torch.from_numpy(arrays[f"tensor_{i}"]) for i, name in enumerate(found["names"])
    }
    state = NetState.from_tensors(tensors, found["state"])
    part = begin_fit(_network(model), X, y, weight)
    run = part.run
    run.restored(state, found["separation"], part.epochs, found["best_epoch"])
    # A module may keep more than its weights.
    now = _some_scores(model, data.to_train(task.split)[0])
    return state.holds(run.net) and np.allclose(now, found["scores"], rtol=1e-3, atol=1e-4)


def _some_scores(model: Any, X: Any) -> np.ndarray:
    """Logits of the first samples, by which a restored network is known to be the same."""
    n = X.shape[0] if hasattr(X, "shape") else len(X)
    return model.decision_function(take_rows(X, np.arange(min(n, N_COMPARED))))


def _hash_of_inputs(model: Any, X: Any) -> str | None:
    """Hash of what the transformers make of X: a random one would make something else."""
    if type(model) is not Pipeline or len(model.steps) == 1:
        return None
    return joblib.hash(model[:-1].transform(X))


# --- files ------------------------------------------------------------------------------


def _read_score(path: Path) -> Scored | None:
    try:
        found = json.loads(path.read_text("utf-8"))
        return Scored(float(found["score"]), float(found["seconds"]))
    except DAMAGED:
        return None  # scored again
