"""A search whose networks are trained as one."""

import gc
import warnings
import weakref

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import loguniform, uniform
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.exceptions import FitFailedWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from skorch.callbacks import Callback

from margin_sklearn import (
    MarginClassifier,
    MarginSearchCV,
    margin_auc_score,
    margins,
)

SMALL = {"max_epochs": 3, "batch_size": 50, "random_state": 0, "device": "cpu"}
GRID = {"module__hidden_layer_sizes": [(3,), (6,)], "lr": [5e-4, 1e-3, 2e-3]}


def network(**settings):
    return MarginClassifier(**{**SMALL, **settings})


def prefixed(grid):
    return {f"marginclassifier__{name}": values for name, values in grid.items()}


def check_alike(one, other, names=("margin_auc", "mean_test_score")):
    """Adam takes rounding for steps of the learning rate where a gradient is 0."""
    for name in names:
        np.testing.assert_allclose(one.cv_results_[name], other.cv_results_[name], atol=0.03)


@pytest.mark.parametrize("piped", [False, True])
def test_stacking_hardly_changes_the_scores(iris, piped):
    X, y = iris
    model, grid = network(), GRID
    if piped:
        model, grid = make_pipeline(StandardScaler(), PCA(3), network()), prefixed(GRID)
    stacked, alone = (
        MarginSearchCV(model, grid, shortlist=6, stack=stack).fit(X, y)
        for stack in ("auto", False)
    )
    assert stacked.cv_results_["n_together"].tolist() == [3] * 6
    assert alone.cv_results_["n_together"].tolist() == [1] * 6
    check_alike(stacked, alone)
    always = MarginSearchCV(model, grid, shortlist=6, stack=True).fit(X, y)
    for name in ("margin_auc", "mean_test_score"):
        np.testing.assert_array_equal(always.cv_results_[name], stacked.cv_results_[name])


def test_the_default_network_is_stacked(iris):
    search = MarginSearchCV(
        MarginClassifier(random_state=0, max_epochs=2, device="cpu"),
        {"lr": loguniform(1e-3, 1e-1), "module__dropout": uniform(0.1, 0.3)},
        n_iter=6,
        random_state=0,
        cv=2,
    ).fit(*iris)
    assert search.cv_results_["n_together"].tolist() == [6] * 6


def test_workers_change_nothing(iris):
    X, y = iris
    grid = {"lr": [1e-3, 2e-3, 3e-3, 4e-3]}
    one, two = (MarginSearchCV(network(), grid, n_jobs=n).fit(X, y) for n in (1, 2))
    for name in ("margin_auc", "mean_test_score", "rank_test_score"):
        np.testing.assert_array_equal(one.cv_results_[name], two.cv_results_[name])
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))


class Counting(StandardScaler):
    fits: list = []

    def fit(self, X, y=None, sample_weight=None):
        self.fits.append((len(X), self.with_mean))
        return super().fit(X, y, sample_weight)


def test_transformers_are_fitted_once_per_setting_and_fold(iris):
    Counting.fits.clear()
    model = make_pipeline(Counting(), network())
    grid = {**prefixed(GRID), "counting__with_mean": [True, False]}
    MarginSearchCV(model, grid, shortlist=12).fit(*iris)
    # On all samples, and without each of five folds, for each of two settings.
    expected = [(150, True), (150, False)] + [(120, True), (120, False)] * 5
    assert sorted(Counting.fits) == sorted(expected)


def test_kept_pipelines_share_no_transformer(iris):
    X, y = iris
    model = make_pipeline(StandardScaler(), network())
    search = MarginSearchCV(model, prefixed(GRID)).fit(X, y)
    one, other = search.shortlist_estimators_[:2]
    expected = other.predict_proba(X)
    one.fit(X * 100 + 7, y)
    np.testing.assert_array_equal(other.predict_proba(X), expected)


def test_tables_with_categories(rng):
    X = pd.DataFrame({"a": rng.normal(size=120), "b": rng.choice(["x", "y"], 120)})
    X["c"] = rng.normal(size=120)
    y = np.where(X["a"] + (X["b"] == "x") + 0.2 * X["c"] > 0.5, "yes", "no")
    before = X.copy()
    columns = ColumnTransformer(
        [("numbers", StandardScaler(), ["a", "c"]), ("codes", OneHotEncoder(), ["b"])]
    )
    model = make_pipeline(columns, network(max_epochs=8))
    search = MarginSearchCV(model, prefixed({"lr": [1e-2, 3e-2]}), cv=3).fit(X, y)
    assert search.score(X, y) > 0.7
    assert search.feature_names_in_.tolist() == ["a", "b", "c"]
    assert search.cv_results_["n_together"].tolist() == [2, 2]
    pd.testing.assert_frame_equal(X, before)


def test_weights(iris, rng):
    X, y = iris
    weight = rng.random(150)
    grid = {"lr": [1e-3, 2e-3]}
    stacked, alone = (
        MarginSearchCV(network(), grid, stack=stack, cv=2).fit(X, y, sample_weight=weight)
        for stack in ("auto", False)
    )
    assert stacked.cv_results_["n_together"].tolist() == [2, 2]
    check_alike(stacked, alone)
    model = make_pipeline(StandardScaler(), network())
    piped = MarginSearchCV(model, prefixed(grid), cv=2)
    piped.fit(X, y, marginclassifier__sample_weight=weight)
    assert piped.cv_results_["n_together"].tolist() == [2, 2]


