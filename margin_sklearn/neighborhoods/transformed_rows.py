"""Samples after the transformers of a Pipeline, which run only if they are needed."""

import copy
from functools import cached_property

import joblib
import numpy as np
import scipy.sparse
import torch

from ..data.rows import take_rows
from .fingerprint import UnknownContentError, content_digest, is_own_function

__all__ = ["TransformedRows"]


class TransformedRows:
    """Samples as the network sees them, computed lazily.

    Parameters
    ----------
    network : Network
        The network, with the transformers before it.
    X : array, DataFrame, sparse matrix or tensor of shape (n_samples, ...)
        Input of the first of the network's transformers.

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
        """All samples, transformed at once."""
        given = _copied(self._X) if self._written_to() else self._X
        X = self.network.transform(given)
        return X.tocsr() if hasattr(X, "tocsr") else X

    @cached_property
    def first(self):
        """The first sample, prepared for the network, of shape (1, ...).

        If the samples are not transformed yet, only this one is, if the transformers accept a
        single sample; they raise the same errors as in ``predict``.
        """
        if "rows" not in vars(self):
            try:
                return self._alone()
            except Exception:
                # It may need several samples: transforming all of them raises any real error.
                pass
        return self.network.prepare(take_rows(self.rows, slice(0, 1)))

    def digest(self, *settings):
        """Hash of everything that determines the transformed samples, or None.

        No transformer runs: it is the hash of the given samples, the fitted transformers, the
        kind of network and some settings.

        Parameters
        ----------
        *settings : object
            What else the result depends on.

        Returns
        -------
        digest : bytes or None
            None if the content of any of these does not determine its behavior
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
        """Signature of the first sample, transformed alone; None if that is impossible.

        Transformed samples with equal digests are equal if their signatures are equal, too.
        """
        try:
            return _signature(self._alone())
        except Exception:
            return None

    def signed(self, signature):
        """Whether the first sample is transformed into the same values as before.

        Parameters
        ----------
        signature : tuple
            From :meth:`sign`.

        Returns
        -------
        same : bool
        """
        return _signature(self.first) == signature

    def _written_to(self):
        """Whether the transformers write into their input, as those with copy=False do."""
        if not self.network.transformers:
            return False
        try:
            first = take_rows(self._X, slice(0, 1))
            given = _copied(first)
            self.network.transform(given)
            return joblib.hash(given) != joblib.hash(_copied(first))
        except Exception:
            # They do not take a single sample.
            return True

    def _alone(self):
        # A copy: transformers with copy=False work in place.
        one = self.network.transform(_copied(take_rows(self._X, slice(0, 1))))
        if one.shape[0] != 1:
            raise ValueError("The transformers turn one sample into more than one row.")
        return self.network.prepare(one)


def _copied(rows):
    return rows.detach().clone() if isinstance(rows, torch.Tensor) else copy.deepcopy(rows)


def _signature(prepared):
    """Dtype, shape and values of a prepared sample; None if it is not numeric."""
    values = prepared.toarray() if scipy.sparse.issparse(prepared) else np.asarray(prepared)
    if values.dtype.kind not in "biufc":
        return None
    return values.dtype.str, prepared.shape, values.tobytes()
