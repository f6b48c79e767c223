"""Logits of a trained network, chunk by chunk."""

import numpy as np
import torch

from ..data.precision import largest_value, warn_of_rounding
from ..data.rows import to_tensor

__all__ = ["class_indices", "logits_by_chunk", "logits_of"]


def logits_by_chunk(net, X, names=None):
    """Logits of the network in evaluation mode, so that not all are in memory at a time.

    Parameters
    ----------
    net : MarginNet
    X : ndarray or sparse matrix of shape (n_samples, ...)
    names : sequence of str, default=None
        Column names, for error messages.

    Yields
    ------
    logits : ndarray of shape (n_rows, n_classes)
        Of the next rows.

    Raises
    ------
    ValueError
        After the last chunk, if a logit was not finite.
    """
    network = net.evaluation_network()
    if X.dtype.kind in "iu":
        warn_of_rounding(X, largest_value(X), network.dtype, names)

    def evaluated(x, chunk):
        with torch.no_grad():
            return network.logits(x).cpu().numpy()

    def inputs(chunk):
        return to_tensor(X[chunk], network.device, network.dtype)

    bad, first = 0, None
    width = int(np.prod(X.shape[1:]))
    chunks = network.in_chunks(evaluated, inputs, X.shape[0], width, n_outputs=net.n_classes)
    for chunk, logits in chunks:
        finite = np.isfinite(logits).all(axis=1)
        if not finite.all():
            first = chunk.start + int(finite.argmin()) if first is None else first
            bad += int(np.sum(~finite))
        yield logits
        # Not kept while the next chunk is evaluated.
        del logits
    if bad:
        raise ValueError(
            f"The network gives logits that are not finite for {bad} of {X.shape[0]} samples, "
            f"the first at row index {first}: X holds values too large for it, or its weights "
            "were changed. Scale X as for fitting."
        )


def logits_of(net, X, names=None):
    """Logits of the network in evaluation mode.

    Parameters
    ----------
    net, X, names
        As for :func:`logits_by_chunk`.

    Returns
    -------
    logits : ndarray of shape (n_samples, n_classes)

    Raises
    ------
    ValueError
        If a logit is not finite.
    """
    return np.concatenate(list(logits_by_chunk(net, X, names)))


def class_indices(net, X, names=None):
    """Class of the largest logit; no more than a chunk of logits is kept in memory.

    Parameters
    ----------
    net, X, names
        As for :func:`logits_by_chunk`.

    Returns
    -------
    class_index : ndarray of int of shape (n_samples,)

    Raises
    ------
    ValueError
        If a logit is not finite.
    """
    return np.concatenate([each.argmax(axis=1) for each in logits_by_chunk(net, X, names)])
