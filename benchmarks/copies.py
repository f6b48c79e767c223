"""Which duplicates among the samples are recognised, and are there false positives?

    MARGIN_SKLEARN_DATA=... python benchmarks/copies.py [--rows 100 600]

For each data set and number of rows: the rows as they are, and with duplicates added. *growth*
is the least growth of the number of neighbors from some distance to 1.5 times that distance
(``margin_sklearn.neighborhoods.least_growth``): below .15, rows within that distance are taken
for duplicates. *merged* is the number of rows taken for duplicates, and *copies* the number of
duplicates that were added. Three seeds; growth is given as mean, minimum and maximum.
"""

import argparse

import numpy as np
import pandas as pd
import torch
from datasets import DATASETS, load_dataset
from sklearn.preprocessing import StandardScaler

from margin_sklearn.adapters.network import Network
from margin_sklearn.neighborhoods.copies import N_NEIGHBORS, group_equal, least_growth
from margin_sklearn.neighborhoods.distinct import (
    N_PILOT,
    distinct_rows,
    evenly,
    median_distance,
)
from margin_sklearn.neighborhoods.neighbors import nearest_neighbors
from margin_sklearn.neighborhoods.prepared_rows import PreparedRows

PLAIN = Network(torch.nn.Identity(), np.asarray, np.asarray)


def jittered(size, repeats=2):
    def copies(X, rng):
        X = X[: max(60, len(X) * 2 // repeats)]
        again = np.tile(X, (repeats - 1, 1))
        again = again + size * X.std(axis=0) * rng.standard_normal(again.shape)
        return np.concatenate([X, again]), len(again)

    return copies


def fifth(X, rng):
    again = X[: len(X) // 5]
    again = again + 0.01 * X.std(axis=0) * rng.standard_normal(again.shape)
    return np.concatenate([X, again]), len(again)


KINDS = {
    "as they are": lambda X, rng: (X, 0),
    "twice": lambda X, rng: (np.tile(X, (2, 1)), len(X)),
    "a fifth again, jitter .01 sd": fifth,
    "twice, jitter .001 sd": jittered(0.001),
    "twice, jitter .05 sd": jittered(0.05),
    "5 times, jitter .05 sd": jittered(0.05, 5),
    "5 times, jitter .1 sd": jittered(0.1, 5),
    "20 times, jitter .05 sd": jittered(0.05, 20),
}


def smallest_growth(prepared):
    """The least growth among distinct rows, computed as in ``copy_distance``."""
    first, _ = group_equal(prepared.keys)
    first = first[np.argsort(prepared.distances_from_mean(first), kind="stable")]
    rows, n = prepared.at(first), len(first)
    pilot = evenly(n, N_PILOT)
    near, _ = nearest_neighbors(rows, n, pilot, min(n - 1, N_NEIGHBORS[-1]))
    spread = median_distance(rows(pilot))
    return min(least_growth(near[:, :k], spread)[0] for k in N_NEIGHBORS)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[100, 600])
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    rows = []
    for name in DATASETS:
        X, _ = load_dataset(name)
        X = X.reshape(len(X), -1).astype(float)
        # Average neighboring columns: 3,072 make the search slow and show nothing more.
        X = (
            X
            if X.shape[1] < 1000
            else X[:, : X.shape[1] // 4 * 4].reshape(len(X), -1, 4).mean(2)
        )
        for n in (n for n in options.rows if n <= len(X)):
            for seed in range(options.seeds):
                rng = np.random.default_rng(seed)
                some = X[rng.choice(len(X), n, replace=False)]
                some = StandardScaler().fit_transform(some)
                for kind, make in KINDS.items():
                    copied, n_copies = make(some, rng)
                    prepared = PreparedRows(PLAIN, copied)
                    distinct = distinct_rows(prepared)
                    rows.append(
                        {
                            "data set": name,
                            "rows": n,
                            "kind": kind,
                            "growth": smallest_growth(prepared),
                            "merged": distinct.n_exact + distinct.n_near,
                            "copies": n_copies,
                        }
                    )
    frame = pd.DataFrame(rows)
    groups = frame.groupby(["kind", "data set", "rows"], sort=False)
    growth = groups["growth"].agg(["mean", "min", "max"]).round(2)
    shown = growth.add_prefix("growth, ").join(groups[["merged", "copies"]].mean().round(0))
    print(shown.to_string())


if __name__ == "__main__":
    main()
