import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given
from hypothesis import strategies as st

from margin_sklearn.data.batches import Batches, Samples
from margin_sklearn.data.rows import chunk_length, take_rows, to_tensor
from margin_sklearn.runtime import resolve_device


@given(st.integers(2, 60), st.integers(1, 20), st.booleans())
def test_batches_hold_every_sample_once_and_never_one_alone(n, batch_size, shuffle):
    X = np.arange(n, dtype=np.float32)[:, None]
    batches = Batches(Samples(X, np.arange(n)), batch_size, shuffle)
    parts = list(batches)
    seen = torch.cat([x[:, 0] for x, _ in parts])
    assert sorted(seen.tolist()) == list(range(n))
    assert all((x[:, 0] == y).all() for x, (y, _) in parts)
    assert len(parts) == len(batches)
    if batch_size > 1:
        assert min(len(x) for x, _ in parts) > 1
    assert (seen == batches.dataset.order.float()).all()
    if not shuffle:
        assert (seen == torch.arange(n)).all()


def test_shuffles_follow_torchs_generator():
    samples = Samples(np.zeros((50, 1), np.float32), np.zeros(50, int))

    def orders(seed):
        torch.manual_seed(seed)
        batches = Batches(samples, 10, shuffle=True)
        result = []
        for _ in range(2):
            list(batches)
            result.append(samples.order.tolist())
        return result

    first, second = orders(0)
    assert first != second
    assert orders(0) == [first, second]


@pytest.mark.parametrize(
    "make", [np.asarray, scipy.sparse.csr_array, scipy.sparse.csc_matrix, torch.as_tensor]
)
@pytest.mark.parametrize("limit", [None, 0])
def test_resident_and_streamed_samples_are_the_same(make, limit, rng):
    dense = rng.normal(size=(20, 3)) * (rng.random((20, 3)) < 0.5)
    samples = Samples(make(dense), np.arange(20), np.ones(20), max_resident_bytes=limit)
    assert samples.resident == (limit is None and not scipy.sparse.issparse(make(dense)))
    index = torch.tensor([3, 0, 19])
    np.testing.assert_array_equal(samples.rows(index), dense[[3, 0, 19]].astype(np.float32))
    np.testing.assert_array_equal(samples.rows(slice(4, 9)), dense[4:9].astype(np.float32))
    assert samples[2][1] == 2


def test_float32_arrays_are_not_copied(rng):
    X = rng.normal(size=(20, 3)).astype(np.float32)
    X.flags.writeable = False
    assert Samples(X).X.data_ptr() == X.ctypes.data


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


def test_auto_takes_the_best_device_there_is(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto").type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert resolve_device("auto").type == "mps"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert resolve_device("auto").type == "cpu"
    with pytest.raises(ValueError, match="cuda:1.*no CUDA"):
        resolve_device("cuda:1")
    with pytest.raises(ValueError, match="'gpu'"):
        resolve_device("gpu")


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("sparse", [False, True])
def test_batches_of_the_active_samples_only(rng, shuffle, sparse):
    X = rng.normal(size=(20, 3)).astype(np.float32)
    data = Samples(scipy.sparse.csr_array(X) if sparse else X, np.arange(20), np.arange(20.0))
    data.active = torch.tensor([3, 5, 7, 11, 13])
    batches = list(Batches(data, batch_size=2, shuffle=shuffle))
    # The fifth joins the batch before it.
    assert [len(x) for x, _ in batches] == [2, 3]
    labels = torch.cat([y for _, (y, _) in batches])
    assert sorted(labels.tolist()) == [3, 5, 7, 11, 13]
    assert torch.equal(labels, data.order)
    np.testing.assert_array_equal(torch.cat([x for x, _ in batches]), X[labels.numpy()])
    np.testing.assert_array_equal(torch.cat([w for _, (_, w) in batches]), labels)
    data.active = None
    assert sum(len(x) for x, _ in Batches(data, batch_size=2, shuffle=shuffle)) == 20
