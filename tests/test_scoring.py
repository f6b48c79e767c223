import pickle
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import sklearn
import torch
from sklearn.base import clone
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from margin_sklearn import (
    MarginClassifier,
    ResubstitutionSplit,
    make_margin_auc_scorer,
    margin_auc,
    margin_auc_score,
    margins,
)

SCALES = [None, "distance", "frobenius", "spectral"]


def pipeline(**settings):
    settings = {"max_epochs": 3, "random_state": 0, "device": "cpu", **settings}
    return make_pipeline(StandardScaler(), MarginClassifier(**settings))


def nearest(X):
    gaps = np.linalg.norm(X[:, None] - X, axis=2) + np.diag(np.full(len(X), np.inf))
    return np.median(gaps.min(axis=1))


# --- margins ------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", SCALES)
def test_accuracy_is_the_share_of_positive_margins(fitted, fitted_conv, digits, images, scale):
    for estimator, (X, y) in ((fitted, digits), (fitted_conv, images)):
        m = margins(estimator, X, y, scale=scale)
        assert m.dtype == np.float64
        assert (m > 0).mean() == estimator.score(X, y)


@pytest.mark.parametrize("scale", SCALES)
def test_margins_do_not_depend_on_the_order_or_the_size_of_chunks(
    fitted, digits, scale, monkeypatch, rng
):
    X, y = digits
    expected = margins(fitted, X, y, scale=scale)
    order = rng.permutation(len(y))
    permuted = margins(fitted, X[order], y[order], scale=scale)
    np.testing.assert_allclose(permuted, expected[order], rtol=1e-4, atol=1e-5)
    monkeypatch.setattr("margin_sklearn.scoring.chunk_length", lambda *a, **k: 17)
    np.testing.assert_allclose(
        margins(fitted, X, y, scale=scale), expected, rtol=1e-4, atol=1e-5
    )


def test_input_of_any_kind(fitted, digits):
    X, y = digits
    expected = margins(fitted, X, y, scale="distance")
    for other in (
        X.tolist(),
        pd.DataFrame(X),
        torch.from_numpy(X),
        scipy.sparse.coo_array(X),
        scipy.sparse.csc_matrix(X),
    ):
        np.testing.assert_allclose(margins(fitted, other, y, scale="distance"), expected)
    np.testing.assert_allclose(margins(fitted, X, pd.Series(y), scale="distance"), expected)


def test_unusable_data_raise(fitted, digits):
    X, y = digits
    with pytest.raises(ValueError, match="label 99"):
        margins(fitted, X, np.full(len(y), 99))
    with pytest.raises(ValueError, match="inconsistent"):
        margins(fitted, X[:-1], y)
    with pytest.raises(ValueError, match="0 sample"):
        margins(fitted, X[:0], y[:0])
    with pytest.raises(ValueError, match="NaN"):
        margins(fitted, np.full_like(X, np.nan), y)
    with pytest.raises(ValueError, match="features"):
        margins(fitted, X[:, :3], y)


def test_networks_that_give_nan_raise(digits):
    estimator = MarginClassifier(max_epochs=1).fit(*digits)
    with torch.no_grad():
        estimator.net_.module_[0].weight.fill_(float("nan"))
    with pytest.raises(ValueError, match="NaN for sample 0"):
        margins(estimator, *digits)


# --- the score ----------------------------------------------------------------------------


@pytest.mark.parametrize("scale", SCALES)
def test_without_bounds_the_score_is_the_mean_margin(fitted, digits, scale):
    score = make_margin_auc_scorer(scale)(fitted, *digits)
    assert score == pytest.approx(margins(fitted, *digits, scale=scale).mean())


