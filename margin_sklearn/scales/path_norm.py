"""The path norm of a feed-forward network: a sum over all ways through its weights."""

import math

import torch
import torch.nn.functional as F
from torch import fx, nn

from .chain import convolution_like, norm_factor, trace_chain

__all__ = ["log_path_norm"]


def log_path_norm(module, example):
    r"""Logarithm of the path norm: half that of the sum over paths of the squared weights.

    With the squares of the weights for weights, no biases, activations left out, and ones for
    inputs, this sum is that of the outputs. :func:`~margin_sklearn.scales.path` says which
    paths count.

    Parameters
    ----------
    module : torch.nn.Module
        A chain: each operation takes the result of the one before it.
    example : torch.Tensor of shape (1, ...)
        One sample; only its shape counts.

    Returns
    -------
    log_norm : float
        ``-inf`` where no path has a weight other than zero.

    Raises
    ------
    TypeError
        As for :func:`~margin_sklearn.scales.chain.linear_layers`.

    Examples
    --------
    >>> import math, torch
    >>> from margin_sklearn.scales.path_norm import log_path_norm
    >>> linear = torch.nn.Linear(2, 1)
    >>> with torch.no_grad():
    ...     _ = linear.weight.copy_(torch.tensor([[3.0, -4.0]]))
    >>> round(math.exp(log_path_norm(linear, torch.zeros(1, 2))), 6)
    5.0
    """
    graph, steps = trace_chain(module, example)
    return _SquaredWeights(graph, steps).log_sum(example.shape[1:]) / 2


class _SquaredWeights(fx.Interpreter):
    """Runs a chain with the squares of its weights, activations left out.

    What is run is positive, so it can be brought to a maximum of 1 after each step; the
    logarithms of the maxima are kept.
    """

    def __init__(self, graph, steps):
        super().__init__(graph)
        self.steps = {step.node: step for step in steps}
        self.log_factor = 0.0

    def log_sum(self, shape):
        """Logarithm of the sum of the outputs for an input of ones of that shape."""
        with torch.no_grad():
            total = self.run(torch.ones(1, *shape, dtype=torch.float64)).sum().item()
        return math.log(total) + self.log_factor if total != 0 else -math.inf

    def run_node(self, node):
        step = self.steps.get(node)
        if step is None or step.kind == "shape":
            return super().run_node(node)
        x = self.env[step.before]
        if step.kind == "linear":
            weight = self._squares(step.source.weight.detach().to("cpu", torch.float64))
            if isinstance(step.source, nn.Linear):
                return self._bounded(F.linear(x, weight))
            return self._bounded(convolution_like(step.source, weight)(x))
        if step.kind == "norm":
            factor = self._squares(norm_factor(step.source))
            return self._bounded(x * factor.reshape(-1, *[1] * (x.ndim - 2)))
        if step.kind == "maximum":
            return self._bounded(super().run_node(node))
        if step.kind == "average":
            return self._bounded(self._squared_average(step, x))
        return x

    def _squares(self, values):
        return self._bounded(values.abs(), power=2) ** 2

    def _bounded(self, values, power=1):
        top = values.max().item()
        if top == 0:
            return values
        self.log_factor += power * math.log(top)
        return values / top

    def _squared_average(self, step, x):
        def average(values):
            self.env[step.before] = values
            return super(_SquaredWeights, self).run_node(step.node)

        # Each result adds up a box of n terms with one weight for all of them. Whatever its
        # padding and divisor, the sides of the box follow from the variance of the positions
        # in it, which is (n² - 1) / 12 for n in a row.
        sums = average(torch.ones_like(x))
        n_terms = torch.ones_like(sums)
        for axis, n in enumerate(x.shape):
            positions = torch.arange(n, dtype=x.dtype) - (n - 1) / 2
            positions = positions.reshape(-1, *[1] * (x.ndim - axis - 1)).expand_as(x)
            variance = average(positions**2) / sums - (average(positions) / sums) ** 2
            n_terms *= (12 * variance + 1).sqrt().round()
        return average(x) * sums / n_terms
