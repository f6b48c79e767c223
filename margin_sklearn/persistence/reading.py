"""load: an estimator from a file of save."""

import os
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sklearn.base import BaseEstimator

from ..versions import warn_of_versions
from . import estimators, randomness, trainings, values  # noqa: F401 (they register types)
from .archive import Damaged, unpacked
from .coding import Reader
from .names import Untrusted, trusted_names

__all__ = ["load", "made_from", "require_extra"]


def load(path: str | os.PathLike[str], *, trusted: Iterable[Any] = ()) -> Any:
    """Load an estimator from a file of :func:`save`, without running what the file contains.

    A file names classes, and only these are looked up: the estimators of this package,
    torch's modules, losses, optimizers and schedules (``torch.nn``, ``torch.optim``), skorch's
    callbacks, scikit-learn's classes, and those that ``trusted`` lists.

    Parameters
    ----------
    path : str or path-like
        File that :func:`save` wrote.
    trusted : list of str, type or function, default=()
        Further classes and functions that the file may use, such as your own module class:
        full names, as ``"mypackage.nets.Net"``, which are imported, or the objects themselves.

    Returns
    -------
    estimator : estimator
        On the device that it was on, or on the CPU where there is no such device.

    Raises
    ------
    ValueError
        If the file uses a class that is not trusted, is damaged, was not written by ``save``
        or was written by a newer version; also if a module's code has changed so that it gives
        other logits.
    OSError
        If the file cannot be read.
    ImportError
        If safetensors or skops is not installed.

    Warns
    -----
    InconsistentVersionWarning
        If the file was written by another version of margin_sklearn or scikit-learn.

    See Also
    --------
    save : Its inverse.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from margin_sklearn import MarginClassifier, load, save
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(MarginClassifier(max_epochs=7), Path(folder) / "settings.safetensors")
    ...     load(Path(folder) / "settings.safetensors")
    MarginClassifier(max_epochs=7)
    """
    require_extra()
    names = trusted_names(trusted)
    data = Path(path).expanduser().read_bytes()
    try:
        return made_from(data, names)
    except Untrusted as error:
        raise Untrusted(f"{os.fspath(path)!r} was not loaded. {error}") from None
    except Damaged as error:
        raise ValueError(f"{os.fspath(path)!r} cannot be loaded: {error}.") from error


def made_from(
    data: bytes,
    trusted: dict[str, Callable[[], Any]],
    compare: Callable[[Reader], None] | None = None,
) -> Any:
    """Make the estimator of a file's content.

    Parameters
    ----------
    data : bytes
    trusted : dict of str to callable
        From :func:`~margin_sklearn.persistence.names.trusted_names`.
    compare : callable, default=None
        Called with the reader, to compare what it made with what was saved.

    Raises
    ------
    Untrusted, Damaged
        If the estimator is not made.
    """
    document, tensors = unpacked(data)
    try:
        reader = Reader(document["shared"], tensors, trusted)
        made = reader.value(document["root"])
        if not isinstance(made, BaseEstimator):
            raise Damaged(f"it holds a {type(made).__name__}, not an estimator")
        if compare is not None:
            compare(reader)
        warn_of_versions(type(made).__name__, document["versions"])
    except (Untrusted, Damaged, Warning):
        raise
    except Exception as error:  # a document that nobody wrote may lead to any
        raise Damaged(
            f"its content cannot be understood ({type(error).__name__}: {error})"
        ) from error
    return made


def require_extra() -> None:
    """Raise an ImportError if the libraries for files are not installed."""
    missing = [name for name in ("safetensors", "skops") if find_spec(name) is None]
    if missing:
        raise ImportError(
            f'save and load need {" and ".join(missing)}: pip install "margin-sklearn[save]"'
        )
