"""Which wrong labels are found, at which cost, beside cleanlab?

    pip install -c constraints.txt -e ".[bench]"    # cleanlab
    MARGIN_SKLEARN_DATA=... python benchmarks/label_errors.py [--jobs 2] [--seeds 0 1 2]
        [--datasets digits ...] [--csv FILE] [--table]

At most 2,000 samples per data set, drawn at random by seed, others (at most 4,000) for
testing; tables are standardised. Some training labels are made wrong:

- "2 %" to "20 %": drawn uniformly from the other classes;
- "10 %, confusable": the class whose mean is nearest to that of the right one;
- "10 %, unbalanced": uniformly, after the classes were cut to sizes that fall by the same
  factor from class to class, the smallest to a tenth of the largest;
- "clean": none. What is flagged is then a false alarm.

LabelErrorDetector, alone and with four networks, against cleanlab's ``find_label_issues`` on
out-of-fold probabilities (five folds) of the same network, of LogisticRegression and, in the
conditions "10 %" and "clean" of the first seed, of HistGradientBoosting. For each: how many
labels are flagged, precision, recall and F1, the area under the precision-recall curve of the
ranking (average precision), CPU time in one thread, and the test accuracy of the network when
it is trained without the flagged samples. The detector's time includes this training,
cleanlab's does not.

The rule of the detector (which epochs, which threshold) was chosen on other splits of the data
sets in ``TUNED_ON``.
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
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from margin_sklearn import LabelErrorDetector, MarginClassifier

RESULTS = Path(__file__).parent / "results"
TUNED_ON = ("digits", "satimage", "magic", "letter", "fashion_mnist", "adult")
CONFIRMED_ON = ("optdigits", "spambase", "covtype", "shuttle")
CONDITIONS = ("clean", "2 %", "5 %", "10 %", "20 %", "10 %, confusable", "10 %, unbalanced")
N_TRAIN, N_TEST = 2_000, 4_000
FEWEST = 10  # samples of a class in training; smaller classes are left out


def load(name, condition, seed):
    """X, given labels, right labels, X_test, y_test."""
    X, y = load_dataset(name)
    X = X.reshape(len(X), -1).astype(np.float32)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(X))
    n = min(N_TRAIN, 3 * len(X) // 4)
    train, test = order[:n], order[n : n + N_TEST]
    labels, counts = np.unique(y[train], return_counts=True)
    if "unbalanced" in condition:
        sizes = counts.max() * 0.1 ** (np.arange(len(labels)) / (len(labels) - 1))
        train = np.concatenate(
            [
                train[y[train] == label][: max(FEWEST, round(size))]
                for label, size in zip(labels, sizes, strict=True)
            ]
        )
        train = rng.permutation(train)
        labels, counts = np.unique(y[train], return_counts=True)
    labels = labels[counts >= FEWEST]
    train, test = (rows[np.isin(y[rows], labels)] for rows in (train, test))
    y = np.searchsorted(labels, y)
    X, X_test, right, y_test = X[train], X[test], y[train], y[test]
    if name == "fashion_mnist":
        mean, deviation = X.mean(), X.std()
        X, X_test = (X - mean) / deviation, (X_test - mean) / deviation
    else:
        scaler = StandardScaler().fit(X)
        X, X_test = scaler.transform(X), scaler.transform(X_test)
    share = 0.0 if condition == "clean" else int(condition.split()[0]) / 100
    wrong = rng.permutation(len(X))[: round(share * len(X))]
    given = right.copy()
    if "confusable" in condition:
        means = np.stack([X[right == k].mean(axis=0) for k in range(len(labels))])
        distances = ((means[:, None] - means) ** 2).sum(axis=2)
        np.fill_diagonal(distances, np.inf)
        given[wrong] = distances.argmin(axis=1)[right[wrong]]
    else:
        shift = rng.integers(1, len(labels), len(wrong))
        given[wrong] = (right[wrong] + shift) % len(labels)
    return X, given, right, X_test, y_test


def network(seed):
    return MarginClassifier(random_state=seed, device="cpu")


def detected(X, y, seed, n_networks):
    detector = LabelErrorDetector(network(seed), n_networks=n_networks, random_state=seed)
    detector.fit(X, y)
    return detector.suspects_, -detector.aum_, detector


def confident(X, y, seed, model):
    """cleanlab's flags and scores."""
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    proba = cross_val_predict(model, X, y, cv=folds, method="predict_proba")
    return find_label_issues(y, proba, n_jobs=1), -get_label_quality_scores(y, proba), None


METHODS = {
    "LabelErrorDetector": lambda X, y, seed: detected(X, y, seed, 1),
    "LabelErrorDetector, 4 networks": lambda X, y, seed: detected(X, y, seed, 4),
    "cleanlab, our network": lambda X, y, seed: confident(X, y, seed, network(seed)),
    "cleanlab, LogisticRegression": lambda X, y, seed: confident(
        X, y, seed, LogisticRegression(max_iter=300)
    ),
    "cleanlab, HistGradientBoosting": lambda X, y, seed: confident(
        X, y, seed, HistGradientBoostingClassifier(random_state=seed)
    ),
}


