import numpy as np
import pytest
import scipy.sparse

from margin_sklearn.neighborhoods.row_keys import column_factors, keys_of_rows


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("low", [0, -4])
def test_rows_of_whole_numbers_have_keys_of_their_own(dtype, low):
    """Their bits end in zeros: the hardest case for a hash by products."""
    values = np.arange(low, low + 8)
    rows = np.stack(np.meshgrid(*[values] * 5), axis=-1).reshape(-1, 5).astype(dtype)
    assert len(np.unique(keys_of_rows(rows, column_factors(5)))) == len(rows) == 8**5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_bit_of_a_key_is_as_good_as_random(dtype):
    """Some rows are chosen by the order of their keys."""
    rows = np.arange(4096, dtype=dtype)[:, None] * np.ones(3, dtype=dtype)
    keys = keys_of_rows(rows, column_factors(3))
    bits = (keys[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 0.05
    # Unrelated to the values.
    assert abs(np.corrcoef(rows[:, 0], keys.astype(float))[0, 1]) < 0.05


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sparse_rows_have_the_keys_of_dense_ones(dtype, rng):
    rows = (rng.normal(size=(50, 9)) * (rng.random((50, 9)) < 0.3)).astype(dtype)
    rows[3] = 0
    rows[4] = -0.0
    factors = column_factors(9)
    keys = keys_of_rows(rows, factors)
    np.testing.assert_array_equal(keys_of_rows(scipy.sparse.csr_array(rows), factors), keys)
    assert keys[3] == keys[4]
    np.testing.assert_array_equal(keys_of_rows(rows[::-1], factors), keys[::-1])


def test_rows_are_left_as_they_were(rng):
    rows = rng.normal(size=(20, 3))
    before = rows.copy()
    keys_of_rows(rows, column_factors(3))
    np.testing.assert_array_equal(rows, before)
