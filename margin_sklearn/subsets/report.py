"""What a selection of samples holds, class by class."""

import numpy as np
import pandas as pd

__all__ = ["class_report"]


def class_report(margins, support, suspects, index, labels):
    """A row a class: how many samples there are, were kept and suspected, and their margins.

    Parameters
    ----------
    margins : ndarray of float of shape (n_samples,)
        NaN for samples that have no part in it.
    support, suspects : ndarray of bool of shape (n_samples,)
    index : ndarray of int of shape (n_samples,)
        Class indices.
    labels : ndarray of shape (n_classes,)

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
            "right": np.where(known, margins > 0, np.nan),
            "selected": support,
            "suspect": suspects,
        }
    ).groupby(index)
    return pd.DataFrame(
        {
            "n_samples": classes.size(),
            "n_selected": classes["selected"].sum(),
            "n_suspects": classes["suspect"].sum(),
            "accuracy": classes["right"].mean(),
            "median_margin": classes["margin"].median(),
            "median_selected_margin": classes["kept"].median(),
        }
    ).set_axis(pd.Index(labels, name="class"))