def test_a_candidate_that_diverges_touches_no_other(iris):
    X, y = iris
    model = network(criterion="exponential", optimizer="sgd")
    grid = {"lr": [1e-2, 1e30, 1e-3]}
    with pytest.warns(FitFailedWarning, match="training diverged"):
        search = MarginSearchCV(model, grid, cv=2).fit(X, y)
    results = search.cv_results_
    assert results["n_together"].tolist() == [3] * 3
    assert np.isnan(results["margin_auc"]).tolist() == [False, True, False]
    assert results["rank_test_score"][1] == 3
    for place in (0, 2):
        alone = clone(model).set_params(lr=grid["lr"][place]).fit(X, y)
        expected = margin_auc_score(alone, X, y)
        np.testing.assert_allclose(results["margin_auc"][place], expected, atol=1e-4)
    with pytest.raises(ValueError, match="training diverged"):
        MarginSearchCV(model, grid, error_score="raise").fit(X, y)


class Silent(Callback):
    pass


def test_candidates_that_cannot_be_stacked_are_fitted_alone(iris):
    grid = [
        {"lr": [1e-3, 2e-3]},
        {"callbacks": [[Silent()]]},
        {"restore_best": ["margin_auc"]},
    ]
    search = MarginSearchCV(network(), grid, cv=2).fit(*iris)
    assert search.cv_results_["n_together"].tolist() == [2, 2, 1, 1]


def test_kept_networks_are_fitted_estimators(iris):
    X, y = iris
    search = MarginSearchCV(network(warm_start=True), {"lr": [1e-3, 2e-3]}, cv=2).fit(X, y)
    one, other = search.shortlist_estimators_
    expected = other.predict_proba(X)
    assert one.n_iter_ == 3
    assert margins(one, X, y).shape == (150,)
    one.partial_fit(X, y).fit(X, y)
    assert one.n_iter_ == 7
    np.testing.assert_array_equal(other.predict_proba(X), expected)


def test_a_search_says_what_was_stacked(iris, capsys):
    MarginSearchCV(network(), {"lr": [1e-3, 1e-2]}, cv=2, verbose=2).fit(*iris)
    assert "2 trained as one" in capsys.readouterr().out


def test_few_epochs_give_no_warnings(iris):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MarginSearchCV(network(), {"lr": [1e-3, 2e-3]}, cv=2).fit(*iris)


def test_networks_that_are_not_kept_are_freed(iris):
    alive = []

    def score(estimator, X, y):
        alive.append(weakref.ref(estimator.net_.module_))
        if len(alive) in (27, 40):  # collecting takes a second
            gc.collect()
            counts.append(sum(each() is not None for each in alive))
        return estimator.score(X, y)

    counts = []
    model = network(max_epochs=1)
    grid = {"lr": np.linspace(1e-3, 2e-3, 40).tolist()}
    search = MarginSearchCV(model, grid, shortlist=None, margin_scoring=score).fit(*iris)
    assert search.cv_results_["n_together"].max() <= 16
    # The seven best, and two groups.
    assert len(counts) == 2
    assert max(counts) <= 7 + 2 * 14


def doubled(X):
    return 2 * X


def doubled_in_place(X):
    X *= 2
    return X


@pytest.mark.parametrize("stack", ["auto", False])
@pytest.mark.parametrize("n_jobs", [None, 2])
@pytest.mark.parametrize("kind", ["copy=False", "function"])
def test_transformers_may_write_into_their_input(iris, stack, n_jobs, kind):
    """Every fit and every score has samples of its own, as in GridSearchCV."""
    X, y = iris
    given = X.copy()
    if kind == "function":
        steps = (
            FunctionTransformer(doubled_in_place),
            FunctionTransformer(doubled),
        )
    else:
        steps = StandardScaler(copy=False), StandardScaler()
    searches = [
        MarginSearchCV(
            make_pipeline(step, network()),
            {"marginclassifier__lr": [3e-3, 1e-2, 3e-2, 1e-1]},
            cv=2,
            shortlist=2,
            stack=stack,
            n_jobs=n_jobs,
        ).fit(X, y)
        for step in steps
    ]
    np.testing.assert_array_equal(X, given)
    in_place, copied = searches
    for name in ("margin_auc", "split0_test_score", "split1_test_score"):
        np.testing.assert_array_equal(in_place.cv_results_[name], copied.cv_results_[name])
    if kind == "copy=False":
        np.testing.assert_array_equal(
            in_place.predict_proba(X.copy()), copied.predict_proba(X.copy())
        )


def tied(input_shape, n_classes):
    layers = [torch.nn.Linear(4, 4), torch.nn.ReLU(), torch.nn.Linear(4, 4)]
    layers[2].weight = layers[0].weight
    return torch.nn.Sequential(*layers, torch.nn.Linear(4, n_classes))


def in_place_first(input_shape, n_classes):
    return torch.nn.Sequential(torch.nn.ReLU(inplace=True), torch.nn.Linear(4, n_classes))


@pytest.mark.parametrize("module", [tied, in_place_first])
@pytest.mark.parametrize("stack", ["auto", True])
def test_modules_that_ordinary_fits_take(iris, module, stack):
    X, y = iris
    model = network().set_params(module=module, optimizer="sgd")
    stacked, alone = (
        MarginSearchCV(model, {"lr": [1e-2, 2e-2, 5e-2]}, cv=2, stack=each).fit(X, y)
        for each in (stack, False)
    )
    check_alike(stacked, alone)
