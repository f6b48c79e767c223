import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.datasets import make_blobs
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.utils import get_tags
from skorch.callbacks import Callback

from margin_sklearn import (
    ConvNet,
    MarginClassifier,
    MarginSubsetSelector,
    NotSeparatedWarning,
    ResubstitutionSplit,
    margin_auc_score,
    margins,
)
from margin_sklearn.subsets.strategies import select
from tests.subsets.networks import network, selector


@pytest.fixture(scope="module")
def pruned(digits):
    """A fitted selector; not to be changed."""
    return selector().fit(*digits)


# --- what fit leaves ----------------------------------------------------------------


def test_the_smallest_margins_are_selected_in_each_class(pruned, digits):
    X, y = digits
    np.testing.assert_allclose(pruned.margins_, margins(pruned.estimator_, X, y), atol=1e-5)
    assert len(pruned.sample_indices_) == 30
    for label in pruned.classes_:
        own = pruned.margins_[y == label]
        kept = pruned.support_[y == label]
        assert 2 <= kept.sum() <= 4
        assert own[kept].max() <= own[~kept].min()


def test_the_attributes_agree_with_one_another(pruned, digits):
    _, y = digits
    np.testing.assert_array_equal(np.flatnonzero(pruned.support_), pruned.sample_indices_)
    np.testing.assert_array_equal(pruned.get_support(), pruned.support_)
    np.testing.assert_array_equal(pruned.get_support(indices=True), pruned.sample_indices_)
    order = np.argsort(pruned.ranking_)
    assert (np.diff(pruned.margins_[order]) >= 0).all()
    assert sorted(pruned.ranking_) == list(range(1, len(y) + 1))
    report = pruned.report_
    assert report["n_samples"].tolist() == np.bincount(y).tolist()
    assert report["n_selected"].tolist() == np.bincount(y[pruned.support_]).tolist()
    assert (report["accuracy"] == 1).all()
    assert (report["median_selected_margin"] < report["median_margin"]).all()
    assert not pruned.suspects_.any()


def test_the_history_says_what_was_trained_on_and_scored(pruned, digits):
    _, y = digits
    history = pruned.history_
    first = history[history["phase"] == "separation"]
    then = history[history["phase"] == "continuing"]
    assert history.index.tolist() == list(range(1, len(history) + 1))
    assert len(first) == pruned.separation_epoch_ == pruned.estimator_.separation_epoch_
    assert (first["n_samples"] == len(y)).all()
    assert (first["lr"] == 1e-2).all()
    assert then["n_samples"].iloc[-1] == 30
    assert (then["n_samples"].iloc[:-1] > 30).all()
    assert (then["n_scored"].iloc[:-1] <= 0.1 * len(y)).all()
    assert then["n_scored"].iloc[-1] == len(y)
    assert (then["accuracy"] == 1).all()
    assert (history["scoring_seconds"] <= history["seconds"]).all()
    np.testing.assert_allclose(then["lr"].iloc[0], 2e-3)
    assert pruned.estimator_.n_iter_ == len(history)


# --- the controls -------------------------------------------------------------------


def test_no_epochs_more_is_the_network_at_separation(digits):
    X, y = digits
    stopped = network(stop_at_separation=True).fit(X, y)
    fitted = selector(continue_epochs=0).fit(X, y)
    np.testing.assert_array_equal(fitted.decision_function(X), stopped.decision_function(X))
    assert set(fitted.history_["phase"]) == {"separation"}
    assert fitted.sample_indices_.size == 30


