"""Wrong labels are found by the margins of the first epochs."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback, EarlyStopping

from margin_sklearn import (
    ConvNet,
    LabelErrorDetector,
    MarginClassifier,
    NotSeparatedWarning,
    margin_auc_score,
    margins,
)
from margin_sklearn.classifier.together import Fit, fit_together
from margin_sklearn.subsets.label_noise import THRESHOLD, quality, relative_areas
from margin_sklearn.training.early_margins import EpochMargins, n_early

SMALL = {"module__hidden_layer_sizes": (32,), "random_state": 0, "device": "cpu"}


def network(**settings):
    return MarginClassifier(**{**SMALL, **settings})


def detector(estimator=None, **settings):
    return LabelErrorDetector(estimator or network(), **{"random_state": 0, **settings})


@pytest.fixture(scope="module")
def noisy(digits):
    """Data with a tenth of the labels wrong, which they are, and the right labels."""
    X, y = digits
    rng = np.random.default_rng(0)
    wrong = rng.random(len(y)) < 0.1
    given_labels = np.where(wrong, (y + rng.integers(1, 10, len(y))) % 10, y)
    return X, given_labels, wrong, y


@pytest.fixture(scope="module")
def found(noisy):
    X, y, *_ = noisy
    return detector().fit(X, y)


# --- what is found ------------------------------------------------------------------


def test_it_finds_wrong_labels_and_suggests_right_ones(found, noisy):
    _, y, wrong, right = noisy
    suspects = found.suspects_
    assert wrong[suspects].mean() > 0.8
    assert suspects[wrong].mean() > 0.8
    assert (found.suggested_labels_[suspects & wrong] == right[suspects & wrong]).mean() > 0.9
    assert (found.suggested_labels_[suspects] != y[suspects]).all()
    assert (found.suggested_labels_[~wrong] == y[~wrong]).mean() > 0.9


def test_clean_labels_are_left_alone(digits):
    X, y = digits
    assert detector().fit(X, y).suspects_.mean() < 0.02


def test_answers_agree_with_one_another(found, noisy):
    _, y, *_ = noisy
    relative = relative_areas(found.aum_)
    np.testing.assert_array_equal(found.suspects_, relative < THRESHOLD)
    np.testing.assert_array_equal(found.quality_, quality(relative))
    assert ((found.quality_ >= 0) & (found.quality_ <= 1)).all()
    order = np.argsort(found.ranking_)
    assert (np.diff(found.aum_[order]) >= 0).all()
    assert sorted(found.ranking_) == list(range(1, len(y) + 1))
    np.testing.assert_array_equal(found.sample_indices_, np.flatnonzero(~found.suspects_))
    n = found.suspects_.sum()
    report = found.report_
    assert report.index.tolist() == order[:n].tolist()
    assert [*report] == ["given", "suggested", "probability", "quality"]
    np.testing.assert_array_equal(report["given"], y[report.index])
    np.testing.assert_array_equal(report["suggested"], found.suggested_labels_[report.index])
    assert report["probability"].between(0, 1).all()
    pairs = found.pairs_
    assert pairs["n_suspects"].sum() == n
    assert (pairs["given"] != pairs["suggested"]).all()
    assert pairs["n_suspects"].is_monotonic_decreasing
    first = pairs.iloc[0]
    assert first["share"] == pytest.approx(first["n_suspects"] / (y == first["given"]).sum())


def test_the_area_is_the_mean_margin_of_the_first_epochs(noisy, found):
    X, y, *_ = noisy
    (result,) = fit_together([Fit(network(), X, y)], watch=EpochMargins)
    rows = torch.stack(result.watch.rows)
    np.testing.assert_allclose(found.aum_, rows[:10].mean(dim=0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("epochs", "n"), [(0, 0), (1, 1), (4, 4), (8, 5), (12, 6), (20, 10), (200, 10)]
)
def test_epochs_that_count(epochs, n):
    assert n_early(epochs) == n


def test_a_training_that_ends_early_counts_as_far_as_it_came(noisy):
    class Stop(Callback):
        def on_batch_begin(self, net, **kwargs):
            if len(net.history) == 8:
                raise KeyboardInterrupt

    X, y, *_ = noisy
    with pytest.warns(UserWarning, match="interrupted"):
        stopped = detector(network(callbacks=[Stop()])).fit(X, y)
    # Whoever presses Ctrl-C does not want another training.
    assert stopped.estimator_.n_iter_ < 8
    (result,) = fit_together([Fit(network(), X, y)], watch=EpochMargins)
    means = torch.stack(result.watch.rows)[: n_early(stopped.estimator_.n_iter_)].mean(dim=0)
    np.testing.assert_allclose(stopped.aum_, means, rtol=1e-4, atol=1e-5)


class StopAfter(Callback):
    """Ends training as skorch's EarlyStopping does."""

    def __init__(self, epochs):
        self.epochs = epochs

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == self.epochs:
            raise KeyboardInterrupt


