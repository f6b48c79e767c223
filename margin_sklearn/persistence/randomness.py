"""Random generators and distributions."""

from typing import Any

import numpy as np
import scipy.stats

from .archive import Damaged
from .coding import Reader, Writer, encode, kind

__all__: list[str] = []

BIT_GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")


@encode.register(np.random.RandomState)
def _(value: np.random.RandomState, writer: Writer) -> Any:
    return writer.once(value, lambda: {"random_state": writer.node(value.get_state(), "it")})


@kind("random_state")
def _(node: Any, reader: Reader) -> np.random.RandomState:
    made = np.random.RandomState()
    made.set_state(reader.value(node))
    return made


@encode.register(np.random.Generator)
def _(value: np.random.Generator, writer: Writer) -> Any:
    bits = value.bit_generator
    if type(bits).__name__ not in BIT_GENERATORS:
        raise TypeError(f"is a Generator of {type(bits).__name__}: use numpy's PCG64")
    return writer.once(value, lambda: {"generator": writer.node(bits.state, "its state")})


@kind("generator")
def _(node: Any, reader: Reader) -> np.random.Generator:
    state = reader.value(node)
    if state["bit_generator"] not in BIT_GENERATORS:
        raise Damaged(f"it has a generator of {state['bit_generator']!r}")
    bits = getattr(np.random, state["bit_generator"])()
    bits.state = state
    return np.random.Generator(bits)


@encode.register(scipy.stats.distributions.rv_frozen)
def _(value: Any, writer: Writer) -> Any:
    name = value.dist.name
    if type(getattr(scipy.stats, name, None)) is not type(value.dist):
        raise TypeError(f"is a distribution {name!r}, which scipy.stats does not have")
    parts = {"args": value.args, "keywords": value.kwds}
    return {"distribution": {"name": name, **writer.parts(parts, name)}}


@kind("distribution")
def _(nodes: Any, reader: Reader) -> Any:
    parts = reader.parts(nodes)
    found = getattr(scipy.stats, parts["name"])
    if not isinstance(found, scipy.stats.rv_continuous | scipy.stats.rv_discrete):
        raise Damaged(f"scipy.stats.{parts['name']} is not a distribution")
    return found(*parts["args"], **parts["keywords"])
