"""LabelErrorDetector: which labels are wrong, by the margins along one training."""

import math
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from ..adapters.registry import as_network
from ..checks import (
    check_bool,
    check_int,
    check_random_state_parameter,
    check_real,
    check_rows,
)
from ..classifier.accuracy import ScoresAccuracy
from ..classifier.estimator import MarginClassifier
from ..classifier.pipelines import final_classifier, fit_transformers, pass_on_random_state
from ..classifier.results import warn_unless_separated
from ..classifier.state import training_run
from ..classifier.together import Fit, fit_together, groups_to_fit
from ..data.rows import take_rows
from ..data.validation import check_lengths, validate_y
from ..representation import Represented
from ..training.early_margins import EarlyMargins
from ..versions import Versioned
from .delegating import PredictsByEstimator
from .label_noise import (
    THRESHOLD,
    confusions,
    find_suspects,
    label_report,
    quality,
    relative_areas,
)

__all__ = ["LabelErrorDetector"]


class LabelErrorDetector(
    Represented,
    Versioned,
    PredictsByEstimator,
    MetaEstimatorMixin,
    ScoresAccuracy,
    BaseEstimator,
):
    r"""Find wrong labels by the margins of the samples in the first epochs of a training.

    A network learns what most samples of a class have in common before it learns single wrong
    labels by heart. :meth:`fit` trains a clone of ``estimator`` once on all samples and
    averages the margin of each sample over the first epochs,

    .. math:: A_i = \frac 1 E \sum_{t \le E} \Bigl( f^{(t)}_{y_i}(x_i)
                    - \max_{j \ne y_i} f^{(t)}_j(x_i) \Bigr)

    (:math:`f^{(t)}`: logits in the training pass of epoch t, :math:`E`: half of the epochs,
    from five to ten), the area under the margin of Pleiss et al. 2020. A label is suspect if
    :math:`A_i` is below ``threshold`` times the median of the positive areas, so that the rule
    does not depend on the scale of the logits. Then a clone is trained without the suspects.

    Parameters
    ----------
    estimator : MarginClassifier, Pipeline or None, default=None
        The estimator to train: a :class:`MarginClassifier`, or a Pipeline that ends in one.
        None means ``MarginClassifier()``.
    threshold : float or "auto", default="auto"
        Relative area below which a label is suspect; "auto" is -0.5, chosen by measurement.
        Lower values flag fewer labels; values above 0 flag labels that the network has
        learned.
    n_networks : int, default=1
        Number of networks, with different seeds, whose areas are averaged. They are trained
        as one where that is faster.
    refit : bool, default=True
        Whether to train ``estimator_`` without the suspects, if there are any; otherwise it is
        the (first) network that was trained on all samples.
    random_state : int, RandomState instance or None, default=None
        Seeds each part of the estimator whose own ``random_state`` is None, and draws the
        seeds of the other networks.

    Attributes
    ----------
    aum_ : ndarray of float of shape (n_samples,)
        Area under the margin of each sample, in logits.
    quality_ : ndarray of float of shape (n_samples,)
        Trust in each label, from 0 to 1: the logistic function of the area relative to the
        median of the positive areas.
    suspects_ : ndarray of bool of shape (n_samples,)
        Mask of the samples whose label is probably wrong.
    ranking_ : ndarray of int of shape (n_samples,)
        1 for the most suspect label, by ``aum_`` alone; ties in row order. It ranks all
        samples, those of classes whose labels are not judged among them.
    suggested_labels_ : ndarray of shape (n_samples,)
        The most likely label by the class probabilities averaged over the same epochs; of a
        suspect, the most likely other one. A suggestion only where ``suspects_`` is true:
        elsewhere it may differ from a label that there is no reason to doubt.
    report_ : DataFrame of shape (n_suspects, 4)
        The suspects, the most suspect first: ``given`` and ``suggested`` label, averaged
        ``probability`` of the suggested one, ``quality``. The index holds row indices, or the
        index of X, with its levels, if it is a DataFrame.
    pairs_ : DataFrame of shape (n_pairs, 4)
        Number of suspects for each pair of ``given`` and ``suggested`` label, most frequent
        first, and their ``share`` of the samples with the given label.
    sample_indices_ : ndarray of int of shape (n_kept,)
        Row indices of the samples that are not suspect, ascending.
    estimator_ : estimator
        The fitted estimator, which predicts. Also with ``n_networks`` > 1 it is one network;
        the others contribute to the areas and suggestions only.
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    n_features_in_ : int
        Length of the second axis of X.
    feature_names_in_ : ndarray of shape (n_features,)
        Column names, if X was a DataFrame with string column names.

    See Also
    --------
    MarginSubsetSelector : Its ``noise_guard`` uses the same rule.

    Notes
    -----
    Suspects are suggestions: look at them before you drop or correct them. Samples of rare
    kinds are flagged too, more of them the less the classes can be separated. Labels of
    classes with fewer than five samples are not judged.

    With ``checkpoint=FOLDER`` of the estimator, a fit that was killed resumes the network that
    was being trained, on all samples or without the suspects; networks that were finished
    are trained again, in the same way if ``random_state`` is an integer.

    ``benchmarks/label_errors.py`` measures precision and recall beside cleanlab.

    References
    ----------
    Pleiss et al., "Identifying Mislabeled Data using the Area Under the Margin Ranking",
    NeurIPS 2020 (arXiv 2001.10528).

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from margin_sklearn import LabelErrorDetector
    >>> X, y = load_digits(return_X_y=True)
    >>> y[:3], y[:3] + 1
    (array([0, 1, 2]), array([1, 2, 3]))
    >>> y[:3] += 1
    >>> detector = LabelErrorDetector(random_state=0).fit(X / 16, y)
    >>> detector.suspects_[:3], detector.suggested_labels_[:3]
    (array([ True,  True,  True]), array([0, 1, 2]))
    >>> int(detector.suspects_.sum()) < 10
    True
    """

    aum_: NDArray[np.floating]
    quality_: NDArray[np.floating]
    suspects_: NDArray[np.bool_]
    ranking_: NDArray[np.int_]
    suggested_labels_: NDArray[Any]
    report_: pd.DataFrame
    pairs_: pd.DataFrame
    sample_indices_: NDArray[np.intp]
    classes_: NDArray[Any]

    def __init__(
        self,
        estimator: Any = None,
        *,
        threshold: float | Literal["auto"] = "auto",
        n_networks: int = 1,
        refit: bool = True,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.estimator = estimator
        self.threshold = threshold
        self.n_networks = n_networks
        self.refit = refit
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:
        """Train, find the suspects, and train again without them.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)
            As for ``estimator.fit``.
        y : array-like of shape (n_samples,)
            Labels.

        Returns
        -------
        self : LabelErrorDetector

        Raises
        ------
        ValueError
            If a parameter or the data are invalid, or the network has learned nothing.
        TypeError
            If the estimator is not a MarginClassifier, nor a Pipeline that ends in one.

        Warns
        -----
        UserWarning
            If so many labels, of all or of a class, are suspect that rather the network or the
            threshold is (all of a class: none of them is called suspect then), if a class is
            too small to be judged, or if training ended after fewer than five epochs.
        NotSeparatedWarning
            If ``estimator_`` was to stop at separation, but did not reach it.
        """
        self._check_settings()
        check_rows("X", X)
        check_lengths(self, X, y)
        y = validate_y(self, y)
        labels, class_index = np.unique(y, return_inverse=True)
        if len(labels) < 2:
            raise ValueError(
                "LabelErrorDetector needs samples of at least 2 classes, but the data contain "
                f"only one class: {labels.tolist()[0]!r}."
            )
        random_state = self.random_state
        if random_state is not None:
            random_state = check_random_state(random_state).randint(2**31 - 1)
        estimator = self._new_estimator(random_state)
        areas, n_epochs, probabilities, interrupted = self._train(
            estimator, X, y, random_state
        )
        threshold = THRESHOLD if isinstance(self.threshold, str) else self.threshold
        relative = relative_areas(areas)
        suspects = find_suspects(relative, n_epochs, class_index, labels, threshold)
        fitted = estimator
        if self.refit and suspects.any() and not interrupted:
            kept = np.flatnonzero(~suspects)
            fitted = self._new_estimator(random_state).fit(take_rows(X, kept), y[kept])
        else:
            first = final_classifier(estimator)
            warn_unless_separated(first, first.n_iter_)
        # Nothing is set before here, so that an error keeps the results of an earlier fit.
        validate_data(self, X, skip_check_array=True)
        self.estimator_, self.classes_ = fitted, labels
        self._keep(X, areas, relative, suspects, probabilities, class_index)
        return self

    def _new_estimator(self, random_state: Any) -> Any:
        estimator = MarginClassifier() if self.estimator is None else self.estimator
        final_classifier(estimator, self)  # raises before an unsuitable estimator is cloned
        estimator = clone(estimator)
        pass_on_random_state(estimator, random_state)
        final_classifier(estimator).set_params(warm_start=False)
        return estimator

    def _train(self, estimator, X, y, random_state):
        """Fit the estimator and the other networks; the means of areas and probabilities over
        the networks, the fewest epochs of an area, and whether Ctrl-C ended the training."""
        inputs = fit_transformers(estimator, X, y)
        if not hasattr(inputs, "shape"):
            inputs = np.asarray(inputs)
        first = final_classifier(estimator)
        seed = first.random_state if random_state is None else random_state
        if seed is None:
            # From the operating system: NumPy's generator must not change.
            seed = np.random.SeedSequence().generate_state(1)[0]
        rng = check_random_state(seed)
        others = [
            clone(first).set_params(random_state=rng.randint(2**31 - 1))
            for _ in range(self.n_networks - 1)
        ]
        fits = [Fit(classifier, inputs, y) for classifier in (first, *others)]
        watches, interrupted = [], False
        for group in groups_to_fit(fits):
            members = [fits[place] for place in group]
            for result in fit_together(members, watch=_watch, purpose="label errors"):
                if result.error is not None:
                    raise result.error
                watches.append(result.watch)
            done = [training_run(fits[place].classifier) for place in group]
            interrupted = any(run.interrupted for run in done)
            if interrupted:
                break
        # Other networks may have been interrupted before the first epoch ended; the first,
        # which predicts, must not.
        watches = [watch for n, watch in enumerate(watches) if n == 0 or watch.n_epochs_]
        areas = np.mean([watch.mean_margins() for watch in watches], axis=0)
        if len(areas) != len(y):
            raise ValueError(
                f"class_weight={first.class_weight!r} leaves out {len(y) - len(areas)} of "
                f"{len(y)} samples, whose labels cannot be judged: give every class a "
                "positive weight."
            )
        probabilities = np.mean([watch.mean_probabilities() for watch in watches], axis=0)
        n_epochs = min(watch.n_counted for watch in watches)
        return areas, n_epochs, probabilities, interrupted

    def _keep(self, X, areas, relative, suspects, probabilities, class_index):
        n_samples, everyone = len(class_index), np.arange(len(class_index))
        self.aum_, self.quality_, self.suspects_ = areas, quality(relative), suspects
        order = np.argsort(areas, kind="stable")
        self.ranking_ = np.empty(n_samples, dtype=int)
        self.ranking_[order] = np.arange(1, n_samples + 1)
        self.sample_indices_ = np.flatnonzero(~suspects)
        probabilities = probabilities.copy()
        probabilities[suspects, class_index[suspects]] = -1
        suggested = probabilities.argmax(axis=1)
        self.suggested_labels_ = self.classes_[suggested]
        given = self.classes_[class_index]
        self.report_ = label_report(
            order[suspects[order]],
            X.index if isinstance(X, pd.DataFrame) else None,
            given,
            self.suggested_labels_,
            probabilities[everyone, suggested],
            self.quality_,
        )
        self.pairs_ = confusions(given, self.suggested_labels_, suspects)

    def _check_settings(self):
        check_real("threshold", self.threshold, -math.inf, closed="neither", also=("auto",))
        check_int("n_networks", self.n_networks, 1)
        check_bool("refit", self.refit)
        check_random_state_parameter("random_state", self.random_state)

    def fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        """Fit and return the rows of X and y that are not suspect.

        As a step of imbalanced-learn's Pipeline, with ``refit=False``: the next step is
        trained on these rows.

        Parameters
        ----------
        X, y
            As for :meth:`fit`.

        Returns
        -------
        X_kept : same type as X, of shape (n_kept, ...)
        y_kept : same type as y, of shape (n_kept,)
        """
        self.fit(X, y)
        return take_rows(X, self.sample_indices_), take_rows(y, self.sample_indices_)


def _watch(margin_history):
    return EarlyMargins(margin_history, probabilities=True)


@as_network.register(LabelErrorDetector)
def _network_of(detector):
    check_is_fitted(detector, "estimator_")
    return as_network(detector.estimator_)
