"""Searches on a cluster of two worker processes, which a worker that dies does not end."""

import os
import signal
from pathlib import Path

import joblib
import numpy as np
import pytest
from dask import config
from distributed import Client, LocalCluster, get_worker
from distributed.comm.tcp import TCP
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from margin_sklearn import (
    MarginClassifier,
    MarginSearchCV,
    MarginSubsetSelector,
    ResubstitutionSplit,
    make_margin_auc_scorer,
    margin_auc_score,
    subset_overlap,
)

NETWORK = MarginClassifier(
    module__hidden_layer_sizes=(8,), max_epochs=2, random_state=0, device="cpu"
)
RATES = [1e-3, 1e-2, 3e-2, 1e-1]


@pytest.fixture(scope="module")
def cluster():
    # The memory manager would delete the second copy of what is scattered to both workers.
    manager = {"distributed.scheduler.active-memory-manager.start": False}
    with (
        config.set(manager),
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address="localhost:0",
        ) as cluster,
    ):
        yield cluster


@pytest.fixture(scope="module")
def client_of_all(cluster):
    with Client(cluster) as client:
        yield client


@pytest.fixture
def dask(cluster, client_of_all):
    """joblib's engine with both workers; one alone would leave the work to this process."""
    cluster.scale(2)
    client_of_all.wait_for_workers(2, timeout=60)
    return lambda **options: joblib.parallel_config(
        backend="dask", wait_for_workers_timeout=60, **options
    )


@pytest.fixture
def sent(monkeypatch):
    """Numbers of bytes of the messages that this process sends: client and scheduler."""
    sizes, write = [], TCP.write

    async def counted(self, *args, **kwargs):
        sizes.append(await write(self, *args, **kwargs))
        return sizes[-1]

    monkeypatch.setattr(TCP, "write", counted)
    return sizes


def process(estimator, X, y):
    """A scorer that tells where it runs."""
    return os.getpid()


def plain(estimator, X, y):
    """margin_auc_score of one network at a time, which differs from many by rounding."""
    return margin_auc_score(estimator, X, y)


class Killed:
    """margin_auc_score, except that it kills the worker that is the first to score a rate."""

    def __init__(self, folder, rate):
        self.flag, self.rate = Path(folder) / "killed", rate

    def __call__(self, estimator, X, y):
        if estimator.lr == self.rate and not self.flag.exists():
            get_worker()  # never this process
            self.flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return margin_auc_score(estimator, X, y)


def grid_search(**settings):
    return GridSearchCV(NETWORK, {"lr": RATES}, cv=2, error_score="raise", **settings)


def margin_search(estimator=NETWORK, rates=RATES, **settings):
    name = "lr" if estimator is NETWORK else "marginclassifier__lr"
    return MarginSearchCV(
        estimator, {name: rates}, shortlist=2, cv=2, error_score="raise", **settings
    )


def assert_same_results(one, other):
    for name, values in one.cv_results_.items():
        if name.startswith(
            ("param_", "rank_", "split", "mean_test", "std_test", "margin_auc")
        ):
            np.testing.assert_allclose(
                np.asarray(values, dtype=float),
                np.asarray(other.cv_results_[name], dtype=float),
                rtol=0,
                err_msg=name,
            )
    assert one.best_params_ == other.best_params_


def test_fits_run_on_both_workers(dask, binary, client_of_all):
    pids = {*client_of_all.run(os.getpid).values()}
    with dask():
        scores = cross_val_score(NETWORK, *binary, cv=8, scoring=process)
    assert {*scores.astype(int).tolist()} == pids
    assert os.getpid() not in pids


@pytest.mark.parametrize(
    "search",
    [
        grid_search(),
        GridSearchCV(
            NETWORK, {"lr": RATES}, cv=ResubstitutionSplit(), scoring=margin_auc_score
        ),
        margin_search(stack=False),
        margin_search(),
        margin_search(make_pipeline(StandardScaler(), NETWORK), stack=True),
    ],
    ids=["accuracy", "margin-AUC", "MarginSearchCV", "auto", "stacked pipeline"],
)
def test_a_search_gives_the_results_of_one_process(search, dask, binary):
    serial = clone(search).fit(*binary)
    with dask():
        parallel = clone(search).fit(*binary)
    assert_same_results(serial, parallel)
    expected = serial.predict_proba(binary[0])
    np.testing.assert_array_equal(parallel.predict_proba(binary[0]), expected)


def test_cross_val_score_gives_the_results_of_one_process(dask, binary):
    serial = cross_val_score(NETWORK, *binary, cv=4)
    with dask():
        parallel = cross_val_score(NETWORK, *binary, cv=4)
    np.testing.assert_array_equal(parallel, serial)


def test_selections_of_several_seeds_agree_as_in_one_process(dask, binary):
    network = clone(NETWORK).set_params(lr=0.05, max_epochs=20, random_state=None)
    selectors = [
        MarginSubsetSelector(network, separation=0.8, random_state=seed) for seed in range(3)
    ]

    def overlap():
        fitted = joblib.Parallel()(
            joblib.delayed(clone(selector).fit)(*binary) for selector in selectors
        )
        return subset_overlap(*fitted)

    serial = overlap()
    with dask():
        parallel = overlap()
    np.testing.assert_array_equal(parallel.pairwise, serial.pairwise)
    assert parallel.jaccard < 1


@pytest.mark.parametrize(
    ("estimator", "stack"),
    [
        (NETWORK, False),
        (NETWORK, True),
        (make_pipeline(StandardScaler(), NETWORK), True),
    ],
    ids=["alone", "stacked", "stacked pipeline"],
)
def test_samples_are_not_sent_with_each_candidate(estimator, stack, dask, sent):
    """Eight more candidates once took another 16 times the samples."""
    X, y = make_classification(1000, 100, random_state=0)
    quick = make_margin_auc_scorer("frobenius")
    sizes = []
    for n in 4, 12:
        sent.clear()
        with dask():
            margin_search(
                estimator,
                np.geomspace(1e-3, 1e-2, n).tolist(),
                stack=stack,
                margin_scoring=quick,
            ).fit(X, y)
        sizes.append(sum(sent))
    # From here to the scheduler and from there to a worker, for each of two rounds.
    assert 2 * X.nbytes < sizes[0] < 9 * X.nbytes
    assert sizes[1] < sizes[0] + X.nbytes


def test_a_grid_search_survives_a_worker(dask, tmp_path, binary):
    X, y = (values[:100] for values in binary)
    serial = grid_search(scoring=margin_auc_score).fit(X, y)
    # Scattered to both workers, so that neither has the only copy.
    with dask(scatter=[X]):
        parallel = grid_search(scoring=Killed(tmp_path, RATES[-1])).fit(X, y)
    assert (tmp_path / "killed").exists()
    assert_same_results(serial, parallel)


@pytest.mark.parametrize("stack", [False, True])
def test_a_margin_search_survives_the_worker_that_holds_the_samples(
    stack, dask, tmp_path, binary
):
    """Stacked, one worker does all, and alone has the samples."""
    serial = margin_search(stack=stack, margin_scoring=plain).fit(*binary)
    search = margin_search(stack=stack, margin_scoring=Killed(tmp_path, RATES[-1]))
    with dask():
        search.fit(*binary)
    assert (tmp_path / "killed").exists()
    assert_same_results(serial, search)
