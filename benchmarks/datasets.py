"""Data sets that the examples and benchmarks use, by name.

Those bundled with scikit-learn need nothing. The others are read from the folder named by
the environment variable ``MARGIN_SKLEARN_DATA`` (files as their sources publish them:
``pmlb/NAME.tsv.gz``, ``covtype_20k/covtype.20k.data.gz``, ``fashion_mnist/*.gz``,
``cifar10_12k/cifar10_12k.npz``) or, where there is none, fetched from OpenML.
"""

import gzip
import os
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn import datasets as sklearn_datasets

__all__ = ["DATASETS", "load_dataset"]

_BUNDLED = {
    "breast_cancer": sklearn_datasets.load_breast_cancer,
    "digits": sklearn_datasets.load_digits,
    "iris": sklearn_datasets.load_iris,
    "wine": sklearn_datasets.load_wine,
}
_PMLB = ("adult", "letter", "magic", "optdigits", "satimage", "shuttle", "spambase")
# name on OpenML, version
_OPENML = {
    "adult": ("adult", 2),
    "cifar10_12k": ("CIFAR_10_small", 1),
    "covtype": ("covertype", 3),
    "fashion_mnist": ("Fashion-MNIST", 1),
    "letter": ("letter", 1),
    "magic": ("MagicTelescope", 1),
    "optdigits": ("optdigits", 1),
    "satimage": ("satimage", 1),
    "shuttle": ("shuttle", 1),
    "spambase": ("spambase", 1),
}
DATASETS = tuple(sorted({*_BUNDLED, *_OPENML}))


def load_dataset(name):
    """X and y of a data set.

    Parameters
    ----------
    name : str
        One of ``DATASETS``.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features) or (n_samples, [channels,] height, width)
        float64 for tables, uint8 for images.
    y : ndarray of shape (n_samples,)
        Labels as the source has them.

    Raises
    ------
    ValueError
        If the name is unknown.
    FileNotFoundError
        If ``MARGIN_SKLEARN_DATA`` is set but does not hold the file.

    Examples
    --------
    >>> from benchmarks.datasets import load_dataset
    >>> X, y = load_dataset("digits")
    >>> X.shape, len(set(y))
    ((1797, 64), 10)
    """
    if name in _BUNDLED:
        return _BUNDLED[name](return_X_y=True)
    if name not in _OPENML:
        raise ValueError(f"Unknown data set {name!r}; known are {DATASETS}.")
    home = os.environ.get("MARGIN_SKLEARN_DATA")
    if not home:
        return _from_openml(name)
    return _from_folder(name, Path(home))


def _from_folder(name, home):
    if name in _PMLB:
        frame = pd.read_csv(home / "pmlb" / f"{name}.tsv.gz", sep="\t")
        return frame.drop(columns="target").to_numpy(np.float64), frame["target"].to_numpy()
    if name == "covtype":
        # The first 15,120 rows are balanced between the classes, the others are not.
        table = pd.read_csv(
            home / "covtype_20k" / "covtype.20k.data.gz", header=None, nrows=15_120
        ).to_numpy()
        return table[:, :-1].astype(np.float64), table[:, -1].astype(int)
    if name == "cifar10_12k":
        with np.load(home / "cifar10_12k" / "cifar10_12k.npz") as arrays:
            X = np.concatenate([arrays["X_train"], arrays["X_test"]])
            return X, np.concatenate([arrays["y_train"], arrays["y_test"]]).astype(int)
    parts = []
    for part in ("train", "t10k"):
        with gzip.open(home / "fashion_mnist" / f"{part}-images-idx3-ubyte.gz") as file:
            X = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
        with gzip.open(home / "fashion_mnist" / f"{part}-labels-idx1-ubyte.gz") as file:
            parts.append((X, np.frombuffer(file.read(), np.uint8, offset=8).astype(int)))
    return np.concatenate([X for X, _ in parts]), np.concatenate([y for _, y in parts])


def _from_openml(name):
    openml_name, version = _OPENML[name]
    bunch = sklearn_datasets.fetch_openml(openml_name, version=version, as_frame=True)
    y = bunch.target.to_numpy()
    X = bunch.data
    if name == "fashion_mnist":
        return X.to_numpy(np.uint8).reshape(-1, 28, 28), y
    if name == "cifar10_12k":
        return X.to_numpy(np.uint8).reshape(-1, 3, 32, 32), y
    for column in X.columns[
        X.dtypes.map(lambda dtype: not pd.api.types.is_numeric_dtype(dtype))
    ]:
        X[column] = pd.factorize(X[column])[0]
    return X.to_numpy(np.float64), y
