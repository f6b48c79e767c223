import numpy as np
import pytest
from scipy.stats import kendalltau
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV

from margin_sklearn import (
    MarginClassifier,
    MarginSearchCV,
    ResubstitutionSplit,
    SearchDisplay,
    margin_auc_score,
)

NETWORK = MarginClassifier(
    module__hidden_layer_sizes=(16,), max_epochs=5, random_state=0, device="cpu"
)
GRID = {"lr": [1e-4, 3e-4, 1e-3, 1e-2], "module__hidden_layer_sizes": [(), (16,)]}
BOTH = {"accuracy": "accuracy", "margin_auc": margin_auc_score}


@pytest.fixture(scope="module")
def data(digits):
    X, y = digits
    return X[:400], y[:400], X[400:], y[400:]


@pytest.fixture(scope="module")
def search(data):
    return MarginSearchCV(clone(NETWORK), GRID, shortlist=3, cv=2).fit(*data[:2])


def points(*lines):
    drawn = [line.get_xydata() for line in lines if line is not None]
    return {tuple(point) for part in drawn for point in part}


def test_candidates_of_a_margin_search(search):
    display = SearchDisplay.from_search(search)
    results = search.cv_results_
    shortlist = np.flatnonzero(results["shortlisted"])
    pairs = np.column_stack([results["margin_auc"], results["mean_test_score"]])
    assert points(display.shortlist_, display.best_) == {*map(tuple, pairs[shortlist])}
    assert points(display.best_) == {tuple(pairs[search.best_index_])}
    assert display.points_ is None
    assert display.tau_ == kendalltau(*pairs[shortlist].T).statistic
    (ticks,) = [line for line in display.ax_.lines if line.get_marker() == "|"]
    others = results["margin_auc"][~results["shortlisted"]]
    np.testing.assert_array_equal(ticks.get_xdata(), others)
    hidden = (others < display.ax_.get_xlim()[0]).sum()
    note = f" ({hidden} of them left of the axis)" if hidden else ""
    assert ticks.get_label() == f"5 others, not cross-validated{note}"
    assert display.ax_.get_ylabel() == "Cross-validated accuracy"


def test_networks_kept_are_drawn_by_their_test_accuracy(search, data):
    display = SearchDisplay.from_search(search, X_test=data[2], y_test=data[3])
    accuracy = [network.score(*data[2:]) for network in search.shortlist_estimators_]
    assert sorted(y for _, y in points(display.shortlist_, display.best_)) == sorted(
        {*accuracy}
    )
    assert points(display.best_) == {
        (
            search.cv_results_["margin_auc"][search.best_index_],
            search.best_estimator_.score(*data[2:]),
        )
    }
    # Each network belongs to its candidate.
    for network in search.shortlist_estimators_:
        score = margin_auc_score(network, *data[:2])
        place = np.flatnonzero(np.isclose(display.margin_auc, score, atol=2e-3))
        assert network.score(*data[2:]) in display.score[place]
    assert display.ax_.get_ylabel() == "Test accuracy"
    assert SearchDisplay.from_search(
        clone(search).set_params(shortlist=None).fit(*data[:2]),
        X_test=data[2],
        y_test=data[3],
    ).best_


def test_against_a_parameter(search):
    display = SearchDisplay.from_search(search, param="lr")
    assert display.ax_.get_xscale() == "log"
    assert display.ax_.get_xlabel() == "lr"
    rates = [candidate["lr"] for candidate in search.cv_results_["params"]]
    pairs = zip(rates, search.cv_results_["margin_auc"], strict=True)
    assert points(display.points_, display.shortlist_, display.best_) == {*pairs}
    assert np.isnan(display.tau_)
    display = SearchDisplay.from_search(search, param="module__hidden_layer_sizes")
    ticks = [tick.get_text() for tick in display.ax_.get_xticklabels()]
    assert ticks == ["()", "(16,)"]
    assert {x for x, _ in points(display.points_, display.shortlist_)} == {0.0, 1.0}


