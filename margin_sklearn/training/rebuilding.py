"""A training built again without its samples, to take up a state from a file."""

import torch
from torch.nn.modules.lazy import LazyModuleMixin

from ..runtime import generator_state, recording, second_generator, seeded
from .build import module_of
from .interrupts import finish_import_of_torch
from .run import TrainingRun

__all__ = ["rebuilt_run"]


def rebuilt_run(settings, *, input_shape, n_classes, device, input_dtype, flops, n_threads):
    """Build the training of a network again, without samples.

    Parameters
    ----------
    settings : TrainingSettings
    input_shape : tuple of int
    n_classes : int
    device : torch.device
    input_dtype : torch.dtype
    flops : float
    n_threads : int or None
        As they were found from the samples.

    Returns
    -------
    run : TrainingRun
        With arbitrary weights and generators: its ``restored`` must be called.
    """
    finish_import_of_torch()
    run = TrainingRun.__new__(TrainingRun)
    run.seed, run.input_shape, run.flops = None, input_shape, flops
    with seeded(device, 0), recording():
        module = module_of(settings, input_shape, n_classes).to(device).eval()
        # Such a module creates its parameters in the first forward pass.
        if any(isinstance(part, LazyModuleMixin) for part in module.modules()):
            module(torch.zeros((2, *input_shape), dtype=input_dtype, device=device))
        run.build(settings, module, n_classes, device, input_dtype, n_threads)
        run.generators = generator_state(device)
    run.order_state = second_generator(0).get_state()
    return run
