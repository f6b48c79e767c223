"""Steps as combinations of rows, which become numbers only where a network needs them."""

import numpy as np
import scipy.sparse

__all__ = ["CombinedSteps"]


class CombinedSteps:
    """An array of steps of shape (n_anchors, n_steps, n_features), row by row when indexed.

    Each step is a weighted sum of a few rows: with many columns, the weights and the rows take
    a fraction of the memory of all steps.

    Parameters
    ----------
    weights : sparse array of shape (n_anchors * n_steps, n_rows)
        The steps of an anchor are consecutive; each row of weights has sum 0.
    n_steps : int
        Steps per anchor.
    rows : ndarray or CSR array of shape (n_rows, n_features)

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from margin_sklearn.neighborhoods.combined_steps import CombinedSteps
    >>> rows = np.array([[1.0, 5.0], [2.0, 3.0]])
    >>> steps = CombinedSteps(csr_array([[-1.0, 1.0], [1.0, -1.0]]), 1, rows)
    >>> steps.shape
    (2, 1, 2)
    >>> steps[[1]]
    array([[[-1.,  2.]]], dtype=float32)
    """

    def __init__(self, weights, n_steps, rows):
        self._weights, self._n_steps, self._rows = (
            scipy.sparse.csr_array(weights),
            n_steps,
            rows,
        )
        self.shape = (self._weights.shape[0] // n_steps, n_steps, rows.shape[1])

    def __getitem__(self, anchors):
        """The steps of some anchors: float32 array of shape (n, n_steps, n_features)."""
        at = np.arange(self.shape[0])[anchors]
        which = (at[:, None] * self._n_steps + np.arange(self._n_steps)).ravel()
        weights = self._weights[which]
        needed = np.unique(weights.indices)
        steps = weights[:, needed] @ self._rows[needed].astype(np.float64)
        steps = steps.toarray() if scipy.sparse.issparse(steps) else steps
        return steps.astype(np.float32).reshape(len(at), *self.shape[1:])

    @property
    def nbytes(self):
        """Bytes used by weights and rows."""
        rows = self._rows.data if scipy.sparse.issparse(self._rows) else self._rows
        return self._weights.data.nbytes + self._weights.indices.nbytes + rows.nbytes

    def thinned(self, ranks):
        """Only some steps of each anchor.

        Parameters
        ----------
        ranks : ndarray of int of shape (n_ranks,)

        Returns
        -------
        steps : CombinedSteps
        """
        which = (np.arange(self.shape[0])[:, None] * self._n_steps + ranks).ravel()
        return CombinedSteps(self._weights[which], len(ranks), self._rows)
