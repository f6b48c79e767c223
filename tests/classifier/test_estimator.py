import pickle
import random
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from joblib import parallel_config
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback, EarlyStopping
from torch import nn

from margin_sklearn import (
    ConvNet,
    LocalityWarning,
    MarginClassifier,
    MarginSubsetSelector,
    NotSeparatedWarning,
    margin_auc_score,
)
from margin_sklearn.neighborhoods.perturbed import N_STEP_LENGTH

# Every test of this module fits networks by themselves and stacked.
pytestmark = pytest.mark.usefixtures("both_ways")
# But a stacked network has its own dropout, and equals one of another kind of training only
# up to rounding.
only_alone = pytest.mark.parametrize("both_ways", ["alone"], indirect=True)

SMALL = {
    "module__hidden_layer_sizes": (16,),
    "max_epochs": 5,
    "random_state": 0,
    "device": "cpu",
}


class InterruptAt(Callback):
    """A user who presses Ctrl-C in the middle of an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_batch_begin(self, net, training=None, **kwargs):
        if len(net.history) == self.epoch:
            raise KeyboardInterrupt


def weights_of(estimator):
    return [p.detach().numpy() for p in estimator.net_.module_.state_dict().values()]


def assert_same_network(a, b):
    for left, right in zip(weights_of(a), weights_of(b), strict=True):
        np.testing.assert_array_equal(left, right)


# --- parameters ---------------------------------------------------------------------------


def test_nested_parameters_work_everywhere():
    estimator = MarginClassifier(module__hidden_layer_sizes=(3,), optimizer__eps=1e-7)
    estimator.set_params(module__dropout=0.5, callbacks__lr__policy="x", lr=0.1)
    params = estimator.get_params()
    assert params["module__hidden_layer_sizes"] == (3,)
    assert params["module__dropout"] == 0.5
    assert clone(estimator).get_params() == params
    assert "module__dropout=0.5" in repr(estimator)


def test_misspelt_parameters_raise():
    with pytest.raises(TypeError, match="max_epoch'"):
        MarginClassifier(max_epoch=3)
    with pytest.raises(ValueError, match="'modul__dropout'"):
        MarginClassifier().set_params(modul__dropout=0.5)
    with pytest.raises(TypeError, match="widths"):
        MarginClassifier(module__widths=3).fit([[0.0], [1.0]], [0, 1])


# --- learning -----------------------------------------------------------------------------


def test_it_learns_and_says_so(digits):
    X, y = digits
    estimator = MarginClassifier(max_epochs=15, random_state=0).fit(X, y)
    assert estimator.score(X, y) == 1.0
    assert estimator.separated_
    assert 1 <= estimator.separation_epoch_ <= 15
    assert estimator.n_iter_ == len(estimator.loss_curve_) == 15
    # With label smoothing of 0.1, the loss cannot fall below 0.5.
    assert 0.5 < estimator.loss_curve_[-1] < estimator.loss_curve_[0] / 2
    row = estimator.history_[-1]
    assert row["train_accuracy"] > 0.95
    assert row["train_margin"] > estimator.history_[0]["train_margin"]


def test_predictions_agree_with_one_another(fitted, digits):
    X, y = digits
    logits = fitted.decision_function(X)
    proba = fitted.predict_proba(X)
    assert logits.shape == (len(X), 10)
    np.testing.assert_array_equal(fitted.predict(X), fitted.classes_[logits.argmax(axis=1)])
    np.testing.assert_allclose(proba.sum(axis=1), 1.0)
    np.testing.assert_allclose(np.log(proba), fitted.predict_log_proba(X), atol=1e-12)
    assert fitted.score(X, y) == (fitted.predict(X) == y).mean()


def test_two_classes_have_scikit_learns_shapes(binary):
    X, y = binary
    estimator = MarginClassifier(**SMALL).fit(X, np.where(y == 1, "yes", "no"))
    scores = estimator.decision_function(X)
    assert scores.shape == (len(X),)
    np.testing.assert_array_equal(estimator.predict(X) == "yes", scores > 0)
    assert estimator.predict_proba(X).shape == (len(X), 2)


@pytest.mark.parametrize(
    "names", [list("zyxwvutsrq"), list(range(5, 15)), [float(i) for i in range(10)]]
)
def test_renaming_classes_changes_nothing(digits, names):
    X, y = digits
    names = np.array(names)
    order = np.argsort(names)
    plain = MarginClassifier(**SMALL).fit(X, np.argsort(order)[y])
    named = MarginClassifier(**SMALL).fit(X, names[y])
    assert_same_network(plain, named)
    np.testing.assert_array_equal(named.predict(X), names[order][plain.predict(X)])


def test_booleans_are_labels(binary):
    X, y = binary
    assert MarginClassifier(**SMALL).fit(X, y == 1).predict(X).dtype == bool


def test_a_diverging_fit_raises(digits):
    X, y = digits
    with pytest.raises(ValueError, match="diverged.*lr"):
        MarginClassifier(
            criterion="exponential", optimizer="sgd", lr=1e6, module__batch_norm=False
        ).fit(X, y)


# --- input --------------------------------------------------------------------------------


@only_alone
def test_input_of_any_kind_gives_the_same_network(digits, tmp_path):
    X, y = np.round(digits[0]).astype(np.float32), digits[1]
    path = tmp_path / "X.npy"
    np.save(path, X)
    plain = MarginClassifier(**SMALL).fit(X, y)
    expected = plain.predict_proba(X)
    kinds = {
        "float64": X.astype(np.float64),
        "int": X.astype(np.int64),
        "list": X.tolist(),
        "fortran": np.asfortranarray(X),
        "csr array": scipy.sparse.csr_array(X),
        "csc matrix": scipy.sparse.csc_matrix(X),
        "coo": scipy.sparse.coo_array(X),
        "tensor": torch.from_numpy(X),
        "memory map": np.load(path, mmap_mode="r"),
        "frame": pd.DataFrame(X, columns=[f"f{i}" for i in range(X.shape[1])]),
        "object": X.astype(object),
    }
    for kind, other in kinds.items():
        estimator = MarginClassifier(**SMALL).fit(other, y)
        assert_same_network(plain, estimator)
        np.testing.assert_array_equal(estimator.predict_proba(other), expected, kind)


@only_alone
def test_streamed_training_equals_resident_training(digits, monkeypatch):
    X, y = digits
    resident = MarginClassifier(**SMALL).fit(X, y)
    monkeypatch.setattr("margin_sklearn.data.batches.MAX_RESIDENT_BYTES", 0)
    assert_same_network(resident, MarginClassifier(**SMALL).fit(X, y))


def test_labels_may_be_tensors_series_or_lists(digits):
    X, y = digits
    plain = MarginClassifier(**SMALL).fit(X, y)
    for other in (torch.from_numpy(y), pd.Series(y, index=y + 7), y.tolist()):
        assert_same_network(plain, MarginClassifier(**SMALL).fit(X, other))


def test_images(images):
    X, y = images
    estimator = MarginClassifier(
        ConvNet, module__channels=(4, 8), lr=1e-2, max_epochs=8, random_state=0
    )
    assert estimator.fit(X, y).score(X, y) > 0.9
    assert estimator.input_shape_ == (8, 8)
    with pytest.raises(ValueError, match="shape \\(8, 7\\).*fitted on.*\\(8, 8\\)"):
        estimator.predict(X[:, :, :7])


def test_feature_names_are_remembered_and_checked(iris):
    X = pd.DataFrame(iris[0], columns=list("abcd"))
    estimator = MarginClassifier(**SMALL).fit(X, iris[1])
    assert estimator.feature_names_in_.tolist() == list("abcd")
    with pytest.raises(ValueError, match="feature names"):
        estimator.predict(X[list("bacd")])


@pytest.mark.parametrize(
    ("X", "y", "match"),
    [
        ([[1.0], [np.nan]], [0, 1], "NaN"),
        ([[1.0], [np.inf]], [0, 1], "infinity"),
        ([[1.0], [1e300]], [0, 1], "Column 0 of X holds 1e\\+300, too large"),
        ([[1.0], [2.0]], [0, 0], "at least 2 classes"),
        ([[1.0], [2.0], [3.0]], [0, 1], "inconsistent numbers.*MarginSubsetSelector"),
        ([[1.0 + 1j], [2.0]], [0, 1], "Complex"),
        ([["a"], ["b"]], [0, 1], "Column 0 of X holds 'a'.*OneHotEncoder"),
        (np.empty((0, 3)), [], "0 sample"),
        (np.empty((3, 0)), [0, 1, 1], "0 feature"),
        ([1.0, 2.0], [0, 1], "2D"),
        ([[1.0], [2.0]], [0.5, 1.7], "Unknown label type|continuous"),
        ([[1.0], [2.0]], [0.0, np.nan], "NaN"),
        ([[1.0], [2.0]], [[0, 1], [1, 0]], "1d array|should be a 1d"),
        ([[1.0], [2.0]], None, "requires y"),
        ([[1.0], [2.0]], np.array(["a", 1], dtype=object), "mixes strings"),
        ([[1.0], [2.0]], np.array(["a", np.nan], dtype=object), "y contains NaN"),
        ([[1.0], [2.0]], np.array(["a", None], dtype=object), "y contains NaN"),
        ([[1.0], [2.0]], pd.Series(["a", np.nan], dtype="str"), "y contains NaN"),
        ([[1.0], [2.0]], pd.Series(["a", pd.NA], dtype="string"), "y contains NaN"),
        ([[1.0], [2.0]], pd.Series([1, pd.NA], dtype="Int64"), "y contains NaN"),
        ([[1.0], [2.0]], pd.Series(["a", None]).astype("category"), "y contains NaN"),
    ],
)
def test_unusable_data_raise(X, y, match):
    with pytest.raises(ValueError, match=match):
        MarginClassifier(**SMALL).fit(X, y)


def test_sparse_data_are_never_dense_as_a_whole(rng, monkeypatch):
    X = scipy.sparse.random_array((1500, 3000), density=0.01, random_state=rng, format="csr")
    y = np.arange(1500) % 2
    rows, toarray = [], scipy.sparse.csr_array.toarray

    def recording(self, *args, **kwargs):
        if self.shape[1] == 3000:  # samples, not products of samples
            rows.append(self.shape[0])
        return toarray(self, *args, **kwargs)

    monkeypatch.setattr(scipy.sparse.csr_array, "toarray", recording)
    estimator = MarginClassifier(**SMALL).fit(X, y)
    estimator.predict(X)
    assert sum(rows) > 1500
    assert max(rows) < 500
    with pytest.warns(LocalityWarning):  # random ones and zeros
        margin_auc_score(estimator, X, y)
    # Of those that the steps are calibrated on.
    assert max(rows) <= N_STEP_LENGTH < 1500


def test_unfitted_and_ill_fitting_input_to_predict(iris):
    with pytest.raises(NotFittedError):
        MarginClassifier().predict(iris[0])
    assert not hasattr(MarginClassifier(), "history_")
    estimator = MarginClassifier(**SMALL).fit(*iris)
    with pytest.raises(ValueError, match="features"):
        estimator.predict(iris[0][:, :2])
    with pytest.raises(ValueError, match="NaN"):
        estimator.predict(np.full((1, 4), np.nan))


# --- weights ------------------------------------------------------------------------------

WEIGHABLE = {
    **SMALL,
    "module__batch_norm": False,
    "module__dropout": 0.0,
    "batch_size": -1,
    "max_epochs": 20,
}


def test_weights_are_repetitions_in_full_batches(iris):
    X, y = iris
    counts = np.random.default_rng(0).integers(0, 4, len(y))
    weighted = MarginClassifier(**WEIGHABLE).fit(X, y, sample_weight=counts)
    repeated = MarginClassifier(**WEIGHABLE).fit(
        np.repeat(X, counts, axis=0), np.repeat(y, counts)
    )
    # float32, and sums in another order: equal up to rounding.
    np.testing.assert_allclose(
        weighted.decision_function(X), repeated.decision_function(X), rtol=1e-3, atol=1e-3
    )


def test_samples_of_weight_zero_are_not_there(iris):
    X, y = iris
    keep = np.arange(len(y)) % 3 > 0
    garbage = np.where(keep[:, None], X, 1e6)
    weighted = MarginClassifier(**SMALL).fit(garbage, y, sample_weight=keep.astype(float))
    assert_same_network(weighted, MarginClassifier(**SMALL).fit(X[keep], y[keep]))


def test_equal_weights_change_nothing(iris):
    plain = MarginClassifier(**SMALL).fit(*iris)
    weighted = MarginClassifier(**SMALL).fit(*iris, sample_weight=np.full(len(iris[1]), 3.0))
    assert_same_network(plain, weighted)


def test_class_weights_are_sample_weights(iris):
    X, y = iris[0][:120], iris[1][:120]
    balanced = MarginClassifier(**WEIGHABLE, class_weight="balanced").fit(X, y)
    by_dict = MarginClassifier(**WEIGHABLE, class_weight={0: 0.8, 1: 0.8, 2: 2.0}).fit(X, y)
    weight = np.choose(y, [0.8, 0.8, 2.0])
    by_sample = MarginClassifier(**WEIGHABLE).fit(X, y, sample_weight=weight)
    for other in (by_dict, by_sample):
        np.testing.assert_allclose(
            balanced.decision_function(X), other.decision_function(X), rtol=1e-4, atol=1e-4
        )
    plain = MarginClassifier(**WEIGHABLE).fit(X, y)
    assert (balanced.predict(X) == 2).sum() >= (plain.predict(X) == 2).sum()


@pytest.mark.parametrize("criterion", ["exponential", "logistic"])
def test_every_loss_takes_weights(iris, criterion):
    X, y = iris
    weight = np.where(y == 1, 0.0, 1.0)
    estimator = MarginClassifier(**SMALL, criterion=criterion)
    assert not (estimator.fit(X, y, sample_weight=weight).predict(X) == 1).all()


@pytest.mark.parametrize(
    ("weight", "settings", "match"),
    [
        ([-1.0, 1.0], {}, "negative"),
        ([np.nan, 1.0], {}, "NaN"),
        ([1.0], {}, "shape"),
        ([0.0, 0.0], {}, "zero"),
        ([0.0, 1.0], {}, "one class"),
        (None, {"class_weight": "equal"}, "'equal'"),
        (None, {"class_weight": {7: 1.0}}, "7"),
        (None, {"class_weight": {0: -1.0}}, "negative"),
        (None, {"class_weight": {0: "a"}}, "class_weight.0. must be.*'a'"),
        (None, {"class_weight": {0: np.inf}}, "class_weight.0. must be.*finite"),
    ],
)
def test_unusable_weights_raise(weight, settings, match):
    with pytest.raises(ValueError, match=match):
        MarginClassifier(**SMALL, **settings).fit([[0.0], [1.0]], [0, 1], sample_weight=weight)


@pytest.mark.parametrize("make", [MarginClassifier, MarginSubsetSelector])
def test_class_weights_may_name_a_class_that_a_fold_lacks(iris, make):
    """As LogisticRegression, which refuses them only where a class has no weight as well."""
    X, y = iris[0][:100], iris[1][:100]
    weights = {0: 1.0, 1: 3.0, 2: 9.0}
    LogisticRegression(class_weight=weights).fit(X, y)

    def fitted(class_weight):
        network = MarginClassifier(**SMALL, class_weight=class_weight, lr=1e-2)
        if make is MarginClassifier:
            return network.fit(X, y)
        network.set_params(max_epochs=60)
        return MarginSubsetSelector(network, n_samples_to_select=20, random_state=0).fit(X, y)

    np.testing.assert_array_equal(
        fitted(weights).predict_proba(X), fitted({0: 1.0, 1: 3.0}).predict_proba(X)
    )
    for estimator in (LogisticRegression, MarginClassifier):
        with pytest.raises(ValueError, match=r"\[1\]"):
            estimator(class_weight={0: 1.0, 2: 9.0}).fit(X, y)
    partial = MarginClassifier(**SMALL, class_weight=weights)
    partial.partial_fit(X, y, classes=[0, 1, 2]).partial_fit(X[:50], y[:50])


class Unreduced(nn.Module):
    def forward(self, logits, target):
        return nn.functional.cross_entropy(logits, target)


def test_a_criterion_without_reduction_cannot_be_weighted(iris):
    X, y = iris
    MarginClassifier(**SMALL, criterion=Unreduced).fit(X, y)
    with pytest.raises(ValueError, match="Unreduced has none"):
        MarginClassifier(**SMALL, criterion=Unreduced).fit(X, y, sample_weight=y + 1)


# --- going on -----------------------------------------------------------------------------


@only_alone
def test_a_warm_start_goes_on_as_if_never_stopped(digits):
    X, y = digits
    settings = {**SMALL, "module__dropout": 0.2, "lr_schedule": "constant"}
    whole = MarginClassifier(**{**settings, "max_epochs": 6}).fit(X, y)
    parts = MarginClassifier(**{**settings, "max_epochs": 3}, warm_start=True).fit(X, y)
    parts = pickle.loads(pickle.dumps(parts)).fit(X, y)
    assert parts.n_iter_ == 6
    assert_same_network(whole, parts)
    assert whole.loss_curve_ == parts.loss_curve_


@only_alone
def test_without_a_warm_start_fit_begins_anew(digits):
    estimator = MarginClassifier(**SMALL).fit(*digits)
    before = weights_of(clone(estimator).fit(*digits))
    for left, right in zip(before, weights_of(estimator.fit(*digits)), strict=True):
        np.testing.assert_array_equal(left, right)
    assert estimator.n_iter_ == 5


def test_a_warm_start_takes_over_what_may_change_and_refuses_the_rest(digits):
    X, y = digits
    estimator = MarginClassifier(**SMALL, warm_start=True).fit(X, y)
    estimator.set_params(lr=1e-5, weight_decay=0.3, batch_size=32, max_epochs=1).fit(X, y)
    (group,) = estimator.net_.optimizer_.param_groups
    assert (group["lr"], group["weight_decay"]) == (1e-5, 0.3)
    assert estimator.net_.history[-1]["train_batch_count"] == 19
    with pytest.raises(ValueError, match="module__hidden_layer_sizes.*warm_start=False"):
        estimator.set_params(module__hidden_layer_sizes=(3,)).fit(X, y)
    other = MarginClassifier(**SMALL, warm_start=True).fit(X, y)
    other.set_params(callbacks=[EarlyStopping()])
    with pytest.raises(ValueError, match="callbacks changed"):
        other.fit(X, y)
    with pytest.raises(ValueError, match="label 10"):
        MarginClassifier(**SMALL, warm_start=True).fit(X, y).fit(X, y + 2)


def test_partial_fit_learns_from_chunks_of_single_classes(iris):
    X, y = iris
    estimator = MarginClassifier(**SMALL, lr=1e-2, module__batch_norm=False)
    for _ in range(20):
        for label in (0, 1, 2):
            estimator.partial_fit(X[y == label], y[y == label], classes=[0, 1, 2])
    assert estimator.classes_.tolist() == [0, 1, 2]
    assert estimator.n_iter_ == 60
    estimator.partial_fit(X, y)
    assert set(estimator.predict(X)) == {0, 1, 2}


def test_partial_fit_asks_for_classes_as_scikit_learn_does(iris):
    X, y = iris
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        MarginClassifier().partial_fit(X, y)
    estimator = MarginClassifier(**SMALL).partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="not the same"):
        estimator.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match="label 3"):
        estimator.partial_fit(X, y + 3)
    for classes, match in (
        ([], "list of all labels"),
        ([0, 1, np.nan], "NaN"),
        (["a", None], "NaN"),
        ([[0, 1], [2, 3]], "list of all labels"),
        (7, "list of all labels"),
    ):
        with pytest.raises(ValueError, match=match):
            MarginClassifier(**SMALL).partial_fit(X, y, classes=classes)


def test_weights_of_chunks_are_not_made_relative(iris):
    X, y = iris
    settings = {**SMALL, "optimizer": "sgd", "weight_decay": 0, "batch_size": -1}
    chunk = {"classes": [0, 1, 2]}
    heavy = MarginClassifier(**settings, lr=0.01)
    heavy.partial_fit(X, y, **chunk, sample_weight=np.full(len(y), 5.0))
    fast = MarginClassifier(**settings, lr=0.05).partial_fit(X, y, **chunk)
    for left, right in zip(weights_of(heavy), weights_of(fast), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="dict"):
        MarginClassifier(class_weight="balanced").partial_fit(X, y, **chunk)


def test_a_fit_that_diverged_can_be_begun_anew(digits):
    estimator = MarginClassifier(
        criterion="exponential",
        optimizer="sgd",
        lr=1e6,
        module__batch_norm=False,
        max_epochs=2,
    )
    with pytest.raises(ValueError, match="diverged"):
        estimator.fit(*digits)
    assert estimator.set_params(lr=1e-3, criterion="cross_entropy").fit(*digits).n_iter_ == 2


@only_alone
def test_one_epoch_of_fit_is_one_partial_fit(digits):
    X, y = digits
    fitted = MarginClassifier(**{**SMALL, "max_epochs": 1}, lr_schedule="constant").fit(X, y)
    assert_same_network(fitted, MarginClassifier(**SMALL).partial_fit(X, y, np.unique(y)))


# --- separation ---------------------------------------------------------------------------


def accuracy_by_epoch(X, y, **settings):
    estimator = MarginClassifier(**settings, max_epochs=1, warm_start=True)
    return [estimator.fit(X, y).score(X, y) for _ in range(15)]


@only_alone
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("n", [64, 400])
def test_separation_is_noticed_in_the_very_epoch(digits, n, dropout):
    X, y = digits[0][:n], digits[1][:n]
    settings = {"random_state": 1, "lr": 3e-3, "module__dropout": dropout, "device": "cpu"}
    settings["lr_schedule"] = "constant"
    accuracy = accuracy_by_epoch(X, y, **settings)
    first = accuracy.index(1.0) + 1
    estimator = MarginClassifier(**settings, max_epochs=15).fit(X, y)
    assert estimator.separation_epoch_ == first
    assert estimator.separated_ == (estimator.score(X, y) == 1.0)
    stopped = MarginClassifier(**settings, max_epochs=15, stop_at_separation=True).fit(X, y)
    assert stopped.n_iter_ == first
    assert stopped.score(X, y) == 1.0


def test_what_cannot_be_separated_is_not(iris):
    X, y = np.zeros((20, 3)), np.arange(20) % 2
    estimator = MarginClassifier(**SMALL).fit(X, y)
    assert estimator.separated_ is False
    assert estimator.separation_epoch_ is None
    with pytest.warns(NotSeparatedWarning, match="after 5 epochs.*0.5000"):
        MarginClassifier(**SMALL, stop_at_separation=True).fit(X, y)


def test_separation_lost_again_is_noticed(digits):
    X, y = digits
    estimator = MarginClassifier(max_epochs=15, random_state=0, warm_start=True).fit(X, y)
    assert estimator.separated_
    estimator.set_params(lr=10.0, max_epochs=1).fit(X, y)
    assert estimator.score(X, y) < 1
    assert not estimator.separated_
    assert estimator.separation_epoch_ <= 15


# --- reproducibility ----------------------------------------------------------------------


def test_the_same_seed_gives_the_same_network_and_leaves_generators_alone(digits):
    X, y = digits
    settings = {**SMALL, "module__dropout": 0.3}
    torch.manual_seed(5)
    np.random.seed(5)
    random.seed(5)
    state = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    a = MarginClassifier(**settings).fit(X, y)
    MarginClassifier(**{**settings, "random_state": None}).fit(X, y)
    assert torch.equal(torch.get_rng_state(), state[0])
    assert (np.random.get_state()[1] == state[1]).all()
    assert random.getstate() == state[2]
    torch.manual_seed(99)
    assert_same_network(a, MarginClassifier(**settings).fit(X, y))
    other = MarginClassifier(**{**settings, "random_state": 1}).fit(X, y)
    assert not np.array_equal(weights_of(a)[0], weights_of(other)[0])


def test_a_random_state_instance_moves_on(iris):
    state = np.random.RandomState(0)
    a = MarginClassifier(**{**SMALL, "random_state": state}).fit(*iris)
    b = MarginClassifier(**{**SMALL, "random_state": state}).fit(*iris)
    assert not np.array_equal(weights_of(a)[0], weights_of(b)[0])


@only_alone
@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_results_do_not_depend_on_n_jobs(digits, backend):
    X, y = digits
    pipeline = make_pipeline(StandardScaler(), MarginClassifier(**SMALL, module__dropout=0.1))
    grid = {"marginclassifier__lr": [1e-3, 1e-2]}
    serial = GridSearchCV(pipeline, grid, scoring="neg_log_loss", cv=2).fit(X, y)
    with parallel_config(backend, n_jobs=2):
        parallel = GridSearchCV(pipeline, grid, scoring="neg_log_loss", cv=2).fit(X, y)
    for key in ("split0_test_score", "split1_test_score"):
        np.testing.assert_array_equal(serial.cv_results_[key], parallel.cv_results_[key])


def test_thread_count_is_put_back(digits):
    torch.set_num_threads(2)
    MarginClassifier(**SMALL).fit(*digits).predict(digits[0])
    assert torch.get_num_threads() == 2


# --- living with it -----------------------------------------------------------------------


def test_it_survives_pickling_and_cloning(fitted, digits):
    X, _ = digits
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    assert again.loss_curve_ == fitted.loss_curve_
    assert not hasattr(clone(fitted), "net_")


@pytest.mark.parametrize("epoch", [1, 3])
def test_an_interruption_leaves_a_fitted_estimator(digits, epoch):
    X, y = digits
    estimator = MarginClassifier(**SMALL, callbacks=[InterruptAt(epoch)])
    with pytest.warns(UserWarning, match=f"interrupted after {epoch - 1} epochs"):
        estimator.fit(X, y)
    assert estimator.n_iter_ == epoch - 1
    assert estimator.predict(X).shape == y.shape
    assert estimator.separated_ is False


def test_early_stopping_by_a_callback_is_no_interruption(digits):
    stopping = EarlyStopping(monitor="train_loss", patience=1, threshold=10.0, sink=str)
    estimator = MarginClassifier(**{**SMALL, "max_epochs": 20}, callbacks=[stopping])
    estimator.fit(*digits)
    assert estimator.n_iter_ < 20
    assert stopping.misses_ == 0


def test_callbacks_may_look_at_gradients_and_batches(digits):
    from skorch.callbacks import GradientNormClipping

    class Watch(Callback):
        rows = 0

        def on_batch_end(self, net, batch=None, training=None, loss=None, **kwargs):
            Watch.rows += len(batch[0])
            norms = [p.grad.norm() for p in net.module_.parameters()]
            assert torch.stack(norms).norm() < 0.011

    callbacks = [GradientNormClipping(gradient_clip_value=0.01), Watch()]
    estimator = MarginClassifier(**SMALL, batch_size=50, callbacks=callbacks).fit(*digits)
    assert Watch.rows == 5 * len(digits[1])
    assert estimator.history_[-1, "batches", 0, "train_batch_size"] == 50


def test_grid_search_over_parts_in_a_pipeline(digits):
    X, y = digits
    pipeline = make_pipeline(StandardScaler(), MarginClassifier(**SMALL, lr=1e-2))
    grid = {
        "marginclassifier__module__hidden_layer_sizes": [(4,), (32,)],
        "marginclassifier__optimizer__eps": [1e-8],
    }
    search = GridSearchCV(pipeline, grid, cv=2).fit(X, y)
    assert search.best_params_["marginclassifier__module__hidden_layer_sizes"] == (32,)
    assert cross_val_score(pipeline, X, y, cv=3).min() > 0.5


# A user's script: module classes that nobody can import.
SCRIPT = """
import numpy as np, torch
from joblib import parallel_config
from sklearn.datasets import load_iris
from sklearn.ensemble import BaggingClassifier, VotingClassifier
from sklearn.model_selection import cross_validate
from margin_sklearn import MarginClassifier

