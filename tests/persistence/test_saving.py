"""An estimator that was saved and loaded is the same, to the last bit."""

import functools

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file
from scipy.stats import loguniform, randint
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.ensemble import BaggingClassifier, StackingClassifier
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import GridSearchCV, KFold, RandomizedSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    SplineTransformer,
    StandardScaler,
)
from skorch.callbacks import (
    EarlyStopping,
    EpochScoring,
    GradientNormClipping,
    LRScheduler,
)

from margin_sklearn import (
    ConvNet,
    LabelErrorDetector,
    MarginClassifier,
    MarginSearchCV,
    MarginSubsetSelector,
    ResubstitutionSplit,
    load,
    make_margin_auc_scorer,
    margin_auc_score,
    margins,
    save,
)
from margin_sklearn.classifier.together import Fit, fit_together

from . import modules

SMALL = {"max_epochs": 3, "random_state": 0}


def small(**params):
    return MarginClassifier(**{**SMALL, "module__hidden_layer_sizes": (8,), **params})


def own(module, **params):
    return MarginClassifier(module, **{**SMALL, **params})


def assert_same_training(a, b):
    """Two classifiers have the same weights, optimizer, generators and history."""
    for one, other in (
        (a.net_.module_.state_dict(), b.net_.module_.state_dict()),
        (a.net_.criterion_.state_dict(), b.net_.criterion_.state_dict()),
    ):
        assert {*one} == {*other}
        for name, tensor in one.items():
            if isinstance(tensor, torch.Tensor):
                assert torch.equal(tensor, other[name])
    assert_same_states(a.net_.optimizer_.state_dict(), b.net_.optimizer_.state_dict())
    rows = [[{**row, "dur": None} for row in model.history_] for model in (a, b)]
    assert rows[0] == rows[1]
    for name in ("n_iter_", "best_epoch_", "separated_", "separation_epoch_"):
        assert getattr(a, name) == getattr(b, name)
    np.testing.assert_array_equal(a.classes_, b.classes_)
    assert a.classes_.dtype == b.classes_.dtype


