"""The folder of a search: what is found there equals what would be fitted."""

import pickle
import signal

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

from margin_sklearn import MLP, MarginClassifier, MarginSearchCV, make_margin_auc_scorer
from margin_sklearn.classifier.estimator import training_run
from margin_sklearn.model_selection import fitting


class Shuffle(StandardScaler):
    """A transformer that makes something else each time."""

    def transform(self, X):
        return super().transform(X) + self.offset_

    def fit(self, X, y=None):
        self.offset_ = np.random.default_rng().normal()
        return super().fit(X, y)


@pytest.fixture
def n_fits(monkeypatch):
    """Number of fits so far."""
    count, real = [0], fitting.fit_group

    def fit_group(estimator, tasks, *args):
        count[0] += len(tasks)
        return real(estimator, tasks, *args)

    monkeypatch.setattr(fitting, "fit_group", fit_group)

    def since():
        done, count[0] = count[0], 0
        return done

    return since


class Wide(MLP):
    """A module of the user's."""


PRESSES = []


def press(estimator, X, y):
    """A score, and Ctrl-C the second time."""
    PRESSES.append(1)
    if len(PRESSES) == 2:
        signal.raise_signal(signal.SIGINT)
    return 1.0


def network(**settings):
    given = {"module__hidden_layer_sizes": (8,), "max_epochs": 3, "device": "cpu"}
    return MarginClassifier(**{**given, "random_state": 0, **settings})


def search(folder, model=None, name="lr", **settings):
    given = {"shortlist": 2, "cv": 2, "memory": folder, **settings}
    return MarginSearchCV(model or network(), {name: [1e-4, 1e-3, 1e-2]}, **given)


def check_same(one, other, X):
    for name, values in one.cv_results_.items():
        if name != "params":
            np.testing.assert_array_equal(values, other.cv_results_[name])
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"module__dropout": 0.5, "optimizer": "sgd", "optimizer__momentum": 0.9},
        {"stop_at_separation": 0.5, "max_epochs": 30},
        {"restore_best": "margin_auc", "lr_schedule": "constant"},
    ],
    ids=["default", "dropout", "separation", "restore_best"],
)
def test_what_is_found_is_as_if_fitted(iris, tmp_path, n_fits, settings):
    X, y = iris
    one = search(tmp_path, network(**settings, warm_start=True)).fit(X, y)
    assert n_fits() == 7
    assert len(list(tmp_path.iterdir())) == 7
    two = clone(one).fit(X, y)
    assert n_fits() == 0
    check_same(one, two, X)
    a, b = one.best_estimator_, two.best_estimator_
    for name in ("n_iter_", "separated_", "separation_epoch_", "best_epoch_", "loss_curve_"):
        assert getattr(a, name) == getattr(b, name)
    assert vars(training_run(a)).keys() == vars(training_run(b)).keys()
    assert vars(a.net_).keys() == vars(b.net_).keys()
    b = pickle.loads(pickle.dumps(b))
    for model in (a, b):
        model.fit(X, y).partial_fit(X, y)
    assert a.n_iter_ == b.n_iter_ > 1
    np.testing.assert_array_equal(a.predict_proba(X), b.predict_proba(X))


def test_pipelines_and_weights(iris, tmp_path, n_fits, rng):
    X, y = iris
    weight = rng.uniform(0.5, 1, size=len(y))
    model = make_pipeline(StandardScaler(), PCA(3), network())
    given = {"marginclassifier__sample_weight": weight}
    one = search(tmp_path, model, "marginclassifier__lr").fit(X, y, **given)
    n_fits()
    two = clone(one).fit(X, y, **given)
    assert n_fits() == 0
    check_same(one, two, X)
    np.testing.assert_array_equal(two.best_estimator_[0].mean_, one.best_estimator_[0].mean_)
    clone(one).fit(X, y)
    assert n_fits() == 7


def test_the_folder_serves_two_processes(iris, tmp_path):
    X, y = iris
    one = search(tmp_path, n_jobs=2).fit(X, y)
    check_same(one, search(tmp_path).fit(X, y), X)


def test_what_differs_is_fitted(iris, tmp_path, n_fits):
    X, y = iris
    search(tmp_path).fit(X, y)
    n_fits()
    for changed, n in (
        ({"cv": 3}, 9),
        ({"scoring": "neg_log_loss"}, 7),
        ({"margin_scoring": make_margin_auc_scorer()}, 7),
        ({"model": network(max_epochs=2)}, 7),
        ({"model": network(module=Wide)}, 7),
        ({}, 0),
    ):
        search(tmp_path, **changed).fit(X, y)
        assert n_fits() == n
    search(tmp_path).fit(X + 1, y)
    assert n_fits() == 7
    search(tmp_path).fit(X, y[::-1].copy())
    assert n_fits() == 7


def test_what_cannot_be_known_again_is_fitted(iris, tmp_path, n_fits):
    X, y = iris
    random = make_pipeline(Shuffle(), network())
    for model, name, n in (
        (network(callbacks=[Callback()]), "lr", 7),
        (LogisticRegression(), "tol", 7),
        (random, "marginclassifier__lr", 3),
    ):
        search(tmp_path, model, name).fit(X, y)
        n_fits()
        search(tmp_path, model, name).fit(X, y)
        assert n_fits() >= n


def test_damaged_files_are_fitted_again(iris, tmp_path, n_fits):
    X, y = iris
    one = search(tmp_path).fit(X, y)
    n_fits()
    for i, path in enumerate(sorted(tmp_path.iterdir())):
        path.write_bytes([b"", b"no zip", path.read_bytes()[:-40]][i % 3])
    two = search(tmp_path).fit(X, y)
    assert n_fits() == 7
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))
    assert not list(tmp_path.glob("*.tmp"))


def test_fits_that_are_interrupted_are_not_kept(iris, tmp_path):
    PRESSES.clear()
    with pytest.warns(UserWarning, match="interrupted after 1 of 7"):
        search(tmp_path, margin_scoring=press, stack=False).fit(*iris)
    assert len(list(tmp_path.iterdir())) == 1


def test_scorers_must_be_known(iris, tmp_path):
    with pytest.raises(ValueError, match="memory=.* needs data and scorers that can be pick"):
        search(tmp_path, margin_scoring=lambda estimator, X, y: 1.0).fit(*iris)
    namespace = {"__name__": "unknown"}
    exec("def score(estimator, X, y): return 1.0", namespace)
    with pytest.raises(ValueError, match="cannot tell whether scorers have changed"):
        search(tmp_path, margin_scoring=namespace["score"]).fit(*iris)
