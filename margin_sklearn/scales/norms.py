"""Margins divided by norms of the weights, and margins in logits."""

import math
from collections.abc import Callable, Iterable

import torch

from ..adapters.network import Network, logit_margins
from .chain import linear_layers
from .path_norm import log_path_norm

__all__ = ["frobenius", "path", "raw", "spectral"]

_Scaled = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def raw(network: Network, example: torch.Tensor) -> _Scaled:
    r"""Margins in logits, not divided by anything: :math:`m_i`.

    They grow if the weights are multiplied by a factor, so they can be used to compare samples
    of one network, but not networks. Cost: one forward pass.

    Parameters
    ----------
    network : Network
        The network whose margins are scaled.
    example : torch.Tensor of shape (1, ...)
        Not used.

    Returns
    -------
    scaled : callable
        ``(x, y) -> margins``: inputs of shape (n, ...), class indices of shape (n,) and
        margins of float64 of shape (n,).
    """

    def scaled(x, y):
        with torch.no_grad():
            return logit_margins(network.logits(x), y, torch.float64)

    return scaled


def frobenius(network: Network, example: torch.Tensor) -> _Scaled:
    r"""Margins over the product of the layers' Frobenius norms,
    :math:`m_i / \prod_l \lVert W_l \rVert_F`.

    The normaliser of the margin bounds for homogeneous networks (Neyshabur et al. 2015, arXiv
    1503.00036, who bound the Rademacher complexity by it). Batch norm is folded into the layer
    before it, in the order of execution. Each filter of a convolution is counted once, and
    biases are not counted. Invariant under scaling one layer of a ReLU network by c and the
    next by 1/c. It is known to rank networks of different widths and depths incorrectly (Jiang
    et al. 2020, arXiv 1912.02178). Cost: one forward pass.

    Parameters
    ----------
    network : Network
        A chain of linear layers, convolutions, batch norms, activations and poolings.
    example : torch.Tensor of shape (1, ...)
        Input of the network; only its shape is used.

    Returns
    -------
    scaled : callable
        ``(x, y) -> margins``: inputs of shape (n, ...), class indices of shape (n,) and
        margins of float64 of shape (n,).

    Raises
    ------
    TypeError
        If the network is not such a chain (residual, attention, recurrent).
    ValueError
        If the weights of a layer are all zero.
    """
    layers = linear_layers(network.module, example)
    return _over(network, example, _log_product(layer.frobenius_norm() for layer in layers))


def spectral(network: Network, example: torch.Tensor) -> _Scaled:
    r"""Margins over the product of the layers' largest singular values,
    :math:`m_i / \prod_l \lVert W_l \rVert_2`.

    If activations and poolings are 1-Lipschitz, the product bounds how fast the logits can
    change with the input (Szegedy et al. 2014, arXiv 1312.6199; it is the leading factor of
    Bartlett et al. 2017, arXiv 1706.08498, without their correction by (2,1)-norms). Up to a
    factor of :math:`\sqrt 2`, the result is therefore a lower bound on the distance to the
    decision boundary. The norm of a convolution is that of the linear map on inputs of the
    given size, with padding and stride, computed by Lanczos iteration to machine precision; it
    is not the norm of the reshaped filter. The Lipschitz constant of overlapping max-poolings
    exceeds 1 but is taken as 1. Invariances, batch norm and cost are as for :func:`frobenius`.

    Parameters
    ----------
    network : Network
        A chain of linear layers, convolutions, batch norms, activations and poolings.
    example : torch.Tensor of shape (1, ...)
        Input of the network; only its shape is used.

    Returns
    -------
    scaled : callable
        ``(x, y) -> margins``: inputs of shape (n, ...), class indices of shape (n,) and
        margins of float64 of shape (n,).

    Raises
    ------
    TypeError
        If the network is not such a chain (residual, attention, recurrent).
    ValueError
        If the weights of a layer are all zero.
    """
    layers = linear_layers(network.module, example)
    return _over(network, example, _log_product(layer.spectral_norm() for layer in layers))


