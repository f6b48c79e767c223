"""The state of torch during computation: device, random generators, gradients, CPU threads."""

from .devices import recording, resolve_device
from .generators import (
    GeneratorStream,
    drawing_alone,
    generator_state,
    second_generator,
    seeded,
    set_generator_state,
)
from .threads import reading, torch_threads, training

__all__ = [
    "GeneratorStream",
    "drawing_alone",
    "generator_state",
    "reading",
    "recording",
    "resolve_device",
    "second_generator",
    "seeded",
    "set_generator_state",
    "torch_threads",
    "training",
]
