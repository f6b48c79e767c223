"""Test accuracy of MarginClassifier() and scikit-learn's MLPClassifier(), default settings.

    MARGIN_SKLEARN_DATA=... python benchmarks/accuracy.py [--jobs 2] [--csv FILE]
        [--datasets digits ...] [--set max_epochs=50 module__dropout=0.1 ...]

Each data set is split at random, stratified: at most 3,000 samples for training, a fifth of
the set (at most 10,000 samples) for testing; five splits, twenty for sets under 1,000 samples.
Both classifiers follow the same StandardScaler and use the same splits, in one thread. The
defaults of MarginClassifier were chosen only on the data sets marked "tuned on". ``--set``
tries other settings.
"""

import argparse
import ast
import csv
import time
import warnings
from pathlib import Path

import numpy as np
from datasets import load_dataset
from joblib import Parallel, delayed
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from margin_sklearn import MarginClassifier

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


def run(name, seed, settings):
    X, X_test, y, y_test = split(name, seed)
    row = {"dataset": name, "seed": seed, "n_train": len(y)}
    contestants = {
        "margin": MarginClassifier(random_state=seed, device="cpu", **settings),
        "mlp": MLPClassifier(random_state=seed),
    }
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="sklearn.neural_network")
        for label, classifier in contestants.items():
            pipeline = make_pipeline(StandardScaler(), classifier)
            start = time.perf_counter()
            pipeline.fit(X, y)
            row[f"{label}_seconds"] = time.perf_counter() - start
            row[f"{label}_test"] = pipeline.score(X_test, y_test)
            row[f"{label}_train"] = pipeline.score(X, y)
    row["separation_epoch"] = contestants["margin"].separation_epoch_
    row["separated"] = contestants["margin"].separated_
    return row


def print_table(rows):
    print(
        f"{'data set':15s} {'n':>6s} {'MLPClassifier':>15s} {'MarginClassifier':>17s} "
        f"{'difference':>15s} {'separated':>10s} {'time ratio':>10s}"
    )
    means = {"tuned on": [], "confirmed on": []}
    for group, names in (("tuned on", TUNED_ON), ("confirmed on", CONFIRMED_ON)):
        for name in names:
            own = [row for row in rows if row["dataset"] == name]
            if not own:
                continue
            margin = 100 * np.array([row["margin_test"] for row in own])
            mlp = 100 * np.array([row["mlp_test"] for row in own])
            ratio = np.median([row["margin_seconds"] / row["mlp_seconds"] for row in own])
            separated = sum(row["separation_epoch"] is not None for row in own)
            means[group].append((mlp.mean(), margin.mean()))
            print(
                f"{name:15s} {own[0]['n_train']:6d} {mlp.mean():8.2f} ± {mlp.std():4.2f} "
                f"{margin.mean():10.2f} ± {margin.std():4.2f} "
                f"{(margin - mlp).mean():+8.2f} ± {(margin - mlp).std():4.2f} "
                f"{separated:5d}/{len(own):<4d} {ratio:10.2f}   {group}"
            )
    means["all"] = [pair for pairs in means.values() for pair in pairs]
    for group, pairs in means.items():
        if pairs:
            mlp, margin = np.mean(pairs, axis=0)
            worst = min(b - a for a, b in pairs)
            print(f"mean {group:14s} {mlp:13.2f} {margin:17.2f} {margin - mlp:+15.2f}  "
                  f"worst {worst:+.2f}")  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--datasets", nargs="+", default=[*TUNED_ON, *CONFIRMED_ON])
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
    rows = Parallel(n_jobs=options.jobs)(delayed(run)(*task, settings) for task in tasks)
    print(f"settings: {settings or 'the defaults'}; accuracy in %, mean ± standard deviation")
    print_table(rows)
    if options.csv:
        with options.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
