"""Tasks: a data set, a treatment of its labels, and a kind of network.

Half of the data sets are for choosing definitions and constants (``tuning=True``); the other
half was evaluated only afterwards. digits is for tuning, but it is a part of optdigits and its
rows cannot be identified there. The optdigits tasks are therefore of kinds (images, heavy
noise, unbalanced classes) that the digits tasks are not.
"""

from dataclasses import dataclass, replace

import numpy as np
from datasets import load_dataset
from sklearn.compose import make_column_transformer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

__all__ = ["COPY_TASKS", "CYCLE_TASKS", "TASKS", "Task"]

N_TEST = 3000
# Columns of adult that hold category codes.
CATEGORIES = {"adult": [1, 3, 5, 6, 7, 8, 9, 13]}


@dataclass(frozen=True)
class Task:
    """One data set with one kind of labels and of networks.

    Attributes
    ----------
    dataset : str
    labels : {"clean", "unbalanced", "uniform", "conditional"}
        "uniform": a share of the training labels is replaced by random classes;
        "conditional": a share of the labels of each class is replaced by the next class;
        "unbalanced": the class sizes decrease geometrically to a twentieth of the first class,
        in training and test data, and a share of the training labels may be replaced as well.
    share : float
        Share of the labels that are replaced.
    copies : str or None
        How training rows are repeated, with their labels: "twice"; "bootstrap" (1.4 n draws
        of n with replacement); "oversampled" (every class as large as the largest, by drawing
        rows again); "jitter0.05" (each row once more, with noise of 0.05 standard deviations
        of each column); "repeated0.05" (five noisy measurements of each row).
    kind : {"mlp", "convnet", "cycle"}
        "cycle": MLPs that are trained along one cycle of learning rates, some of them with
        numerical embeddings.
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
    copies: str | None = None

    @property
    def name(self):
        """Name of the task in tables and file names."""
        labels = self.labels + (f"{100 * self.share:.0f}" if self.share else "")
        name = f"{self.dataset}-{labels}" + ("" if self.kind == "mlp" else f"-{self.kind}")
        return name if self.copies is None else f"{name}-{self.copies}"

    def load(self, seed):
        """X, y, X_test, y_test of one split; only the training labels are noisy."""
        X, y = load_dataset(self.dataset)
        y = np.unique(y, return_inverse=True)[1]
        rng = np.random.default_rng(seed)
        if self.dataset == "cifar10_12k":
            # Means of 2 x 2 pixels, so that fitting a network takes a second.
            X = X.reshape(-1, 3, 16, 2, 16, 2).mean(axis=(3, 5))
        if self.labels == "unbalanced":
            counts = np.bincount(y)
            share = 20.0 ** -(np.arange(len(counts)) / (len(counts) - 1))
            kept = rng.random(len(y)) < share[y] * counts.min() / counts[y]
            X, y = X[kept], y[kept]
        # Leave out classes too rare to be in every split (shuttle has one with 10 rows).
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
        if self.share and self.labels != "conditional":
            y = np.where(flipped, rng.integers(classes, size=len(y)), y)
        elif self.labels == "conditional":
            y = np.where(flipped, (y + 1) % classes, y)
        if self.dataset == "optdigits" and self.kind == "convnet":
            X, X_test = X.reshape(-1, 8, 8), X_test.reshape(-1, 8, 8)
        if self.copies is not None:
            row = self.rows_copied(X, y, seed)
            X, y = self._jittered(X, row, seed), y[row]
        return X, y, X_test, y_test

    def rows_copied(self, X, y, seed):
        """Row index in X of the row that each row of the result duplicates."""
        rng = np.random.default_rng([seed, 1])
        everything = np.arange(len(y))
        if self.copies == "bootstrap":
            return rng.integers(len(y), size=round(1.4 * len(y)))
        if self.copies == "oversampled":
            counts = np.bincount(y)
            again = [
                rng.choice(np.flatnonzero(y == label), counts.max() - count)
                for label, count in enumerate(counts)
                if count
            ]
            return np.concatenate([everything, *again])
        return np.tile(everything, 5 if self.copies.startswith("repeated") else 2)

    def _jittered(self, X, row, seed):
        size = self.copies.removeprefix("jitter").removeprefix("repeated")
        if size == self.copies:
            return X[row]
        noise = np.random.default_rng([seed, 2]).standard_normal((len(row), *X.shape[1:]))
        if self.copies.startswith("jitter"):
            noise[: len(X)] = 0
        return X[row] + float(size) * X.std(axis=0) * noise

    def distinct(self, seed):
        """Choices of one row index per group of duplicates in ``load``, and the group sizes.

        One choice is enough for exact duplicates. For near duplicates, the first choice takes
        the first member of each group, the second choice the second member, and so on.
        """
        X, y, _, _ = replace(self, copies=None).load(seed)
        row = self.rows_copied(X, y, seed)
        _, first, counts = np.unique(row, return_index=True, return_counts=True)
        exact = not self.copies.startswith(("jitter", "repeated"))
        n_choices = 1 if exact else len(row) // len(first)
        return [first + choice * len(first) for choice in range(n_choices)], counts

    def preprocessing(self):
        """Transformer before the network in the Pipeline of each candidate."""
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

# The defaults of MarginClassifier: do the conclusions hold for networks trained so?
CYCLE_TASKS = [
    Task("digits", tuning=True, kind="cycle"),
    Task("magic", "uniform", 0.2, tuning=True, kind="cycle"),
    Task("satimage", "uniform", 0.4, tuning=True, kind="cycle"),
    Task("optdigits", "uniform", 0.4, kind="cycle"),
    Task("spambase", "uniform", 0.2, kind="cycle"),
    Task("covtype", "uniform", 0.1, kind="cycle"),
]

# Each network is scored on all rows, and on one row per group of duplicates.
COPY_TASKS = [
    Task(dataset, labels, 0.2, n=n, tuning=dataset in ("satimage", "magic"), copies=copies)
    for copies, labels, n in (
        ("twice", "uniform", 500),
        ("bootstrap", "uniform", 500),
        ("oversampled", "unbalanced", 500),
        ("jitter0.001", "uniform", 500),
        ("jitter0.05", "uniform", 500),
        ("repeated0.05", "uniform", 200),
    )
    for dataset in ("satimage", "magic", "optdigits", "covtype")
]
