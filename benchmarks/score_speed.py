"""CPU time of scores: the first beside an epoch of fit, later ones beside a forward pass.

    MARGIN_SKLEARN_DATA=... python benchmarks/score_speed.py [--repeats 9] [--case small image]

Everything runs in one process with one CPU thread.

*The first score* of ``margin_auc_score`` is measured with an empty cache, in seconds and in
epochs of the fit (a fit of five epochs, divided by five). Below it is the first score of a
network fitted with ``restore_best="margin_auc"``: it finds the perturbed samples that the fit
computed, if it costs no more than a later score.

*After the first*: the time of a score, divided by the time of one forward pass of the module
over the samples that are scored: without gradients, in the same chunks, of tensors that are
ready. ``margin_auc_score`` evaluates two or more perturbed samples per sample. Each repeat
runs both one after the other and gives one ratio. Printed: the median, smallest and largest
ratio, and the largest that is wanted. A fixed cost of about a millisecond per call is most of
the time for the *small* network. ``margin_auc_score`` also recognises the data by their
content, all rows of them: the last lines compare that with reading the data (their sum).
"""

import argparse
import time
import warnings

import numpy as np
import torch
from datasets import load_dataset
from threadpoolctl import threadpool_limits

from margin_sklearn import (
    MLP,
    ConvNet,
    LocalityWarning,
    MarginClassifier,
    make_margin_auc_scorer,
    margin_auc_score,
)
from margin_sklearn.adapters import as_network
from margin_sklearn.neighborhoods import clear_cache
from margin_sklearn.neighborhoods.fingerprint import content_digest

# Data set, rows (None: all), module and its settings.
CASES = {
    "small": ("letter", 2_000, MLP, {"hidden_layer_sizes": (64, 64)}),
    "table": ("letter", 20_000, MLP, {"hidden_layer_sizes": (256, 128)}),
    "wide": ("fashion_mnist", 2_000, MLP, {"hidden_layer_sizes": (256, 128)}),
    "large": ("fashion_mnist", 10_000, MLP, {"hidden_layer_sizes": (256, 128)}),
    "image": ("digits", None, ConvNet, {"channels": (16, 32)}),
}
# Scorers, and the largest ratio that is wanted of each.
SCORES = {
    "raw margins": (make_margin_auc_scorer(None, max_samples=None), 1.3),
    "frobenius": (make_margin_auc_scorer("frobenius", max_samples=None), 2.0),
    "spectral": (make_margin_auc_scorer("spectral", max_samples=None), 2.0),
    "path": (make_margin_auc_scorer("path", max_samples=None), 2.0),
    "distance, at samples": (make_margin_auc_scorer("distance", max_samples=None), 3.5),
    "margin_auc_score": (margin_auc_score, 8.0),
}
N_EPOCHS = 5
# Calls are repeated until they take this long together, in seconds.
SHORTEST = 0.1


def make_case(name):
    """X, y and an unfitted network."""
    dataset, n, module, settings = CASES[name]
    X, y = load_dataset(dataset)
    rows = np.random.default_rng(0).permutation(len(X))[:n]
    X, y = X[rows].astype(np.float64), y[rows]
    X = (X - X.mean(axis=0)) / np.maximum(X.std(axis=0), 0.1 * X.std())
    X = X.reshape(-1, 8, 8) if name == "image" else X.reshape(len(X), -1)
    nested = {f"module__{key}": value for key, value in settings.items()}
    network = MarginClassifier(
        module, batch_size=128, max_epochs=N_EPOCHS, device="cpu", random_state=0, **nested
    )
    return X, y, network


def seconds(function, times=1):
    """CPU time of one of several calls."""
    start = time.process_time()
    for _ in range(times):
        function()
    return (time.process_time() - start) / times


def enough(function):
    """Number of calls that take long enough to be measured; the first one warms up."""
    function()
    return max(1, round(SHORTEST / max(seconds(function), 1e-4)))


def forward_pass(model, X):
    """A function that runs the module over all rows of X, in the chunks of a score."""
    network = as_network(model)
    x = network.inputs(X)
    chunks = network.in_chunks(lambda x, _: None, x.__getitem__, len(x), x[0].numel())
    parts = [x[chunk] for chunk, _ in chunks]
    module = network.module.eval()

    def run():
        with torch.no_grad():
            for part in parts:
                module(part)

    return run


def shown(values):
    return f"{np.median(values):6.2f} [{min(values):.2f}, {max(values):.2f}]"


def first_scores(X, y, network, repeats):
    """Print what the first score costs, alone and after a fit with restore_best."""
    best = MarginClassifier(**network.get_params()).set_params(restore_best="margin_auc")
    first, epochs, after, shared = [], [], [], []
    for _ in range(repeats):
        epoch = seconds(lambda: network.fit(X, y)) / N_EPOCHS
        clear_cache()
        first.append(seconds(lambda: margin_auc_score(network, X, y)))
        epochs.append(first[-1] / epoch)
        later = seconds(lambda: margin_auc_score(network, X, y))
        after.append(first[-1] / later)
        clear_cache()
        best.fit(X, y)
        shared.append(seconds(lambda: margin_auc_score(best, X, y)) / later)
    print(f"    the first score, s              {shown(first)}")
    print(f"    ... / an epoch of fit           {shown(epochs)}")
    print(f"    ... / a later score             {shown(after)}")
    print(f"    after restore_best / a later    {shown(shared)}")


def later_scores(X, y, network, repeats):
    """Print the ratios of scores to one forward pass."""
    for name, (scorer, target) in SCORES.items():
        n = min(len(X), scorer.max_samples or len(X))
        forward = forward_pass(network, X[:n])

        def score(scorer=scorer):
            return scorer(network, X, y)

        n_forward, n_score = enough(forward), enough(score)
        ratios = []
        for _ in range(repeats):
            before = seconds(forward, n_forward)
            own = seconds(score, n_score)
            ratios.append(own / ((before + seconds(forward, n_forward)) / 2))
        print(
            f"    {name:22s} {n:6,} rows {shown(ratios)}, at most {target}, "
            f"forward {before * 1e3:.2f} ms",
            flush=True,
        )


def recognising(X, repeats):
    """Print the time of the hash of X, relative to the sum of X."""
    ratios = []
    for _ in range(repeats):
        content_digest(X)
        ratios.append(seconds(lambda: content_digest(X), 5) / seconds(X.sum, 5))
    print(f"    hash of X / sum of X               {shown(ratios)}, {X.nbytes / 1e6:.1f} MB")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--case", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument(
        "--later-only", action="store_true", help="only scores after the first"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    threadpool_limits(1)
    # 7 % of letter's rows are copies of others.
    warnings.simplefilter("ignore", LocalityWarning)
    print(f"torch {torch.__version__}, CPU time of one thread: median [min, max]\n")
    for case in options.case:
        X, y, network = make_case(case)
        sizes = " ".join(f"{key} {value}" for key, value in CASES[case][3].items())
        print(f"({case}) {CASES[case][0]}, {' x '.join(map(str, X.shape))}, {sizes}")
        network.fit(X, y)
        if not options.later_only:
            first_scores(X, y, network, min(3, options.repeats))
        later_scores(X, y, network, options.repeats)
        recognising(X, options.repeats)


if __name__ == "__main__":
    main()
