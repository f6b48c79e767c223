"""A classifier at the end of a Pipeline: find it, seed it, and fit it in two parts."""

import numpy as np
from sklearn.pipeline import Pipeline

from ..adapters.unwrap import inside
from ..data.rows import take_rows
from .estimator import MarginClassifier

__all__ = ["final_classifier", "fit_transformers", "pass_on_random_state"]


def final_classifier(estimator, user=None):
    """The MarginClassifier that ``estimator`` is, or that its Pipeline ends in.

    Parameters
    ----------
    estimator : estimator
    user : estimator, default=None
        Whose parameter it is; named in the messages.

    Returns
    -------
    classifier : MarginClassifier

    Raises
    ------
    TypeError
        If there is none, or if a step of the Pipeline adds or removes samples.
    """
    name_of_user = "estimator" if user is None else f"estimator of {type(user).__name__}"
    inner = estimator
    while isinstance(inner, Pipeline):
        for name, step in inner.steps[:-1]:
            if hasattr(step, "fit_resample"):
                raise TypeError(
                    f"The step {name!r} of the {name_of_user} changes the samples, so the "
                    "rows of X could not be identified: remove it, or put it into a Pipeline "
                    "of imbalanced-learn, before this estimator."
                )
        inner = inside(inner)
    if not isinstance(inner, MarginClassifier):
        hint = ""
        if hasattr(user, "prefit"):
            hint = (
                " With prefit=True, it can be any fitted network that margins() accepts, and "
                "fit only selects."
            )
        raise TypeError(
            f"The {name_of_user} must be a MarginClassifier or a Pipeline that ends in one, "
            f"got {inner!r}.{hint}"
        )
    return inner


def pass_on_random_state(estimator, random_state):
    """Set ``random_state`` on each part of ``estimator`` that has none of its own.

    Parameters
    ----------
    estimator : MarginClassifier or Pipeline
        Modified in place.
    random_state : int, RandomState instance or None
    """
    unseeded = {
        name: random_state
        for name, value in estimator.get_params().items()
        if value is None and (name == "random_state" or name.endswith("__random_state"))
    }
    estimator.set_params(**unseeded)


def fit_transformers(estimator, X, y):
    """Fit all steps but the last, as ``Pipeline.fit`` does, and return the last step's input.

    Parameters
    ----------
    estimator : MarginClassifier or Pipeline
        Modified in place: its transformers are fitted.
    X, y
        As for ``estimator.fit``.

    Returns
    -------
    inputs : array, DataFrame or sparse matrix
        ``X`` itself if there is no transformer.
    """
    if not isinstance(estimator, Pipeline):
        return X
    if len(estimator.steps) > 1:
        head = estimator[:-1]
        # Rows of their own, because transformers with copy=False write into them.
        if any(step not in (None, "passthrough") for _, step in head.steps):
            X = take_rows(X, np.arange(len(y)))
        X = head.fit_transform(X, y)
        estimator.steps[:-1] = head.steps
    return fit_transformers(estimator.steps[-1][1], X, y)
