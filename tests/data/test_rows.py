from collections import UserList

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

from margin_sklearn.data.rows import chunk_length, n_bytes, take_rows, to_numpy, to_tensor


@pytest.mark.parametrize(
    "dtype", [bool, np.uint8, np.int64, np.float16, np.float64, ">f8", np.longdouble]
)
def test_any_real_dtype_becomes_float32(dtype):
    tensor = to_tensor(np.array([[0, 1], [1, 1]]).astype(dtype))
    assert tensor.dtype == torch.float32
    assert tensor.tolist() == [[0.0, 1.0], [1.0, 1.0]]


def test_values_beyond_float32_raise_and_name_themselves():
    with pytest.raises(ValueError, match="too large for float32: 1e\\+300"):
        to_tensor(np.array([[1e300]]))
    assert to_tensor(np.array([[1e300]]), dtype=torch.float64).item() == 1e300


def test_take_rows_keeps_the_kind(rng):
    pd = pytest.importorskip("pandas")
    X = rng.normal(size=(6, 2))
    frame = pd.DataFrame(X, columns=["a", "b"])
    rows = np.array([4, 1])
    assert list(take_rows(frame, rows).index) == [4, 1]
    np.testing.assert_array_equal(take_rows(X, rows), X[rows])
    assert take_rows(X.tolist(), rows) == X[rows].tolist()
    np.testing.assert_array_equal(
        take_rows(scipy.sparse.coo_array(X), rows).toarray(), X[rows]
    )
    np.testing.assert_array_equal(take_rows(X.tolist(), slice(1, 3)), X[1:3])


def test_chunks_shrink_with_the_width_of_a_row():
    assert chunk_length(1) == 4096
    assert chunk_length(3 * 32 * 32) < chunk_length(100)
    assert chunk_length(10**9) == 16


def test_rows_of_a_reversed_array_become_a_tensor():
    X = np.arange(6.0).reshape(3, 2)[::-1]
    for rows in (slice(0, 1), slice(None)):
        np.testing.assert_array_equal(to_tensor(X[rows]).numpy(), X[rows])


def test_memory_of_rows_of_each_kind(rng):
    X = rng.normal(size=(50, 4))
    assert n_bytes(X) == n_bytes(torch.from_numpy(X)) == 1600
    assert 1600 <= n_bytes(pd.DataFrame(X)) < 2000
    assert 1600 <= n_bytes(list(X.tolist())) < 20_000
    sparse = scipy.sparse.csr_matrix(X)
    assert 1600 + sparse.indices.nbytes <= n_bytes(sparse) < 6000
    assert 0 < n_bytes(None) < 100


class ArrayLike:
    """What can only be converted to an array."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)


def test_rows_of_what_cannot_be_indexed_are_an_array(rng):
    X = rng.normal(size=(6, 2))
    for rows in (np.array([4, 1]), slice(1, 3)):
        taken = take_rows(ArrayLike(X), rows)
        assert type(taken) is np.ndarray
        np.testing.assert_array_equal(taken, X[rows])


def test_rows_of_sequences_are_lists(rng):
    X = rng.normal(size=(6, 2)).tolist()
    for rows in (UserList(X), range(6)):
        assert take_rows(rows, np.array([4, 1])) == [rows[4], rows[1]]
        assert list(take_rows(rows, slice(1, 3))) == list(rows[1:3])


def test_tensors_that_are_negated_or_conjugated_when_read():
    z = torch.complex(torch.ones(3), torch.arange(3.0))
    np.testing.assert_array_equal(to_numpy(z.conj().imag), [0, -1, -2])
    np.testing.assert_array_equal(to_numpy(z.conj()), [1, 1 - 1j, 1 - 2j])
