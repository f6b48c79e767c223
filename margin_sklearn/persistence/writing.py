"""save: an estimator to one file."""

import os
from pathlib import Path
from typing import Any

from sklearn.base import BaseEstimator

from ..storage.files import write_atomically
from ..versions import versions_of_libraries
from . import estimators, randomness, trainings, values  # noqa: F401 (they register types)
from .archive import Damaged, packed
from .coding import Writer
from .reading import made_from, require_extra

__all__ = ["save"]


def save(estimator: BaseEstimator, path: str | os.PathLike[str]) -> None:
    """Save an estimator to a file that holds no code: JSON and numbers.

    :func:`load` makes the estimator again, on this or another machine, without running
    anything that the file contains. Weights, the state of the optimizer and of the random
    generators are stored bit for bit, so that training continues as it would have here.

    Parameters
    ----------
    estimator : estimator
        A MarginClassifier, MarginSubsetSelector, LabelErrorDetector or MarginSearchCV, or an
        estimator of scikit-learn that contains them, such as a Pipeline, a search, or the
        VotingClassifier of ``MarginSearchCV.voting()``. Fitted or not. Parts without networks
        are stored through skops.
    path : str or path-like
        An existing file is replaced, once the new one is complete. ``~`` is your home folder.

    Raises
    ------
    TypeError
        If a part cannot be stored, with its name: a lambda, a class defined inside a function,
        a module instance, an object of another library. Nothing is written then.
    ImportError
        If safetensors or skops is not installed.

    See Also
    --------
    load : Its inverse.

    Notes
    -----
    The estimator is made again from the file's content before the file is written, and must
    give the same logits at made-up inputs, in training mode too. So what a module or a loss
    keeps outside of its parameters, buffers and ``get_extra_state`` is noticed here, not after
    loading.

    The file is in the format of safetensors, with a JSON document and a checksum in its
    metadata. It holds no training samples, except what a parameter or an attribute holds (as
    the index of a DataFrame in ``report_``).

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from margin_sklearn import MarginClassifier, load, save
    >>> X, y = load_iris(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), MarginClassifier(random_state=0)).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(model, Path(folder) / "iris.safetensors")
    ...     again = load(Path(folder) / "iris.safetensors")
    >>> bool((again.predict_proba(X) == model.predict_proba(X)).all())
    True
    """
    require_extra()
    if not isinstance(estimator, BaseEstimator) or isinstance(estimator, type):
        raise TypeError(f"save needs an estimator, got {estimator!r}.")
    writer = Writer()
    root = writer.node(estimator, type(estimator).__name__)
    document: dict[str, Any] = {
        "versions": versions_of_libraries(),
        "root": root,
        "shared": writer.shared,
    }
    data = packed(document, writer.tensors)
    try:
        made_from(data, writer.lookups(), writer.compare)
    except Damaged as error:
        raise TypeError(
            f"{type(estimator).__name__} cannot be saved: made again from its parameters and "
            f"weights, {error}."
        ) from error
    write_atomically(Path(path).expanduser(), lambda file: file.write(data), durable=True)
