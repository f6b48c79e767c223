"""SubsetDisplay: the margins of the samples that a selection keeps."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..adapters.unwrap import find_inside
from ..checks import as_numbers
from ..subsets.selector import MarginSubsetSelector
from .axes import check_name, finite_margins, given_or_new, need_matplotlib, zero_line

__all__ = ["SubsetDisplay"]


class SubsetDisplay:
    """The sorted margins of all samples, with marks on those that a selection keeps.

    Samples are sorted by increasing margin, as in :class:`MarginCurveDisplay`: the k-th of n
    is drawn at k / n, equal margins in the order of the samples. Dots are the samples kept,
    crosses those that ``noise_guard`` suspects.

    Create it with :meth:`from_estimator` or :meth:`from_predictions`; the constructor takes
    the arguments they checked. Pass ``ax`` to draw several selections in the same axes.

    Parameters
    ----------
    margins : ndarray of float of shape (n_samples,)
        Margins of all samples, in logits or other units. Samples whose margin is NaN (such as
        those of weight 0) are neither drawn nor counted.
    support : ndarray of bool of shape (n_samples,)
        Which samples are kept.
    suspects : ndarray of bool of shape (n_samples,), default=None
        Which samples were left out because their labels may be wrong.
    name : str, default=None
        Name of the selection, for the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    line_ : matplotlib Line2D
        The curve.
    kept_ : matplotlib Line2D
        The marks of the samples kept.
    suspected_ : matplotlib Line2D or None
        The marks of the suspects, if there are any.

    See Also
    --------
    MarginSubsetSelector : Its ``report_`` has numbers per class.
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

    def __init__(self, *, margins, support, suspects=None, name=None):
        self.margins = margins
        self.support = support
        self.suspects = suspects
        self.name = name

    def plot(self, ax=None, *, name=None, **kwargs):
        """Draw the curve and the marks.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None creates new axes.
        name : str, default=None
            Name in the legend, in place of the display's ``name``.
        **kwargs : dict
            Passed to ``ax.plot`` for the curve.

        Returns
        -------
        display : SubsetDisplay
        """
        name = check_name(self.name if name is None else name)
        ax = given_or_new(ax)
        order = np.argsort(self.margins, kind="stable")
        order = order[: np.count_nonzero(~np.isnan(self.margins))]  # NaN come last
        share = np.arange(1, len(order) + 1) / len(order)
        value = finite_margins(self.margins[order])
        (self.line_,) = ax.plot(
            np.concatenate([[0.0], share]),
            np.concatenate([value[:1], value]),
            **{"drawstyle": "steps-pre", "alpha": 0.5, "label": "_curve", **kwargs},
        )
        style = {"linestyle": "none", "color": self.line_.get_color(), "zorder": 4}
        prefix = "" if name is None else f"{name}: "
        kept = self.support[order]
        count = f"{kept.sum():,} of {len(order):,} kept ({_percent(kept.mean())})"
        (self.kept_,) = ax.plot(
            share[kept],
            value[kept],
            marker="o",
            markersize=5,
            markeredgewidth=0,
            label=prefix + count,
            **style,
        )
        self.suspected_ = None
        if self.suspects is not None and self.suspects[order].any():
            suspected = self.suspects[order]
            number = suspected.sum()
            (self.suspected_,) = ax.plot(
                share[suspected],
                value[suspected],
                marker="x",
                label=f"{prefix}{number:,} suspect{'s' if number > 1 else ''}",
                # Below the dots: there may be more suspects than samples kept.
                **{**style, "color": "C3", "zorder": 3},
            )
        zero_line(ax)
        ax.set(
            xlabel="Share of samples, by increasing margin",
            ylabel="Margin",
            # Do not cut off marks at the first and last rank.
            xlim=(-0.02, 1.02),
        )
        ax.legend(loc="upper left")
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_estimator(cls, selector, *, ax=None, name=None, **kwargs):
        """Draw which samples a fitted selector keeps.

        The selector stores the margins, so neither X nor y is needed.

        Parameters
        ----------
        selector : MarginSubsetSelector, Pipeline or search
            Fitted; the selector itself, a Pipeline that ends in it, or a search such as
            GridSearchCV (its ``best_estimator_``) for either. For a
            :class:`MarginSubsetSampler`, pass its ``selector_``.
        ax : matplotlib Axes, default=None
        name : str, default=None
            Name in the legend.
        **kwargs : dict
            Passed to :meth:`plot`.

        Returns
        -------
        display : SubsetDisplay

        Raises
        ------
        TypeError
            If it contains no MarginSubsetSelector.
        sklearn.exceptions.NotFittedError
            If it is not fitted.
        """
        need_matplotlib()
        selector = find_inside(
            selector,
            MarginSubsetSelector,
            "SubsetDisplay.from_estimator takes a fitted MarginSubsetSelector, a Pipeline "
            "that ends in one or a fitted search for either (for other selections, use "
            "SubsetDisplay.from_predictions(margins, support))",
        )
        check_is_fitted(selector, "support_")
        return cls.from_predictions(
            selector.margins_,
            selector.support_,
            suspects=selector.suspects_,
            ax=ax,
            name=name,
            **kwargs,
        )

    @classmethod
    def from_predictions(
        cls, margins, support, *, suspects=None, ax=None, name=None, **kwargs
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
        name : str, default=None
            Name in the legend.
        **kwargs : dict
            Passed to :meth:`plot`.

        Returns
        -------
        display : SubsetDisplay

        Raises
        ------
        ValueError
            If shapes or dtypes are wrong, no sample has a margin, or a marked sample has none.
        """
        need_matplotlib()
        margins = as_numbers("margins", margins)
        if margins.ndim != 1:
            raise ValueError(f"margins must have shape (n_samples,), got {margins.shape}.")
        if np.isnan(margins).all():
            raise ValueError("margins contain no sample whose margin is a number.")
        support = _check_mask(support, "support", margins)
        if suspects is not None:
            suspects = _check_mask(suspects, "suspects", margins)
        return cls(margins=margins, support=support, suspects=suspects, name=name).plot(
            ax, **kwargs
        )


def _percent(share):
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"


def _check_mask(mask, name, margins):
    try:
        mask = np.asarray(mask)
    except ValueError as error:
        raise ValueError(f"{name} must be a mask of booleans: {error}") from error
    if mask.dtype != bool:
        raise ValueError(
            f"{name} must be a mask of booleans, got dtype {mask.dtype}. "
            f"np.isin(np.arange({len(margins)}), indices) turns indices into a mask."
        )
    if mask.shape != margins.shape:
        raise ValueError(
            f"{name} must have the shape of margins, {margins.shape}, got {mask.shape}."
        )
    unknown = mask & np.isnan(margins)
    if unknown.any():
        raise ValueError(
            f"{name} marks sample {unknown.argmax()}, whose margin is NaN: it cannot be drawn."
        )
    return mask