def test_bounds_of_distances_are_multiples_of_the_distance_between_neighbors(fitted, digits):
    X, y = digits
    m = margins(fitted, X, y, scale="distance")
    unit = nearest(X)
    score = make_margin_auc_scorer("distance", floor=-0.2, ceiling=0.5)(fitted, X, y)
    expected = margin_auc(m, floor=-0.2 * unit, ceiling=0.5 * unit)
    assert score == pytest.approx(expected, rel=1e-4)
    only_ceiling = make_margin_auc_scorer("distance", ceiling=0.5)(fitted, X, y)
    assert only_ceiling == pytest.approx(np.minimum(m, 0.5 * unit).mean(), rel=1e-4)


def test_bounds_of_other_scales_are_in_their_own_units(fitted, digits):
    score = make_margin_auc_scorer(None, floor=-1.0, ceiling=2.0)(fitted, *digits)
    expected = margin_auc(margins(fitted, *digits), floor=-1.0, ceiling=2.0)
    assert score == pytest.approx(expected)


def test_the_default_score_is_a_share_that_ignores_units_and_order(digits, rng):
    X, y = digits
    model = LogisticRegression().fit(X, y)
    score = margin_auc_score(model, X, y)
    assert 0 < score < 1
    order = rng.permutation(len(y))
    assert margin_auc_score(model, X[order], y[order]) == pytest.approx(score)
    other = LogisticRegression().fit(X, y)
    other.coef_, other.intercept_ = model.coef_ / 100, model.intercept_
    assert margin_auc_score(other, 100 * X, y) == pytest.approx(score)


def test_a_better_network_scores_higher(digits):
    X, y = digits
    scores = [margin_auc_score(pipeline(max_epochs=n).fit(X, y), X, y) for n in (1, 3, 20)]
    assert scores == sorted(scores)
    assert scores[0] < scores[2]


def test_weights_are_repetitions(fitted, digits, rng):
    X, y = digits
    counts = rng.integers(0, 3, len(y))
    scorer = make_margin_auc_scorer("distance")
    repeated = scorer(fitted, np.repeat(X, counts, axis=0), np.repeat(y, counts))
    assert scorer(fitted, X, y, sample_weight=counts) == pytest.approx(repeated)
    with pytest.raises(ValueError, match="sample_weight"):
        scorer(fitted, X, y, sample_weight=counts[:-1])


def test_max_samples_scores_a_part(fitted, digits):
    X, y = digits
    scorer = make_margin_auc_scorer(None, max_samples=100)
    assert scorer(fitted, X, y) == scorer(fitted, X, y)
    whole = make_margin_auc_scorer(None)(fitted, X, y)
    assert scorer(fitted, X, y) != whole
    assert scorer(fitted, X, y) == pytest.approx(whole, rel=0.2)
    assert make_margin_auc_scorer(None, max_samples=10**6)(fitted, X, y) == whole
    weighted = scorer(fitted, X, y, sample_weight=np.ones(len(y)))
    assert weighted == pytest.approx(scorer(fitted, X, y))


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"scale": "norm"}, "scale"),
        ({"at": "pixels"}, "'pixels'"),
        ({"floor": 1.0, "ceiling": 0.0}, "floor"),
        ({"max_samples": 0}, "max_samples"),
        ({"max_samples": 0.5}, "max_samples"),
        ({"ceiling": "high"}, "'high'"),
    ],
)
def test_unusable_settings_raise_at_once(settings, match):
    with pytest.raises((ValueError, TypeError), match=match):
        make_margin_auc_scorer(**settings)


# --- as a scorer of scikit-learn ----------------------------------------------------------


def test_scorers_can_be_pickled_cloned_and_read():
    scorer = make_margin_auc_scorer("frobenius", max_samples=10)
    assert repr(scorer) == "MarginAUCScorer(max_samples=10, scale='frobenius')"
    for copy in (pickle.loads(pickle.dumps(scorer)), clone(scorer)):
        assert copy.get_params() == scorer.get_params()


