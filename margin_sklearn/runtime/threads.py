"""Numbers of threads of torch, and who may read a module while it is trained."""

import functools
import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import ThreadpoolController

__all__ = ["reading", "torch_threads", "training"]

_lock = threading.Lock()
# Blocks of torch_threads that are running, in all threads; the number outside of them, and the
# one that new threads begin with meanwhile.
_n_inside, _outside, _begun_with = 0, 1, 1
# What a thread's own number is known to be.
_known = threading.local()


@contextmanager
def torch_threads(n_threads: int | None) -> Iterator[None]:
    """Set the number of CPU threads of torch, and restore it afterwards.

    torch keeps a number for each thread of Python, but ``torch.set_num_threads`` also sets the
    one that new threads begin with, and MKL's. These are restored by the last of the blocks
    that run at the same time: none of them undoes another's setting.

    Parameters
    ----------
    n_threads : int or None
        None leaves the number unchanged.
    """
    global _n_inside, _outside, _begun_with
    with _lock:
        own = torch.get_num_threads()
        if _n_inside and own == _begun_with and not getattr(_known, "number", False):
            # A thread that is new has begun with what another one has set.
            own = _outside
        _known.number = True
        if not _n_inside:
            _outside = _begun_with = own
        _n_inside += 1
        wanted = own if n_threads is None else n_threads
        if torch.get_num_threads() != wanted:
            if n_threads is None and _n_inside > 1:
                _set_own_number(wanted)
            else:
                torch.set_num_threads(wanted)
                _begun_with = wanted
    try:
        yield
    finally:
        with _lock:
            # In the child of a fork within the block, none is counted.
            _n_inside = max(_n_inside - 1, 0)
            if torch.get_num_threads() != own:
                if _n_inside:
                    _set_own_number(own)
                else:
                    torch.set_num_threads(own)
            if not _n_inside and _outside != own:
                # The last one, in a thread with a number of its own.
                torch.set_num_threads(_outside)
                _set_own_number(own)


def _set_own_number(n_threads: int) -> None:
    """Set the number of this thread of Python only."""
    for library in _openmp_of_torch():
        library.set_num_threads(n_threads)


@functools.cache
def _openmp_of_torch():
    found = ThreadpoolController().select(user_api="openmp").lib_controllers
    return [library for library in found if "torch" in library.filepath] or found


# --- modules ----------------------------------------------------------------------------


class _Access:
    """Any number of threads may read a module, or one may train it (and read)."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.readers: dict[int, int] = {}
        self.trainer: int | None = None


_accesses: weakref.WeakKeyDictionary[torch.nn.Module, _Access] = weakref.WeakKeyDictionary()


def _access(module: torch.nn.Module) -> _Access:
    with _lock:
        return _accesses.setdefault(module, _Access())


@contextmanager
def reading(module: torch.nn.Module) -> Iterator[None]:
    """Wait until no other thread trains a module; none does within the block.

    Parameters
    ----------
    module : torch.nn.Module
        Module that is read.
    """
    access, me = _access(module), threading.get_ident()
    with access.changed:
        # One that reads already must not wait for one that waits for it.
        while access.trainer not in (None, me) and me not in access.readers:
            access.changed.wait()
        access.readers[me] = access.readers.get(me, 0) + 1
    try:
        yield
    finally:
        with access.changed:
            access.readers[me] -= 1
            if not access.readers[me]:
                del access.readers[me]
            access.changed.notify_all()


@contextmanager
def training(module: torch.nn.Module) -> Iterator[None]:
    """Wait until no other thread reads or trains a module; none does within the block.

    Parameters
    ----------
    module : torch.nn.Module
        Module that is trained.
    """
    access, me = _access(module), threading.get_ident()
    with access.changed:
        while access.trainer not in (None, me) or {*access.readers} - {me}:
            access.changed.wait()
        before, access.trainer = access.trainer, me
    try:
        yield
    finally:
        with access.changed:
            access.trainer = before
            access.changed.notify_all()


def _after_fork() -> None:
    # The other threads do not exist in the child.
    global _lock, _n_inside, _known, _accesses
    _lock, _n_inside, _known = threading.Lock(), 0, threading.local()
    _accesses = weakref.WeakKeyDictionary()
    # Nor do those of OpenMP's pool, for which torch would wait forever. A process that wants
    # more of its own may set their number.
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
