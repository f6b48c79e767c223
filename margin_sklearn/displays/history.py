"""MarginHistoryDisplay: margins, accuracy and loss of a network during training."""

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from ..adapters.unwrap import find_inside
from ..checks import check_bool, refuse
from ..classifier.estimator import MarginClassifier
from ..classifier.pipelines import final_classifier
from ..subsets.label_errors import LabelErrorDetector
from ..subsets.selector import MarginSubsetSelector
from ..training.margin_history import QUANTILES
from .axes import (
    check_name,
    legend_below,
    need_matplotlib,
    next_look,
    note_curve,
    own_style,
    refuse_others,
    zero_line,
)

__all__ = ["MarginHistoryDisplay"]

# What curves on these axes show.
EPOCHS = "margins against epochs"

QUANTILE_COLUMNS = tuple(f"margin_{100 * level:.0f}" for level in QUANTILES)
PANELS = ("margins", "accuracy", "loss")
# Up to as many epochs are also marked by dots: a line needs two.
FEW_EPOCHS = 3


class MarginHistoryDisplay:
    """Margins, accuracy and loss of each epoch, with the epochs that were special.

    The margins are those of the training passes, in logits: their median, and bands that
    contain 50 and 90 % of them. Below are the accuracy in the same passes, margin-AUC with
    ``restore_best``, and the loss. Vertical lines mark the epoch of separation and the epoch
    whose weights the network has. For a :class:`MarginSubsetSelector`, the epochs after
    separation follow, in which only the selected samples are trained on and have margins, and
    crosses mark the epochs that the guard undid; the accuracy is that on all samples.

    Create it with :meth:`from_estimator`. Pass the ``axes_`` of one display as ``ax`` of
    another to compare networks.

    Parameters
    ----------
    history : DataFrame of shape (n_epochs, n_columns)
        One row per epoch, indexed by the epoch: ``loss``, ``accuracy``, and, where known,
        ``margin_5``, ``margin_25``, ``margin_50``, ``margin_75``, ``margin_95`` (quantiles of
        the margins), ``margin_auc`` and ``rolled_back``.
    separation_epoch : int, default=None
        The epoch after which the samples were separated.
    best_epoch : int, default=None
        The epoch whose weights the network has.
    name : str, default=None
        Name of the network, for the legend.

    Attributes
    ----------
    axes_ : list of matplotlib Axes
        For margins, accuracy and loss.
    ax_ : matplotlib Axes
        The first of them.
    figure_ : matplotlib Figure
    line_ : matplotlib Line2D
        The median margin.

    See Also
    --------
    MarginCurveDisplay : All margins of the final network.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from margin_sklearn import MarginClassifier, MarginHistoryDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MarginClassifier(max_epochs=5, random_state=0).fit(X, y)
    >>> display = MarginHistoryDisplay.from_estimator(model)
    >>> display.history.index.tolist()
    [1, 2, 3, 4, 5]
    """

    def __init__(self, *, history, separation_epoch=None, best_epoch=None, name=None):
        self.history = history
        self.separation_epoch = separation_epoch
        self.best_epoch = best_epoch
        self.name = name

    def plot(self, ax=None, *, name=None, legend=True, plot_kwargs=None):
        """Draw the history.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of three Axes, default=None
            Where to draw: margins, accuracy and loss, or the margins alone if it is one Axes.
            None creates a figure with three.
        name : str, default=None
            Name in the legend, in place of the display's ``name``. Dollars in it stand for
            themselves; for mathematics, pass ``plot_kwargs={"label": ...}``.
        legend : bool, default=True
            Whether to draw a legend, below the axes. In a figure without a layout engine, the
            axes are moved to make room for it, as by ``tight_layout``.
        plot_kwargs : dict, default=None
            Passed to ``ax.plot`` for the median margin.

        Returns
        -------
        display : MarginHistoryDisplay

        Raises
        ------
        ValueError
            If a display of another kind has drawn on the axes of the margins.
        """
        check_bool("legend", legend)
        name = check_name(self.name if name is None else name)
        axes = _panels(ax)
        margins, *others = axes
        refuse_others(margins, EPOCHS)
        look = next_look(margins)
        if len(self.history) <= FEW_EPOCHS:
            look |= {"marker": "o", "markersize": 4}
        prefix = "" if name is None else f"{name}: "
        style = own_style({"label": name or "median margin", **look}, plot_kwargs)
        self._plot_margins(margins, style)
        color = self.line_.get_color()
        for panel, draw in zip(others, (self._plot_accuracy, self._plot_loss), strict=False):
            draw(panel, prefix, {**look, "color": color})
        for panel in axes:
            self._mark_epochs(panel, prefix if panel is margins else None, color)
            _number_whole_epochs(panel)
        for panel in _lowest(axes):
            panel.set_xlabel("Epoch")
        if legend:
            legend_below(axes[-1], axes[:-1])
        self.axes_, self.ax_, self.figure_ = axes, margins, margins.figure
        return self

    def _plot_margins(self, ax, style):
        table = self.history
        (self.line_,) = ax.plot(table.index, table["margin_50"], **style)
        color = self.line_.get_color()
        if len(table) == 1:
            # A band needs some width.
            table = table.iloc[[0, 0]].set_axis([table.index[0] - 0.1, table.index[0] + 0.1])
        for low, high, share, alpha in (("5", "95", 90, 0.15), ("25", "75", 50, 0.25)):
            ax.fill_between(
                table.index,
                table[f"margin_{low}"],
                table[f"margin_{high}"],
                color=color,
                alpha=alpha,
                linewidth=0,
                label=f"_{share} %",
            )
        zero_line(ax)
        ax.set_ylabel("Margin (logits)\nmedian, 50 and 90 %", wrap=True)
        note_curve(ax, self.line_, EPOCHS)

    def _plot_accuracy(self, ax, prefix, look):
        table = self.history
        ax.plot(table.index, table["accuracy"], label="_accuracy", **look)
        if "margin_auc" in table:
            ax.plot(
                table.index,
                table["margin_auc"],
                label=f"{prefix}margin-AUC",
                **{**look, "linestyle": "none", "marker": "."},
            )
        undone = table.index[table.get("rolled_back", pd.Series(False, table.index))]
        if len(undone):
            ax.plot(
                undone,
                table.loc[undone, "accuracy"],
                label=f"{prefix}undone",
                **{**look, "linestyle": "none", "marker": "x"},
            )
        ax.set_ylabel("Accuracy")

    def _plot_loss(self, ax, prefix, look):
        ax.plot(self.history.index, self.history["loss"], label="_loss", **look)
        ax.set_ylabel("Loss")

    def _mark_epochs(self, ax, prefix, color):
        marks = (
            (self.separation_epoch, "separated", ":"),
            (self.best_epoch, "weights kept", "-"),
        )
        for epoch, text, linestyle in marks:
            if epoch is not None:
                label = "_mark" if prefix is None else f"{prefix}{text} after epoch {epoch}"
                ax.axvline(epoch, color=color, linestyle=linestyle, linewidth=0.9, label=label)

    @classmethod
    def from_estimator(cls, estimator, *, ax=None, name=None, legend=True, plot_kwargs=None):
        """Draw how a fitted network was trained.

        Parameters
        ----------
        estimator : estimator
            A fitted :class:`MarginClassifier`, :class:`MarginSubsetSelector` or
            :class:`LabelErrorDetector` (its ``estimator_``), alone, at the end of a Pipeline,
            or in a fitted search.
        ax : matplotlib Axes or sequence of three Axes, default=None
            Where to draw: one panel for the margins, or all three; None makes a new figure.
        name : str, default=None
            Name in the legend.
        legend : bool, default=True
            As for :meth:`plot`.
        plot_kwargs : dict, default=None
            As for :meth:`plot`.

        Returns
        -------
        display : MarginHistoryDisplay

        Raises
        ------
        TypeError
            If it contains none of these.
        ValueError
            If its history has no quantiles of the margins, because an earlier version trained
            it.
        sklearn.exceptions.NotFittedError
            If it is not fitted.
        """
        need_matplotlib()
        check_name(name)
        found = find_inside(
            estimator,
            (MarginClassifier, MarginSubsetSelector, LabelErrorDetector),
            "MarginHistoryDisplay.from_estimator takes a fitted MarginClassifier, "
            "MarginSubsetSelector or LabelErrorDetector, a Pipeline that ends in one or a "
            "fitted search",
        )
        check_is_fitted(found)
        selector = found if isinstance(found, MarginSubsetSelector) else None
        classifier = found
        if not isinstance(found, MarginClassifier):
            classifier = final_classifier(found.estimator_)
        history, separation = history_table(classifier), classifier.separation_epoch_
        if selector is not None and len(selector.history_):
            separation = selector.separation_epoch_
            for column in ("accuracy", "rolled_back"):
                # The net's history has a row for each of the selector's.
                history[column] = selector.history_[column].to_numpy()
        return cls(
            history=history,
            separation_epoch=separation,
            best_epoch=classifier.best_epoch_,
            name=name,
        ).plot(ax, legend=legend, plot_kwargs=plot_kwargs)


