"""Shared code of the displays: axes, looks of curves, zero line, legend, argument checks."""

import warnings
from collections.abc import Mapping
from textwrap import fill

import numpy as np

from ..checks import refuse
from ..exceptions import warn_caller

__all__ = [
    "LOOKS",
    "check_name",
    "curves_on",
    "finite_margins",
    "given_or_new",
    "legend_below",
    "need_matplotlib",
    "next_look",
    "note_curve",
    "own_style",
    "refuse_others",
    "zero_line",
]

# Colours of Okabe and Ito (2008), which colour-blind readers can tell apart, each with a line
# style of its own, so that curves differ in black and white too.
LOOKS = (
    ("#0072B2", "-"),
    ("#D55E00", "--"),
    ("#009E73", "-."),
    ("#CC79A7", (0, (1, 1))),
    ("#E69F00", (0, (6, 1, 1, 1, 1, 1))),
    ("#56B4E9", (0, (8, 3))),
)

# Put before names that begin with an underscore, whose legend entry matplotlib would hide.
UNHIDDEN = "\N{ZERO WIDTH SPACE}"

# Attribute of axes: the curves that displays have drawn there, with what else they know of
# them. Stored outside of the figure, references to them would keep closed figures in memory.
CURVES = "_margin_sklearn_curves"


def need_matplotlib():
    """Raise an ImportError with install instructions before anything is computed."""
    try:
        import matplotlib.pyplot  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"Displays need matplotlib, which cannot be imported ({error}): "
            'pip install "margin-sklearn[plot]"'
        ) from error


def given_or_new(ax, name="ax"):
    """``ax``, or new axes if it is None.

    Parameters
    ----------
    ax : matplotlib Axes or None
    name : str, default="ax"
        What it is called in the error message.

    Returns
    -------
    ax : matplotlib Axes
    """
    need_matplotlib()
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes

    if ax is None:
        # Constrained, so that the figure has room for a legend below the axes.
        return plt.subplots(layout="constrained")[1]
    if not isinstance(ax, Axes):
        refuse(name, "None or matplotlib Axes", ax)
    return ax


def check_name(name):
    """``name``, which must be a string or None, as matplotlib has to get it.

    Parameters
    ----------
    name : str or None

    Returns
    -------
    name : str or None
        Dollars are escaped, so that they are not taken for mathematics, and a mark that is
        not visible is put before an underscore, for which matplotlib shows no legend entry.
    """
    if name is None:
        return None
    if not isinstance(name, str):
        refuse("name", "None or a string", name)
    return (UNHIDDEN if name.startswith("_") else "") + name.replace("$", r"\$")


def own_style(defaults, plot_kwargs, others=None):
    """The settings of a line: defaults, replaced by those of the user.

    Parameters
    ----------
    defaults : dict
        With the full names of matplotlib's settings.
    plot_kwargs : dict or None
        The user's; they may use aliases such as ``ls`` and ``c``.
    others : dict, default=None
        Settings that the user passed as arguments of their own, which is deprecated.

    Returns
    -------
    settings : dict

    Raises
    ------
    TypeError
        If a setting is given by two names, or ``plot_kwargs`` is no dict.
    ValueError
        If settings are given in both ways.

    Warns
    -----
    FutureWarning
        If settings are given as arguments.
    """
    from matplotlib.cbook import normalize_kwargs
    from matplotlib.lines import Line2D

    if plot_kwargs is not None and not isinstance(plot_kwargs, Mapping):
        raise TypeError(
            "plot_kwargs must be None or a dict of settings of matplotlib's plot, got "
            f"{plot_kwargs!r}."
        )
    if others:
        names = ", ".join(others)
        if plot_kwargs:
            raise ValueError(
                f"Got settings of the line as arguments ({names}) and in plot_kwargs: put all "
                "of them into plot_kwargs."
            )
        warn_caller(
            f"Settings of the line as arguments ({names}) are deprecated: pass "
            f"plot_kwargs={others!r}.",
            FutureWarning,
        )
    return {**defaults, **normalize_kwargs(dict(plot_kwargs or others or {}), Line2D)}


def curves_on(ax):
    """What displays have noted of the curves that they drew and that are still on the axes.

    Parameters
    ----------
    ax : matplotlib Axes

    Returns
    -------
    notes : list
        In the order of drawing.
    """
    return [note for line, note in getattr(ax, CURVES, []) if line.axes is ax]


def note_curve(ax, line, note=None):
    """Remember a curve that a display has drawn.

    Parameters
    ----------
    ax : matplotlib Axes
    line : matplotlib artist
    note : object, default=None
        What later displays on the same axes need to know.
    """
    vars(ax).setdefault(CURVES, []).append((line, note))


