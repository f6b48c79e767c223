"""torch's random generators: seeded for a block, or shared by trainings that take turns."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import numpy as np
import torch

__all__ = [
    "GeneratorStream",
    "drawing_alone",
    "generator_state",
    "second_generator",
    "seeded",
    "set_generator_state",
]


class _Turns:
    """torch's default generators, which are shared by the whole process, and who has them."""

    def __init__(self) -> None:
        # Held while something draws from the generators.
        self.lock = threading.RLock()
        # The stream whose state the generators have now.
        self.current: GeneratorStream | None = None
        # What the holder of the lock has entered: streams, and None for a seeded block.
        self.entered: list[GeneratorStream | None] = []

    def leave(self) -> None:
        """Leave what was entered last, for what was entered before it."""
        self.entered.pop()
        if self.entered and self.entered[-1] is not self.current:
            self.switch_to(self.entered[-1])

    def switch_to(self, stream: "GeneratorStream | None") -> None:
        """Exchange the stream in the generators; the caller holds the lock."""
        if self.current is not None:
            self.current.pause()
            self.current = None
        if stream is not None:
            stream.resume()
            self.current = stream


_turns = _Turns()


def _after_fork() -> None:
    # A thread that held the lock does not exist in the child, nor does its stream. What has
    # been entered in the thread that forked is left as it was entered.
    global _turns
    _turns = _Turns()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def seeded(
    device: torch.device, seed: int | None = None, state: list[torch.Tensor] | None = None
) -> Iterator[None]:
    """Seed torch's generators, or restore an earlier state, and undo it afterwards.

    Parameters
    ----------
    device : torch.device
        Device that is used inside the block.
    seed : int, default=None
        Seed of new random streams; used if ``state`` is None.
    state : list of torch.Tensor, default=None
        State of the streams to continue, from :func:`generator_state`.
    """
    turns = _turns
    with turns.lock:
        turns.entered.append(None)
        turns.switch_to(None)
        before = generator_state(device)
        try:
            if state is None:
                assert seed is not None
                set_generator_state(
                    device, [_seeded_state(kind, seed) for kind in _kinds(device)]
                )
            else:
                kept = [*state, *before[len(state) :]][: len(before)]
                set_generator_state(device, kept)
            yield
        finally:
            set_generator_state(device, before)
            turns.leave()


@contextmanager
def drawing_alone() -> Iterator[None]:
    """Let no other thread draw from torch's generators within the block.

    A block that also waits for a module (``reading``, ``training``) and draws must enter this
    one first: a callback that predicts with the module may hold the generators.
    """
    with _turns.lock:
        yield


class GeneratorStream:
    """The random numbers of one training, which several threads may take turns to draw.

    Within ``with stream:``, torch's generators draw from this stream, and no other stream can.
    The stream stays in the generators until another one is entered, so that a single training
    pays for nothing but a lock.

    Parameters
    ----------
    device : torch.device
        Device of the training.
    state : list of torch.Tensor
        From :func:`generator_state`.
    """

    def __init__(self, device: torch.device, state: list[torch.Tensor]) -> None:
        self.device, self._state = device, state
        self._outer: list[torch.Tensor] = []
        self._turns = _turns

    def __enter__(self) -> Self:
        turns = self._turns
        turns.lock.acquire()
        turns.entered.append(self)
        if turns.current is not self:
            turns.switch_to(self)
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._turns.leave()
        finally:
            self._turns.lock.release()

    @property
    def state(self) -> list[torch.Tensor]:
        """The state of the stream now."""
        with self._turns.lock:
            now = self._turns.current is self
            return generator_state(self.device) if now else self._state

    @state.setter
    def state(self, state: list[torch.Tensor]) -> None:
        with self:
            set_generator_state(self.device, state)

    def close(self) -> None:
        """Give the generators back the state that they had before the stream."""
        turns = self._turns
        with turns.lock:
            if turns.current is self:
                turns.switch_to(turns.entered[-1] if turns.entered else None)

    def resume(self) -> None:
        """Put the stream into the generators."""
        self._outer = generator_state(self.device)
        # Training that began on a GPU may continue on a CPU: then only the streams that both
        # devices have are restored.
        kept = [*self._state, *self._outer[len(self._state) :]][: len(self._outer)]
        set_generator_state(self.device, kept)

    def pause(self) -> None:
        """Take the stream out of the generators."""
        self._state = generator_state(self.device)
        set_generator_state(self.device, self._outer)


def second_generator(seed: int) -> torch.Generator:
    """A generator on the CPU that is independent of torch's own, seeded with the same seed.

    Parameters
    ----------
    seed : int
        The seed of torch's own generator.

    Returns
    -------
    generator : torch.Generator
    """
    state = np.random.SeedSequence([seed, 1]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) >> 1)


def generator_state(device: torch.device) -> list[torch.Tensor]:
    """State of torch's generators that computations on a device use.

    Parameters
    ----------
    device : torch.device
        Device of the computations.

    Returns
    -------
    state : list of torch.Tensor
        State of the CPU's generator, then that of the device if it is not the CPU.
    """
    states = [torch.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    elif device.type == "mps":
        states.append(torch.mps.get_rng_state())
    return states


def _kinds(device: torch.device) -> list[torch.device | str]:
    return ["cpu"] if device.type == "cpu" else ["cpu", device]


def _seeded_state(kind: torch.device | str, seed: int) -> torch.Tensor:
    # torch.manual_seed would reseed the generators of every device.
    return torch.Generator(kind).manual_seed(seed).get_state()


def set_generator_state(device: torch.device, states: list[torch.Tensor]) -> None:
    """Set the state of torch's generators.

    Parameters
    ----------
    device : torch.device
        Device of the computations.
    states : list of torch.Tensor
        From :func:`generator_state`.
    """
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)
    elif device.type == "mps":
        torch.mps.set_rng_state(states[1])