def run(name, condition, seed):
    """The results of all methods, a dict each."""
    torch.set_num_threads(1)
    X, given, right, X_test, y_test = load(name, condition, seed)
    wrong = given != right
    common = {"dataset": name, "condition": condition, "seed": seed, "n": len(X)}
    rows = []
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        everything = network(seed).fit(X, given).score(X_test, y_test)
        without = network(seed).fit(X[~wrong], given[~wrong]).score(X_test, y_test)
        for method, find in METHODS.items():
            slow = "Boosting" in method
            if slow and (seed != 0 or condition not in ("clean", "10 %")):
                continue
            start = time.process_time()
            flagged, suspicion, detector = find(X, given, seed)
            seconds = time.process_time() - start
            if detector is None:
                kept = ~flagged
                whole = len(np.unique(given[kept])) == len(np.unique(given))
                detector = network(seed).fit(X[kept], given[kept]) if whole else None
            score = detector.score(X_test, y_test) if detector is not None else np.nan
            found = (flagged & wrong).sum()
            rows.append(
                {
                    **common,
                    "method": method,
                    "wrong": wrong.sum(),
                    "flagged": flagged.sum(),
                    "found": found,
                    "precision": found / max(1, flagged.sum()),
                    "recall": found / max(1, wrong.sum()),
                    "F1": 2 * found / max(1, flagged.sum() + wrong.sum()),
                    "AP": average_precision_score(wrong, suspicion) if wrong.any() else np.nan,
                    "seconds": seconds,
                    "test": score,
                    "test, all": everything,
                    "test, right only": without,
                }
            )
    print(name, condition, seed, flush=True)
    return rows


def tables(results):
    """Means over the data sets of each method and condition."""
    results = results.assign(
        group=["tuned on" if name in TUNED_ON else "others" for name in results["dataset"]],
        share=100 * results["flagged"] / results["n"],
        gain=100 * (results["test"] - results["test, all"]),
    )
    keys = ["dataset", "condition", "seed"]
    base = results[results["method"] == "cleanlab, our network"].set_index(keys)["seconds"]
    own = pd.MultiIndex.from_frame(results[keys])
    results["time"] = results["seconds"] / base.reindex(own).to_numpy()
    for column in ("precision", "recall", "F1", "AP"):
        results[column] *= 100
    noisy, clean = (
        results[(results["condition"] == "clean") == is_clean] for is_clean in (False, True)
    )
    numbers = ["precision", "recall", "F1", "AP", "time", "gain"]
    by_set = noisy.groupby(["method", "dataset"], sort=False)[numbers].mean()
    overall = by_set.groupby("method", sort=False).mean()
    # Boosting, measured in one of the conditions only, is compared in the tables by condition.
    for group in ("tuned on", "others"):
        part = noisy[noisy["group"] == group]
        means = part.groupby(["method", "dataset"])["F1"].mean().groupby("method").mean()
        overall[f"F1, {group}"] = means
    overall["worst gain"] = by_set["gain"].groupby("method").min()
    false = clean.groupby(["method", "dataset"])["share"].mean().groupby("method")
    overall["false alarms"], overall["most"] = false.mean(), false.max()
    whole = noisy.groupby("method")["condition"].nunique() == noisy["condition"].nunique()
    overall = overall[whole.reindex(overall.index)]
    yield (
        "methods",
        "Means over data sets, conditions with wrong labels and seeds, in %",
        overall,
    )
    for column in ("F1", "AP", "gain"):
        shown = noisy.pivot_table(
            index="method", columns="condition", values=column, sort=False
        )
        yield f"{column}_conditions", f"{column} by condition", shown
    yield (
        "datasets",
        "F1 by data set",
        noisy.pivot_table(index="method", columns="dataset", values="F1", sort=False),
    )
    shown = clean.pivot_table(index="method", columns="dataset", values="share", sort=False)
    yield "clean", "Labels flagged without a wrong one, in %", shown
    shown = 100 * clean.groupby("dataset", sort=False)["test, all"].mean().to_frame().T
    yield "accuracy", "Test accuracy of the network, clean", shown


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--datasets", nargs="+", default=[*TUNED_ON, *CONFIRMED_ON])
    parser.add_argument("--conditions", nargs="+", default=CONDITIONS, choices=CONDITIONS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--csv", type=Path, default=RESULTS / "label_errors.csv")
    parser.add_argument("--table", action="store_true", help="only print the tables")
    options = parser.parse_args()
    if not options.table:
        for seed in options.seeds:
            parts = Parallel(n_jobs=options.jobs)(
                delayed(run)(name, condition, seed)
                for name in options.datasets
                for condition in options.conditions
            )
            results = pd.DataFrame([row for part in parts for row in part])
            if options.csv.exists():
                keys = ["dataset", "condition", "seed", "method"]
                results = pd.concat([pd.read_csv(options.csv), results])
                results = results.drop_duplicates(keys, keep="last")
            results.to_csv(options.csv, index=False, float_format="%.5g")
    pd.set_option("display.width", 250, "display.max_columns", 30)
    for name, title, table in tables(pd.read_csv(options.csv)):
        print(f"\n{title}\n\n{table.round(2).to_string()}")
        # For the guide.
        path = options.csv.with_name(f"{options.csv.stem}_{name}.csv")
        table.round(2 if name == "methods" else 1).to_csv(path)


if __name__ == "__main__":
    main()
