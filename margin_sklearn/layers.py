"""The linear layers of a feed-forward network, in order of execution, batch norm folded in."""

import copy
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse.linalg import LinearOperator, svds
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp

__all__ = ["Layer", "linear_layers"]

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_TRANSPARENT = (
    nn.Identity,
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
)
_POINTWISE = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.ELU,
    nn.SELU,
    nn.CELU,
    nn.GELU,
    nn.SiLU,
    nn.Mish,
    nn.Softplus,
    nn.Tanh,
    nn.Sigmoid,
    nn.Hardtanh,
    nn.Flatten,
    nn.Unflatten,
    nn.MaxPool1d,
    nn.MaxPool2d,
    nn.MaxPool3d,
    nn.AvgPool1d,
    nn.AvgPool2d,
    nn.AvgPool3d,
    nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveAvgPool3d,
    nn.AdaptiveMaxPool1d,
    nn.AdaptiveMaxPool2d,
    nn.AdaptiveMaxPool3d,
)
# Functions and tensor methods of one tensor, by name.
_FUNCTIONS = {
    "relu", "relu_", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "softplus",
    "tanh", "sigmoid", "hardtanh", "flatten", "unflatten", "reshape", "view", "contiguous",
    "squeeze", "unsqueeze", "mean", "avg_pool1d", "avg_pool2d", "avg_pool3d",
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d",
}  # fmt: skip
_POOLS = (
    F.max_pool1d,
    F.max_pool2d,
    F.max_pool3d,
    F.adaptive_max_pool1d,
    F.adaptive_max_pool2d,
    F.adaptive_max_pool3d,
)
_TRANSPARENT_FUNCTIONS = {"dropout", "dropout2d", "dropout3d", "alpha_dropout"}
_SHAPE_FUNCTIONS = {"size", "dim", "getattr", "numel", "len"}


@dataclass
class Layer:
    """One linear layer: a matrix, or a convolution with the shape of what it takes in.

    Attributes
    ----------
    weight : torch.Tensor of float64
        Of shape (n_outputs, n_inputs, ...), batch norm folded in.
    convolution : torch.nn.Module or None
        The convolution the weight belongs to.
    input_shape : tuple of int
        Shape of one sample where the layer takes it in.
    """

    weight: torch.Tensor
    convolution: nn.Module | None
    input_shape: tuple

    def frobenius_norm(self):
        """Norm of the weights as one vector (a filter counts once)."""
        return self.weight.norm().item()

    def spectral_norm(self):
        """Largest singular value of the layer as a linear map, padding and stride included."""
        if self.convolution is None:
            return torch.linalg.matrix_norm(self.weight, ord=2).item()
        convolution = copy.deepcopy(self.convolution).to("cpu", torch.float64)
        convolution.weight = nn.Parameter(self.weight, requires_grad=False)
        convolution.register_parameter("bias", None)
        x = torch.zeros(1, *self.input_shape, dtype=torch.float64, requires_grad=True)
        y = convolution(x)

        def forward(vector):
            with torch.no_grad():
                return convolution(torch.from_numpy(vector).reshape(x.shape)).numpy().ravel()

        def adjoint(vector):
            cotangent = torch.from_numpy(vector).reshape(y.shape)
            return torch.autograd.grad(y, x, cotangent, retain_graph=True)[0].numpy().ravel()

        n_inputs, n_outputs = x.numel(), y.numel()
        if min(n_inputs, n_outputs) <= 64:
            if n_inputs <= n_outputs:
                matrix = np.stack([forward(row) for row in np.eye(n_inputs)])
            else:
                matrix = np.stack([adjoint(row) for row in np.eye(n_outputs)])
            return float(np.linalg.norm(matrix, 2))
        operator = LinearOperator(
            (n_outputs, n_inputs), matvec=forward, rmatvec=adjoint, dtype=np.float64
        )
        start = np.random.default_rng(0).standard_normal(min(n_inputs, n_outputs))
        return float(svds(operator, k=1, v0=start, return_singular_vectors=False)[0])


def linear_layers(module, example):
    """Linear layers of ``module`` in the order in which they run.

    A batch norm right behind a layer is folded into it, γ/√(σ²+ε) a channel; one that stands
    elsewhere (behind an activation or a pooling, or first of all) into the layer that follows,
    or, as the last of all, is a diagonal layer of its own.

    Parameters
    ----------
    module : torch.nn.Module
        A chain: each operation takes the result of the one before it.
    example : torch.Tensor of shape (1, ...)
        One sample; only its shape counts.

    Returns
    -------
    layers : list of Layer

    Raises
    ------
    TypeError
        If the network is no such chain (residual, attention, recurrent), or has an operation
        that is not known here.
    """
    try:
        # Wrapped, so that a module that is a single layer is seen as one, too.
        graph = fx.symbolic_trace(nn.Sequential(module))
        ShapeProp(graph).propagate(example.detach())
    except Exception as error:  # whatever a user's forward raises when traced
        raise _unsupported(f"its forward cannot be traced ({error})") from error
    return _fold(_chain(graph))


