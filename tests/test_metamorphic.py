"""What must not change a score, or a fit, does not: on every kind of network."""

import copy
import warnings

import numpy as np
import pytest
import scipy.sparse
import skorch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_iris, make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler, scale

from margin_sklearn import (
    LocalityWarning,
    MarginClassifier,
    make_margin_auc_scorer,
    margin_auc_score,
    margins,
)
from margin_sklearn.adapters.registry import as_network
from margin_sklearn.neighborhoods.perturbed import distance_unit

KINDS = ("MarginClassifier", "skorch", "MLPClassifier", "LogisticRegression")
SCORERS = {
    "default": margin_auc_score,
    "distance": make_margin_auc_scorer("distance", floor=-0.5, ceiling=0.5),
}
on_every_kind = pytest.mark.parametrize("kind", KINDS)
by_every_scorer = pytest.mark.parametrize("scorer", SCORERS.values(), ids=SCORERS)
# Copies are told of; here it is what they do that is looked at.
pytestmark = pytest.mark.filterwarnings("ignore:.*are copies of others")


def make(kind, X, y):
    """A fitted network without batch norm or dropout: its first layer can be rewritten."""
    if kind == "MarginClassifier":
        return MarginClassifier(
            # The first layer is adapted to the inputs, so it must be linear.
            module__embeddings=None,
            module__hidden_layer_sizes=(24,),
            module__batch_norm=False,
            module__dropout=0.0,
            lr=1e-2,
            max_epochs=10,
            random_state=0,
            device="cpu",
        ).fit(X, y)
    if kind == "skorch":
        torch.manual_seed(0)
        module = torch.nn.Sequential(
            torch.nn.Linear(X.shape[1], 24), torch.nn.ReLU(), torch.nn.Linear(24, 3)
        )
        return skorch.NeuralNetClassifier(
            module,
            criterion=torch.nn.CrossEntropyLoss,
            lr=0.2,
            max_epochs=20,
            train_split=None,
            verbose=0,
        ).fit(np.float32(X), y)
    if kind == "MLPClassifier":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return MLPClassifier((24,), max_iter=40, random_state=0).fit(X, y)
    return LogisticRegression().fit(X, y)


@pytest.fixture(scope="module")
def data():
    X, y = make_classification(
        240, 5, n_informative=4, n_redundant=0, n_classes=3, flip_y=0.15, random_state=1
    )
    return np.float32(X).astype(float), y


@pytest.fixture(scope="module")
def models(data):
    return {kind: make(kind, *data) for kind in KINDS}


def weights_of(model):
    """The first layer: (weight of shape (n_units, n_features), bias), to be changed."""
    if isinstance(model, MLPClassifier):
        return model.coefs_[0].T, model.intercepts_[0]
    if isinstance(model, LogisticRegression):
        return model.coef_, model.intercept_
    module = model.net_.module_ if isinstance(model, MarginClassifier) else model.module_
    return module[0].weight.detach().numpy(), module[0].bias.detach().numpy()


def seeing(model, matrix, offset=0.0):
    """The network that does to ``X @ matrix + offset`` what ``model`` does to ``X``."""
    model = copy.deepcopy(model)
    weight, bias = weights_of(model)
    weight[:] = weight @ np.linalg.inv(matrix).T
    bias -= weight @ np.broadcast_to(offset, weight.shape[1])
    return model


def as_taken(kind, X):
    return np.float32(X) if kind == "skorch" else X


# --- order and repetition -----------------------------------------------------------------


@on_every_kind
@by_every_scorer
def test_the_order_of_the_samples(models, data, kind, scorer, rng):
    X, y = data
    X = as_taken(kind, X)
    expected = scorer(models[kind], X, y)
    for _ in range(3):
        order = rng.permutation(len(y))
        found = scorer(models[kind], X[order], y[order])
        assert found == pytest.approx(expected, abs=1e-9)


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1), st.integers(30, 240), st.booleans())
def test_the_order_of_any_samples(models, data, seed, n, whole_numbers):
    """Also where distances tie, as on a grid of whole numbers."""
    rng = np.random.default_rng(seed)
    X, y = data[0][:n], data[1][:n]
    if whole_numbers:
        X = X.round()
    order = rng.permutation(n)
    model = models["MLPClassifier"]
    assert margin_auc_score(model, X[order], y[order]) == pytest.approx(
        margin_auc_score(model, X, y), abs=1e-6
    )