@pytest.mark.parametrize("freeze", [False, True])
def test_all_samples_is_plain_training(digits, freeze):
    """To the last bit a warm start, where batch norm is as in training."""
    X, y = digits
    # With this seed, no epoch is undone.
    estimator = network(random_state=1)
    fitted = selector(
        estimator,
        n_samples_to_select=1.0,
        freeze_batch_norm=freeze,
        continue_lr=1e-3,
        average_weights=False,
    ).fit(X, y)
    assert not fitted.history_["rolled_back"].any()
    plain = network(random_state=1, stop_at_separation=True, warm_start=True).fit(X, y)
    plain.set_params(stop_at_separation=False, max_epochs=4)
    plain.set_params(lr=1e-3, lr_schedule="constant").fit(X, y)
    same = np.array_equal(fitted.decision_function(X), plain.decision_function(X))
    assert same is not freeze
    assert fitted.support_.all()


# --- going on -----------------------------------------------------------------------


def running(estimator):
    return [
        value.clone()
        for name, value in estimator.net_.module_.state_dict().items()
        if "running" in name
    ]


# --- the guard ----------------------------------------------------------------------


# --- not separated ------------------------------------------------------------------


# --- wrong labels -------------------------------------------------------------------


def test_the_noise_guard_finds_wrong_labels(digits):
    X, y = digits
    rng = np.random.default_rng(0)
    wrong = rng.random(len(y)) < 0.1
    noisy = np.where(wrong, (y + rng.integers(1, 10, len(y))) % 10, y)
    estimator = network(max_epochs=200, lr="auto")
    plain = selector(estimator, continue_epochs=0).fit(X, noisy)
    guarded = selector(estimator, continue_epochs=0, noise_guard=True).fit(X, noisy)
    # Unguarded, it is the wrong labels that are kept.
    assert wrong[plain.support_].mean() > 0.3
    assert wrong[guarded.support_].mean() < 0.1
    assert guarded.support_.sum() == 30
    assert guarded.suspects_[wrong].mean() > 0.8
    assert guarded.suspects_[~wrong].mean() < 0.05
    assert guarded.report_["n_suspects"].sum() == guarded.suspects_.sum()
    assert not (guarded.suspects_ & guarded.support_).any()


def test_the_noise_guard_judges_as_the_detector_does(digits):
    X, y = digits
    y = y.copy()
    y[:3] = 11
    weight = np.where(y == 7, 0.0, 1.0)
    guarded = selector(network(lr=3e-3), continue_epochs=0, noise_guard=True)
    with (
        pytest.warns(match=r"classes \[11\] are not judged.*fewer than 5") as told,
        # It takes no part.
        pytest.warns(match=r"No sample of the classes \[7\] is selected"),
    ):
        guarded.fit(X, y, sample_weight=weight)
    assert told[0].filename == __file__
    assert not guarded.suspects_[:3].any()


def test_the_noise_guard_drops_no_class_and_not_half_the_data_in_silence(digits):
    X, y = digits
    # Twins with other labels: the network prefers the larger class.
    twins = np.flatnonzero(y == 3)[:20]
    X = np.concatenate([X, X[twins] + 1e-3])
    y = np.concatenate([y, np.full(20, 11)])
    guarded = selector(network(lr=5e-4), continue_epochs=0, noise_guard=True)
    guarded.set_params(separation=0.9)
    with pytest.warns(UserWarning, match=r"(All|Most) labels of the classes \[11\]"):
        guarded.fit(X, y)
    assert not guarded.suspects_[y == 11].all()
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(300, 20)), rng.integers(0, 10, 300)
    with pytest.warns(UserWarning, match=r"assigned only \d+% of the samples"):
        guarded.fit(*noise)


def test_the_noise_guard_needs_an_epoch(digits):
    class Interrupt(Callback):
        def on_batch_end(self, net, training=False, **kwargs):
            raise KeyboardInterrupt

    guarded = selector(network(callbacks=[Interrupt()]), noise_guard=True)
    with (
        pytest.raises(ValueError, match="interrupted before the first epoch ended"),
        pytest.warns(UserWarning, match="interrupted"),
    ):
        guarded.fit(*digits)


# --- data ---------------------------------------------------------------------------


