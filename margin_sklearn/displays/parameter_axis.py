"""The horizontal axis of SearchDisplay with a parameter: its values or their names."""

from functools import partial

import numpy as np

__all__ = ["positions_of", "slant_names"]

# Characters of a name on the axis.
LONGEST = 20


def positions_of(ax, values):
    """Values of a parameter for the axis: numbers as they are, others by their names.

    Positive numbers that span a factor of ten or more make the axis logarithmic, and
    linear near zero where there are zeros.

    Parameters
    ----------
    ax : matplotlib Axes
    values : sequence of length n_candidates

    Returns
    -------
    positions : ndarray of shape (n_candidates,)
        float, or object where they are names; different values of one name are numbered.
    """
    numbers = all(
        isinstance(value, int | float | np.number)
        and not isinstance(value, bool)
        and np.isfinite(value)
        for value in values
    )
    if not numbers:
        return np.array(_names_of(values), dtype=object)
    values = np.asarray(values, dtype=float)
    positive = values[values > 0]
    if len(positive) and values.min() >= 0 and positive.max() >= 10 * positive.min():
        if len(positive) == len(values):
            ax.set_xscale("log")
        else:
            ax.set_xscale("symlog", linthresh=positive.min())
    return values


def _names_of(values):
    """A name for each value; different values of the same name are numbered."""
    names = [str(getattr(value, "__name__", value)) for value in values]
    found: dict[str, list] = {}
    shown = []
    for name, value in zip(names, values, strict=True):
        alike = found.setdefault(name, [])
        place = next((i for i, one in enumerate(alike) if repr(one) == repr(value)), None)
        if place is None:
            place = len(alike)
            alike.append(value)
        shown.append(name if place == 0 else f"{name} ({place + 1})")
    return shown


def slant_names(ax):
    """Make room for long names of a parameter's values: slanted, and cut if too long.

    Parameters
    ----------
    ax : matplotlib Axes
    """
    for label in ax.get_xticklabels():
        label.set(rotation=30, ha="right", rotation_mode="anchor")
    from matplotlib.ticker import FuncFormatter

    shown = ax.xaxis.get_major_formatter()
    if not isinstance(shown, FuncFormatter):
        ax.xaxis.set_major_formatter(FuncFormatter(partial(_shortened, shown)))


def _shortened(shown, value, place):
    name = shown(value, place)
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