@on_every_kind
@by_every_scorer
@pytest.mark.parametrize("k", [2, 20, 50])
def test_repeating_all_samples(models, data, kind, scorer, k):
    X, y = as_taken(kind, data[0]), data[1]
    expected = scorer(models[kind], X, y)
    found = scorer(models[kind], np.repeat(X, k, axis=0), np.repeat(y, k))
    # At samples, 2,000 of the repeated ones are drawn.
    drawn = scorer.at == "samples" and k * len(y) > scorer.max_samples
    error = scorer.standard_error(models[kind], X, y)
    assert found == pytest.approx(expected, abs=error if drawn else 1e-9)


@on_every_kind
def test_repeating_one_class_is_weighing_it(models, data, kind):
    """What an oversampler does, 1 : 50."""
    X, y = as_taken(kind, data[0]), data[1]
    rare = np.flatnonzero(y == 2)[:4]
    kept = np.concatenate([np.flatnonzero(y != 2), rare])
    again = np.concatenate([kept, np.repeat(rare, 49)])
    weight = np.where(y[kept] == 2, 50.0, 1.0)
    expected = margin_auc_score(models[kind], X[kept], y[kept], sample_weight=weight)
    assert margin_auc_score(models[kind], X[again], y[again]) == pytest.approx(expected)


def test_contradictory_labels_of_copies_count_as_often_as_they_are_given(models, data):
    """A row three times as class 0 and once as class 1 is three quarters of class 0."""
    X, y = data
    model = models["MLPClassifier"]
    rows = np.repeat(X, 4, axis=0)
    other = (y + 1) % 3
    labels = np.stack([y, y, y, other], axis=1).ravel()
    values, weight, *_ = margin_auc_score.distribution(model, rows, labels)
    assert weight.sum() == pytest.approx(len(labels) * len(values) / (2 * len(y)))
    points = np.average(values > 0, weights=weight)
    # The same points with either label: right with one at most.
    one, _, *_ = margin_auc_score.distribution(model, X, y)
    assert 0 < points < 1
    assert len(values) == 2 * len(one)


# --- coordinates --------------------------------------------------------------------------


@on_every_kind
@pytest.mark.parametrize("factor", [3.0, 1e-3, 1e20, 1e-20])
def test_the_unit_of_the_inputs(models, data, kind, factor):
    X, y = data
    expected = margin_auc_score(models[kind], as_taken(kind, X), y)
    model = seeing(models[kind], factor * np.eye(5))
    found = margin_auc_score(model, as_taken(kind, factor * X), y)
    assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("factor", [1e150, 1e-150, 1e200])
def test_units_that_only_float64_has(models, data, factor):
    X, y = data
    for kind in ("MLPClassifier", "LogisticRegression"):
        expected = margin_auc_score(models[kind], X, y)
        model = seeing(models[kind], factor * np.eye(5))
        assert margin_auc_score(model, factor * X, y) == pytest.approx(expected, abs=1e-6)
    with pytest.raises(ValueError, match="too large for float32"):
        margin_auc_score(models["MarginClassifier"], 1e150 * X, y)


@on_every_kind
@pytest.mark.parametrize("offset", [1.0, 1000.0])
def test_the_origin_of_the_inputs(models, data, kind, offset):
    X, y = data
    scorer = margin_auc_score
    expected = scorer(models[kind], as_taken(kind, X), y)
    found = scorer(seeing(models[kind], np.eye(5), offset), as_taken(kind, X + offset), y)
    error = scorer.standard_error(models[kind], as_taken(kind, X), y)
    assert found == pytest.approx(expected, abs=error / 10)


@on_every_kind
def test_the_axes_of_the_inputs(models, data, kind, rng):
    X, y = data
    rotation = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    expected = margin_auc_score(models[kind], as_taken(kind, X), y)
    found = margin_auc_score(seeing(models[kind], rotation), as_taken(kind, X @ rotation), y)
    error = margin_auc_score.standard_error(models[kind], as_taken(kind, X), y)
    assert found == pytest.approx(expected, abs=error / 10)


@pytest.mark.parametrize("factor", [1e3, 1e9, 1e30, 1e200])
def test_one_cell_far_off_moves_no_distance(models, data, factor):
    X, y = data
    network = as_network(models["MLPClassifier"])
    expected = distance_unit(network, X)
    X = X.copy()
    X[7, 2] = factor
    assert distance_unit(network, X) == pytest.approx(expected, rel=0.02)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert 0.3 < margin_auc_score(models["MLPClassifier"], X, y) < 1


def test_sentinel_values_hide_no_neighbors(models, rng):
    """Half of the rows at 1e9: their squares have no room for distances of about 1."""
    network = as_network(models["MLPClassifier"])
    X = rng.normal(size=(200, 5))
    expected = distance_unit(network, X)
    far = X.copy()
    far[::2, 0] = 1e9
    near = X.copy()
    near[::2, 0] = 0
    near[1::2, 0] += 50
    far[1::2, 0] += 50
    assert distance_unit(network, far) == pytest.approx(distance_unit(network, near))
    assert distance_unit(network, far) < 1.5 * expected