def refuse_others(ax, shown, advice="pass other axes"):
    """Raise an error if a display has drawn something else on the axes.

    Parameters
    ----------
    ax : matplotlib Axes
    shown : str
        What is to be drawn: the note of a curve, or its ``ylabel``.
    advice : str, default="pass other axes"

    Raises
    ------
    ValueError
    """
    for note in curves_on(ax):
        other = getattr(note, "ylabel", note)
        if other != shown:
            raise ValueError(
                f"These axes show {other!r}, which cannot be compared with {shown!r}: "
                f"{advice}."
            )


def next_look(ax):
    """Colour and line style of the next curve: different for each, up to 36 of them.

    Parameters
    ----------
    ax : matplotlib Axes

    Returns
    -------
    look : dict
        ``color`` and ``linestyle``.
    """
    turn, place = divmod(len(curves_on(ax)), len(LOOKS))
    # After the first six, colours meet other line styles.
    style = LOOKS[(place + turn) % len(LOOKS)][1]
    return {"color": LOOKS[place][0], "linestyle": style}


def legend_below(ax, panels=()):
    """Draw the legend below the axes, where it covers no curve.

    In a figure without a layout engine, room is made for it as ``tight_layout`` does. Where
    that is impossible, it is drawn in the axes.

    Parameters
    ----------
    ax : matplotlib Axes
    panels : sequence of matplotlib Axes, default=()
        Axes above them whose curves the legend explains too, before those of ``ax``.
    """
    from matplotlib.transforms import ScaledTranslation

    axes = (*panels, ax)
    pairs = [one.get_legend_handles_labels() for one in axes]
    handles, labels = ([part for pair in pairs for part in pair[i]] for i in (0, 1))
    # 38 points leave room for the labels of the axis, however high the axes are.
    points = 38 + 13 * ax.get_xlabel().count("\n")
    below = ScaledTranslation(0, -points / 72, ax.figure.dpi_scale_trans)

    def draw(ncols, **place):
        legend = ax.legend(handles, labels, fontsize="small", ncols=ncols, **place)
        for text in legend.get_texts():
            # Fonts may lack the mark.
            text.set_text(text.get_text().replace(UNHIDDEN, ""))
        return legend

    place = {
        "loc": "upper center",
        "bbox_to_anchor": (0.5, 0),
        "bbox_transform": ax.transAxes + below,
        "frameon": False,
    }
    legend = draw(2 if len(handles) > 2 else 1, **place)
    # Labels of the axis make the axes narrower than the legend may be.
    most = 1.1 * ax.get_window_extent().width
    if len(handles) > 2 and legend.get_window_extent().width > most:
        legend = draw(1, **place)
    if (width := legend.get_window_extent().width) > most:
        length = max(12, int(max(map(len, labels)) * most / width) - 4)
        for text in legend.get_texts():
            text.set_text(fill(text.get_text(), length, break_long_words=False))
    if _without_layout(ax.figure):
        if not all(map(_has_room, axes)):
            _make_room(ax.figure)
        box = legend.get_window_extent()
        if box.y0 < ax.figure.bbox.y0 or any(
            other.get_visible() and box.overlaps(other.get_window_extent())
            for other in ax.figure.axes
        ):
            draw(1, loc="best")


def _without_layout(figure):
    """Whether no layout engine places the axes, so that displays may move them."""
    from matplotlib.layout_engine import PlaceHolderLayoutEngine

    engine = figure.get_layout_engine()
    # tight_layout() leaves a placeholder.
    return engine is None or isinstance(engine, PlaceHolderLayoutEngine)


def _has_room(ax):
    """Whether axes with all labels are inside the figure and overlap no others."""
    box, figure = ax.get_tightbbox(), ax.figure.bbox
    if box is None:  # not visible
        return True
    if not (figure.contains(box.x0, box.y0) and figure.contains(box.x1, box.y1)):
        return False
    place = ax.get_position().bounds
    # Twins have the same place.
    others = [one for one in ax.figure.axes if one.get_position().bounds != place]
    return not any(one.get_visible() and box.overlaps(one.get_tightbbox()) for one in others)


def _make_room(figure):
    """Move the axes as ``tight_layout`` does once, without making it the layout engine."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import TightLayoutEngine

    engine = figure.get_layout_engine()
    if isinstance(figure, Figure) and (engine is None or engine.adjust_compatible):
        with warnings.catch_warnings():
            # Of axes that have a fixed place, and of too little room.
            warnings.simplefilter("ignore", UserWarning)
            TightLayoutEngine().execute(figure)


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


def zero_line(ax):
    """Draw the line between misclassified and correctly classified samples, once."""
    drawn = (line.get_ydata() for line in ax.lines)
    if not any(len(y) == 2 and np.all(np.asarray(y) == 0.0) for y in drawn):
        # Grey, which is visible on light and dark backgrounds.
        ax.axhline(0.0, color="0.5", linewidth=0.8, zorder=1)
