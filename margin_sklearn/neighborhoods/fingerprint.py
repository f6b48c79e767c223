"""One hash of the content of objects, if that content determines their behavior."""

import hashlib
import io
import pickle
import types

import numpy as np
import torch

from ..data.rows import chunk_length

__all__ = ["UnknownContentError", "content_digest", "is_own_function"]

# Libraries in which the name and state of a class or function determine its behavior. This
# does not hold for user code: redefined in a notebook, it keeps its name.
TRUSTED = frozenset(
    {
        *("abc", "builtins", "collections", "copyreg", "datetime", "enum", "functools"),
        *("margin_sklearn", "numpy", "operator", "pandas", "pyarrow", "scipy", "sklearn"),
    }
)
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
    found = hashlib.sha256()
    if rows.flags.c_contiguous:
        found.update(rows.reshape(-1).view(np.uint8).data)
    else:
        step = chunk_length(rows[:1].size)
        for start in range(0, len(rows), step):
            piece = np.ascontiguousarray(rows[start : start + step])
            found.update(piece.reshape(-1).view(np.uint8).data)
    kind = f"{type(array).__name__} {array.dtype.str} {array.shape} {by_columns}"
    return str, (f"{kind} {found.hexdigest()}",)


def _reduced_tensor(tensor):
    if (
        type(tensor) not in (torch.Tensor, torch.nn.Parameter)
        or tensor.layout != torch.strided
    ):
        raise UnknownContentError(f"{type(tensor).__name__} of layout {tensor.layout}")
    values = tensor.detach().cpu().contiguous()
    shape = f"{tensor.dtype} {tuple(tensor.shape)}"
    return tuple, ([shape, values.reshape(-1).view(torch.uint8).numpy()],)
