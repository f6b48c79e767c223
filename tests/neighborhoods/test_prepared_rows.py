import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

from margin_sklearn.adapters.network import Network
from margin_sklearn.neighborhoods import distinct, prepared_rows
from margin_sklearn.neighborhoods.distinct import distances_from_mean
from margin_sklearn.neighborhoods.prepared_rows import LARGEST, PreparedRows

# Inputs as they are.
NETWORK = Network(torch.nn.Identity(), lambda rows: rows, np.asarray, torch.float64)
SPARSE_FORMS = [
    scipy.sparse.csr_array,
    scipy.sparse.csr_matrix,
    scipy.sparse.csc_array,
    scipy.sparse.coo_array,
    scipy.sparse.lil_array,
]


def prepared(X):
    return PreparedRows(NETWORK, X)


def everything(rows):
    found = rows(slice(0, rows.n))
    return found.toarray() if rows.sparse else found


def distances(X):
    """Between all samples, in the units of the inputs."""
    rows = prepared(X)
    return pdist(everything(rows)) * rows.unit


def half_empty(rng, shape=(60, 6)):
    return rng.normal(size=shape) * (rng.random(shape) < 0.4)


# --- distances ----------------------------------------------------------------------------


@given(
    n=st.integers(1, 50),
    width=st.integers(1, 6),
    exponent=st.integers(-290, 290),
    offset=st.sampled_from([0.0, 1.0, -1e3]),
    seed=st.integers(0, 99),
    sparse=st.booleans(),
)
@settings(max_examples=60)
def test_distances_are_those_of_the_inputs(n, width, exponent, offset, seed, sparse):
    X = np.random.default_rng(seed).normal(size=(n, width)) + offset
    unit = 2.0**exponent
    rows = prepared(scipy.sparse.csr_array(unit * X) if sparse else unit * X)
    # Scaled back exactly: the squares of such numbers leave the range of floats.
    found = pdist(everything(rows)) * (rows.unit / unit)
    np.testing.assert_allclose(found, pdist(X), rtol=1e-9)
    assert rows.unit == 2.0 ** np.round(np.log2(rows.unit))


@pytest.mark.parametrize("offset", [1.0, 1e3, 1e6, 1e9])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_translation_leaves_rows_as_they_are(offset, dtype, rng):
    # Numbers that have room there, too.
    step = 1 / 8 if dtype == np.float64 or offset < 1e6 else 256.0
    X = (rng.normal(size=(80, 4)) * 50).round() * step
    moved = (X + offset).astype(dtype)
    np.testing.assert_array_equal(moved.astype(float) - offset, X)
    one, other = prepared(X), prepared(moved)
    assert one.unit == other.unit
    np.testing.assert_array_equal(everything(one), everything(other))


@pytest.mark.parametrize("factor", [2.0**60, 2.0**-60, 2.0**500, 2.0**-700])
def test_a_power_of_two_is_taken_out_to_the_last_bit(factor, rng):
    X = rng.normal(size=(80, 4))
    one, other = prepared(X), prepared(factor * X)
    assert other.unit == factor * one.unit
    np.testing.assert_array_equal(everything(other), everything(one))


@pytest.mark.parametrize("factor", [1e20, 1e150, 1e300, 1e-20, 1e-150, 1e-200, 1e-300])
@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_array])
def test_very_large_and_very_small_numbers_come_to_about_one(factor, form, rng):
    X = half_empty(rng)
    rows = prepared(form(factor * X))
    found = everything(rows)
    assert 0.1 < np.median(np.abs(found).max(axis=1)) < 2
    np.testing.assert_allclose(found, found[0, 0] + (X - X[0, 0]) * (factor / rows.unit))


@pytest.mark.parametrize("far", [1e3, 1e9, 1e200, 1.7e308, -1.7e308])
@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_array])
def test_an_outlier_moves_nothing_but_itself(far, form, rng):
    X = half_empty(rng, (400, 5))
    before = prepared(form(X))
    X[7, 2] = far
    after = prepared(form(X))
    assert after.unit == before.unit
    others = np.arange(400) != 7
    moved = everything(after)[others] - everything(before)[others]
    # The same shift for all, if any: the median of a column may be the next number.
    np.testing.assert_allclose(moved, np.broadcast_to(moved[0], moved.shape), atol=1e-12)
    assert np.abs(everything(after)[7, 2]) == pytest.approx(min(1e15, abs(far) / after.unit))


