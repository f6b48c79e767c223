"""A fitted network as one object, from rows of X to inputs of the module to logits."""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from ..data.rows import chunk_length, to_tensor
from ..runtime import recording, torch_threads

__all__ = ["Network", "full_precision", "logit_margins"]

CPU = torch.device("cpu")
HALF = (torch.bfloat16, torch.float16)
# Values per chunk of inputs. Small, because a network may be far wider than its input.
CHUNK = 2**18
# Logits per chunk: 16 MB. It matters only beyond a thousand classes.
LOGITS = 2**22

_Result = TypeVar("_Result")


def full_precision(logits: Any) -> Any:
    """Convert logits of half precision, as from ``torch.autocast``, to float32.

    Margins and losses are differences of logits, which half precision would round to zero.

    Parameters
    ----------
    logits : torch.Tensor of shape (n_samples, n_classes) or object

    Returns
    -------
    logits : torch.Tensor of shape (n_samples, n_classes) or object
        The argument itself if it is not a tensor of half precision.
    """
    return logits.float() if getattr(logits, "dtype", None) in HALF else logits


def logit_margins(
    logits: torch.Tensor, y: torch.Tensor, dtype: torch.dtype | None = None
) -> torch.Tensor:
    r"""Margin of each sample: the logit of its class minus the largest other logit.

    .. math:: m_i = f_{y_i}(x_i) - \max_{j \ne y_i} f_j(x_i)

    It can be differentiated: its gradient is that of one difference of two logits, also where
    several classes tie for the largest.

    Parameters
    ----------
    logits : torch.Tensor of shape (n_samples, n_classes)
        Of two or more classes.
    y : torch.Tensor of int64 of shape (n_samples,)
        Class indices.
    dtype : torch.dtype, default=None
        Dtype of the margins; None is that of ``logits``. In a wider one, the difference of
        two logits is not rounded.

    Returns
    -------
    margins : torch.Tensor of shape (n_samples,)

    Examples
    --------
    >>> import torch
    >>> from margin_sklearn.adapters import logit_margins
    >>> logit_margins(torch.tensor([[2.0, 0.5, -1.0], [0.0, 1.0, 3.0]]), torch.tensor([0, 1]))
    tensor([ 1.5000, -2.0000])
    """
    own = y[:, None]
    others = logits.scatter(1, own, -math.inf)
    # amax is faster, but shares its gradient out among classes that tie.
    records = others.requires_grad
    largest_other = others.max(dim=1).values if records else others.amax(dim=1)
    # The other operand is converted on the way.
    return logits.gather(1, own)[:, 0].to(dtype or logits.dtype) - largest_other


