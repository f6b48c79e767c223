r"""What a margin is divided by, so that networks can be compared: one function per scale.

A scale takes a :class:`~margin_sklearn.adapters.Network` and one sample as the network sees
it, evaluates the weights once, and returns a function from a batch ``(x, y)`` to the scaled
margins of that batch. ``SCALES`` names them; :func:`margins`, the scorers and the displays
take these names. A scale that has to know how the data vary takes more samples:
``SAMPLE_SIZES`` says how many.
"""

from .gradients import distance, total_variation
from .norms import frobenius, path, raw, spectral

__all__ = ["SAMPLE_SIZES", "SCALES", "get_scale"]

SCALES = {
    None: raw,
    "distance": distance,
    "frobenius": frobenius,
    "path": path,
    "spectral": spectral,
    "total_variation": total_variation,
}

# How many samples a scale takes at most to see how the data vary; others take one.
SAMPLE_SIZES = {total_variation: 1000}


def get_scale(scale):
    """The function a scale's name stands for.

    Raises
    ------
    ValueError
        If there is no scale of that name.
    """
    if not isinstance(scale, str | None) or scale not in SCALES:
        raise ValueError(f"scale must be one of {list(SCALES)}, got {scale!r}.")
    return SCALES[scale]