def path(network: Network, example: torch.Tensor) -> _Scaled:
    r"""Margins over the path norm, :math:`m_i \big/ \sqrt{\sum_p \prod_{w \in p} w^2}`.

    The sum is over all paths :math:`p` from a unit of the input to an output, through one unit
    of each layer; :math:`w` are the weights on the path. It is the path regularizer, with
    p = 2, of Neyshabur et al. 2015 (arXiv 1506.02617, section 3). Its square divided by the
    square of the margin is a measure of Jiang et al. 2020 (arXiv 1912.02178, eq. 43) and
    Dziugaite et al. 2020 (arXiv 2010.11924). For one linear layer it is the Frobenius norm.

    A filter of a convolution contributes its weights at every position. If the padding mode
    repeats inputs, each repetition is a path; zero padding adds no paths. Batch norm is
    folded: its factors are weights on the paths through it. An average pooling over k units
    has the weights 1/k. A max-pooling passes on one of its units, the one with the largest sum
    of paths, because only one can be active at a time. Activations do not change paths, and
    biases are not counted.

    Invariant under scaling the weights into a hidden unit of a ReLU network by c and the
    weights out of it by 1/c, for each unit separately, and hence under scaling layers. Cost:
    one forward pass, and one in float64 on the CPU for one sample.

    Parameters
    ----------
    network : Network
        A chain of linear layers, convolutions, batch norms, activations and poolings.
    example : torch.Tensor of shape (1, ...)
        Input of the network; only its shape is used.

    Returns
    -------
    scaled : callable
        ``(x, y) -> margins``: inputs of shape (n, ...), class indices of shape (n,) and
        margins of float64 of shape (n,).

    Raises
    ------
    TypeError
        If the network is not such a chain (residual, attention, recurrent).
    ValueError
        If every path has a weight of zero.

    Examples
    --------
    Two hidden units, hence four paths from the input to the outputs:

    >>> import numpy as np
    >>> import torch
    >>> from margin_sklearn.adapters.network import Network
    >>> from margin_sklearn.scales import path
    >>> module = torch.nn.Sequential(
    ...     torch.nn.Linear(1, 2, bias=False),
    ...     torch.nn.ReLU(),
    ...     torch.nn.Linear(2, 2, bias=False),
    ... )
    >>> with torch.no_grad():
    ...     _ = module[0].weight.copy_(torch.tensor([[1.0], [2.0]]))
    ...     _ = module[2].weight.copy_(torch.tensor([[4.0, 3.0], [1.0, 2.0]]))
    >>> network = Network(module, np.asarray, np.asarray)
    >>> x, y = torch.tensor([[1.0]]), torch.tensor([0])
    >>> scaled = path(network, x)
    >>> margin = 1 * 4 + 2 * 3 - (1 * 1 + 2 * 2)
    >>> paths = (1 * 4) ** 2 + (2 * 3) ** 2 + (1 * 1) ** 2 + (2 * 2) ** 2
    >>> round(scaled(x, y).item(), 6) == round(margin / paths**0.5, 6)
    True
    """
    return _over(network, example, log_path_norm(network.module, example))


def _log_product(norms: Iterable[float]) -> float:
    return sum(math.log(norm) if norm else -math.inf for norm in norms)


def _over(network: Network, example: torch.Tensor, log_norm: float) -> _Scaled:
    # Logarithms, because the norm of many layers may overflow or underflow.
    if log_norm == -math.inf:
        raise ValueError(
            "The weights of a layer, or one weight on every path through the layers, are all "
            "zero. The norm is zero as well, so margins cannot be divided by it. "
            "scale='distance' works for every differentiable network."
        )
    margins_of = raw(network, example)
    # Divided by the square root twice: neither factor overflows unless the result does.
    factor = math.exp(-log_norm / 2)
    return lambda x, y: margins_of(x, y) * factor * factor
