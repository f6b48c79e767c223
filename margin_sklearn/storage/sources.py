"""The source of the user's code that an object runs, so that a change of it is noticed."""

import functools
import inspect
import sys
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from .hashing import Unhashable

__all__ = ["sources_of"]

# Packages whose versions are compared instead.
VERSIONED = {"margin_sklearn", "numpy", "pandas", "scipy", "sklearn", "skorch", "torch"}


def sources_of(*things: Any) -> dict[str, str]:
    """The source of the code that objects depend on, by the name of its module.

    That is the whole file of every module of the user's that defines the object, its class or
    their bases, or what it holds, and of the modules of the user's that such a module has
    imported. Of installed packages it is the version.

    Parameters
    ----------
    *things : object
        Functions, classes and other objects.

    Returns
    -------
    sources : dict of str to str

    Raises
    ------
    Unhashable
        If something has no source, such as a function typed into an interpreter.
    """
    found: dict[str, str] = {}
    seen: set[int] = set()
    for thing in things:
        for part in _parts(thing, seen):
            if _top(part.__module__) in sys.stdlib_module_names | VERSIONED:
                continue
            _add_module(part.__module__, part, found)
    return dict(sorted(found.items()))


def _top(name: str) -> str:
    return name.partition(".")[0]


def _parts(thing: Any, seen: set[int]) -> Iterator[Any]:
    """Classes and functions that an object consists of."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, str | bytes | int | float | complex | None):
        return
    if inspect.isclass(thing):
        yield from (base for base in thing.__mro__ if base is not object)
        return
    if isinstance(thing, functools.partial):
        inner = [thing.func, thing.args, thing.keywords]
    elif isinstance(thing, Mapping):
        inner = [*thing.values()]
    elif isinstance(thing, list | tuple | set | frozenset):
        inner = [*thing]
    elif inspect.ismethod(thing):
        inner = [thing.__self__, thing.__func__]
    elif inspect.isroutine(thing):
        inner = [cell.cell_contents for cell in getattr(thing, "__closure__", None) or ()]
        if getattr(thing, "__module__", None):
            yield thing
    else:
        inner = [type(thing)]
        if isinstance(thing, torch.nn.Module):
            inner += [*thing.modules()]
        elif not type(thing).__module__.startswith(("numpy", "pandas", "scipy")):
            inner += [*getattr(thing, "__dict__", {}).values()]
    for part in inner:
        yield from _parts(part, seen)


def _add_module(name: str, part: Any, found: dict[str, str]) -> None:
    """Add the source of a module, and of the user's modules that it has imported."""
    key = name if name != "__main__" else f"__main__.{part.__qualname__}"
    if key in found:
        return
    module = sys.modules.get(name)
    path = getattr(module, "__file__", None)
    if path and ("site-packages" in Path(path).parts or "dist-packages" in Path(path).parts):
        found[key] = str(getattr(sys.modules.get(_top(name)), "__version__", path))
        return
    if path is None or module is None:
        # A notebook: only what is asked for.
        try:
            found[key] = inspect.getsource(part)
        except (OSError, TypeError) as error:
            raise Unhashable(
                f"there is no source of {part.__qualname__!r}: define it in a file"
            ) from error
        return
    found[key] = Path(path).read_text(encoding="utf-8", errors="replace")
    for value in list(vars(module).values()):
        other = (
            value.__name__
            if isinstance(value, types.ModuleType)
            else getattr(value, "__module__", None)
        )
        if not isinstance(other, str) or other == name or other not in sys.modules:
            continue
        if _top(other) in sys.stdlib_module_names | VERSIONED:
            continue
        if getattr(sys.modules[other], "__file__", None):
            _add_module(other, value, found)
