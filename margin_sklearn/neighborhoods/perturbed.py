"""Pseudo-points: perturbed samples at which a network is evaluated."""

from dataclasses import dataclass, replace

import joblib
import numpy as np
import scipy.sparse
from sklearn.utils import check_random_state

from ..data.rows import random_rows, take_rows
from .cache import PERTURBED_SAMPLES
from .combined_steps import CombinedSteps
from .distinct import distinct_rows, evenly
from .embedded_rows import is_wide
from .locality import tell_copies, tell_few, tell_no_locality, tell_wide
from .neighbors import nearest_neighbors
from .prepared_rows import PreparedRows
from .residual_steps import N_NEIGHBORS, Neighborhood, denser, local_neighborhood
from .step_length import calibrated_length
from .transformed_rows import TransformedRows
from .trust import label_trust

__all__ = ["PseudoPoints", "distance_unit", "perturbed_samples", "pseudo_points"]

# Steps per anchor: one per neighbor, but with many anchors two are enough.
N_DRAWS, MOST_DRAWS, N_POINTS = 2, 8, 4000
# Samples, and steps per sample, from which the step length is chosen.
N_STEP_LENGTH = 400
N_STEP_LENGTH_DRAWS = 2
# Samples from which δ is computed if no steps are needed.
N_ANCHORS = 2000
# Neighbors are looked for among at most this many different samples, unless more are scored;
# among fewer, down to the least, if that takes more than so many multiplications.
MOST_ROWS, FEWEST_ROWS, MOST_PRODUCTS = 10_000, 2000, 2**35
# Most numbers in all steps that are kept (256 MB); more are combined where they are needed.
MAX_STEPS = 2**26
# Fewer if their columns are so many that all else is done without them.
MAX_WIDE_STEPS = 2**25
# A sample is reconstructed from at least three others.
FEWEST = 4


@dataclass(frozen=True)
class PseudoPoints:
    """Perturbed samples: points around some of the samples, in the network's input space.

    Duplicates share one anchor, and a *case* is an anchor with one of its labels: a sample
    without duplicates is one case.

    Attributes
    ----------
    rows : array or sparse array of shape (n_anchors, n_features)
        The anchors as network inputs, flattened; in float32 if that is exact.
    neighborhood : Neighborhood
        In units of the inputs.
    length : float
        Factor on the steps, from :func:`~margin_sklearn.neighborhoods.calibrated_length`.
    anchor : ndarray of int of shape (n_cases,)
        Anchor of each case, as a position among the anchors.
    label : ndarray of int of shape (n_cases,)
        Class index of each case.
    case : ndarray of int of shape (n_samples,)
        The case that each sample belongs to; -1 for samples without points around them.
    trust : ndarray of shape (n_cases,)
        From :func:`label_trust`.
    """

    rows: np.ndarray | scipy.sparse.csr_array
    neighborhood: Neighborhood
    length: float
    anchor: np.ndarray
    label: np.ndarray
    case: np.ndarray
    trust: np.ndarray

    @property
    def nbytes(self):
        """Bytes used by the largest parts."""
        rows = self.rows.data if scipy.sparse.issparse(self.rows) else self.rows
        return rows.nbytes + self.neighborhood.steps.nbytes + self.case.nbytes

    def weights(self, sample_weight=None):
        """Weight of each case: the total weight of its samples, or their number.

        Parameters
        ----------
        sample_weight : ndarray of shape (n_samples,), default=None
            Weight of each sample; None gives the number of samples.
        """
        known = self.case >= 0
        of = None if sample_weight is None else sample_weight[known]
        return np.bincount(self.case[known], weights=of, minlength=len(self.label)) * 1.0

    def thinned(self, n_steps):
        """The same points with at most ``n_steps`` steps per anchor.

        Parameters
        ----------
        n_steps : int
            Largest number of steps per anchor.
        """
        hood = self.neighborhood
        steps, ranks = hood.steps, evenly(hood.steps.shape[1], n_steps)
        steps = steps.thinned(ranks) if isinstance(steps, CombinedSteps) else steps[:, ranks]
        return replace(self, neighborhood=replace(hood, steps=steps))


@dataclass(frozen=True)
class _Known:
    """Where the cache holds the points of samples that were transformed before."""

    key: tuple
    signature: tuple