@pytest.mark.parametrize("epochs", [1, 2, 6])
def test_callbacks_that_end_training_early(noisy, epochs):
    X, y, *_ = noisy
    model = detector(network(callbacks=[StopAfter(epochs)]), refit=False)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model.fit(X, y)
    assert model.estimator_.n_iter_ == epochs
    few = [each for each in told if "Labels are judged by the margins of" in str(each.message)]
    assert len(few) == (epochs < 5)
    assert all(each.filename == __file__ for each in few)
    (result,) = fit_together([Fit(network(), X, y)], watch=EpochMargins)
    means = torch.stack(result.watch.rows)[: n_early(epochs)].mean(dim=0)
    np.testing.assert_allclose(model.aum_, means, rtol=1e-4, atol=1e-5)
    # The suggestions are those of the same epochs.
    p = model.report_["probability"]
    assert p.between(0, 1).all()


def test_skorchs_early_stopping(noisy):
    X, y, *_ = noisy
    stopping = EarlyStopping("train_loss", patience=2, threshold=0.6, threshold_mode="rel")
    model = detector(network(callbacks=[stopping]), refit=False, threshold=-9)
    with pytest.warns(UserWarning, match=r"margins of [1-4] epochs? only.*callbacks"):
        model.fit(X, y)
    assert model.estimator_.n_iter_ < 5


def test_separation_in_few_epochs(iris):
    X, y = iris
    model = network(stop_at_separation=0.3, lr=0.05, lr_schedule="constant")
    with pytest.warns(UserWarning, match="stop_at_separation=False") as told:
        detector(model, threshold=-9).fit(X, y)
    assert "of 1 epoch only" in str(told[0].message)


@pytest.mark.parametrize("refit", [False, True])
def test_not_separated(noisy, refit):
    """Told once, of the network that predicts."""
    X, y, *_ = noisy
    model = network(stop_at_separation=True, max_epochs=6)
    with pytest.warns(NotSeparatedWarning, match="after 6 epochs") as told:
        detector(model, refit=refit).fit(X, y)
    assert len(told) == 1
    assert told[0].filename == __file__
    # No suspects, hence no refit.
    with pytest.warns(NotSeparatedWarning) as told:
        detector(model, threshold=-99).fit(X, y)
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        detector(network(max_epochs=6), refit=refit).fit(X, y)


@pytest.mark.parametrize("names", [list("abcdefghij"), np.arange(10) * 7 - 3])
def test_names_of_the_classes_do_not_matter(noisy, found, names):
    X, y, *_ = noisy
    names = np.sort(np.asarray(names))
    named = detector().fit(X, names[y])
    np.testing.assert_array_equal(named.aum_, found.aum_)
    np.testing.assert_array_equal(named.suggested_labels_, names[found.suggested_labels_])
    assert named.classes_.tolist() == names.tolist()


# --- settings -----------------------------------------------------------------------


