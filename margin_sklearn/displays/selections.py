"""What SubsetDisplay says of a selection: its cut, its share, and whether it is a mask."""

import numpy as np

__all__ = ["check_mask", "largest_kept", "percent"]


def largest_kept(margins, support):
    """The largest margin kept, if most samples have a larger one.

    Parameters
    ----------
    margins : ndarray of float of shape (n_samples,)
    support : ndarray of bool of shape (n_samples,)

    Returns
    -------
    cut : float or None
    """
    kept = margins[support]
    if not len(kept) or not np.isfinite(kept.max()):
        return None
    return float(kept.max()) if np.nanmedian(margins) > kept.max() else None


def percent(share):
    """A share in percent, with two digits if it is small.

    Parameters
    ----------
    share : float

    Returns
    -------
    text : str
    """
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"


def check_mask(mask, name, margins):
    """The mask as an array; raise an error unless it marks samples that have a margin.

    Parameters
    ----------
    mask : array-like of bool of shape (n_samples,)
    name : str
        What it is called in the error message.
    margins : ndarray of float of shape (n_samples,)

    Returns
    -------
    mask : ndarray of bool of shape (n_samples,)
    """
    try:
        mask = np.asarray(mask)
    except ValueError as error:
        raise ValueError(f"{name} must be a mask of booleans: {error}") from error
    if mask.dtype != bool:
        raise ValueError(
            f"{name} must be a mask of booleans, got dtype {mask.dtype}. "
            f"np.isin(np.arange({len(margins)}), indices) turns indices into a mask."
        )
    if mask.shape != margins.shape:
        raise ValueError(
            f"{name} must have the shape of margins, {margins.shape}, got {mask.shape}."
        )
    unknown = mask & np.isnan(margins)
    if unknown.any():
        raise ValueError(
            f"{name} marks sample {unknown.argmax()}, whose margin is NaN: it cannot be drawn."
        )
    return mask
