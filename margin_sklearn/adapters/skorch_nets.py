"""skorch nets as networks: how to get logits from their outputs."""

from typing import Any

import numpy as np
import skorch
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_array
from torch import nn

from ..data.rows import to_numpy
from .network import Network
from .registry import as_network, supported

__all__: list[str] = []


@as_network.register(skorch.NeuralNet)
def _from_skorch(net: Any) -> Network:
    net.check_is_fitted(["module_"])
    module, criterion = net.module_, net.criterion_
    if isinstance(criterion, nn.NLLLoss):
        # NeuralNetClassifier expects probabilities and takes their logarithm. The modules of
        # other nets return log-probabilities, which can be used as logits.
        if isinstance(net, skorch.NeuralNetClassifier):
            module = _without_softmax(module)
    elif isinstance(criterion, nn.BCEWithLogitsLoss):
        threshold = getattr(net, "threshold", 0.5)
        if threshold != 0.5:
            module = _Shifted(module, float(np.log(threshold / (1 - threshold))))
    elif not isinstance(criterion, nn.CrossEntropyLoss):
        raise TypeError(
            f"The outputs of a skorch net that was trained with {type(criterion).__name__} "
            "cannot be converted to logits. Train it with CrossEntropyLoss, NLLLoss or "
            f"BCEWithLogitsLoss. {supported()}"
        )
    parameter = next(module.parameters(), torch.empty(0))

    return Network(
        module,
        _prepared,
        _skorch_labels,
        dtype=parameter.dtype,
        device=parameter.device,
    )


def _prepared(rows: Any) -> Any:
    return check_array(to_numpy(rows), accept_sparse="csr", dtype="numeric", allow_nd=True)


def _skorch_labels(y: Any) -> NDArray[np.int64]:
    """Class indices; skorch uses the labels themselves, regardless of ``classes_``."""
    y = np.asarray(y)
    if y.dtype == bool or np.issubdtype(y.dtype, np.integer):
        return y.astype(np.int64)
    if np.issubdtype(y.dtype, np.floating) and (y == np.floor(y)).all():
        return y.astype(np.int64)
    raise ValueError(
        "The labels of a skorch net must be the positions of its outputs, 0, 1, ..., but y "
        f"holds {y[:1]} of dtype {y.dtype}. Encode y with LabelEncoder, as for fit."
    )


def _without_softmax(module: nn.Module) -> nn.Module:
    if isinstance(module, nn.Sequential) and isinstance(module[-1], nn.Softmax):
        return module[:-1]
    return _LogProbabilities(module)


class _LogProbabilities(nn.Module):
    """Logits of a module that returns probabilities: their logarithms."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        proba = self.module(x)
        proba = proba[0] if isinstance(proba, tuple) else proba
        return proba.clamp_min(torch.finfo(proba.dtype).tiny).log()


class _Shifted(nn.Module):
    """A binary logit, shifted so that the threshold for class 1 is 0."""

    def __init__(self, module: nn.Module, threshold: float) -> None:
        super().__init__()
        self.module = module
        self.threshold = threshold

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logit = self.module(x)
        return (logit[0] if isinstance(logit, tuple) else logit) - self.threshold
