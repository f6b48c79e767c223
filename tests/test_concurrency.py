"""Threads, forks and processes: the results of serial work, and nothing that waits forever."""

import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

from margin_sklearn import (
    MarginClassifier,
    MarginSearchCV,
    MarginSubsetSelector,
    ResubstitutionSplit,
    margin_auc_score,
    margins,
    save,
)
from margin_sklearn.runtime import reading, torch_threads, training

X, y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
NEEDS_FORK = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


def small(**params):
    settings = {"max_epochs": 4, "module__hidden_layer_sizes": (16,), "random_state": 0}
    return MarginClassifier(**{**settings, **params})


def in_threads(*functions):
    """Run functions at the same time; return their results, raise their errors."""
    barrier, results = threading.Barrier(len(functions)), [None] * len(functions)

    def run(place, function):
        barrier.wait()
        try:
            results[place] = function()
        except BaseException as error:
            results[place] = error

    threads = [
        threading.Thread(target=run, args=each, daemon=True) for each in enumerate(functions)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
        assert not thread.is_alive(), "a thread waits forever"
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def weights_of(model):
    return torch.cat([p.detach().ravel() for p in model.net_.module_.parameters()])


# --- threads ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "params", [{}, {"module__dropout": 0.0}, {"restore_best": "margin_auc"}]
)
def test_fits_in_threads_are_those_of_one_thread(params):
    models = [small(random_state=seed, max_epochs=8, **params) for seed in range(4)]
    serial = [weights_of(clone(model).fit(X, y)) for model in models]
    before, state = torch.get_num_threads(), torch.get_rng_state()
    work = [lambda m=model: weights_of(clone(m).fit(X, y)) for model in models]
    for _ in range(3):
        found = in_threads(*work)
        for one, other in zip(serial, found, strict=True):
            assert torch.equal(one, other)
    assert torch.get_num_threads() == before
    assert torch.equal(torch.get_rng_state(), state)


def test_different_work_in_threads():
    model = make_pipeline(StandardScaler(), small()).fit(X, y)
    selector = MarginSubsetSelector(
        small(max_epochs=20), n_samples_to_select=0.2, separation=0.8, random_state=0
    )
    work = [
        lambda: model.predict_proba(X),
        lambda: margins(model, X, y),
        lambda: margin_auc_score(model, X, y),
        lambda: weights_of(small(random_state=3).fit(X, y)),
        lambda: weights_of(clone(selector).fit(X, y).estimator_),
        lambda: model.predict(X),
    ]
    serial = [function() for function in work]
    before = torch.get_num_threads()
    for _ in range(3):
        for one, other in zip(serial, in_threads(*work), strict=True):
            np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
    assert torch.get_num_threads() == before


def test_thread_settings_do_not_undo_each_other():
    before = torch.get_num_threads()
    entered, leave = threading.Event(), threading.Event()
    seen = {}

    def long():
        with torch_threads(1):
            entered.set()
            leave.wait(30)
            seen["long"] = torch.get_num_threads()
        seen["long after"] = torch.get_num_threads()

    def short():
        entered.wait(30)
        with torch_threads(1):
            seen["short"] = torch.get_num_threads()
        seen["short after"] = torch.get_num_threads()
        with torch_threads(None):
            seen["unchanged"] = torch.get_num_threads()
        leave.set()

    in_threads(long, short)
    assert seen == {
        "long": 1,
        "long after": before,
        "short": 1,
        "short after": before,
        "unchanged": before,
    }
    assert torch.get_num_threads() == before
    # What new threads begin with.
    assert in_threads(torch.get_num_threads) == [before]


def test_a_refit_does_not_disturb_who_predicts():
    model, other = small(), small(random_state=7, max_epochs=30)
    labels = np.array(["a", "b", "c"])
    first = clone(model).fit(X, y).predict_proba(X)
    second = clone(other).fit(X, labels[y]).predict_proba(X)
    assert not np.allclose(first, second)
    model.fit(X, y)
    done = threading.Event()

    def refit():
        model.set_params(random_state=7, max_epochs=30).fit(X, labels[y])
        done.set()

    def predict():
        found = []
        while not done.is_set():
            found.append((model.predict_proba(X), model.predict(X)))
        return found

    _, found, _ = in_threads(refit, predict, predict)
    assert len(found) > 3
    for probabilities, predicted in found:
        assert any(np.array_equal(probabilities, each) for each in (first, second))
        assert {*predicted} <= {0, 1, 2} or {*predicted} <= {"a", "b", "c"}
    np.testing.assert_array_equal(model.predict_proba(X), second)


