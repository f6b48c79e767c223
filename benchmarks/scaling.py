"""How times grow: fits and scores with the data and the network, searches with candidates.

    python benchmarks/scaling.py [--quick] [--vary candidates ...]
    python benchmarks/scaling.py --draw      # only draw the figure again

CPU time of one thread. Fitted is one epoch (``max_epochs=1``, batches of 128) of an MLP with
two hidden layers; scored is ``margin_auc_score``, with an empty cache and then again. One
of the sizes varies, the others are 20,000 samples, 64 features (20 where the samples vary) and
width 256. The data have ten directions plus noise. For each curve the slope in the log-log
plot is printed, over all sizes and over the larger half, where fixed costs matter less (1 is
proportional), with the work that bounds it at the large end.

The number of candidates of a search varies on 1,000 samples of 20 features: ``MarginSearchCV``
over width 32, learning rates and weight decays drawn at random, 20 epochs, with and without
the cross-validation of its shortlist.

Writes ``results/scaling.csv`` and, with matplotlib, ``results/scaling.png``; with ``--quick``,
a check of a minute, nothing is written.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.stats import loguniform
from threadpoolctl import threadpool_limits

from margin_sklearn import (
    LocalityWarning,
    MarginClassifier,
    MarginSearchCV,
    margin_auc_score,
)
from margin_sklearn.neighborhoods import clear_cache

RESULTS = Path(__file__).parent / "results"
BASE = {"samples": 20_000, "features": 64, "width": 256}
SIZES = {
    "samples": [1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000],
    "features": [8, 32, 128, 512, 2048, 4096],
    "width": [32, 64, 128, 256, 512, 1024, 2048],
    "candidates": [10, 30, 100, 300, 1_000, 2_000],
}
QUICK_BASE = {"samples": 2_000, "features": 16, "width": 64}
QUICK = {
    "samples": [1_000, 4_000],
    "features": [8, 32],
    "width": [32, 128],
    "candidates": [5, 20],
}
# Wide data get fewer features while the samples vary: a million rows of 64 are 256 MB.
FEATURES_OF_MANY_SAMPLES = 20
# The work that dominates each curve at the large end.
BOUNDS = {
    ("samples", "fit"): "steps: one per 128 samples",
    ("samples", "first score"): "reading, hashing and comparing all rows; points of 2,000",
    ("samples", "later score"): "recognising all rows; a pass over the points of 2,000",
    ("features", "fit"): "the first layer, of features x width weights",
    ("features", "first score"): "distances between rows, then the first layer",
    ("features", "later score"): "recognising all rows; the first layer",
    ("width", "fit"): "the middle layer, of width x width weights",
    ("width", "first score"): "the search for points, then the middle layer",
    ("width", "later score"): "the middle layer",
    ("candidates", "search, no CV"): "stacks of 16 networks",
    ("candidates", "search"): "stacks of 16 networks, five more for each of the shortlist",
}
LINES = ("fit", "first score", "later score")
SHORTLISTS = {"search, no CV": None, "search": "auto"}


def make_data(samples, features):
    """float32 rows near a subspace of ten dimensions, and four classes."""
    rng = np.random.default_rng(0)
    inner = rng.standard_normal((samples, 10), dtype=np.float32)
    X = inner @ rng.standard_normal((10, features), dtype=np.float32)
    X += 0.3 * rng.standard_normal(X.shape, dtype=np.float32)
    return X, (inner[:, 0] > 0) * 2 + (inner[:, 1] > 0)


def seconds(function, *arguments):
    start = time.process_time()
    function(*arguments)
    return time.process_time() - start


def measure(samples, features, width, repeats):
    """Median seconds of each line."""
    X, y = make_data(samples, features)
    network = MarginClassifier(
        module__hidden_layer_sizes=(width, width),
        batch_size=128,
        max_epochs=1,
        device="cpu",
        random_state=0,
    )
    rows = []
    for _ in range(repeats):
        fit = seconds(network.fit, X, y)
        clear_cache()
        first = seconds(margin_auc_score, network, X, y)
        rows.append((fit, first, seconds(margin_auc_score, network, X, y)))
    return dict(zip(LINES, np.median(rows, axis=0), strict=True))


def measure_search(n):
    """Seconds of a search over n candidates, without and with cross-validation."""
    X, y = make_data(1_000, 20)
    network = MarginClassifier(
        module__hidden_layer_sizes=(32, 32), max_epochs=20, device="cpu", random_state=0
    )
    ranges = {"lr": loguniform(2e-3, 5e-2), "weight_decay": loguniform(3e-3, 3e-1)}
    found = {}
    for line, shortlist in SHORTLISTS.items():
        search = MarginSearchCV(network, ranges, n_iter=n, shortlist=shortlist, random_state=0)
        clear_cache()
        found[line] = seconds(search.fit, X, y)
    return found


def slopes(sizes, values):
    """Slope of the regression of log(value) on log(size): all sizes, and the larger half."""
    x, y = np.log(sizes), np.log(values)
    upper = max(2, (len(x) + 1) // 2)
    return np.polyfit(x, y, 1)[0], np.polyfit(x[-upper:], y[-upper:], 1)[0]


def draw(table, path):
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("No figure: matplotlib is not installed (extra 'plot').")
        return
    groups = list(table.groupby("varied", sort=False))
    figure = Figure(figsize=(4 * len(groups), 4), layout="constrained")
    axes = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    for axis, (name, part) in zip(axes, groups, strict=True):
        part = part.dropna(axis=1)
        lines = part.columns[2:]
        for line in lines:
            axis.loglog(part["size"], part[line], "o-", label=line)
        # Proportional growth, to the last point of the first line.
        sizes = part["size"].to_numpy()
        guide = part[lines[0]].iloc[-1] * sizes / sizes[-1]
        axis.loglog(sizes, guide, ":", color="gray", label="slope 1")
        axis.set(xlabel=name)
        axis.legend(loc="upper left")
    axes[0].set(ylabel="CPU seconds")
    figure.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--most", type=int, default=None, help="skip larger sizes")
    parser.add_argument("--vary", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--draw", action="store_true", help="only draw the figure again")
    options = parser.parse_args()
    if options.draw:
        draw(pd.read_csv(RESULTS / "scaling.csv"), RESULTS / "scaling.png")
        return
    torch.set_num_threads(1)
    threadpool_limits(1)
    warnings.simplefilter("ignore", LocalityWarning)
    every, base = (QUICK, QUICK_BASE) if options.quick else (SIZES, BASE)
    measure(1_000, 8, 32, 1)  # imports and first calls
    records = []
    for varied in options.vary:
        searched = varied == "candidates"
        lines = tuple(SHORTLISTS) if searched else LINES
        print(f"{varied}: CPU seconds of {', '.join(lines)}")
        for size in every[varied]:
            if options.most is not None and size > options.most:
                continue
            if searched:
                found = measure_search(size)
            else:
                sizes = {**base, varied: size}
                if varied == "samples":
                    sizes["features"] = min(sizes["features"], FEATURES_OF_MANY_SAMPLES)
                # Long measurements are precise without repetition.
                long = sizes["samples"] >= 100_000 or sizes["features"] >= 2048
                found = measure(**sizes, repeats=1 if long else options.repeats)
            records.append({"varied": varied, "size": size, **found})
            times = "  ".join(f"{value:9.4f}" for value in found.values())
            print(f"    {size:9,}  {times}", flush=True)
        part = pd.DataFrame(records).query("varied == @varied")
        if len(part) > 1:
            for line in lines:
                whole, upper = slopes(part["size"], part[line])
                print(f"    slope of {line:12s} {whole:5.2f}, upper half {upper:5.2f}: "
                      f"{BOUNDS[varied, line]}")  # fmt: skip
    if not options.quick:
        table = pd.DataFrame(records)
        if (RESULTS / "scaling.csv").exists():
            # What did not vary this time stays.
            earlier = pd.read_csv(RESULTS / "scaling.csv")
            table = pd.concat([earlier[~earlier["varied"].isin(options.vary)], table])
        table.to_csv(RESULTS / "scaling.csv", index=False, float_format="%.5g")
        draw(table, RESULTS / "scaling.png")


if __name__ == "__main__":
    main()
