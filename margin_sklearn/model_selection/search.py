"""MarginSearchCV: a search with one fit per candidate, cross-validated at its end."""

import math
import warnings
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from sklearn import get_config
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv
from sklearn.utils import get_tags, indexable
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    process_routing,
)
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from ..adapters.registry import as_network
from ..scoring.scorer import margin_auc_score
from .answering import AnsweringMixin
from .candidates import candidates_of
from .checks import check_search
from .decision import n_kept, shortlist_size
from .fitting import Task, Work, fit_and_score, units_of
from .progress import Progress
from .results import Results
from .voting import soft_vote

__all__ = ["MarginSearchCV"]


class MarginSearchCV(AnsweringMixin, ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """Search over the parameters of a classifier with one fit per candidate.

    Every candidate is fitted once, on all samples, and scored by its margin-AUC on them. Only
    the best few are cross-validated: the *shortlist*. The winner is already fitted, so nothing
    is refitted. Networks of one architecture are trained as one, which makes small networks
    several times faster (*stacked training*).

    Parameters
    ----------
    estimator : estimator
        A classifier that ``margin_scoring`` accepts: a :class:`MarginClassifier`, a Pipeline
        that ends in one, a :class:`MarginSubsetSelector`, a linear classifier or an
        ``MLPClassifier``.
    param_grid : dict or list of dict
        Parameters and the lists of their values, as for GridSearchCV; with ``n_iter`` also
        distributions, as for RandomizedSearchCV.
    n_iter : int, default=None
        Number of candidates to draw from ``param_grid``; None takes the whole grid.
    shortlist : "auto", int or None, default="auto"
        Number of candidates that are cross-validated, those with the highest margin-AUC.
        "auto" is the root of the number of candidates, at least 5. None chooses by margin-AUC
        alone; a number of at least the candidates cross-validates all.
    vote : int or "auto", default="auto"
        Number of networks that answer ``predict``, ``predict_proba`` and ``score``, by the
        mean of their probabilities: the first in the final order. "auto" is the root of the
        number of candidates. Prediction takes as many times as long. 1 lets the winner answer
        alone, as does the winner of "auto" if it has no probabilities. Margins can be taken of
        one network only.
    cv : int, splitter or iterable, default=5
        Folds of the shortlist, as for GridSearchCV.
    scoring : str, callable or None, default=None
        Score on the folds and in :meth:`score`; None is the estimator's own, accuracy.
    margin_scoring : callable, default=margin_auc_score
        ``scorer(estimator, X, y)``, evaluated on the samples that a candidate was fitted on.
    stack : {"auto", True, False}, default="auto"
        Whether to train networks of one architecture as one. "auto" does where that was
        measured to be faster, True wherever it is possible. False fits one by one, with the
        scores of GridSearchCV to the last bit.
    n_jobs : int, default=None
        Number of workers of joblib.
    memory : str, path or None, default=None
        Folder in which finished fits of MarginClassifiers are kept, so that a search that was
        ended, even by the system, continues where it was.
    error_score : "raise" or float, default=nan
        Score of a candidate that fails, with a FitFailedWarning; it comes last.
    verbose : int, default=0
        1 shows a progress bar, 2 prints a line per group of fits as well.
    random_state : int, RandomState instance or None, default=None
        Draws the candidates if there is ``n_iter``.

    Attributes
    ----------
    cv_results_ : dict of str to array of shape (n_candidates,)
        ``params`` and ``param_…``; ``margin_auc`` and ``rank_margin_auc``; ``shortlisted``;
        ``split…_test_score``, ``mean_test_score`` and ``std_test_score`` (NaN off the
        shortlist); ``rank_test_score``, the final order; ``mean_fit_time``, ``std_fit_time``,
        ``mean_score_time`` and ``std_score_time`` in seconds, of stacked fits an equal share;
        ``n_together``, how many networks were trained as one with the candidate.
    best_index_ : int
        The first in the final order.
    best_estimator_ : estimator
        Fitted on all samples.
    best_params_ : dict
    best_score_ : float
        ``mean_test_score`` of the winner: an estimate of its score on new samples, optimistic
        because it was chosen by it. NaN without cross-validation.
    shortlist_estimators_ : list of estimator
        Fitted on all samples, in the final order: the shortlist, and at least the root of the
        number of candidates.
    n_fits_ : int
        Number of fits made.
    n_splits_ : int
        Number of folds; 0 without cross-validation.
    scorer_ : callable
        ``scoring``.
    classes_ : ndarray of shape (n_classes,)
    n_features_in_ : int
    feature_names_in_ : ndarray of str of shape (n_features,)

    See Also
    --------
    margin_auc_score : The score of the first step.

    Notes
    -----
    *The final order* of the shortlist is by .7 times the cross-validated score plus .3 times
    margin-AUC, both standardised over the shortlist: the two err independently, and together
    choose better than either (``benchmarks/decision.py``).

    *The vote* was 1.3 to 1.7 points more accurate than the network chosen by 5-fold
    cross-validation, on data sets that the library was tuned on and on others
    (``benchmarks/decision.py``).

    *Ctrl-C* ends the search with a warning, and what is finished becomes its result.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from margin_sklearn import MarginClassifier, MarginSearchCV, margin_auc_score
    >>> X, y = load_wine(return_X_y=True, as_frame=True)
    >>> model = make_pipeline(StandardScaler(), MarginClassifier(random_state=0))
    >>> grid = {
    ...     "marginclassifier__module__hidden_layer_sizes": [(8,), (32,), (32, 32)],
    ...     "marginclassifier__weight_decay": [0.0, 0.03],
    ... }
    >>> search = MarginSearchCV(model, grid).fit(X, y)
    >>> search.n_fits_  # six on all samples, and five folds for each of the best five
    31
    >>> search.score(X, y) > 0.9  # of the three best together
    True
    >>> margin_auc_score(search.best_estimator_, X, y) > 0.9
    True
    """

    def __init__(
        self,
        estimator: Any,
        param_grid: Any,
        *,
        n_iter: int | None = None,
        shortlist: str | int | None = "auto",
        vote: str | int = "auto",
        cv: Any = 5,
        scoring: Any = None,
        margin_scoring: Any = margin_auc_score,
        stack: str | bool = "auto",
        n_jobs: int | None = None,
        memory: Any = None,
        error_score: str | float = np.nan,
        verbose: int = 0,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.param_grid = param_grid
        self.n_iter = n_iter
        self.shortlist = shortlist
        self.vote = vote
        self.cv = cv
        self.scoring = scoring
        self.margin_scoring = margin_scoring
        self.stack = stack
        self.n_jobs = n_jobs
        self.memory = memory
        self.error_score = error_score
        self.verbose = verbose
        self.random_state = random_state

    # --- fitting --------------------------------------------------------------------

    def fit(self, X: Any, y: Any, **params: Any) -> "MarginSearchCV":
        """Fit and score all candidates, cross-validate the shortlist, choose.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
        y : array-like of shape (n_samples,)
            Labels.
        **params
            Passed to the estimator's ``fit``; arrays with one value per sample are cut as X
            is. ``groups`` goes to the splitter instead. ``sample_weight`` also goes to
            ``margin_scoring``. With metadata routing, as requested.

        Returns
        -------
        self : MarginSearchCV

        Raises
        ------
        ValueError
            If a parameter is invalid, or all candidates fail.
        """
        check_search(self)
        X, y = indexable(X, y)
        candidates = candidates_of(self.param_grid, self.n_iter, self.random_state)
        if n_kept(self.vote, len(candidates)) > len(candidates):
            raise ValueError(
                f"vote={self.vote} is more than the {len(candidates)} candidates."
            )
        estimators = [self._with(candidate) for candidate in candidates]
        work = self._work(X, y, params, len(candidates))
        results = Results(candidates, len(work.splits), self.error_score)
        size = shortlist_size(self.shortlist, len(candidates))
        kept = max(size, n_kept("auto", len(candidates)), n_kept(self.vote, len(candidates)))
        interrupted = False
        total = len(candidates) + size * len(work.splits)
        with Progress(total, self.verbose) as progress:
            try:
                first = [Task(place, None, each) for place, each in enumerate(estimators)]
                self._run(work, first, results, kept, progress)
                results.choose(size)
                again = [
                    Task(place, split, self._with(candidates[place]))
                    for place in np.flatnonzero(results.shortlisted).tolist()
                    for split in range(len(work.splits))
                ]
                self._run(work, again, results, kept, progress)
            except KeyboardInterrupt:
                if not results.networks:
                    raise
                interrupted = True
        results.refuse_failures()
        self._adopt(results, candidates, work)
        if interrupted:
            warnings.warn(
                f"The search was interrupted after {results.n_fits} of {total} fits: "
                "cv_results_ has the finished ones, and the best of them was chosen.",
                stacklevel=2,
            )
        return self

    def _with(self, candidate):
        # The values are cloned too: they may be estimators.
        return clone(self.estimator).set_params(**clone(candidate, safe=False))

    def _work(self, X, y, params, n_candidates):
        """The samples, folds and scorers of all fits."""
        scorer = check_scoring(self.estimator, scoring=self.scoring)
        fit_params, split_params, margin_params, score_params = self._routed(params, scorer)
        splits = []
        if shortlist_size(self.shortlist, n_candidates):
            cv = check_cv(self.cv, y, classifier=True)
            splits = list(cv.split(X, y, **split_params))
        return Work(
            X,
            y,
            splits,
            self.margin_scoring,
            scorer,
            fit_params,
            margin_params.get("sample_weight"),
            score_params,
        )

    def _routed(self, params, scorer):
        """Parameters for fit, the splitter, margin_scoring and scoring."""
        if get_config()["enable_metadata_routing"]:
            routed = process_routing(self, "fit", **params)
            return (
                routed.estimator.fit,
                routed.splitter.split,
                routed.margin_scoring.score,
                routed.scorer.score,
            )
        params = {name: value for name, value in params.items() if value is not None}
        split_params = {"groups": params.pop("groups", None)}
        weight = {name: params[name] for name in ("sample_weight",) if name in params}
        accepts = getattr(scorer, "_accept_sample_weight", None)
        of_score = weight if accepts is not None and accepts() else {}
        return params, split_params, weight, of_score

    def get_metadata_routing(self) -> MetadataRouter:
        """Metadata routing of the search: to the estimator, the splitter and both scorers.

        Returns
        -------
        routing : MetadataRouter
        """
        fit_only = MethodMapping().add(caller="fit", callee="fit")
        scores = MethodMapping().add(caller="fit", callee="score")
        both = (
            MethodMapping()
            .add(caller="fit", callee="score")
            .add(caller="score", callee="score")
        )
        return (
            MetadataRouter(owner=self)
            .add(estimator=self.estimator, method_mapping=fit_only)
            .add(
                splitter=self.cv,
                method_mapping=MethodMapping().add(caller="fit", callee="split"),
            )
            .add(margin_scoring=self.margin_scoring, method_mapping=scores)
            .add(
                scorer=check_scoring(self.estimator, scoring=self.scoring),
                method_mapping=both,
            )
        )

    def _run(self, work, tasks, results, kept, progress):
        """Fit and score tasks; results come in as they are finished."""
        n_jobs = effective_n_jobs(self.n_jobs)
        units = units_of(work, tasks, stack=self.stack, n_jobs=n_jobs)
        if n_jobs == 1:
            found = (fit_and_score(work, unit) for unit in units)
        else:
            parallel = Parallel(n_jobs=self.n_jobs, return_as="generator_unordered")
            found = parallel(delayed(fit_and_score)(work, unit) for unit in units)
        for outcomes in found:
            for outcome in outcomes:
                results.add(outcome, kept)
            progress.update(outcomes, results)

    def _adopt(self, results, candidates, work):
        """Set the fitted attributes."""
        self.cv_results_ = results.table()
        order = results.order()
        self.best_index_ = int(order[0])
        self.best_params_ = candidates[self.best_index_]
        self.best_score_ = float(self.cv_results_["mean_test_score"][self.best_index_])
        self.n_fits_ = results.n_fits
        self.n_splits_ = len(work.splits)
        self.scorer_ = work.scoring
        keep = max(
            shortlist_size(self.shortlist, len(candidates)) if len(work.splits) else 0,
            n_kept("auto", len(candidates)),
        )
        if results.shortlisted.all():
            keep = n_kept("auto", len(candidates))
        keep = max(keep, n_kept(self.vote, len(candidates)))
        places = [place for place in order if place in results.networks][:keep]
        self.shortlist_estimators_ = [results.network(place) for place in places]
        self.best_estimator_ = self.shortlist_estimators_[0]
        self.classes_ = self.best_estimator_.classes_
        n_voting = n_kept(self.vote, len(candidates))
        if self.vote == "auto" and not hasattr(self.best_estimator_, "predict_proba"):
            n_voting = 1
        n_voting = min(n_voting, len(self.shortlist_estimators_))
        self._answering = self.best_estimator_ if n_voting == 1 else self.voting(n_voting)

    def voting(self, k: int | None = None) -> Any:
        """A soft vote of the best networks.

        Parameters
        ----------
        k : int, default=None
            Number of networks, the first of ``shortlist_estimators_``; None is the root of the
            number of candidates.

        Returns
        -------
        vote : VotingClassifier
            Fitted; its estimators are frozen.

        Raises
        ------
        ValueError
            If more are asked for than were kept.
        """
        check_is_fitted(self, "shortlist_estimators_")
        kept = self.shortlist_estimators_
        if k is None:
            k = min(len(kept), math.ceil(math.sqrt(len(self.cv_results_["params"]))))
        whole = isinstance(k, int | np.integer) and not isinstance(k, bool)
        if not whole or not 1 <= k <= len(kept):
            raise ValueError(
                f"k must be an integer from 1 to {len(kept)}, the number of networks kept, "
                f"got {k!r}. A larger shortlist or vote keeps more."
            )
        return soft_vote(kept[:k], self.classes_)

    # --- scikit-learn ---------------------------------------------------------------

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.estimator_type = inner.estimator_type
        tags.classifier_tags = inner.classifier_tags
        tags.target_tags.required = True
        for name in ("pairwise", "sparse", "categorical", "allow_nan", "three_d_array"):
            setattr(tags.input_tags, name, getattr(inner.input_tags, name))
        return tags


@as_network.register(MarginSearchCV)
def _network_of(search):
    check_is_fitted(search, "best_estimator_")
    if search._answering is not search.best_estimator_:
        raise TypeError(
            f"MarginSearchCV(vote={search.vote!r}) predicts by a vote of "
            f"{len(search._answering.estimators_)} networks, which has no margins of its own: "
            "pass its best_estimator_."
        )
    return as_network(search.best_estimator_)