def assert_same_states(a, b):
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert {*a} == {*b}
        for key, value in a.items():
            assert_same_states(value, b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            assert_same_states(one, other)
    else:
        assert a == b


NETWORKS = {
    "default": small(),
    "restore_best": small(restore_best="margin_auc"),
    "separation": small(stop_at_separation=0.9, max_epochs=30),
    "sgd": small(optimizer="sgd", optimizer__momentum=0.9, lr=0.1, lr_schedule="constant"),
    "adam, logistic": small(optimizer="adam", criterion="logistic"),
    "classes": small(optimizer=torch.optim.RMSprop, criterion=torch.nn.CrossEntropyLoss),
    "weights in the loss": small(
        criterion="cross_entropy", criterion__weight=torch.tensor([1.0, 2.0, 0.5])
    ),
    "lbfgs": small(optimizer=torch.optim.LBFGS, weight_decay=0, batch_size=-1, lr=0.1),
    "schedule": small(lr_schedule=torch.optim.lr_scheduler.CosineAnnealingLR),
    "groups": small(optimizer__param_groups=[("*bias", {"weight_decay": 0.0})]),
    "class weights": small(class_weight={0: 1.0, 1: 2.0, 2: 3.0}),
    "activation": small(module__activation="tanh", module__dropout=0.3),
    "NumPy's numbers": small(
        max_epochs=np.int64(3), batch_size=np.int32(40), lr=np.float32(0.01)
    ),
    "RandomState": small(random_state=np.random.RandomState(3)),
    "no seed": small(random_state=None),
    "table of epochs": small(verbose=2),
    "progress bar": small(verbose=1),
}
OWN = {
    "own module": own(modules.Net, module__width=5),
    "function": own(modules.small_mlp),
    "partial": own(functools.partial(modules.Net, width=6)),
    "lazy": own(modules.Lazy),
    "extra state": own(modules.WithExtraState),
    "double": own(modules.Double),
    "tied": own(modules.Tied),
}
CALLBACKS = {
    "scoring": [EpochScoring("accuracy", on_train=True, lower_is_better=False)],
    "early stopping": [("stop", EarlyStopping("train_loss", patience=2))],
    "step": [LRScheduler("StepLR", step_size=2)],
    "exponential": [LRScheduler(torch.optim.lr_scheduler.ExponentialLR, gamma=0.9)],
    "cosine": [LRScheduler("CosineAnnealingLR", T_max=4, step_every="batch")],
    "clipping": [GradientNormClipping(1.0)],
}


@pytest.mark.filterwarnings("ignore::margin_sklearn.NotSeparatedWarning")
@pytest.mark.parametrize("name", [*NETWORKS, *OWN])
def test_training_continues_as_if_never_saved(name, iris, again, capsys):
    X, y = iris
    model = clone({**NETWORKS, **OWN}[name]).fit(X, y)
    trusted = [vars(modules)[key] for key in vars(modules) if key[0].isalpha()]
    loaded = again(model, trusted=[item for item in trusted if hasattr(item, "__qualname__")])
    assert_same_training(model, loaded)
    np.testing.assert_array_equal(model.decision_function(X), loaded.decision_function(X))
    np.testing.assert_array_equal(
        margins(model, X, y), margins(loaded, X, y), err_msg="margins"
    )
    for _ in range(2):
        model.partial_fit(X, y)
        loaded.partial_fit(X, y)
    assert_same_training(model, loaded)
    model.set_params(warm_start=True).fit(X, y)
    loaded.set_params(warm_start=True).fit(X, y)
    assert_same_training(model, loaded)


@pytest.mark.parametrize("name", CALLBACKS)
def test_callbacks_continue(name, iris, again):
    X, y = iris
    model = small(callbacks=CALLBACKS[name], lr_schedule="constant").fit(X, y)
    loaded = again(model)
    for one in (model, loaded):
        one.partial_fit(X, y).partial_fit(X, y)
    assert_same_training(model, loaded)
    for one in (model, loaded):
        one.set_params(warm_start=True).fit(X, y)
    assert_same_training(model, loaded)


def test_callbacks_of_the_users_own_continue(iris, again):
    X, y = iris
    scheduling = LRScheduler("LambdaLR", lr_lambda=modules.halved)
    model = small(callbacks=[modules.Counting(), scheduling], lr_schedule="constant")
    loaded = again(model.fit(X, y), trusted=[modules.Counting, modules.halved])
    for one in (model, loaded):
        one.partial_fit(X, y)
        assert one.net_.callbacks_[1][1].n_epochs_ == 4
    assert_same_training(model, loaded)


def test_images_and_codes(again):
    X, y = load_digits(return_X_y=True)
    images = X[:60].reshape(-1, 1, 8, 8) / 16
    model = own(ConvNet, module__channels=(4,)).fit(images, y[:60])
    assert_same_training(model, again(model))
    codes = np.arange(120).reshape(60, 2) % 10
    model = own(modules.Codes).fit(codes, y[:60] % 2)
    loaded = again(model, trusted=[modules.Codes])
    assert_same_training(
        model.partial_fit(codes, [0, 1] * 30), loaded.partial_fit(codes, [0, 1] * 30)
    )


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["x", "yy", "z"]),
        np.array(["x", "yy", "z"], dtype=object),
        np.array([-1, 5, 2**40]),
        np.array([0.0, 1.0, 2.0]),
        np.array([1, 3, 7], dtype=np.uint8),
        pd.Categorical(["b", "a", "ü"]),
    ],
    ids=lambda labels: str(labels.dtype),
)
def test_labels_of_any_kind(labels, iris, again):
    X, y = iris
    model = small().fit(X, labels[y])
    loaded = again(model)
    assert_same_training(model, loaded)
    predicted = loaded.predict(X)
    assert predicted.dtype == model.predict(X).dtype
    assert type(predicted[0]) is type(model.predict(X)[0])