class Mine(torch.nn.Module):
    def __init__(self, input_shape, n_classes):
        super().__init__()
        self.layer = torch.nn.Linear(input_shape[0], n_classes)
    def forward(self, x):
        return self.layer(x)

def local():
    class Inner(Mine):
        pass
    return Inner

X, y = load_iris(return_X_y=True)
for module in (Mine, local(), lambda input_shape, n_classes: Mine(input_shape, n_classes)):
    network = MarginClassifier(module, max_epochs=3, random_state=0, device="cpu")
    expected = network.fit(X, y).predict_proba(X)
    for model in (
        VotingClassifier([("a", network), ("b", network)], voting="soft", n_jobs=2),
        BaggingClassifier(network, 2, bootstrap=False, n_jobs=2, random_state=0),
    ):
        proba = model.fit(X, y).predict_proba(X)
        assert proba.shape == expected.shape
    assert abs(proba - proba.mean()).max() > 0
    done = cross_validate(network, X, y, cv=2, n_jobs=2, return_estimator=True)
    again = cross_validate(network, X, y, cv=2, return_estimator=True)
    for a, b in zip(done["estimator"], again["estimator"]):
        assert (a.predict_proba(X) == b.predict_proba(X)).all()
        a.set_params(warm_start=True).fit(X, y)
print("done")
"""


@only_alone
def test_module_classes_of_a_script_with_several_processes():
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=180
    )
    assert result.stdout.strip() == "done", result.stderr
