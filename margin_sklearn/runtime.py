"""The state of torch during computation: device, random generators, gradients, CPU threads."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

__all__ = [
    "generator_state",
    "recording",
    "resolve_device",
    "second_generator",
    "seeded",
    "torch_threads",
]

# torch's default generators are shared by the whole process. The lock makes fits in several
# threads (joblib's threading backend) run one after the other, each with its own stream.
_GENERATOR_LOCK = threading.RLock()


def resolve_device(device: torch.device | str) -> torch.device:
    """Convert the parameter ``device`` to a torch device.

    Parameters
    ----------
    device : str or torch.device
        "auto" selects cuda, mps or cpu, the first that is available.

    Returns
    -------
    device : torch.device

    Raises
    ------
    ValueError
        If the name is unknown or there is no such device.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        mps = getattr(torch.backends, "mps", None)
        return torch.device("mps" if mps is not None and mps.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f"device must be 'auto' or the name of a torch device such as 'cpu' or 'cuda:0', "
            f"got {device!r}."
        ) from error
    if resolved.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device={device!r} was requested, but torch finds no CUDA device. Use "
            "device='auto' to select a device that is available."
        )
    return resolved


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
    with _GENERATOR_LOCK:
        before = generator_state(device)
        try:
            if state is None:
                assert seed is not None
                _set_state(device, [_seeded_state(kind, seed) for kind in _kinds(device)])
            else:
                # Training that began on a GPU may continue on a CPU: then only the streams
                # that both devices have are restored.
                kept = [*state, *before[len(state) :]][: len(before)]
                _set_state(device, kept)
            yield
        finally:
            _set_state(device, before)


def second_generator(seed: int) -> torch.Generator:
    """A generator on the CPU that is independent of torch's own, seeded with the same seed.

    Parameters
    ----------
    seed : int

    Returns
    -------
    generator : torch.Generator
    """
    state = np.random.SeedSequence([seed, 1]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> 1))


def generator_state(device: torch.device) -> list[torch.Tensor]:
    """State of torch's generators that computations on a device use.

    Parameters
    ----------
    device : torch.device

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


def _set_state(device: torch.device, states: list[torch.Tensor]) -> None:
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)
    elif device.type == "mps":
        torch.mps.set_rng_state(states[1])


@contextmanager
def recording() -> Iterator[None]:
    """Record gradients, even inside ``torch.no_grad`` or ``torch.inference_mode``."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


@contextmanager
def torch_threads(n_threads: int | None) -> Iterator[None]:
    """Set the number of CPU threads of torch, and restore it afterwards.

    Parameters
    ----------
    n_threads : int or None
        None leaves the number unchanged.
    """
    before = torch.get_num_threads()
    if n_threads is None or n_threads == before:
        yield
        return
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
