"""How long to train: sizes of batches and numbers of epochs for a number of samples."""

__all__ = ["n_epochs", "samples_per_step"]

# Below FEW samples, smaller batches and more epochs: a step is cheaper there, and few steps
# are too few. benchmarks/accuracy.py compares accuracy and time.
FEW = 2000
BATCH, BATCH_OF_FEW = 128, 64
EPOCHS, EPOCHS_OF_FEW = 20, 30
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
        If "auto": 64 below 2,000 samples, else 128.
    """
    if not isinstance(batch_size, str):
        return batch_size
    return BATCH_OF_FEW if n_samples < FEW else BATCH


def n_epochs(max_epochs, n_samples, until_separation=False):
    """The number of epochs that ``max_epochs`` means for some samples.

    Parameters
    ----------
    max_epochs : int or "auto"
    n_samples : int
    until_separation : bool, default=False
        Whether training stops at separation.

    Returns
    -------
    epochs : int
        If "auto": 200 if training stops at separation, else 30 below 2,000 samples, else 20.

    Examples
    --------
    >>> from margin_sklearn.training.length import n_epochs
    >>> n_epochs("auto", 150), n_epochs("auto", 5000), n_epochs(7, 5000)
    (30, 20, 7)
    """
    if not isinstance(max_epochs, str):
        return max_epochs
    if until_separation:
        return MOST
    return EPOCHS_OF_FEW if n_samples < FEW else EPOCHS