@pytest.mark.parametrize("way", ["partial_fit", "warm_start"])
def test_who_predicts_does_not_disturb_a_training_that_continues(way):
    def continued(model):
        for _ in range(5):
            if way == "partial_fit":
                model.partial_fit(X, y)
            else:
                model.set_params(warm_start=True).fit(X, y)
            found.append(model.predict_proba(X))
        done.set()
        return weights_of(model)

    found: list = [small().fit(X, y).predict_proba(X)]
    done = threading.Event()
    serial = continued(small().fit(X, y))
    expected, found = found, []
    done = threading.Event()
    model = small().fit(X, y)

    def predict():
        seen = []
        while not done.is_set():
            seen.append(model.predict_proba(X))
            margins(model, X, y)
        return seen

    again, seen = in_threads(lambda: continued(model), predict)
    assert torch.equal(serial, again)
    for probabilities in seen:
        assert any(np.array_equal(probabilities, each) for each in expected)


def test_readers_read_together_and_trainers_alone():
    module = torch.nn.Linear(1, 1)
    together = threading.Barrier(2, timeout=30)
    order = []

    def read():
        with reading(module), reading(module):
            together.wait()

    in_threads(read, read)

    def train():
        with training(module), reading(module), training(module):
            order.append("begin")
            time.sleep(0.01)
            order.append("end")

    in_threads(train, train, train)
    assert order == ["begin", "end"] * 3


def test_parameters_set_during_a_fit_stay():
    model = small().fit(X, y)

    class Sets(torch.optim.SGD):
        """In a step, sets a parameter of the classifier that is fitted."""

        def step(self, closure=None):
            model.set_params(max_epochs=9)
            model.note = "mine"
            return super().step(closure)

    model.set_params(optimizer=Sets, lr=0.1, lr_schedule="constant").fit(X[:, :3], y)
    assert (model.max_epochs, model.note) == (9, "mine")
    assert model.n_features_in_ == 3


def test_a_network_can_be_pickled_while_another_thread_trains_it():
    model, done = small(max_epochs=1).fit(X, y), threading.Event()

    def train():
        while not done.is_set():
            model.partial_fit(X, y)

    def pickled():
        try:
            return [pickle.loads(pickle.dumps(model)).partial_fit(X, y) for _ in range(20)]
        finally:
            done.set()

    for copied in in_threads(pickled, train)[0]:
        assert np.isfinite(copied.predict_proba(X)).all()


def test_a_thread_keeps_a_number_of_threads_of_its_own():
    model, done = small().fit(X, y), threading.Event()
    before = torch.get_num_threads()

    def predict():
        while not done.is_set():
            model.predict(X)

    def own():
        try:
            torch.set_num_threads(3)
            for _ in range(50):
                model.predict(X)
            return torch.get_num_threads()
        finally:
            done.set()

    assert in_threads(own, predict)[0] == 3
    assert torch.get_num_threads() == before
    torch.set_num_threads(before)


class FitsAnother(Callback):
    """Trains another network after every epoch, with dropout of its own."""

    def on_epoch_end(self, net, **kwargs):
        self.weights_ = weights_of(small(random_state=5, max_epochs=2).fit(X, y))


def test_a_fit_within_a_fit_draws_from_its_own_stream():
    plain = weights_of(small().fit(X, y))
    model = small(callbacks=[("another", FitsAnother())]).fit(X, y)
    assert torch.equal(plain, weights_of(model))
    inner = dict(model.net_.callbacks_)["another"].weights_
    assert torch.equal(inner, weights_of(small(random_state=5, max_epochs=2).fit(X, y)))


class ScoresInThreads(Callback):
    """After every epoch, scores the network of the training in two threads."""

    def on_epoch_end(self, net, **kwargs):
        halves = [(X[k::2].astype(np.float32), y[k::2]) for k in range(2)]
        self.scores_ = in_threads(
            *(lambda half=half: margin_auc_score(net, *half) for half in halves)
        )


