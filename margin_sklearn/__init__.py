"""PyTorch networks as scikit-learn estimators, chosen by their classification margins."""

from importlib.util import find_spec as _find_spec
from typing import TYPE_CHECKING as _TYPE_CHECKING

from .classifier.estimator import MarginClassifier
from .displays.curve import MarginCurveDisplay
from .displays.history import MarginHistoryDisplay
from .displays.search import SearchDisplay
from .displays.subset import SubsetDisplay
from .exceptions import LocalityWarning, NotSeparatedWarning
from .model_selection.search import MarginSearchCV
from .model_selection.splits import ResubstitutionSplit
from .nn.modules import MLP, ConvNet
from .persistence.reading import load
from .persistence.writing import save
from .scoring.curve import margin_auc, margin_curve
from .scoring.evaluation import margins
from .scoring.scorer import make_margin_auc_scorer, margin_auc_score
from .subsets.label_errors import LabelErrorDetector
from .subsets.overlap import subset_overlap
from .subsets.selector import MarginSubsetSelector
from .versions import show_versions

__version__ = "0.1.0"

__all__ = [
    "MLP",
    "ConvNet",
    "LabelErrorDetector",
    "LocalityWarning",
    "MarginClassifier",
    "MarginCurveDisplay",
    "MarginHistoryDisplay",
    "MarginSearchCV",
    "MarginSubsetSelector",
    "NotSeparatedWarning",
    "ResubstitutionSplit",
    "SearchDisplay",
    "SubsetDisplay",
    "make_margin_auc_scorer",
    "load",
    "margin_auc",
    "margin_auc_score",
    "margin_curve",
    "margins",
    "save",
    "show_versions",
    "subset_overlap",
]

# Only who asks for the sampler needs imbalanced-learn, and waits for its import. It is listed
# where it can be had, so that neither `import *` nor tab completion fails elsewhere.
if _find_spec("imblearn"):
    __all__ += ["MarginSubsetSampler"]


if _TYPE_CHECKING:
    from .subsets.sampler import MarginSubsetSampler


def __getattr__(name):
    if name == "MarginSubsetSampler":
        from .subsets.sampler import MarginSubsetSampler

        return MarginSubsetSampler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
