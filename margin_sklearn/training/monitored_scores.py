"""A clearer error where a callback monitors a score that does not exist."""

__all__ = ["explain_monitor"]


def explain_monitor(error, history, callbacks):
    """Raise a clearer error if a callback monitors a score that is not in the history.

    Parameters
    ----------
    error : Exception
        Raised during training.
    history : skorch.history.History
    callbacks : list of (name, callback)

    Raises
    ------
    ValueError
        If the error is due to such a callback.
    """
    row = history[-1] if history else {}
    for name, callback in callbacks:
        wanted = getattr(callback, "monitor", None)
        if isinstance(wanted, str) and wanted not in row and wanted in str(error):
            raise ValueError(
                f"The callback {name!r} monitors {wanted!r}, which is not in the history: "
                "no sample is held out, so there are no validation scores. Monitor "
                "'train_loss' ('train_loss_best' in Checkpoint), give scoring callbacks "
                "on_train=True, or set restore_best='margin_auc' to keep the best epoch."
            ) from error
