"""Make the tables of the guide from the results of ``prune.py``, one row per run."""

import numpy as np
import pandas as pd

__all__ = ["each_task", "noisy", "summary", "verdict"]

ALL = ("all, lr", "all, lr / 5")
STOP = "stop at separation"
# Smallest gain from continuing on all samples that is worth reporting, in points.
GAIN = 0.1


def _spread(values):
    return f"{values.mean():.2f} ± {values.std(ddof=1):.2f}"


def _in_order(frame, results):
    return frame.reindex(pd.unique(results["row"])).dropna(how="all")


def _wide(results, column):
    """One row per task and seed, one column per row of the table."""
    return results.set_index(["task", "seed", "row"])[column].unstack("row")  # noqa: PD010


def relative(results):
    """Add the gain over stopping and costs relative to all samples, per task, seed and row."""
    results = results.copy()
    test = _wide(results, "test") * 100
    key = pd.MultiIndex.from_frame(results[["task", "seed"]])
    results["test"] *= 100
    results["train"] *= 100
    results["gain"] = results["test"] - test[STOP].reindex(key).to_numpy()
    whole = _wide(results, "gradients")[ALL[1]].reindex(key).to_numpy()
    results["gradients"] = results["gradients"] / whole
    seconds = _wide(results, "seconds")[ALL[1]].reindex(key).to_numpy()
    results["seconds"] = results["seconds"] / seconds
    target = test[ALL[1]].reindex(key).to_numpy()
    results["reached"] = [
        _time_to(row, goal) / own if row["curve"] == row["curve"] else np.nan
        for (_, row), goal, own in zip(results.iterrows(), target, seconds, strict=True)
    ]
    return results


def _time_to(row, goal):
    """Seconds until the test accuracy first reaches ``goal`` %; infinite if it never does."""
    curve = 100 * np.array(str(row["curve"]).split(), dtype=float)
    clock = np.array(str(row["clock"]).split(), dtype=float)
    there = np.flatnonzero(curve >= goal - 0.006)
    return clock[there[0]] if len(there) else np.inf


def each_task(results, task):
    """The rows of one task: accuracy as mean ± sd, costs relative to using all samples."""
    part = relative(results[results["task"] == task])
    group = part.groupby("row")
    frame = pd.DataFrame(
        {
            "test, %": group["test"].agg(_spread),
            "over stopping": group["gain"].agg(lambda v: f"{v.mean():+.2f}"),
            "train, %": group["train"].mean().map("{:.3f}".format),
            "gradients": group["gradients"].mean().map("{:.3f}".format),
            "time": group["seconds"].median().map("{:.3f}".format),
            "undone": group["rolled_back"].mean().map("{:.1f}".format),
            "reach all": group["reached"].agg(_reached),
        }
    )
    frame.loc[
        ["from scratch" in row for row in frame.index], ["over stopping", "train, %"]
    ] = ""
    return _in_order(frame, part)


def _reached(values):
    values = values.dropna()
    if not len(values):
        return ""
    there = values[np.isfinite(values)]
    when = f", {there.median():.2f}" if len(there) else ""
    return f"{len(there)}/{len(values)}{when}"


def summary(results):
    """Test accuracy of every row and task, in %, mean ± sd."""
    part = relative(results)
    frame = part.pivot_table("test", "row", "task", aggfunc=_spread)
    return _in_order(frame, part)[pd.unique(results["task"])].fillna("")


def verdict(results, row="1 % smallest"):
    """One row per task: the subset compared with stopping, all samples and random samples."""
    part = relative(results)
    rows = {}
    for task, own in part.groupby("task", sort=False):
        test = own.pivot_table("test", "seed", "row")
        best = max(ALL, key=lambda name: test[name].mean())
        stop, gain = test[STOP], (test[best] - test[STOP]).mean()
        ours, costs = test[row], own[own["row"] == row]

        def points(values):
            return f"{values.mean():+.2f} ± {values.std(ddof=1):.2f}"

        def kept(name, test=test, stop=stop, gain=gain):
            return f"{(test[name] - stop).mean() / gain:.0%}" if gain >= GAIN else "–"

        rows[task] = {
            "seeds": len(test),
            "separated": f"{own.groupby('seed')['separated'].first().sum()}",
            "stop": _spread(stop),
            "all": _spread(test[best]),
            "1 %": _spread(ours),
            "over stopping": points(ours - stop),
            "over all": points(ours - test[best]),
            "gain kept": kept(row),
            "random": kept("1 % random"),
            "random each epoch": kept("1 % random each epoch"),
            "gradients": f"{costs['gradients'].mean():.4f}",
            "time": f"{costs['seconds'].median():.3f}",
            "all scored": f"{own[own['row'] == f'{row}, all scored']['seconds'].median():.3f}",
        }
    return pd.DataFrame(rows).T


def noisy(results):
    """Tasks with mislabelled samples: test accuracy, and precision and recall of suspects."""
    part = relative(results)
    frame = part.pivot_table("test", "task", "row", aggfunc=_spread, sort=False)[
        list(pd.unique(part["row"]))
    ]
    guarded = part[part["row"].str.contains("guard")].groupby("task", sort=False)
    frame["suspects that are wrong"] = guarded["precision"].agg("mean").map("{:.0%}".format)
    frame["wrong ones suspected"] = guarded["recall"].agg("mean").map("{:.0%}".format)
    return frame
