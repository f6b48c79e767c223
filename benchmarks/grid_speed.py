"""What a grid search over small networks costs, done in five ways.

    python benchmarks/grid_speed.py [--candidates 32 128] [--jobs 1 2] [--sizes 32-32 ...]
        [--searches "GridSearchCV, 5 folds" ...]

32 or 128 candidates (learning rate x weight decay) of one architecture, on 1,000 samples of 20
features in four classes, a tenth of the labels wrong (``make_classification``), 2,000 others
for testing. GridSearchCV with five folds over MarginClassifier and over MLPClassifier;
GridSearchCV by margin-AUC (one fit per candidate and the refit); MarginSearchCV one by one and
stacked, with and without cross-validation of its shortlist. For each: CPU and wall time, CPU
time relative to the first search, peak memory of the process and test accuracy of the choice.
Every search runs in a fresh process with one thread.
"""

import argparse
import multiprocessing
import resource
import time
import warnings

import numpy as np
import pandas as pd

SIZES = {"32-32": (32, 32), "64-64": (64, 64), "256-128": (256, 128)}
SEARCHES = (
    "GridSearchCV, 5 folds",
    "GridSearchCV(MLPClassifier), 5 folds",
    "GridSearchCV, margin-AUC",
    "MarginSearchCV, one by one",
    "MarginSearchCV",
    "MarginSearchCV, no CV",
)


def data():
    from sklearn.datasets import make_classification
    from sklearn.model_selection import train_test_split

    X, y = make_classification(
        3_000, 20, n_informative=6, n_redundant=6, n_classes=4, flip_y=0.1, random_state=0
    )
    return train_test_split(X, y, train_size=1_000, random_state=0)


def build(name, hidden, n, n_jobs):
    from sklearn.model_selection import GridSearchCV
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from margin_sklearn import (
        MarginClassifier,
        MarginSearchCV,
        ResubstitutionSplit,
        margin_auc_score,
    )

    if "MLPClassifier" in name:
        model = make_pipeline(
            StandardScaler(), MLPClassifier(hidden_layer_sizes=hidden, random_state=0)
        )
        grid = {
            "mlpclassifier__learning_rate_init": np.geomspace(3e-4, 1e-2, n // 4).tolist(),
            "mlpclassifier__alpha": [1e-5, 1e-4, 1e-3, 1e-2],
        }
        return GridSearchCV(model, grid, cv=5, n_jobs=n_jobs)
    network = MarginClassifier(module__hidden_layer_sizes=hidden, random_state=0, device="cpu")
    model = make_pipeline(StandardScaler(), network)
    grid = {
        "marginclassifier__lr": np.geomspace(2e-3, 5e-2, n // 4).tolist(),
        "marginclassifier__weight_decay": [0.0, 0.01, 0.03, 0.1],
    }
    if name == "GridSearchCV, 5 folds":
        return GridSearchCV(model, grid, cv=5, n_jobs=n_jobs)
    if name == "GridSearchCV, margin-AUC":
        return GridSearchCV(
            model, grid, scoring=margin_auc_score, cv=ResubstitutionSplit(), n_jobs=n_jobs
        )
    settings = {"stack": False} if "one by one" in name else {}
    if "no CV" in name:
        settings["shortlist"] = None
    return MarginSearchCV(model, grid, n_jobs=n_jobs, **settings)


def cpu():
    """CPU seconds of this process and its finished children."""
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def measure(name, size, n, n_jobs, connection):
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(1)
    X, X_test, y, y_test = data()
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        build(name, (4,), 4, None).fit(X[:200], y[:200])  # imports
        search = build(name, SIZES[size], n, n_jobs)
        start, before = time.perf_counter(), cpu()
        search.fit(X, y)
        wall = time.perf_counter() - start
        if n_jobs != 1:
            from joblib.externals.loky import get_reusable_executor

            get_reusable_executor().shutdown(wait=True)  # so that its times are known
        seconds = cpu() - before
        best = search.best_estimator_.score(X_test, y_test)
        row = {"CPU": seconds, "wall": wall, "choice": 100 * best}
        if "MarginSearchCV" in name:
            row["vote"] = 100 * search.score(X_test, y_test)
    row["peak MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    connection.send(row)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--candidates", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=SIZES)
    parser.add_argument("--searches", nargs="+", default=SEARCHES, choices=SEARCHES)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    for size in options.sizes:
        for n in options.candidates:
            for n_jobs in options.jobs:
                rows = {}
                for name in options.searches:
                    here, there = context.Pipe()
                    process = context.Process(
                        target=measure, args=(name, size, n, n_jobs, there)
                    )
                    process.start()
                    rows[name] = here.recv()
                    process.join()
                table = pd.DataFrame(rows).T
                table.insert(1, "of GridSearchCV", table["CPU"] / table["CPU"].iloc[0])
                print(f"\n{size}, {n} candidates, n_jobs={n_jobs}\n")
                print(table.round(3).to_string(), flush=True)


if __name__ == "__main__":
    main()
