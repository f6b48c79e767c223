import dataclasses
import importlib.util
import inspect
import sys

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import sklearn.pipeline
import torch
from imblearn.pipeline import make_pipeline
from imblearn.utils.estimator_checks import parametrize_with_checks as imblearn_checks
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks as sklearn_checks

import margin_sklearn
from margin_sklearn import (
    ConvNet,
    MarginClassifier,
    MarginSubsetSampler,
    MarginSubsetSelector,
    NotSeparatedWarning,
    margins,
)

NETWORK = MarginClassifier(
    module__hidden_layer_sizes=(64,),
    module__dropout=0.0,
    lr=3e-3,
    device="cpu",
    random_state=0,
)
# The checks' data are random numbers, which a quick network does not separate, and some have
# 10 samples of 3 classes.
CHECKED = MarginSubsetSampler(
    MarginClassifier(
        module__hidden_layer_sizes=(32,), max_epochs=20, device="cpu", random_state=0
    ),
    n_samples_to_select=0.5,
    separation=0.1,
    random_state=0,
)


def sampler(estimator=NETWORK, **settings):
    return MarginSubsetSampler(estimator, **{"random_state": 0, **settings})


def as_list(decorator):
    # imbalanced-learn 0.14 parametrizes by a generator, which pytest 9 warns of.
    names, checks = decorator.args
    return pytest.mark.parametrize(names, list(checks), **decorator.kwargs)


@as_list(imblearn_checks([CHECKED]))
def test_imbalanced_learns_checks(estimator, check):
    check(estimator)


@sklearn_checks([CHECKED])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def test_settings_are_the_selectors():
    ours = inspect.signature(MarginSubsetSampler).parameters
    theirs = inspect.signature(MarginSubsetSelector).parameters
    only_for_going_on = {
        "continue_epochs",
        "continue_lr",
        "initial_share",
        "average_weights",
        "reselect_every",
        "score_share",
        "freeze_batch_norm",
    }
    assert list(ours) == [name for name in theirs if name not in only_for_going_on]
    other = {name for name in ours if ours[name].default != theirs[name].default}
    assert other == {"n_samples_to_select", "strategy"}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"n_samples_to_select": 35, "strategy": "smallest", "min_per_class": 3},
        {"strategy": "random", "stratify": False, "random_state": 5},
        {"strategy": "largest", "noise_guard": True, "separation": 0.999},
    ],
    ids=str,
)
def test_rows_are_those_of_a_selector(digits, settings):
    X, y = digits
    ours = sampler(**settings)
    X_kept, y_kept = ours.fit_resample(X, y)
    whole = {"n_samples_to_select": 0.1, "strategy": "coverage", "random_state": 0, **settings}
    selector = MarginSubsetSelector(NETWORK, continue_epochs=0, **whole).fit(X, y)
    np.testing.assert_array_equal(ours.sample_indices_, selector.sample_indices_)
    np.testing.assert_array_equal(X_kept, X[selector.sample_indices_])
    np.testing.assert_array_equal(y_kept, y[selector.sample_indices_])
    assert len(y_kept) == settings.get("n_samples_to_select", 60)
    network = ours.selector_.estimator_
    assert network.n_iter_ == network.separation_epoch_
    assert not hasattr(NETWORK, "net_")


@pytest.mark.filterwarnings("ignore:No sample of the classes")
def test_prefit_network_only_scores(digits, fitted):
    X, y = digits
    settings = {"strategy": "smallest", "stratify": False, "separation": 0.5, "prefit": True}
    ours = sampler(fitted, n_samples_to_select=20, **settings).fit(X, y)
    nearest = np.argsort(margins(fitted, X, y), kind="stable")[:20]
    np.testing.assert_array_equal(ours.sample_indices_, np.sort(nearest))
    assert ours.selector_.estimator_ is fitted


def test_sampling_strategy_counts_the_rows_kept(digits):
    X, y = digits
    names = np.array(list("abcdefghij"))[y]
    ours = sampler(n_samples_to_select=0.2)
    y_kept = ours.fit_resample(X, names)[1]
    labels, counts = np.unique(y_kept, return_counts=True)
    assert ours.sampling_strategy_ == dict(zip(labels, counts, strict=True))
    assert sum(ours.sampling_strategy_.values()) == 120


def test_random_state_decides(digits, fitted):
    X, y = digits

    def rows(seed):
        settings = {"prefit": True, "separation": 0.5, "random_state": seed}
        return sampler(fitted, **settings).fit(X, y).sample_indices_

    np.testing.assert_array_equal(rows(1), rows(1))
    assert not np.array_equal(rows(1), rows(2))


def test_not_separated(digits):
    X, y = digits
    network = clone(NETWORK).set_params(max_epochs=1)
    with pytest.warns(NotSeparatedWarning):
        assert len(sampler(network).fit_resample(X, y)[1]) == 60
    with pytest.raises(RuntimeError, match="does not separate"):
        sampler(network, on_unseparated="raise").fit_resample(X, y)


