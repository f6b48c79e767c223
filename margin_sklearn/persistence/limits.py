"""Limits on the memory that a file can make a known network use."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from .archive import Damaged
from .names import is_known

__all__ = ["TooLarge", "limited"]

# A network may use more memory than its file has bytes: a constructor makes copies, and
# hidden layers have outputs.
TIMES = 16
N_BYTES = 2**30
# Operations that make the parameters of one stored tensor.
N_OPERATIONS, PER_TENSOR = 2000, 100


class TooLarge(Damaged):
    """A network would use far more memory than its weights."""


def limited(maker: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Context in which the network of a file cannot use far more memory than its weights.

    Parameters
    ----------
    maker : type or callable
        Makes the module. The limit is for classes that any file may name; code that the user
        trusts may do what it wants.
    tensors : dict of str to torch.Tensor
        Those of the network in the file.

    Raises
    ------
    TooLarge
        In the block, before the memory is used.
    """
    return _limited(tensors) if is_known(maker) else nullcontext()


@contextmanager
def _limited(tensors: dict[str, torch.Tensor]) -> Iterator[None]:
    stored = sum(tensor.nbytes for tensor in tensors.values())
    mode = _Limit(N_BYTES + TIMES * stored, N_OPERATIONS + PER_TENSOR * len(tensors))
    with mode:
        yield


class _Limit(TorchFunctionMode):
    """Adds up the sizes of all results before they are computed."""

    def __init__(self, n_bytes: int, n_operations: int) -> None:
        super().__init__()
        self.n_bytes, self.n_operations = n_bytes, n_operations

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        # Attributes, and operations in place, need no memory.
        if name != "__get__" and not name.endswith("_"):
            size = _size(func, args, kwargs)
            self.n_bytes -= size
            self.n_operations -= size > 0
        if self.n_bytes < 0 or self.n_operations < 0:
            raise TooLarge(
                "its network would use far more memory than its weights do: the settings of "
                "the network are not those with which it was saved"
            )
        return func(*args, **kwargs)


def _size(func: Any, args: Any, kwargs: dict[str, Any]) -> int:
    """Bytes of the results of an operation; 0 if torch cannot say so without computing."""
    ignored = ("generator", "device")
    made = {name: value for name, value in kwargs.items() if name not in ignored}
    try:
        with torch.device("meta"):
            results = func(*_mapped(args, _empty), **_mapped(made, _empty))
    except Exception:
        return 0
    found: list[int] = []
    _mapped(results, lambda tensor: found.append(tensor.nbytes))
    return sum(found)


def _empty(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor of the same shape, without numbers."""
    return tensor.detach().to("meta")


def _mapped(value: Any, change: Callable[[torch.Tensor], Any]) -> Any:
    """Nested containers with all tensors changed."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if type(value) in (list, tuple):
        return type(value)([_mapped(part, change) for part in value])
    if type(value) is dict:
        return {name: _mapped(part, change) for name, part in value.items()}
    return value
