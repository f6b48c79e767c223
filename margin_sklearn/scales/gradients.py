"""Margins over the norm of their gradient: first-order distances to the decision boundary."""

import math

import torch

from .hidden_layers import (
    check_number,
    margin_gradients,
    of_input,
    of_layers,
    total_variations,
)

__all__ = ["distance", "total_variation"]


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
