"""What stacking saves on a GPU: a search of many candidates, one by one and together.

    python benchmarks/gpu_search.py [--device cuda] [--one-by-one 16] [--repeats 3]
        [--epochs 20]

1,024 of scikit-learn's digits, 20 epochs of 16 steps, candidates of one architecture with
learning rates, weight decays and seeds of their own. For each number of candidates and size of
network, in seconds: ordinary fits and their scores by margin-AUC (of 16 candidates, times n /
16); stacked training, one operation after another ("eager") and with recorded steps; the
stacked scores; and MarginSearchCV(shortlist=None) as a whole. "Begin" is what comes before the
training of all candidates: checks, weights, optimizers; ordinary fits contain it. The ratios
compare with the ordinary fits alone, without their scores. A stacked fit and a score were made
before. Medians and ranges of the repeats, and mean test accuracy (on the other digits) of the
candidates that were fitted one by one.
"""

import argparse
import time
import warnings

import numpy as np
import pandas as pd
import torch

from margin_sklearn import MarginClassifier, MarginSearchCV, margin_auc_score
from margin_sklearn.classifier.together import Fit, fit_together
from margin_sklearn.scoring.together import scores_together
from margin_sklearn.training import stacked, stacked_steps
from margin_sklearn.training.stack_size import bytes_of_one

CASES = [(128, (64, 64)), (512, (64, 64)), (1024, (32, 32)), (128, (256, 128))]


def digits():
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    X, y = (X[order] / 16).astype(np.float32), y[order]
    return X[:1024], y[:1024], X[1024:], y[1024:]


def candidates(n, hidden, options):
    rates = np.geomspace(1e-3, 3e-2, n // 4)
    return [
        MarginClassifier(
            module__hidden_layer_sizes=hidden,
            lr=float(rates[k // 4]),
            weight_decay=[0.0, 0.01, 0.03, 0.1][k % 4],
            max_epochs=options.epochs,
            batch_size=64,
            random_state=k,
            device=options.device,
        )
        for k in range(n)
    ]


class Clock:
    """Time of single functions, which wait for the device."""

    def __init__(self, device):
        self.cuda = device.startswith("cuda")
        self.seconds = {}

    def timed(self, name, function):
        def call(*args, **kwargs):
            self.wait()
            start = time.perf_counter()
            found = function(*args, **kwargs)
            self.wait()
            spent = time.perf_counter() - start
            self.seconds[name] = self.seconds.get(name, 0.0) + spent
            return found

        return call

    def wait(self):
        if self.cuda:
            torch.cuda.synchronize()


def eager(stack, optimizer, criterion, data, starts, epochs):
    return stacked_steps.StackedSteps(stack, optimizer, criterion, data, starts)


def accuracy(models, X, y):
    return 100 * np.mean([model.score(X, y) for model in models])


def measure(n, hidden, options, data):
    X, y, X_test, y_test = data
    clock = Clock(options.device)
    some = slice(0, None, n // options.one_by_one)
    few = candidates(n, hidden, options)[some]
    share = n / len(few)
    clock.timed("fits", lambda: [model.fit(X, y) for model in few])()
    clock.timed("scores", lambda: [margin_auc_score(model, X, y) for model in few])()
    row = {
        "one by one, fits": share * clock.seconds["fits"],
        "scores": share * clock.seconds["scores"],
        "accuracy": accuracy(few, X_test, y_test),
    }
    recorded, fit = stacked.steps_for, stacked.StackedTraining.fit
    for name, steps in (("eager", eager), ("recorded", recorded)):
        stacked.steps_for = steps
        clock = Clock(options.device)
        if clock.cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        stacked.StackedTraining.fit = clock.timed("training", fit)
        try:
            models = candidates(n, hidden, options)
            found = clock.timed(
                "all", lambda models=models: fit_together([Fit(m, X, y) for m in models])
            )()
        finally:
            stacked.steps_for, stacked.StackedTraining.fit = recorded, fit
        assert found[0].n_together == n, found[0]
        if clock.cuda:
            row[f"{name}, peak MB"] = torch.cuda.max_memory_reserved() / 2**20
        row[f"{name}, training"] = clock.seconds["training"]
        row[f"{name}, accuracy"] = accuracy(models[some], X_test, y_test)
    row["begin"] = clock.seconds["all"] - clock.seconds["training"]
    net = models[0].net_
    x = torch.from_numpy(X[:1]).to(net.device)
    row["estimated MB"] = n * bytes_of_one(net.module_.eval(), x, len(X), 64, 10) / 2**20
    clock.timed("stacked", lambda: scores_together(margin_auc_score, models, X, y))()
    row["stacked scores"] = clock.seconds["stacked"]
    settings = [
        {"lr": [each.lr], "weight_decay": [each.weight_decay], "random_state": [k]}
        for k, each in enumerate(models)
    ]
    search = MarginSearchCV(models[0], settings, shortlist=None)
    clock.timed("search", lambda: search.fit(X, y))()
    row["MarginSearchCV"] = clock.seconds["search"]
    row["vote, accuracy"] = 100 * search.score(X_test, y_test)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--one-by-one", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--cases", type=int, nargs="+", default=range(len(CASES)))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    card = torch.cuda.get_device_name() if options.device.startswith("cuda") else "CPU"
    print(f"{card}, torch {torch.__version__}, {options.epochs} epochs of 16 steps")
    data = digits()
    for case in options.cases:
        n, hidden = CASES[case]
        few = candidates(n, hidden, options)[:4]
        fit_together([Fit(model, *data[:2]) for model in few])
        margin_auc_score(few[0], *data[:2])
        rows = pd.DataFrame(
            [measure(n, hidden, options, data) for _ in range(options.repeats)]
        )
        table = pd.DataFrame(
            {"median": rows.median(), "least": rows.min(), "most": rows.max()}
        )
        fits, training = rows["one by one, fits"], rows["recorded, training"]
        ratios = pd.DataFrame(
            {
                "over training and scores": fits / (training + rows["stacked scores"]),
                "over begin, training and scores": fits
                / (rows["begin"] + training + rows["stacked scores"]),
                "over the whole search": fits / rows["MarginSearchCV"],
            }
        )
        print(f"\n{n} candidates of {'-'.join(map(str, hidden))}\n")
        print(table.round(3).to_string())
        print(ratios.describe().loc[["50%", "min", "max"]].T.round(1).to_string(), flush=True)


if __name__ == "__main__":
    main()
