"""Samples drawn below a curve, as pictures or as rows of a table."""

from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from ..checks import refuse
from ..data.rows import take_rows, to_numpy
from .texts import fitting, plain, short, width_of

__all__ = [
    "Chosen",
    "check_image_shape",
    "closed_on_error",
    "draw_beside",
    "kept_samples",
    "suspect_samples",
]

# Samples in a row of pictures, and rows in a table.
N_SHOWN = 8

# Numbers of channels that can be drawn: grey, colours, and colours with opacity.
CHANNELS = (1, 3, 4)

# Most features in a table, if there is room for them.
MAX_COLUMNS = 5
# Size of letters in tables, and the gap after each column, in points.
LETTERS = 7
GAP = 5
# Largest width of the labels and margins together, which are whole if they have room.
LABELS = 270

# Inches: width of the figure; heights of the curve, of a row of pictures, of a row of a table.
WIDTH = 6.4
CURVE = 2.8
PICTURES = 0.75
ROW = 0.16
# Of titles, the labels of the axes and the legend.
MARGINS = 1.4
TITLE = 0.3


class Chosen(NamedTuple):
    """Samples to draw side by side."""

    title: str
    rows: np.ndarray
    # What to write at each sample: one column of texts per name.
    columns: dict


def suspect_samples(detector, y=None):
    """The samples with the most suspect labels.

    Parameters
    ----------
    detector : LabelErrorDetector
    y : ignored
        The detector knows the labels of its suspects.

    Returns
    -------
    chosen : list of Chosen
    """
    rows = np.argsort(detector.ranking_)
    rows = rows[detector.suspects_[rows]][:N_SHOWN]
    report = detector.report_.iloc[: len(rows)]
    columns = {
        "given": [str(label) for label in report["given"]],
        "suggested": [f"→ {label}" for label in report["suggested"]],
    }
    return [Chosen("most suspect", rows, columns)]


def kept_samples(selector, y=None):
    """Samples kept with the smallest margins, and pruned ones with margins evenly spread.

    Parameters
    ----------
    selector : MarginSubsetSelector
    y : array-like of shape (n_samples,), default=None
        Labels, to be written at the samples.

    Returns
    -------
    chosen : list of Chosen
    """
    order = np.argsort(selector.margins_, kind="stable")
    order = order[~np.isnan(selector.margins_[order])]
    kept, pruned = (order[mask[order]] for mask in (selector.support_, ~selector.support_))
    spread = np.unique(np.linspace(0, max(0, len(pruned) - 1), N_SHOWN).round().astype(int))
    chosen = []
    for title, rows in (("kept", kept[:N_SHOWN]), ("pruned", pruned[spread[: len(pruned)]])):
        columns = {"margin": [f"{selector.margins_[row]:.2g}" for row in rows]}
        if y is not None:
            columns = {"label": [str(np.asarray(y)[row]) for row in rows], **columns}
        chosen.append(Chosen(title, rows, columns))
    return chosen


def check_image_shape(image_shape):
    """Raise an error unless it is None or the shape of an image.

    Parameters
    ----------
    image_shape : object

    Raises
    ------
    InvalidParameterError
        Unless it is None or two or three positive integers.
    """
    if image_shape is None:
        return
    if (
        not isinstance(image_shape, tuple | list | np.ndarray)
        or len(image_shape) not in (2, 3)
        or not all(isinstance(n, int | np.integer) and n > 0 for n in image_shape)
    ):
        refuse(
            "image_shape",
            "None or a tuple of two or three positive integers, such as (8, 8) or (3, 32, 32)",
            image_shape,
        )


@contextmanager
def closed_on_error(figure):
    """Close a figure if drawing on it fails, so that failed calls leave none open.

    Parameters
    ----------
    figure : matplotlib Figure or None
        None if it is the user's.
    """
    import matplotlib.pyplot as plt

    try:
        yield
    except BaseException:
        if figure is not None:
            plt.close(figure)
        raise


def draw_beside(display, X, chosen, image_shape, options):
    """Draw a display, and samples below it.

    Parameters
    ----------
    display : SubsetDisplay
        Not yet drawn; its ``sample_axes_`` are set.
    X : array-like of shape (n_samples, ...)
    chosen : list of Chosen
    image_shape : tuple of int or None
        Shape of an image, if the samples are flat.
    options : dict
        For ``display.plot``.

    Returns
    -------
    display : SubsetDisplay

    Raises
    ------
    ValueError
        If a sample does not have as many numbers as ``image_shape``, or images have a number
        of channels that cannot be drawn.
    """
    pictures = _are_pictures(X, image_shape)
    if pictures:
        # Before there is a figure: what cannot be drawn raises here.
        drawn = [_images(X, one.rows, image_shape) for one in chosen]
        heights = [PICTURES + 0.17 * (len(one.columns) - 1) for one in chosen]
    else:
        drawn = [_table(X, one) for one in chosen]
        heights = [ROW * max(1, len(cells)) for cells, _ in drawn]
    ax, grid = _figure_with_grid(heights, N_SHOWN if pictures else 1)
    with closed_on_error(ax.figure):
        display.plot(ax, **options)
        for axes, one, content in zip(grid, chosen, drawn, strict=True):
            if pictures:
                _draw_pictures(axes, content, one)
            else:
                _draw_table(axes[0], *content)
                axes[0].set_title(one.title, fontsize="small")
    display.sample_axes_ = grid
    return display


def _are_pictures(X, image_shape):
    """Whether samples are images: they have two or three axes, or ``image_shape`` says so."""
    shape = np.shape(X)[1:]
    if image_shape is not None and np.prod(image_shape) != np.prod(shape):
        raise ValueError(
            f"image_shape={image_shape!r} has {np.prod(image_shape)} numbers, but a sample of "
            f"X has {np.prod(shape)} (shape {shape})."
        )
    return image_shape is not None or len(shape) in (2, 3)


