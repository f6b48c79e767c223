"""Which score of a fitted network ranks candidates by their test accuracy?

    MARGIN_SKLEARN_DATA=... python benchmarks/rank.py [--quick] [fit] [score] [table]

26 tasks (data sets, clean and noisy labels, unbalanced classes, coded categories; MLPs and
ConvNets), 96 candidates each, three seeds (split, labels, candidates and training).

``fit`` trains every candidate on all samples and on the folds of cross-validation, and keeps
networks and accuracies in ``--cache``: some hours on two cores. ``score`` computes every
score of the kept networks into a CSV, so that another score can be tried in minutes.
``table`` prints, and draws, what the documentation shows. Each can be broken off: what was
finished is not done again. ``--quick`` takes four of the tasks and one seed: ten minutes.
"""

import argparse
import time
from pathlib import Path

import pandas as pd
from joblib import Parallel, delayed
from ranking.figures import draw
from ranking.scores import SCORES, score_candidate
from ranking.tables import by_hyperparameter, by_task, for_docs, summary, task_table
from ranking.tasks import TASKS
from ranking.zoo import candidates, fit_candidate

QUICK = ("digits-clean", "magic-uniform20", "satimage-uniform40", "breast_cancer-uniform20")
RESULTS = Path(__file__).parent / "results"


def fit(tasks, options):
    """Train what is not in the cache."""
    for seed in options.seeds:
        for task in tasks:
            folder = options.cache / f"{task.name}-{seed}"
            folder.mkdir(parents=True, exist_ok=True)
            start = time.perf_counter()
            data = task.load(seed)
            Parallel(n_jobs=options.jobs)(
                delayed(fit_candidate)(task, settings, seed, data, folder / f"{i:03d}.joblib")
                for i, settings in enumerate(candidates(task.kind, seed))
            )
            print(f"{folder.name}: {time.perf_counter() - start:.0f} s", flush=True)


def score(tasks, options):
    """Scores of every kept network; those of a finished task are kept, too."""
    names = list(SCORES) if options.again == [] else options.again or []
    parts = []
    for seed in options.seeds:
        for task in tasks:
            folder = options.cache / f"{task.name}-{seed}"
            files = sorted(folder.glob("*.joblib"))
            done = folder / "scores.csv"
            if names or not done.exists():
                data = task.load(seed)
                start = time.perf_counter()
                wanted = names if done.exists() else list(SCORES)
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
            parts.append(pd.read_csv(done))
    results = pd.concat(parts, ignore_index=True)
    options.results.parent.mkdir(parents=True, exist_ok=True)
    results.to_csv(options.results, index=False, float_format="%.6g")


def table(options):
    """Print the tables, from the CSV alone."""
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
            # Beside the results, for the documentation to show.
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
    print("\nGranulated tau: sign agreement where one hyper-parameter differs, all tasks\n")
    print(by_hyperparameter(results).round(2).to_string())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("stages", nargs="*", default=["fit", "score", "table"])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--tasks", nargs="+", metavar="TASK")
    parser.add_argument("--seeds", nargs="+", type=int, default=None)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=Path(__file__).parent / "cache")
    parser.add_argument("--results", type=Path, default=None)
    parser.add_argument(
        "--again", nargs="*", choices=list(SCORES), help="these scores anew, or all"
    )
    options = parser.parse_args()
    if unknown := set(options.stages) - {"fit", "score", "table"}:
        parser.error(f"stages are fit, score and table, not {', '.join(unknown)}")
    names = options.tasks or (QUICK if options.quick else [task.name for task in TASKS])
    tasks = [task for task in TASKS if task.name in names]
    if unknown := set(names) - {task.name for task in tasks}:
        known = ", ".join(task.name for task in TASKS)
        parser.error(f"unknown tasks {', '.join(unknown)}; known are {known}")
    options.seeds = options.seeds or ([0] if options.quick else [0, 1, 2])
    if options.results is None:
        whole = not options.quick and not options.tasks
        options.results = RESULTS / "rank.csv" if whole else options.cache / "rank.csv"
    for stage in options.stages:
        if stage == "fit":
            fit(tasks, options)
        elif stage == "score":
            score(tasks, options)
        else:
            table(options)


if __name__ == "__main__":
    main()
