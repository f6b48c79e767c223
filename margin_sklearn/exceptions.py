"""Warning categories of margin_sklearn, and at which line warnings are shown."""

import inspect
import warnings

__all__ = ["LocalityWarning", "NotSeparatedWarning", "warn_caller"]

# Packages whose frames are skipped in the search for the line of the caller.
INSIDE = ("margin_sklearn", "skorch")


class NotSeparatedWarning(UserWarning):
    """Training ended before every training sample was classified correctly.

    Issued where a result depends on separation, for instance if ``stop_at_separation=True``
    was set and ``max_epochs`` was reached first. The network is fitted and can be used, but
    what is documented for separated networks does not apply to it.
    """


class LocalityWarning(UserWarning):
    """A score in the neighborhood of the samples may say little about these data.

    Issued by scores with ``at="neighborhood"`` if the distance of a sample to its nearest
    neighbor is about the same as to any other sample (as with many indicator columns), if many
    samples are duplicates, or if there are few different samples. The score is computed
    nevertheless. Cross-validation does not depend on neighbors.
    """


def warn_caller(message, category=UserWarning):
    """Warn at the line that called this package, however many calls ago.

    Parameters
    ----------
    message : str or Warning
    category : type, default=UserWarning
    """
    level, frame = 1, inspect.currentframe()
    while frame is not None and _is_inside(frame):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def _is_inside(frame):
    return frame.f_globals.get("__name__", "").partition(".")[0] in INSIDE
