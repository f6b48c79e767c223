"""Which labels are suspect, by the areas under the margins of their samples."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..exceptions import warn_caller
from ..training.early_margins import FEWEST

__all__ = [
    "THRESHOLD",
    "confusions",
    "find_suspects",
    "label_report",
    "quality",
    "relative_areas",
]

# In units of the median of the positive areas; chosen by benchmarks/label_errors.py.
THRESHOLD = -0.5
# Samples of a class below which its labels cannot be judged.
FEWEST_OF_A_CLASS = 5
# Shares of suspects, of all labels and of those of a class, above which the network or the
# threshold rather than the labels is doubtful.
MANY, MOST_OF_A_CLASS = 0.4, 0.5


def relative_areas(areas: NDArray[np.floating]) -> NDArray[np.floating]:
    """Areas under the margin, in units of the median of the positive ones.

    So they do not depend on the scale of the logits, which grows with training.

    Parameters
    ----------
    areas : ndarray of float of shape (n_samples,)
        In logits.

    Returns
    -------
    relative : ndarray of float of shape (n_samples,)

    Raises
    ------
    ValueError
        If no area is positive.

    Examples
    --------
    >>> from margin_sklearn.subsets.label_noise import relative_areas
    >>> relative_areas(np.array([4.0, -2.0, 8.0, 2.0]))
    array([ 1. , -0.5,  2. ,  0.5])
    """
    positive = areas[areas > 0]
    if not len(positive):
        raise ValueError(
            "The network assigned no sample to its label in the first epochs, so nothing can "
            "be said about the labels. Raise lr or max_epochs of the estimator, or scale X "
            "(StandardScaler)."
        )
    return areas / np.median(positive)


def find_suspects(
    relative: NDArray[np.floating],
    n_epochs: int,
    class_index: NDArray[np.integer],
    labels: NDArray[Any],
    threshold: float = THRESHOLD,
) -> NDArray[np.bool_]:
    """The samples whose labels are suspect; warns if rather the network or threshold is.

    Parameters
    ----------
    relative : ndarray of float of shape (n_samples,)
        From :func:`relative_areas`.
    n_epochs : int
        Number of epochs that the areas are means over.
    class_index : ndarray of int of shape (n_samples,)
        Class of each given label.
    labels : ndarray of shape (n_classes,)
        Label of each class; every class has samples.
    threshold : float, default=THRESHOLD
        Relative area below which a label is suspect.

    Returns
    -------
    suspects : ndarray of bool of shape (n_samples,)
        None of the samples of a class that is too small, and never all of a class.

    Warns
    -----
    UserWarning
        If there were few epochs, if a class is not judged, or if so many of all labels, or of
        those of a class, are suspect that the network or the threshold is doubtful.

    Examples
    --------
    >>> from margin_sklearn.subsets.label_noise import find_suspects
    >>> relative = np.array([1, -0.6, 2, 0.5, 1, 1, 1.2, 0.8, -0.1, 1.5])
    >>> class_index = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
    >>> find_suspects(relative, 10, class_index, np.array(["cat", "dog"])).nonzero()[0]
    array([1])
    """
    if n_epochs < FEWEST:
        warn_caller(
            f"Labels are judged by the margins of {n_epochs} "
            f"epoch{'s' * (n_epochs > 1)} only, because training ended then; after fewer than "
            f"{FEWEST}, many right labels are suspect. Train longer: raise max_epochs, set "
            "stop_at_separation=False, leave out callbacks that stop training, or lower lr if "
            "the network separates its samples so soon."
        )
    counts = np.bincount(class_index)
    small = counts < FEWEST_OF_A_CLASS
    if small.any():
        warn_caller(
            f"The labels of the classes {labels[small].tolist()} are not judged: they have "
            f"fewer than {FEWEST_OF_A_CLASS} samples."
        )
    suspects = (relative < threshold) & ~small[class_index]
    # Labels with a positive area are learned: only a positive threshold suspects them.
    unlearned = suspects & (relative < 0)
    too_high = (
        f"threshold={threshold} is too high, as many of them are labels that the network has "
        "learned. A threshold of at most 0 leaves these alone."
    )
    told = _warn_of_many(suspects, unlearned, np.mean(relative > 0), too_high)
    share, of_unlearned = (
        np.bincount(class_index, weights=mask) / counts for mask in (suspects, unlearned)
    )
    most = (share > MOST_OF_A_CLASS) & (share < 1) & (not told)
    _warn_of_classes(share == 1, most, of_unlearned > MOST_OF_A_CLASS, labels, too_high)
    return suspects & (share < 1)[class_index]


def _warn_of_many(suspects, unlearned, learned, too_high):
    """Whether so many of all labels are suspect that it warned of it."""
    many = f"{np.mean(suspects):.0%} of the labels are suspect"
    if np.mean(unlearned) > MANY or learned < 0.5:
        warn_caller(
            f"{many}, and in its first epochs the network assigned only {learned:.0%} of the "
            "samples to their labels: more likely it did not learn the classes. Compare its "
            "cross-validated accuracy, scale X, or raise max_epochs or the width of the "
            "network."
        )
        return True
    if np.mean(suspects) > MANY:
        warn_caller(f"{many}: {too_high}")
        return True
    return False


def _warn_of_classes(lost, most, by_network, labels, too_high):
    """Warn of classes whose labels seem all or mostly wrong, because of the network or not."""
    none_called = "seemed wrong, so none of them is called suspect"
    for classes, message in (
        (lost & by_network, f"All {{}} {none_called}: the network did not learn them."),
        (lost & ~by_network, f"All {{}} {none_called}: {too_high}"),
        (
            most & by_network,
            "Most {} are suspect: either the network hardly learned them, or most are wrong.",
        ),
        (most & ~by_network, f"Most {{}} are suspect: {too_high}"),
    ):
        if classes.any():
            warn_caller(message.format(f"labels of the classes {labels[classes].tolist()}"))


def quality(relative: NDArray[np.floating]) -> NDArray[np.floating]:
    """Trust in each label, from 0 to 1: the logistic function of the relative area.

    Parameters
    ----------
    relative : ndarray of float of shape (n_samples,)
        From :func:`relative_areas`.

    Returns
    -------
    quality : ndarray of float of shape (n_samples,)

    Examples
    --------
    >>> from margin_sklearn.subsets.label_noise import quality
    >>> quality(np.array([0.0, 2.0, -2.0])).round(2)
    array([0.5 , 0.88, 0.12])
    """
    # Written so that no exponential overflows.
    return 0.5 * (1 + np.tanh(relative / 2))


def label_report(
    rows: NDArray[np.integer],
    index: Any,
    given: NDArray[Any],
    suggested: NDArray[Any],
    probability: NDArray[np.floating],
    quality: NDArray[np.floating],
) -> pd.DataFrame:
    """One line for each suspect label, the most suspect first.

    Parameters
    ----------
    rows : ndarray of int of shape (n_suspects,)
        Row indices of the suspects, in this order.
    index : pandas.Index of length n_samples or None
        Names of the samples; None for their row indices.
    given, suggested : ndarray of shape (n_samples,)
        Labels.
    probability : ndarray of float of shape (n_samples,)
        Of the suggested labels.
    quality : ndarray of float of shape (n_samples,)

    Returns
    -------
    report : DataFrame of shape (n_suspects, 4)
    """
    columns = {
        "given": given,
        "suggested": suggested,
        "probability": probability,
        "quality": quality,
    }
    index = pd.RangeIndex(len(given)) if index is None else index
    if all(name is None for name in index.names) and index.nlevels == 1:
        index = index.rename("index")
    return pd.DataFrame(
        {name: values[rows] for name, values in columns.items()}, index=index.take(rows)
    )


def confusions(
    given: NDArray[Any], suggested: NDArray[Any], suspects: NDArray[np.bool_]
) -> pd.DataFrame:
    """Number of suspects for each pair of a given and a suggested label, most frequent first.

    Parameters
    ----------
    given, suggested : ndarray of shape (n_samples,)
        Labels.
    suspects : ndarray of bool of shape (n_samples,)

    Returns
    -------
    pairs : DataFrame of shape (n_pairs, 4)
        Columns ``given``, ``suggested``, ``n_suspects``, and ``share`` of all samples with the
        given label.

    Examples
    --------
    >>> from margin_sklearn.subsets.label_noise import confusions
    >>> given = np.array(["cat", "cat", "dog", "dog"])
    >>> confusions(given, given[::-1], np.array([True, False, True, True]))
      given suggested  n_suspects  share
    0   dog       cat           2    1.0
    1   cat       dog           1    0.5
    """
    # Grouped by positions: pandas changes labels of some dtypes, such as dates.
    labels, positions = np.unique(np.concatenate([given, suggested]), return_inverse=True)
    names = ["given", "suggested"]
    pairs = pd.DataFrame(dict(zip(names, np.split(positions, 2), strict=True)))
    counts = pairs[suspects].groupby(names, sort=True).size().reset_index(name="n_suspects")
    counts = counts.sort_values("n_suspects", ascending=False, kind="stable")
    n_given = np.bincount(positions[: len(given)], minlength=len(labels))
    counts["share"] = counts["n_suspects"].to_numpy() / n_given[counts["given"].to_numpy()]
    for name in names:
        counts[name] = labels[counts[name].to_numpy()]
    return counts.reset_index(drop=True)