def _chain(graph):
    """(kind, payload, input shape) of each operation on the way from input to output."""
    steps: list[tuple] = []
    current: fx.Node | None = None
    shapes: set[fx.Node] = set()
    for node in graph.graph.nodes:
        if node.op == "placeholder":
            if current is None:
                current = node
            elif node.users:
                raise _unsupported("its forward takes more than one input")
            continue
        if node.op == "output":
            if node.args[0] is not current:
                raise _unsupported("its output is not a single tensor at the end of a chain")
            continue
        tensors = [source for source in node.all_input_nodes if source not in shapes]
        if _name(node) in _SHAPE_FUNCTIONS or (not tensors and node.op != "get_attr"):
            shapes.add(node)
            continue
        if current is None or tensors != [current]:
            raise _unsupported(
                f"{_name(node)!r} does not simply follow the operation before it"
            )
        shape = tuple(current.meta["tensor_meta"].shape[1:])
        current = node
        steps.append((*_classify(graph, node), shape))
    return steps


def _classify(graph, node):
    if node.op == "call_module":
        layer = graph.get_submodule(node.target)
        if isinstance(layer, (nn.Linear, *_CONVOLUTIONS)):
            return "linear", layer
        if isinstance(layer, _BATCH_NORMS):
            if layer.running_var is None:
                raise _unsupported("a batch norm keeps no running statistics")
            return "norm", layer
        if isinstance(layer, _TRANSPARENT):
            return "transparent", None
        if isinstance(layer, _POINTWISE):
            return "other", None
        raise _unsupported(f"it contains {type(layer).__name__}")
    if _name(node) in _TRANSPARENT_FUNCTIONS:
        return "transparent", None
    if node.target in _POOLS or _name(node) in _FUNCTIONS:
        return "other", None
    raise _unsupported(f"it calls {_name(node)!r}")


def _name(node):
    return (
        node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    )


def _fold(steps):
    layers, pending, behind_linear = [], None, False
    for kind, source, shape in steps:
        if kind == "linear":
            weight = source.weight.detach().to("cpu", torch.float64)
            if pending is not None:
                weight = weight * _per_input(pending, weight, source)
                pending = None
            convolution = None if isinstance(source, nn.Linear) else source
            layers.append(Layer(weight, convolution, shape))
            behind_linear = True
        elif kind == "norm":
            factor = _factor(source)
            if behind_linear:
                last = layers[-1]
                last.weight = last.weight * factor.reshape(-1, *[1] * (last.weight.ndim - 1))
            else:
                pending = factor if pending is None else pending * factor
        elif kind == "other":
            behind_linear = False
    if pending is not None:
        layers.append(Layer(torch.diag(pending), None, (len(pending),)))
    if not layers:
        raise _unsupported("it has no linear layer")
    return layers


def _factor(norm):
    variance = norm.running_var.detach().to("cpu", torch.float64)
    factor = (variance + norm.eps).rsqrt()
    return (
        factor
        if norm.weight is None
        else factor * norm.weight.detach().to("cpu", torch.float64)
    )


def _per_input(pending, weight, source):
    """Factors of the channels before a layer, laid out as the layer's inputs."""
    groups = getattr(source, "groups", 1)
    n_inputs = weight.shape[1] * groups
    if n_inputs % len(pending):
        raise _unsupported("a batch norm's channels do not reach the next layer in order")
    factor = pending.repeat_interleave(n_inputs // len(pending))
    if groups > 1:
        # Row o of a grouped filter sees the inputs of its group only.
        rows = factor.reshape(groups, -1).repeat_interleave(weight.shape[0] // groups, dim=0)
        return rows.reshape(*rows.shape, *[1] * (weight.ndim - 2))
    return factor.reshape(1, -1, *[1] * (weight.ndim - 2))


def _unsupported(reason):
    return TypeError(
        "The norms of the layers say nothing for this network: " + reason + ". "
        "Norm products need a chain of linear layers, convolutions, batch norms, pointwise "
        "activations and poolings. scale='distance' works for every differentiable network."
    )
