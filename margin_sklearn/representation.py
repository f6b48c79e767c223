"""How estimators are shown: classes by their names, and a link to the documentation."""

import inspect
from functools import partial
from typing import Any

from sklearn import get_config
from sklearn.base import BaseEstimator

__all__ = ["DOCUMENTATION", "Represented"]

# Where the pages that ``make docs`` builds are published.
DOCUMENTATION = "https://margin-sklearn.github.io/margin-sklearn"


class _Name:
    """A class or function, shown by its name."""

    def __init__(self, value: Any) -> None:
        self.name = value.__name__

    def __repr__(self) -> str:
        return self.name


class _ReprByNames:
    """``__repr__`` of an estimator that shows classes by their names.

    scikit-learn breaks the lines of objects whose class has ``BaseEstimator.__repr__``, also
    within a Pipeline, so that is what the class gives.
    """

    def __get__(self, estimator: Any, owner: Any = None) -> Any:
        if estimator is None:
            return BaseEstimator.__repr__
        return partial(BaseEstimator.__repr__, _shown(estimator))


class Represented:
    """Base of estimators: their representation as text and, in notebooks, as HTML.

    ``MLP`` instead of ``<class 'margin_sklearn.nn.modules.MLP'>``, for any class or function
    among the parameters, and a link to the page of the estimator in the API reference.
    """

    # Attributes and a method that scikit-learn looks for; where it does not, they are unused.
    _doc_link_module = "margin_sklearn"
    _doc_link_template = f"{DOCUMENTATION}/api/generated/margin_sklearn.{{name}}.html"

    def _doc_link_url_param_generator(self) -> dict[str, str]:
        return {"name": type(self).__name__}

    def _get_params_html(self, *args: Any, **kwargs: Any) -> Any:
        parent: Any = super()
        params = parent._get_params_html(*args, **kwargs)
        for name, value in params.items():
            params[name] = _shown(value)
        return params

    __repr__ = _ReprByNames()


def _shown(value: Any) -> Any:
    """The value as it is to be shown, in a copy; the value itself where that is the same."""
    if inspect.isclass(value) or inspect.isroutine(value):
        return _Name(value)
    if type(value) in (list, tuple):
        return type(value)(map(_shown, value))
    if type(value) is dict:
        return {key: _shown(of_key) for key, of_key in value.items()}
    if type(value).__repr__ is BaseEstimator.__repr__:
        return _shown_estimator(value)
    return value


def _shown_estimator(estimator: Any) -> Any:
    """A copy of an estimator with its parameters as they are to be shown."""
    attributes = vars(estimator)
    given = {
        name: value
        for name, value in estimator.get_params(deep=False).items()
        if name in attributes
    }
    if get_config()["print_changed_only"]:
        # A default under another name would count as changed.
        defaults = inspect.signature(type(estimator).__init__).parameters
        given = {
            name: value
            for name, value in given.items()
            if name not in defaults or value is not defaults[name].default
        }
    copied = object.__new__(type(estimator))
    vars(copied).update(attributes | {name: _shown(value) for name, value in given.items()})
    return copied