def test_lower_thresholds_flag_fewer(noisy):
    X, y, *_ = noisy
    masks = [
        detector(threshold=each, refit=False).fit(X, y).suspects_ for each in (-2, -0.5, 0)
    ]
    assert (masks[0] <= masks[1]).all()
    assert (masks[1] <= masks[2]).all()
    assert masks[0].sum() < masks[1].sum() < masks[2].sum()


def test_several_networks_average_their_areas(noisy):
    X, y, *_ = noisy
    several = detector(n_networks=3, refit=False).fit(X, y)
    seeds = np.random.RandomState(np.random.RandomState(0).randint(2**31 - 1))
    models = [
        network(),
        *(network(random_state=seeds.randint(2**31 - 1)) for _ in range(2)),
    ]
    areas = [detector(each, refit=False).fit(X, y).aum_ for each in models]
    # Stacked, hence equal up to rounding, which AdamW magnifies.
    assert np.corrcoef(several.aum_, np.mean(areas, axis=0))[0, 1] > 0.999
    np.testing.assert_array_equal(
        several.suspects_, detector(n_networks=3).fit(X, y).suspects_
    )


def test_refit_is_a_fit_without_the_suspects(noisy, found):
    X, y, *_ = noisy
    kept = ~found.suspects_
    expected = network().fit(X[kept], y[kept])
    np.testing.assert_array_equal(found.predict_proba(X), expected.predict_proba(X))
    plain = detector(refit=False).fit(X, y)
    np.testing.assert_array_equal(plain.aum_, found.aum_)
    np.testing.assert_array_equal(plain.predict(X), network().fit(X, y).predict(X))


def test_the_same_seed_gives_the_same_answers(noisy):
    X, y, *_ = noisy
    model = detector(network(random_state=None, max_epochs=5), random_state=3)
    one, two = clone(model).fit(X, y), clone(model).fit(X, y)
    np.testing.assert_array_equal(one.aum_, two.aum_)
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))
    other = clone(model).set_params(random_state=4).fit(X, y)
    assert not np.array_equal(one.aum_, other.aum_)


# --- as an estimator ----------------------------------------------------------------


def test_pipelines_frames_and_pickles(noisy):
    X, y, *_ = noisy
    frame = pd.DataFrame(X, columns=[f"p{i}" for i in range(64)]).set_index(
        pd.Index([f"row {i}" for i in range(len(X))])
    )
    before = frame.copy()
    model = detector(make_pipeline(StandardScaler(), network()))
    model.fit(frame, pd.Series(y, index=frame.index))
    pd.testing.assert_frame_equal(frame, before)
    order = np.argsort(model.ranking_)[: model.suspects_.sum()]
    assert model.report_.index.tolist() == [f"row {i}" for i in order]
    assert model.feature_names_in_.tolist() == list(frame.columns)
    assert model.predict(frame).shape == y.shape
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(frame), model.predict_proba(frame))
    kept, labels = model.fit_resample(frame, pd.Series(y, index=frame.index))
    assert kept.index.tolist() == labels.index.tolist() == [*frame.index[~model.suspects_]]


