"""What torch computes under: its device, its random generators and its CPU threads."""

import threading
from contextlib import contextmanager

import torch

__all__ = ["generator_state", "recording", "resolve_device", "seeded", "torch_threads"]

# torch's default generators belong to the whole process: fits in several threads
# (joblib's threading backend) take turns, so that each keeps its own stream.
_GENERATOR_LOCK = threading.RLock()


def resolve_device(device):
    """The torch device that ``"auto"`` stands for: cuda, then mps, then cpu.

    Parameters
    ----------
    device : str or torch.device

    Returns
    -------
    device : torch.device

    Raises
    ------
    ValueError
        If the name is unknown or the device is not there.
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
            f"device={device!r} was asked for, but torch sees no CUDA device. "
            "device='auto' takes what is there."
        )
    return resolved


@contextmanager
def seeded(device, seed=None, state=None):
    """Run with torch's generators seeded or continued; put them back as they were.

    Parameters
    ----------
    device : torch.device
    seed : int, default=None
        Starts new streams.
    state : list of torch.Tensor, default=None
        Continues streams: what :func:`generator_state` gave.
    """
    with _GENERATOR_LOCK:
        before = generator_state(device)
        try:
            if state is None:
                _set_state(device, [_seeded_state(kind, seed) for kind in _kinds(device)])
            else:
                # A fit begun on a GPU may go on on a CPU: the streams both have are used.
                kept = [*state, *before[len(state) :]][: len(before)]
                _set_state(device, kept)
            yield
        finally:
            _set_state(device, before)


def generator_state(device):
    """State of torch's generators that work on ``device`` uses: the CPU's, then its own."""
    states = [torch.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    elif device.type == "mps":
        states.append(torch.mps.get_rng_state())
    return states


def _kinds(device):
    return ["cpu"] if device.type == "cpu" else ["cpu", device]


def _seeded_state(kind, seed):
    # Not torch.manual_seed: it would reseed every device's generator.
    return torch.Generator(kind).manual_seed(seed).get_state()


def _set_state(device, states):
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)
    elif device.type == "mps":
        torch.mps.set_rng_state(states[1])


@contextmanager
def recording():
    """Have torch record gradients, whatever ``torch.no_grad`` is around it."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


@contextmanager
def torch_threads(n_threads):
    """Run with ``n_threads`` CPU threads in torch (None: as it is), then as before."""
    before = torch.get_num_threads()
    if n_threads is None or n_threads == before:
        yield
        return
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
