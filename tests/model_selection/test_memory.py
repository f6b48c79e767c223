"""The folder of a search: what is found there equals what would be fitted."""

import importlib
import pickle
import signal
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

from margin_sklearn import MLP, MarginClassifier, MarginSearchCV, make_margin_auc_scorer
from margin_sklearn.classifier.state import training_run
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


class Impatient(MLP):
    """Its user presses Ctrl-C in the second fit."""

    folder = None

    def forward(self, x):
        if list(self.folder.glob("*.json")):
            signal.raise_signal(signal.SIGINT)
        return super().forward(x)


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


def check_same_scores(one, other, X):
    """But for the times."""
    for name, values in one.cv_results_.items():
        if name != "params" and "time" not in name:
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
    assert len(list(tmp_path.glob("*.npz"))) == len(list(tmp_path.glob("*.json"))) == 7
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
        ({"cv": 3}, 6),
        ({"scoring": "neg_log_loss"}, 0),
        ({"margin_scoring": make_margin_auc_scorer()}, 2),  # another shortlist
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
    torch.set_default_dtype(torch.float64)
    try:
        search(tmp_path).fit(X, y)
    finally:
        torch.set_default_dtype(torch.float32)
    assert n_fits() == 7


def test_what_frozen_transformers_have_learned_counts(iris, tmp_path, n_fits):
    """Between the candidates of a search, and from one search to the next."""
    X, y = iris
    model = make_pipeline(StandardScaler(), network())
    for rows in (slice(60), slice(90)):
        fitted = [PCA(2).fit(X[rows]), PCA(2).fit(X)]
        grid = {"standardscaler": [FrozenEstimator(each) for each in fitted]}
        settings = {"shortlist": 2, "cv": 2}
        found = MarginSearchCV(model, grid, memory=tmp_path, **settings).fit(X, y)
        assert n_fits() == (6 if rows.stop == 60 else 3)
        expected = MarginSearchCV(model, grid, **settings).fit(X, y)
        check_same_scores(found, expected, X)
        n_fits()


def test_other_scorers_score_what_was_fitted(iris, tmp_path, n_fits):
    X, y = iris
    others = {
        "scoring": "neg_log_loss",
        "margin_scoring": make_margin_auc_scorer(scale=None),
    }
    search(tmp_path).fit(X, y)
    n_fits()
    found = search(tmp_path, **others).fit(X, y)
    # The same two candidates are in both shortlists.
    assert n_fits() == 0
    check_same(found, search(tmp_path, **others).fit(X, y), X)
    own = search(None, **others).fit(X, y)
    for name in ("margin_auc", "split0_test_score", "split1_test_score", "n_together"):
        np.testing.assert_array_equal(found.cv_results_[name], own.cv_results_[name])


def test_what_cannot_be_known_again_is_fitted(iris, tmp_path, n_fits):
    X, y = iris
    random = make_pipeline(Shuffle(), network())
    for model, name, n in (
        (network(callbacks=[Callback()]), "lr", 7),
        (LogisticRegression(), "tol", 7),
        (random, "marginclassifier__lr", 3),
    ):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            search(tmp_path, model, name).fit(X, y)
            n_fits()
            search(tmp_path, model, name).fit(X, y)
        assert n_fits() >= n
        # Who asks for it is told that it cannot be.
        silent = model is random
        assert ["keeps no fits" in str(each.message) for each in told] == [True] * 2 * (
            not silent
        )


def test_damaged_files_are_fitted_again(iris, tmp_path, n_fits):
    X, y = iris
    one = search(tmp_path).fit(X, y)
    n_fits()
    for i, path in enumerate(sorted(tmp_path.iterdir())):
        path.write_bytes([b"", b"no zip", path.read_bytes()[:-40]][i % 3])
    two = search(tmp_path).fit(X, y)
    assert n_fits() == 7
    check_same_scores(one, two, X)
    assert not list(tmp_path.glob("*.tmp"))


def test_damaged_scores_are_taken_again(iris, tmp_path, n_fits):
    X, y = iris
    one = search(tmp_path).fit(X, y)
    n_fits()
    for path, text in zip(
        sorted(tmp_path.glob("*.json")),
        ["", "{", "[1]", '{"score": "x"}', "null"] * 2,
        strict=False,
    ):
        path.write_text(text)
    two = search(tmp_path).fit(X, y)
    assert n_fits() == 0
    check_same_scores(one, two, X)


def test_fits_that_are_interrupted_are_not_kept(iris, tmp_path):
    PRESSES.clear()
    with pytest.warns(UserWarning, match="interrupted after 1 of 7"):
        search(tmp_path, margin_scoring=press, stack=False).fit(*iris)
    # The second fit was finished, but not its score.
    assert [len(list(tmp_path.glob(f"*.{kind}"))) for kind in ("npz", "json")] == [2, 1]


def test_fits_that_end_early_are_not_kept(iris, tmp_path, monkeypatch):
    monkeypatch.setattr(Impatient, "folder", tmp_path)
    with pytest.warns(UserWarning, match="interrupted after 1 of 7"):
        search(tmp_path, network(module=Impatient), stack=False).fit(*iris)
    assert len(list(tmp_path.glob("*.npz"))) == 1


