"""Cache of results that do not depend on the network, shared by all candidates of a search."""

import os
import threading
import weakref
from collections import OrderedDict

__all__ = ["PERTURBED_SAMPLES", "ByteBoundedCache", "clear_cache"]

# Approximate bytes per entry in addition to its arrays.
OVERHEAD = 1024


class ByteBoundedCache:
    """A cache limited to a number of bytes; drops the least recently used values.

    It is thread-safe. Missing values are computed outside the lock, so that other keys can be
    looked up meanwhile; threads that ask for the same key wait for the first of them. A
    computation that raises stores nothing: one of the waiting threads then computes the value
    itself.

    Parameters
    ----------
    max_bytes : int
        The latest value is kept even if it is larger.

    Examples
    --------
    >>> import numpy as np
    >>> from margin_sklearn.neighborhoods.cache import ByteBoundedCache
    >>> cache = ByteBoundedCache(max_bytes=2**20)
    >>> cache.get("ones", lambda: np.ones(3)) is cache.get("ones", lambda: np.zeros(3))
    True
    """

    def __init__(self, max_bytes):
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._values = OrderedDict()
        # One event per key being computed: set when the computation returns or raises.
        self._computed = {}
        if hasattr(os, "register_at_fork"):
            forked = weakref.WeakMethod(self._after_fork)
            os.register_at_fork(after_in_child=lambda: (method := forked()) and method())

    def _after_fork(self):
        """In the child, nobody holds the lock or computes what is missing."""
        self._lock, self._computed = threading.Lock(), {}

    def __len__(self):
        with self._lock:
            return len(self._values)

    @property
    def nbytes(self):
        """Total size of all values in bytes."""
        with self._lock:
            return self._size()

    def get(self, key, make):
        """The value of a key, computed if it is missing.

        Parameters
        ----------
        key : hashable
        make : callable
            ``make()`` computes the value; its ``nbytes`` (0 if it has none) is its size.

        Returns
        -------
        value : object
        """
        while True:
            with self._lock:
                if key in self._values:
                    self._values.move_to_end(key)
                    return self._values[key]
                computed = self._computed.get(key)
                if computed is None:
                    mine = self._computed[key] = threading.Event()
                    break
            computed.wait()
        try:
            value = make()
            with self._lock:
                # Values whose computation began before a clear() are not kept.
                if self._computed.get(key) is mine:
                    self._store(key, value)
            return value
        finally:
            with self._lock:
                if self._computed.get(key) is mine:
                    del self._computed[key]
            mine.set()

    def peek(self, key):
        """The value of a key, or None if it is missing; nothing is computed."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key]

    def put(self, key, value):
        """Store a value that is already computed."""
        with self._lock:
            self._store(key, value)

    def clear(self):
        """Drop everything, including values that other threads are computing now."""
        with self._lock:
            self._values.clear()
            self._computed.clear()

    def _store(self, key, value):
        self._values[key] = value
        self._values.move_to_end(key)
        size = self._size()
        while size > self.max_bytes and len(self._values) > 1:
            size -= _n_bytes(self._values.popitem(last=False)[1])

    def _size(self):
        return sum(map(_n_bytes, self._values.values()))


def _n_bytes(value):
    return getattr(value, "nbytes", 0) + OVERHEAD


# The only instance: perturbed samples, distance units, and copies of arrays with their hashes,
# up to 256 MB per process.
PERTURBED_SAMPLES = ByteBoundedCache(2**28)


def clear_cache():
    """Free the memory used by the perturbed samples of earlier scores.

    Up to 256 MB of them, with copies of the samples by which they are recognised, are kept per
    process, for the next network that is scored on the same samples; scores are the same with
    and without the cache.

    Examples
    --------
    >>> from margin_sklearn.neighborhoods import clear_cache
    >>> clear_cache()
    """
    PERTURBED_SAMPLES.clear()