def pseudo_points(network, X, y, max_samples, random_state=0):
    """Pseudo-points around all samples, or around ``max_samples`` random ones.

    They depend only on the inputs as the network sees them, on the labels and, if there are
    more than ``max_samples``, on the random state; not on the order of the samples. The latest
    are kept in memory (:mod:`~margin_sklearn.neighborhoods.cache`): within each process of a
    search, all candidates with the same inputs share them.

    Parameters
    ----------
    network : Network
        The network, with the transformers before it.
    X : array, DataFrame or sparse matrix of shape (n_samples, ...)
        If the network has transformers, the output of ``network.transform``.
    y : ndarray of int of shape (n_samples,)
        Class indices.
    max_samples : int or None
        Duplicates count as one sample.
    random_state : int or RandomState instance, default=0
        Chooses the samples if there are more than ``max_samples``.

    Returns
    -------
    points : PseudoPoints

    Raises
    ------
    ValueError
        If there are fewer than four different samples.

    Warns
    -----
    LocalityWarning
        If nearest neighbors are about as far from each other as any two samples, if there are
        fewer than 20 different samples, or, once per data set, if at least 5 % of the samples
        are duplicates.
    """
    samples = TransformedRows(replace(network, transformers=()), X)
    return _find(samples, y, max_samples, random_state, check_labels=False)


def perturbed_samples(samples, y, max_samples, random_state=0):
    """The same as :func:`pseudo_points`, without transforming known samples again.

    If transformers with the same content transformed these samples before, and their points
    are in the cache, only the first sample is transformed and prepared again: columns that do
    not fit raise as in ``predict``.

    Parameters
    ----------
    samples : TransformedRows
        All samples.
    y, max_samples, random_state
        As for :func:`pseudo_points`.

    Returns
    -------
    points : PseudoPoints

    Raises
    ------
    ValueError
        As for :func:`pseudo_points`, or, when points are computed, if the network has no
        output for a class index.
    """
    return _find(samples, y, max_samples, random_state, check_labels=True)


def _find(samples, y, max_samples, random_state, check_labels):
    seed = int(check_random_state(random_state).randint(2**31 - 1))
    if max_samples is None or len(y) <= max_samples:
        # All are scored: there is nothing to choose.
        max_samples, seed = None, 0
    network = samples.network
    digest = samples.digest(y, max_samples, seed)
    points = _recalled(samples, digest)
    if points is None:
        # Before all samples are transformed, which may change the given rows in place.
        signature = None if digest is None else samples.sign()
        rows = samples.rows
        if check_labels:
            # Before anything is computed from them; for known points they are checked later.
            network.check_labels(network.inputs(take_rows(rows, slice(0, 1))), y)
        prepared = PreparedRows(network, rows)
        key = (
            joblib.hash(prepared.keys),
            prepared.width,
            joblib.hash(y.astype(np.int64)),
            max_samples,
            seed,
        )
        points = PERTURBED_SAMPLES.get(key, lambda: _make(prepared, y, max_samples, seed))
        if signature is not None:
            PERTURBED_SAMPLES.put(digest, _Known(key, signature))
    tell_no_locality(points.neighborhood)
    tell_few(len(points.neighborhood.anchors), max_samples)
    return points


def _recalled(samples, digest):
    """Cached points for samples that were transformed before; None if there are none."""
    known = None if digest is None else PERTURBED_SAMPLES.peek(digest)
    if known is None:
        return None
    points = PERTURBED_SAMPLES.peek(known.key)
    return points if points is not None and samples.signed(known.signature) else None