@dataclass(frozen=True)
class Network:
    """A fitted estimator as a torch module that computes logits.

    Parameters
    ----------
    module : torch.nn.Module
        Takes inputs of shape (n_samples, ...) and returns logits of shape (n_samples,
        n_classes), or of shape (n_samples, 1) or (n_samples,) with the logit of class 1
        relative to class 0.
    prepare : callable
        Converts rows of the transformed ``X`` to an array or sparse matrix of numbers, in the
        form that the module takes. It must treat each row independently of the others, because
        it may be called on parts of ``X``.
    encode : callable
        Converts labels to class indices; raises a ValueError for labels that were not seen in
        fit.
    dtype : torch.dtype, default=torch.float32
        Dtype of the module's input.
    device : torch.device, default=torch.device("cpu")
        Device of the module.
    n_threads : int or None, default=None
        Number of CPU threads for computation; None leaves torch's setting unchanged.
    transformers : tuple of fitted transformers, default=()
        Transformers of the Pipeline before the network, in order.
    guard : callable, default=contextlib.nullcontext
        ``guard()`` is a context in which no other thread changes the module.
    """

    module: nn.Module
    prepare: Callable[[Any], Any]
    encode: Callable[[Any], Any]
    dtype: torch.dtype = torch.float32
    device: torch.device = CPU
    n_threads: int | None = None
    transformers: tuple[Any, ...] = ()
    guard: Callable[[], AbstractContextManager[Any]] = nullcontext

    def transform(self, X: Any) -> Any:
        """Apply the transformers of the Pipeline.

        All rows are transformed in one call, because the result for one row may depend on the
        other rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            As the Pipeline takes it.

        Returns
        -------
        X_transformed : array-like of shape (n_samples, ...)
            ``X`` itself if there are no transformers.
        """
        for transformer in self.transformers:
            X = transformer.transform(X)
        return X

    def inputs(self, rows: Any) -> torch.Tensor:
        """Convert rows of the transformed ``X`` to inputs of the module.

        Parameters
        ----------
        rows : array-like of shape (n_rows, ...)
            Rows after the transformers.

        Returns
        -------
        x : torch.Tensor of shape (n_rows, ...)
            With its own memory: the module may modify it in place.
        """
        return self.tensor(self.prepare(rows))

    def tensor(self, prepared: Any) -> torch.Tensor:
        """Convert the result of ``prepare`` to inputs of the module.

        Parameters
        ----------
        prepared : ndarray or sparse matrix of shape (n_rows, ...)
            What ``prepare`` returned.

        Returns
        -------
        x : torch.Tensor of shape (n_rows, ...)
            With its own memory: the module may modify it in place.
        """
        return to_tensor(prepared, self.device, self.dtype, copy=True)

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Compute logits.

        Parameters
        ----------
        x : torch.Tensor of shape (n_samples, ...)
            Inputs of the module. Not changed, even if the module modifies its input in place.

        Returns
        -------
        logits : torch.Tensor of shape (n_samples, n_classes)
            A single binary logit becomes two columns, the first of them zero.

        Raises
        ------
        TypeError
            If the module takes integers and ``x`` is not an integer tensor, or if its output
            is not a matrix of logits.
        """
        if x.is_floating_point() and not self.dtype.is_floating_point:
            raise TypeError(
                f"{type(self.module).__name__} takes whole numbers (codes) as input, so "
                "margins can be computed only at the samples and without gradients. Use "
                "scale=None or another scale that needs no gradient, with at='samples'."
            )
        output = self.module(x.clone())
        if isinstance(output, tuple):
            output = output[0]
        if output.ndim == 1:
            output = output[:, None]
        if output.ndim != 2:
            raise TypeError(
                f"{type(self.module).__name__} returns an array of shape "
                f"{tuple(output.shape)}; margins need logits of shape (n_samples, n_classes)."
            )
        output = full_precision(output)
        if output.shape[1] == 1:
            output = torch.cat([torch.zeros_like(output), output], dim=1)
        return output

    def check_labels(self, x: torch.Tensor, y: np.ndarray) -> int:
        """Raise unless the network has an output for each class index.

        Parameters
        ----------
        x : torch.Tensor of shape (n_inputs, ...)
            Inputs of the module, of which one is enough: their logits are counted.
        y : ndarray of int of shape (n,)
            Class indices.

        Returns
        -------
        n_outputs : int
            Number of logits per input.

        Raises
        ------
        ValueError
            If a class index is negative or not below the number of outputs.
        """
        with self.evaluating(), torch.no_grad():
            n_outputs = self.logits(x).shape[1]
        if y.min() < 0 or y.max() >= n_outputs:
            bad = y.min() if y.min() < 0 else y.max()
            raise ValueError(f"y holds label {bad}, but the network has {n_outputs} outputs.")
        return n_outputs

    def margins(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Compute margins in logits, without gradients.

        Parameters
        ----------
        x : torch.Tensor of shape (n_samples, ...)
            Inputs of the module.
        y : torch.Tensor of int64 of shape (n_samples,)
            Class indices.

        Returns
        -------
        margins : torch.Tensor of shape (n_samples,)
        """
        with torch.no_grad():
            return logit_margins(self.logits(x), y)

    def in_chunks(
        self,
        function: Callable[[torch.Tensor, slice], _Result],
        inputs: Callable[[slice], torch.Tensor],
        n: int,
        width: int,
        *,
        per_row: int = 1,
        n_outputs: int = 1,
    ) -> Iterator[tuple[slice, _Result]]:
        """Evaluate a function of the network on many rows, chunk by chunk.

        During the loop the module is in evaluation mode and torch uses the network's number of
        threads. Both are restored when the loop ends, also by ``break`` or an error. Gradients
        are recorded unless ``function`` disables them.

        Parameters
        ----------
        function : callable
            Called as ``function(x, chunk)``, where ``x`` is the result of ``inputs(chunk)``.
        inputs : callable
            ``inputs(chunk)`` returns the inputs of the module for a slice of the rows.
        n : int
            Number of rows.
        width : int
            Number of values per input; determines the number of rows per chunk.
        per_row : int, default=1
            Number of inputs per row.
        n_outputs : int, default=1
            Number of logits per input. Chunks get shorter where there are very many.

        Yields
        ------
        chunk : slice
            Of the rows.
        result : object
            The result of ``function``.
        """
        length = min(chunk_length(width, limit=CHUNK), max(16, LOGITS // n_outputs))
        step = max(1, length // per_row)
        with self.evaluating():
            for start in range(0, n, step):
                chunk = slice(start, min(start + step, n))
                yield chunk, function(inputs(chunk), chunk)

    @contextmanager
    def evaluating(self) -> Iterator["Network"]:
        """Set evaluation mode, gradients and the number of threads; restore them afterwards.

        Yields
        ------
        network : Network
            The network itself.
        """
        with self.guard():
            training = {module for module in self.module.modules() if module.training}
            if training:
                self.module.eval()
            try:
                n_threads = self.n_threads if self.device.type == "cpu" else None
                with recording(), torch_threads(n_threads):
                    yield self
            finally:
                if self.module in training:
                    # Not only the flags: a module may do more when its mode changes.
                    self.module.train()
                if training:
                    for module in self.module.modules():
                        module.training = module in training
