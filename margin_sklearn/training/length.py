"""How long to train: the number of epochs for a number of samples."""

import math

__all__ = ["n_epochs"]

# max_epochs="auto": epochs for many samples, steps for few, and the most epochs.
EPOCHS, STEPS, MOST = 20, 1000, 200


def n_epochs(max_epochs, n_samples, batch_size):
    """The number of epochs that ``max_epochs`` means for some samples.

    Parameters
    ----------
    max_epochs : int or "auto"
    n_samples : int
    batch_size : int
        -1 for all samples.

    Returns
    -------
    epochs : int
        If "auto": 20, or as many as make 1,000 steps, but at most 200.

    Examples
    --------
    >>> from margin_sklearn.training.length import n_epochs
    >>> [n_epochs("auto", n, batch_size=64) for n in (100, 1_000, 10_000)]
    [200, 63, 20]
    """
    if not isinstance(max_epochs, str):
        return max_epochs
    per_epoch = 1 if batch_size < 0 else math.ceil(n_samples / batch_size)
    return min(MOST, max(EPOCHS, math.ceil(STEPS / per_epoch)))
