"""Test accuracy and fit time of MarginClassifier() beside other classifiers, all by default.

    pip install -c constraints.txt -e ".[bench]"    # RealMLP, from pytabkit
    MARGIN_SKLEARN_DATA=... python benchmarks/accuracy.py [--jobs 2] [--csv FILE]
        [--contestants margin realmlp hgb] [--datasets digits ...]
        [--set max_epochs=50 module__dropout=0.1 ...]

Beside it: scikit-learn's MLPClassifier, pytabkit's RealMLP_TD_S_Classifier (a network for
tables), and HistGradientBoostingClassifier as a reference of another kind.

Each data set is split at random, stratified: at most 3,000 samples for training, a fifth of
the set (at most 10,000 samples) for testing; five splits, twenty for sets under 1,000 samples.
All classifiers follow the same StandardScaler and use the same splits, in one thread. Times
are CPU times of ``fit`` divided by that of an MLPClassifier fitted right before in the same
process. The defaults of MarginClassifier were chosen only on the data sets marked "tuned on".
``--set`` tries other settings. With ``--csv``, results of contestants that are not run again
are kept.
"""

import argparse
import ast
import logging
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from datasets import load_dataset
from joblib import Parallel, delayed
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from margin_sklearn import MarginClassifier

LABELS = ("margin", "realmlp", "hgb")
TUNED_ON = ("digits", "wine", "satimage", "magic", "spambase", "covtype")
CONFIRMED_ON = ("breast_cancer", "iris", "optdigits", "letter", "shuttle", "adult")


def split(name, seed):
    X, y = load_dataset(name)
    n_test = min(10_000, len(y) // 5)
    n_train = min(3_000, len(y) - n_test)
    # A class with one sample cannot be stratified.
    labels, counts = np.unique(y, return_counts=True)
    keep = np.isin(y, labels[counts > 1])
    return train_test_split(
        X[keep], y[keep], train_size=n_train, test_size=n_test, stratify=y[keep],
        random_state=seed,
    )  # fmt: skip


def contestant(label, seed, settings):
    if label == "margin":
        return MarginClassifier(random_state=seed, device="cpu", **settings)
    if label == "realmlp":
        from pytabkit import RealMLP_TD_S_Classifier

        for name in ("lightning.pytorch", "pytorch_lightning"):
            logging.getLogger(name).setLevel(logging.ERROR)
        return RealMLP_TD_S_Classifier(random_state=seed, device="cpu", n_threads=1)
    return HistGradientBoostingClassifier(random_state=seed)


def fitted(classifier, X, y):
    """A fitted pipeline and the CPU seconds of its fit."""
    pipeline = make_pipeline(StandardScaler(), classifier)
    start = time.process_time()
    pipeline.fit(X, y)
    return pipeline, time.process_time() - start


def run(name, seed, labels, settings):
    X, X_test, y, y_test = split(name, seed)
    rows = []
    torch.set_num_threads(1)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Before anything is timed: the imports that a first fit needs.
        for label in labels:
            fitted(contestant(label, seed, settings), X[:100], y[:100])
        for label in labels:
            mlp, mlp_seconds = fitted(MLPClassifier(random_state=seed), X, y)
            pipeline, seconds = fitted(contestant(label, seed, settings), X, y)
            own = pipeline[-1]
            rows.append(
                {
                    "dataset": name,
                    "seed": seed,
                    "n_train": len(y),
                    "contestant": label,
                    "test": pipeline.score(X_test, y_test),
                    "train": pipeline.score(X, y),
                    "mlp_test": mlp.score(X_test, y_test),
                    "time_ratio": seconds / mlp_seconds,
                    "separated": getattr(own, "separation_epoch_", None) is not None,
                }
            )
    return rows


def table(results):
    """One row per data set: accuracies in %, differences, time ratios."""
    by = results.assign(test=100 * results["test"], mlp=100 * results["mlp_test"])
    test, ratio = (
        by.pivot_table(index="dataset", columns="contestant", values=value, aggfunc=how)
        for value, how in (("test", ["mean", "std"]), ("time_ratio", "median"))
    )
    margin = by[by["contestant"] == "margin"].groupby("dataset")
    shown = pd.DataFrame({"n": margin["n_train"].first()})
    shown["mlp"] = margin["mlp"].mean()
    shown["mlp ±"] = margin["mlp"].std()
    for label in ratio:
        shown[label], shown[f"{label} ±"] = test["mean", label], test["std", label]
    shown["margin - mlp"] = shown["margin"] - shown["mlp"]
    for label in ratio:
        shown[f"time {label}"] = ratio[label]
    separated = margin["separated"].agg(["sum", "size"])
    shown["separated"] = [f"{s}/{n}" for s, n in separated.itertuples(index=False)]
    shown["group"] = [
        "tuned on" if name in TUNED_ON else "confirmed on" for name in shown.index
    ]
    return shown.loc[[name for name in (*TUNED_ON, *CONFIRMED_ON) if name in shown.index]]


def means(shown):
    """Means over the data sets of each group, and the worst data set."""
    parts = dict(list(shown.groupby("group"))) | {"all": shown}
    wanted = [name for name in shown.columns if name not in ("n", "group", "separated")]
    wanted = [name for name in wanted if "±" not in name]
    found = pd.DataFrame({name: part[wanted].mean() for name, part in parts.items()}).T
    found["worst margin - mlp"] = [part["margin - mlp"].min() for part in parts.values()]
    found["worst time margin"] = [part["time margin"].max() for part in parts.values()]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--datasets", nargs="+", default=[*TUNED_ON, *CONFIRMED_ON])
    parser.add_argument("--contestants", nargs="+", default=list(LABELS), choices=LABELS)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=None)
    parser.add_argument("--csv", type=Path, default=None)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE")
    options = parser.parse_args()
    settings = {}
    for assignment in options.set:
        key, _, value = assignment.partition("=")
        try:
            settings[key] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            settings[key] = value
    tasks = [
        (name, seed)
        for name in options.datasets
        for seed in range(
            options.seeds or (20 if name in ("iris", "wine", "breast_cancer") else 5)
        )
    ]
    parts = Parallel(n_jobs=options.jobs)(
        delayed(run)(*task, options.contestants, settings) for task in tasks
    )
    results = pd.DataFrame([row for part in parts for row in part])
    if options.csv:
        if options.csv.exists():
            earlier = pd.read_csv(options.csv)
            keys = ["dataset", "seed", "contestant"]
            results = pd.concat([earlier, results]).drop_duplicates(keys, keep="last")
        results.to_csv(options.csv, index=False, float_format="%.6g")
    shown = table(results)
    pd.set_option("display.width", 250, "display.max_columns", 30)
    print(
        f"settings: {settings or 'the defaults'}; accuracy in %, mean and standard deviation"
    )
    print(shown.round(2).to_string())
    print()
    print(means(shown).round(2).T.to_string())


if __name__ == "__main__":
    main()
