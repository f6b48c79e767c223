import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.cluster import KMeans
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import (
    LogisticRegression,
    RidgeClassifier,
)
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler, scale
from sklearn.svm import SVC
from sklearn.utils.validation import check_is_fitted
from torch import nn

from margin_sklearn import MarginClassifier, ResubstitutionSplit, margin_auc_score, margins
from margin_sklearn.adapters.network import Network
from margin_sklearn.adapters.registry import as_network
from margin_sklearn.data.validation import validate_labels

from .logits import logits_of

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_margin_classifier_gives_its_decision_function(fitted, digits):
    X, y = digits
    np.testing.assert_array_equal(logits_of(fitted, X), fitted.decision_function(X))
    np.testing.assert_array_equal(margins(fitted, X, y) > 0, fitted.predict(X) == y)


def test_wrapped_estimators_are_found(digits):
    X, y = digits
    plain = StandardScaler().fit(X)
    inner = MarginClassifier(max_epochs=1, random_state=0)
    search = GridSearchCV(inner, {"lr": ["auto"]}, cv=2)
    fitted = [
        make_pipeline(StandardScaler(), inner),
        make_pipeline(StandardScaler(), "passthrough", inner),
        GridSearchCV(make_pipeline(StandardScaler(), inner), {}, cv=2),
        RandomizedSearchCV(make_pipeline(StandardScaler(), inner), {}, n_iter=1, cv=2),
        make_pipeline(StandardScaler(), search),
        make_pipeline(make_pipeline(StandardScaler()), make_pipeline(inner)),
    ]
    expected = margins(
        inner.fit(plain.transform(X), y), plain.transform(X), y, scale="distance"
    )
    for estimator in fitted:
        estimator.fit(X, y)
        for wrapped in (estimator, FrozenEstimator(estimator)):
            np.testing.assert_allclose(
                margins(wrapped, X, y, scale="distance"), expected, rtol=1e-6
            )


def test_the_gradient_is_taken_behind_the_transformers(iris):
    X, y = iris
    # Units of the raw features must not matter once they are standardised.
    model = make_pipeline(StandardScaler(), LogisticRegression())
    units = np.array([1.0, 10.0, 1e3, 1e-4])
    a = margins(model.fit(X, y), X, y, scale="distance")
    b = margins(model.fit(X * units, y), X * units, y, scale="distance")
    np.testing.assert_allclose(a, b, rtol=1e-6)


def test_strings_and_sparse_features_go_through_the_transformers(rng):
    X = pd.DataFrame({"color": rng.choice(["red", "green", "blue"], 60), "n": range(60)})
    y = (X["color"] == "red").to_numpy()
    model = make_pipeline(OneHotEncoder(), MarginClassifier(max_epochs=2, random_state=0))
    model.fit(X, y)
    np.testing.assert_array_equal(margins(model, X, y) > 0, model.predict(X) == y)


def spread_of_all(X):
    """What is made of a sample depends on the others."""
    return (X - X.min(axis=0)) / np.ptp(X, axis=0)


def test_a_pipeline_transforms_all_samples_at_once_as_it_does_to_predict(digits):
    X, y = digits[0][:, 1:20], digits[1]
    asked = []

    def counted(X):
        asked.append(len(X))
        return np.tanh(X)

    model = make_pipeline(
        make_pipeline(FunctionTransformer(spread_of_all), "passthrough"),
        FunctionTransformer(counted),
        make_pipeline(None, StandardScaler(), LogisticRegression()),
    ).fit(X, y)
    for wrapped in (model, FrozenEstimator(model)):
        asked.clear()
        network = as_network(wrapped)
        found = network.transform(X)
        assert asked == [len(X)]
        expected = model[-1][1].transform(np.tanh(spread_of_all(X)))
        np.testing.assert_array_equal(found, expected)
        # What is left is done row by row.
        whole = network.inputs(found)
        assert torch.equal(network.inputs(found[7:9]), whole[7:9])
    asked.clear()
    np.testing.assert_array_equal(margins(model, X, y) > 0, model.predict(X) == y)
    assert asked == [len(X), len(X)]


def test_of_many_samples_each_margin_has_the_sign_of_its_prediction(rng):
    """Prepared in pieces, 258 of 30,000 had not."""
    X = rng.normal(size=(9000, 3)).cumsum(axis=0)
    y = (X[:, 0] + 10 * rng.normal(size=9000) > X[:, 1]).astype(int)
    model = make_pipeline(FunctionTransformer(scale), LogisticRegression()).fit(X, y)
    np.testing.assert_array_equal(margins(model, X, y) > 0, model.predict(X) == y)


def test_without_a_pipeline_samples_are_not_touched(fitted, digits):
    X, _ = digits
    assert as_network(fitted).transform(X) is X
    assert as_network(LogisticRegression().fit(*digits)).transform(X) is X


def test_unsupported_estimators_raise_and_list_what_is_supported(iris):
    X, y = iris
    multilabel = np.stack([y == 0, y == 1], axis=1).astype(int)
    cases = [
        RandomForestClassifier(2).fit(X, y),
        SVC().fit(X, y),
        KMeans(2, n_init=1).fit(X),
        Pipeline([("scale", StandardScaler()), ("end", "passthrough")]).fit(X, y),
        MLPClassifier((3,), max_iter=5).fit(X, multilabel),
        RidgeClassifier().fit(X, multilabel),
        GridSearchCV(LogisticRegression(), {"C": [1]}, cv=2, refit=False).fit(X, y),
        LogisticRegression,
        "network",
    ]
    for case in cases:
        with pytest.raises(TypeError, match="MarginClassifier|multi-label|fitted estimator"):
            margins(case, X, y)


