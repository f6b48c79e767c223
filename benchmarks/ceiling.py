"""At which floor and ceiling does distance-AUC at the samples rank networks best?

    MARGIN_SKLEARN_DATA=... python benchmarks/ceiling.py [--datasets digits ...] [--csv FILE]

For each data set, clean and with 20 % of the training labels replaced at random: 64 MLPs
(width, depth, learning rate, epochs, dropout, weight decay) fitted on 600 samples (letter
1,000), one seed. Printed: Kendall's tau of each training-set score with test accuracy, and the
regret (best test accuracy among the candidates minus that of the one chosen, in points). The
bounds are ±c times the median distance between neighbors. A first look, that settles the
default until a benchmark of all scores does.
"""

import argparse
import csv
import itertools
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from scipy.stats import kendalltau
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from margin_sklearn import MarginClassifier, make_margin_auc_scorer, margin_auc, margins
from margin_sklearn.datasets import load_dataset
from margin_sklearn.networks import as_network
from margin_sklearn.scoring import band

DATASETS = ("digits", "satimage", "letter", "optdigits", "magic", "spambase")
CEILINGS = (0.03, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0)
GRID = {
    "module__hidden_layer_sizes": [(16,), (64,), (256,), (64, 64)],
    "lr": [1e-3, 1e-2],
    "max_epochs": [6, 40],
    "module__dropout": [0.0, 0.3],
    "weight_decay": [1e-3, 1.0],
}


def task(name, noise):
    X, y = load_dataset(name)
    n = 1000 if name == "letter" else 600
    X, X_test, y, y_test = train_test_split(
        X, y, train_size=n, test_size=min(3000, len(y) - n), stratify=y, random_state=0
    )
    scaler = StandardScaler().fit(X)
    X, X_test = scaler.transform(X), scaler.transform(X_test)
    rng = np.random.default_rng(0)
    noisy = rng.random(n) < noise
    y = y.copy()
    y[noisy] = rng.choice(np.unique(y), noisy.sum())
    accuracy, scores = [], []
    for values in itertools.product(*GRID.values()):
        network = MarginClassifier(
            random_state=0, device="cpu", **dict(zip(GRID, values, strict=True))
        ).fit(X, y)
        accuracy.append(network.score(X_test, y_test))
        m = margins(network, X, y, scale="distance")
        _, unit = band(as_network(network), X, "distance", 0.0, 1.0)
        row = {
            "training accuracy": network.score(X, y),
            "frobenius": make_margin_auc_scorer("frobenius")(network, X, y),
            "spectral": make_margin_auc_scorer("spectral")(network, X, y),
        }
        for c in CEILINGS:
            row[f"distance, c = {c}"] = margin_auc(m, floor=-c * unit, ceiling=c * unit)
        scores.append(row)
    accuracy = np.array(accuracy)
    return [
        {
            "dataset": name,
            "noise": noise,
            "score": score,
            "tau": kendalltau([row[score] for row in scores], accuracy).statistic,
            "regret": 100
            * (accuracy.max() - accuracy[np.argmax([row[score] for row in scores])]),
        }
        for score in scores[0]
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--datasets", nargs="+", default=list(DATASETS))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--csv", type=Path, default=None)
    options = parser.parse_args()
    tasks = [(name, noise) for name in options.datasets for noise in (0.0, 0.2)]
    parts = Parallel(n_jobs=options.jobs)(delayed(task)(*arguments) for arguments in tasks)
    rows = [row for part in parts for row in part]
    print(f"{'':20s} {'clean':^24s} {'20 % label noise':^24s}")
    print(f"{'score':20s}" + 2 * f" {'tau':>6s} {'regret mean / worst':>17s}")
    for score in dict.fromkeys(row["score"] for row in rows):
        line = f"{score:20s}"
        for noise in (0.0, 0.2):
            own = [row for row in rows if row["score"] == score and row["noise"] == noise]
            regret = [row["regret"] for row in own]
            tau = np.mean([row["tau"] for row in own])
            line += f" {tau:6.2f} {np.mean(regret):11.1f} / {max(regret):4.1f} "
        print(line)
    if options.csv:
        with options.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
