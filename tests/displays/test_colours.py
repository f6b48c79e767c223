"""The colours of curves, as readers without red, green or blue cones see them."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from margin_sklearn.displays.axes import LOOKS

# Of linear RGB, for readers without red, green or blue cones: Machado et al., "A
# Physiologically-based Model for Simulation of Color Vision Deficiency", 2009, severity 1.
COLOUR_BLIND = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def lab(rgb):
    """CIE L*a*b* of linear RGB (sRGB primaries, white point D65)."""
    to_xyz = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    xyz = (to_xyz @ rgb) / (to_xyz @ np.ones(3))
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize(
    "matrix", [np.eye(3), *COLOUR_BLIND.values()], ids=["-", *COLOUR_BLIND]
)
def test_colours_differ_for_colour_blind_readers(matrix):
    """By more than four times the difference that can just be seen (ΔE of 2.3), in L*a*b*."""
    seen = []
    for color, _ in LOOKS:
        srgb = np.array(to_rgb(color))
        linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
        seen.append(lab(np.clip(np.asarray(matrix) @ linear, 0, 1)))
    seen.extend([lab(np.zeros(3)), lab(np.ones(3))])  # the background, dark or light
    distances = [
        np.linalg.norm(one - other) for k, one in enumerate(seen) for other in seen[:k]
    ]
    assert min(distances) > 10
