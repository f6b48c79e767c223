"""Memory needed for scoring, in addition to the data, 1,000,000 x 100.

    python benchmarks/scoring_memory.py [--rows 1000000]

A network is fitted on the first 10,000 rows, alone and in a Pipeline. Then all rows are
scored, and the peak memory (resident set) during scoring is compared with the memory before:
once with the search for neighbors, and once more, as for the next candidate. The Pipeline is
compared with its ``predict``, which also transforms all rows at once. Linux only.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from margin_sklearn import MarginClassifier, make_margin_auc_scorer, margin_auc_score


def megabytes(field):
    """``VmRSS``, the current memory, or ``VmHWM``, its peak since the last reset."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status has no {field}: this needs Linux.")


def reset_peak():
    Path("/proc/self/clear_refs").write_text("5")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    # Ten directions plus some noise: data with locality.
    X = rng.standard_normal((options.rows, 10)) @ rng.standard_normal((10, 100))
    X += 0.1 * rng.standard_normal(X.shape, dtype=np.float32)
    y = (X[:, :3].sum(axis=1) > 0).astype(int)
    network = MarginClassifier(max_epochs=3, random_state=0).fit(X[:10_000], y[:10_000])
    pipeline = make_pipeline(StandardScaler(), MarginClassifier(max_epochs=3, random_state=0))
    pipeline.fit(X[:10_000], y[:10_000])
    jobs = {
        "margin_auc_score": lambda: margin_auc_score(network, X, y),
        "the same again": lambda: margin_auc_score(network, X, y),
        "frobenius": lambda: make_margin_auc_scorer("frobenius")(network, X, y),
        "spectral": lambda: make_margin_auc_scorer("spectral")(network, X, y),
        "Pipeline: predict": lambda: pipeline.predict(X).mean(),
        "Pipeline: score": lambda: margin_auc_score(pipeline, X, y),
    }
    print(f"{options.rows:,} x 100 float64: {X.nbytes / 2**20:,.0f} MB")
    for name, job in jobs.items():
        reset_peak()
        before, start = megabytes("VmRSS"), time.perf_counter()
        value = job()
        above = megabytes("VmHWM") - before
        print(
            f"{name:18s} {value:.4g}, {above:5.0f} MB more than before, "
            f"{time.perf_counter() - start:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
