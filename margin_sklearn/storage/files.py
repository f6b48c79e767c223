"""Write files that are either complete or not there; arrays and JSON in one file."""

import errno
import json
import os
import stat
import uuid
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

__all__ = ["DAMAGED", "read_arrays", "write_arrays", "write_atomically"]

# What reading a damaged file may raise.
DAMAGED = (
    EOFError,
    KeyError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
)
# Name of the JSON part among the arrays.
_JSON = "json"


def write_atomically(
    path: Path, fill: Callable[[IO[bytes]], Any], *, durable: bool = False
) -> None:
    """Write a file that replaces an earlier one only when it is complete.

    An earlier file keeps its permissions, and a link goes on pointing to its file.

    Parameters
    ----------
    path : Path
        Its folder must exist.
    fill : callable
        Called with a binary file that is open for writing.
    durable : bool, default=False
        Whether to wait until the file is on disk, so that it also survives a power failure.

    Raises
    ------
    OSError
        If the file cannot be written; an earlier file is then unchanged.
    """
    path = Path(os.path.realpath(path))
    earlier = _mode_of_file(path)
    if not path.parent.is_dir():
        # Named by the user's file, not by that beside it.
        raise FileNotFoundError(errno.ENOENT, "There is no such folder", os.fspath(path))
    temporary = path.with_name(f"{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as file:
            if earlier is not None:
                temporary.chmod(earlier)
            fill(file)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _mode_of_file(path: Path) -> int | None:
    """Permissions of a file; None if there is none. Devices and folders are not replaced."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "Not a file that can be replaced", os.fspath(path))
    return stat.S_IMODE(mode)


def write_arrays(
    path: Path, arrays: Mapping[str, np.ndarray], others: Any, *, durable: bool = False
) -> None:
    """Write arrays, and anything else as JSON, into one ``.npz`` file.

    Parameters
    ----------
    path : Path
    arrays : dict of str to ndarray
        Of numbers or strings; none is named "json".
    others : object
        What JSON can hold.
    durable : bool, default=False
        As of :func:`write_atomically`.
    """
    text = np.frombuffer(json.dumps(others).encode(), dtype=np.uint8)
    parts: dict[str, Any] = {**arrays, _JSON: text}
    write_atomically(path, lambda file: np.savez(file, **parts), durable=durable)


def read_arrays(path: Path) -> tuple[dict[str, np.ndarray], Any]:
    """Read a file of :func:`write_arrays`; nothing is unpickled.

    Parameters
    ----------
    path : Path

    Returns
    -------
    arrays : dict of str to ndarray
    others : object

    Raises
    ------
    OSError, ValueError, ...
        One of ``DAMAGED``, if the file is damaged or is no such file.
    """
    # NumPy leaves a file open that is no archive.
    with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files if name != _JSON}
        return arrays, json.loads(stored[_JSON].tobytes().decode())
