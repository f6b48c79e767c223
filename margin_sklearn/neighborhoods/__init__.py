"""Perturbed samples: points near the training samples, at which margins are evaluated."""

from .cache import clear_cache
from .copies import copy_distance, group_near, least_growth
from .distinct import DistinctRows, distinct_rows
from .neighbors import nearest_neighbors
from .perturbed import PseudoPoints, distance_unit, perturbed_samples, pseudo_points
from .prepared_rows import PreparedRows
from .residual_steps import Neighborhood, local_neighborhood
from .step_length import calibrated_length, leave_one_out
from .transformed_rows import TransformedRows
from .trust import label_trust

__all__ = [
    "DistinctRows",
    "Neighborhood",
    "PreparedRows",
    "PseudoPoints",
    "TransformedRows",
    "calibrated_length",
    "clear_cache",
    "copy_distance",
    "distance_unit",
    "distinct_rows",
    "group_near",
    "label_trust",
    "least_growth",
    "leave_one_out",
    "local_neighborhood",
    "nearest_neighbors",
    "perturbed_samples",
    "pseudo_points",
]
