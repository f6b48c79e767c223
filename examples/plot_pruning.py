"""
Are two samples in a hundred enough after separation?
=====================================================

Once a network classifies every training sample correctly, most samples have
little more to teach it. :class:`~margin_sklearn.MarginSubsetSelector` then
continues training on ever fewer of them, those with the smallest margins, and
averages the weights. This page compares it with its controls on handwritten
digits, and shows what happens when some labels are wrong.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from margin_sklearn import (
    MarginClassifier,
    MarginSubsetSelector,
    SubsetDisplay,
)


def split(seed):
    """Standardised digits, 900 for training: X, X_test, y, y_test."""
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(
        X, y, train_size=900, stratify=y, random_state=seed
    )
    scaler = StandardScaler().fit(X)
    return scaler.transform(X), scaler.transform(X_test), y, y_test


def network(seed, max_epochs=300):
    """The network of this page, at a constant learning rate."""
    return MarginClassifier(
        lr=2e-3,
        lr_schedule="constant",
        max_epochs=max_epochs,
        device="cpu",
        random_state=seed,
    )


def select(X, y, seed, **settings):
    """A selector that keeps 2 % in the end, unless settings say otherwise."""
    settings = {"n_samples_to_select": 0.02, "random_state": seed, **settings}
    return MarginSubsetSelector(network(seed), **settings).fit(X, y)


# %%
# The controls
# ------------
#
# ``continue_epochs=0`` stops at separation, ``n_samples_to_select=1.0``
# continues on all samples, and ``strategy="random_each_epoch"`` on random
# ones. Each has the same ten epochs and averages the weights in the same way.
# A further network is trained from scratch on the samples that were kept, and
# one on as many random samples. Each is repeated with three seeds, for the
# split, the weights and the order of the samples.

controls = {
    "stop at separation": {"continue_epochs": 0},
    "all samples": {"n_samples_to_select": 1.0},
    "2 %, smallest margins": {},
    "2 %, random": {"strategy": "random_each_epoch"},
}
rows = []
for seed in range(3):
    X, X_test, y, y_test = split(seed)
    for name, settings in controls.items():
        model = select(X, y, seed, **settings)
        history = model.history_
        cost = history.loc[history["phase"] == "continuing", "n_samples"].sum()
        rows.append((name, model.score(X_test, y_test), cost))
        if name.startswith("2 %"):
            kept = model.support_
            scratch = network(seed, 100).fit(X[kept], y[kept])
            name = name.replace("2 %", "from scratch")
            cost = 100 * kept.sum()
            rows.append((name, scratch.score(X_test, y_test), cost))

found = pd.DataFrame(rows, columns=["continuing on", "accuracy", "gradients"])
groups = found.groupby("continuing on", sort=False)
table = groups.agg(
    accuracy=("accuracy", "mean"),
    gradients=("gradients", "mean"),
)
table = table.sort_values("accuracy", ascending=False)
print(table.round({"accuracy": 4, "gradients": 0}).to_string())

# %%
# *gradients* counts the samples trained on after separation, or from scratch.
# The axis of accuracy is broken, because training from scratch is so far
# below; each dot is a seed, each line the mean.

figure, axes = plt.subplots(
    1,
    2,
    figsize=(7.5, 3.6),
    sharey=True,
    layout="constrained",
    width_ratios=(1, 2),
)
order = table.index[::-1]
for ax in axes:
    for height, name in enumerate(order):
        dots = found.loc[found["continuing on"] == name, "accuracy"]
        color = "#D55E00" if name == "2 %, smallest margins" else "#0072B2"
        ax.plot(dots, [height] * len(dots), "o", color=color, alpha=0.6)
        ax.plot(dots.mean(), height, "|", color=color, ms=22, mew=2)
axes[0].set(yticks=range(len(order)), yticklabels=order, xlim=(0.25, 0.8))
axes[0].set_ylim(-0.6, len(order) - 0.4)
axes[1].set_xlim(0.955, 1.0)
axes[0].spines["right"].set_visible(False)
axes[1].spines["left"].set_visible(False)
axes[1].tick_params(left=False)
figure.supxlabel("Accuracy on new digits", fontsize="medium")
plt.show()

gain = 100 * (table["accuracy"] - table["accuracy"]["stop at separation"])
share = table["gradients"] / table["gradients"]["all samples"]
print("points above stopping, share of the gradients:")
for name in ("all samples", "2 %, smallest margins", "2 %, random"):
    print(f"{name:22s} {gain[name]:+.2f}  {share[name]:4.0%}")

# %%
# **Yes, to continue, but not to begin.** The few samples keep the gain of
# continuing on all, at a fraction of the gradients. They are not a smaller
# data set: from scratch, they are worse than random samples. With so few seeds
# the differences at the top are smaller than the spread; :ref:`the guide
# <pruning>` has twelve larger tasks, on which random samples, averaged in the
# same way, do nearly as well too.

# %%
# Wrong labels
# ------------
#
# The same with one training label in ten wrong. The network memorises these,
# too, and then they have the smallest margins. Left: the samples kept. Right:
# with ``noise_guard=True``, which leaves out the samples that the network
# assigned to another class early in training (crosses).

X, X_test, y, y_test = split(0)
rng = np.random.default_rng(0)
wrong = rng.random(len(y)) < 0.1
noisy = np.where(wrong, (y + rng.integers(1, 10, len(y))) % 10, y)
plain = select(X, noisy, 0)
guarded = select(X, noisy, 0, noise_guard=True)

figure, axes = plt.subplots(
    1,
    2,
    figsize=(7.5, 4),
    sharey=True,
    layout="constrained",
)
SubsetDisplay.from_estimator(plain, ax=axes[0])
SubsetDisplay.from_estimator(guarded, ax=axes[1])
axes[0].set_title("without the guard")
axes[1].set(title="with the noise guard", ylabel="")
plt.show()

table = {
    name: {
        "wrong among kept": f"{wrong[model.support_].mean():.0%}",
        "accuracy on new digits": round(model.score(X_test, y_test), 3),
    }
    for name, model in (("no guard", plain), ("noise guard", guarded))
}
print(pd.DataFrame(table).T.to_string())
suspects = guarded.suspects_
print(f"\n{wrong[suspects].mean():.0%} of the suspects have wrong labels")

# %%
# **With wrong labels, use the guard.** Without it, training continues on the
# labels that should be doubted most. It does not find all of them, and those
# that it misses are near the boundary, too: to clean a data set, use
# :class:`~margin_sklearn.LabelErrorDetector`.
