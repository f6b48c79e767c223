import copy
import pickle
import tracemalloc
import warnings
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import sklearn
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.datasets import load_digits, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier
from torch import nn

from margin_sklearn import (
    MarginClassifier,
    ResubstitutionSplit,
    make_margin_auc_scorer,
    margin_auc,
    margin_auc_score,
    margins,
)
from margin_sklearn.adapters.registry import as_network
from margin_sklearn.neighborhoods.perturbed import pseudo_points
from margin_sklearn.scoring.distribution import DEFAULT

SCALES = [None, "distance", "frobenius", "spectral"]
# The band of the default score.
BAND = {"floor": DEFAULT.floor, "ceiling": DEFAULT.ceiling}


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
    monkeypatch.setattr("margin_sklearn.adapters.network.chunk_length", lambda *a, **k: 17)
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


@pytest.mark.parametrize(
    "scorer",
    [make_margin_auc_scorer("distance", floor=-0.5, ceiling=0.5), margin_auc_score],
    ids=["samples", "default"],
)
def test_the_score_is_a_share_that_ignores_units_and_order(digits, rng, scorer):
    X, y = digits
    model = LogisticRegression().fit(X, y)
    score = scorer(model, X, y)
    assert 0 < score < 1
    order = rng.permutation(len(y))
    assert scorer(model, X[order], y[order]) == pytest.approx(score, abs=1e-9)
    other = LogisticRegression().fit(X, y)
    other.coef_, other.intercept_ = model.coef_ / 100, model.intercept_
    assert scorer(other, 100 * X, y) == pytest.approx(score, abs=1e-6)


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
        ({"at": "samples", "noise_weight": True}, "noise_weight"),
        ({"at": "neighborhood", "floor": 0.1, "ceiling": 0.1}, "floor"),
        ({"at": "neighborhood", "floor": np.nan}, "floor"),
        ({"at": "neighborhood", "max_samples": -1}, "max_samples"),
        ({"at": None}, "at must be"),
    ],
)
def test_unusable_settings_raise_at_once(settings, match):
    with pytest.raises((ValueError, TypeError), match=match):
        make_margin_auc_scorer(**settings)
    # Where a search sets them, they are looked at when a score is asked for.
    scorer = make_margin_auc_scorer().set_params(**settings)
    with pytest.raises((ValueError, TypeError), match=match):
        scorer(LogisticRegression(), [[0.0], [1.0]], [0, 1])


# --- in neighborhoods ---------------------------------------------------------------------


def neighborhood_scorer(**settings):
    return make_margin_auc_scorer("distance", at="neighborhood", **settings)


