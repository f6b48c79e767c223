"""A fitted network as one thing: inputs → logits."""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from ..data.batches import to_tensor
from ..runtime import recording, torch_threads

__all__ = ["Network", "full_precision"]

CPU = torch.device("cpu")
HALF = (torch.bfloat16, torch.float16)


def full_precision(logits):
    """Logits as float32 where they are of half precision (torch.autocast), else as they are.

    Margins and losses are differences of logits, which half precision would round away.
    """
    return logits.float() if getattr(logits, "dtype", None) in HALF else logits


def _as_it_is(X):
    return X


@dataclass(frozen=True)
class Network:
    """A fitted estimator as a torch module from inputs to logits.

    Attributes
    ----------
    module : torch.nn.Module
        Inputs of shape (n, ...) to logits of shape (n, n_classes), or (n, 1) with the logit
        of class 1 against class 0.
    prepare : callable
        Rows of the transformed ``X`` to numbers as the module sees them: array or sparse
        matrix. Row by row: it may be given them in pieces.
    encode : callable
        Labels to class indices; raises a ValueError for labels never seen in fitting.
    dtype : torch.dtype
    device : torch.device
    n_threads : int or None
        CPU threads to compute with; None leaves torch's setting.
    transform : callable
        The user's ``X``, all of it, to what ``prepare`` takes rows of: the transformers of a
        Pipeline, whose result for a row may depend on the others.
    """

    module: nn.Module
    prepare: Callable
    encode: Callable
    dtype: torch.dtype = torch.float32
    device: torch.device = CPU
    n_threads: int | None = None
    transform: Callable = _as_it_is

    def inputs(self, rows):
        """Rows of the transformed ``X`` as a tensor for the module, which may write to it."""
        return to_tensor(self.prepare(rows), self.device, self.dtype, copy=True)

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
