"""Nested parameters: ``module__hidden_layer_sizes``, ``optimizer__momentum`` and so on."""

import difflib
import inspect
from typing import Any, Self

from sklearn.base import BaseEstimator

from ..representation import Represented
from ..versions import Versioned

__all__ = ["NestedParamsEstimator", "nested_params", "set_nested"]

PREFIXES = ("module", "optimizer", "criterion", "callbacks", "lr_schedule")
# Parameter names of MLPClassifier and others, and what they are called here.
ELSEWHERE = {
    "alpha": "weight_decay",
    "beta_1": "optimizer__betas",
    "beta_2": "optimizer__betas",
    "early_stopping": "restore_best='margin_auc'",
    "epochs": "max_epochs",
    "epsilon": "optimizer__eps",
    "learning_rate": "lr_schedule",
    "learning_rate_init": "lr",
    "lr_scheduler": "lr_schedule",
    "scheduler": "lr_schedule",
    "label_smoothing": "criterion__label_smoothing",
    "loss": "criterion",
    "max_iter": "max_epochs",
    "momentum": "optimizer__momentum",
    "n_epochs": "max_epochs",
    "nesterovs_momentum": "optimizer__nesterov",
    "seed": "random_state",
    "solver": "optimizer",
}


class NestedParamsEstimator(Represented, Versioned, BaseEstimator):
    """A scikit-learn estimator with skorch's ``part__name`` parameters.

    They are stored as attributes, so that ``get_params``, ``set_params``, ``clone`` and grid
    searches see them, although the signature of ``__init__`` cannot list them.
    """

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        # scikit-learn and documentation tools read parameters from the class's signature, so
        # it must not contain **kwargs.
        signature = inspect.signature(cls.__init__)
        named = signature.replace(
            parameters=[
                parameter
                for name, parameter in signature.parameters.items()
                if name != "self" and parameter.kind is not parameter.VAR_KEYWORD
            ]
        )
        setattr(cls, "__signature__", named)  # noqa: B010 (unknown to mypy)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters of the estimator, including nested ones such as ``module__…``.

        Parameters
        ----------
        deep : bool, default=True
            Unused: the estimator contains no other estimators.

        Returns
        -------
        params : dict
        """
        return {**super().get_params(deep=False), **nested_params(self)}

    def set_params(self, **params: Any) -> Self:
        """Set parameters; nested ones such as ``module__…`` may be new.

        Parameters
        ----------
        **params : dict
            Parameter names and values.

        Returns
        -------
        self : estimator

        Raises
        ------
        ValueError
            If a name is not a valid parameter.
        """
        known = super().get_params(deep=False)
        for name in params:
            if name not in known and not is_nested(name):
                raise ValueError(
                    f"Invalid parameter {name!r} for estimator {type(self).__name__}. Valid "
                    f"parameters are: {sorted(known)}, and names that start with "
                    f"{_PREFIX_LIST}.{_hint(self, name)}"
                )
        for name, value in params.items():
            setattr(self, name, value)
        return self


def set_nested(estimator, params):
    """Set the parameters passed to the constructor as ``**kwargs``.

    Parameters
    ----------
    estimator : NestedParamsEstimator
    params : dict

    Raises
    ------
    TypeError
        If a name is not a nested parameter.
    """
    for name, value in params.items():
        if not is_nested(name):
            raise TypeError(
                f"{type(estimator).__name__} got an unexpected argument {name!r}. Besides its "
                f"own parameters it takes names that start with {_PREFIX_LIST}."
                f"{_hint(estimator, name)}"
            )
        setattr(estimator, name, value)


def nested_params(estimator):
    """The ``part__name`` parameters of an estimator.

    Parameters
    ----------
    estimator : NestedParamsEstimator

    Returns
    -------
    params : dict
    """
    return {name: value for name, value in vars(estimator).items() if is_nested(name)}


def _hint(estimator, name):
    """The text " Did you mean …?" if a parameter name similar to ``name`` is known."""
    meant = {own: own for own in estimator.get_params(deep=False) if not is_nested(own)}
    meant.update(ELSEWHERE)
    for prefix in PREFIXES:
        part: Any = getattr(estimator, prefix, None)
        try:
            parameters = inspect.signature(part).parameters
        except (TypeError, ValueError):
            continue  # an instance or a string
        for of_part in parameters:
            meant.setdefault(of_part, f"{prefix}__{of_part}")
            meant[f"{prefix}__{of_part}"] = f"{prefix}__{of_part}"
    close = difflib.get_close_matches(name, meant, n=1, cutoff=0.75)
    return f" Did you mean {meant[close[0]]}?" if close else ""


_PREFIX_LIST = ", ".join(f"'{prefix}__'" for prefix in PREFIXES)


def is_nested(name):
    """Whether ``name`` is a nested parameter."""
    prefix, separator, rest = name.partition("__")
    return bool(prefix in PREFIXES and separator and rest)
