"""Which score of a fitted network ranks candidates by their test accuracy?

    MARGIN_SKLEARN_DATA=... python benchmarks/rank.py [--quick] [--copies] [STAGE ...]

26 tasks (data sets, clean and noisy labels, unbalanced classes, coded categories; MLPs and
ConvNets), 96 candidates each, three seeds (split, labels, candidates and training). With
``--copies``: 24 tasks whose training rows have exact or near duplicates (48 candidates), each
network scored on all rows and on one row per group of duplicates. With ``--cycle``: six tasks
with a second grid of MLPs, trained along one cycle of learning rates as by default.

Stages: ``fit`` trains every candidate on all samples and keeps the networks in ``--cache``;
``validate`` trains it on the folds of cross-validation (most of the time: some hours on two
cores); ``score`` writes all scores of the kept networks to a CSV, so that another score can be
tried in minutes; ``table`` prints the tables and draws the figure of the documentation. Each
stage can be interrupted: finished work is not repeated. ``--quick`` runs four of the tasks
with one seed: ten minutes. ``--validation CSV`` uses the cross-validated accuracies of an
earlier run for tasks that were not validated, and counts the time of k-fold cross-validation
as k - 1 fits on all samples.
"""

import argparse
import time
from pathlib import Path

import joblib
import pandas as pd
from joblib import Parallel, delayed
from ranking.figures import draw
from ranking.scores import COPY_SCORES, SCORES, score_candidate
from ranking.tables import (
    by_hyperparameter,
    by_task,
    copies_by_task,
    for_docs,
    for_docs_copies,
    summary,
    task_table,
)
from ranking.tasks import COPY_TASKS, CYCLE_TASKS, TASKS
from ranking.zoo import candidates, fit_candidate, validate_candidate

QUICK = ("digits-clean", "magic-uniform20", "satimage-uniform40", "breast_cancer-uniform20")
QUICK_CYCLE = ("digits-clean-cycle", "magic-uniform20-cycle")
QUICK_COPIES = ("satimage-uniform20-twice", "optdigits-uniform20-jitter0.05")
STAGES = ("fit", "validate", "score", "table")
RESULTS = Path(__file__).parent / "results"


