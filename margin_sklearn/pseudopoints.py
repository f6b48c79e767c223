"""Pseudo-points: where, off its training samples, a network is looked at."""

import threading
import warnings
from collections import OrderedDict
from dataclasses import dataclass

import joblib
import numpy as np
from sklearn.utils import check_random_state

from .batches import chunk_length, take_rows
from .calibration import calibrated_length
from .exceptions import LocalityWarning
from .neighborhood import Neighborhood, local_neighborhood, neighbor_distance

__all__ = ["PseudoPoints", "distance_unit", "label_trust", "pseudo_points"]

# Steps from each anchor: two from many anchors rank networks better than many from few, but
# there should be so many in all.
N_DRAWS, MOST_DRAWS, N_POINTS = 2, 8, 4000
# Samples, and steps from each, by which the length of the steps is settled.
N_CALIBRATION = 600
N_CALIBRATION_DRAWS = 3
# Anchors by which δ is taken where no steps are needed: enough for a median.
N_ANCHORS = 1000
# Prepared data of up to so many numbers are kept while they are looked at; more stream.
WHOLE = 2**22
# Numbers in the steps at most (256 MB); for very wide inputs there are fewer anchors.
MAX_STEPS = 2**26
# Samples, at most, whose mean is taken for the origin.
N_ORIGIN = 1000
# δ beyond this share of the median distance between samples: near and far are the same.
NO_LOCALITY = 0.7
CACHE_BYTES = 2**28

_cache: OrderedDict = OrderedDict()
_cache_lock = threading.RLock()


@dataclass(frozen=True)
class PseudoPoints:
    """Points around some of the samples, in the space where the network sees them.

    Attributes
    ----------
    neighborhood : Neighborhood
    length : float
        Factor on its steps, from :func:`~margin_sklearn.calibration.calibrated_length`.
    """

    neighborhood: Neighborhood
    length: float


def pseudo_points(network, X, y, max_samples, random_state=0, n_draws=None):
    """Pseudo-points around at most ``max_samples`` of the samples, chosen at random.

    They depend on the inputs as the network sees them, on the labels and on the random state
    alone, and the latest are kept in memory: all candidates of a search with the same inputs
    share them, in each of its processes.

    Parameters
    ----------
    network : Network
    X : array, DataFrame or sparse matrix of shape (n_samples, ...)
    y : ndarray of int of shape (n_samples,)
        Class indices.
    max_samples : int or None
    random_state : int or RandomState instance, default=0
    n_draws : int, default=None
        Points around each sample; None takes 2 or, for fewer than 2,000 samples, up to 8.

    Returns
    -------
    points : PseudoPoints

    Warns
    -----
    LocalityWarning
        If nearest neighbors are about as far from each other as any two samples.
    """
    seed = int(check_random_state(random_state).randint(2**31 - 1))
    rows, width = prepared_rows(network, X)
    key = (_content(rows, X.shape[0], width), joblib.hash(y), max_samples, seed, n_draws)
    with _cache_lock:
        points = _cache.pop(key, None)
        if points is None:
            points = _make(rows, width, y, max_samples, seed, n_draws)
        _cache[key] = points
        size = sum(kept.neighborhood.steps.nbytes for kept in _cache.values())
        while size > CACHE_BYTES and len(_cache) > 1:
            size -= _cache.popitem(last=False)[1].neighborhood.steps.nbytes
    near, apart = points.neighborhood.distance, points.neighborhood.spread
    if near > NO_LOCALITY * apart > 0:
        warnings.warn(
            f"The nearest neighbor of a sample is {near:.3g} away, any other sample "
            f"{apart:.3g} (medians): the inputs have no near and far, as rows of many "
            "indicator columns have none, and margins in neighborhoods mean little. Choose by "
            "cross-validation here (cv=5 with scoring='accuracy').",
            LocalityWarning,
            stacklevel=6,
        )
    return points