@pytest.fixture(scope="module")
def noisy():
    """Digits of which a fifth has a wrong label, and clean ones to test on."""
    X, y = load_digits(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    rng = np.random.default_rng(0)
    wrong = rng.random(len(y)) < 0.2
    given = np.where(wrong, (y + rng.integers(1, 10, len(y))) % 10, y)
    return X[:1000], given[:1000], X[1000:], y[1000:]


def test_of_noisy_labels_what_memorises_scores_lower(noisy):
    """Though it is better on the samples that both are scored on."""
    X, y, X_test, y_test = noisy
    few, many = (
        MarginClassifier(max_epochs=n, random_state=0, device="cpu").fit(X, y) for n in (5, 40)
    )
    assert few.score(X_test, y_test) > many.score(X_test, y_test) + 0.05
    assert few.score(X, y) < many.score(X, y) - 0.1
    assert margin_auc_score(few, X, y) > margin_auc_score(many, X, y) + 0.02
    at_samples = make_margin_auc_scorer("distance", floor=-0.5, ceiling=0.5)
    assert at_samples(few, X, y) < at_samples(many, X, y)


@given(st.floats(-3, 0.5), st.floats(0.01, 3), st.integers(1, 200), st.booleans())
@settings(max_examples=30)
def test_it_is_a_share_of_the_band(iris_model, floor, width, max_samples, noise_weight):
    scorer = neighborhood_scorer(
        floor=floor, ceiling=floor + width, max_samples=max_samples, noise_weight=noise_weight
    )
    assert 0 <= scorer(*iris_model) <= 1


def test_a_class_may_have_a_single_sample(iris):
    X, y = iris
    kept = np.r_[0:100, 149]
    model = LogisticRegression().fit(X[kept], y[kept])
    values, weight, *_ = margin_auc_score.distribution(model, X[kept], y[kept])
    assert np.isfinite(values).all()
    assert len(values) == len(weight) >= 3 * len(kept)
    assert len(values) % len(kept) == 0
    weighted = neighborhood_scorer(**BAND, noise_weight=True)
    assert 0 < weighted(model, X[kept], y[kept]) <= 1
    assert 0 < margin_auc_score(model, X[kept], y[kept]) <= 1


@pytest.fixture(scope="module")
def iris_model(iris):
    return LogisticRegression().fit(*iris), *iris


def test_in_a_narrow_band_it_is_the_accuracy_at_the_points(fitted, digits):
    X, y = digits
    points = pseudo_points(as_network(fitted), X, y, None)
    hood = points.neighborhood
    ends = X[hood.anchors][:, None] + points.length * hood.distance * hood.steps
    ends = ends[points.anchor]
    labels, weight = (
        np.repeat(part, ends.shape[1]) for part in (points.label, points.weights())
    )
    accuracy = fitted.score(ends.reshape(len(labels), -1), labels, sample_weight=weight)
    score = neighborhood_scorer(floor=-1e-7, ceiling=1e-7)(fitted, X, y)
    assert score == pytest.approx(accuracy, abs=1e-3)


def test_without_bounds_it_is_the_mean_distance_at_the_points(iris_model):
    model, X, y = iris_model
    values, weight, floor, ceiling = neighborhood_scorer().distribution(model, X, y)
    assert floor is ceiling is None
    expected = np.average(values, weights=weight)
    assert neighborhood_scorer()(model, X, y) == pytest.approx(expected)
    assert len(values) == len(weight) > len(y)


def test_scaling_one_layer_up_and_the_next_down_makes_no_difference(digits):
    X, y = digits
    model = MLPClassifier((16,), max_iter=30, random_state=0)
    with pytest.warns(ConvergenceWarning):
        model.fit(X, y)
    score = margin_auc_score(model, X, y)
    assert 0 < score < 1
    model.coefs_[0] *= 50
    model.intercepts_[0] *= 50
    model.coefs_[1] /= 50
    assert margin_auc_score(model, X, y) == pytest.approx(score, abs=1e-9)
    # All logits by one factor, too.
    model.coefs_[1] *= 1000
    model.intercepts_[1] *= 1000
    assert margin_auc_score(model, X, y) == pytest.approx(score, abs=1e-9)


def test_names_of_classes_make_no_difference(iris_model):
    model, X, y = iris_model
    renamed = LogisticRegression().fit(X, np.array(["c", "a", "b"])[y])
    # The same function, its outputs in the order of the new names.
    renamed.coef_, renamed.intercept_ = model.coef_[[1, 2, 0]], model.intercept_[[1, 2, 0]]
    score = margin_auc_score(renamed, X, np.array(["c", "a", "b"])[y])
    assert score == pytest.approx(margin_auc_score(model, X, y))


def test_networks_of_all_kinds_are_scored(fitted_conv, images, digits):
    X, y = digits
    linear = LogisticRegression(max_iter=1000).fit(X, y)
    net = NeuralNetClassifier(
        nn.Sequential(nn.Linear(64, 10)), criterion=nn.CrossEntropyLoss, train_split=None,
        max_epochs=1, verbose=0,
    ).fit(X.astype(np.float32), y)  # fmt: skip
    with torch.no_grad():
        net.module_[0].weight.copy_(torch.from_numpy(linear.coef_))
        net.module_[0].bias.copy_(torch.from_numpy(linear.intercept_))
    score = margin_auc_score(linear, X, y)
    assert margin_auc_score(net, X, y) == pytest.approx(score, abs=1e-4)
    assert 0 < margin_auc_score(fitted_conv, *images) < 1


def test_input_of_any_kind_is_scored(fitted, digits):
    X, y = digits
    score = margin_auc_score(fitted, X, y)
    for other in (X.tolist(), pd.DataFrame(X), torch.from_numpy(X), scipy.sparse.csr_array(X)):
        assert margin_auc_score(fitted, other, y) == pytest.approx(score, abs=1e-5)
    frame = pd.DataFrame(X).add_prefix("pixel ")
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, y)
    expected = margin_auc_score(model[-1], model[0].transform(frame), y)
    assert margin_auc_score(model, frame, pd.Series(y)) == pytest.approx(expected)


