"""What remains of continuing with all samples when it is done with ever fewer of them?

    MARGIN_SKLEARN_DATA=... python benchmarks/prune_defaults.py [--tasks NAME ...]
        [--seeds 0 1 ...] [--jobs 2]
    python benchmarks/prune_defaults.py --table      # only print the tables again

Each task trains a network until 99.5 % of its training samples are correctly classified (SGD:
all of them), once per seed; from there every row of the table continues for ten epochs. The
networks are MarginClassifier's own (MLP, AdamW, no dropout), the same with dropout 0.2, and
SGD with momentum as in ``prune.py``. "lost" is the test accuracy below that of continuing with
all samples ("all"), in points, "kept" the share of its gain over stopping, on the tasks where
that is at least .3 points, "time" relative to it, everything counted.

Rows: "1 %" is MarginSubsetSelector as it comes: from a fifth of the samples in the first epoch
to 1 % in the last, those nearest to the boundary, with averaged weights. The controls have the
same averaging unless said otherwise; "random" shrinks in the same way, with new random samples
each epoch; "all, 1 epoch" takes all samples once, which is as many gradients; "from scratch"
trains a new network on the selected 1 %.

Finished rows are kept in ``results/prune_defaults.csv``.
"""

import argparse
import copy
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from prune import Task
from threadpoolctl import threadpool_limits

from margin_sklearn import (
    ConvNet,
    MarginClassifier,
    MarginSubsetSelector,
    NotSeparatedWarning,
)
from margin_sklearn.subsets import continuing

RESULTS = Path(__file__).parent / "results"
EPOCHS = 10


@dataclass(frozen=True)
class DefaultTask:
    """A data set and a network; ``settings`` differ from MarginClassifier's defaults."""

    data: str
    n: int
    network: str = "MLP"
    settings: dict = field(default_factory=dict)

    @property
    def name(self):
        return f"{self.data} {self.n} {self.network}"

    @property
    def separation(self):
        return 1.0 if "SGD" in self.network else 0.995

    def load(self, seed):
        """X, y, X_test, y_test; standardised."""
        return Task(self.data, self.n, "MLP").load(seed)[:4]

    def estimator(self, seed):
        if "SGD" in self.network:
            kind = self.network.removesuffix(", SGD")
            return Task(self.data, self.n, kind).estimator(seed)
        return MarginClassifier(**self.settings, random_state=seed, device="cpu")


DROPOUT = {"module__dropout": 0.2}
CONVNET = {"module": ConvNet, "module__channels": (16, 32)}
TASKS = (
    DefaultTask("letter", 15_000),
    DefaultTask("optdigits", 4_000),
    DefaultTask("satimage", 4_500),
    DefaultTask("covtype", 10_000),
    DefaultTask("fashion_mnist", 10_000),
    DefaultTask("fashion_mnist", 60_000),
    DefaultTask("letter", 15_000, "MLP, dropout", DROPOUT),
    DefaultTask("fashion_mnist", 10_000, "MLP, dropout", DROPOUT),
    DefaultTask("fashion_mnist", 10_000, "ConvNet", CONVNET),
    DefaultTask(
        "cifar10_12k", 10_000, "ConvNet", {**CONVNET, "module__channels": (16, 32, 32)}
    ),
    DefaultTask("letter", 15_000, "MLP, SGD"),
    DefaultTask("fashion_mnist", 10_000, "MLP, SGD"),
)
ALL = {"n_samples_to_select": 1.0, "freeze_batch_norm": False, "score_share": 0.01}
ROWS = {
    "stop": {"continue_epochs": 0},
    "all": {**ALL, "average_weights": False},
    "all, averaged": ALL,
    "all, 1 epoch": {**ALL, "continue_epochs": 1},
    "0.5 %": {"n_samples_to_select": 0.005},
    "1 %": {},
    "2 %": {"n_samples_to_select": 0.02},
    "5 %": {"n_samples_to_select": 0.05},
    "10 %": {"n_samples_to_select": 0.1},
    "1 %, not averaged": {"average_weights": False},
    "1 % throughout": {"initial_share": 0.01},
    "1 % throughout, not averaged": {"initial_share": 0.01, "average_weights": False},
    "1 %, random": {"strategy": "random_each_epoch"},
}
SHARES = {"0.5 %": 0.5, "1 %": 1, "2 %": 2, "5 %": 5, "10 %": 10, "all, averaged": 100}


def run(task, seed, rows, csv):
    """Compute rows of a task and seed, and add them to the file."""
    torch.set_num_threads(1)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotSeparatedWarning)
        X, y, X_test, y_test = task.load(seed)
        estimator = task.estimator(seed)
        start = time.process_time()
        selector = MarginSubsetSelector(estimator, separation=task.separation)
        separated = continuing.separate(selector, X, y, None)
        common = {
            "task": task.name,
            "seed": seed,
            "separated": separated.run.separation.separated_,
            "separation_epochs": separated.run.n_epochs,
            "separation_seconds": time.process_time() - start,
        }
        for row in rows:
            settings = {"continue_epochs": EPOCHS, **ROWS.get(row, {})}
            selector = MarginSubsetSelector(
                estimator, separation=task.separation, random_state=seed, **settings
            )
            # Training to separation is the same for every row.
            copied = copy.deepcopy(separated)
            with mock.patch.object(continuing, "separate", return_value=copied):
                start = time.process_time()
                selector.fit(X, y)
                seconds = time.process_time() - start
            history = selector.history_[selector.history_["phase"] == "continuing"]
            save(
                csv,
                {
                    **common,
                    "row": row,
                    "test": 100 * np.mean(selector.predict(X_test) == y_test),
                    "gradients": history["n_samples"].sum() / len(y),
                    "rolled_back": int(history["rolled_back"].sum()),
                    "seconds": seconds,
                },
            )
            if row == "1 %":
                chosen = selector.sample_indices_
                fresh = task.estimator(seed).fit(X[chosen], y[chosen])
                score = 100 * fresh.score(X_test, y_test)
                save(csv, {**common, "row": "1 %, from scratch", "test": score})
    print(task.name, seed, flush=True)