@pytest.mark.parametrize("warm", [False, True])
def test_threads_of_a_callback_do_not_wait_for_its_training(warm):
    def fitted():
        model = small(max_epochs=2, callbacks=[("scores", ScoresInThreads())], warm_start=warm)
        for _ in range(1 + warm):
            model.fit(X, y)
        return dict(model.net_.callbacks_)["scores"].scores_

    (scores,) = in_threads(fitted)
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("reads", ["predict", "score", "save"])
def test_a_callback_reads_a_network_that_another_thread_trains(reads, tmp_path):
    teacher, done = small(max_epochs=1).fit(X, y), threading.Event()

    def read():
        if reads == "predict":
            teacher.predict(X)
        elif reads == "score":
            margin_auc_score(teacher, X, y)
        else:
            save(teacher, tmp_path / "teacher")

    class Reads(Callback):
        """Holds torch's generators while it reads."""

        def on_epoch_end(self, net, **kwargs):
            read()

    def online():
        while not done.is_set():
            teacher.partial_fit(X, y)

    def fit():
        try:
            return weights_of(small(max_epochs=20, callbacks=[("reads", Reads())]).fit(X, y))
        finally:
            done.set()

    def read_outside():
        while not done.is_set():
            read()

    weights, *_ = in_threads(fit, online, read_outside)
    assert torch.equal(weights, weights_of(small(max_epochs=20).fit(X, y)))


def test_trainings_take_turns():
    """A training with dropout draws and steps while another one is in the middle."""
    waiting, passed = threading.Event(), threading.Event()

    class Waits(torch.optim.SGD):
        """In its first step, waits for another training."""

        def step(self, closure=None):
            if not waiting.is_set():
                waiting.set()
                passed.wait(30)
            return super().step(closure)

    # As if it were torch's own: nothing but its forward pass draws random numbers.
    Waits.__module__ = "torch.optim.sgd"
    serial = [weights_of(small(random_state=1).fit(X, y))]
    settings = {"optimizer": Waits, "lr": 0.1, "lr_schedule": "constant"}

    def one():
        return weights_of(small(**settings).fit(X, y))

    def other():
        waiting.wait(30)
        found = weights_of(small(random_state=1).fit(X, y))
        passed.set()
        return found

    found = in_threads(one, other)
    assert passed.is_set()
    assert torch.equal(serial[0], found[1])
    assert torch.equal(one(), found[0])


# --- processes --------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
@pytest.mark.parametrize("stack", ["grid", "auto"])
def test_all_backends_give_the_same(backend, stack):
    grid = {"lr": [0.01, 0.03], "random_state": [0, 1]}
    model = make_pipeline(StandardScaler(), small(max_epochs=2))
    grid = {f"marginclassifier__{name}": values for name, values in grid.items()}

    def found(n_jobs):
        if stack == "grid":
            search = GridSearchCV(
                model, grid, cv=ResubstitutionSplit(), scoring=margin_auc_score, n_jobs=n_jobs
            )
            return search.fit(X, y).cv_results_["mean_test_score"]
        search = MarginSearchCV(model, grid, cv=2, random_state=0, n_jobs=n_jobs)
        return search.fit(X, y).cv_results_["margin_auc"]

    serial = found(None)
    with joblib.parallel_config(backend=backend):
        np.testing.assert_allclose(found(2), serial, rtol=0 if stack == "grid" else 1e-5)


