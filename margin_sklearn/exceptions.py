"""Warnings that margin_sklearn raises."""

__all__ = ["LocalityWarning", "NotSeparatedWarning"]


class NotSeparatedWarning(UserWarning):
    """Training ended before every training sample was classified correctly.

    Raised where a result rests on separation: for instance when
    ``stop_at_separation=True`` was asked for and ``max_epochs`` ran out first.
    The network is fitted and usable; what was promised of a separated network
    does not hold for it.
    """


class LocalityWarning(UserWarning):
    """Near and far mean little in the data, so margins in neighborhoods do, too.

    Raised by scores with ``at="neighborhood"`` when the nearest neighbor of a sample is
    about as far from it as any other sample, as in rows of many indicator columns. The
    score is computed all the same; cross-validation does not need neighbors.
    """
