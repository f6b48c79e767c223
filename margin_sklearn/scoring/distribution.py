"""The distribution of a network's margins; a score is the area under it."""

from dataclasses import dataclass

import numpy as np

from ..checks import (
    check_bool,
    check_choice,
    check_int,
    check_random_state_parameter,
)
from ..neighborhoods.transformed_rows import TransformedRows
from ..scales.registry import get_scale
from .curve import check_bounds, margin_auc
from .evaluation import margins_of
from .points import PerturbedPoints, SamplePoints

__all__ = [
    "DEFAULT",
    "DistributionSettings",
    "MarginDistribution",
    "distribution_at",
    "margin_distribution",
]

POINTS: dict[str, type[SamplePoints] | type[PerturbedPoints]] = {
    "samples": SamplePoints,
    "neighborhood": PerturbedPoints,
}


@dataclass(frozen=True)
class DistributionSettings:
    """Which margins are evaluated where: the parameters of :func:`make_margin_auc_scorer`.

    Parameters
    ----------
    scale, at, floor, ceiling, max_samples, noise_weight, random_state
        As there.
    """

    scale: str | None = "distance"
    at: str = "samples"
    floor: float | None = None
    ceiling: float | None = None
    # 200 rank networks worse (benchmarks/rank.py); more than 2000 were not tried.
    max_samples: int | None = 2000
    noise_weight: bool = False
    random_state: object = 0

    def check(self):
        """Raise a ValueError if a setting is of the wrong type or out of range."""
        check_bounds(self.floor, self.ceiling)
        check_choice("at", self.at, tuple(POINTS))
        check_int("max_samples", self.max_samples, 1, also=(None,))
        check_bool("noise_weight", self.noise_weight)
        check_random_state_parameter("random_state", self.random_state)
        if self.noise_weight and self.at != "neighborhood":
            raise ValueError(
                "noise_weight=True needs at='neighborhood': it weights samples by the labels "
                "of their neighbors."
            )
        get_scale(self.scale)


# The settings of margin_auc_score: the best in benchmarks/rank.py on its tuning tasks.
DEFAULT = DistributionSettings(scale="distance", at="neighborhood", floor=-0.07, ceiling=0.07)


@dataclass(frozen=True)
class MarginDistribution:
    """Margins per case, their weights, and the band of the area.

    Attributes
    ----------
    values : ndarray of float64 of shape (n_cases, n_points)
        A case is a sample; at perturbed samples, duplicates are one case per label.
    weight : ndarray of shape (n_cases,) or None
        Weight of each case; None weights all equally.
    floor, ceiling : float or None
        In the units of the margins.
    unit : float, default=1.0
        δ for distances, the median distance of a sample to its nearest neighbor; otherwise 1.
    """

    values: np.ndarray
    weight: np.ndarray | None
    floor: float | None
    ceiling: float | None
    unit: float = 1.0

    def margins(self):
        """All margins as one vector, those of a case next to each other."""
        return self.values.ravel()

    def weights(self):
        """Weights of the margins in :meth:`margins`, or None."""
        return None if self.weight is None else self.weight.repeat(self.values.shape[1])

    def clipped(self):
        """Margins clipped to floor and ceiling, of shape (n_cases, n_points)."""
        return np.clip(
            self.values,
            -np.inf if self.floor is None else self.floor,
            np.inf if self.ceiling is None else self.ceiling,
        )

    def n_infinite(self):
        """Number of margins of positive weight that are infinite after clipping."""
        infinite = np.isinf(self.clipped())
        if self.weight is not None:
            infinite = infinite[self.weight > 0]
        return np.count_nonzero(infinite)

    def auc(self):
        """Margin-AUC: the area under the margin curve within the band.

        Returns
        -------
        auc : float
            -inf if a margin is infinite after clipping.
        """
        if self.n_infinite():
            return -np.inf
        return margin_auc(
            self.margins(), self.weights(), floor=self.floor, ceiling=self.ceiling
        )

    def parts(self):
        """Contribution of each case: :meth:`auc` is their weighted mean.

        Returns
        -------
        parts : ndarray of shape (n_cases,)
        """
        part = self.clipped().mean(axis=1)
        if self.floor is not None and self.ceiling is not None:
            part = (part - self.floor) / (self.ceiling - self.floor)
        return part


def margin_distribution(network, X, class_index, weight=None, settings=DEFAULT):
    """The margins from which a score is computed, their weights, and the bounds.

    Parameters
    ----------
    network : Network
        The network whose margins are computed.
    X : array, DataFrame, sparse matrix or tensor of shape (n_samples, ...)
        Before the network's transformers.
    class_index : ndarray of int of shape (n_samples,)
        Class indices.
    weight : ndarray of shape (n_samples,), default=None
        Weight of each sample; None weights all equally.
    settings : DistributionSettings, default=DEFAULT
        The default is that of ``margin_auc_score``.

    Returns
    -------
    distribution : MarginDistribution
    """
    samples = TransformedRows(network, X)
    return distribution_at(
        POINTS[settings.at].chosen(samples, class_index, weight, settings), settings
    )


def distribution_at(points, settings=DEFAULT):
    """The same as :func:`margin_distribution`, at points that are already chosen.

    Parameters
    ----------
    points : SamplePoints or PerturbedPoints
    settings : DistributionSettings, default=DEFAULT
        Only ``scale``, ``floor`` and ``ceiling`` are used.

    Returns
    -------
    distribution : MarginDistribution
    """
    values = margins_of(points, get_scale(settings.scale))
    # Distances are meaningful only relative to those between the samples.
    unit = points.unit if settings.scale == "distance" else 1.0
    floor, ceiling = (
        None if bound is None else bound * unit for bound in (settings.floor, settings.ceiling)
    )
    return MarginDistribution(values, points.weight, floor, ceiling, unit)
