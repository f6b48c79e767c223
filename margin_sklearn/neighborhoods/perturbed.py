"""Pseudo-points: where, off its training samples, a network is looked at."""

import threading
import warnings
from collections import OrderedDict
from dataclasses import dataclass, replace

import joblib
import numpy as np
import scipy.sparse
from sklearn.utils import check_random_state

from ..exceptions import LocalityWarning
from .distinct import distinct_rows, evenly
from .neighbors import nearest_neighbors
from .prepared_rows import PreparedRows
from .residual_steps import Neighborhood, local_neighborhood
from .step_length import calibrated_length

__all__ = ["PseudoPoints", "distance_unit", "label_trust", "pseudo_points"]

# Steps from each anchor: one for each of its neighbors, but from many anchors two are enough.
N_DRAWS, MOST_DRAWS, N_POINTS = 2, 8, 4000
# Samples, and steps from each, by which the length of the steps is settled.
N_CALIBRATION = 600
N_CALIBRATION_DRAWS = 3
# Samples by which δ is taken where no steps are needed.
N_ANCHORS = 2000
# Numbers in the steps at most (256 MB); for very wide inputs there are fewer anchors.
MAX_STEPS = 2**26
# δ beyond this share of the median distance between samples: near and far are the same.
NO_LOCALITY = 0.7
# Share of copies from which on it is said what they are taken for.
COPIES_TOLD = 0.05
# A sample is reconstructed from three others at least; from fewer than FEW samples the score's
# standard error is a tenth or more.
FEWEST, FEW = 4, 20
CACHE_BYTES = 2**28

_cache: OrderedDict = OrderedDict()
_cache_lock = threading.RLock()


@dataclass(frozen=True)
class PseudoPoints:
    """Points around some of the samples, in the space where the network sees them.

    Copies of one row are one anchor, and a *case* is an anchor with one of its labels: of
    samples without copies each is one case.

    Attributes
    ----------
    neighborhood : Neighborhood
        In units of the inputs.
    length : float
        Factor on its steps, from :func:`~margin_sklearn.neighborhoods.calibrated_length`.
    anchor : ndarray of int of shape (n_cases,)
        Index of each case's anchor.
    label : ndarray of int of shape (n_cases,)
        Class index of each case.
    case : ndarray of int of shape (n_samples,)
        The case that each sample belongs to; -1 for samples around which there are no points.
    trust : ndarray of shape (n_cases,)
        What :func:`label_trust` gives.
    """

    neighborhood: Neighborhood
    length: float
    anchor: np.ndarray
    label: np.ndarray
    case: np.ndarray
    trust: np.ndarray

    def weights(self, sample_weight=None):
        """Weight of each case: the sum of its samples' weights, or their number."""
        known = self.case >= 0
        of = None if sample_weight is None else sample_weight[known]
        return np.bincount(self.case[known], weights=of, minlength=len(self.label)) * 1.0

    def thinned(self, n_steps):
        """The same with at most ``n_steps`` steps from each anchor."""
        hood = self.neighborhood
        steps = hood.steps[:, evenly(hood.steps.shape[1], n_steps)]
        return replace(self, neighborhood=replace(hood, steps=steps))


def pseudo_points(network, X, y, max_samples, random_state=0):
    """Pseudo-points around the samples, or around ``max_samples`` that are chosen at random.

    They depend on the inputs as the network sees them, on the labels and, where there are more
    than ``max_samples``, on the random state alone; not on the order of the samples. The
    latest are kept in memory: all candidates of a search with the same inputs share them, in
    each of its processes.

    Parameters
    ----------
    network : Network
    X : array, DataFrame or sparse matrix of shape (n_samples, ...)
    y : ndarray of int of shape (n_samples,)
        Class indices.
    max_samples : int or None
        Copies of one row count as one.
    random_state : int or RandomState instance, default=0

    Returns
    -------
    points : PseudoPoints

    Raises
    ------
    ValueError
        If fewer than four samples differ.

    Warns
    -----
    LocalityWarning
        If nearest neighbors are about as far from each other as any two samples, if there are
        fewer than 20 different samples, or, once for a data set, if 5 % of the samples or more
        are copies.
    """
    seed = int(check_random_state(random_state).randint(2**31 - 1))
    prepared = PreparedRows(network, X)
    if max_samples is None or len(y) <= max_samples:
        # All are looked at: there is nothing to choose.
        max_samples, seed = None, 0
    key = (joblib.hash(prepared.keys), prepared.width, joblib.hash(y), max_samples, seed)
    points = _cached(key, lambda: _make(prepared, y, max_samples, seed))
    hood = points.neighborhood
    if hood.distance > NO_LOCALITY * hood.spread > 0:
        warnings.warn(
            f"The nearest neighbor of a sample is {hood.distance:.3g} away, any other sample "
            f"{hood.spread:.3g} (medians): the inputs have no near and far, as rows of many "
            "indicator columns have none, and margins in neighborhoods mean little. Choose by "
            "cross-validation here (cv=5 with scoring='accuracy').",
            LocalityWarning,
            stacklevel=6,
        )
    if len(hood.anchors) < FEW and (max_samples is None or max_samples >= FEW):
        warnings.warn(
            f"The score rests on {len(hood.anchors)} different samples: its standard error "
            "may be a tenth or more, so that it hardly tells networks apart. Give more "
            "samples, or choose by cross-validation.",
            LocalityWarning,
            stacklevel=6,
        )
    return points


