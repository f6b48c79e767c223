"""Other rules for LabelErrorDetector: threshold samples, and areas over few epochs.

    MARGIN_SKLEARN_DATA=... python benchmarks/label_rules.py [--csv FILE]

On the data of ``label_errors.py``, two seeds: F1, precision and recall at 10 % wrong labels,
and the share of the labels flagged in clean data (false alarms), in %.

- "rule": the detector as it comes;
- "threshold samples" (Pleiss et al. 2020): n / (classes + 1) random samples are given a
  made-up class, and a label is suspect where its area under the margin is below the 99th
  percentile of theirs. A second training, with other samples in that class, judges those of
  the first. The areas are taken over the same epochs as the detector's;
- "rule, ended after 1 epoch" to "5 epochs": at a constant learning rate, as with
  ``stop_at_separation``, so that the areas are means over so many epochs.
"""

import argparse
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from label_errors import load, network

from margin_sklearn import LabelErrorDetector

RESULTS = Path(__file__).parent / "results" / "label_rules.csv"
DATASETS = ("digits", "satimage", "letter", "spambase", "fashion_mnist")
CONDITIONS = ("clean", "10 %")
SEEDS = (0, 1)
PERCENTILE = 99


def areas(X, y, seed):
    return LabelErrorDetector(network(seed), refit=False, random_state=seed).fit(X, y).aum_


def flagged_by_samples(X, y, seed):
    """Labels below the areas of samples of a made-up class, from two trainings."""
    n_classes = len(np.unique(y))
    n = len(y) // (n_classes + 1)
    order = np.random.default_rng(seed).permutation(len(y))
    flagged = np.zeros(len(y), dtype=bool)
    judged = np.zeros(len(y), dtype=bool)
    for made_up in (order[:n], order[n : 2 * n]):
        labels = y.copy()
        labels[made_up] = n_classes
        found = areas(X, labels, seed)
        own = np.ones(len(y), dtype=bool)
        own[made_up] = False
        new = own & ~judged
        flagged[new] = found[new] <= np.percentile(found[made_up], PERCENTILE)
        judged |= own
    return flagged


def flagged_by_rule(X, y, seed, **settings):
    model = network(seed).set_params(**settings)
    return LabelErrorDetector(model, refit=False, random_state=seed).fit(X, y).suspects_


def ended_after(epochs):
    return partial(flagged_by_rule, max_epochs=epochs, lr_schedule="constant")


METHODS = {
    "rule": flagged_by_rule,
    "threshold samples": flagged_by_samples,
    "rule, ended after 1 epoch": ended_after(1),
    "rule, ended after 2 epochs": ended_after(2),
    "rule, ended after 3 epochs": ended_after(3),
    "rule, ended after 5 epochs": ended_after(5),
}


def measure():
    torch.set_num_threads(1)
    rows = []
    for name in DATASETS:
        for condition in CONDITIONS:
            for seed in SEEDS:
                X, given, right, *_ = load(name, condition, seed)
                wrong = given != right
                for method, flag in METHODS.items():
                    start = time.process_time()
                    flagged = flag(X, given, seed)
                    seconds = time.process_time() - start
                    found, n = (flagged & wrong).sum(), flagged.sum()
                    rows.append(
                        {
                            "dataset": name,
                            "condition": condition,
                            "seed": seed,
                            "method": method,
                            "flagged": 100 * flagged.mean(),
                            "precision": 100 * found / max(1, n),
                            "recall": 100 * found / max(1, wrong.sum()),
                            "F1": 200 * found / max(1, n + wrong.sum()),
                            "seconds": seconds,
                        }
                    )
                    print(*rows[-1].values(), flush=True)
    return pd.DataFrame(rows)


def table(results):
    """Means over the seeds: F1 and precision of wrong labels, false alarms, CPU seconds."""
    keys = {"index": ["dataset", "method"], "sort": False}
    noisy, clean = (
        results[results["condition"] == condition].pivot_table(
            values=["precision", "recall", "F1", "flagged", "seconds"], **keys
        )
        for condition in ("10 %", "clean")
    )
    shown = noisy[["F1", "precision", "recall"]].assign(
        **{"false alarms": clean["flagged"], "CPU s": noisy["seconds"]}
    )
    means = shown.groupby("method", sort=False).mean()
    means.index = pd.MultiIndex.from_product([["mean"], means.index], names=shown.index.names)
    return pd.concat([shown, means])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--csv", type=Path, default=RESULTS)
    options = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = table(measure())
    print(found.round(1).to_string())
    found.round(1).to_csv(options.csv)
    # For the guide.
    found.loc["mean"].round(1).to_csv(options.csv.with_name(f"{options.csv.stem}_means.csv"))


if __name__ == "__main__":
    main()
