"""Writer and Reader: objects to JSON nodes and tensors, and back.

The writer dispatches on the type of an object, the reader on the kind of a node, a dict of one
key. Modules beside this one register both for their types.
"""

from collections.abc import Callable
from functools import singledispatch
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator

from .archive import Damaged
from .names import full_name, imported, looked_up
from .sklearn_parts import class_name, contains_network, dumped, library_class, loaded

__all__ = ["KINDS", "OWN", "Reader", "Writer", "encode", "kind", "state_node"]

# This package's classes whose attributes are their state, by name.
OWN: dict[str, type] = {}

# Kinds of nodes that others refer to. A tuple is none: of tuples that hold each other twice, a
# short file could make one whose hash takes years.
SHARED = {
    "array",
    "callback",
    "classifier",
    "generator",
    "object",
    "objects",
    "partial",
    "random_state",
    "tensor",
    "training",
}

# The function that reads each kind of node: function(content, reader) -> object.
KINDS: dict[str, Callable[[Any, "Reader"], Any]] = {}


def kind(name: str) -> Callable[[Callable[[Any, "Reader"], Any]], Any]:
    """Register the decorated function as the one that reads a kind of node.

    Parameters
    ----------
    name : str
    """

    def register(function):
        KINDS[name] = function
        return function

    return register


@singledispatch
def encode(value: Any, writer: "Writer") -> Any:
    """Node of an object.

    Parameters
    ----------
    value : object
    writer : Writer

    Raises
    ------
    TypeError
        If objects of this type cannot be stored.
    """
    name = class_name(value)
    of_sklearn = name.startswith("sklearn.") or isinstance(value, BaseEstimator)
    if of_sklearn and contains_network(value):
        if library_class(name) is None:
            raise TypeError(f"is a {name} that contains a network: save the network alone")
        return writer.once(value, lambda: state_node(name, value, writer))
    if of_sklearn:
        data, names = dumped(value)
        for name in names:
            writer.name(imported(name))
        numbers = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        return {"skops": writer.tensor(numbers)}
    raise TypeError(
        f"is {_shown(value)} of type {type(value).__name__}, which cannot be stored without "
        "pickle"
    )


