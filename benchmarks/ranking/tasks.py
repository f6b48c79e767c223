"""Tasks: a data set, what was done to its labels, and a kind of network.

Half of the data sets are for choosing definitions and constants (``tuning=True``), the other
half was looked at only afterwards. digits is a part of optdigits, so they are in one half
only: digits for tuning, and of optdigits the rows that are not in digits cannot be told apart,
which is why its tasks are of kinds (images, heavy noise, unbalanced) that digits has not.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.compose import make_column_transformer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from margin_sklearn.datasets import load_dataset

__all__ = ["TASKS", "Task"]

N_TEST = 3000
# Columns of adult whose numbers are codes.
CATEGORIES = {"adult": [1, 3, 5, 6, 7, 8, 9, 13]}


@dataclass(frozen=True)
class Task:
    """One data set with one kind of labels and of networks.

    Attributes
    ----------
    dataset : str
    labels : {"clean", "unbalanced", "uniform", "conditional"}
        "uniform": a share of the training labels replaced at random, by any class;
        "conditional": a share of each class called the next class; "unbalanced": the last
        class has a twentieth of the training samples of the first, geometrically between,
        in the test data too.
    share : float
        Of the labels that are replaced.
    kind : {"mlp", "convnet"}
    n : int
        Training samples.
    tuning : bool
        Whether definitions and constants were chosen with it.
    """

    dataset: str
    labels: str = "clean"
    share: float = 0.0
    kind: str = "mlp"
    n: int = 600
    tuning: bool = False

    @property
    def name(self):
        """A name to show and to keep results under."""
        labels = self.labels + (f"{100 * self.share:.0f}" if self.share else "")
        return f"{self.dataset}-{labels}" + ("-convnet" if self.kind == "convnet" else "")

    def load(self, seed):
        """X, y, X_test, y_test of one split; only the training labels are noisy."""
        X, y = load_dataset(self.dataset)
        y = np.unique(y, return_inverse=True)[1]
        rng = np.random.default_rng(seed)
        if self.dataset == "cifar10_12k":
            # Means of 2 x 2 pixels, so that networks are fitted in a second.
            X = X.reshape(-1, 3, 16, 2, 16, 2).mean(axis=(3, 5))
        if self.labels == "unbalanced":
            counts = np.bincount(y)
            share = 20.0 ** -(np.arange(len(counts)) / (len(counts) - 1))
            kept = rng.random(len(y)) < share[y] * counts.min() / counts[y]
            X, y = X[kept], y[kept]
        # Classes too rare to be in every split are left out (shuttle has one of 10 rows).
        frequent = np.bincount(y)[y] * self.n >= 4 * len(y)
        X, y = X[frequent], np.unique(y[frequent], return_inverse=True)[1]
        X, X_test, y, y_test = train_test_split(
            X,
            y,
            train_size=self.n,
            test_size=min(N_TEST, len(y) - self.n),
            stratify=y,
            random_state=seed,
        )
        classes = y.max() + 1
        flipped = rng.random(len(y)) < self.share
        if self.labels == "uniform":
            y = np.where(flipped, rng.integers(classes, size=len(y)), y)
        elif self.labels == "conditional":
            y = np.where(flipped, (y + 1) % classes, y)
        if self.dataset == "optdigits" and self.kind == "convnet":
            X, X_test = X.reshape(-1, 8, 8), X_test.reshape(-1, 8, 8)
        return X, y, X_test, y_test

    def preprocessing(self):
        """What stands before the network in the Pipeline of each candidate."""
        if self.dataset in ("fashion_mnist", "cifar10_12k"):
            return FunctionTransformer(_centred, kw_args={"largest": 255})
        if self.kind == "convnet":
            return FunctionTransformer(_centred, kw_args={"largest": 16})
        if self.dataset in CATEGORIES:
            columns = CATEGORIES[self.dataset]
            encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
            return make_column_transformer(
                (encoder, columns), remainder=StandardScaler(), verbose_feature_names_out=False
            )
        return StandardScaler()


def _centred(X, largest):
    return (X / largest - 0.5) * 4


TASKS = [
    Task("digits", tuning=True),
    Task("digits", "conditional", 0.2, tuning=True),
    Task("satimage", tuning=True),
    Task("satimage", "uniform", 0.4, tuning=True),
    Task("letter", "uniform", 0.1, n=1000, tuning=True),
    Task("magic", tuning=True),
    Task("magic", "uniform", 0.2, tuning=True),
    Task("fashion_mnist", tuning=True),
    Task("fashion_mnist", "uniform", 0.2, tuning=True),
    Task("adult", tuning=True),
    Task("fashion_mnist", kind="convnet", tuning=True),
    Task("fashion_mnist", "uniform", 0.2, kind="convnet", tuning=True),
    Task("optdigits", "unbalanced"),
    Task("optdigits", "uniform", 0.4),
    Task("spambase"),
    Task("spambase", "uniform", 0.2),
    Task("covtype", n=2000),
    Task("covtype", "uniform", 0.1),
    Task("covtype", "unbalanced"),
    Task("shuttle", "conditional", 0.2),
    Task("breast_cancer", "uniform", 0.2, n=300),
    Task("cifar10_12k"),
    Task("optdigits", kind="convnet"),
    Task("optdigits", "uniform", 0.2, kind="convnet"),
    Task("cifar10_12k", kind="convnet"),
    Task("cifar10_12k", "uniform", 0.2, kind="convnet"),
]
