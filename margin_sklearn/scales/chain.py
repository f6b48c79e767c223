"""Linear layers of a feed-forward network in the order of execution, batch norm folded in."""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import fx, nn

from ..nn.embeddings import PeriodicEmbedding
from ..nn.layer_kinds import ACTIVATIONS, CONVOLUTIONS, POINTWISE_ACTIVATIONS, is_batch_norm
from .layers import Layer, linear_weight, norm_factor

__all__ = [
    "Chain",
    "Step",
    "linear_layers",
    "trace_chain",
]

# Other modules that a chain may contain, and names of functions and tensor methods.
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
    # Methods that work in place end in an underscore; log_sigmoid is another logsigmoid.
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
# Compared by identity, because the name of the function that is called is another one.
_MAXIMUM_FUNCTIONS = (
    F.max_pool1d,
    F.max_pool2d,
    F.max_pool3d,
    F.adaptive_max_pool1d,
    F.adaptive_max_pool2d,
    F.adaptive_max_pool3d,
)
_SHAPE_FUNCTIONS = {"size", "dim", "getattr", "numel", "len"}


def linear_layers(module: nn.Module, example: torch.Tensor) -> list[Layer]:
    """Linear layers of a module in the order of execution.

    A batch norm directly after a linear layer is folded into that layer, with the factor
    γ/√(σ²+ε) per channel. A batch norm in another place (at the beginning, or after an
    activation or a pooling) is folded into the next linear layer; if there is none, it becomes
    a diagonal layer.

    Parameters
    ----------
    module : torch.nn.Module
        A chain: each operation takes only the result of the one before it.
    example : torch.Tensor of shape (1, ...)
        Input of the module; only its shape is used.

    Returns
    -------
    layers : list of Layer

    Raises
    ------
    TypeError
        If the network is not such a chain (residual, attention, recurrent), or contains an
        unknown operation.
    """
    return _fold(trace_chain(module, example).steps)


class Step(NamedTuple):
    """An operation of a chain.

    Parameters
    ----------
    kind : {"linear", "norm", "activation", "shape", "average", "maximum", "transparent"}
    source : torch.nn.Module or None
        The module that is called; None for a function or a method.
    shape : tuple of int
        Shape of the operation's input for one sample.
    node : torch.fx.Node
        The operation in the graph.
    before : torch.fx.Node
        The operation that computes its input.
    """

    kind: str
    source: Any
    shape: tuple[int, ...]
    node: fx.Node
    before: fx.Node


class Chain(NamedTuple):
    """A traced module.

    Parameters
    ----------
    root : torch.nn.Module
        A container with the module; its own parts, not copies.
    graph : torch.fx.Graph
    steps : list of Step
        The operations from input to output.
    """

    root: nn.Module
    graph: fx.Graph
    steps: list[Step]


class _Shapes(fx.Interpreter):
    """Runs a graph and notes the shape of each result."""

    def run_node(self, node: fx.Node) -> Any:
        result = super().run_node(node)
        node.meta["shape"] = getattr(result, "shape", ())
        return result


def trace_chain(module: nn.Module, example: torch.Tensor) -> Chain:
    """Trace a module as a graph, and list its operations from input to output.

    Parameters
    ----------
    module : torch.nn.Module
        A chain: each operation takes only the result of the one before it.
    example : torch.Tensor of shape (1, ...)
        Input of the module; only its shape is used.

    Returns
    -------
    chain : Chain

    Raises
    ------
    TypeError
        As for :func:`linear_layers`.
    """
    try:
        # Wrapped, because tracing does not record the call of the outermost module, which may
        # be a single layer. No GraphModule is made: compiling its code takes longer than this.
        root = nn.Sequential(module)
        graph = _Tracer().trace(root)
        with torch.no_grad():
            _Shapes(root, graph=graph).run(example.detach())
    except Exception as error:  # a user's forward may raise anything when traced
        raise _unsupported(f"its forward cannot be traced ({error})") from error
    steps = _steps(root, graph)
    if not any(step.kind in ("linear", "norm") for step in steps):
        raise _unsupported("it has no linear layer")
    return Chain(root, graph, steps)


class _Tracer(fx.Tracer):
    """Numerical embeddings are single operations, like torch's layers."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if isinstance(m, PeriodicEmbedding):
            return True
        return super().is_leaf_module(m, module_qualified_name)


def _steps(root: nn.Module, graph: fx.Graph) -> list[Step]:
    steps: list[Step] = []
    current: fx.Node | None = None
    shapes: set[fx.Node] = set()
    for node in graph.nodes:
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
                f"{_name(node)!r} does not take just the result of the operation before it"
            )
        kind, source = _classify(root, node)
        shape = tuple(current.meta["shape"][1:])
        steps.append(Step(kind, source, shape, node, current))
        current = node
    return steps


def _classify(root: nn.Module, node: fx.Node) -> tuple[str, nn.Module | None]:
    if node.op == "call_module":
        layer = root.get_submodule(str(node.target))
        if isinstance(layer, (nn.Linear, PeriodicEmbedding, *CONVOLUTIONS)):
            return "linear", layer
        if is_batch_norm(layer):
            if layer.running_var is None:
                raise _unsupported("it has a batch norm without running statistics")
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


def _name(node: fx.Node) -> str:
    return (
        node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    )


def _fold(steps: list[Step]) -> list[Layer]:
    layers: list[Layer] = []
    pending: torch.Tensor | None = None
    after_linear = False
    for kind, source, shape, *_ in steps:
        if kind == "linear":
            weight = linear_weight(source)
            if pending is not None:
                weight = weight * _per_input(pending, weight, source)
                pending = None
            convolution = source if isinstance(source, CONVOLUTIONS) else None
            layers.append(Layer(weight, convolution, shape))
            after_linear = True
        elif kind == "norm":
            factor = norm_factor(source)
            if after_linear:
                last = layers[-1]
                last.weight = last.weight * factor.reshape(-1, *[1] * (last.weight.ndim - 1))
            else:
                pending = factor if pending is None else pending * factor
        elif kind != "transparent":
            after_linear = False
    if pending is not None:
        layers.append(Layer(torch.diag(pending), None, (len(pending),)))
    return layers


def _per_input(pending: torch.Tensor, weight: torch.Tensor, source: nn.Module) -> torch.Tensor:
    """Factors of the channels before a layer, in the shape of the layer's weight."""
    groups: Any = getattr(source, "groups", 1)
    n_inputs = weight.shape[1] * groups
    if n_inputs % len(pending):
        raise _unsupported(
            f"the {len(pending)} channels of a batch norm do not match the {n_inputs} inputs "
            "of the next layer"
        )
    factor = pending.repeat_interleave(n_inputs // len(pending))
    if groups > 1:
        # An output of a grouped convolution depends on the inputs of its group only.
        rows = factor.reshape(groups, -1).repeat_interleave(weight.shape[0] // groups, dim=0)
        return rows.reshape(*rows.shape, *[1] * (weight.ndim - 2))
    return factor.reshape(1, -1, *[1] * (weight.ndim - 2))


def _unsupported(reason: str) -> TypeError:
    return TypeError(
        f"Norms of the weights cannot be used to scale the margins of this network: {reason}. "
        "They require a chain of linear layers, convolutions, batch norms, pointwise "
        "activations and poolings. scale='distance' works for every differentiable network."
    )