def test_scorers_must_be_known(iris, tmp_path):
    with pytest.raises(ValueError, match="memory=.* needs scorers that can be pickled"):
        search(tmp_path, margin_scoring=lambda estimator, X, y: 1.0).fit(*iris)
    rows = np.array([lambda: 1] * len(iris[1]))
    with pytest.raises(ValueError, match="memory=.* needs other data: .*pickle"):
        search(tmp_path).fit(*iris, sample_weight=rows)
    namespace = {"__name__": "unknown"}
    exec("def score(estimator, X, y): return 1.0", namespace)
    with pytest.raises(
        ValueError, match="cannot tell whether scoring=.* has changed.*in a file"
    ):
        search(tmp_path, margin_scoring=namespace["score"]).fit(*iris)


USER_CODE = {
    "scorer": """
import helper
from sklearn.metrics import make_scorer
def metric(y, p):
    return helper.scale() * (y == p).mean()
scoring = make_scorer(metric)
""",
    "module": """
import helper
from margin_sklearn import MLP
class Base(MLP):
    def forward(self, x):
        return helper.scale() * super().forward(x)
class Net(Base):
    pass
""",
    "transformer": """
from functools import partial
from helper import scale
from sklearn.preprocessing import FunctionTransformer
def scaled(X, by):
    return X * by * scale()
step = FunctionTransformer(partial(scaled, by=2.0))
""",
}


@pytest.mark.parametrize("what", list(USER_CODE))
def test_a_change_of_the_users_code_is_noticed(iris, tmp_path, monkeypatch, what):
    """However far from the object that is given: in a base class, or a file it imports."""
    X, y = iris
    folder, code = tmp_path / "memory", tmp_path / "code"
    code.mkdir()
    monkeypatch.syspath_prepend(code)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    found = []
    for scale in (1.0, 0.25):
        (code / "helper.py").write_text(f"def scale():\n    return {scale}\n")
        (code / f"users_{what}.py").write_text(USER_CODE[what])
        for name in ("helper", f"users_{what}"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        users = importlib.import_module(f"users_{what}")
        model, name, settings = network(), "lr", {}
        if what == "scorer":
            settings["scoring"] = users.scoring
        elif what == "module":
            model = network(module=users.Net)
        else:
            model, name = make_pipeline(users.step, network()), "marginclassifier__lr"
        own = search(folder, model, name, **settings).fit(X, y)
        check_same_scores(own, search(None, model, name, **settings).fit(X, y), X)
        found.append(own.cv_results_["split0_test_score"])
    assert not np.array_equal(*found, equal_nan=True)
    for name in ("helper", f"users_{what}"):
        sys.modules.pop(name)


class Late(MLP):
    """A module that keeps more than its weights."""

    seen = 0.0

    def forward(self, x):
        if self.training:
            self.seen = self.seen + 1.0
        return super().forward(x) * torch.tensor([1.0, -self.seen, 1.0])


def test_what_cannot_be_restored_is_fitted(iris, tmp_path, n_fits):
    X, y = iris
    one = search(tmp_path, network(module=Late), stack=False).fit(X, y)
    n_fits()
    two = search(tmp_path, network(module=Late), stack=False).fit(X, y)
    assert n_fits() == 3
    check_same_scores(one, two, X)


def test_tensors_are_known_again(iris, tmp_path, n_fits):
    X, y = iris

    rows = torch.from_numpy(X.astype(np.float32))
    search(tmp_path).fit(rows, y)
    n_fits()
    search(tmp_path).fit(rows.clone(), y)
    assert n_fits() == 0


@pytest.mark.parametrize("scoring", [None, "accuracy"])
def test_a_fitted_estimator_is_as_good_as_its_clone(iris, tmp_path, n_fits, scoring):
    X, y = iris
    search(tmp_path, network(), scoring=scoring).fit(X, y)
    n_fits()
    search(tmp_path, network().fit(X, y), scoring=scoring).fit(X, y)
    assert n_fits() == 0


@pytest.mark.parametrize("scoring", [None, "accuracy"])
def test_who_gets_nothing_kept_is_told_why(iris, tmp_path, scoring):
    X, y = iris
    model = MarginClassifier(
        lambda input_shape, n_classes: torch.nn.Linear(4, n_classes),
        max_epochs=2,
        device="cpu",
    )
    with pytest.warns(UserWarning, match="keeps no fits of this estimator: .*pickle"):
        search(tmp_path, model, scoring=scoring).fit(X, y)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_ends_the_keeping_only(iris, tmp_path, monkeypatch):
    X, y = iris

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", full)
        with pytest.warns(UserWarning, match="memory=.* could not keep a fit.*No space left"):
            one = search(tmp_path).fit(X, y)
    assert not list(tmp_path.iterdir())
    check_same_scores(one, search(None).fit(X, y), X)


def test_a_folder_is_a_folder(iris, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="memory=.* cannot be made a folder"):
        search(tmp_path / "file" / "folder").fit(*iris)
    monkeypatch.setenv("HOME", str(tmp_path))
    search("~/kept").fit(*iris)
    assert len(list((tmp_path / "kept").glob("*.npz"))) == 7
    assert not Path("~").exists()


def test_a_search_over_networks_that_separate_is_kept(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 5)).astype(np.float32)
    y = (X[:, 0] > 0).astype(int)
    model = MarginClassifier(
        max_epochs=40, device="cpu", module__hidden_layer_sizes=(16,), random_state=0
    )
    grid = {"lr": [5e-3, 1e-2, 2e-2, 3e-2]}
    searches = [
        MarginSearchCV(model, grid, cv=3, stack=True, memory=tmp_path).fit(X, y)
        for _ in range(2)
    ]
    assert any(each.separated_ for each in searches[0].shortlist_estimators_)
    np.testing.assert_array_equal(
        searches[1].cv_results_["margin_auc"], searches[0].cv_results_["margin_auc"]
    )
