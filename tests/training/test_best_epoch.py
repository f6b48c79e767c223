import pickle
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

from margin_sklearn import (
    ConvNet,
    LocalityWarning,
    MarginClassifier,
    ResubstitutionSplit,
    margin_auc,
    margin_auc_score,
)
from margin_sklearn.adapters.registry import as_network
from margin_sklearn.neighborhoods import perturbed
from margin_sklearn.neighborhoods.cache import ByteBoundedCache
from margin_sklearn.neighborhoods.perturbed import N_DRAWS, pseudo_points
from margin_sklearn.neighborhoods.transformed_rows import TransformedRows
from margin_sklearn.scales.registry import get_scale
from margin_sklearn.scoring.distribution import DEFAULT
from margin_sklearn.scoring.evaluation import margins_of
from margin_sklearn.scoring.points import PerturbedPoints

SMALL = {"module__hidden_layer_sizes": (16,), "random_state": 0, "device": "cpu"}
BEST = {**SMALL, "restore_best": "margin_auc"}


class InterruptAt(Callback):
    """A user who presses Ctrl-C in the middle of an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_batch_begin(self, net, training=None, **kwargs):
        if len(net.history) == self.epoch:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def noisy():
    """X, y of which a fifth is wrong, and clean samples to test on."""
    X, y = load_digits(return_X_y=True)
    X = StandardScaler().fit_transform(X).astype(np.float32)
    rng = np.random.default_rng(0)
    wrong = rng.random(len(y)) < 0.2
    given = np.where(wrong, (y + rng.integers(1, 10, len(y))) % 10, y)
    return X[:1000], given[:1000], X[1000:], y[1000:]


@pytest.fixture(scope="module")
def restored(noisy):
    """A network of the best epoch on noisy labels; not to be changed."""
    X, y, _, _ = noisy
    return MarginClassifier(
        max_epochs=30,
        lr_schedule="constant",
        restore_best="margin_auc",
        random_state=0,
        device="cpu",
    ).fit(X, y)


def score_of_an_epoch(estimator, X, y, sample_weight=None, max_samples=DEFAULT.max_samples):
    """margin_auc_score, at as many points around each sample as an epoch is scored at."""
    network, index = as_network(estimator), np.searchsorted(estimator.classes_, y)
    network, X = replace(network, transformers=()), network.transform(X)
    points = pseudo_points(network, X, index, max_samples).thinned(N_DRAWS)
    at = PerturbedPoints(TransformedRows(network, X), points)
    margins = margins_of(at, get_scale(DEFAULT.scale))
    weight = np.repeat(points.weights(sample_weight), margins.shape[1])
    unit = points.neighborhood.distance
    floor, ceiling = DEFAULT.floor * unit, DEFAULT.ceiling * unit
    return margin_auc(margins.ravel(), weight, floor=floor, ceiling=ceiling)


def scores(estimator):
    return [row["margin_auc"] for row in estimator.history_]


# --- what is kept -------------------------------------------------------------------------


def test_the_network_kept_is_that_of_the_epoch_with_the_highest_score(restored, noisy):
    X, y, _, _ = noisy
    history = restored.history_[:, "margin_auc"]
    assert len(history) == restored.n_iter_ == 30
    assert restored.best_epoch_ == 1 + np.argmax(history)
    assert 1 < restored.best_epoch_ < 30
    assert score_of_an_epoch(restored, X, y) == pytest.approx(max(history), abs=1e-5)
    # margin_auc_score takes more points.
    assert margin_auc_score(restored, X, y) == pytest.approx(max(history), abs=0.01)


def test_it_is_the_network_that_so_many_epochs_give(restored, noisy):
    X, y, _, _ = noisy
    short = clone(restored).set_params(max_epochs=restored.best_epoch_, restore_best=None)
    short.fit(X, y)
    kept = restored.net_.module_.state_dict()
    # With batch norm's running means, which belong to the epoch, too.
    assert any("running_mean" in name for name in kept)
    for name, value in short.net_.module_.state_dict().items():
        assert torch.equal(value, kept[name]), name


def test_on_noisy_labels_it_is_more_accurate_than_the_last(restored, noisy):
    X, y, X_test, y_test = noisy
    last = clone(restored).set_params(restore_best=None).fit(X, y)
    assert restored.score(X_test, y_test) > last.score(X_test, y_test) + 0.02
    # The training samples would have chosen the last.
    assert restored.score(X, y) < last.score(X, y)


def test_scoring_does_not_touch_the_training(digits):
    X, y = digits
    plain, best = (
        MarginClassifier(**SMALL, max_epochs=4, module__dropout=0.5, restore_best=which)
        for which in (None, "margin_auc")
    )
    state = torch.get_rng_state(), np.random.get_state()[1].copy()
    assert plain.fit(X, y).loss_curve_ == best.fit(X, y).loss_curve_
    assert plain.history_[:, "train_margin"] == best.history_[:, "train_margin"]
    assert torch.equal(torch.get_rng_state(), state[0])
    np.testing.assert_array_equal(np.random.get_state()[1], state[1])
    assert best.net_.module_.training == plain.net_.module_.training


def test_without_it_there_is_no_best_epoch(fitted):
    assert fitted.best_epoch_ is None
    assert "margin_auc" not in fitted.history_[-1]
    with pytest.raises(AttributeError, match="not fitted"):
        _ = MarginClassifier(restore_best="margin_auc").best_epoch_


def test_few_samples_are_scored_at_few_points(iris):
    """margin_auc_score takes more, so the two differ there, a little."""
    X, y = iris[0].astype(np.float32), np.array(["c", "a", "b"])[iris[1]]
    best = MarginClassifier(**BEST, max_epochs=8).fit(X, y)
    assert best.best_epoch_ == 1 + np.argmax(scores(best))
    assert score_of_an_epoch(best, X, y) == pytest.approx(max(scores(best)), abs=1e-5)
    assert margin_auc_score(best, X, y) == pytest.approx(max(scores(best)), abs=0.05)


def test_the_first_of_equal_epochs_is_kept(binary):
    X, y = binary
    # Steps so small that none moves a weight.
    best = MarginClassifier(
        **BEST, max_epochs=3, lr=1e-12, weight_decay=0.0, module__batch_norm=False
    ).fit(X, y)
    assert len(set(scores(best))) == 1
    assert best.best_epoch_ == 1


# --- separation ---------------------------------------------------------------------------


def test_separation_is_that_of_the_network_kept(noisy):
    X, y = noisy[0][:150], noisy[1][:150]
    last, best = (
        MarginClassifier(
            module__hidden_layer_sizes=(256,),
            module__dropout=0.0,
            max_epochs=60,
            lr=5e-3,
            lr_schedule="constant",
            restore_best=which,
            random_state=0,
            device="cpu",
        ).fit(X, y)
        for which in (None, "margin_auc")
    )
    assert last.separated_
    assert last.score(X, y) == 1
    assert not best.separated_
    assert best.score(X, y) < 1
    assert best.separation_epoch_ == last.separation_epoch_ > best.best_epoch_
    # Also where the epoch that separates first is the last of all.
    best.set_params(max_epochs=last.separation_epoch_).fit(X, y)
    assert best.separation_epoch_ == best.n_iter_ > best.best_epoch_
    assert not best.separated_


def test_separation_is_true_where_the_best_epoch_separates(iris):
    X, y = iris[0][iris[1] < 2], iris[1][iris[1] < 2]
    best = MarginClassifier(**BEST, max_epochs=20, lr=1e-2).fit(X, y)
    assert best.score(X, y) == 1
    assert best.separated_


# --- settings -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"restore_best": "accuracy"}, "'accuracy'"),
        ({"restore_best": True}, "True"),
        ({"restore_best": "margin_auc", "stop_at_separation": True}, "stop_at_separation"),
    ],
)
def test_unusable_settings_raise(settings, match, binary):
    with pytest.raises(ValueError, match=match):
        MarginClassifier(**settings).fit(*binary)


def test_it_is_a_parameter_like_others():
    estimator = MarginClassifier(restore_best="margin_auc")
    assert estimator.get_params()["restore_best"] == "margin_auc"
    assert clone(estimator).restore_best == "margin_auc"
    assert "restore_best='margin_auc'" in repr(estimator)
    assert estimator.set_params(restore_best=None).restore_best is None


def test_a_search_over_it_prefers_it_by_margin_auc(noisy):
    X, y, _, _ = noisy
    search = GridSearchCV(
        MarginClassifier(**SMALL, max_epochs=12, lr=1e-2),
        {"restore_best": [None, "margin_auc"]},
        scoring=margin_auc_score,
        cv=ResubstitutionSplit(),
        error_score="raise",
    ).fit(X, y)
    last, best = search.cv_results_["mean_test_score"]
    assert best > last
    assert search.best_params_ == {"restore_best": "margin_auc"}
    assert search.best_estimator_.best_epoch_ < 12
    found = search.best_estimator_
    assert score_of_an_epoch(found, X, y) == pytest.approx(max(scores(found)), abs=1e-5)
    assert search.best_score_ == margin_auc_score(found, X, y)
    assert search.best_score_ == pytest.approx(max(scores(found)), abs=0.01)


# --- data of all kinds --------------------------------------------------------------------


def test_images(images):
    X, y = images[0].astype(np.float32), images[1]
    best = MarginClassifier(
        ConvNet,
        module__channels=(4, 8),
        max_epochs=3,
        restore_best="margin_auc",
        random_state=0,
        device="cpu",
    ).fit(X, y)
    assert best.best_epoch_ == 1 + np.argmax(scores(best))
    assert score_of_an_epoch(best, X, y) == pytest.approx(max(scores(best)), abs=1e-5)


@pytest.mark.parametrize("make", [scipy.sparse.csr_matrix, scipy.sparse.csc_array])
def test_sparse_samples(make, digits):
    X, y = digits[0] * (digits[0] > 0), digits[1]
    settings = {**BEST, "max_epochs": 5}
    dense = MarginClassifier(**settings).fit(X, y)
    sparse = MarginClassifier(**settings).fit(make(X), y)
    np.testing.assert_allclose(scores(sparse), scores(dense), atol=1e-3)
    assert sparse.best_epoch_ == 1 + np.argmax(scores(sparse))
    expected = score_of_an_epoch(sparse, make(X).tocsr(), y)
    assert max(scores(sparse)) == pytest.approx(expected, abs=1e-5)


def test_data_that_are_not_held_as_one_tensor(digits, monkeypatch):
    X, y = digits[0].astype(np.float32), digits[1]
    whole = MarginClassifier(**BEST, max_epochs=3).fit(X, y)
    monkeypatch.setattr("margin_sklearn.data.batches.MAX_RESIDENT_BYTES", 0)
    streamed = MarginClassifier(**BEST, max_epochs=3).fit(X, y)
    assert scores(streamed) == scores(whole)


def test_behind_a_scaler_epochs_are_scored_where_the_network_sees_the_samples(digits):
    X, y = digits
    units = np.logspace(-3, 3, X.shape[1])
    pipeline = make_pipeline(StandardScaler(), MarginClassifier(**BEST, max_epochs=4))
    pipeline.fit(X * units, y)
    expected = score_of_an_epoch(pipeline, X * units, y)
    # Trained in float32, scored on the scaler's float64.
    assert max(scores(pipeline[-1])) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("labels", [np.asarray, lambda y: y.astype(str)])
def test_behind_a_scaler_a_score_has_the_points_of_the_training(labels, digits, monkeypatch):
    """The network sees float32 in both, whatever the scaler returns."""
    X, y = digits
    made = []
    make = perturbed.distinct_rows
    monkeypatch.setattr(
        perturbed, "distinct_rows", lambda *args: made.append(1) or make(*args)
    )
    monkeypatch.setattr(perturbed, "PERTURBED_SAMPLES", ByteBoundedCache(2**28))
    pipeline = make_pipeline(StandardScaler(), MarginClassifier(**BEST, max_epochs=2))
    pipeline.fit(X, labels(y))
    assert len(made) == 1
    margin_auc_score(pipeline, X, labels(y))
    assert len(made) == 1


def test_at_most_so_many_samples_are_scored(noisy, monkeypatch):
    X, y, _, _ = noisy
    monkeypatch.setattr(
        "margin_sklearn.training.best_epoch.SETTINGS", replace(DEFAULT, max_samples=100)
    )
    best = MarginClassifier(**BEST, max_epochs=2).fit(X, y)
    expected = score_of_an_epoch(best, X, y, max_samples=100)
    assert max(scores(best)) == pytest.approx(expected, abs=1e-5)
    assert score_of_an_epoch(best, X, y) != pytest.approx(expected, abs=1e-5)


# --- weights ------------------------------------------------------------------------------


def test_weights_of_samples_weigh_in_the_score(noisy, rng):
    X, y, _, _ = noisy
    weight = rng.random(len(y)) + 0.1
    best = MarginClassifier(**BEST, max_epochs=4).fit(X, y, sample_weight=weight)
    expected = score_of_an_epoch(best, X, y, sample_weight=weight)
    assert max(scores(best)) == pytest.approx(expected, abs=1e-5)
    assert score_of_an_epoch(best, X, y) != pytest.approx(expected, abs=1e-5)


def test_weights_of_classes_weigh_in_the_score(noisy):
    X, y, _, _ = noisy
    of_class = {3: 5.0, 7: 0.5}
    best = MarginClassifier(**BEST, max_epochs=4, class_weight=of_class).fit(X, y)
    weight = np.array([of_class.get(label, 1.0) for label in y])
    expected = score_of_an_epoch(best, X, y, sample_weight=weight)
    assert max(scores(best)) == pytest.approx(expected, abs=1e-5)
    same = MarginClassifier(**BEST, max_epochs=4).fit(X, y, sample_weight=weight)
    assert scores(same) == scores(best)


def test_samples_of_weight_zero_are_not_there(digits):
    X, y = digits
    weight = (np.arange(len(y)) % 3 > 0).astype(float)
    left_out = MarginClassifier(**BEST, max_epochs=3).fit(X, y, sample_weight=weight)
    alone = MarginClassifier(**BEST, max_epochs=3).fit(X[weight > 0], y[weight > 0])
    assert scores(left_out) == scores(alone)


# --- training in parts --------------------------------------------------------------------


def test_a_warm_start_goes_on_from_the_best_and_keeps_the_best_of_what_follows(noisy):
    X, y, _, _ = noisy
    settings = {**BEST, "module__hidden_layer_sizes": (128,), "warm_start": True}
    settings["lr_schedule"] = "constant"
    best = MarginClassifier(**settings, max_epochs=10, lr=2e-2).fit(X, y)
    assert best.best_epoch_ < 10
    weights = [value.clone() for value in best.net_.module_.parameters()]
    # No step moves a weight any more, so these are the weights that it went on from.
    best.set_params(max_epochs=3, lr=1e-12, weight_decay=0.0).fit(X, y)
    for now, then in zip(best.net_.module_.parameters(), weights, strict=True):
        torch.testing.assert_close(now, then)
    assert best.n_iter_ == len(scores(best)) == 13
    assert best.best_epoch_ == 11 + np.argmax(scores(best)[10:])
    assert score_of_an_epoch(best, X, y) == pytest.approx(max(scores(best)[10:]), abs=1e-5)
    best.set_params(restore_best=None)
    with pytest.raises(ValueError, match="restore_best changed"):
        best.fit(X, y)


def test_each_part_of_partial_fit_is_an_epoch_of_its_own(digits):
    X, y = digits[0].astype(np.float32), digits[1]
    best = MarginClassifier(**BEST)
    plain = MarginClassifier(**SMALL)
    for part in (slice(0, 200), slice(200, 400), slice(400, 600)):
        best.partial_fit(X[part], y[part], classes=np.arange(10))
        plain.partial_fit(X[part], y[part], classes=np.arange(10))
        assert best.best_epoch_ == best.n_iter_
        assert scores(best)[-1] == pytest.approx(score_of_an_epoch(best, X[part], y[part]))
    np.testing.assert_array_equal(best.decision_function(X), plain.decision_function(X))


def test_a_part_may_hold_one_class_only(digits):
    X, y = digits
    best = MarginClassifier(**BEST)
    best.partial_fit(X[y == 3], y[y == 3], classes=np.arange(10))
    assert best.best_epoch_ == 1


def test_an_interrupted_training_ends_with_the_best_epoch_so_far(noisy):
    X, y, _, _ = noisy
    best = MarginClassifier(**BEST, max_epochs=9, callbacks=[InterruptAt(4)])
    with pytest.warns(UserWarning, match="interrupted after 3 epochs"):
        best.fit(X, y)
    finished = [row["margin_auc"] for row in best.history_[:3]]
    assert best.best_epoch_ == 1 + np.argmax(finished)
    assert score_of_an_epoch(best, X, y) == pytest.approx(max(finished), abs=1e-5)
    stopped = MarginClassifier(**BEST, max_epochs=9, callbacks=[InterruptAt(1)])
    with pytest.warns(UserWarning, match="interrupted after 0 epochs"):
        stopped.fit(X, y)
    assert stopped.best_epoch_ is None
    assert stopped.predict(X).shape == y.shape


# --- what is left -------------------------------------------------------------------------


def test_a_pickle_holds_the_network_and_not_the_samples(restored, noisy):
    X, y, _, _ = noisy
    pickled = pickle.dumps(restored)
    plain = clone(restored).set_params(restore_best=None, max_epochs=30).fit(X, y)
    assert len(pickled) < len(pickle.dumps(plain)) + 10_000
    copy = pickle.loads(pickled)
    assert copy.best_epoch_ == restored.best_epoch_
    assert copy.separated_ == restored.separated_
    np.testing.assert_array_equal(copy.decision_function(X), restored.decision_function(X))
    assert margin_auc_score(copy, X, y) == margin_auc_score(restored, X, y)


def test_a_pickled_warm_start_goes_on(digits):
    X, y = digits
    best = MarginClassifier(**BEST, max_epochs=3, warm_start=True).fit(X, y)
    copy = pickle.loads(pickle.dumps(best))
    best.fit(X, y)
    copy.fit(X, y)
    assert scores(copy) == scores(best)
    assert copy.best_epoch_ == best.best_epoch_


def test_the_table_of_epochs_shows_the_score(iris, capsys):
    MarginClassifier(**BEST, max_epochs=2, verbose=2).fit(*iris)
    printed = capsys.readouterr().out
    assert "margin_auc" in printed


def test_the_warning_of_missing_locality_is_given_once(rng):
    X, y = rng.normal(size=(150, 60)), np.arange(150) % 2
    with pytest.warns(LocalityWarning) as record:
        MarginClassifier(**BEST, max_epochs=3).fit(X, y)
    assert len(record) == 1


def test_networks_fitted_on_the_same_samples_share_their_points(noisy, monkeypatch):
    X, y, _, _ = noisy
    MarginClassifier(**BEST, max_epochs=1).fit(X, y)

    def fail(*args, **kwargs):
        raise AssertionError("neighbors were looked for again")

    monkeypatch.setattr("margin_sklearn.neighborhoods.perturbed.local_neighborhood", fail)
    other = MarginClassifier(**BEST, max_epochs=1, lr=0.1).fit(X, y)
    with pytest.raises(AssertionError, match="again"):
        other.fit(X[1:], y[1:])


# --- training that continues ----------------------------------------------------------------


@pytest.mark.parametrize("partial", [True, False])
def test_the_weights_it_begins_with_take_part(noisy, partial):
    """So the score that is kept cannot fall."""
    X, y, _, _ = noisy
    X, y = X[:300], y[:300]
    best = MarginClassifier(**BEST, max_epochs=4, lr=1e-2, warm_start=True).fit(X, y)
    # Steps that can only do harm.
    best.set_params(lr=10.0, max_epochs=2)
    for _ in range(2):
        kept, epoch = score_of_an_epoch(best, X, y), best.best_epoch_
        weights = {k: v.clone() for k, v in best.net_.module_.state_dict().items()}
        best.partial_fit(X, y) if partial else best.fit(X, y)
        assert score_of_an_epoch(best, X, y) >= kept - 1e-9
        assert best.best_epoch_ == epoch
        for name, value in best.net_.module_.state_dict().items():
            assert torch.equal(value, weights[name])
    assert best.n_iter_ == (6 if partial else 8)
