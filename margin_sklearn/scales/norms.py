"""Margins over norms of the weights, or as they are."""

import math

import torch

from ..adapters.network import logit_margins
from .chain import linear_layers
from .path_norm import log_path_norm

__all__ = ["frobenius", "path", "raw", "spectral"]


def raw(network, example):
    r"""Margins as they are, in units of logits: :math:`m_i`.

    They grow with every factor on the weights, so they compare samples of one network, not
    networks. Cost: one forward pass.

    Parameters
    ----------
    network : Network
    example : torch.Tensor of shape (1, ...)

    Returns
    -------
    scaled : callable
        ``(x, y) -> margins``: tensors of shapes (n, ...), (n,) and (n,).
    """

    def scaled(x, y):
        with torch.no_grad():
            return logit_margins(network.logits(x).double(), y)

    return scaled


def frobenius(network, example):
    r"""Margins over the product of the layers' Frobenius norms,
    :math:`m_i / \prod_l \lVert W_l \rVert_F`.

    The normaliser of the margin bounds for homogeneous networks (Neyshabur et al. 2015, arXiv
    1503.00036, which bound the Rademacher complexity by it); batch norm is folded into the
    layer before it, in the order of execution; a filter of a convolution counts once; biases
    do not count. Invariant under scaling one layer of a ReLU network by c and the next by
    1/c. It is known to rank wrongly across widths and depths (Jiang et al. 2020, arXiv
    1912.02178). Cost: one forward pass.

    Parameters
    ----------
    network : Network
        A chain of linear layers, convolutions, batch norms, activations and poolings.
    example : torch.Tensor of shape (1, ...)

    Returns
    -------
    scaled : callable
        ``(x, y) -> margins``: tensors of shapes (n, ...), (n,) and (n,).

    Raises
    ------
    TypeError
        If the network is no such chain (residual, attention, recurrent).
    ValueError
        If the weights of a layer are all zero.
    """
    layers = linear_layers(network.module, example)
    return _over(network, example, _log_product(layer.frobenius_norm() for layer in layers))


def spectral(network, example):
    r"""Margins over the product of the layers' largest singular values,
    :math:`m_i / \prod_l \lVert W_l \rVert_2`.

    With 1-Lipschitz activations and poolings the product bounds how fast logits can change
    with the input (Szegedy et al. 2014, arXiv 1312.6199; the leading factor of Bartlett et al.
    2017, arXiv 1706.08498, without their correction by (2,1)-norms), so up to a factor of
    :math:`\sqrt 2` this is a lower bound on the distance to the decision boundary. For a
    convolution it is the norm of the whole linear map on inputs of the given size, with its
    padding and stride, by Lanczos iteration to machine precision, not that of the reshaped
    filter. Overlapping max-poolings, whose Lipschitz constant exceeds 1, are counted as 1.
    Invariances, batch norm and cost as for :func:`frobenius`.

    Parameters
    ----------
    network : Network
        A chain of linear layers, convolutions, batch norms, activations and poolings.
    example : torch.Tensor of shape (1, ...)

    Returns
    -------
    scaled : callable
        ``(x, y) -> margins``: tensors of shapes (n, ...), (n,) and (n,).

    Raises
    ------
    TypeError
        If the network is no such chain (residual, attention, recurrent).
    ValueError
        If the weights of a layer are all zero.
    """
    layers = linear_layers(network.module, example)
    return _over(network, example, _log_product(layer.spectral_norm() for layer in layers))


def path(network, example):
    r"""Margins over the path norm, :math:`m_i \big/ \sqrt{\sum_p \prod_{w \in p} w^2}`.

    The sum is over all paths :math:`p` from a number of the input to an output, through one
    number of each layer in between; :math:`w` are the weights on the path. It is the path
    regularizer, with p = 2, of Neyshabur et al. 2015 (arXiv 1506.02617, section 3); its square
    over that of the margin is a measure of Jiang et al. 2020 (arXiv 1912.02178, eq. 43) and
    Dziugaite et al. 2020 (arXiv 2010.11924). For one linear layer it is the Frobenius norm.

    Each position of a filter of a convolution is a weight of its own, and so is each
    repetition of an input that its padding mode makes; paths from padding by zeros do not
    count. Batch norm is folded, that is, its factors are weights on the paths through it. An
    average pooling over k numbers has the weights 1/k. A max-pooling lets one of its numbers
    through: counted is the choice with the largest sum (more paths than can be active at a
    time do not count). Activations pass paths on, and biases do not count.

    Invariant under scaling the weights into a hidden unit of a ReLU network by c and those out
    of it by 1/c, unit by unit; so also under scaling layers. Cost: one forward pass, and one
    in float64 on the CPU for one sample.

    Parameters
    ----------
    network : Network
        A chain of linear layers, convolutions, batch norms, activations and poolings.
    example : torch.Tensor of shape (1, ...)

    Returns
    -------
    scaled : callable
        ``(x, y) -> margins``: tensors of shapes (n, ...), (n,) and (n,).

    Raises
    ------
    TypeError
        If the network is no such chain (residual, attention, recurrent).
    ValueError
        If each path has a weight of zero.

    Examples
    --------
    Weights into and out of two hidden units, and the four paths:

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


def _log_product(norms):
    return sum(math.log(norm) if norm else -math.inf for norm in norms)


def _over(network, example, log_norm):
    # In logarithms: the norm of many layers can leave the range of floats.
    if log_norm == -math.inf:
        raise ValueError(
            "The weights of a layer, or one weight of each path through the layers, are all "
            "zero: so is the norm, and no margin can be divided by it."
        )
    margins_of = raw(network, example)
    # Half before and half after: neither factor overflows where the result does not.
    factor = math.exp(-log_norm / 2)
    return lambda x, y: margins_of(x, y) * factor * factor