def save(csv, result):
    columns = ["task", "seed", "separated", "separation_epochs", "separation_seconds", "row"]
    columns += ["test", "gradients", "rolled_back", "seconds"]
    frame = pd.DataFrame([result]).reindex(columns=columns)
    frame.to_csv(csv, mode="a", header=not csv.exists(), index=False, float_format="%.5g")


def tables(results):
    """What is lost, kept and saved; tasks that do not separate are listed, not counted."""
    share = results.groupby("task", sort=False)["separated"].mean()
    yield "separated", "Seeds that reach separation", share.to_frame("share")
    results = results[results["task"].isin(share[share == 1].index)]
    keys = ["task", "seed"]
    of = {row: part.set_index(keys) for row, part in results.groupby("row", sort=False)}
    every, stop = of["all"], of["stop"]
    gain = (every["test"] - stop["test"]).groupby("task", sort=False).mean()
    gains = gain[gain >= 0.3].index
    rows = {}
    for row, part in of.items():
        lost = (every["test"] - part["test"]).groupby("task", sort=False).mean()
        above = (part["test"] - stop["test"]).groupby("task", sort=False).mean()
        ratio = (part["seconds"] / every["seconds"]).groupby("task", sort=False).median()
        conv = ratio.index.str.contains("ConvNet")
        rows[row] = {
            "test": part["test"].groupby("task").mean().mean(),
            "lost": lost.mean(),
            "most": lost.max(),
            "gain over stop": above.mean(),
            "kept": np.nan
            if "scratch" in row
            else 100 * above[gains].sum() / gain[gains].sum(),
            "time, MLP": ratio[~conv].mean(),
            "most, MLP": ratio[~conv].max(),
            "time, ConvNet": ratio[conv].max(),
            "gradients": part["gradients"].mean(),
            "rolled back": part["rolled_back"].mean(),
        }
    yield "rows", "Means over the tasks", pd.DataFrame(rows).T
    shown = results.pivot_table(index="row", columns="task", values="test", sort=False)
    yield "tasks", "Test accuracy in %", shown
    spread = {
        row: (every["test"] - part["test"]).groupby("task").std() for row, part in of.items()
    }
    yield (
        "spread",
        "Standard deviation of what is lost, over the seeds",
        pd.DataFrame(spread).T,
    )


def draw(results, path):
    """The price of a share: accuracy above stopping against the share, one line per task."""
    from matplotlib.figure import Figure

    separated = results.groupby("task")["separated"].transform("min").astype(bool)
    means = results[separated].pivot_table(
        index="task", columns="row", values="test", sort=False
    )
    seconds = results[separated].pivot_table(index="task", columns="row", values="seconds")
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    labels = [f"{share:g} %" for share in SHARES.values()]
    for task in means.index:
        gain = [means.loc[task, row] - means.loc[task, "stop"] for row in SHARES]
        left.plot(labels, gain, "o-", color="tab:blue", alpha=0.35)
        cost = [seconds.loc[task, row] / seconds.loc[task, "all"] for row in SHARES]
        right.plot(labels, cost, "o-", color="tab:blue", alpha=0.35)
    mean = [(means[row] - means["stop"]).mean() for row in SHARES]
    left.plot(labels, mean, "o-", color="black", label="mean over the tasks")
    left.axhline(0, color="gray", linewidth=0.8)
    cost = [(seconds[row] / seconds["all"]).mean() for row in SHARES]
    right.plot(labels, cost, "o-", color="black", label="mean over the tasks")
    left.set(xlabel="share of the samples in the end", ylabel="points above stopping")
    right.set(xlabel="share of the samples in the end", ylabel="time, of all samples'")
    right.set_ylim(0)
    left.legend()
    figure.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    names = [task.name for task in TASKS]
    parser.add_argument("--tasks", nargs="+", default=names, choices=names, metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--csv", type=Path, default=RESULTS / "prune_defaults.csv")
    parser.add_argument("--table", action="store_true", help="only print the tables")
    options = parser.parse_args()
    if not options.table:
        known = pd.read_csv(options.csv) if options.csv.exists() else None
        done = (
            set()
            if known is None
            else set(known[["task", "seed", "row"]].itertuples(index=False, name=None))
        )
        work = []
        for seed in options.seeds:
            for task in TASKS:
                rows = [row for row in ROWS if (task.name, seed, row) not in done]
                if task.name in options.tasks and rows:
                    work.append(delayed(run)(task, seed, rows, options.csv))
        Parallel(n_jobs=options.jobs)(work)
    results = pd.read_csv(options.csv)
    pd.set_option("display.width", 250, "display.max_columns", 30)
    for name, title, table in tables(results):
        print(f"\n{title}\n\n{table.round(2).to_string()}")
        # For the guide.
        table.round(2).to_csv(options.csv.with_name(f"{options.csv.stem}_{name}.csv"))
    draw(results, options.csv.with_suffix(".png"))


if __name__ == "__main__":
    main()