def test_searches_of_scikit_learn(data):
    search = GridSearchCV(
        clone(NETWORK), GRID, scoring=BOTH, refit="margin_auc", cv=ResubstitutionSplit()
    ).fit(*data[:2])
    display = SearchDisplay.from_search(search)
    results = search.cv_results_
    pairs = np.column_stack([results["mean_test_margin_auc"], results["mean_test_accuracy"]])
    assert points(display.points_, display.best_) == {*map(tuple, pairs)}
    assert points(display.best_) == {tuple(pairs[search.best_index_])}
    assert display.tau_ == kendalltau(*pairs.T).statistic
    assert display.ax_.get_ylabel() == "Training accuracy"
    with pytest.raises(ValueError, match="keeps one network only"):
        SearchDisplay.from_search(search, X_test=data[2], y_test=data[3])
    search = RandomizedSearchCV(
        clone(NETWORK), GRID, n_iter=2, scoring=margin_auc_score, cv=2, random_state=0
    ).fit(*data[:2])
    assert len(points(SearchDisplay.from_search(search, param="lr").points_)) == 1
    with pytest.raises(ValueError, match="only score.*pass param, or search with scoring="):
        SearchDisplay.from_search(search)


def test_candidates_without_a_score_are_left_out():
    display = SearchDisplay(
        margin_auc=np.array([0.5, np.nan, -np.inf, 0.7]), score=np.array([0.6, 0.7, 0.8, 0.9])
    ).plot()
    assert points(display.points_) == {(0.5, 0.6), (0.7, 0.9)}
    assert display.points_.get_label() == "2 candidates, Kendall's τ = 1.00"
    display = SearchDisplay(margin_auc=np.array([np.nan]), score=np.array([np.nan])).plot()
    assert display.points_ is None
    display.figure_.canvas.draw()


def test_what_cannot_be_drawn_raises(search, data):
    X, y = data[:2]
    with pytest.raises(TypeError, match="takes a fitted MarginSearchCV.*got 3"):
        SearchDisplay.from_search(3)
    with pytest.raises(TypeError, match="MarginClassifier has no cv_results_"):
        SearchDisplay.from_search(clone(NETWORK).fit(X, y))
    with pytest.raises(TypeError, match="None of the scores of GridSearchCV"):
        SearchDisplay.from_search(GridSearchCV(clone(NETWORK), {}, cv=2).fit(X, y))
    with pytest.raises(ValueError, match="given together"):
        SearchDisplay.from_search(search, X_test=X)
    with pytest.raises(ValueError, match=r"parameter 'LR'; there are \['lr', 'module__"):
        SearchDisplay.from_search(search, param="LR")
    alone = clone(search).set_params(shortlist=None).fit(X, y)
    with pytest.raises(ValueError, match="No candidate was cross-validated"):
        SearchDisplay.from_search(alone)


def test_the_legend_says_why_a_score_is_unknown(search, data):
    """Of a shortlist of all candidates, only the best are kept for test samples."""
    X, y, X_test, y_test = data
    every = clone(search).set_params(shortlist=len(search.cv_results_["params"])).fit(X, y)
    n, n_kept = len(every.cv_results_["params"]), len(every.shortlist_estimators_)
    assert n_kept < n
    known = SearchDisplay.from_search(every).ax_.get_legend().get_texts()
    assert f"shortlist of {n}, " in known[0].get_text()
    display = SearchDisplay.from_search(every, X_test=X_test, y_test=y_test)
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert any(text.startswith(f"{n_kept} of the shortlist of {n}, ") for text in texts)
    assert any(text.startswith(f"{n - n_kept} others, not kept") for text in texts)
    assert not any("not cross-validated" in text for text in texts)


