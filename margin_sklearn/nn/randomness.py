"""Where a training may draw random numbers."""

from torch import nn

__all__ = ["draws_in_forward_only"]

KNOWN_LAYERS = ("torch.nn.", "margin_sklearn.nn.")
# Layers that draw in evaluation mode too.
ALWAYS_DRAW = (nn.FractionalMaxPool2d, nn.FractionalMaxPool3d)


def draws_in_forward_only(*parts):
    """Whether nothing but the forward pass in training mode draws from torch's generators.

    Parameters
    ----------
    *parts : torch.nn.Module, torch.optim.Optimizer or callable
        Of a training.

    Returns
    -------
    known : bool
        False also if it is not known: for classes of users.
    """
    for part in parts:
        if isinstance(part, nn.Module):
            for layer in part.modules():
                known = type(layer).__module__.startswith(KNOWN_LAYERS)
                if not known or isinstance(layer, ALWAYS_DRAW):
                    return False
        elif not type(part).__module__.startswith("torch.optim."):
            return False
    return True
