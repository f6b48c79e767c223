r"""What a margin is divided by, so that networks can be compared: one function a scale.

A scale takes a :class:`~margin_sklearn.adapters.network.Network` and one sample as the network sees
it, looks at the weights once, and returns a function from a batch ``(x, y)`` to the scaled
margins of that batch. ``SCALES`` names them; :func:`margins`, the scorers and the displays
take these names. A scale that has to know how the data vary takes more samples:
``SAMPLE_SIZES`` says how many.
"""

import math

import torch

from ..training.callbacks import logit_margins
from .chain import linear_layers
from .hidden_layers import (
    check_number,
    margin_gradients,
    of_input,
    of_layers,
    total_variations,
)
from .path_norm import log_path_norm

__all__ = [
    "SAMPLE_SIZES",
    "SCALES",
    "check_scale",
    "distance",
    "frobenius",
    "path",
    "raw",
    "spectral",
    "total_variation",
]


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
    >>> from margin_sklearn.scales.registry import path
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
        margin, (norm,) = margin_gradients(network, x, y, of_input)
        if norm is None:
            raise _no_gradient(network, "at its input")
        return _over_gradient(margin, norm)

    return scaled


def total_variation(network, sample):
    r"""Mean over the layers of the first-order distance in units of how far the layer varies.

    .. math:: \frac 1 {|L|} \sum_{l \in L} \frac{f_{y}(x) - f_{j^*}(x)}
                   {\lVert \nabla_{x_l} (f_{y} - f_{j^*})(x) \rVert_2 \sqrt{\nu_l}},
              \qquad j^* = \arg\max_{j \ne y} f_j(x),

    where :math:`x_l` is the output of layer :math:`l`, :math:`x_0` the input, and
    :math:`\nu_l` the total variation of :math:`x_l`: the trace of its covariance over
    ``sample``, divided by n. These are the margins of Jiang et al. 2019 (arXiv 1810.00113),
    the first-order distance at a layer with their normalization by the total variation. They
    predict the generalization gap from quantiles of all layers; here it is the mean of the
    layers, of signed values, so that it has the sign of the margin.

    Hidden layers are the outputs of the activation modules (``nn.ReLU``, ...), once for each
    time that they run, also where they work in place. A network without activation modules
    (functional activations, a linear model) has the outputs of its modules with a matrix
    ``weight`` instead, but for the last, which gives the logits. Left out are layers that are
    the same for all samples, that the logits do not depend on, that the gradient does not
    reach (the input of an embedding), or whose first axis is not the samples; the states of
    recurrent layers; and what is inside TorchScript. For a linear model it is the distance
    over :math:`\sqrt{\nu_0}`.

    Invariant under scaling all logits, scaling the inputs along with the first weights, and
    scaling one layer of a ReLU network by c and the next by 1/c; not unit by unit. It depends
    on ``sample``: up to 1000 samples, evenly spaced, of those that the margins are asked of.
    Where a gradient vanishes: ``inf`` or ``-inf``. Cost: one forward and one backward pass,
    with two copies of the hidden layers, and a forward pass of ``sample``.

    Parameters
    ----------
    network : Network
    sample : torch.Tensor of shape (n, ...)
        Two or more different samples.

    Returns
    -------
    scaled : callable
        ``(x, y) -> margins``: tensors of shapes (n, ...), (n,) and (n,).

    Raises
    ------
    TypeError
        If there is no gradient, neither at the input nor at a hidden layer that can be seen.
    ValueError
        If no layer varies over ``sample``.

    Examples
    --------
    A linear model that looks at the first of two numbers: at 1 the boundary is 1 away, and
    the inputs vary by 4 + 5.

    >>> import numpy as np
    >>> import torch
    >>> from margin_sklearn.adapters.network import Network
    >>> from margin_sklearn.scales.registry import total_variation
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
            f"Each layer of {type(network.module).__name__}, from the input on, is the same "
            f"for all {len(sample)} samples, so that no margin can be divided by how far it "
            "varies. scale='distance' needs no samples that differ."
        )

    def scaled(x, y):
        margin, norms = margin_gradients(network, x, y, of_layers)
        check_number(network, norms, variations)
        distances = [
            _over_gradient(margin, norm * math.sqrt(variation))
            for norm, variation in zip(norms, variations, strict=True)
            if norm is not None and variation != 0
        ]
        if not distances:
            raise _no_gradient(network, "at its input and at no hidden layer that can be seen")
        return sum(distances) / len(distances)

    return scaled


def _over_gradient(margin, norm):
    return torch.where(margin == 0, margin, margin / norm)


def _no_gradient(network, where):
    return TypeError(
        f"{type(network.module).__name__} has no gradient {where} (does it turn x into "
        "integers, for an embedding?), so there is no distance to its decision boundary. "
        "scale=None gives margins in logits."
    )


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


SCALES = {
    None: raw,
    "distance": distance,
    "frobenius": frobenius,
    "path": path,
    "spectral": spectral,
    "total_variation": total_variation,
}

# How many samples a scale takes at most to see how the data vary; others take one.
SAMPLE_SIZES = {total_variation: 1000}


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
