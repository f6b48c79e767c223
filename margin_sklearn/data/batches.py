"""Samples as tensors, and the batches that skorch iterates over: sliced, not collated.

A :class:`torch.utils.data.DataLoader` indexes and collates sample by sample, which takes
close to half of the time of fitting a small network. Here a whole batch is one indexing
operation on a tensor that already lies on the device, or, for data that do not fit and
for sparse ones, one indexing and conversion on the host.
"""

import numpy as np
import scipy.sparse
import torch
from skorch.dataset import Dataset

from .rows import to_tensor

__all__ = ["Batches", "Samples"]

# Dense data up to this size become one float32 tensor on the CPU; larger ones stream.
MAX_RESIDENT_BYTES = 2**31


class Samples(Dataset):
    """X, labels and weights, held on the device where they fit.

    Parameters
    ----------
    X : ndarray or sparse matrix of shape (n_samples, ...)
        Finite numbers of any real dtype.
    y : array-like of int of shape (n_samples,), default=None
        Class indices.
    weight : array-like of float of shape (n_samples,), default=None
    device : torch.device or str, default="cpu"
    dtype : torch.dtype, default=torch.float32
        Of the inputs as the module gets them.
    max_resident_bytes : int, default=None
        Size as float32 up to which dense ``X`` is kept as one tensor. None: 2 GiB on the
        CPU, half of the free memory on a GPU. Sparse data are never made dense as a whole.

    Attributes
    ----------
    resident : bool
        Whether ``X`` lies on the device as one tensor.
    active : torch.Tensor of int64 of shape (n_active,) or None
        The samples that batches are made of; None for all.
    order : torch.Tensor of int64 of shape (n_active,) or None
        The order of the samples in the epoch last begun.
    """

    def __init__(
        self,
        X,
        y=None,
        weight=None,
        device="cpu",
        dtype=torch.float32,
        max_resident_bytes=None,
    ):
        self.device = torch.device(device)
        self.dtype = dtype
        self.active = None
        self.order = None
        if not isinstance(X, torch.Tensor) and not scipy.sparse.issparse(X):
            X = np.asarray(X)
        self.shape = tuple(X.shape)
        n_bytes = 4 * int(np.prod(self.shape, dtype=np.int64))
        if max_resident_bytes is None:
            max_resident_bytes = MAX_RESIDENT_BYTES
            if self.device.type == "cuda":
                max_resident_bytes = torch.cuda.mem_get_info(self.device)[0] // 2
        self.resident = not scipy.sparse.issparse(X) and n_bytes <= max_resident_bytes
        self.X = to_tensor(X, self.device, dtype) if self.resident else X
        if scipy.sparse.issparse(X):
            self.X = X.tocsr()
        self.y = None
        if y is not None:
            self.y = torch.as_tensor(np.asarray(y, dtype=np.int64), device=self.device)
        self.weight = None
        if weight is not None:
            self.weight = torch.as_tensor(np.asarray(weight, dtype=np.float32)).to(self.device)

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, index):
        x = self.rows(slice(index, index + 1))[0]
        return x, (torch.tensor(0) if self.y is None else self.y[index])

    def rows(self, index):
        """Inputs at ``index`` (slice or tensor of indices), a tensor on the device.

        Memory of its own: a module may write to it.
        """
        # Indexing by a tensor copies, a slice does not.
        shared = isinstance(index, slice)
        if self.resident:
            return self.X[index].clone() if shared else self.X[index]
        if isinstance(index, torch.Tensor):
            index = index.cpu().numpy()
        return to_tensor(self.X[index], self.device, self.dtype, copy=shared)

    def restrict(self, positions):
        """Make batches of some samples only.

        Parameters
        ----------
        positions : torch.Tensor of int64 of shape (n_active,) or None
            Their row indices; None for all.
        """
        self.active = positions

    def labels(self, index):
        """(y, weight) at ``index``; weight is None for unweighted samples."""
        weight = None if self.weight is None else self.weight[index]
        return (None if self.y is None else self.y[index]), weight


class Batches:
    """Iterates over :class:`Samples` in batches; given to skorch as its iterator.

    Parameters
    ----------
    dataset : Samples
    batch_size : int, default=128
        A last batch of a single sample joins the one before it: batch norm cannot train
        on one sample.
    shuffle : bool, default=False
        Whether each pass takes the samples in a new order, from torch's generator.

    Yields
    ------
    X : torch.Tensor of shape (batch_size, ...)
    labels : tuple (y, weight)
    """

    def __init__(self, dataset, batch_size=128, shuffle=False):
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle

    def _starts(self):
        active = self.dataset.active
        n = len(self.dataset) if active is None else len(active)
        starts = list(range(0, n, self.batch_size))
        if len(starts) > 1 and n - starts[-1] == 1:
            starts.pop()
        return starts

    def __len__(self):
        return len(self._starts())

    def __iter__(self):
        data = self.dataset
        device = data.device if data.resident else "cpu"
        active = None if data.active is None else data.active.to(device)
        n = len(data) if active is None else len(active)
        if self.shuffle:
            # On the device, where resident data are indexed: no copy within the epoch.
            data.order = torch.randperm(n, device=device)
            if active is not None:
                data.order = active[data.order]
        else:
            data.order = torch.arange(n, device=data.device) if active is None else active
        starts = self._starts()
        for start, stop in zip(starts, [*starts[1:], n], strict=True):
            whole = not self.shuffle and active is None
            index = slice(start, stop) if whole else data.order[start:stop]
            x = data.rows(index)
            if isinstance(index, torch.Tensor):
                index = index.to(data.device)
            yield x, data.labels(index)
