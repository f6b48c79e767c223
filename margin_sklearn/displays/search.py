"""SearchDisplay: the candidates of a search by margin-AUC and by accuracy."""

import numpy as np
from scipy.stats import kendalltau
from sklearn.utils.validation import check_is_fitted

from ..checks import check_bool
from ..model_selection.search import MarginSearchCV
from ..model_selection.splits import ResubstitutionSplit
from ..scoring.scorer import MarginAUCScorer
from .axes import (
    LOOKS,
    check_name,
    given_or_new,
    legend_below,
    need_matplotlib,
    own_style,
)

__all__ = ["SearchDisplay"]


class SearchDisplay:
    """One point per candidate of a search: margin-AUC against accuracy or a parameter.

    The legend has Kendall's τ of the two scores: the share of pairs of candidates that both
    order alike, less the share that they order differently. Filled points are the shortlist of
    a :class:`MarginSearchCV`, the star is the winner. Candidates of which only margin-AUC is
    known, because they were not cross-validated, are ticks at the axis.

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
        unknown_name="not cross-validated",
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
        """
        check_bool("legend", legend)
        name = check_name(self.name if name is None else name)
        ax = given_or_new(ax)
        prefix = "" if name is None else f"{name}: "
        style = own_style(
            {"color": LOOKS[0][0], "linestyle": "none", "marker": "o", "markersize": 6},
            plot_kwargs,
        )
        self.tau_ = float("nan")
        if self.param is None:
            x, y = self.margin_auc, self.score
            xlabel, ylabel = "Margin-AUC", self.score_name
            both = np.isfinite(x) & np.isfinite(y)
            if both.sum() > 1:
                self.tau_ = float(kendalltau(x[both], y[both]).statistic)
        else:
            x, y = _positions(ax, self.values), self.margin_auc
            xlabel, ylabel = self.param, "Margin-AUC"
        n = len(x)
        shortlisted = np.zeros(n, bool) if self.shortlisted is None else self.shortlisted
        best = np.arange(n) == (-1 if self.best_index is None else self.best_index)
        drawn = np.isfinite(x) & np.isfinite(y)

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
            best, "winner", marker="*", markersize=14, color=LOOKS[1][0], zorder=3
        )
        unknown = np.isfinite(x) & ~np.isfinite(y)
        if self.param is None and unknown.any():
            left = _show_scored(ax, x[drawn])
            hidden = np.count_nonzero(x[unknown] < left)
            others = f"{unknown.sum()} others, {self.unknown_name}"
            if hidden:
                others += f" ({hidden} of them left of the axis)"
            ax.plot(
                x[unknown],
                np.full(unknown.sum(), 0.02),
                transform=ax.get_xaxis_transform(),
                **{
                    **style,
                    "marker": "|",
                    "markersize": 8,
                    "alpha": 0.6,
                    "label": prefix + others,
                },
            )
        ax.set(xlabel=xlabel, ylabel=ylabel)
        if legend:
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
        found = _of_margin_search if isinstance(search, MarginSearchCV) else _of_other_search
        margin_auc, score, score_name = found(search, X_test, y_test, param is not None)
        values = None
        if param is not None:
            values = _values_of(results["params"], param)
        return cls(
            margin_auc=margin_auc,
            score=score,
            score_name=score_name,
            unknown_name="not cross-validated" if X_test is None else "not kept",
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


def _of_margin_search(search, X_test, y_test, margin_auc_alone):
    """Margin-AUC, the other score, and what that is."""
    results = search.cv_results_
    what = "accuracy" if search.scoring is None else _name_of(search.scoring)
    if X_test is None:
        score, name = results["mean_test_score"], f"Cross-validated {what}"
        if not margin_auc_alone and not np.isfinite(score).any():
            raise ValueError(
                "No candidate was cross-validated (shortlist=None): pass X_test and y_test, "
                "or param."
            )
        return results["margin_auc"], score, name
    score = np.full(len(results["params"]), np.nan)
    # The networks kept are in the final order of their candidates.
    kept = np.argsort(results["rank_test_score"])[: len(search.shortlist_estimators_)]
    score[kept] = [
        search.scorer_(network, X_test, y_test) for network in search.shortlist_estimators_
    ]
    return results["margin_auc"], score, f"Test {what}"


def _of_other_search(search, X_test, y_test, margin_auc_alone):
    scorers = search.scorer_ if isinstance(search.scorer_, dict) else {"score": search.scorer_}
    ours = [name for name, one in scorers.items() if isinstance(one, MarginAUCScorer)]
    both = (
        'scoring={"accuracy": "accuracy", "margin_auc": margin_auc_score} and '
        'refit="margin_auc" (or MarginSearchCV)'
    )
    if not ours:
        raise TypeError(
            f"None of the scores of {type(search).__name__} ({', '.join(map(str, scorers))}) "
            f"is margin-AUC: search with {both}."
        )
    if X_test is not None:
        raise ValueError(
            f"{type(search).__name__} keeps one network only, so that X_test cannot be scored "
            "by the others: MarginSearchCV keeps its best ones."
        )
    results, others = search.cv_results_, [name for name in scorers if name not in ours]
    margin_auc = results[f"mean_test_{ours[0]}"]
    if margin_auc_alone:
        return margin_auc, None, ""
    if not others:
        raise ValueError(
            f"The only score of {type(search).__name__} is margin-AUC: pass param, or search "
            f"with {both}."
        )
    chosen = search.refit if search.refit in others else others[0]
    where = (
        f"Training {chosen}"
        if isinstance(search.cv, ResubstitutionSplit)
        else f"Cross-validated {chosen}"
    )
    return margin_auc, results[f"mean_test_{chosen}"], where


def _name_of(scoring):
    return scoring if isinstance(scoring, str) else getattr(scoring, "__name__", "score")


def _values_of(candidates, param):
    values = [candidate.get(param, "not set") for candidate in candidates]
    if all(param not in candidate for candidate in candidates):
        names = sorted({name for candidate in candidates for name in candidate})
        raise ValueError(f"No candidate has the parameter {param!r}; there are {names}.")
    return values


def _positions(ax, values):
    """Where the values of a parameter lie on the axis: numbers as they are, others in turn."""
    numbers = all(
        isinstance(value, int | float | np.number) and not isinstance(value, bool)
        for value in values
    )
    if numbers:
        values = np.asarray(values, dtype=float)
        if values.min() > 0 and values.max() >= 10 * values.min():
            ax.set_xscale("log")
        return values
    names = [str(getattr(value, "__name__", value)) for value in values]
    different = list(dict.fromkeys(names))
    ax.set_xticks(range(len(different)), different)
    return np.array([different.index(name) for name in names], dtype=float)


def _show_scored(ax, x):
    """Restrict the axis to the candidates with both scores; return its left end."""
    if len(x) and np.ptp(x) > 0:
        ax.set_xlim(x.min() - 0.5 * np.ptp(x), x.max() + 0.1 * np.ptp(x))
        return ax.get_xlim()[0]
    return -np.inf
