"""Memory that scoring takes above the data, 1,000,000 x 100.

    python benchmarks/scoring_memory.py [--rows 1000000]

A network is fitted on the first 10,000 rows, in a Pipeline; then the peak memory of the
process (resident set) is read before and after ``margin_auc_score`` on all rows.
"""

import argparse
import resource
import time

import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from margin_sklearn import MarginClassifier, make_margin_auc_scorer, margin_auc_score


def peak_megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    X = rng.standard_normal((options.rows, 100))
    y = (X[:, :3].sum(axis=1) > 0).astype(int)
    model = make_pipeline(StandardScaler(), MarginClassifier(max_epochs=3, random_state=0))
    model.fit(X[:10_000], y[:10_000])
    scorers = {
        "margin_auc_score": margin_auc_score,
        "frobenius": make_margin_auc_scorer("frobenius"),
        "spectral": make_margin_auc_scorer("spectral"),
    }
    print(f"{options.rows:,} x 100 float64: {X.nbytes / 2**20:,.0f} MB")
    for name, scorer in scorers.items():
        before, start = peak_megabytes(), time.perf_counter()
        score = scorer(model, X, y)
        print(f"{name:18s} score {score:.4g}, {peak_megabytes() - before:5.0f} MB above the "
              f"peak before, {time.perf_counter() - start:.0f} s")  # fmt: skip


if __name__ == "__main__":
    main()
