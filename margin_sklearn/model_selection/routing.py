"""Which keyword argument of a search's ``fit`` goes to the estimator, scorers and splitter."""

from collections.abc import Mapping
from inspect import signature
from typing import Any, NamedTuple

from sklearn import get_config
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing

from ..checks import refuse_masked
from ..data.rows import to_numpy
from ..exceptions import warn_caller

__all__ = ["Routed", "refuse_params", "route_fit", "router", "routing_enabled"]


class Routed(NamedTuple):
    """Keyword arguments by where they go.

    Parameters
    ----------
    fit : dict
        To the estimator's ``fit``.
    split : dict
        To the splitter.
    score, margin_score : dict
        To the two scorers.
    """

    fit: Mapping[str, Any]
    split: Mapping[str, Any]
    score: Mapping[str, Any]
    margin_score: Mapping[str, Any]


def routing_enabled() -> bool:
    """Whether scikit-learn's metadata routing is enabled.

    Returns
    -------
    enabled : bool
    """
    return bool(get_config()["enable_metadata_routing"])


def router(search: Any, scorer: Any) -> MetadataRouter:
    """Metadata routing of a search.

    Parameters
    ----------
    search : MarginSearchCV
    scorer : callable
        Made of its ``scoring``.

    Returns
    -------
    router : MetadataRouter
    """
    mapping = MethodMapping
    return (
        MetadataRouter(owner=search)
        .add(
            estimator=search.estimator,
            method_mapping=mapping().add(caller="fit", callee="fit"),
        )
        .add(
            scorer=scorer,
            method_mapping=mapping()
            .add(caller="score", callee="score")
            .add(caller="fit", callee="score"),
        )
        .add(
            margin_scorer=search.margin_scoring,
            method_mapping=mapping().add(caller="fit", callee="score"),
        )
        .add(splitter=search.cv, method_mapping=mapping().add(caller="fit", callee="split"))
    )


def route_fit(search: Any, scorer: Any, params: Mapping[str, Any]) -> Routed:
    """Share out the keyword arguments of ``fit``, as GridSearchCV does.

    Parameters
    ----------
    search : MarginSearchCV
    scorer : callable
        Made of its ``scoring``.
    params : dict
        With metadata routing disabled, ``groups`` goes to the splitter and everything else to
        the estimator; ``sample_weight`` also goes to the scorers that accept it.

    Returns
    -------
    routed : Routed
    """
    params = dict(params)
    for name in params:
        if name.endswith(("sample_weight", "groups")):
            refuse_masked(name, params[name])
            params[name] = to_numpy(params[name])
    if routing_enabled():
        found = process_routing(search, "fit", **params)
        return Routed(
            found.estimator.fit,
            found.splitter.split,
            found.scorer.score,
            found.margin_scorer.score,
        )
    fit = dict(params)
    split = {"groups": fit.pop("groups", None)}
    weight = {name: fit[name] for name in ("sample_weight",) if fit.get(name) is not None}
    to_score = [
        weight if weight and _takes_weights(name, accepts) else {}
        for name, accepts in (("scoring", scorer), ("margin_scoring", search.margin_scoring))
    ]
    return Routed(fit, split, *to_score)


def _takes_weights(name: str, scorer: Any) -> bool:
    # scikit-learn's scorers know; other callables say it in their signature.
    asked = getattr(scorer, "_accept_sample_weight", None)
    accepts = asked() if asked else "sample_weight" in signature(scorer).parameters
    if not accepts:
        warn_caller(
            f"{name}={scorer} does not take sample_weight, so scores count every sample "
            "alike, although fits do not."
        )
    return accepts


def refuse_params(search: Any, params: Mapping[str, Any]) -> None:
    """Raise an error for keyword arguments of ``score`` that cannot be routed.

    Parameters
    ----------
    search : MarginSearchCV
    params : dict

    Raises
    ------
    ValueError
        If there are any and metadata routing is disabled.
    """
    if params and not routing_enabled():
        raise ValueError(
            f"{type(search).__name__}.score takes {', '.join(params)} only with metadata "
            "routing: sklearn.set_config(enable_metadata_routing=True)."
        )
