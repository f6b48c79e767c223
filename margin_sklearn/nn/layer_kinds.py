"""Which torch modules are what: the one list of each kind of layer."""

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
# Pointwise and without weights, by the names of their functions in torch.nn.functional.
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
# With those that have weights, draw at random, jump, or halve the channels.
ACTIVATION_LAYERS = (*POINTWISE_ACTIVATIONS, nn.GLU, nn.PReLU, nn.RReLU, nn.Threshold)


def is_batch_norm(module):
    """Whether a module is a batch norm, whose statistics come from whole batches."""
    return isinstance(module, BATCH_NORMS)
