"""What share of training comes after separation, and do margins then become equal?

    MARGIN_SKLEARN_DATA=... python benchmarks/after_separation.py [--seeds 0 1 2]

First table: in an ordinary run (``MarginClassifier()`` after a StandardScaler, at most 3,000
samples, 20 and 200 epochs), the share of epochs after the one that separates the training
samples: the largest share that can be saved. Second table: the coefficient of variation
(standard deviation divided by mean) of the training margins during long training with SGD,
with and without batch norm and weight decay. It does not change if all margins are multiplied
by one factor, and it tends to 0 as they become equal.
"""

import argparse
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from datasets import load_dataset
from joblib import Parallel, delayed
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

from margin_sklearn import MarginClassifier, margins

RESULTS = Path(__file__).parent / "results"
ORDINARY = (
    "digits",
    "wine",
    "breast_cancer",
    "iris",
    "optdigits",
    "satimage",
    "letter",
    "spambase",
    "covtype",
    "fashion_mnist",
)
LONG = ("digits", "letter", "fashion_mnist")
EPOCHS = (10, 30, 100, 300, 1000)


def load(name, n, seed):
    """Standardised X as a table, and y, of at most ``n`` samples."""
    X, y = load_dataset(name)
    rows = np.random.default_rng(seed).permutation(len(X))[:n]
    return StandardScaler().fit_transform(X[rows].reshape(len(rows), -1)), y[rows]


def share_after(name, seed, epochs):
    """Share of the epochs after separation; 0 if there is none."""
    X, y = load(name, 3000, seed)
    network = MarginClassifier(max_epochs=epochs, random_state=seed, device="cpu").fit(X, y)
    last = network.separation_epoch_ or epochs
    return {"data": name, "epochs": epochs, "seed": seed, "after": 1 - last / epochs}


class Spread(Callback):
    """Coefficient of variation of the margins after the epochs ``EPOCHS``."""

    def on_train_begin(self, net, **kwargs):
        self.rows_ = []

    def on_epoch_end(self, net, dataset_train=None, **kwargs):
        if len(net.history) in EPOCHS:
            net._set_training(False)
            with torch.no_grad():
                logits = net.module_(dataset_train.X)
            own = logits.gather(1, dataset_train.y[:, None])[:, 0]
            rest = logits.scatter(1, dataset_train.y[:, None], -torch.inf).amax(1)
            values = (own - rest).double().numpy()
            self.rows_.append((len(net.history), values.std() / values.mean()))


def spread(name, seed, batch_norm, weight_decay):
    """One row per epoch of ``EPOCHS`` in one long training."""
    X, y = load(name, 1000, seed)
    network = MarginClassifier(
        module__hidden_layer_sizes=(128, 128),
        module__dropout=0.0,
        module__batch_norm=batch_norm,
        module__embeddings=None,
        criterion="cross_entropy",
        optimizer="sgd",
        optimizer__momentum=0.9,
        lr=0.01,
        lr_schedule="constant",
        batch_size=64,
        weight_decay=weight_decay,
        max_epochs=EPOCHS[-1],
        callbacks=[("spread", Spread())],
        random_state=seed,
        device="cpu",
    ).fit(X, y)
    rows = dict(network.net_.callbacks_)["spread"].rows_
    assert np.isclose(rows[-1][1], np.std(m := margins(network, X, y)) / np.mean(m), rtol=1e-3)
    return [
        {
            "data": name,
            "batch norm": batch_norm,
            "weight decay": weight_decay,
            "seed": seed,
            "epoch": epoch,
            "variation": value,
            "separated": network.separation_epoch_ is not None,
        }
        for epoch, value in rows
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--tables", nargs="+", default=["share", "spread"])
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the CSV files")
    options = parser.parse_args()
    torch.set_num_threads(1)
    work = Parallel(n_jobs=options.jobs)
    if "share" in options.tables:
        share_table(work, options)
    if "spread" in options.tables:
        spread_table(work, options)


def share_table(work, options):
    """Print and write the first table."""
    after = pd.DataFrame(
        work(
            delayed(share_after)(name, seed, epochs)
            for name in ORDINARY
            for seed in options.seeds
            for epochs in (20, 200)
        )
    )
    table = (after.pivot_table("after", "data", "epochs") * 100).round(0).astype(int)
    table.columns = [f"{epochs} epochs" for epochs in table.columns]
    print("Share of epochs after separation in an ordinary run, mean over seeds, in %")
    print(table.to_string())
    table.to_csv(options.out / "after_separation_share.csv")


def spread_table(work, options):
    """Print and write the second table."""
    parts = work(
        delayed(spread)(name, seed, *setting)
        for name in LONG
        for seed in options.seeds
        for setting in product((True, False), (0.0, 5e-4))
    )
    long = pd.DataFrame([row for part in parts for row in part])
    table = long.pivot_table(
        "variation",
        ["data", "batch norm", "weight decay"],
        "epoch",
        aggfunc=lambda values: f"{values.mean():.2f} ± {values.std():.2f}",
    )
    print("\nCoefficient of variation of the training margins, mean ± sd over seeds")
    print(table.to_string())
    print("separated:", f"{long.groupby(['data', 'seed'])['separated'].all().mean():.0%}")
    table.to_csv(options.out / "after_separation_spread.csv")


if __name__ == "__main__":
    main()