def test_levels_of_an_index_are_kept(noisy):
    X, y, *_ = noisy
    levels = pd.MultiIndex.from_arrays(
        [np.arange(len(X)) // 7, np.arange(len(X)) % 7], names=["patient", "visit"]
    )
    model = detector(network(max_epochs=8), refit=False)
    report = model.fit(pd.DataFrame(X, index=levels), y).report_
    assert report.index.names == ["patient", "visit"]
    order = np.argsort(model.ranking_)[: model.suspects_.sum()]
    pd.testing.assert_index_equal(report.index, levels[order])
    assert report.xs(levels[order[0]])["given"] == y[order[0]]


def test_images_and_sparse_tables(images, noisy):
    X, y = images
    convnet = MarginClassifier(
        ConvNet, module__channels=(4,), max_epochs=6, device="cpu", random_state=0
    )
    assert detector(convnet).fit(X, y).suspects_.mean() < 0.3
    X, y, wrong, _ = noisy
    sparse = detector(network(max_epochs=10)).fit(scipy.sparse.csr_matrix(X), y)
    assert wrong[sparse.suspects_].mean() > 0.5


def test_array_likes_are_arrays(noisy, found):
    class ArrayLike:
        def __init__(self, values):
            self.values = values

        def __len__(self):
            return len(self.values)

        def __array__(self, dtype=None, copy=None):
            return np.asarray(self.values, dtype)

    X, y, *_ = noisy
    as_array, as_other = found, detector().fit(ArrayLike(X), ArrayLike(y))
    assert as_array.suspects_.any()  # so that rows of X are taken for the second fit
    np.testing.assert_array_equal(as_other.predict_proba(X), as_array.predict_proba(X))
    rows, labels = detector(refit=False).fit_resample(ArrayLike(X), ArrayLike(y))
    np.testing.assert_array_equal(rows, X[~as_array.suspects_])
    np.testing.assert_array_equal(labels, y[~as_array.suspects_])


def test_it_is_scored_and_searched_like_others(noisy):
    X, y, _, right = noisy
    model = detector(network(max_epochs=8))
    assert cross_val_score(model, X, y, cv=2).min() > 0.6
    model.fit(X, y)
    assert model.score(X, right) > 0.9
    assert margin_auc_score(model, X, right) == margin_auc_score(model.estimator_, X, right)
    np.testing.assert_array_equal(margins(model, X, y), margins(model.estimator_, X, y))


def test_in_imbalanced_learns_pipeline(noisy):
    pipelines = pytest.importorskip("imblearn.pipeline")
    X, y, wrong, _ = noisy
    model = pipelines.make_pipeline(
        StandardScaler(), detector(refit=False), LogisticRegression()
    )
    model.fit(X, y)
    step = model[1]
    assert wrong[step.suspects_].mean() > 0.8
    expected = LogisticRegression().fit(
        StandardScaler().fit_transform(X)[~step.suspects_], y[~step.suspects_]
    )
    np.testing.assert_allclose(model[2].coef_, expected.coef_)


# --- bad input ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"threshold": "low"}, ValueError, "threshold.*'low'"),
        ({"threshold": np.nan}, ValueError, "threshold.*nan"),
        ({"n_networks": 0}, ValueError, "n_networks.*0"),
        ({"refit": "yes"}, (TypeError, ValueError), "refit.*'yes'"),
        ({"random_state": "x"}, ValueError, "random_state.*'x'"),
        (
            {"estimator": LogisticRegression()},
            TypeError,
            r"estimator of LabelErrorDetector must be a MarginClassifier .*\(\)\.$",
        ),
        ({"estimator": network(lr=-1.0)}, ValueError, "lr.*-1.0"),
    ],
)
def test_settings_that_cannot_work(noisy, settings, error, message):
    X, y, *_ = noisy
    with pytest.raises(error, match=message):
        LabelErrorDetector(**settings).fit(X, y)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, y: (X, np.zeros(len(y))), "at least 2 classes.* only one class: 0.0"),
        (lambda X, y: (np.where(np.arange(64) == 3, np.nan, X), y), "NaN"),
        (lambda X, y: (X, np.where(y == 0, np.nan, y)), "NaN"),
        (lambda X, y: (X[:-1], y), "599.* X and y of LabelErrorDetector must hold"),
        (lambda X, y: (X[:0], y[:0]), "0"),
    ],
)
def test_data_that_cannot_work(noisy, change, message):
    X, y, *_ = noisy
    with pytest.raises(ValueError, match=message):
        detector().fit(*change(X, y))


def test_a_failure_keeps_the_earlier_answers(noisy):
    X, y, *_ = noisy
    model = detector(network(max_epochs=5), refit=False).fit(X, y)
    before = {name: value for name, value in vars(model).items() if name.endswith("_")}
    with pytest.raises(ValueError, match="2 classes"):
        model.fit(X, np.zeros(len(y)))
    after = {name: value for name, value in vars(model).items() if name.endswith("_")}
    assert after.keys() == before.keys()
    assert all(after[name] is before[name] for name in before)


