"""How long to train: sizes of batches and numbers of epochs for a number of samples."""

import math

__all__ = ["n_epochs", "samples_per_step"]

# Few samples need small batches: steps are cheaper there, and few steps are too few. Chosen
# with benchmarks/accuracy.py, by accuracy and time.
SMALLEST, LARGEST, PER_BATCH = 32, 128, 16
EPOCHS = 20
# Most epochs until separation.
MOST = 200


def samples_per_step(batch_size, n_samples):
    """The number of samples per step that ``batch_size`` means for some samples.

    Parameters
    ----------
    batch_size : int or "auto"
    n_samples : int

    Returns
    -------
    batch_size : int
        If "auto": the power of two below a sixteenth of the samples, from 32 to 128.

    Examples
    --------
    >>> from margin_sklearn.training.length import samples_per_step
    >>> [samples_per_step("auto", n) for n in (100, 1000, 1500, 2048, 10**6)]
    [32, 32, 64, 128, 128]
    """
    if not isinstance(batch_size, str):
        return batch_size
    share = max(1, n_samples // PER_BATCH)
    return min(LARGEST, max(SMALLEST, 2 ** int(math.log2(share))))


def n_epochs(max_epochs, until_separation=False):
    """The number of epochs that ``max_epochs`` means.

    Parameters
    ----------
    max_epochs : int or "auto"
    until_separation : bool, default=False
        Whether training stops at separation.

    Returns
    -------
    epochs : int
        If "auto": 20, or 200 if training stops at separation.
    """
    if not isinstance(max_epochs, str):
        return max_epochs
    return MOST if until_separation else EPOCHS