@pytest.mark.parametrize("value", [1e6, 1e15, 1e300, 1.7e308, np.finfo(float).max])
@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_array])
def test_a_constant_column_adds_nothing(value, form, rng):
    X = half_empty(rng)
    alone = distances(form(X))
    constant = distances(form(np.c_[X, np.full(len(X), value)]))
    np.testing.assert_allclose(constant, alone, rtol=1e-12)


def test_numbers_are_cut_off_where_their_squares_would_leave_the_range():
    X = np.arange(12.0).reshape(6, 2)
    X[3] = 1e300, -1e300
    found = everything(prepared(X))
    np.testing.assert_array_equal(found[3], [LARGEST, -LARGEST])
    assert np.isfinite(np.float32(found) ** 2).all()


def test_however_many_samples_are_alike_the_others_set_the_scale():
    X = np.zeros((1000, 3))
    X[::100] = 1e30 * np.arange(30).reshape(10, 3)
    rows = prepared(X)
    assert 0.5 < np.abs(everything(rows)).max() < 4
    assert rows.unit == prepared(np.unique(X, axis=0)).unit


@pytest.mark.parametrize("X", [np.zeros((5, 3)), np.full((1, 2), 7.0), np.full((4, 2), 1e300)])
def test_samples_that_are_all_equal_are_zero(X):
    rows = prepared(X)
    assert rows.unit == 1
    np.testing.assert_array_equal(everything(rows), 0)


# --- sparse -------------------------------------------------------------------------------


@pytest.mark.parametrize("form", SPARSE_FORMS)
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_sparse_is_dense(form, offset, rng):
    X = np.c_[half_empty(rng), np.full(60, offset)]
    dense, sparse = prepared(X), prepared(form(X))
    assert sparse.sparse
    assert not dense.sparse
    assert sparse.unit == dense.unit
    np.testing.assert_array_equal(sparse.keys, dense.keys)
    np.testing.assert_allclose(everything(sparse), everything(dense), rtol=1e-12, atol=1e-12)
    index = np.array([3, 1, 59])
    np.testing.assert_array_equal(sparse(index).toarray(), everything(sparse)[index])
    for rows in (dense, sparse):
        expected = np.linalg.norm(
            everything(rows)[index] - everything(rows)[index].mean(axis=0), axis=1
        )
        np.testing.assert_allclose(distances_from_mean(rows, index), expected, rtol=1e-9)


def test_sparse_data_stay_sparse(rng):
    X = scipy.sparse.random_array((200, 50), density=0.05, random_state=rng, format="csr")
    assert prepared(X)(slice(0, 200)).nnz == X.nnz


# --- keys ---------------------------------------------------------------------------------


def test_keys_tell_equal_rows_from_others(rng):
    X = rng.integers(0, 3, size=(300, 3)).astype(float)
    _, group = np.unique(X, axis=0, return_inverse=True)
    _, found = np.unique(prepared(X).keys, return_inverse=True)
    np.testing.assert_array_equal(group[:, None] == group, found[:, None] == found)


def test_the_order_of_the_columns_counts():
    X = np.array([[1.0, 2.0], [2.0, 1.0], [0.0, 3.0], [3.0, 0.0], [1.5, 1.5]])
    assert len(set(prepared(X).keys)) == 5


def test_keys_are_those_of_the_values_whatever_holds_them(rng):
    X = np.float32(half_empty(rng)).astype(float)
    expected = prepared(X).keys
    zeros = np.where(X == 0, -0.0, X)
    assert np.signbit(zeros).sum() > np.signbit(X).sum()
    explicit = scipy.sparse.csr_array(X)
    explicit.data[::5] = 0.0
    emptied = explicit.toarray()
    for other in (
        zeros,
        X.astype(np.float32),
        np.asfortranarray(X),
        X[::-1][::-1],
        pd.DataFrame(X),
        torch.from_numpy(X),
        X.reshape(60, 2, 3),
        scipy.sparse.csr_array(X),
        scipy.sparse.csr_array(X.astype(np.float32)),
    ):
        np.testing.assert_array_equal(prepared(other).keys, expected)
    np.testing.assert_array_equal(prepared(explicit).keys, prepared(emptied).keys)


