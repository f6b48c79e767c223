"""Margins of a network at points of any kind, evaluated in one loop."""

import numpy as np
import torch
from sklearn.utils import check_consistent_length

from ..adapters.registry import as_network
from ..checks import check_rows
from ..data.validation import label_array
from ..neighborhoods.transformed_rows import TransformedRows
from ..scales.registry import SAMPLE_SIZES, get_scale
from .points import SamplePoints

__all__ = ["check_samples", "encode_samples", "margins", "margins_at", "margins_of"]

# Most numbers in the samples from which a scale is computed (256 MB of float32).
MAX_SAMPLE_NUMBERS = 2**26


def margins(estimator, X, y, *, scale=None):
    r"""Margin of each sample: how much the network prefers its label to every other one.

    Parameters
    ----------
    estimator : estimator
        A fitted :class:`MarginClassifier`, skorch net, ``MLPClassifier`` or linear
        classifier, alone, as the last step of a Pipeline, or inside a fitted search.
    X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)
        As for ``estimator.predict``.
    y : array-like of shape (n_samples,)
        Labels.
    scale : str or None, default=None
        Scale to divide the margins by: "distance", "frobenius", "path", "spectral" or
        "total_variation" (:mod:`margin_sklearn.scales`); None gives differences of logits.

    Returns
    -------
    margins : ndarray of float64 of shape (n_samples,)
        Positive exactly where ``estimator.predict`` returns ``y`` (0 where two classes tie).

    Raises
    ------
    TypeError
        If the estimator contains no network, or the scale cannot handle it.
    ValueError
        If ``y`` has a label the estimator was not fitted on, or the network gives NaN.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from margin_sklearn import margins
    >>> X, y = load_iris(return_X_y=True)
    >>> model = LogisticRegression(max_iter=1000).fit(X, y)
    >>> bool(((margins(model, X, y) > 0) == (model.predict(X) == y)).all())
    True
    """
    network = as_network(estimator)
    X, class_index = check_samples(network, X, y)
    return margins_at(network, X, class_index, get_scale(scale))


def margins_of(points, scale):
    """Scaled margins at points, with the class indices of their cases.

    Parameters
    ----------
    points : SamplePoints or PerturbedPoints
        They contain the network.
    scale : callable
        One of ``scales.SCALES``.

    Returns
    -------
    margins : ndarray of float64 of shape (n_cases, n_points)

    Raises
    ------
    ValueError
        If the network has no output for a class index, or gives NaN.
    """
    # Around all of it, because changing the mode of a network takes time.
    with points.network.evaluating():
        return _margins_of(points, scale)


def _margins_of(points, scale):
    network, label, n_points = points.network, points.label, points.n_points
    example = points.examples(1)
    n_outputs = network.check_labels(example, label)
    scaled = scale(network, _examples_for(scale, points, example))

    # Converted once, not chunk by chunk.
    class_index = torch.from_numpy(label.repeat(n_points).astype(np.int64)).to(example.device)

    def evaluate(x, chunk):
        return scaled(x, class_index[chunk.start * n_points : chunk.stop * n_points])

    result = np.empty((len(label), n_points))
    chunks = network.in_chunks(
        evaluate,
        points.inputs,
        len(label),
        example.numel(),
        per_row=n_points,
        n_outputs=n_outputs,
    )
    for chunk, found in chunks:
        result[chunk] = found.cpu().numpy().reshape(-1, n_points)
    _refuse_nan(points, result)
    return result


def margins_at(network, X, class_index, scale):
    """Scaled margins at samples.

    Parameters
    ----------
    network : Network
    X : array, DataFrame or sparse matrix of shape (n_samples, ...)
        After the transformers, as returned by :func:`check_samples`.
    class_index : ndarray of int of shape (n_samples,)
        Class indices.
    scale : callable
        One of ``scales.SCALES``.

    Returns
    -------
    margins : ndarray of float64 of shape (n_samples,)
    """
    return margins_of(SamplePoints(network, X, class_index), scale)[:, 0]


def _examples_for(scale, points, example):
    """The samples from which a scale is computed; most scales need only their shape."""
    most = max(2, MAX_SAMPLE_NUMBERS // max(1, example.numel()))
    size = min(SAMPLE_SIZES.get(scale, 1), most)
    return example if size == 1 else points.examples(size)


def _refuse_nan(points, values):
    """Raise if a margin is NaN, naming the cause: weights, input size, or the network."""
    bad = np.isnan(values).any(axis=1)
    if not bad.any():
        return
    case = bad.argmax()
    x = points.inputs(slice(case, case + 1))
    weights = points.network.module.state_dict().values()
    if not all(torch.isfinite(value).all() for value in weights):
        reason = "its weights are not finite, as after a fit that diverged"
    elif x.abs().max() > 1e6:
        reason = (
            f"its input there is as large as {x.abs().max().item():.3g}, which may overflow "
            "in the network: scale the columns, for instance with StandardScaler"
        )
    else:
        reason = "its logits or their gradient are infinite or NaN there"
    raise ValueError(f"The network gives NaN for sample {points.sample(case)}: {reason}.")


def encode_samples(network, X, y):
    """The user's X in indexable form, and class indices of y; no transformer runs.

    Parameters
    ----------
    network : Network
    X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)
    y : array-like of shape (n_samples,)

    Returns
    -------
    X : array, DataFrame, sparse CSR matrix or tensor
        Its values are not checked.
    class_index : ndarray of int of shape (n_samples,)
        Class indices.

    Raises
    ------
    ValueError
        If lengths differ, there are no samples, or a label is unknown to the network.
    """
    check_rows("X", X)
    if not hasattr(X, "shape"):
        X = _as_array(X)
    y = label_array(y)
    check_consistent_length(X, y)
    if X.shape[0] == 0:
        raise ValueError(
            f"Found array with 0 sample(s) (shape={tuple(X.shape)}) while a minimum of 1 is "
            "required."
        )
    if hasattr(X, "tocsr"):
        X = X.tocsr()
    return X, network.encode(y)


def _as_array(X):
    array = np.asarray(X)
    # Numbers beside words stay numbers, as in scikit-learn's encoders.
    return np.asarray(X, dtype=object) if array.dtype.kind in "US" else array


def check_samples(network, X, y):
    """The user's X after the transformers of a Pipeline, and class indices of y.

    Parameters
    ----------
    network, X, y
        As for :func:`encode_samples`.

    Returns
    -------
    X : array, DataFrame, sparse CSR matrix or tensor
        All rows, transformed at once; its values are not checked.
    class_index : ndarray of int of shape (n_samples,)
        Class indices.

    Raises
    ------
    ValueError
        As for :func:`encode_samples`.
    """
    X, class_index = encode_samples(network, X, y)
    return TransformedRows(network, X).rows, class_index
