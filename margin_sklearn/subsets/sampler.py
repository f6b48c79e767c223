"""MarginSubsetSampler: a step of imbalanced-learn's Pipeline that keeps few samples."""

from dataclasses import fields

import numpy as np
from sklearn.utils import get_tags
from sklearn.utils.validation import validate_data

from ..checks import check_rows
from ..data.rows import take_rows
from ..data.validation import check_lengths, validate_y
from .selector import MarginSubsetSelector

try:
    from imblearn.base import BaseSampler
    from imblearn.utils import check_target_type
except ImportError as error:
    # Its reason is passed on: an old version next to a new scikit-learn fails here as well.
    raise ImportError(
        f"MarginSubsetSampler needs imbalanced-learn, which cannot be imported ({error}): "
        'pip install "margin-sklearn[imblearn]"'
    ) from error

__all__ = ["MarginSubsetSampler"]


class MarginSubsetSampler(BaseSampler):
    """Keep few samples, chosen by margin, for the next step of imbalanced-learn's Pipeline.

    :meth:`fit_resample` trains a clone of ``estimator`` until every sample is classified
    right, chooses rows by their margins as :class:`MarginSubsetSelector` does, and returns
    these. The network is then done with: the next step is trained on the rows from scratch.

    That is the weaker mode. From scratch, a small subset of small margins is far worse than a
    random one of the same size (Zheng et al. 2023; ``benchmarks/prune.py`` measures it here).
    The mode that keeps accuracy is :class:`MarginSubsetSelector`, which goes on training the
    same network. Of the strategies, "coverage" and "random" are the safer ones here.

    Parameters
    ----------
    estimator : MarginClassifier, Pipeline or None, default=None
        What the margins come from, as for :class:`MarginSubsetSelector`.
    n_samples_to_select : float or int, default=0.1
        Share (float in (0, 1]) or number (int) of the samples to keep. The selector's 1 % is
        too few to train on from scratch. A share too small for ``min_per_class`` is raised,
        with a warning.
    strategy : str or callable, default="coverage"
        Which samples to keep, as for :class:`MarginSubsetSelector`. "random" needs no network:
        it is the baseline to compare the others with, and is of use with ``noise_guard``.
    stratify : bool, default=True
        Whether each class is kept in proportion to its size; classes are not balanced.
    min_per_class : int, default=1
        With ``stratify``, the least number to keep of each class (all, if it has fewer).
    separation : float, default=1.0
        Share of the samples to be classified right before any are left out.
    noise_guard : bool, default=False
        Whether samples are left out that the network long held for another class.
    prefit : bool, default=False
        Whether ``estimator`` is fitted already. Not for cross-validation, where clones are
        unfitted and a network in a FrozenEstimator knows the samples held out.
    on_unseparated : {"warn", "raise"}, default="warn"
        What to do where the network does not separate its samples: choose all the same, with
        a :class:`NotSeparatedWarning`, or raise a RuntimeError.
    random_state : int, RandomState instance or None, default=None
        For strategies that draw, and each part of the estimator whose own ``random_state`` is
        None.
    verbose : int, default=0
        How the training shows its progress, as for :class:`MarginSubsetSelector`.

    Attributes
    ----------
    selector_ : MarginSubsetSelector
        The fitted selector, with margins, suspects, history and a report by class.
    sample_indices_ : ndarray of int of shape (n_selected,)
        Positions of the rows that are kept, ascending.
    sampling_strategy_ : dict
        Number of rows kept of each class, under imbalanced-learn's name for it.
    n_features_in_ : int
        Length of the second axis of X.
    feature_names_in_ : ndarray of shape (n_features,)
        Column names, where X was a DataFrame with strings for names.

    See Also
    --------
    MarginSubsetSelector : Goes on training the same network.

    Notes
    -----
    Rows are left out while a Pipeline is fitted only; it predicts for all it is given.
    scikit-learn's Pipeline cannot leave out rows and refuses the step.

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
    >>> network = MarginClassifier(module__dropout=0.0, random_state=0)
    >>> sampler = MarginSubsetSampler(network, n_samples_to_select=0.2, random_state=0)
    >>> model = make_pipeline(StandardScaler(), sampler, SVC()).fit(X, y)
    >>> len(sampler.sample_indices_)
    359
    >>> model.score(X, y) > 0.9
    True
    """

    def __init__(
        self,
        estimator=None,
        *,
        n_samples_to_select=0.1,
        strategy="coverage",
        stratify=True,
        min_per_class=1,
        separation=1.0,
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
        self.noise_guard = noise_guard
        self.prefit = prefit
        self.on_unseparated = on_unseparated
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        of_estimator = get_tags(MarginSubsetSelector(self.estimator)).input_tags
        # One by one: imbalanced-learn's have more fields.
        for field in fields(of_estimator):
            setattr(tags.input_tags, field.name, getattr(of_estimator, field.name))
        tags.sampler_tags.sample_indices = True
        return tags

    def fit(self, X, y):
        """Choose the rows, without returning them.

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

    def fit_resample(self, X, y):
        """Train to separation, choose by margin, return the chosen rows.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)
            As for ``estimator.fit``.
        y : array-like of shape (n_samples,)
            Labels; or of shape (n_samples, n_classes), their one-hot encoding.

        Returns
        -------
        X_resampled : as X, of shape (n_selected, ...)
            Rows of X as they were, in their order; of a DataFrame, with its index.
        y_resampled : as y, of shape (n_selected,) or (n_selected, n_classes)

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
        return self._fit_resample(X, y)

    def _fit_resample(self, X, y):
        # imbalanced-learn wants a method of this name. Its own fit_resample is passed by: it
        # takes tables only, and loses the index of y beside an array.
        check_rows("X", X)
        check_lengths(self, X, y)
        # Of two dimensions: one-hot, or a column.
        labels = check_target_type(y) if getattr(y, "ndim", 1) == 2 else validate_y(self, y)
        validate_data(self, X, skip_check_array=True)
        selector = MarginSubsetSelector(continue_epochs=0, **self.get_params(deep=False))
        self.selector_ = selector.fit(X, labels)
        self.sample_indices_ = selector.sample_indices_
        kept, counts = np.unique(labels[self.sample_indices_], return_counts=True)
        self.sampling_strategy_ = dict(zip(kept, counts, strict=True))
        return take_rows(X, self.sample_indices_), take_rows(y, self.sample_indices_)
