"""The estimator inside others: the last step of a Pipeline, what a search found, and so on."""

from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

__all__ = ["find_inside", "innermost", "inside", "unfitted_search"]


def inside(estimator):
    """The estimator one level inside, or None if there is none.

    Parameters
    ----------
    estimator : object

    Returns
    -------
    inner : object
        The last step of a Pipeline, the estimator in a FrozenEstimator, or the
        ``best_estimator_`` of a fitted search: searches of other libraries share no base
        class with scikit-learn's, but this attribute.
    """
    if isinstance(estimator, Pipeline):
        return estimator.steps[-1][1]
    if isinstance(estimator, FrozenEstimator):
        return estimator.estimator
    return getattr(estimator, "best_estimator_", None)


def innermost(estimator):
    """The estimator at the end of all Pipelines, FrozenEstimators and searches.

    Parameters
    ----------
    estimator : object

    Returns
    -------
    inner : object
        ``estimator`` itself if it wraps nothing.
    """
    while (inner := inside(estimator)) is not None:
        estimator = inner
    return estimator


def find_inside(estimator, kind, wanted):
    """The instance of a class that an estimator is or wraps.

    Parameters
    ----------
    estimator : object
    kind : type
    wanted : str
        What is wanted and why, for the message: "SubsetDisplay needs a …".

    Returns
    -------
    inner : object
        An instance of ``kind``.

    Raises
    ------
    TypeError
        If there is none.
    """
    inner = estimator
    while not isinstance(inner, kind):
        outer, inner = inner, inside(inner)
        if inner is None:
            raise TypeError(
                f"{wanted}, but found {type(outer).__name__}{unfitted_search(outer)}."
            )
    return inner


def unfitted_search(estimator):
    """What a message adds to the name of a search without ``best_estimator_``."""
    searches = hasattr(estimator, "refit") and hasattr(estimator, "fit")
    return " that is not fitted with refit=True" if searches else ""
