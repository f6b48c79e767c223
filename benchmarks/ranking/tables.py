"""From one row per candidate to one row per score: how well it ranks, what it costs."""

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from .scores import SCORES, VALIDATION
from .tasks import CYCLE_TASKS, TASKS
from .zoo import N_CANDIDATES

__all__ = [
    "by_hyperparameter",
    "by_task",
    "copies_by_task",
    "for_docs",
    "for_docs_copies",
    "summary",
    "task_table",
]

N_FITS = {"cv5": 5, "cv3": 3, "holdout": 1}
# Numbers of top candidates by margin_auc_score among which cross-validation chooses.
SHORTLISTS = (5, 10)
N_BOOTSTRAP = 10_000


def by_task(results):
    """One row for each task, seed and score.

    Columns: ``tau`` (Kendall's tau-b of score and test accuracy over the candidates),
    ``top`` (the same among the 60 % of candidates with the best test accuracy), ``regret``
    (best test accuracy minus that of the candidate with the highest score, in points; the mean
    over ties), ``regret5`` (the same for the best of the five highest scores), ``seconds``.
    """
    rows = []
    results = results.copy()
    # This variant reuses the margins of margin_auc_score, so their cost is added.
    weighted = "neighborhood, noise_weight"
    results[f"seconds {weighted}"] += results["seconds margin_auc_score"]
    # A score that was not computed for all tasks has no mean over them.
    fitted = results[results["test"].notna()]
    scores = [name for name in SCORES if name in fitted and fitted[name].notna().all()]
    for (task, seed), part in results.groupby(["task", "seed"]):
        part = part[part["test"].notna()].copy()
        for size in SHORTLISTS:
            part[f"shortlist {size}"] = _shortlist(part, size)
        accuracy = part["test"].to_numpy()
        good = accuracy >= np.quantile(accuracy, 0.4)
        validated = [name for name in VALIDATION if name in part]
        for score in (*scores, *validated, *(f"shortlist {size}" for size in SHORTLISTS)):
            value = part[score].to_numpy(dtype=float)
            if np.isnan(value).any():
                continue
            first = value == value.max()
            five = np.argsort(-value, kind="stable")[:5]
            validation = score in VALIDATION
            if score.startswith("shortlist"):
                # One fit per candidate, five more per shortlisted candidate.
                base, size = "margin_auc_score", int(score.split()[1])
                part[f"seconds {score}"] = part[f"seconds {base}"] + part["seconds_cv5"] * (
                    size / len(part)
                )
            seconds = (
                part[f"seconds_{score}"]
                if score in ("cv5", "cv3")
                else (
                    part["seconds_cv5"] / 5
                    if validation
                    else part["seconds_fit"] + part[f"seconds {score}"]
                )
            )
            rows.append(
                {
                    "task": task,
                    "seed": seed,
                    "score": score,
                    "tau": _tau(value, accuracy),
                    "top": _tau(value[good], accuracy[good]),
                    "regret": 100 * (accuracy.max() - accuracy[first].mean()),
                    "regret5": 100 * (accuracy.max() - accuracy[five].max()),
                    "seconds": seconds.sum(),
                    "locality": part["locality"].all(),
                }
            )
    frame = pd.DataFrame(rows)
    tasks = {task.name: task for task in (*TASKS, *CYCLE_TASKS)}
    frame["tuning"] = frame["task"].map(lambda name: tasks[name].tuning)
    frame["kind"] = frame["task"].map(lambda name: tasks[name].kind)
    return frame


def summary(frame, seed=0):
    """One row per score: means over tasks (seeds averaged first), intervals against cv5."""
    by_seed = frame.pivot_table(
        index=["task", "seed"], columns="score", values=["tau", "regret"]
    )
    seconds = frame.pivot_table(index=["task", "seed"], columns="score", values="seconds")
    cost = seconds.div(seconds["cv5"], axis=0).mean()
    rows = []
    for score in (*VALIDATION, *(f"shortlist {size}" for size in SHORTLISTS), *SCORES):
        own = frame[frame["score"] == score].groupby("task").mean(numeric_only=True)
        if own.empty:
            continue
        # Compared with cv5 on the same seeds: not every score has all seeds.
        low, high = _interval(by_seed["tau"], score, seed)
        regret_low, regret_high = _interval(by_seed["regret"], score, seed)
        rows.append(
            {
                "score": score,
                "tau": own["tau"].mean(),
                "worst tau": own["tau"].min(),
                "against cv5": f"[{low:+.3f}, {high:+.3f}]",
                "top 60 %": own["top"].mean(),
                "regret": own["regret"].mean(),
                "worst": own["regret"].max(),
                "regret, against cv5": f"[{regret_low:+.2f}, {regret_high:+.2f}]",
                "best of 5": own["regret5"].mean(),
                "fits": _fits(score),
                "CPU time / cv5": cost[score],
            }
        )
    return pd.DataFrame(rows).set_index("score")