def test_pandas_in_pandas_out(digits):
    X, y = digits
    names = np.array(list("abcdefghij"))
    frame = pd.DataFrame(X, columns=[f"p{i}" for i in range(64)]).set_index(
        pd.Index(np.arange(600) * 10)
    )
    target = pd.Series(names[y], index=frame.index)
    fitted = selector().fit(frame, target)
    kept, labels = fitted.fit_resample(frame, target)
    assert isinstance(kept, pd.DataFrame)
    assert kept.index.tolist() == (fitted.sample_indices_ * 10).tolist()
    assert labels.index.equals(kept.index)
    pd.testing.assert_frame_equal(fitted.transform(frame), kept)
    assert fitted.feature_names_in_.tolist() == frame.columns.tolist()
    assert set(fitted.predict(frame)) == set(names)
    assert fitted.report_.index.tolist() == list(names)


def test_sparse_lists_and_images(digits, images):
    X, y = digits
    dense = selector().fit(X, y)
    sparse = scipy.sparse.csr_array(X)
    kept = selector().fit(sparse, y).transform(sparse)
    assert scipy.sparse.issparse(kept)
    np.testing.assert_array_equal(kept.toarray(), dense.transform(X))
    kept, labels = selector().fit_resample(X.tolist(), y.tolist())
    assert len(kept) == len(labels) == 30
    X, y = images
    convnet = network(
        module=ConvNet, module__channels=(16, 32), module__hidden_layer_sizes=None
    )
    del convnet.module__hidden_layer_sizes
    fitted = selector(convnet).fit(X, y)
    assert fitted.transform(X).shape == (20, 8, 8)
    assert fitted.score(X, y) == 1


def test_samples_of_weight_0_have_no_part(digits):
    X, y = digits
    weight = np.ones(len(y))
    weight[::3] = 0
    noisy = np.where(weight == 0, (y + 1) % 10, y)
    fitted = selector().fit(X, noisy, sample_weight=weight)
    assert not fitted.support_[::3].any()
    np.testing.assert_array_equal(np.isnan(fitted.margins_), weight == 0)
    assert (fitted.history_["n_samples"].iloc[0]) == 400
    assert fitted.ranking_[::3].min() == 401
    # Nor do they count.
    assert fitted.support_.sum() == 20


def test_class_weights(digits):
    estimator = network(class_weight="balanced")
    assert selector(estimator).fit(*digits).support_.sum() == 30


def test_two_classes():
    X, y = make_blobs(200, centers=2, random_state=0)
    fitted = selector(n_samples_to_select=10, separation=0.9).fit(X, y)
    assert fitted.decision_function(X).shape == (len(y),)
    assert fitted.report_["n_selected"].tolist() == [5, 5]


# --- compositions -------------------------------------------------------------------


def test_around_a_pipeline_and_in_one(digits):
    X, y = digits
    X = X * np.linspace(1, 1000, 64) + 7
    around = selector(make_pipeline(StandardScaler(), network())).fit(X, y)
    inside = make_pipeline(StandardScaler(), selector()).fit(X, y)
    np.testing.assert_array_equal(around.sample_indices_, inside[-1].sample_indices_)
    np.testing.assert_array_equal(around.predict_proba(X), inside.predict_proba(X))
    assert around.score(X, y) == inside.score(X, y) == 1
    np.testing.assert_allclose(margins(around, X, y), around.margins_, atol=1e-5)
    assert margin_auc_score(around, X, y) == margin_auc_score(inside, X, y)
    assert margin_auc_score(around, X, y) == margin_auc_score(around.estimator_, X, y)


