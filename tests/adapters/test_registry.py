import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import (
    LogisticRegression,
    LogisticRegressionCV,
    Perceptron,
    RidgeClassifier,
    RidgeClassifierCV,
    SGDClassifier,
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
from sklearn.svm import SVC, LinearSVC
from skorch import NeuralNet, NeuralNetBinaryClassifier, NeuralNetClassifier
from torch import nn

from margin_sklearn import MarginClassifier, margins
from margin_sklearn.adapters.registry import as_network

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

LINEAR = [
    LogisticRegression(),
    LogisticRegression(fit_intercept=False),
    LogisticRegressionCV(
        Cs=2, cv=2, use_legacy_attributes=False, l1_ratios=(0,), scoring="accuracy"
    ),
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


def logits_of(estimator, X):
    network = as_network(estimator)
    with network.evaluating(), torch.no_grad():
        return network.logits(network.inputs(X)).numpy()


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


def test_margin_classifier_gives_its_decision_function(fitted, digits):
    X, y = digits
    np.testing.assert_array_equal(logits_of(fitted, X), fitted.decision_function(X))
    np.testing.assert_array_equal(margins(fitted, X, y) > 0, fitted.predict(X) == y)


def test_wrapped_estimators_are_found(digits):
    X, y = digits
    plain = StandardScaler().fit(X)
    inner = MarginClassifier(max_epochs=1, random_state=0)
    search = GridSearchCV(inner, {"lr": [1e-3]}, cv=2)
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


# --- skorch -------------------------------------------------------------------------------


class Head(nn.Module):
    def __init__(self, end, n_outputs=3):
        super().__init__()
        self.layer = nn.Linear(4, n_outputs)
        self.norm = nn.BatchNorm1d(n_outputs)
        self.end = end

    def forward(self, x):
        return self.end(self.norm(self.layer(x)))


def skorch_net(kind, end, criterion, **settings):
    torch.manual_seed(0)
    return kind(
        Head, module__end=end, criterion=criterion, train_split=None, verbose=0, **settings
    )


def drop_last(x):
    return x.squeeze(-1)


@pytest.mark.parametrize(
    ("end", "criterion"),
    [
        (nn.Identity(), nn.CrossEntropyLoss),
        (nn.Softmax(dim=1), nn.NLLLoss),
    ],
)
def test_skorch_classifiers(iris, end, criterion):
    X, y = iris[0].astype(np.float32), iris[1]
    net = skorch_net(NeuralNetClassifier, end, criterion).fit(X, y)
    np.testing.assert_array_equal(margins(net, X, y) > 0, net.predict(X) == y)
    proba = torch.from_numpy(logits_of(net, X)).softmax(dim=1)
    np.testing.assert_allclose(proba, net.predict_proba(X), atol=1e-5)
    # float64 and a DataFrame, which skorch itself would not take.
    np.testing.assert_allclose(margins(net, pd.DataFrame(iris[0]), y), margins(net, X, y))


def test_a_final_softmax_of_a_sequential_is_left_out(iris):
    X, y = iris[0].astype(np.float32), iris[1]
    module = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))
    net = NeuralNetClassifier(module, train_split=None, verbose=0, max_epochs=2).fit(X, y)
    with torch.no_grad():
        expected = net.module_[0](torch.from_numpy(X)).numpy()
    np.testing.assert_array_equal(logits_of(net, X), expected)
    assert np.isfinite(margins(net, X, y, scale="frobenius")).all()


def test_a_plain_skorch_net_of_log_probabilities(iris):
    X, y = iris[0].astype(np.float32), iris[1]
    net = skorch_net(NeuralNet, nn.LogSoftmax(dim=1), nn.NLLLoss).fit(X, y)
    np.testing.assert_array_equal(
        margins(net, X, y) > 0, net.forward(X).numpy().argmax(axis=1) == y
    )


@pytest.mark.parametrize("threshold", [0.5, 0.9])
def test_binary_skorch_nets(binary, threshold):
    X, y = binary[0][:, :4].astype(np.float32), binary[1]
    net = skorch_net(
        NeuralNetBinaryClassifier,
        drop_last,
        nn.BCEWithLogitsLoss,
        module__n_outputs=1,
        threshold=threshold,
    )
    net.fit(X, y.astype(np.float32))
    np.testing.assert_array_equal(margins(net, X, y) > 0, net.predict(X) == y)


def test_skorch_labels_are_positions(iris):
    X, y = iris[0].astype(np.float32), iris[1]
    net = skorch_net(NeuralNetClassifier, nn.Identity(), nn.CrossEntropyLoss)
    only_two = net.fit(X[y > 0], y[y > 0])
    # Labels {1, 2} with three outputs: column 1 is label 1, whatever classes_ says.
    np.testing.assert_array_equal(
        margins(only_two, X[y > 0], y[y > 0]) > 0, only_two.predict(X[y > 0]) == y[y > 0]
    )
    with pytest.raises(ValueError, match="LabelEncoder"):
        margins(net, X, y.astype(str))
    with pytest.raises(ValueError, match="label 3.*3 outputs"):
        margins(net, X, y + 1)


def test_a_skorch_net_is_left_in_the_mode_it_was_in(iris):
    X, y = iris[0].astype(np.float32), iris[1]
    net = skorch_net(NeuralNetClassifier, nn.Identity(), nn.CrossEntropyLoss).fit(X, y)
    net.module_.train()
    before = net.module_.norm.running_mean.clone()
    margins(net, X, y)
    assert net.module_.training
    assert net.module_.norm.training
    assert torch.equal(net.module_.norm.running_mean, before)


# --- all samples at once ------------------------------------------------------------------


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


@pytest.mark.parametrize("classes", [2, 3])
def test_sparsified_coefficients_are_read(classes, iris):
    X, y = iris[0][iris[1] < classes], iris[1][iris[1] < classes]
    model = LogisticRegression().fit(X, y)
    expected = logits_of(model, X)
    np.testing.assert_array_equal(logits_of(model.sparsify(), X), expected)


# --- what is not supported ----------------------------------------------------------------


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


def test_a_skorch_net_with_a_loss_that_says_nothing_of_logits(iris):
    X, y = iris[0].astype(np.float32), np.eye(3, dtype=np.float32)[iris[1]]
    net = skorch_net(NeuralNet, nn.Identity(), nn.MSELoss).fit(X, y)
    with pytest.raises(TypeError, match="MSELoss"):
        margins(net, X, iris[1])


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
    with pytest.raises(Exception, match="not initialized"):
        margins(skorch_net(NeuralNetClassifier, nn.Identity(), nn.CrossEntropyLoss), *iris)
