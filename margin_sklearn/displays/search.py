"""SearchDisplay: the candidates of a search by margin-AUC and by accuracy."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import kendalltau
from sklearn.utils.validation import check_is_fitted

from ..checks import check_bool
from .axes import (
    LOOKS,
    check_name,
    curves_on,
    given_or_new,
    legend_below,
    need_matplotlib,
    note_curve,
    own_style,
    refuse_others,
)
from .parameter_axis import positions_of, slant_names
from .search_results import scores_of_search, values_of_candidates

__all__ = ["SearchDisplay"]

# The winner's star is orange; each search on the same axes has another colour.
WINNER, COLORS = LOOKS[1][0], [LOOKS[i][0] for i in (0, 2, 3, 4, 5)]
NOT_VALIDATED = "not cross-validated"


@dataclass
class Drawn:
    """What later searches on the same axes need to know of one."""

    ylabel: str
    scored: np.ndarray  # margin-AUC of the candidates with both scores
    ticks: object = None  # Line2D of those with margin-AUC alone
    label: str = ""


class SearchDisplay:
    """One point per candidate of a search: margin-AUC against accuracy or a parameter.

    The legend has Kendall's τ of the two scores (:func:`scipy.stats.kendalltau`): 1 if they
    order all pairs of candidates alike, 0 if as many alike as differently, -1 if all
    differently. Filled points are the shortlist of a :class:`MarginSearchCV`, the star is the
    winner. Candidates of which only margin-AUC is known are ticks at the axis, and the legend
    says why.

    Create it with :meth:`from_search`; the constructor takes what it found.

    Parameters
    ----------
    margin_auc : ndarray of shape (n_candidates,)
        Margin-AUC; NaN for candidates without one.
    score : ndarray of shape (n_candidates,), default=None
        Another score, NaN where it is unknown.
    score_name : str, default="Score"
        What it is, for the axis.
    unknown_name : str, default="not cross-validated"
        Why it is unknown where it is NaN, for the legend.
    shortlisted : ndarray of bool of shape (n_candidates,), default=None
        Which candidates were cross-validated.
    best_index : int, default=None
        Index of the winner.
    param : str, default=None
        Name of a parameter to draw against, instead of the other score.
    values : sequence of length n_candidates, default=None
        Its values.
    name : str, default=None
        Name of the search, for the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    points_ : matplotlib Line2D
        The candidates off the shortlist (without a shortlist, all).
    shortlist_ : matplotlib Line2D or None
    best_ : matplotlib Line2D or None
    tau_ : float
        Kendall's τ; NaN if fewer than two candidates have both scores, or with ``param``.

    See Also
    --------
    MarginCurveDisplay : The margins of one candidate.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from margin_sklearn import MarginClassifier, MarginSearchCV, SearchDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> network = MarginClassifier(max_epochs=5, random_state=0)
    >>> search = MarginSearchCV(network, {"lr": [1e-4, 1e-3, 1e-2]}, shortlist=3).fit(X, y)
    >>> display = SearchDisplay.from_search(search)
    >>> display.ax_.get_ylabel()
    'Cross-validated accuracy'
    >>> display.tau_ > 0
    True
    """

    def __init__(
        self,
        *,
        margin_auc,
        score=None,
        score_name="Score",
        unknown_name=NOT_VALIDATED,
        shortlisted=None,
        best_index=None,
        param=None,
        values=None,
        name=None,
    ):
        self.margin_auc = margin_auc
        self.score = score
        self.score_name = score_name
        self.unknown_name = unknown_name
        self.shortlisted = shortlisted
        self.best_index = best_index
        self.param = param
        self.values = values
        self.name = name

    def plot(self, ax=None, *, name=None, legend=True, plot_kwargs=None):
        """Draw the candidates.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None creates new axes.
        name : str, default=None
            Name in the legend, in place of the display's ``name``.
        legend : bool, default=True
            Whether to draw a legend, below the axes.
        plot_kwargs : dict, default=None
            Passed to ``ax.plot`` for the points.

        Returns
        -------
        display : SearchDisplay

        Raises
        ------
        ValueError
            If the axes show other quantities already.
        """
        check_bool("legend", legend)
        name = check_name(self.name if name is None else name)
        ax = given_or_new(ax)
        prefix = "" if name is None else f"{name}: "
        color = COLORS[len(curves_on(ax)) % len(COLORS)]
        style = own_style(
            {"color": color, "linestyle": "none", "marker": "o", "markersize": 6}, plot_kwargs
        )
        self.tau_ = float("nan")
        if self.param is None:
            x, y = self.margin_auc, self.score
            xlabel, ylabel = "Margin-AUC", self.score_name
            both = np.isfinite(x) & np.isfinite(y)
            if both.sum() > 1:
                self.tau_ = float(kendalltau(x[both], y[both]).statistic)
        else:
            x, y = positions_of(ax, self.values), self.margin_auc
            xlabel, ylabel = self.param, "Margin-AUC"
        words = self.param is not None and x.dtype == object
        shown = f"{ylabel} against {xlabel}, {'names' if words else 'numbers'}"
        refuse_others(ax, shown)
        if words:
            # Names in the order of the candidates, not of drawing.
            ax.xaxis.update_units(list(x))
        n = len(x)
        shortlisted = np.zeros(n, bool) if self.shortlisted is None else self.shortlisted
        best = np.arange(n) == (-1 if self.best_index is None else self.best_index)
        known = np.isfinite(x) if self.param is None else np.ones(n, bool)
        drawn = known & np.isfinite(y)

        def points(chosen, label, **own):
            chosen = chosen & drawn
            if not chosen.any():
                return None
            return ax.plot(x[chosen], y[chosen], **{**style, "label": prefix + label, **own})[
                0
            ]

        tau = "" if np.isnan(self.tau_) else f", Kendall's τ = {self.tau_:.2f}"
        self.points_ = points(
            ~shortlisted & ~best,
            f"{np.count_nonzero(drawn)} candidates{tau}",
            markerfacecolor="none",
        )
        self.shortlist_ = points(
            shortlisted & ~best,
            "shortlist, cross-validated"
            if self.points_ is not None
            else f"{_share_of_shortlist(drawn, shortlisted)}{tau}",
        )
        self.best_ = points(
            best,
            "winner",
            marker="*",
            markersize=14,
            markerfacecolor=WINNER,
            markeredgecolor=WINNER if color == COLORS[0] else color,
            zorder=3,
        )
        found = Drawn(shown, x[drawn])
        unknown = known & ~np.isfinite(y)
        if self.param is None and unknown.any():
            # Where the networks that were kept are scored, the others have not failed.
            failed = unknown & shortlisted & (self.unknown_name == NOT_VALIDATED)
            others = ", ".join(
                f"{np.count_nonzero(some)} {why}"
                for some, why in [
                    (unknown & ~failed, f"others, {self.unknown_name}"),
                    (failed, "failed in cross-validation"),
                ]
                if some.any()
            )
            ticks = {**style, "marker": "|", "markersize": 8, "alpha": 0.6}
            found.label = prefix + others
            (found.ticks,) = ax.plot(
                x[unknown],
                np.full(unknown.sum(), 0.02),
                transform=ax.get_xaxis_transform(),
                **ticks,
            )
        lost = np.count_nonzero(~np.isfinite(self.margin_auc))
        if lost:
            label = f"{prefix}{lost} without a finite margin-AUC, not drawn"
            ax.plot([], [], linestyle="none", label=label)
        if ax.lines:
            note_curve(ax, ax.lines[-1], found)
        if self.param is None:
            _show_scored(ax)
        ax.set(xlabel=xlabel, ylabel=ylabel)
        slanted = words and sum(map(len, {*x})) > 40
        if slanted:
            slant_names(ax)
        if legend and slanted:
            place = {"loc": "lower center", "bbox_to_anchor": (0.5, 1)}
            ax.legend(**place, frameon=False, fontsize="small", ncols=3)
        elif legend:
            legend_below(ax)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_search(
        cls,
        search,
        *,
        X_test=None,
        y_test=None,
        param=None,
        ax=None,
        name=None,
        legend=True,
        plot_kwargs=None,
    ):
        """Draw the candidates of a fitted search.

        Parameters
        ----------
        search : MarginSearchCV or a search of scikit-learn
            A :class:`MarginSearchCV`, or a search whose ``scoring`` is ``margin_auc_score`` or
            a dict that has it and another score, such as
            ``{"accuracy": "accuracy", "margin_auc": margin_auc_score}``.
        X_test, y_test : array-like, default=None
            Samples that the search has not seen. The networks that a MarginSearchCV has kept
            are then drawn by their score on these, in place of the cross-validated score.
        param : str, default=None
            Name of a parameter of the candidates: margin-AUC is drawn against its values.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        name : str, default=None
            Name in the legend.
        legend : bool, default=True
            As for :meth:`plot`.
        plot_kwargs : dict, default=None
            As for :meth:`plot`.

        Returns
        -------
        display : SearchDisplay

        Raises
        ------
        TypeError
            If it is not a search, or none of its scores is margin-AUC.
        ValueError
            If there is no second score, ``X_test`` comes without ``y_test``, or no candidate
            has the parameter.
        sklearn.exceptions.NotFittedError
            If it is not fitted.
        """
        need_matplotlib()
        check_name(name)
        if not hasattr(search, "fit") or not hasattr(search, "get_params"):
            raise TypeError(
                "SearchDisplay.from_search takes a fitted MarginSearchCV, GridSearchCV or "
                f"another search of scikit-learn, got {search!r}."
            )
        check_is_fitted(search)
        if not isinstance(getattr(search, "cv_results_", None), dict):
            raise TypeError(
                "SearchDisplay.from_search takes a fitted search, but "
                f"{type(search).__name__} has no cv_results_."
            )
        if (X_test is None) != (y_test is None):
            raise ValueError("X_test and y_test must be given together.")
        results = search.cv_results_
        margin_auc, score, score_name = scores_of_search(
            search, X_test, y_test, margin_auc_alone=param is not None
        )
        values = None
        if param is not None:
            values = values_of_candidates(results["params"], param)
        return cls(
            margin_auc=margin_auc,
            score=score,
            score_name=score_name,
            unknown_name=NOT_VALIDATED if X_test is None else "not kept",
            shortlisted=results.get("shortlisted"),
            best_index=getattr(search, "best_index_", None),
            param=param,
            values=values,
            name=name,
        ).plot(ax, legend=legend, plot_kwargs=plot_kwargs)


def _share_of_shortlist(drawn, shortlisted):
    whole = f"shortlist of {np.count_nonzero(shortlisted)}"
    if np.array_equal(drawn, shortlisted):
        return whole
    return f"{np.count_nonzero(drawn)} of the {whole}"


def _show_scored(ax):
    """Restrict the axis to the candidates with both scores, if there are others as well."""
    searches = curves_on(ax)
    with_ticks = [one for one in searches if one.ticks is not None]
    if not with_ticks:
        return
    x = np.concatenate([one.scored for one in searches])
    if len(x) and np.ptp(x) > 0:
        ax.set_xlim(x.min() - 0.5 * np.ptp(x), x.max() + 0.1 * np.ptp(x))
    for one in with_ticks:
        hidden = np.count_nonzero(one.ticks.get_xdata() < ax.get_xlim()[0])
        where = f" ({hidden} of them left of the axis)" if hidden else ""
        one.ticks.set_label(one.label + where)
