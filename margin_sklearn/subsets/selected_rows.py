"""The rows that MarginSubsetSelector has selected."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from ..checks import check_bool, check_rows
from ..data.rows import take_rows

__all__ = ["SelectsRows"]


class SelectsRows(OneToOneFeatureMixin, TransformerMixin):
    """A transformer that returns the rows selected by its ``fit``.

    The class that inherits from it has ``fit``, which sets ``support_`` and
    ``sample_indices_``.
    """

    support_: NDArray[np.bool_]
    sample_indices_: NDArray[np.intp]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        # transform selects rows without reading them.
        tags.transformer_tags.preserves_dtype = []
        return tags

    def get_support(self, indices: bool = False) -> NDArray[Any]:
        """Mask or row indices of the selected samples.

        Parameters
        ----------
        indices : bool, default=False
            Whether to return row indices instead of a mask.

        Returns
        -------
        support : ndarray of bool of shape (n_samples,) or of int of shape (n_selected,)
        """
        check_is_fitted(self, "support_")
        check_bool("indices", indices)
        return self.sample_indices_ if indices else self.support_

    def transform(self, X: Any) -> Any:
        """Return the selected rows of the X that the selector was fitted on.

        Rows are selected by row index; their values are not read.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)
            The X passed to :meth:`fit`: the same rows and columns, in the same order.

        Returns
        -------
        X_selected : same type as X, of shape (n_selected, ...)
            The selected rows in order; a DataFrame keeps its index. :meth:`set_output` can
            request a DataFrame.

        Raises
        ------
        ValueError
            If X has a different number of rows or columns, or different column names.
        """
        check_is_fitted(self, "support_")
        check_rows("X", X)
        if not hasattr(X, "shape") and not isinstance(X, list | tuple):
            X = np.asarray(X)
        if hasattr(self, "n_features_in_") and getattr(X, "ndim", 2) < 2:
            raise ValueError(
                f"X must have {self.n_features_in_} features, but is an array of shape "
                f"{X.shape}. Reshape your data: X.reshape(-1, 1) for a single feature."
            )
        validate_data(self, X, reset=False, skip_check_array=True)
        n_rows = X.shape[0] if hasattr(X, "shape") else len(X)
        if n_rows != len(self.support_):
            raise ValueError(
                f"X has {n_rows} rows, but MarginSubsetSelector was fitted on "
                f"{len(self.support_)}: transform only selects rows of the X passed to fit. "
                "Use predict for new samples, and fit_resample(X, y) or sample_indices_ to "
                "select rows of other arrays such as y."
            )
        return take_rows(X, self.sample_indices_)

    def fit_transform(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Any:
        """Fit and return the selected rows of X, with a warning: y keeps all its rows.

        A Pipeline calls this method if the selector is not the last step. The next step then
        receives fewer rows of X than of y. :meth:`fit_resample` returns both.

        Parameters
        ----------
        X, y, sample_weight
            As for :meth:`fit`.

        Returns
        -------
        X_selected : same type as X, of shape (n_selected, ...)
        """
        warnings.warn(
            "MarginSubsetSelector.fit_transform leaves rows out of X, but not out of y. As a "
            "step before the last of a Pipeline it cannot work: put the selector last, around "
            "the classifier, or use MarginSubsetSampler in imbalanced-learn's Pipeline. "
            "fit_resample(X, y) returns the selected rows of both.",
            stacklevel=3,  # set_output wraps this method
        )
        return self.fit(X, y, sample_weight=sample_weight).transform(X)

    def fit_resample(
        self, X: Any, y: Any, sample_weight: ArrayLike | None = None
    ) -> tuple[Any, Any]:
        """Fit and return the selected rows of X and y.

        Parameters
        ----------
        X, y, sample_weight
            As for :meth:`fit`.

        Returns
        -------
        X_selected : same type as X, of shape (n_selected, ...)
        y_selected : same type as y, of shape (n_selected,)
        """
        self.fit(X, y, sample_weight=sample_weight)
        return take_rows(X, self.sample_indices_), take_rows(y, self.sample_indices_)
