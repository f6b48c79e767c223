"""Finding the estimator inside Pipelines, searches and FrozenEstimators."""

import inspect
from typing import Any

from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

__all__ = ["find_inside", "innermost", "inside", "unfitted_search"]


def inside(estimator: Any) -> Any:
    """Return the estimator that another estimator wraps directly.

    Parameters
    ----------
    estimator : object

    Returns
    -------
    inner : object
        The last step of a Pipeline, the estimator of a FrozenEstimator, or the
        ``best_estimator_`` of a fitted search; None for any other object. Searches are
        recognised by this attribute, because those of other libraries have no base class in
        common with scikit-learn's.
    """
    if isinstance(estimator, Pipeline):
        return estimator.steps[-1][1]
    if isinstance(estimator, FrozenEstimator):
        return estimator.estimator
    # Static first: an object may answer to every name by a new object.
    if inspect.getattr_static(estimator, "best_estimator_", None) is None:
        return None
    return getattr(estimator, "best_estimator_", None)


def innermost(estimator: Any) -> Any:
    """Return the estimator inside all Pipelines, FrozenEstimators and searches.

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


def find_inside(estimator: Any, kind: type | tuple[type, ...], wanted: str) -> Any:
    """Return the instance of a class that an estimator is, or that it wraps.

    Parameters
    ----------
    estimator : object
    kind : type or tuple of type
        Class of the instance to find, or several.
    wanted : str
        Start of the error message: "SubsetDisplay needs a …".

    Returns
    -------
    inner : object
        An instance of ``kind``.

    Raises
    ------
    TypeError
        If the estimator neither is nor wraps such an instance.
    """
    inner = estimator
    while not isinstance(inner, kind):
        outer, inner = inner, inside(inner)
        if inner is None:
            raise TypeError(
                f"{wanted}, but found {type(outer).__name__}{unfitted_search(outer)}."
            )
    return inner


def unfitted_search(estimator: Any) -> str:
    """Explanation for error messages that a search has no ``best_estimator_``.

    Parameters
    ----------
    estimator : object
        Without ``best_estimator_``.

    Returns
    -------
    suffix : str
        To follow the name of the class; empty if the estimator is not a search.
    """
    searches = hasattr(estimator, "refit") and hasattr(estimator, "fit")
    return " that is not fitted with refit=True" if searches else ""
