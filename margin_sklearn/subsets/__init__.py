"""Select samples once a network separates them, and continue training on the selection."""

from .label_errors import LabelErrorDetector
from .overlap import SubsetOverlap, subset_overlap
from .report import class_report
from .selector import MarginSubsetSelector
from .strategies import class_quotas, n_to_select, select

__all__ = [
    "LabelErrorDetector",
    "MarginSubsetSelector",
    "SubsetOverlap",
    "class_quotas",
    "class_report",
    "n_to_select",
    "select",
    "subset_overlap",
]
