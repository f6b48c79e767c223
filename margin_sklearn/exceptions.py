"""Warnings that margin_sklearn raises."""

__all__ = ["NotSeparatedWarning"]


class NotSeparatedWarning(UserWarning):
    """Training ended before every training sample was classified correctly.

    Raised where a result rests on separation: for instance when
    ``stop_at_separation=True`` was asked for and ``max_epochs`` ran out first.
    The network is fitted and usable; what was promised of a separated network
    does not hold for it.
    """