def test_a_sample_of_weight_zero_is_not_counted_but_others_still_have_it_for_neighbor(
    iris_model, rng
):
    model, X, y = iris_model
    # Two rows of iris are equal.
    X, first = np.unique(X, axis=0, return_index=True)
    y = y[first]
    scorer = neighborhood_scorer(floor=-0.5, ceiling=0.5)
    weight = (rng.random(len(y)) < 0.7).astype(float)
    score = scorer(model, X, y, sample_weight=weight)
    values, _, floor, ceiling = scorer.distribution(model, X, y)
    points = pseudo_points(as_network(model), X, y, None)
    values = values.reshape(len(y), -1)[points.case[weight > 0]].ravel()
    assert score == pytest.approx(margin_auc(values, floor=floor, ceiling=ceiling))
    # Without the sample, there are other neighbors: not the same, but nearly.
    dropped = scorer(model, X[weight > 0], y[weight > 0])
    assert dropped != score
    assert dropped == pytest.approx(score, abs=0.05)
    assert scorer(model, X, y, sample_weight=np.full(len(y), 3.0)) == scorer(model, X, y)
    with pytest.raises(ValueError, match="zero for every sample"):
        scorer(model, X, y, sample_weight=np.zeros(len(y)))


def test_a_part_of_the_samples_gives_nearly_the_same_score(fitted, digits):
    whole = margin_auc_score(fitted, *digits)
    assert neighborhood_scorer(**BAND, max_samples=10**6)(fitted, *digits) == whole
    assert neighborhood_scorer(**BAND, max_samples=None)(fitted, *digits) == whole
    scores = {
        neighborhood_scorer(**BAND, max_samples=200, random_state=seed)(fitted, *digits)
        for seed in range(5)
    }
    assert len(scores) == 5
    assert np.mean(list(scores)) == pytest.approx(whole, abs=0.03)


def test_labels_unlike_their_neighbors_count_less_with_noise_weight(noisy):
    X, y, _, _ = noisy
    model = MarginClassifier(max_epochs=5, random_state=0, device="cpu").fit(X, y)
    plain = margin_auc_score(model, X, y)
    weighted = neighborhood_scorer(**BAND, noise_weight=True)(model, X, y)
    # Most wrong labels are not predicted: without them, nearly all is right.
    assert weighted > plain + 0.05


def test_samples_that_are_all_equal_cannot_be_scored_there():
    X, y = np.ones((6, 2)), np.arange(6) % 2
    model = LogisticRegression().fit(X, y)
    with pytest.raises(ValueError, match="at='samples'"):
        margin_auc_score(model, X, y)
    assert np.isfinite(make_margin_auc_scorer(None)(model, X, y))


def test_two_samples_cannot_be_scored_there():
    """Both are right; the score was 0 once."""
    X, y = np.array([[-1.0], [1.0]]), np.array([0, 1])
    model = LogisticRegression().fit(X, y)
    assert model.score(X, y) == 1
    with pytest.raises(ValueError, match="2 different samples.*at least 4"):
        margin_auc_score(model, X, y)
    assert make_margin_auc_scorer("distance")(model, X, y) == pytest.approx(1)


