"""Perturbed samples: where, off the training samples, margins are evaluated."""

from .copies import copy_distance, group_near, least_growth
from .distinct import DistinctRows, distinct_rows
from .neighbors import nearest_neighbors
from .perturbed import PseudoPoints, distance_unit, label_trust, pseudo_points
from .prepared_rows import PreparedRows
from .residual_steps import Neighborhood, local_neighborhood
from .step_length import calibrated_length, leave_one_out

__all__ = [
    "DistinctRows",
    "Neighborhood",
    "PreparedRows",
    "PseudoPoints",
    "calibrated_length",
    "copy_distance",
    "distance_unit",
    "distinct_rows",
    "group_near",
    "label_trust",
    "least_growth",
    "leave_one_out",
    "local_neighborhood",
    "nearest_neighbors",
    "pseudo_points",
]
