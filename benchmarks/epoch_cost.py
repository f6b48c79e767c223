"""What an epoch costs beyond its steps: margins in the history, and checkpoints.

The default network on samples of 20 columns and 5 classes, one thread on the CPU. *margins* is
the CPU time in which accuracy, mean and quantiles of the margins of an epoch are computed;
*checkpoint* is that of ``checkpoint=FOLDER``, which writes one per epoch, from fits with and
without it that take turns. Both are given in ms and in % of an epoch; median [min, max].

    python benchmarks/epoch_cost.py [--repeats 7]
"""

import argparse
import tempfile
import time

import numpy as np
import torch
from sklearn.datasets import make_classification

from margin_sklearn import MarginClassifier
from margin_sklearn.training.margin_history import note_margins

SIZES = [1_000, 10_000, 60_000]
EPOCHS = 10


class Kept:
    """Stands for a net: it has a history."""

    def __init__(self):
        self.history = self

    def record(self, name, value):
        setattr(self, name, value)


def fit_time(X, y, **settings):
    """CPU seconds per epoch."""
    start = time.process_time()
    MarginClassifier(max_epochs=EPOCHS, random_state=0, **settings).fit(X, y)
    return (time.process_time() - start) / EPOCHS


def margins_time(n):
    """CPU seconds per epoch."""
    margins = torch.randn(1, n)
    start = time.process_time()
    for _ in range(20):
        note_margins([Kept()], margins)
    return (time.process_time() - start) / 20


def shown(seconds, epochs):
    ms, share = 1e3 * np.array(seconds), 100 * np.array(seconds) / epochs
    return " ".join(
        f"{np.median(values):8.2f} [{values.min():.2f}, {values.max():.2f}]{unit}"
        for values, unit in [(ms, " ms"), (share, " %")]
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for n in SIZES:
        X, y = make_classification(n, 20, n_informative=10, n_classes=5, random_state=0)
        X = X.astype(np.float32)
        fit_time(X, y)  # what is done once per process
        plain, kept = [], []
        for _ in range(args.repeats):
            plain.append(fit_time(X, y))
            with tempfile.TemporaryDirectory() as folder:
                kept.append(fit_time(X, y, checkpoint=folder))
        plain = np.array(plain)
        margins = [margins_time(n) for _ in range(args.repeats)]
        print(f"{n:6} samples, epoch of {1e3 * np.median(plain):.1f} ms")
        print("  margins   ", shown(margins, plain))
        print("  checkpoint", shown(np.array(kept) - plain, plain))


if __name__ == "__main__":
    main()
