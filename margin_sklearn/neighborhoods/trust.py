"""Probability that a label is not noise, from the labels of the neighbors."""

import numpy as np
import scipy.sparse

__all__ = ["label_trust"]


def label_trust(counts, neighbors, anchor, label):
    r"""Probability that each case's label is not random, from the labels of its neighbors.

    With :math:`q_i(y)` the share of label :math:`y` among the neighbors of sample :math:`i`
    (plus one count divided equally among the :math:`C` classes) and :math:`\hat\varepsilon`
    the mean of :math:`1 - q_i(y_i)`, it is

    .. math:: \frac{(1 - \hat\varepsilon)\, q_i(y_i)}
                   {(1 - \hat\varepsilon)\, q_i(y_i) + \hat\varepsilon / C}

    by Bayes' rule, for a label drawn from the neighborhood or, with probability
    :math:`\hat\varepsilon`, uniformly.

    Parameters
    ----------
    counts : sparse array of shape (n_rows, n_classes)
        How often each row has each label.
    neighbors : ndarray of int of shape (n_anchors, n_neighbors)
        Neighboring rows of each anchor.
    anchor, label : ndarray of int of shape (n_cases,)
        Anchor and class index of each case.

    Returns
    -------
    trust : ndarray of shape (n_cases,)
        In [0, 1].

    Examples
    --------
    Two neighbors with the same label, then two with another:

    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from margin_sklearn.neighborhoods import label_trust
    >>> counts = csr_array([[1, 0], [1, 0], [1, 0], [0, 1], [0, 1]])
    >>> neighbors = np.array([[1, 2], [3, 4]])
    >>> label_trust(counts, neighbors, np.array([0, 1]), np.array([0, 0])).round(2)
    array([0.62, 0.25])
    """
    n_classes = max(2, int((counts.sum(axis=0) > 0).sum()))
    rows = scipy.sparse.csr_array(counts / counts.sum(axis=1)[:, None])
    same = np.zeros(len(label))
    for rank in range(neighbors.shape[1]):
        same += np.asarray(rows[neighbors[anchor, rank]][np.arange(len(label)), label]).ravel()
    share = (same + 1 / n_classes) / (neighbors.shape[1] + 1)
    noise = np.mean(1 - share)
    kept = (1 - noise) * share
    return kept / (kept + noise / n_classes)