def test_settings_changed_after_fit_stay_apart_from_those_of_the_training(iris, again):
    X, y = iris
    model = small().fit(X, y).set_params(lr=0.5, module__hidden_layer_sizes=(99,))
    loaded = again(model)
    assert loaded.get_params() == model.get_params()
    assert_same_training(model, loaded)
    with pytest.raises(ValueError, match="module__hidden_layer_sizes changed"):
        loaded.partial_fit(X, y)


def test_not_fitted(again):
    model = small(optimizer=torch.optim.SGD, device="cpu")
    loaded = again(make_pipeline(StandardScaler(), model))[-1]
    assert loaded.get_params() == model.get_params()
    assert not hasattr(loaded, "net_")


def test_a_data_frame_in_a_pipeline(iris, again):
    X, y = iris
    frame = pd.DataFrame(X, columns=list("abcd")).assign(kind=list("xyz") * 20)
    columns = make_column_transformer(
        (StandardScaler(), list("abcd")), (OneHotEncoder(sparse_output=False), ["kind"])
    )
    model = make_pipeline(columns.set_output(transform="pandas"), small()).fit(frame, y)
    loaded = again(model)
    np.testing.assert_array_equal(model.predict_proba(frame), loaded.predict_proba(frame))
    np.testing.assert_array_equal(loaded[-1].feature_names_in_, model[-1].feature_names_in_)
    with pytest.raises(ValueError, match="feature names"):
        loaded[-1].predict(frame[list("abcd")])


def test_selector_and_detector(iris, again):
    X, y = iris
    index = pd.MultiIndex.from_arrays([np.arange(60), list("ab") * 30], names=["i", None])
    frame = pd.DataFrame(X, columns=list("abcd"), index=index)
    selector = MarginSubsetSelector(
        small(),
        n_samples_to_select=0.2,
        separation=0.4,
        continue_epochs=np.int64(1),
        random_state=0,
    )
    for model in (
        selector.set_output(transform="pandas"),
        LabelErrorDetector(small(max_epochs=20), random_state=0),
    ):
        loaded = again(model.fit(frame, y))
        for name, value in vars(model).items():
            if isinstance(value, pd.DataFrame):
                pd.testing.assert_frame_equal(value, getattr(loaded, name))
            elif isinstance(value, np.ndarray):
                np.testing.assert_array_equal(value, getattr(loaded, name))
        assert_same_training(model.estimator_, loaded.estimator_)
        np.testing.assert_array_equal(model.predict(frame), loaded.predict(frame))
        assert clone(loaded).get_params().keys() == model.get_params().keys()
    assert vars(loaded).keys() == vars(model).keys()


def test_selector_of_a_frozen_estimator_and_of_a_linear_model(iris, again):
    X, y = iris
    for estimator in (FrozenEstimator(small().fit(X, y)), LogisticRegression().fit(X, y)):
        selector = MarginSubsetSelector(
            estimator, n_samples_to_select=0.2, prefit=True, continue_epochs=0,
            separation=0.3,
        ).fit(X, y)  # fmt: skip
        loaded = again(selector)
        np.testing.assert_array_equal(selector.support_, loaded.support_)
        np.testing.assert_array_equal(selector.predict(X), loaded.predict(X))


@pytest.mark.parametrize(
    "model",
    [
        BaggingClassifier(small(), n_estimators=2, random_state=0),
        CalibratedClassifierCV(small(), cv=2, method="isotonic"),
        OneVsRestClassifier(small()),
        StackingClassifier([("net", small()), ("linear", LogisticRegression())], cv=2),
        make_pipeline(SelectKBest(f_classif, k=2), SplineTransformer(), small()),
        make_pipeline(FeatureUnion([("a", PCA(2)), ("b", StandardScaler())]), small()),
    ],
    ids=lambda model: type(model).__name__,
)
def test_other_estimators_of_scikit_learn_that_contain_networks(model, iris, again):
    X, y = iris
    model = clone(model).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), again(model).predict_proba(X))


