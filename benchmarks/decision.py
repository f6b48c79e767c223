"""How a search should decide: which candidates to cross-validate, their order, and the vote.

    MARGIN_SKLEARN_DATA=... python benchmarks/decision.py [--csv results/rank.csv]
        [--cache FOLDER]

Reads the results of ``benchmarks/rank.py``: margin-AUC, 5-fold cross-validated and test
accuracy of 96 candidates on each of 26 tasks. From random pools of them (60 of 24 and of 48,
and all 96) each rule chooses one candidate. Printed is its regret: the best test accuracy of
the pool minus that of the choice, in points, the mean over the tasks of each group. A rule is
the size of the shortlist, those with the highest margin-AUC, and the weight of margin-AUC in
its final order beside cross-validation, both standardised over the shortlist. The rule of
``MarginSearchCV`` was chosen on the tasks that margin-AUC was tuned on.

With ``--cache``, the folder in which ``rank.py`` keeps the networks, also the test accuracy of
a soft vote of the networks that a rule places first, minus that of the one network chosen by
5-fold cross-validation.
"""

import argparse
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from ranking.tasks import TASKS

from margin_sklearn.model_selection.decision import n_voters, shortlist_size

RESULTS = Path(__file__).parent / "results"
SIZES = {
    "root of N": shortlist_size,
    "quarter": lambda n: max(5, -(-n // 4)),
    "half": lambda n: max(5, -(-n // 2)),
    "all": lambda n: n,
}
WEIGHTS = (0.0, 0.15, 0.3, 0.5)
POOLS = {24: 60, 48: 60, 96: 1}


def standardised(values):
    return (values - values.mean()) / (values.std() or 1.0)


def order(margin, cv, size, weight):
    """Indices of the candidates, the first choice first."""
    by_margin = np.argsort(-margin, kind="stable")
    top, rest = by_margin[:size], by_margin[size:]
    if not size:
        return by_margin
    total = (1 - weight) * standardised(cv[top]) + weight * standardised(margin[top])
    return np.concatenate([top[np.argsort(-total, kind="stable")], rest])


def rules(n):
    """(name, size of the shortlist, weight of margin-AUC in its order, fits per candidate)."""
    yield "5-fold cross-validation of all", n, 0.0, 5.0
    yield "margin-AUC alone", 0, 1.0, 1.0
    for name, size in SIZES.items():
        for weight in WEIGHTS:
            if (name, weight) != ("all", 0.0):
                yield f"{name}, weight {weight}", size(n), weight, 1 + 5 * size(n) / n


def probabilities(folder, tasks, seed, results):
    """Test probabilities of the cached networks of a task, in the order of its results."""
    task = tasks[results["task"].iloc[0]]
    _, _, X_test, y_test = task.load(seed)
    found = []
    for candidate in results["candidate"]:
        network = joblib.load(folder / f"{task.name}-{seed}" / f"{candidate:03d}.joblib")
        found.append(network["network"].predict_proba(X_test).astype(np.float32))
    classes = network["network"].classes_
    return np.stack(found), np.searchsorted(classes, y_test)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--csv", type=Path, default=RESULTS / "rank.csv")
    parser.add_argument("--cache", type=Path, default=None)
    options = parser.parse_args()
    results = pd.read_csv(options.csv).dropna(subset=["margin_auc_score", "cv5", "test"])
    tasks = {task.name: task for task in TASKS}
    regret, votes = [], []
    for (name, seed), of_task in results.groupby(["task", "seed"]):
        group = "tuned on" if tasks[name].tuning else "not tuned on"
        probability = None
        if options.cache:
            probability, labels = probabilities(options.cache, tasks, seed, of_task)
        rng = np.random.default_rng(seed)
        for n, repeats in POOLS.items():
            for _ in range(repeats):
                pool = rng.permutation(len(of_task))[:n]
                margin, cv, test = (
                    100 * of_task[column].to_numpy()[pool]
                    for column in ("margin_auc_score", "cv5", "test")
                )
                by_cv = test[order(margin, cv, len(pool), 0.0)[0]]
                for rule, size, weight, fits in rules(len(pool)):
                    ranked = order(margin, cv, size, weight)
                    key = {"task": name, "group": group, "pool": n, "rule": rule}
                    regret.append(key | {"fits": fits, "regret": test.max() - test[ranked[0]]})
                    if probability is None or weight not in (0.0, 0.3, 1.0):
                        continue
                    chosen = pool[ranked[: n_voters(len(pool))]]
                    answer = probability[chosen].mean(axis=0).argmax(axis=1)
                    gain = 100 * (answer == labels).mean() - by_cv
                    votes.append(key | {"gain": gain})
        print(name, seed, flush=True)
    pd.set_option("display.width", 200, "display.max_rows", 200)
    shown = table(pd.DataFrame(regret), "regret")
    fits = pd.DataFrame(regret).query("pool == 24").groupby("rule", sort=False)["fits"].mean()
    shown.insert(0, ("fits", 24), fits)
    print("\nRegret in points, mean over the tasks of each group\n")
    print(shown.round(2).to_string())
    if votes:
        print("\nVote of the root of N: test accuracy above the choice by cross-validation\n")
        print(table(pd.DataFrame(votes), "gain").round(2).to_string())


def table(rows, value):
    by_task = rows.groupby(["rule", "pool", "group", "task"], sort=False)[value].mean()
    return by_task.reset_index().pivot_table(
        index="rule", columns=["group", "pool"], values=value, sort=False
    )


if __name__ == "__main__":
    main()