def _make(prepared, y, max_samples, seed):
    most = _most_rows(prepared.width, max_samples)
    tell_wide(min(prepared.n, max_samples or prepared.n), prepared.width, N_DRAWS)
    distinct = distinct_rows(prepared, most)
    n, width = len(distinct), prepared.width
    if n < FEWEST:
        raise ValueError(
            f"{n} different samples among {prepared.n}: neighborhoods need at least {FEWEST}. "
            "Pass more samples, score with at='samples', floor=None and ceiling=None, or fit "
            "with restore_best=None."
        )
    tell_copies(distinct, prepared.n)
    n_anchors = n if max_samples is None else min(n, max_samples)
    anchors = np.arange(n)
    if n_anchors < n:
        anchors = random_rows(n, n_anchors, seed)
    n_steps = min(MOST_DRAWS, N_POINTS // n_anchors, MAX_STEPS // (n_anchors * width))
    n_steps = max(N_DRAWS, n_steps)
    combine = is_wide(n, width) or n_anchors * n_steps * width > MAX_STEPS
    counts = _label_counts(distinct.group, y, n)
    # Before the steps are made, because both need memory.
    length = _length(distinct, counts)
    hood = local_neighborhood(
        distinct.rows, n, anchors, n_steps, n_total=distinct.n_total, combine=combine
    )
    number = np.full(n, -1)
    number[anchors] = np.arange(n_anchors)
    of_sample = np.where(distinct.group >= 0, number[distinct.group], -1)
    scored = np.flatnonzero(of_sample >= 0)
    n_classes = counts.shape[1]
    pairs, case = np.unique(of_sample[scored] * n_classes + y[scored], return_inverse=True)
    cases = np.full(prepared.n, -1)
    cases[scored] = case
    anchor, label = np.divmod(pairs, n_classes)
    places = distinct.first[hood.anchors]
    if combine:
        everything = _narrow(prepared.flat(distinct.first))
        rows = everything if n_anchors == n else everything[anchors]
        steps = hood.steps.scaled(1 / prepared.unit).of(everything)
        if steps.shape[0] * steps.shape[1] * width <= min(MAX_STEPS, MAX_WIDE_STEPS):
            steps = steps[:]
    else:
        rows, steps = _narrow(prepared.flat(places)), hood.steps
    return PseudoPoints(
        rows,
        Neighborhood(
            places,
            steps,
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


def _most_rows(width, max_samples):
    """Among how many samples neighbors are looked for; None if among all."""
    if max_samples is None:
        return None
    affordable = MOST_PRODUCTS // (N_ANCHORS * width)
    return max(max_samples, FEWEST_ROWS, min(MOST_ROWS, affordable))


def _length(distinct, counts):
    """The calibrated length of the steps."""
    # The kernel classifiers are fitted on few samples: steps between those, not between all.
    some = evenly(len(distinct), N_STEP_LENGTH)
    if len(some) < FEWEST:
        return 1.0
    sample = distinct.rows(some)
    sample = np.asarray(sample.toarray() if scipy.sparse.issparse(sample) else sample)
    among = local_neighborhood(
        sample.__getitem__, len(some), np.arange(len(some)), N_STEP_LENGTH_DRAWS
    )
    shares = counts[some].toarray()
    shares = shares / shares.sum(axis=1, keepdims=True)
    return calibrated_length(sample, shares, among.steps * np.float32(among.distance))


def _narrow(rows):
    """Rows in float32 if that changes none of their values."""
    with np.errstate(over="ignore"):
        narrow = rows.astype(np.float32)
    return rows if (narrow != rows).sum() else narrow


def _label_counts(group, y, n_groups):
    known = group >= 0
    return scipy.sparse.coo_array(
        (np.ones(np.count_nonzero(known)), (group[known], y[known])),
        shape=(n_groups, int(y.max()) + 1),
    ).tocsr()


def distance_unit(network, X):
    """δ: the median distance of a sample to its nearest neighbor, as the network sees them.

    Parameters
    ----------
    network : Network
        The network, with the transformers before it.
    X : array, DataFrame or sparse matrix of shape (n_samples, ...)
        Duplicates count as one sample. At most 2,000 different samples are used.

    Returns
    -------
    distance : float

    Raises
    ------
    ValueError
        If there are fewer than two different samples.
    """
    prepared = PreparedRows(network, X)

    def make():
        distinct = distinct_rows(prepared, _most_rows(prepared.width, N_ANCHORS))
        n = len(distinct)
        if n < 2:
            raise ValueError(
                f"No two different samples among {prepared.n}: there is no distance to use as "
                "a unit. Pass more samples, or score with floor=None and ceiling=None."
            )
        near, _ = nearest_neighbors(
            distinct.rows, n, evenly(n, N_ANCHORS), min(n - 1, N_NEIGHBORS[-1])
        )
        unit = float(np.median(near[:, 0])) * prepared.unit
        return unit * denser(near, n, distinct.n_total)

    return PERTURBED_SAMPLES.get((joblib.hash(prepared.keys), prepared.width), make)