def _make(prepared, y, max_samples, seed):
    distinct = distinct_rows(prepared)
    n, width = len(distinct), prepared.width
    if n < FEWEST:
        raise ValueError(
            f"{n} different samples among {prepared.n}: they have no neighborhoods, which "
            f"take at least {FEWEST}. Give more samples; or score with at='samples', "
            "floor=None and ceiling=None, or fit with restore_best=None."
        )
    _tell_copies(distinct, prepared.n)
    most = max(1, MAX_STEPS // (N_DRAWS * width))
    n_anchors = min(n, most, n if max_samples is None else max_samples)
    anchors = np.arange(n)
    if n_anchors < n:
        random = np.random.RandomState(seed)
        anchors = np.sort(random.choice(n, n_anchors, replace=False))
    n_steps = min(MOST_DRAWS, N_POINTS // n_anchors, MAX_STEPS // (n_anchors * width))
    hood = local_neighborhood(distinct.rows, n, anchors, max(N_DRAWS, n_steps))
    # The kernel classifiers learn few samples: steps between those, not between all.
    some = evenly(n, min(most, N_CALIBRATION))
    sample = distinct.rows(some)
    sample = np.asarray(sample.toarray() if scipy.sparse.issparse(sample) else sample)
    length = 1.0
    counts = _label_counts(distinct.group, y, n)
    if len(some) >= FEWEST:
        among = local_neighborhood(
            sample.__getitem__, len(some), np.arange(len(some)), N_CALIBRATION_DRAWS
        )
        shares = counts[some].toarray()
        shares = shares / shares.sum(axis=1, keepdims=True)
        length = calibrated_length(sample, shares, among.steps * np.float32(among.distance))
    number = np.full(n, -1)
    number[anchors] = np.arange(n_anchors)
    of_sample = np.where(distinct.group >= 0, number[distinct.group], -1)
    scored = np.flatnonzero(of_sample >= 0)
    n_classes = counts.shape[1]
    pairs, case = np.unique(of_sample[scored] * n_classes + y[scored], return_inverse=True)
    cases = np.full(prepared.n, -1)
    cases[scored] = case
    anchor, label = np.divmod(pairs, n_classes)
    return PseudoPoints(
        Neighborhood(
            distinct.first[hood.anchors],
            hood.steps,
            hood.distance * prepared.unit,
            hood.spread * prepared.unit,
            distinct.first[hood.neighbors],
        ),
        length,
        anchor,
        label,
        cases,
        label_trust(counts, hood.neighbors, anchor, label),
    )


def _label_counts(group, y, n_groups):
    known = group >= 0
    return scipy.sparse.coo_array(
        (np.ones(np.count_nonzero(known)), (group[known], y[known])),
        shape=(n_groups, int(y.max()) + 1),
    ).tocsr()


def _tell_copies(distinct, n_samples):
    share = (distinct.n_exact + distinct.n_near) / n_samples
    if share >= COPIES_TOLD:
        warnings.warn(
            f"{share:.0%} of the {n_samples} samples are copies of others "
            f"({distinct.n_exact} exact, {distinct.n_near} near). The score takes each group "
            "of copies for one sample that weighs as many: its neighbors are other groups, "
            "and all its labels count. Cross-validation needs the groups kept together "
            "(GroupKFold).",
            LocalityWarning,
            stacklevel=8,
        )


def distance_unit(network, X):
    """δ: the median distance of a sample to its nearest neighbor where the network sees it.

    Parameters
    ----------
    network : Network
    X : array, DataFrame or sparse matrix of shape (n_samples, ...)
        Copies count as one. Of more than 2,000 different samples, so many are taken.

    Returns
    -------
    distance : float

    Raises
    ------
    ValueError
        If no two samples differ.
    """
    prepared = PreparedRows(network, X)

    def make():
        distinct = distinct_rows(prepared)
        n = len(distinct)
        if n < 2:
            raise ValueError(
                f"No two different samples among {prepared.n}: there is no distance to "
                "measure by. Give more samples, or score with floor=None and ceiling=None."
            )
        distance, _ = nearest_neighbors(distinct.rows, n, evenly(n, N_ANCHORS), 1)
        return float(np.median(distance)) * prepared.unit

    return _cached((joblib.hash(prepared.keys), prepared.width), make)


def label_trust(counts, neighbors, anchor, label):
    r"""Probability of each case's label not to be random, by the labels of its neighbors.

    With :math:`q_i(y)` the share of label :math:`y` among the neighbors of sample :math:`i`
    (one count more, shared by the :math:`C` classes) and :math:`\hat\varepsilon` the mean of
    :math:`1 - q_i(y_i)`, it is

    .. math:: \frac{(1 - \hat\varepsilon)\, q_i(y_i)}
                   {(1 - \hat\varepsilon)\, q_i(y_i) + \hat\varepsilon / C}:

    Bayes' rule for a label that is drawn either from the neighborhood or, with probability
    :math:`\hat\varepsilon`, uniformly.

    Parameters
    ----------
    counts : sparse array of shape (n_rows, n_classes)
        How often each row has each label.
    neighbors : ndarray of int of shape (n_anchors, n_neighbors)
        Rows next to each anchor.
    anchor, label : ndarray of int of shape (n_cases,)

    Returns
    -------
    trust : ndarray of shape (n_cases,)
        In [0, 1].

    Examples
    --------
    Two neighbors of the same label, two of another:

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


def _cached(key, make):
    """What ``make`` made for this key, the latest kept up to 256 MB."""
    with _cache_lock:
        value = _cache.pop(key, None)
        if value is None:
            value = make()
        _cache[key] = value
        size = sum(map(_n_bytes, _cache.values()))
        while size > CACHE_BYTES and len(_cache) > 1:
            size -= _n_bytes(_cache.popitem(last=False)[1])
    return value


def _n_bytes(value):
    if not isinstance(value, PseudoPoints):
        return 0
    return value.neighborhood.steps.nbytes + value.case.nbytes
