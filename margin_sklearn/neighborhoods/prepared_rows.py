"""Samples as the network sees them, as rows whose distances are numerically reliable."""

from functools import cached_property

import numpy as np
import pandas as pd
import scipy.sparse

from ..data.rows import chunk_length, take_rows

__all__ = ["PreparedRows", "SomeRows"]

# Prepared data of up to this many numbers are kept in memory while in use; larger data are
# streamed. Rows of sparse data are fast to select anyway.
WHOLE, WHOLE_SPARSE = 2**22, 2**17
# Largest number of samples from which origin and unit are computed.
N_ORIGIN = 1000
# Numbers are clipped to this multiple of the unit, so that their squares fit in float32.
LARGEST = 1e15


class PreparedRows:
    """Flat float64 rows, centred and scaled, in chunks: ``rows(index)``.

    Differences between samples far from the origin would be lost in the rounding of their
    squares, and squares of very large numbers overflow. So rows are relative to an origin, the
    median of each column (0 for a column that is mostly 0, so that sparse data stay sparse),
    and in multiples of ``unit``, a power of two: distances are those of the inputs, divided by
    ``unit``. A few outliers change neither, and the order of the samples does not matter.

    Parameters
    ----------
    network : Network
    X : array, DataFrame or sparse matrix of shape (n_samples, ...)

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
        self.n = X.shape[0]
        first = self.flat(slice(0, 1))
        self.width, self.sparse = first.shape[1], scipy.sparse.issparse(first)
        if scipy.sparse.issparse(X):
            whole = X.nnz <= min(WHOLE, WHOLE_SPARSE)
        else:
            whole = self.n * self.width <= WHOLE
        self._held = self.flat(slice(0, self.n)) if whole else None
        self.keys = self._keys()

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
        _, distinct = np.unique(self.keys, return_index=True)
        index = distinct[: min(N_ORIGIN, chunk_length(self.width))]
        some = self.flat(index) if self._held is None else self._held[index]
        return some.toarray() if self.sparse else some

    @cached_property
    def _whole(self):
        if self._held is None:
            return None
        whole = self._placed(self._held)
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
        """Only the rows at some positions; see :class:`SomeRows`."""
        return SomeRows(self, positions)

    def distances_from_mean(self, positions):
        """Distance of the rows at ``positions`` from their mean, of shape (n_positions,)."""
        step = chunk_length(self.width)
        pieces = [positions[at : at + step] for at in range(0, len(positions), step)]
        mean = np.zeros(self.width)
        for piece in pieces:
            mean += np.asarray(self(piece).sum(axis=0)).ravel() / len(positions)
        square = mean @ mean
        found = []
        for piece in pieces:
            rows = self(piece)
            if self.sparse:
                squares = np.asarray(rows.multiply(rows).sum(axis=1)).ravel()
                found.append(np.maximum(squares - 2 * (rows @ mean) + square, 0))
            else:
                rows = rows - mean
                found.append(np.einsum("ij,ij->i", rows, rows))
        return np.sqrt(np.concatenate(found))

    def flat(self, index):
        """Network inputs at ``index``: flat, in float64, neither centred nor scaled."""
        rows = self._network.prepare(take_rows(self._X, index))
        if scipy.sparse.issparse(rows):
            rows = scipy.sparse.csr_array(rows, dtype=np.float64)
            if not rows.has_canonical_format:
                rows = rows.copy()
                rows.sum_duplicates()
            return rows
        rows = np.asarray(rows)
        return rows.reshape(len(rows), -1).astype(np.float64)

    def _placed(self, rows):
        origin, unit = self._origin, self.unit
        with np.errstate(over="ignore"):
            if not self.sparse:
                rows = (rows - origin) / unit
                return np.clip(rows, -LARGEST, LARGEST, out=rows)
            if origin.any():
                ones = scipy.sparse.csr_array(np.ones((rows.shape[0], 1)))
                rows = rows - ones @ scipy.sparse.csr_array(origin[None])
            rows = scipy.sparse.csr_array(rows / unit)
        np.clip(rows.data, -LARGEST, LARGEST, out=rows.data)
        return rows

    def _keys(self):
        # Odd factors distinguish the columns; sums modulo 2^64 do not depend on the order.
        factors = np.random.RandomState(0).randint(2**62, size=self.width, dtype=np.int64)
        factors = factors.astype(np.uint64) * np.uint64(2) + np.uint64(1)
        keys = np.empty(self.n, dtype=np.uint64)
        step = chunk_length(self.width)
        for start in range(0, self.n, step):
            part = slice(start, start + step)
            rows = self.flat(part) if self._held is None else self._held[part]
            # 0 is hashed to 0, so that zeros that are not stored make no difference.
            if self.sparse:
                terms = _hashed(rows.data) * factors[rows.indices]
                sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(terms)])
                keys[part] = sums[rows.indptr[1:]] - sums[rows.indptr[:-1]]
            else:
                keys[part] = (_hashed(rows) * factors).sum(axis=1, dtype=np.uint64)
        return keys


class SomeRows:
    """A subset of the prepared rows, indexed within the subset: ``rows(index)``.

    Parameters
    ----------
    prepared : PreparedRows
    positions : ndarray of int of shape (n_rows,)
        Positions among all prepared rows. If all rows are in memory, they are selected once.
    """

    def __init__(self, prepared, positions):
        self._prepared, self._positions = prepared, positions
        self._rows = None if prepared.held is None else prepared.held[positions]

    def __len__(self):
        return len(self._positions)

    def __call__(self, index):
        """Rows at ``index``, a slice or positions: array or CSR of shape (n, width)."""
        if self._rows is not None:
            return self._rows[index]
        return self._prepared(self._positions[index])


def _hashed(values):
    # Adding 0 turns -0.0 into 0.0.
    values = np.ascontiguousarray(values) + 0.0
    hashes = pd.util.hash_array(values.ravel()).reshape(values.shape)
    return hashes - pd.util.hash_array(np.zeros(1))[0]
