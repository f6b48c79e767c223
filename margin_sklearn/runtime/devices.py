"""The device of a computation, and whether gradients are recorded."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["recording", "resolve_device"]


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
def recording() -> Iterator[None]:
    """Record gradients, even inside ``torch.no_grad`` or ``torch.inference_mode``."""
    with torch.inference_mode(False), torch.enable_grad():
        yield
