"""How any supported estimator is seen as one thing: inputs → logits."""

from dataclasses import replace

import numpy as np
import scipy.sparse
import skorch
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import (
    LogisticRegression,
    LogisticRegressionCV,
    Perceptron,
    RidgeClassifier,
    RidgeClassifierCV,
    SGDClassifier,
)
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC
from sklearn.utils.validation import check_array, check_is_fitted, validate_data
from torch import nn

from ..classifier.estimator import MarginClassifier
from ..data.validation import validate_labels, validate_predict
from .network import Network

__all__ = ["as_network"]

_LINEAR = (
    LinearDiscriminantAnalysis,
    LinearSVC,
    LogisticRegression,
    LogisticRegressionCV,
    Perceptron,
    RidgeClassifier,
    RidgeClassifierCV,
    SGDClassifier,
)
_SUPPORTED = (
    "MarginClassifier; a fitted skorch net trained with CrossEntropyLoss, NLLLoss or "
    "BCEWithLogitsLoss; sklearn.neural_network.MLPClassifier; the linear classifiers "
    + ", ".join(model.__name__ for model in _LINEAR)
    + "; and any of these as the last step of a Pipeline, inside a fitted search such as "
    "GridSearchCV (best_estimator_) or a fitted MarginSubsetSelector (estimator_)"
)


def as_network(estimator):
    """The network inside a fitted estimator.

    Parameters
    ----------
    estimator : estimator
        See the TypeError's text for what is supported.

    Returns
    -------
    network : Network

    Raises
    ------
    TypeError
        If the estimator holds no network that margins can be taken from.
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    """
    if isinstance(estimator, type):
        raise TypeError(f"Pass a fitted estimator, not the class {estimator.__name__}.")
    if isinstance(estimator, Pipeline):
        return _from_pipeline(estimator)
    if isinstance(estimator, FrozenEstimator):
        return as_network(estimator.estimator)
    if hasattr(estimator, "margins_") and hasattr(estimator, "estimator_"):
        # MarginSubsetSelector: it leaves out samples, never features.
        return as_network(estimator.estimator_)
    if hasattr(estimator, "best_estimator_"):
        return as_network(estimator.best_estimator_)
    if isinstance(estimator, MarginClassifier):
        return _from_margin_classifier(estimator)
    if isinstance(estimator, skorch.NeuralNet):
        return _from_skorch(estimator)
    if isinstance(estimator, MLPClassifier):
        check_is_fitted(estimator)
        return _from_sklearn(estimator, _mlp_module(estimator))
    if isinstance(estimator, _LINEAR):
        check_is_fitted(estimator)
        return _from_sklearn(estimator, _linear_module(estimator))
    if isinstance(estimator, FixedThresholdClassifier | TunedThresholdClassifierCV):
        raise TypeError(
            f"{type(estimator).__name__} predicts by a threshold of its own, which the "
            "margins of the network inside do not know: pass its estimator_."
        )
    unfitted_search = hasattr(estimator, "refit") and hasattr(estimator, "fit")
    raise TypeError(
        f"Margins cannot be taken from {type(estimator).__name__}"
        + (" that is not fitted with refit=True" if unfitted_search else "")
        + f". Supported are: {_SUPPORTED}."
    )


def _from_pipeline(pipeline):
    last = pipeline.steps[-1][1]
    if last is None or (isinstance(last, str) and last == "passthrough"):
        raise TypeError(
            "Margins cannot be taken from a Pipeline whose last step is 'passthrough'. "
            f"Supported are: {_SUPPORTED}."
        )
    network = as_network(last)
    transformers = [
        step
        for _, step in pipeline.steps[:-1]
        # imbalanced-learn's samplers have no part in prediction.
        if step is not None and step != "passthrough" and hasattr(step, "transform")
    ]

    def transform(X):
        for transformer in transformers:
            X = transformer.transform(X)
        return network.transform(X)

    return replace(network, transform=transform)


def _from_margin_classifier(estimator):
    check_is_fitted(estimator, "net_")
    return Network(
        estimator.net_.module_,
        lambda rows: validate_predict(estimator, rows),
        lambda y: validate_labels(y, estimator.classes_),
        dtype=estimator._own.input_dtype,
        device=torch.device(estimator.net_.device),
        n_threads=estimator._own.n_threads,
    )


def _from_sklearn(estimator, module):
    def prepare(rows):
        return validate_data(
            estimator, rows, reset=False, accept_sparse="csr", dtype=np.float64
        )

    return Network(
        module,
        prepare,
        lambda y: validate_labels(y, estimator.classes_),
        dtype=torch.float64,
        n_threads=1,
    )


def _linear_module(estimator):
    coef = estimator.coef_
    # After sparsify().
    coef = coef.toarray() if scipy.sparse.issparse(coef) else coef
    coef = np.atleast_2d(np.asarray(coef, dtype=np.float64))
    n_outputs = 1 if len(estimator.classes_) == 2 else len(estimator.classes_)
    if coef.shape[0] != n_outputs:
        raise TypeError(
            f"This {type(estimator).__name__} has {coef.shape[0]} outputs for "
            f"{len(estimator.classes_)} classes (a multi-label fit?); margins need one label "
            "a sample."
        )
    return _linear(coef.T, np.broadcast_to(estimator.intercept_, n_outputs))


def _mlp_module(estimator):
    if estimator.out_activation_ == "logistic" and estimator.n_outputs_ > 1:
        raise TypeError(
            "This MLPClassifier was fitted on multi-label targets; margins need one label a "
            "sample."
        )
    activation = {
        "identity": nn.Identity,
        "logistic": nn.Sigmoid,
        "relu": nn.ReLU,
        "tanh": nn.Tanh,
    }[estimator.activation]
    layers = []
    for weight, bias in zip(estimator.coefs_, estimator.intercepts_, strict=True):
        layers += [_linear(weight, bias), activation()]
    return nn.Sequential(*layers[:-1])


def _linear(weight, bias):
    """float64 layer from a weight of shape (n_inputs, n_outputs)."""
    layer = nn.Linear(weight.shape[0], weight.shape[1], dtype=torch.float64)
    with torch.no_grad():
        # A copy: torch warns of arrays that may not be written to, as joblib maps them.
        layer.weight.copy_(torch.from_numpy(np.array(weight.T)))
        layer.bias.copy_(torch.from_numpy(np.array(bias, dtype=np.float64)))
    return layer


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
            f"outputs are logits. Supported are: {_SUPPORTED}."
        )
    parameter = next(module.parameters(), torch.empty(0))

    def prepare(rows):
        if isinstance(rows, torch.Tensor):
            rows = rows.detach().cpu().numpy()
        return check_array(rows, accept_sparse="csr", dtype="numeric", allow_nd=True)

    return Network(
        module,
        prepare,
        _skorch_labels,
        dtype=parameter.dtype,
        device=parameter.device,
    )


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
