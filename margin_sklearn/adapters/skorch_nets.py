"""skorch nets as networks: which of their outputs are logits."""

import numpy as np
import skorch
import torch
from sklearn.utils.validation import check_array
from torch import nn

from ..data.rows import to_numpy
from .network import Network
from .registry import as_network, supported

__all__: list[str] = []


@as_network.register(skorch.NeuralNet)
def _from_skorch(net):
    net.check_is_fitted(["module_"])
    module, criterion = net.module_, net.criterion_
    if isinstance(criterion, nn.NLLLoss):
        # NeuralNetClassifier takes the logarithm itself; elsewhere the module has done it,
        # and log-probabilities are logits already.
        if isinstance(net, skorch.NeuralNetClassifier):
            module = _without_softmax(module)
    elif isinstance(criterion, nn.BCEWithLogitsLoss):
        threshold = getattr(net, "threshold", 0.5)
        if threshold != 0.5:
            module = _Shifted(module, float(np.log(threshold / (1 - threshold))))
    elif not isinstance(criterion, nn.CrossEntropyLoss):
        raise TypeError(
            f"A skorch net trained with {type(criterion).__name__} does not say which of its "
            "outputs are logits: train it with CrossEntropyLoss, NLLLoss or "
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


def _prepared(rows):
    return check_array(to_numpy(rows), accept_sparse="csr", dtype="numeric", allow_nd=True)


def _skorch_labels(y):
    """skorch uses labels as positions of the outputs, whatever ``classes_`` says."""
    y = np.asarray(y)
    if y.dtype == bool or np.issubdtype(y.dtype, np.integer):
        return y.astype(np.int64)
    if np.issubdtype(y.dtype, np.floating) and (y == np.floor(y)).all():
        return y.astype(np.int64)
    raise ValueError(
        f"A skorch net knows labels only as positions of its outputs, 0, 1, ...; y holds "
        f"{y[:1]} of dtype {y.dtype}. Encode y with LabelEncoder as for fitting."
    )


def _without_softmax(module):
    if isinstance(module, nn.Sequential) and isinstance(module[-1], nn.Softmax):
        return module[:-1]
    return _LogProbabilities(module)


class _LogProbabilities(nn.Module):
    """Logits of a module that gives probabilities: their logarithms."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        proba = self.module(x)
        proba = proba[0] if isinstance(proba, tuple) else proba
        return proba.clamp_min(torch.finfo(proba.dtype).tiny).log()


class _Shifted(nn.Module):
    """A binary logit whose threshold is not 0."""

    def __init__(self, module, threshold):
        super().__init__()
        self.module = module
        self.threshold = threshold

    def forward(self, x):
        logit = self.module(x)
        return (logit[0] if isinstance(logit, tuple) else logit) - self.threshold