@pytest.mark.parametrize("at", [1e6, 1e9])
@pytest.mark.parametrize(
    "form", [scipy.sparse.csr_array, scipy.sparse.csc_matrix, scipy.sparse.coo_array]
)
def test_sparse_is_dense(data, form, at, rng):
    X, y = data
    X = np.where(rng.random(X.shape) < 0.5, 0.0, X)
    X = np.c_[X, np.full(len(X), at)]
    model = LogisticRegression().fit(X[:, :5], y)
    expected = margin_auc_score(model, X[:, :5], y)
    model.coef_, model.n_features_in_ = np.c_[model.coef_, np.zeros(3)], 6
    for scorer in SCORERS.values():
        dense = scorer(model, X, y)
        assert scorer(model, form(X), y) == pytest.approx(dense, abs=1e-6)
    # A constant column tells nothing.
    assert margin_auc_score(model, form(X), y) == pytest.approx(expected, abs=1e-6)


# --- labels and weights -------------------------------------------------------------------


@on_every_kind
@by_every_scorer
def test_the_names_of_the_classes(models, data, kind, scorer):
    X, y = as_taken(kind, data[0]), data[1]
    order = np.array([2, 0, 1])
    model = copy.deepcopy(models[kind])
    if kind == "LogisticRegression":
        model.coef_, model.intercept_ = model.coef_[order], model.intercept_[order]
    elif kind == "MLPClassifier":
        model.coefs_[-1] = model.coefs_[-1][:, order]
        model.intercepts_[-1] = model.intercepts_[-1][order]
    else:
        module = model.net_.module_ if kind == "MarginClassifier" else model.module_
        with torch.no_grad():
            module[-1].weight.copy_(module[-1].weight[order].clone())
            module[-1].bias.copy_(module[-1].bias[order].clone())
    named = np.argsort(order)[y]
    expected = scorer(models[kind], X, y)
    assert scorer(model, X, named) == pytest.approx(expected, abs=1e-6)


@on_every_kind
@by_every_scorer
def test_weights_of_one_and_in_proportion(models, data, kind, scorer):
    X, y = as_taken(kind, data[0]), data[1]
    expected = scorer(models[kind], X, y)
    for weight in (1.0, 1e-8, 1e8):
        weighted = scorer(models[kind], X, y, sample_weight=np.full(len(y), weight))
        assert weighted == pytest.approx(expected, abs=1e-9)


@on_every_kind
def test_the_random_state_of_the_scorer_has_nothing_to_choose(models, data, kind):
    X, y = as_taken(kind, data[0]), data[1]
    scores = {
        make_margin_auc_scorer(
            at="neighborhood", floor=-0.07, ceiling=0.07, random_state=seed
        )(models[kind], X, y)
        for seed in range(3)
    }
    assert scores == {margin_auc_score(models[kind], X, y)}


# --- what copies used to do: memorisers won -----------------------------------------------


def twice(X, y, rng):
    return np.repeat(X, 2, axis=0), np.repeat(y, 2)


