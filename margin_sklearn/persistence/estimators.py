"""Estimators of this package: their attributes are their state."""

from typing import Any

from ..classifier.estimator import MarginClassifier
from ..classifier.state import training_run
from ..model_selection.search import MarginSearchCV
from ..model_selection.splits import ResubstitutionSplit
from ..scoring.scorer import MarginAUCScorer
from ..subsets.label_errors import LabelErrorDetector
from ..subsets.selector import MarginSubsetSelector
from .coding import KINDS, OWN, Reader, Writer, encode, kind, state_node
from .sklearn_parts import class_name

__all__: list[str] = []

OURS = (
    LabelErrorDetector,
    MarginAUCScorer,
    MarginClassifier,
    MarginSearchCV,
    MarginSubsetSelector,
    ResubstitutionSplit,
)
OWN.update({f"{made.__module__}.{made.__qualname__}": made for made in OURS})


@encode.register(LabelErrorDetector)
@encode.register(MarginAUCScorer)
@encode.register(MarginClassifier)
@encode.register(MarginSearchCV)
@encode.register(MarginSubsetSelector)
@encode.register(ResubstitutionSplit)
def _(value: Any, writer: Writer) -> Any:
    name = class_name(value)
    if name not in OWN:  # a class that a user derived from ours
        writer.name(type(value))
    if isinstance(value, MarginClassifier):
        return writer.once(value, lambda: _classifier_node(name, value, writer))
    return writer.once(value, lambda: state_node(name, value, writer))


def _classifier_node(name: str, value: MarginClassifier, writer: Writer) -> Any:
    # The net is part of the training.
    return {"classifier": state_node(name, value, writer, without=("net_",))}


@kind("classifier")
def _(node: Any, reader: Reader) -> MarginClassifier:
    found = KINDS["object"](node["object"], reader)
    if "_run" in vars(found):
        found.net_ = training_run(found).net
    return found