@pytest.mark.parametrize("label", [-1, 2, 10**12])
@pytest.mark.parametrize("at", ["samples", "neighborhood"])
def test_labels_that_no_output_is_for_are_named(label, at, binary):
    X, y = binary[0].astype(np.float32), binary[1].copy()
    net = NeuralNetClassifier(
        nn.Sequential(nn.Linear(6, 2)), criterion=nn.CrossEntropyLoss, train_split=None,
        max_epochs=1, verbose=0,
    ).fit(X, y)  # fmt: skip
    y[3] = label
    with pytest.raises(ValueError, match=f"label {label}.*2 outputs"):
        make_margin_auc_scorer(at=at)(net, X, y)


# --- networks without a gradient ----------------------------------------------------------


class Spoiled(MLPClassifier):
    """A network that has a gradient nowhere, unless ``how`` is None."""

    def __init__(self, how=None, activation="relu", max_iter=30, random_state=0):
        super().__init__(
            (8,), activation=activation, max_iter=max_iter, random_state=random_state
        )
        self.how = how

    def fit(self, X, y):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            super().fit(X, y)
        if self.how == "dead":
            self.coefs_[0][:], self.intercepts_[0][:] = 0, -1
        elif self.how == "saturated":
            # Of tanh, so far off that it is 1 to the last bit.
            self.coefs_[0] *= 1e9
        elif self.how == "wrong":
            self.coefs_[1] *= -1
            self.intercepts_[1] *= -1
        return self


UNBOUNDED = {
    "samples": make_margin_auc_scorer("distance"),
    "neighborhood": make_margin_auc_scorer("distance", at="neighborhood"),
    "floor": make_margin_auc_scorer("distance", floor=-1),
    "ceiling": make_margin_auc_scorer("distance", ceiling=1),
    "total variation": make_margin_auc_scorer("total_variation"),
}


@pytest.mark.parametrize("scorer", UNBOUNDED.values(), ids=UNBOUNDED)
@pytest.mark.parametrize("how", ["dead", "saturated"])
def test_in_a_search_networks_without_a_gradient_come_last_and_are_told_of(
    how, scorer, binary
):
    X, y = binary
    search = GridSearchCV(
        Spoiled(activation="relu" if how == "dead" else "tanh"),
        {"how": [how, "wrong", None]},
        scoring=scorer,
        cv=ResubstitutionSplit(),
        error_score="raise",
    )
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        search.fit(X, y)
    messages = [str(warning.message) for warning in record]
    assert any("Spoiled is constant there" in m and "-inf" in m for m in messages)
    scores = search.cv_results_["mean_test_score"]
    assert scores[0] == -np.inf
    # Those that are wrong wherever the other is right included.
    assert np.isfinite(scores[1:]).all()
    assert search.cv_results_["rank_test_score"][0] == 3
    assert search.best_params_ != {"how": how}


@pytest.mark.parametrize("how", ["dead", "saturated"])
def test_between_floor_and_ceiling_such_a_network_scores_its_accuracy(how, binary):
    X, y = binary
    model = Spoiled(how, "relu" if how == "dead" else "tanh").fit(X, y)
    at_samples = make_margin_auc_scorer("distance", floor=-0.07, ceiling=0.07)
    assert at_samples(model, X, y) == pytest.approx(model.score(X, y))
    points = pseudo_points(as_network(model), X, y, None)
    hood = points.neighborhood
    ends = X[hood.anchors][:, None] + points.length * hood.distance * hood.steps
    labels = np.repeat(points.label, hood.steps.shape[1])
    right = model.score(ends[points.anchor].reshape(len(labels), -1), labels)
    assert margin_auc_score(model, X, y) == pytest.approx(right, abs=1e-3)