def test_keys_of_whole_numbers_are_those_of_floats(rng):
    X = rng.integers(0, 2, size=(30, 4))
    for dtype in (bool, np.uint8, np.int64):
        keys = prepared(X.astype(dtype)).keys
        np.testing.assert_array_equal(keys, prepared(X.astype(float)).keys)


def test_a_sparse_row_may_hold_a_cell_in_parts_and_in_any_order():
    parts = scipy.sparse.csr_array(
        (np.array([5.0, 1.0, 2.0, 4.0]), np.array([2, 0, 0, 1]), np.array([0, 3, 4])),
        shape=(2, 3),
    )
    dense = parts.toarray()
    np.testing.assert_array_equal(dense, [[3, 0, 5], [0, 4, 0]])
    np.testing.assert_array_equal(prepared(parts).keys, prepared(dense).keys)
    np.testing.assert_array_equal(everything(prepared(parts)), everything(prepared(dense)))


# --- in pieces ----------------------------------------------------------------------------


@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_array])
def test_streamed_rows_are_those_that_are_held(form, rng, monkeypatch):
    X = form(half_empty(rng, (300, 4)) + 3 * (form is np.asarray))
    held = prepared(X)
    asked = []

    def prepare(rows):
        asked.append(rows.shape[0])
        return rows

    monkeypatch.setattr(prepared_rows, "WHOLE", 0)
    for module in (prepared_rows, distinct):
        monkeypatch.setattr(module, "chunk_length", lambda *_, **__: 50)
    # From as many rows, as origin and unit depend on them.
    monkeypatch.setattr(prepared_rows, "N_ORIGIN", 50)
    streamed = PreparedRows(
        Network(torch.nn.Identity(), prepare, np.asarray, torch.float64), X
    )
    monkeypatch.setattr(prepared_rows, "WHOLE", 2**20)
    held = prepared(X)
    assert streamed.unit == held.unit
    np.testing.assert_array_equal(streamed.keys, held.keys)
    index = np.array([7, 200, 3])
    positions = np.arange(0, 300, 3)
    for found, expected in (
        (streamed(index), held(index)),
        (streamed(slice(20, 60)), held(slice(20, 60))),
        (streamed.at(positions)(slice(5, 9)), held.at(positions)(slice(5, 9))),
        (streamed.at(positions)(np.array([1, 0])), held.at(positions)(np.array([1, 0]))),
    ):
        assert type(found) is type(expected)
        if form is not np.asarray:
            found, expected = found.toarray(), expected.toarray()
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(
        distances_from_mean(streamed, positions), distances_from_mean(held, positions)
    )
    assert max(asked) <= 50


def test_of_wide_samples_fewer_are_held_at_a_time():
    X = np.ones((200, 2**16), dtype=np.float32)
    asked = []

    def prepare(rows):
        asked.append(len(rows))
        return rows

    rows = PreparedRows(Network(torch.nn.Identity(), prepare, np.asarray, torch.float64), X)
    assert rows.width == 2**16
    assert rows(slice(0, 2)).shape == (2, 2**16)
    assert max(asked) <= 16


def test_origin_and_unit_do_not_depend_on_the_order_of_the_samples(rng, monkeypatch):
    monkeypatch.setattr(prepared_rows, "N_ORIGIN", 20)
    X = rng.normal(size=(200, 3)) + 5
    order = rng.permutation(200)
    one, other = prepared(X), prepared(X[order])
    assert one.unit == other.unit
    np.testing.assert_array_equal(everything(other), everything(one)[order])
    # Nor on how often a row is there.
    many = prepared(np.repeat(X, 1 + np.arange(200) % 5, axis=0))
    np.testing.assert_array_equal(np.unique(everything(many)), np.unique(everything(one)))


def test_the_samples_are_left_as_they_were(rng):
    for form in (np.asarray, scipy.sparse.csr_array):
        X = form(half_empty(rng) + 2)
        before = X.copy()
        rows = prepared(X)
        rows(slice(0, 60))
        distances_from_mean(rows, np.arange(60))
        assert np.abs(X - before).max() == 0
