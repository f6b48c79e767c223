"""How the score changes if neighbors are looked for among some of the rows only.

    python benchmarks/search_rows.py [--most 10000 5000 2500]

Sixteen MLPs per data set, with 10 % wrong labels, are scored with neighbors among all rows and
among at most so many, each with four random states. Printed are the agreement of the rankings
(Kendall's tau) and the largest difference of two scores, both beside those of scores among all
rows with other random states, which choose other samples; tau with the test accuracy; and the
distance to the nearest neighbor, corrected, as a share of that among all rows.
"""

import argparse
import itertools
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from datasets import load_dataset
from scipy.stats import kendalltau
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from margin_sklearn.adapters.registry import as_network
from margin_sklearn.neighborhoods import clear_cache, perturbed
from margin_sklearn.scoring.distribution import DEFAULT, margin_distribution

NAMES = ("adult", "covtype", "letter", "magic", "shuttle")
SEEDS = range(4)
ALL = 10**9


def candidates(name):
    """Training samples, MLPs fitted on 6,000 of them, and their test accuracies."""
    X, y = load_dataset(name)
    y = np.unique(y, return_inverse=True)[1]
    order = np.random.default_rng(0).permutation(len(y))
    train, test = order[:-4000], order[-4000:]
    scaler = StandardScaler().fit(X[train])
    known, unseen = (scaler.transform(X[part]).astype(np.float32) for part in (train, test))
    rng = np.random.default_rng(1)
    wrong = rng.random(len(train)) < 0.1
    n_classes = y.max() + 1
    labels = np.where(
        wrong, (y[train] + rng.integers(1, n_classes, len(train))) % n_classes, y[train]
    )
    grid = itertools.product(
        ((32,), (256,)), (1e-5, 1.0), ((1e-3, 12), (3e-3, 12), (1e-2, 12), (3e-3, 40))
    )
    models = [
        MLPClassifier(
            hidden,
            alpha=alpha,
            learning_rate_init=rate,
            max_iter=epochs,
            batch_size=128,
            random_state=at,
        ).fit(known[:6000], labels[:6000])
        for at, (hidden, alpha, (rate, epochs)) in enumerate(grid)
    ]
    return known, labels, models, [model.score(unseen, y[test]) for model in models]


def scored(X, y, models, most, seed):
    perturbed.MOST_ROWS = most
    perturbed.MOST_PRODUCTS = perturbed.N_ANCHORS * most * X.shape[1]
    clear_cache()
    settings = replace(DEFAULT, random_state=seed)
    networks = [as_network(model) for model in models]
    scores = [margin_distribution(one, X, y, None, settings).auc() for one in networks]
    points = perturbed.pseudo_points(networks[0], X, y, settings.max_samples, seed)
    return np.array(scores), points.neighborhood.distance


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", nargs="*", default=NAMES)
    parser.add_argument("--most", nargs="*", type=int, default=[10_000, 5000, 2500])
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for name in options.data:
        X, y, models, accuracy = candidates(name)
        found = {
            most: [scored(X, y, models, most, seed) for seed in SEEDS]
            for most in (ALL, *options.most)
        }
        rows = []
        for most, results in found.items():
            pairs = [
                (one[0], other[0])
                for (i, one), (j, other) in itertools.product(
                    enumerate(results), enumerate(found[ALL])
                )
                if i < j or (i != j and most != ALL)
            ]
            rows.append(
                {
                    "rows": "all" if most == ALL else most,
                    "tau with all": np.mean([kendalltau(*pair)[0] for pair in pairs]),
                    "largest change": np.mean([np.abs(a - b).max() for a, b in pairs]),
                    "tau with accuracy": np.mean(
                        [kendalltau(scores, accuracy)[0] for scores, _ in results]
                    ),
                    "distance": np.mean(
                        [a[1] / b[1] for a, b in zip(results, found[ALL], strict=True)]
                    ),
                }
            )
        print(f"{name} {X.shape}")
        print(pd.DataFrame(rows).round(3).to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