def test_infinite_margins_of_samples_that_weigh_nothing_do_not_count(binary):
    """Half of the inputs lie where a single ReLU is 0."""
    X, y = binary
    model = Spoiled().fit(X, y)
    model.coefs_[0][:], model.intercepts_[0][:] = 0, 0
    model.coefs_[0][0] = 1
    scorer = make_margin_auc_scorer("distance")
    weight = (X[:, 0] > 0).astype(float)
    there = X[weight > 0], y[weight > 0]
    expected = scorer(model, *there)
    assert np.isfinite(expected)
    assert scorer(model, X, y, sample_weight=weight) == pytest.approx(expected)
    error = scorer.standard_error(model, X, y, sample_weight=weight)
    assert error == pytest.approx(scorer.standard_error(model, *there))


# --- the standard error -------------------------------------------------------------------


def test_the_standard_error_is_that_of_a_mean(iris_model):
    model, X, y = iris_model
    scorer = make_margin_auc_scorer(None)
    m = margins(model, X, y)
    expected = m.std(ddof=1) / len(y) ** 0.5
    assert scorer.standard_error(model, X, y) == pytest.approx(expected)
    banded = make_margin_auc_scorer(None, floor=-1, ceiling=3)
    part = (np.clip(m, -1, 3) + 1) / 4
    expected = part.std(ddof=1) / len(y) ** 0.5
    assert banded.standard_error(model, X, y) == pytest.approx(expected)


def test_the_standard_error_of_a_weighted_mean_by_hand():
    """Margins -2, 1 and 2 of a linear model, weighing 1, 1 and 2: mean 3 / 4."""
    X, y = np.array([[-1.0], [2.0], [-2.0]]), np.array([1, 1, 0])
    model = LogisticRegression().fit(X, y)
    model.coef_[:], model.intercept_[:] = 1, 0
    X = np.array([[-2.0], [1.0], [-2.0]])
    scorer = make_margin_auc_scorer("distance")
    weight = np.array([1.0, 1.0, 2.0])
    assert scorer(model, X, y, sample_weight=weight) == pytest.approx(3 / 4)
    squares = (-2 - 3 / 4) ** 2 + (1 - 3 / 4) ** 2 + 4 * (2 - 3 / 4) ** 2
    expected = (3 / 2 * squares) ** 0.5 / 4
    found = scorer.standard_error(model, X, y, sample_weight=weight)
    assert found == pytest.approx(expected)
    # In proportion, they say the same.
    found = scorer.standard_error(model, X, y, sample_weight=1e6 * weight)
    assert found == pytest.approx(expected)
    # Without one of them.
    weight[1] = 0
    squares = (-2 - 2 / 3) ** 2 + 4 * (2 - 2 / 3) ** 2
    found = scorer.standard_error(model, X, y, sample_weight=weight)
    assert found == pytest.approx((2 * squares) ** 0.5 / 3)


def by_hand(part, weight):
    n, mean = np.count_nonzero(weight), np.average(part, weights=weight)
    return np.sqrt(n / (n - 1) * np.sum(weight**2 * (part - mean) ** 2)) / weight.sum()


def parts(model, X, y, weight=None):
    """Of each case: its part in the default score, and its weight."""
    values, weights, floor, ceiling = margin_auc_score.distribution(model, X, y, weight)
    n_steps = pseudo_points(as_network(model), X, y, None).neighborhood.steps.shape[1]
    part = (np.clip(values, floor, ceiling) - floor) / (ceiling - floor)
    return part.reshape(-1, n_steps).mean(axis=1), weights[::n_steps]


def test_the_points_of_a_sample_count_as_one(iris_model, rng):
    model, X, y = iris_model
    for weight in (None, rng.random(len(y)), (rng.random(len(y)) < 0.5).astype(float)):
        part, weights = parts(model, X, y, weight)
        found = margin_auc_score.standard_error(model, X, y, sample_weight=weight)
        assert found == pytest.approx(by_hand(part, weights))
        assert found < 0.05