def test_transformers_are_fitted_as_pipeline_does(digits):
    """By fit_transform: some (TargetEncoder) give training samples other values."""

    class Crossed(TransformerMixin, BaseEstimator):
        def fit(self, X, y=None):
            self.n_features_in_ = X.shape[1]
            return self

        def fit_transform(self, X, y=None):
            return self.fit(X).transform(X) + np.random.default_rng(0).normal(size=X.shape)

        def transform(self, X):
            return np.asarray(X)

    X, y = digits
    pipeline = make_pipeline(Crossed(), network(stop_at_separation=True))
    fitted = selector(pipeline, continue_epochs=0).fit(X, y)
    np.testing.assert_array_equal(
        fitted.decision_function(X), clone(pipeline).fit(X, y).decision_function(X)
    )


def test_grid_search_over_size_and_learning_rate(digits):
    X, y = digits
    model = make_pipeline(StandardScaler(), selector(continue_epochs=1))
    search = GridSearchCV(
        model,
        {
            "marginsubsetselector__n_samples_to_select": [0.05, 0.5],
            "marginsubsetselector__estimator__lr": [1e-2, 2e-2],
        },
        scoring=margin_auc_score,
        cv=ResubstitutionSplit(),
    ).fit(X, y)
    assert len(set(search.cv_results_["mean_test_score"])) == 4
    best = search.best_estimator_[-1]
    assert best.estimator.lr == search.best_params_["marginsubsetselector__estimator__lr"]
    assert search.best_score_ == margin_auc_score(search, X, y)
    assert cross_val_score(model, X, y, cv=2).min() > 0.8


def test_without_an_estimator(digits):
    X, y = digits
    settings = {"n_samples_to_select": 0.02, "random_state": 0}
    fitted = MarginSubsetSelector(**settings).fit(X, y)
    assert fitted.score(X, y) == 1
    again = MarginSubsetSelector(**settings).fit(X, y)
    np.testing.assert_array_equal(fitted.margins_, again.margins_)


# --- prefit -------------------------------------------------------------------------


def test_prefit_selects_only(fitted, digits):
    X, y = digits
    before = fitted.decision_function(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotSeparatedWarning)
        found = selector(fitted, prefit=True).fit(X, y)
    assert found.estimator_ is fitted
    np.testing.assert_array_equal(found.decision_function(X), before)
    np.testing.assert_array_equal(
        found.sample_indices_,
        select(
            found.margins_,
            y,
            30,
            strategy="smallest",
            stratify=True,
            min_per_class=1,
            rng=np.random.default_rng(0),
        ),
    )
    assert found.history_.empty


def test_the_smallest_margins_of_a_support_vector_machine_are_its_support_vectors():
    X, y = make_blobs(60, centers=[[-3, 0], [3, 0]], random_state=0)
    X = StandardScaler().fit_transform(X)
    machine = LinearSVC(
        C=1e4, loss="hinge", max_iter=10**6, tol=1e-8, dual=True, random_state=0
    ).fit(X, y)
    value = np.where(y == 1, 1, -1) * machine.decision_function(X)
    vectors = np.flatnonzero(value < 1 + 1e-3)
    assert 2 <= len(vectors) <= 3
    found = MarginSubsetSelector(
        machine, n_samples_to_select=len(vectors), stratify=False, prefit=True
    ).fit(X, y)
    np.testing.assert_array_equal(found.sample_indices_, vectors)
    assert not hasattr(found, "predict_proba")


def test_permuted_samples_give_the_permuted_selection(iris):
    X, y = iris
    model = LogisticRegression().fit(X, y)
    order = np.random.default_rng(0).permutation(len(y))
    settings = {"prefit": True, "separation": 0.9, "n_samples_to_select": 12}
    a = MarginSubsetSelector(model, **settings).fit(X, y)
    b = MarginSubsetSelector(model, **settings).fit(X[order], y[order])
    # iris has one pair of equal rows; they are far from the boundary.
    assert set(order[b.sample_indices_]) == set(a.sample_indices_)