NAMES = {
    "cv5": "5-fold cross-validation",
    "cv3": "3-fold cross-validation (one seed)",
    "holdout": "one hold-out of 20 %",
    "shortlist 5": "margin_auc_score, then 5-fold CV of its best 5",
    "shortlist 10": "margin_auc_score, then 5-fold CV of its best 10",
    "margin_auc_score": "**margin_auc_score**",
    "neighborhood, noise_weight": "the same, noise_weight=True",
    "max_samples=200": "the same, max_samples=200",
    "distance at samples": "distance at the samples, ±0.5 δ",
    "frobenius": "margin / ∏ Frobenius norms",
    "spectral": "margin / ∏ spectral norms",
    "path": "margin / path norm",
    "total_variation": "hidden-layer margins / total variation",
    "training accuracy": "training accuracy",
    "training loss": "training loss",
    "norms: frobenius": "∏ Frobenius norms alone",
    "norms: spectral": "∏ spectral norms alone",
    "heavy tail": "heavy-tail exponent (WeightWatcher-style)",
}


def for_docs(table):
    """The summary with rounded numbers and readable names."""
    shown = pd.DataFrame({"score": [NAMES[score] for score in table.index]})
    for name, digits in (
        ("tau", 2), ("worst tau", 2), ("top 60 %", 2), ("regret", 2), ("worst", 1),
        ("best of 5", 2), ("fits", 2), ("CPU time / cv5", 2),
    ):  # fmt: skip
        shown[name] = [f"{value:.{digits}f}" for value in table[name]]
    shown.insert(2, "τ − τ of CV5, 95 %", list(table["against cv5"]))
    return shown.rename(columns={"tau": "τ", "worst tau": "worst τ"})


def task_table(frame):
    """One row per task: tau and regret of the default and of 5-fold cross-validation."""
    wanted = frame[frame["score"].isin(["margin_auc_score", "cv5"])]
    means = wanted.pivot_table(
        index=["tuning", "task"], columns="score", values=["tau", "regret"], sort=False
    )
    shown = means.index.to_frame(index=False)
    for value, digits in (("tau", 2), ("regret", 1)):
        for score in ("margin_auc_score", "cv5"):
            name = f"{'τ' if value == 'tau' else value}, {score.removesuffix('_score')}"
            shown[name] = [f"{number:.{digits}f}" for number in means[value][score]]
    seconds = frame.pivot_table(index=["task", "seed"], columns="score", values="seconds")
    ratio = (seconds["margin_auc_score"] / seconds["cv5"]).groupby("task").mean()
    shown["CPU time / cv5"] = [f"{number:.2f}" for number in ratio[shown["task"]]]
    shown["tuning"] = np.where(shown["tuning"], "yes", "")
    return shown[["task", *shown.columns[2:], "tuning"]].rename(columns={"tuning": "tuned on"})


def by_hyperparameter(results, scores=("margin_auc_score", "cv5", "frobenius")):
    """Granulated tau: mean sign agreement over pairs that differ in one hyper-parameter.

    After Jiang et al. 2020 (arXiv 1912.02178, eq. 5), pooled over tasks and seeds.
    """
    settings = [name for name in results if name.startswith("setting ")]
    scores = [name for name in scores if name in results]
    signs = []
    # Settings that a kind of network lacks, and those that are None, are read as NaN.
    results = results.copy()
    results[settings] = results[settings].astype(object).fillna("None")
    for _, part in results.groupby(["task", "seed"]):
        part = part.sort_values("candidate")
        for first in range(0, len(part), 3):
            for other in (first + 1, first + 2):
                a, b = part.iloc[first], part.iloc[other]
                if np.isnan(a["test"]) or np.isnan(b["test"]) or a["test"] == b["test"]:
                    continue
                changed = [
                    name.removeprefix("setting ") for name in settings if a[name] != b[name]
                ]
                sign = np.sign(a["test"] - b["test"])
                signs.append(
                    {"hyper-parameter": changed[0]}
                    | {score: sign * np.sign(a[score] - b[score]) for score in scores}
                )
    frame = pd.DataFrame(signs)
    table = frame.groupby("hyper-parameter").mean()
    table["pairs"] = frame.groupby("hyper-parameter").size()
    return table


