"""The path norm of a feed-forward network: a sum over all paths through its weights."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from ..nn.layer_kinds import CONVOLUTIONS
from .chain import Chain, Step, trace_chain
from .layers import convolution_like, linear_weight, norm_factor

__all__ = ["log_path_norm"]


def log_path_norm(module: nn.Module, example: torch.Tensor) -> float:
    r"""Logarithm of the path norm, the square root of the sum over paths of squared weights.

    .. math:: \log \sqrt{\sum_p \prod_{w \in p} w^2},

    over all paths :math:`p` from a number of the input to an output, with :math:`w` the
    weights on the path. The sum is computed in one forward pass: it is the sum of the outputs
    for an input of ones, with each weight replaced by its square, without biases and
    activations.
    :func:`~margin_sklearn.scales.path` defines the paths.

    Parameters
    ----------
    module : torch.nn.Module
        A chain: each operation takes only the result of the one before it.
    example : torch.Tensor of shape (1, ...)
        Input of the module; only its shape is used.

    Returns
    -------
    log_norm : float
        ``-inf`` if every path has a weight of zero.

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
    chain = trace_chain(module, example)
    return _SquaredWeights(chain).log_sum(example.shape[1:]) / 2


class _SquaredWeights(fx.Interpreter):
    """Runs a chain with the squares of its weights and without its activations.

    All intermediate results are positive. They are divided by their maximum after each step,
    and the logarithms of the maxima are added up.
    """

    def __init__(self, chain: Chain) -> None:
        super().__init__(chain.root, graph=chain.graph)
        self.steps = {step.node: step for step in chain.steps}
        self.log_factor = 0.0

    def log_sum(self, shape: torch.Size) -> float:
        """Logarithm of the sum of the outputs for an input of ones of a given shape."""
        with torch.no_grad():
            total = self.run(torch.ones(1, *shape, dtype=torch.float64)).sum().item()
        return math.log(total) + self.log_factor if total != 0 else -math.inf

    def run_node(self, node: fx.Node) -> Any:
        step = self.steps.get(node)
        if step is None or step.kind == "shape":
            return super().run_node(node)
        x = self.env[step.before]
        if step.kind == "linear":
            weight = self._squares(linear_weight(step.source, power=2))
            if isinstance(step.source, CONVOLUTIONS):
                return self._bounded(convolution_like(step.source, weight)(x))
            return self._bounded(F.linear(x, weight))
        if step.kind == "norm":
            factor = self._squares(norm_factor(step.source))
            return self._bounded(x * factor.reshape(-1, *[1] * (x.ndim - 2)))
        if step.kind == "maximum":
            return self._bounded(super().run_node(node))
        if step.kind == "average":
            return self._bounded(self._squared_average(step, x))
        return x

    def _squares(self, values: torch.Tensor) -> torch.Tensor:
        return self._bounded(values.abs(), power=2) ** 2

    def _bounded(self, values: torch.Tensor, power: int = 1) -> torch.Tensor:
        top = values.max().item()
        if top == 0:
            return values
        self.log_factor += power * math.log(top)
        return values / top

    def _squared_average(self, step: Step, x: torch.Tensor) -> torch.Tensor:
        def average(values: torch.Tensor) -> torch.Tensor:
            self.env[step.before] = values
            return super(_SquaredWeights, self).run_node(step.node)

        # Each output is the sum over a box of terms, times one weight. The side lengths of the
        # box can be computed without knowing padding and divisor from the variance of the
        # positions in it, which is (n² - 1) / 12 for n consecutive positions.
        sums = average(torch.ones_like(x))
        n_terms = torch.ones_like(sums)
        for axis, n in enumerate(x.shape):
            positions = torch.arange(n, dtype=x.dtype) - (n - 1) / 2
            positions = positions.reshape(-1, *[1] * (x.ndim - axis - 1)).expand_as(x)
            variance = average(positions**2) / sums - (average(positions) / sums) ** 2
            n_terms *= (12 * variance + 1).sqrt().round()
        return average(x) * sums / n_terms