# --- in a Pipeline ------------------------------------------------------------------


def pipeline(**settings):
    return make_pipeline(StandardScaler(), sampler(**settings), KNeighborsClassifier(1))


def test_next_step_sees_the_rows_kept_only(digits):
    X, y = digits
    X = 3 * X + 1
    model = pipeline().fit(X, y)
    scaled = StandardScaler().fit_transform(X)
    kept = sampler().fit(scaled, y).sample_indices_
    np.testing.assert_array_equal(model[1].sample_indices_, kept)
    assert model[-1].n_samples_fit_ == 60
    alone = KNeighborsClassifier(1).fit(scaled[kept], y[kept])
    np.testing.assert_array_equal(model.predict(X), alone.predict(scaled))


def test_predict_does_not_resample(digits, monkeypatch):
    X, y = digits
    model = pipeline().fit(X, y)

    def refuse(*args, **kwargs):
        raise AssertionError("resampled to predict")

    for name in ("fit", "fit_resample", "_fit_resample"):
        monkeypatch.setattr(MarginSubsetSampler, name, refuse)
    assert model.predict(X).shape == y.shape
    assert model.predict_proba(X[:7]).shape == (7, 10)
    assert 0.5 < model.score(X, y) < 1


def test_cross_validation_tests_on_all_of_a_fold(digits):
    X, y = digits
    result = cross_validate(pipeline(), X, y, cv=3, return_estimator=True, return_indices=True)
    for model, score, test in zip(
        result["estimator"], result["test_score"], result["indices"]["test"], strict=True
    ):
        assert len(model[1].selector_.support_) == 400
        assert model[-1].n_samples_fit_ == 40
        assert score == np.mean(model.predict(X[test]) == y[test]) > 0.5


def test_grid_search_over_the_number_of_rows(digits):
    X, y = digits
    grid = {"marginsubsetsampler__n_samples_to_select": [10, 0.5]}
    search = GridSearchCV(pipeline(), grid, cv=2, error_score="raise").fit(X, y)
    assert search.best_params_ == {"marginsubsetsampler__n_samples_to_select": 0.5}
    assert search.best_estimator_[-1].n_samples_fit_ == 300
    few, many = search.cv_results_["mean_test_score"]
    assert few < many - 0.1


def test_parameters_of_the_network_are_reached(digits):
    X, y = digits
    model = pipeline().set_params(
        marginsubsetsampler__estimator__module__hidden_layer_sizes=(48,)
    )
    inner = model.fit(X, y)[1].selector_.estimator_
    assert next(inner.net_.module_.parameters()).shape == (48, 64)


def test_middle_step_of_imbalanced_learns_pipeline_only():
    # With a transform, imbalanced-learn's Pipeline would refuse it.
    assert not hasattr(MarginSubsetSampler, "transform")
    model = sklearn.pipeline.make_pipeline(sampler(), KNeighborsClassifier())
    with pytest.raises(TypeError, match="should be transformers"):
        model.fit([[0.0], [1.0]], [0, 1])


def test_clones_of_a_prefit_network_are_unfitted(digits, fitted):
    X, y = digits
    model = clone(make_pipeline(sampler(fitted, prefit=True), KNeighborsClassifier()))
    with pytest.raises(NotFittedError):
        model.fit(X, y)


# --- kinds of data ------------------------------------------------------------------


def test_tables_keep_index_and_dtypes(digits):
    X, y = digits
    table = pd.DataFrame(X[:, 10:40].astype(np.float32), index=np.arange(600) * 2 + 1000)
    table = table.add_prefix("pixel ")
    table["part"] = pd.Categorical(np.where(X[:, 20] > 0, "dark", "light"))
    table["count"] = np.arange(600)
    labels = pd.Series(y, index=table.index, name="digit").map(str).astype("category")
    columns = make_column_transformer(
        (OneHotEncoder(), ["part"]), ("drop", ["count"]), remainder="passthrough"
    )
    ours = sampler(sklearn.pipeline.make_pipeline(columns, NETWORK))
    X_kept, y_kept = ours.fit_resample(table, labels)
    pd.testing.assert_frame_equal(X_kept, table.iloc[ours.sample_indices_])
    pd.testing.assert_series_equal(y_kept, labels.iloc[ours.sample_indices_])
    assert ours.feature_names_in_.tolist() == table.columns.tolist()
    assert ours.get_feature_names_out().tolist() == table.columns.tolist()


def test_labels_keep_their_index_beside_an_array(digits):
    X, y = digits
    labels = pd.Series(y, index=np.arange(600)[::-1])
    ours = sampler()
    X_kept, y_kept = ours.fit_resample(X, labels)
    assert isinstance(X_kept, np.ndarray)
    pd.testing.assert_series_equal(y_kept, labels.iloc[ours.sample_indices_])


