"""A process that fits and scores again and again does not grow, and leaves no file open."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from margin_sklearn import (
    MarginClassifier,
    MarginSearchCV,
    make_margin_auc_scorer,
    margin_auc_score,
)
from margin_sklearn.neighborhoods import clear_cache

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="memory and files are read from /proc"
)
# A copy of the samples has 1.6 MB: one left behind each time would be a growth by 7 %.
SHAPE = (500, 400)
N_BEFORE, N_TIMES = 5, 12


def megabytes():
    gc.collect()
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in status if line.startswith("RssAnon"))


def n_files():
    return len(os.listdir("/proc/self/fd"))


def work(kind, number):
    rng = np.random.default_rng(0)
    # Other samples each time, so that the cache has no use for those before.
    X = rng.normal(size=SHAPE) + number
    y = X[:, 0] > number
    model = MarginClassifier(
        module__hidden_layer_sizes=(8,),
        max_epochs=1,
        batch_size=512,
        random_state=0,
        device="cpu",
    )
    if kind == "search":
        search = MarginSearchCV(
            model,
            {"lr": [1e-2, 3e-2]},
            shortlist=1,
            cv=2,
            stack=True,
            margin_scoring=make_margin_auc_scorer("frobenius"),
        )
        search.fit(X, y).predict(X)
    else:
        margin_auc_score(model.fit(X, y), X, y)
        model.partial_fit(X, y).predict_proba(X)
    clear_cache()


def measure(kind, n_times):
    """In a process of its own: prints its memory and open files, before and after."""
    import torch

    torch.set_num_threads(1)
    for number in range(N_BEFORE):
        work(kind, number)
    before = megabytes(), n_files()
    after = []
    for number in range(N_BEFORE, N_BEFORE + n_times):
        work(kind, number)
        after.append((megabytes(), n_files()))
    # What is left behind stays; what the allocator holds for a while does not.
    print(*before, *(min(values) for values in zip(*after[-5:], strict=True)))


def check_that_nothing_grows(kind, n_times):
    code = f"from tests.test_leaks import measure; measure({kind!r}, {n_times})"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert run.returncode == 0, run.stderr
    before, files_before, after, files_after = map(float, run.stdout.split())
    assert after < 1.05 * before
    assert files_after <= files_before


KINDS = ["fit and score", "search"]


@pytest.mark.parametrize("kind", KINDS)
def test_memory_and_open_files_do_not_grow(kind):
    check_that_nothing_grows(kind, N_TIMES)


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS)
def test_memory_and_open_files_do_not_grow_for_long(kind):
    check_that_nothing_grows(kind, 200)