def copies_by_task(results):
    """Effect of duplicates: tau and regret of the default on all rows and on distinct rows.

    Returns
    -------
    tasks, kinds : DataFrame
        One row per task (means over seeds), and one per kind of duplicates (means over its
        tasks, and the worst difference).
    """
    scores = ("distinct rows", "margin_auc_score", "holdout", "training accuracy")
    rows = []
    for (task, seed), part in results.groupby(["task", "seed"], sort=False):
        part = part[part["test"].notna()]
        accuracy = part["test"].to_numpy()
        row = {"task": task, "seed": seed, "kind": task.split("-")[-1]}
        for score in scores:
            # For near duplicates, the mean over the choices of one row per group.
            found = [
                name for name in part if name.startswith(score) and part[name].notna().all()
            ]
            if found:
                value = part[found].to_numpy(dtype=float).T
                regrets = [accuracy.max() - accuracy[one == one.max()].mean() for one in value]
                row[f"tau, {score}"] = np.mean([_tau(one, accuracy) for one in value])
                row[f"regret, {score}"] = 100 * np.mean(regrets)
        rows.append(row)
    frame = pd.DataFrame(rows)
    tasks = frame.groupby(["kind", "task"], sort=False).mean(numeric_only=True)
    tasks = tasks.drop(columns="seed").reset_index()
    for name in ("tau", "regret"):
        found = tasks[f"{name}, margin_auc_score"]
        tasks[f"{name}, difference"] = found - tasks[f"{name}, distinct rows"]
    groups = tasks.groupby("kind", sort=False)
    kinds = groups.mean(numeric_only=True).round(2)
    kinds["worst tau difference"] = groups["tau, difference"].min().round(2)
    kinds["worst regret difference"] = groups["regret, difference"].max().round(2)
    return tasks, kinds.reset_index()


def for_docs_copies(kinds):
    """The kinds of duplicates with rounded numbers and readable names."""
    shown = pd.DataFrame({"copies": kinds["kind"]})
    for value, symbol, digits in (("tau", "τ", 2), ("regret", "regret", 1)):
        for score, name in (
            ("distinct rows", "one row of each"),
            ("margin_auc_score", "all rows"),
            ("training accuracy", "training accuracy"),
        ):
            shown[f"{symbol}, {name}"] = [
                f"{number:.{digits}f}" for number in kinds[f"{value}, {score}"]
            ]
    shown["worst τ, all − one"] = [f"{x:+.2f}" for x in kinds["worst tau difference"]]
    shown["worst regret, all − one"] = [f"{x:+.1f}" for x in kinds["worst regret difference"]]
    return shown


def _fits(score):
    """Number of fits per candidate."""
    if score.startswith("shortlist"):
        return 1 + 5 * int(score.split()[1]) / N_CANDIDATES
    return N_FITS.get(score, 1)


def _shortlist(part, size):
    """Ranks by margin_auc_score, with its best ``size`` ranked by 5-fold cross-validation."""
    order = part["margin_auc_score"].rank(method="first")
    best = order > len(part) - size
    # Ties of cross-validation are broken by the score.
    return order + best * len(part) * (1 + part["cv5"].rank(method="min"))


def _tau(a, b):
    if (a == a[0]).all() or (b == b[0]).all():
        return 0.0
    return kendalltau(a, b).statistic


def _interval(values, score, seed):
    """95 % percentile interval of the mean difference from cv5, by resampling tasks."""
    differences = (values[score] - values["cv5"]).dropna()
    values = differences.groupby("task").mean().to_numpy()
    draws = np.random.default_rng(seed).integers(len(values), size=(N_BOOTSTRAP, len(values)))
    return np.quantile(values[draws].mean(axis=1), [0.025, 0.975])