def bootstrap(X, y, rng):
    row = rng.integers(len(X), size=len(X) * 7 // 5)
    return X[row], y[row]


def fifth(X, y, rng):
    """A fifth of the rows twice."""
    row = np.r_[np.arange(len(X)), np.arange(len(X) // 5)]
    return X[row], y[row]


def jittered(size):
    def copies(X, y, rng):
        other = X + size * X.std(axis=0) * rng.normal(size=X.shape)
        return np.concatenate([X, other]), np.concatenate([y, y])

    return copies


def measured_five_times(X, y, rng):
    X, y = np.repeat(X[:150], 5, axis=0), np.repeat(y[:150], 5)
    return X + 0.05 * X.std(axis=0) * rng.normal(size=X.shape), y


@pytest.mark.parametrize(
    "copied",
    [twice, bootstrap, fifth, jittered(1e-3), jittered(0.05), measured_five_times],
    ids=["twice", "bootstrap", "a fifth", "jitter 1e-3", "jitter .05", "measured"],
)
def test_copies_do_not_make_a_memoriser_win(copied, rng):
    X, clean = make_classification(
        2300, 12, n_informative=8, n_redundant=0, class_sep=1.5, random_state=0
    )
    X = StandardScaler().fit_transform(X)
    noisy = np.where(rng.random(300) < 0.2, 1 - clean[:300], clean[:300])
    X_train, y_train = copied(X[:300], noisy, rng)
    memoriser, smooth = (
        MLPClassifier(
            (64,), alpha=alpha, max_iter=200, learning_rate_init=1e-2, random_state=0
        )
        for alpha in (1e-5, 5.0)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        memoriser.fit(X_train, y_train)
        smooth.fit(X_train, y_train)
    assert memoriser.score(X_train, y_train) > smooth.score(X_train, y_train) + 0.08
    assert memoriser.score(X[300:], clean[300:]) < smooth.score(X[300:], clean[300:]) - 0.05
    memorised, learned = (
        margin_auc_score(model, X_train, y_train) for model in (memoriser, smooth)
    )
    # Right on its own labels, wrong ones included, it scored up to 1 once.
    assert memorised < min(learned, 0.85)


@pytest.mark.filterwarnings("default:.*are copies of others")
def test_copies_are_told_of_once(models, data):
    X, y = data
    X, y = np.repeat(X + 0.5, 2, axis=0), np.repeat(y, 2)
    with pytest.warns(LocalityWarning, match="50% of the 480 samples are copies"):
        margin_auc_score(models["MLPClassifier"], X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        margin_auc_score(models["MLPClassifier"], X, y)


@pytest.mark.filterwarnings("error")
def test_a_few_copies_are_not_worth_a_word():
    X, y = load_iris(return_X_y=True)
    margin_auc_score(LogisticRegression(max_iter=1000).fit(X, y), X, y)


def test_restore_best_sees_through_copies(rng):
    """Training goes on until wrong labels are learned; the best epoch comes before."""
    X, clean = make_classification(
        2300, 12, n_informative=8, n_redundant=0, class_sep=1.5, random_state=0
    )
    X = StandardScaler().fit_transform(X)
    y = np.where(rng.random(300) < 0.2, 1 - clean[:300], clean[:300])
    X_train, y_train = jittered(1e-3)(X[:300], y, rng)
    network = MarginClassifier(
        module__dropout=0.0,
        module__batch_norm=False,
        max_epochs=60,
        restore_best="margin_auc",
        random_state=0,
        device="cpu",
    ).fit(X_train, y_train)
    assert network.best_epoch_ < 30
    last = MarginClassifier(**network.get_params() | {"restore_best": None})
    last.fit(X_train, y_train)
    test = X[300:], clean[300:]
    assert network.score(*test) > last.score(*test) + 0.03


# --- rows by themselves -------------------------------------------------------------------


@on_every_kind
def test_a_margin_is_that_of_its_sample_alone(models, data, kind):
    X, y = as_taken(kind, data[0]), data[1]
    for name in (None, "distance"):
        whole = margins(models[kind], X, y, scale=name)
        parts = np.concatenate(
            [margins(models[kind], X[i : i + 50], y[i : i + 50], scale=name)
             for i in range(0, len(y), 50)]
        )  # fmt: skip
        np.testing.assert_allclose(parts, whole, rtol=1e-4, atol=1e-5)


def test_a_transformer_that_looks_at_all_rows_is_given_them_all(rng):
    """Prepared as ``predict`` prepares them, not in pieces: signs agree with it."""
    X = rng.normal(size=(30_000, 3))
    y = (X[:, 0] + 0.3 * rng.normal(size=len(X)) > 0).astype(int)
    order = np.argsort(X[:, 0])
    X, y = X[order], y[order]
    model = make_pipeline(FunctionTransformer(scale), LogisticRegression()).fit(X, y)
    right = model.predict(X) == y
    for name in (None, "distance", "frobenius"):
        np.testing.assert_array_equal(margins(model, X, y, scale=name) > 0, right)
    alone = margin_auc_score(model[-1], scale(X), y)
    assert margin_auc_score(model, X, y) == pytest.approx(alone, abs=1e-9)


def test_sparse_coefficients_are_coefficients(models, data):
    X, y = data
    model = copy.deepcopy(models["LogisticRegression"])
    expected = margin_auc_score(model, X, y)
    assert margin_auc_score(model.sparsify(), X, y) == pytest.approx(expected)
    np.testing.assert_array_equal(margins(model, X, y) > 0, model.predict(X) == y)


def test_a_threshold_of_ones_own_is_refused(binary):
    X, y = binary
    for model in (
        TunedThresholdClassifierCV(LogisticRegression()),
        FixedThresholdClassifier(LogisticRegression(), threshold=0.3),
    ):
        with pytest.raises(TypeError, match="threshold of its own.*estimator_"):
            margin_auc_score(model.fit(X, y), X, y)
        assert margin_auc_score(model.estimator_, X, y) > 0.5
