"""What a search finds, and what it costs, beside the search that a user would make today.

    pip install -c constraints.txt -e ".[bench]"    # Optuna
    MARGIN_SKLEARN_DATA=... python benchmarks/user_search.py [--jobs 2] [--seeds 0 1 2]
        [--datasets digits ...] [--contestants grid margin ...] [--csv FILE]

Today: GridSearchCV(MLPClassifier, cv=5) over 24 candidates, width x L2 x learning rate (each
at the values that suit its optimizer). RandomizedSearchCV draws 24 from continuous ranges;
Optuna's TPE makes 24 trials of 5-fold cross-validation. Against them MarginSearchCV over
MarginClassifier, with the same 24 widths, weight decays and learning rates, and with 128 drawn
from continuous ranges: its choice and its vote, with and without cross-validation.

Each data set is split at random, stratified: at most 800 samples for the search, at most 3,000
others for testing. All searches of a split run in one process in one thread; times are CPU
times, divided by that of GridSearchCV. The rules (shortlist, its order, the default vote)
were chosen on the results of other networks (benchmarks/decision.py).
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from datasets import load_dataset
from joblib import Parallel, delayed
from scipy.stats import loguniform
from sklearn.model_selection import (
    GridSearchCV,
    RandomizedSearchCV,
    cross_val_score,
    train_test_split,
)
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from margin_sklearn import MarginClassifier, MarginSearchCV

TUNED_ON = ("digits", "wine", "satimage", "magic", "spambase", "covtype")
CONFIRMED_ON = ("breast_cancer", "iris", "optdigits", "letter", "shuttle", "adult")
WIDTHS = [(32,), (64,), (128,), (64, 64)]
MLP_GRID = {
    "mlpclassifier__hidden_layer_sizes": WIDTHS,
    "mlpclassifier__alpha": [1e-4, 1e-2],
    "mlpclassifier__learning_rate_init": [3e-4, 1e-3, 3e-3],
}
MLP_RANGES = {
    "mlpclassifier__hidden_layer_sizes": WIDTHS,
    "mlpclassifier__alpha": loguniform(1e-5, 1e-1),
    "mlpclassifier__learning_rate_init": loguniform(3e-4, 1e-2),
}
PREFIX = "marginclassifier__"
GRID = {
    f"{PREFIX}module__hidden_layer_sizes": WIDTHS,
    f"{PREFIX}weight_decay": [0.01, 0.1],
    f"{PREFIX}lr": [3e-3, 1e-2, 3e-2],
}
RANGES = {
    f"{PREFIX}module__hidden_layer_sizes": WIDTHS,
    f"{PREFIX}module__dropout": [0.0, 0.2],
    f"{PREFIX}weight_decay": loguniform(3e-3, 3e-1),
    f"{PREFIX}lr": loguniform(2e-3, 5e-2),
}


def split(name, seed):
    X, y = load_dataset(name)
    labels, counts = np.unique(y, return_counts=True)
    keep = np.isin(y, labels[counts > 10])  # a class must be in every fold
    X, y = X[keep], y[keep]
    n_train = min(800, int(0.7 * len(y)))
    n_test = min(3_000, len(y) - n_train)
    X, X_test, y, y_test = train_test_split(
        X, y, train_size=n_train, test_size=n_test, stratify=y, random_state=seed
    )
    # A class of the whole set may have too few samples in the split.
    labels, counts = np.unique(y, return_counts=True)
    keep, keep_test = np.isin(y, labels[counts >= 5]), np.isin(y_test, labels[counts >= 5])
    return X[keep], X_test[keep_test], y[keep], y_test[keep_test]


def mlp(seed):
    return make_pipeline(StandardScaler(), MLPClassifier(random_state=seed))


def network(seed):
    return make_pipeline(StandardScaler(), MarginClassifier(random_state=seed, device="cpu"))


def grid(X, y, X_test, y_test, seed):
    """GridSearchCV(MLPClassifier, cv=5)."""
    search = GridSearchCV(mlp(seed), MLP_GRID, cv=5).fit(X, y)
    return {"choice": search.score(X_test, y_test)}


def randomized(X, y, X_test, y_test, seed):
    search = RandomizedSearchCV(mlp(seed), MLP_RANGES, n_iter=24, cv=5, random_state=seed)
    return {"choice": search.fit(X, y).score(X_test, y_test)}


def optuna(X, y, X_test, y_test, seed):
    import optuna as library

    library.logging.set_verbosity(library.logging.WARNING)

    def objective(trial):
        model = mlp(seed).set_params(
            mlpclassifier__hidden_layer_sizes=WIDTHS[trial.suggest_int("widths", 0, 3)],
            mlpclassifier__alpha=trial.suggest_float("alpha", 1e-5, 1e-1, log=True),
            mlpclassifier__learning_rate_init=trial.suggest_float("lr", 3e-4, 1e-2, log=True),
        )
        return cross_val_score(model, X, y, cv=5).mean()

    study = library.create_study(
        direction="maximize", sampler=library.samplers.TPESampler(seed=seed)
    )
    study.optimize(objective, n_trials=24)
    best = study.best_params
    model = mlp(seed).set_params(
        mlpclassifier__hidden_layer_sizes=WIDTHS[best["widths"]],
        mlpclassifier__alpha=best["alpha"],
        mlpclassifier__learning_rate_init=best["lr"],
    )
    return {"choice": model.fit(X, y).score(X_test, y_test)}


def margin(X, y, X_test, y_test, seed, **settings):
    search = MarginSearchCV(network(seed), GRID, **settings).fit(X, y)
    return both(search, X_test, y_test)


def margin_128(X, y, X_test, y_test, seed, **settings):
    search = MarginSearchCV(network(seed), RANGES, n_iter=128, random_state=seed, **settings)
    search.fit(X, y)
    return both(search, X_test, y_test)


def both(search, X_test, y_test):
    """Accuracy of the winner alone, and of the vote, with which the search predicts."""
    return {
        "choice": search.best_estimator_.score(X_test, y_test),
        "vote": search.score(X_test, y_test),
    }


CONTESTANTS = {
    "grid": grid,
    "randomized": randomized,
    "optuna": optuna,
    "margin": margin,
    "margin, no CV": lambda *args: margin(*args, shortlist=None),
    "margin 128": margin_128,
    "margin 128, no CV": lambda *args: margin_128(*args, shortlist=None),
}


def run(name, seed, labels):
    X, X_test, y, y_test = split(name, seed)
    rows = []
    torch.set_num_threads(1)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # The imports and caches that a first fit needs.
        MarginSearchCV(
            network(0), {f"{PREFIX}lr": [1e-2, 2e-2], f"{PREFIX}max_epochs": [1]}, cv=2
        ).fit(X[::2], y[::2])
        for label in labels:
            start = time.process_time()
            found = CONTESTANTS[label](X, y, X_test, y_test, seed)
            seconds = time.process_time() - start
            rows += [
                {
                    "dataset": name,
                    "seed": seed,
                    "n": len(y),
                    "search": label,
                    "answer": answer,
                    "test": 100 * score,
                    "seconds": seconds,
                }
                for answer, score in found.items()
            ]
    print(name, seed, flush=True)
    return rows


def table(results):
    """Means over the data sets of each group: accuracy, its difference, and the time."""
    base = results[results["search"] == "grid"].set_index(["dataset", "seed"])
    keys = pd.MultiIndex.from_frame(results[["dataset", "seed"]])
    results = results.assign(
        above=results["test"] - base["test"].reindex(keys).to_numpy(),
        time=results["seconds"] / base["seconds"].reindex(keys).to_numpy(),
        group=["tuned on" if name in TUNED_ON else "other" for name in results["dataset"]],
    )
    rows = {}
    for (search, answer), part in results.groupby(["search", "answer"], sort=False):
        by_set = part.groupby("dataset").agg(
            test=("test", "mean"),
            above=("above", "mean"),
            time=("time", "median"),
            group=("group", "first"),
        )
        means = by_set.groupby("group")["above"].mean()
        rows[f"{search}: {answer}"] = {
            "test": by_set["test"].mean(),
            "above grid": by_set["above"].mean(),
            # Standard error of the mean over the data sets.
            "±": by_set["above"].std() / np.sqrt(len(by_set)),
            "on sets tuned on": means.get("tuned on", np.nan),
            "on others": means.get("other", np.nan),
            "worst set": by_set["above"].min(),
            "time": by_set["time"].mean(),
            "worst time": by_set["time"].max(),
        }
    return pd.DataFrame(rows).T


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--datasets", nargs="+", default=[*TUNED_ON, *CONFIRMED_ON])
    parser.add_argument("--contestants", nargs="+", default=list(CONTESTANTS))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--csv", type=Path, default=None)
    options = parser.parse_args()
    parts = Parallel(n_jobs=options.jobs)(
        delayed(run)(name, seed, options.contestants)
        for seed in options.seeds
        for name in options.datasets
    )
    results = pd.DataFrame([row for part in parts for row in part])
    if options.csv:
        if options.csv.exists():
            earlier = pd.read_csv(options.csv)
            keys = ["dataset", "seed", "search", "answer"]
            results = pd.concat([earlier, results]).drop_duplicates(keys, keep="last")
        results.to_csv(options.csv, index=False, float_format="%.6g")
    pd.set_option("display.width", 250, "display.max_columns", 30)
    shown = results.pivot_table(
        index="dataset", columns=["search", "answer"], values="test", sort=False
    )
    print("\nTest accuracy in %, mean over the splits\n")
    print(shown.round(2).T.to_string())
    print("\nMeans over the data sets; accuracy above, and CPU time relative to, grid\n")
    print(table(results).round(2).to_string())


if __name__ == "__main__":
    main()
