r"""The scales by name. A scale divides margins so that networks can be compared.

A scale is a function of a :class:`~margin_sklearn.adapters.Network` and of one sample in the
form of the network's input. It evaluates the weights once and returns a function that computes
the scaled margins of a batch ``(x, y)``. ``SCALES`` maps names to scales; :func:`margins`, the
scorers and the displays take these names. A scale that depends on the variation of the data
takes several samples; ``SAMPLE_SIZES`` holds their number.
"""

from collections.abc import Callable
from typing import Any

import torch

from .gradients import distance, total_variation
from .norms import frobenius, path, raw, spectral

__all__ = ["SAMPLE_SIZES", "SCALES", "get_scale"]

# A function of a network and a sample that returns a function of a batch (x, y).
_Scale = Callable[[Any, torch.Tensor], Callable[[torch.Tensor, torch.Tensor], torch.Tensor]]

SCALES: dict[str | None, _Scale] = {
    None: raw,
    "distance": distance,
    "frobenius": frobenius,
    "path": path,
    "spectral": spectral,
    "total_variation": total_variation,
}

# Largest number of samples that a scale takes to estimate the variation of the data; a scale
# that is not listed takes one sample.
SAMPLE_SIZES: dict[_Scale, int] = {total_variation: 1000}


def get_scale(scale: object) -> _Scale:
    """Return the scale with a given name.

    Parameters
    ----------
    scale : str or None
        A key of ``SCALES``.

    Returns
    -------
    function : callable
        ``(network, example) -> scaled``, where ``scaled(x, y)`` computes margins.

    Raises
    ------
    ValueError
        If there is no scale with that name.
    """
    if not isinstance(scale, str | None) or scale not in SCALES:
        raise ValueError(f"scale must be one of {list(SCALES)}, got {scale!r}.")
    return SCALES[scale]