def state_node(
    name: str, value: Any, writer: "Writer", *, without: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Node of an object whose attributes are its state.

    Parameters
    ----------
    name : str
        Of its class.
    value : object
    writer : Writer
    without : tuple of str, default=()
        Attributes that are left out.
    """
    state = {key: item for key, item in vars(value).items() if key not in without}
    return {"object": {"class": name, "state": writer.parts(state, type(value).__name__)}}


@kind("object")
def _(content: Any, reader: "Reader") -> Any:
    name = content["class"]
    made = library_class(name) or reader.class_of(name)
    found: Any = object.__new__(made)
    vars(found).update(reader.parts(content["state"]))
    return found


@kind("skops")
def _(name: Any, reader: "Reader") -> Any:
    return loaded(reader.tensor(name).numpy().tobytes(), reader.trusted)


class Writer:
    """Collects the nodes, tensors and names of what is saved.

    Attributes
    ----------
    shared : list of node
        Objects that several others refer to: each is stored once.
    tensors : dict of str to torch.Tensor
    named : dict of str to type or function
        Classes and functions, by the names under which they are stored.
    """

    def __init__(self) -> None:
        self.shared: list[Any] = []
        self.tensors: dict[str, torch.Tensor] = {}
        self.named: dict[str, Any] = {}
        self._places: dict[int, tuple[int, Any]] = {}
        # What the object at hand is in, from the outside inwards.
        self._around: list[str] = []
        self._checks: list[tuple[Any, Callable[[Any, Any], None]]] = []

    def node(self, value: Any, where: str) -> Any:
        """Node of an object.

        Parameters
        ----------
        value : object
        where : str
            What the object is, for error messages.

        Raises
        ------
        TypeError
            If it cannot be stored, with its place.
        """
        if value is None or type(value) in (bool, int, float, str):
            return value
        self._around.append(where)
        try:
            # A number of NumPy may also be a number of Python.
            is_scalar = isinstance(value, np.generic)
            found = encode.dispatch(np.generic) if is_scalar else encode.dispatch(type(value))
            return found(value, self)
        except _NotStored:
            raise
        except RecursionError as error:
            raise _NotStored(f"{where} contains itself, which cannot be stored.") from error
        except TypeError as error:
            raise _NotStored(f"{where} {error}.{self._place()}") from error
        finally:
            self._around.pop()

    def _place(self) -> str:
        around = self._around[:-1]
        return f" It is in {', '.join(reversed(around[-4:]))}." if around else ""

    def parts(self, values: dict[str, Any], where: str) -> dict[str, Any]:
        """Nodes of named objects.

        Parameters
        ----------
        values : dict of str to object
        where : str
            What they are parts of.
        """
        return {name: self.node(value, f"{where}.{name}") for name, value in values.items()}

    def once(self, value: Any, node: Callable[[], Any]) -> Any:
        """Node of an object that is stored once, however often it is referred to.

        Parameters
        ----------
        value : object
        node : callable
            Makes the node at the first reference.
        """
        if id(value) not in self._places:
            made = node()
            assert {*made} <= SHARED
            # The object is kept, so that no other can have its id.
            self._places[id(value)] = len(self.shared), value
            self.shared.append(made)
        return {"shared": self._places[id(value)][0]}

    def check(self, value: Any, check: Callable[[Any, Any], None]) -> None:
        """Add a check of an object that is stored once.

        Parameters
        ----------
        value : object
        check : callable
            Called with the object and the one that was made of its node.
        """
        self._checks.append((value, check))

    def compare(self, reader: "Reader") -> None:
        """Make all checks.

        Parameters
        ----------
        reader : Reader
            Of the same nodes.
        """
        for value, check in self._checks:
            place, _ = self._places[id(value)]
            check(value, reader.value({"shared": place}))

    def tensor(self, value: torch.Tensor, name: str | None = None) -> str:
        """Add a tensor, and return the name under which it is stored.

        Parameters
        ----------
        value : torch.Tensor
        name : str, default=None
            None numbers it.
        """
        if value.layout is not torch.strided or value.is_quantized or value.is_meta:
            raise TypeError(f"has a tensor of layout {value.layout}: make it dense")
        name = f"values_{len(self.tensors)}" if name is None else name
        assert name not in self.tensors
        self.tensors[name] = value
        return name

    def name(self, value: Any) -> str:
        """Add a class or function, and return its name.

        Parameters
        ----------
        value : type or function
        """
        name = full_name(value)
        self.named[name] = value
        return name

    def lookups(self) -> dict[str, Callable[[], Any]]:
        """What :class:`Reader` needs to trust all that is named here."""

        def finding(value: Any) -> Callable[[], Any]:
            return lambda: value

        return {name: finding(value) for name, value in self.named.items()}


class Reader:
    """Makes the objects of nodes.

    Parameters
    ----------
    shared : list of node
    tensors : dict of str to torch.Tensor
    trusted : dict of str to callable
        From :func:`~margin_sklearn.persistence.names.trusted_names`.
    """

    def __init__(
        self,
        shared: list[Any],
        tensors: dict[str, torch.Tensor],
        trusted: dict[str, Callable[[], Any]],
    ) -> None:
        self._shared, self._tensors, self.trusted = shared, dict(tensors), trusted
        self._made: dict[int, Any] = {}
        self._begun: set[int] = set()

    def value(self, node: Any) -> Any:
        """The object of a node.

        Parameters
        ----------
        node : object
        """
        if not isinstance(node, dict):
            if isinstance(node, list):
                raise Damaged("it has a list where an object should be")
            return node
        ((name, content),) = node.items()
        if name == "shared":
            return self._of_shared(content)
        if name not in KINDS:
            raise Damaged(f"it has a part of an unknown kind, {name!r}")
        return KINDS[name](content, self)

    def parts(self, nodes: dict[str, Any]) -> dict[str, Any]:
        """Objects by their names.

        Parameters
        ----------
        nodes : dict of str to node
        """
        for name in nodes:
            if not name.isidentifier() or name.startswith("__"):
                raise Damaged(f"it has an attribute named {name!r}")
        return {name: self.value(node) for name, node in nodes.items()}

    def tensor(self, name: str) -> torch.Tensor:
        """The tensor of a name, which a file can use once: the next use would be a copy."""
        if name not in self._tensors:
            raise Damaged(f"it has no tensor {name!r}, or uses it twice")
        return self._tensors.pop(name)

    def named(self, name: str) -> Any:
        """The class or function of a name, if it is known or trusted."""
        return looked_up(name, self.trusted)

    def class_of(self, name: str) -> type:
        """The class of an object whose attributes are its state: ours, or trusted."""
        found = OWN[name] if name in OWN else self.named(name)
        if not isinstance(found, type) or not issubclass(found, tuple(OWN.values())):
            raise Damaged(f"{name} is no estimator of this package")
        return found

    def _of_shared(self, place: int) -> Any:
        if place not in self._made:
            if place in self._begun:
                raise Damaged("it has a part that contains itself")
            self._begun.add(place)
            node = self._shared[place]
            if not isinstance(node, dict) or not {*node} <= SHARED:
                raise Damaged("it refers to a part of a kind that is stored in its place")
            self._made[place] = self.value(node)
        return self._made[place]


class _NotStored(TypeError):
    """The error that names the place has been raised already."""


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
