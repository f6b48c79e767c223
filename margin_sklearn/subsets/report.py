"""Describe a selection of samples per class."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["class_report"]


def class_report(
    margins: NDArray[np.floating],
    support: NDArray[np.bool_],
    suspects: NDArray[np.bool_],
    index: NDArray[np.integer],
    labels: NDArray[Any],
) -> pd.DataFrame:
    """One row per class: numbers of samples, selected and suspected, and their margins.

    Parameters
    ----------
    margins : ndarray of float of shape (n_samples,)
        NaN for samples that are excluded.
    support, suspects : ndarray of bool of shape (n_samples,)
        Which samples are selected, and which are suspected of a wrong label.
    index : ndarray of int of shape (n_samples,)
        Class index of each sample.
    labels : ndarray of shape (n_classes,)
        Label of each class.

    Returns
    -------
    report : DataFrame of shape (n_classes, 6)
        Indexed by ``labels``.

    Examples
    --------
    >>> import numpy as np
    >>> from margin_sklearn.subsets import class_report
    >>> class_report(
    ...     np.array([1.0, 3.0, -2.0, 4.0]),
    ...     support=np.array([True, False, True, False]),
    ...     suspects=np.zeros(4, dtype=bool),
    ...     index=np.array([0, 0, 1, 1]),
    ...     labels=np.array(["cat", "dog"]),
    ... )[["n_samples", "n_selected", "accuracy", "median_margin"]]
           n_samples  n_selected  accuracy  median_margin
    class
    cat            2           1       1.0            2.0
    dog            2           1       0.5            1.0
    """
    known = ~np.isnan(margins)
    classes = pd.DataFrame(
        {
            "margin": margins,
            "kept": np.where(support, margins, np.nan),
            "correct": np.where(known, margins > 0, np.nan),
            "selected": support,
            "suspect": suspects,
        }
    ).groupby(index)
    return pd.DataFrame(
        {
            "n_samples": classes.size(),
            "n_selected": classes["selected"].sum(),
            "n_suspects": classes["suspect"].sum(),
            "accuracy": classes["correct"].mean(),
            "median_margin": classes["margin"].median(),
            "median_selected_margin": classes["kept"].median(),
        }
    ).set_axis(pd.Index(labels, name="class"))
