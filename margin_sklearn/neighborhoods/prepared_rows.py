"""Samples as the network sees them, as rows whose distances are numerically reliable."""

from functools import cached_property

import numpy as np
import scipy.sparse
import torch

from ..data.rows import chunk_length, take_rows, to_tensor
from .copies import group_equal
from .row_keys import column_factors, keys_of_rows

__all__ = ["PreparedRows", "SomeRows"]

# Prepared data of up to this many numbers are kept in memory while in use (32 MB); larger data
# are streamed. Rows of sparse data are fast to select anyway.
WHOLE, WHOLE_SPARSE = 2**22, 2**17
# Largest number of samples from which origin and unit are computed.
N_ORIGIN = 1000
# Numbers are clipped to this multiple of the unit, so that their squares fit in float32.
LARGEST = 1e15


class PreparedRows:
    """Flat float64 rows, centred and scaled, in chunks: ``rows(index)``.

    They are the values that the network computes with, in its dtype: rows that differ only
    beyond its precision are equal.

    Differences between samples far from the origin would be lost in the rounding of their
    squares, and squares of very large numbers overflow. So rows are relative to an origin, the
    median of each column (0 for a column that is mostly 0, so that sparse data stay sparse),
    and in multiples of ``unit``, a power of two: distances are those of the inputs, divided by
    ``unit``. A few outliers change neither, and the order of the samples does not matter.

    Parameters
    ----------
    network : Network
        The network, with the transformers before it.
    X : array, DataFrame or sparse matrix of shape (n_samples, ...)
        Samples, after the network's transformers.

    Attributes
    ----------
    n, width : int
        Number of rows, and of numbers per row.
    keys : ndarray of uint64 of shape (n,)
        Hash of each row's content: equal for equal rows, dense or sparse.
    unit : float
        The distance between inputs that corresponds to a distance of 1 between these rows.
    """

    def __init__(self, network, X):
        self._network, self._X = network, X
        # Whole numbers as inputs, and half precision, are exact in these.
        self._dtype = torch.float32
        if network.dtype == torch.float64 or not network.dtype.is_floating_point:
            self._dtype = torch.float64
        self.n = X.shape[0]
        first = self._values(slice(0, 1))
        self.width, self.sparse = first.shape[1], scipy.sparse.issparse(first)
        if scipy.sparse.issparse(X):
            whole = X.nnz <= min(WHOLE, WHOLE_SPARSE)
        else:
            whole = self.n * self.width <= WHOLE
        self._held = self._values(slice(0, self.n)) if whole else None
        self.keys = self._keys()

    @cached_property
    def equal(self):
        """Groups of equal rows, from :func:`group_equal`."""
        return group_equal(self.keys)

    @cached_property
    def _origin(self):
        # Halved: the mean of the two middle values may overflow.
        return 2 * np.median(self._some / 2, axis=0)

    @cached_property
    def unit(self):
        with np.errstate(over="ignore"):
            away = np.abs(self._some - self._origin).max(axis=1, initial=0.0)
        # If half of the samples are equal, the largest distance sets the scale.
        size = np.median(away) or away.max()
        exponent = np.frexp(min(size, np.finfo(float).max))[1] if size else 0
        return float(np.ldexp(1.0, int(np.clip(exponent, -1000, 1000))))

    @cached_property
    def _some(self):
        """Rows for origin and unit, chosen by content, regardless of their order."""
        distinct, _ = self.equal
        index = distinct[: min(N_ORIGIN, chunk_length(self.width))]
        some = (self._values(index) if self._held is None else self._held[index]).astype(float)
        return some.toarray() if self.sparse else some

    @cached_property
    def _whole(self):
        if self._held is None:
            return None
        whole = self._placed(self._held.astype(np.float64))
        self._held = None  # no longer needed: keys, origin and unit are known
        return whole

    @property
    def held(self):
        """All rows in memory, array or CSR; None if they are streamed."""
        return self._whole

    def __call__(self, index):
        """Rows at ``index``, a slice or positions: array or CSR of shape (n, width)."""
        if self._whole is not None:
            return self._whole[index]
        return self._placed(self.flat(index))

    def at(self, positions):
        """Only the rows at some positions; see :class:`SomeRows`.

        Parameters
        ----------
        positions : ndarray of int of shape (n_rows,)
            Positions of the rows.
        """
        return SomeRows(self, positions)

    def flat(self, index):
        """Network inputs at ``index``: flat, in float64, neither centred nor scaled.

        Parameters
        ----------
        index : slice or ndarray of int
            Positions of the rows.
        """
        return self._values(index).astype(np.float64, copy=False)

    def _values(self, index):
        """Flat network inputs in its dtype, array or CSR."""
        rows = self._network.prepare(take_rows(self._X, index))
        if not scipy.sparse.issparse(rows):
            rows = to_tensor(rows, dtype=self._dtype).numpy()
            return rows.reshape(len(rows), -1)
        rows = scipy.sparse.csr_array(rows)
        if not rows.has_canonical_format:
            rows = rows.copy()
            rows.sum_duplicates()
        values = to_tensor(rows.data, dtype=self._dtype).numpy()
        return scipy.sparse.csr_array((values, rows.indices, rows.indptr), shape=rows.shape)

    def _placed(self, rows):
        origin, unit = self._origin, self.unit
        with np.errstate(over="ignore"):
            if not self.sparse:
                rows = rows - origin
                rows /= unit
                return np.clip(rows, -LARGEST, LARGEST, out=rows)
            if origin.any():
                ones = scipy.sparse.csr_array(np.ones((rows.shape[0], 1)))
                rows = rows - ones @ scipy.sparse.csr_array(origin[None])
            rows = scipy.sparse.csr_array(rows / unit)
        np.clip(rows.data, -LARGEST, LARGEST, out=rows.data)
        return rows

    def _keys(self):
        factors = column_factors(self.width)
        if self._held is not None:
            return keys_of_rows(self._held, factors)
        step = chunk_length(self.width)
        parts = (slice(start, start + step) for start in range(0, self.n, step))
        return np.concatenate([keys_of_rows(self._values(part), factors) for part in parts])


class SomeRows:
    """A subset of the prepared rows, indexed within the subset: ``rows(index)``.

    Parameters
    ----------
    prepared : PreparedRows
    positions : ndarray of int of shape (n_rows,)
        Positions among all prepared rows. They are selected once, if they fit in memory.
    """

    def __init__(self, prepared, positions):
        self._prepared, self._positions = prepared, positions
        if prepared.held is not None:
            self._rows = prepared.held[positions]
        elif not prepared.sparse and len(positions) * prepared.width <= WHOLE:
            step = chunk_length(prepared.width)
            self._rows = np.empty((len(positions), prepared.width))
            for start in range(0, len(positions), step):
                part = slice(start, start + step)
                self._rows[part] = prepared(positions[part])
        else:
            self._rows = None

    def __len__(self):
        return len(self._positions)

    def __call__(self, index):
        """Rows at ``index``, a slice or positions: array or CSR of shape (n, width)."""
        if self._rows is not None:
            return self._rows[index]
        return self._prepared(self._positions[index])
