"""Names of classes and functions in a file, and which of them may be looked up."""

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import skorch.utils
import torch
from skorch.callbacks import Callback
from torch.optim.lr_scheduler import CyclicLR, OneCycleLR
from torch.optim.swa_utils import SWALR

__all__ = [
    "Untrusted",
    "full_name",
    "imported",
    "is_known",
    "looked_up",
    "trusted_names",
    "untrusted",
]

# Where the known classes are defined, and what they must derive from.
KNOWN_PACKAGES = ("margin_sklearn.nn.", "torch.nn.", "torch.optim.", "skorch.callbacks.")
KNOWN_BASES = (
    torch.nn.Module,
    torch.optim.Optimizer,
    torch.optim.lr_scheduler.LRScheduler,
    Callback,
)
# Functions that skorch's callbacks have as default arguments or as attributes.
KNOWN_FUNCTIONS = {
    "builtins.print": print,
    **{
        f"skorch.utils.{name}": function
        for name, function in vars(skorch.utils).items()
        if name in ("noop", "to_numpy") or name.startswith("_indexing_")
    },
    # torch's schedules have them as attributes.
    **{
        f"{made.__module__}.{made.__qualname__}.{name}": getattr(made, name)
        for made, names in (
            (CyclicLR, ("_triangular_scale_fn", "_triangular2_scale_fn")),
            (OneCycleLR, ("_annealing_cos", "_annealing_linear")),
            (SWALR, ("_cosine_anneal", "_linear_anneal")),
        )
        for name in names
        if hasattr(made, name)
    },
}
# Callbacks that read or write files during training, by names that a file could choose.
USE_FILES = {"Checkpoint", "LoadInitState", "TrainEndCheckpoint"}


class Untrusted(ValueError):
    """A file names a class or function that was not trusted."""


def full_name(value: Any) -> str:
    """Name by which a class or function can be imported.

    Parameters
    ----------
    value : type or function

    Returns
    -------
    name : str
        Such as "torch.nn.modules.activation.ReLU".

    Raises
    ------
    TypeError
        If it cannot be imported by its name.
    """
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", "")
    if "<lambda>" in name:
        raise TypeError("is a lambda, which has no name: define a function in a module")
    if "<locals>" in name:
        raise TypeError(f"is {name}, defined inside a function: define it in a module")
    full = f"{module}.{name}"
    try:
        found = pkgutil.resolve_name(full)
    except (ImportError, AttributeError, ValueError):
        found = None
    if found is not value:
        raise TypeError(f"is {full}, but importing that name gives something else or nothing")
    return full


def trusted_names(trusted: Iterable[Any]) -> dict[str, Callable[[], Any]]:
    """What the user trusts: functions that look it up, by name.

    Parameters
    ----------
    trusted : iterable of str, type or function
        Names are imported only if a file uses them.

    Returns
    -------
    lookups : dict of str to callable

    Raises
    ------
    TypeError
        If an entry is neither a name nor a class or function.
    """
    if isinstance(trusted, str):
        raise TypeError(f"trusted must be a list of names or classes, got {trusted!r}.")
    lookups: dict[str, Callable[[], Any]] = {}
    for entry in trusted:
        if isinstance(entry, str):
            lookups[entry] = partial(imported, entry)
        elif hasattr(entry, "__qualname__"):
            lookups[f"{entry.__module__}.{entry.__qualname__}"] = partial(_itself, entry)
        else:
            raise TypeError(
                "trusted must hold names such as 'mypackage.nets.Net', or classes and "
                f"functions, got {entry!r}."
            )
    return lookups


def looked_up(name: str, trusted: Mapping[str, Callable[[], Any]]) -> Any:
    """The class or function of a name in a file.

    Parameters
    ----------
    name : str
    trusted : dict of str to callable
        From :func:`trusted_names`.

    Raises
    ------
    Untrusted
        If it is neither trusted nor a known class.
    """
    if not isinstance(name, str):
        raise untrusted([repr(name)[:80]])
    if name in trusted:
        return trusted[name]()
    if name in KNOWN_FUNCTIONS:
        return KNOWN_FUNCTIONS[name]
    if name.startswith(KNOWN_PACKAGES):
        found = _known_class(name)
        if found is not None:
            return found
    raise untrusted([name])


def untrusted(names: list[str]) -> Untrusted:
    """The error for classes and functions that are not trusted.

    Parameters
    ----------
    names : list of str

    Returns
    -------
    error : Untrusted
    """
    return Untrusted(
        f"The file uses {', '.join(names)}, whose code would run. If you trust this code and "
        f"the file, pass trusted={names!r}, or the classes or functions themselves."
    )


def is_known(value: Any) -> bool:
    """Whether any file may name this class: no user had to trust it.

    Parameters
    ----------
    value : object
    """
    return isinstance(value, type) and f"{value.__module__}.".startswith(KNOWN_PACKAGES)


def _known_class(name: str) -> Any:
    module, _, last = name.rpartition(".")
    try:
        # The module that defines the class, and no attribute of anything else.
        found = vars(importlib.import_module(module)).get(last)
    except ImportError:
        return None
    known = (
        isinstance(found, type)
        and issubclass(found, KNOWN_BASES)
        and f"{found.__module__}.{found.__qualname__}" == name
        and last not in USE_FILES
    )
    return found if known else None


def _itself(value: Any) -> Any:
    return value


def imported(name: str) -> Any:
    """Import a class or function by its full name.

    Parameters
    ----------
    name : str

    Raises
    ------
    TypeError
        If it cannot be imported.
    """
    try:
        return pkgutil.resolve_name(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise TypeError(f"uses {name}, which cannot be imported here: {error}") from error
