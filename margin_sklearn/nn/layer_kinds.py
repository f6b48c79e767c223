"""Classes of torch modules by kind: the only such lists in the package."""

from torch import nn

__all__ = [
    "ACTIVATIONS",
    "ACTIVATION_LAYERS",
    "BATCH_NORMS",
    "CONVOLUTIONS",
    "POINTWISE_ACTIVATIONS",
    "is_batch_norm",
]

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
# Pointwise activations without weights, by the name of the function in torch.nn.functional.
ACTIVATIONS = {
    "celu": nn.CELU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "hardshrink": nn.Hardshrink,
    "hardsigmoid": nn.Hardsigmoid,
    "hardswish": nn.Hardswish,
    "hardtanh": nn.Hardtanh,
    "leaky_relu": nn.LeakyReLU,
    "logsigmoid": nn.LogSigmoid,
    "mish": nn.Mish,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "selu": nn.SELU,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "softshrink": nn.Softshrink,
    "softsign": nn.Softsign,
    "tanh": nn.Tanh,
    "tanhshrink": nn.Tanhshrink,
}
POINTWISE_ACTIVATIONS = tuple(ACTIVATIONS.values())
# Also activations that have weights, are random, are discontinuous or halve the channels.
ACTIVATION_LAYERS = (*POINTWISE_ACTIVATIONS, nn.GLU, nn.PReLU, nn.RReLU, nn.Threshold)


def is_batch_norm(module: nn.Module) -> bool:
    """Whether a module is a batch norm, which computes its statistics over a batch.

    Parameters
    ----------
    module : torch.nn.Module

    Returns
    -------
    batch_norm : bool
        False for lazy batch norms before their first batch has set their class.
    """
    return isinstance(module, BATCH_NORMS)
