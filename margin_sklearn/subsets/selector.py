"""MarginSubsetSelector: train to separation, keep few samples, go on."""

import warnings

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    MetaEstimatorMixin,
    OneToOneFeatureMixin,
    TransformerMixin,
)
from sklearn.utils import check_random_state, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from ..adapters.registry import as_network
from ..checks import (
    check_bool,
    check_choice,
    check_int,
    check_random_state_parameter,
    check_real,
    check_rows,
    check_verbose,
)
from ..classifier.estimator import MarginClassifier
from ..data.rows import take_rows
from ..data.validation import check_lengths, validate_y
from .continuing import score_fitted, train, weighted
from .report import class_report
from .strategies import check_strategy, n_to_select, raised_to_minima, select

__all__ = ["MarginSubsetSelector"]


def _estimator_has(name):
    def check(self):
        estimator = getattr(self, "estimator_", self.estimator)
        # None stands for a MarginClassifier, which has them all.
        return estimator is None or hasattr(estimator, name)

    return check


class MarginSubsetSelector(
    MetaEstimatorMixin,
    ClassifierMixin,
    OneToOneFeatureMixin,
    TransformerMixin,
    BaseEstimator,
):
    r"""Train a network to separation, keep few samples, chosen by margin, and go on with them.

    To samples what :class:`~sklearn.feature_selection.RFE` is to features. :meth:`fit` trains
    a clone of ``estimator`` until every sample is classified right, keeps the
    ``n_samples_to_select`` that ``strategy`` chooses by their margins

    .. math:: m_i = f_{y_i}(x_i) - \max_{j \ne y_i} f_j(x_i)

    (:math:`f`: logits), and trains for ``continue_epochs`` more epochs on these only,
    choosing again as it goes on. It ends as a fitted classifier with the last selection.

    Going on with 1 % of the samples takes 1 % of the gradients and a fraction of the time.
    It gains what is left to gain after separation, often little: the user guide has the
    measurements and says when the selector is of use, and when not. What it keeps is *not* a
    data set to train other networks on from scratch: for that, random samples are better.

    Parameters
    ----------
    estimator : MarginClassifier, Pipeline or None, default=None
        What to train: a :class:`MarginClassifier`, or a Pipeline that ends in one. Its
        ``max_epochs`` is the budget until separation. With ``prefit=True`` any fitted network
        that :func:`margins` takes. None stands for ``MarginClassifier(max_epochs=200)``.
    n_samples_to_select : float or int, default=0.01
        Share (float in (0, 1]) or number (int) of the samples to keep. 1.0 goes on with all.
        A share that gives fewer than ``min_per_class`` of each class is raised to that, with
        a warning; a number of samples that does is an error.
    strategy : str or callable, default="smallest"
        Which samples to keep:

        - "smallest": those nearest to the decision boundary;
        - "largest": those furthest from it;
        - "window": those around the median margin (Xia et al. 2023, moderate coreset);
        - "coverage": as many from each of 50 strata of the margins' range (Zheng et al. 2023);
        - "random": the same random ones throughout;
        - "random_each_epoch": new random ones at each choice (Okanovic et al. 2024, RS2);
        - a function ``(margins, y, n, rng) -> indices`` of ``n`` different positions in
          ``margins``; ``y`` holds class indices, ``rng`` is a NumPy Generator. With
          ``stratify`` it is called for each class.
    stratify : bool, default=True
        Whether each class is kept in proportion to its size.
    min_per_class : int, default=1
        With ``stratify``, the least number to keep of each class (all, if it has fewer).
    separation : float, default=1.0
        Share of the samples to be classified right before any are left out.
    continue_epochs : int, default=10
        Epochs on the kept samples; 0 stops at separation.
    continue_lr : float or "auto", default="auto"
        Learning rate on the kept samples; "auto" is a fifth of the estimator's.
    reselect_every : int, default=1
        Epochs from one choice to the next.
    score_share : float, default=0.2
        Share of the samples whose margins are taken anew for each choice: one half those
        nearest to the boundary when last seen, one half in turn. 1.0 scores all each time.
        At the end all are scored.
    freeze_batch_norm : bool, default=True
        Whether batch norm keeps its statistics, and uses them, while few samples are trained
        on; theirs are far from those of all samples.
    noise_guard : bool, default=False
        Whether samples are left out whose margin, averaged over the first quarter of the
        epochs until separation (five at least), is negative: the network then held them for
        another class, as it does with wrong labels before it learns them by heart. They are
        trained on until separation all the same.
    prefit : bool, default=False
        Whether ``estimator`` is fitted already: :meth:`fit` then only selects. A search clones
        it; within one, wrap it in a :class:`~sklearn.frozen.FrozenEstimator`.
    on_unseparated : {"warn", "raise"}, default="warn"
        What to do where the network does not separate its samples: go on from where it is,
        with a :class:`NotSeparatedWarning`, or raise a RuntimeError.
    random_state : int, RandomState instance or None, default=None
        For strategies that draw, the order of scoring, and each part of the estimator (in a
        Pipeline as well) whose own ``random_state`` is None.
    verbose : int, default=0
        How the training of the estimator shows its progress, until separation and after it, as
        for :class:`MarginClassifier`; 0 leaves that to the estimator.

    Attributes
    ----------
    estimator_ : estimator
        The fitted estimator.
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    support_ : ndarray of bool of shape (n_samples,)
        Which samples the network, as it ended, would go on with.
    sample_indices_ : ndarray of int of shape (n_selected,)
        Their positions, ascending.
    margins_ : ndarray of float of shape (n_samples,)
        Margins of ``estimator_``, in logits; NaN for samples of weight 0.
    ranking_ : ndarray of int of shape (n_samples,)
        1 for the smallest margin, and so on; equal ones by position, NaN last.
    suspects_ : ndarray of bool of shape (n_samples,)
        What ``noise_guard`` left out.
    separation_epoch_ : int or None
        The epoch, from 1, after which the samples were separated.
    history_ : DataFrame of shape (n_epochs, 9)
        A row an epoch: ``phase`` ("separation" or "continuing"), ``lr``, ``n_samples`` trained
        on (that is, sample-gradients), ``n_scored`` for choice and guard, ``loss``,
        ``accuracy`` on all samples (until separation as the training passes saw it, then as
        last scored), ``rolled_back``, ``seconds``, ``scoring_seconds`` (part of them). Empty
        with ``prefit=True``.
    report_ : DataFrame of shape (n_classes, 6)
        A row a class, of the last selection: ``n_samples``, ``n_selected``, ``n_suspects``,
        ``accuracy``, ``median_margin``, ``median_selected_margin``.
    n_features_in_ : int
        Length of the second axis of X.
    feature_names_in_ : ndarray of shape (n_features,)
        Column names, where X was a DataFrame with strings for names.

    See Also
    --------
    MarginSubsetSampler : A step of imbalanced-learn's Pipeline.
    subset_overlap : How far selections agree.

    Notes
    -----
    Our operationalisation of Banburski et al., "Distribution of Classification Margins: Are
    All Data Equal?" (arXiv 2107.10199), of which the abstract was available to us: which
    samples, how many a class and which learning rate are our choices, by measurement
    (``benchmarks/prune.py``).

    *The guard.* Every choice looks at ``score_share`` of the samples. If fewer of all samples
    are right than were at the start of the second part, the epochs since the last choice are
    undone and the learning rate is halved; after more than five times, training ends. The
    last epoch is checked on all samples, so ``estimator_`` classifies no fewer of them right
    than when it started to prune. ``suspects_`` do not count. ``history_`` records it.

    The optimizer goes on in the state that it has at separation. Callbacks of the estimator go
    on too, learning-rate schedulers excepted. Ctrl-C ends the part of training that is on, and
    what is done so far is kept.

    *Pipelines.* A step of scikit-learn's Pipeline cannot leave rows out of y, so the selector
    is the last step, around the network:
    ``make_pipeline(StandardScaler(), MarginSubsetSelector(MarginClassifier()))``. For a step
    before the last there is :class:`MarginSubsetSampler` and imbalanced-learn's Pipeline.

    References
    ----------
    Okanovic et al., "Repeated Random Sampling for Minimizing the Time-to-Accuracy of
    Learning", ICLR 2024. Pleiss et al., "Identifying Mislabeled Data using the Area Under the
    Margin Ranking", NeurIPS 2020. Xia et al., "Moderate Coreset", ICLR 2023. Zheng et al.,
    "Coverage-centric Coreset Selection for High Pruning Rates", ICLR 2023.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from margin_sklearn import MarginClassifier, MarginSubsetSelector
    >>> X, y = load_digits(return_X_y=True)
    >>> network = MarginClassifier(module__dropout=0.0, random_state=0)
    >>> selector = MarginSubsetSelector(network, n_samples_to_select=50, random_state=0)
    >>> selector = selector.fit(X / 16, y)
    >>> selector.transform(X).shape
    (50, 64)
    >>> selector.score(X / 16, y)
    1.0
    >>> selector.history_.groupby("phase")["n_samples"].sum()["continuing"]
    np.int64(500)
    """

    def __init__(
        self,
        estimator=None,
        *,
        n_samples_to_select=0.01,
        strategy="smallest",
        stratify=True,
        min_per_class=1,
        separation=1.0,
        continue_epochs=10,
        continue_lr="auto",
        reselect_every=1,
        score_share=0.2,
        freeze_batch_norm=True,
        noise_guard=False,
        prefit=False,
        on_unseparated="warn",
        random_state=None,
        verbose=0,
    ):
        self.estimator = estimator
        self.n_samples_to_select = n_samples_to_select
        self.strategy = strategy
        self.stratify = stratify
        self.min_per_class = min_per_class
        self.separation = separation
        self.continue_epochs = continue_epochs
        self.continue_lr = continue_lr
        self.reselect_every = reselect_every
        self.score_share = score_share
        self.freeze_batch_norm = freeze_batch_norm
        self.noise_guard = noise_guard
        self.prefit = prefit
        self.on_unseparated = on_unseparated
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        given = isinstance(self.estimator, BaseEstimator)
        inner = get_tags(self.estimator if given else MarginClassifier())
        tags.input_tags, tags.classifier_tags = inner.input_tags, inner.classifier_tags
        # transform picks rows, whatever is in them.
        tags.transformer_tags.preserves_dtype = []
        return tags

    # --- fitting --------------------------------------------------------------------

    def fit(self, X, y, sample_weight=None):
        """Train to separation, select, go on with the selected samples.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)
            As for ``estimator.fit``.
        y : array-like of shape (n_samples,)
            Labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples in the loss. Samples of weight 0 take no part and are not
            selected.

        Returns
        -------
        self : MarginSubsetSelector

        Raises
        ------
        ValueError
            If a setting or the data cannot be used; for instance a number of samples to
            select below that of the classes.
        TypeError
            If the estimator is none that can be trained (or, with ``prefit``, scored).
        RuntimeError
            If the samples are not separated and ``on_unseparated="raise"``.
        """
        self._check_settings()
        check_rows("X", X)
        check_lengths(self, X, y)
        y = validate_y(self, y)
        labels, index = np.unique(y, return_inverse=True)
        part = weighted(index, sample_weight)
        n = n_to_select(self.n_samples_to_select, len(part))
        if self.stratify:
            # What cannot work is said before the training, not after it.
            n = raised_to_minima(
                n, self.n_samples_to_select, np.bincount(part), self.min_per_class
            )
        seed = None
        if self.random_state is not None:
            seed = check_random_state(self.random_state).randint(2**31 - 1)
        # Where None asks for it, from the operating system: NumPy's generator stays as it is.
        seed = np.random.SeedSequence(seed).entropy
        rng = np.random.default_rng(seed)

        def choose(margins, rows, candidates):
            return select(
                margins,
                index[rows],
                min(n, np.count_nonzero(candidates)),
                strategy=self.strategy,
                stratify=self.stratify,
                min_per_class=self.min_per_class,
                rng=np.random.default_rng(seed) if self.strategy == "random" else rng,
                candidates=candidates,
            )

        work = score_fitted if self.prefit else train
        trained = work(self, X, y, sample_weight, choose, rng)
        chosen = trained.rows[choose(trained.margins, trained.rows, trained.candidates)]
        # Nothing is set before here: an error leaves what an earlier fit left.
        validate_data(self, X, skip_check_array=True)
        self.estimator_, self.history_ = trained.estimator, trained.history
        self.separation_epoch_ = trained.separation_epoch
        self.classes_ = getattr(self.estimator_, "classes_", labels)
        self._keep(chosen, trained.margins, trained.rows, trained.candidates, labels, index)
        return self

    def _keep(self, chosen, margins, rows, candidates, labels, index):
        n_samples = len(index)
        self.sample_indices_ = chosen
        self.support_ = np.zeros(n_samples, dtype=bool)
        self.support_[chosen] = True
        self.margins_ = np.full(n_samples, np.nan)
        self.margins_[rows] = margins
        self.ranking_ = np.empty(n_samples, dtype=int)
        # NaN come last.
        self.ranking_[np.argsort(self.margins_, kind="stable")] = np.arange(1, n_samples + 1)
        self.suspects_ = np.zeros(n_samples, dtype=bool)
        self.suspects_[rows[~candidates]] = True
        self.report_ = class_report(
            self.margins_, self.support_, self.suspects_, index, labels
        )
        lost = self.report_.index[self.report_["n_selected"] == 0].tolist()
        if lost:
            warnings.warn(
                f"No sample of the classes {lost} is selected: set stratify=True, raise "
                "min_per_class or n_samples_to_select.",
                stacklevel=3,
            )

    def _check_settings(self):
        check_strategy(self.strategy)
        for name in ("stratify", "freeze_batch_norm", "noise_guard", "prefit"):
            check_bool(name, getattr(self, name))
        for name, least in (
            ("min_per_class", 0),
            ("continue_epochs", 0),
            ("reselect_every", 1),
        ):
            check_int(name, getattr(self, name), least)
        for name in ("separation", "score_share"):
            check_real(name, getattr(self, name), 0, 1, closed="right")
        check_real("continue_lr", self.continue_lr, 0, closed="neither", also=("auto",))
        check_choice("on_unseparated", self.on_unseparated, ("warn", "raise"))
        check_random_state_parameter("random_state", self.random_state)
        check_verbose(self.verbose)

    # --- the selection --------------------------------------------------------------

    def get_support(self, indices=False):
        """Which samples are selected.

        Parameters
        ----------
        indices : bool, default=False
            Whether to return positions instead of a mask.

        Returns
        -------
        support : ndarray of bool of shape (n_samples,) or of int of shape (n_selected,)
        """
        check_is_fitted(self, "support_")
        check_bool("indices", indices)
        return self.sample_indices_ if indices else self.support_

    def transform(self, X):
        """The selected rows of the X that the selector was fitted on.

        Rows are told by their positions; values are not looked at.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)
            What :meth:`fit` was given: as many rows, in the same order, of the same columns.

        Returns
        -------
        X_selected : as X, of shape (n_selected, ...)
            In the order of X; of a DataFrame, with its index. :meth:`set_output` asks for a
            DataFrame.

        Raises
        ------
        ValueError
            If X has another number of rows or of columns, or columns of other names.
        """
        check_is_fitted(self, "support_")
        check_rows("X", X)
        if not hasattr(X, "shape") and not isinstance(X, list | tuple):
            X = np.asarray(X)
        if hasattr(self, "n_features_in_") and getattr(X, "ndim", 2) < 2:
            raise ValueError(
                f"X must have {self.n_features_in_} features, but is an array of shape "
                f"{X.shape}. Reshape your data: X.reshape(-1, 1) for a single feature."
            )
        validate_data(self, X, reset=False, skip_check_array=True)
        n_rows = X.shape[0] if hasattr(X, "shape") else len(X)
        if n_rows != len(self.support_):
            raise ValueError(
                f"X has {n_rows} rows, but MarginSubsetSelector was fitted on "
                f"{len(self.support_)}: transform only picks rows of the X it was fitted on. "
                "Use predict for new samples, and fit_resample(X, y) or sample_indices_ to "
                "pick rows of y and the like."
            )
        return take_rows(X, self.sample_indices_)

    def fit_transform(self, X, y, sample_weight=None):
        """Fit, and return the selected rows of X, with a warning: y still has all of its own.

        A Pipeline calls it where the selector is not the last step, and the next step then
        gets fewer rows of X than of y. :meth:`fit_resample` returns both.

        Parameters
        ----------
        X, y, sample_weight
            As for :meth:`fit`.

        Returns
        -------
        X_selected : as X, of shape (n_selected, ...)
        """
        warnings.warn(
            "MarginSubsetSelector.fit_transform leaves rows out of X, but not out of y. As a "
            "step before the last of a Pipeline it cannot work: put the selector last, around "
            "the classifier, or use MarginSubsetSampler in imbalanced-learn's Pipeline. "
            "fit_resample(X, y) gives the selected rows of both.",
            stacklevel=3,  # set_output wraps this method
        )
        return self.fit(X, y, sample_weight=sample_weight).transform(X)

    def fit_resample(self, X, y, sample_weight=None):
        """Fit, and return the selected rows of X and y.

        Parameters
        ----------
        X, y, sample_weight
            As for :meth:`fit`.

        Returns
        -------
        X_selected : as X, of shape (n_selected, ...)
        y_selected : as y, of shape (n_selected,)
        """
        self.fit(X, y, sample_weight=sample_weight)
        return take_rows(X, self.sample_indices_), take_rows(y, self.sample_indices_)

    # --- prediction, by estimator_ --------------------------------------------------

    @available_if(_estimator_has("predict"))
    def predict(self, X):
        """Most likely label of each sample, by ``estimator_``.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)

        Returns
        -------
        y : ndarray of shape (n_samples,)
        """
        return self._fitted().predict(X)

    @available_if(_estimator_has("predict_proba"))
    def predict_proba(self, X):
        """Probabilities of the classes, by ``estimator_``.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
        """
        return self._fitted().predict_proba(X)

    @available_if(_estimator_has("predict_log_proba"))
    def predict_log_proba(self, X):
        """Logarithms of the probabilities of the classes, by ``estimator_``.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)

        Returns
        -------
        log_proba : ndarray of shape (n_samples, n_classes)
        """
        return self._fitted().predict_log_proba(X)

    @available_if(_estimator_has("decision_function"))
    def decision_function(self, X):
        """Logits, by ``estimator_``; for two classes their difference.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)

        Returns
        -------
        scores : ndarray of shape (n_samples, n_classes) or (n_samples,)
        """
        return self._fitted().decision_function(X)

    def _fitted(self):
        check_is_fitted(self, "support_")
        return self.estimator_


@as_network.register(MarginSubsetSelector)
def _network_of(selector):
    # It leaves out samples, never features.
    check_is_fitted(selector, "support_")
    return as_network(selector.estimator_)