# --- rubbish ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"n_samples_to_select": 0.0}, ValueError, r"0\.0 is a float.*\(0, 1\]"),
        ({"n_samples_to_select": 1.5}, ValueError, r"1\.5"),
        ({"n_samples_to_select": 601}, ValueError, "601.*600"),
        ({"n_samples_to_select": "1 %"}, TypeError, "'1 %'"),
        ({"n_samples_to_select": 9}, ValueError, "9 samples.*too few.*10 classes"),
        ({"n_samples_to_select": 30, "min_per_class": 4}, ValueError, "too few for 4"),
        ({"min_per_class": -1}, ValueError, "min_per_class"),
        ({"strategy": "smalest"}, ValueError, "'smalest'"),
        ({"separation": 0.0}, ValueError, "separation"),
        ({"separation": 1.1}, ValueError, "separation"),
        ({"score_share": 0.0}, ValueError, "score_share"),
        ({"continue_epochs": -1}, ValueError, "continue_epochs"),
        ({"continue_epochs": 1.5}, TypeError, "continue_epochs"),
        ({"continue_lr": 0.0}, ValueError, "continue_lr"),
        ({"continue_lr": "small"}, TypeError, "continue_lr"),
        ({"reselect_every": 0}, ValueError, "reselect_every"),
        ({"on_unseparated": "ignore"}, ValueError, "'ignore'"),
        ({"prefit": True, "noise_guard": True}, ValueError, "noise_guard"),
        ({"estimator": LogisticRegression()}, TypeError, "prefit=True"),
        ({"estimator": network(restore_best="margin_auc")}, ValueError, "restore_best"),
    ],
)
def test_settings_that_cannot_work(digits, settings, error, message):
    settings = dict(settings)
    estimator = settings.pop("estimator", None)
    with pytest.raises(error, match=message):
        selector(estimator, **settings).fit(*digits)


def test_a_lost_class_is_told_of(digits):
    with pytest.warns(UserWarning, match=r"No sample of the classes \[.*stratify=True"):
        selector(stratify=False, n_samples_to_select=5).fit(*digits)


def test_a_strategy_that_gives_nonsense(digits):
    with pytest.raises(ValueError, match="120 different indices"):
        selector(strategy=lambda margins, y, n, rng: np.zeros(n, int), stratify=False).fit(
            *digits
        )


def test_transform_refuses_other_rows(pruned, digits):
    X, _ = digits
    with pytest.raises(ValueError, match=r"599 rows.*fitted on 600.*predict"):
        pruned.transform(X[:599])
    with pytest.raises(ValueError, match="features"):
        pruned.transform(X[:, :5])


def test_lengths_that_differ(digits):
    X, y = digits
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        selector().fit(X, y[:-1])


# --- estimators' manners ------------------------------------------------------------


def test_reproducible_and_pickled(pruned, digits):
    X, _ = digits
    again = selector().fit(*digits)
    np.testing.assert_array_equal(again.decision_function(X), pruned.decision_function(X))
    stored = pickle.dumps(pruned)
    np.testing.assert_array_equal(
        pickle.loads(stored).decision_function(X), pruned.decision_function(X)
    )
    # The samples are not in it.
    assert len(stored) < X.astype(np.float32).nbytes + len(pickle.dumps(pruned.estimator_))
    for name, callback in pruned.estimator_.net_.callbacks_:
        assert name in ("margin_history", "separation")
        assert not any(
            isinstance(value, np.ndarray | torch.Tensor) for value in vars(callback).values()
        )


def test_the_given_estimator_is_left_alone(digits):
    estimator = network()
    before = estimator.get_params()
    selector(estimator).fit(*digits)
    assert estimator.get_params() == before
    assert not hasattr(estimator, "net_")


# --- what simply works --------------------------------------------------------------


