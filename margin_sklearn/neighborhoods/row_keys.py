"""A hash of each row's content: equal for equal rows, whatever holds them."""

import numpy as np
import scipy.sparse

__all__ = ["column_factors", "keys_of_rows"]

# Numbers hashed at a time: intermediate results stay in the cache.
MAX_NUMBERS = 2**16
# The last step of splitmix64 (Steele, Lea and Flood 2014, doi:10.1145/2660193.2660195).
MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))


def column_factors(width):
    """An odd random number for each column: a value means something else in another one.

    Parameters
    ----------
    width : int

    Returns
    -------
    factors : ndarray of uint64 of shape (width,)
    """
    factors = np.random.RandomState(0).randint(2**62, size=width, dtype=np.int64)
    return factors.astype(np.uint64) * np.uint64(2) + np.uint64(1)


def keys_of_rows(rows, factors):
    """Hash of each row.

    Each value's bits are folded, multiplied by the factor of its column and folded again; the
    sum of these modulo 2^64 is mixed. This takes a few instructions per value, and zeros that
    are not stored add nothing.

    Parameters
    ----------
    rows : ndarray or CSR array of float32 or float64 of shape (n, width)
    factors : ndarray of uint64 of shape (width,)
        From :func:`column_factors`.

    Returns
    -------
    keys : ndarray of uint64 of shape (n,)

    Examples
    --------
    >>> import numpy as np
    >>> from margin_sklearn.neighborhoods.row_keys import column_factors, keys_of_rows
    >>> keys = keys_of_rows(np.array([[1.0, 2.0], [2.0, 1.0], [1.0, 2.0]]), column_factors(2))
    >>> bool(keys[0] == keys[2]), bool(keys[0] == keys[1])
    (True, False)
    """
    if scipy.sparse.issparse(rows):
        terms = _folded(rows.data, factors[rows.indices])
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(terms, dtype=np.uint64)])
        keys = sums[rows.indptr[1:]] - sums[rows.indptr[:-1]]
    else:
        keys = np.empty(len(rows), dtype=np.uint64)
        step = max(1, MAX_NUMBERS // max(1, rows.shape[1]))
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            keys[part] = _folded(rows[part], factors).sum(axis=1, dtype=np.uint64)
    for shift, factor in MIX:
        keys = (keys ^ (keys >> np.uint64(shift))) * np.uint64(factor)
    return keys ^ (keys >> np.uint64(31))


def _folded(values, factors):
    # Adding 0 turns -0.0 into 0.0, whose bits are all 0.
    values = np.ascontiguousarray(values) + values.dtype.type(0)
    single = values.dtype == np.float32
    bits = values.view(np.uint32 if single else np.uint64)
    # Whole numbers end in zeros, which a product keeps: their upper bits are needed below.
    for shift in (16,) if single else (32, 16):
        bits ^= bits >> bits.dtype.type(shift)
    bits = bits * factors
    bits ^= bits >> np.uint64(32)
    return bits
