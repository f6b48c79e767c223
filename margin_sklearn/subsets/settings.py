"""Check the parameters of MarginSubsetSelector before any work is done."""

from typing import Any

from ..checks import (
    check_bool,
    check_choice,
    check_int,
    check_random_state_parameter,
    check_real,
    check_verbose,
)
from .strategies import check_strategy

__all__ = ["check_selector"]


def check_selector(selector: Any) -> None:
    """Raise an InvalidParameterError if a parameter of a MarginSubsetSelector is invalid.

    Parameters
    ----------
    selector : MarginSubsetSelector
        Its estimator is checked when it is fitted.
    """
    check_strategy(selector.strategy)
    for name in (
        "stratify",
        "average_weights",
        "freeze_batch_norm",
        "noise_guard",
        "prefit",
    ):
        check_bool(name, getattr(selector, name))
    for name, least in (
        ("min_per_class", 0),
        ("continue_epochs", 0),
        ("reselect_every", 1),
    ):
        check_int(name, getattr(selector, name), least)
    for name in ("separation", "initial_share", "score_share"):
        check_real(name, getattr(selector, name), 0, 1, closed="right")
    check_real("continue_lr", selector.continue_lr, 0, closed="neither", also=("auto",))
    check_choice("on_unseparated", selector.on_unseparated, ("warn", "raise"))
    check_random_state_parameter("random_state", selector.random_state)
    check_verbose(selector.verbose)