def test_the_pipeline_of_imbalanced_learn(iris, again):
    imblearn = pytest.importorskip("imblearn.pipeline")
    from margin_sklearn import MarginSubsetSampler

    X, y = iris
    sampler = MarginSubsetSampler(
        small(), n_samples_to_select=0.5, separation=0.4, random_state=0
    )
    model = imblearn.make_pipeline(StandardScaler(), sampler, small()).fit(X, y)
    loaded = again(model)
    np.testing.assert_array_equal(model.predict_proba(X), loaded.predict_proba(X))
    np.testing.assert_array_equal(model[1].sample_indices_, loaded[1].sample_indices_)


SEARCHES = {
    "grid": lambda model: GridSearchCV(
        model, {"lr": [0.01, 0.1]}, cv=ResubstitutionSplit(), scoring=margin_auc_score
    ),
    "several metrics": lambda model: GridSearchCV(
        model, [{"lr": [0.01]}, {"weight_decay": [0.0, 0.1]}],
        scoring={"f1": make_scorer(f1_score, average="macro"), "accuracy": "accuracy"},
        refit="f1", cv=KFold(2, shuffle=True, random_state=0), return_train_score=True,
    ),
    "random": lambda model: RandomizedSearchCV(
        model, {"lr": loguniform(1e-3, 1e-1), "batch_size": randint(8, 16)},
        n_iter=2, cv=2, random_state=1,
    ),
    "margins": lambda model: MarginSearchCV(
        model, {"lr": [0.01, 0.03, 0.1]}, cv=2, random_state=0, vote="auto"
    ),
    "margins, one winner": lambda model: MarginSearchCV(
        model, {"lr": loguniform(1e-3, 1e-1)}, n_iter=3, cv=2, random_state=0, vote=1,
        margin_scoring=make_margin_auc_scorer(scale="frobenius"), scoring="f1_macro",
    ),
    "margins alone": lambda model: MarginSearchCV(
        model, {"lr": [0.01, 0.03, 0.1]}, shortlist=None, random_state=0
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SEARCHES)
def test_searches(name, iris, again):
    X, y = iris
    search = SEARCHES[name](small()).fit(X, y)
    loaded = again(search)
    for key, column in search.cv_results_.items():
        np.testing.assert_array_equal(column, loaded.cv_results_[key])
        assert type(column) is type(loaded.cv_results_[key])
    assert search.best_params_ == loaded.best_params_
    np.testing.assert_array_equal(search.predict_proba(X), loaded.predict_proba(X))
    assert search.score(X, y) == loaded.score(X, y)
    assert_same_training(search.best_estimator_, loaded.best_estimator_)
    refitted = clone(loaded).fit(X, y)
    assert_same_training(search.best_estimator_, refitted.best_estimator_)


def test_a_search_is_saved_with_each_network_once(iris, tmp_path):
    X, y = iris
    search = MarginSearchCV(small(), {"lr": [0.01, 0.03, 0.1]}, cv=2, random_state=0).fit(X, y)
    save(search, tmp_path / "search")
    loaded = load(tmp_path / "search")
    assert loaded.best_estimator_ is loaded.shortlist_estimators_[0]
    stored = load_file(tmp_path / "search")
    outputs = [name for name in stored if name.endswith("weights.module.4.weight")]
    assert len(outputs) == len(search.shortlist_estimators_)
    vote = search.voting()
    save(vote, tmp_path / "vote")
    np.testing.assert_array_equal(
        load(tmp_path / "vote").predict_proba(X), vote.predict_proba(X)
    )


def test_transformers_with_functions_of_the_users(iris, again):
    X, y = iris
    model = make_pipeline(FunctionTransformer(modules.doubled), small()).fit(X, y)
    with pytest.raises(ValueError, match=r"tests.persistence.modules.doubled"):
        again(model)
    loaded = again(model, trusted=["tests.persistence.modules.doubled"])
    np.testing.assert_array_equal(model.predict_proba(X), loaded.predict_proba(X))


def test_classes_derived_from_ours(iris, again):
    X, y = iris
    model = Derived(**SMALL).fit(X, y)
    with pytest.raises(ValueError, match=r"Derived.*trusted="):
        again(model)
    loaded = again(model, trusted=[Derived])
    assert type(loaded) is Derived
    assert_same_training(model, loaded)


class Derived(MarginClassifier):
    pass


def test_saving_changes_nothing(iris, tmp_path):
    X, y = iris
    model = small().fit(X, y)
    twin = small().fit(X, y)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    save(model, tmp_path / "model")
    load(tmp_path / "model")
    assert torch.equal(before[0], torch.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])
    assert_same_training(model.partial_fit(X, y), twin.partial_fit(X, y))