def history_table(classifier):
    """The history of a fitted classifier, with a column for each quantile of the margins.

    Parameters
    ----------
    classifier : MarginClassifier

    Returns
    -------
    history : DataFrame of shape (n_epochs, n_columns)
        One row per completed epoch, from 1.
    """
    rows = [row for row in classifier.history_ if "train_loss" in row]
    if any("train_margin_quantiles" not in row for row in rows):
        raise ValueError(
            "The network's history has no quantiles of the margins: it was trained by an "
            "earlier version of margin_sklearn. Fit it again."
        )
    table = pd.DataFrame(
        {
            "loss": [row["train_loss"] for row in rows],
            "accuracy": [row["train_accuracy"] for row in rows],
        },
        index=pd.RangeIndex(1, len(rows) + 1, name="epoch"),
    )
    quantiles = np.array([row["train_margin_quantiles"] for row in rows])
    table[list(QUANTILE_COLUMNS)] = quantiles.reshape(len(rows), len(QUANTILES))
    if any("margin_auc" in row for row in rows):
        table["margin_auc"] = [row.get("margin_auc", np.nan) for row in rows]
    return table


def _panels(ax):
    """The axes to draw on, one or three."""
    need_matplotlib()
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes

    if ax is None:
        _, axes = plt.subplots(
            3, sharex=True, layout="constrained", figsize=(6.4, 6.4), height_ratios=(4, 3, 2)
        )
        return list(axes)
    if isinstance(ax, Axes):
        return [ax]
    try:
        axes = list(ax)
    except TypeError:
        axes = []
    if len(axes) != len(PANELS) or not all(isinstance(one, Axes) for one in axes):
        refuse("ax", "None, matplotlib Axes or a sequence of three", ax)
    return axes


def _number_whole_epochs(ax):
    from matplotlib.ticker import MaxNLocator

    locator = ax.xaxis.get_major_locator()
    if isinstance(locator, MaxNLocator):  # otherwise the user has set another
        locator.set_params(integer=True, min_n_ticks=1)


def _lowest(axes):
    """The last panel of each column, whose x axis is labelled."""
    columns = {}
    for panel in sorted(axes, key=lambda panel: -panel.get_position().y0):
        columns[round(panel.get_position().x0, 2)] = panel
    return columns.values()