def test_test_scores_belong_to_the_candidates_that_were_kept(data):
    """Where a candidate of a high rank was not kept."""
    X, y, X_test, y_test = data
    rates = np.logspace(-4, -1, 12)
    seen = []

    def scoring(estimator, X, y):
        # The first of the shortlist fails in cross-validation.
        seen.append(estimator.lr)
        return np.nan if estimator.lr == seen[0] else estimator.score(X, y)

    with pytest.warns(UserWarning, match="2 of 6 scores of scoring are not finite"):
        search = MarginSearchCV(
            clone(NETWORK), {"lr": rates}, shortlist=3, cv=2, vote=1, scoring=scoring
        ).fit(X, y)
    assert search.best_params_["lr"] == search.best_estimator_.lr
    kept = [search.cv_results_["params"][i]["lr"] for i in search.shortlist_indices_]
    assert kept == [network.lr for network in search.shortlist_estimators_]
    search.scorer_ = lambda network, X, y: network.lr
    display = SearchDisplay.from_search(search, X_test=X_test, y_test=y_test)
    known = np.isfinite(display.score)
    np.testing.assert_array_equal(display.score[known], rates[known])
    texts = [
        text.get_text() for text in SearchDisplay.from_search(search).ax_.get_legend().texts
    ]
    assert any("others, not cross-validated, 1 failed in cross-validation" in t for t in texts)
    assert any(text.startswith("2 of the shortlist of 3") for text in texts)


def drawn_at(display):
    """Name of the category and margin-AUC of each point."""
    ticks = display.ax_.get_xticks(), display.ax_.get_xticklabels()
    names = {place: text.get_text() for place, text in zip(*ticks, strict=True)}
    lines = [display.points_, display.shortlist_, display.best_]
    return {(names[x], y) for x, y in points(*lines)}


def test_searches_on_one_axes_share_the_names_of_a_parameter():
    first = SearchDisplay(
        margin_auc=np.array([0.1, 0.2]),
        param="optimizer",
        values=["adamw", "sgd"],
        best_index=1,
    )
    second = SearchDisplay(
        margin_auc=np.array([0.3, 0.4, 0.5]),
        param="optimizer",
        values=["sgd", "adam", "adamw"],
    )
    first.values, second.values = map(np.array, (first.values, second.values))
    first.plot()
    second.plot(first.ax_)
    first.figure_.canvas.draw()
    assert drawn_at(first) == {("adamw", 0.1), ("sgd", 0.2)}
    assert drawn_at(second) == {("sgd", 0.3), ("adam", 0.4), ("adamw", 0.5)}
    assert first.points_.get_color() != second.points_.get_color()


def test_parameters_of_every_kind(search):
    def shown(values):
        results = {"params": [{"p": value} for value in values]}
        found = clone(search)
        vars(found).update(vars(search))
        found.cv_results_ = {**search.cv_results_, **results}
        return SearchDisplay.from_search(found, param="p")

    n = len(search.cv_results_["params"])
    decay = shown([0, *np.logspace(-4, 0, n - 1)])
    assert decay.ax_.get_xscale() == "symlog"
    infinite = shown([np.inf, *range(1, n)])
    infinite.figure_.canvas.draw()
    assert {name for name, _ in drawn_at(infinite)} == {"inf", *map(str, range(1, n))}
    functions = shown([lambda: 1, lambda: 2, *[None] * (n - 2)])
    functions.figure_.canvas.draw()
    assert {name for name, _ in drawn_at(functions)} == {"<lambda>", "<lambda> (2)", "None"}


def test_other_quantities_on_the_same_axes_are_refused(search):
    display = SearchDisplay.from_search(search)
    with pytest.raises(
        ValueError,
        match="show 'Cross-validated accuracy against Margin-AUC, numbers', which cannot",
    ):
        SearchDisplay.from_search(search, param="lr", ax=display.ax_)
    SearchDisplay.from_search(search, ax=display.ax_, name="again")


def test_the_legend_counts_what_cannot_be_drawn():
    display = SearchDisplay(
        margin_auc=np.array([0.5, np.nan, -np.inf, 0.7]), score=np.array([0.6, 0.7, 0.8, 0.9])
    ).plot()
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts[-1] == "2 without a finite margin-AUC, not drawn"


def test_a_second_search_on_the_axes_is_all_in_sight():
    known = np.array([0.8, 0.9, np.nan])
    first = SearchDisplay(margin_auc=np.array([0.8, 0.9, 0.1]), score=known).plot()
    SearchDisplay(margin_auc=np.array([0.2, 0.95]), score=known[:2]).plot(first.ax_)
    low, high = first.ax_.get_xlim()
    assert low < 0.2
    assert high > 0.95
