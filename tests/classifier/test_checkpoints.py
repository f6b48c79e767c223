"""checkpoint=FOLDER: a fit that was killed is resumed as if nothing had happened."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import warnings
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import EpochScoring

from margin_sklearn import (
    LabelErrorDetector,
    MarginClassifier,
    MarginSearchCV,
    MarginSubsetSelector,
    load,
    margin_auc_score,
    save,
)
from margin_sklearn.classifier import estimator as estimator_module
from margin_sklearn.training.checkpoint import Checkpoint

from ..persistence import modules
from ..persistence.test_saving import assert_same_training

X, y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)


class Killed(BaseException):
    """Ends a fit as a kill does: nothing may react to it."""


@pytest.fixture
def killed_at(monkeypatch):
    """End fits when a state is written for the n-th time, before or after it is written."""

    def kill(n, before=False):
        written = []

        def write(checkpoint):
            written.append(1)
            if before and len(written) == n:
                raise Killed
            real(checkpoint)
            if len(written) == n:
                raise Killed

        monkeypatch.setattr(Checkpoint, "write", write)
        return written

    real = Checkpoint.write
    yield kill
    monkeypatch.setattr(Checkpoint, "write", real)


def small(**params):
    settings = {"max_epochs": 6, "module__hidden_layer_sizes": (8,), "random_state": 0}
    return MarginClassifier(**{**settings, **params})


def files_in(folder):
    return sorted(path.name for path in folder.rglob("*.npz"))


class Half(modules.Net):
    def __init__(self, input_shape, n_classes):
        super().__init__(input_shape, n_classes)
        self.register_buffer("share", torch.full((), 0.3, dtype=torch.bfloat16))

    def forward(self, x):
        if self.training:
            self.share += 0.01
        return super().forward(x) * self.share


SETTINGS = {
    "default": {},
    "restore_best": {"restore_best": "margin_auc"},
    "cosine": {"lr_schedule": torch.optim.lr_scheduler.CosineAnnealingLR},
    "torch's one cycle": {"lr_schedule": torch.optim.lr_scheduler.OneCycleLR},
    "constant": {"lr_schedule": "constant", "optimizer": "sgd", "lr": 0.1},
    "separation": {"stop_at_separation": 0.9, "lr": 3e-5, "max_epochs": 60},
    "separation, not reached": {"stop_at_separation": True},
    "weights": {"class_weight": {0: 1.0, 1: 2.0, 2: 3.0}},
    "progress bar": {"verbose": 1},
    "extra state": {"module": modules.WithExtraState},
    "own module": {"module": modules.Net, "module__width": 4},
    "a layer that is frozen later": {"module": modules.FreezesItself},
    "a buffer of bfloat16": {"module": Half},
}


@pytest.mark.filterwarnings("ignore::margin_sklearn.NotSeparatedWarning")
@pytest.mark.parametrize(
    ("name", "n", "before"),
    [
        *product(["default", "restore_best"], [1, 6], [False]),
        *product(["default", "restore_best"], [7], [True]),
        *product(SETTINGS, [4], [True]),
        *product(SETTINGS, [7], [False]),
    ],
)
def test_resumed_to_the_last_bit(name, n, before, killed_at, tmp_path):
    model = MarginClassifier(**{"max_epochs": 6, "random_state": 0, **SETTINGS[name]})
    plain = clone(model).fit(X, y)
    model.set_params(checkpoint=tmp_path)
    killed_at(n, before)
    with pytest.raises(Killed):
        clone(model).fit(X, y)
    assert len(files_in(tmp_path)) == min(2, n - before)
    killed_at(0)
    resumed = model.fit(X, y)
    assert_same_training(plain, resumed)
    assert not [*tmp_path.iterdir()]
    assert_same_training(plain.partial_fit(X, y), resumed.partial_fit(X, y))


OPTIMIZERS = {
    "Adadelta": {},
    "Adagrad": {},
    "Adam": {"optimizer__amsgrad": True},
    "Adamax": {},
    "ASGD": {},
    "LBFGS": {"weight_decay": 0, "batch_size": -1},
    "NAdam": {},
    "RAdam": {},
    "RMSprop": {"optimizer__momentum": 0.9, "optimizer__centered": True},
    "Rprop": {"weight_decay": 0},
    "SGD": {"optimizer__momentum": 0.9, "optimizer__nesterov": True},
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_resumes(name, killed_at, tmp_path):
    optimizer = getattr(torch.optim, name)
    model = small(optimizer=optimizer, lr=1e-3, max_epochs=4, **OPTIMIZERS[name])
    plain = clone(model).fit(X, y)
    model.set_params(checkpoint=tmp_path)
    killed_at(2)
    with pytest.raises(Killed):
        clone(model).fit(X, y)
    written = killed_at(0)
    assert_same_training(plain, model.fit(X, y))
    assert len(written) == 2 + 1


class Float8(modules.Net):
    def __init__(self, input_shape, n_classes):
        super().__init__(input_shape, n_classes)
        self.register_buffer("scale", torch.full((3,), 0.5).to(torch.float8_e5m2))

    def forward(self, x):
        if self.training:
            self.scale = (self.scale.float() * 2).to(torch.float8_e5m2)
        return super().forward(x) * self.scale.float().clamp(max=1)


def test_a_dtype_that_numpy_lacks_resumes(killed_at, tmp_path):
    model = MarginClassifier(Float8, max_epochs=4, random_state=0, lr=1e-4)
    plain = clone(model).fit(X, y)
    killed_at(2)
    with pytest.raises(Killed):
        clone(model).set_params(checkpoint=tmp_path).fit(X, y)
    written = killed_at(0)
    resumed = model.set_params(checkpoint=tmp_path).fit(X, y)
    assert len(written) == 2 + 1
    assert torch.equal(plain.net_.module_.scale.float(), resumed.net_.module_.scale.float())
    assert plain.loss_curve_ == resumed.loss_curve_


def test_epochs_are_not_repeated(killed_at, tmp_path):
    model = small(checkpoint=tmp_path, max_epochs=20)
    killed_at(15)
    with pytest.raises(Killed):
        clone(model).fit(X, y)
    written = killed_at(0)
    model.fit(X, y)
    assert len(written) == 5 + 1  # the last one after training
    assert len(model.history_) == 20


@pytest.mark.parametrize("n", [1, 2, 3])
def test_every_few_epochs(n, killed_at, tmp_path):
    model = small(checkpoint=str(tmp_path), checkpoint_every=4, max_epochs=11)
    plain = small(max_epochs=11).fit(X, y)
    killed_at(n)
    with pytest.raises(Killed):
        clone(model).fit(X, y)
    epochs = [4, 8, 11][:n][-2:]
    assert files_in(tmp_path) == [f"epoch_{epoch:06}.npz" for epoch in epochs]
    killed_at(0)
    assert_same_training(plain, model.fit(X, y))


class Random(modules.Net):
    """Draws random numbers in evaluation mode too."""

    def forward(self, x):
        return super().forward(x) + 0.1 * torch.rand(())


class CountsCalls(modules.Net):
    """Changes in evaluation mode too."""

    def __init__(self, input_shape, n_classes):
        super().__init__(input_shape, n_classes)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return super().forward(x) * (1 + 0.01 * self.calls)


@pytest.mark.parametrize("module", [Random, CountsCalls])
def test_checkpoints_change_nothing(module, tmp_path):
    model = MarginClassifier(module, max_epochs=3, random_state=0)
    plain = clone(model).fit(X, y)
    assert_same_training(plain, clone(model).set_params(checkpoint=tmp_path).fit(X, y))


def test_without_a_seed_that_of_the_killed_fit_is_resumed(killed_at, tmp_path):
    model = small(checkpoint=tmp_path, random_state=None)
    killed_at(3)
    with pytest.raises(Killed):
        model.fit(X, y)
    (path,) = tmp_path.rglob("epoch_000003.npz")
    kept = path.read_bytes()
    killed_at(0)
    resumed = clone(model).fit(X, y)
    # The next fit has a seed of its own, and the same fit ends in the same way again.
    other = clone(model).fit(X, y)
    path.parent.mkdir(parents=True)
    path.write_bytes(kept)
    assert_same_training(resumed, clone(model).fit(X, y))
    assert resumed.loss_curve_ != other.loss_curve_


@pytest.mark.parametrize("n", [2, 6])
def test_a_random_state_is_drawn_from_as_before(n, killed_at, tmp_path):
    plain = small(random_state=np.random.RandomState(5)).fit(X, y)
    killed_at(n)
    with pytest.raises(Killed):
        small(random_state=np.random.RandomState(5), checkpoint=tmp_path).fit(X, y)
    killed_at(0)
    random = np.random.RandomState(5)
    assert_same_training(plain, small(random_state=random, checkpoint=tmp_path).fit(X, y))
    assert random.randint(10**6) == _after_one_draw(5)


def _after_one_draw(seed):
    random = np.random.RandomState(seed)
    random.randint(2**31 - 1)
    return random.randint(10**6)


@pytest.mark.parametrize(
    "change",
    [
        {"max_epochs": 7},
        {"lr": 0.02},
        {"random_state": 1},
        {"module__hidden_layer_sizes": (9,)},
        {"class_weight": "balanced"},
        "X",
        "y",
        "weight",
    ],
    ids=str,
)
def test_other_data_or_settings_have_their_own(change, killed_at, tmp_path):
    model = small(checkpoint=tmp_path)
    killed_at(3)
    with pytest.raises(Killed):
        model.fit(X, y)
    written = killed_at(0)
    data = {"X": X, "y": y, "sample_weight": None}
    if isinstance(change, dict):
        model.set_params(**change)
    elif change == "X":
        data["X"] = X + np.eye(*X.shape) * 1e-6
    elif change == "y":
        data["y"] = np.roll(y, 1)
    else:
        data["sample_weight"] = np.arange(150) + 1.0
    model.fit(**data)
    assert len(written) == model.n_iter_ + 1
    plain = clone(model).set_params(checkpoint=None).fit(**data)
    assert_same_training(plain, model)
    assert len(files_in(tmp_path)) == 2  # of the fit that was killed


def test_another_default_dtype_has_its_own(killed_at, tmp_path):
    killed_at(3)
    with pytest.raises(Killed):
        small(checkpoint=tmp_path).fit(X, y)
    written = killed_at(0)
    torch.set_default_dtype(torch.float64)
    try:
        plain, kept = small().fit(X, y), small(checkpoint=tmp_path).fit(X, y)
        assert_same_training(plain, kept)
    finally:
        torch.set_default_dtype(torch.float32)
    assert len(written) == 6 + 1


def test_a_relative_folder_stays_where_it_is(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    real, written = Checkpoint.write, []

    def write(checkpoint):
        written.append(1)
        real(checkpoint)
        if len(written) == 2:
            os.chdir("elsewhere")
        if len(written) == 4:
            raise Killed

    monkeypatch.setattr(Checkpoint, "write", write)
    with pytest.raises(Killed):
        small(checkpoint="kept").fit(X, y)
    assert files_in(tmp_path / "kept") == ["epoch_000003.npz", "epoch_000004.npz"]
    monkeypatch.chdir(tmp_path)
    assert_same_training(small().fit(X, y), small(checkpoint="kept").fit(X, y))
    assert len(written) == 4 + 2 + 1
    assert not [*(tmp_path / "kept").iterdir()]


def test_a_folder_that_cannot_have_this_name():
    with pytest.raises(ValueError, match=r"checkpoint='a\\x00b' cannot be a folder"):
        small(checkpoint="a\0b").fit(X, y)


def test_what_changes_nothing_resumes(killed_at, tmp_path):
    killed_at(3)
    with pytest.raises(Killed):
        small(checkpoint=tmp_path).fit(X, y)
    written = killed_at(0)
    small(checkpoint=str(tmp_path), checkpoint_every=2).fit(X, y)
    assert len(written) == 2 + 1


def test_a_warm_start_is_resumed_from_its_own_start(killed_at, tmp_path):
    plain = small(warm_start=True).fit(X, y).fit(X, y)
    model = small(warm_start=True, checkpoint=tmp_path).fit(X, y)
    killed_at(3)
    with pytest.raises(Killed):
        model.fit(X, y)
    assert model.n_iter_ == 6
    written = killed_at(0)
    again = small(warm_start=True, checkpoint=tmp_path).fit(X, y)
    assert len(written) == 7
    assert_same_training(plain, again.fit(X, y))
    assert len(written) == 7 + 4


@pytest.mark.parametrize("damage", [b"", b"PK", None])
def test_a_damaged_state_is_passed_over(damage, killed_at, tmp_path):
    plain = small().fit(X, y)
    killed_at(4)
    with pytest.raises(Killed):
        small(checkpoint=tmp_path).fit(X, y)
    (path,) = tmp_path.rglob("epoch_000004.npz")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] if damage is None else damage)
    written = killed_at(0)
    with pytest.warns(UserWarning, match=r"epoch_000004.npz' is damaged .* the one before"):
        resumed = small(checkpoint=tmp_path).fit(X, y)
    assert_same_training(plain, resumed)
    assert len(written) == 3 + 1


def test_a_state_that_does_not_fit_is_passed_over(killed_at, tmp_path):
    model = MarginClassifier(
        modules.WithHiddenState, max_epochs=5, random_state=0, checkpoint=tmp_path
    )
    killed_at(3)
    with pytest.raises(Killed):
        clone(model).fit(X, y)
    killed_at(0)
    with pytest.warns(UserWarning, match="training starts again"):
        resumed = clone(model).fit(X, y)
    assert_same_training(clone(model).set_params(checkpoint=None).fit(X, y), resumed)


@pytest.mark.parametrize(
    "params",
    [
        {"module": modules.CountsSteps},
        {"module": modules.WithGenerator},
        {"module": modules.Net, "criterion": modules.GrowingLoss},
    ],
    ids=lambda params: list(params.values())[-1].__name__,
)
def test_state_that_only_training_uses_is_noticed(params, killed_at, tmp_path):
    model = MarginClassifier(**params, max_epochs=5, random_state=0)
    plain = clone(model).fit(X, y)
    model.set_params(checkpoint=tmp_path)
    killed_at(3)
    with pytest.raises(Killed):
        clone(model).fit(X, y)
    killed_at(0)
    with pytest.warns(UserWarning, match="in training mode.* training starts again"):
        resumed = clone(model).fit(X, y)
    assert_same_training(plain, resumed)


def test_ctrl_c_leaves_the_checkpoint(tmp_path, monkeypatch):
    plain = small().fit(X, y)
    real, begun = estimator_module.begin_fit, []

    def interrupting(*args, **options):
        part = real(*args, **options)
        batches = part.run.net.train_step

        def step(*args, **options):
            begun.append(1)
            if len(begun) == 14:
                raise KeyboardInterrupt
            return batches(*args, **options)

        part.run.net.train_step = step
        return part

    monkeypatch.setattr(estimator_module, "begin_fit", interrupting)
    with pytest.warns(UserWarning, match="Training was interrupted after 2 epochs"):
        stopped = small(checkpoint=tmp_path).fit(X, y)
    assert stopped.n_iter_ == 2
    assert files_in(tmp_path) == ["epoch_000001.npz", "epoch_000002.npz"]
    monkeypatch.undo()
    assert_same_training(plain, small(checkpoint=tmp_path).fit(X, y))
    assert not [*tmp_path.iterdir()]


def test_a_training_that_diverges_leaves_nothing(tmp_path):
    model = small(optimizer="sgd", lr=1e30, checkpoint=tmp_path, criterion="cross_entropy")
    with pytest.raises(ValueError, match="diverged|not finite"):
        model.fit(X, y)
    assert not files_in(tmp_path)


def test_partial_fit_has_no_checkpoint(tmp_path):
    small(checkpoint=tmp_path / "none").partial_fit(X, y, classes=[0, 1, 2])
    assert not (tmp_path / "none").exists()


def test_callbacks_have_no_checkpoint(tmp_path):
    scoring = [EpochScoring("accuracy", on_train=True)]
    with pytest.warns(UserWarning, match="keeps nothing of this fit: it has callbacks"):
        small(callbacks=scoring, checkpoint=tmp_path).fit(X, y)
    assert not [*tmp_path.iterdir()]


class Odd(modules.Net):
    def get_extra_state(self):
        return object()

    def set_extra_state(self, state):
        pass


class Sparse(modules.Net):
    def __init__(self, input_shape, n_classes):
        super().__init__(input_shape, n_classes)
        self.register_buffer("sparse", torch.eye(3).to_sparse())


@pytest.mark.parametrize(("module", "reason"), [(Odd, "without pickle"), (Sparse, "Sparse")])
def test_a_state_that_cannot_be_stored_is_told_but_training_goes_on(module, reason, tmp_path):
    with pytest.warns(UserWarning, match=f"could not be written.*{reason}") as told:
        model = MarginClassifier(module, max_epochs=3, checkpoint=tmp_path).fit(X, y)
    assert len(told) == 1
    assert model.n_iter_ == 3
    assert not [*tmp_path.iterdir()]


def test_a_full_disk_is_told_once_and_training_goes_on(tmp_path, monkeypatch):
    def full(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("margin_sklearn.training.checkpoint.write_arrays", full)
    with pytest.warns(UserWarning, match="No space left on device") as told:
        model = small(checkpoint=tmp_path).fit(X, y)
    assert len(told) == 1
    monkeypatch.undo()
    assert_same_training(small().fit(X, y), model)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot be a folder for checkpoints"):
        small(checkpoint=tmp_path / "file" / "folder").fit(X, y)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"checkpoint": 3}, "checkpoint must be None or the path of a folder, got 3"),
        ({"checkpoint": True}, "checkpoint must be"),
        ({"checkpoint": ""}, "checkpoint must be"),
        ({"checkpoint": b"folder"}, "checkpoint must be"),
        ({"checkpoint_every": 0}, "checkpoint_every must be"),
        ({"checkpoint_every": 1.5}, "checkpoint_every must be"),
    ],
)
def test_invalid_parameters(params, message):
    with pytest.raises(ValueError, match=message):
        small(**params).fit(X, y)


def test_a_network_that_was_loaded_resumes_its_warm_start(killed_at, tmp_path):
    path = tmp_path / "network.safetensors"
    save(small(warm_start=True).fit(X, y), path)
    plain = load(path).fit(X, y)
    killed_at(3)
    with pytest.raises(Killed):
        load(path).set_params(checkpoint=tmp_path).fit(X, y)
    written = killed_at(0)
    assert_same_training(plain, load(path).set_params(checkpoint=tmp_path).fit(X, y))
    assert len(written) == 3 + 1


def test_resumed_in_inference_mode(killed_at, tmp_path):
    def warm():
        return small(warm_start=True).fit(X, y).set_params(checkpoint=tmp_path)

    plain = warm().fit(X, y)
    begun, resumed = warm(), warm()
    killed_at(3)
    with pytest.raises(Killed):
        begun.fit(X, y)
    written = killed_at(0)
    with torch.inference_mode():
        resumed.fit(X, y)
    assert len(written) == 3 + 1
    assert_same_training(plain, resumed)
    assert_same_training(plain.partial_fit(X, y), resumed.partial_fit(X, y))


@pytest.mark.parametrize("n", [3, 7])
def test_ctrl_c_while_a_state_is_written_is_an_interruption(n, tmp_path, monkeypatch):
    real, written = Checkpoint.write, []

    def write(checkpoint):
        written.append(1)
        if len(written) == n:
            signal.raise_signal(signal.SIGINT)
        real(checkpoint)

    plain = small().fit(X, y)
    monkeypatch.setattr(Checkpoint, "write", write)
    with pytest.warns(UserWarning, match=f"interrupted after {min(n, 6)} epochs"):
        stopped = small(checkpoint=tmp_path).fit(X, y)
    assert stopped.n_iter_ == min(n, 6)
    monkeypatch.undo()
    assert_same_training(plain, small(checkpoint=tmp_path).fit(X, y))
    assert not [*tmp_path.iterdir()]


class Unbuildable(modules.Net):
    def __init__(self, input_shape, n_classes):
        raise RuntimeError("no such network")


def test_a_fit_that_cannot_begin_leaves_nothing(killed_at, tmp_path):
    with pytest.raises(RuntimeError, match="no such network"):
        MarginClassifier(Unbuildable, checkpoint=tmp_path).fit(X, y)
    assert not [*tmp_path.iterdir()]
    killed_at(1, before=True)
    with pytest.raises(Killed):
        small(checkpoint=tmp_path).fit(X, y)
    assert not [*tmp_path.iterdir()]  # no state, nothing to resume


def test_files_of_others_and_unfinished_ones_do_not_matter(killed_at, tmp_path):
    plain = small().fit(X, y)
    killed_at(2)
    with pytest.raises(Killed):
        small(checkpoint=tmp_path).fit(X, y)
    (path,) = tmp_path.rglob("epoch_000002.npz")
    (path.parent / "unfinished.tmp").write_text("PK")
    (path.parent.parent / ".DS_Store").write_text("")
    killed_at(1)
    with pytest.raises(Killed):
        small(checkpoint=tmp_path).fit(X, y)
    assert not [*tmp_path.rglob("*.tmp")]
    written = killed_at(0)
    assert_same_training(plain, small(checkpoint=tmp_path).fit(X, y))
    assert len(written) == 3 + 1
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [".DS_Store"]


def test_a_folder_that_an_equal_fit_removes_at_this_moment(tmp_path, monkeypatch):
    real, removed = Path.mkdir, []

    def mkdir(path, *args, **options):
        real(path, *args, **options)
        if path.parent.parent == tmp_path and len(removed) < 3:
            removed.append(path)
            shutil.rmtree(path.parent)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    assert_same_training(small().fit(X, y), small(checkpoint=tmp_path).fit(X, y))
    assert len(removed) == 3


def test_states_are_removed_before_the_lock(tmp_path, monkeypatch):
    """Otherwise an equal fit that begins at this moment would resume what has finished."""
    real, left = shutil.rmtree, []

    def rmtree(path, *args, **options):
        left.append(sorted(file.name for file in Path(path).iterdir()))
        real(path, *args, **options)

    monkeypatch.setattr(shutil, "rmtree", rmtree)
    small(checkpoint=tmp_path).fit(X, y)
    assert left == [["lock"]]


def test_equal_fits_at_the_same_time_do_not_meet(tmp_path):
    plain = small(max_epochs=30).fit(X, y)
    models = [small(max_epochs=30, checkpoint=tmp_path) for _ in range(3)]
    threads = [threading.Thread(target=model.fit, args=(X, y)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for model in models:
        assert_same_training(plain, model)
    assert not files_in(tmp_path)


def test_candidates_folds_and_clones_do_not_meet(tmp_path):
    grid = {"lr": [0.01, 0.03], "random_state": [0, 1]}
    model = small(checkpoint=tmp_path)
    found = [
        GridSearchCV(each, grid, cv=3, n_jobs=n_jobs).fit(X, y)
        for each, n_jobs in ((model, 2), (small(), None))
    ]
    for name in ("mean_test_score", "split0_test_score"):
        np.testing.assert_array_equal(*(search.cv_results_[name] for search in found))
    assert_same_training(*(search.best_estimator_ for search in found))
    assert not [*tmp_path.iterdir()]


def test_a_search_by_margins_and_its_memory_do_not_depend_on_it(tmp_path):
    memory = tmp_path / "memory"
    scores = [
        MarginSearchCV(
            small(**params), {"lr": [0.01, 0.03]}, cv=2, stack=False, random_state=0,
            memory=memory,
        ).fit(X, y).cv_results_["mean_test_score"]
        for params in ({}, {"checkpoint": tmp_path / "c", "checkpoint_every": 2})
    ]  # fmt: skip
    np.testing.assert_array_equal(*scores)
    # Nothing was fitted in the second search.
    assert not (tmp_path / "c").exists()


# The rate is so low that the first epochs do not teach all classes.
@pytest.mark.filterwarnings("ignore:Most labels of the classes:UserWarning")
@pytest.mark.parametrize("noise_guard", [False, True])
@pytest.mark.parametrize("n", [2, 7])
def test_the_selector_resumes(n, noise_guard, killed_at, tmp_path):
    def selector(**params):
        network = MarginClassifier(max_epochs=40, lr=3e-5, **params)
        network = make_pipeline(StandardScaler(), network)
        return MarginSubsetSelector(
            network, n_samples_to_select=0.2, separation=0.9, continue_epochs=3,
            noise_guard=noise_guard, min_per_class=3, random_state=0,
        )  # fmt: skip

    plain = selector().fit(X, y)
    killed_at(n)
    with pytest.raises(Killed):
        selector(checkpoint=tmp_path).fit(X, y)
    written = killed_at(0)
    resumed = selector(checkpoint=tmp_path).fit(X, y)
    assert len(written) < plain.separation_epoch_ + 1
    assert_same_training(plain.estimator_[-1], resumed.estimator_[-1])
    np.testing.assert_array_equal(plain.support_, resumed.support_)
    columns = ["phase", "lr", "n_samples", "loss", "accuracy", "rolled_back"]
    assert plain.history_[columns].equals(resumed.history_[columns])
    assert not [*tmp_path.iterdir()]


def test_the_selector_killed_while_it_continues(killed_at, tmp_path, monkeypatch):
    def selector(**params):
        return MarginSubsetSelector(
            small(max_epochs=40, **params), n_samples_to_select=0.2, separation=0.9,
            continue_epochs=3, random_state=0,
        )  # fmt: skip

    plain = selector().fit(X, y)
    run = "margin_sklearn.training.run.TrainingRun.fit_guarded"

    def kill(*args, **options):
        raise Killed

    monkeypatch.setattr(run, kill)
    with pytest.raises(Killed):
        selector(checkpoint=tmp_path).fit(X, y)
    monkeypatch.undo()
    written = killed_at(0)
    resumed = selector(checkpoint=tmp_path).fit(X, y)
    assert len(written) == 1  # no epoch of the training to separation
    assert_same_training(plain.estimator_, resumed.estimator_)


def test_trainings_for_other_purposes_do_not_meet(killed_at, tmp_path):
    """They have the same data and settings, but other callbacks."""

    def network(checkpoint=None):
        return small(max_epochs=40, lr=1e-3, stop_at_separation=0.9, checkpoint=checkpoint)

    def selector(checkpoint=None, **params):
        return MarginSubsetSelector(
            network(checkpoint), n_samples_to_select=0.2, separation=0.9, min_per_class=3,
            continue_epochs=1, random_state=0, **params,
        )  # fmt: skip

    def detector(checkpoint=None):
        return LabelErrorDetector(network(checkpoint), refit=False, random_state=0)

    kinds = [
        (network, lambda fitted: fitted),
        (selector, lambda fitted: fitted.estimator_),
        (
            lambda folder=None: selector(folder, noise_guard=True),
            lambda fitted: fitted.estimator_,
        ),
        (detector, lambda fitted: fitted.estimator_),
    ]
    for kind, _ in kinds:
        killed_at(3)
        with pytest.raises(Killed):
            kind(tmp_path).fit(X, y)
    assert len(files_in(tmp_path)) == 2 * len(kinds)
    killed_at(0)
    for kind, network_of in kinds:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "All labels of the classes")
            plain, resumed = kind().fit(X, y), kind(tmp_path).fit(X, y)
        assert_same_training(network_of(plain), network_of(resumed))
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("n", [2, 15, 28])
def test_the_detector_resumes(n, killed_at, tmp_path):
    """Killed in the first network, in the second one, and in the one without suspects."""
    wrong = y.copy()
    wrong[:2] = 1

    def detector(**params):
        network = small(max_epochs=12, **params)
        return LabelErrorDetector(network, n_networks=2, random_state=0).fit(X, wrong)

    plain = detector()
    assert plain.suspects_.any()
    killed_at(n)
    with pytest.raises(Killed):
        detector(checkpoint=tmp_path)
    written = killed_at(0)
    resumed = detector(checkpoint=tmp_path)
    # Networks that were finished before are trained again.
    assert len(written) == 3 * (12 + 1) - 2
    np.testing.assert_allclose(plain.aum_, resumed.aum_, rtol=1e-4)
    assert_same_training(plain.estimator_, resumed.estimator_)
    assert not [*tmp_path.iterdir()]


def test_the_detector_works_with_a_checkpoint(tmp_path):
    found = [
        LabelErrorDetector(small(max_epochs=20, **params), random_state=0).fit(X, y)
        for params in ({}, {"checkpoint": tmp_path})
    ]
    np.testing.assert_array_equal(*(detector.aum_ for detector in found))
    assert_same_training(*(detector.estimator_ for detector in found))
    assert not [*tmp_path.iterdir()]


def test_scores_do_not_depend_on_it(tmp_path):
    plain, kept = small().fit(X, y), small(checkpoint=tmp_path).fit(X, y)
    assert margin_auc_score(plain, X, y) == margin_auc_score(kept, X, y)


# --- kill -9 of a real process ----------------------------------------------------------

SCRIPT = """
    import os, random, sys, tempfile, time
    import torch
    from sklearn.datasets import load_iris
    from margin_sklearn import MarginClassifier, MarginSearchCV
    from margin_sklearn.model_selection import fitting

    folder, n_kills, what = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    X, y = load_iris(return_X_y=True)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    random.seed(int(sys.argv[4]))
    torch.set_num_threads(1)

    def noted(estimator, tasks, *args, real=fitting.fit_group):
        with open(folder + ".fits", "a") as file:
            file.write("x" * len(tasks))
        return real(estimator, tasks, *args)

    def work(kept):
        if kept:
            fitting.fit_group = noted
        network = MarginClassifier(
            max_epochs=40, random_state=0, restore_best="margin_auc",
            checkpoint=folder if kept and what == "fit" else None,
        )
        if what == "fit":
            network.fit(X, y)
        else:
            network.set_params(max_epochs=15, restore_best=None)
            search = MarginSearchCV(
                network, {"lr": [0.001, 0.003, 0.01, 0.03]}, cv=2, shortlist=2,
                random_state=0, memory=folder if kept else None, stack=False, vote=1,
            ).fit(X, y)
            network = search.best_estimator_
            print(*search.cv_results_["mean_test_score"], *search.cv_results_["margin_auc"])
        print(network.history_[:, "train_loss"])
        weights = network.net_.module_.state_dict().values()
        print([tensor.double().sum().item() for tensor in weights])
        print([tensor.sum().item() for tensor in network._run.generators])
        print(network.partial_fit(X, y).history_[-1, "train_loss"], flush=True)
        os._exit(0)

    # What is done only once in a process is done here, before the forks.
    with tempfile.TemporaryDirectory() as other:
        network = MarginClassifier(max_epochs=1)
        MarginSearchCV(network, {"lr": [0.1, 0.2]}, cv=2, memory=other).fit(X, y)

    def begun(kept):
        pid = os.fork()
        if not pid:
            work(kept)
        return pid

    start = time.perf_counter()
    os.waitpid(begun(False), 0)
    seconds = time.perf_counter() - start
    print("---", flush=True)
    left = []
    for _ in range(n_kills):
        pid = begun(True)
        # The work before the first epoch takes its time too.
        time.sleep(random.uniform(0, 0.3 + 2 * seconds / n_kills))
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        left.append(sum(len(names) for _, _, names in os.walk(folder)))
    print("---", max(left), flush=True)
    os.waitpid(begun(True), 0)
"""


def killed_process(folder, n_kills, what, seed=0):
    """Kill a process that fits or searches, and compare its end with an uninterrupted one."""
    arguments = [str(folder), str(n_kills), what, str(seed)]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    plain, _, after = done.stdout.split("---")
    n_files, *end = after.strip().split("\n")
    assert int(n_files) > 1, done.stderr  # a kill in the middle
    assert "\n".join(end) == plain.strip()
    if what == "search":
        # Only the fit that was under way is repeated: four candidates and two of them twice.
        assert 8 <= len(Path(f"{folder}.fits").read_text()) <= 8 + n_kills


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and kill -9")
@pytest.mark.parametrize("what", ["fit", "search"])
def test_killed_ten_times(what, tmp_path):
    killed_process(tmp_path, 10, what)


@pytest.mark.soak
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and kill -9")
@pytest.mark.parametrize("seed", range(1, 11))
@pytest.mark.parametrize("what", ["fit", "search"])
def test_killed_often(what, seed, tmp_path):
    killed_process(tmp_path, 20, what, seed)