@pytest.mark.gpu
def test_from_a_gpu_to_the_cpu(iris, tmp_path, monkeypatch):
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    X, y = iris
    model = small(device="cuda").fit(X, y)
    save(model, tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert next(loaded.net_.module_.parameters()).is_cuda
    np.testing.assert_array_equal(model.predict_proba(X), loaded.predict_proba(X))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    loaded = load(tmp_path / "model")
    assert not next(loaded.net_.module_.parameters()).is_cuda
    np.testing.assert_allclose(
        model.predict_proba(X), loaded.predict_proba(X), rtol=1e-4, atol=1e-5
    )


def test_a_device_that_is_not_here(iris, tmp_path, monkeypatch):
    X, y = iris
    model = small().fit(X, y)
    # As a file from another machine says.
    monkeypatch.setattr("margin_sklearn.training.run.TrainingRun.device", "cuda:7")
    save_text = tmp_path / "model"
    save(model, save_text)
    monkeypatch.undo()
    if torch.cuda.is_available():
        pytest.skip("needs a machine without CUDA")
    assert_same_training(model, load(save_text))


def test_frozen_parameters_stay_frozen(iris, again):
    X, y = iris
    by_hand, frozen = own(modules.Net).fit(X, y), own(modules.FreezesItself).fit(X, y)
    by_hand.net_.module_.layers.requires_grad_(False)
    for model in (by_hand, frozen):
        loaded = again(model, trusted=[modules.Net, modules.FreezesItself])
        assert any(not part.requires_grad for part in loaded.net_.module_.parameters())
        assert_same_training(model.partial_fit(X, y), loaded.partial_fit(X, y))


@pytest.mark.parametrize("policy", ["CyclicLR", torch.optim.swa_utils.SWALR])
def test_schedules_whose_functions_are_attributes(policy, iris, again):
    X, y = iris
    settings = {"base_lr": 1e-3, "max_lr": 0.1} if policy == "CyclicLR" else {"swa_lr": 0.01}
    schedule = LRScheduler(policy, **settings, step_every="batch")
    model = small(callbacks=[schedule], lr_schedule="constant").fit(X, y)
    loaded = again(model)
    assert_same_training(model.partial_fit(X, y), loaded.partial_fit(X, y))


def test_tensors_of_one_memory(again):
    numbers = torch.arange(6.0)
    views = [numbers[:3], numbers[3:], numbers[::2], numbers[:], torch.ones(1).expand(4)]
    model = GridSearchCV(small(), {"criterion__weight": [torch.ones(2), *views]})
    loaded = again(model).param_grid["criterion__weight"]
    for one, other in zip(views, loaded[1:], strict=True):
        assert torch.equal(one, other)


def test_networks_that_were_trained_together_are_saved(tmp_path):
    X = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    y = (X[:, 0] > 0).astype(int)
    models = [small(max_epochs=40, lr=0.02, random_state=seed) for seed in range(4)]
    results = fit_together([Fit(model, X, y) for model in models])
    assert results[0].n_together == 4
    assert any(model.separated_ for model in models)
    for place, model in enumerate(models):
        save(model, tmp_path / str(place))
        loaded = load(tmp_path / str(place))
        assert loaded.separated_ is model.separated_
        np.testing.assert_array_equal(loaded.decision_function(X), model.decision_function(X))
