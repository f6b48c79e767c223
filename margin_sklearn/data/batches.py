"""Samples as tensors, and batches of them for skorch, made by slicing instead of collating.

A :class:`torch.utils.data.DataLoader` indexes and collates sample by sample, which takes
almost half of the time of fitting a small network. Here a batch is a single indexing operation
on a tensor that is already on the device. For sparse data, and for data that are too large for
the device, it is a single indexing operation and conversion on the host.
"""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse
import torch
from numpy.typing import ArrayLike
from skorch.dataset import Dataset

from .rows import to_tensor

__all__ = ["Batches", "Samples"]

# Dense data up to this size become one float32 tensor on the CPU; larger data are converted
# batch by batch.
MAX_RESIDENT_BYTES = 2**31
# Numbers of resident data that are gathered at a time (1 MB of float32).
GATHERED = 2**18


class Samples(Dataset):
    """X, class indices and weights, kept on the device if they fit.

    Parameters
    ----------
    X : ndarray or sparse matrix of shape (n_samples, ...)
        Finite numbers of any real dtype.
    y : array-like of int of shape (n_samples,), default=None
        Class indices.
    weight : array-like of float of shape (n_samples,), default=None
        Sample weights.
    device : torch.device or str, default="cpu"
    dtype : torch.dtype, default=torch.float32
        Dtype of the module's input.
    max_resident_bytes : int, default=None
        Dense ``X`` is kept as one tensor if its size as float32 is at most this. None: 2 GiB
        on the CPU, half of the free memory on a GPU. Sparse data are never converted to dense
        as a whole.

    Attributes
    ----------
    resident : bool
        Whether ``X`` is on the device as one tensor.
    active : torch.Tensor of int64 of shape (n_active,) or None
        Row indices of the samples that batches are made of; None for all samples.
    order : torch.Tensor of int64 of shape (n_active,) or None
        Row indices in the order of the current epoch.
    generator : torch.Generator or None
        Draws the order of each epoch, on the CPU; None is torch's default generator.
    """

    def __init__(
        self,
        X: Any,
        y: ArrayLike | None = None,
        weight: ArrayLike | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        max_resident_bytes: int | None = None,
    ) -> None:
        self.device = torch.device(device)
        self.dtype = dtype
        self.active: torch.Tensor | None = None
        self.order: torch.Tensor | None = None
        self.generator: torch.Generator | None = None
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

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, row: int) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.rows(slice(row, row + 1))[0]
        return x, (torch.tensor(0) if self.y is None else self.y[row])

    def rows(self, row_index: slice | torch.Tensor) -> torch.Tensor:
        """Inputs of the module for some rows.

        Parameters
        ----------
        row_index : slice or torch.Tensor of int64 of shape (n_rows,)

        Returns
        -------
        x : torch.Tensor of shape (n_rows, ...)
            On the device, with its own memory: the module may modify it in place.
        """
        # Indexing with a tensor copies, indexing with a slice does not.
        shared = isinstance(row_index, slice)
        if self.resident:
            return self.X[row_index].clone() if shared else self.X[row_index]
        if isinstance(row_index, torch.Tensor):
            rows = row_index.cpu().numpy()
            return to_tensor(self.X[rows], self.device, self.dtype, copy=shared)
        return to_tensor(self.X[row_index], self.device, self.dtype, copy=shared)

    def restrict(self, rows: torch.Tensor | None) -> None:
        """Make batches of some samples only.

        Parameters
        ----------
        rows : torch.Tensor of int64 of shape (n_active,) or None
            Their row indices; None for all.
        """
        self.active = rows

    def draw_from(self, generator: torch.Generator | None) -> None:
        """Draw the order of the epochs from a generator.

        Parameters
        ----------
        generator : torch.Generator or None
            On the CPU.
        """
        self.generator = generator

    def labels(
        self, row_index: slice | torch.Tensor
    ) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Class indices and weights of some rows.

        Parameters
        ----------
        row_index : slice or torch.Tensor of int64 of shape (n_rows,)

        Returns
        -------
        y : torch.Tensor of int64 of shape (n_rows,) or None
        weight : torch.Tensor of float32 of shape (n_rows,) or None
            None if the samples have no weights.
        """
        weight = None if self.weight is None else self.weight[row_index]
        return (None if self.y is None else self.y[row_index]), weight


class Batches:
    """Iterator over :class:`Samples` in batches, for use by skorch.

    Parameters
    ----------
    dataset : Samples
    batch_size : int, default=128
        If the last batch would be a single sample, it is added to the batch before it, because
        batch norm cannot train on one sample.
    shuffle : bool, default=False
        Whether each epoch visits the samples in a new order, drawn from the generator of
        ``dataset``.

    Yields
    ------
    X : torch.Tensor of shape (batch_size, ...)
    labels : tuple (y, weight)
        As returned by :meth:`Samples.labels`.
    """

    def __init__(self, dataset: Samples, batch_size: int = 128, shuffle: bool = False) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle

    def starts(self) -> list[int]:
        """Position of the first sample of each batch, in the order of an epoch."""
        active = self.dataset.active
        n = len(self.dataset) if active is None else len(active)
        starts = list(range(0, n, self.batch_size))
        if len(starts) > 1 and n - starts[-1] == 1:
            starts.pop()
        return starts

    def __len__(self) -> int:
        return len(self.starts())

    def __iter__(
        self,
    ) -> Iterator[tuple[torch.Tensor, tuple[torch.Tensor | None, torch.Tensor | None]]]:
        data = self.dataset
        device = data.device if data.resident else "cpu"
        active = None if data.active is None else data.active.to(device)
        n = len(data) if active is None else len(active)
        if self.shuffle:
            # Drawn on the CPU, so that it is the same for every device, and copied to where
            # the data are indexed once per epoch.
            order = torch.randperm(n, generator=data.generator).to(device)
            if active is not None:
                order = active[order]
        else:
            order = torch.arange(n, device=data.device) if active is None else active
        data.order = order
        starts = self.starts()
        # Rows of several batches are gathered at once, which costs less than one by one.
        together = max(1, GATHERED // max(1, self.batch_size * math.prod(data.shape[1:])))
        together = together if data.resident else 1
        for first in range(0, len(starts), together):
            cuts = [*starts, n][first : first + together + 1]
            gathered = slice(cuts[0], cuts[-1])
            whole = not self.shuffle and active is None
            row_index = gathered if whole else order[gathered]
            x = data.rows(row_index)
            if isinstance(row_index, torch.Tensor):
                row_index = row_index.to(data.device)
            sizes = [stop - start for start, stop in pairwise(cuts)]
            # Views of the gathered rows that autograd takes for tensors of their own, because
            # a module may modify its batch in place.
            inputs, y, weight = (
                [None] * len(sizes) if part is None else part.unsafe_split_with_sizes(sizes)
                for part in (x, *data.labels(row_index))
            )
            yield from zip(inputs, zip(y, weight, strict=True), strict=True)
