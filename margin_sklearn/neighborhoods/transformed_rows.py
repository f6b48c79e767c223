"""Samples behind the transformers of a Pipeline, which run only if they are needed."""

import copy
from functools import cached_property

import numpy as np
import scipy.sparse
import torch

from ..data.rows import take_rows
from .fingerprint import UnknownContentError, content_digest, is_own_function

__all__ = ["TransformedRows"]


class TransformedRows:
    """Samples as the network sees them, with as little computed as is asked for.

    Parameters
    ----------
    network : Network
    X : array, DataFrame, sparse matrix or tensor of shape (n_samples, ...)
        As the first of the network's transformers takes it.

    Attributes
    ----------
    network : Network
    n : int
        Number of samples.
    """

    def __init__(self, network, X):
        self.network, self._X = network, X
        self.n = X.shape[0]

    @cached_property
    def rows(self):
        """All samples behind the transformers, which run over all of them at once."""
        X = self.network.transform(self._X)
        return X.tocsr() if hasattr(X, "tocsr") else X

    @cached_property
    def first(self):
        """The first sample, prepared for the network: of shape (1, ...).

        Its transformers run over this sample alone, if they have not run over all and if they
        can; ``predict`` would raise as they do.
        """
        if "rows" not in vars(self):
            try:
                return self._alone()
            except Exception:
                # It may take several samples: then all of them say what is wrong, if anything.
                pass
        return self.network.prepare(take_rows(self.rows, slice(0, 1)))

    def digest(self, *settings):
        """Hash of what the samples behind the transformers are made from, or None.

        It takes no transformer: it is the hash of the given samples, of the fitted
        transformers, of the kind of network and of some settings.

        Returns
        -------
        digest : bytes or None
            None where the content of any of these does not say what it does
            (:mod:`~margin_sklearn.neighborhoods.fingerprint`).
        """
        prepare = self.network.prepare
        if not is_own_function(prepare):
            return None
        kind = prepare.__module__, prepare.__qualname__
        try:
            return content_digest(self.network.transformers, kind, settings, self._X)
        except UnknownContentError:
            return None

    def sign(self):
        """What the first sample alone becomes, or None if it cannot be transformed alone.

        Two samplings with equal digests are the same if this is the same, too.
        """
        try:
            return _signature(self._alone())
        except Exception:
            return None

    def signed(self, signature):
        """Whether the first sample becomes what it became before.

        Parameters
        ----------
        signature : tuple
            What :meth:`sign` gave.

        Returns
        -------
        same : bool
        """
        return _signature(self.first) == signature

    def _alone(self):
        # A copy: transformers with copy=False work in place.
        one = self.network.transform(_copied(take_rows(self._X, slice(0, 1))))
        if one.shape[0] != 1:
            raise ValueError("The transformers make more than one row of a sample.")
        return self.network.prepare(one)


def _copied(rows):
    return rows.detach().clone() if isinstance(rows, torch.Tensor) else copy.deepcopy(rows)


def _signature(prepared):
    """Dtype, shape and values of a prepared sample; None if these are no numbers."""
    values = prepared.toarray() if scipy.sparse.issparse(prepared) else np.asarray(prepared)
    if values.dtype.kind not in "biufc":
        return None
    return values.dtype.str, prepared.shape, values.tobytes()
