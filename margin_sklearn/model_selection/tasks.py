"""What is to be fitted in a search, on which samples, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..data.rows import n_bytes, take_rows
from .candidates import Settings

__all__ = ["Fitted", "Outcome", "Scored", "SearchData", "Split", "Task", "without_estimator"]

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
    n_together : int
        Number of networks that were trained as one; 1 for an ordinary fit.
    """

    estimator: Any
    seconds: float
    error: str | None = None
    n_together: int = 1


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
    may_write : bool, default=False
        Whether a fit or a prediction may write into X, as a transformer with ``copy=False``
        does: each is then given a copy.
    """

    X: Any
    y: NDArray[Any]
    fit_params: Mapping[str, Any] = field(default_factory=dict)
    score_params: Mapping[str, Any] = field(default_factory=dict)
    margin_params: Mapping[str, Any] = field(default_factory=dict)
    splits: Sequence[Split] = ()
    pairwise: bool = False
    may_write: bool = False

    def __sizeof__(self) -> int:
        # Engines that run on several machines send large arguments once, not with each call,
        # and know only the size of the object itself.
        parts = (self.X, self.y, *self.fit_params.values(), *self.score_params.values())
        return object.__sizeof__(self) + sum(n_bytes(part) for part in parts)

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
            return self._everything(), self.y, self.fit_params
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
            return self._everything(), self.y, self.margin_params
        train, test = self.splits[split]
        return self._rows(test, train), self.y[test], self._sliced(self.score_params, test)

    def _everything(self) -> Any:
        if not self.may_write:
            return self.X
        return self.X.copy() if self.pairwise else take_rows(self.X, np.arange(len(self.y)))

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