def test_cross_validation_alone_and_among_others(digits):
    X, y = digits
    alone = cross_val_score(pipeline(), X, y, cv=3, scoring=margin_auc_score)
    scoring = {"auc": margin_auc_score, "accuracy": "accuracy"}
    result = cross_validate(pipeline(), X, y, cv=3, scoring=scoring, return_train_score=True)
    np.testing.assert_array_equal(result["test_auc"], alone)
    assert (result["train_auc"] > 0).all()


def test_a_search_fits_once_and_scores_the_training_set(digits):
    X, y = digits
    grid = {"marginclassifier__lr": [1e-4, 1e-2]}
    scoring = {"auc": margin_auc_score, "accuracy": "accuracy"}
    serial, parallel = (
        GridSearchCV(
            pipeline(),
            grid,
            scoring=scoring,
            refit="auc",
            cv=ResubstitutionSplit(),
            return_train_score=True,
            n_jobs=n_jobs,
        ).fit(X, y)
        for n_jobs in (None, 2)
    )
    results = serial.cv_results_
    by_hand = [margin_auc_score(pipeline(lr=lr).fit(X, y), X, y) for lr in (1e-4, 1e-2)]
    np.testing.assert_array_equal(results["mean_test_auc"], by_hand)
    np.testing.assert_array_equal(results["mean_train_auc"], by_hand)
    np.testing.assert_array_equal(parallel.cv_results_["mean_test_auc"], by_hand)
    assert serial.best_params_ == {"marginclassifier__lr": 1e-2}
    assert margin_auc_score(serial, X, y) == serial.best_score_


def test_permutation_importance_finds_the_feature_that_matters(rng):
    X = rng.normal(size=(150, 3))
    y = X[:, 1] > 0
    model = pipeline(max_epochs=10).fit(X, y)
    importance = permutation_importance(
        model, X, y, scoring=margin_auc_score, n_repeats=2, random_state=0
    ).importances_mean
    assert importance.argmax() == 1
    assert importance[1] > 0.1


def test_weights_are_routed(digits):
    X, y = digits
    weight = np.random.default_rng(0).random(len(y))
    with sklearn.config_context(enable_metadata_routing=True):
        estimator = MarginClassifier(max_epochs=2, random_state=0).set_fit_request(
            sample_weight=True
        )
        scorer = make_margin_auc_scorer("distance").set_score_request(sample_weight=True)
        accuracy = sklearn.metrics.get_scorer("accuracy").set_score_request(sample_weight=True)
        routed = cross_validate(
            estimator,
            X,
            y,
            scoring={"auc": scorer, "accuracy": accuracy},
            cv=ResubstitutionSplit(),
            params={"sample_weight": weight},
            error_score="raise",
        )
        alone = cross_val_score(
            estimator,
            X,
            y,
            scoring=scorer,
            cv=ResubstitutionSplit(),
            params={"sample_weight": weight},
            error_score="raise",
        )
    fitted = clone(estimator).fit(X, y, sample_weight=weight)
    expected = make_margin_auc_scorer("distance")(fitted, X, y, sample_weight=weight)
    assert routed["test_auc"][0] == alone[0] == expected
    assert expected != make_margin_auc_scorer("distance")(fitted, X, y)


@pytest.mark.parametrize("kind", ["dense", "sparse", "memory map"])
def test_scoring_streams(kind, tmp_path):
    """Memory above the data stays far below the size of the data."""
    n = 60_000
    rng = np.random.default_rng(0)
    if kind == "sparse":
        X = scipy.sparse.random_array((n, 100), density=0.02, rng=rng, format="csr")
    else:
        X = rng.normal(size=(n, 100))
        if kind == "memory map":
            np.save(tmp_path / "X.npy", X)
            X = np.load(tmp_path / "X.npy", mmap_mode="r")
    y = rng.integers(0, 2, n)
    model = make_pipeline(StandardScaler(with_mean=False), LogisticRegression(max_iter=1))
    with pytest.warns(UserWarning, match="converge"):
        model.fit(X[:1000], y[:1000])
    tracemalloc.start()
    try:
        margin_auc_score(model, X, y)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 25e6 < n * 100 * 8
