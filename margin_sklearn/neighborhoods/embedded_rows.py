"""Rows of more columns than there are rows, in as few dimensions as they span.

Neighbors, weights and lengths depend on inner products alone. So many columns are needed only
once, for the inner products of all rows, and by the network.
"""

import numpy as np
from scipy.linalg.lapack import dpstrf

__all__ = ["EmbeddedRows", "embedded", "is_wide"]

# With fewer columns, or fewer for each row, there is little to gain.
WIDE, TIMES = 2048, 4
# Pivots, relative to 1, that are rounding errors.
ROUNDING = 4 * np.finfo(np.float64).eps
# Numbers of dense rows held at a time (16 MB).
MAX_NUMBERS = 2**21


def is_wide(n_rows, width):
    """Whether rows are embedded."""
    return width >= WIDE and width > TIMES * n_rows


def embedded(prepared, positions):
    """The rows at some positions in fewer dimensions, if they have many more columns.

    Parameters
    ----------
    prepared : PreparedRows
    positions : ndarray of int of shape (n_rows,)

    Returns
    -------
    rows : PreparedRows or EmbeddedRows
        Indexed like ``prepared``.
    """
    if not is_wide(len(positions), prepared.width):
        return prepared
    return EmbeddedRows(prepared, positions)


class EmbeddedRows:
    """Rows with the same inner products in at most as many dimensions as there are rows.

    A Cholesky decomposition with pivoting of the matrix of inner products, of rows scaled to
    length 1: rows next to very large ones keep their precision.

    Parameters
    ----------
    prepared : PreparedRows
    positions : ndarray of int of shape (n_rows,)
        Increasing or not; only these rows exist.
    """

    def __init__(self, prepared, positions):
        gram = _inner_products(prepared.at(positions), len(positions), prepared)
        lengths = np.sqrt(gram.diagonal())
        scale = np.where(lengths > 0, lengths, 1.0)
        gram /= scale
        gram /= scale[:, None]
        factor, pivots, rank, _ = dpstrf(gram, tol=ROUNDING, lower=1, overwrite_a=1)
        self._rows = np.zeros((len(positions), max(1, rank)))
        self._rows[pivots - 1, :rank] = np.tril(factor)[:, :rank]
        self._rows *= lengths[:, None]
        self.width = self._rows.shape[1]
        self._number = np.full(prepared.n, -1)
        self._number[positions] = np.arange(len(positions))

    def at(self, positions):
        """Only the rows at some positions, as a function of an index among these."""
        return self._rows[self._number[positions]].__getitem__


def _inner_products(rows, n, prepared):
    if prepared.sparse:
        everything = rows(slice(0, n))
        return np.asarray((everything @ everything.T).toarray())
    gram = np.zeros((n, n))
    size = max(16, MAX_NUMBERS // prepared.width)
    if n <= size:
        everything = rows(slice(0, n))
        return everything @ everything.T
    for start in range(0, n, size):
        block = slice(start, start + size)
        part = rows(block)
        gram[block, block] = part @ part.T
        for other in range(start + size, n, size):
            against = slice(other, other + size)
            gram[block, against] = part @ rows(against).T
            gram[against, block] = gram[block, against].T
    return gram
