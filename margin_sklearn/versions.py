"""Versions of this package and its libraries: shown, and kept in pickles and files."""

import functools
import importlib.metadata
import platform
import sys
from collections.abc import Mapping
from typing import Any

import torch
from sklearn.exceptions import InconsistentVersionWarning
from threadpoolctl import threadpool_info

from .exceptions import warn_caller
from .runtime import resolve_device

__all__ = ["Versioned", "show_versions", "versions_of_libraries", "warn_of_versions"]

OWN = "margin-sklearn"
# What a fitted estimator depends on.
LIBRARIES = (OWN, "scikit-learn", "torch", "skorch", "numpy")
# Others that this package imports, the optional ones last.
OTHERS = (
    "scipy",
    "pandas",
    "joblib",
    "tqdm",
    "threadpoolctl",
    "matplotlib",
    "imbalanced-learn",
    "safetensors",
    "skops",
    "dask",
    "distributed",
)
# Libraries whose objects a pickle holds, or whose classes a file names: another version may
# read them otherwise. torch reads the tensors of earlier versions.
MUST_AGREE = (OWN, "scikit-learn", "skorch")
_KEY = "_margin_sklearn_versions"


def versions_of_libraries(names: tuple[str, ...] = LIBRARIES) -> dict[str, str | None]:
    """Installed versions, without importing anything.

    Parameters
    ----------
    names : tuple of str, default=LIBRARIES
        Names of distributions.

    Returns
    -------
    versions : dict of str to str or None
        None for what is not installed.

    Examples
    --------
    >>> from margin_sklearn.versions import versions_of_libraries
    >>> [*versions_of_libraries()]
    ['margin-sklearn', 'scikit-learn', 'torch', 'skorch', 'numpy']
    """
    return {name: _version(name) for name in names}


@functools.cache  # estimators are copied often, and the metadata are files
def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def show_versions() -> None:
    """Print the versions of this package, its libraries and the machine, for bug reports.

    Examples
    --------
    >>> from margin_sklearn import show_versions
    >>> show_versions()  # doctest: +ELLIPSIS
    System:
        python: 3...
    """
    cuda = torch.version.cuda
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    sections: dict[str, dict[str, Any]] = {
        "System": {
            "python": sys.version.replace("\n", " "),
            "executable": sys.executable,
            "machine": platform.platform(),
        },
        "Libraries": versions_of_libraries((*LIBRARIES, *OTHERS)),
        "torch": {
            "CUDA": "none (CPU build)" if cuda is None else cuda,
            "GPUs": ", ".join(gpus) or "none",
            'device="auto"': resolve_device("auto"),
            "threads": torch.get_num_threads(),
        },
        # Libraries that compute in threads of their own. Two of one kind can slow each other.
        "Thread pools": {
            f"{pool['prefix']} {number}": f"{pool['num_threads']} threads, {pool['filepath']}"
            for number, pool in enumerate(threadpool_info(), start=1)
        },
    }
    for title, entries in sections.items():
        print(f"{title}:")
        width = max(map(len, entries))
        for name, value in entries.items():
            print(f"    {name:>{width}}: {value}")


def warn_of_versions(name: str, earlier: Mapping[str, Any]) -> None:
    """Warn if an object was stored by other versions, as scikit-learn does for its own.

    Parameters
    ----------
    name : str
        Class of the object.
    earlier : dict of str to str
        Versions when it was stored.

    Warns
    -----
    sklearn.exceptions.InconsistentVersionWarning
    """
    now = versions_of_libraries()
    for library in MUST_AGREE:
        then = earlier.get(library, "unknown")
        if then != now[library]:
            warn_caller(
                _Inconsistent(
                    estimator_name=name,
                    current_sklearn_version=now[library],
                    original_sklearn_version=then,
                    library=library,
                )
            )


class _Inconsistent(InconsistentVersionWarning):
    """scikit-learn's warning, with the name of the library."""

    def __init__(self, *, library: str, **versions: Any) -> None:
        super().__init__(**versions)
        self.library = library

    def __reduce__(self) -> tuple:
        # scikit-learn's own cannot be unpickled. As an error in a worker it breaks the pool.
        return functools.partial(type(self), **vars(self)), ()

    def __str__(self) -> str:
        return (
            f"{self.estimator_name} was stored with {self.library} "
            f"{self.original_sklearn_version} and is loaded with "
            f"{self.current_sklearn_version}: it may break or give other results. Fit it "
            f"again, or install {self.library}=={self.original_sklearn_version}."
        )


class Versioned:
    """Base of estimators whose pickles hold the versions of the libraries.

    scikit-learn's ``BaseEstimator`` does this for the classes of scikit-learn only.
    """

    def __getstate__(self) -> dict[str, Any]:
        parent: Any = super()
        return {**parent.__getstate__(), _KEY: versions_of_libraries()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        earlier = state.pop(_KEY, {})
        warn_of_versions(type(self).__name__, earlier)
        parent: Any = super()
        parent.__setstate__(state)
