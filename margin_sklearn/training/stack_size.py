"""How many networks to train as one: measured, so that stacking is not slower."""

import torch

__all__ = ["MOST_ON_CPU", "bytes_of_one", "stack_sizes"]

# On a CPU, measured with benchmarks/stack_speed.py: networks per stack beyond which no time is
# saved, and floating-point operations of a forward pass per sample beyond which stacking is
# not faster. Small networks gain because a step is mostly overhead; large ones lose because
# the weights of several do not stay in the cache.
MOST_ON_CPU = 16
MOST_FLOPS_LAYERED, MOST_FLOPS_VMAPPED = 300_000, 50_000
# torch.func.vmap costs as much as several small steps.
FEWEST_LAYERED, FEWEST_VMAPPED = 2, 8
# On a GPU, a step of a small network is the time of launching its operations.
MOST_ON_GPU = 1024
# Share of the free memory of a GPU that a stack may take.
SHARE_OF_MEMORY = 0.5
# Copies of the weights (stacked ones, gradients, two moments and temporaries; and weights and
# moments of each network itself) and of the outputs of the layers for a batch that training
# keeps. Besides logits and their copy, numbers per sample that an epoch keeps: the order, of
# eight bytes, and margins.
COPIES_OF_WEIGHTS, COPIES_OF_ACTIVATIONS, COPIES_OF_SAMPLES = 12, 8, 8


def stack_sizes(layered, flops, device, n_bytes):
    """The fewest and the most networks that should be trained as one.

    Parameters
    ----------
    layered : bool
        Whether they are computed layer by layer, see
        :class:`~margin_sklearn.nn.stacked_modules.StackedModules`.
    flops : float
        Floating-point operations of a forward pass per sample.
    device : torch.device
    n_bytes : float
        Memory that each takes, from :func:`bytes_of_one`.

    Returns
    -------
    fewest, most : int
        ``most`` is 1 if the networks should be trained one by one.
    """
    fewest = FEWEST_LAYERED if layered else FEWEST_VMAPPED
    if device.type == "cpu":
        limit = MOST_FLOPS_LAYERED if layered else MOST_FLOPS_VMAPPED
        return fewest, MOST_ON_CPU if flops <= limit else 1
    most = MOST_ON_GPU
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
        most = min(most, int(SHARE_OF_MEMORY * free / n_bytes))
    return fewest, most if most >= fewest else 1


def bytes_of_one(module, x, n_samples, batch_size, n_classes):
    """Estimate of the memory that each of many networks takes that are trained as one.

    Parameters
    ----------
    module : torch.nn.Module
        One of the networks, in evaluation mode.
    x : torch.Tensor of shape (n, ...)
        Some inputs.
    n_samples, batch_size, n_classes : int

    Returns
    -------
    n_bytes : float
    """
    outputs = [x.numel()]

    def count(part, inputs, output):
        if isinstance(output, torch.Tensor):
            outputs.append(output.numel())

    hooks = [part.register_forward_hook(count) for part in module.modules()]
    try:
        with torch.no_grad():
            module(x)
    finally:
        for hook in hooks:
            hook.remove()
    n_weights = sum(weight.numel() for weight in module.parameters())
    return 4 * (
        COPIES_OF_WEIGHTS * n_weights
        + COPIES_OF_ACTIVATIONS * batch_size * sum(outputs) / len(x)
        + n_samples * (COPIES_OF_SAMPLES + 2 * n_classes)
    )