def script(text, *arguments, timeout=120, **environment):
    """Run a script in a process of its own, which is killed with its children if it hangs."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(text), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, **environment},
    )
    try:
        out, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        pytest.fail(f"it did not end within {timeout} s")
    assert process.returncode == 0, out
    return out


@NEEDS_FORK
def test_a_fork_during_a_fit_leaves_a_child_that_can_fit_and_score():
    script("""
        import os, threading, time
        from sklearn.datasets import load_iris
        from margin_sklearn import MarginClassifier, margin_auc_score
        X, y = load_iris(return_X_y=True)
        fitted = MarginClassifier(max_epochs=1, random_state=0).fit(X, y)
        expected = fitted.loss_curve_
        score = margin_auc_score(fitted, X, y)
        stop = False

        def train():
            while not stop:
                MarginClassifier(max_epochs=50).fit(X, y)
                margin_auc_score(fitted, X + len(threading.enumerate()) * 1e-9, y)

        threads = [threading.Thread(target=train, daemon=True) for _ in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(8):
            time.sleep(0.05)
            pid = os.fork()
            if not pid:
                again = MarginClassifier(max_epochs=1, random_state=0).fit(X, y)
                ok = again.loss_curve_ == expected
                ok = ok and abs(margin_auc_score(fitted, X, y) - score) < 1e-9
                os._exit(0 if ok else 7)
            _, status = os.waitpid(pid, 0)
            assert os.waitstatus_to_exitcode(status) == 0, status
        os._exit(0)
    """)


@NEEDS_FORK
def test_a_fork_in_a_callback_leaves_two_fits():
    out = script("""
        import os
        from sklearn.datasets import load_iris
        from skorch.callbacks import Callback
        from margin_sklearn import MarginClassifier

        class Forks(Callback):
            def on_epoch_end(self, net, **kwargs):
                if len(net.history) == 2:
                    self.child_ = os.fork()

        X, y = load_iris(return_X_y=True)
        plain = MarginClassifier(max_epochs=3, random_state=0).fit(X, y)
        forks = MarginClassifier(max_epochs=3, random_state=0, callbacks=[("forks", Forks())])
        child = dict(forks.fit(X, y).net_.callbacks_)["forks"].child_
        assert forks.partial_fit(X, y).loss_curve_ == plain.partial_fit(X, y).loss_curve_
        if not child:
            os._exit(0)
        print("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """)
    assert out.strip() == "child 0"


@NEEDS_FORK
def test_multiprocessing_after_two_threads():
    """OpenMP's pool does not survive a fork: the child must not wait for its threads."""
    out = script(
        """
        import joblib, numpy as np, torch
        from sklearn.base import clone
        from sklearn.datasets import load_digits
        from sklearn.model_selection import GridSearchCV
        from margin_sklearn import MarginClassifier, ResubstitutionSplit, margin_auc_score

        torch.set_num_threads(2)
        (torch.randn(1500, 1500) @ torch.randn(1500, 1500)).exp().sum()
        X, y = load_digits(return_X_y=True)
        X, y = X[:150] / 16, y[:150]
        # Of more than 2 GFLOP per step: in torch's threads.
        model = MarginClassifier(
            max_epochs=1, batch_size=-1, module__hidden_layer_sizes=(2048, 1200),
            random_state=0,
        )
        big = model.fit(X, y)
        assert big.net_.n_threads is None
        margin_auc_score(big, X, y)
        search = GridSearchCV(
            model, {"lr": [0.01, 0.02]}, cv=ResubstitutionSplit(), scoring=margin_auc_score,
            n_jobs=2,
        )
        with joblib.parallel_config(backend="multiprocessing"):
            search.fit(X, y)
        serial = margin_auc_score(clone(model).set_params(lr=0.01).fit(X, y), X, y)
        np.testing.assert_allclose(search.cv_results_["mean_test_score"][0], serial, rtol=1e-3)
        print("equal", torch.get_num_threads())
        """,
        OMP_NUM_THREADS="2",
    )
    assert out.strip().endswith("equal 2")


@pytest.mark.skipif(sys.platform == "win32", reason="signals are different there")
@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_ctrl_c_ends_the_workers_and_keeps_what_is_done(backend, tmp_path):
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent("""
                import sys, warnings, joblib, numpy as np
                from sklearn.datasets import load_digits
                from margin_sklearn import MarginClassifier, MarginSearchCV
                X, y = load_digits(return_X_y=True)
                X, y = X[:400], y[:400]
                search = MarginSearchCV(
                    MarginClassifier(max_epochs=10), {"lr": np.geomspace(1e-3, 1e-1, 80)},
                    n_jobs=2, stack=False, shortlist=None, memory=sys.argv[2], random_state=0,
                )
                with joblib.parallel_config(backend=sys.argv[1]):
                    search.fit(X, y)
                done = np.isfinite(search.cv_results_["margin_auc"]).sum()
                print("kept", done, search.predict(X[:2]).shape, flush=True)
            """),
            backend,
            str(tmp_path),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        for _ in range(600):
            if len([*tmp_path.glob("*.npz")]) >= 4:
                break
            time.sleep(0.1)
        # As a terminal does: to the whole group.
        os.killpg(process.pid, signal.SIGINT)
        out, errors = process.communicate(timeout=60)
    finally:
        children_left = True
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            children_left = False
        if process.poll() is None or children_left:
            time.sleep(2)
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                children_left = False
    assert "kept" in out, errors
    assert 1 <= int(out.split()[1]) < 80
    assert not children_left, "workers are left"


def test_the_work_of_threads_is_that_of_their_data():
    digits = load_digits(return_X_y=True)
    data = [(digits[0][a : a + 200] / 16, digits[1][a : a + 200]) for a in (0, 200, 400)]
    model = small(max_epochs=2)
    serial = [margin_auc_score(clone(model).fit(*each), *each) for each in data]
    found = in_threads(
        *(lambda d=each: margin_auc_score(clone(model).fit(*d), *d) for each in data)
    )
    assert serial == found
