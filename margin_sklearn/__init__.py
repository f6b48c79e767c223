"""PyTorch networks as scikit-learn estimators, chosen by their classification margins."""

from importlib.util import find_spec as _find_spec

from .classifier import MarginClassifier
from .exceptions import LocalityWarning, NotSeparatedWarning
from .margins import margin_auc, margin_curve
from .model_selection import ResubstitutionSplit
from .modules import MLP, ConvNet
from .overlap import subset_overlap
from .plotting import MarginCurveDisplay
from .scoring import make_margin_auc_scorer, margin_auc_score, margins
from .subset import MarginSubsetSelector
from .subset_plotting import SubsetDisplay

__version__ = "0.1.0"

__all__ = [
    "MLP",
    "ConvNet",
    "LocalityWarning",
    "MarginClassifier",
    "MarginCurveDisplay",
    "MarginSubsetSelector",
    "NotSeparatedWarning",
    "ResubstitutionSplit",
    "SubsetDisplay",
    "make_margin_auc_scorer",
    "margin_auc",
    "margin_auc_score",
    "margin_curve",
    "margins",
    "subset_overlap",
]

# Only who asks for the sampler needs imbalanced-learn, and waits for its import. It is listed
# where it can be had, so that neither `import *` nor tab completion fails elsewhere.
if _find_spec("imblearn"):
    __all__ += ["MarginSubsetSampler"]


def __getattr__(name):
    if name == "MarginSubsetSampler":
        from .sampler import MarginSubsetSampler

        return MarginSubsetSampler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