def test_of_a_difference_it_is_that_of_the_differences(iris_model):
    model, X, y = iris_model
    other = LogisticRegression(C=0.01).fit(X, y)
    part, weight = parts(model, X, y)
    expected = by_hand(part - parts(other, X, y)[0], weight)
    found = margin_auc_score.standard_error(model, X, y, other=other)
    assert found == pytest.approx(expected)
    assert margin_auc_score.standard_error(other, X, y, other=model) == pytest.approx(found)
    # Two that are much alike are told apart by less than each score is known to.
    alike = LogisticRegression(C=0.9).fit(X, y)
    both = margin_auc_score.standard_error(model, X, y, other=alike)
    assert both < 0.3 * margin_auc_score.standard_error(model, X, y)


@pytest.mark.parametrize("at", ["samples", "neighborhood"])
def test_a_network_does_not_differ_from_itself(iris_model, at):
    """Also where a random part is scored: it is the same part for both."""
    model, X, y = iris_model
    for random_state in (0, np.random.RandomState(0)):
        scorer = make_margin_auc_scorer(
            at=at, floor=-1, ceiling=1, max_samples=50, random_state=random_state
        )
        assert scorer.standard_error(model, X, y, other=model) == 0


@pytest.mark.filterwarnings("ignore:.*are copies of others")
@pytest.mark.parametrize("k", [2, 20])
def test_copies_do_not_make_the_score_look_better_known(iris_model, k):
    model, X, y = iris_model
    once = margin_auc_score.standard_error(model, X, y)
    many = margin_auc_score.standard_error(model, np.repeat(X, k, axis=0), np.repeat(y, k))
    assert many == pytest.approx(once)


@pytest.mark.parametrize("scorer", [
    make_margin_auc_scorer("distance", floor=-0.5, ceiling=0.5), margin_auc_score
], ids=["samples", "default"])  # fmt: skip
def test_it_is_how_far_the_score_moves_from_one_set_of_samples_to_another(scorer):
    X, y = make_classification(
        4000, 4, n_redundant=0, n_informative=3, flip_y=0.2, random_state=0
    )
    one, two = (LogisticRegression(C=C).fit(X[:50], y[:50]) for C in (1e-3, 1.0))
    scores, errors, errors_of_difference = [], [], []
    for start in range(0, 4000, 100):
        part = X[start : start + 100], y[start : start + 100]
        scores.append((scorer(one, *part), scorer(two, *part)))
        errors.append(scorer.standard_error(one, *part))
        errors_of_difference.append(scorer.standard_error(one, *part, other=two))
    scores = np.array(scores)
    assert np.mean(errors) == pytest.approx(scores[:, 0].std(ddof=1), rel=0.35)
    spread = (scores[:, 0] - scores[:, 1]).std(ddof=1)
    assert np.mean(errors_of_difference) == pytest.approx(spread, rel=0.35)
    assert np.mean(errors_of_difference) < 0.8 * np.mean(errors)


def test_of_one_sample_and_of_infinite_margins_there_is_none(iris_model, binary):
    model, X, y = iris_model
    scorer = make_margin_auc_scorer("distance")
    assert np.isnan(scorer.standard_error(model, X[:1], y[:1]))
    weight = (np.arange(len(y)) == 7).astype(float)
    assert np.isnan(scorer.standard_error(model, X, y, sample_weight=weight))
    dead = Spoiled("dead").fit(*binary)
    assert np.isnan(scorer.standard_error(dead, *binary))
    # Between bounds there is.
    assert 0 < margin_auc_score.standard_error(dead, *binary) < 0.1


# --- the scorer that everybody shares -----------------------------------------------------


def as_it_was():
    assert (
        margin_auc_score.get_params() == make_margin_auc_scorer(**asdict(DEFAULT)).get_params()
    )