def settings_of(task, seed):
    """The candidates of a task; half as many for tasks with duplicates."""
    every = candidates(task.kind, seed)
    return every if task.copies is None else every[: len(every) // 2]


def run(work, tasks, options, subfolder="."):
    """Call ``work`` (fit or validate a candidate) for all candidates not in the cache."""
    for seed in options.seeds:
        for task in tasks:
            folder = options.cache / f"{task.name}-{seed}" / subfolder
            folder.mkdir(parents=True, exist_ok=True)
            start = time.perf_counter()
            data = task.load(seed)
            Parallel(n_jobs=options.jobs)(
                delayed(work)(task, settings, seed, data, folder / f"{i:03d}.joblib")
                for i, settings in enumerate(settings_of(task, seed))
            )
            print(f"{folder}: {time.perf_counter() - start:.0f} s", flush=True)


def score(tasks, options):
    """Compute the scores of every network in the cache; finished tasks are skipped."""
    scores = COPY_SCORES if options.copies else SCORES
    names = list(scores) if options.again == [] else options.again or []
    earlier = None if options.validation is None else pd.read_csv(options.validation)
    parts = []
    for seed in options.seeds:
        for task in tasks:
            folder = options.cache / f"{task.name}-{seed}"
            files = sorted(folder.glob("*.joblib"))
            done = folder / "scores.csv"
            if names or not done.exists():
                data = task.load(seed)
                start = time.perf_counter()
                wanted = names if done.exists() else options.scores or list(scores)
                rows = Parallel(n_jobs=options.jobs)(
                    delayed(score_candidate)(file, task, seed, data, wanted) for file in files
                )
                scored = pd.DataFrame(rows)
                if done.exists():
                    known = pd.read_csv(done)
                    assert (known["candidate"] == scored["candidate"]).all()
                    scored = known.drop(columns=scored.columns, errors="ignore").join(scored)
                scored.to_csv(done, index=False)
                print(f"{folder.name}: {time.perf_counter() - start:.0f} s", flush=True)
            parts.append(validated(pd.read_csv(done), folder, earlier))
    results = pd.concat(parts, ignore_index=True)
    options.results.parent.mkdir(parents=True, exist_ok=True)
    results.to_csv(options.results, index=False, float_format="%.6g")


def validated(scored, folder, earlier):
    """Add cross-validated accuracies, of this or an earlier run, to the scores of a task."""
    files = sorted((folder / "validation").glob("*.joblib"))
    if len(files) == len(scored):
        rows = [{"candidate": int(file.stem)} | joblib.load(file) for file in files]
    elif earlier is None:
        return scored
    else:
        task, seed = scored["task"][0], scored["seed"][0]
        found = earlier[(earlier["task"] == task) & (earlier["seed"] == seed)]
        names = [name for name in ("cv5", "cv3", "holdout") if name in found]
        names += [f"seconds_{name}" for name in names if f"seconds_{name}" in found]
        both = scored.merge(found, on="candidate", suffixes=("", " then"))
        moved = (both["test"] - both["test then"]).abs()
        print(
            f"{folder.name}: cross-validation of an earlier run; test accuracy differs from "
            f"that run for {(moved > 1e-5).sum()} of {len(both)}, by at most {moved.max():.3f}"
        )
        rows = found[["candidate", *names]].copy()
        # Times of another run are not comparable with those of this one. k fits on k - 1 of k
        # folds are counted as k - 1 fits on all samples.
        cost = found["candidate"].map(scored.set_index("candidate")["seconds_fit"])
        for k in (3, 5):
            if f"seconds_cv{k}" in rows:
                rows[f"seconds_cv{k}"] = (k - 1) * cost.where(rows[f"cv{k}"].notna())
    rows = pd.DataFrame(rows)
    known = [name for name in rows if name != "candidate"]
    return scored.drop(columns=known, errors="ignore").merge(rows, on="candidate", how="left")


def table(options):
    """Print the tables from the CSV file."""
    results = pd.read_csv(options.results)
    frame = by_task(results)
    pd.set_option("display.width", 200, "display.max_columns", 20, "display.max_rows", 200)
    pd.set_option("display.float_format", lambda value: f"{value:.3g}")
    unseen = ~frame["tuning"]
    for name, part in (
        ("Tasks not tuned on", frame[unseen]),
        ("Tasks tuned on", frame[~unseen]),
        ("Tasks not tuned on, ConvNets", frame[unseen & (frame["kind"] == "convnet")]),
        ("All tasks", frame),
    ):
        if len(part):
            tasks, seeds = part["task"].nunique(), part["seed"].nunique()
            print(f"\n{name} ({tasks} tasks, {seeds} seeds)\n")
            shown = summary(part)
            print(shown.round(3).to_string())
            # Written next to the results, for the documentation.
            short = name.lower().replace(",", "").replace(" ", "_")
            file = options.results.with_name(f"{options.results.stem}_{short}.csv")
            for_docs(shown).to_csv(file, index=False)
    task_table(frame).to_csv(
        options.results.with_name(f"{options.results.stem}_each_task.csv"), index=False
    )
    draw(frame, options.results.with_suffix(".png"))
    print("\nEach task, means over seeds: tau and regret of margin_auc_score and cv5\n")
    wanted = frame[frame["score"].isin(["margin_auc_score", "cv5"])]
    print(
        wanted.pivot_table(
            index=["tuning", "task"],
            columns="score",
            values=["tau", "top", "regret"],
        )
        .round(2)
        .to_string()
    )
    without = frame.loc[~frame["locality"], "task"].unique()
    print(f"\nLocalityWarning on: {', '.join(without) or 'none'}")
    spread = wanted.pivot_table(index="score", columns="seed", values="tau")
    print(f"\nMean tau of each seed\n\n{spread.round(3).to_string()}")
    print("\nGranulated tau: sign agreement if one hyper-parameter differs, all tasks\n")
    print(by_hyperparameter(results).round(2).to_string())


def copies_table(options):
    """Print the effect of duplicates on each score, from the CSV file."""
    frame, kinds = copies_by_task(pd.read_csv(options.results))
    pd.set_option("display.width", 200, "display.max_columns", 30, "display.max_rows", 200)
    print("\nEach kind of duplicates, means over data sets and seeds\n")
    print(kinds.to_string(index=False))
    shown = for_docs_copies(kinds)
    shown.to_csv(options.results.with_name(f"{options.results.stem}_kinds.csv"), index=False)
    print("\nEach task, means over seeds\n")
    print(frame.round(2).to_string(index=False))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("stages", nargs="*", default=list(STAGES))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--copies", action="store_true")
    parser.add_argument("--cycle", action="store_true")
    parser.add_argument("--tasks", nargs="+", metavar="TASK")
    parser.add_argument("--seeds", nargs="+", type=int, default=None)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=Path(__file__).parent / "cache")
    parser.add_argument("--results", type=Path, default=None)
    parser.add_argument("--validation", type=Path, default=None)
    parser.add_argument("--scores", nargs="+", choices=list(SCORES), help="only these scores")
    parser.add_argument(
        "--again",
        nargs="*",
        choices=[*SCORES, *COPY_SCORES],
        help="recompute these scores, or all",
    )
    options = parser.parse_args()
    if unknown := set(options.stages) - set(STAGES):
        parser.error(f"stages are {', '.join(STAGES)}, not {', '.join(unknown)}")
    every = COPY_TASKS if options.copies else CYCLE_TASKS if options.cycle else TASKS
    quick = QUICK_COPIES if options.copies else QUICK_CYCLE if options.cycle else QUICK
    names = options.tasks or (quick if options.quick else [task.name for task in every])
    tasks = [task for task in every if task.name in names]
    if unknown := set(names) - {task.name for task in tasks}:
        known = ", ".join(task.name for task in every)
        parser.error(f"unknown tasks {', '.join(unknown)}; known are {known}")
    options.seeds = options.seeds or ([0] if options.quick else [0, 1, 2])
    if options.results is None:
        whole = not options.quick and not options.tasks
        name = "rank_copies.csv" if options.copies else "rank.csv"
        name = "rank_cycle.csv" if options.cycle else name
        options.results = (RESULTS if whole else options.cache) / name
    for stage in options.stages:
        if stage == "fit":
            run(fit_candidate, tasks, options)
        elif stage == "validate":
            run(validate_candidate, tasks, options, "validation")
        elif stage == "score":
            score(tasks, options)
        elif options.copies:
            copies_table(options)
        else:
            table(options)


if __name__ == "__main__":
    main()
