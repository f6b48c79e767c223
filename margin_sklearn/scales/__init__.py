"""Scales: quantities that margins are divided by, so that networks can be compared."""

from .gradients import distance, total_variation
from .norms import frobenius, path, raw, spectral
from .registry import SAMPLE_SIZES, SCALES, get_scale

# Former name of get_scale, to be removed in the release after 0.2.
check_scale = get_scale

__all__ = [
    "SAMPLE_SIZES",
    "SCALES",
    "distance",
    "frobenius",
    "get_scale",
    "path",
    "raw",
    "spectral",
    "total_variation",
]