@pytest.mark.parametrize(
    "model",
    [
        TunedThresholdClassifierCV(LogisticRegression(), cv=2),
        FixedThresholdClassifier(LogisticRegression(), threshold=0.9),
    ],
    ids=lambda model: type(model).__name__,
)
def test_a_threshold_of_its_own_is_refused_with_the_way_out(model, binary):
    model.fit(*binary)
    for wrapped in (model, make_pipeline(StandardScaler(), model).fit(*binary)):
        with pytest.raises(TypeError, match=f"{type(model).__name__}.*pass its estimator_"):
            margins(wrapped, *binary)
    assert margins(model.estimator_, *binary).shape == (200,)


def test_unfitted_estimators_raise(iris):
    for estimator in (
        MarginClassifier(),
        LogisticRegression(),
        MLPClassifier(),
        make_pipeline(StandardScaler(), MarginClassifier()),
    ):
        with pytest.raises(NotFittedError):
            margins(estimator, *iris)
    with pytest.raises(TypeError, match="not fitted with refit=True"):
        margins(GridSearchCV(LogisticRegression(), {"C": [1]}), *iris)


# --- estimators of other packages ----------------------------------------------------------


class Centroids(ClassifierMixin, BaseEstimator):
    """A classifier by the distances to the class means, unknown to margin_sklearn."""

    def __init__(self, shrinkage=0.0):
        self.shrinkage = shrinkage

    def fit(self, X, y):
        self.classes_, class_index = np.unique(y, return_inverse=True)
        means = np.stack([X[class_index == k].mean(axis=0) for k in range(len(self.classes_))])
        self.means_ = means * (1 - self.shrinkage)
        return self

    def decision_function(self, X):
        return X @ self.means_.T - (self.means_**2).sum(axis=1) / 2

    def predict(self, X):
        return self.classes_[self.decision_function(X).argmax(axis=1)]


class Registered(Centroids):
    """The same, registered."""


@as_network.register(Registered)
def _(estimator):
    check_is_fitted(estimator)
    module = nn.Linear(*estimator.means_.shape[::-1], dtype=torch.float64)
    with torch.no_grad():
        module.weight.copy_(torch.as_tensor(estimator.means_))
        module.bias.copy_(torch.as_tensor(-(estimator.means_**2).sum(axis=1) / 2))
    return Network(
        module,
        prepare=lambda rows: np.asarray(rows, dtype=np.float64),
        encode=lambda y: validate_labels(y, estimator.classes_),
        dtype=torch.float64,
    )


def expected_margins(estimator, X, y):
    logits = estimator.decision_function(X)
    own = np.eye(logits.shape[1], dtype=bool)[np.searchsorted(estimator.classes_, y)]
    return logits[own] - np.where(own, -np.inf, logits).max(axis=1)


@pytest.mark.parametrize("wrap", [lambda e: e, FrozenEstimator], ids=["alone", "frozen"])
def test_a_registered_estimator_has_margins(iris, wrap):
    X, names = iris[0], np.array(["c", "a", "b"])[iris[1]]
    estimator = Registered().fit(X, names)
    np.testing.assert_allclose(
        margins(wrap(estimator), X, names), expected_margins(estimator, X, names)
    )


def test_a_registered_estimator_works_in_a_pipeline(iris):
    X, y = iris
    pipeline = make_pipeline(StandardScaler(), Registered()).fit(X * 7 + 3, y)
    expected = expected_margins(pipeline[-1], pipeline[:-1].transform(X * 7 + 3), y)
    np.testing.assert_allclose(margins(pipeline, X * 7 + 3, y), expected)
    assert margin_auc_score(pipeline, X * 7 + 3, y) == pytest.approx(
        margin_auc_score(Registered().fit(X, y), X, y)
    )


def test_a_registered_estimator_works_in_a_search(iris):
    X, y = iris
    grid = {"shrinkage": [0.0, 0.5, 0.9]}
    search = GridSearchCV(
        Registered(), grid, scoring=margin_auc_score, cv=ResubstitutionSplit()
    ).fit(X, y)
    by_hand = [
        margin_auc_score(Registered(value).fit(X, y), X, y) for value in grid["shrinkage"]
    ]
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], by_hand)
    assert len(set(by_hand)) == 3
    assert margin_auc_score(search, X, y) == max(by_hand)
    np.testing.assert_allclose(
        margins(search, X, y), expected_margins(search.best_estimator_, X, y)
    )


def test_a_registered_estimator_is_listed_as_supported(iris):
    with pytest.raises(TypeError, match=r"from Centroids\. Supported are .*Registered"):
        margins(Centroids().fit(*iris), *iris)
    with pytest.raises(NotFittedError):
        margins(Registered(), *iris)


@pytest.mark.parametrize("call", [margins, margin_auc_score])
def test_attributes_of_a_selector_do_not_make_an_estimator_a_network(iris, call):
    X, y = iris
    stranger = Centroids().fit(X, y)
    stranger.margins_ = np.ones(len(y))
    stranger.estimator_ = LogisticRegression().fit(X, y)
    stranger.net_ = stranger.module_ = nn.Linear(4, 3)
    for estimator in (stranger, make_pipeline(StandardScaler(), stranger)):
        with pytest.raises(TypeError, match="taken from Centroids"):
            call(estimator, X, y)
