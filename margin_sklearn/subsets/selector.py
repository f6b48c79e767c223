"""MarginSubsetSelector: train to separation, select few samples, continue training."""

import warnings
from collections.abc import Callable
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, MetaEstimatorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from ..adapters.registry import as_network
from ..checks import check_rows
from ..classifier.accuracy import ScoresAccuracy
from ..data.validation import check_lengths, validate_y
from ..representation import Represented
from ..versions import Versioned
from .continuing import score_fitted, train, weighted
from .delegating import PredictsByEstimator
from .report import class_report
from .selected_rows import SelectsRows
from .settings import check_selector
from .strategies import n_to_select, raised_to_minima, select

__all__ = ["MarginSubsetSelector"]


class MarginSubsetSelector(
    Represented,
    Versioned,
    PredictsByEstimator,
    MetaEstimatorMixin,
    ScoresAccuracy,
    SelectsRows,
    BaseEstimator,
):
    r"""Train a network to separation, select few samples by margin, continue training on them.

    It is to samples what :class:`~sklearn.feature_selection.RFE` is to features. :meth:`fit`
    trains a clone of ``estimator`` until every sample is correctly classified. It then selects
    samples with ``strategy``, by their margins

    .. math:: m_i = f_{y_i}(x_i) - \max_{j \ne y_i} f_j(x_i)

    (:math:`f`: logits), and continues training on these only for ``continue_epochs`` epochs.
    It selects again after every ``reselect_every`` epochs, fewer samples each time: from
    ``initial_share`` to ``n_samples_to_select``. The result is a fitted classifier, with the
    average of the weights over these epochs, and the last selection.

    So a run that ends with 1 % of the samples takes 7 % of the gradients of continuing with
    all of them. The gain after separation is often small: the user guide has the measurements
    and says when the selector is useful and when it is not. The selection is *not* a data set
    to train other networks on from scratch: random samples are better for that.

    Parameters
    ----------
    estimator : MarginClassifier, Pipeline or None, default=None
        The estimator to train: a :class:`MarginClassifier`, or a Pipeline that ends in one.
        Its ``max_epochs`` limits the epochs until separation. With ``prefit=True``, any fitted
        network that :func:`margins` accepts. None means ``MarginClassifier(max_epochs=200)``.
    n_samples_to_select : float or int, default=0.01
        Share (float in (0, 1]) or number (int) of the samples to select in the end. 1.0
        continues with all samples. A share that gives fewer than ``min_per_class`` samples
        per class is raised, with a warning; a number of samples that does so is an error.
    strategy : str or callable, default="smallest"
        Which samples to select:

        - "smallest": those nearest to the decision boundary;
        - "largest": those furthest from it;
        - "window": those around the median margin (Xia et al. 2023, moderate coreset);
        - "coverage": equal numbers from each of 50 strata of the range of margins (Zheng et
          al. 2023);
        - "random": the same random samples throughout;
        - "random_each_epoch": new random samples at each selection (Okanovic et al. 2024,
          RS2);
        - a function ``(margins, y, n, rng) -> indices`` that returns ``n`` different indices
          into ``margins``; ``y`` holds class indices, ``rng`` is a NumPy Generator. With
          ``stratify`` it is called once per class.
    stratify : bool, default=True
        Whether to select from each class in proportion to its size.
    min_per_class : int, default=1
        With ``stratify``, the minimum number per class (all samples of a smaller class).
    separation : float, default=1.0
        Share of the samples that must be correctly classified before selection.
    continue_epochs : int, default=10
        Epochs on the selected samples; 0 stops at separation.
    continue_lr : float or "auto", default="auto"
        Learning rate on the selected samples; "auto" is a fifth of the estimator's
        ``lr``, or of the rate to which an LRScheduler in its ``callbacks`` has brought it.
    initial_share : float, default=0.2
        Share of the samples in the first selection to continue on. Each selection, one every
        ``reselect_every`` epochs, is smaller by the same factor, and the last one has
        ``n_samples_to_select``. It has no effect if that is larger, or if there is only one
        selection.
    average_weights : bool, default=True
        Whether the result has the average of the weights over all steps of continuing
        (Izmailov et al. 2018), which the guard evaluates too. Training continues with
        the weights themselves. Callbacks that constrain the weights, for instance by clipping
        them in ``on_batch_end``, are called before these are averaged. The average keeps
        constraints that averages keep (bounds, a largest norm, zeros), but not a fixed norm,
        nor what is done only once an epoch, in ``on_epoch_end``: set it to False for these.
    reselect_every : int, default=1
        Number of epochs between selections.
    score_share : float, default=0.1
        Share of the samples whose margins are computed again for each selection: one half are
        the samples nearest to the boundary when last scored, the other half come in turn. 1.0
        scores all samples each time. At the end all samples are scored.
    freeze_batch_norm : bool, default=True
        Whether batch norm keeps and uses its statistics during training on the selected
        samples, whose statistics differ strongly from those of all samples.
    noise_guard : bool, default=False
        Whether to exclude samples with suspect labels, by the rule of
        :class:`LabelErrorDetector`: their margins, averaged over the first epochs, are clearly
        negative. The network then assigned them to another class, as it does with wrong labels
        before it memorises them. They are used for training until separation nevertheless.
        Classes with fewer than five samples are not judged, no class loses all its samples,
        and the same warnings say when rather the network is doubtful.
    prefit : bool, default=False
        Whether ``estimator`` is already fitted: :meth:`fit` then only selects. A search clones
        the estimator; within one, wrap it in a :class:`~sklearn.frozen.FrozenEstimator`.
    on_unseparated : {"warn", "raise"}, default="warn"
        What to do if the network does not separate its samples: continue anyway, with a
        :class:`NotSeparatedWarning`, or raise a RuntimeError.
    random_state : int, RandomState instance or None, default=None
        Seeds random strategies, the order of scoring, and each part of the estimator (also
        inside a Pipeline) whose own ``random_state`` is None.
    verbose : int, default=0
        How to show the training progress of the estimator, before and after separation, as for
        :class:`MarginClassifier`; 0 keeps the estimator's own setting. Progress bars are named
        by the phase and also show the number of samples trained on.

    Attributes
    ----------
    estimator_ : estimator
        The fitted estimator.
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    support_ : ndarray of bool of shape (n_samples,)
        Mask of the samples selected by the margins of the final network.
    sample_indices_ : ndarray of int of shape (n_selected,)
        Row indices of the selected samples, ascending.
    margins_ : ndarray of float of shape (n_samples,)
        Margins of ``estimator_``, in logits; NaN for samples of weight 0.
    ranking_ : ndarray of int of shape (n_samples,)
        Rank of each margin, 1 for the smallest; ties in row order, NaN last.
    suspects_ : ndarray of bool of shape (n_samples,)
        Mask of the samples excluded by ``noise_guard``.
    separation_epoch_ : int or None
        The epoch, from 1, after which the samples were separated.
    history_ : DataFrame of shape (n_epochs, 9)
        One row per epoch: ``phase`` ("separation" or "continuing"), ``lr``, ``n_samples``
        trained on (the number of per-sample gradients), ``n_scored`` for selection and guard,
        ``loss``, ``accuracy`` on all samples (from the training passes until separation, then
        from the latest scores), ``rolled_back``, ``seconds``, and ``scoring_seconds`` (part of
        ``seconds``). Empty with ``prefit=True``.
    report_ : DataFrame of shape (n_classes, 6)
        One row per class, for the last selection: ``n_samples``, ``n_selected``,
        ``n_suspects``, ``accuracy``, ``median_margin``, ``median_selected_margin``.
    n_features_in_ : int
        Length of the second axis of X.
    feature_names_in_ : ndarray of shape (n_features,)
        Column names, if X was a DataFrame with string column names.

    See Also
    --------
    MarginSubsetSampler : A step of imbalanced-learn's Pipeline.
    LabelErrorDetector : Finds wrong labels.
    subset_overlap : Agreement of selections.

    Notes
    -----
    This is our operationalisation of Banburski et al., "Distribution of Classification
    Margins: Are All Data Equal?" (arXiv 2107.10199). Only its abstract was available to us:
    which samples, how many per class and which learning rate are our choices, based on
    measurements (``benchmarks/prune.py``).

    *The guard.* Before each new selection, a share ``score_share`` of the samples is scored.
    If fewer samples in total are then correctly classified than when pruning started, the
    epochs since the last selection are undone and the learning rate is halved; after more than
    five rollbacks, training stops. The last epoch is checked on all samples, so ``estimator_``
    correctly classifies no fewer of them than when pruning started. ``suspects_`` do not
    count. ``history_`` records the rollbacks.

    The optimizer continues from its state at separation. Callbacks of the estimator continue
    too, except learning-rate schedulers. Ctrl-C ends the current phase of training, and the
    results so far are kept.

    *Killed processes.* With ``checkpoint=FOLDER`` of the estimator, the same fit in a new
    process resumes the training to separation; the continued training is repeated from its
    start, in the same way if ``random_state`` is an integer. The checkpoint is removed when
    both have finished.

    *Pipelines.* A step of scikit-learn's Pipeline cannot leave rows out of y, so the selector
    must be the last step, around the network:
    ``make_pipeline(StandardScaler(), MarginSubsetSelector(MarginClassifier()))``. For an
    earlier step, use :class:`MarginSubsetSampler` with imbalanced-learn's Pipeline.

    References
    ----------
    Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", UAI
    2018. Okanovic et al., "Repeated Random Sampling for Minimizing the Time-to-Accuracy of
    Learning", ICLR 2024. Pleiss et al., "Identifying Mislabeled Data using the Area Under the
    Margin Ranking", NeurIPS 2020. Xia et al., "Moderate Coreset", ICLR 2023. Zheng et al.,
    "Coverage-centric Coreset Selection for High Pruning Rates", ICLR 2023.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from margin_sklearn import MarginClassifier, MarginSubsetSelector
    >>> X, y = load_digits(return_X_y=True)
    >>> network = MarginClassifier(random_state=0)
    >>> selector = MarginSubsetSelector(network, n_samples_to_select=50, random_state=0)
    >>> selector = selector.fit(X / 16, y)
    >>> selector.transform(X).shape
    (50, 64)
    >>> selector.score(X / 16, y)
    1.0
    >>> int(selector.history_.groupby("phase")["n_samples"].sum()["continuing"])
    1624
    """

    estimator_: Any
    classes_: NDArray[Any]
    support_: NDArray[np.bool_]
    sample_indices_: NDArray[np.intp]
    margins_: NDArray[np.floating]
    ranking_: NDArray[np.int_]
    suspects_: NDArray[np.bool_]
    separation_epoch_: int | None
    history_: pd.DataFrame
    report_: pd.DataFrame

    def __init__(
        self,
        estimator: Any = None,
        *,
        n_samples_to_select: float = 0.01,
        strategy: str | Callable[..., Any] = "smallest",
        stratify: bool = True,
        min_per_class: int = 1,
        separation: float = 1.0,
        continue_epochs: int = 10,
        continue_lr: float | Literal["auto"] = "auto",
        initial_share: float = 0.2,
        average_weights: bool = True,
        reselect_every: int = 1,
        score_share: float = 0.1,
        freeze_batch_norm: bool = True,
        noise_guard: bool = False,
        prefit: bool = False,
        on_unseparated: Literal["warn", "raise"] = "warn",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.estimator = estimator
        self.n_samples_to_select = n_samples_to_select
        self.strategy = strategy
        self.stratify = stratify
        self.min_per_class = min_per_class
        self.separation = separation
        self.continue_epochs = continue_epochs
        self.continue_lr = continue_lr
        self.initial_share = initial_share
        self.average_weights = average_weights
        self.reselect_every = reselect_every
        self.score_share = score_share
        self.freeze_batch_norm = freeze_batch_norm
        self.noise_guard = noise_guard
        self.prefit = prefit
        self.on_unseparated = on_unseparated
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Train to separation, select, continue training on the selected samples.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)
            As for ``estimator.fit``.
        y : array-like of shape (n_samples,)
            Labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples in the loss. Samples of weight 0 are excluded from training
            and selection.

        Returns
        -------
        self : MarginSubsetSelector

        Raises
        ------
        ValueError
            If a parameter or the data are invalid; for instance, if there are fewer samples to
            select than classes.
        TypeError
            If the estimator cannot be trained (or, with ``prefit``, scored).
        RuntimeError
            If the samples are not separated and ``on_unseparated="raise"``.
        """
        check_selector(self)
        check_rows("X", X)
        check_lengths(self, X, y)
        y = validate_y(self, y)
        labels, class_index = np.unique(y, return_inverse=True)
        part = weighted(class_index, sample_weight)
        n = n_to_select(self.n_samples_to_select, len(part))
        if self.stratify:
            # Raise before the training, not after it.
            n = raised_to_minima(
                n, self.n_samples_to_select, np.bincount(part), self.min_per_class
            )
        seed = None
        if self.random_state is not None:
            seed = check_random_state(self.random_state).randint(2**31 - 1)
        # None takes entropy from the operating system: NumPy's generator must not change.
        seed = np.random.SeedSequence(seed).entropy
        rng = np.random.default_rng(seed)

        def choose(margins, rows, candidates, n):
            return select(
                margins,
                class_index[rows],
                min(n, int(np.count_nonzero(candidates))),
                strategy=self.strategy,
                stratify=self.stratify,
                min_per_class=self.min_per_class,
                rng=np.random.default_rng(seed) if self.strategy == "random" else rng,
                candidates=candidates,
            )

        work = score_fitted if self.prefit else train
        trained = work(self, X, y, sample_weight, choose, n, rng)
        chosen = trained.rows[choose(trained.margins, trained.rows, trained.candidates, n)]
        # Nothing is set before here, so that an error keeps the results of an earlier fit.
        validate_data(self, X, skip_check_array=True)
        self.estimator_, self.history_ = trained.estimator, trained.history
        self.separation_epoch_ = trained.separation_epoch
        self.classes_ = getattr(self.estimator_, "classes_", labels)
        self._keep(
            chosen, trained.margins, trained.rows, trained.candidates, labels, class_index
        )
        return self

    def _keep(self, chosen, margins, rows, candidates, labels, class_index):
        n_samples = len(class_index)
        self.sample_indices_ = chosen
        self.support_ = np.zeros(n_samples, dtype=bool)
        self.support_[chosen] = True
        self.margins_ = np.full(n_samples, np.nan)
        self.margins_[rows] = margins
        self.ranking_ = np.empty(n_samples, dtype=int)
        # NaN margins come last.
        self.ranking_[np.argsort(self.margins_, kind="stable")] = np.arange(1, n_samples + 1)
        self.suspects_ = np.zeros(n_samples, dtype=bool)
        self.suspects_[rows[~candidates]] = True
        self.report_ = class_report(
            self.margins_, self.support_, self.suspects_, class_index, labels
        )
        lost = self.report_.index[self.report_["n_selected"] == 0].tolist()
        if lost:
            warnings.warn(
                f"No sample of the classes {lost} is selected: set stratify=True, raise "
                "min_per_class or n_samples_to_select.",
                stacklevel=3,
            )


@as_network.register(MarginSubsetSelector)
def _network_of(selector):
    # The selector leaves out samples, never features.
    check_is_fitted(selector, "support_")
    return as_network(selector.estimator_)