@pytest.mark.parametrize("minimum", [1, 3])
def test_a_share_too_small_for_the_classes_is_raised(digits, minimum):
    """600 samples of 10 classes, the default 1 %: six would be kept."""
    X, y = digits
    model = MarginSubsetSelector(network(), continue_epochs=1, min_per_class=minimum)
    match = (
        f"0.01 of 600 samples would keep 6: {10 * minimum} are kept.*={minimum} of each of 10"
    )
    with pytest.warns(UserWarning, match=match):
        model.fit(X, y)
    assert model.report_["n_selected"].tolist() == [minimum] * 10
    assert model.history_.query("phase == 'continuing'")["n_samples"].tolist() == [
        10 * minimum
    ]
    with pytest.raises(ValueError, match="6 samples to select are too few"):
        model.set_params(n_samples_to_select=6).fit(X, y)


class Jitter(TransformerMixin, BaseEstimator):
    """A transformer that draws."""

    def __init__(self, random_state=None):
        self.random_state = random_state

    def fit(self, X, y=None):
        self.shift_ = np.random.default_rng(self.random_state).normal(size=X.shape[1])
        return self

    def transform(self, X):
        return X + self.shift_


@pytest.mark.parametrize("pipeline", [False, True])
def test_random_state_goes_to_an_estimator_that_has_none(digits, pipeline):
    X, y = digits

    def fitted(random_state, own=None):
        estimator = network(random_state=own, max_epochs=1)
        if pipeline:
            estimator = make_pipeline(Jitter(), estimator)
        before = estimator.get_params()
        model = selector(
            estimator, random_state=random_state, separation=0.01, continue_epochs=0
        )
        model.fit(X, y)
        assert estimator.get_params() == before
        return model.margins_

    np.testing.assert_array_equal(fitted(0), fitted(0))
    assert not np.array_equal(fitted(0), fitted(1))
    if not pipeline:
        # Its own comes first.
        np.testing.assert_array_equal(fitted(0, own=5), fitted(1, own=5))


def test_the_default_estimator_is_a_classifier_without_random_state(digits):
    X, y = digits
    default, given = (
        MarginSubsetSelector(
            estimator, n_samples_to_select=20, continue_epochs=1, random_state=3
        ).fit(X, y)
        for estimator in (None, MarginClassifier(max_epochs=200))
    )
    np.testing.assert_array_equal(default.margins_, given.margins_)


@pytest.mark.parametrize(
    ("estimator", "prefit"),
    [
        (None, False),
        (network(), False),
        (make_pipeline(StandardScaler(), network()), False),
        (make_pipeline(PCA(), network()), False),
        (LogisticRegression(), True),
        (SVC(), True),
        ("nothing", False),
        (MarginClassifier, False),
    ],
)
def test_tags_are_those_of_the_estimator(estimator, prefit):
    tags = get_tags(MarginSubsetSelector(estimator, prefit=prefit))
    of = estimator if isinstance(estimator, BaseEstimator) else MarginClassifier()
    assert tags.input_tags == get_tags(of).input_tags
    assert tags.classifier_tags == get_tags(of).classifier_tags
    assert tags.estimator_type == "classifier"
    assert tags.transformer_tags is not None


def test_set_output(digits):
    X, y = digits
    model = make_pipeline(StandardScaler(), selector())
    model.set_output(transform="pandas").fit(X, y)
    rows = model[-1].sample_indices_
    kept = model.transform(X)
    assert isinstance(kept, pd.DataFrame)
    assert kept.columns.tolist() == [f"x{column}" for column in range(64)]
    assert kept.index.tolist() == rows.tolist()
    np.testing.assert_array_equal(kept, StandardScaler().fit_transform(X)[rows])
    assert model[-1].get_feature_names_out().tolist() == kept.columns.tolist()
    # By itself, of an array, and back.
    alone = clone(model[-1]).set_output(transform="pandas").fit(X, y)
    assert alone.transform(X).shape == (30, 64)
    assert isinstance(alone.set_output(transform="default").transform(X), np.ndarray)


def test_transform_takes_the_columns_of_fit_only(digits):
    X, y = digits
    table = pd.DataFrame(X).add_prefix("p")
    fitted = selector(network(max_epochs=1), separation=0.01).fit(table, y)
    with pytest.raises(ValueError, match="feature names"):
        fitted.transform(table.add_prefix("q"))


