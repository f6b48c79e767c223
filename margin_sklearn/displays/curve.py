"""MarginCurveDisplay: the sorted margins of a network and the area under them."""

from dataclasses import fields
from typing import NamedTuple

import numpy as np

from ..checks import as_numbers, check_bool
from ..data.rows import to_numpy
from ..data.validation import validate_y
from ..scoring.curve import check_bounds, margin_auc, margin_curve, margins_from_logits
from ..scoring.distribution import DistributionSettings
from ..scoring.scorer import MarginAUCScorer, margin_auc_score
from .axes import (
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
from .band import draw_band

__all__ = ["MarginCurveDisplay"]

# Some of these were parameters of from_estimator before it took a scorer.
SETTINGS_OF_SCORERS = tuple(field.name for field in fields(DistributionSettings))


class MarginCurveDisplay:
    """Margin curve: sorted scaled margins against the share of samples, with shaded area.

    Create it with :meth:`from_estimator` or :meth:`from_predictions`; the constructor takes
    their results. Pass ``ax`` to draw several networks in the same axes: each has another
    colour and line style. Where a score has a band, distances are drawn in units of δ, the
    median distance of a sample to its nearest neighbor.

    With floor and ceiling, the shaded area is the part of the band between them under the
    curve, and its share of the band is margin-AUC. Otherwise margin-AUC is the shaded area
    above zero less that below. A tick at zero ends the misclassified share of the samples.
    The axis shows three times the height of the band on either side; margins beyond do not
    change the area (``ax_.autoscale(axis="y")`` shows them all).

    Parameters
    ----------
    fraction : ndarray of shape (n_steps,)
        Share of samples with a margin of at most ``value``, from :func:`margin_curve`.
    value : ndarray of shape (n_steps,)
        The distinct margins, increasing.
    auc : float, default=None
        Margin-AUC, for the legend.
    floor, ceiling : float, default=None
        The band of the area, in units of ``value``.
    scale : str, default=None
        Name of the scale, for the axis.
    unit : float, default=1.0
        ``value`` is drawn divided by it: δ for distances.
    name : str, default=None
        Name of the network, for the legend.
    of : str, default="samples"
        What the margins belong to, for the axis.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    line_ : matplotlib Line2D
        The curve.
    area_ : matplotlib FillBetweenPolyCollection or None
        The shaded area.

    See Also
    --------
    SearchDisplay : Scores of all candidates of a search.
    MarginHistoryDisplay : Margins during training.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from margin_sklearn import MarginCurveDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> model = LogisticRegression(max_iter=1000).fit(X, y)
    >>> display = MarginCurveDisplay.from_estimator(model, X, y)
    >>> display.ax_.get_ylabel()
    'Distance to the decision boundary, in δ'

    The area in the legend is the score:

    >>> from margin_sklearn import margin_auc_score
    >>> display.auc == margin_auc_score(model, X, y)
    True
    """

    def __init__(
        self,
        *,
        fraction,
        value,
        auc=None,
        floor=None,
        ceiling=None,
        scale=None,
        unit=1.0,
        name=None,
        of="samples",
    ):
        self.fraction = fraction
        self.value = value
        self.auc = auc
        self.floor = floor
        self.ceiling = ceiling
        self.scale = scale
        self.unit = unit
        self.name = name
        self.of = of

    def plot(self, ax=None, *, name=None, fill=True, legend=True, plot_kwargs=None, **kwargs):
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None creates new axes.
        name : str, default=None
            Name in the legend, in place of the display's ``name``. Dollars in it stand for
            themselves; for mathematics, pass ``plot_kwargs={"label": ...}``.
        fill : bool, default=True
            Whether to shade the area.
        legend : bool, default=True
            Whether to draw a legend, below the axes. In a figure without a layout engine, the
            axes are moved to make room for it, as by ``tight_layout``.
        plot_kwargs : dict, default=None
            Passed to ``ax.plot`` for the curve; aliases such as ``c`` and ``ls`` are allowed.
        **kwargs : dict
            Deprecated: put them into ``plot_kwargs``.

        Returns
        -------
        display : MarginCurveDisplay

        Raises
        ------
        ValueError
            If the axes show margins on another scale.
        """
        check_bool("fill", fill)
        check_bool("legend", legend)
        name = check_name(self.name if name is None else name)
        ax = given_or_new(ax)
        share = self._share_misclassified()
        notes = [f"{100 * share:.{2 if share < 0.995 else 3}g} % misclassified"]
        if self.auc is not None:
            notes.insert(0, f"AUC = {self.auc:.3g}")
        label = ", ".join(notes) if name is None else f"{name} ({', '.join(notes)})"
        style = own_style(
            {"drawstyle": "steps-pre", "label": label, **next_look(ax)}, plot_kwargs, kwargs
        )
        refuse_others(ax, self._ylabel(), "pass other axes, or the same scorer")
        others = [note for note in curves_on(ax) if isinstance(note, _Drawn)]

        values = finite_margins(self.value) / self.unit
        floor, ceiling = (
            None if bound is None else bound / self.unit
            for bound in (self.floor, self.ceiling)
        )
        edges = np.concatenate([[0.0], self.fraction])
        heights = np.concatenate([values[:1], values])
        (self.line_,) = ax.plot(edges, heights, **style)
        color = self.line_.get_color()
        self.area_ = None
        if fill:
            inside = np.clip(
                heights,
                -np.inf if floor is None else floor,
                np.inf if ceiling is None else ceiling,
            )
            # Under a curve of the whole band or, without a floor, over zero.
            base = 0.0 if floor is None or ceiling is None else floor
            self.area_ = ax.fill_between(
                edges, base, inside, step="pre", color=color, alpha=0.25, linewidth=0
            )
        draw_band(ax, (floor, ceiling), [other.band for other in others])
        if share > 0:
            ax.plot([share], [0.0], marker="|", markersize=12, color=color, label="_share")
        zero_line(ax)
        of = self.of if all(other.of == self.of for other in others) else "points"
        ax.set(
            xlabel=f"Share of {of}, by increasing margin",
            xlim=(0, 1),
        )
        ax.set_ylabel(self._ylabel(), wrap=True)
        if ax.xaxis.label.get_window_extent().width > 1.1 * ax.get_window_extent().width:
            ax.set_xlabel(ax.get_xlabel().replace(", ", ",\n"))
        note_curve(ax, self.line_, _Drawn(self._ylabel(), self.of, (floor, ceiling)))
        if legend:
            legend_below(ax)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _ylabel(self):
        if self.scale == "distance":
            unit = "" if self.unit == 1.0 else ", in δ"
            return f"Distance to the decision boundary{unit}"
        return f"Margin ({'logits' if self.scale is None else f'{self.scale}-scaled'})"

    def _share_misclassified(self):
        # Margins of 0 are ties, which do not count as correctly classified.
        wrong = np.searchsorted(self.value, 0.0, side="right")
        return self.fraction[wrong - 1] if wrong else 0.0

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y,
        *,
        scorer=margin_auc_score,
        sample_weight=None,
        name=None,
        ax=None,
        fill=True,
        legend=True,
        plot_kwargs=None,
        **kwargs,
    ):
        """Draw the margin curve of a fitted network.

        Parameters
        ----------
        estimator : estimator
            As for :func:`margins`.
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)
            Usually the samples that it was fitted on.
        y : array-like of shape (n_samples,)
            Their labels.
        scorer : MarginAUCScorer, default=margin_auc_score
            Its score is the area in the legend, and the curve shows the margins it evaluates:
            ``margin_auc_score``, or the result of :func:`make_margin_auc_scorer` for another
            scale, other bounds or margins at the samples.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the samples; None weights all equally.
        name : str, default=None
            Name in the legend; None uses the name of the estimator's class.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        fill, legend : bool, default=True
            As for :meth:`plot`.
        plot_kwargs : dict, default=None
            As for :meth:`plot`.
        **kwargs : dict
            Deprecated, as for :meth:`plot`.

        Returns
        -------
        display : MarginCurveDisplay

        Raises
        ------
        TypeError
            If ``scorer`` is not a scorer, or its settings are passed in its place.
        """
        need_matplotlib()
        scorer = _check_scorer(scorer, kwargs)
        check_name(name)
        found = scorer.evaluate(estimator, X, y, sample_weight)
        fraction, value = margin_curve(found.margins(), found.weights())
        return cls(
            fraction=fraction,
            value=value,
            auc=found.auc(),
            floor=found.floor,
            ceiling=found.ceiling,
            scale=scorer.scale,
            # Without a band, the score itself is a distance.
            unit=1.0 if found.floor is None or found.ceiling is None else found.unit,
            name=type(estimator).__name__ if name is None else name,
            of="samples" if scorer.at == "samples" else "points near samples",
        ).plot(ax, fill=fill, legend=legend, plot_kwargs=plot_kwargs, **kwargs)

    @classmethod
    def from_predictions(
        cls,
        y_true,
        y_score,
        *,
        floor=None,
        ceiling=None,
        sample_weight=None,
        name=None,
        ax=None,
        fill=True,
        legend=True,
        plot_kwargs=None,
        **kwargs,
    ):
        """Draw the curve of raw margins from a ``decision_function``.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Labels.
        y_score : array-like of shape (n_samples, n_classes) or (n_samples,)
            Logits, one column per label in sorted order; for two classes a vector that is
            positive for the second label.
        floor, ceiling : float, default=None
            The band of the area, in units of logits.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the samples; None weights all equally.
        name : str, default=None
            Name in the legend.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        fill, legend : bool, default=True
            As for :meth:`plot`.
        plot_kwargs : dict, default=None
            As for :meth:`plot`.
        **kwargs : dict
            Deprecated, as for :meth:`plot`.

        Returns
        -------
        display : MarginCurveDisplay
        """
        need_matplotlib()
        y_score = as_numbers("y_score", to_numpy(y_score))
        if y_score.ndim not in (1, 2):
            raise ValueError(
                "y_score must have shape (n_samples, n_classes) or (n_samples,), got "
                f"{y_score.shape}."
            )
        classes, index = np.unique(validate_y(None, y_true), return_inverse=True)
        n_columns = 2 if y_score.ndim == 1 else max(2, y_score.shape[1])
        if len(classes) != n_columns:
            raise ValueError(
                f"y_true has {len(classes)} different labels, but y_score is for {n_columns} "
                "classes: every class must occur in y_true, so that columns match labels."
            )
        check_bounds(floor, ceiling)
        values = margins_from_logits(y_score, index)
        fraction, value = margin_curve(values, sample_weight)
        return cls(
            fraction=fraction,
            value=value,
            auc=margin_auc(values, sample_weight, floor=floor, ceiling=ceiling),
            floor=floor,
            ceiling=ceiling,
            name=name,
        ).plot(ax, fill=fill, legend=legend, plot_kwargs=plot_kwargs, **kwargs)


class _Drawn(NamedTuple):
    """What a curve on some axes shows."""

    ylabel: str
    of: str
    band: tuple


def _check_scorer(scorer, others):
    """The scorer; raise if it is not one or its settings are among the other arguments."""
    given = [name for name in SETTINGS_OF_SCORERS if name in others]
    if given:
        settings = ", ".join(f"{name}={others[name]!r}" for name in given)
        raise TypeError(
            f"MarginCurveDisplay.from_estimator takes no {' and no '.join(given)}: pass "
            f"scorer=make_margin_auc_scorer({settings}), whose score is then the area."
        )
    if not isinstance(scorer, MarginAUCScorer):
        raise TypeError(
            "scorer must be margin_auc_score or made by make_margin_auc_scorer(...), got "
            f"{scorer!r}."
        )
    return scorer