def _figure_with_grid(heights, n_columns):
    """Axes of a new figure for a curve, and below them rows of axes of some heights."""
    import matplotlib.pyplot as plt

    height = CURVE + MARGINS + sum(heights) + TITLE * len(heights)
    figure = plt.figure(figsize=(WIDTH, height), layout="constrained")
    grid = figure.add_gridspec(1 + len(heights), n_columns, height_ratios=(CURVE, *heights))
    below = [
        [figure.add_subplot(grid[1 + row, column]) for column in range(n_columns)]
        for row in range(len(heights))
    ]
    return figure.add_subplot(grid[0, :]), np.array(below)


def _rows_of(X, rows):
    """Some samples, dense."""
    chosen = to_numpy(take_rows(X, np.asarray(rows, dtype=int)))
    return chosen.toarray() if hasattr(chosen, "toarray") else chosen


def _images(X, rows, image_shape):
    """Samples as matplotlib takes images, with numbers from 0 to 1; missing ones are NaN."""
    chosen = np.asarray([np.asarray(to_numpy(row)) for row in _rows_of(X, rows)], dtype=float)
    shape = np.shape(X)[1:] if image_shape is None else tuple(image_shape)
    chosen = chosen.reshape(len(rows), *shape)
    if len(shape) == 3:
        # As networks take images: channels are first, unless they can only be last.
        if shape[0] in CHANNELS:
            chosen = np.moveaxis(chosen, 1, -1)
        elif shape[2] not in CHANNELS:
            raise ValueError(
                f"Images of shape {shape} have {shape[0]} channels: pictures need 1, 3 or 4."
            )
        if chosen.shape[-1] == 1:
            chosen = chosen[..., 0]
    known = np.isfinite(chosen)
    low, high = (chosen[known].min(), chosen[known].max()) if known.any() else (0, 1)
    scaled = (np.where(known, chosen, np.nan) - low) / (high - low or 1)
    if scaled.ndim == 4 and not known.all():
        # In grey, matplotlib leaves NaN transparent.
        opacity = scaled[..., 3] if scaled.shape[-1] == 4 else 1.0
        opacity = np.where(known.all(axis=-1), opacity, 0.0)
        scaled = np.concatenate(
            [np.nan_to_num(scaled[..., :3]), np.nan_to_num(opacity)[..., None]], axis=-1
        )
    return scaled


def _draw_pictures(axes, images, chosen):
    """Draw samples as images, one on each of the axes; axes without a sample stay empty."""
    for ax in axes:
        ax.axis("off")
    # Names are as wide as the place of a picture, with a gap between.
    width = 72 * (WIDTH - 0.8) / N_SHOWN - 5
    texts = zip(*chosen.columns.values(), strict=True)
    for ax, image, own in zip(axes, images, texts, strict=False):
        ax.imshow(image, cmap="gray", vmin=0, vmax=1)
        lines = [plain(fitting(line, width, "small")) for line in own]
        ax.set_title("\n".join(lines), fontsize="small")
    axes[0].text(
        -0.15, 0.5, chosen.title, transform=axes[0].transAxes, rotation=90,
        ha="right", va="center", fontsize="small",
    )  # fmt: skip


def _table(X, chosen):
    """Cells of a table, and the width of each column: labels and so on, then features."""
    rows = _rows_of(X, chosen.rows)
    values = rows.to_numpy() if hasattr(rows, "to_numpy") else np.asarray(rows)
    n_features = int(np.prod(np.shape(X)[1:]))
    values = values.reshape(len(values), n_features)
    columns = [[name, *texts] for name, texts in chosen.columns.items()]
    others = sum(map(_width, columns))
    for place, column in enumerate(columns):
        # Each has an equal part of the room, and what others leave of theirs.
        room = max(LABELS / len(columns), LABELS - (others - _width(column)))
        columns[place] = [fitting(text, room - GAP, LETTERS) for text in column]
    names = getattr(rows, "columns", range(n_features))
    room = 72 * (WIDTH - 0.7) - sum(map(_width, columns)) - _width([f"{n_features} more"])
    n_shown = 0
    for name, feature in zip(names, values.T[:MAX_COLUMNS], strict=False):
        column = [_text(name), *map(_text, feature)]
        room -= _width(column)
        if n_shown and room < 0:
            break
        columns.append(column)
        n_shown += 1
    if left := n_features - n_shown:
        columns.append(["…", *[f"{left} more"] * len(values)])
    cells = list(zip(*columns, strict=True)) if len(values) else []
    return cells, [_width(column) for column in columns]


def _draw_table(ax, cells, widths):
    ax.axis("off")
    if not cells:
        return
    table = ax.table(
        [[plain(text) for text in row] for row in cells],
        # The rows fill the axes, and are as high as all.
        bbox=(0, 0, 1, 1),
        colWidths=np.array(widths) / sum(widths),
        cellLoc="left",
    )
    table.auto_set_font_size(False)
    table.set_fontsize(LETTERS)
    for cell in table.get_celld().values():
        cell.set(linewidth=0, facecolor="none")
        # Not a share of the cell's width, or wide columns would be indented further.
        cell.PAD = 0.0
        # Tables are black unless told otherwise; in a dark style text is not.
        cell.get_text().set_color(ax.xaxis.label.get_color())


def _width(column):
    return max(width_of(text, LETTERS) for text in column) + GAP


def _text(value):
    return short(f"{value:.4g}" if isinstance(value, float | np.floating) else str(value))
