"""Samples drawn below a curve, as pictures or as rows of a table."""

from typing import NamedTuple

import numpy as np

from ..data.rows import take_rows

__all__ = ["Chosen", "draw_beside", "kept_samples", "suspect_samples"]

# Samples in a row of pictures, and rows in a table.
N_SHOWN = 8

# Most columns of a table that are shown.
MAX_COLUMNS = 5
# Longest text in a cell.
MAX_LETTERS = 14


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
    ax, grid = _figure_with_grid(len(chosen), N_SHOWN if pictures else 1)
    display.plot(ax, **options)
    for axes, (title, rows, columns) in zip(grid, chosen, strict=True):
        if pictures:
            titles = ["\n".join(texts) for texts in zip(*columns.values(), strict=True)]
            _draw_pictures(axes, X, rows, titles, image_shape)
            axes[0].text(
                -0.15, 0.5, title, transform=axes[0].transAxes, rotation=90,
                ha="right", va="center", fontsize="small",
            )  # fmt: skip
        else:
            _draw_rows(axes[0], X, rows, columns)
            axes[0].set_title(title, fontsize="small")
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


def _figure_with_grid(n_rows, n_columns):
    """Axes of a new figure for a curve, and below them a grid of axes."""
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(6.4, 4.2 + 1.3 * n_rows), layout="constrained")
    halves = figure.add_gridspec(2, height_ratios=(3.4, 1.2 * n_rows))
    below = halves[1].subgridspec(n_rows, n_columns)
    return figure.add_subplot(halves[0]), below.subplots(squeeze=False)


def _draw_pictures(axes, X, rows, titles, image_shape):
    """Draw samples as images, one on each of the axes; axes without a sample stay empty."""
    for ax in axes:
        ax.axis("off")
    chosen = np.asarray(take_rows(X, np.asarray(rows, dtype=int)), dtype=float)
    if image_shape is not None:
        chosen = chosen.reshape(len(chosen), *image_shape)
    if chosen.ndim == 4 and chosen.shape[-1] not in (1, 3, 4):
        chosen = np.moveaxis(chosen, 1, -1)
    if chosen.ndim == 4 and chosen.shape[-1] == 1:
        chosen = chosen[..., 0]
    if chosen.ndim == 4 and chosen.shape[-1] not in (3, 4):
        raise ValueError(
            f"Images of shape {chosen.shape[1:]} have {chosen.shape[-1]} channels: pictures "
            "need 1, 3 or 4."
        )
    low, high = (chosen.min(), chosen.max()) if chosen.size else (0, 1)
    for ax, image, title in zip(axes, chosen, titles, strict=False):
        ax.imshow((image - low) / (high - low or 1), cmap="gray", vmin=0, vmax=1)
        ax.set_title(title, fontsize="small")


def _draw_rows(ax, X, rows, columns):
    """Draw samples as rows of a table: the further columns, then their first features."""
    ax.axis("off")
    chosen = take_rows(X, np.asarray(rows, dtype=int))
    if hasattr(chosen, "toarray"):
        chosen = chosen.toarray()
    names = list(getattr(chosen, "columns", range(np.shape(chosen)[1])))[:MAX_COLUMNS]
    values = (chosen.to_numpy() if hasattr(chosen, "to_numpy") else np.asarray(chosen))[
        :, : len(names)
    ]
    left = np.shape(X)[1] - len(names)
    header = [*columns, *map(_short, names), *(["…"] if left else [])]
    cells = [
        [*map(_short, own), *map(_short, row), *([f"{left} more"] if left else [])]
        for own, row in zip(zip(*columns.values(), strict=True), values, strict=True)
    ]
    if not cells:
        return
    table = ax.table(
        cells, colLabels=header, loc="upper center", cellLoc="left", colLoc="left"
    )
    table.auto_set_font_size(False)
    table.set_fontsize(7)
    for cell in table.get_celld().values():
        cell.set(linewidth=0, facecolor="none")
        # Tables are black unless told otherwise; in a dark style text is not.
        cell.get_text().set_color(ax.xaxis.label.get_color())


def _short(value):
    text = f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)
    return text if len(text) <= MAX_LETTERS else text[: MAX_LETTERS - 1] + "…"
