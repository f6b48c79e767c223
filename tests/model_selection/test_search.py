"""MarginSearchCV: one fit per candidate, cross-validation of a shortlist, the vote."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy.stats import loguniform
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    StratifiedKFold,
    cross_val_score,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from skorch.callbacks import Callback

from margin_sklearn import (
    MarginClassifier,
    MarginSearchCV,
    MarginSubsetSelector,
    ResubstitutionSplit,
    margin_auc_score,
    margins,
)
from margin_sklearn.adapters import as_network

SMALL = {"max_epochs": 3, "batch_size": 50, "random_state": 0, "device": "cpu"}
GRID = {"module__hidden_layer_sizes": [(3,), (6,)], "lr": [1e-3, 1e-2, 3e-2]}


def network(**settings):
    return MarginClassifier(**{**SMALL, **settings})


def prefixed(grid, prefix="marginclassifier"):
    return {f"{prefix}__{name}": values for name, values in grid.items()}


def pipeline():
    return make_pipeline(StandardScaler(), network())


@pytest.fixture(scope="module")
def fitted(iris):
    """A fitted search; not to be changed."""
    return MarginSearchCV(network(), GRID, vote=1).fit(*iris)


# --- the two steps -----------------------------------------------------------------------


@pytest.mark.parametrize("piped", [False, True])
def test_unstacked_scores_are_those_of_grid_searches(iris, piped):
    """To the last bit."""
    X, y = iris
    model, grid = (pipeline(), prefixed(GRID)) if piped else (network(), GRID)
    search = MarginSearchCV(model, grid, stack=False, vote=1).fit(X, y)
    once = GridSearchCV(
        model, grid, scoring=margin_auc_score, cv=ResubstitutionSplit(), refit=False
    ).fit(X, y)
    folds = GridSearchCV(model, grid, cv=5).fit(X, y)
    results, expected = search.cv_results_, folds.cv_results_
    np.testing.assert_array_equal(results["margin_auc"], once.cv_results_["mean_test_score"])
    np.testing.assert_array_equal(
        results["rank_margin_auc"], once.cv_results_["rank_test_score"]
    )
    assert results["params"] == expected["params"]
    on = results["shortlisted"]
    assert on.sum() == 5
    assert results["margin_auc"][~on].max() <= results["margin_auc"][on].min()
    columns = [f"split{fold}_test_score" for fold in range(5)]
    for name in (*columns, "mean_test_score", "std_test_score"):
        np.testing.assert_array_equal(results[name][on], expected[name][on])
        assert np.isnan(results[name][~on]).all()
    for name in expected:
        if name.startswith("param_"):
            assert results[name].dtype == expected[name].dtype
            assert (results[name] == expected[name]).all()
    winner = clone(model).set_params(**results["params"][search.best_index_]).fit(X, y)
    np.testing.assert_array_equal(search.predict_proba(X), winner.predict_proba(X))
    assert set(results["n_together"]) == {1}


def test_attributes(iris, fitted):
    X, y = iris
    results = fitted.cv_results_
    assert sorted(results["rank_test_score"]) == [1, 2, 3, 4, 5, 6]
    assert results["rank_test_score"][fitted.best_index_] == 1
    assert fitted.best_params_ == results["params"][fitted.best_index_]
    assert fitted.best_score_ == results["mean_test_score"][fitted.best_index_]
    assert fitted.n_fits_ == 6 + 5 * 5
    assert fitted.n_splits_ == 5
    assert fitted.classes_.tolist() == [0, 1, 2]
    assert fitted.n_features_in_ == 4
    assert not hasattr(fitted, "feature_names_in_")
    assert len(fitted.shortlist_estimators_) == 5
    assert fitted.shortlist_estimators_[0] is fitted.best_estimator_
    assert fitted.score(X, y) == (fitted.predict(X) == y).mean()
    assert fitted.score(X, y) == fitted.best_estimator_.score(X, y)
    for name in ("mean_fit_time", "std_fit_time", "mean_score_time", "std_score_time"):
        assert (results[name] >= 0).all()
    assert set(results["n_together"]) == {3}
    # The networks kept are the best in the final order.
    order = np.argsort(results["rank_test_score"])
    for place, estimator in zip(order, fitted.shortlist_estimators_, strict=False):
        for name, value in results["params"][place].items():
            assert estimator.get_params()[name] == value


def test_stacking_hardly_changes_the_scores(iris, fitted):
    X, y = iris
    alone = MarginSearchCV(network(), GRID, stack=False).fit(X, y)
    np.testing.assert_allclose(
        fitted.cv_results_["margin_auc"], alone.cv_results_["margin_auc"], atol=0.03
    )
    always = MarginSearchCV(network(), GRID, stack=True).fit(X, y)
    np.testing.assert_array_equal(
        fitted.cv_results_["margin_auc"], always.cv_results_["margin_auc"]
    )


def test_margin_auc_alone(iris):
    X, y = iris
    search = MarginSearchCV(network(), GRID, shortlist=None).fit(X, y)
    results = search.cv_results_
    np.testing.assert_array_equal(results["rank_test_score"], results["rank_margin_auc"])
    assert search.best_index_ == np.argmax(results["margin_auc"])
    assert np.isnan(search.best_score_)
    assert np.isnan(results["mean_test_score"]).all()
    assert not any(name.startswith("split") for name in results)
    assert not results["shortlisted"].any()
    assert search.n_fits_ == 6
    assert search.n_splits_ == 0
    assert len(search.shortlist_estimators_) == 3
    margin = margin_auc_score(search.best_estimator_, X, y)
    np.testing.assert_allclose(results["margin_auc"].max(), margin, rtol=1e-5)


def test_a_shortlist_of_all(iris):
    search = MarginSearchCV(network(), GRID, shortlist=99).fit(*iris)
    assert search.cv_results_["shortlisted"].all()
    assert search.n_fits_ == 36
    assert len(search.shortlist_estimators_) == 3


def test_candidates_may_be_drawn(iris):
    ranges = {"lr": loguniform(1e-3, 1e-1), "weight_decay": [0.0, 0.1]}
    drawn = [
        MarginSearchCV(
            network(), ranges, n_iter=4, shortlist=None, random_state=state
        ).fit(*iris).cv_results_["params"]
        for state in (0, 0, 1)
    ]  # fmt: skip
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(drawn[0]) == 4


def test_the_order_of_the_candidates_does_not_matter(iris):
    X, y = iris
    one = MarginSearchCV(network(), [{"lr": [lr]} for lr in (1e-3, 1e-2, 3e-2)], stack=False)
    other = MarginSearchCV(network(), [{"lr": [lr]} for lr in (3e-2, 1e-3, 1e-2)], stack=False)
    one.fit(X, y), other.fit(X, y)
    assert one.best_params_ == other.best_params_
    np.testing.assert_array_equal(
        one.cv_results_["margin_auc"][[2, 0, 1]], other.cv_results_["margin_auc"]
    )


@pytest.mark.parametrize("stack", [False, "auto"])
def test_workers_change_nothing(iris, stack):
    X, y = iris
    grid = {"lr": [1e-3, 1e-2, 2e-2, 3e-2]}
    one, two = (
        MarginSearchCV(network(), grid, stack=stack, n_jobs=n_jobs).fit(X, y)
        for n_jobs in (1, 2)
    )
    for name in ("margin_auc", "mean_test_score", "rank_test_score"):
        np.testing.assert_array_equal(one.cv_results_[name], two.cv_results_[name])
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))


# --- data --------------------------------------------------------------------------------


def test_pipelines_with_tables_and_labels_of_any_kind():
    X, y = load_iris(return_X_y=True, as_frame=True)
    y = y.map({0: "setosa", 1: "versicolor", 2: "virginica"})
    before = X.copy()
    search = MarginSearchCV(pipeline(), prefixed(GRID)).fit(X, y)
    assert set(search.predict(X)) <= {"setosa", "versicolor", "virginica"}
    assert search.feature_names_in_.tolist() == X.columns.tolist()
    assert search.cv_results_["n_together"].tolist() == [3] * 6
    pd.testing.assert_frame_equal(X, before)
    # Kept pipelines share no transformer: fitting one again leaves the others.
    one, other = search.shortlist_estimators_[:2]
    expected = other.predict_proba(X)
    one.fit(X * 100, y)
    np.testing.assert_array_equal(other.predict_proba(X), expected)


class Counting(StandardScaler):
    fits: list = []

    def fit(self, X, y=None, sample_weight=None):
        self.fits.append((len(X), self.with_mean))
        return super().fit(X, y, sample_weight)


def test_transformers_are_fitted_once_per_setting_and_fold(iris):
    X, y = iris
    Counting.fits.clear()
    model = make_pipeline(Counting(), network())
    grid = {**prefixed(GRID), "counting__with_mean": [True, False]}
    search = MarginSearchCV(model, grid, shortlist=12).fit(X, y)
    # On all samples, and without each of five folds, for each of two settings.
    assert sorted(Counting.fits) == sorted(
        [(150, True), (150, False)] + [(120, True), (120, False)] * 5
    )
    by_setting = search.cv_results_["param_counting__with_mean"]
    for with_mean in (True, False):
        best = search.cv_results_["margin_auc"][by_setting == with_mean].max()
        assert best > 0.3


def test_images_and_sparse_tables(images):
    X, y = images
    search = MarginSearchCV(network(max_epochs=1), {"lr": [1e-3, 1e-2]}, shortlist=None).fit(
        X, y
    )
    assert search.predict(X).shape == y.shape
    from scipy.sparse import csr_array

    flat = csr_array(X.reshape(len(X), -1))
    sparse = MarginSearchCV(network(max_epochs=1), {"lr": [1e-3, 1e-2]}, shortlist=None).fit(
        flat, y
    )
    assert sparse.cv_results_["n_together"].tolist() == [1, 1]
    np.testing.assert_allclose(
        sparse.cv_results_["margin_auc"], search.cv_results_["margin_auc"], atol=0.05
    )


def test_other_estimators(iris):
    X, y = iris
    linear = MarginSearchCV(LogisticRegression(), {"C": [0.01, 1.0]}, cv=3).fit(X, y)
    assert linear.best_params_ == {"C": 1.0}
    # Without probabilities, the winner answers.
    ridge = MarginSearchCV(RidgeClassifier(), {"alpha": [0.1, 1.0]}, cv=2).fit(X, y)
    assert ridge.decision_function(X).shape == (150, 3)
    with pytest.raises(ValueError, match="vote=2 needs probabilities, but RidgeClassifier"):
        MarginSearchCV(RidgeClassifier(), {"alpha": [1.0, 2.0]}, vote=2).fit(X, y)
    selector = MarginSubsetSelector(
        network(max_epochs=100), n_samples_to_select=0.5, separation=0.3, continue_epochs=1
    )
    search = MarginSearchCV(selector, {"estimator__lr": [1e-2, 3e-2]}, cv=2).fit(X, y)
    assert search.score(X, y) > 0.3


# --- weights, groups, routing ---------------------------------------------------------------


@pytest.mark.parametrize("stack", [False, "auto"])
def test_weights_go_to_fits_and_margins(iris, rng, stack):
    X, y = iris
    weight = rng.random(150)
    grid = {"lr": [1e-3, 1e-2]}
    search = MarginSearchCV(network(), grid, stack=stack, cv=2)
    search.fit(X, y, sample_weight=weight)
    alone = network(lr=1e-2).fit(X, y, sample_weight=weight)
    expected = margin_auc_score(alone, X, y, sample_weight=weight)
    np.testing.assert_allclose(search.cv_results_["margin_auc"][1], expected, atol=0.02)
    folds = GridSearchCV(network(), grid, cv=2).fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(
        search.cv_results_["mean_test_score"], folds.cv_results_["mean_test_score"], atol=0.03
    )
    piped = MarginSearchCV(pipeline(), prefixed(grid), stack=stack, cv=2)
    piped.fit(X, y, marginclassifier__sample_weight=weight)
    assert piped.cv_results_["n_together"].tolist() == [1 if stack is False else 2] * 2


def test_groups_go_to_the_splitter(iris):
    X, y = iris
    groups = np.arange(150) % 3
    search = MarginSearchCV(network(), {"lr": [1e-3, 1e-2]}, cv=GroupKFold(3))
    search.fit(X, y, groups=groups)
    assert search.n_splits_ == 3
    with pytest.raises(ValueError, match="groups"):
        search.fit(X, y)
    # A refused fit changes nothing.
    assert search.n_splits_ == 3


def test_metadata_routing(iris, rng):
    X, y = iris
    weight = rng.random(150)
    with sklearn.config_context(enable_metadata_routing=True):
        model = (
            network()
            .set_fit_request(sample_weight=True)
            .set_score_request(sample_weight=False)
        )
        scorer = clone(margin_auc_score).set_score_request(sample_weight=True)
        search = MarginSearchCV(
            model, {"lr": [1e-3, 1e-2]}, cv=GroupKFold(2), margin_scoring=scorer
        ).fit(X, y, sample_weight=weight, groups=np.arange(150) % 2)
    plain = MarginSearchCV(network(), {"lr": [1e-3, 1e-2]}, shortlist=None).fit(
        X, y, sample_weight=weight
    )
    np.testing.assert_allclose(
        search.cv_results_["margin_auc"], plain.cv_results_["margin_auc"], rtol=1e-6
    )


# --- the vote --------------------------------------------------------------------------


def test_the_vote_is_the_mean_of_probabilities(iris, fitted):
    X, y = iris
    vote = fitted.voting()
    kept = fitted.shortlist_estimators_
    expected = np.mean([each.predict_proba(X) for each in kept[:3]], axis=0)
    np.testing.assert_allclose(vote.predict_proba(X), expected)
    two = pickle.loads(pickle.dumps(fitted.voting(2)))
    np.testing.assert_allclose(
        two.predict_proba(X), np.mean([each.predict_proba(X) for each in kept[:2]], axis=0)
    )
    importance = permutation_importance(vote, X, y, n_repeats=2, random_state=0)
    assert importance.importances_mean.shape == (4,)
    for k in (0, 6, 1.0, True, "all"):
        with pytest.raises(ValueError, match="k must be an integer from 1 to 5"):
            fitted.voting(k)


def test_a_search_may_answer_by_its_vote(iris, fitted):
    X, y = iris
    search = MarginSearchCV(network(), GRID).fit(X, y)
    np.testing.assert_array_equal(search.predict_proba(X), fitted.voting(3).predict_proba(X))
    np.testing.assert_array_equal(search.predict(X), fitted.voting(3).predict(X))
    assert search.score(X, y) == (search.predict(X) == y).mean()
    assert search.best_params_ == fitted.best_params_
    with pytest.raises(TypeError, match="vote of 3 networks.*pass its best_estimator_"):
        as_network(search)
    assert not hasattr(search, "decision_function")
    everyone = MarginSearchCV(network(), GRID, vote=6, shortlist=None).fit(X, y)
    assert len(everyone.shortlist_estimators_) == 6
    with pytest.raises(ValueError, match="vote=7 is more than the 6 candidates"):
        MarginSearchCV(network(), GRID, vote=7).fit(X, y)


def test_margins_see_through_it(iris, fitted):
    X, y = iris
    np.testing.assert_array_equal(margins(fitted, X, y), margins(fitted.best_estimator_, X, y))
    assert margin_auc_score(fitted, X, y) == margin_auc_score(fitted.best_estimator_, X, y)


# --- failures --------------------------------------------------------------------------


def failing(lr=1e-2):
    return network(criterion="exponential", optimizer="sgd", lr=lr)


@pytest.mark.parametrize("stack", [False, "auto"])
def test_a_candidate_that_diverges_comes_last(iris, stack):
    grid = {"lr": [1e-2, 1e30, 1e-3, 2e-2, 3e-2, 5e-3]}
    search = MarginSearchCV(failing(), grid, stack=stack)
    with pytest.warns(FitFailedWarning, match=r"1 of 31 fits failed.*\n.*training diverged"):
        search.fit(*iris)
    results = search.cv_results_
    assert np.isnan(results["margin_auc"][1])
    assert results["rank_test_score"][1] == results["rank_margin_auc"][1] == 6
    assert not results["shortlisted"][1]
    with pytest.warns(FitFailedWarning):
        numeric = MarginSearchCV(failing(), grid, stack=stack, error_score=2.0).fit(*iris)
    # Whatever its score is said to be, it is not chosen.
    assert numeric.cv_results_["margin_auc"][1] == 2.0
    assert numeric.cv_results_["rank_test_score"][1] == 6
    with pytest.raises(ValueError, match="training diverged"):
        MarginSearchCV(failing(), grid, stack=stack, error_score="raise").fit(*iris)


def test_if_all_fail_it_raises_and_changes_nothing(iris, fitted):
    X, y = iris
    search = clone(fitted).fit(X, y)
    before = search.predict_proba(X)
    search.set_params(param_grid={"lr": [-1.0, -2.0]})
    with pytest.raises(ValueError, match="All 2 fits failed(.|\n)*lr must be"):
        search.fit(X, y)
    np.testing.assert_array_equal(search.predict_proba(X), before)
    with pytest.raises(ValueError, match="All 2 fits failed(.|\n)*Margins cannot be taken"):
        MarginSearchCV(RandomForestClassifier(5), {"max_depth": [1, 2]}).fit(X, y)


class Interrupting(Callback):
    """As Ctrl-C does in the second epoch of the third fit."""

    begun = 0

    def on_train_begin(self, net, **kwargs):
        type(self).begun += 1

    def on_batch_begin(self, net, **kwargs):
        if type(self).begun == 3 and len(net.history) == 2:
            raise KeyboardInterrupt


def test_an_interrupt_keeps_what_is_finished(iris):
    X, y = iris
    Interrupting.begun = 0
    model = network(callbacks=[Interrupting()])
    search = MarginSearchCV(model, {"lr": [1e-3, 1e-2, 2e-2, 3e-2]})
    with (
        pytest.warns(UserWarning, match="Training was interrupted"),
        pytest.warns(UserWarning, match="search was interrupted after 2 of 24 fits"),
    ):
        search.fit(X, y)
    assert np.isnan(search.cv_results_["margin_auc"]).tolist() == [False, False, True, True]
    assert search.n_fits_ == 2
    assert search.best_index_ in (0, 1)
    assert search.predict(X).shape == y.shape
    Interrupting.begun = 2
    first = clone(search)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(KeyboardInterrupt):
            first.fit(X, y)
    assert not hasattr(first, "cv_results_")


INVALID = [
    ({"estimator": MarginClassifier}, "estimator must be an estimator"),
    ({"param_grid": {}}, None),
    ({"param_grid": {"lr": []}}, "lr"),
    ({"param_grid": [("lr", [1])]}, "param_grid must be a dict"),
    ({"param_grid": {"learning_rate": [1]}}, "Invalid parameter 'learning_rate'"),
    ({"param_grid": {"lr": loguniform(1, 2)}}, r"param_grid\['lr'\] is a distribution"),
    ({"n_iter": 0}, "n_iter must be"),
    ({"shortlist": 0}, "shortlist must be"),
    ({"shortlist": "all"}, "shortlist must be"),
    ({"shortlist": 2.5}, "shortlist must be"),
    ({"vote": 0}, "vote must be"),
    ({"vote": None}, "vote must be"),
    ({"cv": 1}, "k-fold"),
    ({"cv": "five"}, "cv"),
    ({"scoring": "acc"}, "acc"),
    ({"scoring": ["accuracy"]}, "scoring must be one score"),
    ({"margin_scoring": "margin_auc"}, "margin_scoring must be a scorer"),
    ({"stack": "always"}, "stack must be"),
    ({"n_jobs": 0}, "n_jobs must be"),
    ({"memory": 3}, "memory must be None or the path"),
    ({"error_score": "ignore"}, "error_score must be 'raise' or a number"),
    ({"verbose": -1}, "verbose must be"),
    ({"random_state": "x"}, "random_state must be"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "message"), INVALID)
def test_invalid_parameters(iris, settings, message):
    search = MarginSearchCV(
        **{"estimator": network(), "param_grid": {"lr": [1e-3]}, **settings}
    )
    if message is None:  # one candidate without settings, as in GridSearchCV
        assert search.fit(*iris).best_params_ == {}
        return
    with pytest.raises((ValueError, TypeError), match=message):
        search.fit(*iris)
    assert not hasattr(search, "cv_results_")


def test_invalid_data(iris):
    X, y = iris
    search = MarginSearchCV(network(), {"lr": [1e-3, 1e-2]})
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        search.fit(X, y[:-1])
    with pytest.raises(ValueError, match="NaN"):
        search.fit(np.full_like(X, np.nan), y)
    with pytest.raises(ValueError, match="class"):
        search.fit(X, np.zeros(150))
    with pytest.raises((ValueError, TypeError), match="y"):
        search.fit(X, None)
    with pytest.raises(NotFittedError):
        search.predict(X)
    with pytest.raises(NotFittedError):
        search.voting()


# --- scikit-learn's habits -----------------------------------------------------------------


def test_nested_in_cross_validation_and_pipelines(iris):
    X, y = iris
    model = make_pipeline(
        StandardScaler(), MarginSearchCV(network(), {"lr": [1e-2, 3e-2]}, cv=2)
    )
    scores = cross_val_score(model, X, y, cv=StratifiedKFold(2))
    assert (scores > 0.5).all()
    assert isinstance(model, Pipeline)


def test_clone_repr_and_pickle(iris, fitted):
    X, _ = iris
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
    unfitted = clone(fitted)
    assert not hasattr(unfitted, "best_estimator_")
    assert unfitted.set_params(estimator__lr=0.5).estimator.lr == 0.5
    assert "MarginSearchCV" in repr(fitted)
    assert "MarginClassifier" in fitted._repr_html_()


def test_progress(iris, capsys):
    MarginSearchCV(network(), {"lr": [1e-3, 1e-2]}, cv=2, verbose=2).fit(*iris)
    shown = capsys.readouterr()
    assert "candidates 0, 1 on all samples: 2 trained as one" in shown.out + shown.err
    assert "6/6" in shown.err
    assert "margin_auc=" in shown.err


@pytest.mark.filterwarnings("ignore::margin_sklearn.LocalityWarning")
@parametrize_with_checks(
    [
        MarginSearchCV(
            MarginClassifier(
                module__hidden_layer_sizes=(4,), max_epochs=10, random_state=0, device="cpu"
            ),
            {"lr": [1e-2]},
            cv=2,
            shortlist=None,
            # So that the errors of the one candidate are raised.
            error_score="raise",
        )
    ],
)
def test_sklearn_checks(estimator, check):
    check(estimator)
