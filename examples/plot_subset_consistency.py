"""
Do two runs keep the same samples?
==================================

Once a network separates its training samples, those nearest to the decision
boundary are said to be enough to continue training. Banburski et al.,
"Distribution of Classification Margins: Are All Data Equal?" (arXiv
2107.10199), say that these samples differ from one training run to the next.
This page measures how far ten runs agree, and whether the initial weights
or the order of the samples make them differ.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from scipy.stats import binom
from sklearn.datasets import load_digits
from sklearn.preprocessing import StandardScaler

from margin_sklearn import (
    MLP,
    MarginClassifier,
    MarginSubsetSelector,
    SubsetDisplay,
    subset_overlap,
)

digits = load_digits()
chosen = np.random.default_rng(0).permutation(len(digits.target))[:900]
X, y = digits.data[chosen], digits.target[chosen]
X = StandardScaler().fit_transform(X)

# %%
# Two seeds
# ---------
#
# :class:`~margin_sklearn.MarginClassifier` has one ``random_state`` for
# everything random. To vary the initial weights separately, we create the
# module beforehand, from its own seed: a module instance is copied, and
# trained from its weights. As there is no dropout, ``random_state`` then only
# controls the order of the samples.
#
# Every run trains until the network correctly classifies all samples, and
# keeps one in twenty of each digit: those with the smallest margins. It stops
# there (``continue_epochs=0``).


def run(weights, order):
    """Fit a selector, with one seed for the weights and one for the order."""
    with torch.random.fork_rng():
        torch.manual_seed(weights)
        module = MLP((64,), 10, hidden_layer_sizes=(64,))
    network = MarginClassifier(module, device="cpu", random_state=order)
    selector = MarginSubsetSelector(
        network,
        n_samples_to_select=0.05,
        continue_epochs=0,
    )
    return selector.fit(X, y)


seeds = range(1, 10)
first = run(0, 0)
runs = {
    "other weights": [first, *(run(seed, 0) for seed in seeds)],
    "other order": [first, *(run(0, seed) for seed in seeds)],
    "both": [first, *(run(seed, seed) for seed in seeds)],
}
again = subset_overlap(first, run(0, 0), y=y).jaccard
print(f"the same two seeds again: Jaccard index {again:.2f}")

# %%
# How far two runs agree
# ----------------------
#
# :func:`~margin_sklearn.subset_overlap` computes the Jaccard index of two
# selections: the samples that both keep, as a share of those that either
# keeps. Given the labels, it also computes the overlap expected by chance, for
# random selections with the same number of samples per digit.

n_kept = int(first.support_.sum())
rng = np.random.default_rng(0)
rows = {}
figure, ax = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
for position, (name, selectors) in enumerate(runs.items()):
    overlap = subset_overlap(*selectors, y=y)
    pairs = overlap.pairwise[np.triu_indices(len(selectors), k=1)]
    x = position + rng.uniform(-0.12, 0.12, len(pairs))
    ax.plot(x, pairs, "o", ms=5, mew=0, alpha=0.6, color="#0072B2")
    ends = position + np.array([-0.25, 0.25])
    ax.plot(ends, [overlap.jaccard] * 2, color="#D55E00", lw=2)
    ax.annotate(
        f"{overlap.jaccard:.2f}",
        (ends[1] + 0.03, overlap.jaccard),
        va="center",
    )
    # The number in common, of two selections of equal size.
    common = n_kept * 2 * pairs / (1 + pairs)
    rows[name] = {
        "Jaccard": f"{overlap.jaccard:.2f}",
        "chance": f"{overlap.expected:.2f}",
        f"in common, of {n_kept}": f"{common.min():.0f} to {common.max():.0f}",
    }
ax.axhline(overlap.expected, color="0.5", ls="--", lw=1)
ax.text(2.55, overlap.expected + 0.015, "chance", color="0.5", ha="right")
ax.set(
    xticks=range(3),
    xticklabels=runs,
    xlim=(-0.5, 2.6),
    ylim=(0, 1),
    ylabel="Jaccard index of two runs' selections",
)
plt.show()
print(pd.DataFrame(rows).T.to_string())

# %%
# **No, but far more than by chance.** Each dot is a pair of runs, each line
# the mean. No two runs keep the same samples. There is no single cause: other
# weights alone change the selection, and so does another order alone.

# %%
# How often a sample is kept
# --------------------------
#
# How many of the ten runs in which both seeds differ keep each sample? The
# bars are counts of samples, the dots those of random selections.

times = np.sum([selector.support_ for selector in runs["both"]], axis=0)
n_runs = len(runs["both"])
number = np.arange(n_runs + 1)
counts = np.bincount(times, minlength=n_runs + 1)
chance = len(y) * binom.pmf(number, n_runs, n_kept / len(y))

figure, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
bars = ax.bar(number, counts, color="#0072B2", alpha=0.6, label="ten runs")
ax.plot(number, chance, "o--", color="#D55E00", label="chance")
box = {"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.8}
ax.bar_label(bars, fmt="{:,.0f}", fontsize="small", bbox=box, padding=2)
ax.set(
    xlabel="Runs that keep the sample",
    ylabel="Number of samples",
    xticks=number,
    yscale="log",
    ylim=(0.7, 3000),
)
ax.legend()
plt.show()
print(f"kept at least once: {np.sum(times > 0)}, ", end="")
print(f"by chance {chance[1:].sum():.0f}")
print(f"kept every time: {counts[-1]}, by chance {chance[-1]:.0g}")

# %%
# Most samples are kept by no run. There is a core that every run keeps, and a
# larger number of samples that only some runs keep. The digits that are kept
# most often, with their labels; several are hard to read, or look like another
# digit:

most = np.argsort(-times, kind="stable")[:14]
figure, axes = plt.subplots(2, 7, figsize=(7, 2.6), layout="constrained")
for ax, sample in zip(axes.flat, most, strict=True):
    ax.imshow(digits.images[chosen[sample]], cmap="gray_r")
    ax.set_title(f"{y[sample]} ({times[sample]}×)", fontsize="small")
    ax.set_axis_off()
plt.show()

# %%
# Two selections, one network
# ---------------------------
#
# Where do the samples of another run lie? Both selections are drawn by the
# margins of the first run. Those it keeps itself are not exactly the smallest
# overall, because each digit contributes its share; those of the second run
# reach further to the right.

second = runs["both"][1]
display = SubsetDisplay.from_estimator(first, name="first run")
SubsetDisplay.from_predictions(
    first.margins_,
    second.support_,
    ax=display.ax_,
    name="second run",
)
plt.show()
