"""Margins divided by the norm of their gradient: first-order distances to the boundary."""

import math
from collections.abc import Callable

import torch

from ..adapters.network import Network, logit_margins
from ..nn.stacked_modules import StackedModules
from .hidden_layers import (
    check_number,
    margin_gradients,
    of_input,
    of_layers,
    row_norms,
    total_variations,
)

__all__ = ["distance", "distance_together", "total_variation"]

_Scaled = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def distance(network: Network, example: torch.Tensor) -> _Scaled:
    r"""Signed first-order distance to the decision boundary, in units of the inputs.

    .. math:: \frac{f_{y}(x) - f_{j^*}(x)}
                   {\lVert \nabla_x (f_{y} - f_{j^*})(x) \rVert_2},
              \qquad j^* = \arg\max_{j \ne y} f_j(x).

    For linear models it is exact: the geometric margin to the boundary with class
    :math:`j^*`. For other networks it is the linear estimate of Elsayed et al. 2018 (arXiv
    1803.05598, eq. 2-3, with the 2-norm). The distance is measured in the input space of the
    network, after the transformers of a Pipeline. It works for every differentiable network,
    and is invariant under scaling all logits and under every change of the weights that does
    not change the function. If the gradient is zero, the sample is infinitely far from the
    boundary, to first order: ``inf`` or ``-inf``. Cost: one forward and one backward pass.

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
        margins of float64 of shape (n,). It raises a TypeError if the network has no gradient
        at its input.
    """

    def scaled(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        margin, (norm,) = margin_gradients(network, x, y, of_input)
        if norm is None:
            raise _no_gradient(network, "at its input")
        return _over_gradient(margin, norm)

    return scaled


def distance_together(stack: StackedModules, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """:func:`distance` for many networks of one architecture at the same inputs.

    Parameters
    ----------
    stack : StackedModules
    x : torch.Tensor of shape (n, ...)
        Inputs.
    y : torch.Tensor of int64 of shape (n,)
        Class indices.

    Returns
    -------
    margins : torch.Tensor of float64 of shape (n_networks, n)
    """
    inputs = x.detach().expand(len(stack), *x.shape).clone().requires_grad_()
    with torch.enable_grad():
        # Of a copy, because a first layer may work in place.
        logits = stack.logits(inputs.clone())
        margin = logit_margins(logits.flatten(0, 1), y.repeat(len(stack)))
        (gradient,) = torch.autograd.grad(margin.sum(), inputs)
    norm = row_norms(gradient.flatten(0, 1))
    return _over_gradient(margin.detach().double(), norm).view(len(stack), -1)


def total_variation(network: Network, sample: torch.Tensor) -> _Scaled:
    r"""Mean over the layers of the first-order distance, in units of the layer's variation.

    .. math:: \frac 1 {|L|} \sum_{l \in L} \frac{f_{y}(x) - f_{j^*}(x)}
                   {\lVert \nabla_{x_l} (f_{y} - f_{j^*})(x) \rVert_2 \sqrt{\nu_l}},
              \qquad j^* = \arg\max_{j \ne y} f_j(x),

    where :math:`x_l` is the output of layer :math:`l`, :math:`x_0` the input, and
    :math:`\nu_l` the total variation of :math:`x_l`: the trace of its covariance over
    ``sample``, with divisor n. These are the margins of Jiang et al. 2019 (arXiv 1810.00113),
    the first-order distance at a layer with their normalization by the total variation. They
    predict the generalization gap from quantiles over all layers. Here the result is the mean
    of the signed values over the layers, so it has the sign of the margin.

    The hidden layers are the outputs of the activation modules (``nn.ReLU``, ...), once per
    call, also if they work in place. In a network without activation modules (with functional
    activations, or linear), they are the outputs of the modules with a matrix ``weight``,
    except for the last such module, which computes the logits. A layer is omitted if it is
    constant over the samples, if the logits do not depend on it, if it has no gradient (the
    input of an embedding), or if its first axis is not that of the samples. The states of
    recurrent layers and everything inside TorchScript are omitted as well. For a linear model
    the result is the distance divided by :math:`\sqrt{\nu_0}`.

    Invariant under scaling all logits, under scaling the inputs and the first weights
    inversely, and under scaling one layer of a ReLU network by c and the next by 1/c, but not
    under scaling single units. It depends on ``sample``: up to 1000 evenly spaced samples of
    those that the margins are computed for. If a gradient is zero: ``inf`` or ``-inf``. Cost:
    one forward and one backward pass, with two copies of the hidden layers, and a forward pass
    of ``sample``.

    Parameters
    ----------
    network : Network
        The network whose margins are scaled.
    sample : torch.Tensor of shape (n_samples, ...)
        Two or more different samples.

    Returns
    -------
    scaled : callable
        ``(x, y) -> margins``: inputs of shape (n, ...), class indices of shape (n,) and
        margins of float64 of shape (n,). It raises a TypeError if there is no gradient at the
        input and at any hidden layer.

    Raises
    ------
    TypeError
        If the number of hidden layers differs between samples.
    ValueError
        If every layer is constant over ``sample``.

    Examples
    --------
    A linear model of the first of two features. The sample at 1 has distance 1 from the
    boundary, and the total variation of the inputs is 4 + 5.

    >>> import numpy as np
    >>> import torch
    >>> from margin_sklearn.adapters.network import Network
    >>> from margin_sklearn.scales import total_variation
    >>> module = torch.nn.Linear(2, 1, bias=False)
    >>> with torch.no_grad():
    ...     _ = module.weight.copy_(torch.tensor([[3.0, 0.0]]))
    >>> network = Network(module, np.asarray, np.asarray)
    >>> sample = torch.tensor([[2.0, 5.0**0.5], [-2.0, -(5.0**0.5)]])
    >>> scaled = total_variation(network, sample)
    >>> round(scaled(torch.tensor([[1.0, 0.0]]), torch.tensor([1])).item(), 6)
    0.333333
    """
    variations = total_variations(network, sample)
    if not any(variations):
        raise ValueError(
            f"The input and all hidden layers of {type(network.module).__name__} are the same "
            f"for all {len(sample)} samples, so margins cannot be divided by their variation. "
            "Pass samples that differ, or use scale='distance'."
        )

    def scaled(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        margin, norms = margin_gradients(network, x, y, of_layers)
        check_number(network, norms, variations)
        distances = [
            _over_gradient(margin, norm * math.sqrt(variation))
            for norm, variation in zip(norms, variations, strict=True)
            if norm is not None and variation != 0
        ]
        if not distances:
            raise _no_gradient(network, "at its input and at no hidden layer")
        return sum(distances[1:], distances[0]) / len(distances)

    return scaled


def _over_gradient(margin: torch.Tensor, norm: torch.Tensor) -> torch.Tensor:
    return torch.where(margin == 0, margin, margin / norm)


def _no_gradient(network: Network, where: str) -> TypeError:
    return TypeError(
        f"{type(network.module).__name__} has no gradient {where} (does it convert x to "
        "integers, for an embedding?), so its distance to the decision boundary is undefined. "
        "Use scale=None for margins in logits."
    )
