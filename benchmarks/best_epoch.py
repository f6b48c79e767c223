"""Is the epoch with the best margin-AUC better than the last epoch or early stopping?

    MARGIN_SKLEARN_DATA=... python benchmarks/best_epoch.py [--seeds 0 1 2] [--csv FILE]

Test accuracy of the candidates of ``rank.py`` with the longer training (16 per task and
seed): after the last epoch; with ``restore_best="margin_auc"`` (the same training, on all
samples); with early stopping (training on 80 % of the samples, and the epoch with the best
accuracy on the other 20 %).
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from ranking.tasks import TASKS
from ranking.zoo import GRIDS, candidates, estimator
from sklearn.model_selection import train_test_split
from skorch.callbacks import Callback

N_CANDIDATES = 16


class AccuracyHistory(Callback):
    """Accuracy on given samples after each epoch."""

    def __init__(self, X, y):
        self.X = X
        self.y = y

    def on_train_begin(self, net, **kwargs):
        self.accuracy_ = []

    def on_epoch_end(self, net, **kwargs):
        net._set_training(False)
        with torch.no_grad():
            logits = net.module_(torch.as_tensor(self.X))
        self.accuracy_.append((logits.argmax(1).numpy() == self.y).mean())


def compare(task, seed, settings, data):
    """Test accuracies of one candidate; None if training diverged."""
    X, y, X_test, y_test = data
    *_, network = estimator(task, settings, seed).named_steps.values()
    classes = np.unique(y)
    try:
        start = time.process_time()
        last = network.fit(X, y).score(X_test, y_test)
        seconds = time.process_time() - start
        start = time.process_time()
        best = network.set_params(restore_best="margin_auc").fit(X, y)
        cost = (time.process_time() - start) / seconds - 1
        auc = best.score(X_test, y_test)
        network.set_params(restore_best=None)
        X, X_held, y, y_held = train_test_split(
            X, y, test_size=0.2, stratify=y, random_state=seed
        )
        held = AccuracyHistory(X_held, np.searchsorted(classes, y_held))
        test = AccuracyHistory(X_test, np.searchsorted(classes, y_test))
        network.set_params(callbacks=[("held", held), ("test", test)]).fit(X, y)
    except ValueError as error:
        if "diverged" not in str(error):
            raise
        return None
    fitted = dict(network.net_.callbacks_)
    epoch = int(np.argmax(fitted["held"].accuracy_))
    return {
        "task": task.name,
        "seed": seed,
        "tuning": task.tuning,
        "last": last,
        "margin_auc": auc,
        "hold-out": fitted["test"].accuracy_[epoch],
        "cost": cost,
    }


def run(task, seed):
    """One row per candidate of a task and seed."""
    X, y, X_test, y_test = task.load(seed)
    transformer = task.preprocessing().fit(X)
    X, X_test = (np.asarray(transformer.transform(part), np.float32) for part in (X, X_test))
    longest = GRIDS[task.kind]["epochs"][-1]
    chosen = [c for c in candidates(task.kind, seed) if c["epochs"] == longest]
    rows = [
        compare(task, seed, settings, (X, y, X_test, y_test))
        for settings in chosen[:: max(1, len(chosen) // N_CANDIDATES)][:N_CANDIDATES]
    ]
    print(f"{task.name}-{seed}", flush=True)
    return [row for row in rows if row is not None]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tasks", nargs="+", default=[task.name for task in TASKS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--csv", type=Path, default=None)
    options = parser.parse_args()
    torch.set_num_threads(1)
    parts = Parallel(n_jobs=options.jobs)(
        delayed(run)(task, seed)
        for task in TASKS
        for seed in options.seeds
        if task.name in options.tasks
    )
    frame = pd.DataFrame([row for part in parts for row in part])
    if options.csv:
        frame.to_csv(options.csv, index=False, float_format="%.5g")
    columns = ["last", "margin_auc", "hold-out"]
    means = frame.groupby(["tuning", "task"])[columns].mean() * 100
    print(means.round(2).to_string())
    for tuning, part in means.groupby("tuning"):
        difference = part.sub(part["margin_auc"], axis=0)
        name = "tuned on" if tuning else "not tuned on"
        print(f"\n{name}: margin_auc is better than")
        for column in ("last", "hold-out"):
            better = -difference[column]
            print(
                f"  {column}: by {better.mean():.2f} points, worst task {better.min():.2f}, "
                f"better on {(better > 0).sum()} of {len(better)} tasks"
            )
    print(f"\nmedian cost of restore_best, share of the fit: {frame['cost'].median():.2f}")


if __name__ == "__main__":
    main()
