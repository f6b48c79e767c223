"""The linear layers of a feed-forward network, in order of execution, batch norm folded in."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse.linalg import LinearOperator, svds
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from ..nn.layer_kinds import ACTIVATIONS, CONVOLUTIONS, POINTWISE_ACTIVATIONS, is_batch_norm

__all__ = ["Layer", "convolution_like", "linear_layers", "norm_factor", "trace_chain"]

# What else a chain may hold: modules, and functions and tensor methods of one tensor by name.
_MODULES = {
    "activation": POINTWISE_ACTIVATIONS,
    "shape": (nn.Flatten, nn.Unflatten),
    "average": (
        nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d,
        nn.AdaptiveAvgPool3d,
    ),
    "maximum": (
        nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d,
        nn.AdaptiveMaxPool3d,
    ),
    "transparent": (
        nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout,
    ),
}  # fmt: skip
_FUNCTIONS = {
    # As methods of a tensor, some end in an underscore; torch calls one log_sigmoid.
    "activation": {*ACTIVATIONS, *(f"{name}_" for name in ACTIVATIONS), "log_sigmoid"},
    "shape": {
        "flatten", "unflatten", "reshape", "view", "contiguous", "squeeze", "unsqueeze",
    },
    "average": {
        "mean", "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d",
        "adaptive_avg_pool2d", "adaptive_avg_pool3d",
    },
    "transparent": {"dropout", "dropout2d", "dropout3d", "alpha_dropout"},
}  # fmt: skip
# These go by another name where they are called.
_MAXIMUM_FUNCTIONS = (
    F.max_pool1d,
    F.max_pool2d,
    F.max_pool3d,
    F.adaptive_max_pool1d,
    F.adaptive_max_pool2d,
    F.adaptive_max_pool3d,
)
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
        convolution = convolution_like(self.convolution, self.weight)
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
    _, steps = trace_chain(module, example)
    return _fold(steps)


class _Step(NamedTuple):
    """An operation on the way from input to output."""

    kind: str
    source: nn.Module | None  # None for a function
    shape: tuple  # of one sample where the operation takes it in
    node: fx.Node
    before: fx.Node


def trace_chain(module, example):
    """The module as a graph, and its steps from input to output."""
    try:
        # Wrapped, so that a module that is a single layer is seen as one, too.
        graph = fx.symbolic_trace(nn.Sequential(module))
        ShapeProp(graph).propagate(example.detach())
    except Exception as error:  # whatever a user's forward raises when traced
        raise _unsupported(f"its forward cannot be traced ({error})") from error
    steps = _steps(graph)
    if not any(step.kind in ("linear", "norm") for step in steps):
        raise _unsupported("it has no linear layer")
    return graph, steps


def _steps(graph):
    steps: list[_Step] = []
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
        kind, source = _classify(graph, node)
        shape = tuple(current.meta["tensor_meta"].shape[1:])
        steps.append(_Step(kind, source, shape, node, current))
        current = node
    return steps


def _classify(graph, node):
    if node.op == "call_module":
        layer = graph.get_submodule(node.target)
        if isinstance(layer, (nn.Linear, *CONVOLUTIONS)):
            return "linear", layer
        if is_batch_norm(layer):
            if layer.running_var is None:
                raise _unsupported("a batch norm keeps no running statistics")
            return "norm", layer
        for kind, classes in _MODULES.items():
            if isinstance(layer, classes):
                return kind, layer
        raise _unsupported(f"it contains {type(layer).__name__}")
    if node.target in _MAXIMUM_FUNCTIONS:
        return "maximum", None
    for kind, names in _FUNCTIONS.items():
        if _name(node) in names:
            return kind, None
    raise _unsupported(f"it calls {_name(node)!r}")


def _name(node):
    return (
        node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    )


def _fold(steps):
    layers, pending, behind_linear = [], None, False
    for kind, source, shape, *_ in steps:
        if kind == "linear":
            weight = source.weight.detach().to("cpu", torch.float64)
            if pending is not None:
                weight = weight * _per_input(pending, weight, source)
                pending = None
            convolution = None if isinstance(source, nn.Linear) else source
            layers.append(Layer(weight, convolution, shape))
            behind_linear = True
        elif kind == "norm":
            factor = norm_factor(source)
            if behind_linear:
                last = layers[-1]
                last.weight = last.weight * factor.reshape(-1, *[1] * (last.weight.ndim - 1))
            else:
                pending = factor if pending is None else pending * factor
        elif kind != "transparent":
            behind_linear = False
    if pending is not None:
        layers.append(Layer(torch.diag(pending), None, (len(pending),)))
    return layers


def norm_factor(norm):
    """What a batch norm multiplies each channel by in evaluation mode, in float64."""
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


def convolution_like(convolution, weight):
    """A convolution with that weight, and without bias, hooks and parametrizations."""
    kind: Any = next(kind for kind in CONVOLUTIONS if isinstance(convolution, kind))
    bare = kind(
        convolution.in_channels,
        convolution.out_channels,
        convolution.kernel_size,
        convolution.stride,
        convolution.padding,
        convolution.dilation,
        convolution.groups,
        bias=False,
        padding_mode=convolution.padding_mode,
        device="meta",  # draws no random weights
    )
    bare.weight = nn.Parameter(weight, requires_grad=False)
    return bare


def _unsupported(reason):
    return TypeError(
        "The norms of the layers say nothing for this network: " + reason + ". "
        "Norm products need a chain of linear layers, convolutions, batch norms, pointwise "
        "activations and poolings. scale='distance' works for every differentiable network."
    )