def test_small_classes_are_not_judged(noisy):
    X, y, *_ = noisy
    y = y.copy()
    y[:2] = 11
    with pytest.warns(UserWarning, match=r"classes \[11\] are not judged.*fewer than 5"):
        model = detector(refit=False).fit(X, y)
    assert not model.suspects_[:2].any()


def test_a_network_that_learns_nothing_gives_no_list_in_silence(rng):
    X, y = np.ones((60, 3)), np.arange(60) % 3
    with pytest.warns(UserWarning, match="did not learn"):
        model = detector(network(max_epochs=5), refit=False, threshold=0.0).fit(X, y)
    assert model.suspects_.mean() < 0.7
    X, y = rng.normal(size=(300, 20)), rng.integers(0, 10, 300)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        detector(refit=False).fit(X, y)
    assert "of the samples to their labels" in str(told[0].message)


def test_a_threshold_that_suspects_most_labels(noisy):
    X, y, *_ = noisy
    with pytest.warns(UserWarning, match="threshold=0.9 is too high") as told:
        model = detector(refit=False, threshold=0.9).fit(X, y)
    assert not any("learn the" in str(each.message) for each in told)
    assert len(np.unique(y[~model.suspects_])) == 10


def test_generators_of_others_are_left_alone(noisy):
    X, y, *_ = noisy
    torch.manual_seed(1)
    np.random.seed(1)
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    model = network(max_epochs=5, random_state=None)
    LabelErrorDetector(model, n_networks=3, threshold=-5, refit=False).fit(X, y)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()


def test_the_seed_of_the_estimator_is_enough(noisy):
    X, y, *_ = noisy
    model = LabelErrorDetector(network(max_epochs=5), n_networks=2, threshold=-5, refit=False)
    np.testing.assert_array_equal(model.fit(X, y).aum_, clone(model).fit(X, y).aum_)


def test_transformers_may_write_into_their_input(noisy):
    X, y, *_ = noisy
    given, found = 10 * X + 5, []
    for copied in (True, False):
        model = make_pipeline(StandardScaler(copy=copied), network(max_epochs=6))
        found.append(detector(model).fit(given, y))
    np.testing.assert_array_equal(given, 10 * X + 5)
    np.testing.assert_array_equal(found[0].aum_, found[1].aum_)
    np.testing.assert_array_equal(*(each.predict(given.copy()) for each in found))


class InterruptTraining(Callback):
    """Ctrl-C in an epoch of a training, both from 1."""

    begun = 0

    def __init__(self, training, epoch):
        self.training, self.epoch = training, epoch

    def on_train_begin(self, net, **kwargs):
        InterruptTraining.begun += 1

    def on_batch_begin(self, net, **kwargs):
        if (InterruptTraining.begun, len(net.history)) == (self.training, self.epoch):
            raise KeyboardInterrupt


@pytest.mark.filterwarnings("ignore:Training was interrupted")
@pytest.mark.filterwarnings("ignore:.*of the labels are suspect")
def test_an_interruption_ends_all_of_the_training(noisy):
    X, y, *_ = noisy
    InterruptTraining.begun = 0
    model = detector(network(callbacks=[InterruptTraining(2, 1)]), n_networks=3).fit(X, y)
    assert InterruptTraining.begun == 2
    np.testing.assert_allclose(model.aum_, detector(refit=False).fit(X, y).aum_, atol=1e-5)
    InterruptTraining.begun = 0
    with pytest.raises(ValueError, match="interrupted before the first epoch ended"):
        detector(network(callbacks=[InterruptTraining(1, 1)])).fit(X, y)


def test_classes_without_weight_are_refused(noisy):
    X, y, *_ = noisy
    weights = {label: float(label > 0) for label in range(10)}
    with pytest.raises(ValueError, match="class_weight=.*leaves out .* of 600 samples"):
        detector(network(class_weight=weights, max_epochs=2)).fit(X, y)
