"""Hashes of settings and data that are equal wherever their contents are."""

from collections.abc import Mapping
from typing import Any

import joblib
import torch
from sklearn.base import BaseEstimator, clone

from .tensors import array_of

__all__ = ["Unhashable", "content_hash"]

# Parameters that change nothing about a fit.
WITHOUT_EFFECT = {"checkpoint", "checkpoint_every"}


class Unhashable(ValueError):
    """Equal objects could have other hashes, or different ones the same."""


def content_hash(*parts: Any) -> str:
    """Hash of objects that is the same in every process.

    Parameters
    ----------
    *parts : object
        Estimators count by their class, the form of their output and their parameters, except
        those that only say where a fit is kept; those that stay fitted when they are cloned
        (FrozenEstimator) by all that they hold; modules by their attributes and weights.

    Returns
    -------
    key : str
        Of 32 hexadecimal digits.

    Raises
    ------
    Unhashable
        If something cannot be pickled.
    """
    try:
        return joblib.hash([_plain(part) for part in parts])
    except Exception as error:
        # Without the values that joblib lists after it.
        reason = f"{type(error).__name__}: {str(error)[:200]}"
        raise Unhashable(f"it cannot be pickled: {reason}") from error


def _plain(value: Any) -> Any:
    """The value in parts whose hashes are equal if the parts are."""
    if isinstance(value, torch.Tensor):
        # Pickled tensors differ from one another.
        array = array_of(value)
        return "tensor", str(value.dtype), tuple(value.shape), joblib.hash(array)
    if isinstance(value, torch.nn.Module):
        own = {name: _simple(part) for name, part in value.named_modules()}
        return "module", type(value), repr(value), own, _plain({**value.state_dict()})
    if isinstance(value, BaseEstimator):
        params = value.get_params(deep=False)
        counted = {name: part for name, part in params.items() if name not in WITHOUT_EFFECT}
        clones_itself = type(value).__sklearn_clone__ is not BaseEstimator.__sklearn_clone__
        if clones_itself and clone(value) is value:
            return "kept", type(value), _state(counted)
        form = _plain(getattr(value, "_sklearn_output_config", None) or {})
        return "estimator", type(value), form, _plain(dict(sorted(counted.items())))
    if isinstance(value, Mapping):
        return "dict", [(_plain(key), _plain(part)) for key, part in value.items()]
    if isinstance(value, list | tuple):
        return type(value).__name__, [_plain(part) for part in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    # By itself: joblib's hash of a whole also says which of its parts are the same object.
    return "object", joblib.hash(value, coerce_mmap=True)


def _state(value: Any) -> Any:
    """As ``_plain``, with all attributes of estimators."""
    if isinstance(value, BaseEstimator):
        return "fitted", type(value), _state(dict(sorted(vars(value).items())))
    if isinstance(value, Mapping):
        return "dict", [(_plain(key), _state(part)) for key, part in value.items()]
    if isinstance(value, list | tuple):
        return type(value).__name__, [_state(part) for part in value]
    return _plain(value)


def _simple(module: torch.nn.Module) -> dict[str, Any]:
    """Attributes of a module that are neither parameters nor submodules."""
    return {
        name: _plain(value)
        for name, value in vars(module).items()
        if not name.startswith("_") and name != "training"
    }
