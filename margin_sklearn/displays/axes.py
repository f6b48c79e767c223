"""Shared code of the displays: axes, zero line, infinite margins, argument checks."""

import numpy as np

from ..checks import refuse

__all__ = [
    "check_name",
    "finite_margins",
    "given_or_new",
    "has_line",
    "need_matplotlib",
    "zero_line",
]


def need_matplotlib():
    """Raise an ImportError with install instructions before anything is computed."""
    try:
        import matplotlib.pyplot  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"Displays need matplotlib, which cannot be imported ({error}): "
            'pip install "margin-sklearn[plot]"'
        ) from error


def given_or_new(ax):
    """``ax``, or new axes if it is None.

    Parameters
    ----------
    ax : matplotlib Axes or None

    Returns
    -------
    ax : matplotlib Axes
    """
    need_matplotlib()
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes

    if ax is None:
        return plt.subplots()[1]
    if not isinstance(ax, Axes):
        refuse("ax", "None or matplotlib Axes", ax)
    return ax


def check_name(name):
    """``name``, which must be a string or None."""
    if name is not None and not isinstance(name, str):
        refuse("name", "None or a string", name)
    return name


def finite_margins(margins):
    """Margins to draw: infinite ones (no gradient) are clipped to the finite range.

    Parameters
    ----------
    margins : ndarray of float

    Returns
    -------
    margins : ndarray of float
    """
    finite = margins[np.isfinite(margins)]
    low, high = (finite.min(), finite.max()) if len(finite) else (-1.0, 1.0)
    return np.clip(margins, low, high)


def has_line(ax, height):
    """Whether a horizontal line at this height exists, for instance from another network."""
    return any(
        len(line.get_ydata()) == 2 and np.all(np.asarray(line.get_ydata()) == height)
        for line in ax.lines
    )


def zero_line(ax):
    """Draw the line between misclassified and correctly classified samples, once."""
    if not has_line(ax, 0.0):
        ax.axhline(0.0, color="0.2", linewidth=0.8)
