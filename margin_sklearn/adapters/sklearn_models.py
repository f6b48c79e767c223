"""scikit-learn's linear classifiers and its MLPClassifier as networks."""

from typing import Any

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import (
    LogisticRegression,
    LogisticRegressionCV,
    Perceptron,
    RidgeClassifier,
    RidgeClassifierCV,
    SGDClassifier,
)
from sklearn.neural_network import MLPClassifier
from sklearn.svm import LinearSVC
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import nn

from ..data.columns import refuse_dates
from ..data.rows import to_numpy
from ..data.validation import validate_labels
from ..nn.layer_kinds import ACTIVATIONS
from .network import Network
from .registry import as_network

__all__ = ["LINEAR_MODELS"]

LINEAR_MODELS = (
    LinearDiscriminantAnalysis,
    LinearSVC,
    LogisticRegression,
    LogisticRegressionCV,
    Perceptron,
    RidgeClassifier,
    RidgeClassifierCV,
    SGDClassifier,
)


def _from_linear(estimator: Any) -> Network:
    check_is_fitted(estimator)
    return _from_sklearn(estimator, _linear_module(estimator))


for _model in LINEAR_MODELS:
    as_network.register(_model, _from_linear)


@as_network.register(MLPClassifier)
def _from_mlp(estimator: Any) -> Network:
    check_is_fitted(estimator)
    return _from_sklearn(estimator, _mlp_module(estimator))


def _from_sklearn(estimator: Any, module: nn.Module) -> Network:
    def prepare(rows: Any) -> Any:
        refuse_dates(rows)
        rows = to_numpy(rows)
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


def _linear_module(estimator: Any) -> nn.Linear:
    coef = estimator.coef_
    # The coefficients are sparse after sparsify().
    coef = coef.toarray() if scipy.sparse.issparse(coef) else coef
    coef = np.atleast_2d(np.asarray(coef, dtype=np.float64))
    n_outputs = 1 if len(estimator.classes_) == 2 else len(estimator.classes_)
    if coef.shape[0] != n_outputs:
        raise TypeError(
            f"This {type(estimator).__name__} has {coef.shape[0]} outputs for "
            f"{len(estimator.classes_)} classes (was it a multi-label fit?), but margins need "
            "one label per sample. Fit it on a 1-D y."
        )
    return _linear(coef.T, np.broadcast_to(estimator.intercept_, n_outputs))


def _mlp_module(estimator: Any) -> nn.Sequential:
    if estimator.out_activation_ == "logistic" and estimator.n_outputs_ > 1:
        raise TypeError(
            "This MLPClassifier was fitted on multi-label targets, but margins need one label "
            "per sample. Fit it on a 1-D y."
        )
    # scikit-learn calls the sigmoid function logistic.
    name = {"logistic": "sigmoid"}.get(estimator.activation, estimator.activation)
    activation = nn.Identity if name == "identity" else ACTIVATIONS[name]
    layers: list[nn.Module] = []
    for weight, bias in zip(estimator.coefs_, estimator.intercepts_, strict=True):
        layers += [_linear(weight, bias), activation()]
    return nn.Sequential(*layers[:-1])


def _linear(weight: NDArray[Any], bias: NDArray[Any]) -> nn.Linear:
    """Linear layer in float64 from a weight of shape (n_inputs, n_outputs)."""
    layer = nn.Linear(weight.shape[0], weight.shape[1], dtype=torch.float64)
    with torch.no_grad():
        # Copied because torch warns about read-only arrays, such as joblib's memory maps.
        layer.weight.copy_(torch.from_numpy(np.array(weight.T)))
        layer.bias.copy_(torch.from_numpy(np.array(bias, dtype=np.float64)))
    return layer
