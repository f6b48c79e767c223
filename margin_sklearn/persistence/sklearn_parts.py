"""Objects of scikit-learn: those that may contain networks, and the others through skops."""

import importlib
import io
import pickle
import types
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import torch
from skorch import NeuralNet

from .archive import Damaged
from .names import untrusted

__all__ = ["class_name", "contains_network", "dumped", "library_class", "loaded"]

# Classes besides scikit-learn's that may contain networks.
OTHER_CONTAINERS = {
    "imblearn.pipeline.Pipeline",
    # Ours, and imported only by those who have imbalanced-learn.
    "margin_sklearn.subsets.sampler.MarginSubsetSampler",
}
# Not scikit-learn's own, but in the state of its transformers; they only hold data.
HARMLESS = {
    "numpy.dtype",
    "scipy.interpolate._bsplines.BSpline",
    "scipy._lib.array_api_compat.numpy._aliases.asarray",
}
# Bytes of the arrays of one part, besides a multiple of what is stored.
MOST_BYTES, MOST_TIMES = 2**26, 16
# Where scikit-learn's functions are arguments of its estimators. Others may read files.
OF_FUNCTIONS = ("sklearn.feature_selection.", "sklearn.metrics.")


def class_name(value: Any) -> str:
    """Full name of the class of an object."""
    return f"{type(value).__module__}.{type(value).__qualname__}"


def library_class(name: str) -> type | None:
    """A class of scikit-learn, or another one that may contain networks.

    Parameters
    ----------
    name : str

    Returns
    -------
    found : type or None
        None if the name is not one of these.
    """
    module, _, last = str(name).rpartition(".")
    if name not in OTHER_CONTAINERS and not _is_of_sklearn(name):
        return None
    found = vars(importlib.import_module(module)).get(last)
    return found if isinstance(found, type) else None


def dumped(part: Any) -> tuple[bytes, list[str]]:
    """Store an object of scikit-learn, or one that it can contain.

    Parameters
    ----------
    part : object

    Returns
    -------
    data : bytes
    names : list of str
        Classes and functions in it that are not scikit-learn's.

    Raises
    ------
    TypeError
        If skops cannot store it.
    """
    import skops.io

    try:
        data = skops.io.dumps(part)
    except Exception as error:  # skops raises what the object's own code raises
        raise TypeError(f"is a {type(part).__name__} that skops cannot store: {error}") from (
            error
        )
    return data, _unknown(data)


def loaded(data: bytes, trusted: Mapping[str, Callable[[], Any]]) -> Any:
    """Make the object of :func:`dumped`.

    Parameters
    ----------
    data : bytes
    trusted : dict of str to callable
        From :func:`~margin_sklearn.persistence.names.trusted_names`.

    Raises
    ------
    Untrusted
        If it contains classes or functions that are neither scikit-learn's nor trusted.
    Damaged
        If the data are not of skops.
    """
    import skops.io

    _refuse_expanding(data)
    unknown = _unknown(data)
    if not {*unknown} <= {*trusted}:
        raise untrusted([name for name in unknown if name not in trusted])
    for name in unknown:
        trusted[name]()  # a clear error if it cannot be imported
    return skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))


def _refuse_expanding(data: bytes) -> None:
    """Raise if an archive gets far larger when it is read: skops does not compress."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = archive.infolist()
            # Before anything is unpacked.
            if sum(part.file_size for part in parts) > len(data):
                raise Damaged("a part of scikit-learn is compressed")
            schema = archive.read("schema.json")
    except (zipfile.BadZipFile, LookupError, NotImplementedError, RuntimeError) as error:
        raise Damaged(f"a part of scikit-learn cannot be read: {error}") from error
    # An array may be referred to by several parts.
    used = sum(part.file_size * schema.count(part.filename.encode()) for part in parts)
    if used > MOST_BYTES + MOST_TIMES * len(data):
        raise Damaged("a part of scikit-learn repeats its arrays")


def _unknown(data: bytes) -> list[str]:
    import skops.io

    try:
        names = skops.io.get_untrusted_types(data=data)
    except (zipfile.BadZipFile, LookupError, ValueError, TypeError, AttributeError) as error:
        raise Damaged(f"a part of scikit-learn cannot be read: {error}") from error
    return [name for name in names if not _is_of_sklearn(name)]


def _is_of_sklearn(name: str) -> bool:
    """Whether a name is a class that scikit-learn defines, or one of its metrics."""
    if name in HARMLESS:
        return True
    module, _, last = str(name).rpartition(".")
    # Its tests are installed too, and run code of their own.
    parts = module.split(".")
    if parts[0] != "sklearn" or len(parts) == 1 or {"", "tests", "conftest"} & {*parts}:
        return False
    try:
        found = vars(importlib.import_module(module)).get(last)
    except ImportError:
        return False
    own = getattr(found, "__module__", None) == module
    return own and (isinstance(found, type) or module.startswith(OF_FUNCTIONS))


class _Finder(pickle.Pickler):
    """Fails at the first network, without storing anything."""

    def reducer_override(self, part):
        ours = type(part).__module__.startswith("margin_sklearn.classifier.")
        if ours or isinstance(part, torch.nn.Module | torch.Tensor | NeuralNet):
            raise _HasNetwork
        if isinstance(part, types.FunctionType) and "<" in part.__qualname__:
            return str, ()  # a lambda or a local function, which cannot be pickled
        return NotImplemented


class _HasNetwork(Exception):
    pass


def contains_network(part: Any) -> bool:
    """Whether an object contains a network, so that skops must not store it.

    Parameters
    ----------
    part : object
    """
    try:
        _Finder(io.BytesIO()).dump(part)
    except _HasNetwork:
        return True
    except Exception:  # whatever cannot be pickled: skops says so
        return False
    return False
