"""MarginSearchCV: the same numbers as scikit-learn's searches, and what it adds to them."""

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from scipy.stats import loguniform
from sklearn.base import clone, is_classifier
from sklearn.decomposition import KernelPCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    RandomizedSearchCV,
    ShuffleSplit,
    cross_val_score,
)
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from skorch import NeuralNetClassifier

from margin_sklearn import (
    ConvNet,
    MarginClassifier,
    MarginSearchCV,
    MarginSubsetSelector,
    ResubstitutionSplit,
    make_margin_auc_scorer,
    margin_auc_score,
    margins,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SAMPLES = make_margin_auc_scorer()


def network(**settings):
    given = {"module__hidden_layer_sizes": (8,), "max_epochs": 2, "device": "cpu"}
    return MarginClassifier(**{**given, "random_state": 0, **settings})


GRID = {"lr": [1e-4, 1e-2], "module__hidden_layer_sizes": [(4,), (8,), (8, 4)]}
LINEAR_GRID = {"C": [1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0]}


def linear_search(**settings):
    given = {"shortlist": 2, "cv": 3, "margin_scoring": SAMPLES}
    return MarginSearchCV(LogisticRegression(), LINEAR_GRID, **{**given, **settings})


@pytest.fixture(scope="module")
def searched(iris):
    """A fitted search of six networks, two of them cross-validated; not to be changed."""
    settings = {"shortlist": 2, "cv": 3, "vote": 1, "stack": False}
    return MarginSearchCV(network(), GRID, **settings).fit(*iris)


def check_equals_grid_search(search, X, y, **params):
    """Margin-AUC and cross-validated scores are those of two searches of scikit-learn."""
    results = search.cv_results_
    grid = search.param_grid
    once = GridSearchCV(
        search.estimator,
        grid,
        scoring=search.margin_scoring,
        cv=ResubstitutionSplit(),
        refit=False,
    ).fit(X, y, **{name: value for name, value in params.items() if name != "groups"})
    assert results["params"] == once.cv_results_["params"]
    np.testing.assert_array_equal(results["margin_auc"], once.cv_results_["mean_test_score"])
    best = [
        {name: [value] for name, value in results["params"][i].items()}
        for i in np.flatnonzero(results["shortlisted"])
    ]
    if not best:
        return
    final = GridSearchCV(search.estimator, best, cv=search.cv, scoring=search.scoring)
    final.fit(X, y, **params)
    for name, values in final.cv_results_.items():
        if name.endswith("_test_score") and not name.startswith("rank"):
            np.testing.assert_array_equal(results[name][results["shortlisted"]], values)
            assert np.isnan(results[name][~results["shortlisted"]]).all()
    # The final order is by both scores, but a shortlist of one has no choice.
    if len(best) == 1:
        assert search.best_params_ == final.best_params_
        assert search.best_score_ == final.best_score_


def test_results_are_bit_for_bit_those_of_grid_search(iris, searched):
    check_equals_grid_search(searched, *iris)


@pytest.mark.parametrize("shortlist", ["auto", None, 1, 100])
def test_results_of_linear_models_are_those_of_grid_search(binary, shortlist):
    X, y = binary
    search = linear_search(shortlist=shortlist, scoring="roc_auc").fit(X, y)
    check_equals_grid_search(search, X, y)
    n = {"auto": 5, None: 0, 1: 1, 100: 6}[shortlist]
    assert search.cv_results_["shortlisted"].sum() == n
    assert search.n_fits_ == 6 + 3 * n
    assert search.n_splits_ == (3 if n else 0)


def test_results_of_a_data_frame_are_those_of_grid_search(iris):
    X, y = iris
    X = pd.DataFrame(X, columns=list("abcd")) * [1, 10, 1e3, 1e-3]
    y = pd.Series(y).map({0: "no", 1: "yes", 2: "maybe"})
    model = make_pipeline(StandardScaler(), network())
    grid = {
        "standardscaler": [StandardScaler(), MinMaxScaler()],
        "marginclassifier__lr": [1e-3, 1e-2],
    }
    search = MarginSearchCV(model, grid, shortlist=1, cv=2, stack=False).fit(X, y)
    once = GridSearchCV(model, grid, scoring=margin_auc_score, cv=ResubstitutionSplit())
    np.testing.assert_array_equal(
        search.cv_results_["margin_auc"], once.fit(X, y).cv_results_["mean_test_score"]
    )
    assert set(search.predict(X)) <= {"no", "yes", "maybe"}
    assert search.feature_names_in_.tolist() == list("abcd")
    assert search.n_features_in_ == 4
    assert search.classes_.tolist() == ["maybe", "no", "yes"]


def test_columns_of_parameters_are_those_of_grid_search(binary):
    grid = [
        {"C": [0.1, 1.0], "class_weight": [None, "balanced"]},
        {"tol": [1e-3], "max_iter": [10, 20]},
        {"class_weight": [{0: 1, 1: 2}]},
    ]
    search = MarginSearchCV(
        LogisticRegression(), grid, shortlist=None, margin_scoring=SAMPLES
    ).fit(*binary)
    theirs = GridSearchCV(
        LogisticRegression(), grid, scoring=SAMPLES, cv=ResubstitutionSplit()
    ).fit(*binary)
    for name, column in theirs.cv_results_.items():
        if name.startswith("param"):
            ours = search.cv_results_[name]
            assert list(ours) == list(column)
            if name != "params":
                np.testing.assert_array_equal(ours.mask, column.mask)
                assert ours.dtype == column.dtype


def test_order_and_ranks(searched, iris):
    results = searched.cv_results_
    n = len(results["params"])
    rank, by_margin = results["rank_test_score"], results["rank_margin_auc"]
    assert sorted(rank) == sorted(by_margin) == list(range(1, n + 1))
    assert results["shortlisted"].tolist() == (by_margin <= 2).tolist()
    assert set(rank[results["shortlisted"]]) == {1, 2}
    assert rank[searched.best_index_] == 1
    assert searched.best_params_ == results["params"][searched.best_index_]
    assert searched.best_score_ == results["mean_test_score"][searched.best_index_]
    off = ~results["shortlisted"]
    np.testing.assert_array_equal(np.argsort(rank[off]), np.argsort(by_margin[off]))
    for name in ("mean_fit_time", "mean_score_time", "std_fit_time", "std_score_time"):
        assert (results[name] >= 0).all()
    assert pd.DataFrame(results).shape[0] == n


def test_without_a_shortlist_margin_auc_decides(binary):
    search = linear_search(shortlist=None).fit(*binary)
    results = search.cv_results_
    np.testing.assert_array_equal(results["rank_test_score"], results["rank_margin_auc"])
    assert search.best_index_ == np.argmax(results["margin_auc"])
    assert np.isnan(search.best_score_)
    assert np.isnan(results["mean_test_score"]).all()
    assert len(search.shortlist_estimators_) == 3


def test_the_winner_is_the_same_as_fitted_by_hand(searched, iris):
    X, y = iris
    by_hand = network(**searched.best_params_).fit(X, y)
    np.testing.assert_array_equal(searched.predict_proba(X), by_hand.predict_proba(X))
    np.testing.assert_array_equal(searched.predict(X), by_hand.predict(X))
    np.testing.assert_array_equal(searched.predict_log_proba(X), by_hand.predict_log_proba(X))
    np.testing.assert_array_equal(searched.decision_function(X), by_hand.decision_function(X))
    assert searched.score(X, y) == by_hand.score(X, y)
    assert searched.best_estimator_ is searched.shortlist_estimators_[0]
    searched_again = pickle.loads(pickle.dumps(searched))
    np.testing.assert_array_equal(searched_again.predict_proba(X), by_hand.predict_proba(X))
    np.testing.assert_array_equal(margins(searched, X, y), margins(by_hand, X, y))


def test_the_order_of_the_candidates_does_not_matter(iris):
    X, y = iris
    grids = [
        {name: [value] for name, value in {"lr": lr}.items()} for lr in (1e-4, 1e-3, 1e-2)
    ]
    there = MarginSearchCV(network(), grids, shortlist=2, cv=2).fit(X, y)
    back = MarginSearchCV(network(), grids[::-1], shortlist=2, cv=2).fit(X, y)
    for name in ("margin_auc", "mean_test_score", "rank_test_score", "shortlisted"):
        np.testing.assert_array_equal(there.cv_results_[name], back.cv_results_[name][::-1])
    assert there.best_params_ == back.best_params_
    np.testing.assert_array_equal(there.predict_proba(X), back.predict_proba(X))


def test_two_processes_give_the_same_numbers(iris, searched):
    X, y = iris
    two = clone(searched).set_params(n_jobs=2).fit(X, y)
    for name, values in searched.cv_results_.items():
        if not name.endswith("time"):
            np.testing.assert_array_equal(two.cv_results_[name], values)
    np.testing.assert_array_equal(two.predict_proba(X), searched.predict_proba(X))


def test_a_backend_without_generators(binary):
    import joblib

    one = linear_search().fit(*binary)
    with joblib.parallel_config("multiprocessing"):
        two = linear_search(n_jobs=2).fit(*binary)
    np.testing.assert_array_equal(one.cv_results_["margin_auc"], two.cv_results_["margin_auc"])


# --- fit params -------------------------------------------------------------------------


def test_weights_go_to_fits_and_scores(binary, rng):
    X, y = binary
    weight = rng.uniform(size=len(y))
    search = linear_search().fit(X, y, sample_weight=weight)
    check_equals_grid_search(search, X, y, sample_weight=weight)
    best = search.best_estimator_
    np.testing.assert_array_equal(
        best.coef_, clone(best).fit(X, y, sample_weight=weight).coef_
    )
    at_best = search.cv_results_["margin_auc"][search.best_index_]
    assert at_best == SAMPLES(best, X, y, sample_weight=weight) != SAMPLES(best, X, y)
    # A list, and a weight of one number, which is not sliced.
    listed = linear_search().fit(X, y, sample_weight=weight.tolist())
    np.testing.assert_array_equal(
        listed.cv_results_["mean_test_score"], search.cv_results_["mean_test_score"]
    )


def test_weights_and_groups_of_any_kind(binary, rng):
    X, y = binary
    weight, groups = rng.integers(1, 4, len(y)), rng.integers(10, size=len(y))

    def scores(weight, groups):
        search = linear_search(cv=GroupKFold(3), scoring="accuracy")
        search.fit(X, y, sample_weight=weight, groups=groups)
        return search.cv_results_["mean_test_score"]

    expected = scores(weight, groups)
    tensor = torch.tensor(weight * 1.0, requires_grad=True)
    np.testing.assert_array_equal(scores(tensor, torch.tensor(groups).bfloat16()), expected)
    np.testing.assert_array_equal(
        scores([*weight], [f"{group}" for group in groups]), expected
    )
    with pytest.raises(ValueError, match="groups has .* masked entries"):
        scores(weight, np.ma.masked_equal(groups, 1))


def test_weights_of_a_step_of_a_pipeline(binary, rng):
    X, y = binary
    weight = rng.uniform(size=len(y))
    model = make_pipeline(StandardScaler(), LogisticRegression())
    grid = {"logisticregression__C": [0.1, 1.0]}
    search = MarginSearchCV(model, grid, cv=3, margin_scoring=SAMPLES)
    search.fit(X, y, logisticregression__sample_weight=weight)
    check_equals_grid_search(search, X, y, logisticregression__sample_weight=weight)


def test_a_score_without_weights_warns(binary):
    X, y = binary

    def score(estimator, X, y):
        return SAMPLES(estimator, X, y)

    with pytest.warns(UserWarning, match="margin_scoring=.* does not take sample_weight"):
        linear_search(margin_scoring=score).fit(X, y, sample_weight=np.ones(len(y)))


def test_groups_go_to_the_splitter(binary):
    X, y = binary
    groups = np.arange(len(y)) % 7
    search = linear_search(cv=GroupKFold(3)).fit(X, y, groups=groups)
    check_equals_grid_search(search, X, y, groups=groups)
    with pytest.raises(ValueError, match="groups"):
        linear_search(cv=GroupKFold(3)).fit(X, y)


def test_metadata_routing(binary, rng):
    import sklearn

    X, y = binary
    weight, groups = rng.uniform(size=len(y)), np.arange(len(y)) % 8
    with sklearn.config_context(enable_metadata_routing=True):
        model = LogisticRegression().set_fit_request(sample_weight=True)
        model.set_score_request(sample_weight=False)
        scoring = make_margin_auc_scorer().set_score_request(sample_weight=True)
        search = MarginSearchCV(
            model, LINEAR_GRID, cv=GroupKFold(3), margin_scoring=scoring, shortlist=2
        )
        search.fit(X, y, sample_weight=weight, groups=groups)
        assert 0 < search.score(X, y) < 1
        nested = cross_val_score(
            search, X, y, params={"sample_weight": weight, "groups": groups}, cv=GroupKFold(2)
        )
        assert nested.shape == (2,)
        assert search.get_metadata_routing().consumes("fit", ["groups"]) == {"groups"}
    plain = linear_search(cv=GroupKFold(3)).fit(X, y, sample_weight=weight, groups=groups)
    np.testing.assert_array_equal(
        search.cv_results_["margin_auc"], plain.cv_results_["margin_auc"]
    )
    with pytest.raises(ValueError, match="only with metadata routing"):
        plain.score(X, y, sample_weight=weight)


# --- candidates -------------------------------------------------------------------------


def test_distributions_are_drawn_as_by_randomized_search(binary):
    grid = {"C": loguniform(1e-3, 1e3), "class_weight": [None, "balanced"]}
    search = MarginSearchCV(
        LogisticRegression(), grid, n_iter=4, margin_scoring=SAMPLES, random_state=3, cv=2
    ).fit(*binary)
    theirs = RandomizedSearchCV(LogisticRegression(), grid, n_iter=4, random_state=3, cv=2)
    assert search.cv_results_["params"] == theirs.fit(*binary).cv_results_["params"]


def test_a_grid_with_one_candidate(binary):
    search = MarginSearchCV(LogisticRegression(), {}, margin_scoring=SAMPLES).fit(*binary)
    assert search.best_params_ == {}
    assert search.n_fits_ == 6
    assert search.voting().predict(binary[0]).shape == (200,)


@pytest.mark.parametrize(
    ("model", "grid"),
    [
        (MLPClassifier((4,), max_iter=5, random_state=0), {"alpha": [0.1, 1.0]}),
        (
            MarginSubsetSelector(
                network(max_epochs=30),
                n_samples_to_select=0.2,
                separation=0.6,
                continue_epochs=1,
                random_state=0,
            ),
            {"strategy": ["smallest", "random"], "estimator__lr": [1e-2]},
        ),
        (
            make_pipeline(StandardScaler(), LogisticRegression()),
            {"logisticregression": [LogisticRegression(C=0.1), network()]},
        ),
    ],
    ids=["MLPClassifier", "MarginSubsetSelector", "Pipeline"],
)
def test_estimators_that_have_margins(iris, model, grid):
    X, y = iris
    search = MarginSearchCV(model, grid, cv=2, vote=1).fit(X, y)
    check_equals_grid_search(search, X, y) if "Pipeline" not in str(model) else None
    assert margins(search, X, y).shape == (150,)
    assert not any(hasattr(value, "net_") for value in grid.get("logisticregression", ()))


def test_images_and_sparse_matrices(images, iris):
    X, y = images
    model = MarginClassifier(ConvNet, module__channels=(4,), max_epochs=1, device="cpu")
    search = MarginSearchCV(model, {"lr": [1e-3, 1e-2]}, cv=2).fit(X[:100], y[:100])
    assert search.predict(X).shape == y.shape
    X, y = iris
    dense = linear_search().fit(X, y)
    for kind in (scipy.sparse.csr_array, scipy.sparse.csc_array, scipy.sparse.coo_array):
        sparse = linear_search().fit(kind(X), y)
        np.testing.assert_allclose(
            sparse.cv_results_["mean_test_score"], dense.cv_results_["mean_test_score"]
        )


def test_kernel_matrices(binary):
    X, y = binary
    model = make_pipeline(KernelPCA(4, kernel="precomputed"), LogisticRegression())
    search = MarginSearchCV(model, {"kernelpca__n_components": [2, 4]}, cv=3)
    search.set_params(margin_scoring=SAMPLES).fit(X @ X.T, y)
    check_equals_grid_search(search, X @ X.T, y)


def test_tensors_and_skorch_nets(iris):
    X, y = iris
    search = MarginSearchCV(network(), {"lr": [1e-3, 1e-2]}, cv=2)
    with_arrays = clone(search).fit(X.astype("f4"), y)
    with_tensors = clone(search).fit(torch.tensor(X.astype("f4")), torch.tensor(y))
    for name in ("margin_auc", "mean_test_score"):
        np.testing.assert_array_equal(
            with_arrays.cv_results_[name], with_tensors.cv_results_[name]
        )
    net = NeuralNetClassifier(
        torch.nn.Linear,
        module__in_features=4,
        module__out_features=3,
        criterion=torch.nn.CrossEntropyLoss,
        max_epochs=2,
        verbose=0,
    )
    search = MarginSearchCV(net, {"lr": [0.01, 0.1]}, cv=2, vote=1).fit(X.astype("f4"), y)
    assert margins(search, X.astype("f4"), y).shape == (150,)


# --- the habits of scikit-learn ---------------------------------------------------------


def test_it_is_nested_cloned_and_shown(binary):
    X, y = binary
    search = linear_search(cv=ShuffleSplit(2, random_state=0))
    scores = cross_val_score(make_pipeline(StandardScaler(), search), X, y, cv=3)
    assert scores.shape == (3,)
    assert is_classifier(search)
    copy = clone(search).set_params(estimator__C=3.0, margin_scoring__scale="frobenius")
    assert copy.estimator.C == 3.0
    assert search.margin_scoring.scale == "distance"
    assert "LogisticRegression" in search._repr_html_()
    assert "LogisticRegression" in search.fit(X, y)._repr_html_()
    assert not hasattr(linear_search(), "classes_")
    assert not hasattr(linear_search(), "n_features_in_")


def test_methods_are_those_of_the_estimator(binary):
    from sklearn.linear_model import RidgeClassifier

    search = MarginSearchCV(RidgeClassifier(), {"alpha": [1.0, 2.0]}, margin_scoring=SAMPLES)
    for model in (search, clone(search).fit(*binary)):
        assert not hasattr(model, "predict_proba")
        assert hasattr(model, "decision_function")


def test_score_is_scoring_and_not_margin_auc(binary):
    X, y = binary
    search = linear_search(scoring="neg_log_loss", vote=1).fit(X, y)
    assert search.score(X, y) == search.scorer_(search.best_estimator_, X, y) < 0


# --- the vote ---------------------------------------------------------------------------


def test_a_vote_is_the_mean_of_probabilities(iris, searched):
    X, _ = iris
    for k, n in ((None, 3), (2, 2), (3, 3), (1, 1)):
        vote = searched.voting(k)
        mean = np.mean(
            [m.predict_proba(X) for m in searched.shortlist_estimators_[:n]], axis=0
        )
        np.testing.assert_allclose(vote.predict_proba(X), mean, atol=1e-12)
        np.testing.assert_array_equal(vote.predict(X), searched.classes_[mean.argmax(axis=1)])
    again = pickle.loads(pickle.dumps(vote))
    np.testing.assert_array_equal(again.predict(X), vote.predict(X))
    with pytest.raises(ValueError, match="k must be at most 3.*got 4"):
        searched.voting(4)
    for k in (0, 1.5, "all", True):
        with pytest.raises(ValueError, match=r"k must be None or an integer of at least 1"):
            searched.voting(k)


def test_a_search_that_votes(iris, searched):
    X, y = iris
    y = np.array(["a", "b", "c"])[y]
    search = MarginSearchCV(network(), GRID, shortlist=2, cv=3, stack=False).fit(X, y)
    assert search.cv_results_["margin_auc"].tolist() == (
        searched.cv_results_["margin_auc"].tolist()
    )
    vote = search.voting(3)
    np.testing.assert_array_equal(search.predict(X), vote.predict(X))
    np.testing.assert_array_equal(search.predict_proba(X), vote.predict_proba(X))
    assert search.score(X, y) == vote.score(X, y)
    assert not hasattr(search, "decision_function")
    assert not hasattr(clone(search), "decision_function")
    assert hasattr(clone(search), "predict_proba")
    with pytest.raises(TypeError, match="vote of 3 networks: pass its best_estimator_"):
        margins(search, X, y)
    assert margins(search.best_estimator_, X, y).shape == (150,)


def test_a_vote_of_many_classes(rng):
    X = np.repeat(np.eye(30), 4, axis=0) + rng.normal(scale=0.01, size=(120, 30))
    search = linear_search(vote=2, cv=2).fit(X, np.repeat(np.arange(30), 4))
    assert search.predict(X).shape == (120,)


@pytest.mark.parametrize(
    ("shortlist", "vote", "n"), [(6, 1, 3), (6, 5, 5), (2, 1, 3), (2, 4, 4)]
)
def test_what_is_kept(binary, shortlist, vote, n):
    search = linear_search(shortlist=shortlist, vote=vote).fit(*binary)
    assert len(search.shortlist_estimators_) == n
    order = np.argsort(search.cv_results_["rank_test_score"])
    C = [search.cv_results_["params"][i]["C"] for i in order]
    kept = [model.C for model in search.shortlist_estimators_]
    assert kept == [c for c in C if c in kept]
    assert kept[:2] == C[:2]


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ([500], "The test rows of split 0 of cv include 500, but there are only 150"),
        ([], "at least one row index"),
        (["a"], "at least one row index"),
        ([0.5], "at least one row index"),
        ([[0, 1]], "at least one row index"),
        (np.zeros(150, dtype=bool), "a mask of length 150 with 0 times True"),
        (np.ones(3, dtype=bool), "a mask of length 3"),
    ],
)
def test_splits_are_checked_before_anything_is_fitted(iris, monkeypatch, test, message):
    monkeypatch.setattr(MarginClassifier, "fit", lambda *args: pytest.fail("fitted"))
    search = MarginSearchCV(
        MarginClassifier(), {"lr": [1e-3, 1e-2]}, cv=[(np.arange(9), test)]
    )
    with pytest.raises(ValueError, match=message):
        search.fit(*iris)


@pytest.mark.parametrize(("k", "advice"), [(3, "Fit with vote=3"), (9, "only 4 candidates")])
def test_advice_on_votes_works(iris, k, advice):
    model = MarginClassifier(max_epochs=1, random_state=0, device="cpu")
    search = MarginSearchCV(model, {"lr": [1e-3, 2e-3, 5e-3, 1e-2]}, shortlist=4, cv=2)
    search.fit(*iris)
    with pytest.raises(ValueError, match=advice):
        search.voting(k)
    if k == 3:
        search.set_params(vote=3).fit(*iris).voting(3)
