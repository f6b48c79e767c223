"""One hash of the content of objects, if that content determines their behavior."""

import hashlib
import io
import pickle
import types
from dataclasses import dataclass

import numpy as np
import torch

from ..data.rows import chunk_length
from .cache import PERTURBED_SAMPLES

__all__ = ["UnknownContentError", "content_digest", "is_own_function"]

# Libraries in which the name and state of a class or function determine its behavior. This
# does not hold for user code: redefined in a notebook, it keeps its name.
TRUSTED = frozenset(
    {
        *("abc", "builtins", "collections", "copyreg", "datetime", "enum", "functools"),
        *("margin_sklearn", "numpy", "operator", "pandas", "pyarrow", "scipy", "sklearn"),
    }
)
# Sizes in bytes of arrays of which a copy is kept with their hash: comparing an array with a
# copy takes a seventh of the time of hashing it (benchmarks/score_speed.py).
SMALLEST_KEPT, LARGEST_KEPT = 2**16, 2**24
# Bytes of an array by which its copy is looked up.
N_PROBES = 256
# Bytes that are compared at a time; the results fit in the processor's cache.
PIECE = 2**17
# Dtype kinds of numbers, text and dates that arrays store without references to objects.
PLAIN_KINDS = "biufcSUmM"


class UnknownContentError(Exception):
    """An object contains something whose content does not determine its behavior."""


def content_digest(*objects):
    """Hash of the content of arrays, tables, sparse matrices, tensors and fitted estimators.

    Equal hashes mean equal contents and equal behavior: dtypes, memory order and column names
    count. Equal contents may have different hashes, for instance if one object occurs twice
    in place of two equal ones.

    Parameters
    ----------
    *objects : object
        Built from classes and functions of scikit-learn, NumPy, SciPy, pandas and this
        package.

    Returns
    -------
    digest : bytes

    Raises
    ------
    UnknownContentError
        If there is a class or function from elsewhere, such as user code, or something that
        cannot be pickled.

    Examples
    --------
    >>> import numpy as np
    >>> from margin_sklearn.neighborhoods.fingerprint import content_digest
    >>> content_digest(np.ones(3)) == content_digest(np.ones(3))
    True
    >>> content_digest(np.ones(3)) == content_digest(np.ones(3, dtype=np.float32))
    False
    """
    stream = _HashStream()
    try:
        _TrustingPickler(stream, protocol=5).dump(objects)
    except UnknownContentError:
        raise
    except Exception as error:
        # __reduce__ and __getstate__ of an object may raise anything.
        raise UnknownContentError(f"{type(error).__name__}: {error}") from error
    return stream.digest()


def is_own_function(function):
    """Whether a function belongs to this package or is a method of one of its objects."""
    owner = getattr(function, "__self__", None)
    plain = getattr(function, "__func__", function)
    return (
        isinstance(plain, types.FunctionType)
        and _root(plain) == "margin_sklearn"
        and (owner is None or _root(type(owner)) == "margin_sklearn")
    )


def _root(thing):
    return str(getattr(thing, "__module__", None)).partition(".")[0]


class _HashStream(io.RawIOBase):
    """A file that hashes what is written to it."""

    def __init__(self):
        super().__init__()
        self._hash = hashlib.sha256()

    def writable(self):
        return True

    def write(self, data):
        self._hash.update(data)
        return len(data)

    def digest(self):
        return self._hash.digest()


class _TrustingPickler(pickle.Pickler):
    """Refuses objects from untrusted libraries; hashes arrays without a copy."""

    def reducer_override(self, obj):
        if isinstance(obj, torch.Tensor):
            return _reduced_tensor(obj)
        _trust(type(obj))
        # Classes and functions, including compiled ones. Methods of built-in objects have no
        # module; their objects are pickled in turn, as are arguments of partial functions.
        if hasattr(obj, "__qualname__") and getattr(obj, "__module__", None) is not None:
            _trust(obj)
        if getattr(obj, "input", "content") in ("filename", "file"):
            # scikit-learn's vectorizers: their output depends on the content of the file.
            raise UnknownContentError(f"{type(obj).__name__}(input={obj.input!r})")
        plain = isinstance(obj, np.ndarray) and obj.dtype.kind in PLAIN_KINDS
        if plain and not isinstance(obj, np.ma.MaskedArray):
            return _reduced_array(obj)
        return NotImplemented


def _trust(named):
    """Raise unless a class or function belongs to a trusted library."""
    root = _root(named)
    if root not in TRUSTED and not root.startswith("_cython_"):
        raise UnknownContentError(f"{named.__module__}.{named.__qualname__}")


def _reduced_array(array):
    """The array's description and hash, pickled in place of the array."""
    by_columns = array.flags.f_contiguous and not array.flags.c_contiguous
    rows = np.asarray(array.T if by_columns else array)
    kind = f"{type(array).__name__} {array.dtype.str} {array.shape} {by_columns}"
    if rows.flags.c_contiguous:
        return str, (f"{kind} {_hash_of_bytes(rows.reshape(-1).view(np.uint8))}",)
    found = hashlib.sha256()
    step = chunk_length(rows[:1].size)
    for start in range(0, len(rows), step):
        piece = np.ascontiguousarray(rows[start : start + step])
        found.update(piece.reshape(-1).view(np.uint8).data)
    return str, (f"{kind} {found.hexdigest()}",)


@dataclass(frozen=True)
class _Hashed:
    """A private copy of bytes, and their hash."""

    values: np.ndarray
    hexdigest: str

    @property
    def nbytes(self):
        return self.values.nbytes


def _hash_of_bytes(values):
    """Hash of a vector of bytes, computed or known from an equal vector in the cache."""
    keeps = SMALLEST_KEPT <= len(values) <= LARGEST_KEPT
    if keeps:
        # Only finds a candidate: all bytes are compared.
        key = len(values), values[:: len(values) // N_PROBES].tobytes()
        known = PERTURBED_SAMPLES.peek(key)
        if known is not None and _same(known.values, values):
            return known.hexdigest
        # A copy first: another thread may change the array meanwhile.
        values = values.copy()
    hexdigest = hashlib.sha256(values.data).hexdigest()
    if keeps:
        PERTURBED_SAMPLES.put(key, _Hashed(values, hexdigest))
    return hexdigest


def _same(one, two):
    """Whether two vectors of bytes of the same length are equal."""
    whole = len(one) // 8 * 8
    if not np.array_equal(one[whole:], two[whole:]):
        return False
    one, two = one[:whole], two[:whole]
    if two.ctypes.data % 8 == 0:
        # Eight bytes at a time are faster.
        one, two = one.view(np.uint64), two.view(np.uint64)
    return all(
        np.array_equal(one[start : start + PIECE], two[start : start + PIECE])
        for start in range(0, len(one), PIECE)
    )


def _reduced_tensor(tensor):
    if (
        type(tensor) not in (torch.Tensor, torch.nn.Parameter)
        or tensor.layout != torch.strided
    ):
        raise UnknownContentError(f"{type(tensor).__name__} of layout {tensor.layout}")
    values = tensor.detach().cpu().contiguous()
    shape = f"{tensor.dtype} {tuple(tensor.shape)}"
    return tuple, ([shape, values.reshape(-1).view(torch.uint8).numpy()],)
