"""
Are the same samples kept again?
================================

Once a network separates its training samples, a few of them are said to be enough to continue
training: those nearest to the decision boundary. Banburski et al., "Distribution of
Classification Margins: Are All Data Equal?" (arXiv 2107.10199), say that these samples differ
from one training run to the next. This example measures how far they agree over ten runs, and
whether the initial weights or the order of the samples make them differ.
"""

import matplotlib.pyplot as plt
import numpy as np
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

X, y = load_digits(return_X_y=True)
X = StandardScaler().fit_transform(X)

# %%
# Two seeds
# ---------
#
# :class:`~margin_sklearn.MarginClassifier` has one ``random_state`` for everything random. To
# vary the initial weights separately, we create the module beforehand, from its own seed: a
# module instance is copied, and trained from its weights. As there is no dropout,
# ``random_state`` then only controls the order of the samples.
#
# Every run trains until the network correctly classifies all samples, and keeps one in twenty
# of each digit: those with the smallest margins. It stops there (``continue_epochs=0``).


def run(weights, order):
    """Fit a selector, with one seed for the weights and one for the order."""
    with torch.random.fork_rng():
        torch.manual_seed(weights)
        module = MLP((64,), 10, hidden_layer_sizes=(64,))
    network = MarginClassifier(module, device="cpu", random_state=order)
    return MarginSubsetSelector(network, n_samples_to_select=0.05, continue_epochs=0).fit(X, y)


seeds = range(10)
runs = {
    "other weights,\nsame order": [run(seed, 0) for seed in seeds],
    "same weights,\nother order": [run(0, seed) for seed in seeds],
    "both": [run(seed, seed) for seed in seeds],
}

# %%
# The first run is the same in all three groups, with both seeds 0. It keeps the same samples
# each time, so all differences below are due to the seeds.

print(subset_overlap(*(selectors[0] for selectors in runs.values()), y=y).pairwise)

# %%
# How far two runs agree
# ----------------------
#
# :func:`~margin_sklearn.subset_overlap` computes the Jaccard index of two selections: the
# samples that both keep, as a share of those that either keeps. Given the labels, it also
# computes the overlap expected by chance, for random selections with the same number of
# samples per digit.

n_kept = int(runs["both"][0].support_.sum())
rng = np.random.default_rng(0)
figure, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
for position, (name, selectors) in enumerate(runs.items()):
    overlap = subset_overlap(*selectors, y=y)
    pairs = overlap.pairwise[np.triu_indices(len(selectors), k=1)]
    ax.plot(
        position + rng.uniform(-0.12, 0.12, len(pairs)), pairs, "o", ms=4, mew=0, alpha=0.5
    )
    ax.plot(position + np.array([-0.25, 0.25]), [overlap.jaccard] * 2, color="0.2")
    ax.annotate(
        f"{overlap.jaccard:.2f}", (position + 0.27, overlap.jaccard), color="0.2", va="center"
    )
    # For two selections of equal size.
    common = n_kept * 2 * pairs / (1 + pairs)
    print(
        f"{' '.join(name.split()):27s} Jaccard {overlap.jaccard:.2f} "
        f"(chance {overlap.expected:.2f}): of {n_kept} kept, two runs share "
        f"{common.mean():.0f} on average, {common.min():.0f} to {common.max():.0f}"
    )
ax.axhline(overlap.expected, color="0.4", ls="--", lw=1)
ax.text(2.55, overlap.expected + 0.01, "chance", color="0.4", ha="right")
ax.set(
    xticks=range(3), xticklabels=runs, xlim=(-0.5, 2.6), ylim=(0, 1),
    ylabel="Jaccard index of two runs' selections",
)  # fmt: skip
plt.show()

# %%
# Each dot is a pair of runs, each line the mean of a column. The selections are not
# consistent: no two runs keep the same samples. Nor are they arbitrary: by chance they would
# hardly overlap. And there is no single cause: different weights alone, or a different order
# alone, change the selection nearly as much as both together.

# %%
# How often a sample is kept
# --------------------------
#
# How many of the ten runs in which both seeds differ keep each sample?

times = np.sum([selector.support_ for selector in runs["both"]], axis=0)
n_runs = len(runs["both"])
counts = np.bincount(times, minlength=n_runs + 1)
chance = len(y) * binom.pmf(np.arange(n_runs + 1), n_runs, n_kept / len(y))

figure, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
bars = ax.bar(np.arange(n_runs + 1), counts, label="ten runs")
ax.bar_label(bars, fmt="{:,.0f}", fontsize="small")
ax.plot(np.arange(n_runs + 1), chance, "o--", color="0.3", label="chance")
ax.set(
    xlabel="runs that keep the sample",
    ylabel="number of samples",
    xticks=np.arange(n_runs + 1),
    yscale="log",
    ylim=(0.7, 3000),
)
ax.legend()
plt.show()
print(f"kept at least once: {np.sum(times > 0):,}, by chance {chance[1:].sum():,.0f}")
print(f"kept every time:    {counts[-1]:,}, by chance {chance[-1]:.0g}")

# %%
# Most samples are kept by no run. There is a core that every run keeps, and a larger number of
# samples that only some runs keep.

# %%
# The core samples
# ----------------
#
# The digits that are kept most often, with their labels. Several are hard to read, or look
# like another digit.

most = np.argsort(-times, kind="stable")[:18]
figure, axes = plt.subplots(2, 9, figsize=(9, 2.6), layout="constrained")
for ax, sample in zip(axes.flat, most, strict=True):
    ax.imshow(load_digits().images[sample], cmap="gray_r")
    ax.set_title(f"{y[sample]} ({times[sample]}×)", fontsize="small")
    ax.set_axis_off()
plt.show()

# %%
# Two selections, one network
# ---------------------------
#
# :class:`~margin_sklearn.SubsetDisplay` shows the kept samples among all samples, sorted by
# margin. Left: the samples that the first run keeps, by its own margins. They are not exactly
# the smallest margins overall, because each digit contributes its share. Right: the samples
# that the second run keeps, still by the margins of the first run. They reach further to the
# right, but also come from the lower end.

first, second = runs["both"][:2]
figure, axes = plt.subplots(1, 2, figsize=(9, 4), sharey=True, layout="constrained")
SubsetDisplay.from_estimator(first, ax=axes[0], name="first run")
SubsetDisplay.from_predictions(
    first.margins_, second.support_, ax=axes[1], name="second run", color="C1"
)
axes[1].set_ylabel("")
plt.show()