@pytest.mark.parametrize("name", list(margin_auc_score.get_params()))
def test_a_search_cannot_change_the_default_scorer_for_everybody(name):
    search = GridSearchCV(LogisticRegression(), {"C": [1]}, scoring=margin_auc_score)
    with pytest.raises(AttributeError, match=f"{name}.*make_margin_auc_scorer.*clone"):
        search.set_params(**{f"scoring__{name}": 0.5})
    with pytest.raises(AttributeError, match=f"{name}.*make_margin_auc_scorer.*clone"):
        margin_auc_score.set_params(**{name: 0.5})
    with pytest.raises(AttributeError, match=f"{name}.*make_margin_auc_scorer.*clone"):
        setattr(margin_auc_score, name, 0.5)
    as_it_was()
    # Of a clone of the search the scorer is a clone, too.
    clone(search).set_params(**{f"scoring__{name}": 0.5})
    as_it_was()


def test_what_is_routed_to_the_default_scorer_is_not_changed_for_everybody():
    with sklearn.config_context(enable_metadata_routing=True):
        with pytest.raises(AttributeError, match="make_margin_auc_scorer.*clone"):
            margin_auc_score.set_score_request(sample_weight=True)
        mine = clone(margin_auc_score).set_score_request(sample_weight=True)
        for scorer, expected in ((mine, True), (margin_auc_score, None)):
            request = scorer.get_metadata_routing().score.requests
            assert request["sample_weight"] is expected


@pytest.mark.parametrize(
    "copied", [clone, lambda scorer: make_margin_auc_scorer(**asdict(DEFAULT))]
)
def test_its_copies_can_be_changed(copied, iris_model):
    mine = copied(margin_auc_score)
    expected = margin_auc_score(*iris_model)
    assert mine(*iris_model) == expected
    mine.set_params(floor=-1.0, ceiling=1.0)
    assert mine(*iris_model) != expected
    assert margin_auc_score(*iris_model) == expected
    as_it_was()


def test_the_default_scorer_can_be_pickled_and_copied(iris_model):
    expected = margin_auc_score(*iris_model)
    for other in (
        pickle.loads(pickle.dumps(margin_auc_score)),
        copy.copy(margin_auc_score),
        copy.deepcopy(margin_auc_score),
    ):
        assert other(*iris_model) == expected
        assert repr(other) == repr(margin_auc_score)


# --- as a scorer of scikit-learn ----------------------------------------------------------


def test_scorers_can_be_pickled_cloned_and_read():
    scorer = make_margin_auc_scorer("frobenius", max_samples=10)
    assert repr(scorer) == "MarginAUCScorer(max_samples=10, scale='frobenius')"
    for other in (pickle.loads(pickle.dumps(scorer)), clone(scorer)):
        assert other.get_params() == scorer.get_params()


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


@pytest.mark.parametrize(
    ("kind", "max_samples"),
    [("dense", 2000), ("sparse", 300), ("memory map", 300), ("pipeline", 300)],
)
def test_scoring_streams(kind, max_samples, tmp_path):
    """Memory above the data stays far below the size of the data."""
    n = 45_000
    rng = np.random.default_rng(0)
    if kind == "sparse":
        X = scipy.sparse.random_array((n, 100), density=0.05, random_state=rng, format="csr")
    else:
        # Near a subspace: in noise of 100 dimensions nothing is near.
        X = rng.normal(size=(n, 5)) @ rng.normal(size=(5, 100))
        X += rng.normal(scale=0.1, size=(n, 100))
        if kind == "memory map":
            np.save(tmp_path / "X.npy", X)
            X = np.load(tmp_path / "X.npy", mmap_mode="r")
    y = rng.integers(0, 2, n)
    model = LogisticRegression(max_iter=1)
    if kind == "pipeline":
        model = make_pipeline(StandardScaler(with_mean=False), model)
    with pytest.warns(UserWarning, match="converge"):
        model.fit(X[:1000], y[:1000])
    # A Pipeline transforms all samples at once, as it does to predict.
    transformed = n * 100 * 8 if kind == "pipeline" else 0
    scorer = neighborhood_scorer(**BAND, max_samples=max_samples)
    tracemalloc.start()
    try:
        scorer(model, X, y)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak - transformed < 25e6 < n * 100 * 8