@pytest.mark.parametrize("verbose", [1, 2])
@pytest.mark.parametrize("pipeline", [False, True])
def test_verbose_shows_both_parts_of_the_training(digits, verbose, pipeline, capsys):
    X, y = digits
    estimator = network(max_epochs=50)
    model = selector(
        make_pipeline(StandardScaler(), estimator) if pipeline else estimator,
        continue_epochs=4,
        verbose=verbose,
    )
    before, after = model.fit(X, y).history_["phase"].value_counts(sort=False)
    assert before > 2
    assert after == 4
    out, err = capsys.readouterr()
    if verbose == 1:
        assert f"{before}/50" in err
        assert "4/4" in err
        assert not out
    else:
        shown = [line.split() for line in out.splitlines()]
        rows = [int(line[0]) for line in shown if line and line[0].isdigit()]
        assert rows == list(range(1, before + after + 1))
    assert estimator.verbose == 0


def test_silent_unless_asked(digits, capsys):
    X, y = digits
    selector(network(max_epochs=1), separation=0.01).fit(X, y)
    assert capsys.readouterr() == ("", "")


# --- in the middle of a Pipeline ----------------------------------------------------

MIDDLE = "MarginSubsetSampler in imbalanced-learn's Pipeline"


@pytest.mark.parametrize("last", [SVC(), network()])
def test_in_the_middle_of_a_pipeline(digits, last):
    """scikit-learn's error says that lengths differ; ours, or our warning before it, why."""
    X, y = digits
    model = make_pipeline(
        StandardScaler(), selector(network(max_epochs=1), separation=0.01), last
    )
    wanted = MIDDLE if isinstance(last, MarginClassifier) else "inconsistent"
    with (
        pytest.warns(UserWarning, match=f"before the last.*{MIDDLE}"),
        pytest.raises(ValueError, match=wanted),
    ):
        model.fit(X, y)


def test_fit_transform_is_fit_and_transform(digits):
    X, y = digits
    model = selector(network(max_epochs=1), separation=0.01)
    with pytest.warns(UserWarning, match=r"not out of y.*fit_resample\(X, y\)") as caught:
        kept = model.fit_transform(X, y)
    assert caught[0].filename == __file__
    np.testing.assert_array_equal(kept, clone(model).fit_resample(X, y)[0])


def test_settings_are_looked_at_before_transformers_are_fitted(digits):
    class Refuses(StandardScaler):
        def fit_transform(self, X, y=None):
            raise AssertionError

    with pytest.raises(ValueError, match="lr must be"):
        selector(make_pipeline(Refuses(), network(lr=-1.0))).fit(*digits)


@pytest.mark.parametrize("prefit", [False, True])
def test_a_fit_that_fails_leaves_the_earlier_one(digits, fitted, prefit):
    X, y = digits
    model = selector(network(), on_unseparated="raise").fit(X, y)
    before = {name: value for name, value in vars(model).items() if name.endswith("_")}
    estimator = fitted if prefit else network(max_epochs=1)
    model.set_params(estimator=estimator, prefit=prefit)
    table = pd.DataFrame(X).add_prefix("p")
    with pytest.raises(RuntimeError, match="does not separate"):
        model.fit(X if prefit else table, y[::-1])
    after = {name: value for name, value in vars(model).items() if name.endswith("_")}
    assert after.keys() == before.keys()
    assert all(after[name] is before[name] for name in before)
    assert model.score(X, y) == 1


def test_the_users_data_are_not_written_to(digits):
    X, y = digits
    given = 10 * X + 5
    model = selector(make_pipeline(StandardScaler(copy=False), network()))
    kept, _ = model.fit_resample(given, y)
    np.testing.assert_array_equal(given, 10 * X + 5)
    np.testing.assert_array_equal(kept, given[model.support_])