@pytest.mark.parametrize(
    "make", [scipy.sparse.csr_array, scipy.sparse.csc_matrix, scipy.sparse.coo_array]
)
def test_sparse_stays_sparse(digits, make):
    X = digits[0].astype(np.float32)
    ours = sampler()
    X_kept, y_kept = ours.fit_resample(make(X), digits[1])
    assert scipy.sparse.issparse(X_kept)
    assert X_kept.dtype == np.float32
    np.testing.assert_array_equal(X_kept.toarray(), X[ours.sample_indices_])
    assert len(y_kept) == 60


@pytest.mark.parametrize("channels", [(), (1,)], ids=["3-D", "4-D"])
def test_images(images, channels):
    X = (images[0] * 16).astype(np.uint8).reshape(-1, *channels, 8, 8)
    y = images[1]
    network = MarginClassifier(
        ConvNet, module__channels=(8, 16), lr=1e-2, device="cpu", random_state=0
    )
    ours = sampler(network)
    X_kept, y_kept = ours.fit_resample(X, y)
    np.testing.assert_array_equal(X_kept, X[ours.sample_indices_], strict=True)
    np.testing.assert_array_equal(y_kept, y[ours.sample_indices_], strict=True)
    assert X_kept.shape == (40, *channels, 8, 8)


def test_tensors(digits):
    X, y = torch.tensor(digits[0]), torch.tensor(digits[1])
    ours = sampler()
    X_kept, y_kept = ours.fit_resample(X, y)
    assert torch.equal(X_kept, X[ours.sample_indices_])
    assert torch.equal(y_kept, y[ours.sample_indices_])


# --- without imbalanced-learn -------------------------------------------------------


@pytest.fixture
def without_imblearn(monkeypatch):
    """margin_sklearn's ``__init__`` as it runs where imbalanced-learn is not installed."""
    for name in [name for name in sys.modules if name.split(".")[0] == "imblearn"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "margin_sklearn.subsets.sampler")
    spec = importlib.util.find_spec("margin_sklearn")
    package = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)
    return package


def test_package_without_imbalanced_learn(without_imblearn):
    assert "MarginSubsetSampler" not in without_imblearn.__all__
    assert "MarginSubsetSampler" not in dir(without_imblearn)
    assert without_imblearn.MarginSubsetSelector is MarginSubsetSelector


def test_sampler_without_imbalanced_learn(without_imblearn):
    wanted = r'needs imbalanced-learn.*pip install "margin-sklearn\[imblearn\]"'
    with pytest.raises(ImportError, match=wanted):
        _ = without_imblearn.MarginSubsetSampler
    with pytest.raises(ImportError, match=wanted):
        from margin_sklearn import MarginSubsetSampler  # noqa: F401


def test_package_with_imbalanced_learn():
    assert "MarginSubsetSampler" in margin_sklearn.__all__
    assert "MarginSubsetSampler" in dir(margin_sklearn)
    assert margin_sklearn.MarginSubsetSampler is MarginSubsetSampler
    with pytest.raises(AttributeError, match="no attribute 'MarginSampler'"):
        _ = margin_sklearn.MarginSampler


# --- after its estimator ------------------------------------------------------------


@pytest.mark.parametrize("estimator", [None, NETWORK, KNeighborsClassifier()])
def test_tags_are_those_of_the_estimator(estimator):
    tags = get_tags(sampler(estimator)).input_tags
    of = get_tags(estimator or MarginClassifier()).input_tags
    for field in dataclasses.fields(of):
        assert getattr(tags, field.name) == getattr(of, field.name)


def test_random_state_goes_to_an_estimator_that_has_none(digits):
    estimator = clone(NETWORK).set_params(random_state=None, max_epochs=1)
    first, second, other = (
        sampler(estimator, separation=0.01, random_state=seed).fit(*digits).selector_.margins_
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)
    assert estimator.random_state is None


def test_verbose(digits, capsys):
    sampler(clone(NETWORK).set_params(max_epochs=60), verbose=1).fit(*digits)
    assert "/60" in capsys.readouterr().err


def test_a_share_too_small_for_the_classes_is_raised(digits):
    X, y = digits
    model = sampler(n_samples_to_select=0.01, min_per_class=2)
    with pytest.warns(UserWarning, match="would keep 6: 20 are kept"):
        kept, labels = model.fit_resample(X, y)
    assert kept.shape == (20, 64)
    assert np.bincount(labels).tolist() == [2] * 10


def test_labels_are_looked_at_first(digits):
    X, y = digits
    names = y.astype(object)
    names[0] = "zero"
    with pytest.raises(ValueError, match="mixes strings"):
        sampler().fit_resample(X, names)
    with pytest.raises(ValueError, match="599"):
        sampler().fit_resample(X, y[:-1])