def _make(rows, width, y, max_samples, seed, n_draws):
    random = np.random.RandomState(seed)
    n = len(y)
    most = max(1, MAX_STEPS // ((n_draws or N_DRAWS) * width))
    n_anchors = min(n, most, n if max_samples is None else max_samples)
    anchors = _choose(random, n, n_anchors)
    if n_draws is None:
        within = MAX_STEPS // (n_anchors * width)
        n_draws = max(N_DRAWS, min(MOST_DRAWS, -(-N_POINTS // n_anchors), within))
    hood = local_neighborhood(rows, n, anchors, n_draws, random_state=random)
    # The kernel classifiers learn few samples: steps between those, not between all.
    some = _choose(random, n, min(n, most, N_CALIBRATION))
    sample = rows(some)
    sample = np.asarray(sample.toarray() if hasattr(sample, "toarray") else sample)
    try:
        steps = local_neighborhood(
            sample.__getitem__,
            len(some),
            np.arange(len(some)),
            N_CALIBRATION_DRAWS,
            random_state=random,
        ).steps
    except ValueError:
        # A few different samples among very many copies, and none here.
        return PseudoPoints(hood, 1.0)
    return PseudoPoints(hood, calibrated_length(sample, y[some], steps))


def distance_unit(network, X, random_state=0):
    """δ: the median distance of a sample to its nearest neighbor where the network sees it.

    Parameters
    ----------
    network : Network
    X : array, DataFrame or sparse matrix of shape (n_samples, ...)
    random_state : int or RandomState instance, default=0
        Chooses the 1,000 samples it is taken over, where there are more.

    Returns
    -------
    distance : float
    """
    n = X.shape[0]
    index = _choose(check_random_state(random_state), n, min(n, N_ANCHORS))
    rows, width = prepared_rows(network, X)
    # Anchors times chunk: the distances held at a time.
    step = min(1024, chunk_length(width))
    chunks = ((start, rows(slice(start, start + step))) for start in range(0, n, step))
    return neighbor_distance(rows(index), index, chunks)


def label_trust(points, y):
    r"""Probability of each anchor's label not to be random, by the labels of its neighbors.

    With :math:`q_i(y)` the share of label :math:`y` among the neighbors of sample :math:`i`
    (one count more, shared by the :math:`C` classes) and :math:`\hat\varepsilon` the mean of
    :math:`1 - q_i(y_i)`, it is

    .. math:: \frac{(1 - \hat\varepsilon)\, q_i(y_i)}
                   {(1 - \hat\varepsilon)\, q_i(y_i) + \hat\varepsilon / C}:

    Bayes' rule for a label that is drawn either from the neighborhood or, with probability
    :math:`\hat\varepsilon`, uniformly.

    Parameters
    ----------
    points : PseudoPoints
    y : ndarray of int of shape (n_samples,)
        Class indices of all samples.

    Returns
    -------
    trust : ndarray of shape (n_anchors,)
        In [0, 1].
    """
    hood = points.neighborhood
    n_classes = max(2, len(np.unique(y)))
    known = hood.neighbors >= 0
    same = (y[hood.neighbors] == y[hood.anchors][:, None]) & known
    share = (same.sum(axis=1) + 1 / n_classes) / (known.sum(axis=1) + 1)
    noise = np.mean(1 - share)
    kept = (1 - noise) * share
    return kept / (kept + noise / n_classes)


def prepared_rows(network, X):
    """Function from positions to rows as the network sees them, flat; and their width.

    Dense rows are floating, and relative to the mean of some of them: differences between
    samples far from the origin would drown in the rounding of their squares.
    """
    n = X.shape[0]

    def flat(index):
        part = network.prepare(take_rows(X, index))
        if not hasattr(part, "tocsr"):
            part = np.asarray(part).reshape(len(part), -1)
        return part if part.dtype in (np.float32, np.float64) else part.astype(np.float64)

    first = flat(slice(0, 1))
    width, sparse = first.shape[1], hasattr(first, "tocsr")
    origin = 0
    if not sparse:
        size = min(n, N_ORIGIN, chunk_length(width))
        origin = flat(np.linspace(0, n - 1, size).astype(int)).mean(axis=0)

    def rows(index):
        return flat(index) if sparse else flat(index) - origin

    if n * width > WHOLE:
        return rows, width
    whole = rows(slice(0, n))
    if sparse:
        whole = whole.tocsr()
    return whole.__getitem__, width


def _content(rows, n, width):
    step = chunk_length(width)
    return joblib.hash(
        [joblib.hash(rows(slice(start, start + step))) for start in range(0, n, step)]
    )


def _choose(random, n, size):
    if size >= n:
        return np.arange(n)
    return np.sort(random.choice(n, size, replace=False))
