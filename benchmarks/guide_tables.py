"""Cut the tables of the user guide, which fit its column, out of the results.

    python benchmarks/guide_tables.py

The results keep every row and column; a table of the guide has those that its page discusses.
"""

from pathlib import Path

import pandas as pd

RESULTS = Path(__file__).parent / "results"
TABLES = Path(__file__).parents[1] / "docs" / "tables"

RANK = [
    "τ",
    "τ − τ of CV5, 95 %",
    "top 60 %",
    "regret",
    "worst",
    "best of 5",
    "CPU time / cv5",
]
TASKS = {
    "letter 15000 MLP": "letter",
    "optdigits 4000 MLP": "optdigits",
    "fashion_mnist 10000 MLP": "fashion 10k",
    "fashion_mnist 10000 ConvNet": "fashion 10k, conv",
    "cifar10_12k 10000 MLP": "cifar",
    "cifar10_12k 10000 ConvNet": "cifar, conv",
    "fashion_mnist 60000 MLP": "fashion 60k",
    "fashion_mnist 60000 ConvNet": "fashion 60k, conv",
}
METHODS = {
    "LabelErrorDetector": "detector",
    "LabelErrorDetector, 4 networks": "4 networks",
    "cleanlab, our network": "cleanlab, our network",
    "cleanlab, LogisticRegression": "cleanlab, logistic",
    "cleanlab, HistGradientBoosting": "cleanlab, boosting",
}


def read(name):
    """A table of the results, as text, with its first column as the index."""
    return pd.read_csv(RESULTS / f"{name}.csv", dtype=str, index_col=0).fillna("")


def ranking(name):
    """Every score but 3-fold cross-validation, which was run with one seed only."""
    table = read(name)[RANK].drop(index="3-fold cross-validation (one seed)")
    return table.rename(columns={RANK[1]: "τ − τ of CV5", "CPU time / cv5": "time"})


def without_spread(table):
    """Means only, of cells such as ``97.67 ± 0.22``."""
    return table.apply(lambda column: column.str.split(" ± ").str[0])


def decimals(table, digits):
    """Numbers with ``digits`` digits after the point; empty cells stay empty."""
    return table.map(lambda cell: f"{float(cell):.{digits}f}" if cell else "")


def of_pruning():
    """The tables of the page on pruning, by name."""
    rows, tasks, verdict = map(
        read, ("prune_defaults_rows", "prune_defaults_tasks", "prune_verdict")
    )
    noise = read("prune_noise").rename(
        columns={
            "stop at separation": "stop",
            "1 % smallest, noise guard": "1 %, noise guard",
        }
    )
    noise.index = noise.index.str.replace(" 10000| 4000| 15000", "", regex=True)
    noise.index = noise.index.str.replace(" MLP noise ", ", ").str.replace("%", " %")
    spread = pd.read_csv(RESULTS / "after_separation_spread.csv", dtype=str)
    defaults = ["stop", "all", "all, averaged", "1 %", "1 %, random", "1 % throughout"]
    costs = ["test", "lost", "most", "kept", "time, MLP", "time, ConvNet", "gradients"]
    return {
        "prune_defaults": decimals(rows[costs], 2).assign(kept=decimals(rows[["kept"]], 0)),
        "prune_defaults_tasks": decimals(tasks.T[defaults], 2).rename_axis("task"),
        "prune_accuracy": verdict[["stop", "all", "1 %", "over stopping", "over all"]],
        "prune_costs": verdict[["gain kept", "random", "gradients", "time", "all scored"]],
        "prune_rows": without_spread(read("prune_rows")).rename(columns=TASKS),
        "prune_noise": noise[
            [
                "stop",
                "all, lr / 5",
                "1 % smallest",
                "1 %, noise guard",
                "suspects that are wrong",
            ]
        ],
        "margins_spread": spread.set_index("data")[
            ["batch norm", "weight decay", "10", "100", "1000"]
        ],
    }


def of_labels():
    """The tables of the page on wrong labels, by name."""
    methods = read("label_errors_methods")
    found = ["precision", "recall", "F1", "F1, tuned on", "F1, others", "AP"]
    after = ["time", "gain", "worst gain", "false alarms", "most"]
    tables = {
        "labels_found": decimals(methods[found], 1),
        "labels_after": decimals(methods[after], 2),
    }
    for name in ("datasets", "clean"):
        table = read(f"label_errors_{name}").rename(index=METHODS)
        tables[f"labels_{name}"] = table.T.rename_axis("data set")
    return tables


def tables():
    """All tables of the guide, by name."""
    copies = read("rank_copies_kinds")
    keep = [c for c in copies.columns if c != "regret, training accuracy"]
    return {
        "rank": ranking("rank_tasks_not_tuned_on"),
        "rank_convnets": ranking("rank_tasks_not_tuned_on_convnets"),
        "rank_copies": copies[[c for c in keep if "worst regret" not in c]],
        **of_pruning(),
        **of_labels(),
    }


if __name__ == "__main__":
    TABLES.mkdir(exist_ok=True)
    for name, table in tables().items():
        table.to_csv(TABLES / f"{name}.csv")
