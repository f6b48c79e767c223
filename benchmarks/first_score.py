"""CPU time and memory of the first score on a data set, beside two epochs of the fit.

Each case runs in a process of its own: the first ``margin_auc_score`` of a network on samples
that nothing was scored on before. Linux only.

    python benchmarks/first_score.py [--cases letter tall]
"""

import argparse
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import scipy.sparse
import torch
from datasets import load_dataset
from sklearn.datasets import make_classification
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from margin_sklearn import MarginClassifier, margin_auc_score

HIDDEN = (256, 128)


def table(name, n):
    X, y = load_dataset(name)
    some = np.random.default_rng(0).permutation(len(X))[:n]
    X = StandardScaler().fit_transform(X.reshape(len(X), -1)[some])
    return X.astype(np.float32), y[some]


def tall(n, dtype=np.float32):
    X, y = make_classification(
        n, 50, n_informative=20, n_redundant=10, n_classes=5, random_state=0
    )
    return X.astype(dtype), y


def dense(n, width):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 20)) @ rng.normal(size=(20, width)) + rng.normal(size=(n, width))
    return X.astype(np.float32), rng.integers(0, 2, n)


def sparse(n, width, share=0.002):
    rng = np.random.default_rng(0)
    X = scipy.sparse.random_array((n, width), density=share, random_state=rng, format="csr")
    return X.astype(np.float32), rng.integers(0, 2, n)


def texts(n):
    rng = np.random.default_rng(0)
    words = np.array([f"w{i}" for i in range(5000)])
    chance = 1 / np.arange(1, 5001)
    lines = [" ".join(rng.choice(words, 80, p=chance / chance.sum())) for _ in range(n)]
    return HashingVectorizer().fit_transform(lines), rng.integers(0, 2, n)


CASES = {
    "letter": lambda: table("letter", 5000),
    "fashion_mnist": lambda: table("fashion_mnist", 3000),
    "tall-50k": lambda: tall(50_000),
    "tall-50k-float64": lambda: tall(50_000, np.float64),
    "tall-100k": lambda: tall(100_000),
    "tall-1m": lambda: tall(1_000_000),
    "tall-1m-float64": lambda: tall(1_000_000, np.float64),
    "dense-200x20000": lambda: dense(200, 20_000),
    "dense-2000x20000": lambda: dense(2000, 20_000),
    "sparse-1000x50000": lambda: sparse(1000, 50_000),
    "texts-300": lambda: texts(300),
}


def megabytes(field):
    """``VmRSS``, the current memory, or ``VmHWM``, its peak since the last reset."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status has no {field}: this needs Linux.")


def cpu(function):
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


def measure(name):
    torch.set_num_threads(1)
    # What is imported or set up on first use.
    warm = np.random.default_rng(0).normal(size=(60, 3)), np.arange(60) % 2
    margin_auc_score(MarginClassifier(max_epochs=1).fit(*warm), *warm)
    X, y = CASES[name]()
    two = np.nan
    if scipy.sparse.issparse(X):
        # A network of so many columns would be larger than everything measured here.
        model = LogisticRegression(max_iter=5).fit(X, y)
    else:
        model = MarginClassifier(
            module__hidden_layer_sizes=HIDDEN, batch_size=128, max_epochs=1, random_state=0
        )
        two = 2 * min(cpu(lambda: model.fit(X, y))[0] for _ in range(2 if len(y) < 2e5 else 1))
    # The fit's own peak would hide that of the score.
    Path("/proc/self/clear_refs").write_text("5")
    before = megabytes("VmRSS")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        first, _ = cpu(lambda: margin_auc_score(model, X, y))
    more = megabytes("VmHWM") - before
    second, _ = cpu(lambda: margin_auc_score(model, X, y))
    print(
        f"{name:20} {X.shape!s:18} first {first:6.2f} s  next {second:5.2f} s  "
        f"two epochs {two:6.2f} s  memory {more:6.0f} MB  "
        + "; ".join(f"{one.category.__name__}: {str(one.message)[:40]}" for one in told),
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="*", default=list(CASES), help="prefixes of names")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        warnings.simplefilter("ignore")
        measure(options.one)
        return
    for name in CASES:
        if any(name.startswith(prefix) for prefix in options.cases):
            subprocess.run([sys.executable, __file__, "--one", name], check=False)


if __name__ == "__main__":
    main()
