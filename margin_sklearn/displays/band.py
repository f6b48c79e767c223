"""The band between floor and ceiling, drawn on axes."""

__all__ = ["draw_band"]


def draw_band(ax, band, others):
    """Draw the bounds of a band unless they are there, and show the axis around the bands.

    Parameters
    ----------
    ax : matplotlib Axes
    band : tuple of float or None
        Floor and ceiling.
    others : list of tuple
        The bands drawn on the axes before.
    """
    if band not in others:
        labelled = any(other != (None, None) for other in others)
        for bound, text, side in zip(
            band, ("floor", "ceiling"), ("top", "bottom"), strict=True
        ):
            if bound is not None:
                _draw_bound(ax, bound, None if labelled else text, side)
    if all(None not in one for one in (band, *others)):
        _show(ax, [band, *others])


def _draw_bound(ax, bound, text, side):
    ax.axhline(bound, color="0.5", linestyle=(0, (4, 3)), linewidth=0.8, zorder=1)
    if text is not None:
        # Beside the axes, where no curve is, and away from the label of the other bound.
        ax.annotate(
            text, (1.01, bound), xycoords=("axes fraction", "data"), va=side,
            fontsize="small", color="0.5", annotation_clip=False,
        )  # fmt: skip


def _show(ax, bands):
    """Show three times the height of the bands on either side of them, where curves are."""
    low, high = min(floor for floor, _ in bands), max(ceiling for _, ceiling in bands)
    ax.autoscale(axis="y")
    bottom, top = ax.get_ylim()
    margin = 3 * (high - low)
    ax.set_ylim(max(bottom, low - margin), min(top, high + margin))
