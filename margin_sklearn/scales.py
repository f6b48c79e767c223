r"""What a margin is divided by, so that networks can be compared: one function a scale.

A scale takes a :class:`~margin_sklearn.networks.Network` and one sample as the network sees
it, looks at the weights once, and returns a function from a batch ``(x, y)`` to the scaled
margins of that batch. ``SCALES`` names them; :func:`margins`, the scorers and the displays
take these names.
"""

import math

import torch

from .callbacks import logit_margins
from .layers import linear_layers

__all__ = ["SCALES", "check_scale", "distance", "frobenius", "raw", "spectral"]


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
    """
    layers = linear_layers(network.module, example)
    return _over_product(network, example, [layer.frobenius_norm() for layer in layers])


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
    """
    layers = linear_layers(network.module, example)
    return _over_product(network, example, [layer.spectral_norm() for layer in layers])


def distance(network, example):
    r"""Signed first-order distance to the decision boundary, in units of the inputs.

    .. math:: \frac{f_{y}(x) - f_{j^*}(x)}
                   {\lVert \nabla_x (f_{y} - f_{j^*})(x) \rVert_2},
              \qquad j^* = \arg\max_{j \ne y} f_j(x).

    Exact for linear models, where it is the geometric margin to the boundary with the
    runner-up; for others the linear estimate of Elsayed et al. 2018 (arXiv 1803.05598,
    eq. 2-3, with the 2-norm). Taken where the network sees the data: behind the transformers
    of a Pipeline. Invariant under everything that leaves the function as it is, and under
    scaling all logits; it works for every differentiable network. Where the gradient
    vanishes, the sample is infinitely far from the boundary, to this order: ``inf`` or
    ``-inf``. Cost: one forward and one backward pass.

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
        x = x.detach().requires_grad_()
        # cuDNN has no backward pass for recurrent networks in evaluation mode. A copy of x
        # goes in: the network may work in place.
        with torch.enable_grad(), torch.backends.cudnn.flags(enabled=not _recurrent(network)):
            logits = network.logits(x.clone())
            rivals = logits.detach().scatter(1, y[:, None], -math.inf).argmax(dim=1)
            margin = (
                logits.gather(1, y[:, None]) - logits.gather(1, rivals[:, None])
            ).squeeze(1)
            if not margin.requires_grad:
                raise _no_gradient(network)
            (gradient,) = torch.autograd.grad(margin.sum(), x, allow_unused=True)
            if gradient is None:
                raise _no_gradient(network)
        margin = margin.detach().double()
        norm = torch.linalg.vector_norm(gradient.double().flatten(1), dim=1)
        return torch.where(margin == 0, margin, margin / norm)

    return scaled


def _no_gradient(network):
    return TypeError(
        f"{type(network.module).__name__} has no gradient at its input (does it turn x into "
        "integers, for an embedding?), so there is no distance to its decision boundary. "
        "scale=None gives margins in logits."
    )


def _recurrent(network):
    return any(isinstance(module, torch.nn.RNNBase) for module in network.module.modules())


def _over_product(network, example, norms):
    # In logarithms: the product of many norms can leave the range of floats.
    if min(norms) == 0:
        raise ValueError(
            "A layer's weights are all zero, so the product of the norms is zero and no "
            "margin can be divided by it."
        )
    log_norm = sum(math.log(norm) for norm in norms)
    margins_of = raw(network, example)
    # Half before and half after: neither factor overflows where the result does not.
    factor = math.exp(-log_norm / 2)
    return lambda x, y: margins_of(x, y) * factor * factor


SCALES = {None: raw, "distance": distance, "frobenius": frobenius, "spectral": spectral}


def check_scale(scale):
    """The function a scale's name stands for.

    Raises
    ------
    ValueError
        If there is no scale of that name.
    """
    if not isinstance(scale, str | None) or scale not in SCALES:
        raise ValueError(f"scale must be one of {list(SCALES)}, got {scale!r}.")
    return SCALES[scale]
