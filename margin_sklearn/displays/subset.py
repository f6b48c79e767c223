"""SubsetDisplay: the margins of the samples that a selection keeps."""

from typing import NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..adapters.unwrap import find_inside
from ..checks import as_numbers, check_bool, check_rows
from ..data.rows import to_numpy
from ..subsets.label_errors import LabelErrorDetector
from ..subsets.label_noise import THRESHOLD, quality
from ..subsets.selector import MarginSubsetSelector
from .axes import (
    LOOKS,
    check_name,
    curves_on,
    finite_margins,
    given_or_new,
    legend_below,
    need_matplotlib,
    next_look,
    note_curve,
    own_style,
    refuse_others,
    zero_line,
)
from .pictures import (
    check_image_shape,
    closed_on_error,
    draw_beside,
    kept_samples,
    suspect_samples,
)
from .selections import check_mask, largest_kept, percent

__all__ = ["SubsetDisplay"]

# Marks of the samples kept, of the first selection on some axes and of later ones.
MARKERS = ("o", "s", "D", "^")
# What the axes show, as MarginCurveDisplay calls it.
LABELS = {"margin": "Margin (logits)", "quality": "Quality"}


class SubsetDisplay:
    """The sorted margins of all samples, with marks on those that a selection keeps.

    Samples are sorted by increasing margin, as in :class:`MarginCurveDisplay`: the k-th of n
    is drawn at k / n, equal margins in the order of the samples. Large marks are the samples
    kept, crosses those that are suspect; a dashed line is the largest margin kept, if most
    samples have larger ones. For a :class:`LabelErrorDetector`, ``quality_`` takes the place
    of margins, the dashed line is its threshold, and only suspects are marked.

    Create it with :meth:`from_estimator` or :meth:`from_predictions`; the constructor takes
    the arguments they checked. Pass ``ax`` to draw several selections in the same axes.

    Parameters
    ----------
    margins : ndarray of float of shape (n_samples,)
        Margins of all samples, in logits or other units. Samples whose margin is NaN (such as
        those of weight 0) are neither drawn nor counted.
    support : ndarray of bool of shape (n_samples,)
        Which samples are kept; None marks none.
    suspects : ndarray of bool of shape (n_samples,), default=None
        Which samples were left out because their labels may be wrong.
    name : str, default=None
        Name of the selection, for the legend.
    cut : float, default=None
        Where to draw the dashed line.
    of : str, default="margin"
        What ``margins`` holds, for the axes.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    line_ : matplotlib Line2D
        The curve.
    kept_ : matplotlib Line2D or None
        The marks of the samples kept.
    suspected_ : matplotlib Line2D or None
        The marks of the suspects, if there are any.
    sample_axes_ : ndarray of matplotlib Axes or None
        Those of the samples drawn, from :meth:`from_estimator` with ``X``.

    See Also
    --------
    MarginSubsetSelector : Its ``report_`` has numbers per class.
    LabelErrorDetector : Its ``report_`` has the suspects.
    MarginCurveDisplay : The margins of a network, without a selection.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from margin_sklearn import MarginClassifier, MarginSubsetSelector, SubsetDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> network = MarginClassifier(lr=1e-2, random_state=0)
    >>> selector = MarginSubsetSelector(network, n_samples_to_select=18, continue_epochs=0)
    >>> display = SubsetDisplay.from_estimator(selector.fit(X / 16, y))
    >>> display.kept_.get_label()
    '18 of 1,797 kept (1 %)'
    """

    def __init__(self, *, margins, support, suspects=None, name=None, cut=None, of="margin"):
        self.margins = margins
        self.support = support
        self.suspects = suspects
        self.name = name
        self.cut = cut
        self.of = of

    def plot(self, ax=None, *, name=None, legend=True, plot_kwargs=None, **kwargs):
        """Draw the curve and the marks.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None creates new axes.
        name : str, default=None
            Name in the legend, in place of the display's ``name``.
        legend : bool, default=True
            Whether to draw a legend, below the axes.
        plot_kwargs : dict, default=None
            Passed to ``ax.plot`` for the curve; aliases such as ``c`` and ``ls`` are allowed.
        **kwargs : dict
            Deprecated: put them into ``plot_kwargs``.

        Returns
        -------
        display : SubsetDisplay

        Raises
        ------
        ValueError
            If the axes show something else than this display does. Margins are taken for
            logits: the axes of a margin curve on another scale are refused.
        """
        check_bool("legend", legend)
        name = check_name(self.name if name is None else name)
        need_matplotlib()
        own = own_style({}, plot_kwargs, kwargs)
        new = ax is None
        ax = given_or_new(ax)
        drawn = _Drawn(LABELS.get(self.of, self.of), self.of)
        refuse_others(ax, drawn.ylabel)
        with closed_on_error(ax.figure if new else None):
            self._draw(ax, "" if name is None else f"{name}: ", own)
            note_curve(ax, self.line_, drawn)
            if legend:
                legend_below(ax)
        self.ax_, self.figure_, self.sample_axes_ = ax, ax.figure, None
        return self

    def _draw(self, ax, prefix, own):
        look, place = next_look(ax), len(curves_on(ax))
        style = {"drawstyle": "steps-pre", "linewidth": 1.2, "label": "_curve", **look, **own}
        order = np.argsort(self.margins, kind="stable")
        order = order[: np.count_nonzero(~np.isnan(self.margins))]  # NaN come last
        share = np.arange(1, len(order) + 1) / len(order)
        value = finite_margins(self.margins[order])
        (self.line_,) = ax.plot(
            np.concatenate([[0.0], share]), np.concatenate([value[:1], value]), **style
        )
        marks = {"linestyle": "none", "color": self.line_.get_color()}
        self.kept_ = self.suspected_ = None
        if self.support is not None:
            kept = self.support[order]
            count = f"{kept.sum():,} of {len(order):,} kept ({percent(kept.mean())})"
            # Of several selections, the later ones are rings around the earlier ones.
            first = place == 0
            (self.kept_,) = ax.plot(
                share[kept],
                value[kept],
                marker=MARKERS[place % len(MARKERS)],
                markersize=5 + 3 * (place % len(MARKERS)),
                markeredgewidth=0 if first else 1.2,
                markerfacecolor=None if first else "none",
                label=prefix + count,
                zorder=4,
                **marks,
            )
        if self.suspects is not None and self.suspects[order].any():
            suspected = self.suspects[order]
            number = suspected.sum()
            (self.suspected_,) = ax.plot(
                share[suspected],
                value[suspected],
                marker="x",
                label=f"{prefix}{number:,} suspect{'s' if number > 1 else ''}",
                # Below the dots: there may be more suspects than samples kept.
                **{**marks, "color": LOOKS[1][0], "zorder": 3},
            )
        if self.cut is not None:
            text = "threshold" if self.of == "quality" else "largest margin kept"
            ax.axhline(
                self.cut,
                color=self.line_.get_color(),
                linestyle=(0, (4, 3)),
                linewidth=0.9,
                label=f"{prefix}{text}: {self.cut:.3g}",
            )
        if self.of == "margin":
            zero_line(ax)
        ax.set(
            xlabel=f"Share of samples, by increasing {self.of}",
            ylabel=self.of.capitalize(),
            # Do not cut off marks at the first and last rank.
            xlim=(-0.02, 1.02),
        )

    @classmethod
    def from_estimator(
        cls,
        selector,
        X=None,
        y=None,
        *,
        image_shape=None,
        ax=None,
        name=None,
        legend=True,
        plot_kwargs=None,
        **kwargs,
    ):
        """Draw which samples a fitted selector keeps, or a detector suspects.

        Both store what is drawn, so neither X nor y is needed. With X, some samples are drawn
        below the curve, as pictures if they are images and as rows of a table otherwise: of a
        selector, those kept with the smallest margins, and some of those pruned, with margins
        evenly spread; of a detector, the most suspect ones, with given and suggested label.

        Parameters
        ----------
        selector : MarginSubsetSelector, LabelErrorDetector, Pipeline or search
            Fitted; the selector or detector itself, a Pipeline that ends in it, or a search
            such as GridSearchCV (its ``best_estimator_``) for either. For a
            :class:`MarginSubsetSampler`, pass its ``selector_``.
        X : array-like of shape (n_samples, ...), default=None
            The samples that it was fitted on, to be drawn.
        y : array-like of shape (n_samples,), default=None
            Their labels, for the titles; a detector knows those of its suspects.
        image_shape : tuple of int, default=None
            Shape of a sample of X that is an image, if X has one axis per sample: (8, 8), or
            (3, 32, 32) with colours. If channels can be first or last, they are first.
        ax : matplotlib Axes, default=None
            Where to draw the curve; not with X, which needs a figure of its own.
        name : str, default=None
            Name in the legend.
        legend : bool, default=True
            As for :meth:`plot`.
        plot_kwargs : dict, default=None
            As for :meth:`plot`.
        **kwargs : dict
            Deprecated, as for :meth:`plot`.

        Returns
        -------
        display : SubsetDisplay

        Raises
        ------
        TypeError
            If it contains neither selector nor detector.
        ValueError
            If X or y has not as many samples as it was fitted on, or both X and ax are given.
        sklearn.exceptions.NotFittedError
            If it is not fitted.
        """
        need_matplotlib()
        check_name(name)
        found = find_inside(
            selector,
            (MarginSubsetSelector, LabelErrorDetector),
            "SubsetDisplay.from_estimator takes a fitted MarginSubsetSelector or "
            "LabelErrorDetector, a Pipeline that ends in one or a fitted search for either "
            "(for other selections, use SubsetDisplay.from_predictions(margins, support))",
        )
        check_is_fitted(found, "suspects_")
        check_image_shape(image_shape)
        if X is not None:
            check_rows("X", X)
        if X is not None and ax is not None:
            raise ValueError("With X, the figure is new: pass either X or ax.")
        for given, label in ((X, "X"), (y, "y")):
            if given is not None and np.shape(given)[0] != len(found.suspects_):
                raise ValueError(
                    f"{label} has {np.shape(given)[0]} samples, but "
                    f"{type(found).__name__} was fitted on {len(found.suspects_)}."
                )
        if isinstance(found, LabelErrorDetector):
            display = cls(
                margins=found.quality_,
                support=None,
                suspects=found.suspects_,
                name=name,
                cut=quality(
                    np.array(THRESHOLD if found.threshold == "auto" else found.threshold)
                ),
                of="quality",
            )
        else:
            display = cls(
                margins=found.margins_,
                support=found.support_,
                suspects=found.suspects_,
                name=name,
                cut=largest_kept(found.margins_, found.support_),
            )
        options = {"legend": legend, "plot_kwargs": plot_kwargs, **kwargs}
        if X is None:
            return display.plot(ax, **options)
        chosen = suspect_samples if isinstance(found, LabelErrorDetector) else kept_samples
        return draw_beside(display, X, chosen(found, y), image_shape, options)

    @classmethod
    def from_predictions(
        cls,
        margins,
        support,
        *,
        suspects=None,
        ax=None,
        name=None,
        legend=True,
        plot_kwargs=None,
        **kwargs,
    ):
        """Draw a selection, however it was made.

        Parameters
        ----------
        margins : array-like of float of shape (n_samples,)
            For instance from :func:`margins`. Infinite values are drawn at the edge of the
            finite range; samples with NaN are left out.
        support : array-like of bool of shape (n_samples,)
            Which samples are kept.
        suspects : array-like of bool of shape (n_samples,), default=None
            Which samples were left out because their labels may be wrong.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        name : str, default=None
            Name in the legend.
        legend : bool, default=True
            As for :meth:`plot`.
        plot_kwargs : dict, default=None
            As for :meth:`plot`.
        **kwargs : dict
            Deprecated, as for :meth:`plot`.

        Returns
        -------
        display : SubsetDisplay

        Raises
        ------
        ValueError
            If shapes or dtypes are wrong, no sample has a margin, or a marked sample has none.
        """
        need_matplotlib()
        margins = as_numbers("margins", to_numpy(margins))
        if margins.ndim != 1:
            raise ValueError(f"margins must have shape (n_samples,), got {margins.shape}.")
        if np.isnan(margins).all():
            raise ValueError("margins contain no sample whose margin is a number.")
        support = check_mask(support, "support", margins)
        if suspects is not None:
            suspects = check_mask(suspects, "suspects", margins)
        return cls(
            margins=margins,
            support=support,
            suspects=suspects,
            name=name,
            cut=largest_kept(margins, support),
        ).plot(ax, legend=legend, plot_kwargs=plot_kwargs, **kwargs)


class _Drawn(NamedTuple):
    """What a curve on some axes shows: the label is that of the same margins elsewhere."""

    ylabel: str
    of: str
