"""MarginSubsetSampler: a step of imbalanced-learn's Pipeline that selects few samples."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import get_tags
from sklearn.utils.validation import validate_data

from ..checks import check_rows
from ..data.rows import take_rows
from ..data.validation import check_lengths, validate_y
from ..representation import Represented
from ..versions import Versioned
from .selector import MarginSubsetSelector

try:
    from imblearn.base import BaseSampler
    from imblearn.utils import check_target_type
except ImportError as error:
    # Include the reason: an old version with a new scikit-learn fails here too.
    raise ImportError(
        f"MarginSubsetSampler needs imbalanced-learn, which cannot be imported ({error}): "
        'pip install "margin-sklearn[imblearn]"'
    ) from error

__all__ = ["MarginSubsetSampler"]


class MarginSubsetSampler(Represented, Versioned, BaseSampler):
    """Select few samples by margin for the next step of imbalanced-learn's Pipeline.

    :meth:`fit_resample` trains a clone of ``estimator`` until every sample is correctly
    classified, selects rows by their margins as :class:`MarginSubsetSelector` does, and
    returns them. The network is not used further: the next step is trained on these rows from
    scratch.

    This is the weaker mode. For training from scratch, a small subset of small margins is far
    worse than a random one of the same size (Zheng et al. 2023; ``benchmarks/prune.py``
    measures it here). :class:`MarginSubsetSelector` preserves accuracy, because it continues
    training the same network. The safer strategies here are "coverage" and "random".

    Parameters
    ----------
    estimator : MarginClassifier, Pipeline or None, default=None
        The source of the margins, as for :class:`MarginSubsetSelector`.
    n_samples_to_select : float or int, default=0.1
        Share (float in (0, 1]) or number (int) of the samples to select. The selector's
        default of 1 % is too few for training from scratch. A share too small for
        ``min_per_class`` is raised, with a warning.
    strategy : str or callable, default="coverage"
        Which samples to select, as for :class:`MarginSubsetSelector`. "random" does not use
        margins: it is the baseline for the others, and useful with ``noise_guard``.
    stratify : bool, default=True
        Whether to select from each class in proportion to its size; classes are not balanced.
    min_per_class : int, default=1
        With ``stratify``, the minimum number per class (all samples of a smaller class).
    separation : float, default=1.0
        Share of the samples that must be correctly classified before selection.
    noise_guard : bool, default=False
        Whether to exclude samples with suspect labels, as for :class:`MarginSubsetSelector`.
    prefit : bool, default=False
        Whether ``estimator`` is already fitted. Not for cross-validation, where clones are
        unfitted and a network in a FrozenEstimator was trained on the held-out samples.
    on_unseparated : {"warn", "raise"}, default="warn"
        What to do if the network does not separate its samples: select anyway, with a
        :class:`NotSeparatedWarning`, or raise a RuntimeError.
    random_state : int, RandomState instance or None, default=None
        Seeds random strategies and each part of the estimator whose own ``random_state`` is
        None.
    verbose : int, default=0
        How to show training progress, as for :class:`MarginSubsetSelector`.

    Attributes
    ----------
    selector_ : MarginSubsetSelector
        The fitted selector, with margins, suspects, history and a report per class.
    sample_indices_ : ndarray of int of shape (n_selected,)
        Row indices of the selected samples, ascending.
    sampling_strategy_ : dict
        Number of selected samples per class (imbalanced-learn's name for it).
    n_features_in_ : int
        Length of the second axis of X.
    feature_names_in_ : ndarray of shape (n_features,)
        Column names, if X was a DataFrame with string column names.

    See Also
    --------
    MarginSubsetSelector : Continues training the same network.

    Notes
    -----
    Rows are left out only while a Pipeline is fitted; it predicts for all samples.
    scikit-learn's Pipeline cannot leave out rows and raises an error for this step.

    References
    ----------
    Zheng et al., "Coverage-centric Coreset Selection for High Pruning Rates", ICLR 2023.

    Examples
    --------
    >>> from imblearn.pipeline import make_pipeline
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn.svm import SVC
    >>> from margin_sklearn import MarginClassifier, MarginSubsetSampler
    >>> X, y = load_digits(return_X_y=True)
    >>> network = MarginClassifier(random_state=0)
    >>> sampler = MarginSubsetSampler(network, n_samples_to_select=0.2, random_state=0)
    >>> model = make_pipeline(StandardScaler(), sampler, SVC()).fit(X, y)
    >>> len(sampler.sample_indices_)
    359
    >>> model.score(X, y) > 0.9
    True
    """

    selector_: MarginSubsetSelector
    sample_indices_: NDArray[np.intp]
    sampling_strategy_: dict[Any, int]

    def __init__(
        self,
        estimator: Any = None,
        *,
        n_samples_to_select: float = 0.1,
        strategy: str | Callable[..., Any] = "coverage",
        stratify: bool = True,
        min_per_class: int = 1,
        separation: float = 1.0,
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
        self.noise_guard = noise_guard
        self.prefit = prefit
        self.on_unseparated = on_unseparated
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        of_estimator = get_tags(MarginSubsetSelector(self.estimator)).input_tags
        # One by one, because imbalanced-learn's tags have more fields.
        for field in fields(of_estimator):
            setattr(tags.input_tags, field.name, getattr(of_estimator, field.name))
        tags.sampler_tags.sample_indices = True
        return tags

    def fit(self, X: Any, y: Any) -> Self:
        """Select the rows without returning them.

        Parameters
        ----------
        X, y
            As for :meth:`fit_resample`.

        Returns
        -------
        self : MarginSubsetSampler
        """
        self._fit_resample(X, y)
        return self

    def fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        """Train to separation, select by margin, return the selected rows.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)
            As for ``estimator.fit``.
        y : array-like of shape (n_samples,)
            Labels, or their one-hot encoding of shape (n_samples, n_classes).

        Returns
        -------
        X_resampled : same type as X, of shape (n_selected, ...)
            The selected rows, unchanged and in order; a DataFrame keeps its index.
        y_resampled : same type as y, of shape (n_selected,) or (n_selected, n_classes)
            Their labels.

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
        return self._fit_resample(X, y)

    def _fit_resample(self, X, y):
        # imbalanced-learn requires a method of this name. Its own fit_resample is not used: it
        # accepts tables only, and loses the index of y if X is an array.
        check_rows("X", X)
        check_lengths(self, X, y)
        # Two dimensions: one-hot, or a column.
        labels = check_target_type(y) if getattr(y, "ndim", 1) == 2 else validate_y(self, y)
        validate_data(self, X, skip_check_array=True)
        selector = MarginSubsetSelector(continue_epochs=0, **self.get_params(deep=False))
        self.selector_ = selector.fit(X, labels)
        self.sample_indices_ = selector.sample_indices_
        kept, counts = np.unique(labels[self.sample_indices_], return_counts=True)
        self.sampling_strategy_ = dict(zip(kept, counts, strict=True))
        return take_rows(X, self.sample_indices_), take_rows(y, self.sample_indices_)
