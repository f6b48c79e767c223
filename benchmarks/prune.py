"""What accuracy and cost result from continuing on 1 % of the samples after separation?

    MARGIN_SKLEARN_DATA=... python benchmarks/prune.py [--tasks NAME ...] [--seeds 0 1 ...]
    python benchmarks/prune.py --table      # only print the tables again

A network is trained to separation once per task and seed; from there, each row of the table
continues training for ``EPOCHS`` epochs, on a constant share of the samples and without
averaged weights (``prune_defaults.py`` has both). Finished rows are kept in
``benchmarks/results/prune.csv``, so that an interrupted run resumes where it stopped.
"""

import argparse
import copy
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import torch
from datasets import load_dataset
from prune_tables import each_task, noisy, summary, verdict
from skorch.callbacks import Callback, LRScheduler
from torch import nn

from margin_sklearn import (
    MLP,
    ConvNet,
    MarginClassifier,
    MarginSubsetSelector,
    NotSeparatedWarning,
)
from margin_sklearn.subsets import continuing

RESULTS = Path(__file__).parent / "results"
EPOCHS = 10
SCRATCH_EPOCHS = 300


def dense_convnet(input_shape, n_classes):
    """ConvNet with a hidden dense layer: without it, it cannot separate 60,000 images."""
    convolutions = ConvNet(input_shape, n_classes, channels=(16, 32)).features
    n_features = 32 * (input_shape[0] // 4) * (input_shape[1] // 4)
    dense = MLP((n_features,), n_classes, hidden_layer_sizes=(256,), dropout=0.0)
    return nn.Sequential(convolutions, nn.Flatten(), *dense)


@dataclass(frozen=True)
class Task:
    """A data set and a network that is trained until it separates the data.

    ``decay`` is the factor of the learning rate per epoch and ``noise`` the share of training
    samples that are mislabelled. ``short`` tasks take long, so fewer rows are computed.
    """

    data: str
    n: int
    network: str
    decay: float = 1.0
    noise: float = 0.0
    short: bool = False

    @property
    def name(self):
        noise = f" noise {self.noise:.0%}" if self.noise else ""
        return f"{self.data} {self.n} {self.network}{noise}"

    def load(self, seed):
        """X, y, X_test, y_test, and a mask of the mislabelled training samples.

        X is standardised, images by a single mean and standard deviation.
        """
        X, y = load_dataset(self.data)
        y = np.unique(y, return_inverse=True)[1]
        rng = np.random.default_rng(seed)
        # The two image data sets have their own test sets, at the end.
        n_pool = {"fashion_mnist": 60_000, "cifar10_12k": 10_000}.get(self.data)
        order = rng.permutation(len(X) if n_pool is None else n_pool)
        train = order[: self.n]
        test = order[self.n :] if n_pool is None else np.arange(n_pool, len(X))
        axes = 0 if X.ndim == 2 else None
        mean, deviation = X[train].mean(axes), X[train].std(axes)
        deviation = np.where(deviation == 0, 1, deviation)

        def scaled(rows):
            return ((X[rows] - mean) / deviation).astype(np.float32)

        labels = y[train]
        mislabelled = rng.random(self.n) < self.noise
        n_classes = y.max() + 1
        shift = rng.integers(1, n_classes, mislabelled.sum())
        labels[mislabelled] = (labels[mislabelled] + shift) % n_classes
        return scaled(train), labels, scaled(test), y[test], mislabelled

    def estimator(self, seed):
        """SGD with momentum, batch norm, weight decay."""
        network = {
            "module__hidden_layer_sizes": (256, 256),
            "module__dropout": 0.0,
            "module__embeddings": None,
        }
        if self.network == "ConvNet":
            channels = (16, 32, 32) if self.data == "cifar10_12k" else (16, 32)
            network = {"module": ConvNet, "module__channels": channels}
            if self.short:
                network = {"module": dense_convnet}
        elif self.short:
            network["module__hidden_layer_sizes"] = (512, 512)
        decay = LRScheduler("ExponentialLR", gamma=self.decay)
        return MarginClassifier(
            **network,
            optimizer="sgd",
            optimizer__momentum=0.9,
            lr=0.02 if self.decay == 1 else 0.05,
            lr_schedule="constant",
            criterion="cross_entropy",
            weight_decay=1e-4 if self.decay == 1 else 5e-4,
            batch_size=256 if self.short else 128,
            max_epochs=200 if self.decay == 1 else 80,
            callbacks=None if self.decay == 1 else [("decay", decay)],
            random_state=seed,
            device="cpu",
        )


TASKS = (
    Task("letter", 15_000, "MLP"),
    Task("optdigits", 4_000, "MLP"),
    Task("fashion_mnist", 10_000, "MLP"),
    Task("fashion_mnist", 10_000, "ConvNet"),
    Task("cifar10_12k", 10_000, "MLP", decay=0.95),
    Task("cifar10_12k", 10_000, "ConvNet", decay=0.95),
    Task("fashion_mnist", 60_000, "MLP", decay=0.93, short=True),
    Task("fashion_mnist", 60_000, "ConvNet", decay=0.93, short=True),
    *(
        Task(data, n, "MLP", decay=0.95, noise=noise)
        for data, n in (("optdigits", 4_000), ("letter", 15_000), ("fashion_mnist", 10_000))
        for noise in (0.1, 0.2)
    ),
)
ALL = {"n_samples_to_select": 1.0, "freeze_batch_norm": False, "score_share": 0.01}
# The share is constant here and the weights are not averaged, as was measured first; the
# selector's defaults are in prune_defaults.py.
CONSTANT = {"initial_share": 1e-6, "average_weights": False, "score_share": 0.2}
# Differences from that; "steps": as many optimizer steps as "all".
ROWS = {
    "stop at separation": {"continue_epochs": 0},
    "all, lr": {**ALL, "continue_lr": "as before"},
    "all, lr / 5": ALL,
    "1 % smallest": {},
    "0.5 % smallest": {"n_samples_to_select": 0.005},
    "5 % smallest": {"n_samples_to_select": 0.05},
    "1 % smallest, twice the epochs": {"continue_epochs": 2 * EPOCHS},
    "1 % smallest, all scored": {"score_share": 1.0},
    "1 % smallest, chosen once": {"reselect_every": EPOCHS + 1},
    "1 % smallest, not by class": {"stratify": False},
    "1 % smallest, lr": {"continue_lr": "as before"},
    "1 % smallest, batch norm not frozen": {"freeze_batch_norm": False},
    "1 % largest": {"strategy": "largest"},
    "1 % window": {"strategy": "window"},
    "1 % coverage": {"strategy": "coverage"},
    "1 % random": {"strategy": "random"},
    "1 % random each epoch": {"strategy": "random_each_epoch"},
    "1 % smallest, equal steps": {"steps": True},
    "1 % random, equal steps": {"strategy": "random", "steps": True},
    "1 % random each epoch, equal steps": {"strategy": "random_each_epoch", "steps": True},
}
SHORT = (
    "stop at separation",
    "all, lr",
    "all, lr / 5",
    "1 % smallest",
    "0.5 % smallest",
    "5 % smallest",
    "1 % smallest, twice the epochs",
    "1 % smallest, all scored",
    "1 % random",
    "1 % random each epoch",
)
GUARDED = {"1 % smallest, noise guard": {"noise_guard": True}}
NOISY = ("stop at separation", "all, lr / 5", "1 % smallest", "1 % random", *GUARDED)
SCRATCH = {"from scratch, 1 % smallest": "smallest", "from scratch, 1 % random": "random"}


def rows_of(task):
    """Names of the table rows for a task."""
    if task.noise:
        return NOISY
    return SHORT if task.short else (*ROWS, *SCRATCH)


class TestAccuracy(Callback):
    """Accuracy on the test samples after every ``every`` epochs."""

    def __init__(self, X, y, every):
        self.X = torch.as_tensor(X)
        self.y = torch.as_tensor(y)
        self.every = every

    def on_train_begin(self, net, **kwargs):
        self.accuracy_ = []
        self.epochs_ = 0

    def on_epoch_end(self, net, **kwargs):
        self.epochs_ += 1
        if self.epochs_ % self.every:
            return
        net._set_training(False)
        with torch.no_grad():
            correct = [
                (net.module_(x).argmax(1) == y).float()
                for x, y in zip(self.X.split(256), self.y.split(256), strict=True)
            ]
        self.accuracy_.append(torch.cat(correct).mean().item())


def separate(task, seed, X, y):
    """A network that is trained until it separates the samples, and how that went."""
    selector = MarginSubsetSelector(task.estimator(seed), noise_guard=True)
    return continuing.separate(selector, X, y, None)


def continue_training(separated, settings, seed, data):
    """Result of the selector with ``settings``, starting from a separated network."""
    X, y, X_test, y_test, mislabelled = data
    settings, times = dict(settings), 1
    size = separated.run.net.batch_size
    if settings.pop("steps", False):
        n_steps = [-(-round(share * len(y)) // size) for share in (1.0, 0.01)]
        times = round(n_steps[0] / n_steps[1])
        settings = {"continue_epochs": EPOCHS * times, "reselect_every": times, **settings}

    if settings.get("continue_lr") == "as before":
        settings["continue_lr"] = separated.run.lr

    def remembered(selector, *data):
        copied = copy.deepcopy(separated)
        copied.run.net.callbacks_.append(("test", test))
        if selector.noise_guard:
            return copied
        return copied._replace(candidates=np.ones(len(copied.rows), dtype=bool))

    test = TestAccuracy(X_test, y_test, times)
    selector = MarginSubsetSelector(
        MarginClassifier(),
        **{"continue_epochs": EPOCHS, "random_state": seed, **CONSTANT, **settings},
    )
    # Training to separation is the same for every row.
    with mock.patch("margin_sklearn.subsets.continuing.separate", remembered):
        selector.fit(X, y)
    history = selector.history_[selector.history_["phase"] == "continuing"]
    seconds, suspects = history["seconds"], selector.suspects_
    if settings.get("n_samples_to_select") == 1.0:
        # Continuing on all samples needs no scores.
        seconds = seconds - history["scoring_seconds"]
    n_batches = np.ceil(history["n_samples"] / size)
    return {
        "test": np.mean(selector.predict(X_test) == y_test),
        "train": np.mean(selector.margins_ > 0),
        "gradients": int(history["n_samples"].sum()),
        "steps": int(n_batches.sum()),
        "scored": int(history["n_scored"].sum()),
        "seconds": seconds.sum(),
        "rolled_back": int(history["rolled_back"].sum()),
        "precision": (mislabelled & suspects).sum() / max(1, suspects.sum()),
        "recall": (mislabelled & suspects).sum() / max(1, mislabelled.sum()),
        "curve": " ".join(f"{value:.4f}" for value in getattr(test, "accuracy_", [])),
        "clock": " ".join(f"{value:.3f}" for value in seconds.cumsum()[times - 1 :: times]),
    }


def from_scratch(separated, strategy, task, seed, data):
    """Result of a new network of the same kind, trained on the 1 % selected at separation."""
    X, y, X_test, y_test, _ = data
    selector = MarginSubsetSelector(
        separated.estimator, strategy=strategy, prefit=True, random_state=seed
    )
    X, y = selector.fit_resample(X, y)
    start = time.perf_counter()
    classifier = task.estimator(seed).set_params(max_epochs=SCRATCH_EPOCHS).fit(X, y)
    return {
        "test": classifier.score(X_test, y_test),
        "gradients": SCRATCH_EPOCHS * len(y),
        "steps": SCRATCH_EPOCHS * -(-len(y) // classifier.batch_size),
        "scored": 0,
        "seconds": time.perf_counter() - start,
        "rolled_back": 0,
    }


def run(task, seed, done, save):
    """Compute all rows of a task and seed that are not in the CSV file yet."""
    wanted = [row for row in rows_of(task) if (task.name, seed, row) not in done]
    if not wanted:
        return
    data = task.load(seed)
    start = time.perf_counter()
    separated = separate(task, seed, *data[:2])
    common = {
        "task": task.name,
        "seed": seed,
        "separated": separated.estimator.separated_,
        "separation_epochs": separated.estimator.n_iter_,
        "separation_seconds": time.perf_counter() - start,
    }
    for row in wanted:
        if row in SCRATCH:
            result = from_scratch(separated, SCRATCH[row], task, seed, data)
        else:
            result = continue_training(separated, {**ROWS, **GUARDED}[row], seed, data)
        save({**common, "row": row, **result})
        print(task.name, seed, row, f"{result['test']:.4f}", flush=True)


def report(results, folder):
    """Print the tables and write those for the documentation into ``folder``."""
    order = [task.name for task in TASKS if task.name in set(results["task"])]
    names = [*ROWS, *GUARDED, *SCRATCH]
    results["place"] = results["row"].map(names.index)
    results = results.set_index("task").sort_values("place").loc[order].reset_index()
    has_noise = results["task"].str.contains("noise")
    clean, noise = results[~has_noise], results[has_noise]
    tables = {"prune_verdict": verdict, "prune_rows": summary}
    for name, table in tables.items():
        frame = table(clean)
        print(frame.to_string(), end="\n\n")
        frame.to_csv(folder / f"{name}.csv")
    for task in pd.unique(clean["task"]):
        print(f"{task}\n{each_task(clean, task).to_string()}\n")
    if len(noise):
        print(noisy(noise).to_string())
        noisy(noise).to_csv(folder / "prune_noise.csv")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    names = [task.name for task in TASKS]
    parser.add_argument("--tasks", nargs="+", default=names, choices=names, metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--csv", type=Path, default=RESULTS / "prune.csv")
    parser.add_argument("--table", action="store_true", help="only print the tables")
    options = parser.parse_args()
    if not options.table:
        fit_all(options)
    report(pd.read_csv(options.csv), options.csv.parent)


def fit_all(options):
    """Run everything that is not in the CSV file yet."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", NotSeparatedWarning)
    known = pd.read_csv(options.csv) if options.csv.exists() else pd.DataFrame()
    done = set(map(tuple, known[["task", "seed", "row"]].to_numpy())) if len(known) else set()

    def save(result):
        frame = pd.DataFrame([result]).reindex(columns=list(COLUMNS))
        new = not options.csv.exists()
        frame.to_csv(options.csv, mode="a", header=new, index=False, float_format="%.5g")

    for seed in options.seeds:
        for task in TASKS:
            if task.name in options.tasks:
                run(task, seed, done, save)


COLUMNS = (
    "task",
    "seed",
    "separated",
    "separation_epochs",
    "separation_seconds",
    "row",
    "test",
    "train",
    "gradients",
    "steps",
    "scored",
    "seconds",
    "rolled_back",
    "precision",
    "recall",
    "curve",
    "clock",
)


if __name__ == "__main__":
    main()
