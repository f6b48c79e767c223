"""A fitted network as one object: rows to inputs to logits."""

import math
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from ..data.rows import chunk_length, to_tensor
from ..runtime import recording, torch_threads

__all__ = ["Network", "full_precision", "logit_margins"]

CPU = torch.device("cpu")
HALF = (torch.bfloat16, torch.float16)
# Numbers per chunk of inputs. A network may be far wider than its input, so this is small.
CHUNK = 2**18


def full_precision(logits):
    """Logits as float32 where they are of half precision (torch.autocast), else as they are.

    Margins and losses are differences of logits, which half precision would round away.
    """
    return logits.float() if getattr(logits, "dtype", None) in HALF else logits


def logit_margins(logits, y):
    r"""Margin of each sample: the logit of its class minus the largest other logit.

    .. math:: m_i = f_{y_i}(x_i) - \max_{j \ne y_i} f_j(x_i)

    The other class is chosen first, so that the margin can be differentiated: its gradient is
    that of one difference of two logits, also where several classes tie.

    Parameters
    ----------
    logits : torch.Tensor of shape (n, n_classes)
    y : torch.Tensor of int64 of shape (n,)
        Class indices.

    Returns
    -------
    margins : torch.Tensor of shape (n,)
        Of the dtype of ``logits``.

    Examples
    --------
    >>> import torch
    >>> from margin_sklearn.adapters import logit_margins
    >>> logit_margins(torch.tensor([[2.0, 0.5, -1.0], [0.0, 1.0, 3.0]]), torch.tensor([0, 1]))
    tensor([ 1.5000, -2.0000])
    """
    own = y[:, None]
    other = logits.detach().scatter(1, own, -math.inf).argmax(dim=1, keepdim=True)
    # Where every other logit is -inf, argmax may give the class itself.
    other = torch.where(other == own, (own + 1) % logits.shape[1], other)
    return (logits.gather(1, own) - logits.gather(1, other))[:, 0]


@dataclass(frozen=True)
class Network:
    """A fitted estimator as a torch module from inputs to logits.

    Parameters
    ----------
    module : torch.nn.Module
        Inputs of shape (n, ...) to logits of shape (n, n_classes), or (n, 1) with the logit
        of class 1 against class 0.
    prepare : callable
        Rows of the transformed ``X`` to numbers as the module sees them: array or sparse
        matrix. It works row by row, because it may be given the rows in pieces.
    encode : callable
        Labels to class indices; raises a ValueError for labels never seen in fitting.
    dtype : torch.dtype, default=torch.float32
        Of the module's input.
    device : torch.device, default=torch.device("cpu")
    n_threads : int or None, default=None
        CPU threads to compute with; None leaves torch's setting.
    transformers : tuple of fitted transformers, default=()
        The steps of a Pipeline before the network, in order.
    """

    module: nn.Module
    prepare: Callable
    encode: Callable
    dtype: torch.dtype = torch.float32
    device: torch.device = CPU
    n_threads: int | None = None
    transformers: tuple = ()

    def transform(self, X):
        """``X`` as ``prepare`` takes rows of it.

        All rows are transformed at once: what a transformer makes of one row may depend on
        the others.
        """
        for transformer in self.transformers:
            X = transformer.transform(X)
        return X

    def inputs(self, rows):
        """Rows of the transformed ``X`` as a tensor for the module, which may write to it."""
        return self.tensor(self.prepare(rows))

    def tensor(self, prepared):
        """What ``prepare`` returned, as a tensor of its own memory for the module."""
        return to_tensor(prepared, self.device, self.dtype, copy=True)

    def logits(self, x):
        """Logits of shape (n, n_classes), two columns for a single binary logit.

        ``x`` stays as it is, whatever the module does to its input.
        """
        if x.is_floating_point() and not self.dtype.is_floating_point:
            raise TypeError(
                f"{type(self.module).__name__} takes whole numbers (codes), between which "
                "there is nothing: no margin can be taken off the samples, and none by the "
                "gradient. Scales at the samples that need no gradient can be used, such as "
                "scale=None."
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

    def check_labels(self, x, y):
        """Raise unless the network has an output for each class index.

        Parameters
        ----------
        x : torch.Tensor of shape (n_inputs, ...)
            Inputs of the module, of which one is enough: their logits are counted.
        y : ndarray of int of shape (n,)
            Class indices.

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

    def margins(self, x, y):
        """Margins in logits, without gradients.

        Parameters
        ----------
        x : torch.Tensor of shape (n, ...)
            Inputs of the module.
        y : torch.Tensor of int64 of shape (n,)
            Class indices.

        Returns
        -------
        margins : torch.Tensor of shape (n,)
        """
        with torch.no_grad():
            return logit_margins(self.logits(x), y)

    def in_chunks(self, function, inputs, n, width, *, per_row=1):
        """Evaluate the network on many rows: the one loop over chunks of them.

        The module is in evaluation mode and torch has the network's number of threads;
        gradients are recorded where ``function`` does not switch them off.

        Parameters
        ----------
        function : callable
            ``function(x, chunk)``, with ``x`` what ``inputs`` returned.
        inputs : callable
            ``inputs(chunk)`` gives the inputs of the rows in a slice.
        n : int
            Number of rows.
        width : int
            Numbers per input, from which the length of the chunks follows.
        per_row : int, default=1
            Inputs per row.

        Yields
        ------
        chunk : slice
        result
            What ``function`` returned.
        """
        step = max(1, chunk_length(width, limit=CHUNK) // per_row)
        with self.evaluating():
            for start in range(0, n, step):
                chunk = slice(start, min(start + step, n))
                yield chunk, function(inputs(chunk), chunk)

    @contextmanager
    def evaluating(self):
        """Evaluation mode, gradients and the network's number of threads; put back later."""
        training = [module for module in self.module.modules() if module.training]
        self.module.eval()
        try:
            n_threads = self.n_threads if self.device.type == "cpu" else None
            with recording(), torch_threads(n_threads):
                yield self
        finally:
            for module in training:
                module.training = True
