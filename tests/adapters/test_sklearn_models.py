import numpy as np
import pandas as pd
import pytest
import torch
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

from margin_sklearn import margins

from .logits import logits_of

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def logistic_regression_cv():
    model = LogisticRegressionCV(Cs=2, cv=2, scoring="accuracy")
    if "use_legacy_attributes" in model.get_params():
        # Newer versions of scikit-learn warn of the defaults.
        model.set_params(use_legacy_attributes=False, l1_ratios=(0,))
    return model


LINEAR = [
    LogisticRegression(),
    LogisticRegression(fit_intercept=False),
    logistic_regression_cv(),
    LinearSVC(),
    LinearSVC(fit_intercept=False),
    LinearDiscriminantAnalysis(),
    Perceptron(),
    RidgeClassifier(),
    RidgeClassifierCV(),
    SGDClassifier(random_state=0),
]


MLPS = [
    MLPClassifier((7, 5), activation=activation, max_iter=20, random_state=0)
    for activation in ("identity", "logistic", "tanh", "relu")
]


@pytest.mark.parametrize("model", LINEAR, ids=str)
@pytest.mark.parametrize("classes", [2, 3])
def test_linear_models_give_their_decision_function(model, classes, iris):
    X, y = iris[0][iris[1] < classes], iris[1][iris[1] < classes]
    names = np.array(["c", "a", "b"])[y]
    model = model.fit(X, names)
    logits = logits_of(model, X)
    scores = model.decision_function(X)
    if classes == 2:
        np.testing.assert_array_equal(logits[:, 0], 0)
        logits = logits[:, 1]
    np.testing.assert_allclose(logits, scores, rtol=1e-10, atol=1e-10)
    assert ((margins(model, X, names) > 0) == (model.predict(X) == names)).all()


@pytest.mark.parametrize("model", MLPS, ids=lambda m: m.activation)
@pytest.mark.parametrize("classes", [2, 3])
def test_mlps_give_the_logits_of_their_probabilities(model, classes, iris):
    X, y = iris[0][iris[1] < classes], iris[1][iris[1] < classes]
    model = model.fit(X, y)
    proba = torch.from_numpy(logits_of(model, X)).softmax(dim=1)
    np.testing.assert_allclose(proba, model.predict_proba(X), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("classes", [2, 3])
def test_sparsified_coefficients_are_read(classes, iris):
    X, y = iris[0][iris[1] < classes], iris[1][iris[1] < classes]
    model = LogisticRegression().fit(X, y)
    expected = logits_of(model, X)
    np.testing.assert_array_equal(logits_of(model.sparsify(), X), expected)


@pytest.mark.parametrize("model", [LogisticRegression(), MLPClassifier((4,), max_iter=3)])
def test_input_of_any_kind(model, iris):
    X, y = iris
    expected = margins(model.fit(X.round(), y), X.round(), y)
    for given in (
        torch.tensor(X.round()).bfloat16(),
        torch.tensor(X.round(), requires_grad=True),
        pd.DataFrame(X.round()).astype("Int64"),
    ):
        np.testing.assert_array_equal(margins(model, given, y), expected)
    days = pd.DataFrame({name: pd.date_range("2000", periods=len(y)) for name in "abcd"})
    with pytest.raises(ValueError, match="Column 'a' of X holds dates or times"):
        margins(model, days, y)
