"""Parameters of parts: ``module__hidden_layer_sizes``, ``optimizer__momentum`` and so on."""

import difflib
import inspect
from typing import Any

from sklearn.base import BaseEstimator

__all__ = ["NestedParamsEstimator", "nested_params", "set_nested"]

PREFIXES = ("module", "optimizer", "criterion", "callbacks")
# What MLPClassifier and others call it, where a name is neither one of ours nor one of a part.
ELSEWHERE = {
    "alpha": "weight_decay",
    "beta_1": "optimizer__betas",
    "beta_2": "optimizer__betas",
    "early_stopping": "restore_best='margin_auc'",
    "epochs": "max_epochs",
    "epsilon": "optimizer__eps",
    "learning_rate": "lr",
    "learning_rate_init": "lr",
    "label_smoothing": "criterion__label_smoothing",
    "loss": "criterion",
    "max_iter": "max_epochs",
    "momentum": "optimizer__momentum",
    "n_epochs": "max_epochs",
    "nesterovs_momentum": "optimizer__nesterov",
    "seed": "random_state",
    "solver": "optimizer",
}


class NestedParamsEstimator(BaseEstimator):
    """A scikit-learn estimator with skorch's ``part__name`` parameters.

    They are attributes like the others, so that ``get_params``, ``set_params``, ``clone`` and
    grid searches see them, although the signature of ``__init__`` cannot name them.
    """

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        # scikit-learn and documentation tools read the parameters off the class's signature:
        # without the catch-all, which is none.
        signature = inspect.signature(cls.__init__)
        named = signature.replace(
            parameters=[
                parameter
                for name, parameter in signature.parameters.items()
                if name != "self" and parameter.kind is not parameter.VAR_KEYWORD
            ]
        )
        setattr(cls, "__signature__", named)  # noqa: B010 (mypy knows no such attribute)

    def get_params(self, deep=True):
        """Parameters of the estimator, ``module__…`` and the like among them.

        Parameters
        ----------
        deep : bool, default=True
            Unused: there are no estimators inside.

        Returns
        -------
        params : dict
        """
        return {**super().get_params(deep=False), **nested_params(self)}

    def set_params(self, **params):
        """Set parameters; ``module__…`` and the like may be new ones.

        Parameters
        ----------
        **params : dict
            Names and values.

        Returns
        -------
        self : estimator

        Raises
        ------
        ValueError
            If a name is not a parameter.
        """
        known = super().get_params(deep=False)
        for name in params:
            if name not in known and not is_nested(name):
                raise ValueError(
                    f"Invalid parameter {name!r} for estimator {type(self).__name__}. Valid "
                    f"parameters are: {sorted(known)}, and names that begin with "
                    f"{_PREFIX_LIST}.{_hint(self, name)}"
                )
        for name, value in params.items():
            setattr(self, name, value)
        return self


def set_nested(estimator, params):
    """Set what the constructor was given as ``**kwargs``.

    Parameters
    ----------
    estimator : NestedParamsEstimator
    params : dict

    Raises
    ------
    TypeError
        If a name is none of a part's parameter.
    """
    for name, value in params.items():
        if not is_nested(name):
            raise TypeError(
                f"{type(estimator).__name__} got an unexpected argument {name!r}. Beside its "
                f"own parameters it takes names that begin with {_PREFIX_LIST}."
                f"{_hint(estimator, name)}"
            )
        setattr(estimator, name, value)


def nested_params(estimator):
    """The parameters ``part__name`` of an estimator, as a dict.

    Parameters
    ----------
    estimator : NestedParamsEstimator

    Returns
    -------
    params : dict
    """
    return {name: value for name, value in vars(estimator).items() if is_nested(name)}


def _hint(estimator, name):
    """ " Did you mean …?", where a parameter is known that may be meant by ``name``."""
    meant = {own: own for own in estimator.get_params(deep=False) if not is_nested(own)}
    meant.update(ELSEWHERE)
    for prefix in PREFIXES:
        part: Any = getattr(estimator, prefix, None)
        try:
            parameters = inspect.signature(part).parameters
        except (TypeError, ValueError):
            continue  # an instance, or a name
        for of_part in parameters:
            meant.setdefault(of_part, f"{prefix}__{of_part}")
            meant[f"{prefix}__{of_part}"] = f"{prefix}__{of_part}"
    close = difflib.get_close_matches(name, meant, n=1, cutoff=0.75)
    return f" Did you mean {meant[close[0]]}?" if close else ""


_PREFIX_LIST = ", ".join(f"'{prefix}__'" for prefix in PREFIXES)


def is_nested(name):
    """Whether ``name`` is a parameter of a part."""
    prefix, separator, rest = name.partition("__")
    return bool(prefix in PREFIXES and separator and rest)
