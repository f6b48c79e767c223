"""MarginSearchCV: a search by margin-AUC, with cross-validation of its best candidates."""

from collections.abc import Callable
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.ensemble import VotingClassifier
from sklearn.metrics import check_scoring
from sklearn.utils import get_tags, indexable
from sklearn.utils.metadata_routing import MetadataRouter
from sklearn.utils.validation import check_is_fitted

from ..adapters.registry import as_network
from ..checks import check_int, check_rows
from ..data.validation import check_lengths, validate_y
from ..exceptions import warn_caller
from ..representation import Represented
from ..scoring.scorer import margin_auc_score
from ..versions import Versioned
from .answers import AnswersMixin
from .candidates import (
    Settings,
    candidate_settings,
)
from .decision import n_voters
from .memory import SearchMemory
from .preparation import prepare_data
from .routing import route_fit, router
from .run_search import SearchRun
from .settings import check_candidates, check_search, n_shortlisted, n_votes
from .stacking import with_own_transformers
from .voting import soft_vote

__all__ = ["MarginSearchCV"]


class MarginSearchCV(Represented, Versioned, AnswersMixin, MetaEstimatorMixin, BaseEstimator):
    """Search for a network by margin-AUC, and cross-validate only the best.

    Every candidate is fitted once on all samples and scored by ``margin_scoring`` on the same
    samples, so networks of one architecture can be trained as one (*stacked*). The candidates
    with the highest scores, the *shortlist*, are cross-validated, and the first by both scores
    wins. It is already fitted on all samples. So a search of 100 candidates
    takes 150 fits, not 501 as that of :class:`~sklearn.model_selection.GridSearchCV` with five
    folds.

    Parameters
    ----------
    estimator : estimator
        What ``margin_scoring`` can score: a :class:`MarginClassifier`,
        :class:`MarginSubsetSelector`, skorch net, ``MLPClassifier`` or linear classifier,
        alone or as the last step of a Pipeline. It is cloned.
    param_grid : dict or list of dict
        Lists of values by the names of the parameters, as for ``GridSearchCV``; with
        ``n_iter`` also distributions, as for ``RandomizedSearchCV``.
    n_iter : int or None, default=None
        Number of candidates to draw from ``param_grid``; None takes all combinations.
    shortlist : int, "auto" or None, default="auto"
        Number of candidates to cross-validate, those with the highest margin-AUC. "auto" is
        the square root of the number of candidates, at least 5; at least the number of
        candidates cross-validates all; None cross-validates none and chooses by margin-AUC.
    vote : int or "auto", default="auto"
        Number of the best candidates that answer :meth:`predict`, :meth:`predict_proba` and
        :meth:`score` together, by the mean of their probabilities; "auto" is the square root
        of the number of candidates. Predictions take as many times as long. 1 leaves it to
        ``best_estimator_``, and so does "auto" if the estimator has no probabilities. Margins
        can be taken of one network only.
    cv : int, splitter or iterable, default=5
        As for ``GridSearchCV``. Used for the shortlist only.
    scoring : str, callable or None, default=None
        Score for the cross-validation and for :meth:`score`; None is the estimator's own,
        accuracy.
    margin_scoring : callable, default=margin_auc_score
        ``margin_scoring(estimator, X, y) -> float`` for a fitted estimator on its training
        samples, as of :func:`make_margin_auc_scorer`. Higher is better.
    stack : bool or "auto", default="auto"
        Whether to train networks of the same architecture as one, which makes small networks
        several times as fast: "auto" where that was measured to be faster, True wherever it
        is possible. False fits one by one, with the scores of ``GridSearchCV`` to the last
        bit; stacked, they differ by rounding, which Adam and AdamW magnify from step to step
        (equal candidates may get scores that differ in the third digit), and with dropout by
        its draws.
    n_jobs : int or None, default=None
        Number of processes, by joblib; -1 is one per core. On a GPU 1 is fastest.
    memory : str, Path or None, default=None
        Folder that keeps the weights, times and scores of finished fits of MarginClassifiers,
        alone or as the last step of a Pipeline, so that a search that was killed can be fitted
        again without repeating them, and another with other scorers or folds repeats only what
        it must. They are found by data, parameters and versions; also where ``random_state``
        is None. Fits with callbacks and of other estimators are repeated.
    error_score : float or "raise", default=nan
        Score where a fit or a score raises an error, which gives a warning; "raise" passes the
        error on. A candidate that fails on all samples comes last, whatever the number; a
        number other than NaN counts as the score of a fold that fails.
    verbose : int, default=0
        1 shows a progress bar over the fits, 2 prints a line for each.
    random_state : int, RandomState instance or None, default=None
        Draws the candidates with ``n_iter``. The fits are seeded by the estimator's own
        ``random_state``.

    Attributes
    ----------
    cv_results_ : dict of arrays of length n_candidates
        ``params``, ``param_*``, ``margin_auc``, ``rank_margin_auc``, ``shortlisted``,
        ``split*_test_score``, ``mean_test_score``, ``std_test_score`` (NaN off the shortlist),
        ``rank_test_score`` (the final order), and the mean and standard deviation over all
        fits of a candidate: ``mean_fit_time``, ``std_fit_time``, ``mean_score_time``,
        ``std_score_time``, in seconds; ``n_together``, the number of networks that were
        trained as one with the candidate, which share their time out. Ranks are unique: ties
        are ranked in the order of the candidates.
    best_estimator_ : estimator
        The winner, fitted on all samples.
    best_params_ : dict
        Its parameters.
    best_index_ : int
        Its index: ``rank_test_score`` is 1 there.
    best_score_ : float
        Its mean cross-validated score; NaN with ``shortlist=None``. Optimistic, because it is
        the best of several; and not the score of the vote.
    shortlist_estimators_ : list of estimators
        The networks that were kept, fitted on all samples, in the final order: the shortlist,
        and at least the square root of the number of candidates. If all candidates were
        cross-validated, only the best are kept.
    shortlist_indices_ : ndarray of int
        Indices of their candidates.
    vote_ : VotingClassifier or None
        What answers in place of ``best_estimator_`` if ``vote`` is not 1.
    n_fits_ : int
        Number of fits, on all samples and in folds, also those found in ``memory``.
    n_splits_ : int
        Number of folds; 0 with ``shortlist=None``.
    scorer_ : callable
        Made of ``scoring``.
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    n_features_in_ : int
        Length of the second axis of X.
    feature_names_in_ : ndarray of shape (n_features,)
        Column names, if X was a DataFrame with string column names.

    See Also
    --------
    margin_auc_score : The default score on the training samples.
    ResubstitutionSplit : For the searches of scikit-learn.

    Notes
    -----
    *The decision.* The final order of the shortlist is by 0.7 times the cross-validated score
    plus 0.3 times margin-AUC, both standardised over the shortlist. On the results of
    ``benchmarks/rank.py`` it loses less than 5-fold cross-validation of all candidates, and a
    vote of the best is 1.3 to 1.7 points more accurate than the network that cross-validation
    chooses (``benchmarks/decision.py``).

    *Weights and groups.* Without metadata routing, ``fit(X, y, groups=...,
    sample_weight=...)`` passes groups to the splitter and weights to fits and to those scorers
    that take them, as ``GridSearchCV`` does. With routing, request weights for a scorer by
    ``make_margin_auc_scorer(...).set_score_request(sample_weight=True)``.

    *Interrupts.* Ctrl-C ends the search with a warning. The candidates finished so far are its
    results; the fit that was interrupted does not count.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from margin_sklearn import MarginClassifier, MarginSearchCV
    >>> X, y = load_wine(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), MarginClassifier(random_state=0))
    >>> grid = {
    ...     "marginclassifier__lr": [1e-4, 1e-3, 1e-2],
    ...     "marginclassifier__module__hidden_layer_sizes": [(8,), (32,)],
    ... }
    >>> search = MarginSearchCV(model, grid, shortlist=2, cv=3).fit(X, y)
    >>> search.n_fits_
    12
    >>> search.best_params_["marginclassifier__lr"]
    0.01
    >>> search.predict(X).shape
    (178,)
    >>> search.voting(2).predict_proba(X).shape
    (178, 3)
    """

    cv_results_: dict[str, Any]
    best_estimator_: Any
    best_params_: Settings
    best_index_: int
    best_score_: float
    shortlist_estimators_: list[Any]
    shortlist_indices_: np.ndarray
    vote_: VotingClassifier | None
    n_fits_: int
    n_splits_: int
    feature_names_in_: NDArray[Any]
    scorer_: Callable[..., Any]

    def __init__(
        self,
        estimator: Any,
        param_grid: Any,
        *,
        n_iter: int | None = None,
        shortlist: int | Literal["auto"] | None = "auto",
        vote: int | Literal["auto"] = "auto",
        cv: Any = 5,
        scoring: Any = None,
        margin_scoring: Callable[..., Any] = margin_auc_score,
        stack: bool | Literal["auto"] = "auto",
        n_jobs: int | None = None,
        memory: Any = None,
        error_score: float | Literal["raise"] = np.nan,
        verbose: int = 0,
        random_state: int | np.random.RandomState | None = None,
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

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.estimator_type = inner.estimator_type
        tags.classifier_tags = inner.classifier_tags
        tags.input_tags = inner.input_tags
        tags.target_tags.required = True
        return tags

    def get_metadata_routing(self) -> MetadataRouter:
        """Metadata routing of this object.

        Returns
        -------
        routing : MetadataRouter
        """
        return router(self, check_scoring(self.estimator, self.scoring))

    # --- fitting --------------------------------------------------------------------

    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Search.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)
            As for ``estimator.fit``.
        y : array-like of shape (n_samples,)
            Labels, of at least two classes.
        **params : dict
            Keyword arguments as for ``GridSearchCV.fit``: ``groups`` for the splitter, all
            others for the estimator's ``fit``, those of length n_samples sliced for each fold;
            ``sample_weight`` also for the scorers.

        Returns
        -------
        self : MarginSearchCV

        Raises
        ------
        ValueError
            If a parameter or the data are invalid, or all fits fail.
        TypeError
            If margins cannot be taken from the estimator.
        """
        check_search(self)
        check_rows("X", X)
        check_lengths(self, X, y)
        y = validate_y(self, y)
        classes = np.unique(y)
        if len(classes) < 2:
            raise ValueError(
                "MarginSearchCV needs samples of at least 2 classes in the data, but the data "
                f"contains only one class: {classes.tolist()[0]!r}."
            )
        X, y = indexable(X, y)
        scorer = check_scoring(self.estimator, self.scoring)
        margin_scorer = check_scoring(self.estimator, self.margin_scoring)
        candidates = candidate_settings(self.param_grid, self.n_iter, self.random_state)
        n = len(candidates)
        vote, size = n_votes(self.vote, n), n_shortlisted(self.shortlist, n)
        estimator = clone(self.estimator)
        vote = check_candidates(self, estimator, candidates, vote)
        routed = route_fit(self, scorer, params)
        data = prepare_data(estimator, X, y, self.cv if size else None, routed)
        memory = None
        if self.memory is not None:
            one_by_one = not isinstance(self.stack, str) and not self.stack
            memory = SearchMemory(
                self.memory, estimator, data, self.scoring, self.margin_scoring, one_by_one
            )
        n_best = max(n_voters(n), vote)
        run = SearchRun(
            estimator,
            candidates,
            data,
            scorer,
            margin_scorer,
            n_shortlisted=size,
            n_kept=max(n_best, size),
            error_score=self.error_score,
            n_jobs=self.n_jobs,
            stack=self.stack,
            verbose=int(self.verbose),
            memory=memory,
        )
        run.run()
        # Of a shortlist of all candidates only the best are kept.
        self._adopt(run, scorer, vote, n_best if size >= n else None)
        return self

    def _adopt(self, run: SearchRun, scorer: Any, vote: int, n_best: int | None) -> None:
        results = run.record.cv_results()
        order = run.record.order()
        indices = [i for i in order.tolist() if i in run.estimators][:n_best]
        kept = [with_own_transformers(run.estimators[i]) for i in indices]
        best = indices[0]
        if vote > len(kept) and self.vote != "auto":
            warn_caller(f"Only {len(kept)} of vote={vote} candidates can vote.")
        winner = kept[0]
        voters = kept[:vote]
        answers = soft_vote(voters, winner.classes_) if len(voters) > 1 else None
        # Nothing is set before here, so that an error keeps the results of an earlier fit.
        if hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        if hasattr(winner, "feature_names_in_"):
            self.feature_names_in_ = winner.feature_names_in_
        self.cv_results_, self.scorer_ = results, scorer
        self.best_index_, self.best_estimator_ = best, winner
        self.best_params_ = run.candidates[best]
        self.best_score_ = float(results["mean_test_score"][best])
        self.shortlist_estimators_, self.vote_ = kept, answers
        self.shortlist_indices_ = np.array(indices, dtype=int)
        self.n_fits_, self.n_splits_ = run.record.n_fits, len(run.data.splits)
        self._n_voters = min(n_voters(len(run.candidates)), len(kept))

    # --- results --------------------------------------------------------------------

    def voting(self, k: int | None = None) -> VotingClassifier:
        """A soft vote of the best networks, without further fits.

        Parameters
        ----------
        k : int or None, default=None
            Number of networks, the first of ``shortlist_estimators_``; None is the square root
            of the number of candidates.

        Returns
        -------
        vote : VotingClassifier
            Fitted; its probabilities are the means of the networks'.

        Raises
        ------
        ValueError
            If fewer than ``k`` networks were kept, or the networks give no probabilities.
        """
        check_is_fitted(self, "best_estimator_")
        kept = self.shortlist_estimators_
        check_int("k", k, 1, also=(None,))
        n = len(self.cv_results_["params"])
        if k is not None and k > len(kept):
            raise ValueError(
                f"k must be at most {len(kept)}, the number of networks kept, got {k}. "
                + (
                    f"Fit with vote={k} to keep as many."
                    if k <= n
                    else f"There are only {n} candidates."
                )
            )
        return soft_vote(kept[: self._n_voters if k is None else k], self.classes_)


@as_network.register(MarginSearchCV)
def _network_of(search):
    check_is_fitted(search, "best_estimator_")
    if search.vote_ is not None:
        raise TypeError(
            "Margins cannot be taken from a MarginSearchCV whose predictions are a vote of "
            f"{len(search.vote_.estimators_)} networks: pass its best_estimator_, or one of "
            "shortlist_estimators_."
        )
    return as_network(search.best_estimator_)
