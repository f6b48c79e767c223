"""Warning categories of margin_sklearn."""

__all__ = ["LocalityWarning", "NotSeparatedWarning"]


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
