import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given
from hypothesis import strategies as st

from margin_sklearn.data.batches import Batches, Samples


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
