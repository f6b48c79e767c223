import gzip

import numpy as np
import pytest

from benchmarks.datasets import DATASETS, load_dataset


def test_bundled_data_need_no_folder(monkeypatch):
    monkeypatch.delenv("MARGIN_SKLEARN_DATA", raising=False)
    shapes = {"iris": (150, 4), "wine": (178, 13), "breast_cancer": (569, 30)}
    for name, shape in shapes.items():
        X, y = load_dataset(name)
        assert X.shape == shape
        assert len(X) == len(y)


def test_unknown_names_raise():
    with pytest.raises(ValueError, match="'mnist'.*digits"):
        load_dataset("mnist")


def test_files_are_read_from_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MARGIN_SKLEARN_DATA", str(tmp_path))
    for folder in ("pmlb", "covtype_20k", "fashion_mnist", "cifar10_12k"):
        (tmp_path / folder).mkdir()
    with gzip.open(tmp_path / "pmlb" / "letter.tsv.gz", "wt") as file:
        file.write("a\ttarget\tb\n1\t7\t2\n3\t8\t4\n")
    X, y = load_dataset("letter")
    assert X.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert y.tolist() == [7, 8]

    with gzip.open(tmp_path / "covtype_20k" / "covtype.20k.data.gz", "wt") as file:
        file.write("1,2,3\n4,5,6\n")
    X, y = load_dataset("covtype")
    assert X.tolist() == [[1.0, 2.0], [4.0, 5.0]]
    assert y.tolist() == [3, 6]

    for part, n in (("train", 2), ("t10k", 1)):
        images, labels = bytes(16 + 784 * n), bytes([0] * 8 + [5] * n)
        folder = tmp_path / "fashion_mnist"
        with gzip.open(folder / f"{part}-images-idx3-ubyte.gz", "wb") as file:
            file.write(images)
        with gzip.open(folder / f"{part}-labels-idx1-ubyte.gz", "wb") as file:
            file.write(labels)
    X, y = load_dataset("fashion_mnist")
    assert X.shape == (3, 28, 28)
    assert y.tolist() == [5, 5, 5]

    X = np.zeros((2, 3, 32, 32), np.uint8)
    np.savez(
        tmp_path / "cifar10_12k" / "cifar10_12k.npz",
        X_train=X, y_train=[1, 2], X_test=X, y_test=[3, 4],
    )  # fmt: skip
    X, y = load_dataset("cifar10_12k")
    assert X.shape == (4, 3, 32, 32)
    assert y.tolist() == [1, 2, 3, 4]
    assert set(DATASETS) >= {"letter", "covtype", "fashion_mnist", "cifar10_12k"}


def test_a_missing_file_raises(tmp_path, monkeypatch):
    monkeypatch.setenv("MARGIN_SKLEARN_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError):
        load_dataset("magic")
