"""Steps as differences of residuals, which are subtracted only where a network needs them."""

import numpy as np
import scipy.sparse

__all__ = ["CombinedSteps"]

# Numbers converted at a time (16 MB).
MAX_NUMBERS = 2**21


class CombinedSteps:
    """An array of steps of shape (n_anchors, n_steps, n_features), computed when indexed.

    Several steps share a residual, and those of sparse rows are sparse: they take a fraction
    of the memory of the steps.

    Parameters
    ----------
    residuals : ndarray or CSR array of shape (n_residuals, n_features)
    own : ndarray of int of shape (n_anchors,)
        The residual of each anchor.
    donors : ndarray of int of shape (n_anchors, n_steps)
        The residuals that take its place.

    Examples
    --------
    >>> import numpy as np
    >>> from margin_sklearn.neighborhoods.combined_steps import CombinedSteps
    >>> residuals = np.array([[1.0, 5.0], [2.0, 3.0]])
    >>> steps = CombinedSteps(residuals, np.array([0, 1]), np.array([[1], [0]]))
    >>> steps.shape
    (2, 1, 2)
    >>> steps[[0]]
    array([[[ 1., -2.]]], dtype=float32)
    """

    def __init__(self, residuals, own, donors):
        self._residuals, self._own, self._donors = residuals, own, donors
        self.shape = (*donors.shape, residuals.shape[1])

    def __getitem__(self, anchors):
        """The steps of some anchors: float32 array of shape (n, n_steps, n_features)."""
        own, donors = self._own[anchors], self._donors[anchors]
        steps = self._residuals[donors.ravel()]
        own = np.repeat(own, donors.shape[1])
        if scipy.sparse.issparse(steps):
            steps = (steps - self._residuals[own]).toarray()
        else:
            steps -= self._residuals[own]
        return steps.astype(np.float32, copy=False).reshape(*donors.shape, self.shape[2])

    @property
    def nbytes(self):
        """Bytes used by the residuals."""
        held = self._residuals
        return held.data.nbytes + (held.indices.nbytes if scipy.sparse.issparse(held) else 0)

    def thinned(self, ranks):
        """Only some steps of each anchor.

        Parameters
        ----------
        ranks : ndarray of int of shape (n_ranks,)

        Returns
        -------
        steps : CombinedSteps
        """
        return CombinedSteps(self._residuals, self._own, self._donors[:, ranks])

    def scaled(self, factor):
        """The same steps, times a factor."""
        return CombinedSteps(self._residuals * factor, self._own, self._donors)

    def of(self, rows):
        """The steps between rows, if these are weights of the rows.

        Parameters
        ----------
        rows : ndarray or CSR array of shape (n_rows, n_features)
            As many as these steps have features; residuals are a CSR array.

        Returns
        -------
        steps : CombinedSteps
            Of float32.
        """
        weights = self._residuals
        if scipy.sparse.issparse(rows):
            residuals = scipy.sparse.csr_array(weights @ rows).astype(np.float32)
        else:
            residuals = np.empty((weights.shape[0], rows.shape[1]), dtype=np.float32)
            step = max(1, MAX_NUMBERS // len(rows))
            for start in range(0, rows.shape[1], step):
                part = slice(start, start + step)
                residuals[:, part] = weights @ rows[:, part].astype(np.float64)
        return CombinedSteps(residuals, self._own, self._donors)
