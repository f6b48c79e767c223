"""A classifier at the end of a Pipeline: find it, seed it, and fit it in two parts."""

from sklearn.pipeline import Pipeline

from ..adapters.unwrap import inside
from .estimator import MarginClassifier

__all__ = ["final_classifier", "fit_transformers", "pass_on_random_state"]


def final_classifier(estimator):
    """The MarginClassifier that ``estimator`` is, or that its Pipeline ends in.

    Parameters
    ----------
    estimator : estimator

    Returns
    -------
    classifier : MarginClassifier

    Raises
    ------
    TypeError
        If there is none, or if a step of the Pipeline adds or removes samples.
    """
    inner = estimator
    while isinstance(inner, Pipeline):
        for name, step in inner.steps[:-1]:
            if hasattr(step, "fit_resample"):
                raise TypeError(
                    f"The step {name!r} of the Pipeline changes the samples, so the selected "
                    "rows of X could not be identified: remove it, or put it before the "
                    "selector."
                )
        inner = inside(inner)
    if not isinstance(inner, MarginClassifier):
        raise TypeError(
            "estimator must be a MarginClassifier or a Pipeline that ends in one, got "
            f"{inner!r}. With prefit=True, estimator can be any fitted network that margins() "
            "accepts, and fit only selects."
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
        X = head.fit_transform(X, y)
        estimator.steps[:-1] = head.steps
    return fit_transformers(estimator.steps[-1][1], X, y)
